"""The import path of the reference document. Re-exports `curricular` and PufferLib's `CurriculumEnv`, nothing else."""

from importlib import import_module
from typing import Any

from curricular import *  # noqa: F403
from curricular import __all__ as __all__


def __getattr__(name: str) -> Any:
    # PufferLib is an extra, and the rest must work without it: so this one name is imported when somebody asks for it.
    # It is not in __all__, where `import *` would ask.
    if name == "CurriculumEnv":
        return import_module("curricular.wrappers.puffer").CurriculumEnv
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
