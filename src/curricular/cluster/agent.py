"""The agent of a node: sends numbered batches to the hub, and installs its news. Its loop needs only an `exchange`."""

import contextlib
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..backends import session
from ..backends.catalogue import list_sessions
from ..backends.follower import FollowerBackend
from ..backends.layout import SessionError
from ..backends.outbox import Standing
from ..backends.session import has_undelivered, remove_file
from ..flush import flush_log
from .follower import close_node, held, installed, reopen_node
from .messages import ClusterError, Reply, Request

RETRY = 1.0
"""Time between two attempts to reach the hub, in seconds."""

PAUSE = 0.005
"""Time between two looks at whether something is urgent, in seconds."""

_log = logging.getLogger(__name__)


def step(path: Path, exchange: Callable[[Request], Reply]) -> float:
    """Makes one exchange with the hub, and returns the time in seconds after which the next one should come.

    Neither a kill of the process nor a lost reply loses or repeats an event: the batch under way keeps its number until
    it is confirmed.

    Args:
        path: The path that `open_node` has returned in this process.
        exchange: Carries a request to the hub, and returns its reply.

    Raises:
        ClusterError: If the hub refuses the node for good.
        OSError: If the hub cannot be reached, or cannot write its journal.
    """
    backend, estimator = held(path)
    # If the outbox is full, what the workers have logged stays in the logs.
    backend.try_apply(lambda transaction: flush_log(transaction, estimator))
    session.fault("forwarded")
    request, asked = backend.exclusively(lambda transaction: _sealed(transaction, backend))
    session.fault("sealed")
    reply = exchange(request)
    session.fault("answered")
    backend.exclusively(lambda transaction: _learn(transaction, request, reply, asked))
    session.fault("learned")
    return reply.wait


def run_agent(path: Path, exchange: Callable[[Request], Reply], is_stopped: Callable[[], bool]) -> None:
    """Makes exchanges until `is_stopped` returns True, and retries while the hub cannot be reached.

    Args:
        path: The path that `open_node` has returned in this process.
        exchange: Carries a request to the hub, and returns its reply.
        is_stopped: Returns whether to end.

    Raises:
        ClusterError: If the hub refuses the node for good.
    """
    backend, is_silent = held(path).backend, False
    while not is_stopped():
        try:
            wait = step(path, exchange)
            if is_silent:
                backend.note("")
            is_silent = False
        except ClusterError as error:
            backend.note(str(error))
            raise
        except OSError as error:
            wait = RETRY
            backend.note(str(error))
            if not is_silent:
                _log.warning("hub %r: no exchange, trying again: %s", backend.spec.follows, error)
            is_silent = True
        until = time.monotonic() + wait
        while time.monotonic() < until and not is_stopped():
            if not is_silent and _is_urgent(backend):
                break
            time.sleep(PAUSE)


def deliver_left(path: Path, exchange: Callable[[Request], Reply]) -> list[str]:
    """Delivers what earlier nodes on this machine have left in their sessions for the same journal.

    Such a session has outlived the processes of its node, for instance because the whole cluster ended.

    Args:
        path: The path that `open_node` has returned in this process.
        exchange: Carries a request to the hub, and returns its reply.

    Returns:
        The names of the sessions, which are then removed.

    Raises:
        ClusterError: If the hub refuses one of them for good.
        OSError: If the hub cannot be reached, or cannot write its journal.
    """
    backend, delivered = held(path).backend, []
    for info in list_sessions():
        left = path.with_name(info.name)
        if info.hub != backend.spec.follows or info.num_workers:
            continue
        with contextlib.suppress(SessionError, FileNotFoundError):  # another agent was first
            reopen_node(left, held(path).estimator)
            try:
                while held(left).backend.standing.hub == backend.standing.hub and has_undelivered(left):
                    step(left, exchange)
            finally:
                close_node(left)
            if remove_file(left, force=False):
                delivered.append(info.name)
    return delivered


def _sealed(transaction: Any, backend: FollowerBackend) -> tuple[Request, int]:
    """Returns the next request, with the batch under way or a new one of the outbox, and the standing's `asked`."""
    standing: Standing = transaction.standing
    if standing.sealed == standing.tail < standing.head:
        standing = standing._replace(sealed=standing.head)
        transaction.stand(standing)
    has_batch = standing.sealed > standing.tail
    names = transaction.table.reasons["name"].tolist()
    request = Request(
        node=backend.path.name.removeprefix(f"{backend.spec.follows}."),
        number=standing.node,
        hub=standing.hub,
        batch=standing.batch + 1 if has_batch else 0,
        words=transaction.outgoing(standing),
        reasons=tuple(name for name in names if name),
        term=standing.term,
        epoch=standing.epoch,
        wants_all=standing.asked > standing.answered,
        moment=standing.moment,
    )
    return request, standing.asked


def _learn(transaction: Any, request: Request, reply: Reply, asked: int) -> None:
    """Removes the confirmed events from the outbox, and installs the hub's news, in one change."""
    now: Standing = transaction.standing
    if request.batch == now.batch + 1 <= reply.batch:
        now = now._replace(batch=request.batch, tail=now.sealed)
    now = now._replace(contact=time.time_ns())
    if request.wants_all:
        now = now._replace(answered=max(now.answered, asked))
    news = reply.news
    # Another agent may have installed later ones.
    if news is None or (reply.term, news.epoch, news.moment) < (now.term, now.epoch, now.moment):
        transaction.stand(now)
        return
    now = now._replace(term=reply.term, epoch=news.epoch, whole=0)
    if request.wants_all or len(news.slots) == len(transaction.table.rows):
        now = now._replace(whole=now.answered, moment=news.moment)
    transaction.stand(now, installed(transaction, news, transaction.table.counters))


def _is_urgent(backend: FollowerBackend) -> bool:
    """Returns whether a worker waits for the hub, or the outbox is half full."""
    now = backend.standing
    return now.wanted > now.tail or now.asked > now.answered or 2 * (now.head - now.tail) > backend.spec.num_outbox
