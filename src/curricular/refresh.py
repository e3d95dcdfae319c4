"""Record -> evict -> admit -> choose: one pass over a table, one patch; and when the pass is due."""

import logging
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .admission import Admission
from .algorithms.protocol import Algorithm
from .backends.protocol import Backend, Transaction
from .config import CurriculumConfig
from .priorities import unplayable
from .probabilities import capped, cumulative
from .table import (
    Counters,
    Draft,
    Estimator,
    Table,
    choose,
    columns_of,
    lowest,
    num_evictions_due,
    record,
    resize,
    restore,
)

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
    longest = max(16, min(2 * num_tasks, 512), num_tasks // 16)
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
        if not isinstance(algorithm, Algorithm):
            raise TypeError(
                f"algorithm: expected an object of a subclass of curricular.Algorithm, got a "
                f"{type(algorithm).__name__}; derive the class from it"
            )
        self.algorithm = algorithm
        self._backend = backend
        self._admission = admission
        self._eviction_rate = config.eviction_rate
        self._config = config
        self._estimator = estimator
        self.follows_handouts = algorithm.follows_handouts
        self.missing = 0
        """Endings until this object looks whether a refresh is due."""
        self.error: Exception | None = None
        """Why the last refresh failed; None: it did not."""

    def count(self, num_endings: int, is_log_due: bool) -> None:
        """Counts endings of hand-outs that were logged, and flushes or refreshes as far as that is due."""
        self.missing -= num_endings
        if self.missing <= 0 or is_log_due:
            self.advance(is_log_due=is_log_due)

    def count_handouts(self, num_handouts: int, is_log_due: bool) -> None:
        """Counts hand-outs that were logged, as `count` does, where the algorithm follows hand-outs."""
        self.count(num_handouts if self.follows_handouts else 0, is_log_due)

    def advance(self, *, is_log_due: bool) -> None:
        """Flushes or refreshes as far as that is due.

        What fails here does not concern the caller's results, which are logged: the error is kept for `check`, and the
        refresh is tried again when the next one is due.
        """
        try:
            self._advance(is_log_due=is_log_due)
        except Exception as error:  # noqa: BLE001  whatever a generator, a disk or a lock raises; `check` raises it
            self.missing = MIN_INTERVAL
            self._keep(error)

    def check(self) -> None:
        """Raises the error of refreshes that keep failing, once for each that failed.

        Raises:
            RefreshError: If the distribution is `PATIENCE` intervals old or older because of it.
        """
        if self.error is not None:
            counters, _ = self._backend.glance()
            interval = self._interval_after(counters)
            if self._age(counters) >= PATIENCE * interval or not counters.num_refreshes:
                error, self.error = self.error, None
                raise RefreshError(
                    f"curriculum: expected a refreshed distribution every {interval} results, got "
                    f"{type(error).__name__}: {error}; your results are recorded: correct the cause and continue"
                ) from error

    def fill(self) -> None:
        """Takes all logged events into the table, and puts new tasks into all slots that have none."""
        self._backend.apply(lambda transaction: self._pass(transaction, fills=True))

    def restore(self, saved: Table) -> None:
        """Puts `saved` into the place of the table.

        Raises:
            ValueError: If it has another capacity.
        """
        if len(saved.rows) != self._backend.capacity:
            raise ValueError(
                f"state: expected capacity {self._backend.capacity}, got {len(saved.rows)}; set num_active_tasks to "
                f"the saved number, or use Curriculum.load, which keeps the best tasks"
            )
        self._backend.apply(lambda transaction: self._restore(transaction, saved))

    def restore_resized(self, saved: Table) -> None:
        """Puts the tasks of `saved` with the highest priorities into the place of the table, or all and new ones."""
        capacity = self._backend.capacity
        (active,) = np.nonzero(saved.rows["is_active"])
        priorities = np.asarray(self.algorithm.priorities(columns_of(saved)), np.float64)[active]
        kept = active[np.sort(np.argsort(-priorities, kind="stable")[:capacity])]
        _log.warning(
            "num_active_tasks is %d, the checkpoint has %d tasks: kept %d, %s",
            capacity,
            len(active),
            len(kept),
            "those with the highest priorities" if len(kept) < len(active) else "adding new ones",
        )

        def put(transaction: Transaction) -> None:
            self._restore(transaction, resize(saved, kept, capacity))
            self._pass(transaction, fills=True, is_due=True)  # also if it is full: the distribution was of another size

        self._backend.apply(put)

    def _restore(self, transaction: Transaction, saved: Table) -> None:
        self._flush(transaction)
        now = transaction.table
        keeps_ids = now.counters.num_pending == 0 and self._backend.num_workers == 1
        transaction.commit(restore(saved, now, keeps_ids=keeps_ids))
        self._look_again(transaction.table.counters)

    def probabilities(self, table: Table) -> NDArray[np.float64]:
        """Returns the distribution that follows from `table`, shape (capacity,)."""
        columns = columns_of(table)
        probabilities = self.algorithm.probabilities(columns, self.algorithm.priorities(columns))
        active, failing = columns["is_active"], unplayable(columns, self._config)
        checked = checked_distribution(probabilities, active, type(self.algorithm).__name__)
        return np.asarray(capped(checked, active, failing)) if failing.any() else checked

    def _advance(self, *, is_log_due: bool) -> None:
        if self.missing <= 0 and self._backend.num_workers > 1:
            self._look_at_all(is_log_due=is_log_due)
        elif not self._backend.try_apply(self._pass_if_due):
            self.missing = MIN_INTERVAL  # another process is at it: look again later

    def _look_at_all(self, *, is_log_due: bool) -> None:
        """Refreshes if the results of all workers together call for it."""
        counters, num_waiting = self._backend.glance()
        age = self._age(counters) + num_waiting // 2  # half are hand-outs
        missing = self._interval_after(counters) - age
        if missing > 0:  # look again when this worker's share of them has come
            self.missing = max(MIN_INTERVAL, missing // self._backend.num_workers)
            if is_log_due:
                self._backend.try_apply(self._flush)
        elif not self._backend.try_apply(self._pass_if_due):
            self.missing = MIN_INTERVAL

    def _pass_if_due(self, transaction: Transaction) -> None:
        self._pass(transaction)

    def _flush(self, transaction: Transaction) -> None:
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
        self._look_again(draft.table.counters)

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
            columns = columns_of(table)
            priorities, failing = self.algorithm.priorities(columns), unplayable(columns, self._config)
            may_go = self.algorithm.evictable(columns, priorities, self._config) | failing
            slots = lowest(np.where(failing, -np.inf, priorities), may_go, num_due)
            if len(slots):
                draft.add(self._admission.patch(table, slots))

    def _is_due(self, counters: Counters) -> bool:
        return self._age(counters) >= self._interval_after(counters)

    def _age(self, counters: Counters) -> int:
        """Endings since the last refresh; for an algorithm that follows hand-outs, hand-outs if these are more."""
        endings = counters.num_endings - counters.num_refreshed_endings
        if self.follows_handouts:
            return max(endings, counters.num_scheduled - counters.num_refreshed_scheduled)
        return endings

    def _interval_after(self, counters: Counters) -> int:
        num_tasks, num_endings = self._backend.capacity, counters.num_refreshed_endings
        if self.algorithm.chooses_labels:
            return max(refresh_interval(counters.num_labels, num_endings), num_tasks // 16)
        return refresh_interval(num_tasks, num_endings)

    def _look_again(self, counters: Counters) -> None:
        """Notes how far it is to the next refresh, from the table: nothing about it is this object's alone."""
        self.missing = max(1, self._interval_after(counters) - self._age(counters))
        if self._backend.num_workers > 1:  # this worker's share of what is missing
            self.missing = min(self.missing, max(MIN_INTERVAL, self.missing // self._backend.num_workers))

    def _keep(self, error: Exception) -> None:
        if self.error is None:
            _log.warning(
                "the refresh of the distribution failed; results are recorded, it is tried again", exc_info=error
            )
        self.error = error
