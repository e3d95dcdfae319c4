"""Functions of ``metta.cogworks.curriculum`` with the same meaning as upstream, for recipes that make a curriculum.

`bucketed`, `single_task` and `merge` take the same arguments as the functions of these names in `curricular`. They
return the same generators with an additional method ``to_curriculum``. Without buckets, `bucketed` returns a
`BucketedTasks`, to which buckets are added one by one.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self, TypeVar, overload

from pydantic import BaseModel

from . import curriculum, generators
from .algorithms.uniform import UniformConfig
from .config import CurriculumConfig as AlgorithmConfig
from .config import changed
from .generators import BucketedTaskGenerator, SingleTaskGenerator, TaskGenerator, TaskGeneratorSet
from .generators.canonical import fields_of
from .generators.paths import fields
from .task import Span

__all__ = ["BucketedTasks", "CurriculumConfig", "bucketed", "env_curriculum", "merge", "single_task"]

GeneratorT = TypeVar("GeneratorT", bound=BaseModel)


@dataclass(frozen=True)
class CurriculumConfig:
    """The tasks, pool size and algorithm of a curriculum, which `make` creates.

    Examples:
        >>> curriculum = CurriculumConfig(single_task({"size": 5})).make()
        >>> curriculum.get_task().config
        {'size': 5}
    """

    task_generator: Any
    """A generator, or a `BucketedTasks`."""
    num_active_tasks: int | None = None
    """Size of the pool. None: that of `algorithm_config`."""
    algorithm_config: AlgorithmConfig | None = None
    """The config of an algorithm, such as `LearningProgressConfig`. None: uniform choice."""

    def make(self) -> curriculum.Curriculum[Any]:
        """Returns a new curriculum.

        Scores may be any numbers, unless `algorithm_config` sets a ``score_range``.

        Raises:
            ValueError: If the pool is larger than the number of tasks, or a value does not suit the others.
        """
        config = self.algorithm_config or UniformConfig()
        changes: dict[str, Any] = {}
        if "score_range" not in config.model_fields_set:
            changes["score_range"] = "observed"
        if self.num_active_tasks is not None:
            changes["num_active_tasks"] = self.num_active_tasks
        return curriculum.Curriculum(changed(config, **changes), _created(self.task_generator))


class _ToCurriculum:
    def to_curriculum(
        self, num_active_tasks: int | None = None, algorithm_config: AlgorithmConfig | None = None
    ) -> CurriculumConfig:
        """Returns a `CurriculumConfig` of these tasks; ``make()`` makes the curriculum."""
        return CurriculumConfig(self, num_active_tasks, algorithm_config)


class _SingleTask(SingleTaskGenerator, _ToCurriculum):
    pass


class _Bucketed(BucketedTaskGenerator, _ToCurriculum):
    pass


class _Merged(TaskGeneratorSet, _ToCurriculum):
    pass


_PLAIN = {_SingleTask: SingleTaskGenerator, _Bucketed: BucketedTaskGenerator, _Merged: TaskGeneratorSet}


class BucketedTasks(_ToCurriculum):
    """A configuration to which buckets are added one by one.

    The label of its tasks is the ``label`` of the configuration, if that is a text.

    Args:
        config: The configuration. It is copied.

    Examples:
        >>> tasks = bucketed({"size": 5, "walls": 0.1})
        >>> tasks.add_bucket("size", [5, 9]).add_bucket("walls", [0.0, 0.2, 0.4]).create().num_tasks
        6
    """

    def __init__(self, config: Any) -> None:
        self._config = generators.copied(config)
        self._buckets: dict[str, Iterable[Any] | Span] = {}

    def add_bucket(self, path: str, values: Iterable[Any] | Span) -> Self:
        """Adds a bucket and returns these tasks, so that calls can be chained.

        Args:
            path: Dotted path into the configuration.
            values: Its possible values, of which some may be `Span`s, or one `Span`.

        Raises:
            ValueError: If there is a bucket for the path already.
        """
        if path in self._buckets:
            raise ValueError(f"path: expected one without a bucket, got {path!r} again; put all its values into one")
        self._buckets[path] = values
        return self

    def create(self) -> TaskGenerator[Any]:
        """Returns the generator; paths and values are checked here.

        Raises:
            KeyError: If the configuration does not have a path.
            ValueError: If the configuration rejects a value.
        """
        if not self._buckets:
            return single_task(self._config)
        label = None if "label" in self._buckets else _label_of(self._config)
        return bucketed(self._config, self._buckets, label)


@overload
def bucketed(base: Any) -> BucketedTasks: ...
@overload
def bucketed(
    base: Any, buckets: Mapping[str, Iterable[Any] | Span], label: str | None = None
) -> BucketedTaskGenerator: ...
def bucketed(
    base: Any, buckets: Mapping[str, Iterable[Any] | Span] | None = None, label: str | None = None
) -> BucketedTasks | BucketedTaskGenerator:
    """Returns tasks that vary `base`: a generator, or without `buckets` a `BucketedTasks` to add them to.

    Args:
        base: A configuration; with `buckets`, it may be a generator.
        buckets: As in `curricular.bucketed`.
        label: As in `curricular.bucketed`.
    """
    if buckets is None:
        return BucketedTasks(base)
    return _as(_Bucketed, generators.bucketed(base, buckets, label))


def single_task(config: Any, label: str | None = None) -> SingleTaskGenerator:
    """Returns a generator of a single task.

    Args:
        config: The configuration.
        label: The label of the task. None: the ``label`` of the configuration, if that is a text.
    """
    return _as(_SingleTask, generators.single_task(config, (_label_of(config) or "") if label is None else label))


def merge(task_generators: Sequence[Any], weights: Sequence[float] | None = None) -> TaskGeneratorSet:
    """Returns a generator of the tasks of all `task_generators`.

    Args:
        task_generators: Generators, lists and `BucketedTasks`, at least one.
        weights: As in `curricular.merge`. None: the same for all, as upstream.
    """
    children = [_created(child) for child in task_generators]
    return _as(_Merged, generators.merge(children, [1.0] * len(children) if weights is None else weights))


def env_curriculum(config: Any) -> CurriculumConfig:
    """Returns a `CurriculumConfig` of one task."""
    return CurriculumConfig(single_task(config))


def _created(tasks: Any) -> Any:
    """Returns the generator of `tasks`, as one of the classes of `curricular`: checkpoints compare classes, too."""
    if isinstance(tasks, BucketedTasks):
        tasks = tasks.create()
    for cls, plain in _PLAIN.items():
        if type(tasks) is cls:
            return _as(plain, tasks)
    return tasks


def _label_of(config: Any) -> str | None:
    label = fields(config).get("label")
    return label if isinstance(label, str) and label else None


def _as(cls: type[GeneratorT], generator: Any) -> GeneratorT:
    """Returns the same generator as an instance of `cls`, without checking it again."""
    return cls.model_construct(**fields_of(generator))
