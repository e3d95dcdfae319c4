"""`Recorder`: appends snapshots of the aggregates of a curriculum to a file at intervals."""

import fcntl
import logging
import os
import time
from collections.abc import Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any, BinaryIO, Self

import numpy as np

from ..aggregates import FILE_NAME, Aggregator
from ..curriculum import Curriculum
from .file import Recording, begin_file, read_recording, to_batch

_log = logging.getLogger(__name__)

MAX_SNAPSHOTS = 512
"""Maximum number of snapshots. Beyond it, every second one is dropped, and later snapshots are twice as far apart."""

EARLY_SHARE, TIME_SHARE = 1 / 20, 1 / 200
"""Maximum share of the wall time that a snapshot takes if no interval is given: of the time up to the second snapshot,
and of the time between two later ones. In between, each pause is as long as the time that has passed before."""


class Recorder:
    """Records a curriculum into a folder, for `curricular report`.

    Call `update` in the training loop, as often as you like; the first call appends the first snapshot. If the folder
    has a recording of the same run, it is continued without the snapshots that have more results than the curriculum,
    also if the curriculum loads a checkpoint while it is recorded. If that leaves no snapshot with results, the old
    recording is renamed, such as to ``recording-1.arrow``, and a warning is logged. If several processes record into
    one folder, one of them writes, and another takes over when it ends. The file can be read at any time. After a kill,
    it is complete up to the last snapshot. After a failed write, it is continued from the last complete snapshot.

    Args:
        curriculum: The curriculum.
        path: The folder of the recording, such as ``runs/x``. It is created if it is missing.
        interval: Number of completed results between two snapshots. None: snapshots follow after growing pauses, and
            then take at most 0.5 % of the wall time.

    Raises:
        TypeError: If an argument has a wrong type.
        ValueError: If `interval` is below 1, or if the folder has a file of the same name that is not a recording.
        OSError: If the folder cannot be written.

    Examples:
        >>> import tempfile
        >>> from curricular import Curriculum
        >>> from curricular.recording import Recorder, read_recording
        >>> curriculum = Curriculum(["easy", "hard"])
        >>> with tempfile.TemporaryDirectory() as folder, Recorder(curriculum, folder) as recorder:
        ...     curriculum.tell([0, 1], [1.0, 0.0])
        ...     recorder.close()
        ...     len(read_recording(folder).batches)
        1
    """

    def __init__(
        self, curriculum: Curriculum[Any], path: str | os.PathLike[str], *, interval: int | None = None
    ) -> None:
        _check_arguments(curriculum, path, interval)
        self._curriculum = curriculum
        self._path = _folder(Path(path))
        self._has_budget = interval is None
        self._interval = interval or 1
        self._next = 0
        self._start = time.perf_counter()
        self._not_before = 0.0
        self._aggregator = Aggregator()
        self._num_snapshots = 0
        self._last = -1
        self._lock: BinaryIO | None = None
        self._file: BinaryIO | None = None
        self._writer: Any = None
        self._pid = 0
        self._epoch = -1
        self._num_restores = 0
        self._is_writer()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def update(self) -> bool:
        """Appends a snapshot if one is due and no other process writes. Returns whether it appended one.

        Raises:
            RefreshError: If the distribution is out of date because refreshes keep failing.
            OSError: If the file cannot be written. The next call tries again.
        """
        backend, is_early = self._curriculum.tracker.backend, time.perf_counter() < self._not_before
        if is_early and backend.epoch == self._epoch:  # a restore would begin an epoch, as a refresh does
            return False
        counters, num_waiting = backend.glance()
        self._epoch = counters.epoch
        # About half of the waiting events are hand-outs. Looking at them would cost a flush.
        is_early |= counters.num_completed + (num_waiting + 1) // 2 < self._next
        if is_early and counters.num_restores == self._num_restores:
            return False
        return self._is_writer() and self._append()

    def close(self) -> None:
        """Appends a last snapshot if there are new results, and lets another process write, also if that fails.

        It may be called twice.

        Raises:
            RefreshError: If the distribution is out of date because refreshes keep failing.
            OSError: If the file cannot be written.
        """
        if self._pid == os.getpid() or not self._pid:
            try:
                if self._is_writer():
                    self._append()
            finally:
                self._leave()

    def _append(self) -> bool:
        start = time.perf_counter()
        stats = self._curriculum.stats()
        completed = int(stats["num_completed"])
        if completed <= self._last:
            return False
        batch = to_batch(self._aggregator.rows(stats, self._curriculum.tasks()), completed, time.time())
        try:
            if self._num_snapshots >= MAX_SNAPSHOTS:
                self._thin()
            self._writer.write_batch(batch)
            assert self._file is not None  # noqa: S101  the writer has one
            self._file.flush()
            self._num_snapshots, self._last = self._num_snapshots + 1, completed
        except BaseException:
            # The file may end within this snapshot, behind which no reader finds a later one, or it has the snapshot.
            self._leave()
            raise
        self._next = completed + self._interval
        if self._has_budget:
            now = time.perf_counter()
            cost = now - start
            self._not_before = now + min(max(now - self._start, cost / EARLY_SHARE), cost / TIME_SHARE)
        return True

    def _thin(self) -> None:
        """Drops every second snapshot, and doubles the interval."""
        run = read_recording(self._path)
        kept, completed = run.batches[::2], run.completed[::2]
        self._rewrite(kept)
        self._interval = max(2 * self._interval, int(completed[-1] - completed[0]) // (len(kept) - 1))

    def _rewrite(self, batches: Sequence[Any]) -> None:
        if self._file is not None:
            self._file.close()
        self._file, self._writer = begin_file(self._path / FILE_NAME, batches)
        self._num_snapshots = len(batches)
        self._last = batches[-1]["completed"][0].as_py() if batches else -1

    def _is_writer(self) -> bool:
        """Returns whether this process writes the recording. It becomes the writer if no process is.

        After a fork and after a restore, it starts as a new object does: the open files are the parent's, and the last
        snapshots may be of a lost run.
        """
        num_restores = self._curriculum.tracker.backend.glance()[0].num_restores
        if self._pid == os.getpid() and num_restores == self._num_restores:
            return True
        self._leave()
        self._num_restores = num_restores
        lock = (self._path / "lock").open("wb")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            exists = (self._path / FILE_NAME).exists()
            self._rewrite(self._earlier(read_recording(self._path)) if exists else [])
            self._lock = lock
        except BlockingIOError:
            lock.close()
            self._not_before = time.perf_counter() + 1.0  # ask again later
            return False
        except BaseException:
            lock.close()
            raise
        self._pid = os.getpid()
        return True

    def _earlier(self, recording: Recording) -> list[Any]:
        """Returns the snapshots of `recording` up to the current number of results; later ones are of a lost run.

        Without any snapshot of results among them, the file is renamed instead.
        """
        self._curriculum.tracker.flush()
        num_completed = self._curriculum.tracker.backend.glance()[0].num_completed
        completed = recording.completed
        num_kept = int(np.count_nonzero(completed <= num_completed))
        if num_kept == len(completed):
            return list(recording.batches)
        if not (completed[:num_kept] > 0).any():
            _log.warning(
                "recording %s: starts anew, since the curriculum has %d results and the recording was of up to %d; "
                "that one is now %s",
                self._path,
                num_completed,
                completed[-1],
                _set_aside(self._path / FILE_NAME).name,
            )
            return []
        _log.warning(
            "recording %s: dropped its last %d snapshots, of up to %d results, since the curriculum has %d; if it is "
            "another run, use another folder",
            self._path,
            len(completed) - num_kept,
            completed[-1],
            num_completed,
        )
        return list(recording.batches[:num_kept])

    def _leave(self) -> None:
        for file in (self._file, self._lock):
            if file is not None:
                with suppress(OSError):  # of what a failed write has left over; the file is closed all the same
                    file.close()
        self._file = self._lock = self._writer = None
        self._pid = self._next = 0
        self._not_before = 0.0


def _check_arguments(curriculum: Any, path: Any, interval: Any) -> None:
    if not isinstance(curriculum, Curriculum):
        raise TypeError(
            f"curriculum: expected a Curriculum, got {type(curriculum).__name__}; pass the curriculum first, then the "
            f"folder"
        )
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"path: expected a folder, got {type(path).__name__}; pass a path such as 'runs/x'")
    if interval is not None and (isinstance(interval, bool) or not isinstance(interval, int)):
        raise TypeError(f"interval: expected a whole number of results, got {interval!r}; leave it out for the default")
    if interval is not None and interval < 1:
        raise ValueError(f"interval: expected at least 1 result, got {interval}; leave it out for the default")


def _set_aside(file: Path) -> Path:
    """Gives `file` a name with a number, such as ``recording-1.arrow``. Returns its new path."""
    names = (file.with_stem(f"{file.stem}-{number}") for number in count(1))
    return file.rename(next(name for name in names if not name.exists()))


def _folder(path: Path) -> Path:
    """Returns `path`, and creates the folder if it is missing."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise type(error)(
            f"path: expected a folder that can be created, got {str(path)!r} ({reason}); choose another folder"
        ) from error
    return path
