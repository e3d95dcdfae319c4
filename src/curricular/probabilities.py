"""Priorities -> probabilities -> slots. Pure: masks instead of filters, uniforms instead of a random generator.

`mask` marks the active entries, bool, shape (n,). Probabilities have shape (n,), sum to 1 and are 0 where inactive.
"""

import functools
import operator
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from .arrays import Array, count, either, masked, order_statistic, total

NUM_RANKS = 1024
"""`rank` orders only this many top tasks; the rest share the remaining weight."""

NUM_ROUNDS = 4
"""Number of draws per slot after which `pick_distinct` chooses the rest by exponential clocks."""


def z_score(values: Array, mask: Array) -> Array:
    """Returns (x − mean) / std over the active entries, shape (n,); 0 where inactive and where all are equal."""
    xp = values.__array_namespace__()
    active, num_active = masked(values, mask), count(mask)
    mean = xp.sum(active) / num_active
    # A product with 0 or 1 is several times as fast as a choice, and safe because all factors are finite.
    centred = (active - mean) * xp.astype(mask, xp.float64)
    std = xp.sqrt(xp.vecdot(centred, centred) / num_active)
    # Rounding leaves a std of about 1e-17 on equal values; no real spread is that small beside the mean.
    is_flat = std <= 1e-12 * xp.abs(mean)
    return centred * xp.where(is_flat, 0.0, 1.0 / xp.where(is_flat, 1.0, std))


def softmax(logits: Array, mask: Array, temperature: float) -> Array:
    """Returns the softmax of logits / T over the active entries.

    Args:
        logits: Shape (n,).
        mask: At least one entry is active.
        temperature: T, above 0; lower values concentrate the probability on the highest logits.
    """
    xp = logits.__array_namespace__()
    active = xp.where(mask, logits, -xp.inf)
    weights = xp.exp((active - xp.max(active)) * (1.0 / temperature))
    return weights * (1.0 / xp.sum(weights))


def proportional(priorities: Array, mask: Array, power: float = 1.0) -> Array:
    """Returns priority^power / Σ priority^power over the active entries; uniform if all priorities are 0.

    Args:
        priorities: At least 0, shape (n,). With a negative one or NaN, the result is no distribution.
        mask: Active entries.
        power: Larger values concentrate the probability on the highest priorities.

    Examples:
        >>> import numpy as np
        >>> proportional(np.array([1.0, 3.0, 9.0]), np.array([True, True, False])).tolist()
        [0.25, 0.75, 0.0]
    """
    xp = priorities.__array_namespace__()
    weights = masked(priorities, mask)
    if power != 1.0:
        sizes = xp.abs(weights)
        weights = xp.copysign((sizes / _or_one(xp.max(sizes))) ** power, weights)
    sum_of_weights = total(weights)
    if isinstance(weights, np.ndarray) and sum_of_weights > 0.0:
        return weights * (1.0 / sum_of_weights)
    is_empty = xp.astype(~xp.any(weights != 0.0), xp.float64)
    # A sum of both cases needs one array less than a choice between them. The sign of a negative sum stays.
    scaled = weights * (1.0 / _or_one(xp.abs(sum_of_weights)))
    return scaled + xp.astype(mask, xp.float64) * (is_empty / count(mask))


def sigmoid(logits: Array, mask: Array, slope: float = 1.0, centre: float = 0.0) -> Array:
    """Returns σ(slope · (logit − centre)), normalised over the active entries."""
    xp = logits.__array_namespace__()
    # Beyond ±500, exp comes close to overflow, and its result is as good as 0 or 1.
    exponents = xp.clip((centre - xp.where(mask, logits, centre)) * slope, -500.0, 500.0)
    return proportional(1.0 / (1.0 + xp.exp(exponents)), mask)


def sigmoid90(z: Array, mask: Array) -> Array:
    """Returns the sigmoid of slope 3 around 1.2816, the 90th percentile of a normal z: softly the upper tenth.

    Source of centre and slope: Kanitscheider et al. 2021, arXiv 2106.14876.
    """
    return sigmoid(z, mask, slope=3.0, centre=1.2816)


def rank(priorities: Array, mask: Array, temperature: float) -> Array:
    """Returns (1 / rank)^{1/β} over the active entries, normalised; the highest priority has rank 1.

    Equal priorities share the weights of their ranks, which is the mean over random tie-breaking. Ranks beyond
    `NUM_RANKS` share their weight evenly, so they need no sorting; at β ≤ 0.3 it is less than a millionth of all.
    Source: Jiang et al. 2021, arXiv 2010.03934, section 3.

    Args:
        priorities: Shape (n,).
        mask: Active entries.
        temperature: β, above 0; lower values concentrate the probability on the first ranks.

    Examples:
        >>> import numpy as np
        >>> rank(np.array([0.1, 0.9, 0.5]), np.array([True, True, True]), 1.0).round(4).tolist()
        [0.1818, 0.5455, 0.2727]
        >>> rank(np.array([2.0, 2.0, 2.0, 7.0]), np.array([True, True, True, False]), 0.1).round(4).tolist()
        [0.3333, 0.3333, 0.3333, 0.0]
    """
    xp = priorities.__array_namespace__()
    size = priorities.shape[0]
    num_exact = min(size, NUM_RANKS)
    active = xp.where(mask, priorities, -xp.inf)
    num_active = count(mask)

    # Sums of the weights of ranks 1 … k, best first; a rank beyond the active entries weighs nothing.
    ranks = xp.arange(1, num_exact + 1, dtype=xp.float64)
    weights = xp.where(ranks <= num_active, ranks ** (-1.0 / temperature), 0.0)
    sums = xp.concat([xp.zeros(1), xp.cumulative_sum(weights)])
    total = sums[-1] + _power_sum(num_exact, xp.clip(num_active, num_exact, None), -1.0 / temperature)

    # The best `num_exact` in the order of the array: all above the lowest of them, then copies of that lowest one.
    lowest = order_statistic(active, xp.asarray(size - num_exact))
    is_above = active > lowest
    positions = xp.cumulative_sum(xp.astype(is_above, xp.int64))
    found = xp.searchsorted(positions, xp.arange(1, num_exact + 1, dtype=xp.int64))
    best = xp.where(found < size, xp.take(active, xp.clip(found, None, size - 1)), lowest)
    # A priority at lower … upper − 1 of the ascending order has the ranks num_exact − upper + 1 … num_exact − lower.
    ordered = xp.sort(best)
    lower, upper = xp.searchsorted(ordered, best, side="left"), xp.searchsorted(ordered, best, side="right")
    shared = xp.take(sums, num_exact - lower) - xp.take(sums, num_exact - upper)
    shared = shared / xp.astype(upper - lower, xp.float64)
    # Entries outside the best may equal the lowest of the best: all from there down share the remaining weight.
    num_above = positions[-1:]
    rest = (total - xp.take(sums, num_above)) / _or_one(num_active - xp.astype(num_above, xp.float64))
    probabilities = xp.concat([rest, shared]) / total
    return xp.take(probabilities, positions * xp.astype(is_above, xp.int64)) * xp.astype(mask, xp.float64)


def _power_sum(first: int, last: Array, exponent: float) -> Array:
    """Returns Σ k^exponent over first < k ≤ last, exponent < 0, by the midpoint rule: within 1e-6 from 1,000 on."""
    xp = last.__array_namespace__()
    low, high = first + 0.5, last + 0.5
    if exponent == -1.0:
        return xp.log(high / low)
    return (high ** (exponent + 1.0) - low ** (exponent + 1.0)) / (exponent + 1.0)


def top_k(priorities: Array, mask: Array, k: int) -> Array:
    """Returns the same probability for the `k` ≥ 1 highest active priorities; for all active ones if they are fewer.

    Entries that tie for the last ranks share the probability of those ranks.

    Examples:
        >>> import numpy as np
        >>> top_k(np.array([5.0, 1.0, 1.0, 0.0]), np.full(4, True), 2).tolist()
        [0.5, 0.25, 0.25, 0.0]
    """
    xp = priorities.__array_namespace__()
    size = priorities.shape[0]
    active = xp.where(mask, priorities, -xp.inf)
    # With fewer than k active entries, the threshold is -inf and no active entry is at it.
    threshold = xp.max(active) if k == 1 else order_statistic(active, xp.asarray(max(0, size - k)))
    return _best(active, mask, threshold, k)


def top_share(priorities: Array, mask: Array, share: float) -> Array:
    """Returns the same probability for the highest `share` of the active priorities, for at least one of them.

    Entries that tie for the last ranks share the probability of those ranks.

    Args:
        priorities: Shape (n,).
        mask: At least one entry is active.
        share: In (0, 1].

    Examples:
        >>> import numpy as np
        >>> top_share(np.array([5.0, 4.0, 3.0, 9.0]), np.array([True, True, True, False]), 0.7).tolist()
        [0.5, 0.5, 0.0, 0.0]
    """
    xp = priorities.__array_namespace__()
    active = xp.where(mask, priorities, -xp.inf)
    k = xp.clip(xp.round(share * count(mask)), 1.0, None)
    threshold = order_statistic(active, xp.astype(active.shape[0] - k, xp.int64))
    return _best(active, mask, threshold, k)


def _best(active: Array, mask: Array, threshold: Array, k: Array | float) -> Array:
    """Returns the same probability for the `k` entries from `threshold` on, those at it sharing what is left."""
    xp = active.__array_namespace__()
    is_above, is_at = active > threshold, mask & (active == threshold)
    num_above, num_at = count(is_above), count(is_at)
    num_shared = xp.minimum(k - num_above, num_at)
    each = 1.0 / (num_above + num_shared)
    share = each * num_shared / _or_one(num_at)
    return xp.astype(is_above, xp.float64) * each + xp.astype(is_at, xp.float64) * share


def staleness(last_scheduled: Array, mask: Array) -> Array:
    """Returns probabilities in proportion to the hand-outs of the pool since each active task's last one.

    Hand-outs after the latest one of an active task do not count.

    Source: Jiang et al. 2021, arXiv 2010.03934, section 3.

    Args:
        last_scheduled: Hand-outs of the pool up to the task's last one, as in `TaskState`, shape (n,).
        mask: Active entries.

    Examples:
        >>> import numpy as np
        >>> staleness(np.array([10, 7, 9]), np.array([True, True, True])).tolist()
        [0.0, 0.75, 0.25]
    """
    xp = last_scheduled.__array_namespace__()
    latest = xp.max(masked(last_scheduled, mask))
    return proportional(xp.astype(latest - last_scheduled, xp.float64), mask)


def uniform(mask: Array) -> Array:
    """Returns the same probability for every active entry."""
    xp = mask.__array_namespace__()
    return xp.astype(mask, xp.float64) * (1.0 / count(mask))


def capped(probabilities: Array, mask: Array, is_capped: Array) -> Array:
    """Returns `probabilities` with some entries capped at 1 / number of active entries.

    The other entries get the excess in proportion to their probabilities, or evenly if these are all 0. If every active
    entry is capped, nothing changes.

    Args:
        probabilities: Shape (n,).
        mask: Active entries.
        is_capped: Entries to cap, bool, shape (n,).

    Examples:
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
    """Returns (1 − share) · probabilities + share · floor, shape (n,), with `share` in [0, 1]."""
    return (1.0 - share) * probabilities + share * floor


def blend(parts: Sequence[tuple[float, Array]]) -> Array:
    """Returns Σ share · probabilities over `parts`, shape (n,).

    Args:
        parts: Pairs of a share in [0, 1] and probabilities of shape (n,).

    Raises:
        ValueError: If a share is negative or the shares do not sum to 1.

    Examples:
        >>> import numpy as np
        >>> blend([(0.75, np.array([1.0, 0.0])), (0.25, np.array([0.5, 0.5]))]).tolist()
        [0.875, 0.125]
    """
    shares = [share for share, _ in parts]
    if min(shares, default=0.0) < 0 or abs(sum(shares) - 1.0) > 1e-9:
        raise ValueError(f"parts: expected shares ≥ 0 that sum to 1, got {shares}; rescale them")
    return functools.reduce(operator.add, (share * probabilities for share, probabilities in parts if share))


def _or_one(x: Array) -> Array:
    """Returns `x`, shape () or (1,), as a divisor: 1 where it is 0."""
    return either(x == 0.0, 1.0, x)


def cumulative(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns the running sum that `pick` searches, shape (n,), with a last entry of exactly 1."""
    sums: NDArray[np.float64] = np.cumsum(probabilities)
    sums /= sums[-1]
    return sums


def clocks(cumulated: NDArray[np.float64], uniforms: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns a random time for each slot, shape (n,), in whose order slots are drawn without replacement.

    The times are exponential with the probabilities as rates, and infinite where the probability is 0.

    Args:
        cumulated: The distribution, shape (n,).
        uniforms: Numbers in [0, 1), shape (n,).
    """
    probabilities = np.diff(cumulated, prepend=0.0)
    times = np.full(len(probabilities), np.inf)
    is_possible = probabilities > 0
    times[is_possible] = -np.log1p(-uniforms[is_possible]) / probabilities[is_possible]
    return times


def clock_order(
    cumulated: NDArray[np.float64],
    uniforms: NDArray[np.float64],
    mask: NDArray[np.bool_],
    is_late: NDArray[np.bool_] | None = None,
) -> NDArray[np.int64]:
    """Returns the active slots, shape (k,), in the order in which draws without replacement choose them.

    Slots of probability 0 come last.

    Args:
        cumulated: The distribution, shape (n,).
        uniforms: Numbers in [0, 1), shape (n,).
        mask: Active slots, shape (n,).
        is_late: Slots that come after all others that can be drawn, shape (n,); None: there are none.
    """
    times = clocks(cumulated, uniforms)
    keys = (times,) if is_late is None else (times, is_late, np.isinf(times))
    order: NDArray[np.int64] = np.lexsort(keys)
    return order[mask[order]]


def pick_distinct(
    n: int,
    num_slots: int,
    uniforms: Callable[[int, int], NDArray[np.float64]],
    drawn: Callable[[NDArray[np.float64]], NDArray[np.int64]],
    ordered: Callable[[NDArray[np.float64]], NDArray[np.int64]],
) -> tuple[NDArray[np.int64], int]:
    """Draws slots without replacement.

    Draws with replacement and leaves out what was chosen before. A few tasks may hold nearly all of the probability.
    Exponential clocks then choose the rest by the same law.

    Args:
        n: Number of slots to choose.
        num_slots: Number of slots in all.
        uniforms: ``uniforms(skip, k)`` returns `k` numbers in [0, 1) of a stream, shape (k,), after the first `skip`.
        drawn: Returns those slots that uniforms, shape (k,), select and that may be chosen, in this order.
        ordered: Returns all slots that may be chosen, in the order of clocks with uniforms, shape (num_slots,).

    Returns:
        The slots, shape (n,), or as many as there are; and the number of uniforms used.
    """
    chosen: dict[int, None] = {}
    used = 0
    while len(chosen) < n and used < NUM_ROUNDS * n:
        chosen.update(dict.fromkeys(drawn(uniforms(used, n)).tolist()))
        used += n
    slots = np.fromiter(chosen, np.int64, len(chosen))[:n]
    if len(slots) == n:
        return slots, used
    order = ordered(uniforms(used, num_slots))
    rest = order[~np.isin(order, slots)]
    return np.concatenate([slots, rest[: n - len(slots)]]), used + num_slots


def pick(cumulated: NDArray[np.float64], uniforms: NDArray[np.float64]) -> NDArray[np.int64]:
    """Returns the slot that each uniform selects, shape of `uniforms`; never a slot of probability 0.

    Args:
        cumulated: Result of `cumulative`, shape (n,).
        uniforms: In [0, 1), any shape.
    """
    return np.searchsorted(cumulated, uniforms, side="right").astype(np.int64, copy=False)
