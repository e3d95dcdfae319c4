import io
import json
import math
import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from rich.console import Console
from typer.testing import CliRunner

from curricular import Curriculum, LearnabilityConfig, LearningProgressConfig, NoiseAwareConfig, UniformConfig, cli
from curricular.algorithms.noise_aware import NoiseAwareAlgorithm
from curricular.bench import algorithms, report, run, tables
from curricular.bench.figures import Figures, Outcome, speedup
from curricular.bench.learners import SCENARIOS, SCORED, Uniform, play, ratio_runs
from curricular.bench.plan import Job, count_processes, create_plan
from curricular.bench.teacher import CurriculumTeacher, PoolTasks
from curricular.table import columns_of

SHORT = {"speed": 30.0}
"""A thirtieth of the steps."""


def small_plan(**options):
    return create_plan(
        ["learning-progress"], ["chain", "reset", "no-harm-50", "nothing"], num_seeds=2, **SHORT, **options
    )


def bench(plan, out):
    return run.bench(plan, out, Console(quiet=True), num_processes=1)


@pytest.fixture(scope="module")
def figures(tmp_path_factory):
    out = tmp_path_factory.mktemp("bench")
    return out, bench(small_plan(), out)


def test_a_teacher_asks_and_tells_about_the_tasks_of_its_world():
    world = SCENARIOS["chain"].build(0, speed=10.0)
    teacher = CurriculumTeacher(world, algorithms.find("uniform"))
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
    teacher = CurriculumTeacher(world, small_pool)
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
    assert play(again, CurriculumTeacher(again, small_pool)).auc > 0


def test_a_uniform_curriculum_scores_as_uniform_draws_do():
    worlds = [SCENARIOS["no-harm-50"].build(seed) for seed in (0, 2)]
    again = [SCENARIOS["no-harm-50"].build(seed) for seed in (0, 2)]
    taught = np.mean([play(world, CurriculumTeacher(world, UniformConfig)).auc for world in worlds])
    assert taught == pytest.approx(np.mean([play(world, Uniform(world)).auc for world in again]), rel=0.01)


def test_axes_and_params_reach_the_curriculum():
    pool = SCENARIOS["axes"].build(0).pool
    tasks = PoolTasks(pool)
    assert [axis.name for axis in tasks.axes] == ["axis 0", "axis 1", "axis 2"]
    assert (tasks.sample(np.array([7, 3]), np.random.default_rng(0)) == pool.params[[7, 3]]).all()
    assert tasks.label_of(7, pool.params[7]) == str(int(pool.params[7, 0]))


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
    assert "mean" not in summary["uniform"]  # of 1-8, which are not all there
    assert summary["uniform"]["no_harm"]["9a no-harm-50"] == [1.0, 1.0, 1.0]
    assert set(summary["learning-progress"]["scores"]) == {"1 chain", "6 reset"}
    assert summary["uniform"]["evenness"]["0 nothing"] == [1.0, 1.0, 1.0]
    lines = (out / "bench.md").read_text().splitlines()
    assert lines[0] == "| scenario | uniform | learning-progress |"
    assert lines[2].startswith("| 1 chain | 0.00 (0.00 to 0.00) | ")
    for name in ("curves", "draws-uniform", "draws-learning-progress"):
        assert (out / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    assert not list(out.glob("*.part"))


def made_up(names, scenarios, aucs):
    """Figures of one seed with these areas."""
    outcome = dict(run.play_job(Job("uniform", "chain", 0, 0, 100.0)))
    return Figures(
        algorithms=names,
        worlds=[(scenario, 0) for scenario in scenarios],
        seeds=[0],
        versions={},
        wall_seconds=1.0,
        cpu_seconds={},
        outcomes=[
            Outcome(**(outcome | {"algorithm": name, "scenario": scenario, "auc": auc}))
            for name, auc in aucs.items()
            for scenario in scenarios
        ],
    )


def test_the_mean_is_of_all_eight_scenarios():
    aucs = {"uniform": 0.1, "oracle": 0.9, "stable": 0.5, "unidirectional": 0.25}
    figures = made_up(["uniform", "stable"], SCORED, aucs)
    assert figures.summary()["stable"]["over_unidirectional"] == {"7 forgetting": [2.0, 2.0, 2.0]}
    assert figures.summary()["stable"]["mean"] == pytest.approx([0.5, 0.5, 0.5])
    assert tables.rows(figures)[0][1] == ("worst of 1-8", ["0.00 (0.00 to 0.00)", "0.50 (0.50 to 0.50)"])


def test_the_printed_table_is_as_wide_as_the_terminal(figures):
    _, here = figures
    for width, num_parts in ((60, 2), (80, 1)):
        console = Console(width=width, record=True, quiet=False, file=io.StringIO())
        tables.print_table(here, console)
        printed = console.export_text()
        assert printed.count("1 chain") == num_parts
        assert printed.count("0.00 (0.00 to 0.00)") == 2  # uniform in `chain` and `reset`
        assert max(map(len, printed.splitlines())) <= width


def test_a_picture_of_one_scenario_holds_its_heading_and_legend():
    names = ["uniform", "learning-progress", "learnability", "level-replay-max-mc", "stable"]
    picture = report.draw_curves(made_up(names, ["chain"], dict.fromkeys([*names, "oracle"], 0.5)))
    FigureCanvasAgg(picture).draw()
    width, height = picture.canvas.get_width_height()
    for text in (*picture.texts, *picture.legends):
        box = text.get_window_extent()
        assert min(box.x0, box.y0) >= 0
        assert box.x1 <= width
        assert box.y1 <= height


def test_an_algorithm_for_comparison_plays_where_it_says_something():
    assert algorithms.comparisons(["uniform"], "axes") == ["noise-aware-unpooled"]
    assert algorithms.comparisons(["uniform"], "forgetting") == ["unidirectional"]
    assert algorithms.comparisons(["uniform"], "chain") == []
    plan = create_plan(["stable", "stable+cost"], ["cost", "chain"], num_seeds=1, **SHORT)
    played = [(job.scenario, job.algorithm) for job in plan.jobs]
    assert len(played) == len(set(played))
    assert ("cost", "uniform+cost") in played
    assert ("chain", "uniform+cost") not in played


def test_told_costs_cheap_tasks_are_drawn_more_often():
    figures = run.measure(
        create_plan(["uniform"], ["cost"], num_seeds=1, speed=4.0), Console(quiet=True), num_processes=1
    )
    (told,) = figures.summary()["uniform"]["told_costs"].values()
    assert told[0] > 0
    world = SCENARIOS["cost"].build(0, speed=4.0)
    teacher = run.create_teacher("uniform+cost", world)
    numbers = np.concatenate([teacher.ask(32) for _ in range(100)])
    assert world.pool.costs[numbers].mean() < 0.5 * world.pool.costs.mean()


def test_a_suffix_that_changes_nothing_changes_nothing():
    plain, told = (run.play_job(Job(name, "chain", 0, 0, 30.0)) for name in ("stable", "stable+cost"))
    assert plain.curve == told.curve


def test_the_gain_is_compared_with_that_of_tasks_that_share_nothing():
    wanted = create_plan(["noise-aware"], ["axes"], num_seeds=1)
    assert [job.algorithm for job in wanted.jobs] == ["oracle", "uniform", "noise-aware", "noise-aware-unpooled"]
    aucs = {"uniform": 0.1, "oracle": 0.9, "noise-aware": 0.5, "noise-aware-unpooled": 0.2}
    summary = made_up(["uniform", "noise-aware"], ["axes"], aucs).summary()
    assert summary["uniform"]["over_unpooled"] == {"10 axes": [0.0, 0.0, 0.0]}
    assert summary["noise-aware"]["over_unpooled"]["10 axes"] == pytest.approx([4.0, 4.0, 4.0])


def test_a_gain_is_compared_only_with_one_that_is_clearly_above_zero():
    aucs = {"uniform": 0.1, "oracle": 0.9, "noise-aware": 0.5, "noise-aware-unpooled": 0.1}
    figures = made_up(["uniform", "noise-aware"], ["axes"], aucs)
    assert figures.summary()["noise-aware"]["over_unpooled"] == {"10 axes": None}
    assert tables.rows(figures)[-1][0] == ("10 axes: gain / unpooled", ["–", "–"])
    assert np.isnan(ratio_runs([[[1.0, 2.0]]], [[-0.1, 3.0]]).estimate).all()


def test_the_table_says_where_the_draws_went_among_useless_tasks():
    plan = create_plan(["stable"], ["mixture", "frontier"], num_seeds=1, **SHORT)
    figures = run.measure(plan, Console(quiet=True), num_processes=1)
    found = figures.summary()["uniform"]
    assert found["draws_noise"]["15 mixture"][0] == pytest.approx(60 / 180, abs=0.02)
    assert found["draws_easy"]["15 mixture"][0] == pytest.approx(60 / 180, abs=0.02)
    assert found["draws_mastered"]["16 frontier"][0] == pytest.approx(3 / 50, abs=0.02)
    assert 1 / 50 < found["draws_top_fluke"]["16 frontier"][0] < 0.05
    headings = [heading for heading, _ in tables.rows(figures)[-1]]
    assert headings[-1] == "16 frontier: draws on the most drawn fluke"


def test_a_fixed_rate_is_the_only_one_that_counts():
    config = algorithms.find("noise-aware@0.04")(num_active_tasks=8, seed=0, use_shared_memory=False)
    assert config.rates[:2] == pytest.approx((0.04, 0.01))
    curriculum = Curriculum(config)
    ids = np.repeat(np.arange(8), 20)
    curriculum.tell(ids, np.random.default_rng(0).random(160) < 0.5)
    columns = columns_of(curriculum.tracker.snapshot())
    other = dict(columns) | {"middle_ema_2": 1.0 - columns["middle_ema_2"], "middle_ema_3": columns["middle_ema_3"] / 2}
    assert (curriculum.algorithm.priorities(columns) == curriculum.algorithm.priorities(other)).all()
    adaptive = NoiseAwareAlgorithm(NoiseAwareConfig.recommended(num_active_tasks=8))
    assert (adaptive.priorities(columns) != adaptive.priorities(other)).any()


def test_a_plan_plays_everybody_in_the_same_worlds_with_even_seeds():
    plan = small_plan(variations=[0, 2])
    assert plan.seeds == (0, 2)
    assert plan.algorithms == ("uniform", "learning-progress")
    worlds = {(job.scenario, job.variation, job.seed) for job in plan.jobs}
    assert len(plan.jobs) == 3 * len(worlds) == 3 * 4 * 2 * 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"algorithms": ["guess"]}, "algorithms: expected one of exp3s.*got 'guess'"),
        ({"algorithms": ["noise-aware@fast"]}, "algorithms: expected a rate from 0.001 to 0.9.*got 'noise-aware@fast'"),
        ({"algorithms": ["noise-aware@7"]}, "algorithms: expected a rate from 0.001 to 0.9.*got 'noise-aware@7'"),
        ({"algorithms": ["json"]}, "algorithms: expected one of exp3s.*got 'json'"),
        ({"algorithms": [":loud"]}, "algorithms: expected one of exp3s.*got ':loud'"),
        (
            {"algorithms": ["nowhere:loud"]},
            "algorithms: expected module:name of a function.*got 'nowhere:loud' .*PYTHONPATH",
        ),
        ({"algorithms": ["thompson@0.1"]}, "algorithms: expected one of exp3s.*got 'thompson@0.1'"),
        ({"algorithms": ["json:loud"]}, "algorithms: .*got 'json:loud'"),
        ({"algorithms": ["uniform", "uniform"]}, "algorithms: expected at least one, each once"),
        ({"scenarios": ["maze"]}, "scenarios: expected one of chain.*got 'maze'"),
        ({"num_seeds": 0}, "seeds: expected 1 or more, got 0"),
        ({"variations": [4]}, "variations: expected 0 to 3, got 4"),
        ({"speed": 0.0}, "speed: expected a factor above 0"),
        ({"speed": math.inf}, "speed: expected a factor above 0, at most 100, got inf"),
        ({"speed": math.nan}, "speed: expected a factor above 0, at most 100, got nan"),
    ],
)
def test_a_wrong_plan_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        create_plan(**arguments)


def test_a_number_of_processes_below_one_is_refused():
    assert count_processes(3) == 3
    assert count_processes(None) >= 1
    for number in (0, -1):
        with pytest.raises(ValueError, match=f"jobs: expected 1 or more processes, got {number}"):
            run.measure(small_plan(), Console(quiet=True), num_processes=number)


def test_an_algorithm_of_ones_own_takes_part(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(
        "from curricular import LearningProgressAlgorithm, LearningProgressConfig\n"
        "def chosen(**pool):\n"
        "    config = LearningProgressConfig.default(theta=0.5, **pool)\n"
        "    return config, LearningProgressAlgorithm(config)\n"
        "def wrong(**pool):\n"
        "    return 7\n"
        "def narrow(num_active_tasks):\n"
        "    return LearningProgressConfig(num_active_tasks=num_active_tasks)\n"
        "def odd(**pool):\n"
        "    return LearningProgressConfig.default(theta=-5.0, **pool)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "mine", raising=False)
    wanted = create_plan(["mine:chosen", "curricular:LearningProgressConfig.stable"], ["chain"], num_seeds=1, **SHORT)
    figures = bench(wanted, tmp_path / "out")
    assert figures.algorithms[1:] == ["mine:chosen", "curricular:LearningProgressConfig.stable"]
    with pytest.raises(TypeError, match=r"factory: expected it to return a CurriculumConfig.*got 7"):
        CurriculumTeacher(SCENARIOS["chain"].build(0), algorithms.find("mine:wrong"))
    arguments = ["--scenarios", "chain", "--seeds", "1", "--speed", "30", "--out", str(tmp_path / "out")]
    for jobs, name, reason in (
        ("2", "mine:wrong", "TypeError: factory: expected it to return"),
        ("1", "mine:narrow", "TypeError: narrow() got an unexpected keyword argument"),
        ("1", "mine:odd", "ValidationError: 1 validation error"),
    ):
        done = CliRunner().invoke(cli.app, ["bench", "--algorithms", name, "--jobs", jobs, *arguments])
        assert done.exit_code == 2
        (line,) = done.stderr.splitlines()
        assert line.startswith("error: algorithms: expected a function of num_active_tasks, seed and use_shared_memory")
        assert f"got '{name}' ({reason}" in line


def test_prompts_are_asked_for_with_tickets_told_in_groups_and_expire_when_lost():
    world = SCENARIOS["post-training"].build(0, speed=20.0)
    teacher = run.create_teacher("thompson-prompts+profile", world)
    result = play(world, teacher)
    stats = teacher._curriculum.stats()
    assert stats["num_scheduled"] == stats["num_completed"] + stats["num_cancelled"] + stats["num_open"]
    assert stats["cancelled/expired"] / stats["num_scheduled"] == pytest.approx(0.1, abs=0.03)
    assert stats["num_unknown"] == stats["num_repeated"] == 0
    assert sum(state.num_completions for state in teacher._curriculum.task_states()) == 8 * stats["num_completed"]
    assert teacher._curriculum.config.prior_axis == 1
    assert result.final > 0.5


def test_a_choice_by_the_known_rates_beats_uniform_draws_after_an_epoch(tmp_path):
    wanted = create_plan(["thompson-prompts+profile", "exact-epochs"], ["post-training"], num_seeds=1, speed=10.0)
    figures = bench(wanted, tmp_path)
    speedups = {name: column["speedup"]["17a post-training"][0] for name, column in figures.summary().items()}
    assert speedups["uniform"] == 1.0
    assert speedups["thompson-prompts+profile"] > 1.1
    assert 0.9 < speedups["exact-epochs"] < 1.1
    assert "speed-up over uniform" in (tmp_path / "bench.md").read_text()


def test_an_algorithm_that_harms_has_a_speed_up_below_one():
    assert speedup(np.array([0.0, 0.5, 1.0]), np.array([0.0, 1.0, 2.0])) == 0.5


def test_every_algorithm_makes_a_curriculum():
    world = SCENARIOS["chain"].build(0, speed=50.0)
    for factory in algorithms.ALGORITHMS.values():
        assert CurriculumTeacher(world, factory).ask(5).shape == (5,)


def test_every_algorithm_and_scenario_is_in_the_documentation():
    page = (Path(__file__).parents[1] / "docs" / "proving-ground.md").read_text()
    assert [name for name in algorithms.ALGORITHMS if f"`{name}`" not in page] == []
    assert [name for name in SCENARIOS if f"`{name}`" not in page and f"`{name[7:]}`" not in page] == []


def test_unidirectional_sees_improvement_only():
    config, algorithm = algorithms.unidirectional(num_active_tasks=2, seed=0, use_shared_memory=False)
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
    assert "variations: expected comma-separated whole numbers, got 'one'" in result.output
