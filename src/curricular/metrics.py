"""Statistics of a pool. Pure functions of arrays; docs/statistics.md documents every key of `summary`."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .mastery import MASTERY, by_mastery, mastery, mastery_key
from .priorities import yet_to_come
from .rows import Rows
from .table import Table

QUANTILES = (0.1, 0.5, 0.9)
"""Quantiles in [0, 1] that `summary` gives of each distribution."""

_QUANTILES = np.array(QUANTILES)

NUM_EXACT = 50_000
"""Number of values up to which they are sorted. Of more, `gini` takes nearly equal values for equal."""

_CUT_BITS, _NUM_KEYS = 40, 40 << 12
"""Bits of a float that are cut, so that values within 1/4096 of each other count as equal, and number of distinct
values that remain in 40 octaves below the largest value; all lower values count as equal."""

_NUM_BINS = 1 << 16

_LABEL, _CANCELLED = "label/", "cancelled/"
"""Beginnings of the keys about one label, and about one reason."""


def gini(values: NDArray[Any]) -> float:
    """Returns the Gini coefficient of `values`: 0 if all are equal, near 1 if one entry has everything.

    G = 2·Σ i·x_i / (n·Σ x_i) − (n+1)/n over ascending x, i from 1; 0 if empty or all zero. Of more than `NUM_EXACT`
    floats, the error is at most 1e-4.

    Args:
        values: Numbers, at least 0, shape (n,).

    Examples:
        >>> gini(np.array([1.0, 1.0])), gini(np.array([0.0, 0.0, 0.0, 5.0]))
        (0.0, 0.75)
    """
    # Counting takes a tenth of the time of a sort.
    if values.dtype.kind == "i" and values.max(initial=0) <= len(values):
        sizes = np.bincount(values)
        return _gini(np.arange(len(sizes)) * sizes, sizes.cumsum() - (sizes - 1) / 2, len(values))
    if len(values) <= NUM_EXACT:
        return _gini(np.sort(values), np.arange(1.0, len(values) + 1), len(values))
    # A sort would take several times as long.
    keys = values.astype(np.float64, copy=False).view(np.int64) >> _CUT_BITS
    keys -= max(0, int(keys.max()) - _NUM_KEYS)  # in place: memory for a million tasks takes longer than the sums
    np.maximum(keys, 0, out=keys)
    sizes = np.bincount(keys)
    return _gini(np.bincount(keys, values), sizes.cumsum() - (sizes - 1) / 2, len(values))


def _gini(amounts: NDArray[Any], ranks: NDArray[np.float64], n: int) -> float:
    """Returns the Gini coefficient of n values in ascending groups, from the sum and the mean rank of each group."""
    total = float(amounts.sum())
    return float(2 * (ranks @ amounts) / (n * total) - (n + 1) / n) if total > 0 else 0.0


def entropy(probabilities: NDArray[np.float64]) -> float:
    """Returns −Σ p·ln p in nats, from 0 to ln n; its exponential is the effective number of tasks.

    Args:
        probabilities: Shape (n,), sum 1.

    Examples:
        >>> round(float(np.exp(entropy(np.array([0.5, 0.5, 0.0])))), 6)
        2.0
    """
    p = probabilities[probabilities > 0]
    return float(-(p * np.log(p)).sum())


def by_label(stats: Mapping[str, float]) -> dict[str, dict[str, float]]:
    """Returns the statistics of each label, by its name and the last part of their keys in `summary`.

    Examples:
        >>> by_label({"num_active": 9.0, "label/maze/small/num_tasks": 3.0, "label/maze/small/success": 0.5})
        {'maze/small': {'num_tasks': 3.0, 'success': 0.5}}
    """
    found: dict[str, dict[str, float]] = {}
    for key, value in stats.items():
        if key.startswith(_LABEL):
            name, _, statistic = key.removeprefix(_LABEL).rpartition("/")
            found.setdefault(name, {})[statistic] = value
    return found


def by_reason(stats: Mapping[str, float]) -> dict[str, float]:
    """Returns the number of cancellations by reason, the most frequent first."""
    counts = {key.removeprefix(_CANCELLED): value for key, value in stats.items() if key.startswith(_CANCELLED)}
    return dict(sorted(counts.items(), key=lambda item: -item[1]))


def label_name(labels: NDArray[np.void], index: int) -> str:
    """Returns the name of label `index`."""
    return bytes(labels["name"][index]).decode()


def _distribution(name: str, values: NDArray[np.float64]) -> dict[str, float]:
    """Returns mean and quantiles of `values`, shape (n,), under keys that begin with `name`; none if empty."""
    if not len(values):
        return {}
    quantiles = _quantiles(values)
    return {
        f"{name}/mean": float(values.mean()),
        **{f"{name}/p{round(q * 100)}": float(value) for q, value in zip(QUANTILES, quantiles, strict=True)},
    }


def _quantiles(values: NDArray[np.float64]) -> list[float]:
    """Returns the `QUANTILES` of `values`, at least one, interpolated linearly as `numpy.quantile` does."""
    n = len(values)
    if n <= NUM_EXACT:
        return [float(value) for value in np.interp(_QUANTILES * (n - 1), np.arange(n), np.sort(values))]
    low, high = float(values.min()), float(values.max())
    if not low < high:
        return [low] * len(QUANTILES)
    # Counting in bins finds the bin of a quantile, and only its values are sorted.
    bins = ((values - low) * ((_NUM_BINS - 1) / (high - low))).astype(np.uint16)
    ends = np.bincount(bins, minlength=_NUM_BINS).cumsum()
    found = []
    for quantile in QUANTILES:
        rank = quantile * (n - 1)
        first, last = np.searchsorted(ends, (int(rank), min(int(rank) + 1, n - 1)), side="right").tolist()
        near = np.sort(values[(bins >= first) & (bins <= last)])
        start = rank - (int(ends[first - 1]) if first else 0)
        found.append(float(np.interp(start, np.arange(len(near)), near)))
    return found


def _sums(values: NDArray[np.float64], groups: NDArray[np.int64], counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Returns the sum of `values` over each group, whose sizes are `counts`."""
    if values.size and counts.max() == len(values):  # one group: a plain sum takes a tenth of the time
        return np.where(counts > 0, values.sum(), 0.0)
    return np.asarray(np.bincount(groups, weights=values, minlength=len(counts)), np.float64)


_COLUMNS = ("num_completions", "num_scheduled", "fast_ema", "slow_ema", "success_ema", "label_index")
"""Names of the columns of active tasks that `summary` reads."""


def range_of(table: Table, declared: tuple[float, float] | str) -> tuple[float, float]:
    """Returns the range of scores of `table`: `declared`, or the observed one if `declared` is a string.

    While no score was observed, the range is (0, 0).
    """
    if not isinstance(declared, str):
        return declared
    low, high = np.nan_to_num(table.score_range).tolist()
    return low, high


def summary(
    table: Table,
    probabilities: NDArray[np.float64],
    score_range: tuple[float, float],
    slow_rate: float,
    max_failures: int,
) -> dict[str, float]:
    """Returns flat statistics of `table`: at most about 600 keys.

    Averages are over active tasks with at least one completion. Without such a task, their keys are missing.

    Args:
        table: The pool.
        probabilities: Probability of each slot at the next draw, shape (capacity,).
        score_range: Lowest and highest score, to which the averages are scaled back.
        slow_rate: Rate of the slow averages, per score.
        max_failures: Number of cancellations in a row from which a task is unplayable.
    """
    counters, active = table.counters, table.rows["is_active"]
    chosen = slice(None) if active.all() else np.flatnonzero(active)  # a slice copies nothing
    rows = {name: table.rows[name][chosen] for name in _COLUMNS}
    probabilities = probabilities[chosen]
    states = mastery(Rows(table.rows.words[:, chosen]), slow_rate, score_range).astype(np.intp)  # what bincount takes
    low, high = score_range
    completions = rows["num_completions"]
    seen = completions > 0
    num_active, num_seen = len(seen), int(seen.sum())
    progress = rows["fast_ema"] - rows["slow_ema"]
    np.abs(progress, out=progress)
    np.copyto(progress, 0.0, where=~seen)
    of_seen = slice(None) if num_seen == num_active else np.flatnonzero(seen)
    num_to_come = int(yet_to_come(table.rows, counters.walk_start, max_failures, has_new=True).sum())
    spread = entropy(probabilities)
    stats = {
        "num_active": float(num_active),
        "num_created": float(counters.num_created),
        "num_evicted": float(counters.num_evicted),
        "num_scheduled": float(counters.num_scheduled),
        "num_completed": float(counters.num_completed),
        "num_cancelled": float(counters.num_cancelled),
        "num_stale": float(counters.num_stale),
        "num_unsolicited": float(counters.num_unsolicited),
        "num_pending": float(counters.num_pending),
        "num_open": float(counters.num_open),
        "num_repeated": float(counters.num_repeated),
        "num_unknown": float(counters.num_unknown),
        "num_refreshes": float(counters.num_refreshes),
        "num_never_completed": float(num_active - num_seen),
        "num_label_overflow": float((rows["label_index"] == 0).sum()),
        "cover/num_walks": float(counters.num_walks),
        "cover/progress": (num_active - num_to_come) / max(num_active, 1),
        **_distribution("score", low + (high - low) * rows["slow_ema"][of_seen]),
        **_distribution("success", rows["success_ema"][of_seen]),
        **_distribution("learning_progress", progress[of_seen]),
        "probability/entropy": spread,
        "probability/effective_num_tasks": float(np.exp(spread)),
    }
    stats["gini/scheduled"] = gini(rows["num_scheduled"])
    stats["gini/completed"] = gini(completions)
    stats["gini/learning_progress"] = gini(progress)
    stats["gini/probability"] = gini(probabilities)

    for name, count in table.reasons.tolist():
        if count:
            stats[f"{_CANCELLED}{name.decode()}"] = float(count)
    for name, count, share in zip(MASTERY, by_mastery(states), by_mastery(states, probabilities), strict=True):
        stats[f"{mastery_key(name)}/num_tasks"] = float(count)
        stats[f"{mastery_key(name)}/probability"] = float(share)
    num_labels = counters.num_labels
    counts = np.bincount(rows["label_index"], minlength=num_labels)
    counts_seen = np.bincount(rows["label_index"][of_seen], minlength=num_labels)
    sums = {
        name: _sums(values, rows["label_index"], counts)
        for name, values in (
            ("success", np.where(seen, rows["success_ema"], 0.0)),
            ("learning_progress", progress),
            ("probability", probabilities),
        )
    }
    labels = table.labels[:num_labels]
    is_used = (counts > 0) | (labels["num_scheduled"] > 0)
    per_label = {
        "scheduled": labels["num_scheduled"],
        "completed": labels["num_completed"],
        "learning_progress": sums["learning_progress"],
        "probability": sums["probability"],
    }
    for name, values in per_label.items():
        stats[f"gini_label/{name}"] = gini(values[is_used])
    for index in np.flatnonzero(is_used).tolist():
        name = label_name(labels, index)
        if not name:
            continue
        prefix = f"{_LABEL}{name}"
        stats[f"{prefix}/num_tasks"] = float(counts[index])
        stats[f"{prefix}/num_scheduled"] = float(labels["num_scheduled"][index])
        stats[f"{prefix}/num_completed"] = float(labels["num_completed"][index])
        stats[f"{prefix}/num_evicted"] = float(labels["num_evicted"][index])
        stats[f"{prefix}/probability"] = float(sums["probability"][index])
        if counts_seen[index]:
            stats[f"{prefix}/success"] = float(sums["success"][index] / counts_seen[index])
            stats[f"{prefix}/learning_progress"] = float(sums["learning_progress"][index] / counts_seen[index])
    return stats
