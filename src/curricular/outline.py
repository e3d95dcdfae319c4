"""Describes the axes of a generator as JSON values, so that a process without the generator can name params."""

import json
from collections.abc import Sequence
from itertools import islice, pairwise
from reprlib import repr as short_repr
from typing import Any

import numpy as np

from .task import Axis, Span, all_axes

MAX_BYTES = 6_000
"""Maximum size of an outline as JSON. Axes that need more have no outline."""

MAX_AXES = 200
"""Maximum number of axes, those of branches included."""

MAX_CHOICES = 24
"""Maximum number of choices of an axis that are named one by one."""

NUM_GROUPS = 16
"""Number of groups into which the choices of a longer axis are divided, by their order."""

MAX_LETTERS = 40
"""Maximum length of the name of a choice."""


def outline(axes: Sequence[Axis]) -> list[Any]:
    """Returns `axes` as JSON values, or no values if there are too many axes.

    Examples:
        >>> outline([Axis("size", (5, 9))])
        [{'name': 'size', 'values': [5, 9]}]
    """
    if len(list(islice(all_axes(tuple(axes)), MAX_AXES + 1))) > MAX_AXES:
        return []
    outlined = [_outlined(axis) for axis in axes]
    return outlined if len(json.dumps(outlined)) <= MAX_BYTES else []


def _outlined(axis: Axis) -> dict[str, Any]:
    content: dict[str, Any] = {"name": axis.name[:MAX_LETTERS]}
    if isinstance(axis.values, Span):
        content["values"] = _value(axis.values)
    elif any(axis.branches) or len(axis.values) <= MAX_CHOICES:
        content["values"] = [_value(value) for value in axis.values]
    else:
        starts = np.linspace(0, len(axis.values), NUM_GROUPS + 1).astype(int).tolist()
        ends = [(axis.values[start], axis.values[stop - 1]) for start, stop in pairwise(starts)]
        content |= {"starts": starts, "values": [f"{_value(low)} to {_value(high)}" for low, high in ends]}
    if any(axis.branches):
        content["branches"] = [[_outlined(after) for after in branch] for branch in axis.branches]
    return content


def _value(value: Any) -> Any:
    """Returns a choice as a number, a truth value, a text, or a mapping for a `Span`."""
    if isinstance(value, Span):
        return {"low": value.low, "high": value.high, "log": value.log}
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bool | float) or (isinstance(value, int) and value.bit_length() < 64):
        return value
    text = value if isinstance(value, str) else short_repr(value)
    return text if len(text) <= MAX_LETTERS else f"{text[: MAX_LETTERS - 1]}…"


def axes_of(outlined: Sequence[Any]) -> tuple[Axis, ...]:
    """Returns axes that have the same columns of params as those that `outline` described, and similar values."""
    return tuple(_axis(content) for content in outlined)


def _axis(content: dict[str, Any]) -> Axis:
    values: Any = content["values"]
    if isinstance(values, dict):
        values = _read(values)
    elif "starts" in content:
        sizes = [stop - start for start, stop in pairwise(content["starts"])]
        values = tuple(name for name, size in zip(values, sizes, strict=True) for _ in range(size))
    else:
        values = tuple(_read(value) for value in values)
    return Axis(content["name"], values, tuple(axes_of(branch) for branch in content.get("branches", ())))


def _read(value: Any) -> Any:
    return Span(**value) if isinstance(value, dict) else value
