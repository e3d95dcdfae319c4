"""`Curriculum`: ask for tasks, tell the scores. The one place where generator, algorithm, tracker and backend meet."""

import contextlib
import logging
import os
import sys
import threading
import weakref
from collections.abc import Mapping
from operator import index
from typing import Any, Generic, Self, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .admission import Admission
from .algorithms.proposals import Proposer
from .algorithms.protocol import Algorithm
from .algorithms.registry import create_algorithm, create_proposer, load_config
from .backends.protocol import Backend, ReentrantCallError, Transaction
from .checkpoint import pack_state, read_checkpoint, unpack_state, write_checkpoint
from .config import CurriculumConfig
from .generators import SeedGenerator, TaskGenerator, fingerprint
from .handouts import Draws, TaskCache
from .metrics import summary
from .mutex import is_inside
from .params import Layout
from .refresh import Refresher
from .rows import TaskState
from .table import Table, columns_of, resize, restore
from .task import ConfigT, Task, num_params
from .tracker import TaskTracker, create_task_tracker

_log = logging.getLogger(__name__)


class Curriculum(Generic[ConfigT]):
    """Hands out the tasks of a pool that are worth training on, and learns from the scores which these are.

    Processes that name the same ``config.session_id`` share one pool; without one, so do the copies that fork and
    pickle make. `close`, or the end of a ``with`` block, leaves the pool. Calls from several threads take turns.

    Args:
        config: How tasks are chosen.
        generator: Where tasks come from. None: a task's configuration is its seed.
        algorithm: A custom algorithm in place of the one that `config` belongs to.
        proposer: What chooses new tasks, in place of what `config` calls for.
        backend: A custom backend in place of the one that `config` asks for.

    Raises:
        ValueError: If the pool is to hold more tasks than the generator has.
        SessionError: If the session cannot be created or joined.

    Examples:
        >>> from curricular import Curriculum, LearningProgressConfig
        >>> curriculum = Curriculum(LearningProgressConfig.default(num_active_tasks=8))
        >>> tasks = curriculum.ask(4)
        >>> curriculum.tell([task.task_id for task in tasks], [0.0, 0.5, 1.0, 1.0])
        >>> curriculum.stats()["num_completed"]
        4.0
    """

    def __init__(
        self,
        config: CurriculumConfig,
        generator: TaskGenerator[ConfigT] | None = None,
        *,
        algorithm: Algorithm | None = None,
        proposer: Proposer | None = None,
        backend: Backend | None = None,
    ) -> None:
        self.config = config
        self.generator: TaskGenerator[ConfigT] = (
            cast(TaskGenerator[ConfigT], SeedGenerator()) if generator is None else generator
        )
        if not isinstance(algorithm, Algorithm | None):
            raise TypeError(
                f"algorithm: expected an object of a subclass of curricular.Algorithm, got a "
                f"{type(algorithm).__name__}; derive the class from it"
            )
        self.algorithm: Algorithm = create_algorithm(config) if algorithm is None else algorithm
        self.proposer: Proposer = create_proposer(config, self.generator) if proposer is None else proposer
        num_tasks = self.generator.num_tasks
        if num_tasks is not None and config.num_active_tasks > num_tasks:
            raise ValueError(
                f"num_active_tasks: expected at most the {num_tasks} distinct tasks of the generator, got "
                f"{config.num_active_tasks}; set num_active_tasks={num_tasks}"
            )
        self.tracker: TaskTracker = create_task_tracker(
            config, num_params(self.generator.axes), identity=fingerprint(self.generator), backend=backend
        )
        self._backend = self.tracker.backend
        admission = Admission(self.generator, self.proposer, config.seed, self.tracker.estimator)
        self._refresher = Refresher(self._backend, self.algorithm, admission, config, self.tracker.estimator)
        self._tasks = TaskCache(self._backend, self.generator)
        self._draws = Draws(self._backend, config.seed)
        self._turn = threading.Lock()
        _curricula.add(self)
        self._refresher.fill()

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.config, self.generator, self.algorithm, self.proposer, self._backend)

    def __copy__(self) -> Self:
        raise TypeError(
            "curriculum: expected pickle or fork to copy it, got copy.copy, whose copy would draw the same tasks; "
            "make another curriculum with the same session_id"
        )

    def __repr__(self) -> str:
        num_tasks, kind = self.config.num_active_tasks, type(self.generator).__name__
        where = f", session_id={self.config.session_id!r}" if self.config.session_id else ""
        return f"Curriculum({type(self.config).__name__}, {kind}, num_active_tasks={num_tasks}{where})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    # Asking

    def get_task(self) -> Task[ConfigT]:
        """Returns the next task to train on; the same as ``ask(1)[0]``, and raises as it does."""
        with self._free():
            if self._refresher.error is not None:
                self._refresher.check()
            task = self._tasks[self._draws.peek()]
            is_log_due = self.tracker.schedule(task.task_id)
            self._draws.advance(1)
            self._refresher.note_handouts(1, is_log_due)
            return task

    def ask(self, n: int = 1, *, replace: bool = True) -> list[Task[ConfigT]]:
        """Returns the next `n` ≥ 0 tasks to train on, in the order drawn; with ``replace=False`` no task twice.

        Raises:
            TypeError: If `n` is no whole number.
            ValueError: If `n` is negative, or more than the pool's tasks with ``replace=False``.
            TaskBuildError: If the generator cannot build a task.
            RefreshError: If the distribution is out of date because refreshes keep failing.
        """
        try:
            n = index(n)
        except TypeError as error:
            raise TypeError(f"n: expected a whole number of tasks, got {n!r}; round it") from error
        limit = "any number of" if replace else self._backend.capacity
        if n < 0 or (not replace and n > self._backend.capacity):
            raise ValueError(f"n: expected 0 to {limit} tasks, got {n}; ask for another number")
        with self._free():
            self._refresher.check()
            ids, num_draws = self._draws.look(n) if replace else self._draws.look_distinct(n)
            tasks = self._tasks
            asked = [tasks[task_id] for task_id in ids.tolist()]
            is_log_due = self.tracker.schedule_batch(np.array([task.task_id for task in asked], np.int64))
            self._draws.advance(num_draws)
            self._refresher.note_handouts(n, is_log_due)
            return asked

    # Telling

    def tell(self, task_ids: ArrayLike, scores: ArrayLike, *, regrets: ArrayLike | None = None) -> None:
        """Reports one score per hand-out. A call that raises has recorded nothing.

        A result for a task that was evicted meanwhile is counted as stale. A result beyond the hand-outs, of an
        evaluation say, is taken, and counted as unsolicited.

        Args:
            task_ids: The ids of the tasks, shape (n,).
            scores: One score per id within `config.score_range`, shape (n,).
            regrets: One finite regret per id, shape (n,), for algorithms that choose by regret.

        Raises:
            TypeError, ValueError: For a wrong dtype, length or value.
            KeyError: For an id that was never issued.
        """
        with self._free():
            num_results, is_log_due = self.tracker.record_batch(task_ids, scores, regrets)
            self._refresher.note(num_results, is_log_due)

    def update_task_performance(self, task_id: int, score: float) -> None:
        """Reports one score; the same as ``tell([task_id], [score])``, and raises as it does."""
        with self._free():
            self._refresher.note(1, self.tracker.record(task_id, score))

    def cancel(self, task_ids: ArrayLike, reason: str) -> None:
        """Reports that no score will come for these hand-outs, shape (n,): they are counted, not scored.

        `reason` goes to the log. Raises as `tell` does.
        """
        with self._free():
            num_cancelled, is_log_due = self.tracker.cancel(task_ids)
            self._refresher.note(num_cancelled, is_log_due)
        if num_cancelled:
            _log.info("cancelled tasks %s: %s", task_ids, reason)

    # Looking

    def probabilities(self) -> NDArray[np.float64]:
        """Returns the probability of each task to be drawn, after all results so far; shape (capacity,).

        The entry of a task is at ``task_id % capacity``. Draws follow it with a delay: the distribution is refreshed
        every few results in a small pool, every few hundred in a large one.
        """
        return self._refresher.probabilities(self._snapshot())

    def stats(self) -> dict[str, float]:
        """Returns flat statistics of the pool; keys as in docs/statistics.md. Averages of nothing are left out."""
        table = self._snapshot()
        return summary(table, self._refresher.probabilities(table), self.config.score_range)

    def task_states(self) -> list[TaskState]:
        """Returns the typed row of every active task, by slot."""
        rows = self._snapshot().rows
        return [rows.state(slot) for slot in np.flatnonzero(rows["is_active"]).tolist()]

    def flush(self) -> None:
        """Takes everything told so far, in all processes of the session, into the statistics of all of them.

        Raises:
            RefreshError: If the distribution is out of date because refreshes keep failing.
        """
        with self._free():
            self.tracker.flush()
            self._refresher.check()

    # Saving

    def state_dict(self) -> dict[str, Any]:
        """Returns all that is needed to resume from here: plain values and arrays, not shared with the curriculum."""
        with self._free():
            table = self.tracker.snapshot()
            return pack_state(table, self.config, self.generator, self._draws.stream, self._draws.position)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Resumes from where `state_dict` was called: with the same config, the next tasks are the same.

        In a session, every process sees it at its next call. If results are still out, or other processes hold the
        session, the tasks get new ids, so that those results come back as stale.

        Raises:
            ValueError: For another version, generator, capacity or score range, or a state that is damaged. Then
                nothing is changed.
        """
        with self._free():
            saved = unpack_state(state, self.config, self.generator)
            if len(saved.table.rows) != self._backend.capacity:
                raise ValueError(
                    f"state: expected capacity {self._backend.capacity}, got {len(saved.table.rows)}; set "
                    f"num_active_tasks to the saved number, or use Curriculum.load, which keeps the best tasks"
                )
            self._backend.apply(lambda transaction: self._restore(transaction, saved.table))
            self._draws.seek(saved.stream, saved.num_draws)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes a checkpoint to `path`, safely on disk or not at all; also while other processes go on.

        Not from a signal handler: let the handler set a flag or raise, and save where the training loop ends.

        Raises:
            OSError: If it cannot be written. What was at `path` is then untouched.
            ReentrantCallError: If called in the middle of another call, by a signal handler say.
        """
        write_checkpoint(path, self.state_dict())

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        generator: TaskGenerator[ConfigT] | None = None,
        *,
        config: CurriculumConfig | None = None,
        algorithm: Algorithm | None = None,
        proposer: Proposer | None = None,
        backend: Backend | None = None,
    ) -> Self:
        """Returns the curriculum saved at `path`.

        If `config` wants fewer tasks than were saved, those with the highest priorities are kept; if more, new ones
        are added. Either is logged, and what was handed out before is then counted as cancelled.

        Args:
            path: Where `save` wrote it.
            generator: The generator that it was saved with.
            config: Replaces the saved config.
            algorithm: As for `Curriculum`, like the next two.
            proposer: See there.
            backend: See there.

        Raises:
            FileNotFoundError: If there is no file.
            CheckpointError: If the file is damaged or no checkpoint.
            ValueError: As `load_state_dict` does.
        """
        state = read_checkpoint(path)
        if config is None:
            config = load_config(state["config"])
        curriculum = cls(config, generator, algorithm=algorithm, proposer=proposer, backend=backend)
        try:
            if len(state["cumulated"]) == config.num_active_tasks:
                curriculum.load_state_dict(state)
            else:
                curriculum._load_resized(state)
        except BaseException:
            curriculum.close()
            raise
        return curriculum

    def _load_resized(self, state: Mapping[str, Any]) -> None:
        saved = unpack_state(state, self.config, self.generator).table
        capacity = self._backend.capacity
        active = np.flatnonzero(saved.rows["is_active"])
        columns = columns_of(saved, Layout(self.generator.axes))
        priorities = np.asarray(self.algorithm.priorities(columns), np.float64)[active]
        kept = active[np.sort(np.argsort(-priorities, kind="stable")[:capacity])]
        _log.warning(
            "num_active_tasks is %d, the checkpoint has %d tasks: kept %d, %s",
            capacity,
            len(active),
            len(kept),
            "those with the highest priorities" if len(kept) < len(active) else "adding new ones",
        )

        def put(transaction: Transaction) -> None:
            self._restore(transaction, resize(saved, kept, capacity))
            self._refresher.put(transaction)  # also if nothing was added: the saved distribution has another length

        self._backend.apply(put)

    def _restore(self, transaction: Transaction, saved: Table) -> None:
        self._refresher.flush_in(transaction)
        now = transaction.table
        keeps_ids = now.counters.num_pending == 0 and self._backend.num_workers == 1
        transaction.commit(restore(saved, now, keeps_ids=keeps_ids))
        self._tasks.clear()
        self._refresher.look_again(transaction.table.counters)

    def close(self) -> None:
        """Leaves the session. The curriculum cannot be used any more; closing twice does no harm."""
        self._backend.close()

    def _snapshot(self) -> Table:
        with self._free():
            self._refresher.check()
            return self.tracker.snapshot()

    def _free(self) -> threading.Lock:
        """Returns the lock of this object for a ``with`` statement, which no signal handler can come between."""
        if self._turn.locked():
            self._wait_for_turn()
        return self._turn

    def _wait_for_turn(self) -> None:
        """Refuses a call from within another one of the same thread, which would wait for itself."""
        if is_inside(_CALLS, self, thread=threading.get_ident(), skip=1):
            raise ReentrantCallError(
                "curriculum: expected one call at a time, got one in the middle of another, from a signal handler, a "
                "generator, a proposer or an algorithm; in a handler set a flag or raise SystemExit, and save where the "
                "training loop ends"
            )
        if not is_inside(_CALLS, self, skip=1):
            with contextlib.suppress(RuntimeError):
                self._turn.release()  # left taken by an exception between two lines


_CALLS = tuple(
    method.__code__
    for method in (
        Curriculum.get_task,
        Curriculum.ask,
        Curriculum.tell,
        Curriculum.update_task_performance,
        Curriculum.cancel,
        Curriculum.flush,
        Curriculum.state_dict,
        Curriculum.load_state_dict,
        Curriculum._snapshot,  # noqa: SLF001  of this very class
    )
)
"""What takes turns."""


def _rebuild(cls: type[Curriculum[Any]], *parts: Any) -> Curriculum[Any]:
    """Returns what a pickled curriculum becomes: another worker of its session."""
    config, generator, algorithm, proposer, backend = parts
    return cls(config, generator, algorithm=algorithm, proposer=proposer, backend=backend)


_curricula: weakref.WeakSet[Curriculum[Any]] = weakref.WeakSet()
"""The curricula of this process, to be told of a fork."""


def _after_fork() -> None:
    for curriculum in list(_curricula):
        curriculum._turn = threading.Lock()  # noqa: SLF001  a thread of the parent may have held it


if sys.platform != "win32":
    os.register_at_fork(after_in_child=_after_fork)
