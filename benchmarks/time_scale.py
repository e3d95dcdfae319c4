"""Compares the adaptive time scale of noise-aware choice with fixed rates, on learners of different speeds.

    make bench-time-scale
    make bench-time-scale ARGS="--seeds 2 --speeds 0.3 1 --scenarios chain"

The learners of every scenario learn and forget at each speed, and run lengths are divided by the speed. The algorithm
`noise-aware@0.05` always compares the averages at the rates 0.05 and 0.0125. The output is Markdown tables of
normalised scores (0 for uniform draws, 1 for the oracle): first the mean over scenarios, then each scenario.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.console import Console

from curricular.bench.figures import ORACLE, UNIFORM, Figures
from curricular.bench.learners import Interval, score_runs
from curricular.bench.plan import create_plan
from curricular.bench.run import measure

ADAPTIVE = "noise-aware"
RATES = (0.4, 0.2, 0.1, 0.05, 0.025, 0.0125, 0.00625, 0.003125)
SPEEDS = (0.1, 0.3, 1.0, 3.0)
SCENARIOS = ("chain", "impossible", "noise", "forgetting")
World = tuple[str, int]


def cell(interval: Interval) -> str:
    estimate, low, high = (float(values) for values in (interval.estimate, interval.low, interval.high))
    return f"{estimate:.2f} ({low:.2f} to {high:.2f})"


def mean_scores(figures: Figures, worlds: Sequence[World], *, baseline: str | None = None) -> Interval:
    """Returns each algorithm's mean normalised score over `worlds`, minus the score of `baseline` if given."""
    runs = np.stack([figures.values("auc", name, worlds) for name in figures.algorithms])
    uniform, oracle = (figures.values("auc", name, worlds) for name in (UNIFORM, ORACLE))
    if baseline is not None:
        runs += uniform - figures.values("auc", baseline, worlds)
    return score_runs(runs, uniform, oracle).mean


def at(interval: Interval, index: int) -> Interval:
    return Interval(estimate=interval.estimate[index], low=interval.low[index], high=interval.high[index])


def table(by_speed: dict[float, Figures], scenarios: Sequence[str]) -> list[list[str]]:
    """Returns the rows: one per algorithm, the best fixed rate at each speed, and the difference from that rate."""
    names = next(iter(by_speed.values())).algorithms[1:]  # without uniform
    scores = {speed: mean_scores(figures, figures.worlds_of(scenarios)) for speed, figures in by_speed.items()}
    estimates = np.array([scores[speed].estimate[1:] for speed in by_speed]).T
    rows = [["", *(f"speed {speed:g}" for speed in by_speed), "mean", "worst"], ["---"] * (len(by_speed) + 3)]
    for index, name in enumerate(names):
        cells = [cell(at(interval, index + 1)) for interval in scores.values()]
        rows.append([name, *cells, f"{estimates[index].mean():.2f}", f"{estimates[index].min():.2f}"])
    fixed = [name for name in names if name != ADAPTIVE]
    best = [fixed[int(index)] for index in estimates[[names.index(name) for name in fixed]].argmax(axis=0)]
    differences = [
        at(mean_scores(figures, figures.worlds_of(scenarios), baseline=name), figures.algorithms.index(ADAPTIVE))
        for figures, name in zip(by_speed.values(), best, strict=True)
    ]
    rows.append(["best fixed rate, in hindsight", *(name.partition("@")[2] for name in best), "", ""])
    rows.append([f"{ADAPTIVE} minus that rate", *(cell(difference) for difference in differences), "", ""])
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--fixed", default=ADAPTIVE, choices=["noise-aware", "learning-progress"], help="algorithm with a fixed rate"
    )
    parser.add_argument("--rates", type=float, nargs="+", default=list(RATES), metavar="RATE", help="fixed rates")
    parser.add_argument(
        "--speeds", type=float, nargs="+", default=list(SPEEDS), metavar="SPEED", help="factors on the learners' speed"
    )
    parser.add_argument("--scenarios", nargs="+", default=list(SCENARIOS), metavar="NAME", help="names of scenarios")
    parser.add_argument(
        "--seeds",
        type=int,
        default=5,
        metavar="N",
        help="number of runs per algorithm and scenario; their seeds are 0, 2, 4, …",
    )
    parser.add_argument("--jobs", type=int, metavar="N", help="number of runs at a time; default: one per processor")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write all figures as JSON")
    options = parser.parse_args()
    names = [ADAPTIVE, *(f"{options.fixed}@{rate:g}" for rate in options.rates)]
    console = Console(stderr=True)
    by_speed = {
        speed: measure(
            create_plan(names, options.scenarios, num_seeds=options.seeds, speed=speed),
            console,
            num_processes=options.jobs,
        )
        for speed in options.speeds
    }
    seconds = sum(figures.wall_seconds for figures in by_speed.values())
    cpu_seconds = sum(sum(figures.cpu_seconds.values()) for figures in by_speed.values())
    print(f"{options.seeds} seeds; brackets hold 95 % intervals; {seconds:.0f} s, {cpu_seconds:.0f} s of CPU time")
    for scenarios in ([*options.scenarios], *([name] for name in options.scenarios)):
        print(f"\n{', '.join(scenarios)}:\n")
        for row in table(by_speed, scenarios):
            print(f"| {' | '.join(row)} |")
    if options.out is not None:
        content = {f"{speed:g}": figures.model_dump(mode="json") for speed, figures in by_speed.items()}
        options.out.write_text(json.dumps(content), encoding="utf-8")


if __name__ == "__main__":
    main()
