"""Pieces of a Ray cluster are killed and stopped while workers play; their books must agree with the curriculum's."""

import os
import signal
import time

import pytest

from curricular import LearningProgressConfig

from ..helpers import balance

ray = pytest.importorskip("ray", reason="make test-cluster runs it")

from curricular.ray import join, remove  # noqa: E402  needs Ray

from .nodes import (  # noqa: E402
    ASKED,
    ASKING,
    FLUSHED,
    QUICK_TO_BURY,
    TELLING,
    TOLD,
    Crew,
    Nodes,
    actors,
    call,
    is_alive,
    kill,
    node_of,
    pid_of,
    raylet,
    wait,
)

pytestmark = pytest.mark.filterwarnings("default")  # Ray leaves sockets and files open

CONFIG = LearningProgressConfig.stable(num_active_tasks=100, eviction_rate=0.05)
RATE = 50


@pytest.fixture
def nodes():
    cluster = Nodes(system_config=QUICK_TO_BURY)
    yield cluster
    cluster.close()


@pytest.fixture
def run(nodes, tmp_path):
    """A curriculum whose hub is on the second of the other nodes, and its crew: two workers on each of the others."""
    directory = tmp_path / "journal"
    first = call(nodes.others[1], lambda: bool(join("maze", CONFIG, directory=directory)))
    assert first
    assert node_of("maze") == nodes.others[1].node_id
    curriculum = join("maze", CONFIG, directory=directory)
    yield curriculum, Crew(tmp_path, curriculum)
    curriculum.close()
    remove("maze")


def agent(node):
    """The name of the actor of a node's agent."""
    (name,) = [name for name in actors() if name.endswith(node.node_id)]
    return name


def results(stats):
    return stats["num_completed"] + stats["num_stale"]


def settled(curriculum, crew):
    """The account of the cluster once it has all that the books have."""
    wait(lambda: results(curriculum.stats()) >= crew.total(TOLD), "all results at the hub and back on this node")
    stats = curriculum.stats()
    assert balance(stats) == 0
    return stats


def test_a_hub_and_agents_that_are_killed_cost_nothing(nodes, run):
    curriculum, crew = run
    workers = [crew.start(node) for node in nodes.others]
    playing = [worker.play.remote(600, RATE) for worker in workers]
    for name in ("maze", agent(nodes.others[0]), "maze", agent(nodes.others[1])):
        kill(pid_of(name))
        time.sleep(1)
    ray.get(playing)
    stats = settled(curriculum, crew)
    assert results(stats) == crew.total(TOLD) == 1200
    assert stats["num_scheduled"] == crew.total(ASKED)
    assert stats["num_unsolicited"] == 0


def test_a_worker_that_is_killed_costs_the_call_under_way(nodes, run):
    curriculum, crew = run
    workers = [crew.start(nodes.others[0]) for _ in range(2)]
    victim = ray.get(workers[0].pid.remote())
    playing = [worker.play.remote(400, RATE) for worker in workers]
    wait(lambda: crew.total(TOLD) > 100, "some results")
    kill(victim)
    with pytest.raises(ray.exceptions.RayActorError):
        ray.get(playing[0])
    ray.get(playing[1])
    stats = settled(curriculum, crew)
    assert crew.total(TOLD) <= results(stats) <= crew.total(TELLING)
    assert crew.total(ASKED) <= stats["num_scheduled"] <= crew.total(ASKING)
    wait(lambda: curriculum.stats()["num_pending"] == 0, "the end of what the worker had out")


def test_a_node_that_dies_costs_what_it_had_not_exchanged_and_the_hub_moves(nodes, run):
    curriculum, crew = run
    lost = nodes.others[1]
    workers = [crew.start(node) for node in (*nodes.others, *nodes.others)]
    playing = [worker.play.remote(500, RATE, 20) for worker in workers]
    wait(lambda: crew.total(FLUSHED, without=nodes.others[:1]) > 100, "some results")
    nodes.remove(lost)
    ray.get([playing[0], playing[2]])
    wait(lambda: results(curriculum.stats()) >= crew.total(TOLD, without=[lost]) + least(crew, lost), "all results")
    stats = curriculum.stats()
    assert results(stats) <= crew.total(TELLING)
    assert balance(stats) == 0
    wait(lambda: curriculum.stats()["num_pending"] == 0, "the node's burial")
    assert node_of("maze") != lost.node_id


def least(crew, lost):
    """The results of a lost node that `flush` had confirmed."""
    return crew.total(FLUSHED) - crew.total(FLUSHED, without=[lost])


def test_a_node_that_stops_for_a_while_and_lives_loses_nothing(nodes, run):
    curriculum, crew = run
    playing = crew.start(nodes.others[0]).play.remote(300, RATE)
    wait(lambda: crew.total(TOLD) > 10, "some results")
    os.kill(raylet(nodes.others[0]), signal.SIGSTOP)
    time.sleep(1)
    os.kill(raylet(nodes.others[0]), signal.SIGCONT)
    ray.get(playing)
    assert is_alive(nodes.others[0])
    assert results(settled(curriculum, crew)) == crew.total(TOLD) == 300


def test_a_node_that_stops_so_long_that_ray_calls_it_dead_is_buried(nodes, run):
    curriculum, crew = run
    stopped = nodes.others[0]
    workers = [crew.start(node) for node in nodes.others]
    playing = [worker.play.remote(500, RATE, 20) for worker in workers]
    wait(lambda: crew.total(FLUSHED, without=nodes.others[1:]) > 50, "some results")
    os.kill(raylet(stopped), signal.SIGSTOP)
    wait(lambda: not is_alive(stopped), "Ray to call the node dead")
    os.kill(raylet(stopped), signal.SIGCONT)  # the raylet learns that it is dead, and ends with its workers
    ray.get(playing[1])
    wait(lambda: results(curriculum.stats()) >= crew.total(TOLD, without=[stopped]) + least(crew, stopped), "results")
    wait(lambda: curriculum.stats()["num_pending"] == 0, "the node's burial")
    stats = curriculum.stats()
    assert results(stats) <= crew.total(TELLING)
    assert balance(stats) == 0
