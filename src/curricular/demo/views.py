"""The progress of a running demo: a live view in a terminal, or else one line per evaluation."""

from collections.abc import Mapping
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console
from rich.console import Group as Stack
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from .figures import Figures, Point

_NOT_YET, _DONE = (70, 70, 78), (38, 133, 84)  # (red, green, blue) of a level's cell at success 0 and 1
_BAR, _DRAWS = 10, 14  # widths in characters


class View(Protocol):
    """Context manager that shows the progress of a demo."""

    def show(self, figures: Figures, index: int, point: Point) -> None:
        """Shows that the run `figures.runs[index]` has reached `point`."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...


def create_view(console: Console, figures: Figures) -> View:
    """Returns a view on `console`; `figures` are the figures at the start."""
    return LiveView(console, figures) if console.is_terminal else LineView(console)


class LineView:
    """Prints one line per evaluation."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def show(self, figures: Figures, index: int, point: Point) -> None:
        if point.evaluation is not None:
            run = figures.runs[index]
            draws = ", ".join(f"{group} {share:.0%}" for group, share in run.draw_shares(figures.groups)[-1].items())
            line = f"{run.name}: {point.step:,} steps, success {point.mean_success:.2f}, draws: {draws}"
            self._console.print(line, highlight=False, soft_wrap=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        pass


class LiveView:
    """Redraws a table while the runs progress."""

    def __init__(self, console: Console, figures: Figures) -> None:
        self._steps = [0 for _ in figures.runs]
        self._live = Live(render(figures, self._steps), console=console, refresh_per_second=4)

    def show(self, figures: Figures, index: int, point: Point) -> None:
        self._steps[index] = point.step
        self._live.update(render(figures, self._steps))

    def __enter__(self) -> Self:
        self._live.start(refresh=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._live.stop()


def render(figures: Figures, steps: list[int]) -> Stack:
    """Returns the tables of the live view, one per algorithm, and a legend.

    A row shows a run: its steps, its success on each learnable level, and the latest draws by group.

    Args:
        figures: Figures up to the last evaluation of each run.
        steps: Current number of steps of each run.
    """
    legend = Text(" ").join(Text("█", colour) + Text(f" {group} ") for group, colour in figures.colours.items())
    tables = []
    for algorithm, indices in figures.algorithms.items():
        table = Table(
            title=Text(algorithm, "bold"), title_justify="left", box=None, padding=(0, 1, 0, 0), header_style="dim"
        )
        table.add_column(width=7)
        table.add_column("steps", width=_BAR)
        table.add_column("mean", justify="right", width=4)
        table.add_column("".join(f"{_short(level):>4}" for level in figures.learnable))
        table.add_column("draws", width=_DRAWS)
        for index in indices:
            run = figures.runs[index]
            bar = ProgressBar(figures.num_steps, min(steps[index], figures.num_steps), width=_BAR)
            if run.points:
                last = run.points[-1]
                cells = Text("").join(_cell(success) for success in (last.evaluation or {}).values())
                draws = _bar(run.draw_shares(figures.groups)[-1], figures.colours)
                table.add_row(f"seed {run.seed}", bar, f"{last.mean_success:4.0%}", cells, draws)
            else:
                table.add_row(f"seed {run.seed}", bar)
        tables.append(table)
    return Stack(*tables, legend)


def _short(level: str) -> str:
    """Returns the short name of a level: E5 for Empty 5, D16 for DoorKey 16."""
    kind, size = level.split(" ", 1)
    return kind[0] + size


def _cell(success: float) -> Text:
    """Returns the success on a level in percent, on a background coloured by success."""
    red, green, blue = (round(no + success * (yes - no)) for no, yes in zip(_NOT_YET, _DONE, strict=True))
    return Text(f"{100 * success:4.0f}", f"white on rgb({red},{green},{blue})")


def _bar(shares: Mapping[str, float], colours: Mapping[str, str]) -> Text:
    """Returns a bar with one segment per share."""
    bar, total = Text(), 0.0
    for group, share in shares.items():
        start, total = round(total * _DRAWS), total + share
        bar.append("█" * (round(total * _DRAWS) - start), colours[group])
    return bar
