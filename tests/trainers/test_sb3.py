"""The callback for Stable-Baselines3, with PPO and DQN that learn for a moment, in this process and in workers."""

import io

import pytest

pytest.importorskip("stable_baselines3")

from stable_baselines3 import DQN, PPO
from stable_baselines3.common.logger import HumanOutputFormat, Logger
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv

from curricular import Curriculum, LearningProgressConfig
from curricular.trainers.sb3 import MIN_CALLS, CurriculumCallback

from ..helpers import python
from ..sessions.actors import MakeEnv
from ..sessions.processes import check_accounts

NUM_ENVS = 2
PPO_SETTINGS = {"n_steps": 32, "batch_size": 32, "n_epochs": 1, "device": "cpu", "policy_kwargs": {"net_arch": [8]}}


def curriculum_of(**settings):
    return Curriculum(LearningProgressConfig.stable(num_active_tasks=4, **settings))


@pytest.fixture
def curriculum():
    with curriculum_of(use_shared_memory=False) as made:
        yield made


def ppo(curriculum, logger=None):
    model = PPO("MlpPolicy", DummyVecEnv([MakeEnv(curriculum)] * NUM_ENVS), **PPO_SETTINGS)
    model.set_logger(logger or Logger(None, []))
    return model


def test_the_table_of_the_model_has_the_statistics(curriculum):
    shown = io.StringIO()
    model = ppo(curriculum, Logger(None, [HumanOutputFormat(shown)]))
    model.learn(64, callback=CurriculumCallback(curriculum))
    assert "curriculum/" in shown.getvalue()
    assert "num_completed" in shown.getvalue()
    assert "..." not in shown.getvalue()


def test_off_policy_rollouts_are_not_recorded_each(curriculum):
    recorded = []

    class Recording(Logger):
        def record(self, key, value, exclude=None):
            if key == "curriculum/num_completed":
                recorded.append(value)

    model = DQN("MlpPolicy", MakeEnv(curriculum)(), train_freq=1, learning_starts=10_000, device="cpu", buffer_size=999)
    model.set_logger(Recording(None, []))
    model.learn(3 * MIN_CALLS, callback=CurriculumCallback(curriculum), log_interval=None)
    assert len(recorded) == 3
    assert recorded == sorted(recorded)


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_share_the_curriculum_of_the_callback(method, tmp_path):
    with curriculum_of() as curriculum:
        envs = SubprocVecEnv([MakeEnv(curriculum)] * NUM_ENVS, start_method=method)
        model = PPO("MlpPolicy", envs, **PPO_SETTINGS)
        model.set_logger(Logger(None, []))
        model.learn(128, callback=CurriculumCallback(curriculum, 64, str(tmp_path)), log_interval=None)
        envs.close()
        stats = check_accounts(curriculum, num_pending=0)
        assert stats["num_completed"] == NUM_ENVS * (64 // 3)
        assert model.logger.name_to_value["curriculum/num_completed"] == NUM_ENVS * (32 // 3)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["rl_model_128_steps.npz", "rl_model_128_steps.zip"]


def test_model_and_curriculum_resume_together(curriculum, tmp_path):
    ppo(curriculum).learn(128, callback=CurriculumCallback(curriculum, 16, str(tmp_path), "run"))
    names = sorted(path.name for path in tmp_path.iterdir())
    steps = [32, 64, 96, 128]
    assert names == sorted(f"run_{num}_steps.{suffix}" for num in steps for suffix in ("npz", "zip"))

    path = tmp_path / "run_64_steps.zip"
    with Curriculum.load(path.with_suffix(".npz")) as resumed:
        num_completed = resumed.stats()["num_completed"]
        assert num_completed == NUM_ENVS * (32 // 3)
        model = PPO.load(path, env=DummyVecEnv([MakeEnv(resumed)] * NUM_ENVS), device="cpu")
        model.set_logger(Logger(None, []))
        model.learn(64, callback=CurriculumCallback(resumed), reset_num_timesteps=False)
        assert model.num_timesteps == 128
        assert resumed.stats()["num_completed"] == num_completed + NUM_ENVS * (32 // 3)


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"save_freq": 5}, ValueError, "save_freq: expected save_freq and save_path, or neither, got save_freq=5"),
        ({"save_path": "x"}, ValueError, "save_freq: expected .* got save_freq=None and save_path='x'; pass both"),
        ({"save_freq": 0, "save_path": "x"}, ValueError, "save_freq: expected at least 1, got 0; leave it out"),
        ({"save_freq": 0.5, "save_path": "x"}, TypeError, "save_freq: expected a whole number"),
    ],
)
def test_settings_out_of_range_are_refused(curriculum, settings, error, message):
    with pytest.raises(error, match=message):
        CurriculumCallback(curriculum, **settings)


def test_without_the_trainer_the_extra_is_named():
    code = "import sys\nsys.modules['stable_baselines3'] = None\ntry:\n    import curricular.trainers.sb3\n"
    expected = "curricular.trainers.sb3 needs Stable-Baselines3: pip install 'curricular[sb3]'"
    assert python(code + "except ImportError as error:\n    print(error)") == expected
