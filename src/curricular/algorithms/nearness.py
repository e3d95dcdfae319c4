"""Nearness: how near tasks lie, along the axes of the generator, to tasks that were solved."""

from ..arrays import Array, Columns, group_sums
from .groups import axis_values, bin_axis, stacked

NUM_BINS = 64
"""Number of bins of an axis. If an axis has more values, neighbouring values share a bin."""

STEP = 0.5
"""Weight of the tasks with the next value of the axis, among those of the pool, relative to tasks with the same."""


BIN_COLUMNS = ("params", "cells", "is_active")
"""Names of the columns that `near_bins` reads."""


def near_bins(columns: Columns) -> tuple[Array, Array]:
    """Returns the bin of each task on each axis that all tasks have, and how near the bins are to each other.

    Args:
        columns: Columns of the tasks.

    Returns:
        Bins, shape (k, n), and for each axis, the weights of the tasks of each bin around each bin and then the number
        of active tasks around it, each with its weight, shape (k, NUM_BINS, NUM_BINS + 1).
    """
    params, active = columns["params"], columns["is_active"]
    xp = params.__array_namespace__()
    values = axis_values(columns)
    bins = stacked([bin_axis(axis, xp.min(axis), xp.max(axis), NUM_BINS) for axis in values], params)
    around = [_weights(bins[axis, :], xp.astype(active, xp.float64)) for axis in range(bins.shape[0])]
    return bins, xp.stack(around) if around else xp.zeros((0, NUM_BINS, NUM_BINS + 1))


def _weights(bin_of: Array, active: Array) -> Array:
    """Returns `near_bins` weights of one axis, shape (NUM_BINS, NUM_BINS + 1)."""
    xp = active.__array_namespace__()
    (num_active,) = group_sums([active], bin_of, NUM_BINS)
    rank = xp.cumulative_sum(xp.astype(num_active > 0.0, xp.int64))
    distances = xp.reshape(xp.abs(rank[:, None] - rank[None, :]), (-1,))
    weights = xp.reshape(xp.take(STEP ** xp.astype(xp.arange(NUM_BINS), xp.float64), distances), (NUM_BINS, NUM_BINS))
    return xp.concat([weights, (weights @ num_active)[:, None]], axis=1)


def nearness(columns: Columns, bins: tuple[Array, Array], is_solved: Array) -> Array:
    """Returns how likely tasks are to be solvable, judged by the solved ones near them, > 0, shape (n,).

    On each axis that all tasks have, the share of solved tasks around a value is a mean over all tasks, whose weight
    halves with each value of the pool that lies between. One further task, with the mean of the pool, keeps the
    share above 0. The result is the product over the axes, each relative to the mean of the pool.

    Args:
        columns: Columns of the tasks.
        bins: Result of `near_bins` for these columns.
        is_solved: Whether each active task was ever solved, bool, shape (n,).
    """
    xp = is_solved.__array_namespace__()
    active = xp.astype(columns["is_active"], xp.float64)
    solved = active * xp.astype(is_solved, xp.float64)
    share_of_pool = xp.sum(solved) / xp.sum(active)
    mean = xp.where(share_of_pool > 0.0, share_of_pool, 1.0)
    result = xp.ones(active.shape[0])
    bin_of, around = bins
    for axis in range(bin_of.shape[0]):
        (num_solved,) = group_sums([solved], bin_of[axis, :], NUM_BINS)
        share = (around[axis, :, :-1] @ num_solved + mean) / (around[axis, :, -1] + 1.0)
        result = result * xp.take(share / mean, bin_of[axis, :])
    return xp.where(share_of_pool > 0.0, result, 1.0)
