"""Conversion of generators and task configurations to plain data and back, for JSON and YAML.

A pydantic model or a dataclass is written as its fields and a ``"$type": "module:name"``. A generator names its class
in ``"kind"``. Reading imports the named modules, so read only files that you trust.
"""

import dataclasses
import importlib
from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, PlainSerializer, PlainValidator, TypeAdapter
from pydantic_core import to_jsonable_python

from .protocol import TaskGenerator

KINDS = {
    "single": "curricular.generators:SingleTaskGenerator",
    "bucketed": "curricular.generators:BucketedTaskGenerator",
    "set": "curricular.generators:TaskGeneratorSet",
    "sequence": "curricular.generators:SequenceTaskGenerator",
}
"""Short kind -> class of each built-in generator; the kind of a custom generator is its ``module:name``."""


def _resolve(name: str, argument: str) -> Any:
    module, _, attribute = name.partition(":")
    try:
        found = importlib.import_module(module)
        for part in attribute.split("."):
            found = vars(found)[part]
    except (ImportError, KeyError, ValueError) as error:
        raise ValueError(
            f"{argument}: expected module:name of an importable class, got {name!r} ({error}); "
            f"install the module or correct the name"
        ) from error
    return found


def _type_name(value: object) -> str:
    return f"{type(value).__module__}:{type(value).__qualname__}"


def encode_config(config: Any) -> Any:
    """Converts a task configuration to JSON-ready data."""
    if isinstance(config, BaseModel):
        return {"$type": _type_name(config), **{name: encode_config(value) for name, value in config}}
    if dataclasses.is_dataclass(config) and not isinstance(config, type):
        values = {field.name: getattr(config, field.name) for field in dataclasses.fields(config) if field.init}
        return {"$type": _type_name(config), **{name: encode_config(value) for name, value in values.items()}}
    if isinstance(config, dict):
        return {key: encode_config(value) for key, value in config.items()}
    if isinstance(config, list | tuple):
        return [encode_config(value) for value in config]
    return to_jsonable_python(config)


def decode_config(data: Any) -> Any:
    """Converts data from `encode_config` back to the task configuration; returns any other object unchanged.

    Raises:
        ValueError: If a named class cannot be imported or rejects its fields.
    """
    if type(data) is dict:
        values = {key: decode_config(value) for key, value in data.items() if key != "$type"}
        if "$type" in data:
            return TypeAdapter(_resolve(data["$type"], "$type")).validate_python(values, by_name=True)
        return values
    return [decode_config(value) for value in data] if type(data) is list else data


class Identified:
    """A base class for generators that are identified by a hash, because their fields hold too much data to compare."""

    @property
    def identity(self) -> str:
        """Hash of everything that determines the tasks, the same in every process."""
        raise NotImplementedError("identity: expected an override that returns a hash; write it")


def canonical(value: Any) -> Any:
    """Converts `value` to JSON-ready data for comparison, the same in every process.

    An object whose data cannot be read is represented by its class.
    """
    if isinstance(value, Identified):
        return [_type_name(value), value.identity]
    if isinstance(value, BaseModel):
        return [_type_name(value), canonical(dict(value))]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return [
            _type_name(value),
            {field.name: canonical(getattr(value, field.name)) for field in dataclasses.fields(value)},
        ]
    if isinstance(value, Mapping):
        return {str(key): canonical(item) for key, item in value.items()}
    if isinstance(value, set | frozenset):
        return sorted((canonical(item) for item in value), key=repr)
    if isinstance(value, list | tuple):
        return [canonical(item) for item in value]
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    return to_jsonable_python(value, fallback=_type_name)


def dump_task_generator(generator: TaskGenerator[Any]) -> dict[str, Any]:
    """Converts `generator` to JSON-ready data that `load_task_generator` reads.

    Raises:
        TypeError: If `generator` is not a pydantic model.
        ValueError: If a generator inside `generator` is not a pydantic model.
    """
    if not isinstance(generator, BaseModel):
        raise TypeError(
            f"generator: expected a pydantic model, got {type(generator).__name__}, which cannot be written to a file; "
            f"derive your class from pydantic.BaseModel"
        )
    return {"kind": _type_name(generator), **generator.model_dump(mode="json")}


def load_task_generator(data: Any) -> TaskGenerator[Any]:
    """Builds the generator that `data` describes.

    Args:
        data: Data from `dump_task_generator`, or a generator, which is returned unchanged.

    Raises:
        ValueError: If the kind is unknown, the class cannot be imported, or a field is wrong.
    """
    if not isinstance(data, Mapping):
        return data  # type: ignore[no-any-return]
    fields = dict(data)
    kind = fields.get("kind")
    if not isinstance(kind, str) or (kind not in KINDS and ":" not in kind):
        raise ValueError(
            f"kind: expected one of {', '.join(KINDS)} or module:name, got {kind!r}; name a generator class"
        )
    cls = _resolve(KINDS.get(kind, kind), "kind")
    if kind not in KINDS:
        del fields["kind"]
    return cls.model_validate(fields)  # type: ignore[no-any-return]


AnyConfig = Annotated[Any, PlainValidator(decode_config), PlainSerializer(encode_config)]
"""A field that holds any task configuration."""

AnyGenerator = Annotated[Any, PlainValidator(load_task_generator), PlainSerializer(dump_task_generator)]
"""A field that holds any task generator."""
