"""Debiased averages of many tasks at once: the first results of all tasks, then their second results, and so on."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

_LENGTH = 2**12
"""Number of entries in each of the two tables of weights."""


@lru_cache
def weight_tables(rates: tuple[float, ...]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Returns the weights 1 − (1−α)^n of n results, for n = 0, 1, 2, … and for multiples of `_LENGTH`.

    Shape (_LENGTH, rates) each.
    """
    with np.errstate(divide="ignore", invalid="ignore"):  # at a rate of 1
        exponents = np.arange(_LENGTH)[:, None] * np.log1p(-np.array(rates))
        tables = -np.expm1(exponents), -np.expm1(exponents * _LENGTH)
    for table in tables:
        table[0] = 0.0
    return tables


def weight(rates: tuple[float, ...], counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Returns the weight 1 − (1−α)^n that n results have in a debiased average, shape (k, rates).

    The weights come from tables, so that equal counts have equal weights, bit for bit, on their own and among others.

    Args:
        rates: Rates α.
        counts: Numbers n of results, shape (k,).
    """
    low, high = weight_tables(rates)
    if counts.max() < _LENGTH:
        return low.take(counts, axis=0)
    coarse, fine = np.divmod(counts.clip(max=_LENGTH**2 - 1), _LENGTH)
    rest = low.take(fine, axis=0)
    return rest + (1.0 - rest) * high.take(coarse, axis=0)


def averaged(
    old: NDArray[np.float64],
    values: NDArray[np.float64],
    gains: NDArray[np.float64],
    starts: NDArray[np.int64],
    sizes: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Returns the averages of each group after its `values`: one step ``a += gain * (value - a)`` per value, in order.

    Takes the k-th steps of all groups at once, so the result does not depend on how values are batched, bit for bit.

    Args:
        old: Averages before, shape (groups, a).
        values: New values by group, oldest first, shape (n, a).
        gains: Gain of each value, shape (n, a).
        starts: Index of each group's first value, shape (groups,).
        sizes: Number of values of each group, at least 1, shape (groups,).
    """
    most = int(sizes.max())
    # NumPy sorts integers of up to 16 bits by radix, several times faster.
    by_size = (most - sizes).astype(np.min_scalar_type(most)).argsort(kind="stable")  # the largest groups come first
    counts = len(sizes) - np.bincount(sizes).cumsum()[:-1]  # number of groups with more than k values
    num_rounds = int(np.count_nonzero(counts > NUM_ALONE))
    averages = old.take(by_size, axis=0)
    _step_together(averages, values, gains, starts.take(by_size), counts[:num_rounds])
    alone = by_size[: counts[num_rounds] if num_rounds < len(counts) else 0]
    for rank, (start, size) in enumerate(zip(starts[alone].tolist(), sizes[alone].tolist(), strict=True)):
        span = slice(start + num_rounds, start + size)
        averages[rank] = _stepped(averages[rank], values[span].T, gains[span].T)
    result = np.empty_like(old)
    result[by_size] = averages
    return result


NUM_ALONE = 2
"""Number of groups up to which plain floats are faster than arrays: those with many more values than the others."""


def _step_together(
    averages: NDArray[np.float64],
    values: NDArray[np.float64],
    gains: NDArray[np.float64],
    starts: NDArray[np.int64],
    counts: NDArray[np.int64],
) -> None:
    """Takes the steps of all groups, in place: those of the first ``counts[k]`` groups are the k-th steps.

    Args:
        averages: Shape (groups, a).
        values: Shape (n, a).
        gains: Shape (n, a).
        starts: Index of each group's first value, shape (groups,).
        counts: Falling numbers of groups, shape (rounds,).
    """
    firsts = (counts.cumsum() - counts).repeat(counts)
    order = starts.take(np.arange(len(firsts)) - firsts) + np.arange(len(counts)).repeat(counts)
    told, rates = values.take(order, axis=0).ravel(), gains.take(order, axis=0).ravel()
    flat, first = averages.ravel(), 0  # views, whose slices are faster than those of matrices
    for count in (counts * averages.shape[1]).tolist():
        changed, difference = flat[:count], told[first : first + count]
        difference -= changed
        difference *= rates[first : first + count]
        changed += difference
        first += count


def _stepped(averages: NDArray[np.float64], values: NDArray[np.float64], gains: NDArray[np.float64]) -> list[float]:
    """Returns the averages of one group, shape (a,), after its `values`, shape (a, n)."""
    stepped = []
    for average, told, rates in zip(averages.tolist(), values.tolist(), gains.tolist(), strict=True):
        for value, rate in zip(told, rates, strict=True):
            average += (value - average) * rate  # noqa: PLW2901  the step is the point
        stepped.append(average)
    return stepped
