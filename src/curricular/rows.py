"""What is stored of a task: `TaskState` declares a row once, `Rows` holds many as columns."""

from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import BaseModel, ConfigDict


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
    num_failures: int
    """Cancellations of this task since its last score."""
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


VERSION = 1
"""Version of what is stored of a task, and so of states, checkpoints and session files."""

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


class PatchedRows(Rows):
    """`base` with `rows` in place of those in `slots`: a view for reading, which copies a column when it is read."""

    __slots__ = ("_base", "_changed", "_slots")

    def __init__(self, base: Rows, slots: NDArray[np.int64], rows: Rows) -> None:
        self._base, self._slots, self._changed = base, slots, rows
        if (slots[1:] < slots[:-1]).any():
            order = slots.argsort()
            self._slots, self._changed = slots.take(order), rows.take(order)

    def __len__(self) -> int:
        return len(self._base)

    @property
    def num_axes(self) -> int:
        return self._base.num_axes

    def __getitem__(self, name: str) -> NDArray[Any]:
        column = self._base[name].copy()
        column[self._slots] = self._changed[name]
        return column

    def take(self, slots: NDArray[np.int64]) -> Rows:
        taken = self._base.take(slots)
        if len(self._slots):
            index = self._slots.searchsorted(slots).clip(max=len(self._slots) - 1)
            (changed,) = np.nonzero(self._slots.take(index) == slots)
            taken.put(changed, self._changed.take(index.take(changed)))
        return taken
