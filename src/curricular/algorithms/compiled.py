"""What algorithms compute of tasks and groups with NumPy, by the compiled functions: the same bits, in one pass."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..arrays import Array, Columns
from ..config import MAX_BASELINE
from ..kernel import Kernel
from ..table import EMAS

_OF_SLOPES = ("num_completions", *EMAS, "mean_square", "random_baseline")
"""Names of the columns that slopes follow from, in the order in which `_kernel.c` lists them."""


def are_native(columns: Sequence[Array], dtype: type[np.generic]) -> bool:
    """Returns whether compiled functions take `columns` as arrays of `dtype`, shape (n,) each."""
    return all(isinstance(column, np.ndarray) and column.ndim == 1 and column.dtype == dtype for column in columns)


def slopes(
    kernel: Kernel,
    columns: Columns,
    weights: Sequence[tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], float]],
    interval_width: float,
    theta: float,
    unknown: float,
) -> list[NDArray[np.float64]] | None:
    """Returns the fields of the result of `progress_slope`; None if `columns` are other arrays than it takes.

    Args:
        kernel: The compiled functions.
        columns: Columns of the pool.
        weights: Result of `pair_weights`.
        interval_width: As for `progress_slope`.
        theta: Likewise.
        unknown: Error of the slope of a task with fewer than two completions.
    """
    given = tuple(columns[name] for name in _OF_SLOPES)
    if not (are_native(given[:1], np.int64) and are_native(given[1:], np.float64)):
        return None
    results = [np.empty(len(given[0])) for _ in range(5)]
    kernel.slopes(given, tuple(weights), interval_width, theta, MAX_BASELINE, unknown, tuple(results))
    return results
