"""The tickets of `CurriculumSampler`, with stand-ins for prime-rl's base class and its groups."""

import sys
from importlib import import_module
from types import ModuleType, SimpleNamespace

import pytest

from ..helpers import balance


@pytest.fixture
def sampler_class(monkeypatch):
    names = ["prime_rl", "prime_rl.orchestrator", "prime_rl.orchestrator.curriculum", "curricular.trainers.prime_rl"]
    for name in names:
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    sys.modules[names[2]].TaskSampler = object
    del sys.modules[names[3]]
    return import_module(names[3]).CurriculumSampler


def tasks_of(num_tasks):
    return [SimpleNamespace(key=f"task {number}") for number in range(num_tasks)]


def group(task, reward):
    trace = SimpleNamespace(agent=SimpleNamespace(trainable=True), has_error=False, reward=reward)
    return [SimpleNamespace(task=task, traces=[trace])]


def test_a_dropped_group_takes_no_result_from_the_groups_after_it(sampler_class):
    """Each task recurs only after its earlier hand-out has expired, and every second group is dropped."""
    sampler = sampler_class(tasks_of(8), max_age=2)
    num_told = 0
    for number in range(200):
        task = next(sampler)
        if number % 2:
            sampler.observe(group(task, 1.0))
            num_told += 1
            assert sampler.curriculum.stats()["num_completed"] == num_told
    stats = sampler.curriculum.stats()
    assert stats["cancelled/expired"] + stats["num_open"] == 100
    assert stats["num_repeated"] == stats["num_unknown"] == balance(stats) == 0


def test_tickets_are_forgotten_when_they_expire(sampler_class):
    sampler = sampler_class(tasks_of(8), max_age=4)
    for _ in range(200):
        next(sampler)
    assert sum(map(len, sampler._tickets.values())) == sampler.curriculum.stats()["num_open"] == 6
    assert all(sampler._tickets.values())
