"""Noise-aware learning progress: draw the tasks that change by more than noise explains, each at its own time scale.

Source: ours. The time scale is chosen by the intersection of confidence intervals: Goldenshluger and Nemirovski 1997,
*On spatially adaptive estimation of nonparametric regression*, Mathematical Methods of Statistics 6(2).
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ..arrays import Array, Columns
from ..config import MAX_BASELINE
from ..generators import TaskGenerator
from ..params import Layout
from ..priorities import normalise
from ..probabilities import mix, proportional, uniform
from ..task import Params
from .floors import FlooredConfig, with_floors
from .proposals import FreshProposer, NewTasks, Proposer, part_fresh
from .protocol import Algorithm
from .sharing import expected_priorities, own_weight, share_evidence
from .slopes import chance_of_change, pair_weights, progress_slope

DOUBT = 10
"""The share of uniform draws is that of noise in the choice to this power: near 0 unless nearly all is noise."""

MAX_EVEN = 1.0 - 2.0**-20
"""Largest share of uniform draws that doubt leads to: below 1, so that priorities keep an order for eviction."""


class NoiseAwareConfig(FlooredConfig):
    """Settings of noise-aware learning progress. Start from `recommended()`: there is no time scale to set."""

    algorithm: Literal["noise_aware"] = "noise_aware"
    ema_timescale: float = Field(default=0.2, ge=1e-3, le=0.9)
    """Rate of the fastest of the averages to choose from: about 1 / rate results are remembered."""
    slow_timescale_factor: float = Field(default=1 / 256, ge=1e-3, le=0.9)
    """Rate of the slowest = this times `ema_timescale`."""
    theta: float = Field(default=0.1, gt=0, le=0.5)
    """θ of the reweighting R: below 0.5 it stretches small success rates; 0.5 is none."""
    interval_width: float = Field(default=1.5, ge=0)
    """Standard errors to either side of a slope that its interval covers. Wider ones choose longer time scales."""
    unsolved_weight: float = Field(default=0.02, ge=0, le=1)
    """What a task is credited with while its slope is not known well is multiplied by this as long as it was never
    solved: such tasks are left to the reserved shares, nearly."""
    sharing: float = Field(default=50.0, ge=0)
    """Completions at which a task's own results weigh as much as those of all tasks that share its values on the axes
    of the generator; 0: its own only."""
    proposal_share: float = Field(default=0.0, ge=0, le=1)
    """Share of the new tasks that is chosen by the progress of the tasks in the pool that share their values on the
    axes; the rest is as the generator gives them."""
    rand_task_rate: float = Field(default=0.05, ge=0, le=1)
    """Share of the draws that is uniform."""
    stale_task_share: float = Field(default=0.1, ge=0, le=1)
    """Share of the draws in proportion to the hand-outs since a task's last one: finds the never solved, notices the
    forgotten."""

    @classmethod
    def recommended(cls, *, num_active_tasks: int = 256, **overrides: Any) -> Self:
        """What to begin with, whatever the problem. Every field can be overridden.

        >>> NoiseAwareConfig.recommended(num_active_tasks=64).stale_task_share
        0.1
        """
        return cls(**{"num_active_tasks": num_active_tasks, **overrides})

    @classmethod
    def variants(cls) -> Mapping[str, Callable[..., Self]]:
        return {"noise-aware": cls.recommended, "noise-aware-unpooled": partial(cls.recommended, sharing=0.0)}


class NoiseAwareAlgorithm(Algorithm):
    """p ∝ chance that a task changes · max(|slope|, credit · min(error, typical slope)), beside the reserved shares.

    As far as what would be drawn is likely to be noise, draws are uniform.
    """

    def __init__(self, config: NoiseAwareConfig) -> None:
        self.config = config
        self._weights = pair_weights(config.rates)

    def priorities(self, columns: Columns) -> Array:
        own = self._judge(columns)
        active = columns["is_active"]
        chosen = proportional(self._shared(columns, own.priority), active)
        xp = chosen.__array_namespace__()
        # Of tasks never solved nothing is known: whether they are noise says nothing about the others.
        solved = chosen * own.solved
        total = xp.sum(solved)
        doubt = 1.0 - own.chance
        if self._shares(columns):
            doubt = doubt * own_weight(columns["num_completions"], self.config.sharing)
        noise_share = 1.0 - xp.sum(solved * (1.0 - doubt)) / xp.where(total > 0.0, total, 1.0)
        return mix(chosen, uniform(active), xp.clip(noise_share**DOUBT, None, MAX_EVEN))

    def expected_priorities(self, columns: Columns, params: Array, cells: Array) -> Array:
        """What the pool says of new tasks, at least one axis; ≥ 0, 1 is the mean; shape (m,).

        Args:
            columns: Of the pool.
            params: Of the new tasks, shape (m, num_params).
            cells: Of the new tasks, as in ``columns["cells"]``, shape (m, k).
        """
        return expected_priorities(self._own_priorities, columns, self.config.rates, params, cells)

    def probabilities(self, columns: Columns, priorities: Array) -> Array:
        return with_floors(priorities, columns, self.config)

    def _shared(self, columns: Columns, own: Array) -> Array:
        if not self._shares(columns):
            return own
        return share_evidence(own, self._own_priorities, columns, self.config.rates, self.config.sharing)

    def _shares(self, columns: Columns) -> bool:
        return self.config.sharing > 0.0 and columns["params"].shape[1] > 0

    def _own_priorities(self, columns: Columns) -> Array:
        return self._judge(columns).priority

    def _judge(self, columns: Columns) -> "Judgement":
        """What is to be thought of each task, or of each group of tasks, by itself."""
        config = self.config
        slope = progress_slope(columns, self._weights, config.interval_width, config.theta)
        xp = slope.value.__array_namespace__()
        active = xp.astype(columns["is_active"], xp.float64)
        is_solved = normalise(columns["slow_ema"], columns["random_baseline"], MAX_BASELINE) > 0.0
        solved = active * xp.astype(is_solved, xp.float64)
        known = solved * xp.astype(columns["num_completions"] >= 2, xp.float64)
        chance, typical = chance_of_change(slope, known)
        credit = config.unsolved_weight + (1.0 - config.unsolved_weight) * solved
        priority = active * chance * xp.maximum(xp.abs(slope.value), credit * xp.minimum(slope.error, typical))
        return Judgement(priority, chance, solved)


class Judgement(NamedTuple):
    """What noise-aware learning progress thinks of each task, shape (n,) each."""

    priority: Array
    """At least 0."""
    chance: Array
    """That the task changes, in (0, 1)."""
    solved: Array
    """1 for an active task that was ever solved, else 0."""


class ProgressProposer:
    """Of the new tasks, `share` is chosen among `num_candidates` for each place, in proportion to what is expected.

    Args:
        expected_priorities: Says it: (columns of the pool, params, cells of the candidates) -> scores ≥ 0, shape (m,).
        share: From 0 to 1.
        layout: Of the generator's params.
    """

    num_candidates = 8

    def __init__(
        self, expected_priorities: Callable[[Columns, Params, Array], Array], share: float, layout: Layout
    ) -> None:
        self._expected_priorities = expected_priorities
        self._share = share
        self._layout = layout

    def propose(self, columns: Columns, candidates: NewTasks, n: int, rng: np.random.Generator) -> NewTasks:
        fresh, others = part_fresh(candidates, n, 1.0 - self._share, rng)
        params = candidates.params[others]
        scores = np.asarray(self._expected_priorities(columns, params, self._layout.cells(params)), np.float64)
        chosen = others[draw_distinct(scores, n - len(fresh), rng)]
        return candidates.take(np.concatenate([fresh, chosen]))


def by_progress(config: NoiseAwareConfig, generator: TaskGenerator[Any]) -> Proposer:
    """What `config` calls for: without axes, there is nothing to go by."""
    if config.proposal_share == 0.0 or not generator.axes:
        return FreshProposer()
    expected = NoiseAwareAlgorithm(config).expected_priorities
    return ProgressProposer(expected, config.proposal_share, Layout(generator.axes))


def draw_distinct(weights: NDArray[np.float64], n: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """`n` distinct indices drawn in proportion to `weights` ≥ 0, shape (m,), m ≥ n; those of weight 0 only at last.

    Source: Efraimidis and Spirakis 2006, with Gumbel noise on the logarithms.
    """
    is_open = weights > 0.0
    keys = np.where(is_open, np.log(np.where(is_open, weights, 1.0)), -np.inf) + rng.gumbel(size=len(weights))
    return np.argsort(-keys, kind="stable")[:n]
