"""What a merged set of many members costs: CPU time of a hand-out with its result, of `stats`, and of making the pool.

    python benchmarks/merged.py
    python benchmarks/merged.py --pools 256 --repeats 5

150 missions of 11 buckets each: of two values, so that the set is finite, or spans, so that it is endless. A pair is
`get_task` and `update_task_performance`, with refreshes and evictions as they come.
"""

import argparse
import os
import platform
import statistics
import time
from collections.abc import Callable

import numpy as np

from curricular import Curriculum, LearningProgressConfig, NoiseAwareConfig, Span, TaskGeneratorSet, bucketed, merge

NUM_MISSIONS = 150
NUM_BUCKETS = 11
WARM_UP = 20_000
"""Results before anything is measured: from then on, refreshes come at their final rate."""
TARGETS = {"µs a pair": 15.0, "ms per stats()": 10.0}
CONFIGS = {"learning progress": LearningProgressConfig.default, "recommended": NoiseAwareConfig.recommended}


def missions(*, is_endless: bool) -> TaskGeneratorSet:
    """150 configurations of their own, each over 11 buckets."""
    bucket = Span(0.0, 1.0) if is_endless else [0.0, 1.0]
    paths = [f"level.{name}" for name in "abcdefghijk"[:NUM_BUCKETS]]
    level = dict.fromkeys("abcdefghijk"[:NUM_BUCKETS], 0.5)
    members = [
        bucketed({"mission": number, "level": level}, dict.fromkeys(paths, bucket), label=f"mission {number}")
        for number in range(NUM_MISSIONS)
    ]
    return merge(members)


def cpu_us(call: Callable[[], object]) -> float:
    """CPU µs of this process in one call."""
    start = time.process_time_ns()
    call()
    return (time.process_time_ns() - start) / 1_000


def play(curriculum: Curriculum[dict[str, object]], scores: list[float]) -> None:
    """Hands out one task and tells its score, once per score."""
    for score in scores:
        curriculum.update_task_performance(curriculum.get_task().task_id, score)


def measure(make: Callable[[], Curriculum[dict[str, object]]], num_pairs: int, repeats: int) -> dict[str, list[float]]:
    """The repeats of each line, for a pool in the middle of training."""
    rng = np.random.default_rng(0)
    made: list[Curriculum[dict[str, object]]] = []
    creation = [cpu_us(lambda: made.append(make())) / 1_000 for _ in range(min(3, repeats))]
    curriculum = made[-1]
    play(curriculum, rng.random(WARM_UP).tolist())
    pairs, stats = [], []
    for _ in range(repeats):
        scores = rng.random(num_pairs).tolist()
        pairs.append(cpu_us(lambda scores=scores: play(curriculum, scores)) / num_pairs)
        stats.append(cpu_us(curriculum.stats) / 1_000)
    return {"ms to make": creation, "µs a pair": pairs, "ms per stats()": stats}


def main() -> None:
    parser = argparse.ArgumentParser(description="What a merged set of 150 missions with 11 buckets each costs.")
    parser.add_argument("--pools", type=int, nargs="+", default=[256, 1_650], metavar="N", help="tasks in the pool")
    parser.add_argument("--pairs", type=int, default=4_000, help="hand-outs and results in a measurement")
    parser.add_argument("--repeats", type=int, default=9)
    options = parser.parse_args()
    versions = f"python {platform.python_version()}, numpy {np.__version__}"
    print(f"{versions}, {platform.machine()}, {os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}")
    print(f"process CPU time, median (lowest … highest) of {options.repeats}; targets: {TARGETS}\n")
    for is_endless in (False, True):
        generator = missions(is_endless=is_endless)
        for num_tasks in options.pools:
            for name, config in CONFIGS.items():
                settings = config(num_active_tasks=num_tasks, use_shared_memory=False)
                figures = measure(lambda s=settings, g=generator: Curriculum(s, g), options.pairs, options.repeats)
                cells = [
                    f"{line} {statistics.median(values):8.2f} ({min(values):.2f} … {max(values):.2f})"
                    for line, values in figures.items()
                ]
                kind = "spans" if is_endless else "two values"
                print(f"{kind:11}{num_tasks:>6}  {name:18}" + "  ".join(cells), flush=True)


if __name__ == "__main__":
    main()
