"""Noise-aware learning progress: draw the tasks that change by more than noise explains, each at its own time scale.

Source: ours. The time scale is chosen by the intersection of confidence intervals: Goldenshluger and Nemirovski 1997,
*On spatially adaptive estimation of nonparametric regression*, Mathematical Methods of Statistics 6(2).
"""

import math
from itertools import pairwise
from typing import Any, Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ..config import MAX_BASELINE
from ..samplers import proportional
from ..scorers import Array, Columns, evictable, normalise
from ..table import EMAS
from .floors import FlooredConfig, with_floors
from .sharing import expected_scores, share_evidence

MAX_COUNT = 32_768
"""Completions beyond which a task counts as one that has so many: its averages hardly age any more."""


class NoiseAwareConfig(FlooredConfig):
    """Settings of noise-aware learning progress. Start from `recommended()`: there is no time scale to set."""

    algorithm: Literal["noise_aware"] = "noise_aware"
    ema_timescale: float = Field(default=0.2, ge=1e-3, le=0.9)
    """Rate of the fastest of the averages to choose from: about 1 / rate results are remembered."""
    slow_timescale_factor: float = Field(default=1 / 256, ge=1e-3, le=0.9)
    """Rate of the slowest = this times `ema_timescale`."""
    theta: float = Field(default=0.1, gt=0, le=0.5)
    """θ of the reweighting R: below 0.5 it stretches small success rates; 0.5 is none."""
    interval_width: float = Field(default=1.5, ge=0)
    """Standard errors to either side of a slope that its interval covers. Wider ones choose longer time scales."""
    caution: float = Field(default=0.5, ge=0)
    """What counts is a slope minus this times the largest error that chance would have brought about so far."""
    curiosity: float = Field(default=0.2, ge=0)
    """A task whose progress is not known well is credited with its standard error, but at most a typical progress,
    times this."""
    unsolved_weight: float = Field(default=0.1, ge=0, le=1)
    """That credit is multiplied by this for tasks never solved: they are left to the reserved shares, nearly."""
    sharing: float = Field(default=50.0, ge=0)
    """Completions at which a task's own results weigh as much as those of all tasks that share its values on the axes
    of the generator; 0: its own only."""
    proposal_share: float = Field(default=0.0, ge=0, le=1)
    """Share of the new tasks that is chosen by the progress of the tasks in the pool that share their values on the
    axes; the rest is as the generator gives them."""
    rand_task_rate: float = Field(default=0.05, ge=0, le=1)
    """Share of the draws that is uniform."""
    stale_task_rate: float = Field(default=0.1, ge=0, le=1)
    """Share of the draws in proportion to the hand-outs since a task's last one: finds the never solved, notices the
    forgotten."""

    @classmethod
    def recommended(cls, *, num_active_tasks: int = 256, **overrides: Any) -> Self:
        """What to begin with, whatever the problem. Every field can be overridden.

        >>> NoiseAwareConfig.recommended(num_active_tasks=64).stale_task_rate
        0.1
        """
        return cls(**{"num_active_tasks": num_active_tasks, **overrides})


class NoiseAwareAlgorithm:
    """p ∝ max(|slope| − caution · largest error, curiosity · min(error, typical slope)), beside the reserved shares."""

    def __init__(self, config: NoiseAwareConfig) -> None:
        self.config = config
        self._weights = pair_weights(config.rates)

    def scores(self, columns: Columns) -> Array:
        own = self._progress(columns)
        if not (self.config.sharing and columns["params"].shape[1]):
            return own
        return share_evidence(own, self._progress, columns, self.config.rates, self.config.sharing)

    def expected_scores(self, columns: Columns, params: Array) -> Array:
        """What the pool says of new tasks with `params`, (m, num_axes), at least one axis; ≥ 0, 1 is the mean; (m,)."""
        return expected_scores(self._progress, columns, self.config.rates, params)

    def probabilities(self, columns: Columns) -> Array:
        return with_floors(proportional(self.scores(columns), columns["is_active"]), columns, self.config)

    def evictable(self, columns: Columns) -> Array:
        return evictable(self.scores(columns), columns, self.config)

    def _progress(self, columns: Columns) -> Array:
        """The score of each task, or of each group of tasks, by itself; at least 0, shape (n,)."""
        config = self.config
        slope, error, largest = progress_slope(columns, self._weights, config.interval_width, config.theta)
        xp = error.__array_namespace__()
        active = xp.astype(columns["is_active"], xp.float64)
        progress = active * xp.clip(xp.abs(slope) - config.caution * largest, 0.0, None)
        num_progressing = xp.sum(xp.astype(progress > 0.0, xp.float64))
        typical = xp.sqrt(xp.sum(progress * progress) / xp.clip(num_progressing, 1.0, None))
        is_solved = normalise(columns["slow_ema"], columns["random_baseline"], MAX_BASELINE) > 0.0
        credit = config.unsolved_weight + (1.0 - config.unsolved_weight) * xp.astype(is_solved, xp.float64)
        return active * xp.maximum(progress, (config.curiosity * credit) * xp.minimum(error, typical))


class Slope(NamedTuple):
    """What is known about dR(p)/dn of each task, shape (n,) each."""

    value: Array
    error: Array
    """Its standard error; a large number below two completions."""
    largest_error: Array
    """The error times √(2 ln(1 + k)), what the largest of k is like: of all windows so long that the task has seen."""


class PairWeights(NamedTuple):
    """Of two neighbouring averages, by the number of completions from 0 to `MAX_COUNT` at the most, shape (counts,)."""

    per_lag: NDArray[np.float64]
    """1 / how much older the results in the slower one are in the mean."""
    error: NDArray[np.float64]
    """√Σ(w_fast − w_slow)², times `per_lag`."""
    trust: NDArray[np.float64]
    """k / (k + 1), k the effective number of results in the slower one: 1 / Σ w_slow²."""
    largest: NDArray[np.float64]
    """√(2 ln(1 + k)), k the completions times the slower rate."""


_UNKNOWN = 1e12
"""Error of a slope about which nothing is known."""


def pair_weights(rates: tuple[float, ...]) -> list[PairWeights]:
    """The weights of each pair of neighbouring debiased averages at falling `rates`."""
    size = min(MAX_COUNT, math.ceil(14.0 / rates[-1]))  # by then the slowest has forgotten all but a millionth
    counts = np.maximum(np.arange(size + 1.0), 2.0)
    pairs = []
    for a, b in pairwise(rates):
        rest_a, rest_b = (-np.expm1(counts * math.log1p(-rate)) for rate in (a, b))
        square_a, square_b = (rate / (2.0 - rate) * (2.0 - rest) / rest for rate, rest in ((a, rest_a), (b, rest_b)))
        age_a, age_b = ((1.0 - rate) / rate - counts * (1.0 - rest) / rest for rate, rest in ((a, rest_a), (b, rest_b)))
        overlap = a * b / (a + b - a * b) * (1.0 - (1.0 - rest_a) * (1.0 - rest_b)) / (rest_a * rest_b)
        variance = np.maximum(square_a + square_b - 2.0 * overlap, 1e-15)
        per_lag = 1.0 / (age_b - age_a)
        largest = np.sqrt(2.0 * np.log1p(counts * b))
        pairs.append(PairWeights(per_lag, np.sqrt(variance) * per_lag, 1.0 / (1.0 + square_b), largest))
    return pairs


def progress_slope(columns: Columns, weights: list[PairWeights], interval_width: float, theta: float) -> Slope:
    """The slope of each task's reweighted success per completion, over a time scale that its own results call for.

    Neighbouring averages, of rates a > b, differ by d. For a task that does not change, d has mean 0 and variance
    σ² Σ(w_a − w_b)², which follows from the number of completions; for one that changes evenly, d is the slope times
    the difference of the averages' ages. So every pair gives a slope and its standard error: the shorter the time, the
    noisier. Going from short to long, the intervals of ± `interval_width` errors are intersected; the last pair before
    the intersection is empty is the longest time over which the slope was one and the same.

    σ² is p(1−p), p shrunk to ½ by one pseudo-count, times how much of that the scores have: all of it if they are 0
    and 1, less if they are graded.
    """
    completions = columns["num_completions"]
    xp = completions.__array_namespace__()
    mean = columns["slow_ema"]
    slack = 0.25 / xp.astype(xp.clip(completions, 1, None), xp.float64)
    share = (xp.clip(columns["mean_square"] - mean * mean, 0.0, None) + slack) / (mean * (1.0 - mean) + slack)
    graded = xp.clip(share, 0.0, 1.0)

    # A product with 0 or 1 is several times cheaper than a choice.
    is_open = xp.astype(completions >= 2, xp.float64)
    value, error, p = 0.0 * mean, _UNKNOWN * (1.0 - is_open), mean
    largest = error
    at = xp.clip(completions, 0, weights[0].per_lag.shape[0] - 1)
    low, high = -_UNKNOWN, _UNKNOWN
    averages = [columns[name] for name in EMAS]
    for (fast, slow), pair in zip(pairwise(averages), weights, strict=True):
        per_lag, unit, trust, factor = (xp.take(xp.asarray(column), at) for column in pair)
        here = 0.5 + (slow - 0.5) * trust
        slope = (fast - slow) * per_lag
        spread = xp.sqrt(graded * here * (1.0 - here)) * unit
        margin = interval_width * spread
        low, high = xp.maximum(slope - margin, low), xp.minimum(slope + margin, high)
        is_open = is_open * xp.astype(low <= high, xp.float64)
        chosen = ((value, slope), (error, spread), (largest, spread * factor), (p, here))
        value, error, largest, p = (old + is_open * (new - old) for old, new in chosen)

    baseline = xp.clip(columns["random_baseline"], 0.0, MAX_BASELINE)
    p = normalise(p, baseline, MAX_BASELINE)
    root = p * (1.0 - 2.0 * theta) + theta
    gain = theta * (1.0 - theta) / ((1.0 - baseline) * root * root)
    return Slope(value * gain, error * gain, largest * gain)
