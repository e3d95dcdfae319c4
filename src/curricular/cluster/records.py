"""The bytes of a journal's segment: a header of text, then records, each with its length and a checksum."""

import json
import struct
import zlib
from collections.abc import Iterator
from typing import Any

from .. import __version__
from ..rows import VERSION
from ..table import MAX_REASON_BYTES
from .messages import Record

_MAGIC = 0x63757272_6A726E6C
_MAGIC_BYTES = struct.pack("<q", _MAGIC)
_HEAD = struct.Struct("<9q")
_CHECK = struct.Struct("<q")

HEADER_BYTES = 512
"""Size of the header of a segment."""


def header(content: dict[str, Any]) -> bytes:
    """Returns the header of a segment: JSON text, filled up with spaces."""
    return json.dumps({**stamp("curricular segment"), **content}).encode().ljust(HEADER_BYTES)


def check_header(data: bytes) -> dict[str, Any]:
    """Returns the content of the header of a segment.

    Raises:
        ValueError: If this version cannot read the segment.
    """
    try:
        content = json.loads(data)
    except ValueError:
        content = None
    return check_stamp(content, "curricular segment", "segment: expected one")


def stamp(kind: str) -> dict[str, Any]:
    """Returns what a file of a journal says of itself: its kind, its format, and the version of the library."""
    return {"kind": kind, "version": VERSION, "library": __version__}


def check_stamp(content: Any, kind: str, expected: str) -> dict[str, Any]:
    """Returns the `content` of a file, if it has the stamp of `kind`. Only the format decides, not the library.

    Args:
        content: JSON value of the file.
        kind: The expected kind.
        expected: Beginning of the error.

    Raises:
        ValueError: If it has another stamp; names both formats and both versions of the library.
    """
    found = content if isinstance(content, dict) else {}
    if (found.get("kind"), found.get("version")) != (kind, VERSION):
        raise ValueError(
            f"{expected} of format {VERSION}, which curricular {__version__} reads, got "
            f"{found.get('kind')!r:.50} of format {found.get('version')!r:.50}, which curricular "
            f"{found.get('library', '(unknown)')!s:.50} wrote; use that version, or another directory"
        )
    return found


def encoded(record: Record) -> bytes:
    """Returns the bytes of a record."""
    names = b"".join(name.ljust(MAX_REASON_BYTES, b"\0") for name in record.reasons)
    body = names + record.payload
    head = _HEAD.pack(
        _MAGIC,
        record.kind,
        record.node,
        record.time,
        record.batch,
        record.refreshes,
        len(record.reasons),
        len(record.payload),
        0,
    )[: -_CHECK.size]
    return head + _CHECK.pack(zlib.crc32(body, zlib.crc32(head))) + body


def decoded(data: bytes) -> Iterator[Record]:
    """Yields the records in `data`, which may end in a part of a record: a write that was never confirmed.

    Raises:
        ValueError: If a whole record follows a damaged one.
    """
    at = 0
    while at < len(data):
        found = _record_at(data, at)
        if found is None:
            _check_is_tail(data, at)
            return
        record, at = found
        yield record


def _record_at(data: bytes, at: int) -> tuple[Record, int] | None:
    """Returns the record that begins at `at`, and where it ends; None if there is none."""
    if at + _HEAD.size > len(data):
        return None
    magic, kind, node, time, batch, refreshes, num_reasons, length, check = _HEAD.unpack_from(data, at)
    start = at + _HEAD.size
    middle = start + num_reasons * MAX_REASON_BYTES
    end, view = middle + length, memoryview(data)
    if magic != _MAGIC or min(num_reasons, length) < 0 or end > len(data):
        return None
    if zlib.crc32(view[start:end], zlib.crc32(view[at : start - _CHECK.size])) != check:
        return None
    names = [data[place : place + MAX_REASON_BYTES].rstrip(b"\0") for place in range(start, middle, MAX_REASON_BYTES)]
    return Record(kind, node, time, batch, bool(refreshes), tuple(names), data[middle:end]), end


def _check_is_tail(data: bytes, at: int) -> None:
    """Checks that no record begins behind `at`."""
    place = at
    while (place := data.find(_MAGIC_BYTES, place + 1)) >= 0:
        if _record_at(data, place) is not None:
            raise ValueError(f"segment: expected whole records, got a damaged one at byte {at} before one at {place}")
