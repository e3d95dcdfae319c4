"""RIAC: split a continuous space of tasks into regions, and make new tasks in the regions where scores change.

Source: Baranes and Oudeyer 2009, *R-IAC: robust intrinsically motivated exploration and active learning*, IEEE
Transactions on Autonomous Mental Development 1 (3), with shares and splits as in Romac et al. 2021, *TeachMyAgent*,
arXiv 2103.09815. The pool holds a history of played tasks and a stock of tasks to come; `RegionProposer` decides where
new tasks lie.
"""

from typing import Any, Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from ..arrays import Columns, Floats
from ..generators import TaskGenerator
from .history import ROUNDING, History, HistoryConfig, progress_between
from .proposals import NewTasks, part_fresh


class RiacConfig(HistoryConfig):
    """Settings of RIAC. The generator must be endless and have an axis that is a `Span`."""

    algorithm: Literal["riac"] = "riac"
    """Tag of the algorithm in files."""
    region_size: int = Field(default=40, ge=8)
    """Maximum number of played tasks in a region; a larger region is split. Smaller regions follow progress more
    closely, and have more noise."""
    mutation_share: float = Field(default=0.1, ge=0, le=1)
    """Share of the new tasks that are small changes of the task with the lowest score in a region."""

    @model_validator(mode="after")
    def _check_shares(self) -> Self:
        if self.rand_task_rate + self.mutation_share > 1:
            raise ValueError(
                f"mutation_share: expected at most 1 - rand_task_rate = {1 - self.rand_task_rate}, got "
                f"{self.mutation_share}; lower one of the two shares"
            )
        return self


NUM_SPLITS = 50
"""Number of random splits of a region, of which the best is kept."""

MIN_WIDTH = 1 / 6
"""Minimum width of a region along an axis, as a share of the width of the axis."""

STEP = 0.1
"""Standard deviation of a small change, as a share of the width of each span."""


class Region(NamedTuple):
    """A box in the unit cube, and the m played tasks in it."""

    low: Floats
    """Lower corner, shape (d,)."""
    high: Floats
    """Upper corner, shape (d,)."""
    points: Floats
    """Points of the tasks, oldest first, shape (m, d)."""
    scores: Floats
    """Score of each task, shape (m,)."""

    @property
    def progress(self) -> float:
        """Absolute learning progress in the region."""
        return float(halves_progress(self.scores, np.ones((1, len(self.scores)), np.bool_))[0])


class RegionProposer:
    """Proposes tasks in regions drawn in proportion to their absolute learning progress.

    A share `rand_task_rate` is fresh, and a share `mutation_share` are changes of the task with the lowest score in a
    region. All tasks are fresh until `region_size` tasks were played, or if there is no progress.

    Args:
        config: Settings of RIAC.
        generator: Its axes span the space of tasks.

    Raises:
        ValueError: If the generator is finite, has no axis that is a `Span`, or has one that only some tasks have.
    """

    num_candidates = 1
    """Number of candidates per proposed task."""

    def __init__(self, config: RiacConfig, generator: TaskGenerator[Any]) -> None:
        self._config = config
        self._history = History(config, generator)

    def propose(self, columns: Columns, candidates: NewTasks, n: int, rng: np.random.Generator) -> NewTasks:
        _, indices = part_fresh(candidates, n, self._config.rand_task_rate, rng)
        points, scores = self._history.read(columns)
        if not len(indices) or len(points) < self._config.region_size:
            return candidates
        regions = regions_of(points, scores, self._config.region_size, rng)
        progress = np.array([region.progress for region in regions])
        if not progress.any():
            return candidates
        chosen = rng.choice(len(regions), size=len(indices), p=progress / progress.sum())
        low, high = (np.array([region[corner] for region in regions])[chosen] for corner in (0, 1))
        drawn = rng.uniform(low, high)
        hardest = np.array([region.points[region.scores.argmin()] for region in regions])[chosen]
        share = self._config.mutation_share / (1.0 - self._config.rand_task_rate)
        is_changed = rng.random(len(indices)) < share
        changed = (hardest + rng.normal(scale=STEP, size=hardest.shape)).clip(0.0, 1.0)
        return self._history.moved(candidates, indices, np.where(is_changed[:, None], changed, drawn))


def regions_of(points: Floats, scores: Floats, max_size: int, rng: np.random.Generator) -> list[Region]:
    """Splits the unit cube into regions of at most `max_size` points each, as far as `MIN_WIDTH` allows.

    Of `NUM_SPLITS` random splits of a region, the one with the largest product of the two numbers of points and of the
    difference in progress is kept. Each part has at least a quarter of `max_size` points, and a width of `MIN_WIDTH`.

    Args:
        points: Points of played tasks, oldest first, shape (m, d).
        scores: Score of each task, shape (m,).
        max_size: Number of points beyond which a region is split, at least 8.
        rng: Source of the splits.
    """
    dimensions = points.shape[1]
    regions, to_split = [], [Region(np.zeros(dimensions), np.ones(dimensions), points, scores)]
    while to_split:
        region = to_split.pop()
        parts = _split(region, max_size // 4, rng) if len(region.points) > max_size else []
        to_split.extend(parts)
        if not parts:
            regions.append(region)
    return regions


def _split(region: Region, min_size: int, rng: np.random.Generator) -> list[Region]:
    """Returns the two parts of the best of some random splits of `region`; none if no split is possible."""
    axes = rng.integers(len(region.low), size=NUM_SPLITS)
    thresholds = rng.uniform(region.low[axes], region.high[axes])
    is_low = region.points.T[axes] < thresholds[:, None]
    num_low = is_low.sum(axis=1)
    num_high = is_low.shape[1] - num_low
    width = np.minimum(thresholds - region.low[axes], region.high[axes] - thresholds)
    is_possible = (np.minimum(num_low, num_high) >= min_size) & (width >= MIN_WIDTH)
    if not is_possible.any():
        return []
    gap = np.abs(halves_progress(region.scores, is_low) - halves_progress(region.scores, ~is_low))
    # Where nothing differs, the most even split is the best.
    values = num_low * num_high * (gap + ROUNDING)
    best = int(np.where(is_possible, values, -1.0).argmax())
    end, start = region.high.copy(), region.low.copy()
    end[axes[best]] = start[axes[best]] = thresholds[best]
    here, there = is_low[best], ~is_low[best]
    return [
        Region(region.low, end, region.points[here], region.scores[here]),
        Region(start, region.high, region.points[there], region.scores[there]),
    ]


def halves_progress(scores: Floats, is_member: NDArray[np.bool_]) -> Floats:
    """Returns the absolute learning progress of each group of tasks, shape (k,).

    Progress is the difference between the mean scores of the newer and of the older half of a group, less its standard
    error, and at least 0. The error follows from the scatter within the halves. A group of fewer than four tasks has
    none.

    Args:
        scores: Score of each task, oldest first, shape (m,).
        is_member: Which tasks are in each group, shape (k, m).

    Examples:
        >>> halves_progress(np.array([0.0, 0.0, 1.0, 1.0]), np.ones((1, 4), np.bool_)).tolist()
        [1.0]
    """
    rank, sizes = is_member.cumsum(axis=1), is_member.sum(axis=1, keepdims=True)
    is_new = is_member & (2 * rank > sizes)
    (older, variance), (newer, variance_now) = (_mean(scores, half) for half in (is_member & ~is_new, is_new))
    return np.where(sizes[:, 0] >= 4, progress_between(older, newer, variance + variance_now), 0.0)


def _mean(scores: Floats, is_member: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Returns the mean score of each group of tasks, and the variance of this mean, shape (k,) each."""
    count = is_member.sum(axis=1)
    mean = (is_member @ scores) / count.clip(1)
    variance = ((is_member @ (scores * scores)) / count.clip(1) - mean * mean).clip(0.0)
    return mean, variance / (count - 1).clip(1)
