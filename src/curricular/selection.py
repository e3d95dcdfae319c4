"""`Selection`: chooses the tasks of a batch from one table, by a walk over the pool and by the distribution."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .coverage import Walk
from .draws import Draws
from .inputs import checked_number
from .probabilities import clock_order, pick, pick_distinct
from .table import Counters, Table, is_current, open_entries

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
            return _picked(table, self._draws.uniforms(0, n)), n
        is_barred = _marked(table, barred)
        return pick_distinct(
            n,
            len(table.rows),
            self._draws.uniforms,
            lambda uniforms: self._free(table, _picked(table, uniforms), is_barred),
            lambda uniforms: _ordered(table, uniforms, is_barred),
        )

    def _free(self, table: Table, slots: NDArray[np.int64], is_barred: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Returns those of `slots` that are not barred and whose tasks have no open hand-out with a ticket."""
        is_out = np.isin(slots, _slots_out(table)) if self._follows else _is_out(table, slots)
        return slots[~(is_out | is_barred[slots])]


def _picked(table: Table, uniforms: NDArray[np.float64]) -> NDArray[np.int64]:
    return np.minimum(pick(table.cumulated, uniforms), len(table.rows) - 1)


def _ordered(table: Table, uniforms: NDArray[np.float64], is_barred: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Returns all slots that are not barred, in the order of clocks; tasks that are out come after the others."""
    is_out = _marked(table, _slots_out(table))
    return clock_order(table.cumulated, uniforms, table.rows["is_active"] & ~is_barred, is_out)


def _marked(table: Table, slots: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Returns whether each slot of `table` is among `slots`, shape (capacity,)."""
    is_marked = np.zeros(len(table.rows), np.bool_)
    is_marked[slots] = True
    return is_marked


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
