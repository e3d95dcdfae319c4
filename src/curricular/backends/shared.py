"""`SharedMemoryBackend`: keeps one table for all processes of a session, and stays correct if any process dies.

Each worker appends events to its own ring without a lock. The worker that holds the lock of the table flushes the rings
of all workers, dead workers included, through the `journal`. docs/sessions.md describes the protocol.
"""

import logging
import math
import os
import sys
import time
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..config import USUAL_MAX_OPEN
from ..probabilities import pick
from ..rows import Rows
from ..table import EVENT, Counters, Table, copy_table, issue_stream, ledger_size
from . import session
from .journal import SessionTable, SessionTransaction, row_checks
from .layout import FIRST, FLUSHED, HEAD, HOLDER, MAX_WORKERS, NUM_WORKERS, NUMBER, PID, SessionError, Spec
from .protocol import LOG_SIZE, PACKED_EVENT, LogFullError, ResultT, Transaction
from .session import SessionFile, is_in_place, join_session, open_session, release_session, remove_private

_log = logging.getLogger(__name__)

_SIZE = EVENT.itemsize
_EPOCH = Counters._fields.index("epoch")
_RESTORES = Counters._fields.index("num_restores")

MAX_DELAY = 0.1
"""Age of the last flush by any worker, in seconds, after which the next result of a worker triggers a flush."""


class SharedMemoryBackend:
    """Keeps the table of a session in shared memory.

    A copy made by fork or pickle becomes another worker of the same session. Only one thread may use the object at a
    time.

    Args:
        name: Name of the session to create or join. None creates a new private session.
        capacity: Number of rows.
        num_axes: Number of params of a task.
        settings: JSON values by name. A process that joins with other settings is refused.
        max_open: Number of hand-outs with tickets that can be open at a time, rounded up to a power of two.
        axes: Outline of the generator's axes, for processes that read the session without joining it.

    Raises:
        SessionError: If the session cannot be created, is full, or was created with other arguments.
    """

    def __init__(
        self,
        name: str | None,
        capacity: int,
        num_axes: int = 0,
        settings: dict[str, Any] | None = None,
        max_open: int = USUAL_MAX_OPEN,
        axes: Sequence[Any] = (),
    ) -> None:
        spec = Spec(capacity, num_axes, ledger_size(max_open), settings or {}, list(axes))
        self._num_holders = 0
        self._join(lambda: open_session(name, spec))

    def __reduce__(self) -> tuple[Any, ...]:
        return rejoin, (self._file.path,)

    # Joining

    def _join(self, find: Callable[[], SessionFile]) -> None:
        """Becomes a worker of the session that `find` returns; calls `find` again if the session is swept first."""
        while True:
            self._map(find())
            try:
                is_worker = self._claim()
            except BaseException:
                self._finalizer()
                raise
            if is_worker:
                break
            self._finalizer()
        _backends.add(self)
        if self._control[NUM_WORKERS] > 1:
            name, num_others, num_completed = (
                self._file.path.name,
                self._control[NUM_WORKERS] - 1,
                self.glance()[0].num_completed,
            )
            _log.info("joined session %r (other workers: %d, results: %d)", name, num_others, num_completed)

    def _map(self, file: SessionFile) -> None:
        self._file = file
        self._shared = SessionTable(file)
        self._workers, self._tails, self._rings = self._shared.workers, self._shared.tails, self._shared.rings
        self._rows, self._checks = self._shared.rows, self._shared.checks
        self._distributions = self._shared.distributions
        self._control: memoryview = self._shared.control
        self._counts: memoryview = self._shared.counts
        self._ids: memoryview = self._rows["task_id"].data
        self._is_closed = False
        self._finalizer: weakref.finalize[..., SharedMemoryBackend] = weakref.finalize(self, release_session, file)
        self._forget_slot()

    def _forget_slot(self) -> None:
        self._slot = -1
        self._full_at = -1
        self._own: memoryview = self._workers[0].data

    def _claim(self) -> bool:
        """Claims a worker slot, its ring and a stream of random numbers; returns False if the session was swept."""
        return bool(self._file.exclusively(self._control, HOLDER, self._claim_locked, wait=True))

    def _claim_locked(self) -> bool:
        file = self._file
        if not is_in_place(file):
            return False
        self._shared.recover()
        self._shared.begin()
        self._shared.check()
        claimed = np.flatnonzero(self._workers[:, PID]).tolist()
        num_alive = sum(file.is_alive(slot) for slot in claimed)
        slot = self._find_slot()
        if slot < 0:
            raise SessionError(
                f"session {file.path.name!r}: expected at most {MAX_WORKERS} workers at a time, got one more; "
                f"end some of them, or let several environments share one curriculum"
            )
        try:
            file.reserve(*file.layout.ring_span(slot))
            session.fault("claimed")
            self._issue_stream()
            self._workers[slot, NUMBER] = self._stream + 1  # which no worker has or had
            self._workers[slot, FIRST] = self._workers[slot, HEAD]
            self._workers[slot, PID] = os.getpid()
            self._control[NUM_WORKERS] = num_alive + 1
            session.fault("counted")
        except BaseException:
            self._workers[slot, PID] = 0
            file.release_life(slot)
            raise
        self._slot = slot
        self._ring: memoryview = self._rings[slot].view(np.uint8).data
        self._own = self._workers[slot].data  # may hold events of a dead worker, for the next flush
        self._tried_at = -math.inf
        self._control[FLUSHED] = int(1e9 * time.monotonic())
        self._find_free()
        self._finalizer.detach()
        self._finalizer = weakref.finalize(self, _leave, file, self._control, self._workers, slot, os.getpid())
        processes = sys.modules.get("multiprocessing.util")
        if processes is not None:
            # A process that is not forked from this one unpickles the backend before it is set up as a process.
            processes.register_after_fork(self, SharedMemoryBackend._leave_at_process_end)
            self._leave_at_process_end()
        return True

    def _leave_at_process_end(self) -> None:
        """Gives up the slot at the regular end of a process of `multiprocessing`, which may skip exit handlers."""
        from multiprocessing import process, util  # noqa: PLC0415  called only if the process has imported them

        if self._slot >= 0 and process.parent_process() is not None:
            util.Finalize(None, self._finalizer, exitpriority=0)

    def _find_slot(self) -> int:
        """Claims the life byte of a free slot, and returns the slot; −1 if there is none.

        The slot of a dead worker that has something out comes last: a flush has yet to end it.
        """
        file, dead = self._file, []
        for slot in range(MAX_WORKERS):
            if file.claim_life(slot):
                if not self._workers[slot, PID] or not self._shared.has_out(slot):
                    return slot
                file.release_life(slot)
                dead.append(slot)
        return next((slot for slot in dead if file.claim_life(slot)), -1)

    def _issue_stream(self) -> None:
        table = self._shared.table
        self._stream = table.counters.num_streams
        self._shared.commit(issue_stream(table), None)
        self._restores: int = self._counts[_RESTORES]

    def _ensure_worker(self) -> None:
        """Makes a forked copy another worker.

        Raises:
            SessionError: If the curriculum is closed, or the session was removed.
        """
        if self._is_closed:
            raise SessionError("curriculum: expected one that is in use, got one after close(); create a new one")
        if self._slot < 0 and not self._claim():
            raise SessionError(f"session {self._file.path.name!r}: expected it to exist, but it was removed")

    def _forget_parent(self) -> None:
        """Gives up the slot in a forked child, because the slot belongs to the parent."""
        self._finalizer.detach()
        self._finalizer = weakref.finalize(self, release_session, self._file)
        self._forget_slot()

    # The backend protocol

    @property
    def capacity(self) -> int:
        return len(self._checks)

    @property
    def follows(self) -> bool:
        return False

    @property
    def epoch(self) -> int:
        return self._counts[_EPOCH] if self._slot >= 0 else -1

    @property
    def stream(self) -> int:
        self._ensure_worker()
        if self._counts[_RESTORES] != self._restores:
            self.apply(lambda _: self._issue_stream())
        return self._stream

    @property
    def num_workers(self) -> int:
        return self._control[NUM_WORKERS]

    @property
    def worker(self) -> int:
        self._ensure_worker()
        return int(self._own[NUMBER])

    @property
    def num_free(self) -> int:
        return self._find_free()

    def add_holder(self) -> int:
        self._num_holders += 1
        return self._num_holders - 1

    def append(self, kind: int, task_id: int, score: float, regret: float) -> bool:
        head = self._own[HEAD]
        if head >= self._full_at:
            if self._find_free() == 0:
                raise LogFullError
            head = self._own[HEAD]
        PACKED_EVENT.pack_into(self._ring, head % LOG_SIZE * _SIZE, task_id, kind, score, regret)
        self._own[HEAD] = head + 1  # the one store that publishes the event
        if head + 1 >= self._full_at and self._find_free() == 0:
            return True
        return self._control[NUM_WORKERS] > 1 and self._is_late()

    def _is_late(self) -> bool:
        """Returns whether a flush is overdue: no worker has flushed the logs of all for `MAX_DELAY` seconds.

        After True, returns False for `MAX_DELAY` / 8 seconds.

        The pause limits how often a worker tries a lock that is not free.
        """
        now = time.monotonic()
        age = now - 1e-9 * self._control[FLUSHED]
        # A flush in the future is one from before the machine was restarted.
        if 0 <= age <= MAX_DELAY or now - self._tried_at <= MAX_DELAY / 8:
            return False
        self._tried_at = now
        return True

    def extend(self, events: NDArray[np.void]) -> bool:
        if self._find_free() < len(events):
            raise LogFullError
        head: int = self._own[HEAD]
        first = head % LOG_SIZE
        num_before_end = min(len(events), LOG_SIZE - first)
        ring = self._rings[self._slot]
        ring[first : first + num_before_end] = events[:num_before_end]
        ring[: len(events) - num_before_end] = events[num_before_end:]
        self._own[HEAD] = head + len(events)
        return self._find_free() == 0 or (self.num_workers > 1 and self._is_late())

    def _find_free(self) -> int:
        """Updates the head at which the ring is full, and returns the number of events that it can still take."""
        self._ensure_worker()
        self._full_at = int(self._tails[self._slot]) + LOG_SIZE
        num_free: int = self._full_at - self._own[HEAD]
        if not 0 <= num_free <= LOG_SIZE:
            raise self._shared.corrupt(f"a log of {LOG_SIZE - num_free} events")
        return num_free

    def glance(self) -> tuple[Counters, int]:
        return Counters(*self._shared.counters.tolist()), int((self._workers[:, HEAD] - self._tails).sum())

    def newest_id(self, slot: int) -> int:
        return self._ids[slot]

    def newest_ids(self, slots: NDArray[np.int64]) -> NDArray[np.int64]:
        ids: NDArray[np.int64] = self._rows["task_id"][slots]
        return ids

    def read(self, slots: NDArray[np.int64]) -> Rows:
        rows = self._rows.take(slots)
        if (row_checks(rows) == self._checks[slots]).all():
            return rows
        # Another process is changing these rows: wait for it.
        return self.apply(
            lambda transaction: self._shared.intact(transaction.table.rows.take(slots), self._checks[slots])
        )

    def draw(self, uniforms: NDArray[np.float64]) -> tuple[NDArray[np.int64], int]:
        self._ensure_worker()
        while True:
            epoch: int = self._counts[_EPOCH]
            slots = pick(self._distributions[epoch % 2], uniforms)
            ids = self.newest_ids(np.minimum(slots, self.capacity - 1))
            if self._counts[_EPOCH] == epoch:
                return ids, epoch

    def apply(self, fn: Callable[[Transaction], ResultT]) -> ResultT:
        self._ensure_worker()
        results: list[ResultT] = []
        self._file.exclusively(self._control, HOLDER, lambda: results.append(self._run(fn)), wait=True)
        return results[0]

    def try_apply(self, fn: Callable[[Transaction], None]) -> bool:
        self._ensure_worker()

        def run() -> bool:
            self._run(fn)
            return True

        return bool(self._file.exclusively(self._control, HOLDER, run, wait=False))

    def _run(self, fn: Callable[[Transaction], ResultT]) -> ResultT:
        self._shared.recover()
        self._shared.check_counters()
        transaction = SessionTransaction(self._shared)
        try:
            return fn(transaction)
        except Exception as error:  # whatever rows that are damaged lead to
            self._shared.explain(error)
            raise
        finally:
            transaction.end()
            if transaction.has_flushed:
                self._control[FLUSHED] = int(1e9 * time.monotonic())

    def snapshot(self) -> Table:
        return self.apply(lambda transaction: copy_table(self._checked(transaction)))

    def _checked(self, transaction: Transaction) -> Table:
        """Returns the table, after checks of everything that a caller may read."""
        table = transaction.table
        self._shared.intact(table.rows, self._checks)
        self._shared.check_labels()
        self._shared.check_reasons()
        self._shared.check_ledger()
        self._shared.check_distribution()
        return table

    def forward(self) -> None:
        pass

    def current(self) -> Table:
        return self.snapshot()

    def look(self, fn: Callable[[Table], ResultT]) -> ResultT:
        if self.num_workers > 1:  # the others would wait for the lock
            return fn(self.current())
        return self.apply(lambda transaction: fn(self._checked(transaction)))

    def close(self) -> None:
        self._finalizer()
        self._forget_slot()
        self._is_closed = True
        _backends.discard(self)


_backends: weakref.WeakSet[SharedMemoryBackend] = weakref.WeakSet()
"""The backends of this process, which `_forget_parent` resets after a fork."""


def _forget_parent() -> None:
    for backend in list(_backends):
        backend._forget_parent()


if sys.platform != "win32":
    os.register_at_fork(after_in_child=_forget_parent)


def rejoin(path: Path) -> SharedMemoryBackend:
    """Returns a worker of the session at `path`. A pickled backend is unpickled as such a worker.

    Raises:
        SessionError: If the session has ended.
    """
    return joined(SharedMemoryBackend, lambda: find_session(path))


SharedT = TypeVar("SharedT", bound=SharedMemoryBackend)


def joined(kind: type[SharedT], find: Callable[[], SessionFile]) -> SharedT:
    """Returns a worker, of class `kind`, of the session that `find` opens."""
    backend = kind.__new__(kind)
    backend._num_holders = 0
    backend._join(find)
    return backend


def find_session(path: Path) -> SessionFile:
    """Opens the session at `path`.

    Raises:
        SessionError: If the session has ended.
    """
    try:
        return join_session(path)
    except FileNotFoundError as error:
        raise SessionError(
            f"session {path.name!r}: expected it to exist, but it ended; unpickle its curriculum while another "
            f"process holds it"
        ) from error


def _leave(file: SessionFile, control: memoryview, workers: NDArray[np.int64], slot: int, pid: int) -> None:
    """Gives up a worker's slot. Other workers flush the events that remain in its ring."""
    if os.getpid() != pid:
        return
    # What is out stays open, even if the lock is not free now and a flush has to give up the slot.
    workers[slot, NUMBER] = 0
    workers[slot, FIRST] = workers[slot, HEAD]

    def leave() -> bool:
        workers[slot, PID] = 0
        control[NUM_WORKERS] = max(0, min(control[NUM_WORKERS], MAX_WORKERS) - 1)  # in range even if damaged
        session.fault("leaving")
        file.release_life(slot)
        return True

    if not file.exclusively(control, HOLDER, leave, wait=False):  # the next worker to join counts all workers
        file.release_life(slot)
    if not file.slots:
        remove_private(file)
    release_session(file)
