"""`Hub`: decides for a cluster. It takes batches of events from nodes, and sends them news of its table.

The hub writes a batch, syncs it, checks its term, takes the batch and then confirms it, in this order.
"""

import json
import os
import secrets
import time
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Generic

from .. import __version__
from ..checkpoint import write_checkpoint
from ..config import CurriculumConfig
from ..generators import Tasks
from ..task import ConfigT
from .changes import Changes
from .checks import check_batch
from .fold import Fold
from .journal import Journal
from .messages import BATCH, BURIED, JOINED, ClusterError, DeposedError, Record, Reply, Request
from .pace import Pace
from .settings import check_settings, checked, cluster_settings


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
        self._changes = Changes(self.fold.table)
        self.pace: Pace = Pace()
        """Which nodes were heard, and what an exchange costs."""
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
        self.pace.spend(time.perf_counter() - start, len(requests))
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
            self._check_join(request)
            number = len(self.fold.nodes) + sum(record.kind == JOINED for record in records) + 1
            # A node that joins again has lost its session.
            return number, [*self._burials(request.node), Record(JOINED, number, now, payload=request.node.encode())]
        self._check_node(request)
        self.pace.hear(request.number)
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
        check_batch(request, self.fold.table)
        words = request.words.tobytes()
        return request.number, [
            Record(BATCH, request.number, now, request.batch, reasons=request.reasons, payload=words)
        ]

    def _refreshing(self, records: Sequence[Record]) -> Sequence[Record]:
        """Returns `records` with a refresh after the last batch, if all living nodes know of the refresh before."""
        last = max((index for index, record in enumerate(records) if record.kind == BATCH), default=None)
        if last is None or not self.pace.is_round():
            return records
        return [*records[:last], records[last]._replace(refreshes=True), *records[last + 1 :]]

    def _check_join(self, request: Request) -> None:
        where = f"the hub {self.name!r} has"
        # First, since versions may differ in their settings. The next hub may run on any node, and must decide alike.
        check_settings({"version": __version__}, {"version": request.version}, where)
        check_settings(self._settings, _parsed(request), where)

    def _check_node(self, request: Request) -> None:
        nodes = self.fold.nodes
        is_known = 0 < request.number <= len(nodes) and nodes[request.number - 1].name == request.node
        if request.hub != self.id or not is_known:
            raise ClusterError(
                f"hub {self.name!r}: expected a node of journal {self.id}, got node {request.number} "
                f"({request.node!r}) of journal {request.hub}; a hub without a directory forgets its nodes when it "
                f"ends: end the processes of the node and join again, with a directory"
            )

    def _record(self, records: Sequence[Record]) -> None:
        """Writes records, and then takes them."""
        self._write(records)
        try:
            for record in records:
                self._take(record)
                if record.kind == JOINED:
                    self.pace.hear(record.node)
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
        task_ids = self.fold.take(record)
        if record.kind == BURIED:
            self.pace.forget(record.node)
        if self._changes.note(self.fold.table, task_ids):
            self.pace.begin_round()

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

    def bury_all_but(self, alive: Collection[str]) -> None:
        """Buries all nodes whose names are not among `alive`, as `bury` does, with one sync of the journal.

        Raises:
            JournalError: If the journal cannot be written.
            DeposedError: If another hub has taken over.
        """
        dead = {node.name for node in self.fold.nodes if not node.is_buried}.difference(alive)
        if dead:
            self._record([record for name in sorted(dead) for record in self._burials(name)])

    def _burials(self, name: str) -> list[Record]:
        nodes = enumerate(self.fold.nodes, 1)
        return [Record(BURIED, k, time.time_ns()) for k, node in nodes if node.name == name and not node.is_buried]

    # Replies

    def _reply(self, number: int, request: Request) -> Reply:
        directory = "" if self._journal is None else str(self._journal.directory)
        batch = self.fold.nodes[number - 1].batch
        is_new = request.term != self.term or not request.number
        news = self._changes.news(self.fold.table, request, is_new=is_new)
        return Reply(number, self.id, self.term, batch, self.pace.wait(), news, directory)

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
