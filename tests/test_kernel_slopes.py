"""The compiled slopes beside NumPy: the same bits, and an error for arrays that do not fit."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curricular import NoiseAwareConfig
from curricular.algorithms import compiled
from curricular.algorithms.slopes import pair_weights, progress_slope
from curricular.kernel import KERNEL
from curricular.table import EMAS

from .test_kernel import NOT_ARRAYS, OTHERS, frozen

pytestmark = pytest.mark.skipif(KERNEL is None, reason="the kernel is not compiled, or switched off")


def both_ways(module, function):
    """What `function` returns with the compiled functions, and without."""
    compiled = function()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys.modules[f"curricular.algorithms.{module}"], "KERNEL", None)
        return compiled, function()


def some_columns(n, rng):
    """Columns of tasks without results, with one or two and with many, whose averages are equal, at the ends or any."""
    ends = rng.choice([0.0, 0.5, 1.0], n)
    averages = np.where(rng.random((5, n)) < 0.3, ends, rng.random((5, n)))
    columns = dict(zip(EMAS, averages, strict=True))
    slow = columns["slow_ema"]
    columns["mean_square"] = rng.choice([slow * slow, slow, rng.random(n)])
    columns["random_baseline"] = rng.choice([0.0, 0.25, 0.999, 1.0, *rng.random(2)], n)
    columns["num_completions"] = rng.choice([0, 1, 2, 3, *rng.integers(0, 50, 4), 10**4, 2**40], n)
    return columns


RATES = [NoiseAwareConfig.recommended().rates, (0.9, 0.5, 0.1, 0.05, 0.01), (0.9, 0.1, 0.01, 1e-4, 1e-6)]


@settings(max_examples=100)
@given(
    st.sampled_from([0, 1, 2, 7, 300]),
    st.sampled_from(RATES),
    st.sampled_from([0.0, 0.5, 1.5, 30.0]),
    st.sampled_from([0.1, 1e-6, 0.5]),
    st.integers(0, 2**32),
)
def test_any_columns_give_the_same_slopes_as_with_numpy(n, rates, width, theta, seed):
    columns, weights = some_columns(n, np.random.default_rng(seed)), pair_weights(rates)
    one, other = both_ways("slopes", lambda: progress_slope(columns, weights, width, theta))
    assert [field.tobytes() for field in one] == [field.tobytes() for field in other]


def test_slopes_of_a_pool_agree_at_any_stride():
    columns, weights = some_columns(600, np.random.default_rng(0)), pair_weights(RATES[0])
    every = progress_slope(columns, weights, 1.5, 0.1)
    third = progress_slope({name: column[::-3] for name, column in columns.items()}, weights, 1.5, 0.1)
    assert [field.tobytes() for field in third] == [field[::-3].tobytes() for field in every]


@pytest.mark.parametrize("name", ["num_completions", "slow_ema"])
def test_slopes_of_arrays_that_compiled_functions_do_not_take_are_those_of_numpy(name):
    columns, weights = some_columns(50, np.random.default_rng(0)), pair_weights(RATES[0])
    whole = {**columns, "num_completions": columns["num_completions"] % 100, name: np.arange(50) % 2}
    narrow = whole | {name: whole[name].astype(np.int32)}
    assert compiled.slopes(KERNEL, narrow, weights, 1.5, 0.1, 1e12) is None
    one, other = (progress_slope(columns, weights, 1.5, 0.1) for columns in (whole, narrow))
    np.testing.assert_allclose(one, other)


def arguments():
    """Arguments of the compiled function for three tasks."""
    taken = []
    spy = SimpleNamespace(slopes=lambda *args: taken.extend(args))
    compiled.slopes(spy, some_columns(3, np.random.default_rng(0)), pair_weights(RATES[0]), 1.5, 0.1, 1e12)
    return taken


def places(argument, path=()):
    """Yields the path to each array among nested arguments."""
    if isinstance(argument, np.ndarray):
        yield path
    elif isinstance(argument, (list, tuple)):
        for index, entry in enumerate(argument):
            yield from places(entry, (*path, index))


def replaced(argument, path, change):
    """Nested arguments with another object at `path`."""
    if not path:
        return change(argument)
    first, *rest = path
    entries = [replaced(entry, rest, change) if index == first else entry for index, entry in enumerate(argument)]
    return tuple(entries)


def refuses(args):
    """Whether a call raises an error that names what was expected."""
    try:
        KERNEL.slopes(*args)
    except (TypeError, ValueError, BufferError):
        return True
    return False


@pytest.mark.parametrize("place", list(places(arguments())) if KERNEL is not None else [])
def test_other_arrays_than_documented_are_refused(place):
    assert not refuses(arguments())
    taken = [what for what, change in OTHERS.items() if not refuses(replaced(arguments(), place, change))]
    assert taken == (["empty"] if place == (0, 0) else [])  # without tasks there is nothing to do
    assert all(refuses(replaced(arguments(), place, lambda _, other=other: other)) for other in NOT_ARRAYS)


@pytest.mark.parametrize("index", range(5))
def test_a_result_that_cannot_be_written_is_refused(index):
    assert refuses(replaced(arguments(), (6, index), frozen))


@pytest.mark.parametrize("args", [(), (1,), (None,) * 7, ((), (), 1.0, 1.0, 1.0, 1.0, ())])
def test_other_arguments_are_refused(args):
    assert refuses(args)
