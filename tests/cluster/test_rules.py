"""Each rule of docs/cluster-protocol.md that the state machine does not attack by itself."""

import errno
import json
import os
import pickle
import signal
import threading
import time
from collections import Counter
from contextlib import contextmanager

import numpy as np
import pytest

from curricular import Curriculum, UniformConfig, __version__
from curricular.backends import follower as backend_of_followers
from curricular.backends import session
from curricular.backends.follower import HubSilentError
from curricular.backends.layout import SessionError, SessionMismatchError
from curricular.backends.outbox import OutboxFullError, packed, unpacked
from curricular.backends.protocol import FollowerError
from curricular.backends.session import has_undelivered
from curricular.cluster import journal, pace
from curricular.cluster.agent import deliver_left, run_agent, step
from curricular.cluster.fold import Out, OutState
from curricular.cluster.follower import close_node, follow, held, open_node
from curricular.cluster.hub import Hub
from curricular.cluster.messages import ClusterError, DeposedError, JournalError, Request
from curricular.cluster.records import HEADER_BYTES
from curricular.cluster.replay import replay
from curricular.cluster.saved import read_saved
from curricular.generators import SeedGenerator
from curricular.table import EVENT, GROUP_EVENT, NODE_LOST, SCHEDULED

from ..helpers import until
from .clusters import TASKS, Cluster, config, content


@contextmanager
def agent(node):
    """Runs the agent of a node in a thread."""
    is_stopped = threading.Event()
    thread = threading.Thread(target=run_agent, args=(node.path, node.cluster.exchange, is_stopped.is_set))
    thread.start()
    try:
        yield
    finally:
        is_stopped.set()
        thread.join()


def failing(monkeypatch, name, number):
    """Makes a call of the file system fail in the journal."""
    original = getattr(os, name)

    def fail(*args):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(journal.os, name, fail)
    return lambda: monkeypatch.setattr(journal.os, name, original)


class TestTable:
    def test_a_replay_of_evictions_and_refreshes_gives_the_table_bit_for_bit(self, cluster):
        nodes = [cluster.join(2), cluster.join(1)]
        for _ in range(15):
            for node in nodes:
                node.play(60)
                node.step()
        assert cluster.counters.num_evicted > 5
        assert cluster.counters.num_stale > 0
        cluster.check()

    def test_a_hub_that_recovers_goes_on_as_the_first_would_have(self, cluster, folder, monkeypatch):
        monkeypatch.setattr(time, "time_ns", lambda: 10**18)
        node = cluster.join()
        node.play(300)
        node.step()
        requests = []
        node.play(300)
        step(node.path, lambda request: requests.append(request) or cluster.exchange(request))
        after = content(cluster.hub.fold.table)
        saved = read_saved(folder)
        short = saved._replace(records=saved.records[:-1])
        monkeypatch.setattr(journal, "read_saved", lambda *_: short)
        cluster.restart().close()
        assert cluster.hub.exchange(requests[0]).batch == requests[0].batch
        assert content(cluster.hub.fold.table) == after

    def test_a_checkpoint_of_the_hub_is_an_ordinary_one(self, cluster, folder, tmp_path):
        node = cluster.join()
        node.play(200)
        node.step()
        cluster.hub.save(tmp_path / "saved")
        loaded = Curriculum.load(tmp_path / "saved", TASKS)
        assert loaded.stats()["num_completed"] + loaded.stats()["num_stale"] == 200
        loaded.close()


class TestBatches:
    def test_a_repeated_batch_is_confirmed_without_effect_and_a_gap_is_refused(self, cluster):
        node, requests = cluster.join(), []
        node.play(10)
        step(node.path, lambda request: requests.append(request) or cluster.exchange(request))
        before = cluster.counters
        assert cluster.exchange(requests[0]).batch == 1
        assert cluster.counters == before
        with pytest.raises(ClusterError, match=r"batch: expected number 2 of node 'node0', got 3"):
            cluster.exchange(requests[0]._replace(batch=3))

    def test_two_agents_of_one_node_that_race_take_nothing_twice_and_keep_the_later_news(self, cluster):
        node = cluster.join()

        def exchange(request):
            reply = cluster.exchange(request)
            node.step()  # of the other agent, which is faster
            node.play(40)
            node.step()
            return reply

        for _ in range(5):
            node.play(40)
            step(node.path, exchange)
            assert node.backend.standing.epoch == cluster.counters.epoch
            assert (node.backend.snapshot().rows["task_id"] == cluster.hub.fold.table.rows["task_id"]).all()
        assert cluster.counters.num_evicted > 0
        node.deliver()
        assert cluster.counters.num_completed + cluster.counters.num_stale == 400
        cluster.check()

    def test_one_sync_serves_all_that_wait(self, cluster, monkeypatch):
        nodes, requests, syncs = [cluster.join() for _ in range(3)], [], []
        for node in nodes:
            node.play(5)
            with pytest.raises(ConnectionError):
                step(node.path, lambda request: requests.append(request) or refuse())
        sync = os.fdatasync
        monkeypatch.setattr(journal.os, "fdatasync", lambda fd: syncs.append(fd) or sync(fd))
        wrong = requests[0]._replace(batch=9)
        replies = cluster.hub.exchange_all([*requests, requests[0], wrong])
        assert [reply.batch for reply in replies[:4]] == [1, 1, 1, 1]
        assert isinstance(replies[4], ClusterError)
        assert len(syncs) == 1
        assert cluster.counters.num_completed == 15
        cluster.check()

    def test_what_no_worker_can_have_told_is_refused_and_changes_nothing(self, cluster):
        node = cluster.join()
        now = node.backend.standing
        good = Request("node0", now.node, now.hub, batch=1)
        event = np.zeros(1, EVENT)
        cases = {"task_id": 10**9, "kind": 7, "score": np.nan}
        batches = [packed([_with(event, name, value)]) for name, value in cases.items()]
        group = np.zeros(1, GROUP_EVENT)
        group["kind"] = 2
        batches += [packed([group]), np.array([7]), packed([_with(event, "kind", 1)])]
        before = content(cluster.hub.fold.table)
        for words in batches:
            with pytest.raises(ClusterError, match=r"batch: expected events of node 'node0'"):
                cluster.exchange(good._replace(words=words))
        assert content(cluster.hub.fold.table) == before
        assert cluster.exchange(good._replace(words=packed([event]))).batch == 1

    def test_parts_of_an_outbox_are_read_as_they_were_written(self):
        plain, groups = np.zeros(3, EVENT), np.zeros(2, GROUP_EVENT)
        plain["score"], groups["size"] = [1, 2, 3], 4
        first, second, third = unpacked(packed([plain, plain[:0], plain, groups, plain]))
        assert first["score"].tolist() == [1, 2, 3, 1, 2, 3]
        assert second.tobytes() == groups.tobytes()
        assert third.tobytes() == plain.tobytes()


def _with(events, name, value):
    changed = events.copy()
    changed[name] = value
    return changed


def refuse():
    raise ConnectionError("no network")


class TestOut:
    @pytest.mark.parametrize("width", [1, 40, 2**50], ids=["one task", "dense ids", "ids far apart"])
    def test_what_a_node_has_out_is_counted_whatever_ids_are_and_however_often(self, width):
        rng, expected, first = np.random.default_rng(0), Counter(), 2**40
        out = Out(OutState(np.empty(0, np.int64), np.empty(0, np.int64)))
        out.note(np.empty(0, EVENT))
        assert out.counts()[0].tolist() == []
        for _ in range(50):
            events = np.zeros(rng.integers(0, 30), EVENT)
            events["task_id"] = first + rng.integers(0, width, len(events))
            events["kind"] = rng.integers(0, 3, len(events))
            out.note(events)
            for task_id, kind in zip(events["task_id"].tolist(), events["kind"].tolist(), strict=True):
                expected[task_id] += 1 if kind == SCHEDULED else -1
            if rng.random() < 0.2:
                out = Out(out.state())  # a checkpoint changes nothing
            elif rng.random() < 0.2:
                expected = +expected  # results without a hand-out are forgotten
                ids, counts = out.counts()
                assert (ids.tolist(), counts.tolist()) == ([*sorted(expected)], [expected[k] for k in sorted(expected)])


class TestNodes:
    def test_nodes_draw_from_different_streams_and_workers_of_a_node_too(self, cluster):
        nodes = [cluster.join(2), cluster.join(2)]
        streams = [worker._draws.stream for node in nodes for worker in node.workers]
        assert len(set(streams)) == 4
        assert [stream // 2**20 for stream in streams] == [1, 1, 2, 2]
        drawn = [tuple(task.task_id for task in worker.ask(64)) for node in nodes for worker in node.workers]
        assert len(set(drawn)) == 4

    def test_joining_and_asking_change_no_row_of_a_node(self, cluster):
        node = cluster.join()
        node.play(20)
        rows = node.backend.snapshot().rows.words.tobytes()
        follow(node.path, cluster.config, TASKS)
        node.workers[0].ask_batch(3)
        node.workers[0].tracker.flush()
        assert node.backend.snapshot().rows.words.tobytes() == rows
        node.deliver()
        assert cluster.counters.num_completed == 20

    def test_a_pickle_is_another_worker_of_the_node(self, cluster):
        node = cluster.join()
        copy = pickle.loads(pickle.dumps(node.workers[0]))
        assert copy._backend.follows
        assert copy._draws.stream != node.workers[0]._draws.stream
        copy.tell([copy.get_task().task_id], [1.0])
        node.deliver()
        assert cluster.counters.num_completed == 1
        copy.close()

    def test_a_buried_node_has_nothing_out_and_is_heard_again(self, cluster):
        node = cluster.join()
        ids = [task.task_id for task in node.workers[0].ask(5)]
        tickets = node.workers[0].ask_batch(3).tickets
        node.workers[0].tell(ids[:1], [1.0])
        node.deliver()
        assert cluster.hub.bury("node0") == 7
        assert cluster.hub.bury("node0") == 0
        assert cluster.hub.fold.table.reasons["count"][NODE_LOST] == 7
        node.workers[0].tell(ids[1:], [1.0] * 4)
        assert node.workers[0].tell_batch(tickets, [1.0] * 3) == 3
        node.deliver()
        assert (cluster.counters.num_completed, cluster.counters.num_unsolicited) == (8, 7)
        cluster.check()

    def test_all_nodes_that_a_transport_does_not_call_alive_are_buried_with_one_sync(self, cluster, monkeypatch):
        nodes, syncs, sync = [cluster.join() for _ in range(4)], [], os.fdatasync
        for node in nodes:
            node.workers[0].ask(3)
            node.deliver()
        monkeypatch.setattr(journal.os, "fdatasync", lambda fd: syncs.append(fd) or sync(fd))
        for _ in range(2):
            cluster.hub.bury_all_but({"node1", "node3", "another"})
        assert [node.is_buried for node in cluster.hub.fold.nodes] == [True, False, True, False]
        assert (cluster.counters.num_cancelled, len(syncs)) == (6, 1)
        cluster.check()

    def test_a_node_that_dies_makes_no_task_unplayable_however_many_hand_outs_it_had(self, cluster):
        nodes = [cluster.join() for _ in range(3)]
        for node, num_deaths in zip(nodes, (1, 2, 3), strict=True):
            node.workers[0].ask(200)
            node.deliver()
            before = cluster.hub.fold.table.rows["num_cancelled"].copy()
            cluster.hub.bury(node.name)
            rows = cluster.hub.fold.table.rows
            assert ((rows["num_cancelled"] - before) > cluster.config.max_failures).any()
            assert rows["num_failures"].max() == num_deaths
        cluster.check()

    def test_a_node_leaves_unplayable_tasks_to_the_hub(self, cluster, monkeypatch):
        node = cluster.join()
        worker, locks = node.workers[0], []
        monkeypatch.setattr(worker._backend, "try_apply", locks.append)
        for _ in range(3 * cluster.config.max_failures):
            worker.cancel([worker.get_task().task_id], "failed")
        assert not worker._refresher._num_cancelled
        tickets = worker.ask_batch(2).tickets
        assert worker.cancel_batch(tickets, "failed") == 2
        assert not locks

    def test_a_node_that_joins_again_without_its_session_is_another_one(self, cluster):
        node = cluster.join(name="a")
        node.workers[0].ask(5)
        node.deliver()
        node.end()
        again = cluster.join(name="a")
        assert again.backend.standing.node == 2
        assert cluster.counters.num_cancelled == 5
        again.play(10)
        again.deliver()
        assert cluster.counters.num_completed == 10

    def test_reasons_keep_their_names_whatever_order_nodes_learn_them_in(self, cluster):
        nodes = [cluster.join(), cluster.join()]
        for node, reasons in zip(nodes, [["slow", "broken"], ["broken", "odd", "slow"]], strict=True):
            for reason in reasons:
                node.workers[0].cancel([node.workers[0].get_task().task_id], reason)
            node.deliver()
        for node in nodes:
            node.deliver()
            with agent(node):
                stats = node.workers[0].stats()
            assert [stats[f"cancelled/{reason}"] for reason in ("slow", "broken", "odd")] == [2, 2, 1]

    def test_a_refresh_waits_until_all_living_nodes_know_the_one_before(self, cluster, monkeypatch):
        nodes = [cluster.join(), cluster.join()]
        refreshes = []
        for _ in range(4):
            nodes[0].play(200)
            nodes[0].step()
            refreshes.append(cluster.counters.num_refreshes)
        assert refreshes == [refreshes[0]] * 4
        evicted = cluster.counters.num_evicted
        nodes[1].step()
        nodes[0].play(10)
        nodes[0].step()
        assert cluster.counters.num_refreshes == refreshes[0] + 1
        assert cluster.counters.num_evicted <= evicted + 1  # a round of 16 tasks
        monkeypatch.setattr(pace, "SILENCE", 0.0)
        nodes[0].play(200)
        nodes[0].step()
        assert cluster.counters.num_refreshes == refreshes[0] + 2

    def test_the_hub_paces_its_nodes_by_what_they_cost(self, cluster):
        nodes = [cluster.join() for _ in range(3)]
        cluster.hub.pace.cost = 0.1
        assert nodes[0].step() == pytest.approx(2 * 0.1 * 3, rel=0.2)
        cluster.hub.pace.cost = 100.0
        assert nodes[0].step() == 2.5


class TestWorkersThatDie:
    def test_what_a_killed_worker_had_out_is_cancelled_for_the_whole_cluster(self, cluster, fork):
        node = cluster.join()
        mine = node.workers[0].ask_batch(2)

        def play():
            worker = follow(node.path, cluster.config, TASKS)
            worker.ask(4)
            batch = worker.ask_batch(5)
            worker.tell_batch(batch.tickets[:1], [1.0])
            os.kill(os.getpid(), signal.SIGKILL)

        assert fork(play).wait() == -signal.SIGKILL
        node.deliver()
        assert (cluster.counters.num_scheduled, cluster.counters.num_cancelled) == (11, 8)
        assert cluster.hub.fold.table.reasons["count"][2] == 8
        assert node.workers[0].open_handouts().tickets.tolist() == mine.tickets.tolist()
        node.deliver()
        assert cluster.counters.num_cancelled == 8
        cluster.check()

    def test_of_a_task_that_another_worker_told_nothing_is_cancelled(self, cluster, fork):
        node, told = cluster.join(), []

        def play(ids):
            worker = follow(node.path, cluster.config, TASKS)
            ids.write_text(json.dumps([task.task_id for task in worker.ask(6)]))
            worker.tracker.flush()
            os.kill(os.getpid(), signal.SIGKILL)

        path = session.base_directory() / "ids"
        assert fork(play, path).wait() == -signal.SIGKILL
        told = json.loads(path.read_text())[:4]
        node.workers[0].tell(told, [1.0] * 4)
        node.deliver()
        assert (cluster.counters.num_completed, cluster.counters.num_cancelled) == (4, 2)
        assert cluster.counters.num_unsolicited == 0
        cluster.check()


class TestFlush:
    def test_after_flush_a_result_is_in_the_journal(self, cluster, folder):
        node = cluster.join()
        with agent(node):
            node.play(30)
            node.workers[0].flush()
            assert replay(folder, TASKS).fold.table.counters.num_completed == 30

    def test_statistics_and_checkpoints_are_those_of_the_cluster(self, cluster, tmp_path):
        nodes = [cluster.join(), cluster.join()]
        for node in nodes:
            node.play(40)
            node.workers[0].ask_batch(2)
        nodes[1].deliver()
        with agent(nodes[0]):
            stats = nodes[0].workers[0].stats()
            nodes[0].workers[0].save(tmp_path / "saved")
        assert (stats["num_completed"] + stats["num_stale"], stats["num_pending"]) == (80, 4)
        assert stats["num_scheduled"] == 84
        with Curriculum.load(tmp_path / "saved", TASKS) as loaded:
            assert loaded.stats()["num_pending"] == 4
            assert len(loaded.open_handouts().tickets) == 0

    def test_a_look_at_one_task_does_not_wait_for_the_hub(self, cluster, monkeypatch):
        node = cluster.join()
        monkeypatch.setattr(backend_of_followers, "ANSWER_TIMEOUT", 0.0)
        batch = node.workers[0].ask_batch(1)
        assert node.workers[0].task(int(batch.task_ids[0])).config == batch.seeds[0]
        with pytest.raises(HubSilentError):
            node.workers[0].tasks()

    @pytest.mark.parametrize("overrides", [{}, {"score_range": "observed"}], ids=["declared", "observed"])
    def test_of_its_table_the_hub_sends_what_a_node_lacks_and_the_whole_is_the_hubs(self, base, overrides):
        cluster = Cluster(base / "large", num_active_tasks=64, **overrides)
        nodes = [cluster.join(), cluster.join()]

        def same(node):
            table, num_sent = node.whole_table()
            assert table.rows.words.tobytes() == cluster.hub.fold.table.rows.words.tobytes()
            return num_sent

        assert same(nodes[0]) < 64
        assert same(nodes[0]) == 0
        nodes[1].play(3)
        nodes[1].deliver()
        assert 0 < same(nodes[0]) <= (64 if overrides else 3)  # a wider range rescales all rows
        for _ in range(8):
            for node in nodes:
                node.play(100)
                node.step()
            same(nodes[0])
        assert cluster.counters.num_evicted > 0
        ids = [task.task_id for task in nodes[1].workers[0].ask(2)]
        nodes[1].deliver()
        same(nodes[0])
        assert cluster.hub.bury("node1") == 2
        assert same(nodes[0]) == len(set(ids))
        cluster.restart().close()
        assert same(nodes[0]) == 64
        assert same(nodes[0]) == 0
        cluster.end()

    def test_a_silent_hub_is_named_when_a_worker_must_wait(self, cluster, monkeypatch):
        monkeypatch.setattr(backend_of_followers, "ANSWER_TIMEOUT", 0.05)
        node = cluster.join()
        node.play(3)
        node.backend.note("no network")
        wanted = r"hub 'maze': expected its confirmation of a flush within 0.05 s, got none; .* term 1, .*no network"
        wanted += r".*; nothing is lost, .*: call again, or restart the hub or the agent of the node"
        with pytest.raises(HubSilentError, match=wanted):
            node.workers[0].flush()
        with pytest.raises(HubSilentError, match=r"its whole table|its confirmation"):
            node.workers[0].stats()
        node.deliver()
        assert cluster.counters.num_completed == 3

    def test_a_full_outbox_makes_tell_wait_and_then_raise_and_loses_nothing(self, cluster, monkeypatch):
        monkeypatch.setattr(backend_of_followers, "HUB_TIMEOUT", 0.05)
        node, told = cluster.join(), []

        def play():
            worker = node.workers[0]
            while True:
                task_id = worker.get_task().task_id
                worker.update_task_performance(task_id, 1.0)
                told.append(task_id)

        with pytest.raises(HubSilentError, match=r"expected space in the outbox within 0\.05 s") as caught:
            play()
        assert isinstance(caught.value.__cause__, OutboxFullError)
        assert len(told) > 2**11
        node.deliver()
        node.play(10)
        node.deliver()
        assert cluster.counters.num_completed + cluster.counters.num_stale == len(told) + 10
        cluster.check()

    def test_an_agent_outlives_a_hub_that_cannot_be_reached(self, cluster, monkeypatch):
        monkeypatch.setattr("curricular.cluster.agent.RETRY", 0.01)
        node, exchange, down = cluster.join(), cluster.exchange, [True]
        node.cluster.exchange = lambda request: refuse() if down[0] else exchange(request)
        node.play(5)
        with agent(node):
            until(lambda: b"no network" in node.backend._shared.trouble[0])
            down[0] = False
            node.workers[0].flush()
            until(lambda: not node.backend._shared.trouble[0])
        assert cluster.counters.num_completed == 5


class TestSession:
    def test_an_outbox_outlives_all_processes_of_its_node(self, cluster, folder):
        node = cluster.join(name="a")
        node.play(25)
        node.workers[0].close()
        close_node(node.path)
        assert session.sweep() == []
        path = open_node("maze", "a", cluster.exchange, cluster.config, TASKS)
        step(path, cluster.exchange)
        step(path, cluster.exchange)
        assert cluster.counters.num_completed == 25
        assert held(path).backend.standing.node == 1
        close_node(path)
        assert session.sweep() == ["maze.a"]

    def test_what_nodes_left_on_a_machine_is_delivered_by_the_next_one_with_the_same_journal(self, cluster, fork):
        nodes = [cluster.join(name=name) for name in ("a", "b", "c")]

        def play():
            worker = follow(nodes[0].path, cluster.config, TASKS)
            worker.ask_batch(4)
            for _ in range(10):
                worker.update_task_performance(worker.get_task().task_id, 1.0)
            os.kill(os.getpid(), signal.SIGKILL)

        assert fork(play).wait() == -signal.SIGKILL
        for node in nodes[1:]:
            node.play(20)
        for node in nodes[:2]:
            node.workers[0].close()
            close_node(node.path)
        cluster.restart()
        fresh = cluster.join(name="d")
        assert deliver_left(fresh.path, cluster.exchange) == ["maze.a", "maze.b"]
        assert deliver_left(fresh.path, cluster.exchange) == []
        assert not nodes[0].path.exists()
        counters = cluster.counters
        assert (counters.num_completed + counters.num_stale, counters.num_cancelled) == (30, 4)
        nodes[2].deliver()
        assert cluster.counters.num_completed + cluster.counters.num_stale == 50
        cluster.check()

    def test_what_nodes_of_another_journal_left_is_kept(self, cluster, base):
        node = cluster.join(name="a")
        node.play(5)
        node.workers[0].close()
        close_node(node.path)
        other = Cluster(base / "other")
        assert deliver_left(other.join(name="b").path, other.exchange) == []
        other.end()
        assert has_undelivered(node.path)

    def test_a_plain_curriculum_does_not_join_a_follower_nor_follow_a_session(self, cluster):
        node = cluster.join(name="a")
        settings = cluster.config.model_dump() | {"session_id": "maze.a", "use_shared_memory": True}
        with pytest.raises(
            SessionMismatchError, match=r"follows: expected 'maze', as session 'maze.a' was created with"
        ):
            Curriculum(type(cluster.config)(**settings), TASKS)
        with (
            Curriculum(UniformConfig(num_active_tasks=4, session_id="plain")) as plain,
            pytest.raises(SessionError, match=r"expected a follower"),
        ):
            follow(plain._backend._file.path, cluster.config, TASKS)
        with pytest.raises(
            SessionMismatchError,
            match=r"eviction_rate: expected 0.2, as session 'maze.a'.* or another name and directory",
        ):
            follow(node.path, config(eviction_rate=0.1), TASKS)

    def test_the_table_of_a_node_is_not_changed_by_its_workers(self, cluster):
        worker = cluster.join().workers[0]
        state = cluster.hub.state_dict()
        for name, call in {
            "load_state_dict": lambda: worker.load_state_dict(state),
            "add_tasks": lambda: worker.add_tasks([1]),
            "remove_tasks": lambda: worker.remove_tasks([1]),
            "set_params": lambda: worker.set_params([1], "x", [1.0]),
        }.items():
            with pytest.raises(
                FollowerError, match=rf"{name}: expected a curriculum whose table is its own, got a node"
            ):
                call()


class TestJoining:
    @pytest.mark.parametrize(
        ("there", "found"),
        [
            (config(eviction_rate=0.1), "eviction_rate: expected 0.2, as the hub 'maze' has, got 0.1"),
            (config(num_active_tasks=8), "num_active_tasks: expected 16, as the hub 'maze' has, got 8"),
        ],
    )
    def test_another_config_is_refused_with_both_values(self, cluster, there, found):
        with pytest.raises(ClusterError, match=found):
            open_node("maze", "a", cluster.exchange, there, TASKS)

    def test_another_generator_is_refused(self, cluster):
        with pytest.raises(ClusterError, match=r"generator: expected '.*', as the hub 'maze' has, got '.*'"):
            open_node("maze", "a", cluster.exchange, cluster.config, range(100))

    def test_another_version_is_refused_with_both_values_before_anything_that_follows_from_it(self, cluster):
        for settings in ("", "{}", json.dumps({"a setting of that version": 1})):
            with pytest.raises(
                ClusterError, match=rf"version: expected '{__version__}', as the hub 'maze' has, got '9\.9\.9'"
            ):
                cluster.exchange(Request("node0", settings=settings, version="9.9.9"))
        assert not cluster.hub.fold.nodes

    def test_a_name_that_is_no_name_of_a_file_is_refused(self, cluster, folder):
        for name in ("a/b", "", "-a", "a" * 101):
            with pytest.raises(ValueError, match=r"name: expected 1 to 100 letters"):
                Hub(name, cluster.config, TASKS)
        with pytest.raises(ValueError, match=r"node: expected 1 to 100 letters"):
            open_node("maze", "a/b", cluster.exchange, cluster.config, TASKS)

    def test_a_walk_over_the_pool_is_refused(self):
        with pytest.raises(ValueError, match=r"cover_share: expected 0 on a cluster"):
            Hub("maze", config(cover_share=0.5), TASKS)

    def test_a_journal_that_this_node_cannot_see_is_refused_at_once(self, cluster, base):
        elsewhere = str(base / "elsewhere")

        def exchange(request):
            return cluster.exchange(request)._replace(directory=elsewhere)

        with pytest.raises(ClusterError, match=r"directory: expected one that every node can reach, got .*elsewhere"):
            open_node("maze", "a", exchange, cluster.config, TASKS)

    def test_a_hub_that_forgot_everything_refuses_the_nodes_of_its_predecessor(self, cluster):
        node = cluster.join()
        node.play(3)
        with pytest.raises(ClusterError, match=r"a hub without a directory forgets its nodes"):
            step(node.path, Hub("maze", cluster.config, TASKS).exchange)
        assert node.backend.standing.head > node.backend.standing.tail or node.backend.glance()[1]


class TestDirectory:
    def test_a_directory_of_another_curriculum_is_refused_with_both_values(self, cluster, folder):
        with pytest.raises(ClusterError, match=r"name: expected 'maze', as the journal in .* belongs to, got 'other'"):
            Hub("other", cluster.config, TASKS, directory=folder)
        with pytest.raises(ClusterError, match=r"eviction_rate: expected 0\.2, .* got 0\.1"):
            Hub("maze", config(eviction_rate=0.1), TASKS, directory=folder)
        with pytest.raises(ClusterError, match=r"generator: expected"):
            Hub("maze", config(num_active_tasks=16), range(100), directory=folder)

    def test_a_directory_with_other_files_or_without_a_parent_is_refused(self, tmp_path):
        (tmp_path / "notes.txt").write_text("mine")
        with pytest.raises(ClusterError, match=r"expected an empty directory or a journal, got .*'notes\.txt'"):
            Hub("maze", config(), TASKS, directory=tmp_path)
        with pytest.raises(JournalError, match=r"No such file or directory"):
            Hub("maze", config(), TASKS, directory=tmp_path / "no" / "mount")
        with pytest.raises(JournalError, match=r"File exists"):
            Hub("maze", config(), TASKS, directory=tmp_path / "notes.txt")

    def test_a_newer_format_is_refused(self, cluster, folder):
        identity = folder / "journal.json"
        identity.write_text(identity.read_text().replace('"version": 1', '"version": 2'))
        here, there = f"of format 1, which curricular {__version__} reads", r"of format 2, which curricular .* wrote"
        with pytest.raises(
            ClusterError, match=rf"directory: expected a journal in .* {here}, got 'curricular journal' {there}"
        ):
            cluster.restart()
        identity.write_text(identity.read_text().replace('"version": 2', '"version": 1'))
        (segment,) = folder.glob("segment-*")
        segment.write_bytes(segment.read_bytes().replace(b'"version": 1', b'"version": 2'))
        with pytest.raises(ClusterError, match=rf"segment: expected one {here}, got 'curricular segment' {there}"):
            cluster.restart()

    def test_an_error_for_a_newer_format_names_the_version_that_wrote_it(self, cluster, folder):
        identity = folder / "journal.json"
        content = json.loads(identity.read_text())
        identity.write_text(json.dumps(content | {"version": 2, "library": "9.9.9"}))
        with pytest.raises(ClusterError, match=r"got .* of format 2, which curricular 9\.9\.9 wrote; use that version"):
            replay(folder, TASKS)

    def test_a_journal_of_another_version_with_the_same_format_is_continued(self, cluster, folder, monkeypatch):
        node = cluster.join()
        node.play(20)
        node.deliver()
        monkeypatch.setattr("curricular.cluster.records.__version__", "9.9.9")
        cluster.restart()
        assert cluster.counters.num_completed == 20
        assert replay(folder, TASKS).library == "9.9.9"

    @pytest.mark.parametrize("cut", [1, 8, 71, 72, 100])
    def test_a_torn_tail_is_cut(self, cluster, folder, cut):
        node = cluster.join()
        for _ in range(2):
            node.play(10)
            node.deliver()
        (segment,) = folder.glob("segment-*")
        whole = segment.read_bytes()
        assert len(whole) > HEADER_BYTES
        segment.write_bytes(whole + whole[HEADER_BYTES : HEADER_BYTES + cut])
        cluster.restart().close()
        assert cluster.counters.num_completed == 20
        cluster.check()

    def test_damage_before_the_tail_is_no_torn_tail(self, cluster, folder):
        node = cluster.join()
        node.play(10)
        node.deliver()
        (segment,) = folder.glob("segment-*")
        data = bytearray(segment.read_bytes())
        data[HEADER_BYTES + 40] ^= 1
        segment.write_bytes(data)
        with pytest.raises(ClusterError, match=r"expected whole records, got a damaged one at byte 0"):
            cluster.restart()

    @pytest.mark.parametrize("call", ["pwrite", "fdatasync"])
    def test_on_a_full_disk_nothing_is_confirmed_and_nothing_lost(self, cluster, monkeypatch, call):
        node = cluster.join()
        node.play(10)
        heal = failing(monkeypatch, call, errno.ENOSPC)
        before = content(cluster.hub.fold.table)
        with pytest.raises(JournalError, match=r"No space left on device; free some space"):
            node.step()
        with pytest.raises(JournalError):
            cluster.hub.bury("node0")
        assert content(cluster.hub.fold.table) == before
        heal()
        node.deliver()
        assert cluster.counters.num_completed == 10
        cluster.check()

    @pytest.mark.parametrize("call", ["pwrite", "fsync", "open"])
    def test_a_checkpoint_that_fails_costs_nothing(self, cluster, monkeypatch, call):
        node = cluster.join()
        node.play(10)
        node.deliver()
        monkeypatch.setattr(journal, "CHECKPOINT_BYTES", 0)
        heal = failing(monkeypatch, call, errno.ENOSPC)
        node.play(10)
        with pytest.raises(JournalError, match=r"No space left"):
            node.step()
        heal()
        monkeypatch.setattr(journal, "CHECKPOINT_BYTES", 2**26)
        cluster.check()
        node.deliver()
        assert cluster.counters.num_completed == 20
        cluster.check()
        cluster.restart().close()
        cluster.check()

    def test_a_directory_that_is_gone_stops_the_hub(self, cluster, folder, base):
        node = cluster.join()
        node.play(10)
        folder.rename(base / "moved")
        with pytest.raises(JournalError, match=r"directory: expected the journal of term 1 .*, but it is gone"):
            node.step()
        (base / "moved").rename(folder)
        node.deliver()
        assert cluster.counters.num_completed == 10
        cluster.check()

    def test_segments_go_when_the_next_checkpoint_is_on_disk(self, cluster, folder, monkeypatch):
        monkeypatch.setattr(journal, "CHECKPOINT_BYTES", 2**12)
        node = cluster.join()
        for _ in range(8):
            node.play(40)
            node.deliver()
            assert {path.name.split("-")[0] for path in folder.iterdir()} == {
                "journal.json",
                "nodes",
                "segment",
                "table",
                "term",
            }
            assert len(list(folder.iterdir())) == 5
            cluster.check()
        assert cluster.hub._journal._num_checkpoints >= 4


class TestZombies:
    def test_a_hub_thought_dead_confirms_nothing(self, cluster):
        node = cluster.join()
        node.play(10)
        zombie = cluster.restart()
        standing = node.backend.standing
        for _ in range(2):
            with pytest.raises(DeposedError, match=r"expected term 1 to be the last one"):
                step(node.path, zombie.exchange)
        with pytest.raises(DeposedError):
            zombie.bury("node0")
        with pytest.raises(DeposedError):
            zombie.exchange(Request("node0", standing.node, standing.hub))
        assert node.backend.standing.tail == standing.tail
        node.deliver()
        assert cluster.counters.num_completed == 10
        cluster.restart().close()
        with pytest.raises(DeposedError):
            step(node.path, zombie.exchange)
        cluster.check()
        zombie.close()

    def test_a_checkpoint_of_a_zombie_is_not_read(self, cluster, folder):
        node = cluster.join()
        zombie = cluster.restart()
        node.play(10)
        node.deliver()
        with pytest.raises(DeposedError):
            zombie._journal.checkpoint(zombie.fold.state_dict(), zombie.fold.nodes)
        cluster.restart().close()
        assert cluster.counters.num_completed == 10
        cluster.check()


def test_a_seed_and_a_journal_are_all_that_a_table_depends_on(base):
    tables = []
    for name in ("one", "two"):
        hub = Hub(name, config(), SeedGenerator(), directory=base / name)
        tables.append(np.delete(hub.fold.table.rows.words, 1, axis=0).tobytes())  # without the time of creation
        hub.close()
    assert tables[0] == tables[1]
