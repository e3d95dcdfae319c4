"""Lists, reads and removes sessions, for the command line. Training does not use this module."""

import os
from contextlib import closing
from difflib import get_close_matches
from pathlib import Path

from .layout import SessionError
from .reader import SessionInfo as SessionInfo
from .reader import SessionReader
from .session import DRAFT, has_undelivered, remove_file, session_directory, sweep

MAX_NAMED = 5
"""Number of sessions that an error names."""


def list_sessions() -> list[SessionInfo]:
    """Returns this user's sessions, including private ones, sorted by name.

    Files that are not session files of this version are left out.
    """
    found = []
    for path in sorted(session_directory().iterdir()):
        try:
            with closing(SessionReader(path)) as reader:
                found.append(reader.info())
        except (FileNotFoundError, SessionError):
            continue  # removed since the listing, or a foreign file: not a session
    return [info for info in found if not info.name.startswith(DRAFT)]


def nearest_sessions(name: str) -> str:
    """Returns the names of this user's sessions, for an error. If there are many, only those nearest to `name`."""
    names = [info.name for info in list_sessions()]
    if len(names) <= MAX_NAMED:
        return ", ".join(names)
    nearest = get_close_matches(name, names, MAX_NAMED, cutoff=0)
    return f"{', '.join(nearest)} and {len(names) - MAX_NAMED} more"


def open_reader(name: str) -> SessionReader:
    """Returns a reader of session `name`.

    Raises:
        KeyError: If no session has this name.
        SessionError: If the session cannot be read.
    """
    path = _path(name)
    try:
        return SessionReader(path)
    except FileNotFoundError:
        raise _missing(name) from None


def remove_session(name: str, *, force: bool = False) -> None:
    """Removes session `name`. Processes that hold the session keep using it, but no other process can join them.

    Args:
        name: Name of the session.
        force: Whether to remove a session that a living process holds.

    Raises:
        KeyError: If no session has this name.
        SessionError: If `force` is false, and a living process holds the session or its hub lacks some of its results.
    """
    path = _path(name)
    if not force and has_undelivered(path):
        raise SessionError(
            f"session {name!r}: expected no results that its hub has not confirmed, got some in its outbox or logs; "
            f"start the agent of the node again to deliver them, or give them up (--force)"
        )
    if not remove_file(path, force=force):
        raise SessionError(
            f"session {name!r}: expected a session without live workers, got one that live workers hold; stop them, or "
            f"force the removal (--force)"
        )


def clean_sessions(*, force: bool = False) -> tuple[list[str], list[SessionInfo]]:
    """Removes all sessions that no living process holds.

    Args:
        force: Whether to remove also those with results that their hub has not confirmed, which are then lost.

    Returns:
        The names of the removed sessions, and the sessions that were kept for such results.
    """
    removed = [name for name in sweep() if not name.startswith(DRAFT)]
    kept = [info for info in list_sessions() if info.hub and not info.num_workers and has_undelivered(_path(info.name))]
    if not force:
        return removed, kept
    return removed + [info.name for info in kept if remove_file(_path(info.name), force=True)], []


def _path(name: str) -> Path:
    path = session_directory() / name
    if path.parent != session_directory() or not os.path.exists(path):  # noqa: PTH110  false for a name that is too long
        raise _missing(name)
    return path


def _missing(name: str) -> KeyError:
    names = nearest_sessions(name)
    expected = f"one of {names}" if names else "an existing session (there is none)"
    return KeyError(f"session: expected {expected}, got {name!r}; see `curricular sessions list`")
