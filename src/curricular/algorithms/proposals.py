"""The interface of a proposer of new tasks, and the simplest proposer."""

from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ..arrays import Columns
from ..task import Params


class NewTasks(NamedTuple):
    """m tasks that are not in the pool yet."""

    seeds: NDArray[np.int64]
    """Seed of each task, shape (m,)."""
    params: Params
    """Params of each task, shape (m, num_axes)."""

    def take(self, indices: NDArray[np.int64]) -> "NewTasks":
        """Returns a copy of the tasks at `indices`, shape (k,)."""
        return NewTasks(self.seeds[indices], self.params[indices])


@runtime_checkable
class Proposer(Protocol):
    """Chooses the new tasks that enter the pool, as a pure function of its arguments, which it never writes into.

    A proposer keeps no state between calls. So the new tasks are a function of the seed and the table, in whichever
    process of a session, and also after a crash or a load.
    """

    @property
    def num_candidates(self) -> int:
        """Number of candidates per proposed task, at least 1."""
        ...

    def propose(self, columns: Columns, candidates: NewTasks, n: int, rng: np.random.Generator) -> NewTasks:
        """Returns the `n` tasks to admit: candidates or, with an endless generator, also variants of other tasks.

        Args:
            columns: Columns of the pool before the eviction; perhaps no task is active yet.
            candidates: `num_candidates` times `n` fresh tasks of the generator. A finite generator may have fewer tasks
                outside the pool, but at least `n`; then only candidates may be proposed, each at most once.
            n: Number of tasks to propose, at least 1.
            rng: The only source of randomness.
        """
        ...


class FreshProposer:
    """Proposes the candidates as the generator samples them: the default, and the template for a custom proposer."""

    num_candidates = 1
    """Number of candidates per proposed task."""

    def propose(self, columns: Columns, candidates: NewTasks, n: int, rng: np.random.Generator) -> NewTasks:
        return candidates


def part_fresh(
    candidates: NewTasks, n: int, share: float, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Splits the candidates at random into fresh tasks to admit as they are, and the rest to choose from.

    The number of fresh tasks is drawn, so that the share also holds where each call proposes one task.

    Args:
        candidates: At least `n` tasks.
        n: Number of tasks to propose.
        share: Expected share of the fresh tasks among the `n`, in [0, 1].
        rng: Source of randomness.

    Returns:
        Indices of the fresh tasks, shape (k,), k ≤ n, and of the rest.
    """
    order = rng.permutation(len(candidates.seeds))
    num_fresh = int(rng.binomial(n, share))
    return order[:num_fresh], order[num_fresh:]
