"""prime-rl's real curriculum of an environment, whose tasks ours chooses.

prime-rl is not on PyPI, so put its sources (`src` and `packages/prime-rl-configs/src`) on PYTHONPATH, into an
environment with verifiers.
"""

import pytest

pytest.importorskip("prime_rl.orchestrator.curriculum", reason="needs prime-rl's sources", exc_type=ImportError)

import verifiers.v1 as vf
from prime_rl.orchestrator.curriculum import Curriculum

from curricular.trainers.prime_rl import CurriculumSampler

from ..helpers import balance

pytestmark = pytest.mark.filterwarnings("default")
NUM_COMPLETIONS = 4
TASKS = [vf.Task(vf.TaskData(idx=index, prompt=f"task {index}")) for index in range(32)]


def create_source():
    source = Curriculum(None, TASKS)
    source.sampler = CurriculumSampler(TASKS)
    return source


def stats_of(source):
    return source.sampler.curriculum.stats()


def play(task, rewards):
    """Returns a group of episodes, as prime-rl makes them; None for a rollout that has failed."""
    traced = vf.TraceTask(type="Task", data=task.data, key=task.key, hash=task.hash)
    group = []
    for reward in rewards:
        trace = vf.Trace(task=traced, agent=vf.AgentInfo(config=vf.AgentConfig()), ok=reward is not None)
        if reward is None:
            trace.errors.append(vf.Error(type="Timeout", message="too slow"))
        else:
            trace.rewards["right"] = vf.Reward(score=reward)
        group.append(vf.Episode(env=vf.EnvInfo(id="numbers", name="numbers"), task=traced, traces=[trace]))
    return group


def test_groups_are_told_under_their_tickets():
    source = create_source()
    tasks = [next(source.sampler) for _ in range(8)]
    for index, task in enumerate(tasks):
        assert source.on_result(play(task, [1.0, 0.0, float(index % 2), 0.0]))
    assert stats_of(source)["num_completed"] == 8
    assert stats_of(source)["score/mean"] == pytest.approx(0.375, abs=0.125)
    assert balance(stats_of(source)) == 0
    assert source.metrics()["sampler/num_completed"] == 8


def test_failed_rollouts_do_not_count():
    source = create_source()
    source.on_result(play(next(source.sampler), [1.0, None, None, None]))
    assert stats_of(source)["score/mean"] == 1.0
    source.on_result(play(next(source.sampler), [None] * NUM_COMPLETIONS))
    assert stats_of(source)["cancelled/failed"] == 1


def test_a_resumed_run_begins_with_what_was_in_flight_and_goes_on_as_the_unbroken_one():
    source = create_source()
    for _ in range(8):
        source.on_result(play(next(source.sampler), [1.0, 0.0, 0.0, 0.0]))
    in_flight = [next(source.sampler) for _ in range(6)]
    state = source.state_dict()
    resumed = create_source()
    resumed.load_state_dict(state)
    assert [next(resumed.sampler).key for _ in in_flight] == [task.key for task in in_flight]
    for each in (source, resumed):
        for task in in_flight:
            each.on_result(play(task, [1.0, 1.0, 0.0, 0.0]))
    assert [next(resumed.sampler).key for _ in range(8)] == [next(source.sampler).key for _ in range(8)]
    assert stats_of(resumed) == stats_of(source)


def test_groups_that_prime_rl_drops_expire():
    source = create_source()
    source.sampler.max_age = 16
    for _ in range(32):
        next(source.sampler)
    assert stats_of(source)["cancelled/expired"] > 0
    assert stats_of(source)["num_open"] == 18  # the first has 17 later ones: it expires at the next call


def test_tasks_with_the_same_key_are_refused():
    with pytest.raises(ValueError, match="key: expected a different key for each row"):
        CurriculumSampler([TASKS[0], TASKS[0]])
