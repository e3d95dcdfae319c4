"""The protocol of backends. Backends store rows; only `curricular.table` computes changes of them."""

import struct
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..rows import Rows
from ..table import Counters, Patch, Table

ResultT = TypeVar("ResultT")

LOG_SIZE = 1024
"""Maximum number of events in the log of a process between two flushes."""


PACKED_EVENT = struct.Struct("=qqdd")
"""Writes one event into a log without the cost of a NumPy call; the layout of the dtype `EVENT`."""


class LogFullError(RuntimeError):
    """The log is full until it is flushed. The library always catches this error."""


class FollowerError(RuntimeError):
    """The call would change the table of a node of a cluster, which only the hub changes."""


class Lost(NamedTuple):
    """What workers that died had out."""

    workers: NDArray[np.int64]
    """Numbers of these workers, shape (k,)."""
    task_ids: NDArray[np.int64]
    """Ids of the tasks of their open hand-outs without a ticket, as far as their logs still tell, shape (n,)."""


NOTHING_LOST = Lost(np.empty(0, np.int64), np.empty(0, np.int64))
"""No worker has died."""


class Transaction(Protocol):
    """Exclusive access to the table during one call of `Backend.apply`. Every later use raises."""

    @property
    def table(self) -> Table:
        """The table after the last commit, read-only."""
        ...

    @property
    def events(self) -> NDArray[np.void]:
        """The events of all logs that are not flushed yet, shape (n,), dtype `EVENT`; each log in its order."""
        ...

    @property
    def lost(self) -> Lost:
        """What workers that died had out, without looking at the events that are not flushed yet."""
        ...

    @property
    def follows(self) -> bool:
        """`Backend.follows`."""
        ...

    def commit(self, patch: Patch, *, flushes: bool = False) -> None:
        """Applies `patch` entirely or not at all.

        If `flushes`, the same commit removes `events` from the logs and the dead workers of `lost` from the session.
        """
        ...

    def forward(self, patch: Patch, events: Sequence[NDArray[np.void]]) -> None:
        """Commits as `commit` with `flushes` does; the same commit moves the logged events into the outbox.

        Only a follower has one.

        Args:
            patch: The change, which touches no row.
            events: Further events for the outbox, each of dtype `EVENT` or `GROUP_EVENT`.
        """
        ...


class Backend(Protocol):
    """Keeps one table, and one event log per process. Any process that holds the backend may call every method."""

    @property
    def capacity(self) -> int:
        """The number of rows in the table."""
        ...

    @property
    def follows(self) -> bool:
        """Whether the table is a replica of another one, whose hub alone records results and chooses tasks."""
        ...

    @property
    def epoch(self) -> int:
        """A number that changes with every refresh, restore and rewrite, after which earlier draws are out of date."""
        ...

    @property
    def stream(self) -> int:
        """The number of this process's stream of random numbers: unique in the session, and new after a restore."""
        ...

    @property
    def num_workers(self) -> int:
        """The number of processes that share the table, at least 1."""
        ...

    @property
    def worker(self) -> int:
        """The number of this process as a worker, which no other worker of the session has or had."""
        ...

    @property
    def num_free(self) -> int:
        """The number of events that this process's log can still take, from 0 to `LOG_SIZE`."""
        ...

    def add_holder(self) -> int:
        """Registers one more object that draws through this backend, and returns the number registered before."""
        ...

    def append(self, kind: int, task_id: int, score: float, regret: float) -> bool:
        """Appends one event to this process's log, and returns whether a flush is due. Called once per result.

        Raises:
            LogFullError: If the log is full. The log is then unchanged.
        """
        ...

    def extend(self, events: NDArray[np.void]) -> bool:
        """Appends all of `events`, shape (n,), or none, and returns whether a flush is due.

        Raises:
            LogFullError: If `events` are more than `num_free`. The log is then unchanged.
        """
        ...

    def glance(self) -> tuple[Counters, int]:
        """Returns the counters and the number of events in the logs of all processes, without waiting for a lock."""
        ...

    def newest_id(self, slot: int) -> int:
        """Returns the id of the task now in `slot`."""
        ...

    def newest_ids(self, slots: NDArray[np.int64]) -> NDArray[np.int64]:
        """Returns the ids of the tasks now in `slots`, in the shape of `slots`."""
        ...

    def read(self, slots: NDArray[np.int64]) -> Rows:
        """Returns copies of the rows in `slots`, shape (k,)."""
        ...

    def draw(self, uniforms: NDArray[np.float64]) -> tuple[NDArray[np.int64], int]:
        """Draws one task for each of `uniforms`, in [0, 1), from the distribution in use.

        Returns:
            The ids of the tasks, in the shape of `uniforms`, and the epoch of the distribution.
        """
        ...

    def apply(self, fn: Callable[[Transaction], ResultT]) -> ResultT:
        """Runs `fn` with exclusive access to the table and returns its result.

        Raises:
            ReentrantCallError: If this thread is already inside `apply`.
        """
        ...

    def try_apply(self, fn: Callable[[Transaction], None]) -> bool:
        """Runs `fn` as `apply` does and returns True; returns False at once if another process has access."""
        ...

    def snapshot(self) -> Table:
        """Returns a consistent copy of the committed table."""
        ...

    def forward(self) -> None:
        """Returns when all events that were logged before the call are where the decisions are made.

        That is at once, unless the table is a replica.
        """
        ...

    def current(self) -> Table:
        """Returns a copy of the table as it is where the decisions are made: `snapshot`, unless it is a replica."""
        ...

    def look(self, fn: Callable[[Table], ResultT]) -> ResultT:
        """Returns `fn(table)` for the table that `current` copies; without a copy, if no other process changes it.

        `fn` neither changes nor keeps the table, and does not call the backend.
        """
        ...

    def close(self) -> None:
        """Releases the table. Later calls raise, except `close`, which then does nothing."""
        ...
