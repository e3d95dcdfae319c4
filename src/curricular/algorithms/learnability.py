"""Learnability: draw the tasks that succeed about half of the time.

Source: Rutherford et al. 2024, *No regrets: investigating and improving regret approximations for curriculum
discovery*, arXiv 2408.15099; here from the results of training, without rollouts of its own.
"""

from typing import Literal

from pydantic import Field

from ..samplers import proportional
from ..scorers import Array, Columns, beta_posterior, evictable, learnability
from .floors import FlooredConfig, with_floors


class LearnabilityConfig(FlooredConfig):
    """Settings of learnability."""

    algorithm: Literal["learnability"] = "learnability"
    prior: float = Field(0.5, gt=0)
    """Successes, and failures, that a new task is credited with. More draws new tasks more often."""
    power: float = Field(1.0, gt=0)
    """Exponent of the score: above 1 follows the best tasks more closely."""


class LearnabilityAlgorithm:
    """p ∝ E[p(1−p)]^power under a Beta belief that forgets, beside the reserved shares."""

    def __init__(self, config: LearnabilityConfig) -> None:
        self.config = config

    def scores(self, columns: Columns) -> Array:
        return learnability(*beta_posterior(columns, self.config, self.config.prior))

    def probabilities(self, columns: Columns) -> Array:
        chosen = proportional(self.scores(columns), columns["is_active"], self.config.power)
        return with_floors(chosen, columns, self.config)

    def evictable(self, columns: Columns) -> Array:
        return evictable(self.scores(columns), columns, self.config)
