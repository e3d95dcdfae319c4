"""A `PufferEnv` around another: it forwards all that PufferLib reads of an environment, and the environment's own."""

from typing import Any, cast

from pufferlib.pufferlib import PufferEnv  # where type checkers see it

__all__ = ["ForwardingEnv"]

# PufferLib is not typed: type checkers see a plain class here.
_Base = cast(type[object], PufferEnv)


class ForwardingEnv(_Base):  # type: ignore[valid-type, misc]
    """Forwards attributes and calls to `env`, a native `PufferEnv`. A subclass adds `reset`, `step` and `close`.

    The rule: a name that the wrapper or `PufferEnv` has is the wrapper's; those of them that belong to the environment
    are forwarded below. Any other name without a leading underscore, such as `render_mode` or a method of the
    environment, is read from the environment. An attribute that is set is set on the wrapper.

    The buffers are the wrapped environment's own arrays.
    """

    def __init__(self, env: Any) -> None:
        # Not super().__init__(), which makes buffers: all that it sets is read from `env`.
        self.env = env

    def __getattr__(self, name: str) -> Any:
        """Returns what only the environment has. Python calls it for names that it finds nowhere else."""
        # "env" is missing while a copy is made, before its attributes are set.
        if name.startswith("_") or name == "env":
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}; what is private is not forwarded")
        return getattr(self.env, name)

    # Not by the rule, for their speed: PufferLib reads them at every step.

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
    def agent_ids(self) -> Any:
        return self.env.agent_ids

    # What `PufferEnv` has, too.

    @property
    def num_agents(self) -> int:
        return int(self.env.num_agents)

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
