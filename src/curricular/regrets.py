"""A trainer's arrays -> one regret per finished episode, for `Curriculum.tell(..., regrets=…)`. Pure; NumPy only.

All arrays have shape (T, B), steps by environments, as PPO collects them; or (T,) for one environment. `dones` is
true at the last step of each episode. Regrets have the order of ``x[dones]``, so one call per rollout tells them all:

    curriculum.tell(task_ids[dones], scores[dones], regrets=positive_value_loss(advantages, dones))

`task_ids` holds the id of the task played at each step. If an episode began in an earlier rollout, its regret is over
the steps in these arrays.

Every step must belong to an episode, because nothing in these arrays marks a step that does not. In Gymnasium's mode
``NEXT_STEP``, the step after a done restarts the environment, and would count as the first step of the next episode.
Use ``SAME_STEP``, or pass the arrays of each environment, of shape (T,), without those steps.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Regrets = NDArray[np.float64]
"""Regrets of the k finished episodes, shape (k,), in the order of ``x[dones]``."""


def l1_value_loss(advantages: ArrayLike, dones: ArrayLike) -> Regrets:
    """Returns the mean of |A_t| over each episode: how far the critic was off, in either direction.

    Source: Jiang et al. 2021, arXiv 2010.03934.

    Args:
        advantages: Generalised advantage estimates A_t, not standardised.
        dones: Whether an episode ends at the step.

    Raises:
        ValueError: If the shapes differ.

    Examples:
        >>> l1_value_loss([1.0, -2.0, 3.0], [False, True, True]).tolist()
        [1.5, 3.0]
    """
    return _episode_means(np.abs(_as_steps("advantages", advantages, dones)), dones)


def positive_value_loss(advantages: ArrayLike, dones: ArrayLike) -> Regrets:
    """Returns the mean of max(A_t, 0) over each episode: by how much it went better than the critic expected.

    Source: Jiang et al. 2021, arXiv 2110.02439.

    Args:
        advantages: Generalised advantage estimates A_t, not standardised.
        dones: Whether an episode ends at the step.

    Raises:
        ValueError: If the shapes differ.

    Examples:
        >>> positive_value_loss([1.0, -2.0, 3.0], [False, True, True]).tolist()
        [0.5, 3.0]
    """
    return _episode_means(np.maximum(_as_steps("advantages", advantages, dones), 0.0), dones)


def max_monte_carlo(values: ArrayLike, best_returns: ArrayLike, dones: ArrayLike) -> Regrets:
    """Returns the mean of R_max − V(s_t) over each episode: how far the critic's value is below the best return.

    Source: Jiang et al. 2021, arXiv 2110.02439.

    Args:
        values: Values V(s_t) of the critic.
        best_returns: R_max, the highest return so far on each episode's task, this episode included, shape (k,) in
            the order of ``x[dones]``.
        dones: Whether an episode ends at the step.

    Raises:
        ValueError: If the shapes differ.

    Examples:
        >>> max_monte_carlo([0.0, 0.5, 1.0], [1.0, 1.0], [False, True, True]).tolist()
        [0.75, 0.0]
    """
    means = _episode_means(_as_steps("values", values, dones), dones)
    best = np.asarray(best_returns, np.float64)
    if best.shape != means.shape:
        raise ValueError(
            f"best_returns: expected shape {means.shape}, one per finished episode, got {best.shape}; take the best "
            f"returns of task_ids[dones]"
        )
    return best - means


def td_error(
    rewards: ArrayLike, values: ArrayLike, next_values: ArrayLike, dones: ArrayLike, *, discount: float
) -> Regrets:
    """Returns the mean of |r_t + γ V(s_{t+1}) − V(s_t)| over each episode, with V = 0 after its end.

    Source: Jiang et al. 2021, arXiv 2010.03934.

    Args:
        rewards: Rewards r_t.
        values: Values V(s_t) of the critic.
        next_values: Values V(s_{t+1}) of the critic; ignored at the end of an episode.
        dones: Whether an episode ends at the step.
        discount: γ.

    Raises:
        ValueError: If the shapes differ.

    Examples:
        >>> td_error([0.0, 1.0], [0.5, 0.5], [0.5, 9.0], [False, True], discount=1.0).tolist()
        [0.25]
    """
    ends = np.asarray(dones, np.bool_)
    reward, value, after = (
        _as_steps(name, steps, dones)
        for name, steps in (("rewards", rewards), ("values", values), ("next_values", next_values))
    )
    return _episode_means(np.abs(reward + discount * np.where(ends, 0.0, after) - value), dones)


def transition_prediction_error(losses: ArrayLike, dones: ArrayLike) -> Regrets:
    """Returns the mean of L_t over each episode: how badly a learned model predicted the next observations.

    Added to a value loss with a weight α, it is the regret of TRACED: ``positive_value_loss(advantages, dones) + alpha
    * transition_prediction_error(losses, dones)``. Source: Cho et al. 2026, arXiv 2506.19997.

    Args:
        losses: Loss L_t of the prediction of step t, such as the squared error of the next observation.
        dones: Whether an episode ends at the step.

    Raises:
        ValueError: If the shapes differ.

    Examples:
        >>> transition_prediction_error([0.5, 1.5, 3.0], [False, True, True]).tolist()
        [1.0, 3.0]
    """
    return _episode_means(_as_steps("losses", losses, dones), dones)


def _as_steps(name: str, steps: ArrayLike, dones: ArrayLike) -> NDArray[np.float64]:
    """Returns the argument `name` as floats, after checking that its shape is that of `dones`."""
    array, shape = np.asarray(steps, np.float64), np.shape(dones)
    if array.shape != shape or array.ndim not in {1, 2}:
        raise ValueError(
            f"{name}: expected shape (T, B) or (T,) like dones, got {array.shape} and dones of {shape}; pass arrays "
            f"over the same steps"
        )
    return array


def _episode_means(steps: NDArray[np.float64], dones: ArrayLike) -> Regrets:
    """Returns the mean of `steps` over each finished episode, in the order of ``steps[dones]``."""
    length = len(steps)
    ends = np.asarray(dones, np.bool_)
    # Transposed, the steps of one environment are contiguous, and so are those of each episode.
    last = np.flatnonzero(ends.T)
    first = np.maximum(last // max(length, 1) * length, np.concatenate([[0], last + 1])[: len(last)])
    means = np.zeros(ends.T.size)
    if len(last):
        # Each episode has a sum of its own, so that a NaN in one does not reach another.
        edges = np.stack([first, last + 1], axis=1).ravel()
        sums = np.add.reduceat(np.append(steps.T.ravel(), 0.0), edges)[::2]
        means[last] = sums / (last + 1 - first)
    by_step: Regrets = means.reshape(ends.T.shape).T[ends]
    return by_step
