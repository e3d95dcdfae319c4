"""verl's trainer, data set, data loader, replay buffer and queue, without a model. `make test-verl` runs it."""

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("verl", reason="make test-verl runs it")

import ray
import transfer_queue

from curricular.trainers.verl import TICKET

from ..helpers import TIMEOUT, balance
from .verl_run import (
    NUM_COMPLETIONS,
    NUM_PROMPTS,
    NUM_ROWS,
    NUM_STEPS,
    create_config,
    create_trainer,
    start_queue,
    train_step,
    write_rows,
)

pytestmark = pytest.mark.filterwarnings("default")


def run(out, *options):
    command = [sys.executable, "-W", "ignore", Path(__file__).with_name("verl_run.py"), out, *map(str, options)]
    return subprocess.run(command, stdout=subprocess.DEVNULL, check=False, timeout=TIMEOUT).returncode


def prompts_of(out):
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


def clear_queue():
    for keys in (transfer_queue.kv_list("train") or {}).values():
        if keys:
            transfer_queue.kv_clear(list(keys), "train")


def stats_of(trainer):
    return trainer.train_dataset.curriculum.stats()


@pytest.fixture(scope="module")
def queue(tmp_path_factory):
    start_queue(create_config(tmp_path_factory.mktemp("queue")))
    yield
    transfer_queue.close()
    ray.shutdown()


@pytest.fixture
def create(queue, tmp_path):
    """Makes trainers with an empty queue."""
    clear_queue()
    return lambda mode="sync", **options: create_trainer(create_config(tmp_path, mode, **options))


def test_a_killed_run_resumes_with_the_prompts_of_the_unbroken_one(tmp_path):
    """20 steps, two epochs of the data loader, `kill -9` in a random one."""
    unbroken, killed = tmp_path / "unbroken", tmp_path / "killed"
    unbroken.mkdir()
    killed.mkdir()
    kill_at = random.Random(0).randrange(5, NUM_STEPS)
    assert run(unbroken) == 0
    assert run(killed, "--kill-at", kill_at) == -9
    saved = kill_at // 4 * 4
    assert run(killed, "--resume", saved) == 0
    expected = prompts_of(unbroken)
    assert all(len(set(prompts)) == NUM_PROMPTS for prompts in expected)
    assert prompts_of(killed) == expected[:kill_at] + expected[saved:]
    stats = json.loads((killed / "stats.json").read_text())
    assert stats == json.loads((unbroken / "stats.json").read_text())
    assert stats["num_completed"] == stats["num_scheduled"] == NUM_STEPS * NUM_PROMPTS
    assert balance(stats) == stats["num_repeated"] == stats["num_unknown"] == 0


def test_groups_are_told_under_their_tickets(create):
    trainer = create()
    batch = train_step(trainer, 1)
    prompts = trainer.agent_loop_manager.prompts[0]
    rewards = transfer_queue.kv_batch_get(batch.keys, "train", ["rm_scores"])["rm_scores"].sum(-1)
    assert len(batch.keys) == NUM_PROMPTS * NUM_COMPLETIONS
    assert stats_of(trainer)["num_completed"] == NUM_PROMPTS
    assert stats_of(trainer)["score/mean"] == pytest.approx(float(rewards.mean()))
    tasks = trainer.train_dataset.curriculum.tasks()
    assert sorted(tasks["seed"][tasks["num_completions"] > 0].tolist()) == sorted(prompts)


def test_validation_asks_and_tells_nothing(create):
    trainer = create()
    (batch,) = list(trainer.val_dataloader)
    assert sorted(batch["index"]) == list(range(100, 108))
    assert TICKET not in batch
    assert stats_of(trainer)["num_scheduled"] == 0


@pytest.mark.parametrize("mode", ["sync", "colocate_async"])
def test_a_group_whose_rollouts_have_failed_is_not_told(create, mode):
    trainer = create(mode)
    rollouts = trainer.agent_loop_manager
    rollouts.failing = frozenset(range(0, NUM_ROWS, 2))
    for step in range(1, 4):
        train_step(trainer, step)
    stats, asked = stats_of(trainer), [row for prompts in rollouts.prompts for row in prompts]
    num_failed = sum(row in rollouts.failing for row in asked)
    assert num_failed > 0
    assert stats["num_scheduled"] == len(asked)
    if mode == "sync":  # verl says nothing of them: they expire
        assert (stats["num_completed"], stats["num_open"]) == (len(asked) - num_failed, num_failed)
    else:
        assert stats["cancelled/failed"] > 0
        assert stats["num_completed"] == 3 * NUM_PROMPTS
    assert balance(stats) == stats["num_unknown"] == 0


def test_stale_groups_are_cancelled(create):
    trainer = create("colocate_async", **{"trainer.v1.sampler.max_off_policy_threshold": 1})
    trainer.global_steps = 1
    trainer._add_prompts_to_generate(NUM_PROMPTS)  # finished at once, and not trained on
    train_step(trainer, 3)
    stats = stats_of(trainer)
    assert stats["cancelled/stale"] == NUM_PROMPTS
    assert stats["num_completed"] == NUM_PROMPTS
    assert balance(stats) == 0


def test_in_a_synchronous_mode_what_was_open_at_the_save_comes_first(create):
    trainer = create()
    train_step(trainer, 1)
    trainer.agent_loop_manager.waiting = True
    trainer.prepare_step()
    state = trainer.train_dataloader.state_dict()
    clear_queue()
    again = create()
    again.train_dataloader.load_state_dict(state)
    train_step(again, 2)
    assert again.agent_loop_manager.prompts[0] == trainer.agent_loop_manager.prompts[1]
    assert stats_of(again)["num_completed"] == 2 * NUM_PROMPTS


def test_in_an_asynchronous_mode_verl_restores_what_was_open_at_the_save(create):
    """verl's queue survives here, as its checkpoint does; verl starts its pending prompts again."""
    trainer = create("colocate_async")
    trainer.agent_loop_manager.waiting, trainer.global_steps = True, 1
    trainer.prepare_step()
    state = trainer.train_dataloader.state_dict()
    again = create_trainer(trainer.config)
    again.train_dataloader.load_state_dict(state)
    again.global_steps = 2
    assert again._reissue_inflight_prompts() == NUM_PROMPTS
    for step in (2, 3):
        train_step(again, step)
    restored, *later = again.agent_loop_manager.prompts
    assert sorted(restored) == sorted(trainer.agent_loop_manager.prompts[0])
    assert not set(restored) & set(later[0])
    assert stats_of(again)["num_completed"] == 2 * NUM_PROMPTS
    assert stats_of(again)["num_open"] == NUM_PROMPTS
    assert balance(stats_of(again)) == stats_of(again)["num_unknown"] == 0


@pytest.mark.parametrize(
    "setting", [{"data.dataloader_num_workers": 2}, {"data.val_files": "${data.train_files}"}], ids=["workers", "files"]
)
def test_settings_that_cannot_work_are_refused(tmp_path, setting):
    with pytest.raises(ValueError, match="config: expected dataloader_num_workers=0, and val_files other than"):
        create_trainer(create_config(tmp_path, **setting))


def test_a_data_set_that_shrank_is_refused(create, tmp_path):
    state = create().train_dataset.state_dict()
    fewer = create(**{"data.train_files": write_rows(tmp_path / "fewer.parquet", NUM_ROWS - 1)}).train_dataset
    with pytest.raises(ValueError, match="capacity"):
        fewer.load_state_dict(state)
    assert len(fewer.curriculum.tasks()["seed"]) == NUM_ROWS - 1
