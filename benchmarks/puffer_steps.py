"""CPU time that `CurriculumEnv` adds to a step of a native environment of PufferLib that does nothing."""

import argparse
import statistics
import time

import gymnasium
import numpy as np
import pufferlib

from curricular import Curriculum, UniformConfig
from curricular.wrappers.puffer import CurriculumEnv

SHAPES = [(1, 1), (1, 4), (1, 24), (64, 1), (256, 4)]


class Idle(pufferlib.PufferEnv):
    """Ends all episodes together, after `length` steps."""

    def __init__(self, num_agents: int, length: int) -> None:
        self.single_observation_space = gymnasium.spaces.Box(-1, 1, (1,), np.float32)
        self.single_action_space = gymnasium.spaces.Discrete(10)
        self.num_agents = num_agents
        super().__init__()
        self.length, self.clock = length, 0

    def reset(self, seed: int | None = None) -> tuple:
        self.clock = 0
        return self.observations, []

    def step(self, actions: np.ndarray) -> tuple:
        self.clock += 1
        if self.clock % self.length < 2:
            self.terminals[:] = self.clock % self.length == 0
        return self.observations, self.rewards, self.terminals, self.truncations, []

    def close(self) -> None:
        pass


def microseconds(env: pufferlib.PufferEnv, num_steps: int) -> float:
    actions = np.zeros(env.num_agents, np.int64)
    start = time.process_time()
    for _ in range(num_steps):
        env.step(actions)
    return (time.process_time() - start) / num_steps * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--length", type=int, default=1000, help="steps of an episode")
    parser.add_argument("--repeats", type=int, default=9, help="measurements, of which the median is printed")
    args = parser.parse_args()
    print("environments x agents: us a step added between ends, and with ends")
    for num_envs, size in SHAPES:
        config = UniformConfig(num_active_tasks=4, use_shared_memory=False)
        plain, inner = Idle(num_envs * size, args.length), Idle(num_envs * size, args.length)
        curriculum = Curriculum(config, range(4))
        env = CurriculumEnv(
            inner, curriculum, apply=lambda *_: None, autoreset="next_step", agents_per_env=size, stats_interval=None
        )
        plain.reset()
        env.reset()
        turns = []
        for _ in range(args.repeats):
            between, whole = [], []
            for subject in (plain, env):
                microseconds(subject, 1)
                between.append(microseconds(subject, args.length - 2))
                microseconds(subject, 1)  # the end
                whole.append(microseconds(subject, 2 * args.length))
            turns.append((between[1] - between[0], whole[1] - whole[0]))
        added = [statistics.median(column) for column in zip(*turns, strict=True)]
        print(f"{num_envs:>4} x {size:<3} {added[0]:>8.2f} {added[1]:>8.2f}")


if __name__ == "__main__":
    main()
