"""Learning progress: draw the tasks whose score changes, in either direction.

Source: Kanitscheider et al. 2021, *Multi-task curriculum learning in a complex, visual, hard-exploration domain:
Minecraft*, arXiv 2106.14876; the pipeline is that of the reference system.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from ..arrays import Array, Columns
from ..config import MAX_BASELINE, CurriculumConfig
from ..priorities import exploration_bonus, learning_progress, normalise, standard_deviation
from ..probabilities import mix, softmax, uniform, z_score
from .protocol import Algorithm


class LearningProgressConfig(CurriculumConfig):
    """Settings of learning progress. Start from a preset: `default()`, `stable()` or `fast_learning()`."""

    algorithm: Literal["learning_progress"] = "learning_progress"
    """Tag of the algorithm in files."""
    progress: Literal["bidirectional", "basic"] = "bidirectional"
    """Measure of progress: |R(fast) − R(slow)|; or "basic", the standard deviation of the score, which uses neither
    `theta` nor `random_baseline`."""
    theta: float = Field(default=0.35, ge=1e-6, le=0.5)
    """θ of the reweighting R. Small values stretch small success rates, and their noise; at 0.5, R is the identity."""
    temperature: float = Field(default=0.8, ge=1e-6)
    """T of softmax(z / T). Lower values draw the tasks with the most progress more often."""
    exploration_bonus: float = Field(default=0.1, ge=0, le=1e6)
    """Bonus on the priority of a new task; it fades to 0 at `min_samples_for_lp` completions and cancellations."""
    rand_task_rate: float = Field(default=0.2, ge=0, le=1)
    """Share of uniform draws. A larger share sees sooner that a task becomes solvable or is forgotten."""
    min_samples_for_lp: int = Field(default=10, ge=1)
    """Number of completions from which the progress of a task counts as known."""

    @model_validator(mode="after")
    def _check_eviction(self) -> Self:
        if self.min_presentations_for_eviction < self.min_samples_for_lp:
            raise ValueError(
                f"min_presentations_for_eviction: expected at least min_samples_for_lp={self.min_samples_for_lp}, got "
                f"{self.min_presentations_for_eviction}; raise it, so that no task goes before its progress is known"
            )
        return self

    @classmethod
    def default(cls, *, num_active_tasks: int | None = None, **overrides: Any) -> Self:
        """Returns the preset for most environments: the fast average remembers about 10 results.

        Args:
            num_active_tasks: Number of tasks in the pool; None: as many as suit the generator.
            overrides: Values of any other fields.

        Examples:
            >>> LearningProgressConfig.default(ema_timescale=0.05).ema_timescale
            0.05
        """
        return cls(**{"num_active_tasks": num_active_tasks, **overrides})

    @classmethod
    def stable(cls, *, num_active_tasks: int | None = None, **overrides: Any) -> Self:
        """Returns the preset for noisy scores and long training: the fast average remembers about 100 results.

        Args:
            num_active_tasks: Number of tasks in the pool; None: as many as suit the generator.
            overrides: Values of any other fields.
        """
        preset = {"ema_timescale": 0.01, "theta": 0.1, "temperature": 1.0, "exploration_bonus": 0.15}
        preset |= {"rand_task_rate": 0.15, "min_samples_for_lp": 20}
        return cls(**{"num_active_tasks": num_active_tasks, **preset, **overrides})

    @classmethod
    def fast_learning(cls, *, num_active_tasks: int | None = None, **overrides: Any) -> Self:
        """Returns the preset for agents that learn a task quickly: the fast average remembers about 5 results.

        Args:
            num_active_tasks: Number of tasks in the pool; None: as many as suit the generator.
            overrides: Values of any other fields.
        """
        preset = {"ema_timescale": 0.2, "theta": 0.1, "temperature": 1.0, "exploration_bonus": 0.05}
        preset |= {"rand_task_rate": 0.05, "min_samples_for_lp": 5}
        return cls(**{"num_active_tasks": num_active_tasks, **preset, **overrides})

    @classmethod
    def variants(cls) -> Mapping[str, Callable[..., Self]]:
        basic = partial(cls.default, progress="basic")
        return {
            "learning-progress": cls.default,
            "stable": cls.stable,
            "fast-learning": cls.fast_learning,
            "basic": basic,
        }


class LearningProgressAlgorithm(Algorithm):
    """Draws by p = (1−ρ) · softmax(z(LP + bonus) / T) + ρ · uniform."""

    def __init__(self, config: LearningProgressConfig) -> None:
        self.config = config
        """Settings of the algorithm."""

    def learning_progress(self, columns: Columns) -> Array:
        """Returns the progress of each task, shape (capacity,), in [0, 1]; 0 for a task without completions."""
        if self.config.progress == "basic":
            return standard_deviation(columns["slow_ema"], columns["mean_square"])
        fast, slow = columns["fast_ema"], columns["slow_ema"]
        if self.config.random_baseline != 0.0:
            baseline = columns["random_baseline"]
            fast, slow = (normalise(average, baseline, MAX_BASELINE) for average in (fast, slow))
        return learning_progress(fast, slow, self.config.theta)

    def priorities(self, columns: Columns) -> Array:
        config = self.config
        num_endings = columns["num_completions"] + columns["num_cancelled"]
        bonus = exploration_bonus(num_endings, config.exploration_bonus, config.min_samples_for_lp)
        return self.learning_progress(columns) + bonus

    def probabilities(self, columns: Columns, priorities: Array) -> Array:
        active = columns["is_active"]
        chosen = softmax(z_score(priorities, active), active, self.config.temperature)
        return mix(chosen, uniform(active), self.config.rand_task_rate)
