"""Sequential choice: draw from one stage after another, each until its tasks are mastered."""

from typing import Literal

from pydantic import Field

from ..arrays import Array, Columns
from ..config import CurriculumConfig
from ..priorities import position, unplayable
from ..probabilities import mix, proportional
from .protocol import Algorithm


class SequentialConfig(CurriculumConfig):
    """Settings of sequential choice. A stage is over when each of its tasks is done."""

    algorithm: Literal["sequential"] = "sequential"
    """Tag of the algorithm in files."""
    axis: int | None = Field(default=None, ge=0)
    """Index of the axis of the generator (in a merged set, of the column of params) whose values are the stages, in
    ascending order; None: each task of a finite generator is a stage."""
    success: float = Field(default=0.9, ge=0, le=1)
    """Lowest success rate at which a task is done, after `min_completions`."""
    min_completions: int = Field(default=20, ge=1)
    """Number of completions before the success rate of a task counts."""
    max_completions: int | None = Field(default=None, ge=1)
    """Number of completions after which a task is done at any success rate; None: no limit."""
    rehearsal_share: float = Field(default=0.1, ge=0, le=1)
    """Share of uniform draws over the stages so far. A larger share sees sooner that an earlier stage is forgotten."""


class SequentialAlgorithm(Algorithm):
    """Draws uniformly from the first stage that is not over, and a share from it and the stages before.

    Evicts unplayable tasks only. A stage whose tasks are forgotten is no longer over, so the curriculum returns to it.
    """

    def __init__(self, config: SequentialConfig) -> None:
        self.config = config
        """Settings of the algorithm."""

    def is_done(self, columns: Columns) -> Array:
        """Returns which tasks are done, bool, shape (capacity,)."""
        config, completions = self.config, columns["num_completions"]
        is_done = (completions >= config.min_completions) & (columns["success_ema"] >= config.success)
        is_done = is_done | unplayable(columns, config)
        return is_done if config.max_completions is None else is_done | (completions >= config.max_completions)

    def priorities(self, columns: Columns) -> Array:
        positions = position(columns, self.config.axis)
        xp = positions.__array_namespace__()
        return xp.astype(positions == self._stage(columns), xp.float64)

    def probabilities(self, columns: Columns, priorities: Array) -> Array:
        active = columns["is_active"]
        xp = active.__array_namespace__()
        is_so_far = xp.astype(position(columns, self.config.axis) <= self._stage(columns), xp.float64)
        # When all tasks are done, none is in the stage, and the first part is uniform over all.
        return mix(proportional(priorities, active), proportional(is_so_far, active), self.config.rehearsal_share)

    def evictable(self, columns: Columns, priorities: Array, config: CurriculumConfig) -> Array:
        return columns["is_active"] & False

    def _stage(self, columns: Columns) -> Array:
        """Returns the position of the first stage that is not over, shape (); infinity if all stages are over."""
        positions = position(columns, self.config.axis)
        xp = positions.__array_namespace__()
        return xp.min(xp.where(columns["is_active"] & ~self.is_done(columns), positions, xp.inf))
