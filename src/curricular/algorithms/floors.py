"""The reserved shares of draws that choices by a score keep: uniform, and by staleness."""

from typing import Self

from pydantic import Field, model_validator

from ..arrays import Array, Columns
from ..config import CurriculumConfig
from ..probabilities import blend, staleness, uniform


class FlooredConfig(CurriculumConfig):
    """Settings of the reserved shares. A task that is never drawn makes no progress that anybody could see."""

    rand_task_rate: float = Field(default=0.1, ge=0, le=1)
    """Share of the draws that is uniform: finds the never solved, notices the forgotten."""
    stale_task_share: float = Field(default=0.0, ge=0, le=1)
    """Share of the draws in proportion to the hand-outs since a task's last one."""

    @model_validator(mode="after")
    def _check_shares(self) -> Self:
        if self.rand_task_rate + self.stale_task_share > 1:
            raise ValueError(
                f"stale_task_share: expected at most 1 - rand_task_rate = {1 - self.rand_task_rate}, got "
                f"{self.stale_task_share}; shares of the draws must not sum to more than 1"
            )
        return self


def with_floors(chosen: Array, columns: Columns, config: FlooredConfig) -> Array:
    """(1 − ε − ρ) · chosen + ε · uniform + ρ · staleness, shape (n,), sum 1."""
    active = columns["is_active"]
    parts = [(1.0 - config.rand_task_rate - config.stale_task_share, chosen), (config.rand_task_rate, uniform(active))]
    if config.stale_task_share:
        parts.append((config.stale_task_share, staleness(columns["last_scheduled"], active)))
    return blend(parts)
