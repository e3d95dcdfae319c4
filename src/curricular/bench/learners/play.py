"""Letting a curriculum teach a simulated learner, and what is written down about it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from .dynamics import Floats
from .worlds import BATCH_SIZE, World

NUM_POINTS = 301
"""Points of a learning curve, equally spaced over the budget, both ends included."""

NUM_WINDOWS = 60
"""Windows, equal parts of the budget, in which draws are counted by group."""


class Sampler(Protocol):
    """A curriculum as the proving ground sees it."""

    def ask(self, n: int) -> NDArray[np.int64]:
        """Return the ids of `n` tasks to play next, in 0 … num_tasks - 1, repeats allowed, shape (n,)."""
        ...

    def tell(self, task_ids: NDArray[np.int64], scores: Floats) -> None:
        """Take results, scores in [0, 1], perhaps late, perhaps none for some tasks; shapes (k,), 0 < k."""


SamplerFactory = Callable[[World], Sampler]
"""Makes a sampler for one run. An honest one reads `world.pool` and `world.seed` only."""


class Uniform:
    """Draws every task equally often: the baseline."""

    def __init__(self, world: World) -> None:
        self._num_tasks = world.pool.num_tasks
        self._rng = np.random.default_rng(world.seed)

    def ask(self, n: int) -> NDArray[np.int64]:
        """Return `n` ids, each drawn uniformly."""
        return self._rng.integers(self._num_tasks, size=n)

    def tell(self, task_ids: NDArray[np.int64], scores: Floats) -> None:
        """Learn nothing."""


class Oracle:
    """Plays the task of the largest true marginal gain per environment step: the yardstick, which knows the truth."""

    def __init__(self, world: World) -> None:
        self._world = world

    def ask(self, n: int) -> NDArray[np.int64]:
        """Return the best task now, `n` times."""
        return np.full(n, self._world.gains().argmax())

    def tell(self, task_ids: NDArray[np.int64], scores: Floats) -> None:
        """Learn nothing: it knew."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Run:
    """What one curriculum did for one learner. Times are in steps of `BATCH_SIZE` episodes of mean cost.

    Attributes:
        curve: competence (mean success rate over the learnable tasks) at `times`, shape (NUM_POINTS,).
        times: shape (NUM_POINTS,).
        auc: mean competence over the budget.
        final: competence at the end.
        time_to_80: first time of competence >= 0.8; None if that never came.
        wasted_share: share of the episodes that were played in tasks that teach nothing.
        effective_tasks: exp of the entropy of the draws; uniform draws come close to num_tasks.
        draws: episodes by window of time and group of tasks, shape (NUM_WINDOWS, num_groups).
        groups: their names.
    """

    curve: Floats
    times: Floats
    auc: float
    final: float
    time_to_80: float | None
    wasted_share: float
    effective_tasks: float
    draws: NDArray[np.int64]
    groups: tuple[str, ...]


class _Post:
    """Results on their way: drawn when an episode is played, delivered when the delay is over, some never."""

    def __init__(self, world: World) -> None:
        self._feedback = world.feedback
        self._rng = world.rng
        self._due = np.empty(0, np.int64)
        self._ids = np.empty(0, np.int64)
        self._scores = np.empty(0)

    def score(self, rates: Floats) -> Floats:
        """Return one score for each success rate: a success, or a graded score of that mean."""
        concentration = self._feedback.concentration
        if concentration is None:
            return (self._rng.random(rates.size) < rates).astype(np.float64)
        inside = np.clip(rates, 1e-9, 1.0 - 1e-9)
        return self._rng.beta(concentration * inside, concentration * (1.0 - inside))

    def deliver(self, step: int, ids: NDArray[np.int64], scores: Floats) -> tuple[NDArray[np.int64], Floats]:
        """Take a step's results and return those that arrive now, oldest hand-out first."""
        if self._feedback.max_delay == 0 and self._feedback.lost_share == 0.0:
            return ids, scores
        due = step + self._rng.integers(0, self._feedback.max_delay + 1, ids.size)
        comes = self._rng.random(ids.size) >= self._feedback.lost_share
        self._due = np.concatenate([self._due, due[comes]])
        self._ids = np.concatenate([self._ids, ids[comes]])
        self._scores = np.concatenate([self._scores, scores[comes]])
        now = self._due <= step
        ids, scores = self._ids[now], self._scores[now]
        self._due, self._ids, self._scores = self._due[~now], self._ids[~now], self._scores[~now]
        return ids, scores


def play(world: World, sampler: Sampler) -> Run:
    """Return what `sampler` does for the learner of `world` until the budget is spent; uses the world up.

    Raises:
        ValueError: `sampler.ask` gave ids of a wrong type, shape or range.
    """
    pool = world.pool
    post = _Post(world)
    levels, costs, played = [], [], []
    spent, step = 0.0, 0
    while spent < pool.num_steps:
        ids = np.asarray(sampler.ask(BATCH_SIZE))
        _check_ids(ids, pool.num_tasks)
        levels.append(world.competence())
        costs.append(1.0 if pool.costs is None else float(pool.costs[ids].sum()) / BATCH_SIZE)
        played.append(ids.astype(np.int32))
        scores = post.score(world.success_rates(ids))
        world.practise(ids)
        spent += costs[-1]
        ids, scores = post.deliver(step, ids, scores)
        if ids.size:
            sampler.tell(ids, scores)
        step += 1
    return _summarise(world, np.array([*levels, world.competence()]), np.array(costs), np.stack(played))


def _check_ids(ids: NDArray[np.int64], num_tasks: int) -> None:
    is_valid = ids.dtype.kind == "i" and ids.shape == (BATCH_SIZE,)
    if not is_valid or ids.astype(np.uint64).max() >= num_tasks:  # a negative id becomes a huge one
        raise ValueError(
            f"sampler.ask: expected {BATCH_SIZE} integers in 0 … {num_tasks - 1}, got {ids!r};"
            " return task ids, repeats allowed"
        )


def _summarise(world: World, levels: Floats, costs: Floats, played: NDArray[np.int32]) -> Run:
    """Return the figures of a run.

    Args:
        world: where it was.
        levels: competence before every step and at the end, shape (steps + 1,).
        costs: of the steps, in steps of mean cost, shape (steps,).
        played: task ids, shape (steps, BATCH_SIZE).
    """
    num_steps, num_groups = world.pool.num_steps, len(world.groups)
    times = np.concatenate([[0.0], np.cumsum(costs)])
    widths = np.diff(np.minimum(times, num_steps))  # the last step may overrun the budget
    good = np.flatnonzero(levels >= 0.8)
    grid = np.linspace(0.0, num_steps, NUM_POINTS)
    windows = (times[:-1] / num_steps * NUM_WINDOWS).astype(np.int64)
    draws = np.bincount(
        (windows[:, None] * num_groups + world.group_of[played]).ravel(), minlength=NUM_WINDOWS * num_groups
    )
    visits = np.bincount(played.ravel(), minlength=world.pool.num_tasks)
    shares = visits[visits > 0] / visits.sum()
    return Run(
        curve=np.interp(grid, times, levels),
        times=grid,
        auc=float(levels[:-1] @ widths) / num_steps,
        final=float(levels[-1]),
        time_to_80=float(times[good[0]]) if good.size else None,
        wasted_share=float(visits[~world.is_learnable].sum() / visits.sum()),
        effective_tasks=float(np.exp(-(shares * np.log(shares)).sum())),
        draws=draws.reshape(NUM_WINDOWS, num_groups),
        groups=world.groups,
    )
