"""The compiled functions beside NumPy: the same bits, and an error for arrays that do not fit."""

import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curricular.kernel import KERNEL
from curricular.table import (
    BUILT_IN_REASONS,
    CANCELLED,
    EVENT,
    MAX_LABELS,
    NO_FAILURE,
    SCHEDULED,
    TOLD,
    TOLD_WITH_REGRET,
    Counters,
    Estimator,
    empty_table,
    record,
)

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
