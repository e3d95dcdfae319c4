"""`CurriculumSampler` for prime-rl: a `TaskSampler` whose tasks a curriculum chooses."""

from collections import deque
from collections.abc import Sequence
from typing import Any, cast

import numpy as np

try:
    from prime_rl.orchestrator.curriculum import TaskSampler  # pyright: ignore[reportMissingImports]
except ModuleNotFoundError as _error:
    raise ImportError(
        "curricular.trainers.prime_rl needs prime-rl: install it as prime-rl's documentation says"
    ) from _error

from ..algorithms.noise_aware import NoiseAwareConfig
from ..config import CurriculumConfig
from ..curriculum import Curriculum
from ..generators import dataset

__all__ = ["CurriculumSampler"]


class CurriculumSampler(cast(type[object], TaskSampler)):  # type: ignore[misc]
    """A `TaskSampler` whose tasks a curriculum chooses. prime-rl's checkpoint has the curriculum.

    Args:
        tasks: The tasks of an environment, each with a key of its own.
        config: Settings of the curriculum; None: the recommended ones.
        max_age: Number of later hand-outs after which a group that prime-rl has dropped without notice counts as
            expired.

    Raises:
        ValueError: If two tasks have the same key.
    """

    def __init__(self, tasks: Sequence[Any], config: CurriculumConfig | None = None, max_age: int = 8192) -> None:
        self.tasks: Sequence[Any] = tasks
        self.max_age: int = max_age
        self.curriculum: Curriculum[Any] = Curriculum(
            config or NoiseAwareConfig.recommended(), dataset(range(len(tasks)), key=[task.key for task in tasks])
        )
        self._tickets: dict[str, deque[int]] = {}

    def __next__(self) -> Any:
        if self.curriculum.expire(self.max_age):
            self._drop_expired()
        batch = self.curriculum.ask_batch(1)
        task = self.tasks[int(batch.seeds[0])]
        self._tickets.setdefault(task.key, deque()).append(int(batch.tickets[0]))
        return task

    def observe(self, group: list[Any]) -> None:
        """Tells the rewards of a group. Traces with an error count as failed rollouts."""
        traces = [trace for episode in group for trace in episode.traces if trace.agent.trainable]
        if traces and (tickets := self._tickets.get(group[0].task.key)):
            rewards = [np.nan if trace.has_error else trace.reward for trace in traces]
            self.curriculum.tell_batch([tickets.popleft()], [rewards])

    def _drop_expired(self) -> None:
        """Forgets the tickets that have expired, so that the next group of a task is told under an open one."""
        is_open = set(self.curriculum.open_handouts().tickets.tolist()).__contains__
        kept = {key: deque(filter(is_open, tickets)) for key, tickets in self._tickets.items()}
        self._tickets = {key: tickets for key, tickets in kept.items() if tickets}

    def state_dict(self) -> dict[str, Any]:
        """Returns the state of the curriculum. Tasks in flight come first after a load."""
        return self.curriculum.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Resumes from a state."""
        self.curriculum.load_state_dict(state_dict)
        self._tickets.clear()

    def metrics(self) -> dict[str, float]:
        """Returns the numbers of tasks asked for, told, cancelled and open."""
        names, stats = ("scheduled", "completed", "cancelled", "open"), self.curriculum.stats()
        return {f"num_{name}": stats[f"num_{name}"] for name in names}
