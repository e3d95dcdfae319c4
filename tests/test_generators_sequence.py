"""Any sequence as a generator: rows are never copied, keys identify them, numbers and labels are read into arrays."""

import pickle
from dataclasses import dataclass

import numpy as np
import pytest

from curricular import (
    Axis,
    Curriculum,
    SequenceTaskGenerator,
    Span,
    UniformConfig,
    bucketed,
    dataset,
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
    generator = dataset(range(10**6), label=["even", "odd"] * (5 * 10**5), columns={"x": np.arange(10**6)})
    assert isinstance(generator, SequenceTaskGenerator)
    assert sum(array.nbytes for array in generator._read if isinstance(array, np.ndarray)) == 17 * 10**6


TWO = [{"id": "a", "x": 1, "f": 0.5}, {"id": "b", "x": 1, "f": None}]


@pytest.mark.parametrize(
    ("rows", "arguments", "error", "message"),
    [
        ("level", {}, TypeError, "tasks: expected a list or another sequence .* got str; put it into a list"),
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
