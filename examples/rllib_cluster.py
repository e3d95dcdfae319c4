"""PPO of RLlib on two nodes of a Ray cluster: a runner on each, and one curriculum for both.

    python examples/rllib_cluster.py
    python examples/rllib_cluster.py --address auto --directory /shared/lake

Without an address, it starts two nodes on this machine. With a directory, which all nodes have to share, the next run
resumes the curriculum of this one.
"""

import argparse
import logging
from typing import Any

import gymnasium as gym
import numpy as np
import ray
from gymnasium.spaces import Box
from ray.cluster_utils import Cluster
from ray.rllib.algorithms.ppo import PPOConfig
from ray.tune.registry import register_env

from curricular import LearningProgressConfig, Task, bucketed
from curricular.ray import join, remove
from curricular.trainers.rllib import CurriculumCallback
from curricular.wrappers.gymnasium import CurriculumEnv

STARTS = [62, 55, 39, 23, 7, 0]  # from next to the goal (63), up the right edge and along the top


def make_lake() -> gym.Env:
    lake = gym.make("FrozenLake-v1", map_name="8x8", is_slippery=False)
    return gym.wrappers.TransformObservation(lake, np.eye(64, dtype=np.float32).__getitem__, Box(0, 1, (64,)))


def apply(env: gym.Env, task: Task) -> None:
    """Sets the start of the next episode to the task's start."""
    env.unwrapped.initial_state_distrib = np.eye(64)[task.config["start"]]


def start_nodes() -> Cluster:
    """Starts two nodes on this machine, with a processor each, so that each gets a runner."""
    node = {"num_cpus": 1, "object_store_memory": 100 * 2**20}
    cluster = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
    cluster.add_node(**node)
    cluster.wait_for_nodes()
    return cluster


def node_of(_: Any) -> str:
    return ray.get_runtime_context().get_node_id()


def main() -> None:
    parser = argparse.ArgumentParser(description="Trains PPO of RLlib on a cluster with a curriculum of starts.")
    parser.add_argument("--iterations", type=int, default=10)
    parser.add_argument("--address", help="of a cluster that runs")
    parser.add_argument("--directory", help="where the curriculum is kept, on a file system that all nodes share")
    options = parser.parse_args()

    cluster = None if options.address else start_nodes()
    ray.init(address=options.address or cluster.address, logging_level=logging.ERROR)
    config = LearningProgressConfig.stable(num_active_tasks=len(STARTS))
    curriculum = join("lake", config, bucketed({"start": 0}, {"start": STARTS}), directory=options.directory)
    # The environment of each runner gets a copy of the curriculum, which joins on the runner's node.
    register_env("lake", lambda _: CurriculumEnv(make_lake(), curriculum, apply=apply))
    settings = (
        PPOConfig()
        .environment("lake")
        .env_runners(num_env_runners=2, num_envs_per_env_runner=4)
        .training(train_batch_size_per_learner=1024, minibatch_size=256, num_epochs=4, lr=1e-3)
        .callbacks(on_train_result=CurriculumCallback(curriculum))
    )
    algorithm = settings.build_algo()
    num_nodes = len(set(algorithm.env_runner_group.foreach_env_runner(node_of, local_env_runner=False)))
    for _ in range(options.iterations):
        stats = algorithm.train()["curriculum"]
        score = stats.get("score/mean", 0)
        print(f"{stats['num_completed']:.0f} episodes on {num_nodes} nodes, mean score {score:.2f}")
    algorithm.stop()
    curriculum.close()
    remove("lake")
    ray.shutdown()
    if cluster:
        cluster.shutdown()


if __name__ == "__main__":
    main()
