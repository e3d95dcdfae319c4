"""`CurriculumEnv` for `gymnasium.Env`: every episode plays a task of the curriculum."""

from collections.abc import Callable, Mapping
from typing import Any, Generic, SupportsFloat, TypeVar

try:
    import gymnasium
except ModuleNotFoundError as _error:
    raise ImportError("curricular.wrappers.gymnasium needs Gymnasium: pip install 'curricular[gymnasium]'") from _error

from ..curriculum import Curriculum
from ..task import ConfigT, Task
from .episodes import INFO_KEY, Episode, Handouts, ScoreRule, named_method
from .statistics import StatsInterval

__all__ = ["CurriculumEnv"]

ObsType = TypeVar("ObsType")
ActType = TypeVar("ActType")


class CurriculumEnv(gymnasium.Wrapper[ObsType, ActType, ObsType, ActType], Generic[ObsType, ActType, ConfigT]):
    """Wraps an environment so that every episode plays a task of `curriculum`.

    `reset` asks for a task and applies it to `env`. The step that ends the episode tells its score. An episode that
    `reset` or `close` abandons is cancelled: counted, never scored. Several environments may share one curriculum.

    If `env` raises on a task, the task is cancelled. In `reset`, the wrapper asks for another task at once. In `step`,
    the wrapper ends the episode: truncated, reward 0, the previous observation; the next `reset` asks for another task.

    The key ``"curriculum"`` of an info holds a dict:

    - from `reset`: ``task_id`` and ``label``;
    - from the step that ends an episode: ``task_id``, ``label`` and ``score``; after every `stats_interval` episodes of
      the curriculum also ``stats``, as `Curriculum.stats`;
    - from a step that raised: ``task_id``, ``label`` and ``error``.

    Args:
        env: The environment. Its spaces are the same for all tasks.
        curriculum: Where tasks come from.
        apply: How a task gets into the environment, before each reset. A function ``apply(env, task)``; or the name of
            a method of the environment that takes the task's configuration, such as ``"set_mg_config"``; or
            ``"reset"``, which passes the configuration, a mapping, to ``env.reset(options=…)``.
        score: What is told at an episode's end: ``"return"``, ``"success"`` (of the last info), or a function of an
            `Episode`.
        score_range: Lowest and highest score, mapped onto the curriculum's range. None: the curriculum's range, or
            (0, 1) for ``"success"``. A score outside raises `ValueError`.
        stats_interval: Number of episodes of the curriculum, over all its environments, between two ``stats`` in an
            info. ``"auto"``: 100, or a sixteenth of a larger pool. None: no ``stats``.
        max_failures: Number of consecutive failures of the environment that raises `EnvironmentFailedError`.

    Raises:
        ValueError: If the environment has no method of the given name, or an argument is out of its range.
        TypeError: If the given name is not a method's.

    Examples:
        >>> import gymnasium
        >>> from curricular import Curriculum, UniformConfig, bucketed
        >>> tasks = bucketed({"low": -0.05, "high": 0.05}, {"high": [0.05, 0.1, 0.2]})
        >>> curriculum = Curriculum(UniformConfig(num_active_tasks=3), tasks)
        >>> env = CurriculumEnv(gymnasium.make("CartPole-v1"), curriculum, apply="reset", score_range=(0, 500))
        >>> _, info = env.reset(seed=0)
        >>> info["curriculum"]["label"] == env.task.label
        True
    """

    def __init__(
        self,
        env: gymnasium.Env[ObsType, ActType],
        curriculum: Curriculum[ConfigT],
        *,
        apply: Callable[[gymnasium.Env[ObsType, ActType], Task[ConfigT]], None] | str,
        score: ScoreRule[ConfigT] = "return",
        score_range: tuple[float, float] | None = None,
        stats_interval: StatsInterval = "auto",
        max_failures: int = 5,
    ) -> None:
        super().__init__(env)
        self.curriculum = curriculum
        self._handouts = Handouts(curriculum, score, score_range, stats_interval, max_failures)
        self._apply: Callable[..., Any] = apply if callable(apply) else named_method(apply, env.get_wrapper_attr, env)
        self._how = "function" if callable(apply) else "options" if apply == "reset" else "setter"
        self._task: Task[ConfigT] | None = None
        self._return = 0.0
        self._length = 0

    @property
    def task(self) -> Task[ConfigT] | None:
        """The task of the episode in play; None before the first `reset` and after an episode's end."""
        return self._task

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
            EnvironmentFailedError: If the environment raised on `max_failures` tasks in a row.
            TypeError: If ``apply="reset"`` and the configuration is not a mapping.
        """
        self._abandon("the episode was abandoned by reset()")
        while True:
            task = self._task = self.curriculum.get_task()
            task_options = self._options(task, options)
            try:
                self._put(task)
                self._observation, info = self.env.reset(seed=seed, options=task_options)
            except Exception as error:  # noqa: BLE001 -- an environment may raise anything; it is logged, then chained
                self._fail(task, error)
            else:
                self._return, self._length = 0.0, 0
                return self._observation, {**info, INFO_KEY: {"task_id": task.task_id, "label": task.label}}

    def step(self, action: ActType) -> tuple[ObsType, SupportsFloat, bool, bool, dict[str, Any]]:
        """Steps the environment and, at the episode's end, tells the score.

        Returns:
            Observation, reward, whether terminated, whether truncated, and info, as `gymnasium.Env.step`.

        Raises:
            gymnasium.error.ResetNeeded: If no episode is in play.
            EnvironmentFailedError: If the environment raised on `max_failures` tasks in a row.
            KeyError: If ``score="success"`` and the last info lacks it.
            ValueError: If the score lies outside of `score_range`.
        """
        task = self._task
        if task is None:
            raise gymnasium.error.ResetNeeded(
                "step: expected an episode in play, got none; call reset() first and after each episode's end "
                "(a wrapper that resets by itself belongs around CurriculumEnv, not inside)"
            )
        try:
            observation, reward, terminated, truncated, info = self.env.step(action)
        except Exception as error:  # noqa: BLE001 -- as in reset
            return self._observation, 0.0, False, True, {INFO_KEY: self._fail(task, error)}
        self._observation = observation
        self._return += float(reward)
        self._length += 1
        if terminated or truncated:
            (report,) = self._handouts.tell([Episode(task, self._return, self._length, info)])
            self._task = None
            info = {**info, INFO_KEY: report}
        return observation, reward, terminated, truncated, info

    def close(self) -> None:
        """Closes the environment and cancels the episode in play."""
        self._abandon("the environment was closed")
        super().close()

    def _options(self, task: Task[ConfigT], options: dict[str, Any] | None) -> dict[str, Any] | None:
        """Returns the caller's options; with ``apply="reset"``, the task's configuration is merged in."""
        if self._how != "options":
            return options
        if not isinstance(task.config, Mapping):
            raise TypeError(
                f"apply='reset': expected task configurations that are mappings, to be reset options, got "
                f"{task.config!r}; let the generator build dicts, or pass a function"
            )
        return {**(options or {}), **task.config}

    def _put(self, task: Task[ConfigT]) -> None:
        if self._how == "function":
            self._apply(self.env, task)
        elif self._how == "setter":
            self._apply(task.config)

    def _fail(self, task: Task[ConfigT], error: Exception) -> dict[str, Any]:
        self._task = None
        (report,) = self._handouts.fail([task], error)
        return report

    def _abandon(self, reason: str) -> None:
        if self._task is not None:
            self._handouts.cancel([self._task], reason)
            self._task = None
