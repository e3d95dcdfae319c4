"""Runs of events of the same slot, once the events are ordered by slot."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Runs(NamedTuple):
    """Runs of equal keys among n ordered keys."""

    keys: NDArray[np.int64]
    """Key of each run, ascending, shape (runs,)."""
    starts: NDArray[np.int64]
    """Index of the first entry of each run, shape (runs,)."""
    sizes: NDArray[np.int64]
    """Number of entries of each run, shape (runs,)."""

    @classmethod
    def of(cls, keys: NDArray[np.int64]) -> "Runs":
        """Returns the runs of ascending `keys`, shape (n,), not empty."""
        is_first = np.empty(len(keys), np.bool_)
        is_first[0] = True
        np.not_equal(keys[1:], keys[:-1], out=is_first[1:])
        starts = is_first.nonzero()[0]
        sizes = np.empty_like(starts)
        np.subtract(starts[1:], starts[:-1], out=sizes[:-1])
        sizes[-1] = len(keys) - starts[-1]
        return cls(keys.take(starts), starts, sizes)

    @property
    def ends(self) -> NDArray[np.int64]:
        """Index of the last entry of each run, shape (runs,)."""
        return self.starts + self.sizes - 1


def order_of_slots(slots: NDArray[np.int64], capacity: int) -> NDArray[np.int64]:
    """Returns the indices that sort `slots` of a pool of `capacity` tasks, equal slots by index, shape (n,)."""
    # NumPy sorts integers of up to 16 bits by radix, several times faster.
    return slots.astype(np.uint16 if capacity <= 2**16 else np.int64).argsort(kind="stable")
