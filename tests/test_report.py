"""Reports: the charts and sentences of a recording, and the page in a real browser where there is one."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

pytest.importorskip("pyarrow")
pytest.importorskip("plotly")

import pyarrow as pa

from curricular import Curriculum, UniformConfig, bucketed, cli, merge, single_task
from curricular.mastery import MASTERY
from curricular.recording import Recorder, Recording, file, read_recording, told_apart
from curricular.recording.file import SCHEMA, begin_file, to_batch
from curricular.report.charts import Series, charts, stat
from curricular.report.page import ends, figure, page
from curricular.report.summary import sentences

from .recording_run import curriculum_of_mazes, record

WATCH = """<script>
const faults = [];
addEventListener("error", event => faults.push(event.message));
addEventListener("load", () => setTimeout(() => {
  const charts = [...document.querySelectorAll(".plotly-graph-div")];
  const drawn = charts.filter(chart => chart.querySelector("svg .scatterlayer path, svg .heatmaplayer image"));
  const asked = performance.getEntriesByType("resource").filter(entry => !entry.name.startsWith("data:"));
  const wide = document.body.scrollWidth > innerWidth;
  let tips = 0;
  for (const chart of charts) {
    Plotly.Fx.hover(chart, {xpx: 5, ypx: 5});
    tips += chart.querySelectorAll(".hoverlayer .hovertext, .hoverlayer .legend").length > 0;
  }
  const text = charts[0].querySelector(".xtitle").style.fill, back = getComputedStyle(document.body).backgroundColor;
  document.title = `drawn ${drawn.length} tips ${tips} faults ${faults.length} requests ${asked.length} wide ${wide} `
    + `text ${text} on ${back}`;
}, 1500));
</script>"""
"""Puts what the browser did with the page into its title."""

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Two recordings, the second one shorter."""
    root = tmp_path_factory.mktemp("runs")
    record(root / "first <run>")
    record(root / "second", 200)
    return [root / "first <run>", root / "second"]


@pytest.fixture(scope="module")
def runs(folders):
    return [read_recording(folder) for folder in folders]


def test_a_report_reads_the_statistics_of_each_snapshot_once(folders, monkeypatch):
    kinds = []
    of_kind = file._of_kind
    monkeypatch.setattr(file, "_of_kind", lambda batch, kind: kinds.append(kind) or of_kind(batch, kind))
    run = read_recording(folders[0])
    page([run])
    assert kinds.count("stat") == len(run.batches)


def made_up(folder, *snapshots):
    """Writes a recording whose snapshots hold these statistics."""
    folder.mkdir(parents=True, exist_ok=True)
    batches = [
        to_batch([{"kind": "stat", "name": name, "value": value} for name, value in stats.items()], 100 * number, 0.0)
        for number, stats in enumerate(snapshots)
    ]
    file, _ = begin_file(folder / "recording.arrow", batches)
    file.close()
    return read_recording(folder)


def test_the_charts_are_those_that_the_run_has(runs):
    keys = [chart.key for chart in charts(runs[:1])]
    assert keys == [
        "success", "effective", "draws-1", "labels-success-1", "labels-draws-1", "axis-1-1", "axis-2-1", "axis-3-1",
        "map-1-1", "map-2-1", "map-3-1", "tasks-success-1", "tasks-progress-1", "outcomes-1",
    ]  # fmt: skip


def test_draws_by_state_are_the_shares_in_the_statistics_and_sum_to_100(runs):
    (chart,) = [chart for chart in charts(runs[:1]) if chart.key == "draws-1"]
    assert [series.name for series in chart.series] == list(MASTERY)
    np.testing.assert_allclose(np.sum([series.y for series in chart.series], axis=0), 100)
    np.testing.assert_allclose(chart.series[4].y, 100 * stat(runs[0], "mastery/mastered/probability"))


def test_a_map_has_the_progress_of_each_pair_of_values(runs):
    (chart,) = [chart for chart in charts(runs[:1]) if chart.title == "Where progress is: rivals and size"]
    assert (chart.x, chart.y) == (["0", "1"], ["5", "9", "13"])
    rows = {(row["item"], row["item_2"]): row for row in runs[0].last_rows("map")}
    assert chart.cells[2, 1] == pytest.approx(100 * rows["1", "13"]["progress"])


def test_several_runs_share_charts_and_colours_and_dashes_tell_them_apart(runs):
    compared = charts(runs)[0]
    assert [series.name for series in compared.series] == ["first <run>", "second"]
    assert len({(series.colour, series.dash) for series in compared.series}) == 2
    assert len(compared.series[0].colour) == 7


def test_names_at_the_ends_of_lines_do_not_overlap():
    lines = [Series(name, np.arange(3), np.array([0.0, 50.0, y]), "#000000") for name, y in (("a", 50), ("b", 50.1))]
    (_, low), (_, high) = ends(lines, is_stacked=False)
    assert high - low >= 3


def test_a_run_whose_draws_go_to_mastered_tasks_is_told_so(tmp_path):
    shares = [0.0] * 4 + [0.62] * 6
    run = made_up(
        tmp_path / "bad",
        *(
            {
                "mastery/mastered/probability": share,
                "mastery/mastered/num_tasks": 3,
                "mastery/never_scored/num_tasks": 0,
                "num_active": 16,
                "probability/effective_num_tasks": 3,
                "num_cancelled": 0,
                "num_scheduled": 100,
            }
            for share in shares
        ),
    )
    assert "From 44% of the run on, 62% of the draws went to mastered tasks (3 at the end)." in sentences(run)


def test_tasks_without_a_score_are_named_with_how_often_they_were_handed_out(runs):
    told = list(sentences(runs[0]))
    index = told.index("1 of 7 tasks have no score.")
    assert re.fullmatch(
        r"Handed out most often without a score: task \d+ .*broken.* \d+ times\.", told[index + 1], re.DOTALL
    )
    assert any(re.search(r"\d+ of 400 hand-outs .* were cancelled: failed \d+", told) for told in sentences(runs[0]))


def test_an_empty_run_and_one_snapshot_of_one_task_have_a_page(tmp_path):
    empty = made_up(tmp_path / "empty")
    assert list(sentences(empty)) == ["The recording is empty: no snapshot was taken yet."]
    assert "The recording is empty" in page([empty])
    assert "<section>" not in page([empty])
    assert page([empty]).rstrip().endswith("</body></html>")
    result = CliRunner().invoke(
        cli.app, ["report", str(tmp_path / "empty"), "--out", str(tmp_path / "x.html"), "--png", str(tmp_path / "png")]
    )
    assert result.exit_code == 0, result.output
    assert not list((tmp_path / "png").iterdir())
    with curriculum_of_mazes() as curriculum, Recorder(curriculum, tmp_path / "one") as recorder:
        recorder.update()
    one = read_recording(tmp_path / "one")
    assert page([one]).count("<section>") == len(charts([one]))
    assert list(sentences(one)) == ["There are no results yet; the pool has 7 tasks."]


def test_reasons_are_those_of_the_last_snapshot(tmp_path):
    counts = dict.fromkeys(("num_active", "num_scheduled", "num_cancelled"), 3.0)
    run = made_up(tmp_path, {**counts, "cancelled/lost": 3.0}, {**counts, "cancelled/failed": 3.0})
    assert "3 of 3 hand-outs (100.0%) were cancelled: failed 3." in sentences(run)


def test_values_with_the_same_beginning_have_columns_of_their_own(tmp_path):
    names = [f"a corridor with four doors {number}" for number in range(3)]
    with Curriculum(
        UniformConfig(use_shared_memory=False), bucketed({}, {"room": names, "size": [1, 2]})
    ) as curriculum:
        curriculum.tell(curriculum.tasks()["task_id"], np.arange(6) / 6)
        with Recorder(curriculum, tmp_path):
            pass
    (chart,) = [chart for chart in charts([read_recording(tmp_path)]) if chart.key.startswith("map")]
    axis = "x" if chart.x_title == "room" else "y"
    (heatmap,) = figure(chart).data
    assert list(heatmap[axis]) == [0, 1, 2]
    assert {name for row in heatmap.customdata for cell in row for name in names if name in cell} == {*names}


def test_texts_of_the_user_stay_on_their_line(tmp_path):
    with Curriculum(bucketed({}, {"a\nb\x1b[31m": [1, 2]})) as curriculum, Recorder(curriculum, tmp_path / "run"):
        curriculum.cancel([task.task_id for task in curriculum.ask(2)], "failed")
        curriculum.tell([0], [1.0])
    result = CliRunner().invoke(cli.app, ["report", str(tmp_path / "run"), "--out", str(tmp_path / "x.html")])
    assert result.exit_code == 0, result.output
    assert "\x1b" not in result.output
    assert all(line.startswith(("run:", "  ", "report:")) for line in result.output.splitlines()), result.output


def test_a_folder_whose_name_is_no_text_is_read(tmp_path):
    folder = os.fsdecode(os.fsencode(tmp_path) + b"/run\xff")
    try:
        record(folder, 40)
    except OSError:
        pytest.skip("the file system takes texts only")
    result = CliRunner().invoke(cli.app, ["report", folder, "--out", str(tmp_path / "x.html")])
    assert result.exit_code == 0, result.output


def test_one_snapshot_shows_no_course_over_time(tmp_path):
    with curriculum_of_mazes() as curriculum, Recorder(curriculum, tmp_path):
        curriculum.tell([0, 1], [1.0, 1.0])
    told = list(sentences(read_recording(tmp_path)))
    assert "The mean success rate is 100%; it was recorded once, so its course over time is not known." in told
    assert not [sentence for sentence in told if "went" in sentence or "of the snapshots" in sentence]


def test_runs_whose_folders_have_one_name_are_told_apart_by_the_folders_above():
    paths = [Path("runs/a/x"), Path("runs/b/x"), Path("runs/b/y")]
    named = told_apart([Recording(path.name, [], is_cut=False) for path in paths], paths)
    assert [run.name for run in named] == ["a/x", "b/x", "b/y"]
    assert [run.name for run in told_apart(named[1:], paths[1:])] == ["x", "y"]
    assert [run.name for run in told_apart(named[:1] * 2, paths[:1] * 2)] == ["x", "x"]


def test_texts_of_the_user_are_no_markup(runs):
    text = page(runs)
    assert "<run>" not in text
    assert "first &lt;run&gt;" in text
    assert "broken\n<script>" not in text


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")
def test_a_browser_draws_every_chart_and_its_tooltip_light_and_dark_without_an_error_or_a_request(runs, tmp_path):
    path = tmp_path / "report.html"
    path.write_text(page(runs).replace("</head>", WATCH + "</head>"), encoding="utf-8")
    for width, scheme, colours in (
        (360, 1, "text rgb(27, 27, 27) on rgb(255, 255, 255)"),
        (1600, 0, "text rgb(236, 236, 236) on rgb(22, 24, 27)"),
    ):
        command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", f"--window-size={width},900", "--dump-dom",
                   f"--blink-settings=preferredColorScheme={scheme}", "--virtual-time-budget=8000",
                   f"--user-data-dir={tmp_path / 'profile'}", path.as_uri()]  # fmt: skip
        dom = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300).stdout
        title = re.search(r"<title>(.*?)</title>", dom)[1]
        number = len(charts(runs))
        assert title == f"drawn {number} tips {number} faults 0 requests 0 wide false {colours}"


def test_the_command_writes_page_and_pictures_and_prints_the_summary(folders, tmp_path):
    pytest.importorskip("matplotlib")
    out, pictures = tmp_path / "report.html", tmp_path / "pictures"
    arguments = ["report", str(folders[0]), "--out", str(out), "--png", str(pictures)]
    result = CliRunner().invoke(cli.app, arguments)
    assert result.exit_code == 0, result.output
    assert "1 of 7 tasks have no score." in result.output
    assert "<!doctype html>" in out.read_text(encoding="utf-8")
    names = {path.stem for path in pictures.iterdir()}
    assert names == {chart.key for chart in charts([read_recording(folders[0])])}


def test_pictures_of_labels_with_letters_that_no_font_has_are_drawn_without_a_warning(tmp_path):
    pytest.importorskip("matplotlib")
    from curricular.report.pictures import write_pictures  # noqa: PLC0415  after the line that skips

    generator = merge([single_task(label, label=label) for label in ("🙂 $x$", "a\nb\x1b[31m")])
    config = UniformConfig(use_shared_memory=False, num_active_tasks=2)
    with Curriculum(generator, config) as curriculum, Recorder(curriculum, tmp_path / "run") as recorder:
        curriculum.tell([0, 1], [1.0, 0.0])
        recorder.close()
    assert len(write_pictures([read_recording(tmp_path / "run")], tmp_path / "png")) > 5


def test_a_folder_without_a_recording_is_one_line_and_exit_code_1(tmp_path):
    result = CliRunner().invoke(cli.app, ["report", str(tmp_path / "nothing")])
    assert result.exit_code == 1
    assert result.output.startswith("error: path: expected a folder with a recording.arrow")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--out", "nowhere/x.html"], "error: out: expected a file that can be written, got 'nowhere/x.html'"),
        (["--out", "."], "error: out: expected a file that can be written, got '.'"),
        (["--png", "notes"], "error: png: expected a folder that can be written, got 'notes'"),
    ],
)
def test_a_path_that_cannot_be_written_is_one_line_and_exit_code_1(folders, tmp_path, monkeypatch, options, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes").write_text("notes", encoding="utf-8")
    result = CliRunner().invoke(cli.app, ["report", str(folders[0]), *options])
    assert result.exit_code == 1
    assert result.output.startswith(words)
    assert result.output.count("\n") == 1


def test_a_file_that_is_none_and_a_newer_one_are_one_line_and_exit_code_1(tmp_path):
    newer = pa.ipc.new_stream(str(tmp_path / "newer"), SCHEMA.with_metadata({"curricular.format": "2"}))
    newer.close()
    (tmp_path / "notes").write_text("notes", encoding="utf-8")
    for name, words in (("notes", "which is none"), ("newer", "expected a recording of format 1, got format 2")):
        result = CliRunner().invoke(cli.app, ["report", str(tmp_path / name)])
        assert result.exit_code == 1
        assert result.output.startswith("error: path: ")
        assert words in result.output


def test_a_recording_that_was_cut_off_is_reported_and_the_rest_is_shown(tmp_path):
    record(tmp_path / "run", 200)
    file = tmp_path / "run" / "recording.arrow"
    file.write_bytes(file.read_bytes()[:-300])
    result = CliRunner().invoke(cli.app, ["report", str(tmp_path / "run"), "--out", str(tmp_path / "report.html")])
    assert result.exit_code == 0
    assert "The file ends within a snapshot, as after a crash" in result.output
    assert "results in" in result.output
