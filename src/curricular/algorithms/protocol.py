"""What a way of choosing tasks has to be able to do."""

from typing import Protocol

from ..scorers import Array, Columns


class Algorithm(Protocol):
    """A way of choosing tasks: three pure functions of columns. Arguments are never written into."""

    def scores(self, columns: Columns) -> Array:
        """How much there is to learn on each task, shape (capacity,), higher is more; anything where inactive."""
        ...

    def probabilities(self, columns: Columns) -> Array:
        """The chance of each task to be drawn next, shape (capacity,), 0 where inactive, sum 1."""
        ...

    def evictable(self, columns: Columns) -> Array:
        """Which tasks may be replaced by new ones, bool, shape (capacity,). Of these, the lowest scores go first."""
        ...
