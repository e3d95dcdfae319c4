"""`CurriculumEnv`, one name with one meaning, in a module per framework: `wrappers.gymnasium`, `wrappers.puffer`.

A wrapper is a loop over ask and tell: it asks for a task for each episode, puts it into the environment and tells the
score. This module holds what the wrappers share and imports no framework.
"""

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeAlias

from ..curriculum import Curriculum
from ..task import ConfigT, Task

__all__ = ["INFO_KEY", "EnvironmentFailedError", "Episode", "Handouts", "ScoreRule", "named_method"]

_log = logging.getLogger(__name__)

INFO_KEY = "curriculum"
"""Where infos carry what the wrapper has to say."""

ROUNDING = 1e-6
"""How far a score may lie beyond its range, as a share of it: float32 rewards that sum to 1 may come to 1.00000001."""


class EnvironmentFailedError(RuntimeError):
    """The environment raised on several tasks in a row, with no episode finished between. The last cause is chained."""


@dataclass(frozen=True, slots=True)
class Episode(Generic[ConfigT]):
    """An episode that ended by itself, as a score function gets it."""

    task: Task[ConfigT]
    episode_return: float
    """Sum of the rewards; of several agents, one number made from their sums."""
    length: int
    """Calls of `step`, in an environment that restarts in a step of its own that one included."""
    info: Mapping[str, Any] = field(default_factory=dict)
    """The info of the last step."""
    env_index: int = 0
    """Which environment, in a wrapper of several."""


ScoreRule: TypeAlias = Literal["return", "success"] | Callable[[Episode[ConfigT]], float]
"""``"return"``: the episode's return. ``"success"``: ``info["success"]`` of its last step. Or a function of it."""


class Handouts(Generic[ConfigT]):
    """What every wrapper does with the tasks it was handed: score and tell them, or cancel them.

    A score must lie in `score_range` and is mapped linearly from it onto the curriculum's own range. None declares the
    curriculum's range, or (0, 1) for ``"success"``. Nothing is clipped: a score outside is an error, because clipped
    scores look like learning that does not happen. To squash a score, give a function.

    Raises `ValueError` for an unknown rule, a range upside down or endless, or a number below 1.
    """

    def __init__(
        self,
        curriculum: Curriculum[ConfigT],
        score: ScoreRule[ConfigT],
        score_range: tuple[float, float] | None,
        stats_interval: int | None,
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
        if stats_interval is not None and stats_interval < 1:
            raise ValueError(
                f"stats_interval: expected at least 1 episode, got {stats_interval}; None switches statistics off"
            )
        if max_failures < 1:
            raise ValueError(f"max_failures: expected at least 1, got {max_failures}; 1 stops at the first failure")
        self._curriculum = curriculum
        self._score = score
        self._score_range = low, high
        self._stats_interval = stats_interval
        self._max_failures = max_failures
        self._num_failures = 0
        self._num_episodes = 0

    def tell(self, episodes: Sequence[Episode[ConfigT]]) -> list[dict[str, Any]]:
        """Tells the scores of `episodes` and returns what infos say about each; every so often also statistics.

        Raises `KeyError` if info lacks what the rule needs, `ValueError` for a score outside of the declared range;
        then nothing is told.
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
        """Gives back `tasks` that will not be scored."""
        self._curriculum.cancel([task.task_id for task in tasks], reason)

    def fail(self, tasks: Sequence[Task[ConfigT]], error: Exception) -> list[dict[str, Any]]:
        """Gives back `tasks`, at least one, on which the environment raised `error`; returns what infos say about each.

        Raises `EnvironmentFailedError`, with `error` as its cause, if that happened too often in a row.
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
                f"mend the environment or the tasks, or raise max_failures"
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
                f"{sorted(map(str, episode.info))}; let the environment report it, or give a score function"
            )
        return float(episode.info["success"])

    def _mapped(self, score: float, episode: Episode[ConfigT]) -> float:
        low, high = self._score_range
        share = (score - low) / (high - low)
        if not -ROUNDING <= share <= 1 + ROUNDING:
            raise ValueError(
                f"score: expected a number in the declared score_range {self._score_range}, got {score} by rule "
                f"{self._score!r} for task {episode.task.task_id} {episode.task.label!r}; declare the true range of "
                f"your scores (score_range=…), or give a score function that returns one inside"
            )
        first, last = self._curriculum.config.score_range
        return min(max(first + share * (last - first), first), last)

    def _report(self, episode: Episode[ConfigT], score: float) -> dict[str, Any]:
        report = {"task_id": episode.task.task_id, "label": episode.task.label, "score": score}
        self._num_episodes += 1
        if self._stats_interval is not None and self._num_episodes % self._stats_interval == 0:
            report["stats"] = self._curriculum.stats()
        return report


def named_method(name: str, lookup: Callable[[str], Any], env: object) -> Callable[..., Any]:
    """The method `name` of `env`, as `lookup` finds it.

    Raises `ValueError` if there is none, `TypeError` if it is not a method.
    """
    try:
        method = lookup(name)
    except AttributeError as error:
        raise ValueError(
            f"apply: expected a function or the name of a method of the environment, got {name!r}, which {env} does "
            f"not have; correct the name or pass a function"
        ) from error
    if not callable(method):
        raise TypeError(f"apply: expected the name of a method of {env}, got {name!r}, a {type(method).__name__}")
    return method  # type: ignore[no-any-return]
