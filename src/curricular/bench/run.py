"""The bench's run: every algorithm in every world, over all processors."""

import os
import platform
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from .. import Cost
from .choices import TOLD_COSTS, beside, find
from .figures import ORACLE, UNIFORM, Figures, Outcome
from .learners import SCENARIOS, Oracle, Sampler, World, play
from .report import write_json, write_pngs
from .tables import print_table, write_markdown
from .teacher import Teacher

DEFAULT = ("noise-aware", "learning-progress", "learnability", "thompson", "level-replay")
"""Algorithms of a bench that names none."""


@dataclass(frozen=True)
class Job:
    """One run to come."""

    algorithm: str
    scenario: str
    variation: int
    seed: int
    speed: float


@dataclass(frozen=True)
class Plan:
    """All runs of a bench: `algorithms`, the oracle and algorithms to compare with, in `worlds` with `seeds`."""

    algorithms: tuple[str, ...]
    worlds: tuple[tuple[str, int], ...]
    seeds: tuple[int, ...]
    speed: float

    @property
    def jobs(self) -> list[Job]:
        """World by world."""
        return [
            Job(algorithm, *world, seed, self.speed)
            for world in self.worlds
            for seed in self.seeds
            for algorithm in dict.fromkeys((ORACLE, *self.algorithms, *beside(self.algorithms, world[0])))
        ]


def plan(
    algorithms: Sequence[str] = DEFAULT,
    scenarios: Sequence[str] = tuple(SCENARIOS),
    *,
    num_seeds: int = 10,
    variations: Sequence[int] = (0,),
    speed: float = 1.0,
) -> Plan:
    """The runs of a bench. Uniform and the oracle always take part; seeds are even: settings are chosen on odd ones.

    Raises `ValueError` for an unknown algorithm, scenario or variation, one named twice, or a number below 1.
    """
    for name in algorithms:
        find(name.removesuffix(TOLD_COSTS))
    for name in scenarios:
        if name not in SCENARIOS:
            raise ValueError(
                f"scenarios: expected names out of {', '.join(SCENARIOS)}, got {name!r}; correct or drop it"
            )
    for argument, names in (("algorithms", algorithms), ("scenarios", scenarios), ("variations", variations)):
        if not names or len(set(names)) < len(names):
            raise ValueError(f"{argument}: expected at least one, each once, got {names!r}; correct the list")
    if num_seeds < 1:
        raise ValueError(f"seeds: expected 1 or more, got {num_seeds}; raise it")
    if not speed > 0:
        raise ValueError(f"speed: expected a factor above 0, got {speed}; 1 is the scenarios as defined")
    worlds = [(scenario, variation) for variation in variations for scenario in scenarios]
    for scenario, variation in worlds:
        if not 0 <= variation < len(SCENARIOS[scenario].variations):
            raise ValueError(
                f"variations: expected 0 to {len(SCENARIOS[scenario].variations) - 1}, got {variation}; "
                f"0 is the scenario as defined"
            )
    named = tuple(name for name in algorithms if name not in {UNIFORM, ORACLE})
    return Plan((UNIFORM, *named), tuple(worlds), tuple(range(0, 2 * num_seeds, 2)), speed)


def play_job(job: Job) -> Outcome:
    """The outcome of one run; the same in any process."""
    world = SCENARIOS[job.scenario].build(job.seed, speed=job.speed, variation=job.variation)
    run = play(world, sampler(job.algorithm, world))
    return Outcome(
        algorithm=job.algorithm,
        scenario=job.scenario,
        variation=job.variation,
        seed=job.seed,
        auc=run.auc,
        final=run.final,
        time_to_80=run.time_to_80,
        wasted_share=run.wasted_share,
        effective_tasks=run.effective_tasks,
        num_steps=float(run.times[-1]),
        curve=run.curve.round(4).tolist(),
        draws=dict(zip(run.groups, run.draws.T.tolist(), strict=True)),
    )


def sampler(algorithm: str, world: World) -> Sampler:
    """The oracle, or the curriculum that is `algorithm`, for one run in `world`."""
    if algorithm == ORACLE:
        return Oracle(world)
    name, costs = algorithm.removesuffix(TOLD_COSTS), world.pool.costs
    modifiers = [] if name == algorithm or costs is None else [Cost(costs.tolist())]
    return Teacher(world, find(name), *modifiers)


def measure(wanted: Plan, console: Console, *, num_processes: int | None = None) -> Figures:
    """All figures of `wanted`, with a progress bar on `console`. None: a process for each processor."""
    start = time.perf_counter()
    jobs = wanted.jobs
    columns = (TextColumn("teaching"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        bar = progress.add_task("", total=len(jobs))
        found: dict[int, Outcome] = {}
        cpu_seconds = dict.fromkeys((job.algorithm for job in jobs), 0.0)
        for number, (outcome, seconds) in _run(jobs, num_processes or len(os.sched_getaffinity(0))):
            found[number] = outcome
            cpu_seconds[outcome.algorithm] += seconds
            progress.advance(bar)
    return Figures(
        algorithms=list(wanted.algorithms),
        worlds=list(wanted.worlds),
        seeds=list(wanted.seeds),
        versions={"python": platform.python_version()} | {name: version(name) for name in ("curricular", "numpy")},
        wall_seconds=time.perf_counter() - start,
        cpu_seconds=cpu_seconds,
        outcomes=[found[number] for number in range(len(jobs))],
    )


def bench(wanted: Plan, out: Path, console: Console, *, num_processes: int | None = None) -> Figures:
    """All figures of `wanted`, shown on `console` and left in the folder `out`. None: a process for each processor."""
    out.mkdir(parents=True, exist_ok=True)
    figures = measure(wanted, console, num_processes=num_processes)
    write_json(figures, out)
    write_markdown(figures, out)
    write_pngs(figures, out)
    print_table(figures, console)
    console.print(
        f"{figures.wall_seconds:.0f} s, {sum(figures.cpu_seconds.values()):.0f} s of CPU time; "
        f"all figures and the pictures are in {out}",
        highlight=False,
    )
    return figures


def _run(jobs: Sequence[Job], num_processes: int) -> Iterator[tuple[int, tuple[Outcome, float]]]:
    """The outcomes as they come, each with the number of its job and its seconds of CPU time."""
    if num_processes == 1:
        yield from ((number, _timed(job)) for number, job in enumerate(jobs))
        return
    pool = ProcessPoolExecutor(num_processes, mp_context=get_context("spawn"))
    try:
        futures = {pool.submit(_timed, job): number for number, job in enumerate(jobs)}
        for future in as_completed(futures):
            yield futures[future], future.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _timed(job: Job) -> tuple[Outcome, float]:
    start = time.process_time()
    return play_job(job), time.process_time() - start
