"""Blueprints of worlds: a chain of skills, independent tasks or a grid of tasks, with tasks that teach nothing."""

from dataclasses import replace
from itertools import pairwise

import numpy as np

from .dynamics import Chain, Floats, Grid, Independent, Together, Topics, sigmoid
from .worlds import BATCH_SIZE, Blueprint, Feedback


def _distractors(
    rng: np.random.Generator,
    *,
    impossible: int = 0,
    noise: int = 0,
    rare: int = 0,
    flukes: int = 0,
    easy: int = 0,
) -> dict[str, Floats]:
    """Draws the success rates of the tasks that teach nothing, by group; leaves out empty groups."""
    groups = {
        "impossible": np.zeros(impossible),
        "noise": rng.uniform(0.2, 0.8, noise),
        "rare noise": np.full(rare, 0.1),
        "fluke": np.full(flukes, 0.002),
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
    """Returns a chain of skills with tasks that teach nothing.

    Args:
        rng: Source of the success rates of the tasks that teach nothing.
        speed: Factor on `rate`; the run length is divided by it.
        num_steps: Steps of `BATCH_SIZE` episodes at speed 1.
        num_skills: Tasks in the chain.
        start: Logit of every skill at the beginning.
        rate: Learning per successful episode at speed 1.
        is_reset: Whether all skills fall back to `start` at half-time.
        feedback: How results reach the curriculum; None: at once, as successes.
        **distractors: Number of tasks of each kind that teaches nothing, as in `_distractors`.
    """
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
    """Returns independent tasks with tasks that teach nothing.

    Args:
        rng: Source of starts, drops, costs and success rates.
        speed: Factor on all rates of learning and forgetting; run length and `drop_every` are divided by it.
        num_steps: Steps of `BATCH_SIZE` episodes at speed 1.
        num_tasks: Tasks that can be learned.
        rate: Learning per episode at speed 1.
        start: Lowest and highest logit of a task at the beginning.
        interference: As in `Independent`, at speed 1.
        drop_every: Steps between two drops at speed 1; 0: no task drops.
        num_dropped: Tasks that drop at a time.
        drop_to: Logit to which a task drops.
        drift: As in `Independent`, at speed 1.
        cost_ratio: Largest possible ratio of two tasks' costs; None: all costs are equal.
        **distractors: Number of tasks of each kind that teaches nothing, as in `_distractors`.
    """
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


def frontier(
    rng: np.random.Generator,
    *,
    speed: float,
    num_steps: int = 3000,
    num_mastered: int = 3,
    impossible: int = 30,
    flukes: int = 10,
    num_skills: int = 7,
    first: float = 0.005,
    rate: float = 0.05,
) -> Blueprint:
    """Returns a chain whose first task is hardly ever solved at the beginning, beside tasks that are mastered at once.

    Args:
        rng: Source of the success rates of the tasks that teach nothing.
        speed: Factor on all rates of learning; the run length is divided by it.
        num_steps: Steps of `BATCH_SIZE` episodes at speed 1.
        num_mastered: Tasks that are mastered within some dozens of episodes each.
        impossible: Tasks that are never solved.
        flukes: Tasks that succeed once in 500 times.
        num_skills: Tasks in the chain.
        first: Success rate of the first task of the chain at the beginning.
        rate: Learning per successful episode at speed 1.
    """
    world = chain(
        rng, speed=speed, num_steps=num_steps, num_skills=num_skills, rate=rate, impossible=impossible, flukes=flukes
    )
    logits = np.full(num_skills, -1.5)
    logits[0] = np.log(first / (1.0 - first))
    quick = Independent(np.full(num_mastered, -0.5), 10.0 * rate * speed)
    return replace(
        world,
        learner=Together(quick, Chain(logits, rate * speed)),
        group_sizes={"mastered": num_mastered, **world.group_sizes},
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
    """Returns one task for every kind, size and theme.

    A task with a lottery theme succeeds half of the time, whatever its kind and size. With any other theme, some kinds
    can be learned, and their sizes differ in difficulty; the other kinds are never solved.

    Args:
        rng: Source of the choice of learnable kinds and lottery themes.
        speed: Factor on `rate`; the run length is divided by it.
        num_steps: Steps of `BATCH_SIZE` episodes at speed 1.
        rate: Learning per episode at speed 1.
        shape: Number of kinds, sizes and themes.
        num_learnable: Kinds that can be learned.
        num_lotteries: Themes that are lotteries.
        hardest: Difficulty of the last size, as a logit; the first size has 0, the others lie evenly between.
        start: Logit of every kind at the beginning.
    """
    kinds, sizes, themes = (axis.ravel() for axis in np.indices(shape))
    is_lottery = rng.permutation(shape[2])[themes] < num_lotteries
    rank = rng.permutation(shape[0])[kinds]  # a kind can be learned if its rank is below num_learnable
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


def prompts(
    rng: np.random.Generator,
    *,
    speed: float,
    num_prompts: int,
    num_epochs: float,
    num_topics: int = 20,
    impossible_share: float = 0.1,
    learning: float = 90.0,
    group_size: int = 8,
    profile_size: int = 4,
    is_alike: bool = False,
) -> Blueprint:
    """Returns prompts in topics for post-training: results are groups, come up to 4 steps late, and one in ten never.

    The first axis is the topic, the second a profile: the pass rate of a few rollouts before training.

    Args:
        rng: Source of topics, difficulties and profiles.
        speed: Factor on the rate of learning; the run length is divided by it.
        num_prompts: Number of prompts.
        num_epochs: Groups per prompt at speed 1.
        num_topics: Number of topics.
        impossible_share: Share of the prompts that are never solved.
        learning: Sum of the rates over all groups of a run, and over all topics.
        group_size: Rollouts in a group.
        profile_size: Rollouts in a profile.
        is_alike: Whether all groups teach the same.
    """
    num_impossible = round(impossible_share * num_prompts)
    num_learnable, num_groups = num_prompts - num_impossible, num_epochs * num_prompts
    topics = rng.integers(num_topics, size=num_prompts)
    topics[:num_topics] = np.arange(num_topics)
    centres = rng.normal(0.3, 1.5, num_topics)
    difficulties = centres[topics] + rng.normal(0.0, 1.6, num_prompts)
    rates = sigmoid(-1.7 * difficulties)
    rates[num_learnable:] = 0.0
    profile = rng.binomial(profile_size, rates) / profile_size
    learner = Topics(
        topics[:num_learnable],
        difficulties[:num_learnable],
        learning / num_groups * speed,
        transfer=0.1,
        group_size=group_size,
        is_alike=is_alike,
    )
    return Blueprint(
        learner=learner,
        num_steps=round(num_groups / BATCH_SIZE / speed),
        constants=np.zeros(num_impossible),
        group_sizes={"learnable": num_learnable} | ({"impossible": num_impossible} if num_impossible else {}),
        params=np.column_stack([topics.astype(np.float64), profile]),
        feedback=Feedback(max_delay=4, lost_share=0.1, group_size=group_size),
        is_distinct=True,
    )
