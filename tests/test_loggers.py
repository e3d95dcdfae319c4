"""Loggers: what each writes is read back by the package that it is for."""

import csv
import io
import json
import signal
from contextlib import contextmanager

import pytest

from curricular import Curriculum, LearningProgressConfig, UniformConfig, dataset, merge, single_task
from curricular.loggers import CsvLogger, JsonLinesLogger, SB3Logger, TensorBoardLogger, WandbLogger, short_keys

from .helpers import python


@pytest.fixture
def curriculum():
    labels = [f"{place} with a corridor and four locked doors" for place in ("a maze", "a maze, dark", "an arena")]
    generator = merge([single_task(label, label=label) for label in labels])
    with Curriculum(LearningProgressConfig.default(num_active_tasks=3, use_shared_memory=False), generator) as made:
        made.tell([0, 0, 1], [1.0, 0.0, 1.0])
        yield made


def test_tensorboard_reads_back_numbers_and_histograms(curriculum, tmp_path):
    pytest.importorskip("tensorboard")
    pytest.importorskip("torch")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # noqa: PLC0415
    from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415

    with SummaryWriter(tmp_path) as writer:
        TensorBoardLogger(curriculum, writer)(7)
    events = EventAccumulator(str(tmp_path)).Reload()
    read = {tag: events.Scalars(tag)[0] for tag in events.Tags()["scalars"]}
    assert {tag: event.value for tag, event in read.items()} == pytest.approx(
        {f"curriculum/{key}": value for key, value in curriculum.stats().items()}
    )
    assert {event.step for event in read.values()} == {7}
    (histogram,) = events.Histograms("curriculum/tasks/success")
    assert histogram.histogram_value.num == 2


def test_an_offline_run_of_wandb_takes_numbers_and_histograms(curriculum, tmp_path, monkeypatch):
    wandb = pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_SILENT", "true")
    with wandb.init(project="test", mode="offline", dir=tmp_path) as run:
        log = WandbLogger(curriculum, run)
        log(3)
        log(4)  # the next step commits the one before
        summary = dict(run.summary)
    assert summary["curriculum/num_completed"] == 3
    assert {f"curriculum/{key}" for key in curriculum.stats()} <= summary.keys()
    assert sum(summary["curriculum/tasks/success"]["values"]) == 2


def test_the_table_of_stable_baselines_shows_every_key(curriculum):
    pytest.importorskip("stable_baselines3")
    from stable_baselines3.common.logger import HumanOutputFormat, Logger  # noqa: PLC0415

    shown = io.StringIO()
    logger = Logger(None, [HumanOutputFormat(shown)])
    SB3Logger(curriculum, logger)()
    logger.dump(1)
    assert shown.getvalue().count("\n") == len(curriculum.stats()) + 3  # two rules and the prefix
    assert "..." not in shown.getvalue()


def test_short_keys_are_distinct_short_and_keep_what_fits():
    long = {
        f"label/{'corridor ' * 9}{number}/{what}": 1.0 for number in range(500) for what in ("success", "num_tasks")
    }
    stats = {**long, "num_active": 2.0, "mastery/never_scored/probability": 0.5}
    short = short_keys(stats)
    assert len(short) == len(stats)
    assert max(map(len, short)) <= 33
    assert {"num_active", "mastery/never_scored/probability"} <= short.keys()
    assert list(short.values()) == list(stats.values())


def test_json_lines_are_one_object_per_call(curriculum, tmp_path):
    log = JsonLinesLogger(curriculum, tmp_path / "stats.jsonl")
    log(1)
    curriculum.tell([2], [0.5])
    log(2)
    first, second = (json.loads(line) for line in (tmp_path / "stats.jsonl").read_text(encoding="utf-8").splitlines())
    assert (first["step"], second["step"]) == (1, 2)
    assert {key: value for key, value in second.items() if key not in {"step", "time"}} == curriculum.stats()


def test_a_csv_file_gets_columns_for_new_keys_and_is_continued(tmp_path):
    path = tmp_path / "stats.csv"
    with Curriculum(LearningProgressConfig.default(num_active_tasks=3, use_shared_memory=False)) as curriculum:
        CsvLogger(curriculum, path)(1)
        curriculum.tell([0], [1.0])
        log = CsvLogger(curriculum, path)
        log(2)
        log(3)
        stats = curriculum.stats()
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == ["1", "2", "3"]
    assert rows[0]["score/mean"] == ""
    assert {key: float(value) for key, value in rows[2].items() if key != "step"} == stats


@contextmanager
def full_disk(path, num_bytes):
    """Lets no file grow beyond the size of `path` and `num_bytes` more."""
    resource = pytest.importorskip("resource")
    limits, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + num_bytes, limits[1]))
    try:
        with pytest.raises(OSError, match="too large"):
            yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)


@pytest.fixture
def growing():
    rows = dataset([{"label": f"label {index}"} for index in range(4)], label="label")
    with Curriculum(rows, UniformConfig(use_shared_memory=False, num_active_tasks=4, num_first_tasks=1)) as made:
        yield made


def test_a_full_disk_costs_a_csv_file_the_line_and_no_column(growing, tmp_path):
    path = tmp_path / "stats.csv"
    log = CsvLogger(growing, path)
    log(0)
    growing.add_tasks([1, 2])  # whose labels are new columns
    with full_disk(path, 50):
        log(1)
    assert [file.name for file in tmp_path.iterdir()] == ["stats.csv"]
    log(2)
    with full_disk(path, 5):
        log(3)
    log(4)
    growing.add_tasks([3])
    CsvLogger(growing, path)(5)
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    whole = [row for row in rows if row["num_created"]]
    assert [row["step"] for row in whole] == ["0", "2", "4", "5"]
    assert {key: float(value) for key, value in whole[-1].items() if key != "step"} == growing.stats()


def test_a_line_with_more_fields_than_columns_keeps_the_others(growing, tmp_path):
    path = tmp_path / "stats.csv"
    path.write_text("step,num_created\n0,1,7\n", encoding="utf-8")
    CsvLogger(growing, path)(1)
    with path.open(encoding="utf-8", newline="") as file:
        assert [row["step"] for row in csv.DictReader(file)] == ["0", "1"]


def test_a_json_line_that_was_cut_off_costs_no_other_line(growing, tmp_path):
    path = tmp_path / "stats.jsonl"
    log = JsonLinesLogger(growing, path)
    log(0)
    with full_disk(path, 50):
        log(1)
    log(2)
    first, torn, last = path.read_text(encoding="utf-8").splitlines()
    assert (json.loads(first)["step"], json.loads(last)["step"], len(torn)) == (0, 2, 50)


def test_another_file_is_no_csv_of_ours(curriculum, tmp_path):
    (tmp_path / "notes.txt").write_text("buy milk\n", encoding="utf-8")
    with pytest.raises(ValueError, match="path: expected a CSV file with a column 'step'"):
        CsvLogger(curriculum, tmp_path / "notes.txt")


def test_nothing_is_imported_that_is_not_used():
    packages = "{'matplotlib', 'plotly', 'pyarrow', 'stable_baselines3', 'tensorboard', 'torch', 'wandb'}"
    assert python(f"import curricular.loggers, curricular.show, sys; print({packages} & sys.modules.keys())") == "set()"


@pytest.mark.parametrize(
    ("package", "module"), [("pyarrow", "recording"), ("plotly", "report.page"), ("matplotlib", "report.pictures")]
)
def test_a_missing_package_is_named(package, module):
    code = f"import sys\nsys.modules[{package!r}] = None\ntry:\n    import curricular.{module}\n"
    pytest.importorskip("pyarrow")
    pytest.importorskip("plotly")
    assert "pip install 'curricular[report]'" in python(code + "except ImportError as error:\n    print(error)")


def test_short_keys_are_on_one_line_and_stay_distinct():
    short = short_keys({"label/a\nb/success": 1.0, "label/a b/success": 2.0, "label/\x1b[31m/success": 3.0})
    assert list(short.values()) == [1.0, 2.0, 3.0]
    assert all(key.isprintable() for key in short)


def test_a_long_reason_of_cancellations_has_a_short_key(curriculum):
    reasons = [f"the simulator left the arena {number}" for number in range(3)]
    for reason in reasons:
        curriculum.cancel([curriculum.get_task().task_id], reason)
    stats = curriculum.stats()
    assert {f"cancelled/{reason}" for reason in reasons} <= stats.keys()
    for length in (25, 33):
        short = short_keys(stats, length)
        assert max(map(len, short)) <= length
        assert list(short.values()) == list(stats.values())
    assert [len(key) for key in short_keys({"x" * 50: 1.0, "x" * 51: 2.0})] == [33, 33]
