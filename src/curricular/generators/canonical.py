"""Conversion of any value to JSON-ready data for comparison, the same in every process."""

import dataclasses
import hashlib
import types
from collections.abc import Mapping
from enum import Enum
from functools import partial
from pathlib import PurePath
from typing import Any

import numpy as np
from pydantic import BaseModel
from pydantic_core import to_jsonable_python

_FUNCTIONS = (type, types.FunctionType, types.BuiltinFunctionType, np.ufunc)


def type_name(value: object) -> str:
    """Returns ``module:name`` of the class of `value`."""
    return f"{type(value).__module__}:{type(value).__qualname__}"


def fields_of(model: BaseModel) -> dict[str, Any]:
    """Returns the fields of a pydantic model by name, extra ones included, but not what its properties have cached."""
    names = type(model).model_fields.keys() | (model.model_extra or {}).keys()
    return {name: value for name, value in model if name in names}


class Identified:
    """A base class for generators that are identified by a hash, because their fields hold too much data to compare."""

    def identify(self) -> str:
        """Returns a hash of everything that determines the tasks, the same in every process."""
        raise NotImplementedError("identify: expected an override that returns a hash; write it")


def canonical(value: Any) -> Any:
    """Converts `value` to JSON-ready data for comparison, the same in every process.

    Values that are not plain numbers, strings or None become a list of their kind and their content, so that values of
    different kinds differ. An object whose data cannot be read is represented by its class.
    """
    if value is None or type(value) in {bool, int, float, str}:
        return value
    if isinstance(value, Identified):
        return [type_name(value), value.identify()]
    if isinstance(value, BaseModel):
        return [type_name(value), {name: canonical(item) for name, item in fields_of(value).items()}]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in dataclasses.fields(value)]
        return [type_name(value), {name: canonical(getattr(value, name)) for name in names}]
    if isinstance(value, Enum):
        return [type_name(value), value.name]
    if isinstance(value, Mapping):
        return ["mapping", _sorted([canonical(key), canonical(item)] for key, item in value.items())]
    if isinstance(value, set | frozenset):
        return ["set", _sorted(map(canonical, value))]
    if isinstance(value, list | tuple):
        return ["list", [canonical(item) for item in value]]
    if isinstance(value, np.ndarray):
        return ["array", str(value.dtype), list(value.shape), _content(value)]
    if isinstance(value, np.generic) and type(value.item()) in {bool, int, float, str}:
        return value.item()
    return _opaque(value)


def _sorted(items: Any) -> list[Any]:
    return sorted(items, key=repr)


def _content(array: np.ndarray[Any, Any]) -> Any:
    if array.dtype.hasobject:
        return canonical(array.tolist())
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def _opaque(value: Any) -> Any:
    """Converts a value without parts: bytes, paths, dates, functions, and objects of any other class."""
    if isinstance(value, bytes | bytearray):
        return ["bytes", value.hex()]
    if isinstance(value, PurePath):
        return ["path", str(value)]
    if isinstance(value, partial):
        return ["partial", canonical(value.func), canonical(value.args), canonical(value.keywords)]
    if isinstance(value, types.MethodType):
        return ["method", value.__func__.__qualname__, canonical(value.__self__)]
    if isinstance(value, _FUNCTIONS):
        return ["function", *_function(value)]
    if isinstance(value, types.SimpleNamespace):
        return ["namespace", canonical(vars(value))]
    return [type_name(value), to_jsonable_python(value, fallback=type_name, bytes_mode="hex")]


def _function(function: Any) -> list[Any]:
    """Returns module and name of a function or class, and the code of a function that its name does not identify."""
    module = "numpy" if isinstance(function, np.ufunc) else function.__module__
    name = getattr(function, "__qualname__", function.__name__)
    traits = [str(module), name]
    if "<" in name and isinstance(function, types.FunctionType):
        cells = [_cell(cell) for cell in function.__closure__ or ()]
        defaults = canonical([function.__defaults__, function.__kwdefaults__])
        traits += [*_code(function.__code__), defaults, cells]
    return traits


def _code(code: types.CodeType) -> list[Any]:
    constants = [_code(item) if isinstance(item, types.CodeType) else canonical(item) for item in code.co_consts]
    return [code.co_code.hex(), list(code.co_names), constants]


def _cell(cell: types.CellType) -> Any:
    """Converts a variable of a closure. A function counts by its name only, since it may contain itself."""
    try:
        content = cell.cell_contents
    except ValueError:  # not assigned yet
        return None
    return content.__qualname__ if isinstance(content, types.FunctionType) else canonical(content)


def label_text(value: Any) -> str | None:
    """Returns how a label shows `value`, or None for a value with parts, which is too long for a label."""
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, bytes):
        return repr(value)
    if isinstance(value, _FUNCTIONS):
        return str(value.__name__)
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | float | str | PurePath):
        return str(value)
    text = to_jsonable_python(value, fallback=lambda _: [], bytes_mode="hex")
    return text if isinstance(text, str) else None
