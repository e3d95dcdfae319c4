"""Curricular decides what a learning agent should train on next."""

from .algorithms.accel import AccelConfig
from .algorithms.alp_gmm import AlpGmmAlgorithm, AlpGmmConfig
from .algorithms.exp3s import Exp3SAlgorithm, Exp3SConfig
from .algorithms.label_bandit import LabelBanditAlgorithm, LabelBanditConfig
from .algorithms.learnability import LearnabilityAlgorithm, LearnabilityConfig
from .algorithms.learning_progress import LearningProgressAlgorithm, LearningProgressConfig
from .algorithms.modifiers import Cost, Interest, ModifiedAlgorithm, Modifier, Prerequisites, Quotas
from .algorithms.noise_aware import NoiseAwareAlgorithm, NoiseAwareConfig
from .algorithms.prioritized_level_replay import PrioritizedLevelReplayAlgorithm, PrioritizedLevelReplayConfig
from .algorithms.proposals import FreshProposer, NewTasks, Proposer
from .algorithms.protocol import Algorithm
from .algorithms.registry import AnyCurriculumConfig, create_algorithm, create_proposer
from .algorithms.sequential import SequentialAlgorithm, SequentialConfig
from .algorithms.target_schedule import TargetScheduleAlgorithm, TargetScheduleConfig
from .algorithms.teacher_student import TeacherStudentAlgorithm, TeacherStudentConfig
from .algorithms.thompson import ThompsonAlgorithm, ThompsonConfig
from .algorithms.uniform import UniformAlgorithm, UniformConfig
from .algorithms.weighted import WeightedAlgorithm, WeightedConfig
from .backends.catalogue import SessionInfo, list_sessions, remove_session
from .backends.journal import CorruptTableError
from .backends.layout import SessionError, SessionMismatchError
from .backends.local import LocalMemoryBackend
from .backends.protocol import Backend
from .backends.session import LockTimeoutError
from .backends.shared import SharedMemoryBackend
from .checkpoint import CheckpointError
from .config import CurriculumConfig, MeanOfFirst
from .curriculum import Curriculum
from .generators import (
    BucketedTaskGenerator,
    MutableTaskGenerator,
    SingleTaskGenerator,
    TaskGenerator,
    TaskGeneratorSet,
    bucketed,
    dump_task_generator,
    load_task_generator,
    merge,
    single_task,
)
from .handouts import TaskBuildError
from .rows import TaskState
from .task import Axis, Span, Task
from .tracker import TaskTracker, create_task_tracker

__all__ = [
    "AccelConfig",
    "Algorithm",
    "AlpGmmAlgorithm",
    "AlpGmmConfig",
    "AnyCurriculumConfig",
    "Axis",
    "Backend",
    "BucketedTaskGenerator",
    "CheckpointError",
    "CorruptTableError",
    "Cost",
    "Curriculum",
    "CurriculumConfig",
    "Exp3SAlgorithm",
    "Exp3SConfig",
    "FreshProposer",
    "Interest",
    "LabelBanditAlgorithm",
    "LabelBanditConfig",
    "LearnabilityAlgorithm",
    "LearnabilityConfig",
    "LearningProgressAlgorithm",
    "LearningProgressConfig",
    "LocalMemoryBackend",
    "LockTimeoutError",
    "MeanOfFirst",
    "ModifiedAlgorithm",
    "Modifier",
    "MutableTaskGenerator",
    "NewTasks",
    "NoiseAwareAlgorithm",
    "NoiseAwareConfig",
    "Prerequisites",
    "PrioritizedLevelReplayAlgorithm",
    "PrioritizedLevelReplayConfig",
    "Proposer",
    "Quotas",
    "SequentialAlgorithm",
    "SequentialConfig",
    "SessionError",
    "SessionInfo",
    "SessionMismatchError",
    "SharedMemoryBackend",
    "SingleTaskGenerator",
    "Span",
    "TargetScheduleAlgorithm",
    "TargetScheduleConfig",
    "Task",
    "TaskBuildError",
    "TaskGenerator",
    "TaskGeneratorSet",
    "TaskState",
    "TaskTracker",
    "TeacherStudentAlgorithm",
    "TeacherStudentConfig",
    "ThompsonAlgorithm",
    "ThompsonConfig",
    "UniformAlgorithm",
    "UniformConfig",
    "WeightedAlgorithm",
    "WeightedConfig",
    "bucketed",
    "create_algorithm",
    "create_proposer",
    "create_task_tracker",
    "dump_task_generator",
    "list_sessions",
    "load_task_generator",
    "merge",
    "remove_session",
    "single_task",
]
