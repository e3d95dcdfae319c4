"""Thompson sampling of the success rate: draw the tasks that, by a guess within what is known, succeed half the time.

Source: Qu et al. 2025, *Can prompt difficulty be online predicted for accelerating RL finetuning of reasoning models?*
(MoPPS), arXiv 2507.04632.
"""

from typing import Literal

from pydantic import Field

from ..arrays import Array, Columns
from ..priorities import beta_draw, beta_posterior
from ..probabilities import top_k
from ..streams import redrawn_uniform
from .floors import FlooredConfig, with_floors
from .protocol import Algorithm


class ThompsonConfig(FlooredConfig):
    """Settings of Thompson sampling."""

    algorithm: Literal["thompson"] = "thompson"
    target: float = Field(default=0.5, ge=0, le=1)
    """The success rate to be near."""
    prior: float = Field(default=1.0, ge=1)
    """Successes, and failures, that a new task is credited with."""
    chosen_share: float = Field(default=0.1, gt=0, le=1)
    """The nearest so many of the pool's tasks are drawn, equally often."""


class ThompsonAlgorithm(Algorithm):
    """The top share of the tasks by −|p̃ − target|, p̃ one draw from a Beta belief that forgets.

    The draws are hashes of seed, task and the hand-outs so far: new ones at each refresh, and a pure function.
    """

    def __init__(self, config: ThompsonConfig) -> None:
        self.config = config

    def priorities(self, columns: Columns) -> Array:
        xp = columns["task_id"].__array_namespace__()
        a, b = beta_posterior(columns, self.config, self.config.prior)
        drawn = beta_draw(a, b, redrawn_uniform(self.config.seed, columns))
        return 1.0 - xp.abs(drawn - self.config.target)

    def probabilities(self, columns: Columns, priorities: Array) -> Array:
        active = columns["is_active"]
        num_chosen = max(1, round(self.config.chosen_share * active.shape[0]))
        return with_floors(top_k(priorities, active, num_chosen), columns, self.config)
