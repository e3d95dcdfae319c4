"""The algorithms that the bench knows by name, and a user's own by ``module:name``."""

import functools
import importlib
from collections.abc import Callable, Mapping
from typing import cast

from .. import (
    Algorithm,
    CurriculumConfig,
    LearnabilityConfig,
    LearningProgressAlgorithm,
    LearningProgressConfig,
    NoiseAwareConfig,
    ThompsonConfig,
    UniformConfig,
)
from ..scorers import Array, Columns, reweight

Choice = CurriculumConfig | tuple[CurriculumConfig, Algorithm]
"""What a factory returns: a config of an algorithm in the box, or any config and the algorithm object."""

Factory = Callable[..., Choice]
"""Called with the keywords `num_active_tasks`, `seed` and `use_shared_memory`, which belong into the config."""


class Unidirectional(LearningProgressAlgorithm):
    """The reference pipeline with max(R(fast) − R(slow), 0): blind to forgetting, to compare with."""

    def learning_progress(self, columns: Columns) -> Array:
        fast, slow = columns["fast_ema"], columns["slow_ema"]
        xp = fast.__array_namespace__()
        difference = reweight(fast, self.config.theta) - reweight(slow, self.config.theta)
        return xp.where(columns["num_completions"] > 0, xp.clip(difference, 0.0, None), 0.0)


def unidirectional(**settings: int) -> Choice:
    """The reference pipeline that sees improvement only."""
    config = LearningProgressConfig.default(**settings)
    return config, Unidirectional(config)


SMALL_POOL = 2_000
"""Tasks that are active at a time in the arm of this name."""


def small_pool(*, num_active_tasks: int, **settings: int) -> Choice:
    """The recommended choice over at most `SMALL_POOL` tasks at a time: the others come in by eviction."""
    return NoiseAwareConfig.recommended(num_active_tasks=min(num_active_tasks, SMALL_POOL), **settings)


ARMS: Mapping[str, Factory] = {
    "uniform": UniformConfig,
    "learning-progress": LearningProgressConfig.default,
    "stable": LearningProgressConfig.stable,
    "fast-learning": LearningProgressConfig.fast_learning,
    "unidirectional": unidirectional,
    "noise-aware": NoiseAwareConfig.recommended,
    "noise-aware-small-pool": small_pool,
    "learnability": LearnabilityConfig,
    "thompson": ThompsonConfig,
}
"""By name."""


def find(name: str) -> Factory:
    """The factory of a known arm, or what ``module:name`` names.

    Raises `ValueError` if there is no such arm, module or name.

    >>> find("curricular:LearningProgressConfig.stable")(num_active_tasks=4).ema_timescale
    0.01
    """
    if name in ARMS:
        return ARMS[name]
    module, _, path = name.partition(":")
    try:
        found = functools.reduce(getattr, path.split("."), importlib.import_module(module))
    except (ImportError, AttributeError) as error:
        raise ValueError(
            f"algorithms: expected one of {', '.join(ARMS)}, or module:name of a factory of your own, got {name!r} "
            f"({error}); correct the name, or run where the module can be imported"
        ) from error
    return cast(Factory, found)
