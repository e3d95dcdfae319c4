"""A group of exchangeable scores is one result: each of its scores counts, and their order makes no difference."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curricular import (
    Curriculum,
    CurriculumConfig,
    LearnabilityConfig,
    MeanOfFirst,
    NoiseAwareConfig,
    Span,
    ThompsonConfig,
    UniformConfig,
    bucketed,
)
from curricular.algorithms.registry import variants
from curricular.priorities import beta_posterior
from curricular.rows import RECENT_SCORES
from curricular.table import columns_of

AVERAGES = ["fast_ema", "middle_ema_1", "middle_ema_2", "middle_ema_3", "slow_ema"]


def made(**overrides):
    return Curriculum(UniformConfig(num_active_tasks=3, use_shared_memory=False, **overrides))


def row(curriculum, slot=0):
    return curriculum.tracker.snapshot().rows.state(slot)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 2), st.lists(st.floats(0, 1), min_size=1, max_size=9)), min_size=1, max_size=12),
    st.sampled_from([0.0, MeanOfFirst(num_completions=5)]),
)
def test_a_group_counts_as_its_mean_told_once_for_each_score(groups, baseline):
    together, one_by_one = made(random_baseline=baseline), made(random_baseline=baseline)
    for task_id, scores in groups:
        together.tell([task_id], [scores])
        one_by_one.tell([task_id] * len(scores), [np.mean(scores)] * len(scores))
    for slot in range(3):
        here, there = row(together, slot), row(one_by_one, slot)
        assert here.num_completions == there.num_completions
        for name in (*AVERAGES, "random_baseline", "last_score"):
            assert getattr(here, name) == pytest.approx(getattr(there, name), abs=1e-9), name
        for name in RECENT_SCORES:
            assert getattr(here, name) == getattr(there, name), name
    assert together.tracker.snapshot().counters.num_completed == len(groups)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=2, max_size=8), st.randoms())
def test_order_within_a_group_says_nothing(scores, random):
    first, second = made(), made()
    shuffled = list(scores)
    random.shuffle(shuffled)
    first.tell([0], [scores])
    second.tell([0], [shuffled])
    for name in (*AVERAGES, "mean_square", "success_ema"):
        assert getattr(row(first), name) == pytest.approx(getattr(row(second), name), abs=1e-12)


def test_square_and_success_are_the_groups_own():
    curriculum = made(score_range=(0.0, 10.0), success_threshold=5.0)
    curriculum.tell([0], [[0.0, 10.0, 4.0, 6.0]])
    assert row(curriculum).mean_square == pytest.approx(np.mean([0.0, 1.0, 0.16, 0.36]))
    assert row(curriculum).success_ema == pytest.approx(0.5)
    assert row(curriculum).slow_ema == pytest.approx(0.5)


@pytest.mark.parametrize("batch", [1, 7, 40])
def test_batching_makes_no_difference(batch):
    rng = np.random.default_rng(1)
    ids, scores = rng.integers(3, size=40), (rng.random((40, 5)) < 0.4).astype(float)
    whole, parts = made(), made()
    whole.tell(ids, scores)
    for start in range(0, 40, batch):
        parts.tell(ids[start : start + batch], scores[start : start + batch])
    for slot in range(3):
        for name in (*AVERAGES, "mean_square", "success_ema", *RECENT_SCORES):
            assert getattr(row(whole, slot), name) == pytest.approx(getattr(row(parts, slot), name), abs=1e-9)


def test_the_account_counts_one_hand_out():
    curriculum = made()
    tasks = curriculum.ask(3)
    ids = [task.task_id for task in tasks]
    curriculum.tell(ids, [[0.0, 1.0], [np.nan, 1.0], [np.nan, np.nan]])
    stats = curriculum.stats()
    assert stats["num_completed"] == 2
    assert stats["num_cancelled"] == 1
    assert stats["num_pending"] == stats["num_unsolicited"] == 0
    states = {state.task_id: state for state in curriculum.task_states()}
    assert sum(state.num_completions for state in states.values()) == 3
    assert sum(state.num_failures for state in states.values()) <= 1


def test_what_was_logged_before_comes_before():
    together, apart = made(), made()
    together.tell([0, 0], [0.0, 1.0])
    together.tell([0], [[1.0, 1.0]])
    apart.tell([0, 0, 0, 0], [0.0, 1.0, 1.0, 1.0])
    for name in (*AVERAGES, *RECENT_SCORES):
        assert getattr(row(together), name) == pytest.approx(getattr(row(apart), name), abs=1e-9)


@pytest.mark.parametrize("name", variants())
def test_a_rare_success_is_believed_as_it_is(name):
    """The mean of a group of eight at p = 1/8 is below any threshold: told as a group it is an eighth, not nothing."""
    rng = np.random.default_rng(0)
    config = variants()[name](num_active_tasks=64, use_shared_memory=False, eviction_rate=0)
    curriculum = Curriculum(config, bucketed({"x": 0.0}, {"x": Span(0.0, 1.0)}))
    for _ in range(40):
        curriculum.tell(range(64), (rng.random((64, 8)) < 0.125).astype(float), regrets=np.zeros(64))
    rows = curriculum.tracker.snapshot().rows
    assert rows["success_ema"].mean() == pytest.approx(0.125, abs=0.02)
    assert rows["slow_ema"] == pytest.approx(rows["success_ema"], abs=1e-9)
    if isinstance(config, ThompsonConfig):
        a, b = beta_posterior(columns_of(curriculum.tracker.snapshot()), config, config.prior)
        assert (a / (a + b)).mean() == pytest.approx(0.125, abs=0.02)


@pytest.mark.parametrize(
    ("scores", "error", "message"),
    [
        ([[0.5, 2.0]], ValueError, "score: expected a finite number in score_range"),
        ([[0.5, np.inf]], ValueError, "score: expected a finite number in score_range"),
        ([["a", "b"]], TypeError, "scores: expected numbers"),
        (np.empty((1, 0)), ValueError, "scores: expected at least one score per group"),
        ([[0.5], [0.5]], ValueError, r"scores: expected shape \(1,\) like task_ids"),
        ([[[0.5]]], ValueError, r"scores: expected shape \(1,\) like task_ids"),
        (
            [[1.0, 0.0], [1.0]],
            ValueError,
            r"scores: expected shape \(n,\), or \(n, G\) .*; pad shorter groups with NaN",
        ),
        (
            [0.5] * 8,
            ValueError,
            r"scores: expected shape \(1,\) like task_ids, got \(8,\); .* groups as shape \(1, 8\)",
        ),
        ([[0.5, None]], TypeError, "scores: expected numbers, got dtype object; mark a failed rollout .* by NaN"),
        ([None], TypeError, "scores: .*, and cancel a hand-out without a score"),
    ],
)
def test_bad_groups_are_refused_and_nothing_is_recorded(scores, error, message):
    curriculum = made()
    with pytest.raises(error, match=message):
        curriculum.tell([0], scores)
    assert curriculum.stats()["num_completed"] == 0


def test_regrets_come_one_for_each_group():
    config = CurriculumConfig(num_active_tasks=2, use_shared_memory=False)
    curriculum = Curriculum(config, algorithm=Curriculum(UniformConfig(num_active_tasks=2)).algorithm)
    curriculum.tell([0, 1], [[0.0, 1.0], [1.0, 1.0]], regrets=[0.25, 0.5])
    assert [state.last_regret for state in curriculum.task_states()] == [0.25, 0.5]
    assert [state.num_regrets for state in curriculum.task_states()] == [1, 1]


@pytest.mark.parametrize("config", [NoiseAwareConfig.recommended, LearnabilityConfig])
def test_a_session_records_groups_as_a_local_curriculum_does(config):
    rng = np.random.default_rng(2)
    shared, local = (Curriculum(config(num_active_tasks=8, use_shared_memory=where)) for where in (True, False))
    for _ in range(30):
        scores = (rng.random((4, 6)) < 0.3).astype(float)
        for curriculum in (shared, local):
            curriculum.tell([task.task_id for task in curriculum.ask(4)], scores)
    assert shared.stats() == local.stats()
    assert (shared.probabilities() == local.probabilities()).all()
