"""Results: checks scores and regrets as users tell them, and turns them into events. Changes nothing."""

import math
from typing import Any, NoReturn

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .config import ROUNDING, CurriculumConfig, MeanOfFirst
from .inputs import as_array, as_scores
from .table import (
    CANCELLED,
    EVENT,
    FAILED,
    GROUP_EVENT,
    MAX_SCORE,
    TOLD,
    TOLD_WITH_REGRET,
    Estimator,
    Table,
    range_with,
)


def estimator(config: CurriculumConfig) -> Estimator:
    """Returns the settings of the averages, as `config` gives them."""
    low, high = (0.0, 1.0) if isinstance(config.score_range, str) else config.score_range
    baseline, threshold = config.random_baseline, config.threshold
    return Estimator(
        rates=config.rates,
        score_low=low,
        score_scale=high - low,
        success_threshold=math.nan if threshold is None else threshold,
        random_baseline=0.0 if isinstance(baseline, MeanOfFirst) else baseline,
        num_baseline_samples=baseline.num_completions if isinstance(baseline, MeanOfFirst) else 0,
        is_observed=isinstance(config.score_range, str),
    )


class Results:
    """Checks results against the range of scores, and makes their events.

    Args:
        config: Gives the range of scores, and whether results need regrets.
        estimator: Settings of the averages.
    """

    def __init__(self, config: CurriculumConfig, estimator: Estimator) -> None:
        self._estimator = estimator
        declared = config.score_range
        self.low: float
        """Lowest score that can be told."""
        self.high: float
        """Highest score that can be told."""
        self.low, self.high = (-MAX_SCORE, MAX_SCORE) if isinstance(declared, str) else declared
        self._slack = 0.0 if isinstance(declared, str) else ROUNDING * (self.high - self.low)
        self.needs_regrets: bool = config.needs_regrets
        """Whether every result must be told with a regret."""

    def events(
        self,
        table: Table | None,
        ids: NDArray[np.int64],
        scores: ArrayLike,
        regrets: ArrayLike | None = None,
        per: str = "task_id",
    ) -> NDArray[np.void]:
        """Returns the events of n results, dtype `EVENT` or, of groups, `GROUP_EVENT`, shape (n,).

        Args:
            table: The pool, whose observed range of scores groups need; None: there are no groups.
            ids: Task ids, shape (n,).
            scores: Scores, shape (n,), or groups of scores, shape (n, G), where NaN marks a failed rollout.
            regrets: Finite regrets, shape (n,).
            per: What the user told each result under, for errors.

        Raises:
            TypeError: If scores or regrets are not numbers.
            ValueError: If shapes differ, a score is outside the score range, or a regret is not finite or missing.
        """
        given, extra = as_scores(scores), self._checked_regrets(regrets, ids, per)
        if table is not None and given.ndim == 2 and len(given) == len(ids):
            values = _checked_groups(given, per)
            told = self.rounded_batch(values[~np.isnan(values)])
            return group_events(ids, values, extra, self._estimator.fitted(range_with(table.score_range, told)))
        values = self.rounded_batch(_checked_numbers("scores", given, len(ids), per))
        events = np.zeros(len(ids), EVENT)
        events["task_id"], events["kind"], events["score"] = ids, TOLD, values
        if extra is not None:
            events["kind"], events["regret"] = TOLD_WITH_REGRET, extra
        return events

    def _checked_regrets(
        self, regrets: ArrayLike | None, ids: NDArray[np.int64], per: str
    ) -> NDArray[np.float64] | None:
        if regrets is None:
            if self.needs_regrets and len(ids):
                refuse_no_regret()
            return None
        extra = _checked_numbers("regrets", regrets, len(ids), per)
        if not np.isfinite(extra).all():
            at = int(np.argmin(np.isfinite(extra)))
            raise ValueError(
                f"regrets: expected finite numbers, got {extra[at]} at index {at}, for task {ids[at]}; check whether "
                f"the trainer diverged"
            )
        return extra

    def rounded(self, score: float) -> float:
        """Returns `score`, moved to the end of the range if rounding put it just outside."""
        if not self.low - self._slack <= score <= self.high + self._slack:
            self._refuse_score(score)
        return min(max(score, self.low), self.high)

    def rounded_batch(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """Returns `scores`, shape (n,), each as `rounded` does."""
        if not ((scores >= self.low) & (scores <= self.high)).all():
            outside = ~((scores >= self.low - self._slack) & (scores <= self.high + self._slack))
            if outside.any():
                self._refuse_score(float(scores[outside][0]))
            scores = scores.clip(self.low, self.high)
        return scores

    def _refuse_score(self, score: float) -> NoReturn:
        if self._estimator.is_observed:
            raise ValueError(
                f"score: expected a finite number within ±{MAX_SCORE:g}, got {score}; cancel a hand-out that gave no "
                f"valid score"
            )
        remedy = "clip it, declare the range of your scores in the config, or set score_range='observed'"
        if not math.isfinite(score):
            remedy = "cancel a hand-out that gave no valid score"
        raise ValueError(
            f"score: expected a finite number in score_range {(self.low, self.high)}, got {score}; {remedy}"
        )


def refuse_no_regret() -> NoReturn:
    """Raises the error for a result that must be told with a regret."""
    raise ValueError(
        "regrets: expected one per result, since the algorithm chooses by regret, got none; call tell(task_ids, "
        "scores, regrets=...) with regrets as in curricular.regrets, or use another algorithm"
    )


def group_events(
    ids: NDArray[np.int64], scores: NDArray[np.float64], regrets: NDArray[np.float64] | None, estimator: Estimator
) -> NDArray[np.void]:
    """Returns the events of n groups of scores, dtype `GROUP_EVENT`, shape (n,). A group of NaN is a cancellation.

    Args:
        ids: Task id of each group, shape (n,).
        scores: Scores of each group, NaN where a rollout failed, shape (n, G).
        regrets: Regret of each group, shape (n,); None: there are none.
        estimator: Has the threshold of success.
    """
    is_there = ~np.isnan(scores)
    sizes = is_there.sum(axis=1)
    divisor = np.maximum(sizes, 1)
    events = np.zeros(len(ids), GROUP_EVENT)
    events["task_id"], events["size"] = ids, divisor
    means = np.where(is_there, scores, 0.0).sum(axis=1) / divisor
    events["score"] = means
    events["variance"] = (np.where(is_there, scores - means[:, None], 0.0) ** 2).sum(axis=1) / divisor
    events["low"] = np.where(is_there, scores, np.inf).min(axis=1)
    events["high"] = np.where(is_there, scores, -np.inf).max(axis=1)
    # A comparison with NaN is false, so a failed rollout is no success.
    events["success"] = estimator.is_success(scores).sum(axis=1) / divisor
    events["kind"] = TOLD
    if regrets is not None:
        events["kind"], events["regret"] = TOLD_WITH_REGRET, regrets
    none = sizes == 0
    events["kind"][none], events["score"][none], events["regret"][none] = CANCELLED, FAILED, 0.0
    return events


def _checked_groups(scores: NDArray[Any], per: str) -> NDArray[np.float64]:
    """Returns groups of scores, shape (n, G), as floats.

    Raises:
        TypeError: If the scores are not numbers.
        ValueError: If G is 0.
    """
    if scores.dtype.kind not in "iufb":
        _refuse_dtype("scores", scores, f"pass one group of numbers per {per}")
    if not scores.shape[1]:
        raise ValueError(
            f"scores: expected at least one score per group, got shape {scores.shape}; pass the scores of each group"
        )
    return scores.astype(np.float64)


def _checked_numbers(name: str, values: ArrayLike, length: int, per: str) -> NDArray[np.float64]:
    numbers = as_array(name, values)
    if numbers.dtype.kind not in "iufb" and numbers.size:
        _refuse_dtype(name, numbers, f"pass one number per {per}")
    if numbers.shape != (length,):
        remedy = f"pass one per {per}"
        if name == "scores":
            size = numbers.size // length if length else 0
            groups = f"({length}, {size})" if size > 1 and numbers.shape == (length * size,) else f"({length}, G)"
            remedy = f"{remedy}, or groups as shape {groups}"
        raise ValueError(f"{name}: expected shape ({length},) like {per}s, got {numbers.shape}; {remedy}")
    return numbers.astype(np.float64, copy=False)


def _refuse_dtype(name: str, values: NDArray[Any], remedy: str) -> NoReturn:
    if values.dtype.kind == "O" and name == "scores":
        remedy = "mark a failed rollout of a group by NaN, and cancel a hand-out without a score"
    raise TypeError(f"{name}: expected numbers, got dtype {values.dtype}; {remedy}")
