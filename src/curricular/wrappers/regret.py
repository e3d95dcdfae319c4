"""Checks the regrets that a wrapper tells, and that a wrapper has a rule for regrets if the algorithm needs them."""

import math
from typing import Any, get_args

from ..config import CurriculumConfig
from ..inputs import as_number
from ..task import Task

__all__ = ["as_regret", "check_regret_rule"]

TOLD = "told"
"""Value of a config's field that makes its algorithm need regrets."""


def check_regret_rule(config: CurriculumConfig, rule: object | None) -> None:
    """Checks that there is a rule for regrets if the algorithm of `config` needs them.

    Raises:
        ValueError: If there is none. Names both ways out.
    """
    if rule is None and config.needs_regrets:
        raise ValueError(
            f"regret: expected a function of an Episode, since {type(config).__name__} chooses by regret, got None; "
            f"pass regret=function to the wrapper, or {_without_regrets(config)}"
        )


def as_regret(value: Any, task: Task[Any], env_index: int) -> float:
    """Returns the regret of an episode.

    Args:
        value: What the rule returned.
        task: The task of the episode, for errors.
        env_index: Index of the environment, for errors.

    Raises:
        TypeError: If `value` is not a number.
        ValueError: If `value` is not finite.
    """
    regret = as_number("regret", value, "return one number per episode")
    if not math.isfinite(regret):
        raise ValueError(
            f"regret: expected a finite number, got {regret} for task {task.task_id} {task.label!r} in environment "
            f"{env_index}; check what the function divides by"
        )
    return regret


def _without_regrets(config: CurriculumConfig) -> str:
    """Returns advice, as text, on how to set `config` so that its algorithm needs no regrets."""
    for name, value in config:
        others = [choice for choice in get_args(type(config).model_fields[name].annotation) if choice != TOLD]
        if value == TOLD and others:
            return f"set {' or '.join(f'{name}={choice!r}' for choice in others)} in the config"
    return "use another algorithm"
