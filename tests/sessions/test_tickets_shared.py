"""Tickets over threads, forks, pickled copies, several curricula and loads: none is lost, doubled or misattributed."""

import contextlib
import multiprocessing
import pickle
import signal
import sys
import threading
import time

import numpy as np
import pytest

from curricular import Curriculum, LearningProgressConfig, UniformConfig, refresh
from curricular.backends.local import LocalMemoryBackend
from curricular.table import MAX_COUNT, check_table

from ..helpers import balance, shared_array, until
from .processes import check_accounts, config

BACKENDS = pytest.mark.parametrize("use_shared_memory", [True, False], ids=["shared", "local"])


def score_of(seeds):
    """The score that each task always gets."""
    return np.asarray(seeds) % 1009 / 1008


def check_attribution(curriculum):
    """Every task has only results of its own."""
    table = curriculum.tracker.snapshot()
    check_table(table)
    rows = table.rows
    seen = rows["num_completions"] > 0
    assert np.abs(rows["slow_ema"] - score_of(rows["seed"]))[seen].max(initial=0) < 1e-9
    assert np.abs(rows["last_score"] - score_of(rows["seed"]))[seen].max(initial=0) < 1e-9


def tell(curriculum, batch):
    return curriculum.tell_batch(batch.tickets, score_of(batch.seeds))


def evicting(num_active_tasks=4, **overrides):
    """Each task goes after two results."""
    settings = {
        "min_samples_for_lp": 1,
        "min_presentations_for_eviction": 2,
        "eviction_rate": 1.0,
        "eviction_threshold_percentile": 1.0,
        "use_shared_memory": False,
    }
    return Curriculum(LearningProgressConfig.default(num_active_tasks=num_active_tasks, **settings | overrides))


def evict(curriculum, num_results=40):
    """Plays, and returns the ids and seeds of all tasks met."""
    seeds = {}
    for _ in range(num_results):
        task = curriculum.get_task()
        seeds[task.task_id] = task.config
        curriculum.update_task_performance(task.task_id, float(score_of(task.config)))
    return seeds


class TestThreads:
    @BACKENDS
    def test_of_many_threads_that_tell_the_same_tickets_one_ends_each(self, use_shared_memory):
        with evicting(16, use_shared_memory=use_shared_memory) as curriculum:
            board, num_ended, num_asked = [], [], []

            def work(number):
                rng = np.random.default_rng(number)
                for _ in range(60):
                    batch = curriculum.ask_batch(int(rng.integers(1, 9)))
                    num_asked.append(len(batch.tickets))
                    board.append(batch)
                    again = [*board[-3:], board[int(rng.integers(len(board)))]]
                    num_ended.extend([tell(curriculum, other) for other in again])

            interval = sys.getswitchinterval()
            sys.setswitchinterval(1e-5)
            try:
                threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()
            finally:
                sys.setswitchinterval(interval)
            num_ended.extend(tell(curriculum, batch) for batch in board)
            stats = curriculum.stats()
            assert sum(num_ended) == sum(num_asked) == stats["num_completed"] + stats["num_stale"]
            assert len(num_asked) == 240
            assert stats["num_open"] == stats["num_pending"] == stats["num_unsolicited"] == 0
            check_attribution(curriculum)


class TestForks:
    def test_a_child_tells_tickets_of_its_parent_and_they_end_once(self, fork):
        with Curriculum(config()) as curriculum:
            batch, num_ended = curriculum.ask_batch(8), shared_array(2)

            def child():
                num_ended[0] = tell(curriculum, batch)
                num_ended[1] = curriculum.ask_batch(3).tickets[0]
                curriculum.close()

            assert fork(child).wait() == 0
            assert num_ended[0] == 8
            assert tell(curriculum, batch) == 0
            assert num_ended[1] in curriculum.open_handouts().tickets
            assert check_accounts(curriculum, num_pending=3)["num_repeated"] == 8
            check_attribution(curriculum)

    def test_a_parent_that_is_killed_takes_with_it_only_what_it_asked_for(self, fork):
        with Curriculum(config()) as curriculum:
            tickets = shared_array(2, 4)

            def parent():
                tickets[0] = curriculum.ask_batch(4).tickets

                def child():
                    tickets[1] = curriculum.ask_batch(4).tickets
                    curriculum.tell_batch(tickets[0, :1], [0.5])
                    curriculum.close()

                assert fork(child).wait() == 0
                raise SystemExit  # `os._exit`, without leaving

            assert fork(parent).wait() == 1
            assert sorted(curriculum.open_handouts().tickets) == sorted(tickets[1])
            assert check_accounts(curriculum, num_pending=4)["cancelled/worker lost"] == 3

    def test_a_pickled_copy_is_another_worker_with_the_same_tickets(self):
        with Curriculum(config()) as curriculum, pickle.loads(pickle.dumps(curriculum)) as copy:
            mine, theirs = curriculum.ask_batch(4), copy.ask_batch(4)
            assert not np.isin(mine.tickets, theirs.tickets).any()
            assert (tell(copy, mine), tell(curriculum, theirs)) == (4, 4)
            assert (tell(curriculum, mine), tell(copy, theirs)) == (0, 0)
            check_accounts(copy, num_pending=0)
            check_attribution(curriculum)

    def test_a_worker_that_leaves_while_another_holds_the_table_leaves_its_hand_outs_open(self, hold):
        with Curriculum(config()) as curriculum:
            other = Curriculum(config())
            batch, tasks = other.ask_batch(3), other.ask(2)
            holder = hold(curriculum)
            other.close()
            holder.end()
            assert tell(curriculum, batch) == 3
            curriculum.tell([task.task_id for task in tasks], score_of([task.config for task in tasks]))
            stats = check_accounts(curriculum, num_pending=0)
            assert (stats["num_completed"], stats["num_unsolicited"]) == (5, 0)
            assert curriculum.tracker.backend.num_workers == 1

    def test_what_a_killed_worker_had_out_by_id_uses_up_no_hand_out_with_a_ticket(self, fork):
        """Of the same task, others told what the worker had out, and tickets of a living worker are open."""
        with Curriculum(config(num_active_tasks=1, eviction_rate=0.0)) as curriculum:
            ids, is_asked = shared_array(3), shared_array(1)

            def ask():
                ids[:] = [task.task_id for task in curriculum.ask(3)]
                curriculum.flush()
                is_asked[0] = 1
                signal.pause()

            child = fork(ask)
            until(lambda: is_asked[0])
            batch = curriculum.ask_batch(2)
            curriculum.tell(ids[:2], [0.5] * 2)
            child.send(signal.SIGKILL)
            child.wait()
            stats = check_accounts(curriculum, num_pending=2)
            assert (stats["cancelled/worker lost"], stats["num_open"]) == (1, 2)
            assert tell(curriculum, batch) == 2
            assert check_accounts(curriculum, num_pending=0)["num_unsolicited"] == 0


class TestOneBackend:
    def test_two_curricula_tell_each_others_tickets(self):
        settings = UniformConfig(num_active_tasks=8)
        backend = LocalMemoryBackend(8)
        first, second = (Curriculum(settings, backend=backend) for _ in range(2))
        mine, theirs = first.ask_batch(6), second.ask_batch(6)
        assert len({*mine.tickets.tolist(), *theirs.tickets.tolist()}) == 12
        assert (tell(second, mine), tell(first, theirs)) == (6, 6)
        assert (tell(first, mine), first.stats()["num_open"]) == (0, 0)
        first.ask_batch(3)
        second.load_state_dict(first.state_dict())
        assert len(first.ask_batch(2).tickets) == len(first.ask_batch(1).tickets) + 1
        assert first.stats()["num_open"] == 3  # what waits was handed out by the other one's load
        check_attribution(second)


class TestLoads:
    def test_tickets_of_others_are_unknown_after_a_restore_and_reach_no_task(self, fork):
        with Curriculum(config()) as curriculum, Curriculum(config()) as other:
            saved_batch = curriculum.ask_batch(4)
            state = curriculum.state_dict()
            lost = other.ask_batch(5)
            play_seeds(other)
            curriculum.load_state_dict(state)
            before = other.stats()
            assert tell(other, lost) == 0
            after = other.stats()
            assert after["num_unknown"] == before["num_unknown"] + 5
            assert after["num_completed"] == before["num_completed"]
            again = other.ask_batch(6)
            assert again.tickets[:4].tolist() == saved_batch.tickets.tolist()
            assert again.seeds[:4].tolist() == saved_batch.seeds.tolist()
            assert tell(curriculum, again) == 6
            check_attribution(curriculum)
            assert balance(curriculum.stats()) == 0

    def test_a_checkpoint_that_two_load_at_once_gives_each_its_own_tickets(self, tmp_path):
        with evicting() as curriculum:
            batch = curriculum.ask_batch(4)
            curriculum.save(tmp_path / "saved")
        first, second = (Curriculum.load(tmp_path / "saved") for _ in range(2))
        for resumed in (first, second):
            assert resumed.ask_batch(4).tickets.tolist() == batch.tickets.tolist()
        mine, theirs = first.ask_batch(64), second.ask_batch(64)
        assert not np.isin(mine.tickets, theirs.tickets).any()
        assert (tell(first, theirs), tell(second, mine)) == (0, 0)
        assert (tell(first, mine), tell(second, theirs)) == (64, 64)
        for resumed in (first, second):
            check_attribution(resumed)
            assert resumed.stats()["num_unknown"] == 64

    @pytest.mark.parametrize("num_active_tasks", [4, 64])
    def test_a_load_of_another_size_into_a_session_that_others_hold(self, num_active_tasks, tmp_path):
        with Curriculum(config("small", 16)) as curriculum:
            batch = curriculum.ask_batch(24)
            curriculum.save(tmp_path / "saved")
        there = config("large", num_active_tasks)
        with Curriculum(there) as holder:
            lost = holder.ask_batch(8)
            with Curriculum.load(tmp_path / "saved", config=there) as resumed:
                assert tell(holder, lost) == 0
                out = holder.open_handouts()
                stays = np.isin(batch.tickets, out.tickets)
                assert out.seeds.tolist() == batch.seeds[stays].tolist()
                assert stays.all() == (num_active_tasks == 64)
                again = holder.ask_batch(int(stays.sum()))
                assert again.tickets.tolist() == out.tickets.tolist()
                assert tell(resumed, batch) == stays.sum()
                stats = resumed.stats()
                assert balance(stats) == stats["num_open"] == stats["num_unsolicited"] == 0
                assert stats.get("cancelled/evicted", 0) == (~stays).sum()
                check_attribution(holder)

    @BACKENDS
    def test_a_task_that_was_evicted_while_its_ticket_was_open(self, use_shared_memory, tmp_path):
        with evicting(use_shared_memory=use_shared_memory) as curriculum:
            batch = curriculum.ask_batch(12)
            evict(curriculum, 60)
            current = [state.task_id for state in curriculum.task_states()]
            gone = ~np.isin(batch.task_ids, current)
            assert gone.sum() > 6
            curriculum.save(tmp_path / "saved")
            before = curriculum.stats()
            assert tell(curriculum, batch) == 12
            after = curriculum.stats()
            assert after["num_stale"] == before["num_stale"] + gone.sum()
            assert after["num_open"] == after["num_pending"] == after["num_unsolicited"] == 0
            check_attribution(curriculum)

        with Curriculum.load(tmp_path / "saved") as resumed:
            kept = resumed.ask_batch(16)
            assert kept.tickets[: (~gone).sum()].tolist() == batch.tickets[~gone].tolist()
            assert not np.isin(batch.tickets[gone], kept.tickets).any()
            stats = resumed.stats()
            assert stats["cancelled/evicted"] == gone.sum()
            assert tell(resumed, batch) == (~gone).sum()
            assert resumed.stats()["num_unsolicited"] == 0
            check_attribution(resumed)

    def test_a_save_between_ask_and_tell_and_one_after_the_tell(self, tmp_path):
        with evicting(16) as curriculum:
            batch = curriculum.ask_batch(8)
            curriculum.save(tmp_path / "between")
            assert tell(curriculum, batch) == 8
            curriculum.save(tmp_path / "after")
        assert tell(Curriculum.load(tmp_path / "between"), batch) == 8
        after = Curriculum.load(tmp_path / "after")
        assert (tell(after, batch), len(after.open_handouts().tickets)) == (0, 0)

    @BACKENDS
    def test_more_than_there_are_are_refused_at_once(self, use_shared_memory):
        with evicting(use_shared_memory=use_shared_memory, max_open_handouts=8) as curriculum:
            before = curriculum.state_dict()["counters"]
            for n in (9, 10**6, 10**12, 2**62, 2**70):
                with pytest.raises(RuntimeError, match=f"at most 8 open hand-outs with tickets, got 0 and {n} more"):
                    curriculum.ask_batch(n)
            with pytest.raises(ValueError, match="n: expected 0 to 4 tasks, got 5"):
                curriculum.ask_batch(5, replace=False)
            assert curriculum.state_dict()["counters"] == before
            assert len(curriculum.ask_batch(8).tickets) == 8


def play_seeds(curriculum, num_pairs=100):
    for _ in range(num_pairs):
        task = curriculum.get_task()
        curriculum.update_task_performance(task.task_id, float(score_of(task.config)))


def _tell_in_a_process(curriculum, batch, queue):
    queue.put(tell(curriculum, batch))


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_process_of_multiprocessing_tells_what_it_was_given(method):
    context = multiprocessing.get_context(method)
    with Curriculum(config(session_id=None)) as curriculum:
        batch, queue = curriculum.ask_batch(5), context.SimpleQueue()
        process = context.Process(target=_tell_in_a_process, args=(curriculum, batch, queue))
        process.start()
        assert queue.get() == 5
        process.join()
        assert tell(curriculum, batch) == 0
        check_accounts(curriculum, num_pending=0)


class FixedClock:
    """Stands in for the module `time`; `now` is in nanoseconds."""

    def __init__(self, now):
        self.now = now

    def time_ns(self):
        return self.now


class TestIdsOfLostLives:
    """An id that a lost life issued belongs to no other task, ever after."""

    def lives(self, num_lives, resume):
        """The tasks that each life met, as seeds by id, and its curriculum."""
        lives = []
        for number in range(num_lives):
            curriculum = resume(number)
            lives.append((evict(curriculum, 400), curriculum))
        return lives

    def check(self, lives):
        for seeds, curriculum in lives:
            here = {state.task_id for state in curriculum.task_states()}
            num_completed = curriculum.stats()["num_completed"]
            for others, _ in lives:
                assert all(seeds.get(task_id, seed) == seed for task_id, seed in others.items())
                for task_id in others.keys() - seeds.keys() - here:
                    with contextlib.suppress(KeyError):  # if the clock was later in the lost life
                        curriculum.update_task_performance(task_id, 1.0)
            assert curriculum.stats()["num_completed"] == num_completed

    @pytest.mark.parametrize("num_active_tasks", [1, 2, 4, 16])
    def test_however_fast_a_tiny_pool_evicts(self, num_active_tasks):
        first = evicting(num_active_tasks)
        evict(first)
        state = first.state_dict()

        def resume(_):
            curriculum = evicting(num_active_tasks)
            curriculum.load_state_dict(state)
            return curriculum

        lives = self.lives(5, resume)
        assert sum(curriculum.stats()["num_evicted"] for _, curriculum in lives) > 100
        self.check(lives)

    def test_if_pools_of_other_sizes_come_in_between(self, tmp_path):
        first = evicting(16)
        evict(first)
        first.save(tmp_path / "saved")

        def resume(number):
            size = (16, 4, 64, 1, 16, 3)[number]
            settings = first.config.model_copy(update={"num_active_tasks": size})
            return Curriculum.load(tmp_path / "saved", config=settings)

        self.check(self.lives(6, resume))

    def test_if_each_life_loads_what_the_one_before_saved_or_lost(self, tmp_path):
        curriculum = evicting(4)
        seeds = {}
        for number in range(12):
            played = evict(curriculum, 100)
            assert all(seeds.get(task_id, seed) == seed for task_id, seed in played.items())
            seeds.update(played)
            if number % 3 == 0:
                curriculum.save(tmp_path / "saved")
            curriculum = Curriculum.load(tmp_path / "saved")
        assert len(seeds) > 100

    @pytest.mark.parametrize("step", [-(10**6), -3600 * 10**9, -(10**18), -1_793_000_000 * 10**9 + 5_000_000_000])
    def test_if_the_clock_jumps_back(self, step, monkeypatch):
        """By a millisecond, by an hour, to long before 2026, to 1970."""
        clock = FixedClock(1_793_000_000 * 10**9)
        monkeypatch.setattr(refresh, "time", clock)
        first = evicting()
        evict(first)
        state = first.state_dict()

        def resume(number):
            clock.now += step if number == 1 else 10**9 * number
            curriculum = evicting()
            curriculum.load_state_dict(state)
            return curriculum

        self.check(self.lives(4, resume))

    def test_ids_have_room_at_any_time_and_size(self, monkeypatch):
        for year in range(1970, 2500, 7):
            monkeypatch.setattr(refresh, "time", FixedClock((year - 1970) * 31_556_952 * 10**9))
            for capacity in (1, 3, 256, 10**6, 2**24):
                generation = refresh.first_id() // capacity + 1
                assert 0 < generation * capacity < MAX_COUNT // 4
        assert time.time_ns() > 0

    def test_a_slot_gets_tasks_more_slowly_than_the_clock_passes_ids(self):
        curriculum = evicting(1)
        start = time.thread_time_ns()
        evict(curriculum, 4000)
        num_ids = curriculum.stats()["num_evicted"]
        assert num_ids > 100
        assert num_ids * 100 < (time.thread_time_ns() - start) / refresh.NANOSECONDS_PER_ID
