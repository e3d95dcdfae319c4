"""The world of examples/crafting.py, its training, and the study of it in benchmarks/crafting.py."""

import importlib.util
import json
import sys
from dataclasses import replace
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))

from crafting import (
    ALGORITHMS,
    MAX_STEPS,
    PLACES,
    RECIPES,
    SIZE,
    THINGS,
    WORK,
    Player,
    Point,
    Rollout,
    Settings,
    Worlds,
    collect,
    create_curriculum,
    train,
)

NO_GOAL = len(THINGS)
"""The first goal that does not exist."""
ORDER = ["wood", "table", "wood", "pick", "stone", "wood", "stone pick", "stone", "furnace", "coal", "iron", "wood"]
ORDER += ["iron pick", "diamond"]


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


def worlds_of(goals, seed=0):
    worlds = Worlds(len(goals), num_goals=NO_GOAL + 10, seed=seed)
    worlds.begin(np.arange(len(goals)), np.array(goals))
    return worlds


def put(worlds, place):
    worlds.agents[:] = worlds.places[:, PLACES.index(place)]


def make(worlds, place):
    """What a step of work at `place` adds and takes in the first world, by name; and whether it succeeds."""
    put(worlds, place)
    before = worlds.has[0].copy()
    successes, _ = worlds.step(np.full(len(worlds.goals), WORK))
    names = np.array(THINGS)
    return set(names[worlds.has[0] & ~before]), set(names[before & ~worlds.has[0]]), bool(successes[0])


def has(worlds, things):
    worlds.has[:] = [thing in things for thing in THINGS]


@pytest.mark.parametrize("thing", THINGS)
def test_each_thing_is_made_from_what_it_needs_and_uses_it_up(thing):
    recipe = RECIPES[thing]
    worlds = worlds_of([THINGS.index(thing)])
    has(worlds, (*recipe.uses, *recipe.needs))
    assert make(worlds, recipe.place) == ({thing}, set(recipe.uses), True)


@pytest.mark.parametrize(
    ("thing", "missing"),
    [(thing, missing) for thing, recipe in RECIPES.items() for missing in (*recipe.uses, *recipe.needs)],
)
def test_it_is_not_made_if_one_of_them_is_missing(thing, missing):
    worlds = worlds_of([THINGS.index(thing)])
    has(worlds, set(THINGS) - {thing, missing})
    made, _, is_success = make(worlds, RECIPES[thing].place)
    assert thing not in made
    assert not is_success


@pytest.mark.parametrize("thing", THINGS)
def test_it_is_not_made_elsewhere_nor_twice(thing):
    recipe = RECIPES[thing]
    worlds = worlds_of([THINGS.index(thing)])
    for place in PLACES:
        has(worlds, set(THINGS) - ({thing} if place != recipe.place else set()))
        assert make(worlds, place) == (set(), set(), False)


def test_a_thing_needs_only_things_before_it():
    for number, recipe in enumerate(RECIPES.values()):
        assert {*recipe.uses, *recipe.needs} <= set(THINGS[:number])
        assert recipe.place in PLACES


@pytest.mark.parametrize("thing", THINGS)
def test_the_whole_chain_can_be_made_in_order(thing):
    worlds = worlds_of([THINGS.index(thing)])
    for step in ORDER[: ORDER.index(thing) + 1]:
        made, _, is_success = make(worlds, RECIPES[step].place)
        assert made == {step}
        assert is_success == (step == thing)


def test_moves_stay_on_the_grid_and_places_lie_apart():
    worlds = worlds_of([NO_GOAL] * 200)
    cells = np.concatenate([worlds.agents[:, None], worlds.places], axis=1) @ [SIZE, 1]
    assert all(len(set(row)) == 1 + len(PLACES) for row in cells.tolist())
    rng = np.random.default_rng(0)
    for _ in range(30):
        before = worlds.agents
        worlds.step(rng.integers(5, size=200))
        assert np.abs(worlds.agents - before).sum(axis=1).max() == 1
        assert worlds.agents.min() >= 0
        assert worlds.agents.max() < SIZE


def test_an_impossible_goal_never_succeeds_whatever_is_made():
    worlds = worlds_of([NO_GOAL, NO_GOAL + 9])
    for step in ORDER:
        assert make(worlds, RECIPES[step].place)[2] is False
    assert "diamond" in np.array(THINGS)[worlds.has[1]]


def test_an_episode_ends_with_success_or_with_the_time():
    worlds = worlds_of([0, NO_GOAL])
    put(worlds, "forest")
    successes, ends = worlds.step(np.array([WORK, WORK]))
    assert successes.tolist() == ends.tolist() == [True, False]
    for _ in range(MAX_STEPS - 2):
        successes, ends = worlds.step(np.array([0, 0]))
        assert not ends.any()
    successes, ends = worlds.step(np.array([0, 0]))
    assert ends.all()
    assert not successes.any()
    worlds.begin(np.array([1]), np.array([3]))
    assert worlds.clocks.tolist() == [MAX_STEPS, 0]
    assert worlds.goals.tolist() == [0, 3]
    assert not worlds.has[1].any()
    assert worlds.has[0].any()


def test_a_random_policy_makes_the_first_things_at_times_and_the_last_never():
    goals = np.repeat(np.arange(len(THINGS)), 200)
    worlds, rng = worlds_of(goals), np.random.default_rng(0)
    successes, is_over = np.zeros(len(goals), bool), np.zeros(len(goals), bool)
    for _ in range(MAX_STEPS):
        made, ends = worlds.step(rng.integers(5, size=len(goals)))
        successes |= made & ~is_over
        is_over |= ends
    share = dict(zip(THINGS, successes.reshape(len(THINGS), -1).mean(axis=1), strict=True))
    assert share["wood"] > share["table"] > share["pick"] > 0
    assert share["wood"] < 0.95
    assert share["iron"] == share["iron pick"] == share["diamond"] == 0


def test_what_is_seen_says_where_everything_is():
    worlds = worlds_of([7])
    put(worlds, "camp")
    has(worlds, ["wood"])
    inputs = worlds.observe()[0].tolist()
    num_places = len(PLACES)
    assert inputs[0] == 7
    ways = np.reshape(inputs[1 : 1 + 2 * num_places], (num_places, 2))
    assert np.array_equal(ways, np.sign(worlds.places[0] - worlds.agents[0]))
    assert inputs[1 + 2 * num_places :] == [place == "camp" for place in PLACES] + [
        thing == "wood" for thing in THINGS
    ] + [0]


@pytest.mark.parametrize(("useless", "num_goals"), [(0, 10), (0.5, 20), (0.9, 100)])
def test_the_share_of_useless_goals_is_as_asked(useless, num_goals):
    with create_curriculum("uniform", 0, useless) as curriculum:
        tasks = curriculum.ask(num_goals, replace=False)
    assert sorted(task.config for task in tasks) == list(range(num_goals))
    assert all((task.label == "useless") == (task.config >= NO_GOAL) for task in tasks)
    assert {task.label for task in tasks} - {"useless"} == set(THINGS)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_player_tells_each_end_once_and_asks_anew(algorithm):
    class Restless:
        def act(self, inputs, random):
            actions = torch.randint(5, (len(inputs),), generator=random)
            return actions, torch.zeros(len(inputs)), torch.zeros(len(inputs))

    with create_curriculum(algorithm, 0, 0.5) as curriculum:
        player = Player(curriculum, Worlds(16, 20, seed=0))
        random, num_ends, num_successes = torch.Generator().manual_seed(0), 0, 0
        for _ in range(4):
            rollout = collect(Restless(), player, 40, random)
            player.tell(rollout, rollout.advantages(0.99, 0.95))
            num_ends += int(rollout.ends.sum())
            num_successes += int(rollout.rewards.sum())
        stats, states = curriculum.stats(), curriculum.task_states()
    assert num_successes > 0
    assert stats["num_completed"] == num_ends
    assert stats["num_scheduled"] == num_ends + 16 == player.num_episodes.sum()
    # What was made was told to its own goal: a goal that does not exist has no success.
    assert all(state.success_ema == 0 for state in states if state.seed >= NO_GOAL)
    assert sum(state.success_ema > 0 for state in states) > 0


def test_advantages_stop_at_the_end_of_an_episode():
    column = torch.tensor
    rollout = Rollout(
        task_ids=np.zeros((3, 1), np.int64),
        last_values=column([4.0]),
        inputs=torch.zeros(3, 1, 1),
        actions=torch.zeros(3, 1),
        log_probabilities=torch.zeros(3, 1),
        values=column([[1.0], [2.0], [3.0]]),
        rewards=column([[0.0], [1.0], [0.0]]),
        ends=column([[0.0], [1.0], [0.0]]),
    )
    expected = [0.5 * 2 - 1 + 0.5 * 0.5 * (1 - 2), 1 - 2, 0.5 * 4 - 3]
    assert rollout.advantages(0.5, 0.5).flatten().tolist() == expected


def test_the_agent_learns_the_first_thing():
    with create_curriculum("uniform", 0, 0.0) as curriculum:
        *_, last = train(curriculum, 0, 50_000, Settings(num_evaluations=1))
    assert last.success[0] > 0.8
    assert last.success[-1] == 0


@pytest.fixture(scope="module")
def study():
    path = Path(__file__).parents[1] / "benchmarks" / "crafting.py"
    spec = importlib.util.spec_from_file_location("crafting_study", path)
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, spec.name, module)
        patch.setattr(sys, "path", [*sys.path, str(path.parent)])  # the last one: examples have a crafting.py, too
        spec.loader.exec_module(module)
        yield module


def test_the_study_shows_every_algorithm_and_runs_nothing_twice(study, tmp_path):
    algorithms = ("uniform", "learning-progress")
    jobs = [study.Job(algorithm, 0.5, seed, num_steps=4096) for algorithm in algorithms for seed in (0, 1)]
    (tmp_path / "runs").mkdir()
    for job in jobs:
        study.work(job, job.file(tmp_path))
    console = Console(width=80, file=StringIO())
    runs = study.run(jobs, tmp_path, console)
    assert [run.job for run in runs] == jobs
    assert "0/0" in console.file.getvalue()
    console.print(study.table(0.5, study.grouped(runs)[0.5]))
    rows = [row.split() for row in console.file.getvalue().splitlines()]
    assert [row[0] for row in rows if "2" in row] == [*algorithms]
    study.write_json(runs, tmp_path)
    figures = json.loads((tmp_path / "crafting.json").read_text(encoding="utf-8"))
    assert [run["job"]["algorithm"] for run in figures["runs"]] == [job.algorithm for job in jobs]
    study.write_png(runs, tmp_path)
    assert (tmp_path / "crafting.png").stat().st_size > 10_000


def test_a_run_is_known_by_all_that_it_follows_from(study, tmp_path):
    job = study.Job("uniform", 0.5, 0, num_steps=4096)
    others = [
        replace(job, algorithm="learnability"),
        replace(job, useless=0.9),
        replace(job, seed=1),
        replace(job, num_steps=1),
    ]
    assert len({other.file(tmp_path) for other in (job, *others)}) == 5


def test_the_area_under_a_run_is_the_mean_height_of_its_curve(study):
    points = [Point(step, [success] * 10, [3] * 15 + [1] * 5, 0.0) for step, success in ((100, 0.5), (200, 1.0))]
    run = study.Run(study.Job("uniform", 0.5, 0, 200), points)
    assert run.final == 1.0
    assert run.area == 0.5
    assert run.useless_draws == 0.4
