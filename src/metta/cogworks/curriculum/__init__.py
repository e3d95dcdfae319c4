"""The import path of the reference document. Re-exports `curricular` and nothing else."""

from curricular import *  # noqa: F403
from curricular import __all__ as _names
from curricular.wrappers.puffer import CurriculumEnv

__all__ = [*_names, "CurriculumEnv"]
