"""Bad states, from a dict and from a checkpoint that holds them: refused by name, and nothing is changed.

Each case is a sentence, a mutation of an intact state, and what the error must say.
"""

import copy
import json
import pickle

import numpy as np
import pytest

from curricular import CheckpointError, Curriculum
from curricular.checkpoint import write_checkpoint
from curricular.rows import Rows, TaskState
from curricular.table import LABEL, MAX_REASONS, REASON, Counters, check_table, empty_table

from .levels import CAPACITY, INF, LOWEST, NAN, OWN_REASON, Levels, check_accounts, lived, local


def test_what_is_mutated_here_is_intact_and_has_something_of_everything(intact):
    counters = Counters(**intact["counters"])
    local().load_state_dict(intact)
    assert min(counters.num_evicted, counters.num_stale, counters.num_cancelled, counters.num_unsolicited) > 0
    rows = Rows(intact["rows"])
    assert rows["num_pending"].any()
    assert rows["num_orphans"].any()
    assert rows["num_regrets"].any()
    assert rows["num_completions"].any()
    assert counters.num_labels == 4
    assert min(counters.num_open, counters.num_repeated, counters.life) > 0
    tasks = intact["ledger"]["task_id"]
    is_here = np.isin(tasks, rows["task_id"])
    assert is_here.any()
    assert not is_here.all()
    assert intact["reasons"]["count"].astype(bool).sum() == 1
    check_table(empty_table(3, 2))


def row(name, slot, value):
    """A mutation of one field of one task; of the one with the most results if `slot` is None."""

    def mutate(state):
        rows = Rows(state["rows"])
        where = rows["num_completions"].argmax() if slot is None else slot
        rows[name][where] = value(rows[name][where]) if callable(value) else value

    return mutate


def unplayed(name, value):
    """A mutation of a field of a task without results, which has no averages."""

    def mutate(state):
        rows = Rows(state["rows"])
        slot = rows["num_completions"].argmin()
        rows["num_completions"][slot] = rows["num_regrets"][slot] = 0
        rows[name][slot] = value

    return mutate


def word(name, slot, value):
    """A mutation of one word of a row, as it is stored."""
    index = list(TaskState.model_fields).index(name)

    def mutate(state):
        state["rows"][index, slot] = value

    return mutate


def param(slot, axis, value):
    def mutate(state):
        Rows(state["rows"])["params"][slot, axis] = value

    return mutate


def label(name, index, value):
    def mutate(state):
        state["labels"][name][index] = value(state["labels"][name][index]) if callable(value) else value

    return mutate


def counter(**values):
    def mutate(state):
        for name, value in values.items():
            state["counters"][name] = value(state["counters"][name]) if callable(value) else value

    return mutate


def chance(change):
    def mutate(state):
        change(state["cumulated"])

    return mutate


def handout(name, index, value):
    """A mutation of an open hand-out; of the first one whose task is in the pool if `index` is None."""

    def mutate(state):
        found = np.isin(state["ledger"]["task_id"], Rows(state["rows"])["task_id"])
        where = found.argmax() if index is None else index
        entry = state["ledger"][name]
        entry[where] = value(entry[where]) if callable(value) else value

    return mutate


def reason(name, index, value):
    def mutate(state):
        state["reasons"][name][index] = value(state["reasons"][name][index]) if callable(value) else value

    return mutate


def both(*mutations):
    def mutate(state):
        for mutation in mutations:
            mutation(state)

    return mutate


def short_of_reasons(state):
    """A reason is lost, with its count."""
    state["reasons"][OWN_REASON] = np.zeros((), REASON)


def in_one_place(state):
    """Two hand-outs have tickets that follow from one another by the size of the ledger."""
    state["ledger"]["ticket"][1] = state["ledger"]["ticket"][0] - state["ledger_size"]


def put(**values):
    def mutate(state):
        state.update({name: value(state[name]) if callable(value) else value for name, value in values.items()})

    return mutate


def without_task(state):
    """One task is not there any more, in rows and counters; the distribution still has it."""
    word("is_active", 3, 0)(state)
    counter(num_evicted=lambda n: n + 1)(state)


def without_tasks(state):
    rows = Rows.zeros(CAPACITY, 2)
    empty = empty_table(CAPACITY, 2)
    state.update(rows=rows.words, labels=empty.labels, counters=empty.counters._asdict(), cumulated=empty.cumulated)
    state.update(reasons=empty.reasons, ledger=empty.ledger[:0])


def pending_overflow(state):
    """Sums that come out right only because they overflow."""
    rows = Rows(state["rows"])
    rows["num_pending"] = rows["num_orphans"] = 0
    rows["num_pending"][:4] = 2**62 - 1
    rows["num_orphans"][:4] = 2**62 - 1
    state["counters"]["num_pending"] = 2**62 - 1
    state["counters"]["num_scheduled"] = 2**62 - 1
    for name in ("completed", "cancelled", "stale", "unsolicited", "refreshed_endings"):
        state["counters"][f"num_{name}"] = 0
    state["counters"]["num_refreshed_scheduled"] = 0
    rows["num_completions"] = rows["num_cancelled"] = rows["num_failures"] = rows["last_completed"] = 0
    state["reasons"]["count"] = 0
    Rows(state["rows"])["num_regrets"] = 0
    for name in ("num_completed", "num_recent", "recent_score", "recent_regret"):
        state["labels"][name] = 0


AVERAGES = (
    *("fast_ema", "slow_ema", "middle_ema_1", "middle_ema_2", "middle_ema_3"),
    *("mean_square", "success_ema", "last_score"),
)
COUNTS = (
    *("num_scheduled", "num_cancelled", "num_failures", "num_pending"),
    *("num_orphans", "last_scheduled", "last_completed", "num_regrets"),
)

VALUES = {
    **{
        f"a task's {name} is {value}": (row(name, None, value), rf"rows\['{name}'\]")
        for name in AVERAGES
        for value in (NAN, -0.25, 1.5)
    },
    **{f"an unplayed task's {name} is infinite": (unplayed(name, INF), rf"rows\['{name}'\]") for name in AVERAGES},
    **{f"a task's {name} is negative": (row(name, 2, -1), rf"rows\['{name}'\]") for name in COUNTS},
    **{f"a task's {name} is beyond that of the pool": (row(name, 2, 10**9), rf"rows\['{name}'\]") for name in COUNTS},
    **{f"a task's {name} is huge": (row(name, 2, 2**63 - 1), rf"rows\['{name}'\]") for name in COUNTS},
    "the tasks together have more hand-outs than the pool": (
        row("num_scheduled", slice(None), lambda n: n + 300),
        r"rows\['num_scheduled'\] with a sum of at most",
    ),
    "a task's num_completions is negative": (row("num_completions", 2, -1), r"rows\['num_completions'\]"),
    "a task's num_completions is huge": (row("num_completions", 2, 2**63 - 1), r"rows\['num_completions'\]"),
    "a hand-out is pending in a row alone": (row("num_pending", 2, lambda n: n + 1), r"rows\['num_pending'\] and"),
    "an orphan is missing": (row("num_orphans", slice(None), 0), r"rows\['num_orphans'\] with the sum"),
    "pending hand-outs add up only by overflow": (pending_overflow, r"rows\['num_pending'\] with a sum below"),
    "an id is of another slot": (row("task_id", 2, 3), r"rows\['task_id'\] of slot 2"),
    "two tasks have one id": (row("task_id", slice(2, 4), 2), r"rows\['task_id'\] of slot 3"),
    "an id is negative": (row("task_id", 2, 2 - CAPACITY), r"rows\['task_id'\]"),
    "an id is the lowest number": (row("task_id", 0, LOWEST), r"rows\['task_id'\]"),
    "an id is huge": (row("task_id", 7, 2**63 - 1), r"rows\['task_id'\]"),
    "a seed is negative": (row("seed", 2, -1), r"rows\['seed'\]"),
    "a seed is beyond the generator's tasks": (row("seed", 2, 60), r"rows\['seed'\] below the generator's 60"),
    "a label is negative": (row("label_index", 2, -1), r"rows\['label_index'\]"),
    "a label has no name": (row("label_index", 2, 4), r"rows\['label_index'\]"),
    "a label is huge": (row("label_index", 2, 2**63 - 1), r"rows\['label_index'\]"),
    "a threshold is NaN": (row("success_threshold", 2, NAN), r"finite rows\['success_threshold'\]"),
    "a threshold is infinite": (row("success_threshold", 2, -INF), r"finite rows\['success_threshold'\]"),
    "a creation time is NaN": (row("creation_time", 2, NAN), r"finite rows\['creation_time'\]"),
    "a regret is NaN": (row("last_regret", 2, NAN), r"rows\['last_regret'\]"),
    "a regret is infinite": (row("last_regret", 2, INF), r"rows\['last_regret'\]"),
    "a regret is beyond what sums can hold": (row("last_regret", 2, 1e308), r"rows\['last_regret'\]"),
    "a baseline is NaN": (row("random_baseline", 2, NAN), r"rows\['random_baseline'\]"),
    "a baseline is negative": (row("random_baseline", 2, -0.5), r"rows\['random_baseline'\]"),
    "a baseline is above the range": (row("random_baseline", 2, 2.0), r"rows\['random_baseline'\]"),
    "a param is NaN": (param(2, 1, NAN), r"rows\['params'\] on the axis 'speed', .* got nan"),
    "a param is infinite": (param(2, 1, INF), r"finite rows\['params'\]"),
    "a param is no choice of its axis": (param(2, 0, 3.0), r"rows\['params'\] on the axis 'size'"),
    "a param is between two choices": (param(2, 0, 0.5), r"rows\['params'\] on the axis 'size'"),
    "a param is outside of its span": (param(2, 1, 1.5), r"rows\['params'\] on the axis 'speed'"),
    "a task that is drawn is not there": (without_task, r"cumulated without a probability where is_active is false"),
    "a task is not there, but counted": (word("is_active", 3, 0), r"rows\['is_active'\] for num_created - num_evicted"),
    "no task is there": (without_tasks, r"rows\['is_active'\] for at least one task"),
    **{
        f"counter {name} is {value!r}": (counter(**{name: value}), rf"counters\['{name}'\]")
        for name in Counters._fields
        for value in (-1, 2**70)
    },
    **{
        f"counter {name} is {value!r}, which is no count": (
            counter(num_completed=value),
            r"counters\['num_completed'\]",
        )
        for value in (True, 1.0, "7", None, NAN, [1])
        for name in ("num_completed",)
    },
    **{
        f"counter {name} is one too high": (counter(**{name: lambda n: n + 1}), r"counters|labels|rows")
        for name in ("num_created", "num_evicted", "num_scheduled", "num_completed", "num_cancelled", "num_stale")
    },
    "counter num_pending is one too high": (counter(num_pending=lambda n: n + 1), "num_scheduled [+] num_unsolicited"),
    "two counters are wrong that balance": (
        counter(num_pending=lambda n: n + 1, num_scheduled=lambda n: n + 1),
        r"with the sum counters\['num_pending'\]",
    ),
    "more endings are in the distribution than there are": (
        counter(num_refreshed_endings=10**6),
        r"counters\['num_refreshed_endings'\]",
    ),
    "more hand-outs are in the distribution than there are": (
        counter(num_refreshed_scheduled=10**6),
        r"counters\['num_refreshed_scheduled'\]",
    ),
    **{
        f"an open hand-out's {name} is {value}": (handout(name, None, value), rf"ledger\['{name}'\]")
        for name in ("ticket", "task_id", "seed", "moment", "worker")
        for value in (LOWEST, -2, 2**63 - 1)
        if (name, value) != ("ticket", 2**63 - 1)  # which a life may have issued
    },
    **{
        f"an open hand-out's chance is {value}": (handout("chance", None, value), r"ledger\['chance'\]")
        for value in (NAN, INF, -INF, -0.25, 1.5)
    },
    "an open hand-out's param is infinite": (handout("params", None, INF), r"ledger\['params'\] of finite"),
    "an open hand-out's param is outside of its span": (
        handout("params", None, [0.0, 1.5]),
        r"ledger\['params'\] on the axis 'speed'",
    ),
    "an open hand-out has no ticket": (handout("ticket", 0, 0), r"ledger\['ticket'\] above 0"),
    "an open hand-out was never handed out": (handout("moment", 0, 10**9), r"ledger\['moment'\]"),
    "an open hand-out has a ticket that comes later": (
        handout("ticket", 0, lambda ticket: ticket + 10**6),
        r"ledger\['ticket'\] of those that were issued",
    ),
    "an open hand-out is of a task that comes later": (
        handout("task_id", 0, lambda task_id: task_id + CAPACITY * 10**6),
        r"ledger\['task_id'\] of those that were issued",
    ),
    "an open hand-out has the seed of another task": (
        handout("seed", None, lambda seed: (seed + 1) % 60),
        r"ledger\['seed'\] of its task",
    ),
    "an open hand-out is of a worker that comes later": (handout("worker", 0, 10**6), r"ledger\['worker'\]"),
    "an open hand-out is there twice": (
        put(ledger=lambda ledger: np.concatenate([ledger, ledger[:1]])),
        "ledger with one hand-out per place|instead of",
    ),
    "two open hand-outs have one ticket": (
        handout("ticket", slice(2), lambda tickets: tickets[:1]),
        "ledger with one hand-out per place",
    ),
    "two open hand-outs are in one place": (in_one_place, "ledger with one hand-out per place"),
    "an open hand-out is missing": (put(ledger=lambda ledger: ledger[1:]), r"counters\['num_open'\]|instead of"),
    "all open hand-outs are missing": (put(ledger=lambda ledger: ledger[:0]), r"counters\['num_open'\]|instead of"),
    **{
        f"ledger_size is {value!r}": (put(ledger_size=value), "ledger_size as a (power of two|whole number)")
        for value in (0, -1, 3, 2**14 + 1, 2**25, 2**63, True, 2.0, "8", None, [8])
    },
    "ledger_size is below the open hand-outs": (put(ledger_size=2), "ledger with one hand-out per place|num_open"),
    "hand-outs are open, and no ticket was issued": (counter(num_tickets=0), r"counters\['num_open'\] of at most"),
    "there were fewer tickets than are open": (counter(num_tickets=1), r"ledger\['ticket'\] of those that were issued"),
    "there were more tickets than there are": (counter(num_tickets=2**40), r"counters\['num_tickets'\]"),
    "the life has a number too many": (counter(life=2**30), r"counters\['life'\]"),
    **{
        f"ids begin at the generation {value}": (counter(first_generation=value), "first_generation")
        for value in (2**61, 2**59, 2**58 + 1)
    },
    "ids are used up": (
        lambda state: Rows(state["rows"])["task_id"].__iadd__(2**62 - CAPACITY * 10**6),
        "ids up to 2[*][*]61|of slot",
    ),
    "no reason has a name": (reason("name", slice(None), b""), r"reasons\['name'\] to begin"),
    "the reasons are zero": (put(reasons=np.zeros(MAX_REASONS, REASON)), r"reasons\['name'\] to begin"),
    "a built-in reason has another name": (reason("name", 2, b"lost"), r"reasons\['name'\] to begin"),
    "a reason stands after a gap": (reason("name", OWN_REASON + 3, b"late"), r"reasons\['name'\] to begin"),
    "two reasons have one name": (
        reason("name", OWN_REASON + 1, b"expired"),
        r"reasons\['name'\] to hold each name once",
    ),
    "a reason's name is not UTF-8": (reason("name", OWN_REASON, b"\xff\xfe"), r"reasons\['name'\] in UTF-8"),
    "a reason is lost": (short_of_reasons, r"reasons\['count'\] with the sum num_cancelled"),
    **{
        f"a reason's count is {value}": (reason("count", OWN_REASON, value), r"reasons\['count'\]")
        for value in (-1, LOWEST, 2**63 - 1, 0)
    },
    "a count stands where no reason is": (reason("count", 20, 1), r"reasons\['count'\]"),
    "a cancellation has two reasons": (reason("count", 3, 1), r"reasons\['count'\]"),
    "counts of reasons add up only by overflow": (
        both(reason("count", 0, 2**62), reason("count", 1, 2**62), reason("count", 2, LOWEST)),
        r"reasons\['count'\]",
    ),
    "a walk over the pool begins later": (counter(walk_start=10**6), r"counters\['walk_start'\]"),
    "more tasks went than came": (counter(num_evicted=10**6), r"counters\['num_evicted'\] of at most num_created"),
    "there is no label": (counter(num_labels=0), r"counters\['num_labels'\]"),
    "there are more labels than places": (counter(num_labels=65), r"counters\['num_labels'\]"),
    "a label is not counted": (counter(num_labels=3), "only 3 labels"),
    "the first label is not other": (label("name", 0, b"else"), r"labels\['name'\] to begin with b'\(other\)'"),
    "a label's name is empty bytes of another": (
        label("name", 2, b"size 0"),
        r"labels\['name'\] to hold each name once",
    ),
    "a label's name is not UTF-8": (label("name", 2, b"\xff\xfe"), r"labels\['name'\] in UTF-8"),
    "a label's name is cut within a letter": (label("name", 2, "é".encode()[:1]), r"labels\['name'\] in UTF-8"),
    "a name stands where no label is": (label("name", 30, b"x"), "only 4 labels"),
    "a count stands where no label is": (label("num_evicted", 63, 1), "only 4 labels"),
    **{
        f"a label's {name} is {value}": (label(name, 1, value), rf"labels\['{name}'\]")
        for name in ("num_scheduled", "num_completed", "num_evicted", "num_recent")
        for value in (-1, 10**9, LOWEST)
    },
    "a label has a result too few": (label("num_completed", 1, lambda n: n - 1), r"labels\['num_completed'\] with"),
    **{
        f"a label's {name} is {value}": (label(name, 1, value), rf"labels\['{name}'\]")
        for name in ("chance", "priority", "recent_score", "recent_regret")
        for value in (NAN, INF, -INF)
    },
    "a label's chance is negative": (label("chance", 1, -0.1), r"labels\['chance'\]"),
    "a label's chance is above 1": (label("chance", 1, 1.1), r"labels\['chance'\]"),
    "a label's scores are negative": (label("recent_score", 1, -1.0), r"labels\['recent_score'\]"),
    "a label's scores are more than its results": (label("recent_score", 1, 1e6), r"labels\['recent_score'\]"),
    "the distribution ends below 1": (chance(lambda c: np.multiply(c, 0.5, out=c)), "cumulated to end with 1"),
    "the distribution ends above 1": (chance(lambda c: np.multiply(c, 2.0, out=c)), "cumulated to end with 1"),
    "the distribution ends a little below 1": (
        chance(lambda c: c.__setitem__(slice(5, 8), np.minimum(c[5:], 1 - 1e-12))),
        "cumulated to end with 1",
    ),
    "the distribution ends with NaN": (chance(lambda c: c.__setitem__(-1, NAN)), "cumulated to end with 1"),
    "the distribution has NaN in it": (chance(lambda c: c.__setitem__(3, NAN)), "cumulated to rise from 0 to 1"),
    "the distribution is infinite in it": (chance(lambda c: c.__setitem__(3, INF)), "cumulated to rise from 0 to 1"),
    "the distribution begins below 0": (chance(lambda c: c.__setitem__(0, -0.1)), "cumulated to rise from 0 to 1"),
    "the distribution falls": (chance(lambda c: c.__setitem__(4, 0.0)), "cumulated to rise from 0 to 1"),
    "the distribution is reversed": (chance(lambda c: c.__setitem__(slice(7), c[6::-1].copy())), "cumulated to rise"),
    "the distribution is zero": (chance(lambda c: c.fill(0.0)), "cumulated to end with 1"),
    **{
        f"{name} is {value!r}": (put(**{name: value}), f"{name} as a whole number")
        for name in ("stream", "num_draws")
        for value in (-1, True, 1.5, "3", None, 2**64, [0])
    },
    **{
        f"config is {value!r}": (put(config=value), "config as a mapping with a score_range")
        for value in (None, [], "x", {}, {"score_range": 3}, {"score_range": [0.0]}, {"score_range": [None, "x"]})
    },
    **{
        f"counters are {value!r}": (put(counters=value), "counters as a mapping of num_created")
        for value in (None, [1, 2], {"num_completed": 1})
    },
    **{
        f"generator is {value!r}": (put(generator=value), "generator '[0-9a-f]{16}', got")
        for value in (None, 3, [1], "0" * 16)
    },
    "generator and traits are lists": (put(generator=[1], traits=[[1], [2]]), r"generator Levels, got \[1\]"),
    "generator is another one and traits are none": (put(generator="x", traits=3), "generator '[0-9a-f]{16}', got 'x'"),
    "a counter too many": (lambda state: state["counters"].update(num_wins=3), "counters as a mapping"),
}
"""Name -> mutation of a state, what the error says. Each is refused at both doors."""


def refused_as_state(curriculum, state, match):
    before = pickle.dumps(curriculum.state_dict())
    with pytest.raises(ValueError, match=f"^state: expected (?s:.*)(?:{match})") as caught:
        curriculum.load_state_dict(state)
    assert ", got " in str(caught.value)
    assert "; " in str(caught.value)
    assert pickle.dumps(curriculum.state_dict()) == before


@pytest.mark.parametrize("name", VALUES)
def test_refused_as_a_state_and_as_a_checkpoint_if(name, curriculum, intact, place):
    mutate, match = VALUES[name]
    state = copy.deepcopy(intact)
    mutate(state)
    refused_as_state(curriculum, state, match)
    write_checkpoint(place / "bad.npz", state)
    with pytest.raises(ValueError, match=match) as caught:
        Curriculum.load(place / "bad.npz", Levels())
    fits_no_generator = "generator" in match or "on the axis" in match
    assert isinstance(caught.value, CheckpointError) != fits_no_generator


def of(name, change):
    """A mutation that puts something else instead of an array."""

    def mutate(state):
        state[name] = change(state[name])

    return mutate


def more_rows(state):
    state["rows"] = np.concatenate([state["rows"], state["rows"]], axis=1)


TYPES = {
    **{
        f"{name} are {kind}": (of(name, change), rf"{name} as an array")
        for name in ("rows", "labels", "cumulated", "reasons", "ledger")
        for kind, change in {
            "None": lambda _: None,
            "a list": lambda array: array.tolist(),
            "bytes": lambda array: array.tobytes(),
            "a number": lambda _: 3,
            "a mapping": lambda array: {"a": array},
        }.items()
    },
    **{
        f"{name} are {kind}": (of(name, change), rf"{name} of (dtype|shape|at least)|num_open")
        for name in ("rows", "labels", "cumulated", "reasons", "ledger")
        for kind, change in {
            "an array of objects": lambda array: np.array([None] * len(array)),
            "an array of text": lambda array: np.array(["x"] * len(array)),
            "empty": lambda array: array[:0],
            "a scalar": lambda _: np.array(3),
            "one axis more": lambda array: array[None],
            "of 32 bits": lambda array: np.zeros(array.shape, np.int32),
            "in the other byte order": lambda array: array.astype(array.dtype.newbyteorder()),
        }.items()
    },
    "rows are floats": (of("rows", lambda rows: rows.astype(float)), "rows of dtype int64"),
    "rows are unsigned": (of("rows", lambda rows: rows.view(np.uint64)), "rows of dtype int64"),
    "rows lack a field": (of("rows", lambda rows: rows[:20]), "rows of at least 28 words"),
    "rows lack a param": (of("rows", lambda rows: rows[:-1]), r"ledger of dtype .*'params'"),
    "rows have a param more": (
        of("rows", lambda rows: np.concatenate([rows, rows[-1:]])),
        r"ledger of dtype .*'params'",
    ),
    "rows have no task": (of("rows", lambda rows: rows[:, :0]), "at least one task"),
    "rows are turned": (of("rows", lambda rows: rows.T.copy()), "rows of at least 28 words"),
    "rows are of twice as many tasks": (more_rows, r"cumulated of shape \(16\)"),
    "rows are of one task less": (of("rows", lambda rows: rows[:, :-1]), r"cumulated of shape \(7\)"),
    "cumulated is of one task less": (of("cumulated", lambda c: c[1:]), r"cumulated of shape \(8\)"),
    "labels are one less": (of("labels", lambda labels: labels[:-1]), r"labels of shape \(64\)"),
    "labels lack a field": (
        of("labels", lambda labels: labels[[name for name in LABEL.names if name != "chance"]]),
        r"labels of dtype .*'chance'",
    ),
    "reasons lack a field": (of("reasons", lambda reasons: reasons[["name"]]), r"reasons of dtype .*'count'"),
    "the ledger lacks a field": (
        of("ledger", lambda ledger: ledger[["ticket", "seed"]]),
        r"ledger of dtype .*'moment'",
    ),
    "is_active is 2": (word("is_active", 3, 2), r"rows\['is_active'\] as 0 or 1"),
    "is_active is -1": (word("is_active", 3, -1), r"rows\['is_active'\] as 0 or 1"),
    **{
        f"the state is {value!r}": (value, "what state_dict returned") for value in (None, [], "state", 3, {}, {"a": 1})
    },
}
"""The same, for what a checkpoint cannot hold."""


@pytest.mark.parametrize("name", TYPES)
def test_refused_as_a_state_if(name, curriculum, intact):
    mutate, match = TYPES[name]
    state = copy.deepcopy(intact)
    if callable(mutate):
        mutate(state)
    else:
        state = mutate
    refused_as_state(curriculum, state, match)


HARMLESS = {
    "nothing was changed": lambda state: None,
    "recent scores are any bits": row("recent_scores_2", slice(None), -1),
    "a creation time is long ago": row("creation_time", 2, -1e9),
    "a threshold is another one": row("success_threshold", 2, 0.9),
    "a task was never handed out": row("last_scheduled", 2, 0),
    "the account of the last regrets is lost": row("num_regrets", slice(None), 0),
    "there were many refreshes, restores, streams and epochs": counter(
        num_refreshes=10**9, num_restores=10**9, num_streams=10**9, epoch=10**15
    ),
    "the chances of the labels are forgotten": label("chance", slice(None), 0.0),
    "the priorities of the labels are forgotten": label("priority", slice(None), 0.0),
    "the priorities of the labels are negative": label("priority", slice(0, 4), -1e9),
    "the distribution is another one": chance(lambda c: c.__setitem__(slice(None), np.linspace(0, 1, 9)[1:])),
    "one task has all probability": chance(lambda c: c.__setitem__(slice(None), [0, 0, 0, 1, 1, 1, 1, 1])),
    "a label without a name, which is a name, was never used": counter(num_labels=5),
    "the stream and its position are far away": put(stream=2**60, num_draws=2**60),
    "counters are NumPy's": put(counters=lambda found: {name: np.int64(value) for name, value in found.items()}),
    "stream is NumPy's": put(stream=np.uint8(3)),
    "there is more in the state": put(notes="mine"),
    "the range is a tuple": lambda state: state["config"].update(score_range=(0, 1)),
    "the arrays are read-only": lambda state: state["rows"].setflags(write=False),
    "the rows are in another order of memory": of("rows", np.asfortranarray),
    "the rows are every other column": of("rows", lambda rows: np.repeat(rows, 2, axis=1)[:, ::2]),
    "the rows are a subclass of arrays": of("rows", np.ma.masked_array),
    "an open hand-out was of another worker": handout("worker", 0, -1),
    "a chance is another one": handout("chance", 0, 0.125),
    "a life issued its last ticket": counter(num_tickets=2**33),
    "the life has another number": counter(life=2**30 - 1),
    "the ledger was larger": put(ledger_size=2**24),
    "the ledger was smaller": put(ledger_size=64),
    "open hand-outs are in another order": put(ledger=lambda ledger: ledger[::-1]),
    "many tickets came twice or were unknown": counter(num_repeated=2**61, num_unknown=2**61),
    "a reason has another name": reason("name", OWN_REASON, "für später".encode()),
    "averages of an unplayed task are any number": unplayed("fast_ema", 7.0),
}


@pytest.mark.parametrize("name", HARMLESS)
def test_harmless_in_a_state_if(name, intact):
    state = copy.deepcopy(intact)
    HARMLESS[name](state)
    curriculum = local()
    curriculum.load_state_dict(state)
    lived(curriculum, 3)
    counters = check_accounts(curriculum)
    assert counters.num_completed > intact["counters"]["num_completed"]
    assert type(curriculum.state_dict()["rows"]) is np.ndarray
    json.dumps(curriculum.state_dict()["counters"])


def test_what_was_loaded_is_not_shared_with_the_state(intact):
    state, curriculum = copy.deepcopy(intact), local()
    curriculum.load_state_dict(state)
    for name in ("rows", "labels", "cumulated", "reasons", "ledger"):
        state[name][...] = np.zeros((), state[name].dtype)
    check_accounts(curriculum)
