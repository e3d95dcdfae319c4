"""The command line: one function for each command, which asks for the extra that it needs."""

import sys
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

try:
    import typer
    from rich.console import Console
except ModuleNotFoundError as error:
    raise SystemExit(f"error: the command line needs {error.name}: pip install 'curricular[cli]'") from None

app = typer.Typer(
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
    arms: Annotated[str, typer.Option(help="Ways of choosing tasks, with commas.")] = "uniform,learning-progress",
    seeds: Annotated[int, typer.Option(help="Runs of each arm, with the seeds 0, 1, …", metavar="N")] = 1,
    steps: Annotated[int | None, typer.Option(help="Environment steps of each run.", metavar="N")] = None,
    out: Annotated[Path, typer.Option(help="Folder for figures and picture.")] = Path("curricular-demo"),
    quick: Annotated[bool, typer.Option("--quick", help="A smaller family of tasks and fewer steps.")] = False,
) -> None:
    """Train an agent on MiniGrid under each way of choosing its tasks, and compare."""
    run = _room("curricular.demo.run", extra="demo")
    console = Console()
    try:
        jobs = run.plan(arms.split(","), seeds, num_steps=steps, is_quick=quick)
    except ValueError as error:
        raise _failure(error, code=2) from None
    try:
        run.demo(jobs, out, console)
    except run.RunError as error:
        raise _failure(error, code=1) from None
    except KeyboardInterrupt:
        print(f"interrupted; the figures so far are in {out}", file=sys.stderr)
        raise typer.Exit(130) from None


def _room(name: str, *, extra: str) -> Any:
    """The module `name`, imported only now because it needs `extra`, which other commands do without."""
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        raise _failure(f"this command needs {error.name}: pip install 'curricular[{extra}]'", code=1) from None


def _failure(message: object, *, code: int) -> typer.Exit:
    """To raise after `message` is printed as an error."""
    print(f"error: {message}", file=sys.stderr)
    return typer.Exit(code)


def main() -> None:
    """Run the command line."""
    app()
