import re
from collections import deque
from dataclasses import replace
from io import StringIO
from itertools import islice, pairwise

import numpy as np
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from minigrid.core.constants import DIR_TO_VEC
from minigrid.envs import DoorKeyEnv
from minigrid.minigrid_env import MiniGridEnv
from rich.console import Console

from curricular import Curriculum, UniformConfig
from curricular.demo.figures import Figures, Point, Run, state_shares
from curricular.demo.ppo import ACTIONS, Agent, Lanes, Rollout, Settings, encode, evaluate, reset, train
from curricular.demo.report import _draw_states, table, write_json, write_png
from curricular.demo.state import SavedTraining
from curricular.demo.tasks import FAMILY, QUICK_FAMILY, EnvPool, Group, generator, learnable
from curricular.demo.views import LineView, LiveView, create_view, render

TINY = Settings(
    num_steps=256, num_lanes=4, rollout=32, hidden=16, num_evaluations=2, evaluation_episodes=1, final_episodes=2
)


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


def play(env, num_steps, rng):
    """Observations of random play, each with the actions' effects behind it."""
    observation = reset(env, seed=int(rng.integers(1000)))
    for action in rng.integers(len(ACTIONS), size=num_steps):
        yield observation
        observation, _, is_terminated, is_truncated, _ = env.step(ACTIONS[action])
        if is_terminated or is_truncated:
            observation = reset(env, seed=int(rng.integers(1000)))


# ── Tasks ────────────────────────────────────────────────────────────────────────────────────────


def test_the_family_has_ten_levels_to_learn_and_thirty_useless_ones():
    names = [level.name for level in learnable(FAMILY)]
    assert names == ["Empty 5", "Empty 6", "Empty 8", *(f"DoorKey {size}" for size in (5, 6, 7, 8, 10, 12, 16))]
    assert len(FAMILY) == len({level.name for level in FAMILY}) == 40


def test_each_level_is_one_task_labelled_with_its_group():
    curriculum = Curriculum(UniformConfig(num_active_tasks=40, use_shared_memory=False), generator(FAMILY))
    tasks = curriculum.ask(40, replace=False)
    assert {task.config for task in tasks} == set(FAMILY)
    assert all(task.label == task.config.group for task in tasks)


@pytest.mark.parametrize("level", FAMILY, ids=lambda level: level.name)
def test_quick_sight_sees_what_minigrid_shows(level):
    env = level.build()
    for observation in play(env, 150, np.random.default_rng(0)):
        expected = MiniGridEnv.gen_obs(env)
        np.testing.assert_array_equal(observation["image"], expected["image"])
        assert observation["direction"] == expected["direction"]
        assert observation["mission"] == expected["mission"]


@pytest.mark.parametrize("level", [level for level in FAMILY if level.max_steps == level.size], ids=lambda x: x.name)
def test_hardly_a_short_door_key_can_be_solved_in_time(level):
    assert level.group is Group.USELESS
    env = DoorKeyEnv(size=level.size)
    env.gen_obs = dict
    num_solvable = 0
    for seed in range(200):
        env.reset(seed=seed)
        num_solvable += not is_far(env, level.max_steps) and shortest_way(env, level.max_steps) is not None
    assert num_solvable < 2


def is_far(env, limit):
    """Whether the steps along the way, turns left out, are too many already."""
    objects = {cell.type: np.array(cell.cur_pos) for cell in env.grid.grid if cell is not None and cell.type != "wall"}
    to_key = np.abs(objects["key"] - env.agent_pos).sum() - 1
    to_door = max(np.abs(objects["key"] - objects["door"]).sum() - 2, 0)
    to_goal = np.abs(objects["goal"] - objects["door"]).sum() + 1
    return to_key + 1 + to_door + 1 + to_goal > limit


def shortest_way(env, limit):
    """Steps of the shortest solution of a door-and-key grid within `limit`, or None."""
    cells = {(x, y): env.grid.get(x, y) for x in range(env.width) for y in range(env.height)}
    where = {cell.type: place for place, cell in cells.items() if cell is not None}
    start = (int(env.agent_pos[0]), int(env.agent_pos[1])), env.agent_dir, False, False
    seen, queue = {start}, deque([(start, 0)])
    while queue:
        (place, direction, has_key, is_open), length = queue.popleft()
        if place == where["goal"]:
            return length
        if length == limit:
            continue
        ahead = tuple(int(a + b) for a, b in zip(place, DIR_TO_VEC[direction], strict=True))
        states = [(place, (direction + turn) % 4, has_key, is_open) for turn in (-1, 1)]
        states.append((place, direction, has_key or ahead == where["key"], is_open))
        states.append((place, direction, has_key, is_open or (has_key and ahead == where["door"])))
        is_free = (
            cells[ahead] is None
            or ahead == where["goal"]
            or (ahead == where["key"] and has_key)
            or (ahead == where["door"] and is_open)
        )
        if is_free:
            states.append((ahead, direction, has_key, is_open))
        fresh = set(states) - seen
        seen |= fresh
        queue.extend((state, length + 1) for state in fresh)
    return None


def test_a_pool_gives_back_what_was_put():
    pool = EnvPool()
    env = pool.take(FAMILY[0])
    assert pool.take(FAMILY[0]) is not env
    pool.put(FAMILY[0], env)
    assert pool.take(FAMILY[0]) is env


# ── PPO ──────────────────────────────────────────────────────────────────────────────────────────


def curriculum_of(levels, seed=0):
    config = UniformConfig(num_active_tasks=len(levels), seed=seed, use_shared_memory=False)
    return Curriculum(config, generator(levels))


def test_every_input_has_its_own_range_of_the_one_hot_code():
    observations = list(play(FAMILY[3].build(), 50, np.random.default_rng(0)))
    inputs = encode(observations)
    num_kinds = Agent(hidden=2).first.num_embeddings // 50
    assert inputs.shape == (50, 50)
    assert (inputs // num_kinds == torch.arange(50)).all()


def test_lanes_tell_each_end_and_go_on_with_another_task():
    curriculum = curriculum_of(QUICK_FAMILY)
    lanes = Lanes(curriculum, EnvPool(), num_lanes=4, seed=0)
    rng = np.random.default_rng(0)
    num_ends = sum(lanes.step(rng.integers(5, size=4).tolist())[1].sum().item() for _ in range(300))
    stats = curriculum.stats()
    assert num_ends == stats["num_completed"] > 0
    assert lanes.draws.total() == stats["num_scheduled"] == num_ends + 4
    assert lanes.steps.total() == 1200


def test_success_is_a_reached_goal():
    level = FAMILY[0]  # Empty 5: two steps forward, right, two steps forward
    curriculum = curriculum_of((level,))
    lanes = Lanes(curriculum, EnvPool(), num_lanes=1, seed=0)
    forward, right = ACTIONS.index(2), ACTIONS.index(1)
    rewards, ends = zip(*(lanes.step([action]) for action in (forward, forward, right, forward, forward)), strict=True)
    assert [end.item() for end in ends] == [0, 0, 0, 0, 1]
    assert rewards[-1].item() > 0
    assert lanes.successes == {"Empty 5": 1}
    assert curriculum.task_states()[0].last_score == 1


def test_advantages_are_the_discounted_sums_of_errors_within_an_episode():
    rewards, values, ends = torch.tensor([[0.0], [1.0], [0.5]]), torch.tensor([[0.1], [0.2], [0.3]]), torch.zeros(3, 1)
    ends[1] = 1
    nothing = torch.zeros(3, 1)
    rollout = Rollout(torch.tensor([0.4]), nothing, nothing, nothing, values, rewards, ends)
    last = 0.5 + 0.9 * 0.4 - 0.3
    second = 1 - 0.2
    first = 0.9 * 0.2 - 0.1 + 0.9 * 0.8 * second
    torch.testing.assert_close(rollout.advantages(0.9, 0.8), torch.tensor([[first], [second], [last]]))


def test_an_evaluation_can_be_repeated_and_disturbs_nothing():
    agent, pool = Agent(hidden=8), EnvPool()
    state = torch.get_rng_state()
    results = [evaluate(agent, learnable(QUICK_FAMILY), 3, pool, seed=5) for _ in range(2)]
    assert results[0] == results[1]
    assert list(results[0]) == [level.name for level in learnable(QUICK_FAMILY)]
    assert torch.equal(state, torch.get_rng_state())


def test_training_goes_on_to_the_last_step_and_can_be_repeated():
    def run():
        points = train(curriculum_of(QUICK_FAMILY), learnable(QUICK_FAMILY), 3, TINY)
        return [point.model_copy(update={"cpu_seconds": 0, "wall_seconds": 0}) for point in points]

    points = run()
    assert points == run()
    assert [point.step for point in points] == [128, 256]
    assert all(point.evaluation is not None and 0 <= point.mean_success <= 1 for point in points)
    assert sum(points[-1].steps.values()) == 256
    assert sum(points[0].states.values()) == pytest.approx(1.0)


def test_a_training_that_is_cut_off_goes_on_from_its_last_evaluation(tmp_path):
    config = UniformConfig(num_active_tasks=len(QUICK_FAMILY), use_shared_memory=False)
    settings = replace(TINY, num_steps=1280, num_evaluations=5)

    def begin():
        saved = SavedTraining(tmp_path, "cut off")
        return train(saved.curriculum(config, QUICK_FAMILY), learnable(QUICK_FAMILY), 0, settings, saved)

    before = list(islice(begin(), 5))
    points = [*before[:4], *begin()]
    assert [point.step for point in points] == [128 * number for number in range(1, 11)]
    assert [point.evaluation is not None for point in points] == 5 * [False, True]
    assert [point.states is not None for point in points] == 5 * [False, True]
    for first, second in pairwise(points):  # counts continue; none is lost or counted twice
        assert sum(second.steps.values()) - sum(first.steps.values()) == 128
        assert all(second.draws[level] >= count for level, count in first.draws.items())
        assert second.cpu_seconds > first.cpu_seconds


def test_an_agent_learns_to_cross_an_empty_room():
    levels = (replace(FAMILY[0], max_steps=20),)  # four times what it takes, which chance finds in one of six episodes
    settings = replace(TINY, num_steps=12_288, num_lanes=16, hidden=32, num_evaluations=2, final_episodes=50)
    *_, last = train(curriculum_of(levels), levels, 0, settings)
    assert last.mean_success > 0.7


# ── Views and report ─────────────────────────────────────────────────────────────────────────────


def point(step, success, draws=(40, 30, 30)):
    counts = dict(zip(("Empty 5", "DoorKey 16", "LockedRoom 13"), draws, strict=True))
    evaluation = {"Empty 5": 1.0, "DoorKey 16": 2 * success - 1}
    return Point(step=step, draws=counts, successes={}, steps={}, evaluation=evaluation, cpu_seconds=1, wall_seconds=1)


def figures(**runs):
    return Figures(
        status="complete",
        num_steps=100,
        settings={},
        versions={},
        num_processes=2,
        wall_seconds=1,
        groups={"Empty 5": "Empty", "DoorKey 16": "DoorKey 8-16", "LockedRoom 13": "useless"},
        learnable=["Empty 5", "DoorKey 16"],
        max_steps={},
        runs=[
            Run(algorithm=algorithm, seed=seed, curriculum={}, points=points)
            for algorithm, seeds in runs.items()
            for seed, points in enumerate(seeds)
        ],
    )


TWO_ARMS = figures(
    uniform=[[point(50, 0.5), point(100, 0.6)]],
    progress=[[point(50, 0.9), point(100, 1.0, (50, 110, 40))], [point(50, 0.6), point(100, 0.95)]],
)
NOTHING_YET = figures(uniform=[[]], progress=[[], []])


def shown(renderable, width=80):
    console = Console(file=StringIO(), width=width)
    console.print(renderable)
    return console.file.getvalue()


def test_a_run_tells_when_it_had_learned_and_where_its_draws_went():
    run = TWO_ARMS.runs[1]
    assert run.steps_to_solved == 50
    assert run.final_success == 1
    assert TWO_ARMS.runs[0].steps_to_solved is None
    assert run.group_success(TWO_ARMS.groups) == {"Empty": 1, "DoorKey 8-16": 1}
    assert run.draw_shares(TWO_ARMS.groups)[0] == {"Empty": 0.4, "DoorKey 8-16": 0.3, "useless": 0.3}


def test_draws_are_counted_by_how_the_run_stands_with_a_level():
    before = {"a": 10, "b": 10, "c": 10, "d": 10}, {"a": 3, "b": 1, "c": 1}
    now = {"a": 50, "b": 30, "c": 20, "d": 40}, {"a": 42, "b": 1, "c": 5}
    found = state_shares(*now, before)
    assert found == pytest.approx({"mastered": 0.4, "once solved": 0.2, "learning": 0.1, "never solved": 0.3})
    assert sum(state_shares(*before, before).values()) == 0.0


def test_the_table_has_a_column_for_each_arm():
    lines = shown(table(TWO_ARMS)).splitlines()
    assert max(map(len, lines)) <= 80
    rows = dict(re.split(r"\s{2,}", line.strip(), maxsplit=1) for line in lines if "  " in line.strip())
    assert re.split(r"\s{2,}", rows["mean"]) == ["0.60", "0.97 (0.95 to 1.00)"]
    assert re.split(r"\s{2,}", rows["seeds that end at 0.9 or above"]) == ["0 of 1", "2 of 2"]
    assert re.split(r"\s{2,}", rows["steps to 0.9"]) == ["never", "75"]


def test_figures_survive_the_file(tmp_path):
    path = write_json(TWO_ARMS, tmp_path)
    assert Figures.model_validate_json(path.read_text(encoding="utf-8")) == TWO_ARMS
    assert [file.name for file in tmp_path.iterdir()] == ["demo.json"]


@pytest.mark.parametrize("drawn", [TWO_ARMS, figures(uniform=[[point(50, 0.5)]], progress=[[], [point(50, 0.9)]])])
def test_the_picture_is_a_png(tmp_path, drawn):
    assert write_png(drawn, tmp_path).read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("first_choice", [50, 450])
def test_the_text_at_the_first_choice_fits_into_the_picture(first_choice):
    states = {True: {"never solved": 0.9, "learning": 0.1}, False: {"never solved": 0.2, "learning": 0.8}}
    points = [
        point(step, 0.5).model_copy(update={"states": states[step <= first_choice]}) for step in range(50, 501, 50)
    ]
    figure = Figure(figsize=(4, 2))
    canvas, axes = FigureCanvasAgg(figure), figure.add_subplot()
    _draw_states(axes, [Run(algorithm="progress", seed=0, curriculum={}, points=points)])
    canvas.draw()
    (text,) = (text for text in axes.texts if "enough results" in text.get_text())
    inside, whole = text.get_window_extent(), axes.get_window_extent()
    assert whole.x0 <= inside.x0 < inside.x1 <= whole.x1


@pytest.mark.parametrize("now", [TWO_ARMS, NOTHING_YET])
def test_the_live_view_fits_a_terminal(now):
    lines = shown(render(now, [50] * len(now.runs))).splitlines()
    assert max(map(len, lines)) <= 80
    assert sum("seed" in line for line in lines) == 3
    assert any("D16" in line for line in lines)


def test_the_view_suits_the_console():
    console = Console(file=StringIO(), force_terminal=False)
    with create_view(console, NOTHING_YET) as view:
        assert isinstance(view, LineView)
        view.show(TWO_ARMS, 1, TWO_ARMS.runs[1].points[-1])
    assert console.file.getvalue() == (
        "progress, seed 0: 100 steps, success 1.00, draws: Empty 10%, DoorKey 8-16 80%, useless 10%\n"
    )
    with create_view(Console(file=StringIO(), force_terminal=True), NOTHING_YET) as view:
        assert isinstance(view, LiveView)
        view.show(TWO_ARMS, 1, TWO_ARMS.runs[1].points[-1])
