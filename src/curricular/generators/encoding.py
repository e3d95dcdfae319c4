"""Conversion of task configurations to plain data and back, for JSON and YAML.

An object is written with a ``"$type": "module:name"``: a pydantic model or a dataclass as its fields, anything else
that JSON does not have with its content in ``"$value"``. Reading imports the named modules, so read only files that you
trust.
"""

import dataclasses
import datetime as dt
import math
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from enum import Enum, Flag
from pathlib import Path, PurePath
from typing import Any, NamedTuple
from uuid import UUID

import numpy as np
from pydantic import BaseModel, TypeAdapter

from ..imports import resolve
from .canonical import canonical, fields_of, type_name


class _Codec(NamedTuple):
    """How the values of one class are written and read."""

    write: Callable[[Any], Any]
    read: Callable[[Any], Any]


_CODECS: dict[type, _Codec] = {
    float: _Codec(repr, float),  # infinities and NaN, which JSON does not have
    bytes: _Codec(bytes.hex, bytes.fromhex),
    bytearray: _Codec(bytearray.hex, bytearray.fromhex),
    complex: _Codec(lambda value: [value.real, value.imag], lambda parts: complex(*parts)),
    range: _Codec(lambda value: [value.start, value.stop, value.step], lambda parts: range(*parts)),
    dt.date: _Codec(dt.date.isoformat, dt.date.fromisoformat),
    dt.datetime: _Codec(dt.datetime.isoformat, dt.datetime.fromisoformat),
    dt.time: _Codec(dt.time.isoformat, dt.time.fromisoformat),
    dt.timedelta: _Codec(
        lambda value: [value.days, value.seconds, value.microseconds], lambda parts: dt.timedelta(*parts)
    ),
    Decimal: _Codec(str, Decimal),
    UUID: _Codec(str, UUID),
}

_ARRAY_KINDS = "biufU"
"""Kinds of NumPy dtypes whose values JSON can hold, up to eight bytes a number."""


def class_named(name: Any, argument: str) -> type[Any]:
    """Imports the class that ``module:name`` names.

    Raises:
        ValueError: If there is no class of this name; names `argument`.
    """
    found = resolve(name, argument, "a class")
    if not isinstance(found, type):
        # A wrong text in a file is a wrong value.
        raise ValueError(f"{argument}: expected module:name of a class, got {name!r}; name a class")  # noqa: TRY004
    return found


def encode_config(config: Any, path: str = "config") -> Any:
    """Converts a task configuration to JSON-ready data, from which `decode_config` restores an equal one.

    Args:
        config: The configuration.
        path: Where `config` stands, for errors.

    Raises:
        ValueError: If a file cannot hold a part of `config`; names the part.
    """
    if config is None or type(config) in {bool, int, str} or (type(config) is float and math.isfinite(config)):
        return config
    if isinstance(config, BaseModel):
        fields = {name: encode_config(value, f"{path}.{name}") for name, value in fields_of(config).items()}
        return {"$type": _importable(config, path), **fields}
    if dataclasses.is_dataclass(config) and not isinstance(config, type):
        names = [field.name for field in dataclasses.fields(config) if field.init]
        fields = {name: encode_config(getattr(config, name), f"{path}.{name}") for name in names}
        return {"$type": _importable(config, path), **fields}
    if isinstance(config, dict):
        if all(type(key) is str and not key.startswith("$") for key in config):
            return {key: encode_config(value, f"{path}[{key!r}]") for key, value in config.items()}
        return as_pairs(config, path)
    if isinstance(config, list):
        return [encode_config(value, f"{path}[{index}]") for index, value in enumerate(config)]
    return _encode_value(config, path)


def as_pairs(config: Mapping[Any, Any], path: str) -> dict[str, Any]:
    """Writes a dict as a list of its keys and values, where as an object it would be read as something else."""
    pairs = [[encode_config(key, path), encode_config(value, f"{path}[{key!r}]")] for key, value in config.items()]
    return {"$type": "builtins:dict", "$value": pairs}


def _encode_value(value: Any, path: str) -> dict[str, Any]:
    """Converts a value that JSON does not have."""
    codec = _CODECS.get(type(value))
    if codec is not None:
        return {"$type": type_name(value), "$value": codec.write(value)}
    if isinstance(value, Enum):
        content = value.value if isinstance(value, Flag) else value.name
        return {"$type": _importable(value, path), "$value": content}
    if isinstance(value, tuple):
        items = [encode_config(item, f"{path}[{index}]") for index, item in enumerate(value)]
        return {"$type": _importable(value, path), "$value": items}
    if isinstance(value, set | frozenset):
        kind = "builtins:set" if isinstance(value, set) else "builtins:frozenset"
        return {"$type": kind, "$value": [encode_config(item, path) for item in _ordered(value)]}
    if isinstance(value, PurePath):
        name = "Path" if isinstance(value, Path) else type(value).__name__
        return {"$type": f"pathlib:{name}", "$value": str(value)}
    if isinstance(value, np.generic) and _is_plain(value.dtype):
        return {"$type": f"numpy:{type(value).__name__}", "$value": value.item()}
    if type(value) is np.ndarray and _is_plain(value.dtype):
        fields = {"dtype": value.dtype.str, "shape": list(value.shape)}
        return {"$type": "numpy:ndarray", **fields, "$value": value.ravel().tolist()}
    raise ValueError(
        f"{path}: expected data that a file can hold, got {value!r:.100} of {type_name(value)}; use numbers, texts, "
        f"lists, dicts, pydantic models or dataclasses"
    )


def _ordered(values: set[Any] | frozenset[Any]) -> list[Any]:
    return sorted(values, key=lambda value: repr(canonical(value)))


def _is_plain(dtype: np.dtype[Any]) -> bool:
    return dtype.kind in _ARRAY_KINDS and (dtype.kind == "U" or dtype.itemsize <= 8)


def _importable(value: Any, path: str) -> str:
    """Returns ``module:name`` of the class of `value`.

    Raises:
        ValueError: If the class cannot be imported by that name; names `path`.
    """
    name = type_name(value)
    try:
        found = class_named(name, path)
    except ValueError:
        found = None
    if found is not type(value):
        raise ValueError(
            f"{path}: expected an object whose class a file can name, got one of {name}; define the class at the top "
            f"level of a module"
        )
    return name


def decode_config(data: Any) -> Any:
    """Converts data from `encode_config` back to the task configuration; returns any other object unchanged.

    Raises:
        ValueError: If a named class cannot be imported or rejects its content.
    """
    if type(data) is list:
        return [decode_config(value) for value in data]
    if type(data) is not dict:
        return data
    if "$type" in data and "$value" in data:
        return _decode_value(data)
    values = {key: decode_config(value) for key, value in data.items() if key != "$type"}
    if "$type" in data:
        return TypeAdapter(class_named(data["$type"], "$type")).validate_python(values, by_name=True)
    return values


def _decode_value(data: dict[str, Any]) -> Any:
    """Converts data from `_encode_value` back to the value."""
    cls, content = class_named(data["$type"], "$type"), decode_config(data["$value"])
    try:
        if cls in _CODECS:
            return _CODECS[cls].read(content)
        if cls is np.ndarray:
            return np.array(content, np.dtype(data["dtype"])).reshape(data["shape"])
        if issubclass(cls, Enum):
            return cls(content) if issubclass(cls, Flag) else cls[content]
        if cls in {dict, tuple, set, frozenset}:
            return cls(content)
        if issubclass(cls, tuple):  # a named tuple
            return cls(*content)
        if issubclass(cls, PurePath | np.generic):
            return cls(content)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"$value: expected the content of a {data['$type']}, got {data['$value']!r:.100} "
            f"({type(error).__name__}: {error}); correct the file"
        ) from error
    raise ValueError(f"$type: expected a class with a $value, got {data['$type']!r}; write its fields instead")


def plain(data: Any) -> Any:
    """Converts mappings and sequences of any class, such as those of a configuration library, to dicts and lists."""
    if isinstance(data, Mapping):
        return {key: plain(value) for key, value in data.items()}
    if isinstance(data, Sequence) and not isinstance(data, str | bytes | bytearray | tuple | range):
        return [plain(value) for value in data]
    return data
