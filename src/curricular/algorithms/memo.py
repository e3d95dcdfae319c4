"""Memos: keep what a function of columns returned, and call it again only where the columns have changed."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..arrays import Array, Columns

SMALL = 4096
"""Number of tasks up to which a function takes hardly longer for all of them than for a few."""


class _Kept(NamedTuple):
    """Columns and results of the last call."""

    columns: list[NDArray[Any]]
    results: tuple[NDArray[Any], ...]


class Memo:
    """Returns what a function of columns returns, and keeps it while the columns that it reads stay the same.

    A memo compares columns bit by bit, in a small part of the time of a sort. So the caller reports no changes, and a
    memo never changes a result. Several threads may call a memo, also for several pools in turn. With arrays of another
    library than NumPy, each call computes.

    Args:
        fn: Function from columns of n tasks to arrays.
        names: Names of the columns that `fn` reads, all with one entry or row per task.
    """

    largest_anew = 0
    """Number of tasks up to which nothing is kept."""

    def __init__(self, fn: Callable[[Columns], tuple[Array, ...]], names: Sequence[str]) -> None:
        self._fn = fn
        self._names = tuple(names)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._fn, self._names)

    def __call__(self, columns: Columns) -> tuple[Array, ...]:
        """Returns the results of `fn` for `columns`, read-only where they are kept."""
        given = [columns[name] for name in self._names]
        if given[0].shape[0] <= self.largest_anew or not all(isinstance(column, np.ndarray) for column in given):
            return self._fn(columns)
        # Taken out, since it is written to: another thread meanwhile finds nothing, and computes all anew.
        kept: _Kept | None = vars(self).pop("_kept", None)
        if kept is None or [column.shape for column in kept.columns] != [column.shape for column in given]:
            kept = _Kept([column.copy(order="K") for column in given], tuple(self._anew(given)))
        else:
            is_changed = np.zeros(len(given[0]), np.bool_)
            for before, now in zip(kept.columns, given, strict=True):
                for old, new in zip(_words(before), _words(now), strict=True):
                    is_changed |= old != new
            rows = np.flatnonzero(is_changed)
            if len(rows):
                kept = _Kept(kept.columns, self._changed(given, rows, kept.results))
                for before, now in zip(kept.columns, given, strict=True):
                    before[rows] = now.take(rows, axis=0)
        for result in kept.results:
            result.flags.writeable = False
        self._kept = kept
        return kept.results

    def _anew(self, columns: list[NDArray[Any]]) -> tuple[NDArray[Any], ...]:
        return self._fn(dict(zip(self._names, columns, strict=True)))

    def _changed(
        self, columns: list[NDArray[Any]], rows: NDArray[np.int64], results: tuple[NDArray[Any], ...]
    ) -> tuple[NDArray[Any], ...]:
        """Returns the results for `columns`, of which the `rows` have changed since `results`."""
        return self._anew(columns)


def _words(column: NDArray[Any]) -> list[NDArray[Any]]:
    """Returns the columns, shape (n,) each, of an array of shape (n,) or (n, k): floats as the integers of their bits.

    So NaN equals itself, and 0 differs from −0.
    """
    columns = [column] if column.ndim == 1 else list(column.T)
    return [values.view(np.int64) if values.dtype == np.float64 else values for values in columns]


class RowMemo(Memo):
    """A memo of a function of rows, which it calls again only for the rows that have changed.

    In a large pool, few rows change between two refreshes.

    Args:
        fn: Function from columns of n tasks to arrays of shape (n,). The results of a row depend on this row alone.
        names: Names of the columns that `fn` reads, all with one entry or row per task.

    Examples:
        >>> import numpy as np
        >>> twice = RowMemo(lambda columns: (2.0 * columns["last_score"],), ["last_score"])
        >>> twice({"last_score": np.array([0.5, 1.0])})[0].tolist()
        [1.0, 2.0]
    """

    largest_anew = SMALL

    def _changed(
        self, columns: list[NDArray[Any]], rows: NDArray[np.int64], results: tuple[NDArray[Any], ...]
    ) -> tuple[NDArray[Any], ...]:
        new = self._anew([column.take(rows, axis=0) for column in columns])
        results = tuple(result.copy() for result in results)
        for result, values in zip(results, new, strict=True):
            result[rows] = values
        return results
