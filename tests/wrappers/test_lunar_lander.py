"""`CurriculumEnv` over LunarLander with a gravity for each task, in a process of its own."""

import subprocess
import sys
from importlib.util import find_spec
from json import loads

import pytest

from ..helpers import TIMEOUT

# Not imported: Box2D's bindings end the interpreter where warnings are errors, as they are in these tests.
pytestmark = pytest.mark.skipif(find_spec("Box2D") is None, reason="needs Box2D")

FLIGHT = """
import json

import gymnasium

from curricular import Curriculum, UniformConfig, bucketed
from curricular.wrappers.episodes import INFO_KEY
from curricular.wrappers.gymnasium import CurriculumEnv

GRAVITIES = [-11.5, -10.0, -4.0]

config = UniformConfig(num_active_tasks=3, score_range=(-600, 300), use_shared_memory=False)
curriculum = Curriculum(config, bucketed({"gravity": -10.0}, {"gravity": GRAVITIES}))
env = CurriculumEnv(
    make=lambda task: gymnasium.make("LunarLander-v3", max_episode_steps=120, **task.config), curriculum=curriculum
)
env.action_space.seed(0)
episodes = []
observation, info = env.reset(seed=0)
while len(episodes) < 9:
    gravity = env.unwrapped.gravity
    observation, reward, is_terminated, is_truncated, info = env.step(env.action_space.sample())
    if is_terminated or is_truncated:
        report = info[INFO_KEY]
        episodes.append([gravity, curriculum.task(report["task_id"]).config["gravity"], report["score"]])
        env.reset()
env.close()
print(json.dumps([episodes, curriculum.stats()["num_completed"]]))
"""


def test_each_episode_has_the_gravity_of_its_task_and_scores_are_returns():
    command = [sys.executable, "-c", FLIGHT]
    out = subprocess.run(command, capture_output=True, text=True, check=True, timeout=TIMEOUT)
    episodes, num_completed = loads(out.stdout)
    assert num_completed == len(episodes) == 9
    assert all(gravity == of_task for gravity, of_task, _ in episodes)
    assert len({gravity for gravity, _, _ in episodes}) > 1
    assert all(-600 <= score <= 300 for _, _, score in episodes)
    assert len({score for _, _, score in episodes}) == 9
