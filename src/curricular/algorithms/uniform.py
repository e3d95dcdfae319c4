"""Uniform choice: draw every active task equally often. The first baseline, and the template for an algorithm."""

from typing import Literal

from ..arrays import Array, Columns
from ..config import CurriculumConfig
from ..probabilities import uniform
from .protocol import Algorithm


class UniformConfig(CurriculumConfig):
    """Settings of uniform choice, which adds none of its own."""

    algorithm: Literal["uniform"] = "uniform"
    """Tag of the algorithm in files."""


class UniformAlgorithm(Algorithm):
    """Draws by p = 1 / number of active tasks, which is domain randomisation. Evicts unplayable tasks only."""

    evicts_tasks = False

    def __init__(self, config: UniformConfig) -> None:
        self.config = config
        """Settings of the algorithm."""

    def priorities(self, columns: Columns) -> Array:
        return uniform(columns["is_active"])

    def probabilities(self, columns: Columns, priorities: Array) -> Array:
        return priorities
