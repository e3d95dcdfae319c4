"""Some levels always raise in reset. Under no wrapper do they end a run, and they get few of the draws."""

import gymnasium
import numpy as np
import pytest

from curricular import Curriculum, LearningProgressConfig, NoiseAwareConfig, merge, single_task
from curricular.wrappers.failures import MAX_FAILURES_IN_A_ROW, FailureStreak
from curricular.wrappers.gymnasium import CurriculumEnv

pufferlib = pytest.importorskip("pufferlib")

from curricular.wrappers.puffer import CurriculumEnv as PufferCurriculumEnv  # noqa: E402  after the line that skips

NUM_EPISODES = 6000
NUM_LANES = 3


class Level(gymnasium.Env):
    """An episode of one step; broken levels raise in reset."""

    observation_space = gymnasium.spaces.Discrete(2)
    action_space = gymnasium.spaces.Discrete(2)

    def __init__(self, is_broken):
        self.is_broken, self.number, self.rng = is_broken, 0, np.random.default_rng(0)

    def load(self, number):
        self.number = number

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        if self.is_broken(self.number):
            raise RuntimeError(f"no level {self.number}")
        return 0, {}

    def step(self, action):
        return 1, float(self.rng.random() < 0.5), True, False, {}


class Levels(pufferlib.PufferEnv):
    """Several such levels, one agent each, which restart by themselves."""

    def __init__(self, is_broken, autoreset, buf=None):
        self.single_observation_space = gymnasium.spaces.Box(0, 1, (1,), np.float32)
        self.single_action_space = gymnasium.spaces.Discrete(2)
        self.num_agents = NUM_LANES
        super().__init__(buf)
        self.autoreset, self.levels = autoreset, [Level(is_broken) for _ in range(NUM_LANES)]

    def reset(self, seed=None):
        for level in self.levels:
            level.reset()
        return self.observations, []

    def step(self, actions):
        if self.autoreset == "next_step":
            self.reset()
        for index, level in enumerate(self.levels):
            _, self.rewards[index], self.terminals[index], *_ = level.step(0)
        if self.autoreset == "same_step":
            self.reset()
        return self.observations, self.rewards, self.terminals, self.truncations, []

    def close(self):
        pass


def wrapped(kind, curriculum, is_broken):
    if kind == "gymnasium":
        return CurriculumEnv(Level(is_broken), curriculum, apply="load", stats_interval=None)

    def apply(env, task, env_index):
        env.levels[env_index].load(task.config)

    env = Levels(is_broken, kind)
    return PufferCurriculumEnv(env, curriculum, apply=apply, autoreset=kind, agents_per_env=1, stats_interval=None)


def play(kind, env):
    """Plays until enough episodes have ended, with a score or without."""
    env.reset()
    if kind == "gymnasium":
        for _ in range(NUM_EPISODES):
            env.step(0)
            env.reset()
    else:
        for _ in range(NUM_EPISODES // NUM_LANES):
            env.step(np.zeros(NUM_LANES, np.int64))
    env.close()


POOLS = {
    "one of 16": (16, {5}.__contains__, 1 / 16),
    "one of 64": (64, {5}.__contains__, 1 / 64),
    "three of 256": (256, {5, 77, 200}.__contains__, 3 / 256),
    "one in ten of an endless family": (None, lambda number: number % 10 == 0, 1 / 10),
}


@pytest.mark.parametrize("kind", ["gymnasium", "next_step", "same_step"])
@pytest.mark.parametrize("config", [LearningProgressConfig.default, NoiseAwareConfig.recommended])
@pytest.mark.parametrize(("num_tasks", "is_broken", "share"), POOLS.values(), ids=POOLS.keys())
def test_levels_that_always_raise_end_no_run(kind, config, num_tasks, is_broken, share):
    tasks = None if num_tasks is None else merge([single_task(number) for number in range(num_tasks)])
    settings = {"num_active_tasks": num_tasks or 64, "use_shared_memory": False, "eviction_rate": 0.05}
    curriculum = Curriculum(config(**settings), tasks)
    num_broken = 0

    def is_seen_broken(number):
        nonlocal num_broken
        num_broken += is_broken(number)
        return is_broken(number)

    play(kind, wrapped(kind, curriculum, is_seen_broken))
    stats = curriculum.stats()
    assert stats["num_completed"] > NUM_EPISODES / 4
    assert num_broken <= 1.2 * share * stats["num_scheduled"] + 60
    if num_tasks is None:
        states = curriculum.task_states()
        assert sum(is_broken(state.seed) for state in states) <= len(states) / 10


class TestFailureStreak:
    def test_one_task_never_makes_it_the_environments_fault_before_the_last_resort(self):
        streak = FailureStreak(2, num_tasks=16)
        assert not any(streak.add([3]) for _ in range(MAX_FAILURES_IN_A_ROW - 1))
        assert streak.add([3])

    def test_a_task_that_takes_part_in_all_failures_of_many_explains_them(self):
        streak, rng = FailureStreak(2, num_tasks=16), np.random.default_rng(0)
        assert not any(streak.add([3, *rng.integers(16, size=7).tolist()]) for _ in range(200))

    @pytest.mark.parametrize("num_lanes", [1, 3, 8])
    def test_an_environment_that_fails_on_every_task_is_found_out(self, num_lanes):
        streak, rng = FailureStreak(16, num_tasks=256), np.random.default_rng(0)
        while not streak.add(rng.integers(256, size=num_lanes).tolist()):
            pass
        assert streak.length < 400

    def test_in_a_small_pool_it_takes_all_tasks_and_as_many_failures(self):
        streak = FailureStreak(5, num_tasks=2)
        assert [streak.add([number % 2]) for number in range(5)] == [False, False, False, False, True]
        streak = FailureStreak(5, num_tasks=2)
        assert not any(streak.add([0]) for _ in range(50))
        assert streak.add([1])

    def test_an_episode_that_ends_ends_the_streak(self):
        streak = FailureStreak(2, num_tasks=16)
        streak.add([1])
        streak.end()
        assert not streak.add([2])
        assert (streak.length, streak.num_tasks) == (1, 1)
