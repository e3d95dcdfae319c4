"""One curriculum for a PyTorch trainer on several processes or machines: rank 0 asks and tells, and all ranks play.

    torchrun --nproc-per-node 2 examples/torch_distributed.py

A task is a number of decisions that have to be right one after the other. All ranks share one policy: REINFORCE, with
gradients averaged over the ranks. With ``--checkpoint PATH`` a run that was killed resumes: the tasks that were being
played are handed out first.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import distributed

from curricular import Curriculum

LENGTHS = np.arange(1, 13)
NUM_CHOICES = 4
BATCH = 64


def play(policy: torch.Tensor, lengths: np.ndarray) -> tuple[np.ndarray, torch.Tensor]:
    """Plays one episode per length; returns the scores, 0 or 1, and the loss of REINFORCE."""
    decisions = torch.distributions.Categorical(logits=policy)
    choices = decisions.sample((len(lengths),))
    is_right = (choices == 0).int().cumprod(1).numpy()  # all decisions up to this one are right
    scores = is_right[np.arange(len(lengths)), lengths - 1].astype(float)
    played = torch.as_tensor(np.arange(len(policy)) < lengths[:, None])
    log_probability = (decisions.log_prob(choices) * played).sum(1)
    return scores, -(torch.as_tensor(scores) * log_probability).mean()


def hand_out(lengths: np.ndarray | None) -> np.ndarray:
    """Returns this rank's part of the batch that rank 0 asked for."""
    parts = [None] * distributed.get_world_size()
    if lengths is not None:
        parts = np.array_split(lengths, len(parts))
    mine = [None]
    distributed.scatter_object_list(mine, parts, src=0)
    return mine[0]


def collect(scores: np.ndarray) -> np.ndarray | None:
    """Returns the scores of all ranks, in the order of the batch, at rank 0."""
    parts = [None] * distributed.get_world_size() if distributed.get_rank() == 0 else None
    distributed.gather_object(scores, parts, dst=0)
    return np.concatenate(parts) if parts else None


def save(state: dict[str, Any], path: Path) -> None:
    """Writes the trainer's state so that a kill leaves the old file or the new one."""
    torch.save(state, draft := path.with_suffix(".draft"))
    draft.replace(path)


def main(updates: int, checkpoint: Path | None) -> None:
    distributed.init_process_group("gloo")
    torch.manual_seed(distributed.get_rank())
    policy = torch.zeros(len(LENGTHS), NUM_CHOICES, requires_grad=True)
    optimiser = torch.optim.Adam([policy], lr=0.05)
    curriculum = None
    if distributed.get_rank() == 0:  # the only rank with a curriculum
        resumes = checkpoint is not None and checkpoint.exists()
        curriculum = Curriculum.load(checkpoint, LENGTHS.tolist()) if resumes else Curriculum(LENGTHS.tolist())
    start = 0
    if checkpoint is not None and checkpoint.with_suffix(".pt").exists():
        saved = torch.load(checkpoint.with_suffix(".pt"))
        policy.data, start = saved["policy"], saved["update"]
        optimiser.load_state_dict(saved["optimiser"])

    for update in range(start, updates):
        batch = curriculum.ask_batch(BATCH) if curriculum else None
        if batch and checkpoint and update % 50 == 0:  # the batch is open in it
            curriculum.save(checkpoint)
            state = {"policy": policy.data, "optimiser": optimiser.state_dict(), "update": update}
            save(state, checkpoint.with_suffix(".pt"))
        # In a list, the seed of a task is its index.
        lengths = hand_out(LENGTHS[batch.seeds] if batch else None)
        scores, loss = play(policy, lengths)
        optimiser.zero_grad()
        loss.backward()
        distributed.all_reduce(policy.grad)
        policy.grad /= distributed.get_world_size()
        optimiser.step()
        told = collect(scores)
        if batch:
            curriculum.tell_batch(batch.tickets, told)

    if curriculum:
        stats = curriculum.stats()
        success = policy.softmax(1)[:, 0].cumprod(0)
        print(f"{stats['num_completed']:.0f} episodes on {distributed.get_world_size()} ranks; success by length:")
        print(" ".join(f"{length}: {p:.0%}" for length, p in zip(LENGTHS, success.tolist(), strict=True)))
    distributed.destroy_process_group()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--updates", type=int, default=400)
    parser.add_argument("--checkpoint", type=Path)
    main(**vars(parser.parse_args()))
