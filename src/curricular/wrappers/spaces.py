"""Spaces that a task must not change: what the policy sees and what it may do."""

from collections.abc import Mapping, Sequence
from typing import Any

from ..task import Task

__all__ = ["check_spaces"]


def check_spaces(expected: Mapping[str, Any], found: Mapping[str, Any], tasks: Sequence[Task[Any]]) -> None:
    """Checks that tasks leave the spaces of their environment as they are.

    Args:
        expected: The spaces when the environment was wrapped, by name.
        found: The spaces with the tasks, by the same names.
        tasks: The tasks that were applied since the spaces were compared, for errors.

    Raises:
        ValueError: If they differ; the message has the first difference.
    """
    for name, value in expected.items():
        if found[name] is not value and found[name] != value:
            where, before, now = _first_difference(name, value, found[name])
            names = " or ".join(f"{task.task_id} {task.label!r}" for task in tasks[:5])
            raise ValueError(
                f"env: expected the same {where} for all tasks, {before!r} as when it was wrapped, got {now!r} with "
                f"task {names}; leave tasks with other spaces out, or train them apart"
            )


def _first_difference(name: str, before: Any, now: Any) -> tuple[str, Any, Any]:
    """Returns the place of the first difference and both values there; of lists of equal length, an entry."""
    if isinstance(before, Sequence) and isinstance(now, Sequence) and len(before) == len(now):
        for index, (old, new) in enumerate(zip(before, now, strict=True)):
            if old != new:
                return f"{name}[{index}]", old, new
    return name, before, now
