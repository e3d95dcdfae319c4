"""What wrappers of one environment share: how a task gets into it, and one hand-out per episode. No framework."""

from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

from ..curriculum import Curriculum
from ..task import ConfigT, Task
from .episodes import Episode, Handouts, named_method, opening
from .spaces import SpacesDifferError

__all__ = ["Application", "EnvEpisodes"]

Result = TypeVar("Result")


class Application(Generic[ConfigT]):
    """How a task is applied to an environment before each reset.

    Args:
        apply: A function ``apply(env, task)``; the name of a method of the environment that takes the task's
            configuration; or ``"reset"``: the configuration goes to ``env.reset(options=…)``.
        lookup: How the framework finds an attribute of `env`; raises `AttributeError` if there is none.
        env: The environment.

    Raises:
        ValueError: If `env` has no method of the given name.
        TypeError: If the given name is not a method's.
    """

    def __init__(
        self, apply: Callable[[Any, Task[ConfigT]], None] | str, lookup: Callable[[str], Any], env: Any
    ) -> None:
        self._env = env
        self._function = apply if callable(apply) else None
        self._method = None if callable(apply) or apply == "reset" else named_method(apply, lookup, env)

    def options(self, task: Task[ConfigT], options: dict[str, Any] | None) -> dict[str, Any] | None:
        """Returns the caller's options; with ``apply="reset"``, the task's configuration is merged in.

        Raises:
            TypeError: If ``apply="reset"`` and the configuration is not a mapping.
        """
        if self._function is not None or self._method is not None:
            return options
        if not isinstance(task.config, Mapping):
            raise TypeError(
                f"apply='reset': expected task configurations that are mappings, to be reset options, got "
                f"{task.config!r}; let the generator build dicts, or pass a function"
            )
        return {**(options or {}), **task.config}

    def put(self, task: Task[ConfigT]) -> None:
        """Applies the task."""
        if self._function is not None:
            self._function(self._env, task)
        elif self._method is not None:
            self._method(task.config)


class EnvEpisodes(Generic[ConfigT]):
    """The episodes of one environment: asks for a task for each, and ends each hand-out once.

    Args:
        curriculum: Where tasks come from.
        handouts: Where they end.
        application: How they are applied.
    """

    def __init__(
        self, curriculum: Curriculum[ConfigT], handouts: Handouts[ConfigT], application: Application[ConfigT]
    ) -> None:
        self._curriculum = curriculum
        self._handouts = handouts
        self._application = application
        self._last_id: int | None = None
        self.task: Task[ConfigT] | None = None
        """The task of the episode in play; None before the first reset and after an episode's end."""
        self.length: int = 0
        """Number of steps of the episode in play."""
        self.opening: dict[str, Any] = {}
        """The report on the beginning of the episode in play."""

    def begin(
        self,
        seed: int | None,
        options: dict[str, Any] | None,
        reset: Callable[[Task[ConfigT], int | None, dict[str, Any] | None], Result],
    ) -> Result:
        """Begins an episode with the next task on which the environment does not raise.

        Args:
            seed: The caller's seed.
            options: The caller's options.
            reset: Resets the environment, to which the task was applied, with the seed and the options.

        Returns:
            What `reset` returned.

        Raises:
            EnvironmentFailedError: If the environment raised on `max_failures` different tasks in a row.
            SpacesDifferError: If `reset` found other spaces.
            TypeError: If ``apply="reset"`` and the configuration is not a mapping.
        """
        if self.task is not None:
            self.cancel("reset")
            self._handouts.count_abandoned(self.length)
        while True:
            task = self.task = self._curriculum.get_task()
            task_options = self._application.options(task, options)
            try:
                self._application.put(task)
                result = reset(task, seed, task_options)
            except SpacesDifferError:
                self.cancel("failed")
                raise
            except Exception as error:  # noqa: BLE001 -- an environment may raise anything; it is logged, then chained
                self.cancel("failed")
                self._handouts.report_failed([task], error)
                continue
            self.length = 0
            self.opening, self._last_id = opening(task, self._last_id), task.task_id
            return result

    def end(self, episode: Episode[ConfigT]) -> dict[str, Any]:
        """Tells the score of the episode in play, which the environment ended, and returns the report on it.

        Raises:
            KeyError: If the info lacks what the rule reads.
            TypeError: If the score or the regret is not a number.
            ValueError: If the score lies outside of the curriculum's range, or the regret is not finite.
        """
        try:
            reports = self._handouts.tell([episode])
        except Exception:
            self.task = None  # the hand-out is cancelled
            raise
        self.task = None
        self._handouts.add_stats(reports, [episode])
        return reports[0]

    def fail(self, task: Task[ConfigT], error: Exception) -> dict[str, Any]:
        """Ends the episode of `task`, in which the environment raised, and returns the report on it.

        Raises:
            EnvironmentFailedError: If the environment raised on `max_failures` different tasks in a row.
        """
        self.cancel("failed")
        (report,) = self._handouts.report_cut([task], error, 1)
        return report

    def cancel(self, reason: str) -> None:
        """Cancels the episode in play, if there is one."""
        if self.task is not None:
            self._handouts.cancel([self.task], reason)
            self.task = None
