"""Measures the gain from proposing new tasks where the axes show progress, with a pool smaller than the world.

python benchmarks/proposals.py
python benchmarks/proposals.py --pools 256 500 2000 --shares 0 0.5 0.9 --seeds 1 3 5 7
"""

import argparse
from functools import partial

import numpy as np

from curricular import NoiseAwareConfig
from curricular.bench.learners import SCENARIOS, play
from curricular.bench.teacher import CurriculumTeacher


def recommended(pool: int, share: float, **settings: int) -> NoiseAwareConfig:
    return NoiseAwareConfig.recommended(**settings | {"num_active_tasks": pool}, proposal_share=share)


def auc(pool: int, share: float, seed: int, variation: int) -> float:
    """Returns the mean competence over the run."""
    world = SCENARIOS["axes"].build(seed, variation=variation)
    return play(world, CurriculumTeacher(world, partial(recommended, pool, share))).auc


def main() -> None:
    parser = argparse.ArgumentParser(description="Measures mean competence in the scenario axes, by proposal_share.")
    parser.add_argument(
        "--pools", type=int, nargs="+", default=[500, 2000], metavar="N", help="numbers of active tasks"
    )
    parser.add_argument("--shares", type=float, nargs="+", default=[0.0, 0.5], help="values of proposal_share")
    parser.add_argument(
        "--seeds",
        type=int,
        nargs="+",
        default=list(range(0, 16, 2)),
        metavar="N",
        help="seeds of the worlds; settings were chosen on odd seeds",
    )
    parser.add_argument(
        "--variation", type=int, default=0, metavar="N", help="variation of the scenario; 0: the definition"
    )
    options = parser.parse_args()
    print(
        "mean competence; difference from the first share, with a bootstrap 95 % interval over the seeds", options.seeds
    )
    for pool in options.pools:
        aucs = {
            share: np.array([auc(pool, share, seed, options.variation) for seed in options.seeds])
            for share in options.shares
        }
        first = aucs[options.shares[0]]
        picks = np.random.default_rng(0).integers(len(first), size=(4000, len(first)))
        for share, values in aucs.items():
            low, high = np.percentile((values - first)[picks].mean(axis=1), [2.5, 97.5])
            print(
                f"pool {pool:6,}  proposal_share {share:.2f}: {values.mean():.3f}, "
                f"{(values - first).mean():+.3f} ({low:+.3f} to {high:+.3f})",
                flush=True,
            )


if __name__ == "__main__":
    main()
