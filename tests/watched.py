"""A session to watch, and a program that holds it in another process."""

import os
import subprocess
import sys

from curricular import Curriculum, UniformConfig, bucketed, merge, single_task

LABELS = ("[/bold] maze", "line\nfeed \x1b[31m", "שלום 🙂", "broken")

HOLD = """
import sys
from pathlib import Path
from curricular.backends import session
session.base_directory = lambda: Path(sys.argv[1])
from tests.watched import create
curriculum = create("training")
print("ready", flush=True)
sys.stdin.read()
"""


def create(name):
    """A session with results: mazes of size 5 are solved, the broken task never gives a score."""
    sizes = {"size": [5, 9, 13]}
    parts = [bucketed({}, sizes, label=label) for label in LABELS[:3]]
    generator = merge([*parts, single_task({"broken": True}, label="broken")])
    curriculum = Curriculum(generator, UniformConfig(num_active_tasks=10, session_id=name))
    for task in curriculum.ask(300):
        if task.label == "broken":
            curriculum.cancel([task.task_id], "[red] failed")
        else:
            curriculum.update_task_performance(task.task_id, float(task.params["size"] == 5))
    return curriculum


def hold(directory):
    """Starts another process that holds the session "training", until it is killed or its input is closed."""
    path = os.pathsep.join([os.getcwd(), *sys.path])  # noqa: PTH109  the folder of the project
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, directory],
        env={**os.environ, "PYTHONPATH": path},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "ready\n"
    return process
