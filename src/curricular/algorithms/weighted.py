"""Weighted choice: as often as you say."""

from typing import Literal

from pydantic import Field, NonNegativeFloat

from ..config import CurriculumConfig
from ..samplers import proportional
from ..scorers import Array, Columns, look_up, place


class WeightedConfig(CurriculumConfig):
    """Settings of weighted choice."""

    algorithm: Literal["weighted"] = "weighted"
    weights: tuple[NonNegativeFloat, ...] = Field(min_length=1)
    """Of the tasks of a finite generator in turn, or of the choices along `axis`; a task beyond them has weight 0."""
    axis: int | None = Field(default=None, ge=0)
    """Which of the generator's axes the weights are for; None: for each task by itself."""


class WeightedAlgorithm:
    """p ∝ weight; uniform if no active task has one. Never evicts."""

    def __init__(self, config: WeightedConfig) -> None:
        self.config = config

    def scores(self, columns: Columns) -> Array:
        return look_up(self.config.weights, place(columns, self.config.axis), 0.0)

    def probabilities(self, columns: Columns) -> Array:
        return proportional(self.scores(columns), columns["is_active"])

    def evictable(self, columns: Columns) -> Array:
        return columns["is_active"] & False
