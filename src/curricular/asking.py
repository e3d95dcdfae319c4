"""Hands out tasks without tickets, past those that cannot be built: drawn ones, or where a walk covers the pool."""

from collections import Counter
from typing import Generic

import numpy as np

from .building import MAX_TRIES, TaskBuildError, TaskCache, Unbuildable
from .draws import Draws
from .table import BUILT_IN_REASONS, EVICTED, UNBUILDABLE
from .task import ConfigT, Task
from .tickets import Tickets
from .tracker import TaskTracker


class Detour(Generic[ConfigT]):
    """Hands out the next drawn tasks that can be built, and gives up the unbuildable ones.

    Args:
        tasks: Builds the tasks.
        draws: Draws the tasks.
        tracker: Logs the hand-outs of unbuildable tasks.
        unbuildable: Cancels these hand-outs.
    """

    def __init__(self, tasks: TaskCache[ConfigT], draws: Draws, tracker: TaskTracker, unbuildable: Unbuildable) -> None:
        self._tasks = tasks
        self._draws = draws
        self._tracker = tracker
        self._unbuildable = unbuildable

    def look(self) -> Task[ConfigT]:
        """Returns the next task that can be built, and hands out nothing.

        Raises:
            TaskBuildError: If none of the next `MAX_TRIES` tasks can be built.
        """
        ids, _ = self._draws.look(MAX_TRIES)
        failed: TaskBuildError | None = None
        for task_id in dict.fromkeys(ids.tolist()):
            try:
                return self._tasks[task_id]
            except TaskBuildError as error:
                failed = error
        assert failed is not None  # noqa: S101  there are ids
        raise failed

    def next(self) -> Task[ConfigT]:
        """Returns the next task that can be built. The caller advances the draws by 1.

        Raises:
            TaskBuildError: If no task could be built so far, and `MAX_UNBUILDABLE` different tasks in a row cannot, or
                if no task of the pool can be built.
        """
        in_a_row: list[int] = []
        while True:
            try:
                return self._tasks[self._draws.peek()]
            except TaskBuildError as error:
                self._give_up(error)
                self._draws.advance(1)
                in_a_row.append(error.task_id)
                if self._unbuildable.is_hopeless(in_a_row):
                    raise

    def take(self, n: int, *, replace: bool) -> tuple[list[Task[ConfigT]], int]:
        """Draws tasks that can be built.

        Args:
            n: Number of tasks.
            replace: Whether a task can be drawn more than once.

        Returns:
            The `n` tasks, and the number of uniforms by which the caller advances the draws.

        Raises:
            TaskBuildError: With `replace`, as `next` does; without, if too few tasks of the pool can be built.
        """
        if replace:
            tasks = []
            for _ in range(n):
                tasks.append(self.next())
                self._draws.advance(1)
            return tasks, 0
        failed: set[int] = set()
        failure: TaskBuildError | None = None
        while True:
            ids, num_draws = self._draws.look_distinct(n + len(failed))
            if failure is not None and len(ids) < n + len(failed):
                raise failure
            try:
                built = [self._tasks[task_id] for task_id in ids.tolist() if task_id not in failed]
            except TaskBuildError as error:
                self._give_up(error)
                failed.add(error.task_id)
                failure = error
            else:
                return built[:n], num_draws

    def _give_up(self, error: TaskBuildError) -> None:
        """Logs a hand-out of the unbuildable task, and its cancellation."""
        self._tracker.schedule(error.task_id)
        self._unbuildable.give_up(error)


class CoveringAsk(Generic[ConfigT]):
    """Hands out the next tasks that can be built where a walk covers the pool, and gives up the unbuildable ones.

    A walk is a part of the table, so a call takes the table's lock, as a call with tickets does.

    Args:
        tasks: Builds the tasks.
        tickets: Hands out tasks.
        tracker: Logs hand-outs.
        unbuildable: Cancels hand-outs that the caller does not get.
    """

    def __init__(
        self, tasks: TaskCache[ConfigT], tickets: Tickets, tracker: TaskTracker, unbuildable: Unbuildable
    ) -> None:
        self._tasks = tasks
        self._tickets = tickets
        self._tracker = tracker
        self._backend = tracker.backend
        self._unbuildable = unbuildable

    def ask(self, n: int, *, replace: bool) -> list[Task[ConfigT]]:
        """Returns the next `n` tasks that can be built.

        Raises:
            TaskBuildError: If several different tasks in a row cannot be built. All hand-outs of the call are then
                cancelled.
        """
        capacity = self._backend.capacity
        asked: list[Task[ConfigT]] = []
        failed: set[int] = set()
        in_a_row: list[int] = []
        held = Counter[int]()  # id -> hand-outs of this call that are open; follows each change of the log at once
        try:
            while len(asked) < n:
                barred = np.array([*(task.task_id for task in asked), *failed], np.int64) % capacity
                ids = self._tickets.ask_without(n - len(asked), barred, replace=replace).tolist()
                held.update(ids)
                for task_id in ids:
                    try:
                        task = self._tasks[task_id]
                    except TaskBuildError as error:
                        if error.task_id != task_id:
                            self._exchange(task_id, error.task_id, held)
                        self._unbuildable.give_up(error)
                        held[error.task_id] -= 1
                        failed.add(task_id)
                        in_a_row.append(task_id)
                        is_short = not replace and n + len(failed) > self._backend.glance()[0].num_active
                        if is_short or self._unbuildable.is_hopeless(in_a_row):
                            raise
                    else:
                        if task.task_id != task_id:
                            self._exchange(task_id, task.task_id, held)
                        asked.append(task)
                        in_a_row.clear()
        except BaseException as error:  # an interrupt, too: the caller gets none of the tasks
            reason = BUILT_IN_REASONS[UNBUILDABLE] if isinstance(error, TaskBuildError) else "interrupted"
            self._unbuildable.cancel(np.array([*held.elements()], np.int64), reason)
            raise
        return asked

    def _exchange(self, task_id: int, successor: int, held: Counter[int]) -> None:
        """Hands out the successor of a task that was evicted meanwhile, and cancels the hand-out of the task."""
        self._tracker.schedule(successor)
        held[successor] += 1
        self._unbuildable.cancel([task_id], BUILT_IN_REASONS[EVICTED])
        held[task_id] -= 1

    def look(self) -> Task[ConfigT]:
        """Returns the next task, and hands out nothing.

        Raises:
            TaskBuildError: If the task cannot be built.
        """
        return self._tasks[self._tickets.look()]
