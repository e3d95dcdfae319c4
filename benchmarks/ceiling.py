"""Measures how well a choice could do at most that learns which tasks are worth playing only by solving them.

    python benchmarks/ceiling.py
    python benchmarks/ceiling.py --scenarios huge-pool --seeds 10

The *scout* knows the true gain of each task from its first success on, which no curriculum knows. It plays the task of
the largest known gain, or tries the tasks never solved in turn if no known gain is above a threshold. Each scenario has
the threshold that suits it best in hindsight. The output is a Markdown table of normalised scores, beside those of
`noise-aware` in the same worlds: 0 for uniform draws, 1 for the oracle, which knows all gains from the start.
"""

import argparse

import numpy as np
from numpy.typing import NDArray

from curricular.bench.figures import ORACLE, UNIFORM
from curricular.bench.learners import SCENARIOS, SCORED, Interval, Teacher, World, play, score_runs
from curricular.bench.run import create_teacher

CHOICE = "noise-aware"
THRESHOLDS = tuple(10.0 ** (power / 4) for power in range(-28, -15))
"""Gains of mean competence per episode, from 1e-7 to 1e-4."""


class Scout:
    """Plays the task of the largest gain among those solved before, or tries the others in turn.

    Args:
        world: Gives the true gains.
        threshold: Gain below which trying is better.
    """

    def __init__(self, world: World, threshold: float) -> None:
        self._world = world
        self._threshold = threshold
        self._is_solved = np.zeros(world.pool.num_tasks, np.bool_)
        self._turn = np.random.default_rng(world.seed).permutation(world.pool.num_tasks)

    def ask(self, n: int) -> NDArray[np.int64]:
        gains = np.where(self._is_solved, self._world.gains(), 0.0)
        is_new = ~self._is_solved[self._turn]
        if gains.max() > self._threshold or not is_new.any():
            return np.full(n, gains.argmax())
        tried = np.resize(self._turn[is_new][:n], n)
        self._turn = np.concatenate([self._turn[~np.isin(self._turn, tried)], np.unique(tried)])
        return tried

    def tell(self, numbers: NDArray[np.int64], scores: NDArray[np.float64]) -> None:
        self._is_solved[numbers[scores > 0]] = True


def areas(scenario: str, seeds: list[int]) -> dict[str, list[float]]:
    """Returns the area under the learning curve by name of the teacher and by seed; a scout's name is its threshold."""

    def area(seed: int, name: str) -> float:
        world = SCENARIOS[scenario].build(seed)
        return float(play(world, teacher(name, world)).auc)

    def teacher(name: str, world: World) -> Teacher:
        return Scout(world, float(name)) if name[0].isdigit() else create_teacher(name, world)

    names = (UNIFORM, ORACLE, CHOICE, *map(repr, THRESHOLDS))
    return {name: [area(seed, name) for seed in seeds] for name in names}


def cell(interval: Interval, index: int) -> str:
    estimate, low, high = (float(values[index, 0]) for values in (interval.estimate, interval.low, interval.high))
    return f"{estimate:.2f} ({low:.2f} to {high:.2f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenarios", nargs="+", choices=list(SCENARIOS), default=[*SCORED, "mixture"])
    parser.add_argument("--seeds", type=int, default=4, help="number of runs; their seeds are 0, 2, …")
    options = parser.parse_args()
    print(f"| scenario | {CHOICE} | scout | threshold |\n| --- | --- | --- | --- |")
    for scenario in options.scenarios:
        found = areas(scenario, [2 * index for index in range(options.seeds)])
        best = max(map(repr, THRESHOLDS), key=lambda name: np.mean(found[name]))
        runs = np.array([[found[CHOICE]], [found[best]]])
        scores = score_runs(runs, [found[UNIFORM]], [found[ORACLE]]).by_scenario
        print(f"| {scenario} | {cell(scores, 0)} | {cell(scores, 1)} | {float(best):.1g} |", flush=True)


if __name__ == "__main__":
    main()
