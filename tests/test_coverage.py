"""Coverage: a share of the hand-outs walks over the pool, over cancellations, crashes, loads and processes."""

import linecache
from functools import partial
from itertools import count, pairwise

import numpy as np
import pytest

from curricular import (
    Curriculum,
    LearningProgressConfig,
    TaskBuildError,
    ThompsonConfig,
    UniformConfig,
    asking,
    bucketed,
    dataset,
)
from curricular.algorithms.registry import variants
from curricular.backends.local import LocalMemoryBackend
from curricular.coverage import Walk
from curricular.testing.trial import interrupts

from .helpers import balance

BACKENDS = pytest.mark.parametrize("use_shared_memory", [False, True], ids=["local", "shared"])


def prompts(num_tasks, first=0):
    return dataset([{"id": number} for number in range(first, first + num_tasks)], key="id")


def made(num_tasks, cover_share=1.0, config=UniformConfig, **overrides):
    settings = {"use_shared_memory": False, "eviction_rate": 0.0, **overrides}
    return Curriculum(prompts(num_tasks), config(cover_share=cover_share, **settings))


@BACKENDS
@pytest.mark.parametrize("cover_share", [1.0, 0.5, 0.07])
@pytest.mark.parametrize("config", [UniformConfig, ThompsonConfig, LearningProgressConfig.default], ids=str)
def test_each_walk_hands_out_every_prompt_within_its_share_of_the_hand_outs(use_shared_memory, cover_share, config):
    rng, num_tasks = np.random.default_rng(0), 60
    curriculum = made(num_tasks, cover_share, config, use_shared_memory=use_shared_memory)
    seeds, starts = [], [0]
    while len(starts) < 4:
        batch = curriculum.ask_batch(int(rng.integers(1, 9)), replace=bool(rng.integers(2)))
        seeds += batch.seeds.tolist()
        curriculum.tell_batch(batch.tickets, rng.random(len(batch.tickets)) < batch.seeds / num_tasks)
        start = curriculum.tracker.snapshot().counters.walk_start
        starts += [start] if start > starts[-1] else []
    for start, end in pairwise(starts):
        assert set(seeds[start:end]) == set(range(num_tasks))
        assert end - start <= num_tasks / cover_share + 1


@BACKENDS
def test_a_share_of_one_is_an_exact_epoch_over_saves_loads_and_single_asks(use_shared_memory, tmp_path):
    curriculum, seeds = made(30, use_shared_memory=use_shared_memory), []
    rng = np.random.default_rng(1)
    while len(seeds) < 150:
        if rng.random() < 0.3:
            seeds.append(curriculum.get_task().config["id"])
        elif rng.random() < 0.3:
            seeds += [task.config["id"] for task in curriculum.ask(int(rng.integers(1, 4)))]
        else:
            batch = curriculum.ask_batch(int(rng.integers(1, 9)))
            seeds += batch.seeds.tolist()
            curriculum.tell_batch(batch.tickets, np.ones(len(batch.tickets)))
        if rng.random() < 0.3:
            curriculum.save(tmp_path / "saved")
            curriculum.close()
            curriculum = Curriculum.load(tmp_path / "saved", prompts(30))
    for epoch in range(5):
        assert sorted(seeds[30 * epoch : 30 * (epoch + 1)]) == list(range(30))
    assert len({tuple(seeds[30 * epoch : 30 * (epoch + 1)]) for epoch in range(5)}) == 5


@BACKENDS
def test_a_crash_loses_no_prompt_of_the_epoch(use_shared_memory, tmp_path):
    curriculum = made(100, use_shared_memory=use_shared_memory)
    done = []
    batch = curriculum.ask_batch(40)
    curriculum.tell_batch(batch.tickets[:10], np.ones(10))
    done += batch.seeds[:10].tolist()
    curriculum.save(tmp_path / "saved")
    curriculum.tell_batch(curriculum.ask_batch(25).tickets, np.ones(25))  # of the life that is lost
    curriculum.close()

    resumed = Curriculum.load(tmp_path / "saved", prompts(100))
    while len(done) < 100:
        batch = resumed.ask_batch(9)
        done += batch.seeds.tolist()
        resumed.tell_batch(batch.tickets, np.ones(9))
    assert sorted(done[:100]) == list(range(100))


@BACKENDS
def test_a_cancelled_prompt_comes_again_within_the_walk(use_shared_memory):
    curriculum, rng = made(50, use_shared_memory=use_shared_memory), np.random.default_rng(2)
    told = []
    while curriculum.tracker.snapshot().counters.num_walks == 0:
        batch = curriculum.ask_batch(1)
        if rng.random() < 0.4 and np.count_nonzero(curriculum.tasks()["num_failures"] == 2) == 0:
            curriculum.cancel_batch(batch.tickets, "stale")
        elif curriculum.tracker.snapshot().counters.num_walks == 0:
            curriculum.tell_batch(batch.tickets, [1.0])
            told += batch.seeds.tolist()
    assert sorted(told) == list(range(50))


def test_a_prompt_that_is_always_cancelled_does_not_hold_up_the_walk():
    curriculum = made(10, max_failures=3)
    seeds = []
    for _ in range(36):
        batch = curriculum.ask_batch(1)
        seeds += batch.seeds.tolist()
        (seed,) = batch.seeds.tolist()
        curriculum.cancel_batch(batch.tickets, "stale") if seed == 4 else curriculum.tell_batch(batch.tickets, [1.0])
    assert seeds[:12].count(4) == 3  # as often as max_failures says
    assert [seeds[start : start + 10].count(4) for start in (12, 22)] == [1, 1]  # then once a walk
    assert curriculum.stats()["cancelled/stale"] == 5 + (seeds[32:].count(4))


def test_slow_prompts_that_are_cancelled_nine_times_of_ten_are_visible_by_reason_and_not_starved():
    curriculum = made(40, 0.25, ThompsonConfig)
    slow, told, rng = range(8), np.zeros(40, int), np.random.default_rng(3)
    for _ in range(400):
        batch = curriculum.ask_batch(8, replace=False)
        is_stale = np.isin(batch.seeds, slow) & (rng.random(8) < 0.9)
        curriculum.cancel_batch(batch.tickets[is_stale], "stale")
        curriculum.tell_batch(batch.tickets[~is_stale], rng.random((int((~is_stale).sum()), 4)).round())
        np.add.at(told, batch.seeds[~is_stale], 1)
    assert curriculum.stats()["cancelled/stale"] > 100
    assert (told > 0).all()
    assert balance(curriculum.stats()) == 0


def test_a_data_set_that_grows_within_an_epoch_has_its_new_rows_in_this_epoch(tmp_path):
    curriculum = made(30)
    first = curriculum.ask_batch(20)
    curriculum.tell_batch(first.tickets, np.ones(20))
    curriculum.save(tmp_path / "saved")
    grown = Curriculum.load(tmp_path / "saved", prompts(40))
    rest = grown.ask_batch(20)
    assert sorted([*first.seeds.tolist(), *rest.seeds.tolist()]) == list(range(40))
    assert grown.tracker.snapshot().counters.num_walks == 0
    assert set(grown.ask_batch(40).seeds.tolist()) == set(range(40))


def test_tasks_that_enter_the_pool_do_not_prolong_a_walk():
    config = LearningProgressConfig.default(
        num_active_tasks=20,
        cover_share=0.5,
        eviction_rate=1.0,
        min_samples_for_lp=1,
        min_presentations_for_eviction=1,
        use_shared_memory=False,
    )
    curriculum = Curriculum(config)
    for _ in range(100):
        batch = curriculum.ask_batch(8)
        curriculum.tell_batch(batch.tickets, np.ones(8))
    assert curriculum.stats()["num_evicted"] > 100
    assert curriculum.tracker.snapshot().counters.num_walks >= 8


def test_a_batch_without_replacement_is_distinct_where_two_walks_meet():
    curriculum, seeds = made(10), []
    for _ in range(30):
        batch = curriculum.ask_batch(7, replace=False)
        assert len(set(batch.seeds.tolist())) == 7
        seeds += batch.seeds.tolist()
        curriculum.tell_batch(batch.tickets, np.ones(7))
    assert np.bincount(seeds).tolist() == [21] * 10


def test_a_new_walk_comes_last_to_what_is_out_and_still_to_each_prompt_once():
    curriculum = made(40)
    batch = curriculum.ask_batch(40)
    is_out = batch.seeds >= 30  # ten results are late when the next epoch begins
    curriculum.tell_batch(batch.tickets[~is_out], np.ones(30))
    first, second = curriculum.ask_batch(30), curriculum.ask_batch(10)
    assert set(first.seeds.tolist()) == set(range(30))
    assert set(second.seeds.tolist()) == set(range(30, 40))
    assert sorted(curriculum.ask_batch(40).seeds.tolist()) == list(range(40))  # where all are out, as well


def test_peek_shows_the_next_task_of_the_walk_and_hands_out_nothing():
    curriculum = made(12)
    for _ in range(24):
        shown = curriculum.peek()
        assert curriculum.get_task().config == shown.config
    assert curriculum.stats()["num_scheduled"] == 24


class Odd:
    """Tasks of which those with odd seeds cannot be built."""

    axes = ()

    def __init__(self, num_tasks):
        self.num_tasks = num_tasks

    def sample(self, seeds, rng):
        return np.empty((len(seeds), 0))

    def label_of(self, seed, params):
        return ""

    def build(self, seed, params):
        if seed % 2:
            raise RuntimeError("odd")
        return seed


@pytest.mark.parametrize("replace", [True, False])
def test_tasks_that_cannot_be_built_are_skipped_and_the_account_balances(replace):
    curriculum = Curriculum(Odd(20), UniformConfig(num_active_tasks=20, cover_share=1.0, use_shared_memory=False))
    for _ in range(20):
        assert all(task.config % 2 == 0 for task in curriculum.ask(4, replace=replace))
    stats = curriculum.stats()
    assert stats["num_pending"] == 80
    assert stats["cancelled/unbuildable"] >= 10
    with pytest.raises(RuntimeError, match="odd"):
        curriculum.ask(11, replace=False)
    assert curriculum.stats()["num_pending"] == 80
    assert balance(curriculum.stats()) == 0


def test_probabilities_count_the_walk_as_uniform():
    curriculum = made(8, 0.5)
    assert curriculum.ask_batch(64).probabilities == pytest.approx(np.full(64, 1 / 8))


@pytest.mark.parametrize("cover_share", [0.0, 0.1, 1 / 3, 0.5, 0.9, 1.0])
def test_turns_do_not_depend_on_batches(cover_share):
    walk = Walk(cover_share, 0, 3)
    whole = walk.turns(0, 1000)
    assert abs(len(whole) - 1000 * cover_share) <= 1
    parts = [first + walk.turns(first, 10) for first in range(0, 1000, 10)]
    assert np.concatenate(parts).tolist() == whole.tolist()


@pytest.mark.parametrize("name", ["noise-aware", "label-bandit", "level-replay"])
def test_every_kind_of_algorithm_can_be_covered(name):
    config = variants()[name](num_active_tasks=16, cover_share=0.5, use_shared_memory=False)
    generator = bucketed({"a": 0}, {"a": list(range(16))})
    curriculum = Curriculum(generator, config)
    seen = set()
    for _ in range(8):
        batch = curriculum.ask_batch(4)
        seen |= set(batch.seeds.tolist())
        regrets = np.ones(4) if config.needs_regrets else None
        curriculum.tell_batch(batch.tickets, np.ones(4), regrets=regrets)
    assert len(seen) == 16


class Levels:
    """Levels of which some cannot be built."""

    axes = ()

    def __init__(self, num_tasks, is_broken, error=ValueError):
        self.num_tasks, self.is_broken, self.error = num_tasks, is_broken, error

    def sample(self, seeds, rng):
        return np.empty((len(seeds), 0))

    def label_of(self, seed, params):
        return ""

    def build(self, seed, params):
        if self.is_broken(seed):
            raise self.error("no level")
        return seed


@pytest.mark.parametrize("cover_share", [0.0, 1.0])
def test_many_tasks_that_cannot_be_built_end_no_call_if_they_do_not_come_in_a_row(cover_share):
    levels = Levels(1000, lambda seed: seed % 10 == 0)
    curriculum = Curriculum(UniformConfig(cover_share=cover_share), levels)
    assert len(curriculum.ask(500)) == 500


@pytest.mark.parametrize("cover_share", [0.0, 1.0])
def test_an_interrupt_while_tasks_are_built_leaves_no_handout_pending(cover_share):
    levels = Levels(20, lambda seed: seed == 7, KeyboardInterrupt)
    curriculum = Curriculum(UniformConfig(cover_share=cover_share), levels)
    with pytest.raises(KeyboardInterrupt):
        curriculum.ask(20, replace=False)
    assert curriculum.stats()["num_pending"] == 0


@pytest.mark.parametrize("cover_share", [0.0, 0.5, 1.0])
def test_of_a_task_that_cannot_be_built_one_warning_is_given_however_it_is_met(cover_share, caplog):
    config = UniformConfig(cover_share=cover_share, use_shared_memory=False)
    curriculum = Curriculum(config, Levels(6, lambda seed: seed < 2))
    for _ in range(20):
        curriculum.peek()
        curriculum.get_task()
        curriculum.ask(3)
        curriculum.ask(3, replace=False)
    warned = [record.args[0] for record in caplog.records if "cannot be built" in record.message]
    assert sorted(curriculum.tasks()["seed"].tolist()) == list(range(6))
    assert len(warned) == len(set(warned)) == 2


@pytest.mark.parametrize("cover_share", [0.0, 1.0])
def test_in_a_growing_pool_too_few_tasks_that_can_be_built_are_an_error(cover_share):
    config = UniformConfig(num_active_tasks=10, num_first_tasks=4, cover_share=cover_share)
    curriculum = Curriculum(config, Levels(10, lambda seed: seed == 2))
    with pytest.raises(TaskBuildError):
        curriculum.ask(4, replace=False)
    assert curriculum.stats()["num_pending"] == 0


def test_waiting_handouts_come_oldest_first_however_the_lives_of_their_tickets_are_numbered():
    found = set()
    for _ in range(20):
        curriculum = Curriculum(UniformConfig(num_active_tasks=32, use_shared_memory=False))
        curriculum.ask_batch(2)
        curriculum.load_state_dict(curriculum.state_dict())
        batch = curriculum.ask_batch(3)  # two that waited, and a new one
        curriculum.load_state_dict(curriculum.state_dict())
        again = curriculum.ask_batch(3)
        found.add(tuple(np.equal(batch.tickets, again.tickets).tolist()))
    assert found == {(True, True, True)}


def test_a_task_that_is_evicted_before_it_is_built_is_exchanged_for_its_successor(monkeypatch):
    levels, backend = [f"level-{number}" for number in range(8)], LocalMemoryBackend(4)
    config = UniformConfig(num_active_tasks=4, num_first_tasks=4, cover_share=1.0)
    here, there = (Curriculum(levels, config, backend=backend) for _ in range(2))
    ask_without = here._covering._tickets.ask_without

    def ask_while_another_evicts(n, taken, *, replace):
        ids = ask_without(n, taken, replace=replace)
        there.remove_tasks(ids[:1])
        there.add_tasks([7])
        return ids

    monkeypatch.setattr(here._covering._tickets, "ask_without", ask_while_another_evicts)
    (task,) = here.ask(1)
    assert task.config == levels[7]
    here.tell([task.task_id], [1.0])
    names = ("num_scheduled", "num_completed", "num_cancelled", "cancelled/evicted", "num_pending", "num_unsolicited")
    stats = here.stats()
    assert [stats[name] for name in names] == [2, 1, 1, 1, 0, 0]


def test_a_walk_is_done_when_only_unplayable_tasks_were_never_scored():
    """So that a loop over whole epochs ends with a walk, and not one hand-out later."""
    curriculum = Curriculum(["a", "b", "broken", "c"], UniformConfig(cover_share=1.0, max_failures=2, seed=3))
    num_walks, whole = 0, []
    while num_walks < 6:
        task = curriculum.get_task()
        if task.config == "broken":
            curriculum.cancel([task.task_id], "failed")
        else:
            curriculum.tell([task.task_id], [1.0])
        stats = curriculum.stats()
        whole.append(stats["cover/progress"] == 1.0)
        num_walks = stats["cover/num_walks"] + stats["cover/progress"]
    assert len(whole) == 6 * 4 + 1  # the broken task came twice in the first walk
    assert [number for number, is_whole in enumerate(whole, 1) if is_whole] == [5, 9, 13, 17, 21, 25]


def interrupted_at(line, call):
    """Makes `call`, which an interrupt ends before the line of `CoveringAsk` that runs `line`-th; whether one did."""
    num_lines = 0

    def trace(frame, event, _):
        nonlocal num_lines
        if frame.f_code.co_filename != asking.__file__:
            return None
        if event == "line" and linecache.getline(asking.__file__, frame.f_lineno).strip() != "try:":  # runs nothing
            num_lines += 1
            if num_lines == line:
                raise KeyboardInterrupt
        return trace

    return interrupts(trace, call)


def asking_while_another_evicts(broken):
    """A curriculum whose next call is handed a task that another one evicts, which has both tasks of the slot out."""
    levels, backend = Levels(8, broken.__contains__), LocalMemoryBackend(4)
    config = UniformConfig(num_active_tasks=4, num_first_tasks=4, cover_share=1.0)
    here, there = (Curriculum(levels, config, backend=backend) for _ in range(2))
    tickets = here._covering._tickets
    ask_without = tickets.ask_without

    def ask_without_then_evict(n, taken, *, replace):
        ids, tickets.ask_without = ask_without(n, taken, replace=replace), ask_without
        there.tracker.schedule(ids[0])
        there.remove_tasks(ids[:1])
        there.tracker.schedule(there.add_tasks([7])[0])
        return ids

    tickets.ask_without = ask_without_then_evict
    return here


@pytest.mark.parametrize("broken", [(), (7,)], ids=["buildable", "unbuildable"])
def test_an_interrupt_cancels_what_the_call_was_handed_and_nothing_twice(broken):
    num_lost = num_twice = 0
    for line in count(1):
        curriculum = asking_while_another_evicts(broken)
        if not interrupted_at(line, partial(curriculum.ask, 2)):
            break
        rows = curriculum.tracker.snapshot().rows
        num_open = rows["num_orphans"].sum(), rows["num_pending"].sum()  # of the evicted task, of the others
        num_lost += max(num_open) > 1  # one each is the other's
        num_twice += min(num_open) < (curriculum.stats()["num_scheduled"] > 0)
    assert line > 20
    assert num_lost <= 3 + len(broken)  # after a hand-out before the next line, and at the return
    assert num_twice <= 1 + len(broken)  # after a cancellation before the next line
