"""What several files of tests need: processes and waits for them, clocks that tests move, and the account."""

import mmap
import os
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

TIMEOUT = 300.0
"""Seconds after which a test that waits for another process fails: longer than a busy machine keeps it waiting."""


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
        if self.status is None:  # after the wait, the pid may be another process's
            os.kill(self.pid, signum)

    def is_running(self):
        return not self._poll()

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
        if self.is_running():
            self.send(signal.SIGKILL)
            self.wait()


def until(condition, timeout=TIMEOUT, what="the condition"):
    """Waits for what must become true, however long a busy machine takes; `timeout` is for a test that hangs."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"waited {timeout:g} s for {what}")
        time.sleep(0.002)


def python(code, **environment):
    """What `code` prints in a new interpreter, in which warnings are errors."""
    command = [sys.executable, "-W", "error", "-c", code]
    environment = os.environ | environment
    out = subprocess.run(command, capture_output=True, text=True, check=True, timeout=TIMEOUT, env=environment)
    return out.stdout.strip()


class Clock:
    """Stands in for the module `time`, and moves by itself only when the library sleeps."""

    def __init__(self):
        self.now = 1000.0

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


def clock_that_tells(flag):
    """Stands in for the module `time`, and sets ``flag[0]`` when the library sleeps, which is to wait for the table."""

    def sleep(seconds):
        flag[0] = 1
        time.sleep(seconds)

    return SimpleNamespace(monotonic=time.monotonic, sleep=sleep)


def shared_array(*shape):
    """Zeros that forked processes share, dtype int64."""
    size = int(np.prod(shape))
    return np.frombuffer(mmap.mmap(-1, 8 * size), np.int64).reshape(shape)


def balance(counts):
    """Hand-outs and unsolicited results less what came of them: 0. `counts` has the names of `Curriculum.stats()`."""
    came = sum(counts[f"num_{name}"] for name in ("completed", "cancelled", "stale", "pending"))
    return counts["num_scheduled"] + counts["num_unsolicited"] - came
