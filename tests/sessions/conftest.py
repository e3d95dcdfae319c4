"""Every test has a directory of sessions of its own, and leaves neither processes nor open session files behind."""

import gc
import os
import tempfile
from pathlib import Path

import pytest

from curricular.backends import session

from .processes import Child


@pytest.fixture(autouse=True)
def base(monkeypatch):
    shared = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="curricular-test-", dir=shared) as name:
        monkeypatch.setattr(session, "base_directory", lambda: Path(name))
        gc.collect()
        before = set(session._files)
        yield Path(name)
        gc.collect()
        assert set(session._files) <= before


@pytest.fixture
def directory(base):
    return session.session_directory()


@pytest.fixture
def fork():
    """Runs functions in forked processes, which are killed at the end of the test."""
    children = []

    def start(fn, *args):
        children.append(Child(fn, *args))
        return children[-1]

    yield start
    for child in children:
        child.end()
