"""Draws a report as one HTML file that opens from disk without a network, with Plotly."""

import html
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..recording import Recording
from ..texts import one_line
from .charts import Chart, Series, charts
from .summary import sentences

try:
    import plotly.graph_objects as go
    import plotly.io
except ModuleNotFoundError:
    raise ImportError("curricular.report.page needs Plotly: pip install 'curricular[report]'") from None

CONFIG = {"displaylogo": False, "displayModeBar": False, "responsive": True}
HEIGHT = 340
THIN = 3.0
"""Height below which an area gets no name, in per cent."""
LABEL_WIDTH = 24
"""Number of characters of a name in a chart. The tooltip has the whole name."""

HEAD = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>curricular report</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<style>
:root { color-scheme: light dark; --text: #1b1b1b; --back: #ffffff; --soft: #5d5d5d; --line: #dddddd; }
@media (prefers-color-scheme: dark) { :root { --text: #ececec; --back: #16181b; --soft: #ababab; --line: #3a3d42; } }
body { font: 16px/1.5 system-ui, "DejaVu Sans", sans-serif; color: var(--text); background: var(--back);
  margin: 0 auto; max-width: 1500px; padding: 1rem; }
h1 { font-size: 1.6rem; margin: .5rem 0; } h2 { font-size: 1.15rem; margin: 0; }
p { color: var(--soft); margin: .2rem 0 .4rem; } li, h3 { overflow-wrap: anywhere; }
main { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 560px), 1fr)); gap: 1.2rem; }
section { overflow: hidden; border-top: 1px solid var(--line); padding-top: .8rem; min-width: 0; }
</style></head><body>
"""

THEME = """<script>
const dark = matchMedia("(prefers-color-scheme: dark)");
function paint() {
  const text = getComputedStyle(document.documentElement).getPropertyValue("--text").trim();
  const charts = document.querySelectorAll(".plotly-graph-div");
  for (const chart of charts) Plotly.relayout(chart, {"font.color": text, autosize: true});
}
dark.addEventListener("change", paint);
paint();
</script>
"""


def page(recordings: Sequence[Recording]) -> str:
    """Returns the report on one or several runs as HTML."""
    parts = [HEAD, f"<h1>{html.escape(', '.join(run.name for run in recordings))}</h1>"]
    for run in recordings:
        if len(recordings) > 1:
            parts.append(f"<h3>{html.escape(run.name)}</h3>")
        parts += ["<ul>", *(f"<li>{html.escape(sentence)}</li>" for sentence in sentences(run)), "</ul>"]
    library: bool = True
    parts.append("<main>")
    for chart in charts(recordings):
        drawn = plotly.io.to_html(
            figure(chart), full_html=False, include_plotlyjs=library, config=CONFIG, div_id=chart.key
        )
        library = False
        title, note = html.escape(chart.title), html.escape(chart.note)
        parts.append(f"<section><h2>{title}</h2><p>{note}</p>{drawn}</section>")
    return "\n".join([*parts, "</main>", "" if library else THEME, "</body></html>\n"])


def shortened(name: str) -> str:
    """Returns a name for a chart: on one line, with at most `LABEL_WIDTH` characters."""
    line = " ".join(one_line(name).split())
    return line if len(line) <= LABEL_WIDTH else f"{line[: LABEL_WIDTH - 1]}…"


def shown(name: str) -> str:
    """Returns a name for a chart: shortened, and escaped for HTML."""
    return html.escape(shortened(name))


def figure(chart: Chart) -> Any:
    """Returns the Plotly figure of a chart."""
    drawn = go.Figure()
    grid = {"gridcolor": "rgba(128,128,128,0.25)", "zeroline": False, "automargin": True, "fixedrange": False}
    drawn.update_layout(
        template="none", height=HEIGHT, showlegend=False, hovermode="x unified" if chart.series else "closest",
        margin={"l": 60, "r": 130 if chart.series else 20, "t": 12, "b": 48},
        paper_bgcolor="rgba(0,0,0,0)", plot_bgcolor="rgba(0,0,0,0)", font={"size": 13, "color": "#808080"},
        xaxis={**grid, "rangemode": "tozero", "title": {"text": shown(chart.x_title)}},
        yaxis={**grid, "title": {"text": shown(chart.y_title), "standoff": 8}},
    )  # fmt: skip
    if chart.bars:
        _draw_bars(drawn, chart)
    elif chart.series:
        _draw_series(drawn, chart)
    else:
        _draw_map(drawn, chart)
    return drawn


def _draw_bars(drawn: Any, chart: Chart) -> None:
    names, rows = [shown(bar.name) for bar in chart.bars], list(range(len(chart.bars)))
    drawn.add_bar(
        x=[bar.value for bar in chart.bars], y=rows, orientation="h", marker_color=[bar.colour for bar in chart.bars],
        customdata=[html.escape(bar.name) for bar in chart.bars],
        hovertemplate=f"%{{customdata}}<br>%{{x:.1f}}{' %' if chart.unit else ''}<extra></extra>",
    )  # fmt: skip
    every = max(1, len(names) // 16)
    drawn.update_yaxes(tickvals=rows[::every], ticktext=names[::every], showgrid=False, autorange="reversed")


def _draw_series(drawn: Any, chart: Chart) -> None:
    is_stacked = chart.kind == "areas"
    for series in chart.series:
        style: dict[str, Any] = {"stackgroup": "all", "fillcolor": series.colour} if is_stacked else {}
        line = {
            "color": series.colour,
            "dash": "solid" if is_stacked else series.dash,
            "width": 0.5 if is_stacked else 2.2,
        }
        y = np.nan_to_num(series.y) if is_stacked else series.y
        drawn.add_scatter(x=series.x, y=y, name=html.escape(series.name),
                          mode="lines" if len(series.x) > 1 else "lines+markers", line=line,
                          hovertemplate=f"%{{y:.1f}}{' %' if chart.unit else ''}", **style)  # fmt: skip
    if is_stacked:
        drawn.update_yaxes(range=[0, 100])
    for series, height in ends(chart.series, is_stacked=is_stacked):
        drawn.add_annotation(x=1, xref="paper", y=height, yref="y", xanchor="left", xshift=6, showarrow=False,
                             text=f'<span style="color:{series.colour}">■</span> {shown(series.name)}')  # fmt: skip


def ends(series: Sequence[Series], *, is_stacked: bool) -> list[tuple[Series, float]]:
    """Returns the series with names at the end of their lines, and the heights of the names, which do not overlap.

    Areas that are thin everywhere, and lines without a value, get no name.
    """
    heights, total = [], 0.0
    for one in series:
        known = one.y[~np.isnan(one.y)]
        last = float(known[-1]) if len(known) else 0.0
        if not is_stacked:
            heights += [(one, last)] if len(known) else []
        elif np.nanmax(one.y, initial=0.0) >= THIN:
            heights.append((one, total + last / 2))
        total += last
    heights.sort(key=lambda pair: pair[1])
    values = [value for one in series for value in one.y[~np.isnan(one.y)].tolist()]
    step = (100.0 if is_stacked else max(values, default=1.0) - min(0.0, *values, 0.0)) / 15 or 1.0
    placed: list[tuple[Series, float]] = []
    for one, height in heights:
        placed.append((one, max(height, placed[-1][1] + step) if placed else height))
    return placed


def _draw_map(drawn: Any, chart: Chart) -> None:
    names = [shown(name) for name in chart.y]
    has_names = bool(chart.x) and isinstance(chart.x[0], str)
    columns = list(range(len(chart.x))) if has_names else list(chart.x)  # shortened names may be equal
    drawn.add_heatmap(
        x=columns, y=list(range(len(names))), z=chart.cells, colorscale="Cividis", zmin=0,
        customdata=[[f"{html.escape(name)}<br>{html.escape(str(x))}" for x in chart.x] for name in chart.y],
        colorbar={"title": {"text": chart.unit}, "thickness": 12, "outlinewidth": 0},
        hovertemplate="%{customdata}<br>%{z:.2f} %<extra></extra>",
    )  # fmt: skip
    every = max(1, len(names) // 12)
    drawn.update_yaxes(tickvals=list(range(0, len(names), every)), ticktext=names[::every], showgrid=False)
    drawn.update_xaxes(showgrid=False)
    if has_names:
        drawn.update_xaxes(tickvals=columns, ticktext=[shown(name) for name in chart.x])
