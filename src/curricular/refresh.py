"""Record -> evict -> admit -> choose: one pass over a table, one patch; and when the pass is due."""

import logging
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .admission import Admission
from .algorithms.protocol import Algorithm
from .backends.protocol import Backend, Transaction
from .config import CurriculumConfig
from .probabilities import cumulative
from .table import Counters, Draft, Estimator, Table, choose, lowest, num_evictions_due, record

MIN_INTERVAL = 32
"""Smallest number of endings after which a worker of a session looks again whether a refresh is due."""

PATIENCE = 2
"""A refresh that keeps failing is reported once the distribution is this many intervals old."""

_log = logging.getLogger(__name__)


class RefreshError(RuntimeError):
    """The distribution could not be refreshed. All results told so far are recorded. The cause is chained."""


def refresh_interval(num_tasks: int, num_endings: int) -> int:
    """Returns after how many endings of hand-outs the distribution is computed again.

    Short for a small pool and while there is little to go by; in proportion to the pool for a large one, so that a
    refresh costs little per result. A function of the calls made, never of the clock.

    Args:
        num_tasks: Size of the pool.
        num_endings: Hand-outs that had ended at the last refresh.

    Examples:
        >>> [refresh_interval(3, 0), refresh_interval(256, 0), refresh_interval(256, 10**6)]
        [8, 32, 512]
        >>> [refresh_interval(10**6, 0), refresh_interval(10**6, 10**7)]
        [31250, 62500]
    """
    shortest = max(8, min(2 * num_tasks, MIN_INTERVAL), num_tasks // 32)
    longest = max(8, min(2 * num_tasks, 512), num_tasks // 16)
    return min(max(num_endings // 32, shortest), longest)


def checked_distribution(probabilities: ArrayLike, active: NDArray[np.bool_], source: str) -> NDArray[np.float64]:
    """Returns `probabilities` as floats, shape (n,).

    Raises:
        ValueError: If they are no distribution over the `active` entries; the message names `source`.
    """
    try:
        values = np.asarray(probabilities, np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{source}.probabilities: expected an array of {len(active)} numbers, got {probabilities!r:.200}; return "
            f"one probability per row"
        ) from error
    found = ""
    if values.shape != active.shape:
        found = f"shape {values.shape}"
    elif not np.isfinite(values).all():
        found = f"{values[~np.isfinite(values)][0]} among them"
    elif values.min() < 0:
        found = f"{values.min()} among them"
    elif not 1 - 1e-6 <= values.sum() <= 1 + 1e-6:
        found = f"a sum of {values.sum()}"
    elif values[~active].any():
        found = "one above 0 for a row without a task"
    if found:
        raise ValueError(
            f"{source}.probabilities: expected {len(active)} probabilities ≥ 0 that sum to 1, 0 where is_active is "
            f"false, got {found}; correct the algorithm"
        )
    return values


class Refresher:
    """Takes the logged events into the table and computes the distribution anew when that is due."""

    def __init__(
        self,
        backend: Backend,
        algorithm: Algorithm,
        admission: Admission[Any],
        config: CurriculumConfig,
        estimator: Estimator,
    ) -> None:
        self.algorithm = algorithm
        self._backend = backend
        self._admission = admission
        self._eviction_rate = config.eviction_rate
        self._config = config
        self._estimator = estimator
        self._follows_handouts = algorithm.follows_handouts
        self._missing = 0
        """Endings until this object looks whether a refresh is due."""
        self.error: Exception | None = None
        """Why the last refresh failed; None: it did not."""

    def note_handouts(self, num_handouts: int, is_log_due: bool) -> None:
        """Counts hand-outs that were logged, as `note` does with endings, where the algorithm follows hand-outs."""
        if self._follows_handouts:
            self.note(num_handouts, is_log_due)
        elif is_log_due:
            self.note(0, is_log_due)

    def note(self, num_endings: int, is_log_due: bool) -> None:
        """Counts endings of hand-outs that were logged; flushes or refreshes when that is due.

        What fails here does not concern the caller's results, which are recorded: the error is logged, kept for
        `check`, and the refresh is tried again when the next one is due.
        """
        self._missing -= num_endings
        if self._missing <= 0 or is_log_due:
            try:
                self._advance(is_log_due=is_log_due)
            except Exception as error:  # noqa: BLE001  whatever a generator, a disk or a lock raises; `check` raises it
                self._missing = MIN_INTERVAL
                self._keep(error)

    def check(self) -> None:
        """Raises the error of refreshes that keep failing, if there is one.

        Raises:
            RefreshError: If the distribution is `PATIENCE` intervals old or older because of it.
        """
        if self.error is not None:
            counters, _ = self._backend.glance()
            age = counters.num_endings - counters.num_refreshed_endings
            interval = refresh_interval(self._backend.capacity, counters.num_refreshed_endings)
            if age >= PATIENCE * interval or not counters.num_refreshes:
                error = self.error
                raise RefreshError(
                    f"curriculum: expected to refresh the distribution every {interval} results, but it failed with "
                    f"{type(error).__name__}: {error}; your results are recorded: fix the cause and go on"
                ) from error

    def fill(self) -> None:
        """Takes all logged events into the table, and puts new tasks into all slots that have none."""
        self._backend.apply(lambda transaction: self._pass(transaction, fills=True))

    def put(self, transaction: Transaction) -> None:
        """Fills and refreshes what a restore has put into the table."""
        self._pass(transaction, fills=True, is_due=True)

    def probabilities(self, table: Table) -> NDArray[np.float64]:
        """Returns the distribution that follows from `table`, shape (capacity,)."""
        columns = self._admission.columns(table)
        probabilities = self.algorithm.probabilities(columns, self.algorithm.priorities(columns))
        return checked_distribution(probabilities, columns["is_active"], type(self.algorithm).__name__)

    def _advance(self, *, is_log_due: bool) -> None:
        if self._missing <= 0 and self._backend.num_workers > 1:
            self._look_at_all(is_log_due=is_log_due)
        elif not self._backend.try_apply(self._pass_if_due):
            self._missing = MIN_INTERVAL  # another process is at it: look again later

    def _look_at_all(self, *, is_log_due: bool) -> None:
        """Refreshes if the results of all workers together call for it."""
        counters, num_waiting = self._backend.glance()
        age = self._age(counters) + num_waiting // 2  # half are hand-outs
        missing = self._interval_after(counters) - age
        if missing > 0:  # look again when this worker's share of them has come
            self._missing = max(MIN_INTERVAL, missing // self._backend.num_workers)
            if is_log_due:
                self._backend.try_apply(self.flush_in)
        elif not self._backend.try_apply(self._pass_if_due):
            self._missing = MIN_INTERVAL

    def _pass_if_due(self, transaction: Transaction) -> None:
        self._pass(transaction)

    def flush_in(self, transaction: Transaction) -> None:
        """Takes all logged events into the table."""
        if len(transaction.events):
            transaction.commit(record(transaction.table, transaction.events, self._estimator), flushes=True)

    def _pass(self, transaction: Transaction, *, fills: bool = False, is_due: bool = False) -> None:
        """Record, evict, admit, choose: commits one patch. If a later step fails, what is recorded is committed."""
        draft, has_events = Draft(transaction.table), len(transaction.events) > 0
        if has_events:
            draft.add(record(draft.table, transaction.events, self._estimator))
        recorded = draft.patch
        try:
            self._change(draft, fills=fills, is_due=is_due)
        except BaseException:
            if recorded is not None:
                transaction.commit(recorded, flushes=has_events)
            raise
        if draft.patch is not None:
            transaction.commit(draft.patch, flushes=has_events)
        self.look_again(draft.table.counters)

    def _change(self, draft: Draft, *, fills: bool, is_due: bool) -> None:
        if fills:
            (empty,) = np.nonzero(~draft.table.rows["is_active"])
            if len(empty):
                draft.add(self._admission.patch(draft.table, empty))
                is_due = True
        elif self._is_due(draft.table.counters):
            is_due = True
            self._evict(draft)
        if is_due:
            draft.add(choose(draft.table, cumulative(self.probabilities(draft.table))))
            self.error = None

    def _evict(self, draft: Draft) -> None:
        """Replaces tasks that may go by new ones."""
        table = draft.table
        num_due = num_evictions_due(table, self._eviction_rate)
        limit = self._admission.limit(len(table.rows))
        num_due = num_due if limit is None else min(num_due, limit)
        if num_due > 0:
            columns = self._admission.columns(table)
            priorities = self.algorithm.priorities(columns)
            slots = lowest(priorities, self.algorithm.evictable(columns, priorities, self._config), num_due)
            if len(slots):
                draft.add(self._admission.patch(table, slots))

    def _is_due(self, counters: Counters) -> bool:
        return self._age(counters) >= self._interval_after(counters)

    def _age(self, counters: Counters) -> int:
        """Endings since the last refresh; for an algorithm that follows hand-outs, hand-outs if these are more."""
        endings = counters.num_endings - counters.num_refreshed_endings
        if self._follows_handouts:
            return max(endings, counters.num_scheduled - counters.num_refreshed_scheduled)
        return endings

    def _interval_after(self, counters: Counters) -> int:
        return refresh_interval(self._backend.capacity, counters.num_refreshed_endings)

    def look_again(self, counters: Counters) -> None:
        """Notes how far it is to the next refresh, from the table: nothing about it is this object's alone."""
        self._missing = max(1, self._interval_after(counters) - self._age(counters))
        if self._backend.num_workers > 1:  # this worker's share of what is missing
            self._missing = min(self._missing, max(MIN_INTERVAL, self._missing // self._backend.num_workers))

    def _keep(self, error: Exception) -> None:
        if self.error is None:
            _log.warning(
                "the refresh of the distribution failed; results are recorded, it is tried again", exc_info=error
            )
        self.error = error
