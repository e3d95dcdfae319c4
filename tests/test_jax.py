"""Every algorithm and modifier gives under `jax.jit` what it gives on NumPy.

JAX starts threads, and a process with threads must not fork, as other tests do: so it runs in a process of its own.
"""

import functools
import importlib.util
import multiprocessing
import warnings
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import jax
import numpy as np
import pytest

from curricular import CurriculumConfig, PrioritizedLevelReplayConfig
from curricular.algorithms.prioritized_level_replay import PrioritizedLevelReplayAlgorithm

from . import test_algorithms, test_modifiers, test_sharing, test_transforms
from .reference import distribution, evictable

QUICK = {"xla_backend_optimization_level": 0, "xla_cpu_use_fusion_emitters": False}
"""Options of a compiler whose work runs but a few times: less than half of its time."""


def suites():
    """Name -> the suite that makes the algorithm and columns for it."""
    made = {}
    for name, config in test_algorithms.CONFIGS.items():
        made[name] = test_algorithms.TestAlgorithms()
        made[name].config = config
    for name, modifiers in test_modifiers.MODIFIERS.items():
        made[f"modified, {name}"] = test_modifiers.TestModified()
        made[f"modified, {name}"].modifiers = modifiers
    made["recommended, merged set"] = test_sharing.TestMerged()
    return made


SUITES = suites()


@functools.cache
def cases(suite_type):
    """A new pool and others of the same size, so that one compilation does for all."""
    new, *others = map(suite_type().make_columns, range(200))
    return [columns for columns in (new, *others) if len(columns["task_id"]) == len(new["task_id"])]


def answers(algorithm, columns):
    return (
        algorithm.priorities(columns),
        distribution(algorithm, columns),
        evictable(algorithm, columns, CurriculumConfig()),
    )


def under_jit(name):
    algorithm = SUITES[name].make_algorithm()
    jitted = jax.jit(functools.partial(answers, algorithm), compiler_options=QUICK)
    with jax.enable_x64(True):
        return [[np.asarray(answer) for answer in jitted(columns)] for columns in cases(type(SUITES[name]))]


def many():
    """Scores and mask of a pool in which the best are looked for before they are sorted."""
    rng = np.random.default_rng(0)
    return rng.random(20_000), rng.random(20_000) < 0.9


def transform_under_jit(name):
    with jax.enable_x64(True):
        return np.asarray(jax.jit(test_transforms.TRANSFORMS[name], compiler_options=QUICK)(*many()))


@pytest.fixture(scope="module")
def process():
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, context, warnings.simplefilter, ("error",)) as executor:
        yield executor


@pytest.mark.parametrize("name", SUITES)
def test_it_is_the_same_under_jit(name, process):
    there = process.submit(under_jit, name).result()
    algorithm, pools = SUITES[name].make_algorithm(), cases(type(SUITES[name]))
    assert len(there) == len(pools) > 3
    for columns, (scores, probabilities, may_go) in zip(pools, there, strict=True):
        here = answers(algorithm, columns)
        assert scores.dtype == probabilities.dtype == np.float64
        assert scores == pytest.approx(here[0], abs=1e-9)
        assert probabilities == pytest.approx(here[1], abs=1e-9)
        assert may_go.tolist() == here[2].tolist()


@pytest.mark.parametrize("name", test_transforms.TRANSFORMS)
def test_transforms_of_many_scores_are_the_same_under_jit(name, process):
    there = process.submit(transform_under_jit, name).result()
    assert there == pytest.approx(test_transforms.TRANSFORMS[name](*many()), abs=1e-12)


def replay_inputs():
    """The functions of the example, an algorithm, new columns, and uniforms and regrets of 40 rounds."""
    path = Path(__file__).parents[1] / "examples" / "jax_level_replay.py"
    spec = importlib.util.spec_from_file_location("jax_level_replay", path)
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    algorithm = PrioritizedLevelReplayAlgorithm(PrioritizedLevelReplayConfig(num_active_tasks=32))
    return example, algorithm, example.new_columns(32), *np.random.default_rng(0).random((2, 40, 8))


def replay_in_a_scan():
    """The slots drawn in all rounds and the last columns: one call of a compiled scan, in which nothing is copied."""
    example, algorithm, columns, uniforms, regrets = replay_inputs()

    def round_of(columns, drawn):
        slots = example.draw(algorithm, columns, drawn[0])
        return example.record(columns, slots, drawn[1]), slots

    with jax.enable_x64(True):
        rounds = jax.jit(lambda columns, drawn: jax.lax.scan(round_of, columns, drawn), compiler_options=QUICK)
        arguments = jax.device_put((columns, (uniforms, regrets)))
        with jax.transfer_guard("disallow"):
            columns, slots = rounds(*arguments)
        return np.asarray(slots), {name: np.asarray(column) for name, column in columns.items()}


def test_level_replay_in_a_scan_draws_what_it_draws_on_numpy(process):
    scanned_slots, scanned_columns = process.submit(replay_in_a_scan).result()
    example, algorithm, columns, *rounds = replay_inputs()
    for there, uniforms, regrets in zip(scanned_slots, *rounds, strict=True):
        slots = example.draw(algorithm, columns, uniforms)
        assert slots.tolist() == there.tolist()
        columns = example.record(columns, slots, regrets)
    assert columns["num_regrets"].sum() == scanned_slots.size
    for name, column in columns.items():
        assert scanned_columns[name].tolist() == column.tolist()
