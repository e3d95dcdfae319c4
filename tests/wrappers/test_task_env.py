"""A task is another environment: `CurriculumEnv` with `make`, over real environments, and `TaskEnv` under it."""

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AsyncVectorEnv, SyncVectorEnv

from curricular import Curriculum, Span, UniformConfig, bucketed
from curricular.wrappers.episodes import INFO_KEY, EnvironmentFailedError
from curricular.wrappers.gymnasium import CurriculumEnv, SpacesDifferError, TaskEnv

from .accounts import counts

minigrid_wrappers = pytest.importorskip("minigrid.wrappers", reason="needs MiniGrid")

IDS = ["MiniGrid-Empty-5x5-v0", "MiniGrid-DoorKey-5x5-v0", "MiniGrid-FourRooms-v0", "MiniGrid-LavaGapS5-v0"]


def curriculum_of(tasks, **settings):
    settings = {"num_active_tasks": None, "use_shared_memory": False, "score_range": (-1e4, 1e4), **settings}
    return Curriculum(UniformConfig(**settings), tasks)


def by_id(task):
    return minigrid_wrappers.ImgObsWrapper(gymnasium.make(task.config, max_steps=5))


def by_size(task):
    size = task.config["size"]
    return minigrid_wrappers.ImgObsWrapper(gymnasium.make("MiniGrid-Empty-5x5-v0", size=size, max_steps=5))


def pole(task):
    env = gymnasium.make("CartPole-v1", max_episode_steps=20)
    env.unwrapped.gravity = task.config["gravity"]
    return env


def lake(task):
    return gymnasium.make("FrozenLake-v1", **task.config)


def play(env, num_episodes):
    """Plays random episodes and returns, for each, the task, what was in play and the score."""
    played = []
    env.action_space.seed(0)
    for _ in range(num_episodes):
        env.reset()
        task, inner, is_over = env.task, env.unwrapped, False
        while not is_over:
            _, _, is_terminated, is_truncated, info = env.step(env.action_space.sample())
            is_over = is_terminated or is_truncated
        played.append((task, inner, info[INFO_KEY]["score"]))
    return played


def test_minigrid_by_id():
    env = CurriculumEnv(make=by_id, curriculum=curriculum_of(IDS))
    played = play(env, 60)
    assert {task.config for task, *_ in played} == set(IDS)
    assert all(inner.spec.id == task.config for task, inner, _ in played)
    assert len({id(inner) for _, inner, _ in played}) == 4
    env.close()
    assert counts(env.curriculum) == {"scheduled": 60, "completed": 60, "cancelled": 0, "pending": 0}


def test_minigrid_by_size():
    env = CurriculumEnv(make=by_size, curriculum=curriculum_of(bucketed({"size": 5}, {"size": [5, 6, 8, 16]})))
    played = play(env, 60)
    assert {inner.width for _, inner, _ in played} == {5, 6, 8, 16}
    assert all(inner.width == inner.height == task.config["size"] for task, inner, _ in played)


def test_the_physics_of_a_pole():
    poles = bucketed({"gravity": 9.8}, {"gravity": Span(1.0, 30.0)})
    env = CurriculumEnv(make=pole, curriculum=curriculum_of(poles, num_active_tasks=50), max_envs=4)
    played = play(env, 60)
    assert all(inner.gravity == task.config["gravity"] for task, inner, _ in played)
    assert all(0 < score <= 20 for *_, score in played)


def test_lakes_that_are_slippery_or_not():
    env = CurriculumEnv(make=lake, curriculum=curriculum_of([{"is_slippery": True}, {"is_slippery": False}]))
    played = play(env, 30)
    assert {len(inner.P[0][1]) for _, inner, _ in played} == {1, 3}
    assert all((len(inner.P[0][1]) == 3) == task.config["is_slippery"] for task, inner, _ in played)


# Spaces


@pytest.mark.parametrize(
    ("make", "tasks", "message"),
    [
        (
            lake,
            [{"map_name": "4x4"}, {"map_name": "8x8"}],
            r"another observation_space: Discrete\((64|16)\) instead of Discrete\((64|16)\) for task \d .*map_name",
        ),
        (
            lambda task: gymnasium.make(task.config),
            ["CartPole-v1", "MountainCar-v0"],
            r"observation_space: Box\(.* instead of Box\(",
        ),
        (lambda task: gymnasium.make(task.config), IDS[:2], r"observation_space\['mission'\]: MissionSpace"),
        (
            lambda task: gymnasium.make(f"MountainCar{task.config}-v0"),
            ["", "Continuous"],
            r"action_space: (Box|Discrete)\(.* instead of (Box|Discrete)\(",
        ),
    ],
    ids=["size", "box", "part of a dict", "actions"],
)
def test_the_first_difference_of_spaces_is_the_error(make, tasks, message):
    env = CurriculumEnv(make=make, curriculum=curriculum_of(tasks))
    with pytest.raises(SpacesDifferError, match=message):
        play(env, 100)
    account = counts(env.curriculum)
    assert (account["cancelled"], account["pending"]) == (1, 0)
    assert account["completed"] == account["scheduled"] - 1


def test_spaces_that_apply_changes_are_an_error():
    class Grows(gymnasium.Env):
        observation_space = gymnasium.spaces.Dict({"seen": gymnasium.spaces.Discrete(3)})
        action_space = gymnasium.spaces.Tuple([gymnasium.spaces.Discrete(2)])

        def set_size(self, size):
            self.action_space = gymnasium.spaces.Tuple([gymnasium.spaces.Discrete(size)])

        def reset(self, *, seed=None, options=None):
            return {"seen": 0}, {}

    env = CurriculumEnv(Grows(), curriculum_of([5]), apply="set_size")
    with pytest.raises(SpacesDifferError, match=r"another action_space\[0\]: Discrete\(5\) instead of Discrete\(2\)"):
        env.reset()
    assert counts(env.curriculum) == {"scheduled": 1, "completed": 0, "cancelled": 1, "pending": 0}
    CurriculumEnv(Grows(), curriculum_of([2]), apply="set_size").reset()  # equal, though another object


# Environments that are kept


class Level(gymnasium.Env):
    """Ends after a step; its first observation is random."""

    observation_space = gymnasium.spaces.Box(0, 1, ())
    action_space = gymnasium.spaces.Discrete(2)
    made, open = [], []

    def __init__(self, config):
        self.config, self.is_broken = config, False
        self.made.append(self)
        self.open.append(self)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.float32(self.np_random.random()), {"seed": seed}

    def step(self, action):
        if self.is_broken:
            raise RuntimeError("broken")
        return np.float32(0), 0.0, True, False, {}

    def close(self):
        self.open.remove(self)


@pytest.fixture(autouse=True)
def _no_levels():
    Level.made.clear()
    Level.open.clear()


def make_level(task):
    return Level(task.config)


def test_no_more_environments_are_open_than_max_envs_and_the_latest_stay():
    env = CurriculumEnv(make=make_level, curriculum=curriculum_of(list("abcdef")), max_envs=3)
    used = []
    for task, inner, _ in play(env, 60):
        used = [level for level in used if level is not inner] + [inner]
        assert inner.config == task.config
        assert len({level.config for level in used}) <= len(used)
    assert Level.open == sorted(used[-3:], key=Level.open.index)
    assert set(Level.open) == set(used[-3:])
    env.close()
    assert Level.open == []
    env.close()


def test_equal_configurations_share_an_environment():
    tasks = bucketed({"size": 5, "free": 0.0}, {"size": [5, 9]})
    endless = bucketed(tasks, {"free": Span(0.5, 0.5)})
    curriculum = curriculum_of(endless, num_active_tasks=32)
    env = CurriculumEnv(make=make_level, curriculum=curriculum)
    played = play(env, 100)
    assert len({task.task_id for task, *_ in played}) > 10
    assert [level.config["size"] for level in Level.made] in ([5, 9], [9, 5])


def test_a_configuration_without_a_pickle_is_told_apart_by_its_task():
    env = CurriculumEnv(make=make_level, curriculum=curriculum_of([lambda: 1, lambda: 2]))
    assert len({inner.config() for _, inner, _ in play(env, 30)}) == len(Level.made) == 2


def test_an_environment_that_raises_is_made_again():
    env = CurriculumEnv(make=make_level, curriculum=curriculum_of(["a"]))
    env.reset()
    (first,) = Level.open
    first.is_broken = True
    *_, is_truncated, info = env.step(0)
    assert is_truncated
    assert info[INFO_KEY]["error"] == "RuntimeError: broken"
    assert len(play(env, 1)) == 1
    assert Level.open == [Level.made[1]]
    assert first is not Level.made[1]


def test_a_seed_determines_every_environment():
    def first_observations(seed):
        curriculum = curriculum_of(list("abcdef"))
        env = CurriculumEnv(make=make_level, curriculum=curriculum, max_envs=3)
        observations, seeds = [], []
        for episode in range(40):
            observation, info = env.reset(seed=seed if episode == 0 else None)
            observations.append((env.task.config, float(observation)))
            seeds.append(info["seed"])
            env.step(0)
        assert seeds[0] == seed
        given = [number for number in seeds if number is not None]
        assert len(set(given)) == len(given) == len(Level.made) - (Level.made[0].config != observations[0][0])
        Level.made.clear()
        return observations

    assert first_observations(3) == first_observations(3) != first_observations(4)


def test_without_a_seed_no_environment_gets_one():
    env = CurriculumEnv(make=make_level, curriculum=curriculum_of(list("ab")))
    assert {env.reset()[1]["seed"] for _ in range(20)} == {None}


# Making


def test_a_task_without_an_environment_is_cancelled_from_the_start():
    def make(task):
        if task.config == "broken":
            raise FileNotFoundError(task.config)
        return Level(task.config)

    for seed in range(6):
        curriculum = curriculum_of(["broken", "whole", "sound"], seed=seed)
        env = CurriculumEnv(make=make, curriculum=curriculum)
        assert {task.config for task, *_ in play(env, 30)} == {"whole", "sound"}
        account = counts(curriculum)
        assert account["completed"] == 30
        assert account["cancelled"] > 0
    with pytest.raises(EnvironmentFailedError, match="FileNotFoundError: broken"):
        CurriculumEnv(make=make, curriculum=curriculum_of(["broken"]))


def test_no_handout_is_counted_before_the_first_reset():
    env = CurriculumEnv(make=make_level, curriculum=curriculum_of(list("ab")))
    assert counts(env.curriculum)["scheduled"] == 0
    assert env.env.task == env.curriculum.peek()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({}, TypeError, "env: expected an environment with apply=…, or make=… alone"),
        ({"make": make_level, "apply": "reset"}, TypeError, "env: expected .* alone, got env=None, apply='reset'"),
        ({"make": make_level, "env": Level}, TypeError, "env: expected .* alone"),
        ({"make": make_level, "max_envs": 0}, ValueError, "max_envs: expected at least 1, got 0"),
        ({"make": make_level, "max_envs": 2.5}, TypeError, "max_envs: expected a whole number, at least 1, got 2.5"),
        ({"make": lambda task: task}, EnvironmentFailedError, "make: expected a gymnasium.Env, got Task"),
        ({"make": make_level, "curriculum": None}, TypeError, "curriculum: expected a Curriculum, got None"),
    ],
)
def test_wrong_arguments_are_named(arguments, error, message):
    with pytest.raises(error, match=message):
        CurriculumEnv(**{"curriculum": curriculum_of(list("ab")), **arguments})


@pytest.mark.parametrize("vector", [SyncVectorEnv, AsyncVectorEnv])
def test_environments_of_a_vector_share_a_session(vector):
    curriculum = curriculum_of(IDS, use_shared_memory=True)
    envs = vector([lambda: CurriculumEnv(make=by_id, curriculum=curriculum)] * 2)
    envs.reset(seed=0)
    for _ in range(60):
        envs.step(np.zeros(2, np.int64))  # turns on the spot: an episode has 5 steps, and one for the restart
    envs.close()
    assert counts(curriculum)["completed"] == 20
    assert TaskEnv(by_id, curriculum.peek()).observation_space == envs.single_observation_space
