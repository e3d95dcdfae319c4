"""Tracks returns, lengths and ends of the episodes in environments whose agents step together."""

import logging
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .returns import add_rewards, by_env

__all__ = ["AgentEpisodes"]

_log = logging.getLogger(__name__)

MAX_STEPS_WITHOUT_END = 100_000
"""Number of steps in which no episode ends after which a warning names the agents that were never flagged."""

_BOOL = np.dtype(np.bool_)
_FLOAT = np.dtype(np.float32)


class AgentEpisodes:
    """Adds up what `step` returns, and finds the environments whose episodes ended.

    An episode ends when at least one of its agents was flagged as terminated or truncated since the episode began, and
    each of its other agents was flagged, too, or is not alive: its mask is False.

    Args:
        num_envs: Number of environments.
        agents_per_env: Number of agents in each.
    """

    def __init__(self, num_envs: int, agents_per_env: int) -> None:
        self.returns: NDArray[np.float64] = np.zeros((num_envs, agents_per_env))
        """Sum of the rewards of each agent, shape (num_envs, agents_per_env)."""
        self._flat_returns = self.returns.reshape(-1)
        self._is_done = np.zeros((num_envs, agents_per_env), np.bool_)
        self._shape = self._flat_returns.shape
        self._no_flags, self._all_alive = bytes(self.returns.size), b"\x01" * self.returns.size
        self._is_partial = False
        self._num_steps = self._last_end = 0
        self._starts = [0] * num_envs

    def begin(self, indices: list[int]) -> None:
        """Begins an episode in each of these environments."""
        self.returns[indices] = 0.0
        self._is_done[indices] = False
        for index in indices:
            self._starts[index] = self._num_steps
        self._is_partial = bool(self._is_done.any())

    def length_of(self, index: int) -> int:
        """Returns the number of steps of the episode in environment `index`."""
        return self._num_steps - self._starts[index]

    @property
    def longest(self) -> int:
        """Number of steps of the longest episode in play."""
        return self._num_steps - min(self._starts)

    def add(self, rewards: Any, terminals: Any, truncations: Any, masks: Any) -> list[int]:
        """Adds a step and returns the indices of the environments whose episodes it ended.

        Args:
            rewards: One number per agent.
            terminals: One flag per agent.
            truncations: One flag per agent.
            masks: Whether each agent is alive.

        Raises:
            TypeError: If there is another number of values than agents, or they are not numbers.
        """
        # A call of NumPy costs more than what it does to a few agents. Flags are rare: bytes say if there are any.
        rewards = self._checked("rewards", rewards, _FLOAT)
        terminals = self._checked("terminals", terminals, _BOOL)
        truncations = self._checked("truncations", truncations, _BOOL)
        add_rewards(self._flat_returns, rewards)
        self._num_steps += 1
        none = self._no_flags
        if terminals.tobytes() == none == truncations.tobytes() and not self._is_partial:
            if self._num_steps - self._last_end == MAX_STEPS_WITHOUT_END:
                self._warn()
            return []
        return self._ended(terminals, truncations, self._checked("masks", masks, _BOOL))

    def _checked(self, name: str, values: Any, dtype: np.dtype[Any]) -> NDArray[Any]:
        """Returns `values` as a flat array of `dtype`; as it is, if it is one."""
        if type(values) is np.ndarray and values.dtype is dtype and values.shape == self._shape:
            return values
        array = by_env(name, values, self.returns.shape).reshape(-1)
        return array != 0 if dtype is _BOOL else array

    def _ended(self, terminals: NDArray[Any], truncations: NDArray[Any], masks: NDArray[Any]) -> list[int]:
        self._is_done |= (terminals | truncations).reshape(self._is_done.shape)
        is_over = self._is_done
        if masks.tobytes() != self._all_alive:
            is_flagged = self._is_done.any(axis=1, keepdims=True)
            is_over = self._is_done | (~masks.reshape(self._is_done.shape) & is_flagged)
        ended: list[int] = np.flatnonzero(is_over.all(axis=1)).tolist()
        self._is_partial = True  # until the episodes that follow begin
        if ended:
            self._last_end = self._num_steps
        elif self._num_steps - self._last_end == MAX_STEPS_WITHOUT_END:
            self._warn()
        return ended

    def _warn(self) -> None:
        agents = np.flatnonzero(~self._is_done.reshape(-1))
        _log.warning(
            "no episode has ended in %d steps, so no score was told: agents %s%s were never flagged as terminated or "
            "truncated since their episode began; let the environment flag them, or set their masks to False if they "
            "are not alive",
            MAX_STEPS_WITHOUT_END,
            agents[:10].tolist(),
            " and others" if len(agents) > 10 else "",
        )
