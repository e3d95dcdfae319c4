"""Thompson sampling of the success rate: draw the tasks whose sampled success rate is nearest to a target.

Source: Qu et al. 2025, *Can prompt difficulty be online predicted for accelerating RL finetuning of reasoning models?*
(MoPPS), arXiv 2507.04632.
"""

from typing import Literal

from pydantic import Field

from ..arrays import Array, Columns
from ..priorities import beta_draw
from ..probabilities import top_k
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
    prior: float = Field(default=1.0, ge=1)
    """Number of successes, and of failures, in the belief about a new task. Larger values let it vary less."""
    chosen_share: float = Field(default=0.1, gt=0, le=1)
    """Fraction of the pool to draw from, uniformly: the tasks whose sampled success rate is nearest to the target."""


class ThompsonAlgorithm(Algorithm):
    """Draws from the top share of the tasks by −|p̃ − target|, where p̃ is a sample of a forgetting Beta belief.

    The samples are hashes of the seed, the task id and the hand-outs so far. So they differ from refresh to refresh,
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
        active = columns["is_active"]
        num_chosen = max(1, round(self.config.chosen_share * active.shape[0]))
        return with_floors(top_k(priorities, active, num_chosen), columns, self.config)
