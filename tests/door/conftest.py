"""What is intact before it is damaged; made once for a module, since refusing changes nothing."""

import tempfile
from pathlib import Path

import pytest

from curricular.backends import session

from .levels import lived, local


@pytest.fixture(scope="module")
def place():
    """A directory in memory, where writing is fast."""
    with tempfile.TemporaryDirectory(dir=session.base_directory(), prefix="curricular-test-") as name:
        yield Path(name)


@pytest.fixture(scope="module")
def curriculum():
    return lived(local())


@pytest.fixture(scope="module")
def intact(curriculum):
    return curriculum.state_dict()
