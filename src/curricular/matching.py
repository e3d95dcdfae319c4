"""Finds the tasks of a saved pool in a generator that has changed since, for example in a longer list.

A task is recognised by what it is: the key of its row, the values of its buckets, or the content of its configuration.
The members of a merged set are recognised by their content, then by their positions.
"""

from collections.abc import Callable
from dataclasses import replace
from itertools import accumulate, pairwise
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from .generators import BucketedTaskGenerator, SequenceTaskGenerator, TaskGenerator, TaskGeneratorSet, task_labels
from .generators.source import Content, Source, described, source_of
from .rows import NUM_WORDS, Rows
from .table import HANDOUT, Table, handout_dtype, label_indices
from .task import Params, Span, num_params


class SavedPool(NamedTuple):
    """Tasks of a pool, n of them."""

    seeds: NDArray[np.int64]
    """Shape (n,)."""
    params: Params
    """Shape (n, num_params)."""
    keys: NDArray[np.int64]
    """Hash of the key of the row that a task is made of, shape (n,); 0 for tasks that are not rows."""

    def take(self, chosen: NDArray[np.int64], columns: slice) -> "SavedPool":
        """Returns the `chosen` tasks with some `columns` of their params."""
        return SavedPool(self.seeds[chosen], self.params[chosen, columns], self.keys[chosen])


class Matches(NamedTuple):
    """The tasks of a pool as tasks of another generator."""

    seeds: NDArray[np.int64]
    """Shape (n,)."""
    params: Params
    """Shape (n, num_params of the generator)."""
    is_found: NDArray[np.bool_]
    """Whether the generator has the task, shape (n,)."""


def find(source: Source, generator: TaskGenerator[Any], pool: SavedPool) -> Matches:
    """Finds the tasks of `pool`, which came from `source`, in `generator`.

    If two tasks match the same task of a finite generator, only the first one is found.
    """
    found = _find(source, generator, pool)
    if generator.num_tasks is not None:
        (where,) = np.nonzero(found.is_found)
        _, first = np.unique(found.seeds[where], return_index=True)
        found.is_found[:] = False
        found.is_found[where[first]] = True
    return found


def _find(source: Source, generator: TaskGenerator[Any], pool: SavedPool) -> Matches:
    n, width = len(pool.seeds), num_params(generator.axes)
    nowhere = Matches(np.zeros(n, np.int64), np.zeros((n, width)), np.zeros(n, np.bool_))
    if isinstance(generator, SequenceTaskGenerator) and source.kind == "sequence":
        seeds, is_found = generator.find(pool.keys.view(np.uint64))
        return Matches(seeds, generator.sample(seeds, np.random.default_rng(0)), is_found)
    if isinstance(generator, BucketedTaskGenerator) and source.kind == "bucketed" and len(source.children) == 1:
        return (
            _find_combinations(source, generator, pool)
            if source.buckets.keys() == generator.buckets.keys()
            else nowhere
        )
    if isinstance(generator, TaskGeneratorSet) and source.kind == "set":
        return _find_members(source, generator, pool, nowhere)
    if source == source_of(generator):
        return Matches(pool.seeds, pool.params, np.ones(n, np.bool_))
    return nowhere


def _find_combinations(source: Source, generator: BucketedTaskGenerator, pool: SavedPool) -> Matches:
    child, columns = source.children[0], source.own_columns
    local = SavedPool(_local(pool.seeds, child), pool.params[:, columns[-1] :], pool.keys)
    inner = _find(child, generator.child, local)
    is_found, own = inner.is_found.copy(), []
    parts = {path: slice(*ends) for path, ends in zip(source.buckets, pairwise(columns), strict=True)}
    for path, bucket in generator.buckets.items():
        params, is_here = _moved(source.buckets[path], described(bucket), pool.params[:, parts[path]])
        own.append(params)
        is_found &= is_here
    seeds, num_inner = inner.seeds, generator.child.num_tasks
    if generator.num_tasks is None and num_inner is not None:
        blocks = pool.seeds // num_inner
        seeds = np.minimum(blocks, np.iinfo(np.int64).max // num_inner - 1) * num_inner + inner.seeds
    elif num_inner is not None:
        step = num_inner
        for params, bucket in zip(own, generator.buckets.values(), strict=True):
            seeds = seeds + step * params[:, 0].astype(np.int64)
            step *= len(cast(tuple[Any, ...], bucket))  # without a span, since the generator is finite
    return Matches(seeds, np.column_stack([*own, inner.params]), is_found)


def _moved(there: Content, here: Content, params: Params) -> tuple[Params, NDArray[np.bool_]]:
    """Returns params of the bucket `there` as params of the bucket `here`, and whether `here` has the values.

    Args:
        there: The content of the saved bucket.
        here: The content of the present bucket.
        params: Shape (n, number of columns of `there`).

    Returns:
        Params of shape (n, number of columns of `here`), and a mask of shape (n,).
    """
    old, new = ((bucket,) if isinstance(bucket, Span) else bucket for bucket in (there, here))
    is_choice = not isinstance(there, Span)
    choices = params[:, 0].clip(0, len(old) - 1).astype(np.int64) if is_choice else np.zeros(len(params), np.int64)
    number_of = {value: number for number, value in enumerate(new)}
    numbers = np.array([number_of.get(value, -1) for value in old]).take(choices)
    within = np.zeros(len(params))
    for choice, span in enumerate(old):
        if isinstance(span, Span):
            (chosen,) = np.nonzero(choices == choice)
            numbers[chosen], within[chosen] = _spans_with(span, params[chosen, -1], new)
    columns = [] if isinstance(here, Span) else [numbers.clip(0).astype(np.float64)]
    columns += [within] if any(isinstance(value, Span) for value in new) else []
    return np.column_stack(columns), numbers >= 0


def _spans_with(
    span: Span, params: NDArray[np.float64], values: tuple[Span | str, ...]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Returns which of the spans among `values` has each value of `span`, −1 for none, and the params on that span.

    An equal span comes first, then those of the same kind of numbers, in their order. All arrays have shape (n,).
    """
    numbers, moved, plain = np.full(len(params), -1), np.zeros(len(params)), span.decode_all(params)
    others = [(number, other) for number, other in enumerate(values) if isinstance(other, Span)]
    for number, other in sorted(others, key=lambda pair: pair[1] != span):
        if other.is_integer == span.is_integer:
            is_here = (numbers < 0) & (other.low <= plain) & (plain <= other.high)
            own = params if other.log == span.log else np.log(plain.clip(other.low)) if other.log else plain
            low, high, _ = other.bounds
            numbers[is_here], moved[is_here] = number, own[is_here].clip(low, high)
    return numbers, moved


def _find_members(source: Source, generator: TaskGeneratorSet, pool: SavedPool, nowhere: Matches) -> Matches:
    seeds, params, is_found = nowhere
    successors = _successors(source.children, [source_of(child) for child in generator.children])
    for index, chosen, members in _members(source, pool):
        successor = successors[index]
        if successor is not None:
            found = _find(source.children[index], generator.children[successor], members)
            seeds[chosen] = generator.set_seeds(found.seeds, successor)
            params[chosen, 0] = successor
            params[chosen, 1 : 1 + found.params.shape[1]] = found.params
            is_found[chosen] = found.is_found
    return Matches(seeds, params, is_found)


def _successors(there: tuple[Source, ...], here: list[Source]) -> list[int | None]:
    """Returns, for each saved member, the index of the present member that it matches; None if there is none.

    An equal member matches first, then a member of the same shape at the same position, then any of the same shape.
    """
    result: list[int | None] = [None] * len(there)
    free = dict.fromkeys(range(len(here)))
    shapes = [child.shape for child in here]
    pairs: list[Callable[[int, int], bool]] = [
        lambda index, other: there[index] == here[other],
        lambda index, other: index == other and there[index].shape == shapes[other],
        lambda index, other: there[index].shape == shapes[other],
    ]
    for is_pair in pairs:
        for index in range(len(there)):
            if result[index] is None:
                other = next((other for other in free if is_pair(index, other)), None)
                if other is not None:
                    result[index] = other
                    del free[other]
    return result


def _members(source: Source, pool: SavedPool) -> list[tuple[int, NDArray[np.int64], SavedPool]]:
    """Returns, for each member of a set with tasks: its index, the indices of its tasks, and its tasks."""
    starts = (
        [0] if source.num_tasks is None else list(accumulate((c.num_tasks or 0 for c in source.children), initial=0))
    )
    parts = []
    for index, child in enumerate(source.children):
        (chosen,) = np.nonzero(pool.params[:, 0] == index)
        if len(chosen):
            part = pool.take(chosen, slice(1, 1 + child.num_params))
            start = 0 if source.num_tasks is None else starts[index]
            parts.append((index, chosen, part._replace(seeds=_local(part.seeds - start, child))))
    return parts


def _local(seeds: NDArray[np.int64], child: Source) -> NDArray[np.int64]:
    return seeds if child.num_tasks is None else seeds % child.num_tasks


def matched(saved: Table, source: Source, keys: NDArray[np.int64], generator: TaskGenerator[Any]) -> Table | None:
    """Returns `saved` as a pool of tasks of a changed `generator`; the rows of missing tasks are inactive.

    Args:
        saved: A checked table without open hand-outs of evicted tasks.
        source: The description of the generator of its tasks.
        keys: Hashes of the keys of the tasks, as from `keys_of`, shape (capacity,).
        generator: The changed generator.

    Returns:
        The table; None if no task is found.
    """
    if source.kind == "custom" or source.num_params != saved.rows.num_axes:
        return None
    found = find(source, generator, SavedPool(saved.rows["seed"], saved.rows["params"], keys))
    was_active = saved.rows["is_active"]
    is_active, is_missing = was_active & found.is_found, was_active & ~found.is_found
    if not is_active.any():
        return None
    words = saved.rows.words
    rows = Rows(np.concatenate([words[:NUM_WORDS], np.zeros((found.params.shape[1], len(keys)), np.int64)]))
    rows["is_active"], rows["seed"], rows["params"] = is_active, found.seeds, found.params
    labels, num_labels = saved.labels.copy(), saved.counters.num_labels
    np.add.at(labels["num_evicted"], rows["label_index"][is_missing], 1)
    (slots,) = np.nonzero(is_active)
    names = task_labels(generator, found.seeds[slots], found.params[slots])
    indices, new_names = label_indices(labels, num_labels, names)
    labels["name"][num_labels : num_labels + len(new_names)] = new_names
    label_index = rows["label_index"].copy()
    label_index[slots] = indices
    rows["label_index"] = label_index
    counters = saved.counters._replace(
        num_evicted=saved.counters.num_evicted + int(is_missing.sum()), num_labels=num_labels + len(new_names)
    )
    return replace(saved, rows=rows, labels=labels, counters=counters, ledger=_moved_ledger(saved, found))


def _moved_ledger(saved: Table, found: Matches) -> NDArray[np.void]:
    """Returns the ledger of `saved`, whose hand-outs are of tasks in the pool, with their new seeds and params."""
    ledger = np.zeros(len(saved.ledger), handout_dtype(found.params.shape[1]))
    for name in HANDOUT.names or ():
        ledger[name] = saved.ledger[name]
    slots = ledger["task_id"] % len(saved.rows)
    ledger["seed"], ledger["params"] = found.seeds[slots], found.params[slots]
    return ledger
