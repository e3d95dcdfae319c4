"""Ways of choosing tasks: the protocol, and the registry of those in the box. One file each."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any

from pydantic import Field, TypeAdapter

from ..config import CurriculumConfig
from .accel import AccelConfig
from .alp_gmm import AlpGmmAlgorithm, AlpGmmConfig
from .exp3s import Exp3SAlgorithm, Exp3SConfig
from .label_bandit import LabelBanditAlgorithm, LabelBanditConfig
from .learnability import LearnabilityAlgorithm, LearnabilityConfig
from .learning_progress import LearningProgressAlgorithm, LearningProgressConfig
from .noise_aware import NoiseAwareAlgorithm, NoiseAwareConfig
from .prioritized_level_replay import PrioritizedLevelReplayAlgorithm, PrioritizedLevelReplayConfig
from .protocol import Algorithm as Algorithm
from .sequential import SequentialAlgorithm, SequentialConfig
from .target_schedule import TargetScheduleAlgorithm, TargetScheduleConfig
from .teacher_student import TeacherStudentAlgorithm, TeacherStudentConfig
from .thompson import ThompsonAlgorithm, ThompsonConfig
from .uniform import UniformAlgorithm, UniformConfig
from .weighted import WeightedAlgorithm, WeightedConfig

_ALGORITHMS: Mapping[type[CurriculumConfig], Callable[[Any], Algorithm]] = {
    AccelConfig: PrioritizedLevelReplayAlgorithm,
    AlpGmmConfig: AlpGmmAlgorithm,
    Exp3SConfig: Exp3SAlgorithm,
    LabelBanditConfig: LabelBanditAlgorithm,
    LearnabilityConfig: LearnabilityAlgorithm,
    LearningProgressConfig: LearningProgressAlgorithm,
    NoiseAwareConfig: NoiseAwareAlgorithm,
    PrioritizedLevelReplayConfig: PrioritizedLevelReplayAlgorithm,
    SequentialConfig: SequentialAlgorithm,
    TargetScheduleConfig: TargetScheduleAlgorithm,
    TeacherStudentConfig: TeacherStudentAlgorithm,
    ThompsonConfig: ThompsonAlgorithm,
    UniformConfig: UniformAlgorithm,
    WeightedConfig: WeightedAlgorithm,
}
"""Config class -> algorithm class."""


def create_algorithm(config: CurriculumConfig) -> Algorithm:
    """The algorithm that `config`, or the nearest of its base classes, is the configuration of.

    Raises `TypeError` if it is of none in the box; pass your own algorithm to `Curriculum` as an object.
    """
    for cls in type(config).__mro__:
        if cls in _ALGORITHMS:
            return _ALGORITHMS[cls](config)
    raise TypeError(
        f"config: expected the config of an algorithm in the box ({', '.join(cls.__name__ for cls in _ALGORITHMS)}), "
        f"got {type(config).__name__}; use one of them, or pass Curriculum(config, algorithm=...)"
    )


AnyCurriculumConfig = Annotated[
    AccelConfig
    | AlpGmmConfig
    | Exp3SConfig
    | LabelBanditConfig
    | LearnabilityConfig
    | LearningProgressConfig
    | NoiseAwareConfig
    | PrioritizedLevelReplayConfig
    | SequentialConfig
    | TargetScheduleConfig
    | TeacherStudentConfig
    | ThompsonConfig
    | UniformConfig
    | WeightedConfig,
    Field(discriminator="algorithm"),
]
"""The config of any algorithm in the box, told apart by its `algorithm` field; for files."""


def load_config(data: Mapping[str, Any]) -> CurriculumConfig:
    """The config that ``model_dump(mode="json")`` of a config in the box gave.

    Raises `ValueError` for an unknown algorithm, an unknown field or a wrong value.
    """
    adapter: TypeAdapter[CurriculumConfig] = TypeAdapter(AnyCurriculumConfig)
    return adapter.validate_python(data)
