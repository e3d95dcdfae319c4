"""What a user sees of a task: the hand-out (`Task`) and the axes of its params."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

ConfigT = TypeVar("ConfigT")


Params = NDArray[np.float64]
"""Values of tasks on their axes, shape (n, num_params) or (num_params,).

A choice is stored as its index, and a value of a `Span` with `log` as its natural logarithm."""


@dataclass(frozen=True, slots=True)
class Task(Generic[ConfigT]):
    """One task as it is handed out: the configuration to run, and the id under which to tell its score."""

    task_id: int
    """The id under which the user tells the score."""
    config: ConfigT
    """What the environment is built or reset from. It belongs to the caller: a change to it changes nothing else."""
    label: str = ""
    """The group of the task in the per-label statistics."""
    params: Mapping[str, Any] = field(default_factory=dict)
    """Axis name -> value, for example ``{"size": 9}``."""

    @property
    def _task_id(self) -> int:
        """`task_id` under its name in the reference document; the only alias in the library."""
        return self.task_id


class Batch(NamedTuple):
    """Hand-outs with tickets, as arrays of length n."""

    tickets: NDArray[np.int64]
    """The ticket of each hand-out, under which its result is told: a positive number that identifies the hand-out."""
    task_ids: NDArray[np.int64]
    """The id of each task."""
    seeds: NDArray[np.int64]
    """The seed of each task; of a finite generator, the number of the task, such as the row of a data set."""
    params: Params
    """The params of each task, shape (n, num_params). ``generator.build(seed, params)`` is its configuration."""
    probabilities: NDArray[np.float64]
    """The probability with which each task was drawn; 1 for a task that was asked for."""
    is_trained_on: NDArray[np.bool_]
    """Whether to train on each hand-out. False: only play it, so that its result ranks the task (robust replay)."""


@dataclass(frozen=True, slots=True)
class Span:
    """An interval of values: whole numbers from low to high, both included, if both ends are ints; else [low, high).

    If both ends are equal, the span is that constant. With `log`, the logarithms of the values are uniform, so that
    every order of magnitude is drawn equally often.

    Raises:
        TypeError: If an end is not a number.
        ValueError: If an end or the width is not finite, `low` is above `high`, a whole number is beyond ±2**53, or
            `low` is not positive although `log` is set.

    Examples:
        >>> rates = Span(1e-4, 1e-1, log=True)
        >>> params = rates.sample(10_000, np.random.default_rng(0))
        >>> round(sum(rates.decode(param) < 1e-3 for param in params) / 10_000, 2)
        0.33
    """

    low: int | float
    high: int | float
    log: bool = False

    def __post_init__(self) -> None:
        for name, end in (("low", self.low), ("high", self.high)):
            if isinstance(end, np.generic):
                object.__setattr__(self, name, end.item())
            if isinstance(end, bool | np.bool) or not isinstance(getattr(self, name), int | float):
                raise TypeError(f"Span: expected two numbers, got {name}={end!r}; give ints or floats")
        if not (self.low <= self.high and _is_finite(self.low, self.high)):
            raise ValueError(
                f"Span: expected finite low <= high, got low={self.low!r}, high={self.high!r}; swap or move the ends"
            )
        if self.is_integer and max(abs(self.low), abs(self.high)) > 2**53:
            raise ValueError(f"Span: expected whole numbers within ±2**53, got {self!r}; narrow the ends")
        if self.log and self.low <= 0:
            raise ValueError(f"Span: expected low > 0 for log=True, got low={self.low!r}; raise it or drop log")

    @property
    def is_integer(self) -> bool:
        """Whether the values are whole numbers."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    @property
    def bounds(self) -> tuple[float, float, bool]:
        """The lowest and the highest param, and whether the params are whole numbers.

        A param is the value itself, or with `log` its natural logarithm. Whole numbers with `log` are rounded from
        params that reach half a unit further than the ends.
        """
        if not self.log:
            return self.low, self.high, self.is_integer
        margin = 0.5 if self.is_integer else 0.0
        return math.log(self.low - margin), math.log(self.high + margin), False

    def sample(self, n: int, rng: np.random.Generator) -> NDArray[np.float64]:
        """Draws the params of `n` values uniformly from the span, shape (n,)."""
        low, high, is_whole = self.bounds
        if is_whole:
            return rng.integers(int(low), int(high), size=n, endpoint=True).astype(np.float64)
        return np.minimum(rng.uniform(low, high, size=n), np.nextafter(high, low))

    def decode(self, param: float) -> int | float:
        """Converts `param`, as stored in a row, to its value."""
        value: int | float = self.decode_all(np.array([param])).item()
        return value

    def decode_all(self, params: NDArray[np.float64]) -> NDArray[Any]:
        """Converts `params`, as stored in rows, to their values: whole numbers or floats, shape (n,).

        Args:
            params: Shape (n,); with `log`, those beyond the ends count as the ends.
        """
        values = params
        if self.log:
            low, high, _ = self.bounds
            # `np.exp` gives other last bits on some processors; all processes have to build the same tasks.
            values = np.fromiter(map(math.exp, params.clip(low, high).tolist()), np.float64, len(params))
            last = self.high if self.is_integer else math.nextafter(self.high, self.low)
            values = np.minimum(np.maximum(values.round() if self.is_integer else values, self.low), last)
        return values.astype(np.int64) if self.is_integer else values


def _is_finite(low: float, high: float) -> bool:
    """Returns whether the ends and the width of a span are finite floats."""
    try:
        return math.isfinite(low) and math.isfinite(high) and math.isfinite(high - low)
    except OverflowError:
        return False


@dataclass(frozen=True, slots=True)
class Axis:
    """One dimension along which the tasks of a generator differ: a column of params, plus the columns of its branches.

    Raises:
        ValueError: If there are no choices, or the number of branches differs from the number of choices.

    Examples:
        >>> maze, arena = Axis("size", Span(5, 15)), Axis("rivals", (1, 2, 4))
        >>> num_params((Axis("kind", ("maze", "arena", "hall"), branches=((maze,), (arena,), ())),))
        2
    """

    name: str
    values: tuple[Any, ...] | Span
    """The choices, at least one, or an interval."""
    branches: tuple[tuple["Axis", ...], ...] = ()
    """The further axes of the tasks with each choice, for example the axes of each member of a merged set.

    There is one branch for each choice; () stands for no further axes. All branches share the columns after the axis,
    which are as many as the widest branch needs. The columns that a narrower branch leaves unused are 0."""

    def __post_init__(self) -> None:
        num_choices = 0 if isinstance(self.values, Span) else len(self.values)
        if not isinstance(self.values, Span) and not num_choices:
            raise ValueError(f"Axis {self.name!r}: expected a Span or at least one choice, got none; add one")
        if self.branches and len(self.branches) != num_choices:
            raise ValueError(
                f"Axis {self.name!r}: expected one branch for each of its {num_choices} choices, got "
                f"{len(self.branches)}; give () to a choice without further axes"
            )

    @property
    def num_columns(self) -> int:
        """The number of columns of params that the axis takes, including the columns of its branches."""
        return 1 + max(map(num_params, self.branches), default=0)

    @property
    def bounds(self) -> tuple[float, float, bool]:
        """The lowest and the highest param, and whether the params are whole numbers."""
        if isinstance(self.values, Span):
            return self.values.bounds
        return 0, len(self.values) - 1, True

    @property
    def range_text(self) -> str:
        """The range of the params in words, for messages."""
        if isinstance(self.values, Span):
            low, high, is_whole = self.values.bounds
            kind = "a whole number " if is_whole else "the natural logarithm of a value, " if self.values.log else ""
            return f"{kind}from {low} to {high}"
        return f"the number of one of {len(self.values)} choices, from 0"

    def decode(self, param: float) -> Any:
        """Converts `param`, as stored in a row, to its value."""
        if isinstance(self.values, Span):
            return self.values.decode(param)
        return self.values[int(param)]


def num_params(axes: tuple[Axis, ...]) -> int:
    """Returns the number of columns in the params of tasks with `axes`."""
    return sum(axis.num_columns for axis in axes)


def all_axes(axes: tuple[Axis, ...]) -> Iterator[Axis]:
    """Yields `axes`, each before the axes of its branches."""
    return (axis for _, axis in by_column(axes))


def by_column(axes: tuple[Axis, ...], first: int = 0) -> Iterator[tuple[int, Axis]]:
    """Yields `axes`, each before the axes of its branches, with the column of its params, counted from `first`.

    Examples:
        >>> [(column, axis.name) for column, axis in by_column((Axis("size", (5, 9)), Axis("speed", Span(0.0, 1.0))))]
        [(0, 'size'), (1, 'speed')]
    """
    for axis in axes:
        yield first, axis
        for branch in axis.branches:
            yield from by_column(branch, first + 1)
        first += axis.num_columns
