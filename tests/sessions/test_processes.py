"""How processes come and go: fork, spawn, pickle, exec, threads, kills, stops, in great numbers."""

import gc
import json
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from curricular import Curriculum, LearningProgressConfig, LockTimeoutError
from curricular.backends import session
from curricular.backends.layout import MAX_WORKERS, SessionError
from curricular.backends.shared import SharedMemoryBackend

from ..helpers import TIMEOUT, Clock, clock_that_tells, shared_array, until
from .processes import check_accounts, config, play, script

STORM = Path(__file__).parents[2] / "benchmarks" / "storm.py"


def count_fds():
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def play_and_report(curriculum, num_pairs):
    play(curriculum, num_pairs)
    return os.getpid()


def play_in_pool_of_one(curriculum):
    """What a worker of a pool does that has a process of its own."""
    play(curriculum, 10)
    context = multiprocessing.get_context("fork")
    reader, writer = context.Pipe()
    child = context.Process(target=lambda: (play(curriculum, 10), writer.send(1)))
    child.start()
    assert reader.poll(TIMEOUT)
    child.join()


class TestStorm:
    def run(self, seconds):
        result = subprocess.run(
            [sys.executable, STORM, "--json", "--seconds", str(seconds)],
            stdout=subprocess.PIPE,
            timeout=seconds + 60,
            check=False,
        )
        outcome = json.loads(result.stdout)  # there is none if anybody waited for the table for `LOCK_TIMEOUT`
        assert outcome["kills"] > seconds
        assert outcome["acknowledged"] <= outcome["counted"] <= outcome["started"]
        for name in ("torn", "misattributed", "doubled", "unsolicited", "left_out"):
            assert outcome[name] == 0, name
        assert outcome["least_lost"] <= outcome["worker_lost"] <= outcome["most_lost"]
        assert outcome["least_shared"] <= outcome["ended_shared"]
        assert outcome["is_balanced"]
        return outcome

    def test_a_storm_of_kills_loses_nothing(self):
        assert self.run(3)["longest_wait"] < 10.0  # the timeout: a machine as busy as it likes may keep anybody waiting

    @pytest.mark.storm
    def test_a_minute_of_kills_loses_nothing(self):
        assert self.run(60)["longest_wait"] < 1.0


class TestStoppedHolder:
    @pytest.fixture
    def stopped(self, fork):
        """A curriculum, and a process that was stopped with the lock in hand."""
        with Curriculum(config(num_active_tasks=64)) as curriculum:

            def stop():
                curriculum.tracker.backend.apply(lambda _: os.kill(os.getpid(), signal.SIGSTOP))
                play(curriculum, 5)

            child = fork(stop)
            until(child.is_stopped, what=f"process {child.pid} to stop")
            yield curriculum, child
            child.send(signal.SIGCONT)
            assert child.wait() == 0
            check_accounts(curriculum, num_pending=0)

    def test_a_stopped_holder_keeps_no_other_process_from_recording(self, stopped, monkeypatch):
        curriculum, _ = stopped
        monkeypatch.setattr(session, "LOCK_TIMEOUT", 0.0)  # every wait fails
        play(curriculum, 500)

    def test_a_stopped_holder_is_named_when_another_process_must_wait(self, stopped, monkeypatch):
        curriculum, child = stopped
        clock = Clock()
        monkeypatch.setattr(session, "time", clock)
        monkeypatch.setattr(session, "LOCK_TIMEOUT", 0.2)
        began = clock.now
        for wait in (curriculum.stats, curriculum.flush, curriculum.state_dict, lambda: Curriculum(curriculum.config)):
            with pytest.raises(
                LockTimeoutError, match=f"within 0.2 s, but process {child.pid} holds it; continue or kill"
            ):
                wait()
        assert 4 * 0.2 <= clock.now - began < 4 * 0.21

    def test_a_stopped_holder_is_named_when_a_log_is_full_and_nothing_is_lost(self, stopped, monkeypatch):
        curriculum, child = stopped
        monkeypatch.setattr(session, "LOCK_TIMEOUT", 0.05)
        with pytest.raises(LockTimeoutError, match=f"process {child.pid} "):
            play(curriculum, 600)
        monkeypatch.setattr(session, "LOCK_TIMEOUT", TIMEOUT)
        child.send(signal.SIGCONT)
        assert child.wait() == 0  # so that none of what is pending is its own
        pending = [state.task_id for state in curriculum.task_states() if state.num_pending]
        assert len(pending) <= 1  # of the pair that failed
        curriculum.tell(pending, [1.0] * len(pending))

    def test_a_holder_may_be_killed(self, hold):
        with Curriculum(config()) as curriculum:
            child = hold(curriculum)
            assert not curriculum.tracker.backend.try_apply(lambda _: None)
            play(curriculum, 20)
            child.send(signal.SIGKILL)
            assert check_accounts(curriculum, num_pending=0)["num_scheduled"] == 20


class TestFork:
    def test_a_fork_is_a_worker_of_its_own(self, fork):
        with Curriculum(config(None)) as curriculum:
            play(curriculum, 10)
            children = [fork(play, curriculum, 30) for _ in range(4)]
            play(curriculum, 30)
            assert [child.wait() for child in children] == [0] * 4
            stats = check_accounts(curriculum, num_pending=0)
            assert stats["num_completed"] + stats["num_stale"] == 10 + 5 * 30
            assert curriculum.tracker.backend.snapshot().counters.num_streams == 5

    def test_a_process_with_busy_threads_can_fork(self, fork):
        """Threads of the parent hold the mutexes at the moment of the fork, and the lock of the table."""
        with Curriculum(config()) as curriculum:
            others = [Curriculum(config()) for _ in range(3)]
            stop = threading.Event()

            def busy(mine):
                while not stop.is_set():
                    play(mine, 5)
                    mine.stats()
                    Curriculum(config()).close()

            threads = [threading.Thread(target=busy, args=[other]) for other in others]
            for thread in threads:
                thread.start()
            try:
                for _ in range(20):
                    child = fork(lambda: (play(curriculum, 10), curriculum.stats(), Curriculum(config()).close()))
                    assert child.wait() == 0
            finally:
                stop.set()
                for thread in threads:
                    thread.join()
            check_accounts(curriculum, num_pending=0)
            for other in others:
                other.close()

    def test_a_fork_while_a_thread_holds_the_lock_waits_for_that_thread(self, fork):
        with Curriculum(config()) as curriculum:
            held, release = threading.Event(), threading.Event()
            thread = threading.Thread(
                target=curriculum.tracker.backend.apply, args=[lambda _: (held.set(), release.wait(TIMEOUT))]
            )
            thread.start()
            assert held.wait(TIMEOUT)
            waits = shared_array(1)

            def join():
                session.time = clock_that_tells(waits)
                play(curriculum, 10)
                curriculum.stats()

            child = fork(join)
            until(lambda: waits[0], what="the child to wait for the thread")
            release.set()
            thread.join()
            assert child.wait() == 0
            assert check_accounts(curriculum, num_pending=0)["num_completed"] == 10

    def test_a_fork_that_is_not_used_takes_no_slot(self, fork):
        with Curriculum(config(None)) as curriculum:
            assert fork(lambda: None).wait() == 0
            assert fork(curriculum.close).wait() == 0
            assert curriculum.tracker.backend.num_workers == 1
            play(curriculum, 10)
            check_accounts(curriculum, num_pending=0)

    def test_a_fork_whose_parent_is_gone_goes_on(self, fork):
        """The session lives on in the child; when that has gone, too, it is swept."""
        result = shared_array(1)

        def parent():
            with Curriculum(config(None)) as curriculum:
                ready = shared_array(1)
                pid = os.fork()
                if pid == 0:
                    play(curriculum, 10)
                    ready[0] = 1
                    os.kill(os.getpid(), signal.SIGSTOP)
                    play(curriculum, 10)
                    result[0] = check_accounts(curriculum)["num_completed"]
                    os._exit(0)
                until(lambda: ready[0])
                play(curriculum, 10)
                os.waitpid(pid, os.WUNTRACED)
            os.kill(pid, signal.SIGCONT)
            os.waitpid(pid, 0)

        assert fork(parent).wait() == 0
        assert result[0] == 30

    def test_a_fork_of_a_local_curriculum_is_refused(self, fork):
        local = LearningProgressConfig.default(num_active_tasks=8, use_shared_memory=False)
        curriculum = Curriculum(local)
        play(curriculum, 5)

        def use():
            for call in (lambda: play(curriculum, 1), lambda: curriculum.tell([0], [1.0])):
                with pytest.raises(RuntimeError, match=r"a copy of a local one.*session_id"):
                    call()

        assert fork(use).wait() == 0
        with pytest.raises(TypeError, match=r"got a local one.*session_id"):
            pickle.dumps(curriculum)
        play(curriculum, 5)
        assert curriculum.stats()["num_completed"] == 10


class TestPickle:
    @pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
    def test_a_pickle_takes_a_private_session_along(self, method, directory):
        with Curriculum(config(None)) as curriculum:
            context = multiprocessing.get_context(method)
            processes = [context.Process(target=play_and_report, args=(curriculum, 20)) for _ in range(2)]
            for process in processes:
                process.start()
            for process in processes:
                process.join(TIMEOUT)
                assert process.exitcode == 0
            stats = check_accounts(curriculum, num_pending=0)
            assert stats["num_completed"] + stats["num_stale"] == 40
        assert list(directory.iterdir()) == []

    def test_a_pickle_in_one_process_makes_another_worker(self, directory):
        curriculum = Curriculum(config(None))
        copy = pickle.loads(pickle.dumps(curriculum))
        play(copy, 10)
        play(curriculum, 10)
        assert copy.stats()["num_completed"] == 20
        curriculum.close()
        play(copy, 10)
        assert check_accounts(copy, num_pending=0)["num_completed"] == 30
        copy.close()
        assert list(directory.iterdir()) == []

    def test_a_pickle_of_a_session_that_ended_is_an_error(self):
        with Curriculum(config(None)) as curriculum:
            dump = pickle.dumps(curriculum)
        with pytest.raises(SessionError, match="but it ended"):
            pickle.loads(dump)


class TestEnd:
    def test_the_end_of_a_private_session_removes_its_file(self, directory):
        curriculum = Curriculum(config(None))
        assert [path.name.startswith(".private-") for path in directory.iterdir()] == [True]
        del curriculum
        gc.collect()
        assert list(directory.iterdir()) == []

    def test_the_end_of_a_process_removes_its_private_session(self, directory):
        source = (
            "from curricular import Curriculum, CurriculumConfig, UniformConfig\nkept = Curriculum(UniformConfig())\n"
        )
        process = script(source + "print(len(list(session.session_directory().iterdir())))")
        assert process.communicate(timeout=TIMEOUT)[0] == "1\n"
        assert list(directory.iterdir()) == []

    @pytest.mark.parametrize("how", ["exit", "exec", "kill"])
    def test_a_process_that_ends_without_warning_loses_nothing(self, fork, how):
        with Curriculum(config(num_active_tasks=64)) as curriculum:

            def end():
                mine = Curriculum(curriculum.config)
                play(mine, 20)
                if how == "exit":
                    os._exit(0)
                elif how == "exec":
                    os.execv(sys.executable, [sys.executable, "-c", ""])
                os.kill(os.getpid(), signal.SIGKILL)

            fork(end).wait()
            backend = curriculum.tracker.backend
            assert not backend._file.is_alive(1)
            assert check_accounts(curriculum, num_pending=0)["num_completed"] == 20

    def test_exec_by_the_holder_lets_the_lock_go(self, hold):
        with Curriculum(config()) as curriculum:
            goes_on = shared_array(1)

            def become_another_program():
                until(lambda: goes_on[0])
                os.execv(sys.executable, [sys.executable, "-c", "import signal; signal.pause()"])

            child = hold(curriculum, become_another_program)
            assert not curriculum.tracker.backend.try_apply(lambda _: None)
            goes_on[0] = 1
            until(lambda: curriculum.tracker.backend.try_apply(lambda _: None), what="the lock")
            assert child.is_running()
            play(curriculum, 10)
            check_accounts(curriculum, num_pending=0)

    def test_three_hundred_workers_leave_nothing(self):
        """Every other one is killed; slots, descriptors and files stay few."""
        with Curriculum(config()) as curriculum:
            play(curriculum, 10)
            before = count_fds()
            curriculum.flush()
            used = curriculum.tracker.backend._file.path.stat().st_blocks
            for number in range(150):
                pid = os.fork()
                if pid == 0:
                    try:
                        play(curriculum, 1)
                        os.kill(os.getpid(), signal.SIGKILL if number % 2 else signal.SIGTERM)
                    finally:
                        os._exit(1)
                os.waitpid(pid, 0)
            for _ in range(150):
                with Curriculum(config()) as mine:
                    play(mine, 1)
            assert count_fds() == before
            backend = curriculum.tracker.backend
            assert np.flatnonzero(backend._workers[:, 0]).tolist() in ([0], [0, 1])
            assert backend._file.slots == {0}
            assert backend._file.path.stat().st_blocks <= used + 2 * 64 + 16  # one more log
            assert check_accounts(curriculum, num_pending=0)["num_scheduled"] == 310
            assert backend.snapshot().counters.num_streams == 301


class TestNumber:
    def test_64_workers_share_a_session(self, fork):
        with Curriculum(config(num_active_tasks=256)) as curriculum:
            streams, begin = shared_array(64), shared_array(1)

            def work(number):
                until(lambda: begin[0])
                play(curriculum, 100)
                streams[number] = curriculum.tracker.backend.stream

            children = [fork(work, number) for number in range(64)]
            begin[0] = 1
            assert [child.wait() for child in children] == [0] * 64
            stats = check_accounts(curriculum, num_pending=0)
            assert stats["num_completed"] + stats["num_stale"] == 6400
            assert len(set(streams.tolist())) == 64

    def test_a_worker_beyond_the_limit_is_an_error(self):
        backends = [SharedMemoryBackend("many", 4) for _ in range(MAX_WORKERS)]
        with pytest.raises(SessionError, match=f"at most {MAX_WORKERS} workers"):
            SharedMemoryBackend("many", 4)
        backends[100].close()
        backends[100] = SharedMemoryBackend("many", 4)
        assert backends[0].num_workers == MAX_WORKERS
        for backend in backends:
            backend.close()

    def test_workers_may_have_workers(self):
        with Curriculum(config()) as curriculum:
            context = multiprocessing.get_context("fork")
            workers = [context.Process(target=play_in_pool_of_one, args=(curriculum,)) for _ in range(3)]
            for worker in workers:
                worker.start()
            for worker in workers:
                worker.join(TIMEOUT)
                assert worker.exitcode == 0
            stats = check_accounts(curriculum, num_pending=0)
            assert stats["num_completed"] + stats["num_stale"] == 60


class TestInterrupt:
    @pytest.mark.parametrize("point", ["journal written", "committed", "rows installed", "counters installed"])
    def test_an_interrupt_in_a_change_leaves_the_lock_free(self, monkeypatch, point):
        def fault(reached):
            if reached == point:
                raise KeyboardInterrupt

        with Curriculum(config()) as curriculum:
            play(curriculum, 20)
            with monkeypatch.context() as patch:
                patch.setattr(session, "fault", fault)
                with pytest.raises(KeyboardInterrupt):
                    curriculum.flush()
            assert check_accounts(curriculum, num_pending=0)["num_scheduled"] == 20

    def test_an_interrupt_while_waiting_leaves_the_mutex_free(self, hold, monkeypatch):
        with Curriculum(config()) as curriculum:
            child = hold(curriculum)

            def interrupt(_):
                raise KeyboardInterrupt

            with monkeypatch.context() as patch:
                patch.setattr(session, "time", SimpleNamespace(monotonic=time.monotonic, sleep=interrupt))
                with pytest.raises(KeyboardInterrupt):
                    curriculum.stats()
            child.send(signal.SIGKILL)
            play(curriculum, 10)
            check_accounts(curriculum, num_pending=0)

    def test_an_interrupt_while_joining_gives_the_slot_back(self, monkeypatch):
        def fault(point):
            if point == "counted":
                raise KeyboardInterrupt

        with Curriculum(config()) as curriculum:
            with monkeypatch.context() as patch:
                patch.setattr(session, "fault", fault)
                for _ in range(3):
                    with pytest.raises(KeyboardInterrupt):
                        Curriculum(config())
            assert curriculum.tracker.backend._file.slots == {0}
            with Curriculum(config()) as other:
                assert other.tracker.backend._slot == 1
