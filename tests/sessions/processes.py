"""Programs and curricula to attack a session with, and the accounts that must balance after each attack."""

import subprocess
import sys

import numpy as np

from curricular import LearningProgressConfig
from curricular.backends import session

from ..helpers import TIMEOUT, balance


def script(source, *args):
    """Starts an unrelated Python process that runs `source` with `sys.argv[1:]` = args, in the tests' directory."""
    prologue = (
        "import sys\nfrom pathlib import Path\nfrom curricular.backends import session\n"
        f"session.base_directory = lambda: Path({str(session.base_directory())!r})\nsession.LOCK_TIMEOUT = {TIMEOUT}\n"
    )
    return subprocess.Popen(
        [sys.executable, "-c", prologue + source, *map(str, args)], stdout=subprocess.PIPE, text=True
    )


def config(session_id="shared", num_active_tasks=16, **overrides):
    """Tasks that are soon evicted."""
    settings = {"min_presentations_for_eviction": 5, "eviction_rate": 0.2} | overrides
    return LearningProgressConfig.fast_learning(num_active_tasks=num_active_tasks, session_id=session_id, **settings)


def play(curriculum, num_pairs, score=None):
    for _ in range(num_pairs):
        task = curriculum.get_task()
        curriculum.update_task_performance(task.task_id, task.task_id % 5 / 4 if score is None else score)


def check_accounts(curriculum, num_pending=None):
    """Checks every row and that every hand-out is accounted for; returns the statistics."""
    table = curriculum.tracker.snapshot()
    counters, rows = table.counters, table.rows
    assert balance(counters._asdict()) == 0
    assert counters.num_pending == rows["num_pending"].sum() + rows["num_orphans"].sum()
    assert (rows["task_id"] % len(rows) == np.arange(len(rows))).all()
    assert rows["is_active"].all()
    if not counters.num_restores:
        assert counters.num_evicted == (rows["task_id"] // len(rows)).sum()
    if num_pending is not None:
        assert counters.num_pending == num_pending
    return curriculum.stats()
