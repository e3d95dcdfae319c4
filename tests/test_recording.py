"""Recordings: what they hold, how long they get, and what a kill, a fork or another file does to them."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pa = pytest.importorskip("pyarrow")

from curricular import Curriculum, Span, UniformConfig, bucketed  # noqa: E402
from curricular.aggregates import MAX_BUCKETS, REST, Buckets, describe  # noqa: E402
from curricular.recording import NewerRecordingError, Recorder, Recording, read_recording  # noqa: E402
from curricular.recording import recorder as recorder_module  # noqa: E402
from curricular.recording.file import SCHEMA, to_batch  # noqa: E402

from .helpers import Child  # noqa: E402
from .recording_run import curriculum_of_mazes, record, train  # noqa: E402


def test_a_recording_holds_the_statistics_at_each_interval(tmp_path):
    with curriculum_of_mazes() as curriculum, Recorder(curriculum, tmp_path, interval=20) as recorder:
        train(curriculum, recorder, 400)
        stats = curriculum.stats()
    run = read_recording(tmp_path)
    assert (abs(np.diff(run.completed)[:-1] - 20) <= 2).all()
    assert run.completed[-1] == stats["num_completed"]
    assert {name: values[-1] for name, values in run.stats.items()} == stats
    labels = {row["item"]: row for row in run.last_rows("label")}
    assert labels["maze"]["num_tasks"] == 6
    assert sum(row["probability"] for row in labels.values()) == pytest.approx(1)


def test_a_statistic_is_nan_at_the_snapshots_without_it(tmp_path):
    rows = [{"kind": "stat", "name": "num_active", "value": 3.0}, {"kind": "stat", "name": "score/mean", "value": 0.5}]
    batches = [to_batch(rows[:1], 0, 0.0), to_batch(rows, 1, 1.0)]
    stats = Recording("run", batches, is_cut=False).stats
    assert stats["num_active"].tolist() == [3.0, 3.0]
    np.testing.assert_array_equal(stats["score/mean"], [np.nan, 0.5])
    assert Recording("run", [], is_cut=False).stats == {}
    assert Recording("run", [], is_cut=False).last_rows("stat") == []


def test_draws_along_an_axis_and_over_two_axes_sum_to_those_of_their_tasks(tmp_path):
    run = record(tmp_path)
    for kind, name, num_rows in (("axis", "size", 3), ("axis", "rivals", 2), ("map", "rivals", 6)):
        rows = [row for index, row in run.rows(kind) if index == 0 and row["name"] == name]
        rows = [row for row in rows if kind == "axis" or row["name_2"] == "size"]
        assert len(rows) == num_rows
        assert sum(row["probability"] for row in rows) == pytest.approx(6 / 7)
        assert sum(row["num_tasks"] for row in rows) == 6


def test_values_of_log_spans_are_recorded(tmp_path):
    tasks = bucketed({}, {"rate": Span(1e-4, 1e-1, log=True), "width": Span(8, 512, log=True)})
    with (
        Curriculum(tasks, UniformConfig(num_active_tasks=50, use_shared_memory=False)) as curriculum,
        Recorder(curriculum, tmp_path, interval=20) as recorder,
    ):
        train_on = curriculum.ask(40)
        curriculum.tell([task.task_id for task in train_on], [float(task.params["width"] < 64) for task in train_on])
        recorder.update()
    for name, low, high in (("rate", 1e-4, 1e-1), ("width", 8, 512)):
        items = [row["item"] for _, row in read_recording(tmp_path).rows("axis") if row["name"] == name]
        assert len(items) > 1
        assert all(low <= float(end) <= high for item in items for end in item.split(" to "))


def test_a_recording_is_a_plain_arrow_stream(tmp_path):
    run = record(tmp_path)
    with pa.OSFile(str(tmp_path / "recording.arrow")) as file:
        assert pa.ipc.open_stream(file).read_all().equals(run.to_table())


def run_apart(program, folder, *arguments):
    """Runs a program in another process, and returns its exit status."""
    path = os.pathsep.join([str(Path.cwd()), *sys.path])
    command = [sys.executable, "-c", program, folder, *arguments]
    return subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, check=False).returncode


KILLED = """
import os, signal, sys
from tests.recording_run import curriculum_of_mazes, train
from curricular.recording import Recorder
curriculum = curriculum_of_mazes()
train(curriculum, Recorder(curriculum, sys.argv[1], interval=20), 100)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_recording_is_readable_up_to_its_last_snapshot(tmp_path):
    assert run_apart(KILLED, tmp_path) == -9
    run = read_recording(tmp_path)
    assert len(run.batches) == 5
    assert not run.is_cut


def test_a_snapshot_that_was_cut_off_is_left_out_and_reported(tmp_path):
    whole = record(tmp_path)
    file = tmp_path / "recording.arrow"
    file.write_bytes(file.read_bytes()[:-300])
    run = read_recording(tmp_path)
    assert run.is_cut
    assert run.completed.tolist() == whole.completed.tolist()[:-1]


@pytest.mark.parametrize("size", [0, 1, 300, 735])
def test_a_recording_that_was_cut_within_its_header_has_no_snapshot_and_is_continued(size, tmp_path):
    record(tmp_path)
    file = tmp_path / "recording.arrow"
    file.write_bytes(file.read_bytes()[:size])
    run = read_recording(tmp_path)
    assert len(run.batches) == 0
    assert run.is_cut == (size > 0)
    record(tmp_path)
    assert len(read_recording(tmp_path).batches) > 1


def test_a_cut_recording_is_continued(tmp_path):
    record(tmp_path)
    file = tmp_path / "recording.arrow"
    file.write_bytes(file.read_bytes()[:-300])
    with curriculum_of_mazes() as curriculum:
        curriculum.tell([0] * 500, [1.0] * 500)
        with Recorder(curriculum, tmp_path, interval=20) as recorder:
            assert recorder.update()
    run = read_recording(tmp_path)
    assert not run.is_cut
    assert run.completed[-1] == 500


def test_snapshots_after_a_checkpoint_that_was_loaded_are_dropped_and_the_log_says_so(tmp_path, caplog):
    with curriculum_of_mazes() as curriculum, Recorder(curriculum, tmp_path, interval=20) as recorder:
        train(curriculum, recorder, 50)
        early = read_recording(tmp_path).completed.tolist()
        state = curriculum.state_dict()
        train(curriculum, recorder, 200)
    with curriculum_of_mazes() as curriculum:
        curriculum.load_state_dict(state)
        with Recorder(curriculum, tmp_path, interval=20):
            completed = int(curriculum.stats()["num_completed"])
    assert read_recording(tmp_path).completed.tolist() == sorted({*early, completed})
    assert "snapshots, of up to 210 results, since the curriculum has 41; if it is another run" in caplog.text


@pytest.mark.parametrize("settings", [{"interval": 10}, {}])
def test_a_checkpoint_that_is_loaded_while_recording_drops_the_later_snapshots(settings, tmp_path):
    def play(n=10):
        curriculum.tell([task.task_id for task in curriculum.ask(n)], [1.0] * n)
        return recorder.update()

    with curriculum_of_mazes() as curriculum, Recorder(curriculum, tmp_path, **settings) as recorder:
        play()
        state = curriculum.state_dict()
        for _ in range(3):
            recorder._not_before = 0.0
            assert play()
        curriculum.load_state_dict(state)
        recorder._not_before = np.inf  # a pause that has begun in the lost run
        assert play(5)
        assert read_recording(tmp_path).completed.tolist() == [10, 15]
        curriculum.load_state_dict(state)
        recorder.close()
        assert read_recording(tmp_path).completed.tolist() == [10]
        curriculum.tell([0], [1.0])
    assert read_recording(tmp_path).completed.tolist() == [10, 11]


FULL_DISK = """
import resource, sys
from pathlib import Path
from tests.recording_run import curriculum_of_mazes
from curricular.recording import Recorder, recorder as module
module.MAX_SNAPSHOTS = 4
curriculum, file = curriculum_of_mazes(), Path(sys.argv[1]) / "recording.arrow"
recorder = Recorder(curriculum, sys.argv[1], interval=10)

def play(n):
    failures = 0
    for _ in range(n):
        curriculum.tell([task.task_id for task in curriculum.ask(10)], [1.0] * 10)
        try:
            recorder.update()
        except OSError:
            failures += 1
    return failures

assert play(int(sys.argv[2])) == 0
limits = resource.getrlimit(resource.RLIMIT_FSIZE)
most = file.stat().st_size + 500 if sys.argv[4] == "append" else 1000
resource.setrlimit(resource.RLIMIT_FSIZE, (most, limits[1]))
assert play(int(sys.argv[3])) == int(sys.argv[3])
resource.setrlimit(resource.RLIMIT_FSIZE, limits)
assert play(1) == 0
recorder.close()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no limit on the size of files")
@pytest.mark.parametrize(
    ("num_before", "num_failures", "what", "kept"),
    [(2, 1, "append", [10, 20]), (2, 6, "append", [10, 20]), (4, 2, "thin", [10, 30])],
)
def test_snapshots_after_failed_writes_are_found(num_before, num_failures, what, kept, tmp_path):
    assert run_apart(FULL_DISK, tmp_path, f"{num_before}", f"{num_failures}", what) == 0
    run = read_recording(tmp_path)
    assert not run.is_cut
    assert run.completed.tolist() == [*kept, 10 * (num_before + num_failures + 1)]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lock", "recording.arrow"]


def test_another_object_may_write_after_a_close_that_failed(tmp_path, monkeypatch):
    with curriculum_of_mazes() as curriculum:
        recorder = Recorder(curriculum, tmp_path)
        curriculum.tell([0], [1.0])
        with monkeypatch.context() as patch:
            patch.setattr(curriculum._refresher, "probabilities", lambda table: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                recorder.close()
        with Recorder(curriculum, tmp_path) as another:
            assert another.update()
    assert read_recording(tmp_path).completed.tolist() == [1]


class Interrupted(Recorder):
    """Gets an interrupt when a snapshot is written, and is about to be counted."""

    is_armed = False

    @property
    def _last(self):
        return self.last

    @_last.setter
    def _last(self, completed):
        if self.is_armed:
            self.is_armed = False
            raise KeyboardInterrupt
        self.last = completed


def test_an_interrupt_after_a_snapshot_was_written_records_it_once(tmp_path):
    with curriculum_of_mazes() as curriculum, Interrupted(curriculum, tmp_path, interval=1) as recorder:
        recorder.is_armed = True
        curriculum.tell([0], [1.0])
        with pytest.raises(KeyboardInterrupt):
            recorder.update()
        assert not recorder.update()
    assert read_recording(tmp_path).completed.tolist() == [1]


def test_a_long_recording_is_thinned(tmp_path, monkeypatch):
    monkeypatch.setattr(recorder_module, "MAX_SNAPSHOTS", 16)
    run = record(tmp_path, 3000, interval=5)
    assert len(run.batches) <= 17
    assert run.completed[0] <= 1
    distances = np.diff(run.completed)[:-1]
    assert distances.max() <= 3 * distances.min()


def test_one_of_several_recorders_writes_and_another_takes_over(tmp_path):
    with curriculum_of_mazes() as curriculum:
        first, second = (Recorder(curriculum, tmp_path, interval=1) for _ in range(2))
        second._not_before = 0.0
        assert (first.update(), second.update()) == (True, False)
        curriculum.tell([0], [1.0])
        first.close()
        second._not_before = 0.0
        curriculum.tell([0], [1.0])
        assert second.update()
        second.close()
    assert read_recording(tmp_path).completed.tolist() == [0, 1, 2]


def test_a_forked_process_does_not_record_beside_its_parent(tmp_path):
    def update():
        assert not recorder.update()
        recorder.close()

    with (
        curriculum_of_mazes(use_shared_memory=True) as curriculum,
        Recorder(curriculum, tmp_path, interval=1) as recorder,
    ):
        assert recorder.update()
        curriculum.tell([0], [1.0])
        assert Child(update).wait() == 0
        assert recorder.update()
    assert read_recording(tmp_path).completed.tolist() == [0, 1]


class Clock:
    """Stands in for the module `time`: a snapshot takes 10 ms, and only the test lets time pass otherwise."""

    now = 0.0

    def perf_counter(self):
        return self.now

    def time(self):
        self.now += 0.01
        return self.now


def test_by_default_pauses_grow_until_recording_takes_half_a_percent_of_the_time(tmp_path, monkeypatch):
    clock = Clock()
    monkeypatch.setattr(recorder_module, "time", clock)
    with curriculum_of_mazes() as curriculum, Recorder(curriculum, tmp_path) as recorder:
        times = []
        for _ in range(60_000):
            clock.now += 0.001
            curriculum.tell([0], [1.0])
            if recorder.update():
                times.append(clock.now)
    assert times[:6] == pytest.approx([0.011, 0.22, 0.45, 0.91, 1.83, 3.67], abs=0.02)
    assert np.diff(times[5:]) == pytest.approx(2.01, abs=0.02)


WAITING = """
import sys, time
from tests.recording_run import curriculum_of_mazes
from curricular.recording import Recorder
curriculum = curriculum_of_mazes()
with Recorder(curriculum, sys.argv[1]) as recorder:
    end = time.perf_counter() + 2
    while time.perf_counter() < end:
        curriculum.tell([0], [1.0])
        recorder.update()
        time.sleep(0.02)
"""


def test_a_process_that_mostly_waits_is_recorded_from_the_start(tmp_path):
    run_apart(WAITING, tmp_path)
    assert read_recording(tmp_path).completed[0] == 1
    assert len(read_recording(tmp_path).batches) >= 3


def test_what_is_no_recording_is_refused_by_name(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"expected a folder with a recording\.arrow"):
        read_recording(tmp_path / "nothing")
    with pytest.raises(TypeError, match="path: expected the folder of a recording, got int"):
        read_recording(3)
    (tmp_path / "recording.arrow").write_text("no stream", encoding="utf-8")
    with pytest.raises(ValueError, match="expected a recording, got"):
        read_recording(tmp_path)
    for schema, error in (
        (pa.schema([("x", pa.int64())]), "another Arrow file"),
        (SCHEMA.with_metadata({"curricular.format": "2"}), "format 1, got format 2"),
    ):
        with (tmp_path / "recording.arrow").open("wb") as file:
            pa.ipc.new_stream(file, schema).close()
        with pytest.raises(ValueError, match=error):
            read_recording(tmp_path)
    with pytest.raises(NewerRecordingError):
        read_recording(tmp_path)


@pytest.mark.parametrize(
    ("rows", "completed", "fault"),
    [
        ([], 1, "has no row"),
        ([{"kind": "stat", "name": "x"}], None, "a row without completed"),
        ([{"kind": "distribution", "name": "x"}], 1, "a row of the kind distribution without value"),
        ([{"name": "x"}], 1, "a row without kind"),
        ([{"kind": "stat"}], 1, "a row of the kind stat without name"),
        ([{"kind": "map", "name": "x", "item": "1", "name_2": "y"}], 1, "a row of the kind map without item_2"),
    ],
)
def test_a_recording_with_a_snapshot_that_lacks_something_is_refused(rows, completed, fault, tmp_path):
    with (tmp_path / "recording.arrow").open("wb") as file, pa.ipc.new_stream(file, SCHEMA) as writer:
        writer.write_batch(to_batch(rows, completed, 0.0))
    with pytest.raises(ValueError, match=f"snapshot 0 has .*{fault}|snapshot 0 {fault}"):
        read_recording(tmp_path)


def test_a_run_that_starts_anew_keeps_the_old_recording_under_another_name(tmp_path, caplog):
    assert run_apart(KILLED, tmp_path) == -9
    first = read_recording(tmp_path).completed.tolist()
    record(tmp_path, 60)
    second = read_recording(tmp_path).completed.tolist()
    with curriculum_of_mazes() as curriculum:
        Recorder(curriculum, tmp_path).close()
    assert first[-1] > second[-1]
    assert read_recording(tmp_path / "recording-1.arrow").completed.tolist() == first
    assert read_recording(tmp_path / "recording-2.arrow").completed.tolist() == second
    assert read_recording(tmp_path).completed.tolist() == [0]
    assert f"the curriculum has 0 results and the recording was of up to {first[-1]}; that one" in caplog.text
    assert "is now recording-1.arrow" in caplog.text


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (lambda curriculum: ("runs/x", curriculum), TypeError, "curriculum: expected a Curriculum, got str"),
        (lambda curriculum: (curriculum, curriculum), TypeError, "path: expected a folder, got Curriculum"),
        (lambda curriculum: (curriculum, "file"), FileExistsError, "path: expected a folder .*, got 'file'"),
        (lambda curriculum: (curriculum, "file/x"), NotADirectoryError, "path: expected a folder .*, got 'file/x'"),
        (lambda curriculum: (curriculum, "nul\0"), ValueError, "path: expected a folder that can be created"),
    ],
)
def test_wrong_arguments_of_a_recorder_are_named(arguments, error, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("notes", encoding="utf-8")
    with curriculum_of_mazes() as curriculum, pytest.raises(error, match=words):
        Recorder(*arguments(curriculum))
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("interval", [2.5, "10", True])
def test_an_interval_that_is_no_whole_number_is_refused(interval, tmp_path):
    with curriculum_of_mazes() as curriculum, pytest.raises(TypeError, match="interval: expected a whole number"):
        Recorder(curriculum, tmp_path, interval=interval)


def test_an_interval_below_one_is_refused(tmp_path):
    with curriculum_of_mazes() as curriculum, pytest.raises(ValueError, match="interval: expected at least 1 result"):
        Recorder(curriculum, tmp_path, interval=0)


@pytest.mark.parametrize("values", [np.arange(100_000), np.array([f"level {n}" for n in range(100_000)], object)])
def test_an_axis_with_very_many_values_has_few_buckets(values):
    places, names = Buckets(values).place(values)
    assert len(names) <= MAX_BUCKETS
    assert np.bincount(places).sum() == 100_000
    assert values.dtype != object or names[-1] == REST


def test_buckets_keep_their_places_and_values_beyond_them_count_at_the_ends():
    buckets = Buckets(np.linspace(0.0, 1.0, 50))
    places, names = buckets.place(np.array([-3.0, 0.0, 0.5, 1.0, 9.0, np.nan]))
    assert places.tolist() == [0, 0, 8, 15, 15, -1]
    assert names[0] == "0 to 0.0625"
    few = Buckets(np.array([3, 1]))
    assert few.place(np.array([3, 1]))[0].tolist() == [1, 0]
    assert few.place(np.array([2, 1, 3]))[0].tolist() == [2, 0, 1]


@pytest.mark.parametrize(("low", "high"), [(1e-4, 1e-1), (8, 51_200), (1.0, 1e9)])
@pytest.mark.parametrize("log", [False, True])
def test_intervals_hold_about_as_many_values_each_on_the_scale_on_which_these_are_spread(low, high, log):
    span = Span(low, high, log=log)
    for seed in range(20):
        values = span.decode_all(span.sample(400, np.random.default_rng(seed)))
        places, names = Buckets(values).place(values)
        assert len(names) == 16
        assert np.bincount(places, minlength=16).max() < 3 * 400 / 16
        widths = [float(end) - float(start) for start, end in (name.split(" to ") for name in names)]
        assert (widths[-1] > 3 * widths[0]) == log


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "values",
    [
        np.linspace(-1.7, 1.7, 50) * 1e308,
        np.geomspace(1e-300, 1.7e308, 50),
        np.geomspace(1e200, 1e300, 50),
        np.full(50, 1.7e308) - np.arange(50) * 1e300,
    ],
)
def test_the_largest_numbers_are_divided_like_others_and_infinite_ones_are_in_no_interval(values):
    infinite = [np.inf, -np.inf, np.nan, np.inf]
    places, names = Buckets(values).place(np.append(values, infinite))
    assert names[16:] == ["-inf", "inf"]
    assert places[-4:].tolist() == [17, 16, -1, 17]
    ends = [[float(end) for end in name.split(" to ")] for name in names[:16]]
    assert np.isfinite(ends).all()
    for value, place in zip(values, places, strict=False):
        low, high = ends[place]
        assert low - abs(low) / 1000 <= value <= high + abs(high) / 1000  # names have four digits


@pytest.mark.parametrize("first", [0, -50, 10**6])
@pytest.mark.parametrize("num", [30, 100, 997])
def test_intervals_of_whole_numbers_are_named_by_whole_numbers_that_are_in_them(first, num):
    values = np.arange(first, first + num)
    places, names = Buckets(values).place(values)
    for place, name in enumerate(names):
        low, _, high = name.partition(" to ")
        assert values[places == place].tolist() == list(range(int(low), int(high or low) + 1))


def test_a_task_is_described_by_what_is_known_of_it():
    with Curriculum(
        bucketed({}, {"size": [5]}), UniformConfig(num_active_tasks=1, use_shared_memory=False)
    ) as curriculum:
        assert describe(curriculum.tasks(), 0) == "task 0 (size=5)"
