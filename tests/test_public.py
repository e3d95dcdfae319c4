"""What is public, what it costs to import, and that the library leaves the process alone."""

import ast
import inspect
import json
import pickle
import signal
import sys
import textwrap
import threading
from pathlib import Path

import numpy as np
import pytest

import curricular
from curricular import Axis, Curriculum, LearningProgressConfig, Span, Task

from .helpers import python

ROOMS = ["algorithms", "backends", "generators", "testing"]


def test_all_names_are_there_and_all_that_is_there_is_named():
    for name in curricular.__all__:
        getattr(curricular, name)  # those of algorithms are imported by this
    imported = {
        name for name, value in vars(curricular).items() if not name.startswith("_") and not inspect.ismodule(value)
    }
    assert imported - {"TYPE_CHECKING", "Any", "import_module"} == set(curricular.__all__)
    assert len(set(curricular.__all__)) == len(curricular.__all__)


def test_every_assertion_of_the_public_suites_names_its_rule():
    for path in sorted(Path(inspect.getfile(curricular)).parent.glob("testing/*.py")):
        asserts = [
            node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Assert)
        ]
        assert [node.lineno for node in asserts if node.msg is None] == [], path


def test_algorithms_are_imported_when_they_are_first_used():
    code = """
        import json, sys
        import curricular
        def algorithms():
            return sorted(name.split(".")[2] for name in sys.modules if name.startswith("curricular.algorithms."))
        imported, listed = algorithms(), dir(curricular)
        from curricular import LearningProgressConfig
        added = set(algorithms()) - set(imported)
        from curricular import *
        print(json.dumps([imported, listed, sorted(added), "LearningProgressConfig" in vars(curricular), algorithms()]))
    """
    imported, listed, added, is_kept, every = json.loads(python(textwrap.dedent(code)))
    deferred = {"adr", "learning_progress", "modifiers", "prioritized_level_replay", "sequential", "uniform"}
    assert deferred.isdisjoint(imported)
    assert "noise_aware" in imported
    assert set(curricular.__all__) <= set(listed)
    assert added == ["learning_progress"]
    assert is_kept
    assert deferred <= set(every)


def test_what_is_no_use_to_most_is_not_imported():
    code = "import curricular, json, sys; print(json.dumps([name.split('.')[:2] for name in sys.modules]))"
    unused = {"bench", "cluster", "demo", "metta", "ray", "recording", "report", "testing", "trainers", "wrappers"}
    imported = json.loads(python(code))
    assert all(["curricular", name] not in imported for name in unused)


def test_a_name_that_does_not_exist_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'curricular' has no attribute 'NoConfig'") as caught:
        _ = curricular.NoConfig
    assert (caught.value.name, caught.value.obj) == ("NoConfig", curricular)


def test_the_names_of_the_reference_are_there():
    reference = ["Curriculum", "LearningProgressAlgorithm", "TaskTracker", "TaskGenerator", "TaskState"]
    reference += ["LearningProgressConfig", "LocalMemoryBackend", "create_task_tracker"]
    assert set(reference) <= set(curricular.__all__)


@pytest.mark.parametrize("name", curricular.__all__)
def test_everything_public_is_documented(name):
    value = getattr(curricular, name)
    if inspect.isclass(value) or inspect.isfunction(value):
        assert inspect.getdoc(value)


@pytest.mark.parametrize("path", ["curricular", "metta.cogworks.curriculum"])
def test_importing_imports_no_extra(path):
    code = f"import {path}, sys, json; print(json.dumps(sorted({{m.split('.')[0] for m in sys.modules}})))"
    extras = {"array_api_strict", "gymnasium", "hypothesis", "matplotlib", "minigrid", "pufferlib", "pytest", "rich"}
    extras |= {"mettagrid", "scipy", "torch", "typer", "yaml", "jax"}
    assert extras.isdisjoint(json.loads(python(code)))


def test_without_pytest_the_suites_name_the_extra():
    code = "import sys, json; sys.modules['pytest'] = None\n"
    code += "try:\n    import curricular.testing\nexcept ImportError as error:\n    print(json.dumps(str(error)))"
    assert json.loads(python(code)) == "curricular.testing needs pytest: pip install 'curricular[testing]'"


@pytest.mark.parametrize("use_shared_memory", [True, False])
def test_nothing_global_is_touched(use_shared_memory):
    def everything():
        return (
            repr(np.random.get_state()),  # noqa: NPY002  the very thing
            np.geterr(),
            repr(np.get_printoptions()),
            {thread.ident for thread in threading.enumerate()},
            [signal.getsignal(number) for number in signal.valid_signals()],
            sys.getrecursionlimit(),
            sys.excepthook,
        )

    before = everything()
    config = LearningProgressConfig.fast_learning(
        num_active_tasks=8, min_presentations_for_eviction=5, eviction_rate=0.5, use_shared_memory=use_shared_memory
    )
    with Curriculum(config) as curriculum:
        for _ in range(30):
            tasks = curriculum.ask(20)
            curriculum.tell([task.task_id for task in tasks], np.full(20, 0.5))
        curriculum.stats()
        curriculum.load_state_dict(curriculum.state_dict())
        assert curriculum.get_task()
        assert everything() == before


def test_the_global_stream_makes_no_difference():
    config = LearningProgressConfig.default(num_active_tasks=8, use_shared_memory=False)
    np.random.seed(1)  # noqa: NPY002
    first = [task.config for task in Curriculum(config).ask(20)]
    np.random.seed(2)  # noqa: NPY002
    assert [task.config for task in Curriculum(config).ask(20)] == first


def test_strict_floating_point_settings_of_the_user_do_no_harm():
    with np.errstate(divide="raise", over="raise", invalid="raise"):
        config = LearningProgressConfig.default(num_active_tasks=8, temperature=1e-6, use_shared_memory=False)
        curriculum = Curriculum(config)
        for i in range(500):
            task = curriculum.get_task()
            curriculum.update_task_performance(task.task_id, float(i % (task.task_id + 2) == 0))
        curriculum.ask(8, replace=False)
        curriculum.stats()


class TestTask:
    def test_it_is_frozen_and_travels(self):
        task = Task(3, {"size": 9}, "label", {"size": 9})
        assert pickle.loads(pickle.dumps(task)) == task
        assert task._task_id == task.task_id == 3
        with pytest.raises(AttributeError):
            task.task_id = 4

    def test_an_axis_decodes_what_a_row_stores(self):
        assert Axis("lit", (True, False)).decode(1.0) is False
        assert Axis("size", Span(3, 9)).decode(4.0) == 4
        assert isinstance(Axis("size", Span(3, 9)).decode(4.0), int)
        assert Axis("mu", Span(0.0, 1)).decode(0.25) == 0.25
