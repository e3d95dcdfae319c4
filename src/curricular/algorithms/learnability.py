"""Learnability: draw the tasks that succeed about half of the time.

Source: Rutherford et al. 2024, *No regrets: investigating and improving regret approximations for curriculum
discovery*, arXiv 2408.15099; computed here from the results of training, without extra rollouts.
"""

from collections.abc import Callable, Mapping
from typing import Any, Literal, Self

from pydantic import Field

from ..arrays import Array, Columns
from ..priorities import learnability
from ..probabilities import proportional, top_share
from .beliefs import BeliefConfig, belief
from .floors import with_floors
from .protocol import Algorithm


class LearnabilityConfig(BeliefConfig):
    """Settings of learnability."""

    algorithm: Literal["learnability"] = "learnability"
    """Tag of the algorithm in files."""
    prior: float = Field(default=0.1, ge=1e-9, le=1e6)
    """Number of successes, and of failures, in the belief about a new task. Larger values draw new tasks more often."""
    power: float = Field(default=1.0, gt=0)
    """Exponent of the priority. Values above 1 favour the best tasks more."""
    top_share: float | None = Field(default=None, gt=0, le=1)
    """If set, draw uniformly from this top fraction of the pool; `power` is ignored."""

    @classmethod
    def sfl(cls, *, num_active_tasks: int | None = None, **overrides: Any) -> Self:
        """Returns the preset "sampling for learnability": half of the draws from the top fifth, half from all tasks.

        Args:
            num_active_tasks: Number of tasks in the pool; None: as many as suit the generator.
            overrides: Values of any other fields.

        Examples:
            >>> LearnabilityConfig.sfl(top_share=0.1).rand_task_rate
            0.5
        """
        preset = {"top_share": 0.2, "rand_task_rate": 0.5}
        return cls(**{"num_active_tasks": num_active_tasks, **preset, **overrides})

    @classmethod
    def variants(cls) -> Mapping[str, Callable[..., Self]]:
        return {"learnability": cls, "sfl": cls.sfl}


class LearnabilityAlgorithm(Algorithm):
    """Draws by E[p(1−p)]^power under a forgetting Beta belief about the success rate p, and by the reserved shares.

    With `top_share`, draws uniformly from the top tasks by E[p(1−p)] instead.
    """

    def __init__(self, config: LearnabilityConfig) -> None:
        self.config = config
        """Settings of the algorithm."""

    def priorities(self, columns: Columns) -> Array:
        return learnability(*belief(columns, self.config, self.config.prior))

    def probabilities(self, columns: Columns, priorities: Array) -> Array:
        active, config = columns["is_active"], self.config
        if config.top_share is None:
            chosen = proportional(priorities, active, config.power)
        else:
            chosen = top_share(priorities, active, config.top_share)
        return with_floors(chosen, columns, config)
