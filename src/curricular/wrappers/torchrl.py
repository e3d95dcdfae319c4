"""`CurriculumTransform` for TorchRL: every episode of an environment, or of a batch of them, plays a task."""

from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeAlias, cast

try:
    import torch
    from torchrl.data import Unbounded
    from torchrl.envs import Transform
except ModuleNotFoundError as _error:
    raise ImportError("curricular.wrappers.torchrl needs TorchRL: pip install 'curricular[torchrl]'") from _error

import numpy as np
from numpy.typing import NDArray

from ..curriculum import Curriculum
from ..task import ConfigT, Task
from .episodes import DEFAULT_MAX_FAILURES, Episode, Handouts, RegretRule, ScoreRule
from .returns import add_rewards, by_env

__all__ = ["CurriculumTransform"]

# Type checkers see a plain class here, whether TorchRL is installed or not.
_Base = cast(type[object], Transform)

Apply: TypeAlias = Callable[[Any, Sequence[Task[ConfigT]], Sequence[int]], None]


class CurriculumTransform(_Base, Generic[ConfigT]):  # type: ignore[valid-type, misc]
    """Hands out a task for each episode of the environment that it is appended to, and tells the score.

    The environment may have a batch size, such as that of a `SerialEnv`. The transform asks for tasks and applies them
    before the environments restart, and adds the key ``"task_id"``, of the shape of ``"done"``, to the observations.

    Append it after the transforms that end episodes, such as `StepCounter`, and before those that change the rewards
    for training. An episode that a reset or `close` abandons is cancelled. If the environment raises, so does TorchRL;
    the next reset cancels the tasks of that step. If `apply` raises on a task, another one is asked for.

    Args:
        curriculum: Where tasks come from.
        apply: How tasks are applied: a function ``apply(env, tasks, indices)``, which gives ``tasks[i]`` to the
            environment with the index ``indices[i]`` before it restarts. `env` is the base environment, without
            transforms. An environment without a batch size has the index 0.
        score: The score told at an episode's end: ``"return"``, ``"success"`` (of the last step), or a function of an
            `Episode`, whose `info` has the entries of the last step by key.
        max_failures: Number of different tasks in a row on which `apply` must raise for `EnvironmentFailedError`.
        regret: The regret told at an episode's end, a function of an `Episode`, for algorithms that choose by regret.

    Raises:
        ValueError: If the algorithm chooses by regret and there is no `regret`, or if an argument is out of its range.

    Examples:
        >>> from curricular import Curriculum, UniformConfig
        >>> from torchrl.envs import GymEnv, TransformedEnv
        >>> curriculum = Curriculum([5.0, 9.8, 20.0], UniformConfig(score_range=(0, 500)))
        >>> def apply(env, tasks, indices):
        ...     env.unwrapped.gravity = tasks[0].config
        >>> env = TransformedEnv(GymEnv("CartPole-v1"), CurriculumTransform(curriculum, apply))
        >>> env.rollout(20)["task_id"].shape[1:]
        torch.Size([1])
    """

    def __init__(
        self,
        curriculum: Curriculum[ConfigT],
        apply: Apply[ConfigT],
        *,
        score: ScoreRule[ConfigT] = "return",
        max_failures: int = DEFAULT_MAX_FAILURES,
        regret: RegretRule[ConfigT] = None,
    ) -> None:
        super().__init__()
        self.curriculum: Curriculum[ConfigT] = curriculum
        self._handouts = Handouts(curriculum, score, None, max_failures, regret)
        self._put = apply
        self._coming: dict[int, Task[ConfigT]] = {}
        self._playing: dict[int, Task[ConfigT]] = {}
        self._returns: NDArray[np.float64] = np.zeros(0)
        self._lengths: NDArray[np.int64] = np.zeros(0, np.int64)

    def transform_observation_spec(self, observation_spec: Any) -> Any:
        """Adds the key ``"task_id"``."""
        shape = torch.Size([*self._base_env.batch_size, 1])
        observation_spec["task_id"] = Unbounded(shape, dtype=torch.int64, device=self._base_env.device)
        return observation_spec

    def close(self) -> None:
        """Cancels the episodes in play."""
        if tasks := [*self._playing.values(), *self._coming.values()]:
            self._handouts.cancel(tasks, "closed")
        self._playing.clear()
        self._coming.clear()

    def _reset_env_preprocess(self, tensordict: Any) -> Any:
        """Applies tasks to the environments that are about to restart. TorchRL may call it twice for one reset."""
        if not len(self._returns):
            num_envs = self._base_env.batch_size.numel()
            self._returns, self._lengths = np.zeros(num_envs), np.zeros(num_envs, np.int64)
        indices = [index for index in self._restarting(tensordict) if index not in self._coming]
        if abandoned := [index for index in indices if index in self._playing]:
            self._handouts.cancel([self._playing[index] for index in abandoned], "reset")
            list(map(self._playing.pop, abandoned))  # a single step of the interpreter, as in `_step`
            self._handouts.count_abandoned(int(self._lengths[abandoned].max()))
        while indices:
            tasks = self.curriculum.ask(len(indices))
            self._coming.update(zip(indices, tasks, strict=True))
            try:
                self._put(self._base_env, tasks, indices)
            except Exception as error:  # noqa: BLE001 -- a user's function may raise anything; it is logged, then chained
                self._handouts.cancel(tasks, "failed")
                list(map(self._coming.pop, indices))
                self._handouts.report_failed(tasks, error)
                continue
            break
        return cast(Any, super())._reset_env_preprocess(tensordict)  # noqa: SLF001  it is made to be overridden

    def _reset(self, tensordict: Any, tensordict_reset: Any) -> Any:
        """Begins episodes in the environments that have restarted."""
        for index in self._restarting(tensordict):
            self._playing[index] = self._coming.pop(index)
            self._returns[index] = self._lengths[index] = 0
        return self._with_ids(tensordict_reset)

    def _reset_on_native_autoreset(self, tensordict: Any, tensordict_reset: Any) -> Any:
        raise NotImplementedError(
            "CurriculumTransform: expected an environment that TorchRL resets, got one that restarts by itself; wrap "
            "the environment inside with the CurriculumEnv of its framework"
        )

    def _step(self, tensordict: Any, next_tensordict: Any) -> Any:
        """Adds the rewards of a step, and tells the scores of the episodes that it ended."""
        next_tensordict = self._with_ids(next_tensordict)
        playing = list(self._playing)
        shape = len(self._returns), 1
        rewards, done = (by_env(name, _flat(next_tensordict[name]), shape)[:, 0] for name in ("reward", "done"))
        add_rewards(self._returns, rewards)
        self._lengths[playing] += 1
        if ended := [index for index in playing if done[index]]:
            rows = next_tensordict.reshape(-1)
            returns, lengths = self._returns.tolist(), self._lengths.tolist()
            try:
                self._handouts.tell(
                    [
                        Episode(self._playing[index], returns[index], lengths[index], dict(rows[index].items()), index)
                        for index in ended
                    ]
                )
            except Exception:
                list(map(self._playing.pop, ended))  # the episodes are over whatever the scores are
                raise
            # A single step of the interpreter, so that a signal cannot interrupt it halfway.
            list(map(self._playing.pop, ended))
        return next_tensordict

    @property
    def _base_env(self) -> Any:
        return cast(Any, self).container.base_env

    def _restarting(self, tensordict: Any) -> list[int]:
        """Returns the indices of the environments that a reset is about."""
        mask = None if tensordict is None else tensordict.get("_reset", None)
        if mask is None:
            return list(range(len(self._returns)))
        found: list[int] = np.flatnonzero(_flat(mask)).tolist()
        return found

    def _with_ids(self, tensordict: Any) -> Any:
        ids = [self._playing[index].task_id if index in self._playing else -1 for index in range(len(self._returns))]
        column = torch.tensor(ids, dtype=torch.int64, device=tensordict.device)
        return tensordict.set("task_id", column.reshape(*self._base_env.batch_size, 1))


def _flat(column: torch.Tensor) -> NDArray[Any]:
    return column.detach().cpu().numpy().reshape(-1)
