"""Modifiers multiply the probabilities of any algorithm: prerequisites, interest, cost, quotas, a function of yours."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

import numpy as np

from ..arrays import Array, Columns, look_up
from ..config import CurriculumConfig
from ..priorities import position
from .protocol import Algorithm

Modifier = Callable[[Array, Columns], Array]
"""(probabilities, columns) -> weights ≥ 0, shape (capacity,) each; what inactive rows hold makes no difference."""


class ModifiedAlgorithm(Algorithm):
    """`algorithm` with its probabilities passed through `modifiers`, in turn, and normalised at the end.

    Where nothing is left, the probabilities are those of `algorithm`. Priorities and evictions are those of `algorithm` in any case.
    """

    def __init__(self, algorithm: Algorithm, *modifiers: Modifier) -> None:
        self.algorithm = algorithm
        self.modifiers = modifiers

    @property
    def follows_handouts(self) -> bool:  # type: ignore[override]
        return self.algorithm.follows_handouts

    @property
    def chooses_labels(self) -> bool:  # type: ignore[override]
        return self.algorithm.chooses_labels

    def priorities(self, columns: Columns) -> Array:
        return self.algorithm.priorities(columns)

    def probabilities(self, columns: Columns, priorities: Array) -> Array:
        plain = weights = self.algorithm.probabilities(columns, priorities)
        xp = plain.__array_namespace__()
        for modifier in self.modifiers:
            weights = xp.where(columns["is_active"], modifier(weights, columns), 0.0)
        total = xp.sum(weights)
        return xp.where(total > 0.0, weights / xp.where(total > 0.0, total, 1.0), plain)

    def evictable(self, columns: Columns, priorities: Array, config: CurriculumConfig) -> Array:
        return self.algorithm.evictable(columns, priorities, config)


@dataclass(frozen=True)
class Interest:
    """Weights for the tasks of a finite generator in turn, or for the choices along `axis`; 1 for a task beyond them.

    Weights of 0 and 1 are a mask. Source: Zhang et al. 2023 (OMNI), arXiv 2306.01711, where a language model gives the
    mask and learning progress the rest.
    """

    weights: Sequence[float]
    axis: int | None = None

    def __post_init__(self) -> None:
        _check("weights", self.weights, is_valid=min(self.weights, default=-1.0) >= 0, expected="at least one, all ≥ 0")

    def __call__(self, probabilities: Array, columns: Columns) -> Array:
        return probabilities * look_up(self.weights, position(columns, self.axis), 1.0)


@dataclass(frozen=True)
class Cost:
    """Divides by what an episode costs, in steps say: progress per step, in place of progress per episode.

    One cost for each task of a finite generator in turn, or for each choice along `axis`; 1 for a task beyond them.
    """

    costs: Sequence[float]
    axis: int | None = None

    def __post_init__(self) -> None:
        _check("costs", self.costs, is_valid=min(self.costs, default=0.0) > 0, expected="at least one, all above 0")

    def __call__(self, probabilities: Array, columns: Columns) -> Array:
        return probabilities / look_up(self.costs, position(columns, self.axis), 1.0)


@dataclass(frozen=True)
class Quotas:
    """Gives each group of tasks its share of the draws; within a group the proportions stay.

    Groups are the choices along `axis`, or without it the tasks of a finite generator; the shares sum to 1. A group
    beyond them gets none; the share of one that has nothing to draw goes to the others. Of several modifiers, the last.
    """

    shares: Sequence[float]
    axis: int | None = None

    def __post_init__(self) -> None:
        is_valid = min(self.shares, default=-1.0) >= 0 and abs(sum(self.shares) - 1.0) < 1e-9
        _check("shares", self.shares, is_valid=is_valid, expected="numbers ≥ 0 that sum to 1")

    def __call__(self, probabilities: Array, columns: Columns) -> Array:
        xp = probabilities.__array_namespace__()
        groups = position(columns, self.axis)
        weights = xp.zeros_like(probabilities)
        for group, share in enumerate(self.shares):
            members = xp.where(groups == group, probabilities, 0.0)
            total = xp.sum(members)
            weights = weights + members * xp.where(total > 0.0, share / xp.where(total > 0.0, total, 1.0), 0.0)
        return weights


class Prerequisites:
    """Leaves out tasks of a finite generator until those that they need are mastered.

    `needs` maps the number of a task to the numbers of those that it needs. Mastered is a task with `min_completions`
    and a success rate of at least `success`; so what is forgotten closes again what needs it. The pool has to hold all
    tasks of the generator: one that is not there is not mastered.

    Raises `ValueError` if a number is negative, or if tasks need each other in a circle.

    >>> Prerequisites({1: [0], 0: [1]})
    Traceback (most recent call last):
        ...
    ValueError: needs: expected no task to need itself, got the circle 0 -> 1 -> 0; drop one of its links
    """

    def __init__(self, needs: Mapping[int, Sequence[int]], *, success: float = 0.8, min_completions: int = 10) -> None:
        numbers = sorted({number for task, needed in needs.items() for number in (task, *needed)})
        if numbers and numbers[0] < 0:
            raise ValueError(f"needs: expected numbers of tasks, from 0, got {numbers[0]}; use 0 for the first task")
        try:
            TopologicalSorter(needs).prepare()
        except CycleError as error:
            circle = error.args[1][:0:-1]  # each before what it needs
            start = circle.index(min(circle))
            shown = " -> ".join(map(str, (*circle[start:], *circle[: start + 1])))
            raise ValueError(
                f"needs: expected no task to need itself, got the circle {shown}; drop one of its links"
            ) from error
        self.success = success
        self.min_completions = min_completions
        # Row i are the tasks that task i needs, filled up with the number after the last, which is always mastered.
        self._num_tasks = numbers[-1] + 1 if numbers else 0
        width = max(map(len, needs.values()), default=0)
        self._needs = np.full((self._num_tasks + 1, max(1, width)), self._num_tasks)
        for task, needed in needs.items():
            self._needs[task, : len(needed)] = needed

    def __call__(self, probabilities: Array, columns: Columns) -> Array:
        xp = probabilities.__array_namespace__()
        is_mastered = (columns["num_completions"] >= self.min_completions) & (columns["success_ema"] >= self.success)
        # Numbers of the mastered tasks, in order, so that each number can be looked up; others count as beyond.
        beyond = self._num_tasks
        numbers = xp.where(columns["is_active"], xp.clip(columns["seed"], 0, beyond), beyond)
        mastered = xp.sort(xp.where(is_mastered, numbers, beyond))
        wanted = xp.arange(beyond + 1, dtype=xp.int64)
        spots = xp.clip(xp.searchsorted(mastered, wanted), 0, mastered.shape[0] - 1)
        is_met = (xp.take(mastered, spots) == wanted) | (wanted == beyond)
        needs = xp.asarray(self._needs)
        is_open = xp.all(xp.reshape(xp.take(is_met, xp.reshape(needs, (-1,))), needs.shape), axis=1)
        return xp.where(xp.take(is_open, numbers), probabilities, 0.0)


def _check(name: str, values: Sequence[float], *, is_valid: bool, expected: str) -> None:
    if not (is_valid and np.isfinite(values).all()):
        raise ValueError(f"{name}: expected {expected}, got {list(values)}; mend them")
