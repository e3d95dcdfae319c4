"""`TaskTracker`: checks hand-outs and results, logs them, and flushes them into the rows. Knows no algorithm."""

import logging
import math
import sys
from operator import index
from typing import Any, NoReturn, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .backends.local import LocalMemoryBackend
from .backends.protocol import Backend, LogFullError, Transaction
from .backends.shared import SharedMemoryBackend
from .config import ROUNDING, CurriculumConfig, MeanOfFirst
from .inputs import as_array, as_number
from .table import (
    BUILT_IN_REASONS,
    CANCELLED,
    EVENT,
    FAILED,
    GROUP_EVENT,
    MAX_REASON_BYTES,
    MAX_REASONS,
    MAX_SCORE,
    OTHER_REASON,
    SCHEDULED,
    TOLD,
    TOLD_WITH_REGRET,
    WORKER_LOST,
    Draft,
    Estimator,
    Patch,
    Table,
    add_reason,
    cancellations,
    close,
    oldest,
    open_entries,
    range_with,
    record,
    unchanged,
)

_log = logging.getLogger(__name__)


def create_task_tracker(
    config: CurriculumConfig, num_axes: int = 0, *, identity: str = "", backend: Backend | None = None
) -> "TaskTracker":
    """Returns a tracker over `backend`, or over a backend that it creates as `config` says.

    Args:
        config: Settings of the pool.
        num_axes: Number of axes of the task generator.
        identity: A string that identifies the generator; a process with another one cannot join the session.
        backend: A custom backend; None: create one.

    Raises:
        ValueError: If the backend's capacity is not `config.num_active_tasks`, or its rows have another number of axes.
        SessionError: If the session cannot be created or joined.
    """
    if backend is None:
        backend = _create_backend(config, num_axes, identity)
    if backend.capacity != config.pool_size:
        raise ValueError(
            f"backend: expected a capacity of num_active_tasks={config.pool_size}, got {backend.capacity}; "
            f"make it with the same number"
        )
    found = backend.read(np.array([0])).num_axes
    if found != num_axes:
        raise ValueError(
            f"backend: expected rows with the generator's {num_axes} axes, got {found}; "
            f"make it with num_axes={num_axes}"
        )
    return TaskTracker(backend, config)


def _create_backend(config: CurriculumConfig, num_axes: int, identity: str) -> Backend:
    has_shared_memory = sys.platform != "win32"
    if not config.use_shared_memory or not (has_shared_memory or config.session_id):
        return LocalMemoryBackend(config.pool_size, num_axes, config.max_open_handouts)
    settings = config.model_dump(mode="json", exclude={"session_id", "use_shared_memory", "num_active_tasks"})
    settings["generator"] = identity
    return SharedMemoryBackend(config.session_id, config.pool_size, num_axes, settings, config.max_open_handouts)


def estimator(config: CurriculumConfig) -> Estimator:
    """Returns the settings of the averages, as `config` gives them."""
    low, high = (0.0, 1.0) if isinstance(config.score_range, str) else config.score_range
    baseline, threshold = config.random_baseline, config.threshold
    return Estimator(
        rates=config.rates,
        score_low=low,
        score_scale=high - low,
        success_threshold=math.nan if threshold is None else threshold,
        random_baseline=0.0 if isinstance(baseline, MeanOfFirst) else baseline,
        num_baseline_samples=baseline.num_completions if isinstance(baseline, MeanOfFirst) else 0,
        is_observed=isinstance(config.score_range, str),
    )


def recorded(transaction: Transaction, estimator: Estimator) -> Draft:
    """Returns the draft of a change that records all logged events and ends the open hand-outs of dead workers."""
    draft, lost = Draft(transaction.table), transaction.lost
    if len(transaction.events):
        draft.add(record(draft.table, transaction.events, estimator))
    if len(lost.task_ids):
        _cancel(draft, _still_out(draft.table, lost.task_ids), WORKER_LOST, estimator)
    if len(lost.workers):
        if draft.table.counters.num_open:
            places = oldest(draft.table.ledger, np.isin(draft.table.ledger["worker"], lost.workers))
            end_handouts(draft, places, WORKER_LOST, estimator)
        draft.add(unchanged(draft.table))  # so that a commit gives up their slots, even if nothing was out
    return draft


def _still_out(table: Table, task_ids: NDArray[np.int64]) -> NDArray[np.int64]:
    """Returns those of `task_ids`, handed out without tickets, that may still be open.

    Another worker may have told some of them. So of each task, and of the evicted tasks of each slot, at most as many
    are returned as are pending without a ticket.
    """
    pending = np.concatenate([table.rows["num_pending"], table.rows["num_orphans"]])
    pending -= np.bincount(_accounts(table, open_entries(table.ledger)["task_id"]), minlength=len(pending))
    accounts = _accounts(table, task_ids)
    order = accounts.argsort(kind="stable")
    asked, accounts = task_ids[order], accounts[order]
    return asked[np.arange(len(asked)) - accounts.searchsorted(accounts) < pending[accounts]]


def _accounts(table: Table, ids: NDArray[np.int64]) -> NDArray[np.int64]:
    """Returns the index of the count to which each hand-out of `ids` belongs, shape (n,).

    Indices below the capacity are slots with tasks in the pool. Capacity + slot is the count of the slot's orphans:
    pending hand-outs of its evicted tasks.
    """
    slots = ids % len(table.rows)
    accounts: NDArray[np.int64] = slots + len(table.rows) * (table.rows["task_id"][slots] != ids)
    return accounts


def end_handouts(draft: Draft, places: NDArray[np.int64], reason: int, estimator: Estimator) -> None:
    """Cancels the open hand-outs at distinct `places` of the ledger, shape (k,), for the reason with index `reason`."""
    if len(places):
        ids = draft.table.ledger["task_id"][places]
        _cancel(draft, ids, reason, estimator)
        draft.add(close(draft.table, places))


def _cancel(draft: Draft, ids: NDArray[np.int64], reason: int, estimator: Estimator) -> None:
    if len(ids):
        draft.add(record(draft.table, cancellations(ids, reason), estimator))


def flush_log(transaction: Transaction, estimator: Estimator) -> None:
    """Records all logged events in the rows, and ends the open hand-outs of dead workers."""
    draft = recorded(transaction, estimator)
    if draft.patch is not None:
        transaction.commit(draft.patch, flushes=True)


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
        declared = config.score_range
        self._low, self._high = (-MAX_SCORE, MAX_SCORE) if isinstance(declared, str) else declared
        self._slack = 0.0 if isinstance(declared, str) else ROUNDING * (self._high - self._low)
        self._needs_regrets = config.needs_regrets
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
        if not self._low <= score <= self._high:
            score = self._rounded(score)
        if self._needs_regrets:
            _refuse_no_regret()
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
        ids, given = self._checked_ids(task_ids), as_array("scores", scores)
        if given.ndim != 2:
            return len(ids), self._log(self.results(None, ids, given, regrets))

        def take(transaction: Transaction) -> None:
            self._take(transaction, self.results(transaction.table, ids, given, regrets))

        self.backend.apply(take)
        return len(ids), False

    def results(
        self, table: Table | None, ids: NDArray[np.int64], scores: ArrayLike, regrets: ArrayLike | None = None
    ) -> NDArray[np.void]:
        """Returns the events of n results, dtype `EVENT` or, of groups, `GROUP_EVENT`, shape (n,).

        Args:
            table: The pool, whose observed range of scores groups need; None: there are no groups.
            ids: Task ids, shape (n,).
            scores: Scores, shape (n,), or groups of scores, shape (n, G), as for `record_batch`.
            regrets: Finite regrets, shape (n,).

        Raises:
            TypeError: As `record_batch` does.
            ValueError: As `record_batch` does.
        """
        given, extra = as_array("scores", scores), self._checked_regrets(regrets, ids)
        if table is not None and given.ndim == 2 and len(given) == len(ids):
            values = _checked_groups(given)
            told = self._rounded_batch(values[~np.isnan(values)])
            return group_events(ids, values, extra, self.estimator.fitted(range_with(table.score_range, told)))
        values = self._rounded_batch(_checked_numbers("scores", given, len(ids)))
        events = np.zeros(len(ids), EVENT)
        events["task_id"], events["kind"], events["score"] = ids, TOLD, values
        if extra is not None:
            events["kind"], events["regret"] = TOLD_WITH_REGRET, extra
        return events

    def _checked_regrets(self, regrets: ArrayLike | None, ids: NDArray[np.int64]) -> NDArray[np.float64] | None:
        if regrets is None:
            if self._needs_regrets and len(ids):
                _refuse_no_regret()
            return None
        extra = _checked_numbers("regrets", regrets, len(ids))
        if not np.isfinite(extra).all():
            at = int(np.argmin(np.isfinite(extra)))
            raise ValueError(
                f"regrets: expected finite numbers, got {extra[at]} at index {at}, for task {ids[at]}; check whether "
                f"the trainer diverged"
            )
        return extra

    def cancel(self, task_ids: ArrayLike, reason: str) -> tuple[int, bool]:
        """Logs the cancellation of n hand-outs, all or none.

        Args:
            task_ids: Ids that were issued, shape (n,).
            reason: Why there is no score, in a few words.

        Returns:
            n, and whether the log is due to be flushed.

        Raises:
            TypeError: If ids are not integers, or `reason` is not a string.
            ValueError: If `task_ids` has another shape, or `reason` is empty.
            KeyError: If an id was never issued.
        """
        ids, key = self._checked_ids(task_ids), _reason_key(reason)
        return len(ids), self._extend(ids, CANCELLED, self.reason(key) if len(ids) else 0)

    def reason(self, name: str) -> int:
        """Returns the index of the reason `name` for cancellations, which stays valid while the pool is in use.

        Raises:
            TypeError: If `name` is not a string.
            ValueError: If `name` is empty.
        """
        key = _reason_key(name)
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
            draft = recorded(transaction, self.estimator)
            draft.add(record(draft.table, events, self.estimator))
            transaction.commit(cast(Patch, draft.patch), flushes=True)

    def _checked_ids(self, task_ids: ArrayLike) -> NDArray[np.int64]:
        ids = given = as_array("task_ids", task_ids)
        if ids.ndim != 1:
            raise ValueError(f"task_ids: expected shape (n,), got {ids.shape}; pass a flat sequence of ids")
        if not len(ids):
            return ids.astype(np.int64)
        if ids.dtype.kind not in "iu":
            raise TypeError(f"task_ids: expected integers, got dtype {ids.dtype}; pass the task_id of each task")
        ids = ids.astype(np.int64, copy=False)
        issued = (ids >= 0) & (ids <= self.backend.newest_ids(ids % self.capacity))
        if not issued.all():
            wrong = [task_id for task_id in given[~issued].tolist() if not self._is_old(task_id)]
            if wrong:
                _refuse_id(wrong[0])
        return ids

    def _is_old(self, task_id: int) -> bool:
        """Returns whether `task_id` may have been issued before the last restore, perhaps by a lost run."""
        counters, _ = self.backend.glance()
        return 0 <= task_id < counters.first_generation * self.capacity

    def _rounded(self, score: float) -> float:
        """Returns `score`, moved to the end of the range if rounding put it just outside."""
        if not self._low - self._slack <= score <= self._high + self._slack:
            self._refuse_score(score)
        return min(max(score, self._low), self._high)

    def _rounded_batch(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """Returns `scores`, shape (n,), each as `_rounded` does."""
        if not ((scores >= self._low) & (scores <= self._high)).all():
            outside = ~((scores >= self._low - self._slack) & (scores <= self._high + self._slack))
            if outside.any():
                self._refuse_score(float(scores[outside][0]))
            scores = scores.clip(self._low, self._high)
        return scores

    def _refuse_score(self, score: float) -> NoReturn:
        if self.estimator.is_observed:
            raise ValueError(
                f"score: expected a finite number within ±{MAX_SCORE:g}, got {score}; cancel a hand-out that gave no "
                f"valid score"
            )
        remedy = "clip it, declare the range of your scores in the config, or set score_range='observed'"
        if not math.isfinite(score):
            remedy = "cancel a hand-out that gave no valid score"
        raise ValueError(
            f"score: expected a finite number in score_range {(self._low, self._high)}, got {score}; {remedy}"
        )


def group_events(
    ids: NDArray[np.int64], scores: NDArray[np.float64], regrets: NDArray[np.float64] | None, estimator: Estimator
) -> NDArray[np.void]:
    """Returns the events of n groups of scores, dtype `GROUP_EVENT`, shape (n,). A group of NaN is a cancellation.

    Args:
        ids: Task id of each group, shape (n,).
        scores: Scores of each group, NaN where a rollout failed, shape (n, G).
        regrets: Regret of each group, shape (n,); None: there are none.
        estimator: Has the threshold of success.
    """
    is_there = ~np.isnan(scores)
    sizes = is_there.sum(axis=1)
    divisor = np.maximum(sizes, 1)
    events = np.zeros(len(ids), GROUP_EVENT)
    events["task_id"], events["size"] = ids, divisor
    means = np.where(is_there, scores, 0.0).sum(axis=1) / divisor
    events["score"] = means
    events["variance"] = (np.where(is_there, scores - means[:, None], 0.0) ** 2).sum(axis=1) / divisor
    events["low"] = np.where(is_there, scores, np.inf).min(axis=1)
    events["high"] = np.where(is_there, scores, -np.inf).max(axis=1)
    # A comparison with NaN is false, so a failed rollout is no success.
    events["success"] = estimator.is_success(scores).sum(axis=1) / divisor
    events["kind"] = TOLD
    if regrets is not None:
        events["kind"], events["regret"] = TOLD_WITH_REGRET, regrets
    events["kind"][sizes == 0], events["score"][sizes == 0] = CANCELLED, FAILED
    return events


def _checked_groups(scores: NDArray[Any]) -> NDArray[np.float64]:
    """Returns groups of scores, shape (n, G), as floats.

    Raises:
        TypeError: If the scores are not numbers.
        ValueError: If G is 0.
    """
    if scores.dtype.kind not in "iufb":
        raise TypeError(f"scores: expected numbers, got dtype {scores.dtype}; pass one group of numbers per task id")
    if not scores.shape[1]:
        raise ValueError(
            f"scores: expected at least one score per group, got shape {scores.shape}; pass the scores of each group"
        )
    return scores.astype(np.float64)


def _reason_key(name: str) -> str:
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


def _refuse_no_regret() -> NoReturn:
    raise ValueError(
        "regrets: expected one per result, since the algorithm chooses by regret, got none; call tell(task_ids, "
        "scores, regrets=...) with regrets as in curricular.regrets, or use another algorithm"
    )


def _as_id(task_id: int) -> int:
    if isinstance(task_id, bool | np.bool_):
        raise TypeError(f"task_id: expected an integer, got {task_id!r}; pass the task_id of the task asked for")
    try:
        return index(task_id)
    except TypeError as error:
        raise TypeError(
            f"task_id: expected an integer, got {task_id!r}; pass the task_id of the task asked for"
        ) from error


def _checked_numbers(name: str, values: ArrayLike, length: int) -> NDArray[np.float64]:
    numbers = as_array(name, values)
    if numbers.dtype.kind not in "iufb" and numbers.size:
        raise TypeError(f"{name}: expected numbers, got dtype {numbers.dtype}; pass one number per task id")
    if numbers.shape != (length,):
        raise ValueError(f"{name}: expected shape ({length},) like task_ids, got {numbers.shape}; pass one per task id")
    return numbers.astype(np.float64, copy=False)
