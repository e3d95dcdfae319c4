"""Converts numbers from the user (scalars, arrays, tensors) to NumPy, and refuses ambiguous ones."""

from collections.abc import Iterable
from operator import index
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray


@runtime_checkable
class _Tensor(Protocol):
    """A tensor. Its `tolist` works even if it requires gradients, is on a GPU or has a type that NumPy lacks."""

    def tolist(self) -> Any: ...


def as_array(
    name: str, values: ArrayLike, shape: str = "(n,)", remedy: str = "pass a flat sequence of numbers"
) -> NDArray[Any]:
    """Returns `values` as a plain array.

    Args:
        name: Name of the argument, for errors.
        values: An array, a tensor of any library or device, or a sequence.
        shape: The expected shape, for errors.
        remedy: What to do with rows that differ in length, for errors.

    Raises:
        ValueError: If rows differ in length, or entries are masked.
    """
    if np.ma.is_masked(values):
        raise ValueError(
            f"{name}: expected numbers, got a masked array with masked entries; pass the "
            f"entries that are there, or cancel the hand-outs of the others"
        )
    try:
        try:
            return np.asarray(values)
        except (RuntimeError, TypeError):  # of a tensor that requires gradients, or is on another device
            return np.asarray(_plain(values))
    except ValueError as error:
        raise ValueError(f"{name}: expected shape {shape}, got {values!r:.200}; {remedy}") from error


def as_scores(scores: ArrayLike) -> NDArray[Any]:
    """Returns scores or groups of scores as a plain array, of any shape.

    Raises:
        ValueError: If groups differ in length, or entries are masked.
    """
    remedy = "pad shorter groups with NaN, which marks a failed rollout"
    return as_array("scores", scores, "(n,), or (n, G) in groups", remedy)


def as_ids(task_ids: ArrayLike) -> NDArray[np.int64]:
    """Returns task ids as integers of 64 bits, shape (n,).

    Raises:
        TypeError: If they are no integers.
        ValueError: If they have another shape.
    """
    ids = as_array("task_ids", task_ids)
    if ids.ndim != 1:
        raise ValueError(f"task_ids: expected shape (n,), got {ids.shape}; pass a flat sequence of ids")
    if len(ids) and ids.dtype.kind not in "iu":
        raise TypeError(f"task_ids: expected integers, got dtype {ids.dtype}; pass the task_id of each task")
    return ids.astype(np.int64, copy=False)


def as_indices(name: str, values: ArrayLike, num_tasks: int) -> NDArray[np.int64]:
    """Returns distinct indices of the tasks of a finite generator as integers of 64 bits, shape (n,).

    Args:
        name: Name of the argument, for errors.
        values: The indices, shape (n,).
        num_tasks: Number of tasks of the generator.

    Raises:
        TypeError: If they are no integers.
        ValueError: If they have another shape, are no indices of the tasks, or are not distinct.
    """
    given = as_array(name, values)
    if given.ndim != 1:
        raise ValueError(f"{name}: expected shape (n,), got {given.shape}; pass a flat sequence of indices")
    if len(given) and given.dtype.kind not in "iu":
        raise TypeError(f"{name}: expected integers, got dtype {given.dtype}; pass the indices of tasks")
    wrong = given[(given < 0) | (given >= num_tasks)]
    if len(wrong):
        raise ValueError(f"{name}: expected indices from 0 to {num_tasks - 1}, got {wrong[0]}; pass indices of tasks")
    indices = given.astype(np.int64, copy=False)
    ordered = np.sort(indices)
    if (twice := ordered[1:][ordered[1:] == ordered[:-1]]).size:
        raise ValueError(f"{name}: expected each index once, got {twice[0]} twice; drop one of them")
    return indices


def _plain(values: Any) -> Any:
    if isinstance(values, _Tensor):
        return values.tolist()
    return [_plain(value) for value in values] if isinstance(values, Iterable) else values


def as_number(name: str, value: Any, remedy: str) -> float:
    """Returns one real number; an array or tensor of shape () or (1,) is its entry.

    Args:
        name: What the number is, for errors.
        value: The number as the user has it.
        remedy: What to do about another value, for errors.

    Raises:
        TypeError: If `value` is not one real number.
    """
    if type(value) is float:
        return value
    if isinstance(value, float | int | np.floating | np.integer):
        return _as_float(name, value, value, remedy)
    if isinstance(value, str | bytes) or np.ma.is_masked(value):
        raise TypeError(f"{name}: expected one number, got {value!r}; {remedy}")
    array = as_array(name, value)
    if array.shape not in {(), (1,)} or array.dtype.kind not in "iufbO":
        raise TypeError(f"{name}: expected one number, got {value!r:.200}; {remedy}")
    return _as_float(name, array.item(), value, remedy)


def _as_float(name: str, number: Any, value: Any, remedy: str) -> float:
    try:
        return float(number)
    except (TypeError, ValueError, OverflowError) as error:
        raise TypeError(f"{name}: expected one number, got {value!r:.200}; {remedy}") from error


MAX_ASKED = 10_000_000
"""Maximum number of tasks per call of `ask`. More would fill the memory of most machines before anything is trained."""


def checked_number(n: int, limit: int | None, name: str = "n") -> int:
    """Returns `n` as an int.

    Args:
        n: A number of tasks.
        limit: The highest allowed number; None: there is no limit.
        name: The name of the argument, for the error.

    Raises:
        TypeError: If `n` is not a whole number.
        ValueError: If `n` is negative or above `limit`.
    """
    try:
        number = index(n)
    except TypeError as error:
        raise TypeError(f"{name}: expected a whole number of tasks, got {n!r}; round it") from error
    if number < 0 or (limit is not None and number > limit):
        allowed = "at least 0" if limit is None else f"0 to {limit}"
        raise ValueError(f"{name}: expected {allowed} tasks, got {number}; pass a number in this range")
    return number
