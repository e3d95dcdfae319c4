"""docs/architecture.md shows the layers that are enforced."""

import ast
import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")


SOURCE = ROOT / "src" / "curricular"

EFFECTS = {
    "writes to the log": {"import logging"},
    "reads the clock": {"import time", "now"},
    "draws numbers that no seed determines": {"import secrets", "import random", "uuid4", "urandom"},
    "starts a random stream": {"stream_key", "default_rng", "SeedSequence", "Philox", "PCG64"},
}
"""Effect -> the imports and the functions of which a module with the effect has one."""


def layers():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = project["tool"]["importlinter"]["contracts"]
    (enforced,) = (contract["layers"] for contract in contracts if contract["type"] == "layers")
    return enforced


def names_used(path):
    """The modules that a module imports, and the names that it imports from others or reads as attributes."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {f"import {alias.name}" for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"import {node.module}", *(alias.name for alias in node.names)}
        elif isinstance(node, ast.Attribute):
            names.add(node.attr)
    return names


def test_the_layers_are_those_that_are_enforced():
    shown = re.search(r"## The layers.*?```text\n(.*?)```", PAGE, re.DOTALL)
    assert shown
    assert shown[1].splitlines() == layers()


def test_effects_are_where_the_page_says():
    enforced = layers()
    below = re.findall(r"\w+", " ".join(enforced[enforced.index("cluster | metta") :]))
    paths = [
        path for name in below for path in [SOURCE / f"{name}.py", *(SOURCE / name).rglob("*.py")] if path.is_file()
    ]
    used = {".".join(path.relative_to(SOURCE).with_suffix("").parts): names_used(path) for path in paths}
    shown = dict(re.findall(r"^\| ([a-z ]+) \| (`.*`) \|$", PAGE, re.MULTILINE))
    assert {effect: re.findall(r"`([\w.]+)`", shown[effect]) for effect in EFFECTS} == {
        effect: sorted(module for module, names in used.items() if names & found) for effect, found in EFFECTS.items()
    }
