"""Agents and hubs in processes of their own, killed at each step: nothing is lost, nothing counts twice."""

import multiprocessing
import signal

import pytest

from curricular.backends import session
from curricular.cluster import journal
from curricular.cluster.agent import step
from curricular.cluster.follower import follow
from curricular.cluster.hub import Hub
from curricular.cluster.replay import replay

from ..helpers import shared_array, until
from ..sessions.test_faults import die_at
from .clusters import TASKS, Cluster, config, sent


def over(connection):
    """Carries requests over a connection."""

    def exchange(request):
        try:
            connection.send(request)
            return connection.recv()
        except (EOFError, OSError) as error:
            raise ConnectionError("the hub is gone") from error

    return exchange


def serve(connection, exchange):
    """Answers requests until the other side is gone."""
    while True:
        try:
            request = connection.recv()
        except (EOFError, ConnectionError):
            return
        reply = exchange(request)
        try:
            connection.send(reply)
        except BrokenPipeError:
            return


def test_an_agent_killed_at_any_step_loses_nothing_and_repeats_nothing(cluster, fork):
    node, num_told, nth = cluster.join(), 0, 0
    while True:
        node.play(30)
        num_told += 30
        here, there = multiprocessing.Pipe()

        def run(here=here, there=there, nth=nth):
            here.close()
            die_at(nth)
            step(node.path, over(there))

        agent = fork(run)
        there.close()
        serve(here, cluster.exchange)
        here.close()
        status = agent.wait()
        if status == 0:
            break
        assert status == -signal.SIGKILL
        nth += 1
    assert nth > 15
    node.deliver()
    counters = cluster.counters
    assert counters.num_completed + counters.num_stale == counters.num_scheduled == num_told
    cluster.check()


def test_a_hub_killed_at_any_step_loses_nothing_and_repeats_nothing(base, monkeypatch, fork):
    monkeypatch.setattr(journal, "CHECKPOINT_BYTES", 0)
    folder = base / "journal"
    cluster = Cluster(folder)
    node, num_told, nth = cluster.join(), 0, 0
    cluster.hub.close()

    def start(nth):
        here, there = multiprocessing.Pipe()

        def run():
            here.close()
            die_at(nth)
            hub = Hub("maze", config(), TASKS, directory=folder)
            serve(there, lambda request: sent(hub.exchange(request)))

        hub = fork(run)
        there.close()
        return hub, here

    while True:
        node.play(30)
        num_told += 30
        hub, connection = start(nth)
        try:
            for _ in range(2):
                step(node.path, over(connection))
                node.play(5)
                num_told += 5
            connection.close()
            assert hub.wait() == 0
            break
        except ConnectionError:
            assert hub.wait() == -signal.SIGKILL
            connection.close()
        nth += 1
    assert nth > 15
    hub, connection = start(10**6)
    cluster.exchange = over(connection)
    node.deliver()
    connection.close()
    assert hub.wait() == 0
    counters = replay(folder, TASKS).fold.table.counters
    assert counters.num_completed + counters.num_stale == counters.num_scheduled == num_told
    for worker in node.workers:
        worker.close()


def test_workers_killed_at_random_moments_are_told_of_exactly(cluster, fork):
    node = cluster.join()
    ledgers = shared_array(4, 2)  # of each worker: tasks asked for, and results told

    def play(ledger):
        worker = follow(node.path, cluster.config, TASKS)
        while True:
            task = worker.get_task()
            ledger[0] += 1
            worker.update_task_performance(task.task_id, 1.0)
            ledger[1] += 1

    workers = [fork(play, ledger) for ledger in ledgers]
    for number, worker in enumerate(workers):
        while ledgers[number, 1] < 500 * (number + 1):
            node.step()
        worker.send(signal.SIGKILL)
        assert worker.wait() == -signal.SIGKILL
    node.deliver()
    node.deliver()
    counters, (asked, told) = cluster.counters, ledgers.sum(axis=0)
    assert 0 <= counters.num_scheduled - asked <= 4  # the call under way may have been recorded
    assert 0 <= counters.num_completed + counters.num_stale - told <= 4
    assert counters.num_pending == counters.num_unsolicited == 0
    cluster.check()


def test_a_hub_that_is_stopped_while_another_takes_over_confirms_nothing(base, fork):
    folder = base / "journal"
    cluster = Cluster(folder)
    node = cluster.join()
    cluster.hub.close()
    here, there = multiprocessing.Pipe()
    is_stopped = shared_array(1)

    def run():
        here.close()
        hub = Hub("maze", config(), TASKS, directory=folder)

        def fault(point):
            if point == "synced":
                is_stopped[0] = 1
                there.recv()  # as a stopped process or machine would wait

        session.fault = fault
        request = there.recv()
        try:
            hub.exchange(request)
        except ConnectionError as error:
            there.send(str(error))

    zombie = fork(run)
    there.close()
    node.play(10)

    def exchange(request):
        here.send(request)
        raise ConnectionError("no answer in time")

    with pytest.raises(ConnectionError):
        step(node.path, exchange)
    until(lambda: is_stopped[0], what="the hub to have synced the batch")
    cluster.hub = Hub("maze", config(), TASKS, directory=folder)
    here.send("continue")
    assert "another hub has begun the next one" in here.recv()
    assert zombie.wait() == 0
    node.deliver()
    assert cluster.counters.num_completed == 10
    cluster.check()
    cluster.end()
