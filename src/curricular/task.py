"""What a user sees of a task: the hand-out (`Task`), and the axes that its params run along."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

ConfigT = TypeVar("ConfigT")


Params = NDArray[np.float64]
"""Axis values of tasks, shape (n, num_params) or (num_params,); a choice is stored as its index."""


@dataclass(frozen=True, slots=True)
class Task(Generic[ConfigT]):
    """One task as it is handed out: an id to tell the score to, and what the environment is built or reset from."""

    task_id: int
    """What the score is told to."""
    config: ConfigT
    """What the environment is built or reset from. Kept and handed out again, so read-only."""
    label: str = ""
    """Group for the per-label statistics."""
    params: Mapping[str, Any] = field(default_factory=dict)
    """Axis name -> value, for example ``{"size": 9}``."""

    @property
    def _task_id(self) -> int:
        """The id, under the name of the reference document; the only alias in the library."""
        return self.task_id


@dataclass(frozen=True, slots=True)
class Span:
    """An interval to draw from: whole numbers low … high, both included, if both ends are ints; else [low, high).

    Raises `ValueError` if it is upside down or not finite, or if a whole number is beyond 2**53.
    """

    low: int | float
    high: int | float

    def __post_init__(self) -> None:
        for name, end in (("low", self.low), ("high", self.high)):
            if isinstance(end, np.generic):
                object.__setattr__(self, name, end.item())
        if not (np.isfinite(self.low) and np.isfinite(self.high) and self.low < self.high):
            raise ValueError(
                f"Span: expected finite low < high, got low={self.low!r}, high={self.high!r}; swap or widen the ends"
            )
        if self.is_integer and max(abs(self.low), abs(self.high)) > 2**53:
            raise ValueError(f"Span: expected whole numbers within ±2**53, got {self!r}; narrow the ends")

    @property
    def is_integer(self) -> bool:
        """Whether values are whole numbers."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    def sample(self, n: int, rng: np.random.Generator) -> NDArray[np.float64]:
        """`n` values, shape (n,), uniform over the span."""
        if self.is_integer:
            return rng.integers(int(self.low), int(self.high), size=n, endpoint=True).astype(np.float64)
        return rng.uniform(self.low, self.high, size=n)


@dataclass(frozen=True, slots=True)
class Axis:
    """One dimension along which a generator's tasks differ: a column of their params, and those of its branches.

    Examples:
        >>> maze, arena = Axis("size", Span(5, 15)), Axis("rivals", (1, 2, 4))
        >>> num_params((Axis("kind", ("maze", "arena", "hall"), branches=((maze,), (arena,), ())),))
        2
    """

    name: str
    values: tuple[Any, ...] | Span
    """The choices, or the interval."""
    branches: tuple[tuple["Axis", ...], ...] = ()
    """For each choice, the axes of the tasks with this choice alone, as a member of a merged set has its own; () for
    none at all. The branches share the columns after the axis's own, so a row is as wide as the widest branch needs;
    what a narrower one leaves over is 0."""

    def __post_init__(self) -> None:
        num_choices = 0 if isinstance(self.values, Span) else len(self.values)
        if not isinstance(self.values, Span) and not num_choices:
            raise ValueError(f"Axis {self.name!r}: expected a Span or at least one choice, got none; add one")
        if self.branches and len(self.branches) != num_choices:
            raise ValueError(
                f"Axis {self.name!r}: expected one branch for each of its {num_choices} choices, got "
                f"{len(self.branches)}; give () to a choice without axes of its own"
            )

    @property
    def num_columns(self) -> int:
        """Columns of params that the axis takes, with those of its branches."""
        return 1 + max(map(num_params, self.branches), default=0)

    @property
    def bounds(self) -> tuple[float, float, bool]:
        """The lowest and the highest param, and whether params are whole numbers."""
        if isinstance(self.values, Span):
            return self.values.low, self.values.high, self.values.is_integer
        return 0, len(self.values) - 1, True

    @property
    def range_text(self) -> str:
        """What params can be, for messages."""
        if isinstance(self.values, Span):
            return f"from {self.values.low} to {self.values.high}"
        return f"the number of one of {len(self.values)} choices"

    def decode(self, param: float) -> Any:
        """The value that `param`, as stored in a row, stands for."""
        if isinstance(self.values, Span):
            return int(param) if self.values.is_integer else param
        return self.values[int(param)]


def num_params(axes: tuple[Axis, ...]) -> int:
    """How many columns the params of tasks with `axes` have."""
    return sum(axis.num_columns for axis in axes)


def all_axes(axes: tuple[Axis, ...]) -> Iterator[Axis]:
    """`axes`, each before those of its branches."""
    for axis in axes:
        yield axis
        for branch in axis.branches:
            yield from all_axes(branch)
