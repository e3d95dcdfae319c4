"""The demo's task family: MiniGrid levels of which some can be learned and most only waste time."""

from collections import defaultdict
from dataclasses import dataclass
from enum import StrEnum

from minigrid.envs import DoorKeyEnv, EmptyEnv, KeyCorridorEnv, LockedRoomEnv, MultiRoomEnv
from minigrid.minigrid_env import MiniGridEnv

from curricular.demo.sight import QuickSight


class Group(StrEnum):
    """What a level is for: the three groups to be learned, easiest first, and the rest."""

    EMPTY = "Empty"
    SMALL_DOOR_KEY = "DoorKey 5-7"
    LARGE_DOOR_KEY = "DoorKey 8-16"
    USELESS = "useless"


class _Empty(QuickSight, EmptyEnv): ...


class _DoorKey(QuickSight, DoorKeyEnv): ...


class _KeyCorridor(QuickSight, KeyCorridorEnv): ...


class _MultiRoom(QuickSight, MultiRoomEnv): ...


class _LockedRoom(QuickSight, LockedRoomEnv): ...


@dataclass(frozen=True)
class Level:
    """One task: a MiniGrid environment with its size (rooms, for MultiRoom) and limit of steps."""

    name: str
    group: Group
    size: int
    max_steps: int

    def build(self) -> MiniGridEnv:
        """A new environment of this level."""
        match self.name.split()[0]:
            case "Empty":
                return _Empty(size=self.size, max_steps=self.max_steps)
            case "DoorKey":
                return _DoorKey(size=self.size, max_steps=self.max_steps)
            case "KeyCorridor":
                return _KeyCorridor(room_size=self.size, max_steps=self.max_steps)
            case "MultiRoom":
                return _MultiRoom(minNumRooms=self.size, maxNumRooms=self.size, max_steps=self.max_steps)
            case "LockedRoom":
                return _LockedRoom(size=self.size, max_steps=self.max_steps)
        raise ValueError(self.name)

def family():
    L = []
    for n in (5,6,8): L.append(Level(f"Empty {n}", Group.EMPTY, n, 8*n))
    for n in (5,6,7): L.append(Level(f"DoorKey {n}", Group.SMALL_DOOR_KEY, n, 16*n))
    for n in (8,10,12,16): L.append(Level(f"DoorKey {n}", Group.LARGE_DOOR_KEY, n, 16*n))
    for n in (12,14,16,18,20,22,24): L.append(Level(f"DoorKey {n} short", Group.USELESS, n, n))
    for n in (4,5,6,7): L.append(Level(f"KeyCorridor {n}", Group.USELESS, n, 30*n))
    for n in (4,6,8): L.append(Level(f"MultiRoom {n}", Group.USELESS, n, 20*n))
    for n in (13,16,19): L.append(Level(f"LockedRoom {n}", Group.USELESS, n, 10*n))
    return L
