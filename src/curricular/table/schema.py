"""The parts of a table (counters, rows, labels, distribution), its events, and patches to it. NumPy only."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..arrays import Columns
from ..config import MAX_SCORE as MAX_SCORE
from ..config import MIN_WIDTH, ROUNDING, USUAL_MAX_OPEN
from ..params import FLAT, Layout
from ..rows import PatchedRows, Rows, TaskState


class Counters(NamedTuple):
    """All-time counts over the pool.

    At any moment, num_scheduled + num_unsolicited = num_completed + num_cancelled + num_stale + num_pending.
    """

    num_created: int = 0
    """Tasks that entered the pool."""
    num_evicted: int = 0
    """Tasks that left the pool."""
    num_scheduled: int = 0
    """Hand-outs."""
    num_completed: int = 0
    """Results told and credited to a task in the pool."""
    num_cancelled: int = 0
    """Hand-outs that were cancelled."""
    num_stale: int = 0
    """Results told for evicted tasks, and credited to no task."""
    num_unsolicited: int = 0
    """Results and cancellations without a hand-out, for example those of an evaluation."""
    num_pending: int = 0
    """Hand-outs that are not told or cancelled yet."""
    num_open: int = 0
    """Hand-outs with a ticket that are not ended yet: entries of the ledger."""
    num_repeated: int = 0
    """Tickets that were told or cancelled after their hand-out had ended; nothing else changed."""
    num_unknown: int = 0
    """Tickets of another life that were told or cancelled, as are those that ended before the last load; nothing else
    changed."""
    num_labels: int = 1
    """Label indices in use, that of `OTHER` included."""
    num_refreshed_endings: int = 0
    """Value of `num_endings` when the distribution in use was computed."""
    num_refreshed_scheduled: int = 0
    """Value of `num_scheduled` when the distribution in use was computed."""
    num_refreshes: int = 0
    """Distributions computed."""
    num_restores: int = 0
    """States loaded into the table."""
    num_rewrites: int = 0
    """Changes of params of tasks that keep their ids: by `Curriculum.set_params`, and by states loaded."""
    num_streams: int = 0
    """Streams of random numbers issued to processes."""
    epoch: int = 0
    """Number of refreshes, restores and rewrites."""
    life: int = 0
    """Random number of this life, the time since the start or the last restore; 0 until it issues a ticket."""
    num_tickets: int = 0
    """Numbers of tickets used up, over all lives that led here."""
    first_generation: int = 0
    """Tasks that enter the pool get ids of at least ``first_generation * capacity``. Ids below were issued before the
    last restore, perhaps by a life that was lost."""
    num_walks: int = 0
    """Walks over the pool that have ended, which choose the share `cover_share` of the hand-outs."""
    walk_start: int = 0
    """Value of `num_scheduled` when the walk in progress began."""
    walk_position: int = 0
    """Places of its permutation that the walk has passed, plus the capacity in a pass after the first one."""

    @property
    def num_active(self) -> int:
        """Number of tasks in the pool."""
        return self.num_created - self.num_evicted

    @property
    def num_results(self) -> int:
        """Results told, for active and for evicted tasks."""
        return self.num_completed + self.num_stale

    @property
    def num_endings(self) -> int:
        """Results told and hand-outs cancelled."""
        return self.num_completed + self.num_stale + self.num_cancelled


@dataclass(frozen=True, slots=True)
class Table:
    """One pool as a value. Functions of a table never write into it; they return a `Patch`."""

    rows: Rows
    """One row per slot, capacity of them."""
    labels: NDArray[np.void]
    """Statistics of the labels, shape (MAX_LABELS,), dtype `LABEL`."""
    counters: Counters
    """All-time counts."""
    cumulated: NDArray[np.float64]
    """Running sum of the distribution in use, shape (capacity,)."""
    score_range: NDArray[np.float64]
    """Lowest and highest score observed, in the user's units, shape (2,); NaN while there is none, or if the range is
    declared."""
    reasons: NDArray[np.void]
    """Cancellations by reason, shape (MAX_REASONS,), dtype `REASON`."""
    ledger: NDArray[np.void]
    """Open hand-outs with a ticket, shape (size,), dtype `handout_dtype`; an entry with ticket 0 is
    free."""


class LedgerChange(NamedTuple):
    """New entries of the ledger."""

    places: NDArray[np.int64]
    """Distinct indices into the ledger, shape (k,)."""
    entries: NDArray[np.void]
    """New entries for these places, shape (k,), dtype `handout_dtype`."""


@dataclass(frozen=True, slots=True)
class Patch:
    """A change to a table: new values of some rows, of labels and counters, and perhaps of the other parts."""

    slots: NDArray[np.int64]
    """Distinct slots of the rows that change, shape (k,)."""
    rows: Rows
    """New rows for these slots, k of them."""
    labels: NDArray[np.void]
    """New statistics of the labels, shape (MAX_LABELS,), dtype `LABEL`."""
    counters: Counters
    """New counts."""
    cumulated: NDArray[np.float64] | None = None
    """Running sum of the new distribution, shape (capacity,); None: the distribution does not change."""
    score_range: NDArray[np.float64] | None = None
    """New range of scores, shape (2,); None: it does not change."""
    reasons: NDArray[np.void] | None = None
    """New cancellations by reason, shape (MAX_REASONS,), dtype `REASON`; None: they do not change."""
    ledger: LedgerChange | None = None
    """New entries of the ledger; None: it does not change."""


def range_width(low: float, high: float) -> float:
    """Returns the width by which scores of an observed range are divided: 1 if all of them are equal, or nearly so."""
    return high - low if high - low > MIN_WIDTH else 1.0


@dataclass(frozen=True, slots=True)
class Estimator:
    """Settings of the averages in a row."""

    rates: tuple[float, ...]
    """Falling rates of the averages in `EMAS`, per completion."""
    score_low: float
    """Lowest score, in the user's units."""
    score_scale: float
    """Highest minus lowest score, in the user's units."""
    success_threshold: float
    """Lowest score that counts as a success, in the user's units."""
    random_baseline: float
    """Random baseline of a new task, scaled to [0, 1]; it stays if `num_baseline_samples` is 0."""
    num_baseline_samples: int
    """Number of first scores of a task whose mean is its baseline; 0: the baseline is fixed."""
    is_observed: bool = False
    """Whether the range of scores is observed: `fitted` then gives the estimator for the range so far. A success
    threshold of NaN stands for the middle of the range."""

    def fitted(self, score_range: NDArray[np.float64]) -> "Estimator":
        """Returns the estimator for an observed `score_range`, shape (2,); itself if the range is declared."""
        if not self.is_observed:
            return self
        low, high = np.nan_to_num(score_range).tolist()
        threshold = (low + high) / 2 if math.isnan(self.success_threshold) else self.success_threshold
        return replace(
            self, score_low=low, score_scale=range_width(low, high), success_threshold=threshold, is_observed=False
        )

    def scaled(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """Returns `scores`, in the user's units, scaled to [0, 1]."""
        return ((scores - self.score_low) / self.score_scale).clip(0.0, 1.0)

    def is_success(self, scores: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Returns whether each of `scores`, in the user's units, reaches the success threshold, except for rounding."""
        return scores >= self.lowest_success

    @property
    def lowest_success(self) -> float:
        """Lowest score, in the user's units, that reaches the success threshold except for rounding."""
        return self.success_threshold - ROUNDING * self.score_scale

    @property
    def rates_of_averages(self) -> tuple[float, ...]:
        """Rates of the averages in a row: `EMAS`, then the mean square and the share of successes."""
        return (*self.rates, self.rates[-1], self.rates[-1])


SCHEDULED, CANCELLED, TOLD, TOLD_WITH_REGRET = 0, 1, 2, 3
"""Kinds of event: a task was handed out; a hand-out was cancelled; a score was told; a score and a regret were told."""


EVENT = np.dtype([("task_id", "i8"), ("kind", "i8"), ("score", "f8"), ("regret", "f8")])
"""Dtype of an entry of the event log; `score` is in the user's units. The score of a cancellation is the index of its
reason."""


GROUP_EVENT = np.dtype(
    [*EVENT.descr, ("size", "i8"), ("variance", "f8"), ("low", "f8"), ("high", "f8"), ("success", "f8")]
)
"""Dtype of an event that may stand for a group of exchangeable scores, such as the rollouts of one prompt: `score` is
their mean, `variance` their variance, `low` and `high` the lowest and highest, all in the user's units; `size` is their
number, and `success` the share of successes. An event that is no result has a `size` of 1."""


EMAS = ("fast_ema", "middle_ema_1", "middle_ema_2", "middle_ema_3", "slow_ema")
"""Names of the fields of a row that average the score, by falling rate."""


MAX_LABELS = 64
"""Number of label indices: 0 is `OTHER`, and the first 63 labels have statistics of their own."""


OTHER = b"(other)"
"""Name of the group that all labels after the first 63 share; no label is stored under this name."""


MAX_LABEL_BYTES = 96
"""Length limit of a stored label, in bytes of UTF-8; a longer one is stored as its beginning and a hash."""


MAX_REGRET = 1e290
"""Largest absolute value of a recorded regret; regrets are clipped to it, so that their sums stay finite."""


LABEL = np.dtype(
    [
        ("name", f"S{MAX_LABEL_BYTES}"),
        ("num_scheduled", "i8"),
        ("num_completed", "i8"),
        ("num_evicted", "i8"),
        ("chance", "f8"),
        ("priority", "f8"),
        ("num_recent", "i8"),
        ("recent_score", "f8"),
        ("recent_regret", "f8"),
    ]
)
"""Dtype of the statistics of one label. `num_scheduled`, `num_completed` and `num_evicted` are all-time counts;
`chance` is the probability of the label in the distribution in use, and `priority` the mean priority of its tasks from
which that distribution follows, 0 without tasks. Since that distribution came into use, `num_recent` counts the results
of the label's tasks, `recent_score` sums their scores, scaled to [0, 1], and `recent_regret` sums the regrets told with
them."""

MAX_PRIORITY = 1e290
"""Largest absolute value of a label's priority; it is clipped to it, so that sums over labels stay finite."""


MAX_REASON_BYTES = 48
"""Length limit of a reason, in bytes of UTF-8; a longer one is cut."""


REASON = np.dtype([("name", f"S{MAX_REASON_BYTES}"), ("count", "i8")])
"""Dtype of the cancellations with one reason: `name` is the reason in UTF-8, `count` an all-time count."""


MAX_REASONS = 32
"""Number of distinct reasons that are counted; cancellations with further reasons count as `OTHER_REASON`."""


BUILT_IN_REASONS = ("(other reasons)", "unbuildable", "worker lost", "expired", "evicted", "failed", "node lost")
"""The reasons that every pool begins with, by index. No reason that a user gives begins with a parenthesis."""


OTHER_REASON, UNBUILDABLE, WORKER_LOST, EXPIRED, EVICTED, FAILED, NODE_LOST = range(len(BUILT_IN_REASONS))
"""Indices of these reasons. "failed" stands for a hand-out that was played and gave no score."""


NO_FAILURE = 1.0
"""Value of `regret` in a cancellation that does not count as a failure of its task; 0 in any other cancellation."""


HANDOUT = np.dtype(
    [
        ("ticket", "i8"),
        ("task_id", "i8"),
        ("seed", "i8"),
        ("moment", "i8"),
        ("chance", "f8"),
        ("worker", "i8"),
        ("is_trained_on", "i8"),
    ]
)
"""Dtype of an open hand-out without its params. `moment` counts the hand-outs of the pool before it, `chance` is the
probability with which the task was drawn, `worker` is the number of the worker that asked, or `NO_WORKER`, and
`is_trained_on` is 1, or 0 if the hand-out is played only to rank its task."""


def handout_dtype(num_axes: int) -> np.dtype[np.void]:
    """Returns the dtype of an open hand-out: `HANDOUT`, and the `num_axes` params of the task when it was handed out.

    With its seed and params, a task can be built even after its eviction.
    """
    return np.dtype([*HANDOUT.descr, ("params", "f8", (num_axes,))])


NO_WORKER = -1
"""Stands for the worker of a hand-out that was open when the state was saved: it is handed out again first."""


_ROW_COLUMNS = frozenset(TaskState.model_fields)


_LABEL_COLUMNS = {f"label_{name}": name for name in LABEL.names or () if name != "name"}


_CELL_COLUMNS = ("cells", "cell_axes")


def empty_table(capacity: int, num_axes: int, max_open: int = USUAL_MAX_OPEN) -> Table:
    """Returns a table of `capacity` inactive rows, with the label `OTHER`, the built-in reasons and an empty ledger."""
    labels = np.zeros(MAX_LABELS, LABEL)
    labels["name"][0] = OTHER
    reasons = np.zeros(MAX_REASONS, REASON)
    reasons["name"][: len(BUILT_IN_REASONS)] = [name.encode() for name in BUILT_IN_REASONS]
    cumulated = np.linspace(0, 1, capacity + 1)[1:]
    score_range = np.full(2, np.nan)
    ledger = np.zeros(max_open, handout_dtype(num_axes))
    return Table(Rows.zeros(capacity, num_axes), labels, Counters(), cumulated, score_range, reasons, ledger)


def copy_table(table: Table) -> Table:
    """Returns a deep copy of `table`."""
    has_ledger = table.counters.num_tickets > 0  # without it, the memory of the ledger was never touched
    return Table(
        Rows(table.rows.words.copy()),
        table.labels.copy(),
        table.counters,
        table.cumulated.copy(),
        table.score_range.copy(),
        table.reasons.copy(),
        table.ledger.copy() if has_ledger else np.zeros_like(table.ledger),
    )


class TableColumns(Mapping[str, NDArray[Any]]):
    """Read-only columns of a table by name; each is read at its first use and cached."""

    __slots__ = ("_columns", "_layout", "_table")

    def __init__(self, table: Table, layout: Layout) -> None:
        self._table = table
        self._layout = layout
        self._columns: dict[str, NDArray[Any]] = {}

    def __getitem__(self, name: str) -> NDArray[Any]:
        if name not in self._columns:
            if name in _ROW_COLUMNS:
                column = self._table.rows[name]
            elif name == "cells":
                column = self._layout.cells(self._table.rows["params"])
            elif name == "cell_axes":
                column = self._layout.cell_axes.view()
            else:
                column = self._table.labels[_LABEL_COLUMNS[name]]
            column.flags.writeable = False
            self._columns[name] = column
        return self._columns[name]

    def __iter__(self) -> Iterator[str]:
        return iter((*TaskState.model_fields, *_CELL_COLUMNS, *_LABEL_COLUMNS))

    def __len__(self) -> int:
        return len(TaskState.model_fields) + len(_CELL_COLUMNS) + len(_LABEL_COLUMNS)


def columns_of(table: Table, layout: Layout = FLAT) -> Columns:
    """Returns the columns that an algorithm sees, read-only; views into `table` where they need no conversion.

    Args:
        table: The table.
        layout: Layout of the generator's params.
    """
    return TableColumns(table, layout)


class Draft:
    """Collects changes to a table into one patch, before they are committed."""

    def __init__(self, table: Table) -> None:
        self.patch: Patch | None = None
        """All changes so far as one patch to the original table; None: no change yet."""
        self._base = table
        self._table: Table | None = table

    @property
    def table(self) -> Table:
        """Table with the changes so far."""
        if self._table is None:
            self._table = self._base if self.patch is None else _patched(self._base, self.patch)
        return self._table

    def add(self, patch: Patch) -> None:
        """Adds a change: `patch` applies to `self.table`, with the changes so far."""
        self.patch = patch if self.patch is None else _joined(self.patch, patch, len(self._base.rows))
        self._table = None


def _patched(base: Table, patch: Patch) -> Table:
    """Returns `base` with `patch` applied; shares with both what did not change."""
    ledger = base.ledger
    if patch.ledger is not None:
        ledger = ledger.copy()
        ledger.put(patch.ledger.places, patch.ledger.entries)
    return Table(
        PatchedRows(base.rows, patch.slots, patch.rows) if len(patch.slots) else base.rows,
        patch.labels,
        patch.counters,
        base.cumulated if patch.cumulated is None else patch.cumulated,
        base.score_range if patch.score_range is None else patch.score_range,
        base.reasons if patch.reasons is None else patch.reasons,
        ledger,
    )


def _joined(first: Patch, second: Patch, capacity: int) -> Patch:
    """Returns the patch that does what `first` and then `second` do."""
    slots, rows = first.slots, first.rows
    if len(second.slots):
        is_kept = np.ones(capacity, np.bool_)
        is_kept[second.slots] = False
        (kept,) = np.nonzero(is_kept.take(first.slots))
        slots = np.concatenate([first.slots[kept], second.slots])
        rows = Rows(np.concatenate([first.rows.words[:, kept], second.rows.words], axis=1))
    return Patch(
        slots,
        rows,
        second.labels,
        second.counters,
        first.cumulated if second.cumulated is None else second.cumulated,
        first.score_range if second.score_range is None else second.score_range,
        first.reasons if second.reasons is None else second.reasons,
        _joined_ledger(first.ledger, second.ledger),
    )


def unchanged(table: Table) -> Patch:
    """Returns a patch that changes nothing."""
    return Patch(np.empty(0, np.int64), Rows.zeros(0, table.rows.num_axes), table.labels, table.counters)


def _joined_ledger(first: LedgerChange | None, second: LedgerChange | None) -> LedgerChange | None:
    if first is None or second is None:
        return first if second is None else second
    is_kept = ~np.isin(first.places, second.places)
    return LedgerChange(
        np.concatenate([first.places[is_kept], second.places]),
        np.concatenate([first.entries[is_kept], second.entries]),
    )
