"""Hooks of the build: makes the links of the README absolute, and compiles the kernel where a C compiler is.

A package registry shows the README without the files. Without a compiler or with `CURRICULAR_PURE=1`, the wheel is one
of pure Python.
"""

import os
import re
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from hatchling.metadata.plugin.interface import MetadataHookInterface
from packaging.tags import sys_tags
from setuptools import Distribution, Extension

PLACES = {
    "!": "https://raw.githubusercontent.com/curricular/curricular/main/",
    "": "https://github.com/curricular/curricular/blob/main/",
}
"""Sign before a link in Markdown -> where its target is: a picture is a raw file."""
LINK = re.compile(r"(!?)(\[[^\]]*\])\((?!https?:|#)([^)]+)\)")

SOURCE = "src/curricular/_kernel.c"
COMPILED = "src/curricular/_kernel.abi3.so"
FLAGS = ["-O2", "-Wall", "-ffp-contract=off", "-fwrapv"]
"""No sum and product are fused, so that results equal those of NumPy bit for bit; integers overflow as in NumPy."""


class CustomMetadataHook(MetadataHookInterface):
    """Reads the README."""

    def update(self, metadata: dict[str, Any]) -> None:
        text = Path(self.root, "README.md").read_text(encoding="utf-8")
        absolute = LINK.sub(lambda link: f"{link[1]}{link[2]}({PLACES[link[1]]}{link[3]})", text)
        metadata["readme"] = {"content-type": "text/markdown", "text": absolute}


class CustomBuildHook(BuildHookInterface[Any]):
    """Compiles the kernel beside its source, where an editable installation finds it, and adds it to the wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        root = Path(self.root)
        if os.environ.get("CURRICULAR_PURE") == "1" or not compiles(root):
            self.app.display_warning("curricular: built without its compiled kernel, which only makes it faster")
        elif version != "editable":
            platform = next(
                tag.platform for tag in sys_tags() if not tag.platform.startswith(("manylinux", "musllinux"))
            )
            build_data["artifacts"].append(COMPILED)
            build_data["pure_python"] = False
            build_data["tag"] = f"cp311-abi3-{platform}"


def compiles(root: Path) -> bool:
    """Returns whether the kernel of the sources in `root` is compiled, after trying to compile it."""
    source, compiled = root / SOURCE, root / COMPILED
    has_limited_api = sys.implementation.name == "cpython" and not sysconfig.get_config_var("Py_GIL_DISABLED")
    if not has_limited_api or sys.platform == "win32":
        return False
    extension = Extension(
        "_kernel", [str(source)], extra_compile_args=FLAGS, libraries=["m"], py_limited_api=True, optional=True
    )
    with tempfile.TemporaryDirectory(dir=compiled.parent, prefix=".build-") as folder:
        command = Distribution({"ext_modules": [extension]}).get_command_obj("build_ext")
        command.build_lib = command.build_temp = folder
        command.ensure_finalized()
        command.run()
        made = Path(folder, compiled.name)
        if made.exists():
            made.replace(compiled)  # at once: another process may import it
            return True
    # Another interpreter may have compiled it. An older one would not fit the Python files.
    if compiled.exists() and compiled.stat().st_mtime < source.stat().st_mtime:
        compiled.unlink()
    return False
