"""Public test suites that check a custom backend, algorithm, generator, proposer or wrapper, and an environment.

Subclass a suite in a test module, override its ``make_…`` method, and run pytest. If the custom object differs on
purpose, override the test and say why::

    class TestMyBackend(BackendSuite):
        def make_backend(self, capacity, num_axes):
            return MyBackend(capacity, num_axes)
"""

try:
    import pytest as pytest
except ImportError as _error:
    raise ImportError("curricular.testing needs pytest: pip install 'curricular[testing]'") from _error
else:
    # pytest rewrites only test modules by default; without this, a failed test would show no values.
    _SUITES = ("algorithms", "backends", "generators", "proposers", "trial", "wrappers")
    pytest.register_assert_rewrite(*(f"{__name__}.{name}" for name in _SUITES))

from .algorithms import AlgorithmSuite as AlgorithmSuite
from .backends import BackendSuite as BackendSuite
from .check_env import check_curriculum_env as check_curriculum_env
from .generators import GeneratorSuite as GeneratorSuite
from .lanes import Driver as Driver
from .lanes import Lane as Lane
from .proposers import ProposerSuite as ProposerSuite
from .wrappers import AgentsWrapperSuite as AgentsWrapperSuite
from .wrappers import WrapperSuite as WrapperSuite
