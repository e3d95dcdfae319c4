"""The compiled functions beside NumPy: the same bits, and an error for arrays that do not fit."""

import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curricular import Curriculum, NoiseAwareConfig
from curricular.config import ROUNDING
from curricular.kernel import KERNEL
from curricular.rows import NUM_WORDS
from curricular.table import (
    BUILT_IN_REASONS,
    CANCELLED,
    EVENT,
    MAX_LABELS,
    MAX_REASONS,
    NO_FAILURE,
    SCHEDULED,
    TOLD,
    TOLD_WITH_REGRET,
    Counters,
    Draft,
    Estimator,
    empty_table,
    record,
)
from curricular.table.compiled import record_events

from .helpers import python

pytestmark = pytest.mark.skipif(KERNEL is None, reason="the kernel is not compiled, or switched off")

MODULE = sys.modules["curricular.table.record"]


def both_ways(function):
    """What `function` returns with the compiled functions, and without."""
    compiled = function()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MODULE, "KERNEL", None)
        return compiled, function()


def assert_same_bits(first, second):
    """That two patches are the same."""
    assert first.slots.tolist() == second.slots.tolist()
    assert first.rows.words.tobytes() == second.rows.words.tobytes()
    assert first.labels.tobytes() == second.labels.tobytes()
    assert first.counters == second.counters
    for name in ("cumulated", "score_range", "reasons", "ledger"):
        one, other = getattr(first, name), getattr(second, name)
        assert (one is None) == (other is None), name
        assert one is None or np.asarray(one).tobytes() == np.asarray(other).tobytes(), name


RATES = st.sampled_from([(0.1, 0.06, 0.03, 0.01, 0.002), (1.0, 1e-3, 1e-5, 1e-7, 1e-9), (1.0,) * 5])

estimators = st.builds(
    Estimator,
    rates=RATES,
    score_low=st.sampled_from([0.0, -3.0, 1e-3]),
    score_scale=st.sampled_from([1.0, 8.0, 0.3]),
    success_threshold=st.sampled_from([0.5, -1.0, 0.1]),
    random_baseline=st.just(0.25),
    num_baseline_samples=st.sampled_from([0, 1, 5, 5000]),
    is_observed=st.booleans(),
)

ESTIMATOR = Estimator(
    rates=(0.1,) * 5,
    score_low=0.0,
    score_scale=1.0,
    success_threshold=0.5,
    random_baseline=0.25,
    num_baseline_samples=0,
)


def some_table(capacity, rng, completions):
    """A table in the middle of training, whose tasks have evicted predecessors."""
    table = empty_table(capacity, num_axes=2)
    rows = table.rows
    rows["task_id"] = np.arange(capacity) + 2 * capacity
    rows["is_active"] = True
    rows["num_completions"] = rng.integers(0, 1 + completions, capacity)
    rows["label_index"] = rng.integers(0, MAX_LABELS, capacity)
    for name in ("num_pending", "num_orphans", "num_failures", "num_cancelled", "num_scheduled", "num_regrets"):
        rows[name] = rng.integers(0, 3, capacity)
    for name in ("recent_scores_1", "recent_scores_2", "recent_scores_3"):
        rows[name] = rng.integers(-(2**63), 2**63, capacity)
    names = ("fast_ema", "middle_ema_1", "middle_ema_2", "middle_ema_3", "slow_ema", "mean_square", "success_ema")
    for name in (*names, "random_baseline", "last_score", "last_regret", "success_threshold"):
        rows[name] = rng.random(capacity)
    rows["last_scheduled"] = rng.integers(0, 2000, capacity)
    table.labels["recent_score"], table.labels["recent_regret"] = rng.random((2, MAX_LABELS))
    counters = Counters(num_created=capacity, num_scheduled=1000, num_completed=700, num_pending=300)
    return replace(table, counters=counters)


def some_events(n, capacity, rng, estimator, kinds):
    """Events of tasks in the pool and of evicted ones, many of a few tasks, with scores at the ends of the range."""
    events = np.zeros(n, EVENT)
    slots = (capacity * rng.random(n) ** 3).astype(np.int64)
    events["task_id"] = slots + capacity * rng.choice([0, 1, 2, 2, 2], n)
    events["kind"] = rng.choice(kinds, n)
    shares = rng.choice([-0.0, 0.0, 1.0, 0.5, *rng.random(8)], n)
    events["score"] = estimator.score_low + estimator.score_scale * shares
    events["score"][rng.random(n) < 0.1] = -0.0
    events["score"][rng.random(n) < 0.1] = estimator.success_threshold - ROUNDING * estimator.score_scale / 2
    events["regret"] = np.where(events["kind"] == TOLD_WITH_REGRET, rng.choice([-3.0, 0.1, 1e300, -0.0], n), 0.0)
    is_cancelled = events["kind"] == CANCELLED
    events["score"][is_cancelled] = rng.integers(0, len(BUILT_IN_REASONS), int(is_cancelled.sum()))
    events["regret"][is_cancelled] = rng.choice([0.0, NO_FAILURE], int(is_cancelled.sum()))
    return events


KINDS = (
    (SCHEDULED, CANCELLED, TOLD, TOLD_WITH_REGRET),
    (SCHEDULED, TOLD),
    (TOLD,),
    (SCHEDULED,),
    (CANCELLED, TOLD_WITH_REGRET),
)


@settings(max_examples=150)
@given(
    estimators,
    st.sampled_from([1, 2, 7, 100, 1000, 70_000]),
    st.sampled_from([0, 3, 4096, 10_000, 2**24, 2**40]),
    st.integers(1, 400),
    st.sampled_from(KINDS),
    st.integers(0, 2**32),
)
def test_any_log_gives_the_same_patch_as_with_numpy(estimator, capacity, completions, n, kinds, seed):
    rng = np.random.default_rng(seed)
    table = some_table(capacity, rng, completions)
    events = some_events(n, capacity, rng, estimator, kinds)
    assert_same_bits(*both_ways(lambda: record(table, events, estimator)))


@settings(max_examples=30)
@given(estimators, st.integers(0, 2**32), st.integers(1, 60))
def test_a_log_that_is_recorded_in_two_parts_gives_the_same_rows(estimator, seed, n):
    estimator = replace(estimator, is_observed=False)
    rng = np.random.default_rng(seed)
    table = some_table(20, rng, 5000)
    events = some_events(2 * n, 20, rng, estimator, KINDS[0])
    draft = Draft(table)
    draft.add(record(table, events[:n], estimator))
    draft.add(record(draft.table, events[n:], estimator))
    whole, parts = record(table, events, estimator), draft.patch
    order = parts.slots.argsort()
    assert parts.rows.words[:, order].tobytes() == whole.rows.words.tobytes()
    assert (parts.labels.tobytes(), parts.counters) == (whole.labels.tobytes(), whole.counters)


@given(st.lists(st.integers(-(2**62), 2**62), max_size=50), st.integers(1, 2**40))
def test_the_distinct_slots_of_any_ids_are_those_that_numpy_finds(ids, capacity):
    ids = np.array(ids, np.int64)
    slots, row_of = np.empty((2, len(ids)), np.int64)
    num_slots = KERNEL.distinct(ids, capacity, slots, row_of)
    expected, index = np.unique(ids % capacity, return_inverse=True)
    assert (slots[:num_slots].tolist(), row_of.tolist()) == (expected.tolist(), index.tolist())


def frozen(array):
    copy = array.copy()
    copy.flags.writeable = False
    return copy


NOT_ARRAYS = [None, 1.5, "text", b"bytes", [1, 2, 3]]
OTHERS = {
    "of another dtype": lambda array: array.astype(np.float32),
    "of the other kind": lambda array: array.astype(np.int64 if array.dtype == np.float64 else np.float64),
    "of another order of bytes": lambda array: array.astype(array.dtype.newbyteorder()),
    "of two dimensions": lambda array: array.reshape(1, -1),
    "of no dimension": lambda array: array[0],
    "empty": lambda array: array[:0],
    "of bytes": lambda array: array.copy().view(np.uint8),
}


def arguments():
    """Arguments of `record` for three events of two tasks, as `record_events` makes them."""
    taken = []
    spy = SimpleNamespace(distinct=KERNEL.distinct, record=lambda *args: taken.extend(args) or KERNEL.record(*args))
    events = np.array([(8, SCHEDULED, 0.0, 0.0), (9, TOLD, 0.5, 0.0), (8, CANCELLED, 1.0, 0.0)], EVENT)
    record_events(spy, some_table(4, np.random.default_rng(0), 9), events, ESTIMATOR)
    return [list(argument) if isinstance(argument, tuple) else argument for argument in taken]


def called(args):
    return KERNEL.record(*[tuple(argument) if isinstance(argument, list) else argument for argument in args])


def places():
    """Where arrays stand among the arguments: an index, or a pair of indices within a tuple."""
    for index, argument in enumerate(arguments()):
        for inner, entry in enumerate(argument if isinstance(argument, list) else [argument]):
            if isinstance(entry, np.ndarray):
                yield (index, inner) if isinstance(argument, list) else (index, None)


def replaced(place, change):
    """The arguments with another object at `place`."""
    args = arguments()
    index, inner = place
    if inner is None:
        args[index] = change(args[index])
    else:
        args[index][inner] = change(args[index][inner])
    return args


def refuses(args):
    """Whether a call raises an error that names what was expected."""
    try:
        called(args)
    except (TypeError, ValueError, BufferError):
        return True
    return False


@pytest.mark.parametrize("place", list(places()) if KERNEL is not None else [])
def test_other_arrays_than_documented_are_refused(place):
    assert called(arguments())[:3] == (1, 1, 1)
    taken = [what for what, change in OTHERS.items() if not refuses(replaced(place, change))]
    # Without events there is nothing to do.
    assert taken == (["empty"] if place == (0, 0) else [])
    assert all(refuses(replaced(place, lambda _, other=other: other)) for other in NOT_ARRAYS)


WRITTEN = [2, (5, 0), (5, 1), (5, 2), (5, 3), (5, 4), 6]


@pytest.mark.parametrize("place", WRITTEN)
def test_an_array_that_cannot_be_written_is_refused(place):
    with pytest.raises((ValueError, BufferError)):
        called(replaced(place if isinstance(place, tuple) else (place, None), frozen))


def put(index, value):
    def change(array):
        copy = array.copy()
        copy[index] = value
        return copy

    return change


HUGE = 2**62


@pytest.mark.parametrize("value", [-1, 2, HUGE, -HUGE])
def test_an_event_of_no_row_is_refused(value):
    with pytest.raises(ValueError, match="row_of"):
        called(replaced((1, None), put(1, value)))


@pytest.mark.parametrize("value", [-1, 30, HUGE, -HUGE])
@pytest.mark.parametrize("field", range(25))
def test_a_field_that_a_row_lacks_is_refused(field, value):
    with pytest.raises(ValueError, match="fields"):
        called(replaced((4, None), put(field, value)))


@pytest.mark.parametrize("num_rows", [0, -1, 3, HUGE, -HUGE])
def test_another_number_of_rows_than_there_are_is_refused(num_rows):
    args = arguments()
    args[3] = num_rows
    with pytest.raises(ValueError, match="fields"):
        called(args)


@pytest.mark.parametrize("reason", [-1.0, MAX_REASONS, 1e300, -np.inf, np.nan])
def test_a_cancellation_with_no_reason_is_refused(reason):
    events = np.array([(8, CANCELLED, reason, 0.0)], EVENT)
    with pytest.raises(ValueError, match="reason"):
        record(some_table(4, np.random.default_rng(0), 9), events, ESTIMATOR)


@pytest.mark.parametrize(
    ("name", "value"),
    [("label_index", MAX_LABELS), ("label_index", -1), ("label_index", HUGE), ("num_completions", -1)],
)
def test_a_corrupt_row_is_refused_and_nothing_is_written(name, value):
    table = some_table(4, np.random.default_rng(0), 9)
    table.rows[name][1] = value
    before = table.rows.words.tobytes(), table.labels.tobytes(), table.reasons.tobytes()
    with pytest.raises(ValueError, match="words"):
        record(table, np.array([(9, TOLD, 0.5, 0.0)], EVENT), ESTIMATOR)
    assert before == (table.rows.words.tobytes(), table.labels.tobytes(), table.reasons.tobytes())


@pytest.mark.parametrize("args", [(), (1,), (None,) * 12, (((),), *(None,) * 11)])
def test_other_arguments_are_refused(args):
    for function in (KERNEL.record, KERNEL.distinct):
        with pytest.raises((TypeError, ValueError)):
            function(*args)


@pytest.mark.parametrize("capacity", [0, -1, -HUGE])
def test_a_pool_without_slots_is_refused(capacity):
    ids = np.arange(3)
    with pytest.raises(ValueError, match="capacity"):
        KERNEL.distinct(ids, capacity, ids.copy(), ids.copy())


@pytest.mark.parametrize("short", [0, 1])
def test_too_little_space_for_slots_is_refused(short):
    ids = np.arange(3)
    spaces = [np.empty(3, np.int64), np.empty(3, np.int64)]
    spaces[short] = spaces[short][:2]
    with pytest.raises(ValueError, match="at least 3"):
        KERNEL.distinct(ids, 8, *spaces)


def test_events_at_any_address_are_read():
    """Logs come from files and networks, where nothing is aligned."""
    rng = np.random.default_rng(0)
    table, events = some_table(4, rng, 9), some_events(20, 4, rng, ESTIMATOR, KINDS[0])
    shifted = np.frombuffer(b"123" + events.tobytes(), EVENT, offset=3)
    assert_same_bits(record(table, shifted, ESTIMATOR), record(table, events, ESTIMATOR))


def test_one_variable_switches_the_kernel_off():
    code = "from curricular.kernel import KERNEL; print(KERNEL)"
    assert python(code, CURRICULAR_PURE="1") == "None"
    assert "_kernel" in python(code, CURRICULAR_PURE="0")


def test_users_with_and_without_the_kernel_share_a_session(monkeypatch):
    words = {}
    for kernels in ((KERNEL, KERNEL), (KERNEL, None)):
        config = NoiseAwareConfig(num_active_tasks=20, seed=4, session_id=f"kernel-{kernels[1] is None}")
        with Curriculum(config) as one, Curriculum(config) as other:
            for _ in range(50):
                for curriculum, kernel in zip((one, other), kernels, strict=True):
                    monkeypatch.setattr(MODULE, "KERNEL", kernel)
                    slots = [task.task_id % 20 for task in curriculum.ask(8)]
                    ids = curriculum.tracker.snapshot().rows["task_id"][slots]
                    curriculum.tell(ids, [slot % 2 for slot in slots])
            assert one.stats()["num_completed"] == 800
            words[kernels] = one.tracker.snapshot().rows
    with_kernel, mixed = words.values()
    assert mixed["slow_ema"].tobytes() == with_kernel["slow_ema"].tobytes()
    assert mixed["num_completions"].tolist() == with_kernel["num_completions"].tolist()


@pytest.mark.parametrize("index", range(NUM_WORDS))
def test_fields_that_share_a_word_write_nowhere_else(index):
    """A row in which a label's index and a count are one word, say, becomes corrupt while it is written."""
    args = arguments()
    around = np.zeros((3, MAX_LABELS), np.int64)
    args[4] = np.full_like(args[4], index)
    args[5][:3] = [around[1]] * 3
    for _ in range(MAX_LABELS):
        refuses(args)
    assert not around[0].any()
    assert not around[2].any()
