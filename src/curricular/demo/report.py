"""The results of a demo: a table, a file with all figures, and a picture."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FuncFormatter, PercentFormatter
from rich.box import SIMPLE_HEAD
from rich.table import Table

from .figures import SOLVED, Figures, Run

_ALGORITHM_COLOURS = ("#a39a92", "#d1495b", "#2a6f97", "#e0a030", "#5b8e7d", "#7d5ba6")
_INK, _FAINT = "#33302e", "#e4e0da"


def write_json(figures: Figures, out: Path) -> Path:
    """Writes `figures` into the folder `out` in one step, and returns the path of the file."""
    path = out / "demo.json"
    draft = path.with_suffix(".part")
    draft.write_text(figures.model_dump_json(indent=1), encoding="utf-8")
    return draft.replace(path)


def read_json(out: Path) -> Figures | None:
    """Reads the figures in the folder `out`; returns None if the file does not exist.

    Raises:
        ValueError: If the file has another version or a wrong content.
    """
    path = out / "demo.json"
    return Figures.model_validate_json(path.read_text(encoding="utf-8")) if path.exists() else None


def table(figures: Figures) -> Table:
    """Returns the table of results: one column per algorithm with medians over seeds, and ranges in brackets."""
    goals = list(dict.fromkeys(figures.groups[level] for level in figures.learnable))
    useless = [group for group in figures.colours if group not in goals]
    algorithms = _evaluated(figures)
    result = Table(f"success after {figures.num_steps:,} steps", *algorithms, box=SIMPLE_HEAD, pad_edge=False)

    def add_row(heading: str, cell: Callable[[list[Run]], str], style: str = "") -> None:
        result.add_row(heading, *(cell(runs) for runs in algorithms.values()), style=style)

    def add_group(group: str) -> None:
        add_row(f"on {group}", lambda runs: _spread([run.group_success(figures.groups)[group] for run in runs]))

    def add_draws(group: str) -> None:
        add_row(f"draws {group}", lambda runs: _spread([run.total_draw_shares(figures.groups)[group] for run in runs]))

    add_row("mean", lambda runs: _spread([run.final_success for run in runs]), style="bold")
    for group in goals:
        add_group(group)
    add_row(f"seeds that end at {SOLVED} or above", lambda runs: f"{sum(run.is_solved for run in runs)} of {len(runs)}")
    add_row(f"steps to {SOLVED}", _steps_to_solved)
    for group in useless:
        add_draws(group)
    add_row("CPU seconds of a run", lambda runs: f"{median(run.points[-1].cpu_seconds for run in runs):.0f}")
    return result


def _evaluated(figures: Figures) -> dict[str, list[Run]]:
    """Returns, by algorithm, the runs that have a point; leaves out algorithms without such a run."""
    algorithms = {
        algorithm: [figures.runs[index] for index in indices] for algorithm, indices in figures.algorithms.items()
    }
    evaluated = {algorithm: [run for run in runs if run.points] for algorithm, runs in algorithms.items()}
    return {algorithm: runs for algorithm, runs in evaluated.items() if runs}


def _spread(values: Sequence[float]) -> str:
    middle = f"{median(values):.2f}"
    return middle if len(values) == 1 else f"{middle} ({min(values):.2f} to {max(values):.2f})"


def _steps_to_solved(runs: Sequence[Run]) -> str:
    steps = [run.steps_to_solved for run in runs if run.steps_to_solved is not None]
    return f"{median(steps):,.0f}" if steps else "never"


# ── The picture ──────────────────────────────────────────────────────────────────────────────────


def write_png(figures: Figures, out: Path) -> Path:
    """Writes the picture into the folder `out`: success over steps, and each algorithm's draws by group.

    Curves end at the last point that all runs of an algorithm have reached.

    Returns:
        The path of the picture.
    """
    algorithms = _evaluated(figures)
    layout = ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.1)
    figure = Figure(figsize=(11, 4.8), dpi=160, facecolor="white", layout=layout)
    figure.suptitle("The same agent, the same number of steps: only the choice of tasks differs", color=_INK, size=14)
    grid = figure.add_gridspec(len(algorithms), 2, width_ratios=(1.3, 1))
    success = figure.add_subplot(grid[:, 0])
    draws = [figure.add_subplot(grid[row, 1]) for row in range(len(algorithms))]
    for axes in (success, *draws):
        axes.set_xlim(0, figures.num_steps)
        axes.set_ylim(0, 1)
        axes.set_yticks([0, 0.25, 0.5, 0.75, 1] if axes is success else [0, 0.5, 1])
        axes.yaxis.set_major_formatter(PercentFormatter(1))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda step, _: f"{step / 1000:,.0f}k" if step else "0"))
        axes.tick_params(colors=_INK, labelsize=9, length=0)
        axes.spines[:].set_visible(False)
    for axes in (success, draws[-1]):
        axes.set_xlabel("environment steps", color=_INK, size=10)
    _draw_success(success, algorithms)
    for axes, (algorithm, runs) in zip(draws, algorithms.items(), strict=True):
        axes.set_title(f"draws with {algorithm}", loc="left", color=_INK, size=11)
        _draw_shares(axes, runs, figures)
    handles, labels = draws[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower right", ncols=len(labels), frameon=False, fontsize=9)
    path = out / "demo.png"
    draft = path.with_suffix(".part")
    figure.savefig(draft, format="png")
    return draft.replace(path)


def _draw_success(axes: Axes, algorithms: Mapping[str, Sequence[Run]]) -> None:
    """Draws mean success over steps: a thin line per seed, a thick line for the mean over seeds."""
    axes.set_title("mean success on the levels that can be learned", loc="left", color=_INK, size=11)
    axes.grid(axis="y", color=_FAINT)
    for index, (algorithm, runs) in enumerate(algorithms.items()):
        colour = _ALGORITHM_COLOURS[index % len(_ALGORITHM_COLOURS)]
        length = min(len(run.points) for run in runs)
        steps = [0, *(point.step for point in runs[0].points[:length])]
        curves = np.array([[0.0, *(point.mean_success for point in run.points[:length])] for run in runs])
        if len(runs) > 1:
            axes.plot(steps, curves.T, color=colour, linewidth=0.9, alpha=0.5, clip_on=False)
        axes.plot(
            steps, curves.mean(0), color=colour, linewidth=3, solid_capstyle="round", label=algorithm, clip_on=False
        )
    axes.legend(loc="lower right", frameon=False, fontsize=11, labelcolor="linecolor")


def _draw_shares(axes: Axes, runs: Sequence[Run], figures: Figures) -> None:
    """Draws the share of each group in the draws over steps, as the mean over seeds."""
    length = min(len(run.points) for run in runs)
    steps = [0, *(point.step for point in runs[0].points[:length])]
    shares = [run.draw_shares(figures.groups)[:length] for run in runs]
    layers = [np.mean([[point[group] for point in points] for points in shares], axis=0) for group in figures.colours]
    axes.stackplot(
        steps,
        [[layer[0], *layer] for layer in layers],
        colors=list(figures.colours.values()),
        labels=list(figures.colours),
        linewidth=0,
    )
