"""Which tasks enter a pool: each member of a set has a place, by weight, and no task of a finite one stands twice."""

from collections import Counter

import numpy as np
import pytest

from curricular import (
    BucketedTaskGenerator,
    Curriculum,
    LearningProgressConfig,
    ModifiedAlgorithm,
    NoiseAwareConfig,
    Quotas,
    Span,
    UniformConfig,
    bucketed,
    merge,
    single_task,
)
from curricular.algorithms.registry import create_algorithm
from curricular.generators.entry import member_counts

FAMILY = bucketed({"a": 0}, {"a": Span(0, 10**9)})


def pool(generator, num_active_tasks=None, **settings):
    return Curriculum(generator, UniformConfig(num_active_tasks=num_active_tasks, use_shared_memory=False, **settings))


def members(curriculum):
    """Index of a member -> number of its tasks in the pool."""
    return Counter(int(state.params[0]) for state in curriculum.task_states())


def distinct(curriculum):
    """The tasks of the pool, by member and configuration."""
    generator = curriculum.generator
    return {
        (state.params[0], repr(generator.build(state.seed, np.array(state.params))))
        for state in curriculum.task_states()
    }


@pytest.mark.parametrize("seed", range(100))
def test_each_member_has_a_place_in_a_pool_of_as_many_places(seed):
    assert members(pool(merge([single_task(x) for x in "abc"], weights=[5, 3, 2]), 3, seed=seed)) == {0: 1, 1: 1, 2: 1}
    endless = merge([FAMILY, single_task("x"), ["y", "z"], merge([FAMILY])], weights=[97, 1, 1, 1])
    assert members(pool(endless, 4, seed=seed)) == {0: 1, 1: 1, 2: 1, 3: 1}


@pytest.mark.parametrize(
    ("sizes", "weights", "counts"),
    [
        ((4, 2500), None, {0: {1, 2}, 1: {254, 255}}),  # by their numbers of tasks, but at least one
        ((4, 2500), [1, 1], {0: {4}, 1: {252}}),
        ((2000, 2500), [1, 1], {0: {128}, 1: {128}}),
        ((2000, 2500, 9), [1, 1, 2], {0: {123, 124}, 1: {123, 124}, 2: {9}}),
        ((2000, None), [3, 1], {0: {192}, 1: {64}}),
        ((None, None, None), [5, 3, 0.001], {0: {158, 159, 160}, 1: {95, 96, 97}, 2: {1}}),
        ((1, None), [1, 1], {0: {1}, 1: {255}}),
    ],
)
def test_places_are_by_weight_and_no_finite_task_has_two(sizes, weights, counts):
    generator = merge([FAMILY if size is None else range(size) for size in sizes], weights)
    curriculum = pool(generator, 256)
    found = members(curriculum)
    assert found.total() == 256
    assert all(found[member] in allowed for member, allowed in counts.items())
    assert len(distinct(curriculum)) == 256


def test_a_small_finite_set_is_whole_whatever_the_weights():
    generator = merge([single_task(x) for x in "abc"], weights=[5, 3, 2])
    assert generator.num_tasks == 3
    assert members(pool(generator)) == {0: 1, 1: 1, 2: 1}
    with pytest.raises(ValueError, match="num_active_tasks: expected at most the 3 distinct tasks"):
        pool(generator, 256)


def test_new_tasks_stay_by_weight_and_distinct_through_evictions():
    generator = merge([range(1000), merge([FAMILY, range(7)], [1, 1]), single_task("x")], weights=[3, 6, 1])
    config = LearningProgressConfig.default(
        num_active_tasks=64,
        use_shared_memory=False,
        min_presentations_for_eviction=10,
        eviction_threshold_percentile=1.0,
        eviction_rate=1.0,
        ema_timescale=1.0,
    )
    curriculum, rng = Curriculum(generator, config), np.random.default_rng(0)
    entered, missing = members(curriculum), Counter()
    seen = {state.task_id for state in curriculum.task_states()}
    for _ in range(100):
        ids = np.array([state.task_id for state in curriculum.task_states()])
        curriculum.tell(np.repeat(ids, 12), rng.random(12 * len(ids)))
        states = curriculum.task_states()
        finite = [state for state in states if state.params[0] != 1 or state.params[1] == 1]
        assert len({(state.params, state.seed) for state in finite}) == len(finite)
        missing.update({0, 1, 2} - set(members(curriculum)))
        entered.update(int(state.params[0]) for state in states if state.task_id not in seen)
        seen |= {state.task_id for state in states}
    assert entered.total() > 3000
    assert entered[0] / (entered[0] + entered[1]) == pytest.approx(1 / 3, abs=0.02)
    assert entered[2] == 1  # the only task of its member, which never leaves
    assert not missing


def test_weights_of_a_set_hold_under_the_buckets_of_a_parent():
    child = merge([[{"a": 0, "b": 0}], [{"a": i, "b": 0} for i in range(1, 500)]], weights=[1, 1])
    endless = pool(BucketedTaskGenerator(child=child, buckets={"b": Span(0.0, 1.0)}), 256)
    finite = pool(BucketedTaskGenerator(child=child, buckets={"b": tuple(range(300))}), 256)
    for curriculum in (endless, finite):
        assert Counter(state.params[1] for state in curriculum.task_states()) == {0: 128, 1: 128}
        assert len({(state.seed, state.params) for state in curriculum.task_states()}) == 256


def test_a_subclass_samples_its_members_itself():
    generator = merge([FAMILY, single_task("x")])

    class First(type(generator)):
        def sample(self, seeds, rng):
            params = super().sample(seeds, rng)
            params[:] = [0.0, 7.0]
            return params

    assert members(pool(First(children=generator.children), 8)) == {0: 8}


def test_quotas_give_members_equal_draws():
    generator = merge([list("abcd"), range(2500)])
    config = UniformConfig(num_active_tasks=256, use_shared_memory=False)
    even = ModifiedAlgorithm(create_algorithm(config), Quotas([0.5, 0.5], axis=0))
    drawn = Counter(task.params["generator"] for task in Curriculum(config, generator, algorithm=even).ask(20_000))
    assert drawn[0] / 20_000 == pytest.approx(0.5, abs=0.02)
    plain = Counter(task.params["generator"] for task in Curriculum(config, generator).ask(20_000))
    assert plain[0] / 20_000 < 0.02


class TestCounts:
    def test_they_are_exact_where_quotas_are_whole(self):
        for seed in range(20):
            counts = self.counts(10, [0.5, 0.3, 0.2], [99, 99, 99], [True, True, True], seed)
            assert counts == [5, 3, 2]

    def test_they_are_by_share_in_the_long_run(self):
        total = np.sum([self.counts(3, [0.5, 0.45, 0.05], [9] * 3, [False] * 3, seed) for seed in range(4000)], axis=0)
        assert total / 12000 == pytest.approx([0.5, 0.45, 0.05], abs=0.01)

    def test_a_missing_member_comes_first(self):
        assert self.counts(1, [0.98, 0.01, 0.01], [9, 9, 9], [False, False, True]) == [0, 0, 1]
        assert sum(self.counts(2, [0.2] * 5, [9] * 5, [True] * 5)) == 2

    def test_what_one_has_no_room_for_goes_to_the_others(self):
        assert self.counts(10, [0.5, 0.5], [2, 99], [False, False]) == [2, 8]
        assert self.counts(10, [0.5, 0.5], [2, 3], [True, False]) == [2, 3]
        assert self.counts(10, [0.999999, 0.000001], [0, 99], [True, True]) == [0, 10]
        assert self.counts(0, [0.5, 0.5], [2, 3], [True, False]) == [0, 0]

    @staticmethod
    def counts(n, shares, room, is_missing, seed=0):
        rng = np.random.default_rng(seed)
        return member_counts(n, np.array(shares), np.array(room), np.array(is_missing), rng).tolist()


def test_the_last_task_of_a_member_stays_while_it_can_be_played():
    generator = merge([single_task("tutorial", label="tutorial"), bucketed({"s": 5}, {"s": Span(4.0, 12.0)})])
    curriculum = Curriculum(
        generator, NoiseAwareConfig.recommended(num_active_tasks=32, eviction_rate=0.2, use_shared_memory=False)
    )
    rng = np.random.default_rng(0)
    for _ in range(40):
        tasks = curriculum.ask(100)
        curriculum.tell([task.task_id for task in tasks], (rng.random(100) < 0.5).astype(float))
        assert curriculum.stats()["label/tutorial/num_tasks"] == 1
    assert curriculum.stats()["num_evicted"] > 50


def test_a_pool_with_one_task_of_each_member_still_changes():
    generator = merge([range(10 * k, 10 * k + 10) for k in range(4)])
    config = LearningProgressConfig.fast_learning(
        num_active_tasks=4, min_presentations_for_eviction=5, eviction_rate=0.2, use_shared_memory=False
    )
    curriculum, rng = Curriculum(generator, config), np.random.default_rng(0)
    seen = set()
    for _ in range(40):
        tasks = curriculum.ask(20)
        seen |= {task.config for task in tasks}
        curriculum.tell([task.task_id for task in tasks], rng.random(20))
        assert set(members(curriculum)) == {0, 1, 2, 3}
    assert len(seen) > 20
