"""Writes what a user's model learns about the rows of a data set into the params of their tasks."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .generators import SequenceTaskGenerator, TaskGenerator
from .inputs import as_array, as_indices
from .params import Layout
from .table import Patch, Table, write_params


def writer(generator: TaskGenerator[Any], rows: ArrayLike, column: str, values: ArrayLike) -> Callable[[Table], Patch]:
    """Returns a function of the pool that writes `values` into the params of the tasks of `rows` that are in it.

    The arguments are checked here, before a caller takes the table's lock.

    Args:
        generator: The generator of the tasks.
        rows: Indices of rows, all different, shape (n,).
        column: Name of a column.
        values: One number per row, shape (n,); NaN: unknown.

    Raises:
        TypeError: If the tasks are not rows of a data set, or an argument has a wrong dtype.
        KeyError: If there is no such column.
        ValueError: If an argument has a wrong shape or value.
    """
    if not isinstance(generator, SequenceTaskGenerator):
        raise TypeError(
            f"set_params: expected tasks that are rows of a data set, got those of a {type(generator).__name__}, which "
            f"makes tasks from their params; use dataset(...)"
        )
    if not isinstance(column, str):
        raise TypeError(f"column: expected the name of a column, got {column!r:.100}; pass (rows, column, values)")
    names = [axis.name for axis in generator.axes]
    if column not in names:
        found = f"the columns are {', '.join(names)}" if names else "it has none"
        raise KeyError(f"column: expected a column of the data set, got {column!r}; {found}: name one of them")
    index = names.index(column)
    num_tasks = generator.num_tasks
    seeds = as_indices("rows", rows, num_tasks)
    numbers = _checked_values(values, len(seeds), Layout(generator.axes[index : index + 1]))

    def written(table: Table) -> Patch:
        active = np.flatnonzero(table.rows["is_active"])
        slot_of = np.full(num_tasks, -1)
        slot_of[table.rows["seed"][active]] = active
        slots = slot_of[seeds]
        is_here = slots >= 0
        return write_params(table, slots[is_here], index, numbers[is_here])

    return written


def _checked_values(values: ArrayLike, n: int, layout: Layout) -> NDArray[np.float64]:
    given = as_array("values", values)
    if given.shape != (n,):
        raise ValueError(f"values: expected shape {(n,)}, one value per row, got {given.shape}; pass as many as rows")
    if n and given.dtype.kind not in "biuf":
        raise TypeError(f"values: expected numbers, got dtype {given.dtype}; convert them")
    numbers = given.astype(np.float64)
    off = layout.find_off(numbers[:, None], may_be_unknown=True)
    if off is not None:
        wanted, number, place = off
        raise ValueError(f"values: expected numbers {wanted}, got {number} at index {place}; keep them there")
    return numbers
