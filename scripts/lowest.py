"""Prints pip constraints that pin each dependency of pyproject.toml to its declared lower bound.

Dependencies of dependencies have no bound there: they get their versions from constraints.txt, so that an environment
with the lowest versions is the same tomorrow.
"""

# ruff: noqa: T201  printing is its purpose

import sys
import tomllib
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
TIED = {"pydantic-core"}
"""Packages of which each version of another package needs exactly one: pip finds it."""


def lowest_versions(project: dict[str, Any]) -> dict[str, str]:
    """Returns name -> lower bound for all dependencies of a `[project]` table, its extras included.

    Raises:
        ValueError: If a dependency has no lower bound, or two that differ.
    """
    own_name = canonicalize_name(project["name"])
    declared = list(project["dependencies"])
    for extra in project["optional-dependencies"].values():
        declared += extra
    versions: dict[str, str] = {}
    for requirement in map(Requirement, declared):
        name = canonicalize_name(requirement.name)
        if name == own_name:
            continue
        bounds = [specifier.version for specifier in requirement.specifier if specifier.operator == ">="]
        if len(bounds) != 1:
            raise ValueError(f"{name}: expected one lower bound, got {str(requirement)!r}; write {name}>=VERSION")
        if versions.setdefault(name, bounds[0]) != bounds[0]:
            raise ValueError(f"{name}: expected one lower bound in all extras, got {bounds[0]} and {versions[name]}")
    return versions


def constraints(pyproject: str, pinned: str) -> list[str]:
    """Returns the lines of a constraints file, from the texts of pyproject.toml and of constraints.txt."""
    lowest = lowest_versions(tomllib.loads(pyproject)["project"])
    others = [
        line
        for line in pinned.splitlines()
        if line and not line.startswith("#") and canonicalize_name(line.partition("==")[0]) not in lowest.keys() | TIED
    ]
    return [f"{name}=={version}" for name, version in sorted(lowest.items())] + others


def main() -> None:
    """Prints the constraints, or names what is wrong with the bounds."""
    texts = [(ROOT / name).read_text(encoding="utf-8") for name in ("pyproject.toml", "constraints.txt")]
    try:
        print(*constraints(*texts), sep="\n")
    except ValueError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
