"""`TaskEnv`: plays each task in the environment that a function makes for its configuration."""

import logging
import pickle
from collections.abc import Callable
from typing import Any, Generic, SupportsFloat, TypeVar

import gymnasium
import numpy as np

from ..task import ConfigT, Task
from .episodes import at_least_1
from .spaces import check_spaces, spaces_of

__all__ = ["MAX_ENVS", "TaskEnv"]

_log = logging.getLogger(__name__)

MAX_ENVS = 16
"""Default number of environments that a `TaskEnv` keeps open."""

MAX_ENVS_REMEDY = "1 makes an environment for every change of the task"

ObsType = TypeVar("ObsType")
ActType = TypeVar("ActType")


class TaskEnv(gymnasium.Wrapper[ObsType, ActType, ObsType, ActType], Generic[ObsType, ActType, ConfigT]):
    """Plays the task in `task`: `reset` switches to the environment that `make` returns for the task's configuration.

    At most `max_envs` environments are kept and reused. If there are more, the least recently used one is closed. An
    environment that raises is closed, and is made again when its task comes back. `env` is the environment in use.

    A seed passed to `reset` seeds all environments: the environment of the current task by the seed itself, and each
    other one, at its next reset, by a number drawn from the seed.

    `CurriculumEnv` with `make` uses a `TaskEnv`. A `CurriculumEnv` around a vector environment sets `task` in each
    `TaskEnv` of the vector environment.

    Args:
        make: A function that takes a task and returns an environment. The environment must depend on the task's
            configuration alone.
        task: The first task, such as ``curriculum.peek()``.
        max_envs: Number of environments that are kept open, at least 1.

    Raises:
        TypeError: If `make` does not return an environment.
        ValueError: If `max_envs` is below 1.

    Examples:
        >>> import gymnasium
        >>> from curricular import Curriculum
        >>> curriculum = Curriculum([{"is_slippery": True}, {"is_slippery": False}])
        >>> env = TaskEnv(lambda task: gymnasium.make("FrozenLake-v1", **task.config), curriculum.peek())
        >>> env.task = curriculum.get_task()
        >>> env.reset(seed=0)[0]
        0
    """

    def __init__(
        self,
        make: Callable[[Task[ConfigT]], gymnasium.Env[ObsType, ActType]],
        task: Task[ConfigT],
        *,
        max_envs: int = MAX_ENVS,
    ) -> None:
        self.task: Task[ConfigT] = task
        """The task that the next `reset` plays."""
        self._make = make
        self._max_envs = at_least_1("max_envs", max_envs, MAX_ENVS_REMEDY)
        self._envs: dict[Any, gymnasium.Env[ObsType, ActType]] = {}
        self._unseeded: set[Any] = set()
        self._unchecked: set[Any] = set()
        self._rng: np.random.Generator | None = None
        self._key = _key_of(task)
        super().__init__(self._take(self._key))
        self._spaces = spaces_of(self.env)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[ObsType, dict[str, Any]]:
        """Begins an episode of `task`.

        Raises:
            SpacesDifferError: If the environment of the task has other spaces than the first environment.
        """
        self._key = _key_of(self.task)
        self.env: gymnasium.Env[ObsType, ActType] = self._take(self._key)
        if self._key in self._unchecked:
            check_spaces(self._spaces, spaces_of(self.env), [self.task])
            self._unchecked.discard(self._key)
        if seed is not None:
            self._rng = np.random.default_rng(seed)
            self._unseeded = set(self._envs)
        elif self._rng is not None and self._key in self._unseeded:
            seed = int(self._rng.integers(2**31))
        self._unseeded.discard(self._key)
        try:
            return self.env.reset(seed=seed, options=options)
        except Exception:
            self._drop(self._key)
            raise

    def step(self, action: ActType) -> tuple[ObsType, SupportsFloat, bool, bool, dict[str, Any]]:
        """Steps the environment in use."""
        try:
            return self.env.step(action)
        except Exception:
            self._drop(self._key)
            raise

    def close(self) -> None:
        """Closes all environments."""
        for key in list(self._envs):
            self._drop(key)

    def _take(self, key: Any) -> gymnasium.Env[ObsType, ActType]:
        """Returns the environment for the current task, and makes it if there is none."""
        env = self._envs.pop(key, None)
        if env is None:
            env = self._make(self.task)
            if not isinstance(env, gymnasium.Env):
                raise TypeError(f"make: expected a gymnasium.Env, got {env!r:.100}; return an environment")
            self._unseeded.add(key)
            self._unchecked.add(key)
        self._envs[key] = env  # in the order of use
        while len(self._envs) > self._max_envs:
            self._drop(next(iter(self._envs)))
        return env

    def _drop(self, key: Any) -> None:
        env = self._envs.pop(key, None)
        self._unseeded.discard(key)
        self._unchecked.discard(key)
        if env is not None:
            try:
                env.close()
            except Exception:  # noqa: BLE001 -- a user's environment may raise anything, and nothing depends on it any more
                _log.warning("an environment that was no longer used raised in close()", exc_info=True)


def _key_of(task: Task[Any]) -> Any:
    """Returns the key of a task's environment: the pickle of the configuration, or the task's id if pickling fails.

    Equal pickles mean equal configurations. Equal configurations with different pickles only get an environment each.
    """
    try:
        return pickle.dumps(task.config)
    except (pickle.PicklingError, TypeError, AttributeError):
        return task.task_id
