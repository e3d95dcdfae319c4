"""Drawing a world: a chain of skills, tasks learned each for itself, a grid of tasks; and tasks that teach nothing."""

from itertools import pairwise

import numpy as np

from .dynamics import Chain, Floats, Grid, Independent
from .worlds import Blueprint, Feedback


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


def chain(
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


def independent(
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


def axes(
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
