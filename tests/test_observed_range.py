"""An observed range of scores: the rows are those that the final range, declared at the start, would have given."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curricular import Curriculum, CurriculumConfig, MeanOfFirst, NoiseAwareConfig, Span, UniformConfig, bucketed
from curricular.algorithms.registry import variants
from curricular.rows import RECENT_SCORES
from curricular.table import EMAS, check_table

SIZE = 3

results = st.lists(
    st.tuples(st.integers(0, SIZE - 1), st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=4), st.booleans()),
    min_size=1,
    max_size=12,
)


def make(score_range, **overrides):
    return Curriculum(
        UniformConfig(num_active_tasks=SIZE, score_range=score_range, **{"use_shared_memory": False, **overrides})
    )


def tell(curriculum, history):
    """Tells groups, and single scores; the flush decides where the range widens."""
    for slot, scores, is_group in history:
        if is_group:
            curriculum.tell([slot], [scores])
        else:
            for score in scores:
                curriculum.update_task_performance(slot, score)
        if slot == 0:
            curriculum.flush()


def recent(row):
    """Returns the last 12 scores, oldest first."""
    return [getattr(row, name) >> shift & 65535 for name in RECENT_SCORES for shift in (48, 32, 16, 0)]


@pytest.mark.parametrize("use_shared_memory", [False, True])
@settings(max_examples=40, deadline=None)
@given(history=results, baseline=st.sampled_from([0.25, MeanOfFirst(num_completions=3)]))
def test_rows_are_those_of_the_range_declared_at_the_start(use_shared_memory, history, baseline):
    values = [score for _, scores, _ in history for score in scores]
    low, high = min(values), max(values)
    if high - low < 1e-6:
        high = low + 1.0
        history = [*history, (0, [high], False)]
    settings = {"success_threshold": low, "random_baseline": baseline}
    observed = make("observed", use_shared_memory=use_shared_memory, **settings)
    declared = make((low, high), **settings)
    tell(observed, history)
    tell(declared, history)
    found, expected = observed.tracker.snapshot(), declared.tracker.snapshot()
    check_table(found)
    assert found.score_range.tolist() == [low, high]
    assert found.counters == expected.counters
    for slot in range(SIZE):
        here, there = found.rows.state(slot), expected.rows.state(slot)
        for name in (*EMAS, "mean_square", "success_ema", "last_score", "random_baseline"):
            assert getattr(here, name) == pytest.approx(getattr(there, name), abs=1e-9), name
        num_told = min(there.num_completions, 12)
        assert recent(here)[: 12 - num_told] == [0] * (12 - num_told)
        assert np.abs(np.subtract(recent(here), recent(there))).max() <= 12  # each widening rounds once more
    assert found.labels["recent_score"].sum() == pytest.approx(expected.labels["recent_score"].sum(), abs=1e-9)
    observed.close()


@pytest.mark.parametrize("name", variants())
def test_every_algorithm_chooses_as_with_the_range_declared_at_the_start(name):
    def of(score_range):
        config = variants()[name](
            num_active_tasks=8, score_range=score_range, success_threshold=120.0, use_shared_memory=False
        )
        return Curriculum(config, bucketed({"x": 0.0}, {"x": Span(0.0, 1.0)}))

    observed, declared = of("observed"), of((-50.0, 350.0))
    rng = np.random.default_rng(0)
    scores = rng.uniform(-50, 350, 200)
    scores[[5, 90]] = -50.0, 350.0
    for task_id, score in enumerate(scores):
        for curriculum in (observed, declared):
            curriculum.tell([task_id % 8], [score], regrets=[0.5])
    assert observed.probabilities() == pytest.approx(declared.probabilities(), abs=2e-3)


class TestScores:
    def test_in_the_users_units_whatever_comes(self):
        curriculum = make("observed")
        for score in (17.0, 17.0, 21.5, -3.0):
            curriculum.update_task_performance(0, score)
        assert curriculum.stats()["score/mean"] == pytest.approx(np.mean([17, 17, 21.5, -3]), abs=0.5)
        assert curriculum.task(0).score == pytest.approx(curriculum.stats()["score/mean"])

    def test_equal_scores_have_no_width(self):
        curriculum = make("observed")
        curriculum.tell([0, 1, 0], [5.0, 5.0, 5.0])
        assert curriculum.stats()["score/mean"] == 5.0
        assert curriculum.tracker.snapshot().score_range.tolist() == [5.0, 5.0]
        curriculum.tell([2], [6.0])
        assert curriculum.task(0).score == 5.0

    def test_success_is_the_upper_half_unless_a_threshold_is_given(self):
        free, fixed = make("observed"), make("observed", success_threshold=1.0)
        for curriculum in (free, fixed):
            curriculum.tell([0, 1], [0.0, 10.0])
            curriculum.tell([2], [[4.0, 6.0]])
        assert [state.success_ema for state in free.task_states()] == pytest.approx([0.0, 1.0, 0.5])
        assert [state.success_ema for state in fixed.task_states()] == pytest.approx([0.0, 1.0, 1.0])
        assert (free.stats()["success/threshold"], fixed.stats()["success/threshold"]) == (5.0, 1.0)

    @pytest.mark.parametrize("score", [np.nan, np.inf, -np.inf, 1e101])
    def test_what_is_no_score_is_refused_and_changes_nothing(self, score):
        curriculum = make("observed")
        curriculum.tell([0], [1.0])
        before = curriculum.stats()
        for call in (
            lambda: curriculum.update_task_performance(0, score),
            lambda: curriculum.tell([0, 1], [0.5, score]),
            lambda: curriculum.tell([0], [[0.5, np.inf if np.isnan(score) else score]]),
        ):
            with pytest.raises(ValueError, match="score: expected a finite number within ±1e\\+100"):
                call()
        assert curriculum.stats() == before


def test_the_range_is_saved_and_goes_on(tmp_path):
    curriculum = make("observed")
    curriculum.tell([0, 1], [-2.0, 7.0])
    curriculum.save(tmp_path / "saved")
    resumed = Curriculum.load(tmp_path / "saved")
    assert resumed.stats() == curriculum.stats()
    resumed.tell([2], [3.0])
    assert resumed.tracker.snapshot().score_range.tolist() == [-2.0, 7.0]


@pytest.mark.parametrize(
    ("before", "after"),
    [((0.0, 10.0), (-10.0, 30.0)), ((0.0, 10.0), "observed"), ("observed", (-10.0, 30.0)), ("observed", "observed")],
)
def test_a_wider_range_is_applied_at_a_load(before, after, tmp_path):
    settings = {"success_threshold": 4.0, "random_baseline": MeanOfFirst(num_completions=3)}
    history = [(0, [1.0, 9.0], True), (1, [5.0], False), (0, [2.0], False), (2, [0.0, 10.0], True)]
    curriculum, declared = make(before, **settings), make((-10.0, 30.0), **settings)
    tell(curriculum, history)
    tell(declared, history)
    curriculum.save(tmp_path / "saved")
    resumed = Curriculum.load(tmp_path / "saved", config=curriculum.config.model_copy(update={"score_range": after}))
    for whole in (resumed, declared):
        whole.tell([1, 0], [-10.0, 30.0])
    found, expected = resumed.tracker.snapshot(), declared.tracker.snapshot()
    check_table(found)
    for name in (*EMAS, "mean_square", "success_ema", "last_score", "random_baseline"):
        assert found.rows[name] == pytest.approx(expected.rows[name], abs=1e-9), name
    assert resumed.stats()["score/mean"] == pytest.approx(declared.stats()["score/mean"])


@pytest.mark.parametrize("before", [(0.0, 10.0), "observed"])
def test_a_range_that_lacks_what_was_told_is_refused_at_a_load(before, tmp_path):
    curriculum = make(before, success_threshold=4.0)
    curriculum.tell([0, 1], [0.0, 10.0])
    curriculum.save(tmp_path / "saved")
    config = curriculum.config.model_copy(update={"score_range": (0.0, 9.0)})
    with pytest.raises(
        ValueError, match=r"state: expected scores within score_range \[0.0, 9.0\], got .* \[0.0, 10.0\]"
    ):
        Curriculum.load(tmp_path / "saved", config=config)


def test_processes_share_the_range():
    config = NoiseAwareConfig(num_active_tasks=SIZE, score_range="observed", session_id="observed")
    with Curriculum(config) as first, Curriculum(config) as second:
        first.tell([0], [100.0])
        second.tell([1], [-100.0])
        assert first.stats()["score/mean"] == second.stats()["score/mean"] == 0.0


def test_a_declared_range_refuses_what_is_outside_and_says_what_to_do():
    with pytest.raises(ValueError, match=r"score_range \(0.0, 1.0\), got 17.0; .*score_range='observed'"):
        make((0.0, 1.0)).update_task_performance(0, 17.0)
    with pytest.raises(ValueError, match="score_range"):
        CurriculumConfig(score_range="wide")
