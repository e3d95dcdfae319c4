"""`CurriculumEnv` for MettaGrid: the wrapper for PufferLib, with the settings of a ``MettaGridPufferEnv``.

A ``MettaGridPufferEnv`` takes a task by ``set_mg_config`` and restarts at the first step after an episode's end. It
never changes its spaces. With a configuration of other actions, an action would silently mean something else. So the
wrapper compares the interfaces that the configurations describe.
"""

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Literal

from ..curriculum import Curriculum
from ..task import ConfigT, Task
from .episodes import DEFAULT_MAX_FAILURES, RegretRule, ScoreRule
from .puffer import CurriculumEnv as PufferCurriculumEnv
from .reducers import Reducer
from .statistics import StatsInterval

__all__ = ["CurriculumEnv"]

_INTERFACE = ("num_agents", "action_names", "vibe_action_names", "observation_space")
"""Fields that all tasks must share. Observation tokens may differ in meaning, since policies map them by name."""

MAX_INTERFACES = 1024
"""Number of tasks whose interfaces are cached."""


class CurriculumEnv(PufferCurriculumEnv[ConfigT]):
    """Wraps a ``MettaGridPufferEnv`` so that every episode plays a task of `curriculum`.

    Works with any environment of PufferLib that has a method ``set_mg_config`` and restarts by itself at the first step
    after an episode's end.

    Args:
        env: The environment.
        curriculum: Where tasks come from: each configuration is a ``MettaGridConfig``. Returns have no known range, so
            the curriculum needs ``score_range="observed"``, or a range that includes all returns.
        apply: As in `curricular.wrappers.puffer.CurriculumEnv`, like all arguments below.
        autoreset: When `env` restarts.
        agents_per_env: Number of agents in one environment.
        reduce: How the returns of the agents become one.
        score: What is told at an episode's end.
        stats_interval: Number of episodes between two ``stats`` in an info.
        max_failures: Number of different tasks in a row on which the environment must raise for
            `EnvironmentFailedError`.
        regret: The regret told at an episode's end.

    Raises:
        ValueError: If `env` has no method ``set_mg_config``, or an argument is out of its range.
        TypeError: If a given name is not the name of a method.
    """

    def __init__(
        self,
        env: Any,
        curriculum: Curriculum[ConfigT],
        *,
        apply: Callable[[Any, Task[ConfigT], int], None] | str = "set_mg_config",
        autoreset: Literal["next_step", "same_step"] = "next_step",
        agents_per_env: int | None = None,
        reduce: Reducer = "mean",
        score: ScoreRule[ConfigT] = "return",
        stats_interval: StatsInterval = "auto",
        max_failures: int = DEFAULT_MAX_FAILURES,
        regret: RegretRule[ConfigT] = None,
    ) -> None:
        self._interfaces: dict[int, dict[str, Any]] = {}
        super().__init__(
            env,
            curriculum,
            apply=apply,
            autoreset=autoreset,
            agents_per_env=agents_per_env,
            reduce=reduce,
            score=score,
            stats_interval=stats_interval,
            max_failures=max_failures,
            regret=regret,
        )

    def _spaces_of(self, env: Any, task: Task[ConfigT] | None) -> dict[str, Any]:
        if not _is_mettagrid(env):
            return super()._spaces_of(env, task)
        if task is None:
            return _interface_of(env.env_cfg)
        if task.task_id not in self._interfaces:
            if len(self._interfaces) == MAX_INTERFACES:
                self._interfaces.clear()
            self._interfaces[task.task_id] = _interface_of(task.config)
        return self._interfaces[task.task_id]


def _is_mettagrid(env: Any) -> bool:
    if find_spec("mettagrid") is None:
        return False
    module = import_module("mettagrid.envs.mettagrid_puffer_env")
    return isinstance(env, module.MettaGridPufferEnv)


def _interface_of(config: Any) -> dict[str, Any]:
    """Returns the interface that a ``MettaGridConfig`` describes; it takes 0.2 ms."""
    interface = import_module("mettagrid.policy.policy_env_interface").PolicyEnvInterface.from_mg_cfg(config)
    return {name: getattr(interface, name) for name in _INTERFACE}
