"""Defaults of a curriculum: the generator, the config and the size of the pool that the user did not set."""

import logging
from typing import Any

from .algorithms.noise_aware import NoiseAwareConfig
from .algorithms.protocol import Algorithm
from .config import USUAL_NUM_TASKS, AnyConfigT, CurriculumConfig, Settings, SettingsT, changed
from .generators import (
    SeedGenerator,
    SequenceTaskGenerator,
    SingleTaskGenerator,
    TaskGenerator,
    TaskGeneratorSet,
    as_generator,
)
from .task import Axis, Span, all_axes, by_column

_log = logging.getLogger(__name__)

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
    """Returns `config` for `generator`: with the size of the pool, and with indices instead of names of axes.

    Raises:
        ValueError: If an axis is named that `generator` does not have, or one that should hold rates does not.
    """
    config = config if config.num_active_tasks is not None else changed(config, num_active_tasks=pool_size(generator))
    config = _located(config, generator.axes)
    for name in config.rate_fields:
        _check_rates(name, getattr(config, name), generator.axes)
    return config


def warn_of_others(config: CurriculumConfig, num_tasks: int | None, algorithm: Algorithm) -> None:
    """Warns if the pool leaves out tasks, since it keeps those that it begins with.

    Args:
        config: A fitted config.
        num_tasks: Number of tasks of the generator; None: it is endless.
        algorithm: The algorithm of the pool.
    """
    if num_tasks is None or num_tasks <= config.pool_size or config.num_first_tasks:
        return
    if config.eviction_rate and algorithm.evicts_tasks:
        return
    name = type(algorithm).__name__
    _log.warning(
        "num_active_tasks is %d, the generator has %d tasks, and %s: the other %d tasks are not handed out; raise "
        "num_active_tasks, or leave it out to have all tasks of a list in the pool",
        config.pool_size,
        num_tasks,
        f"{name} keeps the first playable ones" if config.eviction_rate else "eviction_rate=0 keeps the first ones",
        num_tasks - config.pool_size,
    )


def _located(settings: SettingsT, axes: tuple[Axis, ...]) -> SettingsT:
    """Returns `settings` with indices of `axes` instead of their names."""
    named = {name: getattr(settings, name) for name in settings.axis_fields}
    found = {name: _index(value, name, axes) for name, value in named.items()}
    if found == named:
        return settings
    return changed(settings, **found)


def _index(value: Any, setting: str, axes: tuple[Axis, ...]) -> Any:
    """Returns the value of a setting of axes with indices instead of names."""
    if isinstance(value, tuple):
        return tuple(_index(part, setting, axes) for part in value)
    if isinstance(value, Settings):
        return _located(value, axes)
    if not isinstance(value, str):
        return value
    columns = {column for column, axis in by_column(axes) if axis.name == value}
    if len(columns) != 1:
        names = ", ".join(map(repr, dict.fromkeys(axis.name for axis in all_axes(axes)))) or "there are none"
        got = f"{value!r}, which is in the columns {sorted(columns)} of the params" if columns else repr(value)
        remedy = "pass the index of the column" if columns else "use one of them"
        raise ValueError(f"{setting}: expected the name of an axis of the tasks ({names}), got {got}; {remedy}")
    return columns.pop()


def _check_rates(setting: str, column: int | None, axes: tuple[Axis, ...]) -> None:
    """Checks that the params in a column are rates in [0, 1]."""
    for place, axis in by_column(axes):
        low, high, _ = axis.bounds
        is_plain = (
            not axis.values.log if isinstance(axis.values, Span) else axis.values == tuple(range(len(axis.values)))
        )
        if place == column and not (is_plain and 0 <= low <= high <= 1):
            raise ValueError(
                f"{setting}: expected an axis of success rates from 0 to 1, got {axis.name!r}, whose values are "
                f"{axis.values!r:.100}; divide percents by 100, write rates as floats, and NaN where one is unknown"
            )


def reduced(config: AnyConfigT, generator: TaskGenerator[Any]) -> AnyConfigT:
    """Returns a saved `config` with `num_active_tasks` limited to the number of tasks of `generator`."""
    num_tasks = generator.num_tasks
    if num_tasks is None or config.num_active_tasks is None or config.num_active_tasks <= num_tasks:
        return config
    return changed(config, num_active_tasks=num_tasks)


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
