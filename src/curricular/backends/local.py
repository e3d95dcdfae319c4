"""`LocalMemoryBackend`: the table in the memory of one process."""

import struct
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ..samplers import pick
from ..table import EVENT, Patch, Table, copy_table, empty_table
from ..task import Rows
from . import LOG_SIZE, ResultT, Transaction

_EVENT = struct.Struct("=qqdd")


class LocalMemoryBackend:
    """Plain NumPy arrays. The fastest, and the template for a new backend."""

    def __init__(self, capacity: int, num_axes: int = 0) -> None:
        self._table = empty_table(capacity, num_axes)
        self._log = np.zeros(LOG_SIZE, EVENT)
        self._bytes = self._log.view(np.uint8).data
        self._end = 0
        self._ids = self._table.rows["task_id"].data

    @property
    def capacity(self) -> int:
        return len(self._table.rows)

    @property
    def epoch(self) -> int:
        return self._table.counters.num_refreshes

    def append(self, kind: int, task_id: int, score: float, regret: float) -> bool:
        _EVENT.pack_into(self._bytes, self._end, task_id, kind, score, regret)
        self._end += _EVENT.size
        return self._end == len(self._bytes)

    def extend(self, events: NDArray[np.void]) -> bool:
        start = self._end // _EVENT.size
        self._log[start : start + len(events)] = events
        self._end += len(events) * _EVENT.size
        return self._end == len(self._bytes)

    def room(self) -> int:
        return LOG_SIZE - self._end // _EVENT.size

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
        if settles:
            self._end = 0
