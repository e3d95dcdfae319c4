"""The check of the prose finds what it is to find, and leaves code alone."""

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def prose():
    spec = importlib.util.spec_from_file_location("curricular_prose", ROOT / "scripts" / "prose.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def found(prose, path, text):
    return [(hit.line, hit.phrase) for hit in prose.hits(path, text)]


@pytest.mark.parametrize(
    ("text", "line", "phrase"),
    [
        ('"""Evictions come in rounds; so many replace the pool."""\n', 1, "so many"),
        ('"""One.\n\n    Takes a mean at\n    the most.\n    """\n', 3, "at the most"),
        ("x = 1  # Nobody else has it\n", 1, "Nobody"),
        ("# counts go\n# on; none is lost\n", 1, "go on"),
        ('raise ValueError(f"{name}: expected one, got two; mend it")\n', 1, "mend"),
        ('raise ValueError(\n    f"{name}: fix the cause and go "\n    f"on with {other}"\n)\n', 2, "go on"),
        ('option(help="Go on from the folder.")\n', 1, "Go on"),
    ],
)
def test_a_phrase_is_found_in_docstrings_comments_and_texts_of_python(prose, text, line, phrase):
    assert found(prose, "src/curricular/table.py", text) == [(line, phrase)]


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("docs/page.md", "# Title\n\nWhat lasts belongs\ninto a file.\n"),
        ("Makefile", "# One\n\nhelp:  # what lasts belongs into a file\n"),
        ("docs/page.md", "```python\nx = 1\nfind(x)  # it belongs into a file\n```\n"),
    ],
)
def test_a_phrase_is_found_in_pages_and_comments(prose, path, text):
    ((line, phrase),) = found(prose, path, text)
    assert line == 3
    assert phrase == "belongs into"


@pytest.mark.parametrize(
    "text",
    [
        "def settle(room, sampler): return arms[room]\n",
        '"""Calls `settle` on ``the room``, once."""\n',
        'rooms = {"room": 1, "sampler": 2}\n',
        '"""Adds.\n\n    Examples:\n        >>> settle("the room")\n        1\n    """\n',
        "# the last word is so\nmany = 1  # of all\n",
        '"""Keeps the mushrooms, the army and the recommended ones."""\n',
    ],
)
def test_names_and_examples_are_left_alone(prose, text):
    assert found(prose, "src/curricular/table.py", text) == []


def test_names_and_formulas_of_a_page_are_left_alone(prose):
    page = "The [`settle`](rooms/settle.md) of $so many$:\n\n```python\nsettle(room)\n```\n"
    assert found(prose, "docs/page.md", page) == []


def test_an_exception_holds_where_it_is_made_and_nowhere_else(prose):
    text = '"""The locked room of MiniGrid."""\n'
    assert found(prose, "src/curricular/demo/tasks.py", text) == []
    assert found(prose, "src/curricular/tracker.py", text) == [(1, "room")]


def test_each_exception_is_about_a_phrase_that_is_looked_for(prose):
    assert {phrase for _, phrase in prose.EXCEPTIONS} <= prose.PHRASES.keys()
    assert [path for path in prose.UNCHECKED if not (ROOT / path).exists()] == []


def test_a_hit_is_printed_with_what_to_say_instead(prose, monkeypatch, tmp_path, capsys):
    (tmp_path / "page.md").write_text("It helps at\nthe most.\n", encoding="utf-8")
    monkeypatch.setattr(prose, "ROOT", tmp_path)
    monkeypatch.setattr(prose, "files", lambda: ["page.md"])
    with pytest.raises(SystemExit) as error:
        prose.main()
    assert capsys.readouterr().out == "page.md:1: at the most -> at most, at least\n"
    assert error.value.code == "1 phrases for which there is a plainer one"


def test_the_files_that_are_checked_are_those_of_the_project(prose):
    files = prose.files()
    assert {"README.md", "Makefile", "pyproject.toml", "src/curricular/curriculum.py"} <= set(files)
    assert not {path for path in files if path.endswith((".png", ".svg", ".txt"))}
