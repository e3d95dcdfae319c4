"""Checks the values that environments return, so that a wrong type raises one clear error at once."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..inputs import as_array, as_number

__all__ = ["add_rewards", "as_flag", "as_info", "by_agent", "by_env", "checked", "infos_of"]


def checked(call: str, names: tuple[str, ...], result: Any) -> tuple[Any, ...]:
    """Returns what a call of an environment returned.

    Args:
        call: Name of the call, for errors.
        names: Names of the values that it returns.
        result: What it returned.

    Raises:
        TypeError: If `result` does not hold as many values as there are names.
    """
    values: Any = tuple(result) if isinstance(result, list) else result
    if isinstance(values, tuple) and len(values) == len(names):
        return values
    found = f"{len(values)} values" if isinstance(values, tuple) else f"a {type(result).__name__}"
    raise TypeError(f"env.{call}: expected ({', '.join(names)}), got {found}; return these values")


def as_flag(name: str, value: Any) -> bool:
    """Returns a truth value; an array or tensor of one entry is this entry.

    Args:
        name: Name of the value, for errors.
        value: What the environment returned.

    Raises:
        TypeError: If `value` is not one truth value.
    """
    return value if isinstance(value, bool) else bool(as_number(f"env.step: {name}", value, "return a bool"))


def as_info(call: str, info: Any) -> dict[str, Any]:
    """Returns an info as a dict.

    Args:
        call: Name of the call, for errors.
        info: What the environment returned.

    Raises:
        TypeError: If `info` is not a mapping.
    """
    return _as_dict(info, f"env.{call}: expected an info that is a dict", "return {} if there is none")


def by_agent(call: str, name: str, values: Any) -> dict[Any, Any]:
    """Returns the values of a `ParallelEnv` by agent.

    Args:
        call: Name of the call, for errors.
        name: Name of the values, for errors.
        values: What the environment returned.

    Raises:
        TypeError: If `values` is not a mapping.
    """
    return _as_dict(values, f"env.{call}: expected {name} as a dict by agent", "return a dict")


def _as_dict(value: Any, expected: str, remedy: str) -> dict[Any, Any]:
    """Returns a mapping as a dict: a dict as it is. Raises `TypeError` if `value` is no mapping."""
    if isinstance(value, dict):
        return value
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{expected}, got {value!r:.100}; {remedy}")


@np.errstate(over="ignore", invalid="ignore")
def add_rewards(returns: NDArray[np.float64], rewards: NDArray[Any]) -> None:
    """Adds `rewards` to `returns` in place, without a warning of NumPy: `Handouts` refuses a return that is not finite.

    Args:
        returns: Shape (n,).
        rewards: Shape (n,).
    """
    np.add(returns, rewards, returns)


def infos_of(call: str, infos: Any) -> list[dict[str, Any]]:
    """Returns the infos of a `PufferEnv` as a list: PufferLib expects one, but takes a dict or None, too.

    Raises:
        TypeError: If `infos` is anything else, or an entry is not a mapping.
    """
    if infos is None:
        return []
    if isinstance(infos, dict):
        return [infos] if infos else []  # PufferLib's workers send a list that is not empty at every step
    if isinstance(infos, list):
        return [as_info(call, info) for info in infos]
    raise TypeError(f"env.{call}: expected infos as a list of dicts, got {infos!r:.100}; return a list")


def by_env(name: str, values: Any, shape: tuple[int, ...]) -> NDArray[Any]:
    """Returns numbers of all agents by environment.

    Args:
        name: Name of the values, for errors.
        values: What the environment returned, one number per agent.
        shape: (num_envs, agents_per_env).

    Raises:
        TypeError: If there is another number of values, or they are not numbers.
    """
    array = as_array(f"env.step: {name}", values)
    if array.size != shape[0] * shape[1] or array.dtype.kind not in "iufb":
        raise TypeError(
            f"env.step: expected {name} of {shape[0] * shape[1]} agents, got shape {np.shape(array)} and dtype "
            f"{array.dtype}; return one number per agent"
        )
    return array.reshape(shape)
