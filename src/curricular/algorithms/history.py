"""A pool of history and stock: the tasks played last, from which proposers learn, and the tasks to come."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ..arrays import Array, Columns, Floats
from ..config import MAX_CAPACITY, CurriculumConfig
from ..generators import TaskGenerator, onto
from ..probabilities import uniform
from ..task import Span, all_axes
from .proposals import NewTasks
from .protocol import Algorithm

ROUNDING = 1e-9
"""Upper limit of the progress that rounding errors leave of equal scores."""


class HistoryConfig(CurriculumConfig):
    """Settings of a pool of history and stock. The generator must be endless and have an axis that is a `Span`."""

    num_active_tasks: int | None = Field(default=512, ge=1, le=MAX_CAPACITY)
    """Number of tasks in the pool, in history and stock together."""
    history_share: float = Field(default=0.5, gt=0, lt=1)
    """Share of the pool for the history, the tasks played most recently; the rest is the stock of tasks to come."""
    rand_task_rate: float = Field(default=0.2, ge=0, le=1)
    """Share of the new tasks that are as the generator samples them."""
    min_presentations_for_eviction: int = Field(default=1, ge=1)
    """Number of completions from which a task counts as played."""
    eviction_rate: float = Field(default=1.0, ge=0, le=1)
    """Maximum number of tasks replaced per result or cancellation."""


class HistoryAlgorithm(Algorithm):
    """Draws uniformly from the stock, or from all tasks if the stock is empty. Evicts the tasks played longest ago."""

    def __init__(self, config: HistoryConfig) -> None:
        self.config = config
        """Settings of the algorithm."""

    def is_played(self, columns: Columns) -> Array:
        """Returns which active tasks are history, bool, shape (capacity,)."""
        return columns["is_active"] & (columns["num_completions"] >= self.config.min_presentations_for_eviction)

    def priorities(self, columns: Columns) -> Array:
        last_scheduled = columns["last_scheduled"]
        xp = last_scheduled.__array_namespace__()
        return xp.astype(last_scheduled, xp.float64)

    def probabilities(self, columns: Columns, priorities: Array) -> Array:
        active, played = columns["is_active"], self.is_played(columns)
        xp = active.__array_namespace__()
        stock = active & ~played
        return uniform(stock | (active & ~xp.any(stock)))

    def evictable(self, columns: Columns, priorities: Array, config: CurriculumConfig) -> Array:
        played = self.is_played(columns)
        xp = priorities.__array_namespace__()
        size = priorities.shape[0]
        # At least one slot is for the stock.
        num_kept = min(size - 1, max(1, round(self.config.history_share * size)))
        newest = xp.sort(xp.where(played, priorities, -1.0))
        return played & (priorities < newest[size - num_kept]) if num_kept else played


class History:
    """The played tasks of a pool as points in the unit cube over the axes that are spans, and such points as new tasks.

    Args:
        config: Settings of the pool.
        generator: Its axes span the space of tasks.

    Raises:
        ValueError: If the generator is finite, has no axis that is a `Span`, or has one that only some tasks have.
    """

    def __init__(self, config: HistoryConfig, generator: TaskGenerator[Any]) -> None:
        self._algorithm = HistoryAlgorithm(config)
        self._spans: dict[int, Span] = {}
        column = 0
        for axis in generator.axes:
            if isinstance(axis.values, Span) and axis.values.low < axis.values.high:
                self._spans[column] = axis.values
            column += axis.num_columns
        found = _what_is_missing(generator, has_span=bool(self._spans))
        if found:
            raise ValueError(
                f"generator: expected an endless one with a Span that applies to all of its tasks for "
                f"{type(config).__name__}, got a {type(generator).__name__} {found}; give bucketed a Span, and use one "
                f"curriculum per generator instead of a merged generator"
            )
        self._low, high, _ = np.array([span.bounds for span in self._spans.values()]).T
        self._width = high - self._low

    def read(self, columns: Columns) -> tuple[Floats, Floats]:
        """Returns the points of the m played tasks, oldest first, shape (m, d), and their scores, shape (m,)."""
        slots = np.flatnonzero(self._algorithm.is_played(columns))
        slots = slots[np.argsort(self._algorithm.priorities(columns)[slots], kind="stable")]
        values = columns["params"][slots][:, list(self._spans)]
        return (values - self._low) / self._width, columns["slow_ema"][slots]

    def moved(self, candidates: NewTasks, indices: NDArray[np.int64], points: Floats) -> NewTasks:
        """Returns `candidates`, of which those at `indices`, shape (k,), lie at `points`, shape (k, d), on the spans.

        Values on other axes stay the same.
        """
        params = candidates.params.copy()
        for number, (column, span) in enumerate(self._spans.items()):
            params[indices, column] = onto(span, self._low[number] + self._width[number] * points[:, number])
        return NewTasks(candidates.seeds, params)


def progress_between(older: Floats, newer: Floats, variances: Floats) -> Floats:
    """Returns the absolute learning progress between mean scores, shape (k,): the change less its error, at least 0.

    Args:
        older: Mean of older scores, in [0, 1], shape (k,).
        newer: Mean of as many newer scores, likewise.
        variances: Variance of the difference of the two means, that is its squared standard error, shape (k,).
    """
    progress = np.abs(newer - older) - np.sqrt(variances)
    return np.where(progress > ROUNDING, progress, 0.0)


def _what_is_missing(generator: TaskGenerator[Any], *, has_span: bool) -> str:
    """Returns why a generator, with or without a `Span` that applies to all tasks, cannot be used; empty if it can."""
    if generator.num_tasks is not None:
        return f"of {generator.num_tasks} tasks"
    in_branches = (inner for axis in generator.axes for branch in axis.branches for inner in all_axes(branch))
    partial = [axis.name for axis in in_branches if isinstance(axis.values, Span)]
    if partial:
        return f"in which {', '.join(partial)} applies to some tasks only"
    return "" if has_span else "without a Span among its axes"
