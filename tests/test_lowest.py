"""What `make test-lowest` installs derives from the lower bounds in pyproject.toml."""

import importlib.util
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def lowest():
    spec = importlib.util.spec_from_file_location("curricular_lowest", ROOT / "scripts" / "lowest.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def project(*dependencies, **extras):
    return {"name": "curricular", "dependencies": list(dependencies), "optional-dependencies": extras}


def test_every_dependency_is_pinned_to_its_lower_bound(lowest):
    declared = project("numpy>=2.1", cli=["Rich>=13.9,<99"], dev=["curricular[cli]", "types-PyYAML>=6.0.12"])
    assert lowest.lowest_versions(declared) == {"numpy": "2.1", "rich": "13.9", "types-pyyaml": "6.0.12"}


def test_a_dependency_without_a_lower_bound_is_named(lowest):
    with pytest.raises(ValueError, match="rich: expected one lower bound, got 'rich'; write rich>=VERSION"):
        lowest.lowest_versions(project(cli=["rich"]))


def test_two_bounds_that_differ_are_named(lowest):
    with pytest.raises(ValueError, match=r"all extras, got 14\.0 and 13\.9"):
        lowest.lowest_versions(project(cli=["rich>=13.9"], puffer=["rich>=14.0"]))


def test_what_has_no_bound_keeps_its_constraint(lowest):
    declared = '[project]\nname = "curricular"\ndependencies = ["pydantic>=2.11"]\n[project.optional-dependencies]\n'
    pinned = "# a comment\nattrs==26.1.0\npydantic==2.14.3\npydantic_core==2.50.4\n"
    assert lowest.constraints(declared, pinned) == ["pydantic==2.11", "attrs==26.1.0"]


def test_the_bounds_of_the_project_can_be_pinned(lowest):
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert all(re.fullmatch(r"[0-9.]+", version) for version in lowest.lowest_versions(declared).values())
