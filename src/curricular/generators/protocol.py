"""The protocol of a task generator, and the simplest one that meets it."""

from typing import Protocol, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ..task import Axis, Params

ConfigT_co = TypeVar("ConfigT_co", covariant=True)
SeedsT = TypeVar("SeedsT", int, NDArray[np.int64])


class TaskGenerator(Protocol[ConfigT_co]):
    """A family of tasks. A task is its seed and its params; any process can build it again from the two."""

    @property
    def axes(self) -> tuple[Axis, ...]:
        """What its tasks differ in; may be empty. Each is a column of params, with `Axis.branches` more than one."""
        ...

    @property
    def num_tasks(self) -> int | None:
        """How many distinct tasks there are: seeds 0 … num_tasks − 1, each in the pool at most once. None: endless."""
        ...

    def sample(self, seeds: NDArray[np.int64], rng: np.random.Generator) -> Params:
        """Params of new tasks, shape (len(seeds), num_params): from `rng`; if `num_tasks` is finite, from the seeds."""
        ...

    def label_of(self, seed: int, params: Params) -> str:
        """The group of a task in the statistics. Called for every task, so cheap; few distinct values."""
        ...

    def build(self, seed: int, params: Params) -> ConfigT_co:
        """The configuration of a task. Pure: the same arguments give an equal result, in any process."""
        ...


@runtime_checkable
class MutableTaskGenerator(TaskGenerator[ConfigT_co], Protocol[ConfigT_co]):
    """An endless generator that can also change a task a little, for algorithms that edit levels."""

    def mutate(self, seeds: NDArray[np.int64], params: Params, rng: np.random.Generator) -> Params:
        """New params, shape (n, num_params), a small step from `params`, for tasks that keep their `seeds`, shape (n,).

        A task that cannot be changed keeps its params. Arguments are never written into.
        """
        ...


class SeedGenerator:
    """The generator of a curriculum without one: a task's configuration is its seed."""

    axes: tuple[Axis, ...] = ()
    num_tasks = None

    def sample(self, seeds: NDArray[np.int64], rng: np.random.Generator) -> Params:
        return np.empty((len(seeds), 0))

    def label_of(self, seed: int, params: Params) -> str:
        return ""

    def build(self, seed: int, params: Params) -> int:
        return seed


def local_seeds(seeds: SeedsT, child: TaskGenerator[object]) -> SeedsT:
    """The seeds of `child` that belong to the seeds of its parent, one or many: below `num_tasks` if that is finite."""
    return seeds if child.num_tasks is None else seeds % child.num_tasks
