"""Writes examples/tutorial.ipynb from docs/tutorial.md, or runs its cells as a notebook would.

    python scripts/notebook.py              # after a change of the page
    python scripts/notebook.py --run FOLDER # runs all cells there, in which they leave their pictures

The page is the source. `tests/test_tutorial.py` compares the two and runs the cells.
"""

import argparse
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "tutorial.md"
NOTEBOOK = ROOT / "examples" / "tutorial.ipynb"

BLOCK = re.compile(r"^```(python|shell)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
NOT_SHOWN = re.compile(r"<!--.*?-->\n*|^!\[.*?\]\(.*?\)\n*|^It is also \[a notebook\].*\n", re.DOTALL | re.MULTILINE)
"""Comments, pictures, which the notebook draws itself, and the link to the notebook."""
LINK = re.compile(r"\]\((?!https?:)")
INSTALL = "pip install"
SESSION = "tutorial-watch"
"""The session of the page; each run gets its own, so that two at a time do not share one."""


class Cell(NamedTuple):
    """A cell: its kind, "markdown", "python" or "shell", and its text."""

    kind: str
    text: str


SHOW_FIGURES = Cell("python", "%matplotlib inline")


def cells(page: str) -> list[Cell]:
    """Returns the cells of a page: its blocks of code, and the text between them. Installing stays text."""
    found, text = [], ""
    for prose, kind, code in pieces(page):
        text += prose
        if kind == "shell" and INSTALL in code:
            text += f"```shell\n{code}```\n"
        elif kind:
            found += [Cell("markdown", as_prose(text)), Cell(kind, code.strip())]
            text = ""
    return [cell for cell in [*found, Cell("markdown", as_prose(text))] if cell.text]


def pieces(page: str) -> list[tuple[str, str, str]]:
    """Returns text, kind and code of each block, and at last the text after them."""
    parts = BLOCK.split(page)
    return [*zip(parts[::3], parts[1::3], parts[2::3], strict=False), (parts[-1], "", "")]


def as_prose(text: str) -> str:
    """Returns a page's text as a notebook in examples/ shows it."""
    return LINK.sub("](../docs/", NOT_SHOWN.sub("", text)).strip()


def notebook(page: str) -> str:
    """Returns the notebook of a page, in version 4.5 of the format, without outputs."""
    content = {
        "cells": [as_json(number, cell) for number, cell in enumerate([SHOW_FIGURES, *cells(page)])],
        "metadata": {"language_info": {"name": "python"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def as_json(number: int, cell: Cell) -> dict[str, Any]:
    """Returns a cell as the format has it."""
    common = {"id": f"cell-{number}", "metadata": {}}
    if cell.kind == "markdown":
        return {"cell_type": "markdown", **common, "source": cell.text.splitlines(keepends=True)}
    text = cell.text if cell.kind == "python" else "\n".join(f"!{line}" for line in cell.text.splitlines())
    code = {"execution_count": None, "outputs": [], "source": text.splitlines(keepends=True)}
    return {"cell_type": "code", **common, **code}


def run(content: str) -> None:
    """Runs the cells of a notebook one after another in this process, commands in a shell."""
    names: dict[str, Any] = {"__name__": "__main__"}
    for cell in json.loads(content)["cells"]:
        text = "".join(cell["source"])
        if cell["cell_type"] == "code" and text.startswith("!"):
            sys.stdout.flush()
            path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
            command = text.removeprefix("!")
            subprocess.run(command, shell=True, check=True, env={**os.environ, "PATH": path})  # noqa: S602  of the page
        elif cell["cell_type"] == "code" and not text.startswith("%"):
            exec(compile(text, cell["id"], "exec"), names)  # noqa: S102  of the page


def main() -> None:
    """Writes the notebook, or runs it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, metavar="FOLDER", help="run the notebook in this folder")
    options = parser.parse_args()
    if options.run is None:
        NOTEBOOK.write_text(notebook(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    else:
        content = NOTEBOOK.read_text(encoding="utf-8").replace(SESSION, f"{SESSION}-{os.getpid()}")
        os.chdir(options.run)
        run(content)


if __name__ == "__main__":
    main()
