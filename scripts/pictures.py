"""Makes the pictures of docs/seeing.md: records a simulated training under two algorithms, and draws the reports."""

# ruff: noqa: T201  printing is its purpose

import math
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from curricular import Curriculum, CurriculumConfig, NoiseAwareConfig, UniformConfig, bucketed, merge, single_task
from curricular.recording import Recorder, read_recording
from curricular.report.page import page
from curricular.report.pictures import write_pictures

IMAGES = Path(__file__).parents[1] / "docs" / "images"
NUM_HANDOUTS = 15_000


def train(config: CurriculumConfig, folder: Path) -> None:
    """Records a simulated agent whose skill at mazes and arenas grows with what it plays."""
    sizes, rivals = [5, 7, 9, 11, 13, 15], [0, 1, 2, 4]
    mazes, arenas = (bucketed({}, {"size": sizes, "rivals": rivals}, label=label) for label in ("maze", "arena"))
    generator = merge([mazes, arenas, single_task({"broken": True}, label="does not start")])
    rng = np.random.default_rng(0)
    skill = dict.fromkeys(("maze", "arena"), 0.0)
    with Curriculum(generator, config) as curriculum, Recorder(curriculum, folder, interval=200) as recorder:
        for _ in range(NUM_HANDOUTS):
            task = curriculum.get_task()
            if task.label not in skill:
                curriculum.cancel([task.task_id], "failed")
                continue
            difficulty = 0.9 * task.params["size"] + 1.2 * task.params["rivals"] - 6
            success = 1 / (1 + math.exp(difficulty - skill[task.label]))
            skill[task.label] += 0.015 * success * (1 - success) * (0.6 if task.label == "arena" else 1.0)
            curriculum.update_task_performance(task.task_id, float(rng.random() < success))
            recorder.update()


def main() -> None:
    """Writes the pictures, and those of the page if Chromium is there."""
    configs = {"recommended": NoiseAwareConfig, "uniform": UniformConfig}
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        for run, config in configs.items():
            train(config(num_active_tasks=49, use_shared_memory=False), root / run)
        recordings = [read_recording(root / run) for run in configs]
        write_pictures(recordings, root / "png")
        for chart in ("draws-1", "draws-2", "labels-success-1", "axis-3-1"):
            shutil.copy(root / "png" / f"{chart}.png", IMAGES / f"report-{chart}.png")
        (root / "report.html").write_text(page(recordings), encoding="utf-8")
        chromium = shutil.which("chromium")
        if chromium is None:
            sys.exit("no Chromium here: the pictures of the page were not made")
        for theme, width, height in (("light", 1400, 1250), ("dark", 1400, 1250), ("narrow", 500, 1400)):
            scheme = f"--blink-settings=preferredColorScheme={0 if theme == 'dark' else 1}"
            target = IMAGES / f"report-page-{theme}.png"
            options = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", scheme,
                       "--virtual-time-budget=8000", f"--user-data-dir={root / 'profile'}",
                       f"--window-size={width},{height}", f"--screenshot={target}"]  # fmt: skip
            page_address = (root / "report.html").as_uri()
            subprocess.run([chromium, *options, page_address], check=True, capture_output=True)  # noqa: S603
    print(*sorted(IMAGES.glob("report-*.png")), sep="\n")


if __name__ == "__main__":
    main()
