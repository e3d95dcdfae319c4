"""Reading a session without its lock: what a reader costs the workers, and what it sees while they change the table."""

import json
import signal
import threading
from contextlib import closing

import numpy as np
import pytest

from curricular import Axis, Curriculum, Span, UniformConfig, bucketed, dataset, merge, single_task
from curricular.backends.catalogue import open_reader
from curricular.backends.journal import CorruptTableError
from curricular.backends.layout import COMMITTED
from curricular.backends.reader import NUM_TRIES, SessionReader
from curricular.outline import MAX_BYTES, axes_of, outline
from curricular.params import Layout
from curricular.show import read_content
from curricular.table import SCHEDULED, TOLD

from .processes import config, play


@pytest.fixture
def curriculum():
    with Curriculum(config()) as curriculum:
        play(curriculum, 50)
        yield curriculum


@pytest.fixture
def reader(curriculum):
    with closing(open_reader("shared")) as reader:
        yield reader


def test_a_reader_changes_no_byte_and_takes_no_lock(curriculum, reader, fork):
    content = bytes(curriculum.tracker.backend._file.mapping)
    assert fork(lambda: SessionReader(reader._file.path).table()).wait() == 0
    assert bytes(curriculum.tracker.backend._file.mapping) == content


def test_a_copy_has_the_rows_counters_and_distribution_of_the_table(curriculum, reader):
    curriculum.flush()
    table, snapshot = reader.table(), curriculum.tracker.backend.snapshot()
    assert table.counters == snapshot.counters
    assert (table.rows.words == snapshot.rows.words).all()
    assert (table.cumulated == snapshot.cumulated).all()


def test_events_that_wait_are_counted_by_kind(curriculum, reader):
    curriculum.flush()
    tasks = curriculum.ask(7)
    for task in tasks[:4]:
        curriculum.update_task_performance(task.task_id, 1.0)
    logged = reader.logged()
    assert (logged[SCHEDULED], logged[TOLD]) == (7, 4)


def test_while_a_worker_is_busy_every_copy_is_sound(curriculum, reader, fork):
    def work():
        while True:
            play(curriculum, 100)

    worker = fork(work)
    completed = [0]
    while completed[-1] < 5_000:
        table = reader.table()
        active = table.rows["is_active"]
        assert active.sum() >= 0.5 * len(active)
        assert (table.rows["label_index"][active] < table.counters.num_labels).all()
        assert np.isfinite(table.rows["slow_ema"][active]).all()
        completed.append(table.counters.num_completed)
    assert completed == sorted(completed)
    worker.send(signal.SIGKILL)
    worker.wait()


def test_after_a_kill_within_a_change_the_rows_that_are_whole_are_read(curriculum, reader, monkeypatch):
    monkeypatch.setattr("curricular.backends.reader.PAUSE", 0.0)
    backend = curriculum.tracker.backend
    curriculum.flush()
    backend._control[COMMITTED] = 1
    backend._rows.words[3, 5] += 1
    table = reader.table()
    assert table.rows["is_active"].sum() == len(table.rows) - 1
    assert NUM_TRIES > 1
    backend._rows.words[3, 5] -= 1
    backend._control[COMMITTED] = 0


def test_damage_is_an_error(curriculum, reader):
    curriculum.flush()
    backend = curriculum.tracker.backend
    backend._rows.words[3, 5] += 1
    with pytest.raises(CorruptTableError, match="1 rows that do not match their checks"):
        read_content("shared")
    backend._rows.words[3, 5] -= 1
    reader.table()


def mixed():
    """Axes of a set, with choices, spans, a span among choices, and objects."""
    maze = bucketed({}, {"size": [5, 9, Span(10, 20)], "rate": Span(1e-4, 1e-1, log=True)})
    arena = bucketed({}, {"map": [(1, 2), None, {"a": 1}], "lit": [True, False], "size": Span(1, 4)})
    return merge([maze, arena, single_task(3)])


def test_axes_that_were_outlined_read_params_as_the_generator_does():
    generator = mixed()
    layout, read = Layout(generator.axes), Layout(axes_of(json.loads(json.dumps(outline(generator.axes)))))
    seeds = np.arange(200)
    params = generator.sample(seeds, np.random.default_rng(0))
    expected, columns = layout.decode_columns(params), read.decode_columns(params)
    assert columns.keys() == expected.keys()
    for name, column in expected.items():
        if name == "map":
            texts = ["(1, 2)" if value == (1, 2) else "None" if value is None else "{'a': 1}" for value in column]
            missing = [value == "None" for value in texts]
            assert [text for text, no in zip(columns[name], missing, strict=True) if not no] == [
                text for text, no in zip(texts, missing, strict=True) if not no
            ]
        else:
            np.testing.assert_array_equal(columns[name], column)


def test_a_long_axis_is_outlined_in_groups():
    (axis,) = axes_of(outline([Axis("level", tuple(range(100_000)))]))
    assert len(axis.values) == 100_000
    assert (axis.values[0], axis.values[-1]) == ("0 to 6249", "93750 to 99999")
    assert len(set(axis.values)) == 16


def test_an_outline_is_small_or_empty():
    texts = tuple(f"{number} {'x' * 1000}" for number in range(20))
    axes = tuple(Axis(f"axis {number}", texts) for number in range(3))
    assert 0 < len(json.dumps(outline(axes))) <= MAX_BYTES
    assert outline(axes * 10) == []
    assert outline([Axis(str(number), (0, 1)) for number in range(1000)]) == []


class Unprintable:
    def __repr__(self):
        raise RuntimeError


def test_a_choice_that_cannot_be_printed_is_outlined():
    assert "Unprintable" in outline([Axis("thing", (Unprintable(), 1))])[0]["values"][0]


def test_a_session_whose_axes_do_not_fit_beside_its_settings_has_none(monkeypatch):
    monkeypatch.setattr("curricular.outline.MAX_BYTES", 10**6)
    values = [f"{number}{'x' * 38}" for number in range(20)]
    generator = bucketed({}, {f"axis {number}": values for number in range(20)})
    with Curriculum(config("wide", num_active_tasks=4), generator), closing(open_reader("wide")) as reader:
        assert reader.axes == []


def test_rows_that_a_model_writes_meanwhile_are_no_damage():
    rows = [{"id": number, "rate": 0.5} for number in range(20_000)]
    settings = UniformConfig(session_id="written", num_active_tasks=len(rows))
    with Curriculum(settings, dataset(rows, key="id", columns=["rate"])) as curriculum:
        is_over = threading.Event()

        def write():
            rng = np.random.default_rng(0)
            while not is_over.is_set():
                curriculum.set_params(np.arange(len(rows)), "rate", rng.random(len(rows)))

        writer = threading.Thread(target=write)
        writer.start()
        try:
            with closing(open_reader("written")) as reader:
                for _ in range(30):
                    assert len(reader.table().rows) == len(rows)
        finally:
            is_over.set()
            writer.join()
