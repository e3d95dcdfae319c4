"""What README.md promises: the quick start runs as printed, under both import paths, and the commands exist."""

import hashlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

from .helpers import TIMEOUT

ROOT = Path(__file__).parents[1]
README = re.sub(r"<!--.*?-->", "", (ROOT / "README.md").read_text(encoding="utf-8"), flags=re.DOTALL)
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
(QUICK_START,) = (block for block in BLOCKS if "metta.cogworks" in block)
OTHERS = [block for block in BLOCKS if block != QUICK_START]
QUICK_START_HASH = "b33e7595d192f22372e620c1bd1de661823aeb3b3058c8891895654b7f0773c0"


def run(code: str) -> None:
    """Runs `code` in a new interpreter, outside of the project, where nothing else has been imported."""
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, timeout=TIMEOUT, cwd=ROOT.parent)


def test_a_block_is_the_quick_start_of_the_reference_word_for_word():
    assert hashlib.sha256(QUICK_START.encode()).hexdigest() == QUICK_START_HASH


@pytest.mark.parametrize("path", ["metta.cogworks.curriculum", "curricular"])
def test_the_quick_start_runs_as_printed(path):
    run(QUICK_START.replace("metta.cogworks.curriculum", path))


@pytest.mark.parametrize("code", OTHERS, ids=range(1, len(OTHERS) + 1))
def test_every_other_block_runs_by_itself(code):
    run(code)


def test_the_first_block_needs_no_config():
    assert "Curriculum([" in BLOCKS[0]
    assert "Config" not in BLOCKS[0]


def test_the_commands_are_there():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = set(re.findall(r"\bmake ([a-z-]+)", "\n".join(re.findall(r"`+[^`]+`+", README))))
    assert {"demo", "test"} <= named <= targets


def test_every_file_that_is_linked_is_there():
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", README)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []
