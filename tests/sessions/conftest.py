"""Every test has a directory of sessions of its own, and leaves neither processes nor open session files behind."""

import gc
import os
import signal
import tempfile
from pathlib import Path

import pytest

from curricular.backends import session

from ..helpers import TIMEOUT, Child, shared_array, until


@pytest.fixture(autouse=True)
def base(monkeypatch):
    shared = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="curricular-test-", dir=shared) as name:
        monkeypatch.setattr(session, "base_directory", lambda: Path(name))
        # On a busy machine a process may wait for its turn for long: only tests of the limit itself may come to it.
        monkeypatch.setattr(session, "LOCK_TIMEOUT", TIMEOUT)
        before = set(session._files)
        gc.freeze()  # a collection of the objects of PyTorch and others takes a quarter of a second
        yield Path(name)
        gc.collect()
        gc.unfreeze()
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


@pytest.fixture
def hold(fork):
    """Makes a forked process take the table of a curriculum, and returns that process when it has it.

    It runs `then` with the table in hand; without one, it holds the table until it is killed.
    """

    def start(curriculum, then=signal.pause):
        is_held = shared_array(1)

        def take(_):
            is_held[0] = 1
            then()

        child = fork(lambda: curriculum.tracker.backend.apply(take))
        until(lambda: is_held[0], what=f"process {child.pid} to hold the table")
        return child

    return start
