"""The bytes of a session file: a header that says what is in it, then the arrays, each on a page of its own.

docs/sessions.md describes the protocol; this module only says where things are.
"""

import json
import math
import mmap
import sys
from dataclasses import dataclass
from operator import index
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ..rows import NUM_WORDS, VERSION, TaskState
from ..table import EVENT, LABEL, MAX_LABELS, Counters
from .protocol import LOG_SIZE

MAX_WORKERS = 256
"""Processes that can hold a session at a time."""

MAGIC = b"curricul"
HEADER_SIZE = 16_384
_PAGE = 4_096

# Words of the control section, each written as one aligned store of eight bytes.
COMMITTED, HOLDER, NUM_WORKERS, CREATED = range(4)
_NUM_CONTROLS = 8

# Words of a worker's slot: who holds it, and how many events it has ever appended; a cache line each.
PID, HEAD = range(2)
_WORKER_WORDS = 8

# Words at the front of the journal.
NUM_ROWS, HAS_TAILS = range(2)
_JOURNAL_WORDS = 8


class SessionError(RuntimeError):
    """A session cannot be created, joined or used. Subclasses and messages say why."""


class SessionMismatchError(SessionError, ValueError):
    """The session is there, but it was made for something else."""


@dataclass(frozen=True, slots=True)
class Spec:
    """What a session was made for. Whoever joins must want the same."""

    capacity: int
    num_axes: int
    settings: dict[str, Any]
    """Name -> JSON value: the fields of the config and the generator's fingerprint."""

    def header(self) -> bytes:
        """The header page: magic, then JSON, then zeros."""
        text = MAGIC + json.dumps(self._content()).encode()
        if len(text) >= HEADER_SIZE:
            raise SessionError(
                f"config: expected settings below {HEADER_SIZE} bytes of JSON, got {len(text)}; make them smaller"
            )
        return text.ljust(HEADER_SIZE, b"\0")

    def _content(self) -> dict[str, Any]:
        return {
            "version": VERSION,
            "byte_order": sys.byteorder,
            "fields": list(TaskState.model_fields),
            "labels": list(LABEL.names or ()),
            "counters": list(Counters._fields),
            "num_workers": MAX_WORKERS,
            "log_size": LOG_SIZE,
            "capacity": self.capacity,
            "num_axes": self.num_axes,
            "settings": self.settings,
        }

    @classmethod
    def parse(cls, header: bytes, path: str) -> "Spec":
        """The spec in a header. Raises `SessionMismatchError`, which names `path`, if this version cannot use it."""
        remedy = "remove it with `curricular sessions remove`, or use another session_id"
        try:
            content = json.loads(header.removeprefix(MAGIC).rstrip(b"\0")) if header.startswith(MAGIC) else {}
            spec = cls(index(content["capacity"]), index(content["num_axes"]), dict(content["settings"]))
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise SessionMismatchError(
                f"session file {path}: expected one of curricular, got something that it cannot read ({error}); "
                f"{remedy}"
            ) from error
        if spec.capacity < 1 or spec.num_axes < 0:
            raise SessionMismatchError(
                f"session file {path}: expected a capacity from 1 and num_axes from 0, got {spec.capacity} and "
                f"{spec.num_axes}; it is damaged: {remedy}"
            )
        for name, value in spec._content().items():
            if content.get(name) != value:
                raise SessionMismatchError(
                    f"session file {path}: expected {name} {value!r}, got {content.get(name)!r}; another version of "
                    f"curricular made it: use the same one, or {remedy}"
                )
        return spec

    def check(self, wanted: "Spec", name: str) -> None:
        """Raises `SessionMismatchError` that names the first setting in which `wanted` differs, and both values."""
        here = {"num_active_tasks": self.capacity, **self.settings, "num_axes": self.num_axes}
        there = {"num_active_tasks": wanted.capacity, **wanted.settings, "num_axes": wanted.num_axes}
        for setting in (*there, *here):
            if here.get(setting) != there.get(setting):
                raise SessionMismatchError(
                    f"{setting}: expected {here.get(setting)!r}, as session {name!r} was created with, got "
                    f"{there.get(setting)!r}; use the same config and generator in all of its processes, or another "
                    f"session_id"
                )


class Layout:
    """The arrays of a session file with a given capacity and number of axes, and the views of them in a mapping."""

    def __init__(self, capacity: int, num_axes: int) -> None:
        num_words = NUM_WORDS + num_axes
        self.num_words = num_words
        self.sections: dict[str, tuple[int, tuple[int, ...], DTypeLike]] = {}
        self.size: int = HEADER_SIZE
        self._add("control", (_NUM_CONTROLS,), np.int64)
        self._add("workers", (MAX_WORKERS, _WORKER_WORDS), np.int64)
        self._add("tails", (MAX_WORKERS,), np.int64)
        self._add("counters", (len(Counters._fields),), np.int64)
        self._add("labels", (MAX_LABELS,), LABEL)
        self._add("cumulated", (2, capacity), np.float64)
        self._add("checks", (capacity,), np.int64)
        self._add("words", (num_words, capacity), np.int64)
        self.fixed_size = self.size
        """Bytes that are there from the start. What follows gets memory when it is first needed."""
        self._add("rings", (MAX_WORKERS, LOG_SIZE), EVENT)
        self._add("journal_head", (_JOURNAL_WORDS,), np.int64)
        self._add("journal_tails", (MAX_WORKERS,), np.int64)
        self._add("journal_counters", (len(Counters._fields),), np.int64)
        self._add("journal_labels", (MAX_LABELS,), LABEL)
        self._add("journal_slots", (capacity,), np.int64)
        self._add("journal_checks", (capacity,), np.int64)
        self._add("journal_words", (num_words * capacity,), np.int64)

    def _add(self, name: str, shape: tuple[int, ...], dtype: DTypeLike) -> None:
        num_bytes = math.prod(shape) * np.dtype(dtype).itemsize
        self.sections[name] = (self.size, shape, dtype)
        self.size += -(-num_bytes // _PAGE) * _PAGE

    def view(self, mapping: mmap.mmap, name: str) -> NDArray[Any]:
        """The array `name` in `mapping`."""
        offset, shape, dtype = self.sections[name]
        return np.ndarray(shape, dtype, buffer=mapping, offset=offset)

    def ring_span(self, slot: int) -> tuple[int, int]:
        """Offset and length of the ring of worker `slot`."""
        size = LOG_SIZE * EVENT.itemsize
        return self.sections["rings"][0] + slot * size, size

    def journal_spans(self, num_rows: int) -> list[tuple[int, int]]:
        """Offset and length of each part of the journal that an entry of `num_rows` rows writes."""
        rows = {"journal_slots": 1, "journal_checks": 1, "journal_words": self.num_words}
        start = self.sections["journal_head"][0]
        head = (start, self.sections["journal_slots"][0] - start)
        return [head, *((self.sections[name][0], max(1, 8 * words * num_rows)) for name, words in rows.items())]
