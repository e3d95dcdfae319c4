"""Admission of new tasks: the generator samples them, the proposer chooses among them, both are checked."""

import logging
import time
from collections.abc import Callable, Sequence
from typing import Any, Generic

import numpy as np
from numpy.typing import NDArray

from .algorithms.proposals import NewTasks, Proposer
from .arrays import Columns
from .config import CurriculumConfig
from .generators import SequenceTaskGenerator, TaskGenerator, TaskGeneratorSet, task_labels
from .generators.entry import Entries, Turn, next_entries, sampled
from .params import Layout
from .streams import Purpose
from .table import MAX_LABELS, OTHER, Estimator, Patch, Table, admit, columns_of
from .task import ConfigT, Params

_log = logging.getLogger(__name__)


class Admission(Generic[ConfigT]):
    """Makes new tasks for a table, as a function of the seed and the table alone.

    Args:
        generator: Samples the candidates and labels the tasks.
        proposer: Chooses the new tasks among the candidates, or makes them from these.
        config: Gives the seed and the size of the pool.
        estimator: Settings of the averages.

    Raises:
        TypeError: If `proposer` is none.
        ValueError: If the pool is larger than a finite generator, or smaller than `config.num_first_tasks`.
    """

    def __init__(
        self, generator: TaskGenerator[ConfigT], proposer: Proposer, config: CurriculumConfig, estimator: Estimator
    ) -> None:
        _check_proposer(proposer)
        num_tasks = generator.num_tasks
        if num_tasks is not None and config.pool_size > num_tasks:
            raise ValueError(
                f"num_active_tasks: expected at most the {num_tasks} distinct tasks of the generator, got "
                f"{config.pool_size}; set num_active_tasks={num_tasks}"
            )
        if config.num_first_tasks is not None:
            _check_growing(config.num_first_tasks, config.pool_size, num_tasks)
        self._num_first = config.num_first_tasks
        self._generator = generator
        self._layout = Layout(generator.axes)
        self._proposer = proposer
        self._seed = config.seed
        self._estimator = estimator
        self.clock: Callable[[], float] = time.time
        """Returns the time at which tasks are created, in seconds since 1970."""
        self._has_warned = False

    def limit(self, capacity: int) -> int | None:
        """Returns how many tasks a pool of `capacity` can replace at once without duplicates; None: any number."""
        if self._num_first is not None:
            return 0
        return None if self._generator.num_tasks is None else self._generator.num_tasks - capacity

    def columns(self, table: Table) -> Columns:
        """What algorithm and proposer see of a table of the generator's tasks."""
        return columns_of(table, self._layout)

    def without_last_of_member(
        self, table: Table, slots: NDArray[np.int64], failing: NDArray[np.bool_]
    ) -> NDArray[np.int64]:
        """Returns `slots` without those whose eviction would leave a member of a merged set without a task.

        That is the last one of a member that has no other task. A member that has others gets one of these at once.

        Args:
            table: The pool.
            slots: Distinct slots to evict, the first to go first, shape (k,).
            failing: Which tasks are unplayable, shape (capacity,): these may go all the same.
        """
        generator = self._generator
        if type(generator) is not TaskGeneratorSet or not 0 < len(generator.children) <= len(table.rows):
            return slots  # members that have no place in the pool are to get their turn
        members = table.rows["params"][:, 0].astype(np.int64)
        num_left = np.bincount(members[table.rows["is_active"]], minlength=len(generator.children))
        is_whole = [child.num_tasks == count for child, count in zip(generator.children, num_left, strict=True)]
        kept = []
        for slot in slots.tolist():
            if num_left[members[slot]] > 1 or not is_whole[members[slot]] or failing[slot]:
                num_left[members[slot]] -= 1
                kept.append(slot)
        return np.array(kept, np.int64)

    def fill(self, table: Table) -> Patch | None:
        """Returns the patch that fills empty slots; None if none is to be filled.

        Where the user adds the tasks, only a new pool gets tasks: `config.num_first_tasks` of them.
        """
        if self._num_first is None:
            (empty,) = np.nonzero(~table.rows["is_active"])
            return self.patch(table, empty) if len(empty) else None
        first = np.arange(self._num_first)
        return None if table.counters.num_created else self.enter(table, first, first)

    def enter(self, table: Table, slots: NDArray[np.int64], seeds: NDArray[np.int64]) -> Patch:
        """Returns the patch that puts tasks of a finite generator with `seeds` into distinct `slots`, shape (k,)."""
        rng = np.random.default_rng((self._seed, Purpose.GENERATION, table.counters.num_created))
        params = sampled(self._generator, seeds, rng)
        self._check_params("generator.sample", params, len(seeds))
        return self._admitted(table, slots, NewTasks(seeds, params))

    def patch(self, table: Table, slots: NDArray[np.int64]) -> Patch:
        """Returns the patch that puts new tasks into the distinct `slots`, shape (k,), and evicts the tasks in them.

        Raises:
            TypeError: If the proposer returns no `NewTasks`.
            ValueError: If params have the wrong shape or are not on the generator's axes, or if the proposer breaks
                its protocol.
        """
        rng = np.random.default_rng((self._seed, Purpose.GENERATION, table.counters.num_created))
        candidates = self._candidates(table, slots, rng)
        proposed = self._proposer.propose(self.columns(table), candidates, len(slots), rng)
        if not isinstance(proposed, NewTasks):
            raise TypeError(
                f"proposer.propose: expected NewTasks, got {type(proposed).__name__}; return candidates.take(indices), "
                f"or NewTasks(seeds, params)"
            )
        seeds, params = proposed
        self._check_seeds(seeds, candidates.seeds, len(slots))
        self._check_params("proposer.propose", params, len(slots))
        return self._admitted(table, slots, NewTasks(seeds, params))

    def _admitted(self, table: Table, slots: NDArray[np.int64], tasks: NewTasks) -> Patch:
        """Returns the patch that puts `tasks`, k of them, into the distinct `slots`, shape (k,)."""
        seeds, params = tasks
        names = task_labels(self._generator, seeds, params)
        _check_labels(names)
        patch = admit(table, slots, seeds, params, names, self.clock(), self._estimator)
        self._warn_of_overflow(patch, names)
        return patch

    def _warn_of_overflow(self, patch: Patch, names: list[str]) -> None:
        """Warns once if a new task has a label for which there is no place."""
        if self._has_warned or patch.rows["label_index"].all():
            return
        self._has_warned = True
        name = names[int(patch.rows["label_index"].argmin())]
        _log.warning(
            "labels: expected at most %d different ones, got one more, %r; tasks with further labels count together as "
            "%r, for the statistics and for algorithms that choose by label; give fewer labels",
            MAX_LABELS - 1,
            name,
            OTHER.decode(),
        )

    def _candidates(self, table: Table, slots: NDArray[np.int64], rng: np.random.Generator) -> NewTasks:
        """Returns fresh tasks for `slots`; fewer if a finite generator has fewer tasks outside the pool."""
        active, is_leaving = table.rows["is_active"], np.zeros(len(table.rows), np.bool_)
        is_leaving[slots] = True
        pool = Entries(table.rows["seed"][active], table.rows["params"][active])
        turn = Turn((self._seed, Purpose.ORDER), table.counters.num_created, rng)
        n = len(slots) * self._proposer.num_candidates
        seeds, params = next_entries(self._generator, pool, is_leaving[active], n, turn)
        self._check_params("generator.sample", params, len(seeds))
        return NewTasks(seeds, params)

    def _check_params(self, source: str, params: Params, n: int) -> None:
        shape = (n, self._layout.num_params)
        if params.shape != shape:
            raise ValueError(
                f"{source}: expected params of shape {shape}, one column per axis, got {params.shape}; "
                f"return one row per seed"
            )
        may_be_unknown = isinstance(self._generator, SequenceTaskGenerator)  # whose params only describe the tasks
        if not may_be_unknown and not np.isfinite(params).all():
            bad = params[~np.isfinite(params)][0]
            raise ValueError(f"{source}: expected finite params, got {bad}; use 0 where an axis does not apply")
        off = self._layout.find_off(params, may_be_unknown=may_be_unknown)
        if off is not None:
            wanted, param, _ = off
            raise ValueError(f"{source}: expected params {wanted}, got {param}; keep them there")

    def _check_seeds(self, seeds: NDArray[np.int64], offered: NDArray[np.int64], n: int) -> None:
        if seeds.shape != (n,) or seeds.dtype.kind != "i":
            raise ValueError(
                f"proposer.propose: expected seeds of shape {(n,)}, integers, got {seeds.dtype} of shape "
                f"{seeds.shape}; return n tasks"
            )
        if (seeds < 0).any():
            raise ValueError(
                f"proposer.propose: expected seeds from 0, got {seeds.min()}; keep the seed of a candidate or of a "
                f"task in the pool"
            )
        if self._generator.num_tasks is not None:
            wrong = seeds[~np.isin(seeds, offered)]
            ordered = np.sort(seeds)  # at a million seeds, ten times as fast as `np.unique`
            num_duplicates = int((ordered[1:] == ordered[:-1]).sum())
            if len(wrong) or num_duplicates:
                found = f"seed {wrong[0]}" if len(wrong) else f"{num_duplicates} duplicates"
                raise ValueError(
                    f"proposer.propose: expected {n} different candidates, since the generator is finite, got {found}; "
                    f"choose each task among the candidates, at most once"
                )


def _check_proposer(proposer: object) -> None:
    if isinstance(proposer, type) or not isinstance(proposer, Proposer):
        raise TypeError(
            f"proposer: expected an object with num_candidates and propose, got {proposer!r:.100}; add what is "
            f"missing, or create an object of the class"
        )


def _check_growing(num_first: int, capacity: int, num_tasks: int | None) -> None:
    """Checks that a pool of `capacity` can begin with `num_first` tasks of a generator of `num_tasks`.

    Raises:
        ValueError: If it cannot.
    """
    if num_tasks is None:
        raise ValueError(
            f"num_first_tasks: expected None for an endless generator, got {num_first}; use a list of all tasks that "
            f"may come, such as range(1000)"
        )
    if num_first > capacity:
        raise ValueError(
            f"num_first_tasks: expected at most num_active_tasks = {capacity}, got {num_first}; lower it, or raise "
            f"num_active_tasks"
        )


def _check_labels(names: Sequence[Any]) -> None:
    if all(issubclass(kind, str) for kind in set(map(type, names))):
        return
    for name in names:
        if not isinstance(name, str):
            raise TypeError(
                f"generator.label_of: expected a string, got {name!r:.100}, a {type(name).__name__}; return "
                f"str(...) of it"
            )
