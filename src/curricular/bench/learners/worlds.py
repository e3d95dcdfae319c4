"""The parts of a scenario: the pool, which the curriculum sees; the world, which is hidden; and the feedback."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .dynamics import Floats, Learner

BATCH_SIZE = 32
"""Number of episodes per step."""

MAX_SPEED = 100.0
"""Highest speed, at which the shortest run has ten steps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Feedback:
    """How results reach the curriculum.

    Attributes:
        max_delay: Largest delay in steps; delays are uniform from 0.
        lost_share: Share of the results that never arrive.
        concentration: None: scores are successes, 0 or 1. A number c > 0: scores are Beta(c·p, c·(1-p)), with mean p.
        group_size: Number of scores per result; above 1, results are groups.
    """

    max_delay: int = 0
    lost_share: float = 0.0
    concentration: float | None = None
    group_size: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """What a curriculum may know before it starts.

    Attributes:
        num_tasks: Number of tasks; their numbers are 0 … num_tasks - 1, in random order.
        num_steps: Budget of a run, in steps of `BATCH_SIZE` episodes of mean length.
        params: Values on the axes, shape (num_tasks, num_axes); without axes (num_tasks, 0).
        costs: Length of an episode divided by the mean length, shape (num_tasks,); None: all lengths are equal.
        is_distinct: Whether a step has no task twice, as a batch of prompts.
    """

    num_tasks: int
    num_steps: int
    params: Floats
    costs: Floats | None
    is_distinct: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """A learner that can be taught once. A curriculum sees `pool` and `seed`; everything else is hidden.

    Attributes:
        pool: What the curriculum may know.
        seed: Entropy for the curriculum, independent of the world's own streams.
        learner: The learner, which learns in all cells below `learner.rates.size`.
        cells: Cell of every task, shape (num_tasks,); cells >= `learner.rates.size` have a constant success rate.
        constants: Success rates of the constant cells, shape (num_constants,).
        groups: Names of the groups of tasks in the pictures.
        group_of: Index in `groups` of every task's group, shape (num_tasks,).
        feedback: How results reach the curriculum.
        rng: Source of the results.
    """

    pool: Pool
    seed: int
    learner: Learner
    cells: NDArray[np.int64]
    constants: Floats
    groups: tuple[str, ...]
    group_of: NDArray[np.int64]
    feedback: Feedback
    rng: np.random.Generator

    @property
    def is_learnable(self) -> NDArray[np.bool_]:
        """Whether practice can change a task's success rate, shape (num_tasks,)."""
        return self.cells < self.learner.rates.size

    def competence(self) -> float:
        """Returns the mean success rate over the learnable tasks; 0 if no task can be learned."""
        rates = self.learner.rates
        return float(np.add.reduce(rates)) / rates.size if rates.size else 0.0

    def success_rates(self, numbers: NDArray[np.int64]) -> Floats:
        """Returns the true success rates of the tasks with these numbers, in the shape of `numbers`."""
        return np.concatenate([self.learner.rates, self.constants])[self.cells[numbers]]

    def practise(self, numbers: NDArray[np.int64]) -> None:
        """Lets the learner learn from one episode in each task with these numbers; repeats count."""
        num_cells = self.learner.rates.size
        self.learner.practise(np.bincount(self.cells[numbers], minlength=num_cells)[:num_cells])

    def gains(self) -> Floats:
        """Returns the true marginal gain in competence per environment step spent on a task, shape (num_tasks,)."""
        gains = np.concatenate([self.learner.gains(), np.zeros(self.constants.size)])
        return gains[self.cells] if self.pool.costs is None else gains[self.cells] / self.pool.costs


@dataclass(frozen=True, slots=True, kw_only=True)
class Blueprint:
    """A world before its tasks are shuffled; returned by `Scenario.draw`. Fields as in `World` and `Pool`."""

    learner: Learner
    num_steps: int
    constants: Floats
    group_sizes: Mapping[str, int]
    cells: NDArray[np.int64] | None = None
    params: Floats | None = None
    costs: Floats | None = None
    is_distinct: bool = False
    feedback: Feedback = field(default_factory=Feedback)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A family of worlds.

    Attributes:
        name: Name on the command line.
        number: Number in the table of the documentation.
        summary: One line that describes the worlds.
        draw: Function (rng, speed=…, **variation) -> Blueprint.
        variations: Settings that differ from the definition; the first is {}, the definition.
    """

    name: str
    number: str
    summary: str
    draw: Callable[..., Blueprint]
    variations: tuple[Mapping[str, Any], ...]

    def build(self, seed: int, *, speed: float = 1.0, variation: int = 0) -> World:
        """Returns the world of `seed`, which with its results is the same for every curriculum.

        Args:
            seed: Seed of the world, >= 0.
            speed: Factor on all rates of learning and forgetting, in (0, `MAX_SPEED`]. The run length is divided by it,
                so only the noise per unit of learning changes.
            variation: Index in `variations`.

        Raises:
            ValueError: If `speed` or `variation` is out of range.
        """
        check_speed(speed)
        if not 0 <= variation < len(self.variations):
            raise ValueError(
                f"variation: expected 0 to {len(self.variations) - 1} for {self.name}, got {variation}; "
                "0 is the scenario as defined"
            )
        entropy = [seed, variation, *self.name.encode()]
        truth, results, curriculum = np.random.SeedSequence(entropy).spawn(3)
        rng = np.random.default_rng(truth)
        blueprint = self.draw(rng, speed=speed, **self.variations[variation])
        group_of = np.repeat(np.arange(len(blueprint.group_sizes)), list(blueprint.group_sizes.values()))
        num_tasks = group_of.size
        order = rng.permutation(num_tasks)
        cells = np.arange(num_tasks) if blueprint.cells is None else blueprint.cells
        params = np.empty((num_tasks, 0)) if blueprint.params is None else blueprint.params
        return World(
            pool=Pool(
                num_tasks=num_tasks,
                num_steps=blueprint.num_steps,
                params=params[order],
                costs=None if blueprint.costs is None else blueprint.costs[order],
                is_distinct=blueprint.is_distinct,
            ),
            seed=int(curriculum.generate_state(1)[0]),
            learner=blueprint.learner,
            cells=cells[order],
            constants=blueprint.constants,
            groups=tuple(blueprint.group_sizes),
            group_of=group_of[order],
            feedback=blueprint.feedback,
            rng=np.random.default_rng(results),
        )


def check_speed(speed: float) -> None:
    """Checks a factor on the learners' rates.

    Raises:
        ValueError: If it is not in (0, `MAX_SPEED`].
    """
    if not 0 < speed <= MAX_SPEED:
        raise ValueError(
            f"speed: expected a factor above 0, at most {MAX_SPEED:g}, got {speed}; 1 is the speed as defined"
        )
