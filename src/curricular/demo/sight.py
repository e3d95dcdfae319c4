"""The view of a MiniGrid agent, bit-identical to MiniGrid's and faster to compute."""

from collections.abc import Iterator
from functools import cache
from itertools import chain
from typing import Any

import numpy as np
from minigrid.core.constants import DIR_TO_VEC
from minigrid.core.world_object import Wall
from minigrid.minigrid_env import MiniGridEnv

VIEW = 7  # side of the square of cells in view; the agent stands in the middle of the last row
_BITS = tuple(1 << column for column in range(VIEW))
_MIDDLE = VIEW // 2
_OUTSIDE = Wall()
_UNSEEN = (0, 0, 0)
_EMPTY = (1, 0, 0)


@cache
def _window(width: int, height: int, x: int, y: int, direction: int) -> tuple[tuple[int, ...], ...]:
    """Returns the indices in the grid's list of the cells in view, by row, the agent's row first; -1: outside."""
    forward_x, forward_y = (int(step) for step in DIR_TO_VEC[direction])

    def row(ahead: int) -> Iterator[int]:
        for column in range(VIEW):
            aside = column - _MIDDLE
            cell_x = x + forward_x * ahead - forward_y * aside
            cell_y = y + forward_y * ahead + forward_x * aside
            yield cell_y * width + cell_x if 0 <= cell_x < width and 0 <= cell_y < height else -1

    return tuple(tuple(row(ahead)) for ahead in range(VIEW))


@cache
def _spread(seen: int, clear: int) -> tuple[int, int]:
    """Returns the columns visible in a row and in the next row, as bits, by the two passes of `Grid.process_vis`."""
    beyond = 0
    for columns, step in ((range(VIEW - 1), 1), (range(VIEW - 1, 0, -1), -1)):
        for column in columns:
            if seen & clear & _BITS[column]:
                seen |= _BITS[column + step]
                beyond |= _BITS[column] | _BITS[column + step]
    return seen, beyond


class QuickSight(MiniGridEnv):
    """Mixin with a faster `gen_obs`; must precede the environment's class and changes no observation."""

    def gen_obs(self) -> dict[str, Any]:
        """Returns the agent's view ("image", (7, 7, 3) uint8), its "direction" from 0 to 3, and the "mission"."""
        grid = self.grid
        cells: list[Any] = grid.grid  # row by row; None where a cell is empty
        x, y = self.agent_pos
        seen = _BITS[_MIDDLE]
        image = []  # from the agent's row outwards
        for row in _window(grid.width, grid.height, int(x), int(y), int(self.agent_dir)):
            view = [cells[index] if index >= 0 else _OUTSIDE for index in row]
            if self.see_through_walls:
                image += [_EMPTY if cell is None else cell.encode() for cell in view]
                continue
            if not seen:
                image += [_UNSEEN] * VIEW
                continue
            clear = 0
            for bit, cell in zip(_BITS, view, strict=True):
                if cell is None or cell.see_behind():
                    clear |= bit
            seen, beyond = _spread(seen, clear)
            image += [
                _UNSEEN if not seen & bit else _EMPTY if cell is None else cell.encode()
                for bit, cell in zip(_BITS, view, strict=True)
            ]
            seen = beyond
        carried: Any = self.carrying
        image[_MIDDLE] = _EMPTY if carried is None else carried.encode()
        # `image` holds rows from the agent outwards; MiniGrid's order is columns, with the agent's row last.
        pixels = np.frombuffer(bytearray(chain.from_iterable(image)), np.uint8).reshape(VIEW, VIEW, 3)
        return {"image": pixels[::-1].swapaxes(0, 1), "direction": self.agent_dir, "mission": self.mission}
