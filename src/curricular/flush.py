"""The flush: records logged events in the rows, and ends the hand-outs of dead workers, in one change of the table."""

import numpy as np
from numpy.typing import NDArray

from .backends.protocol import Transaction
from .table import (
    WORKER_LOST,
    Draft,
    Estimator,
    Table,
    cancellations,
    close,
    oldest,
    open_entries,
    record,
    unchanged,
)


def recorded(transaction: Transaction, estimator: Estimator) -> Draft:
    """Returns the draft of a change that records all logged events and ends the open hand-outs of dead workers."""
    draft, lost = Draft(transaction.table), transaction.lost
    if len(transaction.events):
        draft.add(record(draft.table, transaction.events, estimator))
    if len(lost.task_ids):
        _cancel(draft, _still_out(draft.table, lost.task_ids), WORKER_LOST, estimator)
    if len(lost.workers):
        if draft.table.counters.num_open:
            places = oldest(draft.table.ledger, np.isin(draft.table.ledger["worker"], lost.workers))
            end_handouts(draft, places, WORKER_LOST, estimator)
        draft.add(unchanged(draft.table))  # so that a commit gives up their slots, even if nothing was out
    return draft


def _still_out(table: Table, task_ids: NDArray[np.int64]) -> NDArray[np.int64]:
    """Returns those of `task_ids`, handed out without tickets, that may still be open.

    Another worker may have told some of them. So of each task, and of the evicted tasks of each slot, at most as many
    are returned as are pending without a ticket.
    """
    pending = np.concatenate([table.rows["num_pending"], table.rows["num_orphans"]])
    pending -= np.bincount(_accounts(table, open_entries(table.ledger)["task_id"]), minlength=len(pending))
    accounts = _accounts(table, task_ids)
    order = accounts.argsort(kind="stable")
    asked, accounts = task_ids[order], accounts[order]
    return asked[np.arange(len(asked)) - accounts.searchsorted(accounts) < pending[accounts]]


def _accounts(table: Table, ids: NDArray[np.int64]) -> NDArray[np.int64]:
    """Returns the index of the count to which each hand-out of `ids` belongs, shape (n,).

    Indices below the capacity are slots with tasks in the pool. Capacity + slot is the count of the slot's orphans:
    pending hand-outs of its evicted tasks.
    """
    slots = ids % len(table.rows)
    accounts: NDArray[np.int64] = slots + len(table.rows) * (table.rows["task_id"][slots] != ids)
    return accounts


def end_handouts(draft: Draft, places: NDArray[np.int64], reason: int, estimator: Estimator) -> None:
    """Cancels the open hand-outs at distinct `places` of the ledger, shape (k,), for the reason with index `reason`."""
    if len(places):
        ids = draft.table.ledger["task_id"][places]
        _cancel(draft, ids, reason, estimator)
        draft.add(close(draft.table, places))


def _cancel(draft: Draft, ids: NDArray[np.int64], reason: int, estimator: Estimator) -> None:
    if len(ids):
        draft.add(record(draft.table, cancellations(ids, reason), estimator))


def flush_log(transaction: Transaction, estimator: Estimator) -> None:
    """Records all logged events in the rows, and ends the open hand-outs of dead workers."""
    draft = recorded(transaction, estimator)
    if draft.patch is not None:
        transaction.commit(draft.patch, flushes=True)
