"""Uniform choice: every active task is equally likely. The first baseline, and the template for an algorithm."""

from typing import Literal

from ..config import CurriculumConfig
from ..samplers import uniform
from ..scorers import Array, Columns


class UniformConfig(CurriculumConfig):
    """Settings of uniform choice: none of its own."""

    algorithm: Literal["uniform"] = "uniform"


class UniformAlgorithm:
    """Domain randomisation: p = 1 / number of active tasks. Never evicts."""

    def __init__(self, config: UniformConfig) -> None:
        self.config = config

    def scores(self, columns: Columns) -> Array:
        return uniform(columns["is_active"])

    def probabilities(self, columns: Columns) -> Array:
        return uniform(columns["is_active"])

    def evictable(self, columns: Columns) -> Array:
        return columns["is_active"] & False
