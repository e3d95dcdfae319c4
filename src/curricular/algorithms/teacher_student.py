"""Teacher-student curriculum learning: draw the tasks whose score changes most from one episode to the next.

Source: Matiisen et al. 2017, *Teacher-student curriculum learning*, arXiv 1707.00183: the online, window and sampling
algorithms. The naive one trains on one task for K steps at a time, which a pool that many draw from cannot.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Literal, Self

from pydantic import Field

from ..arrays import Array, Columns
from ..priorities import recent_change, recent_slope, score_change
from ..probabilities import softmax, top_k
from ..streams import redrawn_uniform
from .floors import FlooredConfig, with_floors
from .protocol import Algorithm


class TeacherStudentConfig(FlooredConfig):
    """Settings of teacher-student curriculum learning. Its rate η is `ema_timescale`, its ε `rand_task_rate`."""

    algorithm: Literal["teacher_student"] = "teacher_student"
    estimate: Literal["online", "window", "sampling"] = "online"
    """What Q is: the moving average of the changes of a task's score, the slope of the regression line through the last
    scores, or one of the last changes, drawn anew at each refresh."""
    num_recent: int = Field(default=10, ge=2, le=11)
    """K: how many scores the window has; of how many changes one is drawn."""
    ema_timescale: float = Field(default=0.1, ge=1e-6, lt=1)
    """Rate of the average of the score's change, and of the fast average."""
    policy: Literal["greedy", "boltzmann"] = "boltzmann"
    """How tasks follow from |Q|: the highest one, or softmax(|Q| / temperature)."""
    temperature: float = Field(default=0.02, ge=1e-6)
    """Of the Boltzmann policy, in units of the score scaled to [0, 1]."""

    @classmethod
    def variants(cls) -> Mapping[str, Callable[..., Self]]:
        window, sampling = (partial(cls, estimate=estimate) for estimate in ("window", "sampling"))
        greedy = partial(cls, policy="greedy")
        return {
            "teacher-student": cls,
            "teacher-student-window": window,
            "teacher-student-sampling": sampling,
            "teacher-student-greedy": greedy,
        }


class TeacherStudentAlgorithm(Algorithm):
    """The softmax, or the maximum, of |Q|, Q an estimate of how fast a task's score changes.

    The draws of the sampling estimate are hashes of seed, task and the hand-outs so far: new ones at each refresh, and
    a pure function.
    """

    def __init__(self, config: TeacherStudentConfig) -> None:
        self.config = config

    def priorities(self, columns: Columns) -> Array:
        config, completions = self.config, columns["num_completions"]
        xp = completions.__array_namespace__()
        if config.estimate == "online":
            rate = config.ema_timescale
            return xp.abs(score_change(columns["last_score"], columns["fast_ema"], completions, rate))
        if config.estimate == "window":
            return xp.abs(recent_slope(columns, config.num_recent))
        u = redrawn_uniform(config.seed, columns)
        num_changes = xp.astype(xp.clip(completions, 1, config.num_recent), xp.float64)
        return xp.abs(recent_change(columns, xp.astype(xp.floor(u * num_changes), xp.int64)))

    def probabilities(self, columns: Columns, priorities: Array) -> Array:
        active = columns["is_active"]
        if self.config.policy == "greedy":
            chosen = top_k(priorities, active, 1)
        else:
            chosen = softmax(priorities, active, self.config.temperature)
        return with_floors(chosen, columns, self.config)
