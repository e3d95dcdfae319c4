"""Makes the links of README.md absolute in the metadata, since a package registry shows the text without the files."""

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

PLACES = {
    "!": "https://raw.githubusercontent.com/curricular/curricular/main/",
    "": "https://github.com/curricular/curricular/blob/main/",
}
"""Sign before a link in Markdown -> where its target is: a picture is a raw file."""
LINK = re.compile(r"(!?)(\[[^\]]*\])\((?!https?:|#)([^)]+)\)")


class CustomMetadataHook(MetadataHookInterface):
    """Reads the README."""

    def update(self, metadata: dict[str, Any]) -> None:
        text = Path(self.root, "README.md").read_text(encoding="utf-8")
        absolute = LINK.sub(lambda link: f"{link[1]}{link[2]}({PLACES[link[1]]}{link[3]})", text)
        metadata["readme"] = {"content-type": "text/markdown", "text": absolute}
