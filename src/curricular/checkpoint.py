"""Checkpoints: the state of a curriculum in one file, written whole or not at all, read without unpickling anything.

A checkpoint is a zip archive of arrays in NumPy's own format (`numpy.load` opens it) and one of JSON text. Rows are
stored by field name, so that a version with further fields reads the files of this one.
"""

import glob
import json
import os
import secrets
import time
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .config import CurriculumConfig
from .generators import TaskGenerator, fingerprint
from .rows import VERSION, Rows, TaskState
from .table import LABEL, MAX_LABELS, Counters, Table, copy_table

DRAFT_AGE = 3600.0
"""Seconds after which a draft is of a save that was killed."""

_KIND = "curricular checkpoint"


class CheckpointError(ValueError):
    """A file is not a checkpoint that this version can read."""


def write_checkpoint(path: str | os.PathLike[str], state: Mapping[str, Any]) -> None:
    """Writes `state`, from `Curriculum.state_dict`, to `path`; what was there stays until all is safely on disk.

    Raises `OSError` if the disk is full or the directory cannot be written; then `path` is as before.
    """
    rows = Rows(state["rows"])
    plain = {name: value for name, value in state.items() if name not in {"rows", "labels", "cumulated"}}
    header = {"kind": _KIND, "version": VERSION, "num_axes": rows.num_axes, "state": plain}
    arrays: dict[str, Any] = {f"rows/{name}": rows[name] for name in TaskState.model_fields}
    target = Path(path)
    _sweep_drafts(target)
    draft = target.with_name(f".{target.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        with draft.open("xb") as file:
            np.savez_compressed(
                file,
                header=np.frombuffer(json.dumps(header).encode(), np.uint8),
                labels=state["labels"],
                cumulated=state["cumulated"],
                **arrays,
            )
            file.flush()
            os.fsync(file.fileno())
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)
    directory = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _sweep_drafts(target: Path) -> None:
    """Removes what saves of `target` that were killed have left behind: drafts that nobody can be writing any more."""
    for draft in target.parent.glob(f".{glob.escape(target.name)}.*"):
        if time.time() - draft.lstat().st_mtime > DRAFT_AGE:
            draft.unlink(missing_ok=True)


def read_checkpoint(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The state in the checkpoint at `path`, for `Curriculum.load_state_dict`; all of it read and checked.

    Raises `FileNotFoundError` if there is none, `CheckpointError` if it is damaged, foreign or of a later version.
    """
    try:
        with Path(path).open("rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        header = json.loads(arrays.pop("header").tobytes())
    except (
        zipfile.BadZipFile,
        zlib.error,
        OverflowError,
        NotImplementedError,
        ValueError,
        KeyError,
        EOFError,
        TypeError,
        AttributeError,
    ) as error:
        raise _refused(path, f"something that cannot be read ({type(error).__name__})") from error
    if header.get("kind") != _KIND or header.get("version") != VERSION:
        raise _refused(path, f"{header.get('kind')!r} of version {header.get('version')!r}")
    capacity = len(arrays["cumulated"]) if "cumulated" in arrays else 0
    shapes = {
        "labels": (MAX_LABELS,),
        "cumulated": (capacity,),
        **{f"rows/{name}": (capacity,) for name in TaskState.model_fields if name != "params"},
        "rows/params": (capacity, header["num_axes"]),
    }
    for name, shape in shapes.items():
        if name not in arrays or arrays[name].shape != shape:
            got = arrays[name].shape if name in arrays else "nothing"
            raise _refused(path, f"an array {name} of shape {got} where {shape} belongs")
    if arrays["labels"].dtype != LABEL or set(header["state"]["counters"]) != set(Counters._fields):
        raise _refused(path, "labels or counters with other fields")
    rows = Rows.zeros(capacity, header["num_axes"])
    for name in TaskState.model_fields:
        rows[name] = arrays[f"rows/{name}"]
    return {**header["state"], "rows": rows.words, "labels": arrays["labels"], "cumulated": arrays["cumulated"]}


def _refused(path: str | os.PathLike[str], found: str) -> CheckpointError:
    return CheckpointError(
        f"path: expected a curricular checkpoint of version {VERSION} at {os.fspath(path)!r}, got {found}; "
        f"use an intact file, or the version of curricular that wrote it"
    )


_STATE_KEYS = {"version", "generator", "config", "rows", "labels", "counters", "cumulated", "stream", "num_draws"}


class SavedState(NamedTuple):
    """What a state holds, checked."""

    table: Table
    stream: int
    num_draws: int


def pack_state(
    table: Table, config: CurriculumConfig, generator: TaskGenerator[Any], stream: int, num_draws: int
) -> dict[str, Any]:
    """Returns a state: plain values and the arrays of `table`."""
    return {
        "version": VERSION,
        "generator": fingerprint(generator),
        "config": config.model_dump(mode="json"),
        "rows": table.rows.words,
        "labels": table.labels,
        "counters": table.counters._asdict(),
        "cumulated": table.cumulated,
        "stream": stream,
        "num_draws": num_draws,
    }


def unpack_state(state: Mapping[str, Any], config: CurriculumConfig, generator: TaskGenerator[Any]) -> SavedState:
    """Returns what `state` holds, as copies.

    Raises:
        ValueError: If it is no state, is damaged, or does not fit `config` and `generator`.
    """
    missing = _STATE_KEYS - state.keys()
    if missing:
        raise ValueError(
            f"state: expected what state_dict returned, got a mapping without {', '.join(sorted(missing))}; "
            f"load the whole of it"
        )
    low, high = config.score_range
    expected = {
        "version": (VERSION, state["version"], "load it with the version of curricular that wrote it"),
        "generator": (fingerprint(generator), state["generator"], "pass the one that it was saved with as generator"),
        "score_range": (
            [low, high],
            list(state["config"]["score_range"]),
            "use the score_range that it was saved with",
        ),
    }
    for name, (here, there, remedy) in expected.items():
        if here != there:
            raise ValueError(f"state: expected {name} {here!r}, got {there!r}; {remedy}")
    counters = Counters(**state["counters"])
    table = copy_table(Table(Rows(state["rows"]), state["labels"], counters, state["cumulated"]))
    return SavedState(table, state["stream"], state["num_draws"])
