"""The scenarios: a chain among distractors, forgetting, huge pools, cases where choice must do no harm, and worse.

A scenario's first variation is its definition. Settings are chosen on `CHOOSE`, the odd variations, and reported on
`REPORT`, the even ones, so that no setting is tuned to what it is judged by.
"""

from collections.abc import Mapping
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from .dynamics import Chain, Floats, Grid, Independent
from .worlds import Blueprint, Feedback, Scenario


def _distractors(
    rng: np.random.Generator, *, impossible: int = 0, noise: int = 0, rare: int = 0, easy: int = 0
) -> dict[str, Floats]:
    """Return the success rates of tasks that teach nothing, by group; empty groups left out."""
    groups = {
        "impossible": np.zeros(impossible),
        "noise": rng.uniform(0.2, 0.8, noise),
        "rare noise": np.full(rare, 0.1),
        "easy": np.full(easy, 0.99),
    }
    return {name: rates for name, rates in groups.items() if rates.size}


def _chain(
    rng: np.random.Generator,
    *,
    speed: float,
    num_steps: int,
    num_skills: int = 20,
    start: float = -1.5,
    rate: float = 0.05,
    is_reset: bool = False,
    feedback: Feedback | None = None,
    **distractors: int,
) -> Blueprint:
    """Return a chain of skills, and tasks that teach nothing; with `is_reset` all skills are lost at half-time."""
    others = _distractors(rng, **distractors)
    steps = round(num_steps / speed)
    bounds = np.linspace(0, num_skills, 5).round().astype(int).tolist()
    quarters = {f"chain {low + 1}-{high}": high - low for low, high in pairwise(bounds)}
    return Blueprint(
        learner=Chain(np.full(num_skills, start), rate * speed, resets=(steps // 2,) if is_reset else ()),
        num_steps=steps,
        constants=np.concatenate([np.empty(0), *others.values()]),
        group_sizes=quarters | {name: rates.size for name, rates in others.items()},
        feedback=feedback or Feedback(),
    )


def _independent(
    rng: np.random.Generator,
    *,
    speed: float,
    num_steps: int,
    num_tasks: int,
    rate: float,
    start: tuple[float, float],
    interference: float = 0.0,
    drop_every: int = 0,
    num_dropped: int = 5,
    drop_to: float = -2.0,
    drift: float = 0.0,
    cost_ratio: float | None = None,
    **distractors: int,
) -> Blueprint:
    """Return tasks learned each for itself, and tasks that teach nothing; costs differ up to `cost_ratio`-fold."""
    others = _distractors(rng, **distractors)
    group_sizes = {"learnable": num_tasks} | {name: rates.size for name, rates in others.items()}
    steps, period = round(num_steps / speed), round(drop_every / speed)
    num_events = steps // period if period else 0
    dropped = [rng.choice(num_tasks, num_dropped, replace=False) for _ in range(num_events)]
    costs = None
    if cost_ratio is not None:
        costs = cost_ratio ** rng.uniform(0.0, 1.0, sum(group_sizes.values()))
        costs /= costs.mean()
    return Blueprint(
        learner=Independent(
            rng.uniform(*start, num_tasks),
            rate * speed,
            interference=interference * speed,
            drop_every=period,
            dropped=np.array(dropped, np.int64).reshape(num_events, num_dropped),
            drop_to=drop_to,
            drift=drift * speed,
        ),
        num_steps=steps,
        constants=np.concatenate([np.empty(0), *others.values()]),
        group_sizes={name: size for name, size in group_sizes.items() if size},
        costs=costs,
    )


def _axes(
    rng: np.random.Generator,
    *,
    speed: float,
    num_steps: int = 3000,
    rate: float = 0.01,
    shape: tuple[int, int, int] = (50, 40, 25),
    num_learnable: int = 10,
    num_lotteries: int = 5,
    hardest: float = 4.0,
    start: float = -1.0,
) -> Blueprint:
    """Return all tasks of (kind, size, theme): some kinds can be learned, sizes get harder, some themes are lotteries.

    A lottery is won half of the time whatever the kind and size; else a kind that cannot be learned is never solved.
    """
    kinds, sizes, themes = (axis.ravel() for axis in np.indices(shape))
    is_lottery = rng.permutation(shape[2])[themes] < num_lotteries
    rank = rng.permutation(shape[0])[kinds]  # kinds of rank below num_learnable can be learned
    num_cells = num_learnable * shape[1]
    cells = np.where(rank < num_learnable, rank * shape[1] + sizes, num_cells)
    cells[is_lottery] = num_cells + 1
    group = np.where(is_lottery, 2, np.where(rank < num_learnable, 0, 1))
    by_group = np.argsort(group, kind="stable")
    return Blueprint(
        learner=Grid(np.full(num_learnable, start), np.linspace(0.0, hardest, shape[1]), rate * speed),
        num_steps=round(num_steps / speed),
        constants=np.array([0.0, 0.5]),
        group_sizes=dict(zip(("learnable", "impossible", "lottery"), np.bincount(group).tolist(), strict=True)),
        cells=cells[by_group],
        params=np.stack([kinds, sizes, themes], axis=1).astype(np.float64)[by_group],
    )


def _scenario(number: str, name: str, summary: str, draw: Any, *variations: Mapping[str, Any]) -> Scenario:
    return Scenario(name=name, number=number, summary=summary, draw=draw, variations=({}, *variations))


_long_chain = partial(_chain, num_steps=3000)
_no_harm = partial(_independent, rate=0.15, start=(-3.0, 1.0))

SCENARIOS: dict[str, Scenario] = {
    scenario.name: scenario
    for scenario in (
        _scenario(
            "1",
            "chain",
            "20 tasks, each needs the skills of all before it",
            partial(_chain, num_steps=1500),
            {"num_skills": 12, "rate": 0.03},
            {"num_skills": 30, "num_steps": 2500},
            {"start": -1.0, "rate": 0.03},
        ),
        _scenario(
            "2",
            "impossible",
            "the chain among 80 tasks that are never solved",
            partial(_long_chain, impossible=80),
            {"impossible": 40, "num_skills": 15, "num_steps": 2000},
            {"impossible": 160},
            {"impossible": 120, "rate": 0.08},
        ),
        _scenario(
            "3",
            "noise",
            "the chain among 80 tasks of constant success rate 0.2-0.8",
            partial(_long_chain, noise=80),
            {"noise": 40, "num_skills": 15, "num_steps": 2000},
            {"noise": 160},
            {"noise": 120, "rate": 0.08},
        ),
        _scenario(
            "4",
            "rare-noise",
            "the chain among 80 tasks of constant success rate 0.1",
            partial(_long_chain, rare=80),
            {"rare": 40, "num_skills": 15, "num_steps": 2000},
            {"rare": 160},
            {"rare": 120, "rate": 0.08},
        ),
        _scenario(
            "5",
            "easy",
            "the chain among 180 tasks of constant success rate 0.99",
            partial(_long_chain, easy=180),
            {"easy": 90, "num_skills": 15, "num_steps": 2000},
            {"easy": 360},
            {"easy": 240, "rate": 0.08},
        ),
        _scenario(
            "6",
            "reset",
            "the chain among 30 impossible tasks; all skills are lost at half-time",
            partial(_long_chain, impossible=30, is_reset=True),
            {"impossible": 15, "num_skills": 15, "num_steps": 2400},
            {"impossible": 60},
            {"impossible": 45, "rate": 0.08},
        ),
        _scenario(
            "7",
            "forgetting",
            "100 mastered tasks, five are forgotten every 150 steps; 100 tasks of noise",
            partial(
                _independent, num_steps=3000, num_tasks=100, noise=100, rate=0.25, start=(4.0, 4.0), drop_every=150
            ),
            {"num_tasks": 60, "noise": 60, "drop_every": 100, "num_dropped": 3},
            {"noise": 200, "num_dropped": 4},
            {"num_dropped": 10, "drop_every": 250},
        ),
        _scenario(
            "8",
            "huge-pool",
            "50 learnable tasks among 2,000",
            partial(_independent, num_steps=1500, num_tasks=50, impossible=1950, rate=0.3, start=(-4.0, -2.0)),
            {"num_tasks": 30, "impossible": 970, "num_steps": 1000},
            {"num_tasks": 100, "impossible": 2900, "num_steps": 2500},
            {"start": (-3.5, -2.5), "impossible": 1450},
        ),
        _scenario(
            "9a",
            "no-harm-50",
            "50 tasks that are all worth learning",
            partial(_no_harm, num_steps=1500, num_tasks=50),
            {"num_tasks": 30, "num_steps": 1000},
            {"num_tasks": 80, "num_steps": 2000},
            {"start": (-2.0, -1.0)},
        ),
        _scenario(
            "9b",
            "no-harm-200",
            "200 tasks that are all worth learning",
            partial(_no_harm, num_steps=3000, num_tasks=200),
            {"num_tasks": 120, "num_steps": 2000},
            {"num_tasks": 300},
            {"start": (-2.0, -1.0)},
        ),
        _scenario(
            "9c",
            "no-harm-interference",
            "50 tasks worth learning, each forgotten a little while others are played",
            partial(_no_harm, num_steps=3000, num_tasks=50, interference=0.02),
            {"num_tasks": 30, "num_steps": 2000},
            {"interference": 0.01, "num_tasks": 80},
            {"interference": 0.03, "rate": 0.2},
        ),
        _scenario(
            "10",
            "axes",
            "50,000 tasks over three axes, fewer than two visits each; what can be learned follows from the axes",
            _axes,
            {"shape": (30, 40, 25), "num_learnable": 8, "num_steps": 1800},
            {"num_learnable": 5, "num_lotteries": 10},
            {"hardest": 3.0, "start": -1.5},
        ),
        _scenario(
            "11",
            "cost",
            "100 learnable and 100 impossible tasks; one episode costs up to 50 times another, the budget is in steps",
            partial(
                _independent,
                num_steps=1000,
                num_tasks=100,
                impossible=100,
                rate=0.15,
                start=(-3.0, -1.0),
                cost_ratio=50.0,
            ),
            {"num_tasks": 60, "impossible": 60},
            {"num_tasks": 150, "impossible": 150, "num_steps": 1500},
            {"cost_ratio": 20.0},
        ),
        _scenario(
            "12",
            "goalposts",
            "50 learnable tasks that get harder for ever once they go well, among 250 impossible ones",
            partial(
                _independent,
                num_steps=2000,
                num_tasks=50,
                impossible=250,
                rate=0.25,
                start=(-2.0, -2.0),
                drift=0.006,
            ),
            {"num_tasks": 30, "impossible": 150},
            {"num_tasks": 80, "impossible": 220},
            {"drift": 0.003, "impossible": 350},
        ),
        _scenario(
            "13",
            "delay",
            "the chain among 80 impossible tasks; results come 0-50 steps late, one in ten never",
            partial(_long_chain, impossible=80, feedback=Feedback(max_delay=50, lost_share=0.1)),
            {"impossible": 40, "num_skills": 15, "num_steps": 2000},
            {"feedback": Feedback(max_delay=100, lost_share=0.3)},
            {"impossible": 120, "rate": 0.08},
        ),
        _scenario(
            "14",
            "graded",
            "the chain among 80 noise tasks; scores are graded, Beta around the success rate",
            partial(_long_chain, noise=80, feedback=Feedback(concentration=4.0)),
            {"noise": 40, "num_skills": 15, "num_steps": 2000},
            {"feedback": Feedback(concentration=1.0)},
            {"noise": 120, "rate": 0.08},
        ),
        _scenario(
            "0",
            "nothing",
            "no task can be learned: 40 impossible, 40 noise, 20 easy; a curriculum should draw as uniform does",
            partial(
                _independent,
                num_steps=1000,
                num_tasks=0,
                rate=0.0,
                start=(0.0, 0.0),
                impossible=40,
                noise=40,
                easy=20,
                num_dropped=0,
            ),
            {"impossible": 80, "noise": 20},
            {"impossible": 20, "noise": 80},
            {"easy": 100},
        ),
    )
}
"""By name, in the order of the documentation's table."""

SCORED = ("chain", "impossible", "noise", "rare-noise", "easy", "reset", "forgetting", "huge-pool")
"""Scenarios 1-8: where choice matters; the mean of their normalised scores is the headline."""

NO_HARM = ("no-harm-50", "no-harm-200", "no-harm-interference")
"""Scenarios 9: where uniform is close to the best; reported as AUC / uniform."""

REPORT = (0, 2)
"""Variations to report on."""

CHOOSE = (1, 3)
"""Variations to choose settings on."""
