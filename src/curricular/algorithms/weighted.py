"""Weighted choice: draw tasks in proportion to weights that the user gives."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import ClassVar, Literal, Self

from pydantic import Field, NonNegativeFloat

from ..arrays import Array, Columns, look_up
from ..config import AxisIndex, CurriculumConfig
from ..priorities import position
from ..probabilities import proportional
from .protocol import Algorithm


class WeightedConfig(CurriculumConfig):
    """Settings of weighted choice."""

    axis_fields: ClassVar[tuple[str, ...]] = ("axis",)

    algorithm: Literal["weighted"] = "weighted"
    """Tag of the algorithm in files."""
    weights: tuple[NonNegativeFloat, ...] = Field(min_length=1)
    """Weights of the tasks of a finite generator by seed, or of the choices on `axis`; other tasks have weight 0."""
    axis: AxisIndex | str | None = None
    """Name or index of the axis of the generator (in a merged set, index of the column of params) whose choices have
    the weights; None: tasks have weights."""

    @classmethod
    def variants(cls) -> Mapping[str, Callable[..., Self]]:
        return {"weighted": partial(cls, weights=(3.0, 2.0, 1.0))}


class WeightedAlgorithm(Algorithm):
    """Draws by p ∝ weight; uniformly if every active task has weight 0. Evicts unplayable tasks only."""

    evicts_tasks = False

    def __init__(self, config: WeightedConfig) -> None:
        self.config = config
        """Settings of the algorithm."""

    def priorities(self, columns: Columns) -> Array:
        return look_up(self.config.weights, position(columns, self.config.axis), 0.0)

    def probabilities(self, columns: Columns, priorities: Array) -> Array:
        active = columns["is_active"]
        xp = active.__array_namespace__()
        largest = xp.max(xp.where(active, priorities, 0.0))
        relative = priorities / xp.where(largest > 0.0, largest, 1.0)  # whose sum is finite and not 0
        return proportional(relative, active)
