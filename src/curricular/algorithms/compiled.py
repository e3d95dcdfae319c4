"""What algorithms compute of tasks and groups with NumPy, by the compiled functions: the same bits, in one pass."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..arrays import Array, Columns, power_tables, vanishing
from ..config import MAX_BASELINE
from ..kernel import Kernel
from ..table import EMAS

_OF_SLOPES = ("num_completions", *EMAS, "mean_square", "random_baseline")
"""Names of the columns that slopes follow from, in the order in which `_kernel.c` lists them."""


def are_native(columns: Sequence[Array], dtype: type[np.generic]) -> bool:
    """Returns whether compiled functions take `columns` as arrays of `dtype`, shape (n,) each."""
    return all(
        isinstance(column, np.ndarray)
        and column.ndim == 1
        and column.dtype == dtype
        and column.flags.c_contiguous
        and column.flags.aligned
        for column in columns
    )


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


def group_results(
    kernel: Kernel,
    columns: Columns,
    newest_first: Array,
    completions: Array,
    groups: Array,
    num_groups: int,
    keeps: Sequence[float],
) -> tuple[NDArray[np.int64], NDArray[np.float64], dict[str, NDArray[np.float64]]] | None:
    """Returns the results of groups; None if an array is another one than compiled functions take.

    Args:
        kernel: The compiled functions.
        columns: Columns of n tasks.
        newest_first: Result of `NewestFirst` for these columns, shape (m,).
        completions: Completions of the active tasks, 0 for others, shape (n,).
        groups: Group of each task, k times, numbered over all groupings, shape (k * n,).
        num_groups: Number of groups of all groupings.
        keeps: Decay per completion of each average, fastest first.
    """
    integers, baselines = (newest_first, completions, groups), columns["random_baseline"]
    averages = {name: columns[name] for name in (*EMAS, "mean_square")}
    if not (are_native(integers, np.int64) and are_native((baselines, *averages.values()), np.float64)):
        return None
    total, baseline = np.zeros(num_groups, np.int64), np.zeros(num_groups)
    sums = {name: np.zeros(num_groups) for name in averages}
    tables = tuple((*power_tables(keep), vanishing(keep)) for keep in keeps)
    kernel.group_results(*integers, baselines, tuple(averages.values()), tables, total, baseline, tuple(sums.values()))
    return total, baseline, sums
