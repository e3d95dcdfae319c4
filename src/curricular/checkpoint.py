"""Checkpoints: the state of a curriculum in one file. A save is atomic, and reading unpickles nothing.

A checkpoint is a zip archive of NumPy arrays, which `numpy.load` opens; one array holds JSON text. Rows are stored by
field name, so that a later version with more fields can read the file. Files and states pass the same checks. A failed
check raises an error that names the field, before anything changes.
"""

import contextlib
import glob
import hashlib
import json
import logging
import os
import secrets
import stat
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from operator import index
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from .archive import READ_ERRORS, ArrayArchive, write_arrays
from .config import OBSERVED, CurriculumConfig, MeanOfFirst, threshold_of
from .generators import SeedGenerator, SequenceTaskGenerator, TaskGenerator, fingerprint
from .generators.source import Source, describe, keys_of
from .matching import matched
from .outline import outline
from .params import Layout
from .rows import VERSION, Rows, TaskState
from .table import (
    EVICTED,
    LABEL,
    MAX_COUNT,
    MAX_LABELS,
    MAX_REASONS,
    REASON,
    Counters,
    Draft,
    Estimator,
    Table,
    TableError,
    cancellations,
    check_array,
    check_shape,
    check_table,
    close,
    handout_dtype,
    is_current,
    oldest,
    open_entries,
    places_of,
    record,
    rescaled,
)
from .task import all_axes

DRAFT_AGE = 3600.0
"""Age above which a draft is removed as the remains of a killed save, in seconds."""

MAX_DRAFT_NAME = 200
"""Length of a file name, in bytes, up to which the names of its drafts contain it."""

MAX_PLAIN = 2**24
"""Maximum size of the JSON text in a checkpoint, in bytes."""

MAX_LEDGER = 2**24
"""Maximum number of places in the ledger of a checkpoint."""

MAX_TRAITS = 100
"""Maximum number of the generator's axes that a state describes."""

_log = logging.getLogger(__name__)

_KIND = "curricular checkpoint"

_ARRAYS = {
    "labels": LABEL,
    "cumulated": np.dtype(np.float64),
    "score_range": np.dtype(np.float64),
    "reasons": REASON,
    "keys": np.dtype(np.int64),
    **{f"rows/{name}": Rows.zeros(0, 0)[name].dtype for name in TaskState.model_fields},
}
"""Dtypes of the arrays in a checkpoint, by name, without the JSON text and the ledger, whose dtype has the params."""

_PLAIN_KEYS = {
    "version", "generator", "traits", "axes", "source", "config", "counters", "ledger_size", "stream", "num_draws",
}  # fmt: skip
_PARTS = ("labels", "cumulated", "keys", "score_range", "reasons", "ledger")
_STATE_KEYS = _PLAIN_KEYS | {"rows", *_PARTS}


class CheckpointError(ValueError):
    """A file is not a checkpoint, or this version cannot read it."""


def write_checkpoint(path: str | os.PathLike[str], state: Mapping[str, Any]) -> None:
    """Writes a checkpoint atomically: an earlier file at `path` stays until the new one is safely on disk.

    Args:
        path: Where to write the checkpoint.
        state: A state, from `Curriculum.state_dict`.

    Raises:
        OSError: If the disk is full or the directory cannot be written. An earlier file at `path` then stays. If only
            the last step fails, to sync the directory, the new file is at `path`, but may be lost in a power cut.
        TypeError: If `path` is not a path.
        ValueError: If `path` has a null character.
    """
    rows = Rows(state["rows"])
    plain = {name: value for name, value in state.items() if name in _PLAIN_KEYS}
    header = {"kind": _KIND, "version": VERSION, "num_axes": rows.num_axes, "state": plain}
    arrays = {"header": np.frombuffer(json.dumps(header).encode(), np.uint8)}
    arrays |= {name: np.asarray(state[name]) for name in _PARTS}
    arrays |= {f"rows/{name}": rows[name] for name in TaskState.model_fields}
    target = _checked_target(path)
    _sweep_drafts(target)
    draft = target.with_name(f"{_draft_prefix(target)}{os.getpid()}.{secrets.token_hex(4)}")
    try:
        with draft.open("xb") as file:
            write_arrays(file, arrays)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(target)
    except OSError as error:  # which names the draft, not the user's file
        raise _unwritable(path, error) from error
    finally:
        with contextlib.suppress(OSError):  # where no draft could be made, none can be removed
            draft.unlink(missing_ok=True)
    sync_directory(target.parent)


def sync_directory(directory: Path) -> None:
    """Syncs the names of the files in a directory. On Windows, which opens no directory, does nothing."""
    if sys.platform == "win32":
        return
    fd = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _checked_target(path: str | os.PathLike[str]) -> Path:
    """Returns the file to write: that which `path` names, or the link at `path`, which stays.

    Raises:
        OSError: If no file can be there.
        TypeError: If `path` is not a path.
        ValueError: If it has a null character.
    """
    _check_path(path, "curriculum.save(path)")
    try:
        target = Path(os.path.realpath(path))
        has_folder, is_folder = target.parent.is_dir(), target.is_dir()
    except OSError as error:
        raise _unwritable(path, error) from error
    if not has_folder:
        raise FileNotFoundError(
            f"path: expected a file in a folder that exists, got {os.fspath(path)!r}; create the folder "
            f"{str(target.parent)!r}"
        )
    if is_folder:
        raise IsADirectoryError(f"path: expected a file, got the folder {os.fspath(path)!r}; add the name of a file")
    return target


def _check_path(path: Any, call: str) -> None:
    """Checks that `path` can be the path of a checkpoint. `call` is how to call the method, for the error.

    Raises:
        TypeError: If `path` is neither a string nor a path object.
        ValueError: If it has a null character.
    """
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"path: expected the path of a checkpoint, got a {type(path).__name__}; write {call}")
    if "\0" in os.fsdecode(path):
        raise ValueError(f"path: expected the path of a checkpoint, got {path!r} with a null character; remove it")


def _unwritable(path: str | os.PathLike[str], error: OSError) -> OSError:
    message = f"path: expected a place where a file can be written, got {error.strerror}"
    return OSError(error.errno, message, os.fspath(path))


def _sweep_drafts(target: Path) -> None:
    """Removes the drafts that killed saves of `target` have left behind, recognised by their age."""
    for draft in target.parent.glob(f"{glob.escape(_draft_prefix(target))}*"):
        with contextlib.suppress(OSError):  # another process's save has ended, or the draft is not ours to remove
            if time.time() - draft.lstat().st_mtime > DRAFT_AGE:
                draft.unlink()


def _draft_prefix(target: Path) -> str:
    """Returns how the names of drafts of `target` begin. A long name is shortened, so that the draft's is valid."""
    name = target.name
    if len(os.fsencode(name)) > MAX_DRAFT_NAME:
        name = hashlib.sha256(os.fsencode(name)).hexdigest()
    return f".{name}."


def read_checkpoint(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Returns the checked state in the checkpoint at `path`, for `Curriculum.load_state_dict`.

    Names and sizes are checked before content is read. A damaged file can therefore not take more memory than a
    checkpoint of its size.

    Raises:
        FileNotFoundError: If there is no file.
        OSError: If the file cannot be read.
        CheckpointError: If the file is damaged, is not a checkpoint, or is from another version.
    """
    _check_path(path, "Curriculum.load(path, tasks)")
    target = Path(path)
    if not stat.S_ISREG(target.stat().st_mode):
        raise refused_file(path, "something that is not a regular file")
    with target.open("rb") as file:
        try:
            return _read(path, ArrayArchive(file))
        except CheckpointError:
            raise
        except TableError as error:
            raise refused_file(path, f"a state with {error.found} instead of {error.expected}") from error
        except READ_ERRORS as error:
            raise refused_file(path, f"something that cannot be read ({type(error).__name__}: {error})") from error


def _read(path: str | os.PathLike[str], archive: ArrayArchive) -> dict[str, Any]:
    header = _read_header(archive)
    if header.get("kind") != _KIND or header.get("version") != VERSION:
        raise refused_file(path, f"{header.get('kind')!r:.100} of version {header.get('version')!r:.100}")
    odd = archive.names ^ {"header", "ledger", *_ARRAYS}
    if odd:
        raise refused_file(path, f"an array {min(odd)!r:.100} too {'many' if min(odd) in archive.names else 'few'}")
    plain, num_axes = header.get("state"), header.get("num_axes")
    if not isinstance(plain, dict) or plain.keys() != _PLAIN_KEYS or type(num_axes) is not int or num_axes < 0:
        raise refused_file(path, "state or num_axes with other content")
    (capacity, *_) = archive.shape("cumulated", _ARRAYS["cumulated"]) or (0,)
    num_handouts = _counters(plain["counters"]).num_open
    shapes = dict.fromkeys(_ARRAYS, (capacity,)) | {
        "labels": (MAX_LABELS,),
        "score_range": (2,),
        "reasons": (MAX_REASONS,),
        "rows/params": (capacity, num_axes),
        "ledger": (num_handouts,),
    }
    for name, shape in shapes.items():  # the ledger last, since its dtype follows from the params
        found = archive.shape(name, _dtype(name, num_axes))
        if found != shape:
            raise refused_file(path, f"an array {name} of shape {found} instead of {shape}")
    rows = Rows.zeros(capacity, num_axes)
    for name in TaskState.model_fields:
        rows[name] = archive.read(f"rows/{name}", _ARRAYS[f"rows/{name}"])
    arrays = {name: archive.read(name, _dtype(name, num_axes)).copy() for name in _PARTS}
    state = {**plain, "rows": rows.words, **arrays}
    _saved(state, copies=False)
    return state


def _dtype(name: str, num_axes: int) -> np.dtype[Any]:
    """Returns the dtype of an array in a checkpoint of tasks with `num_axes` params."""
    return handout_dtype(num_axes) if name == "ledger" else _ARRAYS[name]


def _read_header(archive: ArrayArchive) -> dict[str, Any]:
    (length,) = archive.shape("header", np.uint8)
    if length > MAX_PLAIN:
        raise ValueError(f"header of {length} bytes")
    header = json.loads(archive.read("header", np.uint8).tobytes())
    if not isinstance(header, dict):
        raise TypeError(f"header that is a {type(header).__name__}")
    return header


def refused_file(path: str | os.PathLike[str], found: str) -> CheckpointError:
    """Returns the error for a file at `path` in which `found` cannot be read."""
    return CheckpointError(
        f"path: expected a curricular checkpoint of version {VERSION} at {os.fspath(path)!r}, got {found}; "
        f"use an intact file, or the version of curricular that wrote the file"
    )


class SavedState(NamedTuple):
    """The checked content of a state."""

    table: Table
    """Its ledger holds only the open entries, in any order."""
    stream: int
    num_draws: int
    source: Source
    """Description of the generator of the tasks."""
    keys: NDArray[np.int64]
    """Hashes of the keys of the tasks, shape (capacity,)."""
    is_whole: bool = False
    """Whether the pool has all tasks that it is to have."""


def pack_state(
    table: Table, config: CurriculumConfig, generator: TaskGenerator[Any], stream: int, num_draws: int
) -> dict[str, Any]:
    """Returns a state of plain values and the arrays of `table`, not copied.

    Args:
        table: The table of the curriculum.
        config: The config of the curriculum.
        generator: The generator of its tasks.
        stream: Number of the stream of random numbers that it draws with.
        num_draws: Number of draws made from `stream`.
    """
    return {
        "version": VERSION,
        "generator": fingerprint(generator),
        "traits": _traits(generator),
        "axes": outline(generator.axes),
        "source": describe(generator),
        "config": config.model_dump(mode="json"),
        "rows": table.rows.words,
        "labels": table.labels,
        "counters": table.counters._asdict(),
        "cumulated": table.cumulated,
        "score_range": table.score_range,
        "reasons": table.reasons,
        "ledger": open_entries(table.ledger),
        "ledger_size": len(table.ledger),
        "keys": keys_of(generator, table.rows["seed"], table.rows["params"]),
        "stream": stream,
        "num_draws": num_draws,
    }


def unpack_state(
    state: Mapping[str, Any], config: CurriculumConfig, generator: TaskGenerator[Any], estimator: Estimator
) -> SavedState:
    """Returns the checked content of `state`, copied, as tasks of `generator`. Tasks that it lacks are inactive.

    Open hand-outs of evicted tasks count as cancelled, since they can be neither matched nor handed out again.

    Args:
        state: What `pack_state` or `read_checkpoint` returned.
        config: Settings of the pool to load it into.
        generator: Builds the tasks of that pool.
        estimator: The settings of the averages, as `config` gives them.

    Raises:
        ValueError: If `state` is not a state, is damaged, or does not fit `config` and `generator`.
    """
    is_mapping = isinstance(state, Mapping)
    missing = _STATE_KEYS - state.keys() if is_mapping else _STATE_KEYS
    if missing:
        found = f"a mapping without {', '.join(sorted(missing))}" if is_mapping else f"{state!r:.100}"
        raise ValueError(f"state: expected what state_dict returned, got {found}; load the whole state")
    _check_origin(state, config)
    saved = _saved(state)
    num_saved = np.count_nonzero(saved.table.rows["is_active"])
    saved = saved._replace(table=_without_evicted(_in_range(saved.table, state, config), estimator))
    if type(state["generator"]) is not str or fingerprint(generator) != state["generator"]:
        saved = saved._replace(table=_matched(state, saved, generator))
    _check_tasks(saved.table, generator)
    if not isinstance(config.random_baseline, MeanOfFirst):
        # Averages are of the plain score, so another fixed baseline applies to all that was told.
        saved.table.rows["random_baseline"] = config.random_baseline
    # A pool to which the user adds tasks may have empty places.
    num_wanted = len(saved.table.rows) if config.num_first_tasks is None else num_saved
    return saved._replace(is_whole=bool(np.count_nonzero(saved.table.rows["is_active"]) == num_wanted > 0))


def _without_evicted(table: Table, estimator: Estimator) -> Table:
    """Returns `table` after its open hand-outs of evicted tasks were cancelled."""
    gone = oldest(table.ledger, ~is_current(table, table.ledger["task_id"]))
    if not len(gone):
        return table
    draft = Draft(table)
    draft.add(record(table, cancellations(table.ledger["task_id"][gone], EVICTED), estimator))
    draft.add(close(draft.table, gone))
    there = draft.table
    return replace(there, rows=there.rows.take(np.arange(len(there.rows))), ledger=open_entries(there.ledger))


def unpack_table(state: Mapping[str, Any]) -> Table:
    """Returns the table in a checked `state`, from `read_checkpoint`, whatever its generator."""
    return _saved(state).table


def _check_origin(state: Mapping[str, Any], config: CurriculumConfig) -> None:
    """Checks that this version saved `state`, and that what it counted has the meaning that `config` gives it."""
    saved = _score_range(state["config"])
    threshold, baseline = (state["config"].get(name) for name in ("success_threshold", "random_baseline"))
    if not isinstance(saved, str):
        threshold = threshold_of(threshold, saved)
    expected: dict[str, tuple[Any, Any, str]] = {
        "version": (VERSION, state["version"], "load it with the version of curricular that wrote it"),
        "success_threshold": (
            config.threshold,
            threshold,
            "use the success_threshold that it was saved with, by which its successes were counted",
        ),
    }
    if isinstance(config.random_baseline, MeanOfFirst):
        expected["random_baseline"] = (
            config.random_baseline.model_dump(),
            baseline,
            "use the random_baseline that it was saved with, since first scores cannot be averaged later, or a number",
        )
    for name, (here, there, remedy) in expected.items():
        if type(there) is not type(here) or here != there:
            raise ValueError(f"state: expected {name} {here!r}, got {there!r:.200}; {remedy}")


def _in_range(table: Table, state: Mapping[str, Any], config: CurriculumConfig) -> Table:
    """Returns the saved `table` with averages scaled by the range of `config` instead of its own.

    Raises:
        ValueError: If the range of `config` does not hold the saved one.
    """
    declared, saved = config.score_range, _score_range(state["config"])
    old = table.score_range if isinstance(saved, str) else np.array(saved, np.float64)
    if isinstance(declared, str):
        return replace(table, score_range=old)
    if np.isnan(old).all() or (old == declared).all():
        return replace(table, score_range=np.full(2, np.nan))
    low, high = old.tolist()
    if not declared[0] <= low <= high <= declared[1]:
        raise ValueError(
            f"state: expected scores within score_range {list(declared)}, got a state with {[low, high]}; declare a "
            f"range that holds both, or set score_range='observed'"
        )
    averages_baselines = isinstance(config.random_baseline, MeanOfFirst)
    return rescaled(table, old, np.array(declared, np.float64), scales_baselines=averages_baselines)


def _traits(generator: TaskGenerator[Any]) -> list[str]:
    """Returns descriptions of a generator, which an error about another generator compares."""
    num_tasks = "any number of" if generator.num_tasks is None else generator.num_tasks
    axes = list(all_axes(generator.axes))
    texts = [f"axis {axis.name!r}, {axis.range_text}" for axis in axes[:MAX_TRAITS]]
    return [type(generator).__name__, f"{num_tasks} tasks", f"{len(axes)} axes", *texts]


def _matched(state: Mapping[str, Any], saved: SavedState, generator: TaskGenerator[Any]) -> Table:
    """Returns the saved table as tasks of another `generator` than the one it was saved with, and logs how many.

    Raises:
        ValueError: If `generator` has none of the tasks. Names the first trait that differs, if any.
    """
    theirs = [str(trait) for trait in state["traits"]] if isinstance(state["traits"], list) else []
    differing = [pair for pair in zip(_traits(generator), theirs, strict=False) if pair[0] != pair[1]]
    here, there = differing[0] if differing else (repr(fingerprint(generator)), repr(state["generator"]))
    is_known = type(state["generator"]) is str
    table = matched(saved.table, saved.source, saved.keys, generator) if is_known else None
    if table is None:
        num_saved = int(saved.table.rows["is_active"].sum())
        reason = f"none of the {num_saved} saved tasks is one of its tasks"
        reason = "no generator was given" if isinstance(generator, SeedGenerator) else reason
        raise ValueError(
            f"state: expected generator {here}, got {there:.200}; {reason}: pass the generator that the state was "
            f"saved with"
        )
    num_saved, num_found = (int(rows["is_active"].sum()) for rows in (saved.table.rows, table.rows))
    num_new = "" if generator.num_tasks is None else f", and has {generator.num_tasks - num_found} others"
    _log.warning(
        "the generator has changed (%s, was %.200s): it has %d of the %d tasks in the pool, lacks %d%s",
        here,
        there,
        num_found,
        num_saved,
        num_saved - num_found,
        num_new,
    )
    return table


def _saved(state: Mapping[str, Any], *, copies: bool = True) -> SavedState:
    """Returns the checked content of `state`. `state` must have all keys.

    Args:
        state: A state.
        copies: Whether to copy the arrays before the checks, since the caller may change the originals later.

    Raises:
        TableError: If no curriculum can have saved the content.
    """
    _score_range(state["config"])
    counters = _counters(state["counters"])
    plain = np.array if copies else np.asarray  # subclasses become plain arrays
    rows, labels, cumulated, keys, score_range, reasons, ledger = (
        plain(state[name]) if isinstance(state[name], np.ndarray) else state[name] for name in ("rows", *_PARTS)
    )
    check_array("ledger", ledger, handout_dtype(check_shape(rows)), (None,))
    _check_entries(ledger, state["ledger_size"])
    table = Table(Rows(rows), labels, counters, cumulated, score_range, reasons, ledger)
    check_table(table, is_packed=True)
    newest = max(int(table.rows["task_id"].max()), counters.first_generation * len(table.rows))
    if newest > MAX_COUNT // 2:  # or a new life would have too few ids
        raise TableError("rows['task_id'] and counters['first_generation'] for ids up to 2**61", f"ids up to {newest}")
    if not table.rows["is_active"].any():
        raise TableError("rows['is_active'] for at least one task", "none")
    check_array("keys", keys, np.int64, (len(table.rows),))
    stream, num_draws = (_whole(name, state[name]) for name in ("stream", "num_draws"))
    return SavedState(table, stream, num_draws, _source(state["source"]), keys)


def _source(data: Any) -> Source:
    try:
        return Source.model_validate(data)
    except ValidationError as error:
        raise TableError("source as the description of a generator", f"{data!r:.200}") from error


def _check_entries(entries: NDArray[np.void], size: Any) -> None:
    """Checks that `entries` are open hand-outs that fit into a ledger of `size` places.

    Raises:
        TableError: If they are not.
    """
    number = _whole("ledger_size", size)
    if not 1 <= number <= MAX_LEDGER or number & (number - 1):
        raise TableError(f"ledger_size as a power of two up to {MAX_LEDGER}", f"{size!r:.100}")
    if (entries["ticket"] <= 0).any():
        raise TableError("ledger['ticket'] above 0", str(entries["ticket"].min()))
    if len(np.unique(places_of(entries["ticket"], number))) < len(entries):
        raise TableError("ledger with one hand-out per place", "two of them in one place")


def _score_range(config: Any) -> list[float] | str:
    """Returns the range of scores in a saved config, or `OBSERVED`.

    Raises:
        TableError: If `config` is not a mapping with a range of scores.
    """
    found = config.get("score_range") if isinstance(config, Mapping) else None
    if found == OBSERVED:
        return OBSERVED
    if not isinstance(found, list | tuple) or len(found) != 2 or not all(type(end) in {int, float} for end in found):
        raise TableError("config as a mapping with a score_range of two numbers", f"{config!r:.200}")
    return list(found)


def _counters(values: Any) -> Counters:
    if not isinstance(values, Mapping) or set(values) != set(Counters._fields):
        raise TableError(f"counters as a mapping of {', '.join(Counters._fields)}", f"{values!r:.200}")
    return Counters(**{name: _whole(f"counters[{name!r}]", value) for name, value in values.items()})


def _whole(name: str, value: Any) -> int:
    """Returns `value` as an integer.

    Raises:
        TableError: If `value` is not a count; names `name`.
    """
    if not isinstance(value, int | np.integer) or isinstance(value, bool) or not 0 <= value < MAX_COUNT:
        raise TableError(f"{name} as a whole number from 0 to 2**62", f"{value!r:.100}")
    return index(value)


def _check_tasks(table: Table, generator: TaskGenerator[Any]) -> None:
    """Checks that all tasks are ones of `generator`: what it builds from them was built before."""
    rows, layout, num_tasks = table.rows, Layout(generator.axes), generator.num_tasks
    if rows.num_axes != layout.num_params:
        raise TableError(f"rows with the generator's {layout.num_params} params", f"{rows.num_axes} params")
    active = rows["is_active"]
    highest = rows["seed"][active].max()
    if num_tasks is not None and highest >= num_tasks:
        raise TableError(f"rows['seed'] below the generator's {num_tasks} tasks", str(highest))
    in_pool = {key: rows[key][active] for key in ("params", "task_id")}
    for name, tasks in (("rows", in_pool), ("ledger", table.ledger)):
        off = layout.find_off(tasks["params"], may_be_unknown=isinstance(generator, SequenceTaskGenerator))
        if off is not None:
            wanted, param, task = off
            raise TableError(f"{name}['params'] {wanted},", f"{param} for task {tasks['task_id'][task]}")
