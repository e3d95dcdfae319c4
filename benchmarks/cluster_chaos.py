"""Measures a worker's call on a Ray cluster, then kills pieces of the cluster for some minutes and checks the counts.

    make cluster-chaos
    make cluster-chaos ARGS="--seconds 60 --rate 50"

All nodes are on this machine: a head with the driver, and two nodes with two workers each. A round kills workers,
agents and the hub at random, or kills a node, which a new one replaces. After each round the workers pause, and the
account of the curriculum is compared with their books, which each worker keeps in a mapped file, before and after each
call. What is counted must be what the workers told: no result twice, and none lost but those that a killed node had
told since its last flush. A worker that is killed may be within a call. The exit status is 1 if the counts differ.
"""

import argparse
import contextlib
import itertools
import os
import signal
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import ray
from numpy.typing import NDArray
from ray.cluster_utils import Cluster
from ray.exceptions import GetTimeoutError, RayActorError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from curricular import Curriculum, LearningProgressConfig
from curricular.backends.session import session_directory
from curricular.ray import join, remove

CONFIG = LearningProgressConfig.stable(num_active_tasks=500, eviction_rate=0.01)
NAME, NAMESPACE = "chaos", "curricular"
NUM_WORKERS = 2
"""Workers of each node."""

TELLING, TOLD, FLUSHED, LONGEST, PAUSED, IS_PAUSED = range(6)
"""Books of a worker: results that it began to tell, that it told, and that it told before its last flush; its longest
call in ns; whether it has to pause, and whether it does."""

QUICK_TO_BURY = {
    "health_check_initial_delay_ms": 1000,
    "health_check_period_ms": 500,
    "health_check_timeout_ms": 1000,
    "health_check_failure_threshold": 5,
}


class Worker:
    """Plays until it is killed."""

    def __init__(self, curriculum: Curriculum[int], path: Path) -> None:
        self.curriculum = curriculum
        self.books = np.memmap(path, np.int64, "r+")

    def play(self, rate: float) -> None:
        books = self.books
        while True:
            start = time.perf_counter()
            task = self.curriculum.get_task()
            books[TELLING] += 1
            self.curriculum.update_task_performance(task.task_id, task.config % 7 / 7)
            books[TOLD] += 1
            books[LONGEST] = max(books[LONGEST], int(1e9 * (time.perf_counter() - start)))
            if books[TOLD] % 50 == 0 or books[PAUSED]:
                patient(self.curriculum.flush)
                books[FLUSHED] = books[TOLD]
            while books[PAUSED]:
                books[IS_PAUSED] = 1
                time.sleep(0.05)
            books[IS_PAUSED] = 0
            time.sleep(1 / rate)


def costs(curriculum: Curriculum[int]) -> list[tuple[float, float]]:
    """Returns CPU µs of a hand-out and its result: in this node's session, and in a session of its own, in turns."""

    def cost(measured: Curriculum[int]) -> float:
        begin = time.process_time()
        for _ in range(10_000):
            measured.update_task_performance(measured.get_task().task_id, 0.5)
        return 1e2 * (time.process_time() - begin)

    with Curriculum(CONFIG) as plain:
        return [(cost(curriculum), cost(plain)) for _ in range(9)]


class Chaos:
    def __init__(self, folder: Path, rate: float) -> None:
        self.folder, self.rate = folder, rate
        self.cluster = Cluster(initialize_head=True, head_node_args=node_options(_system_config=QUICK_TO_BURY))
        ray.init(address=self.cluster.address, log_to_driver=False, logging_level="ERROR")
        self.nodes = [self.add_node() for _ in range(2)]
        self.cluster.wait_for_nodes()
        self.curriculum = join(NAME, CONFIG, directory=folder / "journal")
        self.books: dict[str, NDArray[np.int64]] = {}
        self.workers: dict[str, Any] = {}
        self.numbers = itertools.count()
        self.from_dead = 0
        """Results of nodes that were killed that the curriculum has counted."""
        self.lost = self.num_wrong = 0
        self.kills = dict.fromkeys(["worker", "agent", "hub", "node"], 0)

    def start_worker(self, node: Any) -> None:
        name = f"{node.node_id}-{next(self.numbers)}"  # never that of another worker, whose books it would erase
        (path := self.folder / name).write_bytes(bytes(64))
        self.books[name] = np.memmap(path, np.int64, "r+")
        self.workers[name] = ray.remote(Worker).options(**on(node)).remote(self.curriculum, path)
        self.workers[name].play.remote(self.rate)

    def kill_worker(self, rng: np.random.Generator) -> None:
        name = rng.choice(sorted(self.workers))
        ray.kill(self.workers.pop(name))
        (node,) = [node for node in self.nodes if name.startswith(node.node_id)]
        self.start_worker(node)

    def kill_actor(self, rng: np.random.Generator, *, is_hub: bool) -> None:
        found = [actor["name"] for actor in ray.util.list_named_actors(all_namespaces=True)]
        name = NAME if is_hub else rng.choice(sorted(name for name in found if name != NAME))
        try:
            actor = ray.get_actor(name, NAMESPACE)
            pid = ray.get(actor.__ray_call__.remote(lambda _: os.getpid()), timeout=60)
        except (RayActorError, GetTimeoutError, ValueError):
            return  # it is being restarted, or was on a node that died
        os.kill(pid, signal.SIGKILL)
        self.kills["hub" if is_hub else "agent"] += 1

    def kill_node(self, rng: np.random.Generator) -> None:
        """Kills a node and finds out what the curriculum has of it, then starts another one."""
        self.check()
        self.resume()
        self.wait_for_workers()
        time.sleep(1)
        node = self.nodes.pop(int(rng.integers(2)))
        self.cluster.remove_node(node, allow_graceful=False)
        while any(found["Alive"] and found["NodeID"] == node.node_id for found in ray.nodes()):
            time.sleep(0.1)
        self.kills["node"] += 1
        for session in session_directory().glob(f"{NAME}.{node.node_id[:32]}-*"):
            session.unlink()  # as if the machine were gone: else the next node would deliver what is left there
        dead = {name: books for name, books in self.books.items() if name.startswith(node.node_id)}
        for name in dead:
            del self.books[name]
            self.workers.pop(name, None)
        self.pause()
        counted = self.counted() - self.from_dead - self.total(TOLD)
        flushed, told, telling = (sum(int(books[k]) for books in dead.values()) for k in (FLUSHED, TOLD, TELLING))
        self.num_wrong += max(0, flushed - counted) + max(0, counted - telling)
        self.from_dead += counted
        self.lost += max(0, told - counted)
        self.nodes.append(self.add_node())
        self.cluster.wait_for_nodes()
        for _ in range(NUM_WORKERS):
            self.start_worker(self.nodes[-1])

    def add_node(self) -> Any:
        """Starts a node. Ray gives up after 30 s, which a busy machine may exceed: then tries again."""
        for _ in range(5):
            with contextlib.suppress(Exception):  # Ray has no other class for it
                return self.cluster.add_node(**node_options())
        return self.cluster.add_node(**node_options())

    def total(self, column: int) -> int:
        return sum(int(books[column]) for books in self.books.values())

    def counted(self) -> int:
        """Returns the number of results in the account, which must balance."""
        stats = patient(self.curriculum.stats)
        came = sum(stats[f"num_{name}"] for name in ("completed", "cancelled", "stale", "pending"))
        self.num_wrong += int(abs(stats["num_scheduled"] + stats["num_unsolicited"] - came))
        return int(stats["num_completed"] + stats["num_stale"])

    def wait_for_workers(self) -> None:
        """Waits until all workers play: Ray needs seconds to start a process."""
        before = {name: int(self.books[name][TOLD]) for name in self.workers}
        while any(self.books[name][TOLD] <= told for name, told in before.items()):
            time.sleep(0.1)

    def pause(self) -> None:
        for books in self.books.values():
            books[PAUSED] = 1
        for name in list(self.workers):
            while not self.books[name][IS_PAUSED]:
                time.sleep(0.05)

    def resume(self) -> None:
        for books in self.books.values():
            books[PAUSED] = 0

    def check(self) -> None:
        """Compares the account with the books of the workers on nodes that live."""
        self.pause()
        counted = self.counted() - self.from_dead
        num_missing, num_extra = max(0, self.total(TOLD) - counted), max(0, counted - self.total(TELLING))
        # A worker that was killed told a result if it is counted: from here on, the books say so.
        for books in self.books.values():
            if counted > self.total(TOLD) and books[TELLING] > books[TOLD]:
                books[TOLD] = books[TELLING]
            books[TELLING] = books[TOLD]
        self.num_wrong += num_missing + num_extra
        found = f"{num_missing} missing, {num_extra} too many"
        print(f"{counted + self.from_dead:,} results, {found}; killed: {self.kills}", flush=True)

    def run(self, seconds: float, seed: int) -> None:
        rng = np.random.default_rng(seed)
        for node in self.nodes:
            for _ in range(NUM_WORKERS):
                self.start_worker(node)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.wait_for_workers()
            for fault in rng.permutation(["worker", "agent", "hub", "hub", "agent"]):
                time.sleep(rng.exponential(2.0))
                if fault == "worker":
                    self.kill_worker(rng)
                    self.kills["worker"] += 1
                else:
                    self.kill_actor(rng, is_hub=fault == "hub")
            self.kill_node(rng)
            self.resume()
        self.check()

    def close(self) -> None:
        self.curriculum.close()
        remove(NAME)
        ray.shutdown()
        self.cluster.shutdown()


def node_options(**more: Any) -> dict[str, Any]:
    return {"num_cpus": 2, "object_store_memory": 80 * 2**20, "include_dashboard": False, **more}


def on(node: Any) -> dict[str, Any]:
    return {"num_cpus": 0, "scheduling_strategy": NodeAffinitySchedulingStrategy(node.node_id, soft=False)}


def patient(call: Any) -> Any:
    """Calls again while the hub is away."""
    for _ in range(30):
        try:
            return call()
        except TimeoutError as error:
            print(error, flush=True)
    return call()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=240.0, help="duration of the chaos, after the measurement")
    parser.add_argument("--rate", type=float, default=100.0, help="results a second of each worker")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="seed of the kills")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        chaos = Chaos(Path(folder), options.rate)
        measured = ray.get(ray.remote(costs).options(**on(chaos.nodes[0])).remote(chaos.curriculum))
        mine, plain = (statistics.median(column) for column in zip(*measured, strict=True))
        ratio = statistics.median(mine / plain for mine, plain in measured)
        print(f"CPU of a hand-out and its result: {mine:.2f} µs on a node, {plain:.2f} µs in a session, × {ratio:.2f}")
        chaos.from_dead = 10_000 * len(measured)  # counted, and in no books
        chaos.run(options.seconds, options.seed)
        longest = max(int(books[LONGEST]) for books in chaos.books.values()) / 1e9
        print(f"longest call of a worker: {longest:.2f} s, with all other work on the machine")
        print(f"results that killed nodes had told and not exchanged: {chaos.lost}")
        print(f"lost or doubled beyond that: {chaos.num_wrong}")
        chaos.close()
    raise SystemExit(chaos.num_wrong > 0)


if __name__ == "__main__":
    main()
