"""Runs every Python block of the README and of the documentation; the blocks of one document share their names."""

from importlib.util import find_spec

from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser, SkipParser

pytest_collect_file = Sybil(parsers=[PythonCodeBlockParser(), SkipParser()], patterns=["*.md"]).pytest()

# PufferLib has no wheel for some platforms and for Python 3.13: without it, its modules have no doctests to collect.
collect_ignore_glob = [] if find_spec("pufferlib") else ["src/curricular/wrappers/puffer*.py"]
