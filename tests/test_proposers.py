"""Which new tasks enter the pool: every proposer passes the public suite, and each proposes what it is meant to."""

import numpy as np
import pytest

from curricular import (
    AccelConfig,
    AlpGmmConfig,
    Curriculum,
    CurriculumConfig,
    FreshProposer,
    NewTasks,
    NoiseAwareConfig,
    PrioritizedLevelReplayConfig,
    Span,
    UniformConfig,
    bucketed,
    create_proposer,
    merge,
    single_task,
)
from curricular.algorithms.accel import MutationProposer
from curricular.algorithms.alp_gmm import ProgressMixtureProposer
from curricular.algorithms.noise_aware import ProgressProposer
from curricular.generators import SeedGenerator
from curricular.testing import ProposerSuite

from .reference import evictable

ENDLESS = bucketed({"x": 0.0, "y": 0.0, "kind": 0}, {"x": Span(0.0, 1.0), "y": Span(0.0, 1.0), "kind": [0, 1, 2]})
FINITE = bucketed({"a": 0, "b": 0}, {"a": list(range(20)), "b": list(range(10))})
ACCEL = AccelConfig(regret="positive_value_loss", mutation_share=0.7, num_contenders=2, num_edits=2)


class TestFresh(ProposerSuite):
    fresh_share = 1.0

    def make_proposer(self, generator):
        return create_proposer(UniformConfig(), generator)


class TestProgress(ProposerSuite):
    fresh_share = 0.3

    def make_proposer(self, generator):
        return create_proposer(NoiseAwareConfig.recommended(proposal_share=0.7), generator)


class TestProgressOfAFiniteGenerator(TestProgress):
    def make_generator(self):
        return FINITE


class TestMutations(ProposerSuite):
    fresh_share = 0.3

    def make_proposer(self, generator):
        return create_proposer(ACCEL, generator)


class TestMutationsWhileThePoolIsFilled(ProposerSuite):
    """Hardly any level is replayed yet, but those that cannot be played are replaced."""

    fresh_share = 0.3

    def make_proposer(self, generator):
        return create_proposer(ACCEL.model_validate(ACCEL.model_dump() | {"min_fill": 1.0}), generator)


class TestMixture(ProposerSuite):
    fresh_share = 0.2
    num_rounds = 25  # each fits a mixture

    def make_proposer(self, generator):
        return create_proposer(AlpGmmConfig(), generator)


def quiet(config_type, **settings):
    return config_type(use_shared_memory=False, **settings)


class TestTheRegistry:
    def test_a_config_has_its_proposer(self):
        assert isinstance(create_proposer(CurriculumConfig(), ENDLESS), FreshProposer)
        assert isinstance(create_proposer(PrioritizedLevelReplayConfig(), ENDLESS), FreshProposer)
        assert isinstance(create_proposer(ACCEL, ENDLESS), MutationProposer)
        assert isinstance(create_proposer(AlpGmmConfig(), ENDLESS), ProgressMixtureProposer)
        progress = NoiseAwareConfig.recommended(proposal_share=0.5)
        assert isinstance(create_proposer(progress, FINITE), ProgressProposer)
        assert isinstance(create_proposer(progress, SeedGenerator()), FreshProposer)
        assert isinstance(create_proposer(NoiseAwareConfig.recommended(proposal_share=0.0), FINITE), FreshProposer)

    def test_level_editing_needs_a_generator_that_can_mutate(self):
        with pytest.raises(ValueError, match=r"generator: expected an endless one .* 200 tasks; give it a Span"):
            Curriculum(quiet(AccelConfig), FINITE)
        with pytest.raises(TypeError, match=r"generator: expected one with a mutate.*got SeedGenerator; write the"):
            Curriculum(quiet(AccelConfig))
        stiff = merge([single_task(1), SeedGenerator()], weights=[1, 1])
        with pytest.raises(ValueError, match=r"generator: expected one whose mutate changes tasks .* TaskGeneratorSet"):
            Curriculum(quiet(AccelConfig), stiff)

    def test_what_mutate_must_not_return(self):
        class Wrong(type(ENDLESS)):
            def mutate(self, seeds, params, rng):
                return params[:, :1] if self.label == "shape" else params * np.nan

        for name, found in (("shape", r"got shape \(64, 1\)"), ("nan", "got some that are not finite")):
            generator = Wrong(child=ENDLESS.child, buckets=ENDLESS.buckets, label=name)
            with pytest.raises(ValueError, match=f"generator.mutate: expected finite .*{found}; return one row"):
                create_proposer(ACCEL, generator)

    def test_a_mixture_needs_spans_that_all_tasks_have(self):
        for generator, found in (
            (FINITE, "of 200 tasks"),
            (merge([single_task(1), SeedGenerator()], weights=[1, 1]), "without a Span among its axes"),
            (merge([ENDLESS, single_task(1)]), "in which x, y applies to some tasks only"),
        ):
            with pytest.raises(ValueError, match=f"generator: expected an endless one with a Span.*{found}; give"):
                Curriculum(quiet(AlpGmmConfig), generator)


class Bad:
    """A custom proposer that does something wrong."""

    num_candidates = 2

    def __init__(self, proposed):
        self.proposed = proposed

    def propose(self, columns, candidates, n, rng):
        return self.proposed(candidates, n)


@pytest.mark.parametrize(
    ("generator", "proposed", "message"),
    [
        (ENDLESS, lambda candidates, n: candidates, r"seeds of shape \(8,\), .* got int64 of shape \(16,\); return"),
        (ENDLESS, lambda candidates, n: NewTasks(np.zeros(n), candidates.params[:n]), "got float64 of shape"),
        (ENDLESS, lambda candidates, n: NewTasks(np.full(n, -1), candidates.params[:n]), "seeds from 0, got -1; keep"),
        (ENDLESS, lambda candidates, n: NewTasks(candidates.seeds[:n], np.zeros((n, 2))), r"shape \(8, 3\)"),
        (ENDLESS, lambda candidates, n: NewTasks(candidates.seeds[:n], np.full((n, 3), np.nan)), "finite params"),
        (FINITE, lambda candidates, n: candidates.take(np.zeros(n, int)), "8 different .* got 7 duplicates; choose"),
        (FINITE, lambda candidates, n: NewTasks(np.arange(300, 300 + n), np.zeros((n, 2))), "got seed 300; choose"),
    ],
)
def test_what_a_proposer_must_not_return(generator, proposed, message):
    with pytest.raises(ValueError, match=f"proposer.propose: expected .*{message}"):
        Curriculum(quiet(UniformConfig, num_active_tasks=8), generator, proposer=Bad(proposed))


def test_what_is_no_proposer_is_refused():
    class Endless:
        def propose(self, columns, candidates, n, rng):
            return candidates

    for proposer in (Endless(), Bad, print):
        with pytest.raises(
            TypeError, match=r"proposer: expected an object with num_candidates and propose, got .*; add"
        ):
            Curriculum(quiet(UniformConfig, num_active_tasks=8), ENDLESS, proposer=proposer)
    for proposed in (lambda candidates, n: [*range(n)], lambda candidates, n: None):
        with pytest.raises(TypeError, match=r"proposer\.propose: expected NewTasks, got .*; return candidates\.take"):
            Curriculum(quiet(UniformConfig, num_active_tasks=8), ENDLESS, proposer=Bad(proposed))


def test_a_proposer_of_ones_own():
    class Lowest:
        """The candidates of the lowest x."""

        num_candidates = 4

        def propose(self, columns, candidates, n, rng):
            return candidates.take(np.argsort(candidates.params[:, 1])[:n])

    generator = bucketed({"x": 0.0, "a": 0}, {"a": [0, 1], "x": Span(0.0, 1.0)})
    curriculum = Curriculum(quiet(UniformConfig, num_active_tasks=64), generator, proposer=Lowest())
    assert np.mean([state.params[1] for state in curriculum.task_states()]) < 0.2


def test_without_one_nothing_changes():
    """Fresh tasks come in the order of the stream, as they did before there were proposers."""
    rng = np.random.default_rng((7, 1, 0))
    seeds = rng.integers(2**63 - 1, size=16)
    params = ENDLESS.sample(seeds, rng)
    states = Curriculum(quiet(UniformConfig, num_active_tasks=16, seed=7), ENDLESS).task_states()
    assert [state.seed for state in states] == seeds.tolist()
    assert [list(state.params) for state in states] == params.tolist()


def play(curriculum, num_steps, learner, batch=32):
    """Asks and tells; a success follows from `learner`: params by axis, shape (batch, num_axes) -> success rates."""
    rng = np.random.default_rng(0)
    names = [axis.name for axis in curriculum.generator.axes]
    for _ in range(num_steps):
        tasks = curriculum.ask(batch)
        rates = learner(np.array([[task.params[name] for name in names] for task in tasks]))
        curriculum.tell([task.task_id for task in tasks], (rng.random(batch) < rates).astype(float))


MOST = {
    "progress": NoiseAwareConfig.recommended(
        num_active_tasks=64, proposal_share=0.7, eviction_rate=0.2, min_presentations_for_eviction=3
    ),
    "mutations": AccelConfig(num_active_tasks=64, regret="positive_value_loss", min_presentations_for_eviction=3),
    "mixture": AlpGmmConfig(num_active_tasks=96),
}


@pytest.mark.parametrize("name", MOST)
class TestOneTruth:
    """What is proposed follows from the table, in whatever process."""

    def test_a_curriculum_that_was_saved_goes_on_with_the_same_tasks(self, name, tmp_path):
        config = MOST[name].model_copy(update={"use_shared_memory": False})
        here = Curriculum(config, ENDLESS)
        play(here, 20, lambda params: params[:, 1])
        here.save(tmp_path / "checkpoint")
        there = Curriculum.load(tmp_path / "checkpoint", ENDLESS)
        for curriculum in (here, there):
            play(curriculum, 10, lambda params: params[:, 1])
        assert [state.params for state in here.task_states()] == [state.params for state in there.task_states()]
        slots = [[task.task_id % config.num_active_tasks for task in whole.ask(20)] for whole in (here, there)]
        assert slots[0] == slots[1]
        assert here.stats()["num_evicted"] > 64

    def test_two_processes_of_a_session_share_what_is_proposed(self, name):
        config = MOST[name].model_copy(update={"session_id": f"test-proposers-{name}"})
        with Curriculum(config, ENDLESS) as first, Curriculum(config, ENDLESS) as second:
            for curriculum in (first, second) * 4:
                play(curriculum, 5, lambda params: params[:, 1])
            assert first.task_states() == second.task_states()
            assert first.stats()["num_evicted"] > 64


def test_new_tasks_come_where_the_axis_shows_progress():
    generator = bucketed({"kind": 0, "x": 0.0}, {"kind": list(range(20)), "x": Span(0.0, 1.0)})
    shares = {}
    for share in (0.0, 0.7):
        config = NoiseAwareConfig.recommended(
            num_active_tasks=200,
            use_shared_memory=False,
            proposal_share=share,
            eviction_rate=0.2,
            min_presentations_for_eviction=2,
        )
        curriculum = Curriculum(config, generator)
        step = iter(np.linspace(0.0, 0.6, 100))
        play(curriculum, 100, lambda params, step=step: np.where(params[:, 0] == 3, next(step), 0.0))
        columns = curriculum.tracker.snapshot().rows
        is_new = columns["task_id"] >= 200
        shares[share] = (columns["params"][is_new, 0] == 3).mean()
    assert shares[0.7] > 2 * shares[0.0]


class Runner:
    """A learner who solves gaps up to its skill, which grows on gaps at its edge."""

    def __init__(self, skill=0.15, rate=0.0004):
        self.skill = skill
        self.rate = rate

    def __call__(self, params):
        p = 1.0 / (1.0 + np.exp((params[:, 0] - self.skill) / 0.04))
        self.skill += self.rate * (p * (1.0 - p)).sum()
        return p


def near_the_edge(num_contenders):
    """Of the new levels, mutated and fresh: whether each was near the learner's edge when it came in."""
    generator = bucketed({"gap": 0.0, "width": 0.0}, {"gap": Span(0.0, 1.0), "width": Span(0.0, 1.0)})
    config = quiet(
        AccelConfig,
        num_active_tasks=128,
        regret="positive_value_loss",
        num_contenders=num_contenders,
        seed=num_contenders,
    )
    curriculum, runner = Curriculum(config, generator), Runner()
    seen, hits = {state.seed for state in curriculum.task_states()}, {True: [], False: []}
    for _ in range(60):
        before = curriculum.tracker.snapshot().rows
        play(curriculum, 4, runner)
        after = curriculum.tracker.snapshot().rows
        for slot in np.flatnonzero(before["task_id"] != after["task_id"]):
            seed = int(after["seed"][slot])  # a mutated level keeps its parent's
            hits[seed in seen].append(abs(after["params"][slot, 0] - runner.skill) < 0.1)
            seen.add(seed)
    return hits[True], hits[False]


def test_mutated_levels_come_near_the_edge_of_what_is_solved_more_often_than_fresh_ones():
    mutated, fresh = near_the_edge(1)
    assert len(mutated) > 2 * len(fresh) > 40
    assert np.mean(mutated) > 1.5 * np.mean(fresh)
    of_easy_ones, _ = near_the_edge(4)
    assert np.mean(mutated) > np.mean(of_easy_ones)


class TestMixtureOfProgress:
    GENERATOR = bucketed({"x": 0.0, "y": 0.0}, {"x": Span(0.0, 1.0), "y": Span(0.0, 1.0)})

    def inside(self, rand_task_rate):
        """How often a band of x that moves with the learner is drawn, of the half of y where it can learn."""
        config = quiet(AlpGmmConfig, num_active_tasks=256, rand_task_rate=rand_task_rate)
        curriculum, runner, found = Curriculum(config, self.GENERATOR), Runner(0.1, 0.0012), []

        def learner(params):
            x, y = params.T
            found.append(((abs(x - runner.skill) < 0.15) & (y < 0.5)).mean())
            learned = runner(params[y < 0.5])
            p = np.where(x < 0.3, 0.5, 0.0)  # the rest is a lottery, or impossible
            p[y < 0.5] = learned
            return p

        play(curriculum, 160, learner)
        return np.mean(found)

    def test_what_can_be_learned_now_is_drawn_more_than_by_chance(self):
        assert self.inside(0.2) > 1.4 * self.inside(1.0)

    def test_before_there_is_data_tasks_are_fresh(self):
        curriculum = Curriculum(quiet(AlpGmmConfig, num_active_tasks=64), self.GENERATOR)
        fresh = Curriculum(quiet(UniformConfig, num_active_tasks=64), self.GENERATOR)
        expected = [state.params for state in fresh.task_states()]
        assert [state.params for state in curriculum.task_states()] == expected

    def test_the_newest_tasks_played_are_kept_and_the_stock_is_drawn(self):
        config = quiet(AlpGmmConfig, num_active_tasks=64, history_share=0.5)
        curriculum = Curriculum(config, self.GENERATOR)
        play(curriculum, 40, lambda params: params[:, 0])
        rows = curriculum.tracker.snapshot().rows
        is_played = rows["num_completions"] > 0
        assert is_played.sum() >= 32
        if not is_played.all():
            assert (curriculum.probabilities()[is_played] == 0.0).all()
        may_go = evictable(curriculum.algorithm, rows)
        assert not (may_go & ~is_played).any()
        if may_go.any():
            assert rows["last_scheduled"][may_go].max() < rows["last_scheduled"][is_played & ~may_go].min()
