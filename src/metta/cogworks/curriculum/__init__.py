"""The import path of the reference document. Re-exports `curricular`, `curricular.metta`, and `CurriculumEnv`."""

from importlib import import_module
from typing import Any

import curricular as _curricular
from curricular import *  # noqa: F403
from curricular import metta as _upstream
from curricular.metta import *  # type: ignore[assignment]  # noqa: F403  # instead of four names of `curricular`

__all__: list[str] = []
__all__ += _curricular.__all__
__all__ += _upstream.__all__


def __getattr__(name: str) -> Any:
    # PufferLib is an optional dependency, so this name is imported on first access.
    # The name is not in __all__, because `import *` would access it.
    if name == "CurriculumEnv":
        return import_module("curricular.wrappers.mettagrid").CurriculumEnv
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
