"""The protocol of a task generator, and its simplest implementation."""

from collections.abc import Mapping, Sequence
from operator import index
from typing import Protocol, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ..task import Axis, Params

ConfigT_co = TypeVar("ConfigT_co", covariant=True)
SeedsT = TypeVar("SeedsT", int, NDArray[np.int64])


@runtime_checkable
class TaskGenerator(Protocol[ConfigT_co]):
    """A family of tasks; a task is its seed and its params, from which any process can rebuild the configuration."""

    @property
    def axes(self) -> tuple[Axis, ...]:
        """The dimensions along which the tasks differ; may be empty.

        An axis takes one column of params. An axis with branches takes the columns of its widest branch as well.
        """
        ...

    @property
    def num_tasks(self) -> int | None:
        """The number of distinct tasks; None: endless.

        The tasks of a finite generator have seeds 0 … num_tasks − 1, and each is in the pool at most once.
        """
        ...

    def sample(self, seeds: NDArray[np.int64], rng: np.random.Generator) -> Params:
        """Draws the params of new tasks, shape (len(seeds), num_params).

        An endless generator draws params from `rng`. A finite generator derives params from the seeds.
        """
        ...

    def label_of(self, seed: int, params: Params) -> str:
        """Returns the label that groups a task in the statistics.

        The pool calls this for every task, so it must be cheap. There should be few distinct labels.
        """
        ...

    def build(self, seed: int, params: Params) -> ConfigT_co:
        """Builds the configuration of a task: equal arguments give an equal configuration in any process."""
        ...


@runtime_checkable
class MutableTaskGenerator(TaskGenerator[ConfigT_co], Protocol[ConfigT_co]):
    """An endless generator that can also make small changes to a task, for algorithms that edit levels."""

    def mutate(self, seeds: NDArray[np.int64], params: Params, rng: np.random.Generator) -> Params:
        """Returns params a small step from `params`, for tasks that keep their seeds.

        A task that cannot be changed keeps its params. The generator must not write to the arguments.

        Args:
            seeds: Seeds of the tasks, shape (n,).
            params: Params of the tasks, shape (n, num_params).
            rng: The source of the steps.

        Returns:
            The new params, shape (n, num_params).
        """
        ...


class SeedGenerator:
    """The default generator of a curriculum: the configuration of a task is its seed."""

    axes: tuple[Axis, ...] = ()
    num_tasks = None

    def sample(self, seeds: NDArray[np.int64], rng: np.random.Generator) -> Params:
        return np.empty((len(seeds), 0))

    def label_of(self, seed: int, params: Params) -> str:
        return ""

    def build(self, seed: int, params: Params) -> int:
        return seed


_MEMBERS = ("axes", "num_tasks", "sample", "label_of", "build")


def is_generator(value: object) -> bool:
    """Returns whether `value` has all members of a `TaskGenerator`."""
    return not isinstance(value, type) and set(_MEMBERS) <= set(dir(value))


def check_generator(
    generator: object, argument: str = "generator", expected: str = "a task generator", fix: str = ""
) -> None:
    """Checks that `generator` is a task generator, with axes and a number of tasks that a pool can use.

    Args:
        generator: The object to check.
        argument: Name of the argument, for the error.
        expected: What is expected, for the error.
        fix: What to do with a configuration, for the error.

    Raises:
        TypeError: If it is not, or if its axes are none; names `argument`, and what to do with the value.
        ValueError: If it has a wrong number of tasks.
    """
    if is_generator(generator):
        _check_axes(generator.axes)  # type: ignore[attr-defined]
        _check_num_tasks(generator.num_tasks)  # type: ignore[attr-defined]
        return
    present = set(_MEMBERS) & set(dir(generator))
    got = f"{generator!r:.100}"
    if isinstance(generator, type) and len(present) == len(_MEMBERS):
        got, fix = f"the class {generator.__name__}", f"create one: {generator.__name__}(...)"
    elif present:
        missing = ", ".join(name for name in _MEMBERS if name not in present)
        got, fix = f"a {type(generator).__name__} without {missing}", "add what is missing"
    elif isinstance(generator, Mapping) and "kind" in generator:
        fix = "read it with load_task_generator"
    else:
        fix = fix or "wrap a configuration in single_task, or vary it with bucketed"
    raise TypeError(f"{argument}: expected {expected}, got {got}; {fix}")


def _check_axes(axes: object) -> None:
    if not isinstance(axes, Sequence) or not all(isinstance(axis, Axis) for axis in axes):
        raise TypeError(
            f"generator.axes: expected a tuple of Axis objects, got {axes!r:.100}; write (Axis(name, values), ...), or "
            f"() without axes"
        )


def _check_num_tasks(num_tasks: object) -> None:
    try:
        is_right = num_tasks is None or 1 <= index(num_tasks) < 2**63  # type: ignore[arg-type]
    except TypeError:
        is_right = False
    if not is_right:
        raise ValueError(
            f"generator.num_tasks: expected a whole number from 1 to 2**63 - 1, or None for an endless generator, got "
            f"{num_tasks!r:.100}; return the number of distinct tasks"
        )


def local_seeds(seeds: SeedsT, child: TaskGenerator[object]) -> SeedsT:
    """Converts seeds of a parent, an int or an array, to seeds of `child`: below `child.num_tasks` if it is finite."""
    return seeds if child.num_tasks is None else seeds % child.num_tasks
