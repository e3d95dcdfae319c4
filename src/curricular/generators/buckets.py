"""`BucketedTaskGenerator`: the tasks of another generator, varied over buckets of values."""

from collections.abc import Iterator, Mapping
from functools import cached_property
from math import prod
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, ValidationInfo, model_validator

from ..task import Axis, Params, Span, num_params
from .bucket_values import Bucket, as_bucket, axis_of, columns_of, dump_bucket, labels_of, probes, read_bucket
from .copies import copied
from .mutation import stepped
from .paths import Steps, steps_of, with_values
from .protocol import MutableTaskGenerator, local_seeds
from .serial import AS_IS, FROM_FILE, AnyConfig, AnyGenerator

NUM_BASES = 16
"""Number of the child's tasks in which every path must exist."""

NUM_COMBINATIONS = 256
"""Number of combinations with which a value is tried that the configuration rejects on its own."""


def _as_buckets(data: Any, info: ValidationInfo) -> Any:
    """Returns the buckets sorted by path: their order determines the task of each seed, and files do not keep it."""
    if not isinstance(data, Mapping):
        return data
    if info.context == AS_IS:
        buckets = {path: as_bucket(path, bucket) for path, bucket in data.items()}
    else:
        is_from_file = info.context == FROM_FILE
        buckets = {path: read_bucket(path, bucket, is_from_file=is_from_file) for path, bucket in data.items()}
    return dict(sorted(buckets.items(), key=lambda pair: str(pair[0])))


def _dump_buckets(buckets: dict[str, Bucket]) -> dict[str, Any]:
    return {path: dump_bucket(path, bucket) for path, bucket in buckets.items()}


class BucketedTaskGenerator(BaseModel):
    """Varies the tasks of `child`: replaces the value at each dotted path with a value from its bucket.

    If the child is finite and no bucket contains a `Span`, the tasks are all combinations of values. Otherwise the
    generator is endless and draws each value uniformly from its bucket, independently of the other buckets. A `Span`
    among other values is drawn as often as each of these.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    kind: Literal["bucketed"] = "bucketed"
    child: AnyGenerator
    buckets: Annotated[
        dict[str, Bucket], Field(min_length=1), BeforeValidator(_as_buckets), PlainSerializer(_dump_buckets)
    ]
    """Dotted path into the child's configuration -> its possible values, or a `Span`; sorted by path."""
    label: str | None = None
    """The label of all tasks. None: the child's label, then ``path=value`` for each bucket of values."""

    @model_validator(mode="after")
    def _check_buckets(self) -> Self:
        """Checks that every path exists and accepts its values, so that errors appear before training.

        A value may be rejected in some combinations: the curriculum passes over tasks that cannot be built.

        Raises:
            KeyError: If the configuration does not have a path.
            ValueError: If the configuration rejects a value, alone and in all combinations tried.
        """
        bases = list(self._bases())
        for path, steps in self._steps.items():
            if any(steps_of(base, path) != steps for base in bases):
                raise KeyError(f"path: expected the same keys in all tasks, got {path!r}; rename keys with dots")
        trials = {path: probes(bucket) for path, bucket in self.buckets.items()}
        for path, values in trials.items():
            for value in values:
                error = _rejection(bases[0], {self._steps[path]: value})
                if error is not None and not self._fits_elsewhere(bases, path, value, trials):
                    raise ValueError(
                        f"buckets[{path!r}]: expected values that the config accepts, got {value!r}; "
                        f"the config says: {error}"
                    ) from error
        return self

    def _bases(self) -> Iterator[Any]:
        """Builds some tasks of the child, without those that cannot be built."""
        num_tasks = self.child.num_tasks
        last = NUM_BASES - 1 if num_tasks is None else num_tasks - 1
        seeds = np.unique([last * index // (NUM_BASES - 1) for index in range(NUM_BASES)])  # floats are too coarse
        num_built, failure = 0, None
        for seed, row in zip(seeds.tolist(), self.child.sample(seeds, np.random.default_rng(0)), strict=True):
            try:
                base = self.child.build(seed, row)
            except Exception as error:  # noqa: BLE001  a user's build may raise anything
                failure = error
            else:
                num_built += 1
                yield base
        if failure is not None and not num_built:
            raise failure

    def _fits_elsewhere(self, bases: list[Any], path: str, value: Any, trials: dict[str, list[Any]]) -> bool:
        """Returns whether the configuration accepts `value` at `path` in one of some random combinations."""
        rng = np.random.default_rng(0)
        for _ in range(NUM_COMBINATIONS):
            values = {self._steps[name]: options[rng.integers(len(options))] for name, options in trials.items()}
            if _rejection(bases[rng.integers(len(bases))], values | {self._steps[path]: value}) is None:
                return True
        return False

    @cached_property
    def _steps(self) -> dict[str, Steps]:
        """The steps of each path."""
        base = next(self._bases())
        return {path: steps_of(base, path) for path in self.buckets}

    @cached_property
    def own_axes(self) -> tuple[Axis, ...]:
        """The axes of the buckets, without the axes of the child."""
        return tuple(axis_of(path, bucket) for path, bucket in self.buckets.items())

    @cached_property
    def own_columns(self) -> list[int]:
        """The first column of each bucket's params, and then the number of columns before the child's params."""
        return columns_of(self.own_axes)

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
        """The label of each value of each bucket."""
        return [labels_of(path, bucket) for path, bucket in self.buckets.items()]

    @cached_property
    def _num_tasks(self) -> int | None:
        sizes = [len(axis.values) for axis in self.own_axes if not isinstance(axis.values, Span) and not axis.branches]
        if self.child.num_tasks is None or len(sizes) < len(self.buckets):
            return None
        count = prod(sizes) * int(self.child.num_tasks)
        return count if count < 2**62 else None  # seeds cannot number more tasks: treat them as endless

    def sample(self, seeds: NDArray[np.int64], rng: np.random.Generator) -> Params:
        num_own = self.own_columns[-1]
        params = np.zeros((len(seeds), self._num_params))
        combinations = seeds // (self.child.num_tasks or 1)
        for column, axis in zip(self.own_columns, self.own_axes, strict=False):
            if isinstance(axis.values, Span):
                params[:, column] = axis.values.sample(len(seeds), rng)
            elif self.num_tasks is None:
                params[:, column] = rng.integers(len(axis.values), size=len(seeds))
                _sample_branches(axis, params[:, column : column + axis.num_columns], rng)
            else:
                combinations, params[:, column] = np.divmod(combinations, len(axis.values))
        params[:, num_own:] = self.child.sample(local_seeds(seeds, self.child), rng)
        return params

    def mutate(self, seeds: NDArray[np.int64], params: Params, rng: np.random.Generator) -> Params:
        """Changes one axis of each task, by a step along a span or to another choice.

        An endless child changes its own params. The params of a finite child, or of a child that cannot mutate, stay
        the same.
        """
        mutated, num_own, child = params.copy(), self.own_columns[-1], self.child
        is_deep = child.num_tasks is None and isinstance(child, MutableTaskGenerator)
        columns = rng.integers(self._num_params if is_deep else num_own, size=len(seeds))
        for first, axis in zip(self.own_columns, self.own_axes, strict=False):
            for offset in range(axis.num_columns):
                (chosen,) = np.nonzero(columns == first + offset)
                own = slice(first, first + axis.num_columns)
                mutated[chosen, own] = _mutated(axis, params[chosen, own], rng, in_branch=offset > 0)
        (chosen,) = np.nonzero(columns >= num_own)
        if len(chosen):
            mutated[chosen, num_own:] = child.mutate(seeds[chosen], params[chosen, num_own:], rng)
        return mutated

    def label_of(self, seed: int, params: Params) -> str:
        if self.label is not None:
            return self.label
        parts = [self.child.label_of(local_seeds(seed, self.child), params[self.own_columns[-1] :])]
        own = zip(self._value_labels, self.own_columns, strict=False)
        parts += [labels[int(params[column])] for labels, column in own if labels]
        return ",".join(part for part in parts if part)

    def build(self, seed: int, params: Params) -> AnyConfig:
        num_own = self.own_columns[-1]
        base = self.child.build(local_seeds(seed, self.child), params[num_own:])
        own = params[:num_own].tolist()
        values = {}
        for axis, column in zip(self.own_axes, self.own_columns, strict=False):
            value = axis.decode(own[column])
            values[self._steps[axis.name]] = copied(value.decode(own[column + 1]) if isinstance(value, Span) else value)
        return with_values(base, values)


def _rejection(base: Any, values: dict[Steps, Any]) -> Exception | None:
    """Returns the error with which a configuration rejects `values`, or None if it accepts them."""
    try:
        with_values(base, values)
    except Exception as error:  # noqa: BLE001  a configuration may raise anything
        return error
    return None


def _sample_branches(axis: Axis, params: Params, rng: np.random.Generator) -> None:
    """Draws the params of the spans among the choices of `axis` into `params`, shape (n, num_columns)."""
    for choice, branch in enumerate(axis.branches):
        (chosen,) = np.nonzero(params[:, 0] == choice)
        span = branch[0].values if branch else None
        params[chosen, 1] = span.sample(len(chosen), rng) if isinstance(span, Span) else 0.0


def _mutated(axis: Axis, params: Params, rng: np.random.Generator, *, in_branch: bool) -> Params:
    """Returns params on `axis`, shape (n, num_columns), after a step; `in_branch`: within the spans among the choices.

    A task whose choice is no span gets another choice.
    """
    if not axis.branches:
        return stepped(axis, params[:, 0], rng)[:, None]
    mutated = params.copy()
    is_span = np.array([bool(branch) for branch in axis.branches])[params[:, 0].astype(np.int64)]
    (moved,) = np.nonzero(~is_span | (not in_branch))
    others = params[moved]
    others[:, 0] = stepped(axis, others[:, 0], rng)
    _sample_branches(axis, others, rng)
    mutated[moved] = others
    for choice, branch in enumerate(axis.branches):
        (stays,) = np.nonzero(is_span & in_branch & (params[:, 0] == choice))
        if branch and len(stays):
            mutated[stays, 1] = stepped(branch[0], params[stays, 1], rng)
    return mutated
