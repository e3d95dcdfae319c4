"""Whose failures are they? Tells an environment that fails on every task from a few tasks that cannot be played."""

from collections import Counter
from collections.abc import Iterable

__all__ = ["DEFAULT_MAX_FAILURES", "MAX_FAILURES_IN_A_ROW", "FailureStreak"]

DEFAULT_MAX_FAILURES = 16
"""Number of different tasks in a row on which an environment must fail to count as broken, unless the user says.

In a family in which one task in three is broken, 16 failures in a row have a probability of 2e-8.
"""

MAX_FAILURES_IN_A_ROW = 1000
"""Number of failures in a row, on any tasks, at which the environment counts as broken in any case."""


class FailureStreak:
    """Counts the failures since the last episode that ended, and the different tasks that they need as an explanation.

    A failure of several tasks at once, such as a step of several environments that raises, may be the fault of any one
    of them. So the streak is the environment's fault only if no few tasks can explain it: the tasks that took part in
    most of its failures must leave at least one failure without any of them.

    Args:
        max_tasks: Number of different tasks, at least 1, that makes the failures the environment's.
        num_tasks: Size of the pool. In a pool of fewer than `max_tasks` tasks, all of them must fail.
    """

    def __init__(self, max_tasks: int, num_tasks: int) -> None:
        self._min_length = max_tasks
        self._max_tasks = min(max_tasks, num_tasks)
        self._num_by_task = Counter[int]()
        self.length: int = 0
        """Number of failures in a row."""

    @property
    def num_tasks(self) -> int:
        """Number of different tasks that took part in the failures."""
        return len(self._num_by_task)

    def add(self, task_ids: Iterable[int]) -> bool:
        """Adds a failure of any one of these tasks, and returns whether the failures are the environment's."""
        self.length += 1
        self._num_by_task.update(set(task_ids))
        if self.length < self._min_length:
            return False
        num_explained = sum(number for _, number in self._num_by_task.most_common(self._max_tasks - 1))
        return num_explained < self.length or self.length >= MAX_FAILURES_IN_A_ROW

    def end(self) -> None:
        """Ends the streak: an episode ended."""
        self.length = 0
        self._num_by_task.clear()
