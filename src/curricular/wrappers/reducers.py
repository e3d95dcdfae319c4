"""Rules by which the numbers of an environment's agents become one."""

from collections.abc import Callable
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..inputs import as_number

__all__ = ["REDUCERS", "Reducer", "reducer"]

Reducer: TypeAlias = Literal["mean", "max", "min", "sum"] | Callable[[NDArray[np.float64]], float]
"""Reduces the numbers of an environment's agents, such as their returns, shape (num_agents,), to one number."""

REDUCERS: dict[str, Callable[[NDArray[np.float64]], float]] = {
    "mean": np.mean,
    "max": np.max,
    "min": np.min,
    "sum": np.sum,
}
"""The named rules."""

_QUIET = np.errstate(over="ignore", invalid="ignore")  # a number that is not finite is refused as a score


def reducer(reduce: Reducer) -> Callable[[NDArray[np.float64]], float]:
    """Returns the function that `reduce`, an argument of a wrapper, is or names.

    The function raises `TypeError` if the rule does not return one number.

    Raises:
        ValueError: If `reduce` is neither a function nor a known name.
    """
    if not callable(reduce) and reduce not in REDUCERS:
        raise ValueError(f"reduce: expected a function or one of {', '.join(REDUCERS)}, got {reduce!r}; use one")
    rule = reduce if callable(reduce) else _QUIET(REDUCERS[reduce])
    return lambda numbers: as_number("reduce", rule(numbers), "return one number for all agents")
