"""What wrappers share: an episode that ended becomes a score that is told; an episode that did not is cancelled.

A wrapper is a loop over ask and tell. It asks for a task for each episode, applies the task to the environment and
tells the score. This module imports no framework.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Generic, Literal, NamedTuple, TypeAlias

import numpy as np

from ..config import ROUNDING
from ..curriculum import Curriculum
from ..inputs import as_number
from ..table import MAX_SCORE
from ..task import ConfigT, Task
from .failures import DEFAULT_MAX_FAILURES, FailureStreak
from .regret import LateRegrets, as_regret, check_regret_rule
from .statistics import PeriodicStats, StatsInterval

__all__ = [
    "DEFAULT_MAX_FAILURES",
    "INFO_KEY",
    "AnyRegretRule",
    "EnvironmentFailedError",
    "Episode",
    "Handouts",
    "RegretRule",
    "ScoreRule",
    "at_least_1",
    "named_method",
    "opening",
    "parted",
]

_log = logging.getLogger(__name__)

INFO_KEY = "curriculum"
"""The key of an info under which a wrapper reports."""


MAX_ABANDONED = 5
"""Number of episodes that `reset` abandons, without one that ended, after which a wrapper warns."""


class EnvironmentFailedError(RuntimeError):
    """The environment raised on several different tasks in a row, with no episode ended between.

    The last cause is chained.
    """


class Episode(NamedTuple, Generic[ConfigT]):
    """An episode that the environment ended, as passed to a score or regret function."""

    task: Task[ConfigT]
    """The task that the episode played."""
    episode_return: float
    """Sum of the rewards. Of several agents, one number made from their sums."""
    length: int
    """Number of calls of `step`. A call that also restarts the environment counts."""
    info: Mapping[str, Any] = MappingProxyType({})
    """The info of the last step."""
    env_index: int = 0
    """Index of the environment, in a wrapper of several."""


ScoreRule: TypeAlias = Literal["return", "success"] | Callable[[Episode[ConfigT]], float]
"""The score of an episode: ``"return"``, ``"success"`` (``info["success"]`` of the last step), or a function."""

RegretRule: TypeAlias = Callable[[Episode[ConfigT]], float] | None
"""A function that returns the regret of an episode, for algorithms that choose by regret; None: no regret is told."""

AnyRegretRule: TypeAlias = RegretRule[ConfigT] | LateRegrets
"""A rule for regrets, or where scores are kept until the trainer knows their regrets."""


def parted(regret: AnyRegretRule[ConfigT]) -> tuple[RegretRule[ConfigT], LateRegrets | None]:
    """Returns the rule, and where scores are kept: at least one of them is None."""
    return (None, regret) if isinstance(regret, LateRegrets) else (regret, None)


def opening(task: Task[ConfigT], last_id: int | None) -> dict[str, Any]:
    """Returns what a wrapper reports when an episode of `task` begins.

    Args:
        task: The task of the episode.
        last_id: Id of the task of the episode before; None: there was none.
    """
    return {"task_id": task.task_id, "label": task.label, "task_changed": task.task_id != last_id}


class Handouts(Generic[ConfigT]):
    """Tells or cancels the tasks that a wrapper was handed, and writes the wrapper's infos.

    Scores are in the units of the curriculum's `score_range`, in infos as in statistics. They are never clipped: a
    score outside is an error, because clipped scores look like learning that does not happen. To squash scores, pass a
    function.

    Args:
        curriculum: Where tasks come from and scores are told.
        score: The score told at an episode's end.
        stats_interval: Number of told episodes of the curriculum between two ``stats`` in a report.
        max_failures: Number of different tasks in a row, at least 1, on which the environment must fail for
            `EnvironmentFailedError`; in a smaller pool, all tasks.
        regret: The regret told at an episode's end.
        late: Keeps the scores until the trainer tells them with regrets, instead of `regret`.

    Raises:
        ValueError: If `score` is not a rule or does not suit the curriculum's range, if the algorithm chooses by regret
            and there is no `regret`, or if a number is below 1.
        TypeError: If a number is not whole.
    """

    def __init__(
        self,
        curriculum: Curriculum[ConfigT],
        score: ScoreRule[ConfigT],
        stats_interval: StatsInterval,
        max_failures: int,
        regret: RegretRule[ConfigT] = None,
        late: LateRegrets | None = None,
    ) -> None:
        check_regret_rule(curriculum.config, regret, late)
        if late is not None:
            late.join(curriculum)
        if not callable(score) and score not in {"return", "success"}:
            raise ValueError(
                f"score: expected 'return', 'success' or a function of an Episode, got {score!r}; use one of them"
            )
        score_range = curriculum.config.score_range
        if score == "success" and tuple(score_range) != (0.0, 1.0):
            raise ValueError(
                f"score: expected a curriculum with score_range (0.0, 1.0) for 'success', got {score_range}; leave "
                f"score_range out of the config, or pass a function that returns a score in it"
            )
        self._curriculum = curriculum
        self._score = score
        self._regret = regret
        self._late = late
        self._score_range = low, high = (-MAX_SCORE, MAX_SCORE) if isinstance(score_range, str) else score_range
        slack = ROUNDING * (high - low)  # float32 rewards of 1 may sum to 1.00000001
        self._lowest, self._highest = low - slack, high + slack
        self._periodic_stats = PeriodicStats(curriculum, stats_interval)
        max_failures = at_least_1("max_failures", max_failures, "1 stops at the first failure")
        self._streak = FailureStreak(max_failures, curriculum.tracker.capacity)
        self._reported: set[int] = set()
        self._num_abandoned: int | None = 0

    def tell(self, episodes: Sequence[Episode[ConfigT]]) -> list[dict[str, Any]]:
        """Tells the scores of `episodes` and returns the report on each.

        If an episode has no valid score, it is cancelled as "unscored", and the error is raised after the scores of the
        other episodes have been told. After this call, with or without an error, all these hand-outs are over: a
        wrapper forgets their tasks before it does anything else, so that `close` cancels no hand-out twice if a signal
        interrupts what follows.

        Returns:
            One dict per episode with ``task_id``, ``label`` and ``score`` as the rule gave it. With a rule for regrets,
            also ``regret``. `add_stats` adds statistics.

        Raises:
            KeyError: If an info lacks what the rule reads.
            TypeError: If a score or a regret is not a number.
            ValueError: If a score lies outside of the curriculum's range, or a regret is not finite.
        """
        self._streak.end()
        self._num_abandoned = None
        if len(episodes) == 1 and self._regret is None and self._late is None:
            return [self._tell_one(episodes[0])]
        told: list[Task[ConfigT]] = []
        unscored: list[Task[ConfigT]] = []
        reports: list[dict[str, Any]] = []
        errors: list[Exception] = []
        for episode in episodes:
            try:
                report = _report(episode.task, self._checked_score(episode))
                if self._regret is not None:
                    report["regret"] = as_regret(self._regret(episode), episode.task, episode.env_index)
                reports.append(report)
                told.append(episode.task)
            except Exception as error:  # noqa: BLE001 -- a user's function may raise anything; it is raised below
                errors.append(error)
                unscored.append(episode.task)
        if unscored:
            self.cancel(unscored, "unscored")
        if told:
            self._record(told, reports)
        if errors:
            raise errors[0]
        return reports

    def _tell_one(self, episode: Episode[ConfigT]) -> dict[str, Any]:
        """Does what `tell` does for one episode without a regret, in less time."""
        try:
            report = _report(episode.task, self._checked_score(episode))
            self._curriculum.update_task_performance(episode.task.task_id, report["score"])
        except Exception:
            self.cancel([episode.task], "unscored")
            raise
        return report

    def add_stats(self, reports: Sequence[dict[str, Any]], episodes: Sequence[Episode[ConfigT]]) -> None:
        """Adds ``stats``, as `Curriculum.stats`, after every `stats_interval` told episodes of the curriculum.

        Args:
            reports: What `tell` returned.
            episodes: What it was given.
        """
        for report, episode in zip(reports, episodes, strict=True):
            stats = self._periodic_stats.after_episode(episode.length)
            if stats is not None:
                report["stats"] = stats

    def _record(self, tasks: Sequence[Task[ConfigT]], reports: Sequence[dict[str, Any]]) -> None:
        task_ids, scores = [task.task_id for task in tasks], [report["score"] for report in reports]
        if self._late is not None:
            self._late.keep(task_ids, scores)
            return
        try:
            regrets = None if self._regret is None else [report["regret"] for report in reports]
            self._curriculum.tell(task_ids, scores, regrets=regrets)
        except Exception:
            self.cancel(tasks, "unscored")  # a call that raises has recorded nothing, and the episodes are over
            raise

    def cancel(self, tasks: Sequence[Task[ConfigT]], reason: str) -> None:
        """Cancels `tasks`: they are counted and not scored. A wrapper forgets them next, as after `tell`.

        Args:
            tasks: The tasks.
            reason: A short, fixed text: the curriculum counts cancellations by reason. The wrappers say "reset" if a
                reset abandons the episode, "failed" if the environment raised, and "closed" or "unscored".
        """
        self._curriculum.cancel([task.task_id for task in tasks], reason)

    def count_abandoned(self, num_steps: int) -> None:
        """Counts a reset that abandoned episodes, whose tasks are cancelled.

        If the first `MAX_ABANDONED` episodes with steps are all abandoned, warns once: probably a wrapper outside ends
        the episodes.

        Args:
            num_steps: Number of steps of the longest of the episodes.
        """
        if num_steps and self._num_abandoned is not None:
            self._num_abandoned += 1
            if self._num_abandoned == MAX_ABANDONED:
                _log.warning(
                    "each of the first %d episodes was abandoned by reset() before the environment had ended it, so "
                    "no score was told; a wrapper that ends episodes, such as TimeLimit, must be inside of "
                    "CurriculumEnv: CurriculumEnv(TimeLimit(env, ...), ...)",
                    MAX_ABANDONED,
                )

    def report_failed(self, tasks: Sequence[Task[ConfigT]], error: Exception) -> list[dict[str, Any]]:
        """Counts a failure of the environment, and returns the report on each of its tasks, which are cancelled.

        The log gets one warning per task.

        Args:
            tasks: The tasks that were applied when the environment raised, at least one.
            error: What the environment raised.

        Returns:
            One dict per task with ``task_id``, ``label`` and ``error``, a text.

        Raises:
            EnvironmentFailedError: If `max_failures` different tasks have failed in a row; `error` is the cause.
        """
        found = f"{type(error).__name__}: {error}"
        task_ids = [task.task_id for task in tasks]
        level = logging.DEBUG if self._reported.issuperset(task_ids) else logging.WARNING
        self._reported.update(task_ids)
        _log.log(level, "the environment raised on tasks %s: %s", task_ids, found)
        if self._streak.add(task_ids):
            last, length, num_tasks = tasks[-1], self._streak.length, self._streak.num_tasks
            self._streak.end()
            raise EnvironmentFailedError(
                f"env: expected an environment that plays its tasks, got {length} failures in a row on {num_tasks} "
                f"different tasks, the last with {found}, on task {last.task_id} {last.label!r} with config "
                f"{last.config!r}; fix the environment or the tasks, or raise max_failures"
            ) from error
        return [{"task_id": task.task_id, "label": task.label, "error": found} for task in tasks]

    def report_cut(self, tasks: Sequence[Task[ConfigT]], error: Exception, num_episodes: int) -> list[dict[str, Any]]:
        """Does what `report_failed` does, for a step that raised and so ended the `num_episodes` episodes in play."""
        if self._late is not None:
            self._late.skip(num_episodes)
        return self.report_failed(tasks, error)

    def _checked_score(self, episode: Episode[ConfigT]) -> float:
        """Returns the score of `episode` by the rule."""
        remedy = "return one number per episode"
        if callable(self._score):
            score = as_number("score", self._score(episode), remedy)
        elif self._score == "return":
            score = episode.episode_return
        elif "success" in episode.info:
            score = as_number("score: info['success']", episode.info["success"], remedy)
        else:
            raise KeyError(
                f"score='success': expected the key 'success' in the info of an episode's last step, got keys "
                f"{sorted(map(str, episode.info))}; let the environment report it, or pass a score function"
            )
        if not self._lowest <= score <= self._highest:
            raise ValueError(
                f"score: expected a finite number in the curriculum's score_range {self._score_range}, got {score} by "
                f"rule {self._score!r} for task {episode.task.task_id} {episode.task.label!r} in environment "
                f"{episode.env_index}; declare the true range of your scores in the config (score_range=…), or pass a "
                f"score function that returns a number inside"
            )
        return score


def _report(task: Task[Any], score: float) -> dict[str, Any]:
    return {"task_id": task.task_id, "label": task.label, "score": score}


def at_least_1(name: str, number: int, remedy: str) -> int:
    """Returns `number`, an argument of a wrapper, as an int."""
    if isinstance(number, bool) or not isinstance(number, int | np.integer):
        raise TypeError(f"{name}: expected a whole number, at least 1, got {number!r}; {remedy}")
    if number < 1:
        raise ValueError(f"{name}: expected at least 1, got {number}; {remedy}")
    return int(number)


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
