"""Processes to attack a session with, and what the tests have in common."""

import mmap
import os
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path

import numpy as np
import pytest

from curricular import Curriculum, LearningProgressConfig
from curricular.backends import session

TIMEOUT = 60.0
"""Seconds that a test waits for another process before it fails."""


class Child:
    """A forked process that runs a function and ends by `os._exit`, as those of `multiprocessing` do."""

    def __init__(self, fn, *args):
        self.status = None
        self.pid = os.fork()
        if self.pid == 0:
            status = 1
            try:
                fn(*args)
                status = 0
            except BaseException:  # noqa: BLE001  the process must end here, whatever it was
                traceback.print_exc()
                sys.stderr.flush()
            finally:
                os._exit(status)

    def send(self, signum):
        os.kill(self.pid, signum)

    def is_stopped(self):
        return Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "T"

    def wait(self, timeout=TIMEOUT):
        """The exit status; the negative signal if one killed it."""
        until(self._poll, timeout, f"process {self.pid} to end")
        return self.status

    def _poll(self):
        if self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = os.waitstatus_to_exitcode(status)
        return self.status is not None

    def end(self):
        if not self._poll():
            self.send(signal.SIGKILL)
            self.wait()


def until(condition, timeout=TIMEOUT, what="the condition"):
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"waited {timeout:g} s for {what}")
        time.sleep(0.002)


def shared_array(*shape):
    """Zeros that forked processes share, dtype int64."""
    size = int(np.prod(shape))
    return np.frombuffer(mmap.mmap(-1, 8 * size), np.int64).reshape(shape)


def script(source, *args, base=None):
    """Starts an unrelated Python process that runs `source` with `sys.argv[1:]` = args, in the tests' directory."""
    path = str(session.base_directory() if base is None else base)
    prologue = (
        "import sys\nfrom pathlib import Path\nfrom curricular.backends import session\n"
        f"session.base_directory = lambda: Path({path!r})\n"
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
    came = counters.num_completed + counters.num_cancelled + counters.num_stale + counters.num_pending
    assert counters.num_scheduled + counters.num_unsolicited == came
    assert counters.num_pending == rows["num_pending"].sum() + rows["num_orphans"].sum()
    assert (rows["task_id"] % len(rows) == np.arange(len(rows))).all()
    assert rows["is_active"].all()
    if not counters.num_restores:
        assert counters.num_evicted == (rows["task_id"] // len(rows)).sum()
    if num_pending is not None:
        assert counters.num_pending == num_pending
    return curriculum.stats()


__all__ = ["Child", "Curriculum", "check_accounts", "config", "play", "script", "shared_array", "until"]
