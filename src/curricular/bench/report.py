"""The files that a bench writes: all figures as JSON, and pictures."""

import json
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from .figures import ORACLE, Figures, title

_COLOURS = ("#a39a92", "#2a6f97", "#d1495b", "#5b8e7d", "#e0a030", "#7d5ba6", "#8a5a44", "#4d4d4d")
_GROUP_COLOURS = {
    "impossible": "#b9b4ab",
    "noise": "#e0a030",
    "rare noise": "#d1495b",
    "fluke": "#d1495b",
    "easy": "#8d6cab",
    "mastered": "#8d6cab",
    "lottery": "#e0a030",
}
_GOAL_COLOURS = ("#1b4965", "#2f6f8f", "#5fa8d3", "#a8d0e6")
_MIN_WIDTH = 5.8
"""Smallest width of a picture that fits the heading, in inches."""
_LEGEND_WIDTH, _LEGEND_HEIGHT = 2.4, 0.22
"""Width of a column and height of a row of the legend, in inches."""
_INK, _FAINT = "#33302e", "#e4e0da"


def write_json(figures: Figures, out: Path) -> Path:
    """Writes `figures` and their summary into the folder `out`, and returns the path of the file."""
    path = out / "bench.json"
    draft = path.with_suffix(".part")
    content = {"summary": figures.summary(), **figures.model_dump(mode="json")}
    draft.write_text(json.dumps(content), encoding="utf-8")
    return draft.replace(path)


def write_pngs(figures: Figures, out: Path) -> list[Path]:
    """Writes the pictures into the folder `out`: learning curves per world, and shares of the draws per algorithm.

    Returns:
        The paths of the pictures.
    """
    curves = _save(draw_curves(figures), out / "curves.png")
    return [curves, *(_write_shares(figures, name, out) for name in figures.algorithms)]


def _grid(figures: Figures, heading: str) -> tuple[Figure, list[tuple[Axes, tuple[str, int]]]]:
    """Returns a picture with one panel per world, and the panels with their worlds."""
    num_columns = min(6, len(figures.worlds))
    num_rows = -(-len(figures.worlds) // num_columns)
    layout = ConstrainedLayoutEngine(w_pad=0.06, h_pad=0.06)
    size = max(2.6 * num_columns + 0.6, _MIN_WIDTH), 2.1 * num_rows + 0.8
    picture = Figure(figsize=size, dpi=120, facecolor="white", layout=layout)
    picture.suptitle(heading, color=_INK, size=13)
    panels = []
    for position, world in enumerate(figures.worlds, 1):
        axes = picture.add_subplot(num_rows, num_columns, position)
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


def draw_curves(figures: Figures) -> Figure:
    """Returns the picture with the learning curves in every world."""
    picture, panels = _grid(figures, "Competence over the budget, mean over seeds")
    for axes, world in panels:
        for index, name in enumerate((*figures.algorithms, ORACLE)):
            curve = figures.curves(name, world).mean(axis=0)
            is_oracle = name == ORACLE
            axes.plot(
                np.linspace(0, 1, curve.size),
                curve,
                color=_INK if is_oracle else _COLOURS[index % len(_COLOURS)],
                linestyle=":" if is_oracle else ("-", "--", "-.")[index // len(_COLOURS) % 3],
                linewidth=1.2 if is_oracle else 2,
                label=name,
            )
        axes.grid(axis="y", color=_FAINT)
    num_columns = int(picture.get_figwidth() // _LEGEND_WIDTH)
    num_rows = -(-(len(figures.algorithms) + 1) // num_columns)
    picture.set_figheight(picture.get_figheight() + _LEGEND_HEIGHT * num_rows)
    picture.legend(
        *panels[0][0].get_legend_handles_labels(), loc="outside lower center", ncols=num_columns, frameon=False
    )
    return picture


def _write_shares(figures: Figures, algorithm: str, out: Path) -> Path:
    picture, panels = _grid(figures, f"{algorithm}: share of the draws by group of tasks")
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
