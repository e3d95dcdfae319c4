"""Which new tasks enter the pool: the protocol, and the registry of those in the box. One file each."""

from collections.abc import Callable, Mapping
from typing import Any

from ..algorithms.accel import AccelConfig
from ..algorithms.alp_gmm import AlpGmmConfig
from ..algorithms.noise_aware import NoiseAwareConfig
from ..config import CurriculumConfig
from ..generators import TaskGenerator
from .mutations import MutationProposer, by_mutation
from .progress import ProgressProposer, by_progress
from .progress_mixture import ProgressMixtureProposer
from .protocol import FreshProposer, NewTasks, Proposer

__all__ = [
    "FreshProposer",
    "MutationProposer",
    "NewTasks",
    "ProgressMixtureProposer",
    "ProgressProposer",
    "Proposer",
    "create_proposer",
]

_PROPOSERS: Mapping[type[CurriculumConfig], Callable[[Any, TaskGenerator[Any]], Proposer]] = {
    AccelConfig: by_mutation,
    AlpGmmConfig: ProgressMixtureProposer,
    NoiseAwareConfig: by_progress,
}
"""Config class -> (config, generator) -> proposer; for all others, fresh tasks."""


def create_proposer(config: CurriculumConfig, generator: TaskGenerator[Any]) -> Proposer:
    """The proposer that `config`, or the nearest of its base classes, calls for: for most, one of fresh tasks.

    Raises `TypeError` or `ValueError` if the generator lacks what that proposer needs.
    """
    for cls in type(config).__mro__:
        if cls in _PROPOSERS:
            return _PROPOSERS[cls](config, generator)
    return FreshProposer()
