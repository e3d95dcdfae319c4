"""`TaskView` and `Pool`: the statistics of one task in a pool, or of all tasks as columns."""

from collections.abc import Mapping
from dataclasses import dataclass
from operator import index
from typing import Any, Generic, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .generators import TaskGenerator, task_labels
from .mastery import MASTERY, mastery
from .metrics import label_name
from .params import Layout
from .rows import Rows
from .table import Table
from .task import ConfigT, Task


@dataclass(frozen=True, slots=True)
class TaskView(Generic[ConfigT]):
    """One task in the pool and its statistics. Averages and scores are None until a score was told for the task."""

    task_id: int
    """Id of the task."""
    label: str
    """Group of the task in the per-label statistics."""
    config: ConfigT
    """What the environment is built or reset from."""
    params: Mapping[str, Any]
    """Axis name -> value, as in `Task.params`."""
    seed: int
    """Seed from which, with the params, the generator builds the task."""
    probability: float
    """Probability of the task in a draw, computed from all results so far, as in `Curriculum.probabilities`."""
    priority: float
    """Priority of the task, in the unit of the algorithm: higher means more to learn."""
    score: float | None
    """Slow average of the task's scores, in the user's units."""
    last_score: float | None
    """Last score told, in the user's units."""
    success_rate: float | None
    """Share of the task's scores that reach `success_threshold`, averaged at the slow rate."""
    state: str
    """State of the task by its results, one of `MASTERY`, such as ``"mastered"``."""
    learning_progress: float | None
    """Absolute difference of the fast and the slow average of the score, scaled to [0, 1], as in `Curriculum.stats`."""
    success_threshold: float
    """Lowest score that counts as a success, in the user's units."""
    num_scheduled: int
    """Number of hand-outs of the task."""
    num_completions: int
    """Number of scores told for the task; each score of a group counts."""
    num_cancelled: int
    """Number of hand-outs of the task that were cancelled."""
    num_failures: int
    """Number of hand-outs of the task that were cancelled since its last score. Those that a dead worker or node had
    out count once."""
    num_pending: int
    """Number of hand-outs of the task that were neither told nor cancelled so far."""
    staleness: int
    """Number of hand-outs of the whole pool since the task's last one, or since its admission."""
    creation_time: float
    """Time at which the task entered the pool, in seconds since the epoch."""


_STORED = (
    "seed",
    "success_threshold",
    "num_scheduled",
    "num_completions",
    "num_cancelled",
    "num_failures",
    "num_pending",
    "creation_time",
)
"""Names of the fields of `TaskView` that are fields of `TaskState` too."""


Slots: TypeAlias = NDArray[np.int64] | slice
"""Indices of rows."""

_MASTERY = np.array(MASTERY, np.object_)


class Pool(NamedTuple):
    """A table, with the priorities and probabilities computed from it."""

    table: Table
    """The table."""
    priorities: NDArray[np.float64]
    """Priority of each slot, shape (capacity,)."""
    probabilities: NDArray[np.float64]
    """Probability of each slot, shape (capacity,)."""
    score_range: tuple[float, float]
    """Lowest and highest score, in the user's units."""
    slow_rate: float
    """Rate of the slow averages, per score."""

    def states(self, slots: Slots) -> NDArray[np.object_]:
        """Returns the state of the tasks in `slots` as names in `MASTERY`, shape (k,)."""
        rows = Rows(self.table.rows.words[:, slots])
        return _MASTERY.take(mastery(rows, self.slow_rate, self.score_range))

    def numbers(self, slots: Slots) -> dict[str, NDArray[Any]]:
        """Returns the numeric fields of `TaskView` by name, shape (k,) each, for the tasks in `slots`; NaN is None."""
        rows, (low, high) = self.table.rows, self.score_range
        columns = {name: rows[name][slots] for name in _STORED}
        unknown = np.where(columns["num_completions"] > 0, 0.0, np.nan)
        slow = rows["slow_ema"][slots] + unknown
        return {
            "task_id": rows["task_id"][slots],
            "probability": self.probabilities[slots],
            "priority": self.priorities[slots],
            "score": low + (high - low) * slow,
            "last_score": low + (high - low) * (rows["last_score"][slots] + unknown),
            "success_rate": rows["success_ema"][slots] + unknown,
            "learning_progress": np.abs(rows["fast_ema"][slots] - slow),
            "staleness": self.table.counters.num_scheduled - rows["last_scheduled"][slots],
            **columns,
        }

    def task(self, slot: int, task: Task[ConfigT]) -> TaskView[ConfigT]:
        """Returns the view of `task`, the task in `slot`."""
        numbers = {name: column.item() for name, column in self.numbers(np.array([slot])).items()}
        values: dict[str, Any] = {name: None if value != value else value for name, value in numbers.items()}  # noqa: PLR0124  NaN
        state = self.states(np.array([slot]))[0]
        return TaskView(label=task.label, config=task.config, params=task.params, state=state, **values)

    def columns(self, generator: TaskGenerator[Any], layout: Layout) -> dict[str, NDArray[Any]]:
        """Returns one column per axis and per field of `TaskView` except `config`, for all active tasks by slot.

        Args:
            generator: The generator of the tasks.
            layout: Layout of the generator's params.
        """
        active = self.table.rows["is_active"]
        slots: Slots = slice(None) if active.all() else np.flatnonzero(active)  # a slice copies nothing
        axes = layout.decode_columns(self.table.rows["params"][slots])
        numbers = self.numbers(slots)
        return {
            "task_id": numbers.pop("task_id"),
            "label": self._labels(slots, generator),
            **{f"params/{name}": column for name, column in axes.items()},
            "state": self.states(slots),
            **numbers,
        }

    def _labels(self, slots: Slots, generator: TaskGenerator[Any]) -> NDArray[np.object_]:
        """Returns the labels of the tasks in `slots` as strings, shape (k,)."""
        table, num_labels = self.table, self.table.counters.num_labels
        names = np.array([label_name(table.labels, number) for number in range(num_labels)], np.object_)
        indices = table.rows["label_index"][slots]
        labels = names.take(indices)
        is_other = indices == 0  # "other" stands for labels that are not stored
        seeds, params = table.rows["seed"][slots], table.rows["params"][slots]
        labels[is_other] = task_labels(generator, seeds[is_other], params[is_other])
        return labels


def find_slot(table: Table, task_id: int) -> int:
    """Returns the slot of the task with the id `task_id`.

    Raises:
        TypeError: If `task_id` is not an integer.
        KeyError: If the task is not in the pool.
    """
    advice = "pass the task_id of a task in the pool, as in tasks()['task_id']"
    try:
        number = index(task_id)
    except TypeError as error:
        raise TypeError(f"task_id: expected an integer, got {task_id!r}; {advice}") from error
    if isinstance(task_id, bool):
        raise TypeError(f"task_id: expected an integer, got {task_id!r}; {advice}")
    slot = number % len(table.rows)
    newest = int(table.rows["task_id"][slot])
    is_active = bool(table.rows["is_active"][slot])
    if number == newest and is_active:
        return slot
    if 0 <= number <= newest:
        raise KeyError(f"task_id: expected a task in the pool, got {task_id}, which was evicted or removed; {advice}")
    raise KeyError(f"task_id: expected an id that was issued, got {task_id}; {advice}")
