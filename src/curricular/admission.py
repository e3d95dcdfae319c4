"""New tasks into slots: what the generator samples and the proposer chooses, checked and admitted."""

import time
from typing import Generic, cast

import numpy as np
from numpy.typing import NDArray

from .algorithms.proposals import NewTasks, Proposer
from .config import CurriculumConfig
from .generators import TaskGenerator
from .streams import permuted, stream_key
from .table import Estimator, Patch, Table, admit, columns_of
from .task import ConfigT, Params

_GENERATION, _ORDER = 1, 2
"""Streams of random numbers, independent of each other and of the draws."""


class Admission(Generic[ConfigT]):
    """Makes new tasks for a table, those that `proposer` chooses: a function of the seed and the table alone."""

    def __init__(
        self, generator: TaskGenerator[ConfigT], proposer: Proposer, config: CurriculumConfig, estimator: Estimator
    ) -> None:
        num_tasks = generator.num_tasks
        if num_tasks is not None and config.num_active_tasks > num_tasks:
            raise ValueError(
                f"num_active_tasks: expected at most the {num_tasks} distinct tasks of the generator, got "
                f"{config.num_active_tasks}; set num_active_tasks={num_tasks}"
            )
        self._generator = generator
        self._proposer = proposer
        self._seed = config.seed
        self._estimator = estimator

    def limit(self, capacity: int) -> int | None:
        """How many tasks a pool of `capacity` can swap at a time, each in it at most once; None: any number."""
        return None if self._generator.num_tasks is None else self._generator.num_tasks - capacity

    def patch(self, table: Table, slots: NDArray[np.int64]) -> Patch:
        """New tasks in `slots`, shape (k,), in place of those that are there.

        Raises `ValueError` if the generator's params have another shape than its axes, or are not on them, or if the
        proposer's tasks are not as its protocol has them.
        """
        rng = np.random.default_rng((self._seed, _GENERATION, table.counters.num_created))
        candidates = self._candidates(table, len(slots) * self._proposer.num_candidates, rng)
        seeds, params = self._proposer.propose(columns_of(table), candidates, len(slots), rng)
        self._check_seeds(seeds, candidates.seeds, len(slots))
        self._check_params("proposer.propose", params, len(slots))
        names = [self._generator.label_of(seed, row) for seed, row in zip(seeds.tolist(), params, strict=True)]
        return admit(table, slots, seeds, params, names, time.time(), self._estimator)

    def _candidates(self, table: Table, n: int, rng: np.random.Generator) -> NewTasks:
        """`n` fresh tasks; fewer if a finite generator has no more that are not in the pool."""
        is_endless = self._generator.num_tasks is None
        seeds = rng.integers(2**63 - 1, size=n) if is_endless else self._unused_seeds(table, n)
        params = np.asarray(self._generator.sample(seeds, rng), np.float64)
        self._check_params("generator.sample", params, len(seeds))
        return NewTasks(seeds, params)

    def _check_params(self, source: str, params: Params, n: int) -> None:
        shape = (n, len(self._generator.axes))
        if params.shape != shape:
            raise ValueError(
                f"{source}: expected params of shape {shape}, one column per axis, got {params.shape}; "
                f"return one row per seed"
            )
        if not np.isfinite(params).all():
            bad = params[~np.isfinite(params)][0]
            raise ValueError(f"{source}: expected finite params, got {bad}; use 0 where an axis does not apply")
        for axis, values in zip(self._generator.axes, params.T, strict=True):
            is_off = ~axis.contains(values) & ((values != 0.0) | (not axis.where))
            if is_off.any():
                raise ValueError(
                    f"{source}: expected params on the axis {axis.name!r}, {axis.range_text}, got {values[is_off][0]}; "
                    f"keep them there"
                )

    def _check_seeds(self, seeds: NDArray[np.int64], offered: NDArray[np.int64], n: int) -> None:
        if seeds.shape != (n,) or seeds.dtype.kind != "i":
            raise ValueError(
                f"proposer.propose: expected seeds of shape {(n,)}, whole numbers, got {seeds.dtype} of shape "
                f"{seeds.shape}; return as many tasks as are wanted"
            )
        if (seeds < 0).any():
            raise ValueError(
                f"proposer.propose: expected seeds from 0, got {seeds.min()}; keep those of candidates or of tasks in "
                f"the pool"
            )
        if self._generator.num_tasks is not None:
            wrong = seeds[~np.isin(seeds, offered)]
            if len(wrong) or len(np.unique(seeds)) < n:
                found = f"seed {wrong[0]}" if len(wrong) else f"{n - len(np.unique(seeds))} of them twice"
                raise ValueError(
                    f"proposer.propose: expected {n} of the candidates, each once, as the generator is finite, got "
                    f"{found}; choose among the candidates"
                )

    def _unused_seeds(self, table: Table, n: int) -> NDArray[np.int64]:
        """The seeds of `n` tasks of a finite generator that are not in the pool: those whose turn it is."""
        num_tasks = cast(int, self._generator.num_tasks)
        key = stream_key(self._seed, _ORDER)
        active = table.rows["seed"][table.rows["is_active"]]
        first, found = table.counters.num_created, np.empty(0, np.int64)
        for turn in range(first, first + num_tasks, 2 * n):
            turns = np.arange(turn, min(turn + 2 * n, first + num_tasks)) % num_tasks
            seeds = permuted(key, turns, num_tasks)
            found = np.concatenate([found, seeds[~np.isin(seeds, active)]])
            if len(found) >= n:
                break
        return found[:n]
