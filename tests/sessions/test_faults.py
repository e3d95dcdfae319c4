"""A process killed at any step of a change: the next one finds the table from before it or from after it."""

import math
import os
import signal

import numpy as np
import pytest

from curricular import Curriculum, dataset, refresh, tickets
from curricular.backends import session, shared
from curricular.backends.journal import SessionTable
from curricular.generators import identity
from curricular.storage import create_task_tracker
from curricular.table import copy_table

from ..helpers import shared_array
from .processes import check_accounts, config, play

CREATION_TIME = 1
"""The word of a row that differs from run to run."""

TASKS = dataset([{"level": level, "rate": level / 100} for level in range(100)], key="level", columns=["rate"])


def live():
    """Attach, fill, record, evict, admit, refresh, ask and end with tickets, write params, save, restore, leave."""
    curriculum = Curriculum(config(), TASKS)
    for _ in range(4):
        tasks = curriculum.ask(32)
        curriculum.tell([task.task_id for task in tasks], [task.task_id % 3 / 2 for task in tasks])
    batch = curriculum.ask_batch(8)
    curriculum.tell_batch(batch.tickets[:3], np.full((3, 4), 0.5))
    curriculum.cancel_batch(batch.tickets[2:5], "for the test")
    curriculum.set_params(np.unique(batch.seeds), "rate", np.full(len(np.unique(batch.seeds)), 0.5))
    curriculum.load_state_dict(curriculum.state_dict())
    curriculum.ask_batch(4)
    curriculum.expire(older_than=2)
    play(curriculum, 40)
    curriculum.close()


def die_at(step):
    """Ends this process at its `step`-th fault."""
    left = [step]

    def fault(point):
        left[0] -= 1
        if left[0] < 0:
            os.kill(os.getpid(), signal.SIGKILL)

    session.fault = fault


def observer():
    return create_task_tracker(config(), TASKS.axes, identity=identity(TASKS)).backend


def content(table):
    words = np.delete(table.rows.words, CREATION_TIME, axis=0)
    rest = (table.labels, table.cumulated, table.reasons, table.ledger)
    return [words.tobytes(), table.counters, *(part.tobytes() for part in rest)]


def test_killed_at_any_step_the_table_is_that_of_before_or_after(monkeypatch, fork):
    # The steps, the tickets and the ids are to be the same in every run.
    monkeypatch.setattr(shared, "MAX_DELAY", math.inf)
    monkeypatch.setattr(tickets.secrets, "randbelow", lambda _: 7)
    monkeypatch.setattr(refresh, "NANOSECONDS_PER_ID", 2**63)
    points, tables = [], []
    commit = SessionTable.commit

    def commit_and_note(self, patch, *rest):
        commit(self, patch, *rest)
        tables.append(content(copy_table(self.table)))

    with monkeypatch.context() as patch:
        patch.setattr(session, "fault", points.append)
        patch.setattr(SessionTable, "commit", commit_and_note)
        backend = observer()
        start = len(tables)
        points.clear()
        live()
        num_steps = len(points)
        backend.close()
    session.sweep()
    needed = {
        "claimed",
        "counted",
        "distribution written",
        "journal written",
        "committed",
        "rows installed",
        "ledger installed",
    }
    assert needed | {"tails installed", "counters installed", "leaving"} == set(points)
    counters = tables[-1][1]
    assert counters.num_evicted > 0
    assert counters.num_restores == 1
    assert counters.num_rewrites == 2
    assert counters.num_open > 0

    num_commits = shared_array(1)

    def commit_and_count(self, patch, *rest):
        commit(self, patch, *rest)
        num_commits[0] += 1

    for step in range(num_steps):
        backend = observer()
        num_commits[0] = start
        with monkeypatch.context() as patch:
            patch.setattr(SessionTable, "commit", commit_and_count)
            child = fork(lambda step=step: (die_at(step), live()))
            assert child.wait() == -signal.SIGKILL
        found = content(backend.snapshot())
        done = int(num_commits[0])
        assert found in tables[done - 1 : done + 1], (step, points[step])
        with Curriculum(config(), TASKS) as curriculum:
            play(curriculum, 40)
            check_accounts(curriculum)
            assert backend.num_workers == 2
        backend.close()
        session.sweep()


def test_killed_at_any_step_of_creation_the_next_process_creates(monkeypatch, fork, directory):
    points = []
    with monkeypatch.context() as patch:
        patch.setattr(session, "fault", points.append)
        Curriculum(config()).close()
    session.sweep()
    assert points[:4] == ["drafted", "created", "linked", "claimed"]
    assert "counted" in points
    for step in range(len(points)):
        child = fork(lambda step=step: (die_at(step), Curriculum(config()).close()))
        assert child.wait() == -signal.SIGKILL
        assert len(list(directory.iterdir())) <= 2
        with Curriculum(config()) as curriculum:
            assert [path.name for path in directory.iterdir()] == ["shared"]
            assert curriculum.stats()["num_evicted"] == 0
            assert [state.task_id for state in curriculum.task_states()] == list(range(16))
        session.sweep()


def test_a_fill_that_was_cut_short_leaves_nothing(monkeypatch, fork):
    """The joiner had opened the file before its creator died, so that it was not swept."""
    backend = observer()

    def die_in_fill():
        put = type(backend._rows).put

        def put_and_die(self, slots, rows):
            put(self, slots[: len(slots) // 2], rows.take(np.arange(len(slots) // 2)))
            if len(slots):
                os.kill(os.getpid(), signal.SIGKILL)

        type(backend._rows).put = put_and_die
        Curriculum(config(), TASKS)

    assert fork(die_in_fill).wait() == -signal.SIGKILL
    assert backend.snapshot().counters.num_created == 0
    assert not backend.snapshot().rows["is_active"].any()
    with Curriculum(config(), TASKS) as curriculum:
        assert [state.task_id for state in curriculum.task_states()] == list(range(16))
        assert check_accounts(curriculum)["num_evicted"] == 0
    backend.close()


def test_a_torn_install_is_done_again(fork):
    """Killed in the middle of writing the rows, after the commit: the journal has them all."""
    with Curriculum(config()) as curriculum:
        play(curriculum, 100)
        curriculum.flush()

        def die():
            play(curriculum, 10)
            state = curriculum.state_dict()

            def fault(point):
                if point == "committed":
                    rows = curriculum.tracker.backend._rows
                    rows.words[3:9] = -1
                    curriculum.tracker.backend._checks[:] = 7
                    os.kill(os.getpid(), signal.SIGKILL)

            session.fault = fault
            curriculum.load_state_dict(state)

        before = curriculum.stats()
        assert fork(die).wait() == -signal.SIGKILL
        after = check_accounts(curriculum, num_pending=0)
        assert after["num_scheduled"] == before["num_scheduled"] + 10
        assert curriculum.tracker.snapshot().counters.num_restores == 1


@pytest.mark.parametrize("point", ["journal written", "committed"])
def test_results_of_a_dead_worker_are_counted_once(fork, point):
    with Curriculum(config(num_active_tasks=4)) as curriculum:

        def die():
            play(curriculum, 20)

            def fault(reached):
                if reached == point:
                    os.kill(os.getpid(), signal.SIGKILL)

            session.fault = fault
            curriculum.flush()

        assert fork(die).wait() == -signal.SIGKILL
        stats = check_accounts(curriculum, num_pending=0)
        assert stats["num_completed"] + stats["num_stale"] == 20
