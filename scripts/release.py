"""Builds the sdist and the wheels, looks into them, and tries the wheels in new environments of the given Pythons.

One wheel holds the compiled kernel, the other one Python files only. Without a C compiler, there is only the latter.
"""

# ruff: noqa: T201  printing is its purpose

import argparse
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCES = ROOT / "src"
OF_PYDANTIC = {"annotated-types", "pydantic-core", "typing-extensions", "typing-inspection"}
PURE = "-py3-none-any.whl"
COMPILED = "curricular/_kernel.abi3.so"
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


def build(folder: Path) -> tuple[Path, list[Path]]:
    """Builds the sdist from the sources and the wheels from the sdist, and returns them, a compiled wheel first."""
    environment = os.environ | {"PIP_CONSTRAINT": str(ROOT / "constraints.txt")}
    run(sys.executable, "-m", "build", "--outdir", folder, ROOT, environment=environment | {"CURRICULAR_PURE": "0"})
    (sdist,) = folder.glob("*.tar.gz")
    if not list(folder.glob(f"*{PURE}")):
        wheel = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", folder, sdist]
        run(*wheel, environment=environment | {"CURRICULAR_PURE": "1"})
    return sdist, sorted(folder.glob("*.whl"))


def check_wheel(wheel: Path) -> None:
    """Raises PackagingError unless the wheel holds all source files, the licence and the metadata, and nothing else."""
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        metadata = {name for name in names if ".dist-info/" in name}
        (description,) = (name for name in metadata if name.endswith("/METADATA"))
        text = archive.read(description).decode()
    sources = {
        path.relative_to(SOURCES).as_posix()
        for path in SOURCES.rglob("*")
        if path.name == "py.typed" or path.suffix == ".py"
    }
    if not wheel.name.endswith(PURE):
        sources.add(COMPILED)
    if names - metadata != sources:
        difference = sorted((names - metadata) ^ sources)
        raise PackagingError(
            f"{wheel.name}: expected the files under src and no other, got a difference of {difference}"
        )
    relative = re.findall(r"\]\((?!https?:|#)[^)]+\)", text)
    if relative:
        raise PackagingError(f"wheel: expected a description with absolute links, got {relative}; see hatch_build.py")
    if not any(name.endswith("/licenses/LICENSE") for name in metadata):
        raise PackagingError(f"wheel: expected the LICENSE, got {sorted(metadata)}; see license-files")


def check_sdist(sdist: Path) -> None:
    """Raises PackagingError if the sdist lacks the sources of the checks, or holds what a run left behind."""
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    folders = {name.partition("/")[0] for name in names}
    missing = {"src", "tests", "docs", "scripts", "Makefile", "constraints.txt", "README.md", "LICENSE"} - folders
    litter = [name for name in names if re.search(r"(^|/)(\.venv|\.\w+_cache|__pycache__|site)|\.so$", name)]
    if missing or litter:
        raise PackagingError(f"sdist: expected all sources and nothing else, it lacks {missing} and holds {litter}")


def check_installation(wheels: list[Path], interpreter: str, folder: Path) -> None:
    """Installs each wheel bare and runs the README's quick start; then adds the command line and runs it."""
    run(interpreter, "-m", "venv", folder)
    python, command = folder / "bin" / "python", folder / "bin" / "curricular"
    pip = [python, "-m", "pip", "--disable-pip-version-check"]
    install = [*pip, "install", "--quiet", "--constraint", ROOT / "constraints.txt"]
    run(*install, wheels[0])
    listed = run(*pip, "list", "--format", "freeze").splitlines()
    installed = {line.partition("==")[0].lower().replace("_", "-") for line in listed} - {"pip", "setuptools"}
    if installed != INSTALLED:
        raise PackagingError(f"wheel: expected to install {sorted(INSTALLED)}, got {sorted(installed)}")
    for wheel in wheels:
        run(*install, "--no-deps", "--force-reinstall", wheel)
        version = run(python, "-W", "error", "-c", quick_start() + AFTER_THE_QUICK_START, cwd=folder).strip()
        run(*install, f"{wheel}[cli]")
        printed = run(command, "--version", cwd=folder).strip()
        expected = f"curricular {version} ({'NumPy only' if wheel.name.endswith(PURE) else 'compiled kernel'})"
        if printed != expected:
            raise PackagingError(f"curricular --version: expected {expected!r}, got {printed!r}")


def quick_start() -> str:
    """Returns the quick start of the reference document, as the README has it."""
    found = re.search(r"```python\n(from metta.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    if found is None:
        raise PackagingError("README.md: expected the quick start of the reference in a Python block, got none")
    return found[1]


def run(*command: object, cwd: Path = ROOT, environment: dict[str, str] | None = None) -> str:
    """Runs a command and returns what it printed; raises PackagingError with its errors if it fails."""
    arguments = [str(argument) for argument in command]
    done = subprocess.run(arguments, cwd=cwd, env=environment, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise PackagingError(f"{' '.join(arguments[:4])} … failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def main() -> None:
    """Checks the distribution, or says what is wrong with it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pythons", nargs="*", default=[sys.executable], help="interpreters to install the wheel for")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        try:
            sdist, wheels = build(folder)
            check_sdist(sdist)
            for wheel in wheels:
                check_wheel(wheel)
            print(f"{sdist.name}, {' and '.join(wheel.name for wheel in wheels)} are whole")
            for number, interpreter in enumerate(parser.parse_args().pythons):
                check_installation(wheels, interpreter, folder / f"bare-{number}")
                version = run(interpreter, "--version").strip()
                print(f"{version}: the quick start runs with NumPy and pydantic alone; the command line runs")
        except PackagingError as error:
            sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
