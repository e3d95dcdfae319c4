"""Passes errors in worker processes of PufferLib to the main process, where `recv` would otherwise wait forever."""

import sys
import traceback
from types import FrameType
from typing import Any

from pufferlib.vector import _worker_process  # PufferLib has no public name for it

__all__ = ["WorkerError", "in_worker", "message_of"]


class WorkerError(RuntimeError):
    """An error in a worker process of PufferLib's ``Multiprocessing``; the message has its traceback.

    The workers live on: `reset` continues, and `close` ends them.
    """


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
