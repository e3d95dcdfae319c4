"""The public suite over `CurriculumEnv` for PufferLib: one environment and several, in both autoreset modes."""

import numpy as np
import pytest

pufferlib = pytest.importorskip("pufferlib")

import gymnasium  # noqa: E402  after the line that skips

from curricular.testing import AgentsWrapperSuite  # noqa: E402
from curricular.wrappers.episodes import INFO_KEY  # noqa: E402
from curricular.wrappers.puffer import CurriculumEnv  # noqa: E402

AGENTS_PER_ENV = 2


class LaneEnv(pufferlib.PufferEnv):
    """Plays on lanes, each an environment of two agents with the same rewards."""

    def __init__(self, lanes, autoreset):
        self.single_observation_space = gymnasium.spaces.Box(0, 1, (1,), np.float32)
        self.single_action_space = gymnasium.spaces.Discrete(2)
        self.num_agents = AGENTS_PER_ENV * len(lanes)
        super().__init__()
        self.lanes, self.autoreset = lanes, autoreset

    def reset(self, seed=None):
        for lane in self.lanes:
            lane.begin()
        return self.observations, []

    def step(self, actions):
        infos = []
        for i, lane in enumerate(self.lanes):
            if not lane.is_playing:
                lane.begin()
            agents = slice(i * AGENTS_PER_ENV, (i + 1) * AGENTS_PER_ENV)
            self.rewards[agents], self.terminals[agents], self.truncations[agents], info = lane.step()
            infos += [dict(info)] if info else []
            if self.autoreset == "same_step" and not lane.is_playing:
                lane.begin()
        return self.observations, self.rewards, self.terminals, self.truncations, infos

    def close(self):
        pass


class Loop:
    """The driver."""

    def __init__(self, env):
        self.env = env
        self.reset, self.close = env.reset, env.close

    def step(self):
        *_, infos = self.env.step(np.zeros(self.env.num_agents, np.int64))
        reports = [dict(info[INFO_KEY]) for info in infos if INFO_KEY in info]
        return {report.pop("env_index"): report for report in reports}


class TestNextStep(AgentsWrapperSuite):
    num_lanes = 3
    autoreset = "next_step"

    def make_driver(self, curriculum, lanes, **settings):
        def apply(env, task, env_index):
            lanes[env_index].apply(task.config)

        env = LaneEnv(lanes, self.autoreset)
        return Loop(
            CurriculumEnv(
                env, curriculum, apply=apply, autoreset=self.autoreset, agents_per_env=AGENTS_PER_ENV, **settings
            )
        )


class TestSameStep(TestNextStep):
    handouts_per_lane = 2
    autoreset = "same_step"
