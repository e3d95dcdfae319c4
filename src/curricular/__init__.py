"""Curricular decides what a learning agent should train on next."""

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from .algorithms.noise_aware import NoiseAwareConfig
from .algorithms.proposals import FreshProposer, NewTasks, Proposer
from .algorithms.protocol import Algorithm
from .algorithms.registry import REGISTRY as _REGISTRY
from .algorithms.registry import AnyCurriculumConfig, create_algorithm, create_proposer, load_config
from .backends.catalogue import SessionInfo, list_sessions, remove_session
from .backends.journal import CorruptTableError
from .backends.layout import SessionError, SessionMismatchError
from .backends.local import LocalMemoryBackend
from .backends.protocol import Backend
from .backends.session import LockTimeoutError
from .backends.shared import SharedMemoryBackend
from .building import TaskBuildError
from .checkpoint import CheckpointError
from .config import CurriculumConfig, MeanOfFirst
from .curriculum import Curriculum
from .generators import (
    BucketedTaskGenerator,
    MutableTaskGenerator,
    SequenceTaskGenerator,
    SingleTaskGenerator,
    TaskGenerator,
    TaskGeneratorSet,
    bucketed,
    dataset,
    dump_task_generator,
    load_task_generator,
    merge,
    single_task,
)
from .mutex import ReentrantCallError
from .refresh import RefreshError
from .rows import TaskState
from .storage import create_task_tracker
from .table import LedgerFullError
from .task import Axis, Batch, Span, Task
from .tracker import TaskTracker
from .views import TaskView

if TYPE_CHECKING:
    from .algorithms.accel import AccelConfig
    from .algorithms.adr import AdrConfig, Interval
    from .algorithms.alp_gmm import AlpGmmConfig
    from .algorithms.exp3s import Exp3SConfig
    from .algorithms.label_bandit import LabelBanditConfig
    from .algorithms.learnability import LearnabilityConfig
    from .algorithms.learning_progress import LearningProgressAlgorithm, LearningProgressConfig
    from .algorithms.modifiers import CoolDown, Cost, Interest, ModifiedAlgorithm, Modifier, Prerequisites, Quotas
    from .algorithms.pfsp import PfspConfig
    from .algorithms.prioritized_level_replay import PrioritizedLevelReplayConfig
    from .algorithms.riac import RiacConfig
    from .algorithms.sequential import SequentialConfig, Stage
    from .algorithms.target_schedule import TargetScheduleConfig
    from .algorithms.teacher_student import TeacherStudentConfig
    from .algorithms.thompson import ThompsonConfig
    from .algorithms.traced import TracedConfig
    from .algorithms.uniform import UniformConfig
    from .algorithms.weighted import WeightedConfig
else:
    # PEP 562: these are imported when they are first used, which keeps `import curricular` cheap.
    _MODULES = {entry.config_name: entry.tag for entry in _REGISTRY}
    _MODULES |= {"Interval": "adr", "LearningProgressAlgorithm": "learning_progress", "Stage": "sequential"}
    _MODULES |= dict.fromkeys(
        ("CoolDown", "Cost", "Interest", "ModifiedAlgorithm", "Modifier", "Prerequisites", "Quotas"), "modifiers"
    )

    def __getattr__(name: str) -> Any:
        if name not in _MODULES:
            message = f"module {__name__!r} has no attribute {name!r}"
            raise AttributeError(message, name=name, obj=sys.modules[__name__])
        value = globals()[name] = getattr(import_module(f".algorithms.{_MODULES[name]}", __name__), name)
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})


__version__ = "0.1.0"

__all__ = [
    "AccelConfig",
    "AdrConfig",
    "Algorithm",
    "AlpGmmConfig",
    "AnyCurriculumConfig",
    "Axis",
    "Backend",
    "Batch",
    "BucketedTaskGenerator",
    "CheckpointError",
    "CoolDown",
    "CorruptTableError",
    "Cost",
    "Curriculum",
    "CurriculumConfig",
    "Exp3SConfig",
    "FreshProposer",
    "Interest",
    "Interval",
    "LabelBanditConfig",
    "LearnabilityConfig",
    "LearningProgressAlgorithm",
    "LearningProgressConfig",
    "LedgerFullError",
    "LocalMemoryBackend",
    "LockTimeoutError",
    "MeanOfFirst",
    "ModifiedAlgorithm",
    "Modifier",
    "MutableTaskGenerator",
    "NewTasks",
    "NoiseAwareConfig",
    "PfspConfig",
    "Prerequisites",
    "PrioritizedLevelReplayConfig",
    "Proposer",
    "Quotas",
    "ReentrantCallError",
    "RefreshError",
    "RiacConfig",
    "SequenceTaskGenerator",
    "SequentialConfig",
    "SessionError",
    "SessionInfo",
    "SessionMismatchError",
    "SharedMemoryBackend",
    "SingleTaskGenerator",
    "Span",
    "Stage",
    "TargetScheduleConfig",
    "Task",
    "TaskBuildError",
    "TaskGenerator",
    "TaskGeneratorSet",
    "TaskState",
    "TaskTracker",
    "TaskView",
    "TeacherStudentConfig",
    "ThompsonConfig",
    "TracedConfig",
    "UniformConfig",
    "WeightedConfig",
    "bucketed",
    "create_algorithm",
    "create_proposer",
    "create_task_tracker",
    "dataset",
    "dump_task_generator",
    "list_sessions",
    "load_config",
    "load_task_generator",
    "merge",
    "remove_session",
    "single_task",
]
