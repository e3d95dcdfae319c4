"""Computes the figures of the view from samples: groups of tasks, timeline and rates. Pure functions of values."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..aggregates import Buckets, bucket_order, grouped, listed
from ..mastery import MASTERY, mastery_key
from ..metrics import by_label
from ..show import Content
from .sample import Sample

Order = Literal["draws", "success", "progress", "name"]

LABEL = "label"
"""Name of the grouping by label; the other groupings have the names of axes."""

ORDERS: tuple[Order, ...] = ("draws", "success", "progress", "name")
"""Orders of groups: the largest first, except for the success and the name, whose lowest comes first."""

MAX_POINTS = 256
"""Maximum length of a timeline. Beyond it, every second point is dropped, and later points are twice as far apart."""

RATE_TIME = 10.0
"""Time over which the throughput is averaged, in seconds."""


class Group(NamedTuple):
    """The tasks of one label, or with one value on an axis."""

    name: str
    num_tasks: float
    share: float
    """Chance that the next task is in the group."""
    success: float
    """Mean success rate of its tasks that have a score; NaN if there are none."""
    progress: float
    """Mean learning progress of these tasks; NaN if there are none."""


class State(NamedTuple):
    """The tasks in one state of `MASTERY`."""

    name: str
    num_tasks: float
    share: float
    """Chance that the next task is in this state."""


def groupings(content: Content) -> list[str]:
    """Returns the groupings of the tasks: by label if there are labels, and by each axis."""
    axes = [name.removeprefix("params/") for name in content.tasks if name.startswith("params/")]
    return [LABEL] * (bool(by_label(content.stats)) or not axes) + axes


def groups(content: Content, grouping: str, order: Order = "draws") -> list[Group]:
    """Returns the groups of one grouping, in order. An axis with many values has intervals, or a rest.

    Args:
        content: The content of a session.
        grouping: One of `groupings`.
        order: One of `ORDERS`.
    """
    found = _labels(content.stats) if grouping == LABEL else _along(grouping, content.tasks)
    if order == "name":
        return found  # the values of an axis in their own order
    if order == "success":
        return sorted(found, key=lambda group: (math.isnan(group.success), group.success))
    if order == "progress":
        return sorted(found, key=lambda group: (math.isnan(group.progress), -group.progress))
    return sorted(found, key=lambda group: -group.share)


def _labels(stats: Mapping[str, float]) -> list[Group]:
    """Returns the groups of the labels, by name."""
    return [
        Group(
            name,
            of_label["num_tasks"],
            of_label["probability"],
            *(of_label.get(key, math.nan) for key in ("success", "learning_progress")),
        )
        for name, of_label in by_label(stats).items()
    ]


def _along(axis: str, tasks: Mapping[str, NDArray[Any]]) -> list[Group]:
    """Returns the groups along an axis, in the order of its values."""
    values = tasks[f"params/{axis}"]
    rows = grouped(*Buckets(values).place(values), tasks)
    return [
        Group(
            row["item"],
            row["num_tasks"],
            row["probability"],
            *(row.get(name, math.nan) for name in ("success", "progress")),
        )
        for row in sorted(rows, key=lambda row: bucket_order(row["item"], row["value"]))
    ]


def states(content: Content) -> list[State]:
    """Returns the states of the tasks, with the number of tasks and the share of the draws."""
    keys = [(name, mastery_key(name)) for name in MASTERY]
    return [
        State(name, content.stats[f"{key}/num_tasks"], content.stats[f"{key}/probability"]) for name, key in keys
    ]  # fmt: skip


def tasks_listed(content: Content) -> dict[str, list[tuple[str, float]]]:
    """Returns description and value of the tasks with most progress, and of those never scored with most hand-outs."""
    found: dict[str, list[tuple[str, float]]] = {"most progress": [], "never scored": []}
    for row in listed(content.tasks):
        found[row["name"]].append((row["item"], row["value"]))
    return found


class Point(NamedTuple):
    """The figures of one moment that are drawn over time; NaN where nothing is known."""

    time: float
    completed: float
    success: float
    progress: float
    effective: float
    """Effective number of tasks in the draws."""
    rate: float = math.nan
    """Results per second over the last `RATE_TIME` seconds."""


def point(sample: Sample) -> Point:
    """Returns the figures of `sample` that are drawn over time."""
    stats: Mapping[str, float] = sample.content.stats
    names = ("success/mean", "learning_progress/mean", "probability/effective_num_tasks")
    return Point(sample.time, sample.counts["completed"], *(stats.get(name, math.nan) for name in names))


class Timeline:
    """The figures over time, from the first sample on, and the throughput of the last seconds."""

    def __init__(self) -> None:
        self.points: list[Point] = []
        """Points at equal distances, oldest first, and the latest point."""
        self._recent: list[Point] = []
        self._distance = 0.0

    def add(self, new: Point) -> None:
        """Adds a point. If results were lost, as after a load of an earlier checkpoint, begins anew."""
        if self._recent and new.completed < self._recent[-1].completed:
            self.points, self._recent, self._distance = [], [], 0.0
        self._recent = [old for old in self._recent if old.time >= new.time - RATE_TIME] + [new]
        first = self._recent[0]
        if new.time > first.time:
            new = new._replace(rate=(new.completed - first.completed) / (new.time - first.time))
        is_near = len(self.points) > 1 and self.points[-1].time - self.points[-2].time < self._distance
        self.points = [*self.points[: len(self.points) - is_near], new]
        if len(self.points) > MAX_POINTS:
            self.points = self.points[::2]
            self._distance = (self.points[-1].time - self.points[0].time) / len(self.points)


def resampled(values: Sequence[float], width: int) -> list[float]:
    """Returns at most `width` of `values`, the last one included, at equal distances."""
    if len(values) <= width:
        return list(values)
    return [values[round(index)] for index in np.linspace(0, len(values) - 1, width).tolist()]
