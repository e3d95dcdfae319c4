"""Sharing evidence along the axes: what tasks with the same values have in common, where each has too few results."""

import math
from collections.abc import Callable, Mapping
from itertools import combinations
from typing import NamedTuple

from ..arrays import Array, Columns, powers, stable_order
from ..table import EMAS

MAX_GROUPS = 4096
"""Groups of tasks, by their bins on the axes that are looked at together; no more than there are tasks."""

GROUP_HALF = 5.0
"""Completions at which a group's score counts half, the mean of all groups the rest."""


def share_evidence(
    own: Array, score: Callable[[Columns], Array], columns: Columns, rates: tuple[float, ...], half: float
) -> Array:
    """Returns `own` scores ≥ 0, blended with those of a task's groups, in units of their means; shape (n,).

    All tasks with the same values on two axes (on one, if there are no more than two) are taken together as one that
    was told the results of all of them, and scored by `score`. A task gets the product of its groups' scores over all
    pairs of axes; with n completions of its own, that counts half / (n + half), its own score the rest. Partial
    pooling, by evidence.

    In a merged set, axes are taken one by one. Axes that all tasks have, the choice of the member among them, make
    groups of all tasks. The axes of a member make groups of its own tasks, relative to the mean of these. There, a
    task's own results are no evidence: they would count again on each axis.

    Args:
        own: shape (n,).
        score: columns of groups -> their scores ≥ 0; reads averages, completions, baseline and activity.
        columns: of the tasks; `params` has at least one column.
        rates: of the averages in the rows.
        half: completions, > 0.
    """
    completions = columns["num_completions"]
    xp = completions.__array_namespace__()
    active = xp.astype(columns["is_active"], xp.float64)
    grid, history = _grid(columns), _history(columns, rates)
    cells, is_merged = columns["cells"], columns["cells"].shape[1] > 0
    common = active
    for group in grid.groups(columns["params"], 2 if len(grid.low) > 2 and not is_merged else 1):
        common = common * xp.take(_factors(group, grid.num_groups, score, history), group)
    if is_merged:
        common = common * _member_factors(cells, active * xp.astype(completions, xp.float64), score, history)
    trust = own_weight(completions, half)
    return trust * _relative(own, active) + (1.0 - trust) * _relative(common, active)


def own_weight(num_completions: Array, half: float) -> Array:
    """The weight n / (n + half) that a task's own results have beside those of its groups, shape (n,)."""
    xp = num_completions.__array_namespace__()
    counts = xp.astype(num_completions, xp.float64)
    return counts / (counts + half)


def expected_priorities(
    score: Callable[[Columns], Array], columns: Columns, rates: tuple[float, ...], params: Array, cells: Array
) -> Array:
    """What tasks that nobody has played yet are expected to score, shape (m,).

    The product of the scores of the groups that they would belong to, as in `share_evidence`, but one for each axis:
    few tasks of the pool share two values with a new one. 1 is as the mean of the pool, also where nothing is known.

    Args:
        score: As for `share_evidence`, like the next two.
        columns: See there.
        rates: See there.
        params: Of the new tasks, shape (m, num_params).
        cells: Of the new tasks, as in ``columns["cells"]``, shape (m, k).
    """
    xp = params.__array_namespace__()
    grid, history = _grid(columns), _history(columns, rates)
    result = xp.ones(params.shape[0])
    for group, new in zip(grid.groups(columns["params"], 1), grid.groups(params, 1), strict=True):
        result = result * xp.take(_factors(group, grid.num_groups, score, history), new)
    if cells.shape[1]:
        result = result * _member_factors(cells, xp.zeros(params.shape[0]), score, history)
    return result


class _Grid(NamedTuple):
    """How tasks are parted into groups: bins along each axis that all have, over the values that occur in the pool."""

    low: list[Array]
    high: list[Array]
    num_groups: int

    def groups(self, params: Array, num_together: int) -> list[Array]:
        """For each axis, or for each pair of axes, the group of each of the tasks, shape (n,)."""
        num_axes = len(self.low)
        per_axis = self.num_groups if num_together == 1 else math.isqrt(self.num_groups)
        bins = [_bins(params[:, axis], self.low[axis], self.high[axis], per_axis) for axis in range(num_axes)]
        if num_together == 1:
            return bins
        return [first * per_axis + second for first, second in combinations(bins, 2)]


def _grid(columns: Columns) -> _Grid:
    params = columns["params"]
    xp = params.__array_namespace__()
    axes = [params[:, axis] for axis in range(params.shape[1] - columns["cells"].shape[1])]
    return _Grid([xp.min(axis) for axis in axes], [xp.max(axis) for axis in axes], min(MAX_GROUPS, params.shape[0]))


def _bins(values: Array, low: Array, high: Array, num_bins: int) -> Array:
    """The bin of each value among `num_bins` equal ones from `low` to `high`, shape (n,); the outer ones are open.

    Choices of fewer values have a bin each.
    """
    xp = values.__array_namespace__()
    place = (xp.clip(values, low, high) - low) * ((num_bins - 1e-6) / xp.where(high > low, high - low, 1.0))
    return xp.astype(place, xp.int64)


def _factors(group: Array, num_groups: int, score: Callable[[Columns], Array], history: "_History") -> Array:
    """The score of each group over the mean, shrunk to 1 where it has few results; shape (num_groups,).

    `group`, shape (n,), is that of each task of the pool.
    """
    members, sizes = _group_columns(history, group[None, :], num_groups)
    xp = group.__array_namespace__()
    scores, total = score(members), xp.sum(sizes)
    mean = xp.sum(scores * sizes) / xp.where(total > 0.0, total, 1.0)
    return _shrunk(scores, mean, xp.astype(members["num_completions"], xp.float64))


def _member_factors(cells: Array, own: Array, score: Callable[[Columns], Array], history: "_History") -> Array:
    """Returns the product of the scores of a task's member and of its values on the member's axes, shape (n,).

    A score is relative to the mean of the tasks that have the axis, and shrunk to 1 where it has few results.

    Args:
        cells: The tasks, as in ``columns["cells"]``, shape (n, k).
        own: Their completions that are no evidence on the axes of the member, shape (n,).
        score: As for `share_evidence`.
        history: Of the pool.
    """
    xp = cells.__array_namespace__()
    cell_axes = history.columns["cell_axes"]
    members, sizes = _group_columns(history, history.columns["cells"].T, cell_axes.shape[0])
    scores = score(members)
    of_cells = scores, _axis_means(scores, sizes, cell_axes), xp.astype(members["num_completions"], xp.float64)
    shape, index = cells.T.shape, xp.reshape(cells.T, (-1,))
    here, mean, evidence = (xp.reshape(xp.take(column, index), shape) for column in of_cells)
    is_inside = xp.reshape(xp.astype(xp.arange(shape[0]) > 0, xp.float64), (-1, 1))  # beyond the choice of the member
    return xp.prod(_shrunk(here, mean, evidence - is_inside * own), axis=0)


def _axis_means(scores: Array, sizes: Array, cell_axes: Array) -> Array:
    """Returns for each cell the mean score of the tasks that have its axis, shape (num_cells,) as all arguments."""
    xp = scores.__array_namespace__()
    first, end = (xp.searchsorted(cell_axes, cell_axes, side=side) for side in ("left", "right"))

    def sums(values: Array) -> Array:
        running = xp.cumulative_sum(values, include_initial=True)
        return xp.take(running, end) - xp.take(running, first)

    total, weighted = sums(sizes), scores * sizes
    # What rounding leaves of zeros in a running sum is no score.
    is_scored = xp.astype(sums(xp.astype(weighted > 0.0, xp.int64)) > 0, xp.float64)
    return sums(weighted) / xp.where(total > 0.0, total, 1.0) * is_scored


def _shrunk(scores: Array, mean: Array, evidence: Array) -> Array:
    """`scores` over their `mean`, nearer to 1 the fewer results the `evidence` has; 1 if the mean is 0."""
    xp = scores.__array_namespace__()
    is_flat = mean <= 0.0
    relative = xp.where(is_flat, 1.0, scores / xp.where(is_flat, 1.0, mean))
    return 1.0 + (relative - 1.0) * evidence / (evidence + GROUP_HALF)


def _relative(scores: Array, active: Array) -> Array:
    """Scores over their mean; `active` if all are 0."""
    xp = scores.__array_namespace__()
    mean = xp.sum(scores) / xp.sum(active)
    return xp.where(mean <= 0.0, active, scores / xp.where(mean <= 0.0, 1.0, mean))


class _Sums(NamedTuple):
    """The decaying sums behind the averages at one rate of every task, shape (n,) each."""

    keep: float
    """1 − α."""
    weight: Array
    """1 − (1−α)^n, 0 where inactive."""
    values: Mapping[str, Array]
    """Name of an average -> it times its weight."""


class _History(NamedTuple):
    """What the tasks of the pool were told."""

    columns: Columns
    newest_first: Array
    """The tasks by their last hand-out, shape (n,)."""
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
    """The columns of each of `num_groups` groups, as of one task with all of its results, and its active tasks.

    Each row of `groups`, shape (k, n), says for each task the group that it is in. The average at rate α of a task with
    n results, before m newer ones of its group, has weight (1−α)^m (1 − (1−α)^n) in the group's: exact if its results
    came in a row.
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
