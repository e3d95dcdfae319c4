"""The algorithms that the bench knows by name, and a user's own by ``module:name``."""

import importlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial, reduce
from typing import cast

from .. import (
    Algorithm,
    CurriculumConfig,
    LearningProgressConfig,
    NoiseAwareConfig,
    create_proposer,
    merge,
    single_task,
)
from ..algorithms.learning_progress import LearningProgressAlgorithm
from ..algorithms.registry import variants
from ..arrays import Array, Columns
from ..priorities import reweight

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
"""Tasks that are active at a time in the algorithm of this name."""


def small_pool(*, num_active_tasks: int, **settings: float) -> Choice:
    """The recommended choice over at most `SMALL_POOL` tasks at a time: the others come in by eviction."""
    return NoiseAwareConfig.recommended(num_active_tasks=min(num_active_tasks, SMALL_POOL), **settings)


PLANNED = ("sequential", "target-schedule", "weighted")
"""Algorithms in the box that follow a plan of the user's, and so have nothing to show on a world they do not know."""

OTHERS: Mapping[str, Factory] = {
    "unidirectional": unidirectional,
    "noise-aware-small-pool": small_pool,
    "noise-aware-proposing": partial(small_pool, proposal_share=0.5),
}
"""By name, what is compared with beside the algorithms in the box."""


def _can_play(factory: Factory) -> bool:
    """Whether an algorithm needs neither regrets nor an endless generator."""
    config = cast(CurriculumConfig, factory())
    try:
        create_proposer(config, merge([single_task(number) for number in range(2)]))
    except (TypeError, ValueError):
        return False
    return not config.needs_regrets


ALGORITHMS: Mapping[str, Factory] = {
    **{name: factory for name, factory in variants().items() if name not in PLANNED and _can_play(factory)},
    **OTHERS,
}
"""By name, what the bench can compare."""

FIXED: Mapping[str, Factory] = {
    "noise-aware": partial(NoiseAwareConfig.recommended, interval_width=0.0),
    "learning-progress": LearningProgressConfig.default,
}
"""By name, those that can be had at a fixed rate: ``noise-aware@0.05`` and the like.

Without a width the intervals of two time scales never meet, so that noise-aware choice keeps to the shortest one: the
averages at the given rate and at a quarter of it. Only for a task whose results were all equal do all scales agree.
"""

TOLD_COSTS = "+cost"
"""After an algorithm's name: the same, with its probabilities divided by what a task costs, where tasks differ in that."""

UNIDIRECTIONAL, UNPOOLED = "unidirectional", "noise-aware-unpooled"
"""What is compared with where tasks are forgotten, and where they have axes."""


def beside(algorithms: Sequence[str], scenario: str) -> list[str]:
    """The algorithms that play in `scenario` beside `algorithms`, for a comparison that is of interest there only.

    >>> beside(["uniform", "stable"], "cost")
    ['uniform+cost', 'stable+cost']
    """
    told = [told_costs(name) for name in algorithms]
    return {"forgetting": [UNIDIRECTIONAL], "axes": [UNPOOLED], "cost": told}.get(scenario, [])


def told_costs(name: str) -> str:
    """The algorithm `name` that is told what tasks cost."""
    return f"{name.removesuffix(TOLD_COSTS)}{TOLD_COSTS}"


def find(name: str) -> Factory:
    """The factory of a known algorithm, at a fixed rate if its name ends so, or what ``module:name`` names.

    Raises `ValueError` if there is no such algorithm, rate, module or name.

    >>> find("curricular:LearningProgressConfig.stable")(num_active_tasks=4).ema_timescale
    0.01
    >>> find("noise-aware@0.05")(num_active_tasks=4).ema_timescale
    0.05
    """
    algorithm, _, rate = name.partition("@")
    if rate and algorithm in FIXED:
        return partial(FIXED[algorithm], ema_timescale=_rate(name, rate))
    if name in ALGORITHMS:
        return ALGORITHMS[name]
    module, _, path = name.partition(":")
    try:
        found = reduce(getattr, path.split("."), importlib.import_module(module))
    except (ImportError, AttributeError) as error:
        raise ValueError(
            f"algorithms: expected one of {', '.join(ALGORITHMS)}, or module:name of a factory of your own, got {name!r} "
            f"({error}); correct the name, or put the module's folder on PYTHONPATH"
        ) from error
    return cast(Factory, found)


def _rate(name: str, rate: str) -> float:
    try:
        value = float(rate)
    except ValueError:
        value = 0.0
    if not 1e-3 <= value <= 0.9:
        raise ValueError(f"algorithms: expected a rate from 0.001 to 0.9 after the @, got {name!r}; correct it")
    return value
