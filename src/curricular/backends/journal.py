"""The table inside a session file. A redo journal commits every change of the table.

A commit writes the change to the journal, sets one word, and then copies the change into the table. A process killed
before the word is set has changed nothing. A process killed later leaves a journal that the next process with the lock
copies. Another program may have damaged the file, so content is checked before use. docs/sessions.md has the rules.
"""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..rows import Rows
from ..table import (
    EVENT,
    SCHEDULED,
    Counters,
    Patch,
    Table,
    TableError,
    check_counters,
    check_distribution,
    check_events,
    check_labels,
    check_rows,
    empty_table,
)
from . import session
from .layout import COMMITTED, CREATED, HAS_TAILS, HEAD, NUM_ROWS, PID, SessionError
from .protocol import LOG_SIZE
from .session import SessionFile

_CREATED = Counters._fields.index("num_created")
_STREAMS = Counters._fields.index("num_streams")
_MAX_PID = 2**31


class CorruptTableError(SessionError):
    """The session file holds data that curricular did not write."""


def row_checks(rows: Rows) -> NDArray[np.int64]:
    """Returns one checksum per row, shape (n,), which changes if any one word of the row changes."""
    factors = 2 * np.arange(1, len(rows.words) + 1, dtype=np.int64) + 0x5851F42D4C957F2D
    checks: NDArray[np.int64] = np.einsum("i,ij->j", factors, rows.words)
    return checks


class SessionTable:
    """The arrays of a session file. Only the process that holds the lock calls methods that change them."""

    def __init__(self, file: SessionFile) -> None:
        self.file: SessionFile = file
        view = {name: file.layout.view(file.mapping, name) for name in file.layout.sections}
        self.workers: NDArray[np.int64] = view["workers"]
        self.tails: NDArray[np.int64] = view["tails"]
        self.rings: NDArray[np.void] = view["rings"]
        self.counters: NDArray[np.int64] = view["counters"]
        self.labels: NDArray[np.void] = view["labels"]
        self.checks: NDArray[np.int64] = view["checks"]
        self.distributions: NDArray[np.float64] = view["cumulated"]
        self.rows: Rows = Rows(view["words"])
        self.control: memoryview = view["control"].data
        self.counts: memoryview = self.counters.data
        self._journal = {name.removeprefix("journal_"): array for name, array in view.items() if "journal" in name}
        self._reserved_rows = 0

    def begin(self) -> None:
        """Writes the nonzero parts of an empty table into a new file, which no worker has joined yet."""
        if not self.control[CREATED] and not self.counts[_STREAMS]:
            empty = empty_table(len(self.checks), 0)
            self.distributions[:] = empty.cumulated
            self.counters[:] = empty.counters
            self.labels[:] = empty.labels
            self.control[CREATED] = int(time.time())

    @property
    def table(self) -> Table:
        """The committed table, as views into the file."""
        counters = Counters(*self.counters.tolist())
        # A table without tasks has no valid rows, but a killed process may have written some.
        rows = self.rows if counters.num_created else Rows.zeros(len(self.checks), self.rows.num_axes)
        return Table(rows, self.labels, counters, self.distributions[counters.epoch % 2])

    # Checks for damage, run by the process that holds the lock

    def _passes(self, check: Callable[..., None], *parts: Any) -> None:
        """Runs `check` on `parts` and raises its `TableError` as a `CorruptTableError`."""
        try:
            check(*parts)
        except TableError as error:
            raise self.corrupt(error.found, error.expected) from error

    def check_counters(self) -> None:
        """Checks the counters."""
        self._passes(check_counters, Counters(*self.counters.tolist()))

    def check_labels(self) -> None:
        """Checks the labels against the counters, which must have passed their check."""
        self._passes(check_labels, self.labels, Counters(*self.counters.tolist()))

    def check_distribution(self) -> None:
        """Checks the distribution in use."""
        self._passes(check_distribution, self.table.cumulated)

    def check(self) -> None:
        """Checks everything that a joining worker relies on."""
        pids = self.workers[:, PID]
        if pids.min() < 0 or pids.max() >= _MAX_PID:
            raise self.corrupt(f"workers with pids from {pids.min()} to {pids.max()}")
        self.log_sizes()
        self.check_counters()
        self.check_labels()
        self.check_distribution()
        if self.counts[_CREATED]:
            self.intact(self.rows, self.checks)
            self._passes(check_rows, self.rows, self.table.counters)

    def log_sizes(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Returns the number of events in each log and the heads of the logs, both of shape (MAX_WORKERS,).

        Raises:
            CorruptTableError: If a size is negative or exceeds `LOG_SIZE`.
        """
        heads, tails = self.workers[:, HEAD].copy(), self.tails
        sizes = heads - tails
        if sizes.min() < 0 or sizes.max() > LOG_SIZE or heads.min() < 0 or tails.min() < 0:
            raise self.corrupt(f"logs of {sizes.min()} to {sizes.max()} events, the first with number {tails.min()}")
        return sizes, heads

    def events(self) -> tuple[NDArray[np.void], NDArray[np.int64]]:
        """Returns the events of all logs that are not flushed, and the heads of the logs after these events."""
        sizes, heads = self.log_sizes()
        parts = [np.empty(0, EVENT)]
        for slot in np.flatnonzero(sizes).tolist():
            positions = np.arange(self.tails[slot], heads[slot]) % LOG_SIZE
            parts.append(self.rings[slot].take(positions))
        events = np.concatenate(parts)
        if len(parts) > 2:  # one worker may have logged a hand-out and another worker its result
            events = events.take((events["kind"] != SCHEDULED).argsort(kind="stable"))
        if len(events):
            self.check_labels()
            self._passes(check_events, events, self.table.rows)
        return events, heads

    def intact(self, rows: Rows, checks: NDArray[np.int64]) -> Rows:
        """Returns `rows`, which were read with the lock held.

        Raises:
            CorruptTableError: If the rows do not match their checksums `checks`.
        """
        wrong = np.flatnonzero(row_checks(rows) != checks)
        if len(wrong) and self.counts[_CREATED]:
            task_id = rows["task_id"][wrong[0]]
            raise self.corrupt(f"{len(wrong)} rows that do not match their checks, the first of task {task_id}")
        return rows

    def explain(self, error: Exception) -> None:
        """Looks whether damaged rows may have led to `error`, which was raised over the table.

        Raises:
            CorruptTableError: If rows do not match their checks, and no change is half done.
        """
        if not self.control[COMMITTED]:
            try:
                self.intact(self.rows, self.checks)
            except CorruptTableError as damage:
                raise damage from error

    def corrupt(self, found: str, expected: str = "a table as curricular left it") -> CorruptTableError:
        """Returns the error that names what was `expected` and what was `found`."""
        return CorruptTableError(
            f"session {self.file.path.name!r}: expected {expected}, got {found}; another program wrote into the "
            f"file: load the last checkpoint into a new session"
        )

    def commit(self, patch: Patch, tails: NDArray[np.int64] | None) -> None:
        """Applies `patch` entirely or not at all. If `tails` are given, earlier events are marked as flushed."""
        journal, num_rows = self._journal, len(patch.slots)
        if self.counts[_CREATED] == 0:  # the counters make these rows valid, so the rows need no journal
            self.rows.put(patch.slots, patch.rows)
            self.checks[patch.slots] = row_checks(patch.rows)
            num_rows = 0
        if num_rows:  # a new checksum would hide that a row was torn before
            self.intact(self.rows.take(patch.slots), self.checks[patch.slots])
        if num_rows > self._reserved_rows:
            for offset, length in self.file.layout.journal_spans(num_rows):
                self.file.reserve(offset, length)
            self._reserved_rows = num_rows
        if num_rows:
            journal["slots"][:num_rows] = patch.slots
            journal["checks"][:num_rows] = row_checks(patch.rows)
            journal["words"][: patch.rows.words.size] = patch.rows.words.ravel()
        journal["labels"][:] = patch.labels
        journal["counters"][:] = patch.counters
        journal["head"][NUM_ROWS], journal["head"][HAS_TAILS] = num_rows, tails is not None
        if tails is not None:
            journal["tails"][:] = tails
        if patch.cumulated is not None:
            self.distributions[patch.counters.epoch % 2] = patch.cumulated  # the one not in use
            session.fault("distribution written")
        session.fault("journal written")
        self.control[COMMITTED] = 1
        session.fault("committed")
        self._install()

    def recover(self) -> None:
        """Finishes a change that a killed or interrupted process had committed."""
        if self.control[COMMITTED]:
            self._check_journal()
            self._install()

    def _check_journal(self) -> None:
        """Checks that the journal holds a valid change."""
        journal, num_rows = self._journal, int(self._journal["head"][NUM_ROWS])
        words = [int(self.control[COMMITTED]), num_rows, int(journal["head"][HAS_TAILS])]
        if words[0] != 1 or not 0 <= num_rows <= len(self.checks) or words[2] not in {0, 1}:
            raise self.corrupt(f"a journal with the words {words}")
        slots = np.sort(journal["slots"][:num_rows])
        if num_rows and (slots[0] < 0 or slots[-1] >= len(self.checks) or (slots[1:] == slots[:-1]).any()):
            raise self.corrupt(f"a journal of slots from {slots[0]} to {slots[-1]}, or with a repeated slot")
        if (row_checks(self._journal_rows(num_rows)) != journal["checks"][:num_rows]).any():
            raise self.corrupt("a journal of rows that do not match their checks")
        sizes = self.workers[:, HEAD] - journal["tails"]
        if journal["head"][HAS_TAILS] and (sizes.min() < 0 or sizes.max() > LOG_SIZE or journal["tails"].min() < 0):
            raise self.corrupt(f"a journal that leaves logs of {sizes.min()} to {sizes.max()} events")
        counters = Counters(*journal["counters"].tolist())
        self._passes(check_counters, counters)
        self._passes(check_labels, journal["labels"], counters)

    def _journal_rows(self, num_rows: int) -> Rows:
        num_words = len(self.rows.words)
        return Rows(self._journal["words"][: num_rows * num_words].reshape(num_words, num_rows))

    def _install(self) -> None:
        """Copies the journal into the table. Repeating the copy changes nothing."""
        journal, num_rows = self._journal, int(self._journal["head"][NUM_ROWS])
        if num_rows:
            slots = journal["slots"][:num_rows]
            self.rows.put(slots, self._journal_rows(num_rows))
            session.fault("rows installed")
            self.checks[slots] = journal["checks"][:num_rows]
        self.labels[:] = journal["labels"]
        if journal["head"][HAS_TAILS]:
            self.tails[:] = journal["tails"]
        session.fault("tails installed")
        self.counters[:] = journal["counters"]
        session.fault("counters installed")
        self.control[COMMITTED] = 0


class SessionTransaction:
    """Exclusive access to a session's table until `end` is called."""

    def __init__(self, session_table: SessionTable) -> None:
        self._session_table: SessionTable | None = session_table
        self._events: tuple[NDArray[np.void], NDArray[np.int64]] | None = None
        self.has_flushed: bool = False
        """Whether a commit has removed events from the logs."""

    @property
    def _open(self) -> SessionTable:
        if self._session_table is None:
            raise RuntimeError("transaction: expected one that is under way, got one that has ended; call apply again")
        return self._session_table

    @property
    def table(self) -> Table:
        return self._open.table

    @property
    def events(self) -> NDArray[np.void]:
        self._events = self._events or self._open.events()
        return self._events[0]

    def commit(self, patch: Patch, *, flushes: bool = False) -> None:
        heads = None
        if flushes:
            heads = (self._events or self._open.events())[1]
        self._open.commit(patch, heads)
        if flushes:
            self._events = None
            self.has_flushed = True

    def end(self) -> None:
        """Ends the access. Every later use raises."""
        self._session_table = None
