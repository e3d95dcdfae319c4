"""`Journal`: writes the records of a cluster into a directory that every node can reach.

The directory holds an identity, a file per term, and checkpoints with a segment of records after each. Names of
checkpoints and segments begin with the term. A hub first takes a term, then reads. It confirms only what it has synced
while no later term exists. docs/cluster-protocol.md gives the rules.
"""

import contextlib
import json
import os
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..backends import session
from ..checkpoint import sync_directory, write_checkpoint
from .files import errors_of, write_all, write_draft, write_file
from .fold import Node
from .messages import ClusterError, DeposedError, JournalError, Record
from .records import HEADER_BYTES, encoded, header, stamp
from .saved import IDENTITY, KIND, Saved, packed_nodes, read_identity, read_saved
from .settings import check_settings

CHECKPOINT_BYTES = 2**26
"""Size of a segment after which the next checkpoint is due. A million results with their hand-outs have this size."""


class Journal:
    """Appends records to the journal in a directory, for as long as no later hub takes it over.

    Args:
        directory: Where the journal is, or will be. Its parent exists.
        name: Name of the cluster.
        settings: Settings of the curriculum, as JSON values.

    Raises:
        ClusterError: If the directory holds something else.
        JournalError: If the directory cannot be written.
    """

    def __init__(self, directory: str | os.PathLike[str], name: str, settings: Mapping[str, Any]) -> None:
        self.directory: Path = Path(directory).absolute()
        with errors_of(self.directory):
            self.directory.mkdir(exist_ok=True)
            self.id: int = _identify(self.directory, name, settings)
            self.term: int = self._take_term()
        session.fault("term taken")
        self._fd = -1
        self._size = 0
        self._num_checkpoints = 0

    def _take_term(self) -> int:
        while True:
            term = 1 + max([int(path.name[5:]) for path in self.directory.glob("term-*")], default=0)
            with contextlib.suppress(FileExistsError):
                os.close(os.open(_term(self.directory, term), os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
                sync_directory(self.directory)
                return term

    def saved(self) -> Saved | None:
        """Returns what earlier hubs have written; None if there is no checkpoint yet."""
        with errors_of(self.directory):
            return read_saved(self.directory, self.check)

    @property
    def needs_checkpoint(self) -> bool:
        """Whether there is no segment to append to, or a long one."""
        return self._fd < 0 or self._size > CHECKPOINT_BYTES

    def checkpoint(self, state: Mapping[str, Any], nodes: Sequence[Node]) -> None:
        """Writes a checkpoint, begins a new segment, and removes what is older.

        Raises:
            JournalError: If it cannot be written. The journal then has lost nothing, and may need another checkpoint.
            DeposedError: If another hub has taken over.
        """
        stem = f"{self.term:08d}-{self._num_checkpoints:08d}"
        self._num_checkpoints += 1
        with errors_of(self.directory):
            try:
                fd = self._commit_checkpoint(stem, state, nodes)
            except OSError:
                self._discard(stem)  # else each attempt on a full disk would fill it further
                raise
        session.fault("checkpoint written")
        self._fd, self._size = fd, HEADER_BYTES
        with errors_of(self.directory):
            self._remove_before(stem)

    def _commit_checkpoint(self, stem: str, state: Mapping[str, Any], nodes: Sequence[Node]) -> int:
        """Writes the files of a checkpoint, and returns the descriptor of its segment."""
        write_checkpoint(self.directory / f"table-{stem}", state)
        session.fault("table written")
        fd = self._begin_segment(stem)
        try:
            self.check()
            self._check_id()
            self.close()  # first: if the next step fails, either checkpoint may be the last one
            write_file(self.directory / f"nodes-{stem}", json.dumps(packed_nodes(nodes)).encode())  # this commits it
        except BaseException:
            os.close(fd)
            raise
        return fd

    def _check_id(self) -> None:
        """Checks that no other journal has taken the place of this one: its hub may have the same term."""
        found = read_identity(self.directory)["journal"]
        if found != self.id:
            raise DeposedError(
                f"hub: expected journal {self.id} in {str(self.directory)!r}, got journal {found}, which began there "
                f"after another program had removed this one; nothing is confirmed: ask the hub of that journal"
            )

    def _discard(self, stem: str) -> None:
        """Removes the files of a checkpoint that was not committed."""
        with contextlib.suppress(OSError):
            if not (self.directory / f"nodes-{stem}").exists():
                for kind in ("segment", "table"):
                    (self.directory / f"{kind}-{stem}").unlink(missing_ok=True)

    def _begin_segment(self, stem: str) -> int:
        """Creates a segment, and returns its descriptor."""
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC
        fd = os.open(self.directory / f"segment-{stem}", flags, 0o600)
        try:
            write_all(fd, header({"journal": self.id, "term": self.term}), 0)
            os.fsync(fd)
        except BaseException:
            os.close(fd)
            raise
        session.fault("segment begun")
        return fd

    def _remove_before(self, stem: str) -> None:
        # Sorted, so that of the terms the earliest goes first: a zombie must find a later term, or not its own.
        for path in sorted(self.directory.iterdir()):
            kind, _, name = path.name.removeprefix(".").partition("-")  # a draft, too, has the name of its file
            is_old = kind in {"table", "nodes", "segment"} and name < stem
            if is_old or (kind == "term" and int(name) < self.term):
                path.unlink(missing_ok=True)
                session.fault("removed")

    def append(self, records: Sequence[Record]) -> None:
        """Writes records and syncs them, all with one sync, and then checks that no other hub has taken over.

        Raises:
            JournalError: If the disk is full, or the directory is gone. The records are then not in the journal.
            DeposedError: If another hub has taken over. It may have read the records.
        """
        data = b"".join(map(encoded, records))
        with errors_of(self.directory):
            os.ftruncate(self._fd, self._size)  # what an append that failed has left
            write_all(self._fd, data, self._size)
            session.fault("written")
            os.fdatasync(self._fd)
            is_here = os.fstat(self._fd).st_nlink > 0
        session.fault("synced")
        self.check()
        if not is_here:
            self.close()  # the next attempt begins with a checkpoint
            raise JournalError(
                f"directory: expected the segment of term {self.term} in {str(self.directory)!r}, but it is gone; keep "
                f"other programs from removing files there: the hub writes all that it knows anew"
            )
        self._size += len(data)

    def check(self) -> None:
        """Checks that this hub's term is the last one.

        Raises:
            DeposedError: If another hub has begun a later term.
            JournalError: If the directory is gone.
        """
        is_last = not _term(self.directory, self.term + 1).exists()
        is_here = _term(self.directory, self.term).exists()
        if not is_last or (not is_here and any(self.directory.glob("term-*"))):
            raise DeposedError(
                f"hub: expected term {self.term} to be the last one, but another hub has begun the next one in "
                f"{str(self.directory)!r}; nothing is confirmed: ask that hub"
            )
        if not is_here:
            raise JournalError(
                f"directory: expected the journal of term {self.term} in {str(self.directory)!r}, but it is gone; "
                f"mount the directory again, or start a new cluster from a checkpoint"
            )

    def close(self) -> None:
        """Closes the segment in use."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _identify(directory: Path, name: str, settings: Mapping[str, Any]) -> int:
    """Returns the random number of the journal in `directory`. Begins a journal if the directory is empty."""
    wanted = {"name": name, **settings}
    try:
        found = read_identity(directory)
    except FileNotFoundError:
        others = [path.name for path in directory.iterdir() if not path.name.startswith(f".{IDENTITY}.")]
        if others and IDENTITY not in others:
            raise ClusterError(
                f"directory: expected an empty directory or a journal, got {str(directory)!r} with {others[0]!r}; "
                f"choose another directory"
            ) from None
        content = {**stamp(KIND), "journal": secrets.randbits(62), "settings": wanted}
        draft = write_draft(directory / IDENTITY, json.dumps(content).encode())
        with contextlib.suppress(FileExistsError):  # another hub was first
            os.link(draft, directory / IDENTITY)
        draft.unlink()
        sync_directory(directory)
        found = read_identity(directory)
    check_settings(found["settings"], wanted, f"the journal in {str(directory)!r} belongs to")
    return int(found["journal"])


def _term(directory: Path, term: int) -> Path:
    return directory / f"term-{term:08d}"
