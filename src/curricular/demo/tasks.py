"""The demo's family of tasks: MiniGrid levels, some of which can be learned, while most only cost time."""

from collections import defaultdict
from dataclasses import dataclass
from enum import StrEnum

from minigrid.envs.doorkey import DoorKeyEnv
from minigrid.envs.empty import EmptyEnv
from minigrid.envs.keycorridor import KeyCorridorEnv
from minigrid.envs.lockedroom import LockedRoomEnv
from minigrid.envs.multiroom import MultiRoomEnv
from minigrid.minigrid_env import MiniGridEnv

from .. import SequenceTaskGenerator, dataset
from .sight import QuickSight


class Group(StrEnum):
    """The role of a level in the family."""

    EMPTY = "Empty"
    SMALL_DOOR_KEY = "DoorKey 5-7"
    LARGE_DOOR_KEY = "DoorKey 8-16"
    USELESS = "useless"


class Kind(StrEnum):
    """The name of the MiniGrid environment."""

    EMPTY = "Empty"
    DOOR_KEY = "DoorKey"
    KEY_CORRIDOR = "KeyCorridor"
    MULTI_ROOM = "MultiRoom"
    LOCKED_ROOM = "LockedRoom"


class _Empty(QuickSight, EmptyEnv): ...


class _DoorKey(QuickSight, DoorKeyEnv): ...


class _KeyCorridor(QuickSight, KeyCorridorEnv): ...


class _MultiRoom(QuickSight, MultiRoomEnv): ...


class _LockedRoom(QuickSight, LockedRoomEnv): ...


@dataclass(frozen=True)
class Level:
    """One task: a MiniGrid environment, its size (side of the grid or a room, or number of rooms), and a step limit."""

    kind: Kind
    size: int
    max_steps: int
    group: Group

    @property
    def name(self) -> str:
        """Kind and size, with the step limit if the limit makes the level impossible."""
        is_short = self.kind is Kind.DOOR_KEY and self.group is Group.USELESS
        return f"{self.kind} {self.size}" + f" in {self.max_steps} steps" * is_short

    def build(self) -> MiniGridEnv:
        """Builds a new environment of this level."""
        match self.kind:
            case Kind.EMPTY:
                return _Empty(size=self.size, max_steps=self.max_steps)
            case Kind.DOOR_KEY:
                return _DoorKey(size=self.size, max_steps=self.max_steps)
            case Kind.KEY_CORRIDOR:
                return _KeyCorridor(room_size=self.size, max_steps=self.max_steps)
            case Kind.MULTI_ROOM:
                return _MultiRoom(minNumRooms=self.size, maxNumRooms=self.size, max_steps=self.max_steps)
            case Kind.LOCKED_ROOM:
                return _LockedRoom(size=self.size, max_steps=self.max_steps)


def _levels(kind: Kind, group: Group, max_steps: dict[int, int]) -> tuple[Level, ...]:
    return tuple(Level(kind, size, limit, group) for size, limit in max_steps.items())


FAMILY = (
    *_levels(Kind.EMPTY, Group.EMPTY, {5: 80, 6: 96, 8: 128}),
    *_levels(Kind.DOOR_KEY, Group.SMALL_DOOR_KEY, {5: 100, 6: 120, 7: 140}),
    *_levels(Kind.DOOR_KEY, Group.LARGE_DOOR_KEY, {8: 96, 10: 120, 12: 144, 16: 192}),
    # The shortest path takes about twice the side of the grid; in fewer than 1 of 100 grids it fits into one side.
    *_levels(Kind.DOOR_KEY, Group.USELESS, {size: size for size in range(9, 25)}),
    *_levels(Kind.KEY_CORRIDOR, Group.USELESS, {size: 40 * size for size in range(4, 11)}),
    *_levels(Kind.MULTI_ROOM, Group.USELESS, {size: 20 * size for size in (6, 7, 8)}),
    # With other sizes, MiniGrid puts keys and goals into the outer wall.
    *_levels(Kind.LOCKED_ROOM, Group.USELESS, {size: 10 * size for size in (13, 19, 25, 31)}),
)
"""The levels of the demo: 10 learnable, 30 useless."""

QUICK_FAMILY = (
    *_levels(Kind.EMPTY, Group.EMPTY, {5: 80, 6: 96}),
    *_levels(Kind.DOOR_KEY, Group.SMALL_DOOR_KEY, {5: 100, 6: 120}),
    *_levels(Kind.DOOR_KEY, Group.USELESS, {size: size for size in range(9, 25)}),
    *_levels(Kind.KEY_CORRIDOR, Group.USELESS, {4: 160, 5: 200}),
    *_levels(Kind.LOCKED_ROOM, Group.USELESS, {13: 130, 19: 190}),
)
"""The levels of `--quick`: 4 learnable, 20 useless."""


def learnable(levels: tuple[Level, ...]) -> tuple[Level, ...]:
    """Returns the levels that can be learned, in order."""
    return tuple(level for level in levels if level.group is not Group.USELESS)


def generator(levels: tuple[Level, ...]) -> SequenceTaskGenerator:
    """Returns the generator with one task per level, labelled with its group; the axes are kind, size and limit."""
    kinds = [list(Kind).index(level.kind) for level in levels]
    columns = {"kind": kinds, "size": "size", "max_steps": "max_steps"}
    return dataset(levels, key="name", label="group", columns=columns)


class EnvPool:
    """Idle environments by level: resetting an environment is cheaper than building one."""

    def __init__(self) -> None:
        self._idle: defaultdict[Level, list[MiniGridEnv]] = defaultdict(list)

    def take(self, level: Level) -> MiniGridEnv:
        """Returns an environment of `level`, which the caller must reset."""
        idle = self._idle[level]
        return idle.pop() if idle else level.build()

    def put(self, level: Level, env: MiniGridEnv) -> None:
        """Takes back `env`, an environment of `level`."""
        self._idle[level].append(env)
