"""EXP3.S over labels: a bandit that divides rewards by the probability of their label, and never gives a label up.

Sources: Auer et al. 2002, *The nonstochastic multiarmed bandit problem*, SIAM Journal on Computing 32, section 8;
Graves et al. 2017, *Automated curriculum learning for neural networks*, arXiv 1704.03003, section 2.
"""

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Literal, Self

from pydantic import Field

from ..arrays import Array, Columns, count, group_sizes, group_sums
from ..config import CurriculumConfig
from ..probabilities import mix, proportional
from ..table import MAX_LABELS
from .protocol import Algorithm


class Exp3SConfig(CurriculumConfig):
    """Settings of EXP3.S over labels."""

    algorithm: Literal["exp3s"] = "exp3s"
    """Tag of the algorithm in files."""
    reward: Literal["told", "progress"] = "told"
    """Reward of a label in a round: the mean regret told, for example a gain in loss, which may be negative; or the
    mean score of the round minus the average of the label's tasks."""
    reward_range: float = Field(default=1.0, gt=0)
    """Largest absolute reward: rewards are clipped to ± this range and scaled to [-1, 1]."""
    learning_rate: float = Field(default=0.03, gt=0, le=1e100)
    """η, the rate per result at which weights follow rewards."""
    share_rate: float = Field(default=3e-4, gt=0, lt=1)
    """α, the share of all weight that each result spreads evenly over the labels. Larger values forget faster."""
    exploration_share: float = Field(default=0.05, ge=0, lt=1)
    """ε, the share of draws that is uniform over the labels."""

    @property
    def needs_regrets(self) -> bool:
        return self.reward == "told"

    @classmethod
    def variants(cls) -> Mapping[str, Callable[..., Self]]:
        return {"exp3s": partial(cls, reward="progress"), "exp3s-told": cls}


MAX_STEP = 4.0
"""Maximum change of the logarithm of a label's weight in one round."""


class Exp3SAlgorithm(Algorithm):
    """Draws by p = ((1 − ε) w + ε / labels) / tasks of the label, where each round of results updates the weights w.

    A round lasts from one refresh to the next. The weights before it are the priorities of the labels, which `columns`
    hold. So the algorithm is a pure function, and resumes from a checkpoint exactly. Limits on unplayable tasks and
    modifiers change the draws, and leave the weights alone.
    """

    chooses_labels = True

    def __init__(self, config: Exp3SConfig) -> None:
        self.config = config
        """Settings of the algorithm."""

    def priorities(self, columns: Columns) -> Array:
        """Returns the weight of each task's label after the round, shape (capacity,)."""
        labels = _labels(columns)
        return _by_task(self._weights(columns, labels), labels)

    def probabilities(self, columns: Columns, priorities: Array) -> Array:
        active, labels = columns["is_active"], _labels(columns)
        xp = labels.__array_namespace__()
        num_tasks = xp.astype(group_sizes(labels, MAX_LABELS + 1)[:-1], xp.float64)
        num_labels = count(num_tasks > 0.0)
        of_label = mix(priorities, 1.0 / num_labels, self.config.exploration_share)
        return xp.astype(active, xp.float64) * of_label / _by_task(xp.clip(num_tasks, 1.0, None), labels, beyond=1.0)

    def _weights(self, columns: Columns, labels: Array) -> Array:
        """Returns the weight of each label after the round, shape (MAX_LABELS,), sum 1.

        Args:
            columns: Columns of the pool.
            labels: Result of `_labels`, shape (capacity,).
        """
        config, active = self.config, columns["is_active"]
        xp = active.__array_namespace__()
        parts = []
        if config.reward == "progress":
            is_tried = active & (columns["num_completions"] > 0)
            parts = [is_tried, xp.where(is_tried, columns["slow_ema"], 0.0)]
        num_tasks = group_sizes(labels, MAX_LABELS + 1)[:-1]
        sums = [column[:-1] for column in group_sums(parts, labels, MAX_LABELS + 1)]

        # A label that had no tasks before has no weight yet. Another algorithm may have left priorities below 0.
        weights, has_tasks = xp.clip(columns["label_priority"], 0.0, None), num_tasks > 0
        is_known = has_tasks & (weights > 0.0)
        is_known = is_known | (has_tasks & ~xp.any(is_known))

        # Σ r / p over the results of the round: an unlikely label has fewer results, and each counts for more.
        num_results = xp.astype(columns["label_num_recent"], xp.float64)
        total = columns["label_recent_regret" if config.reward == "told" else "label_recent_score"]
        rewards = total / xp.clip(num_results, 1.0, None)
        if config.reward == "progress":
            num_tried, total_average = sums
            rewards = rewards - total_average / xp.clip(num_tried, 1.0, None)
        rewards = xp.clip(rewards, -config.reward_range, config.reward_range) / config.reward_range
        chances = columns["label_chance"]
        steps = config.learning_rate * num_results * rewards / xp.where(chances > 0.0, chances, xp.inf)
        steps = xp.clip(steps, -1e300, 1e300)  # a label may be as unlikely as 1e-320
        steps = steps * (MAX_STEP / xp.clip(xp.max(xp.abs(steps)), MAX_STEP, None))
        weights = proportional(weights * xp.exp(steps), is_known)

        # Each result spreads α of all weight evenly. A label that had no tasks before gets an average weight.
        even = 1.0 / xp.sum(xp.astype(is_known, xp.float64))
        kept = xp.exp(xp.sum(num_results) * math.log1p(-config.share_rate))
        weights = xp.where(is_known, kept * weights + (1.0 - kept) * even, even)
        return proportional(weights, has_tasks)


def _labels(columns: Columns) -> Array:
    """Returns the label index of each task, shape (capacity,); `MAX_LABELS` where inactive."""
    active = columns["is_active"]
    return active.__array_namespace__().where(active, columns["label_index"], MAX_LABELS)


def _by_task(values: Array, labels: Array, beyond: float = 0.0) -> Array:
    """Returns the value of each task's label, shape (capacity,); `beyond` where inactive."""
    xp = values.__array_namespace__()
    return xp.take(xp.concat([values, xp.full(1, beyond)]), labels)
