"""ALP-GMM: the pool is a history of what was played, and a stock of what is to come.

Source: Portelas et al. 2019, *Teacher algorithms for curriculum learning of deep RL in continuously parameterized
environments*, arXiv 1910.07224. Where new tasks lie, which is what it is about, is in `proposers.progress_mixture`.
"""

from typing import Literal

from pydantic import Field

from ..config import CurriculumConfig
from ..samplers import uniform
from ..scorers import Array, Columns


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


class AlpGmmAlgorithm:
    """p = uniform over the tasks not yet played, or over all if there are none left. What goes was played long ago."""

    def __init__(self, config: AlpGmmConfig) -> None:
        self.config = config

    def is_played(self, columns: Columns) -> Array:
        """Which active tasks are history, bool, shape (capacity,)."""
        return columns["is_active"] & (columns["num_completions"] >= self.config.min_presentations_for_eviction)

    def scores(self, columns: Columns) -> Array:
        moments = columns["last_scheduled"]
        xp = moments.__array_namespace__()
        return xp.astype(moments, xp.float64)

    def probabilities(self, columns: Columns) -> Array:
        active, played = columns["is_active"], self.is_played(columns)
        xp = active.__array_namespace__()
        stock = active & ~played
        return uniform(stock | (active & ~xp.any(stock)))

    def evictable(self, columns: Columns) -> Array:
        played, scores = self.is_played(columns), self.scores(columns)
        xp = scores.__array_namespace__()
        size = scores.shape[0]
        # One place at the least is for what is to come.
        num_kept = min(size - 1, max(1, round(self.config.history_share * size)))
        newest = xp.sort(xp.where(played, scores, -1.0))
        return played & (scores < newest[size - num_kept]) if num_kept else played
