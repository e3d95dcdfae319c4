"""The results of groups of tasks, as if one task had completed all of them."""

import math
from collections.abc import Mapping
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..arrays import (
    Array,
    Columns,
    group_sizes,
    group_sums,
    in_place,
    powers,
    spread,
    stable_order,
    vanishing,
    where_true,
    within,
)
from ..kernel import KERNEL
from ..table import EMAS
from . import compiled
from .groups import numbered_over

NAMES = (*((name,) for name in EMAS[:-1]), (EMAS[-1], "mean_square"))
"""Names of the averages at each rate, fastest first."""


class Sums(NamedTuple):
    """The decaying sums behind the averages at one rate, for n tasks."""

    keep: float
    """The decay per completion, 1 − α."""
    values: Mapping[str, Array]
    """Name of an average -> the average times its weight, 1 − (1−α)^n, shape (n,)."""


class PoolResults:
    """The results of the active tasks of a pool.

    Args:
        columns: Columns of the tasks.
        newest_first: Result of `NewestFirst` for these columns, shape (m,).
        rates: Rates of the averages in the rows.
    """

    def __init__(self, columns: Columns, newest_first: Array, rates: tuple[float, ...]) -> None:
        self.columns = columns
        self.newest_first = newest_first
        self.keeps: list[float] = [1.0 - rate for rate in rates]
        """The decays per completion, 1 − α, of the averages, fastest first."""
        active = columns["is_active"]
        completions = columns["num_completions"]
        self.completions: Array = completions * active.__array_namespace__().astype(active, completions.dtype)
        """Completions of the active tasks, 0 for others, shape (n,)."""

    @cached_property
    def averages(self) -> list[Sums]:
        """The sums behind the averages, fastest first."""
        averages = []
        for keep, names in zip(self.keeps, NAMES, strict=True):
            weight = 1.0 - powers(keep, self.completions)
            averages.append(Sums(keep, {name: weight * self.columns[name] for name in names}))
        return averages


def group_columns(pool: PoolResults, groups: Array, num_groups: int, *, is_shared: bool = False) -> dict[str, Array]:
    """Combines the results of the tasks in each group into columns, as if one task had completed all of them.

    A task with n results, followed by m newer results of its group, has weight (1−α)^m (1 − (1−α)^n) in the group's
    average at rate α. The weight is exact if the results of the task came in a row.

    Args:
        pool: Results of the pool.
        groups: Groups of the n tasks in k groupings, shape (k, n).
        num_groups: Number of groups of a grouping.
        is_shared: Whether all groupings share one numbering, and so are one. Group 0 then has no results: it stands for
            the axes that a task does not have.

    Returns:
        Completions, averages and baseline of the groups, shape (k, num_groups) each; k is 1 with `is_shared`.
    """
    xp = groups.__array_namespace__()
    shape = (1 if is_shared else groups.shape[0], num_groups)
    total, baseline, sums = _results(pool, numbered_over(groups, shape), math.prod(shape))
    if is_shared:  # group 0 stands for the axes that a task does not have
        is_group = xp.arange(num_groups) > 0
        total, baseline = (xp.where(is_group, column, 0) for column in (total, baseline))
        sums = {name: xp.where(is_group, column, 0.0) for name, column in sums.items()}
    result = {"num_completions": total, "random_baseline": baseline / xp.clip(xp.astype(total, xp.float64), 1.0, None)}
    is_empty = xp.astype(total <= 0, xp.float64)
    for keep, names in zip(pool.keeps, NAMES, strict=True):
        whole = 1.0 - powers(keep, total) + is_empty  # the sum of the weights of the tasks of a group
        for name in names:
            result[name] = within(sums[name] / whole, 0.0, 1.0)
    return {name: xp.reshape(column, shape) for name, column in result.items()}


FEW = 0.7
"""Share of the tasks up to which those whose results an average still remembers are taken out of the others."""


def _results(pool: PoolResults, groups: Array, num_groups: int) -> tuple[Array, Array, dict[str, Array]]:
    """Returns the results of groups: completions, completions times baselines, and the sums behind each average.

    All have the shape (num_groups,). Tasks whose results an average has forgotten in their group add nothing.

    Args:
        pool: Results of n tasks.
        groups: Group of each task, k times, numbered over all groupings, shape (k * n,).
        num_groups: Number of groups of all groupings.
    """
    if KERNEL is not None:
        columns, order, completions = pool.columns, pool.newest_first, pool.completions
        results = compiled.group_results(KERNEL, columns, order, completions, groups, num_groups, pool.keeps)
        if results is not None:
            return results
    xp, num_tasks = groups.__array_namespace__(), pool.completions.shape[0]
    num_copies = groups.shape[0] // max(num_tasks, 1)
    newer, total, baseline = _newer(pool, groups, num_groups)
    sums: dict[str, Array] = {}
    place = None  # all tasks, k times; in the order of the pool, averages are read from memory in order
    for keep, values in reversed(pool.averages):
        near = where_true(newer < vanishing(keep))
        if near.shape[0] < FEW * newer.shape[0]:  # faster averages forget earlier
            place = xp.take(xp.tile(xp.arange(num_tasks), (num_copies,)) if place is None else place, near)
            groups, newer = (xp.take(column, near) for column in (groups, newer))
        decay = powers(keep, newer)
        if place is None:
            decay = xp.reshape(decay, (num_copies, num_tasks))
            parts = [xp.reshape(decay * value, (-1,)) for value in values.values()]
        else:
            parts = [decay * xp.take(value, place) for value in values.values()]
        sums.update(zip(values, group_sums(parts, groups, num_groups), strict=True))
    return total, baseline, sums


def _newer(pool: PoolResults, groups: Array, num_groups: int) -> tuple[Array, Array, Array]:
    """Returns the number of newer results in the group of each task, and the sums of the groups.

    The number is any large one if the slowest average has forgotten the results of the task.

    Args:
        pool: Results of n tasks.
        groups: As for `_results`.
        num_groups: Number of groups of all groupings.

    Returns:
        Newer results, shape (k * n,); completions and completions times baselines, shape (num_groups,).
    """
    xp, newest_first, num_tasks = groups.__array_namespace__(), pool.newest_first, pool.completions.shape[0]
    num_copies = groups.shape[0] // max(num_tasks, 1)
    place = xp.reshape(newest_first + xp.reshape(xp.arange(num_copies), (-1, 1)) * num_tasks, (-1,))
    group, once = xp.take(groups, place), xp.take(pool.completions, newest_first)
    baselines = xp.astype(once, xp.float64) * xp.take(pool.columns["random_baseline"], newest_first)
    counts = xp.tile(once, (num_copies,))
    told, baseline = group_sums([counts, xp.tile(baselines, (num_copies,))], group, num_groups)
    recent = _recent(once, group, told, vanishing(pool.keeps[-1]))
    if recent is not None:
        place, group, counts = (column.take(recent) for column in (place, group, counts))
    edges = xp.cumulative_sum(group_sizes(group, num_groups), include_initial=True)
    order = stable_order(group)  # the tasks of the first group, latest first, then those of the next one
    counts = xp.take(counts, order)
    running = xp.cumulative_sum(counts)
    before = xp.take(xp.concat([xp.zeros(1, dtype=running.dtype), running]), edges[:-1])
    newer, place = running - counts - spread(before, edges, counts.shape[0]), xp.take(place, order)
    if isinstance(newer, np.ndarray):
        known, newer = newer, np.full(groups.shape, _FAR)
        newer[place] = known
    else:
        newer = in_place(newer, place)
    return newer, xp.astype(told, xp.int64), baseline


_FAR = 2**62
"""Number of newer results of a task that has no results, or whose results are all forgotten."""


def _recent(counts: Array, by_age: Array, total: Array, window: int) -> NDArray[np.int64] | None:
    """Returns the indices of the results that the slowest average may still remember; None for (nearly) all.

    These are the newest results, as many as a group of usual size needs, and all results of groups that need more.

    Args:
        counts: Completions of m tasks, latest first, shape (m,).
        by_age: Group of each of these tasks in k groupings, shape (k * m,).
        total: Completions of each group, a float, shape (groups,).
        window: Number of newer results after which the average has forgotten a result.
    """
    if not isinstance(by_age, np.ndarray) or not len(by_age):
        return None
    num_told = len(counts)
    num_newest = math.ceil(1.25 * window * num_told * float(total.sum() / (total @ total)))
    if num_newest > FEW * num_told:
        return None
    rows = by_age.reshape(-1, num_told)
    newest = rows[:, :num_newest]
    (told,) = group_sums([np.tile(counts[:num_newest], len(rows))], newest.ravel(), len(total))
    is_recent = (told < window).take(rows)
    is_recent[:, :num_newest] = True
    return np.flatnonzero(is_recent)
