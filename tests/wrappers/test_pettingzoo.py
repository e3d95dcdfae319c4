"""`CurriculumEnv` for PettingZoo with real environments: predators of MPE, and knights and archers that die early."""

import numpy as np
import pytest

pettingzoo = pytest.importorskip("pettingzoo")
simple_tag_v3 = pytest.importorskip("mpe2.simple_tag_v3")

from gymnasium.spaces import Discrete  # noqa: E402  after the lines that skip

from curricular import Curriculum, UniformConfig  # noqa: E402
from curricular.wrappers.episodes import INFO_KEY, EnvironmentFailedError  # noqa: E402
from curricular.wrappers.pettingzoo import CurriculumEnv, SpacesDifferError  # noqa: E402

SPEEDS = [0.5, 0.75, 1.0]
"""Share of its speed that the prey has, by task."""


def curriculum_of(tasks, score_range="observed"):
    return Curriculum(UniformConfig(num_active_tasks=None, score_range=score_range, use_shared_memory=False), tasks)


def slow_down(env, task):
    env.unwrapped.world.agents[-1].max_speed = 1.3 * task.config


def tag(**settings):
    env = simple_tag_v3.parallel_env(terminate_on_success=True, max_cycles=8)
    return CurriculumEnv(env, curriculum_of(SPEEDS), **{"apply": slow_down, "reduce": "mean", **settings})


def play(env, seed=None):
    """Plays an episode; returns the agents' returns, the number of steps and the last infos."""
    _, first = env.reset(seed=seed)
    for agent, space in ((agent, env.action_space(agent)) for agent in env.possible_agents):
        space.seed(len(agent))
    returns, length, infos = dict.fromkeys(env.agents, 0.0), 0, first
    while env.agents:
        _, rewards, *_, infos = env.step({agent: env.action_space(agent).sample() for agent in env.agents})
        length += 1
        for agent, reward in rewards.items():
            returns[agent] += reward
    return returns, length, infos


@pytest.mark.parametrize(
    ("reduce", "expected"),
    [("mean", np.mean), ("max", max), ("min", min), ("sum", sum), (lambda numbers: numbers[-1], lambda x: x[-1])],
)
def test_the_returns_of_the_agents_are_reduced_by_the_rule(reduce, expected):
    env = tag(reduce=reduce)
    for seed in range(5):
        returns, _, infos = play(env, seed)
        assert set(infos) == set(env.possible_agents)
        for info in infos.values():
            assert info[INFO_KEY]["score"] == pytest.approx(expected([returns[agent] for agent in env.possible_agents]))
    env.close()


def test_the_task_is_in_play_when_its_episode_begins():
    env = tag()
    for _ in range(6):
        _, infos = env.reset()
        assert env.unwrapped.world.agents[-1].max_speed == 1.3 * env.task.config
        reports = [info[INFO_KEY] for info in infos.values()]
        assert [report["task_id"] for report in reports] == [env.task.task_id] * 4
    env.close()


def test_agents_that_leave_early_count_and_the_episode_continues_without_them():
    def limit(env, task):
        env.unwrapped.max_cycles = task.config

    def score(episode):
        episodes.append(episode)
        return episode.episode_return

    episodes = []
    village = pettingzoo.make("parallel", "butterfly/knights_archers_zombies-v11", spawn_delay=4, line_death=True)
    env = CurriculumEnv(village, curriculum_of([150, 200]), apply=limit, reduce="sum", score=score)
    rng, sizes = np.random.default_rng(0), set()
    for seed in range(3):
        env.reset(seed=seed)
        total, length = 0.0, 0
        while env.agents:
            sizes.add(len(env.agents))
            assert env.curriculum.stats()["num_pending"] == 1
            _, rewards, *_ = env.step({agent: int(rng.integers(6)) for agent in env.agents})
            total, length = total + sum(rewards.values()), length + 1
        assert (episodes[-1].episode_return, episodes[-1].length) == (pytest.approx(total), length)
        assert env.curriculum.stats()["num_pending"] == 0
    env.close()
    assert len(sizes) > 2


AGENTS = ["first", "second"]


class Duel(pettingzoo.ParallelEnv):
    """Two agents, of which the second leaves after the first step."""

    def __init__(self):
        self.metadata, self.possible_agents, self.agents = {}, AGENTS, []
        self.size, self.raises = 2, False

    def observation_space(self, agent):
        return Discrete(self.size)

    action_space = observation_space

    def set_size(self, size):
        self.size = size

    def reset(self, seed=None, options=None):
        self.size = (options or {}).get("size", self.size)
        self.agents = list(self.possible_agents)
        return dict.fromkeys(self.agents, 0), {agent: {} for agent in self.agents}

    def step(self, actions):
        if self.raises:
            raise RuntimeError("no step")
        agents = self.agents
        is_over = {agent: agent == "second" or len(agents) == 1 for agent in agents}
        infos = {agent: {"success": agent == "second", "name": agent} for agent in agents}
        self.agents = [agent for agent in agents if not is_over[agent]]
        return dict.fromkeys(agents, 1), dict.fromkeys(agents, 0.5), is_over, dict.fromkeys(agents, False), infos


def test_success_and_infos_are_those_of_every_agent_also_of_one_that_left():
    episodes = []
    env = CurriculumEnv(Duel(), curriculum_of([{}], (0, 1)), apply="reset", reduce="mean", score="success")
    assert play(env)[2]["first"][INFO_KEY]["score"] == 0.5
    env = CurriculumEnv(
        Duel(), curriculum_of([{}]), apply="reset", reduce="max", score=lambda episode: episodes.append(episode) or 0.0
    )
    play(env)
    assert episodes[0].info == {"success": 1.0, "name": {"first": "first", "second": "second"}}
    assert (episodes[0].episode_return, episodes[0].length) == (1.0, 2)


def test_a_step_that_raises_truncates_the_agents_that_are_left():
    duel = Duel()
    env = CurriculumEnv(duel, curriculum_of([{}]), apply="reset", reduce="mean", max_failures=2)
    env.reset()
    env.step({"first": 0, "second": 0})
    duel.raises = True
    observations, rewards, terminations, truncations, infos = env.step({"first": 0})
    assert (observations, rewards) == ({"first": 1}, {"first": 0.0})
    assert (terminations, truncations) == ({"first": False}, {"first": True})
    assert infos["first"][INFO_KEY]["error"] == "RuntimeError: no step"
    assert env.agents == []
    with pytest.raises(RuntimeError, match=r"step: expected an episode in play, got none; call reset\(\)"):
        env.step({})
    env.reset()
    with pytest.raises(EnvironmentFailedError):
        env.step({"first": 0, "second": 0})


def test_several_agents_need_a_reducer():
    with pytest.raises(ValueError, match=r"reduce: expected a rule for the 4 agents of .*, got None; pass one of mean"):
        tag(reduce=None)
    with pytest.raises(ValueError, match="reduce: expected a function or one of mean, max, min, sum, got 'median'"):
        tag(reduce="median")


@pytest.mark.parametrize(("apply", "config"), [("reset", {"size": 3}), ("set_size", 3)])
def test_other_spaces_are_an_error_that_names_the_task(apply, config):
    env = CurriculumEnv(Duel(), curriculum_of([config]), apply=apply, reduce="mean")
    with pytest.raises(SpacesDifferError, match=r"another observation_space\['first'\]: Discrete\(3\) instead of"):
        env.reset()
    assert env.curriculum.stats()["num_pending"] == 0
    env.close()


def test_a_method_that_is_missing_is_named():
    with pytest.raises(ValueError, match=r"apply: expected a function or the name of a method .* got 'set_stage'"):
        tag(apply="set_stage")


def in_play(slot, wrong):
    """An environment in play whose next step returns `wrong` as one of its five values."""
    duel = Duel()
    env = CurriculumEnv(duel, curriculum_of([{}]), apply="reset", reduce="mean")
    env.reset()
    result = [dict.fromkeys(AGENTS, value) for value in (0, 0.5, True, False, {})]
    result[slot] = wrong
    duel.step = lambda actions: tuple(result)
    return env


@pytest.mark.parametrize("wrong", [None, [1.0, 0.0], 0.5, np.zeros(2), "ab"])
@pytest.mark.parametrize("slot", range(5))
def test_a_step_that_returns_no_dicts_is_one_clear_error_that_ends_the_episode(slot, wrong):
    env = in_play(slot, wrong)
    name = ("observations", "rewards", "terminations", "truncations", "infos")[slot]
    with pytest.raises(TypeError, match=f"env.step: expected {name} as a dict by agent, got"):
        env.step({})
    stats = env.curriculum.stats()
    assert (env.task, stats["num_cancelled"], stats["num_pending"]) == (None, 1, 0)


@pytest.mark.parametrize(
    ("result", "name"),
    [((None, {}), "observations"), (([0, 0], {}), "observations"), (({}, None), "infos"), (({}, [{}]), "infos")],
)
def test_a_reset_that_returns_no_dicts_is_one_clear_error_that_leaves_no_handout(result, name):
    duel = Duel()
    duel.reset = lambda seed=None, options=None: result
    env = CurriculumEnv(duel, curriculum_of([{}]), apply="reset", reduce="mean")
    with pytest.raises(TypeError, match=f"env.reset: expected {name} as a dict by agent, got"):
        env.reset()
    assert env.curriculum.stats()["num_pending"] == 0


@pytest.mark.parametrize(
    ("slot", "wrong", "message"),
    [
        (1, {"first": "much"}, "reward of first: expected one number, got 'much'"),
        (1, {"first": None}, "reward of first: expected one number, got None"),
        (1, {"ghost": 1.0}, r"rewards of the possible agents \['first', 'second'\], got one of 'ghost'"),
        (2, {"first": "no"}, "terminated: expected one number, got 'no'"),
        (4, {"first": None}, "expected an info that is a dict, got None"),
    ],
)
def test_wrong_values_of_an_agent_are_one_clear_error_that_ends_the_episode(slot, wrong, message):
    env = in_play(slot, wrong)
    with pytest.raises(TypeError, match=message):
        env.step({})
    assert env.curriculum.stats()["num_cancelled"] == 1


def test_an_agent_that_appears_late_counts_and_infos_of_no_agent_do_not():
    duel, episodes = Duel(), []
    env = CurriculumEnv(
        duel, curriculum_of([{}]), apply="reset", reduce="max", score=lambda episode: episodes.append(episode) or 0.0
    )
    duel.reset = lambda seed=None, options=None: ({"first": 0}, {})
    env.reset()
    duel.agents = ["first"]
    duel.step = lambda actions: ({"first": 0}, {"first": 1.0}, {"first": False}, {"first": False}, {})
    env.step({"first": 0})
    duel.agents = AGENTS
    no = dict.fromkeys(AGENTS, False)
    duel.step = lambda actions: (no, {"first": 1.0, "second": 3.0}, no, no, {"__common__": {"seed": 1}})
    env.step({"first": 0})
    assert env.agents == AGENTS
    duel.agents = []
    duel.step = lambda actions: (no, {"first": 0.0, "second": 4.0}, dict.fromkeys(AGENTS, 1), no, {})
    env.step(dict.fromkeys(AGENTS, 0))
    assert (episodes[0].episode_return, episodes[0].info) == (7.0, {})


def test_a_step_that_raises_before_an_agent_has_an_observation_ends_the_episode():
    duel = Duel()
    duel.reset, duel.raises = lambda seed=None, options=None: ({"first": 0}, {}), True
    duel.agents = AGENTS
    env = CurriculumEnv(duel, curriculum_of([{}]), apply="reset", reduce="max")
    env.reset()
    assert env.step({})[3] == {"first": True}
    assert env.curriculum.stats()["num_cancelled"] == 1
