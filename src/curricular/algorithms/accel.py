"""ACCEL: prioritised level replay whose new levels are, for a part, small changes of levels already met.

Source: Parker-Holder et al. 2022, *Evolving curricula with regret-based environment design*, arXiv 2203.01302; written
from the paper. What is drawn and what goes is as in prioritised level replay; new levels come from `MutationProposer`.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ..arrays import Columns
from ..generators import MutableTaskGenerator, TaskGenerator
from ..probabilities import cumulative, pick
from ..task import Params
from .prioritized_level_replay import PrioritizedLevelReplayAlgorithm, PrioritizedLevelReplayConfig
from .proposals import NewTasks, part_fresh

NUM_TRIED = 64
"""Fresh tasks on which a generator has to show that its `mutate` changes anything."""


class AccelConfig(PrioritizedLevelReplayConfig):
    """Settings of ACCEL. The generator has to be endless and has to have a `mutate`."""

    algorithm: Literal["accel"] = "accel"  # type: ignore[assignment]  # the tag that tells the two apart in files
    mutation_share: float = Field(default=0.8, ge=0, le=1)
    """Share of the new levels that are changes of levels met before; the rest is as the generator gives them."""
    num_contenders: int = Field(default=1, ge=1)
    """Levels drawn by replay for each change, of which the one of the highest success rate is changed. The paper
    changes easy levels of low regret, which is to say more than 1."""
    num_edits: int = Field(default=1, ge=1)
    """Steps from a level to the one made of it: calls of the generator's `mutate`."""
    min_presentations_for_eviction: int = Field(default=10, ge=1)
    """Completions that a level needs before it may go."""
    eviction_rate: float = Field(default=0.1, ge=0, le=1)
    """Levels replaced per result, at the most."""

    @classmethod
    def variants(cls) -> Mapping[str, Callable[..., Self]]:
        return {"accel": partial(cls, regret="max_monte_carlo"), "accel-told": cls}


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
        replayed = np.asarray(algorithm.probabilities(columns, algorithm.priorities(columns))) * algorithm.is_seen(
            columns
        )
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
