"""Defaults of a curriculum: the generator, the config and the size of the pool that the user did not set."""

from typing import Any, TypeVar

from .algorithms.noise_aware import NoiseAwareConfig
from .config import USUAL_NUM_TASKS, CurriculumConfig
from .generators import (
    SeedGenerator,
    SequenceTaskGenerator,
    SingleTaskGenerator,
    TaskGenerator,
    TaskGeneratorSet,
    as_generator,
)

AnyConfigT = TypeVar("AnyConfigT", bound=CurriculumConfig)

MAX_WHOLE = 1024
"""Number of combinations up to which the pool holds all of them. In a larger pool, a task would get few results."""

MAX_LISTED = 2**20
"""Number of listed tasks up to which the pool holds all of them: it starts within seconds, and takes 0.3 GB."""


def arranged(first: Any, second: Any = None) -> tuple[CurriculumConfig, TaskGenerator[Any]]:
    """Returns the config and the generator, which the arguments of a curriculum give in either order.

    Args:
        first: A config or tasks.
        second: The other of the two, or None. The default config is that of the recommended algorithm, and the default
            tasks are seeds.

    Raises:
        TypeError: If the arguments are not a config and tasks.
    """
    for argument in (first, second):
        if isinstance(argument, type) and issubclass(argument, CurriculumConfig):
            name = argument.__name__
            raise TypeError(f"config: expected an object, got the class {name}; write {name}()")
    if isinstance(first, CurriculumConfig):
        return first, SeedGenerator() if second is None else as_generator(second)
    generator = as_generator(first)
    if second is None:
        return NoiseAwareConfig.recommended(), generator
    if isinstance(second, CurriculumConfig):
        return second, generator
    raise TypeError(
        f"config: expected a config beside the tasks, such as NoiseAwareConfig.recommended(), got a "
        f"{type(second).__name__}; to train on both, merge them"
    )


def check_load(tasks: Any) -> None:
    """Checks the tasks of `Curriculum.load`.

    Raises:
        TypeError: If `tasks` is a config.
    """
    if isinstance(tasks, CurriculumConfig):
        raise TypeError(f"tasks: expected a generator or a list, got a {type(tasks).__name__}; pass it as config=")


def fitted(config: AnyConfigT, generator: TaskGenerator[Any]) -> AnyConfigT:
    """Returns `config` with `num_active_tasks` set: to the user's number, or to one that suits `generator`."""
    return config if config.num_active_tasks is not None else _resized(config, pool_size(generator))


def reduced(config: AnyConfigT, generator: TaskGenerator[Any]) -> AnyConfigT:
    """Returns a saved `config` with `num_active_tasks` limited to the number of tasks of `generator`."""
    num_tasks = generator.num_tasks
    if num_tasks is None or config.num_active_tasks is None or config.num_active_tasks <= num_tasks:
        return config
    return _resized(config, num_tasks)


def _resized(config: AnyConfigT, num_active_tasks: int) -> AnyConfigT:
    chosen = {name: getattr(config, name) for name in config.model_fields_set}
    return type(config)(**{**chosen, "num_active_tasks": num_active_tasks})


def pool_size(generator: TaskGenerator[Any]) -> int:
    """Returns the size of the pool that suits `generator`.

    The pool holds all tasks that the user has listed, up to `MAX_LISTED`, and all combinations up to `MAX_WHOLE`. The
    pool of any other generator, and of a longer `range`, is of the usual size.

    Examples:
        >>> [pool_size(as_generator(tasks)) for tasks in (["reach", "grasp"], range(5000), SeedGenerator())]
        [2, 5000, 256]
    """
    num_tasks = generator.num_tasks
    if num_tasks is None:
        return USUAL_NUM_TASKS
    if _is_listed(generator):
        return min(num_tasks, MAX_LISTED)
    return num_tasks if num_tasks <= MAX_WHOLE else USUAL_NUM_TASKS


def _is_listed(generator: TaskGenerator[Any]) -> bool:
    """Returns whether the user has listed each task, alone or in a list, instead of describing combinations."""
    if isinstance(generator, TaskGeneratorSet):
        return all(map(_is_listed, generator.children))
    if isinstance(generator, SequenceTaskGenerator) and isinstance(generator.rows, range):
        return generator.num_tasks <= MAX_LISTED  # a longer one describes seeds
    return isinstance(generator, SequenceTaskGenerator | SingleTaskGenerator)
