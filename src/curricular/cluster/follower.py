"""The node's side: makes the session of a node, and a worker's curriculum in it."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..backends.follower import FollowerBackend, open_follower, rejoin_follower
from ..backends.layout import SessionError, Spec
from ..backends.outbox import OUTBOX_WORDS, Standing
from ..config import CurriculumConfig
from ..curriculum import Curriculum
from ..generators import TaskGenerator, Tasks, identity
from ..outline import outline
from ..results import estimator
from ..rows import Rows
from ..storage import shared_settings
from ..table import Counters, Estimator, Patch, ledger_size, merge_reasons
from ..task import ConfigT, num_params
from .messages import STREAMS_PER_NODE, ClusterError, News, Reply, Request
from .saved import read_identity
from .settings import check_name, checked, cluster_settings

_OWN = (
    "num_streams",
    "num_restores",
    "life",
    "num_tickets",
    "num_open",
    "num_repeated",
    "num_unknown",
)
"""Counters that are a node's own; the others are the hub's."""


class Held(NamedTuple):
    """The session of a node, as its agent holds it."""

    backend: FollowerBackend
    estimator: Estimator


_held: dict[Path, Held] = {}
"""The sessions that this process holds as the agent of their nodes."""


def open_node(
    name: str, node: str, exchange: Callable[[Request], Reply], config: CurriculumConfig, generator: Tasks[Any]
) -> Path:
    """Makes the session of a node, or opens it, and returns its path. This process holds it until `close_node`.

    Args:
        name: Name of the cluster.
        node: Name of the node.
        exchange: Carries a request to the hub, and returns its reply.
        config: Settings of the curriculum.
        generator: Tasks of the curriculum.

    Raises:
        ValueError: If a name or the config is not fit for a cluster.
        ClusterError: If the hub has another curriculum, or its journal is on a disk that this node cannot see.
        SessionError: If the session cannot be created.
    """
    config, tasks = checked(name, config, generator)
    session_name = f"{name}.{node}"
    check_name("node", session_name)
    backend = open_follower(session_name, _spec(name, config, tasks))
    try:
        if not backend.standing.node:
            settings = json.dumps(cluster_settings(config, tasks))
            reply = exchange(Request(node, settings=settings))
            check_directory(reply)
            backend.exclusively(lambda transaction: _fill(transaction, reply))
    except BaseException:
        backend.close()
        raise
    other = _held.pop(backend.path, None)
    if other is not None:
        other.backend.close()
    _held[backend.path] = Held(backend, estimator(config))
    return backend.path


def reopen_node(path: Path, settings: Estimator) -> None:
    """Opens a session that an earlier process has opened with `open_node`, to deliver what is in it.

    Args:
        path: The session.
        settings: Settings of the averages.

    Raises:
        SessionError: If the session has ended, or is no follower.
    """
    _held[path] = Held(rejoin_follower(path), settings)


def close_node(path: Path) -> None:
    """Releases a session that `open_node` or `reopen_node` has opened."""
    _held.pop(path).backend.close()


def held(path: Path) -> Held:
    """Returns the session at `path` that `open_node` has opened in this process.

    Raises:
        SessionError: If this process has not opened it.
    """
    if path not in _held:
        raise SessionError(f"path: expected a session that open_node has opened in this process, got {str(path)!r}")
    return _held[path]


def _spec(name: str, config: CurriculumConfig, generator: TaskGenerator[Any]) -> Spec:
    return Spec(
        config.pool_size,
        num_params(generator.axes),
        ledger_size(config.max_open_handouts),
        shared_settings(config, identity(generator)),
        list(outline(generator.axes)),
        name,
        OUTBOX_WORDS,
    )


def check_directory(reply: Reply) -> None:
    """Checks that this node sees the journal of the hub: the next hub may run here.

    Raises:
        ClusterError: If this node does not see the journal.
    """
    if not reply.directory:
        return
    try:
        found = read_identity(Path(reply.directory))["journal"]
    except OSError:
        found = None
    if found != reply.hub:
        raise ClusterError(
            f"directory: expected one that every node can reach, got {reply.directory!r}, in which this node finds "
            f"{'no journal' if found is None else f'journal {found}'} instead of {reply.hub}; use a shared file system"
        )


def _fill(transaction: Any, reply: Reply) -> None:
    """Puts the hub's table into a new session."""
    if transaction.standing.node or reply.news is None:
        return  # another process was first
    own = transaction.table.counters
    counters = own._replace(num_streams=reply.number * STREAMS_PER_NODE + own.num_streams)
    standing = Standing(node=reply.number, hub=reply.hub, contact=time.time_ns(), term=reply.term)
    standing = standing._replace(epoch=reply.news.epoch, moment=reply.news.moment)
    transaction.stand(standing, installed(transaction, reply.news, counters))


def installed(transaction: Any, news: News, own: Counters) -> Patch:
    """Returns the patch that puts `news` into the table of a node, with the node's `own` counters and epoch."""
    table = transaction.table
    counters = news.counters._replace(epoch=own.epoch + 1, **{name: getattr(own, name) for name in _OWN})
    return Patch(
        news.slots,
        Rows(np.ascontiguousarray(news.words)),
        news.labels,
        counters,
        news.cumulated,
        news.score_range,
        merge_reasons(news.reasons, table.reasons),
    )


def follow(
    path: Path | str,
    config: CurriculumConfig,
    generator: Tasks[ConfigT],
    kind: type[Curriculum[ConfigT]] = Curriculum,
) -> Curriculum[ConfigT]:
    """Returns a worker's curriculum in the session of its node. Copies by fork or pickle are workers of that session.

    Args:
        path: The path that `open_node` has returned on this node.
        config: Settings of the curriculum.
        generator: Tasks of the curriculum.
        kind: The class of the curriculum.

    Raises:
        SessionError: If the session has ended, or was created with another config or generator.
    """
    backend = rejoin_follower(Path(path))
    try:
        name = backend.spec.follows
        config, tasks = checked(name, config, generator)
        backend.spec.check(_spec(name, config, tasks), backend.path.name)
        _check_joined(backend)
        return kind(tasks, config, backend=backend)
    except BaseException:
        backend.close()
        raise


def _check_joined(backend: FollowerBackend) -> None:
    if not backend.standing.node:
        raise SessionError(
            f"session {backend.path.name!r}: expected the tasks of hub {backend.spec.follows!r}, but the agent has not "
            f"joined the hub; start the agent of the node again"
        )
