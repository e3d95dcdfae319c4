"""A curriculum on a Ray cluster of three nodes on this machine; the hub and a node are killed while workers play.

    make demo-cluster
    python examples/cluster_kills.py --seconds 20

Each worker writes down in a file what it was handed out and what it told. In the end, its books are compared with the
account of the curriculum: what was told on the nodes that live is there, once. Of the node that was killed, what it had
not exchanged with the hub is lost, and what it had out is cancelled.
"""

import argparse
import os
import signal
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import ray
from ray.cluster_utils import Cluster
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from curricular import Curriculum, LearningProgressConfig
from curricular.ray import join, remove

CONFIG = LearningProgressConfig.stable(num_active_tasks=200)
HANDED_OUT, TOLD, FLUSHED = range(3)
REASON = "cancelled/node lost"


def work(curriculum: Curriculum[int], path: Path, seconds: float) -> None:
    """Plays; `curriculum` is a worker of the session of the node that this runs on."""
    books = np.memmap(path, np.int64, "r+")
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        task = curriculum.get_task()
        books[HANDED_OUT] += 1
        curriculum.update_task_performance(task.task_id, task.config % 7 / 7)
        books[TOLD] += 1
        if books[TOLD] % 100 == 0:
            patient(curriculum.flush)  # from here on, these results survive the node
            books[FLUSHED] = books[TOLD]
        time.sleep(0.005)
    patient(curriculum.flush)


def patient(call: Callable[[], Any]) -> Any:
    """Calls again while the hub is away: what was told waits in the session of the node."""
    while True:
        try:
            return call()
        except TimeoutError as error:
            print(error)


def main(seconds: float, folder: Path) -> None:
    ready = {"num_cpus": 3, "object_store_memory": 100 * 2**20}
    cluster = Cluster(initialize_head=True, head_node_args={**ready, "include_dashboard": False})
    ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
    nodes = [cluster.add_node(**ready) for _ in range(2)]
    cluster.wait_for_nodes()
    curriculum = join("maze", CONFIG, directory=folder / "journal")

    books, playing = [], []
    for node in (nodes[0], nodes[0], nodes[1], nodes[1]):
        (path := folder / f"books-{len(books)}").write_bytes(bytes(24))
        books.append(np.memmap(path, np.int64, "r"))
        pinned = NodeAffinitySchedulingStrategy(node.node_id, soft=False)
        options = {"num_cpus": 0, "scheduling_strategy": pinned, "max_retries": 0}
        playing.append(ray.remote(work).options(**options).remote(curriculum, path, seconds))
    while min(book[TOLD] for book in books) < 50:
        time.sleep(0.1)
    print("four workers play on two nodes")

    hub = ray.get_actor("maze", "curricular")
    os.kill(ray.get(hub.__ray_call__.remote(lambda _: os.getpid())), signal.SIGKILL)
    before = sum(book[TOLD] for book in books)
    while True:
        try:
            ray.get(hub.__ray_call__.remote(lambda _: None))
            break
        except ray.exceptions.RayActorError:
            time.sleep(0.1)
    print(f"the hub was killed; before it was back, the workers told {sum(b[TOLD] for b in books) - before} results")

    cluster.remove_node(nodes[1], allow_graceful=False)
    print("the second node was killed")
    ray.get(playing[:2])
    while (stats := patient(curriculum.stats))["num_pending"]:  # until the dead node is buried
        time.sleep(0.5)

    handed_out, told, flushed = (np.array(books).reshape(2, 2, 3).sum(1)).T
    counted = int(stats["num_completed"] + stats["num_stale"])
    print(f"workers of the first node: {handed_out[0]} handed out, {told[0]} told")
    print(f"workers of the second node: {handed_out[1]} handed out, {told[1]} told, {flushed[1]} of them flushed")
    print(
        f"the curriculum: {stats['num_scheduled']:.0f} handed out, {counted} results, {stats.get(REASON, 0):.0f} lost"
    )
    print(f"of the {told[1]} results of the second node, {counted - told[0]} are there")
    assert flushed[1] <= counted - told[0] <= told[1] + 2  # a worker that is killed may be within a call
    print(f"{counted} episodes: none counted twice, none lost that was flushed")
    curriculum.close()
    remove("maze")
    ray.shutdown()
    cluster.shutdown()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60.0, help="time that the workers play")
    with tempfile.TemporaryDirectory() as made:
        main(parser.parse_args().seconds, Path(made))
