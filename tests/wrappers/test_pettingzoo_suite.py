"""The public suite over `CurriculumEnv` for PettingZoo's parallel API."""

import pytest

pytest.importorskip("pettingzoo")

import gymnasium
from pettingzoo import ParallelEnv

from curricular.testing import AgentsWrapperSuite
from curricular.wrappers.episodes import INFO_KEY
from curricular.wrappers.pettingzoo import CurriculumEnv

AGENTS = ["left", "right"]


class LaneEnv(ParallelEnv):
    """Plays on one lane, an environment of two agents with the same rewards and infos."""

    def __init__(self, lane):
        self.metadata = {"name": "lane"}
        self.lane, self.possible_agents, self.agents = lane, AGENTS, []

    def observation_space(self, agent):
        return SPACE

    action_space = observation_space

    def reset(self, seed=None, options=None):
        self.lane.begin()
        self.agents = list(AGENTS)
        return dict.fromkeys(AGENTS, 0), {agent: {} for agent in AGENTS}

    def step(self, actions):
        reward, is_terminated, is_truncated, info = self.lane.step()
        if is_terminated or is_truncated:
            self.agents = []
        values = 0, reward, is_terminated, is_truncated, dict(info)
        return tuple({agent: value for agent in AGENTS} for value in values)  # noqa: C420  equal, not the same


SPACE = gymnasium.spaces.Discrete(2)


class Loop:
    """The driver."""

    def __init__(self, env):
        self.env, self.reset, self.close = env, env.reset, env.close

    def step(self):
        if not self.env.agents:
            self.env.reset()
        *_, infos = self.env.step(dict.fromkeys(self.env.agents, 0))
        assert infos["left"] == infos["right"]
        report = infos["left"].get(INFO_KEY, {})
        return {0: report} if {"score", "error"} & report.keys() else {}


class TestPettingZoo(AgentsWrapperSuite):
    def make_driver(self, curriculum, lanes, **settings):
        (lane,) = lanes

        def apply(env, task):
            lane.apply(task.config)

        return Loop(CurriculumEnv(LaneEnv(lane), curriculum, apply=apply, **{"reduce": "mean", **settings}))
