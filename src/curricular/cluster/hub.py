"""`Hub`: decides for a cluster. It takes batches of events from nodes, and sends them news of its table.

The hub writes a batch, syncs it, checks its term, takes the batch and then confirms it, in this order.
"""

import json
import os
import secrets
import time
from collections.abc import Mapping, Sequence
from typing import Any, Generic

import numpy as np
from numpy.typing import NDArray

from ..backends.outbox import unpacked
from ..checkpoint import write_checkpoint
from ..config import CurriculumConfig
from ..generators import Tasks
from ..table import (
    BUILT_IN_REASONS,
    CANCELLED,
    EVENT,
    GROUP_EVENT,
    MAX_REASON_BYTES,
    TableError,
    check_events,
)
from ..task import ConfigT
from ..tracker import reason_key
from .fold import Fold
from .journal import Journal, check_settings
from .messages import BATCH, BURIED, JOINED, ClusterError, DeposedError, News, Record, Reply, Request
from .settings import checked, cluster_settings

MIN_WAIT = 0.05
"""Shortest time between two exchanges of a node, in seconds, unless something is urgent."""

MAX_WAIT = 2.5
"""Longest time between two exchanges of a node, in seconds. It is shorter than `SILENCE`, so that a node that waits is
no silent one."""

SILENCE = 5.0
"""Time without a request, in seconds, after which a refresh does not wait for a node."""


class Hub(Generic[ConfigT]):
    """Keeps the table of a cluster. Only one thread may use the object at a time.

    Args:
        name: Name of the cluster.
        config: Settings of the curriculum.
        generator: Tasks of the curriculum.
        directory: Directory of the journal, which every node can reach. The hub continues from its content. None: there
            is no journal, and the cluster ends with the process of the hub.

    Raises:
        ValueError: If `name` or `config` is not fit for a cluster.
        ClusterError: If the directory has the journal of another curriculum, or other files.
        JournalError: If the directory cannot be written.
    """

    def __init__(
        self,
        name: str,
        config: CurriculumConfig,
        generator: Tasks[ConfigT],
        *,
        directory: str | os.PathLike[str] | None = None,
    ) -> None:
        self.name = name
        config, tasks = checked(name, config, generator)
        self._settings: Mapping[str, Any] = cluster_settings(config, tasks)
        self._journal = None if directory is None else Journal(directory, name, self._settings)
        self.id: int = secrets.randbits(62) if self._journal is None else self._journal.id
        """Random number of the journal."""
        self.term: int = 1 if self._journal is None else self._journal.term
        """Number of hubs that the journal has had, this one included."""
        self.fold: Fold[ConfigT] = Fold(config, tasks, time.time())
        """The table, and the state of each node."""
        if self._journal is not None:
            self._recover(self._journal)
        self._ids = self.fold.table.rows["task_id"].copy()
        self._changed = np.zeros(len(self._ids), np.int64)
        self._heard: dict[int, float] = {}
        self._spoken: set[int] = set()
        self._cost = 0.0
        self._is_torn = False  # whether the journal may hold records that the table lacks

    def _recover(self, journal: Journal) -> None:
        saved = journal.saved()
        if saved is not None:
            self.fold.restore(saved.table, saved.nodes, saved.records)
        journal.checkpoint(self.fold.state_dict(), self.fold.nodes)

    def exchange(self, request: Request) -> Reply:
        """Answers one request, as `exchange_all` does.

        Raises:
            ClusterError: If the node is refused for good.
            JournalError: If the journal cannot be written. The node should repeat the request.
            DeposedError: If another hub has taken over.
        """
        (reply,) = self.exchange_all([request])
        if isinstance(reply, ClusterError):
            raise reply
        return reply

    def exchange_all(self, requests: Sequence[Request]) -> list[Reply | ClusterError]:
        """Answers several requests with one sync of the journal.

        Returns:
            For each request the reply, or the error for a node that is refused for good.

        Raises:
            JournalError: If the journal cannot be written. No request had an effect, and all may be repeated.
            DeposedError: If another hub has taken over.
        """
        start = time.perf_counter()
        numbers: list[int | ClusterError] = []
        records: list[Record] = []
        for request in requests:
            try:
                number, new = self._considered(request, records)
            except ClusterError as error:
                numbers.append(error)
            else:
                numbers.append(number)
                records += new
        self._record(self._refreshing(records))
        self._cost += 0.1 * ((time.perf_counter() - start) / max(1, len(requests)) - self._cost)
        return [
            number if isinstance(number, ClusterError) else self._reply(number, request)
            for number, request in zip(numbers, requests, strict=True)
        ]

    def _considered(self, request: Request, records: Sequence[Record]) -> tuple[int, list[Record]]:
        """Returns the number of the node, and the records to write for the request; changes nothing.

        Args:
            request: The request.
            records: The records to write for the requests before it.
        """
        now = time.time_ns()
        if not request.number:
            check_settings(self._settings, _parsed(request), f"the hub {self.name!r} has")
            number = len(self.fold.nodes) + sum(record.kind == JOINED for record in records) + 1
            # A node that joins again has lost its session.
            return number, [*self._burials(request.node), Record(JOINED, number, now, payload=request.node.encode())]
        self._check_node(request)
        self._hear(request.number)
        if not request.batch:
            return request.number, []
        taken = [record.batch for record in records if (record.kind, record.node) == (BATCH, request.number)]
        last = max([self.fold.nodes[request.number - 1].batch, *taken])
        if request.batch <= last:
            return request.number, []  # the reply was lost
        if request.batch > last + 1:
            raise ClusterError(
                f"batch: expected number {last + 1} of node {request.node!r}, got {request.batch}; the node belongs to "
                f"another history: remove its session"
            )
        self._check_batch(request)
        words = request.words.tobytes()
        return request.number, [
            Record(BATCH, request.number, now, request.batch, reasons=request.reasons, payload=words)
        ]

    def _refreshing(self, records: Sequence[Record]) -> Sequence[Record]:
        """Returns `records` with a refresh after the last batch, if all living nodes know of the refresh before."""
        last = max((index for index, record in enumerate(records) if record.kind == BATCH), default=None)
        if last is None or not self._is_round():
            return records
        return [*records[:last], records[last]._replace(refreshes=True), *records[last + 1 :]]

    def _check_node(self, request: Request) -> None:
        nodes = self.fold.nodes
        is_known = 0 < request.number <= len(nodes) and nodes[request.number - 1].name == request.node
        if request.hub != self.id or not is_known:
            raise ClusterError(
                f"hub {self.name!r}: expected a node of journal {self.id}, got node {request.number} "
                f"({request.node!r}) of journal {request.hub}; a hub without a directory forgets its nodes when it "
                f"ends: end the processes of the node and join again, with a directory"
            )

    def _check_batch(self, request: Request) -> None:
        """Checks everything that `Fold.take` relies on, so that every record of the journal can be taken."""
        table = self.fold.table
        try:
            for part in unpacked(_checked_words(request.words)):
                check_events(_checked_part(part, len(request.reasons)), table)
            _check_reasons(request.reasons)
        except (TableError, ValueError) as error:
            raise ClusterError(
                f"batch: expected events of node {request.node!r}, got: {error}; remove the session of the node, which "
                f"another program has changed"
            ) from error

    def _record(self, records: Sequence[Record]) -> None:
        """Writes records, and then takes them."""
        self._write(records)
        try:
            for record in records:
                self._take(record)
                if record.kind == JOINED:
                    self._hear(record.node)
        except BaseException:
            self._is_torn = True
            raise

    def _write(self, records: Sequence[Record]) -> None:
        if self._is_torn:
            raise DeposedError(
                f"hub {self.name!r}: expected a table with all of the journal, but an error came between the two; "
                f"nothing is confirmed: start another hub, which reads the journal"
            )
        if self._journal is None:
            return
        if self._journal.needs_checkpoint and records:
            self._journal.checkpoint(self.fold.state_dict(), self.fold.nodes)
        if records:
            self._journal.append(records)
        else:
            self._journal.check()  # news, too, come from the hub that decides

    def _take(self, record: Record) -> None:
        before = self.fold.table.counters.num_refreshes
        self.fold.take(record)
        if record.kind == BURIED:
            self._heard.pop(record.node, None)
        table = self.fold.table
        if table.counters.num_refreshes != before:
            self._spoken.clear()
            ids = table.rows["task_id"]
            (new,) = np.nonzero(ids != self._ids)
            self._changed[new], self._ids[new] = table.counters.epoch, ids[new]

    # Nodes

    def bury(self, node: str) -> int:
        """Cancels the pending hand-outs of a dead node. If the node sends again, the hub takes its batches.

        Args:
            node: Name of the node.

        Returns:
            Number of hand-outs that were cancelled.

        Raises:
            JournalError: If the journal cannot be written.
            DeposedError: If another hub has taken over.
        """
        before = self.fold.table.counters.num_cancelled
        self._record(self._burials(node))
        return self.fold.table.counters.num_cancelled - before

    def _burials(self, name: str) -> list[Record]:
        nodes = enumerate(self.fold.nodes, 1)
        return [Record(BURIED, k, time.time_ns()) for k, node in nodes if node.name == name and not node.is_buried]

    def _hear(self, number: int) -> None:
        self._heard[number] = time.monotonic()
        self._spoken.add(number)

    def _num_living(self) -> int:
        return sum(time.monotonic() - heard < SILENCE for heard in self._heard.values())

    def _is_round(self) -> bool:
        """Returns whether all living nodes have sent a request since the last refresh, and so know it."""
        now = time.monotonic()
        return all(number in self._spoken or now - heard >= SILENCE for number, heard in self._heard.items())

    # Replies

    def _reply(self, number: int, request: Request) -> Reply:
        wait = min(max(MIN_WAIT, 2 * self._cost * self._num_living()), MAX_WAIT)
        directory = "" if self._journal is None else str(self._journal.directory)
        batch = self.fold.nodes[number - 1].batch
        return Reply(number, self.id, self.term, batch, wait, self._news(request), directory)

    def _news(self, request: Request) -> News | None:
        table = self.fold.table
        epoch = table.counters.epoch
        is_new = request.term != self.term or not request.number
        if not is_new and request.epoch == epoch and not request.wants_all:
            return None
        (slots,) = np.nonzero(self._changed > (-1 if is_new or request.wants_all else request.epoch))
        words = table.rows.words[:, slots]
        cumulated, scores, reasons = table.cumulated.copy(), table.score_range.copy(), table.reasons.copy()
        return News(epoch, slots, words, table.labels.copy(), table.counters, cumulated, scores, reasons)

    # Saving

    def state_dict(self) -> dict[str, Any]:
        """Returns the table as an ordinary state of a curriculum, as `Curriculum.state_dict` does."""
        return self.fold.state_dict()

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the table as an ordinary checkpoint, which `Curriculum.load` loads on one machine.

        Raises:
            OSError: If the file cannot be written.
        """
        write_checkpoint(path, self.state_dict())

    def close(self) -> None:
        """Closes the journal. Another hub can continue from it."""
        if self._journal is not None:
            self._journal.close()


def _parsed(request: Request) -> dict[str, Any]:
    try:
        return dict(json.loads(request.settings))
    except (TypeError, ValueError) as error:
        raise ClusterError(
            f"settings: expected a JSON object from node {request.node!r}, got {request.settings!r:.100} ({error}); "
            f"use the same version on all nodes"
        ) from error


def _checked_words(words: NDArray[np.int64]) -> NDArray[np.int64]:
    found = np.asarray(words)
    if found.dtype != np.int64 or found.ndim != 1:
        raise ValueError(f"words of dtype {found.dtype} and shape {found.shape}")
    return np.ascontiguousarray(found)


def _check_reasons(reasons: Sequence[bytes]) -> None:
    """Checks that `Fold.take` knows each reason, and that each fits its place in the journal."""
    names = [name.decode() for name in reasons]
    num_built_in = min(len(names), len(BUILT_IN_REASONS))
    for name in names[num_built_in:]:
        reason_key(name)
    if tuple(names[:num_built_in]) != BUILT_IN_REASONS[:num_built_in] or max(map(len, reasons), default=0) > (
        MAX_REASON_BYTES
    ):
        raise ValueError(f"reasons {names!r:.200}")


def _checked_part(events: NDArray[np.void], num_reasons: int) -> NDArray[np.void]:
    """Returns `events` as plain ones for `check_events`, with reason 0, after the checks that `check_events` lacks."""
    is_cancelled = events["kind"] == CANCELLED
    if events.dtype == EVENT and not is_cancelled.any():
        return events
    reasons = events["score"][is_cancelled]
    if not ((reasons >= 0) & (reasons < num_reasons) & (reasons % 1 == 0)).all():
        raise ValueError(f"cancellations with other reasons than the {num_reasons} of the batch")
    if events.dtype == GROUP_EVENT:
        numbers = [events[name] for name in ("variance", "low", "high", "success")]
        if (events["size"] < 1).any() or not np.isfinite(np.where(is_cancelled, 0.0, numbers)).all():
            raise ValueError("groups without scores, or with numbers that are not finite")
    plain = np.zeros(len(events), EVENT)
    for name in EVENT.names or ():
        plain[name] = events[name]
    plain["score"][is_cancelled] = 0
    return plain
