"""What happens to rows: admit, record, evict, refresh, restore. Functions of arrays that return a `Patch`; NumPy only.

A backend decides where the arrays live and how a patch is committed. Nothing here writes into an argument.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .scorers import Columns
from .task import RECENT_SCORE_BITS, RECENT_SCORE_ONE, RECENT_SCORES, Params, Rows, TaskState

SCHEDULED, CANCELLED, TOLD, TOLD_WITH_REGRET = 0, 1, 2, 3
"""Kinds of event: handed out, nothing will come back, a score came back, a score and a regret came back."""

EVENT = np.dtype([("task_id", "i8"), ("kind", "i8"), ("score", "f8"), ("regret", "f8")])
"""One entry of an event log. `score` is in the user's units."""

ROUNDS_PER_POOL = 64
"""Evictions come in rounds; so many replace as many tasks as the pool has."""

MAX_LABELS = 64
"""Labels that get statistics of their own; all further ones share index 0, "other"."""

MAX_REGRET = 1e290
"""Regrets beyond it count as so much in sums, which stay finite."""

MAX_LABEL_BYTES = 96
"""A label longer than this in UTF-8 counts as "other"."""

LABEL = np.dtype(
    [
        ("name", f"S{MAX_LABEL_BYTES}"),
        ("num_scheduled", "i8"),
        ("num_completions", "i8"),
        ("num_evicted", "i8"),
        ("chance", "f8"),
        ("num_recent", "i8"),
        ("recent_score", "f8"),
        ("recent_regret", "f8"),
    ]
)
"""One label: all-time counts; its share in the distribution in use; and, since that came into use, the results of its
tasks, the sum of their scores, scaled to [0, 1], and the sum of the regrets that came with them."""


EMAS = ("fast_ema", "middle_ema_1", "middle_ema_2", "middle_ema_3", "slow_ema")
"""Averages of the score in a row, by falling rate."""


_WORD_BITS = 64
_BITS_BELOW = np.array([[2 * _WORD_BITS], [_WORD_BITS], [0]])
"""Bits of the last scores that are in the words after each of `RECENT_SCORES`."""


class Counters(NamedTuple):
    """All-time counts over the pool. scheduled + unsolicited = told + cancelled + stale + pending, at any moment."""

    num_created: int = 0
    num_evicted: int = 0
    num_scheduled: int = 0
    num_told: int = 0
    num_cancelled: int = 0
    num_stale: int = 0
    """Results for tasks that had been evicted: counted, credited to nobody."""
    num_unsolicited: int = 0
    """Results and cancellations beyond the hand-outs, an evaluation say."""
    num_pending: int = 0
    num_labels: int = 1
    num_refreshed_results: int = 0
    """Results (told and stale) that the distribution now in use has seen."""
    num_refreshes: int = 0
    num_restores: int = 0
    num_streams: int = 0
    """Streams of random numbers issued to processes."""
    epoch: int = 0
    """Goes up by one with each new distribution."""

    @property
    def num_results(self) -> int:
        """Results that came back, for active and for evicted tasks."""
        return self.num_told + self.num_stale


@dataclass(frozen=True, slots=True)
class Table:
    """The arrays of one pool: read-only to the functions here."""

    rows: Rows
    """One a slot."""
    labels: NDArray[np.void]
    """Shape (MAX_LABELS,), dtype `LABEL`."""
    counters: Counters
    cumulated: NDArray[np.float64]
    """The distribution in use, as a running sum, shape (capacity,)."""


@dataclass(frozen=True, slots=True)
class Patch:
    """A change to the table, as new images: of some rows, the labels, the counters, and perhaps the distribution."""

    slots: NDArray[np.int64]
    """Distinct slots, shape (k,)."""
    rows: Rows
    """Their new rows."""
    labels: NDArray[np.void]
    counters: Counters
    cumulated: NDArray[np.float64] | None = None
    """The distribution to use from now on, shape (capacity,); None: as before."""


@dataclass(frozen=True, slots=True)
class Estimator:
    """How the averages in a row are kept."""

    rates: tuple[float, ...]
    """Of the averages in `EMAS`."""
    score_low: float
    score_scale: float
    """High end minus low end of the score range."""
    success_threshold: float
    random_baseline: float
    """Where a task's baseline starts; fixed if `num_baseline_samples` is 0."""
    num_baseline_samples: int
    """Completions whose mean is the baseline."""


def empty_table(capacity: int, num_axes: int) -> Table:
    """A table of `capacity` inactive rows, with the label "other"."""
    labels = np.zeros(MAX_LABELS, LABEL)
    labels["name"][0] = b"other"
    return Table(Rows.zeros(capacity, num_axes), labels, Counters(), np.linspace(0, 1, capacity + 1)[1:])


def copy_table(table: Table) -> Table:
    """A copy that shares nothing with `table`."""
    return Table(Rows(table.rows.words.copy()), table.labels.copy(), table.counters, table.cumulated.copy())


def columns_of(table: Table) -> Columns:
    """The columns that an algorithm sees; views into `table`, but for `is_active`, that cannot be written into."""
    columns = {name: table.rows[name] for name in TaskState.model_fields}
    columns |= {f"label_{name}": table.labels[name] for name in LABEL.names or () if name != "name"}
    for column in columns.values():
        column.flags.writeable = False
    return columns


def label_indices(labels: NDArray[np.void], num_labels: int, names: list[str]) -> tuple[NDArray[np.int64], list[bytes]]:
    """The index of each name, shape (len(names),), and the names that are new, in the order of their indices."""
    known = {bytes(name): index for index, name in enumerate(labels["name"][:num_labels].tolist())}
    new: list[bytes] = []
    indices = np.empty(len(names), np.int64)
    for position, name in enumerate(names):
        key = name.encode(errors="replace").rstrip(b"\0")
        if key not in known and len(known) < MAX_LABELS and len(key) <= MAX_LABEL_BYTES:
            known[key] = len(known)
            new.append(key)
        indices[position] = known.get(key, 0)
    return indices, new


def admit(
    table: Table,
    slots: NDArray[np.int64],
    seeds: NDArray[np.int64],
    params: Params,
    names: list[str],
    creation_time: float,
    estimator: Estimator,
) -> Patch:
    """New tasks in `slots`, in place of those that are there. Seeds (k,), params (k, num_axes), one label name each.

    The first task of slot s gets id s, a successor the id of its predecessor plus the capacity.
    """
    old = table.rows.take(slots)
    was_active = old["is_active"]
    indices, new_names = label_indices(table.labels, table.counters.num_labels, names)
    labels = table.labels.copy()
    num_labels = table.counters.num_labels + len(new_names)
    labels["name"][table.counters.num_labels : num_labels] = new_names
    np.add.at(labels["num_evicted"], old["label_index"][was_active], 1)

    rows = Rows.zeros(len(slots), table.rows.num_axes)
    is_successor = was_active | (old["task_id"] > 0)
    rows["task_id"] = np.where(is_successor, old["task_id"] + len(table.rows), slots)
    rows["creation_time"] = creation_time
    rows["is_active"] = True
    rows["success_threshold"] = estimator.success_threshold
    rows["random_baseline"] = estimator.random_baseline
    rows["seed"] = seeds
    rows["label_index"] = indices
    rows["params"] = params
    rows["num_orphans"] = old["num_pending"] + old["num_orphans"]
    rows["last_scheduled"] = table.counters.num_scheduled
    counters = table.counters._replace(
        num_created=table.counters.num_created + len(slots),
        num_evicted=table.counters.num_evicted + int(was_active.sum()),
        num_labels=num_labels,
    )
    return Patch(slots, rows, labels, counters)


def _settle(
    pending: NDArray[np.int64], steps: NDArray[np.int64], starts: NDArray[np.int64]
) -> tuple[NDArray[np.int64], int]:
    """Pending hand-outs after `steps` (+1 handed out, −1 come back) per group, and how many came back unasked.

    The count never goes below 0: a result beyond the hand-outs is unsolicited. A walk reflected at 0, in closed form.
    """
    sums = steps.cumsum()
    ends = starts + _sizes(starts, len(steps)) - 1
    before = sums.take(starts) - steps.take(starts)
    lowest = pending - before + np.minimum.reduceat(sums, starts)
    unsolicited = np.maximum(-lowest, 0)
    return pending - before + sums.take(ends) + unsolicited, int(unsolicited.sum())


def _average(
    old: NDArray[np.float64],
    values: NDArray[np.float64],
    rates: NDArray[np.float64],
    num_old: NDArray[np.int64],
    num_new: NDArray[np.int64],
    num_after: NDArray[np.int64],
    starts: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Debiased averages from `old` (a, groups) and `values` (a, n); shape (a, groups).

    The first averages are at `rates` (b,), those beyond at the last of them.
    Equal to one step a value with α_n = α / (1 − (1−α)^{n+1}). With the weight W_n = 1 − (1−α)^n of n values, the
    average times W_n is a plain decaying sum, which adds up in closed form. `num_after` counts the values of the same
    group that come after each value.
    """
    at = np.minimum(np.arange(len(values)), len(rates) - 1)
    keep = 1.0 - rates[:, None]
    powers = (keep ** np.arange(num_new.max() + 1))[at]
    decay, gained = (keep**num_old)[at], powers.take(num_new, axis=1)
    new = np.add.reduceat(values * powers.take(num_after, axis=1), starts, axis=1)
    return (old * (1.0 - decay) * gained + rates[at, None] * new) / (1.0 - decay * gained)


def _push_recent(
    words: NDArray[np.uint64],
    scores: NDArray[np.float64],
    num_new: NDArray[np.int64],
    num_after: NDArray[np.int64],
    starts: NDArray[np.int64],
) -> NDArray[np.uint64]:
    """The last scores of each group, `words` (3, groups) of them, after `scores` (n,); shape (3, groups).

    A number of 192 bits in three words, shifted by 16 bits for each new score. NumPy shifts to 0 by more bits than a
    word has, and so by a negative number of them, which is a huge one here.
    """
    fields = np.rint(scores * RECENT_SCORE_ONE).astype(np.uint64)
    shifts = (num_after * RECENT_SCORE_BITS - _BITS_BELOW).view(np.uint64)
    pushed: NDArray[np.uint64] = np.bitwise_or.reduceat(fields << shifts, starts, axis=1)
    shift = (num_new * RECENT_SCORE_BITS).view(np.uint64)
    pushed |= words << shift
    for k in (1, 2):
        pushed[:-k] |= (words[k:] << (shift - _WORD_BITS * k)) | (words[k:] >> (_WORD_BITS * k - shift))
    return pushed


def _starts(keys: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where each run of equal `keys` begins, shape (runs,); keys are not empty."""
    is_first = np.empty(len(keys), np.bool_)
    is_first[0] = True
    np.not_equal(keys[1:], keys[:-1], out=is_first[1:])
    return np.flatnonzero(is_first)


def _sizes(starts: NDArray[np.int64], length: int) -> NDArray[np.int64]:
    """The length of each run."""
    sizes = np.empty(len(starts), np.int64)
    np.subtract(starts[1:], starts[:-1], out=sizes[:-1])
    sizes[-1] = length - starts[-1]
    return sizes


def record(table: Table, events: NDArray[np.void], estimator: Estimator) -> Patch:
    """All `events` (dtype `EVENT`, at least one), in order, applied to the rows that they name.

    An event whose id is older than the row's is of an evicted task: settled there, credited to nobody. Several results
    for one task equal the same results one by one, to rounding.
    """
    capacity = len(table.rows)
    slots = events["task_id"] % capacity
    # NumPy sorts integers of up to 16 bits by radix, several times faster.
    order = slots.astype(np.min_scalar_type(capacity - 1)).argsort(kind="stable")
    events_by_slot, slots = events.take(order), slots.take(order)
    ids, kinds = events_by_slot["task_id"], events_by_slot["kind"]
    starts = _starts(slots)
    changed = slots.take(starts)
    group = np.arange(len(starts)).repeat(_sizes(starts, len(slots)))
    rows = table.rows.take(changed)
    is_current = ids == rows["task_id"].take(group)
    is_scheduled, is_cancelled, is_told = kinds == SCHEDULED, kinds == CANCELLED, kinds >= TOLD

    # Who is still out. Hand-outs of evicted tasks are settled in the slot's orphans.
    steps = np.where(is_scheduled, 1, -1)
    rows["num_pending"], num_unsolicited = _settle(rows["num_pending"], steps * is_current, starts)
    if not is_current.all():
        rows["num_orphans"], num_late = _settle(rows["num_orphans"], steps * ~is_current, starts)
        num_unsolicited += num_late
    handed_out = (is_scheduled & is_current).astype(np.int64)
    num_handed_out = np.add.reduceat(handed_out, starts)
    rows["num_scheduled"] += num_handed_out
    moments = table.counters.num_scheduled + (events["kind"] == SCHEDULED).cumsum().take(order)
    rows["last_scheduled"] = np.maximum(rows["last_scheduled"], np.maximum.reduceat(moments * handed_out, starts))
    if is_cancelled.any():
        rows["num_cancelled"] += np.add.reduceat(is_cancelled & is_current, starts, dtype=np.int64)

    labels = table.labels.copy()
    np.add.at(labels["num_scheduled"], rows["label_index"], num_handed_out)
    told = np.flatnonzero(is_told & is_current)
    if len(told):
        groups_told = group.take(told)
        results = events_by_slot.take(told)
        scores = _record_scores(rows, groups_told, results, estimator)
        label_of = rows["label_index"].take(groups_told)
        num_told_of = np.bincount(label_of, minlength=MAX_LABELS)
        labels["num_completions"] += num_told_of
        labels["num_recent"] += num_told_of
        labels["recent_score"] += np.bincount(label_of, scores, MAX_LABELS)
        has_regret = results["kind"] == TOLD_WITH_REGRET
        if has_regret.any():
            regrets = results["regret"][has_regret].clip(-MAX_REGRET, MAX_REGRET)
            labels["recent_regret"] += np.bincount(label_of[has_regret], regrets, MAX_LABELS)

    num_scheduled, num_cancelled = int(np.count_nonzero(is_scheduled)), int(np.count_nonzero(is_cancelled))
    num_told = len(told)
    num_stale = len(events) - num_scheduled - num_cancelled - num_told
    old = table.counters
    counters = old._replace(
        num_scheduled=old.num_scheduled + num_scheduled,
        num_told=old.num_told + num_told,
        num_cancelled=old.num_cancelled + num_cancelled,
        num_stale=old.num_stale + num_stale,
        num_unsolicited=old.num_unsolicited + num_unsolicited,
        num_pending=old.num_pending + num_scheduled + num_unsolicited - num_told - num_cancelled - num_stale,
    )
    return Patch(changed, rows, labels, counters)


def _record_scores(
    rows: Rows, group: NDArray[np.int64], events: NDArray[np.void], estimator: Estimator
) -> NDArray[np.float64]:
    """Takes results into `rows`, a private copy of `record`; `group`, ascending, says which row each event is of.

    Returns their scores, scaled to [0, 1].
    """
    starts = _starts(group)
    changed, num_new = group.take(starts), _sizes(starts, len(group))
    num_after = (starts + num_new - 1).repeat(num_new) - np.arange(len(group))
    row = rows.take(changed)
    num_old = row["num_completions"].copy()
    scores = ((events["score"] - estimator.score_low) / estimator.score_scale).clip(0.0, 1.0)
    is_success = events["score"] >= row["success_threshold"].repeat(num_new)

    names = (*EMAS, "mean_square", "success_ema")
    averages = _average(
        np.array([row[name] for name in names]),
        np.array([*[scores] * len(EMAS), scores * scores, is_success.astype(np.float64)]),
        np.array(estimator.rates),
        num_old,
        num_new,
        num_after,
        starts,
    )
    for name, average in zip(names, averages.clip(0.0, 1.0), strict=True):  # rounding leads a little beyond
        row[name] = average
    if estimator.num_baseline_samples:
        limit = estimator.num_baseline_samples
        counts = (num_old + num_new - 1).repeat(num_new) - num_after < limit
        total = row["random_baseline"] * np.minimum(num_old, limit) + np.add.reduceat(scores * counts, starts)
        row["random_baseline"] = total / np.minimum(num_old + num_new, limit)
    row["last_score"] = scores.take(starts + num_new - 1)
    recent = np.array([row[name] for name in RECENT_SCORES]).view(np.uint64)
    pushed = _push_recent(recent, scores, num_new, num_after, starts).view(np.int64)
    for name, words in zip(RECENT_SCORES, pushed, strict=True):
        row[name] = words
    row["num_completions"] = num_old + num_new
    has_regret = events["kind"] == TOLD_WITH_REGRET
    if has_regret.any():
        last = np.maximum.reduceat(np.where(has_regret, np.arange(len(events)), -1), starts)
        row["last_regret"] = np.where(last >= 0, events["regret"][last], row["last_regret"])
        row["num_regrets"] += np.add.reduceat(has_regret, starts, dtype=np.int64)
    rows.put(changed, row)
    return scores


def num_evictions_due(table: Table, rate: float) -> int:
    """How many tasks may be evicted at this refresh: `rate` per result since the last one, in rounds.

    Finding the lowest scores means sorting them all, so a large pool evicts many tasks at a time and seldom.
    """
    size = max(1, len(table.rows) // ROUNDS_PER_POOL)
    rounds = int(rate * table.counters.num_results / size) - int(rate * table.counters.num_refreshed_results / size)
    return size * rounds


def lowest(scores: NDArray[np.float64], mask: NDArray[np.bool_], n: int) -> NDArray[np.int64]:
    """The slots of the `n` lowest masked scores, lowest first, equal ones by slot; fewer if there are fewer."""
    candidates = np.flatnonzero(mask)
    return candidates[np.argsort(scores[candidates], kind="stable")[:n]]


def refresh(table: Table, cumulated: NDArray[np.float64]) -> Patch:
    """`cumulated`, shape (capacity,), in use as the distribution, seen to cover all results so far."""
    labels = table.labels.copy()
    labels["chance"] = np.bincount(table.rows["label_index"], np.diff(cumulated, prepend=0.0), MAX_LABELS)
    labels["num_recent"] = labels["recent_score"] = labels["recent_regret"] = 0
    old = table.counters
    counters = old._replace(
        num_refreshes=old.num_refreshes + 1, num_refreshed_results=old.num_results, epoch=old.epoch + 1
    )
    return Patch(np.empty(0, np.int64), Rows.zeros(0, table.rows.num_axes), labels, counters, cumulated)


def issue_stream(table: Table) -> Patch:
    """One more stream of random numbers given out: number `table.counters.num_streams`."""
    counters = table.counters._replace(num_streams=table.counters.num_streams + 1)
    return Patch(np.empty(0, np.int64), Rows.zeros(0, table.rows.num_axes), table.labels, counters)


def resize(saved: Table, slots: NDArray[np.int64], capacity: int) -> Table:
    """The tasks in `slots` of `saved`, at most `capacity` of them, as the first ones of a table of `capacity` rows.

    The other rows are inactive. All tasks get ids above any that `saved` has issued, since a slot follows from an id;
    what was handed out is counted as cancelled, and a result that comes back all the same as stale.
    """
    generation = int(saved.rows["task_id"].max()) // capacity + 1
    kept = saved.rows.take(slots)
    kept["num_cancelled"] += kept["num_pending"]
    kept["num_pending"] = 0
    kept["num_orphans"] = 0
    rows = Rows.zeros(capacity, saved.rows.num_axes)
    rows.put(np.arange(len(slots)), kept)
    rows["task_id"] = np.arange(capacity) + capacity * generation
    old = saved.counters
    dropped = int(saved.rows["is_active"].sum()) - len(slots)
    counters = old._replace(
        num_evicted=old.num_evicted + dropped, num_cancelled=old.num_cancelled + old.num_pending, num_pending=0
    )
    return Table(rows, saved.labels, counters, np.linspace(0, 1, capacity + 1)[1:])


def restore(saved: Table, table: Table, *, keeps_ids: bool) -> Patch:
    """The whole of `saved` in place of `table`, with a new epoch so that every process draws again.

    Unless `keeps_ids`, tasks get ids above all that `table` has issued, so that results still out come back as stale.
    """
    old, new = table.counters, saved.counters
    counters = new._replace(
        epoch=old.epoch + 1,
        num_restores=max(old.num_restores, new.num_restores) + 1,
        num_streams=max(old.num_streams, new.num_streams),
    )
    rows = Rows(saved.rows.words.copy())
    if not keeps_ids:
        capacity = len(rows)
        generations = (table.rows["task_id"] - rows["task_id"]) // capacity
        rows["task_id"] += capacity * (1 + max(0, int(generations.max())))
        rows["num_orphans"] += rows["num_pending"]
        rows["num_pending"] = 0
    return Patch(np.arange(len(rows)), rows, saved.labels, counters, saved.cumulated)
