"""Builds the sdist and the wheel, looks into them, and runs the quick start from the wheel in a bare environment."""

# ruff: noqa: T201  printing is its purpose

import os
import re
import subprocess
import sys
import tarfile
import tempfile
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCES = ROOT / "src"
OF_PYDANTIC = {"annotated-types", "pydantic-core", "typing-extensions", "typing-inspection"}
INSTALLED = {"curricular", "numpy", "pydantic"} | OF_PYDANTIC
"""All that a bare installation brings."""
EXTRAS = [
    "gymnasium",
    "jax",
    "matplotlib",
    "minigrid",
    "plotly",
    "pufferlib",
    "pyarrow",
    "pytest",
    "rich",
    "torch",
    "typer",
    "yaml",
]
AFTER_THE_QUICK_START = f"""
import importlib.metadata, sys
import curricular
assert curricular.__version__ == importlib.metadata.version("curricular"), curricular.__version__
assert "site-packages" in curricular.__file__, curricular.__file__
imported = sys.modules.keys() & set({EXTRAS})
assert not imported, imported
print(curricular.__version__)
"""


class PackagingError(Exception):
    """What is wrong with the distribution."""


def build(folder: Path) -> tuple[Path, Path]:
    """Builds the sdist from the sources and the wheel from the sdist, and returns both."""
    environment = os.environ | {"PIP_CONSTRAINT": str(ROOT / "constraints.txt")}
    run(sys.executable, "-m", "build", "--outdir", folder, ROOT, environment=environment)
    (sdist,) = folder.glob("*.tar.gz")
    (wheel,) = folder.glob("*.whl")
    return sdist, wheel


def check_wheel(wheel: Path) -> None:
    """Raises PackagingError unless the wheel holds all source files, the licence and the metadata, and nothing else."""
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    metadata = {name for name in names if ".dist-info/" in name}
    sources = {
        path.relative_to(SOURCES).as_posix()
        for path in SOURCES.rglob("*")
        if path.name == "py.typed" or path.suffix == ".py"
    }
    if names - metadata != sources:
        difference = sorted((names - metadata) ^ sources)
        raise PackagingError(f"wheel: expected the files under src and no other, got a difference of {difference}")
    if not any(name.endswith("/licenses/LICENSE") for name in metadata):
        raise PackagingError(f"wheel: expected the LICENSE, got {sorted(metadata)}; see license-files")


def check_sdist(sdist: Path) -> None:
    """Raises PackagingError if the sdist lacks the sources of the checks, or holds what a run left behind."""
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    folders = {name.partition("/")[0] for name in names}
    missing = {"src", "tests", "docs", "scripts", "Makefile", "constraints.txt", "README.md", "LICENSE"} - folders
    litter = [name for name in names if re.search(r"(^|/)(\.venv|\.\w+_cache|__pycache__|site)", name)]
    if missing or litter:
        raise PackagingError(f"sdist: expected all sources and nothing else, it lacks {missing} and holds {litter}")


def check_installation(wheel: Path, folder: Path) -> None:
    """Installs the wheel bare, and runs the README's quick start with it, outside of the project."""
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    pip = [python, "-m", "pip", "--disable-pip-version-check"]
    run(*pip, "install", "--quiet", "--constraint", ROOT / "constraints.txt", wheel)
    listed = run(*pip, "list", "--format", "freeze").splitlines()
    installed = {line.partition("==")[0].lower().replace("_", "-") for line in listed} - {"pip", "setuptools"}
    if installed != INSTALLED:
        raise PackagingError(f"wheel: expected to install {sorted(INSTALLED)}, got {sorted(installed)}")
    quick_start = re.search(
        r"```python\n(from metta.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL
    )
    if quick_start is None:
        raise PackagingError("README.md: expected the quick start of the reference in a Python block, got none")
    print(run(python, "-W", "error", "-c", quick_start[1] + AFTER_THE_QUICK_START, cwd=folder).strip())


def run(*command: object, cwd: Path = ROOT, environment: dict[str, str] | None = None) -> str:
    """Runs a command and returns what it printed; raises PackagingError with its errors if it fails."""
    arguments = [str(argument) for argument in command]
    done = subprocess.run(arguments, cwd=cwd, env=environment, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise PackagingError(f"{' '.join(arguments[:4])} … failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def main() -> None:
    """Checks the distribution, or says what is wrong with it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        try:
            sdist, wheel = build(folder)
            check_sdist(sdist)
            check_wheel(wheel)
            check_installation(wheel, folder / "bare")
        except PackagingError as error:
            sys.exit(f"error: {error}")
        print(f"{sdist.name} and {wheel.name} are whole; the quick start runs with NumPy and pydantic alone")


if __name__ == "__main__":
    main()
