"""What the checkers of environments share: the account of a curriculum, and the error of a broken rule."""

from typing import Any

from ..curriculum import Curriculum
from .trial import Account

__all__ = ["account_of", "expect", "expect_task"]


def account_of(curriculum: Curriculum[Any]) -> Account:
    """Returns the account of a curriculum, with all results so far."""
    curriculum.flush()
    stats = curriculum.stats()
    return Account(*(int(stats[f"num_{name}"]) for name in Account._fields))


def expect(where: str, expected: str, got: object, is_met: bool) -> None:
    """Checks a rule.

    Args:
        where: The call after which it must hold.
        expected: What the rule asks for.
        got: What came.
        is_met: Whether it holds.

    Raises:
        AssertionError: If it does not.
    """
    if not is_met:
        raise AssertionError(f"{where}: expected {expected}, got {got!r:.200}; see docs/your-environment.md")


def expect_task(curriculum: Curriculum[Any], task_id: int, label: str) -> None:
    """Checks that `reset` named a task that is handed out, with its label."""
    view = curriculum.task(int(task_id))
    expect("reset", f"the label of the task, {view.label!r}", label, label == view.label)
    expect("reset", "the task that was handed out", f"task {task_id}", view.num_pending > 0)
