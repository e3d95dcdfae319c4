"""New tasks that are small changes of tasks met before, as ACCEL makes them.

Source: Parker-Holder et al. 2022, arXiv 2203.01302, algorithm 1; written from the paper.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..algorithms.accel import AccelConfig
from ..algorithms.prioritized_level_replay import PrioritizedLevelReplayAlgorithm
from ..generators import MutableTaskGenerator, TaskGenerator
from ..samplers import cumulative, pick
from ..scorers import Columns
from ..task import Params
from .protocol import NewTasks, part_fresh

NUM_TRIED = 64
"""Fresh tasks on which a generator has to show that its `mutate` changes anything."""


class MutationProposer:
    """Of the new tasks, `mutation_share` are changes of tasks that have a regret; they keep the seeds of their parents.

    Parents are drawn as tasks are for replay; of every `num_contenders`, the one of the highest success rate is taken.
    Where nothing has a regret yet, or a task cannot be changed, a fresh one comes in its place.
    """

    num_candidates = 1

    def __init__(self, config: AccelConfig, generator: MutableTaskGenerator[Any]) -> None:
        self._config = config
        self._algorithm = PrioritizedLevelReplayAlgorithm(config)
        self._generator = generator

    def propose(self, columns: Columns, candidates: NewTasks, n: int, rng: np.random.Generator) -> NewTasks:
        _, places = part_fresh(candidates, n, 1.0 - self._config.mutation_share, rng)
        if not (len(places) and np.any(self._algorithm.is_seen(columns))):
            return candidates
        parents = self._parents(columns, len(places), rng)
        seeds, originals = columns["seed"][parents], columns["params"][parents]
        edited = originals
        for _ in range(self._config.num_edits):
            edited = _mutated(self._generator, seeds, edited, rng)
        is_new = (edited != originals).any(axis=1)
        proposed = NewTasks(candidates.seeds.copy(), candidates.params.copy())
        proposed.seeds[places[is_new]] = seeds[is_new]
        proposed.params[places[is_new]] = edited[is_new]
        return proposed

    def _parents(self, columns: Columns, n: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """The slots of the tasks to change, shape (n,)."""
        algorithm = self._algorithm
        replayed = np.asarray(algorithm.probabilities(columns)) * algorithm.is_seen(columns)
        contenders = pick(cumulative(replayed), rng.random((n, self._config.num_contenders)))
        easiest = np.asarray(columns["success_ema"])[contenders].argmax(axis=1, keepdims=True)
        return np.take_along_axis(contenders, easiest, axis=1)[:, 0]


def by_mutation(config: AccelConfig, generator: TaskGenerator[Any]) -> MutationProposer:
    """What `config` calls for.

    Raises `ValueError` if `generator` is finite, or if its `mutate` changes nothing, `TypeError` if it has none.
    """
    kind = type(generator).__name__
    if generator.num_tasks is not None:
        raise ValueError(
            f"generator: expected an endless one for {type(config).__name__}, got a {kind} of {generator.num_tasks} "
            f"tasks; give it a Span, or use PrioritizedLevelReplayConfig"
        )
    if not isinstance(generator, MutableTaskGenerator):
        raise TypeError(
            f"generator: expected one with a mutate(seeds, params, rng) for {type(config).__name__}, got {kind}; write "
            f"the method, or use PrioritizedLevelReplayConfig"
        )
    rng = np.random.default_rng(0)
    seeds = rng.integers(2**63 - 1, size=NUM_TRIED)
    params = np.asarray(generator.sample(seeds, rng), np.float64)
    if np.array_equal(_mutated(generator, seeds, params, rng), params):
        raise ValueError(
            f"generator: expected one whose mutate changes tasks for {type(config).__name__}, got a {kind} whose "
            f"mutate changes none of {NUM_TRIED}; merge generators that can mutate, or use PrioritizedLevelReplayConfig"
        )
    return MutationProposer(config, generator)


def _mutated(
    generator: MutableTaskGenerator[Any], seeds: NDArray[np.int64], params: Params, rng: np.random.Generator
) -> Params:
    mutated: Params = np.asarray(generator.mutate(seeds, params.copy(), rng), np.float64)
    if mutated.shape != params.shape or not np.isfinite(mutated).all():
        found = f"shape {mutated.shape}" if mutated.shape != params.shape else "some that are not"
        raise ValueError(
            f"generator.mutate: expected finite params of shape {params.shape}, got {found}; return one row per seed"
        )
    return mutated
