"""`SessionReader`: reads a session that other processes use, without joining it, locking it or writing into it."""

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..rows import Rows
from ..table import (
    Table,
    TableError,
    check_counters,
    check_distribution,
    check_labels,
    check_reasons,
    check_score_range,
)
from .journal import SessionTable, row_checks
from .layout import COMMITTED, CREATED, MAX_WORKERS, PID
from .protocol import LOG_SIZE
from .session import SessionFile, is_in_place, join_session, release_session

NUM_TRIES = 20
"""Number of attempts to copy the table between two changes by the workers."""

PAUSE = 0.001
"""Time between two attempts, in seconds."""


@dataclass(frozen=True, slots=True)
class SessionInfo:
    """Facts about a session, read without joining it."""

    name: str
    num_tasks: int
    num_workers: int
    """Number of living processes that hold the session."""
    num_completed: int
    """Number of results flushed into the table so far."""
    size: int
    """Memory or disk in use, in bytes."""
    age: float
    """Time since the session was created, in seconds."""
    hub: str = ""
    """Name of the cluster whose hub the session follows; empty: it follows none."""
    news_age: float = 0.0
    """Of a follower: time since the last answer of the hub, in seconds."""
    num_undelivered: int = 0
    """Of a follower: number of bytes in the outbox that the hub has not confirmed."""


class SessionReader:
    """Reads the table of a session while its workers change it. Workers never wait for a reader.

    A reader is no worker: the session ends without it, and workers do not count it.

    Args:
        path: The session file.

    Raises:
        FileNotFoundError: If there is no file.
        SessionError: If the file is not a session file of this user.
    """

    def __init__(self, path: Path) -> None:
        self._file: SessionFile = join_session(path)
        self._shared = SessionTable(self._file)
        self.settings: dict[str, Any] = self._file.spec.settings
        """The settings with which the session was created."""
        self.axes: list[Any] = self._file.spec.axes
        """Outline of the generator's axes."""

    def close(self) -> None:
        """Releases the file."""
        release_session(self._file)

    def is_in_place(self) -> bool:
        """Returns whether the session still exists under its name."""
        return is_in_place(self._file)

    def info(self) -> SessionInfo:
        """Returns facts about the session now."""
        file, shared = self._file, self._shared
        claimed = [slot for slot in range(MAX_WORKERS) if shared.workers[slot, PID]]
        created = shared.control[CREATED]
        return SessionInfo(
            name=file.path.name,
            num_tasks=file.spec.capacity,
            num_workers=sum(file.is_alive(slot) for slot in claimed),
            num_completed=shared.table.counters.num_completed,
            size=512 * os.fstat(file.fd).st_blocks,
            age=max(0.0, time.time() - created) if created else 0.0,
            **self._following(),
        )

    def _following(self) -> dict[str, Any]:
        """Returns the facts about a follower; nothing of another session."""
        if not self._shared.follows:
            return {}
        standing = self._shared.glance_standing()
        return {
            "hub": self._file.spec.follows,
            "news_age": max(0.0, time.time() - standing.contact / 1e9),
            "num_undelivered": 8 * (standing.head - standing.tail),
        }

    def logged(self) -> NDArray[np.int64]:
        """Returns the number of events of each kind that the workers have logged and not flushed, shape (4,)."""
        sizes, heads = self._shared.log_sizes()
        kinds = [
            self._shared.rings["kind"][slot, np.arange(heads[slot] - sizes[slot], heads[slot]) % LOG_SIZE]
            for slot in np.flatnonzero(sizes).tolist()
        ]
        return np.bincount(np.concatenate([np.empty(0, np.int64), *kinds]).clip(0, 3), minlength=4)

    def table(self) -> Table:
        """Returns a copy of the table without its ledger.

        If the workers keep changing the table meanwhile, rows that are being changed are inactive in the copy.

        Raises:
            CorruptTableError: If the file holds data that curricular did not write.
        """
        wrong, num_copies = np.ones(1, np.bool_), 0  # in all copies during which nothing changed
        for _ in range(NUM_TRIES):
            before = self._moment()
            damage = self._damage()  # before the copy: a damaged file may claim terabytes
            if damage is None:
                table, is_whole = self._copy()
                if self._is_still(before):
                    if is_whole.all():
                        return table
                    # A change that moves no counter makes a row wrong only for a moment.
                    wrong = wrong & ~is_whole
                    num_copies += 1
            elif self._is_still(before):
                raise self._shared.corrupt(damage.found, damage.expected) from damage
            time.sleep(PAUSE)
        if num_copies >= NUM_TRIES // 4 and wrong.any():
            raise self._shared.corrupt(f"{np.count_nonzero(wrong)} rows that do not match their checks")
        table, is_whole = self._copy()
        table.rows["is_active"] = table.rows["is_active"] & is_whole
        return table

    def _moment(self) -> tuple[int, bytes]:
        """Returns whether a change is being made, and the counters, which most changes of a row change."""
        return self._shared.control[COMMITTED], self._shared.counters.tobytes()

    def _is_still(self, moment: tuple[int, bytes]) -> bool:
        """Returns whether no change was made since `moment`, and none was being made."""
        return not moment[0] and moment == self._moment()

    def _copy(self) -> tuple[Table, NDArray[np.bool_]]:
        """Returns a copy of the table, and whether each row is whole, shape (capacity,)."""
        shared = self._shared
        rows, checks = Rows(shared.table.rows.words.copy()), shared.checks.copy()
        labels, reasons, score_range = shared.labels.copy(), shared.reasons.copy(), shared.score_range.copy()
        counters = shared.table.counters  # after the rows: a change installs them before the counters
        cumulated = shared.distributions[counters.epoch % 2].copy()
        is_whole = (row_checks(rows) == checks) & (rows["label_index"] < counters.num_labels)
        is_whole |= not counters.num_created
        return Table(
            rows, labels, counters, cumulated, score_range, reasons, np.zeros(0, shared.ledger.dtype)
        ), is_whole

    def _damage(self) -> TableError | None:
        """Returns what is wrong with the table now, apart from its rows; None if nothing is."""
        shared = self._shared
        table = shared.table
        try:
            check_counters(table.counters, self._file.spec.capacity, len(shared.ledger))
            check_labels(table.labels, table.counters)
            check_reasons(table.reasons, table.counters)
            check_score_range(table.score_range)
            check_distribution(table.cumulated)
        except TableError as error:
            return error
        return None
