"""`examples/torch_distributed.py` on two ranks, killed and resumed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from curricular import Curriculum

from .helpers import TIMEOUT, until

torch = pytest.importorskip("torch")
psutil = pytest.importorskip("psutil")

EXAMPLE = Path(__file__).parents[1] / "examples" / "torch_distributed.py"
TASKS = list(range(1, 13))


def torchrun(checkpoint, num_updates, **streams):
    command = ["-W", "error", "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", EXAMPLE]
    arguments = ["--checkpoint", checkpoint, "--updates", str(num_updates)]
    environment = {"OMP_NUM_THREADS": "1", **os.environ}  # otherwise, torchrun says that it sets it
    return subprocess.Popen([sys.executable, *command, *arguments], cwd=checkpoint.parent, env=environment, **streams)


def open_tickets(checkpoint):
    with Curriculum.load(checkpoint, TASKS) as curriculum:
        return curriculum.open_handouts().tickets.tolist()


def test_a_run_that_was_killed_hands_out_first_what_was_being_played(tmp_path):
    checkpoint = tmp_path / "run.ckpt"
    first = torchrun(checkpoint, 10**9)
    until(checkpoint.with_suffix(".pt").exists, what="the first checkpoint")
    ranks = psutil.Process(first.pid).children()
    assert len(ranks) == 2
    ranks[0].kill()  # torchrun ends the other one
    assert first.wait(TIMEOUT) != 0
    lost = open_tickets(checkpoint)
    assert len(lost) == 64

    last = torch.load(checkpoint.with_suffix(".pt"))["update"]
    second = torchrun(checkpoint, last + 1, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out, errors = second.communicate(timeout=TIMEOUT)  # its first step asks, saves and tells
    assert (second.returncode, errors) == (0, b"")
    assert open_tickets(checkpoint) == lost
    assert b"episodes on 2 ranks" in out
    assert {path.suffix for path in tmp_path.iterdir()} == {".ckpt", ".pt"}
