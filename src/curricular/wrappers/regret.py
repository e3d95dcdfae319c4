"""The regrets that a wrapper tells: by a rule at each episode's end, or late, when the trainer knows them."""

import math
from collections.abc import Sequence
from typing import Any, NoReturn, get_args

import numpy as np
from numpy.typing import ArrayLike

from ..config import CurriculumConfig
from ..curriculum import Curriculum
from ..inputs import as_array, as_number
from ..task import Task

__all__ = ["LateRegrets", "as_regret", "check_regret_rule"]

TOLD = "told"
"""Value of a config's field that makes its algorithm need regrets."""


class LateRegrets:
    """Keeps the scores of ended episodes until the trainer knows their regrets, as PPO does after a rollout.

    Pass it to a wrapper for Gymnasium as `regret`. Wrappers in one process may share one, if they share the
    curriculum. The hand-outs of kept episodes stay pending.

    Examples:
        >>> import gymnasium
        >>> from curricular import Curriculum, PrioritizedLevelReplayConfig
        >>> from curricular.wrappers.gymnasium import CurriculumEnv
        >>> curriculum = Curriculum([{"is_slippery": True}, {"is_slippery": False}], PrioritizedLevelReplayConfig())
        >>> def make(task):
        ...     return gymnasium.make("FrozenLake-v1", **task.config)
        >>> late = LateRegrets()
        >>> env = CurriculumEnv(make=make, curriculum=curriculum, regret=late)
        >>> _ = env.reset(seed=0)
        >>> while not len(late):
        ...     _ = env.step(1)
        >>> late.tell([0.5])
        >>> curriculum.stats()["num_completed"]
        1.0
    """

    def __init__(self) -> None:
        self._curriculum: Curriculum[Any] | None = None
        self._kept: list[tuple[int, float] | None] = []

    def __len__(self) -> int:
        """Number of episodes that ended since the last `tell`."""
        return len(self._kept)

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "late regrets: expected a wrapper in the trainer's process, got a copy for another process, which the "
            "trainer could not tell; put the CurriculumEnv of curricular.wrappers.gymnasium_vector around the "
            "vector environment"
        )

    def join(self, curriculum: Curriculum[Any]) -> None:
        """Connects to the curriculum of a wrapper.

        Raises:
            ValueError: If another wrapper has another curriculum.
        """
        if self._curriculum is not None and self._curriculum is not curriculum:
            raise ValueError(
                "regret: expected wrappers of one curriculum to share a LateRegrets, got another curriculum; make a "
                "LateRegrets for each"
            )
        self._curriculum = curriculum

    def keep(self, task_ids: Sequence[int], scores: Sequence[float]) -> None:
        """Keeps the scores of episodes that ended, in order."""
        self._kept += zip(task_ids, scores, strict=True)

    def skip(self, num_episodes: int) -> None:
        """Counts episodes that ended without a score, since the environment raised."""
        self._kept += [None] * num_episodes

    def tell(self, regrets: ArrayLike) -> None:
        """Tells the kept scores with their regrets. A call that raises an error has told nothing, and can be repeated.

        A call that an interrupt ends has told all or nothing, and keeps no score.

        Args:
            regrets: One finite regret per episode that ended since the last call, shape (k,), in the order of
                ``x[dones]``: by step, then by index of the environment. The functions of `curricular.regrets` return
                them so. The regret of an episode in which the environment raised is ignored.

        Raises:
            ValueError: If `regrets` has another shape, or a regret is not finite.
        """
        found = as_array("regrets", regrets)
        if found.shape != (len(self._kept),):
            raise ValueError(
                f"regrets: expected shape ({len(self._kept)},), one per episode that ended since the last call, got "
                f"{found.shape}; pass regrets in the order of x[dones] of all steps since then"
            )
        kept, self._kept = self._kept, []  # first: an interrupt while they are told must not let them be told again
        slots = [slot for slot, episode in enumerate(kept) if episode is not None]
        if self._curriculum is not None and slots:
            task_ids, scores = zip(*filter(None, kept), strict=True)
            try:
                self._curriculum.tell(task_ids, np.asarray(scores), regrets=found[slots])
            except Exception:
                self._kept = kept
                raise


def check_regret_rule(config: CurriculumConfig, rule: object | None, late: LateRegrets | None) -> None:
    """Checks that there is a rule for regrets if the algorithm of `config` needs them.

    Raises:
        ValueError: If there is none. Names all ways out.
        TypeError: If the rule is not a function.
    """
    if rule is not None and not callable(rule):
        raise TypeError(f"regret: expected a function of an Episode, got {rule!r:.100}; pass a function")
    if late is not None:
        return
    if rule is None and config.needs_regrets:
        raise ValueError(
            f"regret: expected a function of an Episode, since {type(config).__name__} chooses by regret, got None; "
            f"pass regret=function to the wrapper, for Gymnasium perhaps regret=LateRegrets(), or "
            f"{_without_regrets(config)}"
        )


def as_regret(value: Any, task: Task[Any], env_index: int) -> float:
    """Returns the regret of an episode.

    Args:
        value: What the rule returned.
        task: The task of the episode, for errors.
        env_index: Index of the environment, for errors.

    Raises:
        TypeError: If `value` is not a number.
        ValueError: If `value` is not finite.
    """
    regret = as_number("regret", value, "return one number per episode")
    if not math.isfinite(regret):
        raise ValueError(
            f"regret: expected a finite number, got {regret} for task {task.task_id} {task.label!r} in environment "
            f"{env_index}; check what the function divides by"
        )
    return regret


def _without_regrets(config: CurriculumConfig) -> str:
    """Returns advice, as text, on how to set `config` so that its algorithm needs no regrets."""
    for name, value in config:
        others = [choice for choice in get_args(type(config).model_fields[name].annotation) if choice != TOLD]
        if value == TOLD and others:
            return f"set {' or '.join(f'{name}={choice!r}' for choice in others)} in the config"
    return "use another algorithm"
