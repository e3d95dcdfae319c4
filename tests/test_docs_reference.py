"""What scripts/reference.py writes is in docs/, links lead somewhere in the folder too, and the site builds."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from mkdocs.exceptions import PluginError

from curricular.algorithms.registry import REGISTRY

ROOT = Path(__file__).parents[1]


LINK = re.compile(r"\]\((?!https?:|#)([^)#\s]+)")
CODE = re.compile(r"^```.*?^```|`[^`\n]*`", re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("curricular_reference", ROOT / "scripts" / "reference.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    """What building the site came to: once for all tests, because it takes long."""
    site = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", site]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    messages = [line for line in done.stderr.splitlines() if not line.startswith("INFO")]
    return SimpleNamespace(site=site, is_clean=done.returncode == 0, messages=messages)


def pages(build):
    """The generated pages of the reference, as name -> HTML."""
    paths = (build.site / "reference").glob("*.html")
    return {path.stem: path.read_text(encoding="utf-8") for path in paths if path.stem != "index"}


# ── The folder ───────────────────────────────────────────────────────────────────────────────────


def test_the_pages_are_what_the_script_writes(script):
    expected = script.written()
    differing = [page for page, text in expected.items() if (ROOT / "docs" / page).read_text(encoding="utf-8") != text]
    assert differing == [], "run: python scripts/reference.py"
    found = {f"reference/{path.name}" for path in (ROOT / "docs" / "reference").glob("*.md")}
    assert found == {page for page in expected if page.startswith("reference/")}, "run: python scripts/reference.py"


@pytest.mark.parametrize(
    "page",
    sorted(
        path.relative_to(ROOT).as_posix()
        for name in ("*.md", "docs/**/*.md", "examples/*.md")
        for path in ROOT.glob(name)
    ),
)
def test_every_relative_link_leads_to_a_file(page):
    path = ROOT / page
    targets = LINK.findall(CODE.sub("", path.read_text(encoding="utf-8")))
    assert [target for target in targets if not (path.parent / target).exists()] == []


# ── The site ─────────────────────────────────────────────────────────────────────────────────────


def test_it_builds_without_a_warning(build):
    assert build.is_clean, build.messages


def test_every_module_of_the_import_contract_has_a_page(build, script):
    assert pages(build).keys() == set(script.modules())
    index = (build.site / "reference" / "index.html").read_text(encoding="utf-8")
    assert [name for name in script.modules() if f'<a href="{name}.html"><code>{name}</code></a>' not in index] == []


def test_no_example_is_rendered_as_a_quotation(build):
    """Outside of an `Examples:` section, `>>>` in a docstring is Markdown's sign for a quotation in a quotation."""
    quoted = {name: len(re.findall(r"(?:<blockquote>\s*){3}", page)) for name, page in pages(build).items()}
    assert {name: number for name, number in quoted.items() if number} == {}


def test_a_module_opens_with_its_classes_and_functions_not_with_constants(build):
    found = r'doc-object doc-(\w+)">(?:(?!doc-object).)*?<h\d id="([^"]+)"'
    openings = {}
    for page in pages(build).values():
        for kind, name in re.findall(found, page, re.DOTALL):
            openings.setdefault(name.rpartition(".")[0], []).append((kind, name))
    classes = {name for members in openings.values() for kind, name in members if kind == "class"}
    assert classes
    for module in openings.keys() - classes:
        kinds = [kind for kind, _ in openings[module]]
        assert kinds[0] != "attribute" or not {"class", "function"} & set(kinds), (module, openings[module][:3])


def test_every_section_of_a_docstring_is_rendered_as_one(build):
    plain = {name: re.findall(r"<p>(?:Args|Returns|Raises|Examples?):", page) for name, page in pages(build).items()}
    assert {name: found for name, found in plain.items() if found} == {}


def test_every_algorithm_is_in_the_table_with_its_names(build):
    index = (build.site / "algorithms" / "index.html").read_text(encoding="utf-8")
    for entry in REGISTRY:
        (row,) = re.findall(rf"<tr>\s*<td><a[^>]*><code>{entry.config.__name__}</code>.*?</tr>", index, re.DOTALL)
        assert all(f"<code>{name}</code>" in row for name in entry.config.variants())


# ── What makes the build fail ────────────────────────────────────────────────────────────────────


def test_an_algorithm_without_a_page_is_named(script):
    written = {script.page_of(entry) for entry in REGISTRY[1:]}
    with pytest.raises(PluginError, match=f"docs/{script.page_of(REGISTRY[0])}: expected a page"):
        script.check_pages(written, set())


def test_a_page_without_an_algorithm_is_named(script):
    written = {script.page_of(entry) for entry in REGISTRY} | {"algorithms/index.md", "algorithms/oracle.md"}
    with pytest.raises(PluginError, match=r"docs/algorithms/oracle\.md: expected the page of a registered"):
        script.check_pages(written, {"algorithms/index.md"})


def test_a_page_that_lost_its_mark_is_named(script, monkeypatch, tmp_path):
    (tmp_path / "algorithms").mkdir()
    (tmp_path / "algorithms" / "index.md").write_text(f"# Algorithms\n\n{script.MARK}\n", encoding="utf-8")
    monkeypatch.setattr(script, "DOCS", tmp_path)
    with pytest.raises(ValueError, match=r"docs/algorithms/index\.md: expected two lines <!-- written"):
        script.with_table("algorithms/index.md")


def test_a_module_that_is_new_is_in_the_reference(script, monkeypatch, tmp_path):
    contract = '[[tool.importlinter.contracts]]\ntype = "layers"\nlayers = ["cli", "b | (a)", "c : d"]\n'
    (tmp_path / "pyproject.toml").write_text(contract, encoding="utf-8")
    monkeypatch.setattr(script, "ROOT", tmp_path)
    assert script.modules() == ["b", "a", "c", "d"]
