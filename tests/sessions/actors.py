"""What the processes of other frameworks run, importable by name in a new interpreter."""

import os

import gymnasium
import numpy as np

from curricular import Curriculum
from curricular.wrappers.gymnasium import CurriculumEnv

EPISODE_LENGTH = 3


class TinyEnv(gymnasium.Env):
    """Ends after a few steps; the last reward is one."""

    observation_space = gymnasium.spaces.Box(0, 1, (2,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.left = EPISODE_LENGTH
        return np.zeros(2, np.float32), {}

    def step(self, action):
        self.left -= 1
        return np.zeros(2, np.float32), float(self.left == 0), self.left == 0, False, {}


class DirectEnv(TinyEnv):
    """Talks to the curriculum itself, without a wrapper."""

    def __init__(self, curriculum):
        self.curriculum = curriculum

    def reset(self, *, seed=None, options=None):
        self.task = self.curriculum.get_task()
        return super().reset(seed=seed)

    def step(self, action):
        result = super().step(action)
        if result[2]:
            self.curriculum.update_task_performance(self.task.task_id, float(result[1]))
        return result


def ignore(env, task):
    """The task makes no difference to the environment."""


class MakeEnv:
    """Makes an environment in whatever process it is called in; with a curriculum, or a config to make one from."""

    def __init__(self, curriculum, is_wrapped=True):
        self.curriculum = curriculum
        self.is_wrapped = is_wrapped

    def __call__(self):
        curriculum = self.curriculum if isinstance(self.curriculum, Curriculum) else Curriculum(self.curriculum)
        return CurriculumEnv(TinyEnv(), curriculum, apply=ignore) if self.is_wrapped else DirectEnv(curriculum)


def rank(config):
    """What a rank of `torchrun` does; returns the number of tasks that all ranks together were told about."""
    import torch.distributed  # noqa: PLC0415  slow to import

    torch.distributed.init_process_group("gloo")
    try:
        curriculum = Curriculum(config)
        for _ in range(20):
            curriculum.update_task_performance(curriculum.get_task().task_id, 1.0)
        torch.distributed.barrier()
        completed, num_workers = curriculum.stats()["num_completed"], curriculum.tracker.backend.num_workers
        torch.distributed.barrier()  # a rank that leaves is no worker any more
        line = f"{os.environ['RANK']} {completed} {num_workers}\n"
        print(line, end="", flush=True)  # noqa: T201  in one write, or the ranks' lines mix
    finally:
        torch.distributed.destroy_process_group()
