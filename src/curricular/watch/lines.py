"""Watches a session without a full-screen view: one frame, or a plain line at intervals."""

import sys
import time
from contextlib import closing
from importlib import import_module

from rich.console import Console

from ..backends.catalogue import SessionInfo, list_sessions
from .figures import Timeline, point
from .sample import Session
from .text import MIN_WIDTH, View, line, render

FIRST_PAUSE = 0.5
"""Time between the two samples from which a single frame computes the throughput, in seconds."""


def running() -> list[SessionInfo]:
    """Returns the sessions that living processes hold."""
    return [info for info in list_sessions() if info.num_workers]


def print_frame(name: str) -> None:
    """Prints one frame of session `name`.

    Raises:
        KeyError: If no session has this name.
        SessionError: If the session cannot be read.
    """
    timeline = Timeline()
    with closing(Session(name)) as session:
        timeline.add(point(session.sample()))
        time.sleep(FIRST_PAUSE)
        sample = session.sample()
    timeline.add(point(sample))
    console = Console(width=max(MIN_WIDTH, Console().width))
    console.print(f"session {name}", style="bold", markup=False, highlight=False)
    console.print(render(sample, timeline, View(), console.width, None))


def print_lines(name: str, interval: float) -> None:
    """Prints a line about session `name` every `interval` seconds, until no process holds it.

    Raises:
        KeyError: If no session has this name.
        SessionError: If the session cannot be read.
    """
    timeline = Timeline()
    with closing(Session(name)) as session:
        while True:
            sample = session.sample()
            timeline.add(point(sample))
            print(line(sample, timeline), flush=True)
            if not sample.num_workers:
                print("no process holds the session: the training has ended or was killed", flush=True)
                return
            time.sleep(interval)


def watch(name: str | None, *, once: bool, interval: float) -> str | None:
    """Watches session `name`: full-screen in a terminal, else in plain lines.

    Args:
        name: Name of the session. None offers the running sessions in a terminal.
        once: Whether to print one frame only.
        interval: Time between two samples, in seconds.

    Returns:
        Why the view ended, if it ended with an error.

    Raises:
        KeyError: If no session has this name, or if none is given without a terminal.
        SessionError: If the session cannot be read.
        ImportError: If Textual is missing.
        KeyboardInterrupt: If Ctrl-C was pressed.
    """
    is_terminal = sys.stdin.isatty() and sys.stdout.isatty()
    if name is None and (once or not is_terminal or not running()):
        names = ", ".join(info.name for info in running()) or "none; name one with session_id in the config"
        raise KeyError(f"session: expected the name of a session, got none; the running sessions are: {names}")
    if name is None or (is_terminal and not once):
        module = import_module("curricular.watch.app")
        app = module.WatchApp(name, running(), interval)
        app.run()
        if app.return_code == module.INTERRUPTED:
            raise KeyboardInterrupt
        failure: str | None = app.failure
        return failure
    if once:
        print_frame(name)
    else:
        print_lines(name, interval)
    return None
