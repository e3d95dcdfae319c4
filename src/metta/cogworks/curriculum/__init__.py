"""The import path of the reference document. Re-exports `curricular`, `curricular.metta`, and `CurriculumEnv`."""

from importlib import import_module
from typing import Any

from curricular import *  # noqa: F403
from curricular import __all__ as _names
from curricular.metta import *  # type: ignore[assignment]  # noqa: F403  # instead of four names of `curricular`
from curricular.metta import __all__ as _upstream_names

__all__ = list(_names)
__all__ += [name for name in _upstream_names if name not in __all__]


def __getattr__(name: str) -> Any:
    # PufferLib is an optional dependency, so this name is imported on first access.
    # The name is not in __all__, because `import *` would access it.
    if name == "CurriculumEnv":
        return import_module("curricular.wrappers.mettagrid").CurriculumEnv
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
