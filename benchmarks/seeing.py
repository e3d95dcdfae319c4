"""Measures what recording and watching cost a trainer, and how long statistics and tables of a large pool take.

    make bench-seeing
    make bench-seeing ARGS="--quick"

A trainer plays episodes that take a given CPU time, and tells their scores in a session. It does so alone, with a
`Recorder` whose `update` it calls after every result, and watched by `curricular watch` in another process. The three
take turns. A ratio divides the trainer's CPU time per episode by the mean of the two neighbouring turns alone.
"""

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

from curricular import Curriculum, LearningProgressConfig, Span, bucketed
from curricular.recording import Recorder

EPISODE = 1e-3
"""CPU time of an episode, in seconds; that of CartPole under a random policy is about as long."""

NUM_EARLY = 6
"""Number of snapshots of a `Recorder` whose pauses still grow."""


def spin(work: int) -> int:
    """Stands in for an episode."""
    total = 0
    for number in range(work):
        total ^= number * 2654435761
    return total


def calibrated() -> int:
    """Returns the amount of work that takes `EPISODE`."""
    work = 100_000
    start = time.process_time()
    spin(work)
    return round(work * EPISODE / (time.process_time() - start))


def play(curriculum: Curriculum, seconds: float, work: int, update: Callable[[], object]) -> float:
    """Returns the CPU time per episode, in seconds, of a trainer that plays for `seconds`."""
    num_episodes = round(seconds / EPISODE)
    rng = np.random.default_rng(0)
    scores = rng.random(num_episodes).tolist()
    start = time.process_time()
    for score in scores:
        task = curriculum.get_task()
        spin(work)
        curriculum.update_task_performance(task.task_id, score)
        update()
    return (time.process_time() - start) / num_episodes


def nothing() -> None:
    """Does nothing."""


@contextmanager
def stopped(name: str) -> Iterator[subprocess.Popen]:
    """Watches session `name` in another process, which is stopped between turns."""
    command = [sys.executable, "-m", "curricular", "watch", name]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603  this very library
        process.stdout.readline()  # it watches
        process.send_signal(signal.SIGSTOP)
        try:
            yield process
        finally:
            process.send_signal(signal.SIGCONT)
            process.kill()


def ratios(num_tasks: int, seconds: float, repeats: int) -> dict[str, list[float]]:
    """Returns the ratios of a trainer that is recorded, of one that is watched, and of one alone as the noise."""
    generator = bucketed({}, {"size": list(range(10)), "speed": Span(0.0, 1.0)})
    name, work = f"bench-seeing-{os.getpid()}", calibrated()
    config = LearningProgressConfig.default(num_active_tasks=num_tasks, session_id=name)
    found: dict[str, list[float]] = {"alone": [], "recorded": [], "watched": []}
    with Curriculum(config, generator) as curriculum, stopped(name) as watcher, tempfile.TemporaryDirectory() as folder:
        play(curriculum, 1.0, work, nothing)
        before = play(curriculum, seconds, work, nothing)
        for number in range(repeats):
            for mode, times in found.items():
                update: Callable[[], object] = nothing
                recorder = None
                if mode == "recorded":
                    recorder = Recorder(curriculum, f"{folder}/{number}")
                    update = recorder.update
                if mode == "watched":
                    watcher.send_signal(signal.SIGCONT)
                time_taken = play(curriculum, seconds, work, update)
                watcher.send_signal(signal.SIGSTOP)
                if recorder is not None:
                    recorder.close()
                after = play(curriculum, seconds, work, nothing)
                times.append(2 * time_taken / (before + after))
                before = after
    return found


def share_of_snapshots(num_tasks: int, seconds: float) -> tuple[float, float, float]:
    """Returns the share of the wall time that all snapshots of a run take, and that those after the first `NUM_EARLY`
    take of the time after these, and the time of an `update` that takes none, in ns."""
    generator = bucketed({}, {"size": list(range(10)), "speed": Span(0.0, 1.0)})
    config = LearningProgressConfig.default(num_active_tasks=num_tasks, use_shared_memory=False)
    with Curriculum(config, generator) as curriculum, tempfile.TemporaryDirectory() as folder:
        recorder = Recorder(curriculum, folder)
        ends, times = [], []

        def update() -> None:
            start = time.perf_counter()
            if recorder.update():
                ends.append(time.perf_counter())
                times.append(ends[-1] - start)

        start = time.perf_counter()
        play(curriculum, seconds, calibrated(), update)
        end = time.perf_counter()
        last_early = ends[NUM_EARLY - 1]
        shares = sum(times) / (end - start), sum(times[NUM_EARLY:]) / (end - last_early)
        start = time.process_time()
        for _ in range(100_000):
            recorder.update()
        return *shares, 1e9 * (time.process_time() - start) / 100_000


def large(num_tasks: int, repeats: int) -> dict[str, float]:
    """Returns the median CPU time of `stats` and `tasks` over a pool of `num_tasks`, in ms."""
    curriculum = Curriculum(LearningProgressConfig.default(num_active_tasks=num_tasks, use_shared_memory=False))
    rng = np.random.default_rng(0)
    for _ in range(3):
        curriculum.tell(rng.choice(num_tasks, num_tasks // 2), rng.random(num_tasks // 2))
    times = {}
    for name, call in (("stats()", curriculum.stats), ("tasks()", curriculum.tasks)):
        taken = []
        for _ in range(repeats):
            start = time.process_time()
            call()
            taken.append(1e3 * (time.process_time() - start))
        times[name] = statistics.median(taken)
    return times


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="short turns, to see that it works")
    parser.add_argument("--out", help="file for all figures, as JSON")
    arguments = parser.parse_args()
    seconds, repeats = (1.0, 1) if arguments.quick else (2.0, 5)
    figures: dict[str, object] = {}
    print(f"CPU time of a trainer whose episodes take {1e3 * EPISODE:g} ms, by that of the same trainer alone:")
    for num_tasks in (256, 10_000):
        figures[f"ratios at {num_tasks}"] = found = ratios(num_tasks, seconds, repeats)
        for mode, values in found.items():
            spread = f"{min(values):.4f} to {max(values):.4f}"
            print(f"{num_tasks:>9,} tasks  {mode:<9} {statistics.median(values):.4f}  ({spread})", flush=True)
        share, late, nanoseconds = share_of_snapshots(num_tasks, 5 * seconds)
        figures[f"snapshots at {num_tasks}"] = share, late, nanoseconds
        print(f"{num_tasks:>9,} tasks  snapshots take {share:.2%} of the wall time, {late:.2%} after the first "
              f"{NUM_EARLY}; an update without one {nanoseconds:.0f} ns", flush=True)  # fmt: skip
    print("CPU time in ms:")
    for num_tasks in (10_000,) if arguments.quick else (10_000, 1_000_000):
        figures[f"ms at {num_tasks}"] = times = large(num_tasks, 9)
        print(
            f"{num_tasks:>9,} tasks  " + "  ".join(f"{name} {taken:.1f}" for name, taken in times.items()), flush=True
        )
    if arguments.out:
        with open(arguments.out, "w", encoding="utf-8") as file:  # noqa: PTH123  a path from the command line
            json.dump(figures, file)


if __name__ == "__main__":
    main()
