"""The built-in algorithms, one line each. Factories, test suites, bench and docs derive from this list."""

import difflib
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Annotated, Any, NamedTuple, cast

from pydantic import Field, GetCoreSchemaHandler
from pydantic_core import CoreSchema
from pydantic_core.core_schema import no_info_before_validator_function

from ..config import CurriculumConfig
from ..generators import TaskGenerator, plain
from .proposals import FreshProposer, Proposer
from .protocol import Algorithm

__all__ = ["AnyCurriculumConfig", "create_algorithm", "create_proposer", "load_config"]


class Entry(NamedTuple):
    """One built-in algorithm. Its module is imported when the algorithm is first used, so that imports stay cheap."""

    tag: str
    """Names the algorithm in files, as the default of the config's field `algorithm`, and the module of the config."""
    config_name: str
    """Name of the config's class."""
    algorithm_name: str
    """Name of the factory of the algorithm; ``module.name`` if it is in another module."""
    proposer_name: str | None = None
    """Name of the factory of the proposer; None: new tasks are as the generator samples them."""

    @property
    def config(self) -> type[CurriculumConfig]:
        """Class of the config."""
        return cast("type[CurriculumConfig]", self._imported(self.config_name))

    @property
    def algorithm(self) -> Callable[[Any], Algorithm]:
        """Factory of the algorithm: config -> algorithm."""
        return cast("Callable[[Any], Algorithm]", self._imported(self.algorithm_name))

    @property
    def proposer(self) -> Callable[[Any, TaskGenerator[Any]], Proposer] | None:
        """Factory of the proposer, or None: (config, generator) -> proposer."""
        if self.proposer_name is None:
            return None
        return cast("Callable[[Any, TaskGenerator[Any]], Proposer]", self._imported(self.proposer_name))

    def _imported(self, name: str) -> object:
        module, _, name = name.rpartition(".")
        return getattr(import_module(f"{__package__}.{module or self.tag}"), name)


_REPLAY = "prioritized_level_replay.PrioritizedLevelReplayAlgorithm"
_HISTORY = "history.HistoryAlgorithm"

REGISTRY: tuple[Entry, ...] = (
    Entry("accel", "AccelConfig", _REPLAY, "by_mutation"),
    Entry("adr", "AdrConfig", "AdrAlgorithm", "IntervalProposer"),
    Entry("alp_gmm", "AlpGmmConfig", _HISTORY, "ProgressMixtureProposer"),
    Entry("exp3s", "Exp3SConfig", "Exp3SAlgorithm"),
    Entry("label_bandit", "LabelBanditConfig", "LabelBanditAlgorithm"),
    Entry("learnability", "LearnabilityConfig", "LearnabilityAlgorithm"),
    Entry("learning_progress", "LearningProgressConfig", "LearningProgressAlgorithm"),
    Entry("noise_aware", "NoiseAwareConfig", "NoiseAwareAlgorithm", "by_progress"),
    Entry("pfsp", "PfspConfig", "PfspAlgorithm"),
    Entry("prioritized_level_replay", "PrioritizedLevelReplayConfig", _REPLAY),
    Entry("riac", "RiacConfig", _HISTORY, "RegionProposer"),
    Entry("sequential", "SequentialConfig", "SequentialAlgorithm"),
    Entry("target_schedule", "TargetScheduleConfig", "TargetScheduleAlgorithm"),
    Entry("teacher_student", "TeacherStudentConfig", "TeacherStudentAlgorithm"),
    Entry("thompson", "ThompsonConfig", "ThompsonAlgorithm"),
    Entry("traced", "TracedConfig", "TracedAlgorithm"),
    Entry("uniform", "UniformConfig", "UniformAlgorithm"),
    Entry("weighted", "WeightedConfig", "WeightedAlgorithm"),
)
"""The built-in algorithms, sorted by the name of the config."""


def variants() -> dict[str, Callable[..., CurriculumConfig]]:
    """Returns the presets of all built-in algorithms, as name -> factory of a config.

    A factory takes the fields of the config as keywords. Command lines, bench and test suites use these names.

    Examples:
        >>> variants()["stable"](num_active_tasks=4).ema_timescale
        0.01
    """
    return {name: factory for entry in REGISTRY for name, factory in entry.config.variants().items()}


def entry_of(config: CurriculumConfig) -> Entry | None:
    """Returns the entry of the config's class or nearest base class, or None if no algorithm has such a config."""
    by_name = {(f"{__package__}.{entry.tag}", entry.config_name): entry for entry in REGISTRY}
    names = ((cls.__module__, cls.__qualname__) for cls in type(config).__mro__)
    return next((by_name[name] for name in names if name in by_name), None)


def create_algorithm(config: CurriculumConfig) -> Algorithm:
    """Returns the built-in algorithm of `config`, by its class or nearest base class.

    Raises:
        TypeError: If `config` belongs to no built-in algorithm.
    """
    entry = entry_of(config)
    if entry is None:
        names = ", ".join(entry.config_name for entry in REGISTRY)
        raise TypeError(
            f"config: expected the config of a built-in algorithm ({names}), got {type(config).__name__}; use one of "
            f"them, or pass Curriculum(config, algorithm=...)"
        )
    return entry.algorithm(config)


def create_proposer(config: CurriculumConfig, generator: TaskGenerator[Any]) -> Proposer:
    """Returns the proposer of new tasks for `config`; for most algorithms, it takes what the generator samples.

    Raises:
        TypeError: If the generator lacks a method that the proposer needs.
        ValueError: If the generator's tasks do not suit the proposer.
    """
    entry = entry_of(config)
    if entry is None or entry.proposer is None:
        return FreshProposer()
    return entry.proposer(config, generator)


def _with_tag(data: Any) -> Any:
    """Returns the fields of a config with the tag of the algorithm as files have it, with underscores for dashes."""
    if isinstance(data, Mapping) and isinstance(tag := data.get("algorithm"), str):
        return {**data, "algorithm": tag.replace("-", "_")}
    return data


class _BuiltInConfig:
    """Makes pydantic choose the class of a config by the field `algorithm`."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        union: Any = REGISTRY[0].config
        for entry in REGISTRY[1:]:
            union |= entry.config
        schema = handler.generate_schema(Annotated[union, Field(discriminator="algorithm")])
        return no_info_before_validator_function(_with_tag, schema)


AnyCurriculumConfig = Annotated[CurriculumConfig, _BuiltInConfig()]
"""Type of a field of a pydantic model that holds the config of any built-in algorithm; files name it in `algorithm`."""


def load_config(data: Mapping[str, Any]) -> CurriculumConfig:
    """Returns the config that `data` describes.

    Args:
        data: Fields of the config of a built-in algorithm, with the tag of the algorithm as ``"algorithm"``, with
            underscores or dashes; a mapping of any class.

    Raises:
        TypeError: If `data` is not a mapping.
        ValueError: If the algorithm is unknown.
        ValidationError: If a field is unknown or wrong.

    Examples:
        >>> load_config({"algorithm": "noise_aware", "num_active_tasks": 16}).num_active_tasks
        16
    """
    if not isinstance(data, Mapping):
        raise TypeError(f"config: expected a mapping of fields, got {data!r:.100}; read the file into a dict first")
    fields, by_tag = _with_tag(plain(data)), {entry.tag: entry for entry in REGISTRY}
    tag = fields.get("algorithm")
    if not isinstance(tag, str) or tag not in by_tag:
        near = difflib.get_close_matches(str(tag), by_tag, n=1)
        hint = f"did you mean {near[0]!r}?" if near else "name one of them"
        got = f"{tag!r:.100}" if "algorithm" in fields else "no such field"
        raise ValueError(f"algorithm: expected one of {', '.join(by_tag)}, got {got}; {hint}")
    return by_tag[tag].config.model_validate(fields)
