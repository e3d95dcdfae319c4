"""Measures with `sessions.py` this library and Syllabus in the same run.

make bench-sessions-peers
"""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import gymnasium
from cost_peers import PatchedProgress
from sessions import Trivial, main
from syllabus.core import GymnasiumSyncWrapper, TaskWrapper, make_multiprocessing_curriculum
from syllabus.task_space import DiscreteTaskSpace


class _Tasked(TaskWrapper):
    """Accepts a task at reset, as Syllabus requires, and ignores it."""

    def reset(self, *, new_task: int | None = None, **kwargs: Any) -> Any:
        self.task = new_task
        return self.env.reset(**kwargs)

    def step(self, action: Any) -> Any:
        return self.env.step(action)


@contextmanager
def syllabus(num_tasks: int, length: int) -> Iterator[Callable[[], gymnasium.Env[Any, Any]]]:
    """Syllabus' multiprocessing wrapper with its defaults: two queues and a thread in the main process."""
    space = DiscreteTaskSpace(num_tasks)
    curriculum = make_multiprocessing_curriculum(PatchedProgress(space, update_interval=512))
    try:
        yield lambda: GymnasiumSyncWrapper(_Tasked(Trivial(length)), space, curriculum.components)
    finally:
        curriculum.stop()


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main([("syllabus 0.7", syllabus)])
