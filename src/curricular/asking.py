"""`CoveringAsk`: asks for tasks without tickets where a walk covers the pool, in one change of the table per call."""

import logging
from collections.abc import Callable
from typing import Generic

import numpy as np
from numpy.typing import NDArray

from .handouts import MAX_TRIES, MAX_UNBUILDABLE, TaskBuildError, TaskCache
from .table import BUILT_IN_REASONS, UNBUILDABLE
from .task import ConfigT, Task
from .tickets import Tickets
from .tracker import TaskTracker

_log = logging.getLogger(__name__)


class CoveringAsk(Generic[ConfigT]):
    """Hands out the next tasks that can be built, and cancels the hand-outs of unbuildable ones.

    A walk is a part of the table, so a call takes the table's lock, as a call with tickets does.

    Args:
        tasks: Builds the tasks.
        tickets: Hands out tasks.
        tracker: Logs the cancellations.
        count_cancelled: Called with the ids that were cancelled, and with whether the log is due to be flushed.
    """

    def __init__(
        self,
        tasks: TaskCache[ConfigT],
        tickets: Tickets,
        tracker: TaskTracker,
        count_cancelled: Callable[[NDArray[np.int64], bool], None],
    ) -> None:
        self._tasks = tasks
        self._tickets = tickets
        self._tracker = tracker
        self._count_cancelled = count_cancelled
        self._reported: set[int] = set()

    def ask(self, n: int, *, replace: bool) -> list[Task[ConfigT]]:
        """Returns the next `n` tasks that can be built.

        Raises:
            TaskBuildError: If several different tasks in a row cannot be built. All hand-outs of the call are then
                cancelled.
        """
        capacity = self._tracker.capacity
        asked: list[Task[ConfigT]] = []
        failed: set[int] = set()
        in_a_row: list[int] = []
        while len(asked) < n:
            barred = np.array([*(task.task_id for task in asked), *failed], np.int64) % capacity
            ids = self._tickets.ask_without(n - len(asked), barred, replace=replace)
            num_ended = 0  # of these hand-outs, those that were built or given up
            try:
                for task_id in ids.tolist():
                    try:
                        task = self._tasks[task_id]
                    except TaskBuildError as error:
                        self._give_up(error)
                        num_ended += 1
                        failed.add(task_id)
                        in_a_row.append(task_id)
                        is_short = not replace and n + len(failed) > self._tracker.backend.glance()[0].num_active
                        if is_short or self._is_hopeless(in_a_row):
                            raise
                    else:
                        asked.append(task)
                        num_ended += 1
                        in_a_row.clear()
            except BaseException as error:  # an interrupt, too: the caller gets none of the tasks
                reason = BUILT_IN_REASONS[UNBUILDABLE] if isinstance(error, TaskBuildError) else "interrupted"
                self._cancel(np.array([*(task.task_id for task in asked), *ids[num_ended:]], np.int64), reason)
                raise
        return asked

    def _is_hopeless(self, in_a_row: list[int]) -> bool:
        """Returns whether to give up after the failures of these tasks in a row."""
        capacity = self._tracker.capacity
        limit = capacity if self._tasks.num_built else min(MAX_UNBUILDABLE, capacity)
        return len(in_a_row) >= MAX_TRIES or len({*in_a_row}) >= limit

    def look(self) -> Task[ConfigT]:
        """Returns the next task, and hands out nothing.

        Raises:
            TaskBuildError: If the task cannot be built.
        """
        return self._tasks[self._tickets.look()]

    def _give_up(self, error: TaskBuildError) -> None:
        """Cancels the hand-out of an unbuildable task; warns once per task."""
        if error.task_id not in self._reported:
            self._reported.add(error.task_id)
            _log.warning("task %d cannot be built and is passed over: %s", error.task_id, error)
        self._cancel(np.array([error.task_id]), BUILT_IN_REASONS[UNBUILDABLE])

    def _cancel(self, ids: NDArray[np.int64], reason: str) -> None:
        _, is_log_due = self._tracker.cancel(ids, reason)
        self._count_cancelled(ids, is_log_due)
