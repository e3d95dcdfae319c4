"""A given task on request, and whether to train on a hand-out: counted, kept and shared like any other hand-out."""

import dataclasses

import numpy as np
import pytest

from curricular import (
    AccelConfig,
    Cost,
    Curriculum,
    LearnabilityConfig,
    ModifiedAlgorithm,
    PrioritizedLevelReplayConfig,
    SequentialConfig,
    Span,
    UniformConfig,
    bucketed,
    create_algorithm,
    load_config,
)

from .helpers import balance

BACKENDS = pytest.mark.parametrize("use_shared_memory", [False, True], ids=["local", "shared"])
NAMES = ["easy", "fair", "hard"]


@BACKENDS
def test_a_task_on_request_is_a_hand_out_like_any_other(use_shared_memory):
    curriculum = Curriculum(NAMES, SequentialConfig(use_shared_memory=use_shared_memory))
    hard = curriculum.find("hard")
    batch = curriculum.ask_for([hard, hard])
    assert batch.task_ids.tolist() == [hard, hard]
    assert batch.seeds.tolist() == [2, 2]
    assert batch.probabilities.tolist() == [1.0, 1.0]
    assert batch.is_trained_on.all()
    assert curriculum.open_handouts().tickets.tolist() == batch.tickets.tolist()
    assert curriculum.tell_batch(batch.tickets, [1.0, 0.5]) == 2
    stats = curriculum.stats()
    assert (stats["num_scheduled"], stats["num_completed"], stats["num_open"]) == (2, 2, 0)
    assert balance(stats) == 0
    assert curriculum.task(hard).num_completions == 2
    assert not len(curriculum.ask_for([]).tickets)


def test_every_process_of_a_session_can_ask_for_a_task():
    config = UniformConfig(session_id="test-ask-for")
    with Curriculum(NAMES, config) as first, Curriculum(NAMES, config) as second:
        batch = first.ask_for([first.find("fair")])
        assert second.find("fair") == batch.task_ids[0]
        assert second.tell_batch(batch.tickets, [1.0]) == 1
        assert first.task(first.find("fair")).num_completions == 1


def test_a_hand_out_on_request_is_open_again_after_a_crash(tmp_path):
    curriculum = Curriculum(NAMES, UniformConfig(use_shared_memory=False))
    batch = curriculum.ask_for([curriculum.find("hard")])
    curriculum.save(tmp_path / "saved")
    again = Curriculum.load(tmp_path / "saved", NAMES).ask_batch(1)
    assert (again.tickets == batch.tickets).all()
    assert again.probabilities.tolist() == [1.0]


@pytest.mark.parametrize(
    ("task_ids", "error", "message"),
    [
        ([7], KeyError, r"task_ids: expected ids .*which has 3 tasks \(0, 1, 2, …\), got 7; use ids from tasks"),
        ([0, -1], KeyError, "got -1"),
        ([0.5], TypeError, "task_ids: expected integers, got dtype float64"),
        ("hard", ValueError, r"task_ids: expected shape \(n,\), got \(\)"),
        (["hard"], TypeError, "task_ids: expected integers"),
        (3, ValueError, r"task_ids: expected shape \(n,\), got \(\)"),
    ],
)
def test_what_is_no_id_is_named_and_changes_nothing(task_ids, error, message):
    curriculum = Curriculum(NAMES, UniformConfig(use_shared_memory=False))
    with pytest.raises(error, match=message):
        curriculum.ask_for(task_ids)
    assert curriculum.stats()["num_scheduled"] == 0


def test_an_evicted_task_cannot_be_asked_for():
    config = LearnabilityConfig(num_active_tasks=4, min_presentations_for_eviction=1, eviction_rate=1.0)
    curriculum = Curriculum(config, bucketed({"x": 0.0}, {"x": Span(0.0, 1.0)}))
    for _ in range(20):
        tasks = curriculum.ask(8)
        curriculum.tell([task.task_id for task in tasks], [1.0] * 8)
    assert curriculum.stats()["num_evicted"] > 0
    with pytest.raises(KeyError, match=r"task_ids: expected ids of tasks in the pool.* got \d"):
        curriculum.ask_for([min(range(4), key=lambda task_id: task_id in curriculum.tasks()["task_id"])])


@dataclasses.dataclass(frozen=True)
class Level:
    size: int
    walls: tuple[float, ...] = (0.1, 0.2)


@pytest.mark.parametrize(
    "configs",
    [
        [{"map": "a", "size": 3}, {"map": "b", "size": 3}],
        [Level(3), Level(5)],
        [np.arange(3), np.arange(4)],
    ],
)
def test_a_configuration_is_found_by_its_content(configs):
    curriculum = Curriculum(configs, UniformConfig(use_shared_memory=False))
    seeds = {state.task_id: state.seed for state in curriculum.task_states()}
    for index, config in enumerate(configs):
        assert seeds[curriculum.find(config)] == index


def test_an_unknown_configuration_is_refused_with_some_that_exist():
    curriculum = Curriculum(NAMES, UniformConfig(use_shared_memory=False))
    with pytest.raises(KeyError, match=r"config: expected .* which has 3 tasks \('.*', …\), got 'hrad'; pass one of"):
        curriculum.find("hrad")


class TestRobustReplay:
    def robust(self, config_type=PrioritizedLevelReplayConfig, **settings):
        return config_type(
            num_active_tasks=16, regret="max_monte_carlo", train_on_new=False, use_shared_memory=False, **settings
        )

    def check(self, curriculum):
        seen = set()
        for _ in range(20):
            batch = curriculum.ask_batch(4)
            assert batch.is_trained_on.tolist() == [task_id in seen for task_id in batch.task_ids.tolist()]
            curriculum.tell_batch(batch.tickets, np.ones(4) * 0.7)
            seen |= set(batch.task_ids.tolist())

    def test_new_levels_are_only_ranked(self):
        self.check(Curriculum(self.robust()))

    def test_a_modifier_and_accel_keep_the_flag(self):
        config = self.robust()
        self.check(Curriculum(config, algorithm=ModifiedAlgorithm(create_algorithm(config), Cost((1.0,)))))
        levels = bucketed({"size": 0}, {"size": Span(0, 9)})
        self.check(Curriculum(self.robust(AccelConfig, eviction_rate=0.0), levels))

    def test_without_it_all_hand_outs_are_trained_on(self):
        curriculum = Curriculum(PrioritizedLevelReplayConfig(num_active_tasks=16, use_shared_memory=False))
        assert curriculum.ask_batch(16).is_trained_on.all()

    def test_the_flag_is_that_of_the_hand_out_also_after_a_load(self, tmp_path):
        curriculum = Curriculum(self.robust())
        curriculum.tell([0] * 3, [1.0] * 3)
        batch = curriculum.ask_for([0, 1])
        assert batch.is_trained_on.tolist() == [True, False]
        curriculum.tell([1], [1.0])
        assert curriculum.open_handouts().is_trained_on.tolist() == [True, False]
        curriculum.save(tmp_path / "saved")
        assert Curriculum.load(tmp_path / "saved").ask_batch(2).is_trained_on.tolist() == [True, False]


class TestMinimumFill:
    def shares(self, num_seen, **settings):
        config = PrioritizedLevelReplayConfig(
            num_active_tasks=10, regret="max_monte_carlo", use_shared_memory=False, **settings
        )
        curriculum = Curriculum(config)
        curriculum.tell(np.arange(num_seen), np.ones(num_seen))
        p = curriculum.probabilities()
        return p[:num_seen].sum(), p[num_seen:].sum()

    @pytest.mark.parametrize("num_seen", [0, 1, 4])
    def test_no_level_is_replayed_before(self, num_seen):
        assert self.shares(num_seen, min_fill=0.5) == pytest.approx((0.0, 1.0))

    @pytest.mark.parametrize("num_seen", [5, 9, 10])
    def test_from_then_on_it_makes_no_difference(self, num_seen):
        assert self.shares(num_seen, min_fill=0.5) == pytest.approx(self.shares(num_seen))

    def test_files_have_both_settings(self):
        config = load_config({"algorithm": "prioritized_level_replay", "min_fill": 0.5, "train_on_new": False})
        assert (
            load_config(config.model_dump(mode="json"))
            == config
            == PrioritizedLevelReplayConfig(min_fill=0.5, train_on_new=False)
        )
