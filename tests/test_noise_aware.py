"""Noise-aware learning progress: what it calls progress, at what time scale, and what it never does."""

import array_api_strict as xp
import numpy as np
import pytest

from curricular import Curriculum, NoiseAwareConfig, bucketed, create_algorithm
from curricular.algorithms.slopes import Evidence, chance_of_change, pair_weights, progress_slope
from curricular.table import EMAS, columns_of, empty_table
from curricular.testing import AlgorithmSuite

from .reference import distribution

CONFIG = NoiseAwareConfig.recommended(num_active_tasks=64)
WEIGHTS = pair_weights(CONFIG.rates)


def histories(scores, config=CONFIG):
    """Columns of tasks with `scores`, shape (tasks, results), told one after the other."""
    num_tasks, num_results = scores.shape
    table = empty_table(num_tasks, 0)
    rows = table.rows
    rows["is_active"], rows["num_completions"] = True, num_results
    age = np.arange(num_results)[::-1]
    for name, rate in zip((*EMAS, "mean_square"), (*config.rates, config.rates[-1]), strict=True):
        weights = (1 - rate) ** age
        rows[name] = (scores**2 if name == "mean_square" else scores) @ weights / weights.sum()
    rows["success_ema"] = rows["slow_ema"]
    return columns_of(table)


def slopes(scores, *, width=1.5, theta=0.5):
    return progress_slope(histories(scores), WEIGHTS, width, theta)


def chances(columns, config=CONFIG):
    return distribution(create_algorithm(config), columns)


class TestAlone(AlgorithmSuite):
    @pytest.fixture(autouse=True, params=[{}, {"sharing": 0.0}, {"random_baseline": 0.2}])
    def _config(self, request):
        self.config = NoiseAwareConfig.recommended(**request.param)

    def make_algorithm(self):
        return create_algorithm(self.config)

    def make_columns(self, seed):
        columns = dict(super().make_columns(seed))
        rng = np.random.default_rng(seed)
        columns["params"] = rng.integers(3, size=(len(columns["is_active"]), 3)).astype(float)
        return columns


@pytest.mark.parametrize("num_results", [2, 5, 30, 200, 3000])
@pytest.mark.parametrize("p", [0.05, 0.5, 0.9])
def test_the_error_is_the_scatter_of_tasks_that_stand_still(p, num_results):
    rng = np.random.default_rng(0)
    value, error, *_ = slopes((rng.random((4000, num_results)) < p).astype(float), width=1e9)
    assert abs(value.mean()) < 4 * value.std() / len(value) ** 0.5
    if num_results * p * (1 - p) > 1:  # below, the pseudo-count has its say
        assert error.mean() == pytest.approx(value.std(), rel=0.15)
    else:
        assert error.mean() > 0.8 * value.std()


@pytest.mark.parametrize("duration", [20, 200, 2000])
def test_a_slope_is_found_at_the_time_scale_it_lasts(duration):
    # Success rises from 0.2 to 0.8 within `duration` results, after as many without progress.
    rng = np.random.default_rng(1)
    p = np.concatenate([np.full(duration, 0.2), np.linspace(0.2, 0.8, duration)])
    value, error, *_ = slopes((rng.random((400, 2 * duration)) < p).astype(float))
    assert np.median(value) == pytest.approx(0.6 / duration, rel=0.6)
    assert (value > 2 * error).mean() > 0.6


def test_progress_that_is_over_is_not_progress():
    scores = np.concatenate([np.zeros((1, 200)), np.ones((1, 200))], axis=1)
    during, after = slopes(scores[:, :215]).value[0], slopes(scores).value[0]
    assert after < 0.05 * during


def test_graded_scores_are_less_noisy_than_successes():
    rng = np.random.default_rng(2)
    graded = np.clip(0.5 + 0.05 * rng.standard_normal((500, 100)), 0, 1)
    value, error, *_ = slopes(graded, width=1e9)
    assert value.std() < error.mean() < 2 * value.std()  # the pseudo-count
    assert error.mean() < 0.2 * slopes((graded < 0.5).astype(float), width=1e9).error.mean()


def test_jitter_of_mastered_and_impossible_tasks_draws_less_than_learning():
    rng = np.random.default_rng(3)
    scores = np.zeros((61, 300))
    scores[30:60] = rng.random((30, 300)) < 0.99
    scores[60] = rng.random(300) < np.linspace(0.0, 0.5, 300)
    p = chances(histories(scores))
    assert p[60] > 10 * p[:30].max()
    assert p[60] > 5 * p[30:60].mean()


def successes(p, num_tasks, num_results=300, seed=5):
    return (np.random.default_rng(seed).random((num_tasks, num_results)) < p).astype(float)


def judged(scores):
    """The chance of each task to be changing, all of them in the fit."""
    slope = slopes(scores, theta=0.1)
    return chance_of_change(Evidence.of(slope), np.ones(len(scores)))[0]


def test_how_likely_a_task_changes_depends_on_the_others():
    rising = np.linspace(0.2, 0.8, 300)
    faint = successes(np.linspace(0.4, 0.6, 300), 20, seed=6)
    among_noise = judged(np.concatenate([faint, successes(0.5, 200)]))
    among_learned = judged(np.concatenate([faint, successes(rising, 200)]))
    assert among_noise[:20].mean() < 0.5 * among_learned[:20].mean()
    assert among_noise[20:].mean() < 0.1
    assert among_learned[20:].mean() > 0.8


def test_what_stands_out_is_found_among_any_number_of_tasks_of_noise():
    scores = np.concatenate([successes(np.linspace(0.05, 0.9, 300), 1), successes(0.1, 400)])
    chance = judged(scores)
    assert chance[0] > 0.9
    assert chance[0] > 20 * chance[1:].mean()
    p = chances(histories(scores))
    assert p[0] > 25 / len(p)


@pytest.mark.parametrize("num_results", [20, 100, 1000])
def test_where_nothing_can_be_learned_draws_are_nearly_even(num_results):
    kinds = [successes(p, 40, num_results) for p in (0.0, 0.1, 0.4, 0.7, 0.99)]
    p = chances(histories(np.concatenate(kinds)))
    assert np.exp(-(p * np.log(p)).sum()) > 0.8 * len(p)


def test_where_something_is_learned_draws_are_not_even():
    kinds = [successes(p, 40) for p in (0.0, 0.1, 0.4, 0.7, 0.99)]
    p = chances(histories(np.concatenate([*kinds, successes(np.linspace(0.1, 0.9, 300), 4)])))
    assert p[-4:].sum() > 0.5


def test_forgetting_draws_as_learning_does():
    rise = np.linspace(0.0, 0.5, 100) > np.random.default_rng(4).random(100)
    scores = np.concatenate([[rise, ~rise], np.tile([[0.0, 1.0]], (20, 50))])
    p = chances(histories(scores.astype(float)), NoiseAwareConfig.recommended(theta=0.5, discovery_share=0.0))
    assert p[0] == pytest.approx(p[1], rel=0.1)
    assert p[0] > 1.3 * p[2:].max()


def test_what_was_learned_to_the_end_draws_less_than_what_is_being_learned_or_lost():
    rng = np.random.default_rng(7)
    learned = np.concatenate([rng.random(60) < np.linspace(0, 1, 60), np.ones(140)])
    rising, falling = rng.random(200) < np.linspace(0, 0.5, 200), rng.random(200) < np.linspace(1, 0.5, 200)
    scores = np.concatenate([[learned, rising, falling], np.zeros((20, 200))]).astype(float)
    slope = slopes(scores, theta=0.1)
    assert slope.value[0] > slope.error[0]  # long averages still see it rise
    p = chances(histories(scores))
    assert p[1:3].min() > 2 * p[0]


def test_the_claim_of_a_single_success_fades_as_failures_follow():
    claims = {}
    for num_failures in (5, 50, 100, 200, 400, 800, 1600):
        scores = np.zeros((41, 200 + num_failures))
        scores[0, 199] = 1.0
        claims[num_failures] = chances(histories(scores))[0]
    assert claims[5] > 0.6
    assert claims[50] < 0.6 * claims[5]
    assert claims[100] < 0.4 * claims[5]
    assert max(claims[number] for number in (200, 400, 800, 1600)) < 0.25 * claims[5]


def test_luck_that_is_over_draws_less_than_what_was_mastered_and_is_forgotten():
    rng = np.random.default_rng(9)
    falls = rng.random(200) < np.concatenate([np.full(100, 0.3), np.linspace(0.3, 0.0, 100)])
    rise = falls[::-1]
    scores = np.concatenate([[falls, rise, ~falls, ~rise], np.zeros((20, 200))]).astype(float)
    # Without stretching, the four slopes are equally large; only the first task falls without ever having gone well.
    p = chances(histories(scores), NoiseAwareConfig.recommended(theta=0.5))
    assert p[1] > 3 * p[0]
    assert p[3] > 3 * p[0]


def test_where_only_mastered_tasks_were_ever_solved_draws_go_to_the_others():
    scores = np.zeros((40, 300))
    scores[:3] = np.linspace(0, 3, 300) > np.random.default_rng(8).random((3, 300))  # mastered after a third
    mastered = {}
    for share in (0.0, 0.25):
        p = chances(histories(scores), NoiseAwareConfig.recommended(discovery_share=share))
        mastered[share] = p[:3].sum()
        assert p[3:] == pytest.approx(p[3])
    assert mastered[0.25] < mastered[0.0] < 0.4


def test_the_little_that_mastered_tasks_have_left_does_not_keep_draws_from_what_was_never_solved():
    scores = np.zeros((40, 150))
    scores[:3] = successes(np.minimum(np.linspace(0, 3, 150), 0.97), 3, 150)
    assert chances(histories(scores))[:3].sum() < 0.2


def test_where_hardly_anything_succeeds_tasks_that_go_well_are_drawn_until_the_expected_success_suffices():
    scores = np.zeros((40, 400))
    scores[:2] = 1.0
    columns = histories(scores)
    drawn = {}
    for least in (0.0, 0.2, 0.5):
        config = NoiseAwareConfig.recommended(
            min_success=least, rand_task_rate=0.0, stale_task_share=0.0, discovery_share=1.0
        )
        drawn[least] = chances(columns, config)
        assert drawn[least].sum() == pytest.approx(1.0)
    assert drawn[0.0][:2].sum() < 0.1
    assert drawn[0.2][:2].sum() == pytest.approx(0.2, abs=0.01)
    assert drawn[0.5][:2].sum() == pytest.approx(0.5, abs=0.01)
    assert drawn[0.2][2:] == pytest.approx(drawn[0.2][2])


def test_a_single_success_in_one_try_does_not_go_well_yet():
    scores = np.zeros((20, 1))
    scores[0] = 1.0
    without, with_least = (
        chances(histories(scores), NoiseAwareConfig.recommended(min_success=least)) for least in (0.0, 0.9)
    )
    assert with_least == pytest.approx(without)


def test_no_draw_moves_where_the_choice_succeeds_often_enough_or_nothing_goes_well():
    rising = successes(np.linspace(0.0, 0.9, 300), 10)
    never = np.zeros((10, 300))
    for scores in (rising, never):
        without, with_least = (
            chances(histories(scores), NoiseAwareConfig.recommended(min_success=least)) for least in (0.0, 0.15)
        )
        assert with_least == pytest.approx(without)


def test_discovery_follows_the_share_of_noise():
    rising = successes(np.linspace(0.05, 0.6, 300), 10)
    unsolved, noise = np.zeros((10, 300)), successes(0.5, 90)
    found = {}
    for kind, solved in (("progress", rising), ("noise", noise)):
        columns = histories(np.concatenate([unsolved, solved]))
        without, with_it = (
            chances(columns, NoiseAwareConfig.recommended(discovery_share=share))[:10].sum() for share in (0.0, 1.0)
        )
        found[kind] = with_it - without
    assert found["progress"] < 0.01
    assert found["noise"] > 0.03


def test_discovery_leaves_the_order_of_evictions_and_the_other_draws_in_proportion():
    columns = histories(np.concatenate([np.zeros((5, 100)), successes(0.5, 20, 100)]))
    algorithms = [
        create_algorithm(NoiseAwareConfig.recommended(discovery_share=share, stale_task_share=0.0, rand_task_rate=0.0))
        for share in (0.0, 1.0)
    ]
    without, with_it = (algorithm.priorities(columns) for algorithm in algorithms)
    assert (without == with_it).all()
    assert 0 < without.sum() < 1


def test_without_a_task_never_solved_nothing_is_set_aside_for_discovery():
    columns = histories(successes(0.5, 20))
    draws = [chances(columns, NoiseAwareConfig.recommended(discovery_share=share)) for share in (0.0, 1.0)]
    assert draws[0] == pytest.approx(draws[1])


def test_what_is_not_drawn_makes_no_progress_and_comes_back_by_staleness():
    columns = histories(np.tile([0.0, 1.0], (4, 50)))
    later = dict(columns, last_scheduled=np.array([0, 900, 950, 1000]))
    algorithm = create_algorithm(CONFIG)
    assert (algorithm.priorities(later) == algorithm.priorities(columns)).all()
    assert distribution(algorithm, later).argmax() == 0


def test_a_task_never_solved_is_found_when_it_is_solved():
    scores = np.zeros((30, 200))
    scores[0, -1] = 1.0
    p = chances(histories(scores))
    assert p[0] > 0.7


def test_all_equal_tasks_are_equally_likely():
    for scores in (np.zeros((7, 40)), np.ones((7, 40)), np.tile([0.0, 1.0], (7, 20))):
        assert chances(histories(scores)) == pytest.approx(np.full(7, 1 / 7))


def test_the_settings_of_the_averages_make_weights_that_are_finite():
    for timescale in (1e-3, 0.9):
        for factor in (1e-3, 0.9):
            config = NoiseAwareConfig.recommended(ema_timescale=timescale, slow_timescale_factor=factor)
            for pair in pair_weights(config.rates):
                assert all(np.isfinite(column).all() and np.all(column > 0) for column in pair)


def test_sharing_finds_the_axis_value_that_is_learned_with_one_visit_a_task():
    generator = bucketed({"kind": 0, "size": 0}, {"kind": list(range(20)), "size": list(range(400))})
    found = {}
    for sharing in (0.0, 50.0):
        config = NoiseAwareConfig.recommended(
            num_active_tasks=8000, use_shared_memory=False, sharing=sharing, eviction_rate=0.0
        )
        curriculum = Curriculum(config, generator)
        rng = np.random.default_rng(0)
        for step in range(60):
            tasks = curriculum.ask(50)
            p = np.where([task.params["kind"] == 3 for task in tasks], step / 60, 0.0)
            curriculum.tell([task.task_id for task in tasks], (rng.random(50) < p).astype(float))
        is_three = curriculum.tracker.snapshot().rows["params"][:, 0] == 3
        found[sharing] = curriculum.probabilities()[is_three].sum()
    assert found[50.0] > 2 * found[0.0]


def test_sharing_equals_in_array_api_strict():
    rng = np.random.default_rng(5)
    columns = dict(histories((rng.random((300, 20)) < rng.random((300, 1))).astype(float)))
    columns["params"] = rng.random((300, 3))
    columns["last_scheduled"] = rng.permutation(300)
    algorithm = create_algorithm(CONFIG)
    strict = {name: xp.asarray(column) for name, column in columns.items()}
    assert np.asarray(distribution(algorithm, strict)) == pytest.approx(distribution(algorithm, columns))
