"""Transforms and mixtures: what turns the score of any algorithm into chances."""

import array_api_strict as xp
import numpy as np
import pytest

from curricular.probabilities import (
    NUM_RANKS,
    blend,
    proportional,
    rank,
    sigmoid,
    sigmoid90,
    staleness,
    top_k,
    top_share,
    z_score,
)
from curricular.streams import pseudo_uniform


def as_integers(scores):
    namespace = scores.__array_namespace__()
    return namespace.astype(scores * 1000, namespace.int64)


TRANSFORMS = {
    "proportional": proportional,
    "proportional, power 3": lambda scores, mask: proportional(scores, mask, 3.0),
    "rank, 0.1": lambda scores, mask: rank(scores, mask, 0.1),
    "rank, 1": lambda scores, mask: rank(scores, mask, 1.0),
    "rank, 2": lambda scores, mask: rank(scores, mask, 2.0),
    "sigmoid": lambda scores, mask: sigmoid(z_score(scores, mask), mask),
    "sigmoid90": lambda scores, mask: sigmoid90(z_score(scores, mask), mask),
    "top_k, 1": lambda scores, mask: top_k(scores, mask, 1),
    "top_k, 10": lambda scores, mask: top_k(scores, mask, 10),
    "top_share, 0.3": lambda scores, mask: top_share(scores, mask, 0.3),
    "top_share, 1": lambda scores, mask: top_share(scores, mask, 1.0),
    "staleness": lambda scores, mask: staleness(as_integers(scores), mask),
}


def cases():
    """Scores with ties and masks, down to one task."""
    rng = np.random.default_rng(0)
    for size in (1, 2, 3, 30, 500):
        for decimals in (0, 1, 6):
            scores, mask = rng.random(size).round(decimals), rng.random(size) < 0.6
            mask[rng.integers(size)] = True
            yield scores, mask


@pytest.mark.parametrize("power", [0.5, 1.0, 2.0])
@pytest.mark.parametrize(
    "priorities", [(-1.0, -2.0, -3.0), (-1.0, 2.0, 3.0), (-0.1, 0.1, 0.0), (np.nan, 1.0, 2.0), (np.nan,) * 3]
)
def test_negative_priorities_and_nan_give_no_distribution(priorities, power):
    chances = proportional(np.array(priorities), np.full(3, True), power)
    assert not (chances.min() >= 0 and chances.sum() == pytest.approx(1.0))


@pytest.mark.parametrize("name", TRANSFORMS)
class TestEveryTransform:
    def test_it_gives_a_distribution_over_the_active_entries(self, name):
        for scores, mask in cases():
            chances = TRANSFORMS[name](scores, mask)
            assert chances.sum() == pytest.approx(1.0, abs=1e-12)
            assert (chances >= 0).all()
            assert (chances[~mask] == 0).all()

    def test_equal_scores_get_equal_chances(self, name):
        for scores, mask in cases():
            chances = TRANSFORMS[name](scores, mask)
            for score in np.unique(scores[mask]):
                assert len(set(chances[mask & (scores == score)].tolist())) == 1

    def test_when_all_are_equal_so_are_the_chances(self, name):
        for level in (0.0, 1 / 3, 1.0):
            assert TRANSFORMS[name](np.full(7, level), np.full(7, True)) == pytest.approx(1 / 7)

    def test_order_is_kept(self, name):
        for scores, mask in cases():
            given = -scores if name == "staleness" else scores
            chances = TRANSFORMS[name](scores, mask)[mask][np.argsort(given[mask], kind="stable")]
            assert (np.diff(chances) >= -1e-15).all()

    def test_a_million_tasks_sum_to_one(self, name):
        rng = np.random.default_rng(1)
        chances = TRANSFORMS[name](rng.random(10**6), rng.random(10**6) < 0.9)
        assert chances.sum() == pytest.approx(1.0, abs=1e-9)

    def test_it_runs_under_the_strict_array_api(self, name):
        for scores, mask in cases():
            there = TRANSFORMS[name](xp.asarray(scores), xp.asarray(mask))
            assert np.asarray(there) == pytest.approx(TRANSFORMS[name](scores, mask), abs=1e-12)


class TestRank:
    def by_hand(self, scores, temperature):
        order = np.argsort(-scores, kind="stable")
        weights = np.empty(len(scores))
        weights[order] = np.arange(1.0, len(scores) + 1) ** (-1 / temperature)
        for score in np.unique(scores):
            weights[scores == score] = weights[scores == score].mean()
        return weights / weights.sum()

    @pytest.mark.parametrize("temperature", [0.1, 0.3, 1.0, 2.0])
    def test_it_is_the_formula_up_to_the_ranks_told_apart(self, temperature):
        rng = np.random.default_rng(2)
        for scores in (rng.random(NUM_RANKS), rng.random(300).round(1), np.repeat([0.0, 1.0], [900, 100])):
            assert rank(scores, np.full(len(scores), True), temperature) == pytest.approx(
                self.by_hand(scores, temperature), abs=1e-12
            )

    @pytest.mark.parametrize("temperature", [0.1, 0.3])
    @pytest.mark.parametrize("share", [0.0, 0.95, 0.7])
    def test_beyond_them_nothing_is_missed_at_usual_temperatures(self, temperature, share):
        rng = np.random.default_rng(3)
        scores = np.where(rng.random(5000) < share, 0.0, rng.random(5000))
        expected = self.by_hand(scores, temperature)
        assert rank(scores, np.full(5000, True), temperature) == pytest.approx(expected, abs=1e-6)


class TestTopK:
    def test_fewer_than_k(self):
        assert top_k(np.array([3.0, 2.0, 1.0]), np.array([True, False, True]), 2).tolist() == [0.5, 0.0, 0.5]

    def test_a_tie_below_the_threshold_gets_nothing(self):
        assert top_k(np.array([3.0, 3.0, 1.0, 1.0]), np.full(4, True), 2).tolist() == [0.5, 0.5, 0.0, 0.0]


class TestBlend:
    half = np.array([0.5, 0.5])

    @pytest.mark.parametrize("shares", [(0.5, 0.6), (0.5, 0.4), (1.5, -0.5), ()])
    def test_shares_that_do_not_sum_to_one_are_refused(self, shares):
        with pytest.raises(ValueError, match=r"parts: expected shares ≥ 0 that sum to 1, got \[.*\]; rescale them"):
            blend([(share, self.half) for share in shares])

    def test_rounding_is_no_error(self):
        assert blend([(0.1, self.half)] * 10) == pytest.approx(self.half)


class TestPseudoUniform:
    def test_it_is_uniform_and_independent(self):
        ids, moments = np.meshgrid(np.arange(400), np.arange(400), indexing="ij")
        numbers = pseudo_uniform(7, ids, moments)
        assert np.bincount((numbers.ravel() * 10).astype(int)) / numbers.size == pytest.approx(0.1, abs=0.005)
        for first, second in ((numbers[1:], numbers[:-1]), (numbers[:, 1:], numbers[:, :-1])):
            assert abs(np.corrcoef(first.ravel(), second.ravel())[0, 1]) < 0.01
        assert abs(np.corrcoef(numbers.ravel(), pseudo_uniform(8, ids, moments).ravel())[0, 1]) < 0.01

    def test_it_is_the_same_everywhere(self):
        ids = np.arange(1000)
        there = np.asarray(pseudo_uniform(2**64 + 5, xp.asarray(ids)))
        assert there.tolist() == pseudo_uniform(5, ids).tolist()
        # The first number that SplitMix64 gives from state 0, as published.
        assert pseudo_uniform(0, np.array([0]))[0] == pytest.approx(0xE220A8397B1DCDAF / 2**64, abs=1e-15)
