"""Labels of many tasks at once."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..task import Params
from .buckets import BucketedTaskGenerator
from .merged import TaskGeneratorSet
from .protocol import TaskGenerator


def task_labels(generator: TaskGenerator[Any], seeds: NDArray[np.int64], params: Params) -> list[str]:
    """Returns what ``generator.label_of`` returns for each task.

    Asks each member of a merged set for the labels of all its tasks, and a generator with one label only once.

    Args:
        generator: The generator of the tasks.
        seeds: Seeds of the tasks, shape (n,).
        params: Params of the tasks, shape (n, num_params).
    """
    if type(generator) is TaskGeneratorSet:
        labels = np.empty(len(seeds), np.object_)
        for choice, chosen, child_seeds, child_params in generator.members(seeds, params):
            names = task_labels(generator.children[choice], child_seeds, child_params)
            labels[chosen] = [name or f"generator={choice}" for name in names]
        return labels.tolist()
    if type(generator) is BucketedTaskGenerator and generator.label is not None:
        return [generator.label] * len(seeds)
    return [generator.label_of(seed, row) for seed, row in zip(seeds.tolist(), params, strict=True)]
