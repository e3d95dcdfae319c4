"""Damaged session files: an error that names what is wrong, and no harm to a session in use.

Each case is a sentence, a mutation of a session, who meets it, and what the error must say.
"""

import gc
import json
import math
import os
import tempfile
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from curricular.backends import session, shared
from curricular.backends.catalogue import list_sessions
from curricular.backends.journal import CorruptTableError, row_checks
from curricular.backends.layout import (
    CLEARED,
    COMMITTED,
    CREATED,
    FIRST,
    HAS_TAILS,
    HEAD,
    HEADER_SIZE,
    HOLDER,
    MAGIC,
    NUM_HANDOUTS,
    NUM_ROWS,
    NUM_WORKERS,
    NUMBER,
    PID,
    FileLayout,
    SessionError,
)
from curricular.backends.protocol import LOG_SIZE
from curricular.config import USUAL_MAX_OPEN
from curricular.show import read_content
from curricular.table import CANCELLED, EVENT, HANDOUT, LABEL, NO_WORKER, REASON, Counters, handout_dtype

from .levels import CAPACITY, INF, LOWEST, NAN, OWN_REASON, check_accounts, lived, made


@pytest.fixture(scope="module", autouse=True)
def nothing_left_open():
    """What was refused is let go of."""
    gc.collect()
    before = set(session._inodes)
    yield
    gc.collect()
    assert set(session._inodes) <= before


@pytest.fixture
def directory(monkeypatch):
    monkeypatch.setattr(shared, "MAX_DELAY", math.inf)  # what is in the logs stays there until a test asks
    with tempfile.TemporaryDirectory(dir=session.base_directory(), prefix="curricular-test-") as name:
        monkeypatch.setattr(session, "base_directory", lambda: Path(name))
        yield session.session_directory()


@pytest.fixture
def workers(directory):
    """Two workers of one session; results of both wait in their logs, and both have hand-outs with tickets out."""
    with made(session_id="shared") as first, made(session_id="shared") as second:
        lived(first, 3)
        first.flush()
        second.get_task()
        second.ask_batch(3)
        first.ask_batch(2)
        for worker in (first, second):
            worker.ask(5)
        yield first, second


def at(array, index, value):
    """A mutation of an array of a session file."""

    def mutate(table):
        found = getattr(table, array)
        found[index] = value(found[index]) if callable(value) else value

    return mutate


def at_handout(name, value):
    """The open hand-out that was asked for last."""

    def mutate(table):
        place = table.ledger["moment"].argmax()
        table.ledger[name][place] = value(table.ledger[name][place]) if callable(value) else value

    return mutate


def at_reason(name, index, value):
    def mutate(table):
        table.reasons[name][index] = value

    return mutate


def at_dead_worker(**words):
    """A slot of a worker that died: it is claimed, but no process holds it."""

    def mutate(table):
        for name, word in ({"pid": 12345, "number": 0, "head": 0, "first": 0} | words).items():
            table.workers[100, {"pid": PID, "number": NUMBER, "head": HEAD, "first": FIRST}[name]] = word
        table.tails[100] = table.workers[100, HEAD]

    return mutate


def both(*mutations):
    def mutate(table):
        for mutation in mutations:
            mutation(table)

    return mutate


def at_counter(name, value):
    return at("counters", Counters._fields.index(name), value)


def at_label(name, index, value):
    def mutate(table):
        table.labels[name][index] = value

    return mutate


def at_distribution(index, value):
    """Of the distribution in use."""

    def mutate(table):
        table.distributions[table.counts[Counters._fields.index("epoch")] % 2, index] = value

    return mutate


def at_row(name, value):
    """A field of a row, with the check word that belongs to it."""

    def mutate(table):
        table.rows[name][3] = value
        table.checks[3:4] = row_checks(table.rows.take(np.array([3])))

    return mutate


def at_event(name, value):
    """The last event in the log of the first worker."""

    def mutate(table):
        table.rings[name][0, (table.workers[0, HEAD] - 1) % LOG_SIZE] = value

    return mutate


HEAD_WORDS = {"num_rows": NUM_ROWS, "has_tails": HAS_TAILS, "num_handouts": NUM_HANDOUTS, "cleared": CLEARED}


def at_journal_handout(name, value, index=0):
    """A journal with the two hand-outs of the last change, one of them with a mutation."""

    def mutate(table):
        at_journal(num_handouts=2)(table)
        table._journal["handouts"][name][index] = value

    return mutate


def at_journal(part=None, index=0, value=None, **head):
    """A journal that says that it is committed: that of the last change, with a mutation."""

    def mutate(table):
        table.control[COMMITTED] = 1
        if head.get("num_rows") == 3:
            table._journal["slots"][:3] = [0, 1, 2]
        for name, word in head.items():
            table._journal["head"][HEAD_WORDS[name]] = word
        if part:
            table._journal[part][index] = value

    return mutate


EVERYONE = ("join", "flush", "look")
"""Who meets the damage: a process that joins, a worker that takes results in, a worker that looks at the table."""

LOGS = ("join", "flush")

LOOKS = ("join", "look")
"""Who meets damage of the ledger that no change is about."""

HOLDERS = (*LOOKS, "tell", "cancel", "expire")
"""Who meets damage of an open hand-out: also who ends it."""

GIVERS = ("join", "flush", "tell", "ask", "expire")
"""Who meets a slot of a dead worker that cannot be one: all that change the table."""

DAMAGES = {
    **{
        f"counter {name} is {value}": (at_counter(name, value), EVERYONE, rf"counters\['{name}'\]")
        for name in Counters._fields
        for value in (-1, 2**63 - 1)
    },
    "a result is missing in the counters": (at_counter("num_completed", lambda n: n - 1), EVERYONE, "counters"),
    "a pending hand-out is counted as cancelled": (
        both(at_counter("num_pending", lambda n: n - 1), at_counter("num_cancelled", lambda n: n + 1)),
        ("join",),
        r"reasons\['count'\] with the sum num_cancelled",
    ),
    "the counters are zero": (at("counters", slice(None), 0), EVERYONE, r"counters\['num_labels'\]"),
    "a label's name is that of another": (at_label("name", 2, b"(other)"), EVERYONE, r"labels\['name'\] to hold each"),
    "a label's name is not UTF-8": (at_label("name", 2, b"\xff"), EVERYONE, r"labels\['name'\] in UTF-8"),
    "the first label has no name": (at_label("name", 0, b""), EVERYONE, r"labels\['name'\] to begin"),
    "the labels are zero": (at("labels", slice(None), np.zeros((), LABEL)), EVERYONE, r"labels\['name'\]"),
    "a label's count is negative": (at_label("num_completed", 1, -1), EVERYONE, r"labels\['num_completed'\]"),
    "a label's scores are NaN": (at_label("recent_score", 1, NAN), EVERYONE, r"labels\['recent_score'\]"),
    "a label's regrets are infinite": (at_label("recent_regret", 1, INF), EVERYONE, r"labels\['recent_regret'\]"),
    "the distribution has NaN in it": (at_distribution(3, NAN), ("join", "look"), "cumulated to rise"),
    "the distribution falls": (at_distribution(4, -1.0), ("join", "look"), "cumulated to rise"),
    "the distribution ends with NaN": (at_distribution(7, NAN), ("join", "look"), "cumulated to end with 1"),
    "the distribution is zero": (at_distribution(slice(None), 0.0), ("join", "look"), "cumulated to end with 1"),
    "a row is another one": (at("rows", "seed", 3), ("join", "look"), "rows that do not match their checks"),
    "a row's label is none": (at("rows", "label_index", 2**40), EVERYONE, "8 rows that do not match their checks"),
    "a row's label is negative": (at("rows", "label_index", -(2**40)), EVERYONE, "rows that do not match their checks"),
    "a row says that its task is gone": (
        at("rows", "is_active", 0),
        ("join", "look", "ask"),
        "8 rows that do not match",
    ),
    "a check is another one": (at("checks", 3, 12345), ("join", "look"), "1 rows that do not match their checks"),
    "a row and its check have a NaN": (at_row("slow_ema", NAN), ("join",), r"rows\['slow_ema'\]"),
    "a row and its check have another slot's id": (at_row("task_id", 4), ("join",), r"rows\['task_id'\] of slot 3"),
    "a row and its check have a label that is none": (at_row("label_index", 63), ("join",), r"rows\['label_index'\]"),
    "a row and its check have a negative count": (at_row("num_pending", -1), ("join",), r"rows\['num_pending'\]"),
    "a head is behind its tail": (at("workers", (1, HEAD), lambda head: head - 2000), LOGS, "logs of"),
    "a head is far ahead": (at("workers", (1, HEAD), lambda head: head + 5000), LOGS, "logs of"),
    "a head is the highest number": (at("workers", (1, HEAD), 2**63 - 1), LOGS, "logs of"),
    "a head is the lowest number": (at("workers", (1, HEAD), LOWEST), LOGS, "logs of"),
    "a tail is ahead of its head": (at("tails", 1, 10**6), LOGS, "logs of"),
    "a tail is negative": (at("tails", 1, -3), LOGS, "logs of"),
    "a tail is the lowest number": (at("tails", 1, LOWEST), LOGS, "logs of"),
    "a head and a tail wrap around": (
        both(at("workers", (9, HEAD), LOWEST), at("tails", 9, 2**63 - 1)),
        LOGS,
        "logs of",
    ),
    "a log without a worker is not empty": (at("workers", (200, HEAD), 5000), LOGS, "logs of"),
    "a pid is negative": (at("workers", (1, PID), -7), ("join",), "workers with pids"),
    "a pid is huge": (at("workers", (77, PID), 2**62), ("join",), "workers with pids"),
    **{
        f"an event is of kind {value}": (at_event("kind", value), ("flush",), r"events\['kind'\]")
        for value in (-1, 4, 2**63 - 1, LOWEST)
    },
    **{
        f"an event is of task {value}": (at_event("task_id", value), ("flush",), r"events\['task_id'\]")
        for value in (-1, 10**9, 2**63 - 1, LOWEST)
    },
    **{
        f"an event's {name} is {value}": (at_event(name, value), ("flush",), rf"events\['{name}'\]")
        for name in ("score", "regret")
        for value in (NAN, INF, -INF)
    },
    **{
        f"an open hand-out's {name} is {value}": (at_handout(name, value), HOLDERS, rf"ledger\['{name}'\]")
        for name in ("task_id", "seed", "worker")
        for value in (LOWEST, -2, 2**63 - 1)
    },
    **{
        f"an open hand-out's chance is {value}": (at_handout("chance", value), HOLDERS, r"ledger\['chance'\]")
        for value in (NAN, INF, -1.0, 1.5)
    },
    "an open hand-out has the seed of another task": (
        at_handout("seed", lambda seed: (seed + 1) % 60),
        HOLDERS,
        r"ledger\['seed'\] of its task",
    ),
    "an open hand-out is of a task that comes later": (
        at_handout("task_id", lambda task_id: task_id + 10**6 * CAPACITY),
        HOLDERS,
        r"ledger\['task_id'\] of those that were issued",
    ),
    "an open hand-out is of a worker that comes later": (at_handout("worker", 10**6), HOLDERS, r"ledger\['worker'\]"),
    "an open hand-out comes later": (at_handout("moment", 2**62), LOOKS, r"ledger\['moment'\]"),
    "an open hand-out came before all": (at_handout("moment", -1), HOLDERS, r"ledger\['moment'\]"),
    "an open hand-out is in another's place": (
        at_handout("ticket", lambda ticket: ticket - 1),
        LOOKS,
        r"ledger\['ticket'\] in the place",
    ),
    "an open hand-out has a negative ticket": (at_handout("ticket", -1), LOOKS, r"ledger\['ticket'\]"),
    "an open hand-out is gone": (at_handout("ticket", 0), LOOKS, r"ledger with counters\['num_open'\]"),
    "the ledger is zero": (at("ledger", slice(None), np.zeros((), handout_dtype(2))), LOOKS, r"counters\['num_open'\]"),
    "an open hand-out is not counted": (at_counter("num_open", lambda n: n - 1), LOOKS, r"counters\['num_open'\]"),
    "no open hand-out is counted": (at_counter("num_open", 0), (*LOOKS, "tell"), r"counters\['num_open'\]"),
    "more hand-outs are open than the ledger holds": (
        at_counter("num_open", USUAL_MAX_OPEN + 1),
        EVERYONE,
        r"counters\['num_open'\]",
    ),
    "hand-outs are open, and no ticket was issued": (at_counter("num_tickets", 0), EVERYONE, r"counters\['num_open'\]"),
    "fewer tickets were issued": (at_counter("num_tickets", 1), (*LOOKS, "tell"), r"ledger\['ticket'\] of those"),
    "there were too many tickets": (at_counter("num_tickets", 2**40), EVERYONE, r"counters\['num_tickets'\]"),
    "the life has a number too many": (at_counter("life", 2**30), EVERYONE, r"counters\['life'\]"),
    "ids begin beyond all numbers": (
        at_counter("first_generation", 2**61),
        EVERYONE,
        r"counters\['first_generation'\]",
    ),
    "a reason's count is negative": (at_reason("count", OWN_REASON, -1), EVERYONE, r"reasons\['count'\]"),
    "a reason's count is huge": (at_reason("count", OWN_REASON, 2**63 - 1), EVERYONE, r"reasons\['count'\]"),
    "a reason has the name of another": (
        at_reason("name", OWN_REASON, b"expired"),
        EVERYONE,
        r"reasons\['name'\] to hold",
    ),
    "a reason's name is not UTF-8": (at_reason("name", OWN_REASON, b"\xff"), EVERYONE, r"reasons\['name'\] in UTF-8"),
    "the reasons are zero": (at("reasons", slice(None), np.zeros((), REASON)), EVERYONE, r"reasons\['name'\]"),
    "an event is cancelled for no known reason": (
        both(at_event("kind", CANCELLED), at_event("score", OWN_REASON + 1.0)),
        ("flush",),
        r"events\['score'\] of cancellations",
    ),
    "an event is cancelled for half a reason": (
        both(at_event("kind", CANCELLED), at_event("score", 1.5)),
        ("flush",),
        r"events\['score'\] of cancellations",
    ),
    "two workers have one number": (at("workers", (1, NUMBER), 1), ("join",), "workers with numbers"),
    "a worker's number is negative": (at("workers", (1, NUMBER), -1), ("join",), "workers with numbers"),
    "a worker's number is of a later one": (at("workers", (1, NUMBER), 99), ("join",), "workers with numbers"),
    "a worker joined after its last event": (at("workers", (1, FIRST), 10**6), ("join",), "workers whose logs begin"),
    "a dead worker has the number of a living one": (at_dead_worker(number=1), GIVERS, "workers with numbers"),
    "a dead worker has the number of what waits": (at_dead_worker(number=NO_WORKER), GIVERS, "workers with numbers"),
    "a dead worker has the highest number": (at_dead_worker(number=2**63 - 1), GIVERS, "workers with numbers"),
    "a dead worker's log begins at a negative event": (at_dead_worker(first=-5), GIVERS, "workers whose logs begin"),
    "a dead worker's log begins at the lowest": (at_dead_worker(first=LOWEST), GIVERS, "workers whose logs begin"),
    "a dead worker's log begins after its end": (at_dead_worker(first=9, head=3), GIVERS, "workers whose logs begin"),
    "the commit word is 2": (at("control", COMMITTED, 2), EVERYONE, "a journal with the words"),
    "the commit word is -1": (at("control", COMMITTED, -1), EVERYONE, "a journal with the words"),
    **{
        f"the journal is of {value} rows": (at_journal(num_rows=value), EVERYONE, "a journal with the words")
        for value in (-1, CAPACITY + 1, 2**62)
    },
    **{
        f"the journal is of {value} hand-outs": (at_journal(num_handouts=value), EVERYONE, "a journal with the words")
        for value in (-1, USUAL_MAX_OPEN + 1, 2**62)
    },
    "the journal has a place beyond the ledger": (
        at_journal("places", 0, USUAL_MAX_OPEN, num_handouts=2),
        EVERYONE,
        "journal of places",
    ),
    "the journal has a negative place": (at_journal("places", 0, -1, num_handouts=2), EVERYONE, "journal of places"),
    "the journal has a place twice": (at_journal("places", [0, 1], 2, num_handouts=2), EVERYONE, "journal of places"),
    "the journal has a hand-out in another's place": (
        at_journal("places", 0, 77, num_handouts=2),
        EVERYONE,
        r"ledger\['ticket'\] in the place|num_open",
    ),
    **{
        f"the journal has a hand-out whose {name} is {value}": (
            at_journal_handout(name, value),
            EVERYONE,
            r"ledger|num_open",
        )
        for name in HANDOUT.names
        for value in (-5, 2**62 + 1)
    },
    "the journal has a hand-out that is none": (at_journal_handout("ticket", 0), EVERYONE, "num_open"),
    "the journal has fewer open hand-outs": (
        at_journal("counters", Counters._fields.index("num_open"), 1),
        EVERYONE,
        "num_open",
    ),
    "the journal has no reasons": (at_journal("reasons", slice(None), np.zeros((), REASON)), EVERYONE, r"reasons\['"),
    "the journal gives up the slots of living workers": (at_journal(cleared=-1), EVERYONE, "one of a living worker"),
    "the journal says 7 of its tails": (at_journal(has_tails=7), EVERYONE, "a journal with the words"),
    "the journal has a slot beyond the table": (at_journal("slots", 0, 99, num_rows=3), EVERYONE, "journal of slots"),
    "the journal has a negative slot": (at_journal("slots", 0, -1, num_rows=3), EVERYONE, "journal of slots"),
    "the journal has a slot twice": (at_journal("slots", [0, 1], 2, num_rows=3), EVERYONE, "journal of slots"),
    "the journal's rows do not match their checks": (
        at_journal("checks", 0, 5, num_rows=3),
        EVERYONE,
        "journal of rows",
    ),
    "the journal's tails are ahead": (at_journal("tails", 1, 10**6, has_tails=1), EVERYONE, "journal that leaves logs"),
    "the journal's tails are negative": (at_journal("tails", 5, -1, has_tails=1), EVERYONE, "journal that leaves logs"),
    "the journal's counters are zero": (at_journal("counters", slice(None), 0), EVERYONE, r"counters\['num_labels'\]"),
    "the journal's counters do not add up": (at_journal("counters", 3, 7), EVERYONE, "counters"),
    "the journal's labels are zero": (at_journal("labels", slice(None), np.zeros((), LABEL)), EVERYONE, r"labels\['"),
}
"""Name -> mutation of a session in use, who refuses it, what the error says."""


def arrays_of(table):
    """All that a session file holds, but for the logs' content beyond the first."""
    journal = [table._journal[name] for name in sorted(table._journal)]
    control = np.asarray(table.control)
    small = (table.workers, table.tails, table.counters, table.labels, table.reasons, table.checks, table.distributions)
    small = (*small, table.ledger)
    return [*small, table.rows.words, table.rings[:2], control, *journal]


def content(arrays):
    return [array.tobytes() for array in arrays]


@pytest.mark.parametrize("name", DAMAGES)
def test_refused_in_a_session_if(name, workers):
    mutate, places, match = DAMAGES[name]
    first, second = workers
    table = first.tracker.backend._shared
    tickets = np.sort(table.ledger["ticket"])[-2:]
    arrays = arrays_of(table)
    before = [array.copy() for array in arrays]
    mutate(table)
    table.control[HOLDER] = os.getpid()
    damaged = content(arrays)
    calls = {
        "join": lambda: made(session_id="shared"),
        "flush": second.flush,
        "look": second.tracker.backend.snapshot,
        "tell": lambda: second.tell_batch(tickets, [[0.5, 1.0]] * 2),
        "cancel": lambda: second.cancel_batch(tickets, "for the test"),
        "expire": lambda: second.expire(0),
        "ask": lambda: second.ask_batch(2),
    }
    for place in places:
        with pytest.raises(CorruptTableError, match=f"session 'shared': expected .*(?:{match})"):
            calls[place]()
        assert content(arrays) == damaged, place
    assert first.tracker.backend._file.slots == {0, 1}

    for array, old in zip(arrays, before, strict=True):  # as if it had never been
        array[...] = old
    for worker in workers:
        worker.ask(10)
        worker.ask_batch(2)
        assert check_accounts(worker).num_scheduled > 0
    assert first.tell_batch(tickets, [[0.5, 1.0]] * 2) == 2
    with made(session_id="shared") as third:
        third.get_task()
        check_accounts(third)


def swap_distributions(table):
    """The other distribution is in use, which is an older one."""
    at_counter("epoch", lambda epoch: epoch + 1)(table)


def spoil_the_other_distribution(table):
    table.distributions[(table.counts[Counters._fields.index("epoch")] + 1) % 2] = NAN


def spoil_the_journal(table):
    for array in table._journal.values():
        array[...] = np.ones((), array.dtype)


SCARS = {
    "the holder's pid is of no process": at("control", HOLDER, -5),
    "the number of workers is negative": at("control", NUM_WORKERS, LOWEST),
    "the number of workers is huge": at("control", NUM_WORKERS, 2**63 - 1),
    "the number of workers is zero": at("control", NUM_WORKERS, 0),
    "the time of creation is gone": at("control", CREATED, 0),
    "the time of creation is negative": at("control", CREATED, LOWEST),
    "a worker's pid is gone": at("workers", (1, PID), 0),
    "a worker's pid is of another process": at("workers", (1, PID), 1),
    "a slot without a worker bears a pid": at("workers", (100, PID), 12345),
    "a worker has no number": at("workers", (1, NUMBER), 0),
    "the life has another number": at_counter("life", 77),
    "tickets that came twice are not counted": at_counter("num_repeated", 0),
    "the last change is committed once more": at("control", COMMITTED, 1),
    "the journal is spoilt when no change is under way": spoil_the_journal,
    "the distribution that is not in use is spoilt": spoil_the_other_distribution,
    "the distribution that is not in use is used": swap_distributions,
    "the last event of a log is lost": at("workers", (0, HEAD), lambda head: head - 1),
    "the log without a worker is spoilt": lambda table: table.rings[99].fill(np.ones((), EVENT)),
    "the number of restores is another one": at_counter("num_restores", 1000),
    "the number of streams is another one": at_counter("num_streams", 1000),
}
"""Name -> mutation of a session in use that leaves all workers running."""


@pytest.mark.parametrize("name", SCARS)
def test_harmless_in_a_session_if(name, workers):
    first, second = workers
    SCARS[name](first.tracker.backend._shared)
    with made(session_id="shared") as third:
        for worker in (first, second, third):
            tasks = worker.ask(20)
            worker.tell([task.task_id for task in tasks], [0.5] * 20)
            assert worker.stats()["num_completed"] > 0
            check_accounts(worker)
        assert list_sessions()[0].num_tasks == CAPACITY
        assert len({worker._draws.stream for worker in (first, second, third)}) == 3
        assert first.tracker.backend._file.slots == {0, 1, 2}
    assert first.tracker.backend.num_workers >= 0
    check_accounts(first)


def with_setting(**changes):
    def mutate(path):
        with path.open("r+b") as file:
            header = json.loads(file.read(HEADER_SIZE).removeprefix(MAGIC).rstrip(b"\0"))
            file.seek(0)
            file.write((MAGIC + json.dumps(header | changes).encode()).ljust(HEADER_SIZE, b"\0"))

    return mutate


def written(offset, content):
    def mutate(path):
        with path.open("r+b") as file:
            file.seek(offset)
            file.write(content)

    return mutate


def of_size(size):
    return lambda path: os.truncate(path, size)


def huge_and_sparse(path):
    """A file that declares tasks for terabytes and is as long as that, of holes."""
    with_setting(capacity=10**10)(path)
    os.truncate(path, FileLayout(10**10, 2, USUAL_MAX_OPEN).size)


def with_another_ledger(path):
    with_setting(max_open=2 * USUAL_MAX_OPEN)(path)
    os.truncate(path, FileLayout(CAPACITY, 2, 2 * USUAL_MAX_OPEN).size)


HEADERS = {
    **{
        f"its capacity is {value!r}": (with_setting(capacity=value), "expected")
        for value in (0, -1, 2**40, 2**62, 2**70, 8.0, "8", None, [8])
    },
    **{
        f"its number of axes is {value!r}": (with_setting(num_axes=value), "expected")
        for value in (-1, 500, 2**62, None)
    },
    "its capacity is of terabytes, and so is its size": (huge_and_sparse, "expected 10000000000, as"),
    "its settings are a list": (with_setting(settings=[1]), "cannot read"),
    "its settings are others": (with_setting(settings={"seed": 3}), "algorithm: expected None, as session 'dead'"),
    "its version is another one": (with_setting(version=7), "expected version 1, got 7"),
    "its fields are others": (with_setting(fields=["task_id"]), "expected fields"),
    "its counters are others": (with_setting(counters=["num_completed"]), "expected counters"),
    **{
        f"its ledger is of {value!r} entries": (with_setting(max_open=value), "expected")
        for value in (0, -1, 3, 2**15, 2**40, 2**70, 8.0, None, [8])
    },
    "its ledger is of another size, and so is the file": (with_another_ledger, "max_open: expected 32768, as session"),
    "its hand-outs are others": (with_setting(handouts=["ticket"]), "expected handouts"),
    "its reasons are more": (with_setting(num_reasons=33), "expected num_reasons"),
    "its log is of another size": (with_setting(log_size=3), "expected log_size"),
    "its magic word is another one": (written(0, b"curricuX"), "cannot read"),
    "its header is zeros": (written(0, bytes(HEADER_SIZE)), "cannot read"),
    "its header is not JSON": (written(0, MAGIC + b"{]"), "cannot read"),
    "its header is nested deeply": (written(0, MAGIC + b"{" + b'"a":[' * 3000), "cannot read"),
    "it is a byte longer": (lambda path: os.truncate(path, path.stat().st_size + 1), "expected .* bytes"),
    "it is a byte shorter": (lambda path: os.truncate(path, path.stat().st_size - 1), "expected .* bytes"),
    "it is a header only": (of_size(HEADER_SIZE), "expected .* bytes"),
    "it is empty": (of_size(0), "cannot read"),
    "others may read it": (lambda path: path.chmod(0o644), "mode 0600"),
}
"""Name -> mutation of a session file, and what the error says to a process that joins."""


@pytest.fixture
def dead(directory, workers):
    """Returns the path of a copy of a session file, which no process holds."""
    path = directory / "dead"
    path.touch(mode=0o600)
    shared = directory / "shared"
    with shared.open("rb") as source, path.open("r+b") as target:
        target.write(source.read(FileLayout(CAPACITY, 2, USUAL_MAX_OPEN).fixed_size))
        target.truncate(shared.stat().st_size)
    return path


@pytest.mark.parametrize("name", HEADERS)
def test_refused_as_a_session_file_if(name, dead, workers, monkeypatch):
    mutate, match = HEADERS[name]
    mutate(dead)
    monkeypatch.setattr(session, "sweep", list)  # or it would be gone before anybody meets it
    with pytest.raises(SessionError, match=match):
        made(session_id="dead")
    if name not in {
        "its settings are others",
        "its ledger is of another size, and so is the file",
    }:  # which only a joining process checks
        with pytest.raises(SessionError, match="expected"):
            read_content("dead")
    assert "shared" in [info.name for info in list_sessions()]
    check_accounts(workers[0])


def test_a_file_that_claims_terabytes_is_refused_without_memory_for_them(dead):
    huge_and_sparse(dead)
    tracemalloc.start()
    try:
        with pytest.raises(SessionError, match="expected"):
            read_content("dead")
        assert tracemalloc.get_traced_memory()[1] < 2**24
    finally:
        tracemalloc.stop()
