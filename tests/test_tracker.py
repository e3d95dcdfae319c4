"""The tracker refuses what is wrong with one clear error, and then nothing has changed."""

import decimal

import numpy as np
import pytest

from curricular import (
    Axis,
    Curriculum,
    CurriculumConfig,
    LearningProgressConfig,
    LocalMemoryBackend,
    TaskTracker,
    UniformConfig,
    create_task_tracker,
)
from curricular.algorithms.uniform import UniformAlgorithm
from curricular.backends.protocol import LOG_SIZE

NAN, INF = float("nan"), float("inf")


@pytest.fixture
def curriculum():
    """Four tasks with scores from -2 to 3, one of which has been told."""
    config = LearningProgressConfig.default(num_active_tasks=4, score_range=(-2.0, 3.0), use_shared_memory=False)
    curriculum = Curriculum(config)
    curriculum.update_task_performance(curriculum.get_task().task_id, 1.0)
    return curriculum


@pytest.fixture
def unchanged(curriculum):
    """Checks at the end that nothing has been logged, flushed or drawn."""

    def everything():
        state = curriculum.state_dict()
        arrays = {name: state.pop(name).tobytes() for name in list(state) if isinstance(state[name], np.ndarray)}
        return state, arrays

    before = everything()
    yield
    assert everything() == before


WRONG_SCORES = [
    (NAN, ValueError, "got nan"),
    (INF, ValueError, "got inf"),
    (-INF, ValueError, "got -inf"),
    (3.001, ValueError, r"score_range \(-2.0, 3.0\), got 3.001; clip it, declare"),
    (-2.5, ValueError, "got -2.5"),
    (np.float32(4), ValueError, "got 4.0"),
    ("0.5", TypeError, "expected one number|got dtype"),
    (b"1", TypeError, "expected one number|got dtype"),
    (None, TypeError, "expected one number|got dtype"),
    (1j, TypeError, "expected one number|got dtype"),
    ([[0.5]], (TypeError, ValueError), r"expected one number|expected shape \(1,\)"),
    ({}, TypeError, "expected one number|got dtype"),
    (10**400, (TypeError, ValueError), "expected one number|got dtype"),
]

WRONG_IDS = [
    (4, KeyError, "expected an id that was issued, got 4"),
    (-1, KeyError, "got -1"),
    (-(2**63), KeyError, f"got -{2**63}"),
    (2**63 - 1, KeyError, f"got {2**63 - 1}"),
    (np.uint64(2**63 + 1), KeyError, f"got {2**63 + 1}"),
    (2**70, (KeyError, TypeError), f"got {2**70}|dtype object"),
    (True, TypeError, "expected (an integer|integers), got (True|dtype bool)"),
    (np.True_, TypeError, "expected (an integer|integers)"),
    ("0", TypeError, "expected (an integer|integers)"),
    (0.0, TypeError, "expected (an integer|integers)"),
    (np.float64(1), TypeError, "expected (an integer|integers)"),
    (None, TypeError, "expected (an integer|integers)"),
    ([0], (TypeError, ValueError), r"expected (an integer|shape \(n,\))"),
]


def of_case(cases):
    return pytest.mark.parametrize(("value", "error", "message"), cases, ids=[repr(case[0])[:12] for case in cases])


@pytest.mark.usefixtures("unchanged")
class TestRefusals:
    @of_case(WRONG_SCORES)
    def test_a_wrong_score(self, curriculum, value, error, message):
        with pytest.raises(error, match=f"scores?: .*({message})"):
            curriculum.update_task_performance(0, value)
        with pytest.raises(error, match=f"scores?: .*({message})"):
            curriculum.tell([0], [value])

    @of_case(WRONG_IDS)
    def test_a_wrong_id(self, curriculum, value, error, message):
        for call in (
            lambda: curriculum.update_task_performance(value, 0.5),
            lambda: curriculum.tell([value], [0.5]),
            lambda: curriculum.cancel([value], "for the test"),
        ):
            with pytest.raises(error, match=f"task_ids?: .*({message})"):
                call()

    def test_one_wrong_of_many(self, curriculum):
        many = 3 * LOG_SIZE
        ids, scores = np.zeros(many, np.int64), np.zeros(many)
        scores[-1] = NAN
        with pytest.raises(ValueError, match="got nan"):
            curriculum.tell(ids, scores)
        ids[-1] = 99
        with pytest.raises(KeyError, match="got 99"):
            curriculum.tell(ids, np.zeros(many))
        with pytest.raises(KeyError, match="got 99"):
            curriculum.cancel(ids, "for the test")

    @pytest.mark.parametrize(
        ("ids", "scores", "message"),
        [
            (
                [0, 1],
                [0.5],
                (
                    r"scores: expected shape \(2,\) like task_ids, got \(1,\); pass one per task_id, or groups as "
                    r"shape \(2, G\)"
                ),
            ),
            ([0], [0.5, 0.5], r"scores: expected shape \(1,\)"),
            ([0], 0.5, r"scores: expected shape \(1,\) like task_ids, got \(\)"),
            ([0], [[[0.5]]], r"scores: expected shape \(1,\) like task_ids, got \(1, 1, 1\)"),
            ([], [0.5], r"scores: expected shape \(0,\)"),
            (0, 0.5, r"task_ids: expected shape \(n,\), got \(\)"),
            ([[0, 1]], [[0.5, 0.5]], r"task_ids: expected shape \(n,\), got \(1, 2\)"),
            ([[0], [1, 2]], [0.5, 0.5], r"task_ids: expected shape \(n,\), got \[\[0\], \[1, 2\]\]"),
            ([0, 1], [0.5, [1, 2]], r"scores: expected shape \(n,\)"),
        ],
    )
    def test_a_wrong_length(self, curriculum, ids, scores, message):
        with pytest.raises(ValueError, match=message):
            curriculum.tell(ids, scores)

    @pytest.mark.parametrize("ids", [[True, False], ["0", "1"], [0.0, 1.0], [None, 1], [0, 1.5]])
    def test_ids_of_a_wrong_dtype(self, curriculum, ids):
        with pytest.raises(TypeError, match="task_ids: expected integers, got dtype"):
            curriculum.tell(ids, [0.5, 0.5])

    @pytest.mark.parametrize(
        ("regrets", "error", "message"),
        [([NAN], ValueError, "got nan"), ([1.0, 2.0], ValueError, "expected shape"), (["a"], TypeError, "got dtype")],
    )
    def test_wrong_regrets(self, curriculum, regrets, error, message):
        with pytest.raises(error, match=f"regrets: .*{message}"):
            curriculum.tell([0], [0.5], regrets=regrets)

    def test_nothing_is_no_error(self, curriculum):
        curriculum.tell([], [])
        curriculum.tell(np.empty(0, np.int64), np.empty(0), regrets=[])
        curriculum.cancel([], "nothing")


@pytest.mark.parametrize(
    ("task_id", "score"),
    [
        (0, 1),
        (np.int32(1), np.float32(0.5)),
        (np.uint8(2), np.int64(-2)),
        (np.array(3), np.array(3.0)),
        (0, True),
        (0, decimal.Decimal("0.5")),
    ],
)
def test_numbers_of_any_kind_are_taken(curriculum, task_id, score):
    curriculum.update_task_performance(task_id, score)
    state = curriculum.task_states()[int(task_id)]
    assert state.last_score == pytest.approx((float(score) + 2) / 5)


@pytest.mark.parametrize("dtype", [np.uint64, np.int8, np.int64, list, tuple])
def test_ids_of_any_integer_type_are_taken(curriculum, dtype):
    ids = dtype([0, 1, 1]) if dtype in {list, tuple} else np.array([0, 1, 1], dtype)
    curriculum.tell(ids, np.array([True, False, True]))
    assert curriculum.stats()["num_completed"] == 4


def test_batches_larger_than_the_log(curriculum):
    tasks = curriculum.ask(5 * LOG_SIZE + 3)
    curriculum.tell([task.task_id for task in tasks], np.full(len(tasks), 3.0))
    stats = curriculum.stats()
    assert stats["num_completed"] + stats["num_stale"] == len(tasks) + 1
    assert stats["num_pending"] == 0


def test_what_is_told_is_copied(curriculum):
    ids, scores = np.array([0, 1]), np.array([3.0, 3.0])
    curriculum.tell(ids, scores)
    ids[:], scores[:] = 99, NAN
    assert [state.last_score for state in curriculum.task_states()][:2] == [1.0, 1.0]


def test_a_look_sees_what_was_just_told_and_copies_no_table_of_one_process(curriculum, monkeypatch):
    monkeypatch.delattr(LocalMemoryBackend, "snapshot")
    curriculum.tell([0, 1, 1], [1.0, 2.0, -1.0])
    assert curriculum.tracker.look(lambda table: table.rows["last_score"][1]) == (-1.0 + 2.0) / 5.0
    assert curriculum.stats()["num_completed"] == 4
    assert curriculum.probabilities().sum() == pytest.approx(1.0)


def test_what_a_look_raises_leaves_the_table_free(curriculum):
    with pytest.raises(ZeroDivisionError):
        curriculum.tracker.look(lambda table: 1 / 0)
    curriculum.tell([0], [1.0])
    assert curriculum.stats()["num_completed"] == 2


class TestFactory:
    def test_it_makes_the_backend_that_the_config_asks_for(self):
        config = LearningProgressConfig.default(num_active_tasks=3, use_shared_memory=False)
        tracker = create_task_tracker(config)
        assert isinstance(tracker, TaskTracker)
        assert isinstance(tracker.backend, LocalMemoryBackend)
        assert tracker.capacity == 3

    def test_a_backend_of_another_capacity(self):
        with pytest.raises(ValueError, match=r"backend: expected a capacity of num_active_tasks=4, got 5; make it"):
            create_task_tracker(LearningProgressConfig.default(num_active_tasks=4), backend=LocalMemoryBackend(5))

    def test_a_backend_for_other_axes(self):
        config = LearningProgressConfig.default(num_active_tasks=4)
        with pytest.raises(ValueError, match=r"backend: expected rows with the generator's 2 axes, got 1; make it"):
            create_task_tracker(config, (Axis("x", (0, 1)), Axis("y", (0, 1))), backend=LocalMemoryBackend(4, 1))


class TestRounding:
    def test_of_scores_just_beyond_the_range_is_forgiven(self):
        curriculum = Curriculum(
            CurriculumConfig(num_active_tasks=2, score_range=(0.0, 0.1), use_shared_memory=False),
            algorithm=UniformAlgorithm(UniformConfig()),
        )
        curriculum.tell([0], np.float32([0.1]))
        curriculum.update_task_performance(1, np.float32(0.1))
        curriculum.tell([0], [[np.float32(0.1), 0.0]])
        states = curriculum.task_states()
        assert [state.last_score for state in states] == [pytest.approx(0.5), 1.0]

    def test_of_a_sum_of_rewards_is_forgiven(self):
        curriculum = Curriculum(UniformConfig(num_active_tasks=1, use_shared_memory=False))
        total = 0.0
        for reward in [1 / 9] * 9:
            total += reward
        assert total > 1.0
        curriculum.update_task_performance(0, total)
        assert curriculum.task_states()[0].last_score == 1.0

    def test_of_a_score_at_the_threshold_is_a_success(self):
        config = UniformConfig(num_active_tasks=1, success_threshold=0.9, use_shared_memory=False)
        for tell in (lambda it: it.tell([0], [np.float32(0.9)]), lambda it: it.tell([0], [[np.float32(0.9)]])):
            curriculum = Curriculum(config)
            tell(curriculum)
            assert curriculum.task_states()[0].success_ema == pytest.approx(1.0)

    @pytest.mark.parametrize("score", [1.00001, -0.00001, np.nan, np.inf])
    def test_of_more_than_rounding_is_not(self, score):
        curriculum = Curriculum(UniformConfig(num_active_tasks=1, use_shared_memory=False))
        for tell in (curriculum.update_task_performance, lambda i, s: curriculum.tell([i], [s])):
            with pytest.raises(ValueError, match="score: expected a finite number in score_range"):
                tell(0, score)


def test_a_regret_that_is_no_number_names_its_place_and_task():
    curriculum = Curriculum(UniformConfig(num_active_tasks=4, use_shared_memory=False))
    with pytest.raises(ValueError, match="got nan at index 2, for task 3"):
        curriculum.tell([0, 1, 3], [0.5] * 3, regrets=[0.0, 1.0, np.nan])
