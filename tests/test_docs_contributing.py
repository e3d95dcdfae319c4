"""What CONTRIBUTING.md names is there: commands, files, suites, and what has to pass before a change lands."""

import re
from pathlib import Path

import pytest

import curricular.testing

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
NAMES = re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", PAGE, flags=re.DOTALL))
FOLDERS = [ROOT, ROOT / "src", ROOT / "src" / "curricular", ROOT / "docs"]
PATHS = sorted({name for name in NAMES if re.fullmatch(r"[\w./-]+(\.py|\.md|\.toml|\.txt|/run)", name)})


@pytest.mark.parametrize("name", [path for path in PATHS if "my_" not in path and "my-" not in path])
def test_a_file_that_is_named_is_there(name):
    assert any((folder / name).exists() for folder in FOLDERS)


@pytest.mark.parametrize("name", [path for path in PATHS if "my_" in path or "my-" in path])
def test_a_file_that_is_to_be_written_has_a_folder(name):
    assert (ROOT / name).parent.is_dir()


def test_every_link_leads_to_a_file():
    links = re.findall(r"\]\((?!https?:)([^)#]+)", PAGE)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_the_commands_are_there():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert set(re.findall(r"\bmake ([a-z-]+)", PAGE)) <= targets


def test_the_table_of_checks_is_what_ci_runs():
    table = re.findall(r"^\| `(make [^`]+)` \|", PAGE, re.MULTILINE)
    run = re.findall(r"^make .*$", (ROOT / ".ci" / "run").read_text(encoding="utf-8"), re.MULTILINE)
    assert table == [command.replace(" --out $out", "") for command in run]


def test_the_suites_are_there():
    suites = re.findall(r"curricular\.testing\.(\w+)", PAGE)
    assert suites
    assert [suite for suite in suites if not hasattr(curricular.testing, suite)] == []
