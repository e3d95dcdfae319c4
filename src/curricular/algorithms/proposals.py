"""What a way of choosing new tasks has to be able to do, and the simplest one."""

from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from ..arrays import Columns
from ..task import Params


class NewTasks(NamedTuple):
    """Tasks that are not in the pool yet: a seed and a row of params each."""

    seeds: NDArray[np.int64]
    """Shape (m,)."""
    params: Params
    """Shape (m, num_axes)."""

    def take(self, indices: NDArray[np.int64]) -> "NewTasks":
        """A copy of those at `indices`, shape (k,)."""
        return NewTasks(self.seeds[indices], self.params[indices])


class Proposer(Protocol):
    """A way of choosing which new tasks enter the pool: a pure function of its arguments, which it never writes into.

    It keeps no memory of earlier calls. So what enters is a function of the seed and the table, whichever process of a
    session is at it, and also after a crash or a load.
    """

    @property
    def num_candidates(self) -> int:
        """How many fresh tasks it wants to choose from for each one that it proposes, at least 1."""
        ...

    def propose(self, columns: Columns, candidates: NewTasks, n: int, rng: np.random.Generator) -> NewTasks:
        """The `n` tasks to admit: some of the candidates, or, from an endless generator, others made of them.

        Args:
            columns: of the pool as it is, before anything is replaced; perhaps nothing is active yet.
            candidates: `num_candidates` times `n` tasks fresh from the generator. A finite generator may have fewer
                left that are not in the pool, but at least `n`; of it, only candidates may be proposed, each once.
            n: 1 or more.
            rng: the only source of chance.
        """
        ...


class FreshProposer:
    """Takes what the generator gives. What a curriculum does without a proposer; the template for one's own."""

    num_candidates = 1

    def propose(self, columns: Columns, candidates: NewTasks, n: int, rng: np.random.Generator) -> NewTasks:
        return candidates


def part_fresh(
    candidates: NewTasks, n: int, share: float, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The indices of the candidates to take as they are, about `share` of `n`, and of the others, to choose from.

    How many is drawn, so that the share also holds where one task is proposed at a time.
    """
    order = rng.permutation(len(candidates.seeds))
    num_fresh = int(rng.binomial(n, share))
    return order[:num_fresh], order[num_fresh:]
