"""How simulated learners learn: practice determines success rates, and the true rates can be read.

A learner holds *cells*, each with a success rate. Practice in a cell changes skills by the expected amount, without
noise, and skills determine the success rates. Events (a reset, forgetting) happen at fixed steps.
"""

from collections.abc import Sequence
from math import comb
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


class Learner(Protocol):
    """Interface of a simulated learner, which replaces `rates` and never modifies the array."""

    rates: Floats
    """Current success rate of every cell, in [0, 1], shape (num_cells,)."""

    def practise(self, counts: NDArray[np.int64]) -> None:
        """Learns from one step in which cell i was played `counts[i]` times, shape (num_cells,)."""

    def gains(self) -> Floats:
        """Returns the derivative of the mean rate by the number of episodes in each cell, shape (num_cells,)."""
        ...


def sigmoid(logits: ArrayLike) -> Floats:
    """Returns 1 / (1 + exp(-logits)), without overflow for any finite logit.

    Examples:
        >>> sigmoid([0.0, -1000.0]).tolist()
        [0.5, 0.0]
    """
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * np.asarray(logits))), dtype=np.float64)


class Chain:
    """Tasks that build on each other: success in task i requires the skills 0 … i.

    With s = sigmoid(z): p_i = s_0 … s_i, and a step with n_i episodes adds rate · (1 - s_k) · sum_{i >= k} n_i p_i
    to z_k.

    Args:
        start: Logit of every skill at the beginning, shape (num_skills,).
        rate: Learning per successful episode, > 0.
        resets: Steps, counted from 0, before which every skill falls back to `start`.
    """

    def __init__(self, start: Floats, rate: float, *, resets: Sequence[int] = ()) -> None:
        self._start = start
        self._logits = start
        self._rate = rate
        self._resets = frozenset(resets)
        self._step = 0
        self._update()

    def _update(self) -> None:
        self._skills = sigmoid(self._logits)
        self.rates: Floats = np.multiply.accumulate(self._skills)

    def practise(self, counts: NDArray[np.int64]) -> None:
        """Learns from one step; successes in task i train every skill that task i requires."""
        self._step += 1
        if self._step in self._resets:
            self._logits = self._start
        else:
            successes = np.add.accumulate((counts * self.rates)[::-1])[::-1]
            self._logits = self._logits + self._rate * (successes * (1.0 - self._skills))
        self._update()

    def gains(self) -> Floats:
        """Returns d mean(p) / d n_i = rate · p_i · sum_{k <= i} (1 - s_k)² · sum_{j >= k} p_j / num_skills."""
        later = np.cumsum(self.rates[::-1])[::-1]
        taught = np.cumsum((1.0 - self._skills) ** 2 * later)
        return np.asarray(self._rate * self.rates * taught / self.rates.size, dtype=np.float64)


class Independent:
    """Tasks that are learned independently: p = sigmoid(z - d), and n episodes add rate · n · p (1 - p) to z.

    Args:
        start: Logit of every task at the beginning, shape (num_tasks,).
        rate: Learning per episode, >= 0.
        interference: Every episode in another task lowers a task's logit by interference · p / num_tasks.
        drop_every: Steps between two drops; 0: no task drops.
        dropped: Tasks that drop, one row per event, shape (num_events, tasks per event).
        drop_to: Logit to which a task drops.
        drift: Growth of a task's difficulty d per step, once the task's rate has exceeded 0.8.
    """

    def __init__(
        self,
        start: Floats,
        rate: float,
        *,
        interference: float = 0.0,
        drop_every: int = 0,
        dropped: NDArray[np.int64] | None = None,
        drop_to: float = -2.0,
        drift: float = 0.0,
    ) -> None:
        self._logits = start  # z - d
        self._rate = rate
        self._interference = interference / max(start.size, 1)
        self._drop_every = drop_every
        self._dropped = np.empty((0, 0), np.int64) if dropped is None else dropped
        self._drop_to = drop_to
        self._drift = drift
        self._was_mastered = np.zeros(start.size, bool)
        self._step = 0
        self.rates: Floats = sigmoid(start)

    def practise(self, counts: NDArray[np.int64]) -> None:
        """Learns from one step, then applies interference, drift and drops."""
        rates = self.rates
        change = self._rate * counts * rates * (1.0 - rates)
        if self._interference > 0:
            change -= self._interference * rates * (counts.sum() - counts)
        if self._drift > 0:
            self._was_mastered |= rates > 0.8
            change -= self._drift * self._was_mastered
        self._logits = self._logits + change
        self._step += 1
        if self._drop_every > 0 and self._step % self._drop_every == 0:
            event = self._step // self._drop_every - 1
            if event < len(self._dropped):
                self._logits[self._dropped[event]] = self._drop_to
        self.rates = sigmoid(self._logits)

    def gains(self) -> Floats:
        """Returns d mean(p) / d n_i; with interference, an episode also lowers every other task."""
        slope = self.rates * (1.0 - self.rates)
        lost = self._interference * self.rates * slope
        gains = self._rate * slope**2 + lost - lost.sum()
        return np.asarray(gains / self.rates.size, dtype=np.float64)


class Together:
    """Learners that learn side by side; the cells of each follow those of the one before.

    Args:
        learners: At least one.
    """

    def __init__(self, *learners: Learner) -> None:
        self._learners = learners
        self._ends = np.cumsum([learner.rates.size for learner in learners])
        self._update()

    def _update(self) -> None:
        self.rates: Floats = np.concatenate([learner.rates for learner in self._learners])

    def practise(self, counts: NDArray[np.int64]) -> None:
        """Lets every learner learn from one step in its own cells."""
        for learner, own in zip(self._learners, np.split(counts, self._ends[:-1]), strict=True):
            learner.practise(own)
        self._update()

    def gains(self) -> Floats:
        """Returns the gains of the learners, each in proportion to its share of the cells."""
        gains = [learner.gains() * learner.rates.size for learner in self._learners]
        return np.concatenate(gains) / self.rates.size


class Grid:
    """Kinds of tasks in several sizes, with one skill per kind: p = sigmoid(z_kind - difficulty_size).

    Cell `kind · num_sizes + size` holds all tasks of that kind and size. Its n episodes add rate · n · p (1 - p) to
    z_kind.

    Args:
        start: Logit of every kind at the beginning, shape (num_kinds,).
        difficulties: Amount by which each size lowers the logit, shape (num_sizes,).
        rate: Learning per episode, > 0.
    """

    def __init__(self, start: Floats, difficulties: Floats, rate: float) -> None:
        self._logits = start
        self._difficulties = difficulties
        self._rate = rate
        self._update()

    def _update(self) -> None:
        self._table = sigmoid(self._logits[:, None] - self._difficulties)
        self._slopes = self._table * (1.0 - self._table)
        self.rates: Floats = self._table.ravel()

    def practise(self, counts: NDArray[np.int64]) -> None:
        """Learns from one step; all sizes of a kind share one skill."""
        self._logits = self._logits + self._rate * (counts.reshape(self._table.shape) * self._slopes).sum(axis=1)
        self._update()

    def gains(self) -> Floats:
        """Returns d mean(p) / d n_i: the change of the kind's skill, times the summed slopes of all its sizes."""
        gains = self._rate * self._slopes * self._slopes.sum(axis=1, keepdims=True)
        return np.asarray(gains.ravel() / self.rates.size, dtype=np.float64)


class Topics:
    """Prompts in topics: p = sigmoid(1.7 · (ability of the topic - difficulty of the prompt)).

    A group of rollouts teaches by the spread of its scores, whose expectation is g(p): 0 if all are equal. It adds
    rate · g to the ability of its topic, and a share of that, `transfer`, to the mean of all abilities.

    Args:
        topics: Topic of every prompt, from 0, shape (num_prompts,).
        difficulties: Difficulty of every prompt, shape (num_prompts,).
        rate: Learning per group, > 0.
        transfer: Share of what is learned that is learned in all topics.
        group_size: Number of rollouts in a group, at least 2.
        is_alike: Whether every group teaches the same, whatever its scores.
    """

    def __init__(
        self,
        topics: NDArray[np.int64],
        difficulties: Floats,
        rate: float,
        *,
        transfer: float,
        group_size: int,
        is_alike: bool = False,
    ) -> None:
        self._topics, self._difficulties = topics, difficulties
        self._rate, self._transfer = rate, transfer
        self._ability = np.zeros(int(topics.max()) + 1)
        self._grid = np.linspace(0.0, 1.0, 1001)
        self._spread_at = np.full(1001, 0.5) if is_alike else expected_spread(self._grid, group_size)
        self._update()

    def _update(self) -> None:
        self.rates: Floats = sigmoid(1.7 * (self._ability[self._topics] - self._difficulties))

    def _spread(self) -> Floats:
        return np.interp(self.rates, self._grid, self._spread_at)

    def practise(self, counts: NDArray[np.int64]) -> None:
        """Learns from one step with `counts` groups of every prompt."""
        (played,) = np.nonzero(counts)
        spread = np.interp(self.rates[played], self._grid, self._spread_at)
        gain = self._rate * np.bincount(self._topics[played], counts[played] * spread, self._ability.size)
        self._ability = self._ability + gain + self._transfer * gain.mean()
        self._update()

    def gains(self) -> Floats:
        """Returns d mean(p) / d n_i: the change of the topic's ability, times the summed slopes of its prompts."""
        slopes = 1.7 * self.rates * (1.0 - self.rates) / self.rates.size
        of_topic = np.bincount(self._topics, slopes, self._ability.size)
        shared = self._transfer * of_topic.mean()
        return np.asarray(self._rate * self._spread() * (of_topic[self._topics] + shared), dtype=np.float64)


def expected_spread(rates: Floats, group_size: int) -> Floats:
    """Returns the expectation of 2 sqrt(q (1 - q)), where q is the share of successes in a group, shape of `rates`.

    Examples:
        >>> expected_spread(np.array([0.0, 0.5, 1.0]), 2).tolist()
        [0.0, 0.5, 0.0]
    """
    total = np.zeros(rates.shape)
    for successes in range(1, group_size):
        q = successes / group_size
        chance = comb(group_size, successes) * rates**successes * (1.0 - rates) ** (group_size - successes)
        total += 2.0 * np.sqrt(q * (1.0 - q)) * chance
    return total
