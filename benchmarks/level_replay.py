"""Tells how level replay here and in Syllabus differ: the same formula, but other settings, exchanged one by one.

    make bench-level-replay ARGS="--families minigrid-quick --seeds 0 1 2 3 4 5 6 7 8 9"
    make bench-level-replay ARGS="--families learners --settings level-replay traced --seeds 0 2"

Each run is kept in the folder `--out` and not repeated. All runs are in one process, one after another, by seed.
Syllabus takes minutes for a run in the huge pool.
"""

import argparse
import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from choice_peers import known, row
from over_seeds import area, interval
from peers import PeerCurriculum, PeerTeacher, SyllabusReplay, Tasks, TaskSampler

from curricular import Curriculum, PrioritizedLevelReplayConfig
from curricular.algorithms.registry import variants
from curricular.bench.learners import SCENARIOS, play, score_runs
from curricular.bench.run import create_teacher
from curricular.bench.teacher import CurriculumTeacher
from curricular.demo import ppo
from curricular.demo.tasks import QUICK_FAMILY, generator, learnable

SETTINGS = (
    "level-replay",
    "level-replay:temperature=1,stale_task_share=0.1",
    "level-replay:temperature=1,stale_task_share=0.1,ema_timescale=0.1",
    "syllabus-replay",
)
"""An algorithm of this library, or Syllabus' level replay, with settings of its own after a colon."""
LEARNERS = ("chain", "impossible", "noise", "rare-noise", "easy", "reset", "forgetting", "huge-pool")
BASELINES = ("oracle", "uniform")
SYLLABUS = "syllabus-replay"
NUM_STEPS = 100_000
Record = dict[str, Any]


def parse(settings: str) -> tuple[str, dict[str, float]]:
    """Returns name and settings, as of ``level-replay:temperature=0.1``."""
    name, _, overrides = settings.partition(":")
    pairs = (pair.split("=") for pair in overrides.split(",") if pair)
    return name, {key: float(value) for key, value in pairs}


def teach(settings: str, scenario: str, seed: int) -> float:
    """Returns the area that a simulated learner reaches."""
    world, (name, overrides) = SCENARIOS[scenario].build(seed), parse(settings)
    if name in BASELINES:
        return float(play(world, create_teacher(name, world)).auc)
    if name == SYLLABUS:
        return float(play(world, PeerTeacher(SyllabusReplay(known(world), **overrides))).auc)
    return float(play(world, CurriculumTeacher(world, partial(variants()[name], **overrides))).auc)


def train(settings: str, seed: int) -> Record:
    """Trains an agent by PPO on the small MiniGrid family."""
    name, overrides = parse(settings)
    size = len(QUICK_FAMILY)
    curriculum: Any
    if name == SYLLABUS:
        choice = SyllabusReplay(Tasks(size, seed, np.empty((size, 0))), **overrides)
        curriculum = PeerCurriculum(choice, QUICK_FAMILY)
    else:
        config = variants()[name](num_active_tasks=size, seed=seed, use_shared_memory=False, **overrides)
        curriculum = Curriculum(config, generator(QUICK_FAMILY))
    trained = ppo.train(curriculum, learnable(QUICK_FAMILY), seed, ppo.Settings(num_steps=NUM_STEPS))
    points = [point for point in trained if point.evaluation is not None]
    return {
        "steps": [point.step for point in points],
        "success": [point.mean_success for point in points],
        "draws": points[-1].draws,
    }


def jobs(options: argparse.Namespace) -> Iterator[tuple[str, str, int]]:
    """Yields world, settings and seed of each run, by seed."""
    for seed in options.seeds:
        for family in options.families:
            is_learners = family == "learners"
            for world in LEARNERS if is_learners else (family,):
                for settings in (*(BASELINES if is_learners else ()), *options.settings):
                    yield world, settings, seed


def compare_formulas(num_tasks: int = 24, num_rounds: int = 200) -> float:
    """Returns the largest difference of a probability after the same hand-outs, with the same regrets and settings."""
    config = PrioritizedLevelReplayConfig(
        num_active_tasks=num_tasks,
        temperature=0.1,
        stale_task_share=0.1,
        eviction_rate=0.0,
        use_shared_memory=False,
    )
    curriculum = Curriculum(config)
    sampler = TaskSampler(list(range(num_tasks)), num_steps=1)
    rng, largest = np.random.default_rng(0), 0.0
    played = set[int]()
    for _ in range(num_rounds):
        ids = [task.task_id for task in curriculum.ask(8)]
        regrets = rng.random(len(ids))
        curriculum.tell(ids, np.zeros(len(ids)), regrets=regrets)
        for task_id, regret in zip(ids, regrets.tolist(), strict=True):
            sampler._update_staleness(task_id)  # noqa: SLF001  what its `sample` calls
            sampler.update_task_score(0, task_id, regret, regret, 1)
        played.update(ids)
        if len(played) == num_tasks:
            largest = max(largest, float(np.abs(curriculum.probabilities() - sampler.sample_weights()).max()))
    return largest


# ── The tables ───────────────────────────────────────────────────────────────────────────────────


def show_learners(runs: Mapping[tuple[str, str], Sequence[float]], names: Sequence[str], seeds: Sequence[int]) -> None:
    oracle, uniform = ([runs[world, name] for world in LEARNERS] for name in BASELINES)
    scores = score_runs([[runs[world, name] for world in LEARNERS] for name in names], uniform, oracle)
    print(f"\nSimulated learners: 0 is uniform, 1 is the oracle; seeds {', '.join(map(str, seeds))}\n")
    row("settings", *LEARNERS, "mean", "worst")
    row(*["---"] * (len(LEARNERS) + 3))
    for index, name in enumerate(names):
        summaries = (
            f"{of.estimate[index]:.2f} ({of.low[index]:.2f} to {of.high[index]:.2f})"
            for of in (scores.mean, scores.worst)
        )
        row(name, *(f"{estimate:.2f}" for estimate in scores.by_scenario.estimate[index]), *summaries)


def show_agents(runs: Sequence[Sequence[Record]], names: Sequence[str], seeds: Sequence[int]) -> None:
    wanted = {level.name for level in learnable(QUICK_FAMILY)}
    print(f"\nSmall MiniGrid family, PPO, {NUM_STEPS:,} steps, seeds {', '.join(map(str, seeds))}\n")
    row("settings", "final success", "of each seed", "area", "draws of levels that can be learned")
    row(*["---"] * 5)
    for name, of_name in zip(names, runs, strict=True):
        final = [run["success"][-1] for run in of_name]
        areas = [area(run["steps"], run["success"]) for run in of_name]
        draws = [
            sum(count for level, count in run["draws"].items() if level in wanted) / sum(run["draws"].values())
            for run in of_name
        ]
        row(name, interval(final), " ".join(f"{x:.2f}" for x in final), interval(areas), f"{np.mean(draws):.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    families = ("learners", "minigrid-quick")
    parser.add_argument("--families", nargs="+", choices=families, default=list(families))
    parser.add_argument("--settings", nargs="+", default=list(SETTINGS), help="name, with settings after a colon")
    parser.add_argument("--seeds", nargs="+", type=int, default=list(range(5)), help="seeds of the runs")
    parser.add_argument("--out", type=Path, default=Path("curricular-level-replay"), help="folder that keeps the runs")
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # Syllabus warns of high success rates
    options.out.mkdir(parents=True, exist_ok=True)
    runs: dict[tuple[str, str], list[Any]] = {}
    for world, settings, seed in jobs(options):
        path = options.out / f"{world}-{settings}-{seed}.json"
        if not path.exists():
            record = teach(settings, world, seed) if world in SCENARIOS else train(settings, seed)
            path.write_text(json.dumps(record), encoding="utf-8")
        runs.setdefault((world, settings), []).append(json.loads(path.read_text(encoding="utf-8")))
    print(f"Largest difference from Syllabus' distribution, same regrets and settings: {compare_formulas():.0e}")
    if "learners" in options.families:
        show_learners(runs, options.settings, options.seeds)
    if "minigrid-quick" in options.families:
        show_agents([runs["minigrid-quick", name] for name in options.settings], options.settings, options.seeds)


if __name__ == "__main__":
    main()
