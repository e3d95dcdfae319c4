"""Plays a teacher with a simulated learner and measures the result."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from .dynamics import Floats
from .worlds import BATCH_SIZE, World

NUM_POINTS = 301
"""Number of points of a learning curve, equally spaced over the budget, both ends included."""

NUM_WINDOWS = 60
"""Number of time windows, equal parts of the budget, in which draws are counted by group."""


NUM_EARLY = NUM_WINDOWS // 10
"""Number of windows, the first tenth of the budget, that `Run.late_shares` and `Run.top_shares` leave out."""


class Teacher(Protocol):
    """A curriculum for a simulated learner, which knows tasks by number."""

    def ask(self, n: int) -> NDArray[np.int64]:
        """Returns the numbers of the next `n` tasks, in 0 … num_tasks - 1, repeats allowed, shape (n,)."""
        ...

    def tell(self, numbers: NDArray[np.int64], scores: Floats) -> None:
        """Receives results, which may arrive late or never.

        Args:
            numbers: The tasks' numbers, shape (k,), k > 0.
            scores: In [0, 1], shape (k,), or (k, G) where results are groups.
        """


TeacherFactory = Callable[[World], Teacher]
"""Function that makes a teacher for one run. A fair teacher reads only `world.pool` and `world.seed`."""


class Uniform:
    """Draws all tasks with equal probability: the baseline with score 0."""

    def __init__(self, world: World) -> None:
        self._num_tasks = world.pool.num_tasks
        self._rng = np.random.default_rng(world.seed)

    def ask(self, n: int) -> NDArray[np.int64]:
        """Returns `n` numbers, each drawn uniformly."""
        return self._rng.integers(self._num_tasks, size=n)

    def tell(self, numbers: NDArray[np.int64], scores: Floats) -> None:
        """Ignores the results."""


class Oracle:
    """Plays the task with the largest true marginal gain per environment step: the baseline with score 1.

    Where a step has no task twice, it plays the tasks with the largest gains.
    """

    def __init__(self, world: World) -> None:
        self._world = world

    def ask(self, n: int) -> NDArray[np.int64]:
        """Returns the number of the currently best task, `n` times, or of the `n` best ones."""
        gains = self._world.gains()
        if self._world.pool.is_distinct:
            return np.argpartition(-gains, n)[:n]
        return np.full(n, gains.argmax())

    def tell(self, numbers: NDArray[np.int64], scores: Floats) -> None:
        """Ignores the results."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Run:
    """The result of one run of a teacher with a learner. Times are in steps of `BATCH_SIZE` episodes of mean cost.

    Attributes:
        curve: Competence (mean success rate over the learnable tasks) at `times`, shape (NUM_POINTS,).
        times: Times of the points of the curve, shape (NUM_POINTS,).
        auc: Mean competence over the budget.
        final: Competence at the end.
        time_to_80: First time at which competence is >= 0.8; None: never.
        wasted_share: Share of the episodes played in tasks that teach nothing.
        effective_tasks: Exponential of the entropy of the draws; close to num_tasks for uniform draws.
        draws: Number of episodes by time window and group of tasks, shape (NUM_WINDOWS, num_groups).
        groups: Names of the groups of tasks.
        late_shares: Group of tasks -> its share of the draws after the first tenth of the budget.
        top_shares: Group of tasks -> the share of its most drawn task in the same draws.
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
    late_shares: Mapping[str, float]
    top_shares: Mapping[str, float]


class _Post:
    """Results in transit: drawn when an episode is played, delivered after a delay; some are lost."""

    def __init__(self, world: World) -> None:
        self._feedback = world.feedback
        self._rng = world.rng
        self._due = np.empty(0, np.int64)
        self._numbers = np.empty(0, np.int64)
        self._scores = np.empty((0, world.feedback.group_size) if world.feedback.group_size > 1 else 0)

    def score(self, rates: Floats) -> Floats:
        """Draws one score per success rate, a success or a graded score with that mean, or one group of successes."""
        concentration, group_size = self._feedback.concentration, self._feedback.group_size
        if group_size > 1:
            return (self._rng.random((rates.size, group_size)) < rates[:, None]).astype(np.float64)
        if concentration is None:
            return (self._rng.random(rates.size) < rates).astype(np.float64)
        inside = np.clip(rates, 1e-9, 1.0 - 1e-9)
        return self._rng.beta(concentration * inside, concentration * (1.0 - inside))

    def deliver(self, step: int, numbers: NDArray[np.int64], scores: Floats) -> tuple[NDArray[np.int64], Floats]:
        """Accepts the results of one step and returns the results that arrive now, oldest hand-out first."""
        if self._feedback.max_delay == 0 and self._feedback.lost_share == 0.0:
            return numbers, scores
        due = step + self._rng.integers(0, self._feedback.max_delay + 1, numbers.size)
        is_kept = self._rng.random(numbers.size) >= self._feedback.lost_share
        self._due = np.concatenate([self._due, due[is_kept]])
        self._numbers = np.concatenate([self._numbers, numbers[is_kept]])
        self._scores = np.concatenate([self._scores, scores[is_kept]])
        now = self._due <= step
        numbers, scores = self._numbers[now], self._scores[now]
        self._due, self._numbers, self._scores = self._due[~now], self._numbers[~now], self._scores[~now]
        return numbers, scores


def play(world: World, teacher: Teacher) -> Run:
    """Lets `teacher` teach the learner of `world` until the budget is spent, and returns the result.

    Args:
        world: The world, which can be played only once.
        teacher: Chooses the tasks and receives the results.

    Raises:
        ValueError: If `teacher.ask` returns numbers of a wrong type, shape or range.
    """
    pool = world.pool
    post = _Post(world)
    levels, costs, played = [], [], []
    spent, step = 0.0, 0
    while spent < pool.num_steps:
        numbers = np.asarray(teacher.ask(BATCH_SIZE))
        _check_numbers(numbers, pool.num_tasks)
        levels.append(world.competence())
        costs.append(1.0 if pool.costs is None else float(pool.costs[numbers].sum()) / BATCH_SIZE)
        played.append(numbers.astype(np.int32))
        scores = post.score(world.success_rates(numbers))
        world.practise(numbers)
        spent += costs[-1]
        numbers, scores = post.deliver(step, numbers, scores)
        if numbers.size:
            teacher.tell(numbers, scores)
        step += 1
    return _summarise(world, np.array([*levels, world.competence()]), np.array(costs), np.stack(played))


def _check_numbers(numbers: NDArray[np.int64], num_tasks: int) -> None:
    is_valid = numbers.dtype.kind == "i" and numbers.shape == (BATCH_SIZE,)
    if not is_valid or numbers.astype(np.uint64).max() >= num_tasks:  # a negative number becomes a huge one
        raise ValueError(
            f"teacher.ask: expected {BATCH_SIZE} integers in 0 … {num_tasks - 1}, got {numbers!r};"
            " return task numbers, repeats allowed"
        )


def _summarise(world: World, levels: Floats, costs: Floats, played: NDArray[np.int32]) -> Run:
    """Returns the result of a run.

    Args:
        world: The world that was played.
        levels: Competence before every step and at the end, shape (steps + 1,).
        costs: Cost of every step, in steps of mean cost, shape (steps,).
        played: Numbers of the played tasks, shape (steps, BATCH_SIZE).
    """
    num_steps, num_groups = world.pool.num_steps, len(world.groups)
    times = np.concatenate([[0.0], np.cumsum(costs)])
    widths = np.diff(np.minimum(times, num_steps))  # the last step may overrun the budget
    reached = np.flatnonzero(levels >= 0.8)
    grid = np.linspace(0.0, num_steps, NUM_POINTS)
    windows = (times[:-1] / num_steps * NUM_WINDOWS).astype(np.int64)
    draws = np.bincount(
        (windows[:, None] * num_groups + world.group_of[played]).ravel(), minlength=NUM_WINDOWS * num_groups
    )
    visits = np.bincount(played.ravel(), minlength=world.pool.num_tasks)
    shares = visits[visits > 0] / visits.sum()
    late = np.bincount(played[windows >= NUM_EARLY].ravel(), minlength=world.pool.num_tasks)
    late_shares = late / max(late.sum(), 1)
    by_group = {name: late_shares[world.group_of == group] for group, name in enumerate(world.groups)}
    return Run(
        curve=np.interp(grid, times, levels),
        times=grid,
        auc=float(levels[:-1] @ widths) / num_steps,
        final=float(levels[-1]),
        time_to_80=float(times[reached[0]]) if reached.size else None,
        wasted_share=float(visits[~world.is_learnable].sum() / visits.sum()),
        effective_tasks=float(np.exp(-(shares * np.log(shares)).sum())),
        draws=draws.reshape(NUM_WINDOWS, num_groups),
        groups=world.groups,
        late_shares={name: float(of_tasks.sum()) for name, of_tasks in by_group.items()},
        top_shares={name: float(of_tasks.max()) for name, of_tasks in by_group.items()},
    )
