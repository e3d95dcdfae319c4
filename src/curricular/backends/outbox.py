"""The outbox of a follower: a ring of words with events on their way to the hub, and where the node stands with it.

A *part* is an array of events. In the ring, a part is one word with its length and its dtype, and then its events. What
the words before `Standing.tail` held is in the hub's journal.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..table import EVENT, GROUP_EVENT
from .layout import SessionError

OUTBOX_WORDS = 2**22
"""Size of an outbox in words of 8 bytes: a million events, which are 50 seconds of 10,000 results a second."""


class OutboxFullError(SessionError):
    """The outbox has no space for more events until the hub confirms those that it holds."""


class Standing(NamedTuple):
    """Where a node stands with its hub, as words of its session file."""

    head: int = 0
    """Number of words ever put into the outbox."""
    tail: int = 0
    """Number of these words that the hub has confirmed."""
    sealed: int = 0
    """End of the batch under way, as a number of words; equal to `tail` if no batch is."""
    batch: int = 0
    """Number of batches that the hub has confirmed."""
    node: int = 0
    """Number of the node, from 1, given by the hub; 0 until the session has its tasks."""
    hub: int = 0
    """Random number of the hub's journal."""
    term: int = 0
    """Term of the hub that sent the last news."""
    epoch: int = 0
    """Epoch of the hub's distribution in the last news."""
    contact: int = 0
    """Time of the last reply of the hub, in nanoseconds since 1970."""
    asked: int = 0
    """Number of times that a worker asked for the hub's whole table."""
    answered: int = 0
    """Value of `asked` in the last request that the hub answered."""
    whole: int = 0
    """Value of `answered` if the rows are all those of the last news; 0 if some are older."""
    moment: int = 0
    """`News.moment` of the last news that held every row, in `term`: the hub sends only rows that changed since."""
    wanted: int = 0
    """Number of words that a worker waits for the hub to confirm."""

    @property
    def is_sane(self) -> bool:
        """Whether the words can be what curricular wrote."""
        return min(self) >= 0 and self.tail <= self.sealed <= self.head and self.answered <= self.asked


def packed(parts: Iterable[NDArray[np.void]]) -> NDArray[np.int64]:
    """Returns parts, dtype `EVENT` or `GROUP_EVENT`, as words; empty parts are left out."""
    words = [np.empty(0, np.int64)]
    for part in parts:
        if len(part):
            words.append(np.array([2 * len(part) + (part.dtype == GROUP_EVENT)], np.int64))
            words.append(np.ascontiguousarray(part).view(np.int64).ravel())
    return np.concatenate(words)


def unpacked(words: NDArray[np.int64]) -> list[NDArray[np.void]]:
    """Returns the parts in `words`. Neighbours of one dtype become one part.

    Raises:
        ValueError: If the words are not parts.
    """
    runs: list[list[NDArray[np.void]]] = []
    at = 0
    while at < len(words):
        length, is_group = divmod(int(words[at]), 2)
        dtype = GROUP_EVENT if is_group else EVENT
        end = at + 1 + length * (dtype.itemsize // 8)
        if length < 1 or end > len(words):
            raise ValueError(f"batch: expected parts of events, got {length} events in {len(words) - at - 1} words")
        part = words[at + 1 : end].view(dtype)
        if runs and runs[-1][0].dtype == dtype:
            runs[-1].append(part)
        else:
            runs.append([part])
        at = end
    return [np.concatenate(run) if len(run) > 1 else run[0] for run in runs]


def put_in_ring(ring: NDArray[np.int64], standing: Standing, words: NDArray[np.int64]) -> Standing:
    """Writes `words` behind the head of the outbox, out of sight, and returns the standing that shows them.

    Raises:
        OutboxFullError: If there is no space. Nothing is then written.
        SessionError: If there never will be.
    """
    if len(words) > len(ring):
        raise SessionError(
            f"outbox: expected at most {len(ring)} words in one call, got {len(words)}; report fewer results at a time"
        )
    num_free = len(ring) - (standing.head - standing.tail)
    if len(words) > num_free:
        raise OutboxFullError(
            f"outbox: expected space for {len(words)} words, got {num_free} of {len(ring)}; wait for the hub"
        )
    first = standing.head % len(ring)
    num_before_end = min(len(words), len(ring) - first)
    ring[first : first + num_before_end] = words[:num_before_end]
    ring[: len(words) - num_before_end] = words[num_before_end:]
    return standing._replace(head=standing.head + len(words))


def take_from_ring(ring: NDArray[np.int64], start: int, end: int) -> NDArray[np.int64]:
    """Returns a copy of the words from number `start` to number `end` of the outbox."""
    return ring.take(np.arange(start, end) % len(ring))
