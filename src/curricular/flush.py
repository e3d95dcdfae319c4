"""The flush: records logged events in the rows, and ends the hand-outs of dead workers, in one change of the table."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from .backends.protocol import Transaction
from .table import (
    EVENT,
    SCHEDULED,
    WORKER_LOST,
    Counters,
    Draft,
    Estimator,
    LedgerChange,
    Patch,
    Table,
    cancellations,
    close,
    oldest,
    open_entries,
    record,
    unchanged,
)


class Account(Draft):
    """Collects a change of the table and the events that it records.

    The rows of a follower are a replica, so its events go to the hub instead. Only its ledger is its own.

    Args:
        transaction: Access to the table.
        estimator: Settings of the averages.
    """

    def __init__(self, transaction: Transaction, estimator: Estimator) -> None:
        super().__init__(transaction.table)
        self.follows: bool = transaction.follows
        """Whether the rows are a replica."""
        self._transaction = transaction
        self._estimator = estimator
        self._outgoing: list[NDArray[np.void]] = []

    def record(self, events: NDArray[np.void]) -> None:
        """Records further events than the logged ones, shape (n,), dtype `EVENT` or `GROUP_EVENT`."""
        if not len(events):
            return
        if self.follows:
            self._outgoing.append(events)
        else:
            self.add(record(self.table, events, self._estimator))

    def hand_out(self, task_ids: NDArray[np.int64], patch: Patch) -> None:
        """Adds `patch`, which hands out `task_ids`, shape (n,), with the tickets of its change of the ledger."""
        if self.follows and patch.ledger is not None:
            events = np.zeros(len(task_ids), EVENT)
            events["task_id"], events["kind"] = task_ids, SCHEDULED
            self._outgoing.append(events)
            patch = _of_ledger(self.table, patch.counters, patch.ledger)
        self.add(patch)

    def commit(self) -> None:
        """Commits the change, if there is one, with all logged events."""
        if not self.follows:
            if self.patch is not None:
                self._transaction.commit(self.patch, flushes=True)
        elif self.patch is not None or self._outgoing or len(self._transaction.events):
            patch = unchanged(self.table) if self.patch is None else self.patch
            self._transaction.forward(patch, self._outgoing)


def _of_ledger(table: Table, counters: Counters, change: LedgerChange) -> Patch:
    """Returns the part of a patch with hand-outs that concerns the ledger, whose moments then are of this table."""
    entries, old = change.entries.copy(), table.counters
    entries["moment"] = np.minimum(entries["moment"], old.num_scheduled)
    own = {name: getattr(counters, name) for name in ("life", "num_tickets", "num_open")}
    return replace(unchanged(table), counters=old._replace(**own), ledger=LedgerChange(change.places, entries))


def recorded(transaction: Transaction, estimator: Estimator) -> Account:
    """Returns the account of a change that records all logged events and ends the open hand-outs of dead workers."""
    account, lost = Account(transaction, estimator), transaction.lost
    if len(transaction.events) and not account.follows:  # whose logs `Transaction.forward` moves
        account.record(transaction.events)
    if len(lost.task_ids):  # the hub knows what a node has out, and leaves out the others
        ids = lost.task_ids if account.follows else still_out(account.table, lost.task_ids)
        account.record(cancellations(ids, WORKER_LOST))
    if len(lost.workers):
        if account.table.counters.num_open:
            places = oldest(account.table.ledger, np.isin(account.table.ledger["worker"], lost.workers))
            end_handouts(account, places, WORKER_LOST)
        account.add(unchanged(account.table))  # so that a commit gives up their slots, even if nothing was out
    return account


def still_out(table: Table, task_ids: NDArray[np.int64]) -> NDArray[np.int64]:
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


def end_handouts(account: Account, places: NDArray[np.int64], reason: int) -> None:
    """Cancels the open hand-outs at distinct `places` of the ledger, shape (k,), for the reason with index `reason`."""
    if len(places):
        account.record(cancellations(account.table.ledger["task_id"][places], reason))
        account.add(close(account.table, places))


def flush_log(transaction: Transaction, estimator: Estimator) -> None:
    """Records all logged events in the rows, and ends the open hand-outs of dead workers."""
    recorded(transaction, estimator).commit()
