"""Draws the charts of a report as PNG files, with Matplotlib."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..recording import Recording
from ..texts import one_line
from .charts import Chart, charts
from .page import ends, shortened

try:
    from matplotlib.figure import Figure
except ModuleNotFoundError:
    raise ImportError("curricular.report.pictures needs Matplotlib: pip install 'curricular[report]'") from None

DASHES = {"solid": "-", "dash": "--", "dot": ":", "dashdot": "-."}


def write_pictures(recordings: Sequence[Recording], folder: Path) -> list[Path]:
    """Writes one PNG per chart into `folder`, and returns the paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for chart in charts(recordings):
        path = folder / f"{chart.key}.png"
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Glyph")  # a label may have letters that no font here has
            draw(chart).savefig(path, dpi=150)
        paths.append(path)
    return paths


def escaped(text: str) -> str:
    """Returns a text on one line, with dollar signs escaped, between which Matplotlib would read a formula."""
    return " ".join(one_line(text).split()).replace("$", r"\$")


def shown(name: str) -> str:
    """Returns a name for a picture: shortened and escaped."""
    return escaped(shortened(name))


def draw(chart: Chart) -> Figure:
    """Returns the Matplotlib figure of a chart."""
    drawn = Figure(figsize=(7.2, 3.6), layout="constrained")
    axes = drawn.subplots()
    if chart.bars:
        _draw_bars(axes, chart)
    elif chart.series:
        _draw_series(axes, chart)
    else:
        _draw_map(drawn, axes, chart)
    axes.set_title(escaped(chart.title), loc="left", fontsize=11)
    axes.set_xlabel(shown(chart.x_title))
    axes.set_ylabel(shown(chart.y_title))
    axes.spines[["top", "right"]].set_visible(False)
    return drawn


def _draw_bars(axes: Any, chart: Chart) -> None:
    rows = range(len(chart.bars))
    drawn = axes.barh(rows, [bar.value for bar in chart.bars], color=[bar.colour for bar in chart.bars])
    axes.bar_label(drawn, fmt=lambda value: f"{value:.1f}".removesuffix(".0") if value > 0 else "", padding=3)
    every = max(1, len(rows) // 16)
    axes.set_yticks(rows[::every], [shown(bar.name) for bar in chart.bars[::every]])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.margins(x=0.1)


def _draw_series(axes: Any, chart: Chart) -> None:
    is_stacked = chart.kind == "areas"
    if is_stacked:
        colours = [series.colour for series in chart.series]
        axes.stackplot(chart.series[0].x, [np.nan_to_num(series.y) for series in chart.series], colors=colours)
        axes.set_ylim(0, 100)
    else:
        for series in chart.series:
            marker = "o" if len(series.x) == 1 else ""
            axes.plot(series.x, series.y, color=series.colour, linestyle=DASHES[series.dash], marker=marker)
        axes.set_ylim(bottom=0)
    axes.margins(x=0)
    for series, y in ends(chart.series, is_stacked=is_stacked):
        axes.annotate(shown(series.name), (1, y), xycoords=("axes fraction", "data"), xytext=(5, 0),
                      textcoords="offset points", color=series.colour, va="center", fontsize=9,
                      annotation_clip=False)  # fmt: skip
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")


def _draw_map(drawn: Figure, axes: Any, chart: Chart) -> None:
    is_time = bool(chart.x) and not isinstance(chart.x[0], str)
    columns = np.array(chart.x, float) if is_time else np.arange(len(chart.x))
    if len(columns) > 1:
        mesh = axes.pcolormesh(columns, np.arange(len(chart.y)), chart.cells, cmap="cividis", vmin=0, shading="nearest")
    else:
        mesh = axes.imshow(chart.cells, cmap="cividis", vmin=0, aspect="auto", origin="lower")
    drawn.colorbar(mesh, label=chart.unit)
    every = max(1, len(chart.y) // 12)
    axes.set_yticks(range(0, len(chart.y), every), [shown(name) for name in chart.y[::every]])
    if is_time:
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    else:
        axes.set_xticks(columns, [shown(name) for name in chart.x], rotation=30 if max(map(len, chart.x)) > 6 else 0)
