"""Statistics in reports come once per curriculum, at an interval that follows its pool."""

import gc
import weakref

import pytest

from curricular import Curriculum, UniformConfig
from curricular.wrappers.episodes import Episode, Handouts
from curricular.wrappers.statistics import PeriodicStats


def curriculum_of(num_tasks, **settings):
    return Curriculum(UniformConfig(num_active_tasks=num_tasks, **{"use_shared_memory": False, **settings}))


def play(curriculum, handouts):
    episodes = [Episode(curriculum.get_task(), 0.5, 1)]
    reports = handouts.tell(episodes)
    handouts.add_stats(reports, episodes)
    return reports[0]


@pytest.mark.parametrize("interval", [1, 4])
def test_environments_of_one_curriculum_count_together(interval):
    curriculum = curriculum_of(3)
    envs = [Handouts(curriculum, "return", interval, 5) for _ in range(5)]
    reports = [play(curriculum, envs[number % 5]) for number in range(40)]
    found = {number: report["stats"] for number, report in enumerate(reports, 1) if "stats" in report}
    assert list(found) == list(range(interval, 41, interval))
    assert all(stats["num_completed"] == number for number, stats in found.items())


def test_environments_of_two_curricula_count_apart():
    first, second = curriculum_of(3), curriculum_of(3)
    with_stats = [
        "stats" in play(curriculum, Handouts(curriculum, "return", 2, 5))
        for curriculum in (first, second, first, second)
    ]
    assert with_stats == [False, False, True, True]


@pytest.mark.parametrize(("num_tasks", "expected"), [(1, 100), (800, 100), (8_000, 1_000)])
def test_the_interval_grows_with_the_pool(num_tasks, expected):
    stats = PeriodicStats(curriculum_of(num_tasks), "auto")
    due = [number for number in range(1, 2_001) if stats.after_episode(20) is not None]
    assert due == list(range(expected, 2_001, expected))


@pytest.mark.parametrize(("num_steps", "expected"), [(1, 2_000), (10, 200), (19, 106), (20, 100), (500, 100)])
def test_short_episodes_are_reported_less_often(num_steps, expected):
    stats = PeriodicStats(curriculum_of(1), "auto")
    due = [number for number in range(1, 2_001) if stats.after_episode(num_steps) is not None]
    assert due == list(range(expected, 2_001, expected))


def test_each_process_of_a_session_reports_its_share():
    config = UniformConfig(num_active_tasks=4)
    first = Curriculum(config)
    with first:
        stats = PeriodicStats(first, 12)
        num_workers = first.tracker.backend.num_workers
        due = [number for number in range(1, 25) if stats.after_episode(1) is not None]
        assert due == list(range(12 // num_workers, 25, 12 // num_workers))


@pytest.mark.parametrize("wrong", [0, -1, "often"])
def test_an_interval_is_auto_or_a_number_of_episodes(wrong):
    with pytest.raises(
        ValueError, match=rf"stats_interval: expected 'auto' or at least 1 episode, got {wrong!r}; None"
    ):
        PeriodicStats(curriculum_of(1), wrong)


def test_no_interval_means_no_statistics():
    stats = PeriodicStats(curriculum_of(1), None)
    assert [stats.after_episode(1) for _ in range(200)] == [None] * 200


def test_counting_keeps_no_curriculum_alive():
    curriculum = curriculum_of(1)
    gone = weakref.ref(curriculum)
    PeriodicStats(curriculum, 5)
    del curriculum
    gc.collect()
    assert gone() is None
