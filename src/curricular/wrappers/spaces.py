"""Checks that all environments of a policy have the same spaces. This module imports no framework."""

from collections.abc import Mapping, Sequence
from typing import Any

from ..task import Task

__all__ = ["SpacesDifferError", "check_spaces", "spaces_of"]


class SpacesDifferError(ValueError):
    """A task changes the spaces of the environment. The message names the first difference."""


def check_spaces(expected: Mapping[str, Any], found: Mapping[str, Any], tasks: Sequence[Task[Any]]) -> None:
    """Checks that tasks do not change the spaces of their environment.

    Args:
        expected: The spaces of the first environment, by name.
        found: The spaces with the tasks, by the same names.
        tasks: The tasks applied since the last check, at least one, for the error.

    Raises:
        SpacesDifferError: If they differ.
    """
    for name, value in expected.items():
        difference = _difference(name, value, found[name])
        if difference is not None:
            which = " or ".join(f"{task.task_id} {task.label!r}" for task in tasks[:5])
            raise SpacesDifferError(
                f"env: expected the same spaces for all tasks, got another {difference} for task {which} with config "
                f"{tasks[0].config!r:.200}; make the spaces equal with a wrapper (padding, flattening, a subset of the "
                f"keys), or keep such tasks in separate curricula"
            )


def spaces_of(env: Any) -> dict[str, Any]:
    """Returns the observation space and the action space of a Gymnasium environment, by name."""
    return {"observation_space": env.observation_space, "action_space": env.action_space}


def _difference(name: str, expected: Any, found: Any) -> str | None:
    """Returns a description of the first difference between two spaces, or None if they are equal."""
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
    """Returns the parts of a composite space, or the entries of a list of values, by key."""
    parts = getattr(space, "spaces", space)
    if isinstance(parts, Mapping):
        return dict(parts)
    return dict(enumerate(parts)) if isinstance(parts, Sequence) and not isinstance(parts, str) else {}
