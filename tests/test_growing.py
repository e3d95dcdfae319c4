"""Tasks that come and go while a curriculum runs, and opponents as tasks: on each backend, shared, saved, exact."""

import multiprocessing

import numpy as np
import pytest

from curricular import Curriculum, LearningProgressConfig, PfspConfig, SequentialConfig, UniformConfig, load_config
from curricular.table import check_table

from .helpers import TIMEOUT, balance

BACKENDS = pytest.mark.parametrize("use_shared_memory", [False, True], ids=["local", "shared"])


def growing(num_tasks=100, config_type=UniformConfig, **settings):
    defaults = {"num_active_tasks": 6, "num_first_tasks": 2, "use_shared_memory": False}
    return Curriculum(range(num_tasks), config_type(**defaults | settings))


def configs(curriculum, n=100):
    return {task.config for task in curriculum.ask(n)}


@BACKENDS
def test_tasks_come_and_go(use_shared_memory):
    curriculum = growing(use_shared_memory=use_shared_memory)
    assert configs(curriculum) == {0, 1}
    ids = curriculum.add_tasks([70, 5])
    assert configs(curriculum) == {0, 1, 5, 70}
    assert [curriculum.task(task_id).config for task_id in ids.tolist()] == [70, 5]
    curriculum.remove_tasks([curriculum.find(0), ids[0]])
    assert configs(curriculum) == {1, 5}
    assert len(curriculum.probabilities()) == 6
    assert curriculum.stats()["num_evicted"] == 2
    again = curriculum.add_tasks([0, 70])
    assert not set(again.tolist()) & {0, *ids.tolist()}
    assert configs(curriculum) == {0, 1, 5, 70}
    check_table(curriculum.tracker.snapshot())


@BACKENDS
def test_a_result_of_a_removed_task_is_stale_and_never_that_of_its_successor(use_shared_memory):
    curriculum = growing(use_shared_memory=use_shared_memory)
    first, ticket = curriculum.ask_for([0]), curriculum.ask_for([1])
    while (task := curriculum.get_task()).task_id:
        curriculum.cancel([task.task_id], "not the one")
    curriculum.remove_tasks([0])
    assert len(curriculum.open_handouts().tickets) == 2
    (successor,) = curriculum.add_tasks([9]).tolist()
    assert successor % 6 == 0
    curriculum.update_task_performance(0, 1.0)
    assert curriculum.tell_batch(first.tickets, [1.0]) == 1
    assert curriculum.tell_batch(ticket.tickets, [1.0]) == 1
    stats = curriculum.stats()
    assert (stats["num_stale"], stats["num_completed"], stats["num_pending"]) == (2, 1, 0)
    assert balance(stats) == 0
    assert curriculum.task(successor).num_completions == 0
    check_table(curriculum.tracker.snapshot())


def test_a_removed_task_is_not_there_but_its_results_still_count():
    curriculum = growing()
    batch = curriculum.ask_for([0])
    curriculum.remove_tasks([0])
    for call in (curriculum.task, lambda task_id: curriculum.ask_for([task_id])):
        with pytest.raises(KeyError, match=r"expected (a task|ids of tasks) in the pool.* got 0"):
            call(0)
    with pytest.raises(KeyError, match="config: expected the configuration of a task in the pool"):
        curriculum.find(0)
    assert curriculum.tell_batch(batch.tickets, [1.0]) == 1
    assert curriculum.stats()["num_completed"] == 1
    assert curriculum.add_tasks([7]).tolist() == [6]


def ask_and_tell(curriculum, until):
    """Plays until the event is set."""
    while not until.is_set():
        batch, task = curriculum.ask_batch(3), curriculum.get_task()
        curriculum.tell_batch(batch.tickets, np.ones(3))
        curriculum.update_task_performance(task.task_id, 1.0)
    curriculum.close()


def test_processes_play_while_the_set_changes():
    config = UniformConfig(num_active_tasks=6, num_first_tasks=2, session_id="test-growing-processes")
    context = multiprocessing.get_context("fork")
    with Curriculum(range(100), config) as curriculum:
        until = context.Event()
        players = [context.Process(target=ask_and_tell, args=(curriculum, until)) for _ in range(2)]
        for player in players:
            player.start()
        for seed in range(2, 60):
            (task_id,) = curriculum.add_tasks([seed]).tolist()
            curriculum.ask_for([task_id])
            curriculum.remove_tasks([curriculum.find(seed - 2)])
        until.set()
        for player in players:
            player.join(TIMEOUT)
            assert player.exitcode == 0
        assert {state.seed for state in curriculum.task_states()} == {58, 59}
        curriculum.flush()
        stats = curriculum.stats()
        assert balance(stats) == 0
        assert stats["num_pending"] == stats["num_open"] == 58
        check_table(curriculum.tracker.snapshot())


def test_only_the_user_changes_the_pool():
    curriculum = growing(
        config_type=LearningProgressConfig.default,
        min_samples_for_lp=1,
        min_presentations_for_eviction=1,
        eviction_rate=1.0,
        eviction_threshold_percentile=1.0,
    )
    for _ in range(50):
        tasks = curriculum.ask(8)
        curriculum.tell([task.task_id for task in tasks], [1.0] * 8)
    curriculum.cancel([0] * 50, "broken")
    assert curriculum.stats()["num_evicted"] == 0
    assert configs(curriculum) <= {0, 1}


def test_processes_of_a_session_share_the_set():
    config = UniformConfig(num_active_tasks=6, num_first_tasks=2, session_id="test-growing")
    with Curriculum(range(100), config) as first, Curriculum(range(100), config) as second:
        first.add_tasks([50])
        assert configs(second) == {0, 1, 50}
        second.remove_tasks([second.find(1)])
        assert configs(first) == {0, 50}
        with Curriculum(range(100), config) as third:
            assert configs(third) == configs(first) == {0, 50}
        with pytest.raises(ValueError, match="got 50, which is task 2"):
            first.add_tasks([50])


@BACKENDS
def test_the_set_and_the_accounts_are_right_after_any_calls(use_shared_memory):
    rng, curriculum = np.random.default_rng(0), growing(use_shared_memory=use_shared_memory, num_tasks=12)
    present, tickets, saved = {0, 1}, [], None
    for _ in range(200):
        match int(rng.integers(8)):
            case 0 if len(present) < 6:
                seed = int(rng.choice(sorted(set(range(12)) - present)))
                curriculum.add_tasks([seed])
                present |= {seed}
            case 1 if len(present) > 1:
                seed = int(rng.choice(sorted(present)))
                curriculum.remove_tasks([curriculum.find(seed)])
                present -= {seed}
            case 2:
                tickets += curriculum.ask_batch(int(rng.integers(4))).tickets.tolist()
            case 3 | 4 if tickets:
                chosen = [tickets.pop(int(rng.integers(len(tickets)))) for _ in range(min(2, len(tickets)))]
                assert curriculum.tell_batch(chosen, np.ones(len(chosen))) == len(chosen)
            case 5:
                task = curriculum.get_task()
                assert task.config in present
                curriculum.update_task_performance(task.task_id, 0.5)
            case 6:
                saved = curriculum.state_dict(), set(present), list(tickets)
            case 7 if saved and rng.random() < 0.2:
                curriculum.load_state_dict(saved[0])
                present, tickets = set(saved[1]), list(saved[2])
        assert {state.seed for state in curriculum.task_states()} == present
        assert balance(curriculum.stats()) == 0
        check_table(curriculum.tracker.snapshot())


def test_it_is_saved_and_continues_with_the_same_tasks(tmp_path):
    here = growing()
    here.add_tasks([30, 31])
    here.remove_tasks([1])
    batch = here.ask_batch(3)
    here.save(tmp_path / "saved")
    there = Curriculum.load(tmp_path / "saved", range(100))
    assert configs(there) == {0, 30, 31}
    assert there.ask_batch(3).tickets.tolist() == batch.tickets.tolist()
    assert [state.seed for state in there.task_states()] == [state.seed for state in here.task_states()]
    for curriculum in (here, there):
        curriculum.add_tasks([40])
    assert configs(there) == configs(here) == {0, 30, 31, 40}
    check_table(there.tracker.snapshot())


def test_it_is_saved_and_loads_into_a_longer_list_and_a_larger_pool(tmp_path):
    here = growing()
    here.add_tasks([30])
    here.tell([0], [1.0])
    here.save(tmp_path / "saved")
    config = UniformConfig(num_active_tasks=20, num_first_tasks=2, use_shared_memory=False)
    there = Curriculum.load(tmp_path / "saved", range(200), config=config)
    assert configs(there) == {0, 1, 30}
    assert there.task(there.find(0)).num_completions == 1
    there.add_tasks([150, *range(40, 55)])
    assert len(configs(there, 1000)) == 19
    # A shorter list lacks a task: it leaves the pool, and none takes its place.
    shorter = Curriculum.load(tmp_path / "saved", range(20))
    assert configs(shorter) == {0, 1}
    assert shorter.stats()["num_evicted"] == 1


def test_draws_without_replacement_are_of_the_tasks_that_are_there():
    curriculum = growing(config_type=SequentialConfig)
    curriculum.add_tasks([8])
    assert sorted(task.config for task in curriculum.ask(3, replace=False)) == [0, 1, 8]
    assert len(set(curriculum.ask_batch(3, replace=False).task_ids.tolist())) == 3
    for ask in (curriculum.ask, curriculum.ask_batch):
        with pytest.raises(ValueError, match="n: expected 0 to 3 tasks, got 4"):
            ask(4, replace=False)


def test_the_whole_list_can_be_in_the_pool_by_default():
    curriculum = Curriculum(range(50), UniformConfig(num_first_tasks=1, use_shared_memory=False))
    curriculum.add_tasks(np.arange(1, 50))
    assert len(configs(curriculum, 2000)) == 50


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda c: c.add_tasks([1]), ValueError, "seeds: expected tasks that are not in the pool, got 1, which is"),
        (lambda c: c.add_tasks([3, 3]), ValueError, "seeds: expected each index once, got 3 twice; drop"),
        (lambda c: c.add_tasks([100]), ValueError, "seeds: expected indices from 0 to 99, got 100; pass"),
        (lambda c: c.add_tasks(range(3, 8)), ValueError, "seeds: expected at most 4, one for each free place"),
        (lambda c: c.add_tasks(np.array([2**64 - 1], np.uint64)), ValueError, "got 18446744073709551615; pass"),
        (lambda c: c.add_tasks([0.5]), TypeError, "seeds: expected integers, got dtype float64"),
        (lambda c: c.add_tasks(3), ValueError, r"seeds: expected shape \(n,\), got \(\)"),
        (lambda c: c.remove_tasks([0, 1]), ValueError, "task_ids: expected to leave at least one task in the pool"),
        (lambda c: c.remove_tasks([7]), KeyError, r"task_ids: expected ids of tasks in the pool, .* got 7"),
    ],
)
def test_a_wrong_call_is_named_and_changes_nothing(call, error, message):
    curriculum = growing()
    before = curriculum.task_states()
    with pytest.raises(error, match=message):
        call(curriculum)
    assert curriculum.task_states() == before
    curriculum.remove_tasks([])
    assert not len(curriculum.add_tasks([]))


def test_configs_that_do_not_fit_are_named():
    with pytest.raises(ValueError, match="add_tasks: expected a config with num_first_tasks, got None"):
        Curriculum(range(4), UniformConfig(use_shared_memory=False)).add_tasks([1])
    with pytest.raises(ValueError, match="num_first_tasks: expected None for an endless generator, got 2; use a list"):
        Curriculum(UniformConfig(num_first_tasks=2, use_shared_memory=False))
    with pytest.raises(ValueError, match="num_first_tasks: expected at most num_active_tasks = 3, got 4; lower it"):
        growing(num_active_tasks=3, num_first_tasks=4)


class TestPfsp:
    def shares(self, *scores, **settings):
        config = PfspConfig(rand_task_rate=0.0, prior=1e-9, use_shared_memory=False, **settings)
        curriculum = Curriculum(range(len(scores)), config)
        ids = {state.seed: state.task_id for state in curriculum.task_states()}
        for seed, score in enumerate(scores):
            curriculum.tell([ids[seed]] * 10, [score] * 10)
        p = curriculum.probabilities()
        return [p[ids[seed]] for seed in range(len(scores))]

    def test_hard_opponents_are_drawn_by_how_rarely_they_are_beaten(self):
        weights = np.array([0.0, 0.5, 0.9]) ** 2
        assert self.shares(1.0, 0.5, 0.1) == pytest.approx(weights / weights.sum())
        weights = np.array([0.0, 0.5, 0.9]) ** 0.5
        assert self.shares(1.0, 0.5, 0.1, power=0.5) == pytest.approx(weights / weights.sum(), abs=1e-4)

    def test_equal_opponents_are_drawn_by_the_variance(self):
        weights = np.array([0.0, 0.25, 0.09])
        assert self.shares(1.0, 0.5, 0.1, weighting="variance") == pytest.approx(weights / weights.sum(), abs=1e-6)

    def test_a_new_opponent_counts_as_an_equal(self):
        curriculum = growing(config_type=PfspConfig, rand_task_rate=0.0, prior=1e-9)
        curriculum.tell([0, 1], [0.5, 0.5])
        curriculum.add_tasks([2])
        p = curriculum.probabilities()
        assert p[:3] == pytest.approx([1 / 3] * 3)

    def test_a_file_describes_it(self):
        config = load_config({"algorithm": "pfsp", "weighting": "variance", "num_first_tasks": 1})
        assert load_config(config.model_dump(mode="json")) == config
