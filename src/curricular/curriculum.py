"""`Curriculum`: hands out tasks and takes scores. It connects generator, algorithm, tracker and backend."""

import contextlib
import logging
import os
from collections.abc import Mapping
from typing import Any, Generic, Self, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .admission import Admission
from .algorithms.proposals import Proposer
from .algorithms.protocol import Algorithm
from .algorithms.registry import create_algorithm, create_proposer, load_config
from .asking import CoveringAsk, Detour
from .backends.protocol import Backend, FollowerError, Transaction
from .building import TaskBuildError, TaskCache, Unbuildable, find_config
from .checkpoint import SavedState, pack_state, read_checkpoint, refused_file, unpack_state, write_checkpoint
from .config import CurriculumConfig, threshold_of
from .coverage import Walk
from .defaults import arranged, check_load, fitted, reduced, warn_of_others
from .draws import Draws
from .evaluation import evaluation_tasks
from .generators import TaskGenerator, Tasks, identity
from .inputs import MAX_ASKED, checked_number
from .metrics import range_of, summary
from .mutex import Turns
from .notebook import message_html, stats_html
from .refresh import Refresher
from .roster import Roster
from .rows import TaskState
from .selection import Selection
from .storage import create_task_tracker
from .table import Table, without_ledger
from .task import Batch, ConfigT, Task
from .tickets import Tickets, open_batch
from .tracker import TaskTracker
from .views import Pool, TaskView, find_slot
from .writing import writer

_log = logging.getLogger(__name__)


class Curriculum(Generic[ConfigT]):
    """Hands out the tasks of a pool that are worth training on, and learns from scores which tasks these are.

    Processes with the same ``config.session_id`` share one pool. Copies made by fork or pickle share the pool of the
    original. `close`, or the end of a ``with`` block, leaves the pool. Calls from several threads take turns.

    Args:
        tasks: A generator of tasks, or a list or another sequence of configurations. Without tasks, the configuration
            of a task is its seed.
        config: Settings of the pool and of the algorithm, before or after the tasks. Without a config, the algorithm is
            the recommended one, and the size of the pool suits the tasks.
        algorithm: A custom algorithm, instead of the one that `config` belongs to.
        proposer: A custom proposer of new tasks, instead of the one that `config` selects.
        backend: A custom backend, instead of the one that `config` selects.

    Raises:
        TypeError: If the arguments are not tasks and a config.
        ValueError: If `config` asks for more tasks than the generator has.
        SessionError: If the session cannot be created or joined.

    Examples:
        >>> from curricular import Curriculum
        >>> curriculum = Curriculum(["level-1", "level-2", "level-3"])
        >>> tasks = curriculum.ask(4)
        >>> curriculum.tell([task.task_id for task in tasks], [0.0, 0.5, 1.0, 1.0])
        >>> curriculum.stats()["num_completed"]
        4.0
    """

    @overload
    def __init__(
        self: "Curriculum[int]",
        config: CurriculumConfig,
        tasks: None = None,
        /,
        *,
        algorithm: Algorithm | None = None,
        proposer: Proposer | None = None,
        backend: Backend | None = None,
    ) -> None: ...

    @overload
    def __init__(
        self,
        config: CurriculumConfig,
        tasks: Tasks[ConfigT],
        /,
        *,
        algorithm: Algorithm | None = None,
        proposer: Proposer | None = None,
        backend: Backend | None = None,
    ) -> None: ...

    @overload
    def __init__(
        self,
        tasks: Tasks[ConfigT],
        config: CurriculumConfig | None = None,
        *,
        algorithm: Algorithm | None = None,
        proposer: Proposer | None = None,
        backend: Backend | None = None,
    ) -> None: ...

    def __init__(
        self,
        tasks: Tasks[ConfigT] | CurriculumConfig,
        config: Tasks[ConfigT] | CurriculumConfig | None = None,
        *,
        algorithm: Algorithm | None = None,
        proposer: Proposer | None = None,
        backend: Backend | None = None,
    ) -> None:
        self.config: CurriculumConfig
        self.generator: TaskGenerator[ConfigT]
        self.config, self.generator = arranged(tasks, config)
        config = fitted(self.config, self.generator)
        algorithm = create_algorithm(config) if algorithm is None else algorithm
        warn_of_others(config, self.generator.num_tasks, algorithm)
        self.proposer: Proposer = create_proposer(config, self.generator) if proposer is None else proposer
        self.tracker: TaskTracker = create_task_tracker(
            config, self.generator.axes, identity=identity(self.generator), backend=backend
        )
        self._backend = self.tracker.backend
        admission = Admission(self.generator, self.proposer, config, self.tracker.estimator)
        self._refresher = Refresher(self._backend, algorithm, admission, config, self.tracker.estimator)
        self._tasks = TaskCache(self._backend, self.generator)
        self._draws = Draws(self._backend, config.seed, self._tasks)
        unbuildable = Unbuildable(self._tasks, self.tracker, self._refresher.count_cancelled)
        self._detour = Detour(self._tasks, self._draws, self.tracker, unbuildable)
        walk = Walk(config.cover_share, config.seed, config.max_failures)
        selection = Selection(self._draws, walk, follows=self._backend.follows)
        self._tickets = Tickets(self.tracker, self._draws, selection, algorithm)
        self._covers = config.cover_share > 0
        self._covering = CoveringAsk(self._tasks, self._tickets, self.tracker, unbuildable)
        self._roster = Roster(self._refresher, admission, self.generator, config)
        self._turns = Turns(Curriculum)
        self._refresher.fill()

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.config, self.generator, self.algorithm, self.proposer, self._backend)

    def __copy__(self) -> Self:
        raise TypeError(
            "curriculum: expected a copy by pickle or fork, got copy.copy, whose copy would draw the same tasks; "
            "create another curriculum with the same session_id"
        )

    def __repr__(self) -> str:
        config, kind = self.config, type(self.generator).__name__
        settings = (
            f"num_active_tasks={self._backend.capacity}, score_range={config.score_range}, "
            f"success_threshold={config.threshold}"
        )
        where = f", session_id={config.session_id!r}" if config.session_id else ""
        return f"Curriculum({type(config).__name__}, {kind}, {settings}{where})"

    def _repr_html_(self) -> str:
        try:
            return stats_html(repr(self), self.stats())
        except RuntimeError as error:  # as of a curriculum that is closed
            return message_html(repr(self), str(error))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    @property
    def algorithm(self) -> Algorithm:
        """The algorithm that chooses tasks."""
        return self._refresher.algorithm

    # Asking

    def get_task(self) -> Task[ConfigT]:
        """Returns the next task to train on, as ``ask(1)[0]`` does.

        Raises:
            TaskBuildError: If the generator fails to build several different tasks in a row.
            RefreshError: If the distribution is out of date because refreshes keep failing.
        """
        if self._covers:
            return self.ask()[0]
        lock = self._turns.lock  # `Turns.take`, inlined: this call is the hot path
        if lock.locked():
            self._turns.wait(self)
        with lock:
            refresher, draws = self._refresher, self._draws
            if refresher.error is not None:
                refresher.check()
            try:
                task = self._tasks[draws.peek()]
            except TaskBuildError:
                task = self._detour.next()
            is_log_due = self.tracker.schedule(task.task_id)
            draws.advance(1)
            if is_log_due or refresher.follows_handouts:
                refresher.count_handouts(1, is_log_due)
            return task

    def ask(self, n: int = 1, *, replace: bool = True) -> list[Task[ConfigT]]:
        """Returns the next tasks to train on, in the order drawn.

        A task that the generator cannot build is skipped and counts as cancelled.

        Args:
            n: Number of tasks, at least 0.
            replace: Whether a task may be drawn more than once.

        Raises:
            TypeError: If `n` is not a whole number.
            ValueError: If `n` is negative, or if `replace` is false and `n` exceeds the size of the pool.
            TaskBuildError: If the generator fails to build several different tasks in a row.
            RefreshError: If the distribution is out of date because refreshes keep failing.
        """
        with self._turns.take(self):
            n = checked_number(n, MAX_ASKED if replace else self._backend.glance()[0].num_active)
            self._refresher.check()
            if self._covers:
                asked = self._covering.ask(n, replace=replace)
                self._refresher.count_handouts(n, is_log_due=False)
                return asked
            ids, num_draws = self._draws.look(n) if replace else self._draws.look_distinct(n)
            if not replace:  # another process may have removed tasks
                checked_number(n, len(ids))
            drawn = ids.tolist()
            try:
                asked = self._tasks.take(drawn)
            except TaskBuildError:
                asked, num_draws = self._detour.take(n, replace=replace)
            asked_ids = [task.task_id for task in asked]
            if asked_ids != drawn:  # as where a task was evicted meanwhile
                ids = np.array(asked_ids, np.int64)
            is_log_due = self.tracker.schedule_batch(ids)
            self._draws.advance(num_draws)
            self._refresher.count_handouts(n, is_log_due)
            return asked

    # Growing

    def add_tasks(self, seeds: ArrayLike) -> NDArray[np.int64]:
        """Puts tasks of a finite generator into free places of the pool, and returns their ids, shape (k,).

        The config needs `num_first_tasks`. In a session, every process draws from the new pool at its next call.

        Args:
            seeds: Indices of the tasks in the list or generator, distinct and not in the pool, shape (k,).

        Raises:
            TypeError: If `seeds` are not integers.
            ValueError: If the config has no `num_first_tasks`, the pool has too few free places or has a task already,
                or the generator has no such task. Nothing is then added.

        Examples:
            >>> from curricular import Curriculum, UniformConfig
            >>> curriculum = Curriculum(range(100), UniformConfig(num_active_tasks=8, num_first_tasks=1))
            >>> ids = curriculum.add_tasks([1, 2])
            >>> sorted({task.config for task in curriculum.ask(50)})
            [0, 1, 2]
        """
        self._refuse_follower("add_tasks")
        with self._turns.take(self):
            return self._roster.add(seeds)

    def remove_tasks(self, task_ids: ArrayLike) -> None:
        """Removes tasks from a pool whose config has `num_first_tasks`.

        Results of a removed task are recorded until another task takes its place, and then count as stale.

        Args:
            task_ids: Ids of tasks in the pool, shape (k,).

        Raises:
            TypeError: If `task_ids` are not integers.
            ValueError: If the config has no `num_first_tasks`, or if no task would be left.
            KeyError: If a task is not in the pool. Nothing is then removed.
        """
        self._refuse_follower("remove_tasks")
        with self._turns.take(self):
            self._roster.remove(task_ids)

    # Telling

    def tell(self, task_ids: ArrayLike, scores: ArrayLike, *, regrets: ArrayLike | None = None) -> None:
        """Reports one result per hand-out. A call that raises has recorded nothing.

        A result for an evicted task counts as stale. A result without a hand-out, such as one of an evaluation, is
        recorded and counts as unsolicited.

        Args:
            task_ids: The ids of the tasks, shape (n,).
            scores: One score per id, shape (n,), or a group of G exchangeable scores per id, shape (n, G). Scores lie
                within `config.score_range`. NaN in a group marks a failed rollout. A group is one result whose scores
                all count; a group of only NaN is a cancellation.
            regrets: One finite regret per id, shape (n,), for algorithms that choose by regret.

        Raises:
            TypeError: If an argument has a wrong dtype.
            ValueError: If an argument has a wrong length or value.
            KeyError: If an id was never issued.
        """
        with self._turns.take(self):
            num_results, is_log_due = self.tracker.record_batch(task_ids, scores, regrets)
            self._refresher.count(num_results, is_log_due)

    def update_task_performance(self, task_id: int, score: float) -> None:
        """Reports one score, as ``tell([task_id], [score])`` does.

        Raises:
            TypeError: If an argument has a wrong type.
            ValueError: If the score is outside `config.score_range`.
            KeyError: If the id was never issued.
        """
        lock = self._turns.lock  # `Turns.take`, inlined: this call is the hot path
        if lock.locked():
            self._turns.wait(self)
        with lock:
            is_log_due, refresher = self.tracker.record(task_id, score), self._refresher
            refresher.missing = missing = refresher.missing - 1
            if missing <= 0 or is_log_due:
                refresher.advance(is_log_due=is_log_due)

    def cancel(self, task_ids: ArrayLike, reason: str) -> None:
        """Reports that hand-outs will get no score, and counts them as cancelled.

        Args:
            task_ids: The ids of the tasks, shape (n,).
            reason: Why there is no score, in a few words. `stats` counts cancellations by reason, for the first 25
                reasons besides the built-in ones.

        Raises:
            TypeError: If `task_ids` have a wrong dtype, or `reason` is not a string.
            ValueError: If `task_ids` have a wrong shape, or `reason` is empty.
            KeyError: If an id was never issued.
        """
        with self._turns.take(self):
            ids, is_log_due = self.tracker.cancel(task_ids, reason)
            self._refresher.count_cancelled(ids, is_log_due)
        if len(ids):
            _log.info("cancelled tasks %s: %s", ids.tolist(), reason)

    # Tickets: hand-outs with an identity, in batches

    def ask_batch(self, n: int, *, replace: bool = True) -> Batch:
        """Returns the next `n` hand-outs as arrays, with a ticket for each. `configs` builds their tasks.

        After a state was loaded, the hand-outs that were open in it come first, oldest first, with the same tickets.

        Args:
            n: Number of tasks, at least 0.
            replace: Whether a task may be drawn more than once.

        Raises:
            TypeError: If `n` is not a whole number.
            ValueError: If `n` is negative, or if `replace` is false and `n` exceeds the size of the pool.
            LedgerFullError: If more than `config.max_open_handouts` hand-outs with tickets would be open.
            RefreshError: If the distribution is out of date because refreshes keep failing.

        Examples:
            >>> from curricular import Curriculum, LearningProgressConfig
            >>> curriculum = Curriculum(LearningProgressConfig.default(num_active_tasks=8))
            >>> batch = curriculum.ask_batch(2)
            >>> curriculum.tell_batch(batch.tickets, [[0.0, 1.0, 1.0, 0.0], [1.0, 1.0, 1.0, 1.0]])
            2
            >>> curriculum.tell_batch(batch.tickets[:1], [0.0])  # told again: counted, and nothing else
            0
        """
        with self._turns.take(self):
            self._refresher.check()
            batch = self._tickets.ask(n, replace=replace)
            self._refresher.count_handouts(len(batch.tickets), is_log_due=False)
            return batch

    def ask_for(self, task_ids: ArrayLike) -> Batch:
        """Hands out given tasks of the pool, with a ticket for each, instead of tasks that the algorithm chooses.

        Args:
            task_ids: The ids of the tasks, shape (n,). `find` returns the id of a configuration.

        Raises:
            TypeError: If `task_ids` are not integers.
            ValueError: If `task_ids` have another shape.
            KeyError: If a task is not in the pool.
            LedgerFullError: If more than `config.max_open_handouts` hand-outs with tickets would be open.
            RefreshError: If the distribution is out of date because refreshes keep failing.

        Examples:
            >>> from curricular import Curriculum
            >>> curriculum = Curriculum(["easy", "hard"])
            >>> batch = curriculum.ask_for([curriculum.find("hard")])
            >>> curriculum.tell_batch(batch.tickets, [1.0])
            1
        """
        with self._turns.take(self):
            self._refresher.check()
            batch = self._tickets.ask_for(task_ids)
            self._refresher.count_handouts(len(batch.tickets), is_log_due=False)
            return batch

    def configs(self, batch: Batch) -> list[ConfigT]:
        """Returns the configuration of each task of `batch`, in order, even of those that were evicted meanwhile.

        Raises:
            TypeError: If `batch` is not a batch.
            TaskBuildError: If the generator fails to build a task. Its `task_id` says which.

        Examples:
            >>> from curricular import Curriculum
            >>> curriculum = Curriculum(["easy", "hard"])
            >>> batch = curriculum.ask_batch(2, replace=False)
            >>> sorted(curriculum.configs(batch))
            ['easy', 'hard']
        """
        if not isinstance(batch, Batch):
            raise TypeError(
                f"batch: expected a batch from ask_batch, ask_for or open_handouts, got a {type(batch).__name__}; to "
                f"build a single task, call generator.build(seed, params)"
            )
        with self._turns.take(self):
            return self._tasks.configs(batch)

    def tell_batch(self, tickets: ArrayLike, scores: ArrayLike, *, regrets: ArrayLike | None = None) -> int:
        """Reports one result per ticket, and returns the number of hand-outs that the call ended.

        A ticket that was told or cancelled before, or that a lost run issued, is counted and changes nothing else. A
        call that raises has recorded nothing.

        Args:
            tickets: Tickets from `ask_batch`, shape (n,).
            scores: One score per ticket, shape (n,), or a group of G exchangeable scores per ticket, shape (n, G), as
                in `tell`.
            regrets: One finite regret per ticket, shape (n,), for algorithms that choose by regret.

        Raises:
            TypeError: If an argument has a wrong dtype.
            ValueError: If an argument has a wrong shape or value.
        """
        with self._turns.take(self):
            num_ended = self._tickets.tell(tickets, scores, regrets)
            self._refresher.count(num_ended, is_log_due=False)
            return num_ended

    def cancel_batch(self, tickets: ArrayLike, reason: str) -> int:
        """Reports that hand-outs will get no score, and returns the number of hand-outs that the call ended.

        Args:
            tickets: Tickets from `ask_batch`, shape (n,).
            reason: Why there is no score, as in `cancel`.

        Raises:
            TypeError: If an argument has a wrong type.
            ValueError: If an argument has a wrong shape or value.
        """
        with self._turns.take(self):
            num_ended = self._tickets.cancel(tickets, reason)
            self._refresher.count_cancelled_tickets(num_ended)
            return num_ended

    def open_handouts(self) -> Batch:
        """Returns the hand-outs with tickets that have not ended, oldest first."""
        with self._turns.take(self):
            return open_batch(self.tracker.snapshot())

    def expire(self, older_than: int) -> int:
        """Cancels open hand-outs with tickets that are too old, for the reason "expired", and returns their number.

        Args:
            older_than: Maximum age of a hand-out, as the number of tasks that the pool has handed out since.

        Raises:
            TypeError: If `older_than` is not a whole number.
            ValueError: If `older_than` is negative.
        """
        with self._turns.take(self):
            num_ended = self._tickets.expire(older_than)
            self._refresher.count_cancelled_tickets(num_ended)
            return num_ended

    def set_params(self, rows: ArrayLike, column: str, values: ArrayLike) -> int:
        """Writes what is known about rows of a data set, and returns how many of them are in the pool.

        Use it to write predictions of a model, such as success rates into the column on `prior_axis`. The
        algorithm sees the new values at its next refresh. They are shared in a session, and saved. A row outside the
        pool is skipped: its task enters with the value of the data set.

        Args:
            rows: Indices of rows, all different, shape (n,), such as the `seeds` of a batch.
            column: Name of a column of the data set.
            values: One number per row, shape (n,), within the range of the column; NaN: unknown.

        Raises:
            TypeError: If the tasks are not rows of a data set, or an argument has a wrong dtype.
            KeyError: If there is no such column.
            ValueError: If an argument has a wrong shape or value.
        """
        self._refuse_follower("set_params")
        patch_of = writer(self.generator, rows, column, values)

        def write(transaction: Transaction) -> int:
            patch = patch_of(transaction.table)
            transaction.commit(patch)
            return len(patch.slots)

        with self._turns.take(self):
            return self._backend.apply(write)

    # Looking

    def peek(self) -> Task[ConfigT]:
        """Returns the task that `get_task` would return next, without handing it out.

        Use it to build a first environment.

        Raises:
            TaskBuildError: If the generator fails to build many tasks.
        """
        with self._turns.take(self):
            if self._covers:
                with contextlib.suppress(TaskBuildError):
                    return self._covering.look()
            return self._detour.look()

    def evaluation_tasks(self, n: int, seed: int = 0) -> list[Task[ConfigT]]:
        """Returns a fixed set of tasks for evaluations, which depends on the generator, `n` and `seed` alone.

        The tasks are not hand-outs: they are not counted, and `tell` refuses their ids, which are -1, -2, …. The tasks
        of a finite generator are distinct. They are chosen independently of a pool, even with its seed, so some may
        be in it. Those of an endless generator are, in general, in no pool.

        Args:
            n: Number of tasks, at least 0.
            seed: Chooses the tasks, at least 0.

        Raises:
            TypeError: If `n` or `seed` is not a whole number.
            ValueError: If `n` or `seed` is negative, or if `n` exceeds 10,000,000 or the number of tasks that can be
                built.
            TaskBuildError: If the generator fails to build several tasks in a row.

        Examples:
            >>> from curricular import Curriculum
            >>> curriculum = Curriculum(["level-1", "level-2", "level-3"])
            >>> sorted(task.config for task in curriculum.evaluation_tasks(2, seed=7))
            ['level-1', 'level-2']
            >>> curriculum.stats()["num_scheduled"]
            0.0
        """
        return evaluation_tasks(self.generator, n, seed)

    def probabilities(self) -> NDArray[np.float64]:
        """Returns the probability of drawing each task, computed from all results so far; shape (capacity,).

        The entry of a task has the index ``task_id % capacity``. Draws use an older distribution, refreshed after a
        few results in a small pool and after a few hundred or more in a large one.
        """
        with self._turns.take(self):  # an algorithm may return a column as it is
            return self.tracker.look(lambda table: self._refresher.probabilities(table).copy())

    def stats(self) -> dict[str, float]:
        """Returns flat statistics of the pool, with the keys in docs/statistics.md. Empty averages are left out.

        Raises:
            RefreshError: If the distribution is out of date because refreshes keep failing.
        """
        with self._turns.take(self):
            self._refresher.check()
            return self.tracker.look(self._stats)

    def _stats(self, table: Table) -> dict[str, float]:
        score_range = range_of(table, self.config.score_range)
        probabilities = self._refresher.probabilities(table)
        stats = summary(table, probabilities, score_range, self.config.slow_rate, self.config.max_failures)
        return {**stats, "success/threshold": threshold_of(self.config.success_threshold, score_range)}

    def task(self, task_id: int) -> TaskView[ConfigT]:
        """Returns configuration, statistics and probability of one task in the pool. For many tasks, use `tasks`.

        On a node of a cluster, the call does not wait for the hub, as `tasks` does: it reads what the node received
        last.

        Args:
            task_id: Id of the task.

        Raises:
            TypeError: If `task_id` is not an integer.
            KeyError: If the task was evicted, or if the id was never issued.
            TaskBuildError: If the generator fails to build the task.
        """
        with self._turns.take(self):
            table = self.tracker.snapshot()
            slot = find_slot(table, task_id)
            task = self._tasks.of_row(table.rows.take(np.array([slot])))
        return self._pool(table).task(slot, task)

    def find(self, config: ConfigT) -> int:
        """Returns the id of the task in the pool with the configuration `config`.

        Builds the tasks of the pool until one matches, so keep the id of a task in a large pool.

        Raises:
            KeyError: If no task in the pool has this configuration.
        """
        table = self._snapshot()
        return find_config(table, self.generator, self._tasks.layout, config)

    def tasks(self) -> dict[str, NDArray[Any]]:
        """Returns all active tasks as columns, shape (num_active,) each, sorted by slot.

        Pass the result to ``pandas.DataFrame`` or ``polars.DataFrame``. The columns are the fields of `TaskView`, with
        NaN for None and without `config`, and ``"params/<name>"`` for each axis of the generator. A task that lacks an
        axis has NaN there in a column of numbers, and None in any other column.
        """
        return self._pool(self._snapshot()).columns(self.generator, self._tasks.layout)

    def task_states(self) -> list[TaskState]:
        """Returns the stored row of every active task, sorted by slot. To look at tasks, use `tasks`."""
        rows = self._snapshot().rows
        return rows.states(np.flatnonzero(rows["is_active"]))

    def flush(self) -> None:
        """Takes all logged results of all processes of the session into the shared table.

        On a node of a cluster, returns when what was told on this node is in the journal of the hub.

        Raises:
            HubSilentError: If the hub of a cluster does not confirm the results within 60 seconds. No result is lost:
                call `flush` again.
            RefreshError: If the distribution is out of date because refreshes keep failing.
        """
        with self._turns.take(self):
            self.tracker.flush()
            self._backend.forward()
            self._refresher.check()

    # Saving

    def state_dict(self) -> dict[str, Any]:
        """Returns everything needed to resume from here, as plain values and as arrays that are copies."""
        with self._turns.take(self):
            table = self.tracker.current()
            if self._backend.follows:
                table = without_ledger(table)  # it is this node's, and the other nodes have theirs
            return pack_state(table, self.config, self.generator, self._draws.stream, self._draws.position)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Resumes from where `state_dict` was called. With the same config, the next tasks are the same.

        In a session, every process resumes at its next call. If hand-outs are open, or if other processes use the
        session, the tasks get new ids, and results of earlier hand-outs without tickets count as stale. Hand-outs with
        tickets that are open in `state` are open again, and `ask_batch` returns them first; those of evicted tasks
        count as cancelled.

        Args:
            state: A state, from `state_dict`.

        Raises:
            ValueError: If `state` is damaged, is from another version or capacity, has none of the generator's tasks,
                or has another success threshold or scores outside `config.score_range`. The curriculum is then
                unchanged.
            LedgerFullError: If the open hand-outs of `state` do not fit `config.max_open_handouts`.
        """
        self._refuse_follower("load_state_dict")
        with self._turns.take(self):
            saved = self._unpacked(state)
            if saved.is_whole or len(saved.table.rows) != self._backend.capacity:
                self._refresher.restore(saved.table)
                self._draws.seek(saved.stream, saved.num_draws)
            else:
                self._refresher.restore_resized(saved.table)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes a checkpoint to `path` atomically. Other processes of the session may continue meanwhile.

        Do not call it from a signal handler: let the handler set a flag or raise, and save after the training loop.

        Raises:
            OSError: If the file cannot be written. Either an earlier file at `path` is then unchanged or, if only the
                sync of the folder failed, the new one is whole.
            TypeError: If `path` is not a path.
            ValueError: If `path` has a null character.
            ReentrantCallError: If called during another call, for instance from a signal handler.
        """
        write_checkpoint(path, self.state_dict())

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        tasks: Tasks[ConfigT] | None = None,
        *,
        config: CurriculumConfig | None = None,
        algorithm: Algorithm | None = None,
        proposer: Proposer | None = None,
        backend: Backend | None = None,
    ) -> Self:
        """Returns the curriculum saved at `path`.

        If `config` asks for fewer tasks than were saved, the tasks with the highest priorities are kept. If it asks
        for more, new tasks are added. A change of size is logged.

        If the tasks have changed, those of the saved pool are matched: rows by key, combinations by their values,
        other tasks by their content. Missing tasks leave the pool, and new ones enter. Both are logged.

        Open hand-outs with tickets stay open if their task is in the pool, and else count as cancelled. After a change
        of size, or if tasks are missing, all open hand-outs without tickets count as cancelled, too.

        Args:
            path: Where `save` wrote the checkpoint.
            tasks: The generator or the list of configurations that the curriculum was saved with, perhaps changed.
            config: Replaces the saved config. Its score range must include the saved one, and the success threshold
                must be the saved one.
            algorithm: A custom algorithm, as for `Curriculum`.
            proposer: A custom proposer, as for `Curriculum`.
            backend: A custom backend, as for `Curriculum`.

        Raises:
            FileNotFoundError: If there is no file.
            CheckpointError: If the file is damaged or not a checkpoint.
            ValueError: If `tasks` has no task of the checkpoint, or the checkpoint does not fit `config`.
            LedgerFullError: If the open hand-outs of the checkpoint do not fit `config.max_open_handouts`.
            TypeError: If an argument has a wrong type.
        """
        check_load(tasks)
        state = read_checkpoint(path)
        saved_config = _read_config(path, state) if config is None else config
        _, generator = arranged(saved_config, tasks)
        config = reduced(saved_config, generator) if config is None else config
        curriculum = cls(config, generator, algorithm=algorithm, proposer=proposer, backend=backend)
        try:
            if len(state["cumulated"]) == curriculum._backend.capacity:
                curriculum.load_state_dict(state)
            else:
                curriculum._refresher.restore_resized(curriculum._unpacked(state).table)
        except BaseException:
            curriculum.close()
            raise
        return curriculum

    def close(self) -> None:
        """Leaves the session. Later calls raise, except `close`, which then does nothing. Hand-outs stay open."""
        self._backend.close()

    def _snapshot(self) -> Table:
        with self._turns.take(self):
            return self.tracker.current()

    def _unpacked(self, state: Mapping[str, Any]) -> SavedState:
        return unpack_state(state, self.config, self.generator, self.tracker.estimator)

    def _refuse_follower(self, what: str) -> None:
        if self._backend.follows:
            raise FollowerError(
                f"{what}: expected a curriculum whose table is its own, got a node of a cluster, whose hub decides; "
                f"do it before the cluster starts, in a curriculum of one machine"
            )

    def _pool(self, table: Table) -> Pool:
        score_range = range_of(table, self.config.score_range)
        return Pool(table, *self._refresher.judge(table), score_range, self.config.slow_rate)


def _read_config(path: str | os.PathLike[str], state: Mapping[str, Any]) -> CurriculumConfig:
    try:
        return load_config(state["config"])
    except (ValueError, TypeError) as error:
        raise refused_file(path, f"a config that cannot be read ({error})") from error


def _rebuild(cls: type[Curriculum[Any]], *parts: Any) -> Curriculum[Any]:
    """Unpickles a curriculum as another worker of its session."""
    config, generator, algorithm, proposer, backend = parts
    return cls(config, generator, algorithm=algorithm, proposer=proposer, backend=backend)
