"""The bench's run: plays every algorithm in every world, on all processors."""

import platform
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from .. import Cost
from .algorithms import COST_SUFFIX, FactoryError, find
from .figures import ORACLE, Figures, Outcome
from .learners import SCENARIOS, Oracle, Teacher, World, play
from .plan import Job, Plan, count_processes
from .report import write_json, write_pngs
from .tables import print_table, write_markdown
from .teacher import CurriculumTeacher, PromptTeacher


def play_job(job: Job) -> Outcome:
    """Plays one run and returns its outcome, which is the same in any process."""
    world = SCENARIOS[job.scenario].build(job.seed, speed=job.speed, variation=job.variation)
    run = play(world, create_teacher(job.algorithm, world))
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
        late_shares=dict(run.late_shares),
        top_shares=dict(run.top_shares),
    )


def create_teacher(algorithm: str, world: World) -> Teacher:
    """Returns the oracle, or a curriculum with `algorithm`, for one run in `world`.

    Raises:
        FactoryError: If the factory of the algorithm does not fit.
    """
    if algorithm == ORACLE:
        return Oracle(world)
    name, costs = algorithm.removesuffix(COST_SUFFIX), world.pool.costs
    modifiers = [] if name == algorithm or costs is None else [Cost(costs.tolist())]
    teacher = PromptTeacher if world.pool.is_distinct else CurriculumTeacher
    try:
        return teacher(world, find(name), *modifiers)
    except (TypeError, ValueError) as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise FactoryError(
            f"algorithms: expected a function of num_active_tasks, seed and use_shared_memory that returns a config "
            f"for {world.pool.num_tasks} tasks, or a config and an algorithm, got {name!r} ({reason}); correct the "
            f"function"
        ) from error


def measure(plan: Plan, console: Console, *, num_processes: int | None = None) -> Figures:
    """Plays all runs of `plan` and returns their figures.

    Args:
        plan: The runs.
        console: Where the progress bar is shown.
        num_processes: Number of runs at a time, >= 1. None: one per processor.

    Raises:
        ValueError: If `num_processes` is below 1.
    """
    num_processes = count_processes(num_processes)
    start = time.perf_counter()
    jobs = plan.jobs
    columns = (TextColumn("teaching"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        bar = progress.add_task("", total=len(jobs))
        outcomes: dict[int, Outcome] = {}
        cpu_seconds = dict.fromkeys((job.algorithm for job in jobs), 0.0)
        for index, (outcome, seconds) in _run(jobs, num_processes):
            outcomes[index] = outcome
            cpu_seconds[outcome.algorithm] += seconds
            progress.advance(bar)
    return Figures(
        algorithms=list(plan.algorithms),
        worlds=list(plan.worlds),
        seeds=list(plan.seeds),
        versions={"python": platform.python_version()} | {name: version(name) for name in ("curricular", "numpy")},
        wall_seconds=time.perf_counter() - start,
        cpu_seconds=cpu_seconds,
        outcomes=[outcomes[index] for index in range(len(jobs))],
    )


def bench(plan: Plan, out: Path, console: Console, *, num_processes: int | None = None) -> Figures:
    """Plays all runs of `plan`, writes figures and pictures to `out`, and prints the table.

    Args:
        plan: The runs.
        out: Folder to write to; created if missing.
        console: Where the progress bar and the table are shown.
        num_processes: Number of runs at a time, >= 1. None: one per processor.

    Raises:
        ValueError: If `num_processes` is below 1.
    """
    out.mkdir(parents=True, exist_ok=True)
    figures = measure(plan, console, num_processes=num_processes)
    write_json(figures, out)
    write_markdown(figures, out)
    write_pngs(figures, out)
    print_table(figures, console)
    console.print(
        f"{figures.wall_seconds:.0f} s of wall time, {sum(figures.cpu_seconds.values()):.0f} s of CPU time; "
        f"all figures and the pictures are in {out}",
        highlight=False,
    )
    return figures


def _run(jobs: Sequence[Job], num_processes: int) -> Iterator[tuple[int, tuple[Outcome, float]]]:
    """Yields each outcome as soon as it is known, with the index of its job and its CPU time in seconds."""
    if num_processes == 1:
        yield from enumerate(map(_timed, jobs))
        return
    pool = ProcessPoolExecutor(num_processes, mp_context=get_context("spawn"))
    try:
        indices = {pool.submit(_timed, job): index for index, job in enumerate(jobs)}
        for future in as_completed(indices):
            yield indices[future], future.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _timed(job: Job) -> tuple[Outcome, float]:
    start = time.process_time()
    return play_job(job), time.process_time() - start
