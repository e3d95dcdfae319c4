"""A checker for an environment in a wrapper of any origin."""

from collections.abc import Mapping
from typing import Any, Protocol

from ..curriculum import Curriculum
from ..wrappers.episodes import INFO_KEY
from .stage import Account


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


def check_curriculum_env(env: Environment, *, num_episodes: int = 5, max_steps: int = 10_000) -> None:
    """Checks that a wrapped environment asks once an episode and ends every hand-out once.

    Plays random episodes and closes the environment. No one else may use the curriculum meanwhile; its scores then
    include these episodes.

    Args:
        env: A new environment with the API of `gymnasium.Env`, whose attribute `curriculum` is found by
            `get_wrapper_attr`.
        num_episodes: Number of episodes that end, at least 1.
        max_steps: Number of steps within which an episode must end.

    Raises:
        AssertionError: If a rule is broken: which one, what was expected, and what came.

    Examples:
        >>> import gymnasium
        >>> from curricular import Curriculum
        >>> from curricular.wrappers.gymnasium import CurriculumEnv
        >>> curriculum = Curriculum([{"is_slippery": True}, {"is_slippery": False}])
        >>> def make(task):
        ...     return gymnasium.make("FrozenLake-v1", **task.config)
        >>> check_curriculum_env(CurriculumEnv(make=make, curriculum=curriculum))
    """
    curriculum: Curriculum[Any] = env.get_wrapper_attr("curriculum")
    env.action_space.seed(0)
    before = _account(curriculum)
    _expect("a new environment", "no open hand-out of its own", before.pending, before.pending == 0)

    _begin(env, curriculum, seed=0)
    asked = _account(curriculum)
    _expect("reset", "one open hand-out", asked.pending, asked.pending == 1)
    env.step(env.action_space.sample())
    _begin(env, curriculum)
    after = _account(curriculum)
    _expect("a reset during an episode", "one open hand-out", after.pending, after.pending == 1)
    is_told = after.completed - asked.completed
    _expect("a reset during an episode", "no score, since the episode was abandoned", is_told, is_told == 0)

    for _ in range(num_episodes):
        _play(env, curriculum, max_steps)
        _begin(env, curriculum)

    for _ in range(2):
        env.close()
        closed = _account(curriculum)
        _expect("close", "no open hand-out", closed.pending, closed.pending == 0)


def _account(curriculum: Curriculum[Any]) -> Account:
    curriculum.flush()
    stats = curriculum.stats()
    return Account(*(int(stats[f"num_{name}"]) for name in Account._fields))


def _begin(env: Environment, curriculum: Curriculum[Any], seed: int | None = None) -> None:
    """Begins an episode, and checks what `reset` returns."""
    observation, info = env.reset(seed=seed)
    is_inside = env.observation_space.contains(observation)
    _expect("reset", f"an observation in {env.observation_space}", observation, is_inside)
    report = info.get(INFO_KEY, {})
    keys = {"task_id", "label", "task_changed"}
    _expect("reset", f"info[{INFO_KEY!r}] with {sorted(keys)}", sorted(report), keys <= report.keys())
    label = curriculum.task(report["task_id"]).label
    _expect("reset", f"the label of the task, {label!r}", report["label"], report["label"] == label)
    state = curriculum.task(report["task_id"])
    _expect("reset", "the task that was handed out", f"task {report['task_id']}", state.num_pending > 0)


def _play(env: Environment, curriculum: Curriculum[Any], max_steps: int) -> None:
    """Plays the episode in play to its end, and checks the account before and after."""
    playing = _account(curriculum)
    for _ in range(max_steps):
        observation, _, is_terminated, is_truncated, info = env.step(env.action_space.sample())
        is_inside = env.observation_space.contains(observation)
        _expect("step", f"an observation in {env.observation_space}", observation, is_inside)
        if is_terminated or is_truncated:
            _check_end(curriculum, playing, info.get(INFO_KEY, {}))
            return
        now = _account(curriculum)
        _expect("a step within an episode", f"an unchanged account, {playing}", now, now == playing)
    raise AssertionError(
        f"step: expected the end of an episode within {max_steps} steps, got none; put a TimeLimit inside the wrapper"
    )


def _check_end(curriculum: Curriculum[Any], playing: Account, report: Mapping[str, Any]) -> None:
    is_scored = "score" in report
    where, keys = "the step that ends an episode", sorted(report)
    _expect(where, f"info[{INFO_KEY!r}] with 'task_id' and either 'score' or 'error'", keys, "task_id" in report)
    _expect(where, "either 'score' or 'error' in the report", keys, is_scored != ("error" in report))
    now = _account(curriculum)
    num_told, num_cancelled = now.completed - playing.completed, now.cancelled - playing.cancelled
    expected = (1, 0) if is_scored else (0, 1)
    _expect(
        where,
        f"{expected[0]} told and {expected[1]} cancelled hand-outs",
        (num_told, num_cancelled),
        (num_told, num_cancelled) == expected,
    )
    _expect(where, "no open hand-out", now.pending, now.pending == 0)


def _expect(where: str, expected: str, got: object, is_met: bool) -> None:
    if not is_met:
        raise AssertionError(f"{where}: expected {expected}, got {got!r:.200}; see docs/your-environment.md")
