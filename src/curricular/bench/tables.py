"""The table of a bench with one column per algorithm, for the terminal and as Markdown."""

from collections.abc import Sequence
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from .algorithms import UNIDIRECTIONAL
from .figures import Figures

TITLE = "0 is uniform, 1 is the oracle; brackets hold 95 % intervals over seeds"

_SECTIONS = (
    {"scores": ""},
    {"no_harm": ": AUC / uniform"},
    {"speedup": ": speed-up over uniform"},
    {
        "over_unidirectional": f": AUC / {UNIDIRECTIONAL}",
        "over_unpooled": ": gain / unpooled",
        "told_costs": ", told the costs",
        "evenness": ": effective tasks / uniform",
        "draws_noise": ": draws on noise",
        "draws_easy": ": draws on easy tasks",
        "draws_mastered": ": draws on mastered tasks",
        "draws_top_fluke": ": draws on the most drawn fluke",
    },
)
"""Sections of the table: key of the summary -> text after the title of a world."""

_NAME_WIDTH, _CELL_WIDTH = 32, 22

Row = tuple[str, list[str]]
"""Heading of a row, and one cell per algorithm."""


def rows(figures: Figures) -> list[list[Row]]:
    """Returns the rows of the table by section: mean and worst, scores, ratios, comparisons with recovery."""
    summary = figures.summary()
    columns = list(summary.values())
    first = columns[0]
    headline = [key for key in ("mean", "worst") if key in first]
    sections = [[(f"{key} of 1-8", [_bracketed(column[key]) for column in columns]) for key in headline]]
    sections += [
        [
            (f"{world}{suffix}", [_bracketed(column[key][world]) for column in columns])
            for key, suffix in parts.items()
            for world in first.get(key, {})
        ]
        for parts in _SECTIONS
    ]
    for world in first["recovery"]:
        recoveries: list[dict[str, float | None]] = [column["recovery"][world] for column in columns]
        sections[-1] += [
            (f"{world}: level after / before", [f"{found['level']:.2f}" for found in recoveries]),
            (f"{world}: time to learn again / first time", [_or_never(found["time_ratio"]) for found in recoveries]),
        ]
    return [section for section in sections if section]


def _or_never(ratio: float | None) -> str:
    return "never" if ratio is None else f"{ratio:.2f}"


def _bracketed(triple: Sequence[float] | None) -> str:
    if triple is None:
        return "–"
    estimate, low, high = triple
    return f"{estimate:.2f} ({low:.2f} to {high:.2f})"


def print_table(figures: Figures, console: Console) -> None:
    """Prints the table, split into parts that fit the width of `console`."""
    sections, names = rows(figures), figures.algorithms
    num_columns = max(1, (console.width - _NAME_WIDTH) // _CELL_WIDTH)
    for start in range(0, len(names), num_columns):
        part = slice(start, start + num_columns)
        table = Table(title=None if start else TITLE, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
        table.add_column("scenario", width=_NAME_WIDTH if console.is_terminal else None)
        for name in names[part]:
            table.add_column(name, justify="right", min_width=_CELL_WIDTH - 2)
        for section in sections:
            for name, cells in section:
                table.add_row(name, *cells[part])
            table.add_section()
        console.print(table)


def write_markdown(figures: Figures, out: Path) -> Path:
    """Writes the table into the folder `out`, and returns the path of the file."""
    lines = [("scenario", figures.algorithms), ("---", ["---"] * len(figures.algorithms))]
    lines += [row for section in rows(figures) for row in section]
    path = out / "bench.md"
    path.write_text("".join(f"| {' | '.join([name, *cells])} |\n" for name, cells in lines), encoding="utf-8")
    return path
