"""Public test suites: what every backend, algorithm, generator, proposer and wrapper must hold.

Subclass the suite in a test module of your own, give it what you built, and run pytest. Where yours differs on purpose,
override that test and say why.

    class TestMyBackend(BackendSuite):
        def make_backend(self, capacity, num_axes):
            return MyBackend(capacity, num_axes)
"""

try:
    import pytest as pytest
except ImportError as _error:
    raise ImportError("curricular.testing needs pytest: pip install 'curricular[testing]'") from _error
else:
    # Otherwise a failed test shows "AssertionError" and no values: pytest rewrites test modules only.
    _SUITES = ("algorithms", "backends", "generators", "proposers", "stage", "wrappers")
    pytest.register_assert_rewrite(*(f"{__name__}.{name}" for name in _SUITES))

from .algorithms import AlgorithmSuite as AlgorithmSuite
from .backends import BackendSuite as BackendSuite
from .generators import GeneratorSuite as GeneratorSuite
from .lanes import Driver as Driver
from .lanes import Lane as Lane
from .proposers import ProposerSuite as ProposerSuite
from .wrappers import WrapperSuite as WrapperSuite
