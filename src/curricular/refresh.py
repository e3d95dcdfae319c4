"""The refresh: records results, evicts and admits tasks and computes the distribution, in one patch of the table."""

import logging
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .admission import Admission
from .algorithms.protocol import Algorithm
from .backends.protocol import Backend, Transaction
from .config import CurriculumConfig
from .flush import flush_log, recorded
from .priorities import too_many_failures, unplayable
from .probabilities import capped, cumulative
from .table import (
    Counters,
    Draft,
    Estimator,
    Patch,
    Table,
    choose,
    lowest,
    num_evictions_due,
    record,
    resize,
    restore,
)

NANOSECONDS_PER_ID = 10
"""Time in which the clock passes one id. A slot gets at most one new task per refresh, and a refresh takes longer than
this for each task of the pool, so a life uses up ids more slowly than the clock passes them."""

_EPOCH = 1_767_225_600 * 10**9
"""The beginning of 2026, in nanoseconds since 1970. A later beginning keeps ids short."""

MIN_INTERVAL = 32
"""Minimum number of endings after which a worker of a session checks again whether a refresh is due."""

PATIENCE = 2
"""Minimum age of the distribution at which a failing refresh is reported, in refresh intervals."""

_log = logging.getLogger(__name__)


class RefreshError(RuntimeError):
    """The distribution could not be refreshed. All results so far are recorded, and the cause is chained."""


def refresh_interval(num_tasks: int, num_endings: int) -> int:
    """Returns the number of endings of hand-outs between two refreshes of the distribution.

    The interval is short for a small pool and early in training. For a large pool it grows in proportion to the pool,
    so that a refresh costs little per result. The interval never depends on the clock.

    Args:
        num_tasks: Size of the pool.
        num_endings: Number of hand-outs that had ended at the last refresh.

    Examples:
        >>> [refresh_interval(3, 0), refresh_interval(256, 0), refresh_interval(256, 10**6)]
        [8, 32, 512]
        >>> [refresh_interval(10**6, 0), refresh_interval(10**6, 10**7)]
        [31250, 62500]
    """
    shortest = max(8, min(2 * num_tasks, MIN_INTERVAL), num_tasks // 32)
    longest = max(16, min(2 * num_tasks, 512), num_tasks // 16)
    return min(max(num_endings // 32, shortest), longest)


def first_id() -> int:
    """Returns an id above all that lost lives have issued, whatever their capacity was: it follows from the clock.

    A clock that stands before 2026 counts from 1970.
    """
    return time.time_ns() % _EPOCH // NANOSECONDS_PER_ID


def checked_priorities(priorities: ArrayLike, active: NDArray[np.bool_], source: str) -> NDArray[np.float64]:
    """Returns `priorities` as floats, shape (n,).

    Args:
        priorities: The result of an algorithm.
        active: Which rows hold tasks, shape (n,).
        source: Name of the algorithm, for the error.

    Raises:
        ValueError: If `priorities` are not one number per row, finite in the `active` rows.
    """
    values = _floats(priorities, active, f"{source}.priorities")
    if values.shape != active.shape:
        found = f"shape {values.shape}"
    elif np.isfinite(values[active]).all():
        return values
    else:
        found = f"{values[active & ~np.isfinite(values)][0]} among them"
    raise ValueError(
        f"{source}.priorities: expected {len(active)} numbers, finite where is_active is true, got {found}; fix the "
        f"algorithm"
    )


def _floats(values: ArrayLike, active: NDArray[np.bool_], source: str) -> NDArray[np.float64]:
    """Returns `values` as an array of floats; raises `ValueError` if they are none."""
    try:
        return np.asarray(values, np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{source}: expected an array of {len(active)} numbers, got {values!r:.200}; return one number per row"
        ) from error


def checked_distribution(probabilities: ArrayLike, active: NDArray[np.bool_], source: str) -> NDArray[np.float64]:
    """Returns `probabilities` as floats, shape (n,).

    Args:
        probabilities: The result of an algorithm.
        active: Which rows hold tasks, shape (n,).
        source: Name of the algorithm, for the error.

    Raises:
        ValueError: If `probabilities` are not a distribution over the `active` rows.
    """
    values = _floats(probabilities, active, f"{source}.probabilities")
    found = _fault(values, active)
    if found:
        raise ValueError(
            f"{source}.probabilities: expected {len(active)} probabilities ≥ 0 that sum to 1, 0 where is_active is "
            f"false, got {found}; fix the algorithm"
        )
    return values


def _fault(values: NDArray[np.float64], active: NDArray[np.bool_]) -> str:
    """Returns why `values` are not a distribution over the `active` rows; empty if they are one."""
    if values.shape != active.shape:
        return f"shape {values.shape}"
    is_distribution = values.min() >= 0 and 1 - 1e-6 <= values.sum() <= 1 + 1e-6  # neither holds with NaN or infinity
    if not is_distribution and not np.isfinite(values).all():
        return f"{values[~np.isfinite(values)][0]} among them"
    if not is_distribution:
        return f"{values.min()} among them" if values.min() < 0 else f"a sum of {values.sum()}"
    is_outside = not active.all() and values[~active].any()
    return "one above 0 for a row without a task" if is_outside else ""


class Refresher:
    """Flushes logged events into the table, and refreshes tasks and distribution when that is due.

    Args:
        backend: Keeps the table.
        algorithm: Computes priorities and probabilities.
        admission: Creates the tasks that replace evicted ones.
        config: The config of the curriculum.
        estimator: Updates the averages in the rows.

    Raises:
        TypeError: If `algorithm` is not an `Algorithm`.
    """

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
        self.follows_handouts: bool = algorithm.follows_handouts
        self.missing: int = 0
        """Number of endings until this object checks whether a refresh is due."""
        self.error: Exception | None = None
        """The error of the last refresh; None if the refresh succeeded."""
        self._num_cancelled = Counter[int]()
        self._num_recorded = 0  # endings in the rows when that count began
        self._is_urgent = False
        self._has_warned = False
        self.max_evicted: int | None = None
        """Maximum number of tasks that one refresh replaces; None: there is no maximum but those of the pool."""
        if backend.follows:
            self.missing = sys.maxsize  # the hub refreshes: only full logs call for attention

    def count(self, num_endings: int, is_log_due: bool) -> None:
        """Counts logged endings of hand-outs, and flushes or refreshes if that is due."""
        self.missing -= num_endings
        if self.missing <= 0 or is_log_due:
            self.advance(is_log_due=is_log_due)

    def count_handouts(self, num_handouts: int, is_log_due: bool) -> None:
        """Counts logged hand-outs as `count` counts endings, if the algorithm follows hand-outs."""
        self.count(num_handouts if self.follows_handouts else 0, is_log_due)

    def count_cancelled(self, task_ids: NDArray[np.int64], is_log_due: bool) -> None:
        """Counts cancelled hand-outs, and refreshes at once if a task became unplayable that is drawn too often.

        An algorithm may give all draws to a few tasks. If these cannot be played, nothing else is until the next
        refresh, which may be hundreds of cancellations away. On a follower, the hub refreshes.

        Args:
            task_ids: Ids of the tasks, as logged, shape (n,).
            is_log_due: Whether the log is due to be flushed.
        """
        if self._backend.follows or not self._may_be_unplayable(task_ids):
            self.count(len(task_ids), is_log_due)
        else:
            self._count_at_once(len(task_ids))

    def count_cancelled_tickets(self, num_endings: int) -> None:
        """Counts cancelled hand-outs with tickets, which rows hold already, as `count_cancelled` does."""
        if self._backend.follows or not num_endings:
            self.count(num_endings, is_log_due=False)
        else:
            self._count_at_once(num_endings)

    def _may_be_unplayable(self, task_ids: NDArray[np.int64]) -> bool:
        """Counts cancellations of `task_ids`, shape (n,), and returns whether any of these tasks may be unplayable."""
        counters, _ = self._backend.glance()
        if counters.num_endings != self._num_recorded:
            # A flush by any process takes whole logs, so the rows hold all that was counted.
            self._num_recorded = counters.num_endings
            self._num_cancelled.clear()
        self._num_cancelled.update(task_ids.tolist())
        rows = self._backend.read(np.unique(task_ids % self._backend.capacity))
        # Counts of this object are an upper limit for what the rows do not hold yet.
        logged = np.array([self._num_cancelled[task_id] for task_id in rows["task_id"].tolist()], np.int64)
        return bool(too_many_failures(rows["num_failures"] + logged, self._config.max_failures).any())

    def _count_at_once(self, num_endings: int) -> None:
        """Counts endings, looks whether an unplayable task is drawn too often, and refreshes if so."""
        self._is_urgent = True
        self.missing -= num_endings
        self.advance(is_log_due=False)

    def advance(self, *, is_log_due: bool) -> None:
        """Flushes or refreshes if that is due.

        A failure does not affect the caller's results, which are logged already. The error is kept for `check`, and
        the refresh is tried again later.
        """
        try:
            self._advance(is_log_due=is_log_due)
        except Exception as error:  # noqa: BLE001  generators, disks and locks raise anything; `check` raises it
            self.missing = MIN_INTERVAL
            self._keep(error)

    def check(self) -> None:
        """Reports the error of the last failed refresh, once, unless a refresh succeeds now.

        Raises:
            RefreshError: If refreshes have failed until the distribution is at least `PATIENCE` intervals old.
        """
        if self.error is not None:
            counters, _ = self._backend.glance()
            interval = self._interval_after(counters)
            if self._age(counters) >= PATIENCE * interval or not counters.num_refreshes:
                self.missing = 0
                self.advance(is_log_due=False)
                if self.error is None:
                    return
                error, self.error = self.error, None
                raise RefreshError(
                    f"curriculum: expected a refreshed distribution every {interval} results, got "
                    f"{type(error).__name__}: {error}; your results are recorded: fix the cause and continue"
                ) from error

    def change(self, patch_of: Callable[[Table], Patch]) -> None:
        """Changes the tasks in the pool by the patch `patch_of(table)`, and refreshes the distribution, in one commit.

        If `patch_of` or the algorithm raises, nothing is changed.
        """

        def change(transaction: Transaction) -> None:
            draft = recorded(transaction, self._estimator)
            draft.add(patch_of(draft.table))
            draft.add(self._choose(draft.table))
            draft.commit()
            self.error = None
            self._update_missing(transaction.table.counters)

        self._backend.apply(change)

    def take(self, events: NDArray[np.void]) -> None:
        """Records events from elsewhere, shape (n,), dtype `EVENT` or `GROUP_EVENT`."""

        def note(transaction: Transaction) -> None:
            transaction.commit(record(transaction.table, events, self._estimator))

        if len(events):
            self._backend.apply(note)

    def fill(self) -> None:
        """Flushes all logged events, and puts new tasks into all empty slots. The hub fills the pool of a follower."""
        if self._backend.follows:
            return
        self._backend.apply(lambda transaction: self._pass(transaction, fills=True))

    def restore(self, saved: Table) -> None:
        """Replaces the table by `saved`.

        Raises:
            ValueError: If `saved` has another capacity.
        """
        if len(saved.rows) != self._backend.capacity:
            raise ValueError(
                f"state: expected capacity {self._backend.capacity}, got {len(saved.rows)}; set num_active_tasks to "
                f"the saved number, or use Curriculum.load, which keeps the best tasks"
            )
        self._backend.apply(lambda transaction: self._restore(transaction, saved))

    def restore_resized(self, saved: Table) -> None:
        """Replaces the table by `saved` at another capacity.

        Keeps the tasks with the highest priorities if there are too many, and adds new tasks if there are too few.
        """
        capacity = self._backend.capacity
        (active,) = np.nonzero(saved.rows["is_active"])
        priorities = np.asarray(self.algorithm.priorities(self._admission.columns(saved)), np.float64)[active]
        kept = active[np.sort(np.argsort(-priorities, kind="stable")[:capacity])]
        _log.warning(
            "num_active_tasks is %d, and %d tasks come from the checkpoint: kept %d, %s",
            capacity,
            len(active),
            len(kept),
            "those with the highest priorities" if len(kept) < len(active) else "adding new ones",
        )

        def put(transaction: Transaction) -> None:
            # New ids, since a lost life may have issued those that follow in a pool of another size.
            self._restore(transaction, resize(saved, kept, capacity), keeps_ids=False)
            self._pass(transaction, fills=True, is_due=True)  # even if the pool is full: the size changed

        self._backend.apply(put)

    def _restore(self, transaction: Transaction, saved: Table, *, keeps_ids: bool = True) -> None:
        self._flush(transaction)
        now = transaction.table
        keeps_ids = keeps_ids and now.counters.num_pending == 0 and self._backend.num_workers == 1
        generation = first_id() // self._backend.capacity + 1
        transaction.commit(restore(saved, now, keeps_ids=keeps_ids, generation=generation))
        self._update_missing(transaction.table.counters)

    def probabilities(self, table: Table) -> NDArray[np.float64]:
        """Returns the distribution that follows from `table`, shape (capacity,)."""
        return self.judge(table)[1]

    def judge(self, table: Table) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Returns the priorities and the distribution that follow from `table`, shape (capacity,) each."""
        columns, name = self._admission.columns(table), type(self.algorithm).__name__
        active, failing = columns["is_active"], unplayable(columns, self._config)
        priorities = self.algorithm.priorities(columns)
        priority_of = checked_priorities(priorities, active, name)
        probabilities = self.algorithm.probabilities(columns, priorities)
        checked = checked_distribution(probabilities, active, name)
        chosen = np.asarray(capped(checked, active, failing)) if failing.any() else checked
        return priority_of, chosen

    def _choose(self, table: Table) -> Patch:
        """Returns the patch that puts the distribution that follows from `table` into use."""
        priorities, probabilities = self.judge(table)
        return choose(table, cumulative(probabilities), priorities)

    def _advance(self, *, is_log_due: bool) -> None:
        if self._backend.follows:
            self.missing = sys.maxsize
            self._backend.try_apply(self._flush)
        elif self.missing <= 0 and self._backend.num_workers > 1 and not self._is_urgent:
            self._advance_session(is_log_due=is_log_due)
        elif not self._backend.try_apply(self._pass_if_due):
            self.missing = MIN_INTERVAL  # another process has the lock: check again later

    def _advance_session(self, *, is_log_due: bool) -> None:
        """Refreshes if the results of all workers together make a refresh due."""
        counters, num_waiting = self._backend.glance()
        age = self._age(counters) + num_waiting // 2  # about half of the waiting events are hand-outs
        missing = self._interval_after(counters) - age
        if missing > 0:  # check again after this worker's share of the missing endings
            self.missing = max(MIN_INTERVAL, missing // self._backend.num_workers)
            if is_log_due:
                self._backend.try_apply(self._flush)
        elif not self._backend.try_apply(self._pass_if_due):
            self.missing = MIN_INTERVAL

    def _pass_if_due(self, transaction: Transaction) -> None:
        self._pass(transaction)

    def _flush(self, transaction: Transaction) -> None:
        flush_log(transaction, self._estimator)

    def _pass(self, transaction: Transaction, *, fills: bool = False, is_due: bool = False) -> None:
        """Records, evicts, admits and chooses, then commits one patch. If a later step fails, commits the results."""
        draft = recorded(transaction, self._estimator)
        results = draft.patch
        try:
            is_refreshed = self._change(draft, fills=fills, is_due=is_due)
        except BaseException:
            if results is not None:
                transaction.commit(results, flushes=True)
            raise
        draft.commit()
        if is_refreshed:
            self.error = None
        self._is_urgent = False
        self._update_missing(draft.table.counters)
        self._look_for_untold_tickets(draft.table.counters)

    def _change(self, draft: Draft, *, fills: bool, is_due: bool) -> bool:
        """Adds to `draft` what is due, and returns whether that is a new distribution."""
        if fills:
            patch = self._admission.fill(draft.table)
            if patch is not None:
                draft.add(patch)
                is_due = True
        elif self._is_due(draft.table.counters) or (self._is_urgent and self._is_overdrawn(draft.table)):
            is_due = True
            self._evict(draft)
        if is_due:
            draft.add(self._choose(draft.table))
        return is_due

    def _evict(self, draft: Draft) -> None:
        """Replaces as many evictable tasks as are due by new ones."""
        table = draft.table
        num_due = num_evictions_due(table, self._eviction_rate)
        limit = self._admission.limit(len(table.rows))
        num_due = min(number for number in (num_due, limit, self.max_evicted) if number is not None)
        if num_due > 0:
            columns = self._admission.columns(table)
            priorities, failing = self.algorithm.priorities(columns), unplayable(columns, self._config)
            may_go = self.algorithm.evictable(columns, priorities, self._config) | failing
            slots = lowest(np.where(failing, -np.inf, priorities), may_go, num_due)
            slots = self._admission.without_last_of_member(table, slots, failing)
            if len(slots):
                draft.add(self._admission.patch(table, slots))

    def _is_overdrawn(self, table: Table) -> bool:
        """Returns whether a task is unplayable and drawn above its uniform share."""
        active = table.rows["is_active"]
        failing = active & too_many_failures(table.rows["num_failures"], self._config.max_failures)
        (slots,) = np.nonzero(failing)
        num_active = np.count_nonzero(active)
        if not 0 < len(slots) < num_active:  # where every task is unplayable, a refresh changes nothing
            return False
        shares = table.cumulated[slots] - np.where(slots > 0, table.cumulated[slots - 1], 0.0)
        return bool((shares * num_active > 1 + 1e-6).any())

    def _is_due(self, counters: Counters) -> bool:
        return self._age(counters) >= self._interval_after(counters)

    def _age(self, counters: Counters) -> int:
        """Returns the number of endings since the last refresh, or of hand-outs if the algorithm follows these.

        An algorithm that follows hand-outs uses the larger of the two numbers.
        """
        endings = counters.num_endings - counters.num_refreshed_endings
        if self.follows_handouts:
            return max(endings, counters.num_scheduled - counters.num_refreshed_scheduled)
        return endings

    def _interval_after(self, counters: Counters) -> int:
        num_tasks, num_endings = self._backend.capacity, counters.num_refreshed_endings
        if self._config.num_first_tasks is not None:
            num_tasks = counters.num_active
        if self.algorithm.chooses_labels:
            return max(refresh_interval(counters.num_labels, num_endings), num_tasks // 16)
        return refresh_interval(num_tasks, num_endings)

    def _update_missing(self, counters: Counters) -> None:
        """Sets `missing` from the counters alone, so that a resumed curriculum refreshes at the same results."""
        self.missing = max(1, self._interval_after(counters) - self._age(counters))
        if self._backend.num_workers > 1:  # this worker's share
            self.missing = min(self.missing, max(MIN_INTERVAL, self.missing // self._backend.num_workers))

    def _look_for_untold_tickets(self, counters: Counters) -> None:
        """Warns once if hand-outs with tickets have ended by their task ids, which leaves their tickets open."""
        if counters.num_open > counters.num_pending and not self._has_warned:
            self._has_warned = True
            _log.warning(
                "%d tickets are open, but only %d hand-outs are pending: results of ask_batch were told by task id, "
                "which ends no ticket; tell them by tell_batch, or ask with ask or get_task",
                counters.num_open,
                counters.num_pending,
            )

    def _keep(self, error: Exception) -> None:
        if self.error is None:
            _log.warning(
                "the refresh of the distribution failed; results are recorded, and the refresh is tried again",
                exc_info=error,
            )
        self.error = error
