"""Noise-aware learning progress: draw the tasks that change by more than noise explains, each at its own time scale.

Source: ours. The time scale is chosen by the intersection of confidence intervals: Goldenshluger and Nemirovski 1997,
*On spatially adaptive estimation of nonparametric regression*, Mathematical Methods of Statistics 6(2).
"""

import math
from itertools import pairwise
from typing import Any, Literal, NamedTuple, Self

from pydantic import Field

from ..config import MAX_BASELINE
from ..samplers import proportional
from ..scorers import Array, Columns, evictable, normalise
from ..table import EMAS
from .floors import FlooredConfig, with_floors


class NoiseAwareConfig(FlooredConfig):
    """Settings of noise-aware learning progress. Start from `recommended()`: there is no time scale to set."""

    algorithm: Literal["noise_aware"] = "noise_aware"
    ema_timescale: float = Field(0.2, ge=1e-6, le=0.9)
    """Rate of the fastest of the averages to choose from: about 1 / rate results are remembered."""
    slow_timescale_factor: float = Field(1 / 256, ge=1e-3, le=0.9)
    """Rate of the slowest = this times `ema_timescale`."""
    theta: float = Field(0.1, gt=0, le=0.5)
    """θ of the reweighting R: below 0.5 it stretches small success rates; 0.5 is none."""
    interval_width: float = Field(2.0, ge=0)
    """Standard errors to either side of a slope that its interval covers. Wider ones choose longer time scales."""
    caution: float = Field(0.5, ge=0)
    """Standard errors taken off a slope before it counts."""
    curiosity: float = Field(0.3, ge=0)
    """A task whose progress is not known well is credited with its standard error, but at most a typical progress,
    times this."""
    unsolved_weight: float = Field(0.1, ge=0, le=1)
    """That credit is multiplied by this for tasks never solved: they are left to the reserved shares, nearly."""
    rand_task_rate: float = Field(0.05, ge=0, le=1)
    """Share of the draws that is uniform."""
    stale_task_rate: float = Field(0.1, ge=0, le=1)
    """Share of the draws in proportion to the hand-outs since a task's last one: finds the never solved, notices the
    forgotten."""

    @classmethod
    def recommended(cls, *, num_active_tasks: int = 256, **overrides: Any) -> Self:
        """What to begin with, whatever the problem. Every field can be overridden.

        >>> NoiseAwareConfig.recommended(num_active_tasks=64).stale_task_rate
        0.1
        """
        return cls(**{"num_active_tasks": num_active_tasks, **overrides})


class Slope(NamedTuple):
    """What is known about dR(p)/dn of each task, all shape (n,)."""

    value: Array
    error: Array
    """Its standard error; infinite below two completions."""


class NoiseAwareAlgorithm:
    """p ∝ max(|slope| − caution · error, curiosity · min(error, typical slope)), beside the reserved shares."""

    def __init__(self, config: NoiseAwareConfig) -> None:
        self.config = config

    def scores(self, columns: Columns) -> Array:
        config = self.config
        slope, error = progress_slope(columns, config.rates, config.interval_width, config.theta)
        xp = error.__array_namespace__()
        active = columns["is_active"]
        progress = xp.where(active, xp.clip(xp.abs(slope) - config.caution * error, 0.0, None), 0.0)
        is_solved = normalise(columns["slow_ema"], columns["random_baseline"], MAX_BASELINE) > 0.0
        credit = xp.where(is_solved, config.curiosity, config.curiosity * config.unsolved_weight)
        return xp.maximum(progress, credit * xp.minimum(error, _typical(progress)))

    def probabilities(self, columns: Columns) -> Array:
        return with_floors(proportional(self.scores(columns), columns["is_active"]), columns, self.config)

    def evictable(self, columns: Columns) -> Array:
        return evictable(self.scores(columns), columns, self.config)


def _typical(progress: Array) -> Array:
    """The root mean square of the scores above 0; 0 if there are none."""
    xp = progress.__array_namespace__()
    count = xp.sum(xp.astype(progress > 0.0, xp.float64))
    return xp.sqrt(xp.sum(progress * progress) / xp.clip(count, 1.0, None))


class _Weights(NamedTuple):
    """Of the weights of a debiased average over n ≥ 1 results, all shape (n,)."""

    decay: Array
    """(1−α)^n."""
    inverse: Array
    """1 / (1 − decay)."""
    square: Array
    """Σ w²."""
    age: Array
    """Σ w · age, the newest result being of age 0."""


def _weights(count: Array, rate: float) -> _Weights:
    xp = count.__array_namespace__()
    rest = -xp.expm1(count * math.log1p(-rate))
    inverse = 1.0 / rest
    decay = 1.0 - rest
    square = (rate / (2.0 - rate)) * ((1.0 + decay) * inverse)
    return _Weights(decay, inverse, square, (1.0 - rate) / rate - count * decay * inverse)


def progress_slope(columns: Columns, rates: tuple[float, ...], interval_width: float, theta: float) -> Slope:
    """The slope of each task's reweighted success per completion, over a time scale that its own results call for.

    Neighbouring averages, at rates a > b, differ by d. For a task that does not change, d has mean 0 and variance
    σ² Σ(w_a − w_b)², which the number of completions gives in closed form; for one that changes evenly, d is the slope
    times the difference of the averages' ages. So every pair gives a slope and its standard error: the shorter the
    time, the noisier. Going from short to long, the intervals of ± `interval_width` errors are intersected; the last
    pair before the intersection is empty is the longest time over which the slope was one and the same.

    σ² is p(1−p) with p shrunk to ½ by one pseudo-count, times how much of that the scores have: all of it if they are
    0 and 1, less if they are graded.
    """
    completions = columns["num_completions"]
    xp = completions.__array_namespace__()
    is_known = completions >= 2
    count = xp.astype(xp.clip(completions, 2, None), xp.float64)
    mean = columns["slow_ema"]
    slack = 0.25 / count
    share = (xp.clip(columns["mean_square"] - mean * mean, 0.0, None) + slack) / (mean * (1.0 - mean) + slack)
    graded = xp.clip(share, 0.0, 1.0)

    low, high = xp.full_like(mean, -xp.inf), xp.full_like(mean, xp.inf)
    value = error = p = mean
    is_open = is_known
    averages = [(rate, columns[name], _weights(count, rate)) for rate, name in zip(rates, EMAS, strict=True)]
    for (a, fast, of_fast), (b, slow, of_slow) in pairwise(averages):
        overlap = a * b / (a + b - a * b)
        both = overlap * (1.0 - of_fast.decay * of_slow.decay) * (of_fast.inverse * of_slow.inverse)
        variance = xp.clip(of_fast.square + of_slow.square - 2.0 * both, 1e-15, None)
        here = (slow + 0.5 * of_slow.square) / (1.0 + of_slow.square)  # Σ w² is 1 / the effective number of results
        per_lag = 1.0 / (of_slow.age - of_fast.age)
        slope = (fast - slow) * per_lag
        spread = xp.sqrt(variance * graded * here * (1.0 - here)) * per_lag
        low, high = xp.maximum(low, slope - interval_width * spread), xp.minimum(high, slope + interval_width * spread)
        is_open = is_open & (low <= high)
        value, error, p = xp.where(is_open, slope, value), xp.where(is_open, spread, error), xp.where(is_open, here, p)

    baseline = xp.clip(columns["random_baseline"], 0.0, MAX_BASELINE)
    p = normalise(p, baseline, MAX_BASELINE)
    gain = theta * (1.0 - theta) / ((1.0 - baseline) * (p * (1.0 - 2.0 * theta) + theta) ** 2)
    return Slope(xp.where(is_known, value * gain, 0.0), xp.where(is_known, error * gain, xp.inf))
