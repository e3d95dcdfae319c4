"""Every backend in the box passes the public suite."""

import sys

import pytest

from curricular import LocalMemoryBackend, SharedMemoryBackend
from curricular.testing import BackendSuite


class TestLocalMemoryBackend(BackendSuite):
    def make_backend(self, capacity, num_axes):
        return LocalMemoryBackend(capacity, num_axes)


@pytest.mark.skipif(sys.platform == "win32", reason="no shared memory backend there")
class TestSharedMemoryBackend(BackendSuite):
    def make_backend(self, capacity, num_axes):
        return SharedMemoryBackend(None, capacity, num_axes)
