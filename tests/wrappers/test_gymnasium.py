"""`CurriculumEnv` over real Gymnasium environments: what the public suite does not ask of every wrapper."""

import pickle

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv

from curricular import (
    AccelConfig,
    Curriculum,
    Exp3SConfig,
    LabelBanditConfig,
    LearningProgressConfig,
    PrioritizedLevelReplayConfig,
    Span,
    TracedConfig,
    UniformConfig,
    bucketed,
    single_task,
)
from curricular.task import Task
from curricular.wrappers.episodes import INFO_KEY, EnvironmentFailedError, Episode, Handouts
from curricular.wrappers.gymnasium import CurriculumEnv
from curricular.wrappers.regret import LateRegrets

from .accounts import counts, curriculum_of

VALUES = [0.0, 0.25, 0.75, 1.0]
LEVELS = bucketed({"value": 0.0, "hue": 0.0}, {"value": VALUES, "hue": Span(0.0, 1.0)})


class Pays(gymnasium.Env):
    """Pays its value, in equal parts, over an episode of two steps; raises on the values it is told to."""

    observation_space = gymnasium.spaces.Box(0, 10, (1,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)

    length = 2

    def __init__(self):
        self.value, self.resets, self.is_closed = 0.0, [], False
        self.raises_in_reset = self.raises_in_step = ()

    def set_value(self, config):
        self.value = config["value"]

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.resets.append((self.value, seed, options))
        if self.value in self.raises_in_reset:
            raise RuntimeError(f"no reset with {self.value}")
        self.clock = 0
        return np.zeros(1, np.float32), {"from": "reset"}

    def step(self, action):
        if self.value in self.raises_in_step and self.clock:
            raise RuntimeError(f"no step with {self.value}")
        self.clock += 1
        is_over = self.clock == self.length
        info = {"clock": self.clock} | ({"success": self.value > 0.5} if is_over else {})
        observation = np.full(1, self.clock, np.float32)
        return observation, self.value / self.length, is_over, False, info

    def close(self):
        self.is_closed = True


def apply_value(env, task):
    env.unwrapped.set_value(task.config)


def wrap(values=VALUES, env=None, curriculum=None, **kwargs):
    curriculum = curriculum_of(values) if curriculum is None else curriculum
    return CurriculumEnv(Pays() if env is None else env, curriculum, **({"apply": "set_value"} | kwargs))


def play(env, num_episodes=1):
    """The infos of the resets and of the last steps."""
    infos = []
    for _ in range(num_episodes):
        _, info = env.reset()
        is_over = False
        while not is_over:
            _, _, is_terminated, is_truncated, last = env.step(0)
            is_over = is_terminated or is_truncated
        infos.append((info, last))
    return infos


# Asking and telling


def test_the_task_is_that_of_the_episode_in_play():
    env = wrap(max_failures=1)
    assert env.task is None
    _, info = env.reset()
    assert env.task.task_id == info[INFO_KEY]["task_id"]
    env.step(0)
    assert env.task.task_id == info[INFO_KEY]["task_id"]
    env.step(0)
    assert env.task is None
    env.unwrapped.raises_in_reset = VALUES
    with pytest.raises(EnvironmentFailedError):
        env.reset()
    assert env.task is None


def test_closing_closes_the_environment():
    env = wrap()
    env.reset()
    env.close()
    assert env.unwrapped.is_closed
    assert env.task is None


def test_a_step_without_an_episode_is_refused_and_changes_nothing():
    env = wrap()
    with pytest.raises(gymnasium.error.ResetNeeded, match="call reset"):
        env.step(0)
    play(env)
    before = counts(env.curriculum)
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.step(0)
    assert counts(env.curriculum) == before


def test_infos_keep_what_the_environment_says():
    env = wrap()
    _, first = env.reset()
    task = env.task
    report = {"task_id": task.task_id, "label": task.label, "task_changed": True}
    assert first == {"from": "reset", INFO_KEY: report}
    *_, info = env.step(0)
    assert info == {"clock": 1, INFO_KEY: report}
    *_, last = env.step(0)
    score = {"task_id": task.task_id, "label": task.label, "score": task.config["value"]}
    assert last == {"clock": 2, "success": task.config["value"] > 0.5, INFO_KEY: score}


def test_the_first_step_says_whether_the_task_has_changed():
    env = wrap()
    ids = []
    for _ in range(40):
        _, first = env.reset()
        *_, info = env.step(0)
        assert info[INFO_KEY] == first[INFO_KEY]
        assert info[INFO_KEY]["task_changed"] == (ids[-1:] != [env.task.task_id])
        ids.append(env.task.task_id)
        env.step(0)
    assert len(set(ids)) == 4


def test_an_episode_of_one_step_reports_its_beginning_and_its_end_together():
    env = wrap(values=[0.25])
    env.unwrapped.length = 1
    env.reset()
    *_, info = env.step(0)
    assert info[INFO_KEY] == {"task_id": 0, "label": "value=0.25", "task_changed": True, "score": 0.25}


# Regrets

NEEDY = [PrioritizedLevelReplayConfig, TracedConfig, AccelConfig, Exp3SConfig, LabelBanditConfig]


@pytest.mark.parametrize(
    ("config", "way_out"),
    [
        (PrioritizedLevelReplayConfig, "set regret='positive_value_loss' or regret='max_monte_carlo' in the config"),
        (TracedConfig, "set regret='positive_value_loss' or regret='max_monte_carlo' in the config"),
        (AccelConfig, "set regret='positive_value_loss' or regret='max_monte_carlo' in the config"),
        (Exp3SConfig, "set reward='progress' in the config"),
        (LabelBanditConfig, "set value='success' in the config"),
    ],
)
def test_an_algorithm_that_chooses_by_regret_is_refused_when_the_wrapper_is_made(config, way_out):
    curriculum = Curriculum(config(num_active_tasks=4, use_shared_memory=False), LEVELS)
    with pytest.raises(ValueError, match=f"regret: expected a function .*since {config.__name__} .*{way_out}"):
        wrap(curriculum=curriculum)
    assert curriculum.stats()["num_scheduled"] == 0


@pytest.mark.parametrize("config", NEEDY)
def test_a_function_gives_the_regret_of_an_episode(config):
    curriculum = Curriculum(config(num_active_tasks=4, use_shared_memory=False), LEVELS)
    env = wrap(curriculum=curriculum, regret=lambda episode: 1 - episode.episode_return)
    played = {last[INFO_KEY]["task_id"]: last[INFO_KEY]["regret"] for _, last in play(env, 40)}
    curriculum.flush()
    states = {state.task_id: state for state in curriculum.task_states() if state.num_completions}
    assert len(played) > 1
    assert all(state.last_regret == pytest.approx(played[task_id]) for task_id, state in states.items())
    assert len(states) > 1
    assert all(state.num_regrets == state.num_completions for state in states.values())


@pytest.mark.parametrize(
    ("regret", "error", "message"),
    [
        (np.nan, ValueError, r"regret: expected a finite number, got nan for task \d+ .*in environment 0"),
        (np.inf, ValueError, "regret: expected a finite number, got inf"),
        ("much", TypeError, "regret: expected one number, got 'much'"),
    ],
)
def test_a_regret_that_is_no_number_cancels_its_episode_alone(regret, error, message):
    curriculum = Curriculum(Exp3SConfig(num_active_tasks=4, use_shared_memory=False), LEVELS)
    regrets = [0.5, regret, 0.25]
    env = wrap(curriculum=curriculum, regret=lambda _: regrets.pop(0))
    play(env)
    with pytest.raises(error, match=message):
        play(env)
    play(env)
    assert counts(curriculum) == {"scheduled": 3, "completed": 2, "cancelled": 1, "pending": 0}


# Applying


def test_late_regrets_of_another_process_or_curriculum_are_refused():
    late = LateRegrets()
    late.tell([])
    with pytest.raises(ValueError, match=r"regrets: expected shape \(0,\), one per episode .* got \(1,\)"):
        late.tell([1.0])
    with pytest.raises(TypeError, match="late regrets: expected a wrapper in the trainer's process"):
        pickle.dumps(late)
    late.join(Curriculum(["a"]))
    with pytest.raises(ValueError, match="regret: expected wrappers of one curriculum to share a LateRegrets"):
        late.join(Curriculum(["a"]))
    with pytest.raises(TypeError, match=r"regret: expected a function of an Episode, got <.*LateRegrets"):
        Handouts(Curriculum(["a"]), "return", None, 1, late)


def test_late_regrets_are_told_once_although_an_interrupt_follows(monkeypatch):
    curriculum, late = Curriculum(["a", "b"]), LateRegrets()
    late.join(curriculum)
    late.keep([0, 1], [1.0, 0.0])
    with pytest.raises(ValueError, match="regrets: expected finite numbers"):
        late.tell([0.5, np.nan])
    assert len(late) == 2
    monkeypatch.setattr(curriculum._refresher, "count", interrupt)
    with pytest.raises(KeyboardInterrupt):
        late.tell([0.5, 0.5])
    late.tell([])
    assert curriculum.stats()["num_completed"] == 2


def interrupt(*_):
    raise KeyboardInterrupt


@pytest.mark.parametrize("how", ["set_value", apply_value])
def test_a_task_is_applied_before_each_reset(how):
    env = wrap(env=gymnasium.wrappers.TimeLimit(Pays(), 10), apply=how)
    for _ in range(10):
        env.reset(seed=3, options={"own": 1})
        assert env.unwrapped.resets[-1] == (env.task.config["value"], 3, {"own": 1})


def test_a_task_is_applied_by_options_beside_the_callers():
    env = wrap(apply="reset")
    env.reset(seed=1, options={"own": 1, "value": "the task's goes before"})
    assert env.unwrapped.resets == [(0.0, 1, {"own": 1, "value": env.task.config["value"]})]
    env.reset()
    assert env.unwrapped.resets[1] == (0.0, None, dict(env.task.config))


def test_options_of_the_caller_are_not_written_into():
    options = {"own": 1}
    wrap(apply="reset").reset(options=options)
    assert options == {"own": 1}


def test_options_must_be_mappings():
    env = wrap(curriculum=Curriculum(UniformConfig(num_active_tasks=2, use_shared_memory=False)), apply="reset")
    with pytest.raises(TypeError, match=r"apply='reset': expected task configurations that are mappings.*got \d"):
        env.reset()
    env.close()
    assert counts(env.curriculum)["pending"] == 0


def test_a_setter_that_is_not_there_is_named():
    with pytest.raises(ValueError, match=r"apply: expected .* name of a method .* 'set_valu', which .*Pays"):
        wrap(apply="set_valu")
    with pytest.raises(TypeError, match=r"apply: expected the name of a method .* 'value', a float"):
        wrap(apply="value")


# Scores


def test_a_score_function_gets_the_episode():
    episodes = []
    env = wrap(score=lambda episode: episodes.append(episode) or 0.5)
    env.reset()
    task = env.task
    env.step(0)
    env.step(0)
    assert episodes == [Episode(task, task.config["value"], 2, {"clock": 2, "success": task.config["value"] > 0.5}, 0)]


# Environments that raise


def test_a_step_that_raises_returns_the_observation_before():
    env = wrap([1.0])
    env.unwrapped.raises_in_step = [1.0]
    env.reset()
    before, *_ = env.step(0)
    observation, reward, is_terminated, is_truncated, _ = env.step(0)
    assert observation == before == 1
    assert (reward, is_terminated, is_truncated) == (0.0, False, True)
    assert env.task is None
    assert [state.num_completions for state in env.curriculum.task_states()] == [0]


class Says(Pays):
    """Returns what it is told to."""

    def __init__(self, of_reset=None, of_step=None):
        super().__init__()
        self.of_reset, self.of_step = of_reset, of_step

    def reset(self, **kwargs):
        result = super().reset(**kwargs)
        return result if self.of_reset is None else self.of_reset

    def step(self, action):
        result = super().step(action)
        return result if self.of_step is None else self.of_step


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (np.zeros(1), r"env.reset: expected \(observation, info\), got a ndarray"),
        ((np.zeros(1), {}, 3), r"env.reset: expected \(observation, info\), got 3 values"),
        ((np.zeros(1), None), "env.reset: expected an info that is a dict, got None"),
    ],
)
def test_a_reset_that_returns_something_else_is_one_clear_error(result, message):
    env = wrap(env=Says(of_reset=result))
    for _ in range(3):
        with pytest.raises(TypeError, match=message):
            env.reset()
        assert env.task is None
        assert counts(env.curriculum)["pending"] == 0


@pytest.mark.parametrize(
    ("result", "message"),
    [
        ((0, 1.0, False, {}), r"env.step: expected \(observation, reward, .*\), got 4 values"),
        ((0, None, False, False, {}), "env.step: reward: expected one number, got None"),
        ((0, [1.0, 2.0], False, False, {}), r"env.step: reward: expected one number, got \[1.0, 2.0\]"),
        ((0, 1j, False, False, {}), "env.step: reward: expected one number, got 1j"),
        ((0, 1.0, np.array([True, False]), False, {}), "env.step: terminated: expected one number, got array"),
        ((0, 1.0, False, False, None), "env.step: expected an info that is a dict, got None"),
    ],
)
def test_a_step_that_returns_something_else_is_one_clear_error_that_ends_the_episode(result, message):
    env = wrap(env=Says(of_step=result))
    env.reset()
    with pytest.raises(TypeError, match=message):
        env.step(0)
    assert counts(env.curriculum) == {"scheduled": 1, "completed": 0, "cancelled": 1, "pending": 0}
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.step(0)
    env.env.of_step = None
    play(env)
    assert counts(env.curriculum)["completed"] == 1


def test_rewards_and_flags_of_one_entry_are_these_entries():
    env = wrap(env=Says(of_step=(0, np.array([0.5]), np.array([True]), np.False_, {"success": np.array([1.0])})))
    env.reset()
    *_, info = env.step(0)
    assert info[INFO_KEY]["score"] == 0.5
    env = wrap(env=env.env, score="success")
    env.reset()
    assert env.step(0)[-1][INFO_KEY]["score"] == 1.0


def test_a_reward_that_is_not_finite_spoils_its_own_episode_only():
    env = wrap(env=Says(of_step=(0, np.nan, True, False, {})))
    env.reset()
    with pytest.raises(ValueError, match=r"got nan by rule 'return' for task \d 'value=.*' in environment 0"):
        env.step(0)
    env.env.of_step = None
    for _, last in play(env, 10):
        assert last[INFO_KEY]["score"] in VALUES


def test_an_observed_range_takes_any_finite_score():
    curriculum = curriculum_of([5.0, 9.8, 20.0], score_range="observed")
    env = CurriculumEnv(gymnasium.make("CartPole-v1"), curriculum, apply=set_gravity)
    scores = [report[INFO_KEY]["score"] for report in random_episodes(env, 50)]
    stats = curriculum.stats()
    assert min(scores) < stats["score/mean"] < max(scores)
    assert stats["success/threshold"] == (min(scores) + max(scores)) / 2
    env = wrap(curriculum=curriculum_of(VALUES, score_range="observed"), score=lambda _: np.inf)
    with pytest.raises(ValueError, match="score: expected a finite number"):
        play(env)


def test_a_time_limit_outside_is_in_the_log_once_and_inside_is_not(caplog):
    class Endless(Pays):
        length = 1000

    env = gymnasium.wrappers.TimeLimit(wrap(env=Endless()), 10)
    for _ in range(3):
        play(env, 10)
    (text,) = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert "CurriculumEnv(TimeLimit(env, ...), ...)" in text
    caplog.clear()
    env = wrap(env=gymnasium.wrappers.TimeLimit(Endless(), 10))
    play(env, 10)
    assert not [record for record in caplog.records if record.levelname == "WARNING"]


def test_reasons_of_cancellations_are_few_and_fixed(caplog):
    caplog.set_level("INFO")
    env = wrap(env=Says(of_step=(0, 9.0, True, False, {})))
    env.unwrapped.raises_in_reset = VALUES[:1]
    for _ in range(20):
        env.reset()
        env.reset()
        with pytest.raises(ValueError, match="score: expected"):
            env.step(0)
    env.reset()
    env.close()
    texts = [record.message for record in caplog.records if record.message.startswith("cancelled tasks")]
    assert {text.split(": ")[1] for text in texts} == {"failed", "reset", "unscored", "closed"}


# Being a wrapper


def test_forwarding_is_written_out():
    assert not {"__getattr__", "__getattribute__"} & {name for cls in CurriculumEnv.__mro__[:-1] for name in vars(cls)}
    env = wrap()
    with pytest.raises(AttributeError):
        env.length  # noqa: B018
    assert env.get_wrapper_attr("length") == 2
    assert env.observation_space is env.unwrapped.observation_space


def test_the_same_seed_gives_the_same_observations():
    env = CurriculumEnv(gymnasium.make("CartPole-v1"), curriculum_of(VALUES), apply=lambda *_: None)
    first, _ = env.reset(seed=7)
    second, _ = env.reset(seed=7)
    np.testing.assert_array_equal(first, second)
    env.close()


# Real environments


def set_slippery(env, task):
    env.unwrapped.P = gymnasium.make("FrozenLake-v1", is_slippery=task.config["value"]).unwrapped.P


def set_gravity(env, task):
    env.unwrapped.gravity = task.config["value"]


def random_episodes(env, num_episodes):
    infos = []
    env.action_space.seed(0)
    _, info = env.reset(seed=0)
    while len(infos) < num_episodes:
        _, _, is_terminated, is_truncated, info = env.step(env.action_space.sample())
        if is_terminated or is_truncated:
            infos.append(info)
            env.reset()
    env.close()
    return infos


def test_frozen_lake():
    curriculum = curriculum_of([True, False])
    reports = random_episodes(CurriculumEnv(gymnasium.make("FrozenLake-v1"), curriculum, apply=set_slippery), 100)
    assert {report[INFO_KEY]["score"] for report in reports} <= {0.0, 1.0}
    assert counts(curriculum) == {"scheduled": 101, "completed": 100, "cancelled": 1, "pending": 0}


def test_cart_pole_with_returns_far_above_1():
    curriculum = curriculum_of([5.0, 9.8, 20.0], score_range=(0, 500))
    env = CurriculumEnv(gymnasium.make("CartPole-v1"), curriculum, apply=set_gravity)
    reports = random_episodes(env, 50)
    assert all(report[INFO_KEY]["score"] >= 5 for report in reports)
    assert 5 < curriculum.stats()["score/mean"] < 100
    assert curriculum.stats()["success/threshold"] == 250
    assert counts(curriculum)["completed"] == 50


def test_cart_pole_by_reset_options():
    options = {"low": -0.01, "high": 0.01}
    config = UniformConfig(num_active_tasks=1, score_range=(0, 500), use_shared_memory=False)
    curriculum = Curriculum(config, single_task(options))
    env = CurriculumEnv(gymnasium.make("CartPole-v1"), curriculum, apply="reset")
    observations = np.array([env.reset(seed=seed)[0] for seed in range(20)])
    assert np.abs(observations).max() <= 0.01
    env.close()


def test_minigrid():
    envs = pytest.importorskip("minigrid.envs")
    levels = {size: envs.EmptyEnv(size=size, max_steps=60) for size in (5, 6)}

    class Levels(gymnasium.Wrapper):
        def set_mg_config(self, config):
            self.env = levels[config["value"]]

    curriculum = curriculum_of([5, 6])
    env = Levels(levels[5])
    env = gymnasium.wrappers.FilterObservation(env, ["image", "direction"])
    reports = random_episodes(CurriculumEnv(env, curriculum, apply="set_mg_config"), 12)
    assert {report[INFO_KEY]["label"] for report in reports} == {"value=5", "value=6"}
    assert any(report[INFO_KEY]["score"] > 0 for report in reports)
    assert counts(curriculum)["completed"] == 12


@pytest.mark.filterwarnings("ignore:.*A Box observation space:UserWarning")  # CartPole's
@pytest.mark.parametrize("name", ["CartPole-v1", "FrozenLake-v1"])
def test_gymnasiums_own_checker(name):
    # One task: it wants each episode to be the same.
    config = UniformConfig(num_active_tasks=1, score_range=(0, 500), use_shared_memory=False)
    curriculum = Curriculum(config, single_task({}))
    env = CurriculumEnv(gymnasium.make(name), curriculum, apply=lambda *_: None)
    with pytest.warns(UserWarning, match="is different from the unwrapped version"):
        check_env(env, skip_render_check=True, skip_close_check=True)  # both build another one, from a registered name
    env.close()
    assert counts(curriculum)["pending"] == 0


class MakePole:
    """Makes a wrapped CartPole; pickles with its curriculum."""

    def __init__(self, curriculum):
        self.curriculum = curriculum

    def __call__(self):
        return CurriculumEnv(gymnasium.make("CartPole-v1"), self.curriculum, apply=set_gravity, stats_interval=5)


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
def test_vector_environments_share_a_curriculum(mode):
    curriculum = curriculum_of([5.0, 9.8, 20.0], score_range=(0, 500))
    envs = SyncVectorEnv([MakePole(curriculum)] * 3, autoreset_mode=mode)
    envs.action_space.seed(0)
    envs.reset(seed=0)
    num_over = 0
    for _ in range(150):
        _, _, terminations, truncations, infos = envs.step(envs.action_space.sample())
        is_over = terminations | truncations
        num_over += is_over.sum()
        if is_over.any():
            last = infos["final_info"] if mode is AutoresetMode.SAME_STEP else infos
            assert (last[INFO_KEY]["score"][is_over] >= 5).all()
            assert all(last[INFO_KEY]["label"][is_over])
    assert num_over > 10
    seen = counts(curriculum)
    assert seen["completed"] == num_over
    assert seen["pending"] <= 3
    envs.close()
    assert counts(curriculum)["pending"] == 0


def test_vector_environments_that_are_reset_by_hand():
    curriculum = curriculum_of([5.0, 9.8, 20.0], score_range=(0, 500))
    envs = SyncVectorEnv([MakePole(curriculum)] * 3, autoreset_mode=AutoresetMode.DISABLED)
    envs.action_space.seed(0)
    envs.reset(seed=0)
    num_over = 0
    for _ in range(60):
        _, _, terminations, truncations, _ = envs.step(envs.action_space.sample())
        is_over = terminations | truncations
        num_over += is_over.sum()
        if is_over.any():
            envs.reset(options={"reset_mask": is_over})
    envs.close()
    assert counts(curriculum) == {
        "scheduled": num_over + 3,
        "completed": num_over,
        "cancelled": 3,
        "pending": 0,
    }


def test_vector_environments_in_processes_share_the_curriculum_they_were_given():
    config = LearningProgressConfig.default(num_active_tasks=3, score_range=(0, 500), eviction_rate=0)
    with Curriculum(config, curriculum_of([5.0, 9.8, 20.0]).generator) as curriculum:
        envs = AsyncVectorEnv([MakePole(curriculum)] * 2)
        envs.action_space.seed(0)
        envs.reset(seed=0)
        num_over = 0
        for _ in range(100):
            _, _, terminations, truncations, _ = envs.step(envs.action_space.sample())
            num_over += (terminations | truncations).sum()
        envs.close()
        assert num_over > 5
        assert counts(curriculum) == {"scheduled": num_over + 2, "completed": num_over, "cancelled": 2, "pending": 0}


def test_a_wrapped_environment_pickles_with_its_session():
    with curriculum_of(VALUES, use_shared_memory=True) as curriculum:
        env = pickle.loads(pickle.dumps(wrap(curriculum=curriculum)))
        play(env, 5)
        assert counts(curriculum)["completed"] == 5
        env.curriculum.close()


def test_episodes_are_typed_by_their_task():
    task = Task(3, {"value": 1.0}, "label", {})
    assert Episode(task, 1.0, 2).info == {}
