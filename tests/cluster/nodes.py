"""A Ray cluster of several nodes on this machine, workers that keep books, and where the pieces of a curriculum run."""

import contextlib
import mmap
import os
import signal
import sys
import time
from pathlib import Path

import numpy as np
import ray
from ray.cluster_utils import Cluster
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from curricular.backends.follower import HubSilentError

from ..helpers import TIMEOUT

ROOT = Path(__file__).parents[2]
MEMORY = 80 * 2**20
"""Bytes of each node's object store, near the least that Ray takes."""

QUICK_TO_BURY = {
    "health_check_initial_delay_ms": 1000,
    "health_check_period_ms": 500,
    "health_check_timeout_ms": 500,
    "health_check_failure_threshold": 4,
}
"""Ray's settings with which a node that is silent for some seconds is dead; by default it takes a minute or so."""

ASKING, ASKED, TELLING, TOLD, FLUSHED = range(5)
"""Books of a worker: hand-outs asked for and received; results begun and told; results told before the last flush."""


class Nodes:
    """A head, where the driver is, and further nodes."""

    def __init__(self, num_nodes=2, *, system_config=None):
        # What the processes of all nodes inherit. A runtime environment would keep Ray from having processes ready.
        os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), *filter(None, sys.path)])
        os.environ["OMP_NUM_THREADS"] = "1"
        head = {"num_cpus": 2, "object_store_memory": MEMORY, "include_dashboard": False}
        self._cluster = Cluster(initialize_head=True, head_node_args=head | {"_system_config": system_config or {}})
        ray.init(address=self._cluster.address, log_to_driver=False, logging_level="ERROR")
        self.head = self._cluster.head_node
        self.others = [self.add() for _ in range(num_nodes)]
        self._cluster.wait_for_nodes()

    def add(self):
        return self._cluster.add_node(num_cpus=2, object_store_memory=MEMORY)

    def remove(self, node):
        """Kills a node as a machine that loses power, and waits until Ray knows."""
        self._cluster.remove_node(node, allow_graceful=False)
        wait(lambda: not is_alive(node), "Ray to call the node dead")

    def close(self):
        ray.shutdown()
        self._cluster.shutdown()


def wait(condition, what):
    """Waits for what takes Ray seconds."""
    deadline = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < deadline, f"waited {TIMEOUT:g} s for {what}"
        time.sleep(0.1)


def patient(call):
    """Calls until the hub answers: on a busy machine, Ray needs more time to restart it than a call waits."""
    answers = []

    def answered():
        with contextlib.suppress(HubSilentError):
            answers.append(call())
        return answers

    wait(answered, "the hub")
    return answers[0]


def is_alive(node):
    return any(found["NodeID"] == node.node_id and found["Alive"] for found in ray.nodes())


def raylet(node):
    """The process that makes a machine a node."""
    return node.all_processes["raylet"][0].process


def on(node):
    """The option that runs a task or an actor on one node."""
    return {"num_cpus": 0, "scheduling_strategy": NodeAffinitySchedulingStrategy(node.node_id, soft=False)}


def call(node, fn, *args):
    """Runs a function on a node, and returns what it returns."""
    return ray.get(ray.remote(fn).options(**on(node)).remote(*args))


def pid_of(name):
    """The pid of an actor of a curriculum: of the hub, which has the curriculum's name, or of an agent."""

    def look(self):
        return os.getpid()

    def ask():
        try:
            return ray.get(ray.get_actor(name, "curricular").__ray_call__.remote(look), timeout=30)
        except (ray.exceptions.RayActorError, ValueError):  # being restarted, or not there
            return None

    found = []
    wait(lambda: found.append(ask()) or found[-1], f"actor {name!r} to answer")
    return found[-1]


def actors():
    """The names of all actors of curricula."""
    return [actor["name"] for actor in ray.util.list_named_actors(all_namespaces=True)]


def node_of(name):
    """The id of the node of an actor of a curriculum."""

    def look(self):
        return ray.get_runtime_context().get_node_id()

    return ray.get(ray.get_actor(name, "curricular").__ray_call__.remote(look))


def kill(pid):
    os.kill(pid, signal.SIGKILL)


class Worker:
    """Plays at a steady rate, and notes each call before and after it in a mapped file, which survives a kill.

    `curriculum` came pickled, so this is a worker of its node's session.
    """

    def __init__(self, curriculum, books):
        self.curriculum = curriculum
        with Path(books).open("r+b") as file:
            self.books = np.frombuffer(mmap.mmap(file.fileno(), 4096), np.int64)

    def pid(self):
        return os.getpid()

    def path(self):
        return self.curriculum.origin[0]

    def play(self, num_pairs, rate, flush_every=100):
        for pair in range(num_pairs):
            self.books[ASKING] += 1
            task = self.curriculum.get_task()
            self.books[ASKED] += 1
            self.books[TELLING] += 1
            self.curriculum.update_task_performance(task.task_id, task.task_id % 7 / 7)
            self.books[TOLD] += 1
            if pair % flush_every == flush_every - 1:
                self.flush()
            time.sleep(1 / rate)
        self.flush()

    def flush(self):
        told = self.books[TOLD]
        patient(self.curriculum.flush)
        self.books[FLUSHED] = told


class Crew:
    """The workers of one curriculum and their books, of those that were killed, too."""

    def __init__(self, directory, curriculum):
        self._directory = directory
        self._curriculum = curriculum
        self.books = {}
        """Maps each worker's name to its books; a name begins with the node's id."""
        self.pids = []

    def start(self, node):
        """A new worker on a node."""
        name = f"{node.node_id}-{len(self.books)}"
        path = self._directory / name
        path.write_bytes(bytes(4096))
        self.books[name] = np.memmap(path, np.int64, "r")
        worker = ray.remote(Worker).options(**on(node)).remote(self._curriculum, path)
        self.pids.append(ray.get(worker.pid.remote()))
        return worker

    def total(self, column, *, without=(), only=None):
        """The sum of a column over the workers of some nodes."""
        names = [name for name in self.books if not _is_on(name, without) and (only is None or _is_on(name, only))]
        return sum(int(self.books[name][column]) for name in names)


def _is_on(name, nodes):
    return any(name.startswith(node.node_id) for node in nodes)
