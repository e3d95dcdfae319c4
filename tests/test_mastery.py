"""States of tasks by what is known of them: each definition on results that it names."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curricular import Curriculum, LearningProgressConfig, UniformConfig
from curricular.mastery import FORGOTTEN, LEARNING, MASTERED, MASTERY, NEVER_SCORED, NEVER_SOLVED, SOLVED_ONCE, mastery


def curriculum_of(num_tasks, **settings):
    return Curriculum(UniformConfig(num_active_tasks=num_tasks, use_shared_memory=False, **settings))


def states_of(curriculum):
    config = curriculum.config
    return mastery(curriculum.tracker.snapshot().rows, config.slow_rate, config.score_range).tolist()


def state_after(*results, **settings):
    curriculum = curriculum_of(1, **settings)
    for result in results:
        curriculum.tell([0], [result])
    (state,) = states_of(curriculum)
    return state


@pytest.mark.parametrize(
    ("results", "state"),
    [
        ([], NEVER_SCORED),
        ([0.0], NEVER_SOLVED),
        ([0.4] * 500, NEVER_SOLVED),
        ([1.0], SOLVED_ONCE),
        ([0.0] * 30 + [1.0], SOLVED_ONCE),
        ([1.0] + [0.0] * 300, SOLVED_ONCE),
        ([1.0, 1.0], LEARNING),
        ([0.0, 1.0] * 20, LEARNING),
        ([1.0] * 9, LEARNING),
        ([1.0] * 10, MASTERED),
        ([0.0] * 200 + [1.0] * 11, LEARNING),
        ([0.0] * 200 + [1.0] * 12, MASTERED),
        ([0.0] * 200 + [1.0] * 12 + [0.0], LEARNING),
        ([0.0] + [1.0] * 11, MASTERED),
        ([1.0] * 50 + [0.0] * 11, LEARNING),
        ([1.0] * 50 + [0.0] * 12, FORGOTTEN),
        ([1.0] * 50 + [0.0] * 12 + [1.0], LEARNING),
    ],
)
def test_results_lead_to_a_state(results, state):
    assert state_after(*results) == state


@pytest.mark.parametrize("score_range", [(0.0, 1.0), (-1.0, 1.0), (0.0, 500.0)])
def test_states_do_not_depend_on_the_units_of_the_score(score_range):
    low, high = score_range
    for shares, state in (([1.0] * 50 + [0.0] * 12, FORGOTTEN), ([0.5] * 10, MASTERED), ([0.49] * 10, NEVER_SOLVED)):
        assert state_after(*(low + (high - low) * share for share in shares), score_range=score_range) == state


def test_a_score_at_the_threshold_is_a_success_lately_too():
    settings = {"score_range": (0.0, 3.0), "success_threshold": 1.1}
    assert state_after(*[3.0] * 50, *[0.0] * 11, 1.1, **settings) == LEARNING


def test_a_task_that_is_solved_again_and_again_is_mastered_however_long_the_average_remembers():
    settings = {"ema_timescale": 0.2, "slow_timescale_factor": 1 / 256}
    assert state_after(*[0.0] * 100, *[1.0] * 12, **settings) == MASTERED
    assert state_after(*[0.0] * 100, *[1.0, 1.0, 1.0, 0.0] * 25, **settings) == LEARNING


def test_groups_count_each_score():
    assert state_after([1.0, 0.0, 0.0, 0.0]) == SOLVED_ONCE
    assert state_after([1.0, 1.0, 0.0, 0.0]) == LEARNING
    assert state_after([1.0] * 16) == MASTERED


@given(st.integers(1, 400), st.integers(0, 399), st.sampled_from([0.001, 0.02, 0.3, 1.0]))
def test_one_success_among_failures_is_one_whatever_the_rate(num_results, position, slow_rate):
    results = np.zeros(num_results)
    results[position % num_results] = 1.0
    settings = {"ema_timescale": slow_rate, "slow_timescale_factor": 1.0}
    state = state_after(*results.tolist(), **settings)
    assert state == SOLVED_ONCE or (slow_rate == 1.0 and state in {LEARNING, MASTERED, NEVER_SOLVED})


def test_the_shares_of_the_states_are_those_of_their_tasks_in_the_distribution():
    curriculum = Curriculum(LearningProgressConfig.default(num_active_tasks=40, use_shared_memory=False))
    for number in range(400):
        task = curriculum.get_task()
        curriculum.update_task_performance(task.task_id, float(task.task_id % 5 > number % 7))
    stats, states, shares = curriculum.stats(), np.array(states_of(curriculum)), curriculum.probabilities()
    for index, name in enumerate(MASTERY):
        key = f"mastery/{name.replace(' ', '_')}"
        assert stats[f"{key}/num_tasks"] == (states == index).sum()
        assert stats[f"{key}/probability"] == pytest.approx(shares[states == index].sum())
    assert sum(value for key, value in stats.items() if key.startswith("mastery/") and "num" in key) == 40
