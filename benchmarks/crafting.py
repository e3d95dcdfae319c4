"""Runs the study of examples/crafting.py: every algorithm at several shares of impossible goals.

    make bench-crafting
    make bench-crafting ARGS="--algorithms uniform learnability --shares 0.9 --seeds 2 --steps 200000"

Finished runs stay in the folder `--out` and are reused while their settings are the same, so algorithms can be added.
"""

import argparse
import hashlib
import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FuncFormatter, PercentFormatter
from numpy.typing import NDArray
from over_seeds import area, estimate
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))  # this folder has a crafting.py, too

from crafting import ALGORITHMS, MAX_STEPS, RECIPES, SIZE, THINGS, Point, Settings, create_curriculum, train

from curricular.demo.report import label_ends, line_name

LEARNED = 0.9
"""Smallest mean success of a run that counts as having learned the chain."""
COLOURS = dict(zip(ALGORITHMS, ("#4d4d4d", "#D55E00", "#0072B2", "#CC79A7", "#009E73"), strict=True))
DASHES = dict(zip(ALGORITHMS, ("--", "-", "-", "-.", ":"), strict=True))
INK, FAINT = "#33302e", "#e4e0da"


@dataclass(frozen=True)
class Job:
    """One run of the study."""

    algorithm: str
    useless: float
    seed: int
    num_steps: int

    def file(self, out: Path) -> Path:
        """Returns the path of the run's figures; its name depends on all settings, but not on the code."""
        with create_curriculum(self.algorithm, self.seed, self.useless) as curriculum:
            config = curriculum.config.model_dump(mode="json")
        world = [{name: asdict(recipe) for name, recipe in RECIPES.items()}, SIZE, MAX_STEPS]
        text = json.dumps([asdict(self), config, world, asdict(Settings())], sort_keys=True)
        key = hashlib.sha256(text.encode()).hexdigest()[:12]
        return out / "runs" / f"{self.algorithm}-{self.useless:g}-{self.seed}-{key}.json"


@dataclass(frozen=True)
class Run:
    """The result of a job."""

    job: Job
    points: list[Point]

    @property
    def steps(self) -> list[int]:
        return [0, *(point.step for point in self.points)]

    @property
    def curve(self) -> list[float]:
        """Mean success over the things at each of `steps`; 0 at the start."""
        return [0.0, *(float(np.mean(point.success)) for point in self.points)]

    @property
    def final(self) -> float:
        return self.curve[-1]

    @property
    def area(self) -> float:
        """Area under the curve, divided by the area of a perfect agent."""
        return area(self.steps[1:], self.curve[1:])

    @property
    def useless_draws(self) -> float:
        num_episodes = self.points[-1].num_episodes
        return sum(num_episodes[len(THINGS) :]) / sum(num_episodes)


def work(job: Job, path: Path) -> None:
    """Trains an agent and writes the figures to `path` in one step."""
    torch.set_num_threads(1)
    with create_curriculum(job.algorithm, job.seed, job.useless) as curriculum:
        points = [asdict(point) for point in train(curriculum, job.seed, job.num_steps)]
        config = curriculum.config.model_dump(mode="json")
    draft = path.with_suffix(".part")
    record = {"job": asdict(job), "curriculum": config, "settings": asdict(Settings()), "points": points}
    draft.write_text(json.dumps(record), encoding="utf-8")
    draft.replace(path)


def read(path: Path) -> Run:
    record = json.loads(path.read_text(encoding="utf-8"))
    return Run(Job(**record["job"]), [Point(**point) for point in record["points"]])


def run(jobs: Sequence[Job], out: Path, console: Console) -> list[Run]:
    """Runs `jobs`, one process per CPU at a time; reads the runs that are in `out` instead of repeating them."""
    (out / "runs").mkdir(parents=True, exist_ok=True)
    paths = {job: job.file(out) for job in jobs}
    missing = [job for job in jobs if not paths[job].exists()]
    columns = (TextColumn("runs"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with (
        Progress(*columns, TextColumn("{task.description}"), console=console) as progress,
        ProcessPoolExecutor(os.cpu_count(), get_context("spawn")) as pool,
    ):
        bar = progress.add_task("", total=len(missing))
        futures = {pool.submit(work, job, paths[job]): job for job in missing}
        for future in as_completed(futures):
            future.result()
            job = futures[future]
            progress.update(bar, advance=1, description=f"last: {job.algorithm}, {job.useless:.0%}, seed {job.seed}")
    return [read(paths[job]) for job in jobs]


# ── The table ────────────────────────────────────────────────────────────────────────────────────


def interval(values: Sequence[float]) -> str:
    """Returns the mean over seeds with its bootstrap 95 % interval."""
    mean, low, high = map(short, estimate(values))
    return f"{mean} ({low}–{high})"


def short(share: float) -> str:
    """Returns a share with two digits and no leading zero."""
    return f"{share:.2f}".removeprefix("0")


def table(useless: float, algorithms: Mapping[str, Sequence[Run]]) -> Table:
    title = f"{useless:.0%} of the goals are impossible"
    result = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    result.add_column("algorithm", min_width=max(len(algorithm) for algorithm in ALGORITHMS))
    for heading in ("final", "of each seed", "area", "learned", "useless"):
        result.add_column(heading, justify="right")
    for algorithm, runs in algorithms.items():
        result.add_row(
            algorithm,
            short(np.mean([run.final for run in runs])),
            " ".join(short(run.final) for run in runs),
            interval([run.area for run in runs]),
            f"{sum(run.final >= LEARNED for run in runs)} of {len(runs)}",
            short(np.mean([run.useless_draws for run in runs])),
        )
    return result


def grouped(runs: Sequence[Run]) -> dict[float, dict[str, list[Run]]]:
    """Groups runs: share of impossible goals -> algorithm -> runs."""
    groups: dict[float, dict[str, list[Run]]] = {}
    for result in runs:
        groups.setdefault(result.job.useless, {}).setdefault(result.job.algorithm, []).append(result)
    return groups


def write_json(runs: Sequence[Run], out: Path) -> None:
    figures = {
        "settings": asdict(Settings()),
        "things": THINGS,
        "runs": [{**asdict(result), "final": result.final, "area": result.area} for result in runs],
    }
    (out / "crafting.json").write_text(json.dumps(figures, indent=1), encoding="utf-8")


# ── The picture ──────────────────────────────────────────────────────────────────────────────────


def write_png(runs: Sequence[Run], out: Path) -> None:
    """Draws success over steps, with one panel per share of impossible goals: thin lines per seed, thick means."""
    groups = grouped(runs)
    layout = ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.1)
    figure = Figure(figsize=(11, 4.2), dpi=160, facecolor="white", layout=layout)
    figure.suptitle("Mean success on the ten things", color=INK, size=14)
    panels = figure.subplots(1, len(groups), sharey=True, squeeze=False)[0]
    for axes, (useless, algorithms) in zip(panels, groups.items(), strict=True):
        axes.set_title(f"{useless:.0%} of the goals are impossible", loc="left", color=INK, size=11)
        axes.set_xlabel("environment steps", color=INK, size=10)
        axes.set_xlim(0, runs[0].steps[-1])
        axes.set_ylim(0, 1)
        axes.yaxis.set_major_formatter(PercentFormatter(1))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda step, _: f"{step / 1000:,.0f}k" if step else "0"))
        axes.tick_params(colors=INK, labelsize=9, length=0)
        axes.spines[:].set_visible(False)
        axes.grid(axis="y", color=FAINT)
        for algorithm, seeds in algorithms.items():
            curves: NDArray[np.float64] = np.array([result.curve for result in seeds])
            if len(seeds) > 1:
                axes.plot(seeds[0].steps, curves.T, color=COLOURS[algorithm], linewidth=0.7, alpha=0.35, clip_on=False)
            axes.plot(
                seeds[0].steps,
                curves.mean(axis=0),
                color=COLOURS[algorithm],
                linewidth=2.5,
                linestyle=DASHES[algorithm],
                clip_on=False,
            )
        if axes is panels[-1]:
            ends = [(line_name(name), float(np.mean([run.final for run in seeds])), COLOURS[name])
                    for name, seeds in algorithms.items()]  # fmt: skip
            label_ends(axes, ends, 0.06)
    figure.savefig(out / "crafting.png")


def main() -> None:
    parser = argparse.ArgumentParser(description="Runs every algorithm at several shares of impossible goals.")
    parser.add_argument(
        "--algorithms",
        nargs="+",
        choices=ALGORITHMS,
        default=list(ALGORITHMS),
        help="names of algorithms; default: all",
    )
    parser.add_argument("--shares", nargs="+", type=float, default=[0.0, 0.5, 0.9], help="shares of impossible goals")
    parser.add_argument(
        "--seeds", type=int, default=5, help="number of runs per algorithm and share; their seeds are 0, 1, 2, …"
    )
    parser.add_argument("--steps", type=int, default=750_000, help="environment steps per run")
    parser.add_argument(
        "--out", type=Path, default=Path("curricular-crafting"), help="folder for the runs, the figures and the picture"
    )
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    # Ordered by seed, so that an interrupted study has all algorithms.
    jobs = [
        Job(algorithm, useless, seed, options.steps)
        for seed in range(options.seeds)
        for useless in options.shares
        for algorithm in options.algorithms
    ]
    console = Console()
    start = time.perf_counter()
    runs = run(jobs, options.out, console)
    write_json(runs, options.out)
    write_png(runs, options.out)
    console.print(
        f"{runs[0].steps[-1]:,} steps per run. Final: mean success on the {len(THINGS)} things at the end, mean over\n"
        "seeds and each seed. Area: area under mean success over steps, with a bootstrap\n95 % interval over seeds. "
        f"Learned: seeds that end at {LEARNED} or above. Useless:\nshare of the episodes with an impossible goal.\n",
        highlight=False,
    )
    for useless, algorithms in grouped(runs).items():
        console.print(table(useless, algorithms))
    seconds = [result.points[-1].cpu_seconds for result in runs]
    console.print(
        f"{np.median(seconds):.0f} s of CPU time per run (median); {time.perf_counter() - start:.0f} s of wall time",
        highlight=False,
    )
    console.print(f"all figures and the picture are in {options.out}", highlight=False)


if __name__ == "__main__":
    main()
