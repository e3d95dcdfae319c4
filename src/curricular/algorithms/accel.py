"""ACCEL: prioritised level replay that makes most of its new levels by small changes of earlier ones.

Source: Parker-Holder et al. 2022, *Evolving curricula with regret-based environment design*, arXiv 2203.01302; written
from the paper. Draws and evictions are those of prioritised level replay; `MutationProposer` makes the new levels.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ..arrays import Columns
from ..generators import MutableTaskGenerator, TaskGenerator
from ..generators.entry import sampled
from ..probabilities import cumulative, pick
from ..task import Params
from .prioritized_level_replay import PrioritizedLevelReplayAlgorithm, PrioritizedLevelReplayConfig
from .proposals import NewTasks, part_fresh


class AccelConfig(PrioritizedLevelReplayConfig):
    """Settings of ACCEL. The generator must be endless and have a method `mutate`."""

    algorithm: Literal["accel"] = "accel"  # type: ignore[assignment]  # the tag that tells the two apart in files
    """Tag of the algorithm in files."""
    mutation_share: float = Field(default=0.8, ge=0, le=1)
    """Share of the new levels that are changes of earlier levels; the rest is as the generator samples it."""
    num_contenders: int = Field(default=1, ge=1, le=1000)
    """Number of levels drawn by replay for each new level; the one with the highest success rate is changed. The paper
    changes easy levels with low regret, which corresponds to more than 1."""
    num_edits: int = Field(default=1, ge=1, le=1000)
    """Number of calls of the generator's `mutate` from a level to its variant. More calls make larger changes."""
    min_presentations_for_eviction: int = Field(default=10, ge=1)
    """Number of completions that a level needs before it can be evicted."""
    eviction_rate: float = Field(default=0.1, ge=0, le=1)
    """Maximum number of levels replaced per result or cancellation."""

    @classmethod
    def variants(cls) -> Mapping[str, Callable[..., Self]]:
        return {"accel": partial(cls, regret="max_monte_carlo"), "accel-told": cls}


NUM_TRIED = 64
"""Number of fresh tasks on which `by_mutation` tries the generator's `mutate`."""


class MutationProposer:
    """Proposes variants of tasks that have a regret, with the seeds of their parents, and a share of fresh tasks.

    Parents are drawn as tasks are for replay; of every `num_contenders`, the one with the highest success rate is
    changed. If no task has a regret yet, or a parent cannot be changed, a fresh task is proposed instead.

    Args:
        config: Gives the shares and numbers, and the probabilities of replay.
        generator: Its `mutate` changes the parents.
    """

    num_candidates = 1
    """Number of candidates per proposed task."""

    def __init__(self, config: AccelConfig, generator: MutableTaskGenerator[Any]) -> None:
        self._config = config
        self._algorithm = PrioritizedLevelReplayAlgorithm(config)
        self._generator = generator

    def propose(self, columns: Columns, candidates: NewTasks, n: int, rng: np.random.Generator) -> NewTasks:
        _, indices = part_fresh(candidates, n, 1.0 - self._config.mutation_share, rng)
        if not (len(indices) and np.any(self._algorithm.is_seen(columns))):
            return candidates
        parents = self._parents(columns, len(indices), rng)
        seeds, originals = columns["seed"][parents], columns["params"][parents]
        edited = originals
        for _ in range(self._config.num_edits):
            edited = _mutated(self._generator, seeds, edited, rng)
        is_new = (edited != originals).any(axis=1)
        proposed = NewTasks(candidates.seeds.copy(), candidates.params.copy())
        proposed.seeds[indices[is_new]] = seeds[is_new]
        proposed.params[indices[is_new]] = edited[is_new]
        return proposed

    def _parents(self, columns: Columns, n: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """Returns the slots of `n` tasks to change, shape (n,)."""
        algorithm = self._algorithm
        replayed = np.asarray(algorithm.replay(columns, algorithm.priorities(columns)))
        contenders = pick(cumulative(replayed), rng.random((n, self._config.num_contenders)))
        easiest = np.asarray(columns["success_ema"])[contenders].argmax(axis=1, keepdims=True)
        return np.take_along_axis(contenders, easiest, axis=1)[:, 0]


def by_mutation(config: AccelConfig, generator: TaskGenerator[Any]) -> MutationProposer:
    """Returns the proposer of `config`, after checking that `generator` can mutate tasks.

    Raises:
        ValueError: If `generator` is finite, or if its `mutate` changes no task.
        TypeError: If `generator` has no `mutate`.
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
    params = sampled(generator, seeds, rng)
    if np.array_equal(_mutated(generator, seeds, params, rng), params):
        raise ValueError(
            f"generator: expected one whose mutate changes tasks for {type(config).__name__}, got a {kind} whose "
            f"mutate changes none of {NUM_TRIED}; merge generators that can mutate, or use PrioritizedLevelReplayConfig"
        )
    return MutationProposer(config, generator)


def _mutated(
    generator: MutableTaskGenerator[Any], seeds: NDArray[np.int64], params: Params, rng: np.random.Generator
) -> Params:
    """Returns the params that the generator's `mutate` makes of `params`, after checking them."""
    mutated: Params = np.asarray(generator.mutate(seeds, params.copy(), rng), np.float64)
    if mutated.shape != params.shape or not np.isfinite(mutated).all():
        found = f"shape {mutated.shape}" if mutated.shape != params.shape else "some that are not finite"
        raise ValueError(
            f"generator.mutate: expected finite params of shape {params.shape}, got {found}; return one row per seed"
        )
    return mutated
