"""What a way of choosing tasks has to be able to do."""

from abc import ABC, abstractmethod

from ..arrays import Array, Columns
from ..config import CurriculumConfig
from ..priorities import evictable


class Algorithm(ABC):
    """A way of choosing tasks: two pure functions of columns, which never write into their arguments."""

    follows_handouts: bool = False
    """Whether probabilities move with hand-outs alone, as a schedule's do: then hand-outs, too, make a refresh due."""

    chooses_labels: bool = False
    """Whether it chooses among labels, and alike among the tasks of one: then the labels set the pace of refreshes."""

    @abstractmethod
    def priorities(self, columns: Columns) -> Array:
        """Returns how much there is to learn on each task, shape (capacity,).

        Higher is more. Finite for active tasks; anything where a row is inactive.
        """

    @abstractmethod
    def probabilities(self, columns: Columns, priorities: Array) -> Array:
        """Returns the probability of each task to be drawn next, shape (capacity,), 0 where inactive, sum 1.

        Args:
            columns: The columns that `priorities` was called with.
            priorities: What `priorities` returned for them, shape (capacity,).
        """

    def evictable(self, columns: Columns, priorities: Array, config: CurriculumConfig) -> Array:
        """Returns which tasks may be replaced by new ones, bool, shape (capacity,). The lowest priorities go first.

        Unless overridden: tasks with `config.min_presentations_for_eviction` completions in the lowest
        `config.eviction_threshold_percentile` of priorities.
        """
        return evictable(priorities, columns, config)
