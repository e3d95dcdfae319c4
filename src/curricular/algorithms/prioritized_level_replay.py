"""Prioritised level replay: replay the levels with the highest regret, by rank.

Source: Jiang et al. 2021, *Prioritized level replay*, arXiv 2010.03934, and *Replay-guided adversarial environment
design*, arXiv 2110.02439 (the robust variant); written from the formulas.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Literal, Self

from pydantic import Field

from ..arrays import Array, Columns, count
from ..config import CurriculumConfig
from ..probabilities import blend, rank, staleness
from .protocol import Algorithm


class PrioritizedLevelReplayConfig(CurriculumConfig):
    """Settings of prioritised level replay."""

    algorithm: Literal["prioritized_level_replay"] = "prioritized_level_replay"
    """Tag of the algorithm in files."""
    regret: Literal["told", "positive_value_loss", "max_monte_carlo"] = "told"
    """Regret that ranks a level: the last one told, as from `curricular.regrets`; or that of a perfect critic at a
    success rate p: p(1−p) for the value loss, and for Monte Carlo 1−p if the level was ever solved, else 0."""
    ema_timescale: float = Field(default=0.5, ge=1e-6, le=1)
    """Rate of the fast average, per completion of a level. The success rate p, at the slow rate, remembers about 10
    results: p(1−p) would otherwise stay high long after a level is mastered."""
    temperature: float = Field(default=0.5, gt=0)
    """β of (1 / rank)^{1/β}. Lower values draw the first ranks more often."""
    stale_task_share: float = Field(default=0.3, ge=0, le=1)
    """ρ, the share of replay in proportion to the hand-outs of the pool since a level's last one."""
    replay_share: float = Field(default=0.5, ge=0, le=1)
    """Smallest share of the draws that replays levels; the rest goes to levels without a regret."""
    min_fill: float = Field(default=0.0, ge=0, le=1)
    """Share of the levels in the pool that need a regret before any level is replayed."""
    train_on_new: bool = True
    """Whether to train on levels without a regret. With False, the replay is robust: such a hand-out only ranks its
    level, and `Batch.is_trained_on` says so."""

    @property
    def needs_regrets(self) -> bool:
        return self.regret == "told"

    @classmethod
    def variants(cls) -> Mapping[str, Callable[..., Self]]:
        value_loss, max_mc = (partial(cls, regret=regret) for regret in ("positive_value_loss", "max_monte_carlo"))
        return {"level-replay": value_loss, "level-replay-max-mc": max_mc, "level-replay-told": cls}


class PrioritizedLevelReplayAlgorithm(Algorithm):
    """Draws by p = (1−d) · new + d · ((1−ρ) · rank + ρ · staleness), d = the share of replay.

    No new level is drawn more often than by uniform choice, once `min_fill` of the levels have a regret.
    """

    def __init__(self, config: PrioritizedLevelReplayConfig) -> None:
        self.config = config
        """Settings of the algorithm."""

    def is_seen(self, columns: Columns) -> Array:
        """Returns which active levels have a regret, bool, shape (capacity,)."""
        counts = columns["num_regrets" if self.config.needs_regrets else "num_completions"]
        return columns["is_active"] & (counts > 0)

    def is_trained_on(self, columns: Columns) -> Array:
        return columns["is_active"] if self.config.train_on_new else self.is_seen(columns)

    def priorities(self, columns: Columns) -> Array:
        if self.config.needs_regrets:
            return columns["last_regret"]
        success = columns["success_ema"]
        if self.config.regret == "positive_value_loss":
            return success * (1.0 - success)
        xp = success.__array_namespace__()
        return xp.where(success > 0.0, 1.0 - success, 0.0)

    def replay(self, columns: Columns, priorities: Array) -> Array:
        """Returns the probability of each level in replay, (1−ρ) · rank + ρ · staleness over the seen levels.

        Args:
            columns: Columns of the pool.
            priorities: The result of `priorities` for these columns, shape (capacity,).

        Returns:
            Shape (capacity,), sum 1, over seen levels only, as long as there is one.
        """
        seen, stale_share = self.is_seen(columns), self.config.stale_task_share
        replayed = seen | ~seen.__array_namespace__().any(seen)
        ranked = rank(priorities, replayed, self.config.temperature)
        return blend([(1.0 - stale_share, ranked), (stale_share, staleness(columns["last_scheduled"], replayed))])

    def probabilities(self, columns: Columns, priorities: Array) -> Array:
        config, active, seen = self.config, columns["is_active"], self.is_seen(columns)
        xp = active.__array_namespace__()
        num_active, num_seen = count(active), count(seen)
        num_new = num_active - num_seen
        is_filling = (num_seen == 0.0) | (num_seen < config.min_fill * num_active)
        share = xp.where(is_filling, 1.0, xp.clip(num_new / num_active, None, 1.0 - config.replay_share))
        each = share / xp.clip(num_new, 1.0, None)
        # With no level to replay, all levels are new, and replay has share 0 over any levels.
        return (1.0 - share) * self.replay(columns, priorities) + each * xp.astype(active & ~seen, xp.float64)

    def evictable(self, columns: Columns, priorities: Array, config: CurriculumConfig) -> Array:
        return super().evictable(columns, priorities, config) & self.is_seen(columns)
