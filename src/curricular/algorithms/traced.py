"""TRACED: prioritised level replay that adds to a level's regret how much other levels gained after it was played.

Source: Cho et al. 2026, *TRACED: transition-aware regret approximation with co-learnability for environment design*,
arXiv 2506.19997; written from the formulas. Draws and evictions are those of prioritised level replay.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Literal, Self

from pydantic import Field

from ..arrays import Array, Columns, in_place, stable_order
from .prioritized_level_replay import PrioritizedLevelReplayAlgorithm, PrioritizedLevelReplayConfig


class TracedConfig(PrioritizedLevelReplayConfig):
    """Settings of TRACED."""

    algorithm: Literal["traced"] = "traced"  # type: ignore[assignment]  # the tag that tells the two apart in files
    """Tag of the algorithm in files."""
    co_learnability_weight: float = Field(default=1.0, ge=0, le=1e6)
    """β of the priority: regret + β · co-learnability. With 0, the draws are those of prioritised level replay."""
    num_followers: int = Field(default=16, ge=1, le=10**6)
    """Number of levels over which co-learnability averages: those handed out next after a level."""

    @classmethod
    def variants(cls) -> Mapping[str, Callable[..., Self]]:
        return {"traced": partial(cls, regret="positive_value_loss"), "traced-told": cls}


class TracedAlgorithm(PrioritizedLevelReplayAlgorithm):
    """Draws as prioritised level replay does, by the rank of regret + β · co-learnability."""

    def __init__(self, config: TracedConfig) -> None:
        super().__init__(config)
        self._weight, self._num_followers = config.co_learnability_weight, config.num_followers

    def priorities(self, columns: Columns) -> Array:
        return super().priorities(columns) + self._weight * co_learnability(columns, self._num_followers)


UNITS = 2**20
"""Number of parts of a gain of 1 in which `co_learnability` counts."""


def co_learnability(columns: Columns, num_followers: int) -> Array:
    """Returns how much other tasks gained after each task's last hand-out, in [-1, 1], shape (capacity,).

    The gain of a task is its last score minus its slow average. Co-learnability is the sum of the gains of the next k
    tasks in the order of last hand-outs, divided by k. Fewer followers, as of the newest tasks, are also divided by k.
    A task without results has co-learnability 0.

    Args:
        columns: Columns of the pool.
        num_followers: k, at least 1.
    """
    is_known = columns["is_active"] & (columns["num_completions"] > 0)
    xp = is_known.__array_namespace__()
    capacity = is_known.shape[0]
    # Tasks without results come last, and gain nothing.
    last_handouts = xp.where(is_known, columns["last_scheduled"], 0)
    order = stable_order(xp.where(is_known, last_handouts, xp.max(last_handouts) + 1))
    gains = xp.where(is_known, columns["last_score"] - columns["slow_ema"], 0.0)
    # Differences of running sums are exact in whole numbers, so that equal followers give equal priorities.
    sums = xp.cumulative_sum(xp.astype(xp.round(xp.take(gains, order) * UNITS), xp.int64))
    last_followers = xp.clip(xp.arange(capacity) + num_followers, None, capacity - 1)
    ordered = xp.astype(xp.take(sums, last_followers) - sums, xp.float64) * (1.0 / (UNITS * num_followers))
    return xp.where(is_known, in_place(ordered, order), 0.0)
