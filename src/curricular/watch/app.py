"""The full-screen view of a session, with Textual."""

import asyncio
from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text

from ..backends.catalogue import SessionInfo
from ..backends.layout import SessionError
from ..texts import many
from .figures import ORDERS, Timeline, point
from .sample import Sample, Session
from .text import View, duration, render

try:
    from textual.app import App, ComposeResult
    from textual.binding import Binding, BindingType
    from textual.containers import Vertical
    from textual.events import Resize
    from textual.screen import ModalScreen, Screen
    from textual.widgets import Footer, OptionList, Static
    from textual.widgets.option_list import Option
except ModuleNotFoundError:
    raise ImportError("curricular.watch.app needs Textual: pip install 'curricular[watch]'") from None

COST_SHARE = 1 / 20
"""Maximum share of one processor that watching takes."""

INTERRUPTED = 130
"""Return code of a view that Ctrl-C has ended."""

HELP = """\
s        sort by draws, success, progress, or name
left     previous grouping: the label, or an axis
right    next grouping
p        pause and continue
q        quit, as Ctrl-C does; the training continues

draws      chance that the next task is in the group
success    mean success rate of the tasks that have a score
progress   mean learning progress of these tasks
drawn      number of hand-outs of a task without a score
effective  as many equally likely tasks would spread the
           draws as widely

Press any key to close this help."""


class Help(ModalScreen[None]):
    """Explains keys and figures."""

    CSS: ClassVar[str] = (
        "Help { align: center middle; } #help { width: 68; height: auto; padding: 1 2; background: $panel; }"
    )

    def compose(self) -> ComposeResult:
        yield Static(Text(HELP), id="help")

    def on_key(self) -> None:
        """Closes the help."""
        self.dismiss()


class Choice(Screen[str]):
    """Offers the running sessions.

    Args:
        sessions: The sessions.
    """

    BINDINGS: ClassVar[list[BindingType]] = [Binding("q", "app.quit", "Quit")]

    def __init__(self, sessions: Sequence[SessionInfo]) -> None:
        super().__init__()
        self._sessions = sessions

    def compose(self) -> ComposeResult:
        yield Static(Text("Watch which session?", "bold"))
        facts = (
            f"{info.name}  {many(info.num_tasks, 'task')}  {many(info.num_workers, 'worker')}  {duration(info.age)}"
            for info in self._sessions
        )
        yield OptionList(*(Option(Text(fact), id=str(index)) for index, fact in enumerate(facts)))
        yield Footer()

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Returns the name of the session."""
        self.dismiss(self._sessions[event.option_index].name)


class WatchApp(App[None]):
    """Shows a running session until the user quits.

    Args:
        name: Name of the session; None: offers `sessions`.
        sessions: The running sessions.
        interval: Time between two samples, in seconds. Samples that take long are further apart.
    """

    CSS: ClassVar[str] = "#frame { height: 1fr; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("s", "sort", "Sort"),
        Binding("right", "turn(1)", "Next grouping"),
        Binding("left", "turn(-1)", "Previous", show=False),
        Binding("p", "pause", "Pause"),
        Binding("question_mark", "help", "Help", key_display="?"),
        Binding("q", "quit", "Quit"),
        Binding("ctrl+c", "interrupt", show=False, priority=True),  # Textual would only say which key quits
    ]
    ENABLE_COMMAND_PALETTE: ClassVar[bool] = False

    def __init__(self, name: str | None, sessions: Sequence[SessionInfo] = (), interval: float = 1.0) -> None:
        super().__init__()
        self.title = "curricular watch"
        self._name, self._sessions, self._interval = name, sessions, interval
        self._timeline = Timeline()
        self._sample: Sample | None = None
        self._shape = self.size
        self.view: View = View()
        """What the user has chosen to see."""
        self.failure: str | None = None
        """Why the view ended, if not because the user quit."""

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Static(id="title")
            yield Static(id="frame")
        yield Footer()

    def on_mount(self) -> None:
        """Begins to watch, or offers the sessions."""
        if self._name is None:
            self.push_screen(Choice(self._sessions), self._watch)
        else:
            self._watch(self._name)

    def _watch(self, name: str | None) -> None:
        if name is not None:
            self.query_one("#title", Static).update(Text(f"session {name}", "bold", no_wrap=True, overflow="ellipsis"))
            self.run_worker(self._follow(name))

    async def _follow(self, name: str) -> None:
        """Takes samples until the view ends."""
        try:
            session = Session(name)
        except (KeyError, SessionError) as error:
            self._fail(error)
            return
        try:
            while True:
                if not self.view.is_paused:
                    self._sample = await asyncio.to_thread(session.sample)
                    if self._sample.num_workers:  # of a training that has ended, the last state stays
                        self._timeline.add(point(self._sample))
                    self._draw()
                await asyncio.sleep(max(self._interval, session.cost / COST_SHARE))
        except SessionError as error:
            self._fail(error)
        finally:
            session.close()

    def _fail(self, error: Exception) -> None:
        self.failure = str(error.args[0])
        self.exit(return_code=1)

    def _draw(self) -> None:
        if self._sample is not None:
            frame = render(self._sample, self._timeline, self.view, self._shape.width, self._shape.height - 2)
            self.query_one("#frame", Static).update(frame)

    def on_resize(self, event: Resize) -> None:
        """Draws the frame in the new size."""
        self._shape = event.size
        self._draw()

    def action_interrupt(self) -> None:
        """Ends the view as Ctrl-C ends any command."""
        self.exit(return_code=INTERRUPTED)

    def action_sort(self) -> None:
        """Sorts the groups in the next order."""
        self.view = self.view._replace(order=ORDERS[(ORDERS.index(self.view.order) + 1) % len(ORDERS)])
        self._draw()

    def action_turn(self, step: int) -> None:
        """Shows the next or the previous grouping."""
        self.view = self.view._replace(grouping=self.view.grouping + step)
        self._draw()

    def action_pause(self) -> None:
        """Stops taking samples, or continues."""
        self.view = self.view._replace(is_paused=not self.view.is_paused)
        self._draw()

    def action_help(self) -> None:
        """Explains keys and figures."""
        self.push_screen(Help())
