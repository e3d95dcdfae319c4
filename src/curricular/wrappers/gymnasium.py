"""`CurriculumEnv` for `gymnasium.Env`: every episode plays a task of the curriculum.

The class of the same name for vector environments is in `curricular.wrappers.gymnasium_vector`.
"""

from collections.abc import Callable
from typing import Any, Generic, SupportsFloat, TypeVar, overload

try:
    import gymnasium
except ModuleNotFoundError as _error:
    raise ImportError("curricular.wrappers.gymnasium needs Gymnasium: pip install 'curricular[gymnasium]'") from _error

from ..curriculum import Curriculum
from ..inputs import as_number
from ..task import ConfigT, Task
from .episodes import (
    DEFAULT_MAX_FAILURES,
    INFO_KEY,
    AnyRegretRule,
    Episode,
    Handouts,
    ScoreRule,
    at_least_1,
    parted,
)
from .returns import as_flag, as_info, checked
from .single import Application, EnvEpisodes
from .spaces import SpacesDifferError as SpacesDifferError
from .spaces import check_spaces, spaces_of
from .statistics import StatsInterval
from .task_env import MAX_ENVS, MAX_ENVS_REMEDY
from .task_env import TaskEnv as TaskEnv

__all__ = ["CurriculumEnv", "SpacesDifferError", "TaskEnv"]

ObsType = TypeVar("ObsType")
ActType = TypeVar("ActType")


class CurriculumEnv(gymnasium.Wrapper[ObsType, ActType, ObsType, ActType], Generic[ObsType, ActType, ConfigT]):
    """Wraps an environment, or one for each task, so that every episode plays a task of `curriculum`.

    Pass either `env` and `apply`, or `make`. With `make`, each task has a separate environment: see `TaskEnv`.

    `reset` asks for a task and applies it to `env`. The step that ends the episode tells its score. An episode that
    `reset` or `close` abandons is cancelled: counted, never scored. Several environments may share one curriculum.

    If `env` raises on a task, the task is cancelled. In `reset`, the wrapper asks for another task at once. In `step`,
    the wrapper ends the episode: truncated, reward 0, the previous observation; the next `reset` asks for another task.

    The key ``"curriculum"`` of an info holds a dict:

    - from `reset` and the first step: ``task_id``, ``label`` and ``task_changed``, whether the previous episode had
      another task;
    - from the step that ends an episode: ``task_id``, ``label`` and ``score``; with `regret` also ``regret``; after
      every `stats_interval` episodes of the curriculum also ``stats``, as `Curriculum.stats`;
    - from a step that raised: ``task_id``, ``label`` and ``error``.

    Args:
        env: The environment. Its spaces are the same for all tasks.
        curriculum: Where tasks come from.
        apply: How a task is applied to the environment before each reset. A function ``apply(env, task)``; or the name
            of a method of the environment that takes the task's configuration, such as ``"set_mg_config"``; or
            ``"reset"``, which passes the configuration, a mapping, to ``env.reset(options=…)``.
        make: A function that takes a task and returns an environment for its configuration. All these environments have
            the same spaces.
        score: The score told at an episode's end: ``"return"``, ``"success"`` (of the last info), or a function of an
            `Episode`. A score outside of the curriculum's `score_range` raises `ValueError`.
        stats_interval: Number of episodes of the curriculum, over all its environments, between two ``stats`` in an
            info. ``"auto"``: 100, or an eighth of a larger pool; more if episodes are shorter than 20 steps. None: no
            ``stats``.
        max_failures: Number of different tasks in a row on which the environment must raise for
            `EnvironmentFailedError`; in a smaller pool, all tasks. One task that always fails is not enough.
        regret: The regret told at an episode's end, a function of an `Episode`, for algorithms that choose by regret;
            or a `LateRegrets`, by which the trainer tells scores and regrets when it knows the latter.
        max_envs: With `make`, the number of environments that are kept open, at least 1.

    Raises:
        ValueError: If the environment has no method of the given name, if the algorithm chooses by regret and there is
            no `regret`, or if an argument is out of its range.
        TypeError: If the given name is not a method's, if there is neither `env` with `apply` nor `make` alone, or if
            `env` is not a `gymnasium.Env`.

    Examples:
        >>> import gymnasium
        >>> from curricular import Curriculum, UniformConfig, bucketed
        >>> tasks = bucketed({"low": -0.05, "high": 0.05}, {"high": [0.05, 0.1, 0.2]})
        >>> curriculum = Curriculum(UniformConfig(num_active_tasks=3, score_range=(0, 500)), tasks)
        >>> env = CurriculumEnv(gymnasium.make("CartPole-v1"), curriculum, apply="reset")
        >>> _, info = env.reset(seed=0)
        >>> info["curriculum"]["label"] == env.task.label
        True

        A task that is another environment:

        >>> lakes = Curriculum([{"is_slippery": True}, {"is_slippery": False}])
        >>> def make(task):
        ...     return gymnasium.make("FrozenLake-v1", **task.config)
        >>> env = CurriculumEnv(make=make, curriculum=lakes)
        >>> env.reset(seed=0)[0]
        0
    """

    @overload
    def __init__(
        self,
        env: gymnasium.Env[ObsType, ActType],
        curriculum: Curriculum[ConfigT],
        *,
        apply: Callable[[gymnasium.Env[ObsType, ActType], Task[ConfigT]], None] | str,
        score: ScoreRule[ConfigT] = "return",
        stats_interval: StatsInterval = "auto",
        max_failures: int = DEFAULT_MAX_FAILURES,
        regret: AnyRegretRule[ConfigT] = None,
    ) -> None: ...

    @overload
    def __init__(
        self,
        *,
        make: Callable[[Task[ConfigT]], gymnasium.Env[ObsType, ActType]],
        curriculum: Curriculum[ConfigT],
        score: ScoreRule[ConfigT] = "return",
        stats_interval: StatsInterval = "auto",
        max_failures: int = DEFAULT_MAX_FAILURES,
        regret: AnyRegretRule[ConfigT] = None,
        max_envs: int = MAX_ENVS,
    ) -> None: ...

    def __init__(
        self,
        env: gymnasium.Env[ObsType, ActType] | None = None,
        curriculum: Curriculum[ConfigT] | None = None,
        *,
        apply: Callable[[gymnasium.Env[ObsType, ActType], Task[ConfigT]], None] | str | None = None,
        make: Callable[[Task[ConfigT]], gymnasium.Env[ObsType, ActType]] | None = None,
        score: ScoreRule[ConfigT] = "return",
        stats_interval: StatsInterval = "auto",
        max_failures: int = DEFAULT_MAX_FAILURES,
        regret: AnyRegretRule[ConfigT] = None,
        max_envs: int = MAX_ENVS,
    ) -> None:
        if curriculum is None:
            raise TypeError("curriculum: expected a Curriculum, got None; pass the one that tasks come from")
        self.curriculum: Curriculum[ConfigT] = curriculum
        self._handouts = Handouts(curriculum, score, stats_interval, max_failures, *parted(regret))
        if make is not None and env is None and apply is None:
            env = self._first_env(make, max_envs)
            how: Callable[..., Any] | str = _set_task
        elif env is not None and apply is not None and make is None:
            how = apply
        else:
            raise TypeError(
                f"env: expected an environment with apply=…, or make=… alone, got env={env}, apply={apply!r:.100} and "
                f"make={make!r:.100}; apply says how a task gets into env, make returns an environment for a task"
            )
        if not isinstance(env, gymnasium.Env):
            raise TypeError(
                f"env: expected a gymnasium.Env, got {env!r:.100}; for a vector environment, use the CurriculumEnv of "
                f"curricular.wrappers.gymnasium_vector"
            )
        super().__init__(env)
        self._episodes = EnvEpisodes(curriculum, self._handouts, Application(how, env.get_wrapper_attr, env))
        self._spaces = spaces_of(env)
        self._return = 0.0

    def _first_env(
        self, make: Callable[[Task[ConfigT]], gymnasium.Env[ObsType, ActType]], max_envs: int
    ) -> gymnasium.Env[ObsType, ActType]:
        """Returns an environment of the next task. A task without one is cancelled, as in `reset`."""
        max_envs = at_least_1("max_envs", max_envs, MAX_ENVS_REMEDY)
        while True:
            try:
                return TaskEnv(make, self.curriculum.peek(), max_envs=max_envs)
            except Exception as error:  # noqa: BLE001 -- as in reset
                task = self.curriculum.get_task()
                self._handouts.cancel([task], "failed")
                self._handouts.report_failed([task], error)

    @property
    def task(self) -> Task[ConfigT] | None:
        """The task of the episode in play; None before the first `reset` and after an episode's end."""
        return self._episodes.task

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[ObsType, dict[str, Any]]:
        """Begins an episode with the next task.

        Args:
            seed: The seed of the environment. The curriculum has a seed of its own.
            options: Options of the environment's reset. With ``apply="reset"``, the task's configuration wins.

        Returns:
            The first observation and the info.

        Raises:
            EnvironmentFailedError: If the environment raised on `max_failures` different tasks in a row.
            SpacesDifferError: If the spaces have changed, as a part of the task or with its environment.
            TypeError: If ``apply="reset"`` and the configuration is not a mapping, or if the environment does not
                return an observation and a dict.
        """
        result = self._episodes.begin(seed, options, self._reset_env)
        try:
            self._observation, info = checked("reset", ("observation", "info"), result)
            info = as_info("reset", info)
        except TypeError:
            self._episodes.cancel("failed")
            raise
        self._return = 0.0
        return self._observation, {**info, INFO_KEY: self._episodes.opening.copy()}

    def _reset_env(self, task: Task[ConfigT], seed: int | None, options: dict[str, Any] | None) -> Any:
        """Resets the environment with `task`, and returns what it returned."""
        env = self.env
        result = env.reset(seed=seed, options=options)
        if not isinstance(env, TaskEnv):  # which checks each new environment by itself
            found = spaces_of(env)
            if found != self._spaces:
                check_spaces(self._spaces, found, [task])
            self._spaces = found  # objects that are the same need no comparison next time
        return result

    def step(self, action: ActType) -> tuple[ObsType, SupportsFloat, bool, bool, dict[str, Any]]:
        """Steps the environment and, at the episode's end, tells the score.

        A step that raises one of the errors below ends the episode; the hand-out is cancelled, and `reset` continues.

        Returns:
            Observation, reward, whether terminated, whether truncated, and info, as `gymnasium.Env.step`.

        Raises:
            gymnasium.error.ResetNeeded: If no episode is in play.
            EnvironmentFailedError: If the environment raised on `max_failures` different tasks in a row.
            KeyError: If ``score="success"`` and the last info lacks it.
            TypeError: If the environment returns other types than `gymnasium.Env.step` does.
            ValueError: If the score lies outside of the curriculum's `score_range`.
        """
        episodes = self._episodes
        task = episodes.task
        if task is None:
            raise gymnasium.error.ResetNeeded(
                "step: expected an episode in play, got none; call reset() first and after each episode's end "
                "(a wrapper that resets by itself belongs around CurriculumEnv, not inside)"
            )
        try:
            result = self.env.step(action)
        except Exception as error:  # noqa: BLE001 -- as in reset
            return self._observation, 0.0, False, True, {INFO_KEY: episodes.fail(task, error)}
        try:
            names = ("observation", "reward", "terminated", "truncated", "info")
            observation, reward, terminated, truncated, info = checked("step", names, result)
            info = as_info("step", info)
            self._return += as_number("env.step: reward", reward, "return one number")
            is_over = as_flag("terminated", terminated) | as_flag("truncated", truncated)
        except (TypeError, ValueError):
            episodes.cancel("failed")
            raise
        self._observation = observation
        episodes.length += 1
        is_first = episodes.length == 1
        if is_first:
            info = {**info, INFO_KEY: episodes.opening.copy()}
        if is_over:
            report = episodes.end(Episode(task, self._return, episodes.length, info))
            info = {**info, INFO_KEY: {**episodes.opening, **report} if is_first else report}
        return observation, reward, terminated, truncated, info

    def close(self) -> None:
        """Closes the environment and cancels the episode in play."""
        self._episodes.cancel("closed")
        super().close()


def _set_task(env: TaskEnv[Any, Any, ConfigT], task: Task[ConfigT]) -> None:
    env.task = task
