"""What wrappers share: an episode that ended becomes a score that is told; an episode that did not is cancelled.

A wrapper is a loop over ask and tell. It asks for a task for each episode, applies the task to the environment and
tells the score. This module imports no framework.
"""

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeAlias

from ..config import ROUNDING
from ..curriculum import Curriculum
from ..task import ConfigT, Task
from .statistics import PeriodicStats, StatsInterval

__all__ = ["INFO_KEY", "EnvironmentFailedError", "Episode", "Handouts", "ScoreRule", "named_method"]

_log = logging.getLogger(__name__)

INFO_KEY = "curriculum"
"""The key of an info under which a wrapper reports."""


class EnvironmentFailedError(RuntimeError):
    """The environment raised on several tasks in a row, and no episode finished between. The last cause is chained."""


@dataclass(frozen=True, slots=True)
class Episode(Generic[ConfigT]):
    """An episode that the environment ended, as a score function gets it."""

    task: Task[ConfigT]
    """The task that the episode played."""
    episode_return: float
    """Sum of the rewards. Of several agents, one number made from their sums."""
    length: int
    """Number of calls of `step`. A call that also restarts the environment counts."""
    info: Mapping[str, Any] = field(default_factory=dict)
    """The info of the last step."""
    env_index: int = 0
    """Index of the environment, in a wrapper of several."""


ScoreRule: TypeAlias = Literal["return", "success"] | Callable[[Episode[ConfigT]], float]
"""The score of an episode: ``"return"``, ``"success"`` (``info["success"]`` of the last step), or a function."""


class Handouts(Generic[ConfigT]):
    """Tells or cancels the tasks that a wrapper was handed, and writes the wrapper's infos.

    A score must lie in `score_range`, which is mapped linearly onto the curriculum's own range. Scores are never
    clipped: a score outside is an error, because clipped scores look like learning that does not happen. To squash
    scores, pass a function.

    Args:
        curriculum: Where tasks come from and scores are told.
        score: What is told at an episode's end.
        score_range: Lowest and highest score. None: the curriculum's range, or (0, 1) for ``"success"``.
        stats_interval: Number of told episodes of the curriculum between two ``stats`` in a report.
        max_failures: Number of consecutive failures that raises `EnvironmentFailedError`, at least 1.

    Raises:
        ValueError: If `score` is not a rule, `score_range` is reversed or infinite, or a number is below 1.
    """

    def __init__(
        self,
        curriculum: Curriculum[ConfigT],
        score: ScoreRule[ConfigT],
        score_range: tuple[float, float] | None,
        stats_interval: StatsInterval,
        max_failures: int,
    ) -> None:
        if not callable(score) and score not in {"return", "success"}:
            raise ValueError(
                f"score: expected 'return', 'success' or a function of an Episode, got {score!r}; use one of them"
            )
        if score_range is None:
            score_range = (0.0, 1.0) if score == "success" else curriculum.config.score_range
        low, high = score_range
        if not 0 < high - low < math.inf:
            raise ValueError(
                f"score_range: expected low < high, a finite distance apart, got {score_range}; swap or move the ends"
            )
        if max_failures < 1:
            raise ValueError(f"max_failures: expected at least 1, got {max_failures}; 1 stops at the first failure")
        self._curriculum = curriculum
        self._score = score
        self._score_range = low, high
        self._periodic_stats = PeriodicStats(curriculum, stats_interval)
        self._max_failures = max_failures
        self._num_failures = 0

    def tell(self, episodes: Sequence[Episode[ConfigT]]) -> list[dict[str, Any]]:
        """Tells the scores of `episodes` and returns the report on each.

        Returns:
            One dict per episode with ``task_id``, ``label`` and ``score`` as the rule gave it; after every
            `stats_interval` episodes of the curriculum also ``stats``, as `Curriculum.stats`.

        Raises:
            KeyError: If an info lacks what the rule reads. No score is told then.
            ValueError: If a score lies outside of the declared range. No score is told then.
        """
        raw_scores = [self._raw_score(episode) for episode in episodes]
        scores = [self._mapped(score, episode) for score, episode in zip(raw_scores, episodes, strict=True)]
        if len(episodes) == 1:
            self._curriculum.update_task_performance(episodes[0].task.task_id, scores[0])
        else:
            self._curriculum.tell([episode.task.task_id for episode in episodes], scores)
        self._num_failures = 0
        return [self._report(episode, score) for episode, score in zip(episodes, raw_scores, strict=True)]

    def cancel(self, tasks: Sequence[Task[ConfigT]], reason: str) -> None:
        """Cancels `tasks`: they are counted and not scored."""
        self._curriculum.cancel([task.task_id for task in tasks], reason)

    def fail(self, tasks: Sequence[Task[ConfigT]], error: Exception) -> list[dict[str, Any]]:
        """Cancels the tasks on which the environment raised, and returns the report on each.

        Args:
            tasks: The tasks that were applied when the environment raised, at least one.
            error: What the environment raised.

        Returns:
            One dict per task with ``task_id``, ``label`` and ``error``, a text.

        Raises:
            EnvironmentFailedError: If this is the failure number `max_failures` in a row; `error` is the cause.
        """
        reason = f"{type(error).__name__}: {error}"
        _log.warning("the environment raised on tasks %s: %s", [task.task_id for task in tasks], reason)
        self.cancel(tasks, reason)
        self._num_failures += 1
        if self._num_failures >= self._max_failures:
            last = tasks[-1]
            raise EnvironmentFailedError(
                f"env: expected an environment that plays its tasks, got {self._num_failures} failures in a row, the "
                f"last with {reason}, on task {last.task_id} {last.label!r} with config {last.config!r}; "
                f"fix the environment or the tasks, or raise max_failures"
            ) from error
        return [{"task_id": task.task_id, "label": task.label, "error": reason} for task in tasks]

    def _raw_score(self, episode: Episode[ConfigT]) -> float:
        if callable(self._score):
            return float(self._score(episode))
        if self._score == "return":
            return episode.episode_return
        if "success" not in episode.info:
            raise KeyError(
                f"score='success': expected the key 'success' in the info of an episode's last step, got keys "
                f"{sorted(map(str, episode.info))}; let the environment report it, or pass a score function"
            )
        return float(episode.info["success"])

    def _mapped(self, score: float, episode: Episode[ConfigT]) -> float:
        low, high = self._score_range
        share = (score - low) / (high - low)
        # Float32 rewards of 1 may sum to 1.00000001.
        if not -ROUNDING <= share <= 1 + ROUNDING:
            raise ValueError(
                f"score: expected a number in the declared score_range {self._score_range}, got {score} by rule "
                f"{self._score!r} for task {episode.task.task_id} {episode.task.label!r}; declare the true range of "
                f"your scores (score_range=…), or pass a score function that returns a number inside"
            )
        first, last = self._curriculum.config.score_range
        return min(max(first + share * (last - first), first), last)

    def _report(self, episode: Episode[ConfigT], score: float) -> dict[str, Any]:
        report = {"task_id": episode.task.task_id, "label": episode.task.label, "score": score}
        stats = self._periodic_stats.after_episode()
        return report if stats is None else {**report, "stats": stats}


def named_method(name: str, lookup: Callable[[str], Any], env: object) -> Callable[..., Any]:
    """Returns the method `name` of `env`.

    Args:
        name: The name that the user passed as `apply`.
        lookup: How the framework finds an attribute of `env`; raises `AttributeError` if there is none.
        env: The environment, for messages.

    Raises:
        ValueError: If `env` has no attribute `name`.
        TypeError: If the attribute is not a method.
    """
    try:
        method = lookup(name)
    except AttributeError as error:
        raise ValueError(
            f"apply: expected a function or the name of a method of the environment, got {name!r}, which {env} does "
            f"not have; correct the name or pass a function"
        ) from error
    if not callable(method):
        raise TypeError(
            f"apply: expected the name of a method of {env}, got {name!r}, a {type(method).__name__}; "
            f"correct the name or pass a function"
        )
    return method  # type: ignore[no-any-return]
