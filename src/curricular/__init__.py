"""Curricular decides what a learning agent should train on next."""

from .algorithms import Algorithm, AnyCurriculumConfig, create_algorithm
from .algorithms.learning_progress import LearningProgressAlgorithm, LearningProgressConfig
from .algorithms.uniform import UniformAlgorithm, UniformConfig
from .backends import Backend
from .backends.local import LocalMemoryBackend
from .builder import TaskBuildError
from .checkpoint import CheckpointError
from .config import CurriculumConfig, MeanOfFirst
from .curriculum import Curriculum
from .generators import (
    BucketedTaskGenerator,
    SingleTaskGenerator,
    TaskGenerator,
    TaskGeneratorSet,
    bucketed,
    dump_task_generator,
    load_task_generator,
    merge,
    single_task,
)
from .task import Axis, Span, Task, TaskState
from .tracker import TaskTracker, create_task_tracker

__all__ = [
    "Algorithm",
    "AnyCurriculumConfig",
    "Axis",
    "Backend",
    "BucketedTaskGenerator",
    "CheckpointError",
    "Curriculum",
    "CurriculumConfig",
    "LearningProgressAlgorithm",
    "LearningProgressConfig",
    "LocalMemoryBackend",
    "MeanOfFirst",
    "SingleTaskGenerator",
    "Span",
    "Task",
    "TaskBuildError",
    "TaskGenerator",
    "TaskGeneratorSet",
    "TaskState",
    "TaskTracker",
    "UniformAlgorithm",
    "UniformConfig",
    "bucketed",
    "create_algorithm",
    "create_task_tracker",
    "dump_task_generator",
    "load_task_generator",
    "merge",
    "single_task",
]
