"""`read_content`: the content of a checkpoint or a session as plain data: settings, statistics and tasks."""

import os
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .aggregates import FILE_NAME
from .backends.catalogue import nearest_sessions, open_reader
from .checkpoint import read_checkpoint, unpack_table
from .config import threshold_of
from .metrics import label_name, range_of, summary
from .outline import axes_of
from .params import Layout
from .table import Table
from .texts import many
from .views import Pool

SETTINGS_HIDDEN = {"score_range", "success_threshold", "generator"}
"""Settings that are shown with their values in effect instead, or that mean nothing to a reader."""


NUMBERS_SHOWN = ("probability", "success_rate", "score", "learning_progress", "num_scheduled", "num_completions",
                 "num_cancelled", "seed")  # fmt: skip
"""Fields of a `TaskView` that are shown of each task."""


class Content(NamedTuple):
    """The content of a checkpoint or a session."""

    source: str
    """Kind and name, such as ``checkpoint run.npz``."""
    settings: dict[str, Any]
    """Settings by name, with the size of the pool, the score range and the success threshold in effect."""
    stats: dict[str, float]
    """Statistics with the keys of `Curriculum.stats`, for the distribution in use."""
    tasks: dict[str, NDArray[Any]]
    """Active tasks as columns, those with the largest share of the draws first, shape (n,) each."""


def read_content(name: str) -> Content:
    """Reads the checkpoint at the path `name`, or the session with that name.

    Raises:
        CheckpointError: If the file is damaged or not a checkpoint.
        ValueError: If `name` is the path of a recording.
        KeyError: If there is neither a file nor a session with this name.
        SessionError: If the session cannot be read.
        OSError: If the file cannot be read.
    """
    path = Path(name)
    if path.name == FILE_NAME or os.path.isfile(path / FILE_NAME):  # noqa: PTH113  false for what can be no path
        folder = path.parent if path.name == FILE_NAME else path
        raise ValueError(
            f"name: expected a checkpoint or a session, got the recording {name!r}; use `curricular report {folder}`"
        )
    if os.path.isfile(path):  # noqa: PTH113
        state = read_checkpoint(name)
        return content_of(f"checkpoint {name}", state["config"], unpack_table(state), state["axes"])
    try:
        reader = open_reader(name)
    except KeyError:
        names = nearest_sessions(name) or "none"
        raise KeyError(
            f"name: expected a checkpoint or a session, got {name!r}, which is neither; the sessions are: {names}"
        ) from None
    with closing(reader):
        source = f"session {name} ({many(reader.info().num_workers, 'live worker')})"
        return content_of(source, reader.settings, reader.table(), reader.axes)


def content_of(source: str, settings: Mapping[str, Any], table: Table, outlined: Any = ()) -> Content:
    """Returns the content of a table.

    Args:
        source: Kind and name of where the table comes from.
        settings: The settings of the pool.
        table: The table.
        outlined: Outline of the generator's axes, which is ignored if it is none.
    """
    declared: Any = settings["score_range"]
    score_range = range_of(table, declared if isinstance(declared, str) else (declared[0], declared[1]))
    slow_rate = settings["ema_timescale"] * settings["slow_timescale_factor"]
    probabilities = np.diff(table.cumulated, prepend=0.0).clip(0.0) * table.rows["is_active"]
    total = probabilities.sum()
    probabilities = probabilities / total if total > 0 else probabilities
    in_effect = {
        "num_active_tasks": len(table.rows),
        "score_range": [*score_range],
        "success_threshold": threshold_of(settings.get("success_threshold"), score_range),
        "slow_rate": slow_rate,
    }
    others = {key: value for key, value in settings.items() if key not in SETTINGS_HIDDEN | in_effect.keys()}
    stats = summary(table, probabilities, score_range, slow_rate, settings["max_failures"])
    pool = Pool(table, np.full(len(table.rows), np.nan), probabilities, score_range, slow_rate)
    return Content(source, in_effect | others, stats, _tasks(pool, _axes(outlined, table.rows.num_axes)))


def _axes(outlined: Any, num_axes: int) -> Layout | None:
    """Returns the layout of params with the axes in `outlined`; None if these are not known."""
    try:
        layout = Layout(axes_of(outlined))
    except (KeyError, TypeError, ValueError, RecursionError):  # another program wrote into the file
        return None
    return layout if layout.num_params == num_axes else None


def _tasks(pool: Pool, layout: Layout | None) -> dict[str, NDArray[Any]]:
    """Returns the columns of the tasks in `pool`, whose priorities are not known."""
    rows = pool.table.rows
    (slots,) = np.nonzero(rows["is_active"])
    slots = slots[np.argsort(-pool.probabilities[slots], kind="stable")]
    labels = np.array([label_name(pool.table.labels, n) for n in range(pool.table.counters.num_labels)], np.object_)
    axes = {} if layout is None else layout.decode_columns(rows["params"][slots])
    numbers = pool.numbers(slots)
    return {
        "task_id": numbers["task_id"],
        "label": labels.take(rows["label_index"][slots]),
        **{f"params/{name}": column for name, column in axes.items()},
        "state": pool.states(slots),
        **{name: numbers[name] for name in NUMBERS_SHOWN},
    }
