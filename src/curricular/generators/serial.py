"""Conversion of generators to plain data and back, for JSON and YAML. A generator names its class in ``"kind"``."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, PlainSerializer, PlainValidator, ValidationInfo

from .canonical import type_name
from .copies import copied
from .encoding import class_named, decode_config, encode_config, plain
from .protocol import TaskGenerator, check_generator

KINDS = {
    "single": "curricular.generators:SingleTaskGenerator",
    "bucketed": "curricular.generators:BucketedTaskGenerator",
    "set": "curricular.generators:TaskGeneratorSet",
    "sequence": "curricular.generators:SequenceTaskGenerator",
}
"""Short kind -> class of each built-in generator; the kind of a custom generator is its ``module:name``."""

FROM_FILE = "from a file"
"""Validation context of a generator that is read from data, where a dict in a list may stand for a `Span`."""

AS_IS = "as it is"
"""Validation context of a configuration that is not read from data, and may have keys such as ``"$type"`` itself."""


def dump_task_generator(generator: TaskGenerator[Any]) -> dict[str, Any]:
    """Converts `generator` to JSON-ready data that `load_task_generator` reads.

    Raises:
        TypeError: If `generator` is not a pydantic model.
        ValueError: If a generator inside `generator` is not a pydantic model, or if a file cannot hold a part of a
            configuration; names the part.
    """
    if not isinstance(generator, BaseModel):
        raise TypeError(
            f"generator: expected a pydantic model, got {type(generator).__name__}, which cannot be written to a file; "
            f"derive your class from pydantic.BaseModel"
        )
    return {"kind": type_name(generator), **generator.model_dump(mode="json")}


def load_task_generator(data: Any) -> TaskGenerator[Any]:
    """Builds the generator that `data` describes.

    Args:
        data: Data from `dump_task_generator`, as a mapping of any class, or a generator, which is returned unchanged.

    Raises:
        TypeError: If `data` is neither a mapping nor a generator.
        ValueError: If the kind is unknown, the class cannot be imported, or a field is wrong.
    """
    if not isinstance(data, Mapping):
        check_generator(data)
        return data  # type: ignore[no-any-return]
    fields = plain(data)
    kind = fields.get("kind")
    if not isinstance(kind, str) or (kind not in KINDS and ":" not in kind):
        raise ValueError(
            f"kind: expected one of {', '.join(KINDS)} or module:name, got {kind!r}; name a generator class"
        )
    cls = class_named(KINDS.get(kind, kind), "kind")
    if not issubclass(cls, BaseModel):
        # A wrong text in a file is a wrong value.
        raise ValueError(f"kind: expected the name of a pydantic model, got {kind!r}; name a generator class")  # noqa: TRY004
    if kind not in KINDS:
        del fields["kind"]
    return cls.model_validate(fields, context=FROM_FILE)  # type: ignore[return-value]


def _owned(data: Any, info: ValidationInfo) -> Any:
    """Returns the configuration that `data` describes, as an object that belongs to the generator alone."""
    return copied(data if info.context == AS_IS else decode_config(data))


AnyConfig = Annotated[Any, PlainValidator(_owned), PlainSerializer(encode_config)]
"""A field that holds any task configuration."""

AnyGenerator = Annotated[Any, PlainValidator(load_task_generator), PlainSerializer(dump_task_generator)]
"""A field that holds any task generator."""
