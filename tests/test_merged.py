"""Merged sets: a task holds the params of its own member, whatever is nested in what."""

import numpy as np
import pytest

from curricular import (
    Axis,
    Curriculum,
    LearningProgressConfig,
    Span,
    TaskGeneratorSet,
    bucketed,
    merge,
    single_task,
)
from curricular.generators import fingerprint
from curricular.params import Layout
from curricular.task import num_params
from curricular.testing import GeneratorSuite


class Branching:
    """One of a user's own with two axes side by side whose choices have axes of their own."""

    axes = (
        Axis("robot", ("arm", "dog"), branches=((Axis("reach", Span(0.0, 2.0)), Axis("grip", (0, 1, 2))), ())),
        Axis("lit", (False, True)),
        Axis("ground", ("mud", "ice"), branches=((), (Axis("slip", Span(1, 5)),))),
    )
    num_tasks = None

    def sample(self, seeds, rng):
        robot, lit, ground = rng.integers(2, size=(3, len(seeds)))
        reach, grip = rng.uniform(0, 2, size=len(seeds)), rng.integers(3, size=len(seeds))
        slip = rng.integers(1, 6, size=len(seeds))
        return np.column_stack([robot, reach * (robot == 0), grip * (robot == 0), lit, ground, slip * (ground == 1)])

    def label_of(self, seed, params):
        return "dog" if params[0] else "arm"

    def build(self, seed, params):
        return params.tolist()


ROOM = {"a": 0, "b": 0.0, "c": 0, "d": 0.0}


def family(label, *axes):
    """Tasks of a member of its own, over the given keys."""
    values = {"a": [1, 2, 3], "b": Span(0.0, 1.0), "c": Span(1, 9), "d": [0.5]}
    return bucketed({**ROOM, "member": label}, {axis: values[axis] for axis in axes}, label=label)


SETS = {
    "set": merge([family("one", "a"), family("two", "b", "c", "d"), single_task({"member": "three"})], [1, 2, 1]),
    "set of sets": merge(
        [merge([family("one", "a", "b"), family("two", "c")]), family("three", "d"), merge([family("four", *"abcd")])]
    ),
    "buckets over a set": bucketed(merge([family("one", "b"), family("two", "c", "d")]), {"a": [7, 8]}),
    "set of buckets over sets": merge(
        [bucketed(merge([family("one", "b"), family("two", "d")], [3, 1]), {"a": [7, 8]}), family("three", *"abc")]
    ),
    "finite": merge([bucketed(merge([family("one", "a"), family("two", "d")]), {"c": [1, 2]}), family("three", "d")]),
}
"""Merged sets whose configurations say in ``"member"`` where they come from."""


class TestGenerators(GeneratorSuite):
    @pytest.fixture(autouse=True, params=SETS)
    def _name(self, request):
        self.name = request.param

    def make_generator(self):
        return SETS[self.name]


class TestBranching(GeneratorSuite):
    def make_generator(self):
        return Branching()


class TestBranchingInASet(GeneratorSuite):
    def make_generator(self):
        return TaskGeneratorSet(children=(family("one", "b"), Branching()))

    def test_a_file_brings_it_back(self):
        with pytest.raises(ValueError, match="Branching, which cannot be written to a file"):
            super().test_a_file_brings_it_back()


def test_fingerprints_differ():
    assert len({fingerprint(generator) for generator in SETS.values()}) == len(SETS)


class TestMergedSets:
    """A row holds the params of its own member, and the number of the member."""

    @pytest.fixture(autouse=True, params=SETS)
    def _name(self, request):
        self.generator = SETS[request.param]
        num_tasks = self.generator.num_tasks
        self.seeds = np.arange(500 if num_tasks is None else num_tasks)
        self.params = self.generator.sample(self.seeds, np.random.default_rng(0))
        self.layout = Layout(self.generator.axes)

    def configs(self, params):
        return [self.generator.build(seed, row) for seed, row in zip(self.seeds.tolist(), params, strict=True)]

    def test_a_value_by_its_name_is_the_one_in_the_configuration(self):
        configs = self.configs(self.params)
        assert len({config["member"] for config in configs}) > 1
        for row, config in zip(self.params, configs, strict=True):
            values = self.layout.decode(row)
            varied = {key: value for key, value in config.items() if key in ROOM and value != ROOM[key]}
            assert varied == {name: value for name, value in values.items() if name in ROOM}

    def test_mutation_changes_params_of_the_member_alone(self):
        if self.generator.num_tasks is not None:
            pytest.skip("a finite set does not mutate")
        mutated = self.generator.mutate(self.seeds, self.params, np.random.default_rng(1))
        assert (mutated != self.params).any()
        assert ((mutated != self.params).sum(axis=1) <= 1).all()
        assert self.layout.find_off(mutated) is None
        before, after = self.configs(self.params), self.configs(mutated)
        for config, changed, row, new in zip(before, after, self.params, mutated, strict=True):
            assert changed["member"] == config["member"]
            assert changed.keys() == config.keys()
            assert self.layout.decode(new).keys() == self.layout.decode(row).keys()

    def test_a_checkpoint_brings_back_the_same_tasks(self, tmp_path):
        config = LearningProgressConfig.default(num_active_tasks=4, use_shared_memory=False)
        here = Curriculum(config, self.generator)
        here.tell([task.task_id for task in here.ask(20)], [0.5] * 20)
        here.save(tmp_path / "checkpoint")
        there = Curriculum.load(tmp_path / "checkpoint", self.generator)
        assert [state.params for state in here.task_states()] == [state.params for state in there.task_states()]
        assert here.ask(20) == there.ask(20)
        assert all(len(state.params) == self.params.shape[1] for state in there.task_states())


def test_a_row_is_as_wide_as_the_widest_member_needs():
    members = [family(str(number), *"abcd"[: number % 5]) for number in range(1, 150) if number % 5]
    assert num_params(merge(members).axes) == 1 + 4
    assert num_params(merge([merge(members), single_task(1)]).axes) == 1 + 1 + 4
    assert num_params(bucketed(merge(members), {"member": ["x", "y"]}).axes) == 1 + 1 + 4


def test_a_member_gets_its_own_columns_and_no_more():
    class Strict:
        axes = (Axis("size", (3, 4)),)
        num_tasks = None

        def sample(self, seeds, rng):
            return rng.integers(2, size=(len(seeds), 1)).astype(float)

        def build(self, seed, params):
            assert params.shape == (1,)
            return params.tolist()

        def label_of(self, seed, params):
            return str(params.shape)

        def mutate(self, seeds, params, rng):
            assert params.shape == (len(seeds), 1)
            return 1 - params

    generator = TaskGeneratorSet(children=(Strict(), family("wide", "b", "c")))
    generator = merge([generator])
    params = generator.sample(np.arange(50), np.random.default_rng(0))
    of_strict = params[:, 1] == 0
    assert of_strict.any()
    assert generator.build(0, params[of_strict][0]) == params[of_strict][0, 2:3].tolist()
    assert generator.label_of(0, params[of_strict][0]) == "(1,)"
    mutated = generator.mutate(np.arange(50), params, np.random.default_rng(1))
    assert (mutated[of_strict, 2] == 1 - params[of_strict, 2]).all()
    assert (mutated[of_strict, 3] == 0).all()
