"""Slopes: how fast the success of each task changes, at a time scale fitted to the task, and whether it changes at all.

Source: ours. The time scale is chosen by the intersection of confidence intervals: Goldenshluger and Nemirovski 1997,
*On spatially adaptive estimation of nonparametric regression*, Mathematical Methods of Statistics 6(2).
"""

import math
from itertools import pairwise
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from ..arrays import Array, Columns, either, in_blocks, total, within
from ..config import MAX_BASELINE
from ..kernel import KERNEL
from ..priorities import normalise
from ..table import EMAS
from . import compiled


class Slope(NamedTuple):
    """Estimate of dR(p)/dn, the slope of each task's reweighted success per completion, shape (n,) each."""

    value: Array
    """The slope."""
    error: Array
    """Standard error of the slope; a large number for a task with fewer than two completions."""
    windows: Array
    """1 + k for a task that has seen k windows as long as the one over which its slope was found."""
    recent: Array
    """Success in the second of the averages, beyond the baseline, shrunk to ½ by one pseudo-count; in (0, 1)."""
    lasting: Array
    """Success in the slowest average, likewise."""


SPREAD = 2.0
"""Width of the distribution of the slopes of changing tasks, in typical slopes."""


MAX_LEVERAGE = 8.0
"""Upper limit of that width in standard errors; without it, a clear but atypical slope would count as no change."""


CLEAR = 2.5
"""Number of standard errors from which the first round of the fit counts a slope as change."""


FIT_SIZE = 4096
"""Smallest size of the subsample of a large pool to which the model is fitted; it has at most twice as many tasks."""


NUM_FITS = 4
"""Number of rounds in the fit of the share of changing tasks and their typical slope."""


def chance_of_change(evidence: "Evidence", known: Array) -> tuple[Array, Array]:
    """Returns the probability that each task changes, shape (n,), and the typical slope of changing tasks, shape ().

    The model has two kinds of tasks: those that stand still, and those that change, with slopes from a normal
    distribution of width `SPREAD` times the typical slope. The share of changing tasks and the typical slope are fitted
    to the known tasks, each as far as its error is small enough to tell. A slope found in one of k + 1 windows is k + 1
    times less likely to be a change. Source of the empirical Bayes model: Efron 2008, *Microarrays, empirical Bayes and
    the two-groups model*, Statistical Science 23(1).

    Arrays of shape (k, n) are k pools with a fit each, whose typical slopes have the shape (k, 1).

    Args:
        evidence: Evidence for a change of each task.
        known: 1 for the tasks to fit to, 0 for the others, shape (n,).
    """
    # In a large pool, a subsample gives nearly the same fit.
    stride = max(1, known.shape[-1] // FIT_SIZE)
    typical, share = _fit(Evidence(*(column[..., ::stride] for column in evidence)), known[..., ::stride])
    return in_blocks(lambda *block: Evidence(*block).chance(typical, share), *evidence), typical


class Evidence(NamedTuple):
    """Evidence for a change of each task, shape (n,) each."""

    t_squares: Array
    """(slope / error)²."""
    precision: Array
    """1 / error²."""
    windows: Array
    """1 + k, as in `Slope`."""

    @classmethod
    def of(cls, slope: Slope) -> Self:
        """Returns the evidence in estimates of slopes."""
        precision = 1.0 / (slope.error * slope.error)
        return cls(slope.value * slope.value * precision, precision, slope.windows)

    def chance(self, typical: Array, share: Array) -> Array:
        """Returns the probability that each task changes, shape (n,).

        Args:
            typical: Typical slope of changing tasks, shape ().
            share: Share of changing tasks in the pool, in (0, 1), shape ().
        """
        xp = self.precision.__array_namespace__()
        leverage = xp.minimum(self.precision * (SPREAD * typical) ** 2, MAX_LEVERAGE**2)
        wider = 1.0 + leverage
        # The ratio of two normal densities; with the windows and the pool's odds, the odds that the task stands still.
        odds = xp.exp(xp.maximum(self.t_squares * (leverage / wider) * -0.5, -60.0))
        odds *= xp.sqrt(wider)
        odds *= self.windows
        odds *= (1.0 - share) / share
        odds += 1.0
        return 1.0 / odds


def _fit(evidence: Evidence, known: Array) -> tuple[Array, Array]:
    """Returns the typical slope of the changing tasks among the `known` ones, and their share, shape () each."""
    xp = known.__array_namespace__()
    precision = evidence.precision
    squares = evidence.t_squares / precision
    is_many = known.ndim > 1
    highest = xp.max(precision * known, axis=-1, keepdims=is_many)
    least_error = 1.0 / xp.sqrt(within(highest, _UNKNOWN**-2, xp.inf))

    def sum_of(weights: Array) -> Array:
        return xp.sum(weights, axis=-1, keepdims=True) if is_many else total(weights)

    def dot(weights: Array, values: Array) -> Array:
        product = xp.vecdot(weights, values)
        return product[:, None] if is_many else product

    def typical_of(weights: Array) -> Array:
        size = sum_of(weights)
        fitted = xp.sqrt(dot(weights, squares) / either(size > 0.0, size, 1.0))
        # If no slope stands out, the smallest error stands in for the typical slope.
        return either(size > 1e-6, fitted, least_error)

    above = known * xp.astype(evidence.t_squares > 1.0, xp.float64)
    typical = typical_of(known * xp.astype(evidence.t_squares > CLEAR**2, xp.float64))
    share = xp.asarray(0.5)
    for _ in range(NUM_FITS):
        chance = evidence.chance(typical, share)
        clear = above * chance
        typical = typical_of(clear * clear)
        gauge = precision * (typical * typical)
        weights = known * (gauge / (1.0 + gauge))
        share = (1.0 + dot(weights, chance)) / (2.0 + sum_of(weights))
    return typical, share


class PairWeights(NamedTuple):
    """Constants of two neighbouring averages, by number of completions from 0 up to at most `MAX_COUNT`."""

    per_lag: NDArray[np.float64]
    """1 / difference of the mean ages of the results in the two averages, shape (counts,)."""
    error: NDArray[np.float64]
    """√Σ(w_fast − w_slow)², times `per_lag`, shape (counts,)."""
    trust: NDArray[np.float64]
    """k / (k + 1) for k = 1 / Σ w_slow², the effective number of results in the slower average, shape (counts,)."""
    rate: float
    """Rate of the slower average."""


MAX_COUNT = 32_768
"""Number of completions at which tables of weights end: the ages of averages hardly change beyond it."""


_UNKNOWN = 1e12
"""Error of the slope of a task with fewer than two completions."""


def pair_weights(rates: tuple[float, ...]) -> list[PairWeights]:
    """Returns the constants of each pair of neighbouring debiased averages at falling `rates`."""
    size = min(MAX_COUNT, math.ceil(14.0 / rates[-1]))  # then the slowest average forgot all but a millionth
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
    """Returns the slope of each task's reweighted success per completion, at a time scale fitted to the task.

    Let d be the difference of neighbouring averages, of rates a > b. For a task that does not change, d has mean 0 and
    variance σ² Σ(w_a − w_b)², which follows from the number of completions. For a task that changes evenly, d is the
    slope times the difference of the averages' ages. So every pair gives a slope and its standard error, which is
    larger for shorter times. From short to long times, the intervals of ± `interval_width` errors are intersected. The
    last pair before the intersection is empty covers the longest time over which the slope is constant.

    σ² is p(1−p), with p shrunk to ½ by one pseudo-count, times the share of this variance that the scores have: 1 for
    scores of 0 and 1, less for graded ones.

    Args:
        columns: Columns of the pool.
        weights: Result of `pair_weights` for the rates of the averages in the rows.
        interval_width: Standard errors to either side of a slope. Larger values choose longer times.
        theta: θ of the reweighting R, in (0, 0.5].
    """
    if KERNEL is not None:
        results = compiled.slopes(KERNEL, columns, weights, interval_width, theta, _UNKNOWN)
        if results is not None:
            return Slope(*results)
    completions = columns["num_completions"]
    xp = completions.__array_namespace__()
    mean = columns["slow_ema"]
    counts = xp.astype(completions, xp.float64)
    slack = 0.25 / xp.maximum(counts, 1.0)
    share = (xp.maximum(columns["mean_square"] - mean * mean, 0.0) + slack) / (mean * (1.0 - mean) + slack)
    graded = within(share, 0.0, 1.0)

    last = weights[0].per_lag.shape[0] - 1
    at = within(completions, 0, last)
    # A product with 0 or 1 is several times as fast as a choice.
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
    windows = within(counts, 2.0, last) * rate + 1.0

    baseline = within(columns["random_baseline"], 0.0, MAX_BASELINE)
    p = normalise(p, baseline, MAX_BASELINE)
    root = p * (1.0 - 2.0 * theta) + theta
    gain = theta * (1.0 - theta) / ((1.0 - baseline) * root * root)

    def shrunk(average: Array, pair: PairWeights) -> Array:
        return (normalise(average, baseline, MAX_BASELINE) - 0.5) * xp.take(xp.asarray(pair.trust), at) + 0.5

    recent, lasting = shrunk(averages[1], weights[0]), shrunk(averages[-1], weights[-1])
    return Slope(value * gain, error * gain, windows, recent, lasting)
