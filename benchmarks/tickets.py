"""What a ticket costs: CPU time of asking and telling with tickets, beside the same with task ids in the same run.

    make bench-tickets
    make bench-tickets ARGS="--sizes 256 --repeats 5"

Learning progress with refreshes and evictions as they come, on the local backend and in a session of one process.
Scores are noise. benchmarks/README.md explains the lines.
"""

import argparse
import os
import platform
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from curricular import Curriculum, LearningProgressConfig

SIZES = (256, 10_000, 1_000_000)
NUM_PROMPTS, GROUP = 512, 8
BLOCK = 256
"""Number of calls between two looks at the clock, where a call is short."""

WARM_UP = 40
"""Steps before anything is measured."""

TARGETS = {"ask one": 50.0, "step of 512 × 8": 5_000.0}
"""Targets in µs, on a machine that does nothing else."""

Times = dict[str, list[float]]


def cpu_us(call: Callable[[], Any], count: int = 1) -> tuple[Any, float]:
    """Returns the result of a call, and the CPU µs of this process in it, divided by `count`."""
    start = time.process_time_ns()
    result = call()
    return result, (time.process_time_ns() - start) / 1_000 / count


def by_id(curriculum: Curriculum[int], groups: np.ndarray) -> dict[str, float]:
    """Measures each line once, with task ids."""
    tasks, ask = cpu_us(lambda: [curriculum.get_task() for _ in range(BLOCK)], BLOCK)
    ids = [task.task_id for task in tasks]
    _, tell = cpu_us(lambda: [curriculum.update_task_performance(task_id, 0.5) for task_id in ids], BLOCK)

    def step() -> None:
        asked = curriculum.ask(NUM_PROMPTS)
        curriculum.tell([task.task_id for task in asked], groups)

    return {"ask one": ask, "tell one": tell, "step of 512 × 8": cpu_us(step)[1]}


def with_tickets(curriculum: Curriculum[int], groups: np.ndarray) -> dict[str, float]:
    """Measures each line once, with tickets."""
    batches, ask = cpu_us(lambda: [curriculum.ask_batch(1) for _ in range(BLOCK)], BLOCK)
    tickets = [batch.tickets for batch in batches]
    _, tell = cpu_us(lambda: [curriculum.tell_batch(ticket, [0.5]) for ticket in tickets], BLOCK)

    def step() -> None:
        curriculum.tell_batch(curriculum.ask_batch(NUM_PROMPTS).tickets, groups)

    return {"ask one": ask, "tell one": tell, "step of 512 × 8": cpu_us(step)[1]}


def measure(size: int, repeats: int, *, is_shared: bool) -> tuple[Times, Times]:
    """Returns the repeats of each line with task ids, and with tickets; both alternate on one pool."""
    rng = np.random.default_rng(0)
    ids: Times = {}
    tickets: Times = {}
    config = LearningProgressConfig.default(num_active_tasks=size, use_shared_memory=is_shared)
    with Curriculum(config) as curriculum:
        for _ in range(WARM_UP):
            by_id(curriculum, rng.random((NUM_PROMPTS, GROUP)))
        for _ in range(repeats):
            groups = rng.random((NUM_PROMPTS, GROUP))
            for call, times in ((by_id, ids), (with_tickets, tickets)):
                for name, value in call(curriculum, groups).items():
                    times.setdefault(name, []).append(value)
    return ids, tickets


def spread(values: list[float]) -> str:
    """Returns the median, the lowest and the highest value."""
    return f"{statistics.median(values):,.1f} ({min(values):,.1f} … {max(values):,.1f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, metavar="N", help="numbers of tasks")
    parser.add_argument("--repeats", type=int, default=15, metavar="N", help="measurements per line")
    options = parser.parse_args()
    print(
        f"python {platform.python_version()}, numpy {np.__version__}, {os.cpu_count()} CPUs, load {os.getloadavg()[0]}"
    )
    print("median CPU µs (lowest … highest) of a call or a step, and the median ratio within a repeat\n")
    widths = (11, 9, 18, 30, 34, 9, 8)
    head = ("tasks", "backend", "", "with task ids", "with tickets", "× by id", "target")
    print("".join(text.ljust(width) for text, width in zip(head, widths, strict=True)).rstrip())
    for size in options.sizes:
        for is_shared in (False, True):
            ids, tickets = measure(size, options.repeats, is_shared=is_shared)
            for name, values in tickets.items():
                ratio = statistics.median(mine / base for mine, base in zip(values, ids[name], strict=True))
                target = f"≤ {TARGETS[name]:,.0f}" if name in TARGETS else ""
                backend = "session" if is_shared else "local"
                cells = (f"{size:,}", backend, name, spread(ids[name]), spread(values), f"{ratio:.1f}", target)
                print(
                    "".join(text.ljust(width) for text, width in zip(cells, widths, strict=True)).rstrip(), flush=True
                )
    print(f"\nload {os.getloadavg()[0]:.1f} at the end: other work raises every line")


if __name__ == "__main__":
    main()
