"""What the suites share: a configuration that evicts early, and a game of ask and tell."""

from typing import Any

from ..algorithms.learning_progress import LearningProgressConfig
from ..curriculum import Curriculum
from ..task import Task


def play(curriculum: Curriculum[Any], num_tasks: int) -> list[tuple[int, Any]]:
    """Asks for tasks, tells scores that depend on the id, and returns (id, params) of every task."""
    asked: list[Task[Any]] = []
    while len(asked) < num_tasks:
        task = curriculum.get_task()
        curriculum.update_task_performance(task.task_id, task.task_id % 5 / 4)
        batch = curriculum.ask(7)
        curriculum.tell([task.task_id for task in batch[1:]], [task.task_id % 3 / 2 for task in batch[1:]])
        curriculum.cancel([batch[0].task_id], "for the test")
        asked += [task, *batch]
    return [(task.task_id, dict(task.params)) for task in asked]


def quick(num_active_tasks: int, **overrides: Any) -> LearningProgressConfig:
    """A configuration that evicts early and often."""
    return LearningProgressConfig.fast_learning(
        num_active_tasks=num_active_tasks, min_presentations_for_eviction=5, eviction_rate=0.2, **overrides
    )
