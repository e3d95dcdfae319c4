"""The demo's run: its plan, its processes, how they may end, and what they leave behind."""

import json
import multiprocessing
import os
import signal
import sys
from collections import Counter
from io import StringIO

import pytest
from rich.console import Console

from curricular import cli
from curricular.demo import run
from curricular.demo.figures import Figures, Point
from curricular.demo.ppo import Settings
from curricular.demo.run import ALGORITHMS, Job, RunError, demo, plan
from curricular.demo.tasks import FAMILY, QUICK_FAMILY, Group, Level

from .helpers import Child, until

TINY = Settings(
    num_steps=256, num_lanes=4, rollout=32, hidden=16, num_evaluations=2, evaluation_episodes=1, final_episodes=2
)
BATCH = Settings().batch_size


@pytest.fixture
def command(tmp_path):
    """Starts the demo's command, in a group of processes of its own; with `train`, trainings are forks that run it.

    A fork has PyTorch imported already.
    """
    children = []

    def start(*options, train=None):
        def work():
            os.setsid()
            # A shell that runs the tests in the background has them ignore the interrupt.
            signal.signal(signal.SIGINT, signal.default_int_handler)
            sys.stdout, sys.stderr = StringIO(), (tmp_path / "errors").open("w", buffering=1)
            sys.argv = ["curricular", "demo", "--quick", "--algorithms", "stable", "--out", str(tmp_path), *options]
            if train is not None:
                run.get_context, run.train = lambda _: multiprocessing.get_context("fork"), train
            try:
                cli.main()
            except SystemExit as end:
                os._exit(end.code)

        children.append(Child(work))
        return children[-1]

    yield start
    for child in children:
        child.end()


def left_in(folder):
    """The figures in `folder`; None before the first evaluation."""
    path = folder / "demo.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def steps_left_in(folder):
    figures = left_in(folder)
    return [] if figures is None else [point["step"] for point in figures["runs"][0]["points"]]


def is_gone(group):
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    return False


def test_a_plan_is_every_arm_with_every_seed():
    jobs = plan(list(ALGORITHMS), 2, num_steps=5)
    assert [(job.algorithm, job.seed) for job in jobs] == [
        (algorithm, seed) for seed in (0, 1) for algorithm in ALGORITHMS
    ]
    assert all(job.levels == FAMILY and job.settings.num_steps == 5 for job in jobs)
    assert plan(["uniform"], 1, is_quick=True)[0].levels == QUICK_FAMILY


@pytest.mark.parametrize(
    ("algorithms", "seeds", "steps", "message"),
    [
        (["uniform", "oracle"], 1, None, "algorithms: expected .*uniform.* got 'oracle'"),
        (["uniform", "uniform"], 1, None, "algorithms: expected .*once"),
        ([], 1, None, "algorithms: expected at least one"),
        (["uniform"], 0, None, "seeds: expected 1 or more, got 0"),
        (["uniform"], 1, 0, "steps: expected 1 or more, got 0"),
    ],
)
def test_a_plan_refuses(algorithms, seeds, steps, message):
    with pytest.raises(ValueError, match=message):
        plan(algorithms, seeds, num_steps=steps)


def test_a_demo_runs_all_arms_and_leaves_its_figures(tmp_path):
    console = Console(file=StringIO(), width=80)
    jobs = [Job(algorithm, 0, QUICK_FAMILY, TINY) for algorithm in ("uniform", "stable")]
    result = demo(jobs, tmp_path / "new" / "folder", console, resumes=True)
    assert [[point.step for point in run.points] for run in result.runs] == [[128, 256], [128, 256]]
    text = (tmp_path / "new" / "folder" / "demo.json").read_text(encoding="utf-8")
    assert Figures.model_validate_json(text) == result
    assert result.status == "complete"
    assert (tmp_path / "new" / "folder" / "demo.png").exists()
    assert "stable, seed 0: 256 steps" in console.file.getvalue()
    assert console.file.getvalue().startswith("resume: no run is saved in")


def test_a_training_process_that_dies_fails_the_demo(tmp_path, capfd, monkeypatch):
    monkeypatch.setattr(run, "get_context", lambda _: multiprocessing.get_context("fork"))
    broken = (Level(FAMILY[0].kind, 2, 10, Group.EMPTY),)  # no room for a goal
    with pytest.raises(RunError, match=r"uniform, seed 0: expected .* code 0, got 1"):
        demo([Job("uniform", 0, broken, TINY)], tmp_path, Console(file=StringIO()))
    assert "Traceback" in capfd.readouterr().err
    assert left_in(tmp_path)["status"] == "failed"


def test_an_interrupt_leaves_the_figures_so_far(command, tmp_path):
    child = command("--steps", "100000")
    until(lambda: steps_left_in(tmp_path), what="the first evaluation")
    os.killpg(child.pid, signal.SIGINT)  # as a terminal does: parent and children
    assert child.wait() == 130
    assert (tmp_path / "errors").read_text().splitlines() == [f"interrupted: the figures so far are in {tmp_path}"]
    assert left_in(tmp_path)["status"] == "interrupted"
    until(lambda: is_gone(child.pid), what="multiprocessing's own helper, which ends a moment after the others")


def training(curriculum, goals, seed, settings, saved):
    """Replaces `train`: counts, saves and resumes as it does, and waits for a kill after its third evaluation."""
    state = saved.read() or {"number": 0, "draws": {}, "cpu_seconds": 0.0}
    draws, cpu_seconds = Counter(state["draws"]), state["cpu_seconds"]
    for number in range(state["number"] + 1, settings.num_updates + 1):
        if state["number"] == 0 and number == 4:
            signal.pause()
        for task in curriculum.ask(8):
            draws[task.config.name] += 1
            curriculum.update_task_performance(task.task_id, 1.0)
        cpu_seconds += 1.0
        saved.write(number, curriculum, {"draws": dict(draws), "cpu_seconds": cpu_seconds})
        yield Point(
            step=number * settings.batch_size,
            draws=dict(draws),
            successes=dict(draws),
            steps={name: count * settings.batch_size // 8 for name, count in draws.items()},
            evaluation={goal.name: 1.0 for goal in goals},
            cpu_seconds=cpu_seconds,
            wall_seconds=cpu_seconds,
        )


def test_a_killed_demo_goes_on_and_ends_like_an_unbroken_one(command, tmp_path):
    options = ["--steps", str(10 * BATCH)]
    child = command(*options, train=training)
    until(lambda: len(steps_left_in(tmp_path)) == 3, what="three evaluations")
    os.killpg(child.pid, signal.SIGKILL)  # parent and training process
    assert child.wait() == -signal.SIGKILL
    assert steps_left_in(tmp_path) == [BATCH, 2 * BATCH, 3 * BATCH]

    assert command(*options, "--resume", train=training).wait() == 0, (tmp_path / "errors").read_text()
    after = left_in(tmp_path)
    assert after["status"] == "complete"
    points = after["runs"][0]["points"]
    assert [point["step"] for point in points] == [BATCH * number for number in range(1, 11)]
    assert [sum(point["draws"].values()) for point in points] == [8 * number for number in range(1, 11)]
    assert [point["cpu_seconds"] for point in points] == list(range(1, 11))

    assert command(*options, "--resume", "--seeds", "2", train=training).wait() == 2
    assert "resume: expected the algorithms, seeds, steps and settings" in (tmp_path / "errors").read_text()
