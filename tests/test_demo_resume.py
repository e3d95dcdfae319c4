"""A demo that was killed goes on from its last evaluation."""

import json
import os
import signal
import subprocess
import sys
import time
from itertools import pairwise

ARGUMENTS = ["demo", "--quick", "--steps", "20480", "--algorithms", "stable"]


def start(out, *more):
    code = "from curricular.cli import main; main()"
    return subprocess.Popen(
        [sys.executable, "-c", code, *ARGUMENTS, "--out", str(out), *more],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def steps(out):
    try:
        figures = json.loads((out / "demo.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return []
    return [point["step"] for point in figures["runs"][0]["points"]]


def test_a_killed_demo_goes_on_and_ends_like_an_unbroken_one(tmp_path):
    process = start(tmp_path)
    deadline = time.monotonic() + 120
    while len(steps(tmp_path)) < 3 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)  # parent and training process
    process.communicate()
    before = steps(tmp_path)
    assert 3 <= len(before) < 10

    process = start(tmp_path, "--resume")
    _, errors = process.communicate(timeout=180)
    assert process.returncode == 0, errors
    after = json.loads((tmp_path / "demo.json").read_text(encoding="utf-8"))
    assert after["status"] == "complete"
    points = after["runs"][0]["points"]
    assert [point["step"] for point in points] == [2048 * number for number in range(1, 11)]
    for first, second in pairwise(points):  # counts go on; none is lost or counted twice
        assert sum(second["steps"].values()) - sum(first["steps"].values()) == 2048
        assert all(second["draws"][level] >= count for level, count in first["draws"].items())
        assert second["cpu_seconds"] > first["cpu_seconds"]

    process = start(tmp_path, "--resume", "--seeds", "2")
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 2
    assert "resume: expected the algorithms, seeds, steps and settings" in errors
