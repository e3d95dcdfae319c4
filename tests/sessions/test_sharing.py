"""What processes that share a table must agree on, with results coming from everywhere at any time."""

from itertools import pairwise

import numpy as np
import pytest

from curricular import Curriculum, Span, bucketed
from curricular.backends import session, shared
from curricular.backends.journal import row_checks
from curricular.probabilities import cumulative
from curricular.rows import Rows
from curricular.table import choose

from ..helpers import Clock, clock_that_tells, shared_array, until
from .processes import check_accounts, config, play


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still: results come late only if a test moves it."""
    clock = Clock()
    monkeypatch.setattr(shared, "time", clock)
    return clock


@pytest.fixture
def pair(clock):
    """Two workers of one session."""
    with Curriculum(config()) as first, Curriculum(config()) as second:
        yield first, second


class TestResults:
    def test_results_are_seen_by_every_worker_that_looks(self, pair):
        first, second = pair
        for _ in range(5):
            play(first, 3)
            assert second.stats() == first.stats()
        assert check_accounts(second, num_pending=0)["num_completed"] == 15

    def test_results_may_come_through_another_worker(self, pair):
        """The learner tells what the actors asked for, and the other way round: nothing stays pending."""
        for asker, teller in (pair, pair[::-1]):
            for _ in range(3):
                tasks = asker.ask(20)
                teller.tell([task.task_id for task in tasks], [0.5] * 20)
            stats = check_accounts(asker, num_pending=0)
            assert stats["num_unsolicited"] == 0

    def test_results_of_an_evicted_task_are_stale_whoever_evicted_it(self, pair):
        first, second = pair
        late = [task.task_id for task in second.ask(100)]
        for _ in range(100):
            tasks = first.ask(16)
            first.tell([task.task_id for task in tasks], [1.0] * 16)
        before = {state.task_id: state for state in first.task_states()}
        gone = [task_id for task_id in late if task_id not in before]
        assert gone
        second.tell(gone, [0.0] * len(gone))
        stats = check_accounts(first)
        assert stats["num_stale"] == len(gone)
        for state in first.task_states():
            if state.task_id in before:
                assert state.last_score == before[state.task_id].last_score

    def test_results_that_waited_for_100_ms_are_taken_into_the_table(self, pair, clock):
        first, second = pair
        counters = second.tracker.backend._shared.counters
        told = shared.Counters._fields.index("num_completed")
        play(first, 1)
        assert counters[told] == 0
        clock.now += 1.2 * shared.MAX_DELAY
        play(first, 1)
        assert counters[told] >= 1

    def test_results_of_four_workers_that_evict_go_where_they_belong(self, fork):
        """Each task has one score, by its id: an average that differs has been given another task's result."""
        generator = bucketed({"x": 0}, {"x": Span(0, 10**9)})
        wanted = config(num_active_tasks=32, eviction_rate=0.5)
        wrong, seen = shared_array(1), shared_array(4, 200_000)
        with Curriculum(wanted, generator) as curriculum:

            def work(number):
                mine = Curriculum(wanted, generator)
                config_of = {}
                rng = np.random.default_rng(number)
                for _ in range(400):
                    tasks = mine.ask(int(rng.integers(1, 12)))
                    for task in tasks:
                        seen[number, task.task_id] = task.config["x"] + 1
                        wrong[0] += config_of.setdefault(task.task_id, task.config["x"]) != task.config["x"]
                    mine.tell([task.task_id for task in tasks], [task.task_id % 11 / 10 for task in tasks])

            children = [fork(work, number) for number in range(4)]
            assert [child.wait() for child in children] == [0] * 4
            stats = check_accounts(curriculum, num_pending=0)
            assert stats["num_evicted"] > 100
            for state in curriculum.task_states():
                if state.num_completions:
                    score = state.task_id % 11 / 10
                    assert state.last_score == score
                    assert state.fast_ema == pytest.approx(score)
            ids = [state.task_id for state in curriculum.task_states()]
            assert len(set(ids)) == len({state.seed for state in curriculum.task_states()}) == 32
        assert wrong[0] == 0
        for x in seen.T[seen.any(axis=0)]:
            assert len(set(x[x > 0].tolist())) == 1  # one id, one configuration, in all processes

    def test_rows_depend_neither_on_how_results_are_batched_nor_on_the_backend(self):
        rng = np.random.default_rng(0)
        ids, scores, found = rng.integers(16, size=400), rng.random(400), []
        settings = config(None, num_active_tasks=16, eviction_rate=0.0)
        for shares in (False, True, True):
            with Curriculum(settings.model_copy(update={"use_shared_memory": shares})) as curriculum:
                edges = [0, *np.sort(rng.integers(400, size=len(found) * 20)).tolist(), 400]
                for start, stop in pairwise(edges):
                    curriculum.tell(ids[start:stop], scores[start:stop])
                    curriculum.flush()
                rows = curriculum.tracker.snapshot().rows
                rows["creation_time"] = 0.0
                found.append(rows.words.tolist())
        assert found[0] == found[1] == found[2]


class TestTasks:
    def test_tasks_are_the_same_with_the_same_calls_as_on_the_local_backend(self):
        here = Curriculum(config(None, use_shared_memory=False))
        with Curriculum(config()) as there:
            for n in (1, 5, 64, 300, 2):
                for _ in range(30):
                    ours, theirs = here.ask(n), there.ask(n)
                    assert ours == theirs
                    scores = [task.task_id % 7 / 6 for task in ours]
                    here.tell([task.task_id for task in ours], scores)
                    there.tell([task.task_id for task in theirs], scores)
            assert here.stats() == there.stats()
            assert here.stats()["num_evicted"] > 0

    def test_tasks_evicted_between_draw_and_build_are_not_built_from_their_successors(self, pair):
        first, second = pair
        second.get_task()  # draws a block ahead
        drawn = second._draws.peek()
        first.tracker.backend.apply(lambda it: it.commit(first._refresher._admission.patch(it.table, np.arange(16))))
        task = second.get_task()
        assert task.task_id == drawn + 16
        fresh = {state.task_id: state.seed for state in first.task_states()}
        assert task.config == fresh[task.task_id]
        (asked,) = second.ask(1)
        assert asked.config == fresh[asked.task_id]

    def test_tasks_follow_a_refresh_by_another_worker_at_the_next_call(self, pair):
        first, second = pair
        second.get_task()
        chances = np.zeros(16)
        chances[9] = 1.0
        first.tracker.backend.apply(lambda it: it.commit(choose(it.table, cumulative(chances), chances)))
        assert second.get_task().task_id == 9
        assert {task.task_id for task in second.ask(20)} == {9}


class TestStreams:
    def test_streams_are_never_the_same_in_two_processes_or_lives(self, fork):
        """Uniform draws from many tasks: two streams that are one would give the same ids."""
        wanted = config(num_active_tasks=5000, eviction_rate=0.0)
        drawn = shared_array(8, 64)
        with Curriculum(wanted) as curriculum:

            def draw(number):
                mine = curriculum if number % 2 else Curriculum(wanted)
                drawn[number] = [task.task_id for task in mine.ask(64)]

            for number in range(4):
                assert fork(draw, number).wait() == 0
            children = [fork(draw, number) for number in range(4, 8)]
            assert [child.wait() for child in children] == [0] * 4
            mine = [task.task_id for task in curriculum.ask(64)]
        rows = [*drawn.tolist(), mine]
        for number, row in enumerate(rows):
            for other in rows[number + 1 :]:
                assert sum(a == b for a, b in zip(row, other, strict=True)) < 8

    def test_streams_of_two_workers_that_load_one_state_differ(self, pair):
        play(pair[0], 10)
        state = pair[0].state_dict()
        for curriculum in pair:
            curriculum.load_state_dict(state)
        streams = []
        for curriculum in pair:
            curriculum.get_task()
            streams.append(curriculum._draws.stream)
        assert streams[0] != streams[1]


class TestRestore:
    def test_a_restore_is_seen_by_every_worker_at_its_next_call(self, pair):
        first, second = pair
        play(first, 200)
        state, stats = first.state_dict(), first.stats()
        play(second, 200)
        late = second.ask(20)
        first.load_state_dict(state)
        assert second.stats() == first.stats()
        assert second.stats()["num_completed"] == stats["num_completed"]
        ids = {state.task_id for state in first.task_states()}
        assert second.get_task().task_id in ids
        second.tell([task.task_id for task in late], [1.0] * 20)
        after = check_accounts(first)
        assert after["num_stale"] == stats["num_stale"] + 20
        assert after["num_completed"] == stats["num_completed"]

    def test_a_restore_among_processes_at_full_speed_keeps_the_accounts(self, fork):
        done = shared_array(3)
        with Curriculum(config()) as curriculum:
            play(curriculum, 100)
            state = curriculum.state_dict()

            def work(number):
                while not done[2]:
                    play(curriculum, 5)
                    done[number] += 5

            children = [fork(work, number) for number in range(2)]
            for _ in range(10):
                reached = done.sum()
                until(lambda reached=reached: done.sum() > reached + 50)
                curriculum.load_state_dict(state)
                check_accounts(curriculum)
            done[2] = 1
            assert [child.wait() for child in children] == [0, 0]
            check_accounts(curriculum)


class TestChecks:
    def test_checks_change_with_every_word_of_a_row(self):
        rng = np.random.default_rng(0)
        rows = Rows(rng.integers(-(2**63), 2**63 - 1, (25, 40)))
        before = row_checks(rows)
        for word in range(25):
            for bit in (0, 1, 31, 52, 62):
                torn = Rows(rows.words.copy())
                torn.words[word] ^= 1 << bit
                assert (row_checks(torn) != before).all()

    def test_checks_tell_a_mixture_of_two_rows_from_either(self):
        rng = np.random.default_rng(1)
        old, new = (rng.integers(0, 2**40, (25, 40)) for _ in range(2))
        for split in range(1, 25):
            mixed = row_checks(Rows(np.concatenate([old[:split], new[split:]])))
            assert (mixed != row_checks(Rows(old))).all()
            assert (mixed != row_checks(Rows(new))).all()

    def test_checks_keep_readers_from_rows_in_the_making(self, fork, monkeypatch):
        """A reader that meets a row half written waits for the writer and gets the whole one."""
        with Curriculum(config()) as curriculum:
            backend = curriculum.tracker.backend
            waits = shared_array(1)

            def write_slowly():
                def fault(point):
                    if point == "rows installed":
                        until(lambda: waits[0], what="the reader to wait")

                session.fault = fault
                curriculum.tracker.backend.apply(
                    lambda it: it.commit(curriculum._refresher._admission.patch(it.table, np.arange(16)))
                )

            child = fork(write_slowly)
            until(lambda: backend.newest_id(5) == 21)
            monkeypatch.setattr(session, "time", clock_that_tells(waits))
            rows = backend.read(np.array([5]))
            assert (row_checks(rows) == backend._checks[[5]]).all()
            assert child.wait() == 0
