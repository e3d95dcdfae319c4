"""Kills random workers of one session for a while, then checks the counts.

    make storm
    make storm ARGS="--seconds 10 --workers 8"

Each worker plays at full speed and records in its own ledger which results it started to tell and which calls
returned. Another process kills a worker every few milliseconds and starts a new one, which joins by name or as a forked
copy. At the end, the number of counted results must lie between the acknowledged and the started ones. The exit status
is 1 if it does not, if a row is torn, or if a call took longer than a second.
"""

import argparse
import json
import logging
import mmap
import os
import signal
import sys
import time
import traceback
from dataclasses import asdict, dataclass

import numpy as np

from curricular import CorruptTableError, Curriculum, LearningProgressConfig

STARTED, ACKNOWLEDGED, LONGEST, NUM_FIELDS = 0, 1, 2, 3
MAX_LIVES = 100_000
BATCH = 64
MAX_WAIT = 1.0
"""Longest acceptable duration of a call, in seconds."""


@dataclass(frozen=True)
class Outcome:
    seconds: float
    workers: int
    kills: int
    started: int
    acknowledged: int
    counted: int
    torn: int
    evicted: int
    longest_wait: float
    """Duration of the slowest call of any process, in seconds, including other work on the machine."""
    is_balanced: bool
    """Whether scheduled + unsolicited = completed + cancelled + stale + pending, in the counters and in the rows."""

    @property
    def is_good(self) -> bool:
        is_counted = self.acknowledged <= self.counted <= self.started
        return is_counted and self.is_balanced and self.torn == 0 and self.longest_wait < MAX_WAIT


def work(curriculum: Curriculum[int], ledger: memoryview, seed: int) -> None:
    """Plays until killed; a few calls are of other kinds."""
    rng = np.random.default_rng(seed)
    while True:
        kind = rng.random()
        started = time.perf_counter()
        if kind < 0.02:
            ledger[STARTED] += BATCH
            tasks = curriculum.ask(BATCH)
            curriculum.tell([task.task_id for task in tasks], rng.random(BATCH))
            ledger[ACKNOWLEDGED] += BATCH
        elif kind < 0.021:
            curriculum.stats()
        elif kind < 0.03:
            curriculum.cancel([curriculum.get_task().task_id], "storm")
        else:
            ledger[STARTED] += 1
            curriculum.update_task_performance(curriculum.get_task().task_id, kind)
            ledger[ACKNOWLEDGED] += 1
        ledger[LONGEST] = max(ledger[LONGEST], int(1e9 * (time.perf_counter() - started)))


def storm(seconds: float, num_workers: int, seed: int) -> Outcome:
    config = LearningProgressConfig.fast_learning(
        num_active_tasks=300, session_id=f"storm-{os.getpid()}", min_presentations_for_eviction=5, eviction_rate=0.2
    )
    rng = np.random.default_rng(seed)
    ledgers = mmap.mmap(-1, 8 * NUM_FIELDS * MAX_LIVES)
    books = np.frombuffer(ledgers, np.int64).reshape(MAX_LIVES, NUM_FIELDS)
    lives = kills = torn = 0
    longest = 0.0

    with Curriculum(config) as curriculum:

        def start() -> int:
            nonlocal lives
            lives += 1
            pid = os.fork()
            if pid == 0:
                try:
                    joined = Curriculum(config) if lives % 2 else curriculum
                    work(joined, books[lives - 1].data, lives)
                except BaseException:  # noqa: BLE001  any error must be printed, and the process must end
                    traceback.print_exc()
                finally:
                    os._exit(3)  # a worker ends only by a kill; any other end is an error
            return pid

        workers = [start() for _ in range(num_workers)]
        began = checked = time.monotonic()
        while time.monotonic() - began < seconds and lives < MAX_LIVES:
            time.sleep(rng.exponential(0.02))
            victim = int(rng.integers(num_workers))
            os.kill(workers[victim], signal.SIGKILL)
            if os.waitstatus_to_exitcode(os.waitpid(workers[victim], 0)[1]) != -signal.SIGKILL:
                raise SystemExit("storm: a worker ended with an error; see its traceback above")
            kills += 1
            workers[victim] = start()
            if time.monotonic() - checked > 0.5:
                started = time.monotonic()
                try:
                    curriculum.stats()
                except CorruptTableError as error:
                    print(error, file=sys.stderr)
                    torn += 1
                checked = time.monotonic()
                longest = max(longest, checked - started)
        took = time.monotonic() - began
        for pid in workers:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)

        stats, rows = curriculum.stats(), curriculum.tracker.snapshot().rows
        ended = stats["num_completed"] + stats["num_cancelled"] + stats["num_stale"]
        is_balanced = (
            stats["num_scheduled"] + stats["num_unsolicited"] == ended + stats["num_pending"]
            and stats["num_pending"] == rows["num_pending"].sum() + rows["num_orphans"].sum()
            and stats["num_evicted"] == (rows["task_id"] // len(rows)).sum()
        )
        return Outcome(
            seconds=took,
            workers=num_workers,
            kills=kills + num_workers,
            started=int(books[:, STARTED].sum()),
            acknowledged=int(books[:, ACKNOWLEDGED].sum()),
            counted=int(stats["num_completed"] + stats["num_stale"]),
            torn=torn,
            evicted=int(stats["num_evicted"]),
            longest_wait=max(longest, float(books[:, LONGEST].max()) / 1e9),
            is_balanced=bool(is_balanced),
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60.0, help="duration of the storm")
    parser.add_argument("--workers", type=int, default=4, metavar="N", help="number of workers at a time")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="seed of the kills")
    parser.add_argument("--json", action="store_true", help="print the outcome as one line of JSON")
    args = parser.parse_args()
    logging.getLogger("curricular").setLevel(logging.ERROR)  # the storm cancels tasks on purpose
    outcome = storm(args.seconds, args.workers, args.seed)
    if args.json:
        print(json.dumps(asdict(outcome)))
    else:
        for name, value in asdict(outcome).items():
            text = (
                f"{value:,.3f}" if isinstance(value, float) else f"{value}" if isinstance(value, bool) else f"{value:,}"
            )
            print(f"{name.replace('_', ' '):>14}  {text}")
    raise SystemExit(not outcome.is_good)


if __name__ == "__main__":
    main()
