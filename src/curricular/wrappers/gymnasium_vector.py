"""`CurriculumEnv` for `gymnasium.vector.VectorEnv`: one curriculum for many environments, in the trainer's process.

The class of the same name for one environment is in `curricular.wrappers.gymnasium`.
"""

from collections.abc import Callable, Sequence
from itertools import repeat
from typing import Any, Generic, TypeAlias

try:
    from gymnasium.error import ResetNeeded
    from gymnasium.vector import AsyncVectorEnv, AutoresetMode, VectorEnv, VectorWrapper
except ModuleNotFoundError as _error:
    raise ImportError(
        "curricular.wrappers.gymnasium_vector needs Gymnasium: pip install 'curricular[gymnasium]'"
    ) from _error

import numpy as np
from numpy.typing import NDArray

from ..curriculum import Curriculum
from ..task import ConfigT, Task
from .episodes import DEFAULT_MAX_FAILURES, AnyRegretRule, Episode, Handouts, ScoreRule, opening, parted
from .returns import add_rewards, as_info, by_env, checked
from .spaces import SpacesDifferError
from .statistics import StatsInterval
from .vector_infos import InfoOf, checked_final, reported, with_final

__all__ = ["CurriculumEnv"]

Apply: TypeAlias = Callable[[Any, Sequence[Task[ConfigT]], Sequence[int]], None]
Steps: TypeAlias = tuple[Any, NDArray[Any], NDArray[Any], NDArray[Any], dict[str, Any]]


class CurriculumEnv(VectorWrapper, Generic[ConfigT]):
    """Wraps a vector environment so that every episode of each environment plays a task of `curriculum`.

    The wrapper asks for tasks and tells scores in batches. It reads from ``metadata["autoreset_mode"]`` when the
    environments restart. With ``SAME_STEP``, an environment restarts within the step that ends its episode. So each
    task is applied one episode ahead, and the environment must read its task when it restarts.

    If `env` raises in `step`, all episodes are cancelled and truncated, and all environments restart. With an
    `AsyncVectorEnv`, whose workers end when they raise, the wrapper raises the error.

    Under the key ``"curriculum"``, the infos have the same entries as those of `wrappers.gymnasium.CurriculumEnv`, as
    arrays in Gymnasium's format: ``task_id``, ``label`` and ``task_changed`` where an environment has restarted, and
    ``task_id``, ``label`` and ``score``, or ``error``, where an episode has ended. With ``SAME_STEP``, the entries of
    ended episodes are in ``infos["final_info"]``.

    Args:
        env: The vector environment, such as a `SyncVectorEnv`, an `AsyncVectorEnv` or a native one.
        curriculum: Where tasks come from.
        apply: How tasks are applied to the environments before these restart. A function ``apply(env, tasks,
            indices)``, where `indices` has the index of the environment for each task; or the name of an attribute of
            the environments of a `SyncVectorEnv` or `AsyncVectorEnv` that is set to the `Task`, such as ``"task"`` of a
            `TaskEnv`.
        score: The score told at an episode's end: ``"return"``, ``"success"`` (of the last info), or a function of an
            `Episode`. A score outside of the curriculum's `score_range` raises `ValueError`.
        stats_interval: Number of episodes of the curriculum between two ``stats`` in an info. ``"auto"``: 100, or an
            eighth of a larger pool; more if episodes are shorter than 20 steps. None: no ``stats``.
        max_failures: Number of different tasks in a row on which the environment must raise for
            `EnvironmentFailedError`; in a smaller pool, all tasks.
        regret: The regret told at an episode's end, a function of an `Episode`, for algorithms that choose by regret;
            or a `LateRegrets`, by which the trainer tells scores and regrets when it knows the latter.

    Raises:
        ValueError: If the environment has no known autoreset mode or no attribute of the given name, if the algorithm
            chooses by regret and `regret` is missing, or if an argument is out of its range.
        TypeError: If `env` is not a `VectorEnv`.

    Examples:
        >>> import gymnasium
        >>> from curricular import Curriculum, Span, UniformConfig, bucketed
        >>> tasks = bucketed({"gravity": 9.8}, {"gravity": Span(5.0, 30.0)})
        >>> curriculum = Curriculum(UniformConfig(num_active_tasks=8, score_range=(0, 500)), tasks)
        >>> envs = gymnasium.make_vec("CartPole-v1", num_envs=4, vectorization_mode="vector_entry_point")
        >>> envs.unwrapped.gravity = np.full(4, 9.8)
        >>> def apply(envs, tasks, indices):
        ...     envs.unwrapped.gravity[indices] = [task.config["gravity"] for task in tasks]
        >>> envs = CurriculumEnv(envs, curriculum, apply=apply)
        >>> _, infos = envs.reset(seed=0)
        >>> infos["curriculum"]["task_id"].shape
        (4,)
    """

    def __init__(
        self,
        env: VectorEnv[Any, Any, Any],
        curriculum: Curriculum[ConfigT],
        *,
        apply: Apply[ConfigT] | str,
        score: ScoreRule[ConfigT] = "return",
        stats_interval: StatsInterval = "auto",
        max_failures: int = DEFAULT_MAX_FAILURES,
        regret: AnyRegretRule[ConfigT] = None,
    ) -> None:
        if not isinstance(env, VectorEnv):
            raise TypeError(
                f"env: expected a gymnasium.vector.VectorEnv, got {env!r:.100}; for one environment, use the "
                f"CurriculumEnv of curricular.wrappers.gymnasium"
            )
        super().__init__(env)
        self._playing: dict[int, Task[ConfigT]] = {}
        self._coming: dict[int, Task[ConfigT]] = {}
        self._last_ids: dict[int, int] = {}
        self._restarting: list[int] = []
        self.curriculum = curriculum
        self._handouts = Handouts(curriculum, score, stats_interval, max_failures, *parted(regret))
        self._mode = _mode_of(env)
        self._apply: Apply[ConfigT] = apply if callable(apply) else _attribute(env, apply)
        self._returns = np.zeros(env.num_envs)
        self._lengths = np.zeros(env.num_envs, np.int64)
        self._observations: Any = None

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Begins an episode in every environment, or in those of ``options["reset_mask"]``.

        Episodes of these environments that have not ended are cancelled.

        Args:
            seed: The seed of the environments. The seed of the curriculum is in its config.
            options: Options of the environment's reset.

        Raises:
            EnvironmentFailedError: If the environment raised on `max_failures` different tasks in a row.
            SpacesDifferError: If a `TaskEnv` found other spaces.
            TypeError: If the environment does not return observations and a dict.
            ValueError: If ``options["reset_mask"]`` is not an array of truth values of shape (num_envs,).
        """
        indices = self._restarted_by(options)
        if self._cancel(indices, "reset"):
            self._handouts.count_abandoned(int(self._lengths[indices].max()))
        while True:
            self._hand_out(indices, self._playing)
            try:
                result = self.env.reset(seed=seed, options=None if options is None else dict(options))
            except Exception as error:  # noqa: BLE001 -- an environment may raise anything; it is logged, then chained
                self._stop_if_final(error)
                self._handouts.report_failed(self._cancel(indices, "failed"), error)
                continue
            try:
                self._observations, infos = checked("reset", ("observations", "infos"), result)
                infos = as_info("reset", infos)
            except TypeError:
                self._cancel_all("failed")
                raise
            self._restarting = [index for index in self._restarting if index not in set(indices)]
            opened = self._begin(indices)
            if self._mode is AutoresetMode.SAME_STEP:
                self._hand_out(indices, self._coming)
            return self._observations, reported(infos, opened, self.num_envs)

    def step(self, actions: Any) -> Steps:
        """Steps all environments and tells the scores of the episodes that end.

        If an episode has no valid score, it is cancelled, and the error is raised after the scores of all other
        episodes have been told. The next step continues.

        Returns:
            Observations, rewards, terminations, truncations and infos, as `VectorEnv.step`.

        Raises:
            gymnasium.error.ResetNeeded: If an environment has no episode in progress.
            EnvironmentFailedError: If the environment raised on `max_failures` different tasks in a row.
            KeyError: If ``score="success"`` and the infos have no ``"success"``.
            TypeError: If the environment returns other types or shapes than `VectorEnv.step` does.
            ValueError: If a score lies outside of the curriculum's `score_range`.
        """
        restarting, self._restarting = self._restarting, []
        self._hand_out(restarting, self._playing)
        if len(self._playing) < self.num_envs:
            raise ResetNeeded("step: expected an episode in every environment, got some without; call reset() first")
        try:
            result = self.env.step(actions)
        except Exception as error:  # noqa: BLE001 -- as in reset
            self._stop_if_final(error)
            return self._cut(error)
        try:
            names = ("observations", "rewards", "terminations", "truncations", "infos")
            self._observations, rewards, terminations, truncations, infos = checked("step", names, result)
            shape = self.num_envs, 1
            add_rewards(self._returns, by_env("rewards", rewards, shape)[:, 0])
            flags = by_env("terminations", terminations, shape), by_env("truncations", truncations, shape)
            ended = np.flatnonzero(np.logical_or(*flags)).tolist()
            infos = as_info("step", infos)
            if self._mode is AutoresetMode.SAME_STEP:
                infos = checked_final(infos, self.num_envs)
        except (TypeError, ValueError):
            self._cancel_all("failed")
            raise
        self._lengths += 1
        opened = self._begin(restarting)
        if ended or opened:
            infos = self._end(ended, infos, opened)
        return self._observations, rewards, terminations, truncations, infos

    def close(self, **kwargs: Any) -> None:
        """Closes the environments and cancels the episodes in progress."""
        self._cancel_all("closed")
        super().close(**kwargs)

    # Handing out

    def _restarted_by(self, options: dict[str, Any] | None) -> list[int]:
        """Returns the indices of the environments that a reset is about."""
        if options is None or options.get("reset_mask") is None:
            return list(range(self.num_envs))
        mask = np.asarray(options["reset_mask"])
        if mask.shape != (self.num_envs,) or mask.dtype != np.bool_:
            raise ValueError(
                f"options['reset_mask']: expected an array of truth values of shape ({self.num_envs},), got shape "
                f"{mask.shape} and dtype {mask.dtype}; pass terminations | truncations"
            )
        indices: list[int] = np.flatnonzero(mask).tolist()
        return indices

    def _hand_out(self, indices: Sequence[int], tasks: dict[int, Task[ConfigT]]) -> None:
        """Asks for a task for each environment without an entry in `tasks`, adds it to `tasks` and applies it."""
        missing = [index for index in indices if index not in tasks]
        while missing:
            asked = self.curriculum.ask(len(missing))
            # Added first: if an interrupt ends `apply`, close() still cancels the tasks.
            tasks.update(zip(missing, asked, strict=True))
            failed = self._put(asked, missing)
            for index, error in failed:
                task = tasks[index]
                self._handouts.cancel([task], "failed")
                del tasks[index]
                self._handouts.report_failed([task], error)
            missing = [index for index, _ in failed]

    def _put(self, tasks: Sequence[Task[ConfigT]], indices: Sequence[int]) -> list[tuple[int, Exception]]:
        """Applies the tasks, or if that raises, one by one. Returns the environments that raised, with the errors."""
        try:
            self._apply(self.env, tasks, indices)
        except Exception as error:  # noqa: BLE001 -- as in reset
            self._stop_if_final(error)
            if len(tasks) == 1:
                return [(indices[0], error)]
            pairs = zip(tasks, indices, strict=True)
            return [failure for task, index in pairs for failure in self._put([task], [index])]
        return []

    def _begin(self, indices: Sequence[int]) -> dict[int, dict[str, Any]]:
        """Begins episodes in these environments and returns the report on each."""
        if not indices:
            return {}
        self._returns[indices] = 0.0
        self._lengths[indices] = 0
        opened = {index: opening(self._playing[index], self._last_ids.get(index)) for index in indices}
        self._last_ids.update((index, self._playing[index].task_id) for index in indices)
        return opened

    def _end(self, ended: list[int], infos: dict[str, Any], opened: dict[int, dict[str, Any]]) -> dict[str, Any]:
        """Tells the scores of the episodes of the environments in `ended`, and returns the infos with all reports."""
        is_same_step = self._mode is AutoresetMode.SAME_STEP
        finals = infos.get("final_info", {}) if is_same_step else infos
        returns, lengths = self._returns[ended].tolist(), self._lengths[ended].tolist()
        episodes = [
            Episode(self._playing[index], total, length, InfoOf(finals, index) if finals else {}, index)
            for index, total, length in zip(ended, returns, lengths, strict=True)
        ]
        try:
            told = self._handouts.tell(episodes)
        except Exception:
            self._follow(ended)  # the environments restart whatever the scores are
            raise
        opened = opened | self._follow(ended)
        self._handouts.add_stats(told, episodes)
        reports = dict(zip(ended, told, strict=True))
        if not is_same_step:
            return reported(infos, opened | reports, self.num_envs)
        return reported(with_final(infos, reports, self.num_envs), opened, self.num_envs)

    def _follow(self, ended: Sequence[int]) -> dict[int, dict[str, Any]]:
        """Removes the tasks of the environments in `ended`. Begins the episodes that follow within the same step."""
        # Each change of a dict is a single step of the interpreter, so that a signal cannot interrupt it halfway.
        list(map(self._playing.pop, ended))
        if self._mode is AutoresetMode.NEXT_STEP:
            self._restarting = list(ended)
        if self._mode is not AutoresetMode.SAME_STEP:
            return {}
        self._playing.update(zip(ended, map(self._coming.pop, ended), strict=True))
        opened = self._begin(ended)
        self._hand_out(ended, self._coming)
        return opened

    # Episodes that end without a score

    def _cut(self, error: Exception) -> Steps:
        """Cancels all episodes after a step that raised, and returns a step that truncates them."""
        playing = [index for index in range(self.num_envs) if index in self._playing]
        lost = self._cancel(playing, "failed")
        reports = dict(zip(playing, self._handouts.report_cut(lost, error, self.num_envs), strict=False))
        infos: dict[str, Any] = {}
        if self._mode is not AutoresetMode.DISABLED:
            _, infos = self.reset()
        if self._mode is AutoresetMode.SAME_STEP:
            infos = with_final(infos, reports, self.num_envs)
        else:
            infos = reported(infos, reports, self.num_envs)
        flags = np.zeros(self.num_envs, np.bool_)
        return self._observations, np.zeros(self.num_envs), flags, ~flags, infos

    def _cancel(self, indices: Sequence[int], reason: str) -> list[Task[ConfigT]]:
        """Cancels, removes and returns the tasks of these environments, those of running episodes first."""
        handed = self._playing, self._coming
        if cancelled := [tasks[index] for tasks in handed for index in indices if index in tasks]:
            self._handouts.cancel(cancelled, reason)
            # Each is a single step of the interpreter, as in `_follow`.
            list(map(self._playing.pop, indices, repeat(None)))
            list(map(self._coming.pop, indices, repeat(None)))
        return cancelled

    def _cancel_all(self, reason: str) -> None:
        self._restarting = []
        self._cancel(range(self.num_envs), reason)

    def _stop_if_final(self, error: Exception) -> None:
        """Raises `error` if the environment cannot continue after it, or if another task cannot help."""
        if isinstance(error, SpacesDifferError) or isinstance(self.env.unwrapped, AsyncVectorEnv):
            self._cancel_all("failed")
            raise error


def _mode_of(env: VectorEnv[Any, Any, Any]) -> AutoresetMode:
    mode = env.metadata.get("autoreset_mode")
    try:
        return AutoresetMode(mode)
    except ValueError as error:
        names = ", ".join(f"AutoresetMode.{known.name}" for known in AutoresetMode)
        raise ValueError(
            f"env: expected metadata['autoreset_mode'] to be one of {names}, got {mode!r}; set what the environment "
            f"does at the end of an episode, since a wrong mode credits scores to the wrong tasks"
        ) from error


def _attribute(env: Any, name: str) -> Apply[Any]:
    """Returns a function that sets the attribute `name` of the environments to their tasks."""
    try:
        values = list(env.unwrapped.get_attr(name))
    except (AttributeError, TypeError) as error:
        raise ValueError(
            f"apply: expected a function, or the name of an attribute of the environments of a SyncVectorEnv or "
            f"AsyncVectorEnv, got {name!r}, which {env} does not have; correct the name, declare the attribute "
            f"in the class of the environment ({name} = None), or pass a function"
        ) from error

    def apply(env: Any, tasks: Sequence[Task[Any]], indices: Sequence[int]) -> None:
        for index, task in zip(indices, tasks, strict=True):
            values[index] = task
        env.unwrapped.set_attr(name, values)

    return apply
