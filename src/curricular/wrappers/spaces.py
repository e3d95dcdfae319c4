"""Compares the spaces of environments: an agent's network fits one pair of spaces only."""

from typing import Any

import gymnasium

from ..task import Task

__all__ = ["SpacesDifferError", "check_spaces"]


class SpacesDifferError(ValueError):
    """The environment of a task has other spaces than the first one. Names the first difference."""


def check_spaces(expected: tuple[Any, Any], env: gymnasium.Env[Any, Any], task: Task[Any]) -> tuple[Any, Any]:
    """Checks that the spaces of `env` equal `expected`, and returns them.

    Pass the spaces returned to the next call: the comparison of spaces costs much more than that of objects.

    Args:
        expected: The observation space and the action space.
        env: The environment.
        task: What the environment plays, for the error.

    Raises:
        SpacesDifferError: If they differ.
    """
    observations, actions = env.observation_space, env.action_space
    if observations is expected[0] and actions is expected[1]:
        return expected
    found = _difference("observation_space", expected[0], observations) or _difference(
        "action_space", expected[1], actions
    )
    if found is not None:
        raise SpacesDifferError(
            f"env: expected the same spaces for all tasks, got another {found} for task {task.task_id} "
            f"{task.label!r} with config {task.config!r:.200}; make the spaces equal with a wrapper (padding, "
            f"flattening, a subset of the keys), or keep such tasks in separate curricula"
        )
    return observations, actions


def _difference(name: str, expected: Any, found: Any) -> str | None:
    """Returns the first difference of two spaces in words, or None if there is none."""
    if expected is found or expected == found:
        return None
    parts = _parts(expected), _parts(found)
    if type(expected) is type(found) and parts[0].keys() == parts[1].keys():
        for key, part in parts[0].items():
            difference = _difference(f"{name}[{key!r}]", part, parts[1][key])
            if difference is not None:
                return difference
    return f"{name}: {found} instead of {expected}"


def _parts(space: Any) -> dict[Any, Any]:
    if isinstance(space, gymnasium.spaces.Dict):
        return dict(space.spaces)
    return dict(enumerate(space.spaces)) if isinstance(space, gymnasium.spaces.Tuple) else {}
