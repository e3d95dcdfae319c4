"""`evaluation_tasks`: a fixed set of tasks for evaluations, made from the generator alone, without a pool."""

from operator import index

import numpy as np

from .building import MAX_UNBUILDABLE, TaskBuildError, build_config
from .generators import TaskGenerator, copied
from .generators.entry import Entries, Turn, next_entries
from .inputs import MAX_ASKED, checked_number
from .params import Layout
from .streams import Purpose
from .task import ConfigT, Task


def evaluation_tasks(generator: TaskGenerator[ConfigT], n: int, seed: int) -> list[Task[ConfigT]]:
    """Returns `n` tasks of `generator`. The same arguments give the same tasks.

    The tasks of a finite generator are distinct, and the tasks of a merged set come from its members by weight. A task
    that cannot be built is replaced by another one. The ids are -1, -2, …, which no pool issues.

    Args:
        generator: The source of tasks.
        n: Number of tasks, at least 0.
        seed: Chooses the tasks, at least 0.

    Raises:
        TypeError: If `n` or `seed` is not a whole number.
        ValueError: If `n` or `seed` is negative, or `n` exceeds `MAX_ASKED` or the number of tasks that can be built.
        TaskBuildError: If the generator fails to build several tasks in a row.
    """
    n = checked_number(n, MAX_ASKED if generator.num_tasks is None else min(MAX_ASKED, generator.num_tasks))
    try:
        seed = index(seed)
    except TypeError as error:
        raise TypeError(f"seed: expected a whole number, got {seed!r}; pass an int") from error
    if seed < 0:
        raise ValueError(f"seed: expected at least 0, got {seed}; pass another number")
    layout, rng = Layout(generator.axes), np.random.default_rng((seed, Purpose.EVALUATION))
    used = Entries(np.empty(0, np.int64), np.empty((0, layout.num_params)))
    tasks: list[Task[ConfigT]] = []
    num_failed = 0
    while len(tasks) < n:
        turn = Turn((seed, Purpose.EVALUATION), len(used.seeds), rng)
        new = next_entries(generator, used, np.zeros(len(used.seeds), np.bool_), n - len(tasks), turn)
        if not len(new.seeds):
            raise ValueError(
                f"n: expected at most {len(tasks)} tasks, since the generator can build no more, got {n}; ask for "
                f"fewer tasks"
            )
        used = Entries(np.concatenate([used.seeds, new.seeds]), np.concatenate([used.params, new.params]))
        for task_seed, params in zip(new.seeds.tolist(), new.params, strict=True):
            values, task_id = layout.decode(params), -1 - len(tasks)
            try:
                config = build_config(generator, task_seed, params, values, task_id)
            except TaskBuildError:
                num_failed += 1
                if num_failed >= MAX_UNBUILDABLE:
                    raise
                continue
            num_failed = 0
            tasks.append(Task(task_id, copied(config), generator.label_of(task_seed, params), values))
    return tasks
