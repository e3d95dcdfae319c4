"""Sequential choice: one stage after the other, each until it goes well enough."""

from typing import Literal

from pydantic import Field

from ..arrays import Array, Columns
from ..config import CurriculumConfig
from ..priorities import position, unplayable
from ..probabilities import mix, proportional
from .protocol import Algorithm


class SequentialConfig(CurriculumConfig):
    """Settings of sequential choice. A stage is over when each of its tasks fulfils the stop condition."""

    algorithm: Literal["sequential"] = "sequential"
    axis: int | None = Field(default=None, ge=0)
    """Which of the generator's axes the stages run along, from the lowest value up; None: each task of a finite
    generator is a stage."""
    success: float = Field(default=0.9, ge=0, le=1)
    """Success rate from which on a task is done, after `min_completions`."""
    min_completions: int = Field(default=20, ge=1)
    """Completions before the success rate of a task counts."""
    max_completions: int | None = Field(default=None, ge=1)
    """Completions after which a task is done in any case; None: never."""
    rehearsal_share: float = Field(default=0.1, ge=0, le=1)
    """Share of the draws that is uniform over the stages so far, which is how forgetting shows."""


class SequentialAlgorithm(Algorithm):
    """Uniform over the first stage that is not over, and a share uniform over it and those before. Never evicts.

    A stage whose tasks are forgotten is not over any more, so the curriculum goes back to it.
    """

    def __init__(self, config: SequentialConfig) -> None:
        self.config = config

    def is_done(self, columns: Columns) -> Array:
        """Which tasks fulfil the stop condition, bool, shape (capacity,)."""
        config, completions = self.config, columns["num_completions"]
        is_done = (completions >= config.min_completions) & (columns["success_ema"] >= config.success)
        is_done = is_done | unplayable(columns, config)
        return is_done if config.max_completions is None else is_done | (completions >= config.max_completions)

    def priorities(self, columns: Columns) -> Array:
        places = position(columns, self.config.axis)
        xp = places.__array_namespace__()
        return xp.astype(places == self._stage(columns), xp.float64)

    def probabilities(self, columns: Columns, priorities: Array) -> Array:
        active = columns["is_active"]
        xp = active.__array_namespace__()
        is_so_far = xp.astype(position(columns, self.config.axis) <= self._stage(columns), xp.float64)
        # When all is done no task is in the stage, so that the first part is uniform.
        return mix(proportional(priorities, active), proportional(is_so_far, active), self.config.rehearsal_share)

    def evictable(self, columns: Columns, priorities: Array, config: CurriculumConfig) -> Array:
        return columns["is_active"] & False

    def _stage(self, columns: Columns) -> Array:
        """Where the first stage that is not over stands; infinite, which no task is at, if all are."""
        places = position(columns, self.config.axis)
        xp = places.__array_namespace__()
        return xp.min(xp.where(columns["is_active"] & ~self.is_done(columns), places, xp.inf))
