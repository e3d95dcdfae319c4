"""Checks that a curriculum is fit for a cluster, and says which settings all of its nodes must have in common."""

import re
from collections.abc import Mapping
from typing import Any

from ..config import CurriculumConfig
from ..defaults import arranged
from ..generators import TaskGenerator, Tasks, identity
from ..rows import VERSION
from ..storage import shared_settings
from ..task import ConfigT
from .fold import alone
from .messages import ClusterError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def checked(
    name: str, config: CurriculumConfig, generator: Tasks[ConfigT]
) -> tuple[CurriculumConfig, TaskGenerator[ConfigT]]:
    """Returns the config and the generator of a curriculum that is fit for a cluster.

    Raises:
        TypeError: If they are not a config and tasks.
        ValueError: If the name is not valid, or if the config asks for something that a cluster does not have.
    """
    check_name("name", name)
    config, tasks = arranged(config, generator)
    if config.cover_share:
        raise ValueError(
            f"cover_share: expected 0 on a cluster, whose nodes would each walk over all tasks, got "
            f"{config.cover_share}; use one machine, or leave it out"
        )
    return alone(config, tasks), tasks


def check_name(argument: str, name: str, max_length: int = 100) -> None:
    """Checks that `name` can be part of the name of a file.

    Raises:
        TypeError: If it is not a string.
        ValueError: If it is not valid.
    """
    if not isinstance(name, str):
        raise TypeError(f"{argument}: expected a string, got {type(name).__name__}; pass the name")
    if len(name) > max_length or not _NAME.fullmatch(name):
        raise ValueError(
            f"{argument}: expected 1 to {max_length} letters, digits, dots, dashes and underscores, the first a letter "
            f"or a digit, got {name!r:.120}; choose such a name"
        )


def cluster_settings(config: CurriculumConfig, generator: TaskGenerator[Any]) -> Mapping[str, Any]:
    """Returns what all nodes, the hub and the journal must have in common, as JSON values."""
    return {"format": VERSION, **shared_settings(config, identity(generator)), "num_active_tasks": config.pool_size}


def check_settings(here: Mapping[str, Any], there: Mapping[str, Any], where: str) -> None:
    """Checks that settings agree.

    Args:
        here: Those that are in use in `where`.
        there: Those of the caller.
        where: Subject and verb of a clause in the error, such as ``the hub has``.

    Raises:
        ClusterError: If they differ; names the first that does, and both values.
    """
    for setting in (*there, *here):
        if here.get(setting) != there.get(setting):
            raise ClusterError(
                f"{setting}: expected {here.get(setting)!r}, as {where}, got {there.get(setting)!r}; use the same "
                f"config, generator, directory and version on all nodes, or another name and directory"
            )
