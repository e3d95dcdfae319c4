"""The figures of a bench: the outcome of every run, and the scores computed from the outcomes."""

from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from .algorithms import UNIDIRECTIONAL, UNPOOLED, with_costs
from .learners import NO_HARM, POST_TRAINING, SCENARIOS, SCORED, Interval, Scores, ratio_runs, recovery, score_runs

UNIFORM, ORACLE = "uniform", "oracle"
"""Names of the baselines, which take part in every bench."""


class Outcome(BaseModel):
    """The outcome of one run, in which one algorithm taught one learner; fields as in `learners.Run`."""

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, extra="forbid")

    algorithm: str
    scenario: str
    variation: int
    seed: int
    auc: float
    final: float
    time_to_80: float | None
    wasted_share: float
    effective_tasks: float
    num_steps: float
    curve: list[float]
    draws: dict[str, list[int]]
    """Group of tasks -> number of episodes in each time window."""
    late_shares: dict[str, float]
    top_shares: dict[str, float]


DRAWS: Mapping[str, tuple[str, Callable[[Outcome], float]]] = {
    "draws_noise": ("mixture", lambda run: run.late_shares["noise"] + run.late_shares["rare noise"]),
    "draws_easy": ("mixture", lambda run: run.late_shares["easy"]),
    "draws_mastered": ("frontier", lambda run: run.late_shares["mastered"]),
    "draws_top_fluke": ("frontier", lambda run: run.top_shares["fluke"]),
}
"""Shares of the draws that the table shows: key of the summary -> scenario, and the share of a run."""


class Figures(BaseModel):
    """The outcomes of a bench in the order of its plan, with the settings of the plan."""

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = 1
    """Version of the file format."""
    algorithms: list[str]
    """Names of the compared algorithms, uniform first; without the oracle and `algorithms.comparisons`."""
    worlds: list[tuple[str, int]]
    """Pairs of a scenario and a variation."""
    seeds: list[int]
    versions: dict[str, str]
    wall_seconds: float
    cpu_seconds: dict[str, float]
    """Algorithm -> CPU time of its runs; includes the oracle and `algorithms.comparisons`."""
    outcomes: list[Outcome]

    def values(
        self, measure: Literal["auc", "effective_tasks"], algorithm: str, worlds: Sequence[tuple[str, int]]
    ) -> NDArray[np.float64]:
        """Returns one measure of each run of `algorithm`, shape (num_worlds, num_seeds)."""
        by_run = {(run.scenario, run.variation, run.seed): run for run in self.outcomes if run.algorithm == algorithm}
        pick = attrgetter(measure)
        return np.array([[pick(by_run[*world, seed]) for seed in self.seeds] for world in worlds])

    def worlds_of(self, scenarios: Sequence[str]) -> list[tuple[str, int]]:
        """Returns the worlds of `scenarios`."""
        return [world for world in self.worlds if world[0] in scenarios]

    def scores(self, worlds: Sequence[tuple[str, int]], algorithms: Sequence[str] | None = None) -> Scores:
        """Returns the normalised scores of `algorithms` (None: all): uniform has 0 and the oracle 1."""
        runs = np.stack([self.values("auc", name, worlds) for name in algorithms or self.algorithms])
        return score_runs(runs, self.values("auc", UNIFORM, worlds), self.values("auc", ORACLE, worlds))

    def ratios(
        self,
        worlds: Sequence[tuple[str, int]],
        base: str = UNIFORM,
        *,
        measure: Literal["auc", "effective_tasks"] = "auc",
        baseline: str | None = None,
    ) -> Interval:
        """Returns the ratio of every algorithm's measure to that of `base`, shape (num_algorithms, num_worlds).

        Args:
            worlds: Pairs of a scenario and a variation.
            base: Algorithm in the denominator.
            measure: Field of `Outcome` to compare.
            baseline: Algorithm whose measure is first subtracted from numerator and denominator; None: no subtraction.
        """
        runs = np.stack([self.values(measure, name, worlds) for name in (base, *self.algorithms)])
        if baseline is not None:
            runs -= self.values(measure, baseline, worlds)
        return ratio_runs(runs[1:], runs[0])

    def curves(self, algorithm: str, world: tuple[str, int]) -> NDArray[np.float64]:
        """Returns the learning curves of `algorithm` in `world`, shape (num_seeds, num_points)."""
        return np.array([run.curve for run in self._runs(algorithm, world)])

    def shares(self, algorithm: str, world: tuple[str, int]) -> Mapping[str, NDArray[np.float64]]:
        """Returns, by group of tasks, the group's share of the draws in each time window, over all seeds."""
        runs = self._runs(algorithm, world)
        counts = {group: np.sum([run.draws[group] for run in runs], axis=0) for group in runs[0].draws}
        total = np.maximum(np.sum(list(counts.values()), axis=0), 1)
        return {group: count / total for group, count in counts.items()}

    def summary(self) -> dict[str, dict[str, Any]]:
        """Returns each algorithm's headline figures as plain data: scores and ratios with intervals, and recovery."""
        result: dict[str, dict[str, Any]] = {name: {} for name in self.algorithms}
        scored = self.worlds_of(SCORED)
        if {scenario for scenario, _ in scored} == set(SCORED):
            headline = self.scores(scored)
            for index, name in enumerate(self.algorithms):
                result[name] |= {"mean": _triple(headline.mean, index), "worst": _triple(headline.worst, index)}
        for key, (worlds, interval) in self._parts().items():
            for index, name in enumerate(self.algorithms):
                result[name][key] = {
                    title(world): _triple(interval, (index, column)) for column, world in enumerate(worlds)
                }
        for name in self.algorithms:
            result[name]["recovery"] = {
                title(world): self._recovery(name, world) for world in self.worlds_of(["reset"])
            }
        return result

    def _parts(self) -> dict[str, tuple[list[tuple[str, int]], Interval]]:
        """Returns, by key of the summary, its worlds and their figures, shape (num_algorithms, num_worlds)."""
        taught = [world for world in self.worlds if world[0] not in (*NO_HARM, "nothing")]
        harmless, forgetting, with_axes, costly, nothing = (
            self.worlds_of(names) for names in (NO_HARM, ["forgetting"], ["axes"], ["cost"], ["nothing"])
        )
        parts: dict[str, tuple[list[tuple[str, int]], Interval]] = {}
        if taught:
            parts["scores"] = taught, self.scores(taught).by_scenario
        if costly:
            informed = [with_costs(name) for name in self.algorithms]
            parts["told_costs"] = costly, self.scores(costly, informed).by_scenario
        if with_axes:
            parts["over_unpooled"] = with_axes, self.ratios(with_axes, UNPOOLED, baseline=UNIFORM)
        if harmless:
            parts["no_harm"] = harmless, self.ratios(harmless)
        if forgetting:
            parts["over_unidirectional"] = forgetting, self.ratios(forgetting, UNIDIRECTIONAL)
        if prompts := self.worlds_of([name for name in POST_TRAINING if name not in NO_HARM]):
            parts["speedup"] = prompts, self._speedups(prompts)
        if nothing:
            parts["evenness"] = nothing, self.ratios(nothing, measure="effective_tasks")
        for key, (scenario, share_of) in DRAWS.items():
            if worlds := self.worlds_of([scenario]):
                parts[key] = worlds, self._mean_shares(worlds, share_of)
        return parts

    def _mean_shares(self, worlds: Sequence[tuple[str, int]], share_of: Callable[[Outcome], float]) -> Interval:
        """Returns the mean of a share of the draws over seeds, shape (num_algorithms, num_worlds)."""
        shares = [[[share_of(run) for run in self._runs(name, world)] for world in worlds] for name in self.algorithms]
        return ratio_runs(shares, np.ones((len(worlds), len(self.seeds))))

    def _speedups(self, worlds: Sequence[tuple[str, int]]) -> Interval:
        """Returns how many times sooner than uniform draws a level is reached, shape (num_algorithms, num_worlds)."""
        found = [
            [
                [
                    speedup(curve, base)
                    for curve, base in zip(self.curves(name, world), self.curves(UNIFORM, world), strict=True)
                ]
                for world in worlds
            ]
            for name in self.algorithms
        ]
        return ratio_runs(found, np.ones((len(worlds), len(self.seeds))))

    def _recovery(self, algorithm: str, world: tuple[str, int]) -> dict[str, float | None]:
        curve = self.curves(algorithm, world).mean(axis=0)
        found = recovery(curve, np.arange(curve.size))
        ratio = None if found.recovery_time is None else found.recovery_time / max(found.learning_time, 1.0)
        return {"level": found.level, "time_ratio": ratio}

    def _runs(self, algorithm: str, world: tuple[str, int]) -> list[Outcome]:
        return [run for run in self.outcomes if run.algorithm == algorithm and (run.scenario, run.variation) == world]


def speedup(curve: NDArray[np.float64], base: NDArray[np.float64]) -> float:
    """Returns the time in which `base` reaches the lower one of both last levels, over the time of `curve`.

    Args:
        curve: A learning curve at equally spaced times, shape (n,).
        base: The curve to compare with, shape (n,).

    Examples:
        >>> speedup(np.array([0.0, 1.0, 2.0]), np.array([0.0, 0.5, 1.0]))
        2.0
    """
    level = min(curve[-1], base[-1])
    ours, theirs = (max(_first_time(levels, level), 1e-9) for levels in (curve, base))
    return theirs / ours


def _first_time(levels: NDArray[np.float64], level: float) -> float:
    """Returns the first time at which `levels` reach `level`, interpolated, in steps of the curve."""
    index = int((levels >= level).argmax())
    if index == 0:
        return 0.0
    low, high = levels[index - 1], levels[index]
    return float(index - 1 + (level - low) / (high - low))


def title(world: tuple[str, int]) -> str:
    """Returns the title of a world: number and name of its scenario, and the variation unless it is the definition.

    Examples:
        >>> title(("chain", 2))
        '1 chain (2)'
    """
    scenario, variation = world
    name = f"{SCENARIOS[scenario].number} {scenario}"
    return f"{name} ({variation})" if variation else name


def _triple(interval: Interval, index: Any) -> list[float] | None:
    """Returns the estimate and both ends of its interval; None if it is not known."""
    triple = [float(values[index]) for values in (interval.estimate, interval.low, interval.high)]
    return None if np.isnan(triple).any() else triple
