"""`Tickets`: hands out tasks with tickets, and tells, cancels and expires these hand-outs."""

import logging
import secrets
from collections.abc import Callable
from dataclasses import replace as replaced
from functools import partial
from typing import Any, NoReturn, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .algorithms.protocol import Algorithm
from .backends.protocol import Backend, Transaction
from .draws import Draws
from .flush import Account, end_handouts, recorded
from .inputs import as_array, as_ids, checked_number
from .selection import Selection
from .table import (
    EVICTED,
    EXPIRED,
    LIFE_BITS,
    NO_WORKER,
    Counters,
    Draft,
    Patch,
    Table,
    cancellations,
    chances_of,
    check_free,
    close,
    columns_of,
    count_closed,
    find,
    hand_over,
    is_current,
    issue,
    oldest,
    schedule,
)
from .task import Batch
from .tracker import TaskTracker

ArrayT = TypeVar("ArrayT", bound=NDArray[Any])

_NO_SLOTS = np.empty(0, np.int64)


_log = logging.getLogger(__name__)


class Tickets:
    """Hands out tasks with tickets, and ends each of these hand-outs once.

    Every call changes rows and ledger in one commit, which also records all events logged before.

    Args:
        tracker: Checks results, and has the backend.
        draws: Draws the tasks.
        selection: Chooses the tasks of a batch, with `draws`.
        algorithm: Says which hand-outs to train on.
    """

    def __init__(self, tracker: TaskTracker, draws: Draws, selection: Selection, algorithm: Algorithm) -> None:
        self._backend: Backend = tracker.backend
        self._tracker = tracker
        self._draws = draws
        self._selection = selection
        self._algorithm = algorithm
        self._trains_on_all = type(algorithm).is_trained_on is Algorithm.is_trained_on
        self._size = self._backend.apply(lambda transaction: len(transaction.table.ledger))
        self._has_warned = False
        self._has_warned_of_repeats = False  # of tickets that come twice in one call
        self._restores = 0  # number of restores whose open hand-outs have all been handed out again

    def ask(self, n: int, *, replace: bool) -> Batch:
        """Hands out `n` tasks, first those whose hand-outs were open in the loaded state.

        Raises:
            TypeError: If `n` is not a whole number.
            ValueError: If `n` is negative, or if `replace` is false and `n` exceeds the size of the pool.
            LedgerFullError: If too many hand-outs with tickets are open.
        """
        counters, _ = self._backend.glance()
        n = checked_number(n, None if replace else counters.num_active)
        check_free(self._size, 0, n)  # before drawing, which takes memory for n tasks
        entries, _ = self._changed(lambda transaction: self._hand_out(transaction, n, replace=replace))
        return _batch(entries)

    def ask_without(self, n: int, taken: NDArray[np.int64], *, replace: bool) -> NDArray[np.int64]:
        """Hands out `n` tasks without tickets in one change of the table, and returns their ids, shape (n,).

        Args:
            n: Number of tasks, at least 1.
            taken: Slots of tasks that the caller has already, shape (m,); not chosen without `replace`.
            replace: Whether a task may be handed out more than once.
        """
        ids, _ = self._changed(lambda transaction: self._schedule(transaction, n, taken, replace=replace))
        return ids

    def _schedule(
        self, transaction: Transaction, n: int, taken: NDArray[np.int64], *, replace: bool
    ) -> tuple[NDArray[np.int64], int]:
        """Hands out tasks without tickets; returns their ids and the number of uniforms used."""
        draft = recorded(transaction, self._tracker.estimator)
        slots, counters, num_draws = self._selection.choose(draft.table, n, taken, replace=replace)
        ids: NDArray[np.int64] = transaction.table.rows["task_id"][slots]
        draft.add(_walked(schedule(draft.table, ids), counters))
        draft.commit()
        return ids, num_draws

    def look(self) -> int:
        """Returns the id of the task that `ask_without` would hand out next."""

        def choose(transaction: Transaction) -> int:
            table = recorded(transaction, self._tracker.estimator).table
            chosen = self._selection.choose(table, 1, _NO_SLOTS, replace=True)
            return int(transaction.table.rows["task_id"][chosen.slots[0]])

        self._draws.follow()
        return self._backend.apply(choose)

    def _changed(self, hand_out: Callable[[Transaction], tuple[ArrayT, int]]) -> tuple[ArrayT, int]:
        """Calls `hand_out` in a transaction, and moves the draws by the number that it returns with the hand-outs.

        Between the choice of a stream and the transaction, another process may restore a state, in which the stream is
        no longer this object's own.
        """
        while True:
            self._draws.follow()
            epoch = self._backend.epoch
            done = self._backend.apply(partial(self._unless_restored, hand_out, epoch))
            if done is not None:
                self._draws.advance(done[1])
                return done

    def _unless_restored(
        self, hand_out: Callable[[Transaction], tuple[ArrayT, int]], epoch: int, transaction: Transaction
    ) -> tuple[ArrayT, int] | None:
        """Returns what `hand_out` returns; None if `epoch` is over."""
        return hand_out(transaction) if self._backend.epoch == epoch else None

    def _hand_out(self, transaction: Transaction, n: int, *, replace: bool) -> tuple[NDArray[np.void], int]:
        """Hands out waiting tasks, then new ones; returns the entries of the ledger and the number of uniforms used."""
        draft = recorded(transaction, self._tracker.estimator)
        waiting = self._take_waiting(draft, n, replace=replace)
        num_new, new, num_draws = n - len(waiting), waiting[:0], 0
        if num_new:
            # A task that waits is not handed out a second time by a batch without replacement.
            taken = waiting["task_id"] % self._backend.capacity if len(waiting) else _NO_SLOTS
            slots, counters, num_draws = self._selection.choose(draft.table, num_new, taken, replace=replace)
            ids = transaction.table.rows["task_id"][slots]  # a draft would copy the columns
            chances = self._selection.blended(chances_of(draft.table, ids), draft.table)
            new, patch = self._issued(transaction, draft, ids, chances)
            draft.hand_out(ids, _walked(patch, counters) if self._selection.cover_share else patch)
        draft.commit()
        return (np.concatenate([waiting, new]) if len(waiting) else new), num_draws

    def ask_for(self, task_ids: ArrayLike) -> Batch:
        """Hands out the tasks with `task_ids`, shape (n,).

        Raises:
            TypeError: If `task_ids` are not integers.
            ValueError: If `task_ids` have another shape.
            KeyError: If a task is not in the pool.
            LedgerFullError: If too many hand-outs with tickets are open.
        """
        ids = as_ids(task_ids)
        return _batch(self._backend.apply(lambda transaction: self._hand_out_named(transaction, ids)))

    def _hand_out_named(self, transaction: Transaction, ids: NDArray[np.int64]) -> NDArray[np.void]:
        """Hands out the tasks with `ids`, shape (n,); returns the entries of the ledger."""
        draft = recorded(transaction, self._tracker.estimator)
        is_here = is_current(draft.table, ids)
        if not is_here.all():
            refuse_task(int(ids[~is_here][0]), draft.table)
        entries = draft.table.ledger[:0]
        if len(ids):
            entries, patch = self._issued(transaction, draft, ids, np.ones(len(ids)))
            draft.hand_out(ids, patch)
        draft.commit()
        return entries

    def _issued(
        self, transaction: Transaction, draft: Draft, ids: NDArray[np.int64], chances: NDArray[np.float64]
    ) -> tuple[NDArray[np.void], Patch]:
        """Returns the ledger's entries of new hand-outs of tasks in the pool, shape (n,), and the patch that adds them.

        Args:
            transaction: Access to the table.
            draft: The change so far.
            ids: Ids of the tasks, at least one, shape (n,).
            chances: Probability with which each was drawn, shape (n,).
        """
        slots, table = ids % self._backend.capacity, draft.table
        is_trained_on = np.ones(len(ids), np.bool_)
        if not self._trains_on_all:
            columns = columns_of(replaced(table, rows=table.rows.take(slots)))
            is_trained_on = np.asarray(self._algorithm.is_trained_on(columns), np.bool_)
        life = table.counters.life or secrets.randbelow(2**LIFE_BITS - 2) + 2
        seeds, params = (transaction.table.rows[name][slots] for name in ("seed", "params"))
        return issue(table, ids, seeds, params, chances, is_trained_on, self._backend.worker, life)

    def _take_waiting(self, draft: Account, n: int, *, replace: bool) -> NDArray[np.void]:
        """Gives this worker up to `n` waiting hand-outs, oldest first, and cancels those of evicted tasks.

        A hand-out waits if it was open in the loaded state and has not been handed out again.

        Without `replace`, it gives one of each task.
        """
        counters = draft.table.counters
        if counters.num_restores == self._restores:
            return draft.table.ledger[:0]
        places = oldest(draft.table.ledger, draft.table.ledger["worker"] == NO_WORKER)
        if not len(places):  # only another restore makes more of them
            self._restores = counters.num_restores
            return draft.table.ledger[:0]
        here = is_current(draft.table, draft.table.ledger["task_id"][places])
        end_handouts(draft, places[~here], EVICTED)
        places = places[here]
        if not replace:
            _, first = np.unique(draft.table.ledger["task_id"][places], return_index=True)
            places = places[np.sort(first)]
        entries, patch = hand_over(draft.table, places[:n], self._backend.worker)
        draft.add(patch)
        return entries

    def tell(self, tickets: ArrayLike, scores: ArrayLike, regrets: ArrayLike | None) -> int:
        """Tells the results of the open hand-outs among `tickets`, and returns their number.

        Raises:
            TypeError: If an argument has a wrong dtype.
            ValueError: If an argument has a wrong shape or value.
        """
        keys, results = _checked_tickets(tickets), self._tracker.results
        num_ended = self._end(keys, lambda table, ids: results.events(table, ids, scores, regrets, per="ticket"))
        if self._has_warned_of_repeats or not 0 < num_ended < len(keys):
            return num_ended
        num_different = len(np.unique(keys))
        if num_different < len(keys):
            self._has_warned_of_repeats = True
            _log.warning(
                "%d results were told at once under %d different tickets: only the first result of each counts; pass "
                "the scores of a group as one row, of shape (n, G)",
                len(keys),
                num_different,
            )
        return num_ended

    def cancel(self, tickets: ArrayLike, reason: str) -> int:
        """Cancels the open hand-outs among `tickets`, and returns their number.

        Raises:
            TypeError: If an argument has a wrong type.
            ValueError: If an argument has a wrong shape or value.
        """
        keys, index = _checked_tickets(tickets), self._tracker.reason(reason)
        return self._end(keys, lambda _, ids: cancellations(ids, index))

    def _end(self, keys: NDArray[np.int64], events_of: Callable[[Table, NDArray[np.int64]], NDArray[np.void]]) -> int:
        """Ends the open hand-outs with the events from `events_of`; counts all other tickets as repeated or unknown.

        Args:
            keys: Tickets, shape (n,).
            events_of: A function of the table and of task ids, shape (n,), that returns one event per id.

        Returns:
            The number of hand-outs that ended.
        """

        def end(transaction: Transaction) -> int:
            draft = recorded(transaction, self._tracker.estimator)
            places, is_open = find(draft.table.ledger, keys)
            events = events_of(draft.table, draft.table.ledger["task_id"][places])
            num_open = int(np.count_nonzero(is_open))
            if num_open < len(keys):
                draft.add(count_closed(draft.table, keys[~is_open]))
                events, places = events[is_open], places[is_open]
            if num_open:
                draft.record(events)
                draft.add(close(draft.table, places))  # last: a draft copies the ledger to look through it
            draft.commit()
            return num_open

        num_ended = self._backend.apply(end)
        if len(keys) and not num_ended and not self._has_warned:
            self._has_warned = True
            _log.warning(
                "none of %d tickets is open: they were ended before, are of a lost run, or are no tickets (but task "
                "ids, say); further calls of this kind are only counted",
                len(keys),
            )
        return num_ended

    def expire(self, older_than: int) -> int:
        """Cancels hand-outs after which the pool has handed out more than `older_than` tasks; returns their number.

        Raises:
            TypeError: If `older_than` is not a whole number.
            ValueError: If `older_than` is negative.
        """
        age = checked_number(older_than, None, "older_than")

        def expire(transaction: Transaction) -> int:
            draft = recorded(transaction, self._tracker.estimator)
            table = draft.table
            places = oldest(table.ledger, table.ledger["moment"] < table.counters.num_scheduled - 1 - age)
            end_handouts(draft, places, EXPIRED)
            draft.commit()
            return len(places)

        return self._backend.apply(expire)


def _walked(patch: Patch, counters: Counters) -> Patch:
    """Returns `patch` with the state of the walk from `counters`."""
    state = {name: getattr(counters, name) for name in ("num_walks", "walk_start", "walk_position")}
    return replaced(patch, counters=patch.counters._replace(**state))


def open_batch(table: Table) -> Batch:
    """Returns the open hand-outs with tickets in `table`, oldest first."""
    return _batch(table.ledger.take(oldest(table.ledger, np.ones(len(table.ledger), np.bool_))))


def _batch(entries: NDArray[np.void]) -> Batch:
    names = ("ticket", "task_id", "seed", "params", "chance")
    tickets, task_ids, seeds, params, probabilities = (np.ascontiguousarray(entries[name]) for name in names)
    return Batch(tickets, task_ids, seeds, params, probabilities, entries["is_trained_on"] != 0)


def refuse_task(task_id: int, table: Table) -> NoReturn:
    """Raises the error for a task that is not in the pool; names some that are."""
    ids = table.rows["task_id"][table.rows["is_active"]]
    some = ", ".join(map(str, ids[:3].tolist()))
    raise KeyError(
        f"task_ids: expected ids of tasks in the pool, which has {len(ids)} tasks ({some}, …), got {task_id}; use ids "
        f"from tasks()['task_id'], or from find"
    )


def _checked_tickets(tickets: ArrayLike) -> NDArray[np.int64]:
    keys = as_array("tickets", tickets)
    if keys.ndim != 1:
        raise ValueError(f"tickets: expected shape (n,), got {keys.shape}; pass a flat sequence of tickets")
    if len(keys) and keys.dtype.kind not in "iu":
        raise TypeError(f"tickets: expected integers, got dtype {keys.dtype}; pass the tickets of a batch, as they are")
    if len(keys) and keys.dtype.itemsize < 8:
        raise TypeError(f"tickets: expected integers of 64 bits, got dtype {keys.dtype}, which cannot hold a ticket")
    return keys.astype(np.int64)
