"""Columns -> priorities: formulas for how much there is to learn on each task. Pure."""

from .arrays import Array, Columns, lowest_share, powers
from .config import CurriculumConfig
from .rows import RECENT_SCORE_BITS, RECENT_SCORE_ONE, RECENT_SCORES


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


def unplayable(columns: Columns, config: CurriculumConfig) -> Array:
    """Which active tasks were cancelled `config.max_failures` times in a row or more; bool, shape (n,)."""
    return columns["is_active"] & (columns["num_failures"] >= config.max_failures)


def evictable(scores: Array, columns: Columns, config: CurriculumConfig) -> Array:
    """Which tasks may go: completed often enough, and within the lowest share of `scores`. Bool, shape (n,)."""
    is_low = lowest_share(scores, columns["is_active"], config.eviction_threshold_percentile)
    return is_low & (columns["num_completions"] >= config.min_presentations_for_eviction)


def position(columns: Columns, axis: int | None) -> Array:
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


def effective_count(num_completions: Array, rate: float) -> Array:
    """Σ (1−α)^k over a task's n completions = (1 − (1−α)^n) / α: how many results an average at rate α remembers.

    Shape (n,), from 0 to 1 / `rate`. A debiased average times it is a decaying *sum* of results.
    """
    return (1.0 - powers(1.0 - rate, num_completions)) * (1.0 / rate)


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
