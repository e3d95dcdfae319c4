"""Measures CPU time and memory of each operation of the library, and of a floor in the same run.

    make bench
    make bench ARGS="--quick --out cost.json"

benchmarks/README.md explains the lines.
"""

import argparse
import gc
import json
import logging
import os
import platform
import statistics
import tracemalloc
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from lines import DEPENDENCIES, LARGE, LINES, cpu_us, fresh_interpreter

from curricular import Curriculum, LearningProgressConfig
from curricular.kernel import KERNEL

SIZES = (256, 1_000, 10_000, 100_000)
BATCHES = (64, 512)
BLOCK = 256
"""Number of consecutive calls when `get_task` and `update_task_performance` are timed separately."""

TARGETS = {
    "pair": 3.0,
    "ask + tell 512": 0.5,
    "stats": 5_000.0,
    "create": 100_000.0,
    "memory per task": 256.0,
    "import: CPU": 0.3,
    "import: peak memory": 45.0,
}
"""Targets for up to 10,000 tasks, in the unit of the line."""

Scores = list[float]


@dataclass(frozen=True)
class Figure:
    """Repeated measurements of one line; `ratios` divide each value by the floor of the same repeat."""

    subject: str
    name: str
    num_tasks: int
    unit: str
    values: list[float]
    ratios: list[float]


class Subject(Protocol):
    """A library whose cost is measured."""

    name: str

    def pairs(self, scores: Scores) -> None:
        """Draws one task and reports its score, once per score."""
        ...

    def asks(self, n: int) -> list[int]:
        """Draws `n` tasks with one call each, and returns their ids."""
        ...

    def updates(self, task_ids: list[int], scores: Scores) -> None:
        """Reports one score per task, with one call each."""
        ...

    def batches(self, size: int, scores: Sequence[Scores]) -> None:
        """For each list of scores, draws `size` tasks with one call and reports their scores with one call."""
        ...

    def stats(self) -> Any:
        """Returns the statistics to log, or None if the subject has no statistics."""
        ...


class Floor:
    """The least that drawing from a distribution costs: search in a constant running sum, and stores into lists."""

    name = "floor"

    def __init__(self, num_tasks: int) -> None:
        self._sums = np.linspace(0.0, 1.0, num_tasks + 1)[1:]
        self._cumulated = self._sums.tolist()
        self._tasks = list(range(num_tasks))
        self._num_scheduled = [0] * num_tasks
        self._num_completions = [0] * num_tasks
        self._averages = [0.0] * num_tasks
        self._arrays = np.zeros((3, num_tasks))
        self._rng = np.random.default_rng(0)
        self._uniforms = self._rng.random(4096).tolist()
        self._position = 0

    def get_task(self) -> int:
        self._position = (self._position + 1) & 4095
        slot = bisect_right(self._cumulated, self._uniforms[self._position])
        self._num_scheduled[slot] += 1
        return self._tasks[slot]

    def update(self, task_id: int, score: float) -> None:
        self._num_completions[task_id] += 1
        self._averages[task_id] += 0.1 * (score - self._averages[task_id])

    def pairs(self, scores: Scores) -> None:
        for score in scores:
            self.update(self.get_task(), score)

    def asks(self, n: int) -> list[int]:
        return [self.get_task() for _ in range(n)]

    def updates(self, task_ids: list[int], scores: Scores) -> None:
        for task_id, score in zip(task_ids, scores, strict=True):
            self.update(task_id, score)

    def batches(self, size: int, scores: Sequence[Scores]) -> None:
        num_scheduled, num_completions, averages = self._arrays
        for batch in scores:
            slots = np.searchsorted(self._sums, self._rng.random(size), side="right")
            tasks = [self._tasks[slot] for slot in slots.tolist()]
            num_scheduled[slots] += 1
            ids = np.array(tasks)
            num_completions[ids] += 1
            averages[ids] += 0.1 * (np.array(batch) - averages[ids])

    def stats(self) -> None:
        return None


class Curricular:
    """This library: default learning progress on the local backend, where a task's configuration is its seed."""

    name = "curricular"

    def __init__(self, num_tasks: int) -> None:
        config = LearningProgressConfig.default(num_active_tasks=num_tasks, use_shared_memory=False)
        self.curriculum = Curriculum(config)

    def pairs(self, scores: Scores) -> None:
        curriculum = self.curriculum
        for score in scores:
            curriculum.update_task_performance(curriculum.get_task().task_id, score)

    def asks(self, n: int) -> list[int]:
        curriculum = self.curriculum
        return [curriculum.get_task().task_id for _ in range(n)]

    def updates(self, task_ids: list[int], scores: Scores) -> None:
        curriculum = self.curriculum
        for task_id, score in zip(task_ids, scores, strict=True):
            curriculum.update_task_performance(task_id, score)

    def batches(self, size: int, scores: Sequence[Scores]) -> None:
        curriculum = self.curriculum
        for batch in scores:
            tasks = curriculum.ask(size)
            curriculum.tell([task.task_id for task in tasks], batch)

    def arrays(self, size: int, scores: Sequence[Scores]) -> None:
        """Does as `batches`, with tickets, which come and go as arrays."""
        curriculum = self.curriculum
        for batch in scores:
            curriculum.tell_batch(curriculum.ask_batch(size).tickets, batch)

    def stats(self) -> dict[str, float]:
        return self.curriculum.stats()


SubjectType = Callable[[int], Subject]
"""Function that makes a subject with the given number of tasks."""


def main(peers: Sequence[SubjectType] = (), peer_imports: Sequence[str] = ()) -> None:
    """Measures the library and, in the same run, `peers`, whose users import the modules `peer_imports`."""
    parser = argparse.ArgumentParser(
        description="Measures CPU time and memory of each operation, and of a floor in the same run."
    )
    parser.add_argument("--quick", action="store_true", help="fewer repeats and tasks; too few for figures to quote")
    parser.add_argument(
        "--sizes", type=int, nargs="+", default=None, metavar="N", help=f"numbers of tasks; default {SIZES}"
    )
    parser.add_argument("--repeats", type=int, default=None, metavar="N", help="measurements per line; default 15")
    parser.add_argument("--out", type=Path, default=None, metavar="FILE", help="write all measurements as JSON")
    options = parser.parse_args()
    sizes = options.sizes or (SIZES[:2] if options.quick else SIZES)
    repeats = options.repeats or (3 if options.quick else 15)
    logging.getLogger("curricular").setLevel(logging.ERROR)  # axes of many values have more labels than are stored
    run = {
        "python": platform.python_version(),
        "numpy": np.__version__,
        "machine": f"{platform.machine()}, {os.cpu_count()} CPUs",
        "kernel": "none" if KERNEL is None else "compiled",
        "load_before": os.getloadavg()[0],
    }
    print(", ".join(f"{name} {value}" for name, value in run.items()))
    print("median CPU time over repeats (lowest … highest), per task drawn and reported, in steady state\n")
    figures = imports(["numpy", DEPENDENCIES, "curricular", *peer_imports], repeats)
    show(figures)
    for num_tasks in sizes:
        measured = [
            *(figure for make in (Curricular, *peers) for figure in creation(make, num_tasks, repeats)),
            *steady_state((Floor, Curricular, *peers), num_tasks, repeats, is_quick=options.quick),
        ]
        show(measured)
        figures += measured
    figures += what_a_user_feels(sizes if options.sizes or options.quick else (*sizes, LARGE), repeats)
    run["load_after"] = os.getloadavg()[0]
    print(f"load {run['load_before']:.1f} before, {run['load_after']:.1f} after: other work raises every line")
    if options.out is not None:
        options.out.write_text(json.dumps({"run": run, "figures": [asdict(figure) for figure in figures]}, indent=1))
        print(f"wrote {options.out}")


# Measuring


def steady_state(subjects: Sequence[SubjectType], num_tasks: int, repeats: int, *, is_quick: bool) -> list[Figure]:
    """Measures the cost per task drawn and reported, once every task has been built and has results.

    Each repeat measures all subjects in turn, so that other work on the machine affects all of them equally.
    """
    num_warm = max(10_000, 2 * num_tasks) if is_quick else max(10_000, min(40 * num_tasks, 400_000))
    num_pairs = 4 * BLOCK if is_quick else max(16 * BLOCK, num_tasks // 8)
    rng = np.random.default_rng(1)
    scores = rng.random(num_pairs).tolist()
    values: dict[tuple[str, str], list[float]] = {}
    made = [make(num_tasks) for make in subjects]
    for subject in made:
        warm_up(subject, num_warm, rng)
    gc.collect()
    for _ in range(repeats):
        for subject in made:
            for name, value in once(subject, scores).items():
                values.setdefault((subject.name, name), []).append(value)
    return [
        Figure(subject, name, num_tasks, "µs", measured, ratios(measured, values.get((Floor.name, name), [])))
        for (subject, name), measured in values.items()
    ]


def warm_up(subject: Subject, num_results: int, rng: np.random.Generator) -> None:
    """Reports results until the distribution is refreshed at its final rate."""
    size = BATCHES[-1]
    for _ in range(max(1, num_results // size)):
        subject.batches(size, [rng.random(size).tolist()])


def once(subject: Subject, scores: Scores) -> dict[str, float]:
    """Measures each line once, in µs per task drawn and reported; `stats` and `tasks` in µs per call."""
    count = len(scores)
    asked, updated = 0.0, 0.0
    for start in range(0, count, BLOCK):
        block = scores[start : start + BLOCK]
        ids: list[int] = []
        asked += cpu_us(lambda n, into: into.extend(subject.asks(n)), len(block), ids)
        updated += cpu_us(subject.updates, ids, block)
    values = {
        "get_task": asked / count,
        "update_task_performance": updated / count,
        "pair": cpu_us(subject.pairs, scores) / count,
    }
    for size in BATCHES:
        batches = [scores[start : start + size] for start in range(0, count - size + 1, size)]
        values[f"ask + tell {size}"] = cpu_us(subject.batches, size, batches) / (size * len(batches))
    if subject.stats() is not None:
        values["stats"] = cpu_us(subject.stats)
    if isinstance(subject, Curricular):
        values["tasks"] = cpu_us(subject.curriculum.tasks)
        values[f"ask_batch + tell_batch {size}"] = cpu_us(subject.arrays, size, batches) / (size * len(batches))
    return values


def what_a_user_feels(sizes: Sequence[int], repeats: int) -> list[Figure]:
    """Measures and shows the lines of `lines.py`; those of a million tasks, which take seconds, five times at most."""
    figures = []
    for line in LINES:
        measured = []
        for num_tasks in sizes:
            if num_tasks in line.sizes:
                measure = line.start(num_tasks)
                values = [measure() for _ in range(repeats if num_tasks < LARGE else min(repeats, 5))]
                measured.append(Figure("", line.name, num_tasks, line.unit, values, []))
        if measured:
            show(measured)
        figures += measured
    return figures


def creation(make: SubjectType, num_tasks: int, repeats: int) -> list[Figure]:
    """Measures the CPU time to make a subject, and its memory per task beyond that of a single task."""
    kept: list[Subject] = []
    times = [cpu_us(make, num_tasks) for _ in range(repeats)]
    held = []
    for size in (1, num_tasks):
        gc.collect()
        tracemalloc.start()
        kept.append(make(size))
        gc.collect()
        held.append(tracemalloc.get_traced_memory()[0])
        tracemalloc.stop()
    name = kept[0].name
    per_task = (held[1] - held[0]) / max(1, num_tasks - 1)
    return [
        Figure(name, "create", num_tasks, "µs", times, []),
        Figure(name, "memory per task", num_tasks, "bytes", [per_task], []),
    ]


def imports(modules: Sequence[str], repeats: int) -> list[Figure]:
    """Measures a bare interpreter and one per entry of `modules`: CPU time in s, and peak resident memory in MB."""
    figures = []
    for module in ("", *modules):
        fresh_interpreter(module)  # compiles the modules
        results = [fresh_interpreter(module) for _ in range(repeats)]
        what = f"import {module}" if module else "bare interpreter"
        figures += [
            Figure(what, "import: CPU", 0, "s", [cpu for cpu, _ in results], []),
            Figure(what, "import: peak memory", 0, "MB", [memory for _, memory in results], []),
        ]
    return figures


def ratios(values: Sequence[float], floor: Sequence[float]) -> list[float]:
    """Returns value / floor for each repeat; an empty list if the line has no floor."""
    return [value / least for value, least in zip(values, floor, strict=False)]


# Showing


def show(figures: Sequence[Figure]) -> None:
    """Prints the table of `figures`."""
    widths = (36, 38, 10, 30, 9, 10)
    head = ("", "", "tasks", "cost", *(("× floor", "target") if figures[0].subject else ("", "")))
    print("".join(text.ljust(width) for text, width in zip(head, widths, strict=True)).rstrip())
    for figure in figures:
        target = (
            TARGETS.get(figure.name) if figure.num_tasks <= 10_000 and figure.subject.endswith("curricular") else None
        )
        cells = (
            figure.subject,
            figure.name,
            f"{figure.num_tasks:,}" if figure.num_tasks else "",
            spread(figure),
            f"{statistics.median(figure.ratios):.1f}" if figure.ratios and figure.subject != Floor.name else "",
            "" if target is None else f"≤ {readable(target, figure.unit)}",
        )
        print("".join(text.ljust(width) for text, width in zip(cells, widths, strict=True)).rstrip())
    print()


def spread(figure: Figure) -> str:
    """Returns the median, with the lowest and highest value if there are several measurements."""
    middle = readable(statistics.median(figure.values), figure.unit)
    if len(figure.values) == 1:
        return middle
    low, high = (readable(value, figure.unit).split()[0] for value in (min(figure.values), max(figure.values)))
    return f"{middle} ({low} … {high})"


def readable(value: float, unit: str) -> str:
    """Returns the value with its unit; times from 1,000 µs in ms."""
    return f"{value / 1_000:.2f} ms" if unit == "µs" and value >= 1_000 else f"{value:.3g} {unit}"


if __name__ == "__main__":
    main()
