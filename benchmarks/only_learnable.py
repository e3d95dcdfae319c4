"""Trains the agent of the demo on the levels that can be learned alone, drawn evenly: a choice that knows the answer.

    python benchmarks/only_learnable.py --seeds 12 16

It shows what the agent can learn at all from a seed, in as many environment steps as the demo has. The output is a
Markdown table of the mean success at the end, and of the step at which it first exceeded one half. A run takes 80
seconds.
"""

import argparse

import numpy as np
import torch

from curricular import Curriculum, UniformConfig
from curricular.demo import ppo
from curricular.demo.tasks import FAMILY, generator, learnable

LEARNING = 0.5
"""Mean success that a first level with a door is needed for: three of the ten levels have no door."""


def curve(seed: int) -> list[tuple[int, float]]:
    """Returns step and mean success of each evaluation."""
    levels = learnable(FAMILY)
    config = UniformConfig(num_active_tasks=len(levels), seed=seed, use_shared_memory=False)
    points = ppo.train(Curriculum(config, generator(levels)), levels, seed, ppo.Settings())
    return [(point.step, float(np.mean([*point.evaluation.values()]))) for point in points if point.evaluation]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4])
    options = parser.parse_args()
    torch.set_num_threads(1)
    print("| seed | success at the end | first above one half |\n| --- | --- | --- |")
    for seed in options.seeds:
        evaluations = curve(seed)
        first = next((f"{step:,}" for step, success in evaluations if success > LEARNING), "never")
        print(f"| {seed} | {evaluations[-1][1]:.2f} | {first} |", flush=True)


if __name__ == "__main__":
    main()
