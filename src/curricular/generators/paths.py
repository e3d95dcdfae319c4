"""Dotted paths into nested configurations; nothing is changed in place.

A step of a path is a field of a pydantic model or a dataclass, a key of a mapping, or an index of a list or tuple.
"""

import copy
import dataclasses
import difflib
from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any

from pydantic import BaseModel

from .canonical import fields_of

Steps = tuple[str, ...]
"""The names from a configuration to one of its parts; a key with dots is one name."""


def fields(config: Any) -> dict[str, Any]:
    """Returns the parts of a configuration that a path can name; empty for other objects."""
    if isinstance(config, BaseModel):
        return fields_of(config)
    if dataclasses.is_dataclass(config) and not isinstance(config, type):
        return {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}
    if isinstance(config, Mapping):
        numbers = {str(key): value for key, value in config.items() if type(key) is int}
        return numbers | {key: value for key, value in config.items() if isinstance(key, str) and key}
    if isinstance(config, list | tuple):
        return {str(index): value for index, value in enumerate(config)}
    return {}


def all_paths(config: Any, prefix: str = "") -> Iterator[str]:
    """Yields every dotted path of `config`."""
    for name, value in fields(config).items():
        yield prefix + name
        yield from all_paths(value, f"{prefix}{name}.")


def steps_of(config: Any, path: str) -> Steps:
    """Returns the steps of `path` in `config`. The last step may be a new key, if what precedes it is a mapping.

    A new key may have dots where the mapping is empty or has such keys; elsewhere it would hide a misspelt step.

    Raises:
        KeyError: If `config` neither has `path` nor a place for it; the message names the nearest path.
    """
    steps = _existing(config, path) or _new(config, path)
    if steps is None:
        near = difflib.get_close_matches(path, list(all_paths(config)), n=1, cutoff=0.0)
        hint = f"the nearest is {near[0]!r}" if near else f"a {type(config).__name__} has no paths"
        raise KeyError(f"path: expected one that the config has, got {path!r}; {hint}")
    return steps


def _existing(config: Any, path: str) -> Steps | None:
    """Returns the steps of a path that `config` has. Of several readings, the one with the shortest keys counts."""
    parts = fields(config)
    for name, rest in _splits(path):
        if name in parts:
            inner = _existing(parts[name], rest) if rest else ()
            if inner is not None:
                return (name, *inner)
    return None


def _new(config: Any, path: str) -> Steps | None:
    """Returns the steps of a path whose last name is a new key of a mapping that is there."""
    if path and "." not in path:
        is_open = isinstance(config, BaseModel) and config.model_config.get("extra") == "allow"
        return (path,) if isinstance(config, Mapping) or is_open else None
    if all(path.split(".")) and isinstance(config, Mapping) and all("." in str(key) for key in config):
        return (path,)
    parts = fields(config)
    for name, rest in _splits(path):
        inner = _new(parts[name], rest) if name in parts and rest else None
        if inner is not None:
            return (name, *inner)
    return None


def _splits(path: str) -> Iterator[tuple[str, str]]:
    """Yields each first step that `path` may have, shortest first, with the rest of the path."""
    end = path.find(".")
    while 0 <= end < len(path) - 1:
        yield path[:end], path[end + 1 :]
        end = path.find(".", end + 1)
    yield path, ""


def with_values(config: Any, values: Mapping[Steps, Any]) -> Any:
    """Returns a copy of `config` with the value after each of the steps replaced; a model validates the whole copy."""
    changed: dict[str, Any] = {}
    nested: dict[str, dict[Steps, Any]] = {}
    for steps, value in values.items():
        if len(steps) == 1:
            changed[steps[0]] = value
        else:
            nested.setdefault(steps[0], {})[steps[1:]] = value
    for name, inner in nested.items():
        part = changed[name] if name in changed else _part(config, name)
        changed[name] = with_values(part, inner)
    return _replaced(config, changed)


def _part(config: Any, name: str) -> Any:
    """Returns the part of `config` with this name."""
    if isinstance(config, Mapping):
        return config[_key(config, name)]
    return config[int(name)] if isinstance(config, list | tuple) else getattr(config, name)


def _replaced(config: Any, changed: dict[str, Any]) -> Any:
    """Returns a copy of `config` in which the parts with the names in `changed` are replaced."""
    if isinstance(config, BaseModel):
        return type(config).model_validate({**fields_of(config), **changed}, by_name=True)
    if isinstance(config, Mapping):
        named = {_key(config, name): value for name, value in changed.items()}
        if type(config) is dict:
            return {**config, **named}
        if isinstance(config, MutableMapping):
            mutable = copy.copy(config)
            mutable.update(named)
            return mutable
        return type(config)({**config, **named})  # type: ignore[call-arg]  # as MappingProxyType and frozen dicts do
    if isinstance(config, list | tuple):
        items = list(config)
        for name, value in changed.items():
            items[int(name)] = value
        if isinstance(config, tuple):
            return tuple(items) if type(config) is tuple else type(config)(*items)  # a named tuple
        return items
    return dataclasses.replace(config, **changed)


def _key(mapping: Mapping[Any, Any], name: str) -> Any:
    """Returns the key of `mapping` that a step names: the name itself, or a whole number that reads like it."""
    return int(name) if name not in mapping and name.isdecimal() and int(name) in mapping else name
