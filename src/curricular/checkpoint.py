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
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .table import LABEL, MAX_LABELS, Counters
from .task import RECENT_SCORE_BITS, RECENT_SCORE_ONE, RECENT_SCORES, Rows, TaskState

FORMAT = 2
"""Version of the file's format. Every one ever released is kept under tests/assets, and loads.

2: rows have `RECENT_SCORES`, labels have all from `chance` on.
"""

DRAFT_AGE = 3600.0
"""Seconds after which a draft is of a save that was killed."""

_KIND = "curricular checkpoint"

_LABEL_FIELDS_1 = ("name", "num_scheduled", "num_completions", "num_evicted")
"""Of a label in format 1."""


class CheckpointError(ValueError):
    """A file is not a checkpoint that this version can read."""


def write_checkpoint(path: str | os.PathLike[str], state: Mapping[str, Any]) -> None:
    """Writes `state`, from `Curriculum.state_dict`, to `path`; what was there stays until all is safely on disk.

    Raises `OSError` if the disk is full or the directory cannot be written; then `path` is as before.
    """
    rows = Rows(state["rows"])
    plain = {name: value for name, value in state.items() if name not in {"rows", "labels", "cumulated"}}
    header = {"kind": _KIND, "format": FORMAT, "num_axes": rows.num_axes, "state": plain}
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
    if header.get("kind") != _KIND or header.get("format") not in range(1, FORMAT + 1):
        raise _refused(path, f"{header.get('kind')!r} of format {header.get('format')!r}")
    capacity = len(arrays["cumulated"]) if "cumulated" in arrays else 0
    if header["format"] == 1:
        _update(header, arrays)
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


def _update(header: dict[str, Any], arrays: dict[str, Any]) -> None:
    """Gives the content of a file of format 1 what came after it."""
    header["state"]["version"] = 2
    last, completions = (arrays.get(f"rows/{name}", np.zeros(0)) for name in ("last_score", "num_completions"))
    # As if each task had always scored as it did last: zeros would be progress that nobody made.
    field = np.rint(last * RECENT_SCORE_ONE).astype(np.int64)
    for newest, name in zip((8, 4, 0), RECENT_SCORES, strict=True):
        places = np.arange(4)[:, None]
        is_told = completions > newest + places
        arrays[f"rows/{name}"] = np.bitwise_or.reduce(is_told * field << RECENT_SCORE_BITS * places)
    old: NDArray[np.void] = arrays.get("labels", np.zeros(0, LABEL))
    if old.dtype.names == _LABEL_FIELDS_1:
        arrays["labels"] = labels = np.zeros(old.shape, LABEL)
        for name in _LABEL_FIELDS_1:
            labels[name] = old[name]


def _refused(path: str | os.PathLike[str], found: str) -> CheckpointError:
    return CheckpointError(
        f"path: expected a curricular checkpoint of format 1 to {FORMAT} at {os.fspath(path)!r}, got {found}; "
        f"use an intact file, or the version of curricular that wrote it"
    )
