"""A registered algorithm is exported, compared, tested and documented; one that is not registered is found."""

import inspect
import json
import pickle
import re
import textwrap
from importlib import import_module
from pathlib import Path

import pytest

import curricular
from curricular import Algorithm, Curriculum, CurriculumConfig, create_algorithm, load_config, merge, single_task
from curricular.algorithms.registry import REGISTRY, variants

from .helpers import python

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "curricular" / "algorithms"
EVERY = pytest.mark.parametrize("entry", REGISTRY, ids=[entry.config.__name__ for entry in REGISTRY])


def modules():
    return [import_module(f"curricular.algorithms.{path.stem}") for path in sorted(PACKAGE.glob("[a-z]*.py"))]


def defined(base):
    """The classes of that kind that modules of the package define."""
    found = set()
    for module in modules():
        for value in vars(module).values():
            if inspect.isclass(value) and issubclass(value, base) and value.__module__ == module.__name__:
                found.add(value)
    return found


def test_every_algorithm_of_the_package_is_registered():
    helpers = {"Algorithm", "ModifiedAlgorithm"}
    made = {type(entry.algorithm(next(iter(entry.config.variants().values()))())) for entry in REGISTRY}
    assert {cls.__name__ for cls in defined(Algorithm) - made} == helpers
    configs = {entry.config for entry in REGISTRY}
    assert {cls.__name__ for cls in defined(CurriculumConfig) - configs} == {
        "BeliefConfig",
        "FlooredConfig",
        "HistoryConfig",
    }


@EVERY
def test_it_is_exported(entry):
    assert entry.config.__name__ == entry.config_name
    assert entry.config_name in curricular.__all__
    assert getattr(curricular, entry.config_name) is entry.config


@EVERY
def test_every_setting_is_described(entry):
    undescribed = [name for name, field in entry.config.model_fields.items() if not field.description]
    assert undescribed == []
    shown = entry.config.model_json_schema()["properties"]
    assert shown["seed"]["description"].startswith("Seed of task generation and selection.")


@EVERY
def test_it_has_a_page(entry):
    stem = Path(inspect.getfile(entry.config)).stem.replace("_", "-")
    page = ROOT / "docs" / "algorithms" / f"{stem}.md"
    assert page.exists()
    assert entry.config.__name__ in page.read_text(encoding="utf-8")


@EVERY
def test_its_tag_in_files_brings_it_back(entry):
    tag = entry.config.model_fields["algorithm"].default
    assert re.fullmatch(r"[a-z0-9_]+", tag)
    for factory in entry.config.variants().values():
        config = factory(num_active_tasks=4)
        assert config.algorithm == tag == entry.tag
        assert load_config(config.model_dump(mode="json")) == config
        assert isinstance(create_algorithm(config), Algorithm)


@pytest.mark.parametrize("source", ["load_config(json.loads({fields!r}))", "pickle.loads({pickled!r})"])
@pytest.mark.parametrize("tag", ["label_bandit", "traced"])
def test_files_and_pickles_bring_it_back_in_an_interpreter_that_did_not_import_it(tag, source):
    config = load_config({"algorithm": tag, "num_active_tasks": 4, "use_shared_memory": False})
    source = source.format(fields=config.model_dump_json(), pickled=pickle.dumps(config))
    code = f"""
        import json, pickle, sys
        from curricular import create_algorithm, load_config
        before = "curricular.algorithms.{tag}" in sys.modules
        config = {source}
        print(json.dumps([before, repr(config), type(create_algorithm(config)).__name__]))
    """
    expected = [False, repr(config), type(create_algorithm(config)).__name__]
    assert json.loads(python(textwrap.dedent(code))) == expected


@EVERY
def test_its_factories_take_fields_as_keywords(entry):
    assert entry.config.variants()
    for name, factory in entry.config.variants().items():
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name)
        assert factory(num_active_tasks=3, seed=5).seed == 5


def test_names_are_distinct_and_tags_too():
    names = [name for entry in REGISTRY for name in entry.config.variants()]
    assert len(names) == len(set(names)) == len(variants())
    assert len({entry.config.model_fields["algorithm"].default for entry in REGISTRY}) == len(REGISTRY)


def test_lines_are_in_order_and_exports_too():
    assert [entry.config.__name__ for entry in REGISTRY] == sorted(entry.config.__name__ for entry in REGISTRY)
    assert curricular.__all__ == sorted(curricular.__all__)


def test_a_config_derived_from_one_in_the_box_has_its_algorithm():
    class Mine(curricular.UniformConfig):
        """A config of a user's."""

    tasks = merge([single_task(name) for name in "abc"])
    assert Curriculum(Mine(num_active_tasks=3, use_shared_memory=False), tasks).probabilities().tolist() == [1 / 3] * 3
