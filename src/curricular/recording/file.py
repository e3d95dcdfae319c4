"""The file of a recording: one Arrow stream, one record batch per snapshot."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

try:
    import pyarrow as pa
except ModuleNotFoundError:
    raise ImportError("curricular.recording needs PyArrow: pip install 'curricular[report]'") from None

from ..aggregates import FILE_NAME

FORMAT = "1"
"""Version of the rows."""

_TEXTS = ("kind", "name", "item", "name_2", "item_2")
_NUMBERS = ("value", "num_tasks", "probability", "success", "progress")

SCHEMA = pa.schema(
    [("completed", pa.int64()), ("time", pa.float64())]
    + [(name, pa.string()) for name in _TEXTS]
    + [(name, pa.float64()) for name in _NUMBERS],
    metadata={"curricular.format": FORMAT},
)
"""Columns of a recording. `completed` is the number of completed results at the snapshot, `time` seconds since the
epoch. `kind` says what a row is about: stat, label, axis, map, distribution or task."""

_REQUIRED = {
    "stat": ("name", "value"),
    "label": ("item",),
    "axis": ("name", "item"),
    "map": ("name", "item", "name_2", "item_2"),
    "distribution": ("name", "value"),
    "task": ("name", "item", "value"),
}
"""Kind of a row -> columns that are not empty in such rows."""


class NewerRecordingError(ValueError):
    """The recording was written by a newer version of the library."""


@dataclass(frozen=True, eq=False)
class Recording:
    """The content of the file of a recording."""

    name: str
    """Name of the run: the name of the folder."""
    batches: Sequence[Any]
    """Snapshots, oldest first, as Arrow record batches with the columns of `SCHEMA`."""
    is_cut: bool
    """Whether the file ends in the middle of a snapshot, as after a crash."""

    @property
    def completed(self) -> NDArray[np.int64]:
        """Number of completed results at each snapshot, shape (n,)."""
        return np.array([batch["completed"][0].as_py() for batch in self.batches], np.int64)

    @cached_property
    def stats(self) -> dict[str, NDArray[np.float64]]:
        """The keys of `Curriculum.stats`, with their values at each snapshot, shape (n,); NaN where one is missing."""
        found: dict[str, NDArray[np.float64]] = {}
        for index, batch in enumerate(self.batches):
            chosen = _of_kind(batch, "stat")
            for name, value in zip(chosen["name"].to_pylist(), chosen["value"].to_pylist(), strict=True):
                if name not in found:
                    found[name] = np.full(len(self.batches), np.nan)
                found[name][index] = value
        return found

    def rows(self, kind: str) -> list[tuple[int, dict[str, Any]]]:
        """Returns the rows of one kind with the index of their snapshot."""
        return [(index, row) for index, batch in enumerate(self.batches) for row in _of_kind(batch, kind).to_pylist()]

    def last_rows(self, kind: str) -> list[dict[str, Any]]:
        """Returns the rows of one kind in the last snapshot."""
        return [row for batch in self.batches[-1:] for row in _of_kind(batch, kind).to_pylist()]

    def to_table(self) -> Any:
        """Returns all snapshots as one Arrow table, which has ``to_pandas()``; polars takes it as it is."""
        return pa.Table.from_batches(self.batches, SCHEMA)


def _of_kind(batch: Any, kind: str) -> Any:
    """Returns the rows of one kind in a snapshot."""
    return batch.filter(pa.array(batch["kind"].to_numpy(zero_copy_only=False) == kind))


def told_apart(recordings: Sequence[Recording], paths: Sequence[Path]) -> list[Recording]:
    """Returns the recordings with names that differ: as many of the last folders of their paths as it takes.

    Args:
        recordings: Recordings, shape (n,).
        paths: The folder of each, shape (n,).
    """
    parts = [tuple(map(_text_of, path.resolve().parts)) for path in paths]
    names = [recording.name for recording in recordings]
    for depth in range(1, max(map(len, parts), default=1) + 1):
        names = ["/".join(part[-depth:]) for part in parts]
        if len({*names}) == len({*parts}):
            break
    return [replace(recording, name=name) for recording, name in zip(recordings, names, strict=True)]


def to_batch(rows: Sequence[Mapping[str, Any]], completed: int, time: float) -> Any:
    """Returns the record batch of one snapshot."""
    columns = {name: [row.get(name) for row in rows] for name in (*_TEXTS, *_NUMBERS)}
    everywhere = {"completed": [completed] * len(rows), "time": [time] * len(rows)}
    return pa.RecordBatch.from_pydict(everywhere | columns, SCHEMA)


def open_writer(file: BinaryIO) -> Any:
    """Returns a writer of record batches into `file`."""
    return pa.ipc.new_stream(file, SCHEMA, options=pa.ipc.IpcWriteOptions(compression="lz4"))


def begin_file(path: Path, batches: Sequence[Any]) -> tuple[BinaryIO, Any]:
    """Replaces the file at `path` by `batches` atomically. Returns the open file, and a writer for more batches."""
    draft = path.with_suffix(f".{os.getpid()}.tmp")
    file = draft.open("wb")
    try:
        writer = open_writer(file)
        for batch in batches:
            writer.write_batch(batch)
        file.flush()
        draft.replace(path)
    except BaseException:
        file.close()
        draft.unlink(missing_ok=True)
        raise
    return file, writer


def read_recording(path: str | os.PathLike[str]) -> Recording:
    """Reads the recording in the folder `path`, or the file itself, up to the last whole snapshot.

    Raises:
        TypeError: If `path` is not a path.
        FileNotFoundError: If there is no recording.
        NewerRecordingError: If a newer version of the library wrote it.
        ValueError: If the file is not a recording, or a snapshot has no row or a row lacks a name or a value.
    """
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"path: expected the folder of a recording, got {type(path).__name__}; pass its path")
    target = Path(path)
    folder, file = (target, target / FILE_NAME) if os.path.isdir(target) else (target.parent, target)  # noqa: PTH112
    if not os.path.isfile(file):  # noqa: PTH113  false for what can be no path
        raise FileNotFoundError(f"path: expected a folder with a {FILE_NAME}, got {str(path)!r}; record a run first")
    header = SCHEMA.serialize().to_pybytes()
    if (size := file.stat().st_size) < len(header):
        with file.open("rb") as start:
            if header.startswith(start.read()):  # the first snapshot is not written yet
                return Recording(_text_of(folder.resolve().name), [], is_cut=size > 0)
    with _opened(file) as source:
        try:
            reader = pa.ipc.open_stream(source)
        except (pa.ArrowInvalid, OSError) as error:
            raise ValueError(f"path: expected a recording, got {str(file)!r}, which is none ({error})") from error
        version = (reader.schema.metadata or {}).get(b"curricular.format", b"?").decode()
        if version != FORMAT and version.isdigit():
            raise NewerRecordingError(
                f"path: expected a recording of format {FORMAT}, got format {version} in {str(file)!r}; read it with "
                f"the version of curricular that wrote it"
            )
        if not reader.schema.equals(SCHEMA):
            raise ValueError(f"path: expected a recording of curricular, got another Arrow file in {str(file)!r}")
        whole = Whole(reader)
        batches = list(whole)
    for index, batch in enumerate(batches):
        fault = _fault_of(batch)
        if fault:
            raise ValueError(
                f"path: expected a recording, got {str(file)!r}, whose snapshot {index} {fault}; record the run again"
            )
    return Recording(_text_of(folder.resolve().name), batches, whole.is_cut)


def _fault_of(batch: Any) -> str:
    """Returns what a snapshot lacks; "" if it lacks nothing."""
    try:
        batch.validate(full=True)
    except pa.ArrowInvalid as error:
        return f"is damaged ({error})"
    if not batch.num_rows:
        return "has no row"
    for name in ("completed", "time", "kind"):
        if batch[name].null_count:
            return f"has a row without {name}"
    kinds = batch["kind"].to_numpy(zero_copy_only=False)
    is_missing = {name: batch[name].is_null().to_numpy(zero_copy_only=False) for name in batch.schema.names}
    for kind, names in _REQUIRED.items():
        for name in names:
            if (is_missing[name] & (kinds == kind)).any():
                return f"has a row of the kind {kind} without {name}"
    return ""


def _text_of(name: str) -> str:
    """Returns the name of a folder, in which bytes that are no text are replaced."""
    return os.fsencode(name).decode(errors="replace")


def _opened(file: Path) -> Any:
    try:
        return file.open("rb")  # PyArrow opens no path that is not valid text
    except OSError as error:
        raise OSError(
            f"path: expected a recording that can be read, got {str(file)!r} ({os.strerror(error.errno or 0)}); change "
            f"its permissions"
        ) from error


class Whole:
    """Yields the complete batches of a stream.

    Args:
        reader: Reader of an Arrow stream.
    """

    def __init__(self, reader: Any) -> None:
        self._reader = reader
        self.is_cut: bool = False
        """Whether the stream ended within a batch; known after the iteration."""

    def __iter__(self) -> Iterator[Any]:
        with suppress(StopIteration):
            while True:
                try:
                    yield self._reader.read_next_batch()
                except (pa.ArrowInvalid, OSError):
                    self.is_cut = True
                    return
