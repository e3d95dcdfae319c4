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
        width = axis.values.high - axis.values.low
        steps = rng.normal(scale=STEP * width, size=len(values))
        if axis.values.is_integer:
            steps = np.copysign(np.maximum(np.abs(steps), 1.0), steps)
        return onto(axis.values, values + steps)
    num_choices = len(axis.values)
    if num_choices == 1:
        return values.copy()
    return (values + rng.integers(1, num_choices, size=len(values))) % num_choices


def onto(span: Span, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns the nearest values in `span`, in the shape of `values`."""
    if span.is_integer:
        return values.round().clip(span.low, span.high)
    return values.clip(span.low, np.nextafter(span.high, span.low))
