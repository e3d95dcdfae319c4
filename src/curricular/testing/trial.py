"""A wrapper under test, whose account is checked after every step."""

import sys
import sysconfig
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple, Self

from ..algorithms.uniform import UniformConfig
from ..curriculum import Curriculum
from ..generators import bucketed
from .lanes import Config, Driver, Lane, Script

MAX_STEPS_PER_REPORT = 200
"""Number of steps per awaited report after which a wrapper counts as silent."""


_PACKAGE = str(Path(__file__).parents[1])
_WRAPPERS = str(Path(_PACKAGE, "wrappers"))
_LIBRARIES = "<frozen", *(sysconfig.get_paths()[name] for name in ("stdlib", "purelib", "platlib"))


class Account(NamedTuple):
    """All-time numbers of hand-outs."""

    scheduled: int
    completed: int
    cancelled: int
    pending: int


def label_of(value: float) -> str:
    """Returns the label of the task with this value."""
    return f"value={value}"


def curriculum_of(values: Sequence[float], score_range: tuple[float, float]) -> Curriculum[Config]:
    """Returns a curriculum of one task ``{"value": …}`` per value, each as likely as any other."""
    config = UniformConfig(
        num_active_tasks=len(values), score_range=score_range, use_shared_memory=False, eviction_rate=0
    )
    return Curriculum(config, bucketed({"value": values[0]}, {"value": list(values)}))


class Trial:
    """A wrapper under test, its lanes and its curriculum. As a context, it closes the wrapper and checks the account.

    Args:
        curriculum: The curriculum that the wrapper asks, from `curriculum_of` the `values`.
        values: The values of its tasks.
        lanes: What the wrapper plays on.
        driver: The loop around the wrapper.
        max_pending: Number of hand-outs that the wrapper holds while every lane plays, and at most.
    """

    def __init__(
        self,
        curriculum: Curriculum[Config],
        values: Sequence[float],
        lanes: Sequence[Lane],
        driver: Driver,
        max_pending: int,
    ) -> None:
        self.curriculum: Curriculum[Config] = curriculum
        self.lanes: Sequence[Lane] = lanes
        self.driver: Driver = driver
        self.max_pending: int = max_pending
        self._values = {state.task_id: values[int(state.params[0])] for state in curriculum.task_states()}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        self.driver.close()
        if error is None:
            assert self.account().pending == 0, "close: leaves no hand-out open"

    def direct(self, script_of: Callable[[Config], Script]) -> None:
        """Lets all lanes play other scripts from their next call on."""
        for lane in self.lanes:
            lane.script_of = script_of

    @property
    def num_pending(self) -> int:
        """Number of hand-outs that are pending, unchecked."""
        return self.curriculum.tracker.snapshot().counters.num_pending

    def account(self) -> Account:
        """Returns the account, after a check that every hand-out was told, was cancelled or is pending."""
        table = self.curriculum.tracker.snapshot()  # cheaper than `stats`, since every step asks
        counts = table.counters
        account = Account(counts.num_scheduled, counts.num_completed, counts.num_cancelled, counts.num_pending)
        assert account.scheduled == account.completed + account.cancelled + account.pending, (
            "account: every hand-out is told, cancelled or pending"
        )
        assert counts.num_unsolicited == counts.num_stale == 0, (
            "account: no result without a hand-out, and none for an evicted task"
        )
        assert table.rows["num_completions"].sum() == account.completed, "account: one completion for each score"
        assert account.pending <= self.max_pending, "account: a lane in play holds at most handouts_per_lane hand-outs"
        return account

    def value_of(self, report: Mapping[str, Any]) -> float:
        """Returns the value of the task that a report names."""
        return self._values[report["task_id"]]

    def completions(self) -> Counter[float]:
        """Returns the number of scores told for each task, by the value of the task."""
        return Counter({self._values[state.task_id]: state.num_completions for state in self.curriculum.task_states()})

    def last_scores(self) -> dict[float, float]:
        """Returns the last score told for each task with one, in the curriculum's range, by the value of the task."""
        score_range = self.curriculum.config.score_range
        assert not isinstance(score_range, str), "the suite: a curriculum with a fixed range"
        low, high = score_range
        return {
            self._values[state.task_id]: low + state.last_score * (high - low)
            for state in self.curriculum.task_states()
            if state.num_completions
        }

    def reset(self) -> None:
        """Resets all lanes, and checks that each holds its hand-outs."""
        self.driver.reset()
        assert self.account().pending == self.max_pending, "reset: each lane holds its hand-outs"

    def step(self) -> Mapping[int, Mapping[str, Any]]:
        """Steps all lanes and returns the reports by lane, after a check of the account and of each report."""
        nums_finished = [len(lane.finished) for lane in self.lanes]
        reports = self.driver.step()
        pending, num_playing = self.account().pending, sum(lane.is_playing for lane in self.lanes)
        assert pending == self.max_pending if num_playing == len(self.lanes) else pending >= num_playing, (
            "step: each lane in play holds its hand-outs"
        )
        for index, report in reports.items():
            assert report["label"] == label_of(self.value_of(report)), (
                "infos: the label of the task that the report names"
            )
            assert ("score" in report) != ("error" in report), (
                "infos: either a score or an error for each episode that ended"
            )
            if "score" in report:
                (config,) = self.lanes[index].finished[nums_finished[index] :]
                assert config["value"] == self.value_of(report), "infos: the report names the task that the lane played"
        return reports

    def play(self, num_reports: int, key: str = "score") -> list[Mapping[str, Any]]:
        """Steps until `num_reports` reports have `key`, and returns all reports in order."""
        reports: list[Mapping[str, Any]] = []
        for _ in range(MAX_STEPS_PER_REPORT * num_reports):
            reports += self.step().values()
            if sum(key in report for report in reports) >= num_reports:
                return reports
        raise AssertionError(
            f"step: expected {num_reports} reports with {key!r} in {MAX_STEPS_PER_REPORT * num_reports} steps, "
            f"got {reports}; return what the infos hold about each episode that ended"
        )


def is_interrupted(call: Callable[[], object], num_lines: int) -> bool:
    """Makes a call that an interrupt ends after `num_lines` lines of Python, as a signal handler may.

    Lines of the curriculum, of what it calls, and of installed packages other than the wrappers here do not count.

    Returns:
        False if the call ended earlier.
    """
    num_left = num_lines

    def trace(frame: FrameType, event: str, _: object) -> Any:
        nonlocal num_left
        if event == "line":
            num_left -= 1
            if num_left < 0:
                raise KeyboardInterrupt
        if event != "call":
            return trace
        caller, path = frame.f_back, frame.f_code.co_filename
        is_wrapper = path.startswith(_WRAPPERS)
        is_curriculum = path.startswith(_PACKAGE) and not is_wrapper
        is_inside = caller is not None and (caller.f_code is interrupts.__code__ or caller.f_trace is not None)
        if is_curriculum or not is_inside:
            return None
        frame.f_trace_lines = is_wrapper or not path.startswith(_LIBRARIES)
        return trace

    return interrupts(trace, call)


def interrupts(trace: Callable[..., Any], call: Callable[[], object]) -> bool:
    """Makes a call with a trace function, and returns whether a `KeyboardInterrupt`, as `trace` may raise, ends it."""
    before = sys.gettrace()
    sys.settrace(trace)
    try:
        call()
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(before)
    return False
