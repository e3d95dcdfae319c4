"""Nearness: how near tasks lie, along the axes of the generator, to tasks that were solved."""

from ..arrays import Array, Columns, group_sums
from .sharing import bin_axis, known_values

NUM_BINS = 64
"""Largest number of values on an axis that are told apart; a bin holds neighbouring ones."""

STEP = 0.5
"""Weight of the tasks with the next value of the axis, among those of the pool, relative to tasks with the same."""


def nearness(columns: Columns, solved: Array) -> Array:
    """Returns how likely tasks are to be solvable, judged by the solved ones near them, > 0, shape (n,).

    On each axis that all tasks have, the share of solved tasks around a value is a mean over all tasks, whose weight
    halves with each value of the pool that lies between. One further task, solved as the mean of the pool, keeps the
    share above 0. The result is the product over the axes, each relative to the mean of the pool.

    Args:
        columns: Columns of the tasks.
        solved: 1 for active tasks that count as solved, else 0, shape (n,).
    """
    params = columns["params"]
    xp = params.__array_namespace__()
    is_active = columns["is_active"]
    active = xp.astype(is_active, xp.float64)
    mean = xp.sum(solved) / xp.sum(active)
    mean = xp.where(mean > 0.0, mean, 1.0)
    result = xp.ones(params.shape[0])
    for axis in range(params.shape[1] - columns["cells"].shape[1]):
        values = known_values(xp.where(is_active, params[:, axis], xp.nan))
        bins = bin_axis(values, xp.min(values), xp.max(values), NUM_BINS)
        _, (num_active, num_solved) = group_sums([active, solved], bins, NUM_BINS)
        place = xp.cumulative_sum(xp.astype(num_active > 0.0, xp.float64))
        weights = STEP ** xp.abs(place[:, None] - place[None, :])
        share = (weights @ num_solved + mean) / (weights @ num_active + 1.0)
        result = result * xp.take(share / mean, bins)
    return xp.where(xp.sum(solved) > 0.0, result, 1.0)
