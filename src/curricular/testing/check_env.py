"""A checker for an environment in a wrapper of any origin."""

from collections.abc import Mapping
from typing import Any, Protocol

from ..curriculum import Curriculum
from ..wrappers.episodes import INFO_KEY
from .check_vector import VectorEnvironment, check_vector_env
from .expecting import account_of, expect, expect_task
from .trial import Account


class Environment(Protocol):
    """What the checker uses of a `gymnasium.Env`."""

    @property
    def observation_space(self) -> Any: ...
    @property
    def action_space(self) -> Any: ...
    def get_wrapper_attr(self, name: str) -> Any: ...
    def reset(self, *, seed: int | None = None) -> Any: ...
    def step(self, action: Any) -> Any: ...
    def close(self) -> Any: ...


def check_curriculum_env(
    env: Environment | VectorEnvironment,
    *,
    curriculum: Curriculum[Any] | None = None,
    num_episodes: int = 5,
    max_steps: int = 10_000,
) -> None:
    """Checks that a wrapped environment, or vector environment, asks once an episode and ends every hand-out once.

    Plays random episodes and closes the environment. No one else may use the curriculum meanwhile; its scores then
    include these episodes.

    Args:
        env: A new environment with the API of `gymnasium.Env` or `gymnasium.vector.VectorEnv`.
        curriculum: Where its tasks come from. None: its attribute `curriculum`, which `get_wrapper_attr` finds in an
            environment; the outermost wrapper of a vector environment must have it.
        num_episodes: Number of episodes that end, at least 1.
        max_steps: Number of steps within which an episode must end.

    Raises:
        AssertionError: If a rule is broken: which one, what was expected, and what came.
        TypeError: If there is no `curriculum`.

    Examples:
        >>> import gymnasium
        >>> from curricular import Curriculum
        >>> from curricular.wrappers.gymnasium import CurriculumEnv
        >>> curriculum = Curriculum([{"is_slippery": True}, {"is_slippery": False}])
        >>> def make(task):
        ...     return gymnasium.make("FrozenLake-v1", **task.config)
        >>> check_curriculum_env(CurriculumEnv(make=make, curriculum=curriculum))
    """
    curriculum = _curriculum_of(env) if curriculum is None else curriculum
    if isinstance(env, VectorEnvironment):
        check_vector_env(env, curriculum, num_episodes, max_steps)
        return
    env.action_space.seed(0)
    before = account_of(curriculum)
    expect("a new environment", "no open hand-out of its own", before.pending, before.pending == 0)

    _begin(env, curriculum, seed=0)
    asked = account_of(curriculum)
    expect("reset", "one open hand-out", asked.pending, asked.pending == 1)
    env.step(env.action_space.sample())
    _begin(env, curriculum)
    after = account_of(curriculum)
    expect("a reset during an episode", "one open hand-out", after.pending, after.pending == 1)
    is_told = after.completed - asked.completed
    expect("a reset during an episode", "no score, since the episode was abandoned", is_told, is_told == 0)

    for _ in range(num_episodes):
        _play(env, curriculum, max_steps)
        _begin(env, curriculum)

    for _ in range(2):
        env.close()
        closed = account_of(curriculum)
        expect("close", "no open hand-out", closed.pending, closed.pending == 0)


def _curriculum_of(env: Any) -> Curriculum[Any]:
    """Returns the attribute `curriculum` of the environment."""
    try:
        found: Curriculum[Any] = (
            env.curriculum  # type: ignore[attr-defined]
            if isinstance(env, VectorEnvironment)
            else env.get_wrapper_attr("curriculum")
        )
    except AttributeError as error:
        raise TypeError(
            f"curriculum: expected the curriculum of {env}, which has no such attribute, got None; pass it"
        ) from error
    return found


def _begin(env: Environment, curriculum: Curriculum[Any], seed: int | None = None) -> None:
    """Begins an episode, and checks what `reset` returns."""
    observation, info = env.reset(seed=seed)
    is_inside = env.observation_space.contains(observation)
    expect("reset", f"an observation in {env.observation_space}", observation, is_inside)
    report = info.get(INFO_KEY, {})
    keys = {"task_id", "label", "task_changed"}
    expect("reset", f"info[{INFO_KEY!r}] with {sorted(keys)}", sorted(report), keys <= report.keys())
    expect_task(curriculum, report["task_id"], report["label"])


def _play(env: Environment, curriculum: Curriculum[Any], max_steps: int) -> None:
    """Plays the episode in play to its end, and checks the account before and after."""
    playing = account_of(curriculum)
    for _ in range(max_steps):
        observation, _, is_terminated, is_truncated, info = env.step(env.action_space.sample())
        is_inside = env.observation_space.contains(observation)
        expect("step", f"an observation in {env.observation_space}", observation, is_inside)
        if is_terminated or is_truncated:
            _check_end(curriculum, playing, info.get(INFO_KEY, {}))
            return
        now = account_of(curriculum)
        expect("a step within an episode", f"an unchanged account, {playing}", now, now == playing)
    raise AssertionError(
        f"step: expected the end of an episode within {max_steps} steps, got none; put a TimeLimit inside the wrapper"
    )


def _check_end(curriculum: Curriculum[Any], playing: Account, report: Mapping[str, Any]) -> None:
    is_scored = "score" in report
    where, keys = "the step that ends an episode", sorted(report)
    expect(where, f"info[{INFO_KEY!r}] with 'task_id' and either 'score' or 'error'", keys, "task_id" in report)
    expect(where, "either 'score' or 'error' in the report", keys, is_scored != ("error" in report))
    now = account_of(curriculum)
    num_told, num_cancelled = now.completed - playing.completed, now.cancelled - playing.cancelled
    expected = (1, 0) if is_scored else (0, 1)
    expect(
        where,
        f"{expected[0]} told and {expected[1]} cancelled hand-outs",
        (num_told, num_cancelled),
        (num_told, num_cancelled) == expected,
    )
    expect(where, "no open hand-out", now.pending, now.pending == 0)
