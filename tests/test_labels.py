"""Labels of any length and number: long ones stay apart, too many are named, counted and warned of once."""

import logging

import numpy as np
import pytest

from curricular import (
    Curriculum,
    Exp3SConfig,
    LabelBanditConfig,
    LearningProgressConfig,
    UniformConfig,
    bucketed,
    merge,
    single_task,
)
from curricular.generators import task_labels
from curricular.table import MAX_LABELS

LONG = "a.path.into.a.large.configuration.of.a.real.environment"


def local(config, **fields):
    return config(use_shared_memory=False, **fields)


def labels(curriculum):
    return {key.split("/")[1] for key in curriculum.stats() if key.startswith("label/")}


@pytest.mark.parametrize("config", [Exp3SConfig, LabelBanditConfig])
def test_algorithms_that_choose_by_label_tell_long_labels_apart(config):
    generator = bucketed({LONG: 0, "also." + LONG: 0}, {LONG: [1, 2], "also." + LONG: [3]})
    assert all(len(generator.label_of(seed, row)) > 96 for seed, row in enumerate(generator.sample(np.arange(2), None)))
    curriculum = Curriculum(local(config, num_active_tasks=2), generator)
    for _ in range(200):
        tasks = curriculum.ask(10)
        regrets = [float(task.params[LONG] == 2) for task in tasks]
        curriculum.tell([task.task_id for task in tasks], regrets, regrets=regrets)
    best = next(task.task_id for task in tasks if task.params[LONG] == 2)
    assert curriculum.probabilities()[best] > 0.8
    assert len(labels(curriculum)) == 2
    assert curriculum.stats()["num_label_overflow"] == 0


def test_a_label_of_the_users_never_is_the_group_of_all_further_labels():
    generator = merge([single_task(name, label=name) for name in ("other", "(other)")])
    curriculum = Curriculum(local(UniformConfig, num_active_tasks=2), generator)
    curriculum.ask(20)
    assert curriculum.stats()["num_label_overflow"] == 0
    first, second = sorted(labels(curriculum))
    assert first.startswith("(other)~")
    assert second == "other"


def test_the_overflow_is_warned_of_once_and_counted(caplog, tmp_path):
    generator = merge([single_task(i, label=f"label {i}") for i in range(100)])
    with caplog.at_level(logging.WARNING, "curricular"):
        curriculum = Curriculum(
            local(
                LearningProgressConfig,
                num_active_tasks=80,
                eviction_rate=1.0,
                min_presentations_for_eviction=1,
                eviction_threshold_percentile=1.0,
                min_samples_for_lp=1,
            ),
            generator,
        )
        for _ in range(20):
            curriculum.tell([task.task_id for task in curriculum.ask(80)], [0.5] * 80)
    (record,) = caplog.records
    assert "labels: expected at most 63 different ones, got one more, 'label " in record.message
    stats = curriculum.stats()
    assert stats["num_evicted"] > 80
    assert stats["num_label_overflow"] == stats["label/(other)/num_tasks"] > 0
    assert len(labels(curriculum)) == MAX_LABELS
    curriculum.save(tmp_path / "state")
    assert Curriculum.load(tmp_path / "state", generator).stats()["num_label_overflow"] == stats["num_label_overflow"]


def test_few_labels_are_not_warned_of(caplog):
    generator = merge([single_task(i, label=f"label {i}") for i in range(MAX_LABELS - 1)])
    with caplog.at_level(logging.WARNING, "curricular"):
        curriculum = Curriculum(local(UniformConfig, num_active_tasks=MAX_LABELS - 1), generator)
    assert not caplog.records
    assert curriculum.stats()["num_label_overflow"] == 0


def test_labels_of_many_tasks_are_those_of_each_task():
    inner = merge([bucketed({"x": 0}, {"x": [1, 2, 3]}), bucketed({"y": 0}, {"y": [1, 2]}, label="y")])
    generator = merge([["a", "b"], inner, bucketed({"z": 0.0}, {"z": [0.5]}, label="")])
    seeds = np.random.default_rng(0).permutation(generator.num_tasks)
    params = generator.sample(seeds, np.random.default_rng(1))
    expected = [generator.label_of(seed, row) for seed, row in zip(seeds.tolist(), params, strict=True)]
    assert task_labels(generator, seeds, params) == expected
    assert {"y", "x=1", "generator=0", "generator=2"} <= set(expected)
