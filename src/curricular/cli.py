"""The command line: one function per command, which imports its own modules only when it runs."""

import contextlib
import os
import sys
from collections.abc import Iterator
from enum import StrEnum
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

from . import __version__
from .backends.catalogue import clean_sessions, list_sessions, remove_session
from .backends.layout import SessionError
from .kernel import KERNEL
from .texts import one_line, width_of

try:
    import typer
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text
except ModuleNotFoundError as _error:
    raise SystemExit(f"error: the command line needs {_error.name}: pip install 'curricular[cli]'") from None

_NAMES = "Comma-separated names, such as --list prints"
_SESSION = "Name of the session, as in `curricular sessions list`."


def _session_names(incomplete: str) -> list[str]:
    """Returns the names of sessions that complete the word before the cursor in a shell."""
    return [info.name for info in list_sessions() if info.name.startswith(incomplete)]


app: typer.Typer = typer.Typer(
    help="Choose what a reinforcement-learning agent trains on next, by its learning progress.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@app.callback(invoke_without_command=True)
def _curricular(
    *, version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False
) -> None:
    if version:
        print(f"curricular {__version__} ({'compiled kernel' if KERNEL else 'NumPy only'})")
        raise typer.Exit


@app.command()
def demo(
    *,
    algorithms: Annotated[str, typer.Option(help=f"{_NAMES}.")] = "uniform,noise-aware",
    seeds: Annotated[
        int, typer.Option(help="Number of runs per algorithm; their seeds are 0, 1, 2, …", metavar="N")
    ] = 1,
    steps: Annotated[int | None, typer.Option(help="Environment steps per run.", metavar="N")] = None,
    out: Annotated[Path, typer.Option(help="Folder for the figures and the picture.")] = Path("curricular-demo"),
    quick: Annotated[bool, typer.Option("--quick", help="Train on fewer levels for fewer steps.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the runs saved in the --out folder.")] = False,
    lists: Annotated[bool, typer.Option("--list", help="Print the names of the algorithms, and exit.")] = False,
) -> None:
    """Train an agent on MiniGrid with each algorithm as its curriculum, and compare the agents."""
    options = import_module("curricular.demo.options")  # before PyTorch, which is slow
    if lists:
        print(*options.ALGORITHMS, sep="\n")
        raise typer.Exit
    names = _split(algorithms)
    try:
        options.check_options(names, seeds, steps)
    except ValueError as error:
        raise _failure(error, code=2) from None
    run = _load("curricular.demo.run", extra="demo")
    jobs = run.plan(names, seeds, num_steps=steps, is_quick=quick)
    with _writing("out", out, "folder"):
        out.mkdir(parents=True, exist_ok=True)
    try:
        run.demo(jobs, out, _console(), resumes=resume)
    except run.RunError as error:
        raise _failure(error, code=1) from None
    except ValueError as error:
        raise _failure(error, code=2) from None
    except KeyboardInterrupt:
        print(f"interrupted: the figures so far are in {out}", file=sys.stderr)
        raise typer.Exit(130) from None


@app.command()
def bench(
    *,
    algorithms: Annotated[
        str | None,
        typer.Option(
            help=f"{_NAMES}, or `module:function` for your own: a function of num_active_tasks, seed and "
            "use_shared_memory that returns a config, or a config and an algorithm. A module in the current folder is "
            "found."
        ),
    ] = None,
    scenarios: Annotated[str | None, typer.Option(help=f"{_NAMES}. Default: all but post-training.")] = None,
    seeds: Annotated[
        int, typer.Option(help="Number of runs per algorithm and scenario; their seeds are 0, 2, 4, …", metavar="N")
    ] = 10,
    variations: Annotated[
        str, typer.Option(help="Comma-separated variations of the scenarios, 0 to 3; 0 is the definition.")
    ] = "0",
    speed: Annotated[
        float, typer.Option(help="Factor on the learners' speed, at most 100; run lengths are divided by it.")
    ] = 1.0,
    jobs: Annotated[
        int | None, typer.Option(help="Number of runs at a time. Default: one per processor.", metavar="N")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for the figures and the pictures.")] = Path("curricular-bench"),
    lists: Annotated[
        bool, typer.Option("--list", help="Print the names of the algorithms and the scenarios, and exit.")
    ] = False,
) -> None:
    """Compare algorithms as teachers of simulated learners whose true success rates are known."""
    planning = import_module("curricular.bench.plan")
    if lists:
        print("algorithms:", *planning.ALGORITHMS, "scenarios:", *planning.SCENARIOS, sep="\n  ")
        raise typer.Exit
    names = {"algorithms": algorithms, "scenarios": scenarios}
    try:
        plan = planning.create_plan(
            **{argument: _split(text) for argument, text in names.items() if text is not None},
            num_seeds=seeds,
            variations=[_whole(number, "variations") for number in variations.split(",")],
            speed=speed,
        )
        num_processes = planning.count_processes(jobs)
    except ValueError as error:
        raise _failure(error, code=2) from None
    run = _load("curricular.bench.run", extra="demo")
    with _writing("out", out, "folder"):
        out.mkdir(parents=True, exist_ok=True)
    try:
        run.bench(plan, out, _console(), num_processes=num_processes)
    except planning.FactoryError as error:
        raise _failure(error, code=2) from None
    except KeyboardInterrupt:
        print("interrupted: nothing was written", file=sys.stderr)
        raise typer.Exit(130) from None


def _split(names: str) -> list[str]:
    """Returns comma-separated names, in which underscores count as dashes except in ``module:function``."""
    return [name if ":" in name else name.replace("_", "-") for name in names.split(",")]


def _whole(number: str, argument: str) -> int:
    try:
        return int(number)
    except ValueError:
        raise ValueError(
            f"{argument}: expected comma-separated whole numbers, got {number!r}; correct the list"
        ) from None


@app.command()
def report(
    runs: Annotated[list[Path], typer.Argument(help="Folders of recordings; several are overlaid.")],
    *,
    out: Annotated[Path, typer.Option(help="The HTML file.")] = Path("curricular-report.html"),
    png: Annotated[Path | None, typer.Option(help="Folder for the charts as PNG files.", metavar="DIR")] = None,
) -> None:
    """Write an HTML file with charts of one or several recordings."""
    recording = _load("curricular.recording", extra="report")
    page = _load("curricular.report.page", extra="report")
    summary = import_module("curricular.report.summary")
    try:
        recordings = recording.told_apart([recording.read_recording(run) for run in runs], runs)
    except (OSError, ValueError) as error:
        raise _failure(error, code=1) from None
    with _writing("out", out, "file"):
        out.write_text(page.page(recordings), encoding="utf-8")
    if png is not None:
        with _writing("png", png, "folder"):
            _load("curricular.report.pictures", extra="report").write_pictures(recordings, png)
    for read in recordings:
        print(f"{one_line(read.name)}:", *map(one_line, summary.sentences(read)), sep="\n  ")
    print(f"report: {one_line(str(out))}")
    if png is not None:
        print(f"pictures: {one_line(str(png))}")


class Format(StrEnum):
    """How `curricular show` prints."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


@app.command()
def show(
    name: Annotated[
        str,
        typer.Argument(
            help="Path of a checkpoint, or name of a session.", metavar="FILE|SESSION", autocompletion=_session_names
        ),
    ],
    *,
    form: Annotated[Format, typer.Option("--format", "-f", help="CSV has all tasks, and nothing else.")] = Format.TABLE,
) -> None:
    """Show what is in a checkpoint or a session: settings, counts, labels and tasks. It does not join the session."""
    showing = import_module("curricular.show")
    try:
        content = showing.read_content(name)
    except (KeyError, ValueError, SessionError) as error:
        raise _failure(error.args[0], code=1) from None
    except OSError as error:
        raise _failure(error, code=1) from None
    import_module("curricular.show_text").WRITERS[form](content, sys.stdout)


@app.command()
def watch(
    session: Annotated[
        str | None,
        typer.Argument(help=f"{_SESSION} Without it, the running sessions are offered.", autocompletion=_session_names),
    ] = None,
    *,
    once: Annotated[bool, typer.Option("--once", help="Print one frame and exit.")] = False,
    interval: Annotated[float, typer.Option(help="Seconds between two frames.", min=0.1)] = 1.0,
) -> None:
    """Watch a running session: throughput, where the draws go, success and progress by label and by axis.

    The session is read without joining it. Without a terminal, a plain line is printed for each frame.
    """
    try:
        failure = import_module("curricular.watch.lines").watch(session, once=once, interval=interval)
    except (KeyError, SessionError) as error:
        raise _failure(error.args[0], code=1) from None
    except ImportError as error:
        raise _failure(error, code=1) from None
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    if failure is not None:
        raise _failure(failure, code=1)


@app.command()
def replay(
    directory: Annotated[Path, typer.Argument(help="Directory of the journal of a cluster.", metavar="DIR")],
    *,
    tasks: Annotated[
        str | None,
        typer.Option(
            help="`module:name` of the cluster's tasks: a generator, a list, or a function without arguments."
        ),
    ] = None,
) -> None:
    """Run the journal of a cluster again, and print the account. Nothing is written, also while a hub uses it."""
    replaying = import_module("curricular.cluster.replay")
    try:
        found = replaying.replay(directory, replaying.load_tasks(tasks))
    except (replaying.ClusterError, TypeError, ValueError) as error:
        raise _failure(error, code=1) from None
    console = _console()
    written = f"after checkpoint {found.stem}, written by curricular {found.library}"
    console.print(f"[bold]{found.name}[/]: {found.num_records} records {written}")
    nodes = Table("node", "name", "batches", "out", "state")
    for number, node in enumerate(found.fold.nodes, 1):
        num_out = int(node.out.counts()[1].sum())
        nodes.add_row(f"{number}", _text(node.name), f"{node.batch:,}", f"{num_out:,}", "lost" * node.is_buried)
    console.print(nodes)
    counters = found.fold.table.counters
    for name, count in {**replaying.account(counters), "balance": replaying.balance(counters)}.items():
        print(f"{name:<12} {count:>15,}")
    if replaying.balance(counters):
        raise _failure("the hand-outs do not balance; report this with the directory", code=1)


sessions: typer.Typer = typer.Typer(
    help="List and remove the sessions that processes share; `curricular show` shows one.", no_args_is_help=True
)
app.add_typer(sessions, name="sessions")


@sessions.command("list")
def sessions_list() -> None:
    """List your sessions with their tasks, live workers, completed results, memory and age.

    For each node of a cluster, also list its hub, the age of the hub's last answer, and what the hub has not confirmed.
    """
    table, infos = Table("session", "tasks", "workers", "completed", "MB", "age"), list_sessions()
    for info in infos:
        table.add_row(
            info.name,
            f"{info.num_tasks:,}",
            f"{info.num_workers}",
            f"{info.num_completed:,}",
            f"{info.size / 1e6:.1f}",
            _duration(info.age),
        )
    console = _console()
    console.print(table if table.rows else "no sessions")
    followers = Table("follower", "hub", "last answer", "outbox, MB")
    for info in infos:
        if info.hub:
            followers.add_row(info.name, info.hub, _duration(info.news_age), f"{info.num_undelivered / 1e6:.1f}")
    if followers.rows:
        console.print(followers)


@sessions.command("remove")
def sessions_remove(
    name: Annotated[str, typer.Argument(help=_SESSION, autocompletion=_session_names)],
    *,
    force: Annotated[bool, typer.Option("--force", help="Remove the session even if live processes hold it.")] = False,
) -> None:
    """Remove a session that no live process holds."""
    try:
        remove_session(name, force=force)
    except (KeyError, SessionError) as error:
        raise _failure(error.args[0], code=1) from None
    print(f"removed session {name}")


@sessions.command("clean")
def sessions_clean(
    *,
    force: Annotated[
        bool,
        typer.Option("--force", help="Remove also sessions of nodes with results that their hub has not confirmed."),
    ] = False,
) -> None:
    """Remove all sessions that no live process holds.

    Such a session of a node of a cluster is kept if its hub has not confirmed all of its results.
    """
    removed, kept = clean_sessions(force=force)
    for name in removed:
        print(f"removed session {name}")
    for info in kept:
        print(
            f"kept session {info.name}: hub {info.hub!r}, which last answered {_duration(info.news_age)} ago, has not "
            f"confirmed all of its results; join the cluster with the same directory on this machine to deliver them, "
            f"or give them up (--force)"
        )
    if not removed and not kept:
        print("every session is in use" if list_sessions() else "no sessions")


def _text(text: str) -> Text:
    """Returns a text of the user as a cell that shows it as it is."""
    return Text(one_line(text))


def _duration(seconds: float) -> str:
    units = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))
    size, unit = next(((size, unit) for size, unit in units if seconds >= size), units[-1])
    return f"{seconds / size:.0f} {unit}"


def _console() -> Console:
    """Returns a console for the standard output."""
    return Console(width=width_of(sys.stdout))


def _load(name: str, *, extra: str) -> Any:
    """Imports and returns the module `name`, which needs `extra`."""
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package in {"", "curricular"}:
            raise
        raise _failure(f"this command needs {package}: pip install 'curricular[{extra}]'", code=1) from None
    except ImportError as error:  # of a module of ours that says which package it needs
        raise _failure(error, code=1) from None


@contextlib.contextmanager
def _writing(argument: str, path: Path, kind: str) -> Iterator[None]:
    """Ends the command with an error about `argument` if `path`, a file or a folder, cannot be written in the block."""
    try:
        yield
    except OSError as error:
        reason = f"expected a {kind} that can be written, got {str(path)!r} ({error.strerror})"
        raise _failure(f"{argument}: {reason}; choose another {kind}", code=1) from None


def _failure(message: object, *, code: int) -> typer.Exit:
    """Prints `message` as an error and returns the exception that ends the command with `code`."""
    print(f"error: {message}", file=sys.stderr)
    return typer.Exit(code)


def main() -> None:
    """Runs the command line. Modules of the user are found in the current folder, as with ``python -m``.

    A file, a folder or an output that cannot be read or written ends any command with one line and the exit code 1.
    """
    sys.path.append("")
    if sys.stdout is None:  # the shell has closed it
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115  until the process ends
    try:
        try:
            app()
        finally:
            sys.stdout.flush()
    except OSError as error:
        with contextlib.suppress(OSError):
            sys.stdout.close()  # or Python would try to write the rest at its end
        if not isinstance(error, BrokenPipeError):  # the reader, such as `head`, has enough
            print(f"error: {error}", file=sys.stderr)
        raise SystemExit(1) from None
