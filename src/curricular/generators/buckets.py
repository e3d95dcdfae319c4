"""`BucketedTaskGenerator`: the tasks of another generator, varied over buckets of values."""

from functools import cached_property
from math import prod
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from ..task import Axis, Params, Span, num_params
from .mutation import stepped
from .paths import check_path, with_values
from .protocol import MutableTaskGenerator, local_seeds
from .serial import AnyConfig, AnyGenerator, canonical

Bucket = Span | Annotated[tuple[AnyConfig, ...], Field(min_length=1)]


def _sorted(buckets: dict[str, Bucket]) -> dict[str, Bucket]:
    """Returns the buckets sorted by path: their order determines the task of each seed, and files do not keep it."""
    return dict(sorted(buckets.items()))


class BucketedTaskGenerator(BaseModel):
    """Varies the tasks of `child`: replaces the value at each dotted path with a value from its bucket.

    If the child is finite and no bucket is a `Span`, the tasks are all combinations of values. Otherwise the generator
    is endless and draws each value uniformly from its bucket, independently of the other buckets.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    kind: Literal["bucketed"] = "bucketed"
    child: AnyGenerator
    buckets: Annotated[dict[str, Bucket], Field(min_length=1), AfterValidator(_sorted)]
    """Dotted path into the child's configuration -> its possible values, or a `Span`; sorted by path."""
    label: str | None = None
    """The label of all tasks. None: the child's label, then ``path=value`` for each bucket of values."""

    def model_post_init(self, context: Any, /) -> None:
        """Checks that every path exists and accepts its values, so that errors appear before training.

        Raises:
            KeyError: If the configuration does not have a path.
            ValueError: If the configuration rejects a value.
        """
        seeds = np.zeros(1, np.int64)
        base = self.child.build(0, self.child.sample(seeds, np.random.default_rng(0))[0])
        for path, bucket in self.buckets.items():
            check_path(base, path)
            for value in (bucket.low, bucket.high) if isinstance(bucket, Span) else bucket:
                try:
                    with_values(base, {path: value})
                except (TypeError, ValueError) as error:
                    raise ValueError(
                        f"buckets[{path!r}]: expected values that the config accepts, got {value!r}; "
                        f"the config says: {error}"
                    ) from error

    @cached_property
    def own_axes(self) -> tuple[Axis, ...]:
        """The axes of the buckets, without the axes of the child."""
        return tuple(Axis(path, bucket) for path, bucket in self.buckets.items())

    @property
    def axes(self) -> tuple[Axis, ...]:
        return self._axes

    @property
    def num_tasks(self) -> int | None:
        return self._num_tasks

    @cached_property
    def _axes(self) -> tuple[Axis, ...]:
        return (*self.own_axes, *self.child.axes)

    @cached_property
    def _num_params(self) -> int:
        return num_params(self._axes)

    @cached_property
    def _value_labels(self) -> list[list[str]]:
        """The label of each value of each bucket.

        A label shows the value as it is written in a file. A value that is written as a list or a dict shows its index.
        """
        labels = []
        for path, bucket in self.buckets.items():
            values = [] if isinstance(bucket, Span) else [canonical(value) for value in bucket]
            texts = [f"#{i}" if isinstance(value, list | dict) else str(value) for i, value in enumerate(values)]
            labels.append([f"{path}={text}" for text in texts])
        return labels

    @cached_property
    def _num_tasks(self) -> int | None:
        sizes = [len(bucket) for bucket in self.buckets.values() if not isinstance(bucket, Span)]
        if self.child.num_tasks is None or len(sizes) < len(self.buckets):
            return None
        count = prod(sizes) * int(self.child.num_tasks)
        return count if count < 2**62 else None  # seeds cannot number more tasks: treat them as endless

    def sample(self, seeds: NDArray[np.int64], rng: np.random.Generator) -> Params:
        num_own = len(self.own_axes)
        params = np.empty((len(seeds), self._num_params))
        combinations = seeds // (self.child.num_tasks or 1)
        for column, bucket in enumerate(self.buckets.values()):
            if isinstance(bucket, Span):
                params[:, column] = bucket.sample(len(seeds), rng)
            elif self.num_tasks is None:
                params[:, column] = rng.integers(len(bucket), size=len(seeds))
            else:
                combinations, params[:, column] = np.divmod(combinations, len(bucket))
        params[:, num_own:] = self.child.sample(local_seeds(seeds, self.child), rng)
        return params

    def mutate(self, seeds: NDArray[np.int64], params: Params, rng: np.random.Generator) -> Params:
        """Changes one axis of each task, by a step along a span or to another choice.

        An endless child changes its own params. The params of a finite child, or of a child that cannot mutate, stay
        the same.
        """
        mutated, num_own, child = params.copy(), len(self.own_axes), self.child
        is_deep = child.num_tasks is None and isinstance(child, MutableTaskGenerator)
        columns = rng.integers(self._num_params if is_deep else num_own, size=len(seeds))
        for column, axis in enumerate(self.own_axes):
            (chosen,) = np.nonzero(columns == column)
            mutated[chosen, column] = stepped(axis, params[chosen, column], rng)
        (chosen,) = np.nonzero(columns >= num_own)
        if len(chosen):
            mutated[chosen, num_own:] = child.mutate(seeds[chosen], params[chosen, num_own:], rng)
        return mutated

    def label_of(self, seed: int, params: Params) -> str:
        if self.label is not None:
            return self.label
        num_own = len(self.own_axes)
        parts = [self.child.label_of(local_seeds(seed, self.child), params[num_own:])]
        own = zip(self._value_labels, params[:num_own].tolist(), strict=True)
        parts += [labels[int(param)] for labels, param in own if labels]
        return ",".join(part for part in parts if part)

    def build(self, seed: int, params: Params) -> AnyConfig:
        num_own = len(self.own_axes)
        base = self.child.build(local_seeds(seed, self.child), params[num_own:])
        values = zip(self.own_axes, params[:num_own].tolist(), strict=True)
        return with_values(base, {axis.name: axis.decode(param) for axis, param in values})
