"""EXP3.S over labels: the update by hand, what comes and goes, and that nothing is given up for good."""

from dataclasses import replace

import numpy as np
import pytest

from curricular import (
    Curriculum,
    Exp3SConfig,
    Interest,
    ModifiedAlgorithm,
    Quotas,
    TargetScheduleConfig,
    UniformConfig,
    WeightedConfig,
    create_algorithm,
    merge,
    single_task,
)
from curricular.probabilities import cumulative
from curricular.results import estimator
from curricular.table import EVENT, TOLD_WITH_REGRET, admit, choose, columns_of, record
from curricular.testing import AlgorithmSuite

from .reference import distribution
from .test_table import new_backend


class TestSuite(AlgorithmSuite):
    @pytest.fixture(autouse=True, params=[{"exploration_share": 0.0}, {"reward": "progress", "reward_range": 0.1}])
    def _config(self, request):
        self.config = Exp3SConfig(**request.param)

    def make_algorithm(self):
        return create_algorithm(self.config)


def generator(*labels):
    return merge([single_task(number, label=label) for number, label in enumerate(labels)])


def made(*labels, **settings):
    config = Exp3SConfig(num_active_tasks=len(labels), eviction_rate=0.0, **settings)
    return Curriculum(config, generator(*labels))


def shares(curriculum, chances=None):
    """Label -> its chance."""
    table = curriculum.tracker.snapshot()
    chances = curriculum.probabilities() if chances is None else chances
    sums = np.bincount(table.rows["label_index"], chances, len(table.labels))
    return {bytes(name).decode(): share for name, share in zip(table.labels["name"], sums, strict=True) if share}


def in_use(curriculum):
    """Label -> the chance it is drawn with, as the table has it."""
    labels = curriculum.tracker.snapshot().labels
    return {bytes(label["name"]).decode(): float(label["chance"]) for label in labels if label["chance"]}


def teach(curriculum, rewards, num_results, batch=32):
    """Tells the reward of each task's label, `batch` at a time."""
    for _ in range(num_results // batch):
        tasks = curriculum.ask(batch)
        regrets = [rewards[task.label] for task in tasks]
        curriculum.tell([task.task_id for task in tasks], [0.5] * batch, regrets=regrets)


def test_a_new_pool_gives_each_label_the_same():
    assert shares(made("a", "a", "a", "b")) == pytest.approx({"a": 0.5, "b": 0.5})


def test_the_table_knows_what_it_draws_from():
    curriculum = made("a", "a", "b", "c")
    teach(curriculum, {"a": 1.0, "b": 0.0, "c": -1.0}, 640)
    table = curriculum.tracker.snapshot()
    chances = np.diff(table.cumulated, prepend=0.0)
    assert in_use(curriculum) == pytest.approx(shares(curriculum, chances))
    assert sum(in_use(curriculum).values()) == pytest.approx(1.0)
    assert table.labels["num_recent"].sum() == table.counters.num_endings - table.counters.num_refreshed_endings


def test_one_round_by_hand():
    config = {"learning_rate": 0.02, "share_rate": 0.01, "exploration_share": 0.1, "reward_range": 2.0}
    curriculum = made("a", "b", "c", **config)
    ids = {state.seed: state.task_id for state in curriculum.task_states()}
    # All are drawn alike at first, at 1/3 each. The mean of c is beyond the range.
    numbers, regrets = [0] * 4 + [1] * 3 + [2], [1.0, 2.0, 1.0, 0.0] + [-1.0] * 3 + [9.0]
    curriculum.tell([ids[number] for number in numbers], [0.5] * 8, regrets=regrets)
    gains = np.array([4 * (1.0 / 2), 3 * (-1.0 / 2), 1 * 1.0]) / (1 / 3)
    weights = np.exp(0.02 * gains) / np.exp(0.02 * gains).sum()
    weights = 0.99**8 * weights + (1 - 0.99**8) / 3
    assert shares(curriculum) == pytest.approx(dict(zip("abc", 0.9 * weights + 0.1 / 3, strict=True)))


def test_progress_is_what_is_above_the_average_of_the_label():
    curriculum = made("a", "b", "c", reward="progress", learning_rate=1.0)
    ids = {task.label: task.task_id for task in curriculum.ask(100)}
    curriculum.tell(np.repeat([ids["a"], ids["b"], ids["c"]], 10), [0.0] * 10 + [1.0] * 10 + [0.0, 1.0] * 5)
    assert shares(curriculum) == pytest.approx(in_use(curriculum))
    assert shares(curriculum) == pytest.approx({"a": 1 / 3, "b": 1 / 3, "c": 1 / 3}, abs=0.05)
    curriculum.tell(np.repeat([ids["a"], ids["b"], ids["c"]], 4), [1.0] * 4 + [0.0] * 4 + [1.0, 0.0] * 2)
    p = shares(curriculum)
    assert p["a"] > p["c"] > p["b"]


def test_a_rare_label_counts_for_more():
    """So that in the mean, what a label earns does not depend on how often it is drawn."""
    algorithm = create_algorithm(Exp3SConfig(exploration_share=0.0, learning_rate=0.001, share_rate=1e-9))
    backend, weights = new_backend(2, names=["often", "seldom"]), np.array([0.9, 0.1])
    backend.apply(lambda transaction: transaction.commit(choose(backend.snapshot(), cumulative(weights), weights)))
    events = np.zeros(100, EVENT)
    events["task_id"], events["kind"], events["regret"] = np.arange(100) >= 90, TOLD_WITH_REGRET, 1.0
    backend.apply(lambda transaction: transaction.commit(record(backend.snapshot(), events, estimator(Exp3SConfig()))))
    columns = columns_of(backend.snapshot())
    assert columns["label_num_recent"][1:3].tolist() == [90, 10]
    assert distribution(algorithm, columns) == pytest.approx([0.9, 0.1])


def test_without_results_the_distribution_stays():
    curriculum = made("a", "b", "b", "c")
    teach(curriculum, {"a": 0.0, "b": 1.0, "c": -1.0}, 320)
    table = curriculum.tracker.snapshot()
    chances = curriculum.probabilities()
    for _ in range(3):
        priorities = curriculum.algorithm.priorities(columns_of(table))
        table = replace(table, labels=choose(table, cumulative(chances), priorities).labels)
        again = distribution(curriculum.algorithm, columns_of(table))
        assert again == pytest.approx(chances, rel=1e-12)
        chances = again


def test_after_long_stagnation_another_label_is_found_again():
    curriculum = made(*"abcdefgh")
    rewards = dict.fromkeys("abcdefgh", 0.0)
    teach(curriculum, rewards | {"a": 1.0}, 100_000, batch=500)
    settled = shares(curriculum)
    assert settled["a"] > 0.75
    assert min(settled.values()) > 0.05 / 8
    teach(curriculum, rewards | {"h": 1.0}, 3000, batch=500)
    assert shares(curriculum)["h"] > 0.5
    # A reward that all have alike makes no difference, however long.
    teach(curriculum, dict.fromkeys("abcdefgh", 1.0), 100_000, batch=500)
    assert min(shares(curriculum).values()) > 0.03


def test_extreme_rewards_do_not_overflow():
    curriculum = made(*"abc", learning_rate=1e9, reward_range=1e-9)
    teach(curriculum, {"a": 1e300, "b": -1e300, "c": 0.0}, 3200)
    p = shares(curriculum)
    assert p["a"] > 0.9
    assert sum(p.values()) == pytest.approx(1.0)
    assert p["b"] > 0.05 / 3


def test_the_order_of_labels_makes_no_difference():
    algorithm = create_algorithm(Exp3SConfig(reward="progress"))
    rng = np.random.default_rng(0)
    for seed in range(20):
        columns = dict(TestSuite().make_columns(seed))
        expected = distribution(algorithm, columns)
        order = rng.permutation(len(columns["label_chance"]))
        for name in columns:
            if name.startswith("label_") and name != "label_index":
                columns[name] = columns[name][order]
        columns["label_index"] = np.argsort(order)[columns["label_index"]]
        assert distribution(algorithm, columns) == pytest.approx(expected)


def replaced(curriculum, slot, label):
    """Another task with `label` in `slot`, as eviction does just before a refresh."""
    names, slots = [label], np.array([slot])

    def fn(transaction):
        params = np.zeros((1, transaction.table.rows.num_axes))
        new = admit(transaction.table, slots, np.array([77]), params, names, 0.0, curriculum.tracker.estimator)
        transaction.commit(new)

    curriculum.tracker.backend.apply(fn)


def test_labels_that_come_get_an_average_weight_and_those_that_go_leave_theirs():
    curriculum = made(*"aabbc", exploration_share=0.0)
    teach(curriculum, {"a": 1.0, "b": 0.0, "c": -1.0}, 320)
    slots = {label: [] for label in "abc"}
    for state in curriculum.task_states():
        name = bytes(curriculum.tracker.snapshot().labels["name"][state.label_index]).decode()
        slots[name].append(state.task_id % 5)
    before = shares(curriculum)
    replaced(curriculum, slots["c"][0], "new")
    after = shares(curriculum)
    assert after.keys() == {"a", "b", "new"}
    assert after["new"] == pytest.approx(1 / 3)
    assert after["a"] / after["b"] == pytest.approx(before["a"] / before["b"])
    # What was earned stays with the label that it was drawn as, also if its tasks are others by now.
    replaced(curriculum, slots["a"][0], "b")
    assert shares(curriculum) == pytest.approx(after)
    for slot in range(5):
        replaced(curriculum, slot, f"only {slot % 2}")
    assert shares(curriculum) == pytest.approx({"only 0": 0.5, "only 1": 0.5})


def test_from_a_checkpoint_it_goes_on_the_same(tmp_path):
    curriculum = made(*"aabbccdd")
    rewards = {"a": 0.1, "b": 0.9, "c": -0.5, "d": 0.0}
    teach(curriculum, rewards, 1234, batch=17)
    curriculum.save(tmp_path / "state.npz")
    again = Curriculum.load(tmp_path / "state.npz", curriculum.generator)
    for each in (curriculum, again):
        teach(each, rewards, 1234, batch=17)
    assert (again.probabilities() == curriculum.probabilities()).all()
    assert [task.task_id for task in again.ask(100)] == [task.task_id for task in curriculum.ask(100)]


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        (UniformConfig(num_active_tasks=4), {"a": 0.5, "b": 0.5}),
        (WeightedConfig(num_active_tasks=4, weights=(0.0, 3.0, 0.0, 3.0)), {"a": 0.25, "b": 0.75}),
        # Its priorities are logarithms, all below 0.
        (TargetScheduleConfig(num_active_tasks=4, start=9.0, stop=9.0, num_tasks=1), {"a": 0.5, "b": 0.5}),
    ],
)
def test_it_goes_on_from_the_mean_priorities_of_another_algorithm(tmp_path, before, expected):
    curriculum = Curriculum(before, generator(*"aaab"))
    curriculum.save(tmp_path / "state.npz")
    config = Exp3SConfig(num_active_tasks=4, exploration_share=0.0)
    loaded = Curriculum.load(tmp_path / "state.npz", generator(*"aaab"), config=config)
    assert shares(loaded) == pytest.approx(expected)


def test_a_label_that_was_masked_comes_back_with_the_weight_it_had():
    config = Exp3SConfig(num_active_tasks=3, eviction_rate=0.0)
    masked = ModifiedAlgorithm(create_algorithm(config), Interest((1.0, 1.0, 0.0)))
    curriculum = Curriculum(config, generator(*"abc"), algorithm=masked)
    teach(curriculum, {"a": 1.0, "b": 0.0}, 640)
    assert shares(curriculum).keys() == {"a", "b"}
    unmasked = Curriculum(config, generator(*"abc"))
    unmasked.load_state_dict(curriculum.state_dict())
    p = shares(unmasked)
    assert p["a"] > 0.6
    # As much as a label that was drawn and earned nothing either.
    assert p["c"] == pytest.approx(p["b"])


@pytest.mark.parametrize("use_shared_memory", [True, False])
def test_wherever_the_table_lives_it_is_the_same(use_shared_memory):
    curriculum, here = made(*"aabc", use_shared_memory=use_shared_memory), made(*"aabc")
    for each in (curriculum, here):
        teach(each, {"a": 0.1, "b": 0.9, "c": -0.5}, 960)
    assert (curriculum.probabilities() == here.probabilities()).all()


def modified(modifier):
    """The shares of four labels of one task each, after many refreshes without a difference in rewards."""
    config = Exp3SConfig(num_active_tasks=4, eviction_rate=0.0)
    algorithm = ModifiedAlgorithm(create_algorithm(config), modifier)
    curriculum = Curriculum(config, generator(*"abcd"), algorithm=algorithm)
    teach(curriculum, dict.fromkeys("abcd", 0.0), 3200)
    return shares(curriculum)


def test_modifiers_change_the_draws_and_not_the_weights():
    assert modified(Interest((2.0, 1.0, 1.0, 1.0)))["a"] == pytest.approx(2 / 5)
    quotas = dict(zip("abcd", (0.1, 0.2, 0.3, 0.4), strict=True))
    assert modified(Quotas(tuple(quotas.values()))) == pytest.approx(quotas)


@pytest.mark.parametrize("num_broken", [1, 2, 4])
@pytest.mark.parametrize("gain", [0.0, 0.1])
def test_unplayable_tasks_take_no_weight_from_their_label(num_broken, gain):
    """Four of 64 tasks are worth more than the others; then some of the four are unplayable, and later none."""
    curriculum = made(*("a" * 4 + "b" * 60))
    broken = {state.task_id for state in curriculum.task_states() if state.seed < num_broken}

    def teach_all(num_results, broken):
        for _ in range(num_results // 32):
            tasks = curriculum.ask(32)
            curriculum.cancel([task.task_id for task in tasks if task.task_id in broken], "failed")
            played = [task for task in tasks if task.task_id not in broken]
            regrets = [gain if task.label == "a" else 0.0 for task in played]
            curriculum.tell([task.task_id for task in played], [0.5] * len(played), regrets=regrets)

    def weights():
        columns = columns_of(curriculum.tracker.snapshot())
        priorities = curriculum.algorithm.priorities(columns)
        return priorities[columns["label_index"] == columns["label_index"][0]][0]

    teach_all(8000, set())
    before = weights()
    assert before == pytest.approx(0.5) if gain == 0.0 else before > 0.85
    for _ in range(5):
        teach_all(1600, broken)
        p = curriculum.probabilities()
        assert p[list(broken)].max() <= 1 / 64 + 1e-12
        if num_broken < 4:  # the label still earns, and the draws of its broken tasks go to all others
            assert weights() == pytest.approx(before, abs=0.02)
            assert shares(curriculum)["a"] > 0.7 * before
    if num_broken == 4:  # nothing earns anything: of all weight, only the share α of each result is spread
        assert weights() == pytest.approx(0.5 + (before - 0.5) * (1 - 3e-4) ** 8000, abs=0.05)
    teach_all(32 * 20, set())
    assert shares(curriculum)["a"] > 0.5 * before + 0.2


def test_labels_of_noise_are_drawn_more_than_those_that_stand_still():
    curriculum = made(*"abcd", reward="progress", reward_range=0.1)
    rng, draws = np.random.default_rng(0), dict.fromkeys("abcd", 0)
    for _ in range(400):
        tasks = curriculum.ask(32)
        scores = [float(rng.random() < 0.5) if task.label == "a" else 0.0 for task in tasks]
        curriculum.tell([task.task_id for task in tasks], scores)
        for task in tasks:
            draws[task.label] += 1
    assert draws["a"] > 1.5 * max(draws[label] for label in "bcd")


def test_regrets_are_needed_if_it_goes_by_them():
    with pytest.raises(ValueError, match="regrets: expected one per result"):
        made("a").tell([0], [1.0])
    made("a", reward="progress").tell([0], [1.0])


@pytest.mark.parametrize(("name", "value"), [("share_rate", 0.0), ("exploration_share", 1.0), ("learning_rate", 0.0)])
def test_settings_that_make_no_sense_are_refused(name, value):
    with pytest.raises(ValueError, match=name):
        Exp3SConfig(**{name: value})


def exact(rewards_of, num_results, num_labels=5, seed=0):
    """The share of draws on the best label, by the algorithm as published: one result a round."""
    rng, weights, num_best = np.random.default_rng(seed), np.full(num_labels, 1 / num_labels), 0
    config = Exp3SConfig()
    for number in range(num_results):
        chances = (1 - config.exploration_share) * weights + config.exploration_share / num_labels
        label = rng.choice(num_labels, p=chances)
        reward = float(label == rewards_of(number))
        num_best += reward
        weights[label] *= np.exp(config.learning_rate * reward / chances[label])
        weights = (1 - config.share_rate) * weights / weights.sum() + config.share_rate / num_labels
    return num_best / num_results


@pytest.mark.parametrize("tasks_per_label", [1, 50])
def test_it_follows_a_label_that_moves_nearly_as_the_exact_algorithm_does(tasks_per_label):
    def best(number):
        return number // 5000 % 5

    num_results = 20_000
    curriculum = made(*"abcde" * tasks_per_label)
    num_best = 0
    for number in range(0, num_results, 4):
        tasks = curriculum.ask(4)
        is_best = [task.label == "abcde"[best(number)] for task in tasks]
        num_best += sum(is_best)
        curriculum.tell([task.task_id for task in tasks], [0.5] * 4, regrets=np.asarray(is_best, np.float64))
    assert num_best / num_results > 0.9 * exact(best, num_results)
