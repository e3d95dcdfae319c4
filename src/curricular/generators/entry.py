"""Chooses the tasks that enter a pool next: unused tasks of a finite generator, new tasks of an endless one."""

import contextlib
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..streams import permuted, stream_key
from ..task import Params, num_params
from .buckets import BucketedTaskGenerator
from .merged import TaskGeneratorSet
from .protocol import TaskGenerator


class Entries(NamedTuple):
    """Tasks of one generator."""

    seeds: NDArray[np.int64]
    """Shape (n,)."""
    params: Params
    """Shape (n, num_params)."""


class Turn(NamedTuple):
    """A position in the order in which tasks enter a pool."""

    order: tuple[int, ...]
    """Key of the random permutation of a finite generator's tasks."""
    num_entered: int
    """Number of tasks that have entered so far."""
    rng: np.random.Generator
    """Source of randomness for the choice of members and the tasks of endless generators."""

    def of_member(self, index: int, shares: NDArray[np.float64]) -> "Turn":
        """Returns the position in the order of the member with this index, with its share of `num_entered`."""
        return Turn((*self.order, index), int(self.num_entered * shares[index]), self.rng)


def next_entries(
    generator: TaskGenerator[Any], pool: Entries, is_leaving: NDArray[np.bool_], n: int, turn: Turn
) -> Entries:
    """Returns the next `n` tasks of `generator`; fewer if it is finite and has fewer tasks outside of the pool.

    The tasks of a finite generator come in a fixed random order, which repeats from its beginning. Tasks in the pool
    are skipped. The members of a set take turns by weight, but a member without a task in the pool comes first.

    Args:
        generator: The generator.
        pool: The tasks that are in the pool.
        is_leaving: Whether each task in the pool is about to be replaced, shape (len(pool.seeds),).
        n: Number of tasks.
        turn: The position in the order.
    """
    if generator.num_tasks is not None:
        seeds = _next_seeds(generator, int(generator.num_tasks), pool.seeds, is_leaving, n, turn)
    elif type(generator) is TaskGeneratorSet:  # a subclass may sample in another way
        return _next_of_members(generator, pool, is_leaving, n, turn)
    else:
        seeds = turn.rng.integers(2**63 - 1, size=n)
        if type(generator) is BucketedTaskGenerator and _is_mixed(generator.child):
            num_tasks = int(generator.child.num_tasks)
            seeds = seeds // (2 * num_tasks) * num_tasks + _drawn_seeds(generator.child, n, turn.rng)
    return Entries(seeds, sampled(generator, seeds, turn.rng))


def sampled(generator: TaskGenerator[Any], seeds: NDArray[np.int64], rng: np.random.Generator) -> Params:
    """Returns what ``generator.sample`` returns for `seeds`, as floats.

    Raises:
        ValueError: If that is no array of real numbers.
    """
    params = generator.sample(seeds, rng)
    numbers = None
    with contextlib.suppress(ValueError):  # of rows of different lengths
        numbers = np.asarray(params)
    if numbers is None or numbers.dtype.kind not in "biuf":
        raise ValueError(
            f"generator.sample: expected params that are real numbers, got {params!r:.100}; return one row of floats "
            f"per seed"
        )
    return numbers.astype(np.float64, copy=False)


def _next_of_members(
    generator: TaskGeneratorSet, pool: Entries, is_leaving: NDArray[np.bool_], n: int, turn: Turn
) -> Entries:
    """Returns the next tasks of an endless set."""
    width, indices = num_params(generator.axes), np.empty(0, np.int64)
    parts = [(indices, Entries(indices, np.empty((0, width)))) for _ in generator.children]
    for index, chosen, seeds, params in generator.members(pool.seeds, pool.params):
        parts[index] = chosen, Entries(seeds, params)
    numbers = [None if child.num_tasks is None else int(child.num_tasks) for child in generator.children]
    num_free = [
        n if number is None else max(0, number - len(part.seeds))
        for number, (_, part) in zip(numbers, parts, strict=True)
    ]
    is_missing = np.array([is_leaving[chosen].all() for chosen, _ in parts])
    counts = member_counts(n, generator.shares, np.array(num_free), is_missing, turn.rng)
    found, params = np.empty(n, np.int64), np.zeros((n, width))
    end = 0
    for index in np.flatnonzero(counts).tolist():
        chosen, part = parts[index]
        own = turn.of_member(index, generator.shares)
        entries = next_entries(generator.children[index], part, is_leaving[chosen], int(counts[index]), own)
        start, end = end, end + len(entries.seeds)
        found[start:end], params[start:end, 0] = entries.seeds, index
        params[start:end, 1 : 1 + entries.params.shape[1]] = entries.params
    order = turn.rng.permutation(end)
    return Entries(found[order], params[order])


def _next_seeds(
    generator: TaskGenerator[Any],
    num_seeds: int,
    used: NDArray[np.int64],
    is_leaving: NDArray[np.bool_],
    n: int,
    turn: Turn,
) -> NDArray[np.int64]:
    """Returns the next `n` unused seeds below `num_seeds`; fewer if there are fewer.

    A seed modulo the number of tasks of the finite `generator` is a seed of `generator`. `num_seeds` is a multiple of
    this number if the generator is the child of buckets.
    """
    if type(generator) is BucketedTaskGenerator:
        return _next_seeds(generator.child, num_seeds, used, is_leaving, n, turn)
    if type(generator) is not TaskGeneratorSet:
        return _unused(used, num_seeds, n, turn)
    num_tasks = int(generator.num_tasks or 0)
    sizes = np.array([child.num_tasks for child in generator.children])
    first = sizes.cumsum() - sizes
    member = first.searchsorted(used % num_tasks, side="right") - 1
    staying = np.bincount(member[~is_leaving], minlength=len(sizes))
    num_free = sizes * (num_seeds // num_tasks) - np.bincount(member, minlength=len(sizes))
    counts = member_counts(n, generator.shares, num_free.clip(0), staying == 0, turn.rng)
    found = [np.empty(0, np.int64)]
    for index in np.flatnonzero(counts).tolist():
        size, (chosen,) = int(sizes[index]), np.nonzero(member == index)
        local = used[chosen] % num_tasks - first[index] + used[chosen] // num_tasks * size
        own = turn.of_member(index, generator.shares)
        seeds = _next_seeds(
            generator.children[index],
            size * (num_seeds // num_tasks),
            local,
            is_leaving[chosen],
            int(counts[index]),
            own,
        )
        found.append(seeds % size + first[index] + seeds // size * num_tasks)
    return turn.rng.permutation(np.concatenate(found))


def _unused(used: NDArray[np.int64], num_tasks: int, n: int, turn: Turn) -> NDArray[np.int64]:
    """Returns the next `n` seeds below `num_tasks` that are not in `used`, in the random order of `turn`."""
    key = stream_key(*turn.order)
    first, found = turn.num_entered, np.empty(0, np.int64)
    for start in range(first, first + num_tasks, 2 * n) if n else ():
        turns = np.arange(start, min(start + 2 * n, first + num_tasks)) % num_tasks
        seeds = permuted(key, turns, num_tasks)
        found = np.concatenate([found, seeds[~np.isin(seeds, used)]])
        if len(found) >= n:
            break
    return found[:n]


def _is_mixed(generator: TaskGenerator[Any]) -> bool:
    """Returns whether the tasks of a finite `generator` come from members of a set, which have weights."""
    if generator.num_tasks is None or type(generator) not in {TaskGeneratorSet, BucketedTaskGenerator}:
        return False
    return isinstance(generator, TaskGeneratorSet) or _is_mixed(generator.child)  # type: ignore[attr-defined]


def _drawn_seeds(generator: TaskGenerator[Any], n: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Draws `n` seeds of a finite generator with replacement, and its members by weight, shape (n,)."""
    num_tasks = int(generator.num_tasks or 0)
    if type(generator) is BucketedTaskGenerator:
        num_inner = int(generator.child.num_tasks)
        combinations = rng.integers(num_tasks // num_inner, size=n)
        return _drawn_seeds(generator.child, n, rng) + num_inner * combinations
    if type(generator) is not TaskGeneratorSet:
        return rng.integers(num_tasks, size=n)
    counts = _systematic(n, generator.shares, rng)
    parts = [
        generator.set_seeds(_drawn_seeds(child, int(count), rng), index)
        for index, (child, count) in enumerate(zip(generator.children, counts, strict=True))
    ]
    return rng.permutation(np.concatenate(parts))


def member_counts(
    n: int,
    shares: NDArray[np.float64],
    num_free: NDArray[np.int64],
    is_missing: NDArray[np.bool_],
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    """Returns the number of new tasks from each member, shape (m,), with sum `n`, or less if fewer tasks are free.

    Each member without a task in the pool gets one task first, as long as `n` allows. Apart from these tasks and from
    the limits of `num_free`, the number of each member differs from n · share by less than 1.

    Args:
        n: Number of new tasks.
        shares: Share of each member > 0, sum 1, shape (m,).
        num_free: Number of new tasks that each member has, shape (m,).
        is_missing: Whether the pool has no task of the member, shape (m,).
        rng: Source of randomness.
    """
    counts = np.zeros(len(shares), np.int64)
    (missing,) = np.nonzero(is_missing & (num_free > 0))
    if len(missing) > n:
        missing = rng.choice(missing, n, replace=False, p=shares[missing] / shares[missing].sum())
    counts[missing] = 1
    quotas = np.maximum(n * shares - counts, 0.0)
    while (left := min(n, int(num_free.sum())) - int(counts.sum())) > 0:
        quotas = np.where(num_free > counts, quotas, 0.0)
        if not quotas.any():
            quotas = np.where(num_free > counts, shares, 0.0)
        counts += np.minimum(_systematic(left, quotas, rng), num_free - counts)
        quotas = np.where(num_free > counts, shares, 0.0)
    return counts


def _systematic(n: int, quotas: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Draws counts with sum `n` in proportion to `quotas`, each within 1 of its expectation, shape (m,)."""
    ends = np.floor(quotas.cumsum() * (n / quotas.sum()) + rng.random())
    ends[np.flatnonzero(quotas)[-1] :] = n
    counts: NDArray[np.int64] = np.diff(ends, prepend=0.0).astype(np.int64)
    return counts
