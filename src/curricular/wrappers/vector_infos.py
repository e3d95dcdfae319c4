"""Infos of several environments in Gymnasium's format: an array per key, and a mask of the environments with it."""

from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .episodes import INFO_KEY

__all__ = ["InfoOf", "batched", "checked_final", "reported", "with_final"]

Reports: TypeAlias = Mapping[int, Mapping[str, Any]]
"""Index of an environment -> the report on its episode."""


class InfoOf(Mapping[str, Any]):
    """The info of one environment: a view of the infos of all.

    Args:
        infos: The infos of all environments.
        index: Index of the environment.
    """

    __slots__ = ("_index", "_infos")

    def __init__(self, infos: Mapping[str, Any], index: int) -> None:
        self._infos = infos
        self._index = index

    def __getitem__(self, key: str) -> Any:
        if not self._has(key):
            raise KeyError(key)
        value = self._infos[key]
        if isinstance(value, Mapping):
            return InfoOf(value, self._index)
        return _entry(key, value, self._index) if isinstance(value, np.ndarray | list | tuple) else value

    def __iter__(self) -> Iterator[str]:
        return filter(self._has, self._infos)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        return f"InfoOf({dict(self)})"

    def _has(self, key: str) -> bool:
        if key not in self._infos or (key[:1] == "_" and key[1:] in self._infos):
            return False
        mask = self._infos.get(f"_{key}")
        return True if mask is None else bool(_entry(f"_{key}", mask, self._index))


def _entry(key: str, values: Any, index: int) -> Any:
    """Returns the entry of the environment `index` in what infos have under `key`."""
    try:
        return values[index]
    except (IndexError, KeyError, TypeError) as error:
        raise TypeError(
            f"infos[{key!r}]: expected an array with an entry for each environment, got {values!r:.100}, without an "
            f"entry {index}; return an array of shape (num_envs,)"
        ) from error


def checked_final(infos: dict[str, Any], num_envs: int) -> dict[str, Any]:
    """Returns the infos of a step with restarts, in which ``"final_info"``, if there is any, is a dict.

    Raises:
        TypeError: If ``"final_info"`` is neither a dict nor None, or ``"_final_info"`` is not one flag per environment.
    """
    final, mask = infos.get("final_info", {}), infos.get("_final_info")
    if final is None:
        return {**infos, "final_info": {}}
    if not isinstance(final, Mapping):
        raise TypeError(
            f"env.step: expected infos['final_info'] as a dict of arrays, got {final!r:.100}; return it in the format "
            f"of Gymnasium 1.0 or newer, or leave it out"
        )
    if mask is not None and np.shape(mask) != (num_envs,):
        raise TypeError(
            f"env.step: expected infos['_final_info'] of shape ({num_envs},), got {mask!r:.100}; return one flag per "
            f"environment"
        )
    return infos


def reported(infos: Mapping[str, Any], reports: Reports, num_envs: int) -> dict[str, Any]:
    """Returns `infos` with `reports` in it, under `INFO_KEY`."""
    return {**infos, INFO_KEY: batched(reports, num_envs), f"_{INFO_KEY}": _mask(list(reports), num_envs)}


def with_final(infos: Mapping[str, Any], reports: Reports, num_envs: int) -> dict[str, Any]:
    """Returns `infos` with `reports` in the infos of the episodes that have ended within the step."""
    final = reported(infos.get("final_info", {}), reports, num_envs)
    mask = np.logical_or(final[f"_{INFO_KEY}"], infos.get("_final_info", False))
    return {**infos, "final_info": final, "_final_info": mask}


def batched(infos: Reports, num_envs: int) -> dict[str, Any]:
    """Returns the infos of some environments as arrays of shape (num_envs,), and their masks.

    Args:
        infos: The info of each of these environments.
        num_envs: Number of environments.

    Examples:
        >>> batched({1: {"score": 0.5}}, 3)
        {'score': array([0. , 0.5, 0. ]), '_score': array([False,  True, False])}
    """
    alike: dict[tuple[str, ...], list[int]] = {}
    for index, info in infos.items():
        alike.setdefault(tuple(info), []).append(index)
    arrays: dict[str, Any] = {}
    for keys, indices in alike.items():
        slots, mask = np.array(indices), _mask(indices, num_envs)
        for key in keys:
            _add(arrays, key, slots, [infos[index][key] for index in indices], num_envs)
            known = arrays.get(f"_{key}")
            arrays[f"_{key}"] = mask.copy() if known is None else known | mask
    return arrays


def _add(arrays: dict[str, Any], key: str, slots: NDArray[np.int64], values: list[Any], num_envs: int) -> None:
    """Writes the values of the environments `slots` into the array of `key`, which is made if there is none."""
    kind = type(values[0])
    is_number = kind in {bool, int, float}
    if not is_number and isinstance(values[0], Mapping):
        arrays[key] = batched(dict(zip(slots.tolist(), values, strict=True)), num_envs)
        return
    if key not in arrays:
        arrays[key] = np.zeros(num_envs, kind) if is_number else np.full(num_envs, None)
    arrays[key][slots] = values


def _mask(indices: list[int], num_envs: int) -> NDArray[np.bool_]:
    """Returns which of the environments are those of `indices`, shape (num_envs,)."""
    mask = np.zeros(num_envs, np.bool_)
    mask[indices] = True
    return mask
