"""`curricular watch`: what a frame shows, in which order and size, and what happens to it when the training ends."""

import math
from contextlib import closing

import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

from curricular import Curriculum, UniformConfig, bucketed, cli, merge, single_task
from curricular.backends import session
from curricular.mastery import MASTERY
from curricular.watch.figures import LABEL, MAX_POINTS, Point, Timeline, groupings, groups, point, resampled, states
from curricular.watch.lines import running
from curricular.watch.sample import Session
from curricular.watch.text import View, bar, line, render, sparkline

from .watched import create, hold


@pytest.fixture
def directory(monkeypatch, tmp_path):
    monkeypatch.setattr(session, "base_directory", lambda: tmp_path)
    return tmp_path


@pytest.fixture
def watched(directory):
    with create("training"):
        found = Session("training", iter(np.arange(100.0)).__next__)
        yield found
        found.close()


@pytest.fixture
def holder(directory):
    """Another process that holds the session "training"."""
    with hold(directory) as process:
        yield process
        process.kill()


BY_LABEL = View()


def frame(sample, view=BY_LABEL, width=80, height=22):
    timeline = Timeline()
    timeline.add(point(sample))
    console = Console(width=width, height=height)
    with console.capture() as captured:
        console.print(render(sample, timeline, view, width, height))
    return captured.get()


def test_a_sample_counts_results_that_are_logged_but_not_in_the_table(watched):
    sample = watched.sample()
    assert sample.counts["completed"] + sample.counts["cancelled"] == 300
    assert sample.counts["pending"] == 0
    assert sample.num_workers == 1


def test_watching_changes_nothing_in_the_session(directory):
    with create("training") as curriculum:
        backend = curriculum.tracker.backend
        before = (backend.glance(), backend.num_workers, bytes(backend._file.mapping))
        found = Session("training")
        found.sample()
        assert (backend.glance(), backend.num_workers, bytes(backend._file.mapping)) == before
        found.close()


def test_states_are_those_of_the_statistics_and_their_shares_sum_to_1(watched):
    found = states(watched.sample().content)
    assert [state.name for state in found] == list(MASTERY)
    assert sum(state.share for state in found) == pytest.approx(1)
    assert sum(state.num_tasks for state in found) == 10


def test_tasks_are_grouped_by_label_and_by_each_axis(watched):
    content = watched.sample().content
    assert groupings(content) == [LABEL, "generator", "size"]
    for name in groupings(content):
        found = groups(content, name)
        assert sum(group.share for group in found) == pytest.approx(0.9 if name == "size" else 1)
    by_size = {group.name: group for group in groups(content, "size")}
    assert by_size["5"].success == pytest.approx(1)
    assert by_size["13"].success == 0
    assert by_size["9"].num_tasks == 3


def test_groups_are_sorted_as_chosen_and_unknown_values_come_last(watched):
    content = watched.sample().content
    assert [group.name for group in groups(content, "size", "name")] == ["5", "9", "13"]
    assert groups(content, "size", "success")[-1].name == "5"
    assert math.isnan(groups(content, LABEL, "success")[-1].success)
    assert math.isnan(groups(content, LABEL, "progress")[-1].progress)
    shares = [group.share for group in groups(content, LABEL, "draws")]
    assert shares == sorted(shares, reverse=True)


@pytest.mark.parametrize(("width", "height"), [(80, 22), (120, 40), (200, 60)])
def test_a_frame_fills_its_size_and_no_more(watched, width, height):
    lines = frame(watched.sample(), width=width, height=height).splitlines()
    assert len(lines) <= height
    assert max(map(len, lines)) <= width
    text = "\n".join(lines)
    for name in (*MASTERY, "never scored", "most progress", "by label", "cancelled"):
        assert name in text


def test_texts_of_the_user_are_shown_as_they_are_on_one_line(watched):
    text = frame(watched.sample(), width=120, height=40)
    assert "[/bold] maze" in text
    assert "line feed  [31m" in text
    assert "שלום 🙂" in text
    assert "[red] failed" in text
    assert "\x1b[31m" not in text


def test_groups_that_do_not_fit_are_summed_up(directory):
    generator = merge([single_task(number, label=f"label {number}") for number in range(40)])
    with Curriculum(generator, UniformConfig(num_active_tasks=40, session_id="many")):
        found = Session("many")
        text = frame(found.sample())
        found.close()
    (last,) = [line for line in text.splitlines() if "more, with" in line]
    assert last.strip() == "… 33 more, with 82% of the draws"
    assert len(text.splitlines()) == 22


def test_an_axis_with_very_many_values_has_few_groups(directory):
    levels = [f"level {number}" for number in range(100_000)]
    generator = bucketed({}, {"level": levels, "size": [1]})
    with Curriculum(generator, UniformConfig(num_active_tasks=64, session_id="many")):
        found = Session("many")
        by_level = groups(found.sample().content, "level", "name")
        found.close()
    assert by_level[0].name == "level 0 to level 6249"
    assert len(by_level) <= 16
    assert sum(group.num_tasks for group in by_level) == 64


def test_one_task_without_label_or_result_has_a_frame(directory):
    with Curriculum(UniformConfig(num_active_tasks=1, session_id="one")):
        found = Session("one")
        text = frame(found.sample())
        found.close()
    assert "never scored       1" in text
    assert "no labels and no axes" in text


def test_a_terminal_that_is_too_small_is_told_so(watched):
    text = frame(watched.sample(), width=60, height=20)
    assert " ".join(text.split()).startswith("The terminal is too small: 60 × 22. At least 80 × 24 is needed.")


def test_a_sparkline_shows_the_whole_time_and_leaves_gaps():
    assert sparkline([0, 0.5, 1], 10, 1.0) == "▁▅█"
    assert sparkline([math.nan, 1, math.nan, 0], 10, 1.0) == "█ ▁"
    assert len(sparkline([1.0] * 500, 20)) == 20
    assert resampled(range(500), 3) == [0, 250, 499]
    assert sparkline([0, 0], 5) == "▁▁"


@pytest.mark.usefixtures("directory")
def test_a_frame_says_how_far_a_walk_is_from_the_first_one_on():
    for cover_share, expected in ((0.0, None), (0.5, "walks 0.4 ")):
        config = UniformConfig(session_id="walks", num_active_tasks=8, cover_share=cover_share)
        with Curriculum(range(8), config) as curriculum, closing(Session("walks")) as found:
            curriculum.ask(3, replace=False)
            text = frame(found.sample())
            assert ("walks" in text.split("tasks 8")[1]) == (expected is not None)
            assert (expected or "") in text


def test_a_bar_has_the_length_of_its_share():
    assert [bar(share, 4) for share in (0, 0.5, 1, 7)] == ["", "██", "████", "████"]
    assert bar(0.3, 1) == "▎"


def test_the_throughput_is_that_of_the_last_seconds():
    timeline = Timeline()
    for second in range(100):
        timeline.add(Point(float(second), 50.0 * second if second < 50 else 2500 + 10.0 * (second - 50), 0, 0, 0))
    assert timeline.points[-1].rate == pytest.approx(10)
    assert timeline.points[30].rate == pytest.approx(50)


def test_a_timeline_stays_short_and_keeps_its_beginning_and_its_end():
    timeline = Timeline()
    for second in range(5000):
        timeline.add(Point(float(second), float(second), 0, 0, 0))
    assert len(timeline.points) <= MAX_POINTS + 1
    assert (timeline.points[0].time, timeline.points[-1].time) == (0, 4999)
    distances = np.diff([each.time for each in timeline.points])[:-1]
    assert distances.max() <= 3 * distances.min()


def test_a_timeline_begins_anew_after_an_earlier_state_was_loaded():
    timeline = Timeline()
    for completed in (100.0, 200.0, 50.0):
        timeline.add(Point(completed, completed, 0, 0, 0))
    assert [each.completed for each in timeline.points] == [50]


def test_a_line_has_the_figures_of_a_frame(watched):
    sample, timeline = watched.sample(), Timeline()
    timeline.add(point(sample))
    text = line(sample, timeline)
    assert text.startswith(f"{sample.counts['completed']:,.0f} results  –/s  success ")
    assert "never scored 10%" in text
    assert text.endswith("1 worker")


def test_a_training_that_was_killed_is_told_so_and_its_last_state_stays(holder):
    found = Session("training")
    assert "running  1 worker" in frame(found.sample())
    holder.kill()
    holder.wait()
    text = frame(found.sample())
    found.close()
    assert "No process holds the session: the training is over." in text
    assert "by label" in text


def test_a_session_that_was_started_again_is_watched_further(holder, directory):
    found = Session("training")
    holder.kill()
    holder.wait()
    assert found.sample().num_workers == 0
    with hold(directory) as process:
        assert found.sample().num_workers == 1
        process.kill()
    found.close()


def run(*arguments):
    return CliRunner().invoke(cli.app, ["watch", *arguments], env={"COLUMNS": "100"})


@pytest.mark.usefixtures("holder")
def test_once_prints_one_frame_with_all_groupings():
    result = run("training", "--once")
    assert result.exit_code == 0, result.output
    assert [name for name in (LABEL, "generator", "size") if f"by {name} " in result.output] == [
        LABEL,
        "generator",
        "size",
    ]


def test_without_a_terminal_lines_are_printed_until_the_training_ends(holder):
    holder.kill()
    holder.wait()
    result = run("training")
    assert result.exit_code == 0
    assert result.output.splitlines()[1:] == ["no process holds the session: the training has ended or was killed"]


@pytest.mark.usefixtures("holder")
def test_an_unknown_session_or_none_lists_those_that_run():
    assert [info.name for info in running()] == ["training"]
    for arguments, words in ((["nothing"], "expected one of training, got 'nothing'"), ([], "sessions are: training")):
        result = run(*arguments)
        assert result.exit_code == 1
        assert result.output.startswith("error: session: ")
        assert words in result.output


def test_no_running_session_says_how_to_name_one(directory):
    assert "none; name one with session_id in the config" in run().output
