"""The figures of a bench: what every run came to, and the scores that follow from the runs."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from ..learners import NO_HARM, SCENARIOS, SCORED, Interval, Scores, ratio_runs, recovery, score_runs

UNIDIRECTIONAL = "unidirectional"
"""What the scenario of forgetting is compared with, if it takes part."""

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
    """Without the oracle; uniform first."""
    worlds: list[tuple[str, int]]
    """Scenario and variation."""
    seeds: list[int]
    versions: dict[str, str]
    wall_seconds: float
    outcomes: list[Outcome]

    def aucs(self, algorithm: str, worlds: Sequence[tuple[str, int]]) -> NDArray[np.float64]:
        """Area under the learning curve, shape (num_worlds, num_seeds)."""
        by_run = {(run.algorithm, run.scenario, run.variation, run.seed): run.auc for run in self.outcomes}
        return np.array([[by_run[algorithm, *world, seed] for seed in self.seeds] for world in worlds])

    def among(self, names: Sequence[str]) -> list[tuple[str, int]]:
        """The worlds of the scenarios `names`."""
        return [world for world in self.worlds if world[0] in names]

    def scores(self, worlds: Sequence[tuple[str, int]]) -> Scores:
        """Normalised scores, 0 for uniform and 1 for the oracle, of all `algorithms`."""
        runs = np.stack([self.aucs(algorithm, worlds) for algorithm in self.algorithms])
        return score_runs(runs, self.aucs(UNIFORM, worlds), self.aucs(ORACLE, worlds))

    def ratios(self, worlds: Sequence[tuple[str, int]], base: str = UNIFORM) -> Interval:
        """AUC over that of `base`, shape (num_algorithms, num_worlds)."""
        runs = np.stack([self.aucs(algorithm, worlds) for algorithm in self.algorithms])
        return ratio_runs(runs, self.aucs(base, worlds))

    def curves(self, algorithm: str, world: tuple[str, int]) -> NDArray[np.float64]:
        """Learning curves, shape (num_seeds, num_points)."""
        return np.array([run.curve for run in self._runs(algorithm, world)])

    def shares(self, algorithm: str, world: tuple[str, int]) -> Mapping[str, NDArray[np.float64]]:
        """Group of tasks -> its share of the draws by window of time, over all seeds."""
        runs = self._runs(algorithm, world)
        counts = {group: np.sum([run.draws[group] for run in runs], axis=0) for group in runs[0].draws}
        total = np.maximum(np.sum(list(counts.values()), axis=0), 1)
        return {group: count / total for group, count in counts.items()}

    def evenness(self, algorithm: str, world: tuple[str, int]) -> float:
        """Effective number of tasks drawn, over that of uniform draws."""
        tasks, even = (
            np.mean([run.effective_tasks for run in self._runs(name, world)]) for name in (algorithm, UNIFORM)
        )
        return float(tasks / even)

    def summary(self) -> dict[str, Any]:
        """The headline figures as plain data: for each algorithm its scores with intervals, ratios, recovery."""
        scored, harmless = self.among(SCORED), self.among(NO_HARM)
        others = [world for world in self.worlds if world not in scored + harmless and world[0] != "nothing"]
        result: dict[str, Any] = {name: {} for name in self.algorithms}
        parts: list[tuple[str, list[tuple[str, int]], Interval]] = []
        if scored or others:
            scores = self.scores(scored + others)
            parts.append(("scores", scored + others, scores.by_scenario))
        if scored:
            headline = self.scores(scored)
            for number, name in enumerate(self.algorithms):
                for key, interval in (("mean", headline.mean), ("worst", headline.worst)):
                    result[name][key] = _triple(interval, number)
        if harmless:
            parts.append(("no_harm", harmless, self.ratios(harmless)))
        forgetting = self.among(["forgetting"]) if UNIDIRECTIONAL in self.algorithms else []
        if forgetting:
            parts.append(("over_unidirectional", forgetting, self.ratios(forgetting, UNIDIRECTIONAL)))
        for key, worlds, interval in parts:
            for number, name in enumerate(self.algorithms):
                result[name][key] = {
                    title(world): _triple(interval, (number, column)) for column, world in enumerate(worlds)
                }
        for name in self.algorithms:
            result[name]["recovery"] = {title(world): self._recovery(name, world) for world in self.among(["reset"])}
            result[name]["evenness"] = {title(world): self.evenness(name, world) for world in self.among(["nothing"])}
        return result

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
