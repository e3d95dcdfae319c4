"""The ledger: the open hand-outs with tickets. No function writes into an argument.

A *life* of a table is the time between two restores. A ticket is a positive `int64`: its high bits are a random number
of the life, its low bits a count. The place of a ticket in the ledger is the count modulo the size of the ledger, so a
ticket is found without a search. A count whose place is taken is skipped.
"""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..task import Params
from .record import schedule
from .schema import (
    CANCELLED,
    EVENT,
    NO_FAILURE,
    NO_WORKER,
    NODE_LOST,
    WORKER_LOST,
    LedgerChange,
    Patch,
    Table,
    unchanged,
)

LIFE_BITS = 30
"""Number of random bits in a ticket. Two lives that began from one state share them with a probability of 2 ** -30."""

MAX_TICKETS = 2 ** (63 - LIFE_BITS)
"""Number of tickets that can be issued with one random number."""


class LedgerFullError(RuntimeError):
    """More hand-outs with tickets are open than the ledger has entries for."""


class Found(NamedTuple):
    """The places of tickets in a ledger."""

    places: NDArray[np.int64]
    """Place of each ticket, shape (n,)."""
    is_open: NDArray[np.bool_]
    """Whether each ticket is open, shape (n,). If a ticket occurs twice, only the first occurrence counts as open."""


def ledger_size(max_open: int) -> int:
    """Returns the number of entries of a ledger for `max_open` hand-outs: the next power of two.

    Sizes are powers of two so that entries with different places also have different places in a larger ledger.
    """
    return 1 << (max_open - 1).bit_length()


def places_of(tickets: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """Returns the place of each ticket in a ledger of `size` entries, in the shape of `tickets`."""
    places: NDArray[np.int64] = tickets & (size - 1)  # the remainder, since `size` and `MAX_TICKETS` are powers of two
    return places


def find(ledger: NDArray[np.void], tickets: NDArray[np.int64]) -> Found:
    """Finds `tickets`, shape (n,), in a ledger."""
    places = places_of(tickets, len(ledger))
    is_open = (ledger["ticket"][places] == tickets) & (tickets > 0)
    if len(tickets) > 1:
        backwards = np.flatnonzero(is_open)[::-1]
        first = np.empty(len(ledger), np.int64)
        first[places[backwards]] = backwards  # of equal places, the last one written stays
        is_open[backwards] = first[places[backwards]] == backwards
    return Found(places, is_open)


def oldest(ledger: NDArray[np.void], mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Returns the places of the open entries for which `mask`, shape (size,), is true, oldest first."""
    places = np.flatnonzero((ledger["ticket"] > 0) & mask)
    entries = ledger.take(places)
    return places[np.lexsort((entries["ticket"] % MAX_TICKETS, entries["moment"]))]


def check_free(size: int, num_open: int, n: int) -> None:
    """Checks that a ledger of `size` entries, `num_open` of them taken, can take `n` more.

    Raises:
        LedgerFullError: If it cannot.
    """
    if num_open + n > size:
        raise LedgerFullError(
            f"max_open_handouts: expected at most {size} open hand-outs with tickets, got {num_open} and {n} more; "
            f"tell or cancel those that ended by their tickets, since a result told by task id ends no ticket, call "
            f"expire for those that never end, or raise the setting"
        )


def issue(
    table: Table,
    task_ids: NDArray[np.int64],
    seeds: NDArray[np.int64],
    params: Params,
    chances: NDArray[np.float64],
    is_trained_on: NDArray[np.bool_],
    worker: int,
    life: int,
) -> tuple[NDArray[np.void], Patch]:
    """Returns the entries of new hand-outs, and the patch that counts the hand-outs and adds the entries to the ledger.

    Args:
        table: The pool.
        task_ids: Ids of tasks in the pool, at least one, shape (n,).
        seeds: Their seeds, shape (n,).
        params: Their params, shape (n, num_axes).
        chances: Probability with which each task was drawn, shape (n,).
        is_trained_on: Whether to train on each hand-out, shape (n,).
        worker: Number of the worker that asks for the tasks.
        life: Random number of the life, from 2 to 2 ** `LIFE_BITS` − 1.

    Raises:
        LedgerFullError: If the ledger has too few free entries.
    """
    n, size, old = len(task_ids), len(table.ledger), table.counters
    check_free(size, old.num_open, n)
    start = old.num_tickets
    if start + size > MAX_TICKETS:
        life, start = life ^ 1, 0
    order = np.arange(n)
    counts = start + order
    places = counts % size
    if table.ledger["ticket"][places].any():
        counts = start + np.arange(size)
        counts = counts[table.ledger["ticket"][counts % size] == 0][:n]
        places = counts % size
    entries = np.empty(n, table.ledger.dtype)
    entries["ticket"] = life * MAX_TICKETS + counts
    entries["task_id"], entries["worker"] = task_ids, worker
    entries["seed"], entries["params"] = seeds, params
    entries["moment"] = old.num_scheduled + order
    entries["chance"], entries["is_trained_on"] = chances, is_trained_on
    change = LedgerChange(places, entries)
    num_tickets, num_open = int(counts[-1]) + 1, old.num_open + n
    return entries, schedule(table, task_ids, change, life=life, num_tickets=num_tickets, num_open=num_open)


def chances_of(table: Table, task_ids: NDArray[np.int64]) -> NDArray[np.float64]:
    """Returns the probability of each of `task_ids`, shape (n,), in the distribution in use."""
    slots = task_ids % len(table.rows)
    below = table.cumulated[slots - 1]
    below[slots == 0] = 0.0
    chances: NDArray[np.float64] = table.cumulated[slots] - below
    return chances


def hand_over(table: Table, places: NDArray[np.int64], worker: int) -> tuple[NDArray[np.void], Patch]:
    """Returns the entries at `places`, shape (k,), as handed out to `worker` now, and the patch with these entries."""
    entries = table.ledger.take(places)
    entries["worker"], entries["moment"] = worker, table.counters.num_scheduled
    return entries, replace(unchanged(table), ledger=LedgerChange(places, entries))


def close(table: Table, places: NDArray[np.int64]) -> Patch:
    """Returns the patch that frees the open entries at distinct `places`, shape (k,)."""
    counters = table.counters._replace(num_open=table.counters.num_open - len(places))
    freed = LedgerChange(places, np.zeros(len(places), table.ledger.dtype))
    return replace(unchanged(table), counters=counters, ledger=freed)


def count_closed(table: Table, tickets: NDArray[np.int64]) -> Patch:
    """Returns the patch that counts `tickets` that are not open, shape (k,), as repeated or as unknown."""
    old = table.counters
    is_of_life = (tickets // MAX_TICKETS == old.life) & (tickets % MAX_TICKETS < old.num_tickets) & (tickets > 0)
    num_repeated = int(is_of_life.sum())
    counters = old._replace(
        num_repeated=old.num_repeated + num_repeated, num_unknown=old.num_unknown + len(tickets) - num_repeated
    )
    return replace(unchanged(table), counters=counters)


def cancellations(task_ids: NDArray[np.int64], reason: int) -> NDArray[np.void]:
    """Returns events, shape (n,), that cancel hand-outs of `task_ids` for the reason with index `reason`.

    A task may have ended its worker, so a death counts as a failure of each task that was out. However many of a task's
    hand-outs were lost, that is one failure: the others say nothing more about the task.
    """
    events = np.zeros(len(task_ids), EVENT)
    events["task_id"], events["kind"], events["score"] = task_ids, CANCELLED, reason
    if reason in (WORKER_LOST, NODE_LOST):
        _, first = np.unique(task_ids, return_index=True)
        events["regret"] = NO_FAILURE
        events["regret"][first] = 0.0
    return events


def is_current(table: Table, task_ids: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Returns whether each of `task_ids` is in the pool, shape (n,)."""
    rows = table.rows.take(task_ids % len(table.rows))
    here: NDArray[np.bool_] = (rows["task_id"] == task_ids) & rows["is_active"]
    return here


def open_entries(ledger: NDArray[np.void]) -> NDArray[np.void]:
    """Returns the open entries of a ledger, in the order of their places."""
    entries: NDArray[np.void] = ledger[ledger["ticket"] != 0]
    return entries


def without_ledger(table: Table) -> Table:
    """Returns `table` with an empty ledger; the hand-outs that were in it stay pending."""
    return replace(table, ledger=np.zeros_like(table.ledger), counters=table.counters._replace(num_open=0))


def filled(entries: NDArray[np.void], size: int) -> NDArray[np.void]:
    """Returns a ledger of `size` entries with `entries` in their places.

    Raises:
        LedgerFullError: If two of `entries` have the same place, which can happen only in a smaller ledger.
    """
    ledger, places = np.zeros(size, entries.dtype), places_of(entries["ticket"], size)
    if len(np.unique(places)) < len(places):
        raise LedgerFullError(
            f"max_open_handouts: expected at least what the state was saved with, for its {len(entries)} open "
            f"hand-outs, got {size}; set max_open_handouts to that number"
        )
    ledger[places] = entries
    return ledger


def waiting(entries: NDArray[np.void], size: int) -> LedgerChange:
    """Returns the change that fills a ledger of `size` entries with `entries`, which no worker holds.

    Raises:
        LedgerFullError: As `filled` does.
    """
    ledger = filled(entries, size)
    ledger["worker"][ledger["ticket"] != 0] = NO_WORKER
    return LedgerChange(np.arange(size), ledger)
