"""Widens an observed range of scores: rescales the rows, so that averages stay the same in the user's units."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..rows import RECENT_SCORE_BITS, RECENT_SCORE_ONE, RECENT_SCORES, Rows
from .schema import EMAS, GROUP_EVENT, TOLD, Patch, Table, range_width, unchanged


def range_with(score_range: NDArray[np.float64], scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns the smallest range that includes `score_range`, which may be NaN, and the finite `scores`; shape (2,)."""
    if not len(scores):
        return score_range
    return np.array([np.fmin(score_range[0], scores.min()), np.fmax(score_range[1], scores.max())])


def scores_of(events: NDArray[np.void]) -> NDArray[np.float64]:
    """Returns the scores of the results among `events`; for a group, its lowest and its highest score."""
    results = events[events["kind"] >= TOLD]
    if results.dtype == GROUP_EVENT:
        return np.concatenate([results["low"], results["high"]])
    scores: NDArray[np.float64] = results["score"]
    return scores


def widen(table: Table, score_range: NDArray[np.float64], *, scales_baselines: bool) -> Patch:
    """Returns the patch that widens the observed range of `table` to `score_range`, shape (2,).

    Averages are linear in the scores, so the averages of tasks with results are rescaled exactly. The last scores are
    stored with 16 bits and are rounded again.

    Args:
        table: The pool.
        score_range: A range that includes that of `table`.
        scales_baselines: Whether the random baselines are averages of scores, and so are rescaled, too.
    """
    (old_low, old_high), (low, high) = np.nan_to_num(table.score_range).tolist(), score_range.tolist()
    scale = range_width(low, high)
    # If all scores so far are equal, they are stored as 0, and the factor has no effect.
    factor, offset = range_width(old_low, old_high) / scale, (old_low - low) / scale
    slots = np.flatnonzero(table.rows["num_completions"] > 0)
    rows = table.rows.take(slots)
    square, slow = rows["mean_square"], rows["slow_ema"]
    rows["mean_square"] = (factor**2 * square + 2 * factor * offset * slow + offset**2).clip(0.0, 1.0)
    baselines = ("random_baseline",) if scales_baselines else ()
    for name in (*EMAS, "last_score", *baselines):
        rows[name] = (factor * rows[name] + offset).clip(0.0, 1.0)
    _rescale_recent(rows, factor, offset)
    labels = table.labels.copy()
    labels["recent_score"] = factor * labels["recent_score"] + offset * labels["num_recent"]
    return replace(unchanged(table), slots=slots, rows=rows, labels=labels, score_range=score_range)


def rescaled(table: Table, old: NDArray[np.float64], new: NDArray[np.float64], *, scales_baselines: bool) -> Table:
    """Returns `table` with scores scaled from the range `new` instead of the narrower range `old`.

    Args:
        table: The pool.
        old: Lowest and highest score, shape (2,).
        new: A range that includes `old`, shape (2,).
        scales_baselines: Whether the random baselines are averages of scores, and so are rescaled, too.
    """
    patch = widen(replace(table, score_range=old), new, scales_baselines=scales_baselines)
    rows = Rows(table.rows.words.copy())
    rows.put(patch.slots, patch.rows)
    return replace(table, rows=rows, labels=patch.labels, score_range=np.full(2, np.nan))


def _rescale_recent(rows: Rows, factor: float, offset: float) -> None:
    """Rescales the last scores in `rows`, in place. Unused fields stay 0."""
    num_told = rows["num_completions"]
    num_fields = 64 // RECENT_SCORE_BITS
    for word_index, name in enumerate(reversed(RECENT_SCORES)):  # the newest scores come first
        word = rows[name].view(np.uint64)
        rescaled = np.zeros_like(word)
        for field in range(num_fields):
            shift = np.uint64(field * RECENT_SCORE_BITS)
            score = ((word >> shift) & np.uint64(RECENT_SCORE_ONE)) / RECENT_SCORE_ONE
            told = num_told > word_index * num_fields + field
            new = np.where(told, (factor * score + offset).clip(0.0, 1.0), 0.0)
            rescaled |= np.rint(new * RECENT_SCORE_ONE).astype(np.uint64) << shift
        rows[name] = rescaled.view(np.int64)
