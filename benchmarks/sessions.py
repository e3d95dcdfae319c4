"""Measures what a session costs: CPU time of a hand-out with its result, memory, and speed of environments.

    make bench-sessions
    make bench-sessions ARGS="--quick"
    make bench-sessions-peers

benchmarks/README.md explains the lines.
"""

import argparse
import json
import logging
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

from curricular import Curriculum, LearningProgressConfig
from curricular.wrappers.gymnasium import CurriculumEnv

SIZES = (1_000, 10_000, 100_000, 1_000_000)
PROCESSES = (1, 2, 4, 8)
BATCHES = (64, 512)
LENGTHS = (1, 10, 100)
NUM_ENVS = 2
EPISODE = 0.06
"""Time between two results of a worker in the sparse lines, in seconds."""
CONTEXT = get_context("fork")


class Trivial(gymnasium.Env[Any, Any]):
    """Environment that does nothing and ends each episode after `length` steps."""

    observation_space = gymnasium.spaces.Box(0, 1, (1,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)
    observation = np.zeros(1, np.float32)

    def __init__(self, length: int) -> None:
        self.length = length
        self.left = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        self.left = self.length
        return self.observation, {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.left -= 1
        return self.observation, float(self.left == 0), self.left == 0, False, {}


def ignore(env: gymnasium.Env[Any, Any], task: object) -> None:
    """Applies no task to the environment."""


EnvMakers = AbstractContextManager[Callable[[], gymnasium.Env[Any, Any]]]
"""Context whose value is a function that makes an environment in another process."""
Peer = tuple[str, Callable[[int, int], EnvMakers]]
"""A name, and a function (number of tasks, steps per episode) that returns the makers of environments."""


def config(num_tasks: int, **overrides: Any) -> LearningProgressConfig:
    return LearningProgressConfig.default(num_active_tasks=num_tasks, **overrides)


def pairs(curriculum: Curriculum[int], count: int, score: float) -> None:
    for _ in range(count):
        curriculum.update_task_performance(curriculum.get_task().task_id, score)


def batches(curriculum: Curriculum[int], count: int, size: int, score: float) -> None:
    scores = np.full(size, score)
    for _ in range(count):
        curriculum.tell([task.task_id for task in curriculum.ask(size)], scores)


def sparse_pairs(curriculum: Curriculum[int], count: int, score: float) -> float:
    """Plays as in episodes of `EPISODE` seconds; returns the CPU time of a pair, without that of the pauses, in µs."""
    took = 0.0
    for _ in range(count):
        time.sleep(EPISODE)
        began = time.process_time()
        pairs(curriculum, 1, score)
        took += time.process_time() - began
    return 1e6 * took / count


def warm_up(curriculum: Curriculum[int]) -> None:
    """Reports results until the distribution is refreshed at its final rate."""
    batches(curriculum, 64 + curriculum.config.num_active_tasks // 1024, 512, 0.5)


def local_cost(num_tasks: int, count: int, *, is_sparse: bool = False) -> float:
    """Returns the CPU time of a pair in one process on the local backend, in µs: the reference for sharing."""
    curriculum: Curriculum[int] = Curriculum(config(num_tasks, use_shared_memory=False))
    warm_up(curriculum)
    if is_sparse:
        return sparse_pairs(curriculum, count, 0.5)
    began = time.process_time()
    pairs(curriculum, count, 0.5)
    return 1e6 * (time.process_time() - began) / count


def private_memory() -> float:
    """Returns the private memory of this process, in MiB."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private")) / 1024


def worker(curriculum: Curriculum[int], size: int, count: int, pipe: Connection) -> None:
    """Warms up, then sends the CPU time per result in µs and the growth of private memory in MiB.

    A `size` of 0 stands for sparse pairs.
    """
    before = private_memory()
    pairs(curriculum, 256, 0.5)
    pipe.send(None)
    pipe.recv()
    began = time.process_time()
    if size == 0:
        cost = sparse_pairs(curriculum, count, 0.5)
    elif size == 1:
        pairs(curriculum, count, 0.5)
        cost = 1e6 * (time.process_time() - began) / count
    else:
        batches(curriculum, count // size, size, 0.5)
        cost = 1e6 * (time.process_time() - began) / (count // size * size)
    pipe.send((cost, private_memory() - before))


def cost(num_tasks: int, num_processes: int, size: int, count: int) -> tuple[float, float]:
    """Returns CPU time per result in µs and private memory in MiB, as means over processes that play at once."""
    with Curriculum(config(num_tasks)) as curriculum:
        warm_up(curriculum)
        pipes, children = [], []
        for _ in range(num_processes):
            ours, theirs = CONTEXT.Pipe()
            children.append(CONTEXT.Process(target=worker, args=(curriculum, size, count, theirs)))
            children[-1].start()
            pipes.append(ours)
        for pipe in pipes:
            pipe.recv()
        for pipe in pipes:
            pipe.send(None)
        results = [pipe.recv() for pipe in pipes]
        for child in children:
            child.join()
    return statistics.fmean(cpu for cpu, _ in results), statistics.fmean(memory for _, memory in results)


def attach(num_tasks: int, repeats: int) -> float:
    """Returns the median wall time to join an existing session, in ms."""
    named = LearningProgressConfig.default(num_active_tasks=num_tasks, session_id=f"bench-{os.getpid()}")
    took = []
    with Curriculum(named):
        for _ in range(repeats):
            began = time.perf_counter()
            joined = Curriculum(named)
            took.append(1e3 * (time.perf_counter() - began))
            joined.close()
    return statistics.median(took)


def episodes(env: gymnasium.Env[Any, Any], count: int) -> float:
    """Returns the CPU time per episode in this process, in µs."""
    began = time.process_time()
    for _ in range(count):
        env.reset()
        while not env.step(0)[2]:
            pass
    return 1e6 * (time.process_time() - began) / count


def reset_overhead(num_tasks: int, count: int) -> float:
    """Returns the CPU time that wrapper and curriculum add to an episode of one step, in µs."""
    with Curriculum(config(num_tasks)) as curriculum:
        env = CurriculumEnv(Trivial(1), curriculum, apply=ignore)
        episodes(env, count)
        return episodes(env, count) - episodes(Trivial(1), count)


@contextmanager
def with_curricular(num_tasks: int, length: int) -> Any:
    with Curriculum(config(num_tasks)) as curriculum:
        yield lambda: CurriculumEnv(Trivial(length), curriculum, apply=ignore)


def speed(makers: EnvMakers, length: int, seconds: float) -> float:
    """Returns the episodes per second of wall time of `NUM_ENVS` environments, each in its own process."""
    with makers as make:
        envs = gymnasium.vector.AsyncVectorEnv([make] * NUM_ENVS, context="fork")
        try:
            envs.reset()
            actions = np.zeros(NUM_ENVS, np.int64)
            for _ in range(100):
                envs.step(actions)
            steps, began = 0, time.perf_counter()
            while time.perf_counter() - began < seconds:
                for _ in range(20):
                    envs.step(actions)
                steps += 20
            took = time.perf_counter() - began
        finally:
            envs.close(terminate=True)
    return steps * NUM_ENVS / (length + 1) / took  # a reset takes an extra step


def spread(values: Sequence[float], unit: str) -> str:
    return f"{statistics.median(values):10.4g} {unit:3} ({min(values):.4g} … {max(values):.4g})"


def main(peers: Sequence[Peer] = ()) -> None:
    parser = argparse.ArgumentParser(description="Measures CPU time, memory and episodes per second of a session.")
    parser.add_argument("--quick", action="store_true", help="fewer sizes and repeats; too few for figures to quote")
    parser.add_argument(
        "--sizes", type=int, nargs="+", default=None, metavar="N", help=f"numbers of tasks; default {SIZES}"
    )
    parser.add_argument("--repeats", type=int, default=None, metavar="N", help="measurements per line; default 5")
    parser.add_argument(
        "--only", choices=["cost", "episodes"], default=None, help="measure only this half of the lines"
    )
    parser.add_argument("--out", type=Path, default=None, metavar="FILE", help="write all measurements as JSON")
    options = parser.parse_args()
    logging.getLogger("curricular").setLevel(logging.ERROR)  # cancelled episodes at the end are expected
    sizes = options.sizes or (SIZES[:2] if options.quick else SIZES)
    repeats = options.repeats or (2 if options.quick else 5)
    count = 8192 if options.quick else 32_768
    seconds = 0.5 if options.quick else 2.0
    figures: dict[str, list[float]] = {}

    def show(name: str, unit: str, values: list[float]) -> None:
        figures[f"{name}, {unit}"] = values
        print(f"{name:58}{spread(values, unit)}", flush=True)

    load = os.getloadavg()[0]
    print(f"Python {platform.python_version()}, NumPy {np.__version__}, {os.cpu_count()} CPUs, load {load:.1f}")
    print("median over repeats (lowest … highest)\n")
    if options.only != "episodes":
        for num_tasks in sizes:
            show(f"pair, {num_tasks:,} tasks, local", "µs", [local_cost(num_tasks, count) for _ in range(repeats)])
            name, alone = f"sparse pair, {num_tasks:,} tasks", count // 256
            show(f"{name}, local", "µs", [local_cost(num_tasks, alone, is_sparse=True) for _ in range(repeats)])
            shared = [cost(num_tasks, PROCESSES[-1], 0, alone)[0] for _ in range(repeats)]
            show(f"{name}, {PROCESSES[-1]} processes", "µs", shared)
            for size in (1, *BATCHES):
                for num_processes in PROCESSES:
                    runs = [cost(num_tasks, num_processes, size, count) for _ in range(repeats)]
                    what = "pair" if size == 1 else f"batch of {size}"
                    name = f"{what}, {num_tasks:,} tasks, {num_processes} processes"
                    show(name, "µs", [cpu for cpu, _ in runs])
            show(f"memory of a process, {num_tasks:,} tasks", "MiB", [memory for _, memory in runs])
            show(f"attach, {num_tasks:,} tasks", "ms", [attach(num_tasks, 9) for _ in range(repeats)])
            show(
                f"reset overhead, {num_tasks:,} tasks", "µs", [reset_overhead(num_tasks, 4000) for _ in range(repeats)]
            )
    if options.only != "cost":
        makers: list[Peer] = [
            ("raw", lambda _, length: nullcontext(lambda: Trivial(length))),
            ("curricular", with_curricular),
            *peers,
        ]
        for length in LENGTHS:
            speeds: dict[str, list[float]] = {name: [] for name, _ in makers}
            for _ in range(repeats):  # in turn, so that other work on the machine affects all of them equally
                for name, make in makers:
                    speeds[name].append(speed(make(256, length), length, seconds))
            for name, values in speeds.items():
                show(f"episodes of {length} steps, {name}", "/s", values)
    if options.out is not None:
        options.out.write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
