"""A curriculum of tasks alone, or of a config alone: what it is made of, and what is refused."""

import pytest

from curricular import (
    AlpGmmConfig,
    Curriculum,
    CurriculumConfig,
    LearningProgressConfig,
    NoiseAwareConfig,
    Span,
    UniformConfig,
    bucketed,
    merge,
    single_task,
)
from curricular.defaults import MAX_LISTED, MAX_WHOLE, fitted, pool_size
from curricular.generators import SeedGenerator, as_generator

LEVELS = ["level-1", "level-2", "level-3"]
ENDLESS = bucketed({"a": 0.0}, {"a": Span(0.0, 1.0)})


def test_a_list_of_configurations_makes_a_curriculum_with_the_recommended_algorithm():
    curriculum = Curriculum(LEVELS)
    assert curriculum.config == NoiseAwareConfig.recommended()
    assert {task.config for task in curriculum.ask(100)} == set(LEVELS)
    assert repr(curriculum).startswith("Curriculum(NoiseAwareConfig, SequenceTaskGenerator, num_active_tasks=3, ")
    assert repr(curriculum).endswith(", score_range=(0.0, 1.0), success_threshold=0.5)")


@pytest.mark.parametrize("tasks", [LEVELS, ENDLESS])
def test_config_and_tasks_come_in_either_order_or_by_name(tasks):
    config = UniformConfig(use_shared_memory=False)
    expected = Curriculum(config, tasks).ask(20)
    made = [Curriculum(tasks, config), Curriculum(tasks, config=config), Curriculum(tasks=tasks, config=config)]
    for curriculum in made:
        assert curriculum.config is config
        assert curriculum.ask(20) == expected
    assert Curriculum(tasks=tasks).config == NoiseAwareConfig.recommended()


def test_a_config_alone_has_seeds_for_tasks():
    curriculum = Curriculum(UniformConfig(use_shared_memory=False))
    assert isinstance(curriculum.generator, SeedGenerator)
    assert len(curriculum.task_states()) == 256


@pytest.mark.parametrize(
    ("generator", "size"),
    [
        (SeedGenerator(), 256),
        (ENDLESS, 256),
        (single_task("x"), 1),
        (bucketed({"a": 0}, {"a": [1, 2, 3, 4]}), 4),
        (bucketed({"a": 0}, {"a": list(range(MAX_WHOLE))}), MAX_WHOLE),
        (bucketed({"a": 0}, {"a": list(range(MAX_WHOLE + 1))}), 256),
        (as_generator(range(5000)), 5000),
        (as_generator(list(range(MAX_LISTED + 1))), MAX_LISTED),
        (as_generator(range(MAX_LISTED)), MAX_LISTED),
        (as_generator(range(MAX_LISTED + 1)), 256),
        (as_generator(range(10**12)), 256),
        (merge([single_task("x"), range(5000), merge([LEVELS])]), 5004),
        (merge([range(5000), bucketed({"a": 0}, {"a": [1, 2, 3, 4]})]), 256),
    ],
)
def test_the_pool_fits_the_tasks(generator, size):
    assert pool_size(generator) == size


@pytest.mark.parametrize("preset", [LearningProgressConfig.stable, UniformConfig, NoiseAwareConfig.recommended])
def test_a_fitted_config_differs_in_the_size_of_the_pool_alone(preset):
    config = preset(seed=3, use_shared_memory=False)
    assert config.num_active_tasks is None
    fit = fitted(config, as_generator(LEVELS))
    assert fit.model_dump() == {**config.model_dump(), "num_active_tasks": 3}
    assert fitted(fit, SeedGenerator()) is fit
    assert AlpGmmConfig().num_active_tasks == 512


def test_a_number_that_the_user_wrote_is_checked():
    with pytest.raises(ValueError, match=r"num_active_tasks: expected at most the 3 distinct tasks .* got 4"):
        Curriculum(LEVELS, UniformConfig(num_active_tasks=4, use_shared_memory=False))


@pytest.mark.parametrize(
    ("config", "tasks", "reason"),
    [
        (UniformConfig(num_active_tasks=2), LEVELS, "UniformAlgorithm keeps the first playable ones"),
        (UniformConfig(), range(2**30), "UniformAlgorithm keeps the first playable ones"),
        (UniformConfig(num_active_tasks=2, eviction_rate=0), LEVELS, "eviction_rate=0 keeps the first ones"),
        (NoiseAwareConfig(num_active_tasks=2, eviction_rate=0), LEVELS, "eviction_rate=0 keeps the first ones"),
        (NoiseAwareConfig(num_active_tasks=2), LEVELS, None),
        (UniformConfig(num_active_tasks=2, num_first_tasks=1), LEVELS, None),
        (UniformConfig(), LEVELS, None),
        (UniformConfig(num_active_tasks=2), ENDLESS, None),
    ],
)
def test_a_pool_that_keeps_its_tasks_and_leaves_out_others_is_in_the_log_once(config, tasks, reason, caplog):
    curriculum = Curriculum(config, tasks)
    curriculum.tell([task.task_id for task in curriculum.ask(100)], [0.5] * 100)
    num_tasks, size = curriculum.generator.num_tasks, len(curriculum.task_states())
    expected = f"num_active_tasks is {size}, the generator has {num_tasks} tasks, and {reason}: the other "
    texts = [record.getMessage() for record in caplog.records]
    assert len(texts) == (reason is not None)
    assert all(text.startswith(expected) and "raise num_active_tasks" in text for text in texts)


class Half:
    """A generator that is not written to its end."""

    axes = ()
    num_tasks = None

    def sample(self, seeds, rng):
        return None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("level-1",), "tasks: expected a list .* got 'level-1'; put it into a list"),
        (({"size": 3},), r"tasks: expected a list .* got \{'size': 3\}; put it into a list"),
        ((UniformConfig(), {"size": 3}), r"tasks: expected a list .* got \{'size': 3\}"),
        ((UniformConfig(), UniformConfig()), "tasks: expected a list .* got UniformConfig"),
        ((UniformConfig,), r"config: expected an object, got the class UniformConfig; write UniformConfig\(\)"),
        ((LEVELS, CurriculumConfig), "config: expected an object, got the class CurriculumConfig"),
        ((LEVELS, ["level-4"]), "config: expected a config beside the tasks, .* got a list; to train on both, merge"),
        ((None,), "tasks: expected a list .* got None"),
        ((Half(),), "or a task generator, got a Half without"),
    ],
)
def test_what_is_neither_a_config_nor_tasks_is_refused_by_name(arguments, message):
    with pytest.raises(TypeError, match=message):
        Curriculum(*arguments)


def test_a_merge_takes_lists_and_refuses_numbers():
    assert merge([LEVELS, single_task("x")]).num_tasks == 4
    with pytest.raises(TypeError, match=r"generators\[0\]: expected a list .* got 1; put it into a list"):
        merge([1, 2])


def test_what_load_cannot_take_is_refused_by_name(tmp_path):
    with pytest.raises(TypeError, match=r"path: expected the path .* got a list; write Curriculum.load\(path, tasks\)"):
        Curriculum.load(LEVELS, tmp_path / "checkpoint")
    with pytest.raises(
        TypeError, match="tasks: expected a generator or a list, got a UniformConfig; pass it as config="
    ):
        Curriculum.load(tmp_path / "checkpoint", UniformConfig())


def test_a_curriculum_of_a_list_is_resumed_with_the_list(tmp_path):
    curriculum = Curriculum(LEVELS)
    curriculum.update_task_performance(curriculum.get_task().task_id, 0.5)
    curriculum.save(tmp_path / "checkpoint")
    again = Curriculum.load(tmp_path / "checkpoint", LEVELS)
    assert again.config == curriculum.config
    assert again.ask(20) == curriculum.ask(20)
