"""`curricular show`: what is in a checkpoint or a session, as tables, JSON and CSV."""

import csv
import io
import json
from contextlib import ExitStack

import pytest
from typer.testing import CliRunner

from curricular import Curriculum, Span, UniformConfig, bucketed, cli, merge, single_task
from curricular.backends import session
from curricular.checkpoint import write_checkpoint

LABELS = ("easy", "[/bold] \x1b[31mred\nline", "שלום 🙂")


def run(*arguments):
    return CliRunner().invoke(cli.app, [*arguments], env={"COLUMNS": "200"})


def create(**settings):
    generator = merge([single_task(label, label=label) for label in LABELS])
    config = UniformConfig(num_active_tasks=3, score_range=(-1.0, 3.0), **settings)
    curriculum = Curriculum(config, generator)
    tasks = curriculum.ask(60)
    curriculum.tell(
        [task.task_id for task in tasks[:50]], [3.0 if task.label == "easy" else -1.0 for task in tasks[:50]]
    )
    curriculum.cancel([task.task_id for task in tasks[50:53]], "[red]")
    return curriculum


def test_a_name_that_is_too_long_for_a_path_is_neither_a_checkpoint_nor_a_session():
    result = run("show", "a" * 5000)
    assert result.exit_code == 1
    assert "expected a checkpoint or a session" in result.output


@pytest.fixture
def checkpoint(tmp_path):
    with create(use_shared_memory=False) as curriculum:
        curriculum.save(tmp_path / "pool.ckpt")
    return str(tmp_path / "pool.ckpt")


def test_a_checkpoint_is_shown_with_its_settings_as_they_act(checkpoint):
    result = run("show", checkpoint)
    assert result.exit_code == 0, result.output
    lines = [[cell.strip() for cell in line.split("│")[1:-1]] for line in result.output.splitlines() if "│" in line]
    rows = {line[0]: line[1:] for line in lines}
    assert rows["score_range"] == ["[-1.0, 3.0]"]
    assert rows["success_threshold"] == ["1"]
    assert rows["scheduled"] == ["60"]
    assert rows["cancelled: [red]"] == ["3"]
    assert rows["mastered"] == ["1", "33.3%"]
    assert rows["easy"] == ["1", "33.3%", "100%"]


def test_texts_of_the_user_are_shown_as_they_are_on_one_line(checkpoint):
    output = run("show", checkpoint).output
    assert "[/bold]  [31mred line" in output
    assert "שלום 🙂" in output
    assert "\x1b[31m" not in output


def test_json_has_settings_statistics_and_all_tasks(checkpoint):
    content = json.loads(run("show", checkpoint, "-f", "json").stdout)
    assert content["settings"]["success_threshold"] == 1.0
    assert content["stats"]["num_completed"] == 50
    assert {task["label"] for task in content["tasks"]} == set(LABELS)
    assert next(task for task in content["tasks"] if task["label"] == "easy")["score"] == pytest.approx(3.0)


def test_csv_has_one_line_per_task(checkpoint):
    rows = list(csv.DictReader(io.StringIO(run("show", checkpoint, "-f", "csv").stdout)))
    assert {row["label"]: row["state"] for row in rows} == dict(
        zip(LABELS, ("mastered", "never solved", "never solved"), strict=True)
    )


def test_tasks_of_a_checkpoint_have_their_values_on_the_axes(tmp_path):
    generator = bucketed({}, {"size": [5, 9], "speed": Span(0.0, 1.0)})
    with Curriculum(UniformConfig(num_active_tasks=4, use_shared_memory=False), generator) as curriculum:
        curriculum.save(tmp_path / "axes.ckpt")
        tasks = curriculum.tasks()
    rows = list(csv.DictReader(io.StringIO(run("show", str(tmp_path / "axes.ckpt"), "-f", "csv").stdout)))
    shown = {int(row["task_id"]): (int(row["params/size"]), float(row["params/speed"])) for row in rows}
    sizes, speeds = (tasks[f"params/{name}"].tolist() for name in ("size", "speed"))
    assert shown == dict(zip(tasks["task_id"].tolist(), zip(sizes, speeds, strict=True), strict=True))


@pytest.mark.parametrize("axes", [None, 3, [3], [{"name": "size"}], [[]], "x"])
def test_a_checkpoint_whose_outline_of_the_axes_is_damaged_is_shown_without_them(axes, tmp_path):
    with Curriculum(UniformConfig(num_active_tasks=2, use_shared_memory=False), ["a", "b"]) as curriculum:
        write_checkpoint(tmp_path / "odd.ckpt", {**curriculum.state_dict(), "axes": axes})
    result = run("show", str(tmp_path / "odd.ckpt"), "-f", "csv")
    assert result.exit_code == 0, result.output
    assert "params/" not in result.output


def test_what_is_not_known_yet_is_null_and_empty(tmp_path):
    with Curriculum(UniformConfig(num_active_tasks=2, use_shared_memory=False)) as curriculum:
        curriculum.save(tmp_path / "new.ckpt")
    path = str(tmp_path / "new.ckpt")
    assert json.loads(run("show", path, "-f", "json").stdout)["tasks"][0]["score"] is None
    assert next(csv.DictReader(io.StringIO(run("show", path, "-f", "csv").stdout)))["score"] == ""
    assert "never scored" in run("show", path).output


def test_a_session_is_shown_and_labels_are_no_markup(monkeypatch, tmp_path):
    monkeypatch.setattr(session, "base_directory", lambda: tmp_path)
    with create(session_id="training") as curriculum:
        curriculum.flush()
        shown = run("show", "training")
    assert shown.exit_code == 0, shown.output
    assert "[/bold]  [31mred line" in shown.output
    assert "session training (1 live worker)" in shown.output


def test_a_session_shows_the_values_of_log_spans(monkeypatch, tmp_path):
    monkeypatch.setattr(session, "base_directory", lambda: tmp_path)
    spans = {"rate": Span(1e-4, 1e-1, log=True), "width": Span(8, 512, log=True)}
    with Curriculum(UniformConfig(num_active_tasks=20, session_id="tuned"), bucketed({}, spans)) as curriculum:
        columns, found = curriculum.tasks(), json.loads(run("show", "tuned", "-f", "json").stdout)["tasks"]
        for name, span in spans.items():
            values = dict(zip(columns["task_id"].tolist(), columns[f"params/{name}"].tolist(), strict=True))
            assert {task["task_id"]: task[f"params/{name}"] for task in found} == values
            assert all(span.low <= value <= span.high for value in values.values())


def test_what_is_neither_names_the_sessions(monkeypatch, tmp_path):
    monkeypatch.setattr(session, "base_directory", lambda: tmp_path)
    with create(session_id="training"):
        result = run("show", "nothing")
    assert result.exit_code == 1
    assert "got 'nothing', which is neither; the sessions are: training\n" in result.output


def test_of_many_sessions_an_error_names_the_nearest(monkeypatch, tmp_path):
    monkeypatch.setattr(session, "base_directory", lambda: tmp_path)
    names = [*(f"another-{number}" for number in range(6)), "training"]
    with ExitStack() as stack:
        for name in names:
            stack.enter_context(create(session_id=name))
        result = run("watch", "training2", "--once")
    assert result.exit_code == 1
    assert "session: expected one of training, another-" in result.output
    assert "and 2 more, got 'training2'" in result.output


@pytest.mark.parametrize("name", ["run", "run/recording.arrow"])
def test_a_recording_is_told_from_a_checkpoint(name, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "recording.arrow").touch()
    result = run("show", str(tmp_path / name))
    assert result.exit_code == 1
    assert f"got the recording {str(tmp_path / name)!r}; use `curricular report {tmp_path / 'run'}`" in result.output


def test_a_file_that_is_no_checkpoint_is_one_line(tmp_path):
    (tmp_path / "notes.txt").write_text("buy milk", encoding="utf-8")
    result = run("show", str(tmp_path / "notes.txt"))
    assert result.exit_code == 1
    assert result.output.startswith("error: path: expected a curricular checkpoint")
