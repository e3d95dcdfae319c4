"""Regrets of finished episodes, from a trainer's arrays."""

import numpy as np
import pytest

from curricular.regrets import (
    l1_value_loss,
    max_monte_carlo,
    positive_value_loss,
    td_error,
    transition_prediction_error,
)


def rollout(seed=0, length=30, num_envs=5):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(length, num_envs)), rng.random((length, num_envs)) < 0.2


def by_hand(steps, dones, reduce):
    """One value per finished episode, in the order of ``x[dones]``."""
    found = {}
    for env in range(dones.shape[1]):
        start = 0
        for step in np.flatnonzero(dones[:, env]):
            found[step, env] = reduce(steps[start : step + 1, env])
            start = step + 1
    return [found[key] for key in sorted(found)]


def test_they_are_means_over_each_episode():
    for seed in range(10):
        steps, dones = rollout(seed)
        assert l1_value_loss(steps, dones) == pytest.approx(by_hand(steps, dones, lambda x: np.abs(x).mean()))
        assert positive_value_loss(steps, dones) == pytest.approx(
            by_hand(steps, dones, lambda x: np.maximum(x, 0).mean())
        )
        assert transition_prediction_error(steps, dones) == pytest.approx(by_hand(steps, dones, np.mean))
        best = np.arange(dones.sum(), dtype=float)
        assert max_monte_carlo(steps, best, dones) == pytest.approx(best - by_hand(steps, dones, np.mean))


def test_the_value_after_an_end_does_not_count():
    rewards, dones = rollout()
    values, following = rollout(1)[0], rollout(2)[0]
    errors = np.abs(rewards + 0.9 * following * ~dones - values)
    found = td_error(rewards, values, following, dones, discount=0.9)
    assert found == pytest.approx(by_hand(errors, dones, np.mean))
    far = np.where(dones, 1e9, following)
    assert td_error(rewards, values, far, dones, discount=0.9) == pytest.approx(found)


def test_a_perfect_critic_leaves_nothing_to_regret():
    dones = np.array([False, False, True])
    assert l1_value_loss(np.zeros(3), dones).tolist() == [0.0]
    assert td_error([0, 0, 1], [1, 1, 1], [1, 1, 7], dones, discount=1.0).tolist() == [0.0]
    assert max_monte_carlo([1.0, 1.0, 1.0], [1.0], dones).tolist() == [0.0]


def test_no_episode_ended():
    assert l1_value_loss(np.ones((4, 3)), np.zeros((4, 3), bool)).shape == (0,)
    assert l1_value_loss(np.ones((0, 3)), np.zeros((0, 3), bool)).shape == (0,)


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"advantages: expected shape \(T, B\) .* got \(3,\) and dones of \(4,\)"):
        l1_value_loss(np.ones(3), np.zeros(4, bool))
    with pytest.raises(ValueError, match=r"best_returns: expected shape \(1,\), .* got \(2,\); take"):
        max_monte_carlo(np.ones(3), np.ones(2), [False, False, True])


def test_a_nan_in_one_episode_says_nothing_about_another():
    rng = np.random.default_rng(0)
    advantages, dones = rng.normal(size=(20, 4)), rng.random((20, 4)) < 0.3
    clean = l1_value_loss(advantages, dones)
    for bad in (np.nan, np.inf, 1e17):
        spoiled = advantages.copy()
        spoiled[3, 1] = bad
        found = l1_value_loss(spoiled, dones)
        is_same = found == clean
        assert (~is_same).sum() <= 1
        assert is_same.sum() >= len(clean) - 1
