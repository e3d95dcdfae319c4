"""The written protocol names tests that are there."""

import re
from pathlib import Path

HERE = Path(__file__).parent
PAGE = (HERE.parents[1] / "docs" / "sessions.md").read_text()


def test_every_test_that_the_protocol_names_exists():
    sources = {path.stem: path.read_text() for path in HERE.glob("test_*.py")}
    file, names = "", re.findall(r"`(test_\w+|…)((?:::\w+)+|)`", PAGE)
    for found, path in names:
        file = file if found == "…" else found
        for name in path.split("::")[1:]:
            assert re.search(rf"(def|class) {name}\b", sources[file]), f"{file}{path}"
    assert len(names) > 30


def test_rules_are_numbered_without_gaps():
    numbers = [int(number) for number in re.findall(r"^\| (\d+)\. ", PAGE, re.MULTILINE)]
    assert numbers == list(range(1, len(numbers) + 1))
