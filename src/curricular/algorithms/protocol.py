"""The interface of an algorithm."""

from abc import ABC, abstractmethod

from ..arrays import Array, Columns
from ..config import CurriculumConfig
from ..priorities import evictable


class Algorithm(ABC):
    """Chooses tasks by two pure functions of columns, which never write into their arguments."""

    follows_handouts: bool = False
    """Whether hand-outs alone change the probabilities, as in a schedule. If so, hand-outs count towards a refresh."""

    chooses_labels: bool = False
    """Whether the algorithm chooses a label, then any of its tasks. If so, the refresh interval follows the number of
    labels, as far as refreshes stay cheap."""

    evicts_tasks: bool = True
    """Whether tasks of low priority are evicted. Unplayable tasks are evicted in any case."""

    @abstractmethod
    def priorities(self, columns: Columns) -> Array:
        """Returns the priority of each task, shape (capacity,): how much there is to learn on it.

        Args:
            columns: Columns of the pool.

        Returns:
            Finite for active tasks; any value where a row is inactive.
        """

    @abstractmethod
    def probabilities(self, columns: Columns, priorities: Array) -> Array:
        """Returns the probability of each task at the next draw, shape (capacity,), 0 where inactive, sum 1.

        Args:
            columns: The columns that `priorities` was called with.
            priorities: The result of `priorities` for these columns, shape (capacity,).
        """

    def is_trained_on(self, columns: Columns) -> Array:
        """Returns which active tasks to train on when they are handed out next, bool, shape (k,).

        The results of the others only rank them, as those of new levels in robust level replay. The default is all.

        Args:
            columns: Columns of k tasks of the pool, without ``"cells"``.
        """
        return columns["is_active"]

    def evictable(self, columns: Columns, priorities: Array, config: CurriculumConfig) -> Array:
        """Returns which tasks may be evicted, bool, shape (capacity,). Those of lowest priority are evicted first.

        The default is every task with at least `config.min_presentations_for_eviction` completions whose priority is
        in the lowest share `config.eviction_threshold_percentile`; no task if `evicts_tasks` is false.

        Args:
            columns: The columns that `priorities` was called with.
            priorities: The result of `priorities` for these columns, shape (capacity,).
            config: Settings of the curriculum.
        """
        return evictable(priorities, columns, config) if self.evicts_tasks else columns["is_active"] & False
