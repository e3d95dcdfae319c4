"""Thompson sampling of the success rate: draw the tasks whose sampled success rate is nearest to a target.

Source: Qu et al. 2025, *Can prompt difficulty be online predicted for accelerating RL finetuning of reasoning models?*
(MoPPS), arXiv 2507.04632.
"""

from collections.abc import Callable, Mapping
from typing import Any, Literal, Self

from pydantic import Field

from ..arrays import Array, Columns
from ..priorities import beta_draw
from ..probabilities import top_share
from ..streams import redrawn_uniform
from .beliefs import BeliefConfig, belief
from .floors import with_floors
from .protocol import Algorithm


class ThompsonConfig(BeliefConfig):
    """Settings of Thompson sampling."""

    algorithm: Literal["thompson"] = "thompson"
    """Tag of the algorithm in files."""
    target: float = Field(default=0.5, ge=0, le=1)
    """Target success rate."""
    prior: float = Field(default=1.0, ge=1, le=1e6)
    """Number of successes, and of failures, in the belief about a new task. Larger values let it vary less."""
    chosen_share: float = Field(default=0.1, gt=0, le=1)
    """Fraction of the pool to draw from, uniformly: the tasks whose sampled success rate is nearest to the target."""

    @classmethod
    def prompts(cls, num_active_tasks: int | None = None, **overrides: Any) -> Self:
        """Returns the preset for prompts of post-training: all of them in the pool, none evicted, all handed out.

        A tenth of the hand-outs walk over the pool, instead of uniform draws. A rate on `prior_axis`, if set, counts as
        8 scores.

        Args:
            num_active_tasks: Number of prompts in the pool; None: all of a list or data set, up to about a million. The
                others are never handed out.
            overrides: Values of any other fields.

        Examples:
            >>> ThompsonConfig.prompts().cover_share
            0.1
        """
        preset = {"eviction_rate": 0.0, "cover_share": 0.1, "rand_task_rate": 0.0, "prior_weight": 8.0}
        return cls(**{"num_active_tasks": num_active_tasks, **preset, **overrides})

    @classmethod
    def variants(cls) -> Mapping[str, Callable[..., Self]]:
        return {"thompson": cls, "thompson-prompts": cls.prompts}


class ThompsonAlgorithm(Algorithm):
    """Draws from the top share of the tasks by −|p̃ − target|, where p̃ is a sample of a forgetting Beta belief.

    The samples are hashes of the seed, the slot and the hand-outs so far. So they differ from refresh to refresh,
    and the algorithm stays a pure function.
    """

    def __init__(self, config: ThompsonConfig) -> None:
        self.config = config
        """Settings of the algorithm."""

    def priorities(self, columns: Columns) -> Array:
        xp = columns["task_id"].__array_namespace__()
        a, b = belief(columns, self.config, self.config.prior)
        drawn = beta_draw(a, b, redrawn_uniform(self.config.seed, columns))
        return 1.0 - xp.abs(drawn - self.config.target)

    def probabilities(self, columns: Columns, priorities: Array) -> Array:
        chosen = top_share(priorities, columns["is_active"], self.config.chosen_share)
        return with_floors(chosen, columns, self.config)
