"""A small curriculum to damage, with something of everything in its table."""

import numpy as np

from curricular import Curriculum, LearningProgressConfig
from curricular.table import BUILT_IN_REASONS, check_table
from curricular.task import Axis, Span

CAPACITY = 8
NAN, INF = float("nan"), float("inf")
LOWEST = -(2**63)
OWN_REASON = len(BUILT_IN_REASONS)  # of the user


class Levels:
    """Sixty tasks of three labels, with a choice and a number for params."""

    axes = (Axis("size", (3, 5, 7)), Axis("speed", Span(0.0, 1.0)))
    num_tasks = 60

    def sample(self, seeds, rng):
        return np.stack([seeds % 3, seeds / 60], axis=1)

    def label_of(self, seed, params):
        return f"size {int(params[0])}"

    def build(self, seed, params):
        return seed


def made(**overrides):
    settings = {"min_presentations_for_eviction": 4, "min_samples_for_lp": 2, "eviction_rate": 0.1} | overrides
    return Curriculum(LearningProgressConfig.default(num_active_tasks=CAPACITY, **settings), Levels())


def local():
    return made(use_shared_memory=False)


def lived(curriculum, num_rounds=12):
    """With told, cancelled, stale and unsolicited results, regrets, evicted tasks, and hand-outs that are out.

    Some have tickets: of tasks in the pool and of evicted ones, and some that ended twice.
    """
    rng = np.random.default_rng(0)
    out = []
    for _ in range(num_rounds):
        ids = [task.task_id for task in curriculum.ask(30)]
        curriculum.tell(ids[:20], rng.random(20), regrets=rng.normal(size=20))
        curriculum.cancel(ids[20:21], "for the test")
        out += ids[21:]
        batch = curriculum.ask_batch(6)
        curriculum.tell_batch(batch.tickets[:3], rng.random((3, 4)), regrets=rng.normal(size=3))
        curriculum.cancel_batch(batch.tickets[2:5], "for the test")
    active = [state.task_id for state in curriculum.task_states()]
    late = [task_id for task_id in out if task_id not in active][:3]
    curriculum.tell(late, rng.random(len(late)))
    curriculum.tell(active[:4] + active[:1] * 30, rng.random(34))
    return curriculum


def check_accounts(curriculum):
    table = curriculum.tracker.snapshot()
    check_table(table)
    return table.counters
