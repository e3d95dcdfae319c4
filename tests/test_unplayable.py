"""A task whose hand-outs end without a score is drawn at most as often as by uniform choice, and evicted first."""

from collections import Counter

import numpy as np
import pytest

from curricular import (
    Curriculum,
    CurriculumConfig,
    SequentialConfig,
    Span,
    UniformConfig,
    bucketed,
    create_algorithm,
    merge,
    single_task,
)
from curricular.algorithms.registry import variants
from curricular.generators import SeedGenerator
from curricular.probabilities import capped
from curricular.wrappers.failures import DEFAULT_MAX_FAILURES, FailureStreak

BATCH = 32
NUM_LEARNED = 40  # results of a task after which its score is 1
NEEDS_SPAN = ("accel", "accel-told", "adr", "alp-gmm", "riac")  # they refuse finite generators


def generator(num_tasks):
    return merge([single_task(number, label=str(number % 4)) for number in range(num_tasks)])


def play(curriculum, is_broken, num_draws):
    """Draws tasks; those that are broken are cancelled, the others are learned as they are played. Draws of the broken.

    The failures go through what a wrapper counts, and none may end the run.
    """
    needs_regrets = curriculum.config.needs_regrets
    num_played, num_failed, rng = Counter(), Counter(), np.random.default_rng(0)
    streak = FailureStreak(DEFAULT_MAX_FAILURES, curriculum.tracker.capacity)
    for _ in range(num_draws // BATCH):
        failed, good = [], []
        for task in curriculum.ask(BATCH):
            if is_broken(task):
                failed.append(task.task_id)
                assert not streak.add([task.task_id]), "the failures of a few tasks ended the run"
            else:
                good.append(task.task_id)
                streak.end()
        num_failed.update(failed)
        num_played.update(good)
        shares = np.minimum([num_played[task_id] / NUM_LEARNED for task_id in good], 1)
        scores = (rng.random(len(good)) < shares).astype(float)
        curriculum.cancel(failed, "failed")
        curriculum.tell(good, scores, regrets=scores if needs_regrets else None)
    return num_failed


@pytest.mark.parametrize(
    ("num_tasks", "seeds", "num_draws"),
    [(16, [1], 5_000), (64, [1], 10_000), (256, [1, 77, 200], 15_000)],
    ids=["1 of 16", "1 of 64", "3 of 256"],
)
@pytest.mark.parametrize("name", variants())
def test_broken_tasks_get_at_most_their_uniform_share_and_end_no_run(name, num_tasks, seeds, num_draws):
    tasks = bucketed({"x": 0.0}, {"x": Span(0.0, 1.0)}) if name in NEEDS_SPAN else generator(num_tasks)
    config = variants()[name](num_active_tasks=num_tasks, use_shared_memory=False, seed=3, eviction_rate=0)
    curriculum = Curriculum(config, tasks)
    states = curriculum.task_states()
    broken = seeds if name in NEEDS_SPAN else [state.task_id for state in states if state.seed in seeds]
    num_failed = play(curriculum, lambda task: task.task_id in broken, num_draws)
    assert num_failed.total() > 0
    num_late = sum(max(0, number - 20) for number in num_failed.values())
    assert num_late <= 1.2 * num_draws * len(seeds) / num_tasks
    p = curriculum.probabilities()
    assert p[broken].max() <= 1 / num_tasks + 1e-12
    assert p.sum() == pytest.approx(1)


@pytest.mark.parametrize("name", variants())
def test_of_an_endless_family_few_broken_tasks_stay_in_the_pool_and_no_run_ends(name):
    def is_broken(task):
        number = task.config if is_seed else 1 + int(task.config["x"] * 1e6)  # ADR begins at 0.5
        return number % 10 == 0

    is_seed = name not in NEEDS_SPAN
    config = variants()[name](num_active_tasks=64, use_shared_memory=False, seed=3, eviction_rate=0.05)
    curriculum = Curriculum(config, None if is_seed else bucketed({"x": 0.0}, {"x": Span(0.0, 1.0)}))
    play(curriculum, is_broken, 15_000)
    states = curriculum.task_states()
    numbers = [state.seed if is_seed else 1 + int(state.params[0] * 1e6) for state in states]
    assert sum(number % 10 == 0 for number in numbers) <= 0.1 * len(states)
    assert all(state.num_failures < 10 for state in states)


def test_three_of_many_are_capped_one_by_one():
    p = capped(np.array([0.5, 0.3, 0.1, 0.1]), np.full(4, True), np.array([True, True, False, False]))
    assert p == pytest.approx([0.25, 0.25, 0.25, 0.25])


def test_where_all_tasks_are_broken_nothing_changes():
    mask = np.array([True, True, False])
    assert capped(np.array([0.9, 0.1, 0.0]), mask, mask).tolist() == [0.9, 0.1, 0.0]
    assert capped(np.array([1.0, 0.0, 0.0]), mask, np.array([True, False, False])) == pytest.approx([0.5, 0.5, 0.0])


def test_a_score_ends_the_count_of_failures():
    curriculum = Curriculum(UniformConfig(num_active_tasks=2, use_shared_memory=False), generator(2))
    (state,) = [state for state in curriculum.task_states() if state.task_id == 0]
    assert state.num_failures == 0
    curriculum.cancel([0, 0], "failed")
    assert curriculum.task_states()[0].num_failures == 2
    curriculum.tell([0], [0.5])
    curriculum.cancel([0], "failed")
    assert curriculum.task_states()[0].num_failures == 1


def test_broken_tasks_are_evicted_before_any_other():
    config = CurriculumConfig(num_active_tasks=8, min_presentations_for_eviction=10**6, eviction_rate=0.1)
    curriculum = Curriculum(config, algorithm=create_algorithm(UniformConfig()))
    curriculum.cancel([3] * 20, "failed")
    curriculum.tell([0] * 60, [0.5] * 60)
    ids = [state.task_id for state in curriculum.task_states()]
    assert ids[3] >= 11
    assert [task_id for slot, task_id in enumerate(ids) if slot != 3] == [0, 1, 2, 4, 5, 6, 7]


@pytest.mark.parametrize("num_tasks", [16, 256, 1024])
def test_tasks_that_have_all_draws_and_cannot_be_played_lose_them_at_once(num_tasks):
    config = SequentialConfig(num_active_tasks=num_tasks, use_shared_memory=False, rehearsal_share=0.0)
    curriculum = Curriculum(config, generator(num_tasks))
    broken, num_cancelled = num_tasks // 8, 0
    while (task := curriculum.get_task()).config <= broken:
        if task.config == broken:
            curriculum.cancel([task.task_id], "failed")
            num_cancelled += 1
        else:
            curriculum.update_task_performance(task.task_id, 1.0)
    assert num_cancelled == config.max_failures


def test_it_is_the_same_for_hand_outs_with_tickets():
    curriculum = Curriculum(SequentialConfig(num_active_tasks=64, use_shared_memory=False), generator(64))
    (broken,) = [state.task_id for state in curriculum.task_states() if state.seed == 0]
    batch = curriculum.ask_batch(3)
    assert set(batch.task_ids.tolist()) == {broken}
    assert curriculum.cancel_batch(batch.tickets, "failed") == 3
    assert [task.config for task in curriculum.ask(20)].count(1) > 15


def test_tasks_that_have_all_draws_and_cannot_be_built_lose_them_at_once():
    class FirstIsBroken(SeedGenerator):
        num_tasks = 64

        def build(self, seed, params):
            if seed == 0:
                raise ValueError("no task 0")
            return seed

    curriculum = Curriculum(SequentialConfig(num_active_tasks=64, use_shared_memory=False), FirstIsBroken())
    assert curriculum.get_task().config == 1
    assert curriculum.stats()["num_cancelled"] == 3


def test_it_is_the_same_after_save_and_load():
    config = SequentialConfig(num_active_tasks=64, use_shared_memory=False)
    first, second = Curriculum(config, generator(64)), Curriculum(config, generator(64))
    (broken,) = [state.task_id for state in first.task_states() if state.seed == 0]
    first.cancel([broken] * 2, "failed")
    second.load_state_dict(first.state_dict())
    drawn = []
    for curriculum in (first, second):
        curriculum.cancel([broken], "failed")
        drawn.append([task.config for task in curriculum.ask(20)])
    assert drawn[0] == drawn[1]
    assert drawn[0].count(1) > 15


def test_in_a_session_scores_in_between_keep_later_cancellations_from_the_lock(monkeypatch):
    # Another worker records them: what this one has counted of its own log must not add up meanwhile.
    config = UniformConfig(num_active_tasks=256, session_id="scores-in-between")
    with Curriculum(config, generator(256)) as curriculum, Curriculum(config, generator(256)) as other:
        passes, advance = [], curriculum._refresher.advance
        monkeypatch.setattr(curriculum._refresher, "advance", lambda **due: passes.append(due) or advance(**due))
        for _ in range(2 * config.max_failures):  # fewer endings than a worker looks at the table after
            curriculum.cancel([0], "failed")
            curriculum.tell([0], [0.5])
            other.flush()
        assert not passes
        for _ in range(config.max_failures):
            assert not passes
            curriculum.cancel([0], "failed")
        assert len(passes) == 1
