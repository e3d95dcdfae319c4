"""Evidence shared along the axes: tasks with few results borrow from tasks with the same values."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from ..arrays import Array, Columns, count, largest
from .group_results import PoolResults, group_columns
from .groups import Grouping, NewestFirst, active_sizes, groups_with, is_paired

GROUP_HALF = 5.0
"""Completions at which the priority of a group counts half, and the mean priority the other half; also, completions of
other tasks at which the groups of a task count half as much as they do in the end."""

AXIS_POWER = 3.0
"""Power with which each of three or more axes counts in the product over all pairs of axes."""

MIN_FAVOURED = 8
"""Number of tasks over which the draws that follow groups spread at least; a tenth of the pool, if that is less."""

BATCH = 2**16
"""Number of tasks, times groupings, up to which groupings are computed together: NumPy then takes longer for the values
than for the calls, and the values stay in the cache of the processor."""


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
    grouping: Grouping,
    rates: tuple[float, ...],
    half: float,
) -> Shared:
    """Blends the priorities of tasks with the priorities of their groups (partial pooling by evidence).

    A group is all tasks with the same values on a pair of axes, or on one axis if there are at most two axes. The group
    has the results of all its tasks, and `priorities_of` computes its priority as for a single task. For a task with n
    completions, the product of the priorities of its groups counts half / (n + half), and its own priority the rest.
    Groups that hold hardly any results of other tasks count less, and not at all if the task is alone in each.
    Over pairs, the product is raised to a power such that the evidence of an axis counts the same, `AXIS_POWER` times,
    however many axes there are. A product of many factors may exceed all others by far. It would give one task most of
    the draws, so it is limited to a share of the sum: see `MIN_FAVOURED`.

    In a merged set, each group is formed on one axis. Axes that all tasks have, such as the choice of the member, group
    all tasks. Axes of a member group the tasks of the member, relative to their mean. On the axes of a member, a task's
    own completions are not evidence, since they would count again on every axis.

    Args:
        own: Priorities of the tasks, ≥ 0, shape (n,).
        priorities_of: Columns of groups -> priorities ≥ 0; reads averages, completions, baseline and activity. All have
            the shape (k, num_groups): the groups of k groupings, each of which is judged on its own.
        columns: Columns of the tasks; `params` has at least one column.
        grouping: Result of a `Grouper` for these columns.
        rates: Rates of the averages in the rows.
        half: Completions at which a task's own priority counts half, > 0.
    """
    completions = columns["num_completions"]
    xp = completions.__array_namespace__()
    active = xp.astype(columns["is_active"], xp.float64)
    history, cells = PoolResults(columns, grouping.newest_first, rates), columns["cells"]
    counts = xp.astype(completions, xp.float64)
    common, most = active, counts
    # Each axis is in num_axes − 1 pairs. In the plain product, its evidence would count as many times.
    power = AXIS_POWER / (columns["params"].shape[1] - 1) if is_paired(columns) else 1.0
    for group, value, evidence in _factors_of(grouping, priorities_of, history):
        common = common * xp.take(value**power, group)
        most = xp.maximum(most, xp.take(evidence, group))
    if cells.shape[1]:
        factors = _member_factors(cells, active * counts, priorities_of, columns, history)
        common = common * factors.value
        most = xp.maximum(most, factors.evidence)
    trust = _own_weight(counts, most - counts, half)
    common = _relative(limited(common, xp.clip(count(columns["is_active"]) / 10.0, 1.0, MIN_FAVOURED)), active)
    return Shared(trust * _relative(own, active) + (1.0 - trust) * common, trust)


def limited(priorities: Array, num_favoured: Array) -> Array:
    """Returns `priorities`, shape (n,), limited so that none is more than 1 / `num_favoured` of their sum.

    The limit c is the solution of Σ min(p, c) = k c, for k = `num_favoured`. With the j highest priorities at the
    limit, c is the sum of the others over k − j, and the right j is the one that gives the lowest c.

    Args:
        priorities: At least 0, shape (n,).
        num_favoured: From 1 to `MIN_FAVOURED`, shape (). If fewer priorities are positive, these become equal.

    Examples:
        >>> import numpy as np
        >>> limited(np.array([90.0, 6.0, 3.0, 1.0]), np.float64(2.0)).tolist()
        [10.0, 6.0, 3.0, 1.0]
    """
    xp = priorities.__array_namespace__()
    highest = largest(priorities, min(MIN_FAVOURED, priorities.shape[0]))
    last, places = highest[-1], xp.astype(xp.arange(highest.shape[0]), xp.float64)
    # Sums from the lowest priority on: differences of sums would lose what is small beside the highest.
    rest = xp.sum(xp.where(priorities < last, priorities, 0.0)) + last * (
        count(priorities == last) - count(highest == last)
    )
    others = rest + xp.flip(xp.cumulative_sum(xp.flip(highest)))  # at each place, the sum from there on
    is_favoured = places < num_favoured
    limits = xp.where(is_favoured, others / xp.where(is_favoured, num_favoured - places, 1.0), xp.inf)
    least = xp.min(xp.where(is_favoured & (highest > 0.0), highest, xp.inf))
    return xp.minimum(priorities, xp.maximum(xp.min(limits), least))


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
    history = PoolResults(columns, NewestFirst()(columns)[0], rates)
    groups, new, num_groups = groups_with(columns, params)
    result = xp.ones(params.shape[0])
    if groups.shape[0]:
        values = _factors(groups, active_sizes(columns, groups, num_groups), priorities_of, history).value
        for axis in range(new.shape[0]):
            result = result * xp.take(values[axis, :], new[axis, :])
    if cells.shape[1]:
        result = result * _member_factors(cells, xp.zeros(params.shape[0]), priorities_of, columns, history).value
    return result


class _Factors(NamedTuple):
    """What groups say, of one shape each."""

    value: Array
    """Priority over the mean, shrunk towards 1 for few results."""
    evidence: Array
    """Completions of the group; with several groups, of the largest."""


def _factors_of(
    grouping: Grouping, priorities_of: Callable[[Columns], Array], history: PoolResults
) -> Iterator[tuple[Array, Array, Array]]:
    """Yields, for each grouping, the group of each task, shape (n,), and the two factors of the groups."""
    groups, sizes, _ = grouping
    xp, (num_groupings, num_tasks) = groups.__array_namespace__(), groups.shape
    step = max(1, BATCH // num_tasks)
    for first in range(0, num_groupings, step):
        end = min(first + step, num_groupings)
        batch = groups[first:end, :]
        factors = _factors(batch, sizes[first:end, :], priorities_of, history)
        for row in range(batch.shape[0]):
            yield xp.astype(batch[row, :], xp.int64), factors.value[row, :], factors.evidence[row, :]


def _factors(groups: Array, sizes: Array, priorities_of: Callable[[Columns], Array], history: PoolResults) -> _Factors:
    """Returns what each group says, shape (k, num_groups).

    Args:
        groups: Groups of the tasks in the pool in k groupings, shape (k, n).
        sizes: Number of active tasks in each group, shape (k, num_groups).
        priorities_of: Columns of groups -> priorities ≥ 0.
        history: Results of the pool.
    """
    xp = groups.__array_namespace__()
    members = group_columns(history, groups, sizes.shape[1]) | {"is_active": sizes > 0.0}
    priorities, total = priorities_of(members), xp.sum(sizes, axis=1, keepdims=True)
    mean = xp.sum(priorities * sizes, axis=1, keepdims=True) / xp.where(total > 0.0, total, 1.0)
    evidence = xp.astype(members["num_completions"], xp.float64)
    return _Factors(_shrunk(priorities, mean, evidence), evidence)


def _member_factors(
    cells: Array, own: Array, priorities_of: Callable[[Columns], Array], columns: Columns, history: PoolResults
) -> _Factors:
    """Returns the product of the factors of each task's member and of its groups over the member's axes, shape (n,).

    A factor is the priority of a group over the mean of the tasks that have the axis, shrunk as in `_factors`.

    Args:
        cells: Cells of the tasks, shape (n, k).
        own: Completions of each task, which are not evidence on the axes of its member, shape (n,).
        priorities_of: Columns of groups -> priorities ≥ 0.
        columns: Columns of the tasks in the pool.
        history: Results of the pool.
    """
    xp = cells.__array_namespace__()
    cell_axes, groups = columns["cell_axes"], columns["cells"].T
    sizes = active_sizes(columns, groups, cell_axes.shape[0], is_shared=True)
    members = group_columns(history, groups, cell_axes.shape[0], is_shared=True) | {"is_active": sizes > 0.0}
    priorities, evidence = priorities_of(members)[0, :], xp.astype(members["num_completions"][0, :], xp.float64)
    of_cells = priorities, _axis_means(priorities, sizes[0, :], cell_axes), evidence
    shape, index = cells.T.shape, xp.reshape(cells.T, (-1,))
    here, mean, evidence = (xp.reshape(xp.take(column, index), shape) for column in of_cells)
    is_inside = xp.reshape(xp.astype(xp.arange(shape[0]) > 0, xp.float64), (-1, 1))  # after the choice of the member
    is_used = xp.astype(cells.T > 0, xp.float64)  # cell 0 stands for all unused columns
    most = xp.max(is_used * evidence, axis=0)
    return _Factors(xp.prod(_shrunk(here, mean, is_used * (evidence - is_inside * own)), axis=0), most)


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
