"""Prerequisites, interest, cost and quotas multiply any algorithm."""

import pickle

import array_api_strict as xp
import numpy as np
import pytest

from curricular import (
    CoolDown,
    Cost,
    Curriculum,
    Interest,
    LabelBanditConfig,
    LearnabilityConfig,
    LearningProgressConfig,
    ModifiedAlgorithm,
    Modifier,
    Prerequisites,
    Quotas,
    TargetScheduleConfig,
    UniformConfig,
    bucketed,
    create_algorithm,
    merge,
    single_task,
)
from curricular.testing import AlgorithmSuite

from .reference import distribution

FOUR = merge([single_task(number) for number in range(4)])

MODIFIERS = {
    "none": (),
    "interest": (Interest((0.0, 2.0)),),
    "interest, axis": (Interest((0.0, 1.0, 0.5), axis=1),),
    "cost": (Cost((50.0, 1.0)), Cost((3.0, 2.0), axis=0)),
    "quotas": (Quotas((0.5, 0.25, 0.25), axis=0),),
    "prerequisites": (Prerequisites({3: [0, 1], 1: [0]}),),
    "function": (lambda probabilities, columns: probabilities * (columns["label_index"] == 0),),
    "cool-down": (CoolDown(100),),
    "nothing left": (lambda probabilities, columns: probabilities * 0.0,),
    "all": (Prerequisites({3: [0, 1]}), Interest((0.0, 2.0)), Cost((50.0, 1.0)), Quotas((0.5, 0.0, 0.5), axis=0)),
}


class TestModified(AlgorithmSuite):
    has_floor = False  # a modifier leaves tasks out, on purpose

    @pytest.fixture(autouse=True, params=MODIFIERS)
    def _modifiers(self, request):
        self.name, self.modifiers = request.param, MODIFIERS[request.param]

    def make_algorithm(self):
        return ModifiedAlgorithm(create_algorithm(LearningProgressConfig.default()), *self.modifiers)

    def make_columns(self, seed):
        columns = dict(super().make_columns(seed))
        rng, size = np.random.default_rng(seed), len(columns["task_id"])
        columns["params"] = rng.integers(4, size=(size, 2)).astype(float)
        columns["seed"] = rng.permutation(size)
        for column in columns.values():
            column.flags.writeable = False
        return columns

    def test_a_curriculum_runs_with_it(self):
        if any(getattr(modifier, "axis", None) is not None for modifier in self.modifiers):
            return  # it needs a generator with axes
        super().test_a_curriculum_runs_with_it()

    def test_it_runs_under_the_strict_array_api(self):
        algorithm = self.make_algorithm()
        for seed in range(self.num_cases):
            columns = self.make_columns(seed)
            strict = {name: xp.asarray(column.copy()) for name, column in columns.items()}
            if self.name != "function":
                assert np.asarray(distribution(algorithm, strict)) == pytest.approx(distribution(algorithm, columns))


def shares(*modifiers, histories=((), (), (), ()), config_type=UniformConfig):
    """The chance of each of four tasks by its number."""
    config = config_type(num_active_tasks=4)
    curriculum = Curriculum(config, FOUR, algorithm=ModifiedAlgorithm(create_algorithm(config), *modifiers))
    states = curriculum.task_states()
    for state in states:
        curriculum.tell([state.task_id] * len(histories[state.seed]), histories[state.seed])
    p = curriculum.probabilities()
    return [p[state.task_id] for state in sorted(states, key=lambda state: state.seed)]


class TestInterest:
    def test_a_mask(self):
        assert shares(Interest((1, 0, 1, 0))) == pytest.approx([0.5, 0, 0.5, 0])

    def test_weights_multiply_and_beyond_them_it_is_one(self):
        assert shares(Interest((2, 0))) == pytest.approx([0.5, 0, 0.25, 0.25])

    def test_along_an_axis(self):
        generator = bucketed({"size": 0}, {"size": [3, 5]})
        config = UniformConfig(num_active_tasks=2)
        algorithm = ModifiedAlgorithm(create_algorithm(config), Interest((0, 1), axis=0))
        assert {task.params["size"] for task in Curriculum(config, generator, algorithm=algorithm).ask(50)} == {5}

    def test_where_nothing_is_left_the_algorithm_decides(self):
        assert shares(Interest((0, 0, 0, 0))) == pytest.approx([0.25] * 4)


class TestCost:
    def test_it_is_progress_per_step(self):
        assert shares(Cost((1, 1, 2, 4))) == pytest.approx(np.array([4, 4, 2, 1]) / 11)

    def test_it_multiplies_the_score_of_the_algorithm(self):
        histories = [[0.0, 1.0] * 40, [0.0, 1.0] * 40, [0.0] * 80, [1.0] * 80]
        plain = shares(histories=histories, config_type=LearnabilityConfig)
        p = shares(Cost((10, 1, 1, 1)), histories=histories, config_type=LearnabilityConfig)
        assert p[0] / p[1] == pytest.approx(0.1 * plain[0] / plain[1])


class TestQuotas:
    def test_groups_get_their_share_and_proportions_stay(self):
        generator = merge([single_task("a"), bucketed({"size": 0}, {"size": list(range(58))}), single_task("b")])
        config = UniformConfig(num_active_tasks=60)
        weighted = generator.model_copy(update={"weights": (1.0, 2.0, 1.0)})
        algorithm = ModifiedAlgorithm(create_algorithm(config), Quotas((0.2, 0.7, 0.1), axis=0))
        curriculum = Curriculum(config, weighted, algorithm=algorithm)
        groups = np.array([state.params[0] for state in curriculum.task_states()])
        p = curriculum.probabilities()
        assert [p[groups == group].sum() for group in range(3)] == pytest.approx([0.2, 0.7, 0.1])
        assert len(set(p[groups == 1].tolist())) == 1

    def test_an_empty_group_leaves_its_share_to_the_others(self):
        assert shares(Interest((0, 1, 1, 1)), Quotas((0.5, 0.3, 0.2, 0))) == pytest.approx([0, 0.6, 0.4, 0])

    @pytest.mark.parametrize("axis", [None, 0])
    def test_it_is_what_a_loop_over_the_groups_gives(self, axis):
        rng = np.random.default_rng(0)
        for num_shares, size in ((1, 5), (7, 40), (300, 200)):
            quotas = Quotas(tuple(rng.dirichlet(np.ones(num_shares))), axis=axis)
            chances = rng.random(size) * (rng.random(size) < 0.7)
            # Between, beyond and below the groups, and NaN, which stands for an unknown value.
            values = rng.integers(-1, num_shares + 2, size).astype(float) + rng.choice([0.0, 0.5, np.nan], size)
            seeds = rng.integers(num_shares + 2, size=size)
            columns = {"params": values[:, None], "seed": seeds}
            groups, expected = seeds if axis is None else values, np.zeros(size)
            for group, share in enumerate(quotas.shares):
                total = chances[groups == group].sum()
                expected[groups == group] = chances[groups == group] * (share / total if total else 0.0)
            assert quotas(chances, columns) == pytest.approx(expected, rel=1e-12)
            strict = {name: xp.asarray(column) for name, column in columns.items()}
            assert np.asarray(quotas(xp.asarray(chances), strict)) == pytest.approx(expected, rel=1e-9, abs=1e-12)


class Alternating(Modifier):
    """Draws the even and the odd tasks in turn, as hand-outs go by."""

    follows_handouts = True

    def __call__(self, probabilities, columns):
        return probabilities * (columns["seed"] % 2 == columns["last_scheduled"].max() // 64 % 2)


class TestWhatModifiersNeed:
    @pytest.mark.parametrize("modifiers", [(Alternating(),), (CoolDown(3),), (Cost((1, 2)), CoolDown(3))])
    def test_weights_that_follow_hand_outs_make_the_algorithm_follow_them(self, modifiers):
        assert ModifiedAlgorithm(create_algorithm(UniformConfig()), *modifiers).follows_handouts

    @pytest.mark.parametrize("modifiers", [(), (Cost((1, 2)),), (lambda probabilities, columns: probabilities,)])
    def test_others_do_not(self, modifiers):
        assert not ModifiedAlgorithm(create_algorithm(UniformConfig()), *modifiers).follows_handouts

    def test_hand_outs_alone_refresh_what_they_change(self):
        config = UniformConfig(num_active_tasks=4)
        curriculum = Curriculum(config, FOUR, algorithm=ModifiedAlgorithm(create_algorithm(config), Alternating()))
        assert {task.config % 2 for _ in range(40) for task in curriculum.ask(10)} == {0, 1}

    def test_flags_are_those_of_the_algorithm(self):
        for config in (UniformConfig(), TargetScheduleConfig(stop=1.0, num_tasks=9), LabelBanditConfig()):
            plain = create_algorithm(config)
            modified = ModifiedAlgorithm(plain, Cost((1, 2)))
            for flag in ("follows_handouts", "chooses_labels", "evicts_tasks"):
                assert getattr(modified, flag) == getattr(plain, flag)


@pytest.mark.parametrize(
    "weights",
    [
        (1.0, np.nan, 1.0, 1.0),
        (np.nan,) * 4,
        (-1.0, -2.0, -1.0, -1.0),
        (2.0, -1.0, 1.0, 1.0),
        (-0.5, 0.5, 0.0, 0.0),
    ],
)
@pytest.mark.parametrize("others", [(), (Quotas((0.5, 0.25, 0.125, 0.125)),), (Interest((0.5, 1, 2, 3)), Cost((2, 1)))])
def test_weights_that_are_none_are_refused(weights, others):
    with pytest.raises(ValueError, match=r"ModifiedAlgorithm\.probabilities: expected .*among them"):
        shares(lambda probabilities, columns: np.array(weights), *others)


class TestPrerequisites:
    done, open_ = [1.0] * 20, []

    def test_a_task_opens_when_all_that_it_needs_is_mastered(self):
        needs = Prerequisites({3: [0, 1], 2: [0]})
        assert shares(needs) == pytest.approx([0.5, 0.5, 0, 0])
        assert shares(needs, histories=[self.done, [], [], []]) == pytest.approx([1 / 3, 1 / 3, 1 / 3, 0])
        assert shares(needs, histories=[self.done, self.done, [], []]) == pytest.approx([0.25] * 4)

    def test_a_few_successes_are_not_mastery(self):
        assert shares(Prerequisites({3: [0]}), histories=[[1.0] * 9, [], [], []])[3] == 0
        assert shares(Prerequisites({3: [0]}), histories=[[1.0] * 10, [], [], []])[3] == 0.25

    def test_what_is_forgotten_closes_again(self):
        assert shares(Prerequisites({3: [0]}), histories=[self.done + [0.0] * 20, [], [], []])[3] == 0

    def test_a_circle_is_named(self):
        with pytest.raises(ValueError, match=r"needs: expected .* got the circle 1 -> 2 -> 5 -> 1; drop one"):
            Prerequisites({1: [2], 2: [5], 5: [1], 7: [1]})

    def test_a_task_that_is_nowhere_in_the_pool_is_not_mastered(self):
        assert shares(Prerequisites({3: [9]})) == pytest.approx([1 / 3, 1 / 3, 1 / 3, 0])

    def test_needing_nothing(self):
        assert shares(Prerequisites({})) == pytest.approx([0.25] * 4)
        assert shares(Prerequisites({2: []})) == pytest.approx([0.25] * 4)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Interest(()), r"weights: expected a list of numbers from 0 to 1e\+100, at least one, got \(\)"),
        (lambda: Interest((1, -1)), r"weights: expected .* got \(1, -1\)"),
        (lambda: Interest((1, float("inf"))), r"weights: expected"),
        (lambda: Interest("abcd"), r"weights: expected .* got 'abcd'"),
        (lambda: Interest(None), r"weights: expected .* got None"),
        (lambda: Interest([[1, 2], [3, 4]]), r"weights: expected .* got \[\[1, 2\], \[3, 4\]\]"),
        (lambda: Cost((1, 0)), r"costs: expected a list of numbers from 1e-100 to 1e\+100, .* got \(1, 0\)"),
        (lambda: Cost((1e-320, 1)), r"costs: expected .* got \(1e-320, 1\)"),
        (lambda: Quotas((0.5, 0.6)), r"shares: expected numbers that sum to 1, got the sum 1\.1"),
        (lambda: Quotas(("a", 0.6)), r"shares: expected .* got \('a', 0\.6\)"),
        (lambda: CoolDown("x"), r"num_handouts: expected a whole number of at least 1, got 'x'"),
        (lambda: Prerequisites({-1: []}), r"needs: expected seeds of tasks, whole numbers from 0 to .* got -1"),
        (lambda: Prerequisites({"a": ["b"]}), r"needs: expected seeds of tasks, .* got '[ab]'"),
        (lambda: Prerequisites({10**12: [0]}), r"needs: expected seeds of tasks, .* got 1000000000000"),
    ],
)
def test_what_makes_no_sense_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("axis", [-1, 1, 0.5, (0,), "generator"])
def test_what_is_no_index_of_an_axis_is_refused_when_the_curriculum_is_made(axis):
    for modifier in (Interest((1, 2, 3, 4), axis=axis), Cost((1, 2, 3, 4), axis=axis), Quotas((1,), axis=axis)):
        with pytest.raises((TypeError, ValueError), match=r"axis: expected .*index.* got .*; (use|pass)"):
            shares(modifier)


@pytest.mark.parametrize("modifier", [Interest([1e100] * 4), Cost([1e-100] * 4), Cost([1e100] * 4)])
def test_the_largest_and_the_smallest_numbers_keep_the_proportions(modifier):
    assert shares(*[modifier] * 8) == pytest.approx([0.25] * 4)


def test_they_can_be_sent_to_other_processes():
    algorithm = ModifiedAlgorithm(create_algorithm(UniformConfig()), Prerequisites({1: [0]}), Cost((1, 2)))
    again = pickle.loads(pickle.dumps(algorithm))
    columns = TestModified().make_columns(3)
    assert np.array_equal(distribution(again, columns), distribution(algorithm, columns))
