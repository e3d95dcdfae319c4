"""Changes to a table other than results: admit, refresh, resize, restore. Nothing here writes into an argument."""

import numpy as np
from numpy.typing import NDArray

from ..rows import Rows
from ..task import Params
from .schema import MAX_LABEL_BYTES, MAX_LABELS, Estimator, Patch, Table

ROUNDS_PER_POOL = 64
"""Evictions come in rounds; so many replace as many tasks as the pool has."""


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


def num_evictions_due(table: Table, rate: float) -> int:
    """How many tasks may be evicted at this refresh: `rate` per ended hand-out since the last one, in rounds.

    Finding the lowest scores means sorting them all, so a large pool evicts many tasks at a time and seldom.
    """
    size = max(1, len(table.rows) // ROUNDS_PER_POOL)
    counters = table.counters
    rounds = int(rate * counters.num_endings / size) - int(rate * counters.num_refreshed_endings / size)
    return size * rounds


def lowest(scores: NDArray[np.float64], mask: NDArray[np.bool_], n: int) -> NDArray[np.int64]:
    """The slots of the `n` lowest masked scores, lowest first, equal ones by slot; fewer if there are fewer."""
    candidates = np.flatnonzero(mask)
    return candidates[np.argsort(scores[candidates], kind="stable")[:n]]


def choose(table: Table, cumulated: NDArray[np.float64]) -> Patch:
    """Returns the patch that puts `cumulated`, shape (capacity,), into use as the distribution."""
    labels = table.labels.copy()
    labels["chance"] = np.bincount(table.rows["label_index"], np.diff(cumulated, prepend=0.0), MAX_LABELS)
    labels["num_recent"] = labels["recent_score"] = labels["recent_regret"] = 0
    old = table.counters
    counters = old._replace(
        num_refreshes=old.num_refreshes + 1,
        num_refreshed_endings=old.num_endings,
        num_refreshed_scheduled=old.num_scheduled,
        epoch=old.epoch + 1,
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
