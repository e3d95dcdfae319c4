"""Makes the pictures of docs/seeing.md: trains a simulated agent under two algorithms, watches it, and draws reports.

Prints the true success of both agents at the end: the recorded rates are averages over many results of each task.
"""

# ruff: noqa: T201  printing is its purpose

import asyncio
import itertools
import math
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from curricular import Curriculum, CurriculumConfig, NoiseAwareConfig, UniformConfig, bucketed, merge, single_task
from curricular.recording import Recorder, read_recording
from curricular.report.page import page
from curricular.report.pictures import write_pictures
from curricular.watch.app import WatchApp

IMAGES = Path(__file__).parents[1] / "docs" / "images"
NUM_HANDOUTS = 15_000
SIZES, RIVALS = [5, 7, 9, 11, 13, 15], [0, 1, 2, 4]
SPEED = {"maze": 0.015, "arena": 0.009}
"""How fast the agent learns from a task of each kind."""


class Agent:
    """A simulated agent whose skill at mazes and arenas grows with what it plays."""

    def __init__(self) -> None:
        self._rng = np.random.default_rng(0)
        self._skill = dict.fromkeys(SPEED, 0.0)

    def success(self, kind: str, size: int, rivals: int) -> float:
        """Returns the chance that it solves a task."""
        return 1 / (1 + math.exp(0.9 * size + 1.2 * rivals - 6 - self._skill[kind]))

    def play(self, kind: str, size: int, rivals: int) -> float:
        """Returns the score of one episode, and learns from it: most where success and failure are as likely."""
        success = self.success(kind, size, rivals)
        self._skill[kind] += SPEED[kind] * success * (1 - success)
        return float(self._rng.random() < success)

    @property
    def mean_success(self) -> float:
        """Mean chance over all tasks that start."""
        return float(np.mean([self.success(*task) for task in itertools.product(SPEED, SIZES, RIVALS)]))


def create(config: CurriculumConfig) -> Curriculum:
    """Returns a curriculum of mazes and arenas, and a task that never starts."""
    axes = {"size": SIZES, "rivals": RIVALS}
    return Curriculum(merge([*(bucketed({}, axes, label=label) for label in SPEED),
                             single_task({"broken": True}, label="does not start")]), config)  # fmt: skip


def train(curriculum: Curriculum, agent: Agent, num_handouts: int, update: Callable[[], object]) -> None:
    """Trains the agent, and calls `update` after each result."""
    for _ in range(num_handouts):
        task = curriculum.get_task()
        if task.label not in SPEED:
            curriculum.cancel([task.task_id], "failed")
            continue
        score = agent.play(task.label, int(task.params["size"]), int(task.params["rivals"]))
        curriculum.update_task_performance(task.task_id, score)
        update()


async def watch(curriculum: Curriculum, name: str) -> str:
    """Returns a picture of the view of a training that continues meanwhile."""
    agent, app = Agent(), WatchApp(name, interval=0.05)
    async with app.run_test(size=(100, 32)) as pilot:
        for _ in range(40):
            train(curriculum, agent, 200, lambda: None)
            await pilot.pause(0.1)
        await pilot.press("left")  # the last axis
        await pilot.pause(0.5)
        drawing = app.export_screenshot(title="curricular watch")
    return re.sub(r"@font-face \{.*?\}", "", drawing, flags=re.DOTALL)  # no font from the network


def main() -> None:
    """Writes the pictures, and those of the page if Chromium is there."""
    recommended = NoiseAwareConfig(num_active_tasks=49, use_shared_memory=False)
    # By default, uniform choice averages over fewer results; the two curves could then not be compared.
    rates = {name: getattr(recommended, name) for name in ("ema_timescale", "slow_timescale_factor")}
    configs = {
        "recommended": recommended,
        "uniform": UniformConfig(num_active_tasks=49, use_shared_memory=False, **rates),
    }
    with create(NoiseAwareConfig(num_active_tasks=49, session_id="my-training")) as curriculum:
        drawing = asyncio.run(watch(curriculum, "my-training"))
    (IMAGES / "watch.svg").write_text(drawing, encoding="utf-8")
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        for run, config in configs.items():
            agent = Agent()
            with create(config) as curriculum, Recorder(curriculum, root / run, interval=200) as recorder:
                train(curriculum, agent, NUM_HANDOUTS, recorder.update)
            print(f"{run}: true mean success {agent.mean_success:.0%}")
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
    print(*sorted([*IMAGES.glob("report-*.png"), IMAGES / "watch.svg"]), sep="\n")


if __name__ == "__main__":
    main()
