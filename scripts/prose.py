"""Finds phrases in comments, docstrings, texts and pages for which there is a plainer one, and says which.

Code is left alone: identifiers, what stands in backticks or formulas, and examples. Exit code 1 if anything is found.
"""

# ruff: noqa: T201  printing is its purpose

import io
import re
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]

# ── What is looked for ───────────────────────────────────────────────────────────────────────────

PHRASES = {
    r"so many": "the quantity: count, width, threshold, share",
    r"(?:from|beyond) which on": "threshold, at least, or the first ... that",
    r"in place of": "instead of",
    r"at the (?:most|least)": "at most, at least",
    r"belong(?:s|ed|ing)? into": "belongs in",
    r"of (?:one's|your) own": "a custom ..., or your own ...",
    r"nobody|somebody|whoever": "the user, the caller, another process; or the passive",
    r"(?:go|goes|going|went|gone) on": "continue, resume; or as ... proceeds",
    r"mend(?:s|ed|ing)?": "fix",
    r"rooms?": "module; free space in a log is num_free",
    r"settl(?:e|es|ed|ing)": "flush (the log), balance (the account)",
    r"(?-i:[Aa]rms?)": "algorithm; what a bandit draws is a label",
    r"samplers?": "transform, or teacher",
    r"scorers?": "priority",
    r"of which nothing is known": "without results",
    r"computed anew": "recomputed, refreshed",
    r"what is there": "the noun that is meant",
    r"the same holds": "the sentence again, about the other noun",
}
"""Phrase, over line breaks too, in any case -> what to say instead."""

EXCEPTIONS = {
    ("demo", r"rooms?"): "rooms of MiniGrid, which is about rooms",
    ("minigrid", r"rooms?"): "rooms of MiniGrid",
    ("bandit|exp3s", r"(?-i:[Aa]rms?)"): "what a bandit draws",
    ("tests/test_generators", r"rooms?"): "an axis of that name",
}
"""(Part of a path, phrase) -> why it may stand there."""

UNCHECKED = {
    "scripts/prose.py": "names the phrases",
    "tests/test_prose.py": "plants the phrases",
}
"""File -> why it is left out."""

FOLDERS = ("benchmarks", "docs", "examples", "scripts", "src", "tests")
FILES = [
    *("*.md", "*.py", "*.toml", "*.yml", "*.cff", "Makefile", ".ci/run"),
    *(f"{folder}/**/*.{kind}" for folder in FOLDERS for kind in ("md", "py")),
]

PATTERN = re.compile(
    "|".join(rf"\b(?P<phrase_{number}>{phrase})\b" for number, phrase in enumerate(PHRASES)).replace(" ", r"\s+"),
    re.IGNORECASE,
)


class Hit(NamedTuple):
    """A phrase that was found."""

    line: int
    phrase: str
    instead: str


# ── What of a file is prose ──────────────────────────────────────────────────────────────────────

GAP = "\0"
"""Takes the place of what is not prose, so that no phrase is found across it."""
CODE = [
    re.compile(r"^[ \t]*(?:>>>|\.\.\.) .*$", re.MULTILINE),  # in docstrings
    re.compile(r"``.+?``|`[^`]+`|\$\$.+?\$\$|\$[^$\n]+\$", re.DOTALL),  # names and formulas
    re.compile(r"\]\([^)]*\)|https?://\S+"),  # addresses
]
COMMENT = re.compile(r"(?<!\S)#+(.*)$", re.MULTILINE)
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
QUOTES = re.compile(r"^[a-zA-Z]*(?:\"\"\"|'''|[\"'])|(?:\"\"\"|'''|[\"'])$")
JOINT = re.compile(r"[\s#\"'bfru]*", re.IGNORECASE)
"""What stands between two lines of a comment, or between two strings that Python joins."""
FSTRING_MIDDLE = getattr(tokenize, "FSTRING_MIDDLE", None)
"""The text of an f-string is a token of its own since Python 3.12."""


def blank(text: str, fill: str = GAP) -> str:
    """Returns as many characters, with the same line breaks."""
    return re.sub(r"[^\n]", fill, text)


def without_code(text: str) -> str:
    """Returns prose with gaps where code stands in it."""
    for pattern in CODE:
        text = pattern.sub(lambda match: blank(match[0]), text)
    return text


def comments(text: str) -> str:
    """Returns the comments of a file in which they begin with a hash, gaps for the rest, in the same lines."""
    kept = [(match.start(1), match.end(1)) for match in COMMENT.finditer(text)]
    return only(text, kept)


def only(text: str, spans: list[tuple[int, int]]) -> str:
    """Returns the spans of a text, gaps for the rest: spaces where two spans are one text."""
    parts, position = [], 0
    for start, end in spans:
        between = text[position:start]
        parts += [blank(between, " " if JOINT.fullmatch(between) else GAP), text[start:end]]
        position = end
    return "".join([*parts, blank(text[position:])])


def of_markdown(text: str) -> str:
    """Returns the prose of a page, and the comments in its blocks of code."""
    return without_code(FENCE.sub(lambda match: comments(match[0]), text))


def of_python(text: str) -> str:
    """Returns the comments and the strings of a Python file."""
    starts = [0]
    for line in text.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    spans = []
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        start, end = (starts[row - 1] + column for row, column in (token.start, token.end))
        if token.type == tokenize.COMMENT:
            spans.append((start + 1, end))
        elif token.type == tokenize.STRING and " " in token.string:  # else it is a name
            opening, closing = (match.end() - match.start() for match in QUOTES.finditer(token.string))
            spans.append((start + opening, end - closing))
        elif token.type == FSTRING_MIDDLE:
            spans.append((start, end))
    return without_code(only(text, spans))


def prose(path: str, text: str) -> str:
    """Returns what of a file is prose, in its place; the rest are gaps."""
    if path.endswith(".md"):
        return of_markdown(text)
    return of_python(text) if path.endswith(".py") else without_code(comments(text))


# ── The check ────────────────────────────────────────────────────────────────────────────────────


def hits(path: str, text: str) -> Iterator[Hit]:
    """Yields the phrases in a file for which there is a plainer one."""
    phrases = {f"phrase_{number}": phrase for number, phrase in enumerate(PHRASES)}
    for match in PATTERN.finditer(prose(path, text)):
        phrase = phrases[str(match.lastgroup)]
        if not any(phrase == allowed and re.search(part, path) for part, allowed in EXCEPTIONS):
            line = text.count("\n", 0, match.start()) + 1
            yield Hit(line, " ".join(match[0].split()), PHRASES[phrase])


def files() -> list[str]:
    """Returns the files that have prose, but those left out."""
    found = {path.relative_to(ROOT).as_posix() for pattern in FILES for path in ROOT.glob(pattern)}
    return sorted(found - UNCHECKED.keys())


def main() -> None:
    """Prints file:line: phrase -> what to say instead."""
    number = 0
    for path in files():
        for hit in hits(path, (ROOT / path).read_text(encoding="utf-8")):
            print(f"{path}:{hit.line}: {hit.phrase} -> {hit.instead}")
            number += 1
    sys.exit(f"{number} phrases for which there is a plainer one" if number else 0)


if __name__ == "__main__":
    main()
