"""Writes the content of a checkpoint or a session as tables, JSON or CSV, for `curricular show`."""

import csv
import json
import math
from collections.abc import Callable
from typing import Any, TextIO

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from .mastery import MASTERY, mastery_key
from .metrics import by_label, by_reason
from .show import Content
from .texts import one_line, percent, width_of

NUM_TASKS_SHOWN = 5
"""Number of tasks at either end of the list that the tables show."""

COUNTS = ("scheduled", "completed", "cancelled", "stale", "pending", "open", "unsolicited", "created", "evicted")


def write_json(content: Content, file: TextIO) -> None:
    """Writes settings, statistics and tasks as one JSON object; what is not known yet is null."""
    columns = {name: [_known(value) for value in column.tolist()] for name, column in content.tasks.items()}
    tasks = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    json.dump({**content._asdict(), "tasks": tasks}, file, ensure_ascii=False, indent=1, default=str)
    file.write("\n")


def write_csv(content: Content, file: TextIO) -> None:
    """Writes one line per task; what is not known yet is empty."""
    writer = csv.writer(file)
    writer.writerow(content.tasks)
    columns = [column.tolist() for column in content.tasks.values()]
    writer.writerows([_known(value) for value in values] for values in zip(*columns, strict=True))


def _known(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value


def write_tables(content: Content, file: TextIO) -> None:
    """Writes tables: settings, counts by outcome, where the draws go, labels, and tasks at either end."""
    console = Console(file=file, width=width_of(file))
    stats = content.stats
    console.print(cell(content.source), style="bold")
    settings = Table("setting", "value")
    for name, value in content.settings.items():
        settings.add_row(name, cell(f"{value:.6g}" if isinstance(value, float) else str(value)))
    counts = Table("count", right("number"))
    for name in COUNTS:
        counts.add_row(name, f"{stats[f'num_{name}']:,.0f}")
    for reason, count in by_reason(stats).items():
        counts.add_row(cell(f"  cancelled: {reason}"), f"{count:,.0f}")
    states = Table("state of the tasks", right("tasks"), right("share of draws"))
    for name in MASTERY:
        key = mastery_key(name)
        states.add_row(name, f"{stats[f'{key}/num_tasks']:,.0f}", f"{stats[f'{key}/probability']:.1%}")
    console.print(settings, counts, states, *_labels(content), *_tasks(content))


def _labels(content: Content) -> list[Table]:
    table = Table("label", right("tasks"), right("share of draws"), right("success"))
    for name, stats in sorted(by_label(content.stats).items(), key=lambda label: -label[1]["probability"]):
        numbers = (f"{stats['num_tasks']:,.0f}", f"{stats['probability']:.1%}")
        table.add_row(cell(name), *numbers, percent(stats.get("success", math.nan)))
    return [table] if table.rows else []


def _tasks(content: Content) -> list[Table]:
    tasks = content.tasks
    num_tasks = len(tasks["task_id"])
    table = Table("task", "label", "state", right("share of draws"), right("success"), right("scores"))
    both = num_tasks <= 2 * NUM_TASKS_SHOWN
    top = range(num_tasks if both else NUM_TASKS_SHOWN)
    for index in (*top, *(() if both else range(num_tasks - NUM_TASKS_SHOWN, num_tasks))):
        if not both and index == num_tasks - NUM_TASKS_SHOWN:
            table.add_row("…")
        share, scores = f"{tasks['probability'][index]:.2%}", f"{tasks['num_completions'][index]:,}"
        words = (f"{tasks['task_id'][index]}", cell(tasks["label"][index]), tasks["state"][index])
        table.add_row(*words, share, percent(tasks["success_rate"][index]), scores)
    return [table] if num_tasks else []


def cell(text: str) -> Text:
    """Returns a text of the user as a cell that shows it as it is, on one line."""
    return Text(one_line(text))


def right(title: str) -> Any:
    """Returns the head of a column of numbers."""
    return Column(title, justify="right")


WRITERS: dict[str, Callable[[Content, TextIO], None]] = {"table": write_tables, "json": write_json, "csv": write_csv}
"""Format -> what writes it."""
