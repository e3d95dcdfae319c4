"""`Pace`: which nodes the hub has heard, when a refresh may follow, and how long a node should wait."""

import time

MIN_WAIT = 0.05
"""Shortest time between two exchanges of a node, in seconds, unless something is urgent."""

MAX_WAIT = 2.5
"""Longest time between two exchanges of a node, in seconds. It is shorter than `SILENCE`, so that a node that waits is
no silent one."""

SILENCE = 5.0
"""Time without a request, in seconds, after which a refresh does not wait for a node."""


class Pace:
    """Clocks and costs of the exchanges between a hub and its nodes."""

    def __init__(self) -> None:
        self._heard: dict[int, float] = {}
        self._spoken: set[int] = set()
        self.cost: float = 0.0
        """Average cost of an exchange, in seconds."""

    def hear(self, number: int) -> None:
        """Notes a request of a node."""
        self._heard[number] = time.monotonic()
        self._spoken.add(number)

    def forget(self, number: int) -> None:
        """Notes that a node is dead, until it is heard again."""
        self._heard.pop(number, None)

    def spend(self, seconds: float, num_requests: int) -> None:
        """Notes the time in which several requests were answered."""
        self.cost += 0.1 * (seconds / max(1, num_requests) - self.cost)

    def begin_round(self) -> None:
        """Notes a refresh: each node learns of it with its next request."""
        self._spoken.clear()

    def is_round(self) -> bool:
        """Returns whether all living nodes have sent a request since the last refresh, and so know it."""
        now = time.monotonic()
        return all(number in self._spoken or now - heard >= SILENCE for number, heard in self._heard.items())

    def wait(self) -> float:
        """Returns the time in seconds after which a node should come again: the hub is busy for half of it at most."""
        now = time.monotonic()
        num_living = sum(now - heard < SILENCE for heard in self._heard.values())
        return min(max(MIN_WAIT, 2 * self.cost * num_living), MAX_WAIT)
