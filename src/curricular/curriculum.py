"""`Curriculum`: ask for tasks, tell the scores. The one place where generator, algorithm, tracker and backend meet."""

import logging
import os
from collections.abc import Mapping
from operator import index
from typing import Any, Generic, Self, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .algorithms import Algorithm, create_algorithm, load_config
from .backends import Backend, Transaction
from .builder import Admission, TaskCache
from .checkpoint import read_checkpoint, write_checkpoint
from .config import CurriculumConfig
from .draws import Draws
from .generators import SeedGenerator, TaskGenerator, fingerprint
from .metrics import summary
from .proposers import Proposer, create_proposer
from .samplers import cumulative
from .table import Counters, Table, columns_of, copy_table, lowest, num_evictions_due, refresh, resize, restore
from .task import ConfigT, Rows, Task, TaskState
from .tracker import TaskTracker, create_task_tracker

STATE_VERSION = 2
"""Format of `Curriculum.state_dict`."""

_STATE_KEYS = {"version", "generator", "config", "rows", "labels", "counters", "cumulated", "stream", "num_draws"}

MIN_INTERVAL = 32
"""Results between two refreshes of the distribution, at the least."""

_log = logging.getLogger(__name__)


class Curriculum(Generic[ConfigT]):
    """A pool of tasks that hands out those worth training on.

    `config` says how tasks are chosen, `generator` where they come from; without one, a task's configuration is its
    seed. `algorithm`, `proposer` (of new tasks) and `backend` may be objects of your own; by default they are those
    that `config` names.

    Processes that give the same ``config.session_id`` share one pool; without one, so do the copies that fork and
    pickle make. `close`, or the end of a ``with`` block, leaves it. For one thread at a time.

    Raises `ValueError` if the pool is to hold more tasks than there are, `SessionError` if its session cannot be
    created or joined.

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
        self.algorithm: Algorithm = create_algorithm(config) if algorithm is None else algorithm
        self.proposer: Proposer = create_proposer(config, self.generator) if proposer is None else proposer
        num_tasks = self.generator.num_tasks
        if num_tasks is not None and config.num_active_tasks > num_tasks:
            raise ValueError(
                f"num_active_tasks: expected at most the {num_tasks} distinct tasks of the generator, got "
                f"{config.num_active_tasks}; set num_active_tasks={num_tasks}"
            )
        self.tracker: TaskTracker = create_task_tracker(
            config, len(self.generator.axes), identity=fingerprint(self.generator), backend=backend
        )
        self._backend = self.tracker.backend
        self._admission = Admission(self.generator, self.proposer, config.seed, self.tracker.estimator)
        self._tasks = TaskCache(self._backend, self.generator)
        self._draws = Draws(self._backend, config.seed)
        self._num_results = self._interval = 0
        self.tracker.apply(self._fill)

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.config, self.generator, self.algorithm, self.proposer, self._backend)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    # Asking

    def get_task(self) -> Task[ConfigT]:
        """The next task to train on; the same as ``ask(1)[0]``."""
        task = self._tasks[self._draws.peek()]
        self._draws.advance(1)
        self.tracker.schedule(task.task_id)
        return task

    def ask(self, n: int = 1, *, replace: bool = True) -> list[Task[ConfigT]]:
        """The next `n` ≥ 0 tasks to train on, in the order drawn; with ``replace=False`` no task twice.

        Raises `ValueError` for a negative `n` or more distinct tasks than the pool has, `TypeError` for a fraction.
        """
        try:
            n = index(n)
        except TypeError as error:
            raise TypeError(f"n: expected a whole number of tasks, got {n!r}; round it") from error
        limit = "any number of" if replace else self._backend.capacity
        if n < 0 or (not replace and n > self._backend.capacity):
            raise ValueError(f"n: expected 0 to {limit} tasks, got {n}; ask for another number")
        ids, num_draws = self._draws.look(n) if replace else self._draws.look_distinct(n)
        tasks = self._tasks
        asked = [tasks[task_id] for task_id in ids.tolist()]
        self._draws.advance(num_draws)
        self.tracker.schedule_batch(np.array([task.task_id for task in asked], np.int64))
        return asked

    # Telling

    def tell(self, task_ids: ArrayLike, scores: ArrayLike, *, regrets: ArrayLike | None = None) -> None:
        """Reports one score per task id, both shape (n,), scores within `config.score_range`.

        `regrets`, finite and shape (n,), is for algorithms that choose by regret. A result for a task that was evicted
        meanwhile is counted as stale. A result beyond the hand-outs, of an evaluation say, is taken, and counted as
        unsolicited.

        Raises `TypeError` or `ValueError` for a wrong dtype, length or value, `KeyError` for an id never issued; then
        nothing is recorded.
        """
        self._num_results += self.tracker.record_batch(task_ids, scores, regrets)
        if self._num_results >= self._interval:
            self._advance()

    def update_task_performance(self, task_id: int, score: float) -> None:
        """Reports one score; the same as ``tell([task_id], [score])``, and raises as it does."""
        self.tracker.record(task_id, score)
        self._num_results += 1
        if self._num_results >= self._interval:
            self._advance()

    def cancel(self, task_ids: ArrayLike, reason: str) -> None:
        """Reports that no score will come for these hand-outs, shape (n,): they are counted, not scored.

        `reason` goes to the log. Raises as `tell` does.
        """
        if self.tracker.cancel(task_ids):
            _log.info("cancelled tasks %s: %s", task_ids, reason)

    # Looking

    def probabilities(self) -> NDArray[np.float64]:
        """The chance of each task to be drawn, after all results so far; shape (capacity,), by ``task_id % capacity``.

        Draws follow it with a delay: it is refreshed after 32 results at first, hundreds later.
        """
        return self._probabilities(self.tracker.snapshot())

    def stats(self) -> dict[str, float]:
        """Flat statistics of the pool; keys as in docs/statistics.md. Averages of nothing are left out."""
        table = self.tracker.snapshot()
        return summary(table, self._probabilities(table), self.config.score_range)

    def task_states(self) -> list[TaskState]:
        """The typed row of every active task, by slot."""
        rows = self.tracker.snapshot().rows
        return [rows.state(slot) for slot in np.flatnonzero(rows["is_active"]).tolist()]

    # Saving

    def state_dict(self) -> dict[str, Any]:
        """All that is needed to go on from here: plain values and NumPy arrays, nothing shared with the curriculum."""
        table = self.tracker.snapshot()
        return {
            "version": STATE_VERSION,
            "generator": fingerprint(self.generator),
            "config": self.config.model_dump(mode="json"),
            "rows": table.rows.words,
            "labels": table.labels,
            "counters": table.counters._asdict(),
            "cumulated": table.cumulated,
            "stream": self._draws.stream,
            "num_draws": self._draws.position,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on from where `state_dict` was called: with the same config, the next tasks are the same.

        In a session, every process sees it at its next call. If results are still out, or other processes hold the
        session, the tasks get new ids, so that those results come back as stale.

        Raises `ValueError` for another version, generator, capacity or score range; then nothing is changed.
        """
        saved = self._saved_table(state)
        if len(saved.rows) != self._backend.capacity:
            raise ValueError(
                f"state: expected capacity {self._backend.capacity}, got {len(saved.rows)}; set num_active_tasks to "
                f"the saved number, or use Curriculum.load, which keeps the best tasks"
            )
        self.tracker.apply(lambda transaction: self._restore(transaction, saved))
        self._draws.seek(state["stream"], state["num_draws"])

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes a checkpoint to `path`, safely on disk or not at all; also while other processes go on.

        Raises `OSError` if it cannot be written; what was at `path` is then untouched.
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
        """The curriculum saved at `path`, with the generator that it was saved with; `config` replaces the saved one.

        If `config` wants fewer tasks than were saved, those with the highest scores are kept; if more, new ones are
        added. Either is logged, and what was handed out before is then counted as cancelled.

        Raises `FileNotFoundError`, `CheckpointError` for a file that is damaged or no checkpoint, and `ValueError` as
        `load_state_dict` does.
        """
        state = read_checkpoint(path)
        if config is None:
            config = load_config(state["config"])
        curriculum = cls(config, generator, algorithm=algorithm, proposer=proposer, backend=backend)
        try:
            capacity = len(state["cumulated"])
            if capacity == config.num_active_tasks:
                curriculum.load_state_dict(state)
            else:
                curriculum._load_resized(state)
        except BaseException:
            curriculum.close()
            raise
        return curriculum

    def _load_resized(self, state: Mapping[str, Any]) -> None:
        saved = self._saved_table(state)
        capacity = self._backend.capacity
        active = np.flatnonzero(saved.rows["is_active"])
        scores = np.asarray(self.algorithm.scores(columns_of(saved)), np.float64)[active]
        kept = active[np.sort(np.argsort(-scores, kind="stable")[:capacity])]
        _log.warning(
            "num_active_tasks is %d, the checkpoint has %d tasks: kept %d, %s",
            capacity,
            len(active),
            len(kept),
            "those with the highest scores" if len(kept) < len(active) else "adding new ones",
        )

        def put(transaction: Transaction) -> None:
            self._restore(transaction, resize(saved, kept, capacity))
            self._fill(transaction)
            self._refresh(transaction)  # also when nothing was added: the saved distribution is of another length

        self.tracker.apply(put)

    def _saved_table(self, state: Mapping[str, Any]) -> Table:
        missing = _STATE_KEYS - state.keys()
        if missing:
            raise ValueError(
                f"state: expected what state_dict returned, got a mapping without {', '.join(sorted(missing))}; "
                f"load the whole of it"
            )
        low, high = self.config.score_range
        expected = {
            "version": (STATE_VERSION, state["version"], "load it with the version of curricular that wrote it"),
            "generator": (
                fingerprint(self.generator),
                state["generator"],
                "pass the one that it was saved with as generator",
            ),
            "score_range": (
                [low, high],
                list(state["config"]["score_range"]),
                "use the score_range that it was saved with",
            ),
        }
        for name, (here, there, remedy) in expected.items():
            if here != there:
                raise ValueError(f"state: expected {name} {here!r}, got {there!r}; {remedy}")
        counters = Counters(**state["counters"])
        return copy_table(Table(Rows(state["rows"]), state["labels"], counters, state["cumulated"]))

    def _restore(self, transaction: Transaction, saved: Table) -> None:
        now = transaction.table
        keeps_ids = now.counters.num_pending == 0 and self._backend.num_workers == 1
        transaction.commit(restore(saved, now, keeps_ids=keeps_ids))
        self._tasks.clear()
        self._note_results(transaction.table.counters)

    def flush(self) -> None:
        """Takes everything told so far, in all processes of the session, into the statistics of all of them."""
        self.tracker.settle()

    def close(self) -> None:
        """Leaves the session. The curriculum cannot be used any more; closing twice does no harm."""
        self._backend.close()

    # Choosing

    def _advance(self) -> None:
        """Takes all results into the rows and, if enough have come since, refreshes the distribution."""
        num_workers = self._backend.num_workers
        if num_workers > 1:
            counters, num_waiting = self._backend.glance()
            num_seen = counters.num_results - counters.num_refreshed_results + num_waiting // 2  # half are hand-outs
            missing = self._interval_after(counters.num_refreshed_results) - num_seen
            if missing > 0:  # look again when this one's share of them has come
                self._interval = self._num_results + max(MIN_INTERVAL, missing // num_workers)
                return
        if not self.tracker.try_apply(self._refresh_if_due):
            self._interval = self._num_results + MIN_INTERVAL  # another process is at it: look again later

    def _refresh_if_due(self, transaction: Transaction) -> None:
        counters = transaction.table.counters
        if counters.num_results - counters.num_refreshed_results >= self._interval_after(
            counters.num_refreshed_results
        ):
            self._evict(transaction)
            self._refresh(transaction)
        self._note_results(transaction.table.counters)

    def _note_results(self, counters: Counters) -> None:
        """Takes from the table how far it is to the next refresh: nothing about it is this object's alone."""
        self._num_results = counters.num_results - counters.num_refreshed_results
        self._interval = self._interval_after(counters.num_refreshed_results)
        num_workers = self._backend.num_workers
        if num_workers > 1:  # this one's share of what is missing
            share = max(MIN_INTERVAL, (self._interval - self._num_results) // num_workers)
            self._interval = min(self._interval, self._num_results + share)

    def _interval_after(self, num_results: int) -> int:
        """Results from the refresh after `num_results` to the next: often at first, then so that it costs little.

        A function of the calls made, never of the clock.
        """
        return min(max(num_results // 32, MIN_INTERVAL), max(512, self.config.num_active_tasks // 16))

    def _refresh(self, transaction: Transaction) -> None:
        probabilities = self._probabilities(transaction.table)
        transaction.commit(refresh(transaction.table, cumulative(probabilities)))

    def _evict(self, transaction: Transaction) -> None:
        num_due = num_evictions_due(transaction.table, self.config.eviction_rate)
        limit = self._admission.limit(self._backend.capacity)
        if limit is not None:
            num_due = min(num_due, limit)
        if num_due > 0:
            columns = columns_of(transaction.table)
            slots = lowest(self.algorithm.scores(columns), self.algorithm.evictable(columns), num_due)
            if len(slots):
                transaction.commit(self._admission.patch(transaction.table, slots))

    def _fill(self, transaction: Transaction) -> None:
        """Puts new tasks into all slots that have none."""
        slots = np.flatnonzero(~transaction.table.rows["is_active"])
        if len(slots):
            transaction.commit(self._admission.patch(transaction.table, slots))
            self._refresh(transaction)
        self._note_results(transaction.table.counters)

    def _probabilities(self, table: Table) -> NDArray[np.float64]:
        return np.asarray(self.algorithm.probabilities(columns_of(table)), np.float64)


def _rebuild(cls: type[Curriculum[Any]], *parts: Any) -> Curriculum[Any]:
    """What a pickled curriculum becomes: another worker of its session."""
    config, generator, algorithm, proposer, backend = parts
    return cls(config, generator, algorithm=algorithm, proposer=proposer, backend=backend)
