"""RLlib on its new API stack, 2 runners with 4 environments each. `make test-rllib` runs it, in its own environment."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from curricular import Curriculum, LearningProgressConfig
from curricular.trainers.rllib import CurriculumCallback

from ..helpers import TIMEOUT
from ..sessions.actors import EPISODE_LENGTH, MakeEnv, TinyEnv
from ..sessions.processes import check_accounts

ROOT = Path(__file__).parents[2]
NUM_RUNNERS, NUM_ENVS = 2, 4
BATCH = 256


@pytest.fixture
def rllib():
    ray = pytest.importorskip("ray", reason="make test-rllib runs it")
    pytest.importorskip("ray.rllib")
    # The workers import the module of the environments.
    runtime_env = {"env_vars": {"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}}
    ray.init(num_cpus=NUM_RUNNERS + 1, include_dashboard=False, runtime_env=runtime_env)
    yield ray.rllib
    ray.shutdown()


@pytest.mark.filterwarnings("default")
def test_all_runners_share_the_curriculum_and_the_evaluation_leaves_it_alone(rllib):
    from ray.rllib.algorithms.ppo import PPOConfig  # noqa: PLC0415  slow to import
    from ray.tune.registry import register_env  # noqa: PLC0415

    with Curriculum(LearningProgressConfig.stable(num_active_tasks=8)) as curriculum:
        make = MakeEnv(curriculum)
        register_env("wrapped", lambda _: make())
        register_env("plain", lambda _: TinyEnv())
        config = (
            PPOConfig()
            .environment("wrapped")
            .env_runners(num_env_runners=NUM_RUNNERS, num_envs_per_env_runner=NUM_ENVS)
            .training(train_batch_size_per_learner=BATCH, minibatch_size=BATCH, num_epochs=1)
            .evaluation(
                evaluation_interval=100, evaluation_duration=5, evaluation_config=PPOConfig.overrides(env="plain")
            )
            .callbacks(on_train_result=CurriculumCallback(curriculum))
        )
        algorithm = config.build_algo()
        results = [algorithm.train() for _ in range(2)]
        num_completed = [result["curriculum"]["num_completed"] for result in results]
        assert num_completed[0] < num_completed[1]
        # A vector environment restarts in a step of its own.
        assert num_completed[1] <= 2 * BATCH / EPISODE_LENGTH
        assert num_completed[1] >= 2 * BATCH / (EPISODE_LENGTH + 1) - 2 * NUM_RUNNERS * NUM_ENVS
        before = check_accounts(curriculum)
        assert before["num_pending"] <= NUM_RUNNERS * NUM_ENVS
        assert before["num_unsolicited"] == 0
        algorithm.evaluate()
        after = check_accounts(curriculum)
        assert (after["num_scheduled"], after["num_completed"]) == (before["num_scheduled"], before["num_completed"])
        algorithm.stop()


def test_the_example_runs():
    pytest.importorskip("ray.rllib", reason="make test-rllib runs it")
    command = [sys.executable, ROOT / "examples" / "rllib_ppo.py", "--iterations", "1"]
    out = subprocess.run(command, capture_output=True, text=True, check=False, timeout=5 * TIMEOUT)
    assert out.returncode == 0, out.stderr
    assert " episodes, mean score " in out.stdout
    assert "evaluation: return " in out.stdout
