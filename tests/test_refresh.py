"""A refresh: one pass and one patch, when it is due, and what happens if it fails."""

import logging

import numpy as np
import pytest

from curricular import (
    Algorithm,
    Curriculum,
    CurriculumConfig,
    LearningProgressConfig,
    LocalMemoryBackend,
    RefreshError,
    SequentialConfig,
    SharedMemoryBackend,
    TargetScheduleConfig,
    UniformConfig,
    bucketed,
    merge,
    single_task,
)
from curricular.backends.protocol import NOTHING_LOST
from curricular.probabilities import proportional, rank, top_k
from curricular.refresh import PATIENCE, refresh_interval
from curricular.results import estimator
from curricular.table import EVENT, TOLD, Draft, admit, columns_of, empty_table

BACKENDS = pytest.mark.parametrize("backend", [LocalMemoryBackend, lambda n: SharedMemoryBackend(None, n)])
ESTIMATOR = estimator(CurriculumConfig())


def quick(num_active_tasks=16, **overrides):
    """Evicts with nearly every refresh."""
    return LearningProgressConfig.fast_learning(
        num_active_tasks=num_active_tasks, min_presentations_for_eviction=5, eviction_rate=0.3, **overrides
    )


def play(curriculum, num_results):
    for _ in range(num_results):
        task = curriculum.get_task()
        curriculum.update_task_performance(task.task_id, task.task_id % 3 / 2)


class Noted:
    """A transaction that keeps what is committed."""

    follows = False

    def __init__(self, table, events):
        self.table, self.events, self.lost, self.commits = table, events, NOTHING_LOST, []

    def commit(self, patch, *, flushes=False):
        self.commits.append((patch, flushes))


def test_a_refresh_that_records_evicts_admits_and_chooses_is_one_patch():
    curriculum = Curriculum(quick(use_shared_memory=False))
    play(curriculum, 400)
    before = curriculum.tracker.snapshot()
    ids = before.rows["task_id"].repeat(8)
    events = np.zeros(len(ids), EVENT)
    events["task_id"], events["kind"], events["score"] = ids, TOLD, np.tile([0.0, 1.0], len(ids) // 2)
    noted = Noted(before, events)
    curriculum._refresher._pass(noted, fills=True, is_due=True)
    curriculum._refresher._pass(noted)
    for patch, flushes in noted.commits:
        assert flushes
        assert patch.counters.num_completed == before.counters.num_completed + len(events)
        assert patch.cumulated[-1] == 1.0
        assert len(np.unique(patch.slots)) == len(patch.slots) == 16
    assert len(noted.commits) == 2
    assert noted.commits[1][0].counters.num_evicted > before.counters.num_evicted
    assert (before.rows.words == curriculum.tracker.snapshot().rows.words).all()


def curriculum_ids(curriculum, n):
    return [task.task_id for task in curriculum.ask(n)]


def test_a_draft_reads_as_the_table_with_its_patches():
    table = empty_table(8, 2)
    draft = Draft(table)
    params = np.arange(16.0).reshape(8, 2)
    draft.add(admit(table, np.arange(8), np.arange(8), params, list("aabbccdd"), 1.0, ESTIMATOR))
    draft.add(admit(draft.table, np.array([6, 2]), np.array([60, 20]), params[:2] + 100, ["new", "a"], 2.0, ESTIMATOR))
    rows = draft.table.rows
    assert rows["seed"].tolist() == [0, 1, 20, 3, 4, 5, 60, 7]
    assert rows["task_id"].tolist() == [0, 1, 10, 3, 4, 5, 14, 7]
    assert rows["params"][6].tolist() == [100.0, 101.0]
    assert rows.take(np.array([7, 6, 0]))["seed"].tolist() == [7, 60, 0]
    assert len(rows) == 8
    assert rows.num_axes == 2
    assert draft.table.counters.num_created == 10
    assert draft.table.counters.num_evicted == 2
    assert not table.rows["is_active"].any()
    assert sorted(draft.patch.slots.tolist()) == list(range(8))
    assert columns_of(draft.table)["seed"].tolist() == rows["seed"].tolist()


class TestInterval:
    def test_it_is_short_for_small_pools_and_proportional_for_large_ones(self):
        assert [refresh_interval(n, 10**7) for n in (1, 3, 16, 256, 10_000, 10**6)] == [16, 16, 32, 512, 625, 62_500]
        assert [refresh_interval(n, 0) for n in (1, 3, 16, 256, 10_000, 10**6)] == [8, 8, 32, 32, 312, 31_250]

    def test_it_never_falls_with_results_or_with_the_pool(self):
        sizes, counts = np.unique(np.logspace(0, 7, 60).astype(int)), np.unique(np.logspace(0, 7, 60).astype(int))
        found = np.array([[refresh_interval(int(n), int(k)) for k in counts] for n in sizes])
        assert (np.diff(found, axis=0) >= 0).all()
        assert (np.diff(found, axis=1) >= 0).all()

    def test_a_huge_pool_does_not_begin_with_hundreds_of_refreshes(self):
        curriculum = Curriculum(UniformConfig(num_active_tasks=100_000, use_shared_memory=False))
        for _ in range(100):
            curriculum.tell(curriculum_ids(curriculum, 100), np.zeros(100))
        assert curriculum.stats()["num_refreshes"] <= 5

    def test_every_few_results_refresh_a_pool_of_three(self):
        curriculum = Curriculum(UniformConfig(num_active_tasks=3, use_shared_memory=False))
        play(curriculum, 20_000)
        before = curriculum.stats()["num_refreshes"]
        play(curriculum, 80)
        assert curriculum.stats()["num_refreshes"] == before + 5


@pytest.mark.parametrize("num_before", [0, 20_000])
def test_a_stage_ends_within_an_interval_of_the_pool_however_much_came_before(num_before):
    config = SequentialConfig(num_active_tasks=3, rehearsal_share=0.0, use_shared_memory=False)
    curriculum = Curriculum(config, merge([single_task(stage) for stage in range(3)]))
    first = next(state.task_id for state in curriculum.task_states() if state.seed == 0)
    for _ in range(num_before):
        curriculum.update_task_performance(first, 0.0)
    curriculum.flush()
    config = curriculum.config
    num_results = 0
    while curriculum.get_task().config == 0:
        curriculum.update_task_performance(first, 1.0)
        num_results += 1
        assert num_results < 1000
    needed = 20 if not num_before else int(np.ceil(np.log(0.1) / np.log1p(-config.slow_rate)))
    assert num_results <= needed + refresh_interval(3, num_before) + 1


@pytest.mark.parametrize("how", ["nothing told", "all cancelled", "one large batch"])
def test_a_schedule_by_hand_outs_moves_by_hand_outs(how):
    tasks = bucketed({"a": 0}, {"a": list(range(11))})
    config = TargetScheduleConfig(
        num_active_tasks=11, axis=0, stop=10.0, num_tasks=2000, rand_task_rate=0.0, use_shared_memory=False
    )
    curriculum = Curriculum(config, tasks)
    assert max(task.config["a"] for task in curriculum.ask(10)) < 5
    if how == "one large batch":
        curriculum.ask(4096)
    for _ in range(0 if how == "one large batch" else 40):
        batch = curriculum.ask(100)
        if how == "all cancelled":
            curriculum.cancel([task.task_id for task in batch], "for the test")
    assert min(task.config["a"] for task in curriculum.ask(10)) > 5


@pytest.mark.parametrize("covers", [False, True])
def test_whole_numbers_of_any_type_are_counted_as_hand_outs(covers):
    class Two:
        def __index__(self):
            return 2

    config = TargetScheduleConfig(
        num_active_tasks=11, axis=0, stop=10.0, num_tasks=2000, cover_share=0.5 * covers, use_shared_memory=False
    )
    curriculum = Curriculum(config, bucketed({"a": 0}, {"a": list(range(11))}))
    assert len(curriculum.ask_batch(Two()).tickets) == len(curriculum.ask(Two())) == 2
    assert curriculum.stats()["num_scheduled"] == 4


class Broken(Algorithm):
    """Works until it is told not to."""

    answer = None

    def priorities(self, columns):
        return np.ones(len(columns["is_active"]))

    def probabilities(self, columns, priorities):
        if isinstance(self.answer, Exception):
            raise self.answer
        return priorities / len(priorities) if self.answer is None else self.answer


@BACKENDS
class TestFailure:
    """A recording call that recorded does not raise; the next call that hands out or looks does."""

    @pytest.fixture
    def curriculum(self, backend):
        self.algorithm = Broken()
        return Curriculum(CurriculumConfig(num_active_tasks=16), algorithm=self.algorithm, backend=backend(16))

    def test_telling_goes_on_and_asking_raises_when_the_distribution_is_old(self, curriculum, caplog):
        self.algorithm.answer = RuntimeError("out of ideas")
        interval = refresh_interval(16, 0)
        with caplog.at_level(logging.WARNING, "curricular"):
            ids = curriculum_ids(curriculum, 1 + PATIENCE * interval)
            for task_id in ids:
                curriculum.update_task_performance(task_id, 0.5)
        assert len([record for record in caplog.records if "refresh" in record.message]) == 1
        assert "out of ideas" in caplog.text
        for ask in (curriculum.get_task, curriculum.ask, curriculum.stats, curriculum.flush):
            with pytest.raises(RefreshError, match="out of ideas; your results are recorded"):
                ask()
            for task_id in ids[:interval]:
                curriculum.update_task_performance(task_id, 0.5)
        self.algorithm.answer = None
        for task_id in ids[: 2 * interval]:
            curriculum.update_task_performance(task_id, 0.5)
        curriculum.ask(3)
        assert curriculum.stats()["num_completed"] + curriculum.stats()["num_stale"] == len(ids) + 6 * interval

    def test_a_cause_that_is_gone_is_not_raised(self, curriculum):
        self.algorithm.answer = OSError("no space left")
        ids = curriculum_ids(curriculum, 1 + PATIENCE * refresh_interval(16, 0))
        for task_id in ids:
            curriculum.update_task_performance(task_id, 0.5)
        num_refreshes = curriculum.tracker.snapshot().counters.num_refreshes
        self.algorithm.answer = None
        curriculum.get_task()
        assert curriculum.stats()["num_refreshes"] == num_refreshes + 1

    def test_what_came_before_the_error_is_recorded_and_the_old_distribution_stays(self, curriculum):
        before = curriculum.tracker.snapshot().cumulated
        self.algorithm.answer = KeyError("key")
        curriculum.tell([task.task_id for task in curriculum.ask(100)], np.full(100, 0.5))
        table = curriculum.tracker.snapshot()
        assert table.counters.num_completed == 100
        assert (table.cumulated == before).all()
        assert curriculum.state_dict()["counters"]["num_completed"] == 100

    @pytest.mark.parametrize(
        ("answer", "found"),
        [
            (np.full(16, np.nan), "nan among them"),
            (np.r_[np.inf, np.zeros(15)], "inf among them"),
            (np.r_[-0.5, 1.5, np.zeros(14)], "-0.5 among them"),
            (np.zeros(16), "a sum of 0.0"),
            (np.full(16, 0.5), "a sum of 8.0"),
            (np.full(15, 1 / 15), r"shape \(15,\)"),
            (0.5, r"shape \(\)"),
            (["a"] * 16, "got .'a'"),
            (None, None),
        ],
    )
    def test_an_answer_that_is_no_distribution_is_refused_by_the_name_of_the_algorithm(self, curriculum, answer, found):
        if found is None:
            assert curriculum.probabilities().sum() == pytest.approx(1)
            return
        self.algorithm.answer = answer
        with pytest.raises(ValueError, match=rf"Broken\.probabilities: expected .*{found}"):
            curriculum.probabilities()

    def test_a_bad_argument_is_still_the_callers(self, curriculum):
        self.algorithm.answer = RuntimeError("out of ideas")
        with pytest.raises(KeyError, match="task_id"):
            curriculum.update_task_performance(10**6, 0.5)
        with pytest.raises(ValueError, match="score"):
            curriculum.tell([0, 1], [0.5, 2.0])
        assert curriculum.tracker.snapshot().counters.num_completed == 0


@pytest.mark.parametrize("use", [rank, proportional, lambda priorities, active: top_k(priorities, active, 2)])
@pytest.mark.parametrize(
    ("priorities", "found"),
    [
        ([1.0, np.nan, 2.0], "nan among them"),
        ([1.0, -np.inf, 2.0], "-inf among them"),
        ([np.nan] * 3, "nan among them"),
        ([1.0, 2.0], r"shape \(2,\)"),
        (None, r"shape \(\)"),
        (["a"] * 3, r"got array\(\['a'"),
    ],
)
def test_priorities_that_are_none_are_refused_whatever_is_made_of_them(priorities, found, use):
    class Own(Algorithm):
        def priorities(self, columns):
            return np.array(priorities) if isinstance(priorities, list) else priorities

        def probabilities(self, columns, priorities):
            return use(priorities, columns["is_active"])

    with pytest.raises(ValueError, match=rf"Own\.priorities: expected .*{found}"):
        Curriculum(CurriculumConfig(num_active_tasks=3), algorithm=Own())


def test_an_algorithm_of_another_kind_is_refused_when_the_curriculum_is_made():
    class NotOne:
        def priorities(self, columns):
            return columns["seed"]

    with pytest.raises(TypeError, match=r"algorithm: expected an object of a subclass of curricular\.Algorithm"):
        Curriculum(CurriculumConfig(num_active_tasks=2), algorithm=NotOne())


@BACKENDS
def test_a_batch_larger_than_the_log_is_recorded_whole_or_not_at_all(backend):
    curriculum = Curriculum(UniformConfig(num_active_tasks=16), backend=backend(16))
    ids = curriculum_ids(curriculum, 5000)
    with pytest.raises(ValueError, match="score"):
        curriculum.tell(ids, [*np.full(4999, 0.5), 7.0])
    assert curriculum.tracker.snapshot().counters.num_completed == 0
    curriculum.tell(ids, np.full(5000, 0.5))
    counters = curriculum.tracker.snapshot().counters
    assert (counters.num_scheduled, counters.num_completed, counters.num_pending) == (5000, 5000, 0)
