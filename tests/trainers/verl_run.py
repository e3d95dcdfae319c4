"""A short run of verl's trainer without a model, as a program: its log of hand-outs survives a kill. See `--help`.

The trainer, its data set, data loader, replay buffer and queue are verl's own. Generation is not: `Rollouts` puts
random rewards into the queue, as verl's agent loop does.
"""

import argparse
import json
import os
import signal
from pathlib import Path

os.environ |= {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "RAY_USAGE_STATS_ENABLED": "0"}

import datasets
import numpy as np
import ray
import torch
import transfer_queue
from hydra import compose, initialize_config_module
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast
from verl.trainer.ppo.v1 import get_trainer_cls
from verl.utils.tensordict_utils import list_of_dict_to_tensordict

from curricular.trainers.verl import TICKET

NUM_ROWS, NUM_PROMPTS, NUM_COMPLETIONS, NUM_STEPS = 40, 4, 4, 20
MODULE = "pkg://curricular.trainers.verl"
MODES = {"sync": "CurriculumReplayBuffer", "colocate_async": "CurriculumReplayBufferAsync"}


def write_rows(path, num_rows=NUM_ROWS, first=0):
    rows = range(first, first + num_rows)
    columns = {
        "prompt": [[{"role": "user", "content": str(row)}] for row in rows],
        "reward_model": [{"ground_truth": str(row)} for row in rows],
        "data_source": ["numbers"] * num_rows,
        "extra_info": [{"index": row} for row in rows],
    }
    datasets.Dataset.from_dict(columns).to_parquet(path)
    return str(path)


def create_config(folder, mode="sync", **options):
    settings = {
        "data.train_files": write_rows(folder / "train.parquet"),
        "data.val_files": write_rows(folder / "val.parquet", 8, first=100),
        "data.custom_cls.path": MODULE,
        "data.custom_cls.name": "CurriculumDataset",
        "data.dataloader_num_workers": 0,
        "data.train_batch_size": NUM_PROMPTS,
        "data.filter_overlong_prompts": False,
        "trainer.v1.trainer_mode": mode,
        "trainer.v1.sampler.custom_sampler.path": MODULE,
        "trainer.v1.sampler.custom_sampler.name": MODES[mode],
        "trainer.total_epochs": 1,
        "transfer_queue.backend.SimpleStorage.num_data_storage_units": 1,
        **options,
    }
    with initialize_config_module("verl.trainer.config", version_base=None):
        return compose("ppo_trainer", [f"++{name}={value}" for name, value in settings.items()])


def create_trainer(config):
    """Returns a trainer with its data loader and replay buffer, and without the workers that hold models."""
    trainer = get_trainer_cls(config.trainer.v1.trainer_mode)(config)
    trainer.tokenizer, trainer.processor = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.WordLevel())), None
    trainer.replay_buffer.poll_interval = 0.01
    trainer.agent_loop_manager = Rollouts()
    trainer._init_dataloader()
    return trainer


class Rollouts:
    """Stands for the model: rewards that depend on the step and the prompt."""

    failing = frozenset()
    """Rows all of whose rollouts fail."""
    waiting = False
    """Whether prompts stay pending."""

    def __init__(self):
        self.prompts = []

    def generate_sequences(self, batch):
        prompts = [int(index) for index in batch["index"]]
        self.prompts.append(prompts)
        for uid, ticket, row in zip(batch["uid"], batch[TICKET], prompts, strict=True):
            if not self.waiting:
                self.finish(str(uid), int(ticket), row, int(batch["global_steps"]))

    def finish(self, uid, ticket, row, step):
        if row not in self.failing:
            rewards = np.random.default_rng([step, row]).random(NUM_COMPLETIONS) < row / NUM_ROWS
            fields = [{"rm_scores": torch.tensor([0.0, float(reward)]), TICKET: ticket} for reward in rewards]
            keys = [f"{uid}_{session}_0" for session in range(NUM_COMPLETIONS)]
            tags = [{"status": "success"} for _ in keys]
            queue(keys, fields=list_of_dict_to_tensordict(fields), tags=tags)
        queue([uid], tags=[{"status": "failure" if row in self.failing else "finished"}])


def queue(keys, **content):
    transfer_queue.kv_batch_put(keys=keys, partition_id="train", **content)


def train_step(trainer, step):
    """Does what verl does in a step before the loss; returns the batch."""
    trainer.global_steps = step
    trainer.prepare_step()
    batch, _ = trainer.replay_buffer.sample(step, "train", NUM_PROMPTS)
    return batch


def start_queue(config):
    ray.init("local", num_cpus=4, include_dashboard=False, log_to_driver=False)
    transfer_queue.init(config.transfer_queue)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=Path)
    parser.add_argument("--kill-at", type=int, help="the step after whose sampling the process kills itself")
    parser.add_argument("--resume", type=int, default=0, help="the step whose checkpoint is loaded")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    config = create_config(arguments.out)
    start_queue(config)
    trainer = create_trainer(config)
    if arguments.resume:
        state = torch.load(arguments.out / f"data-{arguments.resume}.pt", weights_only=False)
        trainer.train_dataloader.load_state_dict(state)
    for step in range(arguments.resume + 1, NUM_STEPS + 1):
        train_step(trainer, step)
        with (arguments.out / "log.jsonl").open("a") as file:
            file.write(json.dumps(trainer.agent_loop_manager.prompts[-1]) + "\n")
        if step == arguments.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        if step % 4 == 0:
            torch.save(trainer.train_dataloader.state_dict(), arguments.out / f"data-{step}.pt")
    (arguments.out / "stats.json").write_text(json.dumps(trainer.train_dataset.curriculum.stats()))


if __name__ == "__main__":
    main()
