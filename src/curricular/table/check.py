"""Checks whether arrays from a state, a checkpoint or a session file are a table that curricular can have written.

Checks never change the arrays and take linear time. Each check covers one part; `check_table` runs all of them.
"""

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ..rows import NUM_WORDS, Rows, TaskState
from .ledger import LIFE_BITS, MAX_TICKETS, places_of
from .schema import (
    BUILT_IN_REASONS,
    CANCELLED,
    EMAS,
    EVENT,
    HANDOUT,
    LABEL,
    MAX_LABELS,
    MAX_PRIORITY,
    MAX_REASONS,
    MAX_REGRET,
    MAX_SCORE,
    NO_WORKER,
    OTHER,
    REASON,
    SCHEDULED,
    TOLD_WITH_REGRET,
    Counters,
    Table,
    handout_dtype,
)

MAX_COUNT = 2**62
"""Exclusive upper bound of ids and counts, so that the sum of two of them cannot overflow."""


_TOLERANCE = 1e-9
"""Largest error that rounding may add to a mean or a sum of shares."""

_AVERAGES = (*EMAS, "mean_square", "success_ema", "last_score")
"""Fields that lie within [0, 1] once a task has a result."""

_FINITE = ("creation_time", "success_threshold")

_LIMITS = {
    "num_scheduled": "num_scheduled",
    "num_cancelled": "num_cancelled",
    "num_failures": "num_cancelled",
    "num_pending": "num_pending",
    "num_orphans": "num_pending",
    "last_scheduled": "num_scheduled",
    "last_completed": "num_completed",
    "num_regrets": "num_completed",
}
"""Upper bounds: field of a row -> counter of the pool."""

_TOTALS = {
    "num_evicted": "num_created",
    "num_refreshed_endings": "num_endings",
    "num_refreshed_scheduled": "num_scheduled",
    "walk_start": "num_scheduled",
}
"""Upper bounds: counter -> another counter."""

_LOWEST_HANDOUT = np.array([0, 0, 0, 0, 0, NO_WORKER, 0])
"""Lowest value of each field of an entry of the ledger, as an integer."""

_HIGHEST_CHANCE = int(np.float64(1 + _TOLERANCE).view(np.int64))

_IS_ACTIVE = list(TaskState.model_fields).index("is_active")


class TableError(ValueError):
    """A state, or a part of a table, that curricular cannot have written.

    Args:
        expected: The expected content, with the name of the field.
        found: The actual content.
    """

    def __init__(self, expected: str, found: str) -> None:
        super().__init__(expected, found)
        self.expected = expected
        self.found = found

    def __str__(self) -> str:
        return f"state: expected {self.expected}, got {self.found}; load an intact state"


def check_table(table: Table, *, is_packed: bool = False) -> None:
    """Checks a whole table, without any assumption about its parts.

    Args:
        table: The table to check.
        is_packed: Whether the ledger holds only the open entries, in any order, as that of a state does.

    Raises:
        TableError: If a field is wrong; names the field, and the first wrong task or label.
    """
    num_axes, capacity = check_shape(table.rows.words), len(table.rows)
    check_array("labels", table.labels, LABEL, (MAX_LABELS,))
    check_array("cumulated", table.cumulated, np.float64, (capacity,))
    check_array("score_range", table.score_range, np.float64, (2,))
    check_array("reasons", table.reasons, REASON, (MAX_REASONS,))
    check_array("ledger", table.ledger, handout_dtype(num_axes), (None,))
    check_counters(table.counters, capacity, len(table.ledger))
    check_score_range(table.score_range)
    check_reasons(table.reasons, table.counters)
    check_labels(table.labels, table.counters)
    check_distribution(table.cumulated)
    check_rows(table.rows, table.counters)
    check_draws(table)
    check_ledger(table, is_packed=is_packed)


def check_shape(words: Any) -> int:
    """Checks that `words` are the words of rows, shape (k, capacity), and returns the number of params."""
    check_array("rows", words, np.int64, (None, None))
    num_words, capacity = words.shape
    if num_words < NUM_WORDS or not capacity:
        raise TableError(f"rows of at least {NUM_WORDS} words and at least one task", f"shape {(num_words, capacity)}")
    return int(num_words - NUM_WORDS)


def check_array(name: str, array: Any, dtype: DTypeLike, shape: tuple[int | None, ...]) -> None:
    """Checks that `array` is an array with this dtype and shape, where None stands for any length."""
    wanted = np.dtype(dtype)
    if not isinstance(array, np.ndarray):
        raise TableError(f"{name} as an array", f"a {type(array).__name__}")
    if array.dtype != wanted:
        raise TableError(f"{name} of dtype {wanted}", f"dtype {array.dtype!s:.400}")
    fits = len(array.shape) == len(shape) and all(
        there is None or here == there for here, there in zip(array.shape, shape, strict=True)
    )
    if not fits:
        text = ", ".join("any" if length is None else str(length) for length in shape)
        raise TableError(f"{name} of shape ({text})", f"shape {array.shape}")


def check_counters(counters: Counters, capacity: int, max_open: int) -> None:
    """Checks that the counters are counts and balance: hand-outs against returns.

    Args:
        counters: The counters.
        capacity: Number of rows of the table.
        max_open: Number of entries of its ledger.
    """
    for name, value in zip(Counters._fields, counters, strict=True):
        if type(value) is not int or not 0 <= value < MAX_COUNT:
            raise TableError(f"counters[{name!r}] as a whole number from 0 to 2**62", f"{value!r:.100}")
    if not 1 <= counters.num_labels <= MAX_LABELS:
        raise TableError(f"counters['num_labels'] from 1 to {MAX_LABELS}", str(counters.num_labels))
    if counters.life >= 2**LIFE_BITS:
        raise TableError(f"counters['life'] below 2**{LIFE_BITS}", str(counters.life))
    if counters.num_tickets > MAX_TICKETS:
        raise TableError(f"counters['num_tickets'] of at most {MAX_TICKETS}", str(counters.num_tickets))
    if counters.first_generation > MAX_COUNT // capacity:
        raise TableError(
            f"counters['first_generation'] of at most {MAX_COUNT // capacity}", str(counters.first_generation)
        )
    check_num_open(counters, max_open)
    for name, total in _TOTALS.items():
        value, limit = getattr(counters, name), getattr(counters, total)
        if value > limit:
            raise TableError(f"counters[{name!r}] of at most {total} = {limit}", str(value))
    out = counters.num_scheduled + counters.num_unsolicited
    back = counters.num_endings + counters.num_pending
    if out != back:
        raise TableError(
            "counters in which num_scheduled + num_unsolicited is num_completed + num_cancelled + num_stale + "
            "num_pending",
            f"{out} and {back}",
        )


def check_labels(labels: NDArray[np.void], counters: Counters) -> None:
    """Checks names and counts of the labels against the counters, which must have passed their check."""
    num_labels = counters.num_labels
    if labels[num_labels:].view(np.int64).any():
        raise TableError(f"only {num_labels} labels, as counters['num_labels'] says", "more of them")
    used = labels[:num_labels]
    names = used["name"].tolist()
    if names[0] != OTHER:
        raise TableError(f"labels['name'] to begin with {OTHER!r}", repr(names[0]))
    _check_names("labels", names)
    totals = {
        "num_scheduled": counters.num_scheduled,
        "num_completed": counters.num_completed,
        "num_evicted": counters.num_evicted,
        "num_recent": counters.num_endings - counters.num_refreshed_endings,
    }
    for name, total in totals.items():
        counts = used[name].tolist()
        _check_entries(name, counts, 0, total)
        if sum(counts) > total or (name == "num_completed" and sum(counts) != total):
            raise TableError(f"labels[{name!r}] with the sum {total}, as in the counters", str(sum(counts)))
    _check_entries("chance", used["chance"].tolist(), 0.0, 1 + _TOLERANCE)
    _check_entries("priority", used["priority"].tolist(), -MAX_PRIORITY, MAX_PRIORITY)
    limit = MAX_REGRET * max(1, totals["num_recent"])
    _check_entries("recent_regret", used["recent_regret"].tolist(), -limit, limit)
    for label, (score, count) in enumerate(
        zip(used["recent_score"].tolist(), used["num_recent"].tolist(), strict=True)
    ):
        if not 0.0 <= score <= count * (1 + _TOLERANCE):
            raise TableError(f"labels['recent_score'] from 0 to num_recent = {count}", f"{score} for label {label}")


def _check_entries(name: str, values: list[float], low: float, high: float) -> None:
    """Checks one value per label, in Python, because there are few labels."""
    for label, value in enumerate(values):
        if not low <= value <= high:
            raise TableError(f"labels[{name!r}] within [{low}, {high}]", f"{value} for label {label}")


def _check_names(part: str, names: list[bytes]) -> None:
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise TableError(f"{part}['name'] to hold each name once", f"{twice!r} twice")
    for name in names:
        try:
            name.decode()
        except UnicodeDecodeError as error:
            raise TableError(f"{part}['name'] in UTF-8", repr(name)) from error


def check_score_range(score_range: NDArray[np.float64]) -> None:
    """Checks that `score_range`, shape (2,), is a finite range, or NaN."""
    low, high = score_range.tolist()
    if not (low <= high and low >= -MAX_SCORE and high <= MAX_SCORE) and not (np.isnan(low) and np.isnan(high)):
        raise TableError(f"score_range as finite low <= high within {MAX_SCORE:g}, or as NaN", f"{low} and {high}")


def check_reasons(reasons: NDArray[np.void], counters: Counters) -> None:
    """Checks names and counts of the reasons against the counters, which must have passed their check."""
    names = reasons["name"].tolist()
    used = [name for name in names if name]
    if names[: len(used)] != used or used[: len(BUILT_IN_REASONS)] != [name.encode() for name in BUILT_IN_REASONS]:
        raise TableError("reasons['name'] to begin with the built-in reasons, without gaps", repr(names[:8]))
    _check_names("reasons", used)
    counts = reasons["count"].tolist()
    for name, count in zip(names, counts, strict=True):
        if not 0 <= count <= (counters.num_cancelled if name else 0):
            raise TableError(f"reasons['count'] within [0, {counters.num_cancelled}]", f"{count} for {name!r}")
    if sum(counts) != counters.num_cancelled:
        raise TableError(f"reasons['count'] with the sum num_cancelled = {counters.num_cancelled}", str(sum(counts)))


def check_num_open(counters: Counters, max_open: int) -> None:
    """Checks that the open hand-outs fit into a ledger of `max_open` entries, and had tickets."""
    if not 0 <= counters.num_open <= (max_open if counters.num_tickets else 0):
        raise TableError(
            f"counters['num_open'] of at most the {max_open} entries of the ledger, and of 0 before the first ticket",
            f"{counters.num_open} after {counters.num_tickets} tickets",
        )


def check_ledger(table: Table, *, is_packed: bool = False) -> None:
    """Checks the entries of the ledger against counters and rows, which must have passed their checks."""
    size, (places,) = len(table.ledger), np.nonzero(table.ledger["ticket"])
    if not is_packed and (size < 1 or size & (size - 1)):
        raise TableError("ledger with a power of two as its length", str(size))
    if len(places) != table.counters.num_open:
        raise TableError(f"ledger with counters['num_open'] = {table.counters.num_open} entries", str(len(places)))
    check_handouts(table.ledger.take(places), None if is_packed else places, table)


def check_handouts(entries: NDArray[np.void], places: NDArray[np.int64] | None, table: Table) -> None:
    """Checks entries of a ledger, open or free, against the counters and rows of `table`.

    Args:
        entries: Shape (k,), dtype `handout_dtype`.
        places: Their places in the ledger of `table`, shape (k,); None: they may have any.
        table: The table, whose counters must have passed their check.
    """
    # Every change of the ledger of a session runs this check, so it works in few steps on all fields at once. Floats
    # from 0 are in the order of their bits as integers.
    is_open = entries["ticket"] != 0
    if not is_open.any():
        return
    words = entries.view(np.int64).reshape(len(entries), -1)[:, : len(_LOWEST_HANDOUT)]
    counters, most = table.counters, np.iinfo(np.int64).max
    highest = np.array([most, MAX_COUNT, most, counters.num_scheduled, _HIGHEST_CHANCE, counters.num_streams, 1])
    if ((words < _LOWEST_HANDOUT) | (words > highest)).any():
        for name, low, high in zip(HANDOUT.names or (), _LOWEST_HANDOUT, highest, strict=True):
            top = 1 + _TOLERANCE if name == "chance" else high
            _check_range(f"ledger['{name}']", entries[name], low, top, "ticket", entries["ticket"])
    tickets, ids, seeds = words[:, 0], words[:, 1], words[:, 2]
    capacity, slots = len(table.rows), ids % len(table.rows)
    newest = table.rows["task_id"][slots]
    wrong = {
        ("ticket", "of those that were issued"): (
            (tickets // MAX_TICKETS == counters.life) & (tickets % MAX_TICKETS >= counters.num_tickets)
        ),
        ("task_id", "of those that were issued"): (ids > newest) & (ids // capacity >= counters.first_generation),
        ("seed", "of its task"): (ids == newest) & (seeds != table.rows["seed"][slots]),
    }
    if entries["params"].shape[1]:
        wrong["params", "of finite or unknown numbers"] = np.isinf(entries["params"]).any(1)
    if places is not None:
        wrong["ticket", "in the place that follows from it"] = places_of(tickets, len(table.ledger)) != places
    if (is_open & np.logical_or.reduce([*wrong.values()])).any():
        (name, expected), is_wrong = next(case for case in wrong.items() if (is_open & case[1]).any())
        entry = entries[int((is_open & is_wrong).argmax())]
        raise TableError(f"ledger['{name}'] {expected}", f"{entry[name]} for ticket {entry['ticket']}")


def check_distribution(cumulated: NDArray[np.float64]) -> None:
    """Checks that `cumulated`, shape (capacity,), is the running sum of probabilities."""
    if cumulated[-1] != 1.0:
        raise TableError("cumulated to end with 1", repr(float(cumulated[-1])))
    # A comparison with NaN is false, so this check also finds NaN.
    rises = cumulated[1:] >= cumulated[:-1]
    if not (cumulated[0] >= 0.0 and rises.all()):
        first = 0 if not cumulated[0] >= 0.0 else int(rises.argmin()) + 1
        raise TableError("cumulated to rise from 0 to 1", f"{cumulated[first]} at {first}")


def check_draws(table: Table) -> None:
    """Checks that only rows with tasks have a probability above 0. Any distribution fits a table without tasks."""
    is_active = table.rows["is_active"]
    if is_active.any():
        drawn = np.diff(table.cumulated, prepend=0.0) > 0.0
        (empty,) = np.nonzero(drawn & ~is_active)
        if len(empty):
            raise TableError("cumulated without a probability where is_active is false", f"one at {empty[0]}")


def check_rows(rows: Rows, counters: Counters) -> None:
    """Checks all fields of all rows, and their sums, against the counters, which must have passed their check."""
    _check_activity(rows, counters)
    for name, total in _LIMITS.items():
        _check_column(rows, name, 0, getattr(counters, total))
    _check_column(rows, "num_completions", 0, MAX_COUNT)  # a result may be a group of any number of scores
    _check_column(rows, "seed", 0, np.iinfo(np.int64).max)
    _check_column(rows, "label_index", 0, counters.num_labels - 1)
    _check_column(rows, "random_baseline", 0.0, 1 + _TOLERANCE)
    _check_column(rows, "last_regret", -MAX_REGRET, MAX_REGRET)
    for name in _FINITE:
        _check_finite(f"rows[{name!r}]", rows[name], "task", rows["task_id"])
    for name in _AVERAGES:
        _check_average(rows, name)
    params = rows.words[NUM_WORDS:].view(np.float64)
    if np.isinf(params).any():  # NaN is an unknown number of a data set
        _check_finite("rows['params']", params, "task", rows["task_id"])
    _check_account(rows, counters)


def _check_activity(rows: Rows, counters: Counters) -> None:
    """Checks which slots hold tasks, and that each task has an id of its slot."""
    words, ids, slots = rows.words[_IS_ACTIVE], rows["task_id"], np.arange(len(rows))
    _check_range("rows['is_active'] as 0 or 1,", words, 0, 1, "task", ids)
    _check_range("rows['task_id']", ids, 0, MAX_COUNT, "slot", slots)
    wrong = (ids % len(rows) != slots) & ((ids != 0) | (words != 0))
    if wrong.any():
        slot = int(wrong.argmax())
        raise TableError(f"rows['task_id'] of slot {slot} to leave {slot} when divided by {len(rows)}", str(ids[slot]))
    num_active = int(words.sum())
    if num_active != counters.num_active:
        raise TableError(
            f"rows['is_active'] for num_created - num_evicted = {counters.num_active} tasks",
            str(num_active),
        )


def _check_account(rows: Rows, counters: Counters) -> None:
    """Checks sums over the rows, whose entries must have passed their checks. Sums floats first against overflow."""
    sums: dict[str, int] = {}
    for name in ("num_pending", "num_orphans", "num_scheduled", "num_completions", "num_cancelled"):
        column = rows[name]
        if column.sum(dtype=np.float64) > MAX_COUNT:
            raise TableError(f"rows[{name!r}] with a sum below 2**62", f"{column.sum(dtype=np.float64):.3g}")
        sums[name] = int(column.sum())
    pending = sums["num_pending"] + sums["num_orphans"]
    if pending != counters.num_pending:
        raise TableError(
            f"rows['num_pending'] and rows['num_orphans'] with the sum counters['num_pending'] = "
            f"{counters.num_pending}",
            str(pending),
        )
    for name, total in _LIMITS.items():
        limit = getattr(counters, total)
        if name in sums and sums[name] > limit:
            raise TableError(f"rows[{name!r}] with a sum of at most counters[{total!r}] = {limit}", str(sums[name]))


def _check_average(rows: Rows, name: str) -> None:
    """Checks a column of averages: within [0, 1] for tasks with results, and finite for all rows."""
    values = rows[name]
    if not (values.min() >= 0.0 and values.max() <= 1.0):
        _check_finite(f"rows[{name!r}]", values, "task", rows["task_id"])
        seen = rows["num_completions"] > 0
        _check_range(f"rows[{name!r}]", np.where(seen, values, 0.0), 0.0, 1.0, "task", rows["task_id"])


def _check_column(rows: Rows, name: str, low: float, high: float) -> None:
    _check_range(f"rows[{name!r}]", rows[name], low, high, "task", rows["task_id"])


def _check_range(
    name: str, values: NDArray[Any], low: float, high: float, of: str, keys: NDArray[np.int64] | None = None
) -> None:
    """Checks that `values`, shape (n,), lie within [low, high].

    Args:
        name: Name of the values, for the error.
        values: The values to check.
        low: Lowest allowed value.
        high: Highest allowed value.
        of: Kind of thing that has a value, for the error: "task", "slot" or "event".
        keys: Number of the thing for each value, shape (n,). None numbers them by index.

    Raises:
        TableError: If a value is out of range or NaN; names the first.
    """
    if not (values.min() >= low and values.max() <= high):
        first = int((~((values >= low) & (values <= high))).argmax())
        key = first if keys is None else keys[first]
        bound = f"within [{low}, {high}]" if np.isfinite(high) else f"from {low}"
        raise TableError(f"{name} {bound}", f"{values[first]} for {of} {key}")


def _check_finite(name: str, values: NDArray[np.float64], of: str, keys: NDArray[np.int64] | None = None) -> None:
    """Checks that `values`, shape (..., n), are finite."""
    if not np.isfinite(values).all():
        first = int((~np.isfinite(values)).reshape(-1, values.shape[-1]).any(axis=0).argmax())
        key = first if keys is None else keys[first]
        bad = values[..., first][~np.isfinite(values[..., first])]
        raise TableError(f"finite {name}", f"{np.ravel(bad)[0]} for {of} {key}")


def check_events(events: NDArray[np.void], table: Table) -> None:
    """Checks that `events`, dtype `EVENT`, have known kinds, issued ids, named reasons and finite numbers."""
    # Every flush of a shared table runs this check, so it works in few steps on contiguous columns.
    columns = np.ascontiguousarray(events.view(np.int64).reshape(-1, EVENT.itemsize // 8).T)
    ids, kinds, numbers = columns[0], columns[1], columns[2:].view(np.float64)
    capacity = len(table.rows)
    newest = table.rows["task_id"].take(ids % capacity)
    is_wrong = ids.view(np.uint64) > newest.view(np.uint64)  # a negative id is a huge one
    if is_wrong.any():
        is_wrong &= (ids < 0) | (ids // capacity >= table.counters.first_generation)
    if is_wrong.any():
        first = int(is_wrong.argmax())
        raise TableError(f"events['task_id'] from 0 to {newest[first]}, the newest in its slot", str(ids[first]))
    if (kinds & ~TOLD_WITH_REGRET).any():  # the kinds are all numbers of two bits
        _check_range("events['kind']", kinds, SCHEDULED, TOLD_WITH_REGRET, "event")
    if not np.isfinite(numbers).all():
        for name, values in zip(("score", "regret"), numbers, strict=True):
            _check_finite(f"events[{name!r}]", values, "event")
    is_cancelled = kinds == CANCELLED
    if is_cancelled.any():
        last = int(np.count_nonzero(table.reasons["name"])) - 1
        reasons = numbers[0][is_cancelled]
        _check_range("events['score'] of cancellations", reasons, 0, last, "event")
        if (reasons % 1).any():
            raise TableError("events['score'] of cancellations as whole numbers", str(reasons[(reasons % 1).argmax()]))
