"""What a wrapper costs: environments with a curriculum against the same environments with tasks drawn at random.

    python benchmarks/wrappers.py
    python benchmarks/wrappers.py --repeats 3

Each line is the median over the repeats, with the lowest and the highest; subjects take turns. Time is the CPU time of
the process; with workers, wall time. "us an episode" is the time that the curriculum adds to an episode.
"""

import argparse
import gc
import os
import statistics
import time
from collections.abc import Callable
from typing import NamedTuple

import gymnasium
import minigrid.wrappers
import numpy as np
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from curricular import Curriculum, NoiseAwareConfig, Span, Task, UniformConfig, bucketed
from curricular.config import CurriculumConfig
from curricular.wrappers import gymnasium as single
from curricular.wrappers import gymnasium_vector as several

SIZES = [5, 6, 8, 10, 12, 16]
Loop = Callable[[int], None]


class Random(gymnasium.Wrapper):
    """Draws a task at random for each episode, and changes to its environment."""

    def __init__(self, make: Callable, tasks: list[Task]) -> None:
        self.envs = [make(task) for task in tasks]
        self.rng = np.random.default_rng(0)
        super().__init__(self.envs[0])

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple:
        self.env = self.envs[self.rng.integers(len(self.envs))]
        return self.env.reset(seed=seed, options=options)


class Native(VectorEnv):
    """Steps many environments of NumPy arrays; each restarts in the step after its end."""

    metadata = {"autoreset_mode": AutoresetMode.NEXT_STEP}  # noqa: RUF012  Gymnasium's attribute

    def __init__(self, num_envs: int, length: int) -> None:
        self.num_envs, self.length = num_envs, length
        self.single_observation_space = gymnasium.spaces.Box(-1, 1, (8,))
        self.single_action_space = gymnasium.spaces.Discrete(2)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.goals = np.zeros(num_envs)
        self.rng = np.random.default_rng(0)

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple:
        self.clocks = self.rng.integers(self.length, size=self.num_envs)
        self.over = np.zeros(self.num_envs, np.bool_)
        return np.zeros((self.num_envs, 8), np.float32), {}

    def step(self, actions: np.ndarray) -> tuple:
        self.clocks = np.where(self.over, 0, self.clocks + 1)
        self.over = self.clocks >= self.length
        observations = self.rng.random((self.num_envs, 8), np.float32) + self.goals[:, None].astype(np.float32)
        rewards = np.where(self.over, self.goals, 0.0)
        return observations, rewards, self.over, np.zeros(self.num_envs, np.bool_), {}


class RandomVector(gymnasium.vector.VectorWrapper):
    """Draws a goal at random for each episode."""

    def __init__(self, env: Native, goals: np.ndarray) -> None:
        super().__init__(env)
        self.choices, self.rng = goals, np.random.default_rng(0)

    def step(self, actions: np.ndarray) -> tuple:
        result = self.env.step(actions)
        ended = np.flatnonzero(result[2] | result[3])
        self.env.goals[ended] = self.choices[self.rng.integers(len(self.choices), size=len(ended))]
        return result


class Trivial(gymnasium.Env):
    """Does nothing for some steps."""

    observation_space = gymnasium.spaces.Discrete(1)
    action_space = gymnasium.spaces.Discrete(1)
    task = None

    def __init__(self, length: int) -> None:
        self.length = length

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple:
        super().reset(seed=seed)
        self.clock = 0
        return 0, {}

    def step(self, action: int) -> tuple:
        self.clock += 1
        return 0, 0.5, self.clock >= self.length, False, {}


def loop_of(env: gymnasium.Env) -> Loop:
    """Returns a function that plays a number of steps."""
    env.reset(seed=0)
    env.action_space.seed(0)

    def play(num_steps: int) -> None:
        for _ in range(num_steps):
            *_, is_terminated, is_truncated, _ = env.step(1)
            if is_terminated or is_truncated:
                env.reset()

    return play


def vector_loop_of(envs: VectorEnv) -> Loop:
    envs.reset(seed=0)
    actions = np.zeros(envs.num_envs, np.int64)

    def play(num_steps: int) -> None:
        for _ in range(num_steps):
            envs.step(actions)

    return play


def minigrid_by_size(config: type[CurriculumConfig]) -> tuple[Loop, Loop]:
    def make(task: Task) -> gymnasium.Env:
        size = task.config["size"]
        return minigrid.wrappers.ImgObsWrapper(gymnasium.make("MiniGrid-Empty-5x5-v0", size=size, max_steps=50))

    curriculum = curriculum_of(config, bucketed({"size": 5}, {"size": SIZES}), len(SIZES))
    env = single.CurriculumEnv(make=make, curriculum=curriculum)
    return loop_of(Random(make, curriculum.evaluation_tasks(len(SIZES)))), loop_of(env)


def native(num_envs: int, config: type[CurriculumConfig], stats_interval: int | None = None) -> tuple[Loop, Loop]:
    curriculum = curriculum_of(config, bucketed({"goal": 0.0}, {"goal": Span(0.0, 1.0)}), 256)

    def apply(envs: VectorEnv, tasks: list[Task], indices: list[int]) -> None:
        envs.unwrapped.goals[indices] = [task.config["goal"] for task in tasks]

    goals = np.random.default_rng(0).random(256)
    envs = several.CurriculumEnv(Native(num_envs, 100), curriculum, apply=apply, stats_interval=stats_interval)
    return vector_loop_of(RandomVector(Native(num_envs, 100), goals)), vector_loop_of(envs)


def workers(length: int) -> tuple[Loop, Loop]:
    curriculum = curriculum_of(NoiseAwareConfig, bucketed({"goal": 0.0}, {"goal": Span(0.0, 1.0)}), 256)
    plain = AsyncVectorEnv([lambda: Trivial(length)] * 2)
    envs = AsyncVectorEnv([lambda: Trivial(length)] * 2)
    envs = several.CurriculumEnv(envs, curriculum, apply="task", score=lambda _: 0.5)
    return vector_loop_of(plain), vector_loop_of(envs)


def curriculum_of(config: type[CurriculumConfig], tasks: object, num_tasks: int) -> Curriculum:
    return Curriculum(config(num_active_tasks=num_tasks, use_shared_memory=False), tasks)


class Case(NamedTuple):
    """What is measured."""

    build: Callable[[], tuple[Loop, Loop]]
    """Returns the loops without and with a curriculum."""
    num_calls: int
    """Calls of `step` a repeat."""
    num_envs: int
    length: int
    """Steps of an episode, on average."""
    clock: Callable[[], float] = time.process_time


CASES = {
    "MiniGrid by size, uniform": Case(lambda: minigrid_by_size(UniformConfig), 10_000, 1, 50),
    "MiniGrid by size": Case(lambda: minigrid_by_size(NoiseAwareConfig), 10_000, 1, 50),
    "native, 256 environments": Case(lambda: native(256, NoiseAwareConfig), 1_000, 256, 101),
    "native, 4096, uniform": Case(lambda: native(4096, UniformConfig), 200, 4096, 101),
    "native, 4096": Case(lambda: native(4096, NoiseAwareConfig), 200, 4096, 101),
    "native, 4096, stats": Case(lambda: native(4096, NoiseAwareConfig, 100), 200, 4096, 101),
    "AsyncVectorEnv, 100 steps": Case(lambda: workers(100), 3_000, 2, 101, time.perf_counter),
    "AsyncVectorEnv, 10 steps": Case(lambda: workers(10), 3_000, 2, 11, time.perf_counter),
    "AsyncVectorEnv, 1 step": Case(lambda: workers(1), 3_000, 2, 2, time.perf_counter),
}


def measure(case: Case, num_repeats: int) -> tuple[list[float], list[float]]:
    """Returns the seconds of each repeat, without and with a curriculum."""
    loops, seconds = case.build(), ([], [])
    for loop in loops:
        loop(case.num_calls // 4)
    for _ in range(num_repeats):
        for loop, times in zip(loops, seconds, strict=True):
            gc.collect()
            start = case.clock()
            loop(case.num_calls)
            times.append(case.clock() - start)
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description="Measures what the wrappers cost.")
    parser.add_argument("--repeats", type=int, default=9, help="turns of each subject")
    options = parser.parse_args()
    print(f"load: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores\n")
    print(f"{'':28}{'steps/s without':>18}{'with':>14}{'with / without':>24}{'us an episode':>20}")
    for name, case in CASES.items():
        without, with_ = measure(case, options.repeats)
        num_steps = case.num_calls * case.num_envs
        rates = [num_steps / statistics.median(times) for times in (without, with_)]
        pairs = list(zip(without, with_, strict=True))
        ratios = show([before / after for before, after in pairs], 3)
        added = show([(after - before) / num_steps * case.length * 1e6 for before, after in pairs], 1)
        print(f"{name:28}{rates[0]:>18,.0f}{rates[1]:>14,.0f}{ratios:>24}{added:>20}", flush=True)


def show(values: list[float], digits: int) -> str:
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f}-{max(values):.{digits}f})"


if __name__ == "__main__":
    main()
