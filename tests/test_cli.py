import os
import re
import runpy
import subprocess
import sys
from itertools import product
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

import curricular
from curricular import Curriculum, UniformConfig, cli, single_task
from curricular.backends import session
from curricular.kernel import KERNEL
from curricular.texts import WIDE

runner = CliRunner()


def test_help_names_the_commands():
    result = runner.invoke(cli.app, ["--help"])
    assert result.exit_code == 0
    assert all(name in result.output for name in ("demo", "bench", "report", "show", "watch", "sessions"))


def test_the_page_on_the_command_line_lists_every_command():
    names = {command.name or command.callback.__name__ for command in cli.app.registered_commands}
    names |= {f"sessions {command.name}" for command in cli.sessions.registered_commands}
    page = (Path(__file__).parents[1] / "docs" / "command-line.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `curricular ([a-z]+(?: [a-z]+)?)", page, re.MULTILINE)) == names


def test_without_a_command_the_help_is_shown():
    outputs = [runner.invoke(cli.app, arguments).output.strip() for arguments in ([], ["--help"])]
    assert outputs[0] == outputs[1]


VERSION = f"curricular {curricular.__version__} ({'NumPy only' if KERNEL is None else 'compiled kernel'})\n"


def test_the_version_is_that_of_the_package_and_names_a_compiled_kernel():
    result = runner.invoke(cli.app, ["--version"])
    assert (result.exit_code, result.output) == (0, VERSION)


def test_the_package_runs_as_a_module(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["curricular", "--version"])
    with pytest.raises(SystemExit) as exit_info:
        runpy.run_module("curricular", run_name="__main__")
    assert exit_info.value.code == 0
    assert capsys.readouterr().out == VERSION


def test_a_shell_completes_commands_and_names_of_sessions(monkeypatch, tmp_path):
    monkeypatch.setattr(session, "base_directory", lambda: tmp_path)

    def completed(words):
        variables = {"_CURRICULAR_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
        return runner.invoke(cli.app, [], prog_name="curricular", env=variables).output.split()

    with curricular.Curriculum(curricular.UniformConfig(num_active_tasks=1, session_id="training")):
        assert completed("curricular wat") == ["watch"]
        assert completed("curricular watch tr") == ["training"]
        assert completed("curricular show tr") == ["training"]
        assert completed("curricular sessions remove x") == []


@pytest.mark.parametrize("package", ["pyarrow", "plotly"])
def test_a_report_without_its_packages_is_one_line(package, monkeypatch, tmp_path):
    for name in [name for name in sys.modules if name.startswith(("curricular.recording", "curricular.report"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    result = runner.invoke(cli.app, ["report", str(tmp_path)])
    assert result.exit_code == 1
    assert result.output.startswith("error: ")
    assert result.output.endswith("pip install 'curricular[report]'\n")


@pytest.fixture
def without_extras(monkeypatch):
    """Whatever imports PyTorch, MiniGrid or Matplotlib fails."""
    extras = ("torch", "minigrid", "matplotlib")
    imported = ("curricular.demo", "curricular.bench", *(f"{name}." for name in extras))
    for name in [name for name in sys.modules if name.startswith(imported)]:
        monkeypatch.delitem(sys.modules, name)
    for name in extras:
        monkeypatch.setitem(sys.modules, name, None)


@pytest.mark.usefixtures("without_extras")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["demo", "--algorithms", "oracle"], "algorithms: expected one of exp3s, "),
        (["demo", "--algorithms", "alp-gmm"], "algorithms: expected one of exp3s, "),
        (["demo", "--algorithms", "uniform,uniform"], "algorithms: expected at least one, each once, "),
        (["demo", "--seeds", "0"], "seeds: expected 1 or more, got 0"),
        (["demo", "--steps", "0"], "steps: expected 1 or more, got 0"),
        (["bench", "--algorithms", "guess"], "algorithms: expected one of exp3s, "),
        (["bench", "--scenarios", "maze"], "scenarios: expected one of chain, "),
        (["bench", "--jobs", "0"], "jobs: expected 1 or more processes, got 0"),
        (["bench", "--variations", "one"], "variations: expected comma-separated whole numbers, got 'one'"),
    ],
)
def test_a_bad_option_is_one_line_and_exit_code_2_before_any_extra_is_imported(arguments, message):
    result = runner.invoke(cli.app, arguments)
    assert result.exit_code == 2
    (line,) = result.output.splitlines()
    assert line.startswith(f"error: {message}")


@pytest.mark.usefixtures("without_extras")
def test_the_names_of_algorithms_and_scenarios_are_listed_before_any_extra_is_imported():
    for command in ("demo", "bench"):
        result = runner.invoke(cli.app, [command, "--list"])
        assert result.exit_code == 0
        assert "noise-aware" in result.output.split()
        assert ("no-harm-50" in result.output.split()) == (command == "bench")


def test_underscores_in_names_count_as_dashes_except_in_module_and_function():
    assert cli._split("noise_aware,my_module:my_function,stable") == ["noise-aware", "my_module:my_function", "stable"]


def test_without_a_terminal_no_cell_of_a_table_is_wrapped(monkeypatch, tmp_path):
    with Curriculum(UniformConfig(use_shared_memory=False), single_task(0, label="maze " * 30)) as curriculum:
        curriculum.save(tmp_path / "run.npz")
    for columns, width in ((None, WIDE), ("80", 80)):
        monkeypatch.delenv("COLUMNS", raising=False)
        output = runner.invoke(cli.app, ["show", f"{tmp_path}/run.npz"], env={"COLUMNS": columns}).output
        assert ("maze " * 10 in output) == (columns is None)
        if columns is not None:
            monkeypatch.setenv("COLUMNS", columns)
        assert cli._console().width == width


def test_a_module_in_the_current_folder_is_found(tmp_path):
    (tmp_path / "mine.py").write_text("def wrong():\n    return 7\n", encoding="utf-8")
    program = "from curricular.cli import main; main()"
    command = [sys.executable, "-P", "-c", program, "bench", "--algorithms", "mine:wrong,mine:other"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "module 'mine' has no attribute 'other'" in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="a folder in use cannot be removed")
def test_a_command_needs_no_current_folder(tmp_path):
    program = f"import os; os.rmdir({str(tmp_path)!r}); from curricular.cli import main; main()"
    command = [sys.executable, "-P", "-c", program, "--version"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def run_module(arguments, **streams):
    return subprocess.run([sys.executable, "-m", "curricular", *arguments], text=True, check=False, **streams)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full is a device of Linux")
@pytest.mark.parametrize("command", ["--version", "show", "show -f csv", "sessions list"])
def test_an_output_that_cannot_be_written_is_one_line(command, tmp_path):
    arguments = command.split()
    if "show" in arguments:
        Curriculum(UniformConfig(use_shared_memory=False), [*range(1000)]).save(tmp_path / "run.npz")
        arguments.append(str(tmp_path / "run.npz"))
    with Path("/dev/full").open("w") as full:
        done = run_module(arguments, stdout=full, stderr=subprocess.PIPE)
    assert (done.returncode, done.stderr) == (1, "error: [Errno 28] No space left on device\n")


def test_a_reader_that_has_enough_gets_no_error():
    read, write = os.pipe()
    os.close(read)
    done = run_module(["--version"], stdout=write, stderr=subprocess.PIPE)
    os.close(write)
    assert (done.returncode, done.stderr) == (1, "")


def test_a_closed_output_is_no_error():
    program = (
        "import os, sys; os.close(1); os.execv(sys.executable, [sys.executable, '-m', 'curricular', *sys.argv[1:]])"
    )
    command = [sys.executable, "-c", program, "sessions", "list"]
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.fixture
def calls(monkeypatch):
    """What a stand-in for the demo was called with."""
    calls = []

    def plan(algorithms, seeds, **options):
        calls.append((algorithms, seeds, options))
        return "jobs"

    def check_options(*options):
        """All options are good."""

    def demo(jobs, out, console, *, resumes):
        calls.append((jobs, out, resumes))

    stand_in = SimpleNamespace(check_options=check_options, plan=plan, demo=demo, RunError=RuntimeError)
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


def test_the_demo_has_defaults(calls, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert runner.invoke(cli.app, ["demo"]).exit_code == 0
    assert calls == [
        (["uniform", "noise-aware"], 1, {"num_steps": None, "is_quick": False}),
        ("jobs", Path("curricular-demo"), False),
    ]


@pytest.mark.parametrize(
    ("error", "code", "output"),
    [
        (RuntimeError("a process died"), 1, "error: a process died\n"),
        (KeyboardInterrupt(), 130, "interrupted: the figures so far are in curricular-demo\n"),
    ],
)
def test_an_end_before_time_has_an_exit_code(monkeypatch, tmp_path, error, code, output):
    monkeypatch.chdir(tmp_path)

    def demo(jobs, out, console, *, resumes):
        raise error

    stand_in = SimpleNamespace(
        check_options=lambda *_: None, plan=lambda *_, **__: [], demo=demo, RunError=RuntimeError
    )
    monkeypatch.setattr(cli, "import_module", lambda name: stand_in)
    result = runner.invoke(cli.app, ["demo"])
    assert (result.exit_code, result.output) == (code, output)


PATHS = ["x" * 5000, "notes/x", "notes/x/y"]
"""What can be no path, since it is too long or within a file."""

WITH_A_PATH = [
    ["demo", "--quick", "--out"],
    ["bench", "--algorithms", "uniform", "--scenarios", "mixture", "--seeds", "1", "--out"],
    ["report", "recording", "--out"],
    ["report", "recording", "--png"],
    ["report"],
    ["show"],
    ["watch", "--once"],
    ["replay"],
    ["sessions", "remove"],
]

WITH_A_NAME = [["bench", "--algorithms"], ["replay", ".", "--tasks"]]


@pytest.mark.parametrize(
    ("arguments", "value"),
    [
        *product(WITH_A_PATH, PATHS),
        *product(WITH_A_NAME, [*PATHS, "x" * 5000 + ":y", "..:y", ":", "a\nb:c"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else f"{value:.20}",
)
def test_a_path_or_name_of_nothing_is_one_error_before_anything_is_computed(arguments, value, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes").touch()
    (tmp_path / "recording").touch()
    result = runner.invoke(cli.app, [*arguments, value])
    assert type(result.exception) is SystemExit
    assert result.exit_code in {1, 2}
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1


@pytest.mark.usefixtures("without_extras")
@pytest.mark.parametrize(("command", "package"), [("demo", "torch"), ("bench", "matplotlib")])
def test_a_missing_extra_names_itself(command, package):
    result = runner.invoke(cli.app, [command])
    assert result.exit_code == 1
    assert result.output == f"error: this command needs {package}: pip install 'curricular[demo]'\n"


def test_a_missing_module_of_our_own_is_no_missing_extra(monkeypatch):
    with pytest.raises(ModuleNotFoundError, match="nowhere"):
        cli._load("curricular.nowhere", extra="demo")


def test_main_runs_the_app(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["curricular", "--help"])
    with pytest.raises(SystemExit) as exit_info:
        cli.main()
    assert exit_info.value.code == 0
