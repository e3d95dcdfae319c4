"""How a row of params is read: the layout agrees with a plain walk over the axes, whatever their branches."""

import numpy as np
import pytest

from curricular import Axis, Span
from curricular.params import MAX_CELLS, SPAN_CELLS, Layout
from curricular.task import num_params


def wide(name):
    return Axis(f"{name} size", Span(1, 3)), Axis(f"{name} weight", Span(0.0, 1.0))


SIDE_BY_SIDE = (
    Axis("robot", ("arm", "dog", "none"), branches=(wide("arm"), (Axis("dog legs", (0, 1)),), ())),
    Axis("lit", (False, True)),
    Axis("ground", ("mud", "ice"), branches=((), wide("ice"))),
    Axis("speed", Span(0.0, 9.0)),
)


def tree(rng, depth):
    """Random axes."""
    axes = []
    for _ in range(rng.integers(4)):
        kind = rng.integers(4 if depth else 3)
        values = (Span(0.0, 2.5), Span(-3, 12), tuple("xyz"))[min(kind, 2)]
        branches = tuple(tree(rng, depth - 1) for _ in "xyz") if kind == 3 else ()
        axes.append(Axis(f"axis {rng.integers(10**9)}", values, branches))
    return tuple(axes)


def draw(axes, rng):
    """Params on `axes`, each axis name with its value, and what stands at each column: the name of an axis, or None."""
    params, values, names = [], {}, []
    for axis in axes:
        if isinstance(axis.values, Span):
            params.append(axis.values.sample(1, rng)[0])
            values[axis.name] = params[-1]
        else:
            params.append(float(rng.integers(len(axis.values))))
            values[axis.name] = axis.values[int(params[-1])]
        names.append(axis.name)
        if axis.branches:
            own_params, own_values, own_names = draw(axis.branches[int(params[-1])], rng)
            rest = max(map(num_params, axis.branches)) - len(own_params)
            params += own_params + [0.0] * rest
            names += own_names + [None] * rest
            values |= own_values
    return params, values, names


@pytest.mark.parametrize("seed", range(20))
def test_a_layout_agrees_with_a_walk_over_the_axes(seed):
    rng = np.random.default_rng(seed)
    axes = SIDE_BY_SIDE if seed == 0 else tree(rng, 3)
    layout = Layout(axes)
    drawn = [draw(axes, rng) for _ in range(60)]
    params = np.array([params for params, _, _ in drawn]).reshape(60, num_params(axes))
    assert layout.find_off(params) is None
    assert [layout.decode(row) for row in params] == [values for _, values, _ in drawn]
    named = np.array([names for _, _, names in drawn], dtype=object).reshape(params.shape)[:, layout.num_common :]
    axis_of = layout.cell_axes[layout.cells(params)]
    assert ((axis_of == 0) == (named == None)).all()  # noqa: E711  entry by entry
    assert len({*zip(axis_of.flat, named.flat, strict=True)}) == len({*axis_of.flat}) == len({*named.flat})


LOG_SPANS = [Span(1e-4, 1e-1, log=True), Span(1, 3, log=True), Span(1, 2**53, log=True), Span(0.25, 0.25, log=True)]


@pytest.mark.parametrize("span", LOG_SPANS, ids=str)
def test_a_column_has_the_values_that_single_params_have_within_the_span(span):
    low, high, _ = span.bounds
    params = np.concatenate([[low, high], span.sample(1000, np.random.default_rng(0))])
    values = Layout((Axis("x", span),)).decode_columns(params[:, None])["x"]
    assert values.tolist() == [Axis("x", span).decode(param) for param in params]
    assert values.dtype == (np.int64 if span.is_integer else np.float64)
    assert span.low <= values.min() <= span.low * (1 + 1e-12)
    assert (values <= span.high).all()
    assert span.is_integer or span.low == span.high or (values < span.high).all()
    if high - low < 2:
        assert {*values.tolist()} == ({1, 2, 3} if span.is_integer else {0.25})
    off = np.array([low - 1e9, high + 1e9])  # a file that another program wrote
    assert span.decode_all(off).tolist() == [span.decode(low), span.decode(high)]


def test_params_off_an_axis_of_a_branch_are_found():
    layout = Layout(SIDE_BY_SIDE)
    good = np.array([[1.0, 1.0, 0.0, 0.0, 1.0, 3.0, 0.5, 9.0], [2.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0]])
    assert layout.find_off(good) is None
    for row, column, value, wanted in (
        (0, 0, 3.0, "on the axis 'robot', the number of one of 3"),
        (0, 0, -1.0, "on the axis 'robot'"),
        (0, 1, 2.0, "on the axis 'dog legs', the number of one of 2"),
        (0, 2, 0.5, "of 0 where a task has no axis"),
        (1, 1, 1.0, "of 0 where a task has no axis"),
        (0, 5, 2.5, "on the axis 'ice size', a whole number from 1 to 3"),
        (0, 7, 9.5, "on the axis 'speed', from 0.0 to 9.0"),
        (1, 7, -0.1, "on the axis 'speed'"),
        (1, 7, np.inf, "on the axis 'speed'"),
    ):
        bad = good.copy()
        bad[row, column] = value
        found, seen, task = layout.find_off(bad)
        assert found.startswith(wanted)
        assert (seen, task) == (value, row)


def test_a_cell_is_a_value_or_a_part_of_a_span():
    axes = (
        Axis("many", tuple(range(3 * MAX_CELLS))),
        Axis("few", ("x", "y", "z")),
        Axis("whole", Span(-2, 2)),
        Axis("real", Span(1.0, 3.0)),
    )
    layout = Layout((Axis("generator", (0, 1), branches=(axes, axes)),))
    rng = np.random.default_rng(0)
    own = np.column_stack([rng.integers(3 * MAX_CELLS, size=4000), rng.integers(3, size=4000),
                           rng.integers(-2, 3, size=4000), rng.uniform(1, 3, size=4000)])  # fmt: skip
    params = np.column_stack([rng.integers(2, size=4000), own])
    cells = layout.cells(params)
    assert [len(np.unique(column)) for column in cells.T] == [2, 2 * MAX_CELLS, 2 * 3, 2 * 5, 2 * SPAN_CELLS]
    assert len(np.unique(cells)) == sum(len(np.unique(column)) for column in cells.T)
    assert (np.diff(layout.cell_axes) >= 0).all()
    of_first = params[:, 0] == 0
    for column, part in zip(cells[of_first, 1:].T, (own[of_first, 0] // 3, own[of_first, 1], own[of_first, 2] + 2,
                                               (own[of_first, 3] - 1) * SPAN_CELLS // 2), strict=True):  # fmt: skip
        assert (column - column.min() == part).all()


def test_without_branches_a_column_is_an_axis():
    layout = Layout(wide("a"))
    assert (layout.num_params, layout.num_common) == (2, 2)
    assert layout.cells(np.zeros((3, 2))).shape == (3, 0)


@pytest.mark.parametrize(("values", "branches"), [(("x", "y"), ((),)), (Span(0, 1), ((), ())), (("x",), ((), ()))])
def test_branches_that_are_not_one_for_each_choice_are_refused(values, branches):
    with pytest.raises(
        ValueError, match=r"Axis 'a': expected one branch for each of its \d choices, got \d; give \(\)"
    ):
        Axis("a", values, branches)


def test_an_axis_without_choices_is_refused():
    with pytest.raises(ValueError, match="Axis 'a': expected a Span or at least one choice, got none; add one"):
        Axis("a", ())


def test_members_are_told_apart_however_many_there_are():
    num_members = 3 * MAX_CELLS
    generator = Axis("generator", tuple(range(num_members)), branches=((Axis("a", (0, 1)),),) * num_members)
    cells = Layout((generator,)).cells(np.column_stack([np.arange(num_members), np.zeros(num_members)]))
    assert len(np.unique(cells)) == 2 * num_members


def test_members_without_axes_are_choices_of_one_axis():
    layout = Layout((Axis("generator", (0, 1), branches=((), ())),))
    assert (layout.num_params, layout.num_common) == (1, 1)


@pytest.mark.parametrize("seed", range(20))
def test_columns_of_values_agree_with_the_values_of_each_task(seed):
    rng = np.random.default_rng(seed)
    axes = SIDE_BY_SIDE if seed == 0 else tree(rng, 3)
    layout = Layout(axes)
    drawn = [draw(axes, rng) for _ in range(60)]
    columns = layout.decode_columns(np.array([params for params, _, _ in drawn]).reshape(60, num_params(axes)))
    assert list(columns) == list(dict.fromkeys(columns))
    for task, (_, values, _) in enumerate(drawn):
        assert {name: column[task] for name, column in columns.items() if name in values} == values
        assert all(
            column[task] is None or np.isnan(column[task]) for name, column in columns.items() if name not in values
        )


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (Span(0, 3), "i"),
        (Span(0.0, 3.0), "f"),
        ((1, 2), "i"),
        ((1, 2.5), "f"),
        ((True, False), "b"),
        ((True, 2), "O"),
        (("a", "b"), "O"),
        ((2**70, 1), "O"),
        (((1, 2), (3, 4)), "O"),
        ((np.float32(0.5), np.float32(1.5)), "f"),
        ((None, 1), "O"),
    ],
)
def test_a_column_has_the_type_of_its_values(values, kind):
    axis = Axis("x", values)
    params = np.array([[0.0], [1.0], [1.0]])
    column = Layout((axis,)).decode_columns(params)["x"]
    assert column.dtype.kind == kind
    assert column.tolist() == [axis.decode(param) for param in (0.0, 1.0, 1.0)]
    assert Layout((axis,)).decode_columns(params[:0])["x"].dtype.kind == kind


def test_a_column_of_two_axes_holds_the_values_of_both():
    for first, second, expected in (
        ((1, 2), Span(0.0, 1.0), [2.0, 0.5]),
        (Span(0, 5), ("a", "b"), [1, "a"]),
        ((True, False), (1, 2), [False, 1]),
    ):
        kind = Axis("kind", (0, 1), ((Axis("x", first),), (Axis("x", second),)))
        column = Layout((kind,)).decode_columns(np.array([[0.0, 1.0], [1.0, 0.5]]))["x"]
        assert column.tolist() == expected


def test_axes_of_one_name_are_told_apart():
    kind = Axis("x", (5, 6), ((Axis("x", Span(0, 9)), Axis("x#2", Span(0, 9))), (Axis("y", Span(0, 9)),)))
    layout = Layout((kind, Axis("y", Span(0, 9))))
    assert layout.decode(np.array([0.0, 1.0, 2.0, 3.0])) == {"x": 5, "x#2": 1, "x#2#2": 2, "y#2": 3}
    assert layout.decode(np.array([1.0, 1.0, 0.0, 3.0])) == {"x": 6, "y": 1, "y#2": 3}
