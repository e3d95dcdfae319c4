"""`create_task_tracker`: creates the backend that a config asks for, and a tracker over it."""

import sys
from typing import Any

import numpy as np

from .backends.local import LocalMemoryBackend
from .backends.protocol import Backend
from .backends.shared import SharedMemoryBackend
from .config import CurriculumConfig
from .outline import outline
from .task import Axis, num_params
from .tracker import TaskTracker


def create_task_tracker(
    config: CurriculumConfig, axes: tuple[Axis, ...] = (), *, identity: str = "", backend: Backend | None = None
) -> TaskTracker:
    """Returns a tracker over `backend`, or over a backend that it creates as `config` says.

    Args:
        config: Settings of the pool.
        axes: Axes of the task generator.
        identity: A string that identifies the generator; a process with another one cannot join the session.
        backend: A custom backend; None: create one.

    Raises:
        ValueError: If the backend's capacity is not `config.num_active_tasks`, or its rows have another number of axes.
        SessionError: If the session cannot be created or joined.
    """
    num_axes = num_params(axes)
    if backend is None:
        backend = _create_backend(config, axes, identity)
    if backend.capacity != config.pool_size:
        raise ValueError(
            f"backend: expected a capacity of num_active_tasks={config.pool_size}, got {backend.capacity}; "
            f"make it with the same number"
        )
    found = backend.read(np.array([0])).num_axes
    if found != num_axes:
        raise ValueError(
            f"backend: expected rows with the generator's {num_axes} axes, got {found}; "
            f"make it with num_axes={num_axes}"
        )
    return TaskTracker(backend, config)


def _create_backend(config: CurriculumConfig, axes: tuple[Axis, ...], identity: str) -> Backend:
    num_axes = num_params(axes)
    has_shared_memory = sys.platform != "win32"
    if not config.use_shared_memory or not (has_shared_memory or config.session_id):
        return LocalMemoryBackend(config.pool_size, num_axes, config.max_open_handouts)
    settings = shared_settings(config, identity)
    return SharedMemoryBackend(
        config.session_id, config.pool_size, num_axes, settings, config.max_open_handouts, outline(axes)
    )


def shared_settings(config: CurriculumConfig, identity: str) -> dict[str, Any]:
    """Returns the settings that all processes of a session or a cluster must have in common, as JSON values.

    Args:
        config: Settings of the pool.
        identity: A string that identifies the generator.
    """
    settings = config.model_dump(mode="json", exclude={"session_id", "use_shared_memory", "num_active_tasks"})
    # First what a difference in the others may follow from: an error names the first difference.
    return {"algorithm": settings.pop("algorithm", None), "generator": identity, **settings}
