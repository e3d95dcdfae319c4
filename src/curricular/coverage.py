"""`Walk`: walks over the pool in random order, so that every task is handed out. The state of a walk is in the table.

A walk hands out every task once, in the order of a random permutation of the slots. It skips tasks that were handed out
since it began. Tasks that are out when it comes to them have their turn at its end. A task whose last hand-out was
cancelled is due again. When no task is due, the next walk begins.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .priorities import yet_to_come
from .streams import Purpose, permuted, stream_key
from .table import Counters, Table

WINDOW = 16
"""Minimum number of places of a permutation that a walk looks at together."""

BLOCK = 4096
"""Number of places of a permutation that are computed together."""


class Steps(NamedTuple):
    """The next tasks of a walk."""

    slots: NDArray[np.int64]
    """Slots of the tasks, in order, shape (k,)."""
    counters: Counters
    """Counters of the table, with the state of the walk after these tasks."""


class Walk:
    """Chooses the hand-outs that cover the pool.

    Args:
        share: Share of the hand-outs that the walk chooses, from 0 to 1.
        seed: Seed of the permutations.
        max_failures: Number of cancellations in a row after which a task waits for the next walk.
    """

    def __init__(self, share: float, seed: int, max_failures: int) -> None:
        self.share = share
        """Share of the hand-outs that the walk chooses."""
        self._seed = seed
        self._max_failures = max_failures
        self._cached: tuple[tuple[int, int, int], NDArray[np.int64]] | None = None

    def turns(self, first: int, n: int) -> NDArray[np.int64]:
        """Returns which of `n` hand-outs are the walk's, as indices, shape (k,), k = `n` · share to within one.

        Args:
            first: Number of hand-outs before them.
            n: Number of hand-outs.
        """
        quotas = np.floor(np.arange(first, first + n + 1) * self.share)
        return np.flatnonzero(quotas[1:] > quotas[:-1])

    def steps(self, table: Table, moments: NDArray[np.int64], barred: NDArray[np.int64], *, is_distinct: bool) -> Steps:
        """Returns the tasks of the walk's next hand-outs; fewer than asked for if all tasks are barred.

        Args:
            table: The pool.
            moments: Number of hand-outs before each of them, ascending, shape (k,).
            barred: Slots that may not be chosen, shape (m,).
            is_distinct: Whether no slot may be chosen twice.
        """
        capacity, wanted = len(table.rows), len(moments)
        number, start, position = (
            getattr(table.counters, name) for name in ("num_walks", "walk_start", "walk_position")
        )
        chosen: list[int] = []
        num_before = 0  # of the chosen slots, those of earlier walks
        is_fresh = False
        while True:
            own = chosen if is_distinct else chosen[num_before:]
            blocked = np.concatenate([barred, np.array(own, np.int64)])
            found, position = self._scan(table, number, start, position, wanted - len(chosen), blocked)
            chosen += found
            if len(chosen) == wanted:
                break
            is_due = yet_to_come(table.rows, start, self._max_failures, has_new=False)
            is_due[blocked] = is_due[found] = False
            if is_fresh and not found and not is_due.any():
                break
            is_fresh = not is_due.any()
            position = 0 if is_fresh else capacity
            if is_fresh:
                number, num_before = number + 1, len(chosen)
                start = int(moments[num_before - 1]) + 1 if num_before else int(moments[0])
        counters = table.counters._replace(num_walks=number, walk_start=start, walk_position=position)
        return Steps(np.array(chosen, np.int64), counters)

    def _scan(
        self, table: Table, number: int, start: int, position: int, wanted: int, blocked: NDArray[np.int64]
    ) -> tuple[list[int], int]:
        """Looks through the rest of a pass for due tasks.

        The passes after the first one are for tasks that were out, and for those whose hand-outs were cancelled.

        Args:
            table: The pool.
            number: Number of the walk.
            start: Hand-outs of the pool when the walk began.
            position: Places passed, from 0 in the first pass, from the capacity in each later one.
            wanted: Maximum number of tasks.
            blocked: Slots that may not be chosen, shape (m,).

        Returns:
            The slots of the tasks, and the new position.
        """
        capacity = len(table.rows)
        is_first = position < capacity
        offset = 0 if is_first else capacity
        place, found = position - offset, list[int]()
        while wanted > len(found) and place < capacity:
            width = max(WINDOW, 2 * (wanted - len(found))) if not found else BLOCK
            slots = self._window(number, place, width, capacity)
            rows = table.rows.take(slots)
            is_due = yet_to_come(rows, start, self._max_failures, has_new=is_first)
            if is_first:
                is_due &= rows["num_pending"] == 0
            if len(blocked):
                is_due &= ~np.isin(slots, blocked)
            (places,) = np.nonzero(is_due)
            places = places[: wanted - len(found)]
            found += slots.take(places).tolist()
            place += int(places[-1]) + 1 if len(found) == wanted else len(slots)
        return found, offset + place

    def _window(self, number: int, place: int, width: int, capacity: int) -> NDArray[np.int64]:
        """Returns the slots at up to `width` places of a permutation, from `place` on, shape (k,), k ≥ 1."""
        index, offset = divmod(place, BLOCK)
        key = (number, index, capacity)
        if self._cached is None or self._cached[0] != key:
            places = np.arange(index * BLOCK, min(capacity, (index + 1) * BLOCK))
            self._cached = key, permuted(stream_key(self._seed, Purpose.WALK, number), places, capacity)
        return self._cached[1][offset : offset + width]
