"""`CurriculumEnv` for PettingZoo's parallel API: every episode of the agents plays a task of the curriculum."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Generic, TypeAlias, cast

try:
    from pettingzoo.utils import BaseParallelWrapper
except ModuleNotFoundError as _error:
    raise ImportError(
        "curricular.wrappers.pettingzoo needs PettingZoo: pip install 'curricular[pettingzoo]'"
    ) from _error

import numpy as np

from ..curriculum import Curriculum
from ..inputs import as_number
from ..task import ConfigT, Task
from .episodes import DEFAULT_MAX_FAILURES, INFO_KEY, Episode, Handouts, RegretRule, ScoreRule
from .reducers import REDUCERS, Reducer, reducer
from .returns import as_flag, as_info, by_agent, checked
from .single import Application, EnvEpisodes
from .spaces import SpacesDifferError as SpacesDifferError
from .spaces import check_spaces
from .statistics import StatsInterval

__all__ = ["CurriculumEnv", "SpacesDifferError"]

Infos: TypeAlias = dict[Any, dict[str, Any]]
Steps: TypeAlias = tuple[dict[Any, Any], dict[Any, float], dict[Any, bool], dict[Any, bool], Infos]

# PettingZoo is not marked as typed: type checkers see a plain class here.
_Base = cast(type[object], BaseParallelWrapper)


class CurriculumEnv(_Base, Generic[ConfigT]):  # type: ignore[valid-type, misc]
    """Wraps a `ParallelEnv` so that every episode plays a task of `curriculum`.

    An episode ends when no agent is left: each one was terminated or truncated. The return of an agent that leaves
    early counts. The rule `reduce` makes one number of the agents' returns, and of each number in their last infos.

    An episode that `reset` or `close` abandons is cancelled. If `env` raises on a task, the task is cancelled; a step
    that raises truncates all agents, with rewards of 0 and the previous observations.

    The info of every agent has the entry ``"curriculum"`` of `wrappers.gymnasium.CurriculumEnv`: from `reset` and the
    first step ``task_id``, ``label`` and ``task_changed``; from the last step ``task_id``, ``label`` and ``score``, or
    ``error``.

    Args:
        env: The environment. The spaces of its possible agents are the same for all tasks.
        curriculum: Where tasks come from.
        apply: How a task is applied to the environment before each reset. A function ``apply(env, task)``; the name of
            a method of ``env.unwrapped`` that takes the task's configuration; or ``"reset"``, which passes the
            configuration, a mapping, to ``env.reset(options=…)``.
        reduce: How the numbers of several agents become one: ``"mean"``, ``"max"``, ``"min"``, ``"sum"`` or a function
            of an array with a number for each agent of the episode, in the order of ``env.possible_agents``. Needed
            unless there is a single agent.
        score: The score told at an episode's end: ``"return"``, ``"success"`` (of the last infos), or a function of an
            `Episode`. Its `info` has each key of the agents' last infos, with the reduced number, or with a dict of the
            values by agent if they are not numbers.
        stats_interval: Number of episodes of the curriculum between two ``stats`` in an info. ``"auto"``: 100, or an
            eighth of a larger pool; more if episodes are shorter than 20 steps. None: no ``stats``.
        max_failures: Number of different tasks in a row on which the environment must raise for
            `EnvironmentFailedError`; in a smaller pool, all tasks.
        regret: The regret told at an episode's end, a function of an `Episode`, for algorithms that choose by regret.

    Raises:
        ValueError: If there are several agents and no `reduce`, if the environment has no method of the given name, if
            the algorithm chooses by regret and there is no `regret`, or if an argument is out of its range.
        TypeError: If the given name is not a method's.
    """

    def __init__(
        self,
        env: Any,
        curriculum: Curriculum[ConfigT],
        *,
        apply: Callable[[Any, Task[ConfigT]], None] | str,
        reduce: Reducer | None = None,
        score: ScoreRule[ConfigT] = "return",
        stats_interval: StatsInterval = "auto",
        max_failures: int = DEFAULT_MAX_FAILURES,
        regret: RegretRule[ConfigT] = None,
    ) -> None:
        self.env: Any = env  # all that the base class sets
        if reduce is None and len(env.possible_agents) > 1:
            raise ValueError(
                f"reduce: expected a rule for the {len(env.possible_agents)} agents of {env}, got None; pass one of "
                f"{', '.join(REDUCERS)}, or a function of their numbers"
            )
        self._reduce = reducer("sum" if reduce is None else reduce)
        self.curriculum: Curriculum[ConfigT] = curriculum
        self._handouts = Handouts(curriculum, score, stats_interval, max_failures, regret)
        application = Application(apply, partial(getattr, env.unwrapped), env)
        self._episodes = EnvEpisodes(curriculum, self._handouts, application)
        self._spaces = _spaces_of(env)
        self._observations: dict[Any, Any] = {}
        self._returns: dict[Any, float] = {}
        self._infos: dict[Any, dict[str, Any]] = {}
        self._flagged: set[Any] = set()

    @property
    def task(self) -> Task[ConfigT] | None:
        """The task of the episode in play; None before the first `reset` and after an episode's end."""
        return self._episodes.task

    @property
    def agents(self) -> list[Any]:
        """The agents that are to act."""
        return [] if self.task is None else [agent for agent in self.env.agents if agent not in self._flagged]

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[dict[Any, Any], Infos]:
        """Begins an episode with the next task.

        Args:
            seed: The seed of the environment. The curriculum has a seed of its own.
            options: Options of the environment's reset. With ``apply="reset"``, the task's configuration wins.

        Returns:
            The first observation and the info of each agent.

        Raises:
            EnvironmentFailedError: If the environment raised on `max_failures` different tasks in a row.
            SpacesDifferError: If a task changed the agents or their spaces.
            TypeError: If the environment does not return observations and infos, or if ``apply="reset"`` and the
                configuration is not a mapping.
        """
        result = self._episodes.begin(seed, options, self._reset_env)
        try:
            names = ("observations", "infos")
            self._observations, infos = map(partial(by_agent, "reset"), names, checked("reset", names, result))
            self._infos = {agent: as_info("reset", info) for agent, info in infos.items()}
        except TypeError:
            self._episodes.cancel("failed")
            raise
        self._returns, self._flagged = {}, set()
        return self._observations, _reported(self._observations, self._infos, self._episodes.opening)

    def _reset_env(self, task: Task[ConfigT], seed: int | None, options: dict[str, Any] | None) -> Any:
        """Resets the environment with `task`, and returns what it returned."""
        result = self.env.reset(seed=seed, options=options)
        check_spaces(self._spaces, _spaces_of(self.env), [task])
        return result

    def step(self, actions: dict[Any, Any]) -> Steps:
        """Steps the agents and, when none is left, tells the score.

        A step that raises one of the errors below ends the episode; the hand-out is cancelled, and `reset` continues.

        Returns:
            Observations, rewards, terminations, truncations and infos by agent, as `ParallelEnv.step`.

        Raises:
            RuntimeError: If no episode is in play.
            EnvironmentFailedError: If the environment raised on `max_failures` different tasks in a row.
            KeyError: If ``score="success"`` and the last infos lack it.
            TypeError: If the environment returns other types than `ParallelEnv.step` does.
            ValueError: If the score lies outside of the curriculum's `score_range`.
        """
        episodes, task, agents = self._episodes, self.task, self.agents
        if task is None:
            raise RuntimeError(
                "step: expected an episode in play, got none; call reset() first and after each episode's end"
            )
        try:
            result = self.env.step(actions)
        except Exception as error:  # noqa: BLE001 -- an environment may raise anything; it is logged, then chained
            report = episodes.fail(task, error)
            last = {agent: self._observations[agent] for agent in agents if agent in self._observations}
            infos = _reported(last, {}, report)
            return last, dict.fromkeys(last, 0.0), dict.fromkeys(last, False), dict.fromkeys(last, True), infos
        try:
            names = ("observations", "rewards", "terminations", "truncations", "infos")
            observations, rewards, terminations, truncations, infos = map(
                partial(by_agent, "step"), names, checked("step", names, result)
            )
            infos = {agent: as_info("step", info) for agent, info in infos.items()}
            self._add(rewards, terminations, truncations)
        except (TypeError, ValueError):
            episodes.cancel("failed")
            raise
        self._observations = {**self._observations, **observations}
        self._infos.update(infos)
        episodes.length += 1
        report = episodes.opening if episodes.length == 1 else {}
        if not self.agents:
            report = {**report, **self._tell(task)}
        return observations, rewards, terminations, truncations, _reported(rewards, infos, report)

    def close(self) -> None:
        """Closes the environment and cancels the episode in play."""
        self._episodes.cancel("closed")
        self.env.close()

    def _add(self, rewards: Mapping[Any, Any], *flags: Mapping[Any, Any]) -> None:
        for agent, reward in rewards.items():
            if agent not in self._spaces["observation_space"]:
                raise TypeError(
                    f"env.step: expected rewards of the possible agents {self._spaces['possible_agents']!r:.200}, got "
                    f"one of {agent!r}; list it in env.possible_agents"
                )
            number = as_number(f"env.step: reward of {agent}", reward, "return one number per agent")
            self._returns[agent] = self._returns.get(agent, 0.0) + number
        for name, values in zip(("terminated", "truncated"), flags, strict=True):
            self._flagged.update(agent for agent, flag in values.items() if as_flag(name, flag))

    def _tell(self, task: Task[ConfigT]) -> dict[str, Any]:
        """Tells the score of the episode and returns the report on it."""
        try:
            total = self._reduced(self._returns) if self._returns else 0.0
            episode = Episode(task, total, self._episodes.length, self._merged_info())
        except Exception:
            self._episodes.cancel("unscored")
            raise
        return self._episodes.end(episode)

    def _reduced(self, numbers: Mapping[Any, Any]) -> float:
        ordered = [numbers[agent] for agent in self.env.possible_agents if agent in numbers]
        return self._reduce(np.asarray(ordered, np.float64))

    def _merged_info(self) -> dict[str, Any]:
        """Returns, by key of the agents' last infos, the reduced number, or the values by agent."""
        by_key: dict[str, dict[Any, Any]] = {}
        for agent in self.env.possible_agents:
            for key, value in self._infos.get(agent, {}).items():
                by_key.setdefault(key, {})[agent] = value
        return {
            key: self._reduced(values) if all(map(_is_number, values.values())) else values
            for key, values in by_key.items()
        }


def _reported(agents: Mapping[Any, Any], infos: Mapping[Any, dict[str, Any]], report: dict[str, Any]) -> Infos:
    """Returns the infos of `agents` and others with `report` in each, if there is one."""
    if not report:
        return dict(infos)
    return {agent: {**infos.get(agent, {}), INFO_KEY: report.copy()} for agent in {**agents, **infos}}


def _is_number(value: Any) -> bool:
    return isinstance(value, bool | int | float | np.bool_ | np.integer | np.floating)


def _spaces_of(env: Any) -> dict[str, Any]:
    """Returns the possible agents and their spaces, by name."""
    agents = list(env.possible_agents)
    observation_spaces = {agent: env.observation_space(agent) for agent in agents}
    action_spaces = {agent: env.action_space(agent) for agent in agents}
    return {"possible_agents": agents, "observation_space": observation_spaces, "action_space": action_spaces}
