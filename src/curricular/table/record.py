"""Events -> rows: records hand-outs, results and cancellations. No public function writes into an argument."""

from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from ..rows import RECENT_SCORE_BITS, RECENT_SCORE_ONE, RECENT_SCORES, Rows
from .averages import averaged, weight
from .schema import (
    CANCELLED,
    EMAS,
    GROUP_EVENT,
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
from .widen import range_with, scores_of, widen

NUM_RECENT = 4 * len(RECENT_SCORES)
"""Number of last scores in a row."""

_WORD_BITS = 64


_BITS_BELOW = np.array([[2 * _WORD_BITS], [_WORD_BITS], [0]])
"""Number of bits in the words after each of `RECENT_SCORES`, shape (3, 1)."""


def _balance(
    pending: NDArray[np.int64], steps: NDArray[np.int64], starts: NDArray[np.int64]
) -> tuple[NDArray[np.int64], int]:
    """Returns the pending hand-outs of each group after `steps`, shape (groups,), and the number of unsolicited ends.

    A hand-out is a step of +1, its end −1. The count never falls below 0: an end without a hand-out is unsolicited.
    The closed form of a walk that is reflected at 0.
    """
    sums = steps.cumsum()
    ends = starts + _sizes(starts, len(steps)) - 1
    before = sums.take(starts) - steps.take(starts)
    lowest = pending - before + np.minimum.reduceat(sums, starts)
    unsolicited = np.maximum(-lowest, 0)
    return pending - before + sums.take(ends) + unsolicited, int(unsolicited.sum())


def _push_recent(
    words: NDArray[np.uint64],
    scores: NDArray[np.float64],
    num_new: NDArray[np.int64],
    num_after: NDArray[np.int64],
    starts: NDArray[np.int64],
) -> NDArray[np.uint64]:
    """Returns the last scores of each group after new `scores`, shape (n,), as words of shape (3, groups).

    The words before, shape (3, groups), are a number of 192 bits that each new score shifts by 16 bits. NumPy shifts a
    word to 0 by more bits than it has; so it does by a negative number, which is a huge one as an unsigned integer.
    """
    fields = np.rint(scores * RECENT_SCORE_ONE).astype(np.uint64)
    shifts = (num_after * RECENT_SCORE_BITS - _BITS_BELOW).view(np.uint64)
    pushed: NDArray[np.uint64] = np.bitwise_or.reduceat(fields << shifts, starts, axis=1)
    shift = (num_new * RECENT_SCORE_BITS).view(np.uint64)
    pushed |= words << shift
    for k in (1, 2):
        pushed[:-k] |= (words[k:] << (shift - _WORD_BITS * k)) | (words[k:] >> (_WORD_BITS * k - shift))
    return pushed


def _starts(keys: NDArray[np.int64]) -> NDArray[np.int64]:
    """Returns the index of the first entry of each run of equal `keys`, shape (runs,); `keys` is not empty."""
    is_first = np.empty(len(keys), np.bool_)
    is_first[0] = True
    np.not_equal(keys[1:], keys[:-1], out=is_first[1:])
    return np.flatnonzero(is_first)


def _sizes(starts: NDArray[np.int64], length: int) -> NDArray[np.int64]:
    """Returns the length of each run, shape (runs,), in an array of `length` entries."""
    sizes = np.empty(len(starts), np.int64)
    np.subtract(starts[1:], starts[:-1], out=sizes[:-1])
    sizes[-1] = length - starts[-1]
    return sizes


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
    capacity = len(table.rows)
    slots = events["task_id"] % capacity
    # NumPy sorts integers of up to 16 bits by radix, several times faster.
    order = slots.astype(np.min_scalar_type(capacity - 1)).argsort(kind="stable")
    events_by_slot, slots = events.take(order), slots.take(order)
    ids, kinds = events_by_slot["task_id"], events_by_slot["kind"]
    starts = _starts(slots)
    changed = slots.take(starts)
    group = np.arange(len(starts)).repeat(_sizes(starts, len(slots)))
    rows = table.rows.take(changed)
    is_current = ids == rows["task_id"].take(group)
    is_scheduled, is_cancelled, is_told = kinds == SCHEDULED, kinds == CANCELLED, kinds >= TOLD

    # Pending hand-outs. Those of evicted tasks are balanced among the slot's orphans.
    steps = np.where(is_scheduled, 1, -1)
    rows["num_pending"], num_unsolicited = _balance(rows["num_pending"], steps * is_current, starts)
    if not is_current.all():
        rows["num_orphans"], num_late = _balance(rows["num_orphans"], steps * ~is_current, starts)
        num_unsolicited += num_late
    handed_out = (is_scheduled & is_current).astype(np.int64)
    num_handed_out = np.add.reduceat(handed_out, starts)
    rows["num_scheduled"] += num_handed_out
    moments = table.counters.num_scheduled + (events["kind"] == SCHEDULED).cumsum().take(order)
    rows["last_scheduled"] = np.maximum(rows["last_scheduled"], np.maximum.reduceat(moments * handed_out, starts))
    is_told_here = is_told & is_current
    reasons = None
    if is_cancelled.any():
        reasons = table.reasons.copy()
        indices = events_by_slot["score"][is_cancelled].astype(np.int64)
        reasons["count"] += np.bincount(indices, minlength=MAX_REASONS)
        failed = is_cancelled & is_current
        rows["num_cancelled"] += np.add.reduceat(failed, starts, dtype=np.int64)
        # Only cancellations after the last score count; a score resets the count.
        last_told = np.maximum.reduceat(np.where(is_told_here, np.arange(len(events)), -1), starts)
        failed &= (np.arange(len(events)) > last_told.take(group)) & (events_by_slot["regret"] != NO_FAILURE)
        before = np.where(last_told < 0, rows["num_failures"], 0)
        rows["num_failures"] = before + np.add.reduceat(failed, starts, dtype=np.int64)
    elif rows["num_failures"].any():
        rows["num_failures"] *= ~np.logical_or.reduceat(is_told_here, starts)

    labels = table.labels.copy()
    np.add.at(labels["num_scheduled"], rows["label_index"], num_handed_out)
    told = np.flatnonzero(is_told_here)
    if len(told):
        groups_told = group.take(told)
        results = events_by_slot.take(told)
        is_result = np.zeros(len(events), np.int64)
        is_result[order] = is_told_here
        moments = table.counters.num_completed + is_result.cumsum().take(order.take(told))
        scores = _record_scores(rows, groups_told, results, moments, estimator)
        label_of = rows["label_index"].take(groups_told)
        num_told_of = np.bincount(label_of, minlength=MAX_LABELS)
        labels["num_completed"] += num_told_of
        labels["num_recent"] += num_told_of
        rank = moments - table.counters.num_completed - 1  # of each result, by time
        _add_in_order(labels["recent_score"], label_of, scores, rank)
        has_regret = results["kind"] == TOLD_WITH_REGRET
        if has_regret.any():
            regrets = np.where(has_regret, results["regret"].clip(-MAX_REGRET, MAX_REGRET), 0.0)
            _add_in_order(labels["recent_regret"], label_of, regrets, rank)

    num_scheduled, num_cancelled = int(np.count_nonzero(is_scheduled)), int(np.count_nonzero(is_cancelled))
    num_completed = len(told)
    num_stale = len(events) - num_scheduled - num_cancelled - num_completed
    old = table.counters
    counters = old._replace(
        num_scheduled=old.num_scheduled + num_scheduled,
        num_completed=old.num_completed + num_completed,
        num_cancelled=old.num_cancelled + num_cancelled,
        num_stale=old.num_stale + num_stale,
        num_unsolicited=old.num_unsolicited + num_unsolicited,
        num_pending=old.num_pending + num_scheduled + num_unsolicited - num_completed - num_cancelled - num_stale,
    )
    return Patch(changed, rows, labels, counters, reasons=reasons)


def _add_in_order(
    sums: NDArray[np.float64], index: NDArray[np.int64], values: NDArray[np.float64], rank: NDArray[np.int64]
) -> None:
    """Adds to ``sums[index]``, in place, one value after the other: a sum of the values first would round differently.

    Args:
        sums: Shape (k,).
        index: Index of each value, shape (n,).
        values: Shape (n,).
        rank: Place of each value in the order of the sum, shape (n,).
    """
    k = len(sums)
    places, parts = np.empty(k + len(index), np.int64), np.empty(k + len(index))
    places[:k], parts[:k] = np.arange(k), sums
    places[k + rank], parts[k + rank] = index, values
    sums[...] = np.bincount(places, parts, k)


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
        order = changed.argsort(kind="stable")
        slots = changed[order]
        starts = _starts(slots)
        counts = _sizes(starts, n)
        changed = slots[starts]
        rows, newest = table.rows.take(changed), order[starts + counts - 1]
        np.add.at(of_labels, rows["label_index"], counts)
    for name in ("num_pending", "num_scheduled"):
        column = rows[name]
        column += counts
    rows["last_scheduled"] = old.num_scheduled + 1 + newest
    changes = {"num_scheduled": old.num_scheduled + n, "num_pending": old.num_pending + n, **counters}
    return Patch(changed, rows, labels, old._replace(**changes), ledger=ledger)


def _record_scores(
    rows: Rows,
    group: NDArray[np.int64],
    events: NDArray[np.void],
    moments: NDArray[np.int64],
    estimator: Estimator,
) -> NDArray[np.float64]:
    """Records results in `rows`, in place, and returns their scores, scaled to [0, 1], shape (n,).

    Args:
        rows: A private copy that `record` made.
        group: Index of the row of each result, ascending, shape (n,).
        events: Results, shape (n,), dtype `EVENT` or `GROUP_EVENT`.
        moments: Results of the pool up to each of them, shape (n,).
        estimator: Settings of the averages.
    """
    starts = _starts(group)
    changed, num_events = group.take(starts), _sizes(starts, len(group))
    row: dict[str, NDArray[Any]] = {"success_threshold": np.full(len(changed), estimator.success_threshold)}
    num_old = rows["num_completions"].take(changed)
    scores = estimator.scaled(events["score"])
    squares = scores * scores
    if events.dtype == GROUP_EVENT:
        sizes, successes = events["size"], events["success"]
        squares = (squares + events["variance"] / estimator.score_scale**2).clip(max=1.0)
        num_told, num_new = sizes.cumsum(), np.add.reduceat(sizes, starts)
        num_after = (num_told.take(starts + num_events - 1)).repeat(num_events) - num_told
        num_before = (num_old + num_new).repeat(num_events) - num_after - sizes
    else:
        sizes, num_new = np.ones(1, np.int64), num_events
        successes = estimator.is_success(events["score"]).astype(np.float64)
        index = np.arange(len(group))
        num_after = (starts + num_events - 1).repeat(num_events) - index
        num_before = (num_old - starts).repeat(num_events) + index

    names, values = [*EMAS, "mean_square", "success_ema"], [*[scores] * len(EMAS), squares, successes]
    gains = weight(estimator.rates, sizes) / weight(estimator.rates, num_before + sizes)
    gains = gains.take([*range(len(EMAS)), len(EMAS) - 1, len(EMAS) - 1], axis=0)
    if limit := estimator.num_baseline_samples:
        names, values = [*names, "random_baseline"], [*values, scores]
        counts = (limit - num_before).clip(0, sizes)
        gains = np.concatenate([gains, [counts / np.minimum(num_before + sizes, limit)]])
    old = np.array([rows[name] for name in names]).take(changed, axis=1)
    old *= num_old > 0  # a task without results has no averages, whatever is stored
    row |= zip(names, averaged(old, np.array(values), gains, starts, num_events), strict=True)
    row["last_score"] = scores.take(starts + num_events - 1)
    row["last_completed"] = moments.take(starts + num_events - 1)
    recent = np.array([rows[name] for name in RECENT_SCORES]).take(changed, axis=1).view(np.uint64)
    if events.dtype == GROUP_EVENT:  # repeat the mean of each group once per score, as far as a row keeps them
        times = sizes.clip(max=NUM_RECENT)
        ends = times.cumsum()
        later = ends.repeat(times) - np.arange(ends[-1]) - 1
        first = (ends - times).take(starts)
        pushed = _push_recent(recent, scores.repeat(times), num_new, num_after.repeat(times) + later, first)
    else:
        pushed = _push_recent(recent, scores, num_new, num_after, starts)
    row |= zip(RECENT_SCORES, pushed.view(np.int64), strict=True)
    row["num_completions"] = num_old + num_new
    has_regret = events["kind"] == TOLD_WITH_REGRET
    if has_regret.any():
        last = np.maximum.reduceat(np.where(has_regret, np.arange(len(events)), -1), starts)
        regrets = events["regret"].clip(-MAX_REGRET, MAX_REGRET)
        row["last_regret"] = np.where(last >= 0, regrets[last], rows["last_regret"].take(changed))
        row["num_regrets"] = rows["num_regrets"].take(changed) + np.add.reduceat(has_regret, starts, dtype=np.int64)
    for name, column in row.items():
        rows[name][changed] = column
    return scores
