"""The values of a bucket: checks, conversion to plain data and back, axis, labels, and samples for trials."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from itertools import accumulate
from typing import Any

import numpy as np

from ..task import Axis, Span
from .canonical import label_text
from .copies import copied
from .encoding import as_pairs, decode_config, encode_config

Bucket = Span | tuple[Any, ...]
"""A `Span`, or the possible values; a `Span` among the values stands for any value in it."""

_SPAN_FIELDS = ({"low", "high"}, {"low", "high", "log"})

MAX_PROBES = 16
"""Number of values of a `Span` with which a configuration is tried."""


def as_bucket(path: str, values: Any, read: Callable[[Any], Any] = copied) -> Bucket:
    """Returns the bucket of `values`; a single `Span` in a list is that `Span`.

    Args:
        path: The path of the bucket, for errors.
        values: What was given as the bucket.
        read: Converts a value to one that belongs to the bucket.

    Raises:
        TypeError: If `values` is neither a `Span` nor an ordered collection.
        ValueError: If there are no values.
    """
    if isinstance(values, Span):
        return values
    if isinstance(values, np.ndarray):
        values = values.tolist()
    reason, fix = _why_not(values)
    if reason:
        raise TypeError(
            f"buckets[{path!r}]: expected a Span or a list of values, got {values!r:.100}{reason}; write {fix}"
        )
    bucket = tuple(value if isinstance(value, Span) else read(value) for value in values)
    if not bucket:
        raise ValueError(f"buckets[{path!r}]: expected a Span or at least one value, got none; add one or drop it")
    return bucket[0] if len(bucket) == 1 and isinstance(bucket[0], Span) else bucket


def _why_not(values: Any) -> tuple[str, str]:
    """Returns why `values` are not the values of a bucket, and what to write instead; empty if they are."""
    if isinstance(values, str | bytes | bytearray):
        return ", whose letters would be the values", f"[{values!r:.100}]"
    if isinstance(values, Mapping):
        is_span = set(values) in _SPAN_FIELDS
        return ", whose keys would be the values", f"Span({values['low']}, {values['high']})" if is_span else "a list"
    if isinstance(values, set | frozenset):
        return ", which has no order", "a sorted list"
    if not isinstance(values, Iterable):
        return ", a single value", f"[{values!r:.100}], or put it into the configuration"
    return "", ""


def read_bucket(path: str, data: Any, *, is_from_file: bool) -> Bucket:
    """Returns the bucket that `data` describes, in which a dict with the ends of a `Span` stands for the `Span`.

    Among the values of a list, only a file has such dicts: in Python, a dict is a value.
    """
    span = _as_span(data)
    if span is not None:
        return span
    if is_from_file and isinstance(data, list):
        data = [value if (span := _as_span(value)) is None else span for value in data]
    return as_bucket(path, data, _read)


def _read(data: Any) -> Any:
    return copied(decode_config(data))


def _as_span(data: Any) -> Span | None:
    """Returns the `Span` whose fields `data` has, or None if the fields are others or the ends are no numbers."""
    if not isinstance(data, Mapping) or set(data) not in _SPAN_FIELDS:
        return None
    low, high, log = _number(data["low"]), _number(data["high"]), data.get("log", False)
    return None if low is None or high is None or not isinstance(log, bool) else Span(low, high, log=log)


def _number(end: Any) -> int | float | None:
    """Returns an end of a `Span`; None if it is no number. YAML 1.1 reads 1e-4 as a text."""
    if isinstance(end, bool):
        return None
    try:
        return float(end) if isinstance(end, str) else end + 0
    except (TypeError, ValueError):
        return None


def dump_bucket(path: str, bucket: Bucket) -> Any:
    """Converts a bucket to JSON-ready data that `read_bucket` reads."""
    if isinstance(bucket, Span):
        fields = {"low": bucket.low, "high": bucket.high}
        return fields | {"log": True} if bucket.log else fields
    where = f"buckets[{path!r}]"
    return [
        as_pairs(value, where) if type(value) is dict and set(value) in _SPAN_FIELDS else encode_config(value, where)
        for value in bucket
    ]


def axis_of(path: str, bucket: Bucket) -> Axis:
    """Returns the axis of a bucket; each `Span` among values is a branch with an axis of the same name."""
    if isinstance(bucket, Span) or not any(isinstance(value, Span) for value in bucket):
        return Axis(path, bucket)
    return Axis(path, bucket, tuple((Axis(path, value),) if isinstance(value, Span) else () for value in bucket))


def columns_of(axes: Iterable[Axis]) -> list[int]:
    """Returns the first column of the params on each of `axes`, and then the number of columns."""
    return list(accumulate((axis.num_columns for axis in axes), initial=0))


def labels_of(path: str, bucket: Bucket) -> list[str]:
    """Returns the label of each value: the value, or its index if the text is long or that of another value."""
    if isinstance(bucket, Span):
        return []
    texts = [f"{value.low}..{value.high}" if isinstance(value, Span) else label_text(value) for value in bucket]
    counts = Counter(texts)
    is_clear = [text is not None and counts[text] == 1 for text in texts]
    return [f"{path}={text if clear else f'#{i}'}" for i, (text, clear) in enumerate(zip(texts, is_clear, strict=True))]


def probes(bucket: Bucket) -> list[Any]:
    """Returns the values of a bucket; of a `Span`, its ends and some values in between."""
    if not isinstance(bucket, Span):
        return [probe for value in bucket for probe in (probes(value) if isinstance(value, Span) else [value])]
    low, high, is_whole = bucket.bounds
    if is_whole and high - low < MAX_PROBES:
        return list(range(int(low), int(high) + 1))
    shares = np.arange(MAX_PROBES) * _GOLDEN % 1.0
    params = [low, *(low + (high - low) * shares[1:]), np.nextafter(high, low) if not is_whole else high]
    return list(dict.fromkeys(bucket.decode(float(np.round(param) if is_whole else param)) for param in params))


_GOLDEN = (5**0.5 - 1) / 2
"""Its multiples modulo 1 are evenly spread, and never share a grid with the values that a configuration accepts."""
