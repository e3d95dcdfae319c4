"""`CurriculumEnv` for PufferLib: every episode in a native vector environment plays a task of the curriculum.

A native `PufferEnv` steps several environments of several agents at once and restarts each by itself. So the wrapper
cannot reset one of them: the task has to be there already when the environment restarts. When that is, the argument
`autoreset` says, in Gymnasium's words. The wrapper cannot find out, and a wrong word would credit scores to the wrong
task, so there is no default:

- ``"next_step"``: the environment restarts at the first call of `step` after the one that ended the episode. The
  wrapper calls `apply` between the two. So it does with an `apply` that restarts the environment by itself.
- ``"same_step"``: the environment restarts within the step that ended the episode, and its observation is already
  the next episode's. The wrapper calls `apply` one episode ahead: right after an episode began, with the task of the
  one that will follow. `apply` must leave the episode in play alone and set what the restart reads.

For `gymnasium.Env` within PufferLib's emulation, wrap the inner environment instead::

    def make_env(buf=None, seed=0):
        env = curricular.wrappers.gymnasium.CurriculumEnv(gymnasium.make(…), curriculum, apply=…)
        return pufferlib.emulation.GymnasiumPufferEnv(env, buf=buf, seed=seed)
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Generic, Literal, cast

import numpy as np
from numpy.typing import NDArray

try:
    from pufferlib.pufferlib import APIUsageError, PufferEnv  # where type checkers see them
except ModuleNotFoundError as _error:
    raise ImportError(
        "curricular.wrappers.puffer needs PufferLib: "
        "pip install 'curricular[puffer]' && pip install --no-deps pufferlib-core==3.0.23"
    ) from _error

from ..curriculum import Curriculum
from ..task import ConfigT, Task
from . import INFO_KEY, Episode, Handouts, ScoreRule, named_method

__all__ = ["CurriculumEnv"]

Reducer = Literal["mean", "max", "min", "sum"] | Callable[[NDArray[np.float64]], float]
"""Makes one number of the returns of an environment's agents, shape (agents_per_env,)."""

Steps = tuple[Any, Any, Any, Any, list[dict[str, Any]]]
"""Observations, rewards, terminals, truncations, infos."""

_REDUCERS: dict[str, Callable[[NDArray[np.float64]], float]] = {
    "mean": np.mean,
    "max": np.max,
    "min": np.min,
    "sum": np.sum,
}


# PufferLib is not typed: type checkers see a plain class here.
_Base = cast(type[object], PufferEnv)


class CurriculumEnv(_Base, Generic[ConfigT]):  # type: ignore[valid-type, misc]
    """A native vector environment in whose every environment every episode plays a task of `curriculum`.

    `env` holds ``env.num_agents / agents_per_env`` environments; environment i has the agents from
    ``i * agents_per_env`` on. Its episode ends when each of its agents was terminated or truncated since it began; then
    its score is told and a new task asked for. Episodes abandoned by `reset` or `close` are cancelled: counted, never
    scored.

    The buffers are the wrapped environment's own, untouched. If `apply` raises, that task is cancelled and
    another one applied. If `env` raises from `reset` or `step`, the tasks of all its environments are cancelled and all
    are reset with others; such a step returns the first observations, rewards 0 and truncations True. That alone is
    written into the buffers, and the next call takes the truncations back.

    For each episode that ended, infos get ``{"curriculum": {"env_index", "task_id", "label", "score"}}``, after every
    `stats_interval` episodes also ``"stats"``, as `Curriculum.stats`; for a task on which the environment raised in a
    step, ``"error"``.

    Args:
        env: A native `PufferEnv`; its spaces are the same for all tasks.
        curriculum: Where tasks come from.
        apply: How a task gets into an environment: a function ``apply(env, task, env_index)``, which affects
            environment `env_index` only; or, if there is just one, the name of a method of `env` that takes the
            task's configuration, such as ``"set_mg_config"``.
        autoreset: When `env` restarts an environment whose episode ended: see the module.
        agents_per_env: Agents in one environment; None: all, `env` is one environment.
        reduce: Makes one return of those of an environment's agents: ``"mean"``, ``"max"``, ``"min"``, ``"sum"`` or a
            function.
        score: What is told at an episode's end: ``"return"``; ``"success"`` of the last step's infos, if there is just
            one environment, since PufferLib does not say which environment an info is from; or a function of an
            `Episode`, whose `info` is empty if there are several.
        score_range: As in `wrappers.gymnasium`, and so are `stats_interval` and `max_failures`.

    Raises:
        ValueError: if `env` is emulated, or an argument is out of its range or needs a single environment.
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
        score_range: tuple[float, float] | None = None,
        stats_interval: int | None = 100,
        max_failures: int = 5,
    ) -> None:
        if env.emulated:
            raise ValueError(
                f"env: expected a native PufferEnv, got {env}, which emulates one; wrap the environment inside of it "
                f"with the CurriculumEnv of its own framework"
            )
        # Not super().__init__(), which makes buffers: all that it sets is forwarded below.
        self.env = env
        self.curriculum = curriculum
        size = env.num_agents if agents_per_env is None else agents_per_env
        if size < 1 or env.num_agents % size:
            raise ValueError(
                f"agents_per_env: expected a divisor of the {env.num_agents} agents, got {size}; "
                f"count the agents of one environment"
            )
        num_envs = env.num_agents // size
        if num_envs > 1 and (isinstance(apply, str) or score == "success"):
            name, value = ("apply", apply) if isinstance(apply, str) else ("score", score)
            raise ValueError(
                f"{name}: expected a function, since {env} holds {num_envs} environments, got {value!r}; "
                f"pass a function that minds env_index"
            )
        if autoreset not in {"next_step", "same_step"}:
            raise ValueError(
                f"autoreset: expected 'next_step' or 'same_step', got {autoreset!r}; say when env restarts"
            )
        if not callable(reduce) and reduce not in _REDUCERS:
            raise ValueError(f"reduce: expected a function or one of {', '.join(_REDUCERS)}, got {reduce!r}; use one")
        self._handouts = Handouts(curriculum, score, score_range, stats_interval, max_failures)
        self._is_setter = isinstance(apply, str)
        self._apply: Callable[..., Any] = (
            named_method(apply, partial(getattr, env), env) if isinstance(apply, str) else apply
        )
        self._reduce = reduce if callable(reduce) else _REDUCERS[reduce]
        self._is_ahead = autoreset == "same_step"
        self._playing: dict[int, Task[ConfigT]] = {}
        self._coming: dict[int, Task[ConfigT]] = {}
        self._returns = np.zeros((num_envs, size))
        self._lengths = np.zeros(num_envs, np.int64)
        self._is_done = np.zeros((num_envs, size), np.bool_)
        self._has_cut = False

    @property
    def tasks(self) -> Mapping[int, Task[ConfigT]]:
        """The task of the episode in play, by environment; empty before the first `reset`."""
        return dict(self._playing)

    def reset(self, seed: int | None = None) -> tuple[Any, list[dict[str, Any]]]:
        """Begins an episode with a new task in every environment. `seed` is theirs; the curriculum has its own.

        Raises `EnvironmentFailedError` after `max_failures` failures in a row.
        """
        self._cancel_all("the episode was abandoned by reset()")
        self._uncut()
        while True:
            self._hand_out(range(len(self._returns)), self._playing)
            try:
                observations, infos = self.env.reset() if seed is None else self.env.reset(seed=seed)
            except Exception as error:  # noqa: BLE001 -- an environment may raise anything; it is logged, then chained
                self._fail_all(error)
                continue
            self._begin(slice(None))
            if self._is_ahead:
                self._hand_out(range(len(self._returns)), self._coming)
            return observations, infos

    def step(self, actions: Any) -> Steps:
        """Steps all environments; tells the scores of the episodes that end, and applies the tasks that follow.

        Raises `pufferlib.APIUsageError` before the first `reset`, and as `reset` and `Handouts.tell` do.
        """
        if not self._playing:
            raise APIUsageError("step: expected episodes in play, got none; call reset() first")
        self._uncut()
        try:
            observations, rewards, terminals, truncations, infos = self.env.step(actions)
        except Exception as error:  # noqa: BLE001 -- as in reset
            return self._cut(error)
        shape = self._returns.shape
        self._returns += np.reshape(rewards, shape)
        self._lengths += 1
        self._is_done |= np.logical_or(terminals, truncations).reshape(shape)
        ended = np.flatnonzero(self._is_done.all(axis=1))
        if len(ended):
            infos = [*infos, *self._end(ended.tolist(), infos)]
        return observations, rewards, terminals, truncations, infos

    def close(self) -> None:
        """Closes the environment; episodes in play are cancelled."""
        self._cancel_all("the environment was closed")
        self.env.close()

    # Handing out

    def _hand_out(self, indices: Iterable[int], tasks: dict[int, Task[ConfigT]]) -> None:
        """Asks for a task for each index, applies it and notes it in `tasks`."""
        for index in indices:
            while index not in tasks:
                task = self.curriculum.get_task()
                try:
                    self._put(task, index)
                except Exception as error:  # noqa: BLE001 -- as in reset
                    self._handouts.fail([task], error)
                else:
                    tasks[index] = task

    def _put(self, task: Task[ConfigT], index: int) -> None:
        if self._is_setter:
            self._apply(task.config)
        else:
            self._apply(self.env, task, index)

    def _begin(self, indices: slice | list[int]) -> None:
        self._returns[indices] = 0.0
        self._lengths[indices] = 0
        self._is_done[indices] = False

    def _end(self, ended: list[int], infos: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Tells the scores of the episodes in `ended`, begins the next ones and returns what infos say about each."""
        is_alone = len(self._returns) == 1
        info = {key: value for info in infos for key, value in info.items()} if is_alone else {}
        episodes = [
            Episode(self._playing[index], float(self._reduce(self._returns[index])), length, info, index)
            for index, length in zip(ended, self._lengths[ended].tolist(), strict=True)
        ]
        reports = self._handouts.tell(episodes)
        self._begin(ended)
        for index in ended:
            del self._playing[index]
            if self._is_ahead:
                self._playing[index] = self._coming.pop(index)
        self._hand_out(ended, self._coming if self._is_ahead else self._playing)
        return [{INFO_KEY: {"env_index": index, **report}} for index, report in zip(ended, reports, strict=True)]

    def _cut(self, error: Exception) -> Steps:
        """What a step returns in which the environment raised: new episodes, the old ones truncated."""
        indices = list(self._playing)
        reports = self._fail_all(error)
        observations, infos = self.reset()
        self.rewards[:] = 0
        self.terminals[:] = False
        self.truncations[:] = True
        self._has_cut = True
        lost = [{INFO_KEY: {"env_index": index, **report}} for index, report in zip(indices, reports, strict=False)]
        return observations, self.rewards, self.terminals, self.truncations, [*infos, *lost]

    def _uncut(self) -> None:
        """Takes back what `_cut` wrote: not every environment writes its truncations."""
        if self._has_cut:
            self.env.truncations[:] = False
            self._has_cut = False

    def _fail_all(self, error: Exception) -> list[dict[str, Any]]:
        return self._handouts.fail(self._take_all(), error)

    def _cancel_all(self, reason: str) -> None:
        if tasks := self._take_all():
            self._handouts.cancel(tasks, reason)

    def _take_all(self) -> list[Task[ConfigT]]:
        """All tasks at hand, those in play first."""
        tasks = [*self._playing.values(), *self._coming.values()]
        self._playing.clear()
        self._coming.clear()
        return tasks

    # Forwarding: what PufferLib reads of a PufferEnv

    @property
    def observations(self) -> Any:
        """The wrapped environment's buffer, as the following."""
        return self.env.observations

    @property
    def rewards(self) -> Any:
        return self.env.rewards

    @property
    def terminals(self) -> Any:
        return self.env.terminals

    @property
    def truncations(self) -> Any:
        return self.env.truncations

    @property
    def teacher_actions(self) -> Any:
        return self.env.teacher_actions

    @property
    def masks(self) -> Any:
        return self.env.masks

    @property
    def actions(self) -> Any:
        return self.env.actions

    @property
    def agent_ids(self) -> Any:
        return self.env.agent_ids

    @property
    def num_agents(self) -> int:
        return int(self.env.num_agents)

    @property
    def single_observation_space(self) -> Any:
        return self.env.single_observation_space

    @property
    def single_action_space(self) -> Any:
        return self.env.single_action_space

    @property
    def single_transport_action_space(self) -> Any:
        return self.env.single_transport_action_space

    @property
    def observation_space(self) -> Any:
        return self.env.observation_space

    @property
    def action_space(self) -> Any:
        return self.env.action_space

    @property
    def metadata(self) -> Any:
        return self.env.metadata

    @property
    def emulated(self) -> Any:
        return self.env.emulated

    @property
    def done(self) -> Any:
        return self.env.done

    def render(self, *args: Any, **kwargs: Any) -> Any:
        return self.env.render(*args, **kwargs)

    def notify(self) -> None:
        self.env.notify()
