"""From an id to what is known of its task, and all tasks at once as columns: the two agree with each other."""

import math
import pickle

import numpy as np
import pytest

from curricular import (
    Curriculum,
    LearningProgressConfig,
    LocalMemoryBackend,
    NoiseAwareConfig,
    Span,
    TaskState,
    TaskView,
    UniformConfig,
    bucketed,
    merge,
    single_task,
)
from curricular.building import TaskBuildError, TaskCache
from curricular.generators import SeedGenerator
from curricular.task import num_params

ROOM = {"size": 5, "lit": True, "kind": "maze", "seed": 0}
MAZES = bucketed(ROOM, {"size": [5, 9], "lit": [True, False], "seed": Span(0, 9)})
HALLS = bucketed(ROOM, {"size": Span(0.5, 1.5), "kind": ["hall", "dome"]}, label="halls")
TUNED = bucketed(
    {"rate": 1e-3, "width": 64, "decay": 0.0},
    {"rate": Span(1e-4, 1e-1, log=True), "width": Span(8, 512, log=True), "decay": [0.0, Span(1e-6, 1e-2, log=True)]},
)
GENERATORS = {
    "seeds": None,
    "one task": single_task({"size": 5}, label="only"),
    "buckets": MAZES,
    "log spans": TUNED,
    "set": merge([MAZES, HALLS, single_task(ROOM)]),
    "set of sets": merge([merge([MAZES, single_task(ROOM)]), HALLS]),
    "buckets over a set": bucketed(merge([MAZES, HALLS]), {"size": [1, 2, 3]}),
    "buckets over buckets": bucketed(MAZES, {"size": [1, 2, 3]}),
    "objects": bucketed({"map": ()}, {"map": [(1, 2), (3, 4), None, "x", {"a": 1}]}),
    "more labels than are stored": bucketed({"size": 0}, {"size": list(range(150))}),
}


def played(generator=None, config=UniformConfig, num_results=200, **settings):
    """A pool in which tasks have results, cancellations and open hand-outs, and some have none."""
    num_tasks = getattr(generator, "num_tasks", None) or 100
    settings = {"num_active_tasks": min(num_tasks, 100), "use_shared_memory": False, **settings}
    curriculum = Curriculum(config(**settings), generator)
    low, high = curriculum.config.score_range
    for number, task in enumerate(curriculum.ask(num_results)):
        if number % 7 == 0:
            curriculum.cancel([task.task_id], "no result")
        elif number % 5:
            curriculum.tell([task.task_id], [low + (high - low) * (number % 11) / 10])
    return curriculum


def row(columns, position):
    """The entries of `columns` for one task, without those that are missing."""
    entries = {name: column[position] for name, column in columns.items()}
    is_missing = {name for name, entry in entries.items() if entry is None or str(entry) == "nan"}
    return {name: entry for name, entry in entries.items() if name not in is_missing}


@pytest.mark.parametrize("name", GENERATORS)
def test_the_columns_hold_what_each_task_says_of_itself(name):
    curriculum = played(GENERATORS[name])
    columns = curriculum.tasks()
    for position, task_id in enumerate(columns["task_id"].tolist()):
        view = curriculum.task(task_id)
        known = {field: getattr(view, field) for field in TaskView.__dataclass_fields__}
        params = known.pop("params")
        del known["config"]
        known |= {f"params/{axis}": value for axis, value in params.items()}
        assert row(columns, position) == {field: value for field, value in known.items() if value is not None}


@pytest.mark.parametrize("name", GENERATORS)
def test_a_view_has_the_task_that_is_handed_out(name):
    curriculum = played(GENERATORS[name])
    for task in curriculum.ask(20):
        view = curriculum.task(task.task_id)
        assert (view.task_id, view.label, view.params) == (task.task_id, task.label, task.params)
        assert view.config == task.config


def test_a_view_counts_every_way_in_which_a_hand_out_ends():
    curriculum = Curriculum(UniformConfig(num_active_tasks=1, score_range=(-10.0, 30.0), success_threshold=20.0))
    (task, *_) = curriculum.ask(7)
    fresh = curriculum.task(task.task_id)
    assert fresh.score is fresh.last_score is fresh.success_rate is fresh.learning_progress is None
    curriculum.tell([task.task_id] * 2, [20.0, 20.0])
    curriculum.cancel([task.task_id], "test")
    view = curriculum.task(np.int64(task.task_id))
    assert (view.num_scheduled, view.num_completions, view.num_cancelled, view.num_pending) == (7, 2, 1, 4)
    assert (view.score, view.last_score, view.success_rate) == pytest.approx((20.0, 20.0, 1.0))
    assert (view.success_threshold, view.probability, view.num_failures) == (20.0, 1.0, 1)
    curriculum.update_task_performance(task.task_id, -10.0)
    assert curriculum.task(task.task_id).last_score == -10.0
    assert curriculum.task(task.task_id).num_failures == 0


def test_staleness_counts_the_hand_outs_since_the_last_one_of_the_task():
    curriculum = Curriculum(UniformConfig(num_active_tasks=8))
    first, *others = (task.task_id for task in curriculum.ask(40))
    last = max([-1, *(number for number, other in enumerate(others) if other == first)])
    assert curriculum.task(first).staleness == 38 - last
    assert curriculum.task(others[-1]).staleness == 0


@pytest.mark.parametrize("config", [LearningProgressConfig.default, NoiseAwareConfig.recommended])
def test_the_columns_agree_with_the_statistics(config):
    curriculum = played(GENERATORS["set"], config, score_range=(-3.0, 5.0))
    columns, stats = curriculum.tasks(), curriculum.stats()
    for column, key in {"score": "score", "success_rate": "success", "learning_progress": "learning_progress"}.items():
        assert np.nanmean(columns[column]) == pytest.approx(stats[f"{key}/mean"])
        assert np.nanmedian(columns[column]) == pytest.approx(stats[f"{key}/p50"])
    assert np.isnan(columns["score"]).sum() == stats["num_never_completed"] > 0
    assert columns["probability"] == pytest.approx(curriculum.probabilities()[columns["task_id"] % 100])
    assert columns["num_scheduled"].sum() == stats["num_scheduled"]
    assert columns["num_pending"].sum() == stats["num_pending"]
    halls = columns["label"] == "halls"
    assert columns["probability"][halls].sum() == pytest.approx(stats["label/halls/probability"])


def test_a_set_has_a_column_for_each_axis_and_gaps_where_a_task_has_no_such_axis():
    columns = played(GENERATORS["set"]).tasks()
    axes = [name for name in columns if name.startswith("params/")]
    assert axes == ["params/generator", "params/lit", "params/kind", "params/seed", "params/size"]
    is_maze, is_hall = columns["params/generator"] == 0, columns["params/generator"] == 1
    assert is_maze.any()
    assert is_hall.any()
    assert not (is_maze | is_hall).all()
    assert (np.isfinite(columns["params/size"]) == is_maze | is_hall).all()
    assert (np.isfinite(columns["params/seed"]) == is_maze).all()
    assert [lit is not None for lit in columns["params/lit"]] == is_maze.tolist()
    assert {*columns["params/kind"][is_hall]} == {"hall", "dome"}
    assert {*columns["params/kind"][~is_hall]} == {None}


def test_columns_have_the_types_of_the_values():
    dtypes = {name: column.dtype.kind for name, column in played(MAZES).tasks().items()}
    assert dtypes["params/size"] == dtypes["params/seed"] == dtypes["task_id"] == dtypes["num_completions"] == "i"
    assert dtypes["params/lit"] == "b"
    assert dtypes["score"] == dtypes["probability"] == "f"
    assert dtypes["label"] == "O"
    assert {type(label) for label in played(MAZES).tasks()["label"]} == {str}


def test_columns_have_the_values_of_log_spans_by_which_a_task_is_found():
    curriculum = played(TUNED)
    columns = curriculum.tasks()
    rates, widths = columns["params/rate"], columns["params/width"]
    assert (rates.min() >= 1e-4, rates.max() < 1e-1, abs(np.median(rates) / 10**-2.5 - 1) < 1) == (True, True, True)
    assert (widths.min() >= 8, widths.max() <= 512, widths.dtype) == (True, True, np.int64)
    for number in range(0, 100, 9):
        config = {name: columns[f"params/{name}"][number].item() for name in ("rate", "width", "decay")}
        assert curriculum.find(config) == columns["task_id"][number]


def test_an_axis_that_is_called_like_a_field_has_a_column_of_its_own():
    generator = bucketed({"task_id": "", "score": 0}, {"task_id": ["a", "b"], "score": [7]})
    columns = played(generator).tasks()
    assert columns["params/task_id"].tolist() == ["a", "b"]
    assert columns["params/score"].tolist() == [7, 7]
    assert columns["task_id"].tolist() == [0, 1]


def test_axes_of_one_name_are_told_apart_and_the_first_is_the_one_that_counts():
    task = Curriculum(UniformConfig(num_active_tasks=4), GENERATORS["buckets over buckets"]).get_task()
    assert task.params["size"] == task.config["size"] in {1, 2, 3}
    assert task.params["size#2"] in {5, 9}
    for task in Curriculum(UniformConfig(num_active_tasks=40), GENERATORS["set of sets"]).ask(40):
        assert ("generator#2" in task.params) == (task.params["generator"] == 0)


def test_evicted_and_unknown_ids_are_told_apart():
    settings = {"min_presentations_for_eviction": 5, "eviction_rate": 1.0}
    curriculum = played(None, LearningProgressConfig.fast_learning, 3000, num_active_tasks=10, **settings)
    in_pool = curriculum.tasks()["task_id"].tolist()
    assert max(in_pool) >= 10
    for task_id in range(max(in_pool)):
        if task_id in in_pool:
            assert curriculum.task(task_id).task_id == task_id
        elif any(other % 10 == task_id % 10 and other > task_id for other in in_pool):
            with pytest.raises(
                KeyError, match=f"expected a task in the pool, got {task_id}, which was evicted or removed; pass"
            ):
                curriculum.task(task_id)
    for unknown in (-1, max(in_pool) + 10):
        with pytest.raises(KeyError, match=f"expected an id that was issued, got {unknown}; pass the task_id"):
            curriculum.task(unknown)


@pytest.mark.parametrize("wrong", [True, 1.0, "0", None])
def test_an_id_is_an_integer(wrong):
    with pytest.raises(TypeError, match="task_id: expected an integer, got"):
        Curriculum(UniformConfig(num_active_tasks=4)).task(wrong)


def test_looking_changes_nothing():
    looked, other = (played(MAZES, NoiseAwareConfig.recommended, seed=3) for _ in "ab")
    for task_id in looked.tasks()["task_id"].tolist():
        looked.task(task_id)
    assert looked.stats() == other.stats()
    assert looked.ask(50) == other.ask(50)


def test_a_view_and_its_columns_are_the_callers_own():
    curriculum = played(MAZES)
    before = curriculum.tasks()
    for column in curriculum.tasks().values():
        column[:] = 0
    after = curriculum.tasks()
    assert all(
        np.array_equal(after[name], column, equal_nan=column.dtype.kind == "f") for name, column in before.items()
    )
    with pytest.raises(AttributeError):
        curriculum.task(0).score = 1.0


class CountingGenerator(SeedGenerator):
    """Counts its calls."""

    def __init__(self):
        self.num_labels = self.num_builds = 0

    def label_of(self, seed, params):
        self.num_labels += 1
        return f"label {seed % 7}"

    def build(self, seed, params):
        self.num_builds += 1
        return seed


class BrokenGenerator(SeedGenerator):
    def build(self, seed, params):
        raise OSError("no such map")


def test_a_task_that_cannot_be_built_is_in_the_columns_and_is_named_by_its_view():
    curriculum = Curriculum(UniformConfig(num_active_tasks=3), BrokenGenerator())
    assert curriculum.tasks()["task_id"].tolist() == [0, 1, 2]
    with pytest.raises(TaskBuildError, match="got OSError: no such map, for task 2 ") as caught:
        curriculum.task(2)
    assert caught.value.task_id == 2


def test_the_columns_call_no_generator_once_per_task():
    generator = CountingGenerator()
    curriculum = Curriculum(UniformConfig(num_active_tasks=500), generator)
    generator.num_labels = 0
    assert len({*curriculum.tasks()["label"]}) == 7
    assert (generator.num_labels, generator.num_builds) == (0, 0)


def test_labels_that_are_not_stored_are_in_the_columns():
    columns = played(GENERATORS["more labels than are stored"], num_active_tasks=150).tasks()
    assert columns["label"].tolist() == [f"size={size}" for size in columns["params/size"]]


def test_rows_and_columns_agree():
    curriculum = played(GENERATORS["set"])
    columns, states = curriculum.tasks(), curriculum.task_states()
    assert all(type(state) is TaskState for state in states)
    for name in ("task_id", "num_scheduled", "num_completions", "num_cancelled", "seed", "creation_time"):
        assert columns[name].tolist() == [getattr(state, name) for state in states]
    assert [state.slow_ema for state in states] == pytest.approx(np.nan_to_num(columns["score"]).tolist())


def test_the_cache_builds_the_task_of_a_row_that_was_evicted_since():
    curriculum = Curriculum(UniformConfig(num_active_tasks=2))
    backend = curriculum.tracker.backend
    row = backend.read(np.array([1]))
    row["task_id"], row["seed"] = 17, 5
    tasks = TaskCache(backend, SeedGenerator())
    assert (tasks.of_row(row).task_id, tasks.of_row(row).config) == (17, 5)
    assert tasks[1].task_id == 1


def test_a_session_and_its_copies_see_one_pool():
    first = Curriculum(UniformConfig(num_active_tasks=6, use_shared_memory=True), MAZES)
    with first, pickle.loads(pickle.dumps(first)) as second:
        task = first.get_task()
        first.tell([task.task_id], [0.5])
        assert second.task(task.task_id) == first.task(task.task_id)
        assert math.isclose(second.task(task.task_id).score, 0.5)
        assert second.tasks()["num_completions"].sum() == 1


@pytest.mark.parametrize("generator", [SeedGenerator(), bucketed({"size": 1}, {"size": Span(0.0, 1.0)})])
def test_tasks_that_are_taken_together_are_those_of_single_look_ups_and_read_once(generator, monkeypatch):
    backend = LocalMemoryBackend(8, num_params(generator.axes))
    Curriculum(UniformConfig(num_active_tasks=8), generator, backend=backend)
    reads = []
    read = backend.read
    monkeypatch.setattr(backend, "read", lambda slots: reads.append(slots.tolist()) or read(slots))
    together, single = TaskCache(backend, generator), TaskCache(backend, generator)
    single_first = single[5]
    ids = [3, 5, 3, 0]
    assert together.take(ids) == [single[task_id] for task_id in ids]
    assert reads == [[5], [3, 5, 0], [3], [0]]
    assert together.take([0, 3, 7]) == [single[task_id] for task_id in (0, 3, 7)]
    assert reads[4:] == [[7], [7]]
    assert single[5] == single_first
    assert together.num_built == single.num_built == 4


def test_a_task_that_was_evicted_before_it_was_read_is_taken_as_its_successor():
    backend = LocalMemoryBackend(4)
    curriculum = Curriculum(UniformConfig(num_active_tasks=4), backend=backend)
    tasks = TaskCache(backend, curriculum.generator)
    assert [task.task_id for task in tasks.take([1, 4 * 7 + 1, 2])] == [1, 1, 2]
    assert tasks.num_built == 2
