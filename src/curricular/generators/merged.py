"""`TaskGeneratorSet`: the merged tasks of several generators."""

from functools import cached_property
from itertools import accumulate
from typing import ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, model_validator

from ..params import by_value
from ..task import Axis, Params, num_params
from .protocol import MutableTaskGenerator, SeedsT, local_seeds
from .serial import AnyConfig, AnyGenerator


class TaskGeneratorSet(BaseModel):
    """Merges the tasks of all `children`; the params of a task are the index of its child and the child's params.

    If every child is finite, so is the set. The tasks of a finite child are in a pool at most once.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, extra="forbid", defer_build=True, allow_inf_nan=False)

    kind: Literal["set"] = "set"
    children: tuple[AnyGenerator, ...] = Field(min_length=1)
    """The generators whose tasks are merged."""
    weights: tuple[PositiveFloat, ...] | None = None
    """How many of the new tasks in a pool come from each child, relative to the others, > 0. None: the number of its
    tasks in a finite set, and 1 in an endless one. Weights do not say how often a task in the pool is drawn."""

    @model_validator(mode="after")
    def _check_weights(self) -> Self:
        if self.weights is not None and len(self.weights) != len(self.children):
            raise ValueError(
                f"weights: expected {len(self.children)}, one per generator, got {len(self.weights)}; add or drop some"
            )
        return self

    @property
    def axes(self) -> tuple[Axis, ...]:
        return self._axes

    @property
    def num_tasks(self) -> int | None:
        return self._num_tasks

    @cached_property
    def _axes(self) -> tuple[Axis, ...]:
        branches = tuple(child.axes for child in self.children)
        return (Axis("generator", tuple(range(len(self.children))), branches),)

    @cached_property
    def _num_params(self) -> int:
        return num_params(self._axes)

    @cached_property
    def _columns(self) -> list[slice]:
        """The columns of each child's params: all children share the columns after the index of the child."""
        return [slice(1, 1 + num_params(child.axes)) for child in self.children]

    @cached_property
    def _num_tasks(self) -> int | None:
        counts = [child.num_tasks for child in self.children]
        return None if None in counts else sum(counts)

    @property
    def shares(self) -> NDArray[np.float64]:
        """Share of each child in the new tasks, sum 1, shape (number of children,)."""
        return self._shares

    @cached_property
    def _shares(self) -> NDArray[np.float64]:
        if self.weights is None and self.num_tasks is not None:
            weights = np.array([child.num_tasks for child in self.children], np.float64)
        else:
            weights = np.ones(len(self.children)) if self.weights is None else np.asarray(self.weights)
        weights = weights / weights.max()  # whose sum is finite
        shares: NDArray[np.float64] = weights / weights.sum()
        return shares

    @cached_property
    def _first_seeds(self) -> list[int]:
        """The seed of each child's first task, in a finite set."""
        return list(accumulate((int(child.num_tasks) for child in self.children[:-1]), initial=0))

    def sample(self, seeds: NDArray[np.int64], rng: np.random.Generator) -> Params:
        params = np.zeros((len(seeds), self._num_params))
        if self.num_tasks is not None:
            choices = np.searchsorted(self._first_seeds, seeds, side="right") - 1
        else:
            choices = rng.choice(len(self.children), size=len(seeds), p=self.shares)
        params[:, 0] = choices
        for choice, chosen in by_value(choices):
            child_seeds = self._child_seeds(seeds[chosen], choice)
            params[chosen, self._columns[choice]] = self.children[choice].sample(child_seeds, rng)
        return params

    def mutate(self, seeds: NDArray[np.int64], params: Params, rng: np.random.Generator) -> Params:
        """Lets the child of each task change the task's params.

        The params of a finite child, or of a child that cannot mutate, stay the same.
        """
        mutated = params.copy()
        for choice, chosen in by_value(params[:, 0].astype(np.int64)):
            child, columns = self.children[choice], self._columns[choice]
            if child.num_tasks is None and isinstance(child, MutableTaskGenerator):
                mutated[chosen, columns] = child.mutate(seeds[chosen], params[chosen, columns], rng)
        return mutated

    def label_of(self, seed: int, params: Params) -> str:
        choice, child, child_seed = self._member(seed, params)
        return child.label_of(child_seed, params[self._columns[choice]]) or f"generator={choice}"

    def build(self, seed: int, params: Params) -> AnyConfig:
        choice, child, child_seed = self._member(seed, params)
        return child.build(child_seed, params[self._columns[choice]])

    def members(
        self, seeds: NDArray[np.int64], params: Params
    ) -> list[tuple[int, NDArray[np.int64], NDArray[np.int64], Params]]:
        """Returns the tasks of each child that has some: index of the child, indices, child's seeds, child's params."""
        return [
            (choice, chosen, self._child_seeds(seeds[chosen], choice), params[chosen, self._columns[choice]])
            for choice, chosen in by_value(params[:, 0].astype(np.int64))
        ]

    def set_seeds(self, seeds: NDArray[np.int64], choice: int) -> NDArray[np.int64]:
        """Converts `seeds` of the child with index `choice` to seeds of the set."""
        return seeds if self.num_tasks is None else seeds + self._first_seeds[choice]

    def _child_seeds(self, seeds: SeedsT, choice: int) -> SeedsT:
        """Converts `seeds` of the set, an int or an array, to seeds of the child with index `choice`."""
        if self.num_tasks is not None:
            return seeds - self._first_seeds[choice]
        return local_seeds(seeds, self.children[choice])

    def _member(self, seed: int, params: Params) -> tuple[int, AnyGenerator, int]:
        choice = int(params[0])
        return choice, self.children[choice], self._child_seeds(seed, choice)
