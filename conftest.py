"""Runs every Python block of the README and of the documentation; the blocks of one document share their names."""

import multiprocessing
import tempfile
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser, SkipParser

from curricular.backends import session

pytest_collect_file = Sybil(parsers=[PythonCodeBlockParser(), SkipParser()], patterns=["*.md"]).pytest()

# Some packages have no wheel for some platforms: without them, the modules that need them have no doctests to collect.
collect_ignore_glob = [
    pattern
    for package, patterns in {
        "prime_rl": ["src/curricular/trainers/prime_rl.py"],
        "pufferlib": ["src/curricular/wrappers/puffer*.py", "src/curricular/wrappers/mettagrid.py"],
        "ray": ["src/curricular/ray.py", "tests/cluster/nodes.py"],
        "reasoning_gym": ["src/curricular/trainers/reasoning_gym.py"],
        "slime": ["src/curricular/trainers/slime.py"],
        "torchrl": ["src/curricular/wrappers/torchrl.py"],
        "trl": ["src/curricular/trainers/trl.py", "tests/trainers/trl_run.py"],
        "verl": ["src/curricular/trainers/verl.py", "tests/trainers/verl_run.py"],
    }.items()
    if find_spec(package) is None
    for pattern in patterns
]

# The same examples in every run, however long a busy machine takes for them: no test fails by chance.
settings.register_profile("tests", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tests")


def pytest_configure(config):
    """Gives this process sessions of its own: other runs of the tests may use the same names at the same time."""
    directory = tempfile.TemporaryDirectory(prefix="curricular-tests-", dir=session.base_directory())
    config.add_cleanup(directory.cleanup)
    session.base_directory = lambda: Path(directory.name)


@pytest.fixture(autouse=True)
def _default_start_method():
    """Starts processes as Python does by default: importing TorchRL, as its doctests do, sets "spawn" instead."""
    multiprocessing.set_start_method(None, force=True)
