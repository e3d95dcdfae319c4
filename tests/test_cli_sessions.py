"""The commands that show and remove sessions, on real sessions."""

import subprocess
import sys

import pytest
from typer.testing import CliRunner

from curricular import Curriculum, LearningProgressConfig
from curricular.backends import session
from curricular.cli import app

HOLD = """
import sys
from pathlib import Path
from curricular import Curriculum, LearningProgressConfig
from curricular.backends import session
session.base_directory = lambda: Path(sys.argv[2])
curriculum = Curriculum(LearningProgressConfig.default(num_active_tasks=32, session_id=sys.argv[1]))
for task in curriculum.ask(10):
    curriculum.update_task_performance(task.task_id, 1.0)
curriculum.flush()
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def name(monkeypatch, tmp_path):
    """The name of the only session of this test."""
    monkeypatch.setattr(session, "base_directory", lambda: tmp_path)
    return "held"


@pytest.fixture
def holder(name):
    """Another process that holds the session `name`."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", HOLD, name, session.base_directory()], **pipes) as process:
        assert process.stdout.readline() == "ready\n"
        yield process
        process.kill()


def run(*arguments):
    return CliRunner().invoke(app, ["sessions", *arguments], env={"COLUMNS": "120"})


@pytest.mark.usefixtures("holder")
def test_a_session_of_another_process_is_listed(name):
    listed = next(line for line in run("list").output.splitlines() if name in line)
    assert [cell.strip() for cell in listed.split("│")[2:5]] == ["32", "1", "10"]


def test_a_session_that_is_held_is_removed_only_by_force(name, holder):
    refused = run("remove", name)
    assert refused.exit_code == 1
    assert name in run("list").output
    assert run("clean").output == "every session is in use\n"
    assert run("remove", name, "--force").exit_code == 0
    assert name not in run("list").output
    assert holder.poll() is None


def test_a_session_that_nobody_holds_is_removed(name, holder):
    holder.kill()
    holder.wait()
    assert run("remove", name).exit_code == 0
    assert name not in run("list").output


def test_an_unknown_session_is_an_error():
    result = run("remove", "no-such-session")
    assert result.exit_code == 1
    assert "no-such-session" in result.output


def test_a_session_of_this_very_process_stays_whole_when_looked_at(name):
    with Curriculum(LearningProgressConfig.default(num_active_tasks=8, session_id=name)) as curriculum:
        curriculum.update_task_performance(curriculum.get_task().task_id, 1.0)
        assert CliRunner().invoke(app, ["show", name]).exit_code == 0
        assert run("remove", name).exit_code == 1
        assert curriculum.stats()["num_completed"] == 1
