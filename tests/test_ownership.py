"""A configuration that is handed out belongs to the caller: a change to it changes nothing else."""

import copy
import dataclasses
import threading
import types

import gymnasium
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, PrivateAttr

from curricular import Curriculum, UniformConfig, bucketed, merge, single_task
from curricular.generators import SeedGenerator, copied, copier, fingerprint
from curricular.wrappers.gymnasium import CurriculumEnv


class Model(BaseModel):
    hp: int = 3
    map: dict = {"walls": [1, 2]}


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)

    hp: int = 3
    tags: tuple = ("a",)


class Loose(BaseModel):
    model_config = ConfigDict(extra="allow")

    _cache: list = PrivateAttr(default_factory=list)


@dataclasses.dataclass
class Data:
    hp: int = 3
    map: list = dataclasses.field(default_factory=lambda: [1, [2]])


@dataclasses.dataclass(frozen=True, slots=True)
class FrozenData:
    hp: int = 3
    inner: object = Frozen()


@dataclasses.dataclass
class Derived(Data):
    more: object = None


class Derived2(Data):
    """Not decorated itself."""


def spoil(part):
    """Changes everything in `part` that can be changed."""
    if isinstance(part, dict):
        for value in list(part.values()):
            spoil(value)
        part.clear()
    elif isinstance(part, list):
        for value in part:
            spoil(value)
        part.append("spoiled")
    elif isinstance(part, tuple):
        for value in part:
            spoil(value)
    elif isinstance(part, set):
        part.add("spoiled")
    elif isinstance(part, bytearray):
        part += b"spoiled"
    elif isinstance(part, np.ndarray):
        if part.flags.writeable:
            part.fill(0)
    elif isinstance(part, FrozenData):
        spoil(part.inner)
    elif hasattr(part, "__dict__") and not isinstance(part, type | types.FunctionType):
        spoil(dict(vars(part)))
        spoil(getattr(part, "__pydantic_private__", None) or {})
        for name in vars(part):
            try:
                setattr(part, name, "spoiled")
            except (AttributeError, TypeError, ValueError):  # frozen
                return


def private():
    model = Loose(extra=[1])
    model._cache.append(1)
    return model


ARRAY = np.arange(1, 4)
CHANGING = {
    "flat dict": {"hp": 3},
    "nested dict": {"map": {"size": 5, "walls": [1, [2]]}, "tuple": ({"a": 1}, 2)},
    "list": [1, {"a": 2}],
    "set": {"tags": {1, 2}},  # numbers, since the order of strings in a set differs between copies
    "bytearray": bytearray(b"x"),
    "array": ARRAY,
    "array in a dict": {"a": ARRAY, "view": ARRAY[1:]},
    "model": Model(),
    "model with private parts": private(),
    "dataclass": Data(),
    "derived": Derived(more={"x": [1]}),
    "derived without a decorator": Derived2(),
    "frozen with a dict": FrozenData(inner={"a": [1]}),
    "namespace": types.SimpleNamespace(a=[1]),
    "one part twice": {"a": ARRAY, "b": [ARRAY]},
}
UNCHANGING = {
    "number": 3,
    "text": "reach",
    "bytes": b"x",
    "tuple": (1, ("a", None)),
    "frozenset": frozenset({1}),
    "model": Frozen(),
    "dataclass": FrozenData(),
    "function": len,
    "class": Data,
    "sentinel": object(),
    "range": range(3),
}


def local(num_tasks=1):
    return UniformConfig(num_active_tasks=num_tasks, use_shared_memory=False)


def is_same(first, second):
    return fingerprint(single_task(first)) == fingerprint(single_task(second)) and repr(first) == repr(second)


@pytest.mark.parametrize("config", CHANGING.values(), ids=CHANGING)
@pytest.mark.parametrize("kind", ["single", "bucket", "base of buckets", "custom"])
def test_a_change_to_a_configuration_changes_nothing(config, kind, tmp_path):
    original = copy.deepcopy(config)

    class Own(SeedGenerator):
        def build(self, seed, params):
            return config

    def made():
        if kind == "custom":
            return Own()
        given_to = copy.deepcopy(config)
        generator = {
            "single": lambda: single_task(given_to),
            "bucket": lambda: bucketed({"x": 0}, {"x": [given_to]}),
            "base of buckets": lambda: bucketed({"x": given_to, "y": 0}, {"y": [0]}),
        }[kind]()
        spoil(given_to)  # what the generator was made of belongs to the caller, too
        return generator

    generator = made()
    before = fingerprint(generator)
    curriculum = Curriculum(local(), generator)
    for ask in [curriculum.get_task] * 3 + [lambda: curriculum.ask(2)[1], lambda: curriculum.ask(1, replace=False)[0]]:
        task = ask()
        handed_out = task.config if kind in ("single", "custom") else task.config["x"]
        assert is_same(handed_out, original)
        spoil(task.config)
        spoil(task.params)
    spoil(generator.build(0, np.zeros(len(generator.axes))) if kind != "custom" else {})
    assert fingerprint(generator) == before
    curriculum.save(tmp_path / "state")
    loaded = Curriculum.load(tmp_path / "state", made())
    handed_out = loaded.get_task().config
    assert is_same(handed_out if kind in ("single", "custom") else handed_out["x"], original)


@pytest.mark.parametrize("config", UNCHANGING.values(), ids=UNCHANGING)
def test_what_cannot_change_is_not_copied(config):
    curriculum = Curriculum(local(), single_task(config))
    assert curriculum.get_task() is curriculum.get_task()
    assert curriculum.get_task().config is config
    assert copier(config) is None


def test_a_read_only_array_is_not_copied():
    array = np.arange(3)
    array.flags.writeable = False
    curriculum = Curriculum(local(), single_task(array))
    assert curriculum.get_task().config is array


def test_extra_and_private_parts_of_a_model_are_copied():
    model = private()
    twin = copied(model)
    assert (twin.extra, twin._cache) == (model.extra, model._cache) == ([1], [1])
    assert twin.extra is not model.extra
    assert twin._cache is not model._cache


def test_what_cannot_be_copied_is_shared():
    lock = threading.Lock()
    first, second = Curriculum(local(), single_task({"lock": lock, "hp": [3]})).ask(2)
    assert first.config["lock"] is second.config["lock"] is lock
    assert first.config["hp"] is not second.config["hp"]


def test_one_part_in_two_places_stays_one_part():
    part = [1]
    shared = copied({"a": part, "b": part})
    assert shared["a"] is shared["b"] is not part
    endless = [1]
    endless.append(endless)
    twin = copied(endless)
    assert twin[1] is twin is not endless


leaves = st.none() | st.booleans() | st.integers() | st.text(max_size=3) | st.binary(max_size=3)
configs = st.recursive(
    leaves,
    lambda parts: (
        st.lists(parts, max_size=3)
        | st.dictionaries(st.text(max_size=3), parts, max_size=3)
        | st.tuples(parts, parts)
        | st.builds(Data, map=st.lists(parts, max_size=2))
        | st.builds(FrozenData, inner=parts)
        | st.builds(Model, map=st.dictionaries(st.text(max_size=2), parts, max_size=2))
    ),
    max_leaves=12,
)


@given(configs)
@settings(max_examples=200, deadline=None)
def test_copies_are_equal_and_share_nothing_that_changes(config):
    reference = copy.deepcopy(config)
    make = copier(config)
    for _ in range(2):
        twin = config if make is None else make()
        assert twin == reference
        assert type(twin) is type(reference)
        spoil(twin)
        assert config == reference


class Popping(gymnasium.Env):
    """Takes its configuration apart at each reset, as an environment may."""

    observation_space = gymnasium.spaces.Discrete(2)
    action_space = gymnasium.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.size, self.walls = options.pop("size"), options["map"].pop("walls")
        return 0, {}

    def step(self, action):
        return 1, 1.0, True, False, {}


def test_an_environment_may_pop_from_its_configuration():
    tasks = bucketed({"size": 3, "map": {"walls": [1]}}, {"size": [3, 5]})
    env = CurriculumEnv(Popping(), Curriculum(local(2), tasks), apply="reset")
    for _ in range(50):
        env.reset()
        env.step(0)
        assert env.unwrapped.walls == [1]


def test_the_tasks_of_a_set_are_the_callers_own():
    generator = merge([single_task({"hp": 3}), bucketed({"hp": [1]}, {"hp": [[2], [4]]})])
    curriculum = Curriculum(local(3), generator)
    seen = set()
    for task in curriculum.ask(60):
        seen.add(str(task.config))
        spoil(task.config)
    assert seen == {"{'hp': 3}", "{'hp': [2]}", "{'hp': [4]}"}
