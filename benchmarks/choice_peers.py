"""Lets other libraries' own code choose tasks beside this library: the same learners, the same PPO, equal steps.

    make bench-choice-peers
    make bench-choice-peers ARGS="--families learners --seeds 2 --scenarios chain noise"
    make bench-choice-peers ARGS="--teach-my-agent ../TeachMyAgent"      # with ALP-GMM

Each run is kept in the folder `--out` and not repeated, so runs, seeds and choices can be added. All runs are in one
process, one after another, by seed.
"""

import argparse
import json
import platform
import sys
import time
import warnings
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from over_seeds import area, interval
from peers import PEERS, AgentInTraining, AlpGmm, PeerCurriculum, PeerTeacher, Tasks

from curricular import Curriculum, TracedConfig, merge, single_task
from curricular.algorithms.registry import variants
from curricular.bench.learners import SCENARIOS, World, play, score_runs
from curricular.bench.run import create_teacher
from curricular.demo import ppo
from curricular.demo.tasks import FAMILY, QUICK_FAMILY, generator, learnable

sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))  # this folder has a crafting.py, too
import crafting

OURS = ("uniform", "noise-aware", "learning-progress", "learnability", "level-replay", "traced")
CRAFTING = {**crafting.ALGORITHMS, "traced": TracedConfig}
"""Algorithms of this library in the crafting world; level replay and TRACED are told the value loss of the critic."""
USELESS = 0.5
"""Share of the goals of the crafting world that do not exist."""
ORACLE = "oracle"
LEARNERS = ("chain", "impossible", "noise", "rare-noise", "easy", "reset", "forgetting", "mixture", "frontier")
Record = dict[str, Any]


# ── The runs ─────────────────────────────────────────────────────────────────────────────────────


def teach(name: str, scenario: str, seed: int, peers: Mapping[str, Any]) -> Record:
    """Lets a choice teach a simulated learner."""
    world = SCENARIOS[scenario].build(seed)
    start = time.process_time()
    teacher = PeerTeacher(peers[name](known(world))) if name in peers else create_teacher(name, world)
    run = play(world, teacher)
    return {"auc": run.auc, "final": run.final, "cpu_seconds": time.process_time() - start}


def known(world: World) -> Tasks:
    rng, numbers = np.random.default_rng(world.seed), np.arange(world.pool.num_tasks)
    return Tasks(
        world.pool.num_tasks,
        world.seed,
        world.pool.params,
        lambda: (rng.random(numbers.size) < world.success_rates(numbers)).astype(float),
    )


def train(name: str, family: str, seed: int, peers: Mapping[str, Any], num_steps: int) -> Record:
    """Trains an agent by PPO on the tasks of a choice."""
    if family == "crafting":
        goals = round(len(crafting.THINGS) / (1 - USELESS))
        curriculum: Any
        if name in peers:
            curriculum = PeerCurriculum(peers[name](Tasks(goals, seed, np.empty((goals, 0)))), range(goals))
        else:
            config = CRAFTING[name](num_active_tasks=goals, seed=seed, use_shared_memory=False)
            curriculum = Curriculum(config, merge([single_task(goal) for goal in range(goals)]))
        points = [
            (point.step, float(np.mean(point.success)), point.cpu_seconds)
            for point in crafting.train(curriculum, seed, num_steps)
        ]
    else:
        levels = FAMILY if family == "minigrid" else QUICK_FAMILY
        agent = AgentInTraining(levels, seed) if name == "syllabus-learnability" else None
        if name in peers:
            evaluate = None if agent is None else agent.evaluate
            tasks = Tasks(len(levels), seed, np.empty((len(levels), 0)), evaluate)
            curriculum = PeerCurriculum(peers[name](tasks), levels)
        else:
            config = variants()[name](num_active_tasks=len(levels), seed=seed, use_shared_memory=False)
            curriculum = Curriculum(config, generator(levels))
        settings = ppo.Settings(num_steps=num_steps)
        start = time.process_time()  # a point has the seconds of the process, which has had other runs
        points = [
            (point.step, point.mean_success, point.cpu_seconds - start)
            for point in ppo.train(curriculum, learnable(levels), seed, settings, agent)
            if point.evaluation is not None
        ]
    steps, success, seconds = zip(*points, strict=True)
    return {"steps": steps, "success": success, "seconds": seconds, "cpu_seconds": seconds[-1]}


def jobs(options: argparse.Namespace, peers: Sequence[str]) -> Iterator[tuple[str, str, str, int, int]]:
    """Yields family, world, choice, seed and number of steps of each run, by seed; learners have even seeds."""
    steps = {"minigrid": options.steps or 520_000, "minigrid-quick": options.steps or 100_000}
    steps["crafting"] = options.steps or 750_000
    for seed in range(options.seeds):
        for family in options.families:
            for world in options.scenarios if family == "learners" else [family]:
                baselines = (ORACLE, "uniform") if family == "learners" else ()
                for name in dict.fromkeys((*baselines, *options.choices, *peers)):
                    if can_play(name, world):
                        yield family, world, name, seed * (1 + (family == "learners")), steps.get(family, 0)


def can_play(name: str, world: str) -> bool:
    if name == "alp-gmm":
        return world == "axes"  # it needs a space of real numbers
    if name == "syllabus-learnability":
        return world != "crafting"  # that trainer does not hand over its agent
    return world != "crafting" or name in CRAFTING or name in PEERS


# ── The tables ───────────────────────────────────────────────────────────────────────────────────


def row(*cells: str) -> None:
    print(f"| {' | '.join(cells)} |")


def show_learners(records: Mapping[tuple[str, str], Mapping[int, Record]], worlds: Sequence[str]) -> None:
    names = [name for name in dict.fromkeys(name for world, name in records if world in worlds) if name != ORACLE]
    print("\nSimulated learners: 0 is uniform, 1 is the oracle; brackets hold 95 % intervals over seeds\n")
    row("scenario", *names)
    row(*["---"] * (len(names) + 1))
    seconds: defaultdict[str, list[float]] = defaultdict(list)
    num_seeds: defaultdict[str, set[int]] = defaultdict(set)
    for world in worlds:
        cells = dict.fromkeys(names, "–")
        for name in names:
            if seeds := complete(records, world, (ORACLE, "uniform", name)):
                oracle, uniform, aucs = (
                    [[records[world, of][seed]["auc"] for seed in seeds]] for of in (ORACLE, "uniform", name)
                )
                score = score_runs([aucs], uniform, oracle).by_scenario
                cells[name] = f"{score.estimate[0, 0]:.2f} ({score.low[0, 0]:.2f} to {score.high[0, 0]:.2f})"
                seconds[name] += [records[world, name][seed]["cpu_seconds"] for seed in seeds]
                num_seeds[name].add(len(seeds))
        row(world, *cells.values())
    row("seeds", *(" or ".join(map(str, sorted(num_seeds[name]))) for name in names))
    row("CPU seconds of a run, median", *(f"{np.median(seconds[name]):.1f}" for name in names))


def show_agents(records: Mapping[tuple[str, str], Mapping[int, Record]], family: str) -> None:
    names = [name for world, name in records if world == family]
    if not names:
        return
    seeds = complete(records, family, names)
    runs = {name: [records[family, name][seed] for seed in seeds] for name in names}
    shortest = min(run["cpu_seconds"] for of_name in runs.values() for run in of_name)
    print(f"\n{family}, PPO, {runs[names[0]][0]['steps'][-1]:,} steps, seeds {', '.join(map(str, seeds))}\n")
    row("choice", "final success", "of each seed", "area", "CPU seconds", f"success after {shortest:.0f} CPU seconds")
    row(*["---"] * 6)
    for name, of_name in runs.items():
        final = [run["success"][-1] for run in of_name]
        areas = [area(run["steps"], run["success"]) for run in of_name]
        at_time = [float(np.interp(shortest, [0.0, *run["seconds"]], [0.0, *run["success"]])) for run in of_name]
        seconds = np.median([run["cpu_seconds"] for run in of_name])
        row(
            name,
            interval(final),
            " ".join(f"{x:.2f}" for x in final),
            interval(areas),
            f"{seconds:.0f}",
            interval(at_time),
        )


def complete(records: Mapping[tuple[str, str], Mapping[int, Record]], world: str, names: Sequence[str]) -> list[int]:
    """Returns the seeds that every one of `names` has played in `world`."""
    return sorted(set.intersection(*(set(records.get((world, name), ())) for name in names)))


def main() -> None:
    parser = argparse.ArgumentParser(description="Compares choices of tasks: this library's and other libraries' own.")
    parser.add_argument(
        "--families",
        nargs="+",
        choices=("learners", "minigrid", "minigrid-quick", "crafting"),
        default=["learners", "minigrid", "crafting"],
    )
    parser.add_argument("--scenarios", nargs="+", choices=list(SCENARIOS), default=list(LEARNERS))
    parser.add_argument("--choices", nargs="+", default=list(OURS), help="algorithms of this library")
    parser.add_argument("--peers", nargs="*", choices=list(PEERS), default=list(PEERS), help="other libraries' own")
    parser.add_argument("--teach-my-agent", type=Path, help="folder of a checkout of TeachMyAgent, for ALP-GMM")
    parser.add_argument("--seeds", type=int, default=5, help="number of runs of each choice")
    parser.add_argument("--steps", type=int, help="environment steps of an agent's run")
    parser.add_argument("--out", type=Path, default=Path("curricular-peers"), help="folder that keeps the runs")
    parser.add_argument("--finished", action="store_true", help="show the runs in the folder, without further runs")
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # Syllabus warns of high success rates
    peers: dict[str, Any] = {name: PEERS[name] for name in options.peers}
    if options.teach_my_agent is not None:
        peers["alp-gmm"] = partial(AlpGmm, checkout=options.teach_my_agent)
    options.out.mkdir(parents=True, exist_ok=True)
    records: defaultdict[tuple[str, str], dict[int, Record]] = defaultdict(dict)
    for family, world, name, seed, num_steps in jobs(options, list(peers)):
        path = options.out / f"{world}-{name}-{seed}-{num_steps}.json"
        if not path.exists() and options.finished:
            continue
        if not path.exists():
            is_learner = family == "learners"
            record = teach(name, world, seed, peers) if is_learner else train(name, family, seed, peers, num_steps)
            draft = path.with_suffix(".part")
            draft.write_text(json.dumps(record), encoding="utf-8")
            draft.replace(path)
        records[world, name][seed] = json.loads(path.read_text(encoding="utf-8"))
    packages = ("curricular", "numpy", "torch", "minigrid", "Syllabus-RL")
    print("make bench-choice-peers", f'ARGS="{" ".join(sys.argv[1:])}"' if sys.argv[1:] else "")
    print(f"Python {platform.python_version()}, " + ", ".join(f"{name} {version(name)}" for name in packages))
    if "learners" in options.families:
        show_learners(records, options.scenarios)
    for family in options.families:
        show_agents(records, family)


if __name__ == "__main__":
    main()
