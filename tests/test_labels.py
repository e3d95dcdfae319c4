"""Labels of any length and number: long ones stay apart, too many are named, counted and warned of once."""

import logging
import sys

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
from curricular.aggregates import Aggregator
from curricular.generators import task_labels
from curricular.metrics import by_label
from curricular.notebook import stats_html
from curricular.show import read_content
from curricular.show_text import write_tables
from curricular.table import MAX_LABELS
from curricular.watch.figures import LABEL, groups

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


def test_a_label_with_slashes_is_one_label_in_every_view(tmp_path, capsys):
    names = ["maze", "maze/small", "maze/num_tasks", "ends in a slash/", "a: b\nc"]
    generator = merge([single_task(name, label=name) for name in names])
    with Curriculum(local(UniformConfig, num_active_tasks=len(names)), generator) as curriculum:
        tasks = curriculum.tasks()
        curriculum.tell(tasks["task_id"], tasks["label"] == "maze")
        stats = curriculum.stats()
        curriculum.save(tmp_path / "pool.npz")
        rows = [row["item"] for row in Aggregator().rows(stats, curriculum.tasks()) if row["kind"] == "label"]
    content = read_content(str(tmp_path / "pool.npz"))
    assert sorted(by_label(stats)) == sorted(rows) == sorted(names)
    assert {group.name: (group.num_tasks, group.success) for group in groups(content, LABEL)} == {
        name: (1.0, float(name == "maze")) for name in names
    }
    write_tables(content, sys.stdout)
    shown = [line.split("│")[1:-1] for line in capsys.readouterr().out.splitlines() if "│" in line]
    by_name = {cells[0].strip(): [cell.strip() for cell in cells[1:]] for cells in shown if len(cells) == 4}
    page = stats_html("pool", stats)
    for name in names:
        line = " ".join(name.split())
        assert by_name[line] == ["1", "20.0%", "100%" if name == "maze" else "0%"]
        assert page.count(f">{line}</td><td>1</td>") == 1
