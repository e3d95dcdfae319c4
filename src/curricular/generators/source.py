"""`Source`: the description of a generator in a saved state, by which its tasks are found in a changed generator."""

import hashlib
import json
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from ..task import Params, Span, num_params
from . import fingerprint
from .bucket_values import Bucket, axis_of, columns_of
from .buckets import BucketedTaskGenerator
from .canonical import canonical
from .merged import TaskGeneratorSet
from .protocol import TaskGenerator, local_seeds
from .sequence import SequenceTaskGenerator
from .single import SingleTaskGenerator

Kind = Literal["sequence", "single", "bucketed", "set", "custom"]

MAX_SOURCE = 2**20
"""Maximum length of the description of a generator in a state, in characters. The tasks of a generator with a longer
description are not matched: the generator must stay the same."""


Content = Span | Annotated[tuple[Span | str, ...], Field(min_length=1)]
"""The content of a bucket: a `Span`, or for each of its values, the `Span` or the hash of the value."""


class Source(BaseModel):
    """The description of a generator in a saved state."""

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    kind: Kind
    num_tasks: int | None = Field(ge=1, lt=2**63)
    """Number of tasks; None: endless."""
    width: int = Field(default=0, ge=0)
    """Number of params of a task without children."""
    content: str = ""
    """Hash of the configuration of a single task, or fingerprint of a custom generator."""
    buckets: dict[str, Content] = {}
    """Path -> the content of the bucket."""
    children: tuple["Source", ...] = ()

    @property
    def num_params(self) -> int:
        """Number of params of a task."""
        widest = max((child.num_params for child in self.children), default=0)
        return self.width + self.own_columns[-1] + widest + (self.kind == "set")

    @property
    def own_columns(self) -> list[int]:
        """The first column of each bucket's params, and then the number of columns before the child's params."""
        return columns_of(axis_of(path, bucket) for path, bucket in self.buckets.items())

    @property
    def shape(self) -> tuple[Any, ...]:
        """A key that is equal for two descriptions if a task of one can be a task of the other."""
        content = self.content if self.kind in {"single", "custom"} else ""
        children = () if self.kind == "set" else tuple(child.shape for child in self.children)
        return self.kind, content, tuple(sorted(self.buckets)), children


def describe(generator: TaskGenerator[Any]) -> dict[str, Any]:
    """Returns the description of `generator` for a state, as plain data."""
    data = source_of(generator).model_dump(mode="json", exclude_defaults=True)
    if len(json.dumps(data)) > MAX_SOURCE:
        return _custom(generator).model_dump(mode="json", exclude_defaults=True)
    return data


def source_of(generator: TaskGenerator[Any]) -> Source:
    """Returns the description of `generator`."""
    num_tasks = generator.num_tasks
    if isinstance(generator, SequenceTaskGenerator):
        return Source(kind="sequence", num_tasks=num_tasks, width=len(generator.axes))
    if isinstance(generator, SingleTaskGenerator):
        return Source(kind="single", num_tasks=num_tasks, content=content_hash(generator.config))
    if isinstance(generator, BucketedTaskGenerator):
        buckets = {path: described(bucket) for path, bucket in generator.buckets.items()}
        return Source(kind="bucketed", num_tasks=num_tasks, buckets=buckets, children=(source_of(generator.child),))
    if isinstance(generator, TaskGeneratorSet):
        return Source(kind="set", num_tasks=num_tasks, children=tuple(map(source_of, generator.children)))
    return _custom(generator)


def _custom(generator: TaskGenerator[Any]) -> Source:
    width = num_params(generator.axes)
    return Source(kind="custom", num_tasks=generator.num_tasks, width=width, content=fingerprint(generator))


def described(bucket: Bucket) -> Content:
    """Returns the content of a bucket."""
    if isinstance(bucket, Span):
        return bucket
    return tuple(value if isinstance(value, Span) else content_hash(value) for value in bucket)


def content_hash(value: Any) -> str:
    """Returns a hash of a configuration or of a value."""
    return hashlib.sha256(json.dumps(canonical(value), sort_keys=True).encode()).hexdigest()[:12]


def keys_of(generator: TaskGenerator[Any], seeds: NDArray[np.int64], params: Params) -> NDArray[np.int64]:
    """Returns, for each task made of a row, the hash of the row's key, and 0 for other tasks; shape (n,)."""
    keys = np.zeros(len(seeds), np.int64)
    if isinstance(generator, SequenceTaskGenerator):
        return generator.hashes_of(seeds).view(np.int64)
    if isinstance(generator, BucketedTaskGenerator):
        return keys_of(generator.child, local_seeds(seeds, generator.child), params[:, generator.own_columns[-1] :])
    if isinstance(generator, TaskGeneratorSet):
        for index, chosen, child_seeds, child_params in generator.members(seeds, params):
            keys[chosen] = keys_of(generator.children[index], child_seeds, child_params)
    return keys
