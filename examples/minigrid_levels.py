"""PPO on MiniGrid, from the pieces of `curricular demo`: a curriculum over some levels, of which most are useless.

    python examples/minigrid_levels.py
    python examples/minigrid_levels.py --steps 520000 --family full

The agent and the training, to be copied, are in src/curricular/demo/ppo.py; the levels in src/curricular/demo/tasks.py.
"""

import argparse

import torch

from curricular import Curriculum, NoiseAwareConfig
from curricular.demo.ppo import Settings, train
from curricular.demo.tasks import FAMILY, QUICK_FAMILY, generator, learnable


def main() -> None:
    parser = argparse.ArgumentParser(description="PPO on MiniGrid levels that a curriculum chooses.")
    parser.add_argument("--family", choices=("quick", "full"), default="quick", help="24 levels, or the demo's 40")
    parser.add_argument("--steps", type=int, default=60_000, help="environment steps")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)  # a small network: more threads only wait for each other

    levels = FAMILY if options.family == "full" else QUICK_FAMILY
    goals = learnable(levels)
    config = NoiseAwareConfig.recommended(num_active_tasks=len(levels), seed=options.seed, use_shared_memory=False)
    print(f"success on the {len(goals)} levels that can be learned, and their share of the episodes so far\n")
    print(f"{'steps':>9}" + "".join(f"{level.name:>12}" for level in goals) + f"{'episodes':>12}")
    with Curriculum(config, generator(levels)) as curriculum:
        settings = Settings(num_steps=options.steps, num_evaluations=6, final_episodes=10)
        for point in train(curriculum, goals, options.seed, settings):
            if point.evaluation is not None:
                learnable_draws = sum(point.draws.get(level.name, 0) for level in goals)
                shares = [*point.evaluation.values(), learnable_draws / sum(point.draws.values())]
                print(f"{point.step:>9,}" + "".join(f"{share:>12.0%}" for share in shares), flush=True)


if __name__ == "__main__":
    main()
