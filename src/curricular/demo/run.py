"""The demo's run: trains with every algorithm and every seed, each in a separate process."""

import os
import platform
import signal
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from multiprocessing.resource_tracker import ensure_running
from pathlib import Path

import torch
from rich.console import Console

from .. import CurriculumConfig
from .figures import Figures, Point, Run, Status
from .options import ALGORITHMS, check_options
from .ppo import Settings, train
from .report import read_json, table, write_json, write_png
from .state import SavedTraining
from .tasks import FAMILY, QUICK_FAMILY, Level, learnable
from .views import create_view

QUICK_STEPS = 100_000
"""Number of environment steps per run with `--quick`."""

STATE = "state"
"""Subfolder of the output folder that holds the saved trainings."""

_PACKAGES = ("curricular", "gymnasium", "minigrid", "numpy", "torch")


class RunError(RuntimeError):
    """A training process ended too early."""


@dataclass(frozen=True)
class Job:
    """One training run, which one process executes."""

    algorithm: str
    seed: int
    levels: tuple[Level, ...]
    settings: Settings

    @property
    def name(self) -> str:
        """Algorithm and seed, as a file name."""
        return f"{self.algorithm}-{self.seed}"

    @property
    def config(self) -> CurriculumConfig:
        """The curriculum's configuration, in which all levels are active throughout."""
        return ALGORITHMS[self.algorithm](num_active_tasks=len(self.levels), seed=self.seed, use_shared_memory=False)


def plan(
    algorithms: Sequence[str], num_seeds: int, *, num_steps: int | None = None, is_quick: bool = False
) -> list[Job]:
    """Returns the jobs of a demo, ordered by seed.

    Args:
        algorithms: Names in `ALGORITHMS`.
        num_seeds: Number of runs of each algorithm, with the seeds 0 to `num_seeds` - 1.
        num_steps: Environment steps of each run; None: the default of the level family.
        is_quick: Whether to train on `QUICK_FAMILY` instead of `FAMILY`.

    Raises:
        ValueError: If an algorithm is unknown or named twice, or if a number is below 1.
    """
    check_options(algorithms, num_seeds, num_steps)
    levels, settings = (QUICK_FAMILY, Settings(num_steps=QUICK_STEPS)) if is_quick else (FAMILY, Settings())
    if num_steps is not None:
        settings = replace(settings, num_steps=num_steps)
    return [Job(algorithm, seed, levels, settings) for seed in range(num_seeds) for algorithm in algorithms]


def demo(jobs: Sequence[Job], out: Path, console: Console, *, resumes: bool = False) -> Figures:
    """Runs `jobs`, one process per CPU at a time, and returns their figures.

    The figures are written to `out` after each evaluation and when the demo ends for any reason.

    Args:
        jobs: The training runs.
        out: Folder for the figures, the picture and the saved trainings; created if missing.
        console: Where progress and the table are shown.
        resumes: Whether to continue each training from its last evaluation saved in `out`.

    Raises:
        RunError: If a training process dies.
        ValueError: If `resumes` and `out` holds figures of other jobs.
    """
    out.mkdir(parents=True, exist_ok=True)
    num_processes = min(len(jobs), os.cpu_count() or 1)
    points = _resumed(jobs, out) if resumes else [[] for _ in jobs]
    if resumes and not any(points):
        console.print(f"resume: no run is saved in {out}, so all begin anew", markup=False)
    if not resumes:
        for job in jobs:
            SavedTraining(out / STATE, job.name).forget()
    start = time.perf_counter()

    def figures(status: Status) -> Figures:
        return Figures(
            status=status,
            num_steps=jobs[0].settings.num_updates * jobs[0].settings.batch_size,
            settings=asdict(jobs[0].settings),
            versions={"python": platform.python_version()} | {package: version(package) for package in _PACKAGES},
            num_processes=num_processes,
            wall_seconds=time.perf_counter() - start,
            groups={level.name: level.group for level in jobs[0].levels},
            learnable=[level.name for level in learnable(jobs[0].levels)],
            max_steps={level.name: level.max_steps for level in jobs[0].levels},
            runs=[
                Run(
                    algorithm=job.algorithm,
                    seed=job.seed,
                    curriculum=job.config.model_dump(mode="json"),
                    points=list(reached),
                )
                for job, reached in zip(jobs, points, strict=True)
            ],
        )

    status: Status = "failed"
    try:
        with create_view(console, figures("running")) as view:
            for index, point in _run(jobs, out / STATE, num_processes):
                if point.evaluation is not None:
                    points[index].append(point)
                    write_json(figures("running"), out)
                view.show(figures("running"), index, point)
        status = "complete"
    except KeyboardInterrupt:
        status = "interrupted"
        raise
    finally:
        final = figures(status)
        write_json(final, out)
        if any(points):
            write_png(final, out)
    console.print(table(final))
    console.print(f"{final.wall_seconds:.0f} s of wall time", highlight=False)
    console.print(f"report: {out / 'demo.json'}\npicture: {out / 'demo.png'}", highlight=False, markup=False)
    return final


def _resumed(jobs: Sequence[Job], out: Path) -> list[list[Point]]:
    """Returns the points of each job in `out` up to the job's saved state."""
    before = read_json(out)
    if before is None:
        return [[] for _ in jobs]
    wanted = [(job.algorithm, job.seed, job.config.model_dump(mode="json")) for job in jobs]
    found = [(run.algorithm, run.seed, run.curriculum) for run in before.runs]
    if wanted != found or before.settings != asdict(jobs[0].settings):
        raise ValueError(
            f"resume: expected the algorithms, seeds, steps and settings of the figures in {out}, got others; "
            "repeat the options of the first call, or choose another folder"
        )
    states = [SavedTraining(out / STATE, job.name).read() for job in jobs]
    steps = [
        0 if state is None else state["number"] * job.settings.batch_size
        for job, state in zip(jobs, states, strict=True)
    ]
    return [[point for point in run.points if point.step <= step] for run, step in zip(before.runs, steps, strict=True)]


def _run(jobs: Sequence[Job], states: Path, num_processes: int) -> Iterator[tuple[int, Point]]:
    """Yields the points of all jobs as they arrive, each with the index of its job; ends all processes when it ends."""
    context = get_context("spawn")
    ensure_running()  # multiprocessing's helper process; starting it later would unblock interrupts
    waiting = deque(enumerate(jobs))
    running: dict[Connection, tuple[int, SpawnProcess]] = {}
    try:
        while waiting or running:
            while waiting and len(running) < num_processes:
                index, job = waiting.popleft()
                receiver, sender = context.Pipe(duplex=False)
                process = context.Process(
                    target=_work, args=(job, states, sender), name=f"{job.algorithm}, seed {job.seed}"
                )
                with _interrupts_blocked():
                    process.start()
                sender.close()
                running[receiver] = index, process
            ready = set(wait(running))
            for receiver in [receiver for receiver in running if receiver in ready]:
                index, process = running[receiver]
                try:
                    point = receiver.recv()
                except (EOFError, OSError):  # the process closed the pipe, or died while sending a point
                    process.join()
                    if process.exitcode != 0:
                        raise RunError(
                            f"{process.name}: expected the training to end with code 0, got {process.exitcode}; "
                            "see its traceback above, or free memory if there is no traceback"
                        ) from None
                    del running[receiver]
                else:
                    yield index, point
    finally:
        for _, process in running.values():
            process.terminate()
        for _, process in running.values():
            process.join()


@contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Delays Ctrl-C; a process started in this context never receives Ctrl-C and leaves it to its parent."""
    old = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, old)


def _work(job: Job, states: Path, sender: Connection) -> None:
    """Trains in the child process and sends the points until the parent is gone."""
    torch.set_num_threads(1)
    saved = SavedTraining(states, job.name)
    curriculum = saved.curriculum(job.config, job.levels)
    for point in train(curriculum, learnable(job.levels), job.seed, job.settings, saved):
        try:
            sender.send(point)
        except BrokenPipeError:
            return
