"""`SharedMemoryBackend`: one table for all processes of a session, right whatever dies. The protocol: docs/sessions.md.

Each worker appends events to a ring of its own, without a lock. Whoever holds the table's lock takes the events of all
rings, the dead workers' too, into the table through a redo journal: new images, then one word that commits them, then
the images into place. A process killed before the commit has changed nothing; after it, the next holder finishes.
"""

import os
import struct
import sys
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..samplers import pick
from ..table import EVENT, SCHEDULED, Counters, Patch, Table, copy_table, empty_table, issue_stream
from ..task import Rows
from . import LOG_SIZE, LogFullError, ResultT, Transaction, session
from .layout import (
    COMMITTED,
    CREATED,
    HAS_TAILS,
    HEAD,
    HOLDER,
    MAX_WORKERS,
    NUM_ROWS,
    NUM_WORKERS,
    PID,
    SessionError,
    Spec,
)
from .session import SessionFile, is_in_place, join_session, open_session, release_session, remove_private

_EVENT = struct.Struct("=qqdd")
_CREATED = Counters._fields.index("num_created")
_EPOCH = Counters._fields.index("epoch")
_RESTORES = Counters._fields.index("num_restores")

MAX_DELAY = 0.05
"""Seconds after which a worker that shares a session takes its results into the table, at its next one."""


class CorruptTableError(SessionError):
    """A row does not match its check word: something other than curricular wrote into the session file."""


def row_checks(rows: Rows) -> NDArray[np.int64]:
    """One word per row that changes with any one of its words, shape (n,)."""
    factors = 2 * np.arange(1, len(rows.words) + 1, dtype=np.int64) + 0x5851F42D4C957F2D
    checks: NDArray[np.int64] = np.einsum("i,ij->j", factors, rows.words)
    return checks


class SharedMemoryBackend:
    """The table of session `name`, or of a new private session if that is None, in shared memory.

    `settings` (JSON values by name) say what the session is for: a process that joins with other ones is refused. A
    copy made by fork or pickle belongs to the same session and is a worker of its own. For one thread at a time.

    Raises `SessionError` if the session cannot be made, is full, or was made for something else.
    """

    def __init__(
        self, name: str | None, capacity: int, num_axes: int = 0, settings: dict[str, Any] | None = None
    ) -> None:
        spec = Spec(capacity, num_axes, settings or {})
        self._join(lambda: open_session(name, spec))

    def __reduce__(self) -> tuple[Any, ...]:
        return rejoin, (self._file.path,)

    # Being a worker

    def _join(self, find: Callable[[], SessionFile]) -> None:
        """Becomes a worker of the session that `find` finds; again, if that one is swept in between."""
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

    def _map(self, file: SessionFile) -> None:
        self._file = file
        view = {name: file.layout.view(file.mapping, name) for name in file.layout.sections}
        self._workers, self._tails, self._rings = view["workers"], view["tails"], view["rings"]
        self._counters, self._labels, self._checks = view["counters"], view["labels"], view["checks"]
        self._distributions = view["cumulated"]
        self._rows = Rows(view["words"])
        self._journal = {name.removeprefix("journal_"): array for name, array in view.items() if "journal" in name}
        self._control: memoryview = view["control"].data
        self._counts: memoryview = self._counters.data
        self._ids: memoryview = self._rows["task_id"].data
        self._reserved_rows = 0
        self._is_closed = False
        self._finalizer: weakref.finalize[..., SharedMemoryBackend] = weakref.finalize(self, release_session, file)
        self._events: NDArray[np.void] | None = None
        self._heads = self._tails
        self._forget_slot()

    def _forget_slot(self) -> None:
        self._slot = -1
        self._end = self._limit = 0

    def _claim(self) -> bool:
        """Takes a worker's slot, its ring and a stream of random numbers; False if the session has been swept."""
        file = self._file
        with file.locked(self._control, HOLDER, wait=True):
            if not is_in_place(file):
                return False
            self._recover()
            self._begin()
            claimed = np.flatnonzero(self._workers[:, PID]).tolist()
            num_alive = sum(file.is_alive(slot) for slot in claimed)
            slot = next((slot for slot in range(MAX_WORKERS) if file.claim_life(slot)), -1)
            if slot < 0:
                raise SessionError(
                    f"session {file.path.name!r}: expected fewer than {MAX_WORKERS} workers at a time, got one more; "
                    f"end some of them, or give several environments one curriculum"
                )
            try:
                file.reserve(*file.layout.ring_span(slot))
                session.fault("claimed")
                self._workers[slot, PID] = os.getpid()
                self._control[NUM_WORKERS] = num_alive + 1
                session.fault("counted")
                self._issue_stream()
            except BaseException:
                file.release_life(slot)
                raise
        self._slot = slot
        self._ring: memoryview = self._rings[slot].view(np.uint8).data
        self._own: memoryview = self._workers[slot].data
        self._head: int = self._own[HEAD]  # a predecessor's events stay, for whoever settles next
        self._settled_at = time.monotonic()
        self._find_room()
        self._finalizer.detach()
        self._finalizer = weakref.finalize(self, _leave, file, self._control, self._workers, slot, os.getpid())
        return True

    def _begin(self) -> None:
        """Gives a new file the parts of an empty table that are not zero."""
        if not self._labels["name"][0]:
            empty = empty_table(self.capacity, 0)
            self._distributions[:] = empty.cumulated
            self._counters[:] = empty.counters
            self._control[CREATED] = int(time.time())
            self._labels[:] = empty.labels

    def _issue_stream(self) -> None:
        self._stream = self.table.counters.num_streams
        self.commit(issue_stream(self.table))
        self._restores: int = self._counts[_RESTORES]

    def _ensure_worker(self) -> None:
        """In a forked copy: becomes a worker of its own."""
        if self._is_closed:
            raise SessionError("curriculum: expected one that is in use, got one after close(); make a new one")
        if self._slot < 0 and not self._claim():
            raise SessionError(f"session {self._file.path.name!r}: expected it to be there, but it was removed")

    def _forget_parent(self) -> None:
        """In a forked child: the slot and what is in it are the parent's."""
        self._finalizer.detach()
        self._finalizer = weakref.finalize(self, release_session, self._file)
        self._forget_slot()

    # What any backend does

    @property
    def capacity(self) -> int:
        return len(self._checks)

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

    def append(self, kind: int, task_id: int, score: float, regret: float) -> bool:
        if self._end == self._limit and self._find_room() == 0:
            raise LogFullError
        _EVENT.pack_into(self._ring, self._end, task_id, kind, score, regret)
        self._end += _EVENT.size
        self._head += 1
        self._own[HEAD] = self._head
        if self._end == self._limit and self._find_room() == 0:
            return True
        return self._control[NUM_WORKERS] > 1 and self._is_late()

    def _is_late(self) -> bool:
        """Whether events have waited for too long; once said, again only a little later if the lock is not free."""
        now = time.monotonic()
        if now - self._settled_at <= MAX_DELAY:
            return False
        self._settled_at = now - MAX_DELAY * 7 / 8
        return True

    def extend(self, events: NDArray[np.void]) -> bool:
        start = 0
        while start < len(events):
            if self._end == self._limit and self._find_room() == 0:
                raise LogFullError
            first, last = self._end // _EVENT.size, self._limit // _EVENT.size
            taken = events[start : start + last - first]
            self._rings[self._slot, first : first + len(taken)] = taken
            start += len(taken)
            self._end += len(taken) * _EVENT.size
            self._head += len(taken)
            self._own[HEAD] = self._head
        return self.room() == 0 or (self.num_workers > 1 and self._is_late())

    def room(self) -> int:
        return self._find_room()

    def _find_room(self) -> int:
        """Where the next event goes and how many fit; the ring's end splits them into two runs."""
        self._ensure_worker()
        room = LOG_SIZE - (self._head - int(self._tails[self._slot]))
        first = self._head % LOG_SIZE
        self._end = first * _EVENT.size
        self._limit = min(first + room, LOG_SIZE) * _EVENT.size
        return room

    def glance(self) -> tuple[Counters, int]:
        return Counters(*self._counters.tolist()), int((self._workers[:, HEAD] - self._tails).sum())

    def newest_id(self, slot: int) -> int:
        return self._ids[slot]

    def newest_ids(self, slots: NDArray[np.int64]) -> NDArray[np.int64]:
        ids: NDArray[np.int64] = self._rows["task_id"][slots]
        return ids

    def read(self, slots: NDArray[np.int64]) -> Rows:
        rows = self._rows.take(slots)
        if (row_checks(rows) == self._checks[slots]).all():
            return rows
        # Somebody is changing them: wait.
        return self.apply(lambda transaction: self._intact(transaction.table.rows.take(slots), self._checks[slots]))

    def _intact(self, rows: Rows, checks: NDArray[np.int64]) -> Rows:
        """The `rows`, read with the lock held. Raises `CorruptTableError` if they do not match their `checks`."""
        wrong = np.flatnonzero(row_checks(rows) != checks)
        if len(wrong) and self._counts[_CREATED]:
            task_id = rows["task_id"][wrong[0]]
            raise self._corrupt(f"{len(wrong)} rows that do not match their checks, the first of task {task_id}")
        return rows

    def _corrupt(self, found: str) -> CorruptTableError:
        return CorruptTableError(
            f"session {self._file.path.name!r}: expected a table as curricular left it, got {found}; something else "
            f"wrote into the file: load the last checkpoint into a new session"
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
        with self._file.locked(self._control, HOLDER, wait=True):
            return self._run(fn)

    def try_apply(self, fn: Callable[[Transaction], None]) -> bool:
        self._ensure_worker()
        with self._file.locked(self._control, HOLDER, wait=False) as is_ours:
            if is_ours:
                self._run(fn)
        return is_ours

    def _run(self, fn: Callable[[Transaction], ResultT]) -> ResultT:
        self._recover()
        self._events = None
        return fn(self)

    def snapshot(self) -> Table:
        def copy(transaction: Transaction) -> Table:
            table = copy_table(transaction.table)
            self._intact(table.rows, self._checks)
            return table

        return self.apply(copy)

    def close(self) -> None:
        self._finalizer()
        self._forget_slot()
        self._is_closed = True
        _backends.discard(self)

    # What a transaction does, with the lock held

    @property
    def table(self) -> Table:
        counters = Counters(*self._counters.tolist())
        # What a process that was killed has put into a table without tasks means nothing.
        rows = self._rows if counters.num_created else Rows.zeros(self.capacity, self._rows.num_axes)
        return Table(rows, self._labels, counters, self._distributions[counters.epoch % 2])

    @property
    def events(self) -> NDArray[np.void]:
        if self._events is None:
            self._heads = self._workers[:, HEAD].copy()
            sizes = self._heads - self._tails
            if sizes.min() < 0 or sizes.max() > LOG_SIZE:
                raise self._corrupt(f"logs of {sizes.min()} to {sizes.max()} events")
            parts = [np.empty(0, EVENT)]
            for slot in np.flatnonzero(sizes).tolist():
                positions = np.arange(self._tails[slot], self._heads[slot]) % LOG_SIZE
                parts.append(self._rings[slot].take(positions))
            events = np.concatenate(parts)
            if len(parts) > 2:  # a result may have come through another worker than its hand-out
                events = events.take((events["kind"] != SCHEDULED).argsort(kind="stable"))
            self._events = events
        return self._events

    def commit(self, patch: Patch, *, settles: bool = False) -> None:
        journal, num_rows = self._journal, len(patch.slots)
        if self._counts[_CREATED] == 0:  # rows of a table without tasks mean nothing until the counters say so
            self._rows.put(patch.slots, patch.rows)
            self._checks[patch.slots] = row_checks(patch.rows)
            num_rows = 0
        if num_rows:
            self._intact(
                self._rows.take(patch.slots), self._checks[patch.slots]
            )  # or the new check would make a torn row look whole
        if num_rows > self._reserved_rows:
            for offset, length in self._file.layout.journal_spans(num_rows):
                self._file.reserve(offset, length)
            self._reserved_rows = num_rows
        if num_rows:
            journal["slots"][:num_rows] = patch.slots
            journal["checks"][:num_rows] = row_checks(patch.rows)
            journal["words"][: patch.rows.words.size] = patch.rows.words.ravel()
        journal["labels"][:] = patch.labels
        journal["counters"][:] = patch.counters
        journal["head"][NUM_ROWS], journal["head"][HAS_TAILS] = num_rows, settles
        if settles:
            journal["tails"][:] = self._heads
        if patch.cumulated is not None:
            self._distributions[patch.counters.epoch % 2] = patch.cumulated  # the one that nobody reads
            session.fault("distribution written")
        session.fault("journal written")
        self._control[COMMITTED] = 1
        session.fault("committed")
        self._install()
        if settles:
            self._events = None
            self._settled_at = time.monotonic()

    def _install(self) -> None:
        """Puts the journal's images into place; the same, however often it is done."""
        journal = self._journal
        num_rows, num_words = int(journal["head"][NUM_ROWS]), len(self._rows.words)
        if num_rows:
            slots = journal["slots"][:num_rows]
            words = journal["words"][: num_rows * num_words].reshape(num_words, num_rows)
            self._rows.put(slots, Rows(words))
            session.fault("rows installed")
            self._checks[slots] = journal["checks"][:num_rows]
        self._labels[:] = journal["labels"]
        if journal["head"][HAS_TAILS]:
            self._tails[:] = journal["tails"]
        session.fault("tails installed")
        self._counters[:] = journal["counters"]
        session.fault("counters installed")
        self._control[COMMITTED] = 0

    def _recover(self) -> None:
        """Finishes what a holder that was killed had committed."""
        if self._control[COMMITTED]:
            self._install()


_backends: weakref.WeakSet[SharedMemoryBackend] = weakref.WeakSet()
"""The backends of this process, to be told of a fork."""


def _forget_parent() -> None:
    for backend in list(_backends):
        backend._forget_parent()  # noqa: SLF001  the hook of this very class


if sys.platform != "win32":
    os.register_at_fork(after_in_child=_forget_parent)


def rejoin(path: Path) -> SharedMemoryBackend:
    """A worker of the session at `path`, which is what a pickled backend becomes. `SessionError` if it is not there."""

    def find() -> SessionFile:
        try:
            return join_session(path)
        except FileNotFoundError as error:
            raise SessionError(
                f"session {path.name!r}: expected it to be there, but it ended; unpickle its curriculum while another "
                f"process holds it"
            ) from error

    backend = SharedMemoryBackend.__new__(SharedMemoryBackend)
    backend._join(find)  # noqa: SLF001  the second constructor of this very class
    return backend


def _leave(file: SessionFile, control: memoryview, workers: NDArray[np.int64], slot: int, pid: int) -> None:
    """Gives up a worker's slot. What is left in its ring stays for the others."""
    if os.getpid() != pid:
        return
    with file.locked(control, HOLDER, wait=False) as is_ours:
        if is_ours:  # if not, the next worker to come counts anew
            workers[slot, PID] = 0
            control[NUM_WORKERS] -= 1
            session.fault("leaving")
        file.release_life(slot)
    if not file.slots:
        remove_private(file)
    release_session(file)
