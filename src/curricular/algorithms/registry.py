"""The built-in algorithms, one line each. Factories, test suites, bench and docs derive from this list."""

import difflib
from collections.abc import Callable, Mapping
from typing import Annotated, Any, NamedTuple

from pydantic import Field, GetCoreSchemaHandler
from pydantic_core import CoreSchema

from ..config import CurriculumConfig
from ..generators import TaskGenerator, plain
from .accel import AccelConfig, by_mutation
from .adr import AdrAlgorithm, AdrConfig, IntervalProposer
from .alp_gmm import AlpGmmConfig, ProgressMixtureProposer
from .exp3s import Exp3SAlgorithm, Exp3SConfig
from .history import HistoryAlgorithm
from .label_bandit import LabelBanditAlgorithm, LabelBanditConfig
from .learnability import LearnabilityAlgorithm, LearnabilityConfig
from .learning_progress import LearningProgressAlgorithm, LearningProgressConfig
from .noise_aware import NoiseAwareAlgorithm, NoiseAwareConfig, by_progress
from .pfsp import PfspAlgorithm, PfspConfig
from .prioritized_level_replay import PrioritizedLevelReplayAlgorithm, PrioritizedLevelReplayConfig
from .proposals import FreshProposer, Proposer
from .protocol import Algorithm
from .riac import RegionProposer, RiacConfig
from .sequential import SequentialAlgorithm, SequentialConfig
from .target_schedule import TargetScheduleAlgorithm, TargetScheduleConfig
from .teacher_student import TeacherStudentAlgorithm, TeacherStudentConfig
from .thompson import ThompsonAlgorithm, ThompsonConfig
from .traced import TracedAlgorithm, TracedConfig
from .uniform import UniformAlgorithm, UniformConfig
from .weighted import WeightedAlgorithm, WeightedConfig

__all__ = [
    "AccelConfig",
    "AdrConfig",
    "AlpGmmConfig",
    "AnyCurriculumConfig",
    "Exp3SConfig",
    "LabelBanditConfig",
    "LearnabilityConfig",
    "LearningProgressConfig",
    "NoiseAwareConfig",
    "PfspConfig",
    "PrioritizedLevelReplayConfig",
    "RiacConfig",
    "SequentialConfig",
    "TargetScheduleConfig",
    "TeacherStudentConfig",
    "ThompsonConfig",
    "TracedConfig",
    "UniformConfig",
    "WeightedConfig",
    "create_algorithm",
    "create_proposer",
    "load_config",
]


class Entry(NamedTuple):
    """One built-in algorithm."""

    config: type[CurriculumConfig]
    """Class of the config. The default of its field `algorithm` is the tag of the algorithm in files."""
    algorithm: Callable[[Any], Algorithm]
    """Factory of the algorithm: config -> algorithm."""
    proposer: Callable[[Any, TaskGenerator[Any]], Proposer] | None = None
    """Factory of the proposer: (config, generator) -> proposer; None: new tasks are as the generator samples them."""


REGISTRY: tuple[Entry, ...] = (
    Entry(AccelConfig, PrioritizedLevelReplayAlgorithm, by_mutation),
    Entry(AdrConfig, AdrAlgorithm, IntervalProposer),
    Entry(AlpGmmConfig, HistoryAlgorithm, ProgressMixtureProposer),
    Entry(Exp3SConfig, Exp3SAlgorithm),
    Entry(LabelBanditConfig, LabelBanditAlgorithm),
    Entry(LearnabilityConfig, LearnabilityAlgorithm),
    Entry(LearningProgressConfig, LearningProgressAlgorithm),
    Entry(NoiseAwareConfig, NoiseAwareAlgorithm, by_progress),
    Entry(PfspConfig, PfspAlgorithm),
    Entry(PrioritizedLevelReplayConfig, PrioritizedLevelReplayAlgorithm),
    Entry(RiacConfig, HistoryAlgorithm, RegionProposer),
    Entry(SequentialConfig, SequentialAlgorithm),
    Entry(TargetScheduleConfig, TargetScheduleAlgorithm),
    Entry(TeacherStudentConfig, TeacherStudentAlgorithm),
    Entry(ThompsonConfig, ThompsonAlgorithm),
    Entry(TracedConfig, TracedAlgorithm),
    Entry(UniformConfig, UniformAlgorithm),
    Entry(WeightedConfig, WeightedAlgorithm),
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
    by_config = {entry.config: entry for entry in REGISTRY}
    return next((by_config[cls] for cls in type(config).__mro__ if cls in by_config), None)


def create_algorithm(config: CurriculumConfig) -> Algorithm:
    """Returns the built-in algorithm of `config`, by its class or nearest base class.

    Raises:
        TypeError: If `config` belongs to no built-in algorithm.
    """
    entry = entry_of(config)
    if entry is None:
        names = ", ".join(entry.config.__name__ for entry in REGISTRY)
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


class _BuiltInConfig:
    """Makes pydantic choose the class of a config by the field `algorithm`."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        union: Any = REGISTRY[0].config
        for entry in REGISTRY[1:]:
            union |= entry.config
        return handler.generate_schema(Annotated[union, Field(discriminator="algorithm")])


AnyCurriculumConfig = Annotated[CurriculumConfig, _BuiltInConfig()]
"""Type of a field of a pydantic model that holds the config of any built-in algorithm; files name it in `algorithm`."""


def load_config(data: Mapping[str, Any]) -> CurriculumConfig:
    """Returns the config that `data` describes.

    Args:
        data: Fields of the config of a built-in algorithm, with the tag of the algorithm as ``"algorithm"``; a mapping
            of any class.

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
    fields, by_tag = plain(data), {entry.config.model_fields["algorithm"].default: entry.config for entry in REGISTRY}
    tag = fields.get("algorithm")
    if not isinstance(tag, str) or tag not in by_tag:
        near = difflib.get_close_matches(str(tag), by_tag, n=1)
        hint = f"did you mean {near[0]!r}?" if near else "name one of them"
        got = f"{tag!r:.100}" if "algorithm" in fields else "no such field"
        raise ValueError(f"algorithm: expected one of {', '.join(by_tag)}, got {got}; {hint}")
    return by_tag[tag].model_validate(fields)
