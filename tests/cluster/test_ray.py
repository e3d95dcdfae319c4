"""A curriculum on a Ray cluster of three nodes on this machine. `make test-cluster` runs it, in its own environment."""

import json
import os
import pickle
import subprocess
import sys

import pytest

from curricular import LearningProgressConfig, SessionMismatchError
from curricular.cluster.messages import ClusterError

from ..helpers import TIMEOUT, balance, python

ray = pytest.importorskip("ray", reason="make test-cluster runs it")

from curricular.ray import join, remove  # noqa: E402  needs Ray

from .nodes import Nodes, call, kill, on, pid_of  # noqa: E402

pytestmark = pytest.mark.filterwarnings("default")  # Ray leaves sockets and files open

CONFIG = LearningProgressConfig.stable(num_active_tasks=40)
TASKS = [f"level-{index}" for index in range(60)]


@pytest.fixture(scope="module")
def nodes():
    cluster = Nodes()
    yield cluster
    cluster.close()


@pytest.fixture(scope="module")
def maze(nodes):
    """A curriculum that was joined on the head first; one for all tests, because hubs and agents start slowly."""
    curriculum = join("maze", CONFIG, TASKS)
    yield curriculum
    curriculum.close()
    remove("maze")


def play(curriculum, num_pairs=50):
    """Plays on the node that the function was sent to; returns what the curriculum says of its session there."""
    configs = set()
    for _ in range(num_pairs):
        task = curriculum.get_task()
        configs.add(task.config)
        curriculum.update_task_performance(task.task_id, 1.0)
    curriculum.flush()
    return curriculum.origin[0], configs, curriculum.stats()


def num_results(curriculum):
    stats = curriculum.stats()
    return stats["num_completed"] + stats["num_stale"]


# ── One pool ─────────────────────────────────────────────────────────────────────────────────────


def test_the_processes_of_all_nodes_share_one_pool(nodes, maze):
    def join_and_play():
        with join("maze", CONFIG, TASKS) as curriculum:
            return play(curriculum)

    told = num_results(maze)
    for node in (nodes.head, *nodes.others):
        _, configs, stats = call(node, join_and_play)
        told += 50
        assert configs <= set(TASKS)
        assert stats["num_completed"] + stats["num_stale"] == told
        assert balance(stats) == 0
    assert num_results(maze) == told


def test_a_pickled_copy_works_in_the_session_of_the_node_that_it_was_sent_to(nodes, maze):
    paths = [call(node, play, maze, 5)[0] for node in (nodes.head, *nodes.others)]
    assert len({maze.origin[0], *paths}) == 3
    assert paths[0] == maze.origin[0]


def test_a_function_that_refers_to_the_curriculum_can_be_sent_to_a_node(nodes, maze):
    assert call(nodes.others[0], lambda: play(maze, 5)[0]) != maze.origin[0]


def test_a_process_that_a_worker_of_ray_starts_is_a_worker_of_its_nodes_session(nodes, maze):
    def spawn(curriculum):
        code = "import pickle, sys; curriculum = pickle.load(sys.stdin.buffer)\n"
        code += "print(curriculum.origin[0], curriculum.get_task().config)"
        command = [sys.executable, "-c", code]
        out = subprocess.run(command, input=pickle.dumps(curriculum), capture_output=True, check=True)
        return curriculum.origin[0], *out.stdout.decode().split()

    path, childs_path, task = call(nodes.others[0], spawn, maze)
    assert path == childs_path != maze.origin[0]
    assert task in TASKS


def test_another_name_is_another_pool_and_can_be_used_again_when_that_was_removed(nodes, maze):
    before = num_results(maze)
    with join("other", CONFIG, TASKS) as other:
        play(other)
        assert num_results(other) == 50
        assert num_results(maze) == before
        remove("other")
        with join("other", CONFIG, TASKS) as next_one:
            assert num_results(next_one) == 0
    remove("other")


def test_a_generator_that_is_large_is_there_again_when_its_maker_has_ended(nodes):
    """Ray itself keeps large arguments only as long as the process that gave them."""
    tasks = [{"level": index, "text": "x" * 100} for index in range(5_000)]
    config = LearningProgressConfig.stable(num_active_tasks=5_000)

    class Maker:
        def join(self):
            self.curriculum = join("large", config, tasks)
            return os.getpid()

    maker = ray.remote(Maker).options(**on(nodes.others[0])).remote()
    kill(ray.get(maker.join.remote()))
    kill(pid_of("large"))
    with join("large", config, tasks) as curriculum:
        assert curriculum.get_task().config in tasks
    remove("large")


# ── Bad input ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("arguments", "differs"),
    [
        ((LearningProgressConfig.stable(num_active_tasks=41), TASKS), r"num_active_tasks.*40.*41"),
        ((LearningProgressConfig.stable(num_active_tasks=40, seed=7), TASKS), r"seed.*0.*7"),
        ((CONFIG, TASKS[:50]), "generator"),
    ],
)
def test_other_arguments_are_refused_with_both_values(nodes, maze, arguments, differs):
    with pytest.raises(SessionMismatchError, match=differs):
        join("maze", *arguments)

    def try_there():
        with pytest.raises(SessionMismatchError, match=differs):
            join("maze", *arguments)

    call(nodes.others[1], try_there)  # where no process has joined yet
    assert call(nodes.others[1], play, maze, 1)[1] <= set(TASKS)


def test_another_version_of_the_library_is_refused(nodes, maze, monkeypatch):
    monkeypatch.setattr("curricular.ray.__version__", "0.0.9")
    with pytest.raises(ClusterError, match=r"version: expected '.*', as .*'maze' has, got '0\.0\.9'"):
        join("maze", CONFIG, TASKS)


def test_another_directory_is_refused(nodes, maze, tmp_path):
    with pytest.raises(ClusterError, match=r"directory: expected None, as .*'maze' has, got '.*'"):
        join("maze", CONFIG, TASKS, directory=tmp_path)


@pytest.mark.parametrize("name", ["a/b", "", ".", "-a", "a b", "x" * 41])
def test_a_name_that_is_no_name_is_refused(name):
    with pytest.raises(ValueError, match="name: expected 1 to 40 letters"):
        join(name, CONFIG)


def test_a_name_that_is_no_string_is_refused():
    with pytest.raises(TypeError, match="name: expected a string, got int"):
        join(3, CONFIG)


def test_only_what_exists_can_be_removed(nodes, maze):
    with pytest.raises(KeyError, match=r"expected a curriculum of this cluster \(maze\), got 'nope'"):
        remove("nope")


def test_without_an_initialised_ray_the_call_that_is_missing_is_named():
    code = "from curricular import LearningProgressConfig\nfrom curricular.ray import join\nimport json\n"
    code += "try:\n    join('maze', LearningProgressConfig.stable(num_active_tasks=8))\n"
    code += "except RuntimeError as error:\n    print(json.dumps(str(error)))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=TIMEOUT)
    assert json.loads(out.stdout) == "ray: expected an initialised Ray, got none; call ray.init() before join()"


def test_without_ray_the_extra_is_named():
    code = "import sys, json; sys.modules['ray'] = None\n"
    code += "try:\n    import curricular.ray\nexcept ImportError as error:\n    print(json.dumps(str(error)))"
    assert json.loads(python(code)) == "curricular.ray needs Ray: pip install 'curricular[ray]'"


# ── The directory ────────────────────────────────────────────────────────────────────────────────


def test_the_next_run_resumes_from_the_directory_which_no_other_curriculum_can_use(nodes, tmp_path):
    with join("kept", CONFIG, TASKS, directory=tmp_path) as curriculum:
        play(curriculum)
    remove("kept")
    with pytest.raises(ClusterError, match=r"num_active_tasks.*40.*41"):
        join("kept", LearningProgressConfig.stable(num_active_tasks=41), TASKS, directory=tmp_path)
    with join("kept", CONFIG, TASKS, directory=tmp_path) as curriculum:
        assert num_results(curriculum) == 50
    remove("kept")


def test_a_directory_that_cannot_be_made_or_that_a_node_does_not_share_is_named_at_once(nodes, tmp_path):
    directory = tmp_path / "runs" / "journal"
    with pytest.raises(OSError, match=str(directory)):
        join("local", CONFIG, TASKS, directory=directory)
    directory.parent.mkdir()
    with join("local", CONFIG, TASKS, directory=directory):
        identity = directory / "journal.json"
        identity.rename(tmp_path / "moved")  # what a node sees that has a disk of its own

        def join_there():
            with pytest.raises(ClusterError, match=f"directory.*{directory}.*use a shared file system"):
                join("local", CONFIG, TASKS, directory=directory)

        call(nodes.others[0], join_there)
        (tmp_path / "moved").rename(identity)
        assert call(nodes.others[0], lambda: bool(join("local", CONFIG, TASKS, directory=directory)))
    remove("local")
