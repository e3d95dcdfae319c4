"""Session files and their locks: creates, joins and sweeps sessions, and detects living workers.

A session is one file in a private directory of the user. Locks are `fcntl.lockf` byte locks, which the kernel releases
when a process ends for any reason. A process loses its locks on a file when it closes *any* descriptor of the file.
A registry therefore keeps exactly one `SessionFile` per path and process. This module never reads the table.
"""

import contextlib
import errno
import mmap
import os
import secrets
import stat
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

if sys.platform != "win32":
    import fcntl

from ..mutex import ReentrantCallError, is_inside
from .layout import HEAD, HEADER_SIZE, MAGIC, MAX_WORKERS, FileLayout, SessionError, SessionMismatchError, Spec
from .protocol import ResultT

LOCK_TIMEOUT = 10.0
"""Time to wait for the lock of the table before raising `LockTimeoutError`, in seconds."""

_TABLE_BYTE = 0
"""Offset of the byte whose lock gives the right to change the table.

A living worker locks its life byte, one of the bytes 1 to `MAX_WORKERS`.
"""

DRAFT, _PRIVATE = ".draft-", ".private-"
"""Prefixes of the names of drafts and of private sessions."""

_BEGINNING = MAGIC + b"{"
"""Prefix of the content of every session file. The brace tells session files from text that starts with the magic."""


class LockTimeoutError(SessionError, TimeoutError):
    """A living process does not release the lock of the table. The process may be stopped."""


def base_directory() -> Path:
    """Returns the parent of session directories: shared memory if writable, else the directory of temporary files."""
    shared = Path("/dev/shm")  # noqa: S108  mount point of shared memory; files go to a private directory inside
    return shared if os.access(shared, os.W_OK | os.X_OK) else Path(tempfile.gettempdir())


def session_directory() -> Path:
    """Returns the directory of this user's sessions, and creates it if needed.

    Raises:
        SessionError: If the directory cannot be created, belongs to another user, or is open to other users.
    """
    base = base_directory()
    path = base / f"curricular-{os.getuid()}"
    try:
        path.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise SessionError(
            f"session directory {path}: expected to be able to create it, got {error.strerror}; make {base} "
            f"writable, or set use_shared_memory=False"
        ) from error
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise SessionError(
            f"session directory {path}: expected a directory of user {os.getuid()} with mode 0700, got "
            f"{stat.filemode(found.st_mode)} of user {found.st_uid}; remove or fix it"
        )
    return path


def _try_lock(fd: int, byte: int, length: int = 1) -> bool:
    try:
        fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB, length, byte)
    except OSError as error:
        if error.errno in {errno.EACCES, errno.EAGAIN}:
            return False
        raise
    return True


def _unlock(fd: int, byte: int, length: int = 1) -> None:
    fcntl.lockf(fd, fcntl.LOCK_UN, length, byte)


class SessionFile:
    """The descriptor, mapping and locks of one session file in this process, shared by all backends on its path.

    Args:
        path: Where the file is, or will be linked.
        fd: Descriptor of the open file, which the object closes.
        spec: Sizes and settings of the session.
    """

    def __init__(self, path: Path, fd: int, spec: Spec) -> None:
        self.path = path
        self.fd = fd
        self.spec = spec
        self.inode: tuple[int, int] = _inode(os.fstat(fd))
        """Device and inode of the file, which identify it under all of its names."""
        self.layout: FileLayout = spec.layout
        self.mapping: mmap.mmap = mmap.mmap(fd, self.layout.size)
        self.num_users = 1
        """Number of times this process has opened the file and not yet released it."""
        self.slots: set[int] = set()
        """Worker slots of this process, whose life bytes it holds."""
        self._threads = threading.Lock()
        self._owner = 0

    def reserve(self, offset: int, length: int) -> None:
        """Allocates memory for `length` bytes of the file at `offset`; a later write cannot crash on a full disk.

        Raises:
            SessionError: If the disk is full.
        """
        try:
            if sys.platform == "linux":
                os.posix_fallocate(self.fd, offset, length)
            else:
                os.pwrite(self.fd, os.pread(self.fd, length, offset), offset)
        except OSError as error:
            raise SessionError(
                f"session file {self.path}: expected space for {length} more bytes, got {error.strerror}; free some "
                f"space on {self.path.parent}"
            ) from error

    def exclusively(self, control: memoryview, holder: int, fn: Callable[[], ResultT], *, wait: bool) -> ResultT | None:
        """Runs `fn` with the table locked.

        An exception at any point releases the lock, even if a signal handler raises it.

        Args:
            control: The control words of the session.
            holder: Index of the control word that tells other processes the pid of the process with the lock.
            fn: The function to run.
            wait: Whether to wait for the lock.

        Returns:
            The result of `fn`; None if `wait` is false and another process or thread has the lock.

        Raises:
            LockTimeoutError: If the lock is not free after `LOCK_TIMEOUT` seconds.
            ReentrantCallError: If this thread already has the lock.
        """
        deadline = time.monotonic() + LOCK_TIMEOUT
        try:
            if not self._take_turn(deadline, wait=wait):
                return None
            return self._while_locked(control, holder, fn, deadline, wait=wait)
        finally:
            self._release()  # again, because an exception may have interrupted the release inside

    def _while_locked(
        self, control: memoryview, holder: int, fn: Callable[[], ResultT], deadline: float, *, wait: bool
    ) -> ResultT | None:
        try:
            if not self._threads.acquire(timeout=max(0.0, deadline - time.monotonic()) if wait else 0):
                if wait:
                    raise self._stuck(os.getpid())
                return None
            self._owner = threading.get_ident()
            if self._lock_table(deadline if wait else 0.0):
                control[holder] = os.getpid()
                return fn()
            if wait:
                raise self._stuck(control[holder])
            return None
        finally:
            self._release()

    def _release(self) -> None:
        """Releases the locks that this thread holds."""
        if self._owner == threading.get_ident():
            _unlock(self.fd, _TABLE_BYTE)
            self._owner = 0
            self._threads.release()

    def _take_turn(self, deadline: float, *, wait: bool) -> bool:
        """Waits until no other thread of this process has the lock; returns False if one has it and `wait` is false."""
        codes = (SessionFile._while_locked.__code__,)
        while self._threads.locked():
            if is_inside(codes, self, thread=threading.get_ident()):
                raise ReentrantCallError(
                    f"session {self.path.name!r}: expected one change of the table at a time, got a second one within "
                    f"the first; call the curriculum after the first call has returned"
                )
            if not is_inside(codes, self):
                with contextlib.suppress(RuntimeError):
                    self._threads.release()  # an exception came between acquiring it and the block that releases it
            elif not wait:
                return False
            elif time.monotonic() > deadline:
                raise self._stuck(os.getpid())
            else:
                time.sleep(1e-4)
        return True

    def _lock_table(self, deadline: float) -> bool:
        pause = 20e-6
        while not _try_lock(self.fd, _TABLE_BYTE):
            if time.monotonic() > deadline:
                return False
            time.sleep(pause)
            pause = min(2 * pause, 2e-3)
        return True

    def _stuck(self, pid: int) -> LockTimeoutError:
        return LockTimeoutError(
            f"session {self.path.name!r}: expected the lock of the table within {LOCK_TIMEOUT:g} s, but process {pid} "
            f"holds it; continue or kill that process"
        )

    def claim_life(self, slot: int) -> bool:
        """Locks the life byte of worker `slot`; returns False if a living process has it. Needs the table locked."""
        if slot in self.slots or not _try_lock(self.fd, 1 + slot):
            return False
        self.slots.add(slot)
        return True

    def release_life(self, slot: int) -> None:
        """Releases the life byte of worker `slot`."""
        _unlock(self.fd, 1 + slot)  # first, because afterwards another thread may take the slot
        self.slots.discard(slot)

    def is_alive(self, slot: int) -> bool:
        """Returns whether a living process holds worker `slot`. Needs the table locked."""
        if slot in self.slots:
            return True
        if _try_lock(self.fd, 1 + slot):
            _unlock(self.fd, 1 + slot)
            return False
        return True

    def forget_parent(self) -> None:
        """Resets the locks in a forked child, which inherits no file locks but may inherit a locked mutex."""
        self.slots = set()
        self._threads = threading.Lock()
        self._owner = 0

    def close(self) -> None:
        """Closes the descriptor, which releases all locks. The mapping is freed with its last view."""
        os.close(self.fd)


_files: dict[Path, SessionFile] = {}
"""The session files that this process has open, by path."""

_inodes: dict[tuple[int, int], SessionFile] = {}
"""All session files that this process has open, by device and inode; includes files whose path was removed."""

_files_lock = threading.RLock()


def _forget_parent() -> None:
    global _files_lock  # noqa: PLW0603  a thread of the parent may have held the lock
    _files_lock = threading.RLock()
    for file in _inodes.values():
        file.forget_parent()


if sys.platform != "win32":
    os.register_at_fork(after_in_child=_forget_parent)


def open_session(name: str | None, spec: Spec) -> SessionFile:
    """Joins session `name`, or creates it if no living process holds it. None creates a new private session.

    Args:
        name: Name of the session, or None.
        spec: Sizes and settings of the session.

    Raises:
        SessionError: If the session cannot be created or joined.
        SessionMismatchError: If the session was created with another spec.
    """
    if sys.platform == "win32":
        raise SessionError(
            f"session {name!r}: expected a system with POSIX file locks, got {sys.platform}; "
            f"set use_shared_memory=False, and use one curriculum in one process"
        )
    directory = session_directory()
    with _files_lock:
        sweep()
        for _ in range(1000):
            path = directory / (name or f"{_PRIVATE}{os.getpid()}-{secrets.token_hex(4)}")
            try:
                file = join_session(path)
            except FileNotFoundError:
                # If another process creates the session first, or sweeps the draft, try again.
                with contextlib.suppress(FileExistsError, FileNotFoundError):
                    return _create(path, spec)
                continue
            try:
                file.spec.check(spec, path.name)
            except SessionMismatchError:
                release_session(file)
                raise
            return file
    raise SessionError(f"session {name!r}: expected to join or create it, but others kept removing it; try again")


def join_session(path: Path) -> SessionFile:
    """Opens the session file at `path`. The caller must release it with `release_session`.

    Raises:
        FileNotFoundError: If there is no file.
        SessionError: If the file is not a session file of this user.
    """
    with _files_lock:
        known = _files.get(path)
        if known is not None and is_in_place(known):
            known.num_users += 1
            return known
        other = _held(path)
        if other is not None:
            raise SessionError(
                f"session file {path}: expected a separate file, got a hard link to session {other.path.name!r}, "
                f"which this process holds; remove the link, or use the name of that session"
            )
        try:
            fd = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise SessionError(
                f"session file {path}: expected a file of user {os.getuid()}, got {error.strerror}; remove it or use "
                f"another session_id"
            ) from error
        try:
            file = SessionFile(path, fd, _checked(path, fd))
        except OSError as error:
            os.close(fd)
            raise SessionError(
                f"session file {path}: expected to be able to map it into memory, got {error.strerror}; remove it or "
                f"use another session_id"
            ) from error
        except BaseException:
            os.close(fd)
            raise
        _files[path] = _inodes[file.inode] = file
        return file


def _inode(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino


def _held(path: Path) -> SessionFile | None:
    """Returns the open session file at `path`, also if `path` is a hard link to it; None if it is not open.

    The process would lose its locks if it opened the file a second time and closed that descriptor.
    """
    try:
        return _inodes.get(_inode(path.lstat()))
    except OSError:
        return None


def _checked(path: Path, fd: int) -> Spec:
    found = os.fstat(fd)
    if not stat.S_ISREG(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise SessionError(
            f"session file {path}: expected a file of user {os.getuid()} with mode 0600, got "
            f"{stat.filemode(found.st_mode)} of user {found.st_uid}; remove it or use another session_id"
        )
    spec = Spec.parse(os.pread(fd, HEADER_SIZE, 0), str(path))
    size = spec.layout.size
    if found.st_size != size:
        raise SessionMismatchError(
            f"session file {path}: expected {size} bytes, got {found.st_size}; the file is damaged: remove it with "
            f"`curricular sessions remove`"
        )
    return spec


def _create(path: Path, spec: Spec) -> SessionFile:
    """Creates a session file: writes a draft, then links it to `path`.

    Raises:
        FileExistsError: If another process has created `path` in the meantime.
        FileNotFoundError: If another process has swept the draft.
        SessionError: If the file cannot be created.
    """
    spec = spec.without_long_axes()
    header = spec.header()
    draft = path.with_name(f"{DRAFT}{os.getpid()}-{secrets.token_hex(4)}")
    try:
        fd = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fault("drafted")
            _try_lock(fd, _TABLE_BYTE)  # keeps other processes from sweeping the draft or using a partial file
            os.ftruncate(fd, spec.layout.size)
            file = SessionFile(path, fd, spec)
            file.reserve(0, file.layout.fixed_size)
            for offset, length in file.layout.journal_spans(0):
                file.reserve(offset, length)
            file.mapping[: len(header)] = header
            fault("created")
            os.link(draft, path)
            fault("linked")
            _unlock(fd, _TABLE_BYTE)
        except BaseException:
            os.close(fd)
            raise
        finally:
            draft.unlink(missing_ok=True)
    except (FileExistsError, FileNotFoundError):
        raise
    except OSError as error:
        raise SessionError(
            f"session file {path}: expected to be able to create it, got {error.strerror}; make {path.parent} "
            f"writable and large enough, or set use_shared_memory=False"
        ) from error
    _files[path] = _inodes[file.inode] = file
    return file


def release_session(file: SessionFile) -> None:
    """Releases `file`, and closes it if nothing else in this process uses it."""
    with _files_lock:
        file.num_users -= 1
        if not file.num_users:
            if _files.get(file.path) is file:
                del _files[file.path]
            del _inodes[file.inode]
            file.close()


def remove_private(file: SessionFile) -> None:
    """Removes a private session that no other user or process holds. Called before its last user releases it."""
    if file.path.name.startswith(_PRIVATE):
        with _files_lock:
            if file.num_users == 1 and _try_lock(file.fd, _TABLE_BYTE, 1 + MAX_WORKERS):
                file.path.unlink(missing_ok=True)


def is_in_place(file: SessionFile) -> bool:
    """Returns whether the file is still at its path. A sweep may remove a session while a process joins it."""
    try:
        return _inode(os.lstat(file.path)) == file.inode
    except FileNotFoundError:
        return False


def fault(point: str) -> None:
    """Does nothing. Tests replace this function to end the process at a named point."""


def sweep() -> list[str]:
    """Removes all sessions and drafts that no living process holds, and returns their names.

    Files that curricular did not create are left alone.
    """
    with _files_lock:
        paths = sorted(session_directory().iterdir())
        return [path.name for path in paths if _is_ours(path) and remove_file(path, force=False)]


def _is_ours(path: Path) -> bool:
    """Returns whether a file is a session file or a draft, and this process does not have it open."""
    try:
        if _held(path) is not None or not stat.S_ISREG(path.lstat().st_mode):
            return False
        with path.open("rb") as file:
            return path.name.startswith(DRAFT) or file.read(len(_BEGINNING)) == _BEGINNING
    except OSError:
        return False  # removed, or not readable: not ours


def has_undelivered(path: Path) -> bool:
    """Returns whether the file is a follower with events that its hub has not confirmed. They outlive all processes.

    Raises:
        OSError: If the file cannot be read.
    """
    with _files_lock:
        known = _held(path)
        if known is not None:  # whose locks this process would lose if it opened the file again
            return _has_unconfirmed(known.spec, known.mapping)
        with path.open("rb") as file:
            return _is_undelivered(path, file.fileno())


def _is_undelivered(path: Path, fd: int) -> bool:
    try:
        spec = Spec.parse(os.pread(fd, HEADER_SIZE, 0), str(path))
    except SessionMismatchError:
        return False
    if not spec.follows:
        return False
    with mmap.mmap(fd, 0, access=mmap.ACCESS_READ) as mapping:
        return _has_unconfirmed(spec, mapping)


def _has_unconfirmed(spec: Spec, mapping: mmap.mmap) -> bool:
    layout = spec.layout
    if not spec.follows or len(mapping) < layout.size:
        return False
    head, tail = layout.view(mapping, "standing")[:2].tolist()
    return head != tail or bool((layout.view(mapping, "workers")[:, HEAD] != layout.view(mapping, "tails")).any())


def remove_file(path: Path, *, force: bool) -> bool:
    """Removes a session file.

    Args:
        path: Where the file is.
        force: Whether to remove a file that a living process holds.

    Returns:
        Whether the file was removed. False if it is gone, or if `force` is false and a living process holds it or its
        hub lacks some of its results. Both are looked at with the table locked: a worker may come and go at any time.
    """
    with _files_lock:
        if _held(path) is not None:
            if force:
                path.unlink(missing_ok=True)
            return force
        try:
            fd = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            return False  # removed, or a file of another user: not ours
        try:
            if not force and (not _try_lock(fd, _TABLE_BYTE, 1 + MAX_WORKERS) or _is_undelivered(path, fd)):
                return False
            if _inode(os.fstat(fd)) == _inode(os.lstat(path)):
                path.unlink(missing_ok=True)
        except FileNotFoundError:
            return False
        finally:
            os.close(fd)
        return True
