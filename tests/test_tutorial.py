"""The notebook of the tutorial is its page, and runs."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

from .helpers import TIMEOUT

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
SCRIPT = ROOT / "scripts" / "notebook.py"

spec = importlib.util.spec_from_file_location("notebook", SCRIPT)
notebook = importlib.util.module_from_spec(spec)
spec.loader.exec_module(notebook)


def test_the_notebook_is_made_of_the_page():
    assert notebook.NOTEBOOK.read_text(encoding="utf-8") == notebook.notebook(PAGE), "run scripts/notebook.py"


def test_every_block_of_the_page_is_a_cell_but_the_installation():
    blocks = re.findall(r"^```(?:python|shell)\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    code = [cell.text for cell in notebook.cells(PAGE) if cell.kind != "markdown"]
    assert code == [block.strip() for block in blocks if "pip install" not in block]
    assert len(code) == len(blocks) - 1


def test_links_of_the_notebook_lead_to_files():
    text = "\n".join(cell.text for cell in notebook.cells(PAGE) if cell.kind == "markdown")
    links = re.findall(r"\]\(((?!https?:)[^)#]+)", text)
    assert links
    assert [link for link in links if not (notebook.NOTEBOOK.parent / link).exists()] == []


def test_the_notebook_runs_and_the_curriculum_helps(tmp_path):
    for package in ("minigrid", "matplotlib", "pyarrow", "typer"):
        pytest.importorskip(package, reason="see the installation on the page")
    out = subprocess.run(
        [sys.executable, SCRIPT, "--run", tmp_path], capture_output=True, text=True, check=False, timeout=TIMEOUT
    )
    assert out.returncode == 0, out.stderr
    shares = re.findall(r"^(uniform|recommended|20,000 steps later): ([\d.]+)$", out.stdout, re.MULTILINE)
    uniform, recommended, later = (float(share) for _, share in shares)
    assert uniform < recommended < later
    assert f"session {notebook.SESSION}" in out.stdout
    left = {path.name for path in (tmp_path / "runs" / "tutorial").iterdir()}
    assert {"draws.png", "draws-uniform.png", "progress.png", "report.html", "curriculum.npz"} <= left
    named = {name.removeprefix("tutorial-") for name in re.findall(r"\]\(images/([\w-]+\.png)\)", PAGE)}
    assert named <= left
    assert [name for name in named if not (ROOT / "docs" / "images" / f"tutorial-{name}").exists()] == []
