"""The real MettaGrid: the five shapes of its recipes, and `CurriculumEnv`. Run with `make test-metta`."""

import logging
import math
import pickle
from collections import Counter

import numpy as np
import pytest

pytest.importorskip("mettagrid", reason="MettaGrid has an environment of its own: make test-metta")
pytest.importorskip("pufferlib")

import mettagrid.builder.envs as eb
from mettagrid.config.mettagrid_config import MettaGridConfig
from mettagrid.envs.early_reset_handler import EarlyResetHandler
from mettagrid.envs.mettagrid_puffer_env import MettaGridPufferEnv
from mettagrid.simulator import Simulator
from pufferlib import vector

import metta.cogworks.curriculum as cc
from curricular import Axis, ModifiedAlgorithm, Quotas
from curricular.algorithms.uniform import UniformAlgorithm
from curricular.wrappers.episodes import INFO_KEY
from curricular.wrappers.mettagrid import CurriculumEnv

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")

HEARTS = "game.agent.inventory.initial.heart"
LASER = "game.actions.attack.consumed_resources.laser"


def arena(num_agents=2, max_steps=10, **kwargs):
    config = eb.make_arena(num_agents, **kwargs)
    config.game.max_steps = max_steps
    return config


def local(**kwargs):
    return cc.UniformConfig(use_shared_memory=False, **kwargs)


def env_of(curriculum, config=None, handlers=(), **kwargs):
    simulator = Simulator()
    for handler in handlers:
        simulator.add_event_handler(handler)
    return CurriculumEnv(MettaGridPufferEnv(simulator, arena() if config is None else config), curriculum, **kwargs)


def play(env, num_steps, actions=None):
    """The reports of the curriculum in the infos of `num_steps` steps."""
    reports = []
    for _ in range(num_steps):
        *_, infos = env.step(np.zeros(env.num_agents, np.int32) if actions is None else actions)
        reports += [info[INFO_KEY] for info in infos if INFO_KEY in info]
    return reports


# The five shapes of recipes


def test_buckets_into_keys_that_are_not_there_yet_and_keys_with_dots():
    base = arena()
    tasks = cc.bucketed(base)
    tasks.add_bucket(HEARTS, [1, 3]).add_bucket("game.agent.initial_stats.carbon.gained", [0.5, 2])
    curriculum = tasks.to_curriculum(algorithm_config=local()).make()
    agents = [task.config.game.agent for task in curriculum.ask(100)]
    seen = {(agent.inventory.initial["heart"], agent.initial_stats["carbon.gained"]) for agent in agents}
    assert seen == {(1, 0.5), (1, 2), (3, 0.5), (3, 2)}
    assert base.game.agent.initial_stats == base.game.agent.inventory.initial == {}


def test_a_misspelt_field_is_refused():
    with pytest.raises(
        KeyError, match=r"got 'game.agent.inventry.initial.heart'; the nearest is 'game.agent.inventory"
    ):
        cc.bucketed(arena()).add_bucket("game.agent.inventry.initial.heart", [1]).create()


def test_values_and_spans_mixed():
    tasks = cc.bucketed(arena()).add_bucket("game.max_steps", [10, 20, cc.Span(100, 200)])
    tasks.add_bucket("game.map_builder.width", [cc.Span(20, 30)])
    curriculum = tasks.to_curriculum(num_active_tasks=300, algorithm_config=local()).make()
    lengths = [task.config.game.max_steps for task in curriculum.ask(3000)]
    counts = Counter(min(length, 100) for length in lengths)
    assert all(700 < counts[length] < 1300 for length in (10, 20))
    assert all(type(length) is int and (length in {10, 20} or 100 <= length <= 200) for length in lengths)
    assert {task.config.game.map_builder.width for task in curriculum.ask(300)} == set(range(20, 31))


def test_merged_sets_with_equal_draws():
    sparse, dense = arena(), arena()
    sparse.label, dense.label = "sparse", "dense"
    few = cc.bucketed(sparse).add_bucket(HEARTS, [0, 1])
    many = cc.bucketed(dense).add_bucket("game.map_builder.width", [cc.Span(20, 60)])
    config = local(num_active_tasks=40)
    algorithm = ModifiedAlgorithm(UniformAlgorithm(config), Quotas([0.5, 0.5], axis=0))
    curriculum = cc.Curriculum(config, cc.merge([few.create(), many.create()]), algorithm=algorithm)
    labels = Counter(task.label for task in curriculum.ask(2000))
    assert labels.keys() == {"sparse", "dense"}
    assert 850 < labels["sparse"] < 1150


def test_150_missions_of_11_buckets():
    missions = []
    for number in range(150):
        mission = cc.bucketed(arena(max_steps=number + 1))
        for item in range(7):
            mission.add_bucket(f"game.agent.initial_stats.item{item}.gained", [0, 1, 2])
        mission.add_bucket(HEARTS, [0, 1, 2]).add_bucket(LASER, [1, 100])
        mission.add_bucket("game.map_builder.width", [cc.Span(20, 30)])
        mission.add_bucket("game.map_builder.height", [25, cc.Span(20, 30)])
        missions.append(mission)
    curriculum = cc.merge(missions).to_curriculum(num_active_tasks=300, algorithm_config=local()).make()
    places = Counter(int(state.params[0]) for state in curriculum.task_states())
    assert places == dict.fromkeys(range(150), 2)
    assert {len(state.params) for state in curriculum.task_states()} == {13}  # two for a value or a span
    for task in curriculum.ask(20):
        assert task.config.game.max_steps == task.params["generator"] + 1
        assert len(task.params) == 12
    env = env_of(curriculum)
    env.reset(seed=0)
    assert play(env, 300)


class InContext:
    """A custom generator: maps that become harder to cross, with what chance gives from the seed."""

    axes = (Axis("walls", cc.Span(0, 20)),)
    num_tasks = None

    def sample(self, seeds, rng):
        return self.axes[0].values.sample(len(seeds), rng)[:, None]

    def label_of(self, seed, params):
        return "walls"

    def build(self, seed, params):
        rng = np.random.default_rng(seed)
        config = MettaGridConfig.EmptyRoom(num_agents=2, width=int(rng.integers(10, 16)), height=12)
        config.game.map_builder.objects = {"wall": int(params[0])}
        config.game.map_builder.seed = int(rng.integers(2**31))
        config.game.max_steps = 10
        return config


def test_a_custom_generator():
    curriculum = cc.Curriculum(local(num_active_tasks=20), InContext())
    env = env_of(curriculum, InContext().build(0, np.zeros(1)))
    env.reset(seed=0)
    reports = play(env, 100)
    assert len(reports) == 10
    assert len({report["task_id"] for report in reports}) > 3


# Playing


def hearts(num_active_tasks=None, **kwargs):
    """A curriculum whose tasks pay the hearts that agents begin with."""
    tasks = cc.bucketed(arena()).add_bucket(HEARTS, [0, 1, 2, 40])
    return tasks.to_curriculum(num_active_tasks, local(**kwargs)).make()


def test_every_episode_plays_its_task_and_tells_its_mean_reward():
    curriculum = hearts()
    env = env_of(curriculum, stats_interval=None)
    env.reset(seed=0)
    seen = set()
    for _ in range(100):
        hearts_of_task = env.tasks[0].config.game.agent.inventory.initial["heart"]
        rewards = None
        for _ in range(10):
            (*_, infos), rewards = env.step(np.zeros(2, np.int32)), env.get_episode_rewards()
            if env.current_simulation.current_step == 1:
                assert env.current_simulation.config.game.agent.inventory.initial["heart"] == hearts_of_task
        (report,) = [info[INFO_KEY] for info in infos if INFO_KEY in info]
        assert report["score"] == pytest.approx(rewards.mean()) == hearts_of_task
        seen.add(report["score"])
    assert seen == {0.0, 1.0, 2.0, 40.0}
    assert curriculum.stats()["num_completed"] == 100


def test_returns_of_unknown_range_widen_the_range():
    curriculum = hearts()
    env = env_of(curriculum)
    env.reset(seed=0)
    play(env, 400)
    assert curriculum.config.score_range == "observed"
    columns = curriculum.tasks()
    means = dict(zip(columns[f"params/{HEARTS}"], columns["score"], strict=True))
    assert {int(value): mean for value, mean in means.items()} == pytest.approx({0: 0, 1: 1, 2: 2, 40: 40})


def test_infos_are_a_list_and_keep_those_of_the_environment():
    env = env_of(hearts())
    assert env.reset(seed=0)[1] == []
    assert env.step(np.zeros(2, np.int32))[-1] == []
    keyed = MettaGridPufferEnv(Simulator(), arena(), step_info_keys=["attributes/steps"])
    env = CurriculumEnv(keyed, hearts())
    env.reset(seed=0)
    steps = [env.step(np.zeros(2, np.int32))[-1] for _ in range(10)]
    assert [infos[0]["attributes/steps"] for infos in steps] == list(range(1, 11))
    assert [len(infos) for infos in steps] == [1] * 9 + [2]


def test_a_first_episode_that_is_shortened_is_an_episode():
    env = env_of(hearts(), handlers=[EarlyResetHandler()])
    env.reset(seed=3)
    assert len(play(env, 100)) in {10, 11}


def test_attributes_of_the_environment_are_reachable():
    env = env_of(hearts())
    assert env.render_mode == "ansi"
    assert env.env_cfg is env.env.env_cfg
    assert isinstance(env.render(), str)
    assert env.single_vibe_action_space is env.env.single_vibe_action_space
    env.set_mg_config(arena(max_steps=3))
    assert env.env_cfg.game.max_steps == 3
    env.disable_supervisor()


# Spaces


def fewer_moves():
    config = arena()
    config.game.actions.move.allowed_directions = ["north", "east"]
    return config


def other_moves():
    config = arena()
    config.game.actions.move.allowed_directions = ["north", "south", "east", "west"]
    return config


def smaller_view():
    config = arena()
    config.game.obs.num_tokens //= 2
    return config


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (lambda: arena(3), "another num_agents: 3 instead of 2 for task 1 'other'"),
        (fewer_moves, r"another action_names: \['noop', .* instead of \['noop', "),
        (other_moves, r"another action_names\[\d\]: move_east instead of move_west"),
        (smaller_view, "another observation_space: Box"),
    ],
)
def test_a_member_of_another_interface_is_an_error_that_names_it(other, message):
    config = other()
    config.label = "other"
    curriculum = cc.merge([cc.single_task(arena()), cc.single_task(config)]).to_curriculum(None, local()).make()
    env = env_of(curriculum)
    with pytest.raises(ValueError, match=rf"env: expected the same spaces for all tasks, got {message}"):
        env.reset(seed=0) and play(env, 500)
    assert curriculum.stats()["num_pending"] == 0


# Workers


class Make:
    def __init__(self, curriculum):
        self.curriculum = curriculum

    def __call__(self, buf=None, seed=0):
        env = MettaGridPufferEnv(Simulator(), arena(), buf=buf, seed=seed)
        return CurriculumEnv(env, pickle.loads(pickle.dumps(self.curriculum)), stats_interval=5)


@pytest.mark.parametrize("backend", ["Serial", "Multiprocessing"])
def test_vectorized_environments_share_the_curriculum(backend):
    with cc.bucketed(arena()).add_bucket(HEARTS, [0, 1, 2]).to_curriculum().make() as curriculum:
        kwargs = {"num_workers": 2, "overwork": True} if backend == "Multiprocessing" else {}
        envs = vector.make(Make(curriculum), num_envs=2, backend=getattr(vector, backend), **kwargs)
        try:
            envs.reset(seed=0)
            reports = []
            for _ in range(100):
                *_, infos = envs.step(np.zeros(4, np.int32))
                reports += [info[INFO_KEY] for info in infos if "score" in info.get(INFO_KEY, {})]
            assert len(reports) == 20
            assert curriculum.stats()["num_completed"] == 20
            assert any("stats" in report for report in reports)
        finally:
            envs.close()
            for process in getattr(envs, "processes", []):
                process.join()


def test_an_environment_without_the_method_is_refused():
    class Other(MettaGridPufferEnv):
        set_mg_config = property()

    with pytest.raises(ValueError, match=r"apply: expected .* got 'set_mg_config', which"):
        CurriculumEnv(Other(Simulator(), arena()), hearts())


def test_logs_are_quiet(caplog):
    with caplog.at_level(logging.WARNING):
        env = env_of(hearts())
        env.reset(seed=0)
        assert not math.isnan(sum(report["score"] for report in play(env, 100)))
        env.close()
    assert not [record for record in caplog.records if record.name.startswith("curricular")]
