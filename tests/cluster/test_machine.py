"""Any interleaving of calls, exchanges, lost replies, deaths and burials: the sums hold, and replay gives the table."""

import gc
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from curricular.backends import session
from curricular.cluster import journal
from curricular.cluster.agent import step
from curricular.cluster.messages import ClusterError, DeposedError

from .clusters import Cluster

AGENT_POINTS = ["outbox written", "journal written", "committed", "counters installed", "forwarded", "sealed"]
AGENT_POINTS += ["answered", "learned"]
HUB_POINTS = ["written", "synced", "table written", "segment begun", "checkpoint written", "removed"]


class Killed(BaseException):
    """Ends the call under way, as a kill would end its process."""


@contextmanager
def killing(point, nth):
    """Ends the call under way when it reaches `point` for the time `nth` + 1."""
    left = [nth]

    def fault(reached):
        if reached == point:
            left[0] -= 1
            if left[0] < 0:
                raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session, "fault", fault)
        yield


class Machine(RuleBasedStateMachine):
    base: Path

    def __init__(self):
        super().__init__()
        self.folder = tempfile.TemporaryDirectory(dir=self.base)
        self.nodes, self.zombies = [], []
        self.counts = np.zeros(3, np.int64)  # hand-outs, cancellations and results that the hub must get
        self.num_made = 0

    @initialize(checkpoint_bytes=st.sampled_from([2**10, 2**26]))
    def start(self, checkpoint_bytes):
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(journal, "CHECKPOINT_BYTES", checkpoint_bytes)
        self.cluster = Cluster(Path(self.folder.name) / "journal")
        self.join(1)

    def teardown(self):
        if not hasattr(self, "cluster"):
            return
        for node in self.nodes:
            node.deliver()
        counters = self.cluster.counters
        told = counters.num_completed + counters.num_stale
        assert [counters.num_scheduled, counters.num_cancelled, told] == self.counts.tolist()
        streams = [worker._draws.stream for node in self.nodes for worker in node.workers]
        assert len(set(streams)) == len(streams)
        self.cluster.check()
        for node in self.nodes:
            node.end()
        for hub in [self.cluster.hub, *self.zombies]:
            hub.close()
        self.patch.undo()
        self.folder.cleanup()

    @precondition(lambda self: len(self.nodes) < 3)
    @rule(num_workers=st.integers(1, 2))
    def join(self, num_workers):
        self.num_made += 1
        self.nodes.append(self.cluster.join(num_workers, f"node{self.num_made}"))

    def node(self, number):
        return self.nodes[number % len(self.nodes)]

    @rule(number=st.integers(0, 5), n=st.sampled_from([1, 3, 40]))
    def ask(self, number, n):
        node = self.node(number)
        node.open += [task.task_id for task in node.workers[number % len(node.workers)].ask(n)]
        self.counts[0] += n

    @rule(number=st.integers(0, 5), n=st.sampled_from([1, 3, 40]))
    def tell(self, number, n):
        node = self.node(number)
        ids, node.open = node.open[:n], node.open[n:]
        node.workers[-1].tell(ids, [task_id % 5 / 4 for task_id in ids])
        self.counts[2] += len(ids)

    @rule(number=st.integers(0, 5), reason=st.sampled_from(["slow", "broken", "expired"]))
    def cancel(self, number, reason):
        node = self.node(number)
        ids, node.open = node.open[:2], node.open[2:]
        node.workers[0].cancel(ids, reason)
        self.counts[1] += len(ids)

    @rule(number=st.integers(0, 5), n=st.integers(1, 8), replace=st.booleans())
    def ask_batch(self, number, n, replace):
        node = self.node(number)
        node.tickets += node.workers[0].ask_batch(n, replace=replace).tickets.tolist()
        self.counts[0] += n

    @rule(number=st.integers(0, 5), n=st.integers(1, 8))
    def tell_batch(self, number, n):
        node = self.node(number)
        tickets, node.tickets = node.tickets[:n], node.tickets[n:]
        groups = np.tile([0.0, 1.0, np.nan], (len(tickets), 1))
        assert node.workers[-1].tell_batch(tickets + node.ended, [*groups, *np.zeros((len(node.ended), 3))]) == len(
            tickets
        )
        node.ended += tickets
        self.counts[2] += len(tickets)

    @rule(number=st.integers(0, 5))
    def cancel_batch(self, number):
        node = self.node(number)
        tickets, node.tickets = node.tickets[:1], node.tickets[1:]
        assert node.workers[0].cancel_batch(tickets * 2, "slow") == len(tickets)
        node.ended += tickets
        self.counts[1] += len(tickets)

    @rule(number=st.integers(0, 5))
    def forward(self, number):
        self.node(number).workers[0].tracker.flush()

    @rule(number=st.integers(0, 5))
    def exchange(self, number):
        self.node(number).step()

    @rule(number=st.integers(0, 5))
    def look(self, number):
        table, _ = self.node(number).whole_table()
        assert table.rows.words.tobytes() == self.cluster.hub.fold.table.rows.words.tobytes()
        assert table.cumulated.tobytes() == self.cluster.hub.fold.table.cumulated.tobytes()

    @rule(number=st.integers(0, 5), is_twice=st.booleans())
    def lose_a_reply(self, number, is_twice):
        def exchange(request):
            self.cluster.exchange(request)
            if is_twice:
                return self.cluster.exchange(request)
            raise ConnectionError("lost")

        with suppress(ConnectionError):
            step(self.node(number).path, exchange)

    @rule(number=st.integers(0, 5), point=st.sampled_from(AGENT_POINTS), nth=st.integers(0, 2))
    def kill_the_agent(self, number, point, nth):
        with killing(point, nth), suppress(Killed):
            self.node(number).step()

    @rule(number=st.integers(0, 5), point=st.sampled_from(HUB_POINTS), nth=st.integers(0, 1))
    def kill_the_hub(self, number, point, nth):
        try:
            with killing(point, nth):
                self.node(number).step()
        except Killed:
            self.cluster.hub.close()
            self.cluster.restart()

    @rule()
    def take_over(self):
        self.zombies.append(self.cluster.restart())

    @precondition(lambda self: self.zombies)
    @rule(number=st.integers(0, 5))
    def ask_a_zombie(self, number):
        node = self.node(number)
        before = node.backend.standing
        with pytest.raises((DeposedError, ClusterError)):
            step(node.path, self.zombies[-1].exchange)
        assert node.backend.standing.tail == before.tail

    @rule(number=st.integers(0, 5))
    def bury(self, number):
        self.counts[1] += self.cluster.hub.bury(self.node(number).name)

    @precondition(lambda self: len(self.nodes) > 1)
    @rule(number=st.integers(0, 5))
    def lose_a_node(self, number):
        node = self.nodes.pop(number % len(self.nodes))
        self.counts -= node.undelivered(self.cluster.hub)
        node.end()
        self.counts[1] += self.cluster.hub.bury(node.name)

    @invariant()
    def the_account_balances(self):
        if hasattr(self, "cluster"):
            counters = self.cluster.counters
            out = counters.num_scheduled + counters.num_unsolicited
            assert out == counters.num_endings + counters.num_pending


def test_any_interleaving_keeps_the_account_and_replays(base):
    gc.unfreeze()  # Hypothesis looks for what refers to its random numbers, which is hidden while frozen
    Machine.base = base
    limits = settings(
        max_examples=30,
        stateful_step_count=40,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        derandomize=True,
    )
    run_state_machine_as_test(Machine, settings=limits)
