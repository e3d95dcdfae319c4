"""A cluster in one process, whose hub and nodes tests can kill, and its account."""

import pickle

import numpy as np

from curricular import LearningProgressConfig
from curricular.backends.outbox import unpacked
from curricular.cluster.agent import step
from curricular.cluster.follower import close_node, follow, held, open_node
from curricular.cluster.hub import Hub
from curricular.cluster.messages import Request
from curricular.cluster.replay import replay
from curricular.generators import SeedGenerator
from curricular.table import CANCELLED, SCHEDULED, TOLD, copy_table

from ..helpers import balance

TASKS = SeedGenerator()


def config(**overrides):
    """Tasks that are soon evicted."""
    settings = {"num_active_tasks": 16, "min_presentations_for_eviction": 5, "eviction_rate": 0.2} | overrides
    return LearningProgressConfig.fast_learning(**settings)


def sent(message):
    """A message as it arrives: a copy."""
    return pickle.loads(pickle.dumps(message))


def content(table):
    """All of a table, to compare bit for bit."""
    parts = (table.rows.words, table.labels, table.cumulated, table.score_range, table.reasons)
    return [table.counters, *(part.tobytes() for part in parts)]


def kinds(events):
    """Numbers of hand-outs, cancellations and results among events."""
    counts = np.bincount(events["kind"], minlength=4)
    return np.array([counts[SCHEDULED], counts[CANCELLED], counts[TOLD:].sum()])


class Node:
    """A node with one or more workers, and what they have asked and told."""

    def __init__(self, cluster, name, num_workers=1):
        self.cluster, self.name = cluster, name
        self.path = open_node("maze", name, cluster.exchange, cluster.config, TASKS)
        self.workers = [follow(self.path, cluster.config, TASKS) for _ in range(num_workers)]
        self.open, self.tickets, self.ended = [], [], []

    @property
    def backend(self):
        return held(self.path).backend

    def step(self):
        return step(self.path, self.cluster.exchange)

    def deliver(self):
        """Exchanges until the hub has everything."""
        self.step()
        for worker in self.workers:
            worker.tracker.flush()
        self.step()
        while self.backend.standing.head > self.backend.standing.tail:
            self.step()

    def whole_table(self):
        """The hub's table, as a worker waits for it; with the number of rows that the hub has sent for it."""
        asked, sizes = self.backend.change_standing(lambda now: now._replace(asked=now.asked + 1)).asked, []

        def exchange(request):
            reply = self.cluster.exchange(request)
            sizes.append(len(reply.news.slots))
            return reply

        step(self.path, exchange)
        assert self.backend.standing.whole >= asked
        return self.backend.exclusively(lambda transaction: copy_table(transaction.table)), sizes[0]

    def play(self, num_pairs):
        for k in range(num_pairs):
            worker = self.workers[k % len(self.workers)]
            task = worker.get_task()
            worker.update_task_performance(task.task_id, task.task_id % 5 / 4)

    def undelivered(self, hub):
        """Numbers of hand-outs, cancellations and results that are lost if the node is."""
        counts = np.zeros(3, np.int64)

        def count(transaction):
            nonlocal counts
            now, ring = transaction.standing, transaction._open.outbox
            start = now.sealed if hub.fold.nodes[now.node - 1].batch > now.batch else now.tail
            for part in unpacked(ring.take(np.arange(start, now.head) % len(ring))):
                counts += kinds(part)
            counts += kinds(transaction.events)

        self.backend.exclusively(count)
        return counts

    def end(self):
        """All processes of the node end, and its memory is gone."""
        for worker in self.workers:
            worker.close()
        close_node(self.path)
        self.path.unlink()


class Cluster:
    """A hub with a journal, and nodes."""

    def __init__(self, directory, **overrides):
        self.directory, self.config = directory, config(**overrides)
        self.hub = Hub("maze", self.config, TASKS, directory=directory)
        self.nodes = []

    def exchange(self, request: Request):
        return sent(self.hub.exchange(sent(request)))

    def join(self, num_workers=1, name=None):
        node = Node(self, f"node{len(self.nodes)}" if name is None else name, num_workers)
        self.nodes.append(node)
        return node

    def restart(self):
        """Another hub takes over, while the old one may still live; returns the old one."""
        old, self.hub = self.hub, Hub("maze", self.config, TASKS, directory=self.directory)
        return old

    def end(self):
        for node in self.nodes:
            for worker in node.workers:
                worker.close()
        self.hub.close()

    @property
    def counters(self):
        return self.hub.fold.table.counters

    def check(self):
        """Checks the account, and that a replay of the journal gives the same table."""
        table = self.hub.fold.table
        assert balance(table.counters._asdict()) == 0
        assert table.counters.num_pending == table.rows["num_pending"].sum() + table.rows["num_orphans"].sum()
        again = replay(self.directory, TASKS).fold
        assert content(again.table) == content(table)
        for here, there in zip(again.nodes, self.hub.fold.nodes, strict=True):
            assert (here.name, here.batch, here.is_buried) == (there.name, there.batch, there.is_buried)
            assert [part.tolist() for part in here.out.counts()] == [part.tolist() for part in there.out.counts()]
