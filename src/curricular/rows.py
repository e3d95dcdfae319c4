"""The stored state of tasks: `TaskState` declares a row, `Rows` holds many rows as columns."""

from functools import cache
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import BaseModel, ConfigDict


class TaskState(BaseModel):
    """One row of the table: the stored state of a task. Dtypes, columns, checkpoints and docs derive from this class.

    Averages are debiased (the first value is the first observation) and taken over scores scaled to [0, 1] from the
    declared range. A task with ``num_completions == 0`` has no averages yet: its fields hold 0.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    task_id: int
    """Id of the task: its slot is ``task_id % capacity``, and its successor in the slot is ``task_id + capacity``."""
    creation_time: float
    """Time at which the task entered the pool, in seconds since the epoch."""
    is_active: bool
    """Whether the slot holds a task, which can be drawn."""
    num_completions: int
    """Number of scores told for the task."""
    fast_ema: float
    """Average of the score at rate ``ema_timescale``."""
    slow_ema: float
    """Average of the score at rate ``ema_timescale * slow_timescale_factor``."""
    success_threshold: float
    """Lowest score that counted as a success at the last result, in the user's units."""
    seed: int
    """Seed from which, with `params`, the generator builds the task."""
    num_scheduled: int
    """Number of hand-outs of the task."""
    num_cancelled: int
    """Number of hand-outs of the task that were cancelled."""
    num_failures: int
    """Number of hand-outs of the task that were cancelled since its last score. Those that a dead worker or node had
    out count once."""
    num_pending: int
    """Number of hand-outs of the task that are not told or cancelled yet."""
    num_orphans: int
    """Number of orphans: hand-outs of evicted predecessors in the slot that are not told or cancelled yet."""
    last_scheduled: int
    """Hand-outs of the whole pool up to the task's last one, or up to its admission; staleness counts from it."""
    last_completed: int
    """Results of the whole pool that were told and credited, up to the task's last one; 0 without results."""
    mean_square: float
    """Average of the squared score at the slow rate."""
    success_ema: float
    """Average of success (0 or 1) at the slow rate: the success rate."""
    middle_ema_1: float
    """Average of the score at the first of three rates between the fast and the slow one, spaced geometrically."""
    middle_ema_2: float
    """Average of the score at the second of these rates."""
    middle_ema_3: float
    """Average of the score at the third of these rates."""
    random_baseline: float
    """Score of a random policy, scaled to [0, 1]: fixed, or the mean of the task's first scores."""
    last_score: float
    """Last score told, scaled to [0, 1]."""
    recent_scores_1: int
    """Oldest four of the last 12 scores told, scaled to 0 … 65,535: 16 bits each, the newest in the lowest bits. A
    score that was never told is 0."""
    recent_scores_2: int
    """Middle four of the last 12 scores, likewise."""
    recent_scores_3: int
    """Newest four of the last 12 scores, likewise."""
    num_regrets: int
    """Number of results of the task that were told with a regret."""
    last_regret: float
    """Last regret told."""
    label_index: int
    """Index of the task's label, by first occurrence. Index 0 is "(other)", which labels after the first 63 share."""
    params: tuple[float, ...] = ()
    """Value of the task on each of the generator's axes; a choice is stored as its index."""


VERSION = 1
"""Version of the row format, and so of states, checkpoints and session files."""


RECENT_SCORES = ("recent_scores_1", "recent_scores_2", "recent_scores_3")
"""Names of the fields that hold the last 12 scores, oldest first."""


RECENT_SCORE_BITS = 16
"""Bits per score in `RECENT_SCORES`, which keep it to within 1 / (2 · 65,535)."""


RECENT_SCORE_ONE = 2**RECENT_SCORE_BITS - 1
"""Stored value of a score of 1 in `RECENT_SCORES`."""


_SCALARS: dict[Any, type[np.generic]] = {int: np.int64, float: np.float64, bool: np.bool_}


_FIELDS = {
    name: (index, _SCALARS[info.annotation])
    for index, (name, info) in enumerate(TaskState.model_fields.items())
    if name != "params"
}


NUM_WORDS = len(_FIELDS)
"""Number of eight-byte words in a row, params excluded."""


@cache
def indices_of(names: tuple[str, ...]) -> NDArray[np.int64]:
    """Returns the index of the word of each of the fields `names`, shape (len(names),)."""
    return np.array([_FIELDS[name][0] for name in names])


class Rows:
    """The states of n tasks as columns, one eight-byte word per field and task.

    ``rows[name]`` is the column of a field of `TaskState`, shape (n,): a view into the words, except for `is_active`,
    which is a copy. ``rows["params"]`` is a view of shape (n, num_axes).

    Args:
        words: Shape (NUM_WORDS + num_axes, n).
    """

    __slots__ = ("words",)

    def __init__(self, words: NDArray[np.int64]) -> None:
        self.words: NDArray[np.int64] = words
        """Words of all fields, then of all params, shape (NUM_WORDS + num_axes, n)."""

    @classmethod
    def zeros(cls, n: int, num_axes: int) -> "Rows":
        """Returns the rows of `n` inactive tasks."""
        return cls(np.zeros((NUM_WORDS + num_axes, n), np.int64))

    def __len__(self) -> int:
        return int(self.words.shape[1])

    @property
    def num_axes(self) -> int:
        """Number of params per task."""
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

    def read(self, names: tuple[str, ...]) -> NDArray[np.int64]:
        """Returns a copy of the words of the fields `names`, shape (len(names), n)."""
        return self.words.take(indices_of(names), axis=0)

    def write(self, names: tuple[str, ...], words: NDArray[np.int64]) -> None:
        """Writes `words`, shape (len(names), n), into the fields `names`."""
        self.words[indices_of(names)] = words

    def take(self, slots: NDArray[np.int64]) -> "Rows":
        """Returns a copy of the rows in `slots`, shape (k,)."""
        return Rows(self.words.copy() if self._are_all(slots) else self.words.take(slots, axis=1))

    def put(self, slots: NDArray[np.int64], rows: "Rows") -> None:
        """Writes `rows` into the distinct `slots`, shape (k,)."""
        self.words[:, slice(None) if self._are_all(slots) else slots] = rows.words

    def _are_all(self, slots: NDArray[np.int64]) -> bool:
        """Returns whether `slots` are all slots in order, whose rows are copied several times as fast as others."""
        n = self.words.shape[1]
        if len(slots) != n:
            return False
        return not n or bool(slots[0] == 0 and slots[-1] == n - 1 and (slots[1:] > slots[:-1]).all())

    def state(self, slot: int) -> TaskState:
        """Returns the row in `slot` as a `TaskState`."""
        return self.states(np.array([slot]))[0]

    def states(self, slots: NDArray[np.int64]) -> list[TaskState]:
        """Returns the rows in `slots`, shape (k,), as `TaskState`s."""
        rows = self.take(slots)
        columns = [rows[name].tolist() for name in _FIELDS]
        params = map(tuple, rows["params"].tolist())
        return [
            TaskState(**dict(zip(_FIELDS, values, strict=True)), params=row)
            for *values, row in zip(*columns, params, strict=True)
        ]


class PatchedRows(Rows):
    """A read-only view of `base` in which `rows` replace the rows in `slots`. Reading a column copies it.

    Args:
        base: The rows to look through to.
        slots: Distinct slots, shape (k,).
        rows: Replacements, k of them.
    """

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
