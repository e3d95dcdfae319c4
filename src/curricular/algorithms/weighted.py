"""Weighted choice: as often as you say."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Literal, Self

from pydantic import Field, NonNegativeFloat

from ..arrays import Array, Columns, look_up
from ..config import CurriculumConfig
from ..priorities import position
from ..probabilities import proportional
from .protocol import Algorithm


class WeightedConfig(CurriculumConfig):
    """Settings of weighted choice."""

    algorithm: Literal["weighted"] = "weighted"
    weights: tuple[NonNegativeFloat, ...] = Field(min_length=1)
    """Of the tasks of a finite generator in turn, or of the choices along `axis`; a task beyond them has weight 0."""
    axis: int | None = Field(default=None, ge=0)
    """Which of the generator's axes the weights are for (of a merged set, which column of params); None: for each task
    by itself."""

    @classmethod
    def variants(cls) -> Mapping[str, Callable[..., Self]]:
        return {"weighted": partial(cls, weights=(3.0, 2.0, 1.0))}


class WeightedAlgorithm(Algorithm):
    """p ∝ weight; uniform if no active task has one. Never evicts."""

    def __init__(self, config: WeightedConfig) -> None:
        self.config = config

    def priorities(self, columns: Columns) -> Array:
        return look_up(self.config.weights, position(columns, self.config.axis), 0.0)

    def probabilities(self, columns: Columns, priorities: Array) -> Array:
        return proportional(priorities, columns["is_active"])

    def evictable(self, columns: Columns, priorities: Array, config: CurriculumConfig) -> Array:
        return columns["is_active"] & False
