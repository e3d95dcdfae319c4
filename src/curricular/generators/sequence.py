"""`SequenceTaskGenerator`: the rows of any sequence as tasks, such as a list of configurations or a data set."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, ValidationError, model_validator

from ..task import Axis, Params
from .canonical import Identified
from .columns import (
    Keys,
    RangeKeys,
    StoredKeys,
    SupportsRows,
    check_distinct,
    coded,
    column,
    content_hashes,
    each,
    is_rows,
    key_hashes,
    numbers,
)
from .encoding import decode_config, encode_config
from .serial import AnyConfig


def _plain(values: Any) -> Any:
    """Returns `values` as plain data: the name of a field unchanged, one value per row as a list."""
    return values if values is None or isinstance(values, str) else np.asarray(values).tolist()


def _plain_columns(columns: Any) -> Any:
    if isinstance(columns, Mapping):
        return {name: _plain(values) for name, values in columns.items()}
    return list(columns)


def _plain_rows(rows: Any) -> Any:
    return encode_config(rows) if type(rows) is range else [encode_config(row) for row in each(rows)]


_Values = Annotated[Any, PlainSerializer(_plain)]
"""The name of a field of the rows, or one value per row."""


class _Read(NamedTuple):
    """Keys, labels and columns of n rows."""

    num_rows: int
    """Number of rows, n."""
    keys: Keys
    """The keys of the rows."""
    codes: NDArray[Any] | None
    """Index of the label of each row, shape (n,); None: no labels."""
    labels: tuple[str, ...]
    """The distinct labels, by index."""
    axes: tuple[Axis, ...]
    """The axis of each column."""
    params: Params
    """Values of the columns, shape (n, number of columns); no rows without columns."""


class SequenceTaskGenerator(BaseModel, Identified):
    """Generates one task per row: the seed of a task is the index of its row, and its configuration is the row.

    The generator never copies the rows. It stores keys as hashes, labels as indices, and columns as arrays. Two
    generators with the same keys, labels and columns are equal: a task is identified by its key. Of a `range`, whose
    numbers are the keys, nothing is stored, so it may be of any length. It differs from a list of the same numbers.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    kind: Literal["sequence"] = "sequence"
    rows: Annotated[Any, PlainSerializer(_plain_rows)] = Field(repr=False)
    """The configurations of the tasks, at least one: any object with a length that returns the row at an index."""
    key: _Values = Field(default=None, repr=False)
    """Field that identifies a row, an int or a str, or one key per row. None: the content of a row identifies it."""
    label: _Values = Field(default=None, repr=False)
    """Field with the label of a row, or one label per row. None: no labels."""
    columns: Annotated[Any, PlainSerializer(_plain_columns)] = Field(default=(), repr=False)
    """Names of numeric fields, or name -> one number per row. Each column becomes an axis of the tasks."""

    @model_validator(mode="before")
    @classmethod
    def _decode_rows(cls, data: Any) -> Any:
        """Builds the configurations that a file describes. Data with a `kind` come from a file."""
        if isinstance(data, Mapping) and "kind" in data and "rows" in data:
            return {**data, "rows": decode_config(data["rows"])}
        return data

    @model_validator(mode="after")
    def _read_rows(self) -> Self:
        """Reads keys, labels and columns.

        Raises:
            TypeError: If `rows` is not a sequence of configurations, or a key is neither an int nor a str.
            KeyError: If a row lacks a field.
            ValueError: If there are no rows, two rows have the same key, or a value of a column is not a number.
        """
        _check_rows(self.rows)
        _ = self._read
        return self

    @cached_property
    def _read(self) -> "_Read":
        """Keys, labels and columns of the rows. A private attribute of pydantic would cost 1 µs at every access."""
        keys: Keys
        if self.key is not None:
            values = column(self.rows, self.key, "key")
            hashes = key_hashes(values, "key")
            check_distinct(hashes, values, "key", "remove one of the two rows, or choose another key")
            keys = StoredKeys(hashes)
        elif type(self.rows) is range:
            keys = RangeKeys(self.rows)
        else:
            hashes = content_hashes(self.rows)
            check_distinct(hashes, self.rows, "tasks", "remove one of the two rows, or name the rows with key=")
            keys = StoredKeys(hashes)
        codes: NDArray[Any] | None = None
        labels: tuple[str, ...] = ()
        if self.label is not None:
            codes, labels = coded(column(self.rows, self.label, "label"))
        sources = self.columns if isinstance(self.columns, Mapping) else {name: name for name in self.columns}
        num_rows, axes = len(self.rows), []
        params = np.empty((num_rows if sources else 0, len(sources)))
        for index, (name, source) in enumerate(sources.items()):
            axis, params[:, index] = numbers(column(self.rows, source, f"columns[{name!r}]"), name)
            axes.append(axis)
        return _Read(num_rows, keys, codes, labels, tuple(axes), params)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SequenceTaskGenerator) and self.identify() == other.identify()

    def __hash__(self) -> int:
        return hash(self.identify())

    def __repr_args__(self) -> Any:
        return [("num_tasks", self.num_tasks), ("axes", tuple(axis.name for axis in self._read.axes))]

    @property
    def axes(self) -> tuple[Axis, ...]:
        return self._read.axes

    @property
    def num_tasks(self) -> int:
        return self._read.num_rows

    def identify(self) -> str:
        """Returns a hash of the keys, labels and columns, by row."""
        return self._identity

    @cached_property
    def _identity(self) -> str:
        read = self._read
        digest = hashlib.sha256(json.dumps([read.labels, [axis.name for axis in read.axes]]).encode())
        digest.update(read.keys.digest())
        for array in (read.codes, read.params):
            if array is not None:
                digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()

    def sample(self, seeds: NDArray[np.int64], rng: np.random.Generator) -> Params:
        read = self._read
        return read.params.take(seeds, axis=0) if read.axes else np.empty((len(seeds), 0))

    def label_of(self, seed: int, params: Params) -> str:
        read = self._read
        return "" if read.codes is None else read.labels[read.codes[seed]]

    def build(self, seed: int, params: Params) -> AnyConfig:
        return self.rows[seed]

    def hashes_of(self, seeds: NDArray[np.int64]) -> NDArray[np.uint64]:
        """Returns the hash of the key of each task with one of `seeds`, shape (n,)."""
        return self._read.keys.take(seeds)

    def find(self, hashes: NDArray[np.uint64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Returns the seed of the task with each key hash, and whether there is such a task; both of shape (n,)."""
        return self._read.keys.find(hashes)


def _check_rows(rows: Any) -> None:
    if not is_rows(rows):
        remedy = "put it into a list, if it is the configuration of a task" if isinstance(rows, Mapping | str) else ""
        remedy += ", or pass one of its splits" * isinstance(rows, Mapping)
        raise TypeError(
            f"tasks: expected a list or another sequence of configurations, or a generator with axes, num_tasks, "
            f"sample, label_of and build, got {type(rows).__name__}; {remedy or 'pass a list'}"
        )
    try:
        if not len(rows):
            raise ValueError("tasks: expected at least one configuration, got none; add one")
        rows[0]
    except OverflowError as error:
        raise ValueError(f"tasks: expected fewer than 2**63 tasks, got {rows!r:.100}; shorten it") from error
    except (TypeError, KeyError, IndexError) as error:
        raise TypeError(
            f"tasks: expected a sequence whose first row is at index 0, got {type(rows).__name__}, which raises "
            f"{type(error).__name__}; pass a list of its rows"
        ) from error


def dataset(
    rows: SupportsRows[Any],
    key: str | Sequence[Any] | None = None,
    label: str | Sequence[Any] | None = None,
    columns: Sequence[str] | Mapping[str, str | Sequence[Any]] = (),
) -> SequenceTaskGenerator:
    """Returns a generator with one task per row of a data set. The configuration of a task is its row.

    A checkpoint can be loaded with a data set that has grown or shrunk, since tasks are matched by their keys.

    Args:
        rows: Any sequence of rows, at least one; never copied. A row is a mapping, or an object with attributes.
        key: Field that identifies a row, an int or a str, or one key per row. None: the content of a row identifies it.
        label: Field with the label of a row in the statistics, or one label per row.
        columns: Names of numeric fields; or a mapping from names to fields or to one number per row. Each column
            becomes an axis of the tasks, along which algorithms share evidence. NaN in a column of floats is unknown.

    Raises:
        TypeError: If `rows` is not a sequence of configurations, or a key is neither an int nor a str.
        KeyError: If a row lacks a field.
        ValueError: If there are no rows, two rows have the same key, or a value of a column is not a number.

    Examples:
        >>> rows = [{"id": "a", "prompt": "1 + 1", "rate": 0.9}, {"id": "b", "prompt": "17 * 23", "rate": 0.1}]
        >>> prompts = dataset(rows, key="id", columns=["rate"])
        >>> prompts.num_tasks, prompts.axes
        (2, (Axis(name='rate', values=Span(low=0.0, high=1.0, log=False), branches=()),))
    """
    if isinstance(columns, str):
        raise TypeError(f"columns: expected a list of names, got the string {columns!r}; write columns=[{columns!r}]")
    try:
        return SequenceTaskGenerator(rows=rows, key=key, label=label, columns=columns)
    except ValidationError as error:
        (found,) = error.errors(include_url=False, include_input=False)  # without the rows, which may be many
        raise found.get("ctx", {}).get("error", error) from None
