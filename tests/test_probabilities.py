"""Scores -> probabilities -> draws, on NumPy and under the strict array API."""

import array_api_strict as xp
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from curricular.probabilities import (
    NUM_ROUNDS,
    clock_order,
    cumulative,
    mix,
    pick,
    pick_distinct,
    softmax,
    uniform,
    z_score,
)
from curricular.streams import UNIFORM_BLOCK, stream_key, uniform_block

from .reference import fits

sizes = st.shared(st.integers(1, 40), key="size")
scores = sizes.flatmap(lambda n: hnp.arrays(np.float64, n, elements=st.floats(-1e6, 1e6).map(lambda x: round(x, 6))))
masks = sizes.flatmap(lambda n: hnp.arrays(np.bool_, n)).filter(np.any)


@given(scores, masks)
def test_z_scores_have_mean_0_and_deviation_1(x, mask):
    z = z_score(x, mask)
    assert (z[~mask] == 0).all()
    if np.ptp(x[mask]) <= 1e-9 * np.abs(x[mask]).max():
        assert np.abs(z).max() <= np.sqrt(len(x))
    else:
        assert z[mask].mean() == pytest.approx(0, abs=1e-6)
        assert z[mask].std() == pytest.approx(1)
    assert (z[np.argsort(np.where(mask, x, np.inf))][: mask.sum()] <= z[mask].max()).all()


@pytest.mark.parametrize("value", [0.0, 0.1, 1 / 3, -7e5])
def test_equal_scores_have_z_score_0(value):
    assert (z_score(np.full(7, value), np.arange(7) < 5) == 0).all()


@given(scores, masks, st.floats(1e-6, 1e3))
def test_softmax_is_a_distribution_over_the_mask(x, mask, temperature):
    p = softmax(z_score(x, mask), mask, temperature)
    assert (p >= 0).all()
    assert (p[~mask] == 0).all()
    assert p.sum() == pytest.approx(1)
    order = np.argsort(x[mask], kind="stable")
    assert (np.diff(p[mask][order]) >= -1e-12).all()


@given(scores, masks, st.floats(0, 1))
def test_mix_reserves_a_share(x, mask, share):
    floor = uniform(mask)
    p = mix(softmax(z_score(x, mask), mask, 1.0), floor, share)
    assert p.sum() == pytest.approx(1)
    assert (p >= share * floor - 1e-12).all()


@given(scores, masks)
def test_the_strict_array_api_gives_the_same(x, mask):
    a, m = xp.asarray(x), xp.asarray(mask)
    z = z_score(a, m)
    assert np.asarray(z) == pytest.approx(z_score(x, mask))
    assert np.asarray(softmax(z, m, 0.5)) == pytest.approx(softmax(z_score(x, mask), mask, 0.5))
    assert np.asarray(mix(softmax(z, m, 0.5), uniform(m), 0.1)).sum() == pytest.approx(1)


@given(scores, masks)
def test_arguments_are_not_written_into(x, mask):
    x.flags.writeable = mask.flags.writeable = False
    p = mix(softmax(z_score(x, mask), mask, 1.0), uniform(mask), 0.1)
    p.flags.writeable = False
    pick(cumulative(p), np.zeros(3))


weights = hnp.arrays(np.float64, st.integers(1, 50), elements=st.sampled_from([0.0, 1e-300, 1e-17, 1e-3, 0.3, 1.0]))


@given(weights, hnp.arrays(np.float64, 20, elements=st.floats(0, 1, exclude_max=True)))
def test_a_slot_without_probability_is_never_picked(p, uniforms):
    assume(p.sum() > 1e-4)
    cumulated = cumulative(p / p.sum())
    assert cumulated[-1] == 1
    edges = np.array([0.0, np.nextafter(1, 0), *cumulated[cumulated < 1]])
    for u in (uniforms, edges):
        slots = pick(cumulated, u)
        assert ((slots >= 0) & (slots < len(p))).all()
        assert (p[slots] > 0).all()


def test_draws_follow_the_probabilities():
    p = np.array([0.5, 0.0, 0.3, 0.15, 0.05])
    uniforms = np.concatenate([uniform_block(stream_key(0, 0), i) for i in range(40)])
    counts = np.bincount(pick(cumulative(p), uniforms), minlength=5)
    assert counts[1] == 0
    assert fits(counts, p)


class TestStreams:
    @given(st.integers(0, 2**31), st.integers(0, 2**31))
    @settings(max_examples=20)
    def test_a_block_can_be_had_again(self, seed, index):
        key = stream_key(seed, 3)
        block = uniform_block(key, index)
        assert block.shape == (UNIFORM_BLOCK,)
        assert ((block >= 0) & (block < 1)).all()
        assert (uniform_block(key, index) == block).all()

    def test_blocks_are_one_stream(self):
        key = stream_key(1, 2)
        whole = np.random.Generator(np.random.Philox(key=key)).random(4 * UNIFORM_BLOCK)
        assert np.concatenate([uniform_block(key, i) for i in range(4)]).tolist() == whole.tolist()

    def test_streams_differ(self):
        keys = {tuple(stream_key(seed, stream, n)) for seed in range(20) for stream in range(3) for n in range(1, 20)}
        assert len(keys) == 20 * 3 * 19
        blocks = np.array([uniform_block(stream_key(seed, 0), 0) for seed in range(50)])
        correlation = np.corrcoef(blocks) - np.eye(50)
        assert np.abs(correlation).max() < 5 / np.sqrt(UNIFORM_BLOCK)


class TestWithoutReplacement:
    """`pick_distinct` from a distribution over six slots, of which slot 4 may not be chosen."""

    MASK = np.array([True, True, True, True, False, True])

    def choose(self, n, probabilities, numbers):
        cumulated, asked = cumulative(np.array(probabilities)), []

        def uniforms(skip, k):
            asked.append((skip, k))
            return numbers[skip : skip + k]

        def drawn(u):
            slots = pick(cumulated, u)
            return slots[self.MASK[slots]]

        slots, num_used = pick_distinct(n, 6, uniforms, drawn, lambda u: clock_order(cumulated, u, self.MASK))
        assert num_used == sum(k for _, k in asked)
        return slots.tolist(), asked

    def test_slots_come_in_the_order_of_their_first_draw(self):
        numbers = np.array([0.55, 0.55, 0.7, 0.1, 0.9, 0.0])
        assert self.choose(3, [1 / 6] * 6, numbers) == ([3, 0, 5], [(0, 3), (3, 3)])

    def test_clocks_choose_the_rest(self):
        numbers = np.concatenate([np.zeros(3 * NUM_ROUNDS), [0.9, 0.2, 0.1, 0.5, 0.0, 0.0]])
        slots, asked = self.choose(3, [1 - 4e-9, 1e-9, 1e-9, 1e-9, 1e-9, 0.0], numbers)
        assert slots == [0, 2, 1]
        assert asked == [*((3 * number, 3) for number in range(NUM_ROUNDS)), (3 * NUM_ROUNDS, 6)]

    def test_all_that_may_be_chosen_are_chosen_and_those_without_probability_last(self):
        slots, _ = self.choose(6, [0.5, 0.0, 0.2, 0.1, 0.2, 0.0], np.random.default_rng(0).random(30))
        assert sorted(slots[:3]) == [0, 2, 3]
        assert slots[3:] == [1, 5]

    def test_none_is_none(self):
        assert self.choose(0, [1 / 6] * 6, np.empty(0)) == ([], [])

    def test_slots_that_are_late_come_after_all_others_that_can_be_drawn(self):
        cumulated, is_late = (
            cumulative(np.array([0.4, 0.3, 0.2, 0.1, 0.0])),
            np.array([True, False, False, False, False]),
        )
        mask = np.array([True, True, True, False, True])
        assert clock_order(cumulated, np.array([0.0, 0.5, 0.1, 0.0, 0.0]), mask).tolist() == [0, 2, 1, 4]
        assert clock_order(cumulated, np.array([0.0, 0.5, 0.1, 0.0, 0.0]), mask, is_late).tolist() == [2, 1, 0, 4]
