"""The demo's task family: MiniGrid levels, of which some can be learned and most only cost time."""

from collections import defaultdict
from dataclasses import dataclass
from enum import StrEnum

from minigrid.envs import DoorKeyEnv, EmptyEnv, KeyCorridorEnv, LockedRoomEnv, MultiRoomEnv
from minigrid.minigrid_env import MiniGridEnv

from .. import TaskGeneratorSet, merge, single_task
from .sight import QuickSight


class Group(StrEnum):
    """What a level is in the family for."""

    EMPTY = "Empty"
    SMALL_DOOR_KEY = "DoorKey 5-7"
    LARGE_DOOR_KEY = "DoorKey 8-16"
    USELESS = "useless"


class Kind(StrEnum):
    """MiniGrid's name of the environment."""

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
    """One task: a MiniGrid environment, its size (side of the grid or a room, or number of rooms) and step limit."""

    kind: Kind
    size: int
    max_steps: int
    group: Group

    @property
    def name(self) -> str:
        """Kind and size, and the step limit where it is what makes the level impossible."""
        is_short = self.kind is Kind.DOOR_KEY and self.group is Group.USELESS
        return f"{self.kind} {self.size}" + f" in {self.max_steps} steps" * is_short

    def build(self) -> MiniGridEnv:
        """A new environment of this level."""
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


def _levels(kind: Kind, group: Group, sizes: tuple[int, ...], steps_per_size: int) -> tuple[Level, ...]:
    return tuple(Level(kind, size, steps_per_size * size, group) for size in sizes)


FAMILY = (
    *_levels(Kind.EMPTY, Group.EMPTY, (5, 6, 8), 16),
    *_levels(Kind.DOOR_KEY, Group.SMALL_DOOR_KEY, (5, 6, 7), 20),
    *_levels(Kind.DOOR_KEY, Group.LARGE_DOOR_KEY, (8, 10, 12, 16), 16),
    # The shortest way takes about twice the side of the grid; in fewer than 1 of 100 grids it is within the side.
    *_levels(Kind.DOOR_KEY, Group.USELESS, (12, 14, 16, 18, 20, 22, 24), 1),
    *_levels(Kind.KEY_CORRIDOR, Group.USELESS, (4, 5, 6, 7), 60),
    *_levels(Kind.MULTI_ROOM, Group.USELESS, (6, 7, 8), 20),
    # Other sizes put keys and goals into the outer wall.
    *_levels(Kind.LOCKED_ROOM, Group.USELESS, (13, 19, 25), 10),
)
"""The levels of the demo: 10 to be learned, 17 useless."""

QUICK_FAMILY = (
    *_levels(Kind.EMPTY, Group.EMPTY, (5, 6), 8),
    *_levels(Kind.DOOR_KEY, Group.SMALL_DOOR_KEY, (5, 6), 16),
    *_levels(Kind.DOOR_KEY, Group.USELESS, (16, 24), 1),
    *_levels(Kind.KEY_CORRIDOR, Group.USELESS, (4,), 30),
    *_levels(Kind.LOCKED_ROOM, Group.USELESS, (13,), 10),
)
"""The levels of `--quick`: 4 to be learned, 4 useless."""


def learnable(levels: tuple[Level, ...]) -> tuple[Level, ...]:
    """The levels that are there to be learned, in order."""
    return tuple(level for level in levels if level.group is not Group.USELESS)


def generator(levels: tuple[Level, ...]) -> TaskGeneratorSet:
    """Each level as one task, labelled with its group."""
    return merge([single_task(level, label=level.group) for level in levels])


class EnvPool:
    """Environments at rest, by level: to reset one is cheaper than to build one."""

    def __init__(self) -> None:
        self._resting: defaultdict[Level, list[MiniGridEnv]] = defaultdict(list)

    def take(self, level: Level) -> MiniGridEnv:
        """An environment of `level`, to be reset."""
        resting = self._resting[level]
        return resting.pop() if resting else level.build()

    def put(self, level: Level, env: MiniGridEnv) -> None:
        """Take back `env`, an environment of `level`."""
        self._resting[level].append(env)
