"""Pieces of a Ray cluster are killed and stopped while workers play; their books must agree with the curriculum's."""

import signal
import time
from pathlib import Path

import pytest

from curricular import LearningProgressConfig

from ..helpers import TIMEOUT, balance

ray = pytest.importorskip("ray", reason="make test-cluster runs it")

from curricular.ray import join, remove  # noqa: E402  needs Ray

from .nodes import (  # noqa: E402
    ASKED,
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
    patient,
    pid_of,
    raylet,
    wait,
)

pytestmark = pytest.mark.filterwarnings("default")  # Ray leaves sockets and files open

CONFIG = LearningProgressConfig.stable(num_active_tasks=100, eviction_rate=0.05)
RATE = 50


@pytest.fixture(scope="module")
def nodes():
    cluster = Nodes(system_config=QUICK_TO_BURY)
    yield cluster
    cluster.close()


@pytest.fixture(scope="module")
def run(nodes, tmp_path_factory):
    """A curriculum whose hub is on the last node, and its crew. One for all tests, which kill more and more of it."""
    directory = tmp_path_factory.mktemp("run")
    assert call(nodes.others[1], lambda: bool(join("maze", CONFIG, directory=directory / "journal")))
    assert node_of("maze") == nodes.others[1].node_id
    curriculum = join("maze", CONFIG, directory=directory / "journal")
    yield curriculum, Crew(directory, curriculum)
    curriculum.close()
    remove("maze")


def agent(node):
    """The name of the actor of a node's agent."""
    (name,) = [name for name in actors() if name.endswith(node.node_id)]
    return name


def results(curriculum):
    stats = patient(curriculum.stats)
    assert balance(stats) == 0
    return stats["num_completed"] + stats["num_stale"]


def check(curriculum, crew, *dead):
    """Compares the account of the cluster with the books, of which those of dead nodes are only bounds."""
    counted, told = results(curriculum), crew.total(TOLD, without=dead)
    assert told + crew.total(FLUSHED, only=dead) <= counted
    assert counted <= crew.total(TELLING, without=dead) + crew.total(TELLING, only=dead)
    wait(lambda: patient(curriculum.stats)["num_pending"] == 0, "the end of what was out")
    assert results(curriculum) == counted


def test_a_hub_and_agents_that_are_killed_cost_nothing(nodes, run):
    curriculum, crew = run
    playing = [crew.start(node).play.remote(600, RATE) for node in nodes.others]
    for name in ("maze", agent(nodes.others[0]), "maze", agent(nodes.others[1])):
        kill(pid_of(name))
        time.sleep(1)
    ray.get(playing)
    assert results(curriculum) == crew.total(TOLD) == 1200
    stats = patient(curriculum.stats)
    assert stats["num_scheduled"] == crew.total(ASKED)
    assert stats["num_unsolicited"] == stats["num_pending"] == 0


def test_a_node_that_stops_for_a_moment_loses_nothing(nodes, run):
    curriculum, crew = run
    playing = crew.start(nodes.others[0]).play.remote(200, RATE)
    wait(lambda: crew.total(TOLD) > 1210, "some results")
    raylet(nodes.others[0]).send_signal(signal.SIGSTOP)
    time.sleep(1)
    raylet(nodes.others[0]).send_signal(signal.SIGCONT)
    ray.get(playing)
    assert is_alive(nodes.others[0])
    assert results(curriculum) == crew.total(TOLD) == 1400


def test_a_worker_that_is_killed_costs_the_call_under_way(nodes, run):
    curriculum, crew = run
    workers = [crew.start(nodes.others[0]) for _ in range(2)]
    victim = ray.get(workers[0].pid.remote())
    playing = [worker.play.remote(300, RATE) for worker in workers]
    wait(lambda: crew.total(TOLD) > 1450, "some results")
    kill(victim)
    with pytest.raises(ray.exceptions.RayActorError):
        ray.get(playing[0])
    ray.get(playing[1])
    check(curriculum, crew)


def test_a_node_that_dies_costs_what_it_had_not_exchanged_and_the_hub_moves(nodes, run):
    curriculum, crew = run
    lost = nodes.others[1]
    before = crew.total(FLUSHED, only=[lost])
    playing = [crew.start(node).play.remote(500, RATE, 20) for node in nodes.others]
    wait(lambda: crew.total(FLUSHED, only=[lost]) > before, "some results")
    nodes.remove(lost)
    ray.get(playing[0])
    check(curriculum, crew, lost)
    assert node_of("maze") != lost.node_id


def test_a_node_that_stops_so_long_that_ray_calls_it_dead_is_buried(nodes, run):
    curriculum, crew = run
    stopped = nodes.others[0]
    before = crew.total(FLUSHED, only=[stopped])
    crew.start(stopped).play.remote(10_000, RATE, 20)
    wait(lambda: crew.total(FLUSHED, only=[stopped]) > before, "some results")
    raylet(stopped).send_signal(signal.SIGSTOP)
    wait(lambda: not is_alive(stopped), "Ray to call the node dead")
    raylet(stopped).send_signal(signal.SIGCONT)
    raylet(stopped).wait(TIMEOUT)  # it learns that it is dead; its workers end when it is gone
    wait(lambda: not Path(f"/proc/{crew.pids[-1]}").exists(), "the node's worker to end")
    check(curriculum, crew, *nodes.others)
