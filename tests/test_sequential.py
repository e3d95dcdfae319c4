"""Sequential choice: when a stage is over, that it stays over, and that every process and checkpoint knows it."""

import numpy as np
import pytest

from curricular import (
    Curriculum,
    SequentialConfig,
    Span,
    Stage,
    bucketed,
    create_algorithm,
    load_config,
    merge,
    single_task,
)
from curricular.refresh import refresh_interval
from curricular.table import columns_of, empty_table

STEPS = merge([single_task(number) for number in range(4)])
"""Four tasks, in this order."""

SHORT = Stage(success=0.9, min_completions=5)


def quiet(*stages, **settings):
    return SequentialConfig(**{"num_active_tasks": 4, "use_shared_memory": False, **settings}, stages=stages)


def ids_of(curriculum):
    """Seed of each task -> its id."""
    return {state.seed: state.task_id for state in curriculum.task_states()}


def shares(config, *histories):
    """The probability of each task by its number, after each was told the history of its number."""
    curriculum = Curriculum(config, STEPS)
    ids = ids_of(curriculum)
    for number, history in enumerate(histories):
        curriculum.tell([ids[number]] * len(history), history)
    p = curriculum.probabilities()
    return [p[ids[number]] for number in sorted(ids)]


FIRST, SECOND = [1, 0, 0, 0], [0.05, 0.95, 0, 0]


@pytest.mark.parametrize(
    ("stage", "history", "expected"),
    [
        (SHORT, [], FIRST),
        (SHORT, [1.0] * 4, FIRST),
        (SHORT, [1.0] * 5, SECOND),
        (SHORT, [0.0] * 30, FIRST),
        (Stage(success=0.9, min_completions=5, max_completions=30), [0.0] * 29, FIRST),
        (Stage(success=0.9, min_completions=5, max_completions=30), [0.0] * 30, SECOND),
        (Stage(min_completions=5), [0.0] * 4, FIRST),
        (Stage(min_completions=5), [0.0] * 5, SECOND),
        (Stage(mean_score=0.4, min_completions=5), [0.4] * 5, SECOND),
        (Stage(mean_score=0.4, min_completions=5), [0.39] * 5, FIRST),
        (Stage(mean_score=0.4, success=0.9, min_completions=5), [0.4] * 5, FIRST),
        (Stage(mean_score=0.4, success=0.9, min_completions=5), [0.6] * 5, SECOND),
        (Stage(mean_score=0.4, success=0.9, combine="any", min_completions=5), [0.4] * 5, SECOND),
        (Stage(mean_score=0.4, success=0.9, combine="any", min_completions=5), [0.3] * 5, FIRST),
    ],
)
def test_a_stage_ends_by_completions_mean_score_or_success(stage, history, expected):
    assert shares(quiet(stage), history) == pytest.approx(expected)


def test_a_mean_score_is_in_the_units_of_the_user():
    config = quiet(Stage(mean_score=20.0, min_completions=2), score_range=(-100.0, 100.0))
    assert shares(config, [19.0, 20.0]) == pytest.approx(FIRST)
    assert shares(config, [20.0, 21.0]) == pytest.approx(SECOND)


def test_each_stage_has_its_own_end_and_the_last_one_holds_for_the_others():
    config = quiet(Stage(min_completions=2), Stage(success=0.5, min_completions=3), rehearsal_share=0.0)
    first, two = [0.0] * 2, [0.0] * 2
    assert shares(config, first, two) == [0, 1, 0, 0]
    assert shares(config, first, [1.0] * 3, two) == [0, 0, 1, 0]
    assert shares(config, first, [1.0] * 3, [1.0] * 3) == [0, 0, 0, 1]


def test_when_all_stages_are_over_draws_are_uniform():
    assert shares(quiet(SHORT), *[[1.0] * 5] * 4) == pytest.approx([0.25] * 4)


def test_a_stage_of_many_tasks_is_measured_over_all_of_them():
    generator = bucketed({"size": 0, "seed": 0}, {"size": [3, 5, 7], "seed": Span(0, 10**6)})
    axis = [axis.name for axis in generator.axes].index("size")
    config = quiet(Stage(success=0.8, min_completions=60), num_active_tasks=30, axis=axis, rehearsal_share=0.0)
    curriculum = Curriculum(config, generator)
    for size in (3, 5, 7):
        assert {task.params["size"] for task in curriculum.ask(100)} == {size}
        stage = [state.task_id for state in curriculum.task_states() if state.params[axis] == (size - 3) // 2]
        # One task of ten fails always, one was never played: the others make up for them.
        played, broken = stage[1:], stage[1]
        for _ in range(20):
            curriculum.tell(played, [float(task_id != broken) for task_id in played])


@pytest.mark.parametrize("can_return", [False, True])
def test_a_stage_stays_over_once_a_later_one_was_handed_out(can_return):
    curriculum = Curriculum(quiet(SHORT, can_return=can_return, rehearsal_share=0.0), STEPS)
    ids = ids_of(curriculum)
    curriculum.tell([ids[0]] * 5, [1.0] * 5)
    assert not curriculum.probabilities()[ids[0]]
    curriculum.tell([ids[0]] * 50, [0.0] * 50)
    assert curriculum.probabilities()[ids[0]] == 1  # no task of a later stage was handed out yet
    curriculum.tell([ids[0]] * 300, [1.0] * 300)
    assert {task.config for task in curriculum.ask(20)} == {1}
    curriculum.tell([ids[0]] * 300, [0.0] * 300)
    assert {task.config for task in curriculum.ask(20)} == {0 if can_return else 1}


def test_the_stage_reached_is_saved_and_shared_in_a_session(tmp_path):
    config = SequentialConfig(num_active_tasks=4, session_id="test-sequential", rehearsal_share=0.0, stages=[SHORT])
    with Curriculum(config, STEPS) as first, Curriculum(config, STEPS) as second:
        ids = ids_of(first)
        first.tell([ids[0]] * 300, [1.0] * 300)
        assert {task.config for task in second.ask(20)} == {1}
        first.tell([ids[0]] * 300, [0.0] * 300)
        assert {task.config for task in second.ask(20)} == {task.config for task in first.ask(20)} == {1}
        first.save(tmp_path / "checkpoint")
    resumed = Curriculum.load(tmp_path / "checkpoint", STEPS, config=quiet(SHORT, rehearsal_share=0.0))
    assert {task.config for task in resumed.ask(20)} == {1}
    # With more tasks before and after, the curriculum is where it was.
    more = merge([single_task(number) for number in (-1, 0, 1, 2, 3, 4)])
    grown = Curriculum.load(tmp_path / "checkpoint", more, config=quiet(SHORT, rehearsal_share=0.0, num_active_tasks=6))
    assert {task.config for task in grown.ask(20)} == {1}


@pytest.mark.parametrize("num_tasks", [3, 400])
def test_a_stage_ends_within_a_refresh_interval(num_tasks):
    names = list(range(num_tasks))
    config = quiet(Stage(min_completions=40), num_active_tasks=num_tasks, rehearsal_share=0.0)
    curriculum = Curriculum(names, config)
    drawn = []
    while len(drawn) < 10 * (40 + refresh_interval(num_tasks, 1000)) and (not drawn or drawn[-1] < 2):
        task = curriculum.get_task()
        drawn.append(task.config)
        curriculum.update_task_performance(task.task_id, 0.0)
    for stage in range(2):
        assert 40 <= drawn.count(stage) <= 40 + refresh_interval(num_tasks, 1000)
    assert drawn == sorted(drawn)


def test_stages_are_the_values_in_the_pool_and_inactive_rows_are_none():
    table = empty_table(6, 1)
    table.rows["is_active"] = [True, True, False, True, True, False]
    table.rows["params"] = np.array([[7.0], [2.5], [0.0], [2.5], [9.0], [99.0]])
    table.rows["num_completions"] = [0, 3, 50, 2, 0, 50]
    algorithm = create_algorithm(quiet(Stage(min_completions=5), axis=0, rehearsal_share=0.0))
    columns = columns_of(table)
    assert algorithm.probabilities(columns, algorithm.priorities(columns)).tolist() == [1, 0, 0, 0, 0, 0]


def test_a_file_describes_the_stages():
    yaml = pytest.importorskip("yaml")
    text = """
algorithm: sequential
axis: 0
stages:
  - {min_completions: 100}
  - {success: 0.8, mean_score: 0.5, combine: any, max_completions: 1000}
"""
    config = load_config(yaml.safe_load(text))
    second = Stage(success=0.8, mean_score=0.5, combine="any", max_completions=1000)
    assert config.stages == (Stage(min_completions=100), second)
    assert load_config(yaml.safe_load(yaml.safe_dump(config.model_dump(mode="json")))) == config


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"stages": [{"max_completions": 10}]}, "max_completions: expected at least min_completions = 20, got 10"),
        ({"stages": [{"mean_score": 2.0}]}, r"mean_score: expected a value within score_range \(0.0, 1.0\), got 2.0"),
        (
            {"stages": [{"mean_score": 2.0}], "score_range": "observed"},
            "mean_score: expected None with score_range='observed', got 2.0; give the range, or use success",
        ),
        (
            {"stages": [{"max_completion": 50}]},
            "max_completion: expected a field of Stage, got an unknown name; did you mean",
        ),
        ({"stages": []}, "stages"),
        ({"stages": [{"success": 1.5}]}, "stages.0.success"),
    ],
)
def test_wrong_stages_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        SequentialConfig(**settings)
