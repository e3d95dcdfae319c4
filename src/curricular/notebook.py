"""Writes the statistics of a pool as HTML, for notebooks."""

import html
import math
from collections.abc import Iterable, Mapping

from .mastery import MASTERY, MASTERY_COLOURS, mastery_key
from .metrics import by_label
from .texts import percent

MAX_LABELS = 12
"""Maximum number of labels in the table: those with the most draws."""

LABEL_COLOUR = "#E69F00"
"""Colour of the bars of labels, which is that of no figure beside them."""


def stats_html(title: str, stats: Mapping[str, float]) -> str:
    """Returns statistics as HTML: counts, where the draws go, and the labels.

    Args:
        title: What the statistics are of.
        stats: What `Curriculum.stats` returns.
    """
    counts = ", ".join(
        f"{name} {stats[f'num_{name}']:,.0f}"
        for name in ("active", "scheduled", "completed", "cancelled", "stale", "pending")
    )
    keys = {name: mastery_key(name) for name in MASTERY}
    states = (
        (name, stats[f"{key}/num_tasks"], stats[f"{key}/probability"], MASTERY_COLOURS[name], "")
        for name, key in keys.items()
    )
    parts = [f"<p><b>{html.escape(title)}</b><br>{counts}</p>", _table(("state of the tasks", ""), states)]
    labels = sorted(by_label(stats).items(), key=lambda label: -label[1]["probability"])
    rows = (
        (name, of_label["num_tasks"], of_label["probability"], LABEL_COLOUR, percent(of_label.get("success", math.nan)))
        for name, of_label in labels[:MAX_LABELS]
    )
    if labels:
        more = f" ({MAX_LABELS} of {len(labels)})" if len(labels) > MAX_LABELS else ""
        parts.append(_table((f"label{more}", "success"), rows))
    return f"<div>{''.join(parts)}</div>"


def message_html(title: str, message: str) -> str:
    """Returns a message as HTML, instead of statistics that there are not."""
    return f"<p><b>{html.escape(title)}</b><br>{html.escape(message)}</p>"


def _table(heads: tuple[str, str], rows: Iterable[tuple[str, float, float, str, str]]) -> str:
    """Returns a table with a bar in each row, whose length is the share of the draws."""
    cells = "".join(
        f'<tr><td style="text-align:left">{html.escape(" ".join(name.split()))}</td><td>{count:,.0f}</td>'
        f'<td style="text-align:left;width:12em"><span style="display:inline-block;height:.8em;'
        f'width:{100 * share:.1f}%;background:{colour}"></span></td><td>{share:.1%}</td><td>{last}</td></tr>'
        for name, count, share, colour, last in rows
    )
    first, last = heads
    return (
        f'<table><thead><tr><th style="text-align:left">{first}</th><th>tasks</th>'
        f'<th style="text-align:left">share of draws</th><th></th><th>{last}</th></tr></thead>'
        f"<tbody>{cells}</tbody></table>"
    )
