"""A `PufferEnv` around another: it forwards all that PufferLib reads of an environment."""

from typing import Any, cast

from pufferlib.pufferlib import PufferEnv  # where type checkers see it

__all__ = ["ForwardingEnv"]

# PufferLib is not typed: type checkers see a plain class here.
_Base = cast(type[object], PufferEnv)


class ForwardingEnv(_Base):  # type: ignore[valid-type, misc]
    """Forwards attributes and calls to `env`, a native `PufferEnv`. A subclass adds `reset`, `step` and `close`.

    The buffers are the wrapped environment's own arrays.
    """

    def __init__(self, env: Any) -> None:
        # Not super().__init__(), which makes buffers: all that it sets is forwarded below.
        self.env = env

    @property
    def observations(self) -> Any:
        return self.env.observations

    @property
    def rewards(self) -> Any:
        return self.env.rewards

    @property
    def terminals(self) -> Any:
        return self.env.terminals

    @property
    def truncations(self) -> Any:
        return self.env.truncations

    @property
    def teacher_actions(self) -> Any:
        return self.env.teacher_actions

    @property
    def masks(self) -> Any:
        return self.env.masks

    @property
    def actions(self) -> Any:
        return self.env.actions

    @property
    def agent_ids(self) -> Any:
        return self.env.agent_ids

    @property
    def num_agents(self) -> int:
        return int(self.env.num_agents)

    @property
    def single_observation_space(self) -> Any:
        return self.env.single_observation_space

    @property
    def single_action_space(self) -> Any:
        return self.env.single_action_space

    @property
    def single_transport_action_space(self) -> Any:
        return self.env.single_transport_action_space

    @property
    def observation_space(self) -> Any:
        return self.env.observation_space

    @property
    def action_space(self) -> Any:
        return self.env.action_space

    @property
    def metadata(self) -> Any:
        return self.env.metadata

    @property
    def emulated(self) -> Any:
        return self.env.emulated

    @property
    def done(self) -> Any:
        return self.env.done

    def render(self, *args: Any, **kwargs: Any) -> Any:
        return self.env.render(*args, **kwargs)

    def notify(self) -> None:
        self.env.notify()
