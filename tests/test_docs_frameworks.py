"""docs/frameworks.md shows what the examples do, and counts right."""

import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "frameworks.md").read_text(encoding="utf-8")
MAX_LINES = 12
"""Lines that a curriculum may change in a script."""


def shown(title):
    """The lines of the diff in the section."""
    section = re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE)
    (block,) = re.findall(r"```diff\n(.*?)```", section[1], re.DOTALL)
    return block.splitlines()


def counted(framework):
    """The number of lines in the table."""
    (row,) = re.findall(rf"^\| \[?{framework}\]?.*\| (\d+) \|$", PAGE, re.MULTILINE)
    return int(row)


def test_the_two_files_differ_as_shown():
    spec = importlib.util.spec_from_file_location("example_diff", ROOT / "scripts" / "example_diff.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    assert shown("What changes in PPO on MiniGrid") == script.difference()
    assert len(script.difference()) == counted("CleanRL style") <= MAX_LINES


@pytest.mark.parametrize(("framework", "example"), [("Stable-Baselines3", "sb3_ppo.py"), ("RLlib", "rllib_ppo.py")])
def test_the_lines_of_a_trainer_are_in_its_example(framework, example):
    lines = shown(f"What changes in {framework}")
    written = (ROOT / "examples" / example).read_text(encoding="utf-8").splitlines()
    assert [line[1:] for line in lines if line[1:] not in written] == []
    assert len(lines) == counted(framework) <= MAX_LINES


def test_every_page_of_a_framework_is_in_the_table():
    pages = {
        "gymnasium.md",
        "jax.md",
        "mettagrid.md",
        "pettingzoo.md",
        "rllib.md",
        "stable-baselines3.md",
        "torchrl.md",
    }
    assert pages <= set(re.findall(r"\]\(([\w-]+\.md)", PAGE))
