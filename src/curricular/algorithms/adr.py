"""ADR: make new tasks in intervals that widen at each end as the tasks at that end are mastered.

Source: OpenAI et al. 2019, *Solving Rubik's cube with a robot hand*, arXiv 1910.07113, section 5 (automatic domain
randomization); written from the paper. The tasks in the pool show how wide the intervals are; `IntervalProposer` makes
new tasks within them and at their ends.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, ClassVar, Literal, NamedTuple, Self

import numpy as np
from pydantic import Field, PositiveFloat, model_validator

from ..arrays import Array, Columns, order_statistic
from ..config import AxisIndex, CurriculumConfig, Settings
from ..generators import TaskGenerator
from ..priorities import effective_count, index_of, position
from ..probabilities import uniform
from ..task import Axis
from .proposals import NewTasks
from .protocol import Algorithm


class Interval(Settings):
    """An interval on an axis, which widens.

    Raises:
        ValidationError: If a name is unknown or a value is wrong.
    """

    axis_fields: ClassVar[tuple[str, ...]] = ("axis",)

    axis: AxisIndex | str
    """Name or index of the axis of the generator."""
    start: tuple[float, float]
    """Lowest and highest value at first, in units of the axis: the value itself, the index of a choice, or the
    logarithm of the value of a `Span` with `log`. The interval never becomes narrower."""
    step: PositiveFloat
    """Distance by which an end moves, in the same units."""

    @property
    def column(self) -> int:
        """Index of the axis in an algorithm or a proposer, whose curriculum has replaced names."""
        return index_of(self.axis)

    @model_validator(mode="after")
    def _check_order(self) -> Self:
        low, high = self.start
        if low > high:
            raise ValueError(f"start: expected low <= high, got {self.start}; swap the two")
        return self


class AdrConfig(CurriculumConfig):
    """Settings of automatic domain randomisation. The generator must be endless."""

    axis_fields: ClassVar[tuple[str, ...]] = ("intervals",)

    algorithm: Literal["adr"] = "adr"
    """Tag of the algorithm in files."""
    intervals: tuple[Interval, ...] = Field(min_length=1)
    """The intervals, on different axes. Values on other axes are as the generator samples them."""
    success: float = Field(default=0.8, ge=0, le=1)
    """Success rate of the tasks at an end from which that end moves outwards."""
    failure: float | None = Field(default=0.2, ge=0, le=1)
    """Success rate of the tasks at an end up to which that end moves back; None: ends never move back."""
    min_completions: int = Field(default=20, ge=1)
    """Number of completions of the tasks at an end before it can move."""
    end_share: float = Field(default=0.5, gt=0, lt=1)
    """Share of the pool for tasks at an end of an interval, evenly over all ends."""
    min_presentations_for_eviction: int = Field(default=1, ge=1)
    """Number of completions from which a task inside the intervals can be evicted."""
    eviction_rate: float = Field(default=1.0, ge=0, le=1)
    """Maximum number of tasks replaced per result or cancellation."""

    @classmethod
    def variants(cls) -> Mapping[str, Callable[..., Self]]:
        return {"adr": partial(cls, intervals=(Interval(axis=0, start=(0.0, 0.0), step=1.0),))}

    @model_validator(mode="after")
    def _check_intervals(self) -> Self:
        axes = [interval.axis for interval in self.intervals]
        if len(set(axes)) < len(axes):
            raise ValueError(f"intervals: expected each axis once, got {axes}; drop one of the two")
        if self.failure is not None and self.failure >= self.success:
            raise ValueError(
                f"failure: expected less than success = {self.success}, got {self.failure}; lower it, or set it to None"
            )
        return self


class End(NamedTuple):
    """One end of an interval. All positions are multiplied by `side`, so that outwards is upwards."""

    interval: Interval
    side: int
    """−1 for the lower end, 1 for the upper one."""
    value: Array
    """Position of the end that the pool shows: that of its outermost tasks, shape ()."""
    is_at: Array
    """Which active tasks lie at the end, bool, shape (capacity,)."""
    moved: Array
    """Position of the end after the results so far, shape ()."""


def ends_of(columns: Columns, config: AdrConfig) -> list[End]:
    """Returns the two ends of each interval, as the pool shows them and as they move now.

    Args:
        columns: Columns of the pool.
        config: The intervals, and when their ends move.
    """
    active, completions = columns["is_active"], columns["num_completions"]
    xp = active.__array_namespace__()
    weights = effective_count(completions, config.slow_rate)
    ends = []
    for interval in config.intervals:
        positions = position(columns, interval.column)
        for side, first in zip((-1, 1), interval.start, strict=True):
            outwards, start = side * positions, xp.asarray(side * first)
            value = xp.maximum(xp.max(xp.where(active, outwards, -xp.inf)), start)
            is_at = active & (outwards == value)
            total = xp.sum(xp.where(is_at, weights, 0.0))
            success = xp.sum(xp.where(is_at, weights * columns["success_ema"], 0.0)) / xp.where(total > 0.0, total, 1.0)
            is_known = xp.sum(xp.where(is_at, completions, 0)) >= config.min_completions
            moved = xp.where(is_known & (success >= config.success), value + interval.step, value)
            if config.failure is not None:
                back = xp.maximum(value - interval.step, start)
                moved = xp.where(is_known & (success <= config.failure), back, moved)
            ends.append(End(interval, side, value, is_at, moved))
    return ends


class AdrAlgorithm(Algorithm):
    """Draws uniformly from the tasks within the intervals.

    Evicts tasks outside of the intervals, then played tasks, longest ago first, but not the newest tasks at each end.
    """

    def __init__(self, config: AdrConfig) -> None:
        self.config = config
        """Settings of the algorithm."""

    def is_inside(self, columns: Columns) -> Array:
        """Returns which active tasks lie within the intervals after the results so far, bool, shape (capacity,)."""
        is_inside = columns["is_active"]
        for end in ends_of(columns, self.config):
            is_inside = is_inside & (end.side * position(columns, end.interval.column) <= end.moved)
        return is_inside

    def priorities(self, columns: Columns) -> Array:
        """Returns the hand-outs of the pool up to each task's last one, and −1 outside, shape (capacity,)."""
        inside = self.is_inside(columns)
        xp = inside.__array_namespace__()
        return xp.where(inside, xp.astype(columns["last_scheduled"], xp.float64), -1.0)

    def probabilities(self, columns: Columns, priorities: Array) -> Array:
        active, inside = columns["is_active"], columns["is_active"] & (priorities >= 0.0)
        xp = active.__array_namespace__()
        return uniform(inside | (active & ~xp.any(inside)))

    def evictable(self, columns: Columns, priorities: Array, config: CurriculumConfig) -> Array:
        active = columns["is_active"]
        xp = active.__array_namespace__()
        may_go = active & (columns["num_completions"] >= self.config.min_presentations_for_eviction)
        num_kept = num_per_end(self.config, active.shape[0])
        for end in ends_of(columns, self.config):
            newest = xp.where(end.is_at, priorities, -1.0)
            is_kept = end.is_at & (newest >= order_statistic(newest, xp.asarray(active.shape[0] - num_kept)))
            may_go = may_go & ~(is_kept & (end.moved == end.value))
        return may_go | (active & (priorities < 0.0))


def num_per_end(config: AdrConfig, capacity: int) -> int:
    """Returns the number of tasks that a pool of `capacity` holds at each end of an interval, at least 1."""
    return max(1, round(config.end_share * capacity / (2 * len(config.intervals))))


class IntervalProposer:
    """Proposes tasks at the ends of intervals, as many as the pool lacks there, and else within the intervals.

    Args:
        config: The intervals.
        generator: Has the axes.

    Raises:
        ValueError: If the generator is finite, or an interval does not fit its axis.
    """

    num_candidates = 1
    """Number of candidates per proposed task."""

    def __init__(self, config: AdrConfig, generator: TaskGenerator[Any]) -> None:
        if generator.num_tasks is not None:
            raise ValueError(
                f"generator: expected an endless one for {type(config).__name__}, got a {type(generator).__name__} of "
                f"{generator.num_tasks} tasks; give it a Span, or use SequentialConfig with an axis"
            )
        self._config = config
        axes = _axes_by_column(generator)
        self._bounds = {interval.column: _checked_bounds(interval, axes) for interval in config.intervals}

    def propose(self, columns: Columns, candidates: NewTasks, n: int, rng: np.random.Generator) -> NewTasks:
        ends = ends_of(columns, self._config)
        params, limits = candidates.params.copy(), [self._limited(end) for end in ends]
        for low_end, low, high in zip(ends[::2], limits[::2], limits[1::2], strict=True):
            _, _, is_whole = self._bounds[low_end.interval.column]
            values = rng.integers(round(low), round(high), n, endpoint=True) if is_whole else rng.uniform(low, high, n)
            params[:, low_end.interval.column] = values
        wanted, active = num_per_end(self._config, len(columns["is_active"])), columns["is_active"]
        missing = [
            wanted - int((active & (columns["params"][:, end.interval.column] == limit)).sum())
            for end, limit in zip(ends, limits, strict=True)
        ]
        numbers = rng.permutation(np.repeat(np.arange(len(ends)), np.maximum(missing, 0)))[:n]
        for task, number in enumerate(numbers.tolist()):
            params[task, ends[number].interval.column] = limits[number]
        order = rng.permutation(n)
        return NewTasks(candidates.seeds, params[order])

    def _limited(self, end: End) -> float:
        """Returns the param of an end after the results so far, within the axis."""
        low, high, is_whole = self._bounds[end.interval.column]
        return float(np.clip(end.side * end.moved, low, high if is_whole else np.nextafter(high, low)))


def _axes_by_column(generator: TaskGenerator[Any]) -> dict[int, Axis]:
    """Returns the axes that every task of `generator` has, by the column of their params."""
    axes, column = {}, 0
    for axis in generator.axes:
        if not axis.branches:
            axes[column] = axis
        column += axis.num_columns
    return axes


def _checked_bounds(interval: Interval, axes: Mapping[int, Axis]) -> tuple[float, float, bool]:
    """Returns the bounds of the axis of `interval`.

    Raises:
        ValueError: If there is no such axis, or `interval` does not fit it.
    """
    if interval.column not in axes:
        names = ", ".join(f"{column} ({axis.name})" for column, axis in axes.items()) or "none"
        raise ValueError(
            f"axis: expected the index of an axis that all tasks have, of {names}, got {interval.axis}; use one of them"
        )
    axis = axes[interval.column]
    low, high, is_whole = axis.bounds
    if not low <= interval.start[0] <= interval.start[1] <= high:
        raise ValueError(
            f"start: expected values within {low} and {high}, the ends of the axis {axis.name!r}, got "
            f"{interval.start}; move them there"
        )
    if is_whole and any(value % 1 for value in (*interval.start, interval.step)):
        raise ValueError(
            f"start, step: expected whole numbers for the axis {axis.name!r}, got {interval.start} and "
            f"{interval.step}; round them"
        )
    return low, high, is_whole
