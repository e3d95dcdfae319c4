"""The figures of a demo, which training processes produce and views, report and JSON file show."""

from collections.abc import Mapping
from itertools import groupby, pairwise
from statistics import mean
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict

SOLVED = 0.9
"""Smallest mean success of a run that counts as having learned the family."""


_GOAL_COLOURS = ("#5aa469", "#3d7ea6", "#8d6cab")  # one per group of learnable levels, in order
_USELESS_COLOUR = "#b9b4ab"


RARE = 0.05
"""Success rate below which a level that was ever solved counts as "once solved"."""

State = Literal["mastered", "learning", "once solved", "never solved"]
"""How a run stands with a level, by the training episodes since the last evaluation."""


class Point(BaseModel):
    """The state of one run after `step` environment steps; counts start at step 0 and map level names to numbers."""

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, extra="forbid")

    step: int
    draws: dict[str, int]
    """Number of episodes that began."""
    successes: dict[str, int]
    """Number of training episodes that reached the goal."""
    steps: dict[str, int]
    """Number of environment steps."""
    evaluation: dict[str, float] | None
    """Share of evaluation episodes that reached the goal, by learnable level; None: no evaluation at this step."""
    states: dict[State, float] | None = None
    """Share of the draws since the last evaluation on levels in each state; None: no evaluation at this step."""
    cpu_seconds: float
    wall_seconds: float

    @property
    def mean_success(self) -> float:
        """Mean of `evaluation` over the learnable levels, in [0, 1]; 0 without an evaluation."""
        return mean(self.evaluation.values()) if self.evaluation else 0.0


class Run(BaseModel):
    """One training run, with one algorithm and one seed."""

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, extra="forbid")

    algorithm: str
    seed: int
    curriculum: dict[str, Any]
    """The curriculum's configuration."""
    points: list[Point] = []
    """Points with an evaluation, oldest first."""

    @property
    def name(self) -> str:
        return f"{self.algorithm}, seed {self.seed}"

    @property
    def final_success(self) -> float:
        """Mean success at the last evaluation, in [0, 1]; 0 before the first evaluation."""
        return self.points[-1].mean_success if self.points else 0.0

    @property
    def is_solved(self) -> bool:
        """Whether mean success at the last evaluation is at least `SOLVED`."""
        return self.final_success >= SOLVED

    @property
    def steps_to_solved(self) -> int | None:
        """Environment steps at the first evaluation with a mean success of at least `SOLVED`; None: never."""
        return next((point.step for point in self.points if point.mean_success >= SOLVED), None)

    def group_success(self, groups: Mapping[str, str]) -> dict[str, float]:
        """Returns, for each learnable group, the mean success on its levels at the last evaluation."""
        evaluation = (self.points[-1].evaluation if self.points else None) or {}
        by_group = groupby(evaluation, key=lambda level: groups[level])
        return {group: mean(evaluation[level] for level in levels) for group, levels in by_group}

    def total_draw_shares(self, groups: Mapping[str, str]) -> dict[str, float]:
        """Returns the share of each group in all draws."""
        return group_shares(groups, self.points[-1].draws if self.points else {}, {})

    def draw_shares(self, groups: Mapping[str, str]) -> list[dict[str, float]]:
        """Returns, for each point, the share of each group in the draws since the previous point."""
        draws: list[Mapping[str, int]] = [{}, *(point.draws for point in self.points)]
        return [group_shares(groups, now, before) for before, now in pairwise(draws)]


Status = Literal["running", "complete", "interrupted", "failed"]


class Figures(BaseModel):
    """All figures of a demo."""

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = 1
    """Version of the file format."""
    status: Status
    num_steps: int
    """Number of steps planned for each run."""
    settings: dict[str, Any]
    """Training settings, as in `ppo.Settings`."""
    versions: dict[str, str]
    """Version of Python and of each package."""
    num_processes: int
    """Number of runs at a time, each with one thread."""
    wall_seconds: float
    groups: dict[str, str]
    """Level -> group, in the order of the family."""
    learnable: list[str]
    """Names of the levels that are evaluated."""
    max_steps: dict[str, int]
    """Level -> step limit of an episode."""
    runs: list[Run]

    @property
    def algorithms(self) -> dict[str, list[int]]:
        """Algorithm -> indices of its runs in `runs`."""
        algorithms: dict[str, list[int]] = {}
        for index, run in enumerate(self.runs):
            algorithms.setdefault(run.algorithm, []).append(index)
        return algorithms

    @property
    def colours(self) -> dict[str, str]:
        """Group -> colour in the terminal and in the picture."""
        goals = dict.fromkeys(self.groups[level] for level in self.learnable)
        return dict(zip(goals, _GOAL_COLOURS, strict=False)) | {
            group: _USELESS_COLOUR for group in self.groups.values() if group not in goals
        }


def group_shares(groups: Mapping[str, str], counts: Mapping[str, int], since: Mapping[str, int]) -> dict[str, float]:
    """Returns the share of each group in the increase of `counts` since `since`.

    Args:
        groups: Level -> group.
        counts: Level -> count; a missing level has 0.
        since: Level -> earlier count; a missing level has 0.

    Returns:
        Group -> share, in [0, 1]; all shares are 0 if no count increased.

    Examples:
        >>> group_shares({"Empty 5": "Empty", "DoorKey 5": "DoorKey"}, {"Empty 5": 8, "DoorKey 5": 1}, {"Empty 5": 5})
        {'Empty': 0.75, 'DoorKey': 0.25}
    """
    totals = dict.fromkeys(groups.values(), 0)
    for level, group in groups.items():
        totals[group] += counts.get(level, 0) - since.get(level, 0)
    total = sum(totals.values()) or 1
    return {group: count / total for group, count in totals.items()}


def state_shares(
    draws: Mapping[str, int], successes: Mapping[str, int], since: tuple[Mapping[str, int], Mapping[str, int]]
) -> dict[State, float]:
    """Returns the share of the levels in each state in the increase of `draws`.

    Args:
        draws: Level -> number of episodes that began.
        successes: Level -> number of episodes that reached the goal; a missing level has 0.
        since: The same two at an earlier time.

    Examples:
        >>> state_shares({"Empty 5": 30, "DoorKey 5": 10}, {"Empty 5": 29}, ({}, {}))
        {'mastered': 0.75, 'learning': 0.0, 'once solved': 0.0, 'never solved': 0.25}
    """
    shares: dict[State, float] = {"mastered": 0.0, "learning": 0.0, "once solved": 0.0, "never solved": 0.0}
    drawn = {level: count - since[0].get(level, 0) for level, count in draws.items()}
    total = sum(drawn.values()) or 1
    for level, count in drawn.items():
        solved = successes.get(level, 0)
        shares[_state(solved, (solved - since[1].get(level, 0)) / max(count, 1))] += count / total
    return shares


def _state(num_successes: int, recent_success: float) -> State:
    if num_successes == 0:
        return "never solved"
    if recent_success >= SOLVED:
        return "mastered"
    return "once solved" if recent_success < RARE else "learning"
