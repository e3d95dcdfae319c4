"""Columns -> scores: how much there is to learn on each task. Pure; the array namespace comes from the argument."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from .config import CurriculumConfig
from .task import RECENT_SCORE_BITS, RECENT_SCORE_ONE, RECENT_SCORES

Array = Any
"""An array of any library with the array API: NumPy, JAX, array_api_strict."""

SAMPLE_SIZE = 2048
"""Entries that tell about where those in a given place of the order are."""

Columns = Mapping[str, Array]
"""Field of `TaskState` -> array of shape (capacity,); params (capacity, num_axes).

And of each label, at its `label_index`: ``"label_"`` and a field of `table.LABEL` -> array of shape (MAX_LABELS,).
"""


def normalise(average: Array, baseline: Array, max_baseline: float) -> Array:
    """The average of (s − b) / (1 − b), clipped to [0, 1], from the average of s. All in [0, 1], shape (n,).

    The average of a linear map is the map of the average, so rows keep averages of the plain score and a baseline
    that is still being estimated never spoils them. `baseline` counts up to `max_baseline` < 1.
    """
    xp = average.__array_namespace__()
    b = xp.clip(baseline, 0.0, max_baseline)
    return xp.clip((average - b) / (1.0 - b), 0.0, 1.0)


def reweight(p: Array, theta: float) -> Array:
    """R(p) = p(1−θ) / (p + θ(1−2p)), which stretches small success rates; the identity at θ = ½.

    A shift of logit(p) by ln((1−θ)/θ). `p` in [0, 1] (R has a pole outside), `theta` in (0, 0.5].
    Source: Kanitscheider et al. 2021, arXiv 2106.14876, eq. 2.

    >>> import numpy as np
    >>> reweight(np.array([0.0, 0.1, 1.0]), 0.1).round(3).tolist()
    [0.0, 0.5, 1.0]
    """
    return p * (1.0 - theta) / (p * (1.0 - 2.0 * theta) + theta)


def learning_progress(fast: Array, slow: Array, theta: float) -> Array:
    """|R(fast) − R(slow)|, in [0, 1]: how far the recent average is from the longer one, in either direction.

    `fast` and `slow` in [0, 1], shape (n,). Bidirectional, so that forgetting draws as much as learning.
    Source: Kanitscheider et al. 2021, arXiv 2106.14876.

    >>> import numpy as np
    >>> learning_progress(np.array([0.2, 0.9]), np.array([0.1, 0.9]), 0.1).round(3).tolist()
    [0.192, 0.0]
    """
    xp = fast.__array_namespace__()
    # The difference of the two fractions, multiplied out: fewer passes, and nothing cancels.
    scale, slack = 1.0 - 2.0 * theta, theta
    ratio = (fast - slow) / ((fast * scale + slack) * (slow * scale + slack))
    return _rounded(xp.abs(ratio * (theta * (1.0 - theta))))


def _rounded(x: Array) -> Array:
    """`x` on a grid far coarser than rounding, far finer than progress: a task that stands still has progress 0.

    Averages of one history differ by rounding with the batches in which it was told; a z-score would make a
    difference out of it, and ties would fall by it.
    """
    xp = x.__array_namespace__()
    return xp.round(x * 2.0**32) * 2.0**-32


def standard_deviation(mean: Array, mean_square: Array) -> Array:
    """√(E[s²] − E[s]²), shape (n,), in [0, ½] for scores in [0, 1]. The "basic" score of the reference system."""
    xp = mean.__array_namespace__()
    return xp.sqrt(_rounded(xp.clip(mean_square - mean * mean, 0.0, None)))


def exploration_bonus(num_completions: Array, bonus: float, min_samples: int) -> Array:
    """The bonus: b · max(0, 1 − n / min_samples), shape (n,), added to the score of tasks with few completions."""
    xp = num_completions.__array_namespace__()
    missing = xp.clip(min_samples - xp.astype(num_completions, xp.float64), 0.0, None)
    return missing * (bonus / min_samples)


def count(mask: Array) -> Array:
    """How many entries of `mask` are true: a float, shape ()."""
    xp = mask.__array_namespace__()
    return xp.asarray(xp.count_nonzero(mask), dtype=xp.float64)


def at_place(values: Array, place: Array) -> Array:
    """The value at `place`, from 0, of `values` in order, the lowest first; shape () as `place`, a whole number.

    >>> import numpy as np
    >>> at_place(np.array([3.0, 1.0, 2.0, 3.0]), np.array(1)).tolist()
    2.0
    """
    xp = values.__array_namespace__()
    low, high = _bounds(values, place)
    # Clipped, most numbers are equal, and so sorted in next to no time.
    return xp.take(xp.sort(xp.clip(values, low, high)), xp.reshape(place, (1,)))[0]


def _bounds(values: Array, place: Array) -> tuple[Array, Array]:
    """Two numbers that the value at `place` in order lies between; near ones, as a rule, if there are many values."""
    xp = values.__array_namespace__()
    num_values = values.shape[0]
    stride = num_values // SAMPLE_SIZE
    if stride < 8:
        return -xp.inf, xp.inf
    sample = xp.sort(values[::stride])
    num_sampled = sample.shape[0]
    place = xp.astype(place, xp.float64)
    share = place / num_values
    # Of a sample in random order, so many are below, give or take four standard deviations.
    margin = 4.0 * xp.sqrt(num_sampled * share * (1.0 - share)) + 2.0
    places = xp.floor(num_sampled * share + margin * xp.asarray([-1.0, 1.0])) + 1.0
    ends = xp.concat([xp.full(1, -xp.inf), sample, xp.full(1, xp.inf)])
    guess = xp.take(ends, xp.astype(xp.clip(places, 0.0, num_sampled + 1.0), xp.int64))
    # A sample may deceive.
    low = xp.where(count(values < guess[0]) <= place, guess[0], -xp.inf)
    return low, xp.where(count(values <= guess[1]) > place, guess[1], xp.inf)


def lowest_share(scores: Array, mask: Array, share: float) -> Array:
    """Which of the masked entries lie in the lowest `share` in [0, 1] of them, ties included. Bool, shape (n,).

    >>> import numpy as np
    >>> lowest_share(np.array([3.0, 1.0, 2.0, 0.0]), np.array([True, True, True, False]), 0.34).tolist()
    [False, True, False, False]
    """
    xp = scores.__array_namespace__()
    num_lowest = xp.floor(share * count(mask))
    place = xp.astype(xp.clip(num_lowest, 1.0, None), xp.int64) - 1
    return mask & (num_lowest > 0) & (scores <= at_place(xp.where(mask, scores, xp.inf), place))


def score_change(last_score: Array, average: Array, num_completions: Array, rate: float) -> Array:
    """The moving average, at α = `rate` < 1, of the change of a task's score from one completion to the next; (n,).

    Q ← (1−α) Q + α (x_n − x_{n−1}), from Q = 0 and x_0 = 0. Adding up by parts leaves Q = α (x_n − S) / (1−α), with the
    average S of the scores that starts at 0, so that a row need not keep it. `average` is the debiased one.

    >>> import numpy as np
    >>> score_change(np.array([1.0]), np.array([(0.9 * 0.5 + 1.0) / 1.9]), np.array([2]), 0.1).round(3).tolist()
    [0.095]
    """
    weight = rate * effective_count(num_completions, rate)
    return _rounded((last_score - weight * average) * (rate / (1.0 - rate)))


def recent_slope(columns: Columns, num_recent: int) -> Array:
    """The slope per completion of the regression line through each task's last `num_recent` scores, 2 … 12; (n,).

    With fewer scores, through those that there are; 0 with one or none.
    """
    completions = columns["num_completions"]
    xp = completions.__array_namespace__()
    # Oldest first: the sum of the sums so far is Σ x (age + 1). What has not been told is 0 and adds nothing. All in
    # whole numbers, so that what stands still has a slope of exactly 0.
    total, weighted = xp.zeros_like(completions), xp.zeros_like(completions)
    for age in reversed(range(num_recent)):
        total += _recent_field(columns[RECENT_SCORES[2 - age // 4]], age % 4)
        weighted += total
    counts = xp.clip(completions, 0, num_recent)
    weighted *= 2
    total *= counts + 1
    total -= weighted
    # Of n times, the squares of the distances from their mean sum to n (n² − 1) / 12.
    squares = [n * (n * n - 1) / 12 for n in range(2, num_recent + 1)]
    scales = xp.asarray([0.0, 0.0, *(0.5 / (RECENT_SCORE_ONE * square) for square in squares)])
    return xp.astype(total, xp.float64) * xp.take(scales, counts)


def recent_change(columns: Columns, ages: Array) -> Array:
    """The change of each task's score that came `ages` results ago, ints in 0 … 10 and below its completions; (n,).

    The change at the first result is that from 0. With no results, 0.
    """
    xp = ages.__array_namespace__()
    # A look-up takes a third of the time of a choice that no processor foresees.
    words = xp.concat([columns[name] for name in reversed(RECENT_SCORES)])
    slots = xp.arange(ages.shape[0])

    def score(age: Array) -> Array:
        return _recent_field(xp.take(words, (age >> 2) * ages.shape[0] + slots), age & 3)

    return xp.astype(score(ages) - score(ages + 1), xp.float64) * (1.0 / RECENT_SCORE_ONE)


def _recent_field(words: Array, place: Array) -> Array:
    """One of the scores in `words`, shape (n,), in whole 65,535ths; the newest is at place 0, the oldest at 3."""
    field = words >> place * RECENT_SCORE_BITS
    field &= RECENT_SCORE_ONE
    return field


def evictable(scores: Array, columns: Columns, config: CurriculumConfig) -> Array:
    """Which tasks may go: completed often enough, and within the lowest share of `scores`. Bool, shape (n,)."""
    is_low = lowest_share(scores, columns["is_active"], config.eviction_threshold_percentile)
    return is_low & (columns["num_completions"] >= config.min_presentations_for_eviction)


def place(columns: Columns, axis: int | None) -> Array:
    """Where each task stands on axis number `axis` of its generator, or, for None, its number (`seed`); floats, (n,).

    A choice stands at its index. The tasks of a finite generator are numbered from 0.

    Raises `ValueError` if the generator has no such axis.
    """
    if axis is not None and axis >= columns["params"].shape[1]:
        raise ValueError(
            f"axis: expected the number, from 0, of one of the generator's {columns['params'].shape[1]} axes, got "
            f"{axis}; use one of them, or None to go by the number of the task"
        )
    xp = columns["seed"].__array_namespace__()
    return xp.astype(columns["seed"], xp.float64) if axis is None else columns["params"][:, axis]


def look_up(values: Sequence[float], places: Array, beyond: float) -> Array:
    """The value at each place, shape (n,), counted from 0; `beyond` where there is none.

    >>> import numpy as np
    >>> look_up([5.0, 7.0], np.array([1.0, 0.0, 2.0]), 1.0).tolist()
    [7.0, 5.0, 1.0]
    """
    xp = places.__array_namespace__()
    is_there = (places >= 0) & (places < len(values))
    indices = xp.astype(xp.where(is_there, places, 0.0), xp.int64)
    return xp.where(is_there, xp.take(xp.asarray(values, dtype=xp.float64), indices), beyond)


def group_sums(columns: Sequence[Array], groups: Array, num_groups: int) -> tuple[Array, list[Array]]:
    """How many entries each group has, and the sum of each of `columns` over them: floats, shape (num_groups,) each.

    `groups` and `columns` have shape (n,); groups are integers in 0 … num_groups − 1.

    >>> import numpy as np
    >>> sizes, (sums,) = group_sums([np.array([1.0, 2.0, 4.0])], np.array([1, 0, 1]), 3)
    >>> sizes.tolist(), sums.tolist()
    ([1.0, 2.0, 0.0], [2.0, 5.0, 0.0])
    """
    xp = groups.__array_namespace__()
    # Running sums over the entries by group: the array API has no way to add up by index.
    order = xp.argsort(groups, stable=False)
    edges = xp.searchsorted(xp.take(groups, order), xp.arange(num_groups + 1, dtype=groups.dtype))
    sums = []
    for column in columns:
        # Whole numbers are added up several times as fast.
        dtype = xp.float64 if xp.isdtype(column.dtype, "real floating") else xp.int64
        ordered = xp.astype(xp.take(column, order), dtype, copy=False)
        at_edges = xp.take(xp.cumulative_sum(ordered, include_initial=True), edges)
        sums.append(xp.astype(at_edges[1:] - at_edges[:-1], xp.float64))
    return xp.astype(edges[1:] - edges[:-1], xp.float64), sums


def stable_order(keys: Array) -> Array:
    """The indices that sort `keys`, lowest first, equal ones in the order they stand in; shape (n,).

    For whole numbers in 0 … 2^63 / 2n, which leave room for the index: sorting both as one is several times as fast.

    >>> import numpy as np
    >>> stable_order(np.array([3, 1, 3, 1])).tolist()
    [1, 3, 0, 2]
    """
    xp = keys.__array_namespace__()
    num_bits = keys.shape[0].bit_length()
    return xp.sort((keys << num_bits) | xp.arange(keys.shape[0])) & (2**num_bits - 1)


def effective_count(num_completions: Array, rate: float) -> Array:
    """Σ (1−α)^k over a task's n completions = (1 − (1−α)^n) / α: how many results an average at rate α remembers.

    Shape (n,), from 0 to 1 / `rate`. A debiased average times it is a decaying *sum* of results.
    """
    return (1.0 - powers(1.0 - rate, num_completions)) * (1.0 / rate)


def powers(base: float, exponents: Array) -> Array:
    """base^k, shape (n,), for whole numbers k in 0 … 2^32 and `base` in [0, 1]; below 1e-18 it may be another so low.

    The product of two looked up powers: for many k that takes half of the time of as many exponentials.

    >>> import numpy as np
    >>> powers(0.5, np.array([0, 1, 10])).tolist()
    [1.0, 0.5, 0.0009765625]
    """
    xp = exponents.__array_namespace__()
    log = math.log(max(base, 2.0**-1000))  # 0^0 is 1, too
    # With 2^bits entries a table, powers beyond the last are below e^-42.
    bits = min(16, max(1, math.ceil(math.log2(84.0 / max(-log, 2.0**-1000)) / 2.0)))
    if exponents.shape[0] < 2 ** (bits + 3):
        return xp.exp(xp.astype(exponents, xp.float64) * log)
    low, high = exponents & (2**bits - 1), xp.clip(exponents >> bits, None, 2**bits - 1)
    steps = xp.astype(xp.arange(2**bits), xp.float64) * log
    return xp.take(xp.exp(steps), low) * xp.take(xp.exp(steps * 2.0**bits), high)


def beta_posterior(columns: Columns, config: CurriculumConfig, prior: float) -> tuple[Array, Array]:
    """The a and b of a belief Beta(a, b) about each task's success rate, shape (n,) each, at least `prior` > 0.

    Successes and failures are added to `prior`, and decay towards it by 1 − `config.slow_rate` per completion of the
    task. Source: Qu et al. 2025, arXiv 2507.04632, where they decay per step of training.
    """
    count = effective_count(columns["num_completions"], config.slow_rate)
    successes = count * columns["success_ema"]
    return prior + successes, prior + (count - successes)


def beta_draw(a: Array, b: Array, u: Array) -> Array:
    """About a draw from Beta(a, b), uniform `u` in (0, 1) given: normal, of the same mean and variance, clipped; (n,).

    >>> import numpy as np
    >>> beta_draw(np.full(3, 30.0), np.full(3, 70.0), np.array([0.1, 0.5, 0.9])).round(2).tolist()
    [0.24, 0.3, 0.36]
    """
    xp = a.__array_namespace__()
    total = a + b
    deviation = xp.sqrt(a * b / (total + 1.0))  # times `total`
    return xp.clip((a + normal_quantile(u) * deviation) / total, 0.0, 1.0)


def normal_quantile(u: Array) -> Array:
    """The `u`-quantile of the standard normal distribution to within 3e-3, u in (0, 1), shape (n,).

    Source: Abramowitz and Stegun 1964, equation 26.2.22.
    """
    xp = u.__array_namespace__()
    side = u - 0.5
    t = xp.sqrt(xp.log(0.5 - xp.abs(side)) * -2.0)
    return xp.copysign(t - (2.30753 + t * 0.27061) / (1.0 + t * (0.99229 + t * 0.04481)), side)


def learnability(a: Array, b: Array) -> Array:
    """The expectation of p(1 − p) under Beta(a, b): ab / ((a + b)(a + b + 1)), in (0, ¼), shape (n,).

    A task that is known gets p(1 − p) of its success rate; one that is not gets what can be hoped for.
    Source of p(1 − p): Rutherford et al. 2024, arXiv 2408.15099, section 4.

    >>> import numpy as np
    >>> learnability(np.array([1.0, 500.0]), np.array([1.0, 500.0])).round(3).tolist()
    [0.167, 0.25]
    """
    total = a + b
    return a * b / (total * (total + 1.0))
