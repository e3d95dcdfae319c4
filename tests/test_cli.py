import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from curricular import cli

runner = CliRunner()


def test_help_names_the_commands():
    result = runner.invoke(cli.app, ["--help"])
    assert result.exit_code == 0
    assert "demo" in result.output


def test_a_bad_option_is_one_line_and_exit_code_2():
    result = runner.invoke(cli.app, ["demo", "--algorithms", "oracle"])
    assert result.exit_code == 2
    (line,) = result.output.splitlines()
    assert line.startswith("error: algorithms: expected names out of accel")


@pytest.fixture
def calls(monkeypatch):
    """What a stand-in for the demo was called with."""
    calls = []

    def plan(algorithms, seeds, **options):
        calls.append((algorithms, seeds, options))
        return "jobs"

    def demo(jobs, out, console, *, resumes):
        calls.append((jobs, out, resumes))

    stand_in = SimpleNamespace(plan=plan, demo=demo, RunError=RuntimeError)
    monkeypatch.setattr(cli, "import_module", lambda name: stand_in)
    return calls


def test_the_demo_gets_the_options(calls, tmp_path):
    arguments = [
        "--algorithms",
        "uniform",
        "--seeds",
        "3",
        "--steps",
        "7",
        "--quick",
        "--resume",
        "--out",
        str(tmp_path),
    ]
    assert runner.invoke(cli.app, ["demo", *arguments]).exit_code == 0
    assert calls == [(["uniform"], 3, {"num_steps": 7, "is_quick": True}), ("jobs", tmp_path, True)]


def test_the_demo_has_defaults(calls):
    assert runner.invoke(cli.app, ["demo"]).exit_code == 0
    assert calls == [
        (["uniform", "stable"], 1, {"num_steps": None, "is_quick": False}),
        ("jobs", Path("curricular-demo"), False),
    ]


@pytest.mark.parametrize(
    ("error", "code", "output"),
    [
        (RuntimeError("a process died"), 1, "error: a process died\n"),
        (KeyboardInterrupt(), 130, "interrupted: the figures so far are in curricular-demo\n"),
    ],
)
def test_an_end_before_time_has_an_exit_code(monkeypatch, error, code, output):
    def demo(jobs, out, console, *, resumes):
        raise error

    stand_in = SimpleNamespace(plan=lambda *_, **__: [], demo=demo, RunError=RuntimeError)
    monkeypatch.setattr(cli, "import_module", lambda name: stand_in)
    result = runner.invoke(cli.app, ["demo"])
    assert (result.exit_code, result.output) == (code, output)


def test_a_missing_extra_names_itself(monkeypatch):
    for name in [name for name in sys.modules if name.startswith("curricular.demo")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "torch", None)
    result = runner.invoke(cli.app, ["demo"])
    assert result.exit_code == 1
    assert result.output == "error: this command needs torch: pip install 'curricular[demo]'\n"


def test_a_missing_module_of_our_own_is_no_missing_extra(monkeypatch):
    with pytest.raises(ModuleNotFoundError, match="nowhere"):
        cli._room("curricular.nowhere", extra="demo")


def test_main_runs_the_app(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["curricular", "--help"])
    with pytest.raises(SystemExit) as exit_info:
        cli.main()
    assert exit_info.value.code == 0
