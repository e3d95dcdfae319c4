"""Columns -> scores: how much there is to learn on each task. Pure; the array namespace comes from the argument."""

from collections.abc import Mapping
from typing import Any

Array = Any
"""An array of any library with the array API: NumPy, JAX, array_api_strict."""

Columns = Mapping[str, Array]
"""Field of `TaskState` -> array of shape (capacity,)."""


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
    return _rounded(xp.abs(reweight(fast, theta) - reweight(slow, theta)))


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
    fraction = xp.astype(num_completions, xp.float64) / min_samples
    return bonus * xp.clip(1.0 - fraction, 0.0, None)


def lowest_share(scores: Array, mask: Array, share: float) -> Array:
    """Which of the masked entries lie in the lowest `share` in [0, 1] of them, ties included. Bool, shape (n,).

    >>> import numpy as np
    >>> lowest_share(np.array([3.0, 1.0, 2.0, 0.0]), np.array([True, True, True, False]), 0.34).tolist()
    [False, True, False, False]
    """
    xp = scores.__array_namespace__()
    ordered = xp.sort(xp.where(mask, scores, xp.inf))
    count = xp.floor(share * xp.sum(xp.astype(mask, xp.float64)))
    rank = xp.astype(xp.clip(count, 1.0, None), xp.int64) - 1
    return mask & (count > 0) & (scores <= xp.take(ordered, xp.reshape(rank, (1,))))
