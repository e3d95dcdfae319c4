"""`CurriculumEnv` over PufferLib: what the public suite does not ask of every wrapper.

Native environments of several agents, PufferLib's emulation and its vectorization.
"""

import copy
import logging
import os
import pickle
import re
import signal
from collections import Counter
from functools import partial

import numpy as np
import pytest

pufferlib = pytest.importorskip("pufferlib")

import gymnasium  # noqa: E402  after the line that skips
from pufferlib import emulation, vector  # noqa: E402

from curricular import Curriculum, PrioritizedLevelReplayConfig, bucketed  # noqa: E402
from curricular.wrappers import agents  # noqa: E402
from curricular.wrappers.episodes import INFO_KEY, EnvironmentFailedError  # noqa: E402
from curricular.wrappers.gymnasium import CurriculumEnv as GymnasiumCurriculumEnv  # noqa: E402
from curricular.wrappers.puffer import CurriculumEnv, Multiprocessing, WorkerError  # noqa: E402

from .accounts import counts, curriculum_of, told  # noqa: E402

VALUES = [0.0, 0.25, 0.75, 1.0]
RANGE = (0, 10)  # of the sum of the returns of three agents, and of less
EVERY_MODE = pytest.mark.parametrize("autoreset", ["next_step", "same_step"])
BUFFERS = ["observations", "rewards", "terminals", "truncations", "teacher_actions", "masks", "actions"]


class Payers(pufferlib.PufferEnv):
    """Environments of agents: agent j of n gets j + 1 times the value over an episode, and leaves it j-th.

    Episodes of environment i have ``num_agents + 1 + i`` steps. What an environment is told to pay, it pays from its
    next restart on; it writes down what it has played.
    """

    def __init__(self, buf=None, seed=0, *, num_envs=3, size=2, autoreset="next_step"):
        self.single_observation_space = gymnasium.spaces.Box(0, 100, (2,), np.float32)
        self.single_action_space = gymnasium.spaces.Discrete(2)
        self.num_agents = num_envs * size
        super().__init__(buf)
        self.shape, self.autoreset = (num_envs, size), autoreset
        self.lengths = size + 1 + np.arange(num_envs)
        self.coming, self.values, self.clock = np.zeros(num_envs), np.zeros(num_envs), np.zeros(num_envs, int)
        self.raises_in_reset, self.raises_in_step = (), ()
        self.played, self.seeds, self.num_steps = [], [], 0
        self.is_closed = self.is_notified = False

    def set_mg_config(self, config):
        self.coming[:] = config["value"]

    def restart(self, i):
        self.values[i], self.clock[i] = self.coming[i], 0
        if self.values[i] in self.raises_in_reset:
            raise RuntimeError(f"no reset with {self.values[i]}")

    def observe(self):
        self.observations[:] = np.stack([self.values, self.clock], axis=1).repeat(self.shape[1], axis=0)

    def reset(self, seed=None):
        self.seeds.append(seed)
        for i in range(self.shape[0]):
            self.restart(i)
        self.observe()
        self.rewards[:], self.terminals[:] = 0, False  # not its truncations, which it never writes
        return self.observations, []

    def step(self, actions):
        self.num_steps += 1
        num_envs, size = self.shape
        rewards, terminals = self.rewards.reshape(self.shape), self.terminals.reshape(self.shape)
        infos = []
        for i in range(num_envs):
            if self.autoreset == "next_step" and self.clock[i] == self.lengths[i]:
                self.restart(i)
            if self.values[i] in self.raises_in_step:
                raise RuntimeError(f"no step with {self.values[i]}")
            self.clock[i] += 1
            ends = self.lengths[i] - size + 1 + np.arange(size)
            rewards[i] = np.where(self.clock[i] <= ends, self.values[i] * (np.arange(size) + 1) / ends, 0)
            terminals[i] = self.clock[i] == ends
            if self.clock[i] == self.lengths[i]:
                self.played.append((i, self.values[i]))
                infos.append({"success": self.values[i] > 0.5, "env": i})
                if self.autoreset == "same_step":
                    self.restart(i)
        self.observe()
        return self.observations, self.rewards, self.terminals, self.truncations, infos

    def render(self, *args, **kwargs):
        return args, kwargs

    def notify(self):
        self.is_notified = True

    def close(self):
        self.is_closed = True


def set_value(env, task, env_index):
    env.coming[env_index] = task.config["value"]


def wrap(env=None, *, values=VALUES, curriculum=None, **kwargs):
    env = Payers() if env is None else env
    defaults = {"apply": set_value, "autoreset": env.autoreset, "agents_per_env": env.shape[1]}
    if curriculum is None:
        score_range = (0, 1) if "score" in kwargs else RANGE
        curriculum = curriculum_of(values, score_range=score_range)
    return CurriculumEnv(env, curriculum, **(defaults | kwargs))


def play(env, num_steps):
    """The reports of the curriculum in the infos, and what is left of these."""
    reports, others = [], []
    for _ in range(num_steps):
        *_, infos = env.step(np.zeros(env.num_agents, np.int64))
        for info in infos:
            (reports if INFO_KEY in info else others).append(info)
    return [report[INFO_KEY] for report in reports], others


# Asking and telling


@EVERY_MODE
def test_an_episode_ends_when_each_of_its_agents_is_done(monkeypatch, autoreset):
    env = wrap(Payers(autoreset=autoreset))
    pairs = told(monkeypatch, env.curriculum)
    env.reset(seed=5)
    reports, others = play(env, 120)
    played = env.env.played
    assert env.env.seeds == [5]
    assert len(played) == sum(120 // length for length in env.env.lengths)
    assert {value for _, value in played} == set(VALUES)
    assert [(report["env_index"], report["label"]) for report in reports] == [(i, f"value={v}") for i, v in played]
    assert [report["score"] for report in reports] == pytest.approx([1.5 * value for _, value in played])
    assert [score for _, score in pairs] == pytest.approx([1.5 * value for _, value in played])
    assert [task_id for task_id, _ in pairs] == [report["task_id"] for report in reports]
    assert [info["env"] for info in others] == [i for i, _ in played]
    num_out = 3 if autoreset == "next_step" else 6
    expected = {"scheduled": len(played) + num_out, "completed": len(played), "cancelled": 0, "pending": num_out}
    assert counts(env.curriculum) == expected
    env.close()
    assert env.env.is_closed


@EVERY_MODE
def test_tasks_are_those_in_play(autoreset):
    env = wrap(Payers(autoreset=autoreset))
    assert env.tasks == {}
    env.reset()
    for _ in range(40):
        if autoreset == "same_step":  # the one that restarts later has not begun its next episode yet
            assert {i: task.config["value"] for i, task in env.tasks.items()} == dict(enumerate(env.env.values))
        play(env, 1)
        assert set(env.tasks) == {0, 1, 2}
    env.close()
    assert env.tasks == {}


def test_a_step_before_the_first_reset_is_refused():
    with pytest.raises(pufferlib.APIUsageError, match="call reset"):
        play(wrap(), 1)


@pytest.mark.parametrize("interval", [1, 5, None])
def test_infos_carry_statistics_every_so_many_episodes(interval):
    env = wrap(stats_interval=interval)
    env.reset()
    reports, _ = play(env, 60)
    has_stats = [number for number, report in enumerate(reports, 1) if "stats" in report]
    assert has_stats == ([] if interval is None else list(range(interval, len(reports) + 1, interval)))
    for number in has_stats:
        assert reports[number - 1]["stats"]["num_completed"] >= number


class Forgets(Payers):
    """Never flags the last agent of each environment, but counts it among the dead, if `has_masks`."""

    has_masks = True

    def step(self, actions):
        *results, infos = super().step(actions)
        last = slice(self.shape[1] - 1, None, self.shape[1])
        if self.has_masks:
            self.masks[last] = ~self.terminals[last]
        self.terminals[last] = False
        return *results, infos


@EVERY_MODE
def test_an_agent_that_is_not_alive_need_not_be_flagged(autoreset):
    env = wrap(Forgets(autoreset=autoreset))
    env.reset()
    reports, _ = play(env, 120)
    assert [report["env_index"] for report in reports] == [i for i, _ in env.env.played]
    assert [report["score"] for report in reports] == pytest.approx([1.5 * value for _, value in env.env.played])


def test_agents_of_which_none_was_ever_flagged_end_no_episode():
    env = wrap(Says())
    env.masks[:] = False
    env.env.change = lambda o, r, t, u, i: (o, r, t & False, u, i)
    env.reset()
    assert play(env, 50)[0] == []


@pytest.mark.parametrize("has_flags", [True, False])
def test_when_nothing_ends_for_long_a_warning_names_the_agents(monkeypatch, caplog, has_flags):
    monkeypatch.setattr(agents, "MAX_STEPS_WITHOUT_END", 50)
    env = wrap(Forgets())
    env.env.has_masks = False
    if not has_flags:
        env.env.lengths = env.env.lengths + 1000
    env.reset()
    with caplog.at_level(logging.WARNING, agents.__name__):
        play(env, 49)
        assert not caplog.messages
        play(env, 70)
    (message,) = caplog.messages
    found = [1, 3, 5] if has_flags else [0, 1, 2, 3, 4, 5]
    assert f"no episode has ended in 50 steps, so no score was told: agents {found} were never flagged" in message


# Spaces


class Grows(Payers):
    """Gets another space by a task of value 1, when it is applied or when it restarts."""

    when = "apply"
    name, space = "single_action_space", gymnasium.spaces.Discrete(7)

    def set_mg_config(self, config):
        super().set_mg_config(config)
        if self.when == "apply" and config["value"] == 1.0:
            setattr(self, self.name, self.space)

    def restart(self, i):
        super().restart(i)
        if self.when == "restart" and self.values[i] == 1.0:
            setattr(self, self.name, self.space)


@EVERY_MODE
@pytest.mark.parametrize("when", ["apply", "restart"])
@pytest.mark.parametrize(
    ("name", "space", "message"),
    [
        ("single_action_space", gymnasium.spaces.Discrete(7), r"another single_action_space: Discrete\(7\) instead of"),
        ("single_observation_space", gymnasium.spaces.Box(0, 1, (3,)), "another single_observation_space: Box"),
        ("num_agents", 5, "another num_agents: 5 instead of 2"),
    ],
)
def test_a_task_that_changes_the_spaces_is_an_error_that_names_it(autoreset, when, name, space, message):
    env = wrap(Grows(num_envs=1, autoreset=autoreset), apply="set_mg_config")
    env.env.when, env.env.name, env.env.space = when, name, space
    with pytest.raises(ValueError, match=rf"env: expected the same spaces.*{message}.* for task \d+ 'value=1.0' with"):
        env.reset() and play(env, 200)
    seen = counts(env.curriculum)
    assert (seen["pending"], seen["completed"]) == (0, len(env.env.played))


def test_a_new_space_that_is_equal_is_no_error():
    env = wrap(Grows(num_envs=1), apply="set_mg_config")
    env.env.space = gymnasium.spaces.Discrete(2)
    env.reset()
    play(env, 60)
    assert {value for _, value in env.env.played} == set(VALUES)


# Several agents, one score


@pytest.mark.parametrize(
    ("reduce", "factor"),
    [("mean", 2), ("max", 3), ("min", 1), ("sum", 6), (lambda returns: np.median(returns) + returns.shape[0], None)],
)
def test_returns_of_agents_make_one_score(reduce, factor):
    env = wrap(Payers(num_envs=2, size=3), reduce=reduce)
    env.reset()
    reports, _ = play(env, 40)
    expected = [factor * value if factor else 2 * value + 3 for _, value in env.env.played]
    assert [report["score"] for report in reports] == pytest.approx(expected)
    assert len(expected) == 18


def test_one_environment_of_all_agents_is_the_default():
    env = wrap(Payers(num_envs=1, size=4), agents_per_env=None)
    env.reset()
    assert len(env.tasks) == 1
    assert len(play(env, 10)[0]) == 2


def test_a_score_function_gets_episodes_of_several_environments_by_index():
    episodes = []
    env = wrap(score=lambda episode: episodes.append(episode) or 0.5)
    env.reset()
    play(env, 30)
    assert [(episode.env_index, episode.task.config["value"]) for episode in episodes] == env.env.played
    assert all(episode.length == env.env.lengths[episode.env_index] for episode in episodes)
    assert all(episode.info == {} for episode in episodes)
    assert [episode.episode_return for episode in episodes] == pytest.approx([1.5 * v for _, v in env.env.played])


# Applying


def test_a_setter_is_given_the_configuration():
    env = wrap(Payers(num_envs=1), apply="set_mg_config")
    env.reset()
    reports, _ = play(env, 60)
    assert [report["label"] for report in reports] == [f"value={value}" for _, value in env.env.played]
    assert len({value for _, value in env.env.played}) == len(VALUES)


@pytest.mark.parametrize(
    ("kwargs", "error", "message"),
    [
        ({"apply": "set_mg_config"}, ValueError, "apply: expected a function, since .* holds 3 environments"),
        ({"score": "success"}, ValueError, "score: expected a function, since .* holds 3 environments"),
        ({"agents_per_env": 4}, ValueError, "agents_per_env: expected a divisor of the 6 agents, got 4"),
        ({"agents_per_env": 0}, ValueError, "agents_per_env: expected a divisor of the 6 agents, got 0"),
        ({"autoreset": "disabled"}, ValueError, "autoreset: expected 'next_step' or 'same_step', got 'disabled'"),
        ({"reduce": "median"}, ValueError, "reduce: expected a function or one of mean, max, min, sum, got 'median'"),
        ({"apply": "set_mg_confg", "agents_per_env": 6}, ValueError, "apply: expected .* got 'set_mg_confg', which"),
        ({"apply": "values", "agents_per_env": 6}, TypeError, "apply: expected the name of a method of .*'values'"),
    ],
)
def test_bad_arguments(kwargs, error, message):
    with pytest.raises(error, match=message):
        wrap(**kwargs)


def test_autoreset_has_no_default():
    with pytest.raises(TypeError, match="autoreset"):
        CurriculumEnv(Payers(), curriculum_of(VALUES), apply=set_value)


def test_an_emulated_environment_is_refused():
    env = emulation.GymnasiumPufferEnv(gymnasium.make("CartPole-v1"))
    with pytest.raises(ValueError, match=r"env: expected a native PufferEnv, got .*; wrap the environment inside"):
        CurriculumEnv(env, curriculum_of(VALUES), apply=set_value, autoreset="next_step")


# Buffers and forwarding


@EVERY_MODE
def test_buffers_are_the_environments_own_and_untouched(autoreset):
    env = wrap(Payers(autoreset=autoreset), values=[0.75])
    alone = Payers(autoreset=autoreset)
    alone.coming[:] = 0.75
    before = {name: getattr(env.env, name) for name in BUFFERS}
    env.reset()
    alone.reset()
    for _ in range(50):
        results = env.step(np.ones(6, np.int64))[:4]
        alone.step(np.ones(6, np.int64))
        for name in BUFFERS:
            assert getattr(env, name) is getattr(env.env, name) is before[name]
            np.testing.assert_array_equal(getattr(env, name), getattr(alone, name))
        assert all(result is before[name] for result, name in zip(results, BUFFERS[:4], strict=True))


def test_buffers_that_are_given_are_used():
    given = {name: getattr(Payers(), name) for name in BUFFERS}
    env = wrap(Payers(buf=given))
    env.reset()
    play(env, 3)
    assert all(getattr(env, name) is given[name] for name in BUFFERS)
    assert given["rewards"].any() == (env.env.values.max() > 0)


def test_what_only_the_environment_has_is_read_from_it():
    env = wrap(Payers(num_envs=1))
    env.env.render_mode = "ansi"
    assert env.render_mode == "ansi"
    env.set_mg_config({"value": 0.75})
    assert env.env.coming == [0.75]
    assert env.played is env.env.played
    with pytest.raises(AttributeError, match="Payers"):
        env.get_episode_rewards  # noqa: B018
    with pytest.raises(AttributeError, match="CurriculumEnv has no attribute '_secret'"):
        env._secret  # noqa: B018


def test_what_the_wrapper_has_is_never_the_environments():
    assert not any("__getattribute__" in vars(cls) for cls in CurriculumEnv.__mro__[:-1])
    env = wrap()
    env.env.tasks = env.env.curriculum = "the environment's"
    assert env.tasks == {}
    env.reset()
    assert len(env.tasks) == 3
    assert counts(env.curriculum)["pending"] == 3
    env.seeds = "the wrapper's"
    assert env.env.seeds == [None]


def test_a_wrapper_is_copied_like_any_object():
    env = wrap(Payers(num_envs=1))
    assert copy.copy(env).env is env.env
    assert not hasattr(CurriculumEnv.__new__(CurriculumEnv), "env")


def test_forwarding_is_complete():
    env = wrap()
    assert isinstance(env, pufferlib.PufferEnv)
    own = {"shape", "autoreset", "lengths", "coming", "values", "clock", "played", "seeds", "num_steps"}
    own |= {"raises_in_reset", "raises_in_step", "is_closed", "is_notified"}
    names = vars(env.env).keys() - own
    assert names >= {*BUFFERS, "num_agents", "single_action_space", "action_space", "agent_ids", "metadata"}
    for name in names:
        assert getattr(env, name) is getattr(env.env, name)
    assert env.emulated is env.done is False
    assert env.driver_env is env
    assert env.agent_per_batch == env.num_agents == 6
    assert env.render("human", size=3) == (("human",), {"size": 3})
    env.notify()
    assert env.env.is_notified


def test_the_transport_action_space_is_there_if_the_environment_has_one():
    env = wrap()
    with pytest.raises(AttributeError):
        env.single_transport_action_space  # noqa: B018
    env.env.single_transport_action_space = gymnasium.spaces.Discrete(7)
    assert env.single_transport_action_space is env.env.single_transport_action_space


def test_asynchronous_calls_of_pufferlib():
    env = wrap()
    env.async_reset(seed=1)
    for _ in range(20):
        env.recv()
        env.send(np.zeros(6, np.int64))
    assert env.env.num_steps == 20
    assert counts(env.curriculum)["completed"] == len(env.env.played) > 0


# Environments that raise


@EVERY_MODE
def test_tasks_on_which_reset_raises_are_cancelled_and_others_asked(autoreset):
    env = wrap(Payers(autoreset=autoreset), max_failures=100)
    env.env.raises_in_reset = [0.0]
    env.reset()
    num_failed = len(env.env.seeds) - 1
    seen = counts(env.curriculum)
    num_out = 3 if autoreset == "next_step" else 6
    assert seen == {
        "scheduled": 3 * num_failed + num_out,
        "completed": 0,
        "cancelled": 3 * num_failed,
        "pending": num_out,
    }
    assert 0.0 not in env.env.values


@EVERY_MODE
def test_a_step_that_raises_cuts_all_episodes_off(autoreset):
    env = wrap(Payers(autoreset=autoreset), values=[0.25, 1.0], max_failures=100)
    env.reset()
    play(env, 2)
    before = counts(env.curriculum)
    lost = {i: task.label for i, task in env.tasks.items()}
    env.env.raises_in_step = set(env.env.values)
    buffers = {name: getattr(env, name) for name in BUFFERS}
    *results, infos = env.step(np.zeros(6, np.int64))
    assert all(result is buffers[name] for result, name in zip(results, BUFFERS[:4], strict=True))
    observations, rewards, terminals, truncations = results
    np.testing.assert_array_equal(observations[:, 0], env.env.values.repeat(2))
    assert not rewards.any()
    assert not terminals.any()
    assert truncations.all()
    reports = [info[INFO_KEY] for info in infos]
    assert {report["env_index"]: report["label"] for report in reports} == lost
    assert all(report["error"].startswith("RuntimeError: no step with") for report in reports)
    after = counts(env.curriculum)
    num_out = before["pending"]
    assert after == {"scheduled": 2 * num_out, "completed": 0, "cancelled": num_out, "pending": num_out}
    env.env.raises_in_step = ()
    *_, truncations, _ = env.step(np.zeros(6, np.int64))
    assert not truncations.any()
    reports, _ = play(env, 40)
    assert [report["label"] for report in reports] == [f"value={value}" for _, value in env.env.played]


def test_a_reset_after_a_cut_takes_the_truncations_back():
    env = wrap(max_failures=100)
    env.reset()
    env.env.raises_in_step = VALUES
    play(env, 1)
    assert env.truncations.all()
    env.reset()
    assert not env.truncations.any()


@pytest.mark.parametrize("where", ["apply", "reset", "step"])
@pytest.mark.parametrize("max_failures", [1, 3])
def test_a_failure_in_one_environment_cancels_the_tasks_of_all(where, max_failures):
    def apply(env, task, env_index):
        if where == "apply":
            raise RuntimeError("no apply")
        set_value(env, task, env_index)

    env = wrap(Payers(num_envs=1) if where == "apply" else None, apply=apply, max_failures=max_failures)
    env.env.raises_in_reset = VALUES if where == "reset" else ()
    env.env.raises_in_step = VALUES if where == "step" else ()
    with pytest.raises(EnvironmentFailedError, match=rf"got \d+ failures in a row.*no {where}") as caught:
        env.reset() and play(env, 2000)
    num_failures = int(re.search(r"got (\d+) failures", str(caught.value))[1])
    assert num_failures >= max_failures
    seen = counts(env.curriculum)
    assert seen["cancelled"] == num_failures * (1 if where == "apply" else 3)
    assert seen["pending"] == 0
    env.env.raises_in_reset = env.env.raises_in_step = ()
    if where != "apply":
        env.reset()
        assert len(play(env, 12)[0]) == len(env.env.played) > 0


def test_an_episode_that_ends_in_any_environment_resets_the_count_of_failures():
    env = wrap(values=[1.0], max_failures=2)
    env.reset()
    for _ in range(4):
        env.env.raises_in_step = [1.0]
        play(env, 1)
        env.env.raises_in_step = ()
        assert len(play(env, 3)[0]) == 1
    assert counts(env.curriculum)["cancelled"] == 12


class Says(Payers):
    """Returns what `change` makes of what it should return."""

    change = staticmethod(lambda *result: result)

    def step(self, actions):
        return self.change(*super().step(actions))


@EVERY_MODE
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda *result: result[:4], r"env.step: expected \(observations, rewards, .*\), got 4 values"),
        (lambda o, r, t, u, i: (o, r[:3], t, u, i), r"env.step: expected rewards of 6 agents, got shape \(3,\)"),
        (lambda o, r, t, u, i: (o, None, t, u, i), "env.step: expected rewards of 6 agents, got .* dtype object"),
        (lambda o, r, t, u, i: (o, ["much"] * 6, t, u, i), "env.step: expected rewards of 6 agents, got .* dtype <U4"),
        (lambda o, r, t, u, i: (o, r * 1j, t, u, i), "env.step: expected rewards of 6 agents, got .* dtype complex"),
        (lambda o, r, t, u, i: (o, r, None, u, i), "env.step: expected terminals of 6 agents, got .* dtype object"),
        (
            lambda o, r, t, u, i: (o, r, t, ["no"] * 6, i),
            "env.step: expected truncations of 6 agents, got .* dtype <U2",
        ),
        (lambda o, r, t, u, i: (o, r, t, u, "lost"), "env.step: expected infos as a list of dicts, got 'lost'"),
        (lambda o, r, t, u, i: (o, r, t, u, [{}, None]), "env.step: expected an info that is a dict, got None"),
        (lambda o, r, t, u, i: (o, r, t, u, ["lost"]), "env.step: expected an info that is a dict, got 'lost'"),
    ],
)
def test_a_step_that_returns_something_else_is_one_clear_error_that_ends_the_episodes(autoreset, change, message):
    env = wrap(Says(autoreset=autoreset))
    env.reset()
    env.env.change = change
    with pytest.raises(TypeError, match=message):
        play(env, 1)
    assert counts(env.curriculum)["pending"] == 0
    with pytest.raises(pufferlib.APIUsageError):
        play(env, 1)
    del env.env.change
    env.reset()
    assert play(env, 12)[0]


@pytest.mark.parametrize("infos", [None, {}, {"success": 1.0}])
def test_infos_that_are_no_list_are_taken_as_pufferlib_takes_them(infos):
    env = wrap(Says(num_envs=1))
    env.env.change = lambda *result: (*result[:4], infos)
    env.reset()
    reports, others = play(env, 12)
    assert len(reports) == 4
    assert others == ([infos] * 12 if infos else [])


@EVERY_MODE
def test_a_reward_that_is_not_finite_spoils_its_own_episode_only(autoreset):
    def change(observations, rewards, *rest):
        rewards[0] = np.nan
        return observations, rewards, *rest

    env = wrap(Says(autoreset=autoreset))
    env.env.change = change
    env.reset()
    texts = []
    for _ in range(60):
        try:
            play(env, 1)
        except ValueError as error:
            texts.append(str(error))
    ended = Counter(index for index, _ in env.env.played)
    seen = counts(env.curriculum)
    assert (seen["completed"], seen["cancelled"]) == (ended[1] + ended[2], ended[0])
    assert len(texts) == ended[0] > 10
    assert all(re.search(r"got nan by rule 'return' for task \d 'value=.*' in environment 0;", text) for text in texts)


@pytest.mark.parametrize("reduce", ["mean", "sum"])
def test_returns_of_agents_of_which_none_is_finite_make_no_warning(reduce):
    env = wrap(Says(num_envs=1), reduce=reduce)
    env.env.change = lambda observations, rewards, *rest: (observations, np.array([np.inf, -np.inf]), *rest)
    env.reset()
    with pytest.raises(ValueError, match=r"score: expected a finite number .* got nan"):
        play(env, 3)


@EVERY_MODE
def test_a_reducer_that_raises_ends_its_episodes(autoreset):
    env = wrap(Payers(num_envs=1, autoreset=autoreset), reduce=lambda _: 1 / 0)
    env.reset()
    with pytest.raises(ZeroDivisionError):
        play(env, 3)
    seen = counts(env.curriculum)
    assert (seen["completed"], seen["cancelled"]) == (0, 1)
    env.close()
    assert counts(env.curriculum)["pending"] == 0


@EVERY_MODE
def test_a_reducer_that_raises_for_one_environment_costs_the_others_no_score(autoreset):
    def reduce(returns):
        return 1 / 0 if returns[0] == 0 else returns.sum()  # the environments whose task is worth nothing

    env = wrap(Payers(autoreset=autoreset), reduce=reduce)
    env.env.lengths[:] = 3  # all episodes end in the same step
    env.reset()
    num_errors = 0
    for _ in range(60):
        try:
            env.step(env.env.actions)
        except ZeroDivisionError:
            num_errors += 1
    ended = Counter(value > 0 for _, value in env.env.played)
    seen = counts(env.curriculum)
    assert num_errors > 3
    assert (seen["completed"], seen["cancelled"]) == (ended[True], ended[False])
    env.close()


# PufferLib's emulation and vectorization


class MakePole:
    """Makes a CartPole within PufferLib's emulation, around the wrapper for Gymnasium."""

    def __init__(self, curriculum):
        self.curriculum = curriculum

    def __call__(self, buf=None, seed=0):
        def apply(env, task):
            env.unwrapped.gravity = 5 + 10 * task.config["value"]

        env = gymnasium.make("CartPole-v1")
        env = GymnasiumCurriculumEnv(env, self.curriculum, apply=apply, stats_interval=5)
        return emulation.GymnasiumPufferEnv(env, buf=buf, seed=seed)


class MakePayers:
    """Makes native environments, wrapped; with `is_pickled`, each around a copy of the curriculum."""

    def __init__(self, curriculum, autoreset="next_step", is_pickled=False):
        self.curriculum, self.autoreset, self.is_pickled = curriculum, autoreset, is_pickled

    def __call__(self, buf=None, seed=0):
        curriculum = pickle.loads(pickle.dumps(self.curriculum)) if self.is_pickled else self.curriculum
        return wrap(Payers(buf, seed, autoreset=self.autoreset), curriculum=curriculum, stats_interval=5)


def reports_of(envs, num_steps):
    envs.action_space.seed(0)
    envs.reset(seed=0)
    reports = []
    for _ in range(num_steps):
        *_, infos = envs.step(envs.action_space.sample())
        reports += [info[INFO_KEY] for info in infos if "score" in info.get(INFO_KEY, {})]
    return reports


def test_emulation():
    curriculum = curriculum_of(VALUES, score_range=(0, 500))
    env = MakePole(curriculum)()
    for episode in range(10):
        env.reset(seed=episode)
        while not env.done:
            *_, info = env.step(np.array([0]))
        assert info[INFO_KEY]["score"] >= 5
    env.close()
    assert counts(curriculum) == {"scheduled": 10, "completed": 10, "cancelled": 0, "pending": 0}


@pytest.mark.parametrize("make", [MakePole, MakePayers])
def test_serial_vectorization(make):
    curriculum = curriculum_of(VALUES, score_range=(0, 500))
    envs = vector.make(make(curriculum), num_envs=2, backend=vector.Serial)
    reports = reports_of(envs, 120)
    assert len(reports) > 5
    assert counts(curriculum)["completed"] == len(reports)
    assert any("stats" in report for report in reports)
    envs.close()
    assert counts(curriculum)["pending"] == 0


class MakeBroken(MakePayers):
    """Makes environments that pay too much, but only in worker processes, which `fork` has made copies of this one."""

    def __init__(self, curriculum, where):
        super().__init__(curriculum)
        self.where, self.main = where, os.getpid()

    def __call__(self, buf=None, seed=0):
        env = super().__call__(buf, seed)
        if os.getpid() != self.main:
            env.env.lengths = env.env.lengths * 0 + 3
            if self.where == "score":
                env.env.set_mg_config({"value": 1000})
                env._apply = lambda *_: None
            else:
                env.env.raises_in_reset = VALUES
        return env


@pytest.mark.parametrize("num_workers", [2, 1])
@pytest.mark.parametrize(
    ("where", "error"), [("score", "ValueError: score: expected"), ("reset", "EnvironmentFailedError: env: expected")]
)
def test_what_a_worker_raises_is_raised_by_recv_and_never_waited_for(where, error, num_workers):
    with curriculum_of(VALUES, score_range=(0, 500), use_shared_memory=True) as curriculum:
        envs = vector.make(
            MakeBroken(curriculum, where),
            num_envs=2,
            num_workers=num_workers,
            overwork=True,
            backend=vector.Multiprocessing,
        )
        try:
            for _ in range(2):  # the workers live on
                with pytest.raises(WorkerError, match=rf"(?s)in a worker process.*Traceback.*in .*{error}"):
                    reports_of(envs, 20)
        finally:
            envs.close()
            for process in envs.processes:
                process.join()


class Ending(Payers):
    """Ends its process at the fifth step, if it is the second worker's."""

    def __init__(self, buf, seed, end):
        super().__init__(buf, seed)
        self.is_second, self.end = seed == 1, end

    def step(self, actions):
        if self.is_second and self.num_steps == 4:
            self.end()
        return super().step(actions)


class MakeEnding:
    """Makes environments of which the second worker's ends its process."""

    def __init__(self, curriculum, end):
        self.curriculum, self.end = curriculum, end

    def __call__(self, buf=None, seed=0):
        return wrap(Ending(buf, seed, self.end), curriculum=self.curriculum)


def kill_itself():
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize(
    ("end", "message"),
    [
        (
            kill_itself,
            r"recv: expected worker 1 of PufferLib to answer, got a process that was killed by SIGKILL \(pid",
        ),
        (
            partial(os._exit, 3),
            r"worker 1 .* got a process that exited with status 3 .*; close the environments and make",
        ),
    ],
)
def test_a_worker_that_ends_is_raised_by_recv_and_never_waited_for(end, message):
    with curriculum_of(VALUES, score_range=RANGE, use_shared_memory=True) as curriculum:
        make = MakeEnding(curriculum, end)
        envs = vector.make(make, num_envs=2, num_workers=2, overwork=True, backend=Multiprocessing, seed=0)
        try:
            with pytest.raises(WorkerError, match=message):
                reports_of(envs, 20)
        finally:
            envs.close()
            for process in envs.processes:
                process.join()


def test_a_function_gives_the_regret_of_an_episode():
    config = PrioritizedLevelReplayConfig(num_active_tasks=len(VALUES), score_range=RANGE, use_shared_memory=False)
    generator = bucketed({"value": 0.0}, {"value": VALUES})
    with pytest.raises(ValueError, match="regret: expected a function of an Episode, since PrioritizedLevelReplay"):
        wrap(curriculum=Curriculum(config, generator))
    env = wrap(curriculum=Curriculum(config, generator), regret=lambda episode: 9 - episode.episode_return)
    env.reset()
    reports = [info[INFO_KEY] for _ in range(60) for info in env.step(np.zeros(6, np.int64))[-1] if INFO_KEY in info]
    assert len(reports) > 20
    assert all(report["regret"] == pytest.approx(9 - report["score"]) for report in reports)
    states = [state for state in env.curriculum.task_states() if state.num_completions]
    assert sum(state.num_regrets for state in states) == len(reports)


@pytest.mark.parametrize("how", ["emulated", "forked", "pickled"])
def test_worker_processes_share_the_curriculum(how):
    with curriculum_of(VALUES, score_range=(0, 500), use_shared_memory=True) as curriculum:
        make = MakePole(curriculum) if how == "emulated" else MakePayers(curriculum, "same_step", how == "pickled")
        envs = vector.make(make, num_envs=2, num_workers=2, overwork=True, backend=vector.Multiprocessing)
        try:
            reports = reports_of(envs, 120)
            seen = counts(curriculum)
            assert len(reports) > 5
            assert seen["completed"] == len(reports)
            completions = {state.task_id: state.num_completions for state in curriculum.task_states()}
            assert {task_id: n for task_id, n in completions.items() if n} == Counter(r["task_id"] for r in reports)
            stats = [report["stats"]["num_completed"] for report in reports if "stats" in report]
            assert max(stats) > len(reports) / 2  # each worker sees what both have done
        finally:
            envs.close()
            for process in envs.processes:
                process.join()
        assert counts(curriculum)["completed"] == len(reports)
