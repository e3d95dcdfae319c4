"""Inputs that people have: spans in lists, new keys, bytes, arrays, wrong types; each works or is one clear error."""

import collections
import dataclasses
import datetime as dt
import enum
import functools
import json
import pathlib
import types
import typing
import uuid
from decimal import Decimal

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from curricular import (
    AccelConfig,
    AlpGmmConfig,
    AnyCurriculumConfig,
    Axis,
    BucketedTaskGenerator,
    Curriculum,
    NoiseAwareConfig,
    Span,
    TaskGeneratorSet,
    UniformConfig,
    bucketed,
    dump_task_generator,
    load_config,
    load_task_generator,
    merge,
    single_task,
)
from curricular.generators import fingerprint
from curricular.generators.encoding import decode_config, encode_config
from curricular.generators.paths import fields
from curricular.params import Layout
from curricular.testing import GeneratorSuite

from .helpers import python
from .reference import fits

MIXED = bucketed({"seed": 0, "lit": False}, {"seed": [1, 2, 3, Span(100, 200)], "lit": [False, True]})
GENERATORS = {
    "mixed": MIXED,
    "several spans": bucketed({"w": 0, "x": 0}, {"w": ["a", Span(1, 4), Span(0.5, 0.75)], "x": [Span(0, 3), 9]}),
    "mixed over mixed": bucketed(MIXED, {"w": [7, Span(0.0, 1.0)]}),
    "mixed in a set": merge([MIXED, single_task({"seed": 0}), bucketed({"seed": 0}, {"seed": Span(5, 9)})]),
    "log": bucketed({"rate": 0.1, "size": 1}, {"rate": Span(1e-4, 1e-1, log=True), "size": Span(1, 1024, log=True)}),
    "log among values": bucketed({"rate": 0.1}, {"rate": [0, Span(1e-4, 1e-1, log=True)]}),
    "constant": bucketed({"x": 0.0, "y": 0}, {"x": Span(0.25, 0.25), "y": Span(3, 3)}),
    "constant logarithm": bucketed({"x": 0.0}, {"x": Span(0.25, 0.25, log=True)}),
    "one span in a list": bucketed({"w": 10}, {"w": [Span(60, 120)]}),
}


class TestGenerators(GeneratorSuite):
    @pytest.fixture(autouse=True, params=GENERATORS)
    def _name(self, request):
        self.name = request.param

    def make_generator(self):
        return GENERATORS[self.name]

    @pytest.mark.parametrize("config", [AccelConfig, AlpGmmConfig, NoiseAwareConfig])
    def test_every_algorithm_that_reads_axes_runs_with_it(self, config):
        try:
            curriculum = Curriculum(config(num_active_tasks=32, use_shared_memory=False), self.make_generator())
        except ValueError as error:
            if config is AlpGmmConfig:  # has no use for a span that some tasks have, or none that varies
                assert "give bucketed a Span" in str(error)  # noqa: PT017
            else:
                assert self.name.startswith("constant")
                assert "whose mutate changes none" in str(error)  # noqa: PT017
            return
        for _ in range(100):
            ids = [task.task_id for task in curriculum.ask(20)]
            regrets = np.linspace(0, 1, 20) if config is AccelConfig else None
            curriculum.tell(ids, np.linspace(0, 1, 20), regrets=regrets)
        assert Layout(curriculum.generator.axes).find_off(curriculum.tracker.snapshot().rows["params"]) is None


def values_of(generator, key, n=4000):
    params = generator.sample(np.arange(n), np.random.default_rng(0))
    return [generator.build(seed, row)[key] for seed, row in enumerate(params)]


class TestSpansInLists:
    def test_one_span_in_a_list_is_that_span(self):
        assert GENERATORS["one span in a list"] == bucketed({"w": 10}, {"w": Span(60, 120)})
        assert set(values_of(GENERATORS["one span in a list"], "w")) == set(range(60, 121))

    def test_a_span_among_values_is_drawn_as_often_as_each_of_them(self):
        values = np.array(values_of(MIXED, "seed"))
        assert fits([(values == 1).sum(), (values == 2).sum(), (values == 3).sum(), (values >= 100).sum()], [0.25] * 4)
        assert set(values[values > 3]) == set(range(100, 201))

    def test_params_name_the_value_and_labels_the_entry(self):
        curriculum = Curriculum(UniformConfig(num_active_tasks=64, use_shared_memory=False), MIXED)
        tasks = curriculum.ask(300)
        assert all(task.params == task.config for task in tasks)
        assert {task.label for task in tasks} == {
            f"lit={lit},seed={seed}" for lit in (False, True) for seed in (1, 2, 3, "100..200")
        }

    def test_the_same_from_json_and_from_a_file_written_by_hand(self):
        text = json.dumps(dump_task_generator(MIXED))
        assert load_task_generator(json.loads(text)) == MIXED
        by_hand = """
            kind: bucketed
            child: {kind: single, config: {seed: 0, lit: false}}
            buckets:
              seed: [1, 2, 3, {low: 100, high: 200}]
              lit: [false, true]
        """
        assert fingerprint(load_task_generator(yaml.safe_load(by_hand))) == fingerprint(MIXED)

    def test_a_dict_with_the_keys_of_a_span_stays_a_dict_in_python_and_in_its_file(self):
        generator = bucketed({"range": {}}, {"range": [{"low": 1, "high": 3}, {"low": 2, "high": 9}]})
        again = load_task_generator(json.loads(json.dumps(dump_task_generator(generator))))
        for each in (generator, again):
            assert {json.dumps(value) for value in values_of(each, "range", 2)} == {
                '{"low": 1, "high": 3}',
                '{"low": 2, "high": 9}',
            }

    def test_mutation_steps_within_the_span_or_to_another_entry(self):
        generator = bucketed({"seed": 0}, {"seed": [1, 2, Span(100.0, 200.0)]})
        seeds = np.arange(3000)
        params = generator.sample(seeds, np.random.default_rng(0))
        mutated = generator.mutate(seeds, params, np.random.default_rng(1))
        in_span = params[:, 0] == 2
        stays = mutated[:, 0] == params[:, 0]
        assert not stays[~in_span].any()
        assert 0.4 < stays[in_span].mean() < 0.6
        steps = (mutated - params)[in_span & stays, 1]
        assert 5 < steps.std() < 10.1
        assert (mutated[mutated[:, 0] < 2, 1] == 0).all()


class TestSpans:
    def test_equal_ends_are_a_constant(self):
        assert values_of(GENERATORS["constant"], "x", 20) == [0.25] * 20
        assert values_of(GENERATORS["constant"], "y", 20) == [3] * 20
        assert values_of(GENERATORS["constant logarithm"], "x", 20) == [0.25] * 20

    def test_every_order_of_magnitude_is_drawn_equally_often(self):
        rates = np.array(values_of(GENERATORS["log"], "rate"))
        assert fits(np.histogram(rates, bins=[1e-4, 1e-3, 1e-2, 1e-1])[0], np.full(3, 1 / 3))
        assert rates.min() >= 1e-4
        assert rates.max() < 1e-1

    def test_whole_numbers_fall_off_as_their_inverse(self):
        sizes = values_of(GENERATORS["log"], "size", 20_000)
        assert all(type(size) is int for size in sizes)
        assert (min(sizes), max(sizes)) == (1, 1024)
        shares = np.diff(np.log(np.array([0.5, 1.5, 2.5, 4.5, 32.5, 1024.5]))) / np.log(1024.5 / 0.5)
        assert fits(np.histogram(sizes, bins=[0.5, 1.5, 2.5, 4.5, 32.5, 1024.5])[0], shares)

    def test_a_file_keeps_the_logarithm(self):
        data = yaml.safe_load(yaml.safe_dump(dump_task_generator(GENERATORS["log"])))
        assert data["buckets"]["rate"] == {"low": 1e-4, "high": 1e-1, "log": True}
        assert load_task_generator(data) == GENERATORS["log"]

    def test_yaml_writes_1e_4_as_a_text(self):
        buckets = yaml.safe_load("r: {low: 1e-4, high: 1}")
        data = {"kind": "bucketed", "child": {"kind": "single", "config": {"r": 0}}, "buckets": buckets}
        assert load_task_generator(data).buckets == {"r": Span(1e-4, 1)}

    @pytest.mark.parametrize("low", [0, 0.0, -1])
    def test_a_logarithm_needs_positive_ends(self, low):
        with pytest.raises(ValueError, match=r"Span: expected low > 0 for log=True, got low=.*; raise it"):
            Span(low, 5, log=True)

    @pytest.mark.parametrize("end", ["1", None, True, np.True_, 1j, Decimal(1), [1]])
    def test_an_end_that_is_no_number(self, end):
        with pytest.raises(TypeError, match=r"Span: expected two numbers, got low=.*; give ints or floats"):
            Span(end, 5)

    def test_the_upper_end_of_real_values_is_never_drawn(self):
        class Rng:
            def uniform(self, low, high, size):
                return np.full(size, high)  # as rounding may do

        assert Span(0.1, 0.3).sample(2, Rng()).max() < 0.3


class Agent(BaseModel):
    hearts: int = Field(5, ge=0, multiple_of=5)
    share: float = Field(0.5, ge=0, lt=1)
    ends: tuple[int, int] = (0, 1)


class TestValuesThatTheConfigurationRejects:
    """They are found when the generator is made: at the ends of a span, and in between."""

    @pytest.mark.parametrize(
        ("path", "span"),
        [("hearts", Span(0.0, 5.0)), ("hearts", Span(0, 10)), ("hearts", Span(0, 10**6)), ("share", Span(0.5, 2.0))],
    )
    def test_inside_a_span(self, path, span):
        message = rf"buckets\['{path}'\]: expected values that the config accepts, got "
        for bucket in (span, [0, span]):
            with pytest.raises(ValueError, match=message):
                bucketed(Agent(), {path: bucket})

    def test_what_a_span_never_gives_is_not_tried(self):
        bucketed(Agent(), {"share": Span(0.0, 1.0)})

    def test_a_value_that_is_right_only_with_others(self):
        class Window(BaseModel):
            low: int = 0
            high: int = 1

            def model_post_init(self, context):
                if self.low >= self.high:
                    raise ValueError("low is not below high")

        generator = bucketed(Window(), {"low": [2, 3], "high": [5, 6]})
        assert generator.num_tasks == 4
        with pytest.raises(ValueError, match=r"buckets\['low'\]: expected .* got 9; the config says"):
            bucketed(Window(), {"low": [2, 9], "high": [5, 6]})


@dataclasses.dataclass
class Player:
    items: dict = dataclasses.field(default_factory=dict)


class Position(typing.NamedTuple):
    x: int
    y: int


class Extra(BaseModel):
    model_config = ConfigDict(extra="allow")

    a: int = 1


class TestPaths:
    @pytest.mark.parametrize(
        ("base", "path", "expected"),
        [
            ({"r": {}}, "r.heart", {"r": {"heart": 1}}),
            ({"r": {}}, "r.iron.gained", {"r": {"iron.gained": 1}}),
            ({"r": {"iron.lost": 2}}, "r.iron.gained", {"r": {"iron.lost": 2, "iron.gained": 1}}),
            ({}, "w", {"w": 1}),
            (Player(), "items.sword", Player(items={"sword": 1})),
            ({"r": {"a.b": 0}}, "r.a.b", {"r": {"a.b": 1}}),
            ({"a.b": {"c": 0}, "a": {"b": {}}}, "a.b.c", {"a.b": {"c": 1}, "a": {"b": {}}}),
            ({"a": {"b": 0}, "a.b": 0}, "a.b", {"a": {"b": 1}, "a.b": 0}),
            ({"map": {"rows": ["x", "y"]}}, "map.rows.0", {"map": {"rows": [1, "y"]}}),
            ({"map": ({"w": 0}, 5)}, "map.0.w", {"map": ({"w": 1}, 5)}),
            ((Position(0, 0), 7), "0.1", (Position(0, 1), 7)),
            ([0, [0, 0]], "1.1", [0, [0, 1]]),
            ({1: {"speed": 0}}, "1.speed", {1: {"speed": 1}}),
            ({1: 0, "1": 0}, "1", {1: 0, "1": 1}),
            (collections.OrderedDict(b=0, a=0), "a", collections.OrderedDict(b=0, a=1)),
            (types.MappingProxyType({"a": 0}), "a", types.MappingProxyType({"a": 1})),
            (Extra(), "b", Extra(b=1)),
        ],
    )
    def test_a_step_is_a_field_a_key_or_an_index(self, base, path, expected):
        before = repr(base)
        generator = bucketed(base, {path: [1]})
        built = generator.build(0, np.zeros(1))
        assert built == expected
        assert type(built) is type(expected)
        assert repr(base) == before

    def test_two_new_keys_in_one_dict(self):
        generator = bucketed({"r": {}}, {"r.heart": [1, 2], "r.sword": [3]})
        assert generator.build(1, np.array([1.0, 0.0])) == {"r": {"heart": 2, "sword": 3}}

    def test_a_path_that_a_member_of_a_set_does_not_have(self):
        with pytest.raises(KeyError, match=r"path: expected one that the config has, got 'map.size'"):
            bucketed(merge([single_task({"map": {"size": 1}}), single_task({"maps": 2})]), {"map.size": [1, 2]})


class Light(enum.Enum):
    DIM = "dim"


class Level(enum.IntEnum):
    LOW = 1


class Rights(enum.Flag):
    READ = 1
    WRITE = 2


@dataclasses.dataclass(frozen=True)
class Holder:
    content: object = None


def half(x):
    return x / 2


def adder(n):
    return lambda x: x + n


DIFFERENT = [
    *(b"a", "a", b"\x82\xff", "\ufffd", bytearray(b"b"), 1, 1.0, True, "1", None, "None", 1j),
    *(Light.DIM, "dim", Level.LOW, Rights.READ, Rights.READ | Rights.WRITE),
    *(half, adder, adder(1), adder(2), lambda x: x + 3, lambda x: x - 3, len, np.sin, functools.partial(half, 1)),
    *(Light, Holder, Holder(1), Holder("1"), types.SimpleNamespace(a=1), types.SimpleNamespace(a=2)),
    *({"a": 1}, {1: "a"}, {"1": "a"}, {"a"}, ["a", "b"], ["set", ["a", "b"]], [b"a"], ["bytes", "61"]),
    *(
        pathlib.Path("a"),
        dt.date(2026, 1, 1),
        "2026-01-01",
        dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
        Decimal("1.5"),
        1.5,
    ),
    *(np.arange(3), np.arange(3.0), np.arange(3).reshape(1, 3), np.zeros((0, 3)), [0, 1, 2]),
]


class Square(BaseModel, extra="forbid"):
    size: int = 5

    @functools.cached_property
    def area(self):
        return self.size**2


class OpenSquare(Square, extra="allow"):
    pass


class TestFingerprints:
    def test_what_differs_has_different_fingerprints(self):
        prints = [fingerprint(single_task(config)) for config in DIFFERENT]
        same = [DIFFERENT[i] for i, each in enumerate(prints) if prints.count(each) > 1]
        assert not same
        buckets = [fingerprint(bucketed({"x": 0}, {"x": [config, 0]})) for config in DIFFERENT]
        assert len(set(buckets)) == len(DIFFERENT)

    def test_they_are_the_same_in_every_process(self):
        code = (
            "from tests.test_generator_inputs import *; "
            "print(fingerprint(single_task({str(i): config for i, config in enumerate(DIFFERENT)})))"
        )
        assert python(code, PYTHONHASHSEED="7") == python(code, PYTHONHASHSEED="8")

    @pytest.mark.parametrize("config", [Square(), OpenSquare(walls=3)])
    def test_what_a_property_has_cached_is_no_field(self, config):
        generator = single_task(config)
        before = fingerprint(generator)
        assert (config.area, generator.config.area) == (25, 25)
        assert fingerprint(generator) == before == fingerprint(single_task(config))
        assert "area" not in fields(config)
        assert bucketed(config, {"size": [9]}).build(0, np.zeros(1)).area == 81
        assert "area" not in encode_config(config)
        assert fields(decode_config(encode_config(config))) == fields(config)

    def test_bytes_survive_a_checkpoint(self, tmp_path):
        generator = bucketed({"key": b""}, {"key": [b"a", "a", b"\x82\xff"]})
        curriculum = Curriculum(UniformConfig(num_active_tasks=3, use_shared_memory=False), generator)
        assert {task.label for task in curriculum.ask(50)} == {"key=a", "key=b'a'", r"key=b'\x82\xff'"}
        curriculum.save(tmp_path / "state")
        assert Curriculum.load(tmp_path / "state", generator).ask(20) == curriculum.ask(20)

    def test_values_with_one_text_have_different_labels(self):
        generator = bucketed({"x": 0}, {"x": [1, "1", 2, half]})
        assert [generator.label_of(0, np.array([float(i)])) for i in range(4)] == ["x=#0", "x=#1", "x=2", "x=half"]


HOLDABLE = [
    *((1, "a"), ((1, 2), [3, (4,)]), Position(1, 2), {"a"}, frozenset({1, 2}), range(2, 9, 3)),
    *(b"\x82\xff", bytearray(b"a"), pathlib.Path("a/b"), pathlib.PurePosixPath("/x"), pathlib.PureWindowsPath("c:/x")),
    *(dt.date(2026, 1, 2), dt.datetime(2026, 1, 2, 3, tzinfo=dt.UTC), dt.time(1, 2), dt.timedelta(1, 2, 3)),
    *(Decimal("1.10"), uuid.UUID(int=7), 1 + 2j, Light.DIM, Level.LOW, Rights.READ | Rights.WRITE),
    *(np.int64(3), np.float32(0.1), np.bool_(True), np.float64(2.5), np.str_("x")),
    *(
        {1: "a", "1": "b"},
        {(0, 1): 2},
        {"$price": 1},
        {"$type": "sword"},
        {"$type": 1, "$value": {"$value": 2}},
        {None: 1},
        Holder((1, {2: b"x"})),
        Extra(b=(1, 2)),
    ),
    *(float("inf"), 10**30),
]


class TestWhatAFileHolds:
    @pytest.mark.parametrize("value", HOLDABLE, ids=repr)
    @pytest.mark.parametrize("dumps", [json.dumps, yaml.safe_dump])
    def test_it_comes_back_equal(self, value, dumps):
        generator = bucketed({"x": value, "y": [value]}, {"z": [value, 0]})
        text = dumps(dump_task_generator(generator))
        again = load_task_generator(json.loads(text) if dumps is json.dumps else yaml.safe_load(text))
        assert fingerprint(again) == fingerprint(generator)
        built = again.build(0, np.zeros(1))
        assert built == {"x": value, "y": [value], "z": value}
        assert [type(part) for part in (built["x"], built["y"][0], built["z"])] == [type(value)] * 3

    @pytest.mark.parametrize(
        "array",
        [np.arange(6).reshape(2, 3), np.zeros((0, 3), "f4"), np.array(2.5), np.array([True]), np.array(["a", "bc"])],
        ids=repr,
    )
    def test_an_array_comes_back_equal(self, array):
        again = load_task_generator(json.loads(json.dumps(dump_task_generator(single_task({"a": array})))))
        back = again.build(0, np.empty(0))["a"]
        assert np.array_equal(back, array)
        assert (back.dtype, back.shape) == (array.dtype, array.shape)

    @pytest.mark.parametrize("dumps", [json.dumps, yaml.safe_dump])
    @pytest.mark.parametrize("values", [np.arange(4), np.linspace(0, 1, 5), list(np.arange(4)), range(4)], ids=repr)
    def test_buckets_of_numbers_from_numpy(self, values, dumps):
        generator = bucketed({"x": 0}, {"x": values})
        text = dumps(dump_task_generator(generator))
        again = load_task_generator(json.loads(text) if dumps is json.dumps else yaml.safe_load(text))
        assert fingerprint(again) == fingerprint(generator)
        assert values_of(again, "x", 4) == [values[i] for i in range(4)]

    @pytest.mark.parametrize("value", [half, object(), lambda: 0, np.array([object()]), np.datetime64("2026-01-01")])
    def test_what_it_cannot_hold_is_refused_by_name(self, value):
        with pytest.raises(ValueError, match=r"config\['a'\]\[0\]\.content: expected data that a file can hold, got "):
            dump_task_generator(single_task({"a": [Holder(value)]}))
        with pytest.raises(ValueError, match=r"buckets\['a'\]: expected data that a file can hold, got "):
            dump_task_generator(bucketed({"a": 0}, {"a": [value, 1]}))

    def test_a_class_that_no_file_can_name(self):
        @dataclasses.dataclass
        class Local:
            x: int = 1

        with pytest.raises(ValueError, match=r"config: expected an object whose class a file can name, got .*Local"):
            dump_task_generator(single_task(Local()))

    @pytest.mark.parametrize(
        "data",
        [
            {"$type": "datetime:date", "$value": "yesterday"},
            {"$type": "tests.test_generator_inputs:Light", "$value": "BRIGHT"},
            {"$type": "numpy:ndarray", "$value": [1]},
            {"$type": "builtins:dict", "$value": [1]},
            {"$type": "tests.test_generator_inputs:Holder", "$value": 1},
            {"$type": "tests.test_generator_inputs:Position", "$value": [1]},
            {"$type": 7},
            {"$type": 7, "$value": 7},
            {"$type": "math:pi.real", "$value": 7},
            {"$type": "json:dumps", "obj": 7},  # a function must not be called
        ],
        ids=repr,
    )
    def test_a_damaged_value_is_an_error(self, data):
        with pytest.raises(ValueError, match=r"\$(type|value): expected"):
            load_task_generator({"kind": "single", "config": data})


CONFIG = UniformConfig(num_active_tasks=2, use_shared_memory=False)


class Incomplete:
    axes = ()
    num_tasks = None

    def sample(self, seeds, rng):
        return np.empty((len(seeds), 0))


class Custom:
    axes = (Axis("x", Span(0.0, 1.0)),)

    def __init__(self, num_tasks, sample=lambda seeds: np.zeros((len(seeds), 1))):
        self.num_tasks, self._sample = num_tasks, sample

    def sample(self, seeds, rng):
        return self._sample(seeds)

    def label_of(self, seed, params):
        return ""

    def build(self, seed, params):
        return seed


class TestCustomGenerators:
    @pytest.mark.parametrize("num_tasks", [np.prod([2, 3]), np.uint8(6)])
    def test_the_number_of_tasks_may_be_that_of_numpy(self, num_tasks, tmp_path):
        curriculum = Curriculum(Custom(num_tasks), UniformConfig(num_active_tasks=4, use_shared_memory=False))
        assert {task.config for task in curriculum.ask(50)} < set(range(6))
        assert sorted(task.config for task in curriculum.evaluation_tasks(6)) == list(range(6))
        curriculum.save(tmp_path / "state")
        assert Curriculum.load(tmp_path / "state", Custom(6)).config.num_active_tasks == 4
        both = Curriculum(merge([Custom(num_tasks), single_task(7)]), UniformConfig(use_shared_memory=False))
        assert {task.config for task in both.ask(200)} == {0, 1, 2, 3, 4, 5, 7}

    @pytest.mark.parametrize("axes", [("x",), "x", None, Axis("x", (1, 2)), ({"name": "x"},)])
    def test_axes_of_another_kind_are_named(self, axes, monkeypatch):
        monkeypatch.setattr(Custom, "axes", axes)
        with pytest.raises(TypeError, match=r"generator\.axes: expected a tuple of Axis objects, got .*; write"):
            Curriculum(Custom(5), CONFIG)

    def test_an_error_about_a_param_says_which_numbers_are_whole_and_which_are_logarithms(self, monkeypatch):
        for axis, wanted, param in (
            (Axis("x", Span(1, 6)), "a whole number from 1 to 6, got 2.5", 2.5),
            (Axis("x", ("a", "b")), "the number of one of 2 choices, from 0, got 7.0", 7),
            (
                Axis("x", Span(1.0, 100.0, log=True)),
                "the natural logarithm of a value, from 0.0 to 4.6.*, got 50.0",
                50,
            ),
        ):
            monkeypatch.setattr(Custom, "axes", (axis,))
            with pytest.raises(ValueError, match=wanted):
                Curriculum(Custom(5, lambda seeds, param=param: np.full((len(seeds), 1), param)), CONFIG)

    @pytest.mark.parametrize("num_tasks", [0, -1, 1.5, 2**63, "a", float("nan")])
    def test_a_wrong_number_of_tasks_is_named(self, num_tasks):
        with pytest.raises(ValueError, match=r"generator\.num_tasks: expected a whole number from 1 to .*; return"):
            Curriculum(Custom(num_tasks), CONFIG)

    @pytest.mark.parametrize(
        "sample",
        [
            lambda seeds: None,
            lambda seeds: np.full((len(seeds), 1), "a"),
            lambda seeds: [[object()]] * len(seeds),
            lambda seeds: np.full((len(seeds), 1), 1j),
            lambda seeds: [[0.5] * index for index in range(len(seeds))],
        ],
    )
    @pytest.mark.parametrize("num_tasks", [None, 4])
    def test_params_that_are_no_numbers_are_named(self, num_tasks, sample):
        with pytest.raises(ValueError, match=r"generator\.sample: expected params that are real numbers"):
            Curriculum(Custom(num_tasks, sample), CONFIG)


class TestWrongTypes:
    @pytest.mark.parametrize(
        ("generator", "message"),
        [
            ({"size": 3}, r"got \{'size': 3\}; put it into a list, or vary it"),
            ({"kind": "single", "config": 1}, "read it with load_task_generator"),
            (7, "got 7; put it into a list"),
            (TaskGeneratorSet, r"got the class TaskGeneratorSet; create one: TaskGeneratorSet\(...\)"),
            (Incomplete(), "got a Incomplete without label_of, build; add"),
        ],
    )
    def test_what_is_no_generator(self, generator, message):
        with pytest.raises(TypeError, match=f"tasks: expected a list .* or a task generator, .*{message}"):
            Curriculum(CONFIG, generator)
        if not isinstance(generator, dict):
            with pytest.raises(TypeError, match="generator: expected a task generator"):
                BucketedTaskGenerator(child=generator, buckets={"a": [1]})
        with pytest.raises(TypeError, match=r"generators\[1\]: expected a list .* or a task generator"):
            merge([single_task(1), generator])

    @pytest.mark.parametrize("generators", [5, None, "ab", {"a": single_task(1)}, single_task(1)])
    def test_what_is_no_list_of_generators(self, generators):
        with pytest.raises(TypeError, match=r"generators: expected a list of generators, got .*; give a list"):
            merge(generators)

    @pytest.mark.parametrize(
        ("bucket", "message"),
        [
            (5, r"a single value; write \[5\]"),
            (None, "a single value"),
            (np.array(3), "a single value"),
            (object, "a single value"),
            ("abc", r"whose letters would be the values; write \['abc'\]"),
            (b"abc", "whose letters would be the values"),
            ({"low": 1, "high": 3}, r"whose keys would be the values; write Span\(1, 3\)"),
            ({"a": 1}, "whose keys would be the values; write a list"),
            ({"a"}, "which has no order; write a sorted list"),
            (frozenset({1}), "which has no order"),
        ],
    )
    def test_what_is_no_bucket(self, bucket, message):
        with pytest.raises(TypeError, match=rf"buckets\['k'\]: expected a Span or a list of values, got .*{message}"):
            bucketed({"k": "a"}, {"k": bucket})
        if not isinstance(bucket, dict) or "low" not in bucket:
            with pytest.raises(TypeError, match=r"buckets\['k'\]: expected a Span or a list"):
                BucketedTaskGenerator(child=single_task({"k": "a"}), buckets={"k": bucket})

    @pytest.mark.parametrize("ends", [("easy", "hard"), ([1], [2]), (None, 3), (True, False)])
    def test_a_dict_in_a_file_whose_ends_are_no_numbers_is_a_value(self, ends):
        value = dict(zip(("low", "high"), ends, strict=True))
        data = {"kind": "bucketed", "child": {"kind": "single", "config": {"k": 0}}, "buckets": {"k": [value, 1]}}
        assert load_task_generator(data).buckets == {"k": (value, 1)}
        with pytest.raises(TypeError, match=r"buckets\['k'\]: expected a Span or a list of values"):
            load_task_generator(data | {"buckets": {"k": value}})

    def test_a_bucket_of_many_values_is_no_slower_than_its_values(self):
        generator = bucketed({"seed": 0}, {"seed": range(30_000)})
        assert generator.label_of(5, np.array([5.0])) == "seed=5"

    def test_buckets_that_are_no_mapping(self):
        with pytest.raises(TypeError, match="buckets: expected a mapping of paths to values, got"):
            bucketed({"k": 1}, [("k", [1, 2])])

    @pytest.mark.parametrize("bucket", [iter([1, 2]), range(1, 3), {1: 0, 2: 0}.keys(), collections.deque([1, 2])])
    def test_any_ordered_collection_is_a_bucket(self, bucket):
        assert bucketed({"k": 0}, {"k": bucket}) == bucketed({"k": 0}, {"k": [1, 2]})

    def test_a_custom_generator_is_varied_by_buckets(self):
        class Own(Incomplete):
            def label_of(self, seed, params):
                return "own"

            def build(self, seed, params):
                return {"seed": seed, "k": 0}

        generator = bucketed(Own(), {"k": [1, 2]})
        assert generator.build(5, np.array([1.0])) == {"seed": 5, "k": 2}


class TestMappingsOfAnyClass:
    """Configuration libraries have mappings and lists of their own."""

    class Node(collections.UserDict):
        pass

    class Nodes(collections.UserList):
        pass

    def wrap(self, data):
        if isinstance(data, dict):
            return self.Node({key: self.wrap(value) for key, value in data.items()})
        return self.Nodes(map(self.wrap, data)) if isinstance(data, list) else data

    def test_a_generator(self):
        generator = merge([bucketed({"a": {"b": 1}}, {"a.b": [1, 2, Span(5, 9)]}), single_task({"c": [1, {"d": 2}]})])
        assert load_task_generator(self.wrap(dump_task_generator(generator))) == generator

    def test_a_name_with_dashes_as_on_the_command_line(self):
        data = {"algorithm": "noise-aware", "num_active_tasks": 8}
        assert load_config(data) == NoiseAwareConfig(num_active_tasks=8)
        assert TypeAdapter(AnyCurriculumConfig).validate_python(data) == load_config(data)

    def test_a_config(self):
        data = {"algorithm": "noise_aware", "score_range": [0, 5], "random_baseline": {"num_completions": 3}}
        assert load_config(self.wrap(data)) == load_config(data)
        assert load_config(data) == NoiseAwareConfig(score_range=(0, 5), random_baseline={"num_completions": 3})

    @pytest.mark.parametrize(
        ("data", "error", "message"),
        [
            ({"algorithm": "noise_awar"}, ValueError, "algorithm: expected .*; did you mean 'noise_aware'"),
            ({"num_active_tasks": 3}, ValueError, "algorithm: expected one of .*, got no such field; name one"),
            ({"algorithm": ["x"]}, ValueError, r"algorithm: expected .*, got \['x'\]; name one"),
            ([("algorithm", "uniform")], TypeError, "config: expected a mapping of fields, got"),
            ("uniform.yaml", TypeError, "config: expected a mapping of fields, got 'uniform.yaml'; read the file"),
            ({"algorithm": "uniform", "num_tasks": 3}, ValueError, "num_tasks: expected a field of UniformConfig"),
        ],
    )
    def test_what_is_no_config_is_one_short_error(self, data, error, message):
        with pytest.raises(error, match=message) as caught:
            load_config(data)
        assert len(str(caught.value)) < 500

    def test_a_wrong_value_names_its_field_alone(self):
        with pytest.raises(ValueError, match=r"1 validation error for NoiseAwareConfig\nnum_active_tasks\n"):
            load_config({"algorithm": "noise_aware", "num_active_tasks": -1})


leaves = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3) | st.binary(max_size=3)
)
keys = st.sampled_from(["a", "$type", "$value", "low", "high", "a.b", ""]) | st.integers(0, 2) | st.dates()
configurations = st.recursive(
    leaves
    | st.dates()
    | st.sampled_from([Light.DIM, np.int8(3), pathlib.Path("x")])
    | st.frozensets(st.integers(), max_size=1),
    lambda parts: (
        st.lists(parts, max_size=3)
        | st.dictionaries(keys, parts, max_size=3)
        | st.tuples(parts, parts)
        | st.builds(Holder, parts)
    ),
    max_leaves=10,
)


@given(configurations)
@settings(max_examples=300, deadline=None)
def test_any_configuration_comes_back_from_a_file(config):
    generator = bucketed({"a": config, "b": 0}, {"b": [config, 0]})
    again = load_task_generator(json.loads(json.dumps(dump_task_generator(generator), allow_nan=False)))
    assert again.build(0, np.zeros(1)) == {"a": config, "b": config}
    assert repr(again.build(0, np.zeros(1))["a"]) == repr(config)
    assert fingerprint(again) == fingerprint(generator)
