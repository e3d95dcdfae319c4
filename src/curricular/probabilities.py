"""Priorities -> probabilities -> slots. Pure: masks instead of filters, uniforms instead of a random generator.

`mask` marks the active entries, shape (n,); probabilities are 0 elsewhere.
"""

import functools
import operator
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .arrays import Array, count, order_statistic

NUM_RANKS = 1024
"""The best so many tasks are told apart by `rank`."""


def z_score(scores: Array, mask: Array) -> Array:
    """(x − mean) / std over the active entries, shape (n,); 0 where inactive and where all are equal."""
    xp = scores.__array_namespace__()
    active, num_active = xp.where(mask, scores, 0.0), count(mask)
    mean = xp.sum(active) / num_active
    # A product with 0 or 1 is several times cheaper than a choice; these are finite.
    centred = (active - mean) * xp.astype(mask, xp.float64)
    std = xp.sqrt(xp.vecdot(centred, centred) / num_active)
    # Rounding leaves a std of about 1e-17 on equal scores; nothing real is that small beside their mean.
    is_flat = std <= 1e-12 * xp.abs(mean)
    return centred * xp.where(is_flat, 0.0, 1.0 / xp.where(is_flat, 1.0, std))


def softmax(logits: Array, mask: Array, temperature: float) -> Array:
    """The softmax of logits / T over the active entries, of which there is at least one; shape (n,), sum 1. T > 0."""
    xp = logits.__array_namespace__()
    active = xp.where(mask, logits, -xp.inf)
    weights = xp.exp((active - xp.max(active)) * (1.0 / temperature))
    return weights * (1.0 / xp.sum(weights))


def proportional(scores: Array, mask: Array, power: float = 1.0) -> Array:
    """score^power / Σ score^power over the active entries, shape (n,), sum 1. Scores ≥ 0; uniform if all are 0.

    >>> import numpy as np
    >>> proportional(np.array([1.0, 3.0, 9.0]), np.array([True, True, False])).tolist()
    [0.25, 0.75, 0.0]
    """
    xp = scores.__array_namespace__()
    weights = xp.where(mask, scores, 0.0)
    if power != 1.0:
        weights = (weights / _or_one(xp.max(weights))) ** power
    total = xp.sum(weights)
    # One array less to go through than with a choice between two results.
    is_empty = xp.astype(total <= 0.0, xp.float64)
    return weights * (1.0 / (total + is_empty)) + xp.astype(mask, xp.float64) * (is_empty / count(mask))


def sigmoid(logits: Array, mask: Array, slope: float = 1.0, centre: float = 0.0) -> Array:
    """σ(slope · (logit − centre)), normalised over the active entries; shape (n,), sum 1."""
    xp = logits.__array_namespace__()
    # Beyond ±500 exp would come near overflow; what it gives there is 0 or 1 in any case.
    exponents = xp.clip((centre - xp.where(mask, logits, centre)) * slope, -500.0, 500.0)
    return proportional(1.0 / (1.0 + xp.exp(exponents)), mask)


def sigmoid90(z: Array, mask: Array) -> Array:
    """The sigmoid at slope 3 around 1.2816, the 90th percentile of a normal z: about the upper tenth, softly.

    Shape (n,), sum 1. Source of centre and slope: Kanitscheider et al. 2021, arXiv 2106.14876.
    """
    return sigmoid(z, mask, slope=3.0, centre=1.2816)


def rank(scores: Array, mask: Array, temperature: float) -> Array:
    """(1 / rank)^{1/β} over the active entries, highest score first, normalised; shape (n,), sum 1. β is `temperature`.

    Equal scores share the weights of the ranks that they take up, which is what breaking ties at random gives in the
    mean. The ranks beyond `NUM_RANKS` share their weight evenly: at β ≤ 0.3 less than a millionth of all, and they
    need not be sorted out. Source: Jiang et al. 2021, arXiv 2010.03934, section 3.

    >>> import numpy as np
    >>> rank(np.array([0.1, 0.9, 0.5]), np.array([True, True, True]), 1.0).round(4).tolist()
    [0.1818, 0.5455, 0.2727]
    >>> rank(np.array([2.0, 2.0, 2.0, 7.0]), np.array([True, True, True, False]), 0.1).round(4).tolist()
    [0.3333, 0.3333, 0.3333, 0.0]
    """
    xp = scores.__array_namespace__()
    size = scores.shape[0]
    num_exact = min(size, NUM_RANKS)
    active = xp.where(mask, scores, -xp.inf)
    num_active = count(mask)

    # Sums of the weights of ranks 1 … k, best first; a rank that nobody holds weighs nothing.
    ranks = xp.arange(1, num_exact + 1, dtype=xp.float64)
    weights = xp.where(ranks <= num_active, ranks ** (-1.0 / temperature), 0.0)
    sums = xp.concat([xp.zeros(1), xp.cumulative_sum(weights)])
    total = sums[-1] + _power_sum(num_exact, xp.clip(num_active, num_exact, None), -1.0 / temperature)

    # The best, in the order of the array: those above the lowest of them, and as often that one as there is room.
    lowest = order_statistic(active, xp.asarray(size - num_exact))
    is_above = active > lowest
    places = xp.cumulative_sum(xp.astype(is_above, xp.int64))
    found = xp.searchsorted(places, xp.arange(1, num_exact + 1, dtype=xp.int64))
    best = xp.where(found < size, xp.take(active, xp.clip(found, None, size - 1)), lowest)
    # Sorted, lower … upper − 1 hold a score, which are the ranks num_exact − upper + 1 … num_exact − lower.
    ordered = xp.sort(best)
    lower, upper = xp.searchsorted(ordered, best, side="left"), xp.searchsorted(ordered, best, side="right")
    shared = xp.take(sums, num_exact - lower) - xp.take(sums, num_exact - upper)
    shared = shared / xp.astype(upper - lower, xp.float64)
    # The lowest of the best may be equal to others that are not among them: all from there down share what is left.
    num_above = places[-1:]
    rest = (total - xp.take(sums, num_above)) / _or_one(num_active - xp.astype(num_above, xp.float64))
    chances = xp.concat([rest, shared]) / total
    return xp.take(chances, places * xp.astype(is_above, xp.int64)) * xp.astype(mask, xp.float64)


def _power_sum(first: int, last: Array, exponent: float) -> Array:
    """Σ k^exponent over first < k ≤ last, exponent < 0, by the midpoint rule: good to 1e-6 of it from 1,000 on."""
    xp = last.__array_namespace__()
    low, high = first + 0.5, last + 0.5
    if exponent == -1.0:
        return xp.log(high / low)
    return (high ** (exponent + 1.0) - low ** (exponent + 1.0)) / (exponent + 1.0)


def top_k(scores: Array, mask: Array, k: int) -> Array:
    """The same probability for the `k` ≥ 1 highest active scores, all if there are fewer; shape (n,), sum 1.

    Entries that are equal at the threshold share the places that are left there.

    >>> import numpy as np
    >>> top_k(np.array([5.0, 1.0, 1.0, 0.0]), np.full(4, True), 2).tolist()
    [0.5, 0.25, 0.25, 0.0]
    """
    xp = scores.__array_namespace__()
    size = scores.shape[0]
    active = xp.where(mask, scores, -xp.inf)
    # With fewer than k active entries, the threshold is -inf and nobody is at it.
    threshold = xp.max(active) if k == 1 else order_statistic(active, xp.asarray(max(0, size - k)))
    is_above, is_at = active > threshold, mask & (active == threshold)
    num_above, num_at = count(is_above), count(is_at)
    num_shared = xp.minimum(k - num_above, num_at)
    each = 1.0 / (num_above + num_shared)
    share = each * num_shared / _or_one(num_at)
    return xp.astype(is_above, xp.float64) * each + xp.astype(is_at, xp.float64) * share


def staleness(last_scheduled: Array, mask: Array) -> Array:
    """In proportion to the hand-outs of the pool since each active task's last one; shape (n,), sum 1.

    `last_scheduled` counts hand-outs, as in `TaskState`. Source: Jiang et al. 2021, arXiv 2010.03934, section 3.

    >>> import numpy as np
    >>> staleness(np.array([10, 7, 9]), np.array([True, True, True])).tolist()
    [0.0, 0.75, 0.25]
    """
    xp = last_scheduled.__array_namespace__()
    latest = xp.max(last_scheduled * xp.astype(mask, last_scheduled.dtype))
    return proportional(xp.astype(latest - last_scheduled, xp.float64), mask)


def uniform(mask: Array) -> Array:
    """The same probability for every active entry, shape (n,), sum 1."""
    xp = mask.__array_namespace__()
    return xp.astype(mask, xp.float64) * (1.0 / count(mask))


def capped(probabilities: Array, mask: Array, is_capped: Array) -> Array:
    """`probabilities`, of those in `is_capped` at most the uniform share; what is cut off goes to the others; (n,).

    In proportion to their own, or evenly if these are all 0. Where every active entry is capped, nothing changes.

    >>> import numpy as np
    >>> capped(np.array([0.7, 0.2, 0.1, 0.0]), np.full(4, True), np.array([True, False, False, False])).tolist()
    [0.25, 0.5, 0.25, 0.0]
    """
    xp = probabilities.__array_namespace__()
    is_free = mask & ~is_capped
    limited = xp.where(is_capped, xp.minimum(probabilities, 1.0 / count(mask)), 0.0)
    others = proportional(xp.where(is_free, probabilities, 0.0), is_free | ~xp.any(is_free))
    return xp.where(xp.any(is_free), limited + (1.0 - xp.sum(limited)) * others, probabilities)


def mix(probabilities: Array, floor: Array, share: float) -> Array:
    """(1 − share) · probabilities + share · floor, shape (n,). `share` in [0, 1]."""
    return (1.0 - share) * probabilities + share * floor


def blend(parts: Sequence[tuple[float, Array]]) -> Array:
    """Σ share · probabilities over `parts`, pairs of a share in [0, 1] and probabilities of shape (n,).

    Raises `ValueError` if a share is negative or the shares do not sum to 1.

    >>> import numpy as np
    >>> blend([(0.75, np.array([1.0, 0.0])), (0.25, np.array([0.5, 0.5]))]).tolist()
    [0.875, 0.125]
    """
    shares = [share for share, _ in parts]
    if min(shares, default=0.0) < 0 or abs(sum(shares) - 1.0) > 1e-9:
        raise ValueError(f"parts: expected shares ≥ 0 that sum to 1, got {shares}; rescale them")
    return functools.reduce(operator.add, (share * probabilities for share, probabilities in parts if share))


def _or_one(x: Array) -> Array:
    """`x`, or 1 where it is 0: a divisor."""
    xp = x.__array_namespace__()
    return xp.where(x == 0.0, 1.0, x)


def cumulative(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """The running sum that `pick` searches, shape (n,), last entry exactly 1."""
    sums: NDArray[np.float64] = np.cumsum(probabilities)
    sums /= sums[-1]
    return sums


def pick(cumulated: NDArray[np.float64], uniforms: NDArray[np.float64]) -> NDArray[np.int64]:
    """The slot that each uniform in [0, 1) falls on, shape of `uniforms`. A slot of probability 0 is never picked."""
    return np.searchsorted(cumulated, uniforms, side="right").astype(np.int64, copy=False)
