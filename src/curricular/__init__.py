"""Curricular decides what a learning agent should train on next."""

from .algorithms import registry as _registry
from .algorithms.learning_progress import LearningProgressAlgorithm
from .algorithms.modifiers import CoolDown, Cost, Interest, ModifiedAlgorithm, Modifier, Prerequisites, Quotas
from .algorithms.proposals import FreshProposer, NewTasks, Proposer
from .algorithms.protocol import Algorithm
from .algorithms.registry import *
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
from .handouts import TaskBuildError
from .mutex import ReentrantCallError
from .refresh import RefreshError
from .rows import TaskState
from .table import LedgerFullError
from .task import Axis, Batch, Span, Task
from .tracker import TaskTracker, create_task_tracker
from .views import TaskView

__version__ = "0.1.0"

__all__ = [
    "Algorithm",
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
    "FreshProposer",
    "Interest",
    "LearningProgressAlgorithm",
    "LedgerFullError",
    "LocalMemoryBackend",
    "LockTimeoutError",
    "MeanOfFirst",
    "ModifiedAlgorithm",
    "Modifier",
    "MutableTaskGenerator",
    "NewTasks",
    "Prerequisites",
    "Proposer",
    "Quotas",
    "ReentrantCallError",
    "RefreshError",
    "SequenceTaskGenerator",
    "SessionError",
    "SessionInfo",
    "SessionMismatchError",
    "SharedMemoryBackend",
    "SingleTaskGenerator",
    "Span",
    "Task",
    "TaskBuildError",
    "TaskGenerator",
    "TaskGeneratorSet",
    "TaskState",
    "TaskTracker",
    "TaskView",
    "bucketed",
    "create_task_tracker",
    "dataset",
    "dump_task_generator",
    "list_sessions",
    "load_task_generator",
    "merge",
    "remove_session",
    "single_task",
]
__all__ += _registry.__all__
