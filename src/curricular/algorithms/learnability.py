"""Learnability: draw the tasks that succeed about half of the time.

Source: Rutherford et al. 2024, *No regrets: investigating and improving regret approximations for curriculum
discovery*, arXiv 2408.15099; here from the results of training, without rollouts of its own.
"""

from collections.abc import Callable, Mapping
from typing import Any, Literal, Self

from pydantic import Field

from ..arrays import Array, Columns
from ..priorities import beta_posterior, learnability
from ..probabilities import proportional, top_k
from .floors import FlooredConfig, with_floors
from .protocol import Algorithm


class LearnabilityConfig(FlooredConfig):
    """Settings of learnability."""

    algorithm: Literal["learnability"] = "learnability"
    prior: float = Field(default=0.1, gt=0)
    """Successes, and failures, that a new task is credited with. More draws new tasks more often."""
    power: float = Field(default=1.0, gt=0)
    """Exponent of the score: above 1 follows the best tasks more closely."""
    top_share: float | None = Field(default=None, gt=0, le=1)
    """If given, the best so many of the pool's tasks are drawn equally often, whatever the power."""

    @classmethod
    def sfl(cls, *, num_active_tasks: int = 256, **overrides: Any) -> Self:
        """Sampling for learnability: half of the draws among the best fifth, half from the pool at large.

        Every field can be overridden.

        >>> LearnabilityConfig.sfl(top_share=0.1).rand_task_rate
        0.5
        """
        preset = {"top_share": 0.2, "rand_task_rate": 0.5}
        return cls(**{"num_active_tasks": num_active_tasks, **preset, **overrides})

    @classmethod
    def variants(cls) -> Mapping[str, Callable[..., Self]]:
        return {"learnability": cls, "sfl": cls.sfl}


class LearnabilityAlgorithm(Algorithm):
    """p ∝ E[p(1−p)]^power under a Beta belief that forgets, or the top by it; beside the reserved shares."""

    def __init__(self, config: LearnabilityConfig) -> None:
        self.config = config

    def priorities(self, columns: Columns) -> Array:
        return learnability(*beta_posterior(columns, self.config, self.config.prior))

    def probabilities(self, columns: Columns, priorities: Array) -> Array:
        active, config = columns["is_active"], self.config
        if config.top_share is None:
            chosen = proportional(priorities, active, config.power)
        else:
            chosen = top_k(priorities, active, max(1, round(config.top_share * active.shape[0])))
        return with_floors(chosen, columns, config)
