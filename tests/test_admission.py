"""What may enter the table: params on their axes, new tasks while there is a place for them, sums that are finite."""

import numpy as np
import pytest

from curricular import (
    AccelConfig,
    AlpGmmConfig,
    Axis,
    Curriculum,
    Exp3SConfig,
    NoiseAwareConfig,
    RefreshError,
    Span,
    TaskGeneratorSet,
    UniformConfig,
    bucketed,
    merge,
    single_task,
)
from curricular.algorithms.alp_gmm import local_progress
from curricular.generators import SeedGenerator
from curricular.params import Layout
from curricular.table import columns_of, empty_table


class Letters:
    axes = (Axis("letter", ("x", "y", "z")),)
    num_tasks = None

    def __init__(self, step):
        self.step = step

    def sample(self, seeds, rng):
        return rng.integers(3, size=(len(seeds), 1)).astype(float)

    def mutate(self, seeds, params, rng):
        return params + self.step

    def label_of(self, seed, params):
        return ""

    def build(self, seed, params):
        return "xyz"[int(params[0])]


@pytest.mark.parametrize("step", [1.0, -1.0, 0.5])
def test_params_off_their_axis_are_refused_and_nothing_enters(step):
    config = AccelConfig(
        num_active_tasks=32, eviction_rate=1.0, min_presentations_for_eviction=1, use_shared_memory=False
    )
    curriculum = Curriculum(config, Letters(step))

    def play():
        for _ in range(60):
            tasks = curriculum.ask(32)
            curriculum.tell([task.task_id for task in tasks], [0.5] * 32, regrets=[0.1] * 32)

    expected = r"proposer\.propose: expected params on the axis 'letter', the number of one of 3"
    with pytest.raises(RefreshError, match=expected):
        play()
    assert {state.params[0] for state in curriculum.task_states()} <= {0.0, 1.0, 2.0}
    curriculum.ask(32)


@pytest.mark.parametrize(
    ("axis", "inside", "outside"),
    [
        (Axis("a", ("x", "y")), [0.0, 1.0], [-1.0, 2.0, 0.5]),
        (Axis("a", Span(1, 3)), [1.0, 2.0, 3.0], [0.0, 4.0, 1.5]),
        (Axis("a", Span(1.0, 3.0)), [1.0, 1.5], [0.9, 3.1]),
    ],
)
def test_an_axis_knows_its_params(axis, inside, outside):
    layout = Layout((axis,))
    assert layout.find_off(np.array(inside)[:, None]) is None
    for param in outside:
        assert layout.find_off(np.array([[param]])) == (f"on the axis 'a', {axis.range_text}", param, 0)


def test_a_param_in_a_column_that_a_member_leaves_over_is_refused():
    class Leaky(TaskGeneratorSet):
        def sample(self, seeds, rng):
            return np.tile([1.0, 0.5], (len(seeds), 1))

    generator = Leaky(children=(bucketed({"a": 0.0}, {"a": Span(0.0, 1.0)}), single_task("x")))
    with pytest.raises(ValueError, match=r"generator.sample: expected params of 0 where a task has no axis, got 0\.5"):
        Curriculum(UniformConfig(num_active_tasks=4, use_shared_memory=False), generator)


def test_columns_cannot_be_written_into():
    table = empty_table(4, 1)
    for name, column in columns_of(table).items():
        with pytest.raises(ValueError, match="read-only"):
            column[...] = 0
        assert name


@pytest.mark.parametrize("score", [0.0, 0.1, 1 / 3, 1.0])
def test_equal_scores_are_no_progress(score):
    points = np.random.default_rng(0).random((100, 2))
    assert not local_progress(points, np.full(100, score), 50, 5).any()


@pytest.mark.parametrize(("num_active_tasks", "history_share"), [(1, 0.5), (5, 0.95), (64, 0.9995)])
def test_a_history_leaves_a_place_for_what_is_to_come(num_active_tasks, history_share):
    config = AlpGmmConfig(
        num_active_tasks=num_active_tasks, history_share=history_share, use_shared_memory=False, seed=1
    )
    curriculum = Curriculum(config, bucketed({"a": 0.0}, {"a": Span(0.0, 1.0)}))
    for _ in range(40):
        tasks = curriculum.ask(32)
        curriculum.tell([task.task_id for task in tasks], [0.0] * 32)
    assert curriculum.stats()["num_evicted"] > 0


def test_a_small_pool_of_noise_aware_choice_takes_what_is_proposed():
    config = NoiseAwareConfig.recommended(
        num_active_tasks=16, proposal_share=0.9, eviction_rate=1.0, min_presentations_for_eviction=1,
        use_shared_memory=False,
    )  # fmt: skip
    curriculum = Curriculum(config, bucketed({"a": 0.0, "b": 0}, {"a": Span(0.0, 1.0), "b": [1, 2, 3]}))
    for _ in range(40):
        tasks = curriculum.ask(32)
        curriculum.tell([task.task_id for task in tasks], [float(task.params["b"] == 2) for task in tasks])
    assert curriculum.stats()["num_evicted"] > 0


def test_regrets_near_the_largest_float_do_not_spoil_the_choice():
    generator = merge([single_task(number, label=f"label {number % 2}") for number in range(4)])
    curriculum = Curriculum(Exp3SConfig(num_active_tasks=4, use_shared_memory=False), generator)
    for regret in (1.7e308, -1.7e308):
        curriculum.tell([0, 0], [0.5, 0.5], regrets=[regret, regret])
        curriculum.flush()
    curriculum.tell([0, 1, 2, 3] * 10, [0.5] * 40, regrets=[0.0] * 40)
    assert curriculum.probabilities().sum() == pytest.approx(1.0)
    assert len({task.task_id for task in curriculum.ask(100)}) == 4


def test_a_label_that_is_no_string_is_named():
    class Numbered(SeedGenerator):
        def label_of(self, seed, params):
            return 3

    with pytest.raises(TypeError, match=r"generator\.label_of: expected a string, got 3, a int; return str"):
        Curriculum(UniformConfig(num_active_tasks=4, use_shared_memory=False), Numbered())
