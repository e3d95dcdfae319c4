"""Checks a batch of a node before the hub writes it, so that `Fold.take` can take every record of the journal."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..backends.outbox import unpacked
from ..table import (
    BUILT_IN_REASONS,
    CANCELLED,
    EVENT,
    GROUP_EVENT,
    MAX_REASON_BYTES,
    Table,
    TableError,
    check_events,
)
from ..tracker import reason_key
from .messages import ClusterError, Request


def check_batch(request: Request, table: Table) -> None:
    """Checks everything that `Fold.take` relies on.

    Args:
        request: A request with a batch.
        table: The hub's table.

    Raises:
        ClusterError: If a worker cannot have told this.
    """
    try:
        for part in unpacked(_checked_words(request.words)):
            check_events(_checked_part(part, len(request.reasons)), table)
        _check_reasons(request.reasons)
    except (TableError, ValueError) as error:
        raise ClusterError(
            f"batch: expected events of node {request.node!r}, got: {error}; remove the session of the node, which "
            f"another program has changed"
        ) from error


def _checked_words(words: NDArray[np.int64]) -> NDArray[np.int64]:
    found = np.asarray(words)
    if found.dtype != np.int64 or found.ndim != 1:
        raise ValueError(f"words of dtype {found.dtype} and shape {found.shape}")
    return np.ascontiguousarray(found)


def _check_reasons(reasons: Sequence[bytes]) -> None:
    """Checks that `Fold.take` knows each reason, and that each fits its place in the journal."""
    names = [name.decode() for name in reasons]
    num_built_in = min(len(names), len(BUILT_IN_REASONS))
    for name in names[num_built_in:]:
        reason_key(name)
    if tuple(names[:num_built_in]) != BUILT_IN_REASONS[:num_built_in] or max(map(len, reasons), default=0) > (
        MAX_REASON_BYTES
    ):
        raise ValueError(f"reasons {names!r:.200}")


def _checked_part(events: NDArray[np.void], num_reasons: int) -> NDArray[np.void]:
    """Returns `events` as plain ones for `check_events`, with reason 0, after the checks that `check_events` lacks."""
    is_cancelled = events["kind"] == CANCELLED
    if events.dtype == EVENT and not is_cancelled.any():
        return events
    reasons = events["score"][is_cancelled]
    if not ((reasons >= 0) & (reasons < num_reasons) & (reasons % 1 == 0)).all():
        raise ValueError(f"cancellations with other reasons than the {num_reasons} of the batch")
    if events.dtype == GROUP_EVENT:
        numbers = [events[name] for name in ("variance", "low", "high", "success")]
        if (events["size"] < 1).any() or not np.isfinite(np.where(is_cancelled, 0.0, numbers)).all():
            raise ValueError("groups without scores, or with numbers that are not finite")
    plain = np.zeros(len(events), EVENT)
    for name in EVENT.names or ():
        plain[name] = events[name]
    plain["score"][is_cancelled] = 0
    return plain
