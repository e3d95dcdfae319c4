"""Hand-outs with tickets: each ends once, over retries, crashes and loads, on each backend."""

import json

import numpy as np
import pytest

from curricular import Curriculum, LearningProgressConfig, LedgerFullError, UniformConfig, WeightedConfig
from curricular.backends import local, shared
from curricular.table import handout_dtype
from curricular.table.ledger import MAX_TICKETS

from .helpers import balance

BACKENDS = pytest.mark.parametrize("use_shared_memory", [False, True], ids=["local", "shared"])


def make(num_active_tasks=128, **overrides):
    return Curriculum(UniformConfig(num_active_tasks=num_active_tasks, **{"use_shared_memory": False, **overrides}))


@BACKENDS
def test_what_is_out_at_a_save_comes_first_after_a_crash(use_shared_memory, tmp_path):
    curriculum = make(use_shared_memory=use_shared_memory)
    batch = curriculum.ask_batch(96)
    curriculum.save(tmp_path / "saved")
    curriculum.tell_batch(batch.tickets[:50], np.ones(50))
    after_the_save = curriculum.ask_batch(32)
    curriculum.close()

    resumed = Curriculum.load(tmp_path / "saved")
    first, second = resumed.ask_batch(64), resumed.ask_batch(64)
    assert np.concatenate([first.tickets, second.tickets[:32]]).tolist() == batch.tickets.tolist()
    assert np.concatenate([first.task_ids, second.task_ids[:32]]).tolist() == batch.task_ids.tolist()
    assert np.concatenate([first.seeds, second.seeds[:32]]).tolist() == batch.seeds.tolist()
    assert not np.isin(second.tickets[32:], after_the_save.tickets).any()

    assert resumed.tell_batch(after_the_save.tickets, np.ones(32)) == 0
    assert resumed.tell_batch(np.concatenate([first.tickets, second.tickets]), np.ones(128)) == 128
    stats = resumed.stats()
    assert (stats["num_scheduled"], stats["num_completed"], stats["num_open"]) == (128, 128, 0)
    assert (stats["num_unknown"], stats["num_repeated"], stats["num_pending"]) == (32, 0, 0)


@BACKENDS
def test_a_ticket_ends_once_and_the_call_says_so(use_shared_memory):
    curriculum = make(use_shared_memory=use_shared_memory)
    batch = curriculum.ask_batch(8)
    assert curriculum.tell_batch(batch.tickets[[0, 1, 0]], [1.0, 1.0, 0.0]) == 2
    before = {state.task_id: state for state in curriculum.task_states()}
    assert curriculum.tell_batch(batch.tickets[:2], [0.0, 0.0]) == 0
    assert curriculum.cancel_batch(batch.tickets[:2], "too late") == 0
    assert {state.task_id: state for state in curriculum.task_states()} == before
    assert curriculum.cancel_batch(batch.tickets[1:4], "stale") == 2
    stats = curriculum.stats()
    assert (stats["num_repeated"], stats["num_unknown"], stats["num_open"]) == (6, 0, 4)
    assert stats["cancelled/stale"] == 2
    assert balance(stats) == 0


@BACKENDS
def test_the_same_task_twice_in_flight_has_two_results(use_shared_memory):
    curriculum = make(1, use_shared_memory=use_shared_memory)
    batch = curriculum.ask_batch(2)
    assert batch.task_ids.tolist() == [0, 0]
    assert curriculum.tell_batch(batch.tickets, [[1.0, 1.0], [0.0, 0.0]]) == 2
    (state,) = curriculum.task_states()
    assert (state.num_completions, state.num_pending) == (4, 0)
    assert state.slow_ema == pytest.approx(0.49, abs=0.001)  # the last of them counts a little more


def test_a_group_with_failed_rollouts_and_one_of_them_only():
    curriculum = make(2)
    batch = curriculum.ask_batch(2)
    nan = np.nan
    assert curriculum.tell_batch(batch.tickets, [[1.0, nan, 1.0, 1.0], [nan, nan, nan, nan]]) == 2
    stats = curriculum.stats()
    assert (stats["num_completed"], stats["num_cancelled"], stats["cancelled/failed"]) == (1, 1, 1)


def test_a_ticket_survives_json():
    curriculum = make()
    batch = curriculum.ask_batch(3)
    assert curriculum.tell_batch(json.loads(json.dumps(batch.tickets.tolist())), [0.0, 0.5, 1.0]) == 3


def test_chances_are_those_of_the_draw():
    curriculum = Curriculum(LearningProgressConfig.default(num_active_tasks=8, use_shared_memory=False))
    for _ in range(40):
        batch = curriculum.ask_batch(8)
        curriculum.tell_batch(batch.tickets, batch.task_ids % 2 * np.random.default_rng(0).random(8))
    cumulated = curriculum.tracker.snapshot().cumulated
    batch = curriculum.ask_batch(64)
    assert batch.probabilities == pytest.approx(np.diff(cumulated, prepend=0.0)[batch.task_ids % 8])
    assert len(set(batch.probabilities.tolist())) > 1


def test_a_batch_is_drawn_as_single_tasks_are():
    one, many = make(seed=3), make(seed=3)
    assert many.ask_batch(20).task_ids.tolist() == [one.get_task().task_id for _ in range(20)]
    many.cancel_batch(many.open_handouts().tickets, "stale")
    assert many.ask_batch(20, replace=False).task_ids.tolist() == [task.task_id for task in one.ask(20, replace=False)]


def test_without_replacement_a_task_that_waits_is_not_handed_out_twice(tmp_path):
    curriculum = make(6)
    curriculum.ask_batch(4, replace=False)
    curriculum.save(tmp_path / "saved")
    batch = Curriculum.load(tmp_path / "saved").ask_batch(6, replace=False)
    assert sorted(batch.task_ids.tolist()) == [0, 1, 2, 3, 4, 5]


def test_without_replacement_a_task_waits_with_its_second_hand_out_for_the_next_batch(tmp_path):
    curriculum = make(2)
    tickets = curriculum.ask_batch(5).tickets
    curriculum.save(tmp_path / "saved")
    resumed = Curriculum.load(tmp_path / "saved")
    batches = [resumed.ask_batch(2, replace=False) for _ in range(4)]
    assert all(len(set(batch.task_ids.tolist())) == 2 for batch in batches)
    assert set(tickets.tolist()) <= {ticket for batch in batches for ticket in batch.tickets.tolist()}


@BACKENDS
def test_without_replacement_what_is_out_is_not_handed_out_again_if_enough_is_left(use_shared_memory):
    curriculum = make(64, use_shared_memory=use_shared_memory)
    batches = [curriculum.ask_batch(1, replace=False) for _ in range(20)]
    batches += [curriculum.ask_batch(22, replace=False) for _ in range(2)]
    assert len(set(np.concatenate([batch.task_ids for batch in batches]).tolist())) == 64
    curriculum.cancel_batch(batches[0].tickets, "stale")
    assert curriculum.ask_batch(1, replace=False).task_ids.tolist() == batches[0].task_ids.tolist()
    more = curriculum.ask_batch(40, replace=False)  # nothing is left: they are out twice, and distinct all the same
    assert len(set(more.task_ids.tolist())) == 40


@BACKENDS
def test_without_replacement_tasks_that_cannot_be_drawn_do_not_stand_in_for_tasks_that_are_out(use_shared_memory):
    config = WeightedConfig(weights=(1.0, 1.0, 0.0, 0.0), num_active_tasks=4, use_shared_memory=use_shared_memory)
    curriculum = Curriculum(config, ["a", "b", "c", "d"])
    assert set(curriculum.ask_batch(2, replace=False).seeds.tolist()) == {0, 1}
    assert set(curriculum.ask_batch(2, replace=False).seeds.tolist()) == {0, 1}
    assert set(curriculum.ask_batch(3, replace=False).seeds.tolist()) > {0, 1}


def test_results_of_one_ticket_in_one_call_are_warned_of_once(caplog):
    curriculum = make(4)
    for _ in range(2):
        batch = curriculum.ask_batch(2)
        assert curriculum.tell_batch(np.repeat(batch.tickets, 4), np.ones(8)) == 2
    (message,) = caplog.messages
    assert message.startswith("8 results were told at once under 2 different tickets: only the first")
    assert curriculum.stats()["num_repeated"] == 12


def test_tickets_of_which_none_is_open_are_warned_of_once(caplog):
    curriculum = make(4)
    batch = curriculum.ask_batch(3)
    for _ in range(2):
        assert curriculum.tell_batch(batch.task_ids, np.ones(3)) == 0
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "none of 3 tickets is open" in caplog.text


@BACKENDS
def test_results_of_tickets_that_are_told_by_task_id_are_warned_of_once(use_shared_memory, caplog):
    curriculum = make(4, use_shared_memory=use_shared_memory, max_open_handouts=64)
    others = curriculum.ask_batch(8)
    curriculum.tell_batch(others.tickets, np.ones(8))
    curriculum.tell(curriculum.ask_batch(8).task_ids, np.ones(8))
    for _ in range(7):
        curriculum.tell(curriculum.ask_batch(8).task_ids, np.ones(8))
    (record,) = caplog.records
    assert "were told by task id" in record.getMessage()
    with pytest.raises(LedgerFullError, match="a result told by task id ends no ticket"):
        curriculum.ask_batch(8)


def test_tickets_that_are_told_late_or_never_are_not_warned_of(caplog):
    curriculum = make(4)
    open_tickets = curriculum.ask_batch(40).tickets
    for _ in range(40):
        task = curriculum.get_task()
        curriculum.tell([task.task_id], [1.0])
    curriculum.tell_batch(open_tickets[:20], np.ones(20))
    curriculum.cancel_batch(open_tickets[20:30], "stale")
    assert not caplog.records


@BACKENDS
def test_age_counts_what_the_pool_handed_out_since(use_shared_memory):
    curriculum = make(use_shared_memory=use_shared_memory)
    batch = curriculum.ask_batch(3)
    curriculum.ask(10)
    assert curriculum.expire(older_than=12) == 0
    assert curriculum.expire(older_than=11) == 1
    assert curriculum.open_handouts().tickets.tolist() == batch.tickets[1:].tolist()
    assert curriculum.expire(older_than=0) == 2
    stats = curriculum.stats()
    assert (stats["cancelled/expired"], stats["num_open"], stats["num_pending"]) == (3, 0, 10)


@BACKENDS
def test_a_full_ledger_is_an_error_that_changes_nothing(use_shared_memory):
    curriculum = make(max_open_handouts=8, use_shared_memory=use_shared_memory)
    batch = curriculum.ask_batch(6)
    before = curriculum.stats()
    with pytest.raises(LedgerFullError, match="at most 8 open hand-outs with tickets, got 6 and 3 more"):
        curriculum.ask_batch(3)
    assert curriculum.stats() == before
    curriculum.tell_batch(batch.tickets[[1, 4]], [0.0, 1.0])
    assert len(set(curriculum.ask_batch(4).tickets.tolist()) | set(batch.tickets.tolist())) == 10
    assert curriculum.stats()["num_open"] == 8


@pytest.mark.parametrize("num_active_tasks", [4, 32])
def test_a_change_of_size_keeps_open_what_is_out_of_tasks_that_stay(num_active_tasks, tmp_path):
    curriculum = make(16)
    batch = curriculum.ask_batch(40)
    curriculum.save(tmp_path / "saved")
    config = curriculum.config.model_copy(update={"num_active_tasks": num_active_tasks})
    resumed = Curriculum.load(tmp_path / "saved", config=config)
    stays = np.isin(batch.seeds, [state.seed for state in resumed.task_states()])
    assert stays.all() == (num_active_tasks == 32)
    out = resumed.open_handouts()
    assert out.tickets.tolist() == batch.tickets[stays].tolist()
    assert out.seeds.tolist() == batch.seeds[stays].tolist()
    assert resumed.tell_batch(batch.tickets, np.ones(40)) == stays.sum()
    stats = resumed.stats()
    assert stats["num_completed"] == stays.sum()
    assert stats.get("cancelled/evicted", 0) == (~stays).sum()
    assert balance(stats) == 0


def test_a_smaller_ledger_that_cannot_hold_what_is_open_is_refused(tmp_path):
    curriculum = make(max_open_handouts=64)
    curriculum.ask_batch(40)
    curriculum.save(tmp_path / "saved")
    small = curriculum.config.model_copy(update={"max_open_handouts": 16})
    with pytest.raises(LedgerFullError, match=r"max_open_handouts: .* for its 40 open"):
        Curriculum.load(tmp_path / "saved", config=small)
    large = curriculum.config.model_copy(update={"max_open_handouts": 256})
    assert len(Curriculum.load(tmp_path / "saved", config=large).open_handouts().tickets) == 40


@pytest.mark.parametrize(
    ("tickets", "error", "match"),
    [
        ([0.5], TypeError, "tickets: expected integers, got dtype float64"),
        ([[1]], ValueError, r"tickets: expected shape \(n,\), got \(1, 1\)"),
        (7, ValueError, r"tickets: expected shape \(n,\), got \(\)"),
        (["7"], TypeError, "tickets: expected integers"),
        ([[1], [2, 3]], ValueError, r"tickets: expected shape \(n,\), got \[\[1\], \[2, 3\]\]"),
        (np.ma.array([7], mask=[True]), ValueError, "tickets: expected numbers, got a masked array"),
        (np.array([7], np.int32), TypeError, "tickets: expected integers of 64 bits, got dtype int32"),
    ],
)
def test_wrong_tickets_are_refused(tickets, error, match):
    curriculum = make()
    curriculum.ask_batch(2)
    before = curriculum.stats()
    for call in (lambda: curriculum.tell_batch(tickets, [1.0]), lambda: curriculum.cancel_batch(tickets, "a test")):
        with pytest.raises(error, match=match):
            call()
    assert curriculum.stats() == before


@pytest.mark.parametrize("scores", [[2.0, 1.0], [[1.0, 2.0], [0.0, 0.0]], [1.0], [[1.0]], [np.nan, 1.0]])
def test_one_wrong_result_of_many_records_none(scores):
    curriculum = make()
    batch = curriculum.ask_batch(2)
    before = curriculum.stats()
    with pytest.raises(ValueError, match=r"scores?: expected"):
        curriculum.tell_batch(batch.tickets, scores)
    assert curriculum.stats() == before
    assert curriculum.tell_batch(batch.tickets, [1.0, 1.0]) == 2


def test_errors_of_results_speak_of_tickets():
    curriculum = make()
    batch = curriculum.ask_batch(4)
    with pytest.raises(ValueError, match=r"scores: expected shape \(4,\) like tickets, got \(32,\); .* \(4, 8\)"):
        curriculum.tell_batch(batch.tickets, np.zeros(32))
    with pytest.raises(ValueError, match=r"regrets: .* like tickets, got \(3,\); pass one per ticket$"):
        curriculum.tell_batch(batch.tickets, np.zeros(4), regrets=np.zeros(3))
    assert curriculum.stats()["num_open"] == 4


def test_tickets_that_never_were_are_unknown():
    curriculum = make()
    curriculum.ask_batch(2)
    assert curriculum.tell_batch([-1, 0, 1, 2**63 - 1], np.ones(4)) == 0
    assert curriculum.stats()["num_unknown"] == 4


def test_nothing_is_no_error():
    curriculum = make()
    assert {len(part) for part in curriculum.ask_batch(0)} == {0}
    assert curriculum.tell_batch([], []) == curriculum.cancel_batch([], "nothing") == curriculum.expire(0) == 0
    assert {len(part) for part in curriculum.open_handouts()} == {0}


class TestTaskIds:
    def test_an_id_of_a_lost_life_is_never_given_again_and_its_result_is_stale(self):
        def eager():
            config = LearningProgressConfig.fast_learning(
                num_active_tasks=4, min_presentations_for_eviction=5, eviction_rate=1.0, use_shared_memory=False
            )
            return Curriculum(config)

        def play(curriculum, num_tasks):
            ids = set()
            for _ in range(num_tasks):
                task = curriculum.get_task()
                ids.add(task.task_id)
                curriculum.update_task_performance(task.task_id, task.config % 5 / 4)
            return ids

        first = eager()
        play(first, 300)
        state = first.state_dict()
        kept = {row.task_id for row in first.task_states()}
        lives = [play(first, 300) - kept]
        for _ in range(2):
            curriculum = eager()
            curriculum.load_state_dict(state)
            lives.append(play(curriculum, 300) - kept)
        assert all(len(life) > 10 for life in lives)
        assert not lives[0] & lives[1]
        assert not lives[0] & lives[2]

        lost, before = max(lives[0]), curriculum.stats()
        curriculum.tell([lost], [1.0])
        curriculum.update_task_performance(lost, 1.0)
        assert curriculum.stats()["num_stale"] == before["num_stale"] + 2
        with pytest.raises(KeyError, match="task_id: expected an id that was issued"):
            curriculum.tell([max(lives[2]) + 4 * 10**6], [1.0])


class TestReasons:
    def test_each_is_counted(self):
        curriculum = make()
        ids = [task.task_id for task in curriculum.ask(6)]
        curriculum.cancel(ids[:3], "it hung")
        curriculum.cancel(ids[3:5], "it  hung ")
        curriculum.cancel(ids[5:], "(other reasons)")  # no reason of a user's is a built-in one
        stats = curriculum.stats()
        assert (stats["cancelled/it hung"], stats["cancelled/other reasons)"]) == (5, 1)

    def test_those_beyond_the_limit_share_a_name_and_warn(self, caplog):
        curriculum = make()
        for number in range(40):
            curriculum.cancel([curriculum.get_task().task_id], f"reason {number}")
        stats = curriculum.stats()
        counted = {key: value for key, value in stats.items() if key.startswith("cancelled/")}
        assert len(counted) == 26
        assert counted["cancelled/(other reasons)"] == 15
        assert sum(counted.values()) == stats["num_cancelled"] == 40
        assert [record.levelname for record in caplog.records] == ["WARNING"]
        assert "the pool counts 32 reasons" in caplog.text

    @pytest.mark.parametrize("text", ["é" * 60, "x\0y", "a" * 47 + "é"])
    def test_any_text_comes_back_from_a_checkpoint(self, text, tmp_path):
        curriculum = make()
        curriculum.cancel([curriculum.get_task().task_id], text)
        curriculum.save(tmp_path / "saved")
        assert Curriculum.load(tmp_path / "saved").stats() == curriculum.stats()

    @pytest.mark.parametrize(("reason", "error"), [("", ValueError), ("  ", ValueError), (None, TypeError)])
    def test_none_is_refused_and_changes_nothing(self, reason, error):
        curriculum = make()
        (ticket,), task = curriculum.ask_batch(1).tickets.tolist(), curriculum.get_task()
        before = curriculum.stats()
        with pytest.raises(error, match="reason: expected a short text"):
            curriculum.cancel([task.task_id], reason)
        with pytest.raises(error, match="reason: expected a short text"):
            curriculum.cancel_batch([ticket], reason)
        assert curriculum.stats() == before

    def test_a_load_keeps_the_indices_that_other_processes_use(self):
        first, second = make(), make()
        second.cancel([second.get_task().task_id], "second")
        first.cancel([first.get_task().task_id], "first")
        first.load_state_dict(second.state_dict())
        first.cancel([first.get_task().task_id], "first")
        stats = first.stats()
        assert (stats["cancelled/first"], stats["cancelled/second"]) == (1, 1)


@pytest.mark.parametrize("module", [local, shared])
def test_without_tickets_the_ledger_costs_no_memory_in_a_state(module):
    state = make(use_shared_memory=module is shared).state_dict()
    assert state["ledger"].dtype == handout_dtype(0)
    assert len(state["ledger"]) == 0


def test_a_ticket_of_another_life_takes_no_place_from_an_open_one():
    curriculum = Curriculum(LearningProgressConfig.default(num_active_tasks=4, use_shared_memory=False))
    batch = curriculum.ask_batch(1)
    other = batch.tickets[0] ^ MAX_TICKETS  # of the same count
    assert curriculum.tell_batch([other, batch.tickets[0], batch.tickets[0]], [0.0, 1.0, 0.0]) == 1
    assert curriculum.task(int(batch.task_ids[0])).last_score == 1.0
    assert curriculum.stats()["num_repeated"] == 1.0
