"""Compares algorithms in real runs of GRPO: TRL, and the tiny model and the times tables of examples/grpo_trl.py.

    make bench-grpo                               # 6 algorithms, 5 seeds; about 7 minutes of CPU time
    make bench-grpo ARGS="--seeds 10 --steps 200"
    make bench-grpo ARGS='--algorithms "Thompson, for prompts"'

The output is a Markdown table after each seed but the first; the last one has all seeds. It has the probability of the
right answer at equal steps, at equal generated tokens, and as a mean over the run, each with a 95 % interval over the
seeds. "TRL's epochs" is TRL's own order, without a curriculum.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))

from grpo_trl import NUM_COMPLETIONS, NUM_PROMPTS, train

from curricular import LearnabilityConfig, NoiseAwareConfig, ThompsonConfig, UniformConfig

ALGORITHMS = {
    "TRL's epochs": None,
    "uniform": UniformConfig(),
    "noise-aware (recommended)": NoiseAwareConfig.recommended(),
    "Thompson": ThompsonConfig(),
    "Thompson, for prompts": ThompsonConfig.prompts(),
    "learnability": LearnabilityConfig(),
}
PROMPT_TOKENS = 3 * NUM_PROMPTS * NUM_COMPLETIONS
"""Tokens of the prompts in one step, which are not generated."""
T_95 = {2: 12.71, 3: 4.30, 4: 3.18, 5: 2.78, 6: 2.57, 7: 2.45, 8: 2.36, 9: 2.31, 10: 2.26}
"""Quantiles of Student's distribution, by number of seeds."""


def cell(values: Sequence[float]) -> str:
    half = T_95[len(values)] * np.std(values, ddof=1) / np.sqrt(len(values))
    return f"{np.mean(values):.3f} ± {half:.3f}"


def print_table(runs: dict[str, list[tuple[np.ndarray, np.ndarray]]], steps: int) -> None:
    num_seeds = len(next(iter(runs.values())))
    budget = min(tokens[-1] for finished in runs.values() for tokens, _ in finished)
    print(f"\n{num_seeds} seeds\n")
    print(f"| algorithm | after {steps} steps | after {budget:,} generated tokens | mean over the run |")
    print("| --- | --- | --- | --- |")
    for name, finished in runs.items():
        at_end = [rates[-1] for _, rates in finished]
        at_budget = [float(np.interp(budget, tokens, rates)) for tokens, rates in finished]
        means = [float(rates.mean()) for _, rates in finished]
        print(f"| {name} | {cell(at_end)} | {cell(at_budget)} | {cell(means)} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5, choices=T_95)
    parser.add_argument("--steps", type=int, default=120)
    parser.add_argument("--algorithms", nargs="+", default=list(ALGORITHMS), choices=ALGORITHMS, metavar="NAME")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    runs: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {name: [] for name in arguments.algorithms}
    for seed in range(arguments.seeds):
        for name in arguments.algorithms:
            curve, _ = train(ALGORITHMS[name], arguments.steps, seed)
            tokens = np.array([tokens - PROMPT_TOKENS * step for step, tokens, _ in curve.points])
            rates = np.array([np.mean(rates) for _, _, rates in curve.points])
            runs[name].append((tokens, rates))
            print(f"seed {seed}, {name}: {rates[-1]:.3f} after {tokens[-1]} tokens", file=sys.stderr, flush=True)
        if seed > 0:
            print_table(runs, arguments.steps)


if __name__ == "__main__":
    main()
