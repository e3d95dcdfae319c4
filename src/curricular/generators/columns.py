"""Reads fields of a sequence of rows as arrays: hashes of keys, labels and numbers."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from operator import attrgetter, itemgetter
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ..task import Axis, Params, Span
from .canonical import canonical

RowT_co = TypeVar("RowT_co", covariant=True)


@runtime_checkable
class SupportsRows(Protocol[RowT_co]):
    """Any object that has a length and returns the row at an index, such as a list, an array or a data set."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> RowT_co: ...


_CONTENT = json.JSONEncoder(sort_keys=True, check_circular=False, default=canonical)  # the check takes a third longer


def is_rows(value: object) -> bool:
    """Returns whether `value` has a length and takes an index, and is neither text nor a mapping."""
    return isinstance(value, SupportsRows) and not isinstance(value, str | bytes | bytearray | Mapping)


def each(rows: SupportsRows[Any]) -> Iterable[Any]:
    """Returns an iterable over `rows` that ends after ``len(rows)`` rows."""
    return rows if isinstance(rows, Sequence | np.ndarray) else map(rows.__getitem__, range(len(rows)))


def column(rows: SupportsRows[Any], source: str | Sequence[Any], argument: str) -> Sequence[Any]:
    """Returns one value per row: a field of the rows, or `source` itself. Reads whole columns where `rows` has them.

    Args:
        rows: At least one row.
        source: Name of a field, or one value per row.
        argument: Name of the argument, for errors.

    Raises:
        KeyError: If a row lacks the field.
        ValueError: If the number of values is not the number of rows.
    """
    if isinstance(source, str):
        values = _whole(rows, source)
        return _by_row(rows, source, argument) if values is None else _at_once(values)
    if not is_rows(source):
        raise TypeError(
            f"{argument}: expected the name of a field or one value per row, got {type(source).__name__}; pass one "
            f"of the two"
        )
    if len(source) != len(rows):
        raise ValueError(f"{argument}: expected {len(rows)} values, one per row, got {len(source)}; add or drop some")
    return _at_once(source)


def _at_once(values: Sequence[Any]) -> Sequence[Any]:
    """Returns `values`, read in one slice: columns of the `datasets` library read the disk for each single value."""
    try:
        return values[:]
    except TypeError:  # such as a deque, which has no slices
        return values


def _whole(rows: Any, field: str) -> Sequence[Any] | None:
    """Returns the column `field` of a data set or a structured array; None if `rows` has no columns."""
    if isinstance(rows, list | tuple):
        return None
    try:
        values = rows[field]
    except (TypeError, IndexError, KeyError, ValueError):  # sequences refuse a string with various errors
        return None
    return values if is_rows(values) and len(values) == len(rows) else None


def _by_row(rows: SupportsRows[Any], field: str, argument: str) -> list[Any]:
    get = itemgetter(field) if isinstance(rows[0], Mapping) else attrgetter(field)
    values: list[Any] = []
    try:
        values.extend(map(get, each(rows)))  # after an error, `values` holds those of the rows before
    except (KeyError, AttributeError, TypeError) as error:
        row = rows[len(values)]
        found = f"fields {', '.join(map(str, row))}" if isinstance(row, Mapping) else f"a {type(row).__name__}"
        raise KeyError(
            f"{argument}: expected a field that every row has, got {field!r}, and row {len(values)} has {found:.200}; "
            f"correct the name"
        ) from error
    return values


def key_hashes(keys: Sequence[Any], argument: str) -> NDArray[np.uint64]:
    """Returns a hash of each key, shape (n,), the same in every process.

    Raises:
        TypeError: If the keys are not all whole numbers or all strings.
        ValueError: If a number does not fit 64 bits.
    """
    kinds = set(map(type, keys))
    if all(issubclass(kind, str) for kind in kinds):
        return _hashed(keys)
    if all(issubclass(kind, int | np.integer) and kind is not bool for kind in kinds):
        try:
            return _mixed(np.asarray(keys, np.int64))
        except OverflowError as error:
            raise ValueError(
                f"{argument}: expected whole numbers below 2**63, got {max(keys, key=abs)}; use strings"
            ) from error
    odd = next((kind for kind in kinds if not issubclass(kind, str | int | np.integer) or kind is bool), None)
    found = "both" if odd is None else odd.__name__
    raise TypeError(f"{argument}: expected keys that are all int or all str, got {found}; convert them")


def content_hashes(rows: SupportsRows[Any]) -> NDArray[np.uint64]:
    """Returns a hash of the content of each row, shape (n,). Rows that are strings or integers are their own keys."""
    if isinstance(rows[0], str | int):
        values = list(each(rows))
        kinds = set(map(type, values))
        if all(issubclass(kind, str) for kind in kinds) or kinds == {int}:
            return key_hashes(values, "tasks")
        rows = values
    return _hashed(map(_content, each(rows)))


def _content(row: Any) -> str:
    try:
        return _CONTENT.encode(row)
    except (TypeError, ValueError):  # JSON has no such keys, for example tuples
        return json.dumps(canonical(row), sort_keys=True)


def _hashed(texts: Iterable[str]) -> NDArray[np.uint64]:
    digests = (blake2b(text.encode(errors="surrogatepass"), digest_size=8).digest() for text in texts)
    return np.frombuffer(b"".join(digests), "<u8").astype(np.uint64, copy=False)


def _mixed(integers: NDArray[Any]) -> NDArray[np.uint64]:
    """Returns hashes by the finaliser of SplitMix64, which maps different integers to different hashes."""
    state = integers.astype(np.uint64)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        state = (state ^ (state >> np.uint64(shift))) * np.uint64(factor)
    return state ^ (state >> np.uint64(31))


def _unmixed(hashes: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Returns the bits of the integers that `_mixed` maps to `hashes`."""
    state: NDArray[np.uint64] = hashes ^ (hashes >> np.uint64(31)) ^ (hashes >> np.uint64(62))
    for shift, factor in ((27, 0x94D049BB133111EB), (30, 0xBF58476D1CE4E5B9)):
        state = state * np.uint64(pow(factor, -1, 2**64))
        state = state ^ (state >> np.uint64(shift)) ^ (state >> np.uint64(2 * shift))
    return state


class Keys(Protocol):
    """The hashes of the keys of n rows, all different."""

    def digest(self) -> bytes:
        """Returns a hash of all keys in order."""
        ...

    def take(self, rows: NDArray[np.int64]) -> NDArray[np.uint64]:
        """Returns the hash of the key of each of `rows`, shape (k,)."""
        ...

    def find(self, hashes: NDArray[np.uint64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Returns the row with each key hash, and whether there is such a row; both of shape (k,)."""
        ...


class StoredKeys:
    """Keys whose hashes are stored.

    Args:
        hashes: Hash of the key of each row, shape (n,).
    """

    def __init__(self, hashes: NDArray[np.uint64]) -> None:
        self._hashes = hashes

    def digest(self) -> bytes:
        return hashlib.sha256(np.ascontiguousarray(self._hashes).data).digest()

    def take(self, rows: NDArray[np.int64]) -> NDArray[np.uint64]:
        return self._hashes.take(rows)

    def find(self, hashes: NDArray[np.uint64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        here = self._hashes
        order = np.argsort(here)
        rows = order.take(here.searchsorted(hashes, sorter=order).clip(max=len(order) - 1))
        return rows, here.take(rows) == hashes


class RangeKeys:
    """The keys of the rows of a range, which are the numbers themselves. Nothing is stored, whatever the length.

    Args:
        rows: The range, not empty.

    Raises:
        ValueError: If a number does not fit 64 bits.
    """

    def __init__(self, rows: range) -> None:
        if not all(-(2**63) <= end < 2**63 for end in (rows[0], rows[-1])):
            raise ValueError(f"tasks: expected whole numbers below 2**63, got {rows}; use strings")
        self._rows = rows if len(rows) > 1 else range(rows[0], rows[0] + 1)  # whose step may be of any size

    def digest(self) -> bytes:
        rows = self._rows
        return hashlib.sha256(repr((rows[0], rows[-1], len(rows))).encode()).digest()

    def take(self, rows: NDArray[np.int64]) -> NDArray[np.uint64]:
        # Modulo 2**64, in which neither the product nor the sum overflows.
        return _mixed(_bits(self._rows[0]) + rows.astype(np.uint64) * _bits(self._rows.step))

    def find(self, hashes: NDArray[np.uint64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        first, step, numbers = self._rows[0], self._rows.step, _unmixed(hashes)
        distances = numbers - _bits(first) if step > 0 else _bits(first) - numbers
        rows, rests = np.divmod(distances, _bits(abs(step)))
        is_found = (rests == 0) & (rows < np.uint64(len(self._rows)))
        return np.where(is_found, rows, 0).astype(np.int64), is_found


def _bits(number: int) -> np.uint64:
    return np.uint64(number % 2**64)


def check_distinct(hashes: NDArray[np.uint64], keys: SupportsRows[Any], argument: str, remedy: str) -> None:
    """Checks that all hashes differ.

    Args:
        hashes: Hash of the key of each row, shape (n,).
        keys: The keys, for the error.
        argument: Name of the argument, for the error.
        remedy: How to fix the error.

    Raises:
        ValueError: If two rows have the same key. The error names the key and both rows.
    """
    ordered = np.sort(hashes)
    (twice,) = np.nonzero(ordered[1:] == ordered[:-1])
    if len(twice):
        first, second = np.flatnonzero(hashes == ordered[twice[0]])[:2].tolist()
        raise ValueError(
            f"{argument}: expected a different key for each row, got {keys[first]!r:.200} for rows {first} and "
            f"{second}; {remedy}"
        )


def numbers(values: Sequence[Any], name: str) -> tuple[Axis, Params]:
    """Returns the axis `name` over the numbers in `values`, and the params of the rows on the axis, shape (n,).

    Floats that all lie in [0, 1], such as success rates, become `Span(0.0, 1.0)`. Other numbers become a `Span` from
    the lowest to the highest, and booleans become two choices. If all rows have the same other number, the axis has
    this number as its only choice. In a column of floats, NaN stands for an unknown value.

    Raises:
        ValueError: If a value is neither a finite number nor NaN.
    """
    array = np.asarray(values)
    if array.ndim != 1 or array.dtype.kind not in "biuf":
        odd = next((row for row, value in enumerate(values) if np.asarray(value).dtype.kind not in "biuf"), 0)
        raise _not_a_number(name, values[odd], odd)
    known = array
    if array.dtype.kind == "f":
        if np.isinf(array).any():
            odd = int(np.isinf(array).argmax())
            raise _not_a_number(name, array[odd].item(), odd)
        known = array[~np.isnan(array)]
        if not ((known < 0.0) | (known > 1.0)).any():
            return Axis(name, Span(0.0, 1.0)), array.astype(np.float64)
    low, high = known.min().item(), known.max().item()
    if array.dtype.kind == "b":
        return Axis(name, (False, True)), array.astype(np.float64)
    if low == high and len(known) == len(array):
        return Axis(name, (low,)), np.zeros(len(array))
    return Axis(name, Span(low, high)), array.astype(np.float64)


def _not_a_number(name: str, value: Any, row: int) -> ValueError:
    return ValueError(
        f"columns[{name!r}]: expected finite numbers, got {value!r:.100} in row {row}; replace it, by NaN if it is "
        f"unknown, or leave the column out"
    )


def coded(values: Sequence[Any]) -> tuple[NDArray[Any], tuple[str, ...]]:
    """Returns the index of each value, shape (n,), and the distinct values as strings, in order of first occurrence.

    The indices have the smallest unsigned dtype that holds them.
    """
    index = {value: number for number, value in enumerate(dict.fromkeys(values))}
    codes = np.fromiter(map(index.__getitem__, values), np.min_scalar_type(len(index)), len(values))
    return codes, tuple(map(str, index))
