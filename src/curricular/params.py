"""Maps each column of a task's params to its axis, for many tasks at once."""

from collections.abc import Iterator, Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from .task import Axis, Params, Span, num_params

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
        self._named = self._named_axes()
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
        """Returns axis name -> value for the axes of one task with `params`, shape (num_params,).

        If a task has several axes of one name, the second is called ``name#2``, and so on. But an axis of the branch of
        an axis with the same name gives the value of its choice, such as a `Span` among values.
        """
        values, number = {}, self._start
        for param in params.tolist():
            exits = self._exits[number]
            if number in self._named:
                name, axis = self._named[number]
                values[name] = axis.decode(param)
            number = exits[int(param) if len(exits) > 1 else 0]
        return values

    def decode_columns(self, params: Params) -> dict[str, NDArray[Any]]:
        """Returns axis name -> values of n tasks for all axes, as `decode` does for one task.

        Args:
            params: Params of tasks, shape (n, num_params).

        Returns:
            One column per name, shape (n,): numbers or truth values where all values are such, else objects. A task
            without the axis has NaN in a column of numbers, which is then of floats, and None in a column of objects.

        Examples:
            >>> maze, arena = Axis("size", Span(5, 15)), Axis("rivals", (1, 2, 4))
            >>> layout = Layout((Axis("kind", ("maze", "arena"), branches=((maze,), (arena,))),))
            >>> for name, column in layout.decode_columns(np.array([[0.0, 9.0], [1.0, 2.0]])).items():
            ...     print(name, column)
            kind ['maze' 'arena']
            size [ 9. nan]
            rivals [nan  4.]
        """
        numbers = self._numbers(np.nan_to_num(params))
        found: dict[str, list[tuple[NDArray[np.int64], NDArray[Any]]]] = {}
        for name, axis in self._named.values():
            if isinstance(axis.values, Span) or _own_values(axis):
                found.setdefault(name, []).append((np.empty(0, np.int64), _decoded(axis, np.empty(0))))
        for column in range(self.num_params):
            for number, tasks in by_value(numbers[:, column]):
                if number in self._named:
                    name, axis = self._named[number]
                    own = tasks[~np.isin(params[tasks, column], _refined(axis))]
                    if len(own):
                        found[name].append((own, _decoded(axis, params[own, column])))
        return {name: _joined(parts, len(params)) for name, parts in found.items()}

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

    def find_off(self, params: Params, *, may_be_unknown: bool = False) -> tuple[str, float, int] | None:
        """Finds the first of `params` that is off its axis, or that is not 0 in an unused column.

        Args:
            params: Params of tasks, shape (n, num_params).
            may_be_unknown: Whether NaN is on the axis of a `Span` of real numbers.

        Returns:
            The expected values in words, the param, and the index of its task; None if there is no such param.
        """
        if not self.num_params:
            return None
        numbers = self._numbers(np.nan_to_num(params))
        is_off = ~((params >= self._low.take(numbers)) & (params <= self._high.take(numbers)))
        is_off |= self._is_whole.take(numbers) & (params != params.round())
        if may_be_unknown and is_off.any():
            is_real = np.array([axis is not None and isinstance(axis.values, Span) for axis in self._axes])
            is_off &= ~(np.isnan(params) & (is_real & ~self._is_whole).take(numbers))
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

    def _named_axes(self) -> dict[int, tuple[str, Axis]]:
        """Returns number -> unique name and axis, by column; a name is unique among all axes that may come before."""
        columns = [0] * len(self._axes)
        before: list[frozenset[str]] = [frozenset()] * len(self._axes)
        named: dict[int, tuple[str, Axis]] = {}
        for number in reversed(range(1, len(self._axes))):  # an axis has a higher number than those that follow it
            axis, taken = self._axes[number], before[number]
            if axis is not None:
                copies = (f"{axis.name}#{count}" for count in range(2, len(taken) + 2))
                name = next(name for name in (axis.name, *copies) if name not in taken)
                named[number], taken = (name, axis), taken | {name}
            refined = [] if axis is None else _refined(axis)
            for choice, after in enumerate(self._exits[number]):
                if after:
                    names = taken - {named[number][0]} if choice in refined else taken
                    columns[after], before[after] = columns[number] + 1, before[after] | names
        return {number: named[number] for number in sorted(named, key=lambda number: (columns[number], number))}

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


def by_value(numbers: NDArray[np.int64]) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Yields each of `numbers`, shape (n,), in ascending order, with the indices of the entries equal to it."""
    order = numbers.argsort(kind="stable")
    ordered = numbers.take(order)
    starts = np.flatnonzero(np.diff(ordered, prepend=-1))
    yield from zip(ordered.take(starts).tolist(), np.split(order, starts[1:]), strict=bool(len(numbers)))


def _refined(axis: Axis) -> list[int]:
    """Returns the choices of `axis` that are spans, whose branch begins with an axis of the same name for the value."""
    if isinstance(axis.values, Span):
        return []
    spans = [choice for choice, value in enumerate(axis.values) if isinstance(value, Span) and axis.branches]
    return [choice for choice in spans if axis.branches[choice] and axis.branches[choice][0].name == axis.name]


def _own_values(axis: Axis) -> Sequence[Any] | Span:
    """Returns the values of `axis`, in which a value of its own stands for each choice that its branch refines."""
    refined = _refined(axis)
    if isinstance(axis.values, Span) or not refined:
        return axis.values
    own = [value for choice, value in enumerate(axis.values) if choice not in refined]
    return [own[0] if choice in refined else value for choice, value in enumerate(axis.values)] if own else []


def _decoded(axis: Axis, params: NDArray[np.float64]) -> NDArray[Any]:
    """Returns the values of `params`, shape (n,), on `axis`, as `Axis.decode` does for one."""
    if isinstance(axis.values, Span):
        return axis.values.decode_all(params)
    return _as_array(cast(Sequence[Any], _own_values(axis))).take(params.astype(np.int64))


def _as_array(values: Sequence[Any]) -> NDArray[Any]:
    """Returns `values`, at least one, as numbers or truth values if all are of such a type, else as objects."""
    kinds = {type(value) for value in values}
    is_plain = kinds <= {int, float} or kinds == {bool} or all(issubclass(kind, np.generic) for kind in kinds)
    array = np.array(values) if is_plain else np.empty(0, object)
    if array.dtype.kind in "iufb":
        return array
    return np.fromiter(values, object, len(values))


def _joined(parts: Sequence[tuple[NDArray[np.int64], NDArray[Any]]], n: int) -> NDArray[Any]:
    """Returns one column from values for some of its entries, shape (n,); NaN or None for the other entries."""
    kinds = {values.dtype.kind for _, values in parts}
    is_complete = sum(len(tasks) for tasks, _ in parts) == n
    if kinds <= set("iuf"):
        missing: float | None = np.nan
        dtype = np.result_type(*(values.dtype for _, values in parts)) if is_complete else np.dtype(np.float64)
    else:
        missing, dtype = None, np.dtype(bool if kinds == {"b"} and is_complete else object)
    column = np.empty(n, dtype)
    if not is_complete:
        column.fill(missing)
    for tasks, values in parts:
        column[tasks] = values
    return column


FLAT = Layout(())
"""The layout without axes, for params whose columns stand for the same axis in all tasks."""
