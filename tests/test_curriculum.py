"""Ask and tell: the law of the draws, the accounts, eviction, and resuming from a saved state."""

import copy
import pickle
import subprocess
import sys
from collections import Counter
from itertools import permutations
from zlib import crc32

import numpy as np
import pytest

from curricular import (
    Algorithm,
    Curriculum,
    CurriculumConfig,
    LearningProgressConfig,
    UniformConfig,
    bucketed,
    building,
    merge,
    single_task,
)
from curricular.generators import SeedGenerator

from .reference import fits


def quick(num_active_tasks=8, **overrides):
    """Evicts early and often."""
    values = {"min_presentations_for_eviction": 5, "eviction_rate": 0.2, "use_shared_memory": False, **overrides}
    return LearningProgressConfig.fast_learning(num_active_tasks=num_active_tasks, **values)


def play(curriculum, num_rounds, seed=0):
    """Asks one by one and in batches, tells scores that only depend on the calls; returns (slot, config) of all tasks.

    Not the ids: a task that enters the pool after a load gets another id in each life that begins there.
    """
    rng = np.random.default_rng(seed)
    asked = []
    for i in range(num_rounds):
        tasks = [curriculum.get_task()] if i % 3 else curriculum.ask(5)
        scores = [float(rng.random() < crc32(str(task.config).encode()) % 7 / 6) for task in tasks]
        if i % 2:
            curriculum.update_task_performance(tasks[0].task_id, scores[0])
        else:
            curriculum.tell([task.task_id for task in tasks], scores)
        asked += [(task.task_id % curriculum.tracker.capacity, task.config) for task in tasks]
    return asked


class Fixed(Algorithm):
    """Draws with given probabilities and never evicts."""

    def __init__(self, probabilities):
        self.p = np.array(probabilities)

    def priorities(self, columns):
        return self.p

    def probabilities(self, columns, priorities):
        return self.p

    def evictable(self, columns, priorities, config):
        return columns["is_active"] & False


def fixed(*probabilities, seed=0):
    config = CurriculumConfig(num_active_tasks=len(probabilities), seed=seed, use_shared_memory=False)
    return Curriculum(config, algorithm=Fixed(probabilities))


class TestAsking:
    def test_get_task_is_ask_of_one(self):
        first, second, third = Curriculum(quick()), Curriculum(quick()), Curriculum(quick())
        for i in range(1500):
            a, (b,) = first.get_task(), second.ask(1)
            (c,) = [third.get_task()] if i % 3 else third.ask()
            assert a == b == c
            first.update_task_performance(a.task_id, a.config % 5 / 4)
            second.tell([b.task_id], [b.config % 5 / 4])
            third.tell([c.task_id], [c.config % 5 / 4])
        assert first.stats() == second.stats() == third.stats()
        assert first.stats()["num_evicted"] > 0

    @pytest.mark.parametrize("make", [quick, lambda **kw: UniformConfig(num_active_tasks=8, **kw)])
    def test_the_same_seed_and_calls_give_the_same_tasks(self, make):
        assert play(Curriculum(make(seed=3)), 400) == play(Curriculum(make(seed=3)), 400)
        assert play(Curriculum(make(seed=3)), 20) != play(Curriculum(make(seed=4)), 20)

    def test_looking_changes_nothing(self):
        first, second = Curriculum(quick(32)), Curriculum(quick(32))
        for i in range(2000):
            a, b = first.get_task(), second.get_task()
            assert a == b
            score = float(a.config % 7 > 3)
            first.update_task_performance(a.task_id, score)
            second.update_task_performance(b.task_id, score)
            if i % 13 == 0:
                second.stats()
                second.probabilities()
                second.task_states()
                second.state_dict()

    def test_draws_follow_the_probabilities(self):
        p = [0.5, 0.0, 0.3, 0.15, 0.05]
        curriculum = fixed(*p)
        counts = np.bincount([task.task_id for task in curriculum.ask(20_000)], minlength=5)
        assert fits(counts, p)

    @pytest.mark.parametrize("n", [0, np.int64(0)])
    def test_none(self, n):
        curriculum = Curriculum(quick())
        assert curriculum.ask(n) == curriculum.ask(n, replace=False) == []
        assert play(curriculum, 50) == play(Curriculum(quick()), 50)

    @pytest.mark.parametrize(
        ("n", "replace", "error"),
        [
            (-1, True, ValueError),
            (-1, False, ValueError),
            (9, False, ValueError),
            (2.5, True, TypeError),
            (2.0, True, TypeError),
            ("2", True, TypeError),
            (None, True, TypeError),
        ],
    )
    def test_a_wrong_number(self, n, replace, error):
        curriculum = Curriculum(quick())
        before = curriculum.stats()
        with pytest.raises(error, match=rf"n: expected .* got {n!r}; "):
            curriculum.ask(n, replace=replace)
        assert curriculum.stats() == before
        assert play(curriculum, 50) == play(Curriculum(quick()), 50)


class TestWithoutReplacement:
    @staticmethod
    def law(p, n):
        """Probability of each ordered draw of `n` distinct slots: one by one, each without those before it."""
        law = {}
        for order in permutations(range(len(p)), n):
            chance, left = 1.0, 1.0
            for slot in order:
                chance *= p[slot] / left if left > 0 else 0.0
                left = max(left - p[slot], 0.0)
            law[order] = chance
        return law

    @pytest.mark.parametrize(
        ("p", "n"),
        [
            ([0.4, 0.3, 0.2, 0.1], 2),
            ([0.4, 0.3, 0.2, 0.1], 4),
            ([0.999, 0.0005, 0.0003, 0.0002], 3),  # nearly all with one task: the second way of drawing
            ([0.0, 0.97, 0.02, 0.01, 0.0], 3),
            ([1 / 3, 1 / 3, 1 / 3], 3),
        ],
    )
    def test_the_law(self, p, n):
        curriculum = fixed(*p, seed=5)
        num_asks = 4_000
        drawn = Counter(tuple(task.task_id for task in curriculum.ask(n, replace=False)) for _ in range(num_asks))
        law = {order: chance for order, chance in self.law(p, n).items() if chance * num_asks > 5}
        assert all(len(set(order)) == n for order in drawn)
        rest = 1 - sum(law.values())
        counts = [drawn[order] for order in law]
        if rest > 1e-9:
            law["rest"], counts = rest, [*counts, num_asks - sum(counts)]
        assert fits(counts, list(law.values()))

    @pytest.mark.parametrize("p", [[1.0, 0.0, 0.0, 0.0], [0.5, 0.0, 0.5, 0.0], [1e-300, 1.0, 0.0, 1e-17]])
    def test_tasks_without_probability_come_last(self, p):
        curriculum = fixed(*p)
        possible = sum(x > 1e-16 for x in p)
        for n in range(5):
            ids = [task.task_id for task in curriculum.ask(n, replace=False)]
            assert len(set(ids)) == n
            assert all(p[task_id] > 1e-16 for task_id in ids[:possible])

    def test_all_of_a_large_pool(self):
        curriculum = Curriculum(quick(3000))
        ids = {task.task_id for task in curriculum.ask(3000, replace=False)}
        assert ids == set(range(3000))
        assert curriculum.stats()["num_pending"] == 3000


class TestEviction:
    @pytest.mark.parametrize("rate", [0.0, 0.01, 0.1, 1.0])
    def test_turnover_is_bounded(self, rate):
        curriculum = Curriculum(quick(32, eviction_rate=rate))
        for num_completed in range(500, 4001, 500):
            for _ in range(5):
                tasks = curriculum.ask(100)
                curriculum.tell([task.task_id for task in tasks], [task.config % 3 / 2 for task in tasks])
            evicted = curriculum.stats()["num_evicted"]
            assert evicted <= rate * num_completed
        assert (evicted > 0) == (rate > 0)

    def test_a_task_stays_until_its_progress_is_known(self):
        curriculum = Curriculum(quick(16, min_presentations_for_eviction=40, eviction_rate=1.0))
        last = {}
        for _ in range(300):
            tasks = curriculum.ask(16)
            curriculum.tell([task.task_id for task in tasks], np.full(16, 0.5))
            now = {state.task_id % 16: state for state in curriculum.task_states()}
            for slot, state in last.items():
                if now[slot].task_id != state.task_id:
                    assert state.num_completions + 16 * 16 >= 40  # at most what came in this round on top
                    assert now[slot].task_id == state.task_id + 16
            last = now
        assert curriculum.stats()["num_evicted"] > 0

    def test_a_late_result_is_stale_and_credited_to_nobody(self):
        curriculum = Curriculum(quick(4, eviction_rate=1.0))
        late = curriculum.ask(40)
        while not {task.task_id for task in late} - {state.task_id for state in curriculum.task_states()}:
            play(curriculum, 50)
        active = {state.task_id: state for state in curriculum.task_states()}
        gone = [task for task in late if task.task_id not in active][:1]
        before = curriculum.stats()
        curriculum.tell([task.task_id for task in gone], np.ones(len(gone)))
        after, states = curriculum.stats(), {state.task_id: state for state in curriculum.task_states()}
        assert after["num_stale"] == before["num_stale"] + len(gone)
        assert after["num_completed"] == before["num_completed"]
        assert after["num_pending"] == before["num_pending"] - len(gone)
        for task_id, state in states.items():
            assert state == active[task_id].model_copy(update={"num_orphans": state.num_orphans})

    @pytest.mark.parametrize(("num_tasks", "capacity"), [(9, 8), (40, 8), (12, 1), (90, 30)])
    def test_each_task_of_a_finite_generator_is_active_at_most_once_and_has_its_turn(self, num_tasks, capacity):
        generator = bucketed({"a": 0}, {"a": list(range(num_tasks))})
        config = quick(capacity, eviction_rate=1.0, eviction_threshold_percentile=1.0)
        curriculum = Curriculum(config, generator)
        turns = Counter()
        seen = set()
        for _ in range(150):
            for state in curriculum.task_states():
                if state.task_id not in seen:
                    seen.add(state.task_id)
                    turns[state.seed] += 1
            active = [state.seed for state in curriculum.task_states()]
            assert len(set(active)) == capacity
            ids = [state.task_id for state in curriculum.task_states()]
            curriculum.tell(np.repeat(ids, 8), np.full(8 * capacity, 0.5))
        assert set(turns) == set(range(num_tasks))
        if capacity < num_tasks / 2:
            assert max(turns.values()) <= 2 + 2 * min(turns.values())

    def test_a_pool_that_holds_all_never_evicts(self):
        generator = merge([single_task(name, label=name) for name in "abcd"])
        curriculum = Curriculum(quick(4, eviction_rate=1.0, eviction_threshold_percentile=1.0), generator)
        play(curriculum, 1000)
        assert curriculum.stats()["num_evicted"] == 0
        assert {task.config for task in curriculum.ask(4, replace=False)} == set("abcd")

    def test_uniform_never_evicts(self):
        curriculum = Curriculum(UniformConfig(num_active_tasks=4, eviction_rate=1.0, use_shared_memory=False))
        play(curriculum, 500)
        assert curriculum.stats()["num_evicted"] == 0
        assert curriculum.probabilities().tolist() == [0.25] * 4

    def test_a_pool_of_one(self):
        curriculum = Curriculum(quick(1, eviction_rate=1.0, eviction_threshold_percentile=1.0))
        play(curriculum, 300)
        assert curriculum.stats()["num_evicted"] > 0
        assert curriculum.probabilities().tolist() == [1.0]
        assert curriculum.ask(1, replace=False)[0].task_id == curriculum.task_states()[0].task_id


CONFIGS = {"learning progress": quick(24), "uniform": UniformConfig(num_active_tasks=24, use_shared_memory=False)}

GO_ON = """
import pickle, sys
from curricular import Curriculum
from tests.test_curriculum import CONFIGS, play
name, path = sys.argv[1:]
curriculum = Curriculum(CONFIGS[name])
with open(path, "rb") as file:
    curriculum.load_state_dict(pickle.load(file))
asked = play(curriculum, 1000, seed=9)
with open(path, "wb") as file:
    pickle.dump((asked, curriculum.state_dict()), file)
"""


def told(state):
    """What of a state must be equal, bit for bit, after the same calls."""
    of_this_life = {"epoch", "num_restores", "num_rewrites", "first_generation"}
    counters = {name: value for name, value in state["counters"].items() if name not in of_this_life}
    return state["labels"].tobytes(), state["cumulated"].tobytes(), state["num_draws"], counters


class TestGoingOn:
    @pytest.mark.parametrize("num_rounds", [0, 1, 37, 700, 1511])
    @pytest.mark.parametrize("name", CONFIGS)
    def test_after_save_and_load_the_next_tasks_are_the_same(self, name, num_rounds):
        first = Curriculum(CONFIGS[name])
        play(first, num_rounds)
        state = first.state_dict()
        second = Curriculum(CONFIGS[name])
        second.load_state_dict(state)
        assert play(first, 1000, seed=9) == play(second, 1000, seed=9)
        assert told(first.state_dict()) == told(second.state_dict())

    @pytest.mark.parametrize("name", CONFIGS)
    def test_in_a_new_process_too(self, name, tmp_path):
        curriculum = Curriculum(CONFIGS[name])
        play(curriculum, 901)
        path = tmp_path / "state"
        path.write_bytes(pickle.dumps(curriculum.state_dict()))
        subprocess.run([sys.executable, "-c", GO_ON, name, str(path)], check=True)
        asked, state = pickle.loads(path.read_bytes())
        assert len(asked) >= 1000
        assert play(curriculum, 1000, seed=9) == asked
        assert told(curriculum.state_dict()) == told(state)
        assert (curriculum.stats()["num_evicted"] > 0) == (name == "learning progress")

    def test_a_state_shares_nothing(self):
        curriculum = Curriculum(quick())
        play(curriculum, 100)
        state = curriculum.state_dict()
        kept = pickle.loads(pickle.dumps(state))
        play(curriculum, 100)
        assert pickle.dumps(state) == pickle.dumps(kept)
        first, second = Curriculum(quick()), Curriculum(quick())
        first.load_state_dict(state)
        second.load_state_dict(kept)
        for name in ("rows", "labels", "cumulated"):
            state[name][...] = np.zeros((), state[name].dtype)
        state["counters"].clear()
        assert play(first, 200) == play(second, 200)

    def test_a_state_can_be_loaded_again_and_again(self):
        curriculum = Curriculum(quick())
        play(curriculum, 300)
        curriculum.cancel([state.task_id for state in curriculum.task_states()], "beyond the hand-outs")
        state = curriculum.state_dict()
        configs = []
        for _ in range(3):
            curriculum.load_state_dict(state)
            configs.append([config for _, config in play(curriculum, 300)])
        assert configs[0] == configs[1] == configs[2]

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"version": 99}, r"version 1, got 99; load it with"),
            (
                {"generator": "0" * 16},
                "generator '.*', got '0000000000000000'; no generator was given: pass the generator",
            ),
            ({"config": {"score_range": [0.0, 2.0]}}, r"success_threshold 0.5, got 1.0; use the success_threshold"),
        ],
    )
    def test_a_state_of_something_else(self, change, message):
        curriculum = Curriculum(quick())
        state = {**curriculum.state_dict(), **change}
        self.refused(curriculum, state, f"state: expected {message}")

    def test_a_state_of_another_capacity(self):
        self.refused(Curriculum(quick(8)), Curriculum(quick(9)).state_dict(), r"state: expected capacity 8, got 9; set")

    def test_a_state_with_other_axes(self):
        state = Curriculum(quick(2), bucketed({"a": 1, "b": 2}, {"a": [1, 2], "b": [3, 4]})).state_dict()
        self.refused(Curriculum(quick(2)), state, "state: expected generator")

    @pytest.mark.parametrize("missing", ["version", "rows", "counters", "num_draws"])
    def test_a_state_with_something_missing(self, missing):
        curriculum = Curriculum(quick())
        state = curriculum.state_dict()
        del state[missing]
        self.refused(curriculum, state, f"state: expected what state_dict returned, got a mapping without {missing}")

    @staticmethod
    def refused(curriculum, state, message):
        play(curriculum, 50)
        before = pickle.dumps(curriculum.state_dict())
        with pytest.raises(ValueError, match=message):
            curriculum.load_state_dict(state)
        assert pickle.dumps(curriculum.state_dict()) == before


def test_a_copy_within_the_process_is_refused_since_it_would_draw_the_same_tasks():
    curriculum = Curriculum(CONFIGS["uniform"])
    with pytest.raises(TypeError, match=r"curriculum: expected a copy by pickle or fork, got copy\.copy"):
        copy.copy(curriculum)


def test_its_repr_says_what_it_is():
    curriculum = Curriculum(LearningProgressConfig.default(num_active_tasks=4, use_shared_memory=False))
    settings = "num_active_tasks=4, score_range=(0.0, 1.0), success_threshold=0.5"
    assert repr(curriculum) == f"Curriculum(LearningProgressConfig, SeedGenerator, {settings})"


def test_a_closed_local_curriculum_cannot_be_used():
    curriculum = Curriculum(LearningProgressConfig.default(num_active_tasks=4, use_shared_memory=False))
    curriculum.close()
    curriculum.close()
    for use in (curriculum.get_task, curriculum.stats, curriculum.state_dict, lambda: curriculum.tell([0], [0.5])):
        with pytest.raises(RuntimeError, match="after close"):
            use()


def test_a_cache_that_is_full_forgets_what_was_built_first(monkeypatch):
    monkeypatch.setattr(building, "CACHE_SIZE", 8)
    built = []

    class Counting(SeedGenerator):
        def build(self, seed, params):
            built.append(seed)
            return seed

    config = LearningProgressConfig.default(num_active_tasks=64, use_shared_memory=False)
    curriculum = Curriculum(config, Counting())
    for task in curriculum.ask(2000):
        assert task.config in built
    assert len(curriculum._tasks) == len(curriculum._tasks._ids) == 8
    assert len(built) > 64


class StoredChoice(Algorithm):
    """Draws by a stored column."""

    def priorities(self, columns):
        return columns["random_baseline"]

    def probabilities(self, columns, priorities):
        return priorities


def test_probabilities_are_the_callers_own_even_if_the_algorithm_returns_a_stored_column():
    config = UniformConfig(num_active_tasks=2, random_baseline=0.5, use_shared_memory=False)
    curriculum = Curriculum(config, algorithm=StoredChoice())
    found = curriculum.probabilities()
    found[:] = 0.0
    assert curriculum.probabilities().tolist() == [0.5, 0.5]
