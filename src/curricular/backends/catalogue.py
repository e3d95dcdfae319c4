"""Lists, reads and removes sessions, for the command line. Training does not use this module."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ..table import Counters, Table
from .layout import CREATED, MAX_WORKERS, PID, SessionError
from .session import SessionFile, join_session, release_session, remove_file, session_directory
from .shared import rejoin


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


def list_sessions() -> list[SessionInfo]:
    """Returns this user's sessions, including private ones, sorted by name.

    Files that are not session files of this version are left out.
    """
    found = []
    for path in sorted(session_directory().iterdir()):
        try:
            with _opened(path) as file:
                found.append(_info(file))
        except (FileNotFoundError, SessionError):
            continue  # removed since the listing, or a foreign file: not a session
    return [info for info in found if not info.name.startswith(".draft-")]


def read_session(name: str) -> tuple[SessionInfo, dict[str, object], Table]:
    """Reads session `name` without joining it.

    Returns:
        Facts about the session, the settings it was created with, and a copy of its table.

    Raises:
        KeyError: If no session has this name.
        SessionError: If the session cannot be read.
    """
    path = _path(name)
    with _opened(path) as file:
        info, settings = _info(file), file.spec.settings
        backend = rejoin(path)
        try:
            return info, settings, backend.snapshot()
        finally:
            backend.close()


def remove_session(name: str, *, force: bool = False) -> None:
    """Removes session `name`. Processes that hold the session keep using it, but no other process can join them.

    Args:
        name: Name of the session.
        force: Whether to remove a session that a living process holds.

    Raises:
        KeyError: If no session has this name.
        SessionError: If a living process holds the session and `force` is false.
    """
    path = _path(name)
    if not remove_file(path, force=force):
        raise SessionError(
            f"session {name!r}: expected a session without live workers, got one that live workers hold; stop them, or "
            f"force the removal (--force)"
        )


def _path(name: str) -> Path:
    path = session_directory() / name
    if path.parent != session_directory() or not path.exists():
        names = ", ".join(info.name for info in list_sessions())
        expected = f"one of {names}" if names else "an existing session (there is none)"
        raise KeyError(f"session: expected {expected}, got {name!r}; see `curricular sessions list`")
    return path


@contextmanager
def _opened(path: Path) -> Iterator[SessionFile]:
    file = join_session(path)
    try:
        yield file
    finally:
        release_session(file)


def _info(file: SessionFile) -> SessionInfo:
    view = {name: file.layout.view(file.mapping, name) for name in ("control", "workers", "counters")}
    claimed = [slot for slot in range(MAX_WORKERS) if view["workers"][slot, PID]]
    created = int(view["control"][CREATED])
    return SessionInfo(
        name=file.path.name,
        num_tasks=file.spec.capacity,
        num_workers=sum(file.is_alive(slot) for slot in claimed),
        num_completed=Counters(*view["counters"].tolist()).num_completed,
        size=512 * file.path.stat().st_blocks,
        age=max(0.0, time.time() - created) if created else 0.0,
    )
