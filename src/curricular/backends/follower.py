"""`FollowerBackend`: the session of one node of a cluster. Workers draw and log; the table is a replica of the hub's.

Nothing on a node records a result. Workers move logged events into the outbox, and the agent of the node exchanges
numbered batches for news. docs/cluster-protocol.md describes the protocol.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..table import Table, copy_table
from .layout import TROUBLE_BYTES, SessionError, Spec
from .outbox import OutboxFullError, Standing
from .protocol import ResultT, Transaction
from .session import open_session
from .shared import SharedMemoryBackend, find_session, joined

HUB_TIMEOUT = 10.0
"""Time for which `ask` and `tell` wait for space in the outbox before they raise `HubSilentError`, in seconds."""

ANSWER_TIMEOUT = 60.0
"""Time to wait for an answer of the hub before raising `HubSilentError`, in seconds: a hub that died is started again
meanwhile, which may take Ray more than 10 seconds."""

PAUSE = 0.002
"""Time between two looks at whether the hub has answered, in seconds."""


class HubSilentError(SessionError, TimeoutError):
    """The hub has not confirmed the events of this node in time: hub, agent or the journal's directory may be down."""


class FollowerBackend(SharedMemoryBackend):
    """A worker of the session of a node. `open_follower` and `rejoin_follower` make one."""

    def __reduce__(self) -> tuple[Any, ...]:
        return rejoin_follower, (self._file.path,)

    @property
    def path(self) -> Path:
        """Where the session file is."""
        return self._file.path

    @property
    def spec(self) -> Spec:
        """Sizes and settings of the session."""
        return self._file.spec

    @property
    def follows(self) -> bool:
        return True

    @property
    def standing(self) -> Standing:
        """Where the node stands with its hub, read without the lock: the words may be of two moments."""
        return self._shared.glance_standing()

    def note(self, trouble: str) -> None:
        """Says why the hub cannot be reached, for the errors of the workers. An empty text: it can."""
        self._shared.trouble[0] = trouble.encode()[:TROUBLE_BYTES]

    def apply(self, fn: Callable[[Transaction], ResultT]) -> ResultT:
        deadline = time.monotonic() + HUB_TIMEOUT
        while True:
            try:
                return super().apply(fn)
            except OutboxFullError as error:
                if time.monotonic() > deadline:
                    raise self.silence("space in the outbox", HUB_TIMEOUT) from error
                time.sleep(PAUSE)

    def try_apply(self, fn: Callable[[Transaction], None]) -> bool:
        try:
            return super().try_apply(fn)
        except OutboxFullError:
            return False  # what is logged stays in the logs

    def change_standing(self, change: Callable[[Standing], Standing]) -> Standing:
        """Changes where the node stands with its hub, and returns the new standing."""
        return self.exclusively(lambda transaction: _changed(transaction, change))

    def exclusively(self, fn: Callable[[Any], ResultT]) -> ResultT:
        """Runs `fn` with a `SessionTransaction`, as `apply` does, without waiting for space in the outbox."""
        return super().apply(fn)

    def forward(self) -> None:
        wanted = self.change_standing(lambda now: now._replace(wanted=now.head)).wanted
        self._wait(lambda now: now.tail >= wanted, "its confirmation of a flush")

    def current(self) -> Table:
        self.forward()
        asked = self.change_standing(_asking).asked
        tables: list[Table] = []

        def copy(transaction: Any) -> None:
            nonlocal asked
            standing = transaction.standing
            if standing.whole >= asked:
                tables.append(copy_table(transaction.table))
            elif standing.answered >= asked:  # later news have replaced a part of the table
                asked = _changed(transaction, _asking).asked

        def is_copied(now: Standing) -> bool:
            if now.answered >= asked:
                self.exclusively(copy)
            return bool(tables)

        self._wait(is_copied, "its whole table")
        return tables[0]

    def look(self, fn: Callable[[Table], ResultT]) -> ResultT:
        return fn(self.current())

    def _wait(self, is_done: Callable[[Standing], bool], what: str) -> None:
        deadline = time.monotonic() + ANSWER_TIMEOUT
        while not is_done(self.standing):
            if time.monotonic() > deadline:
                raise self.silence(what, ANSWER_TIMEOUT)
            time.sleep(PAUSE)

    def silence(self, what: str, seconds: float) -> HubSilentError:
        """Returns the error for a hub that has not given `what` within `seconds`."""
        standing = self.standing
        age = time.time() - standing.contact / 1e9
        trouble = self._shared.trouble[0].decode(errors="replace")
        return HubSilentError(
            f"hub {self.spec.follows!r}: expected {what} within {seconds:g} s, got none; its last answer, in term "
            f"{standing.term}, is {age:.0f} s old ({trouble or 'no error was reported'}); nothing is lost, since what "
            f"was told stays in the outbox of this node: call again, or restart the hub or the agent of the node"
        )


def _changed(transaction: Any, change: Callable[[Standing], Standing]) -> Standing:
    standing = change(transaction.standing)
    transaction.stand(standing)
    return standing


def _asking(now: Standing) -> Standing:
    return now._replace(asked=now.asked + 1)


def open_follower(name: str, spec: Spec) -> FollowerBackend:
    """Returns a worker of the follower session `name`, which it creates if needed.

    Raises:
        SessionError: If the session cannot be created, or was created with another spec.
    """
    return joined(FollowerBackend, lambda: open_session(name, spec))


def rejoin_follower(path: Path) -> FollowerBackend:
    """Returns a worker of the follower session at `path`. A pickled backend is unpickled as such a worker.

    Raises:
        SessionError: If the session has ended, or is no follower.
    """
    backend = joined(FollowerBackend, lambda: find_session(path))
    if not backend.spec.follows:
        backend.close()
        raise SessionError(
            f"session {path.name!r}: expected a follower of a hub, got a session of its own; use another"
        )
    return backend
