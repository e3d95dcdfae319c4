"""Sources of tasks: a single task, buckets of values, merged sets, or a custom class."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from ..task import ConfigT, Span
from .buckets import BucketedTaskGenerator
from .columns import SupportsRows
from .merged import TaskGeneratorSet
from .mutation import onto
from .protocol import MutableTaskGenerator, SeedGenerator, TaskGenerator
from .sequence import SequenceTaskGenerator, dataset
from .serial import canonical, dump_task_generator, load_task_generator
from .single import SingleTaskGenerator

__all__ = [
    "BucketedTaskGenerator",
    "MutableTaskGenerator",
    "SeedGenerator",
    "SequenceTaskGenerator",
    "SingleTaskGenerator",
    "SupportsRows",
    "TaskGenerator",
    "TaskGeneratorSet",
    "Tasks",
    "as_generator",
    "bucketed",
    "dataset",
    "dump_task_generator",
    "fingerprint",
    "load_task_generator",
    "merge",
    "onto",
    "single_task",
]


Tasks: TypeAlias = TaskGenerator[ConfigT] | SupportsRows[ConfigT]
"""What tasks come from: a generator, or a list or another sequence of configurations."""


def as_generator(tasks: Tasks[ConfigT]) -> TaskGenerator[ConfigT]:
    """Returns `tasks` if it is a generator, otherwise a generator of the configurations in `tasks`.

    Raises:
        TypeError: If `tasks` is neither a generator nor a sequence of configurations.
        ValueError: If there are no configurations, or two of them are equal.
    """
    return tasks if isinstance(tasks, TaskGenerator) else dataset(tasks)


def single_task(config: Any, label: str = "") -> SingleTaskGenerator:
    """Returns a generator of a single task.

    Args:
        config: What the environment is built or reset from.
        label: The label of the task in the statistics.
    """
    return SingleTaskGenerator(config=config, label=label)


def bucketed(base: Any, buckets: Mapping[str, Sequence[Any] | Span], label: str | None = None) -> BucketedTaskGenerator:
    """Returns a generator that varies `base` over buckets of values.

    Args:
        base: A configuration, or a built-in generator of configurations.
        buckets: Dotted path into the configuration -> its possible values, or a `Span`.
        label: The label of all tasks. None: the label of the task in `base`, then ``path=value`` for each bucket
            of values.

    Raises:
        KeyError: If the configuration does not have one of the paths.
        ValueError: If a bucket is empty or contains a value that the configuration rejects.

    Examples:
        >>> bucketed({"map": {"size": 5}, "lit": True}, {"map.size": [5, 9], "lit": [True, False]}).num_tasks
        4
    """
    is_generator = isinstance(base, SingleTaskGenerator | BucketedTaskGenerator | TaskGeneratorSet)
    child = base if is_generator else single_task(base)
    values = {path: bucket if isinstance(bucket, Span) else tuple(bucket) for path, bucket in buckets.items()}
    for path, bucket in values.items():
        if bucket == ():
            raise ValueError(f"buckets[{path!r}]: expected a Span or at least one value, got none; add one or drop it")
    return BucketedTaskGenerator(child=child, buckets=values, label=label)


def merge(generators: Sequence[Tasks[Any]], weights: Sequence[float] | None = None) -> TaskGeneratorSet:
    """Returns a generator of the tasks of all `generators`.

    Args:
        generators: At least one generator.
        weights: How often each generator is drawn, relative to the others, > 0. None: all equally often.

    Raises:
        ValueError: If there are no generators, a weight is not positive, or the number of weights differs from the
            number of generators.

    Examples:
        >>> merge([single_task("reach"), single_task("grasp")]).num_tasks
        2
    """
    return TaskGeneratorSet(
        children=tuple(map(as_generator, generators)), weights=None if weights is None else tuple(weights)
    )


def fingerprint(generator: TaskGenerator[Any]) -> str:
    """Returns a short hash that identifies the tasks of a generator and is the same in every process.

    The hash covers all fields of a pydantic model or a dataclass. For any other class, it covers the class name, the
    axes and the number of tasks.
    """
    data = canonical([generator, generator.num_tasks, generator.axes])
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()[:16]
