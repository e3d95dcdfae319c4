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
        num_tries = 0
        while len(asked) < n:
            barred = np.array([*(task.task_id for task in asked), *failed], np.int64) % capacity
            ids = self._tickets.ask_without(n - len(asked), barred, replace=replace)
            limit = capacity if self._tasks.num_built else min(MAX_UNBUILDABLE, capacity)
            for place, task_id in enumerate(ids.tolist()):
                try:
                    asked.append(self._tasks[task_id])
                except TaskBuildError as error:
                    self._give_up(error)
                    failed.add(task_id)
                    num_tries += 1
                    is_short = not replace and n + len(failed) > capacity
                    if is_short or len(failed) >= limit or num_tries >= MAX_TRIES:
                        given = [task.task_id for task in asked]
                        self._cancel(np.array([*given, *ids[place + 1 :]], np.int64))
                        raise
        return asked

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
        self._cancel(np.array([error.task_id]))

    def _cancel(self, ids: NDArray[np.int64]) -> None:
        _, is_log_due = self._tracker.cancel(ids, BUILT_IN_REASONS[UNBUILDABLE])
        self._count_cancelled(ids, is_log_due)
