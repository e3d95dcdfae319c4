"""What a user sees of a task: the hand-out (`Task`), and the axes that its params run along."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

ConfigT = TypeVar("ConfigT")


Params = NDArray[np.float64]
"""Axis values of tasks, shape (n, num_axes) or (num_axes,); a choice is stored as its index."""


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
    """One dimension along which a generator's tasks differ: one column of its params."""

    name: str
    values: tuple[Any, ...] | Span
    """The choices, or the interval."""
    where: tuple[tuple[int, int], ...] = ()
    """The (column, choice) pairs that must all hold for the axis to apply: an axis of one member of a merged set."""

    def __post_init__(self) -> None:
        if not isinstance(self.values, Span) and not len(self.values):
            raise ValueError(f"Axis {self.name!r}: expected a Span or at least one choice, got none; add one")

    def contains(self, params: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Which of `params`, as stored in rows, stand for a value of the axis; bool, shape of `params`."""
        if isinstance(self.values, Span):
            low, high, is_whole = self.values.low, self.values.high, self.values.is_integer
        else:
            low, high, is_whole = 0, len(self.values) - 1, True
        is_inside: NDArray[np.bool_] = (params >= low) & (params <= high)
        return is_inside & (params == params.round()) if is_whole else is_inside

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

    def moved(self, columns: int, *where: tuple[int, int]) -> "Axis":
        """This axis after `columns` further ones are put before it, applying only `where`."""
        return Axis(self.name, self.values, (*where, *((column + columns, choice) for column, choice in self.where)))


def decode_params(axes: tuple[Axis, ...], params: Params) -> dict[str, Any]:
    """Axis name -> value for the axes that apply to a task with `params`, shape (len(axes),)."""
    return {
        axis.name: axis.decode(param)
        for axis, param in zip(axes, params.tolist(), strict=True)
        if all(params[column] == choice for column, choice in axis.where)
    }
