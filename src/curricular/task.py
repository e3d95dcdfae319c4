"""What a task is: the hand-out (`Task`), its row in the table (`TaskState`), and the axes its params run along."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import BaseModel, ConfigDict

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


class TaskState(BaseModel):
    """One row of the table. This class is *the* schema: dtype, columns, checkpoints and docs derive from it.

    Averages are debiased (the first value is the first observation) and run over the score scaled to [0, 1] by the
    declared range. A task with ``num_completions == 0`` has no averages yet, whatever the fields hold.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    task_id: int
    """Id; the slot is ``task_id % capacity``, the successor in the slot has id ``task_id + capacity``."""
    creation_time: float
    """Seconds since the epoch."""
    is_active: bool
    """Whether the task may be drawn."""
    num_completions: int
    """Scores told."""
    fast_ema: float
    """Average of the score at rate ``ema_timescale``."""
    slow_ema: float
    """Average of the score at rate ``ema_timescale * slow_timescale_factor``."""
    success_threshold: float
    """A score (in the user's units) from here on is a success."""
    seed: int
    """What the generator builds the task from, with `params`."""
    num_scheduled: int
    """Hand-outs of this task."""
    num_cancelled: int
    """Hand-outs that were cancelled."""
    num_pending: int
    """Hand-outs of this task not yet told or cancelled."""
    num_orphans: int
    """Hand-outs of evicted predecessors in this slot, not yet told or cancelled."""
    last_scheduled: int
    """The pool's `num_scheduled` right after this task's last hand-out; what staleness is measured by."""
    mean_square: float
    """Average of the squared score at the slow rate."""
    success_ema: float
    """Average of success (0 or 1) at the slow rate: the success rate."""
    middle_ema_1: float
    """Average of the score at the first of three rates between the fast and the slow one, spaced geometrically."""
    middle_ema_2: float
    """At the second."""
    middle_ema_3: float
    """At the third."""
    random_baseline: float
    """What a random policy scores, scaled to [0, 1]; fixed, or the mean of the first results."""
    last_score: float
    """The last score told, scaled to [0, 1]."""
    recent_scores_1: int
    """With the next two, the last 12 scores told, scaled to 0 … 65,535: 16 bits each, the newest in the lowest bits.
    These are the oldest four; scores that have not been told yet stand as 0."""
    recent_scores_2: int
    """The middle four."""
    recent_scores_3: int
    """The newest four."""
    num_regrets: int
    """Results that came with a regret."""
    last_regret: float
    """The last regret told."""
    label_index: int
    """Which label, in the order in which labels first came up; index 0 is "other", all beyond the first 63."""
    params: tuple[float, ...] = ()
    """Values of the generator's axes; a choice is stored as its index."""


RECENT_SCORES = ("recent_scores_1", "recent_scores_2", "recent_scores_3")
"""Fields that hold the last scores, oldest first."""

RECENT_SCORE_BITS = 16
"""Of each of these scores: they are known to within 1 / (2 · 65,535)."""

RECENT_SCORE_ONE = 2**RECENT_SCORE_BITS - 1
"""What a score of 1 is stored as."""

_SCALARS: dict[Any, type[np.generic]] = {int: np.int64, float: np.float64, bool: np.bool_}
_FIELDS = {
    name: (index, _SCALARS[info.annotation])
    for index, (name, info) in enumerate(TaskState.model_fields.items())
    if name != "params"
}
NUM_WORDS = len(_FIELDS)
"""Words of eight bytes in a row, without its params."""


class Rows:
    """The states of n tasks as columns: one 8-byte word a field and task, ``words`` of shape (NUM_WORDS + num_axes, n).

    ``rows[name]`` is the column of a field of `TaskState`, shape (n,); a view into the words, but for `is_active`.
    ``rows["params"]`` is a view of shape (n, num_axes).
    """

    __slots__ = ("words",)

    def __init__(self, words: NDArray[np.int64]) -> None:
        self.words: NDArray[np.int64] = words

    @classmethod
    def zeros(cls, n: int, num_axes: int) -> "Rows":
        """`n` inactive tasks."""
        return cls(np.zeros((NUM_WORDS + num_axes, n), np.int64))

    def __len__(self) -> int:
        return int(self.words.shape[1])

    @property
    def num_axes(self) -> int:
        """Params of each task."""
        return len(self.words) - NUM_WORDS

    def __getitem__(self, name: str) -> NDArray[Any]:
        if name == "params":
            return self.words[NUM_WORDS:].view(np.float64).T
        index, scalar = _FIELDS[name]
        column: NDArray[Any] = self.words[index]
        return column != 0 if scalar is np.bool_ else column.view(scalar)

    def __setitem__(self, name: str, values: ArrayLike) -> None:
        if name == "params":
            self.words[NUM_WORDS:].view(np.float64)[...] = np.asarray(values).T
        else:
            index, scalar = _FIELDS[name]
            self.words[index].view(np.int64 if scalar is np.bool_ else scalar)[...] = values

    def take(self, slots: NDArray[np.int64]) -> "Rows":
        """A copy of the rows in `slots`, shape (k,)."""
        return Rows(self.words.take(slots, axis=1))

    def put(self, slots: NDArray[np.int64], rows: "Rows") -> None:
        """Writes `rows` into `slots`, shape (k,), distinct."""
        self.words[:, slots] = rows.words

    def state(self, slot: int) -> TaskState:
        """The typed row in `slot`."""
        values = {name: self[name][slot].item() for name in _FIELDS}
        return TaskState(**values, params=tuple(self["params"][slot].tolist()))


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
