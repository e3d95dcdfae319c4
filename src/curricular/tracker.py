"""`TaskTracker`: checks hand-outs and results, logs them, and flushes them into the rows. Knows no algorithm."""

import logging
from collections.abc import Callable
from operator import index
from typing import NoReturn

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .backends.protocol import Backend, LogFullError, ResultT, Transaction
from .config import CurriculumConfig
from .flush import flush_log, recorded
from .inputs import as_array, as_ids, as_number, as_scores
from .results import Results, estimator, refuse_no_regret
from .table import (
    BUILT_IN_REASONS,
    CANCELLED,
    EVENT,
    MAX_REASON_BYTES,
    MAX_REASONS,
    OTHER_REASON,
    SCHEDULED,
    TOLD,
    Estimator,
    Table,
    add_reason,
)

_log = logging.getLogger(__name__)


class TaskTracker:
    """Checks and logs hand-outs, results and cancellations of the tasks in a pool.

    Calls that log events return whether the log is due to be flushed. If the log is full, the call flushes it first.

    Args:
        backend: Where the rows and the log are.
        config: Has the score range, the settings of the averages, and whether results need regrets.
    """

    def __init__(self, backend: Backend, config: CurriculumConfig) -> None:
        self.backend = backend
        """Where the rows and the log are."""
        self.capacity: int = backend.capacity
        """Number of rows."""
        self.estimator: Estimator = estimator(config)
        """Settings of the averages."""
        self.results: Results = Results(config, self.estimator)
        """Checks results and makes their events."""
        self._reasons: dict[str, int] = {}
        self._has_free_reasons = True

    def schedule(self, task_id: int) -> bool:
        """Logs a hand-out of `task_id`, which was drawn from the backend."""
        try:
            return self.backend.append(SCHEDULED, task_id, 0.0, 0.0)
        except LogFullError:
            self.flush()
            return self.backend.append(SCHEDULED, task_id, 0.0, 0.0)

    def schedule_batch(self, task_ids: NDArray[np.int64]) -> bool:
        """Logs a hand-out of each of `task_ids`, shape (n,), which were drawn from the backend."""
        return self._extend(task_ids, SCHEDULED)

    def record(self, task_id: int, score: float) -> bool:
        """Logs one result. If it raises, it has logged nothing.

        Args:
            task_id: An id that was issued.
            score: A score in the score range.

        Raises:
            TypeError: If `task_id` is not an integer, or `score` is not a number.
            ValueError: If `score` is outside the score range, or the algorithm needs a regret.
            KeyError: If `task_id` was never issued.
        """
        if type(task_id) is not int:
            task_id = _as_id(task_id)
        if type(score) is not float:
            score = as_number("score", score, "reduce the episode to one score")
        if not 0 <= task_id <= self.backend.newest_id(task_id % self.capacity) and not self._is_old(task_id):
            _refuse_id(task_id)
        results = self.results
        if not results.low <= score <= results.high:
            score = results.rounded(score)
        if results.needs_regrets:
            refuse_no_regret()
        try:
            return self.backend.append(TOLD, task_id, score, 0.0)
        except LogFullError:
            self.flush()
            return self.backend.append(TOLD, task_id, score, 0.0)

    def record_batch(
        self, task_ids: ArrayLike, scores: ArrayLike, regrets: ArrayLike | None = None
    ) -> tuple[int, bool]:
        """Logs n results, all or none.

        Args:
            task_ids: Ids that were issued, shape (n,).
            scores: Scores in the score range, shape (n,); or groups of G exchangeable scores, shape (n, G), in which
                NaN marks a failed rollout.
            regrets: Finite regrets, shape (n,).

        Returns:
            n, and whether the log is due to be flushed.

        Raises:
            TypeError: If ids are not integers, or scores or regrets are not numbers.
            ValueError: If shapes differ, a score is outside the score range, or a regret is not finite or missing.
            KeyError: If an id was never issued.
        """
        ids, given = self._checked_ids(task_ids), as_scores(scores)
        if given.ndim != 2:
            return len(ids), self._log(self.results.events(None, ids, given, regrets))

        def take(transaction: Transaction) -> None:
            self._take(transaction, self.results.events(transaction.table, ids, given, regrets))

        self.backend.apply(take)
        return len(ids), False

    def cancel(self, task_ids: ArrayLike, reason: str) -> tuple[NDArray[np.int64], bool]:
        """Logs the cancellation of n hand-outs, all or none.

        Args:
            task_ids: Ids that were issued, shape (n,).
            reason: Why there is no score, in a few words.

        Returns:
            The ids, shape (n,), and whether the log is due to be flushed.

        Raises:
            TypeError: If ids are not integers, or `reason` is not a string.
            ValueError: If `task_ids` has another shape, or `reason` is empty.
            KeyError: If an id was never issued.
        """
        ids, key = self._checked_ids(task_ids), reason_key(reason)
        return ids, self._extend(ids, CANCELLED, self.reason(key) if len(ids) else 0)

    def reason(self, name: str) -> int:
        """Returns the index of the reason `name` for cancellations, which stays valid while the pool is in use.

        Raises:
            TypeError: If `name` is not a string.
            ValueError: If `name` is empty.
        """
        key = reason_key(name)
        if key not in self._reasons and self._has_free_reasons:
            self._reasons = self.backend.apply(lambda transaction: _add_reason(transaction, key))
            self._has_free_reasons = key in self._reasons
            if not self._has_free_reasons:
                _log.warning(
                    "the pool counts %d reasons for cancellations, and %r is one more: it counts as %r, like all "
                    "further ones; use few, short reasons",
                    MAX_REASONS,
                    key,
                    BUILT_IN_REASONS[OTHER_REASON],
                )
        return self._reasons.get(key, OTHER_REASON)

    def flush(self) -> None:
        """Records all logged events, of all processes, in the rows."""
        self.backend.apply(lambda transaction: flush_log(transaction, self.estimator))

    def snapshot(self) -> Table:
        """Flushes, and returns a consistent copy of the table."""
        self.flush()
        return self.backend.snapshot()

    def current(self) -> Table:
        """Flushes, and returns a copy of the table that is up to date even if the backend keeps only a replica."""
        self.flush()
        return self.backend.current()

    def look(self, fn: Callable[[Table], ResultT]) -> ResultT:
        """Flushes, and returns `fn(table)` for the table that `current` copies, as `Backend.look` does."""
        self.flush()
        return self.backend.look(fn)

    def _extend(self, ids: NDArray[np.int64], kind: int, reason: int = 0) -> bool:
        """Logs events without a score, as `_log` does."""
        events = np.zeros(len(ids), EVENT)
        events["task_id"], events["kind"], events["score"] = ids, kind, reason
        return self._log(events)

    def _log(self, events: NDArray[np.void]) -> bool:
        """Logs events, all or none; if they do not fit, records them in the rows, with the events logged before."""
        try:
            return self.backend.extend(events)
        except LogFullError:
            self.backend.apply(lambda transaction: self._take(transaction, events))
            return False

    def _take(self, transaction: Transaction, events: NDArray[np.void]) -> None:
        """Records `events`, dtype `EVENT` or `GROUP_EVENT`, in the rows, after the events logged before."""
        if len(events):
            account = recorded(transaction, self.estimator)
            account.record(events)
            account.commit()

    def _checked_ids(self, task_ids: ArrayLike) -> NDArray[np.int64]:
        given = as_array("task_ids", task_ids)
        ids = as_ids(given)
        issued = (ids >= 0) & (ids <= self.backend.newest_ids(ids % self.capacity))
        if not issued.all():
            # An id as given may not fit 64 bits with a sign.
            wrong = [task_id for task_id in given[~issued].tolist() if not self._is_old(task_id)]
            if wrong:
                _refuse_id(wrong[0])
        return ids

    def _is_old(self, task_id: int) -> bool:
        """Returns whether `task_id` may have been issued before the last restore, perhaps by a lost run."""
        counters, _ = self.backend.glance()
        return 0 <= task_id < counters.first_generation * self.capacity


def reason_key(name: str) -> str:
    """Returns a reason as it is stored: without spaces around it, cut to `MAX_REASON_BYTES` of UTF-8.

    Raises:
        TypeError: If `name` is not a string.
        ValueError: If nothing is left.
    """
    if not isinstance(name, str):
        raise TypeError(f"reason: expected a short text, got {name!r:.200}; say why there is no score")
    text = " ".join(name.replace("\0", " ").split()).lstrip("(")  # what begins with a parenthesis is built in
    key = text.encode(errors="replace")[:MAX_REASON_BYTES].decode(errors="ignore")
    if not key:
        raise ValueError(f"reason: expected a short text, got {name!r}; say why there is no score")
    return key


def _add_reason(transaction: Transaction, key: str) -> dict[str, int]:
    """Adds the reason `key`, if it is new and not all are in use; returns the index of each reason."""
    patch = add_reason(transaction.table, key.encode())
    if patch is not None:
        transaction.commit(patch)
    names = transaction.table.reasons["name"].tolist()
    return {name.decode(): index for index, name in enumerate(names) if name}


def _refuse_id(task_id: int) -> NoReturn:
    raise KeyError(f"task_id: expected an id that was issued, got {task_id}; pass the task_id of the task asked for")


def _as_id(task_id: int) -> int:
    if isinstance(task_id, bool | np.bool_):
        raise TypeError(f"task_id: expected an integer, got {task_id!r}; pass the task_id of the task asked for")
    try:
        return index(task_id)
    except TypeError as error:
        raise TypeError(
            f"task_id: expected an integer, got {task_id!r}; pass the task_id of the task asked for"
        ) from error
