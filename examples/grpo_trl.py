"""GRPO with TRL on times tables: the curriculum chooses the prompts, and a killed run loses none.

A tiny model learns from nothing but rewards: "5 * 3" asks for the first three multiples of 5, modulo 7. Only a model
that knows a short answer finds the longer one, and half of the prompts, such as "5 ? 3", cannot be solved. So most
prompts teach nothing at any one time.

    python examples/grpo_trl.py                  # against uniform draws, as a table
    python examples/grpo_trl.py --picture a.png  # as a picture, too, if matplotlib is there
    python examples/grpo_trl.py --crash          # kills the run with SIGKILL and resumes it

Needs: pip install -e '.[trl]'
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # nothing is downloaded
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import numpy as np
import torch
from datasets import Dataset
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast, PrinterCallback, TrainerCallback
from transformers.trainer_utils import get_last_checkpoint
from trl import GRPOConfig, GRPOTrainer

from curricular import Curriculum, NoiseAwareConfig, UniformConfig, dataset
from curricular.config import CurriculumConfig
from curricular.trainers.trl import CurriculumGRPOTrainer

BASE = 7
LONGEST = 4
WORDS = ["<pad>", "<eos>", "*", "?", *map(str, range(BASE))]
NUM_PROMPTS, NUM_COMPLETIONS = 16, 8
"""Prompts per step, and completions per prompt."""


def answer(factor: int, length: int) -> list[int]:
    return [factor * i % BASE for i in range(1, length + 1)]


def create_rows(num_copies: int = 4) -> Dataset:
    """Returns the prompts, each several times: half of them ask for a table, the others for what has no answer."""
    rows: list[dict[str, Any]] = []
    for copy in range(num_copies):
        for length in range(1, LONGEST + 1):
            for factor in range(1, BASE):
                common = {"length": length, "copy": copy}
                rows.append(
                    {"prompt": f"{factor} * {length}", "answer": answer(factor, length), "kind": f"length {length}"}
                    | common
                )
                rows.append({"prompt": f"{factor} ? {length}", "answer": [BASE], "kind": "no answer"} | common)
    return Dataset.from_list([{"id": f"{row['prompt']} #{row['copy']}", **row} for row in rows])


def create_tokenizer() -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.WordLevel({word: index for index, word in enumerate(WORDS)}, "<pad>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    special = {"pad_token": "<pad>", "eos_token": "<eos>", "padding_side": "left"}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special)


def create_model(seed: int) -> LlamaForCausalLM:
    torch.manual_seed(seed)
    size = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4}
    ids = {"pad_token_id": 0, "eos_token_id": 1, "bos_token_id": None}
    return LlamaForCausalLM(LlamaConfig(vocab_size=len(WORDS), max_position_embeddings=32, **size, **ids))


def is_right(completions: Sequence[str], answer: Sequence[Sequence[int]], **_: Any) -> list[float]:
    """The reward: 1 if the answer comes first, whatever follows it."""
    numbers = [[int(word) for word in text.split() if word.isdigit()] for text in completions]
    return [float(found[: len(right)] == right) for found, right in zip(numbers, answer, strict=True)]


@torch.no_grad()
def success(model: Any, tokenizer: Any) -> list[float]:
    """Returns the probability of the right answer at each length, as a mean over the tables."""
    rates = []
    for length in range(1, LONGEST + 1):
        answers = [answer(factor, length) for factor in range(1, BASE)]
        texts = [f"{factor} * {length} {' '.join(map(str, right))}" for factor, right in enumerate(answers, 1)]
        ids = torch.tensor(tokenizer(texts)["input_ids"])
        logits = model(input_ids=ids).logits[:, -length - 1 : -1]
        chances = torch.log_softmax(logits, -1).gather(-1, ids[:, -length:, None])
        rates.append(float(chances.sum((1, 2)).exp().mean()))
    return rates


class Curve(TrainerCallback):
    """Measures the success every few steps: steps, tokens and success at each length."""

    def __init__(self, tokenizer: Any, every: int = 10) -> None:
        self.tokenizer, self.every = tokenizer, every
        self.points: list[tuple[int, int, list[float]]] = []

    def on_step_end(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
        if state.global_step % self.every == 0:
            model.eval()
            self.points.append((state.global_step, int(state.num_input_tokens_seen), success(model, self.tokenizer)))
            model.train()


def create_trainer(rows: Dataset, out: Path, steps: int, seed: int, reward: Any = is_right, **options: Any) -> Any:
    """Returns a trainer; with a curriculum among the options, one that follows it."""
    curriculum = options.pop("curriculum", None)
    config = GRPOConfig(
        output_dir=str(out),
        max_steps=steps,
        per_device_train_batch_size=NUM_PROMPTS * NUM_COMPLETIONS,
        num_generations=NUM_COMPLETIONS,
        gradient_accumulation_steps=1,
        max_completion_length=LONGEST,
        learning_rate=2e-3,
        lr_scheduler_type="constant",
        seed=seed,
        use_cpu=True,
        gradient_checkpointing=False,
        report_to="none",
        disable_tqdm=True,
        logging_strategy="no",
        **options,
    )
    kind, chosen = (GRPOTrainer, {}) if curriculum is None else (CurriculumGRPOTrainer, {"curriculum": curriculum})
    trainer = kind(
        model=create_model(seed),
        reward_funcs=reward,
        args=config,
        train_dataset=rows,
        processing_class=create_tokenizer(),
        **chosen,
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def create_curriculum(rows: Dataset, config: CurriculumConfig) -> Any:
    return Curriculum(config, dataset(rows, key="id", label="kind", columns=["length"]))


def train(config: CurriculumConfig | None, steps: int, seed: int) -> tuple[Curve, Any]:
    """Trains from scratch, without a config in TRL's own order; returns the curve, and the curriculum, if any."""
    rows = create_rows()
    curriculum = None if config is None else create_curriculum(rows, config)
    with tempfile.TemporaryDirectory() as out:
        trainer = create_trainer(rows, Path(out), steps, seed, save_strategy="no", curriculum=curriculum)
        curve = Curve(trainer.processing_class)
        trainer.add_callback(curve)
        trainer.train()
    return curve, curriculum


def print_account(curriculum: Any) -> None:
    stats = curriculum.stats()
    reasons = {key.removeprefix("cancelled/"): int(stats[key]) for key in stats if key.startswith("cancelled/")}
    print(
        f"prompts asked {stats['num_scheduled']:.0f}, told {stats['num_completed']:.0f}, "
        f"cancelled {reasons or 0}, open {stats['num_open']:.0f} (read ahead by the data loader)"
    )


def compare(steps: int, seed: int, picture: Path | None) -> None:
    """Trains with the curriculum and with uniform draws, and prints both curves."""
    arms: dict[str, CurriculumConfig] = {"uniform": UniformConfig(), "curriculum": NoiseAwareConfig.recommended()}
    curves = {}
    for name, config in arms.items():
        curve, curriculum = train(config, steps, seed)
        curves[name] = curve.points
        print(f"{name}:", end=" ")
        print_account(curriculum)
        tasks = curriculum.tasks()
        for kind in sorted(set(tasks["label"])):
            count = int(tasks["num_completions"][tasks["label"] == kind].sum())
            print(f"  {kind:<10} {count:>6} answers")
    print("\nprobability of the right answer, mean over lengths 1 to", LONGEST)
    print("step", *(f"{name:>12}" for name in arms))
    for points in zip(*(points[1::2] for points in curves.values()), strict=True):
        print(f"{points[0][0]:>4}", *(f"{np.mean(rates):>12.2f}" for _, _, rates in points))
    if picture is not None:
        draw(curves, picture)


def draw(curves: dict[str, list[tuple[int, int, list[float]]]], picture: Path) -> None:
    if find_spec("matplotlib") is None:
        print("no picture: pip install matplotlib")
        return
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(6, 3.5), layout="constrained")
    axes = figure.subplots()
    for (name, points), colour in zip(curves.items(), ("#a39a92", "#2a6f97"), strict=True):
        steps, rates = [step for step, _, _ in points], [float(np.mean(rates)) for _, _, rates in points]
        axes.plot(steps, rates, color=colour, linewidth=2)
        axes.annotate(name, (steps[-1], rates[-1]), xytext=(4, 0), textcoords="offset points", color=colour)
    axes.set(xlabel="steps of GRPO", ylabel="probability of the right answer", ylim=(0, None))
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(x=0.15)
    figure.savefig(picture, dpi=150)
    print("picture:", picture)


def save_steps(steps: int) -> int:
    return max(1, steps // 8)


def crash(steps: int, seed: int) -> None:
    """Kills a run in the middle of a step, resumes it, and shows that no prompt was lost."""
    with tempfile.TemporaryDirectory() as folder:
        out, kill_at = Path(folder), int(np.random.default_rng().integers(steps // 4, steps))
        command = [sys.executable, __file__, "--steps", str(steps), "--seed", str(seed)]
        command += ["--kill-at", str(kill_at), "--out", folder]
        status = subprocess.run(command, check=False).returncode  # noqa: S603  this script
        print(f"step {kill_at}: the process ended with status {status}")

        rows = create_rows()
        curriculum = create_curriculum(rows, NoiseAwareConfig.recommended())
        checkpoint = get_last_checkpoint(folder)
        saved = Curriculum.load(Path(checkpoint, "curriculum.npz"), curriculum.generator)
        print(f"last checkpoint: {Path(checkpoint).name}, with these prompts in flight:")
        print("  " + ", ".join(rows[row]["prompt"] for row in saved.open_handouts().seeds.tolist()))

        first: list[str] = []

        def reward(completions: Any, **columns: Any) -> list[float]:
            first.extend(columns["prompts"][::NUM_COMPLETIONS] if not first else [])
            return is_right(completions, columns["answer"])

        options = {"save_steps": save_steps(steps), "curriculum": curriculum}
        trainer = create_trainer(rows, out, steps, seed, reward, **options)
        trainer.train(resume_from_checkpoint=checkpoint)
        print("the resumed run began with:\n  " + ", ".join(first))
        print_account(curriculum)


def run_until_killed(steps: int, seed: int, kill_at: int, out: Path) -> None:
    def reward(completions: Any, trainer_state: Any, **columns: Any) -> list[float]:
        if trainer_state.global_step == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return is_right(completions, columns["answer"])

    rows = create_rows()
    curriculum = create_curriculum(rows, NoiseAwareConfig.recommended())
    options = {"save_steps": save_steps(steps), "curriculum": curriculum}
    create_trainer(rows, out, steps, seed, reward, **options).train()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, help="number of steps of GRPO (200, or 40 with --crash)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--crash", action="store_true", help="kill a run and resume it")
    parser.add_argument("--picture", type=Path, help="file for a picture of the two curves")
    parser.add_argument("--kill-at", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)  # the model is too small for more
    if arguments.kill_at is not None:
        run_until_killed(arguments.steps, arguments.seed, arguments.kill_at, arguments.out)
    elif arguments.crash:
        crash(arguments.steps or 40, arguments.seed)
    else:
        compare(arguments.steps or 200, arguments.seed, arguments.picture)


if __name__ == "__main__":
    main()
