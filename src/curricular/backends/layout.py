"""The layout of a session file: a header that describes the content, then arrays that each start on a new page.

This module defines sizes and offsets. docs/sessions.md describes the protocol.
"""

import json
import math
import mmap
import sys
from dataclasses import dataclass, field, replace
from operator import index
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ..rows import NUM_WORDS, VERSION, TaskState
from ..table import EVENT, LABEL, MAX_LABELS, MAX_REASONS, REASON, Counters, handout_dtype
from .protocol import LOG_SIZE

MAX_WORKERS = 256
"""Maximum number of processes that hold a session at the same time."""

MAGIC = b"curricul"
HEADER_SIZE = 16_384
_PAGE = 4_096

# Indices of the words in the control section. Each word is written by one aligned store of eight bytes.
COMMITTED, HOLDER, NUM_WORKERS, CREATED, FLUSHED = range(5)
_NUM_CONTROLS = 8

# Indices of the words in a worker's slot: the process that holds it, and the number of events ever appended.
# A slot fills one cache line.
# The two further words: the worker's number, from 1, or 0 once it has left; and the number of events ever appended
# when the worker joined.
PID, HEAD, NUMBER, FIRST = range(4)
_WORKER_WORDS = 8

# Indices of the words at the front of the journal. Of the words from CLEARED on, one bit per worker slot says whether
# the change gives up the slot of a dead worker.
NUM_ROWS, HAS_TAILS, NUM_HANDOUTS, CLEARED = range(4)
_JOURNAL_WORDS = CLEARED + MAX_WORKERS // 64


NUM_STANDING = 16
"""Number of words that tell where a follower stands with its hub."""


TROUBLE_BYTES = 1024
"""Length limit of the text that says why the agent of a follower cannot reach its hub, in bytes of UTF-8."""


MAX_AXES = 2**24
"""Maximum number of params of a task in a session."""


class SessionError(RuntimeError):
    """A session cannot be created, joined or used. The subclass and the message give the reason."""


class SessionMismatchError(SessionError, ValueError):
    """The session exists, but was created with another config, generator or version."""


@dataclass(frozen=True, slots=True)
class Spec:
    """The sizes and settings of a session. Every process that joins must want the same."""

    capacity: int
    num_axes: int
    max_open: int
    """Number of entries of the ledger, a power of two."""
    settings: dict[str, Any]
    """JSON values by name: the fields of the config, and the identity of the generator."""
    axes: list[Any] = field(default_factory=list)
    """Outline of the generator's axes for processes that only read, or nothing. Processes that join do not compare
    it, because it may contain texts that differ between processes."""
    follows: str = ""
    """Name of the cluster whose hub decides for this session, which is then a *follower*; empty: its own workers do."""
    num_outbox: int = 0
    """Number of words of a follower's outbox; 0 in a session that is no follower."""

    @property
    def layout(self) -> "FileLayout":
        """The offsets of the sections."""
        return FileLayout(self.capacity, self.num_axes, self.max_open, self.num_outbox)

    def header(self) -> bytes:
        """Returns the header: magic, then JSON, then zeros.

        Raises:
            SessionError: If the settings do not fit into the header.
        """
        text = self._text()
        if len(text) >= HEADER_SIZE:
            raise SessionError(
                f"config: expected settings below {HEADER_SIZE} bytes of JSON, got {len(text)}; make them smaller"
            )
        return text.ljust(HEADER_SIZE, b"\0")

    def without_long_axes(self) -> "Spec":
        """Returns the spec, without axes if these do not fit into the header."""
        return self if len(self._text()) < HEADER_SIZE else replace(self, axes=[])

    def _text(self) -> bytes:
        return MAGIC + json.dumps(self._content()).encode()

    def _content(self) -> dict[str, Any]:
        return {
            "version": VERSION,
            "byte_order": sys.byteorder,
            "fields": list(TaskState.model_fields),
            "labels": list(LABEL.names or ()),
            "handouts": list(handout_dtype(0).names or ()),
            "num_reasons": MAX_REASONS,
            "counters": list(Counters._fields),
            "num_workers": MAX_WORKERS,
            "log_size": LOG_SIZE,
            "capacity": self.capacity,
            "num_axes": self.num_axes,
            "max_open": self.max_open,
            "settings": self.settings,
            "axes": self.axes,
            "role": "follower" if self.follows else "session",
            "follows": self.follows,
            "num_outbox": self.num_outbox,
        }

    @classmethod
    def parse(cls, header: bytes, path: str) -> "Spec":
        """Returns the spec in `header`.

        Raises:
            SessionMismatchError: If this version cannot use the header; names `path`.
        """
        remedy = "remove it with `curricular sessions remove`, or use another session_id"
        try:
            content = json.loads(header.removeprefix(MAGIC).rstrip(b"\0")) if header.startswith(MAGIC) else {}
            capacity, num_axes, max_open = (index(content[name]) for name in ("capacity", "num_axes", "max_open"))
            follows, num_outbox = str(content["follows"]), index(content["num_outbox"])
            settings, axes = dict(content["settings"]), list(content["axes"])
            spec = cls(capacity, num_axes, max_open, settings, axes, follows, num_outbox)
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise SessionMismatchError(
                f"session file {path}: expected a session of curricular, got content that it cannot read ({error}); "
                f"{remedy}"
            ) from error
        if spec.capacity < 1 or not 0 <= spec.num_axes <= MAX_AXES or spec.max_open < 1:
            raise SessionMismatchError(
                f"session file {path}: expected capacity ≥ 1, num_axes from 0 to {MAX_AXES} and max_open ≥ 1, got "
                f"{spec.capacity}, {spec.num_axes} and {spec.max_open}; the file is damaged: {remedy}"
            )
        if (spec.num_outbox > 0) != bool(spec.follows):
            raise SessionMismatchError(
                f"session file {path}: expected an outbox in a follower only, got num_outbox {spec.num_outbox} and "
                f"follows {spec.follows!r}; the file is damaged: {remedy}"
            )
        for name, value in spec._content().items():
            if content.get(name) != value:
                raise SessionMismatchError(
                    f"session file {path}: expected {name} {value!r}, got {content.get(name)!r}; another version of "
                    f"curricular created the file: use that version, or {remedy}"
                )
        return spec

    def check(self, wanted: "Spec", name: str) -> None:
        """Checks that session `name` fits the spec that a process has `wanted`.

        Raises:
            SessionMismatchError: If they differ; names the first setting that differs, and both values.
        """
        here, there = (
            {
                **spec.settings,
                "num_active_tasks": spec.capacity,
                "num_axes": spec.num_axes,
                "max_open": spec.max_open,
                "follows": spec.follows,
            }
            for spec in (self, wanted)
        )
        for setting in (*there, *here):
            if here.get(setting) != there.get(setting):
                other = "name and directory" if self.follows else "session_id"
                raise SessionMismatchError(
                    f"{setting}: expected {here.get(setting)!r}, as session {name!r} was created with, got "
                    f"{there.get(setting)!r}; use the same config and generator in all of its processes, or another "
                    f"{other}"
                )


class FileLayout:
    """The offsets and shapes of the arrays in a session file.

    Args:
        capacity: Number of rows of the table.
        num_axes: Number of params of a task.
        max_open: Number of entries of the ledger.
        num_outbox: Number of words of a follower's outbox.
    """

    def __init__(self, capacity: int, num_axes: int, max_open: int, num_outbox: int = 0) -> None:
        num_words = NUM_WORDS + num_axes
        self.num_words = num_words
        self.sections: dict[str, tuple[int, tuple[int, ...], DTypeLike]] = {}
        self.size: int = HEADER_SIZE
        self._add("control", (_NUM_CONTROLS,), np.int64)
        self._add("workers", (MAX_WORKERS, _WORKER_WORDS), np.int64)
        self._add("tails", (MAX_WORKERS,), np.int64)
        self._add("counters", (len(Counters._fields),), np.int64)
        self._add("labels", (MAX_LABELS,), LABEL)
        self._add("score_range", (2,), np.float64)
        self._add("reasons", (MAX_REASONS,), REASON)
        self._add("cumulated", (2, capacity), np.float64)
        self._add("checks", (capacity,), np.int64)
        self._add("words", (num_words, capacity), np.int64)
        self.fixed_size: int = self.size
        """Size of the sections that get memory at creation, in bytes. Later sections get memory on first use."""
        if num_outbox:
            self._add("standing", (NUM_STANDING,), np.int64)
            self._add("trouble", (1,), np.dtype(f"S{TROUBLE_BYTES}"))
            self._add("journal_standing", (NUM_STANDING,), np.int64)
            self.fixed_size = self.size
            self._add("outbox", (num_outbox,), np.int64)
        self._add("rings", (MAX_WORKERS, LOG_SIZE), EVENT)
        self._add("ledger", (max_open,), handout_dtype(num_axes))
        self._add("journal_head", (_JOURNAL_WORDS,), np.int64)
        self._add("journal_tails", (MAX_WORKERS,), np.int64)
        self._add("journal_counters", (len(Counters._fields),), np.int64)
        self._add("journal_labels", (MAX_LABELS,), LABEL)
        self._add("journal_score_range", (2,), np.float64)
        self._add("journal_reasons", (MAX_REASONS,), REASON)
        self._add("journal_slots", (capacity,), np.int64)
        self._add("journal_checks", (capacity,), np.int64)
        self._add("journal_words", (num_words * capacity,), np.int64)
        self._add("journal_places", (max_open,), np.int64)
        self._add("journal_handouts", (max_open,), handout_dtype(num_axes))

    def _add(self, name: str, shape: tuple[int, ...], dtype: DTypeLike) -> None:
        num_bytes = math.prod(shape) * np.dtype(dtype).itemsize
        self.sections[name] = (self.size, shape, dtype)
        self.size += -(-num_bytes // _PAGE) * _PAGE

    def view(self, mapping: mmap.mmap, name: str) -> NDArray[Any]:
        """Returns the array `name` as a view into `mapping`."""
        offset, shape, dtype = self.sections[name]
        return np.ndarray(shape, dtype, buffer=mapping, offset=offset)

    def ring_span(self, slot: int) -> tuple[int, int]:
        """Returns offset and length of the ring of worker `slot`, in bytes."""
        size = LOG_SIZE * EVENT.itemsize
        return self.sections["rings"][0] + slot * size, size

    def outbox_span(self) -> tuple[int, int]:
        """Returns offset and length of the outbox of a follower, in bytes."""
        offset, shape, _ = self.sections["outbox"]
        return offset, 8 * math.prod(shape)

    def ledger_spans(self) -> list[tuple[int, int]]:
        """Returns offset and length, in bytes, of the ledger and of its part of the journal."""
        end = self.sections["journal_handouts"]
        places = self.sections["journal_places"][0]
        size = math.prod(end[1]) * np.dtype(end[2]).itemsize
        return [(self.sections["ledger"][0], size), (places, end[0] + size - places)]

    def journal_spans(self, num_rows: int) -> list[tuple[int, int]]:
        """Returns offset and length, in bytes, of each part of the journal that a change of `num_rows` rows writes."""
        rows = {"journal_slots": 1, "journal_checks": 1, "journal_words": self.num_words}
        start = self.sections["journal_head"][0]
        head = (start, self.sections["journal_slots"][0] - start)
        return [head, *((self.sections[name][0], max(1, 8 * words * num_rows)) for name, words in rows.items())]
