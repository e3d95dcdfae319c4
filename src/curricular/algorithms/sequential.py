"""Sequential choice: draw from one stage after another, each until it is over."""

import operator
from functools import partial, reduce
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from ..arrays import Array, Columns, group_sizes, group_sums
from ..config import AxisIndex, CurriculumConfig, Settings
from ..priorities import effective_count, position, unplayable
from ..probabilities import mix, proportional
from .memo import Memo
from .protocol import Algorithm

ROUNDING = 1e-9
"""Tolerance for rounding errors in the averages of a stage."""


class Stage(Settings):
    """When a stage is over, measured over all of its tasks together.

    A stage is over after `min_completions`, if its success rate and its mean score have reached the thresholds given,
    or after `max_completions`. Without thresholds, a stage is over after `min_completions`.

    Raises:
        ValidationError: If a name is unknown or a value is wrong.
    """

    success: float | None = Field(default=None, ge=0, le=1)
    """Success rate to reach; None: any."""
    mean_score: float | None = None
    """Mean score to reach, in the user's units; None: any."""
    combine: Literal["all", "any"] = "all"
    """Whether all thresholds given have to be reached, or any one of them."""
    min_completions: int = Field(default=20, ge=1)
    """Number of completions before the stage can be over: its shortest length."""
    max_completions: int | None = Field(default=None, ge=1)
    """Number of completions after which the stage is over at any score: its longest length; None: no limit."""

    @model_validator(mode="after")
    def _check_lengths(self) -> Self:
        if self.max_completions is not None and self.max_completions < self.min_completions:
            raise ValueError(
                f"max_completions: expected at least min_completions = {self.min_completions}, got "
                f"{self.max_completions}; lower min_completions or raise max_completions"
            )
        return self


class SequentialConfig(CurriculumConfig):
    """Settings of sequential choice."""

    axis_fields: ClassVar[tuple[str, ...]] = ("axis",)

    algorithm: Literal["sequential"] = "sequential"
    """Tag of the algorithm in files."""
    axis: AxisIndex | str | None = None
    """Name or index of the axis of the generator (in a merged set, index of the column of params) whose values are the
    stages, in ascending order; None: each task of a finite generator is a stage."""
    stages: tuple[Stage, ...] = Field(default_factory=lambda: (Stage(success=0.9),), min_length=1)
    """When each stage is over, in ascending order of the stages in the pool. The last entry also holds for all further
    stages."""
    can_return: bool = False
    """Whether the curriculum returns to a stage that was over and is not any more, because it is forgotten. By default,
    a stage stays over once a task of a later stage was handed out."""
    rehearsal_share: float = Field(default=0.1, ge=0, le=1)
    """Share of uniform draws over the stages so far. With `can_return`, a larger share sees sooner that an earlier
    stage is forgotten."""

    @model_validator(mode="after")
    def _check_mean_scores(self) -> Self:
        for stage in self.stages:
            if stage.mean_score is None:
                continue
            if isinstance(self.score_range, str):
                raise ValueError(  # noqa: TRY004  the type says which mode it is
                    f"mean_score: expected None with score_range='observed', got {stage.mean_score}; give the range, "
                    f"or use success with a success_threshold"
                )
            low, high = self.score_range
            if not low <= stage.mean_score <= high:
                raise ValueError(
                    f"mean_score: expected a value within score_range {self.score_range}, got {stage.mean_score}; "
                    f"move it into the range"
                )
        return self


class SequentialAlgorithm(Algorithm):
    """Draws uniformly from the first stage that is not over, and a share from it and the stages before.

    The algorithm keeps no memory: the hand-outs in the rows show how far the curriculum has come. Evicts unplayable
    tasks only.
    """

    evicts_tasks = False

    def __init__(self, config: SequentialConfig) -> None:
        self.config = config
        """Settings of the algorithm."""
        self._kept_stages = Memo(partial(_stages, config.axis), ("seed", "params", "is_active"))

    def priorities(self, columns: Columns) -> Array:
        (stages,) = self._kept_stages(columns)
        xp = stages.__array_namespace__()
        return xp.astype(stages == self._current(columns, stages), xp.float64)

    def probabilities(self, columns: Columns, priorities: Array) -> Array:
        active, (stages,) = columns["is_active"], self._kept_stages(columns)
        xp = active.__array_namespace__()
        current = xp.min(xp.where(priorities > 0.0, stages, stages.shape[0]))
        is_so_far = xp.astype(stages <= current, xp.float64)
        # When all stages are over, no task is in the current one, and the first part is uniform over all.
        return mix(proportional(priorities, active), proportional(is_so_far, active), self.config.rehearsal_share)

    def _current(self, columns: Columns, stages: Array) -> Array:
        """Returns the number of the first stage that is not over, shape (); the capacity if all stages are over."""
        xp = stages.__array_namespace__()
        active, size = columns["is_active"], stages.shape[0]
        of_tasks = xp.take(self._is_over(columns, stages), xp.clip(stages, None, size - 1))
        is_left = active & ~of_tasks
        if not self.config.can_return:
            is_left = is_left & (stages >= xp.max(xp.where(active & (columns["num_scheduled"] > 0), stages, 0)))
        return xp.min(xp.where(is_left, stages, size))

    def _is_over(self, columns: Columns, stages: Array) -> Array:
        """Returns whether each stage is over, bool, shape (capacity,); a stage without playable tasks is."""
        config, size = self.config, stages.shape[0]
        xp = stages.__array_namespace__()
        groups = xp.where(unplayable(columns, config), size, stages)
        weights = effective_count(columns["num_completions"], config.slow_rate)
        sums = (columns["num_completions"], weights, weights * columns["success_ema"], weights * columns["slow_ema"])
        completions, total, successes, scores = group_sums(sums, groups, size + 1)
        total = xp.where(total > 0.0, total, 1.0)
        numbers = xp.clip(xp.arange(size + 1), None, len(config.stages) - 1)
        is_over = group_sizes(groups, size + 1) == 0
        for number, stage in enumerate(config.stages):
            is_met = self._is_met(stage, completions, successes / total, scores / total)
            is_over = is_over | ((numbers == number) & is_met)
        return is_over[:size]

    def _is_met(self, stage: Stage, completions: Array, success: Array, score: Array) -> Array:
        """Returns whether `stage` is over at each triple of completions, success rate and scaled mean score."""
        low, high = (0.0, 1.0) if isinstance(self.config.score_range, str) else self.config.score_range
        is_met = completions >= stage.min_completions
        reached = [] if stage.success is None else [success >= stage.success - ROUNDING]
        if stage.mean_score is not None:
            reached.append(score >= (stage.mean_score - low) / (high - low) - ROUNDING)
        if reached:
            is_met = is_met & reduce(operator.and_ if stage.combine == "all" else operator.or_, reached)
        return is_met if stage.max_completions is None else is_met | (completions >= stage.max_completions)


def _stages(axis: int | str | None, columns: Columns) -> tuple[Array]:
    """Returns the number of each task's stage, from 0, shape (capacity,), and a later number where inactive.

    Args:
        axis: Index of the axis whose values are the stages; None: each task is a stage.
        columns: Columns of the pool.
    """
    positions = position(columns, axis)
    xp = positions.__array_namespace__()
    ordered = xp.sort(xp.where(columns["is_active"], positions, xp.inf))
    is_next = xp.concat([xp.zeros(1, dtype=xp.int64), xp.astype(ordered[1:] > ordered[:-1], xp.int64)])
    numbers = xp.take(xp.cumulative_sum(is_next), xp.searchsorted(ordered, positions) % positions.shape[0])
    return (xp.where(columns["is_active"], numbers, positions.shape[0]),)
