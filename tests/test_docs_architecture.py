"""docs/architecture.md shows the layers that are enforced."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")


def test_the_layers_are_those_that_are_enforced():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = project["tool"]["importlinter"]["contracts"]
    (enforced,) = (contract["layers"] for contract in contracts if contract["type"] == "layers")
    shown = re.search(r"## The layers.*?```text\n(.*?)```", PAGE, re.DOTALL)
    assert shown
    assert shown[1].splitlines() == enforced
