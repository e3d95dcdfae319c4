"""The memo of a function of rows: the same results, for fewer rows."""

import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from curricular.algorithms.memo import SMALL, Memo, RowMemo


def squares_and_sums(columns):
    return columns["a"] * columns["a"], columns["a"] + columns["b"]


class Counting:
    """Counts the rows for which it is called."""

    def __init__(self):
        self.num_rows = 0

    def __call__(self, columns):
        self.num_rows += len(columns["a"])
        return squares_and_sums(columns)


def columns_of(num_rows, seed=0):
    rng = np.random.default_rng(seed)
    return {"a": rng.random(num_rows), "b": rng.integers(9, size=num_rows), "c": rng.random(num_rows)}


def same(found, expected):
    return [column.tobytes() for column in found] == [column.tobytes() for column in expected]


@pytest.mark.parametrize("num_rows", [1, SMALL, SMALL + 1, 3 * SMALL + 5])
def test_results_are_those_of_the_function_whatever_changes(num_rows):
    rng, columns, memo = np.random.default_rng(1), columns_of(num_rows), RowMemo(squares_and_sums, ("a", "b"))
    for num_changed in (num_rows, 0, 1, num_rows // 3, num_rows, 2):
        rows = rng.integers(num_rows, size=num_changed)
        columns["a"][rows], columns["b"][rows[::2]] = rng.random(num_changed), -1
        assert same(memo(columns), squares_and_sums(columns))


def test_only_rows_that_changed_are_computed():
    fn, columns = Counting(), columns_of(2 * SMALL)
    memo = RowMemo(fn, ("a", "b"))
    memo(columns)
    assert fn.num_rows == 2 * SMALL
    columns["a"][[3, 99]] += 1.0
    columns["b"][[99, SMALL]] += 1
    columns["c"][:] = 0.0  # which the function does not read
    memo(columns)
    assert fn.num_rows == 2 * SMALL + 3


def test_another_number_of_axes_is_another_pool():
    memo = Memo(lambda columns: (columns["params"].sum(axis=1) + columns["a"],), ("a", "params"))
    for num_axes in (2, 4, 0, 2):
        columns = {"a": np.arange(3.0), "params": np.ones((3, num_axes))}
        assert memo(columns)[0].tolist() == [num_axes, num_axes + 1, num_axes + 2]


def test_another_number_of_rows_is_another_pool():
    memo = RowMemo(squares_and_sums, ("a", "b"))
    for num_rows in (2 * SMALL, 3 * SMALL, 2 * SMALL):
        columns = columns_of(num_rows, seed=num_rows)
        assert same(memo(columns), squares_and_sums(columns))


def test_what_is_kept_cannot_be_written_to():
    memo, columns = RowMemo(squares_and_sums, ("a", "b")), columns_of(2 * SMALL)
    with pytest.raises(ValueError, match="read-only"):
        memo(columns)[0][0] = 1.0
    first = memo(columns)[0].copy()
    columns["a"][0] += 1.0
    later = memo(columns)
    assert later[0][0] != first[0]


def test_a_row_that_is_not_a_number_is_kept_and_a_negative_zero_is_not_zero():
    fn, columns = Counting(), columns_of(2 * SMALL)
    memo = RowMemo(fn, ("a", "b"))
    columns["a"][5:7] = np.nan, 0.0
    memo(columns)
    columns["a"][6], columns["b"][7] = -0.0, -1
    assert same(memo(columns), squares_and_sums(columns))
    assert fn.num_rows == 2 * SMALL + 2


def test_a_copy_keeps_nothing():
    memo, columns = RowMemo(squares_and_sums, ("a", "b")), columns_of(2 * SMALL)
    memo(columns)
    assert len(pickle.dumps(memo)) < 1_000
    assert same(pickle.loads(pickle.dumps(memo))(columns), squares_and_sums(columns))


def test_threads_that_look_at_different_pools_get_their_own_results():
    memo, pools = RowMemo(squares_and_sums, ("a", "b")), [columns_of(2 * SMALL, seed) for seed in range(4)]
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(memo, pools * 5))
    assert all(same(here, squares_and_sums(pool)) for here, pool in zip(found, pools * 5, strict=True))


class TestWholeColumns:
    def test_the_function_is_called_again_only_if_a_column_that_it_reads_changed(self):
        calls = []

        def ranks(columns):
            calls.append(len(columns["a"]))
            return (np.argsort(columns["a"]) + columns["p"].sum(axis=1),)

        columns = columns_of(2 * SMALL) | {"p": np.zeros((2 * SMALL, 2))}
        memo = Memo(ranks, ("a", "p"))
        first = memo(columns)
        columns["b"][3] += 1
        assert memo(columns) is first
        columns["p"][5, 1] = 1.0
        assert same(memo(columns), ranks(columns))
        columns["a"][0] = 9.0
        assert same(memo(columns), ranks(columns))
        assert len(calls) == 5  # of which two by this test

    def test_of_a_small_pool_no_rows_are_kept(self):
        memo, columns = RowMemo(squares_and_sums, ("a", "b")), columns_of(8)
        assert memo(columns)[0] is not memo(columns)[0]
