"""A checkpoint meets tasks that have changed: those of the pool are found by what they are, others are counted."""

import numpy as np
import pytest

from curricular import (
    BucketedTaskGenerator,
    Curriculum,
    Span,
    UniformConfig,
    bucketed,
    dataset,
    merge,
    single_task,
)
from curricular.generators import SeedGenerator
from curricular.generators.source import source_of
from curricular.task import num_params
from curricular.testing.play import play, quick

from .helpers import balance

ROWS = [{"id": f"p{i}", "source": f"s{i % 2}", "rate": i / 10} for i in range(6)]
NEW_ROW = {"id": "p9", "source": "s9", "rate": 5.0}
PAIR = {"a": 0, "b": 0}
MEMBERS = merge([dataset([{**PAIR, "id": i} for i in range(3)], "id"), bucketed({**PAIR, "id": 9}, {"c": Span(0, 9)})])


def rows(numbers, columns=("rate",)):
    return dataset([{**ROWS[0], "id": f"p{i}", "rate": i / 10} for i in numbers], "id", "source", columns)


def states(curriculum):
    """Configuration of each task -> what is known of it."""
    generator = curriculum.generator
    return {
        repr(generator.build(state.seed, np.array(state.params))): (state.num_completions, state.fast_ema)
        for state in curriculum.task_states()
    }


def trained(generator, num_active_tasks=None):
    curriculum = Curriculum(generator, UniformConfig(num_active_tasks=num_active_tasks, use_shared_memory=False))
    tasks = curriculum.ask(100)
    curriculum.tell([task.task_id for task in tasks], [len(repr(task.config)) * 7 % 10 / 10 for task in tasks])
    return curriculum


CHANGES = {
    "a longer list": (list("abcde"), list("xabcdefg"), None, 5, 8),
    "a longer list than the pool": (list("abcde"), list("xabcdefg"), 5, 5, 5),
    "a shorter list than the written number": (list("abcdefg"), list("gfa"), 7, 3, 3),
    "a list in another order": (list("abcde"), list("ebcda"), None, 5, 5),
    "a data set grown by ten rows": (rows(range(6)), rows(range(16)), None, 6, 16),
    "a data set with a further column": (rows(range(6), ()), rows(range(6)), None, 6, 6),
    "a further value": (
        bucketed(PAIR, {"a": [1, 2], "b": [3, 4]}),
        bucketed(PAIR, {"a": [0, 1, 2], "b": [3, 4, 5]}),
        None,
        4,
        9,
    ),
    "a value less": (bucketed(PAIR, {"a": [1, 2], "b": [3, 4]}), bucketed(PAIR, {"a": [1], "b": [3, 4]}), None, 2, 2),
    "another label": (bucketed(PAIR, {"a": [1, 2]}, "x"), bucketed(PAIR, {"a": [1, 2]}, "y"), None, 2, 2),
    "a wider span and a further value": (
        bucketed(PAIR, {"a": [1, 2], "b": Span(3, 10**6)}),
        bucketed(PAIR, {"a": [0, 1, 2], "b": Span(1, 10**7)}),
        8,
        8,
        8,
    ),
    "a further value beside log spans": (
        bucketed(PAIR, {"a": [1, 2], "b": Span(1e-4, 1e-1, log=True), "c": Span(8, 10**6, log=True)}),
        bucketed(PAIR, {"a": [0, 1, 2], "b": Span(1e-4, 1e-1, log=True), "c": Span(8, 10**6, log=True)}),
        8,
        8,
        8,
    ),
    "wider log spans": (
        bucketed(PAIR, {"a": Span(1e-3, 1e-2, log=True), "b": Span(8, 10**6, log=True)}),
        bucketed(PAIR, {"a": Span(1e-4, 1e-1, log=True), "b": Span(1, 10**9, log=True)}),
        8,
        8,
        8,
    ),
    "log spans that are linear now": (
        bucketed(PAIR, {"a": Span(1e-4, 1e-1, log=True), "b": Span(8, 10**6, log=True)}),
        bucketed(PAIR, {"a": Span(-1.0, 1.0), "b": Span(0, 10**6)}),
        8,
        8,
        8,
    ),
    "a linear span that is a log span now, without the negative values": (
        bucketed(PAIR, {"a": Span(-(10**6), 10**6)}),
        bucketed(PAIR, {"a": Span(1000, 10**9, log=True)}),
        8,
        4,
        8,
    ),
    "values mixed with spans": (
        bucketed(MEMBERS, {"a": [1, Span(5, 10**6), Span(0.5, 1.0)], "b": [Span(1e-4, 1e-1, log=True), 7]}),
        bucketed(MEMBERS, {"a": [Span(0.0, 2.0), 0, 1, Span(4, 10**7)], "b": [7, 8, Span(1e-5, 1e-1, log=True)]}),
        12,
        12,
        12,
    ),
    "a value beside a span that was alone": (
        bucketed(PAIR, {"a": Span(1, 10**6), "b": [3, Span(1, 10**6)]}),
        bucketed(PAIR, {"a": [0.5, Span(0, 10**6)], "b": Span(0, 10**6)}),
        8,
        2,
        8,
    ),
    "other members in another order": (
        merge([single_task("x"), list("abc"), bucketed(PAIR, {"a": [1, 2]})]),
        merge([list("zabc"), bucketed(PAIR, {"a": [1, 2, 3]}), single_task("x"), single_task("new")]),
        None,
        6,
        9,
    ),
    "other weights": (merge([list("ab"), list("cd")], [1, 2]), merge([list("ab"), list("cd")]), None, 4, 4),
    "buckets over a longer list": (
        BucketedTaskGenerator(child=dataset([{"id": i, "a": 0} for i in range(3)], "id"), buckets={"a": (1, 2)}),
        BucketedTaskGenerator(child=dataset([{"id": i, "a": 0} for i in (5, 2, 0)], "id"), buckets={"a": (2, 1, 3)}),
        None,
        4,
        9,
    ),
    "endless buckets over a longer list": (
        BucketedTaskGenerator(
            child=dataset([{"id": i, "a": 0} for i in range(3)], "id"), buckets={"a": Span(0.0, 1.0)}
        ),
        BucketedTaskGenerator(
            child=dataset([{"id": i, "a": 0} for i in (7, 2, 1, 0)], "id"), buckets={"a": Span(0.0, 2.0)}
        ),
        8,
        8,
        8,
    ),
    "a longer list in an endless set": (
        merge([list("abc"), bucketed(PAIR, {"a": Span(1, 10**6)})]),
        merge([list("zcab"), bucketed(PAIR, {"a": Span(1, 10**7)})]),
        8,
        8,
        8,
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_tasks_are_found_by_what_they_are(name, tmp_path, caplog):
    before, after, num_active_tasks, num_kept, num_tasks = CHANGES[name]
    saved = trained(before, num_active_tasks)
    saved.save(tmp_path / "checkpoint")
    old = states(saved)
    loaded = Curriculum.load(tmp_path / "checkpoint", after)
    new = states(loaded)
    assert len(loaded.task_states()) == len(new) == num_tasks
    assert sum(task in old for task in new) == num_kept
    assert all(new[task] == old.get(task, (0, 0.0)) for task in new)
    assert f"it has {num_kept} of the {len(old)} tasks in the pool, lacks {len(old) - num_kept}" in caplog.text
    stats = loaded.stats()
    assert balance(stats) == 0
    assert stats["num_evicted"] - saved.stats()["num_evicted"] == len(old) - num_kept
    tasks = loaded.ask(50)
    assert all(task.label == loaded.generator.label_of(*_seed(loaded, task)) for task in tasks)
    loaded.save(tmp_path / "checkpoint")
    assert states(Curriculum.load(tmp_path / "checkpoint", after)) == states(loaded)


def _seed(curriculum, task):
    (state,) = (state for state in curriculum.task_states() if state.task_id == task.task_id)
    return state.seed, np.array(state.params)


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        (list("abcde"), list("vwxyz"), "'[0-9a-f]{16}', got '[0-9a-f]{16}'; none of the 5 saved tasks"),
        (list("abcde"), single_task("a"), "SingleTaskGenerator, got SequenceTaskGenerator"),
        (list("abc"), SeedGenerator(), "no generator was given"),
        (
            bucketed({**PAIR, "c": 1}, {"a": [1, 2]}),
            bucketed({**PAIR, "c": 2}, {"a": [1, 2]}),
            "none of the 2 saved tasks",
        ),
        (bucketed(PAIR, {"a": [1, 2]}), bucketed(PAIR, {"a": [3, 4]}), "none of the 2 saved tasks"),
        (bucketed(PAIR, {"a": [1, 2]}), bucketed(PAIR, {"b": [1, 2]}), "axis 'b', .* got axis 'a'"),
        (
            bucketed(PAIR, {"a": Span(0, 10**6)}),
            bucketed(PAIR, {"a": Span(0.0, 1e6)}),
            "from 0.0 to 1000000.0, got axis",
        ),
        (merge([list("ab"), list("cd")]), merge([list("xy"), single_task("a")]), "3 tasks, got 4 tasks"),
    ],
)
def test_a_checkpoint_of_other_tasks_is_refused(before, after, message, tmp_path):
    trained(before).save(tmp_path / "checkpoint")
    with pytest.raises(ValueError, match=f"state: expected generator .*{message}"):
        Curriculum.load(tmp_path / "checkpoint", after)


def test_what_is_open_stays_open_if_no_task_is_missing_and_the_pool_keeps_its_size():
    saved = trained(list("abcde"))
    asked = saved.ask(3)
    loaded = Curriculum(list("edcba"), saved.config)
    loaded.load_state_dict(saved.state_dict())
    assert loaded.stats()["num_pending"] == 3
    assert states(loaded) == states(saved)
    assert [task.config for task in loaded.ask(20)] == [task.config for task in saved.ask(20)]
    loaded.tell([task.task_id for task in asked], [0.5] * 3)
    assert loaded.stats()["num_pending"] == 20


def test_a_state_with_a_missing_task_is_loaded_in_place():
    saved = trained(list("abcde"))
    loaded = Curriculum(list("abcdf"), saved.config)
    loaded.load_state_dict(saved.state_dict())
    assert states(loaded) == {
        **{task: state for task, state in states(saved).items() if task != "'e'"},
        "'f'": (0, 0.0),
    }


@pytest.mark.parametrize("name", CHANGES)
def test_a_description_has_the_columns_of_its_generator(name):
    for generator in CHANGES[name][:2]:
        plain = Curriculum(generator, UniformConfig(num_active_tasks=2, use_shared_memory=False)).generator
        assert source_of(plain).num_params == num_params(plain.axes)


@pytest.mark.parametrize(
    "change",
    [
        {"source": None},
        {"source": {"kind": "sequence"}},
        {"source": {"kind": "list", "num_tasks": 5}},
        {"source": {"kind": "bucketed", "num_tasks": 5, "buckets": {"a": []}}},
        {"keys": np.zeros(4, np.int64)},
        {"keys": np.zeros(5)},
        {"keys": None},
    ],
)
def test_a_damaged_description_is_refused(change):
    saved = trained(list("abcde"))
    with pytest.raises(ValueError, match=f"state: expected {next(iter(change))} "):
        saved.load_state_dict({**saved.state_dict(), **change})


def test_a_description_that_does_not_fit_its_params_finds_nothing():
    saved = trained(bucketed(PAIR, {"a": [1, 2]}))
    loaded = Curriculum(bucketed(PAIR, {"a": [1, 2, 3]}), UniformConfig(num_active_tasks=2, use_shared_memory=False))
    state = saved.state_dict()
    for source in (
        {"kind": "bucketed", "num_tasks": 2, "buckets": {"a": ["x"]}},
        {"kind": "set", "num_tasks": 2},
        {"kind": "set", "num_tasks": 2, "children": [{"kind": "sequence", "num_tasks": 2, "width": 3}]},
    ):
        with pytest.raises(ValueError, match="state: expected generator"):
            loaded.load_state_dict({**state, "source": source})


def test_a_load_cancels_the_open_handouts_of_evicted_tasks_since_no_changed_generator_is_searched_for_them():
    old = bucketed({"size": 5, "kind": "a"}, {"size": Span(5, 25), "kind": ["a", "b"]})
    new = bucketed({"size": 5, "kind": "a"}, {"size": Span(5, 30), "kind": ["c", "a", "b"]})
    saved = Curriculum(old, quick(8))
    gone = saved.ask_batch(6)
    saved.tell(gone.task_ids[:2], [0.5, 0.5])  # by task id, which ends no ticket
    play(saved, 2000)
    assert not set(gone.task_ids.tolist()) & set(saved.tasks()["task_id"].tolist())
    here = saved.ask_batch(3)
    expected = saved.configs(here)
    before, state = saved.stats(), saved.state_dict()
    for loaded in (saved, Curriculum(new, quick(8))):
        loaded.load_state_dict(state)
        stats = loaded.stats()
        assert balance(stats) == 0
        assert loaded.configs(loaded.open_handouts()) == expected
        assert stats["num_open"] == 3
        assert stats["num_cancelled"] == before["num_cancelled"] + 6
        assert stats["num_unsolicited"] == before["num_unsolicited"] + 2  # those that were told by task id
        assert stats["num_pending"] == before["num_pending"] - 4
        loaded.load_state_dict(loaded.state_dict())  # which checks the whole table


@pytest.mark.parametrize("numbers", [range(6), range(1, 9), range(3, 9)], ids=["same", "changed", "some missing"])
def test_a_load_ends_the_open_hand_outs_of_tasks_that_have_left_the_pool(numbers, tmp_path):
    config = UniformConfig(num_active_tasks=6, num_first_tasks=5, use_shared_memory=False)
    curriculum = Curriculum(rows(range(6)), config)
    batch = curriculum.ask_for(curriculum.tasks()["task_id"])
    curriculum.remove_tasks(batch.task_ids[:2])
    curriculum.save(tmp_path / "saved")
    resumed = Curriculum.load(tmp_path / "saved", rows(numbers), config=config)
    num_gone = max(2, numbers[0])
    assert resumed.open_handouts().tickets.tolist() == batch.tickets[num_gone:].tolist()
    assert [task["id"] for task in resumed.configs(resumed.open_handouts())] == [f"p{i}" for i in range(num_gone, 5)]
    stats = resumed.stats()
    assert stats["num_open"] == stats["num_pending"] == 5 - num_gone
    assert stats["cancelled/evicted"] == num_gone
    assert balance(stats) == 0
