"""Takes samples of a running session: its content, its live counts and its workers, without joining it."""

import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

from ..backends.catalogue import open_reader
from ..show import Content, content_of
from ..table import CANCELLED, SCHEDULED, TOLD, TOLD_WITH_REGRET


class Sample(NamedTuple):
    """A session at one moment."""

    time: float
    """Seconds since an arbitrary moment."""
    age: float
    """Time since the session was created, in seconds."""
    num_workers: int
    """Number of living processes that hold the session."""
    counts: Mapping[str, float]
    """Hand-outs and results so far, with those that the workers have logged but not taken into the table yet:
    ``scheduled``, ``completed``, ``cancelled``, ``stale``, ``pending`` and ``open``."""
    content: Content
    """The content of the session, from the table."""


class Session:
    """A session that is watched. If its processes end and others start it again, the new session is watched.

    Args:
        name: Name of the session.
        clock: Returns the time in seconds.

    Raises:
        KeyError: If no session has this name.
        SessionError: If the session cannot be read.
    """

    def __init__(self, name: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.name = name
        self._clock = clock
        self._reader = open_reader(name)
        self.cost: float = 0.0
        """CPU time that the last sample took, in seconds."""

    def sample(self) -> Sample:
        """Returns the session now. A session that was removed stays as it was last.

        Raises:
            SessionError: If the session cannot be read.
        """
        start = time.thread_time()
        self._follow()
        reader, info = self._reader, self._reader.info()
        logged, table = reader.logged().tolist(), reader.table()
        content = content_of(f"session {self.name}", reader.settings, table, reader.axes)
        told = logged[TOLD] + logged[TOLD_WITH_REGRET]
        counts = {name: content.stats[f"num_{name}"] for name in ("stale", "open")} | {
            "scheduled": content.stats["num_scheduled"] + logged[SCHEDULED],
            "completed": content.stats["num_completed"] + told,
            "cancelled": content.stats["num_cancelled"] + logged[CANCELLED],
            "pending": content.stats["num_pending"] + logged[SCHEDULED] - told - logged[CANCELLED],
        }
        self.cost = time.thread_time() - start
        return Sample(self._clock(), info.age, info.num_workers, counts, content)

    def _follow(self) -> None:
        """Opens the session of the same name that replaced the one watched, if there is one."""
        if not self._reader.is_in_place():
            try:
                reader = open_reader(self.name)
            except KeyError:
                return
            self._reader.close()
            self._reader = reader

    def close(self) -> None:
        """Releases the session file."""
        self._reader.close()
