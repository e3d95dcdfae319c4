"""The public suite over `CurriculumEnv` for Gymnasium: one environment, and several in each autoreset mode."""

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.wrappers.vector import DictInfoToList

from curricular.testing import WrapperSuite
from curricular.wrappers.episodes import INFO_KEY
from curricular.wrappers.gymnasium import CurriculumEnv


class LaneEnv(gymnasium.Env):
    """Plays on a lane."""

    observation_space = gymnasium.spaces.Discrete(1)
    action_space = gymnasium.spaces.Discrete(1)

    def __init__(self, lane):
        self.lane = lane

    def set_config(self, config):
        self.lane.apply(config)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.lane.begin()
        return 0, {}

    def step(self, action):
        reward, is_terminated, is_truncated, info = self.lane.step()
        return 0, reward, is_terminated, is_truncated, dict(info)


class OptionsEnv(LaneEnv):
    """Takes its configuration from the options of `reset`."""

    def reset(self, *, seed=None, options=None):
        self.lane.apply(options)
        return super().reset(seed=seed)


class OneTaskEnv(LaneEnv):
    """Plays one configuration, with which it is made."""

    def __init__(self, lane, config):
        super().__init__(lane)
        self.config = config

    def reset(self, *, seed=None, options=None):
        self.lane.apply(self.config)
        return super().reset(seed=seed)


class Loop:
    """The driver of one environment."""

    def __init__(self, env):
        self.env, self.is_over = env, False
        self.close = env.close

    def reset(self):
        self.env.reset()
        self.is_over = False

    def step(self):
        if self.is_over:
            self.reset()
        *_, is_terminated, is_truncated, info = self.env.step(0)
        self.is_over = is_terminated or is_truncated
        return {0: info[INFO_KEY]} if self.is_over else {}


class VectorLoop:
    """The driver of a `SyncVectorEnv`."""

    def __init__(self, envs):
        self.envs, self.mode = DictInfoToList(envs), envs.autoreset_mode
        self.reset, self.close = self.envs.reset, self.envs.close

    def step(self):
        *_, terminations, truncations, infos = self.envs.step(np.zeros(self.envs.num_envs, np.int64))
        is_over = terminations | truncations
        if self.mode is AutoresetMode.SAME_STEP:
            infos = [info.get("final_info") for info in infos]
        reports = {i: infos[i][INFO_KEY] for i in np.flatnonzero(is_over).tolist()}
        if reports and self.mode is AutoresetMode.DISABLED:
            self.envs.reset(options={"reset_mask": is_over})
        return reports


class TestOneEnvironment(WrapperSuite):
    takes_late_regrets = True

    def make_driver(self, curriculum, lanes, **settings):
        return Loop(CurriculumEnv(LaneEnv(*lanes), curriculum, apply="set_config", **settings))


class TestAppliedByOptions(WrapperSuite):
    takes_late_regrets = True

    def make_driver(self, curriculum, lanes, **settings):
        return Loop(CurriculumEnv(OptionsEnv(*lanes), curriculum, apply="reset", **settings))


class TestMade(WrapperSuite):
    takes_late_regrets = True

    def make_driver(self, curriculum, lanes, **settings):
        def make(task):
            return OneTaskEnv(*lanes, task.config)

        return Loop(CurriculumEnv(make=make, curriculum=curriculum, max_envs=2, **settings))


class TestNextStep(WrapperSuite):
    takes_late_regrets = True
    num_lanes = 3
    autoreset_mode = AutoresetMode.NEXT_STEP

    def make_driver(self, curriculum, lanes, **settings):
        def make(lane):
            return lambda: CurriculumEnv(LaneEnv(lane), curriculum, apply="set_config", **settings)

        return VectorLoop(SyncVectorEnv([make(lane) for lane in lanes], autoreset_mode=self.autoreset_mode))


class TestSameStep(TestNextStep):
    autoreset_mode = AutoresetMode.SAME_STEP


class TestResetByHand(TestNextStep):
    autoreset_mode = AutoresetMode.DISABLED
