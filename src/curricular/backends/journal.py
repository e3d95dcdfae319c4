"""The table inside a session file. A redo journal commits every change of the table.

A commit writes the change to the journal, sets one word, and then copies the change into the table. A process killed
before the word is set has changed nothing. A process killed later leaves a journal that the next process with the lock
copies. Another program may have damaged the file, so content is checked before use. docs/sessions.md has the rules.
"""

import time
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..rows import Rows
from ..table import (
    EVENT,
    SCHEDULED,
    Counters,
    Draft,
    LedgerChange,
    Patch,
    Table,
    TableError,
    check_counters,
    check_distribution,
    check_events,
    check_handouts,
    check_labels,
    check_ledger,
    check_num_open,
    check_reasons,
    check_rows,
    check_score_range,
    empty_table,
    unchanged,
)
from . import session
from .layout import (
    CLEARED,
    COMMITTED,
    CREATED,
    FIRST,
    HAS_TAILS,
    HEAD,
    MAX_WORKERS,
    NUM_HANDOUTS,
    NUM_ROWS,
    NUM_WORKERS,
    NUMBER,
    PID,
    SessionError,
)
from .outbox import Standing, packed, put_in_ring, take_from_ring
from .protocol import LOG_SIZE, NOTHING_LOST, Lost
from .session import SessionFile

_CREATED = Counters._fields.index("num_created")
_STREAMS = Counters._fields.index("num_streams")
_MAX_PID = 2**31
_SLOTS = np.arange(MAX_WORKERS)


class CorruptTableError(SessionError):
    """The session file holds data that curricular did not write."""


def row_checks(rows: Rows) -> NDArray[np.int64]:
    """Returns one checksum per row, shape (n,), which changes if any one word of the row changes."""
    checks: NDArray[np.int64] = np.einsum("i,ij->j", _factors(len(rows.words)), rows.words)
    return checks


@cache
def _factors(num_words: int) -> NDArray[np.int64]:
    """Returns the odd factors of the words in a checksum, shape (num_words,)."""
    return 2 * np.arange(1, num_words + 1, dtype=np.int64) + 0x5851F42D4C957F2D


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
        self.score_range: NDArray[np.float64] = view["score_range"]
        self.reasons: NDArray[np.void] = view["reasons"]
        self.ledger: NDArray[np.void] = view["ledger"]
        self.checks: NDArray[np.int64] = view["checks"]
        self.distributions: NDArray[np.float64] = view["cumulated"]
        self.rows: Rows = Rows(view["words"])
        self.control: memoryview = view["control"].data
        self.counts: memoryview = self.counters.data
        self._journal = {name.removeprefix("journal_"): array for name, array in view.items() if "journal" in name}
        self.follows: bool = file.spec.num_outbox > 0
        """Whether the session is a follower, whose table is a replica of the hub's."""
        if self.follows:
            self._standing: NDArray[np.int64] = view["standing"]
            self.outbox: NDArray[np.int64] = view["outbox"]
            self.trouble: NDArray[np.bytes_] = view["trouble"]
        self._has_outbox = False
        self._reserved_rows = 0
        self._has_ledger = False
        self._no_ledger = np.zeros(len(self.ledger), self.ledger.dtype)

    def begin(self) -> None:
        """Writes the nonzero parts of an empty table into a new file, which no worker has joined yet."""
        if not self.control[CREATED] and not self.counts[_STREAMS]:
            empty = empty_table(len(self.checks), 0, 1)
            self.distributions[:] = empty.cumulated
            self.counters[:] = empty.counters
            self.labels[:] = empty.labels
            self.score_range[:] = empty.score_range
            self.reasons[:] = empty.reasons
            self.control[CREATED] = int(time.time())

    @property
    def table(self) -> Table:
        """The committed table, as views into the file."""
        counters = Counters(*self.counters.tolist())
        # A table without tasks has no valid rows, but a killed process may have written some.
        rows = self.rows if counters.num_created else Rows.zeros(len(self.checks), self.rows.num_axes)
        cumulated = self.distributions[counters.epoch % 2]
        ledger = self.ledger if counters.num_tickets else self._no_ledger  # the file has no memory for it yet
        return Table(rows, self.labels, counters, cumulated, self.score_range, self.reasons, ledger)

    @property
    def standing(self) -> Standing:
        """Where a follower stands with its hub.

        Raises:
            CorruptTableError: If the words are not what curricular wrote.
        """
        standing = self.glance_standing()
        if not standing.is_sane:
            raise self.corrupt(f"the standing {standing}")
        return standing

    def glance_standing(self) -> Standing:
        """Returns where a follower stands, without the lock: each word is right, but they may be of two moments."""
        return Standing(*self._standing[: len(Standing._fields)].tolist())

    # Checks for damage, run by the process that holds the lock

    def _passes(self, check: Callable[..., None], *parts: Any) -> None:
        """Runs `check` on `parts` and raises its `TableError` as a `CorruptTableError`."""
        try:
            check(*parts)
        except TableError as error:
            raise self.corrupt(error.found, error.expected) from error

    def check_counters(self) -> None:
        """Checks the counters."""
        self._passes(check_counters, Counters(*self.counters.tolist()), len(self.checks), len(self.ledger))

    def check_labels(self) -> None:
        """Checks the labels against the counters, which must have passed their check."""
        self._passes(check_labels, self.labels, Counters(*self.counters.tolist()))

    def check_distribution(self) -> None:
        """Checks the distribution in use."""
        self._passes(check_distribution, self.table.cumulated)

    def check_reasons(self) -> None:
        """Checks the reasons, against the counters, which must have passed their check, and the range of scores."""
        self._passes(check_score_range, self.score_range)
        self._passes(check_reasons, self.reasons, Counters(*self.counters.tolist()))

    def check_ledger(self) -> None:
        """Checks the ledger against counters and rows, which must have passed their checks."""
        self._passes(check_ledger, self.table)

    def check_workers(self) -> None:
        """Checks the pids and numbers of the workers, and where their logs begin."""
        claimed = self.workers[self.workers[:, PID] != 0]
        pids, numbers, first = claimed[:, PID], np.sort(claimed[:, NUMBER]), claimed[:, FIRST]
        if ((pids < 0) | (pids >= _MAX_PID)).any():
            raise self.corrupt(f"workers with pids from {pids.min()} to {pids.max()}")
        is_twice = (numbers[1:] == numbers[:-1]) & (numbers[1:] != 0)
        if ((numbers < 0) | (numbers > self.counts[_STREAMS])).any() or is_twice.any():
            raise self.corrupt(f"workers with numbers from {numbers[0]} to {numbers[-1]}, or with one twice")
        if ((first < 0) | (first > claimed[:, HEAD])).any():
            raise self.corrupt(f"workers whose logs begin at events from {first.min()} to {first.max()}")

    def check(self) -> None:
        """Checks everything that a joining worker relies on."""
        self.log_sizes()
        self.check_counters()
        self.check_workers()
        self.check_labels()
        self.check_reasons()
        self.check_distribution()
        if self.counts[_CREATED]:
            self.intact(self.rows, self.checks)
            if not self.follows:  # rows of a replica may be older than its counters
                self._passes(check_rows, self.rows, self.table.counters)
        if self.follows:
            _ = self.standing
        self.check_ledger()

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
            self.check_reasons()
            self._passes(check_events, events, self.table)
        return events, heads

    def dead_workers(self) -> list[int]:
        """Returns the slots of workers that died without leaving, and counts the living ones anew if there are any."""
        claimed = np.flatnonzero(self.workers[:, PID]).tolist()
        if len(claimed) <= len(self.file.slots):
            return []
        dead = [slot for slot in claimed if not self.file.is_alive(slot)]
        if dead:
            self.control[NUM_WORKERS] = max(1, len(claimed) - len(dead))
        return dead

    def lost(self, slots: list[int]) -> Lost:
        """Returns what the dead workers in `slots` had out, as their numbers and logs tell."""
        if not slots:
            return NOTHING_LOST
        self.check_workers()
        ids: list[int] = []
        for slot in slots:
            head = int(self.workers[slot, HEAD])
            first = max(int(self.workers[slot, FIRST]), head - LOG_SIZE)
            ids += _open_ids(self.rings[slot].take(np.arange(first, head) % LOG_SIZE))
        return Lost(self.workers[slots, NUMBER], np.array(ids, np.int64))

    def has_out(self, slot: int) -> bool:
        """Returns whether the dead worker in `slot` has hand-outs that have not ended."""
        if len(self.lost([slot]).task_ids):
            return True
        number = self.workers[slot, NUMBER]
        return number > 0 and bool((self.table.ledger["worker"] == number).any())

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

    def commit(
        self,
        patch: Patch,
        tails: NDArray[np.int64] | None,
        cleared: Sequence[int] = (),
        standing: Standing | None = None,
    ) -> None:
        """Applies `patch` entirely or not at all.

        Args:
            patch: The change.
            tails: Heads of the logs up to which events are marked as flushed; None: no event is.
            cleared: Slots of dead workers that the same commit gives up.
            standing: New standing of a follower; None: it does not change.
        """
        journal = self._journal
        self._prepare(patch)
        if self.follows:
            journal["standing"][: len(Standing._fields)] = self.standing if standing is None else standing
        num_rows = self._write_rows(patch)
        self._write_ledger(patch.ledger)
        journal["labels"][:] = patch.labels
        journal["score_range"][:] = self.score_range if patch.score_range is None else patch.score_range
        journal["reasons"][:] = self.reasons if patch.reasons is None else patch.reasons
        journal["counters"][:] = patch.counters
        journal["head"][NUM_ROWS], journal["head"][HAS_TAILS] = num_rows, tails is not None
        journal["head"][CLEARED:] = np.packbits(np.isin(_SLOTS, cleared)).view(np.int64) if cleared else 0
        if tails is not None:
            journal["tails"][:] = tails
        if patch.cumulated is not None:
            self.distributions[patch.counters.epoch % 2] = patch.cumulated  # the one not in use
            session.fault("distribution written")
        session.fault("journal written")
        self.control[COMMITTED] = 1
        session.fault("committed")
        self._install()

    def posted(self, parts: Sequence[NDArray[np.void]]) -> Standing:
        """Puts events into the outbox, out of sight, and returns the standing whose commit shows them.

        Raises:
            OutboxFullError: If the outbox has no space for them.
        """
        if not self._has_outbox:
            self.file.reserve(*self.file.layout.outbox_span())
            self._has_outbox = True
        standing = put_in_ring(self.outbox, self.standing, packed(parts))
        session.fault("outbox written")
        return standing

    def _prepare(self, patch: Patch) -> None:
        """Reserves memory for a change, and checks what it replaces: afterwards, damage could not be seen."""
        num_rows = len(patch.slots)
        if num_rows and self.counts[_CREATED]:
            self.intact(self.rows.take(patch.slots), self.checks[patch.slots])
            if num_rows > self._reserved_rows:
                for offset, length in self.file.layout.journal_spans(num_rows):
                    self.file.reserve(offset, length)
                self._reserved_rows = num_rows
        if patch.ledger is not None:
            if not self._has_ledger:
                for offset, length in self.file.layout.ledger_spans():
                    self.file.reserve(offset, length)
                self._has_ledger = True
            self._passes(check_handouts, self.ledger.take(patch.ledger.places), patch.ledger.places, self.table)
            self._passes(check_num_open, patch.counters, len(self.ledger))

    def _write_rows(self, patch: Patch) -> int:
        """Writes the rows of a change to the journal and returns their number."""
        journal, num_rows = self._journal, len(patch.slots)
        if self.counts[_CREATED] == 0:  # the counters make these rows valid, so the rows need no journal
            self.rows.put(patch.slots, patch.rows)
            self.checks[patch.slots] = row_checks(patch.rows)
            return 0
        if num_rows:
            journal["slots"][:num_rows] = patch.slots
            journal["checks"][:num_rows] = row_checks(patch.rows)
            journal["words"][: patch.rows.words.size] = patch.rows.words.ravel()
        return num_rows

    def _write_ledger(self, change: LedgerChange | None) -> None:
        """Writes the ledger's part of a change to the journal."""
        journal, num_handouts = self._journal, 0 if change is None else len(change.places)
        if change is not None:
            journal["places"][:num_handouts] = change.places
            journal["handouts"][:num_handouts] = change.entries
        journal["head"][NUM_HANDOUTS] = num_handouts

    def recover(self) -> None:
        """Finishes a change that a killed or interrupted process had committed."""
        if self.control[COMMITTED]:
            self._check_journal()
            self._install()

    def _check_journal(self) -> None:
        """Checks that the journal holds a valid change."""
        journal = self._journal
        num_rows, num_handouts = int(journal["head"][NUM_ROWS]), int(journal["head"][NUM_HANDOUTS])
        words = [int(self.control[COMMITTED]), num_rows, int(journal["head"][HAS_TAILS]), num_handouts]
        if (
            words[0] != 1
            or not 0 <= num_rows <= len(self.checks)
            or words[2] not in {0, 1}
            or not 0 <= num_handouts <= len(self.ledger)
        ):
            raise self.corrupt(f"a journal with the words {words}")
        self._check_distinct("slots", journal["slots"][:num_rows], len(self.checks))
        if self.follows and not Standing(*journal["standing"][: len(Standing._fields)].tolist()).is_sane:
            raise self.corrupt(f"a journal with the standing {journal['standing'].tolist()}")
        if (row_checks(self._journal_rows(num_rows)) != journal["checks"][:num_rows]).any():
            raise self.corrupt("a journal of rows that do not match their checks")
        if num_handouts:
            self._check_distinct("places", journal["places"][:num_handouts], len(self.ledger))
        cleared = self._cleared()
        if any(self.file.is_alive(slot) for slot in cleared):
            raise self.corrupt(f"a journal that gives up the slots {cleared}, one of a living worker among them")
        sizes = self.workers[:, HEAD] - journal["tails"]
        if journal["head"][HAS_TAILS] and (sizes.min() < 0 or sizes.max() > LOG_SIZE or journal["tails"].min() < 0):
            raise self.corrupt(f"a journal that leaves logs of {sizes.min()} to {sizes.max()} events")
        counters = Counters(*journal["counters"].tolist())
        self._passes(check_counters, counters, len(self.checks), len(self.ledger))
        self._passes(check_labels, journal["labels"], counters)
        self._passes(check_score_range, journal["score_range"])
        self._passes(check_reasons, journal["reasons"], counters)
        if counters.num_tickets or num_handouts:
            draft = Draft(self.table)
            change = LedgerChange(journal["places"][:num_handouts], journal["handouts"][:num_handouts])
            slots, rows = journal["slots"][:num_rows], self._journal_rows(num_rows)
            draft.add(Patch(slots, rows, journal["labels"], counters, ledger=change))
            self._passes(check_ledger, draft.table)

    def _check_distinct(self, name: str, indices: NDArray[np.int64], size: int) -> None:
        """Checks that the journal's `indices` are distinct and from 0 to `size` − 1."""
        ordered = np.sort(indices)
        if len(ordered) and (ordered[0] < 0 or ordered[-1] >= size or (ordered[1:] == ordered[:-1]).any()):
            raise self.corrupt(f"a journal of {name} from {ordered[0]} to {ordered[-1]}, or with one twice")

    def _cleared(self) -> list[int]:
        """Returns the slots that the journal gives up."""
        bits: list[int] = np.flatnonzero(np.unpackbits(self._journal["head"][CLEARED:].view(np.uint8))).tolist()
        return bits

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
        num_handouts = int(journal["head"][NUM_HANDOUTS])
        if num_handouts:
            self.ledger.put(journal["places"][:num_handouts], journal["handouts"][:num_handouts])
            session.fault("ledger installed")
        self.labels[:] = journal["labels"]
        self.score_range[:] = journal["score_range"]
        self.reasons[:] = journal["reasons"]
        if journal["head"][CLEARED:].any():
            self.workers[self._cleared(), PID] = 0
        if self.follows:  # before the tails: a sweep must see events in the outbox or in the logs
            self._standing[:] = journal["standing"]
            session.fault("standing installed")
        if journal["head"][HAS_TAILS]:
            self.tails[:] = journal["tails"]
        session.fault("tails installed")
        self.counters[:] = journal["counters"]
        session.fault("counters installed")
        self.control[COMMITTED] = 0


def _open_ids(events: NDArray[np.void]) -> list[int]:
    """Returns the task ids of the hand-outs in `events`, oldest first, that have not ended."""
    num_open: dict[int, int] = {}
    for task_id, kind in zip(events["task_id"].tolist(), events["kind"].tolist(), strict=True):
        num_open[task_id] = max(0, num_open.get(task_id, 0) + (1 if kind == SCHEDULED else -1))
    return [task_id for task_id, count in num_open.items() for _ in range(count)]


class SessionTransaction:
    """Exclusive access to a session's table until `end` is called."""

    def __init__(self, session_table: SessionTable) -> None:
        self._session_table: SessionTable | None = session_table
        self._events: tuple[NDArray[np.void], NDArray[np.int64]] | None = None
        self._lost: Lost | None = None
        self._dead: list[int] = []
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
    def lost(self) -> Lost:
        if self._lost is None:
            self._dead = self._open.dead_workers()
            self._lost = self._open.lost(self._dead)
        return self._lost

    @property
    def events(self) -> NDArray[np.void]:
        _ = self.lost  # first: the log of a worker that dies later may grow until then
        self._events = self._events or self._open.events()
        return self._events[0]

    @property
    def follows(self) -> bool:
        return self._open.follows

    def commit(self, patch: Patch, *, flushes: bool = False) -> None:
        heads = None
        if flushes:
            heads = (self._events or self._open.events())[1]
        self._open.commit(patch, heads, self._dead if flushes else ())
        if flushes:
            self._has_taken_events()

    def forward(self, patch: Patch, events: Sequence[NDArray[np.void]]) -> None:
        standing = self._open.posted([self.events, *events])
        heads = (self._events or self._open.events())[1]
        self._open.commit(patch, heads, self._dead, standing)
        self._has_taken_events()

    def _has_taken_events(self) -> None:
        self._events = self._lost = None
        self._dead = []
        self.has_flushed = True

    @property
    def standing(self) -> Standing:
        """Where a follower stands with its hub."""
        return self._open.standing

    def outgoing(self, standing: Standing) -> NDArray[np.int64]:
        """Returns a copy of the words of the batch under way in `standing`."""
        return take_from_ring(self._open.outbox, standing.tail, standing.sealed)

    def stand(self, standing: Standing, patch: Patch | None = None) -> None:
        """Changes where a follower stands with its hub, and applies `patch` in the same commit."""
        table = self._open
        table.commit(unchanged(table.table) if patch is None else patch, None, (), standing)

    def end(self) -> None:
        """Ends the access. Every later use raises."""
        self._session_table = None
