"""PFSP: prioritised fictitious self-play, which draws the opponents against whom there is most to learn.

Source: Vinyals et al. 2019, *Grandmaster level in StarCraft II using multi-agent reinforcement learning* (AlphaStar),
Nature 575, methods; written from the paper.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Literal, Self

from pydantic import Field

from ..arrays import Array, Columns
from ..priorities import effective_count
from ..probabilities import proportional
from .floors import FlooredConfig, with_floors
from .protocol import Algorithm


class PfspConfig(FlooredConfig):
    """Settings of prioritised fictitious self-play. A task is an opponent, and the score is that of the learner."""

    algorithm: Literal["pfsp"] = "pfsp"
    """Tag of the algorithm in files."""
    weighting: Literal["hard", "variance"] = "hard"
    """Weight of an opponent against whom the mean score is x: (1 − x)^power, or x (1 − x), which favours equals."""
    power: float = Field(default=2.0, gt=0)
    """Exponent of the weighting "hard". Larger values favour the hardest opponents more."""
    prior: float = Field(default=1.0, gt=0, le=1e6)
    """Number of wins, and of losses, in the belief about a new opponent. A lucky win counts less for larger values."""

    @classmethod
    def variants(cls) -> Mapping[str, Callable[..., Self]]:
        return {"pfsp": cls, "pfsp-variance": partial(cls, weighting="variance")}


class PfspAlgorithm(Algorithm):
    """Draws by p ∝ f(x), f(x) = (1 − x)^power or x (1 − x), and by the reserved shares. Evicts unplayable tasks only.

    x is the mean of a forgetting belief about the score, scaled to [0, 1], so that a draw counts as half a win.
    """

    evicts_tasks = False

    def __init__(self, config: PfspConfig) -> None:
        self.config = config
        """Settings of the algorithm."""

    def priorities(self, columns: Columns) -> Array:
        config = self.config
        count = effective_count(columns["num_completions"], config.slow_rate)
        x = (config.prior + count * columns["slow_ema"]) / (2.0 * config.prior + count)
        return (1.0 - x) ** config.power if config.weighting == "hard" else x * (1.0 - x)

    def probabilities(self, columns: Columns, priorities: Array) -> Array:
        return with_floors(proportional(priorities, columns["is_active"]), columns, self.config)
