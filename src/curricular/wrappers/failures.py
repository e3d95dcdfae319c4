"""`FailureStreak`: tells a broken environment, which fails on every task, from a few tasks that cannot be played."""

from collections import Counter
from collections.abc import Iterable

__all__ = ["DEFAULT_MAX_FAILURES", "MAX_FAILURES_IN_A_ROW", "FailureStreak"]

DEFAULT_MAX_FAILURES = 16
"""Default number of different tasks in a row on which an environment must fail to count as broken.

If one task in three is broken, 16 failures in a row have a probability of 2e-8.
"""

MAX_FAILURES_IN_A_ROW = 1000
"""Number of failures in a row, on any tasks, after which the environment counts as broken in any case."""


class FailureStreak:
    """Counts the failures since the last ended episode, and decides whether the environment or a few tasks cause them.

    If several tasks fail at once, as when a step of several environments raises, any one of them may be the cause. So
    the environment counts as broken only if a few tasks cannot explain the failures. The criterion: even the
    `max_tasks` − 1 tasks that took part in most failures leave at least one failure in which none of them took part.

    Args:
        max_tasks: Number of different tasks, at least 1, that must fail for the environment to count as broken.
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
        """Adds a failure that any one of these tasks may have caused, and returns whether the environment is broken."""
        self.length += 1
        self._num_by_task.update(set(task_ids))
        if self.length < self._min_length:
            return False
        num_explained = sum(number for _, number in self._num_by_task.most_common(self._max_tasks - 1))
        return num_explained < self.length or self.length >= MAX_FAILURES_IN_A_ROW

    def end(self) -> None:
        """Ends the streak, because an episode ended."""
        if self.length:
            self.length = 0
            self._num_by_task.clear()
