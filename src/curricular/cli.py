"""The command line: one function for each command, which asks for the extra that it needs."""

import sys
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

from .backends.catalogue import list_sessions, read_session, remove_session
from .backends.layout import SessionError
from .metrics import label_summary

try:
    import typer
    from rich.console import Console
    from rich.table import Table
except ModuleNotFoundError as _error:
    raise SystemExit(f"error: the command line needs {_error.name}: pip install 'curricular[cli]'") from None

app: typer.Typer = typer.Typer(
    help="Choose what a reinforcement-learning agent trains on next, by its learning progress.",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@app.callback()
def _curricular() -> None:
    """Makes the commands commands while there is only one of them."""


@app.command()
def demo(
    *,
    algorithms: Annotated[str, typer.Option(help="Ways of choosing tasks, with commas.")] = "uniform,stable",
    seeds: Annotated[int, typer.Option(help="Runs of each algorithm, with the seeds 0, 1, …", metavar="N")] = 1,
    steps: Annotated[int | None, typer.Option(help="Environment steps of each run.", metavar="N")] = None,
    out: Annotated[Path, typer.Option(help="Folder for figures and picture.")] = Path("curricular-demo"),
    quick: Annotated[bool, typer.Option("--quick", help="A smaller family of tasks and fewer steps.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from what is in the folder, after a crash.")] = False,
) -> None:
    """Train an agent on MiniGrid under each way of choosing its tasks, and compare."""
    run = _room("curricular.demo.run", extra="demo")
    console = Console()
    try:
        jobs = run.plan(algorithms.split(","), seeds, num_steps=steps, is_quick=quick)
    except ValueError as error:
        raise _failure(error, code=2) from None
    try:
        run.demo(jobs, out, console, resumes=resume)
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
            help="Names with commas, a wrong one lists them; module:name of a function of yours takes part, too."
        ),
    ] = None,
    scenarios: Annotated[str | None, typer.Option(help="Names with commas; all if left out.")] = None,
    seeds: Annotated[int, typer.Option(help="Runs of each: with the seeds 0, 2, 4, …", metavar="N")] = 10,
    variations: Annotated[str, typer.Option(help="Variations of each scenario; 0 is the definition.")] = "0",
    speed: Annotated[float, typer.Option(help="Factor on the learners' speed; the runs are 1 / it as long.")] = 1.0,
    jobs: Annotated[int | None, typer.Option(help="Processes; one for each processor if left out.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for figures and pictures.")] = Path("curricular-bench"),
) -> None:
    """Let ways of choosing tasks teach simulated learners with a known truth, and compare."""
    run = _room("curricular.bench.run", extra="demo")
    named = {"algorithms": algorithms, "scenarios": scenarios}
    try:
        wanted = run.plan(
            **{argument: names.split(",") for argument, names in named.items() if names is not None},
            num_seeds=seeds,
            variations=[_whole(number, "variations") for number in variations.split(",")],
            speed=speed,
        )
    except ValueError as error:
        raise _failure(error, code=2) from None
    try:
        run.bench(wanted, out, Console(), num_processes=jobs)
    except KeyboardInterrupt:
        print("interrupted: nothing was written", file=sys.stderr)
        raise typer.Exit(130) from None


def _whole(number: str, argument: str) -> int:
    try:
        return int(number)
    except ValueError:
        raise ValueError(f"{argument}: expected whole numbers with commas, got {number!r}; correct it") from None


sessions: typer.Typer = typer.Typer(
    help="Look at the sessions that processes share, and remove them.", no_args_is_help=True
)
app.add_typer(sessions, name="sessions")


@sessions.command("list")
def sessions_list() -> None:
    """List your sessions: tasks, living workers, results so far, memory, age."""
    table = Table("session", "tasks", "workers", "completions", "MB", "age")
    for info in list_sessions():
        table.add_row(
            info.name,
            f"{info.num_tasks:,}",
            f"{info.num_workers}",
            f"{info.num_completed:,}",
            f"{info.size / 1e6:.1f}",
            _duration(info.age),
        )
    Console().print(table if table.rows else "no sessions")


@sessions.command("show")
def sessions_show(name: Annotated[str, typer.Argument(help="As in `curricular sessions list`.")]) -> None:
    """Show one session: what it was made with, its counters, and its labels."""
    try:
        info, settings, content = read_session(name)
    except (KeyError, SessionError) as error:
        raise _failure(error.args[0], code=1) from None
    console = Console()
    console.print(
        f"[bold]{info.name}[/]: {info.num_tasks:,} tasks, {info.num_workers} workers, {_duration(info.age)} old"
    )
    facts = Table("setting", "value", title="made with")
    for setting, value in settings.items():
        facts.add_row(setting, str(value))
    counts = Table("counter", "count", title="so far")
    for counter, count in content.counters._asdict().items():
        counts.add_row(counter, f"{count:,}")
    groups = Table("label", "tasks", "scheduled", "completed", title="labels")
    for label, *numbers in label_summary(content):
        groups.add_row(label or "(none)", *(f"{number:,}" for number in numbers))
    console.print(facts, counts, groups)


@sessions.command("remove")
def sessions_remove(
    name: Annotated[str, typer.Argument(help="As in `curricular sessions list`.")],
    *,
    force: Annotated[bool, typer.Option("--force", help="Also while processes are alive that hold it.")] = False,
) -> None:
    """Remove one session, if no living process holds it."""
    try:
        remove_session(name, force=force)
    except (KeyError, SessionError) as error:
        raise _failure(error.args[0], code=1) from None
    print(f"removed session {name}")


def _duration(seconds: float) -> str:
    units = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))
    size, unit = next(((size, unit) for size, unit in units if seconds >= size), units[-1])
    return f"{seconds / size:.0f} {unit}"


def _room(name: str, *, extra: str) -> Any:
    """The module `name`, imported only now because it needs `extra`, which other commands do without."""
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and error.name.startswith("curricular"):
            raise
        raise _failure(f"this command needs {error.name}: pip install 'curricular[{extra}]'", code=1) from None


def _failure(message: object, *, code: int) -> typer.Exit:
    """To raise after `message` is printed as an error."""
    print(f"error: {message}", file=sys.stderr)
    return typer.Exit(code)


def main() -> None:
    """Run the command line."""
    app()
