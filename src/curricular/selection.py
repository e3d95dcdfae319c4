"""`Selection`: chooses the tasks of a batch from one table, by a walk over the pool and by the distribution."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .coverage import Walk
from .handouts import Draws, checked_number
from .probabilities import clocks, pick
from .table import Counters, Table, is_current, open_entries

NUM_ROUNDS = 4
"""Number of draws per task after which a batch without replacement is filled by exponential clocks."""

_NONE = np.empty(0, np.int64)


class Selected(NamedTuple):
    """The tasks of a batch."""

    slots: NDArray[np.int64]
    """Slot of each task, shape (n,)."""
    counters: Counters
    """Counters of the table, with the state of the walk after the batch."""
    num_draws: int
    """Number of uniforms by which the caller advances the draws."""


class Selection:
    """Chooses tasks inside a change of the table, so that walk and distribution are those of one moment.

    Args:
        draws: Gives the uniforms.
        walk: Chooses its share of the tasks.
        follows: Whether the rows are a replica, which does not count the hand-outs of its own ledger yet.
    """

    def __init__(self, draws: Draws, walk: Walk, *, follows: bool = False) -> None:
        self._draws = draws
        self._walk = walk
        self._follows = follows

    @property
    def cover_share(self) -> float:
        """Share of the hand-outs that the walk chooses."""
        return self._walk.share

    def blended(self, chances: NDArray[np.float64], table: Table) -> NDArray[np.float64]:
        """Returns the probabilities of tasks, shape (k,), if the walk's share counts as uniform choice."""
        return (1.0 - self._walk.share) * chances + self._walk.share / table.counters.num_active

    def choose(self, table: Table, n: int, barred: NDArray[np.int64], *, replace: bool) -> Selected:
        """Chooses the tasks of the next `n` hand-outs.

        Args:
            table: The pool.
            n: Number of tasks, at least 1.
            barred: Slots of tasks that the batch has already, shape (m,); they matter only without replacement.
            replace: Whether a task may be chosen more than once.

        Raises:
            ValueError: If, without replacement, the pool has fewer tasks.
        """
        counters = table.counters
        barred = _NONE if replace else barred
        if not replace:  # another process may have removed tasks since the caller looked
            checked_number(n, counters.num_active - int(table.rows["is_active"][barred].sum()))
        if not self._walk.share:
            slots, num_draws = self._drawn(table, n, barred, replace=replace)
            return Selected(slots, counters, num_draws)
        turns = self._walk.turns(counters.num_scheduled, n)
        slots, covered = np.empty(n, np.int64), _NONE
        if len(turns):
            moments = counters.num_scheduled + turns
            covered, counters = self._walk.steps(table, moments, barred, is_distinct=not replace)
            turns = turns[: len(covered)]
        is_drawn = np.ones(n, np.bool_)
        is_drawn[turns] = False
        slots[turns] = covered
        num_drawn, num_draws = n - len(turns), 0
        if num_drawn:
            barred = _NONE if replace else np.concatenate([barred, covered])
            slots[is_drawn], num_draws = self._drawn(table, num_drawn, barred, replace=replace)
        return Selected(slots, counters, num_draws)

    def _drawn(
        self, table: Table, n: int, barred: NDArray[np.int64], *, replace: bool
    ) -> tuple[NDArray[np.int64], int]:
        """Returns the slots of `n` tasks drawn from the distribution in use, and the number of uniforms used."""
        if replace:
            return self._picked(table, 0, n), n
        chosen: dict[int, None] = {}
        used, seen = 0, set(barred.tolist())
        while len(chosen) < n and used < NUM_ROUNDS * n:
            slots = self._picked(table, used, n)
            used += n
            is_out = np.isin(slots, _slots_out(table)) if self._follows else _is_out(table, slots)
            new = slots.tolist() if not is_out.any() else slots[~is_out].tolist()
            chosen.update(dict.fromkeys(new if not seen else [slot for slot in new if slot not in seen]))
        slots = np.fromiter(chosen, np.int64, len(chosen))[:n]
        if len(slots) == n:
            return slots, used
        rest = self._by_clocks(table, used, np.concatenate([barred, slots]))
        return np.concatenate([slots, rest[: n - len(slots)]]), used + len(table.rows)

    def _picked(self, table: Table, skip: int, n: int) -> NDArray[np.int64]:
        uniforms = self._draws.uniforms(skip, n)
        return np.minimum(pick(table.cumulated, uniforms), len(table.rows) - 1)

    def _by_clocks(self, table: Table, skip: int, barred: NDArray[np.int64]) -> NDArray[np.int64]:
        """Returns all other slots in the order in which draws without replacement would choose them.

        A few tasks may hold nearly all of the probability. Exponential clocks draw from the same law. Tasks that are
        out come after those that are not, and tasks that cannot be drawn come last.
        """
        num_slots = len(table.rows)
        times = clocks(table.cumulated, self._draws.uniforms(skip, num_slots))
        is_out = np.zeros(num_slots, np.bool_)
        is_out[_slots_out(table)] = True
        order = np.lexsort((times, is_out, np.isinf(times)))
        is_barred = np.zeros(num_slots, np.bool_)
        is_barred[barred] = True
        rest: NDArray[np.int64] = order[~is_barred[order] & table.rows["is_active"][order]]
        return rest


def _slots_out(table: Table) -> NDArray[np.int64]:
    """Returns the slots of the tasks that have an open hand-out with a ticket."""
    ids: NDArray[np.int64] = open_entries(table.ledger)["task_id"]
    slots: NDArray[np.int64] = (ids % len(table.rows))[is_current(table, ids)]
    return slots


def _is_out(table: Table, slots: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Returns whether the task in each of `slots`, shape (n,), has an open hand-out with a ticket."""
    if not table.counters.num_open:
        return np.zeros(len(slots), np.bool_)
    is_out: NDArray[np.bool_] = table.rows.take(slots)["num_pending"] > 0
    if is_out.any():  # the rows are quick to look at, but also count the hand-outs without a ticket
        is_out[is_out] = np.isin(slots[is_out], _slots_out(table))
    return is_out
