"""Results -> rows: averages and last scores of the tasks, after results in the order of their tasks."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..rows import RECENT_SCORE_BITS, RECENT_SCORE_ONE, RECENT_SCORES, Rows
from .averages import averaged, weight
from .runs import Runs
from .schema import EMAS, GROUP_EVENT, MAX_REGRET, TOLD_WITH_REGRET, Estimator

NUM_RECENT = 4 * len(RECENT_SCORES)
"""Number of last scores in a row."""

_WORD_BITS = 64


_BITS_BELOW = np.array([[2 * _WORD_BITS], [_WORD_BITS], [0]])
"""Number of bits in the words after each of `RECENT_SCORES`, shape (3, 1)."""


_ONE = np.ones(1, np.int64)


def record_scores(
    rows: Rows, runs: Runs, events: NDArray[np.void], moments: NDArray[np.int64], estimator: Estimator
) -> NDArray[np.float64]:
    """Records results in `rows`, in place, and returns their scores, scaled to [0, 1], shape (n,).

    Args:
        rows: A private copy of the rows of the results, one per run.
        runs: Runs of results of one task.
        events: Results in the order of their tasks, shape (n,), dtype `EVENT` or `GROUP_EVENT`.
        moments: Results of the pool up to each of them, shape (n,).
        estimator: Settings of the averages.
    """
    starts, num_events, ends = runs.starts, runs.sizes, runs.ends
    rows["success_threshold"] = estimator.success_threshold
    num_old = rows["num_completions"].copy()
    scores = estimator.scaled(events["score"])
    squares = scores * scores
    if events.dtype == GROUP_EVENT:
        sizes, successes = events["size"], events["success"]
        squares = (squares + events["variance"] / estimator.score_scale**2).clip(max=1.0)
        num_told, num_new = sizes.cumsum(), np.add.reduceat(sizes, starts)
        num_after = num_told.take(ends).repeat(num_events) - num_told
        num_before = (num_old + num_new).repeat(num_events) - num_after - sizes
    else:
        sizes, num_new, successes = _ONE, num_events, estimator.is_success(events["score"])
        index = np.arange(len(events))
        num_after = ends.repeat(num_events) - index
        num_before = (num_old - starts).repeat(num_events) + index
    _record_averages(rows, runs, [scores, squares, successes], (num_old, num_before, sizes), estimator)
    rows["last_score"] = scores.take(ends)
    rows["last_completed"] = moments.take(ends)
    recent = rows.read(RECENT_SCORES).view(np.uint64)
    if events.dtype == GROUP_EVENT:  # repeat the mean of each group once per score, as far as a row keeps them
        times = sizes.clip(max=NUM_RECENT)
        told_until = times.cumsum()
        later = told_until.repeat(times) - np.arange(told_until[-1]) - 1
        first = (told_until - times).take(starts)
        pushed = _push_recent(recent, scores.repeat(times), num_new, num_after.repeat(times) + later, first)
    else:
        pushed = _push_recent(recent, scores, num_new, num_after, starts)
    rows.write(RECENT_SCORES, pushed.view(np.int64))
    rows["num_completions"] = num_old + num_new
    has_regret = events["kind"] == TOLD_WITH_REGRET
    if has_regret.any():
        last = np.maximum.reduceat(np.where(has_regret, np.arange(len(events)), -1), starts)
        regrets = events["regret"].clip(-MAX_REGRET, MAX_REGRET)
        rows["last_regret"] = np.where(last >= 0, regrets[last], rows["last_regret"])
        rows["num_regrets"] += np.add.reduceat(has_regret, starts, dtype=np.int64)
    return scores


AVERAGES = (*EMAS, "mean_square", "success_ema")
"""Fields that average the scores, and then those that average their squares and the successes at the slow rate."""


def _record_averages(
    rows: Rows,
    runs: Runs,
    told: list[NDArray[Any]],
    counts: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]],
    estimator: Estimator,
) -> None:
    """Records n results in the averages of `rows`, in place.

    Args:
        rows: A private copy of the rows of the results, one per run.
        runs: Runs of results of one task.
        told: Score, mean square and share of successes of each result, shape (n,) each.
        counts: Completions of each task before all, shape (runs,), and before each result, shape (n,), and number of
            scores of each result, shape (n,) or (1,).
        estimator: Settings of the averages.
    """
    num_old, num_before, sizes = counts
    scores, *others = told
    rates = estimator.rates_of_averages
    names: tuple[str, ...] = AVERAGES
    gains = weight(rates, sizes) / weight(rates, num_before + sizes)
    if limit := estimator.num_baseline_samples:
        names = (*names, "random_baseline")
        shares = (limit - num_before).clip(0, sizes) / np.minimum(num_before + sizes, limit)
        gains = np.column_stack([gains, shares])
    values = np.empty((len(scores), len(names)))
    values[...] = scores[:, None]
    for column, numbers in enumerate(others, len(EMAS)):
        values[:, column] = numbers
    old = rows.read(names).view(np.float64)
    old *= num_old > 0  # a task without results has no averages, whatever is stored
    new = averaged(old.T.copy(), values, gains, runs.starts, runs.sizes)
    rows.write(names, new.T.copy().view(np.int64))


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
