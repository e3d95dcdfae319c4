"""Modifiers of any algorithm's probabilities: interest, cost, quotas, cool-down, prerequisites, custom functions."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Any

import numpy as np

from ..arrays import Array, Columns, group_sums, look_up
from ..config import CurriculumConfig
from ..priorities import position
from .protocol import Algorithm

MAX_SEEDS = 2**24
"""Number of tasks among which there can be prerequisites. They take 8 bytes for each, and for each that it needs."""


class Modifier(ABC):
    """Changes the probabilities of any algorithm, as a pure function. A plain function does as well."""

    follows_handouts: bool = False
    """Whether hand-outs alone change the weights, as in a cool-down. If so, hand-outs count towards a refresh."""

    @abstractmethod
    def __call__(self, probabilities: Array, columns: Columns) -> Array:
        """Returns weights ≥ 0 of the tasks, shape (capacity,); values of inactive rows are ignored.

        Args:
            probabilities: Probabilities of the algorithm, or weights of the modifier before, shape (capacity,).
            columns: Columns of the pool.
        """


class ModifiedAlgorithm(Algorithm):
    """Passes the probabilities of an algorithm through modifiers, in turn, and normalises the result.

    If all weights become 0, the probabilities stay as they were. Weights that are negative or NaN fail the refresh.
    Priorities and evictions are those of the algorithm.

    Args:
        algorithm: The algorithm to modify.
        modifiers: Objects of `Modifier`, or functions with the same arguments and result. Applied in this order.
    """

    def __init__(self, algorithm: Algorithm, *modifiers: Callable[[Array, Columns], Array]) -> None:
        self.algorithm = algorithm
        """The algorithm that is modified."""
        self.modifiers = modifiers
        """Modifiers, in the order in which they apply."""
        self.follows_handouts: bool = algorithm.follows_handouts or any(
            isinstance(modifier, Modifier) and modifier.follows_handouts for modifier in modifiers
        )
        self.chooses_labels: bool = algorithm.chooses_labels
        self.evicts_tasks: bool = algorithm.evicts_tasks

    def priorities(self, columns: Columns) -> Array:
        return self.algorithm.priorities(columns)

    def probabilities(self, columns: Columns, priorities: Array) -> Array:
        plain = weights = self.algorithm.probabilities(columns, priorities)
        xp = plain.__array_namespace__()
        for modifier in self.modifiers:
            weights = xp.where(columns["is_active"], modifier(weights, columns), 0.0)
            largest = xp.max(xp.abs(weights))
            weights = weights / xp.where(largest > 0.0, largest, 1.0)  # whose sum is finite
        # Divided by its absolute value, a negative sum leaves no distribution, and is refused as NaN is.
        total = xp.abs(xp.sum(weights))
        return xp.where(xp.any(weights != 0.0), weights / xp.where(total == 0.0, 1.0, total), plain)

    def is_trained_on(self, columns: Columns) -> Array:
        return self.algorithm.is_trained_on(columns)

    def evictable(self, columns: Columns, priorities: Array, config: CurriculumConfig) -> Array:
        return self.algorithm.evictable(columns, priorities, config)


@dataclass(frozen=True)
class Interest(Modifier):
    """Multiplies the probability of each task by a weight, for example by how interesting a language model finds it.

    Weights of 0 and 1 are a mask. Source: Zhang et al. 2023 (OMNI), arXiv 2306.01711, where a language model gives the
    mask, and learning progress the probabilities.

    Raises:
        ValueError: If there is no weight, or a weight is negative or above 1e100.
    """

    weights: Sequence[float]
    """Weights ≥ 0 of the tasks of a finite generator by seed, or of the choices on `axis`; 1 for other tasks."""
    axis: int | None = None
    """Index of the axis of the generator whose choices have the weights; None: tasks have weights."""

    def __post_init__(self) -> None:
        _check("weights", self.weights, 0.0, 1e100)

    def __call__(self, probabilities: Array, columns: Columns) -> Array:
        return probabilities * look_up(self.weights, position(columns, self.axis), 1.0)


@dataclass(frozen=True)
class Cost(Modifier):
    """Divides the probability of each task by the cost of an episode, for example in steps.

    An algorithm that draws by progress per episode then draws by progress per step.

    Raises:
        ValueError: If there is no cost, or a cost is not from 1e-100 to 1e100.
    """

    costs: Sequence[float]
    """Costs > 0 of the tasks of a finite generator by seed, or of the choices on `axis`; 1 for other tasks."""
    axis: int | None = None
    """Index of the axis of the generator whose choices have the costs; None: tasks have costs."""

    def __post_init__(self) -> None:
        _check("costs", self.costs, 1e-100, 1e100)

    def __call__(self, probabilities: Array, columns: Columns) -> Array:
        return probabilities / look_up(self.costs, position(columns, self.axis), 1.0)


@dataclass(frozen=True)
class Quotas(Modifier):
    """Gives each group of tasks a fixed share of the draws, and keeps the proportions within a group.

    The share of a group without tasks to draw goes to the other groups. Apply quotas after all other modifiers, which
    would change the shares.

    Raises:
        ValueError: If a share is negative or not finite, or the shares do not sum to 1.
    """

    shares: Sequence[float]
    """Shares ≥ 0, sum 1, of the tasks of a finite generator by seed, or of the choices on `axis`; 0 for other tasks."""
    axis: int | None = None
    """Index of the axis of the generator whose choices are the groups; None: each task is a group."""

    def __post_init__(self) -> None:
        _check("shares", self.shares, 0.0, 1.0)
        if abs(sum(self.shares) - 1.0) >= 1e-9:
            raise ValueError(f"shares: expected numbers that sum to 1, got the sum {sum(self.shares)}; correct them")

    def __call__(self, probabilities: Array, columns: Columns) -> Array:
        xp = probabilities.__array_namespace__()
        num_groups = len(self.shares)
        positions = position(columns, self.axis)
        is_group = (positions >= 0.0) & (positions < num_groups) & (positions == xp.floor(positions))
        groups = xp.astype(xp.where(is_group, positions, num_groups), xp.int64)
        (totals,) = group_sums([probabilities], groups, num_groups + 1)
        shares = xp.asarray([*self.shares, 0.0], dtype=xp.float64)
        factors = xp.where(totals == 0.0, 0.0, shares / xp.abs(xp.where(totals == 0.0, 1.0, totals)))
        return probabilities * xp.take(factors, groups)


@dataclass(frozen=True)
class CoolDown(Modifier):
    """Excludes the tasks that are among the last hand-outs of the pool, so that results come in before a repetition.

    Modifiers act when the distribution is refreshed, so a task may be drawn several times until the next refresh. Ask
    with ``replace=False`` to leave out the tasks that are out, at any time.

    Raises:
        ValueError: If the number is below 1.
    """

    follows_handouts = True
    num_handouts: int
    """Number of hand-outs of the pool that must follow the last one of a task, at least 1."""

    def __post_init__(self) -> None:
        number: Any = self.num_handouts
        if isinstance(number, bool) or not isinstance(number, int) or number < 1:
            raise ValueError(
                f"num_handouts: expected a whole number of at least 1, got {number!r}; pass a number of hand-outs"
            )

    def __call__(self, probabilities: Array, columns: Columns) -> Array:
        xp, last = probabilities.__array_namespace__(), columns["last_scheduled"]
        age = xp.max(xp.where(columns["is_active"], last, 0)) - last
        is_cool = (age >= self.num_handouts) | (columns["num_scheduled"] == 0)
        return xp.where(is_cool, probabilities, 0.0)


class Prerequisites(Modifier):
    """Excludes tasks of a finite generator until the tasks that they need are mastered.

    A task is mastered while it has `min_completions` completions and a success rate of at least `success`; if it is
    forgotten, the tasks that need it are excluded again. A task outside the pool is not mastered, so the pool should
    hold all tasks of the generator.

    Args:
        needs: Seed of a task -> seeds of the tasks that it needs.
        success: Lowest success rate of a mastered task, in [0, 1].
        min_completions: Smallest number of completions of a mastered task.

    Raises:
        ValueError: If a seed is not a whole number from 0 to 2**24 - 1, or if tasks need each other in a circle.

    Examples:
        >>> Prerequisites({1: [0], 0: [1]})
        Traceback (most recent call last):
            ...
        ValueError: needs: expected no task to need itself, got the circle 0 -> 1 -> 0; drop one of its links
    """

    def __init__(self, needs: Mapping[int, Sequence[int]], *, success: float = 0.8, min_completions: int = 10) -> None:
        found: set[Any] = {seed for task, needed in needs.items() for seed in (task, *needed)}
        odd = [seed for seed in found if not isinstance(seed, int | np.integer) or not 0 <= seed < MAX_SEEDS]
        if odd:
            raise ValueError(
                f"needs: expected seeds of tasks, whole numbers from 0 to {MAX_SEEDS - 1}, got {odd[0]!r:.100}; use 0 "
                f"for the first task"
            )
        seeds = sorted(found)
        try:
            TopologicalSorter(needs).prepare()
        except CycleError as error:
            circle = error.args[1][:0:-1]  # each task before the one it needs
            start = circle.index(min(circle))
            shown = " -> ".join(map(str, (*circle[start:], *circle[: start + 1])))
            raise ValueError(
                f"needs: expected no task to need itself, got the circle {shown}; drop one of its links"
            ) from error
        self.success = success
        """Lowest success rate of a mastered task."""
        self.min_completions = min_completions
        """Smallest number of completions of a mastered task."""
        # Row i holds the seeds that task i needs, padded with the seed after the last one, which counts as mastered.
        self._num_tasks = seeds[-1] + 1 if seeds else 0
        width = max(map(len, needs.values()), default=0)
        self._needs = np.full((self._num_tasks + 1, max(1, width)), self._num_tasks)
        for task, needed in needs.items():
            self._needs[task, : len(needed)] = needed

    def __call__(self, probabilities: Array, columns: Columns) -> Array:
        xp = probabilities.__array_namespace__()
        is_mastered = (columns["num_completions"] >= self.min_completions) & (columns["success_ema"] >= self.success)
        # Sorted seeds of the mastered tasks, in which each seed can be searched; all others count as the padding.
        padding = self._num_tasks
        seeds = xp.where(columns["is_active"], xp.clip(columns["seed"], 0, padding), padding)
        mastered = xp.sort(xp.where(is_mastered, seeds, padding))
        wanted = xp.arange(padding + 1, dtype=xp.int64)
        indices = xp.clip(xp.searchsorted(mastered, wanted), 0, mastered.shape[0] - 1)
        is_met = (xp.take(mastered, indices) == wanted) | (wanted == padding)
        needs = xp.asarray(self._needs)
        is_open = xp.all(xp.reshape(xp.take(is_met, xp.reshape(needs, (-1,))), needs.shape), axis=1)
        return xp.where(xp.take(is_open, seeds), probabilities, 0.0)


def _check(name: str, values: Any, low: float, high: float) -> None:
    """Raises `ValueError` unless the argument `name` is a list of numbers within [low, high], at least one."""
    try:
        numbers = np.asarray(values, np.float64)
    except (TypeError, ValueError):
        numbers = np.empty(0)
    if numbers.ndim != 1 or not len(numbers) or not ((numbers >= low) & (numbers <= high)).all():
        raise ValueError(
            f"{name}: expected a list of numbers from {low:g} to {high:g}, at least one, got {values!r:.100}; correct "
            f"them"
        )
