"""A task that cannot be built ends as cancelled, and another one is handed out."""

import logging
import pickle

import gymnasium
import pytest
from pydantic import BaseModel, model_validator

from curricular import (
    BucketedTaskGenerator,
    Curriculum,
    CurriculumConfig,
    TaskBuildError,
    UniformConfig,
    bucketed,
    merge,
    single_task,
)
from curricular.generators import SeedGenerator
from curricular.wrappers.gymnasium import CurriculumEnv

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
    assert 5 <= curriculum.stats()["num_cancelled"] <= 200
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


class Between(BaseModel):
    """Needs low < high."""

    low: int = 0
    high: int = 10

    @model_validator(mode="after")
    def _check(self):
        if self.low >= self.high:
            raise ValueError(f"low {self.low} is not below high {self.high}")
        return self


def local(num_tasks):
    return UniformConfig(num_active_tasks=num_tasks, use_shared_memory=False)


def test_a_combination_that_the_configuration_rejects_is_passed_over_and_counted(caplog):
    generator = bucketed(Between(), {"low": [0, 2, 5], "high": [3, 10]})
    curriculum = Curriculum(local(6), generator)
    tasks = [curriculum.get_task() for _ in range(200)]
    assert len({(task.config.low, task.config.high) for task in tasks}) == 5
    assert curriculum.stats()["num_cancelled"] > 0
    assert balance(curriculum) == 0
    assert "low 5 is not below high 3" in caplog.text


@pytest.mark.parametrize("ask", [lambda it: [it.get_task()], lambda it: it.ask(8), lambda it: it.ask(4, replace=False)])
def test_a_grid_that_is_mostly_invalid_is_never_an_error(ask):
    """Four in five of the combinations are."""
    generator = bucketed(Between(), {"low": list(range(40)), "high": [*range(1, 10), 40]})
    curriculum = Curriculum(local(400), generator)
    for _ in range(300):
        assert all(task.config.low < task.config.high for task in ask(curriculum))
    assert balance(curriculum) == 0


def test_it_is_an_error_when_nothing_of_a_pool_can_be_built_any_more():
    generator = Sometimes(())
    curriculum = Curriculum(local(SIZE), generator)
    curriculum.get_task()
    generator.broken = set(range(SIZE))
    curriculum.load_state_dict(curriculum.state_dict())
    with pytest.raises(TaskBuildError):
        curriculum.get_task()


class OneInAHundred(SeedGenerator):
    """Endless, with a bad seed now and then."""

    def build(self, seed, params):
        if seed % 100 == 7:
            raise RuntimeError("a bad seed")
        return {"seed": seed}


class TestOneBadSeedInAHundred:
    """The pool holds some tasks that cannot be built, and only the account shows it."""

    def made(self):
        curriculum = Curriculum(local(400), OneInAHundred())
        assert any(state.seed % 100 == 7 for state in curriculum.task_states())
        return curriculum

    def test_in_batches(self):
        curriculum = self.made()
        assert all(len(curriculum.ask(8)) == 8 for _ in range(300))
        assert curriculum.stats()["num_cancelled"] > 0
        assert balance(curriculum) == 0

    def test_before_and_after_a_checkpoint(self, tmp_path):
        curriculum = self.made()
        curriculum.ask(1000)
        curriculum.save(tmp_path / "state")
        loaded = Curriculum.load(tmp_path / "state", OneInAHundred())
        assert [task.config for task in loaded.ask(1000)] == [task.config for task in curriculum.ask(1000)]
        assert balance(loaded) == 0

    def test_under_a_wrapper(self):
        curriculum = self.made()
        env = CurriculumEnv(Walk(), curriculum, apply="reset")
        seeds = set()
        for _ in range(1500):
            env.reset()
            seeds.add(env.unwrapped.seed)
            env.step(0)
        assert len(seeds) > 300
        assert not any(seed % 100 == 7 for seed in seeds)
        env.close()
        assert curriculum.stats()["num_completed"] == 1500
        assert balance(curriculum) == 0

    def test_under_buckets(self):
        generator = BucketedTaskGenerator(child=OneInAHundred(), buckets={"size": (1, 2)})
        curriculum = Curriculum(local(400), generator)
        assert len(curriculum.ask(2000)) == 2000


class Walk(gymnasium.Env):
    """Ends after one step."""

    observation_space = gymnasium.spaces.Discrete(2)
    action_space = gymnasium.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.seed = options["seed"]
        return 0, {}

    def step(self, action):
        return 1, 1.0, True, False, {}


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
