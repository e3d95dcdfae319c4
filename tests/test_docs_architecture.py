"""docs/architecture.md shows the layers that are enforced, and every module has a page in the reference."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
MODULES = {
    path.stem
    for path in (ROOT / "src" / "curricular").iterdir()
    if (path.suffix == ".py" or (path / "__init__.py").exists()) and not path.stem.startswith("_")
}


def names(layer: str) -> list[str]:
    """The modules of a layer that there are, without the parentheses of those that may be missing."""
    return [name for name in re.findall(r"\w+", layer) if name in MODULES]


def test_the_layers_are_those_that_are_enforced():
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    enforced = [names(layer) for layer in contracts[0]["layers"]]
    shown = re.search(r"## The layers.*?```text\n(.*?)```", PAGE, re.DOTALL)
    assert shown
    assert [names(layer) for layer in shown[1].splitlines()] == [layer for layer in enforced if layer]


def test_every_module_has_a_page():
    assert {path.stem for path in (ROOT / "docs" / "reference").glob("*.md")} - {"index"} == MODULES - {"cli"}
