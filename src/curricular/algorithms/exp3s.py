"""EXP3.S over labels: a bandit that weighs each reward by how likely its label was, and gives no label up for good.

Sources: Auer et al. 2002, *The nonstochastic multiarmed bandit problem*, SIAM Journal on Computing 32, section 8;
Graves et al. 2017, *Automated curriculum learning for neural networks*, arXiv 1704.03003, section 2.
"""

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Literal, Self

from pydantic import Field

from ..arrays import Array, Columns, count, group_sums
from ..config import CurriculumConfig
from ..probabilities import mix, proportional
from ..table import MAX_LABELS
from .protocol import Algorithm

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
    exploration_share: float = Field(default=0.05, ge=0, lt=1)
    """ε: share of the draws that is even over the labels."""

    @property
    def needs_regrets(self) -> bool:
        return self.reward == "told"

    @classmethod
    def variants(cls) -> Mapping[str, Callable[..., Self]]:
        return {"exp3s": partial(cls, reward="progress"), "exp3s-told": cls}


class Exp3SAlgorithm(Algorithm):
    """p = ((1 − ε) w + ε / labels) / tasks of the label, with weights w that each round of results moves on.

    A round lasts from one refresh to the next. The weights are kept nowhere but in the distribution in use, of which
    `columns` have the share of each label: so this is a pure function, and goes on from a checkpoint as if nothing was.
    """

    chooses_labels = True

    def __init__(self, config: Exp3SConfig) -> None:
        self.config = config

    def priorities(self, columns: Columns) -> Array:
        """The weight of each task's label after the round."""
        labels = _labels(columns)
        return _by_task(self._weights(columns, labels), labels)

    def probabilities(self, columns: Columns, priorities: Array) -> Array:
        active, labels = columns["is_active"], _labels(columns)
        xp = labels.__array_namespace__()
        num_tasks, _ = group_sums([], labels, MAX_LABELS + 1)
        num_tasks = num_tasks[:-1]
        num_labels = count(num_tasks > 0.0)
        chances = mix(priorities, 1.0 / num_labels, self.config.exploration_share)
        return xp.astype(active, xp.float64) * chances / _by_task(xp.clip(num_tasks, 1.0, None), labels, beyond=1.0)

    def _weights(self, columns: Columns, labels: Array) -> Array:
        """The weight of each label after the round, sum 1, shape (MAX_LABELS,); `labels` as from `_labels`."""
        config, active = self.config, columns["is_active"]
        xp = active.__array_namespace__()
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
        weights = xp.clip(chances - config.exploration_share / xp.clip(num_before, 1.0, None), 0.0, None)

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
        return proportional(weights, is_there)


def _labels(columns: Columns) -> Array:
    """The label of each task, shape (capacity,), `MAX_LABELS` where inactive."""
    active = columns["is_active"]
    return active.__array_namespace__().where(active, columns["label_index"], MAX_LABELS)


def _by_task(values: Array, labels: Array, beyond: float = 0.0) -> Array:
    """The value of each task's label, `beyond` where inactive; shape (capacity,)."""
    xp = values.__array_namespace__()
    return xp.take(xp.concat([values, xp.full(1, beyond)]), labels)
