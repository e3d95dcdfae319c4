"""A task whose hand-outs end without a score is drawn at most as often as by uniform choice, and evicted first."""

import numpy as np
import pytest

from curricular import Curriculum, CurriculumConfig, UniformConfig, create_algorithm, merge, single_task
from curricular.algorithms.registry import variants
from curricular.probabilities import capped

NUM_TASKS = 16


def generator(num_tasks):
    return merge([single_task(number, label=str(number % 4)) for number in range(num_tasks)])


def made(factory, num_tasks, **overrides):
    config = factory(num_active_tasks=num_tasks, use_shared_memory=False, seed=3, **overrides)
    return Curriculum(config, generator(num_tasks) if _is_finite(config) else None)


def _is_finite(config):
    return not hasattr(config, "history_share") and not hasattr(config, "mutation_share")


def play(curriculum, num_draws, is_broken, num_learned=40):
    """Draws tasks; those that are broken are cancelled, the others are learned as they are played. Draws by task."""
    needs_regrets = curriculum.config.needs_regrets
    num_played, draws, rng = {}, [], np.random.default_rng(0)
    for _ in range(num_draws // 8):
        tasks = curriculum.ask(8)
        draws += [task.task_id for task in tasks]
        failed = [task.task_id for task in tasks if is_broken(task)]
        good = [task.task_id for task in tasks if not is_broken(task)]
        curriculum.cancel(failed, "failed")
        for task_id in good:
            num_played[task_id] = num_played.get(task_id, 0) + 1
        scores = [float(rng.random() < num_played[task_id] / num_learned) for task_id in good]
        curriculum.tell(good, scores, regrets=np.asarray(scores) if needs_regrets else None)
    return np.array(draws)


@pytest.mark.parametrize("name", [name for name in variants() if not name.startswith(("accel", "alp", "weighted"))])
def test_a_broken_task_gets_at_most_its_uniform_share(name):
    curriculum = made(variants()[name], NUM_TASKS)
    draws = play(curriculum, 4000, lambda task: task.task_id % NUM_TASKS == 5)
    is_broken = draws % NUM_TASKS == 5
    is_late = np.cumsum(is_broken) > 20
    assert is_broken[is_late].sum() <= 1.2 * is_late.sum() / NUM_TASKS + 3 * (is_late.sum() / NUM_TASKS) ** 0.5
    p = curriculum.probabilities()
    assert p[5] <= 1 / NUM_TASKS + 1e-12
    assert p.sum() == pytest.approx(1)


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


@pytest.mark.parametrize("name", ["uniform", "learning-progress", "noise-aware", "learnability", "thompson"])
def test_of_an_endless_family_few_broken_tasks_stay_in_the_pool(name):
    config = variants()[name](num_active_tasks=64, use_shared_memory=False, eviction_rate=0.05)
    curriculum = Curriculum(config)
    play(curriculum, 12_000, lambda task: task.config % 10 == 0)
    states = curriculum.task_states()
    assert sum(state.seed % 10 == 0 for state in states) <= 0.1 * len(states)
    assert all(state.num_failures < 10 for state in states)


def test_broken_tasks_are_evicted_before_any_other():
    config = CurriculumConfig(num_active_tasks=8, min_presentations_for_eviction=10**6, eviction_rate=0.1)
    curriculum = Curriculum(config, algorithm=create_algorithm(UniformConfig()))
    curriculum.cancel([3] * 20, "failed")
    curriculum.tell([0] * 60, [0.5] * 60)
    ids = [state.task_id for state in curriculum.task_states()]
    assert ids[3] >= 11
    assert [task_id for slot, task_id in enumerate(ids) if slot != 3] == [0, 1, 2, 4, 5, 6, 7]
