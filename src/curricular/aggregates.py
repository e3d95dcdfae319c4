"""Aggregates a pool at one moment into rows of a recording: by label, by axis, by pairs of axes, and as histograms."""

from collections.abc import Iterator, Mapping
from itertools import combinations, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .metrics import by_label

Row = dict[str, Any]
"""Values of a row by column; a column that is missing is null."""

Tasks = Mapping[str, NDArray[Any]]
"""The columns that `Curriculum.tasks` returns."""

FILE_NAME = "recording.arrow"
"""Name of the file in the folder of a recording."""

MAX_BUCKETS = 24
"""Maximum number of buckets of an axis whose values are not divided into intervals."""

NUM_INTERVALS = 16
"""Number of intervals for an axis with more than `MAX_BUCKETS` different numbers."""

WIDE = 100.0
"""Ratio of the highest to the lowest number from which intervals may have equal ratios instead of equal widths."""

MAX_AXES = 6
"""Maximum number of axes that are recorded, the first ones of the generator."""

MAX_MAPPED_AXES = 3
"""Maximum number of axes of which every pair is recorded as a map."""

NUM_BINS = 20
"""Number of bins of a distribution."""

NUM_TASKS_LISTED = 10
"""Maximum number of tasks in each list of single tasks."""

REST = "(rest)"
"""Name of the bucket for all values without a separate bucket."""


class Buckets:
    """The buckets of one axis. Intervals are fixed by the first values; otherwise, new values get new buckets.

    Infinite values are in no interval: each of the two has a bucket.

    Args:
        values: The values of the tasks in the pool, shape (n,).
    """

    def __init__(self, values: NDArray[Any]) -> None:
        self._names: list[str] = []
        self._edges: NDArray[np.float64] | None = None
        if values.dtype.kind in "iuf":
            known = np.unique(values[np.isfinite(values)].astype(np.float64))
            if len(known) > MAX_BUCKETS:
                self._edges, self._names = _intervals(known)

    def place(self, values: NDArray[Any]) -> tuple[NDArray[np.int64], list[str]]:
        """Returns the bucket of each of `values`, shape (n,), −1 for a missing value, and the names of the buckets."""
        if self._edges is not None:
            numbers = values.astype(np.float64)
            places = np.searchsorted(self._edges[1:-1], numbers, side="right")
            for infinite in np.unique(numbers[np.isinf(numbers)]).tolist():
                places[numbers == infinite] = self._bucket(str(infinite))
            return np.where(np.isnan(numbers), -1, places), self._names
        kinds, inverse = np.unique(_texts(values), return_inverse=True)
        return np.array([self._bucket(text) for text in kinds.tolist()], np.int64)[inverse], self._names

    def _bucket(self, text: str) -> int:
        if not text:
            return -1
        if text not in self._names and len(self._names) >= MAX_BUCKETS - 1:
            text = REST
        if text not in self._names:
            self._names.append(text)
        return self._names.index(text)


def _intervals(known: NDArray[np.float64]) -> tuple[NDArray[np.float64], list[str]]:
    """Returns edges and names of `NUM_INTERVALS` intervals that divide the range of `known`, distinct numbers.

    Intervals have equal widths. They have equal ratios if `known` are evenly spread over orders of magnitude rather
    than over the range: if their median is nearer to the geometric than to the arithmetic mean of the ends. An interval
    of whole numbers is named by its first and last one, any other by its edges.

    Args:
        known: Finite, ascending, shape (n,).
    """
    low, high = known[0], known[-1]
    is_log = bool(low > 0.0 and high / WIDE >= low)
    if is_log:  # logarithms and halves, of which none is infinite
        logs = np.log(known)
        is_log = bool(2 * np.median(logs) < (logs[0] + logs[-1]) / 2 + np.log(low / 2 + high / 2))
    divided = np.geomspace if is_log else _evenly
    if (known == np.floor(known)).all():
        edges = np.unique(np.floor(divided(low, high + 1, NUM_INTERVALS + 1)))
        ends = zip(edges[:-1].tolist(), (edges[1:] - 1).tolist(), strict=True)
        return edges, [f"{first:.15g}" if first == last else f"{first:.15g} to {last:.15g}" for first, last in ends]
    edges = divided(low, high, NUM_INTERVALS + 1)
    return edges, [f"{first:.4g} to {last:.4g}" for first, last in pairwise(edges.tolist())]


def _evenly(low: float, high: float, n: int) -> NDArray[np.float64]:
    """Returns what `numpy.linspace` does, also where the range from `low` to `high` is wider than the largest float."""
    return 2 * np.linspace(low / 2, high / 2, n)


def _texts(values: NDArray[Any]) -> NDArray[np.str_]:
    """Returns `values` as texts, shape (n,); "" for a missing value."""
    if values.dtype.kind not in "iufb":
        return np.array(["" if value is None else str(value) for value in values.tolist()], np.str_)
    kinds, inverse = np.unique(values, return_inverse=True)
    texts = [f"{value:.6g}" if isinstance(value, float) else str(value) for value in kinds.tolist()]
    return np.array(["" if text == "nan" else text for text in texts], np.str_)[inverse]


def bucket_order(name: str, fallback: float) -> tuple[int, float]:
    """Returns the sort key of a bucket: its first number, or `fallback` if its name is not a number."""
    try:
        return 0, float(name.partition(" to ")[0])
    except ValueError:
        return 1, fallback


def grouped(places: NDArray[np.int64], names: list[str], tasks: Tasks) -> Iterator[Row]:
    """Yields a row for each group with tasks: their number, total probability, mean success rate and mean progress.

    Args:
        places: Index of the group of each task, shape (n,); −1: no group.
        names: Name of each group.
        tasks: The tasks.
    """
    num_groups = len(names)
    kept = places >= 0
    places = places[kept]
    counts = np.bincount(places, minlength=num_groups)
    probabilities = np.bincount(places, tasks["probability"][kept], num_groups)
    success, progress = tasks["success_rate"][kept], tasks["learning_progress"][kept]
    seen = ~np.isnan(success)
    num_seen = np.bincount(places[seen], minlength=num_groups)
    sums = {
        name: np.bincount(places[seen], values[seen], num_groups)
        for name, values in (("success", success), ("progress", progress))
    }
    for index in np.flatnonzero(counts).tolist():
        row: Row = {"num_tasks": float(counts[index]), "probability": float(probabilities[index]), "value": index}
        if num_seen[index]:
            row |= {name: float(total[index] / num_seen[index]) for name, total in sums.items()}
        yield {"item": names[index], **row}


def distribution(name: str, values: NDArray[np.float64]) -> Iterator[Row]:
    """Yields a row with the number of tasks for each of `NUM_BINS` equal bins of [0, 1]."""
    counts, edges = np.histogram(values[~np.isnan(values)], NUM_BINS, (0.0, 1.0))
    for low, count in zip(edges.tolist(), counts.tolist(), strict=False):
        yield {"kind": "distribution", "name": name, "value": low, "num_tasks": float(count)}


def describe(tasks: Tasks, index: int) -> str:
    """Returns a description of one task: its id, its label and its values on the axes.

    Examples:
        >>> describe({"task_id": np.array([7]), "label": np.array(["maze"]), "params/size": np.array([9])}, 0)
        'task 7 (maze, size 9)'
    """
    label = str(tasks["label"][index])
    values = {name.removeprefix("params/"): tasks[name][index] for name in tasks if name.startswith("params/")}
    axes = [f"{name} {_short(value)}" for name, value in values.items() if _is_news(name, value, label)]
    words = ", ".join(word for word in (label, *axes) if word)
    return f"task {tasks['task_id'][index]}" + (f" ({words})" if words else "")


def _is_news(name: str, value: Any, label: str) -> bool:
    """Returns whether a task has a value on the axis `name` that its label does not contain."""
    return value is not None and value == value and f"{name}={_short(value)}" not in label  # noqa: PLR0124  NaN


def _short(value: Any) -> str:
    """Returns a value as a text, a number without digits that say nothing."""
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def listed(tasks: Tasks) -> Iterator[Row]:
    """Yields rows for the tasks without a score that were handed out most often, and for those with most progress."""
    scored = tasks["num_completions"] > 0
    given = np.where(~scored, tasks["num_scheduled"], 0)
    progress = np.nan_to_num(tasks["learning_progress"])
    for name, order in (("never scored", given), ("most progress", progress)):
        for index in np.argsort(-order, kind="stable")[:NUM_TASKS_LISTED].tolist():
            if order[index] > 0:
                yield {"kind": "task", "name": name, "item": describe(tasks, index), "value": float(order[index])}


class Aggregator:
    """Makes the rows of each snapshot, with the same buckets of the axes in all snapshots."""

    def __init__(self) -> None:
        self._buckets: dict[str, Buckets] = {}

    def rows(self, stats: Mapping[str, float], tasks: Tasks) -> list[Row]:
        """Returns the rows of a snapshot.

        Args:
            stats: What `Curriculum.stats` returns.
            tasks: What `Curriculum.tasks` returns.
        """
        rows = [{"kind": "stat", "name": name, "value": value} for name, value in stats.items()]
        for label, of_label in sorted(by_label(stats).items()):
            columns = {"num_tasks": "num_tasks", "probability": "probability", "success": "success",
                       "progress": "learning_progress"}  # fmt: skip
            rows.append({"kind": "label", "item": label} | {to: of_label.get(key) for to, key in columns.items()})
        places = {}
        for name in [name for name in tasks if name.startswith("params/")][:MAX_AXES]:
            buckets = self._buckets.setdefault(name, Buckets(tasks[name]))
            places[name.removeprefix("params/")] = buckets.place(tasks[name])
        for name, (at, names) in places.items():
            rows += [{"kind": "axis", "name": name, **row} for row in grouped(at, names, tasks)]
        for (first, (at, names)), (second, (at_2, names_2)) in combinations([*places.items()][:MAX_MAPPED_AXES], 2):
            joint = np.where((at < 0) | (at_2 < 0), -1, at * len(names_2) + at_2)
            pairs = [f"{number}" for number in range(len(names) * len(names_2))]
            for row in grouped(joint, pairs, tasks):
                one, two = divmod(int(row["value"]), len(names_2))
                of_pair = {"kind": "map", "name": first, "name_2": second}
                rows.append({**row, **of_pair, "item": names[one], "item_2": names_2[two]})
        rows += distribution("success", tasks["success_rate"])
        rows += distribution("progress", tasks["learning_progress"])
        rows += listed(tasks)
        return rows
