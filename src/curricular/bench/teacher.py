"""The real `Curriculum` as the teacher of a simulated learner."""

import numpy as np
from numpy.typing import NDArray

from .. import Axis, Curriculum, CurriculumConfig, ModifiedAlgorithm, Modifier, create_algorithm
from ..task import Params
from .choices import Factory
from .learners import Pool, World


class PoolTasks:
    """The tasks of a simulated pool as a generator: a task's configuration is its number, its label the first axis."""

    def __init__(self, pool: Pool) -> None:
        self.num_tasks: int = pool.num_tasks
        self.axes: tuple[Axis, ...] = tuple(
            Axis(f"axis {number}", tuple(range(int(values.max()) + 1))) for number, values in enumerate(pool.params.T)
        )
        self._params = pool.params

    def sample(self, seeds: NDArray[np.int64], rng: np.random.Generator) -> Params:
        return self._params[seeds]

    def label_of(self, seed: int, params: Params) -> str:
        return f"{params[0]:.0f}" if self.axes else ""

    def build(self, seed: int, params: Params) -> int:
        return seed


class Teacher:
    """A sampler for `learners.play` that asks and tells a curriculum over the pool, or over a part of it at a time.

    `factory` is given the number of all tasks; if its config wants fewer, tasks come and go by eviction, and a result
    goes to the task id under which its task was handed out last. `modifiers` multiply the probabilities.

    Raises `TypeError` if `factory` returns something else than a config, or a config and an algorithm.
    """

    def __init__(self, world: World, factory: Factory, *modifiers: Modifier) -> None:
        chosen = factory(num_active_tasks=world.pool.num_tasks, seed=world.seed, use_shared_memory=False)
        config, algorithm = chosen if isinstance(chosen, tuple) else (chosen, None)
        if not isinstance(config, CurriculumConfig):
            raise TypeError(
                f"factory: expected it to return a CurriculumConfig, or one and an algorithm, got {chosen!r}; "
                f"return the config made from its keyword arguments"
            )
        if modifiers:
            algorithm = ModifiedAlgorithm(create_algorithm(config) if algorithm is None else algorithm, *modifiers)
        self._curriculum: Curriculum[int] = Curriculum(config, PoolTasks(world.pool), algorithm=algorithm)
        self._task_ids = np.full(world.pool.num_tasks, -1)

    def ask(self, n: int) -> NDArray[np.int64]:
        """The numbers of the next `n` tasks."""
        tasks = self._curriculum.ask(n)
        numbers = np.array([task.config for task in tasks], np.int64)
        self._task_ids[numbers] = [task.task_id for task in tasks]
        return numbers

    def tell(self, task_ids: NDArray[np.int64], scores: NDArray[np.float64]) -> None:
        """Reports results by the tasks' numbers."""
        self._curriculum.tell(self._task_ids[task_ids], scores)
