"""Kills random workers of one session for a while, then checks the counts.

    make storm
    make storm ARGS="--seconds 10 --workers 8"

Each worker plays at full speed, with task ids and with tickets: it asks for batches, tells groups, tells some of them
again, cancels some, leaves some out, and tells tickets that another process asked for. It records in its own books what
it started and which calls returned. Another process kills a worker every few milliseconds and starts a new one, which
joins by name or as a forked copy. A task always gets the same score, so that a result credited to another task shows.

At the end the counts must agree with the books: the results, the tickets that ended once, and what the killed workers
had out, which is cancelled for the reason "worker lost". The exit status is 1 if they do not, if a row is torn, or if a
call took longer than a second.
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
from numpy.typing import NDArray

from curricular import Batch, CorruptTableError, Curriculum, LearningProgressConfig
from curricular.table import Table

NUM_FIELDS = 7
STARTED, ACKNOWLEDGED, LONGEST, LEAST_OUT, MOST_OUT, DOUBLED, SHARED = range(NUM_FIELDS)
"""Books of a worker: results that it began to tell and those whose calls returned; its slowest call in ns; hand-outs
that it certainly has out, and those that it may have out; tickets that ended twice, or did not end; and shared tickets
that its calls ended."""

MAX_LIVES = 100_000
BATCH = 64
GROUP = 4
NUM_SHARED = 32
MAX_WAIT = 1.0
"""Longest acceptable duration of a call, in seconds."""

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Outcome:
    seconds: float
    workers: int
    kills: int
    started: int
    acknowledged: int
    counted: int
    torn: int
    misattributed: int
    """Tasks that have a score of another task."""
    doubled: int
    """Tickets that ended twice, or did not end when told."""
    unsolicited: int
    repeated: int
    evicted: int
    least_lost: int
    worker_lost: int
    """Hand-outs that were cancelled because their worker was killed, of which it had at least `least_lost` out."""
    most_lost: int
    least_shared: int
    ended_shared: int
    """Tickets of the process that is never killed that others ended: at least `least_shared`, as their calls say."""
    left_out: int
    """Hand-outs that are pending at the end, but those of the process that is never killed."""
    longest_wait: float
    """Duration of the slowest call of any process, in seconds, including other work on the machine."""
    is_balanced: bool
    """Whether scheduled + unsolicited = completed + cancelled + stale + pending, in the counters and in the rows."""

    @property
    def is_good(self) -> bool:
        is_counted = self.acknowledged <= self.counted <= self.started
        is_lost = self.least_lost <= self.worker_lost <= self.most_lost
        is_shared = self.least_shared <= self.ended_shared <= self.least_shared + NUM_SHARED * self.kills
        wrong = self.torn + self.misattributed + self.doubled + self.unsolicited + self.left_out
        return is_counted and is_lost and is_shared and self.is_balanced and not wrong and self.longest_wait < MAX_WAIT


def score_of(seeds: Ints) -> NDArray[np.float64]:
    """Returns the score that each task always gets, shape (n,)."""
    return seeds % 1009 / 1008


def num_misattributed(table: Table) -> int:
    """Returns the number of tasks with a score that is not theirs."""
    rows = table.rows
    expected = score_of(rows["seed"])
    is_off = (abs(rows["last_score"] - expected) > 1e-6) | (abs(rows["slow_ema"] - expected) > 1e-6)
    return int((is_off & (rows["num_completions"] > 0)).sum())


class Worker:
    """Plays until it is killed; `books` is its own memory, `shared` holds tickets and seeds of another process."""

    def __init__(self, curriculum: Curriculum[int], books: Ints, shared: Ints, seed: int) -> None:
        self.curriculum = curriculum
        self.books = books
        self.shared = shared
        self.rng = np.random.default_rng(seed)
        self.held = np.empty(0, np.int64)
        self.held_seeds = np.empty(0, np.int64)

    def work(self) -> None:
        calls = [self.pair, self.batch, self.cancel, self.look, self.tickets, self.one_ticket, self.hold, self.help]
        weights = np.array([0.6, 0.04, 0.02, 0.01, 0.12, 0.1, 0.06, 0.05])
        while True:
            for choice in self.rng.choice(len(calls), 256, p=weights):
                started = time.perf_counter()
                calls[choice]()
                self.books[LONGEST] = max(self.books[LONGEST], int(1e9 * (time.perf_counter() - started)))

    def asking(self, n: int) -> None:
        self.books[MOST_OUT] += n

    def asked(self, n: int) -> None:
        self.books[LEAST_OUT] += n

    def ending(self, n: int, *, told: bool) -> None:
        self.books[LEAST_OUT] -= n
        self.books[STARTED] += n * told

    def ended(self, n: int, *, told: bool) -> None:
        self.books[ACKNOWLEDGED] += n * told
        self.books[MOST_OUT] -= n

    def pair(self) -> None:
        self.asking(1)
        task = self.curriculum.get_task()
        self.asked(1)
        self.ending(1, told=True)
        self.curriculum.update_task_performance(task.task_id, float(score_of(np.array(task.config))))
        self.ended(1, told=True)

    def batch(self) -> None:
        self.asking(BATCH)
        tasks = self.curriculum.ask(BATCH)
        self.asked(BATCH)
        self.ending(BATCH, told=True)
        seeds = np.array([task.config for task in tasks])
        self.curriculum.tell([task.task_id for task in tasks], score_of(seeds))
        self.ended(BATCH, told=True)

    def cancel(self) -> None:
        self.asking(1)
        task = self.curriculum.get_task()
        self.asked(1)
        self.ending(1, told=False)
        self.curriculum.cancel([task.task_id], "storm")
        self.ended(1, told=False)

    def look(self) -> None:
        self.curriculum.stats()

    def ask_tickets(self, n: int) -> Batch:
        self.asking(n)
        batch = self.curriculum.ask_batch(n)
        self.asked(n)
        return batch

    def tell_tickets(self, tickets: Ints, seeds: Ints) -> None:
        """Tells groups, of which each ticket ends; some of them are told again, and none ends twice."""
        n = len(tickets)
        groups = score_of(seeds)[:, None].repeat(GROUP, axis=1)
        self.ending(n, told=True)
        num_ended = self.curriculum.tell_batch(tickets, groups)
        self.ended(n, told=True)
        self.books[DOUBLED] += n - num_ended
        if self.rng.random() < 0.3:
            self.books[DOUBLED] += self.curriculum.tell_batch(tickets, groups)

    def tickets(self) -> None:
        batch = self.ask_tickets(BATCH)
        self.tell_tickets(batch.tickets[:-4], batch.seeds[:-4])
        self.ending(4, told=False)
        num_ended = self.curriculum.cancel_batch(batch.tickets[-6:], "storm")
        self.ended(4, told=False)
        self.books[DOUBLED] += abs(4 - num_ended)

    def one_ticket(self) -> None:
        batch = self.ask_tickets(1)
        self.tell_tickets(batch.tickets, batch.seeds)

    def hold(self) -> None:
        """Leaves some out, and tells what was left out before."""
        if len(self.held) > BATCH:
            held, seeds, self.held, self.held_seeds = self.held, self.held_seeds, self.held[:0], self.held_seeds[:0]
            self.tell_tickets(held, seeds)
        batch = self.ask_tickets(8)
        self.held = np.concatenate([self.held, batch.tickets])
        self.held_seeds = np.concatenate([self.held_seeds, batch.seeds])

    def help(self) -> None:
        """Tells tickets of another process, as other workers do at the same time."""
        tickets, seeds = self.shared.copy()
        self.books[STARTED] += NUM_SHARED
        num_ended = self.curriculum.tell_batch(tickets, score_of(seeds))
        self.books[ACKNOWLEDGED] += num_ended
        self.books[SHARED] += num_ended


def storm(seconds: float, num_workers: int, seed: int) -> Outcome:
    config = LearningProgressConfig.fast_learning(
        num_active_tasks=300, session_id=f"storm-{os.getpid()}", min_presentations_for_eviction=5, eviction_rate=0.2
    )
    rng = np.random.default_rng(seed)
    books = np.frombuffer(mmap.mmap(-1, 8 * NUM_FIELDS * MAX_LIVES), np.int64).reshape(MAX_LIVES, NUM_FIELDS)
    shared = np.frombuffer(mmap.mmap(-1, 16 * NUM_SHARED), np.int64).reshape(2, NUM_SHARED)
    lives = kills = torn = misattributed = num_shared = 0
    longest = 0.0

    with Curriculum(config) as curriculum:

        def start() -> int:
            nonlocal lives
            lives += 1
            pid = os.fork()
            if pid == 0:
                try:
                    joined = Curriculum(config) if lives % 2 else curriculum
                    Worker(joined, books[lives - 1], shared, lives).work()
                except BaseException:  # noqa: BLE001  any error must be printed, and the process must end
                    traceback.print_exc()
                finally:
                    os._exit(3)  # a worker ends only by a kill; any other end is an error
            return pid

        def share() -> None:
            """Asks for the tickets that others end, once those from before have ended."""
            nonlocal num_shared
            if not np.isin(shared[0], curriculum.open_handouts().tickets).any():
                batch = curriculum.ask_batch(NUM_SHARED)
                num_shared += NUM_SHARED
                shared[1] = batch.seeds
                shared[0] = batch.tickets

        share()
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
            if time.monotonic() - checked > 0.25:
                started = time.monotonic()
                try:
                    share()
                    misattributed += num_misattributed(curriculum.tracker.snapshot())
                except CorruptTableError as error:
                    print(error, file=sys.stderr)
                    torn += 1
                checked = time.monotonic()
                longest = max(longest, checked - started)
        took = time.monotonic() - began
        for pid in workers:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)

        table, mine = curriculum.tracker.snapshot(), curriculum.open_handouts().tickets
        misattributed += num_misattributed(table)
        stats, rows = curriculum.stats(), table.rows
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
            misattributed=misattributed,
            doubled=int(abs(books[:, DOUBLED]).sum()),
            unsolicited=int(stats["num_unsolicited"]),
            repeated=int(stats["num_repeated"]),
            evicted=int(stats["num_evicted"]),
            least_lost=int(books[:, LEAST_OUT].sum()),
            worker_lost=int(stats.get("cancelled/worker lost", 0)),
            most_lost=int(books[:, MOST_OUT].sum()),
            least_shared=int(books[:, SHARED].sum()),
            ended_shared=num_shared - int(np.isin(shared[0], mine).sum()),
            left_out=int(stats["num_pending"]) - int(np.isin(shared[0], mine).sum()),
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
