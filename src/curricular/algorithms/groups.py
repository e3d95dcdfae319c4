"""Groups of tasks along the axes, and their results, as if one task had completed all of them."""

import math
from collections.abc import Mapping
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..arrays import Array, Columns, group_sizes, group_sums, in_place, powers, spread, stable_order, where_true, within
from ..table import EMAS
from .memo import SMALL, Memo

MAX_GROUPS = 4096
"""Maximum number of groups of tasks per axis or pair of axes; the number of tasks limits it further."""

FORGOTTEN = 42.0
"""Age of a result in units of 1 / −ln(1−α), from which it adds less to an average at rate α than rounding does."""


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
        groups = groups.astype(np.min_scalar_type(most))  # NumPy sorts short integers by radix, several times faster
    return groups, active_sizes(columns, groups, most)


def active_sizes(columns: Columns, groups: Array, num_groups: int, *, is_shared: bool = False) -> Array:
    """Returns the number of active tasks in each group; arguments and shape as of `group_columns`."""
    xp = groups.__array_namespace__()
    shape = (1 if is_shared else groups.shape[0], num_groups)
    active = xp.tile(xp.astype(columns["is_active"], xp.float64), (groups.shape[0],))
    return xp.reshape(group_sums([active], _numbered(groups, shape), math.prod(shape))[0], shape)


def _numbered(groups: Array, shape: tuple[int, int]) -> Array:
    """Returns `groups`, shape (k, n), numbered over the groupings of which there are `shape`, shape (k * n,)."""
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
    old, new = (grid.bins(axes, grid.num_groups) for axes in (values, _values(params, len(values))))
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
    """Returns the known values of the pool on each axis that all tasks have, and bins along these axes."""
    params = columns["params"]
    xp = params.__array_namespace__()
    values = _values(params, params.shape[1] - columns["cells"].shape[1])
    low, high = ([fn(axis) for axis in values] for fn in (xp.min, xp.max))
    return values, _Grid(low, high, _most_groups(params.shape[0]))


def _values(params: Array, num_axes: int) -> list[Array]:
    return [known_values(params[:, axis]) for axis in range(num_axes)]


def known_values(values: Array) -> Array:
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


class Sums(NamedTuple):
    """The decaying sums behind the averages at one rate, for m tasks."""

    keep: float
    """The decay per completion, 1 − α."""
    values: Mapping[str, Array]
    """Name of an average -> the average times its weight, 1 − (1−α)^n, shape (m,)."""


class History(NamedTuple):
    """The results of the active tasks of a pool."""

    newest_first: Array
    """Result of `NewestFirst`, shape (m,)."""
    counts: Array
    """Completions in this order, shape (m,)."""
    baselines: Array
    """Completions times the random baseline, in this order, shape (m,)."""
    averages: list[Sums]
    """The averages, fastest first."""

    @classmethod
    def of(cls, columns: Columns, newest_first: Array, rates: tuple[float, ...]) -> "History":
        """Returns the history of a pool.

        Args:
            columns: Columns of the tasks.
            newest_first: Result of `NewestFirst` for these columns.
            rates: Rates of the averages in the rows.
        """
        xp = newest_first.__array_namespace__()
        completions = columns["num_completions"] * xp.astype(columns["is_active"], xp.int64)
        averages = []
        for names, rate in zip([*((name,) for name in EMAS[:-1]), (EMAS[-1], "mean_square")], rates, strict=True):
            weight = 1.0 - powers(1.0 - rate, completions)
            averages.append(Sums(1.0 - rate, {name: weight * columns[name] for name in names}))
        counts = xp.take(completions, newest_first)
        baselines = xp.astype(counts, xp.float64) * xp.take(columns["random_baseline"], newest_first)
        return cls(newest_first, counts, baselines, averages)


def group_columns(history: History, groups: Array, num_groups: int, *, is_shared: bool = False) -> dict[str, Array]:
    """Combines the results of the tasks in each group into columns, as if one task had completed all of them.

    A task with n results, followed by m newer results of its group, has weight (1−α)^m (1 − (1−α)^n) in the group's
    average at rate α. The weight is exact if the results of the task came in a row.

    Args:
        history: Results of the pool.
        groups: Groups of the n tasks in k groupings, shape (k, n).
        num_groups: Number of groups of a grouping.
        is_shared: Whether all groupings share one numbering, and so are one.

    Returns:
        Completions, averages and baseline of the groups, shape (k, num_groups) each; k is 1 with `is_shared`.
    """
    xp, num_copies = groups.__array_namespace__(), groups.shape[0]
    shape = (1 if is_shared else num_copies, num_groups)
    group, newer, place, total, baseline = _results(history, groups, shape)
    result = {"num_completions": total, "random_baseline": baseline / xp.clip(xp.astype(total, xp.float64), 1.0, None)}
    is_empty = xp.astype(total <= 0, xp.float64)
    for keep, values in reversed(history.averages):
        near = where_true(newer < _window(keep))
        if near.shape[0] < FEW * newer.shape[0]:  # faster averages forget earlier
            place = xp.take(xp.tile(xp.arange(groups.shape[1]), (num_copies,)) if place is None else place, near)
            group, newer = (xp.take(column, near) for column in (group, newer))
        decay = powers(keep, newer)
        if place is None:
            parts = [xp.reshape(xp.reshape(decay, groups.shape) * value, (-1,)) for value in values.values()]
        else:
            parts = [decay * xp.take(value, place) for value in values.values()]
        whole = 1.0 - powers(keep, total) + is_empty  # the sum of the weights of the tasks of a group
        for name, sums in zip(values, group_sums(parts, group, math.prod(shape)), strict=True):
            result[name] = within(sums / whole, 0.0, 1.0)
    return {name: xp.reshape(column, shape) for name, column in result.items()}


FEW = 0.7
"""Share of the tasks up to which those whose results an average still remembers are taken out of the others."""


def _window(keep: float) -> int:
    """Returns the number of newer results after which an average has forgotten a result."""
    return math.ceil(FORGOTTEN / -math.log(keep))


class _Results(NamedTuple):
    """The results of x tasks, each in its group of a grouping, and the sums of all groups."""

    group: Array
    """The group of each task, numbered over all groupings, shape (x,)."""
    newer: Array
    """Number of newer results in the group of each task, shape (x,)."""
    place: Array | None
    """Index of each task in the pool, shape (x,); None: all tasks of the pool in order, once for each grouping."""
    total: Array
    """Completions of each group, those of forgotten tasks included, shape (groups,)."""
    baseline: Array
    """Likewise, completions times the random baseline, shape (groups,)."""


def _results(history: History, groups: Array, shape: tuple[int, int]) -> _Results:
    """Returns the results in groups, without tasks whose results the slowest average has forgotten in their group."""
    xp, (num_copies, num_tasks), newest_first = groups.__array_namespace__(), groups.shape, history.newest_first
    by_age = _numbered(xp.take(groups, newest_first, axis=1), shape)
    counts, baselines = (xp.tile(column, (num_copies,)) for column in (history.counts, history.baselines))
    sums = group_sums([counts, baselines], by_age, math.prod(shape))
    total, group = xp.astype(sums[0], xp.int64), by_age
    recent = _recent(history, by_age, sums[0])
    if recent is not None:
        group, counts = group.take(recent), counts.take(recent)
    edges = xp.cumulative_sum(group_sizes(group, math.prod(shape)), include_initial=True)
    order = stable_order(group)  # the tasks of the first group, latest first, then those of the next one
    counts = xp.take(counts, order)
    running = xp.cumulative_sum(counts)
    before = xp.take(xp.concat([xp.zeros(1, dtype=running.dtype), running]), edges[:-1])
    newer = running - counts - spread(before, edges, counts.shape[0])
    if recent is not None:
        return _Results(group, in_place(newer, order), newest_first.take(recent % len(newest_first)), total, sums[1])
    # In the order of the pool, the averages are read from memory in order.
    place = xp.reshape(newest_first + xp.reshape(xp.arange(num_copies), (-1, 1)) * num_tasks, (-1,))
    newer = in_place(newer, xp.take(place, order), num_copies * num_tasks)
    return _Results(_numbered(groups, shape), newer, None, total, sums[1])


def _recent(history: History, by_age: Array, total: Array) -> NDArray[np.int64] | None:
    """Returns the indices of the results that the slowest average may still remember; None for (nearly) all.

    These are the newest results, as many as a group of usual size needs, and all results of groups that need more.

    Args:
        history: Results of the pool.
        by_age: Group of each of m tasks in k groupings, latest first, shape (k * m,).
        total: Completions of each group, a float, shape (groups,).
    """
    if not isinstance(by_age, np.ndarray) or not len(by_age):
        return None
    window, num_told = _window(history.averages[-1].keep), len(history.counts)
    num_newest = math.ceil(1.25 * window * num_told * float(total.sum() / (total @ total)))
    if num_newest > FEW * num_told:
        return None
    rows = by_age.reshape(-1, num_told)
    newest = rows[:, :num_newest]
    (told,) = group_sums([np.tile(history.counts[:num_newest], len(rows))], newest.ravel(), len(total))
    is_recent = (told < window).take(rows)
    is_recent[:, :num_newest] = True
    return np.flatnonzero(is_recent)
