"""What a scenario is made of: a pool that the curriculum sees, a world that it does not, and how results come back."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .dynamics import Floats, Learner

BATCH_SIZE = 32
"""Episodes per step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Feedback:
    """How results reach the curriculum: after 0 … `max_delay` steps, a share never, as success or as a graded score.

    `concentration` None: scores are successes, 0 or 1. A number c > 0: scores are Beta(c·p, c·(1-p)), of mean p.
    """

    max_delay: int = 0
    lost_share: float = 0.0
    concentration: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """What a curriculum may know before it starts.

    Attributes:
        num_tasks: task ids are 0 … num_tasks - 1, in random order.
        num_steps: steps of `BATCH_SIZE` episodes (of mean length) that a run may take.
        params: values on the axes, shape (num_tasks, num_axes); no axes: (num_tasks, 0).
        costs: length of an episode over the mean length, shape (num_tasks,); None: all are of one length.
    """

    num_tasks: int
    num_steps: int
    params: Floats
    costs: Floats | None


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """One learner, ready to be taught once. A curriculum sees `pool` and `seed`; the rest is the hidden truth.

    Attributes:
        seed: entropy for the curriculum, independent of the world's own.
        cells: the learner's cell of every task; cells from len(learner.rates) on are constant, shape (num_tasks,).
        constants: success rates of the constant cells, shape (num_constants,).
        groups, group_of: names for the pictures, and every task's position among them, shape (num_tasks,).
        rng: stream of the results.
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
        """Whether practice can ever change a task's success rate, shape (num_tasks,)."""
        return self.cells < self.learner.rates.size

    def competence(self) -> float:
        """Return the mean success rate over the learnable tasks; 0 if there are none."""
        rates = self.learner.rates
        return float(np.add.reduce(rates)) / rates.size if rates.size else 0.0

    def success_rates(self, tasks: NDArray[np.int64]) -> Floats:
        """Return the true success rates of `tasks`, shape of `tasks`."""
        return np.concatenate([self.learner.rates, self.constants])[self.cells[tasks]]

    def practise(self, tasks: NDArray[np.int64]) -> None:
        """Let the learner learn from one episode in each of `tasks`, repeats included."""
        num_cells = self.learner.rates.size
        self.learner.practise(np.bincount(self.cells[tasks], minlength=num_cells)[:num_cells])

    def gains(self) -> Floats:
        """Return the true marginal gain in competence per environment step spent on a task, shape (num_tasks,)."""
        gains = np.concatenate([self.learner.gains(), np.zeros(self.constants.size)])
        return gains[self.cells] if self.pool.costs is None else gains[self.cells] / self.pool.costs


@dataclass(frozen=True, slots=True, kw_only=True)
class Blueprint:
    """A world before its tasks are shuffled: what a scenario's function returns."""

    learner: Learner
    num_steps: int
    constants: Floats
    group_sizes: Mapping[str, int]
    cells: NDArray[np.int64] | None = None
    params: Floats | None = None
    costs: Floats | None = None
    feedback: Feedback = field(default_factory=Feedback)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A family of worlds.

    Attributes:
        number: as in the documentation's table.
        draw: (rng, speed=…, **variation) -> Blueprint.
        variations: settings that differ from the definition; the first is the definition itself, {}.
    """

    name: str
    number: str
    summary: str
    draw: Callable[..., Blueprint]
    variations: tuple[Mapping[str, Any], ...]

    def build(self, seed: int, *, speed: float = 1.0, variation: int = 0) -> World:
        """Return the world of `seed`: the same one, results included, whatever curriculum plays in it.

        Args:
            seed: >= 0.
            speed: factor on every rate of learning and forgetting, > 0; the run is 1 / speed times as long, so that
                only the noise per unit of learning changes.
            variation: position in `variations`.
        """
        if not speed > 0:
            raise ValueError(f"speed: expected a factor > 0, got {speed}; 1.0 is the scenario as defined")
        if not 0 <= variation < len(self.variations):
            raise ValueError(
                f"variation: {self.name} has 0 … {len(self.variations) - 1}, got {variation}; 0 is the definition"
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
