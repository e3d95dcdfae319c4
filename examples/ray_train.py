"""Ray Train with two PyTorch workers on two nodes: each worker asks and tells, and all share one curriculum.

    python examples/ray_train.py
    python examples/ray_train.py --address auto

A task is a number of decisions that have to be right one after the other. The workers share one policy: REINFORCE, with
gradients averaged over the workers. Without an address, it starts two nodes on this machine.
"""

import argparse
import logging
import tempfile

import numpy as np
import ray
import torch
from ray import train
from ray.cluster_utils import Cluster
from ray.train.torch import TorchTrainer
from torch import distributed

from curricular import NoiseAwareConfig
from curricular.ray import join, remove

LENGTHS = list(range(1, 13))
NUM_CHOICES = 4
BATCH = 32  # of each worker


def play(policy: torch.Tensor, lengths: np.ndarray) -> tuple[np.ndarray, torch.Tensor]:
    """Plays one episode per length; returns the scores, 0 or 1, and the loss of REINFORCE."""
    decisions = torch.distributions.Categorical(logits=policy)
    choices = decisions.sample((len(lengths),))
    is_right = (choices == 0).int().cumprod(1).numpy()  # all decisions up to this one are right
    scores = is_right[np.arange(len(lengths)), lengths - 1].astype(float)
    played = torch.as_tensor(np.arange(len(policy)) < lengths[:, None])
    log_probability = (decisions.log_prob(choices) * played).sum(1)
    return scores, -(torch.as_tensor(scores) * log_probability).mean()


def main() -> None:
    parser = argparse.ArgumentParser(description="Trains on a Ray cluster with a curriculum of lengths.")
    parser.add_argument("--updates", type=int, default=200)
    parser.add_argument("--address", help="of a cluster that runs")
    options = parser.parse_args()

    cluster = None
    if not options.address:
        node = {"num_cpus": 2, "object_store_memory": 100 * 2**20}
        cluster = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
        cluster.add_node(**node)
        cluster.wait_for_nodes()
    ray.init(address=options.address or cluster.address, logging_level=logging.ERROR)
    config = NoiseAwareConfig.recommended(num_active_tasks=len(LENGTHS))
    curriculum = join("lengths", config, LENGTHS)

    def work() -> None:
        torch.manual_seed(train.get_context().get_world_rank())
        policy = torch.zeros(len(LENGTHS), NUM_CHOICES, requires_grad=True)
        optimiser = torch.optim.Adam([policy], lr=0.05)
        for _ in range(options.updates):
            batch = curriculum.ask_batch(BATCH)  # of a copy, which joined on the node of this worker
            scores, loss = play(policy, np.array(LENGTHS)[batch.seeds])  # in a list, the seed of a task is its index
            optimiser.zero_grad()
            loss.backward()
            distributed.all_reduce(policy.grad)
            policy.grad /= distributed.get_world_size()
            optimiser.step()
            curriculum.tell_batch(batch.tickets, scores)
        curriculum.flush()
        train.report({"node": ray.get_runtime_context().get_node_id()})

    with tempfile.TemporaryDirectory() as folder:
        workers = train.ScalingConfig(num_workers=2, placement_strategy="STRICT_SPREAD")
        run = train.RunConfig(name="lengths", storage_path=folder)
        TorchTrainer(work, scaling_config=workers, run_config=run).fit()
    tasks = curriculum.tasks()
    print(f"{curriculum.stats()['num_completed']:.0f} episodes of two workers on two nodes; success by length:")
    success = sorted(zip(np.array(LENGTHS)[tasks["seed"]], tasks["success_rate"], strict=True))
    print(" ".join(f"{length}: {rate:.0%}" for length, rate in success))
    curriculum.close()
    remove("lengths")
    ray.shutdown()
    if cluster:
        cluster.shutdown()


if __name__ == "__main__":
    main()
