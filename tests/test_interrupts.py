"""An exception at any point of a call, as a signal handler may raise it, leaves locks free and the account exact."""

import contextlib
import fcntl
import gc
import os
import signal
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import curricular
from curricular import Curriculum, LearningProgressConfig, ReentrantCallError
from curricular.backends import session
from curricular.generators import SeedGenerator

from .helpers import balance

PACKAGE = str(Path(curricular.__file__).parent)
BACKENDS = pytest.mark.parametrize("use_shared_memory", [True, False], ids=["shared", "local"])


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    monkeypatch.setattr(session, "LOCK_TIMEOUT", 2.0)


def made(use_shared_memory, **overrides):
    return Curriculum(
        LearningProgressConfig.fast_learning(
            num_active_tasks=8,
            min_presentations_for_eviction=5,
            eviction_rate=0.3,
            use_shared_memory=use_shared_memory,
            **overrides,
        )
    )


class Interrupted(BaseException):
    """What the signal handlers here raise."""


class Played:
    """A curriculum, and how many hand-outs and results its calls have acknowledged and begun."""

    pause = 1e-6
    """By how much alarms differ, in seconds: four hundred of them are longer than a step."""

    def __init__(self, curriculum):
        self.curriculum = curriculum
        self.acknowledged = self.begun = 0

    def step(self, number):
        """A few calls of every kind."""
        curriculum = self.curriculum
        task = curriculum.get_task()
        self.begun += 1
        curriculum.update_task_performance(task.task_id, number % 3 / 2)
        self.acknowledged += 1
        tasks = curriculum.ask(5)
        self.begun += 5
        curriculum.tell([task.task_id for task in tasks], [0.0, 0.5, 1.0, 0.0, 1.0])
        self.acknowledged += 5
        if number % 4 == 0:
            curriculum.flush()
        if number % 16 == 0:
            curriculum.load_state_dict(curriculum.state_dict())
            self.acknowledged = self.begun = curriculum.stats()["num_completed"] + curriculum.stats()["num_stale"]

    def check(self):
        """Nothing is locked, nothing acknowledged is missing, and the account balances."""
        table = self.curriculum.tracker.snapshot()
        counters, rows = table.counters, table.rows
        assert balance(counters._asdict()) == 0
        assert self.acknowledged <= counters.num_completed + counters.num_stale <= self.begun
        assert rows["num_pending"].sum() + rows["num_orphans"].sum() == counters.num_pending
        assert len(np.unique(rows["task_id"] % 8)) == 8


class Ticketed:
    """A curriculum that is played with tickets only, and the tickets of the call under way."""

    pause = 5e-6

    def __init__(self, curriculum):
        self.curriculum = curriculum
        self.ending, self.num_ending = np.empty(0, np.int64), 0

    def step(self, number):
        """Each kind of call with tickets, some of them again."""
        curriculum = self.curriculum
        batch = curriculum.ask_batch(4, replace=number % 2 == 0)
        groups = np.full((2, 3), number % 3 / 2)
        for _ in range(2):
            self.ending, self.num_ending = batch.tickets[:2], 2
            curriculum.tell_batch(self.ending, groups)
        self.ending, self.num_ending = batch.tickets[1:3], 1
        curriculum.cancel_batch(self.ending, "for the test")
        curriculum.expire(older_than=20)
        assert len(curriculum.open_handouts().tickets) > 0
        if number % 16 == 0:
            curriculum.load_state_dict(curriculum.state_dict())

    def check(self):
        """A call has ended all of its tickets or none; told again, they end once; every hand-out is accounted for."""
        curriculum = self.curriculum
        before, open_tickets = curriculum.tracker.snapshot().counters, curriculum.open_handouts().tickets
        num_open = int(np.isin(self.ending, open_tickets).sum())
        assert num_open in {0, self.num_ending}
        assert curriculum.tell_batch(self.ending, np.ones(len(self.ending))) == num_open
        assert curriculum.tell_batch(self.ending, np.ones(len(self.ending))) == 0
        after = curriculum.tracker.snapshot().counters
        assert balance(after._asdict()) == after.num_unsolicited == 0
        assert after.num_open == after.num_pending == before.num_open - num_open
        assert len(np.unique(curriculum.open_handouts().tickets)) == after.num_open
        curriculum.expire(older_than=20)  # a call that asked for them has not returned


@contextlib.contextmanager
def other_process(curriculum):
    """A function that asks another process whether it could have the table's lock now."""
    path, (ask, asked), (answer, answered) = curriculum.tracker.backend._file.path, os.pipe(), os.pipe()
    pid = os.fork()
    if not pid:
        os.close(asked)
        fd = os.open(path, os.O_RDWR)
        while os.read(ask, 1):
            try:
                fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, 0)
                fcntl.lockf(fd, fcntl.LOCK_UN, 1, 0)
                os.write(answered, b"y")
            except OSError:
                os.write(answered, b"n")
        os._exit(0)

    def is_free():
        os.write(asked, b"?")
        return os.read(answer, 1) == b"y"

    try:
        yield is_free
    finally:
        for fd in (ask, asked):
            os.close(fd)
        os.waitpid(pid, 0)
        for fd in (answer, answered):
            os.close(fd)


def run(played, number, trace):
    before = sys.gettrace()
    sys.settrace(trace)
    try:
        played.step(number)
    except Interrupted:
        pass
    finally:
        sys.settrace(before)


def lines_met(played, number):
    """The lines of the package that a step runs, in their order."""
    lines = []

    def trace(frame, event, _):
        if not frame.f_code.co_filename.startswith(PACKAGE):
            return None
        if event == "line":
            lines.append((frame.f_code, frame.f_lineno))
        return trace

    run(played, number, trace)
    return lines


def run_and_raise(played, number, raise_at):
    """Raises before the line of the package that runs `raise_at`-th, and returns it; None if the step ended earlier."""
    num_lines, place = 0, None

    def trace(frame, event, _):
        nonlocal num_lines, place
        if event == "line":
            num_lines += 1
            if num_lines > raise_at:
                place = Path(frame.f_code.co_filename).name, frame.f_lineno
                raise Interrupted
        elif not frame.f_code.co_filename.startswith(PACKAGE):
            return None
        return trace

    run(played, number, trace)
    return place


def interrupt(played, number, times):
    """Raises at each of these lines of a step, after which the lock is free for another process and `check` passes."""
    curriculum = played.curriculum
    is_shared = curriculum.config.use_shared_memory
    with other_process(curriculum) if is_shared else contextlib.nullcontext(lambda: True) as is_free:
        for raise_at in times:
            place = run_and_raise(played, number, raise_at)
            assert is_free(), place
            played.check()


def every_time(lines):
    return range(len(lines))


def first_times(lines):
    """Of each line, the first time that it runs."""
    return {line: at for at, line in reversed([*enumerate(lines)])}.values()


def last_times(lines):
    return {line: at for at, line in enumerate(lines)}.values()


# A longer step runs the lines of a shorter one again, and some of its own.
@BACKENDS
@pytest.mark.parametrize(("number", "times_of"), [(1, every_time), (4, last_times), (16, first_times)])
def test_an_exception_at_any_line_leaves_everything_free_and_exact(use_shared_memory, number, times_of):
    with made(use_shared_memory) as curriculum:
        played = Played(curriculum)
        for warm_up in range(20):
            played.step(warm_up)
        times = times_of(lines_met(played, number))
        assert len(times) > 100
        interrupt(played, number, times)


@BACKENDS
@pytest.mark.parametrize(("number", "times_of"), [(1, first_times), (16, last_times)])
def test_with_tickets_an_exception_at_any_line_leaves_everything_free_and_exact(use_shared_memory, number, times_of):
    with made(use_shared_memory, max_open_handouts=64) as curriculum:
        played = Ticketed(curriculum)
        for warm_up in range(20):
            played.step(warm_up)
        times = times_of(lines_met(played, number))
        assert len(times) > 200
        interrupt(played, number, times)


@BACKENDS
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # an alarm within a finalizer of others
@pytest.mark.parametrize("player", [Played, Ticketed])
def test_three_thousand_alarms_leave_everything_free_and_exact(use_shared_memory, player):
    def handler(*_):
        raise Interrupted

    with made(use_shared_memory) as curriculum:
        played, num_alarms, number = player(curriculum), 0, 0
        gc.disable()  # whose callbacks are other packages'
        old = signal.signal(signal.SIGALRM, handler)
        try:
            while num_alarms < 3000:
                number += 1
                try:
                    signal.setitimer(signal.ITIMER_REAL, 1e-5 + player.pause * (number % 400))
                    for _ in range(4):
                        played.step(number)
                    signal.setitimer(signal.ITIMER_REAL, 0)
                except Interrupted:
                    num_alarms += 1
                if number % 50 == 0:
                    signal.setitimer(signal.ITIMER_REAL, 0)
                    played.check()
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, old)
            gc.enable()
        played.check()


@BACKENDS
class TestCallsWithinCalls:
    def test_a_save_from_a_signal_handler_in_the_middle_of_a_call_says_what_to_do(self, use_shared_memory, tmp_path):
        class Slow(SeedGenerator):
            def build(self, seed, params):
                os.kill(os.getpid(), signal.SIGUSR1)
                return seed

        errors = []

        def handler(*_):
            try:
                curriculum.save(tmp_path / "state.npz")
            except ReentrantCallError as error:
                errors.append(str(error))

        config = LearningProgressConfig.default(num_active_tasks=4, use_shared_memory=use_shared_memory)
        old = signal.signal(signal.SIGUSR1, handler)
        try:
            with Curriculum(config, Slow()) as curriculum:
                task = curriculum.get_task()
                assert "save where the training loop ends" in errors[0]
                curriculum.update_task_performance(task.task_id, 1.0)
                os.kill(os.getpid(), signal.SIGUSR1)  # between two calls it can be saved
                assert len(errors) == 1
                assert Curriculum.load(tmp_path / "state.npz", Slow()).stats()["num_completed"] == 1
        finally:
            signal.signal(signal.SIGUSR1, old)

    def test_a_handler_that_exits_leaves_a_state_that_can_be_saved(self, use_shared_memory, tmp_path):
        def handler(*_):
            raise SystemExit

        old = signal.signal(signal.SIGALRM, handler)
        try:
            with made(use_shared_memory) as curriculum:

                def play_until_the_alarm():
                    signal.setitimer(signal.ITIMER_REAL, 0.02)
                    while True:
                        Played(curriculum).step(1)

                with pytest.raises(SystemExit):
                    play_until_the_alarm()
                curriculum.save(tmp_path / "state.npz")
                assert Curriculum.load(tmp_path / "state.npz").stats() == pytest.approx(curriculum.stats())
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, old)

    def test_a_generator_that_asks_its_own_curriculum_is_refused(self, use_shared_memory):
        class Curious(SeedGenerator):
            def build(self, seed, params):
                return curriculum.get_task()

        config = LearningProgressConfig.default(num_active_tasks=4, use_shared_memory=use_shared_memory)
        with Curriculum(config, Curious()) as curriculum:
            with pytest.raises(ReentrantCallError, match="one call at a time"):
                curriculum.get_task()
            assert curriculum.stats()["num_scheduled"] == 0

    def test_the_error_of_a_refresh_is_looked_at_in_turn(self, use_shared_memory, monkeypatch):
        with made(use_shared_memory) as curriculum:
            refresher, looks = curriculum._refresher, []
            refresher.error = RuntimeError("of an earlier refresh")
            monkeypatch.setattr(refresher, "check", lambda: looks.append(curriculum._turns.lock.locked()))
            curriculum.get_task()
            curriculum.ask_for(curriculum.ask_batch(1).task_ids)
            curriculum.ask()
            curriculum.stats()
            curriculum.flush()
            assert looks == [True] * 6

    def test_threads_take_turns_and_lose_nothing(self, use_shared_memory):
        with made(use_shared_memory) as curriculum:

            def work():
                for _ in range(500):
                    task = curriculum.get_task()
                    curriculum.update_task_performance(task.task_id, 0.5)
                    tasks = curriculum.ask(3)
                    curriculum.tell([task.task_id for task in tasks], [0.5] * 3)

            interval = sys.getswitchinterval()
            sys.setswitchinterval(1e-5)
            try:
                threads = [threading.Thread(target=work) for _ in range(4)]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()
            finally:
                sys.setswitchinterval(interval)
            stats = curriculum.stats()
            assert stats["num_scheduled"] == 4 * 500 * 4
            assert stats["num_completed"] + stats["num_stale"] == 4 * 500 * 4
            assert stats["num_pending"] == stats["num_unsolicited"] == 0
