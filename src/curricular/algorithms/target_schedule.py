"""Target schedule: draw around a target that moves along an axis as training goes on."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Literal, Self

from pydantic import Field

from ..arrays import Array, Columns
from ..config import CurriculumConfig
from ..priorities import position
from ..probabilities import softmax
from .floors import FlooredConfig, with_floors
from .protocol import Algorithm


class TargetScheduleConfig(FlooredConfig):
    """Settings of a target schedule."""

    algorithm: Literal["target_schedule"] = "target_schedule"
    axis: int | None = Field(default=None, ge=0)
    """Which of the generator's axes (of a merged set, which column of params) the target moves along; None: the numbers
    of a finite generator's tasks."""
    start: float = 0.0
    """Where the target is at first."""
    stop: float
    """Where it is in the end."""
    num_tasks: int = Field(ge=1)
    """Hand-outs that it takes from `start` to `stop`."""
    width: float = Field(default=1.0, gt=0)
    """Standard deviation of the Gaussian around the target."""

    @classmethod
    def variants(cls) -> Mapping[str, Callable[..., Self]]:
        return {"target-schedule": partial(cls, stop=10.0, num_tasks=1000)}


class TargetScheduleAlgorithm(Algorithm):
    """p ∝ exp(−½ ((place − target) / width)²), the target going evenly from start to stop. Never evicts."""

    follows_handouts = True

    def __init__(self, config: TargetScheduleConfig) -> None:
        self.config = config

    def priorities(self, columns: Columns) -> Array:
        """The logarithm of a task's weight: minus half its squared distance to the target, in widths."""
        config, places = self.config, position(columns, self.config.axis)
        xp = places.__array_namespace__()
        moment = xp.max(xp.where(columns["is_active"], columns["last_scheduled"], 0))
        progress = xp.clip(xp.astype(moment, xp.float64) / config.num_tasks, None, 1.0)
        distance = (places - (config.start + (config.stop - config.start) * progress)) / config.width
        return -0.5 * distance * distance

    def probabilities(self, columns: Columns, priorities: Array) -> Array:
        return with_floors(softmax(priorities, columns["is_active"], 1.0), columns, self.config)

    def evictable(self, columns: Columns, priorities: Array, config: CurriculumConfig) -> Array:
        return columns["is_active"] & False
