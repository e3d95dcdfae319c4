"""The checker for a vector environment in a wrapper of any origin."""

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ..curriculum import Curriculum
from ..wrappers.episodes import INFO_KEY
from .expecting import account_of, expect, expect_task

__all__ = ["VectorEnvironment", "check_vector_env"]

SAME_STEP, DISABLED = "SameStep", "Disabled"
"""Values of Gymnasium's `AutoresetMode`."""


@runtime_checkable
class VectorEnvironment(Protocol):
    """What the checker uses of a `gymnasium.vector.VectorEnv`."""

    @property
    def num_envs(self) -> int: ...
    @property
    def metadata(self) -> Mapping[str, Any]: ...
    @property
    def observation_space(self) -> Any: ...
    @property
    def action_space(self) -> Any: ...
    def reset(self, *, seed: Any = None, options: Any = None) -> Any: ...
    def step(self, actions: Any) -> Any: ...
    def close(self) -> Any: ...


def check_vector_env(env: VectorEnvironment, curriculum: Curriculum[Any], num_episodes: int, max_steps: int) -> None:
    """Checks a vector environment: see `check_curriculum_env`."""
    env.action_space.seed(0)
    before = account_of(curriculum)
    expect("a new environment", "no open hand-out of its own", before.pending, before.pending == 0)

    _begin(env, curriculum, seed=0)
    asked, num_envs = account_of(curriculum), env.num_envs
    expected = f"{num_envs} open hand-outs, or {2 * num_envs} if tasks are applied one episode ahead"
    expect("reset", expected, asked.pending, asked.pending in {num_envs, 2 * num_envs})
    _begin(env, curriculum)
    after = account_of(curriculum)
    expect("a reset during episodes", f"{asked.pending} open hand-outs", after.pending, after.pending == asked.pending)
    is_told = after.completed - asked.completed
    expect("a reset during episodes", "no score, since the episodes were abandoned", is_told, is_told == 0)

    num_ended = num_steps = 0
    while num_ended < num_episodes:
        num_ended += _step(env, curriculum, asked.pending // num_envs)
        num_steps += 1
        if num_steps > max_steps * num_episodes:
            raise AssertionError(
                f"step: expected the end of {num_episodes} episodes within {max_steps * num_episodes} steps, got "
                f"{num_ended}; put a TimeLimit inside the wrapper"
            )

    if _mode(env) != DISABLED:
        env.step(env.action_space.sample())  # so that episodes are in play
    for _ in range(2):
        env.close()
        closed = account_of(curriculum)
        expect("close", "no open hand-out", closed.pending, closed.pending == 0)


def _begin(env: VectorEnvironment, curriculum: Curriculum[Any], seed: int | None = None) -> None:
    """Begins an episode in every environment, and checks what `reset` returns."""
    observations, infos = env.reset(seed=seed)
    expect(
        "reset", f"observations in {env.observation_space}", observations, env.observation_space.contains(observations)
    )
    report = infos.get(INFO_KEY, {})
    for key in ("task_id", "label", "task_changed"):
        mask = _mask(report, key, env.num_envs)
        expect("reset", f"infos[{INFO_KEY!r}][{key!r}] of every environment", sorted(report), bool(mask.all()))
    for task_id, label in zip(report["task_id"], report["label"], strict=True):
        expect_task(curriculum, task_id, label)


def _step(env: VectorEnvironment, curriculum: Curriculum[Any], handouts_per_env: int) -> int:
    """Plays a step and returns the number of episodes that it ended, after a check of the account."""
    before, mode = account_of(curriculum), _mode(env)
    observations, _, terminations, truncations, infos = env.step(env.action_space.sample())
    expect(
        "step", f"observations in {env.observation_space}", observations, env.observation_space.contains(observations)
    )
    ended = np.asarray(terminations, np.bool_) | np.asarray(truncations, np.bool_)
    report = (infos.get("final_info", {}) if mode == SAME_STEP else infos).get(INFO_KEY, {})
    scored, failed = (_mask(report, key, env.num_envs) for key in ("score", "error"))
    where = "a step"
    is_reported = bool(((scored ^ failed) == ended).all())
    expect(where, "'score' or 'error' of each episode that ended, and of no other", sorted(report), is_reported)
    now = account_of(curriculum)
    got = now.completed - before.completed, now.cancelled - before.cancelled
    expected = int(scored.sum()), int(failed.sum()) * handouts_per_env
    expect(where, f"{expected[0]} told and {expected[1]} cancelled hand-outs", got, got == expected)
    num_open = env.num_envs if mode == SAME_STEP else env.num_envs - int(ended.sum())
    expected_open = num_open * handouts_per_env
    # If the environment raised, the wrapper may have restarted all environments already.
    is_open = now.pending == expected_open or bool(failed.any())
    expect(where, f"{expected_open} open hand-outs", now.pending, is_open)
    if mode == DISABLED and ended.any():
        env.reset(options={"reset_mask": ended})
    return int(ended.sum())


def _mode(env: VectorEnvironment) -> str:
    """Returns the value of the environment's `AutoresetMode`, which is an enumeration."""
    mode = env.metadata.get("autoreset_mode")
    return str(getattr(mode, "value", mode))


def _mask(report: Mapping[str, Any], key: str, num_envs: int) -> NDArray[np.bool_]:
    """Returns the environments whose report has `key`."""
    if key not in report:
        return np.zeros(num_envs, np.bool_)
    return np.asarray(report.get(f"_{key}", np.ones(num_envs, np.bool_)), np.bool_)
