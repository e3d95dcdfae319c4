"""What is known about prompts beforehand: rates in a column enter the belief, and are written while training."""

import numpy as np
import pytest

from curricular import (
    CoolDown,
    Curriculum,
    LearnabilityConfig,
    ModifiedAlgorithm,
    NoiseAwareConfig,
    SequentialConfig,
    TargetScheduleConfig,
    ThompsonConfig,
    UniformConfig,
    WeightedConfig,
    bucketed,
    create_algorithm,
    dataset,
    merge,
)
from curricular.algorithms.beliefs import belief, shared_rates
from curricular.table import columns_of

NAN = float("nan")
BACKENDS = pytest.mark.parametrize("use_shared_memory", [False, True], ids=["local", "shared"])


def prompts(rates):
    return dataset([{"id": number, "rate": rate} for number, rate in enumerate(rates)], key="id", columns=["rate"])


def made(rates, config=LearnabilityConfig, **overrides):
    settings = {"prior_axis": 0, "rand_task_rate": 0.0, "eviction_rate": 0.0, "use_shared_memory": False, **overrides}
    return Curriculum(prompts(rates), config(**settings))


def by_seed(curriculum):
    columns = curriculum.tasks()
    return columns["probability"][np.argsort(columns["seed"])]


def beliefs(curriculum):
    """The mean and the count of the belief about each row."""
    rows, config = columns_of(curriculum.tracker.snapshot()), curriculum.config
    a, b = belief(rows, config, config.prior)
    order = np.argsort(rows["seed"])
    return (a / (a + b))[order], (a + b)[order]


@pytest.mark.parametrize("config", [LearnabilityConfig, ThompsonConfig])
def test_a_known_rate_enters_the_belief_with_its_weight_and_nan_does_not(config):
    curriculum = made([0.0, 1.0, 0.5, NAN], config, prior=1.0, prior_weight=8.0)
    mean, count = beliefs(curriculum)
    assert mean == pytest.approx([0.1, 0.9, 0.5, 0.5])
    assert count == pytest.approx([10.0, 10.0, 10.0, 2.0])
    columns = curriculum.tasks()
    task_id = columns["task_id"][columns["seed"] == 0]
    curriculum.tell(task_id, np.ones((1, 16)))
    assert beliefs(curriculum)[0][0] > 0.5  # results outweigh it


@pytest.mark.parametrize("config", [LearnabilityConfig, ThompsonConfig, ThompsonConfig.prompts])
@pytest.mark.parametrize("axis", [0, "rate"])
def test_a_column_that_is_no_rate_is_refused(config, axis):
    with pytest.raises(ValueError, match=r"^prior_axis: expected .* from 0 to 1, got 'rate', .*high=100.0.*by 100"):
        made([2.0, 10.0, 50.0, 60.0, 90.0, 100.0], config, prior_axis=axis)
    with pytest.raises(ValueError, match=r"^prior_axis: expected .* from 0 to 1, got 'rate', whose values are \(1,\)"):
        made([1, 1], config, prior_axis=axis)  # one choice, whose index is 0
    made([True, False], config, prior_axis=axis)
    choices = bucketed({"rate": 0.1}, {"rate": [0.1, 0.9]})  # whose indices are 0 and 1
    with pytest.raises(ValueError, match=r"^prior_axis: .* got 'rate'"):
        Curriculum(choices, config(prior_axis=axis))


@pytest.mark.parametrize(
    "config",
    [
        lambda axis: LearnabilityConfig(prior_axis=axis, sharing=True, rand_task_rate=0.0),
        lambda axis: ThompsonConfig(prior_axis=axis, sharing=True, rand_task_rate=0.0),
        lambda axis: WeightedConfig(axis=axis, weights=(1.0, 3.0)),
        lambda axis: TargetScheduleConfig(axis=(axis,), stop=1.0, num_tasks=100),
        lambda axis: SequentialConfig(axis=axis),
    ],
)
def test_an_axis_may_be_named(config, tmp_path):
    rows = [{"id": number, "source": number % 3, "rate": number / 9} for number in range(10)]
    tasks = dataset(rows, key="id", columns=["source", "rate"])
    by_name, by_index = (Curriculum(tasks, config(axis)) for axis in ("rate", 1))
    for curriculum in (by_name, by_index):
        curriculum.tell([task.task_id for task in curriculum.ask(40)], np.ones(40))
    assert (by_name.probabilities() == by_index.probabilities()).all()
    by_name.save(tmp_path / "saved")
    assert Curriculum.load(tmp_path / "saved", tasks).config == by_name.config
    with pytest.raises(
        ValueError, match=r"axis: expected the name of an axis .*'source', 'rate'\), got 'rat'; use one"
    ):
        Curriculum(tasks, config("rat"))


def test_a_name_that_members_have_in_different_columns_is_refused():
    members = [dataset([{"rate": 0.5, "size": 1.5}], columns=columns) for columns in (["rate"], ["size", "rate"])]
    with pytest.raises(ValueError, match=r"got 'rate', which is in the columns \[1, 2\].*; pass the index"):
        Curriculum(merge(members), LearnabilityConfig(prior_axis="rate"))
    with pytest.raises(ValueError, match=r"got 'size'"):
        Curriculum(merge(members), LearnabilityConfig(prior_axis=1))


def test_tasks_that_can_never_enter_the_pool_are_warned_of(caplog):
    made([0.5] * 4, ThompsonConfig.prompts)
    made([0.5] * 4, eviction_rate=0.01, num_active_tasks=2)
    assert not caplog.records
    made([0.5] * 4, ThompsonConfig.prompts, num_active_tasks=3)
    (record,) = caplog.records
    assert "num_active_tasks is 3, the generator has 4 tasks" in record.getMessage()


def test_prompts_that_are_known_to_be_solved_half_of_the_time_are_drawn_first():
    curriculum = made([0.0, 0.0, 0.5, 1.0], prior_weight=50.0)
    assert by_seed(curriculum).argmax() == 2


@BACKENDS
def test_what_a_model_predicts_is_written_while_training_and_saved(use_shared_memory, tmp_path):
    curriculum = made([NAN] * 4, prior_weight=50.0, use_shared_memory=use_shared_memory)
    assert curriculum.set_params([0, 1, 3], "rate", [0.0, 0.5, 1.0]) == 3
    assert by_seed(curriculum).argmax() == 1
    assert curriculum.set_params(np.array([1, 2]), "rate", np.array([NAN, 0.5])) == 2
    assert by_seed(curriculum).argmax() == 2
    curriculum.save(tmp_path / "saved")
    resumed = Curriculum.load(tmp_path / "saved", prompts([NAN] * 4))
    assert by_seed(resumed) == pytest.approx(by_seed(curriculum))
    assert curriculum.set_params([0, 1], "rate", [0.5, NAN]) == 2
    assert by_seed(curriculum).argmax() == 0
    rates = {task.config["id"]: task.params["rate"] for task in curriculum.ask(100)}
    assert rates[0] == 0.5


def test_two_curricula_of_a_session_see_what_one_writes():
    config = LearnabilityConfig(prior_axis=0, session_id="test-priors", rand_task_rate=0.0, prior_weight=50.0)
    with Curriculum(prompts([NAN] * 4), config) as one, Curriculum(prompts([NAN] * 4), config) as other:
        one.set_params([0, 1, 2, 3], "rate", [0.0, 0.0, 0.0, 0.5])
        assert by_seed(other).argmax() == 3


def test_a_row_outside_the_pool_is_skipped():
    curriculum = Curriculum(prompts([0.5] * 8), ThompsonConfig(num_active_tasks=3, use_shared_memory=False))
    assert curriculum.set_params(range(8), "rate", np.zeros(8)) == 3


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (
            ([0], "level", [0.5]),
            KeyError,
            "column: expected a column of the data set, got 'level'; the columns are rate",
        ),
        (([0], [0.5], "rate"), TypeError, r"column: expected the name of a column, got \[0.5\]"),
        (([0], np.array(["a", "b"]), [0.5]), TypeError, "column: expected the name of a column, got array"),
        (([4], "rate", [0.5]), ValueError, "rows: expected indices from 0 to 3, got 4"),
        (([0, 0], "rate", [0.5, 0.5]), ValueError, "rows: expected each index once, got 0 twice"),
        (([0.5], "rate", [0.5]), TypeError, "rows: expected integers, got dtype float64"),
        (([[0]], "rate", [0.5]), ValueError, r"rows: expected shape \(n,\)"),
        (([0], "rate", [0.5, 0.5]), ValueError, r"values: expected shape \(1,\)"),
        (([0], "rate", [1.5]), ValueError, "values: expected numbers on the axis 'rate', from 0.0 to 1.0, got 1.5"),
        (([0], "rate", ["a"]), TypeError, "values: expected numbers"),
    ],
)
def test_wrong_values_are_refused_by_name_and_nothing_is_written(arguments, error, message):
    curriculum = made([0.1, 0.2, 0.3, 0.4])
    before = curriculum.task_states()
    with pytest.raises(error, match=message):
        curriculum.set_params(*arguments)
    assert curriculum.task_states() == before


def test_the_params_of_other_generators_are_not_written():
    curriculum = Curriculum(bucketed({"a": 0}, {"a": [1, 2]}), UniformConfig(use_shared_memory=False))
    with pytest.raises(TypeError, match="set_params: expected tasks that are rows of a data set"):
        curriculum.set_params([0], "a", [1])


def test_columns_with_gaps_suit_algorithms_that_share_evidence_along_axes(tmp_path):
    rng = np.random.default_rng(0)
    rows = [
        {"id": number, "rate": NAN if number % 3 else rng.random(), "length": NAN if number % 5 else 10.0 + number}
        for number in range(60)
    ]
    tasks = dataset(rows, key="id", columns=["rate", "length"])
    curriculum = Curriculum(tasks, NoiseAwareConfig.recommended(use_shared_memory=False))
    for _ in range(50):
        batch = curriculum.ask_batch(16)
        curriculum.tell_batch(batch.tickets, rng.random(16).round())
    assert curriculum.probabilities().sum() == pytest.approx(1.0)
    curriculum.save(tmp_path / "saved")
    assert len(Curriculum.load(tmp_path / "saved", tasks).tasks()["params/rate"]) == 60


@BACKENDS
def test_a_belief_fades_by_the_results_of_the_pool_since(use_shared_memory):
    config = {"half_life": 10.0, "prior_axis": None, "prior": 1.0, "use_shared_memory": use_shared_memory}
    curriculum = made([0.5] * 4, LearnabilityConfig, **config)
    ids = dict(zip(curriculum.tasks()["seed"].tolist(), curriculum.tasks()["task_id"].tolist(), strict=True))
    curriculum.tell([ids[0]] * 4, np.ones(4))
    fresh = beliefs(curriculum)[1][0]
    for _ in range(20):
        curriculum.tell([ids[1]], [1.0])
    mean, count = beliefs(curriculum)
    assert count[0] - 2 == pytest.approx((fresh - 2) / 4)
    assert mean[1] > mean[0] > mean[2] == 0.5


def test_without_a_half_life_a_belief_stays():
    curriculum = made([0.5] * 2, prior_axis=None)
    first, second = curriculum.tasks()["task_id"].tolist()
    curriculum.tell([first] * 4, np.ones(4))
    before = beliefs(curriculum)[1].max()
    curriculum.tell([second] * 4, np.ones(4))
    assert beliefs(curriculum)[1] == pytest.approx([before, before])


def test_a_cool_down_excludes_the_last_hand_outs():
    config = UniformConfig(num_active_tasks=10, use_shared_memory=False)
    algorithm = ModifiedAlgorithm(create_algorithm(config), CoolDown(4))
    curriculum = Curriculum(config, algorithm=algorithm)
    seen = []
    for _ in range(60):
        ids = [task.task_id for task in curriculum.ask(2, replace=False)]
        seen += ids
        p = curriculum.probabilities()
        assert (p[seen[-4:]] == 0).all()
        assert p.sum() == pytest.approx(1.0)
        curriculum.tell(ids, np.ones(2))
    assert algorithm.follows_handouts


def test_where_all_tasks_are_cooling_down_the_algorithm_decides():
    config = UniformConfig(num_active_tasks=2, use_shared_memory=False)
    curriculum = Curriculum(config, algorithm=ModifiedAlgorithm(create_algorithm(config), CoolDown(100)))
    curriculum.ask(2, replace=False)
    assert curriculum.probabilities() == pytest.approx([0.5, 0.5])


def test_a_cool_down_of_nothing_is_refused():
    with pytest.raises(ValueError, match="num_handouts: expected a whole number of at least 1"):
        CoolDown(0)


# ── Sharing along axes ───────────────────────────────────────────────────────────────────────────


def topical(config=ThompsonConfig, **overrides):
    """400 prompts in two topics, and in lengths 0 to 9."""
    rows = [{"id": number, "topic": number % 2, "length": number // 2 % 10} for number in range(400)]
    settings = {"sharing": True, "rand_task_rate": 0.0, "eviction_rate": 0.0, "use_shared_memory": False, **overrides}
    return Curriculum(dataset(rows, key="id", columns=["topic", "length"]), config(**settings))


def told(curriculum, rate_of):
    """Tells 16 scores of the first 200 prompts."""
    columns = curriculum.tasks()
    for number in np.random.default_rng(0).permutation(200).tolist():
        successes = round(16 * rate_of(number))
        scores = np.repeat([1.0, 0.0], [successes, 16 - successes])
        curriculum.tell(columns["task_id"][columns["seed"] == number], scores[None])
    return curriculum


def rates_of(curriculum):
    columns = columns_of(curriculum.tracker.snapshot())
    return shared_rates(columns, curriculum.config)[np.argsort(columns["seed"])]


@pytest.mark.parametrize("config", [LearnabilityConfig, ThompsonConfig])
def test_new_prompts_are_believed_to_be_as_hard_as_those_of_their_topic(config):
    curriculum = told(topical(config), lambda number: [0.9, 0.1][number % 2])
    mean, count = beliefs(curriculum)
    assert mean[200::2].min() > 0.7
    assert mean[201::2].max() < 0.3
    assert count[200:] == pytest.approx(2 * curriculum.config.prior)
    off = told(topical(config, sharing=False), lambda number: [0.9, 0.1][number % 2])
    assert beliefs(off)[0][200:] == pytest.approx(0.5)
    assert beliefs(off)[1] == pytest.approx(count)


def test_axes_add_up():
    curriculum = told(topical(), lambda number: [0.9, 0.5][number % 2] - 0.05 * (number // 2 % 10))
    rates = rates_of(curriculum)
    assert rates[:6:2].min() > rates[14:20:2].max()
    assert np.all(rates[::2] > rates[1::2])


def test_the_prior_axis_is_not_shared_along_and_without_results_nothing_is_known():
    assert rates_of(topical()) == pytest.approx(0.5)
    curriculum = told(topical(prior_axis=0), lambda number: [0.9, 0.1][number % 2])
    rates = rates_of(curriculum)
    assert rates[::2] == pytest.approx(rates[1::2])


def test_late_results_count_more():
    curriculum = told(told(topical(), lambda _: 0.0), lambda _: 1.0)
    assert rates_of(curriculum).min() > 0.5


def test_sharing_is_pure_in_every_array_library():
    strict = pytest.importorskip("array_api_strict")
    curriculum = told(topical(), lambda number: [0.8, 0.3][number % 2])
    columns = columns_of(curriculum.tracker.snapshot())
    converted = {name: strict.asarray(np.ascontiguousarray(column)) for name, column in columns.items()}
    assert np.asarray(shared_rates(converted, curriculum.config)) == pytest.approx(
        shared_rates(columns, curriculum.config), abs=1e-12
    )
