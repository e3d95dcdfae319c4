"""Groups of tasks along the axes, and the order in which tasks were handed out."""

import math
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..arrays import Array, Columns, group_sums, stable_order, where_true, within
from .memo import SMALL, Memo

MAX_GROUPS = 4096
"""Maximum number of groups of tasks per axis or pair of axes; the number of tasks limits it further."""


def task_groups(columns: Columns) -> tuple[Array, Array]:
    """Groups the tasks by each axis that all tasks have, or by each pair of these axes: k groupings.

    In NumPy, only values of the pool are numbered, so that there are few groups.

    Args:
        columns: Columns of the tasks.

    Returns:
        Group of each task, shape (k, n), and number of active tasks in each group, shape (k, num_groups).
    """
    values, grid = _grid(columns)
    num_bins = math.isqrt(grid.num_groups) if is_paired(columns) else grid.num_groups
    numbered = [_dense(column, num_bins) for column in grid.bins(values, num_bins)]
    if is_paired(columns):
        numbered = [(one * width + other, num * width) for (one, num), (other, width) in combinations(numbered, 2)]
    groups = stacked([column for column, _ in numbered], columns["params"])
    most = max((num for _, num in numbered), default=1)
    if isinstance(groups, np.ndarray):
        groups = groups.astype(np.min_scalar_type(most))  # ten axes have 45 pairs
    return groups, active_sizes(columns, groups, most)


def active_sizes(columns: Columns, groups: Array, num_groups: int, *, is_shared: bool = False) -> Array:
    """Returns the number of active tasks in each group; arguments and shape as of `group_columns`."""
    xp = groups.__array_namespace__()
    shape = (1 if is_shared else groups.shape[0], num_groups)
    active = xp.tile(xp.astype(columns["is_active"], xp.float64), (groups.shape[0],))
    return xp.reshape(group_sums([active], numbered_over(groups, shape), math.prod(shape))[0], shape)


def numbered_over(groups: Array, shape: tuple[int, int]) -> Array:
    """Returns the groups in k groupings, shape (k, n), with numbers of their own in each grouping, shape (k * n,).

    Args:
        groups: Groups of each grouping, shape (k, n).
        shape: Number of groupings, or 1 if all share one numbering, and number of groups in each.
    """
    xp = groups.__array_namespace__()
    numbers = xp.astype(groups, xp.int64)
    if shape[0] > 1:
        numbers = numbers + xp.reshape(xp.arange(shape[0]) * shape[1], (-1, 1))
    return xp.reshape(numbers, (-1,))


def is_paired(columns: Columns) -> bool:
    """Returns whether tasks are grouped by pairs of axes."""
    return columns["params"].shape[1] > 2 and not columns["cells"].shape[1]


def axis_groups(columns: Columns) -> tuple[list[Array], int]:
    """Returns the group of each task, shape (n,), on each axis that all tasks have, and the number of groups.

    Args:
        columns: Columns of the tasks in the pool.
    """
    values, grid = _grid(columns)
    return grid.bins(values, grid.num_groups), grid.num_groups


def groups_with(columns: Columns, params: Array) -> tuple[Array, Array, int]:
    """Returns the groups on each axis that all tasks have, of the pool and of new tasks, and the number of groups.

    Args:
        columns: Columns of the tasks in the pool, n of them.
        params: Params of the new tasks, shape (m, num_params).

    Returns:
        Groups of shape (k, n) and (k, m), and their number.
    """
    values, grid = _grid(columns)
    fresh = [_known(params[:, axis]) for axis in range(len(values))]
    old, new = (grid.bins(axes, grid.num_groups) for axes in (values, fresh))
    return stacked(old, columns["params"]), stacked(new, params), grid.num_groups


def _most_groups(num_tasks: int) -> int:
    return min(MAX_GROUPS, num_tasks)


def _dense(bins: Array, num_bins: int) -> tuple[Array, int]:
    """Returns the rank of each task's bin among those with tasks, and the number of these; in NumPy only."""
    if not isinstance(bins, np.ndarray):
        return bins, num_bins
    ranks = (np.bincount(bins, minlength=num_bins) > 0).cumsum()
    return (ranks - 1).astype(np.uint16).take(bins), int(ranks[-1])


def stacked(groups: list[Array], params: Array) -> Array:
    """Returns `groups`, shape (n,) each, as one array of shape (k, n), like the array `params`."""
    xp = params.__array_namespace__()
    return xp.stack(groups) if groups else xp.zeros((0, params.shape[0]), dtype=xp.int64)


class _Grid(NamedTuple):
    """Bins along each axis that all tasks have, over the range of values in the pool."""

    low: list[Array]
    high: list[Array]
    num_groups: int

    def bins(self, values: list[Array], num_bins: int) -> list[Array]:
        """Returns the bin of each task on each axis, shape (n,), for known values on each axis, shape (n,)."""
        ends = zip(values, self.low, self.high, strict=True)
        return [bin_axis(axis, low, high, num_bins) for axis, low, high in ends]


def _grid(columns: Columns) -> tuple[list[Array], _Grid]:
    """Returns the values of the pool on each axis that all tasks have, and bins along these axes."""
    values = axis_values(columns)
    xp = columns["params"].__array_namespace__()
    low, high = ([fn(axis) for axis in values] for fn in (xp.min, xp.max))
    return values, _Grid(low, high, _most_groups(columns["params"].shape[0]))


def axis_values(columns: Columns) -> list[Array]:
    """Returns the values of the tasks on each axis that all tasks have, shape (n,) each.

    The mean over the active tasks with a known value replaces unknown values. Inactive rows have the lowest value of
    the active tasks, so that they neither widen the range of values nor add one.

    Args:
        columns: Columns of the tasks.
    """
    params, active = columns["params"], columns["is_active"]
    xp = params.__array_namespace__()
    num_axes = params.shape[1] - columns["cells"].shape[1]
    known = [_known(xp.where(active, params[:, axis], xp.nan)) for axis in range(num_axes)]
    return [xp.where(active, values, xp.min(values)) for values in known]


def _known(values: Array) -> Array:
    """Returns `values`, shape (n,), where the mean of the known ones replaces NaN, which stands for unknown."""
    xp = values.__array_namespace__()
    is_known = xp.isfinite(values)
    if isinstance(values, np.ndarray) and is_known.all():
        return values
    total = xp.sum(xp.where(is_known, values, 0.0))
    mean = total / xp.clip(xp.sum(xp.astype(is_known, xp.float64)), 1.0, None)
    return xp.where(is_known, values, mean)


def bin_axis(values: Array, low: Array, high: Array, num_bins: int) -> Array:
    """Returns the index of each value among `num_bins` equal bins from `low` to `high`, shape (n,).

    Values beyond an end fall into the outermost bin. If there are at most `num_bins` choices, each choice has its own
    bin.
    """
    xp = values.__array_namespace__()
    position = (within(values, low, high) - low) * ((num_bins - 1e-6) / xp.where(high > low, high - low, 1.0))
    return xp.astype(position, xp.int64)


class NewestFirst(Memo):
    """Orders tasks with results by their last hand-out, latest first: shape (m,), in a tuple.

    Tasks that were handed out since the last call come to the front, and the others keep their order. Where arrays need
    a fixed shape, the tasks without results come last.

    Examples:
        >>> last = np.array([4, 9, 7, 0])
        >>> columns = {"last_scheduled": last, "num_completions": np.array([1, 1, 2, 0]), "is_active": last > 0}
        >>> NewestFirst()(columns)[0].tolist()
        [1, 2, 0]
    """

    largest_anew = SMALL

    def __init__(self) -> None:
        super().__init__(_newest_first, (_LAST,))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), ()

    def __call__(self, columns: Columns) -> tuple[Array, ...]:
        xp = columns["last_scheduled"].__array_namespace__()
        has_results = columns["is_active"] & (columns["num_completions"] > 0)
        return super().__call__({_LAST: xp.where(has_results, columns["last_scheduled"], -1)})

    def _changed(
        self, columns: list[NDArray[Any]], rows: NDArray[np.int64], results: tuple[NDArray[Any], ...]
    ) -> tuple[NDArray[Any], ...]:
        (last,), (before,) = columns, results
        first = rows.take(self._anew([last.take(rows)])[0])
        is_kept = np.ones(len(last), np.bool_)
        is_kept[rows] = False
        others = before[is_kept.take(before)]
        if len(first) and len(others) and last[first[-1]] <= last[others[0]]:
            return self._anew(columns)
        return (np.concatenate([first, others]),)


_LAST = "last_with_results"
"""Name of the column of last hand-outs, in which −1 stands for a task without results."""


def _newest_first(columns: Columns) -> tuple[Array]:
    last = columns[_LAST]
    xp = last.__array_namespace__()
    tasks = where_true(last >= 0)
    return (xp.take(tasks, stable_order(xp.max(last) - xp.take(last, tasks))),)


class Grouping(NamedTuple):
    """How the tasks of a pool are grouped, and in which order they were handed out."""

    groups: Array
    """Group of each task in k groupings, shape (k, n)."""
    sizes: Array
    """Number of active tasks in each group, shape (k, num_groups)."""
    newest_first: Array
    """Result of `NewestFirst`, shape (m,)."""


class Grouper:
    """Groups the tasks of a pool, and keeps what stays the same until the next call."""

    def __init__(self) -> None:
        self._groups_of = Memo(task_groups, ("params", "cells", "is_active"))
        self._order_of = NewestFirst()

    def __call__(self, columns: Columns) -> Grouping:
        return Grouping(*self._groups_of(columns), *self._order_of(columns))
