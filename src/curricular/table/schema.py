"""What a table is made of: events, labels, counters, rows, distribution; and a patch to it. NumPy only."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..arrays import Columns
from ..config import ROUNDING
from ..rows import PatchedRows, Rows, TaskState

SCHEDULED, CANCELLED, TOLD, TOLD_WITH_REGRET = 0, 1, 2, 3
"""Kinds of event: handed out, nothing will come back, a score came back, a score and a regret came back."""


EVENT = np.dtype([("task_id", "i8"), ("kind", "i8"), ("score", "f8"), ("regret", "f8")])
"""One entry of an event log. `score` is in the user's units."""


GROUP_EVENT = np.dtype([*EVENT.descr, ("size", "i8"), ("square", "f8"), ("success", "f8")])
"""One result of several scores that are exchangeable, such as the rollouts of one prompt: `score` is their mean, in the
user's units, `size` their number, `square` the mean of their squares, scaled to [0, 1], and `success` the share of
successes. An event of another kind has a `size` of 1."""


MAX_LABELS = 64
"""Labels that get statistics of their own; all further ones share index 0, "other"."""


MAX_REGRET = 1e290
"""Regrets beyond it count as so much in sums, which stay finite."""


MAX_LABEL_BYTES = 96
"""A label longer than this in UTF-8 counts as "other"."""


LABEL = np.dtype(
    [
        ("name", f"S{MAX_LABEL_BYTES}"),
        ("num_scheduled", "i8"),
        ("num_completed", "i8"),
        ("num_evicted", "i8"),
        ("chance", "f8"),
        ("num_recent", "i8"),
        ("recent_score", "f8"),
        ("recent_regret", "f8"),
    ]
)
"""One label: all-time counts; its share in the distribution in use; and, since that came into use, the results of its
tasks, the sum of their scores, scaled to [0, 1], and the sum of the regrets that came with them."""


_LABEL_COLUMNS = {f"label_{name}": name for name in LABEL.names or () if name != "name"}


EMAS = ("fast_ema", "middle_ema_1", "middle_ema_2", "middle_ema_3", "slow_ema")
"""Averages of the score in a row, by falling rate."""


class Counters(NamedTuple):
    """All-time counts over the pool. scheduled + unsolicited = told + cancelled + stale + pending, at any moment."""

    num_created: int = 0
    num_evicted: int = 0
    num_scheduled: int = 0
    num_completed: int = 0
    num_cancelled: int = 0
    num_stale: int = 0
    """Results for tasks that had been evicted: counted, credited to nobody."""
    num_unsolicited: int = 0
    """Results and cancellations beyond the hand-outs, an evaluation say."""
    num_pending: int = 0
    num_labels: int = 1
    num_refreshed_endings: int = 0
    """Hand-outs that had ended (told, stale or cancelled) when the distribution in use was computed."""
    num_refreshed_scheduled: int = 0
    """Hand-outs when the distribution in use was computed."""
    num_refreshes: int = 0
    num_restores: int = 0
    num_streams: int = 0
    """Streams of random numbers issued to processes."""
    epoch: int = 0
    """Goes up by one with each new distribution."""

    @property
    def num_results(self) -> int:
        """Results that came back, for active and for evicted tasks."""
        return self.num_completed + self.num_stale

    @property
    def num_endings(self) -> int:
        """Results and cancellations that came back."""
        return self.num_completed + self.num_stale + self.num_cancelled


@dataclass(frozen=True, slots=True)
class Table:
    """The arrays of one pool: read-only to the functions here."""

    rows: Rows
    """One a slot."""
    labels: NDArray[np.void]
    """Shape (MAX_LABELS,), dtype `LABEL`."""
    counters: Counters
    cumulated: NDArray[np.float64]
    """The distribution in use, as a running sum, shape (capacity,)."""


@dataclass(frozen=True, slots=True)
class Patch:
    """A change to the table, as new images: of some rows, the labels, the counters, and perhaps the distribution."""

    slots: NDArray[np.int64]
    """Distinct slots, shape (k,)."""
    rows: Rows
    """Their new rows."""
    labels: NDArray[np.void]
    counters: Counters
    cumulated: NDArray[np.float64] | None = None
    """The distribution to use from now on, shape (capacity,); None: as before."""


@dataclass(frozen=True, slots=True)
class Estimator:
    """How the averages in a row are kept."""

    rates: tuple[float, ...]
    """Of the averages in `EMAS`."""
    score_low: float
    score_scale: float
    """High end minus low end of the score range."""
    success_threshold: float
    random_baseline: float
    """Where a task's baseline starts; fixed if `num_baseline_samples` is 0."""
    num_baseline_samples: int
    """Completions whose mean is the baseline."""


def as_groups(events: NDArray[np.void], estimator: Estimator) -> NDArray[np.void]:
    """Returns `events`, dtype `EVENT`, shape (n,), as groups of one score each."""
    groups = np.empty(len(events), GROUP_EVENT)
    for name in EVENT.names or ():
        groups[name] = events[name]
    scaled = ((events["score"] - estimator.score_low) / estimator.score_scale).clip(0.0, 1.0)
    groups["size"], groups["square"] = 1, scaled * scaled
    groups["success"] = events["score"] >= estimator.success_threshold - ROUNDING * estimator.score_scale
    return groups


def empty_table(capacity: int, num_axes: int) -> Table:
    """A table of `capacity` inactive rows, with the label "other"."""
    labels = np.zeros(MAX_LABELS, LABEL)
    labels["name"][0] = b"other"
    return Table(Rows.zeros(capacity, num_axes), labels, Counters(), np.linspace(0, 1, capacity + 1)[1:])


def copy_table(table: Table) -> Table:
    """A copy that shares nothing with `table`."""
    return Table(Rows(table.rows.words.copy()), table.labels.copy(), table.counters, table.cumulated.copy())


class TableColumns(Mapping[str, NDArray[Any]]):
    """The columns of a table by name, read when they are asked for and kept; none can be written into."""

    __slots__ = ("_columns", "_table")

    def __init__(self, table: Table) -> None:
        self._table = table
        self._columns: dict[str, NDArray[Any]] = {}

    def __getitem__(self, name: str) -> NDArray[Any]:
        if name not in self._columns:
            if name in TaskState.model_fields:
                column = self._table.rows[name]
            else:
                column = self._table.labels[_LABEL_COLUMNS[name]]
            column.flags.writeable = False
            self._columns[name] = column
        return self._columns[name]

    def __iter__(self) -> Iterator[str]:
        return iter((*TaskState.model_fields, *_LABEL_COLUMNS))

    def __len__(self) -> int:
        return len(TaskState.model_fields) + len(_LABEL_COLUMNS)


def columns_of(table: Table) -> Columns:
    """Returns the columns that an algorithm sees: views into `table` where nothing has to be converted, read-only."""
    return TableColumns(table)


class Draft:
    """Changes to a table that are not committed yet, as one table and one patch."""

    def __init__(self, table: Table) -> None:
        self.table = table
        """The table with the changes so far."""
        self.patch: Patch | None = None
        """The changes so far, against the table at the beginning; None: there are none."""
        self._base = table

    def add(self, patch: Patch) -> None:
        """Makes one more change, a patch to `table`."""
        rows = self.table.rows
        self.patch = patch if self.patch is None else _joined(self.patch, patch, len(rows))
        if len(patch.slots):
            rows = PatchedRows(self._base.rows, self.patch.slots, self.patch.rows)
        cumulated = self._base.cumulated if self.patch.cumulated is None else self.patch.cumulated
        self.table = Table(rows, self.patch.labels, self.patch.counters, cumulated)


def _joined(first: Patch, second: Patch, capacity: int) -> Patch:
    """The patch that does what `first` and then `second` do."""
    cumulated = first.cumulated if second.cumulated is None else second.cumulated
    if not len(second.slots):
        return Patch(first.slots, first.rows, second.labels, second.counters, cumulated)
    is_kept = np.ones(capacity, np.bool_)
    is_kept[second.slots] = False
    (kept,) = np.nonzero(is_kept.take(first.slots))
    slots = np.concatenate([first.slots[kept], second.slots])
    words = np.concatenate([first.rows.words[:, kept], second.rows.words], axis=1)
    return Patch(slots, Rows(words), second.labels, second.counters, cumulated)
