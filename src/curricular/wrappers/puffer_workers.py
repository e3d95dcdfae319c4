"""Raises what happens to worker processes of PufferLib in the main process, where `recv` would wait forever."""

import signal
import sys
import traceback
from collections.abc import Sequence
from multiprocessing.process import BaseProcess
from types import FrameType
from typing import Any, cast

from pufferlib import vector
from pufferlib.vector import _worker_process  # PufferLib has no public name for it

__all__ = ["Multiprocessing", "WorkerError", "in_worker", "message_of"]

POLLS_PER_CHECK = 1000
"""Number of polls of `recv` between two checks of whether the worker that it waits for is alive."""

# PufferLib is not typed: type checkers see a plain class here.
_Base = cast(type[object], vector.Multiprocessing)


class WorkerError(RuntimeError):
    """An error in a worker process of PufferLib's ``Multiprocessing``, or its end.

    If the worker raised, the message has its traceback. The workers live on: `reset` continues, and `close` ends them.
    If the worker is gone, the message says how it ended. Then `close` the environments and make new ones.
    """


class Multiprocessing(_Base):  # type: ignore[valid-type, misc]
    """PufferLib's ``Multiprocessing`` whose `recv` raises `WorkerError` if a worker was killed or has exited.

    PufferLib's own waits forever for a worker that is gone. To pass to ``pufferlib.vector.make`` as `backend`.
    """

    buf: dict[str, Any]
    processes: Sequence[BaseProcess]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.buf["semaphores"] = _Semaphores(self.buf["semaphores"], self.processes)


class _Semaphores:
    """The semaphores of the workers, which check while they are polled that the worker is alive."""

    def __init__(self, semaphores: Any, processes: Sequence[BaseProcess]) -> None:
        self._semaphores = semaphores
        self._processes = processes
        self._num_polls = 0

    def __setitem__(self, workers: Any, value: Any) -> None:
        self._semaphores[workers] = value

    def __getitem__(self, worker: int) -> Any:
        semaphore = self._semaphores[worker]
        if semaphore < vector.MAIN:
            self._num_polls += 1
            # Read once more: the worker may have answered and then ended.
            if self._num_polls % POLLS_PER_CHECK == 0 and _is_gone(self._processes[worker]):
                semaphore = self._semaphores[worker]
                if semaphore < vector.MAIN:
                    raise WorkerError(
                        f"recv: expected worker {worker} of PufferLib to answer, got a process that "
                        f"{_end_of(self._processes[worker])}; close the environments and make new ones"
                    )
        return semaphore


def _is_gone(process: BaseProcess) -> bool:
    return process.exitcode is not None


def _end_of(process: BaseProcess) -> str:
    """Returns how a process ended, in words."""
    code = process.exitcode or 0
    if code < 0:
        return f"was killed by {signal.Signals(-code).name} (pid {process.pid})"
    return f"exited with status {code} (pid {process.pid})"


class _Message:
    """Is sent instead of an info, and raises `WorkerError` where the main process reads it."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return _raise, (self._text,)


def _raise(text: str) -> None:
    raise WorkerError(text)


def in_worker() -> bool:
    """Returns whether this call comes from a worker process of PufferLib, where an error would be lost."""
    frame: FrameType | None = sys._getframe()  # noqa: SLF001 -- a module-level function despite its name
    while frame is not None:
        if frame.f_code is _worker_process.__code__:
            return True
        frame = frame.f_back
    return False


def message_of(error: Exception, is_in_worker: bool) -> Any:
    """Returns what a worker sends instead of an info, to raise `error` in the main process.

    Raises:
        Exception: `error` itself, if this process is no worker.
    """
    if not is_in_worker:
        raise error
    return _Message(f"in a worker process of PufferLib:\n{''.join(traceback.format_exception(error))}")
