"""Every backend in the box passes the public suite."""

from curricular.backends.local import LocalMemoryBackend
from curricular.testing import BackendSuite


class TestLocalMemoryBackend(BackendSuite):
    def make_backend(self, capacity, num_axes):
        return LocalMemoryBackend(capacity, num_axes)
