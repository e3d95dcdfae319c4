"""Groups of tasks along the axes: their results are those of one task that had them all, whatever was kept before."""

import math
import pickle

import array_api_strict as xp
import numpy as np
import pytest

from curricular import NoiseAwareConfig, Span, bucketed, create_algorithm, merge, single_task
from curricular.algorithms import group_results, groups
from curricular.algorithms.group_results import PoolResults, group_columns
from curricular.algorithms.groups import Grouper, NewestFirst, axis_groups, groups_with, task_groups
from curricular.algorithms.memo import SMALL
from curricular.algorithms.sharing import share_evidence
from curricular.algorithms.slopes import Evidence, chance_of_change
from curricular.params import Layout
from curricular.table import EMAS, columns_of, empty_table

from .reference import distribution

RATES = (0.5, 0.2, 0.1, 0.05, 0.03)
"""Averages that forget after few results."""


def pool(num_tasks, num_axes=2, choices=4, most=40, seed=0):
    """Columns of a pool in training, to write into."""
    rng = np.random.default_rng(seed)
    table = empty_table(num_tasks, num_axes)
    rows = table.rows
    rows["is_active"] = rng.random(num_tasks) < 0.9
    rows["num_completions"] = rng.integers(most, size=num_tasks) * (rng.random(num_tasks) < 0.8)
    rows["last_scheduled"] = rng.permutation(10 * num_tasks)[:num_tasks] * (rows["num_completions"] > 0)
    for name in (*EMAS, "mean_square", "random_baseline"):
        rows[name] = rng.random(num_tasks)
    rows["params"] = rng.integers(choices, size=(num_tasks, num_axes))
    return {name: np.array(column) for name, column in columns_of(table).items()}


def told(columns, rng):
    """The columns after some tasks were handed out and told, and few of them evicted."""
    columns = {name: column.copy() for name, column in columns.items()}
    num_tasks = len(columns["is_active"])
    slots = rng.permutation(num_tasks)[: num_tasks // 16]
    columns["num_completions"][slots] += 1
    columns["last_scheduled"][slots] = columns["last_scheduled"].max() + 1 + np.arange(len(slots))
    columns["slow_ema"][slots] = rng.random(len(slots))
    columns["is_active"][slots[:2]] = False
    return columns


def history_of(columns):
    return PoolResults(columns, NewestFirst()(columns)[0], RATES)


def one_by_one(columns, members):
    """Columns of the group of `members`: for each of them, latest first, the weight that its results have left."""
    result, newer = dict.fromkeys((*EMAS, "mean_square"), 0.0), 0
    counts = columns["num_completions"] * columns["is_active"]
    rates = dict(zip((*EMAS, "mean_square"), (*RATES, RATES[-1]), strict=True))
    for task in sorted(np.flatnonzero(members).tolist(), key=lambda task: -columns["last_scheduled"][task]):
        for name, rate in rates.items():
            weight = (1 - rate) ** newer * (1 - (1 - rate) ** counts[task])
            result[name] += weight * columns[name][task]
        newer += int(counts[task])
    whole = {name: 1 - (1 - rate) ** newer if newer else 1.0 for name, rate in rates.items()}
    baseline = (counts * columns["random_baseline"])[members].sum() / max(newer, 1)
    return {name: result[name] / whole[name] for name in result} | {
        "num_completions": newer,
        "random_baseline": baseline,
    }


@pytest.mark.parametrize("num_axes", [1, 2, 3])
@pytest.mark.parametrize("most", [1, 3, 400])
def test_a_group_has_the_results_of_its_tasks_one_after_the_other(num_axes, most):
    columns = pool(300, num_axes, most=most, seed=most)
    grouped, sizes = task_groups(columns)
    found = group_columns(history_of(columns), grouped, sizes.shape[1])
    for grouping, numbers in enumerate(grouped):
        for number in range(sizes.shape[1]):
            members = numbers == number
            assert sizes[grouping, number] == (members & columns["is_active"]).sum()
            expected = one_by_one(columns, members)
            assert {name: found[name][grouping, number] for name in found} == pytest.approx(expected, abs=1e-9)


def test_old_results_are_left_out_only_where_they_are_forgotten(monkeypatch):
    monkeypatch.setattr(group_results, "KERNEL", None)
    columns = pool(3000, most=400)
    columns["params"][::500, 0] = 9.0  # a group of few results, old ones among them
    grouped, sizes = task_groups(columns)
    history = history_of(columns)
    calls = []
    recent_of = group_results._recent
    monkeypatch.setattr(group_results, "_recent", lambda *args: calls.append(recent_of(*args)) or calls[-1])
    few = group_columns(history, grouped, sizes.shape[1])
    assert 0 < len(calls[0]) < len(grouped) * len(history.newest_first) / 2
    monkeypatch.setattr(group_results, "_recent", lambda *_: None)
    every = group_columns(history, grouped, sizes.shape[1])
    assert {name: column.tobytes() for name, column in few.items()} == {
        name: column.tobytes() for name, column in every.items()
    }


def merged(columns):
    """The same results of tasks of a merged set, of which two members have axes of their own."""
    members = [bucketed({"a": 0}, {"a": [1, 2, 3]}), bucketed({"b": 0, "c": 0}, {"b": [1, 2], "c": Span(0.0, 1.0)})]
    generator = merge([*members, single_task(0)], [1, 1, 1])
    params = generator.sample(np.zeros(len(columns["is_active"]), np.int64), np.random.default_rng(5))
    layout = Layout(generator.axes)
    return columns | {"params": params, "cells": layout.cells(params), "cell_axes": layout.cell_axes}


@pytest.mark.parametrize("with_axes", [dict, merged])
def test_leaving_results_out_equals_taking_all_in_array_api_strict(with_axes):
    columns = with_axes(pool(500, num_axes=3, choices=2, most=8000))
    strict = {name: xp.asarray(column) for name, column in columns.items()}
    algorithm = create_algorithm(NoiseAwareConfig.recommended())
    assert np.asarray(distribution(algorithm, strict)) == pytest.approx(distribution(algorithm, columns), rel=1e-9)


def test_only_values_of_the_pool_are_numbered():
    columns = pool(3000, num_axes=3, choices=5)
    columns["params"] **= 2  # uneven distances
    grouped, sizes = task_groups(columns)
    assert sizes.shape == (3, 25)
    for (first, second), numbers in zip(((0, 1), (0, 2), (1, 2)), grouped, strict=True):
        together = (columns["params"][:, first] * 1000 + columns["params"][:, second])[columns["is_active"]]
        assert len(set(zip(together.tolist(), numbers[columns["is_active"]].tolist(), strict=True))) == 25


@pytest.mark.parametrize("num_axes", [1, 2, 3])
@pytest.mark.parametrize("namespace", [np, xp])
def test_what_stands_in_rows_without_a_task_changes_no_group(num_axes, namespace):
    columns = pool(300, num_axes, choices=100)
    active, values = columns["is_active"], columns["params"] + 500.0
    values[np.flatnonzero(active)[:9], 0] = np.nan  # unknown
    found = []
    for leftover in (550.0, 0.0, -1e9, np.nan):
        params = np.where(active[:, None], values, leftover)
        given = {name: namespace.asarray(column) for name, column in (columns | {"params": params}).items()}
        grouped, sizes = (np.asarray(array) for array in task_groups(given))
        old, new, _ = groups_with(given, namespace.asarray(values[active]))
        on_axes = np.stack([np.asarray(group) for group in axis_groups(given)[0]])
        known = active & np.isfinite(values[:, 0])
        assert len(np.unique(on_axes[0, known])) == len(np.unique(values[known, 0]))  # 500 and 501 are told apart
        assert (np.asarray(new) == np.asarray(old)[:, active]).all()
        counts = [sizes[index][group[active]] for index, group in enumerate(grouped)]
        found.append(np.concatenate([np.stack(counts), on_axes[:, active]]))
    assert all((each == found[0]).all() for each in found)


def test_groupings_together_are_judged_as_one_by_one():
    columns = pool(2000, num_axes=4)
    algorithm = create_algorithm(NoiseAwareConfig.recommended())
    grouping, own = Grouper()(columns), np.ones(2000)
    shapes = []

    def each(members):
        shapes.append(members["is_active"].shape)
        rows = [{name: column[row : row + 1] for name, column in members.items()} for row in range(shapes[-1][0])]
        return np.concatenate([algorithm._group_priorities(row) for row in rows])

    arguments = columns, grouping, algorithm.config.rates, 50.0
    alone, together = (share_evidence(own, fn, *arguments) for fn in (each, algorithm._group_priorities))
    assert shapes == [(6, 16)]
    assert together.priority == pytest.approx(alone.priority, rel=1e-9)


def test_the_model_of_change_is_fitted_to_each_row_alone():
    rng = np.random.default_rng(2)
    evidence = Evidence(*rng.lognormal(size=(3, 4, 50)))
    known = (rng.random((4, 50)) < 0.8).astype(float)
    chance, typical = chance_of_change(evidence, known)
    for row in range(4):
        alone, size = chance_of_change(Evidence(*(column[row] for column in evidence)), known[row])
        assert chance[row] == pytest.approx(alone, rel=1e-12)
        assert float(typical[row, 0]) == pytest.approx(float(size), rel=1e-12)


class TestNewestFirst:
    def expected(self, columns):
        has_results = columns["is_active"] & (columns["num_completions"] > 0)
        tasks = np.flatnonzero(has_results)
        return tasks[np.argsort(-columns["last_scheduled"][tasks], kind="stable")].tolist()

    @pytest.mark.parametrize("num_tasks", [5, 2 * SMALL])
    def test_the_order_is_that_of_the_last_hand_outs_whatever_changes(self, num_tasks):
        order_of, rng, columns = NewestFirst(), np.random.default_rng(3), pool(num_tasks)
        for step in range(8):
            columns = told(columns, rng)
            if step % 3 == 1:  # results of hand-outs before the others, or without a hand-out
                slots = rng.integers(num_tasks, size=9)
                columns["num_completions"][slots] += 1
                columns["is_active"][slots] = True
                columns["last_scheduled"][slots[:3]] = 0
            assert order_of(columns)[0].tolist() == self.expected(columns)

    def test_only_tasks_handed_out_since_are_sorted(self, monkeypatch):
        sizes = []
        sort = groups.stable_order
        monkeypatch.setattr(groups, "stable_order", lambda keys: sizes.append(len(keys)) or sort(keys))
        order_of, columns = NewestFirst(), pool(2 * SMALL)
        columns["is_active"][:] = True
        order_of(columns)
        sizes.clear()
        columns["last_scheduled"][[5, 7]] = 10**9 + np.arange(2)
        columns["num_completions"][[5, 7]] = 1
        columns["is_active"][[9]] = False
        assert order_of(columns)[0].tolist() == self.expected(columns)
        assert sizes == [2]

    def test_a_copy_keeps_nothing(self):
        order_of, columns = NewestFirst(), pool(2 * SMALL)
        order_of(columns)
        copy = pickle.loads(pickle.dumps(order_of))
        assert len(pickle.dumps(order_of)) < 1_000
        assert copy(columns)[0].tolist() == self.expected(columns)


@pytest.mark.parametrize("num_axes", [2, 3])
def test_what_is_kept_from_refresh_to_refresh_changes_no_bit(num_axes):
    rng, columns = np.random.default_rng(4), pool(2 * SMALL, num_axes, most=math.ceil(4e6 / SMALL))
    keeps = create_algorithm(NoiseAwareConfig.recommended())
    for step in range(5):
        columns = told(columns, rng)
        if step == 3:
            columns["params"][:9] = 3.0
        anew = create_algorithm(NoiseAwareConfig.recommended())
        assert distribution(keeps, columns).tobytes() == distribution(anew, columns).tobytes()
