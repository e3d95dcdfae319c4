"""docs/architecture.md shows the layers that are enforced, and names modules that there are."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"]
LAYERS = next(contract["layers"] for contract in CONTRACTS if contract["type"] == "layers")


def test_the_layers_are_those_that_are_enforced():
    shown = re.search(r"## The layers.*?```text\n(.*?)```", PAGE, re.DOTALL)
    assert shown
    assert shown[1].splitlines() == LAYERS


def test_the_modules_with_effects_are_modules():
    (table,) = re.findall(r"\| Module \| Effects \|\n\|---\|---\|\n((?:\|.*\n)+)", PAGE)
    named = re.findall(r"`(\w+)`", "".join(row.split("|")[1] for row in table.splitlines()))
    modules = {name for layer in LAYERS for name in re.findall(r"\w+", layer)}
    assert named
    assert set(named) <= modules
