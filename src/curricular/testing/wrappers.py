"""What every wrapper of an environment must hold."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import count
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ..curriculum import Curriculum
from ..wrappers.episodes import EnvironmentFailedError, Episode
from ..wrappers.regret import LateRegrets
from .lanes import VALUES, Call, Config, Driver, Lane, Script, pay, raising_once
from .trial import Trial, curriculum_of, is_interrupted, label_of

BAD_VALUES = VALUES[:2]
"""Values of the tasks on which the environment raises, in the tests where it plays the others."""

MAX_LINES_TO_FORGET = 4
"""Lines of Python in which a wrapper forgets the tasks that it has told or cancelled, or notes those handed out."""

NUM_STEPS = 100
"""Steps of a run in which every task is played, with all but certainty."""


class WrapperSuite:
    """Every wrapper asks once an episode, and ends each hand-out once: told to the task that was played, or cancelled.

    The suite imports no framework. It plays on `Lane` objects, which are environments without a framework. A subclass
    builds an environment of its framework that forwards to the lanes, wraps that environment and returns a `Driver`.
    """

    num_lanes: int = 1
    """Number of lanes in the tests that are not about one; to override for a wrapper of several environments."""

    handouts_per_lane: int = 1
    """Number of hand-outs that a lane in play holds: 2 if the wrapper applies tasks one episode ahead; to override."""

    takes_late_regrets: bool = False
    """Whether the wrapper takes a `LateRegrets` as `regret`; to override."""

    def make_driver(self, curriculum: Curriculum[Config], lanes: Sequence[Lane], **settings: Any) -> Driver:
        """Wraps an environment that plays on `lanes`; to override.

        Args:
            curriculum: What the wrapper asks for tasks.
            lanes: One lane or `num_lanes`. The environment forwards to `Lane.apply`, `Lane.begin` and `Lane.step`.
            settings: Arguments of the wrapper: any of `score`, `stats_interval` and `max_failures`; with
                `takes_late_regrets` also `regret`.

        Returns:
            The loop around the wrapper.
        """
        raise NotImplementedError("make_driver: expected an override that wraps the lanes and drives them; write it")

    def trial(
        self,
        script_of: Callable[[Config], Script] = pay,
        *,
        num_lanes: int | None = None,
        values: Sequence[float] = VALUES,
        own_range: tuple[float, float] = (0.0, 1.0),
        **settings: Any,
    ) -> Trial:
        """Returns a new wrapper under test.

        Args:
            script_of: What happens in an episode of a task.
            num_lanes: Number of lanes. None: `num_lanes` of the suite.
            values: Values of the tasks.
            own_range: The curriculum's own score range.
            settings: Arguments of the wrapper, as for `make_driver`.
        """
        curriculum = curriculum_of(values, own_range)
        lanes = [Lane(script_of) for _ in range(self.num_lanes if num_lanes is None else num_lanes)]
        driver = self.make_driver(curriculum, lanes, **settings)
        return Trial(curriculum, values, lanes, driver, len(lanes) * self.handouts_per_lane)

    # Asking and telling

    def test_nothing_is_asked_for_before_the_first_reset(self) -> None:
        with self.trial() as trial:
            assert trial.account() == (0, 0, 0, 0), "before the first reset: no hand-out"

    @pytest.mark.parametrize("is_truncated", [False, True])
    def test_every_finished_episode_is_told_once_to_the_task_that_was_played(self, is_truncated: bool) -> None:
        with self.trial(partial(pay, is_truncated=is_truncated)) as trial:
            trial.reset()
            num_reports, finished = 0, Counter[float]()
            for _ in range(NUM_STEPS):
                for report in trial.step().values():
                    assert report["score"] == pytest.approx(trial.value_of(report)), (
                        'score="return": the sum of the rewards of the episode'
                    )
                    num_reports += 1
                finished = Counter(config["value"] for lane in trial.lanes for config in lane.finished)
                assert +trial.completions() == finished, (
                    "tell: one score for each finished episode, to the task that was played"
                )
                assert trial.last_scores() == pytest.approx({value: value for value in finished}), (
                    "tell: the score of the episode that was played"
                )
                assert num_reports == finished.total(), "infos: one report for each finished episode"
            assert set(finished) == set(VALUES), "ask: a task for each episode, so that every task is played"
            scheduled, completed, cancelled, pending = trial.account()
            assert (completed, cancelled) == (finished.total(), 0), (
                "account: finished episodes are told, none is cancelled"
            )
        assert trial.account() == (scheduled, completed, pending, 0), (
            "close: cancels the episodes in play and tells none"
        )

    def test_a_task_is_applied_before_its_episode_begins(self) -> None:
        with self.trial() as trial:
            trial.reset()
            for _ in range(NUM_STEPS):
                trial.step()
                assert all(lane.begun == lane.applied[: len(lane.begun)] for lane in trial.lanes), (
                    "apply: before each episode, the task that it plays, and once"
                )
            assert {config["value"] for lane in trial.lanes for config in lane.begun} == set(VALUES), (
                "apply: the configuration of the task that was asked for"
            )

    def test_abandoned_episodes_are_cancelled_never_scored(self) -> None:
        with self.trial() as trial:
            num_handouts = trial.max_pending
            for num_resets in range(4):
                trial.reset()
                expected = ((num_resets + 1) * num_handouts, 0, num_resets * num_handouts, num_handouts)
                assert trial.account() == expected, "reset: cancels the episodes in play, and asks for the next ones"
                trial.step()
                assert trial.account() == expected, "step: within an episode, nothing is asked, told or cancelled"

    def test_closing_cancels_what_is_pending_and_closing_twice_is_no_error(self) -> None:
        with self.trial() as trial:
            trial.driver.close()
        with self.trial() as trial:
            trial.reset()
            trial.step()
            for _ in range(2):
                trial.driver.close()
                assert trial.account() == (trial.max_pending, 0, trial.max_pending, 0), (
                    "close: cancels what is pending, once"
                )

    # Infos

    def test_infos_carry_the_task_and_the_score(self) -> None:
        with self.trial(stats_interval=None) as trial:
            trial.reset()
            for report in trial.play(10):
                assert report.keys() == {"task_id", "label", "score"}, (
                    "infos: task_id, label and score of an episode that ended"
                )
                assert report["label"] == label_of(trial.value_of(report)), "infos: the label of the task"
                assert report["score"] == pytest.approx(trial.value_of(report)), "infos: the score as told"

    @pytest.mark.parametrize("interval", [1, 3, None])
    def test_infos_carry_statistics_every_stats_interval_episodes(self, interval: int | None) -> None:
        with self.trial(num_lanes=1, stats_interval=interval) as trial:
            trial.reset()
            reports = dict(enumerate(trial.play(7), 1))
            with_stats = [number for number, report in reports.items() if "stats" in report]
            assert with_stats == ([] if interval is None else list(range(interval, 8, interval))), (
                "stats_interval: stats after as many episodes, never with None"
            )
            for number in with_stats:
                assert reports[number]["stats"]["num_completed"] == number, (
                    "stats: include the episode that made them due"
                )

    # Scores

    @pytest.mark.parametrize(
        ("score", "expected"),
        [
            ("return", lambda value: value),
            ("success", lambda value: float(value > 0.5)),
            (lambda episode: 1 - episode.episode_return, lambda value: 1 - value),
            (
                lambda episode: np.float32(episode.info["success"]) / episode.length,
                lambda value: (value > 0.5) / (2 + VALUES.index(value)),
            ),
        ],
        ids=["return", "success", "function", "float32"],
    )
    def test_scores_follow_the_rule(self, score: Any, expected: Callable[[float], float]) -> None:
        with self.trial(num_lanes=1, score=score) as trial:
            trial.reset()
            for report in trial.play(15):
                assert report["score"] == pytest.approx(expected(trial.value_of(report)), abs=1e-6), (
                    "score: by the rule"
                )
            values = {config["value"] for config in trial.lanes[0].finished}
            assert trial.last_scores() == pytest.approx({value: expected(value) for value in values}, abs=1e-6), (
                "tell: the score by the rule"
            )

    def test_a_score_function_gets_the_episode(self) -> None:
        episodes: list[Episode[Config]] = []

        def score(episode: Episode[Config]) -> float:
            episodes.append(episode)
            return 0.5

        with self.trial(num_lanes=1, score=score) as trial:
            trial.reset()
            reports = trial.play(10)
            assert [episode.task.task_id for episode in episodes] == [report["task_id"] for report in reports], (
                "Episode.task: the task that the episode played"
            )
            assert [episode.task.config for episode in episodes] == trial.lanes[0].finished, (
                "Episode.task: with the configuration that was applied"
            )
            for episode in episodes:
                script = pay(episode.task.config)
                assert episode.episode_return == pytest.approx(sum(script.rewards)), (
                    "Episode.episode_return: the sum of the rewards"
                )
                assert (episode.length, episode.env_index) == (len(script.rewards), 0), (
                    "Episode.length and env_index: the number of steps, and the index of the environment"
                )
                assert script.info.items() <= episode.info.items(), "Episode.info: the info of the last step"

    def test_a_missing_success_names_the_keys_seen(self) -> None:
        def without_success(config: Config) -> Script:
            return Script(pay(config).rewards, {"goals": 1, "length": 2})

        with self.trial(without_success, num_lanes=1, score="success") as trial:
            trial.reset()
            with pytest.raises(KeyError, match=r"expected the key 'success' .* got keys .*'goals', 'length'"):
                trial.play(1)
            assert trial.account().completed == 0, 'score="success": without the key, nothing is told'

    @pytest.mark.parametrize(
        ("own", "raw", "expected"),
        [
            ((-10, 10), 5, 5.0),
            ((0, 500), 500, 500.0),
            ((-1.0, 3.0), 2.5, 2.5),
            ((0.0, 1.0), 1 + 1e-8, 1.0),
            ((0.0, 1.0), -1e-8, 0.0),
        ],
    )
    def test_scores_are_in_the_units_of_the_curriculum_everywhere(
        self, own: tuple[float, float], raw: float, expected: float
    ) -> None:
        with self.trial(own_range=own, score=lambda _: raw) as trial:
            trial.reset()
            assert {report["score"] for report in trial.play(5)} == {raw}, "infos: the score as the rule gave it"
            scores = list(trial.last_scores().values())
            assert scores == pytest.approx([expected] * len(scores), abs=1e-12), (
                "tell: scores in the units of score_range"
            )
            assert trial.curriculum.stats()["score/mean"] == pytest.approx(expected, abs=1e-9), (
                "stats: scores in the units of score_range"
            )

    def test_success_is_told_to_a_curriculum_of_0_to_1(self) -> None:
        with self.trial(num_lanes=1, values=[1.0], score="success") as trial:
            trial.reset()
            trial.play(1)
            assert trial.last_scores() == {1.0: 1.0}, 'score="success": 1 is told as 1'
        with pytest.raises(ValueError, match=r"score: expected a curriculum with score_range .*'success', got"):
            self.trial(num_lanes=1, own_range=(-5, 5), score="success")

    @pytest.mark.parametrize("raw", [1.5, -0.5, np.nan, np.inf, -np.inf])
    def test_a_score_outside_the_range_is_an_error_that_cancels_its_episode_alone(self, raw: float) -> None:
        is_wrong = True
        with self.trial(num_lanes=1, score=lambda _: raw if is_wrong else 0.5) as trial:
            trial.reset()
            with pytest.raises(ValueError, match=r"score: expected .*score_range \(0.0, 1.0\), got .*declare the true"):
                trial.play(1)
            account = trial.account()
            assert (account.completed, account.cancelled) == (0, 1), "a score outside of the range: cancels its episode"
            is_wrong = False
            self.play_after_reset(trial)
            assert trial.account().completed == 1, "a score outside of the range: the next episode is told"

    @pytest.mark.filterwarnings("error:.*encountered:RuntimeWarning")
    @pytest.mark.parametrize("rewards", [[np.nan], [-np.inf, 0.5], [np.inf, -np.inf], [np.inf, np.nan]])
    def test_rewards_that_are_not_finite_are_an_error_that_cancels_their_episode_alone(
        self, rewards: list[float]
    ) -> None:
        with self.trial(lambda _: Script(rewards), num_lanes=1) as trial:
            trial.reset()
            with pytest.raises(
                ValueError, match=r"score: expected a finite number .*, got (nan|inf|-inf) by rule 'ret"
            ):
                trial.play(1)
            account = trial.account()
            assert (account.completed, account.cancelled) == (0, 1), "a reward that is not finite: cancels its episode"
            trial.direct(pay)
            self.play_after_reset(trial)
            assert trial.account().completed == 1, "a reward that is not finite: the next episode is told"

    @pytest.mark.parametrize(
        ("score", "message"),
        [("0.5", "got '0.5'"), (None, "got None"), ([0.5, 0.5], r"got \[0.5, 0.5\]"), (0.5 + 0j, r"got \(0.5\+0j\)")],
    )
    def test_a_score_that_is_no_number_is_an_error(self, score: Any, message: str) -> None:
        with self.trial(num_lanes=1, score=lambda _: score) as trial:
            trial.reset()
            with pytest.raises(TypeError, match=f"score: expected one number, {message}"):
                trial.play(1)
            assert trial.account().cancelled == 1, "a score that is no number: cancels its episode"

    def test_a_score_of_one_entry_is_this_entry(self) -> None:
        with self.trial(num_lanes=1, score=lambda _: np.array([0.25])) as trial:
            trial.reset()
            assert trial.play(1)[0]["score"] == 0.25, "a score of one entry: this entry"

    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"score": "reward"}, "score: expected 'return', 'success' or a function.*got 'reward'"),
            ({"stats_interval": 0}, "stats_interval: expected 'auto' or at least 1 episode, got 0; None"),
            ({"max_failures": 0}, "max_failures: expected at least 1, got 0"),
            ({"max_failures": np.nan}, "max_failures: expected a whole number, at least 1, got nan"),
            ({"max_failures": True}, "max_failures: expected a whole number, at least 1, got True"),
        ],
    )
    def test_settings_out_of_range_are_refused(self, settings: dict[str, Any], message: str) -> None:
        with pytest.raises((TypeError, ValueError), match=message):
            self.trial(**settings)

    # Regrets

    def test_late_regrets_are_told_with_the_scores_of_their_episodes(self) -> None:
        if not self.takes_late_regrets:
            pytest.skip("takes_late_regrets is False: the wrapper takes no LateRegrets")
        script_of = partial(pay, raises_in="step", on=BAD_VALUES[:1])
        late = LateRegrets()
        with self.trial(script_of, regret=late, max_failures=1000) as trial:
            trial.reset()
            reports: list[Mapping[str, Any]] = []
            for _ in range(NUM_STEPS):
                reports += [report for _, report in sorted(trial.driver.step().items())]
            stats = trial.curriculum.stats()
            assert stats["num_completed"] == 0, "late regrets: no score is told before the trainer tells it"
            assert len(late) == len(reports), "late regrets: one for each episode that ended, also by a raise"
            with pytest.raises(ValueError, match="one per episode that ended since the last call"):
                late.tell(np.zeros(len(reports) + 1))
            late.tell(np.arange(len(reports)))
            assert not late, "late regrets: each episode is told once"
            scored = {slot: trial.value_of(report) for slot, report in enumerate(reports) if "score" in report}
            assert trial.completions() == Counter(scored.values()), "late regrets: one score for each scored episode"
            assert trial.last_scores() == pytest.approx({value: value for value in scored.values()}), (
                "late regrets: the score of the episode"
            )
            told = {trial.value_of({"task_id": state.task_id}): state for state in trial.curriculum.task_states()}
            last = {value: slot for slot, value in scored.items()}
            assert {value: told[value].last_regret for value in last} == last, (
                "late regrets: in the order of the episodes' ends: by step, then by index of the environment"
            )

    # Environments that raise

    @pytest.mark.parametrize("call", ["apply", "reset", "step"])
    def test_a_task_on_which_the_environment_raises_is_cancelled_and_another_one_asked_for(
        self, call: Call, caplog: pytest.LogCaptureFixture
    ) -> None:
        with self.trial(partial(pay, raises_in=call, on=BAD_VALUES), max_failures=1000) as trial:
            trial.reset()
            scored = [report for report in trial.play(20) if "score" in report]
            assert {trial.value_of(report) for report in scored} == set(VALUES) - set(BAD_VALUES), (
                "an environment that raises: the other tasks are played"
            )
            account = trial.account()
            assert account.completed == len(scored), "an environment that raises: only finished episodes are told"
            # A wrapper that applies tasks in batches calls `apply` again, task by task, if it raises on a batch.
            calls_per_task = 2 if call == "apply" and len(trial.lanes) > 1 else 1
            assert account.cancelled * calls_per_task >= sum(lane.num_raised for lane in trial.lanes) > 3, (
                "an environment that raises: each of these hand-outs is cancelled"
            )
            assert f"RuntimeError: no {call} with {BAD_VALUES[1]}" in caplog.text, (
                "an environment that raises: the log names the error"
            )

    def test_a_step_that_raises_ends_its_episode_without_a_score(self) -> None:
        with self.trial(partial(pay, raises_in="step", on=BAD_VALUES), num_lanes=1, max_failures=1000) as trial:
            trial.reset()
            reports = trial.play(20)
            failed = [report for report in reports if "error" in report]
            assert {trial.value_of(report) for report in failed} == set(BAD_VALUES), (
                "a step that raises: a report on each such episode"
            )
            for report in failed:
                assert report.keys() == {"task_id", "label", "error"}, (
                    "a step that raises: task_id, label and error in the infos"
                )
                assert report["error"] == f"RuntimeError: no step with {trial.value_of(report)}", (
                    'infos: the error as "Type: text"'
                )
            account = trial.account()
            assert account.completed == len(reports) - len(failed) == 20, (
                "a step that raises: only finished episodes are told"
            )
            assert account.cancelled == len(failed) * self.handouts_per_lane, (
                "a step that raises: its hand-outs are cancelled"
            )

    @pytest.mark.parametrize("call", ["apply", "reset", "step"])
    @pytest.mark.parametrize("max_failures", [1, 3])
    def test_failures_on_different_tasks_in_a_row_raise_an_error_that_names_the_last(
        self, call: Call, max_failures: int
    ) -> None:
        message = (
            rf"got \d+ failures in a row on \d+ different tasks, .*RuntimeError: no {call} .* on task \d+ "
            rf"'value=.*' with config"
        )
        with self.trial(partial(pay, raises_in=call), num_lanes=1, max_failures=max_failures) as trial:
            with pytest.raises(EnvironmentFailedError, match=message) as caught:
                self.play_after_reset(trial)
            assert isinstance(caught.value.__cause__, RuntimeError), (
                "EnvironmentFailedError: chains the error of the environment"
            )
            assert str(caught.value.__cause__).startswith(f"no {call} with"), (
                "EnvironmentFailedError: chains the last error"
            )
            assert trial.lanes[0].num_raised >= max_failures, (
                "max_failures: as many failures on different tasks before EnvironmentFailedError"
            )
            account = trial.account()
            assert (account.completed, account.cancelled, account.pending) == (0, account.scheduled, 0), (
                "EnvironmentFailedError: all hand-outs are cancelled"
            )
            trial.direct(pay)
            self.play_after_reset(trial)
            assert trial.account().completed == 1, (
                "EnvironmentFailedError: a repaired environment can be reset and played"
            )

    @pytest.mark.parametrize("call", ["apply", "reset", "step"])
    @pytest.mark.parametrize("num_broken", [1, 2])
    def test_a_few_tasks_that_always_fail_never_end_a_run(self, call: Call, num_broken: int) -> None:
        broken = VALUES[:num_broken]
        with self.trial(partial(pay, raises_in=call, on=broken), max_failures=num_broken + 1) as trial:
            trial.reset()
            scored = [report for report in trial.play(100) if "score" in report]
            assert {trial.value_of(report) for report in scored} == set(VALUES) - set(broken), (
                "a few broken tasks: the others are played to the end"
            )

    def test_an_environment_that_fails_on_the_only_task_is_given_up(self) -> None:
        with self.trial(partial(pay, raises_in="reset"), num_lanes=1, values=[1.0], max_failures=3) as trial:
            with pytest.raises(EnvironmentFailedError, match="got 3 failures in a row on 1 different tasks"):
                trial.reset()
            assert trial.lanes[0].num_raised == 3, "max_failures: the only task is tried as often"

    def test_lanes_that_all_fail_are_given_up(self) -> None:
        with (
            self.trial(partial(pay, raises_in="reset")) as trial,
            pytest.raises(EnvironmentFailedError, match=r"got .* failures in a row on [1-4] different tasks"),
        ):
            trial.reset()

    def test_a_task_that_fails_is_in_the_log_once(self, caplog: pytest.LogCaptureFixture) -> None:
        with self.trial(partial(pay, raises_in="reset", on=BAD_VALUES), num_lanes=1) as trial:
            trial.reset()
            trial.play(100)
        texts = [record.message for record in caplog.records if "the environment raised" in record.message]
        assert len(BAD_VALUES) <= len(texts) <= len(VALUES), (
            "the log: a task that fails is in it once"
        )  # ahead of its time, a good task may take part in a failure

    def test_episodes_that_are_all_abandoned_are_in_the_log_once(self, caplog: pytest.LogCaptureFixture) -> None:
        with self.trial() as trial:
            for _ in range(20):
                trial.reset()
                trial.step()
        texts = [record.message for record in caplog.records if "TimeLimit, must be inside" in record.message]
        assert len(texts) in {1, len(trial.lanes)}, (
            "the log: a wrapper warns of abandoned episodes once"
        )  # once a wrapper

    def test_episodes_that_are_abandoned_now_and_then_are_not_in_the_log(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        with self.trial(num_lanes=1) as trial:
            trial.reset()
            trial.play(1)
            for _ in range(20):
                trial.reset()
                trial.step()
        assert not [record for record in caplog.records if "TimeLimit" in record.message], (
            "the log: no warning after an episode that ended"
        )

    def play_after_reset(self, trial: Trial) -> None:
        """Plays an episode to its end."""
        trial.reset()
        trial.play(1)

    def test_a_finished_episode_resets_the_count_of_failures(self) -> None:
        failing = partial(pay, raises_in="step")
        with self.trial(num_lanes=1, values=[1.0], max_failures=3) as trial:
            trial.reset()
            for _ in range(3):
                trial.direct(failing)
                trial.play(2, "error")
                trial.direct(pay)
                trial.play(1)
            trial.direct(failing)
            trial.play(2, "error")
            with pytest.raises(EnvironmentFailedError) as caught:
                trial.play(1)
            assert str(caught.value.__cause__) == "no step with 1.0", (
                "max_failures: counts from the last finished episode"
            )
            account = trial.account()
            assert (account.completed, account.cancelled, account.pending) == (3, 9 * self.handouts_per_lane, 0), (
                "account: finished episodes are told, failed ones are cancelled"
            )

    @pytest.mark.parametrize("call", ["apply", "reset", "step"])
    @pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
    def test_an_interrupt_is_no_failure(self, call: Call, error: type[BaseException]) -> None:
        with self.trial(partial(pay, raises_in=call, error=error), max_failures=1) as trial, pytest.raises(error):
            self.play_after_reset(trial)
        account = trial.account()
        assert (account.completed, account.cancelled) == (0, account.scheduled), (
            "an interrupt: the hand-outs are cancelled, none is told"
        )

    @pytest.mark.parametrize("call", ["step", "reset"])
    @pytest.mark.parametrize("fails", [False, True])
    def test_an_interrupt_where_a_hand_out_ends_ends_it_once(self, call: Call, fails: bool) -> None:
        trial = self.trial(lambda _: Script([1.0]), num_lanes=1, values=[1.0], stats_interval=None, max_failures=1000)
        interrupted = trial.driver.step if call == "step" else trial.driver.reset
        num_twice = num_lost = num_others = 0
        for num_lines in count():
            trial.direct(lambda _: Script([1.0]))
            trial.driver.reset()
            excess = trial.num_pending - trial.max_pending - num_others
            num_twice += excess < 0
            num_lost += excess > 0
            trial.curriculum.get_task()  # of another environment, for the same task
            num_others += excess + 1
            if fails:
                trial.direct(raising_once(trial.lanes[0], call))
            if not is_interrupted(interrupted, num_lines):
                break
        trial.driver.close()
        assert num_twice <= MAX_LINES_TO_FORGET, (
            "tell and cancel: a wrapper forgets its task next, so that reset and close after an interrupt cancel no "
            "other hand-out"
        )
        assert num_lost <= MAX_LINES_TO_FORGET, (
            "tell and cancel: a wrapper knows its task until then, so that reset and close after an interrupt cancel it"
        )


class AgentsWrapperSuite(WrapperSuite):
    """What also holds for a wrapper of several agents, whose numbers its argument `reduce` makes one.

    `make_driver` receives `reduce` among the settings, in the tests that are about it.
    """

    def test_a_reduce_that_raises_cancels_its_episode_as_unscored(self) -> None:
        is_wrong = True

        def reduce(numbers: NDArray[np.float64]) -> float:
            if is_wrong:
                raise RuntimeError("no number")
            return float(numbers.mean())

        with self.trial(num_lanes=1, reduce=reduce) as trial:
            trial.reset()
            with pytest.raises(RuntimeError, match="no number"):
                trial.play(1)
            is_wrong = False
            self.play_after_reset(trial)
            assert trial.account().completed == 1, "reduce: the next episodes are told"
            assert trial.curriculum.stats()["cancelled/unscored"] == 1, "reduce: if it raises, its episode is cancelled"
