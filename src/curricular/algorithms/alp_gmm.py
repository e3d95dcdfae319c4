"""ALP-GMM: make new tasks where absolute learning progress is high in a continuous space of tasks.

Source: Portelas et al. 2019, *Teacher algorithms for curriculum learning of deep RL in continuously parameterized
environments*, arXiv 1910.07224. The pool holds a history of played tasks and a stock of tasks to come;
`ProgressMixtureProposer` decides where new tasks lie.
"""

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ..arrays import Array, Columns
from ..config import CurriculumConfig
from ..generators import TaskGenerator, onto
from ..probabilities import uniform
from ..task import Span, all_axes
from .mixtures import fit_best
from .proposals import NewTasks, part_fresh
from .protocol import Algorithm

Floats = NDArray[np.float64]
"""A float array; docstrings give its shape."""


class AlpGmmConfig(CurriculumConfig):
    """Settings of ALP-GMM. The generator must be endless and have an axis that is a `Span`."""

    algorithm: Literal["alp_gmm"] = "alp_gmm"
    """Tag of the algorithm in files."""
    num_active_tasks: int | None = Field(default=512, ge=1)
    """Number of tasks in the pool, in history and stock together."""
    history_share: float = Field(default=0.5, gt=0, lt=1)
    """Share of the pool for the history, the tasks played most recently; the rest is the stock of tasks to come."""
    num_neighbours: int = Field(default=10, ge=5)
    """k: of the 2k played tasks nearest to a task, the k newer are compared with the k older. A larger k reduces noise,
    and blurs progress over a larger region."""
    rand_task_rate: float = Field(default=0.2, ge=0, le=1)
    """Share of the new tasks that are as the generator samples them."""
    min_presentations_for_eviction: int = Field(default=1, ge=1)
    """Number of completions from which a task counts as played."""
    eviction_rate: float = Field(default=1.0, ge=0, le=1)
    """Maximum number of tasks replaced per result or cancellation."""


class AlpGmmAlgorithm(Algorithm):
    """Draws uniformly from the stock, or from all tasks if the stock is empty. Evicts the tasks played longest ago."""

    def __init__(self, config: AlpGmmConfig) -> None:
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


NUM_COMPONENTS = range(2, 11)
"""Numbers of components of a mixture, from which the Akaike information criterion chooses."""

NUM_SAMPLES = 250
"""Number of tasks to which a mixture is fitted: those played most recently."""

ROUNDING = 1e-9
"""Upper limit of the progress that rounding errors leave of equal scores."""


class ProgressMixtureProposer:
    """Proposes tasks from a mixture of Gaussians, by the mean absolute learning progress of each component.

    A share `rand_task_rate` is fresh. All tasks are fresh until enough tasks were played, or if there is no progress.
    The mixture covers the axes that are spans; values on other axes are fresh.

    Args:
        config: Settings of ALP-GMM.
        generator: Its axes span the space of tasks.

    Raises:
        ValueError: If the generator is finite, has no axis that is a `Span`, or has one that only some tasks have.
    """

    num_candidates = 1
    """Number of candidates per proposed task."""

    def __init__(self, config: AlpGmmConfig, generator: TaskGenerator[Any]) -> None:
        self._config = config
        self._algorithm = AlpGmmAlgorithm(config)
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

    def propose(self, columns: Columns, candidates: NewTasks, n: int, rng: np.random.Generator) -> NewTasks:
        _, indices = part_fresh(candidates, n, self._config.rand_task_rate, rng)
        slots = np.flatnonzero(self._algorithm.is_played(columns))
        slots = slots[np.argsort(self._algorithm.priorities(columns)[slots], kind="stable")]
        if not len(indices) or len(slots) < 4 * self._config.num_neighbours:
            return candidates
        values = columns["params"][slots]
        chosen = list(self._spans)
        low, high, _ = np.array([span.bounds for span in self._spans.values()]).T
        points, scores = (values[:, chosen] - low) / (high - low), columns["slow_ema"][slots]
        progress = local_progress(points, scores, NUM_SAMPLES, self._config.num_neighbours)
        if not progress.any():
            return candidates
        mixture = fit_best(np.column_stack([points[-len(progress) :], progress]), NUM_COMPONENTS, rng)
        weights = mixture.means[:, -1].clip(0.0)
        drawn = mixture.sample(rng.choice(len(weights), size=len(indices), p=weights / weights.sum()), rng)
        params = candidates.params.copy()
        for dimension, (column, span) in enumerate(self._spans.items()):
            scaled = low[dimension] + (high[dimension] - low[dimension]) * drawn[:, dimension]
            params[indices, column] = onto(span, scaled)
        return NewTasks(candidates.seeds, params)


def local_progress(points: Floats, scores: Floats, num_newest: int, num_neighbours: int) -> Floats:
    """Returns the absolute learning progress at the newest points, oldest first, shape (min(m, num_newest),).

    The 2k nearest points, k = `num_neighbours`, have a mean score in their newer half and another in their older half.
    Progress is the difference of these means less its standard error, and at least 0. The error follows from the
    scatter within the halves.

    Args:
        points: All points, oldest first, shape (m, d), m ≥ 2k.
        scores: Score at each point, shape (m,).
        num_newest: Number of points to evaluate, at least 1.
        num_neighbours: k, at least 2.
    """
    offsets = points[-num_newest:, None] - points[None]
    nearest = np.argpartition((offsets * offsets).sum(axis=2), 2 * num_neighbours - 1, axis=1)
    by_age = np.sort(nearest[:, : 2 * num_neighbours], axis=1)
    older, newer = scores[by_age[:, :num_neighbours]], scores[by_age[:, num_neighbours:]]
    error = np.sqrt((older.var(axis=1, ddof=1) + newer.var(axis=1, ddof=1)) / num_neighbours)
    progress: Floats = np.abs(newer.mean(axis=1) - older.mean(axis=1)) - error
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
