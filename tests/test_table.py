"""The functions over rows, against the slow and obvious model of `reference`."""

import hashlib
from dataclasses import replace as replace_fields
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curricular import CurriculumConfig, LocalMemoryBackend, MeanOfFirst, TaskState
from curricular.probabilities import cumulative
from curricular.results import estimator
from curricular.rows import Rows
from curricular.table import (
    CANCELLED,
    EVENT,
    GROUP_EVENT,
    MAX_LABELS,
    ROUNDS_PER_POOL,
    SCHEDULED,
    TOLD,
    TOLD_WITH_REGRET,
    admit,
    choose,
    empty_table,
    lowest,
    num_evictions_due,
    record,
    schedule,
)

from .reference import Model, Row

ESTIMATORS = [
    estimator(config)
    for config in (
        CurriculumConfig(),
        CurriculumConfig(ema_timescale=1.0, slow_timescale_factor=1.0),
        CurriculumConfig(score_range=(-3.0, 5.0), success_threshold=-1.0, ema_timescale=0.02),
        CurriculumConfig(random_baseline=MeanOfFirst(num_completions=3), ema_timescale=0.5),
    )
]


def approx(values):
    return pytest.approx(values, rel=1e-9, abs=1e-9)


def new_backend(capacity, estimator=ESTIMATORS[0], names=None, num_axes=0):
    backend = LocalMemoryBackend(capacity, num_axes)
    replace(backend, range(capacity), estimator, names)
    return backend


def replace(backend, slots, estimator=ESTIMATORS[0], names=None):
    slots = np.array(list(slots))
    params = np.zeros((len(slots), backend.snapshot().rows.num_axes))
    names = names or [""] * len(slots)
    backend.apply(
        lambda transaction: transaction.commit(
            admit(backend.snapshot(), slots, slots + 100, params, names, 7.0, estimator)
        )
    )


def commit(backend, events, estimator=ESTIMATORS[0]):
    if events:
        backend.apply(
            lambda transaction: transaction.commit(record(backend.snapshot(), np.array(events, EVENT), estimator))
        )


one_event = st.tuples(
    st.integers(0, 3),  # slot
    st.integers(0, 2),  # age: 0 for the task that is there now
    st.sampled_from([SCHEDULED, SCHEDULED, TOLD, TOLD, TOLD_WITH_REGRET, CANCELLED]),
    st.floats(0, 1),
    st.floats(-5, 5),
)


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from(ESTIMATORS),
    st.integers(1, 4),
    st.lists(st.one_of(st.lists(one_event, max_size=25), st.integers(0, 3)), max_size=12),
)
def test_batches_equal_the_model_one_event_at_a_time(estimator, capacity, steps):
    backend, model = new_backend(capacity, estimator), Model.new(capacity, estimator)
    for step in steps:
        if isinstance(step, int):
            replace(backend, [step % capacity], estimator)
            model.replace(step % capacity)
            continue
        batch = []
        for slot, age, kind, share, regret in step:
            newest = model.rows[slot % capacity].task_id
            task_id = max(slot % capacity, newest - age * capacity)
            score = 0.0 if kind == CANCELLED else estimator.score_low + share * estimator.score_scale
            batch.append((task_id, kind, score, regret))
            model.event(*batch[-1])
        commit(backend, batch, estimator)
    model.check(backend.snapshot().rows, backend.snapshot().counters, approx)
    assert (
        backend.snapshot().labels["num_completed"].sum()
        == backend.snapshot().labels["num_recent"].sum()
        == model.num_completed
    )
    assert backend.snapshot().labels["num_evicted"].sum() == model.num_evicted


def as_events(events):
    return np.array(events, EVENT)


def as_groups(events):
    """Returns the events as groups of 1 to 7 scores with some variance."""
    made, groups = as_events(events), np.zeros(len(events), GROUP_EVENT)
    for name in EVENT.names:
        groups[name] = made[name]
    groups["size"] = np.where(made["kind"] >= TOLD, 1 + np.arange(len(events)) * 5 % 7, 1)
    groups["variance"], groups["success"] = made["score"] / 9, made["score"]
    return groups


@pytest.mark.parametrize("batch_of", [as_events, as_groups])
@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from([*ESTIMATORS, replace_fields(ESTIMATORS[0], rates=(1.0, 1e-3, 1e-5, 1e-7, 1e-9))]),
    st.integers(1, 16),
    st.randoms(use_true_random=False),
    st.lists(st.integers(1, 99), max_size=5),
)
def test_where_batches_are_cut_changes_no_bit(batch_of, estimator, capacity, random, cuts):
    events = []
    for _ in range(100):
        slot, kind = random.randrange(capacity), random.choice([SCHEDULED, TOLD, TOLD, TOLD_WITH_REGRET, CANCELLED])
        score = estimator.score_low + random.random() * estimator.score_scale
        events.append((slot, kind, 0.0 if kind == CANCELLED else score, random.uniform(-5, 5)))
    batch = batch_of(events)
    whole, parts = new_backend(capacity, estimator), new_backend(capacity, estimator)
    for backend, edges in ((whole, [0, len(events)]), (parts, [0, *sorted(cuts), len(events)])):
        for start, stop in pairwise(edges):
            if len(batch[start:stop]):
                patch = record(backend.snapshot(), batch[start:stop], estimator)
                backend.apply(lambda transaction, patch=patch: transaction.commit(patch))
    assert whole.snapshot().counters == parts.snapshot().counters
    assert whole.snapshot().rows.words.tolist() == parts.snapshot().rows.words.tolist()
    assert whole.snapshot().labels.tobytes() == parts.snapshot().labels.tobytes()


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 5), st.lists(st.lists(st.integers(0, 99), min_size=1, max_size=20), min_size=1, max_size=4))
def test_hand_outs_alone_are_recorded_as_among_other_events(capacity, batches):
    backend = new_backend(capacity, names=["a", "b", "c", "d", "e"][:capacity])
    commit(backend, [(0, TOLD, 0.5, 0.0)])
    for batch in batches:
        table, ids = backend.snapshot(), np.array(batch) % capacity
        events = np.zeros(len(ids), EVENT)
        events["task_id"], events["kind"] = ids, SCHEDULED
        expected, found = record(table, events, ESTIMATORS[0]), schedule(table, ids)
        assert found.slots.tolist() == expected.slots.tolist()
        assert (found.rows.words == expected.rows.words).all()
        assert found.labels.tobytes() == expected.labels.tobytes()
        assert found.counters == expected.counters
        backend.apply(lambda transaction, patch=found: transaction.commit(patch))


def test_the_first_average_is_the_first_score():
    backend = new_backend(1)
    commit(backend, [(0, TOLD, 0.3, 0.0)])
    row = backend.snapshot().rows.state(0)
    assert (row.fast_ema, row.slow_ema, row.last_score) == approx((0.3, 0.3, 0.3))
    assert row.mean_square == approx(0.09)


def test_a_long_history_stays_an_average():
    backend = new_backend(1)
    commit(backend, [(0, TOLD, 1.0, 0.0)] * 100_000)
    assert backend.snapshot().rows.state(0).slow_ema == approx(1.0)


def test_a_result_of_an_evicted_task_is_never_credited():
    backend = new_backend(2)
    commit(backend, [(0, SCHEDULED, 0, 0), (1, SCHEDULED, 0, 0)])
    replace(backend, [0])
    before = backend.snapshot().rows.state(0)
    commit(backend, [(0, TOLD, 1.0, 0.0)])
    after = backend.snapshot().rows.state(0)
    assert before.num_orphans == 1
    assert after == before.model_copy(update={"num_orphans": 0})
    assert backend.snapshot().counters.num_stale == 1
    assert backend.snapshot().counters.num_completed == 0


def test_nothing_is_written_into_an_argument():
    backend = new_backend(2, names=["a", "b"])
    table = backend.snapshot()
    table.rows.words.flags.writeable = False
    table.labels.flags.writeable = False
    table.cumulated.flags.writeable = False
    events = np.array([(0, SCHEDULED, 0, 0), (0, TOLD_WITH_REGRET, 1.0, 0.5), (1, CANCELLED, 0, 0)], EVENT)
    events.flags.writeable = False
    record(table, events, ESTIMATORS[0])
    admit(table, np.array([1]), np.array([5]), np.empty((1, 0)), ["new"], 0.0, ESTIMATORS[0])
    choose(table, cumulative(np.ones(2)), np.ones(2))


class TestAdmit:
    def test_ids_go_up_by_the_capacity(self):
        backend = new_backend(3)
        replace(backend, [1])
        replace(backend, [1, 2])
        assert backend.snapshot().rows["task_id"].tolist() == [0, 7, 5]
        assert backend.snapshot().counters.num_created == 6
        assert backend.snapshot().counters.num_evicted == 3

    def test_a_successor_starts_afresh(self):
        backend = new_backend(1)
        commit(backend, [(0, SCHEDULED, 0, 0), (0, TOLD_WITH_REGRET, 0.7, 0.1), (0, SCHEDULED, 0, 0)])
        replace(backend, [0])
        row = backend.snapshot().rows.state(0)
        fresh = {"task_id": 1, "seed": 100, "creation_time": 7.0, "is_active": True, "success_threshold": 0.5}
        counts = {"num_orphans": 1, "last_scheduled": 2, "label_index": row.label_index}
        expected = dict.fromkeys(TaskState.model_fields, 0) | fresh | counts | {"params": ()}
        assert row == TaskState(**expected)

    @pytest.mark.parametrize(
        ("name", "beginning"),
        [
            ("größe=5", None),
            ("x" * 96, None),
            ("ü" * 48, None),
            ("other", None),
            ("", None),
            ("x" * 97, "x" * 83),
            ("a" + "ü" * 48, "a" + "ü" * 41),  # never cut in the middle of a letter
            ("end\0", "end"),
            ("\ud800", "?"),
            ("(other)", "(other)"),  # the name of the group of all further labels
        ],
    )
    def test_labels_are_stored_as_they_are_or_as_their_beginning_and_a_hash(self, name, beginning):
        digest = hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()[:12]
        backend = new_backend(1, names=[name])
        labels, index = backend.snapshot().labels, backend.snapshot().rows["label_index"][0]
        assert index > 0
        assert bytes(labels["name"][index]).decode() == (name if beginning is None else f"{beginning}~{digest}")
        replace(backend, [0], names=[name])
        assert backend.snapshot().rows["label_index"][0] == index
        assert labels["name"].tolist() == backend.snapshot().labels["name"].tolist()

    def test_long_labels_with_one_beginning_are_different_labels(self):
        backend = new_backend(3, names=["x" * 100 + "1", "x" * 100 + "2", "x" * 100 + "1"])
        assert backend.snapshot().rows["label_index"].tolist() == [1, 2, 1]

    def test_labels_are_bounded(self):
        backend = new_backend(1000, names=[f"label {i}" for i in range(1000)])
        assert backend.snapshot().counters.num_labels == MAX_LABELS
        assert backend.snapshot().rows["label_index"].max() == MAX_LABELS - 1
        assert (backend.snapshot().rows["label_index"] == 0).sum() == 1000 - (MAX_LABELS - 1)


class TestTurnover:
    @pytest.mark.parametrize("rate", [0.0, 0.01, 0.3, 1.0])
    @pytest.mark.parametrize("capacity", [1, 8, 600, 5000])
    def test_evictions_are_bounded_by_the_rate(self, rate, capacity):
        table, due, rng = empty_table(capacity, 0), 0, np.random.default_rng(0)
        size = max(1, capacity // ROUNDS_PER_POOL)
        for _ in range(500):
            counters = table.counters._replace(num_completed=table.counters.num_completed + int(rng.integers(300)))
            table = replace_fields(table, counters=counters)
            due += num_evictions_due(table, rate)
            assert rate * counters.num_completed - size <= due <= rate * counters.num_completed
            counters = counters._replace(num_refreshed_endings=counters.num_endings)
            table = replace_fields(table, counters=counters)

    def test_lowest_are_the_lowest_masked_in_order(self):
        scores, mask = np.array([3.0, 1.0, 0.0, 1.0, 2.0]), np.array([True, True, False, True, True])
        assert lowest(scores, mask, 3).tolist() == [1, 3, 4]
        assert lowest(scores, mask, 9).tolist() == [1, 3, 4, 0]
        assert lowest(scores, ~mask & False, 2).tolist() == []
        assert lowest(scores, mask, 0).tolist() == []


class TestRows:
    def test_a_state_goes_in_and_comes_out(self):
        rows = Rows.zeros(2, 2)
        for name in TaskState.model_fields:
            rows[name] = [[1, 0.5], [0, 2.5]] if name == "params" else [1, 0]
        state = rows.state(0)
        assert state.is_active is True
        assert state.params == (1.0, 0.5)
        assert isinstance(state.task_id, int)
        assert rows.state(1).is_active is False

    def test_the_fields_of_the_reference_come_first(self):
        names = ["task_id", "creation_time", "is_active", "num_completions", "fast_ema", "slow_ema"]
        assert list(TaskState.model_fields)[:8] == [*names, "success_threshold", "seed"]

    def test_take_is_a_copy(self):
        rows = Rows.zeros(3, 1)
        rows.take(np.array([1]))["seed"] = 5
        assert rows["seed"].tolist() == [0, 0, 0]

    def test_words_are_exact(self):
        rows = Rows.zeros(1, 0)
        rows["seed"] = 2**63 - 1
        rows["fast_ema"] = 0.1
        assert rows.state(0).seed == 2**63 - 1
        assert rows.state(0).fast_ema == 0.1


def test_the_model_knows_every_field_of_a_row():
    """Those that results change; the others are what a task is made of, and `admit` sets them."""
    made_of = {"creation_time", "is_active", "success_threshold", "seed", "label_index", "params"}
    assert set(Row.__dataclass_fields__) == TaskState.model_fields.keys() - made_of
