"""What one curriculum over a cluster costs, in one process: the hub, an exchange, a worker's call, and a recovery.

CPU time throughout; a pair is a hand-out and its result. Figures of one run are compared, never those of two. The
journal is written where temporary files go (`TMPDIR`): its syncs wait for that disk, which CPU time does not count.
"""

import argparse
import json
import shutil
import tempfile
import time
from pathlib import Path

import numpy as np

from curricular import Curriculum, NoiseAwareConfig
from curricular.backends.outbox import packed
from curricular.cluster.agent import step
from curricular.cluster.follower import close_node, follow, open_node
from curricular.cluster.hub import Hub
from curricular.cluster.messages import Reply, Request
from curricular.cluster.settings import checked, cluster_settings
from curricular.generators import SeedGenerator
from curricular.table import EVENT, SCHEDULED, TOLD

TASKS = SeedGenerator()
NAME = "benchmark"


def config(num_tasks: int, **more: object) -> NoiseAwareConfig:
    return NoiseAwareConfig.recommended(num_active_tasks=num_tasks, **more)


class Node:
    """A node without a session, which sends batches of pairs of the tasks that the hub draws."""

    def __init__(self, hub: Hub[int], name: str, settings: str) -> None:
        self.hub, self.name = hub, name
        self.reply: Reply = hub.exchange(Request(name, settings=settings))
        self.batch, self.rng = 0, np.random.default_rng(self.reply.number)
        self.keep(self.reply)

    def keep(self, reply: Reply) -> None:
        if reply.news is not None:
            news = reply.news
            self.known = (reply.term, news.epoch)
            self.cumulated = news.cumulated
            if self.batch == 0:
                self.ids = self.hub.fold.table.rows["task_id"].copy()
            else:
                self.ids[news.slots] = self.hub.fold.table.rows["task_id"][news.slots]

    def request(self, num_pairs: int) -> Request:
        slots = np.minimum(self.cumulated.searchsorted(self.rng.random(num_pairs), "right"), len(self.ids) - 1)
        events = np.zeros((num_pairs, 2), EVENT)
        events["task_id"] = self.ids[slots][:, None]
        events["kind"] = [SCHEDULED, TOLD]
        events["score"][:, 1] = self.rng.random(num_pairs)
        self.batch += 1
        term, epoch = self.known
        words = packed([events.ravel()])
        return Request(self.name, self.reply.number, self.reply.hub, "", self.batch, words, (), term, epoch)


def settings_of(cfg: NoiseAwareConfig) -> str:
    return json.dumps(cluster_settings(*checked(NAME, cfg, TASKS)))


def hub_cost(num_tasks: int, batch: int, num_batches: int, directory: Path | None) -> tuple[float, float, float]:
    """CPU µs a pair of the hub, CPU ms an exchange without a batch, and refreshes a batch."""
    cfg = config(num_tasks)
    hub = Hub(NAME, cfg, TASKS, directory=directory)
    nodes = [Node(hub, f"node{k}", settings_of(cfg)) for k in range(4)]
    spent, refreshes = 0.0, 0
    for k in range(4 + num_batches):
        node = nodes[k % 4]
        request = node.request(batch)
        before, start = hub.fold.table.counters.num_refreshes, time.process_time()
        reply = hub.exchange(request)
        if k >= 4:  # the first ones warm up
            spent += time.process_time() - start
            refreshes += hub.fold.table.counters.num_refreshes - before
        node.keep(reply)
    idle = [node.request(1)._replace(batch=0) for node in nodes] * 50
    start = time.process_time()
    for request in idle:
        hub.exchange(request)
    per_exchange = (time.process_time() - start) / len(idle)
    hub.close()
    return 1e6 * spent / (num_batches * batch), 1e3 * per_exchange, refreshes / num_batches


def recovery(num_pairs: int, num_tasks: int, directory: Path) -> tuple[float, float]:
    """CPU seconds and wall seconds in which a second hub takes over a journal of `num_pairs`."""
    cfg = config(num_tasks)
    hub = Hub(NAME, cfg, TASKS, directory=directory)
    nodes = [Node(hub, f"node{k}", settings_of(cfg)) for k in range(4)]
    for k in range(num_pairs // 8192):
        node = nodes[k % 4]
        node.keep(hub.exchange(node.request(8192)))
    start, wall = time.process_time(), time.perf_counter()
    Hub(NAME, cfg, TASKS, directory=directory).close()
    return time.process_time() - start, time.perf_counter() - wall


def worker_calls(num_tasks: int, num_rounds: int) -> tuple[float, float, float, float]:
    """CPU µs a pair in a plain session and in a follower, and of agent and hub together for a follower's pair.

    Ends with the CPU ms of an exchange of the agent, without the hub's part.
    """
    cfg = config(num_tasks, session_id="benchmark-plain")
    plain, other = Curriculum(TASKS, cfg), Curriculum(TASKS, cfg)  # a session of two workers, as a node has
    hub = Hub(NAME, config(num_tasks), TASKS)
    in_hub = [0.0]

    def exchange(request: Request) -> Reply:
        start = time.process_time()
        reply = hub.exchange(request)
        in_hub[0] += time.process_time() - start
        return reply

    path = open_node(NAME, "local", exchange, config(num_tasks), TASKS)
    following = follow(path, config(num_tasks), TASKS)
    spent = {plain: 0.0, following: 0.0}
    agent = 0.0
    for k in range(num_rounds + 2):
        for curriculum in (plain, following):
            start = time.process_time()
            for _ in range(4096):
                task = curriculum.get_task()
                curriculum.update_task_performance(task.task_id, task.task_id % 5 / 4)
            spent[curriculum] += time.process_time() - start if k >= 2 else 0.0
        start = time.process_time()
        step(path, exchange)
        agent += time.process_time() - start if k >= 2 else 0.0
        if k == 1:
            in_hub[0] = 0.0
    pairs = 4096 * num_rounds
    for curriculum in (plain, other, following):
        curriculum.close()
    close_node(path)
    per_step = 1e3 * (agent - in_hub[0]) / num_rounds
    return 1e6 * spent[plain] / pairs, 1e6 * spent[following] / pairs, 1e6 * agent / pairs, per_step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--batches", type=int, nargs="+", default=[1_024, 8_192, 32_768])
    parser.add_argument("--pairs", type=int, default=1_000_000, help="pairs in each measurement of the hub")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp())
    try:
        print("hub: CPU µs a pair | CPU ms an exchange without events | refreshes a batch (journal on disk)")
        for num_tasks in arguments.tasks:
            for batch in arguments.batches:
                num_batches = max(8, min(64, arguments.pairs // batch))
                directory = folder / f"{num_tasks}-{batch}"
                cost, idle, refreshes = hub_cost(num_tasks, batch, num_batches, directory)
                shutil.rmtree(directory)
                print(f"  {num_tasks:>9,} tasks, batches of {batch:>6,}: {cost:6.2f} | {idle:6.3f} | {refreshes:4.2f}")
        cpu, wall = recovery(arguments.pairs, 10_000, folder / "recovery")
        print(f"recovery of {arguments.pairs:,} pairs, 10,000 tasks: {cpu:.2f} s CPU, {wall:.2f} s")
        print("worker: CPU µs a pair in a plain session | in a follower | agent and hub a pair | agent, ms an exchange")
        for num_tasks in arguments.tasks[:2]:
            plain, following, rest, per_step = worker_calls(num_tasks, 24)
            print(f"  {num_tasks:>9,} tasks: {plain:.2f} | {following:.2f} | {rest:.2f} | {per_step:.2f}")
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
