"""`Roster`: adds tasks to a pool and removes tasks from it, at the user's request."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .admission import Admission
from .config import CurriculumConfig
from .generators import TaskGenerator
from .inputs import as_ids, as_indices
from .refresh import Refresher
from .table import Patch, Table, is_current, remove
from .tickets import refuse_task


class Roster:
    """Adds and removes tasks of a pool with `config.num_first_tasks`.

    Each call is one change of the table, which also refreshes the distribution. So every process of a session draws
    from the new set of tasks at its next call.

    Args:
        refresher: Commits the changes.
        admission: Makes the rows of new tasks.
        generator: The finite generator that the tasks come from.
        config: Says whether the user changes the pool.
    """

    def __init__(
        self, refresher: Refresher, admission: Admission[Any], generator: TaskGenerator[Any], config: CurriculumConfig
    ) -> None:
        self._refresher = refresher
        self._admission = admission
        self._num_tasks = generator.num_tasks
        self._is_growing = config.num_first_tasks is not None

    def add(self, seeds: ArrayLike) -> NDArray[np.int64]:
        """Puts the tasks with `seeds`, shape (k,), into free places, and returns their ids, shape (k,).

        Raises:
            TypeError: If `seeds` are not integers.
            ValueError: If the pool does not grow, has too few free places or has a task already, or if the generator
                has no such task.
        """
        self._check_growing("add_tasks")
        numbers = as_indices("seeds", seeds, self._num_tasks or 0)  # it is finite, or the pool would not grow
        ids = np.empty(0, np.int64)

        def patch_of(table: Table) -> Patch:
            nonlocal ids
            active = table.rows["is_active"]
            is_there = active & np.isin(table.rows["seed"], numbers)
            if is_there.any():
                slot = int(is_there.argmax())
                raise ValueError(
                    f"seeds: expected tasks that are not in the pool, got {table.rows['seed'][slot]}, which is task "
                    f"{table.rows['task_id'][slot]}; leave it out"
                )
            (free,) = np.nonzero(~active)
            if len(free) < len(numbers):
                raise ValueError(
                    f"seeds: expected at most {len(free)}, one for each free place of the pool, got {len(numbers)}; "
                    f"remove tasks first, or raise num_active_tasks"
                )
            patch = self._admission.enter(table, free[: len(numbers)], numbers)
            ids = patch.rows["task_id"].copy()
            return patch

        if len(numbers):
            self._refresher.change(patch_of)
        return ids

    def remove(self, task_ids: ArrayLike) -> None:
        """Removes the tasks with `task_ids`, shape (k,).

        Raises:
            TypeError: If `task_ids` are not integers.
            ValueError: If the pool does not grow, or no task would be left.
            KeyError: If a task is not in the pool.
        """
        self._check_growing("remove_tasks")
        ids = np.unique(as_ids(task_ids))

        def patch_of(table: Table) -> Patch:
            is_here = is_current(table, ids)
            if not is_here.all():
                refuse_task(int(ids[~is_here][0]), table)
            if len(ids) == np.count_nonzero(table.rows["is_active"]):
                raise ValueError(
                    f"task_ids: expected to leave at least one task in the pool, got all {len(ids)}; add others first"
                )
            return remove(table, ids % len(table.rows))

        if len(ids):
            self._refresher.change(patch_of)

    def _check_growing(self, call: str) -> None:
        if not self._is_growing:
            raise ValueError(
                f"{call}: expected a config with num_first_tasks, got None, with which the curriculum fills the pool "
                f"itself; set num_first_tasks to the number of tasks to begin with"
            )
