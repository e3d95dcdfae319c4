"""Columns -> priorities: formulas for how much there is to learn on each task. Pure."""

from .arrays import Array, Columns, lowest_share, powers, within
from .config import CurriculumConfig
from .rows import RECENT_SCORE_BITS, RECENT_SCORE_ONE, RECENT_SCORES, Rows


def normalise(average: Array, baseline: Array, max_baseline: float) -> Array:
    """Returns the average of (s − b) / (1 − b), clipped to [0, 1], from the average of the score s; shape (n,).

    The average of a linear map is the map of the average. So rows keep averages of the plain score, and a baseline
    that is still being estimated never spoils them.

    Args:
        average: Average of s, in [0, 1], shape (n,).
        baseline: Random baseline b, in [0, 1], shape (n,).
        max_baseline: Cap on b, below 1.
    """
    b = within(baseline, 0.0, max_baseline)
    return within((average - b) / (1.0 - b), 0.0, 1.0)


def reweight(p: Array, theta: float) -> Array:
    """Returns R(p) = p(1−θ) / (p + θ(1−2p)), which stretches small success rates; the identity at θ = ½.

    R shifts logit(p) by ln((1−θ)/θ). Source: Kanitscheider et al. 2021, arXiv 2106.14876, eq. 2.

    Args:
        p: Success rates in [0, 1], shape (n,); R has a pole outside.
        theta: θ in (0, 0.5].

    Examples:
        >>> import numpy as np
        >>> reweight(np.array([0.0, 0.1, 1.0]), 0.1).round(3).tolist()
        [0.0, 0.5, 1.0]
    """
    return p * (1.0 - theta) / (p * (1.0 - 2.0 * theta) + theta)


def learning_progress(fast: Array, slow: Array, theta: float) -> Array:
    """Returns |R(fast) − R(slow)|, in [0, 1], shape (n,): the gap between a recent and a longer average.

    The gap counts in both directions, so that a task is drawn for forgetting as much as for learning.
    Source: Kanitscheider et al. 2021, arXiv 2106.14876.

    Args:
        fast: Recent averages in [0, 1], shape (n,).
        slow: Longer averages in [0, 1], shape (n,).
        theta: θ of `reweight`, in (0, 0.5].

    Examples:
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
    """Returns `x` on a grid far coarser than rounding errors and far finer than progress.

    Averages of one history differ by rounding errors if the results came in other batches. On the grid, a task that
    stands still has a progress of exactly 0; otherwise a z-score would amplify the errors, and they would break ties.
    """
    xp = x.__array_namespace__()
    return xp.round(x * 2.0**32) * 2.0**-32


def standard_deviation(mean: Array, mean_square: Array) -> Array:
    """Returns √(E[s²] − E[s]²) of scores s in [0, 1], shape (n,): the "basic" progress of the reference system."""
    xp = mean.__array_namespace__()
    return xp.sqrt(_rounded(xp.clip(mean_square - mean * mean, 0.0, None)))


def exploration_bonus(num_completions: Array, bonus: float, min_samples: int) -> Array:
    """Returns b · max(0, 1 − n / min_samples), which is added to the priority of tasks with a small count n.

    Args:
        num_completions: Count n of each task, of its completions or of its ended hand-outs, shape (capacity,).
        bonus: b, the bonus at n = 0.
        min_samples: Count at which the bonus reaches 0.
    """
    xp = num_completions.__array_namespace__()
    missing = xp.clip(min_samples - xp.astype(num_completions, xp.float64), 0.0, None)
    return missing * (bonus / min_samples)


def score_change(last_score: Array, average: Array, num_completions: Array, rate: float) -> Array:
    """Returns the moving average of the change of a task's score from one completion to the next, shape (n,).

    Q ← (1−α) Q + α (x_n − x_{n−1}), from Q = 0 and x_0 = 0. Summation by parts leaves Q = α (x_n − S) / (1−α), with
    the average S of the scores that starts at 0; so a row need not store Q.

    Args:
        last_score: x_n, shape (n,).
        average: Debiased average of the scores at rate α, shape (n,).
        num_completions: Completions of each task, shape (n,).
        rate: α, below 1.

    Examples:
        >>> import numpy as np
        >>> score_change(np.array([1.0]), np.array([(0.9 * 0.5 + 1.0) / 1.9]), np.array([2]), 0.1).round(3).tolist()
        [0.095]
    """
    weight = rate * effective_count(num_completions, rate)
    return _rounded((last_score - weight * average) * (rate / (1.0 - rate)))


def recent_slope(columns: Columns, num_recent: int) -> Array:
    """Returns the slope per completion of the regression line through each task's last scores, shape (capacity,).

    A task with fewer scores is fitted to the scores it has; with at most one score, the slope is 0.

    Args:
        columns: Columns of the pool.
        num_recent: Number of scores in the window, 2 … 12.
    """
    completions = columns["num_completions"]
    xp = completions.__array_namespace__()
    # Oldest first: the sum of the running sums is Σ x (age + 1). A score that was never told is 0 and adds nothing.
    # Everything is in whole numbers, so that a task that stands still has a slope of exactly 0.
    total, weighted = xp.zeros_like(completions), xp.zeros_like(completions)
    for age in reversed(range(num_recent)):
        total += _recent_field(columns[RECENT_SCORES[2 - age // 4]], age % 4)
        weighted += total
    counts = xp.clip(completions, 0, num_recent)
    weighted *= 2
    total *= counts + 1
    total -= weighted
    # The squared distances of n successive times from their mean sum to n (n² − 1) / 12.
    squares = [n * (n * n - 1) / 12 for n in range(2, num_recent + 1)]
    scales = xp.asarray([0.0, 0.0, *(0.5 / (RECENT_SCORE_ONE * square) for square in squares)])
    return xp.astype(total, xp.float64) * xp.take(scales, counts)


def recent_change(columns: Columns, ages: Array) -> Array:
    """Returns the change of each task's score that came `ages` results ago, shape (capacity,).

    The first result counts as a change from 0. Without results, the change is 0.

    Args:
        columns: Columns of the pool.
        ages: Whole numbers in 0 … 10, below the task's completions, shape (capacity,).
    """
    xp = ages.__array_namespace__()
    # A look-up takes a third of the time of a choice whose branches the processor cannot predict.
    words = xp.concat([columns[name] for name in reversed(RECENT_SCORES)])
    slots = xp.arange(ages.shape[0])

    def score(age: Array) -> Array:
        return _recent_field(xp.take(words, (age >> 2) * ages.shape[0] + slots), age & 3)

    return xp.astype(score(ages) - score(ages + 1), xp.float64) * (1.0 / RECENT_SCORE_ONE)


def _recent_field(words: Array, index: Array) -> Array:
    """Returns one of the four scores in each of `words`, shape (n,), in 65,535ths; index 0 is the newest score."""
    field = words >> index * RECENT_SCORE_BITS
    field &= RECENT_SCORE_ONE
    return field


def unplayable(columns: Columns, config: CurriculumConfig) -> Array:
    """Returns which active tasks were cancelled at least `config.max_failures` times in a row; bool, (capacity,)."""
    return columns["is_active"] & too_many_failures(columns["num_failures"], config.max_failures)


def too_many_failures(num_failures: Array, max_failures: int) -> Array:
    """Returns whether tasks with these numbers of cancellations in a row are unplayable, bool, shape (n,).

    Args:
        num_failures: Cancellations of each task since its last score, shape (n,).
        max_failures: Number of cancellations from which a task is unplayable, at least 1.
    """
    return num_failures >= max_failures


def yet_to_come(columns: Columns | Rows, walk_start: int, max_failures: int, *, has_new: bool) -> Array:
    """Returns which active tasks a walk over the pool has yet to hand out, bool, shape (n,).

    A task is to come again if its last hand-out was cancelled and none is pending, unless it is unplayable.

    Args:
        columns: Columns or rows of n tasks.
        walk_start: Number of hand-outs of the pool before the walk.
        max_failures: Number of cancellations in a row from which a task is unplayable, at least 1.
        has_new: Whether tasks that entered the pool since the walk began are to come, too.
    """
    failures = columns["num_failures"]
    is_due = columns["last_scheduled"] <= walk_start
    if has_new:
        is_due = is_due | (columns["num_scheduled"] == 0)
    has_failed = (failures > 0) & ~too_many_failures(failures, max_failures)
    return (is_due | (has_failed & (columns["num_pending"] == 0))) & columns["is_active"]


def evictable(priorities: Array, columns: Columns, config: CurriculumConfig) -> Array:
    """Returns which tasks may be evicted: those completed often enough whose priority is low; bool, shape (capacity,).

    Args:
        priorities: Shape (capacity,).
        columns: Columns of the pool.
        config: Gives the minimum of completions and the share of priorities that is low.
    """
    is_low = lowest_share(priorities, columns["is_active"], config.eviction_threshold_percentile)
    return is_low & (columns["num_completions"] >= config.min_presentations_for_eviction)


def index_of(axis: int | str) -> int:
    """Returns the index of an axis.

    Raises:
        TypeError: If `axis` is a name, which only a curriculum can replace.
    """
    if isinstance(axis, str):
        raise TypeError(
            f"axis: expected an index in an algorithm or a modifier that is made before its curriculum, got the name "
            f"{axis!r}; pass the index of the axis, from 0, or pass the config alone to the curriculum"
        )
    return axis


def position(columns: Columns, axis: int | str | None) -> Array:
    """Returns the position of each task on an axis of its generator, floats, shape (capacity,).

    The position of a choice is its index.

    Args:
        columns: Columns of the pool.
        axis: Index of the axis; in a merged set, of the column of params: 0 is the member, the others are axes of the
            member. None: position = `seed`, which counts the tasks of a finite generator from 0.

    Raises:
        TypeError: If `axis` is a name.
        ValueError: If the generator has no such axis.
    """
    if axis is not None and index_of(axis) not in range(columns["params"].shape[1]):
        raise ValueError(
            f"axis: expected the index, from 0, of one of the generator's {columns['params'].shape[1]} axes (of a "
            f"merged set: columns of params), got {axis}; use one of them, or None to order the tasks by their seeds"
        )
    xp = columns["seed"].__array_namespace__()
    return xp.astype(columns["seed"], xp.float64) if axis is None else columns["params"][:, index_of(axis)]


def effective_count(num_completions: Array, rate: float) -> Array:
    """Returns Σ (1−α)^k over n completions = (1 − (1−α)^n) / α: how many results an average at rate α remembers.

    A debiased average multiplied by this count is a decaying *sum* of results.

    Args:
        num_completions: Completions n of each task, shape (n,).
        rate: α.

    Returns:
        Floats from 0 to 1 / `rate`, shape (n,).
    """
    return (1.0 - powers(1.0 - rate, num_completions)) * (1.0 / rate)


def beta_posterior(columns: Columns, config: CurriculumConfig, prior: float) -> tuple[Array, Array]:
    """Returns a and b of a belief Beta(a, b) about each task's success rate, shape (capacity,) each.

    Successes and failures are added to `prior`, and decay towards it by 1 − `config.slow_rate` per completion of the
    task. Source: Qu et al. 2025, arXiv 2507.04632, where they decay per step of training.

    Args:
        columns: Columns of the pool.
        config: Gives the rate of the decay.
        prior: a and b of a task without completions, above 0.
    """
    count = effective_count(columns["num_completions"], config.slow_rate)
    successes = count * columns["success_ema"]
    return prior + successes, prior + (count - successes)


def beta_draw(a: Array, b: Array, u: Array) -> Array:
    """Returns an approximate draw from Beta(a, b) for each uniform `u` in (0, 1), shape (n,).

    The draw is normal, with the mean and variance of Beta(a, b), and clipped to [0, 1].

    Examples:
        >>> import numpy as np
        >>> beta_draw(np.full(3, 30.0), np.full(3, 70.0), np.array([0.1, 0.5, 0.9])).round(2).tolist()
        [0.24, 0.3, 0.36]
    """
    xp = a.__array_namespace__()
    total = a + b
    deviation = xp.sqrt(a * b / (total + 1.0))  # times `total`
    return xp.clip((a + normal_quantile(u) * deviation) / total, 0.0, 1.0)


def normal_quantile(u: Array) -> Array:
    """Returns the `u`-quantile of the standard normal distribution to within 3e-3; u in (0, 1), shape (n,).

    Source: Abramowitz and Stegun 1964, equation 26.2.22.
    """
    xp = u.__array_namespace__()
    side = u - 0.5
    t = xp.sqrt(xp.log(0.5 - xp.abs(side)) * -2.0)
    return xp.copysign(t - (2.30753 + t * 0.27061) / (1.0 + t * (0.99229 + t * 0.04481)), side)


def learnability(a: Array, b: Array) -> Array:
    """Returns the expectation of p(1 − p) under Beta(a, b): ab / ((a + b)(a + b + 1)), in (0, ¼), shape (n,).

    For a well-known task, the expectation is p(1 − p) of its success rate; for another, the mean over what p may be.
    Source of p(1 − p): Rutherford et al. 2024, arXiv 2408.15099, section 4.

    Examples:
        >>> import numpy as np
        >>> learnability(np.array([1.0, 500.0]), np.array([1.0, 500.0])).round(3).tolist()
        [0.167, 0.25]
    """
    total = a + b
    return a * b / (total * (total + 1.0))
