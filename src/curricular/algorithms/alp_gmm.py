"""ALP-GMM: the pool is a history of what was played, and a stock of what is to come.

Source: Portelas et al. 2019, *Teacher algorithms for curriculum learning of deep RL in continuously parameterized
environments*, arXiv 1910.07224. Where new tasks lie, which is what it is about, is decided by
`ProgressMixtureProposer`.
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

NUM_COMPONENTS = range(2, 11)
"""Sizes of a mixture, of which the AIC chooses."""

NUM_SAMPLES = 250
"""Tasks, the newest of those played, that a mixture is fitted to."""

ROUNDING = 1e-9
"""Progress up to here is what rounding leaves of equal scores."""

Floats = NDArray[np.float64]


class AlpGmmConfig(CurriculumConfig):
    """Settings of ALP-GMM. The generator has to be endless and has to have an axis that is a `Span`."""

    algorithm: Literal["alp_gmm"] = "alp_gmm"
    num_active_tasks: int = Field(default=512, ge=1)
    """Tasks in the pool, played ones and ones to come."""
    history_share: float = Field(default=0.5, gt=0, lt=1)
    """Share of the pool that is kept for tasks that were played, the newest ones; the rest is stock."""
    num_neighbours: int = Field(default=10, ge=5)
    """Progress at a place is what its so many newer neighbours score, against as many older ones."""
    rand_task_rate: float = Field(default=0.2, ge=0, le=1)
    """Share of the new tasks that is as the generator gives them."""
    min_presentations_for_eviction: int = Field(default=1, ge=1)
    """Completions from which on a task counts as played."""
    eviction_rate: float = Field(default=1.0, ge=0, le=1)
    """Tasks replaced per result, at the most."""


class AlpGmmAlgorithm(Algorithm):
    """p = uniform over the tasks not yet played, or over all if there are none left. What goes was played long ago."""

    def __init__(self, config: AlpGmmConfig) -> None:
        self.config = config

    def is_played(self, columns: Columns) -> Array:
        """Which active tasks are history, bool, shape (capacity,)."""
        return columns["is_active"] & (columns["num_completions"] >= self.config.min_presentations_for_eviction)

    def priorities(self, columns: Columns) -> Array:
        moments = columns["last_scheduled"]
        xp = moments.__array_namespace__()
        return xp.astype(moments, xp.float64)

    def probabilities(self, columns: Columns, priorities: Array) -> Array:
        active, played = columns["is_active"], self.is_played(columns)
        xp = active.__array_namespace__()
        stock = active & ~played
        return uniform(stock | (active & ~xp.any(stock)))

    def evictable(self, columns: Columns, priorities: Array, config: CurriculumConfig) -> Array:
        played, scores = self.is_played(columns), priorities
        xp = scores.__array_namespace__()
        size = scores.shape[0]
        # One place at the least is for what is to come.
        num_kept = min(size - 1, max(1, round(self.config.history_share * size)))
        newest = xp.sort(xp.where(played, scores, -1.0))
        return played & (scores < newest[size - num_kept]) if num_kept else played


class ProgressMixtureProposer:
    """New tasks lie around the components of a mixture, drawn in proportion to their mean absolute learning progress.

    A share `rand_task_rate` is fresh, and all are until enough tasks were played, or if there is no progress anywhere.
    The mixture is over the axes that are spans; on the others, values are fresh.

    Raises `ValueError` if the generator is finite, has no such axis, or has one that applies to some of its tasks only.
    """

    num_candidates = 1

    def __init__(self, config: AlpGmmConfig, generator: TaskGenerator[Any]) -> None:
        self._config = config
        self._algorithm = AlpGmmAlgorithm(config)
        self._spans: dict[int, Span] = {}
        column = 0
        for axis in generator.axes:
            if isinstance(axis.values, Span):
                self._spans[column] = axis.values
            column += axis.num_columns
        found = _what_is_missing(generator, has_span=bool(self._spans))
        if found:
            raise ValueError(
                f"generator: expected an endless one with a Span that applies to all of its tasks for "
                f"{type(config).__name__}, got a {type(generator).__name__} {found}; give bucketed a Span, and have a "
                f"curriculum for each generator in place of a merged one"
            )

    def propose(self, columns: Columns, candidates: NewTasks, n: int, rng: np.random.Generator) -> NewTasks:
        _, places = part_fresh(candidates, n, self._config.rand_task_rate, rng)
        slots = np.flatnonzero(self._algorithm.is_played(columns))
        slots = slots[np.argsort(self._algorithm.priorities(columns)[slots], kind="stable")]
        if not len(places) or len(slots) < 4 * self._config.num_neighbours:
            return candidates
        values = columns["params"][slots]
        scaled = [(values[:, column] - span.low) / (span.high - span.low) for column, span in self._spans.items()]
        points, scores = np.column_stack(scaled), columns["slow_ema"][slots]
        progress = local_progress(points, scores, NUM_SAMPLES, self._config.num_neighbours)
        if not progress.any():
            return candidates
        mixture = fit_best(np.column_stack([points[-len(progress) :], progress]), NUM_COMPONENTS, rng)
        weights = mixture.means[:, -1].clip(0.0)
        drawn = mixture.sample(rng.choice(len(weights), size=len(places), p=weights / weights.sum()), rng)
        params = candidates.params.copy()
        for place, (column, span) in enumerate(self._spans.items()):
            params[places, column] = onto(span, span.low + (span.high - span.low) * drawn[:, place])
        return NewTasks(candidates.seeds, params)


def local_progress(points: Floats, scores: Floats, num_newest: int, num_neighbours: int) -> Floats:
    """Absolute learning progress at the `num_newest` last of m points, fewer if there are fewer; oldest first.

    Of the nearest 2k of all points, k is `num_neighbours`, the newer half has a mean score and the older half another.
    Progress is their distance less its standard error, from the scatter within the halves, and 0 at the least.

    Args:
        points: shape (m, d), oldest first, m ≥ 2k.
        scores: shape (m,).
        num_newest: 1 or more.
        num_neighbours: 2 or more.
    """
    offsets = points[-num_newest:, None] - points[None]
    nearest = np.argpartition((offsets * offsets).sum(axis=2), 2 * num_neighbours - 1, axis=1)
    by_age = np.sort(nearest[:, : 2 * num_neighbours], axis=1)
    older, newer = scores[by_age[:, :num_neighbours]], scores[by_age[:, num_neighbours:]]
    error = np.sqrt((older.var(axis=1, ddof=1) + newer.var(axis=1, ddof=1)) / num_neighbours)
    progress: Floats = np.abs(newer.mean(axis=1) - older.mean(axis=1)) - error
    return np.where(progress > ROUNDING, progress, 0.0)


def _what_is_missing(generator: TaskGenerator[Any], *, has_span: bool) -> str:
    """What keeps a generator from being used, which has a `Span` that applies to all tasks or not; empty: nothing."""
    if generator.num_tasks is not None:
        return f"of {generator.num_tasks} tasks"
    in_branches = (inner for axis in generator.axes for branch in axis.branches for inner in all_axes(branch))
    partial = [axis.name for axis in in_branches if isinstance(axis.values, Span)]
    if partial:
        return f"in which {', '.join(partial)} applies to some tasks only"
    return "" if has_span else "without a Span among its axes"
