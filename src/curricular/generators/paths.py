"""Dotted paths into nested configurations of pydantic models, dataclasses and dicts; nothing is changed in place."""

import dataclasses
import difflib
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel


def fields(config: Any) -> dict[str, Any]:
    """Returns the fields of a pydantic model, a dataclass or a dict that a path can name; empty for other objects."""
    if isinstance(config, BaseModel):
        return dict(config)
    if dataclasses.is_dataclass(config) and not isinstance(config, type):
        return {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}
    if isinstance(config, dict):
        return {name: value for name, value in config.items() if isinstance(name, str) and "." not in name}
    return {}


def all_paths(config: Any, prefix: str = "") -> Iterator[str]:
    """Yields every dotted path of `config`."""
    for name, value in fields(config).items():
        yield prefix + name
        yield from all_paths(value, f"{prefix}{name}.")


def check_path(config: Any, path: str) -> None:
    """Checks that `config` has `path`.

    Raises:
        KeyError: If `config` does not have `path`; the message names the nearest path.
    """
    paths = list(all_paths(config))
    if path not in paths:
        near = difflib.get_close_matches(path, paths, n=1, cutoff=0.0)
        hint = f"the nearest is {near[0]!r}" if near else f"a {type(config).__name__} has no paths"
        raise KeyError(f"path: expected one that the config has, got {path!r}; {hint}")


def with_values(config: Any, values: Mapping[str, Any]) -> Any:
    """Returns a copy of `config` with the value at each dotted path replaced; a model validates the whole copy."""
    nested: dict[str, dict[str, Any]] = {}
    changed: dict[str, Any] = {}
    for path, value in values.items():
        name, _, rest = path.partition(".")
        if rest:
            nested.setdefault(name, {})[rest] = value
        else:
            changed[name] = value
    current = fields(config)
    for name, inner in nested.items():
        changed[name] = with_values(changed.get(name, current[name]), inner)
    if isinstance(config, BaseModel):
        return type(config).model_validate({**current, **changed}, by_name=True)
    if isinstance(config, dict):
        return {**config, **changed}
    return dataclasses.replace(config, **changed)
