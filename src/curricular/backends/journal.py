"""The table inside a session file, and how a change of it is committed: through a redo journal.

A change is written to the journal; one word commits it; then the new images are put into place. A process that ends
before the commit has changed nothing; after it, the next process with the lock finishes. docs/sessions.md has the rules.
"""

import time

import numpy as np
from numpy.typing import NDArray

from ..rows import Rows
from ..table import EVENT, SCHEDULED, Counters, Patch, Table, empty_table
from . import session
from .layout import COMMITTED, CREATED, HAS_TAILS, HEAD, NUM_ROWS, SessionError
from .protocol import LOG_SIZE
from .session import SessionFile

_CREATED = Counters._fields.index("num_created")


class CorruptTableError(SessionError):
    """The table does not match its check words: something other than curricular wrote into the session file."""


def row_checks(rows: Rows) -> NDArray[np.int64]:
    """Returns one word per row that changes with any one of its words, shape (n,)."""
    factors = 2 * np.arange(1, len(rows.words) + 1, dtype=np.int64) + 0x5851F42D4C957F2D
    checks: NDArray[np.int64] = np.einsum("i,ij->j", factors, rows.words)
    return checks


class SessionTable:
    """The arrays of a session file. Methods that change them are for the process that has the lock."""

    def __init__(self, file: SessionFile) -> None:
        self.file = file
        view = {name: file.layout.view(file.mapping, name) for name in file.layout.sections}
        self.workers, self.tails, self.rings = view["workers"], view["tails"], view["rings"]
        self.counters, self.labels, self.checks = view["counters"], view["labels"], view["checks"]
        self.distributions = view["cumulated"]
        self.rows = Rows(view["words"])
        self.control: memoryview = view["control"].data
        self.counts: memoryview = self.counters.data
        self._journal = {name.removeprefix("journal_"): array for name, array in view.items() if "journal" in name}
        self._reserved_rows = 0

    def begin(self) -> None:
        """Gives a new file the parts of an empty table that are not zero."""
        if not self.labels["name"][0]:
            empty = empty_table(len(self.checks), 0)
            self.distributions[:] = empty.cumulated
            self.counters[:] = empty.counters
            self.control[CREATED] = int(time.time())
            self.labels[:] = empty.labels

    @property
    def table(self) -> Table:
        """The committed table: views into the file."""
        counters = Counters(*self.counters.tolist())
        # Rows that a killed process put into a table without tasks mean nothing.
        rows = self.rows if counters.num_created else Rows.zeros(len(self.checks), self.rows.num_axes)
        return Table(rows, self.labels, counters, self.distributions[counters.epoch % 2])

    def events(self) -> tuple[NDArray[np.void], NDArray[np.int64]]:
        """Returns the events of all logs that are not flushed, and the heads up to which that is."""
        heads = self.workers[:, HEAD].copy()
        sizes = heads - self.tails
        if sizes.min() < 0 or sizes.max() > LOG_SIZE:
            raise self.corrupt(f"logs of {sizes.min()} to {sizes.max()} events")
        parts = [np.empty(0, EVENT)]
        for slot in np.flatnonzero(sizes).tolist():
            positions = np.arange(self.tails[slot], heads[slot]) % LOG_SIZE
            parts.append(self.rings[slot].take(positions))
        events = np.concatenate(parts)
        if len(parts) > 2:  # a result may have come through another worker than its hand-out
            events = events.take((events["kind"] != SCHEDULED).argsort(kind="stable"))
        return events, heads

    def intact(self, rows: Rows, checks: NDArray[np.int64]) -> Rows:
        """Returns `rows`, read with the lock held.

        Raises:
            CorruptTableError: If they do not match their `checks`.
        """
        wrong = np.flatnonzero(row_checks(rows) != checks)
        if len(wrong) and self.counts[_CREATED]:
            task_id = rows["task_id"][wrong[0]]
            raise self.corrupt(f"{len(wrong)} rows that do not match their checks, the first of task {task_id}")
        return rows

    def corrupt(self, found: str) -> CorruptTableError:
        """Returns the error that says what was `found`."""
        return CorruptTableError(
            f"session {self.file.path.name!r}: expected a table as curricular left it, got {found}; something else "
            f"wrote into the file: load the last checkpoint into a new session"
        )

    def commit(self, patch: Patch, tails: NDArray[np.int64] | None) -> None:
        """Applies `patch` wholly or not at all; `tails`, if given, mark the events up to there as flushed."""
        journal, num_rows = self._journal, len(patch.slots)
        if self.counts[_CREATED] == 0:  # rows of a table without tasks mean nothing until the counters say so
            self.rows.put(patch.slots, patch.rows)
            self.checks[patch.slots] = row_checks(patch.rows)
            num_rows = 0
        if num_rows:  # or the new check would make a torn row look whole
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
            self.distributions[patch.counters.epoch % 2] = patch.cumulated  # the one that nobody reads
            session.fault("distribution written")
        session.fault("journal written")
        self.control[COMMITTED] = 1
        session.fault("committed")
        self._install()

    def recover(self) -> None:
        """Finishes what a process that was killed, or interrupted, had committed."""
        if self.control[COMMITTED]:
            self._install()

    def _install(self) -> None:
        """Puts the journal's images into place; the same, however often it is done."""
        journal = self._journal
        num_rows, num_words = int(journal["head"][NUM_ROWS]), len(self.rows.words)
        if num_rows:
            slots = journal["slots"][:num_rows]
            words = journal["words"][: num_rows * num_words].reshape(num_words, num_rows)
            self.rows.put(slots, Rows(words))
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
    """Exclusive access to a session's table, until `end`."""

    def __init__(self, session_table: SessionTable) -> None:
        self._session_table: SessionTable | None = session_table
        self._events: tuple[NDArray[np.void], NDArray[np.int64]] | None = None
        self.has_flushed = False
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
        """Ends the access: every further use raises."""
        self._session_table = None
