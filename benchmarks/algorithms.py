"""Measures the CPU time of one refresh and one eviction, for every built-in algorithm.

A refresh computes priorities, probabilities and their running sum. An eviction computes priorities and the tasks that
may be evicted.

    python benchmarks/algorithms.py
    python benchmarks/algorithms.py --sizes 1000 1000000
"""

import argparse
import os
import platform
import statistics
import time
from collections.abc import Callable

import numpy as np

from curricular import Algorithm, CurriculumConfig, create_algorithm
from curricular.algorithms.registry import variants
from curricular.arrays import Columns
from curricular.probabilities import cumulative
from curricular.rows import RECENT_SCORES
from curricular.table import MAX_LABELS, Table, columns_of, empty_table

CONFIGS: dict[str, CurriculumConfig] = {name: factory() for name, factory in variants().items()}

TARGET = 3.0
"""Target CPU time of a refresh with 100,000 tasks, in ms."""


def pool(num_tasks: int) -> Table:
    """Returns a pool in the middle of training: nearly all tasks are active and have results."""
    rng = np.random.default_rng(0)
    table = empty_table(num_tasks, 2)
    rows = table.rows
    rows["is_active"] = rng.random(num_tasks) < 0.99
    rows["task_id"] = rows["seed"] = np.arange(num_tasks)
    rows["num_completions"] = rows["num_regrets"] = rng.integers(100, size=num_tasks)
    rows["last_scheduled"] = rng.integers(10**7, size=num_tasks)
    for name in ("fast_ema", "slow_ema", "success_ema"):
        rows[name] = rng.random(num_tasks)
    rows["mean_square"] = rows["slow_ema"]
    rows["last_score"] = rng.integers(2, size=num_tasks)
    rows["last_regret"] = rng.random(num_tasks)
    rows["label_index"] = rng.integers(64, size=num_tasks)
    for name in RECENT_SCORES:
        rows[name] = rng.integers(-(2**63), 2**63, size=num_tasks)
    table.labels["chance"] = table.labels["priority"] = rng.dirichlet(np.ones(MAX_LABELS))
    table.labels["num_recent"] = rng.integers(100, size=MAX_LABELS)
    table.labels["recent_regret"] = table.labels["num_recent"] * rng.random(MAX_LABELS)
    rows["params"] = np.stack([rng.integers(10, size=num_tasks), rng.random(num_tasks)], axis=1)
    return table


CHANGED = 16
"""A refresh comes after results of one task in this number, as in a large pool."""


def tell(table: Table, rng: np.random.Generator) -> None:
    """Changes the rows of some tasks, as results do: what a memo keeps of the other rows stays valid."""
    rows, slots = table.rows, rng.integers(len(table.rows), size=len(table.rows) // CHANGED)
    rows["num_completions"][slots] += 1
    rows["last_scheduled"][slots] = rows["last_scheduled"].max() + 1 + np.arange(len(slots))
    for name in ("fast_ema", "slow_ema", "success_ema"):
        rows[name][slots] = rng.random(len(slots))
    rows["mean_square"][slots] = rows["slow_ema"][slots]


def refresh(algorithm: Algorithm, columns: Columns) -> None:
    cumulative(algorithm.probabilities(columns, algorithm.priorities(columns)))


def evict(algorithm: Algorithm, columns: Columns) -> None:
    algorithm.evictable(columns, algorithm.priorities(columns), CurriculumConfig())


def measure(fn: Callable[[Algorithm, Columns], None], algorithm: Algorithm, table: Table, repeats: int) -> str:
    """Returns the lowest CPU time, with the median in parentheses, in ms."""
    times, rng = [], np.random.default_rng(1)
    for _ in range(repeats):
        tell(table, rng)
        columns = columns_of(table)
        start = time.process_time_ns()
        fn(algorithm, columns)
        times.append((time.process_time_ns() - start) / 1e6)
    return f"{min(times):8.3f} ({statistics.median(times):7.3f})"


def keep_memory() -> None:
    """Frees one large array, after which glibc keeps freed memory instead of returning it to the system.

    Before that, the system clears returned memory again at each refresh. A refresh of 100,000 tasks then takes up to
    twice as long, depending on earlier allocations. A curriculum of that size frees such arrays when it copies its
    table.
    """
    np.zeros(2**21)


def main() -> None:
    parser = argparse.ArgumentParser(description="Measures the CPU time of one refresh and one eviction, by algorithm.")
    parser.add_argument(
        "--sizes", type=int, nargs="+", default=[1_000, 10_000, 100_000], metavar="N", help="pool sizes"
    )
    parser.add_argument("--repeats", type=int, default=50, metavar="N", help="measurements per cell")
    options = parser.parse_args()
    versions = f"python {platform.python_version()}, numpy {np.__version__}"
    print(f"{versions}, {platform.machine()}, {os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}")
    print(f"CPU time in ms: lowest (median) of {options.repeats}; target {TARGET} ms for a refresh of 100,000 tasks\n")
    pools = [pool(num_tasks) for num_tasks in options.sizes]
    keep_memory()
    print(f"{'':28}" + "".join(f"{f'refresh, {num_tasks:,}':>18}{'eviction':>18}" for num_tasks in options.sizes))
    for name, config in CONFIGS.items():
        algorithm = create_algorithm(config)
        cells = [measure(fn, algorithm, table, options.repeats) for table in pools for fn in (refresh, evict)]
        print(f"{name:28}" + "".join(cells), flush=True)


if __name__ == "__main__":
    main()
