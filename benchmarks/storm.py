"""Kills random workers of one session for a while and counts what is left.

    make storm
    make storm ARGS="--seconds 10 --workers 8"

Each worker plays at full speed and writes into a ledger of its own what it began and what it saw acknowledged. Another
process kills one of them every few milliseconds and starts a new one, which joins by name or as a forked copy. In the
end, the results counted must lie between those acknowledged and those begun. Ends with status 1 if they do not, if a
row is torn, or if anybody had to wait for longer than a second.
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
"""Seconds that nobody should wait longer for."""


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
    """Seconds that the slowest call of anybody took, with all that the machine did meanwhile."""
    is_balanced: bool
    """Scheduled + unsolicited = told + cancelled + stale + pending, and the rows add up to the same."""

    @property
    def is_good(self) -> bool:
        is_counted = self.acknowledged <= self.counted <= self.started
        return is_counted and self.is_balanced and self.torn == 0 and self.longest_wait < MAX_WAIT


def work(curriculum: Curriculum[int], ledger: memoryview, seed: int) -> None:
    """Plays for ever; a few calls in between are of other kinds."""
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
                except BaseException:  # noqa: BLE001  whatever it was, it must be seen, and the process must end
                    traceback.print_exc()
                finally:
                    os._exit(3)  # only a kill ends a worker: anything else is an error
            return pid

        workers = [start() for _ in range(num_workers)]
        began = looked = time.monotonic()
        while time.monotonic() - began < seconds and lives < MAX_LIVES:
            time.sleep(rng.exponential(0.02))
            victim = int(rng.integers(num_workers))
            os.kill(workers[victim], signal.SIGKILL)
            if os.waitstatus_to_exitcode(os.waitpid(workers[victim], 0)[1]) != -signal.SIGKILL:
                raise SystemExit("storm: a worker ended by an error, see above")
            kills += 1
            workers[victim] = start()
            if time.monotonic() - looked > 0.5:
                started = time.monotonic()
                try:
                    curriculum.stats()
                except CorruptTableError as error:
                    print(error, file=sys.stderr)
                    torn += 1
                looked = time.monotonic()
                longest = max(longest, looked - started)
        took = time.monotonic() - began
        for pid in workers:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)

        stats, rows = curriculum.stats(), curriculum.tracker.snapshot().rows
        came = stats["num_completed"] + stats["num_cancelled"] + stats["num_stale"] + stats["num_pending"]
        is_balanced = (
            stats["num_scheduled"] + stats["num_unsolicited"] == came
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
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print one line of JSON")
    args = parser.parse_args()
    logging.getLogger("curricular").setLevel(logging.ERROR)  # the cancelled tasks are on purpose
    outcome = storm(args.seconds, args.workers, args.seed)
    if args.json:
        print(json.dumps(asdict(outcome)))
    else:
        for name, value in asdict(outcome).items():
            print(
                f"{name.replace('_', ' '):>14}  {value:,.3f}" if isinstance(value, float) else f"{name:>14}  {value:,}"
            )
    raise SystemExit(not outcome.is_good)


if __name__ == "__main__":
    main()
