"""The algorithms that the bench knows by name, and custom ones as ``module:function``."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import cast

from .. import (
    Algorithm,
    CurriculumConfig,
    LearnabilityConfig,
    LearningProgressConfig,
    NoiseAwareConfig,
    ThompsonConfig,
    UniformConfig,
    create_proposer,
    merge,
    single_task,
)
from ..algorithms.learning_progress import LearningProgressAlgorithm
from ..algorithms.registry import variants
from ..arrays import Array, Columns
from ..imports import resolve
from ..priorities import reweight

AlgorithmSpec = CurriculumConfig | tuple[CurriculumConfig, Algorithm]
"""What a factory returns: the config of a built-in algorithm, or any config with the algorithm object."""

Factory = Callable[..., AlgorithmSpec]
"""Function of the keywords `num_active_tasks`, `seed` and `use_shared_memory`, which it passes to the config."""


class FactoryError(ValueError):
    """A factory does not fit: it raises an error, returns no config, or its config does not suit the tasks."""


class Unidirectional(LearningProgressAlgorithm):
    """The reference pipeline with max(R(fast) − R(slow), 0) as learning progress: it does not see forgetting."""

    def learning_progress(self, columns: Columns) -> Array:
        fast, slow = columns["fast_ema"], columns["slow_ema"]
        xp = fast.__array_namespace__()
        difference = reweight(fast, self.config.theta) - reweight(slow, self.config.theta)
        return xp.where(columns["num_completions"] > 0, xp.clip(difference, 0.0, None), 0.0)


def unidirectional(**settings: int) -> AlgorithmSpec:
    """Returns the reference pipeline that sees improvement only."""
    config = LearningProgressConfig.default(**settings)
    return config, Unidirectional(config)


SMALL_POOL = 2_000
"""Largest number of active tasks of `noise-aware-small-pool`."""


def small_pool(*, num_active_tasks: int, **settings: float) -> AlgorithmSpec:
    """Returns the recommended config with at most `SMALL_POOL` active tasks; eviction brings in the others."""
    return NoiseAwareConfig.recommended(num_active_tasks=min(num_active_tasks, SMALL_POOL), **settings)


PLANNED = ("sequential", "target-schedule", "weighted")
"""Names of the built-in algorithms that follow the user's own plan, which an unknown world does not have."""


def _can_play(factory: Callable[..., CurriculumConfig]) -> bool:
    """Returns whether an algorithm needs neither regrets nor an endless generator."""
    config = factory()
    try:
        create_proposer(config, merge([single_task(number) for number in range(2)]))
    except (TypeError, ValueError):
        return False
    return not config.needs_regrets


BUILT_IN: Mapping[str, Callable[..., CurriculumConfig]] = {
    name: factory for name, factory in variants().items() if name not in PLANNED and _can_play(factory)
}
"""Built-in algorithms by name that need no plan, no regrets and no endless generator."""

ALGORITHMS: Mapping[str, Factory] = {
    **BUILT_IN,
    "exact-epochs": partial(UniformConfig, cover_share=1.0),
    "unidirectional": unidirectional,
    "noise-aware-small-pool": small_pool,
    "noise-aware-proposing": partial(small_pool, proposal_share=0.5),
    "thompson-prompts-sharing": partial(ThompsonConfig.prompts, sharing=True),
    "learnability-sharing": partial(LearnabilityConfig, sharing=True),
}
"""Algorithms of the bench by name: the built-in ones, then variants that exist for comparison only."""

FIXED: Mapping[str, Factory] = {
    "noise-aware": partial(NoiseAwareConfig.recommended, interval_width=0.0),
    "learning-progress": LearningProgressConfig.default,
}
"""Algorithms by name that accept a fixed rate, as in ``noise-aware@0.05``.

Without an interval width, the intervals of two time scales never overlap. Noise-aware choice then always uses the
shortest scale: the averages at the given rate and at a quarter of the rate. The exception is a task whose results were
all equal, where all scales agree.
"""

COST_SUFFIX = "+cost"
"""Suffix of a name, as in ``stable+cost``: where costs differ, probabilities are divided by the tasks' costs."""

PROFILE_SUFFIX, PROFILE_AXIS = "+profile", 1
"""Suffix of a name, as in ``thompson+profile``, and the axis that then holds a success rate known beforehand."""

UNIDIRECTIONAL, UNPOOLED = "unidirectional", "noise-aware-unpooled"
"""Names of the algorithms to compare with in the scenarios `forgetting` and `axes`."""


def comparisons(algorithms: Sequence[str], scenario: str) -> list[str]:
    """Returns the names of the algorithms that play only in `scenario`, to compare `algorithms` with.

    Examples:
        >>> comparisons(["uniform", "stable"], "cost")
        ['uniform+cost', 'stable+cost']
    """
    informed = [with_costs(name) for name in algorithms]
    return {"forgetting": [UNIDIRECTIONAL], "axes": [UNPOOLED], "cost": informed}.get(scenario, [])


def with_costs(name: str) -> str:
    """Returns the name of the algorithm `name` that is told the tasks' costs."""
    return f"{name.removesuffix(COST_SUFFIX)}{COST_SUFFIX}"


def find(name: str) -> Factory:
    """Returns the factory of an algorithm.

    Args:
        name: A name in `ALGORITHMS`, a name in `FIXED` with a rate after an ``@``, or ``module:function``; each perhaps
            with `PROFILE_SUFFIX`.

    Raises:
        ValueError: If the algorithm, the rate, the module or the function does not exist.

    Examples:
        >>> find("noise-aware@0.05")(num_active_tasks=4).ema_timescale
        0.05
        >>> find("curricular:LearningProgressConfig.stable")(num_active_tasks=4).ema_timescale
        0.01
    """
    if name.endswith(PROFILE_SUFFIX):
        return partial(find(name.removesuffix(PROFILE_SUFFIX)), prior_axis=PROFILE_AXIS)
    algorithm, _, rate = name.partition("@")
    if rate and algorithm in FIXED:
        return partial(FIXED[algorithm], ema_timescale=_rate(name, rate))
    if name in ALGORITHMS:
        return ALGORITHMS[name]
    module, _, path = name.partition(":")
    if not module or not path:
        raise ValueError(
            f"algorithms: expected one of {', '.join(ALGORITHMS)}, or module:function for your own, got {name!r}; "
            "correct the name"
        )
    return cast(Factory, resolve(name, "algorithms", "a function that makes a config"))


def _rate(name: str, rate: str) -> float:
    try:
        value = float(rate)
    except ValueError:
        value = 0.0
    if not 1e-3 <= value <= 0.9:
        raise ValueError(f"algorithms: expected a rate from 0.001 to 0.9 after the @, got {name!r}; correct the rate")
    return value
