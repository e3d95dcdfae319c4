"""Columns -> priorities, on NumPy and under the strict array API."""

import array_api_strict as xp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from curricular import arrays, priorities

shares = hnp.arrays(np.float64, 30, elements=st.floats(0, 1))
thetas = st.floats(1e-6, 0.5)


@given(shares, thetas)
def test_reweighting_keeps_ends_and_order(p, theta):
    r = priorities.reweight(p, theta)
    assert ((r >= 0) & (r <= 1 + 1e-12)).all()
    assert (r >= p - 1e-12).all()
    assert (np.diff(r[np.argsort(p)]) >= -1e-12).all()
    assert priorities.reweight(np.array([0.0, 1.0]), theta).tolist() == pytest.approx([0, 1])


@given(shares)
def test_reweighting_with_one_half_is_none(p):
    assert priorities.reweight(p, 0.5) == pytest.approx(p)


@given(st.floats(0.01, 0.99), st.floats(0.01, 0.5))
def test_reweighting_shifts_the_logit(p, theta):
    r = priorities.reweight(np.array([p]), theta)[0]
    assert np.log(r / (1 - r)) == pytest.approx(np.log(p / (1 - p)) + np.log((1 - theta) / theta), abs=1e-6)


@given(shares, shares, thetas)
def test_progress_is_a_share_the_same_in_both_directions(fast, slow, theta):
    progress = priorities.learning_progress(fast, slow, theta)
    assert ((progress >= 0) & (progress <= 1)).all()
    assert (progress == priorities.learning_progress(slow, fast, theta)).all()
    assert (priorities.learning_progress(fast, fast, theta) == 0).all()
    expected = np.abs(priorities.reweight(fast, theta) - priorities.reweight(slow, theta))
    assert progress == pytest.approx(expected, abs=1e-9)


@given(shares)
def test_rounding_is_no_progress(p):
    noisy = np.clip(p * (1 + 4e-16) + 1e-16, 0, 1)
    assert (priorities.learning_progress(p, noisy, 0.1) == 0).all()
    assert (priorities.standard_deviation(noisy, p * p) == 0).all()


@given(shares, shares)
def test_deviation_is_that_of_the_score(p, q):
    both = np.stack([p, q])
    deviation = priorities.standard_deviation(both.mean(0), (both**2).mean(0))
    assert deviation == pytest.approx(both.std(0), abs=1e-4)


@given(shares, shares, st.floats(0, 0.99))
def test_the_baseline_becomes_0(average, baseline, limit):
    m = priorities.normalise(average, baseline, limit)
    assert ((m >= 0) & (m <= 1)).all()
    at = priorities.normalise(np.minimum(baseline, limit), baseline, limit)
    assert at == pytest.approx(0, abs=1e-12)
    assert priorities.normalise(np.ones(30), baseline, limit) == pytest.approx(1)


def test_the_bonus_fades():
    bonus = priorities.exploration_bonus(np.array([0, 5, 10, 99]), 0.2, 10)
    assert bonus.tolist() == pytest.approx([0.2, 0.1, 0, 0])


@given(shares, hnp.arrays(np.bool_, 30), st.floats(0, 1))
def test_the_lowest_share_is_the_lowest(scores, mask, share):
    chosen = arrays.lowest_share(scores, mask, share)
    count = int(np.floor(share * mask.sum()))
    assert not (chosen & ~mask).any()
    assert chosen.sum() >= count
    if not count:
        assert not chosen.any()
    else:
        limit = np.sort(scores[mask])[count - 1]
        assert (chosen == (mask & (scores <= limit))).all()


@given(shares, shares, hnp.arrays(np.bool_, 30), thetas)
def test_the_strict_array_api_gives_the_same(p, q, mask, theta):
    a, b, m = xp.asarray(p), xp.asarray(q), xp.asarray(mask)
    n = np.arange(30)
    for there, here in (
        (priorities.reweight(a, theta), priorities.reweight(p, theta)),
        (priorities.learning_progress(a, b, theta), priorities.learning_progress(p, q, theta)),
        (priorities.standard_deviation(a, b), priorities.standard_deviation(p, q)),
        (priorities.normalise(a, b, 0.75), priorities.normalise(p, q, 0.75)),
        (priorities.exploration_bonus(xp.asarray(n), 0.1, 10), priorities.exploration_bonus(n, 0.1, 10)),
        (arrays.lowest_share(a, m, 0.4), arrays.lowest_share(p, mask, 0.4)),
    ):
        assert np.asarray(there).tolist() == here.tolist()


def many(size):
    """Returns `size` values: enough that a sample brackets an order statistic, or misleads."""
    rng = np.random.default_rng(0)
    stride = size // arrays.SAMPLE_SIZE
    yield rng.random(size)
    yield np.sort(rng.random(size))
    yield rng.random(size).round(1)
    yield np.zeros(size)
    yield np.where(rng.random(size) < 0.3, -np.inf, rng.random(size))
    for deceit in (-1.0, 2.0):
        yield np.where(np.arange(size) % max(1, stride) == 0, deceit, rng.random(size))


@pytest.mark.parametrize("size", [1, 2, 16_383, 16_384, 30_001])
def test_places_in_order(size):
    for values in many(size):
        ordered = np.sort(values)
        for place in sorted({0, size // 50, size // 2, size - max(1, size // 50), size - 1}):
            assert arrays.order_statistic(values, np.asarray(place)) == ordered[place]
            assert np.asarray(arrays.order_statistic(xp.asarray(values), xp.asarray(place))) == ordered[place]


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_sums_of_groups(size):
    rng = np.random.default_rng(0)
    for num_groups in (1, 5, 2 * size):
        groups, values, flags = rng.integers(num_groups, size=size), rng.random(size), rng.random(size) < 0.5
        strict = xp.asarray(groups)
        for sizes in (arrays.group_sizes(groups, num_groups), np.asarray(arrays.group_sizes(strict, num_groups))):
            assert sizes.tolist() == [np.count_nonzero(groups == group) for group in range(num_groups)]
        found = arrays.group_sums([values, flags], groups, num_groups)
        other = arrays.group_sums([xp.asarray(values), xp.asarray(flags)], strict, num_groups)
        for column, *sums in zip((values, flags), found, other, strict=True):
            for one in sums:
                expected = [column[groups == group].sum() for group in range(num_groups)]
                assert np.asarray(one) == pytest.approx(np.array(expected), abs=1e-9)


@pytest.mark.parametrize("size", [0, 1, 7, 1000])
def test_values_are_spread_over_segments(size):
    rng = np.random.default_rng(1)
    for num_segments in (1, 5, 2 * size + 1):
        segment_of, values = np.sort(rng.integers(num_segments, size=size)), rng.integers(99, size=num_segments)
        edges = np.searchsorted(segment_of, np.arange(num_segments + 1))
        found = arrays.spread(values, edges, size), arrays.spread(xp.asarray(values), xp.asarray(edges), size)
        for one in found:
            assert np.asarray(one).tolist() == values[segment_of].tolist()


def test_true_entries_are_found_where_shapes_may_depend_on_values():
    mask = np.array([True, False, True])
    assert arrays.where_true(mask).tolist() == [0, 2]
    assert np.asarray(arrays.where_true(xp.asarray(mask))).tolist() == [0, 1, 2]


@pytest.mark.parametrize("base", [0.0, 1e-9, 0.5, 0.99, 1 - 1e-6, 1.0])
@pytest.mark.parametrize("size", [100, 100_000])
def test_powers(base, size):
    exponents = np.concatenate([np.arange(50), np.geomspace(50, 2**32, size - 50).astype(np.int64)])
    expected = base ** exponents.astype(float)
    for found in (arrays.powers(base, exponents), np.asarray(arrays.powers(base, xp.asarray(exponents)))):
        assert np.allclose(found, expected, rtol=1e-9, atol=1e-18)


@pytest.mark.parametrize("base", [0.8, 0.99, 0.9995])
def test_powers_from_the_kept_table_are_the_products_of_two_looked_up_powers(base):
    exponents = np.random.default_rng(0).integers(40.0 / -np.log(base), size=20_000)
    found, products = arrays.powers(base, exponents), arrays.powers(base, xp.asarray(exponents))
    assert found.tobytes() == np.asarray(products).tobytes()


@pytest.mark.parametrize("size", [3, arrays.BLOCK, 2 * arrays.BLOCK + 5])
def test_in_blocks(size):
    sizes, columns = [], np.random.default_rng(0).random((2, size))

    def ratio(one, other):
        sizes.append(len(one))
        return np.exp(one) / np.sqrt(other)

    found = arrays.in_blocks(ratio, *columns)
    assert (sum(sizes), max(sizes)) == (size, min(size, arrays.BLOCK))
    assert found.tobytes() == ratio(*columns).tobytes()


@pytest.mark.parametrize("is_active", [[True, True], [True, False], [False, False]])
def test_masked_values_are_zero_where_the_mask_is_false(is_active):
    values, mask = np.array([3.0, 4.0]), np.array(is_active)
    for found in (arrays.masked(values, mask), arrays.masked(xp.asarray(values), xp.asarray(mask))):
        assert np.asarray(found).tolist() == (values * mask).tolist()


@pytest.mark.parametrize("size", [1, 2, 1000])
def test_stable_order(size):
    keys = np.random.default_rng(0).integers(0, 50, size=size)
    assert arrays.stable_order(keys).tolist() == np.argsort(keys, stable=True).tolist()
    assert arrays.stable_order(keys << 40).tolist() == np.argsort(keys, stable=True).tolist()
    assert np.asarray(arrays.stable_order(xp.asarray(keys))).tolist() == np.argsort(keys, stable=True).tolist()
