"""Events -> rows: records hand-outs, results and cancellations. No public function writes into an argument."""

from typing import NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from ..kernel import KERNEL
from ..rows import Rows
from .compiled import record_events
from .runs import Runs, order_of_slots
from .schema import (
    CANCELLED,
    EVENT,
    MAX_LABELS,
    MAX_REASONS,
    MAX_REGRET,
    NO_FAILURE,
    SCHEDULED,
    TOLD,
    TOLD_WITH_REGRET,
    Draft,
    Estimator,
    LedgerChange,
    Patch,
    Table,
)
from .scores import record_scores
from .widen import range_with, scores_of, widen


def _balance(pending: NDArray[np.int64], steps: NDArray[np.int64], runs: Runs) -> tuple[NDArray[np.int64], int]:
    """Returns the pending hand-outs of each run after `steps`, shape (runs,), and the number of unsolicited ends.

    A hand-out is a step of +1, its end −1. The count never falls below 0: an end without a hand-out is unsolicited.
    The closed form of a walk that is reflected at 0.
    """
    sums = steps.cumsum()
    before = sums.take(runs.starts) - steps.take(runs.starts)
    lowest = pending - before + np.minimum.reduceat(sums, runs.starts)
    unsolicited = np.maximum(-lowest, 0)
    return pending - before + sums.take(runs.ends) + unsolicited, int(unsolicited.sum())


def record(table: Table, events: NDArray[np.void], estimator: Estimator) -> Patch:
    """Returns the patch that records `events` in the rows of their tasks.

    An event of an evicted task is balanced against the orphans of its slot, and credited to no task. How events are
    batched changes no bit of the result. Only an observed range of scores widens once for all events, before they are
    recorded, so that averages agree except for rounding.

    Args:
        table: The pool.
        events: At least one event, oldest first, shape (n,), dtype `EVENT` or `GROUP_EVENT`.
        estimator: Settings of the averages.
    """
    if not estimator.is_observed:
        return _record(table, events, estimator)
    draft, score_range = Draft(table), range_with(table.score_range, scores_of(events))
    if not np.array_equal(score_range, table.score_range, equal_nan=True):
        draft.add(widen(table, score_range, scales_baselines=estimator.num_baseline_samples > 0))
    draft.add(_record(draft.table, events, estimator.fitted(score_range)))
    return cast(Patch, draft.patch)


def _record(table: Table, events: NDArray[np.void], estimator: Estimator) -> Patch:
    """Records `events` as `record` does, with scores within the range of `estimator`."""
    if KERNEL is not None and events.dtype == EVENT:
        return record_events(KERNEL, table, events, estimator)
    slots, old = events["task_id"] % len(table.rows), table.counters
    order = order_of_slots(slots, len(table.rows))
    runs = Runs.of(slots.take(order))
    given = _Given(events, order, events.take(order), runs, np.arange(len(runs.keys)).repeat(runs.sizes))
    rows, labels = table.rows.take(runs.keys), table.labels.copy()
    is_current = given.ordered["task_id"] == rows["task_id"].take(given.run_of)
    is_told = is_current & (given.ordered["kind"] >= TOLD)
    num_completed = int(np.count_nonzero(is_told))
    if num_completed == len(events):  # the most common case takes the fewest steps
        others = _Others(0, 0, _end_pending(rows, runs), None)
        scores = record_scores(rows, runs, given.ordered, old.num_completed + 1 + order, estimator)
        _count_results(labels, rows["label_index"].take(given.run_of), given.ordered, scores, order)
    else:
        others = _record_others(table, rows, labels, given, is_current, is_told)
        if num_completed:
            told = np.flatnonzero(is_told)
            is_result = np.zeros(len(events), np.int64)
            is_result[order] = is_told
            ranks, results = is_result.cumsum().take(order.take(told)) - 1, given.ordered.take(told)
            runs_told = Runs.of(given.run_of.take(told))
            told_rows = rows.take(runs_told.keys)
            scores = record_scores(told_rows, runs_told, results, old.num_completed + 1 + ranks, estimator)
            rows.put(runs_told.keys, told_rows)
            _count_results(labels, rows["label_index"].take(given.run_of.take(told)), results, scores, ranks)
    num_stale = len(events) - others.num_scheduled - others.num_cancelled - num_completed
    num_ended = num_completed + others.num_cancelled + num_stale
    counters = old._replace(
        num_scheduled=old.num_scheduled + others.num_scheduled,
        num_completed=old.num_completed + num_completed,
        num_cancelled=old.num_cancelled + others.num_cancelled,
        num_stale=old.num_stale + num_stale,
        num_unsolicited=old.num_unsolicited + others.num_unsolicited,
        num_pending=old.num_pending + others.num_scheduled + others.num_unsolicited - num_ended,
    )
    return Patch(runs.keys, rows, labels, counters, reasons=others.reasons)


class _Given(NamedTuple):
    """Events, in the order of time and in the order of their slots."""

    events: NDArray[np.void]
    """The events, oldest first, shape (n,)."""
    order: NDArray[np.int64]
    """Index of each event in the order of slots, shape (n,); of one slot, oldest first."""
    ordered: NDArray[np.void]
    """The events in the order of slots, shape (n,)."""
    runs: Runs
    """Runs of events of the same slot."""
    run_of: NDArray[np.int64]
    """Run of each of `ordered`, shape (n,)."""


class _Others(NamedTuple):
    """What events count besides results."""

    num_scheduled: int
    """Hand-outs."""
    num_cancelled: int
    """Cancellations."""
    num_unsolicited: int
    """Endings without a hand-out."""
    reasons: NDArray[np.void] | None
    """Cancellations by reason, as in `Patch`."""


def _end_pending(rows: Rows, runs: Runs) -> int:
    """Counts, in place, that each event of `runs` is the first result of a hand-out; returns the unsolicited ones."""
    left = rows["num_pending"] - runs.sizes
    rows["num_pending"] = np.maximum(left, 0)
    rows["num_failures"] = 0
    return -int(np.minimum(left, 0).sum())


def _record_others(
    table: Table,
    rows: Rows,
    labels: NDArray[np.void],
    given: _Given,
    is_current: NDArray[np.bool_],
    is_told: NDArray[np.bool_],
) -> _Others:
    """Records hand-outs and endings in `rows` and `labels`, in place, but no scores.

    Args:
        table: The pool.
        rows: A private copy of the rows of the events, one per run.
        labels: A private copy of the statistics of the labels.
        given: The events.
        is_current: Whether the task of each event is in the pool, shape (n,), in the order of slots.
        is_told: Whether each event is a result of such a task, shape (n,), in the order of slots.
    """
    starts, kinds = given.runs.starts, given.ordered["kind"]
    is_scheduled, is_cancelled = kinds == SCHEDULED, kinds == CANCELLED
    # Pending hand-outs. Those of evicted tasks are balanced among the slot's orphans.
    steps = np.where(is_scheduled, 1, -1)
    rows["num_pending"], num_unsolicited = _balance(rows["num_pending"], steps * is_current, given.runs)
    if not is_current.all():
        rows["num_orphans"], num_late = _balance(rows["num_orphans"], steps * ~is_current, given.runs)
        num_unsolicited += num_late
    num_scheduled = int(np.count_nonzero(is_scheduled))
    if num_scheduled:
        handed_out = (is_scheduled & is_current).astype(np.int64)
        num_handed_out = np.add.reduceat(handed_out, starts)
        rows["num_scheduled"] += num_handed_out
        moments = table.counters.num_scheduled + (given.events["kind"] == SCHEDULED).cumsum().take(given.order)
        rows["last_scheduled"] = np.maximum(rows["last_scheduled"], np.maximum.reduceat(moments * handed_out, starts))
        np.add.at(labels["num_scheduled"], rows["label_index"], num_handed_out)
    num_cancelled, reasons = int(np.count_nonzero(is_cancelled)), None
    if num_cancelled:
        reasons = table.reasons.copy()
        indices = given.ordered["score"][is_cancelled].astype(np.int64)
        reasons["count"] += np.bincount(indices, minlength=MAX_REASONS)
        failed = is_cancelled & is_current
        rows["num_cancelled"] += np.add.reduceat(failed, starts, dtype=np.int64)
        # Only cancellations after the last score count; a score resets the count.
        last_told = np.maximum.reduceat(np.where(is_told, np.arange(len(is_told)), -1), starts)
        failed &= (np.arange(len(is_told)) > last_told.take(given.run_of)) & (given.ordered["regret"] != NO_FAILURE)
        before = np.where(last_told < 0, rows["num_failures"], 0)
        rows["num_failures"] = before + np.add.reduceat(failed, starts, dtype=np.int64)
    elif rows["num_failures"].any():
        rows["num_failures"] *= ~np.logical_or.reduceat(is_told, starts)
    return _Others(num_scheduled, num_cancelled, num_unsolicited, reasons)


def _count_results(
    labels: NDArray[np.void],
    label_of: NDArray[np.int64],
    results: NDArray[np.void],
    scores: NDArray[np.float64],
    ranks: NDArray[np.int64],
) -> None:
    """Counts n results in `labels`, in place.

    Args:
        labels: Statistics of the labels, shape (MAX_LABELS,), dtype `LABEL`.
        label_of: Label index of each result, shape (n,).
        results: The events, shape (n,).
        scores: Their scores, scaled to [0, 1], shape (n,).
        ranks: Rank of each result in the order of time, from 0, shape (n,).
    """
    in_time, numbers = np.empty_like(label_of), np.empty_like(scores)
    in_time[ranks], numbers[ranks] = label_of, scores
    num_told_of = np.bincount(label_of, minlength=MAX_LABELS)
    labels["num_completed"] += num_told_of
    labels["num_recent"] += num_told_of
    _add_in_order(labels["recent_score"], in_time, numbers)
    has_regret = results["kind"] == TOLD_WITH_REGRET
    if has_regret.any():
        numbers[ranks] = np.where(has_regret, results["regret"].clip(-MAX_REGRET, MAX_REGRET), 0.0)
        _add_in_order(labels["recent_regret"], in_time, numbers)


def _add_in_order(sums: NDArray[np.float64], index: NDArray[np.int64], values: NDArray[np.float64]) -> None:
    """Adds to ``sums[index]``, in place, one value after the other: a sum of the values first would round differently.

    Args:
        sums: Shape (k,).
        index: Index of each value, shape (n,).
        values: Shape (n,).
    """
    first = np.arange(len(sums))
    sums[...] = np.bincount(np.concatenate([first, index]), np.concatenate([sums, values]), len(sums))


_ZERO, _ONE = np.zeros(1, np.int64), np.ones(1, np.int64)


def schedule(table: Table, task_ids: NDArray[np.int64], ledger: LedgerChange | None = None, **counters: int) -> Patch:
    """Returns the patch that records hand-outs of tasks in the pool, as `record` does, in fewer steps.

    Args:
        table: The pool.
        task_ids: Ids of tasks in the pool, at least one, shape (n,).
        ledger: New entries of the ledger, in the same patch.
        counters: New values of further counters.
    """
    old, n = table.counters, len(task_ids)
    changed, labels = task_ids % len(table.rows), table.labels.copy()
    of_labels = labels["num_scheduled"]
    if n == 1:  # asking one by one is common
        rows, counts, newest = table.rows.take(changed), _ONE, _ZERO
        of_labels[rows["label_index"]] += counts
    else:
        order = order_of_slots(changed, len(table.rows))
        runs = Runs.of(changed.take(order))
        changed, counts, newest = runs.keys, runs.sizes, order.take(runs.ends)
        rows = table.rows.take(changed)
        np.add.at(of_labels, rows["label_index"], counts)
    for name in ("num_pending", "num_scheduled"):
        column = rows[name]
        column += counts
    rows["last_scheduled"] = old.num_scheduled + 1 + newest
    changes = {"num_scheduled": old.num_scheduled + n, "num_pending": old.num_pending + n, **counters}
    return Patch(changed, rows, labels, old._replace(**changes), ledger=ledger)
