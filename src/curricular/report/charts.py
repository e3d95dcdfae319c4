"""Makes the charts of a report from recordings, as plain data. `page` and `pictures` draw them."""

from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..aggregates import bucket_order
from ..mastery import MASTERY, MASTERY_COLOURS, mastery_key
from ..recording import Recording

MAX_LINES = 8
"""Maximum number of labels that are drawn as lines: those with the most draws."""

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#8C6D1F", "#6B6B6B")
"""Colours of lines that colour-blind readers can tell apart (Okabe and Ito)."""


class Series(NamedTuple):
    """A line, or the upper edge of an area."""

    name: str
    x: NDArray[Any]
    y: NDArray[np.float64]
    """Shares as percentages; NaN where nothing is known."""
    colour: str
    dash: str = "solid"


class Bar(NamedTuple):
    """A bar of a chart of one moment."""

    name: str
    value: float
    """NaN where nothing is known."""
    colour: str


class Chart(NamedTuple):
    """A chart: lines, areas stacked to 100 %, a heat map, or bars where there is one moment only."""

    key: str
    """Name for files and anchors."""
    kind: Literal["lines", "areas", "map", "bars"]
    title: str
    note: str
    """Caption of one or two sentences."""
    x_title: str
    y_title: str
    series: tuple[Series, ...] = ()
    x: Sequence[Any] = ()
    """Columns of a map."""
    y: Sequence[str] = ()
    """Rows of a map, the lowest first."""
    cells: NDArray[np.float64] | None = None
    """Values of a map, shape (rows, columns); NaN where nothing is known."""
    unit: str = "%"
    bars: tuple[Bar, ...] = ()
    """Bars, the highest first."""


RESULTS = "completed results"

SUCCESS_NOTE = (
    "Mean success rate of the tasks in the pool that have a score. It lags behind the agent: each rate is an average "
    "over about 1 / slow_rate results of its task. Compare agents by an evaluation."
)


def stat(recording: Recording, name: str) -> NDArray[np.float64]:
    """Returns a key of `Curriculum.stats` at each snapshot, shape (n,); NaN where it is missing."""
    return recording.stats.get(name, np.full(len(recording.batches), np.nan))


def charts(recordings: Sequence[Recording]) -> list[Chart]:
    """Returns the charts of one or several runs: first those with one line per run, then those of each run.

    Runs without a snapshot are left out.
    """
    recordings = [recording for recording in recordings if len(recording.batches)]
    found = [*_compared(recordings)] if recordings else []
    for number, recording in enumerate(recordings):
        of_run = f" – {recording.name}" if len(recordings) > 1 else ""
        found += [
            chart._replace(key=f"{chart.key}-{number + 1}", title=chart.title + of_run) for chart in _of_one(recording)
        ]
    return [_at_one_moment(chart) for chart in found]


def _at_one_moment(chart: Chart) -> Chart:
    """Returns a chart of bars instead of one over time whose time is one moment."""
    bars = [Bar(series.name, float(series.y[-1]), series.colour) for series in chart.series if len(series.x) == 1]
    if chart.cells is not None and len(chart.x) == 1 and chart.x_title == RESULTS:
        bars = [Bar(name, float(value), COLOURS[0]) for name, value in zip(chart.y, chart.cells[:, 0], strict=True)][
            ::-1
        ]
    if not bars or len(bars) < len(chart.series):
        return chart
    shared = "tasks" if chart.key.startswith("tasks-") else "draws"
    value_title = chart.y_title if chart.series else f"share of {shared}, %"
    y_title = "" if chart.series else chart.y_title
    return Chart(chart.key, "bars", chart.title, chart.note, value_title, y_title, unit=chart.unit, bars=tuple(bars))


def _compared(recordings: Sequence[Recording]) -> Iterator[Chart]:
    lines = (
        ("success", "success/mean", 100.0, "Success", "mean success rate, %", SUCCESS_NOTE),
        ("effective", "probability/effective_num_tasks", 1.0, "How many tasks are drawn",
         "effective tasks", "As many equally likely tasks would spread the draws as widely."),
    )  # fmt: skip
    for key, name, factor, title, y_title, note in lines:
        series = [Series(run.name, run.completed, stat(run, name) * factor, *style(number))
                  for number, run in enumerate(recordings)]  # fmt: skip
        yield Chart(key, "lines", title, note, RESULTS, y_title, tuple(series), unit="%" if factor > 1 else "")
    turnover = [
        Series(run.name, run.completed[1:], _rate(run), *style(number)) for number, run in enumerate(recordings)
    ]
    if any(np.nan_to_num(series.y).any() for series in turnover):
        note = "Tasks that left the pool for new ones, since the snapshot before."
        yield Chart("turnover", "lines", "Turnover", note, RESULTS, "per 1,000 results", tuple(turnover), unit="")


def style(number: int) -> tuple[str, str]:
    """Returns the colour and the dash of a line."""
    return COLOURS[number % len(COLOURS)], ("solid", "dash", "dot", "dashdot")[number % 4]


def _rate(run: Recording) -> NDArray[np.float64]:
    distances = np.diff(run.completed)
    rates = np.diff(stat(run, "num_evicted")) / np.maximum(distances, 1) * 1000
    # The last snapshot, taken when the recording was closed, may follow too soon after the one before.
    return np.asarray(np.where(2 * distances >= np.median(distances), rates, np.nan)) if len(distances) else rates


def _of_one(run: Recording) -> Iterator[Chart]:
    areas = [
        Series(name, run.completed, 100 * stat(run, f"{mastery_key(name)}/probability"), MASTERY_COLOURS[name])
        for name in MASTERY
    ]
    note = "Share of the draws by what is known of the tasks. Good choices go to tasks that are being learned."
    yield Chart("draws", "areas", "Where the draws go", note, RESULTS, "share of draws, %", tuple(areas))
    labels = _grid(run, [(index, row["item"], row) for index, row in run.rows("label")])
    if labels:
        yield from _of_labels(run, labels)
    by_axis: dict[str, list[tuple[int, str, dict[str, Any]]]] = {}
    for index, row in run.rows("axis"):
        by_axis.setdefault(row["name"], []).append((index, row["item"], row))
    for number, (axis, rows) in enumerate(by_axis.items()):
        names = {name: row["value"] for _, name, row in rows}
        grid = _grid(run, rows)
        order = sorted(grid, key=lambda name: (bucket_order(name, names[name]), name))
        yield _over_time(run, f"axis-{number + 1}", f"Draws by {axis}", axis, order, grid)
    yield from _maps(run)
    for name, title in (("success", "Success rates of the tasks"), ("progress", "Progress of the tasks")):
        rows = [(index, f"{row['value']:.2f}", row) for index, row in run.rows("distribution") if row["name"] == name]
        counts = {bucket: columns["num_tasks"] for bucket, columns in _grid(run, rows).items()}
        if counts:
            cells = np.nan_to_num(np.stack(list(counts.values())))
            total = np.maximum(cells.sum(axis=0), 1)
            note = "Share of the tasks with a score by their value, from 0 to 1."
            yield Chart(f"tasks-{name}", "map", title, note, RESULTS, name, x=run.completed.tolist(), y=[*counts],
                        cells=100 * cells / total)  # fmt: skip
    ends = ("completed", "cancelled", "stale", "pending")
    ended = np.stack([stat(run, f"num_{end}") for end in ends])
    parts = 100 * ended / np.maximum(ended.sum(axis=0), 1)
    series = [
        Series(end, run.completed, part, COLOURS[number])
        for number, (end, part) in enumerate(zip(ends, parts, strict=True))
    ]
    yield Chart("outcomes", "areas", "How hand-outs ended", "Share of all hand-outs so far.", RESULTS,
                "share of hand-outs, %", tuple(series))  # fmt: skip


Grid = dict[str, dict[str, NDArray[np.float64]]]


def _grid(run: Recording, rows: Sequence[tuple[int, str, dict[str, Any]]]) -> Grid:
    """Returns the values at each snapshot, by bucket and column."""
    grid: Grid = {}
    for index, name, row in rows:
        if name not in grid:
            columns = ("num_tasks", "probability", "success", "progress")
            grid[name] = {column: np.full(len(run.batches), np.nan) for column in columns}
        for column, values in grid[name].items():
            if row[column] is not None:
                values[index] = row[column]
    return grid


def _of_labels(run: Recording, labels: Grid) -> Iterator[Chart]:
    drawn = {name: float(np.nansum(columns["probability"])) for name, columns in labels.items()}
    most = sorted(drawn, key=lambda name: -drawn[name])
    styles = {name: style(number) for number, name in enumerate(sorted(most[:MAX_LINES]))}  # the same in other runs
    lines = [Series(name, run.completed, labels[name]["success"] * 100, *styles[name]) for name in most[:MAX_LINES]]
    rest = f" The {MAX_LINES} labels with the most draws of {len(most)}." if len(most) > MAX_LINES else ""
    note = f"Mean success rate of the tasks of each label.{rest}"
    yield Chart("labels-success", "lines", "Success by label", note, RESULTS, "mean success rate, %", tuple(lines))
    yield _over_time(run, "labels-draws", "Draws by label", "label", most[:40][::-1], labels)


def _over_time(run: Recording, key: str, title: str, axis: str, order: Sequence[str], grid: Grid) -> Chart:
    cells = np.stack([np.nan_to_num(grid[name]["probability"]) * 100 for name in order])
    note = "Share of the draws over time."
    return Chart(key, "map", title, note, RESULTS, axis, x=run.completed.tolist(), y=list(order), cells=cells)


def _maps(run: Recording) -> Iterator[Chart]:
    rows = run.last_rows("map")
    for number, (first, second) in enumerate(dict.fromkeys((row["name"], row["name_2"]) for row in rows)):
        chosen = [row for row in rows if (row["name"], row["name_2"]) == (first, second)]
        xs, ys = (
            sorted({row[item] for row in chosen}, key=lambda name: (bucket_order(name, 0), name))
            for item in ("item", "item_2")
        )
        cells = np.full((len(ys), len(xs)), np.nan)
        for row in chosen:
            if row["progress"] is not None:
                cells[ys.index(row["item_2"]), xs.index(row["item"])] = 100 * row["progress"]
        note = "Mean learning progress at the end of the recording; empty cells have no task with a score."
        yield Chart(f"map-{number + 1}", "map", f"Where progress is: {first} and {second}", note, first, second,
                    x=xs, y=ys, cells=cells)  # fmt: skip
