"""Measures what the teachers of continuous spaces give a learner whose region of progress moves.

python benchmarks/continuous.py
python benchmarks/continuous.py --seeds 1 3 5 7 --episodes 20000
"""

import argparse
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from curricular import (
    AccelConfig,
    AdrConfig,
    AlpGmmConfig,
    Curriculum,
    CurriculumConfig,
    Interval,
    RiacConfig,
    Span,
    UniformConfig,
    bucketed,
)

Floats = NDArray[np.float64]

SPACE = bucketed({"gap": 0.0, "kind": 0.0}, {"gap": Span(0.0, 1.0), "kind": Span(0.0, 1.0)})
"""Gaps of growing difficulty, in a space whose second axis says whether anything can be learned there."""

BATCH = 32

TEACHERS: dict[str, Callable[..., CurriculumConfig]] = {
    "uniform": lambda **common: UniformConfig(num_active_tasks=512, eviction_rate=1.0, **common),
    "ALP-GMM": AlpGmmConfig,
    "RIAC": RiacConfig,
    "ADR, both axes": lambda **common: AdrConfig(
        num_active_tasks=512,
        intervals=tuple(Interval(axis=axis, start=(0.0, 0.1), step=0.05) for axis in (0, 1)),
        **common,
    ),
    "ADR, the gap": lambda **common: AdrConfig(
        num_active_tasks=512, intervals=(Interval(axis=0, start=(0.0, 0.1), step=0.05),), **common
    ),
    "ACCEL": lambda **common: AccelConfig(num_active_tasks=512, regret="positive_value_loss", **common),
}


class Learner:
    """Solves gaps up to its skill, which grows by practice near it; the skill moves over half of the second axis."""

    def __init__(self, useless: str) -> None:
        self.skill = 0.1
        self.useless = useless

    def rates(self, params: Floats) -> Floats:
        """Returns the success rate of each task, shape (n,)."""
        gap, kind = params.T
        solved = 1.0 / (1.0 + np.exp((gap - self.skill) / 0.04))
        beyond = {"nothing": solved, "impossible": np.zeros_like(gap), "lotteries": np.full_like(gap, 0.5)}
        return np.where(kind < 0.5, solved, beyond[self.useless])

    def practise(self, params: Floats) -> None:
        """Raises the skill by the practice at its edge."""
        p, can_learn = self.rates(params), (params[:, 1] < 0.5) | (self.useless == "nothing")
        self.skill += 0.0006 * float((p * (1.0 - p))[can_learn].sum())


def mean_skill(config: CurriculumConfig, useless: str, num_episodes: int, seed: int) -> float:
    """Returns the skill, at most 1, averaged over the run."""
    curriculum, learner, rng = Curriculum(SPACE, config), Learner(useless), np.random.default_rng(seed)
    skills = []
    for _ in range(num_episodes // BATCH):
        tasks = curriculum.ask(BATCH)
        params = np.array([[task.params["gap"], task.params["kind"]] for task in tasks])
        scores = (rng.random(BATCH) < learner.rates(params)).astype(float)
        learner.practise(params)
        curriculum.tell([task.task_id for task in tasks], scores)
        skills.append(min(1.0, learner.skill))
    return float(np.mean(skills))


def main() -> None:
    parser = argparse.ArgumentParser(description="Mean skill of a learner under teachers of continuous spaces.")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 2, 4, 6], help="settings were chosen on odd seeds")
    parser.add_argument("--episodes", type=int, default=12_800, help="episodes of each run")
    options = parser.parse_args()
    print(f"mean skill over {options.episodes:,} episodes, lowest to highest of the seeds {options.seeds}\n")
    print("| useless in the other half | " + " | ".join(TEACHERS) + " |\n|---" + "|---" * len(TEACHERS) + "|")
    for useless in ("nothing", "impossible", "lotteries"):
        cells = []
        for make in TEACHERS.values():
            runs = [
                mean_skill(make(seed=seed, use_shared_memory=False), useless, options.episodes, seed)
                for seed in options.seeds
            ]
            cells.append(f"{np.mean(runs):.2f} ({min(runs):.2f} to {max(runs):.2f})")
        print(f"| {useless} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
