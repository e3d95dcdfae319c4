"""The test suite for algorithms."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ..algorithms.protocol import Algorithm
from ..arrays import Columns
from ..config import CurriculumConfig
from ..curriculum import Curriculum
from ..rows import RECENT_SCORES, TaskState
from ..table import (
    columns_of,
    empty_table,
)
from .play import play

_CONFIG = CurriculumConfig(min_presentations_for_eviction=10)


def _priorities(algorithm: Algorithm, columns: Columns) -> NDArray[np.float64]:
    return np.asarray(algorithm.priorities(columns))


def _distribution(algorithm: Algorithm, columns: Columns) -> NDArray[np.float64]:
    return np.asarray(algorithm.probabilities(columns, algorithm.priorities(columns)))


def _evictable(algorithm: Algorithm, columns: Columns) -> NDArray[np.bool_]:
    return np.asarray(algorithm.evictable(columns, algorithm.priorities(columns), _CONFIG))


class AlgorithmSuite:
    """Checks that an algorithm is a pure function of columns that keeps the rules of "Write an algorithm"."""

    num_cases = 20
    """Number of pools that each test generates."""

    has_floor: bool = True
    """Whether every active task can be drawn at any time. False for an algorithm that leaves tasks out on purpose, such
    as a schedule."""

    def make_algorithm(self) -> Algorithm:
        """Returns the algorithm to test. Override this method."""
        raise NotImplementedError("make_algorithm: expected an override that returns an algorithm; write it")

    def make_columns(self, seed: int) -> Columns:
        """Returns read-only columns of a random pool. Seed 0 gives a new pool, even seeds some inactive rows."""
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
            rows["last_completed"] = np.where(completions > 0, rng.integers(1000, size=capacity), 0)
            for name in ("fast_ema", "slow_ema", "success_ema", "last_score"):
                # Rounding makes mastered and impossible tasks frequent.
                rows[name] = np.where(completions > 0, rng.random(capacity).round(int(rng.integers(3))), 0.0)
            rows["mean_square"] = rows["slow_ema"] * rows["slow_ema"]
            rows["num_regrets"] = completions * rng.integers(2, size=capacity)
            rows["last_regret"] = np.where(rows["num_regrets"] > 0, rng.normal(size=capacity).round(1), 0.0)
            rows["label_index"] = rng.integers(5, size=capacity)
            for name in RECENT_SCORES:
                rows[name] = rng.integers(-(2**63), 2**63, size=capacity)
            # Labels come and go: one of the five has had no chance so far, and one has no tasks left.
            labels = table.labels[[0, 1, 2, 3, 5]]
            labels["chance"] = rng.dirichlet(np.ones(5))
            labels["num_recent"] = rng.integers(100, size=5)
            labels["recent_score"] = labels["num_recent"] * rng.random(5).round(1)
            labels["recent_regret"] = labels["num_recent"] * rng.normal(size=5).round(1)
            labels["priority"] = rng.dirichlet(np.ones(5))
            table.labels[[0, 1, 2, 3, 5]] = labels
        return columns_of(table)

    def test_probabilities_are_a_distribution_over_the_active_tasks(self) -> None:
        algorithm = self.make_algorithm()
        for seed in range(self.num_cases):
            columns = self.make_columns(seed)
            probabilities = _distribution(algorithm, columns)
            assert probabilities.shape == columns["is_active"].shape, "probabilities: one for each slot of the pool"
            assert (probabilities >= 0).all(), "probabilities: none is negative or NaN"
            assert probabilities.sum() == pytest.approx(1.0), "probabilities: their sum is 1"
            assert (probabilities[~columns["is_active"]] == 0).all(), "probabilities: 0 where a row is inactive"

    def test_the_only_active_task_is_drawn(self) -> None:
        algorithm = self.make_algorithm()
        for seed in range(self.num_cases):
            columns = dict(self.make_columns(seed))
            columns["is_active"] = np.arange(len(columns["is_active"])) == len(columns["is_active"]) // 2
            expected = columns["is_active"].astype(np.float64)
            assert _distribution(algorithm, columns) == pytest.approx(expected), "the only active task: probability 1"

    def test_priorities_are_finite_for_active_tasks(self) -> None:
        algorithm = self.make_algorithm()
        for seed in range(self.num_cases):
            columns = self.make_columns(seed)
            priorities = algorithm.priorities(columns)
            assert priorities.shape == columns["is_active"].shape, "priorities: one for each slot of the pool"
            assert np.isfinite(priorities[columns["is_active"]]).all(), "priorities: finite for active tasks"

    def test_only_active_tasks_are_evictable(self) -> None:
        algorithm = self.make_algorithm()
        for seed in range(self.num_cases):
            columns = self.make_columns(seed)
            evictable = _evictable(algorithm, columns)
            assert evictable.dtype == np.bool_, "evictable: an array of bool"
            assert evictable.shape == columns["is_active"].shape, "evictable: one entry for each slot of the pool"
            assert not (evictable & ~columns["is_active"]).any(), "evictable: False where a row is inactive"
            assert algorithm.evicts_tasks or not evictable.any(), "evicts_tasks: if it is false, no task is evictable"

    def test_whether_to_train_on_a_task_depends_on_its_row_alone(self) -> None:
        algorithm = self.make_algorithm()
        for seed in range(self.num_cases):
            columns = self.make_columns(seed)
            active = columns["is_active"]
            is_trained_on = np.asarray(algorithm.is_trained_on(columns))
            assert is_trained_on.dtype == np.bool_, "is_trained_on: an array of bool"
            assert is_trained_on.shape == active.shape, "is_trained_on: one entry for each row"
            assert not (is_trained_on & ~active).any(), "is_trained_on: False where a row is inactive"
            # Hand-outs with tickets ask for the rows of a batch, in its order.
            slots = np.random.default_rng(seed).integers(len(active), size=5)
            batch = {name: columns[name][slots] for name in TaskState.model_fields}
            found = np.asarray(algorithm.is_trained_on(batch)).tolist()
            assert found == is_trained_on[slots].tolist(), "is_trained_on: depends on a task's own row alone"

    def test_the_same_columns_give_the_same_answers(self) -> None:
        first, second = self.make_algorithm(), self.make_algorithm()
        for seed in range(self.num_cases):
            columns = self.make_columns(seed)
            for answer in (_priorities, _distribution, _evictable):
                expected = answer(first, columns)
                rule = f"{answer.__name__.strip('_')}: pure, the same columns give the same answer"
                assert np.array_equal(answer(first, columns), expected, equal_nan=True), f"{rule} when called again"
                assert np.array_equal(answer(second, columns), expected, equal_nan=True), f"{rule} in another process"

    def test_what_an_inactive_row_holds_makes_no_difference(self) -> None:
        algorithm = self.make_algorithm()
        for seed in range(self.num_cases):
            columns = self.make_columns(seed)
            active = columns["is_active"]
            cleared = dict(columns)
            for name in TaskState.model_fields.keys() - {"params", "is_active"}:
                cleared[name] = np.where(active, columns[name], 0)
            rule = "mask, do not filter: what an inactive row holds makes no difference"
            assert _distribution(algorithm, cleared) == pytest.approx(_distribution(algorithm, columns)), rule
            assert np.array_equal(_evictable(algorithm, cleared), _evictable(algorithm, columns)), rule

    def test_every_active_task_can_be_drawn(self) -> None:
        if not self.has_floor:
            pytest.skip("has_floor is False: the algorithm leaves tasks out on purpose")
        algorithm = self.make_algorithm()
        for seed in range(self.num_cases):
            columns = self.make_columns(seed)
            assert (_distribution(algorithm, columns)[columns["is_active"]] > 0).all(), (
                "probabilities: keep a floor, since a task that is never drawn shows no progress; mix in a uniform "
                "share, or set has_floor = False if tasks are left out on purpose"
            )

    def test_it_runs_under_the_strict_array_api(self) -> None:
        xp: Any = pytest.importorskip("array_api_strict", reason="needs array-api-strict")
        algorithm = self.make_algorithm()
        rule = "ask the argument for its array namespace: not NumPy's functions, but those of x.__array_namespace__()"
        for seed in range(self.num_cases):
            columns = self.make_columns(seed)
            strict = {name: xp.asarray(column.copy()) for name, column in columns.items()}
            try:
                priorities = algorithm.priorities(strict)
                found = (
                    priorities,
                    algorithm.probabilities(strict, priorities),
                    algorithm.evictable(strict, priorities, _CONFIG),
                )
            except Exception as error:
                raise AssertionError(f"{rule}; got {type(error).__name__}: {error}") from error
            for answer, array in zip((_priorities, _distribution, _evictable), found, strict=True):
                assert isinstance(array, type(strict["is_active"])), f"{answer.__name__.strip('_')}: {rule}"
                expected = answer(algorithm, columns)
                name = f"{answer.__name__.strip('_')}: the same with every array library"
                assert np.allclose(np.asarray(array), expected, rtol=1e-6, atol=1e-9, equal_nan=True), name

    def test_a_curriculum_runs_with_it(self) -> None:
        config = CurriculumConfig(num_active_tasks=8, min_presentations_for_eviction=5, eviction_rate=0.2)
        first: Curriculum[int] = Curriculum(config, algorithm=self.make_algorithm())
        second: Curriculum[int] = Curriculum(config, algorithm=self.make_algorithm())
        assert play(first, 400) == play(second, 400), "pure: two curricula with the same calls hand out the same tasks"
        second.load_state_dict(first.state_dict())
        assert play(first, 400) == play(second, 400), "pure: no memory that a saved state lacks"
        stats = first.stats()
        num_ended = stats["num_completed"] + stats["num_stale"] + stats["num_cancelled"]
        assert stats["num_evicted"] <= 0.2 * num_ended + 1, "evictions: at most eviction_rate for each result"
