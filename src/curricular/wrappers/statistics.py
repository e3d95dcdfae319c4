"""`PeriodicStats`: the statistics of a curriculum at an interval of its episodes, however many wrappers share it."""

from typing import Any, Literal, TypeAlias
from weakref import WeakKeyDictionary

from ..curriculum import Curriculum

StatsInterval: TypeAlias = int | Literal["auto"] | None
"""Number of told episodes of a curriculum between two reports of its statistics; None: no reports.

``"auto"`` is 100, or an eighth of the size of a larger pool, because statistics take longer for a larger pool. It also
waits until the episodes have 2,000 steps together, because statistics take longer than some short episodes."""

SHORTEST = 100
"""Minimum of ``"auto"``, in episodes."""

SHORTEST_STEPS = 2_000
"""Minimum of ``"auto"``, in steps of the environments."""

INTERVALS_PER_POOL = 8
"""In a large pool, ``"auto"`` is the size of the pool divided by this number."""


class _Episodes:
    """The episodes of one curriculum that its wrappers in this process have told since the last report."""

    def __init__(self) -> None:
        self.num_told = 0
        self.num_steps = 0


_episodes: WeakKeyDictionary[Curriculum[Any], _Episodes] = WeakKeyDictionary()


class PeriodicStats:
    """Returns the statistics of a curriculum after every `interval` of its episodes.

    All wrappers of one process count together. In a session with n processes, each process reports after `interval` / n
    of its own episodes, so that all processes together report about once per `interval`.

    Args:
        curriculum: The curriculum.
        interval: Number of told episodes between two reports, a `StatsInterval`.

    Raises:
        ValueError: If `interval` is below 1 or is not a `StatsInterval`.
    """

    def __init__(self, curriculum: Curriculum[Any], interval: int | str | None) -> None:
        self._min_steps = SHORTEST_STEPS if interval == "auto" else 0
        if interval == "auto":
            interval = max(SHORTEST, curriculum.tracker.capacity // INTERVALS_PER_POOL)
        if interval is not None and (isinstance(interval, str) or interval < 1):
            raise ValueError(
                f"stats_interval: expected 'auto' or at least 1 episode, got {interval!r}; None switches statistics off"
            )
        self._curriculum = curriculum
        self._backend = curriculum.tracker.backend
        self._interval = interval
        self._episodes = _episodes.setdefault(curriculum, _Episodes())

    def after_episode(self, num_steps: int) -> dict[str, float] | None:
        """Counts one told episode of `num_steps` steps, and returns the statistics if they are due."""
        if self._interval is None:
            return None
        told = self._episodes
        told.num_told += 1
        told.num_steps += num_steps
        num_workers = self._backend.num_workers
        if told.num_told < self._interval // num_workers or told.num_steps < self._min_steps // num_workers:
            return None
        told.num_told = told.num_steps = 0
        return self._curriculum.stats()
