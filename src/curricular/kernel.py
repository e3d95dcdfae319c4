"""The compiled functions of `_kernel.c`, if they are there, and their types.

An installation without a C compiler has none of them. Everything then runs in NumPy, with the same results bit for bit.
The environment variable `CURRICULAR_PURE=1` switches them off.
"""

import os
import sys
from importlib import import_module
from typing import Any, Protocol, cast

from numpy import float64, int64
from numpy.typing import NDArray


class Kernel(Protocol):
    """The compiled functions. They keep no state. An array of another shape or dtype than documented raises ValueError.

    After an error, the arrays that a function fills hold anything. Numbers are finite.
    """

    def distinct(
        self, task_ids: NDArray[int64], capacity: int, slots: NDArray[int64], row_of: NDArray[int64], /
    ) -> int:
        """Finds the distinct slots of tasks, and returns their number.

        Args:
            task_ids: Shape (n,).
            capacity: Number of slots.
            slots: Filled with the distinct slots, ascending; shape (n,).
            row_of: Filled with the index of each task's slot among `slots`, shape (n,).
        """
        ...

    def record(
        self,
        events: tuple[NDArray[Any], ...],
        row_of: NDArray[int64],
        words: NDArray[int64],
        num_rows: int,
        fields: NDArray[int64],
        labels: tuple[NDArray[Any], ...],
        reasons: NDArray[int64],
        weights: NDArray[float64],
        coarse_weights: NDArray[float64],
        settings: tuple[float, float, float, float, int, float, float],
        num_scheduled: int,
        num_completed: int,
        /,
    ) -> tuple[int, int, int, int]:
        """Records events in rows, statistics of labels and counts of reasons, in place.

        Args:
            events: Columns of the events, oldest first, in the order of the dtype `EVENT`; shape (n,) each.
            row_of: Row of each event, shape (n,).
            words: Words of the rows, as in `Rows`, one field after the other.
            num_rows: Number of rows.
            fields: Indices of the fields in `words`, in the order of `_kernel.c`.
            labels: Columns of the statistics of labels, in that order; shape (MAX_LABELS,) each.
            reasons: Number of cancellations by reason, shape (MAX_REASONS,).
            weights: The first of the tables that `weight_tables` returns, one count of results after the other.
            coarse_weights: The second, likewise.
            settings: Lowest score, width of the range of scores, threshold of success, lowest score that counts as a
                success, number of first scores whose mean is the random baseline, the regret of a cancellation that is
                no failure, and the largest regret.
            num_scheduled: Hand-outs of the pool so far.
            num_completed: Results of the pool so far.

        Returns:
            Hand-outs, results of tasks in the pool, cancellations, and endings without a hand-out.
        """
        ...

    def slopes(
        self,
        columns: tuple[NDArray[Any], ...],
        weights: tuple[tuple[NDArray[float64], NDArray[float64], NDArray[float64], float], ...],
        interval_width: float,
        theta: float,
        max_baseline: float,
        unknown: float,
        results: tuple[NDArray[float64], ...],
        /,
    ) -> None:
        """Estimates the slope of each task's success, as `progress_slope` does.

        Args:
            columns: Completions, averages from fast to slow, mean square and baseline of the tasks, shape (n,) each.
            weights: Result of `pair_weights`.
            interval_width: As for `progress_slope`.
            theta: As for `progress_slope`.
            max_baseline: Cap on baselines.
            unknown: Error of the slope of a task with fewer than two completions.
            results: Filled with the fields of a `Slope`, shape (n,) each.
        """
        ...

    def group_results(
        self,
        newest_first: NDArray[int64],
        completions: NDArray[int64],
        groups: NDArray[int64],
        baselines: NDArray[float64],
        averages: tuple[NDArray[float64], ...],
        powers: tuple[tuple[NDArray[float64], NDArray[float64], int], ...],
        total: NDArray[int64],
        baseline: NDArray[float64],
        sums: tuple[NDArray[float64], ...],
        /,
    ) -> None:
        """Adds up the results of the tasks in each group, as `group_columns` does.

        Args:
            newest_first: Indices of the tasks with results, the last one handed out first, shape (m,).
            completions: Completions of the tasks, shape (n,).
            groups: Group of each task, k times, shape (k * n,).
            baselines: Random baselines of the tasks, shape (n,).
            averages: Averages of the tasks from fast to slow, and mean squares, shape (n,) each.
            powers: For each rate, `power_tables` of the decay per completion, and the exponent at which it vanishes.
            total: Added to: completions of each group, shape (num_groups,).
            baseline: Added to: completions times baselines.
            sums: Added to: the decaying sum behind each of the averages.
        """
        ...


def _load() -> Kernel | None:
    # The functions take rows for integers of 64 bits, in the order of bytes in which sessions and files store them.
    if os.environ.get("CURRICULAR_PURE") == "1" or sys.byteorder != "little" or sys.maxsize < 2**63 - 1:
        return None
    try:
        return cast(Kernel, import_module("curricular._kernel"))
    except ImportError:
        return None


KERNEL: Kernel | None = _load()
"""The compiled functions, if they are in use, as decided when `curricular` is imported."""
