"""The compiled slopes and results of groups beside NumPy: the same bits, and an error for arrays that do not fit."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from curricular import Curriculum, NoiseAwareConfig, bucketed
from curricular.algorithms import compiled
from curricular.algorithms.group_results import PoolResults, group_columns
from curricular.algorithms.groups import NewestFirst, task_groups
from curricular.algorithms.slopes import pair_weights, progress_slope
from curricular.arrays import power_tables, vanishing
from curricular.kernel import KERNEL
from curricular.table import EMAS

from .test_axis_groups import merged, pool
from .test_kernel import NOT_ARRAYS, OTHERS, frozen, put

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


@pytest.mark.parametrize(
    "change",
    [
        lambda column: column.astype(np.int32),
        lambda column: column.repeat(2)[::2],
        lambda column: np.frombuffer(b"123" + column.tobytes(), column.dtype, offset=3),
    ],
)
@pytest.mark.parametrize("name", ["num_completions", "slow_ema"])
def test_arrays_that_compiled_functions_do_not_take_go_to_numpy(name, change):
    columns = some_columns(50, np.random.default_rng(0)) | {"is_active": np.full(50, True)}
    columns |= {"num_completions": np.arange(50), "slow_ema": np.arange(50.0) % 2}
    others, weights = columns | {name: change(columns[name])}, pair_weights(RATES[0])
    assert compiled.slopes(KERNEL, others, weights, 1.5, 0.1, 1e12) is None
    one, other = (progress_slope(given, weights, 1.5, 0.1) for given in (columns, others))
    np.testing.assert_allclose(one, other)
    groups = np.arange(50)[None] % 7
    one, other = (group_columns(PoolResults(given, np.arange(50), RATES[0]), groups, 7) for given in (columns, others))
    np.testing.assert_allclose(list(one.values()), list(other.values()))


@settings(max_examples=60, deadline=None)
@example(300, 1, 10**6, RATES[0], True, 1)
@example(3000, 1, 400, RATES[0], True, 0)
@given(
    st.sampled_from([1, 2, 7, 300, 3000]),
    st.sampled_from([1, 2, 3, 4]),
    st.sampled_from([1, 3, 400, 10**6]),
    st.sampled_from([*RATES, (1.0, 1.0, 0.5, 1e-3, 1e-3)]),
    st.booleans(),
    st.integers(0, 2**32),
)
def test_any_groups_have_the_same_results_as_with_numpy(n, num_axes, most, rates, is_merged, seed):
    columns = pool(n, num_axes, most=most, seed=seed)
    if is_merged:
        columns = merged(columns)
        groups, num_groups = columns["cells"].T, len(columns["cell_axes"])
    else:
        groups, sizes = task_groups(columns)
        num_groups = sizes.shape[1]
    history = PoolResults(columns, NewestFirst()(columns)[0], rates)
    one, other = both_ways("group_results", lambda: group_columns(history, groups, num_groups, is_shared=is_merged))
    assert {name: column.tobytes() for name, column in one.items()} == {
        name: column.tobytes() for name, column in other.items()
    }


def test_a_curriculum_chooses_by_the_same_bits_with_and_without_the_kernel():
    def play():
        config = NoiseAwareConfig.recommended(num_active_tasks=40)
        with Curriculum(config, bucketed({}, {"a": range(5), "b": [0.5, 2.0, 3.0], "c": range(9)})) as curriculum:
            for turn in range(30):
                ids = [task.task_id for task in curriculum.ask(8)]
                curriculum.tell(ids, [(task_id + turn) % 3 / 2 for task_id in ids])
            return curriculum.probabilities()

    with_slopes, without_slopes = both_ways("slopes", play)
    with_groups, without_groups = both_ways("group_results", play)
    assert len({tuple(found) for found in (with_slopes, without_slopes, with_groups, without_groups)}) == 1


def slope_arguments():
    """Arguments of the compiled slopes for three tasks."""
    taken = []
    spy = SimpleNamespace(slopes=lambda *args: taken.extend(args))
    compiled.slopes(spy, some_columns(3, np.random.default_rng(0)), pair_weights(RATES[0]), 1.5, 0.1, 1e12)
    return "slopes", taken


def group_arguments():
    """Arguments of the compiled results of groups for three tasks in two groupings of two groups."""
    taken = []
    spy = SimpleNamespace(group_results=lambda *args: taken.extend(args))
    columns, counts = some_columns(3, np.random.default_rng(0)), np.array([5, 2, 400])
    order, groups = np.array([2, 0, 1]), np.array([0, 1, 0, 2, 2, 3])
    compiled.group_results(spy, columns, order, counts, groups, 4, [1.0 - rate for rate in RATES[0]])
    return "group_results", taken


ARGUMENTS = {"slopes": slope_arguments, "group_results": group_arguments}


def places(argument, path=()):
    """Yields the path to each array among nested arguments."""
    if isinstance(argument, np.ndarray):
        yield path
    elif isinstance(argument, (list, tuple)):
        for index, entry in enumerate(argument):
            yield from places(entry, (*path, index))


PLACES = [(name, place) for name, make in ARGUMENTS.items() for place in places(make()[1])] if KERNEL else []


def replaced(argument, path, change):
    """Nested arguments with another object at `path`."""
    if not path:
        return change(argument)
    first, *rest = path
    entries = [replaced(entry, rest, change) if index == first else entry for index, entry in enumerate(argument)]
    return tuple(entries)


def refuses(name, args):
    """Whether a call raises an error that names what was expected."""
    try:
        getattr(KERNEL, name)(*args)
    except (TypeError, ValueError, BufferError):
        return True
    return False


def spaced(array):
    return array.repeat(2)[::2]


def shifted(array):
    return np.frombuffer(bytearray(3) + array.tobytes(), array.dtype, offset=3)


EMPTY = {("slopes", (0, 0)), ("group_results", (0,)), ("group_results", (2,))}
"""Arrays that may be empty: without tasks or groups, there is nothing to do."""


@pytest.mark.parametrize(("name", "place"), PLACES)
def test_other_arrays_than_documented_are_refused(name, place):
    def refuses_with(change):
        return refuses(name, replaced(ARGUMENTS[name]()[1], place, change))

    assert not refuses(*ARGUMENTS[name]())
    others = OTHERS | {"spaced": spaced, "shifted": shifted}
    taken = [what for what, change in others.items() if not refuses_with(change)]
    assert taken == (["empty"] if (name, place) in EMPTY else [])
    assert all(refuses_with(lambda _, other=other: other) for other in NOT_ARRAYS)


WRITTEN = [("slopes", (6, index)) for index in range(5)]
WRITTEN += [("group_results", place) for place in ((6,), (7,), *((8, index) for index in range(6)))]


@pytest.mark.parametrize(("name", "place"), WRITTEN)
def test_a_result_that_cannot_be_written_is_refused(name, place):
    assert refuses(name, replaced(ARGUMENTS[name]()[1], place, frozen))


@pytest.mark.parametrize("name", ARGUMENTS)
@pytest.mark.parametrize("args", [(), (1,), (None,) * 9, ((), (), 1.0, 1.0, 1.0, 1.0, ()), (*(None,) * 4, *((),) * 5)])
def test_other_arguments_are_refused(name, args):
    assert refuses(name, args)


HUGE = 2**62


@pytest.mark.parametrize("value", [-1, None, HUGE, -HUGE])
@pytest.mark.parametrize(("place", "index", "name", "size"), [(0, 1, "newest_first", 3), (2, 4, "groups", 4)])
def test_a_task_or_a_group_that_does_not_exist_is_refused(place, index, name, size, value):
    with pytest.raises(ValueError, match=name):
        KERNEL.group_results(*replaced(group_arguments()[1], (place,), put(index, size if value is None else value)))


@pytest.mark.parametrize("num_grouped", [1, 5])
def test_groups_of_some_tasks_only_are_refused(num_grouped):
    with pytest.raises(ValueError, match="each of 3 tasks"):
        KERNEL.group_results(*replaced(group_arguments()[1], (2,), lambda groups: groups[:num_grouped]))


@pytest.mark.parametrize("rate", RATES[0])
@pytest.mark.parametrize("more", [-1, 0, 1])
def test_results_are_forgotten_at_the_same_age_as_with_numpy(rate, more):
    """The older one of two tasks is forgotten; the newer one has averages of 0, in which nothing is lost."""
    columns = {name: np.array([0.0, 1.0]) for name in (*EMAS, "mean_square", "random_baseline")}
    columns |= {"num_completions": np.array([vanishing(1.0 - rate) + more, 3]), "is_active": np.array([True, True])}
    history = PoolResults(columns, np.arange(2), RATES[0])
    one, other = both_ways("group_results", lambda: group_columns(history, np.zeros((1, 2), np.int64), 1))
    assert [column.tobytes() for column in one.values()] == [column.tobytes() for column in other.values()]
    remembers = [one[name][0, 0] > 0.0 for name in EMAS]
    assert remembers == [slower < rate or (slower == rate and more < 0) for slower in RATES[0]]


@pytest.mark.parametrize("counts", [[-5, 2, 400], [HUGE, HUGE, HUGE], [HUGE, -HUGE, 3]])
def test_corrupt_numbers_of_results_reach_no_memory_outside_the_tables(counts):
    args = list(group_arguments()[1])
    args[1], args[2] = np.array(counts), np.zeros(6, np.int64)
    KERNEL.group_results(*args)
    slopes = list(slope_arguments()[1])
    slopes[0] = (np.array(counts), *slopes[0][1:])
    KERNEL.slopes(*slopes)


@pytest.mark.parametrize(("num_low", "num_high", "last"), [(6, 9, 36), (4, 4, 17), (1, 1, 2), (8, 1, HUGE), (4, 3, 13)])
def test_tables_without_all_powers_that_do_not_vanish_are_refused(num_low, num_high, last):
    tables = np.ones(num_low), np.ones(num_high), last
    with pytest.raises(ValueError, match="powers"):
        KERNEL.group_results(*replaced(group_arguments()[1], (5, 2), lambda _: tables))


@pytest.mark.parametrize("base", [0.0, 0.1, 0.5, 0.99, 1.0 - 1e-6, 1.0 - 1e-9, 1.0])
def test_tables_of_powers_have_all_powers_that_do_not_vanish(base):
    low, high = power_tables(base)
    assert len(low).bit_count() == 1
    assert vanishing(base) <= len(low) * len(high)
