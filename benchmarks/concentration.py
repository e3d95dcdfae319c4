"""Prints how far the draws of the recommended algorithm concentrate on single tasks, on tasks with one to four axes.

    python benchmarks/concentration.py
    python benchmarks/concentration.py --seeds 2

A simulated learner has one skill. It solves a task with a probability that falls with the sum of the task's values, and
it learns from each episode in proportion to p(1 − p), so hard and easy tasks teach little. Each batch has 32 tasks.
"""

import argparse
from collections.abc import Mapping
from typing import Any

import numpy as np
from over_seeds import interval

from curricular import Curriculum, NoiseAwareConfig, Span, bucketed

BATCH, NUM_BATCHES = 32, 250
RATE = 0.012
"""Skill that an episode of a task with p = 0.5 gives, times 4."""
AXES = {"distance": Span(0.0, 6.0), "wind": Span(0.0, 2.0), "tolerance": [0.0, 1.0, 2.0], "friction": [0.0, 1.0]}
POOLS = {
    "no axes": [{"distance": x} for x in np.random.default_rng(1).uniform(0.0, 9.0, 256)],
    "1 axis": bucketed({}, {"distance": Span(0.0, 9.0)}),
    "2 axes": bucketed({}, dict(list(AXES.items())[:2])),
    "3 axes": bucketed({}, dict(list(AXES.items())[:3])),
    "4 axes": bucketed({}, AXES),
}
"""Name -> tasks; the pool has 256 of them."""


def run(tasks: Any, settings: Mapping[str, Any], seed: int) -> tuple[float, float, float]:
    """Returns the mean share of the most likely task, the mean of its copies in a batch, and the skill at the end."""
    config = NoiseAwareConfig.recommended(num_active_tasks=256, seed=seed, use_shared_memory=False, **settings)
    rng, skill, shares, copies = np.random.default_rng(seed), 0.0, [], []
    with Curriculum(tasks, config) as curriculum:
        for _ in range(NUM_BATCHES):
            batch = curriculum.ask(BATCH)
            scores = []
            for task in batch:
                success = 1.0 / (1.0 + np.exp(sum(task.config.values()) - skill))
                scores.append(float(rng.random() < success))
                skill += RATE * success * (1.0 - success)
            ids = [task.task_id for task in batch]
            curriculum.tell(ids, scores)
            shares.append(curriculum.probabilities().max())
            copies.append(max(map(ids.count, ids)))
    return float(np.mean(shares)), float(np.mean(copies)), skill


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5, help="number of runs of each line")
    options = parser.parse_args()
    print("| tasks | share of the most likely task | its copies in a batch of 32 | skill at the end |")
    print("|---|---|---|---|")
    for name, tasks in POOLS.items():
        for label, settings in (("", {}), (", `sharing=0`", {"sharing": 0.0})):
            if not label or name not in {"no axes", "1 axis", "2 axes"}:
                runs = zip(*(run(tasks, settings, seed) for seed in range(options.seeds)), strict=True)
                print(f"| {name}{label} | {' | '.join(interval(list(values), 2) for values in runs)} |")


if __name__ == "__main__":
    main()
