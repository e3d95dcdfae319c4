"""The teachers of continuous spaces: intervals that widen as their ends are mastered, and regions of progress."""

import numpy as np
import pytest

from curricular import AdrConfig, Curriculum, Interval, RiacConfig, Span, bucketed, create_proposer, load_config, merge
from curricular.algorithms.adr import IntervalProposer
from curricular.algorithms.riac import RegionProposer, halves_progress, regions_of
from curricular.testing import ProposerSuite

SQUARE = bucketed({"x": 0.0, "y": 0.0}, {"x": Span(0.0, 1.0), "y": Span(0.0, 1.0)})
SIZES = bucketed({"size": 0, "x": 0.0}, {"size": Span(3, 15), "x": Span(0.0, 1.0)})


def adr(*intervals, **settings):
    return AdrConfig(**{"num_active_tasks": 64, "use_shared_memory": False, **settings}, intervals=intervals)


def play(curriculum, num_steps, rates, batch=32):
    """Asks and tells; a success follows from `rates`: params by axis, shape (batch, num_axes) -> success rates."""
    rng = np.random.default_rng(0)
    names = [axis.name for axis in curriculum.generator.axes]
    for _ in range(num_steps):
        tasks = curriculum.ask(batch)
        p = rates(np.array([[task.params[name] for name in names] for task in tasks]))
        curriculum.tell([task.task_id for task in tasks], (rng.random(batch) < p).astype(float))


def drawn(curriculum, name):
    """The lowest and the highest value on an axis of tasks that can be drawn."""
    tasks = curriculum.tasks()
    values = tasks[f"params/{name}"][tasks["probability"] > 0]
    return values.min(), values.max()


class TestIntervals(ProposerSuite):
    def make_proposer(self, generator):
        size, speed = Interval(axis=1, start=(5, 7), step=1), Interval(axis=2, start=(0, 0), step=0.1)
        return create_proposer(adr(size, speed), generator)


class TestRegions(ProposerSuite):
    fresh_share = 0.2

    def make_proposer(self, generator):
        return create_proposer(RiacConfig(), generator)


SIZE = Interval(axis=0, start=(5, 6), step=2)


class TestAnIntervalThatWidens:
    def test_it_begins_as_it_is_given_and_other_axes_are_free(self):
        curriculum = Curriculum(adr(SIZE), SIZES)
        assert drawn(curriculum, "size") == (5, 6)
        assert np.ptp(drawn(curriculum, "x")) > 0.8

    def test_it_widens_where_it_is_mastered_up_to_the_ends_of_the_axis(self):
        curriculum = Curriculum(adr(SIZE), SIZES)
        play(curriculum, 10, lambda params: np.ones(len(params)))
        low, high = drawn(curriculum, "size")
        assert low == 3
        assert 6 < high < 15
        play(curriculum, 100, lambda params: np.ones(len(params)))
        assert drawn(curriculum, "size") == (3, 15)

    def test_each_end_moves_by_itself(self):
        curriculum = Curriculum(adr(SIZE), SIZES)
        play(curriculum, 60, lambda params: np.where(params[:, 0] >= 5, 1.0, 0.5))
        assert drawn(curriculum, "size") == (3, 15)  # tasks of size 3 go neither well nor badly
        curriculum = Curriculum(adr(SIZE), SIZES)
        play(curriculum, 60, lambda params: np.where(params[:, 0] >= 6, 1.0, 0.5))
        assert drawn(curriculum, "size") == (5, 15)

    @pytest.mark.parametrize("failure", [0.2, None])
    def test_an_end_that_fails_moves_back_but_not_beyond_the_start(self, failure):
        curriculum = Curriculum(adr(SIZE, failure=failure), SIZES)
        play(curriculum, 60, lambda params: np.ones(len(params)))
        play(curriculum, 200, lambda params: np.where(params[:, 0] > 8, 0.0, 0.5))
        assert drawn(curriculum, "size")[1] == (15 if failure is None else 7)
        play(curriculum, 200, lambda params: np.zeros(len(params)))
        assert drawn(curriculum, "size")[1] == (15 if failure is None else 6)

    def test_one_axis_does_not_hold_up_another(self):
        """Both begin at a point, where every task lies at all ends of both."""
        intervals = (Interval(axis=axis, start=(0.5, 0.5), step=0.125) for axis in (0, 1))
        curriculum = Curriculum(adr(*intervals), SQUARE)
        play(curriculum, 150, lambda params: np.where(params[:, 1] <= 0.6, 1.0, 0.5))
        assert drawn(curriculum, "x") == pytest.approx((0.0, 1.0), abs=0.05)
        assert drawn(curriculum, "y") == pytest.approx((0.0, 0.625), abs=0.01)

    def test_about_half_of_the_draws_are_at_the_ends(self):
        curriculum = Curriculum(adr(Interval(axis=0, start=(0.2, 0.6), step=0.1), num_active_tasks=400), SQUARE)
        x = np.array([task.params["x"] for task in curriculum.ask(2000)])
        assert ((x == 0.2) | (x == 0.6)).mean() == pytest.approx(0.5, abs=0.05)

    def test_choices_have_intervals_too(self):
        generator = bucketed({"level": "", "x": 0.0}, {"level": list("abcde"), "x": Span(0.0, 1.0)})
        curriculum = Curriculum(adr(Interval(axis=0, start=(0, 0), step=1)), generator)
        assert {task.config["level"] for task in curriculum.ask(50)} == {"a"}
        for _ in range(60):
            tasks = curriculum.ask(32)
            curriculum.tell([task.task_id for task in tasks], [float(task.config["level"] < "d") for task in tasks])
        assert {task.config["level"] for task in curriculum.ask(200)} == set("abcd")

    def test_a_file_describes_it(self):
        yaml = pytest.importorskip("yaml")
        text = "{algorithm: adr, intervals: [{axis: 0, start: [5, 6], step: 2}], failure: null}"
        config = load_config(yaml.safe_load(text))
        assert config == AdrConfig(intervals=[SIZE], failure=None)
        assert load_config(yaml.safe_load(yaml.safe_dump(config.model_dump(mode="json")))) == config

    @pytest.mark.parametrize(
        ("make", "message"),
        [
            (lambda: Interval(axis=0, start=(3, 2), step=1), r"start: expected low <= high, got \(3.0, 2.0\); swap"),
            (lambda: adr(SIZE, SIZE), r"intervals: expected each axis once, got \[0, 0\]; drop"),
            (lambda: adr(SIZE, failure=0.9), "failure: expected less than success = 0.8, got 0.9; lower it"),
            (lambda: Interval(axis=0, start=(3, 4), steps=1), "steps: expected a field of Interval.* did you mean 'st"),
            (
                lambda: Curriculum(adr(Interval(axis=7, start=(0, 0), step=1)), SIZES),
                r"axis: expected the index of an axis that all tasks have, of 0 \(size\), 1 \(x\), got 7; use one",
            ),
            (
                lambda: Curriculum(adr(Interval(axis=0, start=(0, 4), step=1)), SIZES),
                r"start: expected values within 3 and 15, the ends of the axis 'size', got \(0.0, 4.0\); move",
            ),
            (
                lambda: Curriculum(adr(Interval(axis=0, start=(5, 6), step=0.5)), SIZES),
                "start, step: expected whole numbers for the axis 'size', got .* and 0.5; round them",
            ),
            (
                lambda: Curriculum(adr(SIZE, num_active_tasks=2), bucketed({"size": 0}, {"size": [5, 6, 7]})),
                "generator: expected an endless one for AdrConfig, got .* of 3 tasks; give it a Span, or use",
            ),
        ],
    )
    def test_what_does_not_fit_is_named(self, make, message):
        with pytest.raises(ValueError, match=message):
            make()


CONFIGS = {
    "intervals": AdrConfig(num_active_tasks=64, intervals=[Interval(axis=0, start=(0.4, 0.6), step=0.1)]),
    "regions": RiacConfig(num_active_tasks=128, region_size=16),
}


@pytest.mark.parametrize("name", CONFIGS)
class TestOneTruth:
    """What is proposed follows from the table, in whatever process."""

    def test_a_curriculum_that_was_saved_continues_with_the_same_tasks(self, name, tmp_path):
        config = CONFIGS[name].model_copy(update={"use_shared_memory": False})
        here = Curriculum(config, SQUARE)
        play(here, 20, lambda params: 1.0 - params[:, 1])
        here.save(tmp_path / "checkpoint")
        there = Curriculum.load(tmp_path / "checkpoint", SQUARE)
        for curriculum in (here, there):
            play(curriculum, 10, lambda params: 1.0 - params[:, 1])
        assert [state.params for state in here.task_states()] == [state.params for state in there.task_states()]
        assert here.stats()["num_evicted"] > 64

    def test_two_processes_of_a_session_share_what_is_proposed(self, name):
        config = CONFIGS[name].model_copy(update={"session_id": f"test-continuous-{name}"})
        with Curriculum(config, SQUARE) as first, Curriculum(config, SQUARE) as second:
            for curriculum in (first, second) * 4:
                play(curriculum, 5, lambda params: 1.0 - params[:, 1])
            assert first.task_states() == second.task_states()
            assert drawn(first, "x") == drawn(second, "x")
            assert first.stats()["num_evicted"] > 64


class TestRegionsOfProgress:
    def test_progress_is_the_change_from_the_older_half_to_the_newer(self):
        rising = np.repeat([0.0, 1.0], 10)
        groups = np.array([np.ones(20), np.arange(20) < 10, np.arange(20) % 2 == 0, np.arange(20) < 3], bool)
        assert halves_progress(rising, groups).tolist() == [1.0, 0.0, 1.0, 0.0]
        noise = (np.random.default_rng(0).random(400) < 0.5).astype(float)
        assert halves_progress(noise, np.ones((1, 400), bool))[0] < 0.1

    def test_space_is_split_where_progress_differs(self):
        rng = np.random.default_rng(0)
        points = rng.random((200, 2))
        newer = np.arange(200) >= 100
        scores = (newer & (points[:, 0] < 0.3)).astype(float)
        regions = regions_of(points, scores, 40, rng)
        assert sum(len(region.points) for region in regions) == 200
        assert min((region.high - region.low).min() for region in regions) >= 1 / 6
        assert sum(np.prod(region.high - region.low) for region in regions) == pytest.approx(1.0)
        for region in regions:
            assert ((region.points >= region.low) & (region.points <= region.high)).all()
            if region.low[0] >= 0.3:
                assert region.progress == 0.0
        gaining = [region for region in regions if region.progress > 0.5]
        assert gaining
        assert all(region.low[0] < 0.3 for region in gaining)

    def test_equal_points_are_one_region(self):
        assert len(regions_of(np.full((100, 1), 0.5), np.zeros(100), 10, np.random.default_rng(0))) == 1

    def test_new_tasks_come_where_there_is_progress(self):
        shares = {}
        for rand_task_rate in (0.1, 1.0):
            config = RiacConfig(
                num_active_tasks=256, use_shared_memory=False, rand_task_rate=rand_task_rate, mutation_share=0.0
            )
            curriculum, step, found = Curriculum(config, SQUARE), iter(np.linspace(0.0, 1.0, 100)), []

            def rates(params, step=step, found=found):
                found.append((params[:, 0] < 0.2).mean())
                return np.where(params[:, 0] < 0.2, next(step), 0.0)

            play(curriculum, 100, rates)
            shares[rand_task_rate] = np.mean(found)
        assert shares[0.1] > 1.5 * shares[1.0]

    def test_wrong_settings_are_named(self):
        with pytest.raises(ValueError, match=r"mutation_share: expected at most 1 - rand_task_rate = .* got 0.5"):
            RiacConfig(rand_task_rate=0.8, mutation_share=0.5)
        with pytest.raises(ValueError, match=r"generator: expected an endless one with a Span.* for RiacConfig"):
            Curriculum(RiacConfig(use_shared_memory=False), merge([SQUARE, SIZES]))

    def test_everything_fresh_needs_no_regions(self):
        config = RiacConfig(rand_task_rate=1.0, mutation_share=0.0, num_active_tasks=64, use_shared_memory=False)
        curriculum = Curriculum(config, SQUARE)
        play(curriculum, 20, lambda params: params[:, 0])
        assert curriculum.stats()["num_evicted"] > 0


def test_each_config_has_its_proposer():
    assert isinstance(create_proposer(adr(SIZE), SIZES), IntervalProposer)
    assert isinstance(create_proposer(RiacConfig(), SQUARE), RegionProposer)
