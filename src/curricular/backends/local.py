"""`LocalMemoryBackend`: the table in the memory of one process."""

import os
import struct
import sys
import weakref
from collections.abc import Callable
from dataclasses import replace
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from ..samplers import pick
from ..table import EVENT, Counters, Patch, Table, copy_table, empty_table, issue_stream
from ..task import Rows
from . import LOG_SIZE, LogFullError, ResultT, Transaction

_EVENT = struct.Struct("=qqdd")
_REMEDY = "leave use_shared_memory=True, or give the config a session_id"


class LocalMemoryBackend:
    """Plain NumPy arrays. The fastest, and the template for a new backend.

    What a forked or pickled copy were told would be lost to the original, so a copy cannot be used or made.
    """

    def __init__(self, capacity: int, num_axes: int = 0) -> None:
        self._table = empty_table(capacity, num_axes)
        self._table = replace(self._table, counters=issue_stream(self._table).counters)
        self._epoch = 0
        self._log = np.zeros(LOG_SIZE, EVENT)
        self._bytes = self._log.view(np.uint8).data
        self._end = 0
        self._limit = len(self._bytes)
        self._is_copy = False
        _backends.add(self)
        self._ids = self._table.rows["task_id"].data

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            f"curriculum: expected one in shared memory to copy into another process, got a local one, "
            f"whose results would be lost; {_REMEDY}"
        )

    def _forget_parent(self) -> None:
        self._end = self._limit = 0
        self._is_copy = True

    @property
    def capacity(self) -> int:
        return len(self._table.rows)

    @property
    def epoch(self) -> int:
        return self._epoch

    @property
    def stream(self) -> int:
        return 0

    @property
    def num_workers(self) -> int:
        return 1

    def append(self, kind: int, task_id: int, score: float, regret: float) -> bool:
        if self._end == self._limit:
            self._refuse()
        _EVENT.pack_into(self._bytes, self._end, task_id, kind, score, regret)
        self._end += _EVENT.size
        return self._end == self._limit

    def extend(self, events: NDArray[np.void]) -> bool:
        if self.room() < len(events):
            self._refuse()
        start = self._end // _EVENT.size
        self._log[start : start + len(events)] = events
        self._end += len(events) * _EVENT.size
        return self._end == self._limit

    def room(self) -> int:
        if self._is_copy:
            self._refuse()
        return (self._limit - self._end) // _EVENT.size

    def _refuse(self) -> NoReturn:
        if self._is_copy:
            raise RuntimeError(
                f"curriculum: expected one in shared memory in a forked process, got a copy of a local one, "
                f"whose results would be lost; {_REMEDY}"
            )
        raise LogFullError

    def glance(self) -> tuple[Counters, int]:
        return self._table.counters, self._end // _EVENT.size

    def newest_id(self, slot: int) -> int:
        return self._ids[slot]

    def newest_ids(self, slots: NDArray[np.int64]) -> NDArray[np.int64]:
        ids: NDArray[np.int64] = self._table.rows["task_id"][slots]
        return ids

    def read(self, slots: NDArray[np.int64]) -> Rows:
        return self._table.rows.take(slots)

    def draw(self, uniforms: NDArray[np.float64]) -> tuple[NDArray[np.int64], int]:
        return self.newest_ids(pick(self._table.cumulated, uniforms)), self.epoch

    def apply(self, fn: Callable[[Transaction], ResultT]) -> ResultT:
        return fn(self)

    def try_apply(self, fn: Callable[[Transaction], None]) -> bool:
        fn(self)
        return True

    def snapshot(self) -> Table:
        return copy_table(self._table)

    def close(self) -> None:
        """Nothing to let go of."""

    @property
    def table(self) -> Table:
        return self._table

    @property
    def events(self) -> NDArray[np.void]:
        return self._log[: self._end // _EVENT.size]

    def commit(self, patch: Patch, *, settles: bool = False) -> None:
        self._table.rows.put(patch.slots, patch.rows)
        cumulated = self._table.cumulated if patch.cumulated is None else patch.cumulated
        self._table = Table(self._table.rows, patch.labels, patch.counters, cumulated)
        self._epoch = patch.counters.epoch
        if settles:
            self._end = 0


_backends: weakref.WeakSet[LocalMemoryBackend] = weakref.WeakSet()
"""The backends of this process, to be told of a fork."""


def _forget_parent() -> None:
    for backend in list(_backends):
        backend._forget_parent()  # noqa: SLF001  the hook of this very class


if sys.platform != "win32":
    os.register_at_fork(after_in_child=_forget_parent)
