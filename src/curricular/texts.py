"""Writes texts of the user, counts, and shares that may be unknown, for a reader."""

import math
import os
from typing import TextIO

WIDE = 1000
"""Width of what is not printed to a terminal, in characters, so that no cell of a table is wrapped."""


def width_of(file: TextIO) -> int | None:
    """Returns the width of tables in `file`, in characters. None: that of the terminal, or of COLUMNS if it is set."""
    return None if file.isatty() or "COLUMNS" in os.environ else WIDE


def one_line(text: str) -> str:
    r"""Returns a text of the user on one line, without characters that control a terminal.

    Examples:
        >>> one_line("a maze\nof walls")
        'a maze of walls'
    """
    return "".join(letter if letter.isprintable() else " " for letter in text)


def percent(share: float, digits: int = 0) -> str:
    """Returns a share in per cent, or a dash if it is NaN.

    Examples:
        >>> percent(0.25), percent(0.125, 1), percent(math.nan)
        ('25%', '12.5%', '–')
    """
    return "–" if math.isnan(share) else f"{share:.{digits}%}"


def many(count: float, noun: str) -> str:
    """Returns a whole number with its noun.

    Examples:
        >>> many(1, "worker"), many(2000, "worker")
        ('1 worker', '2,000 workers')
    """
    number = f"{count:,.0f}"
    return f"{number} {noun}{'' if number == '1' else 's'}"
