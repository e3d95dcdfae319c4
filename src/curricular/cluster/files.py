"""Writes files of a journal so that a kill leaves them as a whole or not at all, and names the directory in errors."""

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from ..checkpoint import sync_directory
from .messages import ClusterError, JournalError


def write_draft(path: Path, data: bytes) -> Path:
    """Writes and syncs `data` beside `path`, and returns where."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    fd = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    try:
        write_all(fd, data, 0)
        os.fsync(fd)
    except BaseException:
        draft.unlink()
        raise
    finally:
        os.close(fd)
    return draft


def write_file(path: Path, data: bytes) -> None:
    """Writes a file, as a whole or not at all."""
    write_draft(path, data).replace(path)
    sync_directory(path.parent)


def write_all(fd: int, data: bytes, at: int) -> None:
    """Writes all of `data` into a file, from position `at` on."""
    view = memoryview(data)
    while view:
        num_written = os.pwrite(fd, view, at)
        view, at = view[num_written:], at + num_written


@contextlib.contextmanager
def errors_of(directory: Path) -> Iterator[None]:
    """Raises errors of the file system as `JournalError`, with the directory."""
    try:
        yield
    except (JournalError, ConnectionError):
        raise
    except ValueError as error:  # also that of a damaged checkpoint
        raise ClusterError(f"directory: expected an intact journal in {str(directory)!r}, got: {error}") from error
    except OSError as error:
        raise JournalError(
            f"directory: expected to be able to read and write the journal in {str(directory)!r}, got "
            f"{error.strerror or error}; free some space or mount it, on all nodes: nothing is confirmed until then"
        ) from error
