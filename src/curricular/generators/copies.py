"""Copies configurations so that the caller can change them. Immutable values are not copied."""

import copy
import dataclasses
import datetime as dt
import types
from collections.abc import Callable
from decimal import Decimal
from enum import Enum
from functools import partial
from pathlib import PurePath
from typing import Any
from uuid import UUID

import numpy as np
from pydantic import BaseModel

_CONTAINERS = (dict, list, tuple)

Maker = Callable[[], Any]

Seen = dict[int, bool]
"""Id of each part of a configuration visited so far -> whether the part can change or is being visited."""

_ATOMS = frozenset({type(None), bool, int, float, complex, str, bytes, range, types.FunctionType})
"""The most frequent classes of immutable values."""

_IMMUTABLE = (
    *(type(None), bool, int, float, complex, str, bytes, range, frozenset, type, Enum, PurePath, Decimal, UUID),
    *(dt.date, dt.time, dt.timedelta, dt.tzinfo, np.generic, np.dtype),
    *(types.FunctionType, types.BuiltinFunctionType, types.ModuleType, np.ufunc),
)


def copied(value: Any) -> Any:
    """Returns a copy of `value` that shares no mutable part with it, or `value` itself if it is immutable."""
    make = copier(value)
    return value if make is None else make()


def copier(value: Any) -> Maker | None:
    """Returns a function that copies `value`, or None if `value` is immutable.

    `copier` determines once which parts must be copied. It copies containers, models, dataclasses and arrays itself,
    and all other objects with `copy.deepcopy`. Objects that `copy.deepcopy` cannot copy are shared.

    Examples:
        >>> level = {"size": 5, "map": {"walls": [1, 2]}}
        >>> copier(level)() == level, copier(level)()["map"] is level["map"], copier((1, "a"))
        (True, False, None)
    """
    kind = type(value)  # the two most frequent cases first
    if kind in _ATOMS:
        return None
    if kind is dict and _ATOMS.issuperset(map(type, value.values())):
        return value.copy  # type: ignore[no-any-return]
    try:
        return _copier(value, {})
    except _SharedPartError:
        return _deep_copier(value)


class _SharedPartError(Exception):
    """A mutable part occurs twice in a configuration, or contains itself. Only `copy.deepcopy` preserves this."""


def _copier(value: Any, seen: Seen) -> Maker | None:
    kind = type(value)
    if kind in _ATOMS or (kind not in _CONTAINERS and (isinstance(value, _IMMUTABLE) or kind is object)):
        return None
    if seen.get(id(value), False):
        raise _SharedPartError
    seen[id(value)] = True
    make = _copier_of_parts(value, seen)
    seen[id(value)] = make is not None
    return make


def _copier_of_parts(value: Any, seen: Seen) -> Maker | None:
    kind = type(value)
    if kind in _CONTAINERS and _ATOMS.issuperset(map(type, value.values() if kind is dict else value)):
        return None if kind is tuple else value.copy
    if kind is dict:
        return _container_copier(value.copy, dict.__setitem__, _makers(value.items(), seen))
    if kind is list:
        return _container_copier(value.copy, list.__setitem__, _makers(enumerate(value), seen))
    if kind is tuple:
        makers = _makers(enumerate(value), seen)
        if not makers:
            return None
        items = _container_copier(partial(list, value), list.__setitem__, makers)
        return lambda: tuple(items())
    if kind is set or kind is bytearray:
        return value.copy  # type: ignore[no-any-return]
    if kind is np.ndarray and not value.dtype.hasobject:
        return partial(value.copy, "K") if value.flags.writeable or value.base is not None else None
    if isinstance(value, BaseModel):
        return _model_copier(value, seen)
    if dataclasses.is_dataclass(value) and kind.__dict__.get("__dataclass_params__") is not None:
        return _dataclass_copier(value, seen)
    return _deep_copier(value)


def _makers(items: Any, seen: Seen) -> list[tuple[Any, Maker]]:
    """Returns the key and the copier of each mutable value in `items`, pairs of a key and a value."""
    return [(key, make) for key, item in items if type(item) not in _ATOMS and (make := _copier(item, seen))]


def _container_copier(shallow: Maker, put: Callable[[Any, Any, Any], None], makers: list[tuple[Any, Maker]]) -> Maker:
    """Returns a function that makes a shallow copy and replaces its mutable parts by copies."""
    if not makers:
        return shallow

    def make() -> Any:
        fresh = shallow()
        for key, make_part in makers:
            put(fresh, key, make_part())
        return fresh

    return make


def _model_copier(model: BaseModel, seen: Seen) -> Maker | None:
    hidden = [*(model.__pydantic_private__ or {}).values(), *(model.__pydantic_extra__ or {}).values()]
    if any(_copier(value, seen) is not None for value in hidden):
        return _deep_copier(model)
    makers = _makers(vars(model).items(), seen)
    if model.model_config.get("frozen") and not makers and not hidden:
        return None
    return _container_copier(partial(copy.copy, model), _put_into_model, makers)


def _put_into_model(model: BaseModel, name: str, value: Any) -> None:
    vars(model)[name] = value


def _dataclass_copier(value: Any, seen: Seen) -> Maker | None:
    names = [field.name for field in dataclasses.fields(value)]
    makers = _makers([(name, getattr(value, name, None)) for name in names], seen)
    is_frozen = type(value).__dataclass_params__.frozen
    if is_frozen and not makers:
        return None
    return _container_copier(partial(copy.copy, value), object.__setattr__, makers)


def _deep_copier(value: Any) -> Maker | None:
    """Returns a deep copier of `value`; None if it cannot be copied, like an open file, or its copy is itself."""
    try:
        is_shared = copy.deepcopy(value) is value
    except Exception:  # noqa: BLE001  a class may raise anything when copied, and most raise TypeError
        return None
    return None if is_shared else partial(copy.deepcopy, value)
