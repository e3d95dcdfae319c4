"""Steps along axes: what `mutate` of the generators in the box is made of."""

import numpy as np
from numpy.typing import NDArray

from ..task import Axis, Span

STEP = 0.1
"""Standard deviation of a step along a span, as a share of its width."""


def stepped(axis: Axis, values: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """`values` on `axis`, shape (n,), each a step further: a little along a span, or another choice; shape (n,).

    Whole numbers move by one at least, unless an end stops them.
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
    """The nearest values that `span` has, shape of `values`."""
    if span.is_integer:
        return values.round().clip(span.low, span.high)
    return values.clip(span.low, np.nextafter(span.high, span.low))
