"""Trainers are extras: each module names what it lacks, and warns once of a version that it was not tested with."""

import warnings

import numpy as np
import pytest

from curricular.trainers.versions import warn_if_untested

from ..helpers import python


@pytest.mark.parametrize(
    ("package", "module", "message"),
    [
        ("torch", "trl", "curricular.trainers.trl needs TRL: pip install 'curricular[trl]'"),
        (
            "reasoning_gym",
            "reasoning_gym",
            "curricular.trainers.reasoning_gym needs Reasoning Gym: pip install 'curricular[reasoning-gym]'",
        ),
        ("slime", "slime", "curricular.trainers.slime needs slime: install it as slime's documentation says"),
        (
            "prime_rl",
            "prime_rl",
            "curricular.trainers.prime_rl needs prime-rl: install it as prime-rl's documentation says",
        ),
        ("transfer_queue", "verl", "curricular.trainers.verl needs verl: pip install 'verl[verl-core]'"),
    ],
)
def test_a_missing_trainer_is_named(package, module, message):
    attempt = f"import sys\nsys.modules[{package!r}] = None\ntry:\n    import curricular.trainers.{module}\n"
    assert python(attempt + "except ImportError as error:\n    print(error)") == message


def test_an_untested_version_is_named_in_a_warning():
    with pytest.warns(
        UserWarning, match=rf"my_module: tested with numpy 0\.1, 0\.2, got {np.__version__}; if training"
    ):
        warn_if_untested("numpy", ("0.1", "0.2"), "my_module")


def test_a_tested_version_is_not_warned_of():
    major, minor, *_ = np.__version__.split(".")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_if_untested("numpy", (f"{major}.{minor}",), "my_module")


def test_a_prefix_stands_for_whole_numbers():
    with pytest.warns(UserWarning, match="tested with"):
        warn_if_untested("numpy", (np.__version__[:-1],), "my_module")
