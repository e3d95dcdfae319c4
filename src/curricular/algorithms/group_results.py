"""The results of groups of tasks, as if one task had completed all of them."""

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..arrays import Array, Columns, group_sizes, group_sums, in_place, powers, spread, stable_order, where_true, within
from ..table import EMAS
from .groups import numbered_over

FORGOTTEN = 42.0
"""Age of a result in units of 1 / −ln(1−α), from which it adds less to an average at rate α than rounding does."""


class Sums(NamedTuple):
    """The decaying sums behind the averages at one rate, for n tasks."""

    keep: float
    """The decay per completion, 1 − α."""
    values: Mapping[str, Array]
    """Name of an average -> the average times its weight, 1 − (1−α)^n, shape (n,)."""


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
    by_age = numbered_over(xp.take(groups, newest_first, axis=1), shape)
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
    return _Results(numbered_over(groups, shape), newer, None, total, sums[1])


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
