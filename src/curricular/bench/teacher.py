"""A real `Curriculum` as the teacher of a simulated learner."""

from collections import defaultdict, deque

import numpy as np
from numpy.typing import NDArray

from .. import Axis, Curriculum, CurriculumConfig, ModifiedAlgorithm, Modifier, Span, create_algorithm
from ..task import Params
from .algorithms import Factory
from .learners import BATCH_SIZE, Pool, World


class PoolTasks:
    """Generator of a simulated pool's tasks: the config is a task's number, the label its value on the first axis."""

    def __init__(self, pool: Pool) -> None:
        self.num_tasks: int = pool.num_tasks
        self.axes: tuple[Axis, ...] = tuple(
            Axis(f"axis {number}", _values(values)) for number, values in enumerate(pool.params.T)
        )
        self._params = pool.params

    def sample(self, seeds: NDArray[np.int64], rng: np.random.Generator) -> Params:
        return self._params[seeds]

    def label_of(self, seed: int, params: Params) -> str:
        return f"{params[0]:.0f}" if self.axes else ""

    def build(self, seed: int, params: Params) -> int:
        return seed


def _values(params: NDArray[np.float64]) -> tuple[int, ...] | Span:
    """Returns the values of an axis: the numbers of choices, or the interval of real numbers."""
    is_whole = bool((params == params.round()).all())
    return tuple(range(int(params.max()) + 1)) if is_whole else Span(0.0, max(1.0, float(params.max())))


class CurriculumTeacher:
    """A teacher for `learners.play` that asks and tells a curriculum over the tasks of a world.

    If the config has fewer active tasks than the world, eviction replaces tasks. The curriculum then
    receives a result under the task id with which its task was last handed out.

    Args:
        world: The world to teach in; only `world.pool` and `world.seed` are read.
        factory: Makes the config; receives the number of all tasks as `num_active_tasks`.
        modifiers: Factors on the probabilities.

    Raises:
        TypeError: If `factory` returns neither a config nor a config with an algorithm.
    """

    def __init__(self, world: World, factory: Factory, *modifiers: Modifier) -> None:
        spec = factory(num_active_tasks=world.pool.num_tasks, seed=world.seed, use_shared_memory=False)
        config, algorithm = spec if isinstance(spec, tuple) else (spec, None)
        if not isinstance(config, CurriculumConfig):
            raise TypeError(
                f"factory: expected it to return a CurriculumConfig, or a config and an algorithm, got {spec!r}; "
                "return a config made from the keyword arguments"
            )
        if modifiers:
            algorithm = ModifiedAlgorithm(create_algorithm(config) if algorithm is None else algorithm, *modifiers)
        self._curriculum: Curriculum[int] = Curriculum(config, PoolTasks(world.pool), algorithm=algorithm)
        self._task_ids = np.full(world.pool.num_tasks, -1)

    def ask(self, n: int) -> NDArray[np.int64]:
        """Returns the numbers of the next `n` tasks."""
        tasks = self._curriculum.ask(n)
        numbers = np.array([task.config for task in tasks], np.int64)
        self._task_ids[numbers] = [task.task_id for task in tasks]
        return numbers

    def tell(self, numbers: NDArray[np.int64], scores: NDArray[np.float64]) -> None:
        """Passes results to the curriculum by the tasks' numbers."""
        self._curriculum.tell(self._task_ids[numbers], scores)


class PromptTeacher(CurriculumTeacher):
    """A teacher for prompts: every step is a batch with tickets, without a prompt twice; lost results expire.

    Args:
        world: The world to teach in; only `world.pool`, `world.seed` and the longest delay are read.
        factory: Makes the config, as for `CurriculumTeacher`.
        modifiers: Factors on the probabilities.
    """

    def __init__(self, world: World, factory: Factory, *modifiers: Modifier) -> None:
        super().__init__(world, factory, *modifiers)
        self._max_age = (world.feedback.max_delay + 1) * BATCH_SIZE
        self._step = 0
        self._max_delay = world.feedback.max_delay
        self._tickets: dict[int, deque[tuple[int, int]]] = defaultdict(deque)

    def ask(self, n: int) -> NDArray[np.int64]:
        """Returns the numbers of the next `n` prompts, all different."""
        self._curriculum.expire(self._max_age)
        batch = self._curriculum.ask_batch(n, replace=False)
        for number, ticket in zip(batch.seeds.tolist(), batch.tickets.tolist(), strict=True):
            self._tickets[number].append((self._step, ticket))
        self._step += 1
        return batch.seeds

    def tell(self, numbers: NDArray[np.int64], scores: NDArray[np.float64]) -> None:
        """Passes results to the curriculum, each with the oldest ticket of its prompt that has not expired."""
        tickets = []
        for number in numbers.tolist():
            waiting = self._tickets[number]
            while len(waiting) > 1 and waiting[0][0] < self._step - 1 - self._max_delay:
                waiting.popleft()
            tickets.append(waiting.popleft()[1])
        self._curriculum.tell_batch(tickets, scores)
