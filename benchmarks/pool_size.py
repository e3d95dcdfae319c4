"""What a pool costs by its size: memory, making, asking and telling, a refresh, statistics, a checkpoint.

    python benchmarks/pool_size.py                       # 1,000 to 10,000,000 tasks; ten minutes, 10 GB
    python benchmarks/pool_size.py --sizes 1000 1000000

The recommended algorithm on the local backend, without axes; a configuration is its seed. Each size has a process.
CPU time of that process, the median where there are several. docs/pool-size.md has the figures.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from lines import BATCH, batches, cpu_us, recommended

SIZES = (1_000, 10_000, 100_000, 1_000_000, 10_000_000)
NUM_BATCHES = 60


def measured(num_tasks: int) -> dict[str, float]:
    """Returns each line: times in ms, memory in MB."""
    rng = np.random.default_rng(0)
    before = memory("VmRSS")
    kept: list[Any] = []
    result = {"make": cpu_us(lambda: kept.append(recommended(num_tasks))) / 1e3}
    (curriculum,) = kept
    result["memory once made"] = memory("VmRSS") - before
    times = [cpu_us(batches, curriculum, 1, rng) / 1e3 for _ in range(NUM_BATCHES)]
    result[f"ask and tell {BATCH}"] = statistics.median(times)
    refresher, tracker = curriculum._refresher, curriculum.tracker  # noqa: SLF001  no call does only this
    result["refresh"] = min(cpu_us(refresher.probabilities, tracker.snapshot()) / 1e3 for _ in range(2))
    result["get_task"] = statistics.median(cpu_us(curriculum.get_task) / 1e3 for _ in range(500))
    result["stats"] = statistics.median(cpu_us(curriculum.stats) / 1e3 for _ in range(3))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pool"
        result["save"] = cpu_us(curriculum.save, path) / 1e3
        result["checkpoint"] = path.stat().st_size / 1e6
        result["load"] = cpu_us(lambda: kept.append(type(curriculum).load(path))) / 1e3
    result["highest memory, with the loaded copy"] = memory("VmHWM")
    return result


def memory(name: str) -> float:
    """Returns a figure on the memory of this process on Linux, in MB: VmRSS now, VmHWM at its highest."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith(f"{name}:"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES), metavar="N", help="numbers of tasks")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one is not None:
        print(json.dumps(measured(options.one)))
        return
    print(f"Python {platform.python_version()}, NumPy {np.__version__}, load {os.getloadavg()[0]:.1f}; ms and MB")
    for size in options.sizes:
        command = [sys.executable, __file__, "--one", str(size)]
        out = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603  this file
        print(f"\n{size:,} tasks")
        for name, value in json.loads(out.stdout).items():
            print(f"  {name:38} {value:12.4g}", flush=True)


if __name__ == "__main__":
    main()
