"""Replays a journal without a hub: reads it, takes no term and writes nothing."""

import os
from pathlib import Path
from typing import Any, NamedTuple, cast

from ..algorithms.registry import load_config
from ..generators import SeedGenerator, Tasks, as_generator, identity
from ..imports import resolve
from ..table import Counters
from .fold import Fold
from .messages import ClusterError as ClusterError
from .saved import read_identity, read_saved

_EXTRA = {"name", "format", "generator"}
"""Settings of a journal that are no fields of the config."""


class Replayed(NamedTuple):
    """Result of a replay."""

    name: str
    """Name of the cluster."""
    stem: str
    """Name of the newest checkpoint: term and number."""
    num_records: int
    """Number of records after the checkpoint."""
    library: str
    """Version of the library that wrote the records."""
    fold: Fold[Any]
    """The table after the last record, and the nodes."""


def replay(directory: str | os.PathLike[str], tasks: Tasks[Any]) -> Replayed:
    """Returns the table and the nodes after the last record of a journal. A hub may write to the journal meanwhile.

    Args:
        directory: Directory of the journal.
        tasks: The tasks of the cluster, which the journal does not contain.

    Raises:
        ClusterError: If the directory has no journal of these tasks, or none of this version.
    """
    path = Path(directory)
    try:
        settings = read_identity(path)["settings"]
        saved = read_saved(path)
    except FileNotFoundError as error:
        raise ClusterError(
            f"directory: expected a journal in {str(path)!r}, got none with {error.filename!r}; see the directory that "
            f"the hub was given"
        ) from None
    except OSError as error:
        raise ClusterError(
            f"directory: expected a journal in {str(path)!r}, got what cannot be read ({error.strerror}); see the "
            f"directory that the hub was given"
        ) from error
    except ValueError as error:
        raise ClusterError(f"directory: expected an intact journal in {str(path)!r}, got: {error}") from error
    generator = as_generator(tasks)
    if (found := identity(generator)) != settings["generator"]:
        raise ClusterError(
            f"tasks: expected {settings['generator']!r}, whose journal is in {str(path)!r}, got {found!r}; pass the "
            f"tasks of the cluster, on the command line with --tasks module:name"
        )
    if saved is None:
        raise ClusterError(f"directory: expected a checkpoint in {str(path)!r}, got none; start a hub there first")
    config = load_config({name: value for name, value in settings.items() if name not in _EXTRA})
    fold = Fold(config, generator, 0.0)
    fold.restore(saved.table, saved.nodes, saved.records)
    return Replayed(settings["name"], saved.stem, len(saved.records), saved.library, fold)


def load_tasks(name: str | None) -> Tasks[Any]:
    """Returns the tasks with a name of the form ``module:name``, or what a function of this name returns; None: seeds.

    Raises:
        ValueError: If there is no such object.
    """
    if name is None:
        return SeedGenerator()
    found = resolve(name, "tasks", "the cluster's tasks")
    return cast(Tasks[Any], found() if callable(found) else found)


def account(counters: Counters) -> dict[str, int]:
    """Returns the numbers of hand-outs by how they ended, and of results without a hand-out."""
    names = ("scheduled", "unsolicited", "completed", "cancelled", "stale", "pending")
    return {name: getattr(counters, f"num_{name}") for name in names}


def balance(counters: Counters) -> int:
    """Returns the hand-outs and unsolicited results less what became of them: 0 in an intact account."""
    return counters.num_scheduled + counters.num_unsolicited - counters.num_endings - counters.num_pending
