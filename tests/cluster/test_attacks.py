"""Attacks on hub and journal that no worker makes by itself: other programs, interrupts, kills between two steps."""

import errno
import json
import os
import shutil
import signal
from contextlib import suppress

import numpy as np
import pytest

from curricular.backends import session
from curricular.backends.layout import SessionError
from curricular.backends.outbox import packed
from curricular.cluster import journal, saved
from curricular.cluster.agent import step
from curricular.cluster.follower import close_node, follow, open_node
from curricular.cluster.hub import Hub
from curricular.cluster.messages import ClusterError, DeposedError, JournalError, Request
from curricular.cluster.replay import replay
from curricular.table import BUILT_IN_REASONS, CANCELLED, EVENT, MAX_REASON_BYTES

from ..helpers import until
from .clusters import TASKS
from .test_machine import Killed, killing


def request_of(node):
    """The next request of a node, which does not arrive."""
    requests = []

    def lose(request):
        requests.append(request)
        raise ConnectionError("lost")

    with suppress(ConnectionError):
        step(node.path, lose)
    return requests[0]


def num_completed_after_return(cluster):
    """Node "a" opens its session again and makes one exchange; returns the number of results that the hub has then."""
    path = open_node("maze", "a", cluster.exchange, cluster.config, TASKS)
    step(path, cluster.exchange)
    close_node(path)
    return cluster.counters.num_completed


class TestZombies:
    def test_a_takeover_killed_while_it_removes_old_terms_lets_no_zombie_confirm(self, cluster, folder):
        node, zombie = cluster.join(), cluster.hub
        node.play(10)
        with killing("term taken", 0), pytest.raises(Killed):
            Hub("maze", cluster.config, TASKS, directory=folder)
        nth, is_killed = 0, True
        while is_killed:
            is_killed = False
            with killing("removed", nth):
                try:
                    cluster.restart()
                except Killed:
                    is_killed = True
            nth += 1
            with pytest.raises(DeposedError):
                step(node.path, zombie.exchange)
        assert nth > 3
        node.deliver()
        assert cluster.counters.num_completed == 10
        cluster.check()
        zombie.close()

    def test_old_terms_go_in_their_order_whatever_order_the_directory_has(self, cluster, folder, monkeypatch):
        for _ in range(3):
            with killing("term taken", 0), pytest.raises(Killed):
                Hub("maze", cluster.config, TASKS, directory=folder)
        paths = type(folder).iterdir
        monkeypatch.setattr(type(folder), "iterdir", lambda self: sorted(paths(self), reverse=True))
        nth = 0
        while len(list(folder.glob("term-*"))) > 1:
            with killing("removed", nth), suppress(Killed):
                cluster.restart()
            terms = sorted(int(path.name[5:]) for path in folder.glob("term-*"))
            assert terms == list(range(terms[0], terms[-1] + 1))
            nth += 1


class TestJournal:
    def test_checkpoints_that_fail_leave_no_files_on_a_full_disk(self, cluster, folder, monkeypatch):
        node, write = cluster.join(), os.pwrite
        node.play(10)
        before = sorted(path.name for path in folder.iterdir())
        monkeypatch.setattr(journal, "CHECKPOINT_BYTES", 0)

        def fail(fd, data, at):
            if bytes(data).startswith(b"[["):  # the nodes, whose file commits a checkpoint
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return write(fd, data, at)

        monkeypatch.setattr(journal.os, "pwrite", fail)
        for _ in range(5):
            with pytest.raises(JournalError, match="No space left"):
                node.step()
        assert sorted(path.name for path in folder.iterdir()) == before
        monkeypatch.setattr(journal.os, "pwrite", write)
        node.deliver()
        assert cluster.counters.num_completed == 10
        cluster.check()

    def test_a_segment_that_another_program_removed_or_replaced_takes_no_confirmed_batch_along(self, cluster, folder):
        node = cluster.join()
        for _ in range(2):
            node.play(10)
            node.deliver()
            (segment,) = folder.glob("segment-*")
            data = segment.read_bytes()
            segment.unlink()
            segment.write_bytes(data)
            node.play(10)
            with pytest.raises(JournalError, match=r"expected the segment of term 1 .*, but it is gone"):
                node.deliver()
            node.deliver()
        assert cluster.counters.num_completed == 40
        cluster.restart().close()
        assert cluster.counters.num_completed == 40
        cluster.check()

    def test_a_hub_writes_nothing_into_a_journal_that_began_where_its_own_was_removed(self, cluster, folder):
        node = cluster.join()
        node.play(10)
        shutil.rmtree(folder)
        folder.mkdir()
        with pytest.raises(JournalError, match="it is gone"):
            node.step()
        other = Hub("maze", cluster.config, TASKS, directory=folder)
        assert other.term == cluster.hub.term
        before = sorted(path.name for path in folder.iterdir())
        for error in (JournalError, DeposedError, DeposedError):
            with pytest.raises(error, match=r"directory: expected the segment|hub: expected journal"):
                node.step()
        assert sorted(path.name for path in folder.iterdir()) == before
        with pytest.raises(ClusterError, match=r"expected a node of journal"):
            step(node.path, other.exchange)
        other.close()

    def test_an_interrupt_between_journal_and_table_ends_the_hub_and_nothing_counts_twice(self, cluster, folder):
        node, fold = cluster.join(), cluster.hub.fold
        node.play(10)
        take = fold._refresher.take

        def interrupt(*args, **options):
            raise KeyboardInterrupt

        fold._refresher.take = interrupt
        with pytest.raises(KeyboardInterrupt):
            node.step()
        fold._refresher.take = take
        for call in (node.step, lambda: cluster.hub.bury("node0")):
            with pytest.raises(DeposedError, match="start another hub"):
                call()
        cluster.restart().close()
        node.deliver()
        assert cluster.counters.num_completed == 10
        cluster.check()

    def test_hubs_killed_at_any_sync_leave_no_files_behind(self, cluster, folder, fork):
        def start(nth):
            left, sync = [nth], os.fsync

            def fsync(fd):
                left[0] -= 1
                if left[0] < 0:
                    os._exit(9)
                sync(fd)

            os.fsync = fsync
            Hub("maze", cluster.config, TASKS, directory=folder).close()

        before, nth = [path.name.split("-")[0] for path in sorted(folder.iterdir())], 0
        while fork(start, nth).wait() == 9:
            nth += 1
        assert nth > 5
        assert [path.name.split("-")[0] for path in sorted(folder.iterdir())] == before


class TestRequests:
    def test_requests_that_come_together_are_followed_by_one_refresh(self, cluster):
        nodes = [cluster.join() for _ in range(4)]
        for node in nodes:
            node.play(200)
        requests = [request_of(node) for node in nodes]
        before = cluster.counters
        replies = cluster.hub.exchange_all(requests)
        assert [reply.batch for reply in replies] == [1] * 4
        assert cluster.counters.num_refreshes == before.num_refreshes + 1
        assert cluster.counters.num_evicted - before.num_evicted <= 1
        cluster.check()

    @pytest.mark.parametrize("name", [b"", b" ", b"((", b"\xff", b"x" * (MAX_REASON_BYTES + 1)])
    def test_a_reason_that_the_table_cannot_take_does_not_reach_the_journal(self, cluster, name):
        node = cluster.join()
        now = node.backend.standing
        events = np.zeros(2, EVENT)
        events["kind"], events["score"] = [0, CANCELLED], [0, len(BUILT_IN_REASONS)]
        reasons = (*(reason.encode() for reason in BUILT_IN_REASONS), name)
        request = Request("node0", now.node, now.hub, batch=1, words=packed([events]), reasons=reasons)
        for wrong in (request, request._replace(reasons=(name, *reasons[1:-1], b"slow"))):
            with pytest.raises(ClusterError, match=r"batch: expected events of node 'node0', got"):
                cluster.exchange(wrong)
        assert cluster.exchange(request._replace(reasons=(*reasons[:-1], b"slow"))).batch == 1
        cluster.restart().close()
        assert cluster.counters.num_cancelled == 1

    def test_a_reason_that_is_cut_at_a_space_is_taken(self, cluster):
        node = cluster.join()
        node.workers[0].cancel([node.workers[0].get_task().task_id], "x" * (MAX_REASON_BYTES - 1) + " y")
        node.deliver()
        assert cluster.counters.num_cancelled == 1
        cluster.check()

    @pytest.mark.parametrize("words", [np.array([0.5]), np.zeros((2, 2), np.int64), np.array(["a"]), None])
    def test_words_of_another_dtype_or_shape_are_refused(self, cluster, words):
        node = cluster.join()
        now = node.backend.standing
        with pytest.raises(ClusterError, match=r"batch: expected events of node 'node0', got: words of dtype"):
            cluster.exchange(Request("node0", now.node, now.hub, batch=1, words=words))

    def test_nonsense_of_one_node_costs_the_others_nothing(self, cluster):
        node = cluster.join()
        node.play(10)
        strange = [Request("x", settings=text) for text in ("", "[1]", "{}")]
        *errors, reply = cluster.hub.exchange_all([*strange, request_of(node)])
        assert all(isinstance(error, ClusterError) for error in errors)
        assert reply.batch == 1
        assert len(cluster.hub.fold.nodes) == 1


class TestNodes:
    def test_what_another_node_has_told_is_not_cancelled_with_the_node_that_asked(self, cluster):
        asker, teller = cluster.join(), cluster.join()
        ids = [task.task_id for task in asker.workers[0].ask(20)]
        asker.deliver()
        teller.workers[0].tell(ids[:15], [1.0] * 15)
        teller.deliver()
        assert cluster.hub.bury("node0") == 5
        assert (cluster.counters.num_pending, cluster.counters.num_unsolicited) == (0, 0)
        assert cluster.hub.bury("node0") == 0
        cluster.check()

    def test_what_another_node_has_told_is_not_cancelled_with_the_worker_that_asked(self, cluster, fork, base):
        asker, teller, path = cluster.join(), cluster.join(), base / "ids"

        def play():
            worker = follow(asker.path, cluster.config, TASKS)
            ids = [task.task_id for task in worker.ask(15)]
            path.write_text(json.dumps([*ids, *worker.ask_batch(5).task_ids.tolist()]))
            worker.tracker.flush()
            until(lambda: path.with_suffix(".told").exists())
            os.kill(os.getpid(), signal.SIGKILL)

        child = fork(play)
        until(lambda: path.exists() and path.stat().st_size and asker.backend.standing.head)
        asker.deliver()
        teller.workers[0].tell(json.loads(path.read_text())[:12], [1.0] * 12)
        teller.deliver()
        path.with_suffix(".told").touch()
        assert child.wait() == -signal.SIGKILL
        asker.deliver()
        assert (cluster.counters.num_completed, cluster.counters.num_cancelled) == (12, 8)
        assert (cluster.counters.num_pending, cluster.counters.num_unsolicited) == (0, 0)
        cluster.check()

    def test_results_that_no_outbox_can_hold_are_refused_at_once(self, cluster):
        worker = cluster.join().workers[0]
        task_id = worker.get_task().task_id
        with pytest.raises(SessionError, match=r"expected at most 32768 words in one call, got \d+; report fewer"):
            worker.tell([task_id] * 10_000, [1.0] * 10_000)
        worker.tell([task_id], [1.0])

    def test_events_on_their_way_to_the_outbox_are_seen_by_a_sweep(self, cluster):
        node = cluster.join(name="a")
        node.play(10)
        with killing("standing installed", 0), pytest.raises(Killed):
            node.workers[0].tracker.flush()
        node.workers[0].close()
        close_node(node.path)
        assert session.sweep() == []
        assert num_completed_after_return(cluster) == 10


def test_a_worker_that_comes_and_goes_beside_a_sweep_keeps_its_results(cluster, fork, monkeypatch):
    node, lock = cluster.join(name="a"), session._try_lock
    node.deliver()
    node.workers[0].close()
    close_node(node.path)

    def play():
        worker = follow(node.path, cluster.config, TASKS)
        worker.update_task_performance(worker.get_task().task_id, 1.0)
        worker.close()

    def lock_late(*args):
        monkeypatch.setattr(session, "_try_lock", lock)
        assert fork(play).wait() == 0
        return lock(*args)

    monkeypatch.setattr(session, "_try_lock", lock_late)
    assert session.sweep() == []
    assert num_completed_after_return(cluster) == 1


def test_a_replay_beside_a_hub_that_replaces_its_checkpoint_reads_again(cluster, folder, monkeypatch):
    node = cluster.join()
    node.play(10)
    monkeypatch.setattr(journal, "CHECKPOINT_BYTES", 0)
    read, left = saved.read_checkpoint, [3]

    def read_late(path):
        if left[0]:
            left[0] -= 1
            node.play(1)
            node.deliver()
        return read(path)

    monkeypatch.setattr(saved, "read_checkpoint", read_late)
    assert replay(folder, TASKS).fold.table.counters.num_completed >= 10
