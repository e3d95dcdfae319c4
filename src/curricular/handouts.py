"""From a stream of random numbers to a built task: which tasks come next, and their configurations."""

import logging
from collections import deque
from operator import index
from typing import Generic

import numpy as np
from numpy.typing import NDArray

from .backends.protocol import Backend
from .generators import TaskGenerator
from .mutex import ReentrantCallError
from .streams import UNIFORM_BLOCK, stream_key, uniform_block
from .task import ConfigT, Task, decode_params
from .tracker import TaskTracker

_log = logging.getLogger(__name__)

MAX_TRIES = 1000
"""Draws of tasks that cannot be built, of whatever number of tasks, after which `TaskBuildError` is raised."""

CACHE_SIZE = 100_000
"""Tasks whose configurations are kept built."""


class TaskBuildError(RuntimeError):
    """A generator's `build` raised. The cause is chained."""

    def __init__(self, message: str, task_id: int) -> None:
        super().__init__(message, task_id)
        self.task_id = task_id
        """The task that could not be built."""

    def __str__(self) -> str:
        return str(self.args[0])


class TaskCache(dict[int, Task[ConfigT]], Generic[ConfigT]):
    """Id -> task. Builds what is missing; beyond `CACHE_SIZE` forgets what was built first.

    In place of a task that was evicted since it was drawn, its successor in the slot: look at the task's own id.
    """

    def __init__(self, backend: Backend, generator: TaskGenerator[ConfigT]) -> None:
        super().__init__()
        self._backend = backend
        self._generator = generator
        self._ids: deque[int] = deque()

    def __missing__(self, task_id: int) -> Task[ConfigT]:
        row = self._backend.read(np.array([task_id % self._backend.capacity]))
        task_id, seed, params = int(row["task_id"][0]), int(row["seed"][0]), row["params"][0]
        values = decode_params(self._generator.axes, params)
        try:
            config = self._generator.build(seed, params)
        except ReentrantCallError:
            raise
        except Exception as error:  # a user's build may raise anything; it is named, chained and raised on
            raise TaskBuildError(
                f"generator: expected build to return a configuration, got {type(error).__name__}: {error}, for task "
                f"{task_id} with seed {seed} and params {values}; correct the generator",
                task_id,
            ) from error
        if len(self._ids) >= CACHE_SIZE:
            self.pop(self._ids.popleft(), None)
        self._ids.append(task_id)
        task = self[task_id] = Task(task_id, config, self._generator.label_of(seed, params), values)
        return task

    def clear(self) -> None:
        """Forgets all tasks."""
        super().clear()
        self._ids.clear()


DRAW_AHEAD = 256
"""Tasks that `peek` draws at once."""


HOLDER_STRIDE = 2**32
"""Distance between the stream numbers of the objects that draw through one backend object."""

_SELECTION = 0
"""Sets these streams apart from those of task generation."""


class Draws:
    """A position in a stream of uniforms, and the tasks that it leads to.

    Looking does not move the position, so that what fails in between can be tried again; `advance` does. A task is a
    function of the stream, the position and the distribution in use: the state of a stream is two integers.
    """

    def __init__(self, backend: Backend, seed: int) -> None:
        self._backend = backend
        self._seed = seed
        self._holder = backend.add_holder()
        self._issued = -1
        self._block: list[int] = []
        self._offset = 0
        self._epoch = -1
        self._follow()

    @property
    def stream(self) -> int:
        """Which stream."""
        return self._stream

    @property
    def position(self) -> int:
        """Uniforms used so far."""
        return self._position

    def seek(self, stream: int, position: int) -> None:
        """Goes on at a position of a stream, which no other process may be using."""
        self._issued = self._backend.stream
        self._start(stream, position)

    def advance(self, count: int) -> None:
        """Uses up `count` uniforms."""
        self._position += count
        self._offset += count

    def peek(self) -> int:
        """The id of the next task."""
        if self._offset >= len(self._block) or self._backend.epoch != self._epoch:
            self._follow()
            ids, self._epoch = self._backend.draw(self._uniforms(0, DRAW_AHEAD))
            self._block, self._offset = ids.tolist(), 0
        return self._block[self._offset]

    def look(self, n: int) -> tuple[NDArray[np.int64], int]:
        """The ids of the next `n` tasks, shape (n,), and the uniforms that they take: n."""
        self._follow()
        return self._backend.draw(self._uniforms(0, n))[0], n

    def look_distinct(self, n: int) -> tuple[NDArray[np.int64], int]:
        """The ids of `n` distinct tasks, each drawn without those before it, and the uniforms that they take."""
        self._follow()
        used = 0
        chosen: dict[int, None] = {}
        for _ in range(4):
            if len(chosen) < n:
                ids, _ = self._backend.draw(self._uniforms(used, n))
                chosen.update(dict.fromkeys(ids.tolist()))
                used += n
        ids = np.fromiter(chosen, np.int64, len(chosen))[:n]
        if len(ids) == n:
            return ids, used
        # A few tasks hold nearly all of the probability: weigh the rest by exponential clocks, which is the same law.
        table = self._backend.snapshot()
        chances = np.diff(table.cumulated, prepend=0.0)
        uniforms = self._uniforms(used, len(chances))
        clocks = np.full(len(chances), np.inf)
        is_possible = chances > 0
        clocks[is_possible] = -np.log1p(-uniforms[is_possible]) / chances[is_possible]
        order = np.argsort(clocks, kind="stable")
        rest = order[~np.isin(table.rows["task_id"][order], ids)]
        return np.concatenate([ids, table.rows["task_id"][rest[: n - len(ids)]]]), used + len(chances)

    def _follow(self) -> None:
        """Goes over to the stream that the backend has issued: at first, in a forked copy, and after a restore."""
        if self._backend.stream != self._issued:
            self._issued = self._backend.stream
            self._start(self._issued + self._holder * HOLDER_STRIDE, 0)

    def _start(self, stream: int, position: int) -> None:
        self._stream, self._position = stream, position
        self._key = stream_key(self._seed, _SELECTION, stream)
        self._cached: tuple[int, NDArray[np.float64]] = (-1, np.empty(0))
        self._epoch = -1

    def _uniforms(self, skip: int, n: int) -> NDArray[np.float64]:
        """`n` uniforms of the stream, from `skip` after the position on, shape (n,)."""
        first, offset = divmod(self._position + skip, UNIFORM_BLOCK)
        last = max(first, (self._position + skip + n - 1) // UNIFORM_BLOCK)
        blocks = []
        for block in range(first, last + 1):
            if self._cached[0] != block:
                self._cached = block, uniform_block(self._key, block)
            blocks.append(self._cached[1])
        uniforms = blocks[0] if len(blocks) == 1 else np.concatenate(blocks)
        return uniforms[offset : offset + n]


MAX_UNBUILDABLE = 5
"""Different tasks in a row that cannot be built, after which `TaskBuildError` is raised."""


class Detour(Generic[ConfigT]):
    """Hands out other tasks instead of those that cannot be built, which end as cancelled."""

    def __init__(self, tasks: TaskCache[ConfigT], draws: Draws, tracker: TaskTracker) -> None:
        self._tasks = tasks
        self._draws = draws
        self._tracker = tracker
        self._reported: set[int] = set()

    def next(self) -> Task[ConfigT]:
        """Returns the next task that can be built; the caller advances past it.

        Raises:
            TaskBuildError: If `MAX_UNBUILDABLE` different tasks in a row, or all, cannot be built.
        """
        failed: set[int] = set()
        limit = min(MAX_UNBUILDABLE, self._tracker.capacity)
        num_tries = 0
        while True:
            try:
                return self._tasks[self._draws.peek()]
            except TaskBuildError as error:
                self._give_up(error)
                self._draws.advance(1)
                failed.add(error.task_id)
                num_tries += 1
                if len(failed) >= limit or num_tries >= MAX_TRIES:
                    raise

    def take(self, n: int, *, replace: bool) -> tuple[list[Task[ConfigT]], int]:
        """Returns `n` tasks that can be built, and how many draws the caller has to advance past.

        Raises:
            TaskBuildError: As `next` does; without replacement, if too few tasks of the pool can be built.
        """
        if replace:
            tasks = []
            for _ in range(n):
                tasks.append(self.next())
                self._draws.advance(1)
            return tasks, 0
        failed: set[int] = set()
        while True:
            ids, num_draws = self._draws.look_distinct(n + len(failed))
            try:
                built = [self._tasks[task_id] for task_id in ids.tolist() if task_id not in failed]
            except TaskBuildError as error:
                self._give_up(error)
                failed.add(error.task_id)
                if n + len(failed) > self._tracker.capacity:
                    raise
            else:
                return built[:n], num_draws

    def _give_up(self, error: TaskBuildError) -> None:
        """Ends the hand-out of a task that cannot be built."""
        if error.task_id not in self._reported:
            self._reported.add(error.task_id)
            _log.warning("task %d cannot be built and is passed over: %s", error.task_id, error)
        self._tracker.schedule(error.task_id)
        self._tracker.cancel([error.task_id])


def checked_number(n: int, limit: int | None) -> int:
    """Returns `n` as an int.

    Raises:
        TypeError: If it is no whole number.
        ValueError: If it is negative, or above `limit`, if that is given.
    """
    try:
        number = index(n)
    except TypeError as error:
        raise TypeError(f"n: expected a whole number of tasks, got {n!r}; round it") from error
    if number < 0 or (limit is not None and number > limit):
        shown = "any number of" if limit is None else limit
        raise ValueError(f"n: expected 0 to {shown} tasks, got {number}; ask for another number")
    return number
