"""What a backend has to be able to do. What happens to rows is written once, in `curricular.table`."""

from collections.abc import Callable
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..rows import Rows
from ..table import Counters, Patch, Table

ResultT = TypeVar("ResultT")

LOG_SIZE = 1024
"""Number of events that the log of a process holds until they must be flushed."""


class LogFullError(RuntimeError):
    """The log takes no more events until it is flushed. Never leaves the library."""


class Transaction(Protocol):
    """Exclusive access to the table. It ends with the call of `Backend.apply` that made it; then every use raises."""

    @property
    def table(self) -> Table:
        """The table as of the last commit; read-only."""
        ...

    @property
    def events(self) -> NDArray[np.void]:
        """Events of all logs that are not flushed yet, each log in its order; shape (n,), dtype `EVENT`."""
        ...

    def commit(self, patch: Patch, *, flushes: bool = False) -> None:
        """Applies `patch`, wholly or not at all; with `flushes` the same act removes `events` from the logs."""
        ...


class Backend(Protocol):
    """Keeps one table and one event log per process. Every method may be called from any process that holds it."""

    @property
    def capacity(self) -> int:
        """Number of rows in the table."""
        ...

    @property
    def epoch(self) -> int:
        """Changes whenever tasks drawn before must be drawn again: after a refresh and after a restore."""
        ...

    @property
    def stream(self) -> int:
        """Number of this process's stream of random numbers, which no other process has; a new one after a restore."""
        ...

    @property
    def num_workers(self) -> int:
        """Number of processes that share the table, at least 1."""
        ...

    @property
    def num_free(self) -> int:
        """Number of events that this process's log can still take, 0 to `LOG_SIZE`."""
        ...

    def add_holder(self) -> int:
        """Counts one more object that draws through this backend object, and returns how many there were before."""
        ...

    def append(self, kind: int, task_id: int, score: float, regret: float) -> bool:
        """Appends one event to this process's log, and returns whether the log is due to be flushed. The fast path.

        Raises:
            LogFullError: If the log is full. Then nothing is appended.
        """
        ...

    def extend(self, events: NDArray[np.void]) -> bool:
        """Appends several events, all or none, and returns whether the log is due to be flushed.

        Raises:
            LogFullError: If there are more than `num_free`. Then nothing is appended.
        """
        ...

    def glance(self) -> tuple[Counters, int]:
        """Returns the counters and the number of events in the logs of all processes, without waiting for a lock."""
        ...

    def newest_id(self, slot: int) -> int:
        """Returns the id of the task that is in `slot` now."""
        ...

    def newest_ids(self, slots: NDArray[np.int64]) -> NDArray[np.int64]:
        """Returns the ids of the tasks that are in `slots` now, shape of `slots`."""
        ...

    def read(self, slots: NDArray[np.int64]) -> Rows:
        """Returns copies of the rows in `slots`, shape (k,)."""
        ...

    def draw(self, uniforms: NDArray[np.float64]) -> tuple[NDArray[np.int64], int]:
        """Returns the ids that `uniforms` in [0, 1) select from the distribution in use, and the epoch they hold in."""
        ...

    def apply(self, fn: Callable[[Transaction], ResultT]) -> ResultT:
        """Runs `fn` with exclusive access, wherever the rows are, and returns what it returns.

        Raises:
            ReentrantCallError: If this thread is inside `apply` already.
        """
        ...

    def try_apply(self, fn: Callable[[Transaction], None]) -> bool:
        """Runs `fn` as `apply` does and returns True, or returns False at once if another process has the access."""
        ...

    def snapshot(self) -> Table:
        """Returns a consistent copy of the committed table."""
        ...

    def close(self) -> None:
        """Releases the table. Further calls raise; closing twice does not."""
        ...
