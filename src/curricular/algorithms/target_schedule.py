"""Target schedule: draw tasks around a target that moves along one axis or several during training."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from ..arrays import Array, Columns
from ..config import AxisIndex
from ..priorities import position
from ..probabilities import softmax
from ..table import MAX_PRIORITY
from .floors import FlooredConfig, with_floors
from .protocol import Algorithm

Position = Annotated[float, Field(ge=-1e100, le=1e100)]
Width = Annotated[float, Field(ge=1e-50, le=1e100)]


class TargetScheduleConfig(FlooredConfig):
    """Settings of a target schedule."""

    axis_fields: ClassVar[tuple[str, ...]] = ("axis",)

    algorithm: Literal["target_schedule"] = "target_schedule"
    """Tag of the algorithm in files."""
    axis: AxisIndex | str | tuple[AxisIndex | str, ...] | None = None
    """Name or index of the axis of the generator (in a merged set, index of the column of params) along which the
    target moves, or several of them; None: it moves along the seeds of a finite generator's tasks."""
    start: Position | tuple[Position, ...] = 0.0
    """First position of the target, in units of the axis: one number for all axes, or one for each."""
    stop: Position | tuple[Position, ...]
    """Last position of the target, likewise."""
    num_tasks: int = Field(ge=1)
    """Number of hand-outs that the target takes from `start` to `stop`."""
    width: Width | tuple[Width, ...] = 1.0
    """Standard deviation of the Gaussian around the target, likewise. Larger values draw more widely."""

    @classmethod
    def variants(cls) -> Mapping[str, Callable[..., Self]]:
        return {"target-schedule": partial(cls, stop=10.0, num_tasks=1000)}

    @model_validator(mode="after")
    def _check_axes(self) -> Self:
        axes = self.axes
        if not axes or len(set(axes)) < len(axes):
            raise ValueError(f"axis: expected at least one axis, each once, got {self.axis}; correct the list")
        for name in ("start", "stop", "width"):
            value = getattr(self, name)
            if isinstance(value, tuple) and len(value) != len(axes):
                raise ValueError(
                    f"{name}: expected one number, or {len(axes)}, one for each axis, got {len(value)}; correct it"
                )
        return self

    @property
    def axes(self) -> tuple[int | str | None, ...]:
        """The axes along which the target moves."""
        return self.axis if isinstance(self.axis, tuple) else (self.axis,)


class TargetScheduleAlgorithm(Algorithm):
    """Draws by p ∝ exp(−½ Σ ((position − target) / width)²); the target moves evenly from start to stop.

    Evicts unplayable tasks only.
    """

    follows_handouts = True
    evicts_tasks = False

    def __init__(self, config: TargetScheduleConfig) -> None:
        self.config = config
        """Settings of the algorithm."""

    def priorities(self, columns: Columns) -> Array:
        """Returns the logarithm of each task's weight, −½ Σ ((position − target) / width)², shape (capacity,)."""
        config, last = self.config, columns["last_scheduled"]
        xp = last.__array_namespace__()
        num_scheduled = xp.max(xp.where(columns["is_active"], last, 0))
        progress = xp.clip(xp.astype(num_scheduled, xp.float64) / config.num_tasks, None, 1.0)
        total = xp.zeros_like(last, dtype=xp.float64)
        for number, axis in enumerate(config.axes):
            start, stop, width = (_at(value, number) for value in (config.start, config.stop, config.width))
            distance = (position(columns, axis) - (start + (stop - start) * progress)) / width
            total = total - 0.5 * distance * distance
        return xp.clip(total, -MAX_PRIORITY, None)

    def probabilities(self, columns: Columns, priorities: Array) -> Array:
        return with_floors(softmax(priorities, columns["is_active"], 1.0), columns, self.config)


def _at(value: float | tuple[float, ...], number: int) -> float:
    """Returns the entry with index `number` of `value`, or `value` itself if it is no tuple."""
    return value[number] if isinstance(value, tuple) else value
