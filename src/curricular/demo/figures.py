"""The figures of a demo, as they go from the training processes to the views, the report and the JSON file."""

from typing import Literal

from pydantic import BaseModel, ConfigDict


class Point(BaseModel):
    """Where one run stands after `step` environment steps. Counts run from the start, one for each level by name."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    step: int
    draws: dict[str, int]
    """Episodes begun."""
    successes: dict[str, int]
    """Training episodes that reached the goal."""
    steps: dict[str, int]
    """Environment steps spent."""
    evaluation: dict[str, float] | None
    """Share of evaluation episodes that reached the goal, by learnable level; None: not evaluated here."""
    cpu_seconds: float
    """CPU time of the run's process."""
    wall_seconds: float

    @property
    def mean_success(self) -> float:
        """The mean of `evaluation` over the learnable levels, in [0, 1]."""
        if self.evaluation is None:
            raise ValueError(f"evaluation: expected a point with one, got none at step {self.step}; take another point")
        return sum(self.evaluation.values()) / len(self.evaluation)


