"""Pictures of a curriculum and of a recording, and a curriculum in a notebook."""

import pytest

from curricular import Curriculum, UniformConfig

from .recording_run import curriculum_of_mazes, record, train

NAMES = ("draws", "labels", "axis", "progress", "success")


class NoRecorder:
    def update(self):
        pass


@pytest.fixture(scope="module")
def plots():
    pytest.importorskip("pyarrow")
    return pytest.importorskip("curricular.plots", exc_type=ImportError)


@pytest.fixture(scope="module")
def curriculum():
    with curriculum_of_mazes() as curriculum:
        train(curriculum, NoRecorder(), 400)
        yield curriculum


def texts(axes):
    return [text.get_text() for text in axes.get_yticklabels()]


def test_of_a_curriculum_bars_show_this_moment(plots, curriculum):
    figure = plots.draws(curriculum)
    (axes,) = figure.axes
    assert texts(axes) == ["never scored", "never solved", "solved once", "learning", "mastered", "forgotten"]
    shares = [bar.get_width() for bar in axes.containers[0]]
    assert sum(shares) == pytest.approx(100)
    assert shares[4] == pytest.approx(100 * curriculum.stats()["mastery/mastered/probability"])


def test_of_a_recording_the_course_over_time_is_shown(plots, tmp_path):
    run = record(tmp_path)
    for source in (run, tmp_path, str(tmp_path)):
        (axes,) = plots.draws(source).axes
        assert axes.get_xlabel() == "completed results"


@pytest.mark.parametrize("name", NAMES)
def test_every_picture_is_drawn_and_saved(plots, curriculum, tmp_path, name):
    for source in (curriculum, record(tmp_path / "run", 60)):
        getattr(plots, name)(source).savefig(tmp_path / f"{name}.png")
        assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")


def test_an_axis_and_two_axes_are_chosen_by_name(plots, curriculum):
    (axes,) = plots.axis(curriculum, "size").axes
    assert (axes.get_ylabel(), texts(axes)) == ("size", ["13", "9", "5"])
    map_axes = plots.progress(curriculum, "size", "rivals").axes[0]
    assert {map_axes.get_xlabel(), map_axes.get_ylabel()} == {"size", "rivals"}


def test_what_there_is_not_is_one_clear_error(plots, curriculum, tmp_path):
    with Curriculum(UniformConfig(num_active_tasks=1, use_shared_memory=False)) as plain:
        for draw, words in (
            (lambda: plots.labels(plain), "source: expected tasks with labels, got none"),
            (lambda: plots.axis(curriculum, "colour"), "source: expected tasks with the axis 'colour', got none"),
            (lambda: plots.progress(curriculum, "size", "colour"), "'size' and 'colour' among them, got none"),
        ):
            with pytest.raises(ValueError, match=words):
                draw()
    with pytest.raises(TypeError, match="source: expected a curriculum, a recording or its folder, got int"):
        plots.draws(3)
    (tmp_path / "recording.arrow").touch()
    with pytest.raises(ValueError, match="source: expected a recording with a snapshot, got the empty one"):
        plots.draws(tmp_path)


def test_a_notebook_shows_counts_states_and_labels_and_no_markup_of_the_user(curriculum):
    text = curriculum._repr_html_()
    assert "completed 343" in text
    num_learning = curriculum.stats()["mastery/learning/num_tasks"]
    assert f"learning</td><td>{num_learning:.0f}</td>" in text
    assert "[/bold] broken &lt;script&gt;" in text
    assert "<script>" not in text
    assert text.count("<tr>") == 2 + 6 + 2


def test_a_notebook_shows_why_a_closed_curriculum_has_no_statistics():
    curriculum = curriculum_of_mazes()
    curriculum.close()
    assert "got one after close(); create a new one" in curriculum._repr_html_()
