"""Any sequence as a generator: rows are never copied, keys identify them, numbers and labels are read into arrays."""

import json
import pickle
import tracemalloc
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest

from curricular import (
    Axis,
    Curriculum,
    SequenceTaskGenerator,
    SessionError,
    Span,
    UniformConfig,
    bucketed,
    dataset,
    dump_task_generator,
    load_task_generator,
    merge,
    single_task,
)
from curricular.generators import as_generator, fingerprint
from curricular.testing import GeneratorSuite

from .helpers import python


@dataclass(frozen=True)
class Level:
    name: str
    size: int
    is_lit: bool = False


class Columnar:
    """A data set that returns a row by its index and a column by its name, as those of language models do."""

    def __init__(self, **columns):
        self.columns = columns
        self.num_reads = 0

    def __len__(self):
        return len(self.columns["id"])

    def __getitem__(self, index):
        if isinstance(index, str):
            return self.columns[index]
        self.num_reads += 1
        return {name: column[index] for name, column in self.columns.items()}


LEVELS = [Level("a", 3), Level("b", 5, is_lit=True), Level("c", 9)]
ROWS = [{"id": f"p{i}", "source": f"s{i % 2}", "rate": i / 10, "length": 7 * i, "same": 4} for i in range(9)]
SEQUENCES = {
    "strings": as_generator(["level-1", "level-2", "level-3"]),
    "integers": as_generator(range(12)),
    "listed integers": as_generator([5, 3, -4]),
    "far integers": as_generator(range(2**62, -(2**62), -(2**40) - 1)),
    "dicts": as_generator([{"size": 3}, {"size": 4, "mode": {"a": [1, 2]}}]),
    "objects": dataset(LEVELS, key="name", columns=["size", "is_lit"]),
    "rows": dataset(ROWS, key="id", label="source", columns=["rate", "length", "same"]),
    "values": dataset(["x", "y"], key=[17, 4], label=["l", "m"], columns={"rate": np.array([0.25, 0.5])}),
    "in a set": merge([dataset(ROWS, key="id", columns=["rate"]), ["x", "y"], single_task("z")]),
    "in an endless set": merge([["x", "y"], bucketed({"a": 0.0}, {"a": Span(0.0, 1.0)})], [1, 9]),
}


class TestSequences(GeneratorSuite):
    @pytest.fixture(autouse=True, params=SEQUENCES)
    def _name(self, request):
        self.name = request.param

    def make_generator(self):
        return SEQUENCES[self.name]

    def test_the_fingerprint_is_the_same_in_every_process(self):
        if self.name in {"dicts", "rows"}:
            code = "from tests.test_generators_sequence import *; "
            code += f"print(fingerprint(SEQUENCES[{self.name!r}]))"
            assert python(code, PYTHONHASHSEED="7") == fingerprint(self.make_generator())


def test_a_task_is_its_row_with_its_label_and_its_numbers():
    curriculum = Curriculum(SEQUENCES["rows"], UniformConfig(use_shared_memory=False))
    for task in curriculum.ask(50):
        row = task.config
        assert row in ROWS
        assert task.label == row["source"]
        assert task.params == {"rate": row["rate"], "length": row["length"], "same": 4}
    assert {state.seed for state in curriculum.task_states()} == set(range(9))
    generator = SEQUENCES["rows"]
    assert generator.build(3, np.zeros(3)) is ROWS[3]  # a hand-out is a copy, which belongs to who receives it


def test_columns_are_axes_of_their_kind():
    assert SEQUENCES["rows"].axes == (Axis("rate", Span(0.0, 1.0)), Axis("length", Span(0, 56)), Axis("same", (4,)))
    assert SEQUENCES["objects"].axes == (Axis("size", Span(3, 9)), Axis("is_lit", (False, True)))


def test_floats_that_may_be_rates_span_zero_to_one_and_unknown_ones_are_left_out():
    columns = {"rate": [0.25, 0.25], "unknown": [np.nan, np.nan], "length": [np.nan, 3.0], "steps": [2.5, 2.5]}
    axes = {axis.name: axis.values for axis in dataset(["a", "b"], columns=columns).axes}
    assert axes == {"rate": Span(0.0, 1.0), "unknown": Span(0.0, 1.0), "length": Span(3.0, 3.0), "steps": (2.5,)}


class LazyColumn(Sequence):
    """A column of the `datasets` library, which reads the disk at each access."""

    def __init__(self, values):
        self.values = values
        self.num_reads = 0

    def __len__(self):
        return len(self.values)

    def __getitem__(self, index):
        self.num_reads += 1
        return self.values[index]


def test_columns_that_are_read_at_each_access_are_read_once():
    columns = {"id": LazyColumn(list("abcd")), "source": LazyColumn(list("xyxy")), "rate": LazyColumn([0.5] * 4)}
    dataset(Columnar(**columns), key="id", label="source", columns=["rate"])
    dataset([*range(4)], key=columns["id"], label=columns["source"], columns={"rate": columns["rate"]})
    assert [column.num_reads for column in columns.values()] == [3, 3, 3]  # with that of the first row
    assert dataset([*range(4)], key=deque("abcd")) == dataset([*range(4)], key=list("abcd"))


def test_rows_without_a_key_are_read_once():
    rows = Columnar(id=list("abcd"))
    dataset(rows)
    assert rows.num_reads == 4 + 2  # the first row is looked at before


def test_whole_columns_are_read_where_there_are_some():
    rows = Columnar(id=["a", "b"], source=["x", "y"], rate=np.array([0.5, 0.75]))
    generator = dataset(rows, key="id", label="source", columns=["rate"])
    assert rows.num_reads == 1  # to see that there is a row 0
    assert [generator.label_of(seed, np.zeros(1)) for seed in (0, 1)] == ["x", "y"]
    assert generator.sample(np.array([1, 0]), np.random.default_rng(0)).tolist() == [[0.75], [0.5]]
    structured = np.array([(3, 0.5), (4, 0.25)], [("id", "i8"), ("rate", "f8")])
    assert dataset(structured, key="id", columns=["rate"]).axes == (Axis("rate", Span(0.0, 1.0)),)


def test_fingerprints_follow_keys_labels_and_numbers():
    variants = [
        dataset(ROWS, key="id"),
        dataset(ROWS[::-1], key="id"),
        dataset(ROWS[:-1], key="id"),
        dataset(ROWS, key="length"),
        dataset(ROWS, key="id", label="source"),
        dataset(ROWS, key="id", label="same"),
        dataset(ROWS, key="id", columns=["rate"]),
        dataset(ROWS, key="id", columns=["length"]),
        dataset(ROWS),
        as_generator([1, 2, 3]),
        as_generator(["1", "2", "3"]),
    ]
    assert len(set(map(fingerprint, variants))) == len(variants)
    assert fingerprint(dataset(list(ROWS), key="id")) == fingerprint(variants[0])


def test_rows_without_a_key_are_known_by_their_content_whatever_the_order_of_their_fields():
    first, second = as_generator([{"a": 1, "b": {2, 3}}, LEVELS[0]]), as_generator([{"b": {3, 2}, "a": 1}, LEVELS[0]])
    assert fingerprint(first) == fingerprint(second)
    assert as_generator([{(1, 2): 3}, {(1, 2): 4}]).num_tasks == 2


def test_a_pickle_has_the_same_tasks():
    again = pickle.loads(pickle.dumps(SEQUENCES["rows"]))
    assert again == SEQUENCES["rows"]
    assert again.label_of(3, np.zeros(3)) == "s1"


def test_its_repr_does_not_show_a_million_rows():
    assert repr(dataset(range(10**6))) == "SequenceTaskGenerator(num_tasks=1000000, axes=())"


def test_a_million_rows_are_read_into_a_few_bytes_each():
    for rows, num_bytes in (list(range(10**6)), 17), (range(10**6), 9):  # the numbers of a range are its keys
        generator = dataset(rows, label=["even", "odd"] * (5 * 10**5), columns={"x": np.arange(10**6)})
        assert isinstance(generator, SequenceTaskGenerator)
        read = generator._read
        arrays = [array for array in (*read, *vars(read.keys).values()) if isinstance(array, np.ndarray)]
        assert sum(array.nbytes for array in arrays) == num_bytes * 10**6


TWO = [{"id": "a", "x": 1, "f": 0.5}, {"id": "b", "x": 1, "f": None}]


@pytest.mark.parametrize(
    ("rows", "arguments", "error", "message"),
    [
        ("level", {}, TypeError, "tasks: expected a list or another sequence .* got str; put it into a list"),
        ({"train": ROWS, "test": ROWS}, {}, TypeError, "tasks: .* got dict; .*, or pass one of its splits"),
        ({"size": 3}, {}, TypeError, "tasks: expected a list .* or a generator .* got dict; put it into a list"),
        ({"a", "b"}, {}, TypeError, "tasks: expected a list .* got set; pass a list"),
        (3, {}, TypeError, "tasks: expected a list .* got int"),
        (None, {}, TypeError, "tasks: expected a list .* got NoneType"),
        (np.array(3), {}, TypeError, "tasks: expected a sequence whose first row is at index 0, got ndarray"),
        ([], {}, ValueError, "tasks: expected at least one configuration, got none"),
        (["a", "b", "a"], {}, ValueError, "^tasks: expected a different key for each row, got 'a' for rows 0 and 2"),
        ([object(), object()], {}, ValueError, "got <object .* for rows 0 and 1; remove .* or name the rows with key="),
        (TWO, {"key": "x"}, ValueError, "^key: expected a different key for each row, got 1 for rows 0 and 1"),
        (TWO, {"key": "idd"}, KeyError, "key: expected a field .* got 'idd', and row 0 has fields id, x, f"),
        (LEVELS, {"key": "id"}, KeyError, "key: expected a field .* got 'id', and row 0 has a Level"),
        ([TWO[0], {"id": "c"}], {"label": "x"}, KeyError, "label: .* got 'x', and row 1 has fields id"),
        (TWO, {"key": "f"}, TypeError, "key: expected keys that are all int or all str, got (float|NoneType)"),
        ([1, 2], {"key": ["a", 2]}, TypeError, "key: expected keys that are all int or all str, got both"),
        ([1, 2], {"key": [True, 2]}, TypeError, "key: expected keys that are all int or all str, got bool"),
        (
            [1, 2],
            {"key": [2**70, 2]},
            ValueError,
            "key: expected whole numbers below 2..63, got 1180591620717411303424",
        ),
        ([1, 2], {"key": ["a"]}, ValueError, "key: expected 2 values, one per row, got 1"),
        ([1, 2], {"label": 3}, TypeError, "label: expected the name of a field or one value per row, got int"),
        (TWO, {"columns": "x"}, TypeError, "columns: expected a list of names, got the string 'x'"),
        (TWO, {"columns": ["f"]}, ValueError, r"columns\['f'\]: expected finite numbers, got None in row 1"),
        (TWO, {"columns": ["id"]}, ValueError, r"columns\['id'\]: expected finite numbers, got 'a' in row 0"),
        (
            [1, 2],
            {"columns": {"x": [0.5, np.inf]}},
            ValueError,
            r"columns\['x'\]: expected finite numbers, got inf in row 1",
        ),
    ],
)
def test_what_is_no_data_set_is_refused_by_name(rows, arguments, error, message):
    with pytest.raises(error, match=message):
        dataset(rows, **arguments)


def test_only_a_file_names_the_kind_so_that_rows_are_not_copied():
    rows = [{"$type": "tests.test_generators_sequence:Level", "name": "a", "size": 3}]
    assert SequenceTaskGenerator(rows=rows).rows is rows
    assert SequenceTaskGenerator(kind="sequence", rows=rows).build(0, np.zeros(0)) == LEVELS[0]


class TestRange:
    """A range is a pool of seeds of any length: nothing grows with it."""

    def test_a_long_one_takes_no_time_and_no_memory(self, tmp_path):
        tracemalloc.start()
        for rows in (range(2**31), range(10**12), range(-(2**63), 2**63 - 1, 3)):
            with Curriculum(rows, UniformConfig(num_active_tasks=64, use_shared_memory=False)) as curriculum:
                tasks = curriculum.ask(50)
                assert all(task.config in rows for task in tasks)
                curriculum.tell([task.task_id for task in tasks], np.ones(50))
                assert curriculum.find(tasks[0].config) == tasks[0].task_id
                assert len({task.config for task in curriculum.evaluation_tasks(20)}) == 20
                curriculum.save(tmp_path / "state")
                with Curriculum.load(tmp_path / "state", rows, config=curriculum.config) as resumed:
                    assert resumed.stats() == curriculum.stats()
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 20e6

    def test_its_tasks_are_found_by_their_numbers_after_a_change(self, tmp_path):
        def numbers(curriculum):
            return {task.config: task.task_id for task in map(curriculum.task, curriculum.tasks()["task_id"].tolist())}

        for before, after in (
            (range(2**40), range(2**39, -(2**50), -1)),
            (range(100), list(range(50, 150))),
            (list(range(50, 150)), range(149, 0, -3)),
            ([7], range(7, 8, 2**64)),
        ):
            size = min(32, len(before))
            config = UniformConfig(num_active_tasks=size, use_shared_memory=False)
            first = Curriculum(before, config)
            first.save(tmp_path / "state")
            kept = {number for number in numbers(first) if number in after}
            second = Curriculum.load(tmp_path / "state", after, config=config)
            assert 0 < len(kept) <= size
            assert second.stats()["num_evicted"] == size - len(kept)
            assert kept <= numbers(second).keys()

    def test_an_added_task_is_the_number_at_its_index(self):
        rows = range(7, 2**40, 3)
        curriculum = Curriculum(rows, UniformConfig(num_active_tasks=4, num_first_tasks=1, use_shared_memory=False))
        (added,) = curriculum.add_tasks([2**35])
        assert curriculum.task(added).config == 7 + 3 * 2**35
        assert curriculum.tasks()["seed"].tolist() == [0, 2**35]

    def test_processes_share_it_and_another_one_is_refused(self):
        config = UniformConfig(num_active_tasks=8, session_id="test-range")
        with Curriculum(range(2**40), config) as one, Curriculum(range(0, 2**40, 1), config) as other:
            assert one.tasks()["seed"].tolist() == other.tasks()["seed"].tolist()
            with pytest.raises(SessionError):
                Curriculum(range(2**40 + 1), config)

    def test_equal_ranges_are_equal_and_files_hold_their_ends(self):
        assert as_generator(range(0, 10, 3)) == as_generator(range(0, 12, 3)) != as_generator(range(0, 13, 3))
        generator = as_generator(range(2**40))
        again = load_task_generator(json.loads(json.dumps(dump_task_generator(generator))))
        assert again == generator
        assert again.rows == range(2**40)

    def test_it_may_be_a_part_of_other_generators(self):
        merged = merge([range(2**62), range(-(2**40), 0)])
        curriculum = Curriculum(merged, UniformConfig(use_shared_memory=False))
        assert merged.num_tasks == 2**62 + 2**40
        assert all(-(2**40) <= task.config < 2**62 for task in curriculum.ask(50))
        labelled = dataset(range(3, 6), label=["a", "b", "c"], columns={"size": [1, 2, 3]})
        assert {task.config: task.label for task in Curriculum(labelled).ask(50)} == {3: "a", 4: "b", 5: "c"}

    @pytest.mark.parametrize("rows", [range(2**70), range(2**63 - 2, 2**63 + 1), range(0)])
    def test_what_does_not_fit_is_one_clear_error(self, rows):
        with pytest.raises(ValueError, match="tasks: expected"):
            Curriculum(rows)
