"""Random steps along axes, used by `mutate` of the built-in generators."""

import numpy as np
from numpy.typing import NDArray

from ..task import Axis, Span

STEP = 0.1
"""Standard deviation of a step along a span, as a share of the width of the span."""


def stepped(axis: Axis, values: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Moves each value by a small random step along a span, or to another choice.

    Whole numbers move by at least 1, except where an end of the span stops them.

    Args:
        axis: The axis of the values.
        values: Params on the axis, shape (n,).
        rng: The source of the steps.

    Returns:
        The new params, shape (n,).
    """
    if isinstance(axis.values, Span):
        low, high, is_whole = axis.values.bounds
        steps = rng.normal(scale=STEP * (high - low), size=len(values))
        if is_whole:
            steps = np.copysign(np.maximum(np.abs(steps), 1.0), steps)
        return onto(axis.values, values + steps)
    num_choices = len(axis.values)
    if num_choices == 1:
        return values.copy()
    return (values + rng.integers(1, num_choices, size=len(values))) % num_choices


def onto(span: Span, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns the nearest params in `span`, in the shape of `values`."""
    low, high, is_whole = span.bounds
    if is_whole:
        return values.round().clip(low, high)
    return values.clip(low, np.nextafter(high, low))
