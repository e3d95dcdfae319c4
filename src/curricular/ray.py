"""`join`: one curriculum for all processes of a Ray cluster. The only module that imports Ray."""

import asyncio
import contextlib
import logging
import os
import pickle
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, NamedTuple, cast

try:
    import ray  # pyright: ignore[reportMissingImports]
    from ray import cloudpickle  # pyright: ignore[reportMissingImports]
    from ray.exceptions import (  # pyright: ignore[reportMissingImports]
        GetTimeoutError,
        RayActorError,
        RayTaskError,
    )
    from ray.util.scheduling_strategies import (  # pyright: ignore[reportMissingImports]
        NodeAffinitySchedulingStrategy,
    )
except ModuleNotFoundError as _error:
    raise ImportError("curricular.ray needs Ray: pip install 'curricular[ray]'") from _error

from . import __version__
from .cluster.agent import deliver_left, run_agent
from .cluster.follower import follow, open_node
from .cluster.hub import Hub
from .cluster.messages import ClusterError, DeposedError, Reply, Request
from .cluster.settings import check_name, check_settings
from .config import CurriculumConfig
from .curriculum import Curriculum
from .defaults import arranged
from .generators import Tasks
from .task import ConfigT

__all__ = ["join", "remove"]

_NAMESPACE = "curricular"
"""Ray's namespace of the actors, so that jobs with namespaces of their own share a pool."""

_MAX_NAME = 40
"""Maximum length of a name, which is part of the names of actors and of the sessions of nodes."""

_PIECE = 65_536
"""Bytes per argument of the hub. Ray keeps a larger argument in the memory of the process that made the hub, and cannot
restart the hub when that process has ended."""

_PATIENCE = 300.0
"""Seconds that a join waits for the hub and for the node's agent, which may be restarting."""

_ANSWER = 30.0
"""Seconds that an agent waits for the answer of the hub before it asks again."""

_GATHER = 0.002
"""Seconds for which the first of several requests waits, so that they share a sync of the journal."""

_BURY_EVERY = 1.0
"""Seconds between two looks for nodes that Ray calls dead."""

_log = logging.getLogger(__name__)


class _Terms(NamedTuple):
    """What all processes have in common. A hub that Ray starts again has the same."""

    version: str
    directory: str | None
    life: str
    """A random string, so that no session of a curriculum that was removed is taken for one of the next."""


class _HubActor:
    """Holds the hub. Opens it at the first call that needs it, so that the caller gets the error as it is."""

    def __init__(self, name: str, terms: _Terms, *pieces: bytes) -> None:
        self._name = name
        self._terms = terms._replace(version=__version__)
        self._packed = b"".join(pieces)
        self._hub: Hub[Any] | None = None
        self._waiting: list[tuple[Request, asyncio.Future[Reply]]] = []
        self._looked_at = 0.0

    def terms(self) -> dict[str, Any]:
        """Returns what all processes have in common, as plain values: another version may not know the class."""
        return self._terms._asdict()

    def tasks(self) -> bytes:
        """Returns config and generator, pickled."""
        return self._packed

    def open(self) -> None:
        self._open()

    async def exchange(self, request: Request) -> Reply:
        reply: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._waiting.append((request, reply))
        if len(self._waiting) == 1:
            await asyncio.sleep(_GATHER)
            self._answer()
        return await reply

    def _answer(self) -> None:
        waiting, self._waiting = self._waiting, []
        try:
            hub = self._open()
            self._bury(hub)
            answers: Sequence[Reply | Exception] = hub.exchange_all([request for request, _ in waiting])
        except DeposedError:
            os._exit(1)  # Ray has started another hub: this one must not answer any more
        except Exception as error:  # noqa: BLE001  each waiting request has to get it
            answers = [error] * len(waiting)
        for (_, reply), answer in zip(waiting, answers, strict=True):
            if isinstance(answer, Exception):
                reply.set_exception(answer)
            else:
                reply.set_result(answer)

    def _bury(self, hub: Hub[Any]) -> None:
        if time.monotonic() - self._looked_at > _BURY_EVERY:
            self._looked_at = time.monotonic()
            hub.bury_all_but({_node_name(node["NodeID"], self._terms) for node in ray.nodes() if node["Alive"]})

    def _open(self) -> Hub[Any]:
        if self._hub is None:
            config, generator = pickle.loads(self._packed)  # noqa: S301  from a process of the same cluster
            self._hub = Hub(self._name, config, generator, directory=self._terms.directory)
        return self._hub


class _AgentActor:
    """Runs the agent of one node in a thread, beside the one that answers processes that join."""

    def __init__(self, name: str, terms: _Terms) -> None:
        self._name = name
        self._terms = terms
        self._path: Future[str] = Future()
        threading.Thread(target=self._run, daemon=True).start()

    def path(self) -> str:
        """Returns the path of the node's session, once it is there."""
        return self._path.result()

    def _run(self) -> None:
        try:
            packed = _ask(lambda: ray.get_actor(self._name, _NAMESPACE), "tasks")
            config, generator = pickle.loads(packed)  # noqa: S301  from a process of the same cluster
            path = open_node(self._name, _node_name(_this_node(), self._terms), self._exchange, config, generator)
            self._path.set_result(str(path))
            self._deliver_left(path)
            run_agent(path, self._exchange, lambda: False)
        except Exception as error:  # noqa: BLE001  it ends the agent, or reaches those who join
            if not self._path.done() and not isinstance(error, ConnectionError | TimeoutError):
                self._path.set_exception(error)  # for those who join
                return
            _log.exception("agent of %r: it ends", self._name)
            if isinstance(error, ClusterError):
                ray.kill(ray.get_runtime_context().current_actor)  # for good: the hub would refuse the next one, too
            os._exit(1)  # Ray starts it again

    def _deliver_left(self, path: Path) -> None:
        try:
            for session in deliver_left(path, self._exchange):
                _log.info("agent of %r: delivered what session %r had left", self._name, session)
        except (ClusterError, OSError) as error:
            _log.warning("agent of %r: what earlier nodes left here stays in their sessions: %s", self._name, error)

    def _exchange(self, request: Request) -> Reply:
        """Sends a request to the hub, wherever Ray has started it."""
        try:
            hub = ray.get_actor(self._name, _NAMESPACE)
            reply: Reply = ray.get(hub.exchange.remote(request), timeout=_ANSWER)
        except RayTaskError as error:
            raise error.cause from None
        except (RayActorError, GetTimeoutError, ValueError) as error:  # ValueError: there is no such actor
            raise ConnectionError(f"hub {self._name!r}: expected an answer, got {type(error).__name__}") from error
        return reply


class _JoinedCurriculum(Curriculum[ConfigT]):
    """A worker of its node's session. A copy that is unpickled on another node is a worker of that node's session."""

    origin: tuple[str, tuple[Any, ...]]
    """Path of the node's session, and the arguments of `join`."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _rejoin, self.origin


def join(
    name: str,
    config: CurriculumConfig,
    generator: Tasks[ConfigT] | None = None,
    *,
    directory: str | os.PathLike[str] | None = None,
) -> Curriculum[ConfigT]:
    """Returns the cluster's curriculum `name`; the first process that joins makes it.

    The result works as any other curriculum. A pickled copy joins on the node where it is unpickled, so functions sent
    to other nodes may refer to the curriculum.

    Args:
        name: Name of the curriculum in the cluster: at most 40 letters, digits, dots, dashes and underscores.
        config: Settings of the pool and of the algorithm.
        generator: The tasks, as for `Curriculum`.
        directory: Directory of the hub's journal, on a file system that all nodes share. If it contains a journal,
            the curriculum resumes from there. Without a directory, the curriculum ends with the process of its hub.

    Raises:
        TypeError: If an argument has a wrong type.
        ValueError: If `name` has other characters, or `config` is not fit for a cluster.
        RuntimeError: If Ray is not initialised.
        ClusterError: If the directory is that of another curriculum, or not shared; or if the curriculum exists with
            another directory or another version of the library.
        SessionMismatchError: If the curriculum exists with another config or generator.
        OSError: If the directory cannot be used, or if the hub does not answer.
    """
    check_name("name", name, _MAX_NAME)
    config, tasks = arranged(config, generator)
    if not ray.is_initialized():
        raise RuntimeError("ray: expected an initialised Ray, got none; call ray.init() before join()")
    directory = None if directory is None else str(Path(directory).absolute())

    def hub() -> Any:
        return _hub(name, directory, (config, tasks))

    found = _ask(hub, "terms")
    here = {"version": __version__, "directory": directory}
    check_settings({what: found.get(what) for what in here}, here, f"the cluster's curriculum {name!r} has")
    terms = _Terms(**found)
    _ask(hub, "open", keeps=(OSError,))  # such as of a full disk
    path = _ask(lambda: _agent(name, terms), "path")
    return _joined(path, (name, config, tasks, directory))


def remove(name: str) -> None:
    """Ends the cluster's curriculum `name` for all processes. The directory of its journal stays.

    Results that were not flushed are lost.

    Raises:
        KeyError: If the cluster has no such curriculum.
    """
    check_name("name", name, _MAX_NAME)
    actors = ray.util.list_named_actors(all_namespaces=True)
    names = [actor["name"] for actor in actors if actor["namespace"] == _NAMESPACE]
    if name not in names:
        found = ", ".join(sorted(other for other in names if "/" not in other)) or "there is none"
        raise KeyError(f"name: expected a curriculum of this cluster ({found}), got {name!r}")
    for actor in names:
        if actor.split("/")[0] == name:
            ray.kill(ray.get_actor(actor, _NAMESPACE))


def _rejoin(path: str, arguments: tuple[Any, ...]) -> Curriculum[Any]:
    """Unpickles a curriculum as a worker of this node's session.

    A process that a worker of Ray has started, such as one of a vector environment, is on the node of the original.
    """
    if not ray.is_initialized():
        return _joined(path, arguments)
    name, config, tasks, directory = arguments
    return join(name, config, tasks, directory=directory)


def _joined(path: str, arguments: tuple[Any, ...]) -> Curriculum[Any]:
    _, config, tasks, _ = arguments
    curriculum = cast("_JoinedCurriculum[Any]", follow(path, config, tasks, _JoinedCurriculum))
    curriculum.origin = path, arguments
    return curriculum


def _this_node() -> str:
    node: str = ray.get_runtime_context().get_node_id()
    return node


def _node_name(node_id: str, terms: _Terms) -> str:
    """Returns the name by which the hub knows a node: short enough for the name of a session."""
    return f"{node_id[:32]}-{terms.life}"


def _hub(name: str, directory: str | None, tasks: tuple[CurriculumConfig, Any]) -> Any:
    """Returns the actor of the hub; makes it, near this node, if there is none."""
    with contextlib.suppress(ValueError):  # there is none
        return ray.get_actor(name, _NAMESPACE)
    packed = cloudpickle.dumps(tasks)
    pieces = [packed[start : start + _PIECE] for start in range(0, len(packed), _PIECE)]
    terms = _Terms(__version__, directory, secrets.token_hex(4))
    # Without a directory, another hub would know nothing of the nodes.
    options = _options(name, is_pinned=False, max_restarts=-1 if directory else 0)
    return ray.remote(_HubActor).options(**options).remote(name, terms, *pieces)


def _agent(name: str, terms: _Terms) -> Any:
    """Returns the actor of this node's agent; makes it if there is none."""
    options = _options(f"{name}/{terms.life}/{_this_node()}", is_pinned=True, max_restarts=-1)
    return ray.remote(_AgentActor).options(**options).remote(name, terms)


def _options(name: str, *, is_pinned: bool, max_restarts: int) -> dict[str, Any]:
    return {
        "name": name,
        "namespace": _NAMESPACE,
        "lifetime": "detached",  # else it would end with the process that made it
        "get_if_exists": True,
        "num_cpus": 0,
        "memory": 1,  # Ray places an actor that needs nothing anywhere
        "max_restarts": max_restarts,
        "max_task_retries": 0,
        "scheduling_strategy": NodeAffinitySchedulingStrategy(_this_node(), soft=not is_pinned),
    }


def _ask(find: Callable[[], Any], method: str, *, keeps: tuple[type[Exception], ...] = ()) -> Any:
    """Calls an actor, and again while Ray restarts it.

    An error that the actor raises is raised here, and ends the actor, except for errors of the classes `keeps`.
    """
    deadline = time.monotonic() + _PATIENCE
    while True:
        actor = find()
        try:
            return ray.get(getattr(actor, method).remote(), timeout=_PATIENCE)
        except RayTaskError as error:
            if not isinstance(error.cause, keeps):
                ray.kill(actor)
            raise error.cause from None
        except (RayActorError, GetTimeoutError) as error:
            if time.monotonic() > deadline:
                raise TimeoutError(
                    f"ray: expected an actor of the curriculum to answer within {_PATIENCE:g} s, got {error}; look at "
                    f"the state of the cluster with `ray list actors`"
                ) from error
            time.sleep(0.2)
