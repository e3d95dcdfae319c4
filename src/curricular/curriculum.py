"""`Curriculum`: ask for tasks, tell the scores. The one place where generator, algorithm, tracker and backend meet."""

import logging
import time
from collections.abc import Mapping
from functools import cached_property
from operator import index
from typing import Any, Generic, Self, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .algorithms import Algorithm, create_algorithm
from .backends import Backend, Transaction
from .config import CurriculumConfig
from .generators import SeedGenerator, TaskGenerator, fingerprint
from .metrics import summary
from .samplers import UNIFORM_BLOCK, cumulative, stream_key, uniform_block
from .scorers import Columns
from .table import Counters, Patch, Table, admit, copy_table, lowest, num_evictions_due, refresh, restore
from .task import ConfigT, Rows, Task, TaskState, decode_params
from .tracker import create_task_tracker

STATE_VERSION = 1
"""Format of `Curriculum.state_dict`."""

_STATE_KEYS = {"version", "generator", "config", "rows", "labels", "counters", "cumulated", "stream", "num_draws"}

CACHE_SIZE = 100_000
"""Tasks whose configurations are kept built."""

DRAW_AHEAD = 128
"""Tasks that `get_task` draws at once."""

MIN_INTERVAL = 32
"""Results between two refreshes of the distribution, at the least."""

_SELECTION, _GENERATION, _ORDER = 0, 1, 2
"""Streams of random numbers, independent of each other."""

_log = logging.getLogger(__name__)


class TaskBuildError(RuntimeError):
    """A generator's `build` raised. The cause is chained."""


class _TaskCache(dict[int, Task[ConfigT]], Generic[ConfigT]):
    """Id -> task. Builds what is missing; beyond `CACHE_SIZE` forgets what was built first."""

    def __init__(self, backend: Backend, generator: TaskGenerator[ConfigT]) -> None:
        super().__init__()
        self._backend = backend
        self._generator = generator

    def __missing__(self, task_id: int) -> Task[ConfigT]:
        row = self._backend.read(np.array([task_id % self._backend.capacity]))
        seed, params = int(row["seed"][0]), row["params"][0]
        values = decode_params(self._generator.axes, params)
        try:
            config = self._generator.build(seed, params)
        except Exception as error:  # a user's build may raise anything; it is named, chained and raised on
            raise TaskBuildError(
                f"generator: expected build to return a configuration, got {type(error).__name__}: {error}, for task "
                f"{task_id} with seed {seed} and params {values}; mend the generator"
            ) from error
        if len(self) >= CACHE_SIZE:
            del self[next(iter(self))]
        task = self[task_id] = Task(task_id, config, self._generator.label(seed, params), values)
        return task


class Curriculum(Generic[ConfigT]):
    """A pool of tasks that hands out those worth training on.

    `config` says how tasks are chosen, `generator` where they come from; without one, a task's configuration is its
    seed. `algorithm` and `backend` may be objects of your own; by default they are those that `config` names.

    Raises `ValueError` if the pool is to hold more tasks than there are.

    >>> from curricular import Curriculum, LearningProgressConfig
    >>> curriculum = Curriculum(LearningProgressConfig.default(num_active_tasks=8))
    >>> tasks = curriculum.ask(4)
    >>> curriculum.tell([task.task_id for task in tasks], [0.0, 0.5, 1.0, 1.0])
    >>> curriculum.stats()["num_completed"]
    4.0
    """

    def __init__(
        self,
        config: CurriculumConfig,
        generator: TaskGenerator[ConfigT] | None = None,
        *,
        algorithm: Algorithm | None = None,
        backend: Backend | None = None,
    ) -> None:
        self.config = config
        self.generator = cast(TaskGenerator[ConfigT], SeedGenerator()) if generator is None else generator
        self.algorithm = create_algorithm(config) if algorithm is None else algorithm
        num_tasks = self.generator.num_tasks
        if num_tasks is not None and config.num_active_tasks > num_tasks:
            raise ValueError(
                f"num_active_tasks: expected at most the {num_tasks} distinct tasks of the generator, got "
                f"{config.num_active_tasks}; set num_active_tasks={num_tasks}"
            )
        self.tracker = create_task_tracker(
            config, len(self.generator.axes), identity=fingerprint(self.generator), backend=backend
        )
        self._backend = self.tracker.backend
        self._own_stream = -1
        self._follow_stream()
        self._block: list[int] = []
        self._position = 0
        self._epoch = -1
        self._tasks = _TaskCache(self._backend, self.generator)
        self._num_results = self._interval = 0
        self.tracker.apply(self._fill)

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.config, self.generator, self.algorithm, self._backend)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    # Asking

    def get_task(self) -> Task[ConfigT]:
        """The next task to train on; the same as ``ask(1)[0]``."""
        if self._position == len(self._block) or self._backend.epoch != self._epoch:
            self._draw_ahead()
        task_id = self._block[self._position]
        task = self._tasks[task_id]
        self._position += 1
        self._num_draws += 1
        self.tracker.schedule(task_id)
        return task

    def ask(self, n: int = 1, *, replace: bool = True) -> list[Task[ConfigT]]:
        """The next `n` ≥ 0 tasks to train on, in the order drawn; with ``replace=False`` no task twice.

        Raises `ValueError` for a negative `n` or more distinct tasks than the pool has, `TypeError` for a fraction.
        """
        try:
            n = index(n)
        except TypeError as error:
            raise TypeError(f"n: expected a whole number of tasks, got {n!r}; round it") from error
        if n < 0 or (not replace and n > self._backend.capacity):
            raise ValueError(
                f"n: expected 0 to {self._backend.capacity if not replace else 'any number of'} tasks, got {n}; "
                f"ask for fewer"
            )
        self._follow_stream()
        start = self._num_draws
        ids = self._draw(n) if replace else self._draw_distinct(n)
        drawn, self._num_draws = self._num_draws, start
        tasks = self._tasks
        asked = [tasks[task_id] for task_id in ids.tolist()]
        self._num_draws = drawn
        self._block, self._position = [], 0
        self.tracker.schedule_batch(ids)
        return asked

    # Telling

    def tell(self, task_ids: ArrayLike, scores: ArrayLike, *, regrets: ArrayLike | None = None) -> None:
        """Reports one score per task id, both shape (n,), scores within `config.score_range`.

        `regrets`, finite and shape (n,), is for algorithms that choose by regret. A result for a task that was evicted
        meanwhile is counted as stale. A result beyond the hand-outs, of an evaluation say, is taken, and counted as
        unsolicited.

        Raises `TypeError` or `ValueError` for a wrong dtype, length or value, `KeyError` for an id never issued; then
        nothing is recorded.
        """
        self._num_results += self.tracker.record_batch(task_ids, scores, regrets)
        if self._num_results >= self._interval:
            self._advance()

    def update_task_performance(self, task_id: int, score: float) -> None:
        """Reports one score; the same as ``tell([task_id], [score])``, and raises as it does."""
        self.tracker.record(task_id, score)
        self._num_results += 1
        if self._num_results >= self._interval:
            self._advance()

    def cancel(self, task_ids: ArrayLike, reason: str) -> None:
        """Reports that no score will come for these hand-outs, shape (n,): they are counted, not scored.

        `reason` goes to the log. Raises as `tell` does.
        """
        if self.tracker.cancel(task_ids):
            _log.warning("cancelled tasks %s: %s", task_ids, reason)

    # Looking

    def probabilities(self) -> NDArray[np.float64]:
        """The chance of each task to be drawn, after all results so far; shape (capacity,), by ``task_id % capacity``.

        Draws follow it with a delay: the distribution in use is refreshed once every few hundred results.
        """
        return self._probabilities(self.tracker.snapshot())

    def stats(self) -> dict[str, float]:
        """Flat statistics of the pool; keys as in docs/statistics.md."""
        table = self.tracker.snapshot()
        return summary(table, self._probabilities(table), self.config.score_range)

    def task_states(self) -> list[TaskState]:
        """The typed row of every active task, by slot."""
        rows = self.tracker.snapshot().rows
        return [rows.state(slot) for slot in np.flatnonzero(rows["is_active"]).tolist()]

    # Saving

    def state_dict(self) -> dict[str, Any]:
        """All that is needed to go on from here: plain values and NumPy arrays, nothing shared with the curriculum."""
        table = self.tracker.snapshot()
        return {
            "version": STATE_VERSION,
            "generator": fingerprint(self.generator),
            "config": self.config.model_dump(mode="json"),
            "rows": table.rows.words,
            "labels": table.labels,
            "counters": table.counters._asdict(),
            "cumulated": table.cumulated,
            "stream": self._stream,
            "num_draws": self._num_draws,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on from where `state_dict` was called: with the same config, the next tasks are the same.

        Raises `ValueError` for another version, generator, capacity or score range; then nothing is changed.
        """
        missing = _STATE_KEYS - state.keys()
        if missing:
            raise ValueError(
                f"state: expected what state_dict returned, got a mapping without {', '.join(sorted(missing))}; "
                f"load the whole of it"
            )
        expected = {
            "version": (STATE_VERSION, state["version"], "load it with the version of curricular that wrote it"),
            "generator": (fingerprint(self.generator), state["generator"], "use the generator that it was saved with"),
            "capacity": (self._backend.capacity, state["rows"].shape[1], "set num_active_tasks to the saved number"),
            "score_range": (
                list(self.config.score_range),
                list(state["config"]["score_range"]),
                "use the score_range that it was saved with",
            ),
        }
        for name, (here, there, remedy) in expected.items():
            if here != there:
                raise ValueError(f"state: expected {name} {here!r}, got {there!r}; {remedy}")
        rows, labels, counters = Rows(state["rows"]), state["labels"], Counters(**state["counters"])
        saved = copy_table(Table(rows, labels, counters, state["cumulated"]))

        def put(transaction: Transaction) -> None:
            now = transaction.table
            keeps_ids = now.counters.num_pending == 0 and self._backend.num_workers == 1
            transaction.commit(restore(saved, now, keeps_ids=keeps_ids))

        self.tracker.apply(put)
        self._tasks.clear()
        self._own_stream = self._backend.stream
        self._start_stream(state["stream"], state["num_draws"])
        self._note_results(counters)

    def flush(self) -> None:
        """Takes everything told so far, in all processes of the session, into the statistics of all of them."""
        self.tracker.settle()

    def close(self) -> None:
        """Leaves the session. The curriculum cannot be used any more; closing twice does no harm."""
        self._backend.close()

    # Choosing

    def _follow_stream(self) -> None:
        """Goes over to a stream of random numbers of its own: at first, in a forked copy, and after a restore."""
        if self._backend.stream != self._own_stream:
            self._own_stream = self._backend.stream
            self._start_stream(self._own_stream, 0)

    def _start_stream(self, stream: int, num_draws: int) -> None:
        self._stream = stream
        self._key = stream_key(self.config.seed, _SELECTION, stream)
        self._num_draws = num_draws
        self._uniforms: tuple[int, NDArray[np.float64]] = (-1, np.empty(0))

    def _draw_ahead(self) -> None:
        self._follow_stream()
        ids, self._epoch = self._backend.draw(self._next_uniforms(DRAW_AHEAD))
        self._block, self._position = ids.tolist(), 0

    def _draw(self, n: int) -> NDArray[np.int64]:
        ids, _ = self._backend.draw(self._next_uniforms(n))
        self._num_draws += n
        return ids

    def _draw_distinct(self, n: int) -> NDArray[np.int64]:
        """Ids of `n` distinct tasks, shape (n,): drawn one by one, each without those before it."""
        chosen: dict[int, None] = {}
        for _ in range(4):
            if len(chosen) < n:
                chosen.update(dict.fromkeys(self._draw(n).tolist()))
        ids = np.fromiter(chosen, np.int64, len(chosen))[:n]
        if len(ids) == n:
            return ids
        # A few tasks hold nearly all of the probability: weigh the rest by exponential clocks, which is the same law.
        table = self._backend.snapshot()
        chances = np.diff(table.cumulated, prepend=0.0)
        clocks = np.full(len(chances), np.inf)
        is_possible = chances > 0
        uniforms = self._next_uniforms(len(chances))
        self._num_draws += len(chances)
        clocks[is_possible] = -np.log1p(-uniforms[is_possible]) / chances[is_possible]
        order = np.argsort(clocks, kind="stable")
        rest = order[~np.isin(table.rows["task_id"][order], ids)]
        return np.concatenate([ids, table.rows["task_id"][rest[: n - len(ids)]]])

    def _next_uniforms(self, n: int) -> NDArray[np.float64]:
        """The next `n` uniforms of the stream, which goes on only when they are used."""
        first, offset = divmod(self._num_draws, UNIFORM_BLOCK)
        last = max(first, (self._num_draws + n - 1) // UNIFORM_BLOCK)
        blocks = []
        for block in range(first, last + 1):
            if self._uniforms[0] != block:
                self._uniforms = block, uniform_block(self._key, block)
            blocks.append(self._uniforms[1])
        uniforms = blocks[0] if len(blocks) == 1 else np.concatenate(blocks)
        return uniforms[offset : offset + n]

    def _advance(self) -> None:
        """Takes all results into the rows and, if enough have come since, refreshes the distribution."""
        if not self.tracker.try_apply(self._refresh_if_due):
            self._interval = self._num_results + MIN_INTERVAL  # another process is at it: look again later

    def _refresh_if_due(self, transaction: Transaction) -> None:
        counters = transaction.table.counters
        if counters.num_results - counters.num_refreshed_results >= self._interval_after(
            counters.num_refreshed_results
        ):
            self._evict(transaction)
            self._refresh(transaction)
        self._note_results(transaction.table.counters)

    def _note_results(self, counters: Counters) -> None:
        """Takes from the table how far it is to the next refresh: nothing about it is this object's alone."""
        self._num_results = counters.num_results - counters.num_refreshed_results
        self._interval = self._interval_after(counters.num_refreshed_results)
        num_workers = self._backend.num_workers
        if num_workers > 1:  # this one's share of what is missing
            share = max(MIN_INTERVAL, (self._interval - self._num_results) // num_workers)
            self._interval = min(self._interval, self._num_results + share)

    def _interval_after(self, num_results: int) -> int:
        """Results from the refresh after `num_results` to the next: often at first, then so that it costs little.

        A function of the calls made, never of the clock.
        """
        return min(max(num_results // 32, MIN_INTERVAL), max(256, self.config.num_active_tasks // 32))

    def _refresh(self, transaction: Transaction) -> None:
        probabilities = self._probabilities(transaction.table)
        transaction.commit(refresh(transaction.table, cumulative(probabilities)))

    def _evict(self, transaction: Transaction) -> None:
        num_due = num_evictions_due(transaction.table, self.config.eviction_rate)
        num_tasks = self.generator.num_tasks
        if num_tasks is not None:
            num_due = min(num_due, num_tasks - self._backend.capacity)
        if num_due > 0:
            columns = _columns(transaction.table)
            slots = lowest(self.algorithm.scores(columns), self.algorithm.evictable(columns), num_due)
            if len(slots):
                transaction.commit(self._admission(transaction.table, slots))

    def _probabilities(self, table: Table) -> NDArray[np.float64]:
        return np.asarray(self.algorithm.probabilities(_columns(table)), np.float64)

    # Making tasks

    def _fill(self, transaction: Transaction) -> None:
        """Fills an empty table with the first tasks."""
        if transaction.table.counters.num_created == 0:
            transaction.commit(self._admission(transaction.table, np.arange(self._backend.capacity)))
            self._refresh(transaction)
        self._note_results(transaction.table.counters)

    def _admission(self, table: Table, slots: NDArray[np.int64]) -> Patch:
        """New tasks for `slots`; a pure function of the config's seed and the table."""
        entropy = np.random.SeedSequence((self.config.seed, _GENERATION, table.counters.num_created))
        seed_stream, param_stream = (np.random.default_rng(child) for child in entropy.spawn(2))
        if self.generator.num_tasks is None:
            seeds = seed_stream.integers(2**63 - 1, size=len(slots))
        else:
            seeds = self._unused_seeds(table, len(slots))
        params = np.asarray(self.generator.sample(seeds, param_stream), np.float64)
        if params.shape != (len(seeds), len(self.generator.axes)):
            raise ValueError(
                f"generator.sample: expected params of shape {(len(seeds), len(self.generator.axes))}, one column per "
                f"axis, got {params.shape}; return one row per seed"
            )
        if not np.isfinite(params).all():
            bad = params[~np.isfinite(params)][0]
            raise ValueError(f"generator.sample: expected finite params, got {bad}; use 0 where an axis does not apply")
        names = [self.generator.label(seed, row) for seed, row in zip(seeds.tolist(), params, strict=True)]
        return admit(table, slots, seeds, params, names, time.time(), self.tracker.estimator)

    @cached_property
    def _order(self) -> NDArray[np.int64]:
        """The order in which the tasks of a finite generator have their turn."""
        rng = np.random.default_rng(np.random.SeedSequence((self.config.seed, _ORDER)))
        return rng.permutation(cast(int, self.generator.num_tasks))

    def _unused_seeds(self, table: Table, n: int) -> NDArray[np.int64]:
        """The seeds of `n` tasks of a finite generator that are not in the pool: those whose turn it is."""
        is_free = np.ones(len(self._order), np.bool_)
        is_free[table.rows["seed"][table.rows["is_active"]]] = False
        turns = np.roll(self._order, -(table.counters.num_created % len(self._order)))
        return turns[is_free[turns]][:n]


def _rebuild(cls: type[Curriculum[Any]], *parts: Any) -> Curriculum[Any]:
    """What a pickled curriculum becomes: another worker of its session."""
    config, generator, algorithm, backend = parts
    return cls(config, generator, algorithm=algorithm, backend=backend)


def _columns(table: Table) -> Columns:
    return {name: table.rows[name] for name in TaskState.model_fields}
