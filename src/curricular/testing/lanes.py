"""Environments without a framework: what a wrapper under test plays on, and the loop around it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol, TypeAlias

Config: TypeAlias = Mapping[str, Any]
"""A task's configuration: ``{"value": …}``."""

Call: TypeAlias = Literal["apply", "reset", "step"]
"""The call in which an environment raises."""

VALUES = (0.0, 0.25, 0.75, 1.0)
"""Values of the tasks: what an episode returns."""


@dataclass(frozen=True)
class Script:
    """What happens in an episode of a task."""

    rewards: Sequence[float]
    """Reward of each step, at least one. The last step ends the episode."""
    info: Mapping[str, Any] = field(default_factory=dict)
    """Info of the last step."""
    is_truncated: bool = False
    """Whether the last step truncates the episode instead of terminating it."""
    raises_in: Call | None = None
    """The call that raises: a step, if any, is the last one."""
    error: type[BaseException] = RuntimeError
    """What that call raises."""


def pay(
    config: Config,
    *,
    is_truncated: bool = False,
    raises_in: Call | None = None,
    on: Sequence[float] = VALUES,
    error: type[BaseException] = RuntimeError,
) -> Script:
    """Returns a script that pays the task's value over 2 to 5 steps, or raises on the tasks with the values `on`."""
    value = config["value"]
    length = 2 + VALUES.index(value)
    info = {"success": value > 0.5, "length": length}
    return Script([value / length] * length, info, is_truncated, raises_in if value in on else None, error)


class LaneStep(NamedTuple):
    """What a step of a lane returns."""

    reward: float
    is_terminated: bool
    is_truncated: bool
    info: Mapping[str, Any]


class Lane:
    """One environment without a framework, which plays scripts and records what it played.

    The environment that a driver builds forwards to a lane: how a task gets in to `apply`, a reset or restart to
    `begin`, a step to `step`. All three raise where the script says so.
    """

    def __init__(self, script_of: Callable[[Config], Script]) -> None:
        self.script_of = script_of
        self.is_playing: bool = False
        self.applied: list[Config] = []
        """Configurations that came in, in order."""
        self.begun: list[Config] = []
        """Configuration of each episode that began, in order."""
        self.finished: list[Config] = []
        """Configuration of each episode that the lane ended, in order."""
        self.num_raised: int = 0
        self._clock = 0

    def apply(self, config: Config) -> None:
        """Takes the configuration that the next episode plays."""
        self._raise_if("apply", config)
        self.applied.append(config)

    def begin(self) -> None:
        """Begins an episode with the configuration that was applied last."""
        self.is_playing = False
        self._raise_if("reset", self.applied[-1])
        self.begun.append(self.applied[-1])
        self.is_playing, self._clock = True, 0

    def step(self) -> LaneStep:
        """Plays one step of the episode."""
        if not self.is_playing:
            raise RuntimeError("step: expected an episode in play, got none; call begin() after each episode's end")
        config = self.begun[-1]
        script = self.script_of(config)
        self._clock += 1
        reward = script.rewards[self._clock - 1]
        if self._clock < len(script.rewards):
            return LaneStep(reward, is_terminated=False, is_truncated=False, info={})
        self.is_playing = False
        self._raise_if("step", config)
        self.finished.append(config)
        return LaneStep(reward, not script.is_truncated, script.is_truncated, script.info)

    def _raise_if(self, call: Call, config: Config) -> None:
        script = self.script_of(config)
        if script.raises_in == call:
            self.num_raised += 1
            raise script.error(f"no {call} with {config['value']}")


def raising_once(lane: Lane, call: Call) -> Callable[[Config], Script]:
    """Returns scripts of one step for `lane`, which raise in the next such call and in no later one."""
    num_raised = lane.num_raised
    return lambda _: Script([1.0], raises_in=call if lane.num_raised == num_raised else None)


class Driver(Protocol):
    """What the suite does with a wrapper: the loop of a trainer, one call at a time."""

    def reset(self) -> None:
        """Begins an episode in every lane. Episodes in play are abandoned."""

    def step(self) -> Mapping[int, Mapping[str, Any]]:
        """Steps every lane, and begins an episode in the lanes that need one, before or after as the framework does.

        Returns:
            By index of the lane, what infos hold under `INFO_KEY` about the episode that ended in this step, scored or
            not: `task_id`, `label` and `score` or `error`, without an `env_index`.
        """
        ...

    def close(self) -> None:
        """Closes the wrapper. Closing twice is no error."""
