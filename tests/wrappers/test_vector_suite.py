"""The public suite over `CurriculumEnv` for vector environments: from outside, in each autoreset mode."""

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv
from gymnasium.vector.utils import batch_space

from curricular.testing import WrapperSuite
from curricular.wrappers.gymnasium_vector import CurriculumEnv

from .test_gymnasium_suite import LaneEnv, VectorLoop


class TaskedEnv(LaneEnv):
    """Applies the task of its attribute when it restarts."""

    task = None

    def reset(self, *, seed=None, options=None):
        self.lane.apply(self.task.config)
        return super().reset(seed=seed)


class NativeEnv(VectorEnv):
    """Steps all lanes at once; it has no infos but those of the lanes that end."""

    single_observation_space = single_action_space = gymnasium.spaces.Discrete(1)

    def __init__(self, lanes, mode):
        self.lanes, self.num_envs, self.metadata = lanes, len(lanes), {"autoreset_mode": mode}
        self.observation_space = self.action_space = batch_space(self.single_action_space, len(lanes))
        self.is_over = np.zeros(len(lanes), bool)

    def reset(self, *, seed=None, options=None):
        mask = (options or {}).get("reset_mask", np.ones(self.num_envs, bool))
        self.is_over &= ~mask
        for lane, is_reset in zip(self.lanes, mask, strict=True):
            if is_reset:
                lane.begin()
        return np.zeros(self.num_envs, np.int64), {}

    def step(self, actions):
        mode, over, infos = self.metadata["autoreset_mode"], self.is_over.copy(), {}
        rewards, terminations, truncations = np.zeros((3, self.num_envs))
        for index, lane in enumerate(self.lanes):
            if over[index]:
                lane.begin()
                rewards[index] = 99.0  # means nothing
                continue
            rewards[index], terminations[index], truncations[index], info = lane.step()
            if terminations[index] or truncations[index]:
                infos = self._add_info(infos, dict(info), index)
                if mode is AutoresetMode.SAME_STEP:
                    lane.begin()
        ended = (terminations + truncations) > 0
        if mode is not AutoresetMode.SAME_STEP:
            self.is_over = ended
        elif ended.any():
            infos = {"final_info": infos, "_final_info": ended}
        return np.zeros(self.num_envs, np.int64), rewards, terminations > 0, truncations > 0, infos


def apply_natively(envs, tasks, indices):
    for task, index in zip(tasks, indices, strict=True):
        envs.unwrapped.lanes[index].apply(task.config)


class OutsideLoop(VectorLoop):
    """The driver of a vector environment whose mode is in its metadata."""

    def __init__(self, envs):
        envs.autoreset_mode = envs.metadata["autoreset_mode"]
        super().__init__(envs)


class TestNativeNextStep(WrapperSuite):
    takes_late_regrets = True
    num_lanes = 3
    mode = AutoresetMode.NEXT_STEP

    def make_driver(self, curriculum, lanes, **settings):
        return OutsideLoop(CurriculumEnv(NativeEnv(lanes, self.mode), curriculum, apply=apply_natively, **settings))


class TestNativeSameStep(TestNativeNextStep):
    mode = AutoresetMode.SAME_STEP
    handouts_per_lane = 2


class TestNativeResetByHand(TestNativeNextStep):
    mode = AutoresetMode.DISABLED


class TestSyncNextStep(WrapperSuite):
    takes_late_regrets = True
    num_lanes = 3
    mode = AutoresetMode.NEXT_STEP

    def make_driver(self, curriculum, lanes, **settings):
        envs = SyncVectorEnv([lambda lane=lane: TaskedEnv(lane) for lane in lanes], autoreset_mode=self.mode)
        return OutsideLoop(CurriculumEnv(envs, curriculum, apply="task", **settings))


class TestSyncSameStep(TestSyncNextStep):
    mode = AutoresetMode.SAME_STEP
    handouts_per_lane = 2


class TestSyncResetByHand(TestSyncNextStep):
    mode = AutoresetMode.DISABLED
