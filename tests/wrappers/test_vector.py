"""`CurriculumEnv` over real vector environments: what the public suite does not ask of every wrapper."""

from functools import partial

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv
from gymnasium.wrappers.vector import DictInfoToList, RecordEpisodeStatistics

from curricular import Curriculum, Exp3SConfig, Span, UniformConfig, bucketed
from curricular.wrappers import gymnasium as single
from curricular.wrappers.episodes import INFO_KEY
from curricular.wrappers.gymnasium import SpacesDifferError, TaskEnv
from curricular.wrappers.gymnasium_vector import CurriculumEnv

from .accounts import counts

minigrid_wrappers = pytest.importorskip("minigrid.wrappers", reason="needs MiniGrid")

IDS = ["MiniGrid-Empty-5x5-v0", "MiniGrid-DoorKey-5x5-v0", "MiniGrid-LavaGapS5-v0"]
MODES = list(AutoresetMode)


def curriculum_of(tasks, **settings):
    settings = {"num_active_tasks": None, "use_shared_memory": False, "score_range": (0, 500), **settings}
    return Curriculum(UniformConfig(**settings), tasks)


def by_id(task):
    return minigrid_wrappers.ImgObsWrapper(gymnasium.make(task.config, max_steps=5))


class Physics(gymnasium.Wrapper):
    """Applies the gravity of its task when it restarts."""

    task = None

    def reset(self, *, seed=None, options=None):
        self.unwrapped.gravity = self.task.config["gravity"]
        return super().reset(seed=seed, options=options)

    def step(self, action):
        *result, info = super().step(action)
        return *result, {**info, "gravity": self.unwrapped.gravity}


def make_pole():
    return Physics(gymnasium.make("CartPole-v1", max_episode_steps=12))


def make_level(first):
    return TaskEnv(by_id, first)


def episodes_of(envs, num_steps, mode):
    """Plays random steps, and yields (index, report, info of the last step) of each episode that ends."""
    listed = DictInfoToList(envs)
    listed.reset(seed=0)
    envs.action_space.seed(0)
    for _ in range(num_steps):
        *_, terminations, truncations, infos = listed.step(envs.action_space.sample())
        is_over = terminations | truncations
        for index in np.flatnonzero(is_over).tolist():
            last = infos[index]["final_info"] if mode is AutoresetMode.SAME_STEP else infos[index]
            yield index, last[INFO_KEY], last
        if is_over.any() and mode is AutoresetMode.DISABLED:
            listed.reset(options={"reset_mask": is_over})


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("vector", [SyncVectorEnv, partial(AsyncVectorEnv, context="spawn"), AsyncVectorEnv])
def test_the_physics_of_poles(vector, mode):
    poles = bucketed({"gravity": 9.8}, {"gravity": Span(1.0, 30.0)})
    curriculum = curriculum_of(poles, num_active_tasks=50)
    envs = CurriculumEnv(vector([make_pole] * 2, autoreset_mode=mode), curriculum, apply="task")
    reports = []
    for _, report, info in episodes_of(envs, 60, mode):
        assert curriculum.task(report["task_id"]).config == {"gravity": info["gravity"]}
        assert 8 <= report["score"] <= 12
        reports.append(report)
    envs.close()
    account = counts(curriculum)
    assert account["completed"] == len(reports) >= 8
    assert len({report["task_id"] for report in reports}) > 3


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("vector", [SyncVectorEnv, AsyncVectorEnv])
def test_minigrid_by_id(vector, mode):
    curriculum = curriculum_of(IDS)
    envs = vector([partial(make_level, curriculum.peek())] * 3, autoreset_mode=mode)
    envs = CurriculumEnv(envs, curriculum, apply="task", score=lambda episode: episode.length)
    reports = [report for _, report, _ in episodes_of(envs, 90, mode)]
    assert {curriculum.task(report["task_id"]).config for report in reports} == set(IDS)
    assert all(1 <= report["score"] <= 5 for report in reports)
    envs.close()
    assert counts(curriculum)["completed"] == len(reports)


def test_a_native_vector_environment():
    def apply(envs, tasks, indices):
        envs.unwrapped.gravity[indices] = [task.config["gravity"] for task in tasks]

    poles = bucketed({"gravity": 9.8}, {"gravity": [1.0, 9.8, 300.0]})
    curriculum = curriculum_of(poles, score_range=(0, 12))
    envs = gymnasium.make_vec("CartPole-v1", 16, vectorization_mode="vector_entry_point", max_episode_steps=12)
    envs.unwrapped.gravity = np.full(16, 9.8)
    envs = CurriculumEnv(envs, curriculum, apply=apply)
    scores = {}
    for _, report, _ in episodes_of(envs, 200, AutoresetMode.NEXT_STEP):
        scores.setdefault(report["label"], []).append(report["score"])
    assert scores.keys() == {"gravity=1.0", "gravity=9.8", "gravity=300.0"}
    assert np.mean(scores["gravity=300.0"]) < np.mean(scores["gravity=1.0"]) <= 12
    envs.close()
    assert counts(curriculum)["completed"] == sum(map(len, scores.values()))


@pytest.mark.parametrize("mode", MODES)
def test_infos_are_those_of_the_wrapper_inside(mode):
    tasks = [{"max_steps": 3}]

    def make(task):
        return gymnasium.make("MiniGrid-Empty-5x5-v0", **task.config)

    inner = SyncVectorEnv(
        [lambda: single.CurriculumEnv(make=make, curriculum=curriculum_of(tasks))] * 2, autoreset_mode=mode
    )
    curriculum = curriculum_of(tasks)
    outer = SyncVectorEnv([lambda: TaskEnv(make, curriculum.peek())] * 2, autoreset_mode=mode)
    outer = CurriculumEnv(outer, curriculum, apply="task")
    for envs in (inner, outer):
        envs.reset(seed=0)
    for step in range(6):
        infos = [envs.step(np.zeros(2, np.int64))[4] for envs in (inner, outer)]
        if mode is AutoresetMode.SAME_STEP:
            infos = [info.get("final_info", {}) for info in infos]
        reports = [info.get(INFO_KEY) for info in infos]
        if step % 3 == 2 and mode is AutoresetMode.DISABLED:
            for envs in (inner, outer):
                envs.reset(options={"reset_mask": np.ones(2, bool)})
        if reports[0] is not None and "score" in reports[0]:
            assert reports[0].keys() == reports[1].keys()
            for key in reports[0]:
                np.testing.assert_array_equal(reports[0][key], reports[1][key])
                assert reports[0][key].dtype == reports[1][key].dtype
            np.testing.assert_array_equal(infos[0][f"_{INFO_KEY}"], infos[1][f"_{INFO_KEY}"])
            break
    else:
        raise AssertionError("no episode has ended")


def test_what_restarts_is_reported_with_whether_the_task_has_changed():
    curriculum = curriculum_of(list("ab"))
    envs = SyncVectorEnv([lambda: TaskEnv(lambda _: gymnasium.make("CartPole-v1"), curriculum.peek())] * 3)
    envs = CurriculumEnv(envs, curriculum, apply="task")
    _, infos = envs.reset(seed=0)
    last, ended = infos[INFO_KEY]["task_id"].copy(), np.zeros(3, bool)
    assert infos[INFO_KEY]["task_changed"].all()
    for _ in range(300):
        *_, terminations, truncations, infos = envs.step(np.ones(3, np.int64))
        if ended.any():
            report = infos[INFO_KEY]
            np.testing.assert_array_equal(report["_task_changed"], ended)
            np.testing.assert_array_equal(report["task_changed"][ended], report["task_id"][ended] != last[ended])
            last[ended] = report["task_id"][ended]
        ended = terminations | truncations
        assert (INFO_KEY in infos) or not ended.any()


def test_statistics_of_several_environments_come_to_whose_episode_made_them_due():
    curriculum = curriculum_of(list("ab"))
    envs = SyncVectorEnv([lambda: TaskEnv(lambda _: gymnasium.make("CartPole-v1"), curriculum.peek())] * 2)
    envs = CurriculumEnv(envs, curriculum, apply="task", stats_interval=5)
    found = [info for *_, info in episodes_of(envs, 300, AutoresetMode.NEXT_STEP)]
    with_stats = [info[INFO_KEY]["stats"]["num_completed"] for info in found if "stats" in info[INFO_KEY]]
    assert with_stats[:3] == pytest.approx([5, 10, 15], abs=1)


def test_infos_of_other_wrappers_stay():
    curriculum = curriculum_of(list("ab"))
    envs = SyncVectorEnv([lambda: TaskEnv(lambda _: gymnasium.make("CartPole-v1"), curriculum.peek())] * 2)
    envs = CurriculumEnv(RecordEpisodeStatistics(envs), curriculum, apply="task")
    envs.reset(seed=0)
    num_ended = 0
    for _ in range(60):
        *_, terminations, truncations, infos = envs.step(np.ones(2, np.int64))
        is_over = terminations | truncations
        if is_over.any():
            num_ended += is_over.sum()
            np.testing.assert_array_equal(infos["episode"]["r"][is_over], infos[INFO_KEY]["score"][is_over])
    assert num_ended >= 8


def test_a_function_gives_the_regrets():
    curriculum = Curriculum(Exp3SConfig(use_shared_memory=False, score_range=(0, 500)), list("ab"))
    envs = SyncVectorEnv([lambda: TaskEnv(lambda _: gymnasium.make("CartPole-v1"), curriculum.peek())] * 2)
    with pytest.raises(ValueError, match="regret: expected a function of an Episode, since Exp3SConfig"):
        CurriculumEnv(envs, curriculum, apply="task")
    envs = CurriculumEnv(envs, curriculum, apply="task", regret=lambda episode: 500 - episode.episode_return)
    reports = [report for _, report, _ in episodes_of(envs, 100, AutoresetMode.NEXT_STEP)]
    assert all(report["regret"] == 500 - report["score"] for report in reports)
    assert sum(state.num_regrets for state in curriculum.task_states()) <= len(reports)


# What goes wrong

LOUD = pytest.mark.filterwarnings("ignore:.*ERROR:UserWarning")  # Gymnasium's log of a worker that raises is a warning


class Breaks(gymnasium.Wrapper):
    """Raises in one call on one task."""

    task, call = None, "step"

    def reset(self, *, seed=None, options=None):
        self.raise_if("reset")
        return super().reset(seed=seed, options=options)

    def step(self, action):
        self.raise_if("step")
        return super().step(action)

    def raise_if(self, call):
        if call == self.call and self.task.config == "bad":
            raise RuntimeError(f"no {call}")


class BreaksInReset(Breaks):
    call = "reset"


@LOUD
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("breaks", [Breaks, BreaksInReset])
def test_a_worker_that_raises_ends_the_run_and_leaves_no_handout(breaks, mode):
    curriculum = curriculum_of(["bad", "good"])
    envs = AsyncVectorEnv([lambda: breaks(gymnasium.make("CartPole-v1"))] * 2, autoreset_mode=mode)
    envs = CurriculumEnv(envs, curriculum, apply="task")
    with pytest.raises(RuntimeError, match=f"no {breaks.call}"):
        list(episodes_of(envs, 500, mode))
    assert counts(curriculum)["pending"] == 0
    envs.close()


@LOUD
@pytest.mark.parametrize("vector", [SyncVectorEnv, AsyncVectorEnv])
def test_spaces_that_differ_are_the_error(vector):
    curriculum = curriculum_of(["CartPole-v1", "MountainCar-v0"])
    first = curriculum.peek()
    envs = vector([lambda: TaskEnv(lambda task: gymnasium.make(task.config), first)] * 2)
    envs = CurriculumEnv(envs, curriculum, apply="task", score=lambda _: 0.5)
    with pytest.raises(SpacesDifferError, match="another observation_space: Box"):
        list(episodes_of(envs, 2000, AutoresetMode.NEXT_STEP))
    assert counts(curriculum)["pending"] == 0
    envs.close()


@pytest.mark.parametrize("mode", [None, "Never"])
def test_an_unknown_autoreset_mode_is_refused(mode):
    envs = gymnasium.make_vec("CartPole-v1", 2, vectorization_mode="vector_entry_point")
    envs.metadata = {**envs.metadata, "autoreset_mode": mode}
    message = rf"env: expected metadata\['autoreset_mode'\] to be one of AutoresetMode.NEXT_STEP, .* got {mode!r}; set"
    with pytest.raises(ValueError, match=message):
        CurriculumEnv(envs, curriculum_of(list("ab")), apply=print)


@pytest.mark.parametrize("name", ["tsak", "reset"])
def test_an_attribute_that_is_not_there_is_named(name):
    envs = SyncVectorEnv([make_pole] * 2)
    native = gymnasium.make_vec("CartPole-v1", 2, vectorization_mode="vector_entry_point")
    for env in (envs, native):
        message = rf"apply: expected a function, or the name of an attribute .*got '{name}'.*\({name} = None\), or pass"
        with pytest.raises(ValueError, match=message):
            CurriculumEnv(env, curriculum_of(list("ab")), apply=name)


def test_each_wrapper_of_gymnasium_names_the_other_one():
    curriculum = curriculum_of(list("ab"))
    with pytest.raises(
        TypeError, match=r"expected a gymnasium.Env, got SyncVectorEnv.*of curricular.*gymnasium_vector"
    ):
        single.CurriculumEnv(SyncVectorEnv([make_pole] * 2), curriculum, apply=print)
    with pytest.raises(TypeError, match=r"expected a gymnasium.vector.VectorEnv, got <.*of curricular.*gymnasium$"):
        CurriculumEnv(make_pole(), curriculum, apply=print)


def test_a_step_without_episodes_is_refused_and_changes_nothing():
    curriculum = curriculum_of(list("ab"))
    envs = SyncVectorEnv([lambda: gymnasium.make("CartPole-v1")] * 2, autoreset_mode=AutoresetMode.DISABLED)
    envs = CurriculumEnv(envs, curriculum, apply=lambda *_: None)
    with pytest.raises(gymnasium.error.ResetNeeded, match="call reset"):
        envs.step(np.zeros(2, np.int64))
    assert counts(curriculum)["scheduled"] == 0
    envs.reset(seed=0)
    while not np.logical_or(*envs.step(np.ones(2, np.int64))[2:4]).any():
        pass
    before = counts(curriculum)
    with pytest.raises(gymnasium.error.ResetNeeded, match="call reset"):
        envs.step(np.zeros(2, np.int64))
    assert counts(curriculum) == before


@pytest.mark.parametrize(
    ("result", "message"),
    [
        ((np.zeros(2), np.zeros(3), np.zeros(2), np.zeros(2), {}), r"expected rewards of 2 agents, got shape \(3,\)"),
        ((np.zeros(2), np.zeros(2), ["a", "b"], np.zeros(2), {}), "expected terminations of 2 agents"),
        ((np.zeros(2), np.zeros(2)), r"env.step: expected \(observations, .*\), got 2 values"),
        ((np.zeros(2), None, np.zeros(2), np.zeros(2), {}), "expected rewards of 2 agents"),
        ((np.zeros(2), np.zeros(2), np.ones(2), np.zeros(2), None), "env.step: expected an info that is a dict"),
        ((np.zeros(2), np.zeros(2), np.ones(2), np.zeros(2), [{}, {}]), "env.step: expected an info that is a dict"),
    ],
)
def test_wrong_types_are_errors_that_leave_no_handout(result, message):
    curriculum = curriculum_of(list("ab"))
    envs = SyncVectorEnv([lambda: gymnasium.make("CartPole-v1")] * 2)
    wrapped = CurriculumEnv(envs, curriculum, apply=lambda *_: None)
    wrapped.reset(seed=0)
    envs.step = lambda actions: result
    with pytest.raises(TypeError, match=message):
        wrapped.step(np.zeros(2, np.int64))
    assert counts(curriculum)["pending"] == 0
    assert counts(curriculum)["cancelled"] == 2


@pytest.mark.parametrize("infos", [None, []])
def test_a_reset_without_a_dict_of_infos_is_an_error_that_leaves_no_handout(infos):
    curriculum = curriculum_of(list("ab"))
    envs = SyncVectorEnv([lambda: gymnasium.make("CartPole-v1")] * 2)
    envs.reset = lambda **_: (np.zeros(2), infos)
    with pytest.raises(TypeError, match=r"env\.reset: expected an info that is a dict"):
        CurriculumEnv(envs, curriculum, apply=lambda *_: None).reset()
    assert counts(curriculum)["pending"] == 0


@pytest.mark.parametrize(
    ("final", "message"),
    [
        ({"final_info": [{}, {}]}, r"expected infos\['final_info'\] as a dict of arrays"),
        ({"final_info": {}, "_final_info": np.ones(3, bool)}, r"expected infos\['_final_info'\] of shape \(2,\)"),
        ({"final_info": None}, None),
        ({"final_info": {}, "_final_info": [True, True]}, None),
    ],
)
def test_final_infos_are_checked_before_scores_are_told(final, message):
    curriculum = curriculum_of(list("ab"))
    envs = SyncVectorEnv([lambda: gymnasium.make("CartPole-v1")] * 2, autoreset_mode=AutoresetMode.SAME_STEP)
    wrapped = CurriculumEnv(envs, curriculum, apply=lambda *_: None)
    wrapped.reset(seed=0)
    envs.step = lambda actions: (np.zeros(2), np.ones(2), np.ones(2, bool), np.zeros(2, bool), final)
    if message is None:
        infos = wrapped.step(np.zeros(2, np.int64))[4]
        assert infos["final_info"]["curriculum"]["score"].tolist() == [1.0, 1.0]
        assert counts(curriculum)["completed"] == 2
    else:
        with pytest.raises(TypeError, match=message):
            wrapped.step(np.zeros(2, np.int64))
        assert counts(curriculum) | {"scheduled": 4, "cancelled": 4, "completed": 0, "pending": 0} == counts(curriculum)


@pytest.mark.parametrize("infos", [{"success": [1.0]}, {"success": np.ones(2), "_success": 1}])
def test_infos_without_an_entry_for_each_environment_are_named(infos):
    curriculum = Curriculum(list("ab"), UniformConfig(use_shared_memory=False))
    envs = SyncVectorEnv([lambda: gymnasium.make("CartPole-v1")] * 2)
    wrapped = CurriculumEnv(envs, curriculum, apply=lambda *_: None, score="success")
    wrapped.reset(seed=0)
    envs.step = lambda actions: (np.zeros(2), np.ones(2), np.ones(2, bool), np.zeros(2, bool), infos)
    with pytest.raises(TypeError, match=r"infos\['_?success'\]: expected an array with an entry for each environment"):
        wrapped.step(np.zeros(2, np.int64))
    assert counts(curriculum)["pending"] == 0


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, np.uint8])
def test_flags_of_any_kind_of_number_end_episodes(dtype):
    curriculum = curriculum_of(list("ab"))
    envs = SyncVectorEnv([lambda: gymnasium.make("CartPole-v1")] * 2)
    wrapped = CurriculumEnv(envs, curriculum, apply=lambda *_: None)
    wrapped.reset(seed=0)
    flags = np.array([1, 0], dtype), np.array([0, 1], dtype)
    envs.step = lambda actions: (np.zeros(2), np.ones(2), *flags, {})
    assert wrapped.step(np.zeros(2, np.int64))[4]["curriculum"]["score"].tolist() == [1.0, 1.0]
    assert counts(curriculum)["completed"] == 2


@pytest.mark.parametrize("mask", [np.ones(3, bool), np.array([0, 1]), True])
def test_a_mask_of_another_shape_or_kind_is_refused_and_changes_nothing(mask):
    curriculum = curriculum_of(list("ab"))
    envs = SyncVectorEnv([lambda: gymnasium.make("CartPole-v1")] * 2, autoreset_mode=AutoresetMode.DISABLED)
    envs = CurriculumEnv(envs, curriculum, apply=lambda *_: None)
    envs.reset(seed=0)
    before = counts(curriculum)
    with pytest.raises(ValueError, match=r"options\['reset_mask'\]: expected an array of truth values of shape \(2,\)"):
        envs.reset(options={"reset_mask": mask})
    assert counts(curriculum) == before
