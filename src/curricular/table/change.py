"""Changes to a table other than events: admit, choose, resize, restore. No function writes into an argument."""

import hashlib
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..arrays import masked
from ..rows import Rows
from ..task import Params
from .ledger import is_current, open_entries, waiting
from .schema import (
    EVICTED,
    MAX_LABEL_BYTES,
    MAX_LABELS,
    MAX_PRIORITY,
    MAX_REASONS,
    OTHER,
    OTHER_REASON,
    Estimator,
    Patch,
    Table,
    unchanged,
)

ROUNDS_PER_POOL = 64
"""Tasks are evicted in rounds of `capacity / ROUNDS_PER_POOL`."""


def label_indices(labels: NDArray[np.void], num_labels: int, names: list[str]) -> tuple[NDArray[np.int64], list[bytes]]:
    """Returns the label index of each name, and the names that get a new index.

    Args:
        labels: Statistics of the labels, shape (MAX_LABELS,), dtype `LABEL`.
        num_labels: Number of label indices in use.
        names: Names to look up, n of them.

    Returns:
        Indices, shape (n,), 0 for a name without a free index; and the new names in the order of their indices, as they
        are stored.
    """
    known = {bytes(name): index for index, name in enumerate(labels["name"][:num_labels].tolist())}
    new: list[bytes] = []
    indices: dict[str, int] = {}
    for name in dict.fromkeys(names):  # the tasks of a pool share few names
        key = stored_label(name)
        if key not in known and len(known) < MAX_LABELS:
            known[key] = len(known)
            new.append(key)
        indices[name] = known.get(key, 0)
    return np.fromiter(map(indices.__getitem__, names), np.int64, len(names)), new


def stored_label(name: str) -> bytes:
    """Returns a label as it is stored: in UTF-8, or as its beginning and a hash of the whole label.

    Labels get a hash if they are too long, are reserved, or cannot be stored unchanged in the array of names.

    Examples:
        >>> stored_label("size=5"), stored_label("x" * 100)[-20:]
        (b'size=5', b'xxxxxxx~09ecb6ebc8bc')
    """
    key = name.encode(errors="replace")
    if len(key) <= MAX_LABEL_BYTES and key != OTHER and not key.endswith(b"\0") and key.decode() == name:
        return key
    digest = hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()[:LABEL_HASH_DIGITS]
    beginning = key[: MAX_LABEL_BYTES - LABEL_HASH_DIGITS - 1].decode(errors="ignore").rstrip("\0")
    return f"{beginning}~{digest}".encode()


LABEL_HASH_DIGITS = 12
"""Number of hexadecimal digits of a hash in a stored label. Among a million labels, two share one in 1 case of 500."""


def admit(
    table: Table,
    slots: NDArray[np.int64],
    seeds: NDArray[np.int64],
    params: Params,
    names: list[str],
    creation_time: float,
    estimator: Estimator,
) -> Patch:
    """Returns the patch that puts new tasks into `slots` and evicts the tasks in them.

    The first task of slot s has the id s. A successor has the id of its predecessor plus the capacity. After a restore,
    the id is at least `first_generation` × capacity.

    Args:
        table: The pool.
        slots: Distinct slots, shape (k,).
        seeds: Seeds of the new tasks, shape (k,).
        params: Params of the new tasks, shape (k, num_axes).
        names: Label of each new task, k of them.
        creation_time: Seconds since the epoch.
        estimator: Settings of the averages.
    """
    old = table.rows.take(slots)
    was_active = old["is_active"]
    indices, new_names = label_indices(table.labels, table.counters.num_labels, names)
    labels = table.labels.copy()
    num_labels = table.counters.num_labels + len(new_names)
    labels["name"][table.counters.num_labels : num_labels] = new_names
    np.add.at(labels["num_evicted"], old["label_index"][was_active], 1)

    rows = Rows.zeros(len(slots), table.rows.num_axes)
    is_successor = was_active | (old["task_id"] > 0) | (old["creation_time"] != 0)
    successors = np.where(is_successor, old["task_id"] + len(table.rows), slots)
    rows["task_id"] = np.maximum(successors, slots + len(table.rows) * table.counters.first_generation)
    rows["creation_time"] = creation_time
    rows["is_active"] = True
    rows["success_threshold"] = estimator.fitted(table.score_range).success_threshold
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


def remove(table: Table, slots: NDArray[np.int64]) -> Patch:
    """Returns the patch that removes the tasks in the distinct `slots`, shape (k,), and leaves the slots inactive.

    An inactive row keeps its task until another one is admitted. So another process that has just drawn the task hands
    out this task, and results of open hand-outs are recorded.
    """
    rows = table.rows.take(slots)
    labels = table.labels.copy()
    np.add.at(labels["num_evicted"], rows["label_index"], 1)
    rows["is_active"] = False
    counters = table.counters._replace(num_evicted=table.counters.num_evicted + len(slots))
    return Patch(slots, rows, labels, counters)


def num_evictions_due(table: Table, rate: float) -> int:
    """Returns the number of tasks that may be evicted now: `rate` per ended hand-out since the last refresh, in rounds.

    Finding the lowest priorities takes a sort of all priorities. So a large pool evicts rarely, many tasks at a time.
    """
    size = max(1, len(table.rows) // ROUNDS_PER_POOL)
    counters = table.counters
    rounds = int(rate * counters.num_endings / size) - int(rate * counters.num_refreshed_endings / size)
    return size * rounds


def lowest(priorities: NDArray[np.float64], mask: NDArray[np.bool_], n: int) -> NDArray[np.int64]:
    """Returns the `n` slots with the lowest priorities among the masked slots, lowest first; all if there are fewer.

    Args:
        priorities: Priority of each slot, shape (capacity,). Of equal priorities, the lower slot comes first.
        mask: Slots to consider, bool, shape (capacity,).
        n: Number of slots.
    """
    candidates = np.flatnonzero(mask)
    return candidates[np.argsort(priorities[candidates], kind="stable")[:n]]


def choose(table: Table, cumulated: NDArray[np.float64], priorities: NDArray[np.float64]) -> Patch:
    """Returns the patch that puts a new distribution into use.

    Args:
        table: The pool.
        cumulated: Running sum of the distribution, shape (capacity,).
        priorities: Priority of each task, from which the distribution follows, finite where active, shape (capacity,).
    """
    labels = table.labels.copy()
    chances = cumulated.copy()
    chances[1:] -= cumulated[:-1]
    label_of, active = table.rows["label_index"], table.rows["is_active"]
    labels["chance"] = np.bincount(label_of, chances, MAX_LABELS)
    sizes, sums = (np.bincount(label_of, column, MAX_LABELS) for column in (active, masked(priorities, active)))
    labels["priority"] = (sums / sizes.clip(1.0)).clip(-MAX_PRIORITY, MAX_PRIORITY)
    labels["num_recent"] = labels["recent_score"] = labels["recent_regret"] = 0
    old = table.counters
    counters = old._replace(
        num_refreshes=old.num_refreshes + 1,
        num_refreshed_endings=old.num_endings,
        num_refreshed_scheduled=old.num_scheduled,
        epoch=old.epoch + 1,
    )
    return replace(unchanged(table), labels=labels, counters=counters, cumulated=cumulated)


def write_params(table: Table, slots: NDArray[np.int64], column: int, values: NDArray[np.float64]) -> Patch:
    """Returns the patch that writes `values`, shape (k,), into a column of the params in distinct `slots`.

    It begins a new epoch, with the same distribution, so that every process forgets the tasks that it has built.
    """
    rows, old = table.rows.take(slots), table.counters
    rows["params"][:, column] = values
    counters = old._replace(epoch=old.epoch + 1, num_rewrites=old.num_rewrites + 1)
    return replace(unchanged(table), slots=slots, rows=rows, counters=counters, cumulated=table.cumulated)


def issue_stream(table: Table) -> Patch:
    """Returns the patch that issues one more stream of random numbers: number `table.counters.num_streams`."""
    counters = table.counters._replace(num_streams=table.counters.num_streams + 1)
    return replace(unchanged(table), counters=counters)


def resize(saved: Table, slots: NDArray[np.int64], capacity: int) -> Table:
    """Returns a table of `capacity` rows: first the tasks in `slots` of `saved`, then inactive rows.

    Since a slot follows from an id, all tasks get other ids. Hand-outs with a ticket stay open if their task is kept.
    All other open hand-outs count as cancelled, and later results for them as stale.

    Args:
        saved: The pool to take the tasks from.
        slots: Distinct slots of `saved`, shape (k,), k ≤ `capacity`.
        capacity: Number of rows of the new table.
    """
    old, num_old = saved.counters, len(saved.rows)
    generation = int(saved.rows["task_id"].max()) // capacity + 1
    rows = Rows.zeros(capacity, saved.rows.num_axes)
    rows.put(np.arange(len(slots)), saved.rows.take(slots))
    rows["task_id"] = np.arange(capacity) + capacity * generation

    new_slots = np.full(num_old, -1)
    new_slots[slots] = np.arange(len(slots))
    entries = open_entries(saved.ledger)
    new_slot = np.where(is_current(saved, entries["task_id"]), new_slots[entries["task_id"] % num_old], -1)
    entries, new_slot = entries[new_slot >= 0], new_slot[new_slot >= 0]
    entries["task_id"] = rows["task_id"][new_slot]
    num_pending = np.minimum(rows["num_pending"], np.bincount(new_slot, minlength=capacity))
    rows["num_cancelled"] += rows["num_pending"] - num_pending
    rows["num_pending"], rows["num_orphans"] = num_pending, 0

    num_cancelled = old.num_pending - int(num_pending.sum())
    reasons = saved.reasons.copy()
    reasons["count"][EVICTED] += num_cancelled
    counters = old._replace(
        num_evicted=old.num_evicted + int(saved.rows["is_active"].sum()) - len(slots),
        num_cancelled=old.num_cancelled + num_cancelled,
        num_pending=old.num_pending - num_cancelled,
        num_open=len(entries),
        first_generation=old.first_generation * num_old // capacity + 1,
        walk_position=0,  # of another permutation, which skips what this walk has handed out
    )
    cumulated = np.linspace(0, 1, capacity + 1)[1:]
    return Table(rows, saved.labels, counters, cumulated, saved.score_range, reasons, entries)


def restore(saved: Table, table: Table, *, keeps_ids: bool, generation: int) -> Patch:
    """Returns the patch that replaces `table` with `saved`, in a new epoch, so that every process draws again.

    A new life begins. The hand-outs with tickets that `saved` has open are open again, and are handed out first.
    All their tasks must be in the pool.

    Args:
        saved: The pool to restore.
        table: The pool to replace, of the same capacity.
        keeps_ids: Whether tasks keep their ids. If not, they get ids above all that `table` has issued, so that results
            of earlier hand-outs count as stale.
        generation: Lowest value of id // capacity for new tasks in this life, above that of all ids issued before.
    """
    old, new, capacity = table.counters, saved.counters, len(saved.rows)
    newest = max(int(table.rows["task_id"].max()), int(saved.rows["task_id"].max())) // capacity
    generation = max(generation, old.first_generation, new.first_generation, newest + 1)
    rows, entries = saved.rows, open_entries(saved.ledger)
    if not keeps_ids:
        rows = Rows(rows.words.copy())
        slots = entries["task_id"] % capacity
        rows["task_id"] = np.arange(capacity) + capacity * generation
        generation += 1
        entries["task_id"] = rows["task_id"][slots]
        num_open = np.minimum(rows["num_pending"], np.bincount(slots, minlength=capacity))
        rows["num_orphans"] += rows["num_pending"] - num_open
        rows["num_pending"] = num_open
    counters = new._replace(
        epoch=old.epoch + 1,
        num_restores=max(old.num_restores, new.num_restores) + 1,
        num_rewrites=max(old.num_rewrites, new.num_rewrites) + 1,
        num_streams=max(old.num_streams, new.num_streams),
        life=0,
        num_tickets=max(old.num_tickets, new.num_tickets),
        first_generation=generation,
    )
    has_ledger = counters.num_tickets > 0
    return Patch(
        np.arange(capacity),
        rows,
        saved.labels,
        counters,
        saved.cumulated,
        saved.score_range,
        merge_reasons(saved.reasons, table.reasons),
        waiting(entries, len(table.ledger)) if has_ledger else None,
    )


def merge_reasons(counts: NDArray[np.void], names: NDArray[np.void]) -> NDArray[np.void]:
    """Returns `counts` in the order of `names`, so that indices in use stay valid.

    Args:
        counts: Cancellations by reason, shape (MAX_REASONS,), dtype `REASON`. Those beyond the limit count as "other".
        names: Reasons in use, shape (MAX_REASONS,), dtype `REASON`; their counts are ignored.
    """
    merged = names.copy()
    merged["count"] = 0
    known = {bytes(name): index for index, name in enumerate(merged["name"].tolist()) if name}
    for name, count in counts[counts["name"] != b""].tolist():
        if name not in known and len(known) < MAX_REASONS:
            known[name] = len(known)
            merged["name"][known[name]] = name
        merged["count"][known.get(name, OTHER_REASON)] += count
    return merged


def add_reason(table: Table, name: bytes) -> Patch | None:
    """Returns the patch that adds a reason for cancellations; None if the reason is known or no index is free.

    Args:
        table: The pool.
        name: The reason in UTF-8, at most `MAX_REASON_BYTES` bytes, not empty.
    """
    names = table.reasons["name"].tolist()
    index = sum(map(bool, names))
    if name in names or index == MAX_REASONS:
        return None
    reasons = table.reasons.copy()
    reasons["name"][index] = name
    return replace(unchanged(table), reasons=reasons)
