"""What is particular to each algorithm: that it draws what it is meant to draw, and what it is easy to get wrong."""

import functools

import numpy as np
import pytest

from curricular import (
    Curriculum,
    LabelBanditConfig,
    LearnabilityConfig,
    PrioritizedLevelReplayConfig,
    Span,
    TargetScheduleConfig,
    TeacherStudentConfig,
    ThompsonConfig,
    TracedConfig,
    WeightedConfig,
    bucketed,
    merge,
    single_task,
)
from curricular.algorithms.traced import co_learnability
from curricular.bench.learners import SCENARIOS, Oracle, Uniform, play
from curricular.bench.teacher import CurriculumTeacher
from curricular.priorities import beta_draw, beta_posterior, effective_count, normal_quantile, score_change
from curricular.table import columns_of

from .reference import evictable, fits


def told(config_type, *histories, regrets=None, generator=None, **settings):
    """A curriculum in which task i was told the i-th history of scores."""
    config = config_type(num_active_tasks=len(histories), eviction_rate=0.0, **settings)
    curriculum = Curriculum(config, generator)
    for task_id, history in enumerate(histories):
        extra = None if regrets is None else [regrets[task_id]] * len(history)
        curriculum.tell([task_id] * len(history), [float(score) for score in history], regrets=extra)
    return curriculum


def scores_of(curriculum):
    return curriculum.algorithm.priorities(columns_of(curriculum.tracker.snapshot()))


def coin(p, n, seed=0):
    return (np.random.default_rng(seed).random(n) < p).astype(float)


STEPS = merge([single_task(number) for number in range(4)])
"""Four tasks, in this order."""


class TestLearnability:
    def test_the_middle_is_drawn_and_the_ends_are_not(self):
        p = told(LearnabilityConfig, [0] * 200, coin(0.5, 200), [1] * 200, coin(0.1, 200)).probabilities()
        assert p[1] > p[3] > max(p[0], p[2])
        assert p[1] > 0.5
        assert p[0] == pytest.approx(p[2])

    def test_a_mastered_task_that_jitters_does_not_draw(self):
        p = told(LearnabilityConfig, [1] * 199 + [0], coin(0.5, 200), rand_task_rate=0.0).probabilities()
        assert p[0] < 0.15

    def test_one_never_solved_comes_back(self):
        impossible = told(LearnabilityConfig, [0] * 300, coin(0.5, 300)).probabilities()[0]
        assert told(LearnabilityConfig, [0] * 300 + [1] * 3, coin(0.5, 300)).probabilities()[0] > 2 * impossible

    def test_a_new_task_is_hoped_for(self):
        scores = scores_of(told(LearnabilityConfig, [], [0] * 100, coin(0.5, 100)))
        assert scores[1] < scores[0] < scores[2]

    def test_the_belief_is_the_sum_of_decaying_results(self):
        config = LearnabilityConfig(num_active_tasks=1, ema_timescale=0.2, slow_timescale_factor=0.5)
        results = coin(0.3, 40)
        curriculum = Curriculum(config)
        curriculum.tell([0] * 40, results)
        a, b = beta_posterior(curriculum.tracker.snapshot().rows, config, 2.0)
        weights = 0.9 ** np.arange(39, -1, -1)
        assert (a[0], b[0]) == pytest.approx((2 + weights @ results, 2 + weights @ (1 - results)))

    @pytest.mark.parametrize(("rate", "expected"), [(1.0, [0, 1, 1]), (0.5, [0, 1, 1.75]), (1e-9, [0, 1, 3])])
    def test_the_count_at_any_rate(self, rate, expected):
        assert effective_count(np.array([0, 1, 3]), rate) == pytest.approx(expected)

    def test_sfl_draws_half_from_the_best_share(self):
        histories = [coin(p, 200, seed) for seed, p in enumerate(np.linspace(0, 1, 10))]
        curriculum = told(LearnabilityConfig.sfl, *histories)
        p, scores = curriculum.probabilities(), scores_of(curriculum)
        best = np.argsort(scores)[-2:]
        assert p[best] == pytest.approx(0.3)
        assert np.delete(p, best) == pytest.approx(0.05)


class TestPrioritizedLevelReplay:
    def test_a_result_without_a_regret_is_refused_before_anything_is_noted(self):
        curriculum = Curriculum(PrioritizedLevelReplayConfig(num_active_tasks=2))
        for call in (
            lambda: curriculum.tell([0], [1.0]),
            lambda: curriculum.update_task_performance(0, 1.0),
        ):
            with pytest.raises(ValueError, match=r"regrets: expected one per result, .* call tell\(.*regrets="):
                call()
        assert curriculum.stats()["num_completed"] == 0
        curriculum.tell([], [])

    def test_what_the_success_rate_gives_needs_none(self):
        curriculum = Curriculum(PrioritizedLevelReplayConfig(num_active_tasks=2, regret="max_monte_carlo"))
        curriculum.update_task_performance(0, 1.0)

    def test_levels_are_drawn_by_the_rank_of_their_regret(self):
        p = told(
            PrioritizedLevelReplayConfig,
            *[[0.5]] * 4,
            regrets=[0.1, 40.0, 0.2, -3.0],
            temperature=1.0,
            stale_task_share=0.0,
        ).probabilities()
        assert p == pytest.approx(np.array([1 / 3, 1, 1 / 2, 1 / 4]) / (25 / 12))

    def test_equal_regrets_are_drawn_equally(self):
        p = told(PrioritizedLevelReplayConfig, *[[0.5]] * 4, regrets=[0.0] * 4, stale_task_share=0.0).probabilities()
        assert p == pytest.approx(0.25)

    def test_new_levels_have_their_share_but_no_more_than_by_uniform_choice(self):
        settings = {"regrets": [1.0] * 8, "stale_task_share": 0.0, "replay_share": 0.75}
        few_new = told(PrioritizedLevelReplayConfig, *[[0.5]] * 7, [], **settings).probabilities()
        assert few_new[7] == pytest.approx(1 / 8)
        many_new = told(PrioritizedLevelReplayConfig, *[[0.5]] * 2, *[[]] * 6, **settings).probabilities()
        assert many_new[2:].sum() == pytest.approx(0.25)
        assert told(PrioritizedLevelReplayConfig, *[[]] * 8, **settings).probabilities() == pytest.approx(1 / 8)

    def test_stale_levels_come_back(self):
        config = PrioritizedLevelReplayConfig(
            num_active_tasks=8, temperature=0.1, stale_task_share=0.3, eviction_rate=0.0
        )
        curriculum = Curriculum(config)
        for _ in range(300):
            ids = [task.task_id for task in curriculum.ask(8)]
            curriculum.tell(ids, [0.5] * 8, regrets=[float(task_id == 3) for task_id in ids])
        states = curriculum.task_states()
        assert min(state.num_completions for state in states) > 20
        assert states[3].num_completions > 1000

    def test_robust_replay_can_tell_new_levels(self):
        curriculum = told(PrioritizedLevelReplayConfig, [0.5], [], regrets=[1.0, 1.0])
        assert curriculum.algorithm.is_seen(curriculum.tracker.snapshot().rows).tolist() == [True, False]

    def test_levels_without_a_regret_stay(self):
        config = PrioritizedLevelReplayConfig(
            num_active_tasks=16, min_presentations_for_eviction=1, eviction_rate=0.5, eviction_threshold_percentile=1.0
        )
        curriculum = Curriculum(config)
        for _ in range(200):
            ids = [task.task_id for task in curriculum.ask(8)]
            curriculum.tell(ids, [0.5] * 8, regrets=[float(task_id % 7) for task_id in ids])
            snapshot = curriculum.tracker.snapshot().rows
            assert not (evictable(curriculum.algorithm, snapshot) & (snapshot["num_regrets"] == 0)).any()
        assert curriculum.stats()["num_evicted"] > 50

    def test_max_monte_carlo_leaves_the_never_solved_and_the_mastered(self):
        settings = {"regret": "max_monte_carlo", "temperature": 0.1, "stale_task_share": 0.1}
        curriculum = told(PrioritizedLevelReplayConfig, [0] * 50, [1] * 50, coin(0.2, 50), **settings)
        assert scores_of(curriculum)[:2] == pytest.approx([0, 0])
        assert curriculum.probabilities()[2] > 0.8

    @pytest.mark.parametrize("config_type", [PrioritizedLevelReplayConfig, TracedConfig])
    def test_a_level_that_has_succeeded_forty_times_in_a_row_gives_way_to_one_that_succeeds_at_times(self, config_type):
        p = told(config_type, [0] * 20 + [1] * 40, ([0] * 9 + [1]) * 6, regret="positive_value_loss").probabilities()
        assert p[1] > p[0]


class TestLabelBandit:
    generator = merge([single_task(number, label=label) for number, label in enumerate("aabc")])

    def shares(self, histories, **settings):
        """Share of each label; histories by the number of the task."""
        config = LabelBanditConfig(num_active_tasks=4, value="success", rand_task_rate=0.0, **settings)
        curriculum = Curriculum(config, self.generator)
        states = curriculum.task_states()
        for state in states:
            curriculum.tell([state.task_id] * len(histories[state.seed]), histories[state.seed])
        p = curriculum.probabilities()
        by_number = [p[state.task_id] for state in sorted(states, key=lambda state: state.seed)]
        assert by_number[0] == by_number[1]
        return [by_number[0] + by_number[1], by_number[2], by_number[3]]

    def test_it_is_a_softmax_over_the_means_of_labels(self):
        p = self.shares([[0, 1] * 20, [0] * 40, [0] * 40, [1] * 40], temperature=0.5)
        weights = np.exp(np.array([0.5, 0, 0]) / 0.5)
        assert p == pytest.approx(weights / weights.sum(), abs=0.01)

    def test_each_label_counts_the_same_however_many_its_tasks(self):
        assert self.shares([[]] * 4) == pytest.approx([1 / 3] * 3)
        assert self.shares([[1] * 9] * 4) == pytest.approx([1 / 3] * 3)

    def test_the_bonus_draws_what_was_played_little(self):
        histories = [[1] * 50, [1] * 50, [1] * 50, [1]]
        assert self.shares(histories) == pytest.approx([1 / 3] * 3)
        bonus = np.sqrt(2 * np.log(152) / np.array([101, 51, 2]))
        weights = np.exp(bonus / 0.1)
        assert self.shares(histories, exploration=1.0) == pytest.approx(weights / weights.sum())

    def test_regrets_are_needed_if_it_goes_by_them(self):
        curriculum = Curriculum(LabelBanditConfig(num_active_tasks=4), self.generator)
        with pytest.raises(ValueError, match="regrets: expected one per result"):
            curriculum.tell([0], [1.0])
        curriculum.tell([0, 1, 2, 3], [1.0] * 4, regrets=[-3.0, 0.0, 0.0, 0.0])
        assert curriculum.probabilities().argmax() in {0, 1, 2, 3}


class TestTeacherStudent:
    def by_hand(self, history, rate):
        q, before = 0.0, 0.0
        for score in history:
            q += rate * (score - before - q)
            before = score
        return q

    @pytest.mark.parametrize("rate", [0.01, 0.1, 0.9])
    def test_the_closed_form_is_the_recursion(self, rate):
        rng = np.random.default_rng(0)
        histories = [rng.random(n).round(2) for n in (1, 2, 7, 100)] + [np.ones(30), np.zeros(30), coin(0.5, 60)]
        curriculum = told(TeacherStudentConfig, *histories, ema_timescale=rate)
        expected = [abs(self.by_hand(history, rate)) for history in histories]
        assert scores_of(curriculum) == pytest.approx(expected, abs=1e-9)

    def test_a_new_task_has_none(self):
        assert score_change(np.zeros(1), np.zeros(1), np.zeros(1, np.int64), 0.1).tolist() == [0.0]

    def test_after_long_stagnation_all_are_equal_and_drawn_evenly(self):
        for policy in ("greedy", "boltzmann"):
            p = told(TeacherStudentConfig, [0] * 400, [1] * 400, [0.3] * 400, policy=policy).probabilities()
            assert p == pytest.approx(1 / 3)

    def test_forgetting_counts_as_learning(self):
        scores = scores_of(told(TeacherStudentConfig, [1] * 100 + [0], [0] * 100 + [1], [1] * 101))
        assert scores[0] == pytest.approx(scores[1], abs=1e-4)
        assert scores[0] > 0.05 > scores[2]

    def test_greed_draws_the_best_beside_the_uniform_share(self):
        p = told(TeacherStudentConfig, [0] * 50 + [1], [0] * 50, [1] * 50, policy="greedy").probabilities()
        assert p == pytest.approx([0.9 + 0.1 / 3, 0.1 / 3, 0.1 / 3])

    def test_a_rate_of_one_is_refused(self):
        with pytest.raises(ValueError, match="ema_timescale"):
            TeacherStudentConfig(ema_timescale=1.0)

    @pytest.mark.parametrize("num_recent", [2, 5, 10, 11])
    def test_the_window_is_a_regression_over_the_last_scores(self, num_recent):
        rng = np.random.default_rng(0)
        histories = [rng.random(n) for n in (2, 3, 9, 10, 11, 12, 13, 40)] + [coin(0.5, 60), np.linspace(1, 0, 30)]
        config = functools.partial(TeacherStudentConfig, estimate="window", num_recent=num_recent)
        expected = [abs(np.polyfit(range(len(tail)), tail, 1)[0]) for tail in (h[-num_recent:] for h in histories)]
        assert scores_of(told(config, *histories)) == pytest.approx(expected, abs=1 / 65535)

    def test_the_slope_by_hand(self):
        config = functools.partial(TeacherStudentConfig, estimate="window", num_recent=4)
        # Around their mean, times stand at -1.5, -0.5, 0.5, 1.5, squares sum to 5; two scores: at -0.5 and 0.5.
        histories = [], [1.0], [0.0, 1.0], [1.0, 0.0], [0.5, 1.0, 0.0, 0.0, 1.0], [0.3] * 9
        assert scores_of(told(config, *histories)) == pytest.approx([0, 0, 1, 1, abs(-1.5 + 1.5) / 5, 0], abs=1e-4)
        assert scores_of(told(config, [0.0, 0.0, 0.0, 1.0]))[0] == pytest.approx(0.3)

    @pytest.mark.parametrize("num_recent", [2, 10, 11])
    def test_sampling_draws_each_of_the_last_changes_alike(self, num_recent):
        config = TeacherStudentConfig(num_active_tasks=3000, estimate="sampling", num_recent=num_recent)
        for length in (1, 4, 15):
            curriculum = Curriculum(config)
            history = np.arange(1, length + 1) ** 2 / 300
            for score in history:
                curriculum.tell(range(3000), np.full(3000, score))
            changes = np.diff(history, prepend=0.0)[-num_recent:]
            scores = scores_of(curriculum)
            counts = [int((abs(scores - change) < 1e-4).sum()) for change in changes]
            assert sum(counts) == 3000
            assert fits(counts, np.full(len(counts), 1 / len(counts))) if len(counts) > 1 else True

    def test_sampling_draws_anew_once_tasks_have_been_handed_out(self):
        curriculum = told(
            functools.partial(TeacherStudentConfig, estimate="sampling"), *[np.linspace(0, 1, 30) ** 2] * 50
        )
        before = scores_of(curriculum)
        assert (scores_of(curriculum) == before).all()
        curriculum.ask(1)
        assert (scores_of(curriculum) != before).mean() > 0.7

    @pytest.mark.parametrize("estimate", ["window", "sampling"])
    @pytest.mark.parametrize("policy", ["greedy", "boltzmann"])
    def test_tasks_that_stand_still_are_drawn_evenly_by_their_last_scores_too(self, estimate, policy):
        config = functools.partial(TeacherStudentConfig, estimate=estimate, policy=policy)
        assert told(config, [0] * 40, [1] * 40, [0.3] * 40).probabilities() == pytest.approx(1 / 3)
        p = told(config, [0] * 40, [0.3] * 40, np.linspace(0, 1, 12)).probabilities()
        assert p.argmax() == 2
        assert p[0] == pytest.approx(p[1])

    @pytest.mark.parametrize("num_recent", [1, 12])
    def test_a_window_that_a_row_does_not_keep_is_refused(self, num_recent):
        with pytest.raises(ValueError, match="num_recent"):
            TeacherStudentConfig(num_recent=num_recent)


class TestTraced:
    @staticmethod
    def columns(last_scheduled, gains, *, is_active=None, num_completions=None):
        n = len(gains)
        return {
            "is_active": np.ones(n, bool) if is_active is None else is_active,
            "num_completions": np.ones(n, int) if num_completions is None else num_completions,
            "last_scheduled": np.array(last_scheduled),
            "last_score": 0.5 + np.array(gains),
            "slow_ema": np.full(n, 0.5),
        }

    def test_a_task_gets_the_gains_of_the_tasks_handed_out_next(self):
        columns = self.columns([10, 40, 20, 30], [0.9, 0.4, -0.2, 0.1])
        assert co_learnability(columns, 1) == pytest.approx([-0.2, 0.0, 0.1, 0.4], abs=1e-6)
        assert co_learnability(columns, 2) == pytest.approx([-0.05, 0.0, 0.25, 0.2], abs=1e-6)

    def test_it_is_a_mean_over_the_followers_and_no_other_task_counts(self):
        rng = np.random.default_rng(0)
        for num_followers in (1, 3, 50):
            active, completions = rng.random(30) < 0.8, rng.integers(2, size=30)
            order, gains = rng.permutation(30), rng.uniform(-0.5, 0.5, 30)
            known = [task for task in np.argsort(order) if active[task] and completions[task]]
            expected = np.zeros(30)
            for place, task in enumerate(known):
                expected[task] = gains[known[place + 1 : place + 1 + num_followers]].sum() / num_followers
            columns = self.columns(order, gains, is_active=active, num_completions=completions)
            assert co_learnability(columns, num_followers) == pytest.approx(expected, abs=1e-6)

    def test_a_task_after_which_others_gain_is_drawn_more_than_its_like(self):
        config = TracedConfig(num_active_tasks=4, regret="positive_value_loss", stale_task_share=0.0, num_followers=1)
        curriculum = Curriculum(config)
        ids = [task.task_id for task in curriculum.ask(40)]
        first, second, third = (ids.index(number) for number in sorted(set(ids), key=ids[::-1].index)[2::-1])
        before, teaches, gains = (ids[place] for place in (first, second, third))
        curriculum.tell([before, teaches] * 20, [0.0, 1.0] * 20)
        curriculum.tell([gains] * 20, [0.0] * 19 + [1.0])
        probabilities = curriculum.probabilities()
        assert probabilities[teaches] > probabilities[before]

    def test_without_weight_it_is_prioritised_level_replay(self):
        histories = [coin(p, 30, seed) for seed, p in enumerate(np.linspace(0, 1, 12))]
        settings = {"regret": "max_monte_carlo", "temperature": 0.5}
        replay = told(PrioritizedLevelReplayConfig, *histories, **settings).probabilities()
        assert told(TracedConfig, *histories, co_learnability_weight=0.0, **settings).probabilities() == pytest.approx(
            replay
        )

    def test_it_ranks_told_regrets_where_no_task_gained(self):
        p = told(TracedConfig, *[[0.5]] * 3, regrets=[0.1, 0.9, 0.4], stale_task_share=0.0).probabilities()
        assert p.argsort().tolist() == [0, 2, 1]


class TestThompson:
    @pytest.mark.parametrize(("a", "b"), [(1, 1), (1, 5), (1, 31), (3, 2), (40, 60), (51, 1)])
    def test_its_draws_have_the_moments_of_a_beta_distribution(self, a, b):
        u = (np.arange(10**5) + 0.5) / 10**5
        drawn, exact = beta_draw(np.full(10**5, float(a)), np.full(10**5, float(b)), u), a / (a + b)
        assert drawn.mean() == pytest.approx(exact, abs=0.02)
        assert drawn.std() == pytest.approx((exact * (1 - exact) / (a + b + 1)) ** 0.5, rel=0.25, abs=0.002)
        assert (np.diff(drawn) >= 0).all()

    def test_what_failed_thirty_times_is_not_taken_for_what_succeeds_half_the_time(self):
        assert beta_draw(np.ones(1), np.full(1, 31.0), np.full(1, 1 - 1e-5)) < 0.2

    def test_the_normal_quantile(self):
        levels = np.array([0.001, 0.1, 0.5, 0.9, 0.999])
        assert normal_quantile(levels) == pytest.approx([-3.0902, -1.2816, 0, 1.2816, 3.0902], abs=3e-3)

    def test_over_time_it_draws_the_middle(self):
        curriculum = told(
            ThompsonConfig, [0] * 100, [1] * 100, coin(0.5, 100), *[[0] * 100] * 7, rand_task_rate=0.0, chosen_share=0.1
        )
        num_drawn = np.zeros(10)
        for _ in range(50):
            num_drawn += curriculum.probabilities()
            curriculum.ask(1)
        assert num_drawn[2] > 45

    def test_each_refresh_draws_anew_and_looking_changes_nothing(self):
        curriculum = told(ThompsonConfig, *[[]] * 40)
        first = curriculum.probabilities()
        assert np.array_equal(curriculum.probabilities(), first)
        curriculum.ask(1)
        assert not np.array_equal(curriculum.probabilities(), first)

    def test_another_seed_draws_others(self):
        p, q = (told(ThompsonConfig, *[[]] * 40, seed=seed).probabilities() for seed in (0, 1))
        assert not np.array_equal(p, q)

    def test_it_draws_no_less_than_one_task(self):
        p = told(ThompsonConfig, [], [], rand_task_rate=0.0, chosen_share=0.01).probabilities()
        assert sorted(p.tolist()) == [0.0, 1.0]


class TestWeighted:
    def test_tasks_by_their_number(self):
        p = told(WeightedConfig, *[[]] * 4, generator=STEPS, weights=(0, 1, 3)).task_states()
        curriculum = told(WeightedConfig, *[[]] * 4, generator=STEPS, weights=(0, 1, 3))
        by_number = dict(zip([state.seed for state in p], curriculum.probabilities().tolist(), strict=True))
        assert by_number == {0: 0.0, 1: 0.25, 2: 0.75, 3: 0.0}

    def test_choices_along_an_axis(self):
        generator = bucketed({"size": 0, "speed": 0.0}, {"size": ["small", "large"], "speed": Span(0.0, 1.0)})
        axis = [axis.name for axis in generator.axes].index("size")
        config = WeightedConfig(num_active_tasks=64, weights=(1, 3), axis=axis)
        curriculum = Curriculum(config, generator)
        small = sum(task.params["size"] == "small" for task in curriculum.ask(2000))
        sizes = [state.params[axis] for state in curriculum.task_states()]
        assert small / 2000 == pytest.approx(sizes.count(0) / (sizes.count(0) + 3 * sizes.count(1)), abs=0.05)

    def test_an_axis_that_is_not_there_is_named(self):
        with pytest.raises(ValueError, match=r"axis: expected .* got 5; use one of them, or None"):
            Curriculum(WeightedConfig(num_active_tasks=4, weights=(1.0,), axis=5), STEPS)


class TestTargetSchedule:
    def test_the_target_moves_with_the_hand_outs(self):
        generator = bucketed({"size": 0}, {"size": Span(0.0, 10.0)})
        config = TargetScheduleConfig(
            num_active_tasks=500, axis=0, start=2.0, stop=8.0, num_tasks=4000, width=0.5, rand_task_rate=0.0
        )
        curriculum = Curriculum(config, generator)
        places = []
        for _ in range(60):
            tasks = curriculum.ask(100)
            curriculum.tell([task.task_id for task in tasks], [0.0] * 100)
            places.append(np.mean([task.params["size"] for task in tasks]))
        assert places[0] == pytest.approx(2.0, abs=0.3)
        assert places[20] == pytest.approx(5.0, abs=0.5)
        assert places[-1] == pytest.approx(8.0, abs=0.3)

    def test_it_moves_along_several_axes_at_once(self):
        generator = bucketed({"size": 0.0, "speed": 0.0}, {"size": Span(0.0, 10.0), "speed": Span(0.0, 1.0)})
        config = TargetScheduleConfig(
            num_active_tasks=1000,
            use_shared_memory=False,
            axis=(0, 1),
            start=(1.0, 1.0),
            stop=(9.0, 0.0),
            width=(0.5, 0.05),
            num_tasks=2000,
            rand_task_rate=0.0,
        )
        curriculum = Curriculum(config, generator)
        for size, speed in ((1.0, 1.0), (5.0, 0.5), (9.0, 0.0)):
            tasks = curriculum.ask(200)
            assert np.mean([task.params["size"] for task in tasks]) == pytest.approx(size, abs=0.5)
            assert np.mean([task.params["speed"] for task in tasks]) == pytest.approx(speed, abs=0.1)
            curriculum.ask(800)

    def test_numbers_that_do_not_fit_the_axes_are_named(self):
        with pytest.raises(ValueError, match="stop: expected one number, or 2, one for each axis, got 3; correct it"):
            TargetScheduleConfig(axis=(0, 1), stop=(1.0, 2.0, 3.0), num_tasks=10)
        with pytest.raises(ValueError, match=r"axis: expected at least one axis, each once, got \(0, 0\)"):
            TargetScheduleConfig(axis=(0, 0), stop=1.0, num_tasks=10)

    def test_far_from_all_tasks_the_nearest_is_drawn(self):
        config = TargetScheduleConfig(num_active_tasks=4, start=1e6, stop=1e6, num_tasks=1, rand_task_rate=0.0)
        assert {task.config for task in Curriculum(config, STEPS).ask(20)} == {3}


def test_shares_of_more_than_everything_are_refused():
    with pytest.raises(ValueError, match=r"stale_task_share: expected at most .* got 0.5"):
        LearnabilityConfig(rand_task_rate=0.6, stale_task_share=0.5)


HELPERS = {
    "learnability": LearnabilityConfig,
    "sfl": LearnabilityConfig.sfl,
    "value loss": functools.partial(PrioritizedLevelReplayConfig, regret="positive_value_loss"),
    "max Monte Carlo": functools.partial(PrioritizedLevelReplayConfig, regret="max_monte_carlo"),
    "teacher-student": TeacherStudentConfig,
    "teacher-student, greedy": functools.partial(TeacherStudentConfig, policy="greedy"),
    "teacher-student, window": functools.partial(TeacherStudentConfig, estimate="window"),
    "teacher-student, sampling": functools.partial(TeacherStudentConfig, estimate="sampling"),
    "thompson": ThompsonConfig,
    "traced": functools.partial(TracedConfig, regret="positive_value_loss"),
}


@pytest.mark.parametrize("name", HELPERS)
class TestOnSimulatedLearners:
    def auc(self, scenario, teacher):
        world = SCENARIOS[scenario].build(seed=5, variation=1)
        return play(world, teacher(world)).auc

    def test_it_helps_where_most_tasks_are_impossible(self, name):
        helped = self.auc("impossible", lambda world: CurriculumTeacher(world, HELPERS[name]))
        plain, best = self.auc("impossible", Uniform), self.auc("impossible", Oracle)
        assert (helped - plain) / (best - plain) > 0.3

    def test_it_does_little_harm_where_all_are_worth_learning(self, name):
        helped = self.auc("no-harm-50", lambda world: CurriculumTeacher(world, HELPERS[name]))
        assert helped > 0.95 * self.auc("no-harm-50", Uniform)


@pytest.mark.parametrize("name", HELPERS)
def test_what_was_never_solved_is_found_again_when_the_policy_has_improved(name):
    config = HELPERS[name](num_active_tasks=20, eviction_rate=0.0)
    curriculum = Curriculum(config)
    for step in range(400):
        ids = np.array([task.task_id for task in curriculum.ask(16)])
        # Task 7 can be done from the middle on, the others never.
        curriculum.tell(ids, [float(step >= 200 and task_id == 7) for task_id in ids])
        if step == 199:
            before = curriculum.task_states()[7].num_completions
    states = curriculum.task_states()
    assert states[7].num_completions - before > 150
    assert states[7].success_ema > 0.8
