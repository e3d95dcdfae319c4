"""Teacher-student curriculum learning: draw the tasks whose score changed most from one episode to the next.

Source: Matiisen et al. 2017, *Teacher-student curriculum learning*, arXiv 1707.00183: the online algorithm. Its window
and sampling variants need the last scores themselves, which a row of constant size does not keep.
"""

from typing import Literal

from pydantic import Field

from ..samplers import softmax, top_k
from ..scorers import Array, Columns, evictable, score_change
from .floors import FlooredConfig, with_floors


class TeacherStudentConfig(FlooredConfig):
    """Settings of teacher-student curriculum learning. Its rate η is `ema_timescale`, its ε `rand_task_rate`."""

    algorithm: Literal["teacher_student"] = "teacher_student"
    ema_timescale: float = Field(default=0.1, ge=1e-6, lt=1)
    """Rate of the average of the score's change, and of the fast average."""
    policy: Literal["greedy", "boltzmann"] = "boltzmann"
    """How tasks follow from |Q|: the highest one, or softmax(|Q| / temperature)."""
    temperature: float = Field(default=0.02, ge=1e-6)
    """Of the Boltzmann policy, in units of the score scaled to [0, 1]."""


class TeacherStudentAlgorithm:
    """The softmax, or the maximum, of |Q|, Q the moving average of the change of a task's score."""

    def __init__(self, config: TeacherStudentConfig) -> None:
        self.config = config

    def scores(self, columns: Columns) -> Array:
        xp = columns["fast_ema"].__array_namespace__()
        rate = self.config.ema_timescale
        return xp.abs(score_change(columns["last_score"], columns["fast_ema"], columns["num_completions"], rate))

    def probabilities(self, columns: Columns) -> Array:
        scores, active = self.scores(columns), columns["is_active"]
        if self.config.policy == "greedy":
            chosen = top_k(scores, active, 1)
        else:
            chosen = softmax(scores, active, self.config.temperature)
        return with_floors(chosen, columns, self.config)

    def evictable(self, columns: Columns) -> Array:
        return evictable(self.scores(columns), columns, self.config)
