"""The reserved shares of the draws: a uniform one, and one by staleness."""

from typing import Self

from pydantic import Field, model_validator

from ..arrays import Array, Columns
from ..config import CurriculumConfig
from ..probabilities import blend, staleness, uniform


class FlooredConfig(CurriculumConfig):
    """Settings of the reserved shares of the draws, which keep the estimates of every task up to date."""

    rand_task_rate: float = Field(default=0.1, ge=0, le=1)
    """Share of uniform draws. A larger share sees sooner that a task becomes solvable or is forgotten."""
    stale_task_share: float = Field(default=0.0, ge=0, le=1)
    """Share of the draws in proportion to the hand-outs of the pool since a task's last one."""

    @model_validator(mode="after")
    def _check_shares(self) -> Self:
        if self.rand_task_rate + self.stale_task_share > 1:
            raise ValueError(
                f"stale_task_share: expected at most 1 - rand_task_rate = {1 - self.rand_task_rate}, got "
                f"{self.stale_task_share}; lower one of the two shares"
            )
        return self


def with_floors(chosen: Array, columns: Columns, config: FlooredConfig) -> Array:
    """Returns (1 − ε − ρ) · chosen + ε · uniform + ρ · staleness, shape (capacity,), sum 1.

    Args:
        chosen: Probabilities, shape (capacity,).
        columns: Columns of the pool.
        config: Gives ε, its `rand_task_rate`, and ρ, its `stale_task_share`.
    """
    active = columns["is_active"]
    parts = [(1.0 - config.rand_task_rate - config.stale_task_share, chosen), (config.rand_task_rate, uniform(active))]
    if config.stale_task_share:
        parts.append((config.stale_task_share, staleness(columns["last_scheduled"], active)))
    return blend(parts)
