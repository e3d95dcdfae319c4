"""What prompts cost at scale: making, a step of 512 × 8 with tickets, statistics, columns, writing and saving.

    make bench-prompts
    make bench-prompts ARGS="--sizes 10000000"

CPU time of this process on the local backend, and its highest memory. Keys are whole numbers, and a column holds a pass
rate. A tenth of the hand-outs walk over the pool. The step is the median of `NUM_STEPS`; steps with a refresh are shown
apart.
"""

import argparse
import platform
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from curricular import Curriculum, ThompsonConfig, dataset

SIZES = (10_000, 1_000_000)
NUM_PROMPTS, GROUP = 512, 8
NUM_STEPS = 60

TARGETS = {"ask one": 50e-6, "step of 512 × 8": 5e-3, "stats": 0.2}
"""Targets in seconds at a million prompts, on a machine that does nothing else."""


def cpu_seconds(call: Callable[[], Any]) -> tuple[Any, float]:
    """Returns the result of a call, and the CPU seconds of this process in it."""
    start = time.process_time()
    result = call()
    return result, time.process_time() - start


def measured(num_prompts: int) -> dict[str, float]:
    """Returns each line of the table, in CPU seconds."""
    rng = np.random.default_rng(0)
    rates = rng.random(num_prompts)
    prompts, reading = cpu_seconds(
        lambda: dataset(range(num_prompts), key=np.arange(num_prompts), columns={"rate": rates})
    )
    config = ThompsonConfig.prompts(prior_axis=0, use_shared_memory=False)
    curriculum, making = cpu_seconds(lambda: Curriculum(prompts, config))
    steps, refreshes = [], []

    def step() -> None:
        batch = curriculum.ask_batch(NUM_PROMPTS, replace=False)
        curriculum.tell_batch(batch.tickets, rng.random((NUM_PROMPTS, GROUP)).round())

    for _ in range(NUM_STEPS):
        epoch = curriculum.tracker.backend.epoch
        _, seconds = cpu_seconds(step)
        (steps if curriculum.tracker.backend.epoch == epoch else refreshes).append(seconds)
    singles = [cpu_seconds(lambda: curriculum.ask_batch(1))[1] for _ in range(500)]
    result = {
        "read the keys": reading,
        "make the pool": making,
        "step of 512 × 8": statistics.median(steps or refreshes),
    }
    if refreshes:
        result["step with a refresh"] = statistics.median(refreshes)
    result["ask one"] = statistics.median(singles)
    result["stats"] = statistics.median(cpu_seconds(curriculum.stats)[1] for _ in range(3))
    result["tasks, as columns"] = cpu_seconds(curriculum.tasks)[1]
    rows = np.arange(num_prompts)
    result["set_params of all"] = cpu_seconds(lambda: curriculum.set_params(rows, "rate", rates))[1]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "saved"
        result["save"] = cpu_seconds(lambda: curriculum.save(path))[1]
        result["load"] = cpu_seconds(lambda: Curriculum.load(path, prompts))[1]
    return result


def main() -> None:
    """Prints a table for each size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES), help="numbers of prompts")
    for size in parser.parse_args().sizes:
        print(f"\n{size:,} prompts, Python {platform.python_version()}, NumPy {np.__version__}")
        for name, seconds in measured(size).items():
            target = f"   (target {1e3 * TARGETS[name]:g} ms)" if name in TARGETS and size == 10**6 else ""
            print(f"  {name:22} {1e3 * seconds:12.3f} ms{target}")
        print(f"  highest memory         {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:12.2f} GiB")


if __name__ == "__main__":
    main()
