"""Which axis each column of a task's params stands for, for many tasks at once."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .task import Axis, Params, num_params

SPAN_CELLS = 8
"""Equal parts of an interval that count as one value each where values are compared."""

MAX_CELLS = 64
"""Values of an axis without branches that are told apart at most; of more choices, neighbours count as one."""


class Layout:
    """How the params of tasks with `axes` are read: column by column, as each choice leads to its branch.

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
        """The columns before that of the first choice between members with axes of their own; all, if there is none."""
        # Axes are numbered over all branches. A number without an axis is a column that a task leaves over.
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
        num_told_apart = np.where(num_exits > 1, num_exits, MAX_CELLS)
        num_cells = np.where(self._is_whole, np.minimum(width, num_told_apart), SPAN_CELLS).astype(np.int64)
        self._per_unit, self._last_cell = num_cells / width, num_cells - 1
        num_cells[[axis is None for axis in self._axes]] = 0
        num_cells[0] = 1  # for all columns left over
        self._first_cell = np.where(num_cells > 0, num_cells.cumsum() - num_cells, 0)
        self.cell_axes: NDArray[np.int64] = np.arange(len(num_cells)).repeat(num_cells)
        """For each cell the number of its axis, ascending, shape (num_cells,); cell 0 is a column left over."""

    def decode(self, params: Params) -> dict[str, Any]:
        """Axis name -> value for the axes that a task with `params`, shape (num_params,), has."""
        values, number = {}, self._start
        for param in params.tolist():
            axis, exits = self._axes[number], self._exits[number]
            if axis is not None:
                values[axis.name] = axis.decode(param)
            number = exits[int(param) if len(exits) > 1 else 0]
        return values

    def cells(self, params: Params) -> NDArray[np.int64]:
        """The cell of each of `params` beyond the first `num_common` columns; shape (n, the rest).

        Tasks are in the same cell if they have the same axis there and the same value on it. Of a `Span`, the values of
        each of `SPAN_CELLS` equal parts count as the same.

        Args:
            params: Shape (n, num_params), on their axes; others get some cell.
        """
        if self.num_common == self.num_params:
            return np.empty((len(params), 0), np.int64)
        numbers, values = self._numbers(params)[:, self.num_common :], params[:, self.num_common :]
        within = (values - self._low.take(numbers)) * self._per_unit.take(numbers)
        cells: NDArray[np.int64] = within.clip(0, self._last_cell.take(numbers)).astype(np.int64)
        return cells + self._first_cell.take(numbers)

    def find_off(self, params: Params) -> tuple[str, float, int] | None:
        """Where one of `params`, shape (n, num_params), has to be, in words, what it is, and of which of the n tasks.

        None if all are on their axes, and 0 in the columns that a task leaves over.
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
        """The number of what stands at each column, shape (n, num_params): one for each column left over, too."""
        numbers = np.empty((len(params), self.num_params), np.int64)
        at = np.full(len(params), self._start)
        for column in range(self.num_params):
            numbers[:, column] = at
            choices = params[:, column].clip(0, self._last_exit.take(at)).astype(np.int64)
            at = self._next.take(self._first_exit.take(at) + choices)
        return numbers

    def _enter(self, axes: tuple[Axis, ...], after: int) -> int:
        """The number at which `axes` begin, if `after` is what follows them."""
        for axis in reversed(axes):
            width = axis.num_columns - 1
            exits = [self._enter(branch, self._skip(width - num_params(branch), after)) for branch in axis.branches]
            after = self._add(axis, exits or [after])
        return after

    def _skip(self, num_columns: int, after: int) -> int:
        """The number at which `num_columns` columns without an axis begin, if `after` is what follows them."""
        for _ in range(num_columns):
            after = self._add(None, [after])
        return after

    def _add(self, axis: Axis | None, exits: list[int]) -> int:
        """The next number, for `axis`; it leads to `exits`: one for each choice if it has branches, else one."""
        self._axes.append(axis)
        self._exits.append(exits)
        return len(self._axes) - 1


FLAT = Layout(())
"""The layout of any params whose columns each stand for one axis."""
