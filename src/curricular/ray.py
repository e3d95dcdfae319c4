"""`join`: one curriculum for all processes of a Ray cluster. The only module that imports Ray."""

import contextlib
import os
import pickle
import re
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

try:
    import ray
    from ray import cloudpickle
    from ray.exceptions import GetTimeoutError, RayActorError, RayTaskError
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy
except ModuleNotFoundError as _error:
    raise ImportError("curricular.ray needs Ray: pip install 'curricular[ray]'") from _error

from . import __version__
from .backends.layout import SessionMismatchError
from .cluster import Hub, Reply, Request, follow, open_node, run_agent
from .config import CurriculumConfig
from .curriculum import Curriculum
from .defaults import arranged
from .generators import Tasks
from .task import ConfigT

__all__ = ["join", "remove"]

_NAMESPACE = "curricular"
"""Ray's namespace of the actors, so that jobs with namespaces of their own share a pool."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}")

_PIECE = 65_536
"""Bytes per argument of the hub. Ray keeps a larger argument in the memory of the process that made the hub, and cannot
restart the hub when that process has ended."""

_PATIENCE = 60.0
"""Seconds that a join waits for the hub and for the node's agent, which may be restarting."""

_BURY_EVERY = 1.0
"""Seconds between two looks for nodes that Ray calls dead."""


class _HubActor:
    """Holds the hub. Opens it at the first call that needs it, so that the caller gets the error as it is."""

    def __init__(self, name: str, directory: str | None, *pieces: bytes) -> None:
        self._name = name
        self._directory = directory
        self._packed = b"".join(pieces)
        self._hub: Hub | None = None
        self._looked_at = 0.0

    def terms(self) -> tuple[str, str | None]:
        """Returns the version of the library and the directory, with which every process has to join."""
        self._open()
        return __version__, self._directory

    def tasks(self) -> bytes:
        """Returns config and generator, pickled."""
        return self._packed

    def exchange(self, request: Request) -> Reply:
        hub = self._open()
        if time.monotonic() - self._looked_at > _BURY_EVERY:
            dead = {node["NodeID"] for node in ray.nodes() if not node["Alive"]}
            for node in sorted(dead & hub.nodes):
                hub.bury(node)
            self._looked_at = time.monotonic()
        return hub.exchange(request)

    def _open(self) -> Hub:
        if self._hub is None:
            config, generator = pickle.loads(self._packed)  # noqa: S301  from a process of the same cluster
            self._hub = Hub(self._name, config, generator, directory=self._directory)
        return self._hub


class _AgentActor:
    """Runs the agent of one node, in a thread beside the one that answers who joins."""

    def __init__(self, name: str) -> None:
        self._path: Future[str] = Future()
        threading.Thread(target=self._run, args=(name,), daemon=True).start()

    def path(self) -> str:
        """Returns the path of the node's session, once it is there.

        Raises:
            SessionError: If the hub refuses the node.
        """
        return self._path.result()

    def _run(self, name: str) -> None:
        try:
            exchange = _exchange_with(name)
            packed = _ask(lambda: ray.get_actor(name, _NAMESPACE), "tasks")
            config, generator = pickle.loads(packed)  # noqa: S301  from a process of the same cluster
            node = ray.get_runtime_context().get_node_id()
            path = open_node(name, node, exchange, config, generator)
            self._path.set_result(str(path))
            run_agent(path, exchange, lambda: False)
        except BaseException as error:
            if self._path.done():
                os._exit(1)  # Ray starts the agent again
            self._path.set_exception(error)


class _JoinedCurriculum(Curriculum[ConfigT]):
    """A worker of its node's session. A copy that is pickled to another node becomes a worker of that node's session.

    Args:
        path: Path of the node's session.
        arguments: Those of `join`.
    """

    def __init__(self, path: str, *arguments: Any) -> None:
        _, config, generator, _ = arguments
        super().__init__(config, generator, backend=follow(path, config, generator))
        self._path = path
        self._arguments = arguments

    def __reduce__(self) -> tuple[Any, ...]:
        return _rejoin, (self._path, *self._arguments)


def join(
    name: str,
    config: CurriculumConfig,
    generator: Tasks[ConfigT] | None = None,
    *,
    directory: str | os.PathLike[str] | None = None,
) -> Curriculum[ConfigT]:
    """Returns the cluster's curriculum `name`; the first process that joins makes it.

    The curriculum is used as any other. A pickled copy joins on the node where it is unpickled, so that functions sent
    to other nodes may refer to the curriculum.

    Args:
        name: Name of the curriculum in the cluster: at most 40 letters, digits, dots, dashes and underscores.
        config: Settings of the pool and of the algorithm.
        generator: The tasks, as for `Curriculum`.
        directory: Where the hub keeps its journal, on a file system that all nodes share. If it has a journal, the
            curriculum resumes from there. Without a directory, the curriculum lives as long as its hub.

    Raises:
        TypeError: If an argument has a wrong type.
        ValueError: If `name` has other characters.
        RuntimeError: If Ray is not initialised, or if the hub does not answer.
        SessionError: If the curriculum exists with other arguments or another version of the library, or if the
            directory cannot be used.
    """
    _check_name(name)
    config, tasks = arranged(config, generator)
    if not ray.is_initialized():
        raise RuntimeError("ray: expected an initialised Ray, got none; call ray.init() before join()")
    directory = None if directory is None else str(Path(directory).absolute())
    _check_terms(name, directory, *_ask(lambda: _hub(name, (config, tasks), directory), "terms"))
    path = _ask(lambda: _agent(name), "path")
    return _JoinedCurriculum(path, name, config, tasks, directory)


def remove(name: str) -> None:
    """Ends the cluster's curriculum `name` for all processes. Its directory stays.

    Raises:
        KeyError: If the cluster has no such curriculum.
    """
    _check_name(name)
    actors = ray.util.list_named_actors(all_namespaces=True)
    names = [actor["name"] for actor in actors if actor["namespace"] == _NAMESPACE]
    if name not in names:
        found = ", ".join(sorted(other for other in names if "/" not in other)) or "none"
        raise KeyError(f"name: expected a curriculum of this cluster ({found}), got {name!r}")
    for actor in names:
        if actor.split("/")[0] == name:
            ray.kill(ray.get_actor(actor, _NAMESPACE))


def _rejoin(path: str, *arguments: Any) -> Curriculum[Any]:
    """Unpickles a curriculum as a worker of this node's session.

    A process that a worker of Ray has started, such as one of a vector environment, is on the node of the original.
    """
    if not ray.is_initialized():
        return _JoinedCurriculum(path, *arguments)
    name, config, generator, directory = arguments
    return join(name, config, generator, directory=directory)


def _check_name(name: str) -> None:
    if not isinstance(name, str):
        raise TypeError(f"name: expected a string, got {type(name).__name__}")
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"name: expected 1 to 40 letters, digits, dots, dashes and underscores, beginning with a letter or digit, "
            f"got {name!r}; choose another name"
        )


def _check_terms(name: str, directory: str | None, version: str, hubs_directory: str | None) -> None:
    """Compares what every process has to join with."""
    for what, expected, got in ("version", version, __version__), ("directory", hubs_directory, directory):
        if expected != got:
            raise SessionMismatchError(
                f"{what}: expected that of the cluster's curriculum {name!r}, {expected!r}, got {got!r}; use the same "
                f"on all nodes, or end the curriculum with curricular.ray.remove({name!r})"
            )


def _hub(name: str, tasks: tuple[CurriculumConfig, Any], directory: str | None) -> Any:
    """Returns the hub's actor, and makes it if there is none."""
    with contextlib.suppress(ValueError):  # there is none
        return ray.get_actor(name, _NAMESPACE)
    packed = cloudpickle.dumps(tasks)
    pieces = [packed[start : start + _PIECE] for start in range(0, len(packed), _PIECE)]
    return _make(_HubActor, name, is_pinned=False).remote(name, directory, *pieces)


def _agent(name: str) -> Any:
    """Returns the actor of this node's agent, and makes it if there is none."""
    node = ray.get_runtime_context().get_node_id()
    return _make(_AgentActor, f"{name}/{node}", is_pinned=True).remote(name)


def _make(cls: type, name: str, *, is_pinned: bool) -> Any:
    """Returns what makes a named actor, which outlives its maker, or finds it: on this node, or near it."""
    node = ray.get_runtime_context().get_node_id()
    return ray.remote(cls).options(
        name=name,
        namespace=_NAMESPACE,
        lifetime="detached",
        get_if_exists=True,
        num_cpus=0,
        memory=1,  # Ray places an actor that needs nothing anywhere
        max_restarts=-1,
        max_task_retries=0,
        scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=not is_pinned),
    )


def _ask(find: Callable[[], Any], method: str) -> Any:
    """Calls an actor, and again while Ray restarts it. An error that the actor raises ends it, and is raised here."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            actor = find()
            return ray.get(getattr(actor, method).remote(), timeout=_PATIENCE)
        except RayTaskError as error:
            ray.kill(actor)
            raise error.cause from None
        except (RayActorError, GetTimeoutError) as error:
            if time.monotonic() > deadline:
                raise RuntimeError(
                    f"ray: expected an actor of the curriculum to answer within {_PATIENCE:g} s, got {error}; look at "
                    f"the state of the cluster with `ray list actors`"
                ) from error
            time.sleep(0.2)


def _exchange_with(name: str) -> Callable[[Request], Reply]:
    """Returns what sends a request to the hub, wherever Ray has restarted it.

    It raises ConnectionError if the hub does not answer.
    """

    def exchange(request: Request) -> Reply:
        try:
            return ray.get(ray.get_actor(name, _NAMESPACE).exchange.remote(request), timeout=_PATIENCE)
        except RayTaskError as error:
            raise error.cause from None
        except (RayActorError, GetTimeoutError, ValueError) as error:  # ValueError: there is no such actor
            raise ConnectionError(f"hub of {name!r}: expected an answer, got {type(error).__name__}") from error

    return exchange
