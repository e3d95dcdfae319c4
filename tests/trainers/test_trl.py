"""GRPO in the real TRL: what is asked is told, over processes, loader workers, kills and resumes."""

import json
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ..helpers import TIMEOUT, balance

pytest.importorskip("trl", reason="needs TRL: make test-trl")

import torch
from trl import GRPOTrainer

from curricular import Curriculum, UniformConfig, dataset
from curricular.trainers.trl import FILE, TICKET, CurriculumGRPOTrainer

from .trl_run import NUM_COMPLETIONS, NUM_PROMPTS, ROWS, create_curriculum, create_trainer, first_is_right

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::UserWarning")

SCRIPT = Path(__file__).parent / "trl_run.py"
SIZE = NUM_PROMPTS * NUM_COMPLETIONS


def run(out, *arguments, num_processes=1):
    """The exit status of a run of trl_run.py."""
    command = [sys.executable, "-W", "ignore"]
    if num_processes > 1:
        command += ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(num_processes)]
    command += [SCRIPT, out, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, check=False, timeout=TIMEOUT).returncode


def lines(out, kind, rank=0):
    path = out / f"log-{rank}.jsonl"
    return [line[1:] for line in map(json.loads, path.read_text().splitlines()) if line[0] == kind]


def rows_of(out):
    """The rows of each step, as they were told."""
    rows = {ticket: row for tickets, rows in lines(out, "asked") for ticket, row in zip(tickets, rows, strict=True)}
    return [[rows[ticket] for ticket in tickets] for tickets, _, _ in lines(out, "told")]


def in_flight(out, step):
    """The hand-outs that the checkpoint has as open: tickets and rows."""
    batch = Curriculum.load(out / f"checkpoint-{step}" / FILE, dataset(ROWS, key="id")).open_handouts()
    return batch.tickets.tolist(), batch.seeds.tolist()


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    out = tmp_path_factory.mktemp("unbroken")
    assert run(out) == 0
    return out


# ── One process ──────────────────────────────────────────────────────────────────────────────────


def test_all_that_was_asked_is_told_or_read_ahead(unbroken):
    stats = json.loads((unbroken / "stats-0.json").read_text())
    assert stats["num_completed"] == 20 * NUM_PROMPTS
    assert stats["num_open"] == stats["num_scheduled"] - stats["num_completed"] == NUM_PROMPTS
    assert balance(stats) == stats["num_repeated"] == stats["num_unknown"] == 0
    assert [told[2] for told in lines(unbroken, "told")] == [NUM_PROMPTS] * 20
    assert all(len(set(rows)) == NUM_PROMPTS for rows in rows_of(unbroken))


def test_the_sampler_keeps_the_layout_of_trl(tmp_path):
    curriculum = create_curriculum()
    options = {"steps_per_generation": 2, "num_iterations": 3, "gradient_accumulation_steps": 2}
    trainer = create_trainer(curriculum, tmp_path, **options)
    sampler = trainer._get_train_sampler(trainer.train_dataset)
    keys = list(sampler)
    ours, theirs = np.array(keys)[:, 0], np.array(list(sampler._base))
    assert len(sampler) == len(ours) == len(theirs)

    def layout(rows):
        """Of each block: the position at which each of its rows came first."""
        blocks = rows.reshape(-1, 2 * SIZE)
        return [[block.tolist().index(row) for row in block] for block in blocks]

    assert layout(ours) == layout(theirs)
    assert len(set(keys)) == curriculum.stats()["num_scheduled"]


def test_the_rewards_of_the_user_arrive_as_groups_of_their_prompt(tmp_path):
    given = []

    def reward(completions, answer, **rest):
        scores = [random.random() for _ in completions]
        given.append((rest[TICKET], scores))
        return scores

    curriculum = create_curriculum()
    curriculum.log = tmp_path / "log-0.jsonl"
    create_trainer(curriculum, tmp_path, reward, max_steps=3, save_strategy="no").train()
    for (tickets, groups, _), (of_rollout, scores) in zip(lines(tmp_path, "told"), given, strict=True):
        assert np.repeat(tickets, NUM_COMPLETIONS).tolist() == of_rollout
        assert np.allclose(np.ravel(groups), scores)


def test_an_evaluation_tells_nothing(tmp_path):
    curriculum = create_curriculum()
    trainer = create_trainer(curriculum, tmp_path, per_device_eval_batch_size=SIZE)
    trainer.evaluate(ROWS.select(range(NUM_PROMPTS)))
    assert curriculum.stats()["num_scheduled"] == curriculum.stats()["num_completed"] == 0


def test_failed_rollouts_count_as_failed(tmp_path):
    def reward(completions, **_):
        return [None] * (NUM_COMPLETIONS + 1) + [1.0] * (len(completions) - NUM_COMPLETIONS - 1)

    curriculum = create_curriculum()
    create_trainer(curriculum, tmp_path, reward, max_steps=1, save_strategy="no").train()
    stats = curriculum.stats()
    assert stats["num_completed"] == NUM_PROMPTS - 1  # one of its group failed: the others count
    assert stats["num_cancelled"] == 1
    assert stats["score/mean"] == pytest.approx(1.0)


def test_one_generation_for_several_steps_is_told_once(tmp_path):
    curriculum = create_curriculum()
    options = {"steps_per_generation": 2, "num_iterations": 2, "gradient_accumulation_steps": 1}
    create_trainer(curriculum, tmp_path, max_steps=8, save_strategy="no", **options).train()
    stats = curriculum.stats()
    assert stats["num_completed"] == 2 * 2 * NUM_PROMPTS  # two generations of two steps' prompts each
    assert stats["num_repeated"] == 0


@pytest.mark.parametrize("num_workers", [1, 2])
def test_what_loader_workers_read_ahead_stays_open(tmp_path, num_workers):
    assert run(tmp_path, "--workers", num_workers) == 0
    stats = json.loads((tmp_path / "stats-0.json").read_text())
    assert stats["num_completed"] == 20 * NUM_PROMPTS
    assert stats["num_open"] == stats["num_scheduled"] - stats["num_completed"] >= NUM_PROMPTS


# ── Kill and resume ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kill_at", random.Random(0).sample(range(5, 20), 2))
def test_a_killed_run_resumes_with_the_prompts_of_the_unbroken_one(unbroken, tmp_path, kill_at):
    assert run(tmp_path, "--kill-at", kill_at) == -9
    saved, num_asked = kill_at // 4 * 4, len(lines(tmp_path, "asked"))
    tickets, rows = in_flight(tmp_path, saved)
    assert len(tickets) == NUM_PROMPTS
    assert run(tmp_path, "--resume") == 0
    assert lines(tmp_path, "asked")[num_asked] == [tickets, rows]
    steps, expected = rows_of(tmp_path), rows_of(unbroken)
    assert steps == expected[:kill_at] + expected[saved:]
    assert json.loads((tmp_path / "stats-0.json").read_text()) == json.loads((unbroken / "stats-0.json").read_text())


def test_with_workers_all_that_was_read_ahead_comes_first(tmp_path):
    assert run(tmp_path, "--kill-at", 9, "--workers", 2) == -9
    num_asked = len(lines(tmp_path, "asked"))
    tickets, _ = in_flight(tmp_path, 8)
    assert len(tickets) > NUM_PROMPTS
    assert run(tmp_path, "--resume", "--workers", 2) == 0
    again = [ticket for batch, _ in lines(tmp_path, "asked")[num_asked:] for ticket in batch]
    assert again[: len(tickets)] == tickets
    assert set(tickets) <= {ticket for batch, _, _ in lines(tmp_path, "told") for ticket in batch}


def test_a_checkpoint_without_a_curriculum_is_named(unbroken, tmp_path):
    assert run(tmp_path, "--kill-at", 5) == -9
    (tmp_path / "checkpoint-4" / FILE).unlink()
    with pytest.raises(FileNotFoundError, match=FILE):
        create_trainer(create_curriculum(), tmp_path).train(resume_from_checkpoint=str(tmp_path / "checkpoint-4"))


# ── Two processes ────────────────────────────────────────────────────────────────────────────────


def test_of_two_processes_one_asks_and_the_rewards_of_both_are_told(tmp_path):
    assert run(tmp_path, num_processes=2) == 0
    stats = [json.loads((tmp_path / f"stats-{rank}.json").read_text()) for rank in range(2)]
    assert stats[0]["num_completed"] == 20 * NUM_PROMPTS
    assert stats[0]["num_open"] == stats[0]["num_scheduled"] - stats[0]["num_completed"] == NUM_PROMPTS
    assert stats[1]["num_scheduled"] == 0
    assert np.shape([groups for _, groups, _ in lines(tmp_path, "told")]) == (20, NUM_PROMPTS, NUM_COMPLETIONS)


def test_two_processes_resume_with_what_was_in_flight(tmp_path):
    assert run(tmp_path, "--kill-at", 9, num_processes=2) != 0
    num_asked = len(lines(tmp_path, "asked"))
    tickets, rows = in_flight(tmp_path, 8)
    assert run(tmp_path, "--resume", num_processes=2) == 0
    assert lines(tmp_path, "asked")[num_asked] == [tickets, rows]
    assert len(lines(tmp_path, "told")) == 9 + 12


# ── The example ──────────────────────────────────────────────────────────────────────────────────


def example(*arguments):
    script = Path(__file__).parents[2] / "examples" / "grpo_trl.py"
    command = [sys.executable, "-W", "ignore", script, *arguments]
    out = subprocess.run(command, capture_output=True, text=True, check=True, timeout=TIMEOUT)
    return out.stdout.splitlines()


def test_the_example_resumes_with_what_was_in_flight():
    lines_of = example("--crash")
    (before,) = [index for index, line in enumerate(lines_of) if "with these prompts in flight" in line]
    (after,) = [index for index, line in enumerate(lines_of) if "the resumed run began with" in line]
    assert lines_of[before + 1] == lines_of[after + 1]
    assert lines_of[-1].startswith("prompts asked 656, told 640, cancelled 0, open 16")


def test_the_example_shows_both_curves(tmp_path):
    pytest.importorskip("matplotlib")
    last = example("--steps", "20", "--picture", str(tmp_path / "curves.png"))
    assert [line.split()[0] for line in last[-2:]] == ["20", "picture:"]
    assert (tmp_path / "curves.png").stat().st_size > 0


# ── Bad input ────────────────────────────────────────────────────────────────────────────────────


class Reshaping(GRPOTrainer):
    """A user's trainer that changes what the curriculum gets."""

    def _calculate_rewards(self, inputs, *args):
        return self.change(super()._calculate_rewards(inputs, *args))


@pytest.mark.parametrize("change", [lambda rewards: rewards[:, 0], lambda rewards: rewards[:-1]])
def test_rewards_of_another_shape_are_refused_and_change_nothing(tmp_path, change):
    trainer_type = type("Mine", (CurriculumGRPOTrainer, Reshaping), {"change": staticmethod(change)})
    curriculum = create_curriculum()
    trainer = create_trainer(curriculum, tmp_path, trainer=trainer_type, max_steps=1)
    with pytest.raises(ValueError, match=r"rewards: expected shape \(16, 1\)"):
        trainer.train()
    assert curriculum.stats()["num_completed"] == 0


def test_tickets_of_another_run_are_counted_and_change_nothing(tmp_path):
    foreign = create_curriculum().ask_batch(NUM_PROMPTS).tickets
    curriculum = create_curriculum()
    trainer = create_trainer(curriculum, tmp_path)
    trainer._tell(torch.tensor(np.repeat(foreign[:, None], NUM_COMPLETIONS, axis=1)), torch.ones(SIZE, 1))
    assert curriculum.stats()["num_unknown"] == NUM_PROMPTS
    assert curriculum.stats()["num_completed"] == 0


def test_rows_out_of_order_are_refused(tmp_path):
    curriculum = create_curriculum()
    trainer = create_trainer(curriculum, tmp_path)
    tickets = np.tile(curriculum.ask_batch(NUM_PROMPTS).tickets, (NUM_COMPLETIONS, 1))
    with pytest.raises(ValueError, match="of a prompt in a row"):
        trainer._tell(torch.tensor(tickets), torch.ones(SIZE, 1))


def test_a_curriculum_over_other_rows_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"curriculum: expected 100 tasks, the rows .* got 99"):
        create_trainer(create_curriculum(ROWS.select(range(99))), tmp_path)


def test_rows_in_another_order_are_refused(tmp_path):
    shuffled = ROWS.shuffle(seed=1)
    match = r"curriculum: expected the rows .* in their order, where row 0 has the prompt '0 0', got '.*'; make both"
    with pytest.raises(ValueError, match=match):
        create_trainer(create_curriculum(shuffled), tmp_path)
    create_trainer(create_curriculum(ROWS.remove_columns("prompt")), tmp_path)


def test_a_reward_outside_of_the_range_is_named(tmp_path):
    def reward(completions, **_):
        return [2.0] * len(completions)

    curriculum = Curriculum(UniformConfig(), dataset(ROWS, key="id"))
    with pytest.raises(ValueError, match="score_range"):
        create_trainer(curriculum, tmp_path, reward, max_steps=1).train()


def test_the_reward_of_this_file_can_fail():
    assert first_is_right(["3 1", "1 3", ""], [3, 3, 3]) == [1.0, 0.0, 0.0]
