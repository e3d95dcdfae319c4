"""EXP3.S over labels: a bandit that weighs each reward by how likely its label was, and gives no label up for good.

Sources: Auer et al. 2002, *The nonstochastic multiarmed bandit problem*, SIAM Journal on Computing 32, section 8;
Graves et al. 2017, *Automated curriculum learning for neural networks*, arXiv 1704.03003, section 2.
"""

import math
from typing import Literal

from pydantic import Field

from ..config import CurriculumConfig
from ..samplers import mix, proportional
from ..scorers import Array, Columns, evictable, group_sums
from ..table import MAX_LABELS

MAX_STEP = 4.0
"""The logarithm of a label's weight changes by so much in one round, at the most."""


class Exp3SConfig(CurriculumConfig):
    """Settings of EXP3.S over labels."""

    algorithm: Literal["exp3s"] = "exp3s"
    reward: Literal["told", "progress"] = "told"
    """What a label earns: the mean regret told, for instance a gain in loss, negative ones included; or by how much the
    mean score of the round is above the average of the label's tasks."""
    reward_range: float = Field(default=1.0, gt=0)
    """A mean reward of so much or more counts as 1, one of minus so much or less as -1."""
    learning_rate: float = Field(default=0.03, gt=0)
    """η: how fast weights follow rewards, per result."""
    share_rate: float = Field(default=3e-4, gt=0, lt=1)
    """α: the share of all weight that each result spreads evenly over the labels."""
    exploration: float = Field(default=0.05, ge=0, lt=1)
    """ε: share of the draws that is even over the labels."""

    @property
    def needs_regrets(self) -> bool:
        return self.reward == "told"


class Exp3SAlgorithm:
    """p = ((1 − ε) w + ε / labels) / tasks of the label, with weights w that each round of results moves on.

    A round lasts from one refresh to the next. The weights are kept nowhere but in the distribution in use, of which
    `columns` have the share of each label: so this is a pure function, and goes on from a checkpoint as if nothing was.
    """

    def __init__(self, config: Exp3SConfig) -> None:
        self.config = config

    def scores(self, columns: Columns) -> Array:
        weights, _, labels = self._weights(columns)
        return _by_task(weights, labels)

    def probabilities(self, columns: Columns) -> Array:
        weights, num_tasks, labels = self._weights(columns)
        xp = weights.__array_namespace__()
        is_there = num_tasks > 0.0
        chances = mix(weights, proportional(xp.astype(is_there, xp.float64), is_there), self.config.exploration)
        return _by_task(chances / xp.clip(num_tasks, 1.0, None), labels)

    def evictable(self, columns: Columns) -> Array:
        return evictable(self.scores(columns), columns, self.config)

    def _weights(self, columns: Columns) -> tuple[Array, Array, Array]:
        """Of each label its weight after the round, sum 1, and its number of active tasks, shape (MAX_LABELS,) each.

        And the label of each task, shape (capacity,), MAX_LABELS where inactive.
        """
        config, active = self.config, columns["is_active"]
        xp = active.__array_namespace__()
        labels = xp.where(active, columns["label_index"], MAX_LABELS)
        parts = []
        if config.reward == "progress":
            is_tried = active & (columns["num_completions"] > 0)
            parts = [is_tried, xp.where(is_tried, columns["slow_ema"], 0.0)]
        num_tasks, sums = group_sums(parts, labels, MAX_LABELS + 1)
        num_tasks, sums = num_tasks[:-1], [column[:-1] for column in sums]

        # The weights so far are the shares in use without the even part of ε.
        chances = columns["label_chance"]
        was_there, is_there = chances > 0.0, num_tasks > 0.0
        is_known = was_there & is_there
        is_known = is_known | (is_there & ~xp.any(is_known))
        num_before = xp.sum(xp.astype(was_there, xp.float64))
        weights = xp.clip(chances - config.exploration / xp.clip(num_before, 1.0, None), 0.0, None)

        # Σ r / p over the results of the round: a label's draws, fewer if it is unlikely, count for as much more.
        num_results = xp.astype(columns["label_num_recent"], xp.float64)
        total = columns["label_recent_regret" if config.reward == "told" else "label_recent_score"]
        rewards = total / xp.clip(num_results, 1.0, None)
        if config.reward == "progress":
            num_tried, total_average = sums
            rewards = rewards - total_average / xp.clip(num_tried, 1.0, None)
        rewards = xp.clip(rewards, -config.reward_range, config.reward_range) / config.reward_range
        steps = config.learning_rate * num_results * rewards / xp.where(was_there, chances, xp.inf)
        steps = steps * (MAX_STEP / xp.clip(xp.max(xp.abs(steps)), MAX_STEP, None))
        weights = proportional(weights * xp.exp(steps), is_known)

        # Each result spreads α of all weight. A label that was not there has an average weight.
        even = 1.0 / xp.sum(xp.astype(is_known, xp.float64))
        kept = xp.exp(xp.sum(num_results) * math.log1p(-config.share_rate))
        weights = xp.where(is_known, kept * weights + (1.0 - kept) * even, even)
        return proportional(weights, is_there), num_tasks, labels


def _by_task(values: Array, labels: Array) -> Array:
    """The value of each task's label, 0 where inactive; shape (capacity,)."""
    xp = values.__array_namespace__()
    return xp.take(xp.concat([values, xp.zeros(1)]), labels)
