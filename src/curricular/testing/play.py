"""Helpers of the suites: a configuration that evicts early, and a loop of ask and tell."""

from typing import Any

from ..algorithms.learning_progress import LearningProgressConfig
from ..curriculum import Curriculum
from ..task import Task


def play(curriculum: Curriculum[Any], num_tasks: int) -> list[tuple[int, Any]]:
    """Trains on at least `num_tasks` tasks, with scores that depend on the slot.

    Returns:
        The slot and the params of each task, in the order of hand-outs. Ids of new tasks differ after a load.
    """
    capacity = curriculum.tracker.capacity
    asked: list[Task[Any]] = []
    while len(asked) < num_tasks:
        task = curriculum.get_task()
        curriculum.update_task_performance(task.task_id, task.task_id % capacity % 5 / 4)
        batch = curriculum.ask(7)
        ids = [task.task_id for task in batch[1:]]
        curriculum.tell(ids, [task_id % capacity % 3 / 2 for task_id in ids])
        curriculum.cancel([batch[0].task_id], "for the test")
        asked += [task, *batch]
    return [(task.task_id % capacity, dict(task.params)) for task in asked]


def quick(num_active_tasks: int, **overrides: Any) -> LearningProgressConfig:
    """Returns a configuration that evicts early and often.

    Args:
        num_active_tasks: Size of the pool.
        overrides: Other fields of the config, by name.
    """
    return LearningProgressConfig.fast_learning(
        num_active_tasks=num_active_tasks, min_presentations_for_eviction=5, eviction_rate=0.2, **overrides
    )
