"""`TaskCache`: builds the configurations of tasks and keeps them. `Unbuildable`: gives up what cannot be built."""

import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Generic, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .backends.protocol import Backend
from .generators import TaskGenerator, copied, copier
from .generators.source import content_hash
from .mutex import ReentrantCallError
from .params import Layout
from .rows import Rows
from .table import BUILT_IN_REASONS, UNBUILDABLE, Table
from .task import Batch, ConfigT, Params, Task
from .tracker import TaskTracker

_log = logging.getLogger(__name__)


class TaskBuildError(RuntimeError):
    """A generator's `build` raised. The original exception is chained.

    Args:
        message: What happened, and how to fix it.
        task_id: Id of the task.
    """

    def __init__(self, message: str, task_id: int) -> None:
        super().__init__(message, task_id)
        self.task_id = task_id
        """Id of the task that could not be built."""

    def __str__(self) -> str:
        return str(self.args[0])


class TaskCache(dict[int, Task[ConfigT]], Generic[ConfigT]):
    """Id -> task. Builds a missing task; beyond `CACHE_SIZE` tasks, forgets the one built first.

    The dict has the tasks whose configurations cannot change. Of any other task, each look-up returns a new object with
    a copy of the configuration, so that a caller may change it.

    If a task was evicted after it was drawn, the cache returns its successor in the slot, so read the id of the task
    returned.

    Args:
        backend: Where the rows are.
        generator: Builds the tasks.
    """

    def __init__(self, backend: Backend, generator: TaskGenerator[ConfigT]) -> None:
        super().__init__()
        self._backend = backend
        self._generator = generator
        self.layout: Layout = Layout(generator.axes)
        """Layout of the generator's params."""
        self._epoch = self._num_rewrites = -1
        self._ids: deque[int] = deque()
        self._templates: dict[int, tuple[Callable[[], ConfigT], str, Callable[[], dict[str, Any]]]] = {}

    def __missing__(self, task_id: int) -> Task[ConfigT]:
        template = self._templates.get(task_id)
        if template is None:
            row = self._backend.read(np.array([task_id % self._backend.capacity]))
            self._build(row)
            return self[int(row["task_id"][0])]
        make_config, label, make_params = template
        return _task(task_id, make_config(), label, make_params())

    def take(self, task_ids: list[int]) -> list[Task[ConfigT]]:
        """Returns the tasks that look-ups of `task_ids` give. Rows of tasks that are not built are read together.

        Raises:
            TaskBuildError: If a task cannot be built. The tasks before it are remembered.
        """
        found = list(map(self.get, task_ids))
        if all(found):
            return cast("list[Task[ConfigT]]", found)
        missing = [task_id for task_id in dict.fromkeys(task_ids) if not self._has(task_id)]
        if missing:
            self._build(self._backend.read(np.array(missing) % self._backend.capacity))
        return [self[task_id] for task_id in task_ids]

    def of_row(self, row: Rows) -> Task[ConfigT]:
        """Builds the task of `row`, which has the length 1, even if the task was evicted or rewritten since."""
        return self._built(int(row["task_id"][0]), int(row["seed"][0]), row["params"][0])

    def configs(self, batch: Batch) -> list[ConfigT]:
        """Returns the configuration of each task of `batch`, even if the task was evicted since it was handed out.

        Raises:
            TaskBuildError: If a task cannot be built.
        """
        self.follow()
        rows = self._backend.read(batch.task_ids % self._backend.capacity)
        # Only what the rows have is remembered: other calls return it.
        is_here = (rows["task_id"] == batch.task_ids) & (rows["seed"] == batch.seeds)
        is_here &= np.isclose(rows["params"], batch.params, rtol=0.0, atol=0.0, equal_nan=True).all(axis=1)
        configs = []
        tasks = zip(batch.task_ids.tolist(), batch.seeds.tolist(), batch.params, is_here.tolist(), strict=True)
        for task_id, seed, params, is_remembered in tasks:
            if is_remembered and not self._has(task_id):
                self._remember(task_id, seed, params)
            task = self[task_id] if is_remembered else self._built(task_id, seed, params)
            configs.append(task.config)
        return configs

    def _built(self, task_id: int, seed: int, params: Params) -> Task[ConfigT]:
        """Builds a task, and does not remember it."""
        values = self.layout.decode(params)
        config = build_config(self._generator, seed, params, values, task_id)
        return _task(task_id, copied(config), self._generator.label_of(seed, params), copied(values))

    def _has(self, task_id: int) -> bool:
        """Returns whether the task is built."""
        return task_id in self or task_id in self._templates

    def _build(self, rows: Rows) -> None:
        """Builds the tasks of `rows` that the cache lacks, in order, and remembers them."""
        for task_id, seed, params in zip(rows["task_id"].tolist(), rows["seed"].tolist(), rows["params"], strict=True):
            if not self._has(task_id):  # as the successor of an evicted task may be
                self._remember(task_id, seed, params)

    def _remember(self, task_id: int, seed: int, params: Params) -> None:
        """Builds a task and remembers it."""
        values = self.layout.decode(params)
        config = build_config(self._generator, seed, params, values, task_id)
        label = self._generator.label_of(seed, params)
        if len(self._ids) >= CACHE_SIZE:
            oldest = self._ids.popleft()
            self.pop(oldest, None)
            self._templates.pop(oldest, None)
        self._ids.append(task_id)
        make_config, make_params = copier(config), copier(values) or values.copy
        if make_config is None:
            self[task_id] = _task(task_id, config, label, make_params())
        else:
            self._templates[task_id] = make_config, label, make_params

    @property
    def num_built(self) -> int:
        """Number of tasks in the cache."""
        return len(self._ids)

    def follow(self) -> None:
        """Forgets all tasks if any process has rewritten params since the last call. A new epoch says so."""
        epoch = self._backend.epoch
        if epoch != self._epoch:
            num_rewrites = self._backend.glance()[0].num_rewrites
            if num_rewrites != self._num_rewrites:
                self.clear()
                self._num_rewrites = num_rewrites
            self._epoch = epoch

    def clear(self) -> None:
        """Forgets all tasks."""
        super().clear()
        self._templates.clear()
        self._ids.clear()


def build_config(
    generator: TaskGenerator[ConfigT], seed: int, params: Params, values: dict[str, Any], task_id: int
) -> ConfigT:
    """Returns the configuration of a task.

    Args:
        generator: Builds it.
        seed: Seed of the task.
        params: Params of the task, shape (num_params,).
        values: Axis name -> value, for the error.
        task_id: Id of the task, for the error.

    Raises:
        TaskBuildError: If the generator raises.
    """
    try:
        return generator.build(seed, params)
    except ReentrantCallError:
        raise
    except Exception as error:  # a user's build may raise anything; it is named and chained
        raise TaskBuildError(
            f"generator.build: expected a configuration, got {type(error).__name__}: {error}, for task {task_id} "
            f"with seed {seed} and params {values}; fix the generator",
            task_id,
        ) from error


def find_config(table: Table, generator: TaskGenerator[ConfigT], layout: Layout, config: ConfigT) -> int:
    """Returns the id of the first task in `table` whose configuration has the content of `config`.

    Args:
        table: The pool.
        generator: Builds its tasks.
        layout: Layout of the generator's params.
        config: The configuration to find.

    Raises:
        KeyError: If there is no such task.
    """
    wanted, slots, built = content_hash(config), np.flatnonzero(table.rows["is_active"]), []
    rows = table.rows.take(slots)
    for task_id, seed, params in zip(rows["task_id"].tolist(), rows["seed"].tolist(), rows["params"], strict=True):
        try:
            found = build_config(generator, seed, params, layout.decode(params), task_id)
        except TaskBuildError:
            continue
        if content_hash(found) == wanted:
            return int(task_id)
        built.append(found)
    some = ", ".join(f"{found!r:.100}" for found in built[:3])
    raise KeyError(
        f"config: expected the configuration of a task in the pool, which has {len(slots)} tasks ({some}, …), got "
        f"{config!r:.100}; pass one of these, or an id from tasks()['task_id'] to ask_for"
    )


_set_id, _set_config, _set_label, _set_params = (
    vars(Task)[name].__set__ for name in ("task_id", "config", "label", "params")
)


def _task(task_id: int, config: ConfigT, label: str, params: dict[str, Any]) -> Task[ConfigT]:
    """Returns a task, at half the cost of the `__init__` of a frozen dataclass."""
    task: Task[ConfigT] = object.__new__(Task)
    _set_id(task, task_id)
    _set_config(task, config)
    _set_label(task, label)
    _set_params(task, params)
    return task


CACHE_SIZE = 100_000
"""Number of built tasks that a `TaskCache` keeps."""


class Unbuildable:
    """Cancels the hand-outs of tasks that cannot be built, and says when to stop trying others.

    Args:
        tasks: Builds the tasks.
        tracker: Logs the cancellations.
        count_cancelled: Called with the ids that were cancelled, and with whether the log is due to be flushed.
    """

    def __init__(
        self,
        tasks: TaskCache[Any],
        tracker: TaskTracker,
        count_cancelled: Callable[[NDArray[np.int64], bool], None],
    ) -> None:
        self._tasks = tasks
        self._tracker = tracker
        self._count_cancelled = count_cancelled
        self._reported: set[int] = set()

    def give_up(self, error: TaskBuildError) -> None:
        """Cancels the hand-out of the task that could not be built; warns once per task."""
        if error.task_id not in self._reported:
            self._reported.add(error.task_id)
            _log.warning("task %d cannot be built and is passed over: %s", error.task_id, error)
        self.cancel([error.task_id], BUILT_IN_REASONS[UNBUILDABLE])

    def cancel(self, task_ids: ArrayLike, reason: str) -> None:
        """Cancels hand-outs of `task_ids`, shape (n,)."""
        self._count_cancelled(*self._tracker.cancel(task_ids, reason))

    def is_hopeless(self, in_a_row: Sequence[int]) -> bool:
        """Returns whether to stop trying after the tasks with the ids `in_a_row` could not be built, one by one."""
        capacity = self._tracker.capacity
        limit = capacity if self._tasks.num_built else min(MAX_UNBUILDABLE, capacity)
        return len(in_a_row) >= MAX_TRIES or len({*in_a_row}) >= limit


MAX_UNBUILDABLE = 20
"""Number of different unbuildable tasks in a row after which asking raises `TaskBuildError`, if none was built yet.

A grid of values may have many combinations that its configuration rejects. If three in four are, 20 in a row are
as rare as 1 in 300; and once a task was built, the generator works."""


MAX_TRIES = 1000
"""Number of draws of unbuildable tasks in a row, of any number of tasks, after which asking raises `TaskBuildError`."""
