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
from ..samplers import mix, proportional, uniform
from ..scorers import Array, Columns, evictable, normalise
from ..table import EMAS
from .floors import FlooredConfig, with_floors
from .sharing import expected_scores, own_weight, share_evidence

MAX_COUNT = 32_768
"""Completions beyond which a task counts as one that has so many: its averages hardly age any more."""

SPREAD = 2.0
"""Width of the distribution of slopes of tasks that change, in typical slopes."""

MAX_LEVERAGE = 8.0
"""The same in standard errors, at the most: beyond, a surprising slope would count as standing still."""

CLEAR = 2.5
"""Errors of a slope from which on the fit begins by taking it for change."""

FIT_SIZE = 4096
"""Tasks, evenly over the slots, to which that is fitted, or up to twice as many."""

NUM_FITS = 4
"""Rounds of the fit of how many tasks change, and how much."""

DOUBT = 10
"""The share of uniform draws is that of noise in the choice to this power: near 0 unless nearly all is noise."""


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
    unsolved_weight: float = Field(default=0.02, ge=0, le=1)
    """What a task is credited with while its slope is not known well is multiplied by this as long as it was never
    solved: such tasks are left to the reserved shares, nearly."""
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
    """p ∝ chance that a task changes · max(|slope|, credit · min(error, typical slope)), beside the reserved shares.

    As far as what would be drawn is likely to be noise, draws are uniform.
    """

    def __init__(self, config: NoiseAwareConfig) -> None:
        self.config = config
        self._weights = pair_weights(config.rates)

    def scores(self, columns: Columns) -> Array:
        return self._shared(columns, self._judge(columns).score)

    def expected_scores(self, columns: Columns, params: Array) -> Array:
        """What the pool says of new tasks with `params`, (m, num_axes), at least one axis; ≥ 0, 1 is the mean; (m,)."""
        return expected_scores(self._own_scores, columns, self.config.rates, params)

    def probabilities(self, columns: Columns) -> Array:
        own = self._judge(columns)
        active = columns["is_active"]
        chosen = proportional(self._shared(columns, own.score), active)
        xp = chosen.__array_namespace__()
        # Of tasks never solved nothing is known: whether they are noise says nothing about the others.
        solved = chosen * own.solved
        total = xp.sum(solved)
        doubt = 1.0 - own.chance
        if self._shares(columns):
            doubt = doubt * own_weight(columns["num_completions"], self.config.sharing)
        noise_share = 1.0 - xp.sum(solved * (1.0 - doubt)) / xp.where(total > 0.0, total, 1.0)
        return with_floors(mix(chosen, uniform(active), noise_share**DOUBT), columns, self.config)

    def evictable(self, columns: Columns) -> Array:
        return evictable(self.scores(columns), columns, self.config)

    def _shared(self, columns: Columns, own: Array) -> Array:
        if not self._shares(columns):
            return own
        return share_evidence(own, self._own_scores, columns, self.config.rates, self.config.sharing)

    def _shares(self, columns: Columns) -> bool:
        return self.config.sharing > 0.0 and columns["params"].shape[1] > 0

    def _own_scores(self, columns: Columns) -> Array:
        return self._judge(columns).score

    def _judge(self, columns: Columns) -> "Judgement":
        """What is to be thought of each task, or of each group of tasks, by itself."""
        config = self.config
        slope = progress_slope(columns, self._weights, config.interval_width, config.theta)
        xp = slope.value.__array_namespace__()
        active = xp.astype(columns["is_active"], xp.float64)
        is_solved = normalise(columns["slow_ema"], columns["random_baseline"], MAX_BASELINE) > 0.0
        solved = active * xp.astype(is_solved, xp.float64)
        known = solved * xp.astype(columns["num_completions"] >= 2, xp.float64)
        chance, typical = chance_of_change(slope, known)
        credit = config.unsolved_weight + (1.0 - config.unsolved_weight) * solved
        score = active * chance * xp.maximum(xp.abs(slope.value), credit * xp.minimum(slope.error, typical))
        return Judgement(score, chance, solved)


class Judgement(NamedTuple):
    """What noise-aware learning progress thinks of each task, shape (n,) each."""

    score: Array
    """At least 0."""
    chance: Array
    """That the task changes, in (0, 1)."""
    solved: Array
    """1 for an active task that was ever solved, else 0."""


class Slope(NamedTuple):
    """What is known about dR(p)/dn of each task, shape (n,) each."""

    value: Array
    error: Array
    """Its standard error; a large number below two completions."""
    windows: Array
    """1 + k: the task has seen k windows as long as the one in which this slope was found."""


def chance_of_change(slope: Slope, known: Array) -> tuple[Array, Array]:
    """The chance of each task to be changing, shape (n,), and the typical slope of those that are.

    Two kinds of task are thought of: those that stand still, and those that change by slopes of a normal distribution,
    `SPREAD` times the typical one wide. What share of the pool changes, and how much is typical, is fitted to the
    tasks `known` (1, the others 0, shape (n,)), each as far as its error is small enough to tell: empirical Bayes, as
    in Efron 2008, *Microarrays, empirical Bayes and the two-groups model*, Statistical Science 23(1). A slope that was
    found in one of k + 1 windows is that many times less likely to mean something.
    """
    precision = 1.0 / (slope.error * slope.error)
    evidence = Evidence(slope.value * slope.value * precision, precision, slope.windows)
    # Of a large pool, a part says nearly as well how much of it changes.
    stride = max(1, known.shape[0] // FIT_SIZE)
    typical, share = _fit(Evidence(*(column[::stride] for column in evidence)), known[::stride])
    return evidence.chance(typical, share), typical


class Evidence(NamedTuple):
    """What speaks for change, shape (n,) each."""

    t_squares: Array
    """The slope over its error, squared."""
    precision: Array
    """1 / error²."""
    windows: Array
    """1 + k, as in `Slope`."""

    def chance(self, typical: Array, share: Array) -> Array:
        """That a task changes, shape (n,), if a `share` of all tasks does, by `typical` slopes."""
        xp = self.precision.__array_namespace__()
        leverage = xp.minimum(self.precision * (SPREAD * typical) ** 2, MAX_LEVERAGE**2)
        wider = 1.0 + leverage
        # The odds that the task stands still: of two normal densities, times the windows, times the pool's odds.
        odds = xp.exp(xp.clip(self.t_squares * (leverage / wider) * -0.5, -60.0, None)) * xp.sqrt(wider)
        return 1.0 / (1.0 + odds * self.windows * ((1.0 - share) / share))


def _fit(evidence: Evidence, known: Array) -> tuple[Array, Array]:
    """The typical slope of the `known` tasks that change, and the share of them, shape () each."""
    xp = known.__array_namespace__()
    precision = evidence.precision
    squares = evidence.t_squares / precision
    least_error = 1.0 / xp.sqrt(xp.max(precision * known + (1.0 - known) * _UNKNOWN**-2))

    def typical_of(weights: Array) -> Array:
        total = xp.sum(weights)
        fitted = xp.sqrt(xp.vecdot(weights, squares) / xp.where(total > 0.0, total, 1.0))
        # Where nothing stands out, what is known best is the measure.
        return xp.where(total > 1e-6, fitted, least_error)

    above = known * xp.astype(evidence.t_squares > 1.0, xp.float64)
    typical = typical_of(known * xp.astype(evidence.t_squares > CLEAR**2, xp.float64))
    share = xp.asarray(0.5)
    for _ in range(NUM_FITS):
        chance = evidence.chance(typical, share)
        clear = above * chance
        typical = typical_of(clear * clear)
        gauge = precision * (typical * typical)
        weights = known * (gauge / (1.0 + gauge))
        share = (1.0 + xp.vecdot(weights, chance)) / (2.0 + xp.sum(weights))
    return typical, share


class PairWeights(NamedTuple):
    """Of two neighbouring averages, by the number of completions from 0 to `MAX_COUNT` at the most, shape (counts,)."""

    per_lag: NDArray[np.float64]
    """1 / how much older the results in the slower one are in the mean."""
    error: NDArray[np.float64]
    """√Σ(w_fast − w_slow)², times `per_lag`."""
    trust: NDArray[np.float64]
    """k / (k + 1), k the effective number of results in the slower one: 1 / Σ w_slow²."""
    rate: float
    """Of the slower one."""


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
        pairs.append(PairWeights(per_lag, np.sqrt(variance) * per_lag, 1.0 / (1.0 + square_b), b))
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
    counts = xp.astype(completions, xp.float64)
    slack = 0.25 / xp.clip(counts, 1.0, None)
    share = (xp.clip(columns["mean_square"] - mean * mean, 0.0, None) + slack) / (mean * (1.0 - mean) + slack)
    graded = xp.clip(share, 0.0, 1.0)

    last = weights[0].per_lag.shape[0] - 1
    at = xp.clip(completions, 0, last)
    # A product with 0 or 1 is several times cheaper than a choice.
    is_open = xp.astype(completions >= 2, xp.float64)
    value, error, p, rate = 0.0, _UNKNOWN * (1.0 - is_open), mean, 0.0
    low, high, rate_before = -_UNKNOWN, _UNKNOWN, 0.0
    averages = [columns[name] for name in EMAS]
    for (fast, slow), pair in zip(pairwise(averages), weights, strict=True):
        per_lag, unit, trust = (xp.take(xp.asarray(column), at) for column in (pair.per_lag, pair.error, pair.trust))
        here = (slow - 0.5) * trust + 0.5
        slope = (fast - slow) * per_lag
        spread = xp.sqrt(here * (1.0 - here) * graded) * unit
        margin = interval_width * spread
        low, high = xp.maximum(slope - margin, low), xp.minimum(slope + margin, high)
        is_open = xp.astype(low <= high, xp.float64) * is_open
        value = (slope - value) * is_open + value
        error = (spread - error) * is_open + error
        p = (here - p) * is_open + p
        rate = is_open * (pair.rate - rate_before) + rate
        rate_before = pair.rate
    windows = xp.clip(counts, 2.0, last) * rate + 1.0

    baseline = xp.clip(columns["random_baseline"], 0.0, MAX_BASELINE)
    p = normalise(p, baseline, MAX_BASELINE)
    root = p * (1.0 - 2.0 * theta) + theta
    gain = theta * (1.0 - theta) / ((1.0 - baseline) * root * root)
    return Slope(value * gain, error * gain, windows)
