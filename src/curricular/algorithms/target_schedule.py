"""Target schedule: draw tasks around a target that moves along an axis during training."""

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
    """Tag of the algorithm in files."""
    axis: int | None = Field(default=None, ge=0)
    """Index of the axis of the generator (in a merged set, of the column of params) along which the target moves; None:
    it moves along the seeds of a finite generator's tasks."""
    start: float = 0.0
    """First position of the target, in units of the axis."""
    stop: float
    """Last position of the target, in units of the axis."""
    num_tasks: int = Field(ge=1)
    """Number of hand-outs that the target takes from `start` to `stop`."""
    width: float = Field(default=1.0, gt=0)
    """Standard deviation of the Gaussian around the target, in units of the axis. Larger values draw more widely."""

    @classmethod
    def variants(cls) -> Mapping[str, Callable[..., Self]]:
        return {"target-schedule": partial(cls, stop=10.0, num_tasks=1000)}


class TargetScheduleAlgorithm(Algorithm):
    """Draws by p ∝ exp(−½ ((position − target) / width)²); the target moves evenly from start to stop.

    Evicts unplayable tasks only.
    """

    follows_handouts = True

    def __init__(self, config: TargetScheduleConfig) -> None:
        self.config = config
        """Settings of the algorithm."""

    def priorities(self, columns: Columns) -> Array:
        """Returns the logarithm of each task's weight, −½ ((position − target) / width)², shape (capacity,)."""
        config, positions = self.config, position(columns, self.config.axis)
        xp = positions.__array_namespace__()
        num_scheduled = xp.max(xp.where(columns["is_active"], columns["last_scheduled"], 0))
        progress = xp.clip(xp.astype(num_scheduled, xp.float64) / config.num_tasks, None, 1.0)
        distance = (positions - (config.start + (config.stop - config.start) * progress)) / config.width
        return -0.5 * distance * distance

    def probabilities(self, columns: Columns, priorities: Array) -> Array:
        return with_floors(softmax(priorities, columns["is_active"], 1.0), columns, self.config)

    def evictable(self, columns: Columns, priorities: Array, config: CurriculumConfig) -> Array:
        return columns["is_active"] & False
