"""The test suite for proposers of new tasks."""

import pickle
from typing import Any

import numpy as np
import pytest

from ..algorithms.proposals import NewTasks, Proposer
from ..arrays import Columns
from ..curriculum import Curriculum
from ..generators import (
    TaskGenerator,
    bucketed,
)
from ..params import Layout
from ..table import (
    columns_of,
    empty_table,
)
from ..task import Span, num_params
from .generators import GeneratorSuite
from .play import play, quick


class ProposerSuite:
    """Checks that a proposer is a pure function of pool, candidates and stream, and keeps its share of fresh tasks."""

    fresh_share: float = 0.0
    """Minimum share of fresh tasks that the proposer promises. Override it."""

    num_cases = 4
    """Number of pools that each test generates."""

    num_rounds = 100
    """Number of calls over which the test of fresh tasks counts proposals."""

    def make_proposer(self, generator: TaskGenerator[Any]) -> Proposer:
        """Returns the proposer to test, for the tasks of `generator`. Override this method."""
        raise NotImplementedError("make_proposer: expected an override that returns a proposer; write it")

    def make_generator(self) -> TaskGenerator[Any]:
        """Returns the generator of the tasks. Override this method if the proposer needs another generator."""
        base = {"size": 0, "speed": 0.0, "colour": 0}
        return bucketed(base, {"size": Span(3, 15), "speed": Span(0.0, 1.0), "colour": [1, 2, 3]})

    def make_columns(self, seed: int) -> Columns:
        """Returns read-only columns of a pool. Seed 0 gives a pool without tasks, seed 1 one without results."""
        generator = self.make_generator()
        capacity = 128 if generator.num_tasks is None else max(1, generator.num_tasks // 2)
        curriculum = Curriculum(quick(capacity, seed=seed, use_shared_memory=False), generator)
        if seed > 1:
            play(curriculum, 200 * seed)
        table = curriculum.tracker.snapshot() if seed else empty_table(capacity, num_params(generator.axes))
        return columns_of(table, Layout(generator.axes))

    def make_candidates(self, columns: Columns, num_candidates: int, seed: int) -> NewTasks:
        """Returns up to `num_candidates` fresh tasks, read-only.

        A finite generator may have fewer tasks that are not in the pool.
        """
        generator, rng = self.make_generator(), np.random.default_rng((1, seed))
        if generator.num_tasks is None:
            seeds = rng.integers(2**63 - 1, size=num_candidates)
        else:
            left = np.setdiff1d(np.arange(generator.num_tasks), columns["seed"][columns["is_active"]])
            seeds = rng.permutation(left)[:num_candidates]
        params = np.asarray(generator.sample(seeds, rng), np.float64)
        seeds.flags.writeable = params.flags.writeable = False
        return NewTasks(seeds, params)

    def propose(self, columns: Columns, n: int, num_candidates: int, seed: int) -> tuple[NewTasks, NewTasks]:
        """Returns `n` tasks that a new proposer proposes, and the candidates that it got."""
        candidates = self.make_candidates(columns, num_candidates, seed)
        proposer = self.make_proposer(self.make_generator())
        return proposer.propose(columns, candidates, n, np.random.default_rng(seed)), candidates

    @pytest.mark.parametrize("n", [1, 2, 7])
    def test_it_proposes_as_many_tasks_as_are_wanted(self, n: int) -> None:
        generator = self.make_generator()
        num_candidates = self.make_proposer(generator).num_candidates
        assert num_candidates >= 1, "num_candidates: at least 1 for each task that is wanted"
        for seed in range(self.num_cases):
            (seeds, params), candidates = self.propose(self.make_columns(seed), n, n * num_candidates, seed)
            assert seeds.shape == (n,), "propose: n tasks, one seed each"
            assert seeds.dtype.kind == "i", "propose: seeds are whole numbers"
            assert (seeds >= 0).all(), "propose: seeds are not negative"
            assert params.shape == (n, num_params(generator.axes)), (
                "propose: params of shape (n, number of columns of the axes)"
            )
            assert np.isfinite(params).all(), "propose: params are finite"
            GeneratorSuite().assert_on_the_axes(generator, list(params))
            if generator.num_tasks is not None:
                self.assert_among(candidates, NewTasks(seeds, params))

    def test_of_a_finite_generator_there_may_be_fewer_candidates(self) -> None:
        generator = self.make_generator()
        if generator.num_tasks is None:
            pytest.skip("an endless generator always has as many candidates as are wanted")
        num_candidates = self.make_proposer(generator).num_candidates
        for seed in range(self.num_cases):
            for given in {3, max(3, 3 * num_candidates - 1)}:
                proposed, candidates = self.propose(self.make_columns(seed), 3, given, seed)
                assert len(proposed.seeds) == 3, "propose: n tasks, even of fewer candidates"
                self.assert_among(candidates, proposed)

    def assert_among(self, candidates: NewTasks, proposed: NewTasks) -> None:
        """Asserts that all tasks in `proposed` are among `candidates`, each at most once."""
        offered = dict(zip(candidates.seeds.tolist(), candidates.params.tolist(), strict=True))
        assert len(set(proposed.seeds.tolist())) == len(proposed.seeds), (
            "propose: each candidate of a finite generator at most once"
        )
        assert [offered[seed] for seed in proposed.seeds.tolist()] == proposed.params.tolist(), (
            "propose: of a finite generator, candidates alone, with their params"
        )

    def test_the_same_pool_and_stream_give_the_same_tasks(self) -> None:
        proposer, n = self.make_proposer(self.make_generator()), 5
        for seed in range(self.num_cases):
            columns = self.make_columns(seed)
            expected, candidates = self.propose(columns, n, n * proposer.num_candidates, seed)
            for again in (proposer, proposer, pickle.loads(pickle.dumps(proposer))):  # noqa: S301  as another process
                found = again.propose(columns, candidates, n, np.random.default_rng(seed))
                assert np.array_equal(found.seeds, expected.seeds), (
                    "propose: no memory and no chance but rng, so that the same arguments give the same seeds"
                )
                assert np.array_equal(found.params, expected.params), (
                    "propose: no memory and no chance but rng, so that the same arguments give the same params"
                )

    def test_every_fresh_task_has_its_chance(self) -> None:
        n, num_rounds = 8, self.num_rounds
        proposer = self.make_proposer(self.make_generator())
        columns = self.make_columns(self.num_cases - 1)
        candidates = self.make_candidates(columns, n * proposer.num_candidates, 0)
        offered = list(zip(candidates.seeds.tolist(), candidates.params.tolist(), strict=True))
        counts = np.zeros(len(offered))
        for seed in range(num_rounds):
            found = proposer.propose(columns, candidates, n, np.random.default_rng(seed))
            proposed = list(zip(found.seeds.tolist(), found.params.tolist(), strict=True))
            counts += [task in proposed for task in offered]
        least = num_rounds * n / len(offered) * self.fresh_share
        assert (counts >= least - 4 * least**0.5).all(), "fresh_share: every fresh candidate has its chance"
        assert counts.mean() >= least - 4 * (least / len(offered)) ** 0.5, (
            "fresh_share: on average, this share of the proposed tasks is fresh"
        )

    def test_a_curriculum_runs_with_it(self) -> None:
        generator = self.make_generator()
        config = quick(32 if generator.num_tasks is None else max(1, generator.num_tasks // 2))
        first, second = (Curriculum(config, generator, proposer=self.make_proposer(generator)) for _ in range(2))
        assert play(first, 300) == play(second, 300), "pure: two curricula with the same calls hand out the same tasks"
        second.load_state_dict(first.state_dict())
        assert play(first, 300) == play(second, 300), "pure: no memory that a saved state lacks"
        assert first.stats()["num_evicted"] > 0, "evictions: the proposed tasks enter the pool"
