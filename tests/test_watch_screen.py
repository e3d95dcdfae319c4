"""The full-screen view of `curricular watch`, in a real pseudo-terminal and with Textual's own pilot."""

import asyncio
import fcntl
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time

import pytest

pytest.importorskip("textual")

from curricular.backends import session
from curricular.watch.app import Choice, Help, WatchApp
from curricular.watch.lines import running

from .helpers import TIMEOUT
from .watched import create, hold

WATCH = """
import sys
from pathlib import Path
from curricular.backends import session
session.base_directory = lambda: Path(sys.argv.pop(1))
folder = session.base_directory()
session.base_directory = lambda: folder
from curricular.cli import main
main()
"""


@pytest.fixture
def directory(monkeypatch, tmp_path):
    monkeypatch.setattr(session, "base_directory", lambda: tmp_path)
    return tmp_path


class Terminal:
    """A program in a pseudo-terminal of 80 × 24."""

    def __init__(self, *arguments):
        self.shown = ""
        self.pid, self._fd = pty.fork()
        if self.pid == 0:
            path = os.pathsep.join([os.getcwd(), *sys.path])  # noqa: PTH109  the folder of the project
            environment = {**os.environ, "PYTHONPATH": path, "TERM": "xterm-256color", "COLORTERM": "truecolor"}
            environment = {name: value for name, value in environment.items() if name not in {"COLUMNS", "LINES"}}
            os.execve(sys.executable, [sys.executable, "-c", WATCH, *map(str, arguments)], environment)
        self.resize(80, 24)

    def resize(self, width, height):
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
        os.kill(self.pid, signal.SIGWINCH)

    def press(self, keys):
        self.shown = ""
        os.write(self._fd, keys.encode())

    def wait_for(self, *words):
        """Reads until the screen was painted with all `words` since the last key."""
        deadline = time.monotonic() + TIMEOUT
        while not all(word in self.shown for word in words):
            assert time.monotonic() < deadline, f"waited for {words} in {self.shown!r}"
            self._read()

    def wait(self):
        """Returns the exit code."""
        while self._read():
            pass
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def _read(self):
        if select.select([self._fd], [], [], 0.1)[0]:
            try:
                text = os.read(self._fd, 65536).decode(errors="replace")
            except OSError:  # the program has ended
                return False
            self.shown += re.sub(r"\x1b\[[0-9;?]*[ -/]*[@-~]", "", text)
        return True

    def end(self):
        os.close(self._fd)


def test_a_training_is_watched_in_a_terminal_until_it_is_killed_and_the_user_quits(directory):
    trainer = hold(directory)
    terminal = Terminal(directory, "watch", "training", "--interval", "0.1")
    try:
        terminal.wait_for("session training", "1 worker", "where the", "never scored", "by label", "[/bold] maze")
        terminal.press("\x1b[C\x1b[C")
        terminal.wait_for("by size", "13")
        terminal.press("?")
        terminal.wait_for("sort by draws", "the training continues")
        terminal.press(" ")
        terminal.resize(60, 20)
        terminal.wait_for("The terminal is too small")
        terminal.resize(120, 40)
        terminal.wait_for("most progress", "by size")
        trainer.kill()
        trainer.wait()
        terminal.wait_for("No process holds the session")
        terminal.press("q")
        assert terminal.wait() == 0
    finally:
        terminal.end()
        trainer.kill()
        trainer.communicate()


@pytest.mark.parametrize("keys", ["", "?"])
def test_ctrl_c_ends_the_view_as_it_ends_any_command(keys, directory):
    with create("training"):
        terminal = Terminal(directory, "watch", "training")
        try:
            terminal.wait_for("session training", "by label")
            if keys:
                terminal.press(keys)
                terminal.wait_for("the training continues")
            terminal.press("\x03")
            assert terminal.wait() == 130
        finally:
            terminal.end()


def follow(steps, name="training", **settings):
    """Runs `steps` on the view of a session of this process."""

    async def run():
        app = WatchApp(name, interval=0.1, **settings)
        async with app.run_test(size=(80, 24)) as pilot:
            await steps(app, pilot)
        return app

    return asyncio.run(run())


def text_of(app):
    return "\n".join("".join(part.text for part in strip) for strip in app.screen._compositor.render_strips())


async def until_shown(app, pilot, words):
    deadline = time.monotonic() + TIMEOUT
    while words not in text_of(app):
        assert time.monotonic() < deadline, text_of(app)
        await pilot.pause(0.02)


def test_keys_change_the_order_the_grouping_and_the_pause(directory):
    async def steps(app, pilot):
        await until_shown(app, pilot, "by label · 1/3")
        await pilot.press("s", "right")
        await until_shown(app, pilot, "by generator · 2/3")
        assert app.view.order == "success"
        await pilot.press("left", "left")
        await until_shown(app, pilot, "by size · 3/3")
        await pilot.press("p")
        await until_shown(app, pilot, "paused")
        curriculum.tell([0] * 50, [1.0] * 50)
        await pilot.pause(0.1)
        assert before in text_of(app)
        await pilot.press("p")
        await until_shown(app, pilot, f"{int(curriculum.stats()['num_completed'])} results")
        await pilot.press("question_mark")
        await pilot.pause()
        assert isinstance(app.screen, Help)
        await pilot.press("escape")
        await pilot.pause()
        assert not isinstance(app.screen, Help)
        await pilot.press("q")

    with create("training") as curriculum:
        before = f"{int(curriculum.stats()['num_completed'])} results"
        assert follow(steps).failure is None


def test_without_a_name_the_running_sessions_are_offered(directory):
    async def steps(app, pilot):
        await pilot.pause()
        assert isinstance(app.screen, Choice)
        await until_shown(app, pilot, "training  10 tasks  1 worker")
        await pilot.press("enter")
        await until_shown(app, pilot, "by label")

    with create("training"):
        assert follow(steps, None, sessions=running()).failure is None


def test_an_unknown_session_ends_the_view_with_the_error(directory):
    async def steps(app, pilot):
        while app.is_running and app.failure is None:
            await pilot.pause(0.02)

    assert "expected an existing session" in follow(steps, "nothing").failure
