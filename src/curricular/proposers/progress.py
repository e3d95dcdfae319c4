"""New tasks where the axes show progress: chosen by what the tasks in the pool that are like them score."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..algorithms.noise_aware import NoiseAwareAlgorithm, NoiseAwareConfig
from ..generators import TaskGenerator
from ..scorers import Array, Columns
from ..task import Params
from .protocol import FreshProposer, NewTasks, Proposer, part_fresh


class ProgressProposer:
    """Of the new tasks, `share` is chosen among `num_candidates` for each place, in proportion to what is expected.

    `expected_scores` says it: (columns of the pool, params of the candidates) -> scores ≥ 0, shape (m,).
    """

    num_candidates = 8

    def __init__(self, expected_scores: Callable[[Columns, Params], Array], share: float) -> None:
        self._expected_scores = expected_scores
        self._share = share

    def propose(self, columns: Columns, candidates: NewTasks, n: int, rng: np.random.Generator) -> NewTasks:
        fresh, others = part_fresh(candidates, n, 1.0 - self._share, rng)
        scores = np.asarray(self._expected_scores(columns, candidates.params[others]), np.float64)
        chosen = others[draw_distinct(scores, n - len(fresh), rng)]
        return candidates.take(np.concatenate([fresh, chosen]))


def by_progress(config: NoiseAwareConfig, generator: TaskGenerator[Any]) -> Proposer:
    """What `config` calls for: without axes, there is nothing to go by."""
    if config.proposal_share == 0.0 or not generator.axes:
        return FreshProposer()
    return ProgressProposer(NoiseAwareAlgorithm(config).expected_scores, config.proposal_share)


def draw_distinct(weights: NDArray[np.float64], n: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """`n` distinct indices drawn in proportion to `weights` ≥ 0, shape (m,), m ≥ n; those of weight 0 only at last.

    Source: Efraimidis and Spirakis 2006, with Gumbel noise on the logarithms.
    """
    is_open = weights > 0.0
    keys = np.where(is_open, np.log(np.where(is_open, weights, 1.0)), -np.inf) + rng.gumbel(size=len(weights))
    return np.argsort(-keys, kind="stable")[:n]
