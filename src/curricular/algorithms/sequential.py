"""Sequential choice: one stage after the other, each until it goes well enough."""

from typing import Literal

from pydantic import Field

from ..config import CurriculumConfig
from ..samplers import mix, proportional
from ..scorers import Array, Columns, place


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
    rehearsal_rate: float = Field(default=0.1, ge=0, le=1)
    """Share of the draws that is uniform over the stages so far, which is how forgetting shows."""


class SequentialAlgorithm:
    """Uniform over the first stage that is not over, and a share uniform over it and those before. Never evicts.

    A stage whose tasks are forgotten is not over any more, so the curriculum goes back to it.
    """

    def __init__(self, config: SequentialConfig) -> None:
        self.config = config

    def is_done(self, columns: Columns) -> Array:
        """Which tasks fulfil the stop condition, bool, shape (capacity,)."""
        config, completions = self.config, columns["num_completions"]
        is_done = (completions >= config.min_completions) & (columns["success_ema"] >= config.success)
        return is_done if config.max_completions is None else is_done | (completions >= config.max_completions)

    def scores(self, columns: Columns) -> Array:
        places = place(columns, self.config.axis)
        xp = places.__array_namespace__()
        return xp.astype(places == self._stage(columns), xp.float64)

    def probabilities(self, columns: Columns) -> Array:
        places, stage, active = place(columns, self.config.axis), self._stage(columns), columns["is_active"]
        xp = places.__array_namespace__()
        # At infinity, when all is done, "now" is empty and so uniform.
        now, so_far = (
            proportional(xp.astype(is_meant, xp.float64), active) for is_meant in (places == stage, places <= stage)
        )
        return mix(now, so_far, self.config.rehearsal_rate)

    def evictable(self, columns: Columns) -> Array:
        return columns["is_active"] & False

    def _stage(self, columns: Columns) -> Array:
        """Where the first stage that is not over stands; infinite, which no task is at, if all are."""
        places = place(columns, self.config.axis)
        xp = places.__array_namespace__()
        return xp.min(xp.where(columns["is_active"] & ~self.is_done(columns), places, xp.inf))
