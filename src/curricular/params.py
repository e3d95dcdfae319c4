"""Maps each column of a task's params to its axis, for many tasks at once."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .task import Axis, Params, num_params

SPAN_CELLS = 8
"""Number of equal parts of a `Span`; comparisons treat the values in one part as the same."""

MAX_CELLS = 64
"""Maximum number of cells of an axis of whole numbers; on an axis with more values, neighbours share a cell.

Each member of a set has its own cell."""


class Layout:
    """Reads the params of tasks with `axes` column by column; each choice leads to the axes of its branch.

    Args:
        axes: The axes of a generator.

    Examples:
        >>> size, lit = Axis("size", (5, 9, 15)), Axis("lit", (False, True))
        >>> layout = Layout((lit, Axis("kind", ("maze", "hall"), branches=((size, lit), (size,)))))
        >>> layout.num_params, layout.num_common
        (4, 1)
        >>> layout.cells(np.array([[1.0, 0.0, 2.0, 1.0], [1.0, 0.0, 0.0, 1.0], [1.0, 1.0, 2.0, 0.0]])).tolist()
        [[9, 5, 2], [9, 3, 2], [10, 8, 0]]
    """

    def __init__(self, axes: tuple[Axis, ...]) -> None:
        self.num_params: int = num_params(axes)
        branching = [column for column, axis in enumerate(axes) if axis.num_columns > 1]
        self.num_common: int = branching[0] if branching else self.num_params
        """The number of columns before the choice of a member that has axes; without such a choice, of all columns."""
        # Axes are numbered over all branches. A number without an axis stands for an unused column of a task.
        self._axes: list[Axis | None] = []
        self._exits: list[list[int]] = []
        self._add(None, [0])
        self._start = self._enter(axes, 0)
        self._next = np.concatenate([np.array(exits) for exits in self._exits])
        num_exits = np.array([len(exits) for exits in self._exits])
        self._last_exit, self._first_exit = num_exits - 1, num_exits.cumsum() - num_exits

        bounds = [(0, 0, True) if axis is None else axis.bounds for axis in self._axes]
        self._low, self._high, self._is_whole = (np.array(column) for column in zip(*bounds, strict=True))
        width = self._high - self._low + self._is_whole
        width = np.where(width > 0, width, 1.0)  # a constant
        most = np.where(num_exits > 1, num_exits, MAX_CELLS)
        num_cells = np.where(self._is_whole, np.minimum(width, most), SPAN_CELLS).astype(np.int64)
        self._per_unit, self._last_cell = num_cells / width, num_cells - 1
        num_cells[[axis is None for axis in self._axes]] = 0
        num_cells[0] = 1  # for all unused columns
        self._first_cell = np.where(num_cells > 0, num_cells.cumsum() - num_cells, 0)
        self.cell_axes: NDArray[np.int64] = np.arange(len(num_cells)).repeat(num_cells)
        """The number of the axis of each cell, ascending, shape (num_cells,); cell 0 stands for all unused columns."""

    def decode(self, params: Params) -> dict[str, Any]:
        """Returns axis name -> value for the axes of one task with `params`, shape (num_params,)."""
        values, number = {}, self._start
        for param in params.tolist():
            axis, exits = self._axes[number], self._exits[number]
            if axis is not None:
                values[axis.name] = axis.decode(param)
            number = exits[int(param) if len(exits) > 1 else 0]
        return values

    def cells(self, params: Params) -> NDArray[np.int64]:
        """Returns the cells of tasks in the columns after the first `num_common`.

        Two tasks share a cell of a column if they have the same axis there and the same value on the axis. A `Span` has
        `SPAN_CELLS` equal parts, and values in the same part count as the same.

        Args:
            params: Params of tasks, shape (n, num_params). Params off their axes get an arbitrary cell.

        Returns:
            Cells, shape (n, num_params − num_common).
        """
        if self.num_common == self.num_params:
            return np.empty((len(params), 0), np.int64)
        numbers, values = self._numbers(params)[:, self.num_common :], params[:, self.num_common :]
        within = (values - self._low.take(numbers)) * self._per_unit.take(numbers)
        cells: NDArray[np.int64] = within.clip(0, self._last_cell.take(numbers)).astype(np.int64)
        return cells + self._first_cell.take(numbers)

    def find_off(self, params: Params) -> tuple[str, float, int] | None:
        """Finds the first of `params` that is off its axis, or that is not 0 in an unused column.

        Args:
            params: Params of tasks, shape (n, num_params).

        Returns:
            The expected values in words, the param, and the index of its task; None if there is no such param.
        """
        numbers = self._numbers(np.nan_to_num(params))
        is_off = ~((params >= self._low.take(numbers)) & (params <= self._high.take(numbers)))
        is_off |= self._is_whole.take(numbers) & (params != params.round())
        if not is_off.any():
            return None
        task, column = np.argwhere(is_off)[0].tolist()
        axis = self._axes[numbers[task, column]]
        wanted = "of 0 where a task has no axis" if axis is None else f"on the axis {axis.name!r}, {axis.range_text}"
        return wanted, float(params[task, column]), task

    def _numbers(self, params: Params) -> NDArray[np.int64]:
        """Returns the number of the axis or unused column at each column of each task, shape (n, num_params)."""
        numbers = np.empty((len(params), self.num_params), np.int64)
        at = np.full(len(params), self._start)
        for column in range(self.num_params):
            numbers[:, column] = at
            choices = params[:, column].clip(0, self._last_exit.take(at)).astype(np.int64)
            at = self._next.take(self._first_exit.take(at) + choices)
        return numbers

    def _enter(self, axes: tuple[Axis, ...], after: int) -> int:
        """Adds `axes` before the number `after`, and returns the number of the first."""
        for axis in reversed(axes):
            width = axis.num_columns - 1
            exits = [self._enter(branch, self._skip(width - num_params(branch), after)) for branch in axis.branches]
            after = self._add(axis, exits or [after])
        return after

    def _skip(self, num_columns: int, after: int) -> int:
        """Adds `num_columns` unused columns before the number `after`, and returns the number of the first."""
        for _ in range(num_columns):
            after = self._add(None, [after])
        return after

    def _add(self, axis: Axis | None, exits: list[int]) -> int:
        """Adds `axis`, or an unused column, and returns its number.

        `exits` are the numbers that follow: one for each choice if the axis has branches, otherwise one.
        """
        self._axes.append(axis)
        self._exits.append(exits)
        return len(self._axes) - 1


FLAT = Layout(())
"""The layout without axes, for params whose columns stand for the same axis in all tasks."""
