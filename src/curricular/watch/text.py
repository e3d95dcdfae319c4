"""Renders the view of a session: a full frame of a given size, or one plain line. Pure functions of values."""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from rich.console import Group as Stack
from rich.console import RenderableType
from rich.table import Column, Table
from rich.text import Text

from ..mastery import MASTERY_COLOURS
from ..metrics import by_reason
from ..show_text import cell
from ..texts import many, one_line, percent
from .figures import Group, Order, Timeline, groupings, groups, resampled, states, tasks_listed
from .sample import Sample

MIN_WIDTH, MIN_HEIGHT = 80, 22
"""Smallest size of a frame, in characters; the view adds a line for its keys and one for its title."""

NUM_HEAD, NUM_BLOCK = 5, 7
"""Lines of the head with the counts and the timeline, and of the block with the states and the lists of tasks."""

MAX_GROUPS = 24
"""Maximum number of lines of each grouping where all of them are shown."""

SPARKS = "▁▂▃▄▅▆▇█"
BLOCKS = " ▏▎▍▌▋▊▉█"

DRAWS_COLOUR, SUCCESS_COLOUR = "#E69F00", "#0072B2"
"""Colours of the bars of draws and of success rates."""


class View(NamedTuple):
    """What the user has chosen to see."""

    grouping: int = 0
    """Index of a grouping, modulo their number."""
    order: Order = "draws"
    is_paused: bool = False


def render(sample: Sample, timeline: Timeline, view: View, width: int, height: int | None) -> RenderableType:
    """Returns a frame of the session.

    Args:
        sample: The session now.
        timeline: The session so far, this sample included.
        view: What the user has chosen to see.
        width: Width of the frame, in characters.
        height: Number of lines of the frame. None: as many as all groupings take.
    """
    if width < MIN_WIDTH or (height is not None and height < MIN_HEIGHT):
        size = f"{width} × {height + 2}" if height is not None else f"{width} wide"
        return Text(f"The terminal is too small: {size}. At least {MIN_WIDTH} × {MIN_HEIGHT + 2} is needed.")
    names = groupings(sample.content)
    num_lists = 5 if height is None else min(10, 2 + (height - MIN_HEIGHT) // 4)
    num_block = max(NUM_BLOCK, 2 * num_lists + 2)
    shown = range(len(names)) if height is None else [view.grouping % len(names)]
    num_groups = MAX_GROUPS if height is None else height - NUM_HEAD - num_block - 1
    parts: list[RenderableType] = [*_head(sample, timeline, view, width), _block(sample, num_lists, width)]
    for number in shown:
        title = f" · {number + 1}/{len(names)}" if len(names) > 1 and height is not None else ""
        found = groups(sample.content, names[number], view.order)
        parts += [Text(), *_groups(f"{names[number]}{title}", found, num_groups - 1, width, view.order)]
    return Stack(*parts)


def _head(sample: Sample, timeline: Timeline, view: View, width: int) -> list[RenderableType]:
    """Returns the lines with workers, outcomes and timeline."""
    stats, counts = sample.content.stats, sample.counts
    if not sample.num_workers:
        first = Text("No process holds the session: the training is over.", "bold reverse")
    else:
        state = ("paused", "bold reverse") if view.is_paused else ("running", "bold")
        first = Text.assemble(state, f"  {many(sample.num_workers, 'worker')}  {duration(sample.age)}")
    first.append(f"  {counts['completed']:,.0f} results", "bold")
    why = ", ".join(f"{one_line(name)} {count:,.0f}" for name, count in by_reason(stats).items())
    outcomes = {"evicted": stats["num_evicted"], **{name: counts[name] for name in ("pending", "open", "stale")}}
    parts = [f"tasks {stats['num_active']:,.0f}"]
    parts += [f"{name} {count:,.0f}" for name, count in outcomes.items() if count]
    if sample.content.settings["cover_share"]:
        parts.append(f"walks {stats['cover/num_walks'] + stats['cover/progress']:,.1f}")
    second = Text("  ".join([*parts, f"cancelled {counts['cancelled']:,.0f}" + (f": {why}" if why else "")]))
    for line in (first, second):
        line.truncate(width, overflow="ellipsis")
    return [first, second, _timeline(timeline, stats["num_active"], width), Text()]


def _timeline(timeline: Timeline, num_active: float, width: int) -> Table:
    """Returns two lines of figures, each with its course over time."""
    points, last = timeline.points, timeline.points[-1]
    effective = f"{last.effective:,.0f} of {num_active:,.0f}"
    parts = (
        ("success", percent(last.success), [point.success for point in points], 1.0),
        ("progress", percent(last.progress, 1), [point.progress for point in points], None),
        ("results/s", number(last.rate), [point.rate for point in points], None),
        ("effective tasks", effective, [point.effective for point in points], None),
    )
    cells = []
    for name, value, values, top in parts:
        room = width // 2 - 3 - len(name) - len(value)
        cells.append(Text.assemble(f"{name} ", (f"{value} ", "bold"), (sparkline(values, room, top), SUCCESS_COLOUR)))
    lines = Table.grid(Column(width=width // 2), Column(width=width - width // 2))
    lines.add_row(*cells[:2])
    lines.add_row(*cells[2:])
    return lines


def _block(sample: Sample, num_lists: int, width: int) -> Table:
    """Returns the states of the tasks beside the lists of single tasks."""
    shares = _grid(Column(width=12), right(7), Column(width=10), right(4))
    shares.add_row(Text("where the", "bold"), Text("tasks", "dim"), Text("draws go", "bold"))
    for state in states(sample.content):
        share = Text(bar(state.share, 10), MASTERY_COLOURS[state.name])
        shares.add_row(state.name, f"{state.num_tasks:,.0f}", share, percent(state.share))
    lists = _grid(name_column(width - 49), right(8))
    titles = {"most progress": "progress", "never scored": "drawn"}
    for name, tasks in tasks_listed(sample.content).items():
        lists.add_row(Text(name, "bold"), Text(titles[name], "dim"))
        for description, value in tasks[:num_lists]:
            lists.add_row(cell(description), percent(value, 1) if name == "most progress" else f"{value:,.0f}")
        if not tasks:
            lists.add_row(Text("none", "dim"))
    block = Table.grid(Column(width=37), Column(width=2), Column(width=width - 39))
    block.add_row(shares, "", lists)
    return block


def _groups(title: str, found: Sequence[Group], num_rows: int, width: int, order: Order) -> list[RenderableType]:
    """Returns the table of the groups of tasks, and a line about those that do not fit in `num_rows`."""
    if not found:
        return [Text("The tasks have no labels and no axes that are known.", "dim")]
    room = 13 + (width - MIN_WIDTH) // 3
    columns = (right(7), Column(width=room), right(6), Column(width=room), right(4), right(8))
    table = _grid(name_column(width - 2 * room - 31), *columns)
    heads = ("tasks", "draws", "", "success", "", "progress")
    styles = ["bold underline" if head == order else "dim" for head in heads]
    table.add_row(Text(f"by {one_line(title)}", "bold"), *map(Text.assemble, zip(heads, styles, strict=True)))
    top = max(group.share for group in found) or 1.0
    kept = found if len(found) <= num_rows else found[: num_rows - 1]
    for group in kept:
        table.add_row(*_row(group, top, room))
    if len(kept) == len(found):
        return [table]
    rest = sum(group.share for group in found[len(kept) :])
    return [table, Text(f"… {len(found) - len(kept)} more, with {percent(rest)} of the draws", "dim")]


def _row(group: Group, top: float, room: int) -> Iterable[RenderableType]:
    return (
        cell(group.name),
        f"{group.num_tasks:,.0f}",
        Text(bar(group.share / top, room), DRAWS_COLOUR),
        percent(group.share, 1),
        Text("" if math.isnan(group.success) else bar(group.success, room), SUCCESS_COLOUR),
        percent(group.success),
        percent(group.progress, 1),
    )


def line(sample: Sample, timeline: Timeline) -> str:
    """Returns the session in one plain line, for a file or a pipe."""
    stats, rate = sample.content.stats, timeline.points[-1].rate
    shares = sorted((state for state in states(sample.content) if state.share >= 0.005), key=lambda state: -state.share)
    parts = [
        f"{sample.counts['completed']:,.0f} results",
        f"{number(rate)}/s",
        f"success {percent(stats.get('success/mean', math.nan))}",
        f"progress {percent(stats.get('learning_progress/mean', math.nan), 1)}",
        "draws: " + (", ".join(f"{state.name} {percent(state.share)}" for state in shares) or "none"),
        f"cancelled {sample.counts['cancelled']:,.0f}",
        many(sample.num_workers, "worker"),
    ]
    return "  ".join(parts)


def sparkline(values: Sequence[float], width: int, top: float | None = None) -> str:
    """Returns the latest `values` over their whole range of time as bars of one character; a gap where one is NaN.

    Args:
        values: Numbers, at least 0.
        width: Maximum number of characters.
        top: Value of the highest bar; None: the largest of `values`.

    Examples:
        >>> sparkline([0.0, 0.5, 1.0], 10, 1.0)
        '▁▅█'
    """
    known = [value for value in values if not math.isnan(value)]
    top = max(known, default=0.0) if top is None else top
    scale = (len(SPARKS) - 1) / top if top > 0 else 0.0
    shown = resampled(values, width)
    return "".join(" " if math.isnan(value) else SPARKS[round(min(value * scale, 7))] for value in shown).lstrip()


def bar(share: float, width: int) -> str:
    """Returns a bar whose length is `share` of `width` characters, to an eighth of a character.

    Examples:
        >>> bar(0.5, 5)
        '██▌'
    """
    eighths = round(min(max(share, 0.0), 1.0) * 8 * width)
    return BLOCKS[8] * (eighths // 8) + (BLOCKS[eighths % 8] if eighths % 8 else "")


def number(value: float) -> str:
    """Returns a number with three digits, or a dash if it is not known.

    Examples:
        >>> number(1403.2), number(0.12345)
        ('1,403', '0.123')
    """
    if math.isnan(value):
        return "–"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def duration(seconds: float) -> str:
    """Returns a time as hours, minutes and seconds.

    Examples:
        >>> duration(3723)
        '1:02:03'
    """
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"


def _grid(*columns: Column) -> Table:
    """Returns a table without lines, with a space between columns."""
    return Table.grid(*columns, padding=(0, 1, 0, 0))


def name_column(width: int) -> Column:
    """Returns a column of names, which cuts long ones."""
    return Column(width=width, no_wrap=True, overflow="ellipsis")


def right(width: int) -> Column:
    """Returns a column of numbers."""
    return Column(width=width, justify="right", no_wrap=True)
