"""Sharing evidence along the axes: what tasks with the same values have in common, where each has too few results."""

import math
from collections.abc import Callable
from itertools import combinations
from typing import NamedTuple

from ..scorers import Array, Columns
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
    num_axes = columns["params"].shape[1]
    num_together = 1 if num_axes <= 2 else 2
    num_groups = min(MAX_GROUPS, completions.shape[0])
    per_axis = num_groups if num_together == 1 else math.isqrt(num_groups)
    bins = [_bins(columns["params"][:, axis], per_axis) for axis in range(num_axes)]
    newest_first = xp.argsort(-columns["last_scheduled"], stable=True)

    averages = _decaying_sums(columns, rates)
    common = active
    for axes in combinations(bins, num_together):
        group = axes[0] if num_together == 1 else axes[0] * per_axis + axes[1]
        order = xp.take(newest_first, xp.argsort(xp.take(group, newest_first), stable=True))
        groups, sizes = _group_columns(columns, averages, group, order, num_groups)
        scores = score(groups)
        mean = xp.sum(scores * sizes) / xp.sum(sizes)
        is_flat = mean <= 0.0
        relative = xp.where(is_flat, 1.0, scores / xp.where(is_flat, 1.0, mean))
        evidence = xp.astype(groups["num_completions"], xp.float64)
        common = common * xp.take(1.0 + (relative - 1.0) * evidence / (evidence + GROUP_HALF), group)
    trust = xp.astype(completions, xp.float64)
    trust = trust / (trust + half)
    return trust * _relative(own, active) + (1.0 - trust) * _relative(common, active)


def _relative(scores: Array, active: Array) -> Array:
    """Scores over their mean; `active` if all are 0."""
    xp = scores.__array_namespace__()
    mean = xp.sum(scores) / xp.sum(active)
    return xp.where(mean <= 0.0, active, scores / xp.where(mean <= 0.0, 1.0, mean))


def _bins(values: Array, num_bins: int) -> Array:
    """The bin of each value among `num_bins` equal ones, shape (n,); choices of fewer values have one each."""
    xp = values.__array_namespace__()
    low, high = xp.min(values), xp.max(values)
    place = (values - low) * ((num_bins - 1e-6) / xp.where(high > low, high - low, 1.0))
    return xp.astype(place, xp.int64)


class _Sum(NamedTuple):
    """The decaying sum behind one average of every task, shape (n,) each."""

    name: str
    log_keep: float
    """ln(1−α)."""
    weight: Array
    """1 − (1−α)^n, 0 where inactive."""
    value: Array
    """The average times its weight."""


def _decaying_sums(columns: Columns, rates: tuple[float, ...]) -> list[_Sum]:
    completions, active = columns["num_completions"], columns["is_active"]
    xp = completions.__array_namespace__()
    counts = xp.astype(completions, xp.float64) * xp.astype(active, xp.float64)
    result = []
    for names, rate in zip([*((name,) for name in EMAS[:-1]), (EMAS[-1], "mean_square")], rates, strict=True):
        log_keep = math.log1p(-rate)
        weight = -xp.expm1(counts * log_keep)
        result += [_Sum(name, log_keep, weight, weight * columns[name]) for name in names]
    return result


def _group_columns(
    columns: Columns, averages: list[_Sum], group: Array, order: Array, num_groups: int
) -> tuple[Columns, Array]:
    """The columns of each of `num_groups` groups, as of one task with all of its results, and its active tasks.

    `order` sorts tasks by group, and by their last hand-out, newest first. The average at rate α of a task with n
    results, before m newer ones of its group, has weight (1−α)^m (1 − (1−α)^n) in the group's: exact if its results
    came in a row.
    """
    xp = group.__array_namespace__()
    sorted_group = xp.take(group, order)
    ends = xp.searchsorted(sorted_group, xp.arange(num_groups), side="right")
    starts = xp.concat([xp.zeros(1, dtype=ends.dtype), ends[:-1]])

    def sums(values: Array) -> Array:
        running = xp.concat([xp.zeros(1), xp.cumulative_sum(values)])
        return xp.take(running, ends) - xp.take(running, starts)

    active = xp.astype(xp.take(columns["is_active"], order), xp.float64)
    counts = active * xp.astype(xp.take(columns["num_completions"], order), xp.float64)
    before = xp.cumulative_sum(counts) - counts
    newer = before - xp.take(before, xp.take(starts, sorted_group))
    total = sums(counts)
    is_empty = xp.astype(total <= 0.0, xp.float64)
    result: dict[str, Array] = {
        "is_active": sums(active) > 0.0,
        "num_completions": xp.astype(total, xp.int64),
        "random_baseline": sums(counts * xp.take(columns["random_baseline"], order)) / (total + is_empty),
    }
    for name, log_keep, weight, value in averages:
        decay = xp.exp(newer * log_keep)
        whole = sums(decay * xp.take(weight, order))
        result[name] = xp.clip(sums(decay * xp.take(value, order)) / (whole + is_empty), 0.0, 1.0)
    return result, sums(active)
