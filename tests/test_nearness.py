"""Discovery near what is solved: how the draws of tasks never solved are spread along the axes."""

import numpy as np
import pytest

from curricular import Curriculum, NoiseAwareConfig, bucketed, create_algorithm, merge
from curricular.algorithms.nearness import near_bins, nearness
from curricular.params import Layout
from curricular.table import EMAS, columns_of, empty_table

from .reference import distribution


def columns_of_tasks(params, solved, num_results=50):
    """Columns of tasks at `params`, shape (n, axes); solved ones always succeeded, the others never did."""
    params = np.asarray(params, float)
    table = empty_table(len(params), params.shape[1])
    rows = table.rows
    rows["params"], rows["is_active"], rows["num_completions"] = params, True, num_results
    for name in (*EMAS, "mean_square"):
        rows[name] = np.asarray(solved, float)
    return columns_of(table)


def near(params, solved):
    columns = columns_of_tasks(params, solved)
    return nearness(columns, near_bins(columns), np.asarray(solved) > 0)


def test_tasks_are_nearer_the_fewer_values_lie_between_them_and_solved_ones():
    sizes = np.array([5, 6, 8, 10, 16, 31, 45, 60])
    found = near(sizes[:, None], sizes < 7)
    assert (np.diff(found[:-1]) < 0).all()  # at an end, there are few tasks to judge by
    assert found[0] > 1 > found[-1]
    apart = np.array([5, 6, 8, 10, 20, 40, 50, 60])
    assert near(apart[:, None], sizes < 7) == pytest.approx(found)  # the values between count, not the distance


def test_each_axis_counts_whatever_its_unit_and_all_count_together():
    sizes, limits = (grid.ravel() for grid in np.meshgrid(np.arange(6), 1000.0 * np.arange(6)))
    params, solved = np.column_stack([sizes, limits]), (sizes < 2) & (limits < 2000)
    found = near(params, solved)
    both, size_only, limit_only, neither = (
        found[(sizes == size) & (limits == limit)][0] for size, limit in ((2, 2000), (2, 5000), (5, 2000), (5, 5000))
    )
    assert size_only == pytest.approx(limit_only)
    assert both > 1.5 * size_only > 1.5**2 * neither
    assert both * neither == pytest.approx(size_only * limit_only)


def test_where_nothing_or_everything_is_solved_all_are_equally_near():
    params = np.random.default_rng(0).random((50, 2))
    assert near(params, np.zeros(50)) == pytest.approx(np.ones(50))
    assert near(params, np.ones(50)) == pytest.approx(np.ones(50))


def test_inactive_tasks_and_unknown_numbers_say_nothing():
    params = np.array([[1.0], [2.0], [3.0], [4.0], [np.nan]])
    solved = np.arange(5) < 1
    columns = dict(columns_of_tasks(params, solved))
    found = nearness(columns, near_bins(columns), solved)
    assert np.isfinite(found).all()
    beside = {
        name: np.concatenate([column, column[:1]]) if len(column) == 5 else column for name, column in columns.items()
    }
    beside["is_active"] = np.arange(6) < 5
    assert nearness(beside, near_bins(beside), np.append(solved, True))[:5] == pytest.approx(found)


def test_only_the_tasks_never_solved_share_their_draws_by_nearness_and_none_is_left_out():
    sizes = np.arange(40.0)[:, None]
    columns = dict(columns_of_tasks(sizes, sizes[:, 0] < 3))
    columns["cells"] = np.empty((40, 0), np.int64)
    config = NoiseAwareConfig.recommended()
    draws, even = (
        distribution(create_algorithm(config.model_copy(update={"sharing": half})), columns) for half in (50.0, 0.0)
    )
    assert draws[:3] == pytest.approx(even[:3])
    assert even[3:] == pytest.approx(even[3])
    assert (np.diff(draws[3:12]) < 0).all()
    assert draws[3] > 5 * draws[12:].max()
    floor = (config.rand_task_rate + config.stale_task_share) / 40
    assert draws.min() > 0.99 * floor


def test_a_task_beside_mastered_ones_is_found_in_a_fraction_of_the_results():
    found = {}
    for sharing in (0.0, 50.0):
        config = NoiseAwareConfig.recommended(num_active_tasks=60, use_shared_memory=False, sharing=sharing)
        curriculum = Curriculum(config, bucketed({"size": 0}, {"size": list(range(60))}))
        drawn, rng = np.zeros(60), np.random.default_rng(1)
        for _ in range(100):
            handed = curriculum.ask(32)
            sizes = np.array([task.config["size"] for task in handed])
            drawn += np.bincount(sizes, minlength=60)
            curriculum.tell([task.task_id for task in handed], (rng.random(32) < np.where(sizes < 4, 0.98, 0.0)) * 1.0)
        found[sharing] = drawn[4:6].sum()
    assert found[50.0] > 3 * found[0.0]


def test_it_follows_the_axes_that_all_members_of_a_set_have():
    generator = bucketed(
        merge([bucketed({"a": 0}, {"a": [0, 1]}), bucketed({"b": 0}, {"b": [0, 1]})]), {"size": [1, 2, 3]}
    )
    params = generator.sample(np.arange(300), np.random.default_rng(2))
    columns = dict(columns_of_tasks(params, params[:, 0] < 1))
    columns["cells"] = Layout(generator.axes).cells(params)
    found = nearness(columns, near_bins(columns), params[:, 0] < 1)
    by_size = np.array([found[params[:, 0] == size][0] for size in (0, 1, 2)])
    assert found == pytest.approx(by_size[params[:, 0].astype(int)])
    assert found[params[:, 0] == 1][0] > found[params[:, 0] == 2][0]
