"""Where the table lives: the protocol of a backend. What is done to rows is written once, in `curricular.table`."""

from collections.abc import Callable
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..table import Counters, Patch, Table
from ..task import Rows

ResultT = TypeVar("ResultT")

LOG_SIZE = 1024
"""Events that a process's log holds before they must be settled."""


class LogFullError(RuntimeError):
    """The log takes no more events until those in it are settled. Never leaves the library."""


class Transaction(Protocol):
    """Exclusive access to the table, for the length of one `Backend.apply`."""

    @property
    def table(self) -> Table:
        """The table as it stands after the last commit; read-only."""
        ...

    @property
    def events(self) -> NDArray[np.void]:
        """Events of all logs not yet settled, each log in its order; shape (n,), dtype `EVENT`."""
        ...

    def commit(self, patch: Patch, *, settles: bool = False) -> None:
        """Makes `patch` true, wholly or not at all; with `settles` the events are used up by the same act."""
        ...


class Backend(Protocol):
    """Keeps one table and one event log per process. Every method may be called from any process that holds it."""

    @property
    def capacity(self) -> int:
        """Rows in the table."""
        ...

    @property
    def epoch(self) -> int:
        """Changes whenever tasks drawn before must be drawn again: after a refresh and after a restore."""
        ...

    @property
    def stream(self) -> int:
        """Which stream of random numbers is this process's: no other process ever has or had the same."""
        ...

    @property
    def num_workers(self) -> int:
        """Processes that share the table, at least 1."""
        ...

    def append(self, kind: int, task_id: int, score: float, regret: float) -> bool:
        """Notes one event in this process's log; True when it is time to settle. The fast path.

        Raises `LogFullError` if the log is full.
        """
        ...

    def extend(self, events: NDArray[np.void]) -> bool:
        """Notes several events, at most `room()`, as `append` does."""
        ...

    def room(self) -> int:
        """Events that this process's log can still take, 0 to `LOG_SIZE`."""
        ...

    def glance(self) -> tuple[Counters, int]:
        """The counters, and how many events wait in the logs of all processes; not waiting for anybody, so about."""
        ...

    def newest_id(self, slot: int) -> int:
        """The id of the task that is in `slot` now."""
        ...

    def newest_ids(self, slots: NDArray[np.int64]) -> NDArray[np.int64]:
        """The ids of the tasks that are in `slots` now, shape of `slots`."""
        ...

    def read(self, slots: NDArray[np.int64]) -> Rows:
        """Copies of the rows in `slots`, shape (k,)."""
        ...

    def draw(self, uniforms: NDArray[np.float64]) -> tuple[NDArray[np.int64], int]:
        """The ids that `uniforms` in [0, 1) fall on in the distribution in use, and the epoch they are good for."""
        ...

    def apply(self, fn: Callable[[Transaction], ResultT]) -> ResultT:
        """Runs `fn` with exclusive access, wherever the rows live, and returns what it returns."""
        ...

    def try_apply(self, fn: Callable[[Transaction], None]) -> bool:
        """Runs `fn` as `apply` does, or returns False at once if another process has the access."""
        ...

    def snapshot(self) -> Table:
        """A consistent copy of the committed table."""
        ...

    def close(self) -> None:
        """Lets go of the table. Further calls are errors; closing twice is not."""
        ...
