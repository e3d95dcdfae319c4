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
    """`own` scores ≥ 0 blended with those of the groups that a task belongs to, in units of their means; shape (n,).

    All tasks with the same values on two axes (on one, if there are no more than two) are taken together as one that
    was told the results of all of them, and scored by `score`. A task gets the product of its groups' scores over all
    pairs of axes; with n completions of its own, that counts half / (n + half), its own score the rest. Partial
    pooling, by evidence.

    In a merged set, axes are taken one by one. Those that all tasks have, the choice of the member among them, make
    groups of all tasks; a member's own axes make groups of its tasks only, which are compared with each other.

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
    grid = _grid(columns)
    num_together = 2 if len(grid.common) > 2 and not grid.own else 1
    groups = grid.groups(columns["params"], columns["axes"], num_together)
    common = _product(active, _factors(groups, score, columns, rates), groups)
    trust = own_weight(completions, half)
    return trust * _relative(own, active) + (1.0 - trust) * _relative(common, active)


def own_weight(num_completions: Array, half: float) -> Array:
    """The weight n / (n + half) that a task's own results have beside those of its groups, shape (n,)."""
    xp = num_completions.__array_namespace__()
    counts = xp.astype(num_completions, xp.float64)
    return counts / (counts + half)


def expected_priorities(
    score: Callable[[Columns], Array], columns: Columns, rates: tuple[float, ...], params: Array, axes: Array
) -> Array:
    """What tasks that nobody has played yet are expected to score, shape (m,).

    The product of the scores of the groups that they would belong to, as in `share_evidence`, but one for each axis:
    few tasks of the pool share two values with a new one. 1 is as the mean of the pool, also where nothing is known.

    Args:
        score: As for `share_evidence`, like the next two.
        columns: See there.
        rates: See there.
        params: Of the new tasks, shape (m, num_params).
        axes: Which axes the last of their params stand for, shape (m, k), as in ``columns["axes"]``.
    """
    grid = _grid(columns)
    factors = _factors(grid.groups(columns["params"], columns["axes"], 1), score, columns, rates)
    xp = params.__array_namespace__()
    return _product(xp.ones(params.shape[0]), factors, grid.groups(params, axes, 1))


class _Groups(NamedTuple):
    """Tasks parted into groups, in one way or in several that know nothing of each other."""

    index: Array
    """The group of each task in each way, shape (ways, n); the number of groups for a task in none."""
    first: Array
    """The first of those groups that a group is compared with, shape (num_groups,)."""
    end: Array
    """The one after the last of them, shape (num_groups,)."""


class _CommonAxis(NamedTuple):
    """A column that stands for the same axis in all tasks: the range of values that occur in the pool."""

    low: Array
    high: Array


class _OwnAxes(NamedTuple):
    """The other columns: what occurs in the pool on the axes of single members, by axis and then by value."""

    axes: Array
    """Shape (m,), 0 for what a task leaves over."""
    values: Array
    """Shape (m,)."""

    def groups(self, values: Array, axes: Array) -> _Groups:
        """The groups of tasks with `values` on `axes`, shape (k, n) each: as many bins an axis as it has tasks."""
        xp = values.__array_namespace__()
        num_groups = self.axes.shape[0]
        first = xp.searchsorted(self.axes, axes, side="left")
        end = xp.searchsorted(self.axes, axes, side="right")
        low = xp.take(self.values, xp.clip(first, None, num_groups - 1))
        high = xp.take(self.values, xp.clip(end - 1, 0, None))
        index = first + _bins(values, low, high, end - first)
        return _Groups(
            xp.where((axes > 0) & (first < end), index, num_groups),
            xp.searchsorted(self.axes, self.axes, side="left"),
            xp.searchsorted(self.axes, self.axes, side="right"),
        )


class _Grid(NamedTuple):
    """How tasks are parted into groups: bins along each axis, over the values that occur in the pool."""

    common: list[_CommonAxis]
    own: list[_OwnAxes]
    """One, or none without merged sets."""
    num_groups: int
    """On common axes."""

    def groups(self, params: Array, axes: Array, num_together: int) -> list[_Groups]:
        """The groups for each axis, or for each pair of axes that all tasks have, of tasks with `params` on `axes`."""
        xp = params.__array_namespace__()
        per_axis = self.num_groups if num_together == 1 else math.isqrt(self.num_groups)
        bins = [_bins(params[:, i], axis.low, axis.high, per_axis) for i, axis in enumerate(self.common)]
        if num_together == 2:
            bins = [first * per_axis + second for first, second in combinations(bins, 2)]
        first = xp.zeros(self.num_groups, dtype=xp.int64)
        common = [_Groups(xp.reshape(index, (1, -1)), first, first + self.num_groups) for index in bins]
        return common + [own.groups(_beside(params, len(self.common)), axes.T) for own in self.own]


def _beside(params: Array, num_common: int) -> Array:
    """The params on axes of single members, shape (k, n)."""
    return params[:, num_common:].T


def _grid(columns: Columns) -> _Grid:
    params, axes = columns["params"], columns["axes"]
    xp = params.__array_namespace__()
    num_common = params.shape[1] - axes.shape[1]
    common = [_CommonAxis(xp.min(params[:, i]), xp.max(params[:, i])) for i in range(num_common)]
    own = []
    if axes.shape[1]:
        values, numbers = xp.reshape(_beside(params, num_common), (-1,)), xp.reshape(axes.T, (-1,))
        by_value = xp.argsort(values)
        order = xp.take(by_value, stable_order(xp.take(numbers, by_value)))
        own = [_OwnAxes(xp.take(numbers, order), xp.take(values, order))]
    return _Grid(common, own, min(MAX_GROUPS, params.shape[0]))


def _bins(values: Array, low: Array, high: Array, num_bins: Array | int) -> Array:
    """The bin of each value among `num_bins` equal ones from `low` to `high`, shape of `values`; the outer ones are open.

    Choices of fewer values have a bin each.
    """
    xp = values.__array_namespace__()
    place = (xp.clip(values, low, high) - low) * ((num_bins - 1e-6) / xp.where(high > low, high - low, 1.0))
    return xp.astype(place, xp.int64)


def _factors(
    groups: list[_Groups], score: Callable[[Columns], Array], columns: Columns, rates: tuple[float, ...]
) -> list[Array]:
    """The score of each group over the mean of those it is compared with, shrunk to 1 where it has few results.

    Shape (num_groups + 1,) each; the last is 1, for the tasks in no group.
    """
    xp = columns["num_completions"].__array_namespace__()
    last = columns["last_scheduled"]
    newest_first = stable_order(xp.max(last) - last)
    averages = _decaying_sums(columns, rates)
    factors = []
    for index, first, end in groups:
        by_age = xp.reshape(xp.take(index, newest_first, axis=1), (-1,))
        order = stable_order(by_age)
        tasks = xp.take(xp.tile(newest_first, (index.shape[0],)), order)
        members, sizes = _group_columns(columns, averages, tasks, xp.take(by_age, order), first.shape[0])
        scores = score(members)

        def sums(values: Array, first: Array = first, end: Array = end) -> Array:
            running = xp.cumulative_sum(values, include_initial=True)
            return xp.take(running, end) - xp.take(running, first)

        total, weighted = sums(sizes), scores * sizes
        mean = sums(weighted) / xp.where(total > 0.0, total, 1.0)
        # Rounding of the running sum is no score.
        is_flat = (mean <= 0.0) | (sums(xp.astype(weighted > 0.0, xp.int64)) == 0)
        relative = xp.where(is_flat, 1.0, scores / xp.where(is_flat, 1.0, mean))
        evidence = xp.astype(members["num_completions"], xp.float64)
        factor = 1.0 + (relative - 1.0) * evidence / (evidence + GROUP_HALF)
        factors.append(xp.concat([factor, xp.ones(1)]))
    return factors


def _product(start: Array, factors: list[Array], groups: list[_Groups]) -> Array:
    """`start` times the factors of the groups that each task is in, shape (n,)."""
    xp = start.__array_namespace__()
    result = start
    for factor, (index, _, _) in zip(factors, groups, strict=True):
        result = result * xp.prod(xp.reshape(xp.take(factor, xp.reshape(index, (-1,))), index.shape), axis=0)
    return result


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


def _decaying_sums(columns: Columns, rates: tuple[float, ...]) -> list[_Sums]:
    completions = columns["num_completions"]
    xp = completions.__array_namespace__()
    active = xp.astype(columns["is_active"], xp.float64)
    result = []
    for names, rate in zip([*((name,) for name in EMAS[:-1]), (EMAS[-1], "mean_square")], rates, strict=True):
        weight = active * (1.0 - powers(1.0 - rate, completions))
        result.append(_Sums(1.0 - rate, weight, {name: weight * columns[name] for name in names}))
    return result


def _group_columns(
    columns: Columns, averages: list[_Sums], tasks: Array, sorted_group: Array, num_groups: int
) -> tuple[Columns, Array]:
    """The columns of each of `num_groups` groups, as of one task with all of its results, and its active tasks.

    `tasks` are sorted by their group, those in none last, and by their last hand-out, newest first; `sorted_group` is
    the group of each. The average at rate α of a task with n results, before m newer ones of its group, has weight
    (1−α)^m (1 − (1−α)^n) in the group's: exact if its results came in a row.
    """
    xp = tasks.__array_namespace__()
    ends = xp.searchsorted(sorted_group, xp.arange(num_groups), side="right")
    starts = xp.concat([xp.zeros(1, dtype=ends.dtype), ends[:-1]])

    def sums(values: Array) -> Array:
        running = xp.cumulative_sum(values, include_initial=True)
        return xp.take(running, ends) - xp.take(running, starts)

    active = xp.astype(xp.take(columns["is_active"], tasks), xp.int64)
    counts = active * xp.take(columns["num_completions"], tasks)
    before = xp.cumulative_sum(counts) - counts
    newer = before - xp.take(before, xp.take(starts, xp.clip(sorted_group, None, num_groups - 1)))
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
