"""`Changes`: which parts of the hub's table a node does not know yet."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from ..table import Table
from .messages import News, Request


class Changes:
    """Remembers when each row of the hub's table last changed, in the numbers of records taken and of refreshes.

    Args:
        table: The table at the beginning of the hub's term.
    """

    def __init__(self, table: Table) -> None:
        self._ids = table.rows["task_id"].copy()
        self._score_range = table.score_range.copy()
        self._num_refreshes = table.counters.num_refreshes
        self._replaced = np.zeros(len(self._ids), np.int64)  # epoch in which the slot got its task
        self._touched = np.zeros(len(self._ids), np.int64)  # moment in which the row changed
        self._moment = 1

    def note(self, table: Table, task_ids: Iterable[NDArray[np.int64]]) -> bool:
        """Notes that a record was taken, and returns whether a refresh followed.

        Args:
            table: The table after the record.
            task_ids: Ids of the tasks whose rows the record has changed, in arrays of any length.
        """
        self._moment += 1
        for ids in task_ids:
            self._touched[ids % len(self._ids)] = self._moment
        if not np.array_equal(table.score_range, self._score_range, equal_nan=True):
            self._score_range = table.score_range.copy()
            self._touched[:] = self._moment  # a wider range rescales all rows
        is_refreshed = table.counters.num_refreshes != self._num_refreshes
        if is_refreshed:
            self._num_refreshes = table.counters.num_refreshes
            ids = table.rows["task_id"]
            (new,) = np.nonzero(ids != self._ids)
            self._ids[new], self._replaced[new], self._touched[new] = ids[new], table.counters.epoch, self._moment
        return is_refreshed

    def news(self, table: Table, request: Request, *, is_new: bool) -> News | None:
        """Returns what a node lacks; None if that is nothing.

        Args:
            table: The table now.
            request: Says what the node knows.
            is_new: Whether the node knows nothing of this term.
        """
        epoch = table.counters.epoch
        if not is_new and request.epoch == epoch and not request.wants_all:
            return None
        if is_new or (request.wants_all and not request.moment):
            slots = np.arange(len(self._ids))
        elif request.wants_all:
            slots = np.flatnonzero(self._touched > request.moment)
        else:
            slots = np.flatnonzero(self._replaced > request.epoch)
        words = table.rows.take(slots).words
        cumulated, scores, reasons = table.cumulated.copy(), table.score_range.copy(), table.reasons.copy()
        labels = table.labels.copy()
        return News(epoch, self._moment, slots, words, labels, table.counters, cumulated, scores, reasons)
