"""`CurriculumEnv` over real Gymnasium environments."""

import pickle
from collections import Counter

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv

from curricular import Curriculum, LearningProgressConfig, UniformConfig, single_task
from curricular.task import Task
from curricular.wrappers.episodes import INFO_KEY, EnvironmentFailedError, Episode
from curricular.wrappers.gymnasium import CurriculumEnv

from .accounts import counts, curriculum_of, told

VALUES = [0.0, 0.25, 0.75, 1.0]


class Pays(gymnasium.Env):
    """Pays its value, in equal parts, over an episode of `length` steps; raises where it is told to."""

    observation_space = gymnasium.spaces.Box(0, 10, (1,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)

    def __init__(self, length=2, is_truncated=False):
        self.length, self.is_truncated = length, is_truncated
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
        reward = self.value / self.length
        return observation, reward, is_over and not self.is_truncated, is_over and self.is_truncated, info

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


@pytest.mark.parametrize("is_truncated", [False, True])
def test_every_episode_asks_once_and_tells_once(monkeypatch, is_truncated):
    env = wrap(env=Pays(is_truncated=is_truncated))
    pairs = told(monkeypatch, env.curriculum)
    configs = []
    for episode in range(20):
        env.reset()
        configs.append(env.task)
        assert counts(env.curriculum) == {
            "scheduled": episode + 1,
            "completed": episode,
            "cancelled": 0,
            "pending": 1,
        }
        env.step(0)
        env.step(0)
        assert env.task is None
    assert pairs == [(task.task_id, task.config["value"]) for task in configs]
    assert counts(env.curriculum) == {"scheduled": 20, "completed": 20, "cancelled": 0, "pending": 0}
    assert [value for value, *_ in env.unwrapped.resets] == [task.config["value"] for task in configs]


def test_there_is_no_task_before_the_first_reset():
    env = wrap()
    assert env.task is None
    assert counts(env.curriculum)["scheduled"] == 0
    with pytest.raises(gymnasium.error.ResetNeeded, match="call reset"):
        env.step(0)


def test_a_step_after_the_end_is_refused_and_changes_nothing():
    env = wrap()
    play(env)
    before = counts(env.curriculum)
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.step(0)
    assert counts(env.curriculum) == before


def test_infos_keep_what_the_environment_says():
    env = wrap()
    _, first = env.reset()
    task = env.task
    assert first == {"from": "reset", INFO_KEY: {"task_id": task.task_id, "label": task.label}}
    *_, info = env.step(0)
    assert info == {"clock": 1}
    *_, last = env.step(0)
    assert last == {
        "clock": 2,
        "success": task.config["value"] > 0.5,
        INFO_KEY: first[INFO_KEY] | {"score": task.config["value"]},
    }


@pytest.mark.parametrize("interval", [1, 3, None])
def test_infos_carry_statistics_every_so_many_episodes(interval):
    infos = play(wrap(stats_interval=interval), 7)
    has_stats = [number for number, (_, last) in enumerate(infos, 1) if "stats" in last[INFO_KEY]]
    assert has_stats == ([] if interval is None else list(range(interval, 8, interval)))
    for number in has_stats:
        assert infos[number - 1][1][INFO_KEY]["stats"]["num_completed"] == number


def test_abandoned_episodes_are_cancelled_not_scored():
    env = wrap()
    for _ in range(3):
        env.reset()
        env.step(0)
    assert counts(env.curriculum) == {"scheduled": 3, "completed": 0, "cancelled": 2, "pending": 1}
    env.close()
    assert env.unwrapped.is_closed
    assert env.task is None
    assert counts(env.curriculum) == {"scheduled": 3, "completed": 0, "cancelled": 3, "pending": 0}
    env.close()
    assert counts(env.curriculum)["cancelled"] == 3


# Applying


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


@pytest.mark.parametrize(
    ("score", "expected"),
    [
        ("return", lambda value: value),
        ("success", lambda value: float(value > 0.5)),
        (lambda episode: 1 - episode.episode_return, lambda value: 1 - value),
        (lambda episode: np.float32(episode.info["success"]) / episode.length, lambda value: (value > 0.5) / 2),
    ],
)
def test_score_rules(monkeypatch, score, expected):
    env = wrap(score=score)
    pairs = told(monkeypatch, env.curriculum)
    values = []
    for _ in range(10):
        env.reset()
        values.append(env.task.config["value"])
        env.step(0)
        env.step(0)
    assert [told_score for _, told_score in pairs] == [expected(value) for value in values]


def test_a_score_function_gets_the_episode():
    episodes = []
    env = wrap(score=lambda episode: episodes.append(episode) or 0.5)
    env.reset()
    task = env.task
    env.step(0)
    env.step(0)
    assert episodes == [Episode(task, task.config["value"], 2, {"clock": 2, "success": task.config["value"] > 0.5}, 0)]


@pytest.mark.parametrize(
    ("own", "declared", "raw", "expected"),
    [
        ((0.0, 1.0), (-10, 10), 5, 0.75),
        ((0.0, 1.0), (-10, 10), -10, 0.0),
        ((-1.0, 1.0), (0, 500), 500, 1.0),
        ((-1.0, 1.0), (0, 500), 125, -0.5),
        ((-1.0, 3.0), None, 2.5, 2.5),
        ((0.0, 1.0), None, 1 + 1e-8, 1.0),
        ((0.0, 1.0), None, -1e-8, 0.0),
    ],
)
def test_scores_are_mapped_from_the_declared_range(monkeypatch, own, declared, raw, expected):
    env = wrap(curriculum=curriculum_of(VALUES, score_range=own), score=lambda _: raw, score_range=declared)
    pairs = told(monkeypatch, env.curriculum)
    ((_, last),) = play(env)
    assert [score for _, score in pairs] == [pytest.approx(expected, abs=1e-12)]
    assert last[INFO_KEY]["score"] == raw


def test_success_is_declared_from_0_to_1(monkeypatch):
    env = wrap([1.0], curriculum=curriculum_of([1.0], score_range=(-5, 5)), score="success")
    pairs = told(monkeypatch, env.curriculum)
    play(env)
    assert pairs[0][1] == 5


@pytest.mark.parametrize("raw", [1.5, -0.5, np.nan, np.inf, -np.inf])
def test_a_score_out_of_range_is_refused_not_clipped(raw):
    env = wrap(score=lambda _: raw)
    with pytest.raises(ValueError, match=r"score: expected .*score_range \(0.0, 1.0\), got .*declare the true range"):
        play(env)
    assert counts(env.curriculum) == {"scheduled": 1, "completed": 0, "cancelled": 0, "pending": 1}
    env.reset()
    assert counts(env.curriculum) == {"scheduled": 2, "completed": 0, "cancelled": 1, "pending": 1}


def test_success_must_be_in_the_info():
    env = CurriculumEnv(gymnasium.make("CartPole-v1"), curriculum_of(VALUES), apply=lambda *_: None, score="success")
    with pytest.raises(KeyError, match="expected the key 'success' in the info of an episode's last step"):
        play(env)
    env.close()


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"score": "reward"}, "score: expected 'return', 'success' or a function.*got 'reward'"),
        ({"score_range": (1, 0)}, "score_range: expected low < high.*got \\(1, 0\\)"),
        ({"score_range": (1, 1)}, "score_range: expected low < high"),
        ({"score_range": (0, np.inf)}, "score_range: expected .*finite.*got \\(0, inf\\)"),
        ({"score_range": (-np.inf, np.inf)}, "score_range: expected low < high, a finite distance"),
        ({"score_range": (0, np.nan)}, "score_range: expected low < high"),
        ({"stats_interval": 0}, "stats_interval: expected at least 1 episode, got 0; None"),
        ({"max_failures": 0}, "max_failures: expected at least 1, got 0"),
    ],
)
def test_bad_arguments(kwargs, message):
    with pytest.raises(ValueError, match=message):
        wrap(**kwargs)


# Environments that raise


def failing(where, values=(0.0, 0.25)):
    """A wrapped environment that raises on the tasks with `values`, in apply, reset or step."""
    env = Pays()
    if where == "reset":
        env.raises_in_reset = values
    if where == "step":
        env.raises_in_step = values

    def apply(env, task):
        if where == "apply" and task.config["value"] in values:
            raise RuntimeError(f"no apply with {task.config['value']}")
        env.set_value(task.config)

    return wrap(env=env, apply=apply, max_failures=50)


@pytest.mark.parametrize("where", ["apply", "reset"])
def test_a_task_on_which_reset_raises_is_cancelled_and_another_asked(where, caplog):
    env = failing(where)
    labels = Counter(last[INFO_KEY]["label"] for _, last in play(env, 30))
    assert set(labels) == {"value=0.75", "value=1.0"}
    seen = counts(env.curriculum)
    assert seen["completed"] == 30
    assert seen["cancelled"] > 5
    assert seen["pending"] == 0
    assert f"RuntimeError: no {where} with 0.0" in caplog.text


def test_a_step_that_raises_cuts_the_episode_off(caplog):
    env = failing("step")
    infos = play(env, 60)
    cut = [(first, last) for first, last in infos if "error" in last[INFO_KEY]]
    seen = counts(env.curriculum)
    assert seen == {"scheduled": 60, "completed": 60 - len(cut), "cancelled": len(cut), "pending": 0}
    assert 10 < len(cut) < 50
    for first, last in cut:
        value = first[INFO_KEY]["label"].removeprefix("value=")
        assert last == {INFO_KEY: first[INFO_KEY] | {"error": f"RuntimeError: no step with {value}"}}
    assert "RuntimeError: no step with 0.25" in caplog.text


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


@pytest.mark.parametrize("where", ["apply", "reset"])
@pytest.mark.parametrize("max_failures", [1, 3])
def test_after_too_many_failures_in_a_row_it_stops_with_the_cause(where, max_failures):
    env = failing(where, VALUES)
    env = wrap(env=env.unwrapped, apply=env._apply, max_failures=max_failures)
    with pytest.raises(
        EnvironmentFailedError, match=rf"got {max_failures} failures.*no {where} with.*'value'"
    ) as caught:
        env.reset()
    assert isinstance(caught.value.__cause__, RuntimeError)
    assert str(caught.value.__cause__).startswith(f"no {where}")
    assert env.task is None
    assert counts(env.curriculum) == {
        "scheduled": max_failures,
        "completed": 0,
        "cancelled": max_failures,
        "pending": 0,
    }


def test_failures_in_step_are_counted_across_episodes_and_forgotten_after_one_that_ends():
    env = wrap([1.0], max_failures=3)
    for _ in range(3):
        env.unwrapped.raises_in_step = [1.0]
        play(env, 2)
        env.unwrapped.raises_in_step = []
        play(env, 1)
    env.unwrapped.raises_in_step = [1.0]
    play(env, 2)
    with pytest.raises(EnvironmentFailedError) as caught:
        play(env, 1)
    assert str(caught.value.__cause__) == "no step with 1.0"
    assert counts(env.curriculum) == {"scheduled": 12, "completed": 3, "cancelled": 9, "pending": 0}


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_is_no_failure(error):
    def apply(env, task):
        raise error

    env = wrap(apply=apply)
    with pytest.raises(error):
        env.reset()
    env.close()
    assert counts(env.curriculum) == {"scheduled": 1, "completed": 0, "cancelled": 1, "pending": 0}


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
    curriculum = curriculum_of([5.0, 9.8, 20.0])
    env = CurriculumEnv(gymnasium.make("CartPole-v1"), curriculum, apply=set_gravity, score_range=(0, 500))
    reports = random_episodes(env, 50)
    assert all(report[INFO_KEY]["score"] >= 5 for report in reports)
    assert 0.01 < curriculum.stats()["score/mean"] < 0.2
    assert counts(curriculum)["completed"] == 50


def test_cart_pole_by_reset_options():
    options = {"low": -0.01, "high": 0.01}
    config = UniformConfig(num_active_tasks=1, use_shared_memory=False)
    curriculum = Curriculum(config, single_task(options))
    env = CurriculumEnv(gymnasium.make("CartPole-v1"), curriculum, apply="reset", score_range=(0, 500))
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
    config = UniformConfig(num_active_tasks=1, use_shared_memory=False)  # it wants each episode to be the same
    curriculum = Curriculum(config, single_task({}))
    env = CurriculumEnv(gymnasium.make(name), curriculum, apply=lambda *_: None, score_range=(0, 500))
    with pytest.warns(UserWarning, match="is different from the unwrapped version"):
        check_env(env, skip_render_check=True, skip_close_check=True)  # both build another one, from a registered name
    env.close()
    assert counts(curriculum)["pending"] == 0


class MakePole:
    """Makes a wrapped CartPole; pickles with its curriculum."""

    def __init__(self, curriculum):
        self.curriculum = curriculum

    def __call__(self):
        return CurriculumEnv(
            gymnasium.make("CartPole-v1"), self.curriculum, apply=set_gravity, score_range=(0, 500), stats_interval=5
        )


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
def test_vector_environments_share_a_curriculum(mode):
    curriculum = curriculum_of([5.0, 9.8, 20.0])
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
    curriculum = curriculum_of([5.0, 9.8, 20.0])
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


@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")  # it forks
def test_vector_environments_in_processes_share_the_curriculum_they_were_given():
    config = LearningProgressConfig.default(num_active_tasks=3, eviction_rate=0)
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
