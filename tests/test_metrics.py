"""Summaries of a pool: exact where a formula says so, and never an error."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from curricular import Curriculum, LearningProgressConfig, merge, single_task
from curricular.metrics import NUM_EXACT, QUANTILES, _quantiles, entropy, gini, summary
from curricular.table import MAX_LABELS, empty_table

amounts = hnp.arrays(np.float64, st.integers(0, 30), elements=st.floats(0, 1e6))


@given(amounts)
def test_gini_is_the_mean_difference(x):
    n, total = len(x), x.sum()
    expected = 0.0 if total == 0 else np.abs(x[:, None] - x).sum() / (2 * n * total)
    assert gini(x) == pytest.approx(expected, abs=1e-9)
    assert -1e-9 <= gini(x) < 1


@given(hnp.arrays(np.int64, st.integers(0, 30), elements=st.integers(0, 40)))
def test_gini_of_whole_numbers_is_that_of_the_same_floats(x):
    assert gini(x) == pytest.approx(gini(x.astype(np.float64)), abs=1e-12)


MANY = {
    "uniform": lambda rng, n: rng.random(n),
    "equal": lambda rng, n: np.full(n, 1 / n),
    "one has nearly all": lambda rng, n: np.append(rng.random(n - 1) * 1e-9, 1.0),
    "heavy tail": lambda rng, n: rng.pareto(1.1, n),
    "mostly zeros": lambda rng, n: np.where(rng.random(n) < 0.9, 0.0, rng.random(n)),
    "few values": lambda rng, n: rng.integers(0, 4, n) / 3,
    "zeros": lambda rng, n: np.zeros(n),
}


@pytest.mark.parametrize("name", MANY)
def test_of_many_values_gini_is_near_and_quantiles_are_exact(name):
    values = MANY[name](np.random.default_rng(0), NUM_EXACT + 1)
    ranks, total = np.arange(1, len(values) + 1), values.sum()
    exact = 2 * (ranks @ np.sort(values)) / (len(values) * (total or 1)) - (len(values) + 1) / len(values)
    assert gini(values) == pytest.approx(exact if total else 0.0, abs=1e-4)
    np.testing.assert_allclose(_quantiles(values), np.quantile(values, QUANTILES), rtol=1e-12, atol=1e-15)


@given(amounts, st.floats(1e-3, 1e3))
def test_gini_knows_no_scale_and_no_order(x, scale):
    assert gini(x[::-1] * scale) == pytest.approx(gini(x), abs=1e-9)


@pytest.mark.parametrize("n", [1, 2, 100])
def test_entropy_counts_what_is_drawn(n):
    p = np.concatenate([np.full(n, 1 / n), np.zeros(3)])
    assert math.exp(entropy(p)) == pytest.approx(n)


def test_an_empty_table_has_statistics():
    stats = summary(empty_table(4, 0), np.zeros(4), (0.0, 1.0), 0.02, 3)
    assert stats["num_active"] == 0
    assert all(math.isfinite(value) for value in stats.values())


@pytest.mark.parametrize("num_tasks", [1, 2, 50])
@pytest.mark.parametrize("num_completed", [0, 1, 500])
def test_statistics_are_finite_floats_on_any_pool(num_tasks, num_completed):
    config = LearningProgressConfig.fast_learning(
        num_active_tasks=num_tasks, score_range=(-2.0, 6.0), min_presentations_for_eviction=5, eviction_rate=1.0
    )
    curriculum = Curriculum(config)
    for i in range(num_completed):
        curriculum.update_task_performance(curriculum.get_task().task_id, i % 9 - 2)
    stats = curriculum.stats()
    assert all(type(value) is float and math.isfinite(value) for value in stats.values())
    assert ("score/mean" in stats) == (num_completed > 0)
    assert stats["num_completed"] + stats["num_stale"] == num_completed
    if num_completed:
        assert -2 <= stats["score/p10"] <= stats["score/p50"] <= stats["score/p90"] <= 6


def test_inactive_rows_do_not_count():
    whole = Curriculum(LearningProgressConfig.default(num_active_tasks=6, use_shared_memory=False))
    whole.tell([task.task_id for task in whole.ask(40)], [number / 40 for number in range(40)])
    table = whole.tracker.snapshot()
    chances = np.array([0.5, 0.2, 0.0, 0.2, 0.1, 0.0])
    table.rows["is_active"] = chances > 0
    slots = np.flatnonzero(chances)
    part = replace(table, rows=table.rows.take(slots))
    whole, parted = (summary(*pool, (0.0, 1.0), 0.02, 3) for pool in ((table, chances), (part, chances[slots])))
    assert whole == pytest.approx(parted)


def test_a_thousand_labels_give_a_bounded_number_of_keys():
    generator = merge([single_task(i, label=f"task {i}") for i in range(1000)])
    curriculum = Curriculum(LearningProgressConfig.default(num_active_tasks=1000), generator)
    for task in curriculum.ask(3000):
        curriculum.update_task_performance(task.task_id, 0.5)
    stats = curriculum.stats()
    labels = {key.split("/")[1] for key in stats if key.startswith("label/")}
    assert len(labels) == MAX_LABELS
    assert "(other)" in labels
    assert stats["num_label_overflow"] == stats["label/(other)/num_tasks"] == 1000 - (MAX_LABELS - 1)
    assert len(stats) < 600
    of_labels = {key: value for key, value in stats.items() if key.startswith("label/")}
    assert sum(value for key, value in of_labels.items() if key.endswith("/num_tasks")) == 1000
    assert sum(value for key, value in of_labels.items() if key.endswith("scheduled")) == 3000


def test_each_label_has_its_own_statistics():
    generator = merge([single_task("a", label="good"), single_task("b", label="bad")])
    curriculum = Curriculum(LearningProgressConfig.default(num_active_tasks=2), generator)
    scores = {"good": 1.0, "bad": 0.25}
    tasks = curriculum.ask(40)
    curriculum.tell([task.task_id for task in tasks], [scores[task.label] for task in tasks])
    stats = curriculum.stats()
    for label, success in (("good", 1.0), ("bad", 0.0)):
        asked = sum(task.label == label for task in tasks)
        assert stats[f"label/{label}/num_tasks"] == 1
        assert stats[f"label/{label}/num_scheduled"] == stats[f"label/{label}/num_completed"] == asked
        assert stats[f"label/{label}/success"] == pytest.approx(success)
    assert stats["label/good/probability"] + stats["label/bad/probability"] == pytest.approx(1)
    assert stats["score/mean"] == pytest.approx(0.625)
