"""Post-training of a language model: what trainers are reported to lose or repeat, in the terms of this library.

Further scenarios: tests/test_tickets.py (what is in flight at a save comes first, a result of the lost life, a retry,
the same prompt twice in flight, groups with failed rollouts) and tests/test_coverage.py (slow prompts, grown epochs).
"""

import json

import numpy as np
import pytest

from curricular import Curriculum, ThompsonConfig, UniformConfig, dataset

from .helpers import balance

BACKENDS = pytest.mark.parametrize("use_shared_memory", [False, True], ids=["local", "shared"])
GROUP = 8


def rows(keys):
    return [{"id": key, "prompt": f"what is {key}?"} for key in keys]


def prompts(keys):
    return dataset(rows(keys), key="id")


def made(num_prompts=64, use_shared_memory=False, **overrides):
    config = ThompsonConfig.prompts(num_prompts, use_shared_memory=use_shared_memory, **overrides)
    return Curriculum(prompts(range(num_prompts)), config)


def by_key(curriculum, name):
    columns, data = curriculum.tasks(), curriculum.generator.rows
    return {data[seed]["id"]: value for seed, value in zip(columns["seed"], columns[name], strict=True)}


@BACKENDS
def test_a_save_between_ask_and_tell_loses_nothing_and_counts_nothing_twice(use_shared_memory, tmp_path):
    curriculum = made(use_shared_memory=use_shared_memory)
    batch = curriculum.ask_batch(16, replace=False)
    curriculum.save(tmp_path / "saved")
    assert curriculum.tell_batch(batch.tickets, np.ones((16, GROUP))) == 16  # the run proceeds
    curriculum.close()

    resumed = Curriculum.load(tmp_path / "saved", prompts(range(64)))  # as if it had crashed there
    again = resumed.ask_batch(16, replace=False)
    assert again.tickets.tolist() == batch.tickets.tolist()
    assert again.seeds.tolist() == batch.seeds.tolist()
    assert resumed.tell_batch(again.tickets, np.ones((16, GROUP))) == 16
    stats = resumed.stats()
    assert (stats["num_scheduled"], stats["num_completed"], stats["num_open"]) == (16, 16, 0)
    assert balance(stats) == 0


@BACKENDS
def test_one_of_eight_groups_is_cancelled_and_the_other_seven_count(use_shared_memory):
    curriculum = made(use_shared_memory=use_shared_memory)
    batch = curriculum.ask_batch(8, replace=False)
    assert curriculum.cancel_batch(batch.tickets[[3]], "too long") == 1
    told = np.delete(np.arange(8), 3)
    assert curriculum.tell_batch(batch.tickets[told], np.ones((7, GROUP))) == 7
    assert curriculum.tell_batch(batch.tickets[[3]], np.ones((1, GROUP))) == 0
    stats = curriculum.stats()
    assert (stats["num_completed"], stats["cancelled/too long"], stats["num_repeated"]) == (7, 1, 1)
    assert by_key(curriculum, "num_completions")[batch.seeds[3]] == 0
    assert balance(stats) == 0


@BACKENDS
def test_another_data_set_of_the_same_length_inherits_nothing(use_shared_memory, tmp_path, caplog):
    curriculum = made(use_shared_memory=use_shared_memory)
    batch = curriculum.ask_batch(64)
    curriculum.tell_batch(batch.tickets, np.ones((64, GROUP)))
    before = by_key(curriculum, "num_completions")
    curriculum.save(tmp_path / "saved")
    with pytest.raises(ValueError, match="none of the 64 saved tasks is one of its tasks"):
        Curriculum.load(tmp_path / "saved", prompts(range(100, 164)))

    half = Curriculum.load(tmp_path / "saved", prompts(range(32, 96)))
    assert "it has 32 of the 64 tasks in the pool, lacks 32, and has 32 others" in caplog.text
    after = by_key(half, "num_completions")
    assert after == {key: before.get(key, 0) for key in range(32, 96)}


@BACKENDS
@pytest.mark.parametrize("order", [1, -1], ids=["in order", "reversed"])
def test_a_data_set_grown_by_ten_rows_keeps_what_is_known_and_what_is_in_flight(
    use_shared_memory, order, tmp_path, caplog
):
    curriculum = made(use_shared_memory=use_shared_memory)
    told = curriculum.ask_batch(24, replace=False)
    curriculum.tell_batch(told.tickets, np.ones((24, GROUP)))
    batch = curriculum.ask_batch(12, replace=False)
    keys, before = batch.seeds.tolist(), by_key(curriculum, "num_completions")
    curriculum.save(tmp_path / "saved")

    grown = Curriculum.load(
        tmp_path / "saved",
        prompts(list(range(74))[::order]),
        config=ThompsonConfig.prompts(74, use_shared_memory=use_shared_memory),
    )
    again = grown.ask_batch(12, replace=False)
    assert again.tickets.tolist() == batch.tickets.tolist()
    assert [grown.task(task_id).config["id"] for task_id in again.task_ids.tolist()] == keys
    assert by_key(grown, "num_completions") == {key: before.get(key, 0) for key in range(74)}
    assert "and has 10 others" in caplog.text
    assert grown.tell_batch(batch.tickets, np.ones((12, GROUP))) == 12
    assert balance(grown.stats()) == 0


def test_a_data_set_that_shrank_cancels_what_was_in_flight_for_the_missing_rows(tmp_path, caplog):
    curriculum = made()
    batch = curriculum.ask_batch(64, replace=False)
    curriculum.save(tmp_path / "saved")
    shrunk = Curriculum.load(tmp_path / "saved", prompts(range(40)))
    assert "lacks 24" in caplog.text
    assert shrunk.tell_batch(batch.tickets, np.ones((64, GROUP))) == 40
    stats = shrunk.stats()
    assert (stats["num_completed"], stats["cancelled/evicted"], stats["num_active"]) == (40, 24, 40)
    assert balance(stats) == 0


@BACKENDS
def test_when_all_prompts_are_mastered_each_is_still_handed_out(use_shared_memory):
    curriculum = made(use_shared_memory=use_shared_memory)
    seen = []
    for _ in range(100):
        batch = curriculum.ask_batch(16, replace=False)
        seen += batch.seeds.tolist()
        curriculum.tell_batch(batch.tickets, np.ones((16, GROUP)))
    assert min(by_key(curriculum, "success_rate").values()) == pytest.approx(1.0)
    assert np.bincount(seen[-800:], minlength=64).min() > 0
    assert curriculum.stats()["num_active"] == 64


@BACKENDS
def test_an_ask_of_more_than_there_are_is_refused_only_without_replacement(use_shared_memory):
    curriculum = made(10, use_shared_memory)
    with pytest.raises(ValueError, match="n: expected 0 to 10 tasks, got 11"):
        curriculum.ask_batch(11, replace=False)
    assert curriculum.stats()["num_scheduled"] == 0
    assert sorted(curriculum.ask_batch(10, replace=False).seeds.tolist()) == list(range(10))
    assert len(curriculum.ask_batch(25).tickets) == 25


def test_of_two_ranks_one_asks_and_broadcasts_and_tells_for_both():
    curriculum = made()
    batch = curriculum.ask_batch(16, replace=False)
    sent = json.loads(json.dumps({"seeds": batch.seeds.tolist(), "tickets": batch.tickets.tolist()}))
    data = rows(range(64))
    shards = [slice(0, 8), slice(8, 16)]
    ranks = [[data[seed]["id"] % 2 for seed in sent["seeds"][shard]] for shard in shards]  # each plays its part
    rewards = np.repeat(np.concatenate(ranks)[:, None], GROUP, axis=1)
    assert curriculum.tell_batch(sent["tickets"], rewards) == 16
    rates = by_key(curriculum, "success_rate")
    assert all(rates[seed] == seed % 2 for seed in batch.seeds.tolist())


def test_two_processes_that_both_ask_get_different_hand_outs():
    keys, name = range(32), "test-prompts-two"
    config = UniformConfig(cover_share=1.0, session_id=name)
    with Curriculum(prompts(keys), config) as one, Curriculum(prompts(keys), config) as other:
        batches = [curriculum.ask_batch(8) for curriculum in (one, other, one, other)]
        assert sorted(np.concatenate([batch.seeds for batch in batches]).tolist()) == list(keys)
        assert len(set(np.concatenate([batch.tickets for batch in batches]).tolist())) == 32
        assert one.tell_batch(batches[1].tickets, np.ones(8)) == 8  # whichever process tells


@pytest.mark.parametrize(
    ("rewards", "message"),
    [
        (np.ones(3), r"scores: expected .*4"),
        (np.ones((3, GROUP)), r"scores: expected .*4"),
        (np.ones((4, 2, 2)), "scores: expected"),
        (np.ones((4, 0)), "scores: expected"),
        ([1.0, np.nan, 1.0, 1.0], "score: expected a finite number"),
    ],
)
def test_rewards_of_another_shape_are_refused_by_name_and_nothing_is_recorded(rewards, message):
    curriculum = made()
    batch = curriculum.ask_batch(4, replace=False)
    with pytest.raises(ValueError, match=message):
        curriculum.tell_batch(batch.tickets, rewards)
    assert curriculum.stats()["num_open"] == 4


def test_tickets_of_another_run_are_counted_and_warned_of_and_credited_to_no_prompt(caplog):
    curriculum, other = made(), made()
    curriculum.ask_batch(4)
    batch = other.ask_batch(4)
    assert curriculum.tell_batch(batch.tickets, np.ones((4, GROUP))) == 0
    stats = curriculum.stats()
    assert (stats["num_unknown"], stats["num_completed"]) == (4, 0)
    assert "none of 4 tickets is open" in caplog.text


def test_duplicate_keys_are_refused_by_name():
    with pytest.raises(ValueError, match="key: expected a different key for each row, got 7 for rows 1 and 2"):
        prompts([3, 7, 7])
