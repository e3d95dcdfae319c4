"""Summarises a recording in sentences."""

from collections.abc import Iterator

import numpy as np

from ..mastery import mastery_key
from ..metrics import by_reason
from ..recording import Recording
from ..texts import many
from .charts import stat

LARGE_SHARE = 0.4
"""Lowest share of the draws at which a state of tasks gets a sentence."""

PHRASES = {
    "never scored": "tasks without a score",
    "never solved": "tasks never solved",
    "solved once": "tasks solved once",
    "mastered": "mastered tasks",
    "forgotten": "forgotten tasks",
}
"""State of tasks -> words for the tasks in it, for the states whose share of the draws gets a sentence."""

LATEST = 0.9
"""Fraction of the run after which a beginning trend gets no sentence."""


def sentences(run: Recording) -> Iterator[str]:
    """Yields sentences about `run`: its size, its success, large shares of the draws, and cancelled hand-outs.

    Args:
        run: A recording.
    """
    if not len(run.batches):
        yield "The recording is empty: no snapshot was taken yet."
        return
    if run.is_cut:
        yield "The file ends within a snapshot, as after a crash or while it is written: that snapshot is left out."
    completed = run.completed
    num_active = stat(run, "num_active")[-1]
    if not completed[-1]:
        yield f"There are no results yet; the pool has {many(num_active, 'task')}."
        return
    results, snapshots = many(completed[-1], "result"), many(len(completed), "snapshot")
    yield f"{results} in {snapshots}; the pool has {many(num_active, 'task')}."
    success = stat(run, "success/mean")
    seen = success[~np.isnan(success)]
    if len(seen) > 1:
        yield f"The mean success rate went from {seen[0]:.0%} to {seen[-1]:.0%}."
    elif len(seen):
        yield f"The mean success rate is {seen[0]:.0%}; it was recorded once, so its course over time is not known."
    for name in PHRASES:
        yield from _draws(run, name)
    yield from _never_scored(run, num_active)
    effective = stat(run, "probability/effective_num_tasks")[-1]
    yield f"At the end, draws spread as widely as over {many(effective, 'equally likely task')} of {num_active:,.0f}."
    cancelled, scheduled = stat(run, "num_cancelled")[-1], stat(run, "num_scheduled")[-1]
    if cancelled:
        share = f"{cancelled:,.0f} of {scheduled:,.0f} hand-outs ({cancelled / scheduled:.1%})"
        yield f"{share} were cancelled: {_reasons(run)}."


def _draws(run: Recording, name: str) -> Iterator[str]:
    """Yields a sentence if a large share of the draws goes, or often went, to tasks in the state `name`."""
    shares = stat(run, f"{mastery_key(name)}/probability")
    large = shares >= LARGE_SHARE
    if not large.any():
        return
    num_tasks = stat(run, f"{mastery_key(name)}/num_tasks")[-1]
    if len(shares) == 1:
        yield f"{shares[0]:.0%} of the draws go to {PHRASES[name]} ({num_tasks:,.0f})."
        return
    ends_large = np.flatnonzero(~large)
    start = 0 if not len(ends_large) else ends_large[-1] + 1
    fraction = run.completed[start] / max(run.completed[-1], 1) if start < len(shares) else 1.0
    if fraction <= LATEST:
        when = "During the whole run" if start == 0 else f"From {fraction:.0%} of the run on"
        yield f"{when}, {shares[start:].mean():.0%} of the draws went to {PHRASES[name]} ({num_tasks:,.0f} at the end)."
    elif large.mean() >= 1 - LATEST:
        share = f"{LARGE_SHARE:.0%} or more of the draws"
        yield f"In {large.mean():.0%} of the snapshots, {share} went to {PHRASES[name]}."


def _never_scored(run: Recording, num_active: float) -> Iterator[str]:
    count = stat(run, f"{mastery_key('never scored')}/num_tasks")[-1]
    given = [row for row in run.last_rows("task") if row["name"] == "never scored"]
    if not count:
        return
    yield f"{count:,.0f} of {num_active:,.0f} tasks have no score{'' if given else ': they were not handed out'}."
    if given:
        often = "; ".join(f"{row['item']} {_times(row['value'])}" for row in given[:3])
        yield f"Handed out most often without a score: {often}."


def _times(number: float) -> str:
    return "once" if number == 1 else f"{number:,.0f} times"


def _reasons(run: Recording) -> str:
    reasons = by_reason({name: values[-1] for name, values in run.stats.items() if not np.isnan(values[-1])})
    return ", ".join(f"{name} {count:,.0f}" for name, count in reasons.items())
