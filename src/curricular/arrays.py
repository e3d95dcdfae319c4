"""Array functions that the array API lacks: order statistics, group sums, look-ups, powers. Pure."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

Array = Any
"""An array of any library with the array API: NumPy, JAX, array_api_strict."""


SAMPLE_SIZE = 2048
"""Entries that tell about where those in a given place of the order are."""


Columns = Mapping[str, Array]
"""Field of `TaskState` -> array of shape (capacity,); params (capacity, num_params).

``"cells"`` -> shape (capacity, k), whole numbers: what the last k params of a task in a merged set stand for, axes of
its own member: in the same cell if the same value on the same axis, in cell 0 if there is no axis. Else k is 0.
``"cell_axes"`` -> shape (num_cells,), ascending: the axis that each cell is of.
And of each label, at its `label_index`: ``"label_"`` and a field of `table.LABEL` -> array of shape (MAX_LABELS,).
"""


def count(mask: Array) -> Array:
    """How many entries of `mask` are true: a float, shape ()."""
    xp = mask.__array_namespace__()
    return xp.asarray(xp.count_nonzero(mask), dtype=xp.float64)


def order_statistic(values: Array, place: Array) -> Array:
    """The value at `place`, from 0, of `values` in order, the lowest first; shape () as `place`, a whole number.

    >>> import numpy as np
    >>> order_statistic(np.array([3.0, 1.0, 2.0, 3.0]), np.array(1)).tolist()
    2.0
    """
    xp = values.__array_namespace__()
    low, high = _bounds(values, place)
    # Clipped, most numbers are equal, and so sorted in next to no time.
    return xp.take(xp.sort(xp.clip(values, low, high)), xp.reshape(place, (1,)))[0]


def _bounds(values: Array, place: Array) -> tuple[Array, Array]:
    """Two numbers that the value at `place` in order lies between; near ones, as a rule, if there are many values."""
    xp = values.__array_namespace__()
    num_values = values.shape[0]
    stride = num_values // SAMPLE_SIZE
    if stride < 8:
        return -xp.inf, xp.inf
    sample = xp.sort(values[::stride])
    num_sampled = sample.shape[0]
    place = xp.astype(place, xp.float64)
    share = place / num_values
    # Of a sample in random order, so many are below, give or take four standard deviations.
    margin = 4.0 * xp.sqrt(num_sampled * share * (1.0 - share)) + 2.0
    places = xp.floor(num_sampled * share + margin * xp.asarray([-1.0, 1.0])) + 1.0
    ends = xp.concat([xp.full(1, -xp.inf), sample, xp.full(1, xp.inf)])
    guess = xp.take(ends, xp.astype(xp.clip(places, 0.0, num_sampled + 1.0), xp.int64))
    # A sample may deceive.
    low = xp.where(count(values < guess[0]) <= place, guess[0], -xp.inf)
    return low, xp.where(count(values <= guess[1]) > place, guess[1], xp.inf)


def lowest_share(scores: Array, mask: Array, share: float) -> Array:
    """Which of the masked entries lie in the lowest `share` in [0, 1] of them, ties included. Bool, shape (n,).

    >>> import numpy as np
    >>> lowest_share(np.array([3.0, 1.0, 2.0, 0.0]), np.array([True, True, True, False]), 0.34).tolist()
    [False, True, False, False]
    """
    xp = scores.__array_namespace__()
    num_lowest = xp.floor(share * count(mask))
    place = xp.astype(xp.clip(num_lowest, 1.0, None), xp.int64) - 1
    return mask & (num_lowest > 0) & (scores <= order_statistic(xp.where(mask, scores, xp.inf), place))


def look_up(values: Sequence[float], places: Array, beyond: float) -> Array:
    """The value at each place, shape (n,), counted from 0; `beyond` where there is none.

    >>> import numpy as np
    >>> look_up([5.0, 7.0], np.array([1.0, 0.0, 2.0]), 1.0).tolist()
    [7.0, 5.0, 1.0]
    """
    xp = places.__array_namespace__()
    is_there = (places >= 0) & (places < len(values))
    indices = xp.astype(xp.where(is_there, places, 0.0), xp.int64)
    return xp.where(is_there, xp.take(xp.asarray(values, dtype=xp.float64), indices), beyond)


def group_sums(columns: Sequence[Array], groups: Array, num_groups: int) -> tuple[Array, list[Array]]:
    """How many entries each group has, and the sum of each of `columns` over them: floats, shape (num_groups,) each.

    `groups` and `columns` have shape (n,); groups are integers in 0 … num_groups − 1.

    >>> import numpy as np
    >>> sizes, (sums,) = group_sums([np.array([1.0, 2.0, 4.0])], np.array([1, 0, 1]), 3)
    >>> sizes.tolist(), sums.tolist()
    ([1.0, 2.0, 0.0], [2.0, 5.0, 0.0])
    """
    xp = groups.__array_namespace__()
    # Running sums over the entries by group: the array API has no way to add up by index.
    order = xp.argsort(groups, stable=False)
    edges = xp.searchsorted(xp.take(groups, order), xp.arange(num_groups + 1, dtype=groups.dtype))
    sums = []
    for column in columns:
        # Whole numbers are added up several times as fast.
        dtype = xp.float64 if xp.isdtype(column.dtype, "real floating") else xp.int64
        ordered = xp.astype(xp.take(column, order), dtype, copy=False)
        at_edges = xp.take(xp.cumulative_sum(ordered, include_initial=True), edges)
        sums.append(xp.astype(at_edges[1:] - at_edges[:-1], xp.float64))
    return xp.astype(edges[1:] - edges[:-1], xp.float64), sums


def stable_order(keys: Array) -> Array:
    """The indices that sort `keys`, lowest first, equal ones in the order they stand in; shape (n,).

    For whole numbers in 0 … 2^63 / 2n, which leave room for the index: sorting both as one is several times as fast.

    >>> import numpy as np
    >>> stable_order(np.array([3, 1, 3, 1])).tolist()
    [1, 3, 0, 2]
    """
    xp = keys.__array_namespace__()
    num_bits = keys.shape[0].bit_length()
    return xp.sort((keys << num_bits) | xp.arange(keys.shape[0])) & (2**num_bits - 1)


def powers(base: float, exponents: Array) -> Array:
    """base^k, shape (n,), for whole numbers k in 0 … 2^32 and `base` in [0, 1]; below 1e-18 it may be another so low.

    The product of two looked up powers: for many k that takes half of the time of as many exponentials.

    >>> import numpy as np
    >>> powers(0.5, np.array([0, 1, 10])).tolist()
    [1.0, 0.5, 0.0009765625]
    """
    xp = exponents.__array_namespace__()
    log = math.log(max(base, 2.0**-1000))  # 0^0 is 1, too
    # With 2^bits entries a table, powers beyond the last are below e^-42.
    bits = min(16, max(1, math.ceil(math.log2(84.0 / max(-log, 2.0**-1000)) / 2.0)))
    if exponents.shape[0] < 2 ** (bits + 3):
        return xp.exp(xp.astype(exponents, xp.float64) * log)
    low, high = exponents & (2**bits - 1), xp.clip(exponents >> bits, None, 2**bits - 1)
    steps = xp.astype(xp.arange(2**bits), xp.float64) * log
    return xp.take(xp.exp(steps), low) * xp.take(xp.exp(steps * 2.0**bits), high)
