"""Sources of tasks: a single task, buckets of values, merged sets, or a custom class."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, TypeAlias, cast

from ..task import ConfigT, Span, all_axes
from .buckets import BucketedTaskGenerator
from .canonical import canonical
from .columns import SupportsRows, is_rows
from .copies import copied, copier
from .encoding import plain
from .labels import task_labels
from .merged import TaskGeneratorSet
from .mutation import onto
from .protocol import MutableTaskGenerator, SeedGenerator, TaskGenerator, check_generator, is_generator
from .sequence import SequenceTaskGenerator, dataset
from .serial import AS_IS, dump_task_generator, load_task_generator
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
    "check_generator",
    "copied",
    "copier",
    "dataset",
    "dump_task_generator",
    "fingerprint",
    "identity",
    "load_task_generator",
    "merge",
    "onto",
    "plain",
    "single_task",
    "task_labels",
]


MAX_AXES, MAX_LETTERS = 8, 40
"""Number of axes that an identity names, and the maximum length of a name."""

Tasks: TypeAlias = TaskGenerator[ConfigT] | SupportsRows[ConfigT]
"""What tasks come from: a generator, or a list or another sequence of configurations."""


def as_generator(tasks: Tasks[ConfigT], argument: str = "tasks") -> TaskGenerator[ConfigT]:
    """Returns `tasks` if it is a generator, otherwise a generator of the configurations in `tasks`.

    Args:
        tasks: A generator, or a sequence of configurations.
        argument: Name of the argument, for errors.

    Raises:
        TypeError: If `tasks` is neither a generator nor a sequence of configurations.
        ValueError: If there are no configurations, or two of them are equal.
    """
    if not is_generator(tasks) and is_rows(tasks):
        return dataset(cast(SupportsRows[ConfigT], tasks))
    expected, fix = "a list of configurations or a task generator", "put it into a list, or vary it with bucketed"
    check_generator(tasks, argument, expected, fix)
    return cast(TaskGenerator[ConfigT], tasks)


def single_task(config: Any, label: str = "") -> SingleTaskGenerator:
    """Returns a generator of a single task.

    Args:
        config: What the environment is built or reset from.
        label: The label of the task in the statistics.
    """
    return SingleTaskGenerator.model_validate({"config": config, "label": label}, context=AS_IS)


def bucketed(base: Any, buckets: Mapping[str, Iterable[Any] | Span], label: str | None = None) -> BucketedTaskGenerator:
    """Returns a generator that varies `base` over buckets of values.

    Args:
        base: A configuration, or a generator of configurations.
        buckets: Dotted path into the configuration -> its possible values in order, of which some may be `Span`s, or
            one `Span`.
        label: The label of all tasks. None: the label of the task in `base`, then ``path=value`` for each bucket
            of values.

    Raises:
        KeyError: If the configuration neither has one of the paths nor a dict for it.
        TypeError: If a bucket is neither a `Span` nor an ordered collection of values.
        ValueError: If a bucket is empty or contains a value that the configuration rejects.

    Examples:
        >>> bucketed({"map": {"size": 5}, "lit": True}, {"map.size": [5, 9], "lit": [True, False]}).num_tasks
        4
    """
    if not isinstance(buckets, Mapping):
        raise TypeError(f"buckets: expected a mapping of paths to values, got {buckets!r:.100}; give a dict")
    child = base if is_generator(base) else single_task(base)
    fields = {"child": child, "buckets": buckets, "label": label}
    return BucketedTaskGenerator.model_validate(fields, context=AS_IS)


def merge(generators: Sequence[Tasks[Any]], weights: Sequence[float] | None = None) -> TaskGeneratorSet:
    """Returns a generator of the tasks of all `generators`.

    Args:
        generators: At least one generator.
        weights: How often each generator is drawn, relative to the others, > 0. None: all equally often.

    Raises:
        TypeError: If one of `generators` is no generator.
        ValueError: If there are no generators, a weight is not positive, or the number of weights differs from the
            number of generators.

    Examples:
        >>> merge([single_task("reach"), single_task("grasp")]).num_tasks
        2
    """
    if is_generator(generators) or isinstance(generators, str | Mapping) or not isinstance(generators, Iterable):
        raise TypeError(f"generators: expected a list of generators, got {generators!r:.100}; give a list")
    children = tuple(as_generator(child, f"generators[{index}]") for index, child in enumerate(generators))
    return TaskGeneratorSet(children=children, weights=None if weights is None else tuple(weights))


def fingerprint(generator: TaskGenerator[Any]) -> str:
    """Returns a short hash that identifies the tasks of a generator and is the same in every process.

    The hash covers all fields of a pydantic model or a dataclass. For any other class, it covers the class name, the
    axes and the number of tasks.
    """
    data = canonical([generator, generator.num_tasks, generator.axes])
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()[:16]


def identity(generator: TaskGenerator[Any]) -> str:
    """Returns the class, the number of tasks, the first axes and the fingerprint of a generator, for an error.

    Examples:
        >>> print(identity(bucketed({}, {"size": [5, 9]})))
        BucketedTaskGenerator of 2 tasks, axes ['size'] (fe4dd369ec821055)
        >>> print(identity(bucketed({}, {"size": [5, Span(7, 9)]})))
        BucketedTaskGenerator of any number of tasks, axes ['size'] (bbaad936cf3a780e)
    """
    num_tasks = "any number of" if generator.num_tasks is None else f"{generator.num_tasks:,}"
    names = [*islice(dict.fromkeys(axis.name[:MAX_LETTERS] for axis in all_axes(generator.axes)), MAX_AXES)]
    axes = f", axes {names}" if names else ""
    return f"{type(generator).__name__} of {num_tasks} tasks{axes} ({fingerprint(generator)})"
