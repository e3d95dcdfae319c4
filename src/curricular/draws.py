"""`Draws`: the next task ids from a stream of random numbers."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .backends.protocol import Backend
from .building import TaskCache
from .probabilities import clock_order, pick_distinct
from .streams import UNIFORM_BLOCK, Purpose, stream_key, uniform_block


class Draws:
    """A position in a stream of uniforms, and the tasks that the next uniforms select.

    Looking at tasks does not move the position; `advance` does. So a caller that fails in between can try again. A task
    is a function of stream, position and distribution, so the state of the draws is two integers.

    Args:
        backend: Holds the distribution, and issues the streams.
        seed: Seed of the selection.
        tasks: The tasks built so far. They follow the table with the draws.
    """

    def __init__(self, backend: Backend, seed: int, tasks: TaskCache[Any]) -> None:
        self._backend = backend
        self._seed = seed
        self._tasks = tasks
        self._holder = backend.add_holder()
        self._issued = -1
        self._block: list[int] = []
        self._offset = 0
        self._epoch = -1
        self.follow()

    @property
    def stream(self) -> int:
        """Number of the stream."""
        return self._stream

    @property
    def position(self) -> int:
        """Number of uniforms used so far."""
        return self._position

    def seek(self, stream: int, position: int) -> None:
        """Continues at a position of a stream, which no other process may use."""
        self._issued = self._backend.stream
        self._start(stream, position)

    def advance(self, count: int) -> None:
        """Moves the position by `count` uniforms."""
        self._position += count
        self._offset += count

    def peek(self) -> int:
        """Returns the id of the next task."""
        if self._offset >= len(self._block) or self._backend.epoch != self._epoch:
            self.follow()
            ids, epoch = self._backend.draw(self.uniforms(0, DRAW_AHEAD))
            self._tasks.follow()  # again: the epoch of the draw may be a newer one
            self._block, self._offset, self._epoch = ids.tolist(), 0, epoch
        return self._block[self._offset]

    def look(self, n: int) -> tuple[NDArray[np.int64], int]:
        """Returns the ids of the next `n` tasks, shape (n,), and the number of uniforms to advance by: n."""
        self.follow()
        return self._backend.draw(self.uniforms(0, n))[0], n

    def look_distinct(self, n: int) -> tuple[NDArray[np.int64], int]:
        """Returns `n` ids drawn without replacement, shape (n,), and the number of uniforms to advance by."""
        self.follow()
        backend, capacity = self._backend, self._backend.capacity
        slots, num_draws = pick_distinct(
            n, capacity, self.uniforms, lambda uniforms: backend.draw(uniforms)[0] % capacity, self._ordered
        )
        return backend.newest_ids(slots), num_draws

    def _ordered(self, uniforms: NDArray[np.float64]) -> NDArray[np.int64]:
        table = self._backend.snapshot()
        return clock_order(table.cumulated, uniforms, table.rows["is_active"])

    def follow(self) -> None:
        """Changes to the stream that the backend issued: at first, in a forked copy, and after a restore.

        The tasks built so far are forgotten if they were rewritten.
        """
        self._tasks.follow()
        if self._backend.stream != self._issued:
            self._issued = self._backend.stream
            self._start(self._issued + self._holder * HOLDER_STRIDE, 0)

    def _start(self, stream: int, position: int) -> None:
        self._stream, self._position = stream, position
        self._key = stream_key(self._seed, Purpose.SELECTION, stream)
        self._cached: tuple[int, NDArray[np.float64]] = (-1, np.empty(0))
        self._epoch = -1

    def uniforms(self, skip: int, n: int) -> NDArray[np.float64]:
        """Returns `n` uniforms of the stream, shape (n,), starting `skip` uniforms after the position."""
        first, offset = divmod(self._position + skip, UNIFORM_BLOCK)
        last = max(first, (self._position + skip + n - 1) // UNIFORM_BLOCK)
        blocks = []
        for block in range(first, last + 1):
            if self._cached[0] != block:
                self._cached = block, uniform_block(self._key, block)
            blocks.append(self._cached[1])
        uniforms = blocks[0] if len(blocks) == 1 else np.concatenate(blocks)
        return uniforms[offset : offset + n]


DRAW_AHEAD = 256
"""Number of tasks that `Draws.peek` draws at once."""


HOLDER_STRIDE = 2**32
"""Difference between the stream numbers of two objects that draw through one backend object."""
