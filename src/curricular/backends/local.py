"""`LocalMemoryBackend`: keeps the table in the memory of one process."""

import os
import sys
import weakref
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple, NoReturn

import numpy as np
from numpy.typing import NDArray

from ..config import USUAL_MAX_OPEN
from ..mutex import ReentrantCallError, is_inside
from ..probabilities import pick
from ..rows import Rows
from ..table import EVENT, Counters, Patch, Table, copy_table, empty_table, issue_stream, ledger_size
from .protocol import LOG_SIZE, NOTHING_LOST, PACKED_EVENT, LogFullError, Lost, ResultT, Transaction

_SIZE = EVENT.itemsize
_REMEDY = "leave use_shared_memory=True, or give the config a session_id"


class _Log:
    """A log of at most `LOG_SIZE` events. `end` is the number of bytes in use, `limit` the number available."""

    __slots__ = ("bytes", "end", "events", "limit")

    def __init__(self) -> None:
        self.events = np.zeros(LOG_SIZE, EVENT)
        self.bytes = self.events.view(np.uint8).data
        self.end = 0
        self.limit = len(self.bytes)


_CLOSED = _Log()
"""The log of a backend that cannot be used: it takes no events."""

_CLOSED.limit = 0


class _Commit(NamedTuple):
    """A committed change, which may not be installed yet."""

    patch: Patch
    log: _Log
    """The log that takes events after the commit."""


class LocalMemoryBackend:
    """Keeps the table in NumPy arrays: the fastest backend, and the template for a custom backend.

    The original would never see results told to a copy. A forked copy therefore refuses use, and pickling raises.

    Args:
        capacity: Number of rows.
        num_axes: Number of params of a task.
        max_open: Number of hand-outs with tickets that can be open at a time, rounded up to a power of two.
    """

    def __init__(self, capacity: int, num_axes: int = 0, max_open: int = USUAL_MAX_OPEN) -> None:
        table = empty_table(capacity, num_axes, ledger_size(max_open))
        self._table = replace(table, counters=issue_stream(table).counters)
        self._stream = self._restores = self._num_holders = 0
        self.epoch: int = 0
        self._logs = (_Log(), _Log())
        self._log = self._logs[0]
        self._committed: _Commit | None = None
        self._transaction: _LocalTransaction | None = None
        self._ids: memoryview = self._table.rows["task_id"].data
        self._refusal = ""
        _backends.add(self)

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            f"curriculum: expected one in shared memory to copy into another process, got a local one, "
            f"which would lose the results of the copy; {_REMEDY}"
        )

    def _forget_parent(self) -> None:
        self._log = _CLOSED
        self._refusal = (
            f"curriculum: expected one in shared memory in a forked process, got a copy of a local one, "
            f"which would lose its results; {_REMEDY}"
        )

    def _current_log(self) -> _Log:
        """Finishes a change that an interrupt may have left unfinished, and returns the log in use."""
        if self._refusal:
            raise RuntimeError(self._refusal)
        if self._committed is not None:
            self._install(self._committed)
        return self._log

    def _commit(self, patch: Patch, *, flushes: bool) -> None:
        log = self._current_log()
        if flushes:
            log.limit = log.end  # until the change is installed, no log may take an event
            first, second = self._logs
            log = second if log is first else first
            log.end, log.limit = 0, len(log.bytes)
        self._committed = _Commit(patch, log)  # the one assignment that commits
        self._install(self._committed)

    def _install(self, committed: _Commit) -> None:
        """Applies the committed change to the table. Repeating it changes nothing."""
        patch = committed.patch
        table = self._table
        table.rows.put(patch.slots, patch.rows)
        if patch.ledger is not None:
            table.ledger.put(patch.ledger.places, patch.ledger.entries)
        cumulated = table.cumulated if patch.cumulated is None else patch.cumulated
        reasons = table.reasons if patch.reasons is None else patch.reasons
        scores = table.score_range if patch.score_range is None else patch.score_range
        self._table = Table(table.rows, patch.labels, patch.counters, cumulated, scores, reasons, table.ledger)
        self.epoch = patch.counters.epoch
        self._log = committed.log
        self._committed = None

    @property
    def capacity(self) -> int:
        return len(self._table.rows)

    @property
    def follows(self) -> bool:
        return False

    @property
    def stream(self) -> int:
        self._current_log()
        if self._table.counters.num_restores != self._restores and self._num_holders > 1:
            self._stream = self.apply(_issue)
            self._restores = self._table.counters.num_restores
        return self._stream

    @property
    def num_workers(self) -> int:
        return 1

    @property
    def worker(self) -> int:
        return 0

    @property
    def num_free(self) -> int:
        log = self._current_log()
        return (log.limit - log.end) // _SIZE

    def add_holder(self) -> int:
        self._num_holders += 1
        return self._num_holders - 1

    def append(self, kind: int, task_id: int, score: float, regret: float) -> bool:
        log = self._log
        end = log.end
        if end == log.limit:
            log = self._current_log()
            end = log.end
            if end == log.limit:
                raise LogFullError
        PACKED_EVENT.pack_into(log.bytes, end, task_id, kind, score, regret)
        log.end = end = end + _SIZE
        return end == log.limit

    def extend(self, events: NDArray[np.void]) -> bool:
        if self.num_free < len(events):
            raise LogFullError
        log = self._current_log()
        start = log.end // _SIZE
        log.events[start : start + len(events)] = events
        log.end += len(events) * _SIZE
        return log.end == log.limit

    def glance(self) -> tuple[Counters, int]:
        log = self._current_log()
        return self._table.counters, log.end // _SIZE

    def newest_id(self, slot: int) -> int:
        return self._ids[slot]

    def newest_ids(self, slots: NDArray[np.int64]) -> NDArray[np.int64]:
        ids: NDArray[np.int64] = self._table.rows["task_id"][slots]
        return ids

    def read(self, slots: NDArray[np.int64]) -> Rows:
        self._current_log()
        return self._table.rows.take(slots)

    def draw(self, uniforms: NDArray[np.float64]) -> tuple[NDArray[np.int64], int]:
        self._current_log()
        return self.newest_ids(pick(self._table.cumulated, uniforms)), self.epoch

    def apply(self, fn: Callable[[Transaction], ResultT]) -> ResultT:
        if self._transaction is not None and is_inside(_APPLY, self, skip=1):
            raise ReentrantCallError(
                "backend: expected one change of the table at a time, got a second one within the first; change the "
                "table through the transaction of the first"
            )
        self._current_log()
        transaction = self._transaction = _LocalTransaction(self)
        try:
            return fn(transaction)
        finally:
            transaction.end()
            self._transaction = None

    def try_apply(self, fn: Callable[[Transaction], None]) -> bool:
        self.apply(fn)
        return True

    def snapshot(self) -> Table:
        self._current_log()
        return copy_table(self._table)

    def forward(self) -> None:
        pass

    def current(self) -> Table:
        return self.snapshot()

    def look(self, fn: Callable[[Table], ResultT]) -> ResultT:
        return self.apply(lambda transaction: fn(transaction.table))

    def close(self) -> None:
        self._log = _CLOSED
        self._refusal = "curriculum: expected one that is in use, got one after close(); create a new one"


_APPLY = (LocalMemoryBackend.apply.__code__,)


def _issue(transaction: Transaction) -> int:
    """Issues a stream of random numbers and returns its number."""
    number = transaction.table.counters.num_streams
    transaction.commit(issue_stream(transaction.table))
    return number


class _LocalTransaction:
    """Access to a `LocalMemoryBackend` until `end` is called."""

    def __init__(self, backend: LocalMemoryBackend) -> None:
        self._backend: LocalMemoryBackend | None = backend

    @property
    def _open(self) -> LocalMemoryBackend:
        if self._backend is None:
            raise RuntimeError("transaction: expected one that is under way, got one that has ended; call apply again")
        return self._backend

    @property
    def table(self) -> Table:
        return self._open._table

    @property
    def events(self) -> NDArray[np.void]:
        log = self._open._current_log()
        return log.events[: log.end // _SIZE]

    @property
    def lost(self) -> Lost:
        return NOTHING_LOST

    @property
    def follows(self) -> bool:
        return False

    def commit(self, patch: Patch, *, flushes: bool = False) -> None:
        self._open._commit(patch, flushes=flushes)

    def forward(self, patch: Patch, events: Sequence[NDArray[np.void]]) -> None:
        raise RuntimeError("transaction: expected that of a follower, got a table that follows no hub; call commit")

    def end(self) -> None:
        self._backend = None


_backends: weakref.WeakSet[LocalMemoryBackend] = weakref.WeakSet()
"""The backends of this process, which `_forget_parent` marks as copies after a fork."""


def _forget_parent() -> None:
    for backend in list(_backends):
        backend._forget_parent()


if sys.platform != "win32":
    os.register_at_fork(after_in_child=_forget_parent)
