"""PPO of RLlib on FrozenLake 8x8: the curriculum chooses how far from the goal an episode starts.

    python examples/rllib_ppo.py
    python examples/rllib_ppo.py --iterations 2 --runners 2 --envs 4

The environments of all runners share the curriculum; those of the evaluation are not wrapped.
"""

import argparse
import logging

import gymnasium as gym
import numpy as np
import ray
from gymnasium.spaces import Box
from ray.rllib.algorithms.ppo import PPOConfig
from ray.tune.registry import register_env

from curricular import Curriculum, Task, bucketed
from curricular.trainers.rllib import CurriculumCallback
from curricular.wrappers.gymnasium import CurriculumEnv

STARTS = [62, 55, 39, 23, 7, 0]  # from next to the goal (63), up the right edge and along the top


def make_lake() -> gym.Env:
    lake = gym.make("FrozenLake-v1", map_name="8x8", is_slippery=False)
    return gym.wrappers.TransformObservation(lake, np.eye(64, dtype=np.float32).__getitem__, Box(0, 1, (64,)))


def apply(env: gym.Env, task: Task) -> None:
    """Sets the start of the next episode to the task's start."""
    env.unwrapped.initial_state_distrib = np.eye(64)[task.config["start"]]


def main() -> None:
    parser = argparse.ArgumentParser(description="Trains PPO of RLlib with a curriculum of starts.")
    parser.add_argument("--iterations", type=int, default=10)
    parser.add_argument("--runners", type=int, default=2, help="processes that play")
    parser.add_argument("--envs", type=int, default=4, help="environments of each")
    options = parser.parse_args()

    ray.init(num_cpus=options.runners + 2, include_dashboard=False, logging_level=logging.ERROR)
    curriculum = Curriculum(bucketed({"start": 0}, {"start": STARTS}))
    register_env("lake", lambda _: CurriculumEnv(make_lake(), curriculum, apply=apply))
    register_env("plain-lake", lambda _: make_lake())
    config = (
        PPOConfig()
        .environment("lake")
        .env_runners(num_env_runners=options.runners, num_envs_per_env_runner=options.envs)
        .training(train_batch_size_per_learner=1024, minibatch_size=256, num_epochs=4, lr=1e-3)
        .evaluation(
            evaluation_interval=options.iterations,
            evaluation_duration=5,
            evaluation_config=PPOConfig.overrides(env="plain-lake"),
        )
        .callbacks(on_train_result=CurriculumCallback(curriculum))
    )
    algorithm = config.build_algo()
    for _ in range(options.iterations):
        result = algorithm.train()
        stats = result["curriculum"]
        print(f"{stats['num_completed']:.0f} episodes, mean score {stats.get('score/mean', 0):.2f}")
    print(f"evaluation: return {result['evaluation']['env_runners']['episode_return_mean']:.2f} from the usual start")
    algorithm.stop()
    ray.shutdown()
    curriculum.close()


if __name__ == "__main__":
    main()
