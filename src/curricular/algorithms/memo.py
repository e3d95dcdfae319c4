"""`RowMemo`: keeps the results of a function of rows, and calls it again only for rows that have changed."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..arrays import Array, Columns

CHUNK = 4096
"""Number of rows per call of the function. The intermediate results of that many rows stay in the processor's cache,
which makes the calls for a large pool twice as fast."""


class _Kept(NamedTuple):
    """The last call."""

    columns: list[NDArray[Any]]
    results: list[NDArray[np.float64]]


class RowMemo:
    """Returns what a function of rows returns, bit for bit, and keeps it.

    In a large pool, few rows change between two refreshes. Rows are compared by value, so nothing has to be told which
    rows have changed. Calls in several threads do no harm.

    Args:
        fn: Columns of n tasks -> results of shape (n,) each. The results of a row depend on this row alone.
        names: Names of the columns that `fn` reads.
    """

    def __init__(self, fn: Callable[[Columns], tuple[Array, ...]], names: tuple[str, ...]) -> None:
        self._fn = fn
        self._names = names
        self._kept: _Kept | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return RowMemo, (self._fn, self._names)

    def __call__(self, columns: Columns) -> tuple[Array, ...]:
        """Returns the results of `fn` for `columns`, read-only where they are kept."""
        given = [columns[name] for name in self._names]
        num_rows = given[0].shape[0]
        if num_rows <= CHUNK or not all(isinstance(column, np.ndarray) for column in given):
            return self._fn(columns)
        kept = self._kept
        if kept is None or len(kept.columns[0]) != num_rows:
            results = self._called(given, None)
        else:
            is_changed = np.zeros(num_rows, np.bool_)
            for before, now in zip(kept.columns, given, strict=True):
                is_changed |= before != now  # NaN differs from itself, and so is not kept
            rows = np.flatnonzero(is_changed)
            results = [result.copy() for result in kept.results]
            if len(rows):
                for result, new in zip(results, self._called(given, rows), strict=True):
                    result[rows] = new
        for result in results:
            result.flags.writeable = False
        self._kept = _Kept([column.copy() for column in given], results)
        return tuple(results)

    def _called(self, columns: list[NDArray[Any]], rows: NDArray[np.int64] | None) -> list[NDArray[np.float64]]:
        """Returns the results of `fn` for `rows`, shape (k,), or for all rows."""
        chunks = []
        for start in range(0, len(columns[0]) if rows is None else len(rows), CHUNK):
            span = slice(start, start + CHUNK)
            at = span if rows is None else rows[span]
            part = {name: column[at] for name, column in zip(self._names, columns, strict=True)}
            chunks.append(self._fn(part))
        return [np.concatenate(parts) for parts in zip(*chunks, strict=True)]
