"""Compares settings of the reference pipeline on simulated learners and with real agents, on odd seeds.

    python benchmarks/presets.py
    python benchmarks/presets.py --families learners --settings default default:theta=0.2,temperature=1

Each run is kept in the folder `--out` and not repeated. All runs are in one process, one after another, by seed.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch

from curricular import Curriculum, LearningProgressConfig, merge, single_task
from curricular.bench.learners import SCENARIOS, play, score_runs
from curricular.bench.run import create_teacher
from curricular.bench.teacher import CurriculumTeacher
from curricular.demo import ppo
from curricular.demo.tasks import FAMILY, QUICK_FAMILY, generator, learnable

sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))  # this folder has a crafting.py, too
import crafting

PRESETS: Mapping[str, Callable[..., LearningProgressConfig]] = {
    "default": LearningProgressConfig.default,
    "stable": LearningProgressConfig.stable,
    "fast_learning": LearningProgressConfig.fast_learning,
}
SETTINGS = ("default", "default:theta=0.1,temperature=1", "stable")
LEARNERS = ("chain", "impossible", "noise", "rare-noise", "easy", "reset", "forgetting", "huge-pool")
BASELINES = ("oracle", "uniform")
LEVELS = {"minigrid": FAMILY, "minigrid-quick": QUICK_FAMILY}
STEPS = {"learners": 0, "minigrid": 520_000, "minigrid-quick": 100_000, "crafting-50": 250_000, "crafting-90": 250_000}
"""Families of tasks with their environment steps; of the goals of the crafting worlds, 50 and 90 % do not exist."""


def factory(settings: str) -> Callable[..., LearningProgressConfig]:
    """Returns the preset with the overrides, as in ``default:theta=0.1,temperature=1``."""
    preset, _, overrides = settings.partition(":")
    pairs = (pair.split("=") for pair in overrides.split(",") if pair)
    return partial(PRESETS[preset], **{name: float(value) for name, value in pairs})


def play_world(world: str, settings: str, seed: int, num_steps: int) -> float:
    """Returns the area of a simulated learner, or the final success of an agent."""
    if world in SCENARIOS:
        simulated = SCENARIOS[world].build(seed)
        if settings in BASELINES:
            return float(play(simulated, create_teacher(settings, simulated)).auc)
        return float(play(simulated, CurriculumTeacher(simulated, factory(settings))).auc)
    if world in LEVELS:
        levels = LEVELS[world]
        config = factory(settings)(num_active_tasks=len(levels), seed=seed, use_shared_memory=False)
        curriculum = Curriculum(config, generator(levels))
        *_, last = ppo.train(curriculum, learnable(levels), seed, ppo.Settings(num_steps=num_steps))
        return last.mean_success
    goals = round(100 * len(crafting.THINGS) / (100 - int(world.removeprefix("crafting-"))))
    config = factory(settings)(num_active_tasks=goals, seed=seed, use_shared_memory=False)
    *_, point = crafting.train(Curriculum(config, merge([single_task(goal) for goal in range(goals)])), seed, num_steps)
    return float(np.mean(point.success))


def jobs(options: argparse.Namespace) -> Iterator[tuple[str, str, int, int]]:
    """Yields world, settings, seed and number of steps of each run, by seed."""
    for number in range(options.seeds):
        for family in options.families:
            is_learners = family == "learners"
            for world in LEARNERS if is_learners else (family,):
                for settings in (*(BASELINES if is_learners else ()), *options.settings):
                    yield world, settings, 2 * number + 1, options.steps or STEPS[family]


def row(*cells: str) -> None:
    print(f"| {' | '.join(cells)} |")


def head(*cells: str) -> None:
    row(*cells)
    row(*["---"] * len(cells))


def show_learners(runs: Mapping[tuple[str, str], Sequence[float]], names: Sequence[str]) -> None:
    oracle, uniform = ([runs[world, name] for world in LEARNERS] for name in BASELINES)
    scores = score_runs([[runs[world, name] for world in LEARNERS] for name in names], uniform, oracle)
    print(f"\nSimulated learners: 0 is uniform, 1 is the oracle; {len(oracle[0])} odd seeds\n")
    head("settings", *LEARNERS, "mean", "worst")
    for index, name in enumerate(names):
        estimates = [*scores.by_scenario.estimate[index], scores.mean.estimate[index], scores.worst.estimate[index]]
        row(name, *(f"{estimate:.2f}" for estimate in estimates))


def show_agents(runs: Mapping[tuple[str, str], Sequence[float]], names: Sequence[str], family: str) -> None:
    print(f"\n{family}, PPO: mean success at the end\n")
    head("settings", "mean", "of each odd seed")
    for name in names:
        row(name, f"{np.mean(runs[family, name]):.2f}", " ".join(f"{value:.2f}" for value in runs[family, name]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--families", nargs="+", choices=STEPS, default=["learners", "minigrid", "crafting-50", "crafting-90"]
    )
    parser.add_argument("--settings", nargs="+", default=list(SETTINGS), help="presets, with overrides after a colon")
    parser.add_argument("--seeds", type=int, default=3, metavar="N", help="number of runs; their seeds are 1, 3, …")
    parser.add_argument("--steps", type=int, help="environment steps of an agent's run")
    parser.add_argument("--out", type=Path, default=Path("curricular-presets"), help="folder that keeps the runs")
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.out.mkdir(parents=True, exist_ok=True)
    runs: dict[tuple[str, str], list[float]] = {}
    for world, settings, seed, num_steps in jobs(options):
        path = options.out / f"{world}-{settings}-{seed}-{num_steps}.json"
        if not path.exists():
            value = play_world(world, settings, seed, num_steps)
            path.write_text(json.dumps(value), encoding="utf-8")
        runs.setdefault((world, settings), []).append(json.loads(path.read_text(encoding="utf-8")))
    for family in options.families:
        if family == "learners":
            show_learners(runs, options.settings)
        else:
            show_agents(runs, options.settings, family)


if __name__ == "__main__":
    main()
