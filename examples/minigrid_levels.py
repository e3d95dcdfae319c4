"""PPO on MiniGrid with the parts of `curricular demo`: a curriculum over levels, most of which are useless.

    python examples/minigrid_levels.py
    python examples/minigrid_levels.py --steps 520000 --family full

To copy the agent and the training, see src/curricular/demo/ppo.py; the levels are in src/curricular/demo/tasks.py.
"""

import argparse

import torch

from curricular import Curriculum, NoiseAwareConfig
from curricular.demo.ppo import Settings, train
from curricular.demo.tasks import FAMILY, QUICK_FAMILY, generator, learnable


def main() -> None:
    parser = argparse.ArgumentParser(description="Trains an agent by PPO on MiniGrid levels that a curriculum chooses.")
    parser.add_argument(
        "--family", choices=("quick", "full"), default="quick", help="quick: 24 levels; full: the 40 levels of the demo"
    )
    parser.add_argument("--steps", type=int, default=60_000, help="environment steps")
    parser.add_argument("--seed", type=int, default=0, help="seed of agent, environments and curriculum")
    options = parser.parse_args()
    torch.set_num_threads(1)  # more threads slow a small network down

    levels = FAMILY if options.family == "full" else QUICK_FAMILY
    goals = learnable(levels)
    config = NoiseAwareConfig.recommended(num_active_tasks=len(levels), seed=options.seed, use_shared_memory=False)
    print(f"success on the {len(goals)} learnable levels, and their share of all episodes so far\n")
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
