"""Figures of runs that differ in their seed: means with intervals, and areas under curves."""

from collections.abc import Sequence

import numpy as np

NUM_RESAMPLES = 2000


def estimate(values: Sequence[float]) -> tuple[float, float, float]:
    """Returns the mean over seeds, and both ends of its bootstrap 95 % interval."""
    means = np.random.default_rng(0).choice(values, size=(NUM_RESAMPLES, len(values))).mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(np.mean(values)), float(low), float(high)


def interval(values: Sequence[float], num_digits: int = 2) -> str:
    """Returns the mean over seeds with its bootstrap 95 % interval, for a table."""
    mean, low, high = (f"{value:.{num_digits}f}" for value in estimate(values))
    return f"{mean} ({low} to {high})"


def area(steps: Sequence[float], success: Sequence[float]) -> float:
    """Returns the area under a curve of success that begins at 0, divided by that of an agent that always succeeds."""
    return float(np.trapezoid([0.0, *success], [0.0, *steps])) / float(steps[-1])
