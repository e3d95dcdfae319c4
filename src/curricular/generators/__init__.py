"""Where tasks come from: one task, buckets of values, merged sets, or a class of your own."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from ..task import Span
from .buckets import BucketedTaskGenerator
from .merged import TaskGeneratorSet
from .mutation import onto
from .protocol import MutableTaskGenerator, SeedGenerator, TaskGenerator
from .serial import canonical, dump_task_generator, load_task_generator
from .single import SingleTaskGenerator

__all__ = [
    "BucketedTaskGenerator",
    "MutableTaskGenerator",
    "SeedGenerator",
    "SingleTaskGenerator",
    "TaskGenerator",
    "TaskGeneratorSet",
    "bucketed",
    "dump_task_generator",
    "fingerprint",
    "load_task_generator",
    "merge",
    "onto",
    "single_task",
]


def single_task(config: Any, label: str = "") -> SingleTaskGenerator:
    """A generator of the one task `config`."""
    return SingleTaskGenerator(config=config, label=label)


def bucketed(base: Any, buckets: Mapping[str, Sequence[Any] | Span], label: str | None = None) -> BucketedTaskGenerator:
    """A generator of variations of `base`, a configuration or a generator in the box, over buckets by dotted path.

    Raises `KeyError` for a path that the configuration does not have, `ValueError` for a bucket that is empty or that
    holds a value that the configuration refuses.

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


def merge(generators: Sequence[TaskGenerator[Any]], weights: Sequence[float] | None = None) -> TaskGeneratorSet:
    """A generator of the tasks of all `generators`, drawn by `weights` if given.

    Raises `ValueError` for no generators, for weights that are not positive or not one per generator.

    >>> merge([single_task("reach"), single_task("grasp")]).num_tasks
    2
    """
    return TaskGeneratorSet(children=tuple(generators), weights=None if weights is None else tuple(weights))


def fingerprint(generator: TaskGenerator[Any]) -> str:
    """A short hash that differs between generators of different tasks, the same in every process.

    Of a pydantic model or dataclass, all of its data; of another class, its name, its axes and its number of tasks.
    """
    data = canonical([generator, generator.num_tasks, generator.axes])
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()[:16]
