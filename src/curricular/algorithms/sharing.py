"""Evidence shared along the axes: tasks with few results borrow from tasks with the same values."""

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

from ..arrays import Array, Columns, group_sums, powers, segment_sums, stable_order, where_true, within
from ..table import EMAS

MAX_GROUPS = 4096
"""Maximum number of groups of tasks per axis or pair of axes; the number of tasks limits it further."""

GROUP_HALF = 5.0
"""Completions at which the priority of a group counts half, and the mean priority the other half; also, completions of
other tasks at which the groups of a task count half as much as they do in the end."""

FORGOTTEN = 42.0
"""Age of a result in units of 1 / −ln(1−α), from which it adds less to an average at rate α than rounding does."""

AXIS_POWER = 3.0
"""Power with which each of three or more axes counts in the product over all pairs of axes."""


class Shared(NamedTuple):
    """Priorities of tasks after sharing, and how far they are the tasks' own, shape (n,) each."""

    priority: Array
    """Blended priorities, in units of the mean priority."""
    trust: Array
    """Weight of each task's own priority in the blend, in [0, 1]; 1 for a task whose groups hold no other task."""


def share_evidence(
    own: Array,
    priorities_of: Callable[[Columns], Array],
    columns: Columns,
    groups: Sequence[Array],
    rates: tuple[float, ...],
    half: float,
) -> Shared:
    """Blends the priorities of tasks with the priorities of their groups (partial pooling by evidence).

    A group is all tasks with the same values on a pair of axes, or on one axis if there are at most two axes. The group
    has the results of all its tasks, and `priorities_of` computes its priority as for a single task. For a task with n
    completions, the product of the priorities of its groups counts half / (n + half), and its own priority the rest.
    Groups that hold hardly any results of other tasks count less, and not at all if the task is alone in each.
    Over pairs, the product is raised to a power such that the evidence of an axis counts the same, `AXIS_POWER` times,
    however many axes there are.

    In a merged set, each group is formed on one axis. Axes that all tasks have, such as the choice of the member, group
    all tasks. Axes of a member group the tasks of the member, relative to their mean. On the axes of a member, a task's
    own completions are not evidence, since they would count again on every axis.

    Args:
        own: Priorities of the tasks, ≥ 0, shape (n,).
        priorities_of: Columns of groups -> priorities ≥ 0; reads averages, completions, baseline and activity.
        columns: Columns of the tasks; `params` has at least one column.
        groups: Result of `task_groups` for these columns.
        rates: Rates of the averages in the rows.
        half: Completions at which a task's own priority counts half, > 0.
    """
    completions = columns["num_completions"]
    xp = completions.__array_namespace__()
    active = xp.astype(columns["is_active"], xp.float64)
    history, cells = _history(columns, rates), columns["cells"]
    counts = xp.astype(completions, xp.float64)
    common, largest = active, counts
    for group in groups:
        factors = _factors(group, _num_groups(columns), priorities_of, history)
        common = common * xp.take(factors.value, group)
        largest = xp.maximum(largest, xp.take(factors.evidence, group))
    if _is_paired(columns):
        # Each axis is in num_axes − 1 pairs. In the plain product, its evidence would count as many times.
        common = common ** (AXIS_POWER / (columns["params"].shape[1] - 1))
    if cells.shape[1]:
        factors = _member_factors(cells, active * counts, priorities_of, history)
        common = common * factors.value
        largest = xp.maximum(largest, factors.evidence)
    trust = _own_weight(counts, largest - counts, half)
    return Shared(trust * _relative(own, active) + (1.0 - trust) * _relative(common, active), trust)


GROUP_COLUMNS = ("params", "cells")
"""Names of the columns that `task_groups` reads."""


def task_groups(columns: Columns) -> tuple[Array, ...]:
    """Returns the group of each task, shape (n,), for each axis that all tasks have, or for each pair of these axes.

    Args:
        columns: Columns of the tasks.
    """
    return tuple(_grid(columns).groups(columns["params"], 2 if _is_paired(columns) else 1))


def _is_paired(columns: Columns) -> bool:
    return columns["params"].shape[1] > 2 and not columns["cells"].shape[1]


def _num_groups(columns: Columns) -> int:
    num_tasks: int = columns["params"].shape[0]
    return min(MAX_GROUPS, num_tasks)


def _own_weight(own: Array, others: Array, half: float) -> Array:
    """Returns the weight n / (n + h) of a task's own results against those of its groups, shape (n,).

    Args:
        own: Completions n of each task, shape (n,).
        others: Completions of the other tasks in its largest group, shape (n,). With many, h is `half`; with none, 0.
        half: Completions at which the two weigh the same, if the group has many.
    """
    xp = own.__array_namespace__()
    weight = half * others / (others + GROUP_HALF)
    return 1.0 - weight / xp.clip(own + weight, 1e-9, None)


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
        result = result * xp.take(_factors(group, grid.num_groups, priorities_of, history).value, new)
    if cells.shape[1]:
        result = result * _member_factors(cells, xp.zeros(params.shape[0]), priorities_of, history).value
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
        bins = [
            bin_axis(known_values(params[:, axis]), self.low[axis], self.high[axis], per_axis)
            for axis in range(num_axes)
        ]
        if num_together == 1:
            return bins
        return [first * per_axis + second for first, second in combinations(bins, 2)]


def _grid(columns: Columns) -> _Grid:
    params = columns["params"]
    xp = params.__array_namespace__()
    axes = [known_values(params[:, axis]) for axis in range(params.shape[1] - columns["cells"].shape[1])]
    return _Grid([xp.min(axis) for axis in axes], [xp.max(axis) for axis in axes], _num_groups(columns))


def known_values(values: Array) -> Array:
    """Returns `values`, shape (n,), where the mean of the known ones replaces NaN, which stands for unknown."""
    xp = values.__array_namespace__()
    is_known = xp.isfinite(values)
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


class _Factors(NamedTuple):
    """What groups say, of one shape each."""

    value: Array
    """Priority over the mean, shrunk towards 1 for few results."""
    evidence: Array
    """Completions of the group; with several groups, of the largest."""


def _factors(group: Array, num_groups: int, priorities_of: Callable[[Columns], Array], history: "_History") -> _Factors:
    """Returns what each group says, shape (num_groups,); `group` is the group of each task in the pool, shape (n,)."""
    members, sizes = _group_columns(history, group[None, :], num_groups)
    xp = group.__array_namespace__()
    priorities, total = priorities_of(members), xp.sum(sizes)
    mean = xp.sum(priorities * sizes) / xp.where(total > 0.0, total, 1.0)
    evidence = xp.astype(members["num_completions"], xp.float64)
    return _Factors(_shrunk(priorities, mean, evidence), evidence)


def _member_factors(
    cells: Array, own: Array, priorities_of: Callable[[Columns], Array], history: "_History"
) -> _Factors:
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
    is_used = xp.astype(cells.T > 0, xp.float64)  # cell 0 stands for all unused columns
    largest = xp.max(is_used * evidence, axis=0)
    return _Factors(xp.prod(_shrunk(here, mean, evidence - is_inside * own), axis=0), largest)


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
    """The decaying sums behind the averages at one rate, for every task with results; each has shape (m,)."""

    keep: float
    """The decay per completion, 1 − α."""
    values: Mapping[str, Array]
    """Name of an average -> the average times its weight, 1 − (1−α)^n."""


class _History(NamedTuple):
    """The results of the active tasks."""

    columns: Columns
    completions: Array
    """Completions of each task, 0 where inactive, shape (n,)."""
    newest_first: Array
    """Indices of the m tasks with completions, in order of their last hand-out, latest first, shape (m,).

    Where arrays need a fixed shape, the other tasks are among them."""
    averages: list[_Sums]
    """The averages, fastest first."""


def _history(columns: Columns, rates: tuple[float, ...]) -> _History:
    last = columns["last_scheduled"]
    xp = last.__array_namespace__()
    completions = columns["num_completions"] * xp.astype(columns["is_active"], xp.int64)
    tasks = where_true(completions > 0)
    averages = []
    for names, rate in zip([*((name,) for name in EMAS[:-1]), (EMAS[-1], "mean_square")], rates, strict=True):
        weight = 1.0 - powers(1.0 - rate, completions)
        averages.append(_Sums(1.0 - rate, {name: weight * columns[name] for name in names}))
    newest_first = xp.take(tasks, stable_order(xp.max(last) - xp.take(last, tasks)))
    return _History(columns, completions, newest_first, averages)


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
    columns, completions, num_groupings = history.columns, history.completions, groups.shape[0]
    xp = groups.__array_namespace__()
    active, counts = (xp.astype(part, xp.float64) for part in (columns["is_active"], completions))
    parts = [xp.tile(part, (num_groupings,)) for part in (active, counts, counts * columns["random_baseline"])]
    _, (sizes, counted, baseline) = group_sums(parts, xp.reshape(groups, (-1,)), num_groups)
    total = xp.astype(counted, xp.int64)
    result: dict[str, Array] = {
        "is_active": sizes > 0.0,
        "num_completions": total,
        "random_baseline": baseline / xp.clip(counted, 1.0, None),
    }
    # The tasks of the first group, latest first, then those of the next one.
    by_age = xp.reshape(xp.take(groups, history.newest_first, axis=1), (-1,))
    order = stable_order(by_age)
    group, place = xp.take(by_age, order), xp.take(xp.tile(history.newest_first, (num_groupings,)), order)
    completions = xp.take(completions, place)
    newer = xp.cumulative_sum(completions) - completions - xp.take(xp.cumulative_sum(total) - total, group)
    is_empty = xp.astype(total <= 0, xp.float64)
    for keep, values in reversed(history.averages):
        near = where_true(newer < math.ceil(FORGOTTEN / -math.log(keep)))
        if near.shape[0] < newer.shape[0]:  # faster averages forget earlier
            group, newer, place = (xp.take(column, near) for column in (group, newer, place))
        decay = powers(keep, newer)
        sums = segment_sums([decay * xp.take(value, place) for value in values.values()], group, num_groups)
        whole = 1.0 - powers(keep, total) + is_empty  # the sum of the weights of the tasks of a group
        result |= {name: within(sum_ / whole, 0.0, 1.0) for name, sum_ in zip(values, sums, strict=True)}
    return result, sizes
