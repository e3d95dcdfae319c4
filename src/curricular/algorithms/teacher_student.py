"""Teacher-student curriculum learning: draw the tasks whose score changes most from one episode to the next.

Source: Matiisen et al. 2017, *Teacher-student curriculum learning*, arXiv 1707.00183: the online, window and sampling
algorithms. The naive algorithm is missing: it trains on one task for K steps, which a shared pool cannot do.
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
    """Tag of the algorithm in files."""
    estimate: Literal["online", "window", "sampling"] = "online"
    """Estimate Q of the change of a task's score: the moving average of its changes; the slope of the regression line
    through its last scores; or one of its last changes, drawn at each refresh."""
    num_recent: int = Field(default=10, ge=2, le=11)
    """K, the number of scores in the window, or of changes from which one is drawn."""
    ema_timescale: float = Field(default=0.1, ge=1e-6, lt=1)
    """Rate of the moving average of changes, and of the fast average, per completion of a task."""
    policy: Literal["greedy", "boltzmann"] = "boltzmann"
    """Policy over |Q|: draw the task with the highest |Q|, or draw by softmax(|Q| / temperature)."""
    temperature: float = Field(default=0.02, ge=1e-6)
    """Temperature of the Boltzmann policy, in units of the score scaled to [0, 1]. Lower values are greedier."""

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
    """Draws by the softmax or the maximum of |Q|, where Q estimates how fast a task's score changes.

    The random choices of the sampling estimate are hashes of the seed, the slot and the hand-outs so far. So they
    differ from refresh to refresh, and the algorithm stays a pure function.
    """

    def __init__(self, config: TeacherStudentConfig) -> None:
        self.config = config
        """Settings of the algorithm."""

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
