"""The simulated learners: their dynamics, their truth, and the figures made of their runs."""

import numpy as np
import pytest

from curricular.bench.learners import (
    BATCH_SIZE,
    NO_HARM,
    SCENARIOS,
    SCORED,
    Oracle,
    Uniform,
    normalised_scores,
    play,
    ratio_runs,
    recovery,
    score_runs,
)
from curricular.bench.learners.dynamics import Chain, Grid, Independent, Together, Topics, expected_spread, sigmoid
from curricular.bench.learners.play import NUM_EARLY, NUM_WINDOWS

EVERY = pytest.mark.parametrize("name", [name for name in SCENARIOS if name != "post-training-epoch"])
"""Without the one that is `post-training` with ten times as many prompts."""
CHOICE_MATTERS = [name for name in SCENARIOS if name not in {*NO_HARM, "nothing", "post-training-epoch"}]


def learners():
    rng = np.random.default_rng(0)
    return [
        Chain(rng.normal(size=6), 0.05),
        Independent(rng.normal(size=6), 0.2),
        Independent(rng.normal(size=6), 0.2, interference=0.3),
        Grid(rng.normal(size=3), np.linspace(0, 2, 4), 0.1),
        Topics(np.array([0, 1, 0, 1]), rng.normal(size=4), 0.1, transfer=0.1, group_size=8),
        Together(Independent(rng.normal(size=2), 0.2), Chain(rng.normal(size=6), 0.05)),
    ]


class Fixed:
    """Draws tasks 0 … k - 1 in turn and writes down what it is told."""

    def __init__(self, num_tasks=BATCH_SIZE):
        self.num_tasks, self.told = num_tasks, []

    def ask(self, n):
        return np.arange(n) % self.num_tasks

    def tell(self, numbers, scores):
        self.told.append((np.array(numbers), np.array(scores)))


class Shuffled(Uniform):
    """Chooses by a score that says nothing: another stream, the same choice as uniform's."""

    def __init__(self, world):
        super().__init__(world)
        self._rng = np.random.default_rng([world.seed, 1])

    def ask(self, n):
        return self._rng.permutation(self._num_tasks)[self._rng.integers(self._num_tasks, size=n)]


class Informed:
    """Draws uniformly among the tasks that can be learned."""

    def __init__(self, world):
        self._tasks, self._rng = np.flatnonzero(world.is_learnable), np.random.default_rng(world.seed)

    def ask(self, n):
        return self._rng.choice(self._tasks, n)

    def tell(self, numbers, scores):
        pass


class Learnability(Informed):
    """Draws learnable tasks in proportion to the true p (1 - p)."""

    def __init__(self, world):
        super().__init__(world)
        self._world = world

    def ask(self, n):
        p = self._world.success_rates(self._tasks)
        weights = p * (1 - p)
        return self._rng.choice(self._tasks, n, p=weights / weights.sum())


# ── Dynamics ─────────────────────────────────────────────────────────────────────────────────────


def test_a_chain_learns_as_its_equation_says():
    start, counts = np.array([0.3, -0.7, 0.1]), np.array([4, 0, 2])
    chain = Chain(start, 0.05)
    skills = 1 / (1 + np.exp(-start))
    p = np.array([skills[0], skills[0] * skills[1], skills.prod()])
    np.testing.assert_allclose(chain.rates, p)
    expected = start + [0.05 * (counts[k:] * p[k:]).sum() * (1 - skills[k]) for k in range(3)]
    chain.practise(counts)
    np.testing.assert_allclose(chain.rates, np.cumprod(1 / (1 + np.exp(-expected))))


@pytest.mark.parametrize("index", range(5))
def test_gains_are_the_derivative_of_the_mean_rate(index):
    base = learners()[index]
    size = base.rates.size
    small = 1e-6
    idle = learners()[index]
    idle.practise(np.zeros(size))
    for i, gain in enumerate(base.gains()):
        learner = learners()[index]
        learner.practise(small * np.eye(size)[i])
        assert (learner.rates.mean() - idle.rates.mean()) / small == pytest.approx(gain, rel=1e-3, abs=1e-9)


@pytest.mark.parametrize("index", [0, 1, 3, 4])
def test_practice_never_lowers_a_rate_and_idleness_changes_nothing(index):
    learner = learners()[index]
    before = learner.rates
    learner.practise(np.zeros(before.size, np.int64))
    np.testing.assert_array_equal(learner.rates, before)
    learner.practise(np.full(before.size, 5))
    assert (learner.rates >= before).all()
    assert (learner.rates > before).any()


def test_a_reset_takes_all_skills_back_and_they_can_be_learned_again():
    chain = Chain(np.full(3, -1.0), 0.5, resets=(3,))
    start = chain.rates
    for _ in range(2):
        chain.practise(np.full(3, 10))
    assert chain.rates[0] > 0.7
    chain.practise(np.full(3, 10))
    np.testing.assert_array_equal(chain.rates, start)
    chain.practise(np.full(3, 10))
    assert chain.rates[0] > start[0]


def test_forgotten_tasks_drop_on_time():
    learner = Independent(np.full(4, 4.0), 0.1, drop_every=2, dropped=np.array([[1], [3]]), drop_to=-2.0)
    idle = np.zeros(4, np.int64)
    learner.practise(idle)
    assert learner.rates.min() > 0.9
    learner.practise(idle)
    np.testing.assert_allclose(learner.rates, sigmoid([4.0, -2.0, 4.0, 4.0]))
    for _ in range(4):
        learner.practise(idle)  # the third event is not there
    np.testing.assert_allclose(learner.rates, sigmoid([4.0, -2.0, 4.0, -2.0]))


def test_goalposts_move_only_once_a_task_goes_well_and_then_for_ever():
    learner = Independent(np.array([1.0, 2.0]), 0.1, drift=0.5)
    for _ in range(4):
        learner.practise(np.zeros(2, np.int64))
    np.testing.assert_allclose(learner.rates, sigmoid([1.0, 0.0]))


def test_playing_one_task_interferes_with_the_others():
    learner = Independent(np.zeros(3), 0.1, interference=0.3)
    learner.practise(np.array([10, 0, 0]))
    assert learner.rates[0] > 0.5
    assert learner.rates[1] == learner.rates[2] < 0.5


def test_sizes_of_a_kind_share_their_skill():
    grid = Grid(np.zeros(2), np.array([0.0, 1.0]), 0.1)
    grid.practise(np.array([10, 0, 0, 0]))
    assert grid.rates[1] > sigmoid(-1.0)
    np.testing.assert_allclose(grid.rates[2:], sigmoid([0.0, -1.0]))


# ── Worlds ───────────────────────────────────────────────────────────────────────────────────────


@EVERY
def test_every_variation_gives_rates_in_the_unit_interval(name):
    for variation in range(len(SCENARIOS[name].variations)):
        world = SCENARIOS[name].build(3, variation=variation)
        everything = np.arange(world.pool.num_tasks)
        uniform = Uniform(world)
        for _ in range(20):
            world.practise(uniform.ask(BATCH_SIZE * 20))
        rates = world.success_rates(everything)
        assert ((rates >= 0) & (rates <= 1)).all()
        assert 0 <= world.competence() <= 1
        assert world.competence() == pytest.approx(rates[world.is_learnable].mean() if world.is_learnable.any() else 0)
        assert (world.gains()[~world.is_learnable] == 0).all()
        assert world.pool.params.shape[0] == world.group_of.size == world.pool.num_tasks


@EVERY
def test_a_run_is_reproducible_from_the_seed(name):
    first, again, other = (play(world := SCENARIOS[name].build(seed, speed=10.0), Uniform(world)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.curve, again.curve)
    np.testing.assert_array_equal(first.draws, again.draws)
    assert name == "nothing" or (first.curve != other.curve).any()


def test_the_number_of_a_task_says_nothing():
    """Where a task stands in the chain does not follow from its number, and the order of numbers changes no result."""
    worlds = [SCENARIOS["impossible"].build(seed) for seed in range(200)]
    positions = np.array([np.flatnonzero(world.is_learnable) for world in worlds])
    assert abs(positions.mean() - 49.5) < 2
    by_cell = [np.argsort(world.cells) for world in worlds[:2]]
    for _ in range(300):
        for world, order in zip(worlds, by_cell, strict=False):
            world.practise(order[:20])
    assert worlds[0].competence() == worlds[1].competence() > 0.05


def test_curricula_of_one_seed_meet_the_same_world():
    one, two = (SCENARIOS["noise"].build(5) for _ in range(2))
    np.testing.assert_array_equal(one.success_rates(np.arange(100)), two.success_rates(np.arange(100)))
    play(one, Uniform(one))
    assert two.competence() == SCENARIOS["noise"].build(5).competence()


def test_speed_rescales_time_and_nothing_else():
    aucs = []
    for speed in (0.3, 1.0, 3.0):
        world = SCENARIOS["reset"].build(0, speed=speed)
        assert world.pool.num_steps == round(3000 / speed)
        aucs.append(play(world, Uniform(world)).auc)
    assert max(aucs) / min(aucs) < 1.1


def test_an_episode_costs_up_to_fifty_times_another_and_the_budget_is_in_steps():
    world = SCENARIOS["cost"].build(0)
    costs = world.pool.costs
    assert costs.mean() == pytest.approx(1)
    assert 30 < costs.max() / costs.min() <= 50
    run = play(world, Uniform(world))
    assert run.draws.sum() == pytest.approx(world.pool.num_steps * BATCH_SIZE, rel=0.05)
    short = play(world := SCENARIOS["cost"].build(0), Fixed(1))
    assert short.draws.sum() == pytest.approx(world.pool.num_steps * BATCH_SIZE / costs[0], rel=0.05)


def test_axes_have_fewer_than_two_visits_per_task_and_decide_what_is_learnable():
    world = SCENARIOS["axes"].build(0)
    assert world.pool.num_tasks == 50_000
    assert world.pool.num_steps * BATCH_SIZE < 2 * world.pool.num_tasks
    assert len(np.unique(world.pool.params, axis=0)) == 50_000
    rates = world.success_rates(np.arange(50_000))
    kinds, sizes, themes = world.pool.params.T
    by_kind = [world.is_learnable[kinds == kind].any() for kind in range(50)]
    by_theme = [world.is_learnable[themes == theme].any() for theme in range(25)]
    assert sum(by_kind) == 10
    assert sum(by_theme) == 20
    easy = world.is_learnable & (sizes == 0)
    assert rates[easy].min() > rates[world.is_learnable & (sizes == 39)].max()
    assert set(np.unique(rates[~world.is_learnable])) == {0.0, 0.5}


def test_a_mixture_holds_useless_tasks_of_every_kind_at_once():
    world = SCENARIOS["mixture"].build(0)
    sizes = dict(zip(world.groups, np.bincount(world.group_of).tolist(), strict=True))
    assert sizes == dict.fromkeys(["chain 1-5", "chain 6-10", "chain 11-15", "chain 16-20"], 5) | {
        "impossible": 40,
        "noise": 40,
        "rare noise": 20,
        "easy": 60,
    }
    rates = {name: world.success_rates(np.flatnonzero(world.group_of == i)) for i, name in enumerate(world.groups)}
    assert set(rates["rare noise"]) == {0.1}
    assert set(rates["easy"]) == {0.99}
    assert rates["noise"].min() > 0.2
    assert rates["noise"].max() < 0.8


def test_at_the_frontier_three_tasks_are_mastered_at_once_and_the_next_is_hardly_ever_solved():
    world = SCENARIOS["frontier"].build(0)
    tasks = {name: np.flatnonzero(world.group_of == i) for i, name in enumerate(world.groups)}
    assert {name: numbers.size for name, numbers in tasks.items()} == {
        "mastered": 3,
        "chain 1-2": 2,
        "chain 3-4": 2,
        "chain 5-5": 1,
        "chain 6-7": 2,
        "impossible": 30,
        "fluke": 10,
    }
    assert set(world.success_rates(tasks["fluke"])) == {0.002}
    chain = world.success_rates(np.concatenate([tasks[name] for name in world.groups if name.startswith("chain")]))
    assert chain.max() == pytest.approx(0.005)
    uniform = Uniform(world)
    for _ in range(300):
        world.practise(uniform.ask(BATCH_SIZE))
    assert world.success_rates(tasks["mastered"]).min() > 0.98
    chain = world.success_rates(np.concatenate([tasks[name] for name in world.groups if name.startswith("chain")]))
    assert chain.max() < 0.01


def test_a_group_teaches_by_the_spread_of_its_scores():
    assert expected_spread(np.array([0.0, 0.5, 1.0]), 8).round(3).tolist() == [0.0, 0.928, 0.0]
    learner = Topics(np.array([0, 0, 1]), np.array([0.0, 9.0, 0.0]), 0.1, transfer=0.0, group_size=8)
    learner.practise(np.array([0, 5, 0]))  # never solved, and so teaches nothing
    assert learner.rates[0] == pytest.approx(0.5, abs=1e-3)
    before = learner.rates
    gains = learner.gains()
    learner.practise(np.array([1, 0, 0]))
    assert learner.rates[0] > before[0]
    assert learner.rates[2] == before[2]
    assert (learner.rates - before).mean() == pytest.approx(gains[0], rel=0.05)


def test_in_post_training_one_prompt_in_ten_is_never_solved_and_a_profile_says_which_are_hard():
    world = SCENARIOS["post-training"].build(0)
    rates = world.success_rates(np.arange(10_000))
    assert (~world.is_learnable).sum() == 1000
    assert rates[~world.is_learnable].max() == 0.0
    assert np.corrcoef(world.pool.params[:, 1], rates)[0, 1] > 0.8
    assert np.unique(Oracle(world).ask(BATCH_SIZE)).size == BATCH_SIZE


# ── Results ──────────────────────────────────────────────────────────────────────────────────────


def test_results_come_late_and_one_in_ten_never():
    world = SCENARIOS["delay"].build(0)
    teacher = Fixed()
    play(world, teacher)
    told = sum(numbers.size for numbers, _ in teacher.told)
    assert told / (world.pool.num_steps * BATCH_SIZE) == pytest.approx(0.9 * (1 - 25 / 3000), abs=0.01)
    sizes = [numbers.size for numbers, _ in teacher.told[:60]]
    assert sizes[0] < 4
    assert np.mean(sizes[51:]) > 20


def test_scores_are_successes_or_graded_with_the_same_mean():
    for name, is_graded in (("noise", False), ("graded", True)):
        world = SCENARIOS[name].build(0)
        noise = np.flatnonzero(~world.is_learnable)[:BATCH_SIZE]
        teacher = Fixed()
        teacher.ask = lambda n, noise=noise: noise[:n]
        play(world, teacher)
        scores = np.array([scores for _, scores in teacher.told])
        assert ((scores >= 0) & (scores <= 1)).all()
        assert (np.unique(scores).size > 2) == is_graded
        np.testing.assert_allclose(scores.mean(axis=0), world.success_rates(noise), atol=0.04)


def test_an_impossible_task_is_never_solved_and_mastery_always_succeeds():
    world = SCENARIOS["impossible"].build(0)
    impossible = np.flatnonzero(~world.is_learnable)[:BATCH_SIZE]
    teacher = Fixed()
    teacher.ask = lambda n: impossible[:n]
    run = play(world, teacher)
    assert not any(scores.any() for _, scores in teacher.told)
    assert run.wasted_share == 1.0
    assert run.effective_tasks == pytest.approx(BATCH_SIZE)
    assert run.time_to_80 is None
    assert run.auc == pytest.approx(run.final) == pytest.approx(run.curve.min())


@pytest.mark.parametrize(
    "numbers", [np.arange(3), np.full(BATCH_SIZE, -1), np.full(BATCH_SIZE, 100), np.full(BATCH_SIZE, 0.5)]
)
def test_wrong_numbers_are_refused(numbers):
    teacher = Fixed()
    teacher.ask = lambda n: numbers
    with pytest.raises(ValueError, match=r"teacher\.ask: expected 32 integers in 0 … 99"):
        play(SCENARIOS["impossible"].build(0), teacher)


def test_wrong_settings_are_refused():
    with pytest.raises(ValueError, match="speed"):
        SCENARIOS["chain"].build(0, speed=0.0)
    with pytest.raises(ValueError, match="variation: expected 0 to 3 for chain, got 4"):
        SCENARIOS["chain"].build(0, variation=4)


# ── Baselines ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", CHOICE_MATTERS)
def test_the_oracle_beats_everybody_wherever_choice_matters(name):
    oracle, *others = (
        play(world := SCENARIOS[name].build(0, speed=2.0), teacher(world)).auc
        for teacher in (Oracle, Uniform, Informed, Learnability)
    )
    # Where all learnable tasks are alike, a teacher that knows them is as good as the oracle, which is greedy.
    tolerance = 0.005 if name in {"huge-pool", "goalposts"} else 0.0
    assert oracle > max(others) - tolerance


@pytest.mark.parametrize("name", CHOICE_MATTERS)
@pytest.mark.parametrize("variation", range(1, 4))
def test_every_variation_leaves_room_between_uniform_and_the_oracle(name, variation):
    oracle, uniform = (
        play(world := SCENARIOS[name].build(1, speed=5.0, variation=variation), teacher(world))
        for teacher in (Oracle, Uniform)
    )
    assert oracle.auc > uniform.auc + 0.05
    assert oracle.wasted_share == 0.0


@pytest.mark.parametrize("name", ["chain", "noise", "no-harm-50"])
def test_an_uninformative_curriculum_equals_uniform(name):
    runs = {
        teacher: [play(world := SCENARIOS[name].build(seed, speed=3.0), teacher(world)) for seed in range(6)]
        for teacher in (Uniform, Shuffled, Oracle)
    }
    aucs = {teacher: np.array([[run.auc for run in of]]) for teacher, of in runs.items()}
    assert aucs[Shuffled].mean() == pytest.approx(aucs[Uniform].mean(), abs=0.02)
    assert np.mean([run.effective_tasks for run in runs[Shuffled]]) == pytest.approx(
        np.mean([run.effective_tasks for run in runs[Uniform]]), rel=0.01
    )
    if name != "no-harm-50":
        scores = score_runs(aucs[Shuffled][None], aucs[Uniform], aucs[Oracle])
        assert abs(scores.mean.estimate[0]) < 0.03


def test_nothing_can_be_learned_from_nothing():
    world = SCENARIOS["nothing"].build(0)
    run = play(world, Uniform(world))
    assert run.auc == run.final == 0.0
    assert run.wasted_share == 1.0
    assert 98 < run.effective_tasks < 100


def test_draws_are_counted_by_window_and_group():
    world = SCENARIOS["easy"].build(0)
    run = play(world, Uniform(world))
    assert run.groups == ("chain 1-5", "chain 6-10", "chain 11-15", "chain 16-20", "easy")
    assert run.draws.shape == (NUM_WINDOWS, 5)
    assert run.draws.sum() == world.pool.num_steps * BATCH_SIZE
    np.testing.assert_allclose(run.draws.sum(axis=0) / run.draws.sum(), [0.025, 0.025, 0.025, 0.025, 0.9], atol=0.01)
    assert run.draws[:, -1].sum() / run.draws.sum() == pytest.approx(run.wasted_share)


def test_the_shares_after_the_first_tenth_are_those_of_the_windows_and_of_single_tasks():
    teacher = Fixed()
    teacher.ask = lambda n: np.repeat([0, 1], [24, 8])
    run = play(SCENARIOS["frontier"].build(0), teacher)
    late = run.draws[NUM_EARLY:].sum(axis=0) / run.draws[NUM_EARLY:].sum()
    assert list(run.late_shares.values()) == pytest.approx(late.tolist())
    assert max(run.top_shares.values()) == pytest.approx(0.75)
    assert sum(run.late_shares.values()) == pytest.approx(1.0)

    world = SCENARIOS["frontier"].build(0)
    tasks = np.argsort(world.group_of, kind="stable")  # mastered tasks first
    num_left = [world.pool.num_steps // 10]

    def ask(n):  # a mastered task in the first tenth, then another group
        num_left[0] -= 1
        return np.full(n, tasks[0] if num_left[0] >= 0 else tasks[-1])

    teacher.ask = ask
    assert play(world, teacher).late_shares["mastered"] == 0.0


def test_headline_scenarios_exist():
    assert {*SCORED, *NO_HARM} < set(SCENARIOS)
    assert [scenario.number for scenario in SCENARIOS.values()][:8] == [str(number) for number in range(1, 9)]


# ── Figures ──────────────────────────────────────────────────────────────────────────────────────


def test_baselines_score_zero_and_one_with_no_doubt():
    rng = np.random.default_rng(0)
    uniform = rng.uniform(0.1, 0.3, (3, 10))
    oracle = uniform + rng.uniform(0.3, 0.6, (3, 10))
    scores = score_runs([uniform, oracle], uniform, oracle)
    for interval, shape in ((scores.by_scenario, (2, 3)), (scores.mean, (2,)), (scores.worst, (2,))):
        for values in (interval.estimate, interval.low, interval.high):
            assert values.shape == shape
            np.testing.assert_allclose(values[0], 0.0, atol=1e-12)
            np.testing.assert_allclose(values[1], 1.0)


def test_intervals_hold_the_truth_and_narrow_with_seeds():
    rng = np.random.default_rng(1)
    widths = []
    for num_seeds in (10, 160):
        uniform, oracle = np.full((8, num_seeds), 0.2), np.full((8, num_seeds), 0.9)
        aucs = 0.55 + 0.1 * rng.normal(size=(1, 8, num_seeds))
        scores = score_runs(aucs, uniform, oracle)
        assert scores.mean.low[0] < 0.5 < scores.mean.high[0]
        assert scores.worst.estimate[0] == scores.by_scenario.estimate.min()
        widths.append(scores.mean.high[0] - scores.mean.low[0])
    assert widths[1] < 0.4 * widths[0]


def test_the_ratio_to_uniform_is_of_means():
    interval = ratio_runs([[[0.5, 0.7]], [[0.6, 0.6]]], [[0.6, 0.6]])
    np.testing.assert_allclose(interval.estimate, [[1.0], [1.0]])
    np.testing.assert_allclose(interval.low[1], 1.0)
    assert interval.low[0, 0] == pytest.approx(5 / 6)


def test_scores_name_what_is_wrong():
    with pytest.raises(ValueError, match="oracle: expected a mean AUC above uniform's"):
        normalised_scores([0.5], [0.5], [0.5])
    with pytest.raises(ValueError, match="aucs: expected shape"):
        score_runs(np.zeros((2, 3, 4)), np.zeros((3, 5)), np.ones((3, 5)))


def test_a_curve_that_does_not_come_back_has_no_recovery_time():
    result = recovery([0.2, 1.0, 1.0, 0.2, 0.3, 0.4], np.arange(6.0))
    assert result.recovery_time is None
    assert result.level == pytest.approx(0.4)
    assert result.learning_time == 1.0
