"""Generators and task configurations as plain data and back, for JSON and YAML.

A configuration that is a pydantic model or a dataclass is written as its fields and a ``"$type": "module:name"``; a
generator names its class in ``"kind"``. Reading imports the modules named, so read only files that you trust.
"""

import dataclasses
import importlib
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, PlainSerializer, PlainValidator, TypeAdapter

from .protocol import TaskGenerator

KINDS = {
    "single": "curricular.generators:SingleTaskGenerator",
    "bucketed": "curricular.generators:BucketedTaskGenerator",
    "set": "curricular.generators:TaskGeneratorSet",
}
"""Short kinds of the generators in the box; a user's own has its ``module:name`` as kind."""


def _resolve(name: str, argument: str) -> Any:
    module, _, attribute = name.partition(":")
    try:
        found = importlib.import_module(module)
        for part in attribute.split("."):
            found = vars(found)[part]
    except (ImportError, KeyError, ValueError) as error:
        raise ValueError(
            f"{argument}: expected module:name of a class that can be imported, got {name!r} ({error}); "
            f"install the module or correct the name"
        ) from error
    return found


def _type_name(value: object) -> str:
    return f"{type(value).__module__}:{type(value).__qualname__}"


def encode_config(config: Any) -> Any:
    """A task configuration as JSON-ready data."""
    if isinstance(config, BaseModel) or dataclasses.is_dataclass(config):
        fields = TypeAdapter(type(config)).dump_python(config, mode="json")
        return {"$type": _type_name(config), **fields}
    if isinstance(config, dict):
        return {key: encode_config(value) for key, value in config.items()}
    if isinstance(config, list | tuple):
        return [encode_config(value) for value in config]
    return config


def decode_config(data: Any) -> Any:
    """The task configuration that `encode_config` wrote; any other object as it is."""
    if type(data) is dict:
        if "$type" in data:
            cls = _resolve(data["$type"], "$type")
            return TypeAdapter(cls).validate_python({key: value for key, value in data.items() if key != "$type"})
        return {key: decode_config(value) for key, value in data.items()}
    return [decode_config(value) for value in data] if type(data) is list else data


def dump_task_generator(generator: TaskGenerator[Any]) -> dict[str, Any]:
    """`generator` as JSON-ready data that `load_task_generator` reads.

    Raises `TypeError` if it, or one inside it, is a class of your own that is not a pydantic model.
    """
    if not isinstance(generator, BaseModel):
        raise TypeError(
            f"generator: expected a pydantic model, got {type(generator).__name__}, which cannot be written to a file; "
            f"derive your class from pydantic.BaseModel"
        )
    return {"kind": _type_name(generator), **generator.model_dump(mode="json")}


def load_task_generator(data: Any) -> TaskGenerator[Any]:
    """The generator that `data`, from `dump_task_generator`, describes; a generator is returned as it is.

    Raises `ValueError` for an unknown kind, a class that cannot be imported, or wrong fields.
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
