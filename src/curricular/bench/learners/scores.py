"""Figures computed from runs: normalised scores and ratios with bootstrap intervals, and recovery after a reset."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .dynamics import Floats


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Interval:
    """An estimate and its bootstrap 95 % interval over seeds; all three arrays have one shape."""

    estimate: Floats
    low: Floats
    high: Floats


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scores:
    """Normalised scores: 0 is uniform, 1 is the oracle.

    Attributes:
        by_scenario: Scores in every scenario, shape (num_algorithms, num_scenarios).
        mean: Mean over the scenarios, shape (num_algorithms,).
        worst: Minimum over the scenarios, shape (num_algorithms,).
    """

    by_scenario: Interval
    mean: Interval
    worst: Interval


def normalised_scores(aucs: ArrayLike, uniform: ArrayLike, oracle: ArrayLike) -> Floats:
    """Returns (mean AUC - mean uniform) / (mean oracle - mean uniform), with means over the last axis, the seeds.

    Args:
        aucs: AUCs of the algorithms, shape (..., num_seeds).
        uniform: AUCs of uniform draws in the same worlds, broadcast to the shape of `aucs`.
        oracle: AUCs of the oracle in the same worlds, broadcast to the shape of `aucs`.

    Raises:
        ValueError: If the oracle is not better than uniform draws, so the score is undefined.

    Examples:
        >>> normalised_scores([[0.2, 0.4], [0.5, 0.7]], [0.2, 0.4], [0.8, 1.0]).round(2).tolist()
        [0.0, 0.5]
    """
    base = np.asarray(uniform, np.float64).mean(axis=-1)
    span = np.asarray(oracle, np.float64).mean(axis=-1) - base
    if not np.all(span > 0):
        raise ValueError(
            f"oracle: expected a mean AUC above uniform's in every scenario, got differences {span.tolist()};"
            " leave out scenarios in which nothing can be learned"
        )
    return np.asarray((np.asarray(aucs, np.float64).mean(axis=-1) - base) / span, dtype=np.float64)


def score_runs(
    aucs: ArrayLike, uniform: ArrayLike, oracle: ArrayLike, *, num_resamples: int = 2000, seed: int = 0
) -> Scores:
    """Returns normalised scores by scenario, their mean and their minimum, with intervals over seeds.

    Each bootstrap resample draws new seeds for every scenario. All algorithms and both baselines share these seeds,
    since they played in the same worlds.

    Args:
        aucs: AUCs, shape (num_algorithms, num_scenarios, num_seeds); each variation counts as a scenario.
        uniform: AUCs of uniform draws in the same worlds, shape (num_scenarios, num_seeds).
        oracle: AUCs of the oracle in the same worlds, shape (num_scenarios, num_seeds).
        num_resamples: Number of bootstrap resamples, >= 1.
        seed: Seed of the resampling.

    Raises:
        ValueError: If shapes differ, or if the oracle is not better than uniform draws in a scenario.
    """
    runs, low, high = _checked(aucs, uniform, oracle)
    picks = _picks(runs.shape[1:], num_resamples, seed)
    samples = normalised_scores(_resample(runs, picks), _resample(low, picks), _resample(high, picks))
    by_scenario = normalised_scores(runs, low, high)
    return Scores(
        by_scenario=_interval(by_scenario, samples),
        mean=_interval(by_scenario.mean(axis=1), samples.mean(axis=2)),
        worst=_interval(by_scenario.min(axis=1), samples.min(axis=2)),
    )


def ratio_runs(aucs: ArrayLike, base: ArrayLike, *, num_resamples: int = 2000, seed: int = 0) -> Interval:
    """Returns mean AUC / mean AUC of `base`, with intervals over seeds, shape (num_algorithms, num_scenarios).

    A ratio is NaN where the interval of the mean of `base` over seeds reaches 0.

    Args:
        aucs: AUCs, shape (num_algorithms, num_scenarios, num_seeds).
        base: AUCs of uniform draws, or of another algorithm, in the same worlds, shape (num_scenarios, num_seeds).
        num_resamples: Number of bootstrap resamples, >= 1.
        seed: Seed of the resampling.

    Raises:
        ValueError: If shapes differ.
    """
    runs, low, _ = _checked(aucs, base, base)
    picks = _picks(runs.shape[1:], num_resamples, seed)
    bases = _resample(low, picks).mean(axis=-1)
    is_clear = np.quantile(bases, 0.025, axis=0) > 0
    samples = _resample(runs, picks).mean(axis=-1) / np.where(is_clear, bases, np.nan)
    return _interval(
        np.asarray(runs.mean(axis=-1) / np.where(is_clear, low.mean(axis=-1), np.nan)), np.asarray(samples)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """How far and how fast a curriculum recovers after a reset at half-time.

    Attributes:
        level: Best level after the reset, divided by the level just before the reset.
        learning_time: Time from the start to 90 % of the level just before the reset.
        recovery_time: Time from the reset to 90 % of the level just before the reset; None: not within the second half.
    """

    level: float
    learning_time: float
    recovery_time: float | None


def recovery(curve: ArrayLike, times: ArrayLike) -> Recovery:
    """Returns how far and how fast `curve` recovers after a reset at half of `times`.

    Args:
        curve: Competence, > 0, shape (num_points,); preferably the mean over seeds.
        times: Increasing times in any unit, shape (num_points,).

    Examples:
        >>> recovery([0.1, 0.5, 1.0, 0.1, 0.5, 0.95, 1.0], [0, 1, 2, 3, 4, 5, 6])
        Recovery(level=1.0, learning_time=2.0, recovery_time=2.0)
    """
    levels, at = np.asarray(curve, np.float64), np.asarray(times, np.float64)
    half = 0.5 * (at[0] + at[-1])
    before, after = at < half, at >= half
    target = 0.9 * levels[before][-1]
    recovered = at[after & (levels >= target)]
    return Recovery(
        level=float(levels[after].max() / levels[before][-1]),
        learning_time=float(at[before & (levels >= target)][0] - at[0]),
        recovery_time=float(recovered[0] - half) if recovered.size else None,
    )


def _checked(aucs: ArrayLike, uniform: ArrayLike, oracle: ArrayLike) -> tuple[Floats, Floats, Floats]:
    runs, low, high = (np.asarray(values, np.float64) for values in (aucs, uniform, oracle))
    if runs.ndim != 3 or low.shape != runs.shape[1:] or high.shape != runs.shape[1:] or runs.shape[2] == 0:
        raise ValueError(
            "aucs: expected shape (num_algorithms, num_scenarios, num_seeds), with (num_scenarios, num_seeds) for the"
            f" baselines, got {runs.shape}, {low.shape}, {high.shape}; play every algorithm in the same worlds"
        )
    return runs, low, high


def _picks(shape: tuple[int, ...], num_resamples: int, seed: int) -> NDArray[np.int64]:
    """Draws the indices of resampled seeds, shape (num_resamples, num_scenarios, num_seeds)."""
    return np.random.default_rng(seed).integers(shape[1], size=(num_resamples, *shape))


def _resample(values: Floats, picks: NDArray[np.int64]) -> Floats:
    """Returns resampled AUCs: (S, R) becomes (num_resamples, 1, S, R), (A, S, R) becomes (num_resamples, A, S, R)."""
    table = values.reshape(-1, *values.shape[-2:])
    rows = np.arange(table.shape[1])[:, None]
    return table[:, rows, picks].swapaxes(0, 1)


def _interval(estimate: Floats, samples: Floats) -> Interval:
    low, high = np.quantile(samples, [0.025, 0.975], axis=0)
    return Interval(estimate=estimate, low=low, high=high)
