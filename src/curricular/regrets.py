"""Pure functions that compute one regret per finished episode from a trainer's arrays, for `Curriculum.tell`.

Arrays have shape (T, B), steps by environments, as PPO collects them, or shape (T,) for one environment. `dones` is
true at the last step of each episode. Regrets come in the order of ``x[dones]``. With the task id of each step, one
call per rollout reports all results::

    curriculum.tell(task_ids[dones], scores[dones], regrets=positive_value_loss(advantages, dones))

If an episode began in an earlier rollout, only its steps within these arrays count.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Regrets = NDArray[np.float64]
"""One regret per finished episode, shape (k,), in the order of ``x[dones]``."""


def l1_value_loss(advantages: ArrayLike, dones: ArrayLike) -> Regrets:
    """Returns the mean of |A_t| over each episode: the critic's error in either direction.

    Source: Jiang et al. 2021, arXiv 2010.03934.

    Args:
        advantages: Generalised advantage estimates, not standardised, shape (T, B) or (T,).
        dones: Whether each step is the last of its episode, same shape.

    Raises:
        ValueError: If the shapes differ.

    Examples:
        >>> l1_value_loss([1.0, -2.0, 3.0], [False, True, True]).tolist()
        [1.5, 3.0]
    """
    return _episode_means(np.abs(_as_steps("advantages", advantages, dones)), dones)


def positive_value_loss(advantages: ArrayLike, dones: ArrayLike) -> Regrets:
    """Returns the mean of max(A_t, 0) over each episode: how far the episode exceeded the critic's expectation.

    Source: Jiang et al. 2021, arXiv 2110.02439.

    Args:
        advantages: Generalised advantage estimates, not standardised, shape (T, B) or (T,).
        dones: Whether each step is the last of its episode, same shape.

    Raises:
        ValueError: If the shapes differ.

    Examples:
        >>> positive_value_loss([1.0, -2.0, 3.0], [False, True, True]).tolist()
        [0.5, 3.0]
    """
    return _episode_means(np.maximum(_as_steps("advantages", advantages, dones), 0.0), dones)


def max_monte_carlo(values: ArrayLike, best_returns: ArrayLike, dones: ArrayLike) -> Regrets:
    """Returns the mean of R_max − V(s_t) over each episode: how far the critic's values are below the best return.

    Source: Jiang et al. 2021, arXiv 2110.02439.

    Args:
        values: The critic's values, shape (T, B) or (T,).
        best_returns: The highest return of each episode's task so far, including this episode; shape (k,), in the
            order of ``x[dones]``.
        dones: Whether each step is the last of its episode, shape of `values`.

    Raises:
        ValueError: If the shapes do not match.

    Examples:
        >>> max_monte_carlo([0.0, 0.5, 1.0], [1.0, 1.0], [False, True, True]).tolist()
        [0.75, 0.0]
    """
    means = _episode_means(_as_steps("values", values, dones), dones)
    best = np.asarray(best_returns, np.float64)
    if best.shape != means.shape:
        raise ValueError(
            f"best_returns: expected shape {means.shape}, one per finished episode, got {best.shape}; pass those of "
            f"task_ids[dones]"
        )
    return best - means


def td_error(
    rewards: ArrayLike, values: ArrayLike, next_values: ArrayLike, dones: ArrayLike, *, discount: float
) -> Regrets:
    """Returns the mean of |r_t + γ V(s_{t+1}) − V(s_t)| over each episode, with V = 0 after its end.

    Source: Jiang et al. 2021, arXiv 2010.03934.

    Args:
        rewards: The reward of each step, shape (T, B) or (T,).
        values: The critic's value before each step, same shape.
        next_values: The critic's value after each step, same shape.
        dones: Whether each step is the last of its episode, same shape.
        discount: The discount γ.

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


def _as_steps(name: str, steps: ArrayLike, dones: ArrayLike) -> NDArray[np.float64]:
    array, shape = np.asarray(steps, np.float64), np.shape(dones)
    if array.shape != shape or array.ndim not in {1, 2}:
        raise ValueError(
            f"{name}: expected shape (T, B) or (T,) like dones, got {array.shape} and dones of {shape}; pass arrays of "
            f"the same steps"
        )
    return array


def _episode_means(steps: NDArray[np.float64], dones: ArrayLike) -> Regrets:
    """Returns the mean of `steps` over each finished episode, in the order of ``steps[dones]``."""
    length = len(steps)
    ends = np.asarray(dones, np.bool_)
    # Order steps by environment first, so that the steps of an episode are adjacent.
    last = np.flatnonzero(ends.T)
    first = np.maximum(last // max(length, 1) * length, np.concatenate([[0], last + 1])[: len(last)])
    means = np.zeros(ends.T.size)
    if len(last):
        # Sum each episode separately: a NaN in one episode must not affect another.
        edges = np.stack([first, last + 1], axis=1).ravel()
        sums = np.add.reduceat(np.append(steps.T.ravel(), 0.0), edges)[::2]
        means[last] = sums / (last + 1 - first)
    by_step: Regrets = means.reshape(ends.T.shape).T[ends]
    return by_step
