"""`CurriculumTransform` for TorchRL, over CartPole: one environment, a batch of them, and a collector."""

import warnings

import numpy as np
import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # TorchRL's own, when it is imported
    collectors = pytest.importorskip("torchrl.collectors")

import torch
from torchrl.envs import Compose, GymEnv, SerialEnv, StepCounter, Transform, TransformedEnv, check_env_specs

from curricular import Curriculum, PrioritizedLevelReplayConfig, UniformConfig
from curricular.wrappers.episodes import EnvironmentFailedError
from curricular.wrappers.torchrl import CurriculumTransform

from .accounts import balance

pytestmark = pytest.mark.filterwarnings("ignore")  # TorchRL's own
GRAVITIES = [5.0, 9.8, 20.0]


def curriculum_of(tasks=GRAVITIES):
    return Curriculum(UniformConfig(num_active_tasks=None, score_range=(0, 500), use_shared_memory=False), tasks)


def weigh(env, tasks, indices):
    for task, index in zip(tasks, indices, strict=True):
        lane = env._envs[index] if isinstance(env, SerialEnv) else env
        lane.unwrapped.gravity = task.config


def poles(num_envs=None, curriculum=None, max_steps=12, **settings):
    curriculum = curriculum_of() if curriculum is None else curriculum
    base = GymEnv("CartPole-v1") if num_envs is None else SerialEnv(num_envs, lambda: GymEnv("CartPole-v1"))
    transform = CurriculumTransform(curriculum, **{"apply": weigh, **settings})
    env = TransformedEnv(base, Compose(StepCounter(max_steps), transform))
    env.set_seed(0)
    return env, curriculum


def counts(curriculum):
    stats = curriculum.stats()
    assert balance(stats) == 0
    return tuple(int(stats[f"num_{name}"]) for name in ("completed", "cancelled", "pending"))


@pytest.mark.parametrize("num_envs", [None, 3])
def test_every_episode_is_told_to_the_task_that_was_played(num_envs):
    told = []

    def score(episode):
        told.append((episode.task.task_id, episode.episode_return, episode.length, episode.env_index))
        return episode.episode_return

    env, curriculum = poles(num_envs, score=score)
    rollout = env.rollout(100, break_when_any_done=False)
    done, ids = rollout["next", "done"], rollout["task_id"]
    assert len(told) == int(done.sum()) > 7
    # A reward of 1 each step: returns and lengths are the distances of the ends.
    for env_index in range(num_envs or 1):
        ends = np.flatnonzero(done.reshape(num_envs or 1, -1)[env_index])
        played = ids.reshape(num_envs or 1, -1)[env_index]
        expected = [
            (int(played[end]), length, length) for end, length in zip(ends, np.diff(ends, prepend=-1), strict=True)
        ]
        assert [entry[:3] for entry in told if entry[3] == env_index] == expected
    assert (rollout["next", "task_id"] == ids).all()
    assert set(ids.reshape(-1).tolist()) == {0, 1, 2}
    assert counts(curriculum)[:2] == (len(told), 0)
    env.close()
    assert counts(curriculum)[2] == 0


def test_the_task_is_in_play_when_its_episode_begins():
    env, curriculum = poles()
    for _ in range(8):
        task_id = int(env.reset()["task_id"])
        assert env.base_env.unwrapped.gravity == curriculum.task(task_id).config
    assert counts(curriculum) == (0, 7, 1)
    env.close()
    assert counts(curriculum) == (0, 8, 0)


def test_the_specs_are_those_of_the_environment():
    for num_envs in (None, 2):
        env, _ = poles(num_envs)
        check_env_specs(env)
        env.close()


def test_a_collector_continues_episodes_over_its_batches():
    env, curriculum = poles(2, max_steps=30)
    collector = collectors.Collector(env, None, frames_per_batch=16, total_frames=160)
    ended = sum(int(batch["next", "done"].sum()) for batch in collector)
    num_completed, num_cancelled, _ = counts(curriculum)
    assert num_completed == ended > 2
    assert num_cancelled == 2  # it resets once when it is made, and once when it begins
    collector.shutdown()
    assert counts(curriculum)[2] == 0


def test_a_task_that_cannot_be_applied_is_cancelled_and_another_one_asked_for():
    def refuse(env, tasks, indices):
        if tasks[0].config == GRAVITIES[0]:
            raise RuntimeError("too light")
        weigh(env, tasks, indices)

    env, curriculum = poles(apply=refuse)
    assert GRAVITIES[0] not in {curriculum.task(int(env.reset()["task_id"])).config for _ in range(20)}
    env, curriculum = poles(curriculum=curriculum_of(GRAVITIES[:1]), apply=refuse, max_failures=2)
    with pytest.raises(EnvironmentFailedError, match="RuntimeError: too light"):
        env.reset()
    assert counts(curriculum) == (0, 2, 0)


def test_a_function_gives_the_regret_of_an_episode():
    config = PrioritizedLevelReplayConfig(num_active_tasks=3, score_range=(0, 500), use_shared_memory=False)
    with pytest.raises(ValueError, match="regret: expected a function of an Episode"):
        poles(curriculum=Curriculum(config, GRAVITIES))
    infos = []
    env, curriculum = poles(
        curriculum=Curriculum(config, GRAVITIES), regret=lambda episode: infos.append(episode.info) or episode.length
    )
    env.rollout(60, break_when_any_done=False)
    assert {int(state.last_regret) for state in curriculum.task_states() if state.num_regrets} <= set(range(1, 13))
    assert len(infos) == counts(curriculum)[0]
    assert isinstance(infos[0]["observation"], torch.Tensor)


class Says(Transform):
    """Replaces each reward by the next of some."""

    def __init__(self, *rewards):
        super().__init__()
        self.rewards = [torch.tensor(reward) for reward in rewards]

    def _step(self, tensordict, next_tensordict):
        return next_tensordict.set("reward", self.rewards.pop(0)) if self.rewards else next_tensordict


def saying(*rewards):
    curriculum = curriculum_of()
    transform = CurriculumTransform(curriculum, weigh)
    return TransformedEnv(GymEnv("CartPole-v1"), Compose(Says(*rewards), StepCounter(2), transform)), curriculum


@pytest.mark.filterwarnings("error:.*encountered:RuntimeWarning")
@pytest.mark.parametrize("rewards", [([np.nan], [1.0]), ([np.inf], [-np.inf]), ([0.0], [-np.inf])])
def test_rewards_that_are_not_finite_spoil_their_own_episode_only(rewards):
    env, curriculum = saying(*rewards)
    with pytest.raises(ValueError, match=r"score: expected a finite number .* got (nan|-inf) by rule 'return'"):
        env.rollout(2)
    assert counts(curriculum) == (0, 1, 0)
    env.rollout(2)
    assert counts(curriculum) == (1, 1, 0)


def test_several_rewards_of_one_environment_are_an_error_and_the_next_reset_cancels_the_hand_out():
    env, curriculum = saying([1.0, 2.0])
    with pytest.raises(TypeError, match=r"env.step: expected reward of 1 agents, got shape \(2,\)"):
        env.rollout(2)
    assert counts(curriculum) == (0, 0, 1)
    env.rollout(2)
    assert counts(curriculum) == (1, 1, 0)
