"""What a bench leaves behind: tables, a file with all figures, pictures."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from .figures import ORACLE, Figures, title

_COLOURS = ("#a39a92", "#2a6f97", "#d1495b", "#5b8e7d", "#e0a030", "#7d5ba6", "#8a5a44", "#4d4d4d")
_GROUP_COLOURS = {
    "impossible": "#b9b4ab",
    "noise": "#e0a030",
    "rare noise": "#d1495b",
    "easy": "#8d6cab",
    "lottery": "#e0a030",
}
_GOAL_COLOURS = ("#1b4965", "#2f6f8f", "#5fa8d3", "#a8d0e6")
_INK, _FAINT = "#33302e", "#e4e0da"


def write_json(figures: Figures, out: Path) -> Path:
    """The file in the folder `out` that holds `figures` and their summary."""
    path = out / "bench.json"
    draft = path.with_suffix(".part")
    content = {"summary": figures.summary(), **figures.model_dump(mode="json")}
    draft.write_text(json.dumps(content), encoding="utf-8")
    return draft.replace(path)


def print_tables(figures: Figures, console: Console) -> None:
    """Prints normalised scores, ratios to uniform, and what else is asked of an algorithm, one column for each."""
    summary = figures.summary()
    first = summary[figures.algorithms[0]]
    table = Table(
        title="0 is uniform, 1 the oracle; in brackets 95 % intervals over seeds",
        title_justify="left",
        box=SIMPLE_HEAD,
        pad_edge=False,
    )
    table.add_column("scenario", no_wrap=True)
    for name in figures.algorithms:
        table.add_column(name, justify="right")
    for key in ("mean", "worst"):
        if key in first:
            table.add_row(f"{key} of 1-8", *(_bracketed(summary[name][key]) for name in figures.algorithms))
    table.add_section()
    parts = (("scores", ""), ("no_harm", ": AUC / uniform"), ("over_unidirectional", ": AUC / unidirectional"))
    for key, suffix in parts:
        for world in first.get(key, {}):
            table.add_row(world + suffix, *(_bracketed(summary[name][key][world]) for name in figures.algorithms))
        table.add_section()
    for world in first["recovery"]:
        levels = [summary[name]["recovery"][world] for name in figures.algorithms]
        table.add_row(f"{world}: level after / before", *(f"{level['level']:.2f}" for level in levels))
        ratios = [level["time_ratio"] for level in levels]
        table.add_row(
            f"{world}: time to learn again / first time",
            *("never" if ratio is None else f"{ratio:.2f}" for ratio in ratios),
        )
    for world in first["evenness"]:
        evenness = [summary[name]["evenness"][world] for name in figures.algorithms]
        table.add_row(f"{world}: effective tasks / uniform", *(f"{value:.2f}" for value in evenness))
    console.print(table)


def _bracketed(triple: Sequence[float]) -> str:
    estimate, low, high = triple
    return f"{estimate:.2f} ({low:.2f} to {high:.2f})"


def write_pngs(figures: Figures, out: Path) -> list[Path]:
    """The pictures in the folder `out`: learning curves of every world, and of every algorithm where its draws went."""
    return [_write_curves(figures, out), *(_write_shares(figures, name, out) for name in figures.algorithms)]


def _grid(figures: Figures, heading: str) -> tuple[Figure, list[tuple[Axes, tuple[str, int]]]]:
    """A picture with a panel for each world, and the panels."""
    num_columns = min(6, len(figures.worlds))
    num_rows = -(-len(figures.worlds) // num_columns)
    layout = ConstrainedLayoutEngine(w_pad=0.06, h_pad=0.06)
    picture = Figure(figsize=(2.6 * num_columns + 0.6, 2.1 * num_rows + 1.2), dpi=120, facecolor="white", layout=layout)
    picture.suptitle(heading, color=_INK, size=13)
    panels = []
    for number, world in enumerate(figures.worlds, 1):
        axes = picture.add_subplot(num_rows, num_columns, number)
        axes.set_title(title(world), loc="left", color=_INK, size=9)
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1)
        axes.set_xticks([])
        axes.tick_params(colors=_INK, labelsize=7, length=0)
        axes.spines[:].set_visible(False)
        panels.append((axes, world))
    return picture, panels


def _save(picture: Figure, path: Path) -> Path:
    draft = path.with_suffix(".part")
    picture.savefig(draft, format="png")
    return draft.replace(path)


def _write_curves(figures: Figures, out: Path) -> Path:
    picture, panels = _grid(figures, "Competence over the budget: mean of the seeds")
    for axes, world in panels:
        for number, name in enumerate((*figures.algorithms, ORACLE)):
            curve = figures.curves(name, world).mean(axis=0)
            is_oracle = name == ORACLE
            axes.plot(
                np.linspace(0, 1, curve.size),
                curve,
                color=_INK if is_oracle else _COLOURS[number % len(_COLOURS)],
                linestyle=":" if is_oracle else "-",
                linewidth=1.2 if is_oracle else 2,
                label=name,
            )
        axes.grid(axis="y", color=_FAINT)
    picture.legend(*panels[0][0].get_legend_handles_labels(), loc="outside lower center", ncols=6, frameon=False)
    return _save(picture, out / "curves.png")


def _write_shares(figures: Figures, algorithm: str, out: Path) -> Path:
    picture, panels = _grid(figures, f"{algorithm}: where the draws went")
    for axes, world in panels:
        shares = figures.shares(algorithm, world)
        windows = np.linspace(0, 1, next(iter(shares.values())).size)
        goals = [group for group in shares if group not in _GROUP_COLOURS]
        colours = _GROUP_COLOURS | dict(zip(goals, _GOAL_COLOURS, strict=False))
        axes.stackplot(
            windows,
            list(shares.values()),
            labels=list(shares),
            colors=[colours[group] for group in shares],
            linewidth=0,
        )
        axes.legend(loc="lower left", fontsize=6)
    return _save(picture, out / f"draws-{algorithm.replace(':', '-')}.png")
