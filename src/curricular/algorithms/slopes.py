"""How fast each task's success changes, over a time scale that its own results call for, and whether it changes at all.

Source: ours. The time scale is chosen by the intersection of confidence intervals: Goldenshluger and Nemirovski 1997,
*On spatially adaptive estimation of nonparametric regression*, Mathematical Methods of Statistics 6(2).
"""

import math
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..arrays import Array, Columns
from ..config import MAX_BASELINE
from ..priorities import normalise
from ..table import EMAS

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
