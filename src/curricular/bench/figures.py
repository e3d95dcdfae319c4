"""The figures of a bench: what every run came to, and the scores that follow from the runs."""

from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from .choices import UNIDIRECTIONAL, UNPOOLED, told_costs
from .learners import NO_HARM, SCENARIOS, SCORED, Interval, Scores, ratio_runs, recovery, score_runs

UNIFORM, ORACLE = "uniform", "oracle"
"""The baselines: they are in every bench."""


class Outcome(BaseModel):
    """One run: how one algorithm taught one learner. Fields as in `learners.Run`."""

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
    """Group of tasks -> episodes by window of time."""


class Figures(BaseModel):
    """All runs of a bench, in the order planned, and what they were planned with."""

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = 1
    """Format of the file."""
    algorithms: list[str]
    """Without the oracle, and without those that took part in one scenario to compare with; uniform first."""
    worlds: list[tuple[str, int]]
    """Scenario and variation."""
    seeds: list[int]
    versions: dict[str, str]
    wall_seconds: float
    cpu_seconds: dict[str, float]
    """By algorithm, those beside the others included."""
    outcomes: list[Outcome]

    def values(
        self, measure: Literal["auc", "effective_tasks"], algorithm: str, worlds: Sequence[tuple[str, int]]
    ) -> NDArray[np.float64]:
        """One measure of each run of `algorithm`, shape (num_worlds, num_seeds)."""
        by_run = {(run.scenario, run.variation, run.seed): run for run in self.outcomes if run.algorithm == algorithm}
        pick = attrgetter(measure)
        return np.array([[pick(by_run[*world, seed]) for seed in self.seeds] for world in worlds])

    def among(self, names: Sequence[str]) -> list[tuple[str, int]]:
        """The worlds of the scenarios `names`."""
        return [world for world in self.worlds if world[0] in names]

    def scores(self, worlds: Sequence[tuple[str, int]], algorithms: Sequence[str] | None = None) -> Scores:
        """Normalised scores, 0 for uniform and 1 for the oracle, of `algorithms`; None: of all."""
        runs = np.stack([self.values("auc", name, worlds) for name in algorithms or self.algorithms])
        return score_runs(runs, self.values("auc", UNIFORM, worlds), self.values("auc", ORACLE, worlds))

    def ratios(
        self,
        worlds: Sequence[tuple[str, int]],
        base: str = UNIFORM,
        *,
        measure: Literal["auc", "effective_tasks"] = "auc",
        beyond: str | None = None,
    ) -> Interval:
        """A measure of all algorithms over that of `base`, shape (num_algorithms, num_worlds).

        With `beyond`, of both only what is beyond that algorithm's.
        """
        runs = np.stack([self.values(measure, name, worlds) for name in (base, *self.algorithms)])
        if beyond is not None:
            runs -= self.values(measure, beyond, worlds)
        return ratio_runs(runs[1:], runs[0])

    def curves(self, algorithm: str, world: tuple[str, int]) -> NDArray[np.float64]:
        """Learning curves, shape (num_seeds, num_points)."""
        return np.array([run.curve for run in self._runs(algorithm, world)])

    def shares(self, algorithm: str, world: tuple[str, int]) -> Mapping[str, NDArray[np.float64]]:
        """Group of tasks -> its share of the draws by window of time, over all seeds."""
        runs = self._runs(algorithm, world)
        counts = {group: np.sum([run.draws[group] for run in runs], axis=0) for group in runs[0].draws}
        total = np.maximum(np.sum(list(counts.values()), axis=0), 1)
        return {group: count / total for group, count in counts.items()}

    def summary(self) -> dict[str, dict[str, Any]]:
        """The headline figures as plain data: for each algorithm its scores with intervals, ratios, recovery."""
        result: dict[str, dict[str, Any]] = {name: {} for name in self.algorithms}
        scored = self.among(SCORED)
        if {scenario for scenario, _ in scored} == set(SCORED):
            headline = self.scores(scored)
            for number, name in enumerate(self.algorithms):
                result[name] |= {"mean": _triple(headline.mean, number), "worst": _triple(headline.worst, number)}
        for key, (worlds, interval) in self._parts().items():
            for number, name in enumerate(self.algorithms):
                result[name][key] = {
                    title(world): _triple(interval, (number, column)) for column, world in enumerate(worlds)
                }
        for name in self.algorithms:
            result[name]["recovery"] = {title(world): self._recovery(name, world) for world in self.among(["reset"])}
        return result

    def _parts(self) -> dict[str, tuple[list[tuple[str, int]], Interval]]:
        """What is told of the worlds one by one: those that it is told of, and figures (num_algorithms, num_worlds)."""
        taught = [world for world in self.worlds if world[0] not in (*NO_HARM, "nothing")]
        harmless, forgetting, with_axes, costly, nothing = (
            self.among(names) for names in (NO_HARM, ["forgetting"], ["axes"], ["cost"], ["nothing"])
        )
        parts: dict[str, tuple[list[tuple[str, int]], Interval]] = {}
        if taught:
            parts["scores"] = taught, self.scores(taught).by_scenario
        if costly:
            told = [told_costs(name) for name in self.algorithms]
            parts["told_costs"] = costly, self.scores(costly, told).by_scenario
        if with_axes:
            parts["over_unpooled"] = with_axes, self.ratios(with_axes, UNPOOLED, beyond=UNIFORM)
        if harmless:
            parts["no_harm"] = harmless, self.ratios(harmless)
        if forgetting:
            parts["over_unidirectional"] = forgetting, self.ratios(forgetting, UNIDIRECTIONAL)
        if nothing:
            parts["evenness"] = nothing, self.ratios(nothing, measure="effective_tasks")
        return parts

    def _recovery(self, algorithm: str, world: tuple[str, int]) -> dict[str, float | None]:
        curve = self.curves(algorithm, world).mean(axis=0)
        back = recovery(curve, np.arange(curve.size))
        ratio = None if back.recovery_time is None else back.recovery_time / max(back.learning_time, 1.0)
        return {"level": back.level, "time_ratio": ratio}

    def _runs(self, algorithm: str, world: tuple[str, int]) -> list[Outcome]:
        return [run for run in self.outcomes if run.algorithm == algorithm and (run.scenario, run.variation) == world]


def title(world: tuple[str, int]) -> str:
    """The name of a world: that of its scenario, and the variation if it is not the definition.

    >>> title(("chain", 2))
    '1 chain (2)'
    """
    scenario, variation = world
    name = f"{SCENARIOS[scenario].number} {scenario}"
    return f"{name} ({variation})" if variation else name


def _triple(interval: Interval, at: Any) -> list[float]:
    return [float(values[at]) for values in (interval.estimate, interval.low, interval.high)]
