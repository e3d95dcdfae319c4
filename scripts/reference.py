"""Writes what the code says already into docs/: the table of algorithms, and a page of the reference for each module.

    python scripts/reference.py  # after a change of the registry, of the layers or of the docstring of a module

`tests/test_docs_reference.py` compares. As a hook of MkDocs, it adds these pages to the navigation of the site, where
each page of the reference is filled from the docstrings.
"""

import ast
import re
import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.utils.meta import get_data

from curricular.algorithms.registry import REGISTRY, Entry

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
SOURCES = ROOT / "src" / "curricular"
WITHOUT_PAGE = {"__main__", "cli"}
"""Modules that document themselves: `curricular --help`."""
GITHUB = "https://github.com/curricular/curricular/blob/main/src/curricular"
CITATION = re.compile(r"\b[A-Z][\w-]+(?: et al\.|(?:, [A-Z][\w-]+)* and [A-Z][\w-]+)? (?:19|20)\d\d\b")


# ── What the code says ───────────────────────────────────────────────────────────────────────────


def layers() -> list[list[str]]:
    """Returns the modules of each layer of the import contract in pyproject.toml, the top layer first."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = project["tool"]["importlinter"]["contracts"]
    (contract,) = (contract for contract in contracts if contract["type"] == "layers")
    return [re.findall(r"\w+", layer) for layer in contract["layers"]]


def modules() -> list[str]:
    """Returns the modules that have a page in the reference, in the order of the layers."""
    return [name for layer in layers() for name in layer if name not in WITHOUT_PAGE]


def docstring(name: str) -> str:
    """Returns the docstring of the module `curricular.<name>`, without importing it."""
    path = SOURCES / f"{name.replace('.', '/')}.py"
    if not path.exists():
        path = SOURCES / name / "__init__.py"
    return ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""


def first_sentence(text: str) -> str:
    """Returns the first sentence of a docstring, without the name that it explains.

    Examples:
        >>> first_sentence("Uniform choice: every active task is equally likely. The first baseline.")
        'Every active task is equally likely.'
    """
    paragraph = " ".join(text.partition("\n\n")[0].split())
    sentence = re.split(r"(?<=\.) (?=[A-Z])", paragraph)[0].partition(": ")
    explanation = sentence[2] or sentence[0]
    return explanation[:1].upper() + explanation[1:]


def sources(text: str) -> str:
    """Returns the citations of a docstring, short; `this library` if its source is "ours".

    Examples:
        >>> sources("Source: Auer et al. 2002, *The bandit problem*; Graves et al. 2017, arXiv 1704.03003.")
        'Auer et al. 2002, Graves et al. 2017'
    """
    paragraph = re.search(r"^Sources?: (.*?)(?:\n\n|\Z)", text, re.DOTALL | re.MULTILINE)
    if paragraph is None:
        return ""
    if paragraph[1].startswith("ours"):
        return "this library"
    return ", ".join(CITATION.findall(" ".join(paragraph[1].split())))


def module_of(entry: Entry) -> str:
    """Returns the name of the module of an algorithm, without the packages around it."""
    return entry.config.__module__.rpartition(".")[2]


def page_of(entry: Entry) -> str:
    """Returns the address of an algorithm's page: it has the name of the algorithm's module."""
    return f"algorithms/{module_of(entry).replace('_', '-')}.md"


# ── What is written ──────────────────────────────────────────────────────────────────────────────


def reference_page(name: str) -> str:
    """Returns the page of one module, a package with all its modules."""
    is_package = (SOURCES / name).is_dir()
    path = name if is_package else f"{name}.py"
    options = "    options:\n      show_submodules: true\n" if is_package else ""
    first = docstring(name).partition("\n")[0]
    return f"# `curricular.{name}`\n\n{first} [Source]({GITHUB}/{path})\n\n::: curricular.{name}\n{options}"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Returns a Markdown table."""
    lines = [header, ["---"] * len(header), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def table_of_modules() -> str:
    """Returns a table of the modules with the first lines of their docstrings."""
    rows = ([f"[`{name}`]({name}.md)", docstring(name).partition("\n")[0]] for name in modules())
    return table(("Module", "What it is about"), rows)


def table_of_algorithms(registry: Iterable[Entry] = REGISTRY) -> str:
    """Returns a table of the algorithms, from the docstrings of their modules and from the heads of their pages."""
    rows = []
    for entry in registry:
        text, page = docstring(f"algorithms.{module_of(entry)}"), page_of(entry)
        _, head = get_data((DOCS / page).read_text(encoding="utf-8"))
        if not {"needs", "blind_to"} <= head.keys():
            raise PluginError(f"docs/{page}: expected needs and blind_to in its head, got {sorted(head)}; add them")
        names = ", ".join(f"`{name}`" for name in entry.config.variants())
        config = f"[`{entry.config.__name__}`]({page.partition('/')[2]})<br>{names}"
        rows.append([config, first_sentence(text), str(head["needs"]), str(head["blind_to"]), sources(text)])
    return table(("Config, names in command lines", "What it does", "Needs", "Blind to", "Source"), rows)


def check_pages(pages: set[str], guides: set[str], registry: Iterable[Entry] = REGISTRY) -> None:
    """Raises PluginError unless each algorithm has its page, and each page its algorithm or a place in mkdocs.yml."""
    expected = {page_of(entry) for entry in registry}
    for page in sorted(expected - pages):
        raise PluginError(f"docs/{page}: expected a page for a registered algorithm, got none; write it")
    for page in sorted(pages - expected - guides):
        raise PluginError(
            f"docs/{page}: expected the page of a registered algorithm, got another one; register the algorithm, or "
            f"name the page in the nav of mkdocs.yml"
        )


TABLES = {"reference/index.md": table_of_modules, "algorithms/index.md": table_of_algorithms}
"""Page -> its table."""
MARK = "<!-- written by scripts/reference.py -->"
TABLE = re.compile(rf"{MARK}\n.*?{MARK}", re.DOTALL)
"""The place of the table in a page: between two marks."""


def with_table(page: str) -> str:
    """Returns the text of a page with its table as the code has it now.

    Raises:
        ValueError: If the page has not one place for a table.
    """
    text, number = TABLE.subn(
        lambda _: f"{MARK}\n\n{TABLES[page]()}\n\n{MARK}", (DOCS / page).read_text(encoding="utf-8")
    )
    if number != 1:
        raise ValueError(f"docs/{page}: expected two lines {MARK} around one table, got {number} tables; put them back")
    return text


def written() -> dict[str, str]:
    """Returns all that this script writes, as page -> text."""
    references = {f"reference/{name}.md": reference_page(name) for name in modules()}
    return references | {page: with_table(page) for page in TABLES}


def main() -> None:
    """Writes the pages, and removes those of modules that are gone."""
    expected = written()
    for path in (DOCS / "reference").glob("*.md"):
        if f"reference/{path.name}" not in expected:
            path.unlink()
    for page, text in expected.items():
        (DOCS / page).write_text(text, encoding="utf-8")


# ── Events of MkDocs ─────────────────────────────────────────────────────────────────────────────


def section(nav: list[Any], title: str) -> list[Any]:
    """Returns the items of one section of the navigation in mkdocs.yml."""
    found = [items for item in nav if isinstance(item, dict) for name, items in item.items() if name == title]
    if len(found) != 1 or not isinstance(found[0], list):
        raise PluginError(f"nav in mkdocs.yml: expected one section {title!r} with a list of pages; add it")
    return found[0]


def paths(items: Iterable[Any]) -> set[str]:
    """Returns the pages of a section, with a title or without."""
    return {path for item in items for path in (item.values() if isinstance(item, dict) else [item])}


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Adds the algorithms and the modules to the navigation."""
    nav: list[Any] = config.nav or []
    algorithms, reference = section(nav, "Algorithms"), section(nav, "Reference")
    pages = {f"algorithms/{path.name}" for path in Path(config.docs_dir, "algorithms").glob("*.md")}
    check_pages(pages, paths(algorithms))
    algorithms[1:1] = [page_of(entry) for entry in REGISTRY]
    reference += [{name: f"reference/{name}.md"} for name in modules()]
    return config


if __name__ == "__main__":
    main()
