"""Reads a journal: what it belongs to, its newest checkpoint, and the records after that. Writes nothing."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..checkpoint import read_checkpoint, unpack_table
from ..table import Table
from .fold import Node, Out, OutState
from .messages import ClusterError, Record
from .records import HEADER_BYTES, check_header, check_stamp, decoded

KIND = "curricular journal"
"""What the identity of a journal calls it."""

IDENTITY = "journal.json"
"""Name of the file that says what a journal belongs to."""

NUM_TRIES = 100
"""Number of attempts to read a checkpoint that a hub may be replacing."""


class Saved(NamedTuple):
    """The newest content of a journal."""

    stem: str
    """Name that its checkpoint and its segment share."""
    table: Table
    nodes: list[Node]
    records: list[Record]
    """The records after the checkpoint."""
    library: str
    """Version of the library that wrote the records."""


def read_saved(directory: Path, check: Callable[[], None] = lambda: None) -> Saved | None:
    """Returns the newest checkpoint in a journal's directory, and the records after it; None if there is none yet.

    Args:
        directory: Where the journal is. A hub may write to it meanwhile.
        check: Called before another attempt. It may raise.

    Raises:
        ClusterError: If a checkpoint lacks a part.
        ValueError: If the content is damaged, or of another format.
        OSError: If the files cannot be read.
    """
    for _ in range(NUM_TRIES):
        try:
            return _newest(directory)
        except FileNotFoundError:
            check()  # a hub has replaced its checkpoint meanwhile: read again
    raise ClusterError(
        f"directory: expected a table and a segment for each checkpoint in {str(directory)!r}, got a checkpoint "
        f"without; another program removed files: start a new cluster from a checkpoint of yours"
    )


def _newest(directory: Path) -> Saved | None:
    stems = sorted(path.name.removeprefix("nodes-") for path in directory.glob("nodes-*"))
    if not stems:
        return None
    stem = stems[-1]
    table = unpack_table(read_checkpoint(directory / f"table-{stem}"))
    nodes = _unpacked_nodes(json.loads((directory / f"nodes-{stem}").read_bytes()))
    data = (directory / f"segment-{stem}").read_bytes()
    head = check_header(data[:HEADER_BYTES])
    return Saved(stem, table, nodes, list(decoded(data[HEADER_BYTES:])), str(head.get("library")))


def read_identity(directory: Path) -> dict[str, Any]:
    """Returns the content of the file that says what a journal belongs to.

    Raises:
        FileNotFoundError: If the directory has none.
        ClusterError: If it is not that of a journal of this format.
    """
    try:
        found = json.loads((directory / IDENTITY).read_text(encoding="utf-8"))
    except ValueError:
        found = None
    try:
        return check_stamp(found, KIND, f"directory: expected a journal in {str(directory)!r}")
    except ValueError as error:
        raise ClusterError(str(error)) from None


def packed_nodes(nodes: Sequence[Node]) -> list[Any]:
    """Returns the states of nodes as JSON values, as a checkpoint holds them."""
    states = [(node, node.out.state()) for node in nodes]
    return [
        [node.name, node.batch, node.is_buried, out.ids.tolist(), out.counts.tolist(), out.num_noted, out.limit]
        for node, out in states
    ]


def _unpacked_nodes(content: list[Any]) -> list[Node]:
    return [
        Node(
            name,
            batch,
            is_buried=is_buried,
            out=Out(OutState(np.array(ids, np.int64), np.array(counts, np.int64), num_noted, limit)),
        )
        for name, batch, is_buried, ids, counts, num_noted, limit in content
    ]
