"""Generators in the box pass the public suite; configurations come back from files; bad ones are refused by name."""

import dataclasses
import datetime as dt
import enum
import json
from typing import ClassVar

import numpy as np
import pytest
import yaml
from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError

from curricular import (
    Axis,
    BucketedTaskGenerator,
    Curriculum,
    LearningProgressConfig,
    MutableTaskGenerator,
    SingleTaskGenerator,
    Span,
    TaskBuildError,
    TaskGeneratorSet,
    bucketed,
    dump_task_generator,
    load_task_generator,
    merge,
    single_task,
)
from curricular.generators import SeedGenerator, fingerprint
from curricular.params import Layout
from curricular.testing import GeneratorSuite

from .helpers import python
from .reference import fits


class Light(enum.Enum):
    DIM = "dim"
    BRIGHT = "bright"


class Room(BaseModel):
    model_config = ConfigDict(frozen=True)

    size: PositiveInt = 5
    light: Light = Light.DIM
    friction: float = Field(0.5, alias="mu")
    doors: tuple[str, ...] = ("north",)


class Hall(Room):
    pillars: int = 4


@dataclasses.dataclass(frozen=True)
class Level:
    room: Room = dataclasses.field(default_factory=Room)
    start: dt.date = dt.date(2026, 1, 1)
    extra: object = None


class OwnGenerator(BaseModel):
    """A user's own class, as a file names it: module:name."""

    low: int = 3
    axes: tuple[Axis, ...] = (Axis("x", Span(0.0, 1.0)),)
    num_tasks: None = None

    def sample(self, seeds, rng):
        return rng.random((len(seeds), 1))

    def label_of(self, seed, params):
        return "own"

    def build(self, seed, params):
        return {"low": self.low, "x": float(params[0]), "seed": seed}


class PlainGenerator:
    """The least that a user's own class can be."""

    axes = (Axis("size", (3, 4)),)
    num_tasks = None

    def sample(self, seeds, rng):
        return rng.integers(2, size=(len(seeds), 1)).astype(float)

    def label_of(self, seed, params):
        return ""

    def build(self, seed, params):
        return int(params[0])


LEVEL = Level(room=Hall(mu=0.25, pillars=9), extra=Room(size=8))
GENERATORS = {
    "seed": SeedGenerator(),
    "single": single_task(LEVEL, label="one"),
    "values": bucketed(LEVEL, {"room.size": [5, 9], "room.light": [Light.DIM, Light.BRIGHT], "extra": [None, Room()]}),
    "span": bucketed({"gravity": 9.81, "agents": 1}, {"gravity": Span(1.0, 20.0), "agents": Span(1, 4)}, label="moon"),
    "mixed": bucketed({"gravity": 9.81, "map": {"size": 5}}, {"gravity": Span(1.0, 20.0), "map.size": [5, 9]}),
    "nested": bucketed(bucketed({"a": 0, "b": 0}, {"b": [1, 2, 3]}), {"a": [4, 5]}),
    "singles": merge([single_task(name, label=name) for name in ("reach", "grasp", "push")]),
    "weighted": merge(
        [bucketed({"a": 0}, {"a": [1, 2]}), bucketed({"b": 0.0}, {"b": Span(0.0, 1.0)}), single_task({})], [1, 2, 0.5]
    ),
    "sets of sets": merge([merge([single_task(1), single_task(2)]), bucketed({"c": 1}, {"c": [1, 2, 3]})]),
    "own": OwnGenerator(low=7),
    "plain": PlainGenerator(),
    "own in a set": merge([OwnGenerator(), single_task("x")], [3, 1]),
    "plain in a set": TaskGeneratorSet(children=(PlainGenerator(), single_task("x"))),
    "own in buckets": BucketedTaskGenerator(child=OwnGenerator(), buckets={"low": (1, 2)}),
}


class TestGenerators(GeneratorSuite):
    @pytest.fixture(autouse=True, params=GENERATORS)
    def _name(self, request):
        self.name = request.param

    def make_generator(self):
        return GENERATORS[self.name]

    def test_a_file_brings_it_back(self):
        if self.name == "plain in a set":
            with pytest.raises(ValueError, match="PlainGenerator, which cannot be written to a file; derive"):
                dump_task_generator(self.make_generator())
        else:
            super().test_a_file_brings_it_back()

    def test_yaml_brings_it_back(self):
        generator = self.make_generator()
        if isinstance(generator, BaseModel) and self.name != "plain in a set":
            text = yaml.safe_dump(dump_task_generator(generator), sort_keys=False)
            assert fingerprint(load_task_generator(yaml.safe_load(text))) == fingerprint(generator)

    def test_the_fingerprint_is_the_same_in_every_process(self):
        code = f"from tests.test_generators import *; print(fingerprint(GENERATORS[{self.name!r}]))"
        if self.name in {"values", "weighted", "plain in a set"}:
            assert python(code, PYTHONHASHSEED="7") == fingerprint(self.make_generator())


def test_fingerprints_differ():
    assert len({fingerprint(generator) for generator in GENERATORS.values()}) == len(GENERATORS)


def test_a_set_of_strings_has_one_fingerprint():
    code = "from curricular import *; from curricular.generators import fingerprint\n"
    code += "print(fingerprint(single_task({'a': {'x', 'yy', 'zzz', 'w'}})))"
    prints = {python(code, PYTHONHASHSEED=str(seed)) for seed in range(3)}
    assert len(prints) == 1


@pytest.mark.parametrize("config", [object(), np.arange(3), len, {"f": object()}, {1, 2}, None, 3.5, "text"])
def test_a_configuration_may_be_anything(config):
    generator = single_task(config)
    curriculum = Curriculum(LearningProgressConfig.default(num_active_tasks=1, use_shared_memory=False), generator)
    again = Curriculum(LearningProgressConfig.default(num_active_tasks=1, use_shared_memory=False), generator)
    again.load_state_dict(curriculum.state_dict())
    assert type(curriculum.get_task().config) is type(config)


class TestCombinations:
    """Streams of parent and child, of generation and selection are independent."""

    @staticmethod
    def counted(generator, key, num_tasks=6000, capacity=64):
        config = LearningProgressConfig.default(
            num_active_tasks=capacity,
            use_shared_memory=False,
            min_presentations_for_eviction=10,
            eviction_threshold_percentile=1.0,
            eviction_rate=1.0,
            ema_timescale=1.0,
        )
        curriculum, counts, seen = Curriculum(config, generator), {}, set()
        rng = np.random.default_rng(0)
        while len(seen) < num_tasks:
            for state in curriculum.task_states():
                if state.task_id not in seen:
                    seen.add(state.task_id)
                    value = key(generator.build(state.seed, np.array(state.params)))
                    counts[value] = counts.get(value, 0) + 1
            ids = np.array([state.task_id for state in curriculum.task_states()])
            curriculum.tell(np.repeat(ids, 12), rng.random(12 * len(ids)))
        return counts

    @pytest.mark.parametrize("endless", ["parent", "child"])
    def test_nested_four_by_four_buckets_give_all_sixteen_equally_often(self, endless):
        base = {"a": 0, "b": 0, "x": 0.0}
        span = {"x": Span(0.0, 1.0)}
        child = bucketed(base, {"a": [1, 2, 3, 4], **(span if endless == "child" else {})})
        generator = bucketed(child, {"b": [1, 2, 3, 4], **(span if endless == "parent" else {})})
        counts = self.counted(generator, lambda config: (config["a"], config["b"]))
        assert len(counts) == 16
        assert fits(list(counts.values()), np.full(16, 1 / 16))

    def test_through_weighted_merged_sets_too(self):
        inner = bucketed({"a": 0, "b": 0, "x": 0.0}, {"a": [1, 2, 3, 4]})
        child = merge([inner, inner], [1, 3])
        family = bucketed(child, {"b": [1, 2, 3, 4], "x": Span(0.0, 1.0)})
        generator = merge([family, bucketed({"a": 9, "b": 9, "x": 0.0}, {"x": Span(0.0, 1.0)})], [3, 1])
        counts = self.counted(generator, lambda config: (config["a"], config["b"]))
        assert len(counts) == 17
        rest = counts.pop((9, 9))
        assert fits(list(counts.values()), np.full(16, 1 / 16))
        assert abs(rest / (rest + sum(counts.values())) - 0.25) < 0.01  # each batch of new tasks has these shares

    def test_a_finite_one_holds_each_combination_once(self):
        generator = bucketed(bucketed({"a": 0, "b": 0}, {"a": [1, 2, 3, 4]}), {"b": [1, 2, 3, 4]})
        params = generator.sample(np.arange(16), np.random.default_rng(0))
        configs = {tuple(generator.build(seed, row).values()) for seed, row in enumerate(params)}
        assert generator.num_tasks == len(configs) == 16

    def test_spans_are_uniform(self):
        params = GENERATORS["span"].sample(np.arange(4000), np.random.default_rng(0))
        assert fits(np.bincount(params[:, 0].astype(int))[1:], np.full(4, 1 / 4))
        assert fits(np.histogram(params[:, 1], bins=10, range=(1, 20))[0], np.full(10, 1 / 10))


class TestMutation:
    """A small step on one axis, with the seed kept."""

    @staticmethod
    def steps(name):
        generator = GENERATORS[name]
        seeds = np.arange(2000)
        params = generator.sample(seeds, np.random.default_rng(0))
        return generator, params, generator.mutate(seeds, params, np.random.default_rng(1))

    def test_a_bucket_changes_one_axis_a_little(self):
        generator, params, mutated = self.steps("span")
        assert ((mutated != params).sum(axis=1) <= 1).all()
        assert (mutated != params).any(axis=1).mean() > 0.8
        agents, gravity = (abs(mutated - params)[:, column] for column in (0, 1))
        assert set(agents) <= {0.0, 1.0}
        assert gravity[gravity > 0].std() == pytest.approx(0.6 * 1.9, rel=0.2)
        assert [axis.name for axis in generator.axes] == ["agents", "gravity"]

    def test_a_choice_becomes_any_other(self):
        generator = bucketed({"a": 0, "b": 0.0}, {"a": [1, 2, 3], "b": Span(0.0, 1.0)})
        params = np.zeros((3000, 2))
        mutated = generator.mutate(np.arange(3000), params, np.random.default_rng(0))
        assert fits(np.bincount(mutated[:, 0].astype(int)), np.array([1 / 2, 1 / 4, 1 / 4]))

    def test_an_endless_child_takes_its_part_and_a_finite_one_stays(self):
        base = {"a": 0.0, "b": 0.0, "c": 0}
        endless = bucketed(bucketed(base, {"b": Span(0.0, 1.0)}), {"a": Span(0.0, 1.0)})
        finite = bucketed(bucketed(base, {"c": [1, 2, 3]}), {"a": Span(0.0, 1.0)})
        for generator, shares in ((endless, [0.5, 0.5]), (finite, [1.0, 0.0])):
            seeds = np.arange(2000)
            params = generator.sample(seeds, np.random.default_rng(0))
            changed = generator.mutate(seeds, params, np.random.default_rng(1)) != params
            assert changed.mean(axis=0) == pytest.approx(shares, abs=0.06)

    def test_in_a_set_the_member_does_it(self):
        generator, params, mutated = self.steps("weighted")
        of_span = params[:, 0] == 1
        assert (mutated[:, 0] == params[:, 0]).all()
        assert (mutated[~of_span] == params[~of_span]).all()
        assert (mutated[of_span] != params[of_span]).any(axis=1).mean() > 0.9
        assert Layout(generator.axes).decode(mutated[of_span][0]).keys() == {"generator", "b"}

    def test_one_of_ones_own_is_known_by_its_method(self):
        assert isinstance(GENERATORS["span"], MutableTaskGenerator)
        assert not isinstance(PlainGenerator(), MutableTaskGenerator)


class TestFiles:
    def test_a_kind_names_the_built_ins_and_module_name_ones_own(self):
        data = dump_task_generator(GENERATORS["own in a set"])
        assert data["kind"] == "set"
        assert data["children"][0]["kind"] == "tests.test_generators:OwnGenerator"
        assert data["children"][1]["kind"] == "single"

    def test_nothing_of_a_configuration_is_lost(self):
        again = load_task_generator(json.loads(json.dumps(dump_task_generator(single_task(LEVEL)))))
        assert again.config == LEVEL
        assert type(again.config.room) is Hall
        assert type(again.config.extra) is Room

    @pytest.mark.parametrize("kind", [None, "nothing", "nowhere:Generator", "tests.test_generators:Missing", "json:"])
    def test_an_unknown_kind_is_refused(self, kind):
        with pytest.raises(ValueError, match="kind: expected"):
            load_task_generator({"kind": kind, "config": 1})

    def test_an_unknown_field_is_refused(self):
        with pytest.raises(ValidationError, match="colour"):
            load_task_generator({"kind": "single", "config": 1, "colour": 2})

    def test_a_plain_class_cannot_be_written(self):
        with pytest.raises(TypeError, match=r"generator: expected a pydantic model, got PlainGenerator.*derive"):
            dump_task_generator(PlainGenerator())


class TestBadInput:
    @pytest.mark.parametrize(
        "ends",
        [(2, 1), (0.5, 0.25), (0.0, float("nan")), (0.0, float("inf")), (0, 2**53 + 2), (0, 10**400), (-1e308, 1e308)],
    )
    def test_a_span_upside_down(self, ends):
        with pytest.raises(ValueError, match=r"Span: expected .* (low=|got Span).*; (swap or move|narrow)"):
            Span(*ends)

    def test_an_empty_bucket(self):
        with pytest.raises(ValueError, match=r"buckets\['size'\]: expected a Span or at least one value, got none"):
            bucketed({"size": 1}, {"size": []})
        with pytest.raises(ValidationError, match="at least 1 item"):
            bucketed({"size": 1}, {})

    @pytest.mark.parametrize(
        ("base", "path", "nearest"),
        [
            ({"map": {"size": 5}}, "mop.size", "map.size"),
            (Level(), "room.sizes", "room.size"),
            (Level(), "rooms", "room"),
            ({"map": {"size": 5}}, "map.size.x", "map.size"),
            ({"map": {"size": 5}}, "map.", "map"),
            ({"map": {"size": 5}}, ".map", "map"),
            ({"rows": [1, 2]}, "rows.2", "rows.1"),
            ({"rows": (1, 2)}, "rows.-1", "rows.1"),
        ],
    )
    def test_a_path_that_the_config_does_not_have(self, base, path, nearest):
        with pytest.raises(KeyError, match=f"path: expected .*{path!r}; the nearest is {nearest!r}"):
            bucketed(base, {path: [1]})

    @pytest.mark.parametrize(("base", "path"), [({True: 2}, "True.x"), ({"": 1}, ""), (7, "a.b"), ("text", "0")])
    def test_what_no_path_can_name(self, base, path):
        with pytest.raises(KeyError, match="path: expected"):
            bucketed(base, {path: [1]})

    def test_a_value_that_the_config_refuses(self):
        with pytest.raises(ValueError, match=r"buckets\['room.size'\]: expected .* got -1; the config says"):
            bucketed(Level(), {"room.size": [5, -1]})

    @pytest.mark.parametrize("weights", [[1.0], [1.0, 0.0], [1.0, -1.0], [1.0, float("nan")], [1.0, float("inf")], []])
    def test_weights(self, weights):
        with pytest.raises(ValueError, match="weights"):
            merge([single_task(1), single_task(2)], weights)

    def test_nothing_to_merge(self):
        with pytest.raises(ValueError, match="children"):
            merge([])

    def test_more_tasks_than_there_are(self):
        with pytest.raises(
            ValueError, match=r"num_active_tasks: expected at most the 4 .* got 5; set num_active_tasks=4"
        ):
            Curriculum(LearningProgressConfig.default(num_active_tasks=5), bucketed({"a": 0}, {"a": [1, 2, 3, 4]}))

    @pytest.mark.parametrize(
        ("sampled", "message"),
        [
            (np.zeros((4, 2)), r"shape \(4, 1\).*got \(4, 2\)"),
            (np.zeros(4), r"shape \(4, 1\).*got \(4,\)"),
            (np.full((4, 1), np.nan), "finite params, got nan"),
            (np.full((4, 1), -np.inf), "finite params, got -inf"),
        ],
    )
    def test_params_of_a_wrong_shape_or_value(self, sampled, message):
        generator = PlainGenerator()
        generator.sample = lambda seeds, rng: sampled
        with pytest.raises(ValueError, match=f"generator.sample: expected .*{message}"):
            Curriculum(LearningProgressConfig.default(num_active_tasks=4, use_shared_memory=False), generator)

    def test_a_build_that_always_raises_names_the_task_and_leaves_nothing_pending(self):
        generator = PlainGenerator()
        generator.build = lambda seed, params: 1 / 0
        curriculum = Curriculum(LearningProgressConfig.default(num_active_tasks=4, use_shared_memory=False), generator)
        for ask in (curriculum.get_task, lambda: curriculum.ask(3), lambda: curriculum.ask(2, replace=False)):
            with pytest.raises(
                TaskBuildError, match=r"ZeroDivisionError.* for task \d with seed \d+ and params .*size"
            ) as e:
                ask()
            assert isinstance(e.value.__cause__, ZeroDivisionError)
            stats = curriculum.stats()
            assert stats["num_pending"] == 0
            assert stats["num_scheduled"] == stats["num_cancelled"] > 0
        generator.build = lambda seed, params: seed
        assert len(curriculum.ask(5)) == 5


def test_a_base_is_never_changed():
    base = {"map": {"size": 5}, "lit": True}
    generator = bucketed(base, {"map.size": [7, 9], "lit": [False]})
    built = [generator.build(seed, row) for seed, row in enumerate(generator.sample(np.arange(2), None))]
    assert built == [{"map": {"size": 7}, "lit": False}, {"map": {"size": 9}, "lit": False}]
    assert base == {"map": {"size": 5}, "lit": True}


def test_a_path_into_what_another_bucket_puts_there():
    generator = bucketed({"map": {"size": 5}}, {"map": [{"size": 1, "lit": True}], "map.size": [7]})
    assert generator.build(0, np.zeros(2)) == {"map": {"size": 7, "lit": True}}


def test_a_single_task_is_one():
    generator = SingleTaskGenerator(config="reach", label="r")
    assert (generator.num_tasks, generator.axes, generator.label_of(0, np.empty(0))) == (1, (), "r")


@pytest.mark.parametrize("num_digits", [9, 25])
def test_more_tasks_than_anybody_counts(num_digits):
    buckets = {str(i): list(range(10)) for i in range(num_digits)}
    generator = bucketed(dict.fromkeys(buckets, 0), buckets)
    Curriculum(LearningProgressConfig.default(num_active_tasks=8, use_shared_memory=False), generator).get_task()


def test_a_span_of_numpy_integers_is_whole():
    span = Span(np.int64(1), np.int64(5))
    assert span == Span(1, 5)
    assert span.is_integer
    assert not Span(np.float64(1), 5).is_integer


def test_labels_name_values_as_files_do_and_others_by_their_place():
    generator = bucketed(LEVEL, {"room.light": [Light.DIM], "extra": [None, Room()], "room.size": Span(3, 4)})
    labels = {generator.label_of(0, np.array([extra, 0.0, 3.0])) for extra in (0.0, 1.0)}
    assert labels == {"extra=None,room.light=dim", "extra=#1,room.light=dim"}


def test_the_order_of_keys_in_a_file_makes_no_difference():
    generator = bucketed({"a": 0, "b": 0}, {"b": [1, 2], "a": [3, 4]})
    text = yaml.safe_dump(dump_task_generator(generator))
    assert fingerprint(load_task_generator(yaml.safe_load(text))) == fingerprint(generator)


class DrawsGlobally(PlainGenerator):
    def build(self, seed, params):
        return np.random.random() and super().build(seed, params)  # noqa: NPY002  as a careless user


class Shares(PlainGenerator):
    config: ClassVar[dict[str, int]] = {}

    def build(self, seed, params):
        self.config["seed"] = seed
        return self.config


class Halves(PlainGenerator):
    axes = (Axis("size", Span(1, 9)),)

    def sample(self, seeds, rng):
        return np.full((len(seeds), 1), 2.5)


class NumbersLabels(PlainGenerator):
    def label_of(self, seed, params):
        return seed % 3


@pytest.mark.parametrize(
    ("generator", "test", "rule"),
    [
        (DrawsGlobally, "test_building_is_pure", "none from NumPy's global stream"),
        (Shares, "test_building_is_pure", "no later call changes one that was built before"),
        (Halves, "test_params_lie_on_the_axes", "a whole number where both ends of a span are ints"),
        (NumbersLabels, "test_labels_are_few_and_short", "label_of: a string"),
    ],
)
def test_the_suite_names_the_rule_that_is_broken(generator, test, rule):
    class Suite(GeneratorSuite):
        def make_generator(self):
            return generator()

    with pytest.raises(AssertionError, match=rule):
        getattr(Suite(), test)()
