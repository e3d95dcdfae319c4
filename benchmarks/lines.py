"""What a user feels: one function per line of `cost.py` that needs no other library, and of `compare.py`.

benchmarks/README.md explains the lines.
"""

import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

from curricular import Curriculum, LearningProgressConfig, NoiseAwareConfig, bucketed
from curricular.wrappers.gymnasium import CurriculumEnv

Measure = Callable[[], float]
"""Function that measures a line once."""

SIZES = (256, 1_000, 10_000, 100_000)
LARGE = 1_000_000
BATCH = 512
NUM_EPISODES = 1_000

AXES = ("width", "height", "speed", *"abcdefg")
NUM_VALUES = 100
"""Smallest number of values of an axis; there are more where the pool has more tasks than these make."""


@dataclass(frozen=True)
class Line:
    """One line: what is measured, in which unit, and for how many tasks."""

    name: str
    unit: str
    start: Callable[[int], Measure]
    """Returns the function that measures the line for a number of tasks."""
    sizes: tuple[int, ...] = (*SIZES, LARGE)


def cpu_us(call: Callable[..., Any], *arguments: Any) -> float:
    """Returns the CPU time of one call, including system time, in µs."""
    start = time.process_time_ns()
    call(*arguments)
    return (time.process_time_ns() - start) / 1_000


def recommended(num_tasks: int, axes: int = 0, *, use_shared_memory: bool = False) -> Curriculum[Any]:
    """Returns a curriculum with the recommended algorithm; without axes, a configuration is its seed."""
    config = NoiseAwareConfig.recommended(num_active_tasks=num_tasks, use_shared_memory=use_shared_memory)
    if not axes:
        return Curriculum(config)
    values = list(range(max(NUM_VALUES, math.ceil(num_tasks ** (1 / axes)))))
    return Curriculum(config, bucketed({}, dict.fromkeys(AXES[:axes], values)))


def progress(num_tasks: int, *, use_shared_memory: bool = False) -> Curriculum[int]:
    """Returns a curriculum with default learning progress."""
    config = LearningProgressConfig.default(num_active_tasks=num_tasks, use_shared_memory=use_shared_memory)
    return Curriculum(config)


def batches(curriculum: Curriculum[Any], count: int, rng: np.random.Generator, size: int = BATCH) -> None:
    for _ in range(count):
        tasks = curriculum.ask(size)
        curriculum.tell([task.task_id for task in tasks], rng.random(size))


def pairs(curriculum: Curriculum[Any], scores: list[float]) -> None:
    for score in scores:
        curriculum.update_task_performance(curriculum.get_task().task_id, score)


def played(curriculum: Curriculum[Any]) -> tuple[Curriculum[Any], np.random.Generator]:
    """Returns a curriculum with up to 40 results a task, and a source of scores."""
    rng = np.random.default_rng(0)
    batches(curriculum, max(20, min(40 * curriculum.config.pool_size, 200_000) // BATCH), rng)
    return curriculum, rng


# Lines


def warm_pair(make: Callable[[int], Curriculum[Any]], num_tasks: int) -> Measure:
    curriculum, rng = played(make(num_tasks))
    count = max(4_096, num_tasks // 8)
    return lambda: cpu_us(pairs, curriculum, rng.random(count).tolist()) / count


def warm_batch(make: Callable[[int], Curriculum[Any]], num_tasks: int) -> Measure:
    curriculum, rng = played(make(num_tasks))
    count = max(8, num_tasks // 8 // BATCH)
    return lambda: cpu_us(batches, curriculum, count, rng) / (count * BATCH)


def warm_arrays(make: Callable[[int], Curriculum[Any]], num_tasks: int) -> Measure:
    curriculum, rng = played(make(num_tasks))
    count = max(8, num_tasks // 8 // BATCH)

    def play() -> None:
        for _ in range(count):
            curriculum.tell_batch(curriculum.ask_batch(BATCH).tickets, rng.random(BATCH))

    return lambda: cpu_us(play) / (count * BATCH)


def first_pairs(axes: int, num_tasks: int) -> Measure:
    count = 20_000 if num_tasks < LARGE else 4_000

    def measure() -> float:
        curriculum = recommended(num_tasks, axes)
        return cpu_us(pairs, curriculum, np.random.default_rng(0).random(count).tolist()) / count

    return measure


class Trivial(gymnasium.Env[int, int]):
    """Does nothing, and ends each episode after one step."""

    observation_space = action_space = gymnasium.spaces.Discrete(1)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
        return 0, {}

    def step(self, action: int) -> tuple[int, float, bool, bool, dict[str, Any]]:
        return 0, 0.5, True, False, {}


def ignore(env: gymnasium.Env[Any, Any], task: object) -> None:
    """Applies no task to the environment."""


def episodes(env: gymnasium.Env[Any, Any]) -> None:
    for _ in range(NUM_EPISODES):
        env.reset()
        env.step(0)


def wrapper(num_tasks: int) -> Measure:
    curriculum, _ = played(recommended(num_tasks))
    env, bare = CurriculumEnv(Trivial(), curriculum, apply=ignore), Trivial()
    episodes(env)
    return lambda: (cpu_us(episodes, env) - cpu_us(episodes, bare)) / NUM_EPISODES


def refresh(axes: int, num_tasks: int) -> Measure:
    curriculum, rng = played(recommended(num_tasks, axes))
    refresher, tracker = curriculum._refresher, curriculum.tracker  # noqa: SLF001  no call does only this

    def measure() -> float:
        batches(curriculum, max(1, num_tasks // 16 // BATCH), rng)
        return cpu_us(refresher.probabilities, tracker.snapshot())

    return measure


def call_of(make: Callable[[int], Curriculum[Any]], name: str, num_tasks: int) -> Measure:
    curriculum, _ = played(make(num_tasks))
    return lambda: cpu_us(getattr(curriculum, name))


def create(num_tasks: int) -> Measure:
    return lambda: cpu_us(recommended, num_tasks)


def save(num_tasks: int) -> Measure:
    folder = tempfile.TemporaryDirectory()
    curriculum, _ = played(recommended(num_tasks))
    return lambda: cpu_us(curriculum.save, Path(folder.name) / "pool")


def load(num_tasks: int) -> Measure:
    folder = tempfile.TemporaryDirectory()
    played(recommended(num_tasks))[0].save(Path(folder.name) / "pool")
    return lambda: cpu_us(Curriculum.load, Path(folder.name) / "pool")


def miss(num_tasks: int) -> Measure:
    count = 4_096

    def draw(curriculum: Curriculum[int]) -> None:
        for _ in range(count):
            curriculum.get_task()

    return lambda: cpu_us(draw, recommended(num_tasks)) / count


def own_import(_: int) -> Measure:
    fresh_interpreter("curricular")
    return lambda: fresh_interpreter("curricular")[0] - fresh_interpreter(DEPENDENCIES)[0]


DEPENDENCIES = "numpy.random, pydantic.main"
"""Modules that any use of the required dependencies loads; both packages defer most of their imports."""


def fresh_interpreter(module: str) -> tuple[float, float]:
    """Returns CPU time in s and peak resident memory in MB of a new process that imports `module`."""
    code = f"import {module}\n" if module else ""
    code += "import time; print(time.process_time())\n"
    if Path("/proc/self/status").exists():  # on Linux, ru_maxrss starts at the parent's memory at the fork
        code += "print(next(int(l.split()[1]) for l in open('/proc/self/status') if l.startswith('VmHWM')) / 1024)"
    else:
        code += "import resource; print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)"
    # Without compiled modules, an import takes twice as long; the first run writes them.
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, env=env)  # noqa: S603
    cpu, memory = done.stdout.split()[-2:]
    return float(cpu), float(memory)


SHARED = {make: partial(make, use_shared_memory=True) for make in (progress, recommended)}
"""Functions that make the same curricula in shared memory, where they are by default."""

LINES = (
    Line("pair", "µs", partial(warm_pair, progress)),
    Line("pair, shared memory", "µs", partial(warm_pair, SHARED[progress])),
    Line("pair, recommended", "µs", partial(warm_pair, recommended)),
    Line("pair, recommended, shared memory", "µs", partial(warm_pair, SHARED[recommended])),
    Line("batch of 512", "µs", partial(warm_batch, progress)),
    Line("batch of 512, recommended", "µs", partial(warm_batch, recommended)),
    Line("batch of 512, tickets", "µs", partial(warm_arrays, progress)),
    Line("batch of 512, tickets, shared memory", "µs", partial(warm_arrays, SHARED[progress])),
    Line("first pairs, recommended", "µs", partial(first_pairs, 0), (1_000, 10_000, 100_000, LARGE)),
    Line("first pairs, two axes", "µs", partial(first_pairs, 2), (1_000, 10_000)),
    Line("first pairs, three axes", "µs", partial(first_pairs, 3), (1_000, 10_000, 100_000)),
    Line("task not in the cache", "µs", miss, (10_000, 100_000)),
    Line("CurriculumEnv, an episode", "µs", wrapper),
    Line("refresh, recommended", "µs", partial(refresh, 0), (1_000, 10_000, 100_000, LARGE)),
    Line("refresh, two axes", "µs", partial(refresh, 2), (1_000, 10_000, 100_000)),
    Line("refresh, three axes", "µs", partial(refresh, 3), (1_000, 10_000, 100_000)),
    Line("refresh, ten axes", "µs", partial(refresh, 10), (1_000, 10_000)),
    Line("create", "µs", create),
    Line("stats", "µs", partial(call_of, recommended, "stats")),
    Line("stats, shared memory", "µs", partial(call_of, SHARED[recommended], "stats")),
    Line("tasks", "µs", partial(call_of, recommended, "tasks")),
    Line("task_states", "µs", partial(call_of, recommended, "task_states"), SIZES),
    Line("save", "µs", save),
    Line("load", "µs", load),
    Line("import", "s", own_import, (0,)),
)
