"""Public test suites: what every backend, algorithm, generator and proposer must hold.

Subclass the suite in a test module of your own, give it what you built, and run pytest. Where yours differs on purpose,
override that test and say why.

    class TestMyBackend(BackendSuite):
        def make_backend(self, capacity, num_axes):
            return MyBackend(capacity, num_axes)
"""

import json
import pickle
from contextlib import closing
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from .algorithms import Algorithm
from .algorithms.learning_progress import LearningProgressConfig
from .backends import LOG_SIZE, Backend, Transaction
from .backends.local import LocalMemoryBackend
from .config import CurriculumConfig
from .curriculum import Curriculum
from .generators import (
    MutableTaskGenerator,
    TaskGenerator,
    bucketed,
    dump_task_generator,
    fingerprint,
    load_task_generator,
    single_task,
)
from .proposers import NewTasks, Proposer
from .samplers import cumulative
from .scorers import Columns
from .table import (
    EVENT,
    MAX_LABEL_BYTES,
    MAX_LABELS,
    SCHEDULED,
    TOLD,
    Patch,
    admit,
    columns_of,
    empty_table,
    record,
    refresh,
)
from .task import RECENT_SCORES, Span, Task, TaskState, decode_params
from .tracker import estimator

try:
    import pytest
except ImportError as _error:
    raise ImportError("curricular.testing needs pytest: pip install 'curricular[testing]'") from _error

_ESTIMATOR = estimator(CurriculumConfig())


def _admit(backend: Backend, slots: list[int], seeds: list[int]) -> None:
    def fn(transaction: Transaction) -> None:
        num_axes = transaction.table.rows.num_axes
        params = np.arange(len(slots) * num_axes, dtype=np.float64).reshape(len(slots), num_axes)
        names = [f"label {seed % 3}" for seed in seeds]
        patch = admit(transaction.table, np.array(slots), np.array(seeds), params, names, 0.0, _ESTIMATOR)
        transaction.commit(patch)

    backend.apply(fn)


def _play(curriculum: Curriculum[Any], num_tasks: int) -> list[tuple[int, Any]]:
    """Asks for tasks, tells scores that depend on the id, and returns (id, params) of every task."""
    asked: list[Task[Any]] = []
    while len(asked) < num_tasks:
        task = curriculum.get_task()
        curriculum.update_task_performance(task.task_id, task.task_id % 5 / 4)
        batch = curriculum.ask(7)
        curriculum.tell([task.task_id for task in batch[1:]], [task.task_id % 3 / 2 for task in batch[1:]])
        curriculum.cancel([batch[0].task_id], "for the test")
        asked += [task, *batch]
    return [(task.task_id, dict(task.params)) for task in asked]


def _quick(num_active_tasks: int, **overrides: Any) -> LearningProgressConfig:
    """A configuration that evicts early and often."""
    return LearningProgressConfig.fast_learning(
        num_active_tasks=num_active_tasks, min_presentations_for_eviction=5, eviction_rate=0.2, **overrides
    )


class BackendSuite:
    """Every backend keeps one table and one log, and makes no difference to what a curriculum does."""

    def make_backend(self, capacity: int, num_axes: int) -> Backend:
        """A new and empty backend; to override."""
        raise NotImplementedError("make_backend: expected an override that returns a new backend; write it")

    def test_it_starts_empty(self) -> None:
        with closing(self.make_backend(5, 2)) as backend:
            table = backend.snapshot()
            assert backend.capacity == len(table.rows) == 5
            assert table.rows.num_axes == 2
            assert not table.rows["is_active"].any()
            assert table.counters.num_created == 0
            assert backend.room() == LOG_SIZE
            assert backend.apply(lambda transaction: len(transaction.events)) == 0

    def test_a_commit_is_what_is_read(self) -> None:
        with closing(self.make_backend(4, 2)) as backend:
            _admit(backend, [0, 1, 2, 3], [10, 11, 12, 13])
            _admit(backend, [2], [99])
            assert [backend.newest_id(slot) for slot in range(4)] == [0, 1, 6, 3]
            assert backend.newest_ids(np.array([[2, 0]])).tolist() == [[6, 0]]
            rows = backend.read(np.array([2, 1]))
            assert rows["seed"].tolist() == [99, 11]
            assert rows["params"].tolist() == [[0.0, 1.0], [2.0, 3.0]]
            assert backend.snapshot().rows["seed"].tolist() == [10, 11, 99, 13]

    def test_copies_share_nothing_with_the_table(self) -> None:
        with closing(self.make_backend(3, 1)) as backend:
            _admit(backend, [0, 1, 2], [10, 11, 12])
            table, rows = backend.snapshot(), backend.read(np.array([0]))
            table.rows["seed"], rows["seed"] = 0, 0
            table.labels["name"], table.cumulated[...] = b"changed", 0.0
            again = backend.snapshot()
            assert again.rows["seed"].tolist() == [10, 11, 12]
            assert again.labels["name"][0] == b"other"
            assert again.cumulated[-1] == 1.0

    def test_a_patch_is_copied_in(self) -> None:
        with closing(self.make_backend(2, 1)) as backend:
            _admit(backend, [0, 1], [10, 11])
            table = backend.snapshot()
            patch = Patch(np.array([0, 1]), table.rows, table.labels, table.counters, table.cumulated)
            backend.apply(lambda transaction: transaction.commit(patch))
            table.rows["seed"] = 0
            assert backend.snapshot().rows["seed"].tolist() == [10, 11]

    def test_events_wait_in_order_until_they_are_settled(self) -> None:
        with closing(self.make_backend(4, 0)) as backend:
            _admit(backend, [0, 1, 2, 3], [0, 1, 2, 3])
            assert not backend.append(SCHEDULED, 1, 0.0, 0.0)
            assert not backend.extend(np.array([(1, TOLD, 0.5, 0.0), (2, TOLD, 0.25, 0.0)], EVENT))
            assert backend.room() == LOG_SIZE - 3
            _admit(backend, [3], [9])
            events = backend.apply(lambda transaction: transaction.events.copy())
            assert events.tolist() == [(1, SCHEDULED, 0.0, 0.0), (1, TOLD, 0.5, 0.0), (2, TOLD, 0.25, 0.0)]
            assert backend.snapshot().counters.num_told == 0

            def settle(transaction: Transaction) -> None:
                transaction.commit(record(transaction.table, transaction.events, _ESTIMATOR), settles=True)
                assert len(transaction.events) == 0

            backend.apply(settle)
            assert backend.room() == LOG_SIZE
            assert backend.snapshot().counters.num_told == 2
            assert backend.read(np.array([1, 2]))["slow_ema"].tolist() == pytest.approx([0.5, 0.25])

    def test_a_full_log_says_so(self) -> None:
        with closing(self.make_backend(1, 0)) as backend:
            _admit(backend, [0], [0])
            events = np.zeros(LOG_SIZE, EVENT)
            assert not backend.extend(events[1:])
            assert backend.room() == 1
            assert backend.append(TOLD, 0, 0.0, 0.0)
            assert backend.room() == 0

    def test_apply_returns_what_the_function_returns_and_lets_its_error_through(self) -> None:
        def fail(_: Transaction) -> None:
            raise KeyError("on purpose")

        with closing(self.make_backend(2, 0)) as backend:
            backend.append(TOLD, 0, 0.5, 0.0)
            with pytest.raises(KeyError, match="on purpose"):
                backend.apply(fail)
            assert backend.apply(lambda transaction: len(transaction.events)) == 1

    def test_draws_follow_the_distribution_in_use(self) -> None:
        with closing(self.make_backend(4, 0)) as backend:
            _admit(backend, [0, 1, 2, 3], [0, 1, 2, 3])
            _admit(backend, [3], [7])
            cumulated = cumulative(np.array([0.0, 0.25, 0.0, 0.75]))
            backend.apply(lambda transaction: transaction.commit(refresh(transaction.table, cumulated)))
            ids, epoch = backend.draw(np.array([0.0, 0.2, 0.25, 1 - 2**-53]))
            assert ids.tolist() == [1, 1, 7, 7]
            assert epoch == backend.epoch
            assert backend.snapshot().cumulated.tolist() == cumulated.tolist()

    def test_the_epoch_moves_with_every_refresh_and_load(self) -> None:
        with closing(self.make_backend(8, 0)) as backend:
            curriculum: Curriculum[int] = Curriculum(_quick(8), backend=backend)
            state = curriculum.state_dict()
            epochs = [backend.epoch]
            backend.apply(lambda transaction: transaction.commit(refresh(transaction.table, cumulative(np.ones(8)))))
            epochs.append(backend.epoch)
            for _ in range(2):
                curriculum.load_state_dict(state)
                epochs.append(backend.epoch)
            assert len(set(epochs)) == 4

    def test_closing_twice_is_no_error(self) -> None:
        backend = self.make_backend(2, 0)
        backend.close()
        backend.close()

    def test_a_curriculum_chooses_as_on_the_local_backend(self) -> None:
        config = _quick(16)
        with closing(self.make_backend(16, 0)) as backend:
            there: Curriculum[int] = Curriculum(config, backend=backend)
            here: Curriculum[int] = Curriculum(config, backend=LocalMemoryBackend(16))
            assert _play(there, 3000) == _play(here, 3000)
            assert there.stats() == here.stats()
            assert here.stats()["num_evicted"] > 0
            here.load_state_dict(there.state_dict())
            assert _play(there, 1000) == _play(here, 1000)

    def test_every_hand_out_is_accounted_for(self) -> None:
        with closing(self.make_backend(4, 0)) as backend:
            curriculum: Curriculum[int] = Curriculum(_quick(4), backend=backend)
            late = curriculum.ask(50)
            _play(curriculum, 1000)
            curriculum.tell([task.task_id for task in late[:30]], np.full(30, 0.5))
            stats, rows = curriculum.stats(), backend.snapshot().rows
            assert stats["num_stale"] > 0
            assert stats["num_pending"] == rows["num_pending"].sum() + rows["num_orphans"].sum() == 20
            came = stats["num_completed"] + stats["num_cancelled"] + stats["num_stale"] + stats["num_pending"]
            assert stats["num_scheduled"] + stats["num_unsolicited"] == came


class AlgorithmSuite:
    """Every algorithm is a pure function of columns that never draws, nor evicts, what is not there."""

    num_cases = 20

    def make_algorithm(self) -> Algorithm:
        """The algorithm; to override."""
        raise NotImplementedError("make_algorithm: expected an override that returns an algorithm; write it")

    def make_columns(self, seed: int) -> Columns:
        """Columns of a pool as it may occur, read-only; even seeds have inactive rows, seed 0 is a new pool."""
        rng = np.random.default_rng(seed)
        capacity = int(rng.integers(1, 60))
        table = empty_table(capacity, 0)
        rows = table.rows
        rows["is_active"] = (rng.random(capacity) < 0.7) | (np.arange(capacity) == 0) | bool(seed % 2)
        rows["task_id"] = np.arange(capacity) + capacity * rng.integers(5, size=capacity)
        rows["seed"] = rng.integers(2**62, size=capacity)
        rows["success_threshold"] = 0.5
        if seed:
            completions = rng.integers(80, size=capacity)
            rows["num_completions"] = completions
            rows["num_scheduled"] = completions + 1
            rows["num_pending"] = 1
            rows["last_scheduled"] = rng.integers(1000, size=capacity)
            for name in ("fast_ema", "slow_ema", "success_ema", "last_score"):
                # Mastered and impossible tasks occur as often as others.
                rows[name] = np.where(completions > 0, rng.random(capacity).round(int(rng.integers(3))), 0.0)
            rows["mean_square"] = rows["slow_ema"] * rows["slow_ema"]
            rows["num_regrets"] = completions * rng.integers(2, size=capacity)
            rows["last_regret"] = np.where(rows["num_regrets"] > 0, rng.normal(size=capacity).round(1), 0.0)
            rows["label_index"] = rng.integers(5, size=capacity)
            for name in RECENT_SCORES:
                rows[name] = rng.integers(-(2**63), 2**63, size=capacity)
            # Labels come and go: one of the five was not to be drawn so far, and one has no tasks left.
            labels = table.labels[[0, 1, 2, 3, 5]]
            labels["chance"] = rng.dirichlet(np.ones(5))
            labels["num_recent"] = rng.integers(100, size=5)
            labels["recent_score"] = labels["num_recent"] * rng.random(5).round(1)
            labels["recent_regret"] = labels["num_recent"] * rng.normal(size=5).round(1)
            table.labels[[0, 1, 2, 3, 5]] = labels
        return columns_of(table)

    def test_probabilities_are_a_distribution_over_the_active_tasks(self) -> None:
        algorithm = self.make_algorithm()
        for seed in range(self.num_cases):
            columns = self.make_columns(seed)
            probabilities = algorithm.probabilities(columns)
            assert probabilities.shape == columns["is_active"].shape
            assert (probabilities >= 0).all()
            assert probabilities.sum() == pytest.approx(1.0)
            assert (probabilities[~columns["is_active"]] == 0).all()

    def test_the_only_active_task_is_drawn(self) -> None:
        algorithm = self.make_algorithm()
        for seed in range(self.num_cases):
            columns = dict(self.make_columns(seed))
            columns["is_active"] = np.arange(len(columns["is_active"])) == len(columns["is_active"]) // 2
            assert algorithm.probabilities(columns) == pytest.approx(columns["is_active"].astype(np.float64))

    def test_scores_are_finite_for_active_tasks(self) -> None:
        algorithm = self.make_algorithm()
        for seed in range(self.num_cases):
            columns = self.make_columns(seed)
            scores = algorithm.scores(columns)
            assert scores.shape == columns["is_active"].shape
            assert np.isfinite(scores[columns["is_active"]]).all()

    def test_only_active_tasks_are_evictable(self) -> None:
        algorithm = self.make_algorithm()
        for seed in range(self.num_cases):
            columns = self.make_columns(seed)
            evictable = algorithm.evictable(columns)
            assert evictable.dtype == np.bool_
            assert evictable.shape == columns["is_active"].shape
            assert not (evictable & ~columns["is_active"]).any()

    def test_the_same_columns_give_the_same_answers(self) -> None:
        first, second = self.make_algorithm(), self.make_algorithm()
        for seed in range(self.num_cases):
            columns = self.make_columns(seed)
            for method in ("scores", "probabilities", "evictable"):
                expected = getattr(first, method)(columns)
                assert np.array_equal(getattr(first, method)(columns), expected, equal_nan=True)
                assert np.array_equal(getattr(second, method)(columns), expected, equal_nan=True)

    def test_what_an_inactive_row_holds_makes_no_difference(self) -> None:
        algorithm = self.make_algorithm()
        for seed in range(self.num_cases):
            columns = self.make_columns(seed)
            active = columns["is_active"]
            cleared = dict(columns)
            for name in TaskState.model_fields.keys() - {"params", "is_active"}:
                cleared[name] = np.where(active, columns[name], 0)
            assert algorithm.probabilities(cleared) == pytest.approx(algorithm.probabilities(columns))
            assert np.array_equal(algorithm.evictable(cleared), algorithm.evictable(columns))

    def test_a_curriculum_runs_with_it(self) -> None:
        config = CurriculumConfig(num_active_tasks=8, min_presentations_for_eviction=5, eviction_rate=0.2)
        first: Curriculum[int] = Curriculum(config, algorithm=self.make_algorithm())
        second: Curriculum[int] = Curriculum(config, algorithm=self.make_algorithm())
        assert _play(first, 800) == _play(second, 800)
        second.load_state_dict(first.state_dict())
        assert _play(first, 800) == _play(second, 800)
        assert first.stats()["num_evicted"] <= 0.2 * first.stats()["num_completed"] + 1


class GeneratorSuite:
    """Every generator is a pure function of seed and params, whose tasks lie within its axes."""

    num_samples = 500

    def make_generator(self) -> TaskGenerator[Any]:
        """The generator; to override."""
        raise NotImplementedError("make_generator: expected an override that returns a generator; write it")

    def is_same(self, first: Any, second: Any) -> bool:
        """Whether two configurations are equal; override it where ``==`` does not say, as with arrays."""
        return bool(first == second)

    def make_seeds(self, generator: TaskGenerator[Any]) -> NDArray[np.int64]:
        """Seeds to try."""
        num_tasks = generator.num_tasks
        if num_tasks is not None:
            return np.arange(min(num_tasks, self.num_samples))
        return np.random.default_rng(0).integers(2**63 - 1, size=self.num_samples)

    def sample(self, generator: TaskGenerator[Any]) -> list[tuple[int, NDArray[np.float64]]]:
        """Pairs of seed and params, read-only."""
        seeds = self.make_seeds(generator)
        params = np.asarray(generator.sample(seeds, np.random.default_rng(1)), np.float64)
        assert params.shape == (len(seeds), len(generator.axes))
        params.flags.writeable = False
        return list(zip(seeds.tolist(), params, strict=True))

    def assert_on_the_axes(self, generator: TaskGenerator[Any], tasks: list[NDArray[np.float64]]) -> None:
        """Each of `tasks`, shape (num_axes,), has values that its axes have."""
        for params in tasks:
            for axis, param in zip(generator.axes, params.tolist(), strict=True):
                if not all(params[column] == choice for column, choice in axis.where):
                    assert np.isfinite(param)
                elif isinstance(axis.values, Span):
                    assert axis.values.low <= param <= axis.values.high
                else:
                    assert param in range(len(axis.values))
            assert set(decode_params(generator.axes, params)) <= {axis.name for axis in generator.axes}

    def test_params_lie_on_the_axes(self) -> None:
        generator = self.make_generator()
        self.assert_on_the_axes(generator, [params for _, params in self.sample(generator)])

    def test_what_mutates_stays_on_the_axes(self) -> None:
        generator, again = self.make_generator(), self.make_generator()
        if generator.num_tasks is not None or not isinstance(generator, MutableTaskGenerator):
            pytest.skip("only an endless generator with a mutate can change tasks")
        seeds, params = self.make_seeds(generator), np.array([params for _, params in self.sample(generator)])
        seeds.flags.writeable = params.flags.writeable = False
        mutated = np.asarray(generator.mutate(seeds, params, np.random.default_rng(2)))
        assert mutated.shape == params.shape
        self.assert_on_the_axes(generator, list(mutated))
        assert isinstance(again, MutableTaskGenerator)
        assert np.array_equal(again.mutate(seeds, params, np.random.default_rng(2)), mutated)
        assert generator.mutate(seeds[:0], params[:0], np.random.default_rng(2)).shape == (0, len(generator.axes))
        for seed, row in zip(seeds.tolist(), mutated, strict=True):
            assert self.is_same(generator.build(seed, row), again.build(seed, row))
            assert generator.label(seed, row) == again.label(seed, row)

    def test_sampling_is_a_function_of_seeds_and_stream(self) -> None:
        generator = self.make_generator()
        first, second = self.sample(generator), self.sample(self.make_generator())
        assert all(np.array_equal(a[1], b[1]) for a, b in zip(first, second, strict=True))
        assert generator.sample(np.empty(0, np.int64), np.random.default_rng(0)).shape == (0, len(generator.axes))
        if generator.num_tasks is not None:
            seeds = self.make_seeds(generator)
            other = generator.sample(seeds[::-1], np.random.default_rng(2))[::-1]
            assert all(np.array_equal(a[1], b) for a, b in zip(first, other, strict=True))

    def test_building_is_pure(self) -> None:
        generator = self.make_generator()
        again: TaskGenerator[Any] = pickle.loads(pickle.dumps(generator))  # noqa: S301  as another process would have it
        state = repr(np.random.get_state())  # noqa: NPY002  nobody may draw from the global stream
        for seed, params in self.sample(generator):
            config = generator.build(seed, params)
            assert self.is_same(config, generator.build(seed, params))
            assert self.is_same(config, again.build(seed, params))
        assert repr(np.random.get_state()) == state  # noqa: NPY002
        assert fingerprint(again) == fingerprint(generator)

    def test_labels_are_few_and_short(self) -> None:
        generator = self.make_generator()
        labels = {generator.label(seed, params) for seed, params in self.sample(generator)}
        assert all(len(label.encode()) <= MAX_LABEL_BYTES for label in labels)
        assert len(labels) < MAX_LABELS

    def test_it_differs_from_other_generators(self) -> None:
        assert fingerprint(self.make_generator()) != fingerprint(single_task("another task"))

    def test_a_file_brings_it_back(self) -> None:
        generator = self.make_generator()
        if not isinstance(generator, BaseModel):
            pytest.skip("only a pydantic model can be written to a file")
        again = load_task_generator(json.loads(json.dumps(dump_task_generator(generator))))
        assert fingerprint(again) == fingerprint(generator)
        for seed, params in self.sample(generator):
            assert self.is_same(again.build(seed, params), generator.build(seed, params))
            assert again.label(seed, params) == generator.label(seed, params)

    def test_a_curriculum_runs_with_it(self) -> None:
        generator = self.make_generator()
        config = _quick(8 if generator.num_tasks is None else min(8, generator.num_tasks))
        first, second = Curriculum(config, generator), Curriculum(config, self.make_generator())
        assert _play(first, 500) == _play(second, 500)
        second.load_state_dict(first.state_dict())
        assert _play(first, 500) == _play(second, 500)
        if generator.num_tasks is not None:
            states = first.task_states()
            assert len({state.seed for state in states}) == len(states)


class ProposerSuite:
    """Every proposer is a pure function of the pool, the candidates and the stream, and leaves room for fresh tasks."""

    fresh_share: float = 0.0
    """The least share of fresh tasks that it promises; to override."""

    num_cases = 4
    num_rounds = 100
    """Calls in which chances are counted."""

    def make_proposer(self, generator: TaskGenerator[Any]) -> Proposer:
        """The proposer for the tasks of `generator`; to override."""
        raise NotImplementedError("make_proposer: expected an override that returns a proposer; write it")

    def make_generator(self) -> TaskGenerator[Any]:
        """Where tasks come from; override it if the proposer needs another one."""
        base = {"size": 0, "speed": 0.0, "colour": 0}
        return bucketed(base, {"size": Span(3, 15), "speed": Span(0.0, 1.0), "colour": [1, 2, 3]})

    def make_columns(self, seed: int) -> Columns:
        """Columns of a pool as it may occur, read-only; of seed 0 nothing is active, of seed 1 nothing was played."""
        generator = self.make_generator()
        capacity = 128 if generator.num_tasks is None else max(1, generator.num_tasks // 2)
        curriculum = Curriculum(_quick(capacity, seed=seed, use_shared_memory=False), generator)
        if seed > 1:
            _play(curriculum, 200 * seed)
        return columns_of(curriculum.tracker.snapshot() if seed else empty_table(capacity, len(generator.axes)))

    def make_candidates(self, columns: Columns, num_candidates: int, seed: int) -> NewTasks:
        """Fresh tasks, read-only; of a finite generator as many of those that are not in the pool as there are."""
        generator, rng = self.make_generator(), np.random.default_rng((1, seed))
        if generator.num_tasks is None:
            seeds = rng.integers(2**63 - 1, size=num_candidates)
        else:
            left = np.setdiff1d(np.arange(generator.num_tasks), columns["seed"][columns["is_active"]])
            seeds = rng.permutation(left)[:num_candidates]
        params = np.asarray(generator.sample(seeds, rng), np.float64)
        seeds.flags.writeable = params.flags.writeable = False
        return NewTasks(seeds, params)

    def propose(self, columns: Columns, n: int, num_candidates: int, seed: int) -> tuple[NewTasks, NewTasks]:
        """What a new proposer proposes, and the candidates that it was given."""
        candidates = self.make_candidates(columns, num_candidates, seed)
        proposer = self.make_proposer(self.make_generator())
        return proposer.propose(columns, candidates, n, np.random.default_rng(seed)), candidates

    @pytest.mark.parametrize("n", [1, 2, 7])
    def test_it_proposes_as_many_tasks_as_are_wanted(self, n: int) -> None:
        generator = self.make_generator()
        num_candidates = self.make_proposer(generator).num_candidates
        assert num_candidates >= 1
        for seed in range(self.num_cases):
            (seeds, params), candidates = self.propose(self.make_columns(seed), n, n * num_candidates, seed)
            assert seeds.shape == (n,)
            assert seeds.dtype.kind == "i"
            assert (seeds >= 0).all()
            assert params.shape == (n, len(generator.axes))
            assert np.isfinite(params).all()
            GeneratorSuite().assert_on_the_axes(generator, list(params))
            if generator.num_tasks is not None:
                self.assert_among(candidates, NewTasks(seeds, params))

    def test_of_a_finite_generator_there_may_be_fewer_candidates(self) -> None:
        generator = self.make_generator()
        if generator.num_tasks is None:
            pytest.skip("an endless generator always has as many candidates as are wanted")
        num_candidates = self.make_proposer(generator).num_candidates
        for seed in range(self.num_cases):
            for given in {3, max(3, 3 * num_candidates - 1)}:
                proposed, candidates = self.propose(self.make_columns(seed), 3, given, seed)
                assert len(proposed.seeds) == 3
                self.assert_among(candidates, proposed)

    def assert_among(self, candidates: NewTasks, proposed: NewTasks) -> None:
        """Each of `proposed` is one of `candidates`, none twice."""
        offered = dict(zip(candidates.seeds.tolist(), candidates.params.tolist(), strict=True))
        assert len(set(proposed.seeds.tolist())) == len(proposed.seeds)
        assert [offered[seed] for seed in proposed.seeds.tolist()] == proposed.params.tolist()

    def test_the_same_pool_and_stream_give_the_same_tasks(self) -> None:
        proposer, n = self.make_proposer(self.make_generator()), 5
        for seed in range(self.num_cases):
            columns = self.make_columns(seed)
            expected, candidates = self.propose(columns, n, n * proposer.num_candidates, seed)
            for again in (proposer, proposer, pickle.loads(pickle.dumps(proposer))):  # noqa: S301  as another process
                found = again.propose(columns, candidates, n, np.random.default_rng(seed))
                assert np.array_equal(found.seeds, expected.seeds)
                assert np.array_equal(found.params, expected.params)

    def test_every_fresh_task_has_its_chance(self) -> None:
        n, num_rounds = 8, self.num_rounds
        proposer = self.make_proposer(self.make_generator())
        columns = self.make_columns(self.num_cases - 1)
        candidates = self.make_candidates(columns, n * proposer.num_candidates, 0)
        offered = list(zip(candidates.seeds.tolist(), candidates.params.tolist(), strict=True))
        counts = np.zeros(len(offered))
        for seed in range(num_rounds):
            found = proposer.propose(columns, candidates, n, np.random.default_rng(seed))
            proposed = list(zip(found.seeds.tolist(), found.params.tolist(), strict=True))
            counts += [task in proposed for task in offered]
        least = num_rounds * n / len(offered) * self.fresh_share
        assert (counts >= least - 4 * least**0.5).all()
        assert counts.mean() >= least - 4 * (least / len(offered)) ** 0.5

    def test_a_curriculum_runs_with_it(self) -> None:
        generator = self.make_generator()
        config = _quick(32 if generator.num_tasks is None else max(1, generator.num_tasks // 2))
        first, second = (Curriculum(config, generator, proposer=self.make_proposer(generator)) for _ in range(2))
        assert _play(first, 600) == _play(second, 600)
        second.load_state_dict(first.state_dict())
        assert _play(first, 600) == _play(second, 600)
        assert first.stats()["num_evicted"] > 0
