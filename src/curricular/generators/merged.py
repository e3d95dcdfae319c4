"""`TaskGeneratorSet`: the tasks of several generators, merged."""

from functools import cached_property
from typing import ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, model_validator

from ..task import Axis, Params
from .protocol import MutableTaskGenerator, local_seeds
from .serial import AnyConfig, AnyGenerator


class TaskGeneratorSet(BaseModel):
    """The tasks of all `children`.

    If every child is finite and no weights are given, so is the set, and each task is in the pool at most once. Else
    tasks are endless, each from a child drawn by weight.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, extra="forbid", defer_build=True, allow_inf_nan=False)

    kind: Literal["set"] = "set"
    children: tuple[AnyGenerator, ...] = Field(min_length=1)
    """The generators whose tasks are merged."""
    weights: tuple[PositiveFloat, ...] | None = None
    """How often each child is drawn, relative to the others; None: equally."""

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
        axes = [Axis("generator", tuple(range(len(self.children))))]
        for choice, child in enumerate(self.children):
            first = len(axes)
            axes += [axis.moved(first, (0, choice)) for axis in child.axes]
        return tuple(axes)

    @cached_property
    def _num_tasks(self) -> int | None:
        counts = [child.num_tasks for child in self.children]
        return None if self.weights is not None or None in counts else sum(counts)

    @cached_property
    def _columns(self) -> list[slice]:
        """The columns of each child's params."""
        ends = 1 + np.cumsum([len(child.axes) for child in self.children])
        return [slice(int(end) - len(child.axes), int(end)) for end, child in zip(ends, self.children, strict=True)]

    @cached_property
    def _first_seeds(self) -> NDArray[np.int64]:
        """In a finite set, the seed of each child's first task."""
        counts = [child.num_tasks for child in self.children]
        first: NDArray[np.int64] = np.cumsum([0, *counts[:-1]])
        return first

    def sample(self, seeds: NDArray[np.int64], rng: np.random.Generator) -> Params:
        params = np.zeros((len(seeds), len(self.axes)))
        if self.num_tasks is not None:
            choices = np.searchsorted(self._first_seeds, seeds, side="right") - 1
        else:
            weights = np.ones(len(self.children)) if self.weights is None else np.asarray(self.weights)
            choices = rng.choice(len(self.children), size=len(seeds), p=weights / weights.sum())
        params[:, 0] = choices
        for choice, (child, columns) in enumerate(zip(self.children, self._columns, strict=True)):
            (chosen,) = np.nonzero(choices == choice)
            if len(chosen):
                params[chosen, columns] = child.sample(self._child_seeds(seeds[chosen], choice), rng)
        return params

    def mutate(self, seeds: NDArray[np.int64], params: Params, rng: np.random.Generator) -> Params:
        """`params` changed by the child that they are of; those of a finite child, or one that cannot mutate, stay."""
        mutated = params.copy()
        for choice, (child, columns) in enumerate(zip(self.children, self._columns, strict=True)):
            (chosen,) = np.nonzero(params[:, 0] == choice)
            if len(chosen) and child.num_tasks is None and isinstance(child, MutableTaskGenerator):
                mutated[chosen, columns] = child.mutate(seeds[chosen], params[chosen, columns], rng)
        return mutated

    def label_of(self, seed: int, params: Params) -> str:
        choice, child, child_seed = self._member(seed, params)
        return child.label_of(child_seed, params[self._columns[choice]]) or f"generator={choice}"

    def build(self, seed: int, params: Params) -> AnyConfig:
        choice, child, child_seed = self._member(seed, params)
        return child.build(child_seed, params[self._columns[choice]])

    def _child_seeds(self, seeds: NDArray[np.int64], choice: int) -> NDArray[np.int64]:
        if self.num_tasks is not None:
            first: int = self._first_seeds[choice]
            return seeds - first
        return local_seeds(seeds, self.children[choice])

    def _member(self, seed: int, params: Params) -> tuple[int, AnyGenerator, int]:
        choice = int(params[0])
        return choice, self.children[choice], int(self._child_seeds(np.array([seed]), choice)[0])
