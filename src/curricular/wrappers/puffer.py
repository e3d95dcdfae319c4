"""`CurriculumEnv` for PufferLib: every episode in a native vector environment plays a task of the curriculum.

A native `PufferEnv` steps several environments of several agents at once, and restarts each environment by itself. The
wrapper cannot reset a single environment, so the task must be applied before the environment restarts. The argument
`autoreset` says when an environment restarts, in Gymnasium's words. The wrapper cannot find out, and a wrong value
would credit scores to the wrong task, so `autoreset` has no default:

- ``"next_step"``: the environment restarts at the first call of `step` after the call that ended the episode. The
  wrapper calls `apply` between the two. Use this value also if `apply` restarts the environment by itself.
- ``"same_step"``: the environment restarts within the step that ends the episode, and returns the first observation of
  the next episode. The wrapper calls `apply` one episode ahead: right after an episode began, with the task of the
  episode that follows. `apply` must not change the episode in play; it sets what the restart reads.

For a `gymnasium.Env` in PufferLib's emulation, wrap the inner environment instead::

    def make_env(buf=None, seed=0):
        env = curricular.wrappers.gymnasium.CurriculumEnv(gymnasium.make(…), curriculum, apply=…)
        return pufferlib.emulation.GymnasiumPufferEnv(env, buf=buf, seed=seed)
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Generic, Literal

try:
    from pufferlib.pufferlib import APIUsageError  # where type checkers see it
except ModuleNotFoundError as _error:
    raise ImportError(
        "curricular.wrappers.puffer needs PufferLib: "
        "pip install 'curricular[puffer]' && pip install --no-deps pufferlib-core==3.0.23"
    ) from _error

from ..curriculum import Curriculum
from ..task import ConfigT, Task
from .agents import AgentEpisodes
from .episodes import DEFAULT_MAX_FAILURES, INFO_KEY, Episode, Handouts, RegretRule, ScoreRule, named_method
from .puffer_forwarding import ForwardingEnv
from .puffer_tasks import EnvTasks
from .puffer_workers import Multiprocessing as Multiprocessing
from .puffer_workers import WorkerError, in_worker, message_of
from .reducers import Reducer, reducer
from .returns import checked, infos_of
from .statistics import StatsInterval

__all__ = ["CurriculumEnv", "Multiprocessing", "WorkerError"]

Steps = tuple[Any, Any, Any, Any, list[dict[str, Any]]]
"""Observations, rewards, terminals, truncations, infos."""

_NUM_RESULTS = 5

_SPACES = ("num_agents", "single_observation_space", "single_action_space")


class CurriculumEnv(ForwardingEnv, Generic[ConfigT]):
    """Wraps a native vector environment so that every episode in it plays a task of `curriculum`.

    `env` holds ``env.num_agents / agents_per_env`` environments; environment i has the agents from
    ``i * agents_per_env`` on. Its episode ends when each of its agents was terminated or truncated since the episode
    began; agents whose mask is False do not count. The wrapper then tells the score and asks for a new task. Episodes
    that `reset` or `close` abandons are cancelled: counted, never scored. If no episode ends in 100,000 steps, the log
    has a warning.

    If `apply` raises, its task is cancelled and another task applied. If `env` raises from `reset` or `step`, the tasks
    of all its environments are cancelled, and all are reset with other tasks; such a step returns the first
    observations, rewards 0 and truncations True.

    The wrapper uses the buffers of `env`. It writes them only after a step that raised, and the next call resets the
    truncations. It forwards reads of public names that it does not define, such as ``env.render_mode`` or a method, to
    `env`.

    If the wrapper raises in a worker process of PufferLib's ``Multiprocessing``, `recv` raises a `WorkerError` in the
    main process. If a worker was killed, PufferLib's `recv` waits forever. That of `Multiprocessing` of this module, to
    pass to ``pufferlib.vector.make`` as `backend`, raises a `WorkerError`.

    For each episode that ended, infos get ``{"curriculum": {"env_index", "task_id", "label", "score"}}``; after every
    `stats_interval` episodes of the curriculum also ``"stats"``, as `Curriculum.stats`. For an episode that a raising
    step ended, they get ``"error"`` instead of ``"score"``.

    Args:
        env: A native `PufferEnv`. Its spaces and its number of agents are the same for all tasks; others are an error.
        curriculum: Where tasks come from.
        apply: How a task is applied to an environment. A function ``apply(env, task, env_index)`` that changes
            environment `env_index` only; or, if `env` is one environment, the name of a method of `env` that takes the
            task's configuration, such as ``"set_mg_config"``.
        autoreset: When `env` restarts an environment whose episode ended: see the module.
        agents_per_env: Number of agents in one environment. None: all, `env` is one environment.
        reduce: How the returns of an environment's agents become one number: ``"mean"``, ``"max"``, ``"min"``,
            ``"sum"`` or a function.
        score: The score told at an episode's end: ``"return"``; ``"success"`` (of the last step's infos), if `env` is
            one environment, since PufferLib does not say which environment an info is from; or a function of an
            `Episode`, whose `info` is empty if `env` holds several. A score outside of the curriculum's `score_range`
            raises `ValueError`.
        stats_interval: Number of episodes of the curriculum, over all its environments, between two ``stats`` in an
            info. ``"auto"``: 100, or an eighth of a larger pool; more if episodes are shorter than 20 steps. None: no
            ``stats``.
        max_failures: Number of different tasks in a row on which the environment must raise for
            `EnvironmentFailedError`; in a smaller pool, all tasks. One task that always fails is not enough. Any one
            task in play may have caused a call to raise, so with several environments it takes more failures.
        regret: The regret told at an episode's end, a function of an `Episode`, for algorithms that choose by regret.

    Raises:
        ValueError: If `env` is emulated, if the algorithm chooses by regret and there is no `regret`, or if an argument
            is out of its range or needs a single environment.
        TypeError: If the given name is not a method's.
    """

    def __init__(
        self,
        env: Any,
        curriculum: Curriculum[ConfigT],
        *,
        apply: Callable[[Any, Task[ConfigT], int], None] | str,
        autoreset: Literal["next_step", "same_step"],
        agents_per_env: int | None = None,
        reduce: Reducer = "mean",
        score: ScoreRule[ConfigT] = "return",
        stats_interval: StatsInterval = "auto",
        max_failures: int = DEFAULT_MAX_FAILURES,
        regret: RegretRule[ConfigT] = None,
    ) -> None:
        if env.emulated:
            raise ValueError(
                f"env: expected a native PufferEnv, got {env}, which emulates one; wrap the environment inside of it "
                f"with the CurriculumEnv of that environment's framework"
            )
        super().__init__(env)
        self.curriculum = curriculum
        size = env.num_agents if agents_per_env is None else agents_per_env
        if size < 1 or env.num_agents % size:
            raise ValueError(
                f"agents_per_env: expected a divisor of the {env.num_agents} agents, got {size}; "
                f"pass the number of agents in one environment"
            )
        num_envs = env.num_agents // size
        if num_envs > 1 and (isinstance(apply, str) or score == "success"):
            name, value = ("apply", apply) if isinstance(apply, str) else ("score", score)
            raise ValueError(
                f"{name}: expected a function, since {env} holds {num_envs} environments, got {value!r}; "
                f"pass a function that reads env_index"
            )
        if autoreset not in {"next_step", "same_step"}:
            raise ValueError(
                f"autoreset: expected 'next_step' or 'same_step', got {autoreset!r}; say when env restarts"
            )
        self._handouts = Handouts(curriculum, score, stats_interval, max_failures, regret)
        self._is_setter = isinstance(apply, str)
        self._apply: Callable[..., Any] = (
            named_method(apply, partial(getattr, env), env) if isinstance(apply, str) else apply
        )
        self._reduce = reducer(reduce)
        self._num_envs = num_envs
        self._episodes = AgentEpisodes(num_envs, size)
        self._has_cut = False
        is_ahead = autoreset == "same_step"
        self._tasks = EnvTasks(curriculum, self._handouts, self._put, partial(self._spaces_of, env), is_ahead=is_ahead)

    @property
    def tasks(self) -> Mapping[int, Task[ConfigT]]:
        """The task of the episode in play, by index of the environment; empty before the first `reset`."""
        return dict(self._tasks.playing)

    def reset(self, seed: int | None = None) -> tuple[Any, list[dict[str, Any]]]:
        """Begins an episode with a new task in every environment.

        Args:
            seed: The seed of the environments. The curriculum has a seed of its own.

        Returns:
            The first observations, in the environment's buffer, and the infos.

        Raises:
            EnvironmentFailedError: If the environment raised on `max_failures` different tasks in a row.
            TypeError: If the environment does not return observations and infos.
            ValueError: If a task changes the spaces of the environment.
        """
        try:
            return self._reset(seed)
        except Exception as error:  # noqa: BLE001 -- in a worker, it would be lost
            return self.env.observations, [message_of(error, in_worker())]

    def _reset(self, seed: int | None) -> tuple[Any, list[dict[str, Any]]]:
        if self._tasks.cancel_all("reset"):
            self._handouts.count_abandoned(self._episodes.longest)
        if self._has_cut:
            self._uncut()
        indices = list(range(self._num_envs))
        while True:
            self._tasks.hand_out(indices)
            try:
                result = self.env.reset() if seed is None else self.env.reset(seed=seed)
            except Exception as error:  # noqa: BLE001 -- an environment may raise anything; it is logged, then chained
                self._fail_all(error)
                continue
            try:
                observations, infos = checked("reset", ("observations", "infos"), result)
                infos = infos_of("reset", infos)
            except TypeError:
                self._tasks.cancel_all("failed")
                raise
            self._tasks.check_restarted()
            self._episodes.begin(indices)
            self._tasks.hand_out_ahead(indices)
            return observations, infos

    def step(self, actions: Any) -> Steps:
        """Steps all environments, tells the scores of the episodes that end, and applies the tasks that follow.

        If an episode has no valid score, it is cancelled, and the error is raised after all others have been told. The
        next step continues.

        Returns:
            Observations, rewards, terminals and truncations, in the environment's buffers, and the infos.

        Raises:
            pufferlib.APIUsageError: If there was no `reset` yet.
            EnvironmentFailedError: If the environment raised on `max_failures` different tasks in a row.
            KeyError: If ``score="success"`` and the infos lack it.
            TypeError: If the environment returns other types or shapes than a `PufferEnv` does.
            ValueError: If a score lies outside of the curriculum's `score_range`.
        """
        try:
            return self._step(actions)
        except Exception as error:  # noqa: BLE001 -- in a worker, it would be lost
            env, message = self.env, message_of(error, in_worker())
            return env.observations, env.rewards, env.terminals, env.truncations, [message]

    def _step(self, actions: Any) -> Steps:
        if not self._tasks.playing:
            raise APIUsageError("step: expected episodes in play, got none; call reset() first")
        if self._has_cut:
            self._uncut()
        try:
            result = self.env.step(actions)
        except Exception as error:  # noqa: BLE001 -- as in reset
            return self._cut(error)
        try:
            if type(result) is not tuple or len(result) != _NUM_RESULTS:
                result = checked("step", ("observations", "rewards", "terminals", "truncations", "infos"), result)
            observations, rewards, terminals, truncations, infos = result
            if type(infos) is not list or infos:
                infos = infos_of("step", infos)
            if self._tasks.applied:
                self._tasks.check_restarted()
            ended = self._episodes.add(rewards, terminals, truncations, self.env.masks)
        except (TypeError, ValueError):
            self._tasks.cancel_all("failed")
            raise
        if ended:
            infos = [*infos, *self._end(ended, infos)]
        return observations, rewards, terminals, truncations, infos

    def close(self) -> None:
        """Closes the environment and cancels the episodes in play."""
        self._tasks.cancel_all("closed")
        self.env.close()

    def _put(self, task: Task[ConfigT], index: int) -> None:
        if self._is_setter:
            self._apply(task.config)
        else:
            self._apply(self.env, task, index)

    def _spaces_of(self, env: Any, task: Task[ConfigT] | None) -> dict[str, Any]:
        """Returns what must be the same for all tasks, by name; None: of the environment as it was wrapped."""
        return {name: getattr(env, name) for name in _SPACES}

    def _end(self, ended: list[int], infos: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Tells the scores of the episodes in `ended`, begins the next ones and returns an info for each."""
        episodes: list[Episode[ConfigT]] = []
        errors: list[Exception] = []
        for index in ended:
            try:
                episodes.append(self._episode(index, infos))
            except Exception as error:  # noqa: BLE001 -- a user's `reduce` may raise anything; it is raised below
                errors.append(error)
                self._handouts.cancel([self._tasks.playing[index]], "unscored")
                self._tasks.forget([index])
        try:
            reports = self._handouts.tell(episodes)
        except Exception:
            self._follow(ended)  # the environments restart whatever the scores are
            raise
        self._follow(ended)
        if errors:
            raise errors[0]
        self._handouts.add_stats(reports, episodes)
        return [{INFO_KEY: {"env_index": index, **report}} for index, report in zip(ended, reports, strict=True)]

    def _episode(self, index: int, infos: Sequence[Mapping[str, Any]]) -> Episode[ConfigT]:
        is_alone = self._num_envs == 1
        info = {key: value for info in infos for key, value in info.items()} if is_alone else {}
        episode_return = self._reduce(self._episodes.returns[index])
        return Episode(self._tasks.playing[index], episode_return, self._episodes.length_of(index), info, index)

    def _follow(self, ended: list[int]) -> None:
        """Begins the episodes that follow those in `ended`, and hands out the next tasks."""
        self._tasks.forget(ended)
        self._episodes.begin(ended)
        self._tasks.follow(ended)

    def _cut(self, error: Exception) -> Steps:
        """Begins new episodes after a step that raised, and returns a step that truncates the old ones."""
        indices = list(self._tasks.playing)
        reports = self._fail_all(error)
        observations, infos = self._reset(None)
        self.rewards[:] = 0
        self.terminals[:] = False
        self.truncations[:] = True
        self._has_cut = True
        lost = [{INFO_KEY: {"env_index": index, **report}} for index, report in zip(indices, reports, strict=False)]
        return observations, self.rewards, self.terminals, self.truncations, [*infos, *lost]

    def _uncut(self) -> None:
        """Resets the truncations that `_cut` wrote: not every environment writes its truncations."""
        self.env.truncations[:] = False
        self._has_cut = False

    def _fail_all(self, error: Exception) -> list[dict[str, Any]]:
        return self._handouts.report_failed(self._tasks.cancel_all("failed"), error)
