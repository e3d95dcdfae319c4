"""Tasks that are looked at, not handed out: a fixed set for evaluations, and the next task."""

import numpy as np
import pytest

from curricular import Curriculum, LearningProgressConfig, Span, TaskBuildError, UniformConfig, bucketed, merge

GRID = bucketed({"size": 5, "lit": True}, {"size": [5, 9, 15], "lit": [True, False]})
POLES = bucketed({"gravity": 9.8}, {"gravity": Span(5.0, 30.0)})


def curriculum_of(tasks, **settings):
    return Curriculum(UniformConfig(use_shared_memory=False, **settings), tasks)


def configs(tasks):
    return [task.config for task in tasks]


class Some:
    """Eight tasks, some of which cannot be built."""

    axes, num_tasks = (), 8

    def __init__(self, broken):
        self.broken = broken

    def sample(self, seeds, rng):
        return np.empty((len(seeds), 0))

    def label_of(self, seed, params):
        return f"level-{seed}"

    def build(self, seed, params):
        if seed in self.broken:
            raise FileNotFoundError(seed)
        return seed


@pytest.mark.parametrize("tasks", [GRID, POLES, merge([GRID, POLES], weights=[1, 2])], ids=["finite", "endless", "set"])
def test_the_set_is_the_same_in_every_run_whatever_the_pool_has_become(tasks):
    curriculum = curriculum_of(tasks, num_active_tasks=4)
    first = curriculum.evaluation_tasks(4, seed=1)
    for task in curriculum.ask(200):
        curriculum.update_task_performance(task.task_id, 1.0)
    assert curriculum.evaluation_tasks(4, seed=1) == first
    other = Curriculum(LearningProgressConfig.stable(num_active_tasks=2, seed=5, use_shared_memory=False), tasks)
    assert other.evaluation_tasks(4, seed=1) == first
    assert configs(curriculum.evaluation_tasks(4, seed=2)) != configs(first)
    assert [task.label for task in first] == [task.label for task in other.evaluation_tasks(4, seed=1)]


def test_no_handout_is_counted_and_the_draws_stay_the_same():
    looked, plain = (curriculum_of(GRID, num_active_tasks=6) for _ in range(2))
    drawn = []
    for _ in range(300):
        looked.evaluation_tasks(6)
        drawn.append((looked.peek().task_id, looked.get_task().task_id))
    assert [task_id for task_id, _ in drawn] == [task_id for _, task_id in drawn]
    assert [task_id for _, task_id in drawn] == [plain.get_task().task_id for _ in range(300)]
    assert looked.stats() == plain.stats()
    assert looked.stats()["num_scheduled"] == 300


def test_the_tasks_of_a_finite_generator_are_distinct_and_no_more_than_there_are():
    curriculum = curriculum_of(GRID, num_active_tasks=2)
    tasks = curriculum.evaluation_tasks(6)
    assert len({tuple(task.config.items()) for task in tasks}) == 6
    with pytest.raises(ValueError, match="n: expected 0 to 6 tasks, got 7"):
        curriculum.evaluation_tasks(7)
    with pytest.raises(ValueError, match="seed: expected at least 0, got -1"):
        curriculum.evaluation_tasks(1, seed=-1)
    with pytest.raises(TypeError, match=r"seed: expected a whole number, got 1\.5"):
        curriculum.evaluation_tasks(1, seed=1.5)
    assert curriculum.evaluation_tasks(0) == []
    with pytest.raises(ValueError, match="n: expected 0 to 10000000 tasks, got 1180591620717411303424"):
        curriculum_of(POLES).evaluation_tasks(2**70)


@pytest.mark.parametrize("seed", [0, 1, 7])
def test_the_choice_is_independent_of_the_pool_even_with_the_same_seed(seed):
    n, num_tasks = 500, 5000
    curriculum = curriculum_of(range(num_tasks), num_active_tasks=n, seed=seed)
    shared = {*configs(curriculum.evaluation_tasks(n, seed=seed))} & {*curriculum.tasks()["seed"].tolist()}
    expected = n * n / num_tasks  # 50; the standard deviation of the hypergeometric distribution is 6.4
    assert abs(len(shared) - expected) < 26


def test_tell_refuses_their_ids():
    curriculum = curriculum_of(GRID, num_active_tasks=6)
    tasks = curriculum.evaluation_tasks(3)
    assert [task.task_id for task in tasks] == [-1, -2, -3]
    for task in tasks:
        with pytest.raises(KeyError):
            curriculum.update_task_performance(task.task_id, 1.0)
        with pytest.raises(KeyError):
            curriculum.tell([task.task_id], [1.0])


def test_their_configurations_belong_to_the_caller():
    curriculum = curriculum_of(GRID, num_active_tasks=6)
    (task,) = curriculum.evaluation_tasks(1)
    before = dict(task.config)
    task.config["size"] = -1
    assert curriculum.evaluation_tasks(1)[0].config == before


def test_a_task_that_cannot_be_built_is_replaced():
    curriculum = curriculum_of(Some({0, 3}), num_active_tasks=8)
    assert sorted(configs(curriculum.evaluation_tasks(6))) == [1, 2, 4, 5, 6, 7]
    with pytest.raises(ValueError, match=r"n: expected at most 6 tasks, .* got 7"):
        curriculum.evaluation_tasks(7)
    assert {curriculum.peek().config for _ in range(50) if curriculum.get_task()} == {1, 2, 4, 5, 6, 7}
    broken = curriculum_of(Some(set(range(8))), num_active_tasks=8)
    with pytest.raises(ValueError, match="n: expected at most 0 tasks"):
        broken.evaluation_tasks(1)
    with pytest.raises(TaskBuildError, match="FileNotFoundError"):
        broken.peek()
    assert broken.stats()["num_scheduled"] == 0
