import json
import sys

import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

from curricular import LearnabilityConfig, LearningProgressConfig, UniformConfig, cli
from curricular.bench import arms, run
from curricular.bench.figures import Figures
from curricular.bench.teacher import PoolTasks, Teacher
from curricular.learners import SCENARIOS, Uniform, play

SHORT = {"speed": 30.0}
"""A thirtieth of the steps."""


def small_plan(**options):
    return run.plan(["learning-progress"], ["chain", "reset", "no-harm-50", "nothing"], num_seeds=2, **SHORT, **options)


def bench(plan, out):
    return run.bench(plan, out, Console(quiet=True), num_processes=1)


@pytest.fixture(scope="module")
def figures(tmp_path_factory):
    out = tmp_path_factory.mktemp("bench")
    return out, bench(small_plan(), out)


def test_a_teacher_asks_and_tells_about_the_tasks_of_its_world():
    world = SCENARIOS["chain"].build(0, speed=10.0)
    teacher = Teacher(world, arms.find("uniform"))
    ids = teacher.ask(200)
    assert set(ids.tolist()) == set(range(world.pool.num_tasks))
    teacher.tell(ids, (ids == 3).astype(float))
    states = {state.seed: state for state in teacher._curriculum.task_states()}
    assert [seed for seed, state in states.items() if state.slow_ema > 0.5] == [3]
    assert sum(state.num_completions for state in states.values()) == 200


def small_pool(*, num_active_tasks, **pool):
    return LearnabilityConfig(
        num_active_tasks=num_active_tasks // 4,
        eviction_rate=0.5,
        min_presentations_for_eviction=1,
        eviction_threshold_percentile=1.0,
        **pool,
    )


def test_results_find_their_tasks_in_a_pool_smaller_than_the_world():
    world = SCENARIOS["impossible"].build(0)
    teacher = Teacher(world, small_pool)
    played = set()
    for _ in range(100):
        numbers = teacher.ask(32)
        teacher.tell(numbers, numbers % 3 / 2)
        played |= set(numbers.tolist())
        for state in teacher._curriculum.task_states():
            assert state.num_completions == state.num_scheduled
            assert state.num_completions == 0 or state.last_score == state.seed % 3 / 2
    stats = teacher._curriculum.stats()
    assert played == set(range(world.pool.num_tasks))
    assert stats["num_evicted"] > 500
    assert stats["num_completed"] == 3200
    assert stats["num_stale"] == stats["num_unsolicited"] == 0
    again = SCENARIOS["impossible"].build(0, speed=10.0)
    assert play(again, Teacher(again, small_pool)).auc > 0


def test_a_uniform_curriculum_scores_as_uniform_draws_do():
    worlds = [SCENARIOS["no-harm-50"].build(seed) for seed in (0, 2)]
    again = [SCENARIOS["no-harm-50"].build(seed) for seed in (0, 2)]
    taught = np.mean([play(world, Teacher(world, UniformConfig)).auc for world in worlds])
    assert taught == pytest.approx(np.mean([play(world, Uniform(world)).auc for world in again]), rel=0.01)


def test_axes_and_params_reach_the_curriculum():
    pool = SCENARIOS["axes"].build(0).pool
    tasks = PoolTasks(pool)
    assert [axis.name for axis in tasks.axes] == ["axis 0", "axis 1", "axis 2"]
    assert (tasks.sample(np.array([7, 3]), np.random.default_rng(0)) == pool.params[[7, 3]]).all()
    assert tasks.label(7, pool.params[7]) == str(int(pool.params[7, 0]))


def test_the_bench_is_the_same_in_any_number_of_processes(figures, tmp_path):
    _, here = figures
    wanted = small_plan()
    there = run.bench(wanted, tmp_path, Console(quiet=True), num_processes=2)
    assert there.outcomes == here.outcomes


def test_the_files_are_left_and_can_be_read(figures):
    out, here = figures
    content = json.loads((out / "bench.json").read_text())
    summary = content.pop("summary")
    assert Figures.model_validate(content) == here
    assert summary["uniform"]["mean"] == [0.0, 0.0, 0.0]
    assert summary["uniform"]["no_harm"]["9a no-harm-50"] == [1.0, 1.0, 1.0]
    assert set(summary["learning-progress"]["scores"]) == {"1 chain", "6 reset"}
    assert summary["uniform"]["evenness"]["0 nothing"] == 1.0
    for name in ("curves", "draws-uniform", "draws-learning-progress"):
        assert (out / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    assert not list(out.glob("*.part"))


def test_a_plan_plays_everybody_in_the_same_worlds_with_even_seeds():
    plan = small_plan(variations=[0, 2])
    assert plan.seeds == (0, 2)
    assert plan.algorithms == ("uniform", "learning-progress")
    worlds = {(job.scenario, job.variation, job.seed) for job in plan.jobs}
    assert len(plan.jobs) == 3 * len(worlds) == 3 * 4 * 2 * 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"algorithms": ["guess"]}, "algorithms: expected one of uniform.*got 'guess'"),
        ({"algorithms": ["json:loud"]}, "algorithms: .*got 'json:loud'"),
        ({"algorithms": ["uniform", "uniform"]}, "algorithms: expected at least one, each once"),
        ({"scenarios": ["maze"]}, "scenarios: expected names out of chain.*got 'maze'"),
        ({"num_seeds": 0}, "seeds: expected 1 or more, got 0"),
        ({"variations": [4]}, "variations: expected 0 to 3, got 4"),
        ({"speed": 0.0}, "speed: expected a factor above 0"),
    ],
)
def test_a_wrong_plan_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        run.plan(**arguments)


def test_an_algorithm_of_ones_own_takes_part(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(
        "from curricular import LearningProgressAlgorithm, LearningProgressConfig\n"
        "def chosen(**pool):\n"
        "    config = LearningProgressConfig.default(theta=0.5, **pool)\n"
        "    return config, LearningProgressAlgorithm(config)\n"
        "def wrong(**pool):\n"
        "    return 7\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "mine", raising=False)
    wanted = run.plan(["mine:chosen", "curricular:LearningProgressConfig.stable"], ["chain"], num_seeds=1, **SHORT)
    figures = bench(wanted, tmp_path / "out")
    assert figures.algorithms[1:] == ["mine:chosen", "curricular:LearningProgressConfig.stable"]
    with pytest.raises(TypeError, match=r"factory: expected it to return a CurriculumConfig.*got 7"):
        Teacher(SCENARIOS["chain"].build(0), arms.find("mine:wrong"))


def test_every_arm_makes_a_curriculum():
    world = SCENARIOS["chain"].build(0, speed=50.0)
    for factory in arms.ARMS.values():
        assert Teacher(world, factory).ask(5).shape == (5,)


def test_unidirectional_sees_improvement_only():
    config, algorithm = arms.unidirectional(num_active_tasks=2, seed=0, use_shared_memory=False)
    assert isinstance(config, LearningProgressConfig)
    columns = {
        "fast_ema": np.array([0.9, 0.1]),
        "slow_ema": np.array([0.1, 0.9]),
        "num_completions": np.array([50, 50]),
    }
    up, down = algorithm.learning_progress(columns)
    assert up > 0
    assert down == 0


def test_the_command_runs_and_names_what_is_wrong(tmp_path):
    runner = CliRunner()
    arguments = [
        "bench",
        "--scenarios",
        "chain",
        "--seeds",
        "1",
        "--speed",
        "30",
        "--jobs",
        "1",
        "--out",
        str(tmp_path),
    ]
    result = runner.invoke(cli.app, [*arguments, "--algorithms", "stable"])
    assert result.exit_code == 0, result.output
    assert "1 chain" in result.output
    result = runner.invoke(cli.app, [*arguments, "--variations", "one"])
    assert result.exit_code == 2
    assert "variations: expected whole numbers with commas, got 'one'" in result.output
