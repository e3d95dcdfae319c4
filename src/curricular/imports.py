"""`resolve`: imports what a text of the form ``module:name`` names."""

from functools import reduce
from importlib import import_module
from typing import Any


def resolve(name: Any, argument: str, expected: str) -> Any:
    """Imports what ``module:name`` names. The name may be a path, such as ``module:Class.method``.

    Args:
        name: The text, or what a file has in its place.
        argument: Name of the argument or of the entry of a file, for the error.
        expected: What the text is to name, for the error.

    Raises:
        ValueError: If there is nothing of this name; names `argument`.

    Examples:
        >>> resolve("json:JSONDecoder.decode", "decoder", "a function").__name__
        'decode'
    """
    module, _, path = name.partition(":") if isinstance(name, str) else ("", "", "")
    try:
        return reduce(getattr, path.split("."), import_module(module))
    except (ImportError, AttributeError, TypeError, ValueError) as error:  # TypeError: of a name with dots first
        raise ValueError(
            f"{argument}: expected module:name of {expected}, got {name!r} ({error}); correct the name, or install the "
            f"module or put its folder on PYTHONPATH"
        ) from error
