"""Messages between nodes and the hub: tuples of numbers, bytes and arrays, which any transport can pickle."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .. import __version__
from ..table import Counters

STREAMS_PER_NODE = 2**20
"""Node k issues the streams of random numbers from k · 2²⁰, so that no two nodes draw from the same one."""


class ClusterError(RuntimeError):
    """The hub refuses a node for good: it has another curriculum, another version, or another history."""


class JournalError(OSError):
    """The journal cannot be written. The hub confirms nothing until it can."""


class DeposedError(ConnectionError):
    """Another hub has taken over the journal. This one confirms nothing any more."""


class Request(NamedTuple):
    """A request of a node to the hub. The first request of a node is a *join*: its `number` is 0."""

    node: str
    """Name of the node."""
    number: int = 0
    """Number that the hub gave the node; 0: the node asks for one."""
    hub: int = 0
    """Random number of the journal that the node belongs to."""
    settings: str = ""
    """Of a join: settings of the curriculum, as JSON."""
    batch: int = 0
    """Number of the batch of events in `words`; 0: there is none."""
    words: NDArray[np.int64] = np.empty(0, np.int64)
    """The batch, as `curricular.backends.outbox.packed` makes it."""
    reasons: tuple[bytes, ...] = ()
    """Reasons for cancellations, in the order by which the events of the batch know them."""
    term: int = 0
    """Term of the last news that the node has; 0: it has none."""
    epoch: int = 0
    """Epoch of the last news that the node has."""
    wants_all: bool = False
    """Whether the news are to hold every row that has changed since `moment`."""
    moment: int = 0
    """`News.moment` of the last news that held every row, in this term; 0: the node has none."""
    version: str = __version__
    """Version of the node's library."""


class News(NamedTuple):
    """Parts of the hub's table that a node does not know yet."""

    epoch: int
    """Epoch of the hub's distribution."""
    moment: int
    """Number of records that the hub has taken in its term."""
    slots: NDArray[np.int64]
    """Slots of the rows that follow, shape (k,)."""
    words: NDArray[np.int64]
    """These rows, shape (words of a row, k)."""
    labels: NDArray[np.void]
    counters: Counters
    cumulated: NDArray[np.float64]
    score_range: NDArray[np.float64]
    reasons: NDArray[np.void]


class Reply(NamedTuple):
    """The answer of the hub to a request."""

    number: int
    """Number of the node."""
    hub: int
    """Random number of the journal."""
    term: int
    """Term of the hub."""
    batch: int
    """Number of the last batch of the node that is confirmed."""
    wait: float
    """Time in seconds after which the node should come again, if nothing is urgent."""
    news: News | None
    """Changes of the table that the node does not have; None: there are none."""
    directory: str = ""
    """Directory of the journal; empty if there is none."""


class Record(NamedTuple):
    """An entry of the journal."""

    kind: int
    """`JOINED`, `BATCH` or `BURIED`."""
    node: int
    """Number of the node."""
    time: int
    """Time of the entry, in nanoseconds since 1970."""
    batch: int = 0
    """Number of the batch."""
    refreshes: bool = False
    """Whether the batch may be followed by a refresh of the distribution."""
    reasons: tuple[bytes, ...] = ()
    """As in the request."""
    payload: bytes = b""
    """Words of the batch, or the name of the node that joined, in UTF-8."""


JOINED, BATCH, BURIED = 1, 2, 3
"""Kinds of records."""
