"""Evidence shared along the axes: within a member of a merged set; limited, so that no task gets most of the draws."""

import array_api_strict as xp
import numpy as np
import pytest

from curricular import (
    Curriculum,
    NoiseAwareConfig,
    Span,
    bucketed,
    create_algorithm,
    create_proposer,
    merge,
    single_task,
)
from curricular.algorithms.groups import Grouper
from curricular.algorithms.sharing import MIN_FAVOURED, expected_priorities, limited, share_evidence
from curricular.params import Layout
from curricular.table import EMAS, columns_of, empty_table
from curricular.task import num_params
from curricular.testing import AlgorithmSuite, ProposerSuite

from .reference import distribution

CONFIG = NoiseAwareConfig.recommended(num_active_tasks=64)
ROOM = dict.fromkeys("abcd", 0)


def family(*axes, values=(0, 1, 2, 3)):
    return bucketed(ROOM, dict.fromkeys(axes, values))


def columns_for(generator, scores, num_results=20, seed=0):
    """Columns of tasks drawn from `generator` that were told `num_results` results of mean `scores`, shape (n,)."""
    table = empty_table(len(scores), num_params(generator.axes))
    rows = table.rows
    seeds = np.arange(len(scores)) % (generator.num_tasks or len(scores))
    rows["params"] = generator.sample(seeds, np.random.default_rng(seed))
    rows["is_active"], rows["num_completions"] = True, num_results
    for name in EMAS:
        rows[name] = scores
    rows["last_scheduled"] = np.arange(len(scores))
    return columns_of(table, Layout(generator.axes))


def level(columns):
    """A score of groups that is plain to see: the mean."""
    return columns["slow_ema"]


def shared(columns, score=level):
    """What tasks without a result of their own that counts get from their groups."""
    return share_evidence(columns["slow_ema"], score, columns, Grouper()(columns), CONFIG.rates, half=1e12).priority


class TestMerged(AlgorithmSuite):
    """The recommended algorithm over a merged set of sets."""

    GENERATOR = merge([family("a", "b", "c"), merge([family("d"), family("a", values=Span(0.0, 1.0))])], [1, 1])

    def make_algorithm(self):
        return create_algorithm(CONFIG)

    def make_columns(self, seed):
        columns = dict(super().make_columns(seed))
        params = self.GENERATOR.sample(np.arange(len(columns["is_active"])), np.random.default_rng(seed))
        layout = Layout(self.GENERATOR.axes)
        return columns | {"params": params, "cells": layout.cells(params), "cell_axes": layout.cell_axes}

    def test_it_equals_in_array_api_strict(self):
        algorithm = self.make_algorithm()
        for seed in range(self.num_cases):
            columns = self.make_columns(seed)
            strict = {name: xp.asarray(column) for name, column in columns.items()}
            assert np.asarray(distribution(algorithm, strict)) == pytest.approx(distribution(algorithm, columns))


class TestProposals(ProposerSuite):
    fresh_share = 0.3

    def make_generator(self):
        return merge([bucketed(ROOM, {"a": Span(0.0, 1.0), "b": [1, 2]}), family("d")])

    def make_proposer(self, generator):
        return create_proposer(NoiseAwareConfig.recommended(proposal_share=0.7), generator)


def test_a_column_of_two_members_is_two_axes():
    generator = merge([family("a"), family("b")], [1, 1])
    params = columns_for(generator, np.zeros(400))["params"]
    of_first, value = params[:, 0] == 0, params[:, 1]
    found = []
    for best in (1, 3):  # the value that is good in the first member; in the second, 2 is
        scores = np.where(of_first, np.where(value == best, 0.9, 0.3), np.where(value == 2, 0.8, 0.4))
        found.append(shared(columns_for(generator, scores)))
        inside = found[-1][of_first]
        assert inside[value[of_first] == best].min() > 1.5 * inside[value[of_first] != best].max()
    share = [weights[~of_first] / weights[~of_first].sum() for weights in found]
    assert share[0] == pytest.approx(share[1], rel=1e-9)  # nothing that the first was told says which of the second
    of_two = value[~of_first] == 2
    assert share[0][of_two].min() > 1.5 * share[0][~of_two].max()


@pytest.mark.parametrize("num_axes", [3, 4, 6])
def test_an_axis_counts_the_same_however_many_axes_there_are(num_axes):
    names = "abcdef"[:num_axes]
    generator = bucketed(dict.fromkeys(names, 0), dict.fromkeys(names, (0, 1, 2, 3)))
    columns = columns_for(generator, np.zeros(3000))
    is_good = columns["params"][:, 0] == 2
    weights = shared(columns_for(generator, np.where(is_good, 0.8, 0.4)))
    assert np.median(weights[is_good]) / np.median(weights[~is_good]) == pytest.approx(2.0**3, rel=0.1)
    assert weights[is_good].max() < 1.5 * weights[is_good].min()


def test_members_are_compared_as_wholes():
    generator = merge([family("a", "b"), family("c", "d")], [1, 1])
    columns = columns_for(generator, np.zeros(400))
    of_first = columns["params"][:, 0] == 0
    weights = shared(columns_for(generator, np.where(of_first, 0.8, 0.2)))
    assert weights[of_first] == pytest.approx(weights[of_first][0])
    assert weights[~of_first] == pytest.approx(weights[~of_first][0])
    assert weights[of_first][0] == pytest.approx(4 * weights[~of_first][0], rel=0.02)


def test_axes_of_buckets_around_a_set_are_shared_by_all_members():
    generator = bucketed(merge([family("b"), family("c")], [1, 1]), {"a": [5, 6]})
    columns = columns_for(generator, np.zeros(400))
    is_six, of_first = columns["params"][:, 0] == 1, columns["params"][:, 1] == 0
    # Only tasks of the first member say that 6 is better.
    weights = shared(columns_for(generator, np.where(of_first & is_six, 0.9, 0.5)))
    assert weights[~of_first & is_six].min() > 1.1 * weights[~of_first & ~is_six].max()


def test_what_a_wider_member_has_more_makes_no_difference():
    narrow = [family("a", "b"), family("c")]
    scores = np.random.default_rng(3).random(300)
    alone = columns_for(merge(narrow, [1, 1]), scores)
    wide = merge([*narrow, family("a", "b", "c", "d")], [1, 1, 1])
    params = np.column_stack([alone["params"], np.zeros((300, 2))])
    layout = Layout(wide.axes)
    beside = dict(alone) | {"params": params, "cells": layout.cells(params), "cell_axes": layout.cell_axes}
    assert shared(beside) == pytest.approx(shared(alone))


def test_what_a_task_told_itself_does_not_count_on_each_axis_again():
    generator = merge([family("a", "b", "c", "d", values=Span(0.0, 1.0)), family("a")], [1, 1])
    values = (np.arange(8) + 0.5) / 8  # each is alone with its value on every axis
    params = np.column_stack([np.zeros(8), values, values, values, values])
    scores = np.where(np.arange(8) == 3, 1.0, 0.1)
    columns = dict(columns_for(generator, scores), params=params, cells=Layout(generator.axes).cells(params))
    assert shared(columns) == pytest.approx(np.ones(8))


@pytest.mark.parametrize("kind", ["one axis", "two axes", "singles", "a single beside sets"])
def test_tasks_that_are_alone_with_their_values_are_judged_as_without_axes(kind):
    numbers = tuple(range(6))
    generator = {
        "one axis": family("a", values=numbers),
        "two axes": family("a", "b", values=numbers),
        "singles": merge([single_task(number) for number in numbers]),
        "a single beside sets": merge([single_task(0), *(family("a", "b", values=(0,)) for _ in numbers[1:])]),
    }[kind]
    choice = np.arange(6.0)[:, None]
    width = num_params(generator.axes)
    params = choice * np.eye(width)[0] if kind == "a single beside sets" else np.repeat(choice, width, axis=1)
    layout = Layout(generator.axes)
    rng = np.random.default_rng(6)
    columns = dict(columns_for(generator, rng.random(6), num_results=30), params=params, cells=layout.cells(params))
    for name in EMAS:
        columns[name] = rng.random(6)  # with slopes
    columns["num_completions"] = np.array([0, 1, 7, 30, 200, 3000])
    shared, alone = (create_algorithm(NoiseAwareConfig.recommended(sharing=half)) for half in (50.0, 0.0))
    assert shared.priorities(columns) == pytest.approx(alone.priorities(columns), rel=1e-9)


def test_a_group_speaks_for_its_task_as_far_as_the_other_tasks_have_results():
    columns = dict(columns_for(family("a"), np.array([0.9, 0.1, 0.5, 0.5, 0.3, 0.3, 0.3, 0.3])))
    columns["params"] = np.array([0, 1, 2, 3, 0, 1, 2, 3.0])[:, None]  # two of each value
    trusts = []
    for others in (0, 1, 10, 1000):
        counts = np.where(np.arange(8) < 4, 20, others)
        told = columns | {"num_completions": counts}
        trust = share_evidence(columns["slow_ema"], level, told, Grouper()(told), CONFIG.rates, 50.0).trust
        assert trust[:4] == pytest.approx(trust[0])
        trusts.append(trust[0])
    assert trusts[0] == 1.0
    assert trusts == sorted(trusts, reverse=True)
    assert trusts[-1] == pytest.approx(20 / 70, rel=0.02)


def test_inactive_tasks_say_nothing():
    generator = merge([family("a", "b"), family("c")], [1, 1])
    columns = dict(columns_for(generator, np.random.default_rng(4).random(300)))
    columns["is_active"] = np.arange(300) % 3 > 0
    other = columns | {"slow_ema": np.where(columns["is_active"], columns["slow_ema"], 0.9)}
    found = shared(columns)
    assert np.isfinite(found).all()
    assert found[columns["is_active"]] == pytest.approx(shared(other)[columns["is_active"]])


def test_new_tasks_are_expected_to_be_like_those_of_their_member():
    generator = merge([family("a"), family("b"), family("c")], [1, 1, 1])
    columns = columns_for(generator, np.zeros(600))
    params = columns["params"]
    scores = np.where((params[:, 0] == 0) & (params[:, 1] == 2), 0.9, 0.3)
    kept = params[:, 0] < 2  # the third has no task in the pool
    columns = dict(columns_for(generator, scores), is_active=kept)
    new = np.array([[0.0, 2.0], [0.0, 1.0], [1.0, 2.0], [1.0, 1.0], [2.0, 2.0], [2.0, 1.0]])
    cells = Layout(generator.axes).cells(new)
    good, bad, second, also_second, third, also_third = expected_priorities(level, columns, CONFIG.rates, new, cells)
    assert good > 2 * bad
    assert second == pytest.approx(also_second)
    assert third == also_third == pytest.approx(1.0)


def test_the_cost_follows_the_columns_not_the_members():
    for num_members in (2, 40):
        calls = []
        generator = merge([family("a", "b", "c") for _ in range(num_members)], [1] * num_members)
        columns = columns_for(generator, np.random.default_rng(5).random(200))
        shared(columns, lambda groups, calls=calls: calls.append(1) or groups["slow_ema"])
        assert len(calls) == 1  # for the member and the values on its axes together


def test_sharing_finds_the_value_that_is_learned_in_one_member_with_one_visit_a_task():
    base = {"kind": 0, "size": 0}
    buckets = {"kind": list(range(10)), "size": list(range(400))}
    generator = merge([bucketed({**base, "member": name}, buckets) for name in "xy"])
    found = {}
    for sharing in (0.0, 50.0):
        config = NoiseAwareConfig.recommended(
            num_active_tasks=8000, use_shared_memory=False, sharing=sharing, eviction_rate=0.0
        )
        curriculum = Curriculum(config, generator)
        rng = np.random.default_rng(0)
        for step in range(80):
            tasks = curriculum.ask(50)
            is_learned = [task.params["kind"] == 3 and task.config["member"] == "y" for task in tasks]
            p = np.where(is_learned, step / 80, 0.0)
            curriculum.tell([task.task_id for task in tasks], (rng.random(50) < p).astype(float))
        params = curriculum.tracker.snapshot().rows["params"]
        probabilities = curriculum.probabilities()
        found[sharing] = probabilities[(params[:, 0] == 1) & (params[:, 1] == 3)].sum()
        assert probabilities[(params[:, 0] == 0) & (params[:, 1] == 3)].sum() < 0.1
    assert found[50.0] > 2 * found[0.0]


class TestLimited:
    @pytest.mark.parametrize("power", [1, 3, 9, 30])
    @pytest.mark.parametrize("n", [1, 2, 20, 64, 3000])
    def test_no_priority_is_more_than_its_share_of_the_sum(self, n, power):
        priorities = np.random.default_rng(n).random(n) ** -power
        num_favoured = np.float64(np.clip(n / 4, 1, MIN_FAVOURED))
        result = limited(priorities, num_favoured)
        assert result.max() <= result.sum() / num_favoured * (1 + 1e-9)
        lower = priorities < result.max()
        np.testing.assert_array_equal(result[lower], priorities[lower])

    def test_even_priorities_stay_as_they_are(self):
        priorities = np.random.default_rng(0).random(100) + 1.0
        np.testing.assert_array_equal(limited(priorities, np.float64(8.0)), priorities)

    def test_few_positive_priorities_become_equal(self):
        priorities = np.array([5.0, 2.0, 1.0, *[0.0] * 97])
        assert limited(priorities, np.float64(8.0)).tolist() == [1.0, 1.0, 1.0, *[0.0] * 97]
        assert limited(np.zeros(40), np.float64(8.0)).tolist() == [0.0] * 40

    def test_it_is_the_same_in_another_library(self):
        priorities = np.random.default_rng(0).random(50) ** -5
        there = limited(xp.asarray(priorities), xp.asarray(8.0))
        np.testing.assert_allclose(np.asarray(there), limited(priorities, np.float64(8.0)))

    def test_tasks_on_many_axes_share_the_draws(self):
        tasks = bucketed({}, {name: Span(0.0, 2.0) for name in "abcd"})
        config = NoiseAwareConfig.recommended(num_active_tasks=256, use_shared_memory=False)
        rng, skill, shares = np.random.default_rng(0), 0.0, []
        with Curriculum(tasks, config) as curriculum:
            for _ in range(60):
                batch = curriculum.ask(32)
                successes = [1.0 / (1.0 + np.exp(sum(task.config.values()) - skill)) for task in batch]
                curriculum.tell([task.task_id for task in batch], rng.random(32) < successes)
                skill += 0.012 * sum(p * (1.0 - p) for p in successes)
                shares.append(curriculum.probabilities().max())
        assert np.mean(shares) < 0.2
