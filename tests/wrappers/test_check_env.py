"""The public checker: real wrapped environments pass it, and each mistake is named."""

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorWrapper
from gymnasium.wrappers import TimeAwareObservation, TimeLimit

from curricular import Curriculum, LearningProgressConfig, Span, UniformConfig, bucketed
from curricular.testing import check_curriculum_env
from curricular.wrappers.episodes import INFO_KEY
from curricular.wrappers.gymnasium import CurriculumEnv, TaskEnv
from curricular.wrappers.gymnasium_vector import CurriculumEnv as CurriculumVectorEnv

from .test_gymnasium import wrap

minigrid_wrappers = pytest.importorskip("minigrid.wrappers", reason="needs MiniGrid")


def curriculum_of(tasks, **settings):
    settings = {"num_active_tasks": None, "use_shared_memory": False, "score_range": (-500, 500), **settings}
    return Curriculum(UniformConfig(**settings), tasks)


def by_id(task):
    return minigrid_wrappers.ImgObsWrapper(gymnasium.make(task.config, max_steps=9))


def push(env, task):
    env.unwrapped.force_mag = task.config["force_mag"]


def test_real_environments_pass():
    levels = curriculum_of(["MiniGrid-Empty-5x5-v0", "MiniGrid-FourRooms-v0"])
    check_curriculum_env(CurriculumEnv(make=by_id, curriculum=levels))
    poles = bucketed({"force_mag": 10.0}, {"force_mag": Span(1.0, 20.0)})
    config = LearningProgressConfig.fast_learning(
        num_active_tasks=8, min_presentations_for_eviction=5, score_range=(0, 500), use_shared_memory=False
    )
    env = CurriculumEnv(gymnasium.make("CartPole-v1"), Curriculum(config, poles), apply=push)
    check_curriculum_env(TimeAwareObservation(env), num_episodes=20)


def test_an_environment_that_raises_passes():
    env = wrap()
    env.unwrapped.raises_in_step = [0.25]
    check_curriculum_env(env, num_episodes=20)


class Mistaken(gymnasium.Wrapper):
    def mine(self):
        return self.get_wrapper_attr("curriculum")


class AsksEarly(Mistaken):
    def __init__(self, env):
        super().__init__(env)
        self.mine().get_task()


class AsksTwice(Mistaken):
    def reset(self, **arguments):
        self.mine().get_task()
        return self.env.reset(**arguments)


class ScoresTheAbandoned(Mistaken):
    def reset(self, **arguments):
        if self.env.task is not None:
            self.mine().update_task_performance(self.env.task.task_id, 0.0)
            self.env._episodes.task = None
        return self.env.reset(**arguments)


class TellsEveryStep(Mistaken):
    def step(self, action):
        self.mine().update_task_performance(self.env.task.task_id, 0.0)
        return self.env.step(action)


class TellsTwice(Mistaken):
    def step(self, action):
        *result, is_over, is_truncated, info = self.env.step(action)
        if "score" in info[INFO_KEY]:
            self.mine().update_task_performance(info[INFO_KEY]["task_id"], 0.5)
        return *result, is_over, is_truncated, info


class SaysNothingAtFirst(Mistaken):
    def reset(self, **arguments):
        observation, _ = self.env.reset(**arguments)
        return observation, {}


class SaysNothingAtLast(Mistaken):
    def step(self, action):
        *result, _ = self.env.step(action)
        return *result, {}


class NamesAnotherTask(Mistaken):
    def reset(self, **arguments):
        observation, info = self.env.reset(**arguments)
        view = self.mine().task((info[INFO_KEY]["task_id"] + 1) % 4)
        return observation, {INFO_KEY: {**info[INFO_KEY], "task_id": view.task_id, "label": view.label}}


class ForgetsToClose(Mistaken):
    def close(self):
        pass


class LeavesTheSpace(Mistaken):
    def step(self, action):
        _, *result = self.env.step(action)
        return np.full(3, -1.0), *result


@pytest.mark.parametrize(
    ("mistake", "message"),
    [
        (AsksEarly, "a new environment: expected no open hand-out of its own, got 1"),
        (AsksTwice, "reset: expected one open hand-out, got 2"),
        (ScoresTheAbandoned, "a reset during an episode: expected no score, since the episode was abandoned, got 1"),
        (TellsEveryStep, "expected (an unchanged account|one open|no score)"),
        (TellsTwice, r"the step that ends an episode: expected 1 told and 0 cancelled hand-outs, got \(2, 0\)"),
        (SaysNothingAtFirst, r"reset: expected info\['curriculum'\] with \['label', 'task_changed', 'task_id'\], got"),
        (SaysNothingAtLast, r"the step that ends an episode: expected info\['curriculum'\] with 'task_id'"),
        (NamesAnotherTask, r"reset: expected the task that was handed out, got 'task \d'"),
        (ForgetsToClose, "close: expected no open hand-out, got 1"),
        (LeavesTheSpace, r"step: expected an observation in Box\("),
    ],
)
def test_a_mistake_is_named(mistake, message):
    with pytest.raises(AssertionError, match=message):
        check_curriculum_env(mistake(wrap()))


def test_an_episode_without_an_end_is_named():
    env = wrap()
    env.unwrapped.length = 100
    with pytest.raises(AssertionError, match="expected the end of an episode within 10 steps, got none; put a TimeL"):
        check_curriculum_env(env, max_steps=10)


def test_a_time_limit_outside_is_found():
    env = wrap()
    env.unwrapped.length = 100
    with pytest.raises(AssertionError, match=r"the step that ends an episode: expected info\['curriculum'\]"):
        check_curriculum_env(TimeLimit(env, 10))


# Vector environments


def levels_of(mode=AutoresetMode.NEXT_STEP):
    curriculum = curriculum_of(["MiniGrid-Empty-5x5-v0", "MiniGrid-FourRooms-v0"])
    envs = SyncVectorEnv([lambda: TaskEnv(by_id, curriculum.peek())] * 3, autoreset_mode=mode)
    return CurriculumVectorEnv(envs, curriculum, apply="task")


@pytest.mark.parametrize("mode", AutoresetMode)
def test_vector_environments_pass_in_every_autoreset_mode(mode):
    check_curriculum_env(levels_of(mode), num_episodes=9)
    curriculum = curriculum_of(bucketed({"value": 0.25}, {"value": [0.25, 0.75]}))
    if mode is not AutoresetMode.DISABLED:
        envs = SyncVectorEnv([lambda: wrap(curriculum=curriculum)] * 2, autoreset_mode=mode)
        check_curriculum_env(envs, curriculum=curriculum)


def test_a_native_vector_environment_passes():
    def apply(envs, tasks, indices):
        envs.unwrapped.gravity[indices] = [task.config["gravity"] for task in tasks]

    envs = gymnasium.make_vec("CartPole-v1", num_envs=4, vectorization_mode="vector_entry_point")
    envs.unwrapped.gravity = np.full(4, 9.8)
    poles = curriculum_of(bucketed({"gravity": 9.8}, {"gravity": [5.0, 9.8, 20.0]}))
    check_curriculum_env(CurriculumVectorEnv(envs, poles, apply=apply), num_episodes=10)


class MistakenVector(VectorWrapper):
    def __init__(self, env):
        super().__init__(env)
        self.curriculum = env.curriculum


class VectorAsksTwice(MistakenVector):
    def reset(self, **arguments):
        self.curriculum.ask(2)
        return self.env.reset(**arguments)


class VectorTellsTwice(MistakenVector):
    def step(self, actions):
        *result, infos = self.env.step(actions)
        report = infos.get(INFO_KEY, {})
        if "score" in report:
            self.curriculum.tell(report["task_id"][report["_score"]], report["score"][report["_score"]])
        return *result, infos


class VectorSaysNothing(MistakenVector):
    def step(self, actions):
        *result, _ = self.env.step(actions)
        return *result, {}


class VectorSaysNothingAtFirst(MistakenVector):
    def reset(self, **arguments):
        return self.env.reset(**arguments)[0], {}


class VectorForgetsToClose(MistakenVector):
    def close(self, **arguments):
        pass


@pytest.mark.parametrize(
    ("mistake", "message"),
    [
        (VectorAsksTwice, "reset: expected 3 open hand-outs, or 6 if tasks are applied one episode ahead, got 5"),
        (VectorTellsTwice, r"a step: expected \d told and 0 cancelled hand-outs, got \("),
        (VectorSaysNothing, "a step: expected 'score' or 'error' of each episode that ended, and of no other, got"),
        (VectorSaysNothingAtFirst, r"reset: expected infos\['curriculum'\]\['task_id'\] of every environment, got"),
        (VectorForgetsToClose, "close: expected no open hand-out, got"),
    ],
)
def test_a_mistake_in_a_vector_environment_is_named(mistake, message):
    with pytest.raises(AssertionError, match=message):
        check_curriculum_env(mistake(levels_of()))


def test_an_environment_without_a_curriculum_is_named():
    with pytest.raises(TypeError, match=r"curriculum: expected the curriculum of .*, got None; pass it"):
        check_curriculum_env(VectorWrapper(levels_of()))
