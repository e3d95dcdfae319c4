"""A short run of GRPO in TRL, as a program: its log of hand-outs survives a kill. See `--help`."""

import argparse
import json
import os
import signal
from pathlib import Path

os.environ |= {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "OMP_NUM_THREADS": "1"}

import numpy as np
import torch
from datasets import Dataset
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from trl import GRPOConfig

from curricular import Curriculum, NoiseAwareConfig, dataset
from curricular.trainers.trl import CurriculumGRPOTrainer

NUM_ROWS, NUM_PROMPTS, NUM_COMPLETIONS = 100, 4, 4
WORDS = ["<pad>", "<eos>", *map(str, range(10))]
ROWS = Dataset.from_dict(
    {
        "prompt": [f"{i // 10} {i % 10}" for i in range(NUM_ROWS)],
        "answer": [i % 10 for i in range(NUM_ROWS)],
        "id": list(range(NUM_ROWS)),
    }
)


class LoggedCurriculum(Curriculum):
    """Writes what is asked and told to a file, a line for each call."""

    log = os.devnull

    def ask_batch(self, n, *, replace=True):
        batch = super().ask_batch(n, replace=replace)
        self._write("asked", batch.tickets.tolist(), batch.seeds.tolist())
        return batch

    def tell_batch(self, tickets, scores, *, regrets=None):
        num_ended = super().tell_batch(tickets, scores, regrets=regrets)
        self._write("told", tickets.tolist(), np.asarray(scores).tolist(), num_ended)
        return num_ended

    def _write(self, *line):
        with Path(self.log).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


def create_curriculum(rows=ROWS, **settings):
    config = NoiseAwareConfig.recommended(num_active_tasks=len(rows), use_shared_memory=False, **settings)
    return LoggedCurriculum(config, dataset(rows, key="id"))


def create_tokenizer():
    tokenizer = Tokenizer(models.WordLevel({word: index for index, word in enumerate(WORDS)}, unk_token="<pad>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<eos>")


def create_model():
    torch.manual_seed(0)
    size = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    ids = {"pad_token_id": 0, "eos_token_id": 1, "bos_token_id": None}
    return LlamaForCausalLM(LlamaConfig(vocab_size=len(WORDS), max_position_embeddings=16, **size, **ids))


def first_is_right(completions, answer, **_):
    return [float(text.split()[:1] == [str(right)]) for text, right in zip(completions, answer, strict=True)]


def create_trainer(curriculum, out, reward=first_is_right, trainer=CurriculumGRPOTrainer, **options):
    num_processes = int(os.environ.get("WORLD_SIZE", "1"))
    settings = {
        "per_device_train_batch_size": NUM_PROMPTS * NUM_COMPLETIONS // num_processes,
        "gradient_accumulation_steps": 1,
        "max_steps": 20,
    }
    args = GRPOConfig(
        output_dir=str(out),
        num_generations=NUM_COMPLETIONS,
        max_completion_length=2,
        learning_rate=1e-2,
        use_cpu=True,
        gradient_checkpointing=False,
        report_to="none",
        disable_tqdm=True,
        logging_steps=100,
        **settings | options,
    )
    model, tokenizer = create_model(), create_tokenizer()
    return trainer(
        model=model,
        reward_funcs=reward,
        args=args,
        train_dataset=ROWS,
        processing_class=tokenizer,
        curriculum=curriculum,
    )


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=Path)
    parser.add_argument("--kill-at", type=int, help="the step in whose rewards the process kills itself")
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--save-steps", type=int, default=4)
    arguments = parser.parse_args()
    arguments.out.mkdir(exist_ok=True)

    def reward(completions, id, trainer_state, **_):  # noqa: A002  the name of the column
        """The same for the same prompts at the same step: TRL resumes its random numbers at another position."""
        step = trainer_state.global_step
        if step == arguments.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        chances = np.random.default_rng(step).random(len(completions))
        return (chances < np.array(id) / NUM_ROWS).astype(float).tolist()

    torch.set_num_threads(1)
    curriculum = create_curriculum()
    curriculum.log = arguments.out / f"log-{os.environ.get('RANK', '0')}.jsonl"
    options = {"save_steps": arguments.save_steps, "dataloader_num_workers": arguments.workers}
    trainer = create_trainer(curriculum, arguments.out, reward, **options)
    trainer.train(resume_from_checkpoint=arguments.resume)
    (arguments.out / f"stats-{trainer.accelerator.process_index}.json").write_text(json.dumps(curriculum.stats()))


if __name__ == "__main__":
    main()
