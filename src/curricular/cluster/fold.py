"""`Fold`: the hub's table as a function of the journal. The same records give the same table, bit for bit."""

from collections.abc import Sequence
from typing import Any, Generic, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..admission import Admission
from ..algorithms.registry import create_algorithm, create_proposer
from ..backends.outbox import unpacked
from ..backends.protocol import Backend, Transaction
from ..checkpoint import pack_state
from ..config import CurriculumConfig, changed
from ..defaults import fitted
from ..flush import still_out
from ..generators import TaskGenerator, identity
from ..refresh import Refresher
from ..storage import create_task_tracker
from ..table import (
    BUILT_IN_REASONS,
    CANCELLED,
    NODE_LOST,
    ROUNDS_PER_POOL,
    SCHEDULED,
    WORKER_LOST,
    Patch,
    Table,
    cancellations,
)
from ..task import ConfigT
from ..tracker import TaskTracker
from .messages import BURIED, JOINED, Record

_SPAN = 8
"""Largest range of ids that are counted without a sort, for each of them."""


class OutState(NamedTuple):
    """What `Out` needs to continue."""

    ids: NDArray[np.int64]
    counts: NDArray[np.int64]
    num_noted: int = 0
    limit: int = 2**16


class Out:
    """Counts the pending hand-outs of one node, by task. Keeps events as they are, and counts many of them at once."""

    def __init__(self, state: OutState) -> None:
        self._ids, self._counts, self._num_noted, self._limit = state
        self._noted: list[tuple[NDArray[np.int64], NDArray[np.int64]]] = []

    def note(self, events: NDArray[np.void]) -> None:
        """Notes hand-outs and their ends, shape (n,)."""
        if not len(events):
            return
        self._noted.append((events["task_id"], np.where(events["kind"] == SCHEDULED, 1, -1)))
        self._num_noted += len(events)
        if self._num_noted > self._limit:
            self.counts()

    def state(self) -> OutState:
        """Returns the state, and changes nothing: a checkpoint is no part of the journal."""
        return OutState(*self._sums(), self._num_noted, self._limit)

    def counts(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Returns the ids of the tasks with pending hand-outs, ascending, and the number of these of each."""
        ids, sums = self._sums()
        is_out = sums > 0  # below 0: results without a hand-out
        self._ids, self._counts = ids[is_out], sums[is_out]
        self._noted, self._num_noted, self._limit = [], 0, max(2**16, 4 * len(self._ids))
        return self._ids, self._counts

    def _sums(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        if not self._noted:
            return self._ids, self._counts
        ids = np.concatenate([self._ids, *(ids for ids, _ in self._noted)])
        steps = np.concatenate([self._counts, *(steps for _, steps in self._noted)])
        first = int(ids.min())
        if int(ids.max()) - first > _SPAN * len(ids):
            tasks, index = np.unique(ids, return_inverse=True)
            return tasks, np.bincount(index, steps, len(tasks)).astype(np.int64)
        sums = np.bincount(ids - first, steps)  # ids are dense: counting takes a tenth of the time of a sort
        (found,) = np.nonzero(sums)
        return found + first, sums[found].astype(np.int64)

    def num_out(self, ids: NDArray[np.int64]) -> NDArray[np.int64]:
        """Returns the number of pending hand-outs of each of `ids`, shape (n,)."""
        known, counts = self.counts()
        if not len(known):
            return np.zeros(len(ids), np.int64)
        index = np.minimum(known.searchsorted(ids), len(known) - 1)
        return np.where(known[index] == ids, counts[index], 0)


class Node:
    """State of a node, as the hub knows it."""

    def __init__(self, name: str, batch: int = 0, *, is_buried: bool = False, out: Out | None = None) -> None:
        self.name = name
        self.batch = batch
        """Number of the last batch that is taken."""
        self.is_buried = is_buried
        """Whether the pending hand-outs of the node were cancelled, and no batch has come since."""
        self.out: Out = Out(OutState(np.empty(0, np.int64), np.empty(0, np.int64))) if out is None else out


class Fold(Generic[ConfigT]):
    """A table on the local backend that changes by records alone.

    Args:
        config: Settings of the pool. Those of sessions have no meaning here.
        generator: Makes the tasks.
        moment: Creation time of the first tasks, in seconds since 1970.
    """

    def __init__(self, config: CurriculumConfig, generator: TaskGenerator[ConfigT], moment: float) -> None:
        self.config: CurriculumConfig = alone(config, generator)
        self.generator = generator
        self.nodes: list[Node] = []
        """The nodes; number k is at index k − 1."""
        self._tracker: TaskTracker = create_task_tracker(self.config, generator.axes, identity=identity(generator))
        self._backend: Backend = self._tracker.backend
        estimator = self._tracker.estimator
        admission = Admission(generator, create_proposer(self.config, generator), self.config, estimator)
        admission.clock = lambda: self._moment
        self._moment = moment
        self._refresher = Refresher(self._backend, create_algorithm(self.config), admission, self.config, estimator)
        # Nodes learn of a refresh at their next exchange: until then, they play evicted tasks.
        self._refresher.max_evicted = max(1, self._backend.capacity // ROUNDS_PER_POOL)
        self._refresher.fill()

    @property
    def table(self) -> Table:
        """The table. Valid until the next record; callers do not write into it."""
        return self._backend.apply(lambda transaction: transaction.table)

    def state_dict(self) -> dict[str, Any]:
        """Returns the table as an ordinary state of a curriculum, with arrays that are copies."""
        return pack_state(self._backend.snapshot(), self.config, self.generator, 0, 0)

    def restore(self, table: Table, nodes: list[Node], records: Sequence[Record]) -> None:
        """Continues from `table`, bit for bit, and from `nodes`, and takes the records after them."""
        capacity = self._backend.capacity
        if len(table.rows) != capacity:
            raise ValueError(f"checkpoint: expected {capacity} rows, got {len(table.rows)}; use the journal's config")

        def put(transaction: Transaction) -> None:
            patch = Patch(
                np.arange(capacity),
                table.rows,
                table.labels,
                table.counters,
                table.cumulated,
                table.score_range,
                table.reasons,
            )
            transaction.commit(patch)

        self._backend.apply(put)
        self.nodes = nodes
        for record in records:
            self.take(record)

    def take(self, record: Record) -> list[NDArray[np.int64]]:
        """Applies a record, and returns the ids of the tasks whose rows it has changed, in arrays of any length.

        The new tasks of a refresh are not among them.
        """
        self._moment = record.time / 1e9
        if record.kind == JOINED:
            self.nodes.append(Node(record.payload.decode()))
            return []
        node = self.nodes[record.node - 1]
        if record.kind == BURIED:
            node.is_buried = True
            out = np.repeat(*node.out.counts())
            self._cancel(out, node, NODE_LOST)
            return [out]
        node.batch, node.is_buried = record.batch, False
        parts = unpacked(np.frombuffer(record.payload, np.int64))
        for part in parts:
            self._take_part(part, node, record.reasons)
        if record.refreshes:
            self._refresher.advance(is_log_due=False)
        return [part["task_id"] for part in parts]

    def _take_part(self, events: NDArray[np.void], node: Node, reasons: tuple[bytes, ...]) -> None:
        """Records events of `node`, which knows the reasons of its cancellations in the order of `reasons`.

        A node cannot know which hand-outs of its dead workers others have told, so of these the hub cancels only what
        is pending.
        """
        is_lost = np.zeros(len(events), np.bool_)
        is_cancelled = events["kind"] == CANCELLED
        if is_cancelled.any():
            events = events.copy()
            indices = self._indices(reasons)
            events["score"][is_cancelled] = indices[events["score"][is_cancelled].astype(np.int64)]
            is_lost = is_cancelled & (events["score"] == WORKER_LOST)
        others = events[~is_lost] if is_lost.any() else events
        node.out.note(others)
        self._refresher.take(others)
        lost = events["task_id"][is_lost]
        if len(lost):
            self._cancel(lost[_ranks(lost) < node.out.num_out(lost)], node, WORKER_LOST)

    def _cancel(self, ids: NDArray[np.int64], node: Node, reason: int) -> None:
        """Cancels hand-outs of tasks, shape (n,), that are out on `node`, except for those that other nodes have told.

        Args:
            ids: Ids of the tasks.
            node: The node.
            reason: The hub's index of the reason.
        """
        node.out.note(cancellations(ids, reason))
        self._refresher.take(cancellations(still_out(self.table, ids), reason))

    def _indices(self, reasons: tuple[bytes, ...]) -> NDArray[np.int64]:
        """Returns the hub's index of each reason of a node, shape (n,)."""
        own = [self._tracker.reason(name.decode()) for name in reasons[len(BUILT_IN_REASONS) :]]
        return np.array([*range(len(BUILT_IN_REASONS)), *own])


def _ranks(ids: NDArray[np.int64]) -> NDArray[np.int64]:
    """Returns how many of the entries before each entry of `ids`, shape (n,), are equal to it."""
    order = ids.argsort(kind="stable")
    ordered = ids[order]
    ranks = np.empty(len(ids), np.int64)
    ranks[order] = np.arange(len(ids)) - ordered.searchsorted(ordered)
    return ranks


def alone(config: CurriculumConfig, generator: TaskGenerator[Any]) -> CurriculumConfig:
    """Returns `config` with the size of the pool set, for a table in the memory of one process."""
    return fitted(changed(config, use_shared_memory=False, session_id=None), generator)
