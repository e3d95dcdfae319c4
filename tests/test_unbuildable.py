"""A task that cannot be built ends as cancelled, and another one is handed out."""

import logging
import pickle

import pytest

from curricular import Curriculum, CurriculumConfig, TaskBuildError, UniformConfig, merge, single_task
from curricular.generators import SeedGenerator
from curricular.handouts import MAX_UNBUILDABLE

SIZE = 8


class Sometimes(SeedGenerator):
    """Tasks 0 … 7, of which some cannot be built."""

    num_tasks = SIZE

    def __init__(self, broken):
        self.broken = set(broken)

    def build(self, seed, params):
        if seed in self.broken:
            raise ValueError(f"no task {seed}")
        return seed


def made(broken, use_shared_memory=False):
    return Curriculum(UniformConfig(num_active_tasks=SIZE, use_shared_memory=use_shared_memory), Sometimes(broken))


def balance(curriculum):
    stats = curriculum.stats()
    came = stats["num_completed"] + stats["num_cancelled"] + stats["num_stale"] + stats["num_pending"]
    return stats["num_scheduled"] + stats["num_unsolicited"] - came


@pytest.mark.parametrize("use_shared_memory", [True, False])
@pytest.mark.parametrize("how", ["one by one", "in batches", "distinct"])
def test_another_one_is_handed_out(how, use_shared_memory, caplog):
    with made({3, 5}, use_shared_memory) as curriculum, caplog.at_level(logging.WARNING, "curricular"):
        tasks = []
        for _ in range(40):
            if how == "one by one":
                tasks += [curriculum.get_task() for _ in range(4)]
            else:
                batch = curriculum.ask(4, replace=how == "in batches")
                assert how == "in batches" or len({task.task_id for task in batch}) == 4
                tasks += batch
        assert len(tasks) == 160
        assert {task.config for task in tasks} == {0, 1, 2, 4, 6, 7}
        stats = curriculum.stats()
        assert stats["num_pending"] == 160
        assert stats["num_cancelled"] > 10
        assert balance(curriculum) == 0
        assert "no task 3, for task" in caplog.text


def test_tasks_drawn_before_and_after_are_those_of_the_stream():
    with_gaps, whole = made({3}), made({})
    expected = [task.config for task in whole.ask(300)]
    assert [task.config for task in with_gaps.ask(300)][:200] == [seed for seed in expected if seed != 3][:200]


@pytest.mark.parametrize("ask", [lambda it: it.get_task(), lambda it: it.ask(4), lambda it: it.ask(4, replace=False)])
def test_several_different_ones_in_a_row_are_an_error_that_names_the_task(ask):
    curriculum = made(range(SIZE))
    with pytest.raises(
        TaskBuildError, match=r"generator\.build: expected a configuration, got .* no task \d, for task \d"
    ) as caught:
        ask(curriculum)
    assert 0 <= caught.value.task_id < SIZE
    assert isinstance(caught.value.__cause__, ValueError)
    assert curriculum.stats()["num_pending"] == 0
    assert MAX_UNBUILDABLE <= curriculum.stats()["num_cancelled"] <= SIZE
    assert balance(curriculum) == 0


def test_as_many_distinct_tasks_as_can_be_built_are_handed_out():
    curriculum = made({1, 2})
    assert len(curriculum.ask(6, replace=False)) == 6
    with pytest.raises(TaskBuildError):
        curriculum.ask(7, replace=False)


def test_it_is_the_same_after_save_and_load(tmp_path):
    curriculum = made({3})
    curriculum.ask(50)
    curriculum.save(tmp_path / "state.npz")
    loaded = Curriculum.load(tmp_path / "state.npz", Sometimes({3}))
    assert [task.config for task in loaded.ask(50)] == [task.config for task in curriculum.ask(50)]


def test_a_pool_of_one_that_cannot_be_built_is_an_error_at_once():
    class One(Sometimes):
        num_tasks = 1

    with pytest.raises(TaskBuildError):
        Curriculum(CurriculumConfig(num_active_tasks=1), One({0}), algorithm=made({}).algorithm).get_task()


def test_the_error_travels_between_processes():
    error = pickle.loads(pickle.dumps(TaskBuildError("generator: no", 7)))
    assert (str(error), error.task_id) == ("generator: no", 7)


def test_it_is_drawn_less_and_evicted_first_as_any_task_that_cannot_be_played():
    curriculum = made({3})
    for _ in range(400):
        task = curriculum.get_task()
        curriculum.update_task_performance(task.task_id, 0.5)
    (broken,) = [state for state in curriculum.task_states() if state.seed == 3]
    assert broken.num_failures >= 3
    assert broken.num_completions == 0


def test_a_finite_set_with_one_broken_member_trains_on():
    generator = merge([single_task("good"), Broken(), single_task("fine")])
    curriculum = Curriculum(UniformConfig(num_active_tasks=3, use_shared_memory=False), generator)
    assert {task.config for task in curriculum.ask(60)} == {"good", "fine"}


class Broken(Sometimes):
    num_tasks = 1

    def __init__(self):
        super().__init__({0})
