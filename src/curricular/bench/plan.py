"""The plan of a bench: which algorithm plays in which world with which seed; needs no extra."""

import os
from collections.abc import Sequence
from dataclasses import dataclass

from .algorithms import ALGORITHMS, COST_SUFFIX, FactoryError, comparisons, find
from .figures import ORACLE, UNIFORM
from .learners import POST_TRAINING, SCENARIOS, check_speed

__all__ = [
    "ALGORITHMS",
    "DEFAULT",
    "SCENARIOS",
    "USUAL",
    "FactoryError",
    "Job",
    "Plan",
    "count_processes",
    "create_plan",
]

DEFAULT = ("noise-aware", "learning-progress", "learnability", "thompson", "level-replay")
"""Names of the algorithms that a bench compares by default."""


USUAL = tuple(name for name in SCENARIOS if name not in POST_TRAINING)
"""Names of the scenarios of a bench by default."""


@dataclass(frozen=True)
class Job:
    """One run: an algorithm that teaches the learner of one world."""

    algorithm: str
    scenario: str
    variation: int
    seed: int
    speed: float


@dataclass(frozen=True)
class Plan:
    """All runs of a bench: the algorithms, the oracle and the algorithms to compare with, in every world."""

    algorithms: tuple[str, ...]
    worlds: tuple[tuple[str, int], ...]
    """Pairs of a scenario and a variation."""
    seeds: tuple[int, ...]
    speed: float

    @property
    def jobs(self) -> list[Job]:
        """The runs, ordered by world."""
        return [
            Job(algorithm, *world, seed, self.speed)
            for world in self.worlds
            for seed in self.seeds
            for algorithm in dict.fromkeys((ORACLE, *self.algorithms, *comparisons(self.algorithms, world[0])))
        ]


def create_plan(
    algorithms: Sequence[str] = DEFAULT,
    scenarios: Sequence[str] = USUAL,
    *,
    num_seeds: int = 10,
    variations: Sequence[int] = (0,),
    speed: float = 1.0,
) -> Plan:
    """Returns the plan of a bench, in which uniform draws and the oracle always take part.

    Args:
        algorithms: Names as in `algorithms.find`, each perhaps with `COST_SUFFIX`.
        scenarios: Names in `SCENARIOS`.
        num_seeds: Number of runs of each algorithm in each world. Seeds are even; settings are chosen on odd seeds.
        variations: Indices into each scenario's variations; 0 is the definition.
        speed: Factor on the learners' rates, in (0, 100]; run lengths are divided by it.

    Raises:
        ValueError: If a name or a variation is unknown or appears twice, or if a number is out of range.
    """
    for name in algorithms:
        find(name.removesuffix(COST_SUFFIX))
    for name in scenarios:
        if name not in SCENARIOS:
            raise ValueError(f"scenarios: expected one of {', '.join(SCENARIOS)}, got {name!r}; correct the name")
    for argument, names in (("algorithms", algorithms), ("scenarios", scenarios), ("variations", variations)):
        if not names or len(set(names)) < len(names):
            raise ValueError(f"{argument}: expected at least one, each once, got {names!r}; correct the list")
    if num_seeds < 1:
        raise ValueError(f"seeds: expected 1 or more, got {num_seeds}; raise it")
    check_speed(speed)
    worlds = [(scenario, variation) for variation in variations for scenario in scenarios]
    for scenario, variation in worlds:
        highest = len(SCENARIOS[scenario].variations) - 1
        if not 0 <= variation <= highest:
            raise ValueError(f"variations: expected 0 to {highest}, got {variation}; 0 is the scenario as defined")
    named = tuple(name for name in algorithms if name not in {UNIFORM, ORACLE})
    return Plan((UNIFORM, *named), tuple(worlds), tuple(range(0, 2 * num_seeds, 2)), speed)


def count_processes(num_processes: int | None) -> int:
    """Returns `num_processes`, or the number of available processors if it is None.

    Raises:
        ValueError: If the number is below 1.
    """
    if num_processes is None:
        return len(os.sched_getaffinity(0))
    if num_processes < 1:
        raise ValueError(
            f"jobs: expected 1 or more processes, got {num_processes}; raise it, or leave it out for one per processor"
        )
    return num_processes
