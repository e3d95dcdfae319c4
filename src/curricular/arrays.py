"""Array functions that the array API lacks: order statistics, group sums, look-ups, powers. Pure."""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = Any
"""An array of any library with the array API: NumPy, JAX, array_api_strict."""

Floats = NDArray[np.float64]
"""A float array of NumPy; docstrings give its shape."""


Columns = Mapping[str, Array]
"""Columns of a pool by field of `TaskState`, shape (capacity,) each; `params` has shape (capacity, num_params).

``"cells"``, shape (capacity, k), are whole numbers for the last k params of each task in a merged set, which are the
choice of the member and the member's own axes: two tasks are in the same cell if they have the same value on the same
axis; a task without such an axis is in cell 0. Without merged sets, k is 0. ``"cell_axes"``, shape (num_cells,),
ascending, is the axis of each cell.

The statistics of labels are columns, too: ``"label_"`` and a field of `table.LABEL` (all but its name), shape
(MAX_LABELS,), indexed by `label_index`.
"""


SAMPLE_SIZE = 2048
"""Size of the subsample that brackets an order statistic."""


def count(mask: Array) -> Array:
    """Returns the number of true entries of `mask`, a float of shape ()."""
    if isinstance(mask, np.ndarray):
        return np.float64(np.count_nonzero(mask))
    xp = mask.__array_namespace__()
    return xp.asarray(xp.count_nonzero(mask), dtype=xp.float64)


def total(values: Array) -> Array:
    """Returns the sum of floats of shape (n,), shape (); NumPy's ``sum`` takes twice as long for few values."""
    return np.add.reduce(values) if isinstance(values, np.ndarray) else values.__array_namespace__().sum(values)


def within(values: Array, low: Array | float, high: Array | float) -> Array:
    """Returns `values` clipped to `low` … `high`, shape (n,); ``clip`` takes several times as long for few values."""
    xp = values.__array_namespace__()
    return xp.minimum(xp.maximum(values, low), high)


def either(condition: Array, one: Array | float, other: Array | float) -> Array:
    """Returns `one` if `condition` is true, else `other`, shape (): for numbers, much faster than ``where``."""
    if isinstance(condition, np.bool_):
        return one if condition else other
    return condition.__array_namespace__().where(condition, one, other)


def masked(values: Array, mask: Array) -> Array:
    """Returns `values` where `mask` is true, else 0, shape (n,).

    In NumPy, returns `values` itself if the mask is true everywhere: a choice takes four times as long as a product.
    """
    if isinstance(values, np.ndarray) and mask.all():
        return values
    return mask.__array_namespace__().where(mask, values, 0)


def where_true(mask: Array) -> Array:
    """Returns the indices of the true entries of `mask`; outside NumPy, where shapes have to be known, all indices."""
    if isinstance(mask, np.ndarray):
        return np.flatnonzero(mask)
    return mask.__array_namespace__().arange(mask.shape[0])


def in_blocks(fn: Callable[..., Array], *columns: Array) -> Array:
    """Returns ``fn(*columns)``, shape (n,); in NumPy block by block, so that values stay in the cache of the processor.

    Args:
        fn: Function of columns that returns one number per row, which depends on this row alone.
        columns: Shape (n,) each.
    """
    size = columns[0].shape[0]
    if size <= BLOCK or not all(isinstance(column, np.ndarray) and column.ndim == 1 for column in columns):
        return fn(*columns)
    result = np.empty(size)
    for first in range(0, size, BLOCK):
        result[first : first + BLOCK] = fn(*(column[first : first + BLOCK] for column in columns))
    return result


BLOCK = 8192
"""Number of rows in a block: a dozen columns of them fit into the cache, and take longer than the calls of NumPy."""


def order_statistic(values: Array, rank: Array) -> Array:
    """Returns the value at `rank` in ascending order, shape ().

    Args:
        values: Shape (n,).
        rank: Whole number in 0 … n − 1, shape (); 0 is the lowest value.

    Examples:
        >>> import numpy as np
        >>> order_statistic(np.array([3.0, 1.0, 2.0, 3.0]), np.array(1)).tolist()
        2.0
    """
    xp = values.__array_namespace__()
    low, high = _bounds(values, rank)
    if isinstance(values, np.ndarray):
        is_low, is_high = values <= low, values >= high
        index = int(rank) - int(np.count_nonzero(is_low))
        between = np.sort(values[~(is_low | is_high)])
        return np.float64(low if index < 0 else between[index] if index < len(between) else high)
    # Clipping makes most values equal, and equal values sort in next to no time.
    return xp.take(xp.sort(xp.clip(values, low, high)), xp.reshape(rank, (1,)))[0]


def largest(values: Array, k: int) -> Array:
    """Returns the `k` highest of `values`, highest first, shape (k,).

    Args:
        values: Shape (n,).
        k: Number of values, 1 … n.

    Examples:
        >>> import numpy as np
        >>> largest(np.array([3.0, 1.0, 2.0, 3.0]), 3).tolist()
        [3.0, 3.0, 2.0]
    """
    xp = values.__array_namespace__()
    if isinstance(values, np.ndarray):
        values = np.partition(values, len(values) - k)[len(values) - k :]
    return xp.flip(xp.sort(values))[:k]


def _bounds(values: Array, rank: Array) -> tuple[Array, Array]:
    """Returns two numbers that bracket the value at `rank`; for many values, usually narrowly."""
    xp = values.__array_namespace__()
    num_values = values.shape[0]
    stride = num_values // SAMPLE_SIZE
    if stride < 8:
        return -xp.inf, xp.inf
    sample = xp.sort(values[::stride])
    num_sampled = sample.shape[0]
    rank = xp.astype(rank, xp.float64)
    share = rank / num_values
    # Four standard deviations of the rank that the value has within a random subsample.
    margin = 4.0 * xp.sqrt(num_sampled * share * (1.0 - share)) + 2.0
    ranks = xp.floor(num_sampled * share + margin * xp.asarray([-1.0, 1.0])) + 1.0
    ends = xp.concat([xp.full(1, -xp.inf), sample, xp.full(1, xp.inf)])
    guess = xp.take(ends, xp.astype(xp.clip(ranks, 0.0, num_sampled + 1.0), xp.int64))
    # The subsample may be unrepresentative: a bound that does not hold becomes infinite.
    low = xp.where(count(values < guess[0]) <= rank, guess[0], -xp.inf)
    return low, xp.where(count(values <= guess[1]) > rank, guess[1], xp.inf)


def lowest_share(values: Array, mask: Array, share: float) -> Array:
    """Returns which masked entries are among the lowest `share` of them, ties included; bool, shape (n,).

    Args:
        values: Shape (n,).
        mask: Entries to consider, bool, shape (n,).
        share: In [0, 1].

    Examples:
        >>> import numpy as np
        >>> lowest_share(np.array([3.0, 1.0, 2.0, 0.0]), np.array([True, True, True, False]), 0.34).tolist()
        [False, True, False, False]
    """
    xp = values.__array_namespace__()
    num_lowest = xp.floor(share * count(mask))
    rank = xp.astype(xp.clip(num_lowest, 1.0, None), xp.int64) - 1
    return mask & (num_lowest > 0) & (values <= order_statistic(xp.where(mask, values, xp.inf), rank))


def look_up(values: Sequence[float], positions: Array, beyond: float) -> Array:
    """Returns the value at each position, shape (n,), and `beyond` where `values` has none.

    Args:
        values: Values at the positions 0, 1, 2, …
        positions: Shape (n,).
        beyond: Value for every other position.

    Examples:
        >>> import numpy as np
        >>> look_up([5.0, 7.0], np.array([1.0, 0.0, 2.0]), 1.0).tolist()
        [7.0, 5.0, 1.0]
    """
    xp = positions.__array_namespace__()
    is_inside = (positions >= 0) & (positions < len(values))
    indices = xp.astype(xp.where(is_inside, positions, 0.0), xp.int64)
    return xp.where(is_inside, xp.take(xp.asarray(values, dtype=xp.float64), indices), beyond)


def group_sizes(groups: Array, num_groups: int) -> Array:
    """Returns the size of each group: whole numbers, shape (num_groups,).

    Args:
        groups: Group of each entry, whole numbers in 0 … num_groups − 1, shape (n,).
        num_groups: Number of groups, empty ones included.

    Examples:
        >>> import numpy as np
        >>> group_sizes(np.array([1, 0, 1]), 3).tolist()
        [1, 2, 0]
    """
    if isinstance(groups, np.ndarray):
        return np.bincount(groups, minlength=num_groups)
    edges = _edges(groups.__array_namespace__().sort(groups), num_groups)
    return edges[1:] - edges[:-1]


def group_sums(columns: Sequence[Array], groups: Array, num_groups: int) -> list[Array]:
    """Returns the sum of each column over each group: floats, shape (num_groups,) each.

    Args:
        columns: Numbers to sum, shape (n,) each.
        groups: Group of each entry, as for `group_sizes`.
        num_groups: Number of groups, empty ones included.

    Examples:
        >>> import numpy as np
        >>> group_sums([np.array([1.0, 2.0, 4.0])], np.array([1, 0, 1]), 3)[0].tolist()
        [2.0, 5.0, 0.0]
    """
    if isinstance(groups, np.ndarray):
        return [np.bincount(groups, column, num_groups) for column in columns]
    xp = groups.__array_namespace__()
    order = xp.argsort(groups, stable=False)
    edges = _edges(xp.take(groups, order), num_groups)
    return _sums_between([xp.take(column, order) for column in columns], edges)


def spread(values: Array, edges: Array, num_entries: int) -> Array:
    """Returns the value of the segment of each entry, shape (n,).

    Args:
        values: One value per segment, shape (k,).
        edges: Place at which each segment begins, ascending, then the end of the last one, shape (k + 1,).
        num_entries: Number n of entries.

    Examples:
        >>> import numpy as np
        >>> spread(np.array([5, 6, 7]), np.array([0, 1, 1, 3]), 3).tolist()
        [5, 7, 7]
    """
    if isinstance(edges, np.ndarray):
        return values.repeat(edges[1:] - edges[:-1])
    xp = edges.__array_namespace__()
    return xp.take(values, xp.searchsorted(edges[1:], xp.arange(num_entries, dtype=edges.dtype), side="right"))


def _edges(groups: Array, num_groups: int) -> Array:
    """Returns the places at which each of the ordered `groups` begins, then their number, shape (num_groups + 1,)."""
    xp = groups.__array_namespace__()
    return xp.searchsorted(groups, xp.arange(num_groups + 1, dtype=groups.dtype))


def _sums_between(columns: Sequence[Array], edges: Array) -> list[Array]:
    """Returns the sums of each column between `edges`: differences of running sums, where nothing adds by index."""
    xp = edges.__array_namespace__()
    sums = []
    for column in columns:
        # Whole numbers are added up several times as fast.
        dtype = xp.float64 if xp.isdtype(column.dtype, "real floating") else xp.int64
        at_edges = xp.take(xp.cumulative_sum(xp.astype(column, dtype, copy=False), include_initial=True), edges)
        sums.append(xp.astype(at_edges[1:] - at_edges[:-1], xp.float64))
    return sums


def stable_order(keys: Array) -> Array:
    """Returns the indices that sort `keys` in ascending order, equal keys by index; shape (n,).

    Sorts key and index as one integer, or in NumPy by digits of 16 bits, which both are several times as fast as a
    stable sort.

    Args:
        keys: Whole numbers in 0 … 2^63 / 2n, which leave bits for the index; shape (n,).

    Examples:
        >>> import numpy as np
        >>> stable_order(np.array([3, 1, 3, 1])).tolist()
        [1, 3, 0, 2]
    """
    if isinstance(keys, np.ndarray):
        return _order_by_digits(keys)
    xp = keys.__array_namespace__()
    num_bits = keys.shape[0].bit_length()
    return xp.sort((keys << num_bits) | xp.arange(keys.shape[0])) & (2**num_bits - 1)


def _order_by_digits(keys: NDArray[np.int64]) -> NDArray[np.int64]:
    """Returns `stable_order(keys)`, digit by digit, the lowest first: NumPy sorts numbers of 16 bits by radix."""
    highest = int(keys.max(initial=0))
    order = keys.astype(np.uint8 if highest < 2**8 else np.uint16).argsort(kind="stable")
    for shift in range(16, highest.bit_length(), 16):
        digits = (keys >> shift).astype(np.uint16)
        order = order.take(digits.take(order).argsort(kind="stable"))
    return order


def in_place(ordered: Array, order: Array) -> Array:
    """Returns the array of which ``take(…, order)`` is `ordered`: puts ordered values back in their places, shape (n,).

    Args:
        ordered: Values in an order, shape (n,).
        order: The indices that made the order, shape (n,): a permutation of 0 … n − 1.

    Examples:
        >>> import numpy as np
        >>> in_place(np.array([0.1, 0.5, 0.9]), np.array([2, 0, 1])).tolist()
        [0.5, 0.9, 0.1]
    """
    if isinstance(ordered, np.ndarray):
        result = np.empty_like(ordered)
        result[order] = ordered
        return result
    return ordered.__array_namespace__().take(ordered, stable_order(order))


def powers(base: float, exponents: Array) -> Array:
    """Returns base^k for each exponent k, shape (n,); powers below 1e-18 may be another number below 1e-18.

    Multiplies two looked-up powers, which for many exponents takes half the time of exponentials. In NumPy, the power
    of the exponent `vanishing` is 0, as are those of larger ones.

    Args:
        base: In [0, 1].
        exponents: Whole numbers in 0 … 2^32, shape (n,).

    Examples:
        >>> import numpy as np
        >>> powers(0.5, np.array([0, 1, 10])).tolist()
        [1.0, 0.5, 0.0009765625]
    """
    xp = exponents.__array_namespace__()
    log, bits = _log(base), _num_bits(base)
    if isinstance(exponents, np.ndarray):
        if bits <= _MAX_TABLE_BITS:
            return _products(base).take(exponents, mode="clip")
        low, high = power_tables(base)
        known = low.take(exponents & (2**bits - 1)) * high.take(exponents >> bits, mode="clip")
        return known * (exponents < vanishing(base))
    if exponents.shape[0] < 2 ** (bits + 3):
        return xp.exp(xp.astype(exponents, xp.float64) * log)
    indices, steps = xp.minimum(exponents >> bits, 2**bits - 1), xp.astype(xp.arange(2**bits), xp.float64) * log
    return xp.take(xp.exp(steps), exponents & (2**bits - 1)) * xp.take(xp.exp(steps * 2.0**bits), indices)


def vanishing(base: float) -> int:
    """Returns the first exponent whose power of `base` adds less to 1 than rounding does, at most 2^34."""
    return min(2**34, math.ceil(42.0 / max(-_log(base), 2.0**-40)))


@lru_cache(maxsize=16)
def power_tables(base: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Returns base^k and base^(m · k) for k = 0, 1, … m − 1, where m is a power of 2 and base^(m · m) vanishes."""
    bits = _num_bits(base)
    steps = np.arange(2**bits) * _log(base)
    return np.exp(steps), np.exp(steps * 2.0**bits)


_MAX_TABLE_BITS = 9
"""Size of the look-up tables of `powers` up to which the products of their entries are kept, in a table of 1 MB."""


@lru_cache(maxsize=16)
def _products(base: float) -> NDArray[np.float64]:
    """Returns base^k for k = 0, 1, 2, …, `vanishing(base)`: products of `power_tables`, and 0 at last."""
    low, high = power_tables(base)
    products: NDArray[np.float64] = np.multiply.outer(high, low).ravel()[: vanishing(base) + 1].copy()
    products[-1] = 0.0
    return products


def _log(base: float) -> float:
    return math.log(max(base, 2.0**-1000))  # 0^0 is 1, too


def _num_bits(base: float) -> int:
    # With 2^bits entries in each look-up table, powers beyond the last entry are below e^-42.
    return min(17, max(1, math.ceil(math.log2(84.0 / max(-_log(base), 2.0**-1000)) / 2.0)))
