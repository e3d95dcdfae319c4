"""The figures of a demo, on their way from the training processes to the views, the report and the JSON file."""

from collections.abc import Mapping
from itertools import groupby, pairwise
from statistics import mean
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict

SOLVED = 0.9
"""Mean success from which on a run counts as having learned the family."""


_GOAL_COLOURS = ("#5aa469", "#3d7ea6", "#8d6cab")  # of the groups of learnable levels, in order
_USELESS_COLOUR = "#b9b4ab"


class Point(BaseModel):
    """Where one run stands after `step` environment steps. Counts run from the start, one for each level by name."""

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, extra="forbid")

    step: int
    draws: dict[str, int]
    """Episodes begun."""
    successes: dict[str, int]
    """Training episodes that reached the goal."""
    steps: dict[str, int]
    """Environment steps spent."""
    evaluation: dict[str, float] | None
    """Share of evaluation episodes that reached the goal, by learnable level; None: not evaluated here."""
    cpu_seconds: float
    wall_seconds: float

    @property
    def mean_success(self) -> float:
        """The mean of `evaluation` over the learnable levels, in [0, 1]; 0 before the first one."""
        return mean(self.evaluation.values()) if self.evaluation else 0.0


class Run(BaseModel):
    """One training run: an algorithm with a seed."""

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, extra="forbid")

    algorithm: str
    seed: int
    curriculum: dict[str, Any]
    """The curriculum's configuration."""
    points: list[Point] = []
    """The evaluated ones, oldest first."""

    @property
    def name(self) -> str:
        return f"{self.algorithm}, seed {self.seed}"

    @property
    def final_success(self) -> float:
        """Mean success at the last evaluation, in [0, 1]; 0 before the first one."""
        return self.points[-1].mean_success if self.points else 0.0

    @property
    def is_solved(self) -> bool:
        """Whether the last evaluation has a mean success of at least `SOLVED`."""
        return self.final_success >= SOLVED

    @property
    def steps_to_solved(self) -> int | None:
        """Steps at the first evaluation with a mean success of at least `SOLVED`; None: never."""
        return next((point.step for point in self.points if point.mean_success >= SOLVED), None)

    def group_success(self, groups: Mapping[str, str]) -> dict[str, float]:
        """Group -> mean success on its levels at the last evaluation; learnable groups only."""
        evaluation = (self.points[-1].evaluation if self.points else None) or {}
        by_group = groupby(evaluation, key=lambda level: groups[level])
        return {group: mean(evaluation[level] for level in levels) for group, levels in by_group}

    def total_draw_shares(self, groups: Mapping[str, str]) -> dict[str, float]:
        """Group -> its share of all draws."""
        return group_shares(groups, self.points[-1].draws if self.points else {}, {})

    def draw_shares(self, groups: Mapping[str, str]) -> list[dict[str, float]]:
        """Group -> its share of the draws since the point before, one for each point."""
        draws: list[Mapping[str, int]] = [{}, *(point.draws for point in self.points)]
        return [group_shares(groups, now, before) for before, now in pairwise(draws)]


Status = Literal["running", "complete", "interrupted", "failed"]


class Figures(BaseModel):
    """All figures of a demo."""

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = 1
    """Format of the file."""
    status: Status
    num_steps: int
    """Steps that each run is to take."""
    settings: dict[str, Any]
    """Settings of the training."""
    versions: dict[str, str]
    """Python's and the packages'."""
    num_processes: int
    """Runs at a time, each on one thread."""
    wall_seconds: float
    groups: dict[str, str]
    """Level -> group, in order."""
    learnable: list[str]
    """The levels that are evaluated."""
    max_steps: dict[str, int]
    """Level -> step limit of an episode."""
    runs: list[Run]

    @property
    def algorithms(self) -> dict[str, list[int]]:
        """Algorithm -> numbers of its runs in `runs`."""
        algorithms: dict[str, list[int]] = {}
        for number, run in enumerate(self.runs):
            algorithms.setdefault(run.algorithm, []).append(number)
        return algorithms

    @property
    def colours(self) -> dict[str, str]:
        """Group -> its colour in the terminal and in the picture."""
        goals = dict.fromkeys(self.groups[level] for level in self.learnable)
        return dict(zip(goals, _GOAL_COLOURS, strict=False)) | {
            group: _USELESS_COLOUR for group in self.groups.values() if group not in goals
        }


def group_shares(groups: Mapping[str, str], counts: Mapping[str, int], since: Mapping[str, int]) -> dict[str, float]:
    """Group -> its share of `counts` beyond `since`, both by level; all 0 if nothing was counted.

    >>> group_shares({"Empty 5": "Empty", "DoorKey 5": "DoorKey"}, {"Empty 5": 8, "DoorKey 5": 1}, {"Empty 5": 5})
    {'Empty': 0.75, 'DoorKey': 0.25}
    """
    totals = dict.fromkeys(groups.values(), 0)
    for level, group in groups.items():
        totals[group] += counts.get(level, 0) - since.get(level, 0)
    total = sum(totals.values()) or 1
    return {group: count / total for group, count in totals.items()}
