"""The public suite for wrappers: an honest wrapper without a framework passes it, and each mistake fails a test."""

from dataclasses import replace

import pytest

from curricular.testing import WrapperSuite
from curricular.testing.wrappers import MAX_LINES_TO_FORGET
from curricular.wrappers.episodes import EnvironmentFailedError, Episode, Handouts


class Wrapper:
    """The smallest wrapper: one environment, which is a lane. Also its own driver."""

    catches = Exception

    def __init__(self, env, curriculum, *, score="return", stats_interval="auto", max_failures=16):
        self.env, self.curriculum, self.task = env, curriculum, None
        self.handouts = Handouts(curriculum, score, stats_interval, max_failures)

    def reset(self):
        self.abandon()
        while self.task is None:
            self.task = self.curriculum.get_task()
            try:
                self.begin()
            except self.catches as error:
                self.fail(error)
        self.total, self.length = 0.0, 0

    def begin(self):
        self.env.apply(self.task.config)
        self.env.begin()

    def step(self):
        if self.task is None:
            self.reset()
        try:
            reward, is_terminated, is_truncated, info = self.env.step()
        except self.catches as error:
            return {0: self.fail(error)}
        self.total, self.length = self.total + reward, self.length + 1
        return {0: self.end(info)} if is_terminated or is_truncated else {}

    def end(self, info):
        episodes = [Episode(self.task, self.total, self.length, info)]
        try:
            reports = self.handouts.tell(episodes)
        except Exception:
            self.task = None
            raise
        self.task = None
        self.handouts.add_stats(reports, episodes)
        return reports[0]

    def fail(self, error):
        task = self.task
        self.cancel("failed")
        (report,) = self.handouts.report_failed([task], error)
        return report

    def abandon(self):
        if self.task is not None:
            self.cancel("reset")
            self.handouts.count_abandoned(self.length)

    def close(self):
        self.cancel("closed")

    def cancel(self, reason):
        if self.task is not None:
            self.handouts.cancel([self.task], reason)
            self.task = None


class TestWrapper(WrapperSuite):
    wrapper = Wrapper

    def make_driver(self, curriculum, lanes, **settings):
        return self.wrapper(*lanes, curriculum, **settings)


class AsksWhenMade(Wrapper):
    def __init__(self, env, curriculum, **settings):
        super().__init__(env, curriculum, **settings)
        self.task = curriculum.get_task()


class AsksTwice(Wrapper):
    def begin(self):
        self.curriculum.get_task()
        super().begin()


class AppliesTooLate(Wrapper):
    def begin(self):
        if not self.env.applied:
            self.env.apply(self.task.config)
        self.env.begin()
        self.env.apply(self.task.config)


class TellsTwice(Wrapper):
    def end(self, info):
        self.curriculum.update_task_performance(self.task.task_id, 0.5)
        return super().end(info)


class TellsAnotherTask(Wrapper):
    def end(self, info):
        self.task = replace(self.task, task_id=(self.task.task_id + 1) % 4)
        return super().end(info)


class MiscountsSteps(Wrapper):
    def end(self, info):
        self.length -= 1
        return super().end(info)


class ForgetsTheAbandoned(Wrapper):
    def abandon(self):
        self.task = None

    close = abandon


class ScoresTheAbandoned(Wrapper):
    def abandon(self):
        if self.task is not None:
            self.curriculum.update_task_performance(self.task.task_id, 0.0)
            self.task = None


class ScoresTheFailed(Wrapper):
    def fail(self, error):
        self.curriculum.update_task_performance(self.task.task_id, 0.0)
        report = {"task_id": self.task.task_id, "label": self.task.label, "error": f"RuntimeError: {error}"}
        self.task = None
        return report


class SaysNothing(Wrapper):
    def step(self):
        super().step()
        return {}


class SwallowsInterrupts(Wrapper):
    catches = BaseException


class ForgetsFirst(Wrapper):
    def end(self, info):
        task, self.task = self.task, None
        return self.handouts.tell([Episode(task, self.total, self.length, info)])[0]


class ForgetsLate(Wrapper):
    def cancel(self, reason):
        if self.task is not None:
            self.handouts.cancel([self.task], reason)
            for _ in range(MAX_LINES_TO_FORGET):
                pass
            self.task = None


class CountsAllFailures(Wrapper):
    def end(self, info):
        self.handouts._streak.end = lambda: None
        return super().end(info)


class Clips(Wrapper):
    def __init__(self, env, curriculum, **settings):
        super().__init__(env, curriculum, **settings)
        rule = self.handouts._score
        self.handouts._score = lambda episode: min(max(rule(episode), 0.0), 1.0)


@pytest.mark.parametrize(
    ("mistaken", "test", "arguments"),
    [
        (AsksWhenMade, "nothing_is_asked_for_before_the_first_reset", ()),
        (AsksTwice, "every_finished_episode_is_told_once_to_the_task_that_was_played", (False,)),
        (AppliesTooLate, "a_task_is_applied_before_its_episode_begins", ()),
        (TellsTwice, "every_finished_episode_is_told_once_to_the_task_that_was_played", (False,)),
        (TellsAnotherTask, "every_finished_episode_is_told_once_to_the_task_that_was_played", (False,)),
        (MiscountsSteps, "a_score_function_gets_the_episode", ()),
        (ForgetsTheAbandoned, "abandoned_episodes_are_cancelled_never_scored", ()),
        (ForgetsTheAbandoned, "closing_cancels_what_is_pending_and_closing_twice_is_no_error", ()),
        (ScoresTheAbandoned, "abandoned_episodes_are_cancelled_never_scored", ()),
        (ScoresTheFailed, "a_step_that_raises_ends_its_episode_without_a_score", ()),
        (SaysNothing, "infos_carry_the_task_and_the_score", ()),
        (SwallowsInterrupts, "an_interrupt_is_no_failure", ("step", KeyboardInterrupt)),
        (ForgetsFirst, "an_interrupt_where_a_hand_out_ends_ends_it_once", ("step", False)),
        (ForgetsLate, "an_interrupt_where_a_hand_out_ends_ends_it_once", ("step", True)),
        (ForgetsLate, "an_interrupt_where_a_hand_out_ends_ends_it_once", ("reset", False)),
        (CountsAllFailures, "a_finished_episode_resets_the_count_of_failures", ()),
        (Clips, "a_score_outside_the_range_is_an_error_that_cancels_its_episode_alone", (1.5,)),
    ],
)
def test_a_mistake_fails_its_test(mistaken, test, arguments):
    class Suite(TestWrapper):
        wrapper = mistaken

    with pytest.raises((AssertionError, pytest.fail.Exception, EnvironmentFailedError)):
        getattr(Suite(), f"test_{test}")(*arguments)


def test_a_suite_without_a_driver_says_what_to_write():
    with pytest.raises(NotImplementedError, match="make_driver: expected an override"):
        WrapperSuite().test_nothing_is_asked_for_before_the_first_reset()
