"""Session files and their locks: create, join, find out who is alive, sweep. Knows nothing of what is in the table.

A session is one file in a directory of the user's own. Locks are `fcntl.lockf` byte locks, which the kernel releases
when a process ends, however it ends. They belong to the process and go with the *first* descriptor of the file that it
closes, so a process has exactly one `SessionFile` a path, kept in a registry.
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
from .layout import HEADER_SIZE, MAGIC, MAX_WORKERS, Layout, SessionError, SessionMismatchError, Spec
from .protocol import ResultT

LOCK_TIMEOUT = 10.0
"""Seconds to wait for the lock before giving up on whoever holds it."""

_TABLE_BYTE = 0
"""The byte whose lock is the right to change the table; bytes 1 … MAX_WORKERS are the workers' proofs of life."""

_DRAFT, _PRIVATE = ".draft-", ".private-"
"""How the names of drafts and of private sessions begin."""

_BEGINNING = MAGIC + b"{"
"""How the content of every session file begins; that of a text about curricula does not."""


class LockTimeoutError(SessionError, TimeoutError):
    """The process that holds the table's lock is alive but does not let go: it may be stopped."""


def base_directory() -> Path:
    """Where users have their directories of sessions: shared memory if it can be written, else the temporaries."""
    shared = Path("/dev/shm")  # noqa: S108  the mount point of shared memory, where a directory of the user's own is made
    return shared if os.access(shared, os.W_OK | os.X_OK) else Path(tempfile.gettempdir())


def session_directory() -> Path:
    """The directory of this user's sessions, made if needed.

    Raises `SessionError` if it is not a directory of this user's that nobody else may enter.
    """
    base = base_directory()
    path = base / f"curricular-{os.getuid()}"
    try:
        path.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise SessionError(
            f"session directory {path}: expected to be able to make it, got {error.strerror}; make {base} writable, "
            f"or set use_shared_memory=False"
        ) from error
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise SessionError(
            f"session directory {path}: expected a directory of user {os.getuid()} with mode 0700, got "
            f"{stat.filemode(found.st_mode)} of user {found.st_uid}; remove or correct it"
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
    """This process's hold on one session file: descriptor, mapping, locks. Shared by all backends on the path."""

    def __init__(self, path: Path, fd: int, spec: Spec) -> None:
        self.path = path
        self.fd = fd
        self.spec = spec
        self.inode = _inode(os.fstat(fd))
        """Which file it is, under whatever names."""
        self.layout: Layout = Layout(spec.capacity, spec.num_axes)
        self.mapping: mmap.mmap = mmap.mmap(fd, self.layout.size)
        self.num_users = 1
        """How often this process has opened the file and not released it."""
        self.slots: set[int] = set()
        """Worker slots of this process, whose life bytes it holds."""
        self._threads = threading.Lock()
        self._owner = 0

    def reserve(self, offset: int, length: int) -> None:
        """Makes sure that a part of the file has memory: a full disk is an error here, not a crash later."""
        try:
            if sys.platform == "linux":
                os.posix_fallocate(self.fd, offset, length)
            else:
                os.pwrite(self.fd, os.pread(self.fd, length, offset), offset)
        except OSError as error:
            raise SessionError(
                f"session file {self.path}: expected room for {length} bytes more, got {error.strerror}; free some "
                f"space on {self.path.parent}"
            ) from error

    def exclusively(self, control: memoryview, holder: int, fn: Callable[[], ResultT], *, wait: bool) -> ResultT | None:
        """Runs `fn` with the right to change the table, and returns what it returns.

        Returns None at once if another process or thread has the right and `wait` is false. ``control[holder]`` tells
        others which process has it. An exception at any point, also one that a signal handler raises, leaves no lock
        taken.

        Raises:
            LockTimeoutError: After waiting for `LOCK_TIMEOUT` seconds.
            ReentrantCallError: If this thread has the right already.
        """
        deadline = time.monotonic() + LOCK_TIMEOUT
        try:
            if not self._take_turn(deadline, wait=wait):
                return None
            return self._while_locked(control, holder, fn, deadline, wait=wait)
        finally:
            self._let_go()  # again, in case an exception cut short the release inside

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
            self._let_go()

    def _let_go(self) -> None:
        """Releases whatever this thread holds."""
        if self._owner == threading.get_ident():
            _unlock(self.fd, _TABLE_BYTE)
            self._owner = 0
            self._threads.release()

    def _take_turn(self, deadline: float, *, wait: bool) -> bool:
        """Waits until no other thread of this process is changing the table; False if one is and `wait` is false."""
        codes = (SessionFile._while_locked.__code__,)
        while self._threads.locked():
            if is_inside(codes, self, thread=threading.get_ident()):
                raise ReentrantCallError(
                    f"session {self.path.name!r}: expected one change of the table at a time, got a second one within "
                    f"the first; call the curriculum after the call under way has returned"
                )
            if not is_inside(codes, self):
                with contextlib.suppress(RuntimeError):
                    self._threads.release()  # left taken by an exception between two lines
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
            f"session {self.path.name!r}: expected the table within {LOCK_TIMEOUT:g} s, but process {pid} holds it; "
            f"continue or kill that process"
        )

    def claim_life(self, slot: int) -> bool:
        """Takes the life byte of worker `slot`; False if a living process has it. Call with the table locked."""
        if slot in self.slots or not _try_lock(self.fd, 1 + slot):
            return False
        self.slots.add(slot)
        return True

    def release_life(self, slot: int) -> None:
        """Lets go of the life byte of worker `slot`."""
        _unlock(self.fd, 1 + slot)  # before another thread may take it
        self.slots.discard(slot)

    def is_alive(self, slot: int) -> bool:
        """Whether a process holds worker `slot`. Call with the table locked."""
        if slot in self.slots:
            return True
        if _try_lock(self.fd, 1 + slot):
            _unlock(self.fd, 1 + slot)
            return False
        return True

    def forget_parent(self) -> None:
        """In a forked child: locks are not inherited, and a thread of the parent may have held the mutex."""
        self.slots = set()
        self._threads = threading.Lock()
        self._owner = 0

    def close(self) -> None:
        """Closes the descriptor, and with it gives up all locks. The mapping goes when its last view does."""
        os.close(self.fd)


_files: dict[Path, SessionFile] = {}
"""The session files that this process has open, by the name under which they are found."""

_inodes: dict[tuple[int, int], SessionFile] = {}
"""All session files that this process has open, also those that have lost their name."""

_files_lock = threading.RLock()


def _forget_parent() -> None:
    global _files_lock  # noqa: PLW0603  a thread of the parent may have held it
    _files_lock = threading.RLock()
    for file in _files.values():
        file.forget_parent()


if sys.platform != "win32":
    os.register_at_fork(after_in_child=_forget_parent)


def open_session(name: str | None, spec: Spec) -> SessionFile:
    """The session `name`, joined if a living process has it and else created; with None, a new private one.

    Raises `SessionError` if it cannot be made, `SessionMismatchError` if it was made for something else.
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
                # Another process may be quicker to create it, or sweep the draft: begin again.
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
    """The session file at `path`, which must be there; to be released.

    Raises `FileNotFoundError` if it is not, `SessionError` if it is not a session file of this user's.
    """
    with _files_lock:
        known = _files.get(path)
        if known is not None and is_in_place(known):
            known.num_users += 1
            return known
        other = _held(path)
        if other is not None:
            raise SessionError(
                f"session file {path}: expected a session of its own, got a hard link to session "
                f"{other.path.name!r}, which this process holds; remove the link, or use the name of the session"
            )
        try:
            fd = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise SessionError(
                f"session file {path}: expected a file of your own, got {error.strerror}; remove it or use another "
                f"session_id"
            ) from error
        try:
            file = SessionFile(path, fd, _checked(path, fd))
        except OSError as error:
            os.close(fd)
            raise SessionError(
                f"session file {path}: expected room for it in memory, got {error.strerror}; remove it or use another "
                f"session_id"
            ) from error
        except BaseException:
            os.close(fd)
            raise
        _files[path] = _inodes[file.inode] = file
        return file


def _inode(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino


def _held(path: Path) -> SessionFile | None:
    """Returns what this process has open of the file at `path`, which may have other names: hard links.

    Opening it a second time, and closing that, would cost this process its locks.
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
    size = Layout(spec.capacity, spec.num_axes).size
    if found.st_size != size:
        raise SessionMismatchError(
            f"session file {path}: expected {size} bytes, got {found.st_size}; it was cut or damaged: remove it with "
            f"`curricular sessions remove`"
        )
    return spec


def _create(path: Path, spec: Spec) -> SessionFile:
    """A new session file, whole before it gets its name; `FileExistsError` if the name is taken by then."""
    header = spec.header()
    draft = path.with_name(f"{_DRAFT}{os.getpid()}-{secrets.token_hex(4)}")
    try:
        fd = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fault("drafted")
            _try_lock(fd, _TABLE_BYTE)  # so that nobody sweeps the draft, nor uses the file before it is whole
            os.ftruncate(fd, Layout(spec.capacity, spec.num_axes).size)
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
    """Lets go of `file`, which closes it if nothing else in this process uses it."""
    with _files_lock:
        file.num_users -= 1
        if not file.num_users:
            if _files.get(file.path) is file:
                del _files[file.path]
            del _inodes[file.inode]
            file.close()


def remove_private(file: SessionFile) -> None:
    """Removes a private session that nobody else holds, just before its last user releases it."""
    if file.path.name.startswith(_PRIVATE):
        with _files_lock:
            if file.num_users == 1 and _try_lock(file.fd, _TABLE_BYTE, 1 + MAX_WORKERS):
                file.path.unlink(missing_ok=True)


def is_in_place(file: SessionFile) -> bool:
    """Whether the file is still at its path: a session that was swept while it was being joined is not."""
    try:
        return _inode(os.lstat(file.path)) == file.inode
    except FileNotFoundError:
        return False


def fault(point: str) -> None:
    """Does nothing. Tests replace it to end the process at a named point."""


def sweep() -> list[str]:
    """Removes the sessions that no living process holds and returns their names. Drafts and private ones, too.

    What is not curricular's in the directory is left alone.
    """
    with _files_lock:
        paths = sorted(session_directory().iterdir())
        return [path.name for path in paths if _is_ours(path) and remove_file(path, force=False)]


def _is_ours(path: Path) -> bool:
    """Whether a file that this process has not open is a session file, or a draft of one."""
    try:
        if _held(path) is not None or not stat.S_ISREG(path.lstat().st_mode):
            return False
        with path.open("rb") as file:
            return path.name.startswith(_DRAFT) or file.read(len(_BEGINNING)) == _BEGINNING
    except OSError:
        return False  # gone, or not to be read: none of our business


def remove_file(path: Path, *, force: bool) -> bool:
    """Removes a session file; False if a living process holds it and not `force`, or if it is not there any more."""
    with _files_lock:
        if _held(path) is not None:
            if force:
                path.unlink(missing_ok=True)
            return force
        try:
            fd = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            return False  # gone, or not a file of this user's: none of our business
        try:
            if not force and not _try_lock(fd, _TABLE_BYTE, 1 + MAX_WORKERS):
                return False
            if _inode(os.fstat(fd)) == _inode(os.lstat(path)):
                path.unlink(missing_ok=True)
        except FileNotFoundError:
            return False
        finally:
            os.close(fd)
        return True
