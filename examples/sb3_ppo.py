"""PPO of Stable-Baselines3 on FrozenLake 8x8: the curriculum chooses how far from the goal an episode starts.

    python examples/sb3_ppo.py
    python examples/sb3_ppo.py --processes spawn
    python examples/sb3_ppo.py --resume checkpoints/rl_model_10000_steps.zip

The callback logs the curriculum and saves it beside the model.
"""

import argparse
from pathlib import Path

import gymnasium as gym
import numpy as np
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv

from curricular import Curriculum, Task, bucketed
from curricular.trainers.sb3 import CurriculumCallback
from curricular.wrappers.gymnasium import CurriculumEnv

STARTS = [62, 55, 39, 23, 7, 0]  # from next to the goal (63), up the right edge and along the top
NUM_ENVS = 4


def apply(env: gym.Env, task: Task) -> None:
    """Sets the start of the next episode to the task's start."""
    env.unwrapped.initial_state_distrib = np.eye(64)[task.config["start"]]


class MakeEnv:
    """Makes an environment, in this process or in a worker. The curriculum travels along and stays shared."""

    def __init__(self, curriculum: Curriculum) -> None:
        self.curriculum = curriculum

    def __call__(self) -> gym.Env:
        lake = gym.make("FrozenLake-v1", map_name="8x8", is_slippery=False)
        return CurriculumEnv(lake, self.curriculum, apply=apply)


def main() -> None:
    parser = argparse.ArgumentParser(description="Trains PPO on FrozenLake with a curriculum of starts.")
    parser.add_argument("--steps", type=int, default=20_000, help="environment steps")
    parser.add_argument("--processes", choices=("none", "fork", "spawn"), default="none", help="how workers start")
    parser.add_argument("--checkpoints", help="folder for checkpoints of model and curriculum, every 2000 steps")
    parser.add_argument("--resume", type=Path, help="a checkpoint of a model, beside that of its curriculum")
    options = parser.parse_args()

    starts = bucketed({"start": 0}, {"start": STARTS})
    curriculum = Curriculum.load(options.resume.with_suffix(".npz"), starts) if options.resume else Curriculum(starts)
    workers = None if options.processes == "none" else {"start_method": options.processes}
    vec_env = make_vec_env(
        MakeEnv(curriculum),
        NUM_ENVS,
        vec_env_cls=SubprocVecEnv if workers else DummyVecEnv,
        vec_env_kwargs=workers,
    )
    save_freq = 2000 // NUM_ENVS if options.checkpoints else None
    callback = CurriculumCallback(curriculum, save_freq, options.checkpoints)

    if options.resume:
        model = PPO.load(options.resume, env=vec_env)
    else:
        model = PPO("MlpPolicy", vec_env, n_steps=128, batch_size=128, learning_rate=1e-3, device="cpu")
    model.learn(options.steps, callback=callback, reset_num_timesteps=not options.resume)
    vec_env.close()

    tasks = curriculum.tasks()
    print(f"{'task':>10}{'episodes':>10}{'success':>9}")
    for label, num, success in zip(tasks["label"], tasks["num_completions"], tasks["success_rate"], strict=True):
        print(f"{label:>10}{num:>10}{success:>9.0%}")
    curriculum.close()


if __name__ == "__main__":
    main()
