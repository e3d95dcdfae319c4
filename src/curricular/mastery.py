"""Sorts tasks into six states by their results, such as "mastered", so that users see where the draws go."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .config import ROUNDING
from .rows import RECENT_SCORE_BITS, RECENT_SCORE_ONE, RECENT_SCORES, Rows
from .table.scores import NUM_RECENT

MASTERY = ("never scored", "never solved", "solved once", "learning", "mastered", "forgotten")
"""The states of a task, by index.

- never scored: no score was told for the task.
- never solved: no score reached the success threshold.
- solved once: all successes together weigh at most as much in the success rate as one success told now. That is one
  success, or several that are long ago.
- mastered: the success rate is at least `MASTERED_RATE`, after at least `MASTERED_COMPLETIONS` scores, or each of the
  last 12 results was a success. By luck, a task that is solved six times in ten gets there with a probability of 0.2 %.
  Where the slow average remembers hundreds of results, the rate alone would come much later.
- forgotten: the success rate is at least `FORGOTTEN_RATE`, but no result of the last 12 was a success. By luck, a task
  with this success rate gets there with a probability of 3 %. Once the success rate has fallen further, the task is
  "learning" again.
- learning: all other tasks.
"""

MASTERY_COLOURS: dict[str, str] = dict(
    zip(MASTERY, ("#9A9A9A", "#555555", "#E69F00", "#009E73", "#0072B2", "#D55E00"), strict=True)
)
"""Colour of each state, the same in all views and charts. Colour-blind readers can tell them apart."""

NEVER_SCORED, NEVER_SOLVED, SOLVED_ONCE, LEARNING, MASTERED, FORGOTTEN = range(len(MASTERY))

MASTERED_RATE = 0.8
"""Lowest success rate of a mastered task, in [0, 1]; that of `Prerequisites`."""

MASTERED_COMPLETIONS = 10
"""Smallest number of scores of a mastered task; that of `Prerequisites`."""

FORGOTTEN_RATE = 0.25
"""Lowest success rate of a forgotten task, in [0, 1]."""

LONGEST = 2**20
"""Number of scores beyond which the weight of one success counts as constant, however slow the average is."""

_SHIFTS = np.arange(0, 64, RECENT_SCORE_BITS, dtype=np.uint64)[:, None]
"""Places of the scores in a word, shape (4, 1)."""


def mastery(rows: Rows, slow_rate: float, score_range: tuple[float, float]) -> NDArray[np.int8]:
    """Returns the index in `MASTERY` of the state of each task, shape (n,).

    Args:
        rows: The rows of n tasks.
        slow_rate: Rate of the slow averages, per score.
        score_range: Lowest and highest score, in the user's units.
    """
    num_scores, success = rows["num_completions"], rows["success_ema"]
    weights = _weights_of_one(int(num_scores.max(initial=0)), slow_rate)
    states = np.full(len(num_scores), LEARNING, np.int8)
    states -= success <= weights.take(num_scores, mode="clip")  # each state is one below the next
    states -= success == 0
    states *= num_scores > 0
    states += (success >= MASTERED_RATE) & (num_scores >= MASTERED_COMPLETIONS) & (states == LEARNING)
    low, high = score_range
    has_failed = low + (high - low) * (rows["last_score"] + ROUNDING) < rows["success_threshold"]
    (doubtful,) = np.nonzero(has_failed & (success >= FORGOTTEN_RATE) & (states >= LEARNING))
    states[_constant(rows, doubtful, score_range, is_success=False)] = FORGOTTEN
    (rising,) = np.nonzero(~has_failed & (states == LEARNING) & (num_scores >= NUM_RECENT))
    states[_constant(rows, rising, score_range, is_success=True)] = MASTERED
    return states


def _weights_of_one(num_scores: int, slow_rate: float) -> NDArray[np.float64]:
    """Returns the success rate of a task whose last score is its only success, indexed by its number of scores.

    The success rate falls from 1 to `slow_rate`, and equals it to within rounding at the end of the array.
    """
    numbers = np.arange(1.0, min(num_scores, 40 / slow_rate, LONGEST) + 1)
    return np.append(1.0, slow_rate / (1.0 - (1.0 - slow_rate) ** numbers)) * (1 + 1e-6)


def _constant(
    rows: Rows, slots: NDArray[np.int64], score_range: tuple[float, float], *, is_success: bool
) -> NDArray[np.int64]:
    """Returns those of `slots` whose last 12 results were all successes, or all failures.

    Args:
        rows: The rows of n tasks.
        slots: Slots of tasks, shape (k,).
        score_range: Lowest and highest score, in the user's units.
        is_success: Whether to find successes.
    """
    low, high = score_range
    thresholds = (rows["success_threshold"][slots] - low) / ((high - low) or 1.0) - ROUNDING
    limits = thresholds * RECENT_SCORE_ONE
    for name in RECENT_SCORES:
        scores = (rows[name].view(np.uint64)[slots] >> _SHIFTS) & np.uint64(RECENT_SCORE_ONE)
        # A stored score is off by at most half a unit.
        is_kept = ((scores + 0.5 >= limits) == is_success).all(axis=0)
        slots, limits = slots[is_kept], limits[is_kept]
    return slots


def by_mastery(states: NDArray[np.integer[Any]], values: NDArray[np.float64] | None = None) -> NDArray[Any]:
    """Returns the number of tasks in each state of `MASTERY`, or the sum of their `values`, shape (6,).

    Args:
        states: State of each task, shape (n,).
        values: Value of each task, such as its probability, shape (n,).
    """
    return np.bincount(states, weights=values, minlength=len(MASTERY))


def mastery_key(name: str) -> str:
    """Returns the prefix of the keys in `Curriculum.stats` for a state of `MASTERY`.

    Examples:
        >>> mastery_key("solved once")
        'mastery/solved_once'
    """
    return f"mastery/{name.replace(' ', '_')}"
