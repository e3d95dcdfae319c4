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

from ..mastery import MASTERY_COLOURS
from .figures import SOLVED, Figures, Run, State

_STYLES = (
    ("#4d4d4d", "--"),
    ("#D55E00", "-"),
    ("#0072B2", "-."),
    ("#CC79A7", ":"),
    ("#8C6D1F", "-"),
    ("#009E73", "--"),
)
"""Colour and dash of each algorithm, by index. The first two have no colour of a state beside them."""

_STATES: dict[State, str] = {
    "never solved": "never solved",
    "once solved": "solved once",
    "learning": "learning",
    "mastered": "mastered",
}
"""State of a level in the figures -> state of a task in `MASTERY`, from the bottom of the picture to its top."""

NAMES = {
    "uniform": "uniform choice",
    "stable": "learning progress",
    "learning-progress": "learning progress, default",
    "fast-learning": "learning progress, fast",
    "noise-aware": "recommended choice",
}
"""Algorithm -> name in the picture, where it is not the same words."""

LARGE_STEP = 0.3
"""Smallest fall of the draws of levels never solved, between two evaluations, that the picture explains."""

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
    """Writes the picture into the folder `out`: success over steps, and where each algorithm's draws go.

    Curves end at the last point that all runs of an algorithm have reached.

    Returns:
        The path of the picture.
    """
    algorithms = _evaluated(figures)
    layout = ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.1)
    figure = Figure(figsize=(12, 1.6 + 1.6 * max(2, len(algorithms))), dpi=160, facecolor="white", layout=layout)
    figure.suptitle("The same agent, the same number of steps: only the choice of tasks differs", color=_INK, size=14)
    grid = figure.add_gridspec(len(algorithms), 2, width_ratios=(1.2, 1))
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
        axes.set_title(f"where the draws go: {line_name(algorithm)}", loc="left", color=_INK, size=11)
        _draw_states(axes, runs)
    path = out / "demo.png"
    draft = path.with_suffix(".part")
    figure.savefig(draft, format="png")
    return draft.replace(path)


def line_name(algorithm: str) -> str:
    """Returns the name of an algorithm in a picture, in words."""
    return NAMES.get(algorithm, algorithm.replace("-", " "))


def _draw_success(axes: Axes, algorithms: Mapping[str, Sequence[Run]]) -> None:
    """Draws mean success over steps: a thin line per seed, a thick line for the mean over seeds."""
    axes.set_title("mean success on the levels that can be learned", loc="left", color=_INK, size=11)
    axes.grid(axis="y", color=_FAINT)
    ends = []
    for index, (algorithm, runs) in enumerate(algorithms.items()):
        colour, dash = _STYLES[index % len(_STYLES)]
        length = min(len(run.points) for run in runs)
        steps = [0, *(point.step for point in runs[0].points[:length])]
        curves = np.array([[0.0, *(point.mean_success for point in run.points[:length])] for run in runs])
        if len(runs) > 1:
            axes.plot(steps, curves.T, color=colour, linewidth=0.9, alpha=0.5, clip_on=False)
        axes.plot(steps, curves.mean(0), color=colour, linestyle=dash, linewidth=3, clip_on=False)
        ends.append((line_name(algorithm), float(curves.mean(0)[-1]), colour))
    label_ends(axes, ends, 0.06)


def _draw_states(axes: Axes, runs: Sequence[Run]) -> None:
    """Draws the share of the draws by state of the level over steps, as the mean over seeds."""
    length = min(len(run.points) for run in runs)
    steps = [0, *(point.step for point in runs[0].points[:length])]
    shares = [[run.points[index].states or {} for run in runs] for index in range(length)]
    layers = np.array([[np.mean([of_run.get(state, 0.0) for of_run in now]) for now in shares] for state in _STATES])
    layers = np.concatenate([layers[:, :1], layers], axis=1)
    colours = [MASTERY_COLOURS[name] for name in _STATES.values()]
    axes.stackplot(steps, layers, colors=colours, linewidth=0)
    middles = np.cumsum(layers[:, -1]) - layers[:, -1] / 2
    seen = layers.max(axis=1) >= 0.02
    ends = zip(_STATES.values(), middles.tolist(), colours, strict=True)
    label_ends(axes, [end for end, is_seen in zip(ends, seen, strict=True) if is_seen], 0.17)
    falls = np.flatnonzero(-np.diff(layers[0]) >= LARGE_STEP)
    if len(falls):
        at = steps[int(falls[0])]
        axes.axvline(at, color="white", linewidth=1)
        is_early = at < 0.3 * steps[-1]  # where the left has no room
        text, side, shift = ("← enough results\nto choose", "left", 4) if is_early else (
            "enough results\nto choose →", "right", -4)  # fmt: skip
        axes.annotate(text, (at, 0.4), xytext=(shift, 0), textcoords="offset points", color="white", ha=side,
                      va="center", fontsize=8)  # fmt: skip


def label_ends(axes: Axes, ends: Sequence[tuple[str, float, str]], distance: float) -> None:
    """Writes names beside the right end of the axes, at least `distance` apart.

    Args:
        axes: The axes.
        ends: Name, height and colour of each line or area at its right end.
        distance: Smallest distance of two names, in units of the axes.
    """
    placed = sorted(ends, key=lambda item: item[1])
    heights = [min(end, 1.0 - distance * (len(placed) - 1 - index)) for index, (_, end, _) in enumerate(placed)]
    height = -float("inf")
    for (name, _, colour), wanted in zip(placed, heights, strict=True):
        height = max(wanted, height + distance)
        axes.annotate(name, (1, height), xycoords=("axes fraction", "data"), xytext=(6, 0), textcoords="offset points",
                      color=colour, va="center", fontsize=10, annotation_clip=False)  # fmt: skip
