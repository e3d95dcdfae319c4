"""The algorithms in the box, one line each, from which factories, suites, bench and docs derive."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, NamedTuple

from pydantic import Field, GetCoreSchemaHandler, TypeAdapter
from pydantic_core import CoreSchema

from ..config import CurriculumConfig
from ..generators import TaskGenerator
from .accel import AccelConfig, by_mutation
from .alp_gmm import AlpGmmAlgorithm, AlpGmmConfig, ProgressMixtureProposer
from .exp3s import Exp3SAlgorithm, Exp3SConfig
from .label_bandit import LabelBanditAlgorithm, LabelBanditConfig
from .learnability import LearnabilityAlgorithm, LearnabilityConfig
from .learning_progress import LearningProgressAlgorithm, LearningProgressConfig
from .noise_aware import NoiseAwareAlgorithm, NoiseAwareConfig, by_progress
from .prioritized_level_replay import PrioritizedLevelReplayAlgorithm, PrioritizedLevelReplayConfig
from .proposals import FreshProposer, Proposer
from .protocol import Algorithm
from .sequential import SequentialAlgorithm, SequentialConfig
from .target_schedule import TargetScheduleAlgorithm, TargetScheduleConfig
from .teacher_student import TeacherStudentAlgorithm, TeacherStudentConfig
from .thompson import ThompsonAlgorithm, ThompsonConfig
from .uniform import UniformAlgorithm, UniformConfig
from .weighted import WeightedAlgorithm, WeightedConfig

__all__ = [
    "AccelConfig",
    "AlpGmmConfig",
    "AnyCurriculumConfig",
    "Exp3SConfig",
    "LabelBanditConfig",
    "LearnabilityConfig",
    "LearningProgressConfig",
    "NoiseAwareConfig",
    "PrioritizedLevelReplayConfig",
    "SequentialConfig",
    "TargetScheduleConfig",
    "TeacherStudentConfig",
    "ThompsonConfig",
    "UniformConfig",
    "WeightedConfig",
    "create_algorithm",
    "create_proposer",
    "load_config",
]


class Entry(NamedTuple):
    """One algorithm in the box."""

    config: type[CurriculumConfig]
    """Its settings; the default of their field `algorithm` is its tag in files."""
    algorithm: Callable[[Any], Algorithm]
    """Makes it from its settings."""
    proposer: Callable[[Any, TaskGenerator[Any]], Proposer] | None = None
    """Makes what chooses its new tasks, from its settings and the generator. None: whatever the generator samples."""


REGISTRY: tuple[Entry, ...] = (
    Entry(AccelConfig, PrioritizedLevelReplayAlgorithm, by_mutation),
    Entry(AlpGmmConfig, AlpGmmAlgorithm, ProgressMixtureProposer),
    Entry(Exp3SConfig, Exp3SAlgorithm),
    Entry(LabelBanditConfig, LabelBanditAlgorithm),
    Entry(LearnabilityConfig, LearnabilityAlgorithm),
    Entry(LearningProgressConfig, LearningProgressAlgorithm),
    Entry(NoiseAwareConfig, NoiseAwareAlgorithm, by_progress),
    Entry(PrioritizedLevelReplayConfig, PrioritizedLevelReplayAlgorithm),
    Entry(SequentialConfig, SequentialAlgorithm),
    Entry(TargetScheduleConfig, TargetScheduleAlgorithm),
    Entry(TeacherStudentConfig, TeacherStudentAlgorithm),
    Entry(ThompsonConfig, ThompsonAlgorithm),
    Entry(UniformConfig, UniformAlgorithm),
    Entry(WeightedConfig, WeightedAlgorithm),
)
"""By name of the config."""


def variants() -> dict[str, Callable[..., CurriculumConfig]]:
    """Returns name -> factory of a config, for all algorithms in the box: what command lines, bench and suites know.

    A factory takes the fields of the config as keywords.

    Examples:
        >>> variants()["stable"](num_active_tasks=4).ema_timescale
        0.01
    """
    return {name: factory for entry in REGISTRY for name, factory in entry.config.variants().items()}


def entry_of(config: CurriculumConfig) -> Entry | None:
    """Returns the entry of the config's class, or of the nearest of its base classes; None if there is none."""
    by_config = {entry.config: entry for entry in REGISTRY}
    return next((by_config[cls] for cls in type(config).__mro__ if cls in by_config), None)


def create_algorithm(config: CurriculumConfig) -> Algorithm:
    """Returns the algorithm that `config`, or the nearest of its base classes, is the configuration of.

    Raises:
        TypeError: If `config` belongs to no algorithm in the box.
    """
    entry = entry_of(config)
    if entry is None:
        names = ", ".join(entry.config.__name__ for entry in REGISTRY)
        raise TypeError(
            f"config: expected the config of an algorithm in the box ({names}), got {type(config).__name__}; use one "
            f"of them, or pass Curriculum(config, algorithm=...)"
        )
    return entry.algorithm(config)


def create_proposer(config: CurriculumConfig, generator: TaskGenerator[Any]) -> Proposer:
    """Returns what chooses the new tasks for `config`: for most algorithms, whatever the generator samples.

    Raises:
        TypeError, ValueError: If the generator lacks what the proposer needs.
    """
    entry = entry_of(config)
    if entry is None or entry.proposer is None:
        return FreshProposer()
    return entry.proposer(config, generator)


class _OneOfTheBox:
    """Lets pydantic tell the configs of the registry apart by their field `algorithm`."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        union: Any = REGISTRY[0].config
        for entry in REGISTRY[1:]:
            union |= entry.config
        return handler.generate_schema(Annotated[union, Field(discriminator="algorithm")])


AnyCurriculumConfig = Annotated[CurriculumConfig, _OneOfTheBox()]
"""The config of any algorithm in the box, as a field of a pydantic model; files name it in `algorithm`."""


def load_config(data: Mapping[str, Any]) -> CurriculumConfig:
    """Returns the config that `data` describes: the fields of a config in the box, with its tag as ``"algorithm"``.

    Raises:
        ValueError: For an unknown algorithm, an unknown field or a wrong value.
    """
    adapter: TypeAdapter[CurriculumConfig] = TypeAdapter(AnyCurriculumConfig)
    return adapter.validate_python(dict(data))
