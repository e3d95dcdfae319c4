"""Evidence shared along the axes: tasks with few results borrow from tasks with the same values."""

import math
from collections.abc import Callable, Mapping
from itertools import combinations
from typing import NamedTuple

from ..arrays import Array, Columns, powers, stable_order
from ..table import EMAS

MAX_GROUPS = 4096
"""Maximum number of groups of tasks per axis or pair of axes; the number of tasks limits it further."""

GROUP_HALF = 5.0
"""Completions at which the priority of a group counts half, and the mean priority the other half."""

AXIS_POWER = 3.0
"""Power with which each of three or more axes counts in the product over all pairs of axes."""


def share_evidence(
    own: Array, priorities_of: Callable[[Columns], Array], columns: Columns, rates: tuple[float, ...], half: float
) -> Array:
    """Blends the priorities of tasks with the priorities of their groups (partial pooling by evidence).

    A group is all tasks with the same values on a pair of axes, or on one axis if there are at most two axes. The group
    has the results of all its tasks, and `priorities_of` computes its priority as for a single task. For a task with n
    completions, the product of the priorities of its groups counts half / (n + half), and its own priority the rest.
    Over pairs, the product is raised to a power such that the evidence of an axis counts the same, `AXIS_POWER` times,
    however many axes there are.

    In a merged set, each group is formed on one axis. Axes that all tasks have, such as the choice of the member, group
    all tasks. Axes of a member group the tasks of the member, relative to their mean. On the axes of a member, a task's
    own completions are not evidence, since they would count again on every axis.

    Args:
        own: Priorities of the tasks, ≥ 0, shape (n,).
        priorities_of: Columns of groups -> priorities ≥ 0; reads averages, completions, baseline and activity.
        columns: Columns of the tasks; `params` has at least one column.
        rates: Rates of the averages in the rows.
        half: Completions at which a task's own priority counts half, > 0.

    Returns:
        Blended priorities in units of the mean priority, shape (n,).
    """
    completions = columns["num_completions"]
    xp = completions.__array_namespace__()
    active = xp.astype(columns["is_active"], xp.float64)
    grid, history = _grid(columns), _history(columns, rates)
    cells, is_merged = columns["cells"], columns["cells"].shape[1] > 0
    common = active
    num_axes = len(grid.low)
    is_paired = num_axes > 2 and not is_merged
    for group in grid.groups(columns["params"], 2 if is_paired else 1):
        common = common * xp.take(_factors(group, grid.num_groups, priorities_of, history), group)
    if is_paired:
        # Each axis is in num_axes − 1 pairs. In the plain product, its evidence would count as many times.
        common = common ** (AXIS_POWER / (num_axes - 1))
    if is_merged:
        common = common * _member_factors(cells, active * xp.astype(completions, xp.float64), priorities_of, history)
    trust = own_weight(completions, half)
    return trust * _relative(own, active) + (1.0 - trust) * _relative(common, active)


def own_weight(num_completions: Array, half: float) -> Array:
    """Returns the weight n / (n + half) of a task's own results against the results of its groups, shape (n,)."""
    xp = num_completions.__array_namespace__()
    counts = xp.astype(num_completions, xp.float64)
    return counts / (counts + half)


def expected_priorities(
    priorities_of: Callable[[Columns], Array], columns: Columns, rates: tuple[float, ...], params: Array, cells: Array
) -> Array:
    """Predicts the priorities of new tasks, which have no results yet.

    The prediction is the product of the priorities of the groups that a new task would join, as in `share_evidence`.
    Each group is formed on one axis, since few tasks of the pool share two values with a new task.

    Args:
        priorities_of: Columns of groups -> priorities ≥ 0, as for `share_evidence`.
        columns: Columns of the tasks in the pool.
        rates: Rates of the averages in the rows.
        params: Params of the new tasks, shape (m, num_params).
        cells: Cells of the new tasks, as in ``columns["cells"]``, shape (m, k).

    Returns:
        Expected priorities, shape (m,). 1 is the mean of the pool, and the prediction where no group has results.
    """
    xp = params.__array_namespace__()
    grid, history = _grid(columns), _history(columns, rates)
    result = xp.ones(params.shape[0])
    for group, new in zip(grid.groups(columns["params"], 1), grid.groups(params, 1), strict=True):
        result = result * xp.take(_factors(group, grid.num_groups, priorities_of, history), new)
    if cells.shape[1]:
        result = result * _member_factors(cells, xp.zeros(params.shape[0]), priorities_of, history)
    return result


def axis_groups(columns: Columns) -> tuple[list[Array], int]:
    """Returns the group of each task, shape (n,), on each axis that all tasks have, and the number of groups.

    Args:
        columns: Columns of the tasks in the pool.
    """
    grid = _grid(columns)
    return grid.groups(columns["params"], 1), grid.num_groups


class _Grid(NamedTuple):
    """Bins along each axis that all tasks have, over the range of values in the pool; bins define groups of tasks."""

    low: list[Array]
    high: list[Array]
    num_groups: int

    def groups(self, params: Array, num_together: int) -> list[Array]:
        """Returns the group of each task, shape (n,), for each axis (`num_together` 1) or each pair of axes (2)."""
        num_axes = len(self.low)
        per_axis = self.num_groups if num_together == 1 else math.isqrt(self.num_groups)
        bins = [_bins(_known(params[:, axis]), self.low[axis], self.high[axis], per_axis) for axis in range(num_axes)]
        if num_together == 1:
            return bins
        return [first * per_axis + second for first, second in combinations(bins, 2)]


def _grid(columns: Columns) -> _Grid:
    params = columns["params"]
    xp = params.__array_namespace__()
    axes = [_known(params[:, axis]) for axis in range(params.shape[1] - columns["cells"].shape[1])]
    return _Grid([xp.min(axis) for axis in axes], [xp.max(axis) for axis in axes], min(MAX_GROUPS, params.shape[0]))


def _known(values: Array) -> Array:
    """Returns `values`, shape (n,), where the mean of the known ones replaces NaN, which stands for unknown."""
    xp = values.__array_namespace__()
    is_known = xp.isfinite(values)
    total = xp.sum(xp.where(is_known, values, 0.0))
    mean = total / xp.clip(xp.sum(xp.astype(is_known, xp.float64)), 1.0, None)
    return xp.where(is_known, values, mean)


def _bins(values: Array, low: Array, high: Array, num_bins: int) -> Array:
    """Returns the index of each value among `num_bins` equal bins from `low` to `high`, shape (n,).

    Values beyond an end fall into the outermost bin. If there are at most `num_bins` choices, each choice has its own
    bin.
    """
    xp = values.__array_namespace__()
    position = (xp.clip(values, low, high) - low) * ((num_bins - 1e-6) / xp.where(high > low, high - low, 1.0))
    return xp.astype(position, xp.int64)


def _factors(group: Array, num_groups: int, priorities_of: Callable[[Columns], Array], history: "_History") -> Array:
    """Returns the priority of each group over the mean, shrunk towards 1 for few results; shape (num_groups,).

    `group` is the group of each task in the pool, shape (n,).
    """
    members, sizes = _group_columns(history, group[None, :], num_groups)
    xp = group.__array_namespace__()
    priorities, total = priorities_of(members), xp.sum(sizes)
    mean = xp.sum(priorities * sizes) / xp.where(total > 0.0, total, 1.0)
    return _shrunk(priorities, mean, xp.astype(members["num_completions"], xp.float64))


def _member_factors(cells: Array, own: Array, priorities_of: Callable[[Columns], Array], history: "_History") -> Array:
    """Returns the product of the factors of each task's member and of its groups over the member's axes, shape (n,).

    A factor is the priority of a group over the mean of the tasks that have the axis, shrunk as in `_factors`.

    Args:
        cells: Cells of the tasks, shape (n, k).
        own: Completions of each task, which are not evidence on the axes of its member, shape (n,).
        priorities_of: Columns of groups -> priorities ≥ 0.
        history: Results of the pool.
    """
    xp = cells.__array_namespace__()
    cell_axes = history.columns["cell_axes"]
    members, sizes = _group_columns(history, history.columns["cells"].T, cell_axes.shape[0])
    priorities = priorities_of(members)
    of_cells = priorities, _axis_means(priorities, sizes, cell_axes), xp.astype(members["num_completions"], xp.float64)
    shape, index = cells.T.shape, xp.reshape(cells.T, (-1,))
    here, mean, evidence = (xp.reshape(xp.take(column, index), shape) for column in of_cells)
    is_inside = xp.reshape(xp.astype(xp.arange(shape[0]) > 0, xp.float64), (-1, 1))  # after the choice of the member
    return xp.prod(_shrunk(here, mean, evidence - is_inside * own), axis=0)


def _axis_means(priorities: Array, sizes: Array, cell_axes: Array) -> Array:
    """Returns, for each cell, the mean priority of the tasks that have its axis; all shapes are (num_cells,)."""
    xp = priorities.__array_namespace__()
    first, end = (xp.searchsorted(cell_axes, cell_axes, side=side) for side in ("left", "right"))

    def sums(values: Array) -> Array:
        running = xp.cumulative_sum(values, include_initial=True)
        return xp.take(running, end) - xp.take(running, first)

    total, weighted = sums(sizes), priorities * sizes
    # Rounding in the running sums can leave a small value where all priorities are 0; this resets it to 0.
    is_positive = xp.astype(sums(xp.astype(weighted > 0.0, xp.int64)) > 0, xp.float64)
    return sums(weighted) / xp.where(total > 0.0, total, 1.0) * is_positive


def _shrunk(priorities: Array, mean: Array, evidence: Array) -> Array:
    """Returns priorities over their `mean`, shrunk towards 1 for few completions (`evidence`); 1 if the mean is 0."""
    xp = priorities.__array_namespace__()
    is_flat = mean <= 0.0
    relative = xp.where(is_flat, 1.0, priorities / xp.where(is_flat, 1.0, mean))
    return 1.0 + (relative - 1.0) * evidence / (evidence + GROUP_HALF)


def _relative(priorities: Array, active: Array) -> Array:
    """Returns priorities over their mean over active tasks; `active` if all priorities are 0."""
    xp = priorities.__array_namespace__()
    mean = xp.sum(priorities) / xp.sum(active)
    return xp.where(mean <= 0.0, active, priorities / xp.where(mean <= 0.0, 1.0, mean))


class _Sums(NamedTuple):
    """The decaying sums behind the averages at one rate, for every task; each has shape (n,)."""

    keep: float
    """The decay per completion, 1 − α."""
    weight: Array
    """The weight of each average, 1 − (1−α)^n; 0 for inactive tasks."""
    values: Mapping[str, Array]
    """Name of an average -> the average times its weight."""


class _History(NamedTuple):
    """The results of the tasks in the pool."""

    columns: Columns
    newest_first: Array
    """Indices of the tasks in order of their last hand-out, latest first, shape (n,)."""
    averages: list[_Sums]


def _history(columns: Columns, rates: tuple[float, ...]) -> _History:
    completions, last = columns["num_completions"], columns["last_scheduled"]
    xp = completions.__array_namespace__()
    active = xp.astype(columns["is_active"], xp.float64)
    averages = []
    for names, rate in zip([*((name,) for name in EMAS[:-1]), (EMAS[-1], "mean_square")], rates, strict=True):
        weight = active * (1.0 - powers(1.0 - rate, completions))
        averages.append(_Sums(1.0 - rate, weight, {name: weight * columns[name] for name in names}))
    return _History(columns, stable_order(xp.max(last) - last), averages)


def _group_columns(history: _History, groups: Array, num_groups: int) -> tuple[Columns, Array]:
    """Combines the results of the tasks in each group into columns, as if one task had completed all of them.

    A task with n results, followed by m newer results of its group, has weight (1−α)^m (1 − (1−α)^n) in the group's
    average at rate α. The weight is exact if the results of the task came in a row.

    Args:
        history: Results of the pool.
        groups: Groups of the n tasks in k groupings, shape (k, n); all groupings share one numbering.
        num_groups: Number of groups.

    Returns:
        The columns of the groups, and the number of active tasks in each group, shape (num_groups,).
    """
    columns, newest_first, averages = history
    xp = groups.__array_namespace__()
    by_age = xp.reshape(xp.take(groups, newest_first, axis=1), (-1,))
    order = stable_order(by_age)
    sorted_group = xp.take(by_age, order)
    tasks = xp.take(xp.tile(newest_first, (groups.shape[0],)), order)
    ends = xp.searchsorted(sorted_group, xp.arange(num_groups), side="right")
    starts = xp.concat([xp.zeros(1, dtype=ends.dtype), ends[:-1]])

    def sums(values: Array) -> Array:
        running = xp.cumulative_sum(values, include_initial=True)
        return xp.take(running, ends) - xp.take(running, starts)

    active = xp.astype(xp.take(columns["is_active"], tasks), xp.int64)
    counts = active * xp.take(columns["num_completions"], tasks)
    before = xp.cumulative_sum(counts) - counts
    newer = before - xp.take(before, xp.take(starts, sorted_group))
    total = sums(counts)
    baselines = xp.astype(counts, xp.float64) * xp.take(columns["random_baseline"], tasks)
    result: dict[str, Array] = {
        "is_active": sums(active) > 0,
        "num_completions": total,
        "random_baseline": sums(baselines) / xp.astype(xp.clip(total, 1, None), xp.float64),
    }
    is_empty = xp.astype(total <= 0, xp.float64)
    for keep, weight, values in averages:
        decay = powers(keep, newer)
        whole = sums(decay * xp.take(weight, tasks)) + is_empty
        for name, value in values.items():
            result[name] = xp.clip(sums(decay * xp.take(value, tasks)) / whole, 0.0, 1.0)
    return result, xp.astype(sums(active), xp.float64)
