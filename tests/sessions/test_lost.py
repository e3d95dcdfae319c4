"""What a killed worker had out is cancelled by the others, once; what a worker that left had out stays open."""

import multiprocessing
import os
import signal

import numpy as np
import pytest

from curricular import Curriculum

from ..helpers import shared_array, until
from .processes import check_accounts, config, play


def killed(fork, fn):
    """Runs `fn` in a forked process that then dies without leaving."""

    def run():
        fn()
        os.kill(os.getpid(), signal.SIGKILL)

    assert fork(run).wait() == -signal.SIGKILL


class TestTickets:
    def test_those_of_a_killed_worker_are_cancelled_and_no_others(self, fork):
        with Curriculum(config()) as curriculum:
            mine = curriculum.ask_batch(3)
            theirs = shared_array(5)

            def ask():
                theirs[:] = curriculum.ask_batch(5).tickets
                curriculum.tell_batch(theirs[:1], [1.0])

            killed(fork, ask)
            assert curriculum.open_handouts().tickets.tolist() == mine.tickets.tolist()
            assert curriculum.tell_batch(theirs, np.ones(5)) == 0
            assert curriculum.tell_batch(mine.tickets, np.ones(3)) == 3
            stats = check_accounts(curriculum, num_pending=0)
            assert (stats["cancelled/worker lost"], stats["num_completed"], stats["num_repeated"]) == (4, 4, 5)

    def test_a_worker_that_takes_the_slot_is_not_taken_for_the_dead_one(self, fork):
        with Curriculum(config()) as curriculum:
            killed(fork, lambda: curriculum.ask_batch(5))
            with Curriculum(config()) as other:
                batch = other.ask_batch(2)
                stats = check_accounts(curriculum, num_pending=2)
                assert (stats["cancelled/worker lost"], stats["num_open"]) == (5, 2)
                assert other.tell_batch(batch.tickets, [1.0, 1.0]) == 2

    def test_the_others_notice_with_the_next_change(self, fork):
        with Curriculum(config()) as curriculum, Curriculum(config()) as other:
            killed(fork, lambda: curriculum.ask_batch(5))
            play(other, 300)  # refreshes
            assert other.tracker.backend.glance()[0].num_open == 0
            assert other.tracker.backend.num_workers == 2


class TestTaskIds:
    def test_what_the_log_of_a_killed_worker_has_open_is_cancelled(self, fork):
        with Curriculum(config()) as curriculum:
            mine = curriculum.ask(4)

            def ask():
                tasks = curriculum.ask(9)
                curriculum.tell([task.task_id for task in tasks[:2]], [1.0, 0.0])
                curriculum.cancel([tasks[2].task_id], "for the test")

            killed(fork, ask)
            stats = check_accounts(curriculum, num_pending=4)
            assert (stats["cancelled/worker lost"], stats["cancelled/for the test"]) == (6, 1)
            curriculum.tell([task.task_id for task in mine], np.ones(4))
            assert check_accounts(curriculum, num_pending=0)["num_unsolicited"] == 0

    def test_results_that_another_worker_told_are_no_losses(self, fork):
        with Curriculum(config()) as curriculum:
            ids = shared_array(6)

            def ask():
                ids[:] = [task.task_id for task in curriculum.ask(6)]
                curriculum.flush()

            killed(fork, ask)
            curriculum.tell(ids[:4], np.ones(4))
            stats = check_accounts(curriculum, num_pending=0)
            assert (stats["num_completed"], stats["cancelled/worker lost"]) == (4, 2)

    def test_a_long_life_is_known_as_far_as_the_log_reaches(self, fork):
        with Curriculum(config()) as curriculum:

            def live():
                curriculum.ask(3)  # too long ago
                play(curriculum, 2000)
                curriculum.ask(5)

            killed(fork, live)
            assert check_accounts(curriculum, num_pending=3)["cancelled/worker lost"] == 5

    def test_it_is_done_once_whatever_comes_after(self, fork):
        with Curriculum(config()) as curriculum:
            for _ in range(5):
                killed(fork, lambda: curriculum.ask(7))
            play(curriculum, 500)
            assert check_accounts(curriculum, num_pending=0)["cancelled/worker lost"] == 35


class TestLeaving:
    def test_what_a_closed_curriculum_had_out_can_still_be_told(self):
        with Curriculum(config()) as curriculum:
            with Curriculum(config()) as other:
                batch, tasks = other.ask_batch(3), other.ask(2)
            assert curriculum.tell_batch(batch.tickets, np.ones(3)) == 3
            curriculum.tell([task.task_id for task in tasks], np.ones(2))
            stats = check_accounts(curriculum, num_pending=0)
            assert (stats["num_completed"], stats["num_unsolicited"]) == (5, 0)

    @pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
    def test_so_can_that_of_a_process_that_ends_in_the_regular_way(self, method):
        """As a worker of a data loader does, at the end of an epoch."""
        context = multiprocessing.get_context(method)
        with Curriculum(config(session_id=None)) as curriculum:
            queue = context.SimpleQueue()
            process = context.Process(target=_ask, args=(curriculum, queue))
            process.start()
            tickets, ids = queue.get()
            process.join()
            assert process.exitcode == 0
            assert curriculum.tell_batch(tickets, np.ones(3)) == 3
            curriculum.tell(ids, np.ones(2))
            stats = check_accounts(curriculum, num_pending=0)
            assert (stats["num_completed"], stats["num_unsolicited"]) == (5, 0)
            until(lambda: curriculum.tracker.backend.num_workers == 1)


def _ask(curriculum, queue):
    queue.put((curriculum.ask_batch(3).tickets, [task.task_id for task in curriculum.ask(2)]))


def test_a_death_is_one_failure_of_each_task_that_was_out_however_many_of_its_hand_outs_were_lost(fork):
    with Curriculum(config()) as curriculum:
        for num_deaths in (1, 2):
            killed(fork, lambda: curriculum.ask_batch(100))
            states = curriculum.task_states()
            assert max(state.num_cancelled for state in states) > 3 * num_deaths
            assert max(state.num_failures for state in states) == num_deaths
        killed(fork, lambda: curriculum.ask(100))
        assert max(state.num_failures for state in curriculum.task_states()) == 3
