"""The tasks of the environments within a `PufferEnv`: those in play, and those applied one episode ahead."""

from collections.abc import Callable, Iterable, Sequence
from itertools import repeat
from typing import Any, Generic

from ..curriculum import Curriculum
from ..task import ConfigT, Task
from .episodes import Handouts
from .spaces import SpacesDifferError, check_spaces

__all__ = ["EnvTasks"]


class EnvTasks(Generic[ConfigT]):
    """Hands out tasks to environments by index, and checks that no task changes the spaces.

    Args:
        curriculum: Where tasks come from.
        handouts: Where they end.
        put: Applies a task to the environment with this index.
        spaces_of: Returns what must be the same for all tasks, by name; None: of the environment as it was wrapped.
        is_ahead: Whether each task is applied one episode ahead.
    """

    def __init__(
        self,
        curriculum: Curriculum[ConfigT],
        handouts: Handouts[ConfigT],
        put: Callable[[Task[ConfigT], int], None],
        spaces_of: Callable[[Task[ConfigT] | None], dict[str, Any]],
        *,
        is_ahead: bool,
    ) -> None:
        self._curriculum = curriculum
        self._handouts = handouts
        self._put = put
        self._spaces_of = spaces_of
        self._spaces = spaces_of(None)
        self._is_ahead = is_ahead
        self._coming: dict[int, Task[ConfigT]] = {}
        self.playing: dict[int, Task[ConfigT]] = {}
        """Index of an environment -> the task of its episode in play."""
        self.applied: list[Task[ConfigT]] = []
        """Tasks that were applied, and that the environments have not restarted with yet."""

    def hand_out(self, indices: Iterable[int]) -> None:
        """Asks for a task for each environment that has none, and applies it.

        Raises:
            EnvironmentFailedError: If `put` raised on `max_failures` different tasks in a row.
            SpacesDifferError: If a task changes the spaces. All episodes are cancelled.
        """
        self._hand_out(indices, self.playing)

    def hand_out_ahead(self, indices: Iterable[int]) -> None:
        """Hands out the tasks of the episodes after those in play, if tasks are applied one episode ahead."""
        if self._is_ahead:
            self._hand_out(indices, self._coming)

    def forget(self, ended: list[int]) -> None:
        """Removes the tasks of the environments in `ended`, which were told or cancelled, if they are still there."""
        # A single step of the interpreter, so that a signal cannot interrupt it halfway.
        list(map(self.playing.pop, ended, repeat(None)))

    def follow(self, ended: list[int]) -> None:
        """Begins the episodes that follow those in `ended`, after `forget`, and hands out the next tasks."""
        if self._is_ahead:
            self.playing.update(zip(ended, map(self._coming.pop, ended), strict=True))
            self._check([self.playing[index] for index in ended])  # they have restarted within this step
        self._hand_out(ended, self._coming if self._is_ahead else self.playing)

    def check_restarted(self) -> None:
        """Checks the spaces once more, after environments restarted with the tasks that were applied.

        Raises:
            SpacesDifferError: If a task changed the spaces. All episodes are cancelled.
        """
        if self.applied:
            tasks, self.applied = self.applied, []
            self._check(tasks)

    def cancel_all(self, reason: str) -> list[Task[ConfigT]]:
        """Cancels, removes and returns all tasks that were handed out, those in play first."""
        tasks = [*self.playing.values(), *self._coming.values()]
        if tasks:
            self._handouts.cancel(tasks, reason)
        self.playing.clear()
        self._coming.clear()
        self.applied.clear()
        return tasks

    def _hand_out(self, indices: Iterable[int], tasks: dict[int, Task[ConfigT]]) -> None:
        for index in indices:
            while index not in tasks:
                # Entered first: if an interrupt ends `put`, close() still cancels the task.
                task = tasks[index] = self._curriculum.get_task()
                try:
                    self._put(task, index)
                except Exception as error:  # noqa: BLE001 -- an environment may raise anything; it is logged, then chained
                    self._handouts.cancel([task], "failed")
                    del tasks[index]
                    self._handouts.report_failed([task], error)
                    continue
                if tasks is self.playing:
                    self.applied.append(task)
                self._check([task])

    def _check(self, tasks: Sequence[Task[ConfigT]]) -> None:
        try:
            check_spaces(self._spaces, self._spaces_of(tasks[0]), tasks)
        except SpacesDifferError:
            self.cancel_all("failed")
            raise
