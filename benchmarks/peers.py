"""Other libraries' own code as choices of tasks, for `choice_peers.py`: ask for tasks, tell a score.

Syllabus comes from the package index. ALP-GMM is in TeachMyAgent (MIT licence), which has no package: the folder of a
checkout is given on the command line.
"""

import importlib
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import gymnasium
import numpy as np
import torch
from numpy.typing import NDArray

from curricular import Task, UniformConfig
from curricular.demo import ppo
from curricular.demo.state import SavedTraining
from curricular.demo.tasks import EnvPool, Level

with np.errstate():  # Syllabus makes NumPy raise on underflow when it is imported
    from cost_peers import PatchedProgress
    from syllabus.curricula import Learnability, TaskSampler
    from syllabus.task_space import DiscreteTaskSpace

PROGRESS_RESULTS, EVALUATION_RESULTS = 2, 16
"""Results per task of the pool between two updates of Syllabus' success rates: for learning progress, which counts only
the results between, and for learnability, which then plays as many episodes of every task. The best of 1, 2, 4 and 16,
and of 4 and 16, on seeds 1 and 3 of six scenarios; the learners of the benchmark have even seeds."""
RATE = 0.1
"""Rate of the running success rates from which Syllabus' level replay gets its regrets."""


@dataclass(frozen=True)
class Tasks:
    """What a choice may know before it starts."""

    num_tasks: int
    seed: int
    params: NDArray[np.float64]
    """Value of each task on each axis, shape (num_tasks, num_axes)."""
    evaluate: Callable[[], NDArray[np.float64]] | None = None
    """Plays an episode of every task, which counts no steps, and returns the successes; None: not possible."""


class Choice(Protocol):
    """A choice of tasks by number."""

    def ask(self, n: int) -> list[int]:
        """Returns the numbers of the next `n` tasks."""
        ...

    def tell(self, task: int, score: float) -> None:
        """Receives a score in [0, 1]."""


class SyllabusProgress:
    """`OnlineLearningProgress` with its defaults: learning progress from the results of training."""

    def __init__(self, tasks: Tasks) -> None:
        np.random.seed(tasks.seed % 2**32)  # noqa: NPY002  # Syllabus draws from the global stream
        self._curriculum = PatchedProgress(
            DiscreteTaskSpace(tasks.num_tasks), update_interval=PROGRESS_RESULTS * tasks.num_tasks
        )

    def ask(self, n: int) -> list[int]:
        return [int(task) for task in self._curriculum.sample(n)]

    def tell(self, task: int, score: float) -> None:
        success = float(score > 0.5)  # Syllabus counts successes, 0 or 1
        self._curriculum.update_task_progress(task, success)
        self._curriculum.update_on_episode(success, 1, task, success)


class SyllabusReplay:
    """`TaskSampler`, Syllabus' prioritised level replay; told the value loss of a perfect critic.

    Settings are its defaults but for the schedule: with the default "proportionate" it sends levels to an evaluator.

    Args:
        tasks: The tasks.
        rate: Rate of the running success rates.
        settings: Settings of `TaskSampler`.
    """

    def __init__(self, tasks: Tasks, *, rate: float = RATE, **settings: Any) -> None:
        np.random.seed(tasks.seed % 2**32)  # noqa: NPY002
        self._sampler = TaskSampler(list(range(tasks.num_tasks)), num_steps=1, replay_schedule="fixed", **settings)
        self._rate = rate
        self._success = np.zeros(tasks.num_tasks)
        self._num_results = np.zeros(tasks.num_tasks)

    def ask(self, n: int) -> list[int]:
        return [self._sampler.sample() for _ in range(n)]

    def tell(self, task: int, score: float) -> None:
        self._num_results[task] += 1
        self._success[task] += max(self._rate, 1 / self._num_results[task]) * (score - self._success[task])
        regret = self._success[task] * (1 - self._success[task])
        self._sampler.update_task_score(0, task, regret, regret, 1)


class SyllabusLearnability:
    """`Learnability` by success rates of evaluations, which its design asks for, and which count no steps here.

    Draws in proportion to p(1 - p), since the default draws the best 1,000 tasks evenly: here, all.
    """

    def __init__(self, tasks: Tasks) -> None:
        if tasks.evaluate is None:
            raise ValueError("syllabus-learnability: expected free evaluations of every task, got none; leave it out")
        np.random.seed(tasks.seed % 2**32)  # noqa: NPY002
        self._evaluate = tasks.evaluate
        self._curriculum = Learnability(
            self,
            DiscreteTaskSpace(tasks.num_tasks),
            sampling="dist",
            eval_interval=EVALUATION_RESULTS * tasks.num_tasks,
            eval_eps=EVALUATION_RESULTS,
        )

    def evaluate_agent(self, num_episodes: int, *, verbose: bool) -> tuple[None, Any, Any, None]:
        """Stands for Syllabus' `Evaluator`, which plays every task."""
        rates = np.mean([self._evaluate() for _ in range(num_episodes)], axis=0)
        return None, rates, rates, None

    def ask(self, n: int) -> list[int]:
        # Its `sample` compares an array with a list, which NumPy 2 refuses.
        drawn = np.random.choice(  # noqa: NPY002
            self._curriculum.num_tasks,
            size=n,
            p=self._curriculum._sample_distribution(),  # noqa: SLF001
        )
        return [int(task) for task in drawn]

    def tell(self, task: int, score: float) -> None:
        self._curriculum.update_on_episode(score, 1, task, score)


class AlpGmm:
    """`ALPGMM` of TeachMyAgent with its defaults; a point between the tasks is the nearest task of a full grid."""

    def __init__(self, tasks: Tasks, checkout: Path) -> None:
        low, high = tasks.params.min(axis=0), tasks.params.max(axis=0)
        shape = (high - low + 1).astype(int)
        if not tasks.params.shape[1] or shape.prod() != tasks.num_tasks:
            raise ValueError(
                "alp-gmm: expected a task at each point of a grid of whole numbers, got others; leave it out"
            )
        sys.path.append(str(checkout))
        sys.modules.setdefault("gym", gymnasium)  # it needs only the class Box
        sys.modules.setdefault("gym.spaces", gymnasium.spaces)
        module = importlib.import_module("TeachMyAgent.teachers.algos.alp_gmm")
        self._low, self._params = low, tasks.params
        self._numbers = np.empty(shape, np.int64)
        self._numbers[tuple((tasks.params - low).astype(int).T)] = np.arange(tasks.num_tasks)
        self._teacher = module.ALPGMM(low, high, tasks.seed % 2**31 + 1, 0.0, 1.0)

    def ask(self, n: int) -> list[int]:
        points = np.array([self._teacher.sample_task() for _ in range(n)])
        return [int(number) for number in self._numbers[tuple((points - self._low).round().astype(int).T)]]

    def tell(self, task: int, score: float) -> None:
        self._teacher.episodic_update(self._params[task], score, score > 0.5)


PEERS: Mapping[str, Callable[[Tasks], Choice]] = {
    "syllabus-progress": SyllabusProgress,
    "syllabus-replay": SyllabusReplay,
    "syllabus-learnability": SyllabusLearnability,
}
"""Peers by name that install from the package index."""


# ── A peer in the place of a curriculum ──────────────────────────────────────────────────────────


class AgentInTraining(SavedTraining):
    """Plays levels with the agent of a running `ppo.train`, for a peer that evaluates it."""

    def __init__(self, levels: Sequence[Level], seed: int) -> None:
        self._levels, self._pool = levels, EnvPool()
        torch.manual_seed(seed)  # the agent with which `ppo.train` begins
        self._agent = ppo.Agent(ppo.Settings().hidden)
        self._weights = self._agent.state_dict()
        self._rng = np.random.default_rng(seed)

    def read(self) -> None:
        """Returns None: there is nothing to resume."""

    def write(self, number: int, curriculum: object, state: dict[str, Any]) -> None:
        """Takes the agent's tensors, whose values change as it learns."""
        self._weights = state["agent"]

    def evaluate(self) -> NDArray[np.float64]:
        """Returns the success of an episode of each level."""
        self._agent.load_state_dict(self._weights)
        rates = ppo.evaluate(self._agent, self._levels, 1, self._pool, seed=int(self._rng.integers(2**31)))
        return np.array([rates[level.name] for level in self._levels])


class PeerTeacher:
    """A peer as the teacher of a simulated learner."""

    def __init__(self, choice: Choice) -> None:
        self._choice = choice

    def ask(self, n: int) -> NDArray[np.int64]:
        return np.array(self._choice.ask(n), np.int64)

    def tell(self, numbers: NDArray[np.int64], scores: NDArray[np.float64]) -> None:
        for number, score in zip(numbers.tolist(), scores.tolist(), strict=True):
            self._choice.tell(number, score)


class PeerCurriculum:
    """A peer with the methods of a `Curriculum` that the two trainers call."""

    def __init__(self, choice: Choice, configs: Sequence[Any]) -> None:
        self.config = UniformConfig(num_active_tasks=len(configs))
        self._choice = choice
        self._tasks = [Task(number, config) for number, config in enumerate(configs)]

    def ask(self, n: int) -> list[Task[Any]]:
        return [self._tasks[number] for number in self._choice.ask(n)]

    def get_task(self) -> Task[Any]:
        return self.ask(1)[0]

    def update_task_performance(self, task_id: int, score: float) -> None:
        self._choice.tell(task_id, score)

    def tell(self, task_ids: NDArray[np.int64], scores: NDArray[np.float32], *, regrets: object) -> None:
        for task_id, score in zip(task_ids.tolist(), scores.tolist(), strict=True):
            self.update_task_performance(task_id, score)
