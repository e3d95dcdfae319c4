"""Every algorithm in the box passes the public suite, and the ones with formulas of their own follow them."""

import numpy as np
import pytest
from pydantic import TypeAdapter

from curricular import (
    AccelConfig,
    AdrConfig,
    AlpGmmConfig,
    AnyCurriculumConfig,
    Curriculum,
    CurriculumConfig,
    Exp3SConfig,
    Interval,
    LabelBanditConfig,
    LearnabilityConfig,
    LearningProgressAlgorithm,
    LearningProgressConfig,
    MeanOfFirst,
    NoiseAwareConfig,
    PrioritizedLevelReplayConfig,
    SequentialConfig,
    Stage,
    TargetScheduleConfig,
    TeacherStudentConfig,
    ThompsonConfig,
    TracedConfig,
    UniformConfig,
    WeightedConfig,
    create_algorithm,
)
from curricular.algorithms.registry import variants
from curricular.algorithms.uniform import UniformAlgorithm
from curricular.priorities import unplayable
from curricular.probabilities import capped
from curricular.refresh import checked_distribution, checked_priorities
from curricular.table import EMAS, columns_of, empty_table
from curricular.testing import AlgorithmSuite

from .reference import distribution

CONFIGS = {
    **{name: factory() for name, factory in variants().items()},
    "baseline": LearningProgressConfig.default(random_baseline=MeanOfFirst(num_completions=3)),
    "plain": LearningProgressConfig.default(theta=0.5, exploration_bonus=0.0, rand_task_rate=0.0, temperature=0.1),
    "ALP-GMM, short history": AlpGmmConfig(history_share=0.3),
    "ADR, two axes": AdrConfig(
        intervals=[Interval(axis=0, start=(1, 2), step=1.0), Interval(axis=1, start=(0, 0), step=2.0)], failure=None
    ),
    "EXP3.S, fast": Exp3SConfig(learning_rate=0.1),
    "EXP3.S, progress": Exp3SConfig(reward="progress", reward_range=0.1),
    "learnability, all shares": LearnabilityConfig(rand_task_rate=0.1, stale_task_share=0.1, power=2.0),
    "label bandit, exploring": LabelBanditConfig(value="success", exploration=1.0, rand_task_rate=0.0),
    "noise-aware, alone": NoiseAwareConfig.recommended(sharing=0.0, random_baseline=0.2),
    "replay, value loss": PrioritizedLevelReplayConfig(regret="positive_value_loss", temperature=0.1),
    "replay, robust": PrioritizedLevelReplayConfig(train_on_new=False, min_fill=0.5),
    "replay, max MC": PrioritizedLevelReplayConfig(regret="max_monte_carlo", replay_share=1.0),
    "sequential, to the end": SequentialConfig(stages=[Stage(success=0.5, max_completions=50)]),
    "sequential, axis": SequentialConfig(
        axis=1, can_return=True, stages=[Stage(success=0.9, min_completions=5), Stage(mean_score=0.5)]
    ),
    "target, axis": TargetScheduleConfig(stop=3.0, num_tasks=1000, axis=1, stale_task_share=0.1),
    "target, two axes": TargetScheduleConfig(axis=(0, 1), stop=(1.0, 3.0), width=2.0, num_tasks=1000),
    "teacher-student, short window": TeacherStudentConfig(estimate="window", num_recent=5),
    "weighted, axis": WeightedConfig(weights=[0.0, 2.0, 1.0], axis=1),
}

WITHOUT_FLOOR = {
    **dict.fromkeys(("alp-gmm", "ALP-GMM, short history", "riac"), "plays new tasks until each has a result"),
    **dict.fromkeys(("sequential", "sequential, to the end", "sequential, axis"), "draws from one stage"),
    "thompson-prompts": "a walk over the pool replaces uniform draws",
    "replay, robust": "new levels come alone until enough are seen",
    "replay, max MC": "draws seen levels alone",
    "weighted, axis": "a weight is 0",
}
"""Configs that leave tasks out on purpose, and why."""


class TestAlgorithms(AlgorithmSuite):
    @pytest.fixture(autouse=True, params=CONFIGS)
    def _config(self, request):
        self.config = CONFIGS[request.param]
        self.has_floor = request.param not in WITHOUT_FLOOR

    def make_algorithm(self):
        return create_algorithm(self.config)

    def make_columns(self, seed):
        columns = dict(super().make_columns(seed))
        shape = (len(columns["task_id"]), 2)
        columns["params"] = np.random.default_rng(seed).integers(4, size=shape).astype(float)
        columns["label_index"] = np.random.default_rng(seed).integers(5, size=shape[0])
        for name in ("params", "label_index"):
            columns[name].flags.writeable = False
        return columns

    def test_a_curriculum_runs_with_it(self):
        if isinstance(self.config, AdrConfig | SequentialConfig | TargetScheduleConfig | WeightedConfig):
            return  # they need a generator with axes, or one with few tasks: see test_choices
        super().test_a_curriculum_runs_with_it()


class UsesNumPy(LearningProgressAlgorithm):
    def priorities(self, columns):
        return np.abs(np.asarray(columns["fast_ema"]) - np.asarray(columns["slow_ema"]))


class Greedy(LearningProgressAlgorithm):
    def probabilities(self, columns, priorities):
        is_best = columns["is_active"] & (priorities >= priorities[columns["is_active"]].max())
        return is_best / is_best.sum()


class Remembers(LearningProgressAlgorithm):
    num_calls = 0

    def priorities(self, columns):
        self.num_calls += 1
        return super().priorities(columns) * self.num_calls


class Unmasked(LearningProgressAlgorithm):
    def probabilities(self, columns, priorities):
        return np.full(len(priorities), 1 / len(priorities))


@pytest.mark.parametrize(
    ("broken", "test", "rule"),
    [
        (UsesNumPy, "it_runs_under_the_strict_array_api", "ask the argument for its array namespace"),
        (Greedy, "every_active_task_can_be_drawn", "probabilities: keep a floor, .* or set has_floor = False"),
        (
            Remembers,
            "the_same_columns_give_the_same_answers",
            "priorities: pure, the same columns .* when called again",
        ),
        (
            Unmasked,
            "probabilities_are_a_distribution_over_the_active_tasks",
            "probabilities: 0 where a row is inactive",
        ),
    ],
)
def test_the_suite_names_the_rule_that_is_broken(broken, test, rule):
    class Suite(AlgorithmSuite):
        def make_algorithm(self):
            return broken(LearningProgressConfig.default())

    with pytest.raises(AssertionError, match=rule):
        getattr(Suite(), f"test_{test}")()


class TestTheRegistry:
    def test_each_config_has_its_algorithm(self):
        assert isinstance(create_algorithm(LearningProgressConfig.default()), LearningProgressAlgorithm)
        assert isinstance(create_algorithm(UniformConfig()), UniformAlgorithm)

    def test_a_config_of_none_is_refused(self):
        with pytest.raises(TypeError, match=r"config: expected .* got CurriculumConfig; use one of them"):
            create_algorithm(CurriculumConfig())

    def test_a_file_says_which(self):
        adapter = TypeAdapter(AnyCurriculumConfig)
        for config in CONFIGS.values():
            assert adapter.validate_json(adapter.dump_json(config)) == config


class TestScenarios:
    """What learning progress is for."""

    def told(self, *histories, **overrides):
        """A curriculum in which task i was told the i-th history; progress and probabilities afterwards."""
        config = LearningProgressConfig.default(num_active_tasks=len(histories), eviction_rate=0.0, **overrides)
        curriculum = Curriculum(config)
        for task_id, history in enumerate(histories):
            curriculum.tell([task_id] * len(history), [float(score) for score in history])
        columns = columns_of(curriculum.tracker.snapshot())
        return curriculum.algorithm.priorities(columns), curriculum.probabilities()

    def test_after_twenty_failures_and_five_successes_progress_and_probability_rise(self):
        flat = [[0] * 40, [1] * 40, [0] * 40]
        before, p_before = self.told([0] * 20, *flat)
        after, p_after = self.told([0] * 20 + [1] * 5, *flat)
        assert after[0] > before[0] + 0.1
        assert p_after[0] > p_before[0]
        assert p_after[0] == p_after.max()

    def test_mastered_and_impossible_tasks_lose_probability(self):
        rng = np.random.default_rng(0)
        learned = (rng.random(60) < np.linspace(0, 0.8, 60)).astype(float)
        _, p_new = self.told([], [], [])
        _, p = self.told([1] * 60, [0] * 60, learned)
        assert p_new == pytest.approx(1 / 3)
        assert max(p[0], p[1]) < p_new[0] < p[2]

    def test_two_learners_of_different_speed_are_ordered(self):
        ramp = np.linspace(0, 1, 200)
        slow, fast = ramp[:50] * 0.2, np.clip(ramp[:50] * 2, 0, 1)
        scores, p = self.told(slow, fast, [0] * 50, theta=0.5)
        assert scores[1] > scores[0] > scores[2]
        assert p[1] > p[0] > p[2]

    def test_forgetting_counts_as_learning(self):
        scores, p = self.told([1] * 50 + [0] * 5, [1] * 55)
        assert scores[0] > 0.05
        assert p[0] > p[1]

    @pytest.mark.parametrize("score", [0.0, 0.1, 0.7, 1.0])
    @pytest.mark.parametrize("progress", ["bidirectional", "basic"])
    def test_a_pool_that_stands_still_is_drawn_evenly(self, score, progress):
        """Rounding is no progress, whatever the batches it was told in."""
        config = LearningProgressConfig.default(num_active_tasks=6, eviction_rate=0.0, progress=progress)
        curriculum = Curriculum(config)
        rng = np.random.default_rng(0)
        for _ in range(80):
            tasks = curriculum.ask(int(rng.integers(1, 9)))
            curriculum.tell([task.task_id for task in tasks], [score] * len(tasks))
            curriculum.stats()
        assert min(state.num_completions for state in curriculum.task_states()) >= config.min_samples_for_lp
        assert curriculum.probabilities() == pytest.approx(1 / 6)

    def test_the_bonus_draws_new_tasks(self):
        _, p = self.told([], [0] * 5, [0] * 10)
        assert p[0] > p[1] > p[2]

    def test_a_random_baseline_is_taken_off(self):
        """A task that a random policy scores 0.5 on and that stands at 0.5 and one at 0 are as far along."""
        scores, _ = self.told([0.5] * 20 + [0.6] * 5, random_baseline=0.5, theta=0.5)
        bare, _ = self.told([0.5] * 20 + [0.6] * 5, theta=0.5)
        assert scores[0] == pytest.approx(2 * bare[0])


@pytest.mark.parametrize(
    "config", [ThompsonConfig(rand_task_rate=0.0), LearnabilityConfig.sfl(rand_task_rate=0.0, top_share=0.1)]
)
def test_a_share_of_the_pool_is_one_of_its_tasks_and_not_of_its_slots(config):
    """A pool that grows has slots to spare."""
    columns = TestExtremes.columns(200, is_active=np.arange(200) < 20, num_completions=1000)
    columns["success_ema"] = np.where(np.arange(200) == 7, 0.5, 0.0)
    chances = distribution(create_algorithm(config), columns)
    assert chances[7] == 0.5  # one of two


EXTREMES = {
    NoiseAwareConfig: [
        {"ema_timescale": 1e-3, "slow_timescale_factor": 1e-3, "theta": 1e-6, "sharing": 1e-9},
        {"ema_timescale": 0.9, "slow_timescale_factor": 0.9, "interval_width": 1e6, "sharing": 1e6},
        {
            "unsolved_weight": 0.0,
            "discovery_share": 0.0,
            "min_success": 0.0,
            "rand_task_rate": 0,
            "stale_task_share": 0,
        },
        {"unsolved_weight": 1.0, "discovery_share": 1.0, "min_success": 0.999, "rand_task_rate": 0.0},
        {"rand_task_rate": 0.0, "stale_task_share": 1.0},
    ],
    LearningProgressConfig: [
        {"ema_timescale": 1e-6, "slow_timescale_factor": 1e-3, "theta": 1e-6, "temperature": 1e-6, "rand_task_rate": 0},
        {"ema_timescale": 1.0, "slow_timescale_factor": 1.0, "temperature": 1e300, "exploration_bonus": 1e6},
        {"progress": "basic", "temperature": 1e-6, "exploration_bonus": 0.0, "rand_task_rate": 0.0},
        {"min_samples_for_lp": 10**9, "min_presentations_for_eviction": 10**9, "temperature": 1e-6},
    ],
    LearnabilityConfig: [
        {"prior": 1e-9, "power": 1e300, "ema_timescale": 1e-6, "slow_timescale_factor": 1e-3, "rand_task_rate": 0.0},
        {"prior": 1e6, "power": 1e-9, "half_life": 1e-6, "rand_task_rate": 0.0},
        {"top_share": 1e-9, "sharing": True, "rand_task_rate": 0.0},
        {"prior_axis": 0, "prior_weight": 1e6, "half_life": 1e300},
    ],
    PrioritizedLevelReplayConfig: [
        {
            "regret": regret,
            "temperature": temperature,
            "stale_task_share": share,
            "replay_share": share,
            "min_fill": share,
        }
        for regret in ("told", "positive_value_loss", "max_monte_carlo")
        for temperature in (1e-9, 1e300)
        for share in (0.0, 1.0)
    ],
    TracedConfig: [
        {"co_learnability_weight": 1e6, "num_followers": 10**6},
        {"co_learnability_weight": 0.0, "num_followers": 1, "temperature": 1e-9},
    ],
    AccelConfig: [{"min_fill": 1.0}, {"replay_share": 0.0}],
}


class TestExtremes:
    """Whatever the ends of the ranges and whatever the results: a distribution, without a warning."""

    @staticmethod
    def columns(size, **values):
        table = empty_table(size, 2)
        rows = table.rows
        rows["is_active"], rows["success_threshold"] = True, 0.5
        rows["task_id"] = rows["seed"] = rows["last_scheduled"] = np.arange(size)
        rows["params"] = np.arange(2 * size).reshape(size, 2) % 3
        for name, value in values.items():
            rows[name] = value
        rows["num_scheduled"] = rows["num_regrets"] = rows["num_completions"]
        return dict(columns_of(table))

    @classmethod
    def cases(cls, size):
        def told(score, num_completions, **values):
            averages = dict.fromkeys((*EMAS, "success_ema", "last_score", "last_regret"), score)
            averages["mean_square"] = averages["slow_ema"]
            return cls.columns(size, num_completions=num_completions, **(averages | values))

        slots = np.arange(size)
        yield cls.columns(size)
        yield cls.columns(size, num_failures=9, num_cancelled=9)
        for score in (0.0, 1e-300, 0.1, 1 / 3, 1 - 1e-16, 1.0):
            for number in (1, 2, 40, 10**9, 2**32):
                yield told(score, number)
            yield told(score, 40, mean_square=score * score, random_baseline=0.75)
        for number in (1, 40, 10**9):
            mixed = np.linspace(0.0, 1.0, size)
            yield told(mixed, number, last_scheduled=2**50 + slots)
            yield told(mixed, number, num_failures=9)
            yield told(mixed, number, num_failures=9 * (slots % 2))
            yield told(mixed, number, is_active=slots == size // 2)
            yield told(mixed, np.where(slots % 2, number, 0))
        yield told(0.5, 40, last_regret=1e290 * (-1.0) ** slots)
        for params in (np.nan, 1e300 * (-1.0) ** slots[:, None]):
            yield told(0.5, 40, params=params)

    @pytest.mark.parametrize("size", [1, 2, 17])
    @pytest.mark.parametrize(
        ("config_type", "settings"), [(kind, settings) for kind, several in EXTREMES.items() for settings in several]
    )
    def test_it_is_a_distribution(self, config_type, settings, size):
        config = config_type(**settings)
        algorithm = create_algorithm(config)
        for columns in self.cases(size):
            active, failing = columns["is_active"], unplayable(columns, config)
            priorities = checked_priorities(algorithm.priorities(columns), active, "it")
            chances = checked_distribution(algorithm.probabilities(columns, priorities), active, "it")
            checked_distribution(capped(chances, active, failing), active, "it")
            assert not (algorithm.evictable(columns, priorities, config) & ~active).any()
