"""The import path of the reference document. Re-exports `curricular`, and the `CurriculumEnv` for PufferLib."""

from importlib import import_module
from typing import Any

from curricular import *  # noqa: F403
from curricular import __all__ as __all__


def __getattr__(name: str) -> Any:
    # PufferLib is an optional dependency, so this name is imported on first access.
    # The name is not in __all__, because `import *` would access it.
    if name == "CurriculumEnv":
        return import_module("curricular.wrappers.puffer").CurriculumEnv
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
