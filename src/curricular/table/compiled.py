"""What `record` computes with NumPy, by the compiled functions: the same bits, in one pass over the events."""

import numpy as np
from numpy.typing import NDArray

from ..kernel import Kernel
from ..rows import RECENT_SCORES, indices_of
from .averages import weight_tables
from .schema import MAX_REGRET, NO_FAILURE, Estimator, Patch, Table
from .scores import AVERAGES

# Fields of a row, statistics of a label, and settings below: in the order in which `_kernel.c` lists them.
_FIELDS = indices_of(
    (
        *AVERAGES,
        "random_baseline",
        *RECENT_SCORES,
        "task_id",
        "label_index",
        "num_completions",
        "success_threshold",
        "last_score",
        "last_completed",
        "num_regrets",
        "last_regret",
        "num_pending",
        "num_orphans",
        "num_scheduled",
        "last_scheduled",
        "num_cancelled",
        "num_failures",
    )
)
_OF_LABELS = ("num_scheduled", "num_completed", "num_recent", "recent_score", "recent_regret")
_OF_EVENTS = ("task_id", "kind", "score", "regret")


def record_events(kernel: Kernel, table: Table, events: NDArray[np.void], estimator: Estimator) -> Patch:
    """Returns the patch that records `events`, dtype `EVENT`, as `record` does with a declared range of scores."""
    old, (slots, row_of) = table.counters, _distinct_slots(kernel, events["task_id"], len(table.rows))
    rows, labels, reasons = table.rows.take(slots), table.labels.copy(), table.reasons.copy()
    weights, coarse_weights = weight_tables(estimator.rates_of_averages)
    num_scheduled, num_completed, num_cancelled, num_unsolicited = kernel.record(
        tuple(events[name] for name in _OF_EVENTS),
        row_of,
        rows.words.reshape(-1, copy=False),
        len(rows),
        _FIELDS,
        tuple(labels[name] for name in _OF_LABELS),
        reasons["count"],
        weights.reshape(-1),
        coarse_weights.reshape(-1),
        _settings(estimator),
        old.num_scheduled,
        old.num_completed,
    )
    num_ended = len(events) - num_scheduled
    counters = old._replace(
        num_scheduled=old.num_scheduled + num_scheduled,
        num_completed=old.num_completed + num_completed,
        num_cancelled=old.num_cancelled + num_cancelled,
        num_stale=old.num_stale + num_ended - num_completed - num_cancelled,
        num_unsolicited=old.num_unsolicited + num_unsolicited,
        num_pending=old.num_pending + num_scheduled + num_unsolicited - num_ended,
    )
    return Patch(slots, rows, labels, counters, reasons=reasons if num_cancelled else None)


def _distinct_slots(
    kernel: Kernel, task_ids: NDArray[np.int64], capacity: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Returns the distinct slots of `task_ids`, ascending, and the index of each id's slot among them, shape (n,)."""
    slots, row_of = np.empty((2, len(task_ids)), np.int64)
    num_slots = kernel.distinct(task_ids, capacity, slots, row_of)
    return slots[:num_slots], row_of


def _settings(estimator: Estimator) -> tuple[float, float, float, float, int, float, float]:
    low, scale, threshold = estimator.score_low, estimator.score_scale, estimator.success_threshold
    return low, scale, threshold, estimator.lowest_success, estimator.num_baseline_samples, NO_FAILURE, MAX_REGRET
