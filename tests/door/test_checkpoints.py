"""Bad checkpoint files: one error that names the file, and no memory that such a file may not ask for.

Each case is a sentence, a mutation of the bytes of an intact checkpoint, and what the error must say.
"""

import io
import json
import os
import pickle
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

from curricular import CheckpointError
from curricular.checkpoint import read_checkpoint
from curricular.table import HANDOUT, LABEL, REASON, handout_dtype

from .levels import CAPACITY


@pytest.fixture(scope="module")
def saved(curriculum, place):
    """The bytes of an intact checkpoint."""
    path = place / "saved.npz"
    curriculum.save(path)
    return path.read_bytes()


def members(content):
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zipped(parts, method=zipfile.ZIP_DEFLATED):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, part in parts.items():
            archive.writestr(name, part)
    return file.getvalue()


def npy(array):
    file = io.BytesIO()
    np.lib.format.write_array(file, array, allow_pickle=True)
    return file.getvalue()


def array_of(part):
    return np.lib.format.read_array(io.BytesIO(part))


def described(text, content=b""):
    """An array file whose description is `text`."""
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode() + content


def with_parts(**changes):
    """A mutation of the members of an archive: other bytes, or a function of them, or None for one that is left out."""

    def mutate(content):
        parts = members(content)
        for name, part in changes.items():
            member = name.replace("__", "/") + ".npy"
            parts[member] = part(parts[member]) if callable(part) else part
        return zipped({name: part for name, part in parts.items() if part is not None})

    return mutate


def with_header(change):
    def mutate(content):
        parts = members(content)
        header = json.loads(np.lib.format.read_array(io.BytesIO(parts["header.npy"])).tobytes())
        parts["header.npy"] = npy(np.frombuffer(change(header), np.uint8))
        return zipped(parts)

    return mutate


def with_json(**changes):
    def change(header):
        for name, value in changes.items():
            if value is None:
                del header[name]
            else:
                header[name] = value(header[name]) if callable(value) else value
        return json.dumps(header).encode()

    return with_header(change)


def with_huge_ledger(state):
    return state | {"ledger_size": 2**24, "counters": state["counters"] | {"num_open": 1}}


def without(mapping, name):
    return {key: value for key, value in mapping.items() if key != name}


def in_directory(name, offset, value, size):
    """A mutation of the entry of member `name` in the directory at the end of a zip file."""

    def mutate(content):
        at = content.rindex(name.encode()) - 46
        assert content[at : at + 4] == b"PK\x01\x02"
        return content[: at + offset] + value.to_bytes(size, "little") + content[at + offset + size :]

    return mutate


def twice(content):
    file = io.BytesIO(content)
    with zipfile.ZipFile(file, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("labels.npy", b"x")
    return file.getvalue()


def of_many_tasks(content):
    """All arrays agree on a thousand million tasks, and none has the bytes for them."""
    parts = members(content)
    for name, part in parts.items():
        array = np.lib.format.read_array(io.BytesIO(part))
        if len(array) == CAPACITY:
            shape = (10**9, *array.shape[1:])
            descr = np.lib.format.dtype_to_descr(array.dtype)
            text = f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': {shape}, }}\n"
            parts[name] = described(text, bytes(1_000_000))
    return zipped(parts)


GIANT = "{'descr': '<f8', 'fortran_order': False, 'shape': (%s,), }\n"

FILES = {
    "it is empty": (lambda content: b"", "BadZipFile"),
    "it is text": (lambda content: b"hello" * 1000, "BadZipFile"),
    "it is a pickle": (lambda content: pickle.dumps({"version": 1}), "BadZipFile"),
    "it is a single array": (lambda content: npy(np.zeros(3)), "BadZipFile"),
    "it is an empty archive": (lambda content: zipped({}), "cannot be read"),
    "it is another archive": (lambda content: zipped({"weights.npy": npy(np.zeros(3))}), "header"),
    "its end is cut off": (lambda content: content[:-1], "BadZipFile"),
    "its second half is cut off": (lambda content: content[: len(content) // 2], "BadZipFile"),
    "its beginning is cut off": (lambda content: content[100:], "cannot be read"),
    "it has a member of 64 MB more": (with_parts(extra=npy(np.zeros(8_000_000))), "'extra' too many"),
    "it has a member that is no array": (with_parts(readme=b"hello"), "'readme' too many"),
    "it has a member with a way out": (with_parts(**{".._.._x": b"hello"}), "too many"),
    "a member is missing": (with_parts(rows__seed=None), "'rows/seed' too few"),
    "the labels are missing": (with_parts(labels=None), "'labels' too few"),
    "a member is there twice": (twice, "a name that occurs twice"),
    "members are packed by bzip2": (lambda content: zipped(members(content), zipfile.ZIP_BZIP2), "unknown compression"),
    "members are packed by lzma": (lambda content: zipped(members(content), zipfile.ZIP_LZMA), "unknown compression"),
    "a member is encrypted": (in_directory("rows/seed.npy", 8, 1, 2), "encryption"),
    "a member is of an unknown compression": (in_directory("rows/seed.npy", 10, 77, 2), "unknown compression"),
    "a member declares 4 GB": (in_directory("rows/seed.npy", 24, 2**32 - 2, 4), "cannot hold"),
    "the header declares 4 GB": (in_directory("header.npy", 24, 2**32 - 2, 4), "cannot hold"),
    "a member declares a packed size of 4 GB": (in_directory("rows/seed.npy", 20, 2**32 - 2, 4), "more content than"),
    "a member declares a byte less": (in_directory("rows/seed.npy", 24, 191, 4), "cannot be read"),
    "a checksum is wrong": (in_directory("rows/seed.npy", 16, 12345, 4), "CRC"),
    "a member begins beyond the file": (in_directory("rows/seed.npy", 42, 2**31, 4), "cannot be read"),
    "an array declares many GB": (with_parts(cumulated=described(GIANT % 10**10, bytes(64))), "bytes instead of"),
    "an array declares 2**70 entries": (with_parts(cumulated=described(GIANT % 2**70, bytes(64))), "bytes instead of"),
    "an array declares a negative length": (with_parts(cumulated=described(GIANT % -8, bytes(64))), "shape"),
    "an array declares True entries": (with_parts(cumulated=described(GIANT % True, bytes(8))), "shape"),
    "all arrays declare a thousand million tasks": (of_many_tasks, "instead of"),
    "all that is there is zeros of 30 MB": (with_parts(cumulated=npy(np.zeros(4_000_000))), "of shape"),
    "an array is of objects": (with_parts(rows__seed=npy(np.array([None] * 8))), "of dtype"),
    "an array is of floats instead of integers": (with_parts(rows__seed=npy(np.zeros(8))), "of dtype"),
    "an array is of 32 bits": (with_parts(rows__seed=npy(np.zeros(8, np.int32))), "of dtype"),
    "an array is of one task more": (with_parts(rows__seed=npy(np.zeros(9, np.int64))), "'?rows/seed'? of shape"),
    "an array has no axis": (with_parts(cumulated=npy(np.array(1.0))), "of shape"),
    "there are no tasks": (with_parts(cumulated=npy(np.zeros(0))), "of shape"),
    "the ledger has an entry more": (
        with_parts(ledger=lambda part: npy(array_of(part)[[0, 0, *range(1, 12)]])),
        "ledger of shape",
    ),
    "the ledger has no entries": (with_parts(ledger=lambda part: npy(array_of(part)[:0])), "ledger of shape"),
    "the ledger is 48 MB of free entries": (
        with_parts(ledger=npy(np.zeros(10**6, handout_dtype(2)))),
        "ledger of shape",
    ),
    "the ledger declares a thousand million entries": (
        with_parts(
            ledger=described(f"{{'descr': {handout_dtype(2).descr!r}, 'fortran_order': False, 'shape': (10**9,), }}\n")
        ),
        "cannot be read",
    ),
    "the ledger is numbers": (with_parts(ledger=npy(np.zeros(12))), "ledger of dtype"),
    "the ledger is missing": (with_parts(ledger=None), "'ledger' too few"),
    "the ledger has other fields": (with_parts(ledger=npy(np.zeros(12, HANDOUT.descr[:5]))), "ledger of dtype"),
    "reasons are 31": (with_parts(reasons=npy(np.zeros(31, REASON))), "reasons of shape"),
    "reasons have other fields": (with_parts(reasons=npy(np.zeros(32, REASON.descr[:1]))), "reasons of dtype"),
    "the reasons are missing": (with_parts(reasons=None), "'reasons' too few"),
    "the ledger was of 2**24 entries, and one is open": (with_json(state=with_huge_ledger), "ledger of shape"),
    "params are of another number of axes": (with_parts(rows__params=npy(np.zeros((8, 3)))), "rows/params of shape"),
    "labels are numbers": (with_parts(labels=npy(np.zeros(64))), "labels of dtype"),
    "labels have other fields": (with_parts(labels=npy(np.zeros(64, [("name", "S96")]))), "labels of dtype"),
    "labels are 63": (with_parts(labels=npy(np.zeros(63, LABEL))), "labels of shape"),
    "an array is described by another mapping": (with_parts(cumulated=described("{'a': 1}\n")), "unknown description"),
    "an array is described by a list": (with_parts(cumulated=described("[1, 2]\n")), "unknown description"),
    "an array is described by code": (with_parts(cumulated=described("__import__('os')\n")), "cannot be read"),
    "an array is described by deep brackets": (with_parts(cumulated=described("(" * 4000)), "cannot be read"),
    "an array is described by signs": (with_parts(cumulated=described("-" * 4000 + "1")), "cannot be read"),
    "an array is described by unhashable keys": (with_parts(cumulated=described("{[]: 1}")), "cannot be read"),
    "an array is described at great length": (with_parts(cumulated=described(" " * 60_000)), "another format"),
    "an array is described in other letters": (with_parts(cumulated=b"\x93NUMPY\x01\x00\x02\x00\xff\xfe"), "Unicode"),
    "an array is of a later format": (with_parts(cumulated=b"\x93NUMPY\x09\x00" + bytes(64)), "another format"),
    "an array is empty": (with_parts(cumulated=b""), "cannot be read"),
    "the header is no JSON": (with_header(lambda header: b"{'a': 1}"), "JSONDecodeError"),
    "the header is not UTF-8": (with_header(lambda header: b"\xff\xfe\xff"), "cannot be read"),
    "the header is empty": (with_header(lambda header: b""), "cannot be read"),
    "the header is a list": (with_header(lambda header: b"[1]"), "header that is a list"),
    "the header is nested deeply": (with_header(lambda header: b"[" * 100_000), "RecursionError"),
    "the header has a number of 10,000 digits": (with_header(lambda header: b"9" * 10_000), "cannot be read"),
    "the header is 32 MB": (with_header(lambda header: b" " * 2**25), "header of 33554432 bytes"),
    "it is of another kind": (with_json(kind="curricular session"), "'curricular session' of version 1"),
    "it is of a later version": (with_json(version=2), "of version 2"),
    "its version is a list": (with_json(version=[1]), r"of version \[1\]"),
    "it has no version": (with_json(version=None), "of version None"),
    "it has no state": (with_json(state=None), "state or num_axes"),
    "its state is a list": (with_json(state=[1]), "state or num_axes"),
    "its state lacks a part": (with_json(state=lambda state: without(state, "stream")), "state or num_axes"),
    "its state has a part more": (with_json(state=lambda state: state | {"rows": []}), "state or num_axes"),
    "it has no number of axes": (with_json(num_axes=None), "state or num_axes"),
    "its number of axes is negative": (with_json(num_axes=-1), "state or num_axes"),
    "its number of axes is True": (with_json(num_axes=True), "state or num_axes"),
    "its number of axes is huge": (with_json(num_axes=10**18), "rows/params of shape"),
    "a counter is missing": (
        with_json(state=lambda state: state | {"counters": without(state["counters"], "epoch")}),
        "counters as a mapping",
    ),
    "a counter has 5,000 digits": (
        with_header(lambda header: json.dumps(header).replace('"epoch": ', '"epoch": ' + "9" * 5000).encode()),
        "cannot be read",
    ),
    "the end of the range is beyond floats": (
        with_json(state=lambda state: state | {"config": {"score_range": [0, "x"]}}),
        "score_range of two numbers",
    ),
}
"""Name -> mutation of the bytes of a checkpoint, what the error says."""


@pytest.mark.parametrize("name", FILES)
def test_refused_as_a_checkpoint_if(name, saved, place):
    mutate, match = FILES[name]
    path = place / "bad.npz"
    path.write_bytes(mutate(saved))
    tracemalloc.start()
    try:
        with pytest.raises(CheckpointError, match=rf"^path: expected .*bad\.npz', got .*{match}.*; use an intact"):
            read_checkpoint(path)
        assert tracemalloc.get_traced_memory()[1] < 4_000_000
    finally:
        tracemalloc.stop()


def test_any_byte_of_a_checkpoint_may_be_wrong(saved, place):
    """Either it is refused, or it was a byte of the archive's book-keeping and the state is intact."""
    path = place / "bad.npz"
    path.write_bytes(saved)
    expected = pickle.dumps(read_checkpoint(path))
    rng = np.random.default_rng(0)
    num_refused, num_intact = 0, 0
    places = [[position] for position in range(3, len(saved), 29)]
    places += [rng.integers(len(saved) - 2000 * (i % 2), size=5) % len(saved) for i in range(60)]
    for positions in places:
        content = bytearray(saved)
        for position in positions:
            content[position] ^= int(rng.integers(1, 256))
        path.write_bytes(content)
        try:
            state = read_checkpoint(path)
        except CheckpointError:
            num_refused += 1
        else:
            assert pickle.dumps(state) == expected
            num_intact += 1
    assert num_refused > 200
    assert num_intact > 10


def test_a_checkpoint_may_be_cut_anywhere(saved, place):
    path = place / "bad.npz"
    for length in range(0, len(saved), 191):
        path.write_bytes(saved[:length])
        with pytest.raises(CheckpointError, match=r"bad\.npz"):
            read_checkpoint(path)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_harmless_in_a_checkpoint_if_it_was_packed_again(method, saved, intact, place):
    path = place / "state.npz"
    for content in (zipped(members(saved), method), b"before it" + saved, saved + b""):
        path.write_bytes(content)
        state = read_checkpoint(path)
        assert (state["rows"] == intact["rows"]).all()
        assert state["counters"] == intact["counters"]


def test_a_directory_and_a_pipe_are_no_checkpoints(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe", Path("/dev/null")):
        with pytest.raises(CheckpointError, match="something that is not a regular file"):
            read_checkpoint(path)
    with pytest.raises(FileNotFoundError):
        read_checkpoint(tmp_path / "nothing")
